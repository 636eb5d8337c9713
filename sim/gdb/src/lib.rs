//! # Simulated harts under GDB
//!
//! Harts of the instruction-set simulator as the threads of a remote target: `target remote ADDRESS` in a GDB for riscv64, or for several architectures.
//!
//! ```text
//!   GDB <== TCP ==> Debugger ---- before each turn ----> who makes the turns of the harts: stands still here while GDB thinks
//!                      |
//!                      +--> registers of all harts, memory as a hart sees it, breakpoints, single steps
//! ```
//!
//! ## Theory of operation
//! 1. Who lets the harts take turns calls [`Debugger::turn`] before each of them, and then lets those go on that [`Debugger::may_run`] names. A turn is at most one
//!    instruction of each hart.
//! 2. While GDB has the harts stand still, [`Debugger::turn`] does not come back. Everything around them stands still with them.
//! 3. A hart that comes to the address of a breakpoint stops all of them before it carries the instruction out. Nothing is written into its code.
//! 4. After a detach, or when the connection is lost, harts go on alone. After a kill, [`Debugger::ended`] tells so.
//!
//! Protocol: GDB's documentation, "Remote Serial Protocol", by the crate `gdbstub`. Bytes that are none of it are answered as that crate answers them, or end
//! the connection.
//!
//! ## Limits
//! - Memory is read and written as the hart's own loads and stores could, by virtual addresses and permissions. Registers of devices are not there.
//! - No watchpoints. Ctrl-C is seen after some turns.
//! - A step of a hart that waits for an interrupt ends with the turn.
#![deny(missing_docs)]

mod debugger;
mod registers;
mod target;

pub use debugger::{Debugger, Ended};
