//! `bench`: the figures of the project, under names that do not change.

use super::{bench_cores, bench_flash, bench_hosts, bench_iss};
use crate::backend::{latency, BackEnd, Kind, Settings};
use crate::comparison::{self, Throughput};
use crate::failure::{Failure, Result};
use crate::output::{self, Align, Paint, Table};
use crate::stats::Summary;
use crate::workload::{self, Function, Op, RandomWork, Window};
use nvme_spec::limits::{IO_QUEUES_DEFAULT, PAGE_BYTES, TRANSFER_BYTES_MAX};
use serde_json::{json, Map, Value};
use sim_host::{Driver, Options, Waiting};
use soc_top::DirectDevice;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Measure cycles per command, latencies and the speed of the simulation
///
/// Everything is counted in clocks of the device, in the steady state: the commands that warm it up are left out, and every queue stays
/// full until the last measured command has completed.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// Only this figure
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Commands of each measurement; those at depth 1 take a tenth
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4000,
        value_parser = clap::value_parser!(u64).range(100..=10_000_000),
    )]
    commands: u64,
    /// Chooses blocks and order
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Which device; only the hardware's clocks mean something
    #[arg(long, value_name = "DEVICE", value_enum, default_value_t = Kind::Verilated)]
    back_end: Kind,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write the throughputs beside links and other controllers as a plot (SVG)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Figures that are measured apart.
#[derive(clap::Subcommand)]
enum Part {
    Cores(bench_cores::Args),
    Flash(bench_flash::Args),
    Hosts(bench_hosts::Args),
    Iss(bench_iss::Args),
}

/// A run on the device.
#[derive(Clone, Copy)]
struct Measurement {
    name: &'static str,
    about: &'static str,
    op: Op,
    bytes: u32,
    window: Window,
    /// Pieces of each command that the figure is about: of its 4 KiB, or the command itself.
    pieces: u32,
    /// Clocks that are not the controller's: what is measured at depth 1, less these, is the figure.
    elsewhere: u64,
    /// What the figure must not exceed.
    most: Option<f64>,
}

/// Beats of 4 KiB of data: they cross a bus in as many clocks.
const BEATS_4K: u64 = 64;
/// Of a read at depth 1: the host answers once, for the entry; the memory answers, and the data crosses the bus.
const READ_ELSEWHERE: u64 = latency::HOST as u64 + latency::MEMORY as u64 + BEATS_4K;
/// Of a write at depth 1: the host answers once more, for the data.
const WRITE_ELSEWHERE: u64 = READ_ELSEWHERE + latency::HOST as u64;

const FULL: Window = Window { queues: 8, depth: 32 };
const SINGLE: Window = Window { queues: 1, depth: 32 };
const ONE: Window = Window { queues: 1, depth: 1 };
/// Few commands, which are long.
const LONG: Window = Window { queues: 1, depth: 4 };

/// Memory pages of the longest command, whose PRPs are a list.
const PAGES_MAX: u32 = TRANSFER_BYTES_MAX / PAGE_BYTES;
const _: () = assert!(TRANSFER_BYTES_MAX == 2 << 20, "the figures are named after it");

const READ_512: Measurement = Measurement {
    name: "read_512_cycles_per_command",
    about: "512 B reads, 8 queues, 32 deep",
    op: Op::Read,
    bytes: 512,
    window: FULL,
    pieces: 1,
    elsewhere: 0,
    most: Some(12.0),
};

