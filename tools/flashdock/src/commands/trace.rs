//! `trace`: the waveform of a window of a short run.

use crate::backend::{BackEnd, Kind, Settings};
use crate::failure::{Failure, Result};
use crate::output;
use crate::waveform::Windowed;
use crate::workload::{self, Op, RandomWork, Window};
use sim_host::{Driver, Options};
use std::path::PathBuf;

/// Write the waveform of a window of a short run
///
/// The times in it are nanoseconds at the core's frequency.
#[derive(clap::Args)]
pub struct Args {
    /// What runs
    #[arg(value_enum)]
    workload: Workload,
    /// The file to write, in the Value Change Dump format
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The first clock, counted from power-on [default: when the workload begins]
    #[arg(long, value_name = "CLOCK")]
    from: Option<u64>,
    /// How many clocks
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    clocks: u64,
    /// Chooses blocks
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Workload {
    /// Reset, enable, Identify, queues
    BringUp,
    /// 64 reads of 4 KiB on two queues, after the bring-up
    Read,
    /// 64 writes of 4 KiB on two queues, after the bring-up
    Write,
}

const COMMANDS: u64 = 64;
const COMMAND_BYTES: u32 = 4096;
const WINDOW: Window = Window { queues: 2, depth: 8 };

/// Runs the workload and writes the waveform.
pub fn run(args: &Args) -> Result {
    if args.out.is_dir() {
        return Err(Failure::new(format!("{} is a folder", args.out.display()), "name a file, as in `--out read.vcd`"));
    }
    // A folder that cannot be written to is found out before the model is built.
    drop(output::temporary_beside(&args.out).map_err(|error| output::cannot_write(&args.out, &error))?);
    let settings = Settings { trace: true, ..Settings::new(Kind::Verilated, args.seed) };
    let device = BackEnd::new(&settings)?;
    let mut device = Windowed::new(device, args.from, args.clocks, &args.out);
    let options = Options { io_queues: WINDOW.queues, io_entries: 2 * WINDOW.depth, ..Options::default() };
    let mut driver = Driver::new(&mut device, options);
    if args.workload == Workload::BringUp {
        driver.device().begin();
    }
    let identity = driver.bring_up().map_err(workload::device_failed)?;
    let op = match args.workload {
        Workload::BringUp => None,
        Workload::Read => Some(Op::Read),
        Workload::Write => Some(Op::Write),
    };
    if let Some(op) = op {
        driver.device().begin();
        let mut work = RandomWork::new(&identity, op, COMMAND_BYTES, WINDOW, COMMANDS, args.seed);
        workload::drive(&mut driver, &identity, &mut work)?;
    }
    let written = device.finish()?;
    let (name, clocks) = (args.out.display(), written.end - written.start);
    let more = if clocks < args.clocks { "; the run had no more" } else { "" };
    output::print(&format!(
        "{clocks} clocks from clock {} written to {name}{more}\nopen it with `gtkwave {name}` or `surfer {name}`\n",
        written.start
    ))
}
