//! # The simulated device
//!
//! [`Verilated`] is the emitted hardware under Verilator, [`Evaluated`] the same hardware in the evaluator of the HDL; each with the real firmware
//! running natively on its register bus, behind [`sim_device::Device`].
//!
//! ```text
//!   Device --- BAR accesses ---> mmio      +-----------+      host ---> Bus ---> HostMemory
//!                                --------> | simulated | -------->
//!   nvme_fw::Firmware <---- firmware ----> | hardware  | ------> memory --> Bus ---> Ram
//!                                          +-----------+
//! ```
//!
//! ## Theory of operation
//! Everything happens in `Machine::clock`: one rising edge of the hardware, with every bus served once. Outputs of the hardware come from
//! registers (`rtl-hdl` proves it of every block), so what the hardware drives in a clock is known before what the harness drives in it,
//! and one call of the model per clock is enough.
//!
//! Firmware runs when the hardware raises its event line, or when it asked to be called again. Each of its register accesses takes the
//! clocks of the bus and a seeded number more, so that different seeds show different races; the hardware goes on meanwhile.

mod axi;
mod cores;
mod door;
mod flash;
mod hardware;
mod lite;
mod machine;
mod monitors;

pub use axi::AxiPort;
pub use cores::CoresOptions;
pub use door::{Door, HasDoor, Medium};
pub use flash::{set_clocks, set_faults, FlashContents, FlashOptions, Owned};
pub use hardware::{Error, Evaluated, FlashCounts, Hardware, Options, Verilated, SHARED_BYTES, SPARE_BYTES};
pub use lite::{LitePort, Request};
