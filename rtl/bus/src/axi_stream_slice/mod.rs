//! # AXI4-Stream slice
//!
//! Cuts every path of an AXI4-Stream with registers and keeps its full rate.
//!
//! ## Symbol
//! ```text
//!            +- axi_stream_slice -+
//!    from ==>|                    |==> to   (AXI4-Stream)
//!            +--------------------+
//! ```
//! ## Theory of operation
//! The output stream holds two transfers. A new one is accepted while the second place is free.
//!
//! ## Timing
//! One transfer per clock; it is offered one clock after it was taken. No combinational path from any input to any output.
//!
//! ## Limits
//! Every block's output streams have these registers already: it is for long ways between blocks.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::{AxiStream, AxiStreamConfig};
use rtl_hdl::{when, Block, Module, Value};
use rtl_prim::{Traffic, Watched};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxiStreamSlice {
    /// The widths of both streams.
    pub config: AxiStreamConfig,
}

impl Block for AxiStreamSlice {
    fn name(&self) -> String {
        let AxiStreamConfig { data_bits, keep, last, id_bits, dest_bits, user_bits } = self.config;
        let (keep, last) = (u32::from(keep), u32::from(last));
        format!("axi_stream_slice_d{data_bits}_k{keep}_l{last}_i{id_bits}_t{dest_bits}_u{user_bits}")
    }

    fn description(&self) -> String {
        "Cuts every path of an AXI4-Stream with registers and keeps its full rate.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let from = AxiStream::receiver(m, "from", self.config).t;
        let to = AxiStream::transmitter(m, "to", self.config).t;

        // 2. State, 3. Conditions: those of the output stream.

        // 4. Next state
        when(to.can_take(), || {
            from.take();
            when(from.valid(), || to.offer(from.payload()));
        });

        // 5. Outputs: the stream's own.

        // 6. Properties
        let (pushed, popped) = (from.payload().pack(), to.contents().held.pack());
        let traffic = Traffic { push: from.taken(), pushed, pop: to.taken(), popped };
        Watched::new(m, clock, "watched", 2, traffic).is_in_stream(m, clock, "to", to.contents());
    }
}
