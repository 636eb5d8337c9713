//! What the benches of the crossing blocks share.

use crate::testing::*;
use rtl_hdl::bench::{Bench, Clocking, Rng, Seed, Stalls};
use rtl_hdl::{with_jitter, Block};

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    use super::*;
    let mut blocks: Vec<Box<dyn Block>> = Vec::new();
    blocks.extend(synchronizer::bench::blocks().map(|block| Box::new(block) as Box<dyn Block>));
    blocks.extend(pulse::bench::blocks().map(|block| Box::new(block) as Box<dyn Block>));
    blocks.extend(handshake::bench::blocks().map(|block| Box::new(block) as Box<dyn Block>));
    blocks.extend(async_fifo::bench::blocks().map(|block| Box::new(block) as Box<dyn Block>));
    blocks.extend(reset_bridge::bench::blocks().map(|block| Box::new(block) as Box<dyn Block>));
    blocks
}

/// Runs `body` with two clocks of every ratio, with and without jitter, under these stall patterns.
pub(crate) fn under_all_clocks(block: &dyn Block, stalls: &[Stalls], mut body: impl FnMut(&mut Bench, &mut Rng)) {
    let plain = design(block);
    let seed = Seed::from_env_or(0x5EED);
    for design in [with_jitter(&plain), plain] {
        for clocking in Clocking::of_two_clocks() {
            for &stalls in stalls {
                let mut simulator = BED.simulator(&design);
                let mut bench = Bench::new(&mut *simulator, &design, seed, stalls).with_clocking(clocking.clone());
                body(&mut bench, &mut seed.rng("body"));
            }
        }
    }
}

/// Runs `body` with two clocks that rise together, where nothing is in doubt.
pub(crate) fn under_one_rate(block: &dyn Block, body: impl FnOnce(&mut Bench)) {
    let design = design(block);
    let mut simulator = BED.simulator(&design);
    let clocking = Clocking::Periods(vec![(10, 0), (10, 0)]);
    body(&mut Bench::new(&mut *simulator, &design, Seed::from_env_or(0x5EED), Stalls::None).with_clocking(clocking));
}

/// An item that meets an empty block is offered after so many edges of the second clock, or one more.
pub(crate) fn offers_an_item_in_time(block: &dyn Block, width: u32, edges: u32) {
    let in_time = edges..=edges + 1;
    under_all_clocks(block, &[Stalls::None], |bench, rng| {
        for _ in 0..20 {
            bench.hold("out", true);
            bench.send("in", items(rng, width, 1));
            bench.run_until(1_000, |bench| bench.pending("in") == 0);
            let mut seen = 0;
            while bench.peek("out_valid") == 0 && seen <= *in_time.end() {
                seen += (bench.clock() >> 1 & 1) as u32;
            }
            assert!(in_time.contains(&seen), "offered after {seen} edges");
            bench.hold("out", false);
            bench.run(100 + rng.below(8));
            assert_eq!(bench.drain("out").len(), 1);
        }
    });
}

/// What goes into `in` comes out of `out`, once and in order, also when both sides are reset in between.
pub(crate) fn carries_items(block: &dyn Block, width: u32) {
    under_all_clocks(block, &Stalls::ALL, |bench, rng| {
        for _ in 0..3 {
            let sent = items(rng, width, 60);
            bench.send("in", sent.iter().cloned());
            bench.run_until(60_000, |bench| bench.received("out").len() >= sent.len());
            bench.run(100);
            assert_eq!(bench.drain("out"), sent);
            // A reset in the middle loses what is inside and nothing else. Its edge is one of both clocks.
            bench.send("in", items(rng, width, 40));
            bench.run(rng.below(200));
            bench.clear("in");
            bench.reset(1);
            bench.drain("out");
            assert_eq!((bench.peek("in_ready"), bench.peek("out_valid")), (1, 0), "it is empty");
        }
    });
}
