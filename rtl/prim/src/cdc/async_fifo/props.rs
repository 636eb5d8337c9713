//! What holds inside an asynchronous FIFO, so that a proof by induction that it keeps order goes through where synchronisers are exact.

use super::super::round_trip::ONLY_CHECKED;
use super::super::scoreboard::Scoreboard;
use crate::from_gray;
use rtl_hdl::{cat, lit, Clock, MemoryHandle, Module, Signal, Synchronized};

/// Up to this many places of the memory are asserted, one by one.
const PLACES_MAX: u32 = 4;

/// The pointers of both sides, and what each knows of the other's.
pub(super) struct Pointers<'a> {
    pub head: Signal,
    pub tail: Signal,
    pub head_there: &'a Synchronized,
    pub tail_there: &'a Synchronized,
}

/// The memory and its read register.
pub(super) struct Register {
    pub items: MemoryHandle,
    pub offered: Signal,
    pub item: Signal,
}

/// Asserts in which order the pointers are, and that each item is where they say.
pub(super) fn is_a_fifo(m: &Module, to: Clock, pointers: Pointers, board: Scoreboard, register: Register) {
    let Pointers { head, tail, head_there, tail_there } = pointers;
    let bits = head.width();
    let depth = 1u32 << (bits - 1);

    // Everything of the first clock, seen in the second.
    let of_from: Vec<Signal> = [tail].into_iter().chain(head_there.registers().iter().copied()).collect();
    let seen = m.held_across("pointers_of_from", to, cat(&of_from), ONLY_CHECKED);
    let part = |number: usize| {
        let high = seen.width() - bits * number as u32;
        seen.bits(high - bits..high)
    };
    let tail_here = part(0);
    // How far each pointer is behind the tail: none is before it, each side knows of less than there is, and nothing is a round behind.
    let behind = |pointer: Signal| tail_here - pointer;
    let mut order = vec![lit(0u8, bits)];
    order.extend(tail_there.registers().iter().map(|register| behind(from_gray(*register))));
    order.push(behind(head));
    order.extend((1..of_from.len()).map(|number| behind(from_gray(part(number)))));
    order.push(lit(depth, bits));
    let ordered = order.windows(2).map(|pair| pair[0].le(pair[1])).reduce(|a, b| a & b).expect("there are pointers");
    m.assert(to, "pointers_in_order", ordered);

    let wide = board.inside.width().max(bits + 1);
    let inside = behind(head).zext(wide) + register.offered.zext(wide);
    m.assert(to, "all_are_accounted_for", board.inside.zext(wide).eq(inside));
    let first = board.expected(lit(0u8, 1));
    m.assert(to, "offered_item_is_the_oldest", register.offered.implies(register.item.eq(first)));
    // Every place in memory, where there are few: a proof needs it, simulation does not.
    for place in (0..depth).filter(|_| depth <= PLACES_MAX) {
        let place_signal = lit(place, bits);
        let address = head.low(bits - 1) + place_signal.low(bits - 1);
        let expected = board.expected(place_signal.zext(bits + 1) + register.offered.zext(bits + 1));
        let holds = place_signal.lt(behind(head)).implies(register.items.lookup(address).eq(expected));
        m.assert(to, &format!("item_{place}_is_in_its_place"), holds);
    }
}
