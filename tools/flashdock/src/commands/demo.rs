//! `demo`: a file goes to the device and comes back.

use crate::backend::{self, BackEnd, Kind, Settings};
use crate::failure::{Failure, Result};
use crate::file_work::{FileReader, FileWriter, Hash, DEPTH_MAX};
use crate::output::{self, Align, Paint, Table};
use crate::report::DeviceReport;
use crate::stats::{Sample, Summary};
use crate::workload;
use nvme_spec::limits::CORE_HZ;
use serde::Serialize;
use sim_device::Device;
use sim_host::{Driver, Identity, Options, Waiting};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Write a file to the simulated device, read it back, compare, and show what happened
///
/// The file is written and read in a mix of command sizes, queue depths and buffer alignments that the seed chooses.
#[derive(clap::Args)]
pub struct Args {
    /// The file [default: this program]
    file: Option<PathBuf>,
    /// Which device
    #[arg(long, value_name = "DEVICE", value_enum, default_value_t = Kind::Verilated)]
    back_end: Kind,
    /// Chooses sizes, depths and alignments
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    device: DeviceReport,
    file: PathBuf,
    bytes: u64,
    seed: u64,
    /// Clocks from power-on until all queues were there.
    bring_up_clocks: u64,
    /// An empty file has no commands.
    write: Option<Summary>,
    read: Option<Summary>,
    sha256_written: String,
    sha256_read: String,
    equal: bool,
    simulation: Simulation,
}

/// How fast the simulation was.
#[derive(Serialize)]
struct Simulation {
    clocks: u64,
    seconds: f64,
    clocks_per_second: f64,
}

/// What happened on the device.
struct Run {
    identity: Identity,
    bring_up_clocks: u64,
    written: Vec<Sample>,
    read: Vec<Sample>,
    hash_written: Hash,
    hash_read: Hash,
}

/// Runs the demonstration.
pub fn run(args: &Args) -> Result {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => std::env::current_exe().map_err(|error| {
            Failure::new(format!("cannot find this program: {}", output::reason(&error)), "name a file")
        })?,
    };
    let (mut file, bytes) = open(&path)?;
    let settings =
        Settings { namespace_bytes: namespace_bytes(&path, bytes)?, ..Settings::new(args.back_end, args.seed) };
    let mut device = BackEnd::new(&settings)?;
    let start = Instant::now();
    let run = write_and_read(&mut device, &mut file, &path, bytes, args.seed)?;
    let seconds = start.elapsed().as_secs_f64();
    let clocks = device.clock();
    let report = Report {
        device: DeviceReport::new(args.back_end, &run.identity, Options::default().io_queues, io_entries()),
        file: path,
        bytes,
        seed: args.seed,
        bring_up_clocks: run.bring_up_clocks,
        write: Summary::of(&run.written),
        read: Summary::of(&run.read),
        sha256_written: hex(&run.hash_written),
        sha256_read: hex(&run.hash_read),
        equal: run.hash_written == run.hash_read,
        simulation: Simulation { clocks, seconds, clocks_per_second: clocks as f64 / seconds },
    };
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.text())?;
    }
    if report.equal {
        return Ok(());
    }
    Err(Failure::new(
        "what was read is not what was written",
        format!("this is a defect of the device: `--seed {}` shows it again", args.seed),
    ))
}

/// The file and its size. Anything but a file that can be read is refused before time is spent on a device.
fn open(path: &Path) -> Result<(File, u64)> {
    let name = path.display();
    let another = format!("name a file that you may read, as in `{}`", output::command("demo README.md"));
    let cannot =
        |error: &std::io::Error| Failure::new(format!("cannot read {name}: {}", output::reason(error)), &another);
    // Opening a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(|error| cannot(&error))?;
    if metadata.is_dir() {
        return Err(Failure::new(format!("{name} is a folder"), another));
    }
    if !metadata.is_file() {
        return Err(Failure::new(
            format!("{name} is not a regular file, so its size is not known"),
            "copy it into a file first",
        ));
    }
    let file = File::open(path).map_err(|error| cannot(&error))?;
    Ok((file, metadata.len()))
}

