//! The running skid buffer.

use super::*;
use crate::testing::*;
use rtl_hdl::bench::Seed;

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

#[test]
fn takes_two_items_that_nobody_takes() {
    for buffer in blocks() {
        let sent = items(&mut Seed(1).rng("items"), buffer.payload.width(), 5);
        fills_up_unasked(&buffer, ["in", "out"], &sent, 2);
    }
}

#[test]
fn no_mutant_goes_unnoticed() {
    // A mutant of a mutant may be the block itself.
    if !rtl_hdl::mutation::is_asked_for() {
        let width = 3;
        assert_eq!(unnoticed_mutants(&SkidBuffer { payload: Payload::bits(width) }, width), Vec::<String>::new());
    }
}
