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

use std::fmt::Write as _;
use std::fs;

use netlist::Netlist;
use sim_toolchain::{run, Toolchain};

/// Reads Verilog, runs `script` on the module `top`, and returns the netlist.
pub fn synthesize(toolchain: &Toolchain, verilog: &str, top: &str, script: &str) -> Result<Netlist, Error> {
    let netlists = synthesize_all(toolchain, &[(verilog, top)], script)?;
    netlists.into_iter().next().ok_or_else(|| Error::Netlist("there is none".into()))
}

/// Like [`synthesize`], for many designs, each a text and its top module, in one run: yosys takes longer to start than a small design takes.
///
/// # Errors
/// If any of the designs fails.
pub fn synthesize_all(toolchain: &Toolchain, designs: &[(&str, &str)], script: &str) -> Result<Vec<Netlist>, Error> {
    let yosys = toolchain.yosys()?;
    let folder = tempfile::tempdir().map_err(|error| Error::io("create a folder in", &std::env::temp_dir(), error))?;
    let mut commands = String::new();
    for (index, (verilog, top)) in designs.iter().enumerate() {
        let source = folder.path().join(format!("{index}.sv"));
        fs::write(&source, verilog).map_err(|error| Error::io("write", &source, error))?;
        // Writing to a string cannot fail.
        let _ = writeln!(commands, "read_verilog -sv {index}.sv; hierarchy -check -top {top}; {script}");
        let _ = writeln!(commands, "write_json {index}.json; design -reset");
    }
    // A file, because a command line has a limit.
    let file = folder.path().join(COMMANDS);
    fs::write(&file, commands).map_err(|error| Error::io("write", &file, error))?;
    let what = match designs {
        [(_, top)] => (*top).to_owned(),
        _ => format!("{} designs", designs.len()),
    };
    run(yosys.command().args(["-q", "-s", COMMANDS]).current_dir(folder.path()), "yosys", &what)?;
    let netlist = |index| {
        let json = folder.path().join(format!("{index}.json"));
        Netlist::parse(&fs::read_to_string(&json).map_err(|error| Error::io("read", &json, error))?)
    };
    (0..designs.len()).map(netlist).collect()
}

/// The file of what yosys is to do.
const COMMANDS: &str = "commands.ys";