fn namespace_bytes(path: &Path, bytes: u64) -> Result<u64> {
    if bytes > backend::NAMESPACE_BYTES_MAX {
        let (name, bytes) = (path.display(), output::bytes_text(bytes));
        let largest = output::bytes_text(backend::NAMESPACE_BYTES_MAX);
        return Err(Failure::new(
            format!("{name} has {bytes}; the largest namespace has {largest}"),
            "name a smaller file",
        ));
    }
    Ok(bytes.next_power_of_two().max(backend::NAMESPACE_BYTES_MIN))
}

/// Entries of each I/O queue: no command waits for room.
fn io_entries() -> u16 {
    2 * DEPTH_MAX
}

fn write_and_read(device: &mut BackEnd, file: &mut File, path: &Path, bytes: u64, seed: u64) -> Result<Run> {
    let options = Options { io_entries: io_entries(), waiting: Waiting::Interrupts, ..Options::default() };
    let mut driver = Driver::new(device, options);
    let identity = driver.bring_up().map_err(workload::device_failed)?;
    let bring_up_clocks = driver.clock();

    let mut writer = FileWriter::new(&identity, file, path, bytes, seed);
    let written = workload::drive(&mut driver, &identity, &mut writer)?;
    let hash_written = writer.hash();
    driver.flush(&identity).map_err(workload::device_failed)?;

    // Another seed, or the commands would have the same bounds.
    let mut reader = FileReader::new(&identity, bytes, seed.wrapping_add(1));
    let read = workload::drive(&mut driver, &identity, &mut reader)?;
    let hash_read = reader.hash();
    driver.check_canaries().map_err(workload::device_failed)?;
    Ok(Run { identity, bring_up_clocks, written, read, hash_written, hash_read })
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Report {
    fn text(&self) -> String {
        let paint = Paint::stdout();
        let mut text = self.device.text();
        text += &format!("\n{}\n", paint.strong("File"));
        let mut table = Table::new(&[Align::Left, Align::Left]);
        // The folder is known to who named it, and of no interest if it is this program's.
        let name = self.file.file_name().unwrap_or(self.file.as_os_str());
        table.row(["name".to_owned(), name.to_string_lossy().into_owned()]);
        table.row(["size".to_owned(), output::bytes_text(self.bytes)]);
        table.row(["SHA-256 written", &self.sha256_written]);
        table.row(["SHA-256 read", &self.sha256_read]);
        text += &table.text(2);
        let verdict = match self.equal {
            true => paint.good("equal: the device gave back what it was given"),
            false => paint.bad("DIFFERENT: the device did not give back what it was given"),
        };
        text += &format!("  {verdict}\n");
        for (name, summary) in [("Writing", &self.write), ("Reading", &self.read)] {
            if let Some(summary) = summary {
                text += &format!("\n{}\n{}", paint.strong(name), summary.text(2));
            }
        }
        let Simulation { clocks, seconds, clocks_per_second } = self.simulation;
        text += &format!(
            "\n{}\n  {} clocks in {seconds:.1} s: {} clocks per second; {} clocks were the bring-up\n",
            paint.strong("Simulation"),
            output::thousands(clocks),
            output::thousands(clocks_per_second as u64),
            output::thousands(self.bring_up_clocks),
        );
        text += &format!("\n{}\n{}", paint.strong("Next"), next_commands().text(2));
        text
    }
}

fn next_commands() -> Table {
    let mut table = Table::new(&[Align::Left, Align::Left]);
    let megahertz = CORE_HZ / 1_000_000;
    table.row([
        output::command("bench"),
        format!("cycles per command, IOPS and GB/s at {megahertz} MHz beside PCIe links"),
    ]);
    for (command, about) in [
        ("run --op mixed --depth 4 --host-latency 500", "a workload of your own"),
        ("trace read --out read.fst", "the waveform of a few reads"),
        ("emit controller --out verilog", "the SystemVerilog of the controller"),
        ("decode status 0x4002", "what the bits of a status, register or entry say"),
    ] {
        table.row([output::command(command), about.to_owned()]);
    }
    table
}
