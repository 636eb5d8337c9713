//! The NVMe controller as synthesizable blocks.
//!
//! [`Controller`] is the whole: a wiring block with the ports of `docs/architecture.md`. Each module below is one block and begins with its
//! front page; [`types`] are the bundles that cross the walls between them.
//!
//! ```text
//! mmio --> regs --> queues --> sq_fetch --> decode --+--> io_engine (walk, units, dma_read, dma_write, slots, buffer, storage_mux) --> storage
//!            |        ^  |                           |        |
//!         lifecycle   |  +--> host_port <-- irq       +--> mailbox <--> firmware
//!                     +------ complete <----------------------+
//! ```

#![deny(missing_docs)]

mod proofs;
pub use proofs::proofs;

pub mod config;
pub mod types;

mod held;
#[cfg(test)]
mod testing;

// Control: queues, entries, completions, firmware.
pub mod arbiter;
pub mod complete;
pub mod controller;
pub mod decode;
pub mod errand;
pub mod host_port;
pub mod irq;
pub mod latency;
pub mod lifecycle;
pub mod mailbox;
pub mod queues;
pub mod regs;
pub mod sq_fetch;

// Data: from the command to the storage port.
pub mod buffer;
pub mod direct;
pub mod dma_read;
pub mod dma_write;
pub mod io_engine;
pub mod list_reader;
pub mod slots;
pub mod storage_mux;
pub mod units;
pub mod walk;

pub use config::{Config, ConfigError};
pub use controller::Controller;
