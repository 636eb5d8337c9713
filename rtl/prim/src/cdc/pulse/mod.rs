//! # Pulse
//!
//! Brings events of one clock into another clock domain, each once.
//!
//! ## Symbol
//! ```text
//!                 +--- pulse ---+
//!     pulse_in -->| from     to |--> pulse_out
//!         busy <--|             |
//!                 +-------------+
//! ```
//! ## Theory of operation
//! 1. A pulse turns the level of `sent`, which crosses through a synchroniser.
//! 2. Where the level has turned on the other side, `pulse_out` is 1 for one clock, and the level crosses back.
//! 3. Until it is back, `busy` is 1.
//!
//! ## Timing
//! `pulse_out` comes `stages + 1` edges of `to` after the pulse, or one later. `busy` lasts for a round trip. No combinational path from any input to
//! any output.
//!
//! ## Limits
//! A pulse while `busy` is lost.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use super::round_trip::{RoundTrip, ONLY_CHECKED};
use rtl_hdl::{cat, when, zero, Block, Module};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Registers of a synchroniser, at least two.
    pub stages: u32,
}

impl Block for Pulse {
    fn name(&self) -> String {
        format!("pulse_{}", self.stages)
    }

    fn description(&self) -> String {
        "Brings events of one clock into another clock domain, each once.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let from = m.named_clock("from_clock", Some("from_reset"));
        let to = m.named_clock("to_clock", Some("to_reset"));
        let pulse = m.input_of("pulse_in", 1, from);

        // 2. State
        let sent = m.reg("sent", from, false);
        let seen = m.reg("seen", to, false);
        let event = m.reg("turned", to, false);

        // 3. Conditions
        let arrived = m.synchronize("arrived", to, sent, self.stages, Some(false));
        let returned = m.synchronize("returned", from, seen, self.stages, Some(false));
        let busy = m.wire("is_busy", sent ^ returned.value());

        // 4. Next state
        when(pulse & !busy, || sent.set(!sent));
        seen.set(arrived.value());
        event.set(arrived.value() ^ seen);

        // 5. Outputs
        m.output("pulse_out", event);
        m.output("busy", busy);

        // 6. Properties
        RoundTrip { sent, arrived: &arrived, seen, returned: &returned }.has_one_turn(m, from);
        let (pulses, events) = (m.reg("pulses", from, zero(2)), m.reg("events", to, zero(2)));
        when(pulse & !busy, || pulses.set(pulses + 1));
        when(event, || events.set(events + 1));
        let sent_there = m.held_across("sent_there", to, cat(&[sent, pulses]), ONLY_CHECKED);
        let on_the_way = sent_there.bit(2) ^ seen;
        let accounted = events + event.zext(2) + on_the_way.zext(2);
        m.assert(to, "every_pulse_becomes_one_event", accounted.eq(sent_there.low(2)));
        m.cover(to, "comes_out", event);
    }
}
