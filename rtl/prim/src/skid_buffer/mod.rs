//! # Skid buffer
//!
//! Cuts every path of a stream with registers and keeps its full rate.
//!
//! ## Symbol
//! ```text
//!           +- skid_buffer -+
//!     in ->-|               |->- out   (streams of any payload)
//!           +---------------+
//! ```
//! ## Theory of operation
//! The output stream holds two items. A new one is accepted while the second place is free; when the output stalls, the item that is
//! already on its way goes there.
//!
//! ## Timing
//! One item per clock; an item is offered one clock after it was taken. No combinational path from any input to any output.
//!
//! ## Limits
//! Every block's output streams have this buffer already: it is for long ways between blocks.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::{Payload, Traffic, Watched};
use rtl_hdl::{when, Block, Module};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkidBuffer {
    /// What it carries.
    pub payload: Payload,
}

impl Block for SkidBuffer {
    fn name(&self) -> String {
        format!("skid_buffer_{}", self.payload.name())
    }

    fn description(&self) -> String {
        "Cuts every path of a stream with registers and keeps its full rate.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let input = self.payload.stream_in(m, "in");
        let output = self.payload.stream_out(m, "out");

        // 2. State, 3. Conditions: those of the output stream.

        // 4. Next state
        when(output.can_take(), || {
            input.take();
            when(input.valid(), || output.offer(input.payload()));
        });

        // 5. Outputs: the streams' own.

        // 6. Properties
        let popped = output.contents().held;
        let traffic = Traffic { push: input.taken(), pushed: input.payload(), pop: output.taken(), popped };
        Watched::new(m, clock, "watched", 2, traffic).is_in_stream(m, clock, "out", output.contents());
    }
}
