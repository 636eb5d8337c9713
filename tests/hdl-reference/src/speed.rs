//! How fast both designs run under Verilator.

use crate::{run, Outcome, QueueFetch, HAND_WRITTEN, HAND_WRITTEN_TOP};
use rtl_hdl::{elaborate, Block};
use sim_verilator::{Error, Library, ModelSet, ModelSpec, Optimize, Toolchain};
use std::time::Instant;

/// Both designs in one Verilated library: `queue_fetch` and `hand_queue_fetch`.
///
/// # Errors
/// If a tool is missing or the build fails.
pub fn library(toolchain: &Toolchain, optimize: Optimize) -> Result<Library, Error> {
    let design = elaborate(&QueueFetch).unwrap_or_else(|problems| panic!("{problems}"));
    let ours = ModelSpec::of(&design);
    let hand = ModelSpec {
        name: HAND_WRITTEN_TOP.into(),
        top: HAND_WRITTEN_TOP.into(),
        verilog: HAND_WRITTEN.into(),
        ports: ours.ports.clone(),
    };
    ModelSet::new("hdl_reference").with(ours).with(hand).optimize(optimize).load_with(toolchain)
}

/// Simulation speed in clocks per second of wall time, the best of several rounds each.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Of the hand-written design.
    pub hand_written: f64,
    /// Of ours.
    pub ours: f64,
}

/// Runs both designs in turns, `rounds` times `clocks` clocks each, and checks that they did the same.
///
/// # Panics
/// If they did not.
pub fn measure(library: &Library, clocks: u64, rounds: u32) -> Speed {
    let time = |name: &str| -> (f64, Outcome) {
        let mut model = library.model(name);
        let start = Instant::now();
        let outcome = run(&mut model, clocks);
        (clocks as f64 / start.elapsed().as_secs_f64(), outcome)
    };
    let mut best = Speed { hand_written: 0.0, ours: 0.0 };
    for _ in 0..rounds {
        let (hand_written, a) = time(HAND_WRITTEN_TOP);
        let (ours, b) = time(&QueueFetch.name());
        assert_eq!(a, b, "the two designs behave differently");
        best = Speed { hand_written: best.hand_written.max(hand_written), ours: best.ours.max(ours) };
    }
    best
}
