//! # Synchroniser
//!
//! Brings a level of one bit into another clock domain.
//!
//! ## Symbol
//! ```text
//!           +- synchronizer -+
//!     in -->| from       to  |--> out
//!           +----------------+
//! ```
//! ## Theory of operation
//! A chain of `stages` registers of the clock `to`. The first one may catch the level while it changes and take a while to decide; the others give
//! it that time. A level that comes from a clock is put into a register of it first, so that what crosses does not glitch.
//!
//! ## Timing
//! `out` follows `in` after `stages` edges of `to`, or one more, and one edge of `from` before, if it has one.
//!
//! ## Limits
//! One bit. A level that lasts less than one clock of `to` may be missed: see [`Pulse`](crate::cdc::Pulse).
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use rtl_hdl::{Block, Module};

#[cfg(test)]
pub(crate) mod bench;

/// Where the level comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Another clock, which is the first one of the block.
    Clock,
    /// Anywhere: a pin, another chip.
    Anywhere,
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synchronizer {
    /// Where the level comes from.
    pub from: From,
    /// Registers in the chain, at least two.
    pub stages: u32,
}

impl Block for Synchronizer {
    fn name(&self) -> String {
        let from = match self.from {
            From::Clock => "",
            From::Anywhere => "_async",
        };
        format!("synchronizer{from}_{}", self.stages)
    }

    fn description(&self) -> String {
        "Brings a level of one bit into another clock domain.".into()
    }

    fn build(&self, m: &Module) {
        let level = match self.from {
            From::Clock => {
                let from = m.named_clock("from_clock", None);
                let level = m.reg_without_reset("level", from, 1);
                level.set(m.input_of("in", 1, from));
                level
            }
            From::Anywhere => m.input_async("in", 1),
        };
        let to = m.named_clock("to_clock", None);
        m.output("out", m.synchronize("arrived", to, level, self.stages, None).value());
    }
}
