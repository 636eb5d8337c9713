//! # Conformance
//!
//! What an NVMe controller must do, as tests: one file per chapter of the specification, one function per requirement, every back end.
//! `NVMe Base` is the NVM Express Base Specification, `NVM Command Set` and `NVMe PCIe` its companions; the titles are those of sections.
//!
//! A test body takes a device after power-on and talks to it through [`sim_host::Driver`], which holds every access of the device against
//! the universal rules while the body looks at its own requirement. [`every_back_end`] runs it.
//!
//! - `BACK_END=<name> cargo test --release -p conformance` runs all tests on one back end: `model`, `verilated`, `cores` (firmware on simulated processors) or
//!   `tiles` (on the Verilated ones), each also with `-small` behind its name, or `evaluated-small`. Those with `-small` are the smallest controller, which has
//!   one function: tests about two functions do nothing there.
//! - `SEED=<number>` replays the random choices of a failing run; it is printed with every failure.

mod back_end;

#[cfg(test)]
mod abort_events;
#[cfg(test)]
mod arbitration;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod dataset_management;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod expect;
#[cfg(test)]
mod features;
#[cfg(test)]
mod firmware_update;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod functions;
#[cfg(test)]
mod functions_at_once;
#[cfg(test)]
mod identify;
#[cfg(test)]
mod interrupts;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod namespaces;
#[cfg(test)]
mod nvm;
#[cfg(test)]
mod queue_creation;
#[cfg(test)]
mod queues;
#[cfg(test)]
mod random;
#[cfg(test)]
mod registers;
#[cfg(test)]
mod sanitize;
#[cfg(test)]
mod sgl;

pub use back_end::{back_ends, every_back_end, seed, BackEnd};

use sim_device::Device;
use sim_host::DriverError;

/// What a test body answers. What the body itself looks at, it asserts.
pub type Outcome = Result<(), DriverError>;

/// A test body: it takes a device after power-on.
pub type Body = fn(&mut dyn Device) -> Outcome;
