//! `bench flash`: the figures of the emulated flash, in clocks of the hardware.

use super::bench::{figures_json, figures_table, Figure, Must};
use crate::backend::latency;
use crate::failure::{Failure, Result};
use crate::output::{self, Paint};
use crate::stats::{nanoseconds, Sample, Summary};
use crate::storage::{self, CACHE_BYTES};
use crate::workload::{self, Op, RandomWork, Window};
use flash_spec::limits::{PAGE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::{Clocks, Geometry, Operation, Preset, Reliability};
use nvme_spec::limits::CORE_HZ;
use serde_json::{json, Value};
use sim_cosim::{FlashOptions, Options as HardwareOptions, Verilated};
use sim_device::BusTiming;
use sim_flash::array::{Command, VerilatedArray};
use sim_host::{Driver, Identity, Options, Waiting};

/// Measure the emulated flash: 48 dies on 12 channels, alone and behind the controller
///
/// The array of channels is measured alone, fed as fast as it takes commands. The device is measured as a host sees it. All is counted in clocks of the Verilated
/// hardware, and times are those of the preset simplessd-mlc unless a figure says otherwise. The first run builds both models, which takes minutes.
#[derive(clap::Args)]
#[group(id = "flash")]
pub struct Args {
    /// Commands of each measurement of the device; those at depth 1 and those of 128 KiB are a tenth
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u64).range(100..=8000))]
    commands: u64,
    /// Reads whose tail is compared with and without suspension
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    tail_reads: u64,
    /// Only the array of channels alone
    #[arg(long, conflicts_with = "device_only")]
    array_only: bool,
    /// Only the device
    #[arg(long)]
    device_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const FULL: Window = Window { queues: 8, depth: 32 };
const ONE: Window = Window { queues: 1, depth: 1 };
/// Few commands, which are long.
const LONG: Window = Window { queues: 1, depth: 8 };

/// The flash of the device.
const GEOMETRY: Geometry = Geometry::DEFAULT_1_GIB;
const NAMESPACE_BYTES: u64 = 64 << 20;
/// What is written before anything is measured.
const FILLED_BYTES: u64 = 32 << 20;
/// What is read from flash: the rest of that is written after it, and stays in the cache.
const READ_BYTES: u64 = FILLED_BYTES - 2 * CACHE_BYTES;
/// What is written before each Flush, and less than makes the cache give lines by itself: so each aligned piece of 16 KiB comes to lie in one page.
const STEP_BYTES: u64 = 1 << 20;
/// How often what is not measured is read, twice as much as the cache holds, so that something is left of one line in 10,000.
const FORGET_ROUNDS: usize = 4;
/// A prime: pieces this far apart share no page.
const STRIDE: u64 = 1009;
/// Commands of the warm-up, twice what is in flight.
const WARM_UP: u64 = 2 * FULL.queues as u64 * FULL.depth as u64;

/// Measures and prints.
pub fn run(args: &Args) -> Result {
    let mut figures = Vec::new();
    if !args.device_only {
        figures.extend(array(args)?);
    }
    if !args.array_only {
        figures.extend(device(args)?);
    }
    if args.json {
        let mut object = figures_json(&figures);
        object.insert("commands".to_owned(), json!(args.commands));
        return output::print_json(&Value::Object(object));
    }
    output::print(&text(&figures, args))
}

fn text(figures: &[Figure], args: &Args) -> String {
    let mut text = format!(
        "{}: 12 channels of 4 dies of 2 planes, preset simplessd-mlc, {} commands each\n",
        Paint::stdout().strong("Flash"),
        output::thousands(args.commands),
    );
    text += &figures_table("figure", figures.iter().copied());
    text
}

fn clocks(preset: Preset) -> Clocks {
    preset.clocks(CORE_HZ)
}

fn gigabytes_per_second(pages_per_clock: f64) -> f64 {
    pages_per_clock * f64::from(PAGE_BYTES) * CORE_HZ as f64 / 1e9
}

fn not_built(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string(), "see what the build said; the README names what has to be installed")
}

