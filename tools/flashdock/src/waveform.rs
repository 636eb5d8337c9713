//! A window of a run as a waveform in a file.
//!
//! The simulator writes the waveform of the whole run, as VCD, into a named pipe. A thread at its other end lets the window through to a
//! temporary file, which gets its name when all is written; on the way it becomes FST if the name says so. So a window begins and ends at exactly its clocks, and a full disk is an error like any
//! other: the simulator's own writer would give up, and the process with it, when a write fails.

use nvme_spec::limits::CORE_HZ;
use rtl_hdl::waveform::{Format, FromVcd, Outline};
use rustix::fs::{mkfifoat, Mode, CWD};
use sim_cosim::Verilated;
use sim_device::Device;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::failure::{Failure, Result};
use crate::output;

/// Nanoseconds of a clock: the unit of time of the waveform.
const CLOCK_NS: u64 = 1_000_000_000 / CORE_HZ;

/// The clock in which a window begins that has not begun.
const NOT_YET: u64 = u64::MAX;

/// A waveform that is being written.
pub struct Recorder {
    /// Holds the named pipe; it goes when this does.
    _folder: tempfile::TempDir,
    /// Keeps the pipe open while the simulator opens it more than once.
    keeper: File,
    start: Arc<AtomicU64>,
    copier: JoinHandle<io::Result<Copied>>,
    path: PathBuf,
}

/// What is written.
struct Target {
    file: tempfile::NamedTempFile,
    format: Format,
    /// The name that it will have.
    name: String,
    outline: Outline,
}

/// What the thread has let through.
struct Copied {
    file: tempfile::NamedTempFile,
    /// How GTKWave shows it.
    save_file: Option<String>,
    /// In nanoseconds.
    times: Option<Range<u64>>,
}

/// The format of a waveform that can get this name. A folder that cannot be written to is found out here, before a model is built.
pub fn check(path: &Path) -> Result<Format> {
    output::check_replaceable(path)?;
    let format = Format::of(path).map_err(|_| {
        Failure::new(format!("{} is no name of a waveform", path.display()), "end it with .fst or with .vcd")
    })?;
    save_file(path, format).iter().try_for_each(|path| output::check_replaceable(path))?;
    drop(output::temporary_beside(path).map_err(|error| output::cannot_write(path, &error))?);
    Ok(format)
}

/// The save file of GTKWave beside a waveform, if it has one.
pub fn save_file(path: &Path, format: Format) -> Option<PathBuf> {
    (format == Format::Fst).then(|| path.with_extension("gtkw"))
}

impl Recorder {
    /// Records `device` into what will be the file `path`: `clocks` clocks, from [`begin`](Self::begin) on.
    pub fn new(device: &mut Verilated, path: &Path, format: Format, clocks: u64) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let target = Target { file: output::temporary_beside(path)?, format, name, outline: device.outline().clone() };
        let folder = tempfile::tempdir()?;
        let entrance = folder.path().join("waveform");
        mkfifoat(CWD, &entrance, Mode::RUSR | Mode::WUSR)?;
        // Open for both: neither end waits for the other.
        let keeper = OpenOptions::new().read(true).write(true).open(&entrance)?;
        let exit = BufReader::new(File::open(&entrance)?);
        let start = Arc::new(AtomicU64::new(NOT_YET));
        let window = Window { start: start.clone(), clocks, power_on: None, opened_at: device.clock() };
        let copier = std::thread::spawn(move || copy(exit, target, window));
        device.trace_open(&entrance)?;
        Ok(Self { _folder: folder, keeper, start, copier, path: path.to_owned() })
    }

    /// The window begins at `clock`, which has not passed yet.
    pub fn begin(&self, clock: u64) {
        self.start.store(clock, Ordering::Release);
    }

    /// The clocks that were written; without any, there is no file.
    pub fn finish(self, device: &mut Verilated) -> io::Result<Option<Range<u64>>> {
        device.trace_close();
        drop(self.keeper);
        let copied = self.copier.join().unwrap_or_else(|_| Err(io::Error::other("the copy stopped")))?;
        let Some(times) = copied.times else { return Ok(None) };
        if let Some((path, text)) = save_file(&self.path, Format::Fst).zip(copied.save_file) {
            let mut file = output::temporary_beside(&path)?;
            file.write_all(text.as_bytes())?;
            output::publish(file, &path)?;
        }
        output::publish(copied.file, &self.path)?;
        Ok(Some(times.start / CLOCK_NS..times.end / CLOCK_NS + 1))
    }
}

/// Reads everything, whatever happens to the file.
fn copy(mut from: impl BufRead, target: Target, window: Window) -> io::Result<Copied> {
    let written = write(&mut from, &target, window);
    io::copy(&mut from, &mut io::sink())?;
    let (times, save_file) = written?;
    Ok(Copied { file: target.file, save_file, times })
}