/// The figures that come from one run each. At depth 1 the figure is the median latency, from the doorbell to the interrupt.
const MEASUREMENTS: [Measurement; 10] = [
    READ_512,
    Measurement {
        name: "write_512_cycles_per_command",
        about: "512 B writes, 8 queues, 32 deep",
        op: Op::Write,
        bytes: 512,
        window: FULL,
        pieces: 1,
        elsewhere: 0,
        most: Some(12.0),
    },
    Measurement {
        name: "read_4k_cycles_per_command",
        about: "4 KiB reads, 8 queues, 32 deep",
        op: Op::Read,
        bytes: 4096,
        window: FULL,
        pieces: 1,
        elsewhere: 0,
        most: Some(67.0),
    },
    Measurement {
        name: "write_4k_cycles_per_command",
        about: "4 KiB writes, 8 queues, 32 deep",
        op: Op::Write,
        bytes: 4096,
        window: FULL,
        pieces: 1,
        elsewhere: 0,
        most: Some(67.0),
    },
    Measurement {
        name: "mixed_4k_cycles_per_command",
        about: "4 KiB reads and writes, half of each, 8 queues, 32 deep",
        op: Op::Mixed,
        bytes: 4096,
        window: FULL,
        pieces: 1,
        elsewhere: 0,
        most: Some(36.0),
    },
    Measurement {
        name: "read_2m_cycles_per_4k",
        about: "2 MiB reads with PRP lists, one queue, 4 deep: each 4 KiB",
        op: Op::Read,
        bytes: TRANSFER_BYTES_MAX,
        window: LONG,
        pieces: PAGES_MAX,
        elsewhere: 0,
        most: Some(67.0),
    },
    Measurement {
        name: "write_2m_cycles_per_4k",
        about: "2 MiB writes with PRP lists, one queue, 4 deep: each 4 KiB",
        op: Op::Write,
        bytes: TRANSFER_BYTES_MAX,
        window: LONG,
        pieces: PAGES_MAX,
        elsewhere: 0,
        most: Some(67.0),
    },
    Measurement {
        name: "one_queue_read_512_cycles_per_command",
        about: "512 B reads, one queue, 32 deep",
        op: Op::Read,
        bytes: 512,
        window: SINGLE,
        pieces: 1,
        elsewhere: 0,
        most: Some(16.0),
    },
    Measurement {
        name: "read_4k_latency_cycles",
        about: "one 4 KiB read at a time, less memories and data",
        op: Op::Read,
        bytes: 4096,
        window: ONE,
        pieces: 1,
        elsewhere: READ_ELSEWHERE,
        most: Some(50.0),
    },
    Measurement {
        name: "write_4k_latency_cycles",
        about: "one 4 KiB write at a time, less memories and data",
        op: Op::Write,
        bytes: 4096,
        window: ONE,
        pieces: 1,
        elsewhere: WRITE_ELSEWHERE,
        most: Some(60.0),
    },
];

/// Clocks of reads with all queues busy, over those with a few.
const MANY_QUEUES: &str = "many_queues_read_512_over_8_queues";
/// What it must not exceed.
const MANY_QUEUES_MOST: f64 = 1.05;
/// The functions that work at once, and the queues of each that are compared. One function alone cannot have all I/O queues.
const FUNCTIONS: [u8; 2] = [0, 1];
const MANY: Window = Window { queues: 32, depth: 64 };
const FEW: Window = Window { queues: 4, depth: MANY.depth };
const _: () = assert!(MANY.queues * FUNCTIONS.len() as u16 == IO_QUEUES_DEFAULT);

/// Time outside of the Verilated model, in percent of all time.
const OVERHEAD: &str = "harness_overhead_percent";
/// What it must not exceed.
const OVERHEAD_MOST: f64 = 30.0;
/// How fast the simulation is.
const SPEED: &str = "simulation_clocks_per_second";
/// Clocks per second of the evaluator, over those of the Verilated model alone.
const EVALUATOR: &str = "evaluator_speed_over_verilator";
/// What it must reach.
const EVALUATOR_LEAST: f64 = 1.0 / 60.0;
/// Reads that the two are compared by, with four in flight in each queue.
const EVALUATOR_COMMANDS: u64 = 200;
/// Elaboration of the whole controller, and its Verilog.
const ELABORATION: &str = "elaboration_and_emission_ms";
/// What it must not exceed.
const ELABORATION_MOST: f64 = 1000.0;
/// Of so many, the fastest counts: other programs run on the machine, too.
const ELABORATION_ROUNDS: u32 = 5;