/// The array of channels alone.
fn array(args: &Args) -> Result<Vec<Figure>> {
    let geometry = Geometry::DEFAULT;
    let times = clocks(Preset::SimplessdMlc);
    let new = |suspends| VerilatedArray::new(geometry, &times, suspends).map_err(not_built);
    let at = |operation: Operation, planes: u8| {
        move |index: u32| Command {
            operation,
            die: (index % geometry.dies_per_channel) as u8,
            planes,
            block: 0,
            page: (index / geometry.dies_per_channel % geometry.pages_per_block) as u16,
            units: UNITS_PER_PAGE,
        }
    };
    let mut figures = Vec::new();
    let runs: [(&str, Operation, u8, u32, f64, &str); 5] = [
        ("read_gb_s", Operation::Read, 1, 400, 4.80, "reads of pages, all dies busy"),
        ("write_gb_s", Operation::CacheProgram, 1, 128, 0.87, "cache programs of a plane"),
        ("write_2plane_gb_s", Operation::CacheProgram, 3, 128, 1.75, "cache programs of two planes"),
        ("write_without_cache_gb_s", Operation::Program, 1, 128, 0.836, "programs of a plane"),
        ("write_2plane_without_cache_gb_s", Operation::Program, 3, 128, 1.60, "programs of two planes"),
    ];
    for (name, operation, planes, count, wanted, about) in runs {
        let pages = new(true)?.steady_pages_per_clock(geometry.channels, count, at(operation, planes));
        figures.push((name, gigabytes_per_second(pages), Some(Must::LieNear(wanted, 2.0)), about));
    }
    let reads = args.tail_reads as usize;
    let tail = |suspends| -> Result<f64> {
        let latencies = new(suspends)?.read_latencies(&geometry, &times, 70, reads);
        Ok(latencies[reads * 999 / 1000] as f64)
    };
    let ratio = tail(false)? / tail(true)?;
    let about = "p99.9 of 4 KiB reads with writes at 70 %: without suspension over with";
    figures.push(("read_p999_without_over_with_suspend", ratio, Some(Must::BeAtLeast(5.0)), about));
    Ok(figures)
}

/// A device that is measured.
struct Bench {
    device: Verilated,
    commands: u64,
}

