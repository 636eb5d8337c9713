//! What a crossing with a stream on each side must do, as ghost state: what goes in is written into a memory that only assertions read, and what
//! comes out is compared with it.

use super::round_trip::ONLY_CHECKED;
use crate::Traffic;
use rtl_hdl::{address_width, lit, when, zero, Clock, MemoryHandle, MemoryStyle, Module, Signal};

/// What is inside of a crossing, seen in the second clock.
pub(super) struct Scoreboard {
    memory: MemoryHandle,
    out_count: Signal,
    /// How many items are inside.
    pub inside: Signal,
}

impl Scoreboard {
    /// Asserts that items come out once, unchanged and in their order, and that no more than `capacity` are inside. Items go in in the first clock,
    /// and come out in the second.
    pub fn new(m: &Module, [from, to]: [Clock; 2], capacity: u32, traffic: Traffic) -> Scoreboard {
        let Traffic { push, pushed, pop, popped } = traffic;
        // One bit more than an address tells a full memory from an empty one.
        let slots = capacity.next_power_of_two().max(2);
        let bits = address_width(slots) + 1;
        let memory = m.memory("expected", pushed.width(), slots, MemoryStyle::Distributed).crosses_clocks(ONLY_CHECKED);
        let in_count = m.reg("in_count", from, zero(bits));
        let out_count = m.reg("out_count", to, zero(bits));
        let in_count_there = m.held_across("in_count_there", to, in_count, ONLY_CHECKED);
        let out_count_there = m.held_across("out_count_there", from, out_count, ONLY_CHECKED);
        let inside = m.wire("items_inside", in_count_there - out_count);

        when(push, || in_count.set(in_count + 1));
        when(pop, || out_count.set(out_count + 1));
        memory.write(from, push, in_count.low(bits - 1), pushed);

        let board = Scoreboard { memory, out_count, inside };
        m.assert(from, "never_overflows", push.implies((in_count - out_count_there).lt(capacity)));
        m.assert(to, "never_underflows", pop.implies(inside.ne(0)));
        m.assert(to, "in_order", pop.implies(popped.eq(board.expected(lit(0u8, 1)))));
        m.cover(to, "comes_out", pop);
        board
    }

    /// The item that comes out after `ahead` others.
    pub fn expected(&self, ahead: Signal) -> Signal {
        let bits = self.memory.address_width();
        self.memory.lookup(self.out_count.low(bits) + ahead.low(bits.min(ahead.width())).zext(bits))
    }
}
