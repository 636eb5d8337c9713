//! # Peripherals of the SoC
//!
//! Blocks with registers on AXI4-Lite, at the addresses of [`soc_map`]. Each module below begins with its front page.
//!
//! | what | purpose |
//! |---|---|
//! | [`BootRom`] | the first instructions of every hart |
//! | [`Clint`] | the time, timer interrupts, and interrupts between harts |
//! | [`Counters`] | how often what happens has happened |
//! | [`DmaEngine`] | copies memory for firmware |
//! | [`Plic`] | the interrupts of the device, for each hart and mode |
//! | [`Uart`] | the console of firmware |
//! | [`Watchdog`] | notices a hart that stops |
#![deny(missing_docs)]

pub mod boot_rom;
pub mod clint;
pub mod counters;
pub mod dma_engine;
pub mod plic;
#[cfg(test)]
mod testing;
pub mod uart;
pub mod watchdog;

pub use boot_rom::BootRom;
pub use clint::Clint;
pub use counters::Counters;
pub use dma_engine::DmaEngine;
pub use plic::Plic;
pub use uart::Uart;
pub use watchdog::Watchdog;
