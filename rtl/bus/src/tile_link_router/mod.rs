//! # TileLink router
//!
//! Parts the requests of a client by address: to what keeps caches coherent, and to what is never cached.
//!
//! ## Symbol
//! ```text
//!            +- tile_link_router -+
//!    from ==>|                    |==> cached     (TL-C)
//!            |                    |==> uncached   (TL-UH)
//!            +--------------------+
//!  (from: TL-C)
//! ```
//! ## Theory of operation
//! ```text
//!   A -----> by address -----> cached, uncached
//!   D <----- a message at a time, in turn ----- cached, uncached
//!   B, C, E <-----> cached
//! ```
//! 1. A request goes to `cached` if it lies there, else to `uncached`, with all of its beats, because all have its address.
//! 2. Of channel D, `turn` names the side that is listened to. It moves to the other side when that offers an answer, and the message of this side is over
//!    or there is none: beats of two messages are never mixed. TileLink, "Flow Control Rules".
//! 3. The other channels are those of caches, which only `cached` has.
//!
//! ## Timing
//! A beat per clock on each channel, offered one clock after it was taken. An answer of the side that has not the turn waits a clock more.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! - A request that its side does not take holds up those to the other side: both sides have to answer without waiting for each other.
//! - Sources are one space: an answer finds back by its source, whichever side it comes from.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::tile_link::beats_behind;
use crate::tile_link_slice::pass;
use crate::{ChannelD, TileLink, TileLinkCached, TileLinkConfig};
use rtl_hdl::{lit, when, zero, Block, Module, Signal};
use std::ops::Range;

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileLinkRouter {
    /// The widths of the client's bus.
    pub config: TileLinkConfig,
    /// The addresses that go to `cached`; they may reach to the end of the address space.
    pub cached: Range<u64>,
}

impl TileLinkRouter {
    /// The widths of the bus `uncached`, on which nothing is granted.
    pub const fn uncached(&self) -> TileLinkConfig {
        TileLinkConfig { sink_bits: 1, ..self.config }
    }

    fn is_cached(&self, address: Signal) -> Signal {
        let Range { start, end } = self.cached;
        let from_start = if start == 0 { lit(1u8, 1) } else { address.ge(start) };
        match end.checked_shr(self.config.address_bits).unwrap_or(0) {
            0 => from_start & address.lt(end),
            _ => from_start,
        }
    }
}

impl Block for TileLinkRouter {
    fn name(&self) -> String {
        let TileLinkConfig { address_bits, data_bits, size_bits, source_bits, sink_bits } = self.config;
        let Range { start, end } = self.cached;
        format!(
            "tile_link_router_a{address_bits}_d{data_bits}_z{size_bits}_o{source_bits}_i{sink_bits}_{start:x}_{end:x}"
        )
    }

    fn description(&self) -> String {
        "Parts the requests of a TileLink client by address: cached, and not.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let from = TileLinkCached::manager(m, "from", self.config);
        let cached = TileLinkCached::client(m, "cached", self.config);
        let uncached = TileLink::client(m, "uncached", self.uncached());

        // 2. State
        let listens_uncached = m.reg("listens_uncached", clock, false);
        let beat_size = self.config.beat_size();
        let behind = |answer: &ChannelD| {
            let behind = beats_behind(answer.size, beat_size);
            let has_data = answer.opcode.signal().bit(0);
            behind & has_data.repeat(behind.width())
        };
        let answer = cached.d.payload();
        let other = uncached.d.payload();
        let other = ChannelD { sink: other.sink.zext(self.config.sink_bits), ..other };
        let chosen = rtl_prim::choose(listens_uncached, other, answer);
        let left = m.reg("left", clock, zero(behind(&chosen).width()));

        // 3. Conditions
        let request = from.a.payload();
        let is_cached = m.wire("is_cached", self.is_cached(request.address));
        when(from.d.can_take(), || {
            when(listens_uncached, || uncached.d.take()).otherwise(|| cached.d.take());
        });
        let taken = m.wire("answer_taken", cached.d.taken() | uncached.d.taken());
        let is_first = m.wire("is_first", left.eq(0));
        let left_now = m.wire("left_now", is_first.mux(behind(&chosen), left - 1));
        let offered = listens_uncached.mux(uncached.d.valid(), cached.d.valid());
        let other_offered = listens_uncached.mux(cached.d.valid(), uncached.d.valid());
        let is_between = m.wire("is_between", (taken & left_now.eq(0)) | (!offered & is_first));

        // 4. Next state, 5. Outputs
        when(taken, || {
            left.set(left_now);
            from.d.offer(chosen);
        });
        when(is_between & other_offered, || listens_uncached.set(!listens_uncached));
        when(cached.a.can_take() & uncached.a.can_take(), || {
            from.a.take();
            when(from.a.valid() & is_cached, || cached.a.offer(request));
            when(from.a.valid() & !is_cached, || uncached.a.offer(request));
        });
        pass(m, clock, "from_b", cached.b, from.b);
        pass(m, clock, "cached_c", from.c, cached.c);
        pass(m, clock, "cached_e", from.e, cached.e);
    }
}
