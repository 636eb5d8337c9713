//! The emulated flash: geometry, commands, timing, error kinds and limits.
//!
//! Every number of the flash has its only home here; hardware, firmware, model and tools read it from here. References name the Open NAND Flash
//! Interface Specification, revision 4.2 ("ONFI"), with the title of the section.
//!
//! ```text
//!   channel 0 ---+--- die 0 ---+--- plane 0 --- block 0, 1, 2, ..  each: page 0, 1, 2, ..  each: 16 KiB and a spare of 64 bytes
//!   (a bus)      |             +--- plane 1
//!                +--- die 1        (an operation of both planes at once takes the time of one)
//!   channel 1 ---+--- ..
//! ```
#![no_std]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod block;
pub mod command;
pub mod fast_path;
pub mod geometry;
pub mod limits;
pub mod outcome;
pub mod pairing;
pub mod record;
pub mod reliability;
pub mod spare;
pub mod timing;

pub use block::{BlockRecord, Torn};
pub use command::Operation;
pub use geometry::{Geometry, GeometryError, PageAddress};
pub use outcome::{Outcome, Violation};
pub use reliability::Reliability;
pub use timing::{Clocks, Preset, Timing};
