//! # The flash translation layer on a PC
//!
//! The firmware of the flash over the reference fast path and the reference flash, without time. [`Drive`] is both together with a host; [`campaign`] cuts
//! its power and breaks its flash, from seeds; [`study`] measures write amplification and wear. [`FlashDrive`] is what tools know of a drive, whatever is
//! behind it; [`age`] wears one, and an [`Image`] keeps one in a file, or puts it into the medium of the Verilated hardware.
#![deny(missing_docs)]

pub mod age;
pub mod array;
pub mod campaign;
mod drive;
mod flash_drive;
pub mod hardware;
pub mod hardware_cuts;
pub mod image;
mod medium;
pub mod mounts;
mod oracle;
mod port;
pub mod study;
mod time;

pub use drive::{Drive, Stopped};
pub use flash_drive::{BlockUse, FlashDrive, Use};
pub use image::Image;
pub use medium::unit_bytes;
pub use oracle::Oracle;
pub use port::{Fault, Port};
pub use sim_cosim::Owned;
pub use time::DeviceTime;
