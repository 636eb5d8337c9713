//! The running arbiters.

use super::*;
use crate::testing::*;
use rtl_hdl::bench::{Rng, Seed};
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::{block_fn, Evaluator};

/// Numbers of requesters.
const COUNTS: [u32; 4] = [1, 2, 5, 64];

pub(crate) fn blocks() -> impl Iterator<Item = Box<dyn Block>> {
    COUNTS.into_iter().flat_map(|requests| {
        [Box::new(RoundRobin { requests }) as Box<dyn Block>, Box::new(RoundRobinRegistered { requests })]
    })
}

/// The rule in plain words: beginning behind the last one, the first who requests.
fn expected(requests: u32, request: u64, last: Option<u32>) -> Option<u32> {
    let first = last.map_or(0, |last| last + 1);
    (first..first + requests).map(|number| number % requests).find(|number| request >> number & 1 == 1)
}

fn one_hot(number: Option<u32>) -> u64 {
    number.map_or(0, |number| 1 << number)
}

#[test]
fn the_grant_is_the_first_request_behind_the_last_one() {
    for requests in 1..=6 {
        let block = block_fn("search", |m| {
            m.allow_combinational("a function");
            let (request, last) = (m.input("request", requests), m.input("last", requests));
            m.output("grant", round_robin(request, last));
        });
        let mut sim = Evaluator::new(&design(&block)).expect("nothing foreign is inside");
        let [request, last, grant] = ["request", "last", "grant"].map(|port| sim.port(port));
        for served in [None].into_iter().chain((0..requests).map(Some)) {
            for value in 0..1u64 << requests {
                sim.poke_u64(request, value);
                sim.poke_u64(last, one_hot(served));
                sim.settle();
                let granted = sim.peek_u64(grant);
                assert_eq!(granted, one_hot(expected(requests, value, served)), "{value:#b} after {served:?}");
            }
        }
    }
}

/// The ports of an arbiter that has been reset.
struct Ports {
    reset: PortId,
    request: PortId,
    accept: PortId,
    grant: PortId,
}

impl Ports {
    fn of(sim: &mut dyn Simulator, grant: &str) -> Ports {
        let [reset, request, accept, grant] = ["reset", "request", "accept", grant].map(|port| sim.port(port));
        let ports = Ports { reset, request, accept, grant };
        ports.reset(sim);
        ports
    }

    fn reset(&self, sim: &mut dyn Simulator) {
        sim.poke_u64(self.reset, 1);
        sim.step();
        sim.poke_u64(self.reset, 0);
    }
}

fn some_requests(rng: &mut Rng, requests: u32) -> u64 {
    // All at once, few, or many.
    let [a, b] = [rng.bits(requests)[0], rng.bits(requests)[0]];
    *rng.pick(&[u64::MAX >> (64 - requests), a, a & b, a | b, 0])
}

#[test]
fn the_combinational_grant_follows_the_rule_through_resets() {
    let seed = Seed::from_env_or(0x5EED);
    for requests in COUNTS {
        let design = design(&RoundRobin { requests });
        let mut sim = BED.simulator(&design);
        let ports = Ports::of(&mut *sim, "grant_comb");
        let mut rng = seed.rng("requests");
        let mut last = None;
        for clock in 0..2_000 {
            if rng.percent(1) {
                ports.reset(&mut *sim);
                last = None;
            }
            let (request, accept) = (some_requests(&mut rng, requests), rng.bool());
            sim.poke_u64(ports.request, request);
            sim.poke_u64(ports.accept, u64::from(accept));
            sim.settle();
            let grant = expected(requests, request, last);
            assert_eq!(sim.peek_u64(ports.grant), one_hot(grant), "clock {clock}, SEED={seed}");
            if accept {
                last = grant.or(last);
            }
            sim.step();
        }
    }
}

#[test]
fn a_registered_grant_stands_until_accepted_and_nobody_starves() {
    let seed = Seed::from_env_or(0x5EED);
    for requests in COUNTS {
        let design = design(&RoundRobinRegistered { requests });
        let mut sim = BED.simulator(&design);
        let ports = Ports::of(&mut *sim, "grant");
        let mut rng = seed.rng("requests");
        let (mut grant, mut last) = (None, None);
        // How often others were served while each one waited.
        let mut passed_over = vec![0; requests as usize];
        let mut request = 0;
        for clock in 0..4_000 {
            if rng.percent(1) {
                ports.reset(&mut *sim);
                (grant, last, request) = (None, None, 0);
                passed_over.fill(0);
            }
            // A request stays until it is granted, as those of streams do.
            request |= some_requests(&mut rng, requests);
            let accept = rng.bool();
            sim.poke_u64(ports.request, request);
            sim.poke_u64(ports.accept, u64::from(accept));
            sim.step();
            if let (Some(served), true) = (grant, accept) {
                passed_over[served as usize] = 0;
                for (number, passed) in passed_over.iter_mut().enumerate() {
                    if number as u32 != served && request >> number & 1 == 1 {
                        *passed += 1;
                        assert!(*passed < requests.max(2), "{number} waits in clock {clock}, SEED={seed}");
                    }
                }
                request &= !(1 << served);
            }
            if accept || grant.is_none() {
                let turn = grant.or(last);
                let open = request & !one_hot(grant);
                (grant, last) = (expected(requests, open, turn), turn);
            }
            assert_eq!(sim.peek_u64(ports.grant), one_hot(grant), "clock {clock}, SEED={seed}");
        }
    }
}
