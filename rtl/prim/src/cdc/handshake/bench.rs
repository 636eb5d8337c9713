//! The running handshake.

use super::*;
use crate::cdc::testing::*;
use crate::testing::beats;

pub(crate) fn blocks() -> impl Iterator<Item = Handshake> {
    [(Payload::bits(8), 2), (beats(), 3)].into_iter().map(|(payload, stages)| Handshake { payload, stages })
}

#[test]
fn gives_every_item_out_once_and_in_order() {
    for block in blocks() {
        carries_items(&block, block.payload.width());
    }
}
