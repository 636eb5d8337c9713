//! The running synchroniser.

use super::*;
use crate::cdc::testing::*;
use rtl_hdl::bench::Stalls;

pub(crate) fn blocks() -> impl Iterator<Item = Synchronizer> {
    [(From::Clock, 2), (From::Clock, 3)].into_iter().map(|(from, stages)| Synchronizer { from, stages })
}

/// The level that goes in arrives after so many edges, or one more, and nothing else does.
#[test]
fn a_level_arrives_in_time() {
    for block in blocks() {
        under_all_clocks(&block, &[Stalls::None], |bench, rng| {
            let edges = |bench: &mut rtl_hdl::bench::Bench, clock: usize, count: u64| {
                let mut seen = 0;
                while seen < count {
                    seen += bench.clock() >> clock & 1;
                }
            };
            // What was there before the first level is on its way still.
            edges(bench, 1, u64::from(block.stages) + 1);
            for _ in 0..50 {
                let level = u64::from(rng.bool());
                let before = bench.peek("out");
                bench.poke("in", level);
                edges(bench, 0, 1);
                for _ in 1..block.stages {
                    edges(bench, 1, 1);
                    assert_eq!(bench.peek("out"), before, "until the chain has been passed");
                }
                edges(bench, 1, 2);
                assert_eq!(bench.peek("out"), level);
            }
        });
    }
}

/// Exactly `stages` edges, where nothing is in doubt.
#[test]
fn a_level_passes_every_register() {
    use crate::testing::{design, BED};
    for block in blocks() {
        let design = design(&block);
        let mut sim = BED.simulator(&design);
        let [input, output] = ["in", "out"].map(|port| sim.port(port));
        // What is there in the beginning is not known.
        sim.poke_u64(input, 0);
        (0..=block.stages).for_each(|_| sim.step_clocks(0b11));
        for level in [1, 0, 1] {
            sim.poke_u64(input, level);
            sim.step_clocks(0b01);
            for stage in 1..=block.stages {
                sim.step_clocks(0b10);
                let expected = if stage < block.stages { 1 - level } else { level };
                assert_eq!(sim.peek_u64(output), expected, "edge {stage} of {}", block.stages);
            }
        }
    }
}
