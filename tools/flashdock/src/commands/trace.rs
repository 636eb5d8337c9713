//! `trace`: the waveform of a window of a short run, or what the harts did in it.

use super::trace_harts;
use crate::backend;
use crate::failure::{Failure, Result};
use crate::output;
use crate::waveform::{self, Recorder};
use crate::workload::{self, Op, RandomWork, Window};
use sim_cosim::Verilated;
use sim_device::Device;
use sim_host::{Driver, Options};
use std::path::{Path, PathBuf};

/// Write the waveform of a window of a short run
///
/// The times in it are nanoseconds since power-on at the core's frequency. An FST file shows the states of state machines by name, and the
/// fields of bundles and streams in scopes of their own; beside it goes a save file for GTKWave, FILE.gtkw, with the ports and the state
/// machines. VCD is what every viewer reads.
#[derive(clap::Args)]
pub struct Args {
    /// What runs
    #[arg(value_enum)]
    workload: Workload,
    /// The file to write: FST if its name ends in .fst, VCD if it ends in .vcd
    #[arg(long, value_name = "FILE", required_unless_present = "harts", conflicts_with = "harts")]
    out: Option<PathBuf>,
    /// The first clock, counted from power-on [default: when the workload begins]
    #[arg(long, value_name = "CLOCK", value_parser = clap::value_parser!(u64).range(..=CLOCK_MAX))]
    from: Option<u64>,
    /// How many clocks
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=CLOCK_MAX))]
    clocks: u64,
    /// Chooses blocks
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    harts: trace_harts::Args,
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

/// Far beyond the end of any of these runs.
const CLOCK_MAX: u64 = 1_000_000_000;

const COMMANDS: u64 = 64;
const COMMAND_BYTES: u32 = 4096;
const WINDOW: Window = Window { queues: 2, depth: 8 };

/// Runs the workload, and writes the waveform or prints what the harts did.
pub fn run(args: &Args) -> Result {
    match &args.out {
        Some(out) => write_waveform(args, out),
        None => trace_harts::run(&args.harts, args.seed, |device| run_workload(device, args, |_| {})),
    }
}

fn write_waveform(args: &Args, out: &Path) -> Result {
    let format = waveform::check(out)?;
    let save_file = waveform::save_file(out, format);
    let mut device = backend::verilated_with_waveform(args.seed)?;
    let recorder =
        Recorder::new(&mut device, out, format, args.clocks).map_err(|error| output::cannot_write(out, &error))?;
    if let Some(clock) = args.from {
        recorder.begin(clock);
    }
    let begin = |clock| {
        if args.from.is_none() {
            recorder.begin(clock);
        }
    };
    let ran = run_workload(&mut device, args, begin);
    let end = device.clock();
    // The waveform of a run that failed is the most wanted of all.
    let written = recorder.finish(&mut device);
    ran?;
    let written = written.map_err(|error| output::cannot_write(out, &error))?;
    let Some(written) = written else {
        return Err(Failure::new(
            format!("the run ended at clock {end}, before the window began"),
            format!("give `--from` a clock below {end}"),
        ));
    };
    let (name, clocks) = (out.display(), written.end - written.start);
    let more = if clocks < args.clocks { "; the run had no more" } else { "" };
    output::print(&format!(
        "{} from clock {} on written to {name}{more}\nopen it with `{}` or `surfer {name}`\n",
        output::count_text(clocks, "clock"),
        written.start,
        gtkwave(out, save_file.as_deref())
    ))
}

/// The command that opens a waveform in GTKWave.
fn gtkwave(path: &Path, save_file: Option<&Path>) -> String {
    let save_file = save_file.map_or(String::new(), |path| format!(" {}", path.display()));
    format!("gtkwave {}{save_file}", path.display())
}

/// Runs the workload, and tells when it begins.
fn run_workload(device: &mut Verilated, args: &Args, begin: impl Fn(u64)) -> Result {
    let options = Options { io_queues: WINDOW.queues, io_entries: 2 * WINDOW.depth, ..Options::default() };
    let mut driver = Driver::new(device, options);
    if args.workload == Workload::BringUp {
        begin(driver.clock());
    }
    let identity = driver.bring_up().map_err(workload::device_failed)?;
    let op = match args.workload {
        Workload::BringUp => return Ok(()),
        Workload::Read => Op::Read,
        Workload::Write => Op::Write,
    };
    begin(driver.clock());
    let mut work = RandomWork::new(&identity, op, COMMAND_BYTES, WINDOW, COMMANDS, args.seed);
    workload::drive(&mut driver, &identity, &mut work)?;
    Ok(())
}
