//! # Handshake
//!
//! Brings the items of a stream into another clock domain, one at a time.
//!
//! ## Symbol
//! ```text
//!           +-- handshake --+
//!     in ->-| from       to |->- out   (streams of any payload)
//!           +---------------+
//! ```
//! ## Theory of operation
//! 1. An item goes into `item` and turns the level of `sent`, which crosses through a synchroniser.
//! 2. Where the level has turned on the other side and `out` is free, the item is copied into the register of `out`, and the level crosses back.
//! 3. Until it is back, `item` stands still and nothing is taken.
//!
//! ## Timing
//! An item is offered `stages + 1` edges of `to` after it was taken, or one later; the next one is taken a round trip after it. No combinational path
//! from any input to any output.
//!
//! ## Limits
//! One item in a round trip: see [`AsyncFifo`](crate::cdc::AsyncFifo) for more.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use super::round_trip::{RoundTrip, ONLY_CHECKED};
use super::scoreboard::Scoreboard;
use crate::{Payload, Traffic};
use rtl_hdl::{lit, when, Block, Module};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What it carries.
    pub payload: Payload,
    /// Registers of a synchroniser, at least two.
    pub stages: u32,
}

impl Block for Handshake {
    fn name(&self) -> String {
        format!("handshake_{}_{}", self.payload.name(), self.stages)
    }

    fn description(&self) -> String {
        "Brings the items of a stream into another clock domain, one at a time.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let from = m.named_clock("from_clock", Some("from_reset"));
        let input = self.payload.stream_in(m, "in");
        let to = m.named_clock("to_clock", Some("to_reset"));
        let output = self.payload.stream_out_wires(m, "out");

        // 2. State
        let item = m.reg_without_reset("item", from, self.payload.width());
        let sent = m.reg("sent", from, false);
        let seen = m.reg("seen", to, false);
        let offered = m.reg("offered", to, false);
        let copy = m.reg_without_reset("copy", to, self.payload.width());

        // 3. Conditions
        let arrived = m.synchronize("arrived", to, sent, self.stages, Some(false));
        let returned = m.synchronize("returned", from, seen, self.stages, Some(false));
        let idle = m.wire("idle", sent.eq(returned.value()));
        when(idle, || input.take());
        let taken = m.wire("taken", input.taken());
        let item_there =
            m.held_across("item_there", to, item, "it stands still from the turn of `sent` until that has come back");
        let copies = m.wire("copies", arrived.value().ne(seen) & !offered);

        // 4. Next state
        when(taken, || {
            item.set(input.payload());
            sent.set(!sent);
        });
        when(copies, || {
            copy.set(item_there);
            seen.set(arrived.value());
            offered.set(true);
        });
        when(offered & output.ready, || offered.set(false));

        // 5. Outputs
        output.valid.set(offered);
        output.payload.set(copy);

        // 6. Properties
        RoundTrip { sent, arrived: &arrived, seen, returned: &returned }.has_one_turn(m, from);
        let pop = offered & output.ready;
        let traffic = Traffic { push: taken, pushed: input.payload(), pop, popped: copy };
        let board = Scoreboard::new(m, [from, to], 2, traffic);
        let on_the_way = m.held_across("sent_there", to, sent, ONLY_CHECKED) ^ seen;
        m.assert(to, "all_are_accounted_for", board.inside.eq(on_the_way.zext(2) + offered.zext(2)));
        m.assert(to, "copy_is_the_oldest", offered.implies(copy.eq(board.expected(lit(0u8, 1)))));
        m.assert(to, "item_is_behind_the_copy", on_the_way.implies(item_there.eq(board.expected(offered))));
    }
}
