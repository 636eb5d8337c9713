//! # Reference NVMe controller
//!
//! An NVMe controller in plain Rust, written from the specification and not from the hardware: the oracle of the device tests.
//!
//! ## Theory of operation
//! [`Model::write`] queues a posted write, [`Model::step`] lets one clock pass. In a clock at most one posted write takes effect, one
//! entry is fetched, one unit of work of one command in flight is done, one completion is written and one interrupt is sent. What is
//! done in a clock, and for which command, is drawn from the seed wherever the specification leaves it open.
//!
//! ## Limits
//! Physically contiguous queues, no volatile write cache. A clock of the controller is a clock of all functions.

mod admin;
mod arbiter;
mod config;
mod controller;
mod frames;
mod host;
mod interrupts;
mod io;
mod model;
mod prp;
mod queues;
mod random;
mod registers;
mod sgl;
mod storage;
mod subsystem;

pub use config::{Config, ConfigError};
pub use controller::Sideband;
pub use host::{HostError, HostPort};
pub use model::Model;
