//! Progress of long work, on standard error.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Work that takes less time than this shows no progress.
const SHOWN_AFTER: Duration = Duration::from_secs(2);

/// How far a piece of work is. It shows itself only when the work takes long, and only on a terminal.
pub struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    start: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Work of `total` steps.
    pub fn new(what: &'static str, total: u64) -> Self {
        Self { what, total, done: 0, start: Instant::now(), bar: None }
    }

    /// Some more steps are done.
    pub fn advance(&mut self, steps: u64) {
        self.done += steps;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        } else if self.start.elapsed() >= SHOWN_AFTER {
            let bar = ProgressBar::new(self.total).with_style(style()).with_message(self.what);
            bar.set_position(self.done);
            self.bar = Some(bar);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg:12} [{bar:32}] {percent:>3}% {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
