//! `emit`: the SystemVerilog of a block.

use crate::failure::{Failure, Result};
use crate::output::{self, Align, Table};
use rtl_hdl::{elaborate, Block, Design, SourceFile};
use rtl_prim::{Fifo, Lock, Payload, RoundRobin, RoundRobinRegistered, SkidBuffer, StreamArbiter, StreamDemux};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Write the SystemVerilog of a block and everything inside it
///
/// Without `--out` all modules go to standard output, each after those that it contains.
#[derive(clap::Args)]
pub struct Args {
    /// Which block
    #[arg(required_unless_present = "list")]
    block: Option<String>,
    /// List the blocks
    #[arg(long, conflicts_with_all = ["block", "out"])]
    list: bool,
    /// Write one file for each module into this folder, which is made if it is not there
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print JSON: the list, or the names and texts of the files
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

/// A block that can be asked for.
struct Known {
    name: &'static str,
    make: fn() -> Box<dyn Block>,
}

/// Bits of the items in the examples of `rtl-prim`, whose blocks carry anything.
const EXAMPLE_BITS: u32 = 64;

/// Every block, the largest first.
const BLOCKS: &[Known] = &[
    Known { name: "fifo", make: || Box::new(Fifo::new(Payload::bits(EXAMPLE_BITS), 512)) },
    Known { name: "skid_buffer", make: || Box::new(SkidBuffer { payload: Payload::bits(EXAMPLE_BITS) }) },
    Known { name: "round_robin", make: || Box::new(RoundRobin { requests: 8 }) },
    Known { name: "round_robin_registered", make: || Box::new(RoundRobinRegistered { requests: 8 }) },
    Known {
        name: "stream_arbiter",
        make: || Box::new(StreamArbiter { inputs: 3, payload: Payload::bits(EXAMPLE_BITS), lock: Lock::Item }),
    },
    Known { name: "stream_demux", make: || Box::new(StreamDemux::new(4, Payload::bits(EXAMPLE_BITS), "data", 0..2)) },
];

/// Does what `args` ask for.
pub fn run(args: &Args) -> Result {
    match &args.block {
        None => list(args.json),
        Some(name) => {
            let design = design_of(find(name)?)?;
            let files = rtl_hdl::emit(&design);
            match &args.out {
                Some(folder) => write_files(folder, &files),
                None => print_files(&files, args.json),
            }
        }
    }
}

fn find(name: &str) -> Result<&'static Known> {
    BLOCKS.iter().find(|known| known.name == name).ok_or_else(|| {
        let names: Vec<&str> = BLOCKS.iter().map(|known| known.name).collect();
        Failure::new(
            format!("there is no block `{name}`; there are {}", names.join(", ")),
            "`flashdock emit --list` says what each is",
        )
    })
}

fn design_of(known: &Known) -> Result<Design> {
    elaborate(&*(known.make)()).map_err(|problems| {
        Failure::new(format!("the hardware description of `{}` has mistakes", known.name), "correct them in its source")
            .with_detail(problems)
    })
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    about: String,
}

fn list(json: bool) -> Result {
    let listed = |known: &Known| Listed { name: known.name, about: (known.make)().description() };
    let blocks: Vec<Listed> = BLOCKS.iter().map(listed).collect();
    if json {
        return output::print_json(&blocks);
    }
    let mut table = Table::new(&[Align::Left, Align::Left]);
    for block in blocks {
        table.row([block.name.to_owned(), block.about]);
    }
    output::print(&table.text(0))
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    text: &'a str,
}

fn print_files(files: &[SourceFile], json: bool) -> Result {
    if json {
        let files: Vec<File> = files.iter().map(|file| File { name: &file.name, text: &file.text }).collect();
        return output::print_json(&files);
    }
    let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
    output::print(&texts.join("\n"))
}

fn write_files(folder: &Path, files: &[SourceFile]) -> Result {
    fs::create_dir_all(folder).map_err(|error| output::cannot_write(folder, &error))?;
    for file in files {
        output::write_file(&folder.join(&file.name), file.text.as_bytes())?;
    }
    let lines: usize = files.iter().map(|file| file.text.lines().count()).sum();
    let lines = output::thousands(lines as u64);
    output::print(&format!("{} modules, {lines} lines, written to {}\n", files.len(), folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_there_once_and_can_be_written() {
        for (i, known) in BLOCKS.iter().enumerate() {
            assert!(BLOCKS[..i].iter().all(|other| other.name != known.name), "{}", known.name);
            let design = design_of(known).unwrap_or_else(|failure| panic!("{failure:?}"));
            let files = rtl_hdl::emit(&design);
            assert!(!files.is_empty(), "{}", known.name);
        }
    }
}