/// One run, measured.
struct Measured {
    measurement: Measurement,
    summary: Summary,
    clocks: u64,
    time: Duration,
    time_in_model: Option<Duration>,
}

impl Measured {
    fn figure(&self) -> f64 {
        match self.measurement.window {
            ONE => self.summary.latency.p50_cycles as f64 - self.measurement.elsewhere as f64,
            _ => self.summary.cycles_per_command / f64::from(self.measurement.pieces),
        }
    }
}

/// Measures and prints.
pub fn run(args: &Args) -> Result {
    match &args.part {
        Some(Part::Cores(args)) => return bench_cores::run(args),
        Some(Part::Flash(args)) => return bench_flash::run(args),
        Some(Part::Hosts(args)) => return bench_hosts::run(args),
        Some(Part::Iss(args)) => return bench_iss::run(args),
        None => {}
    }
    let wanted = wanted(args.only.as_deref())?;
    let mut measured = Vec::new();
    if !wanted.is_empty() {
        let mut device = BackEnd::new(&Settings::new(args.back_end, args.seed))?;
        for measurement in wanted {
            measured.push(measure(&mut device, measurement, args)?);
        }
    }
    // These are about the hardware: with another back end, only who names them gets them.
    let asks_for = |name| args.only.as_deref().map_or(args.back_end == Kind::Verilated, |only| only == name);
    let many_queues = asks_for(MANY_QUEUES).then(|| many_queues(args)).transpose()?;
    let evaluator = asks_for(EVALUATOR).then(|| evaluator_speed(args.seed)).transpose()?;
    let elaboration = asks_for(ELABORATION).then(elaboration_time).transpose()?;
    let figures = Figures { measured, many_queues, evaluator, elaboration, only: args.only.clone() };
    if let Some(path) = &args.plot {
        comparison::plot(path, &figures.throughputs())?;
    }
    if args.json {
        return output::print_json(&figures.json(args));
    }
    output::print(&figures.text(args))
}

/// The runs that the figure called `only` needs.
fn wanted(only: Option<&str>) -> Result<Vec<&'static Measurement>> {
    let Some(only) = only else { return Ok(MEASUREMENTS.iter().collect()) };
    if [MANY_QUEUES, EVALUATOR, ELABORATION].contains(&only) {
        return Ok(vec![]);
    }
    if only == OVERHEAD || only == SPEED {
        return Ok(MEASUREMENTS.iter().filter(|measurement| measurement.window == FULL).collect());
    }
    let found = MEASUREMENTS.iter().find(|measurement| measurement.name == only);
    found.map(|found| vec![found]).ok_or_else(|| {
        let names: Vec<&str> = MEASUREMENTS
            .iter()
            .map(|measurement| measurement.name)
            .chain([OVERHEAD, SPEED, MANY_QUEUES, EVALUATOR, ELABORATION])
            .collect();
        Failure::new(format!("there is no figure `{only}`"), format!("give `--only` one of {}", names.join(", ")))
    })
}

