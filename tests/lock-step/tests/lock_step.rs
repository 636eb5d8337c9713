//! The simulator does what the tile does.

use lock_step::{run, Report};
use sim_device::seed_from_env_or;

/// Instructions of the random programs here. `cargo xtask lock-step` compares as many as one likes.
const INSTRUCTIONS: u64 = 40_000;

#[test]
fn random_programs_do_the_same_on_both() {
    let library = sim_tile::library().unwrap();
    let report = run(&library, INSTRUCTIONS, seed_from_env_or(0x10C_0001)).unwrap_or_else(|e| panic!("{e}"));
    eprintln!("{report:?}");
    let _ = Report::default();
}
