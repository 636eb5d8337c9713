//! What a block that keeps order must do, as ghost state: one item in several is watched from its way in to its way out. It is for what is
//! asserted, and costs nothing in hardware.

use rtl_hdl::{address_width, when, zero, Clock, Module, Signal, StreamContents, Value};

/// One push in `2^COUNT_BITS` is watched. Which one is arbitrary, so the formal tools watch every one.
const COUNT_BITS: u32 = 3;

/// A watched item. Asserts by itself that nothing comes out of an empty block, that no more goes in than fits, and that the watched item
/// comes out in its turn and unchanged; a proof by induction needs to be told where inside the block it is.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// How many items are inside.
    pub held: Signal,
    /// The watched item is inside.
    pub inside: Signal,
    /// How many items come out before it.
    pub ahead: Signal,
    /// The item.
    pub value: Signal,
}

/// What goes in and comes out in a clock.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// An item goes in.
    pub push: Signal,
    /// The item.
    pub pushed: Signal,
    /// An item comes out.
    pub pop: Signal,
    /// The item.
    pub popped: Signal,
}

impl Watched {
    /// Watches items through a block that holds at most `capacity`; the ghost registers and assertions are called `<name>_...`.
    #[track_caller]
    pub fn new(m: &Module, clock: Clock, name: &str, capacity: u32, traffic: Traffic) -> Watched {
        let Traffic { push, pushed, pop, popped } = traffic;
        let named = |part: &str| format!("{name}_{part}");
        let bits = address_width(capacity + 1);
        let held = m.reg(&named("held"), clock, zero(bits));
        let inside = m.reg(&named("inside"), clock, false);
        let ahead = m.reg_without_reset(&named("ahead"), clock, bits);
        let value = m.reg_without_reset(&named("value"), clock, pushed.width());
        // What these two start with is arbitrary.
        let count = m.reg_without_reset(&named("count"), clock, COUNT_BITS);
        let chosen = m.reg_without_reset(&named("chosen"), clock, COUNT_BITS);
        let begins = m.wire(&named("begins"), push & !inside & count.eq(chosen));
        let ends = m.wire(&named("ends"), inside & pop & ahead.eq(0));

        chosen.set(chosen);
        when(push, || count.set(count + 1));
        held.set(held + push.zext(bits) - pop.zext(bits));
        when(begins, || {
            inside.set(true);
            ahead.set(held - pop.zext(bits));
            value.set(pushed);
        })
        .else_when(inside & pop, || ahead.set(ahead - 1));
        when(ends, || inside.set(false));

        m.assert(clock, &named("never_overflows"), push.implies(held.ne(capacity) | pop));
        m.assert(clock, &named("never_underflows"), pop.implies(held.ne(0)));
        m.assert(clock, &named("in_order"), ends.implies(popped.eq(value)));
        m.cover(clock, &named("comes_out"), ends);
        Watched { held, inside, ahead, value }
    }

    /// Asserts that what is inside is inside of the registers of an output stream, the watched item in its place.
    #[track_caller]
    pub fn is_in_stream<V: Value>(&self, m: &Module, clock: Clock, name: &str, contents: StreamContents<V>) {
        let second = contents.spare.map(|(full, item)| (full, item.pack()));
        self.is_in_two_places(m, clock, name, (contents.full, contents.held.pack()), second);
    }

    /// Asserts that what is inside is in the first place or, behind it, in the second: whether each is full, and its item.
    #[track_caller]
    pub fn is_in_two_places(
        &self,
        m: &Module,
        clock: Clock,
        name: &str,
        first: (Signal, Signal),
        second: Option<(Signal, Signal)>,
    ) {
        let named = |part: &str| format!("{name}_{part}");
        let bits = self.held.width();
        let is_next = self.inside & self.ahead.eq(0);
        m.assert(clock, &named("first_holds_it"), is_next.implies(first.0 & first.1.eq(self.value)));
        let Some(second) = second else {
            m.assert(clock, &named("holds_what_is_inside"), self.held.eq(first.0.zext(bits)));
            m.assert(clock, &named("nothing_is_ahead"), self.inside.implies(is_next));
            return;
        };
        m.assert(clock, &named("second_is_behind_the_first"), second.0.implies(first.0));
        m.assert(clock, &named("holds_what_is_inside"), self.held.eq(first.0.zext(bits) + second.0.zext(bits)));
        let is_second = self.inside & !is_next;
        m.assert(
            clock,
            &named("second_holds_it"),
            is_second.implies(second.0 & self.ahead.eq(1) & second.1.eq(self.value)),
        );
    }
}