fn measure(device: &mut BackEnd, measurement: &Measurement, args: &Args) -> Result<Measured> {
    let Measurement { op, bytes, window, .. } = *measurement;
    // Every queue has been filled and emptied once before anything counts.
    let in_flight = u64::from(window.queues) * u64::from(window.depth);
    let warm_up = 2 * in_flight;
    let commands = match window {
        ONE => args.commands / 10,
        LONG => args.commands.div_ceil(PAGES_MAX.into()),
        _ => args.commands,
    };
    let waiting = if window == ONE { Waiting::Interrupts } else { Waiting::Polling };
    let options = Options { io_queues: window.queues, io_entries: 2 * window.depth, waiting, ..Options::default() };
    let mut driver = Driver::new(device, options);
    let identity = driver.bring_up().map_err(workload::device_failed)?;
    let all = warm_up + commands + in_flight;
    let mut work = RandomWork::new(&identity, op, bytes, window, all, args.seed);
    driver.device().start_profiling();
    let (start, start_clock) = (Instant::now(), driver.clock());
    let samples = workload::drive(&mut driver, &identity, &mut work)?;
    let measured = Measured {
        measurement: *measurement,
        summary: Summary::steady(&samples, warm_up as usize, commands as usize),
        clocks: driver.clock() - start_clock,
        time: start.elapsed(),
        time_in_model: driver.device().time_in_model(),
    };
    // The last interrupt may still be on its way: it must not meet the next driver.
    driver.disable().map_err(workload::device_failed)?;
    Ok(measured)
}

/// Clocks per command with many queues, over those with a few, both functions at work.
fn many_queues(args: &Args) -> Result<f64> {
    let mut device = BackEnd::new(&Settings::new(Kind::Verilated, args.seed))?;
    let mut clocks = |window| clocks_of_functions(&mut device, window, args);
    Ok(clocks(MANY)? / clocks(FEW)?)
}

/// Clocks of each 512 B read when both functions read at once, each as much as the window says.
fn clocks_of_functions(device: &mut BackEnd, window: Window, args: &Args) -> Result<f64> {
    let options = Options { io_queues: window.queues, io_entries: 2 * window.depth, ..Options::default() };
    let mut driver = Driver::new(device, options);
    let in_flight = u64::from(window.queues) * u64::from(window.depth);
    let (warm_up, commands) = (2 * in_flight, args.commands / FUNCTIONS.len() as u64);
    let mut works = vec![];
    for function in FUNCTIONS {
        driver.turn_to(function);
        let identity = driver.bring_up().map_err(workload::device_failed)?;
        let all = warm_up + commands + in_flight;
        works.push((function, identity, RandomWork::new(&identity, Op::Read, READ_512.bytes, window, all, args.seed)));
    }
    let functions = works.iter_mut().map(|(function, identity, work)| Function::new(*function, identity, work));
    let samples = workload::drive_functions(&mut driver, &mut functions.collect::<Vec<_>>())?;
    for function in FUNCTIONS {
        driver.turn_to(function);
        driver.disable().map_err(workload::device_failed)?;
    }
    let of_all = |of_each: u64| of_each as usize * FUNCTIONS.len();
    Ok(Summary::steady(&samples, of_all(warm_up), of_all(commands)).cycles_per_command)
}

/// The speed of the evaluator over that of the Verilated model: the same commands, the same clocks.
fn evaluator_speed(seed: u64) -> Result<f64> {
    let window = Window { queues: FULL.queues, depth: 4 };
    let run = |kind: Kind| -> Result<(u64, Duration)> {
        let mut device = BackEnd::new(&Settings::new(kind, seed))?;
        let options = Options { io_queues: window.queues, io_entries: 2 * window.depth, ..Options::default() };
        let mut driver = Driver::new(&mut device, options);
        let identity = driver.bring_up().map_err(workload::device_failed)?;
        let mut work = RandomWork::new(&identity, Op::Read, 4096, window, EVALUATOR_COMMANDS, seed);
        driver.device().start_profiling();
        let (start, start_clock) = (Instant::now(), driver.clock());
        workload::drive(&mut driver, &identity, &mut work)?;
        let (clocks, time) = (driver.clock() - start_clock, start.elapsed());
        Ok((clocks, driver.device().time_in_model().unwrap_or(time)))
    };
    let (clocks, evaluated) = run(Kind::Evaluator)?;
    let (verilated_clocks, verilated) = run(Kind::Verilated)?;
    if clocks != verilated_clocks {
        return Err(Failure::new(
            format!("the evaluator took {clocks} clocks for what took {verilated_clocks} under Verilator"),
            "run `cargo test -p sim-cosim`, and report it: the two should be the same device",
        ));
    }
    Ok(verilated.as_secs_f64() / evaluated.as_secs_f64())
}

