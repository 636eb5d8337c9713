//! # Peripherals of the SoC
//!
//! Blocks with registers on AXI4-Lite, at the addresses of [`soc_map`]. Each module below begins with its front page.
//!
//! | what | purpose |
//! |---|---|
//! | [`BootRom`] | the first instructions of every hart |
//! | [`Clint`] | the time, timer interrupts, and interrupts between harts |
//! | [`Uart`] | the console of firmware |
#![deny(missing_docs)]

pub mod boot_rom;
pub mod clint;
#[cfg(test)]
mod testing;
pub mod uart;

pub use boot_rom::BootRom;
pub use clint::Clint;
pub use uart::Uart;
