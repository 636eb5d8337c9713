//! The running skid buffer.

use super::*;
use crate::testing::*;

pub(crate) fn blocks() -> impl Iterator<Item = SkidBuffer> {
    [Payload::bits(1), beats()].into_iter().map(|payload| SkidBuffer { payload })
}

#[test]
fn passes_every_item_once_and_in_order() {
    for buffer in blocks() {
        passes_items_on(&buffer, buffer.payload.width());
    }
}

#[test]
fn is_empty_after_a_reset() {
    for buffer in blocks() {
        starts_empty_after_a_reset(&buffer, buffer.payload.width());
    }
}

#[test]
fn passes_an_item_in_every_clock() {
    for buffer in blocks() {
        passes_one_item_per_clock(&buffer, buffer.payload.width(), 1);
    }
}
