//! `cargo xtask flash-study` and `flash-cuts`: long runs of the flash translation layer on its models.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{anyhow, bail, Result};
use flash_fw::Config;
use flash_model::reference_ftl::{self, FtlConfig, Pattern};
use flash_spec::{Geometry, Preset};
use rtl_hdl::bench::Seed;
use sim_flash::campaign::{run, seeds, Plan, Tally};
use sim_flash::hardware_cuts::{self, Campaign};
use sim_flash::mounts;
use sim_flash::study::{study, with_spare};

/// What is studied.
#[derive(Debug, clap::Args)]
pub struct StudyArguments {
    /// Blocks of the reference, or super-blocks of the firmware's flash
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(64..=1024))]
    blocks: u32,
    /// Units of 4 KiB in a block of the reference
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..=65_536))]
    units_per_block: u32,
    /// Capacities to write before the last, which counts, has been written
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    capacities: u32,
    /// Capacities to write for wear, nine of ten writes to a tenth of the units
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    wear_capacities: u32,
    /// Power cuts after which the firmware mounts flash of 1 and 4 GiB
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    mount_cuts: u32,
    /// Study the firmware over the model of the hardware instead of the reference: slow, so that it wants fewer capacities
    #[arg(long)]
    firmware: bool,
    /// What the random numbers are made from
    #[arg(long, default_value = "1", value_parser = seed)]
    seed: Seed,
}

/// What is cut.
#[derive(Debug, clap::Args)]
pub struct CutsArguments {
    /// What everything is made from, decimal or hexadecimal with 0x; alone, one run of this seed
    #[arg(long, value_parser = seed)]
    seed: Option<Seed>,
    /// How many power cuts, over all runs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    cuts: Option<u64>,
    /// Cut the Verilated hardware under its firmware, in any clock, instead of the reference: slow, 200 cuts unless it is said how many
    #[arg(long)]
    hardware: bool,
    /// With --hardware: programs, erases and reads fail too
    #[arg(long, requires = "hardware")]
    faults: bool,
}

/// Power cuts of a campaign on the hardware, likewise, and clocks of a life at most.
const HARDWARE_CUTS: u64 = 200;
const HARDWARE_LIFE_CLOCKS: u32 = 400_000;

/// Power cuts of a campaign that does not say how many.
const CUTS: u64 = 10_000;

/// Spares to study, in percent, and what is expected of greedy collection of large blocks.
const SPARES: [(u32, f64); 3] = [(7, 7.82), (15, 4.02), (28, 2.48)];

fn seed(text: &str) -> Result<Seed, String> {
    Seed::parse(text).ok_or_else(|| "a seed is a number, such as 24301 or 0x5eed".into())
}

/// Prints write amplification and wear, and how long the firmware mounts.
pub fn run_study(arguments: &StudyArguments) -> Result<()> {
    if arguments.firmware {
        study_firmware(arguments)
    } else {
        study_reference(arguments);
        Ok(())
    }
}

fn study_reference(arguments: &StudyArguments) {
    let StudyArguments { blocks, units_per_block, capacities, wear_capacities, seed, .. } = *arguments;
    println!("reference: {blocks} blocks of {units_per_block} units, capacity {capacities} of {capacities}");
    println!("{:>7} {:>20} {:>9} {:>10}", "spare %", "write amplification", "expected", "deviation");
    for (spare, expected) in SPARES {
        let start = Instant::now();
        let found = reference_ftl::study(
            FtlConfig::with_spare(blocks, units_per_block, spare),
            Pattern::Uniform,
            capacities,
            seed.0,
        );
        let amplification = found.write_amplification;
        let deviation = 100.0 * (amplification / expected - 1.0);
        println!("{spare:>7} {amplification:>20.3} {expected:>9.2} {deviation:>9.1}%");
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("        {:.1} million units programmed in {seconds:.1} s", found.programmed as f64 / 1e6);
    }
    let units = units_per_block.min(64);
    let config = FtlConfig { levels_wear: true, ..FtlConfig::with_spare(blocks, units, 28) };
    let found = reference_ftl::study(config, Pattern::HotCold, wear_capacities, seed.0);
    let share = 100.0 * f64::from(found.erases_spread) / found.erases_mean;
    println!("wear, 90/10 hot and cold, {wear_capacities} capacities, 28 % spare, blocks of {units} units:");
    println!(
        "  {} erases between the least and the most worn block, {share:.1} % of the mean of {:.1}; write amplification {:.2}",
        found.erases_spread, found.erases_mean, found.write_amplification
    );
}

