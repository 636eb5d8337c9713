//! # AXI4 slice
//!
//! Cuts every path of an AXI4 bus with registers and keeps its full rate.
//!
//! ## Symbol
//! ```text
//!            +- axi4_slice -+
//!    from ==>|              |==> to   (AXI4)
//!            +--------------+
//! ```
//! ## Theory of operation
//! The output stream of each channel holds two items. A new one is accepted while the second place is free.
//!
//! ## Timing
//! One item per clock on each channel; an item is offered one clock after it was taken. No combinational path from any input to any output.
//!
//! ## Limits
//! Every block's output streams have these registers already: it is for long ways between blocks.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::{Axi4, Axi4Config};
use rtl_hdl::{when, Block, Module, StreamIn, StreamOut, Value};

#[cfg(test)]
pub(crate) mod bench;
mod props;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axi4Slice {
    /// The widths of both buses.
    pub config: Axi4Config,
}

impl Block for Axi4Slice {
    fn name(&self) -> String {
        let Axi4Config { address_bits, data_bits, id_bits, user_bits } = self.config;
        format!("axi4_slice_a{address_bits}_d{data_bits}_i{id_bits}_u{user_bits}")
    }

    fn description(&self) -> String {
        "Cuts every path of an AXI4 bus with registers and keeps its full rate.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let from = Axi4::subordinate(m, "from", self.config);
        let to = Axi4::manager(m, "to", self.config);

        // 2. State, 3. Conditions: those of the output streams.

        // 4. Next state
        pass(from.aw, to.aw);
        pass(from.w, to.w);
        pass(to.b, from.b);
        pass(from.ar, to.ar);
        pass(to.r, from.r);

        // 5. Outputs: the streams' own.

        // 6. Properties
        props::keeps_the_rules(m, clock, self.config, &from, &to);
    }
}

/// Passes items on while the output has room.
fn pass<V: Value>(from: StreamIn<V>, to: StreamOut<V>) {
    when(to.can_take(), || {
        from.take();
        when(from.valid(), || to.offer(from.payload()));
    });
}
