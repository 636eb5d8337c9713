//! # Buses
//!
//! Port bundles of the AMBA AXI family, and protocol monitors for simulation.
//!
//! | what | purpose |
//! |---|---|
//! | [`Axi4`] | the five channels of a manager or a subordinate in one line, as streams |
//! | [`AxiLite`] | the same for AXI4-Lite, 32 bits wide |
//! | [`AxiLiteRegisters`] | a subordinate that turns accesses into "here is a write, here is a read" |
//! | [`monitor`] | judges, clock by clock, whether both sides keep the protocol |
//!
//! Ports carry the names of the standard behind the name of the bus: `host_awvalid`, `host_awaddr`, and so on.
#![deny(missing_docs)]

mod proofs;
pub use proofs::proofs;

mod axi4;
mod axi_lite;
pub mod axi_lite_registers;
mod channel;
pub mod monitor;
#[cfg(test)]
mod testing;

pub use axi4::{
    Address, Axi4, Axi4Config, Axi4Manager, Axi4Subordinate, ConfigError, ReadData, WriteData, WriteResponse,
};
pub use axi_lite::{
    AxiLite, AxiLiteManager, AxiLiteSubordinate, LiteAddress, LiteReadData, LiteWriteData, LiteWriteResponse,
};
pub use axi_lite_registers::AxiLiteRegisters;

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
