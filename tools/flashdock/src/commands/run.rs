//! `run`: a workload of one's own.

use crate::backend::{self, BackEnd, Kind, Processor, Settings};
use crate::failure::{Failure, Result};
use crate::output::{self, Paint};
use crate::report::DeviceReport;
use crate::stats::Summary;
use crate::storage;
use crate::workload::{self, Op, RandomWork, Window};
use nvme_spec::limits;
use serde::Serialize;
use sim_device::{BusTiming, Chance, Stalls};
use sim_host::{Driver, Options};

/// Run a workload of random reads and writes and print its figures
///
/// The host looks at the completions and announces new commands in every clock, so that every queue stays full.
#[derive(clap::Args)]
pub struct Args {
    /// What to do
    #[arg(long, value_enum, default_value_t = Op::Read)]
    op: Op,
    /// Bytes of each command
    #[arg(long, value_name = "N", default_value_t = 4096)]
    bytes: u32,
    /// Commands in flight in each queue
    #[arg(
        long,
        value_name = "N",
        default_value_t = 32,
        value_parser = clap::value_parser!(u16).range(1..i64::from(limits::QUEUE_ENTRIES_MAX)),
    )]
    depth: u16,
    /// I/O queues
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..i64::from(limits::IO_QUEUES_DEFAULT)),
    )]
    queues: u16,
    /// Commands in all
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    commands: u64,
    /// Clocks from a read of host memory to its data
    #[arg(
        long,
        value_name = "CLOCKS",
        default_value_t = backend::latency::HOST,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
    )]
    host_latency: u32,
    /// Clocks from a read of the device's memory to its data
    #[arg(
        long,
        value_name = "CLOCKS",
        default_value_t = backend::latency::MEMORY,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
    )]
    memory_latency: u32,
    /// How often, in percent of all clocks, each channel of both memories pauses
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=95))]
    stall: u32,
    /// Chooses blocks, order and pauses
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Which device
    #[arg(long, value_name = "DEVICE", value_enum, default_value_t = Kind::Verilated)]
    back_end: Kind,
    /// What the controller's firmware runs on
    #[arg(long, value_name = "PROCESSOR", value_enum, default_value_t = Processor::Hosted)]
    firmware: Processor,
    /// Processors of the device, if firmware runs on them [default: 1, and with flash 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(soc_map::HARTS_MAX)))]
    harts: Option<u32>,
    #[command(flatten)]
    storage: storage::Args,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    device: DeviceReport,
    op: Op,
    bytes_per_command: u32,
    queues: u16,
    depth: u16,
    host_latency: u32,
    memory_latency: u32,
    stall_percent: u32,
    firmware: Processor,
    seed: u64,
    figures: Summary,
}

/// Runs the workload.
pub fn run(args: &Args) -> Result {
    check(args)?;
    let timing = |clocks, seed| BusTiming {
        stalls: Stalls::all(Chance::of(args.stall, 100)),
        seed,
        ..BusTiming::with_latency(clocks)
    };
    let flash = args.storage.load(args.back_end)?;
    let mut settings = Settings {
        host: timing(args.host_latency, args.seed),
        memory: timing(args.memory_latency, args.seed.wrapping_add(1)),
        ..Settings::new(args.back_end, args.seed)
    };
    if let Some(flash) = &flash {
        settings.namespace_bytes = flash.namespace_bytes_max();
    }
    settings.flash = flash.clone();
    let harts = args.harts.unwrap_or(if flash.is_some() { HARTS_WITH_FLASH } else { 1 });
    settings.cores = args.firmware.cores(harts)?;
    let mut device = BackEnd::new(&settings)?;
    // A ring holds one entry less than it has.
    let options = Options { io_queues: args.queues, io_entries: args.depth + 1, ..Options::default() };
    let mut driver = Driver::new(&mut device, options);
    let identity = driver.bring_up().map_err(workload::device_failed)?;
    let window = Window { queues: args.queues, depth: args.depth };
    let mut work = RandomWork::new(&identity, args.op, args.bytes, window, args.commands, args.seed);
    let samples = workload::drive(&mut driver, &identity, &mut work)?;
    driver.check_canaries().map_err(workload::device_failed)?;
    let console = driver.device().take_console();
    let Some(figures) = Summary::of(&samples) else {
        return Err(Failure::new("no command was executed", "ask for at least one with `--commands`"));
    };
    let report = Report {
        device: DeviceReport::new(args.back_end, &identity, args.queues, args.depth + 1)
            .with_processor(args.firmware, args.back_end)
            .with_flash(flash.as_ref()),
        op: args.op,
        bytes_per_command: args.bytes,
        queues: args.queues,
        depth: args.depth,
        host_latency: args.host_latency,
        memory_latency: args.memory_latency,
        stall_percent: args.stall,
        firmware: args.firmware,
        seed: args.seed,
        figures,
    };
    if args.json {
        return output::print_json(&report);
    }
    let console = match String::from_utf8_lossy(&console).replace('\r', "") {
        text if text.is_empty() => text,
        text => format!("{}\n{text}\n", Paint::stdout().strong("Console of the firmware")),
    };
    output::print(&format!("{console}{}", report.text()))
}

/// Processors of a device with flash, at least: one serves hosts, and one the flash.
const HARTS_WITH_FLASH: u32 = 2;

fn check(args: &Args) -> Result {
    if args.firmware == Processor::Hosted && args.harts.is_some() {
        return Err(Failure::new(
            "there are no processors: the firmware runs on this machine",
            "leave `--harts` out, or give `--firmware iss` or `--firmware rtl`",
        ));
    }
    if args.firmware != Processor::Hosted && args.back_end != Kind::Verilated {
        return Err(Failure::new(
            "only the Verilated device has processors for its firmware",
            "leave `--back-end` or `--firmware` out",
        ));
    }
    let (lba_bytes, largest) = (limits::LBA_BYTES, limits::TRANSFER_BYTES_MAX);
    if args.bytes == 0 || args.bytes % lba_bytes != 0 || args.bytes > largest {
        return Err(Failure::new(
            format!("a command cannot have {} bytes", args.bytes),
            format!("give `--bytes` a multiple of {lba_bytes} up to {largest}"),
        ));
    }
    Ok(())
}

impl Report {
    fn text(&self) -> String {
        let op = match self.op {
            Op::Read => "reads",
            Op::Write => "writes",
            Op::Mixed => "reads and writes",
        };
        let title = format!(
            "{op} of {} at random places, {} queues, {} deep",
            output::bytes_text(self.bytes_per_command.into()),
            self.queues,
            self.depth
        );
        let title = Paint::stdout().strong(title);
        let around = format!(
            "  memory answers after {} clocks in the host, {} in the device; channels pause in {} % of the clocks\n",
            self.host_latency, self.memory_latency, self.stall_percent
        );
        format!("{}\n{title}\n{around}{}", self.device.text(), self.figures.text(2))
    }
}
