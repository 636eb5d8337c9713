//! # Stream arbiter
//!
//! Merges streams into one, fairly, and whole bursts if asked.
//!
//! ## Symbol
//! ```text
//!             +- stream_arbiter -+
//!     in_0 ->-|                  |
//!     in_1 ->-|                  |->- out   (streams of one payload)
//!      ... ->-|                  |
//!             +------------------+
//! ```
//! ## Theory of operation
//! 1. `turn` names the only input that is listened to, one-hot.
//! 2. The turn moves when an item was taken, or when there is none. With [`Lock::UntilLast`] it stays from the first item of a burst to the
//!    one whose field `last` is set.
//! 3. It moves to the next other input that offers an item (round robin); if none does, it stays. An offered item stays offered, so the
//!    input that gets the turn has an item in the next clock.
//!
//! ## Timing
//! One item per clock, also across a change of turns. An item is offered one clock after it was taken; an item that comes while another
//! idle input has the turn waits one clock more. No combinational path from any input to any output.
//!
//! ## Limits
//! A burst that never ends keeps the turn.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::{first_one, one_hot_select, round_robin, Payload, Traffic, Watched};
use rtl_hdl::{cat, when, zero, Block, Constant, Module, Signal};

#[cfg(test)]
pub(crate) mod bench;

/// How long an input keeps its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// For one item.
    Item,
    /// Until an item whose field `last` is set. Items of plain bits have it in their highest bit.
    UntilLast,
}

/// See the [page](self) of this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamArbiter {
    /// How many streams come in.
    pub inputs: u32,
    /// What they carry.
    pub payload: Payload,
    /// How long an input keeps its turn.
    pub lock: Lock,
}

impl StreamArbiter {
    /// The bit of an item that ends a burst.
    fn last_bit(&self) -> u32 {
        let (low, width) = self.payload.field("last").unwrap_or((0, self.payload.width()));
        low + width - 1
    }
}

impl Block for StreamArbiter {
    fn name(&self) -> String {
        let lock = match self.lock {
            Lock::Item => "",
            Lock::UntilLast => "_until_last",
        };
        format!("stream_arbiter_{}_{}{lock}", self.payload.name(), self.inputs)
    }

    fn description(&self) -> String {
        format!("Merges {} streams, fairly.", self.inputs)
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let inputs: Vec<_> = (0..self.inputs).map(|i| self.payload.stream_in(m, &format!("in_{i}"))).collect();
        let output = self.payload.stream_out(m, "out");

        // 2. State
        let first = Constant::new(1, self.inputs).unwrap_or_else(|| zero(1));
        let turn = m.reg("turn", clock, first);

        // 3. Conditions
        for (i, input) in inputs.iter().enumerate() {
            when(turn.bit(i as u32) & output.can_take(), || input.take());
        }
        let mut valid: Vec<Signal> = inputs.iter().map(|input| input.valid()).collect();
        let items: Vec<Signal> = inputs.iter().map(|input| input.payload()).collect();
        valid.reverse();
        let valid = m.wire("valid", cat(&valid));
        let offered = m.wire("offered", (valid & turn).any());
        let item = m.wire("item", one_hot_select(turn, &items));
        let taken = m.wire("taken", offered & output.can_take());
        let (movable, in_burst) = match self.lock {
            Lock::Item => (!offered | taken, None),
            Lock::UntilLast => {
                let in_burst = m.reg("in_burst", clock, false);
                let last = m.wire("last", item.bit(self.last_bit()));
                when(taken, || in_burst.set(!last));
                (offered.mux(taken & last, !in_burst), Some(in_burst))
            }
        };
        let others = m.wire("others", valid & !turn);

        // 4. Next state
        when(movable & others.any(), || turn.set(round_robin(others, turn)));
        when(taken, || output.offer(item));

        // 5. Outputs: the streams' own.

        // 6. Properties
        m.assert(clock, "one_has_the_turn", turn.any() & first_one(turn).eq(turn));
        let popped = output.contents().held;
        let traffic = Traffic { push: taken, pushed: item, pop: output.taken(), popped };
        Watched::new(m, clock, "watched", 2, traffic).is_in_stream(m, clock, "out", output.contents());
        if let Some(in_burst) = in_burst {
            let burst_turn = m.reg_without_reset("burst_turn", clock, self.inputs);
            when(taken, || burst_turn.set(turn));
            m.assert(clock, "bursts_are_whole", in_burst.implies(turn.eq(burst_turn)));
        }
    }
}
