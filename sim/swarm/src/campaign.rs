//! Runs of many seeds: each caught when it fails, with the line that replays it.

use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::sync::Once;

use sim_cosim::Verilated;
use sim_device::{Around, Device, Random};

use crate::error::Broken;
use crate::plan::{Made, Plan};
use crate::run::{run, Tally};

/// A run that found something broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The name of the back end.
    pub back_end: &'static str,
    /// Commands that the run was to have.
    pub commands: u64,
    /// What was broken.
    pub broken: Broken,
    /// Clocks from power-on to the moment in which it was noticed.
    pub clock: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, back_end, commands, broken, clock } = self;
        write!(
            f,
            "swarm: FAILED on {back_end} at clock {clock}: {broken}\nreplay: cargo xtask swarm --seed {seed:#x} --back-end {back_end} --length {commands}"
        )
    }
}

/// The seeds of the runs of a campaign.
pub fn seeds(seed: u64) -> impl Iterator<Item = u64> {
    let mut random = Random::new(seed);
    std::iter::once(seed).chain(std::iter::from_fn(move || Some(random.next_u64() >> 16)))
}

/// Does what a plan says.
///
/// # Errors
/// What was found broken, a panic of the device's firmware or of the simulation included.
pub fn run_seed(plan: &Plan) -> Result<Tally, Failure> {
    match plan.device() {
        Ok(mut device) => run_on(plan, &mut *device),
        Err(error) => Err(failure(plan, Broken::NoDevice(error.to_string()), 0)),
    }
}

/// As [`run_seed`], on a device of the caller's, which is as after power-on.
///
/// # Errors
/// As [`run_seed`].
pub fn run_on(plan: &Plan, device: &mut dyn Device) -> Result<Tally, Failure> {
    listen_to_panics();
    let result = panic::catch_unwind(AssertUnwindSafe(|| run(plan, device)));
    // From here on, panics of this thread are printed again.
    let said = PANIC.with(|last| last.borrow_mut().take()).unwrap_or_default();
    let broken = match result {
        Ok(Ok(tally)) => return Ok(tally),
        Ok(Err(broken)) => broken,
        Err(_) => Broken::Panic(said),
    };
    Err(failure(plan, broken, device.clock()))
}

fn failure(plan: &Plan, broken: Broken, clock: u64) -> Failure {
    Failure { seed: plan.seed, back_end: plan.back_end.name, commands: plan.commands, broken, clock }
}

thread_local! {
    /// What the last panic of this thread said, while a run is under way.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what a panic says for the failure, instead of printing it.
fn listen_to_panics() {
    static ONCE: Once = Once::new();
    PANIC.with(|last| *last.borrow_mut() = Some(String::new()));
    ONCE.call_once(|| {
        let before = panic::take_hook();
        let hook = move |info: &PanicHookInfo<'_>| {
            let is_ours = PANIC.with(|last| {
                let mut last = last.borrow_mut();
                if let Some(last) = &mut *last {
                    *last = info.to_string();
                }
                last.is_some()
            });
            if !is_ours {
                before(info);
            }
        };
        panic::set_hook(Box::new(hook));
    });
}

/// Which clocks go into a waveform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it is written.
    pub path: PathBuf,
    /// Its first clock.
    pub from: u64,
}

/// Does a run of the hardware again, and writes a waveform from the first clock of a window to the end of the run.
///
/// # Errors
/// If the waveform cannot be written, or the back end is not the hardware.
pub fn traced(plan: &Plan, window: &Window) -> Result<Result<Tally, Failure>, String> {
    let Made::Verilated(config) = plan.back_end.made else {
        return Err(format!("{} has no waveform", plan.back_end.name));
    };
    let device = plan.hardware(config, true).map_err(|error| error.to_string())?;
    let mut device = Traced { device, window: Some(window.clone()), error: None };
    let result = run_on(plan, &mut device);
    device.device.trace_close();
    match device.error {
        Some(error) => Err(format!("cannot write {}: {error}", window.path.display())),
        None => Ok(result),
    }
}

/// The hardware, with a waveform from some clock on.
struct Traced {
    device: Verilated,
    /// Until it begins.
    window: Option<Window>,
    error: Option<std::io::Error>,
}

impl Traced {
    fn open(&mut self, path: &Path) {
        if let Err(error) = self.device.trace_open(path) {
            self.error = Some(error);
        }
    }
}

impl Around for Traced {
    fn inner(&self) -> &dyn Device {
        &self.device
    }

    fn inner_mut(&mut self) -> &mut dyn Device {
        &mut self.device
    }

    fn step_around(&mut self, clocks: u32) {
        let end = self.device.clock() + u64::from(clocks);
        if let Some(window) = self.window.take_if(|window| window.from <= end) {
            self.device.step(window.from.saturating_sub(self.device.clock()) as u32);
            self.open(&window.path);
        }
        self.device.step(end.saturating_sub(self.device.clock()) as u32);
    }
}
