//! # The firmware of the device's processors
//!
//! One image for all harts, each of which has a role ([`soc_map::roles`]). The hart of the host interface runs [`nvme_fw::Firmware`] on the register port of
//! the NVMe controller, that of cache and translation [`flash_fw::Ftl`] on the flash's fast path, and those for containers run a process each.
//!
//! ```text
//!   boot ROM --a0: hart, a1: parameters--> start (M) --> stack, protection, delegation --mret--> S --+-- host interface: parameters --> serve, for ever
//!                                                                                                    +-- containers: process (U) <--> system calls
//!                                                                                                    +-- cache and translation: mount, serve, for ever
//!   trap in S or M --\
//!   panic! -----------+--> monitor (M): record in memory, event; of the host interface: CSTS.CFS of every function; wfi for ever
//! ```
//!
//! ## Theory of operation
//! 1. The boot ROM (on the PC, the loader of the simulator) puts the image to its addresses and [`parameters`] beside it, and jumps to the image's entry.
//! 2. In M-mode, a hart closes to S and U what [`soc_map::protection`] does not grant its role, and goes on in S-mode. S takes its traps and interrupts itself.
//!    What is left in M is a monitor: it hands those faults of U to S that the hardware cannot delegate, and stops firmware that must not go on.
//! 3. Interrupts only wake: the event line of the controller, or of the flash, is enabled in `sie`, and interrupts as a whole are off, so `wfi` ends and no handler
//!    runs. The line stays up for as long as there is something to look at, so that none is lost between the last poll and `wfi`. Timer and interrupts of other
//!    harts come through the monitor.
//! 4. A [`process`] runs in U-mode under Sv39. Firmware lies in the same page table, closed to U, so a system call is one trap, and no table is switched.
//!    A process that does what it may not is ended, and firmware goes on.
//! 5. What must not happen in firmware (a trap, a panic, parameters that it does not know) stops the hart: see [`record`]. Its neighbours go on.
//! 6. With flash, hosts are served when the firmware of the flash has told its health for the first time: [`medium`].
//! 7. Each hart writes what it does into its ring of events: [`trace`].
//!
//! This library is what the image and the simulator of it share, and builds for both. `main.rs` is the image.
//!
//! ## Limits
//! - The event lines of controller and flash are supervisor external interrupts of their harts, without a PLIC between.
//! - A hart for containers runs the program that lies in its slot when it starts, with three system calls. Nothing interrupts a process.
#![no_std]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod calls;
pub mod console;
pub mod medium;
pub mod note;
pub mod parameters;
pub mod process;
pub mod record;
pub mod trace;

use nvme_fw::Firmware;
use soc_hal::Mmio;

/// Serves the controller until its firmware has nothing to do but wait for an event. It never waits itself.
pub fn serve(firmware: &mut Firmware<impl Mmio>) {
    firmware.poll();
    while firmware.is_busy() {
        firmware.poll();
    }
}
