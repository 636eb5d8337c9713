//! # Random hardware, and three opinions about what it does
//!
//! ```text
//!   seed or tapes --> generator --> Design --+--> the evaluator ----------------+
//!                                            |                                  |
//!                                            +--> Verilog --> lint: silence     +--> every output the same
//!                                                        |--> Verilator --------+    after every clock
//!                                                        +--> yosys --> netlist +
//! ```
//!
//! | what | purpose |
//! |---|---|
//! | [`generator`] | a random block, with every construct of the HDL, from choices on a tape |
//! | [`tape`] | the choices: made up from a seed, or made again |
//! | [`netlist`] | runs what yosys reads in the emitted Verilog, bit by bit: the judge that shares nothing with the evaluator |
//! | [`compare`] | the same inputs for every simulator; says who is not of the opinion of the others |
//! | [`defects`] | what is known to be wrong with the tools |
//! | [`judge`] | a batch of cases through all tools, and where the time goes |
//! | [`shrink`] | a failing case with as few choices as possible |
//! | [`census`] | how often each construct occurred |
//!
//! `cargo xtask fuzz-hdl` runs as many as one likes; ninety are in every test run.
#![deny(missing_docs)]

pub mod campaign;
pub mod case;
pub mod census;
pub mod compare;
pub mod defects;
pub mod generator;
pub mod judge;
pub mod netlist;
mod panics;
pub mod report;
pub mod shrink;
pub mod tape;

pub use campaign::{Campaign, Summary};
pub use case::Case;
pub use judge::{Failure, Judge, Kind, Opinions, Verdict};