/// Milliseconds from the description of the controller to its Verilog.
fn elaboration_time() -> Result<f64> {
    let mut fastest = Duration::MAX;
    for _ in 0..ELABORATION_ROUNDS {
        let start = Instant::now();
        let design = rtl_hdl::elaborate(&DirectDevice::new(nvme_hw::Config::DEFAULT));
        let design = design.map_err(|problems| {
            Failure::new("the hardware description has mistakes", "correct them").with_detail(problems.to_string())
        })?;
        let files = rtl_hdl::emit(&design);
        fastest = fastest.min(start.elapsed());
        drop(files);
    }
    Ok(fastest.as_secs_f64() * 1000.0)
}

/// All that was measured.
struct Figures {
    measured: Vec<Measured>,
    many_queues: Option<f64>,
    evaluator: Option<f64>,
    elaboration: Option<f64>,
    only: Option<String>,
}

impl Figures {
    fn clocks_per_second(&self) -> f64 {
        let clocks: u64 = self.measured.iter().map(|measured| measured.clocks).sum();
        let time: Duration = self.measured.iter().map(|measured| measured.time).sum();
        clocks as f64 / time.as_secs_f64()
    }

    /// A device without a Verilated model has none.
    fn overhead_percent(&self) -> Option<f64> {
        let time: Duration = self.measured.iter().map(|measured| measured.time).sum();
        let in_model: Option<Duration> = self.measured.iter().map(|measured| measured.time_in_model).sum();
        Some(100.0 * (1.0 - in_model?.as_secs_f64() / time.as_secs_f64()))
    }

    /// Name, value, what it must reach, what it is.
    fn all(&self) -> Vec<Figure> {
        let of_run = |measured: &Measured| {
            let Measurement { name, most, about, .. } = measured.measurement;
            (name, measured.figure(), most.map(Must::BeAtMost), about)
        };
        let mut all: Vec<_> = self.measured.iter().map(of_run).collect();
        if let Some(percent) = self.overhead_percent() {
            all.push((OVERHEAD, percent, Some(Must::BeAtMost(OVERHEAD_MOST)), "time outside of the Verilated model"));
        }
        if !self.measured.is_empty() {
            all.push((SPEED, self.clocks_per_second(), None, "on this machine"));
        }
        if let Some(ratio) = self.many_queues {
            let about = "512 B reads, 64 queues of two functions, 64 deep: clocks over those of 8 queues";
            all.push((MANY_QUEUES, ratio, Some(Must::BeAtMost(MANY_QUEUES_MOST)), about));
        }
        if let Some(ratio) = self.evaluator {
            let about = "the evaluator of the HDL on the same reads";
            all.push((EVALUATOR, ratio, Some(Must::BeAtLeast(EVALUATOR_LEAST)), about));
        }
        if let Some(milliseconds) = self.elaboration {
            let about = "the whole controller, from Rust to Verilog";
            all.push((ELABORATION, milliseconds, Some(Must::BeAtMost(ELABORATION_MOST)), about));
        }
        all.retain(|(name, ..)| self.only.as_ref().is_none_or(|only| only == name));
        all
    }

    /// What was measured with full queues.
    fn throughputs(&self) -> Vec<Throughput> {
        let full = self.measured.iter().filter(|measured| ![ONE, LONG].contains(&measured.measurement.window));
        let throughput = |measured: &Measured| {
            let Measurement { op, bytes, .. } = measured.measurement;
            Throughput::new(op, bytes.into(), measured.summary.cycles_per_command)
        };
        full.map(throughput).collect()
    }