/// The device as a host sees it.
fn device(args: &Args) -> Result<Vec<Figure>> {
    let config = nvme_hw::Config::DEFAULT;
    let memory = BusTiming::with_latency(latency::MEMORY);
    let plain = HardwareOptions {
        namespace_bytes: NAMESPACE_BYTES,
        host: BusTiming::with_latency(latency::HOST),
        memory,
        ..HardwareOptions::new(config)
    };
    let all_bytes = plain.namespace_bytes + plain.shared_bytes + plain.spare_bytes;
    let unit = u64::from(UNIT_BYTES);
    let path = storage::hardware(GEOMETRY, (all_bytes / unit) as u32);
    let flash = FlashOptions { path, clocks: clocks(Preset::Scm), reliability: Reliability::DEFAULT };
    let with_flash = HardwareOptions { flash: Some(flash), ..plain.clone() };
    let new = |options| -> Result<Bench> {
        let device = Verilated::new(options).map_err(not_built)?;
        Ok(Bench { device, commands: args.commands })
    };

    let direct = {
        let mut bench = new(&plain)?;
        bench.throughput(|identity, all| RandomWork::new(identity, Op::Read, UNIT_BYTES, FULL, all, 1))?
    };
    let mut bench = new(&with_flash)?;
    let mut figures = Vec::new();
    bench.fill()?;

    // Reads that the cache answers: what was written last.
    let events = bench.events();
    let cached = bench.throughput(|identity, all| {
        let work = RandomWork::new(identity, Op::Read, UNIT_BYTES, FULL, all, 1);
        work.within(CACHE_BYTES / 4)
    });
    let cached = cached?.cycles_per_command;
    let most = direct.cycles_per_command * 1.1;
    figures.push((
        "cache_hit_read_4k_cycles_per_command",
        cached,
        Some(Must::BeAtMost(most)),
        "must: that of `direct`, and 10 %",
    ));
    let missed = bench.throughput(|identity, all| {
        RandomWork::new(identity, Op::Read, UNIT_BYTES, FULL, all, 1).within(READ_BYTES).strided(0, STRIDE)
    })?;
    let about = "4 KiB reads from flash without array and bus times";
    figures.push(("map_hit_read_4k_cycles_per_command", missed.cycles_per_command, Some(Must::BeAtMost(80.0)), about));
    let asked = (bench.events() - events) as f64;
    figures.push((
        "firmware_asked_during_reads",
        asked,
        Some(Must::BeAtMost(0.0)),
        "clocks in which reads asked for firmware of the flash",
    ));

    // The second time other pages than the first time, which are in the cache, and all that a read of the flash takes twice as long: what that adds is the time
    // of the flash. The rest is the controller's own; part of what it does is hidden under the other.
    let page = |identity: &Identity, commands: u64, round: u64| {
        let first = round * commands * STRIDE % (READ_BYTES / u64::from(PAGE_BYTES));
        RandomWork::new(identity, Op::Read, PAGE_BYTES, ONE, commands, 1).within(READ_BYTES).strided(first, STRIDE)
    };
    bench.forget()?;
    let times = clocks(Preset::SimplessdMlc);
    let doubled =
        Clocks { read: times.read.map(|read| 2 * read), command: 2 * times.command, unit: 2 * times.unit, ..times };
    let mut all = [0.0; 2];
    for ((round, all), times) in (0..).zip(&mut all).zip([&times, &doubled]) {
        bench.settle();
        bench.device.set_flash_clocks(times);
        *all = mean_of_both_kinds(&bench.latencies_us(|identity, commands| page(identity, commands, round))?);
    }
    let of_flash = all[1] - all[0];
    figures.push((
        "qd1_read_16k_us",
        of_flash,
        Some(Must::LieNear(93.5, 1.0)),
        "16 KiB reads, mean of LSB and MSB pages: array and bus",
    ));
    figures.push((
        "qd1_read_16k_controller_us",
        all[0] - of_flash,
        None,
        "of the same reads: host, controller, cache, map, memories",
    ));

    bench.settle();
    bench.device.set_flash_clocks(&times);
    let read = bench.throughput(|identity, all| {
        RandomWork::new(identity, Op::Read, PAGE_BYTES, FULL, all, 1).within(READ_BYTES).strided(0, STRIDE)
    })?;
    let about = "16 KiB reads through the controller, as many as it has in flight";
    figures.push(("device_read_16k_gb_s", read.gigabytes_per_second, None, about));
    let write = bench.write_throughput()?;
    figures.push((
        "device_write_128k_gb_s",
        write.gigabytes_per_second,
        None,
        "128 KiB writes one after the other through the controller",
    ));
    figures.push((
        "device_late_clocks",
        bench.late_clocks(),
        None,
        "in which data was later than the bus of a channel",
    ));
    Ok(figures)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean of the mean of LSB pages and that of MSB pages, whose array times differ by far more than anything else: as if there had been as many of both.
fn mean_of_both_kinds(latencies: &[f64]) -> f64 {
    let least = latencies.iter().copied().fold(f64::INFINITY, f64::min);
    let most = latencies.iter().copied().fold(0.0, f64::max);
    let (lsb, msb): (Vec<f64>, Vec<f64>) = latencies.iter().partition(|&&latency| latency < (least + most) / 2.0);
    (mean(&lsb) + mean(&msb)) / 2.0
}

impl Bench {
    fn events(&self) -> u64 {
        self.device.flash_counts().map_or(0, |counts| counts.event_clocks)
    }

    fn late_clocks(&self) -> f64 {
        self.device.flash_counts().map_or(0.0, |counts| counts.late_clocks as f64)
    }

    /// Time for what the flash does by itself.
    fn settle(&mut self) {
        sim_device::Device::step(&mut self.device, 100_000);
    }

    /// Runs a work on the device, after it has been brought up.
    fn drive(&mut self, window: Window, work: impl FnOnce(&Identity) -> RandomWork) -> Result<Vec<Sample>> {
        let waiting = if window == ONE { Waiting::Interrupts } else { Waiting::Polling };
        let options =
            Options { io_queues: window.queues, io_entries: 2 * window.depth.max(2), waiting, ..Options::default() };
        let mut driver = Driver::new(&mut self.device, options);
        let identity = driver.bring_up().map_err(workload::device_failed)?;
        let samples = workload::drive(&mut driver, &identity, &mut work(&identity))?;
        driver.disable().map_err(workload::device_failed)?;
        Ok(samples)
    }

    /// What commands come to in the steady state.
    fn throughput(&mut self, work: impl Fn(&Identity, u64) -> RandomWork) -> Result<Summary> {
        let all = 2 * WARM_UP + self.commands;
        let samples = self.drive(FULL, |identity| work(identity, all))?;
        Ok(Summary::steady(&samples, WARM_UP as usize, self.commands as usize))
    }

    /// The same of writes of 128 KiB one after the other, a tenth as many, because they are long.
    fn write_throughput(&mut self) -> Result<Summary> {
        let (warm_up, commands) = (2 * u64::from(LONG.depth), self.commands / 10);
        let all = 2 * warm_up + commands;
        let samples = self.drive(LONG, |identity| {
            RandomWork::new(identity, Op::Write, 32 * UNIT_BYTES, LONG, all, 1).strided(0, 1)
        })?;
        Ok(Summary::steady(&samples, warm_up as usize, commands as usize))
    }

    /// The latencies of commands one at a time, from the doorbell to the interrupt.
    fn latencies_us(&mut self, work: impl Fn(&Identity, u64) -> RandomWork) -> Result<Vec<f64>> {
        let commands = self.commands / 10;
        let samples = self.drive(ONE, |identity| work(identity, commands))?;
        let clocks = samples.iter().map(|sample| sample.completed_at - sample.announced_at);
        Ok(clocks.map(|clocks| nanoseconds(clocks as f64) / 1000.0).collect())
    }

    /// Reads so much else that the cache, which replaces its lines at random, has next to nothing of what is measured.
    fn forget(&mut self) -> Result {
        let mut driver = Driver::new(&mut self.device, Options { io_queues: 1, ..Options::default() });
        let identity = driver.bring_up().map_err(workload::device_failed)?;
        let mut back = vec![0; STEP_BYTES as usize];
        let others = (READ_BYTES..FILLED_BYTES).step_by(STEP_BYTES as usize);
        for start in std::iter::repeat_n(others, FORGET_ROUNDS).flatten() {
            driver
                .read(&identity, start / u64::from(identity.lba_bytes), &mut back)
                .map_err(workload::device_failed)?;
        }
        driver.disable().map_err(workload::device_failed)
    }

    /// Writes what is measured, and reads what is to be in the cache.
    fn fill(&mut self) -> Result {
        let options = Options { io_queues: 1, ..Options::default() };
        let mut driver = Driver::new(&mut self.device, options);
        let identity = driver.bring_up().map_err(workload::device_failed)?;
        let mut progress = crate::progress::Progress::new("writes", FILLED_BYTES / STEP_BYTES);
        let data = vec![0xA5; STEP_BYTES as usize];
        for start in (0..FILLED_BYTES).step_by(STEP_BYTES as usize) {
            let block = start / u64::from(identity.lba_bytes);
            driver.write(&identity, block, &data).map_err(workload::device_failed)?;
            driver.flush(&identity).map_err(workload::device_failed)?;
            progress.advance(1);
        }
        // The first quarter of what the cache holds is read again.
        let mut back = vec![0; STEP_BYTES as usize];
        driver.read(&identity, 0, &mut back).map_err(workload::device_failed)?;
        driver.disable().map_err(workload::device_failed)
    }
}
