//! # Peripherals of the SoC
//!
//! Blocks with registers on AXI4-Lite, at the addresses of [`soc_map`]. Each module below begins with its front page.
//!
//! | what | purpose |
//! |---|---|
//! | [`BootRom`] | the first instructions of every hart |
#![deny(missing_docs)]

pub mod boot_rom;
#[cfg(test)]
mod testing;

pub use boot_rom::BootRom;