fn study_firmware(arguments: &StudyArguments) -> Result<()> {
    let StudyArguments { blocks, capacities, wear_capacities, mount_cuts, seed, .. } = *arguments;
    let geometry =
        Geometry { channels: 2, dies_per_channel: 2, planes_per_die: 1, blocks_per_plane: blocks, pages_per_block: 64 };
    let stopped = |stopped| anyhow!("the drive stopped: {stopped:?}");
    println!("firmware: {blocks} super-blocks of 1024 units, capacity {capacities} of {capacities}");
    println!("{:>7} {:>9} {:>20} {:>17}", "spare %", "counted", "write amplification", "records per page");
    for (spare, _) in SPARES {
        let config = Config { levels_wear: false, ..with_spare(Config::new(geometry, 50), spare) };
        let found = study(config, Pattern::Uniform, capacities, seed.0).map_err(stopped)?;
        let (counted, records) = (100.0 * found.spare, found.records_per_page);
        println!("{spare:>7} {counted:>8.1}% {:>20.3} {records:>17.3}", found.write_amplification);
    }
    let geometry = Geometry { blocks_per_plane: blocks.min(64), pages_per_block: 16, ..geometry };
    let config = with_spare(Config::new(geometry, 50), 28);
    let found = study(config, Pattern::HotCold, wear_capacities, seed.0).map_err(stopped)?;
    let share = 100.0 * f64::from(found.erases_spread) / found.erases_mean;
    println!("wear, 90/10 hot and cold, {wear_capacities} capacities, 28 % spare:");
    println!(
        "  {} erases between the least and the most worn super-block, {share:.1} % of the mean of {:.1}",
        found.erases_spread, found.erases_mean
    );
    println!("the longest of {mount_cuts} mounts, preset {}:", Preset::SimplessdMlc.name());
    for (name, geometry) in [("mount_ms_1_gib", Geometry::DEFAULT_1_GIB), ("mount_ms_4_gib", Geometry::DEFAULT_4_GIB)] {
        let found = mounts::study(Config::new(geometry, 85), mount_cuts, seed.0).map_err(stopped)?;
        println!(
            "  {name} {:.1}: at most {} pages read, {} programmed",
            found.ms_max(),
            found.reads_max,
            found.programs_max
        );
    }
    Ok(())
}

/// Runs the seeds that are asked for, and says what they found.
pub fn run_cuts(arguments: &CutsArguments) -> Result<()> {
    if arguments.hardware {
        return cut_hardware(arguments);
    }
    let first = arguments.seed.unwrap_or(Seed(0x5EED)).0;
    let wanted = match (arguments.cuts, arguments.seed) {
        (Some(cuts), _) => cuts,
        (None, Some(_)) => 1,
        (None, None) => CUTS,
    };
    let start = Instant::now();
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let plans = Mutex::new(seeds(first).map(Plan::of));
    let planned = AtomicU64::new(0);
    let sum = Mutex::new((Tally::default(), 0_u32));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| loop {
                let plan = plans.lock().unwrap_or_else(PoisonError::into_inner).next().expect("there are always more");
                if planned.fetch_add(plan.cuts.into(), Ordering::Relaxed) >= wanted {
                    break;
                }
                let result = run(&plan);
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                match result {
                    Ok(tally) => sum.0.add(&tally),
                    Err(failure) => {
                        eprintln!("flash-cuts: FAILED  {failure}");
                        sum.1 += 1;
                    }
                }
            });
        }
    });
    let (tally, failures) = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} power cuts, {} of them during a mount: {} writes, {} trims, {} flushes, {} pages moved, {} blocks retired",
        tally.cuts,
        tally.cuts_of_mounts,
        tally.writes,
        tally.trims,
        tally.flushes,
        tally.moved_pages,
        tally.retired_blocks
    );
    println!("a mount has read {} pages at most; {} drives ended read-only", tally.mount_reads_max, tally.read_only);
    eprintln!("in {:.0} s", start.elapsed().as_secs_f64());
    match failures {
        0 => Ok(()),
        count => bail!("{count} runs failed"),
    }
}

/// Cuts the power of the Verilated hardware.
fn cut_hardware(arguments: &CutsArguments) -> Result<()> {
    let seed = arguments.seed.unwrap_or(Seed(0x5EED)).0;
    let cuts = u32::try_from(arguments.cuts.unwrap_or(HARDWARE_CUTS))?;
    let start = Instant::now();
    let campaign = Campaign::new()?;
    let has_faults = arguments.faults;
    let plan = hardware_cuts::Plan { seed, cuts, life_clocks: HARDWARE_LIFE_CLOCKS, has_faults };
    let report = campaign.run(&plan, |report| {
        if report.cuts % 10 == 0 {
            eprintln!("{} cuts, {} commands, {:.0} s", report.cuts, report.commands, start.elapsed().as_secs_f64());
        }
    });
    let report = report.map_err(|failure| anyhow!("seed {seed:#x}, {cuts} cuts: {failure}"))?;
    println!(
        "{} power cuts of the Verilated hardware, {} of them during a mount: {} commands, {} flushes, {} clocks",
        report.cuts, report.cuts_of_mounts, report.commands, report.flushes, report.clocks
    );
    if has_faults {
        println!(
            "{} blocks were retired, {} drives worn out; {} reads had to be tried again",
            report.retired_blocks, report.worn_out, report.unreadable
        );
    }
    Ok(())
}
