//! The running handshake.

use super::*;
use crate::cdc::testing::*;
use crate::testing::{beats, items};
use rtl_hdl::bench::Seed;

pub(crate) fn blocks() -> impl Iterator<Item = Handshake> {
    [(Payload::bits(8), 2), (beats(), 3)].into_iter().map(|(payload, stages)| Handshake { payload, stages })
}

#[test]
fn gives_every_item_out_once_and_in_order() {
    for block in blocks() {
        carries_items(&block, block.payload.width());
    }
}

#[test]
fn offers_an_item_after_its_synchroniser() {
    for block in blocks() {
        offers_an_item_in_time(&block, block.payload.width(), block.stages + 1);
    }
}

/// With clocks of one rate, an item in every round trip.
#[test]
fn passes_an_item_in_every_round_trip() {
    for block in blocks() {
        under_one_rate(&block, |bench| {
            bench.send("in", items(&mut Seed(1).rng("items"), block.payload.width(), 10));
            let round_trip = 2 * (u64::from(block.stages) + 1);
            for clock in 0..5 * round_trip {
                assert_eq!(bench.peek("in_ready"), u64::from(clock % round_trip == 0), "clock {clock}");
                bench.clock();
            }
        });
    }
}