    fn json(&self, args: &Args) -> Value {
        let mut object = Map::new();
        for (name, value, ..) in self.all() {
            let digits = if value < 1.0 { 1e4 } else { 100.0 };
            object.insert(name.to_owned(), json!((value * digits).round() / digits));
        }
        object.insert("throughputs".to_owned(), json!(self.throughputs()));
        object.insert("reported_by_others".to_owned(), json!(comparison::OTHERS));
        object.insert("back_end".to_owned(), json!(args.back_end.description()));
        object.insert("commands".to_owned(), json!(args.commands));
        object.insert("seed".to_owned(), json!(args.seed));
        Value::Object(object)
    }

    fn text(&self, args: &Args) -> String {
        let paint = Paint::stdout();
        let Settings { host, memory, .. } = Settings::new(args.back_end, args.seed);
        let mut text = format!(
            "{}: {}, {} commands each; memory answers after {} clocks in the host, {} in the device\n",
            paint.strong("Figures"),
            args.back_end.description(),
            output::thousands(args.commands),
            host.read_latency.min,
            memory.read_latency.min,
        );
        text += &figures_table("figure", self.all());
        let throughputs = self.throughputs();
        if !throughputs.is_empty() {
            text += &format!("\n{}\n{}", paint.strong(comparison::title()), comparison::table(&throughputs));
        }
        text
    }
}

/// A figure: its name, its value, what it must be, and what it is about.
pub(super) type Figure = (&'static str, f64, Option<Must>, &'static str);

/// A line for each figure.
pub(super) fn figures_table(heading: &str, figures: impl IntoIterator<Item = Figure>) -> String {
    let mut table = Table::with_heading(&[
        (heading, Align::Left),
        ("measured", Align::Right),
        ("must", Align::Right),
        ("", Align::Left),
        ("of", Align::Left),
    ]);
    for (name, value, must, about) in figures {
        let verdict = must.map_or("", |must| must.verdict(value));
        let must = must.map_or_else(String::new, |must| must.to_string());
        table.row([name.to_owned(), number(value), must, verdict.to_owned(), about.to_owned()]);
    }
    table.text(2)
}

/// The figures by their names: what is below 10 with four digits behind the point, the rest with two.
pub(super) fn figures_json(figures: &[Figure]) -> Map<String, Value> {
    let rounded = |value: f64| {
        let digits = if value < 10.0 { 1e4 } else { 100.0 };
        json!((value * digits).round() / digits)
    };
    figures.iter().map(|(name, value, ..)| ((*name).to_owned(), rounded(*value))).collect()
}

/// What a figure must reach.
#[derive(Clone, Copy, Debug)]
pub(super) enum Must {
    BeAtMost(f64),
    BeAtLeast(f64),
    /// So many percent from it at most.
    LieNear(f64, f64),
}

impl Must {
    /// What a table says of a value.
    pub(super) fn verdict(self, value: f64) -> &'static str {
        if self.is_reached(value) {
            "reached"
        } else {
            "MISSED"
        }
    }

    pub(super) fn is_reached(self, value: f64) -> bool {
        match self {
            Must::BeAtMost(most) => value <= most,
            Must::BeAtLeast(least) => value >= least,
            Must::LieNear(wanted, percent) => (value / wanted - 1.0).abs() * 100.0 <= percent,
        }
    }
}

impl std::fmt::Display for Must {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Must::BeAtMost(most) => write!(f, "<= {most}"),
            Must::BeAtLeast(least) => write!(f, ">= {}", number(least)),
            Must::LieNear(wanted, percent) => write!(f, "{wanted} +- {percent} %"),
        }
    }
}

pub(super) fn number(value: f64) -> String {
    match value {
        _ if value < 1.0 => format!("{value:.4}"),
        _ if value < 2.0 => format!("{value:.2}"),
        _ if value < 1000.0 => format!("{value:.1}"),
        _ => output::thousands(value as u64),
    }
}
