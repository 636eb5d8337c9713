//! # TileLink at half the rate
//!
//! Joins a client whose clock has half the frequency of this one, and no edge that this one has not.
//!
//! ## Symbol
//! ```text
//!                 +- tile_link_half_rate -+
//!         from ==>|                       |==> to
//!  client_edge -->|                       |
//!                 +-----------------------+
//!  (from, at the edges of the client, and to: TL-C)
//! ```
//! ## Theory of operation
//! ```text
//!    clock         _/1\_/2\_/3\_/4\_/5\_
//!    client        _/1---\___/2---\___/3
//!    client_edge       ____----____----
//! ```
//! 1. `client_edge` is 1 in each clock that ends together with one of the client. What the client sees at its edge is what is driven in that clock, and what it
//!    offers stands for two clocks.
//! 2. From the client an item is taken in clocks with `client_edge` alone, else it would be taken twice. The client sees `ready` at its edge as it is taken.
//! 3. To the client an item stands in a register until it is taken in a clock with `client_edge`. The register is free again in time for the next edge.
//!
//! ## Timing
//! A beat per clock of the client on each channel, offered one clock after it was taken. The client sees only registers, and only registers see the
//! client: paths from it have two clocks.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! `client_edge` is a register, 1 in every second clock. Reset both sides together.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::channel::Payload;
use crate::{ChannelB, ChannelD, TileLinkCached, TileLinkConfig};
use rtl_hdl::{when, Block, Clock, Module, Naming, Signal, StreamIn, StreamOut, Value};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileLinkHalfRate {
    /// The widths of both buses.
    pub config: TileLinkConfig,
}

impl Block for TileLinkHalfRate {
    fn name(&self) -> String {
        let TileLinkConfig { address_bits, data_bits, size_bits, source_bits, sink_bits } = self.config;
        format!("tile_link_half_rate_a{address_bits}_d{data_bits}_z{size_bits}_o{source_bits}_i{sink_bits}")
    }

    fn description(&self) -> String {
        "Joins a TileLink client at half the clock.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let edge = m.input("client_edge", 1);
        let to = TileLinkCached::client(m, "to", self.config);

        // 2. State, 3. Conditions, 4. Next state, 5. Outputs
        rise(edge, self.from(m, "from_a"), to.a);
        fall::<ChannelB>(m, clock, edge, "from_b", &self.config, to.b);
        rise(edge, self.from(m, "from_c"), to.c);
        fall::<ChannelD>(m, clock, edge, "from_d", &self.config, to.d);
        rise(edge, self.from(m, "from_e"), to.e);
    }
}

impl TileLinkHalfRate {
    /// A channel from the client.
    fn from<V: Payload<TileLinkConfig>>(&self, m: &Module, name: &str) -> StreamIn<V> {
        m.stream_in_with(name, Naming::Underscore, |make| V::declare(&self.config, make))
    }
}

/// Takes what the client offers, at its edges.
fn rise<V: Value>(edge: Signal, from: StreamIn<V>, to: StreamOut<V>) {
    when(to.can_take(), || {
        from.take();
        when(from.valid() & edge, || to.offer(from.payload()));
    });
}

/// Holds what the client is offered, over an edge on which it takes it.
fn fall<V: Payload<TileLinkConfig>>(
    m: &Module,
    clock: Clock,
    edge: Signal,
    name: &str,
    config: &TileLinkConfig,
    to: StreamIn<V>,
) {
    let ports = m.stream_out_wires::<V>(name, Naming::Underscore, |make| V::declare(config, make));
    let full = m.reg(&format!("{name}_full"), clock, false);
    let held =
        V::declare(config, &mut |field, width| m.reg_without_reset(&format!("{name}_held_{field}"), clock, width));
    when(edge & ports.ready, || full.set(false));
    when(!full, || {
        to.take();
        full.set(to.valid());
        held.set(to.payload());
    });
    ports.valid.set(full);
    ports.payload.set(held);
}