/// Writes the window. Returns its first and last time, and how GTKWave shows it.
fn write(from: &mut impl BufRead, target: &Target, window: Window) -> io::Result<(Option<Range<u64>>, Option<String>)> {
    let mut file = BufWriter::new(target.file.as_file().try_clone()?);
    if target.format == Format::Vcd {
        let times = filter(from, &mut file, window)?;
        file.flush()?;
        return Ok((times, None));
    }
    let mut converter = FromVcd::new(target.outline.clone(), file);
    let times = filter(from, &mut converter, window)?;
    // What has no values is thrown away.
    let save_file = times.is_some().then(|| converter.finish(&target.name)).transpose()?;
    Ok((times, save_file))
}

/// Which times pass.
struct Window {
    start: Arc<AtomicU64>,
    clocks: u64,
    /// The time in the simulator's waveform at which the clocks are counted from; known from the first time in it.
    power_on: Option<u64>,
    /// The clock of that first time.
    opened_at: u64,
}

impl Window {
    /// A time in the simulator's waveform, in nanoseconds since power-on.
    fn since_power_on(&mut self, time: u64) -> u64 {
        let first = time.saturating_sub(self.opened_at * CLOCK_NS);
        time - *self.power_on.get_or_insert(first)
    }

    /// The times of the window, as far as it is known.
    fn times(&self) -> Range<u64> {
        match self.start.load(Ordering::Acquire) {
            NOT_YET => NOT_YET..NOT_YET,
            start => start * CLOCK_NS..(start + self.clocks) * CLOCK_NS,
        }
    }
}

/// Lets the declarations of a Value Change Dump through, all values as they are when the window begins, and every change in it. IEEE 1800,
/// "Value change dump (VCD) files". Returns the first and last time written.
fn filter(from: &mut impl BufRead, to: &mut impl Write, mut window: Window) -> io::Result<Option<Range<u64>>> {
    let mut line = String::new();
    let mut declared = false;
    // The last change of each signal before the window, by its code.
    let mut before: BTreeMap<String, String> = BTreeMap::new();
    let mut written: Option<Range<u64>> = None;
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Ok(written);
        }
        let text = line.trim_end();
        if !declared {
            declared = text.starts_with("$enddefinitions");
            to.write_all(line.as_bytes())?;
        } else if let Some(time) = text.strip_prefix('#').and_then(|digits| digits.parse().ok()) {
            let time = window.since_power_on(time);
            let times = window.times();
            if time >= times.end {
                return Ok(written);
            }
            if time < times.start {
                continue;
            }
            writeln!(to, "#{time}")?;
            if written.is_none() {
                for change in std::mem::take(&mut before).into_values() {
                    writeln!(to, "{change}")?;
                }
            }
            written = Some(written.map_or(time, |range| range.start)..time);
        } else if written.is_some() {
            to.write_all(line.as_bytes())?;
        } else if let Some(code) = code_of(text) {
            before.insert(code.to_owned(), text.to_owned());
        }
    }
}

/// The code of the signal that a change is about: behind the digit of a bit, or behind the blank after a vector.
fn code_of(change: &str) -> Option<&str> {
    match change.chars().next()? {
        '0' | '1' | 'x' | 'z' => Some(&change[1..]),
        'b' | 'r' => change.split_once(' ').map(|(_, code)| code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Power-on at 8 ns of the simulator's time; the waveform is opened at clock 1.
    const DUMP: &str = "$var wire 1 ! a $end\n$enddefinitions $end\n#12\n0!\nb00 \"\n#14\n1!\n#16\n0!\nb10 \"\n#18\n1!\n#20\n0!\n#24\n1!\n";

    fn filtered(start: u64, clocks: u64) -> (String, Option<Range<u64>>) {
        let window = Window { start: Arc::new(AtomicU64::new(start)), clocks, power_on: None, opened_at: 1 };
        let mut text = Vec::new();
        let times = filter(&mut DUMP.as_bytes(), &mut text, window).unwrap();
        let text = String::from_utf8(text).unwrap();
        (text.split_once("$enddefinitions $end\n").unwrap().1.to_owned(), times)
    }

    #[test]
    fn a_window_begins_with_all_values_and_ends_in_time() {
        assert_eq!(filtered(2, 1), ("#8\n1!\nb00 \"\n0!\nb10 \"\n#10\n1!\n".to_owned(), Some(8..10)));
        assert_eq!(filtered(3, 9), ("#12\n1!\nb10 \"\n0!\n#16\n1!\n".to_owned(), Some(12..16)));
    }

    #[test]
    fn a_window_that_never_begins_is_empty() {
        assert_eq!(filtered(NOT_YET, 1).1, None);
        assert_eq!(filtered(100, 1).1, None);
    }
}
