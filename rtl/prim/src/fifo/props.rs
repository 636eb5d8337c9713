//! What holds inside a FIFO, so that a proof by induction that it keeps order goes through.

use crate::{advance_index, entries_between, is_index, Traffic, Watched};
use rtl_hdl::{lit, Clock, MemoryHandle, Module, Signal};

/// The state of a FIFO.
pub(super) struct Inside {
    pub items: MemoryHandle,
    pub head: Signal,
    pub tail: Signal,
    pub held: Signal,
    pub offered: Signal,
    pub item: Signal,
}

/// Asserts that items come out once, unchanged and in their order, and how the state makes it so.
pub(super) fn keeps_order(m: &Module, clock: Clock, depth: u32, inside: Inside, traffic: Traffic) {
    let Inside { items, head, tail, held, offered, item } = inside;
    let watched = Watched::new(m, clock, "watched", depth + 1, traffic);
    let (index_bits, bits) = (head.width(), watched.held.width());
    let last = lit(depth - 1, index_bits);

    m.assert(clock, "indexes_are_inside", is_index(head, depth) & is_index(tail, depth));
    let between = entries_between(head, tail, last).zext(bits);
    let held = held.zext(bits);
    m.assert(clock, "held_is_what_is_between", held.eq(depth).mux(head.eq(tail), held.eq(between)));
    m.assert(clock, "all_are_in_memory_or_offered", watched.held.eq(held + offered.zext(bits)));

    // The watched item is offered, or so many places behind the head.
    let place = watched.ahead - offered.zext(bits);
    let in_memory = watched.inside & !(offered & watched.ahead.eq(0));
    let address = advance_index(head, place.low(index_bits), last);
    m.assert(clock, "watched_item_is_in_its_place", in_memory.implies(items.lookup(address).eq(watched.value)));
    m.assert(clock, "watched_item_is_held", in_memory.implies(place.lt(held)));
    m.assert(clock, "watched_item_is_offered", (watched.inside & !in_memory).implies(item.eq(watched.value)));
}
