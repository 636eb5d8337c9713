//! # One device, many back ends
//!
//! [`Device`] is what every front end (test driver, command line, QEMU) talks to; what implements it is a plain-Rust model, the Verilated
//! hardware or, later, a board. The host memory that a device reaches by DMA is a [`HostMemory`], given to the device when it is built.
//!
//! ```text
//!   front end --- read, write, step ---> Device --- DMA ---> HostMemory
//!       |                                  |  (cycle-accurate back ends: through a Bus)
//!       +------- load, store, log ---------+--------------------^
//! ```
//!
//! - [`ModelDevice`]: the back end made of the reference model.
//! - [`HostMemory`]: sparse pages, an allocator with canaries, a log of every access, error regions.
//! - [`Bus`]: an AXI4 subordinate, beat by beat, with latency, stall, reorder and interleave knobs. A cycle-accurate back end puts one in
//!   front of the host memory and another in front of its [`Ram`].
//! - [`Random`] and [`seed_from_env_or`]: everything random comes from one printed seed.

mod bus;
mod device;
mod faults;
mod image;
mod memory;
mod model_device;
mod outside;
mod pages;
mod ram;
mod random;
mod tamper;

pub use bus::{Bus, BusTiming, Clocks, ReadBeat, ReadRequest, Stalls, WriteRequest, WriteResponse};
pub use device::{Access, Around, Device, Event, Schedule, Sideband};
pub use faults::{Chance, Fault, Faults};
pub use image::{Image, ImageError};
pub use memory::{AccessKind, AccessRecord, CanaryError, HostMemory, Message, MESSAGE_WINDOW};
pub use model_device::ModelDevice;
pub use outside::Outside;
pub use pages::PAGE_BYTES;
pub use ram::Ram;
pub use random::{seed_from_env_or, Random};
pub use tamper::{DeviceWrite, Tamper};

/// Bytes in one beat of the 512-bit buses.
pub const BEAT_BYTES: usize = 64;

/// The data of one beat.
pub type Beat = [u8; BEAT_BYTES];

/// A memory behind a [`Bus`]. Addresses are those of the beat, aligned to [`BEAT_BYTES`].
pub trait Memory {
    /// Reads one beat for `function`.
    fn read_beat(&mut self, function: u8, address: u64, data: &mut Beat) -> Result<(), Fault>;

    /// Writes the bytes of `data` whose bit in `strobe` is set.
    fn write_beat(&mut self, function: u8, address: u64, data: &Beat, strobe: u64) -> Result<(), Fault>;

    /// The beats of a burst have been written: it is answered next.
    fn end_burst(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}
