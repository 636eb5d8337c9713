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

/// What goes into `in` comes out of `out`, once and in order, also when both sides are reset in between.
pub(crate) fn carries_items(block: &dyn Block, width: u32) {
    under_all_clocks(block, &Stalls::ALL, |bench, rng| {
        for _ in 0..3 {
            let sent = items(rng, width, 60);
            bench.send("in", sent.iter().cloned());
            bench.run_until(60_000, |bench| bench.received("out").len() >= sent.len());
            bench.run(100);
            assert_eq!(bench.drain("out"), sent);
            // A reset in the middle loses what is inside and nothing else.
            bench.send("in", items(rng, width, 40));
            bench.run(rng.below(200));
            bench.clear("in");
            bench.reset(2);
            bench.drain("out");
        }
    });
}
