//! `replay`: the requests of a trace on a drive.

use super::replay_device;
use crate::block_trace::{self, BadLines, Op, Request};
use crate::failure::{Failure, Result};
use crate::flash::{self, DriveReport, Source};
use crate::output::{self, Align, Paint, Table};
use crate::progress::Progress;
use crate::storage::{Flash, Times};
use flash_spec::limits::{PAGE_BYTES, UNIT_BYTES};
use nvme_spec::limits::LBA_BYTES;
use serde::Serialize;
use sim_flash::{FlashDrive, Owned, Stopped};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Run a block trace on a drive, and count what it costs the flash, or how long its requests take
///
/// A trace has a request in each line. Columns are apart by commas or blanks; empty lines, lines that begin with # and a line with the names of the
/// columns are passed over. There are two forms, which differ in how many columns they have:
///
///   time_ns,op,bytes,lba                  nanoseconds; read, write, trim or flush (or r, w, t, f); bytes, a multiple of 512; the first block of 512 B
///
///   nsecs,rwbs,bytes,sector,nr_sector     nanoseconds; the letters of the Linux block layer: R, W, D (discard) or F (flush), behind an F: flush before,
///                                         before an F: FUA, before A, S, M: no matter; bytes, or 0; the first sector of 512 B; sectors
///
/// All lines are checked before anything runs. The drive has units of 4 KiB: a write of a part of one reads the unit and writes it, a trim leaves such
/// parts alone. Requests run one after the other, in the order of the file. There is no time in this drive, so the times are checked and no more, and
/// nothing is said about latencies.
///
/// With `--on device` the drive is that of a device, Verilated with its controller: each request is announced at its time as NVMe commands, whether or not
/// others have ended, and its latency counts from that time, in time of the device. What is behind a flush waits for that alone. Each second of a trace are
/// 250 million clocks. The drive of `--image` is put into the flash by the back door, and the image stays as it is.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// What the drive is
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = On::Model)]
    on: On,
    /// How long things take in the flash of the device: `sim` has a thirty-second of the times of `simplessd-mlc`, for whoever waits [default: sim]
    #[arg(long, value_name = "PRESET", value_enum)]
    preset: Option<Times>,
    /// Divide the times of the trace by this on the device [default: as `--preset` divides its own: 32 with sim]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    faster: Option<u32>,
    /// Leave the image as it is, instead of keeping in it what the trace has done
    #[arg(long, requires = "image")]
    discard: bool,
    /// Let requests beyond the end of the drive begin again at its beginning, instead of refusing the trace
    #[arg(long)]
    wrap: bool,
    /// Chooses in which order things happen inside of the drive
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    source: Source,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a trace runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum On {
    /// The firmware over the reference of its hardware: without time
    Model,
    /// The hardware, simulated clock by clock
    Device,
}

/// Sectors of a unit.
const SECTORS: u64 = (UNIT_BYTES / LBA_BYTES) as u64;

/// Requests of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Requests {
    requests: u64,
    bytes: u64,
}

/// What the trace did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Done {
    reads: Requests,
    writes: Requests,
    trims: Requests,
    flushes: u64,
    units_read: u64,
    /// Units read because a write had only a part of them: in addition.
    units_read_for_parts: u64,
    units_written: u64,
    units_trimmed: u64,
}

#[derive(Serialize)]
struct Report {
    drive: DriveReport,
    trace: PathBuf,
    image: Option<PathBuf>,
    done: Done,
    programmed_bytes: u64,
    /// Units programmed for the host and moved, per unit written.
    write_amplification: Option<f64>,
    /// With map, log and filler.
    write_amplification_with_records: Option<f64>,
    /// Bytes programmed per byte that the trace writes: with what parts of units cost.
    write_amplification_of_bytes: Option<f64>,
    is_kept: bool,
}

