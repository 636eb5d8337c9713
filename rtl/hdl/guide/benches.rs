//! The examples of benches.md.

use super::streams::doubler;
use rtl_hdl::bench::{Bench, Seed, Stalls};
use rtl_hdl::sim::Simulator;
use rtl_hdl::{elaborate, Block, Design, Evaluator};
use sim_verilator::TestBed;

// example: run
#[test]
fn a_simulator_is_poked_and_stepped() {
    let design = elaborate(&doubler()).unwrap_or_else(|problems| panic!("{problems}"));
    let mut sim = Evaluator::new(&design).expect("everything in it is ours");
    let [valid, channel, value] = ["in_valid", "in_channel", "in_value"].map(|port| sim.port(port));
    sim.poke_u64(valid, 1);
    sim.poke_u64(channel, 2);
    sim.poke_u64(value, 21);
    sim.step();
    assert_eq!(sim.peek_u64(sim.port("out_valid")), 1);
    assert_eq!(sim.peek_u64(sim.port("out_value")), 42);
    // Any named value, by its path.
    assert_eq!(sim.signal("doubler.dropped").to_string(), "0");
}
// end

// example: bench
/// The blocks of the crate, in every configuration that is run.
static BED: TestBed = TestBed::new("guide", || vec![Box::new(doubler())]);

#[test]
fn samples_are_doubled_or_dropped() {
    let design: Design = elaborate(&doubler()).unwrap_or_else(|problems| panic!("{problems}"));
    let seed = Seed::from_env_or(0x5EED);
    for stalls in Stalls::ALL {
        // The evaluator and Verilator in step: every output is compared in every clock.
        let mut sim = BED.simulator(&design);
        let mut bench = Bench::new(&mut *sim, &design, seed, stalls);
        let mut rng = seed.rng("samples");
        let sent: Vec<(u64, u64)> = (0..200).map(|_| (rng.below(8), rng.below(1 << 12))).collect();
        for &(channel, value) in &sent {
            let item = bench.fields("in").set("channel", channel).set("value", value);
            bench.send("in", [item.words()]);
        }
        let kept: Vec<(u64, u64)> = sent.into_iter().filter(|(channel, _)| *channel != 7).collect();
        bench.run_until(10_000, |bench| bench.received("out").len() == kept.len());
        let got = bench.drain_fields("out");
        let got: Vec<(u64, u64)> = got.iter().map(|item| (item.get("channel"), item.get("value"))).collect();
        let expected: Vec<(u64, u64)> = kept.iter().map(|(channel, value)| (*channel, 2 * value % (1 << 12))).collect();
        assert_eq!(got, expected, "{}", seed.replay());
    }
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![]
}
