//! One design written twice: a submission-queue fetch engine in SystemVerilog by hand (`queue_fetch.sv`) and in the Rust HDL
//! ([`QueueFetch`]). Both have the same ports and the same behaviour, clock for clock; what differs is what they cost.
//!
//! The area of both is compared by `cargo xtask area --reference`, the speed of both under Verilator by `cargo xtask hdl-speed`.

mod queue_fetch;
mod stimulus;

pub use queue_fetch::{QueueFetch, HAND_WRITTEN};
pub use stimulus::{run, Outcome};