/// Replays.
pub fn run(args: &Args) -> Result {
    if let (On::Model, Some(name)) = (args.on, args.preset.map(|_| "--preset").or(args.faster.map(|_| "--faster"))) {
        return Err(Failure::new(
            format!("`{name}` is of a device, and there is no time in the model"),
            format!("give `--on device`, or leave `{name}` out"),
        ));
    }
    let start = args.source.load()?;
    let config = start.config();
    let requests = load(&args.trace, config.units, args.wrap)?;
    if args.on == On::Device {
        let times = args.preset.unwrap_or(Times::Sim);
        let plan = replay_device::Plan {
            flash: Flash::of(start, times)?,
            faster: args.faster.unwrap_or(times.preset().divisor()),
            seed: args.seed,
            trace: &args.trace,
            image: args.source.image.as_deref(),
            json: args.json,
        };
        return replay_device::run(&plan, &requests);
    }
    let mut memory = Owned::new(&config);
    let mut drive = start.power_up(&mut memory, args.seed)?;
    let before = drive.pages();
    let mut progress = Progress::new("requests", requests.len() as u64);
    let mut done = Done::default();
    for request in &requests {
        done.run(&mut drive, request).map_err(|error| {
            let line = format!("{}, line {} ({request})", args.trace.display(), request.line);
            flash::stopped(error).with_detail(format!("{line}\nthe image is as it was before"))
        })?;
        progress.advance(1);
    }
    drop(progress);
    // All that was written has to be in the flash to be counted.
    drive.flush().map_err(flash::stopped)?;
    let after = drive.pages();
    let of_units = after.host + after.moved - before.host - before.moved;
    let all = of_units + after.firmware + after.filler - before.firmware - before.filler;
    let programmed_bytes = all * u64::from(PAGE_BYTES);
    let written = done.writes.bytes;
    let report = Report {
        drive: DriveReport::new(&config),
        trace: args.trace.clone(),
        image: args.source.image.clone(),
        programmed_bytes,
        write_amplification: flash::amplification(of_units, done.units_written),
        write_amplification_with_records: flash::amplification(all, done.units_written),
        write_amplification_of_bytes: (written > 0).then(|| programmed_bytes as f64 / written as f64),
        is_kept: args.source.image.is_some() && !args.discard,
        done,
    };
    if let (Some(path), true) = (&args.source.image, report.is_kept) {
        flash::save(drive, path)?;
    }
    if args.json {
        return output::print_json(&report);
    }
    output::print(&report.text())
}

/// The requests of a trace for a drive of so many units.
fn load(path: &Path, units: u32, wraps: bool) -> Result<Vec<Request>> {
    let name = path.display();
    let formats = format!("`{}` tells what a trace is", output::command("replay --help"));
    let cannot = |what: String| Failure::new(format!("cannot read {name}: {what}"), &formats);
    let metadata = fs::metadata(path).map_err(|error| cannot(output::reason(&error)))?;
    if !metadata.is_file() {
        return Err(cannot("it is not a file".to_owned()));
    }
    let text = fs::read(path).map_err(|error| cannot(output::reason(&error)))?;
    let bad_lines = |bad: BadLines, next: &str| {
        let what = format!("{name} has {}, and nothing was run", output::count_text(bad.count, "bad line"));
        Failure::new(what, next).with_detail(bad)
    };
    let requests =
        block_trace::parse(&text).map_err(|bad| bad_lines(bad, &format!("correct or remove them; {formats}")))?;
    if requests.is_empty() {
        return Err(Failure::new(format!("{name} has no request"), formats));
    }
    let end = u64::from(units) * SECTORS;
    let mut bad = BadLines::default();
    for request in &requests {
        let last = request.sector + request.sectors - u64::from(request.sectors > 0);
        if wraps && request.sectors > end {
            bad.add(request.line, format!("it has {} sectors; the drive has {end}", request.sectors));
        } else if !wraps && last >= end {
            bad.add(request.line, format!("it ends with sector {last}; the drive has {end}"));
        }
    }
    if bad.count > 0 {
        return Err(bad_lines(bad, "give `--wrap`, or a larger drive with `--size`"));
    }
    Ok(requests)
}

/// The units that a request touches, and whether it has all of the first and all of the last.
fn touched(request: &Request) -> (Range<u64>, bool, bool) {
    let end = request.sector + request.sectors;
    let units = request.sector / SECTORS..end.div_ceil(SECTORS);
    (units, request.sector % SECTORS == 0, end % SECTORS == 0)
}

