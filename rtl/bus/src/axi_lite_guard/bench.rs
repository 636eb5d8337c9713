//! The running guard before a subordinate that answers in time, late, or not before it is asked again.

use super::*;
use crate::monitor::{AxiLiteMonitor, AxiLiteProbe, Watched};
use crate::testing::{design, BED};
use rtl_hdl::bench::{Bench, Rng, Seed, Stalls};

const GUARD: AxiLiteGuard = AxiLiteGuard { address_bits: 12, patience: 40 };

/// Clocks that the guard and stalls may add to what the subordinate takes.
const SLACK: u64 = 30;

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(GUARD)]
}

fn with_benches(test: impl Fn(&mut Bench, &mut Rng, Stalls)) {
    let seed = Seed::from_env_or(0x5EED);
    let design = design(&GUARD);
    for stalls in Stalls::ALL {
        let simulator = BED.simulator(&design);
        let mut watches = ["from", "to"].map(|name| (AxiLiteProbe::new(&simulator, name), AxiLiteMonitor::new(name)));
        let mut watched = Watched::new(simulator, |sim| {
            watches.iter_mut().for_each(|(probe, monitor)| monitor.clock(&probe.sample(sim)));
        });
        let mut bench = Bench::new(&mut watched, &design, seed, stalls);
        test(&mut bench, &mut seed.rng("accesses"), stalls);
        drop(bench);
        drop(watched);
        watches.iter().for_each(|(_, monitor)| monitor.assert_clean());
    }
}

/// The kinds of access: where it is asked for, and where it is answered.
const KINDS: [(&str, &str); 2] = [("ar", "r"), ("aw", "b")];

fn ask(bench: &mut Bench, kind: usize, address: u64) {
    let stream = format!("from_{}", KINDS[kind].0);
    bench.send(&stream, [bench.fields(&stream).set("addr", address).words()]);
    if kind == 1 {
        bench.send("from_w", [bench.fields("from_w").set("data", address).set("strb", 0xF).words()]);
    }
}

/// What has reached the subordinate: the addresses.
fn asked(bench: &mut Bench, kind: usize) -> Vec<u64> {
    let addresses: Vec<u64> =
        bench.drain_fields(&format!("to_{}", KINDS[kind].0)).iter().map(|item| item.get("addr")).collect();
    if kind == 1 {
        bench.drain("to_w");
    }
    addresses
}

/// The subordinate answers; a read with a number that tells its address.
fn answer(bench: &mut Bench, kind: usize, address: u64) {
    let stream = format!("to_{}", KINDS[kind].1);
    let item = bench.fields(&stream).set("resp", resp::OKAY);
    let item = if kind == 0 { item.set("data", address | 1 << 16) } else { item };
    bench.send(&stream, [item.words()]);
}

/// What the manager gets, within so many clocks.
fn result(bench: &mut Bench, kind: usize, clocks: u64) -> (u8, u64) {
    let stream = format!("from_{}", KINDS[kind].1);
    bench.run_until(clocks, |bench| !bench.received(&stream).is_empty());
    let items = bench.drain_fields(&stream);
    assert_eq!(items.len(), 1);
    (items[0].get("resp") as u8, if kind == 0 { items[0].get("data") } else { 0 })
}

#[test]
fn what_is_answered_in_time_passes() {
    with_benches(|bench, rng, _| {
        for _ in 0..60 {
            let (kind, address) = (rng.below(2) as usize, 4 * rng.below(1 << 10));
            ask(bench, kind, address);
            // A write goes on when its word is there too.
            let goes_on: &[&str] = if kind == 0 { &["to_ar"] } else { &["to_aw", "to_w"] };
            bench.run_until(SLACK, |bench| goes_on.iter().all(|stream| !bench.received(stream).is_empty()));
            assert_eq!(asked(bench, kind), [address]);
            bench.run(rng.below(u64::from(GUARD.patience) / 4));
            answer(bench, kind, address);
            let data = if kind == 0 { address | 1 << 16 } else { 0 };
            assert_eq!(result(bench, kind, SLACK), (resp::OKAY, data));
        }
    });
}

#[test]
fn what_is_not_answered_is_an_error_and_never_the_answer_to_another() {
    with_benches(|bench, rng, stalls| {
        for round in 0..12 {
            let (kind, address) = (round % 2, 4 * rng.below(1 << 10));
            ask(bench, kind, address);
            let before = bench.clocks();
            let patience = u64::from(GUARD.patience);
            assert_eq!(result(bench, kind, patience + SLACK), (resp::SLVERR, 0));
            let passed = bench.clocks() - before;
            assert!(stalls != Stalls::None || (patience..patience + 6).contains(&passed), "{passed} clocks");
            // As long as the answer is owed, nothing goes on; the other kind of access does.
            for _ in 0..rng.below(3) {
                ask(bench, kind, address + 4);
                assert_eq!(result(bench, kind, SLACK), (resp::SLVERR, 0));
            }
            assert_eq!(asked(bench, kind), [address]);
            let other = 1 - kind;
            ask(bench, other, 8);
            bench.run(SLACK / 2);
            answer(bench, other, 8);
            assert_eq!(result(bench, other, SLACK).0, resp::OKAY);
            assert_eq!(asked(bench, other), [8]);
            // The late answer is nobody's.
            answer(bench, kind, address);
            bench.run(SLACK);
            ask(bench, kind, address + 8);
            bench.run(SLACK / 2);
            assert_eq!(asked(bench, kind), [address + 8]);
            answer(bench, kind, address + 8);
            let data = if kind == 0 { (address + 8) | 1 << 16 } else { 0 };
            assert_eq!(result(bench, kind, SLACK), (resp::OKAY, data));
        }
    });
}
