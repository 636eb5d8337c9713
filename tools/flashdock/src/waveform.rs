//! A window of a run as a waveform in a file.

use crate::backend::BackEnd;
use crate::failure::{Failure, Result};
use crate::output;
use rustix::fs::{mkfifoat, Mode, CWD};
use sim_device::{Access, BusTiming, Device, HostMemory, Sideband};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// A device that writes a waveform during some of its clocks.
pub struct Windowed {
    device: BackEnd,
    start: Option<u64>,
    clocks: u64,
    state: State,
    path: PathBuf,
}

enum State {
    Before,
    Writing { pipe: Pipe, from: u64 },
    Written { from: u64, to: u64 },
    Failed(Failure),
}

impl Windowed {
    /// A window of `clocks` clocks that begins at `start`, or once [`begin`](Self::begin) is called. The file `path` appears when it ends.
    pub fn new(device: BackEnd, start: Option<u64>, clocks: u64, path: &Path) -> Self {
        Self { device, start, clocks, state: State::Before, path: path.to_owned() }
    }

    /// The window begins now, unless it was given a start.
    pub fn begin(&mut self) {
        self.start.get_or_insert(self.device.clock());
        self.look();
    }

    /// The clocks that were written. Ends the window if it has not ended.
    pub fn finish(mut self) -> Result<std::ops::Range<u64>> {
        self.close();
        match self.state {
            State::Written { from, to } => Ok(from..to),
            State::Failed(failure) => Err(failure),
            _ => {
                let (clock, start) = (self.device.clock(), self.start.unwrap_or(0));
                Err(Failure::new(
                    format!("the run ended at clock {clock}, before the window from clock {start} began"),
                    format!("give `--from` a clock below {clock}"),
                ))
            }
        }
    }

    /// Clocks until the next border of the window, if there is one.
    fn until_border(&self) -> Option<u64> {
        let border = match &self.state {
            State::Before => self.start?,
            State::Writing { from, .. } => from + self.clocks,
            _ => return None,
        };
        Some(border.saturating_sub(self.device.clock()))
    }

    /// Opens or closes the waveform if it is time for that.
    fn look(&mut self) {
        if self.until_border() != Some(0) {
            return;
        }
        match self.state {
            State::Before => self.open(),
            State::Writing { .. } => self.close(),
            _ => {}
        }
    }

    fn open(&mut self) {
        let BackEnd::Verilated(device) = &mut self.device else { return };
        let opened = Pipe::new(&self.path).and_then(|pipe| {
            device.trace_open(&pipe.entrance)?;
            Ok(pipe)
        });
        self.state = match opened {
            Ok(pipe) => State::Writing { pipe, from: device.clock() },
            Err(error) => State::Failed(output::cannot_write(&self.path, &error)),
        };
    }

    fn close(&mut self) {
        let State::Writing { pipe, from } = std::mem::replace(&mut self.state, State::Before) else { return };
        let BackEnd::Verilated(device) = &mut self.device else { return };
        device.trace_close();
        self.state = match pipe.finish(&self.path) {
            Ok(()) => State::Written { from, to: device.clock() },
            Err(error) => State::Failed(output::cannot_write(&self.path, &error)),
        };
    }
}

impl Device for Windowed {
    fn name(&self) -> &str {
        self.device.name()
    }

    fn read(&mut self, access: Access) -> u64 {
        let value = self.device.read(access);
        self.look();
        value
    }

    fn write(&mut self, access: Access, value: u64) {
        self.device.write(access, value);
    }

    fn step(&mut self, clocks: u32) {
        let end = self.device.clock() + u64::from(clocks);
        self.look();
        while self.device.clock() < end {
            let rest = end - self.device.clock();
            let part = self.until_border().filter(|&clocks| clocks > 0).map_or(rest, |clocks| clocks.min(rest));
            self.device.step(part as u32);
            self.look();
        }
    }

    fn clock(&self) -> u64 {
        self.device.clock()
    }

    fn host(&mut self) -> &mut HostMemory {
        self.device.host()
    }

    fn set_sideband(&mut self, function: u8, sideband: Sideband) {
        self.device.set_sideband(function, sideband);
    }

    fn function_level_reset(&mut self, function: u8) {
        self.device.function_level_reset(function);
        self.look();
    }

    fn set_host_timing(&mut self, timing: BusTiming) {
        self.device.set_host_timing(timing);
    }
}

/// A way from the simulator into a file that survives a full disk.
///
/// The simulator's own writer gives up, and the process with it, when a write fails. So it writes into a named pipe. A thread
/// copies from there into a temporary file, remembers what goes wrong, and reads on to the end in any case.
struct Pipe {
    /// Holds the named pipe; it goes when this does.
    _folder: tempfile::TempDir,
    /// What the simulator opens.
    entrance: PathBuf,
    /// Keeps the pipe open while the simulator opens it more than once.
    keeper: File,
    copier: JoinHandle<io::Result<tempfile::NamedTempFile>>,
}

impl Pipe {
    fn new(path: &Path) -> io::Result<Self> {
        let mut file = output::temporary_beside(path)?;
        let folder = tempfile::tempdir()?;
        let entrance = folder.path().join("waveform");
        mkfifoat(CWD, &entrance, Mode::RUSR | Mode::WUSR)?;
        // Open for both: neither end waits for the other.
        let keeper = OpenOptions::new().read(true).write(true).open(&entrance)?;
        let mut exit = File::open(&entrance)?;
        let copier = std::thread::spawn(move || {
            let copied = io::copy(&mut exit, &mut file);
            if copied.is_err() {
                io::copy(&mut exit, &mut io::sink())?;
            }
            copied.map(|_| file)
        });
        Ok(Self { _folder: folder, entrance, keeper, copier })
    }

    /// The simulator has written everything: the file gets its name.
    fn finish(self, path: &Path) -> io::Result<()> {
        drop(self.keeper);
        let copied = self.copier.join().unwrap_or_else(|_| Err(io::Error::other("the copy stopped")));
        output::publish(copied?, path)
    }
}
