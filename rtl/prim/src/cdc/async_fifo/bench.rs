//! The running FIFO.

use super::*;
use crate::cdc::testing::*;
use crate::testing::{beats, design, items, BED};
use rtl_hdl::bench::{Bench, Clocking, Seed, Stalls};

pub(crate) fn blocks() -> impl Iterator<Item = AsyncFifo> {
    let wide = 2 * DISTRIBUTED_WORDS_MAX;
    [(Payload::bits(8), 2, 2), (beats(), 4, 3), (beats(), 16, 2), (Payload::bits(40), wide, 2)]
        .into_iter()
        .map(|(payload, depth, stages)| AsyncFifo::new(payload, depth, stages))
}

#[test]
fn gives_every_item_out_once_and_in_order() {
    for fifo in blocks() {
        carries_items(&fifo, fifo.payload.width());
    }
}

/// With clocks of one rate and room for a round trip, an item in every clock.
#[test]
fn passes_an_item_in_every_clock() {
    for fifo in blocks().filter(|fifo| fifo.depth >= 2 * fifo.stages + 6) {
        let design = design(&fifo);
        for phase in [0, 3, 9] {
            let mut simulator = BED.simulator(&design);
            let clocking = Clocking::Periods(vec![(10, 0), (10, phase)]);
            let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None).with_clocking(clocking);
            let sent = items(&mut Seed(1).rng("items"), fifo.payload.width(), 200);
            bench.send("in", sent.iter().cloned());
            // A moment holds both edges, or one of them.
            let moments = if phase == 0 { 1 } else { 2 };
            bench.run(moments * (200 + u64::from(fifo.stages) + 3));
            assert_eq!(bench.received("out"), sent);
        }
    }
}

/// It holds its depth, and one more in the output register, wherever its pointers are. When one is taken, there is room in time.
#[test]
fn holds_its_depth_and_one_more() {
    for fifo in blocks() {
        under_one_rate(&fifo, |bench| {
            let mut rng = Seed(1).rng("items");
            for _ in 0..4 {
                bench.hold("out", true);
                // So many that each round begins in another quarter of the pointers.
                let sent = items(&mut rng, fifo.payload.width(), 3 * fifo.depth as usize / 2 + 4);
                bench.send("in", sent.iter().cloned());
                bench.run(20 + u64::from(fifo.depth));
                assert_eq!(bench.pending("in"), sent.len() - fifo.depth as usize - 1);
                bench.hold("out", false);
                bench.run(1);
                bench.hold("out", true);
                for edge in 1..=fifo.stages {
                    assert_eq!(bench.peek("in_ready"), 0, "there is room before edge {edge}");
                    bench.run(1);
                }
                assert_eq!(bench.peek("in_ready"), 1);
                bench.hold("out", false);
                bench.run(20 + 8 * u64::from(fifo.depth));
                assert_eq!(bench.drain("out"), sent);
            }
        });
    }
}

#[test]
fn offers_an_item_after_its_synchroniser() {
    for fifo in blocks() {
        offers_an_item_in_time(&fifo, fifo.payload.width(), fifo.stages + 1);
    }
}

#[test]
#[should_panic(expected = "use a power of two")]
fn a_depth_that_is_no_power_of_two_is_refused() {
    AsyncFifo::new(Payload::bits(1), 6, 2);
}
