//! # Round robin
//!
//! Says whose turn it is, so that nobody waits for more than one turn of each other.
//!
//! ## Symbol
//! ```text
//!             +-- round_robin --+                    +- round_robin_registered -+
//!  request -->|                 |--> grant_comb      |                          |--> grant
//!   accept -->|                 |         request -->|                          |
//!             +-----------------+          accept -->|                          |
//!                                                    +--------------------------+
//! ```
//! ## Theory of operation
//! 1. Requesters have a bit each. `last` is the one whose grant was accepted last, one-hot.
//! 2. The grant goes to the first request above `last`; if there is none, to the first of all.
//! 3. `accept` says that the grant was used: the turn moves on.
//!
//! In the registered variant a grant stands, whatever the requests do, until it is accepted. The request of the requester that is accepted
//! is not looked at in that clock, because it may not have fallen yet.
//!
//! ## Timing
//! [`RoundRobin`]: `grant_comb` follows `request` within the clock; that is what it is for, and why its name says so. Use it inside of a
//! block whose requests are registers. [`RoundRobinRegistered`]: `grant` is a register, one clock later; the same requester is granted at
//! most every second clock, different ones in every clock.
//!
//! ## Limits
//! `accept` without a grant has no effect.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use self::props::Turns;
use crate::first_one;
use rtl_hdl::{when, zero, Block, Module, Signal};

#[cfg(test)]
pub(crate) mod bench;
mod props;

/// The grant, one-hot, for `request` when `last` (one-hot, or zero at first) was served last; zero without a request.
#[track_caller]
pub fn round_robin(request: Signal, last: Signal) -> Signal {
    // Without a last one, `last - 1` is all ones: nothing is above, and the search begins at the first request.
    let above = request & !(last | (last - 1));
    above.any().mux(first_one(above), first_one(request))
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundRobin {
    /// How many requesters.
    pub requests: u32,
}

impl Block for RoundRobin {
    fn name(&self) -> String {
        format!("round_robin_{}", self.requests)
    }

    fn description(&self) -> String {
        "Grants one request per clock, fairly; the grant follows the requests within the clock.".into()
    }

    fn build(&self, m: &Module) {
        m.allow_combinational("an arbiter for the inside of a block: its grant is used in the clock of the request");

        // 1. Ports
        let clock = m.clock();
        let request = m.input("request", self.requests);
        let accept = m.input("accept", 1);

        // 2. State
        let last = m.reg("last", clock, zero(self.requests));

        // 3. Conditions
        let grant = m.wire("grant", round_robin(request, last));

        // 4. Next state
        when(accept & grant.any(), || last.set(grant));

        // 5. Outputs
        m.output("grant_comb", grant);

        // 6. Properties
        m.assert(clock, "grants_one", first_one(grant).eq(grant));
        m.assert(clock, "grants_a_request", (grant & !request).eq(0) & request.any().eq(grant.any()));
        props::is_fair(m, clock, Turns { request, chosen: grant & accept.repeat(self.requests), last });
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundRobinRegistered {
    /// How many requesters.
    pub requests: u32,
}

impl Block for RoundRobinRegistered {
    fn name(&self) -> String {
        format!("round_robin_registered_{}", self.requests)
    }

    fn description(&self) -> String {
        "Grants one request at a time, fairly, from a register; a grant stands until it is accepted.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let request = m.input("request", self.requests);
        let accept = m.input("accept", 1);

        // 2. State
        let grant = m.reg("grant_held", clock, zero(self.requests));
        let last = m.reg("last", clock, zero(self.requests));

        // 3. Conditions
        let granted = m.wire("granted", grant.any());
        let free = m.wire("free", !granted | accept);
        let turn = m.wire("turn", granted.mux(grant, last));

        // 4. Next state
        when(free, || {
            grant.set(round_robin(request & !grant, turn));
            last.set(turn);
        });

        // 5. Outputs
        m.output("grant", grant);

        // 6. Properties
        m.assert(clock, "grants_one", first_one(grant).eq(grant));
        let chosen = round_robin(request & !grant, turn) & free.repeat(self.requests);
        props::is_fair(m, clock, Turns { request: request & !grant, chosen, last: turn });
    }
}
