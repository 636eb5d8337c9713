//! How long work reports that it goes on.

use std::fmt::Debug;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Receives what a [`Toolchain`](crate::Toolchain) is doing. Called from several threads.
pub trait Progress: Debug + Send + Sync {
    /// A task of `steps` steps begins. `task` is one line for people.
    fn begin(&self, task: &str, steps: u64);
    /// One step of the task is done.
    fn advance(&self);
    /// The task has ended, well or not.
    fn end(&self);
}

/// Reports nothing.
#[derive(Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _task: &str, _steps: u64) {}
    fn advance(&self) {}
    fn end(&self) {}
}

/// A progress bar on the standard error output; one line per task where that is not a terminal.
#[derive(Debug, Default)]
pub struct Terminal {
    bar: Mutex<Option<ProgressBar>>,
}

impl Progress for Terminal {
    fn begin(&self, task: &str, steps: u64) {
        if !std::io::stderr().is_terminal() {
            eprintln!("{task}");
            return;
        }
        let style = ProgressStyle::with_template("{spinner} {msg} [{bar:24}] {pos}/{len} {elapsed}");
        let bar = ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(task.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        *self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(bar);
    }

    fn advance(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_ref() {
            bar.inc(1);
        }
    }

    fn end(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            bar.finish_and_clear();
        }
    }
}
