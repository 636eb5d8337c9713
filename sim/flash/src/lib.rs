//! # The flash translation layer on a PC
//!
//! The firmware of the flash over the reference fast path and the reference flash, without time. [`Drive`] is both together with a host; [`campaign`] cuts
//! its power and breaks its flash, from seeds; [`study`] measures write amplification and wear.
#![deny(missing_docs)]

pub mod array;
pub mod campaign;
mod drive;
pub mod hardware;
pub mod hardware_cuts;
pub mod mounts;
mod oracle;
mod port;
pub mod study;
mod time;

pub use drive::{Drive, Stopped};
pub use oracle::Oracle;
pub use port::{Fault, Port};
pub use sim_cosim::Owned;
pub use time::DeviceTime;
