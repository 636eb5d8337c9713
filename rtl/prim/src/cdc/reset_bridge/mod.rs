//! # Reset bridge
//!
//! Makes a synchronous reset of a clock out of a reset that may come and go at any time.
//!
//! ## Symbol
//! ```text
//!             +- reset_bridge -+
//!     in   -->|                |--> out   (a reset of the clock)
//!             +----------------+
//! ```
//! ## Theory of operation
//! 1. `in` sets a chain of `stages + 1` registers at once, whatever the clock does, so that a short pulse is not missed, nor one while the clock stands still.
//! 2. When `in` is over, zeros move through the chain. So it ends at an edge.
//! 3. A synchroniser follows, because the beginning of `in` meets the clock anywhere.
//!
//! ## Timing
//! `out` is set within `stages + 1` edges of the beginning of `in`, and falls `2 * stages + 1` edges after its end, or one later. A pulse of any
//! length gives at least `stages` clocks of reset.
//!
//! ## Limits
//! A pulse is long enough for the set input of a flip-flop.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use rtl_hdl::{lit, Block, Constant, Module};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetBridge {
    /// Registers of the synchroniser, at least two; the chain has one more.
    pub stages: u32,
}

impl Block for ResetBridge {
    fn name(&self) -> String {
        format!("reset_bridge_{}", self.stages)
    }

    fn description(&self) -> String {
        "Makes a synchronous reset out of one that may come and go at any time.".into()
    }

    fn build(&self, m: &Module) {
        let clock = m.named_clock("clock", None);
        let at_once = clock.with_async_reset(m.input_async("in", 1));
        let mut chain = lit(0u8, 1);
        for stage in 0..=self.stages {
            let register = m.reg(&format!("chain_{stage}"), at_once, Constant::ones(1));
            register.set(chain);
            chain = register;
        }
        m.output("out", m.synchronize("ends", clock, chain, self.stages, None).value());
    }
}