impl Done {
    fn run(&mut self, drive: &mut dyn FlashDrive, request: &Request) -> std::result::Result<(), Stopped> {
        if request.flushes_before {
            drive.flush()?;
        }
        let of_drive = u64::from(drive.config().units);
        let place = |unit: u64| (unit % of_drive) as u32;
        let (units, has_first, has_last) = touched(request);
        let count = |requests: &mut Requests| {
            requests.requests += 1;
            requests.bytes += request.bytes();
        };
        match request.op {
            Op::Flush => {
                self.flushes += 1;
                drive.flush()?;
            }
            Op::Read => {
                count(&mut self.reads);
                for unit in units {
                    drive.read(place(unit))?;
                    self.units_read += 1;
                }
            }
            Op::Write => {
                count(&mut self.writes);
                for unit in units.clone() {
                    let is_part = unit == units.start && !has_first || unit + 1 == units.end && !has_last;
                    if is_part {
                        drive.read(place(unit))?;
                        self.units_read_for_parts += 1;
                    }
                    self.units_written += 1;
                    drive.write(place(unit), self.units_written)?;
                }
            }
            Op::Trim => {
                count(&mut self.trims);
                let whole = units.start + u64::from(!has_first)..units.end - u64::from(!has_last);
                for unit in whole {
                    drive.trim(place(unit))?;
                    self.units_trimmed += 1;
                }
            }
        }
        if request.is_durable {
            drive.flush()?;
        }
        Ok(())
    }
}

impl Report {
    fn text(&self) -> String {
        let done = &self.done;
        let mut requests = Table::with_heading(&[
            ("", Align::Left),
            ("requests", Align::Right),
            ("bytes", Align::Right),
            ("units", Align::Right),
        ]);
        for (name, of_kind, units) in [
            ("read", done.reads, done.units_read),
            ("written", done.writes, done.units_written),
            ("trimmed", done.trims, done.units_trimmed),
        ] {
            let bytes = output::bytes_text(of_kind.bytes);
            requests.row([name.to_owned(), output::thousands(of_kind.requests), bytes, output::thousands(units)]);
        }
        requests.row(["flushed".to_owned(), output::thousands(done.flushes), String::new(), String::new()]);
        let mut cost = Table::new(&[Align::Left, Align::Left]);
        cost.row(["read for writes of parts".to_owned(), output::count_text(done.units_read_for_parts, "unit")]);
        cost.row(["programmed".to_owned(), output::bytes_text(self.programmed_bytes)]);
        cost.row(["write amplification".to_owned(), flash::two(self.write_amplification)]);
        cost.row(["  with map, log and filler".to_owned(), flash::two(self.write_amplification_with_records)]);
        cost.row(["  of the bytes of the trace".to_owned(), flash::two(self.write_amplification_of_bytes)]);
        let kept = match (&self.image, self.is_kept) {
            (Some(path), true) => format!("{} has the drive as it is now", path.display()),
            (Some(path), false) => format!("{} is as it was before", path.display()),
            (None, _) => "the drive was new, and is not kept: `--image FILE` names one that is".to_owned(),
        };
        let title = Paint::stdout().strong(format!("Trace {}", self.trace.display()));
        format!(
            "{}\n{title}\n{}\n{}\nno latencies: there is no time in this drive; `--on device` has some\n{kept}\n",
            self.drive.text(),
            requests.text(2),
            cost.text(2)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_trace::parse;
    use proptest::prelude::*;

    #[test]
    fn parts_of_units_are_seen() {
        let of = |line: &str| touched(&parse(line.as_bytes()).expect("a trace")[0]);
        assert_eq!(of("0,w,4096,8"), (1..2, true, true));
        assert_eq!(of("0,w,4096,9"), (1..3, false, false));
        assert_eq!(of("0,w,512,15"), (1..2, false, true));
        assert_eq!(of("0,w,8192,0"), (0..2, true, true));
    }

    proptest! {
        /// A request has all sectors between its first and its last unit.
        #[test]
        fn touched_units_are_those_of_the_sectors(sector in 0..100_u64, sectors in 1..60_u64) {
            let (units, has_first, has_last) = touched(&parse(format!("0,r,{},{sector}", sectors * 512).as_bytes()).expect("a trace")[0]);
            let of_sectors: std::collections::BTreeSet<u64> = (sector..sector + sectors).map(|sector| sector / 8).collect();
            prop_assert!(of_sectors.iter().copied().eq(units.clone()));
            let all = |unit: u64| (8 * unit..8 * unit + 8).all(|at| (sector..sector + sectors).contains(&at));
            let is_whole = |unit| (unit != units.start || has_first) && (unit + 1 != units.end || has_last);
            for unit in units.clone() {
                prop_assert_eq!(all(unit), is_whole(unit), "unit {}", unit);
            }
        }
    }
}
