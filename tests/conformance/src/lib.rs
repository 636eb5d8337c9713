//! # Conformance
//!
//! What an NVMe controller must do, as tests: one file per chapter of the specification, one function per requirement, every back end.
//! `NVMe Base` is the NVM Express Base Specification, `NVM Command Set` and `NVMe PCIe` its companions; the titles are those of sections.
//!
//! A test body takes a device after power-on and talks to it through [`sim_host::Driver`], which holds every access of the device against
//! the universal rules while the body looks at its own requirement. [`every_back_end`] runs it.
//!
//! - `BACK_END=<name>` restricts a run to one back end.
//! - `SEED=<number>` replays the random choices of a failing run; it is printed with every failure.

mod back_end;
mod expect;

pub mod abort_events;
pub mod features;
pub mod identify;
pub mod interrupts;
pub mod logs;
pub mod nvm;
pub mod queue_creation;
pub mod queues;
pub mod random;
pub mod registers;

pub use back_end::{back_ends, every_back_end, seed, BackEnd};

use sim_device::Device;
use sim_host::DriverError;

/// What a test body answers. What the body itself looks at, it asserts.
pub type Outcome = Result<(), DriverError>;

/// A test body.
pub type Body = fn(&mut dyn Device) -> Outcome;

/// Lists the requirements of a chapter as `ALL` and makes a test of each, which runs on every back end.
///
/// `requirements![a, b];` becomes `pub const ALL: &[(&str, Body)] = &[("a", a), ("b", b)];` and, in the module `tests`, one `#[test]` for each.
macro_rules! requirements {
    ($($name:ident),* $(,)?) => {
        /// Every requirement of this chapter, by name.
        pub const ALL: &[(&str, $crate::Body)] = &[$((stringify!($name), $name)),*];

        #[cfg(test)]
        mod tests {
            $(
                #[test]
                fn $name() {
                    $crate::every_back_end(
                        concat!(module_path!(), "::", stringify!($name)),
                        super::$name,
                    );
                }
            )*
        }
    };
}
pub(crate) use requirements;

/// Every requirement of every chapter, by name.
pub fn all() -> impl Iterator<Item = &'static (&'static str, Body)> {
    [
        registers::ALL,
        queues::ALL,
        queue_creation::ALL,
        abort_events::ALL,
        identify::ALL,
        features::ALL,
        logs::ALL,
        nvm::ALL,
        interrupts::ALL,
        random::ALL,
    ]
    .into_iter()
    .flatten()
}
