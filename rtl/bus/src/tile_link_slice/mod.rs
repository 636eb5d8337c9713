//! # TileLink slice
//!
//! Cuts every path of a TileLink with caches with registers and keeps its full rate.
//!
//! ## Symbol
//! ```text
//!            +- tile_link_slice -+
//!    from ==>|                   |==> to   (TL-C)
//!            +-------------------+
//! ```
//! ## Theory of operation
//! The output stream of each channel holds two items. A new one is accepted while the second place is free. No channel waits for another, so
//! that the priorities of TileLink, "Deadlock Freedom", pass through as they are.
//!
//! ## Timing
//! One item per clock on each channel; an item is offered one clock after it was taken. No combinational path from any input to any output.
//!
//! ## Limits
//! Every block's output streams have these registers already: it is for long ways between blocks, and for clients that take an offer back, which
//! TileLink, "Flow Control Rules", lets them do and a stream here does not: what is not taken leaves no trace in it.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::{TileLinkCached, TileLinkConfig};
use rtl_hdl::{when, Block, Clock, Module, StreamIn, StreamOut, Value};
use rtl_prim::{Traffic, Watched};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileLinkSlice {
    /// The widths of both buses.
    pub config: TileLinkConfig,
}

impl Block for TileLinkSlice {
    fn name(&self) -> String {
        let TileLinkConfig { address_bits, data_bits, size_bits, source_bits, sink_bits } = self.config;
        format!("tile_link_slice_a{address_bits}_d{data_bits}_z{size_bits}_o{source_bits}_i{sink_bits}")
    }

    fn description(&self) -> String {
        "Cuts every path of a TileLink with caches with registers and keeps its full rate.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let from = TileLinkCached::manager(m, "from", self.config);
        let to = TileLinkCached::client(m, "to", self.config);

        // 2. State, 3. Conditions: those of the output streams.

        // 4. Next state, 5. Outputs, 6. Properties
        pass(m, clock, "to_a", from.a, to.a);
        pass(m, clock, "from_b", to.b, from.b);
        pass(m, clock, "to_c", from.c, to.c);
        pass(m, clock, "from_d", to.d, from.d);
        pass(m, clock, "to_e", from.e, to.e);
    }
}

/// Passes items on while the output, which has this name, has room.
pub(crate) fn pass<V: Value>(m: &Module, clock: Clock, name: &str, from: StreamIn<V>, to: StreamOut<V>) {
    when(to.can_take(), || {
        from.take();
        when(from.valid(), || to.offer(from.payload()));
    });
    let (pushed, popped) = (from.payload().pack(), to.contents().held.pack());
    let traffic = Traffic { push: from.taken(), pushed, pop: to.taken(), popped };
    Watched::new(m, clock, &format!("{name}_watched"), 2, traffic).is_in_stream(m, clock, name, to.contents());
}
