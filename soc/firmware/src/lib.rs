//! # The firmware of the device's processors
//!
//! One image for all harts. It runs [`nvme_fw::Firmware`] on hart 0, on the register port of the NVMe controller; the other harts sleep.
//!
//! ```text
//!   boot ROM --a0: hart, a1: parameters--> start --> stack, trap vector --+-- hart 0: variables, parameters --> serve, for ever
//!                                                                         +-- others: wfi, for ever
//!   trap   --\
//!   panic! ---+--> record in memory, CSTS.CFS of every function, wfi for ever
//! ```
//!
//! ## Theory of operation
//! 1. The boot ROM (on the PC, the loader of the simulator) puts the image to its addresses and [`parameters`] beside it, and jumps to the image's entry.
//! 2. Interrupts only wake: the controller's event line is enabled in `mie`, and interrupts as a whole are off, so `wfi` ends and no handler runs.
//!    The line stays up for as long as there is something to look at, so that none is lost between the last poll and `wfi`.
//! 3. What must not happen (a trap, a panic, a hart without parameters that it knows) stops the hart: see [`record`].
//!
//! This library is what the image and the simulator of it share, and builds for both. `main.rs` is the image.
//!
//! ## Limits
//! The controller's event line is hart 0's machine external interrupt, without a PLIC between. Everything runs in M-mode.
#![no_std]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod console;
pub mod note;
pub mod parameters;
pub mod record;

use nvme_fw::Firmware;
use soc_hal::Mmio;

/// Serves the controller until its firmware has nothing to do but wait for an event. It never waits itself.
pub fn serve(firmware: &mut Firmware<impl Mmio>) {
    firmware.poll();
    while firmware.is_busy() {
        firmware.poll();
    }
}
