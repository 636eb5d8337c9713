//! `replay-inputs`: a recorded device runs again.

use crate::backend::BackEnd;
use crate::failure::{Failure, Result};
use crate::output;
use crate::served::Description;
use crate::waveform::{self, Recorder};
use sim_bridge::{Recording, ReplayError};
use sim_device::Device;
use std::path::{Path, PathBuf};

/// Run a recorded device again, clock by clock
///
/// A recording has everything that reached a device: register accesses, resets, and what it read from its host. The same device does the same with
/// it; that it does is checked. Record with `--record FILE` of `linux` and `serve`.
#[derive(clap::Args)]
pub struct Args {
    /// The recording
    file: PathBuf,
    /// Write a waveform of the whole run (.vcd or .fst): of the Verilated hardware
    #[arg(long, value_name = "FILE")]
    waveform: Option<PathBuf>,
}

/// More than any run has.
const CLOCKS_MAX: u64 = 1 << 48;

/// Replays.
pub fn run(args: &Args) -> Result {
    let failed = |error: &ReplayError| replay_failed(&args.file, error);
    let waveform =
        args.waveform.as_deref().map(|path| waveform::check(path).map(|format| (path, format))).transpose()?;
    let recording = Recording::open(&args.file).map_err(|error| failed(&error))?;
    let description = Description::parse(&recording.device)?;
    let mut device = description.make(waveform.is_some())?;
    let replayed = match (waveform, &mut device) {
        (None, device) => recording.replay(device),
        (Some((path, format)), BackEnd::Verilated(device)) => {
            let failed = |error| output::cannot_write(path, &error);
            let recorder = Recorder::new(device, path, format, CLOCKS_MAX).map_err(failed)?;
            recorder.begin(device.clock());
            let replayed = recording.replay(&mut **device);
            // That of a device which took another way is the most wanted of all.
            recorder.finish(device).map_err(failed)?;
            replayed
        }
        _ => return Err(Failure::new("only the Verilated hardware has waveforms", "leave `--waveform` out")),
    };
    let replayed = replayed.map_err(|error| failed(&error))?;
    let end = if replayed.is_complete { "" } else { "; the recording was cut there, its process did not end in order" };
    output::print(&format!(
        "{} in {} ran again as recorded{end}\n",
        output::count_text(replayed.inputs, "input"),
        output::count_text(replayed.clocks, "clock"),
    ))
}

/// The messages end with a sentence that says what to do, but for those of the system.
fn replay_failed(path: &Path, error: &ReplayError) -> Failure {
    let message = error.to_string();
    match message.rsplit_once(". ") {
        Some((what, next)) => Failure::new(format!("{}: {what}", path.display()), output::uncapitalized(next)),
        None => Failure::new(format!("{}: {message}", path.display()), "name a file that `--record` has written"),
    }
}
