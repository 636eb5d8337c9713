//! One design written twice: a submission-queue fetch engine in SystemVerilog by hand (`queue_fetch.sv`) and in the Rust HDL
//! ([`QueueFetch`]). Both have the same ports and the same behaviour, clock for clock; what differs is what they cost.
//!
//! `cargo xtask hdl-reference` compares area and speed.

pub mod dual_port;
mod queue_fetch;
mod speed;
mod stimulus;

pub use queue_fetch::{QueueFetch, HAND_WRITTEN, HAND_WRITTEN_TOP};
pub use speed::{library, measure, Speed};
pub use stimulus::{run, Outcome};
