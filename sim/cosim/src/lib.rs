//! # The simulated device
//!
//! [`Verilated`] is the emitted hardware under Verilator, [`Evaluated`] the same hardware in the evaluator of the HDL; each with the real firmware
//! on its register bus, behind [`sim_device::Device`]: running natively, or as the image of the device's processors ([`CoresOptions`]).
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
//!
//! On simulated processors, each instruction takes two clocks, as of a processor at half the clock that begins one in each of its own; caches and misses
//! have no time. Harts take turns of one instruction. A read of a register holds its hart up, a write only the next access. The harts start up before
//! the device's clock does. The event line is hart 0's supervisor external interrupt.

mod axi;
mod cores;
mod door;
mod flash;
mod hardware;
mod lite;
mod machine;
mod monitors;
mod process;
mod resume;
mod soc;
mod tiles;

pub use axi::AxiPort;
pub use cores::{CoresKind, CoresOptions, Start};
pub use door::{Door, HasDoor, Medium};
pub use flash::{set_clocks, set_faults, FlashContents, FlashOptions, Owned};
pub use hardware::{Error, Evaluated, FlashCounts, Hardware, Options, Verilated, SHARED_BYTES, SPARE_BYTES};
pub use lite::{LitePort, Request};
pub use process::{system_call_clocks, IDENTIFY_CLOCKS_MAX, SYSTEM_CALL_CLOCKS_MAX};
pub use sim_gdb::Ended;
pub use soc::Soc;
