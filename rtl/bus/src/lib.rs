//! # Buses
//!
//! Port bundles of the AMBA AXI family and of TileLink, protocol monitors for simulation, and rules for proofs.
//!
//! | what | purpose |
//! |---|---|
//! | [`Axi4`] | the five channels of a manager or a subordinate in one line, as streams |
//! | [`Axi4Slice`] | registers in all channels of an AXI4 bus |
//! | [`AxiLite`] | the same for AXI4-Lite, 32 bits wide |
//! | [`AxiLiteDemux`] | parts the accesses of a manager over several subordinates, by address |
//! | [`AxiLiteRegisters`] | a subordinate that turns accesses into "here is a write, here is a read" |
//! | [`AxiLiteToAxi4`] | words of a memory on AXI4 for a manager of AXI4-Lite |
//! | [`AxiStream`], [`AxiStreamSlice`] | AXI4-Stream, and registers in it |
//! | [`Axi4Mux`] | several managers of one AXI4 subordinate |
//! | [`TileLink`], [`TileLinkCached`] | TL-UL and TL-UH; TL-C |
//! | [`TileLinkMemory`] | a memory behind TL-UL |
//! | [`TileLinkSlice`] | registers in all channels of a TL-C |
//! | [`TileLinkHalfRate`] | joins a TL-C client at half the clock |
//! | [`TileLinkRouter`] | parts the requests of a TL-C client by address: cached, and not |
//! | [`CoherenceHub`] | keeps the caches of several TL-C clients and DMA coherent before one AXI4 memory |
//! | [`TileLinkToAxiLite`] | registers of AXI4-Lite for several TileLink clients |
//! | [`Axi4ToTileLink`] | a coherent port for an AXI4 manager |
//! | [`monitor`] | judges, clock by clock, whether both sides keep the protocol |
//! | [`rules`] | the same rules as properties, for proofs |
//!
//! Ports carry the names of the standard behind the name of the bus: `host_awvalid`, `from_tdata`, `memory_a_opcode`, and so on.
#![deny(missing_docs)]

mod proofs;
pub use proofs::proofs;

mod axi4;
pub mod axi4_mux;
pub mod axi4_slice;
pub mod axi4_to_tile_link;
mod axi_lite;
pub mod axi_lite_demux;
pub mod axi_lite_registers;
pub mod axi_lite_to_axi4;
mod axi_stream;
pub mod axi_stream_slice;
mod channel;
pub mod coherence_hub;
pub mod monitor;
pub mod rules;
#[cfg(test)]
mod testing;
mod tile_link;
pub mod tile_link_half_rate;
pub mod tile_link_memory;
pub mod tile_link_router;
pub mod tile_link_slice;
pub mod tile_link_to_axi_lite;

use axi4::LEN_BITS;
pub use axi4::{
    Address, Axi4, Axi4Config, Axi4Manager, Axi4Subordinate, ConfigError, ReadData, WriteData, WriteResponse,
};
pub use axi4_mux::Axi4Mux;
pub use axi4_slice::Axi4Slice;
pub use axi4_to_tile_link::Axi4ToTileLink;
pub use axi_lite::{
    AxiLite, AxiLiteManager, AxiLiteSubordinate, LiteAddress, LiteReadData, LiteWriteData, LiteWriteResponse,
};
pub use axi_lite_demux::AxiLiteDemux;
pub use axi_lite_registers::AxiLiteRegisters;
pub use axi_lite_to_axi4::AxiLiteToAxi4;
pub use axi_stream::{
    AxiStream, AxiStreamConfig, AxiStreamConfigError, AxiStreamReceiver, AxiStreamTransmitter, Transfer,
};
pub use axi_stream_slice::AxiStreamSlice;
pub use coherence_hub::CoherenceHub;
pub use tile_link::{
    channel_fields, ChannelA, ChannelB, ChannelC, ChannelD, ChannelE, Level, OpcodeA, OpcodeB, OpcodeC, OpcodeD,
    TileLink, TileLinkCached, TileLinkCachedClient, TileLinkCachedManager, TileLinkClient, TileLinkConfig,
    TileLinkConfigError, TileLinkManager,
};
pub use tile_link_half_rate::TileLinkHalfRate;
pub use tile_link_memory::TileLinkMemory;
pub use tile_link_router::TileLinkRouter;
pub use tile_link_slice::TileLinkSlice;
pub use tile_link_to_axi_lite::TileLinkToAxiLite;

/// Values of `bresp` and `rresp`. AMBA AXI, "Read and write response structure".
pub mod resp {
    /// The access succeeded.
    pub const OKAY: u8 = 0;
    /// An exclusive access succeeded.
    pub const EXOKAY: u8 = 1;
    /// The subordinate reports an error.
    pub const SLVERR: u8 = 2;
    /// There is no subordinate at the address.
    pub const DECERR: u8 = 3;
    /// Width of the field in bits.
    pub const BITS: u32 = 2;

    /// Whether a response, as a signal, is [`SLVERR`] or [`DECERR`].
    pub fn is_error(resp: rtl_hdl::Signal) -> rtl_hdl::Signal {
        resp.bit(SLVERR.trailing_zeros())
    }
}

/// Values of `awburst` and `arburst`. AMBA AXI, "Burst type".
pub mod burst {
    /// Every beat has the same address.
    pub const FIXED: u8 = 0;
    /// Each beat follows the one before.
    pub const INCR: u8 = 1;
    /// Like `INCR`, but wraps at an aligned boundary.
    pub const WRAP: u8 = 2;
    /// Width of the field in bits.
    pub const BITS: u32 = 2;
}

/// No burst crosses a boundary of this many bytes. AMBA AXI, "Burst length".
pub const BOUNDARY_BYTES: u64 = 4096;
