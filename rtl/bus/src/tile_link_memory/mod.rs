//! # TileLink memory
//!
//! A small memory behind TL-UL, and the example of a manager.
//!
//! ## Symbol
//! ```text
//!          +- tile_link_memory -+
//!    tl ==>|                    |   (TL-UL, manager)
//!          +--------------------+
//! ```
//! ## Theory of operation
//! 1. A request is taken while its answer has room, and is done in that clock: Get reads, PutFullData and PutPartialData write the bytes of the mask.
//! 2. What TL-UL does not have, and damaged data, is denied and changes nothing. TileLink, "Errors": an answer with data that is denied is also
//!    corrupt.
//!
//! ## Timing
//! One request per clock; the answer is offered one clock after the request was taken. No combinational path from any input to any output.
//!
//! ## Limits
//! The memory is distributed RAM and fills the whole address space of the port. What it holds at the start is not known.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::tile_link::PERMISSION_BITS;
use crate::{ChannelD, OpcodeA, OpcodeD, TileLink, TileLinkConfig};
use rtl_hdl::{lit, when, Block, EnumSignal, MemoryStyle, Module, Signal};

#[cfg(test)]
pub(crate) mod bench;
mod props;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileLinkMemory {
    /// The widths of the port; an address reaches more than a beat.
    pub config: TileLinkConfig,
}

impl Block for TileLinkMemory {
    fn name(&self) -> String {
        let TileLinkConfig { address_bits, data_bits, size_bits, source_bits, sink_bits } = self.config;
        format!("tile_link_memory_a{address_bits}_d{data_bits}_z{size_bits}_o{source_bits}_i{sink_bits}")
    }

    fn description(&self) -> String {
        format!("A memory of {} bytes behind TL-UL.", 1u64 << self.config.address_bits)
    }

    fn build(&self, m: &Module) {
        let config = self.config;
        // 1. Ports
        let clock = m.clock();
        let tl = TileLink::manager(m, "tl", config);

        // 2. State
        let words = 1 << (config.address_bits - config.beat_size());
        let memory = m.memory("words", config.data_bits, words, MemoryStyle::Distributed);

        // 3. Conditions
        let request = tl.a.payload();
        let is_get = m.wire("is_get", request.opcode.is(OpcodeA::Get));
        let is_put = request.opcode.is(OpcodeA::PutFullData) | request.opcode.is(OpcodeA::PutPartialData);
        let is_put = m.wire("is_put", is_put);
        let has_data = m.wire("has_data", answers_with_data(request.opcode));
        let fits = m.wire("fits", request.size.le(config.beat_size()));
        let denied = m.wire("denied", !((is_get | (is_put & !request.corrupt)) & fits));
        let word = m.wire("word", request.address.bits(config.beat_size()..config.address_bits));
        let writes = m.wire("writes", tl.a.taken() & is_put & !denied);

        // 4. Next state
        memory.write_lanes(clock, writes, word, request.data, request.mask);
        when(tl.d.can_take(), || {
            tl.a.take();
            when(tl.a.valid(), || {
                let hint = request.opcode.is(OpcodeA::Intent);
                let code = |opcode: OpcodeD| EnumSignal::of(opcode).signal();
                let without = hint.mux(code(OpcodeD::HintAck), code(OpcodeD::AccessAck));
                tl.d.offer(ChannelD {
                    opcode: EnumSignal::from_signal(has_data.mux(code(OpcodeD::AccessAckData), without)),
                    param: lit(0u8, PERMISSION_BITS),
                    size: request.size,
                    source: request.source,
                    sink: lit(0u8, config.sink_bits),
                    denied,
                    data: memory.lookup(word),
                    corrupt: denied & has_data,
                });
            });
        });

        // 5. Outputs: the stream's own.

        // 6. Properties
        props::behaves_like_memory(m, clock, config, &tl, memory, writes);
    }
}

/// Reads and atomics are answered with data.
fn answers_with_data(opcode: EnumSignal<OpcodeA>) -> Signal {
    opcode.is(OpcodeA::Get) | opcode.is(OpcodeA::ArithmeticData) | opcode.is(OpcodeA::LogicalData)
}
