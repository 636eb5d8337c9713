//! The running reset bridge.

use super::*;
use crate::testing::{design, BED};
use rtl_hdl::bench::Seed;
use rtl_hdl::with_jitter;

pub(crate) fn blocks() -> impl Iterator<Item = ResetBridge> {
    [2, 3].into_iter().map(|stages| ResetBridge { stages })
}

/// A pulse of any length, also between two edges, becomes a reset that begins and ends in time.
#[test]
fn a_pulse_of_any_length_becomes_a_reset() {
    let mut rng = Seed::from_env_or(0x5EED).rng("pulses");
    for block in blocks() {
        let plain = design(&block);
        for design in [with_jitter(&plain), plain] {
            let mut sim = BED.simulator(&design);
            let [input, output] = ["in", "out"].map(|port| sim.port(port));
            let jitter = (design.top().port(rtl_hdl::JITTER).is_some()).then(|| sim.port(rtl_hdl::JITTER));
            let stages = u64::from(block.stages);
            let step = |sim: &mut dyn rtl_hdl::sim::Simulator, jitters: u64| {
                if let Some(port) = jitter {
                    sim.poke_u64(port, jitters);
                }
                sim.step();
                sim.peek_u64(output)
            };
            for _ in 0..10 {
                step(&mut *sim, 0);
            }
            for _ in 0..200 {
                assert_eq!(sim.peek_u64(output), 0, "no reset without a pulse");
                let clocks = rng.below(6);
                sim.poke_u64(input, 1);
                sim.settle();
                let shown: Vec<u64> = (0..clocks).map(|_| step(&mut *sim, rng.below(2))).collect();
                sim.poke_u64(input, 0);
                sim.settle();
                let after: Vec<u64> = (0..4 * stages).map(|_| step(&mut *sim, rng.below(2))).collect();
                let all: Vec<u64> = shown.into_iter().chain(after).collect();
                let first = all.iter().position(|reset| *reset == 1).expect("a pulse gives a reset") as u64;
                let length = all[first as usize..].iter().take_while(|reset| **reset == 1).count() as u64;
                // Edge number 0 is the first one after the beginning.
                assert!(first <= stages, "it begins in clock {first}");
                assert!(length >= stages, "it lasts {length} clocks");
                let end = first + length;
                // The edges after the end are counted from 0 here, too.
                let last = clocks + 2 * stages;
                assert!((last..=last + 1).contains(&end), "{clocks} clocks end at {end}");
                assert!(all[end as usize..].iter().all(|reset| *reset == 0), "it ends once");
            }
        }
    }
}
