//! # What yosys and z3 say of emitted hardware
//!
//! | what | purpose |
//! |---|---|
//! | [`synthesize`] | a netlist of the emitted Verilog |
//! | [`area`] | LUTs, flip-flops, memories, and the longest path, by name |
//! | [`formal`] | what is proved, and how far |
#![deny(missing_docs)]

pub mod area;
mod error;
pub mod formal;
pub mod netlist;

pub use error::Error;

use std::fs;

use netlist::Netlist;
use sim_toolchain::{run, Toolchain};

/// Reads Verilog, runs `script` on the module `top`, and returns the netlist.
pub fn synthesize(toolchain: &Toolchain, verilog: &str, top: &str, script: &str) -> Result<Netlist, Error> {
    let yosys = toolchain.yosys()?;
    let folder = tempfile::tempdir().map_err(|error| Error::io("create a folder in", &std::env::temp_dir(), error))?;
    let (source, json) = (folder.path().join("top.sv"), folder.path().join("top.json"));
    fs::write(&source, verilog).map_err(|error| Error::io("write", &source, error))?;
    let script = format!("read_verilog -sv top.sv; hierarchy -check -top {top}; {script}; write_json top.json");
    run(yosys.command().args(["-q", "-p", &script]).current_dir(folder.path()), "yosys", top)?;
    Netlist::parse(&fs::read_to_string(&json).map_err(|error| Error::io("read", &json, error))?)
}
