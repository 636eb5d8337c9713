//! The harts keep to RVWMO: random programs on few lines with DMA beside them, and litmus tests.

use litmus::{litmus, run, shapes, Error, Report};
use sim_device::seed_from_env_or;
use sim_verilator::Toolchain;

/// Operations of the random programs here: `cargo xtask litmus` does as many as one likes.
const OPERATIONS: u64 = 3_000;

/// Rounds of each litmus test here.
const ROUNDS: u64 = 45;

/// What came of it; nothing, with a line that says so, where the SoC cannot be had.
#[track_caller]
fn passed<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(came) => Some(came),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: the memory model of the Verilated SoC. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn random_programs_on_few_lines_keep_to_the_memory_model() {
    let seed = seed_from_env_or(0x5EED);
    let Some(report) = passed(run(OPERATIONS, seed, &Toolchain::from_env())) else { return };
    let Report { operations, loads, stores, modifications, reserved, succeeded, fences, dma, from_others, .. } = report;
    assert!(operations >= OPERATIONS, "{report:?}");
    let rare = OPERATIONS / 50;
    assert!(
        [loads, stores, modifications, reserved, succeeded, fences].iter().all(|count| *count > rare),
        "{report:?}"
    );
    assert!(dma > 20 && from_others > OPERATIONS / 10, "{report:?}");
}

#[test]
fn litmus_tests_have_no_forbidden_outcome() {
    let seed = seed_from_env_or(0x5EED);
    for shape in shapes() {
        let Some(outcomes) = passed(litmus(&shape, ROUNDS, seed, &Toolchain::from_env())) else { return };
        // The harts do meet: not always does the same one come first.
        assert!(outcomes.counts.len() > 1, "{outcomes}");
        assert_eq!(outcomes.counts.values().sum::<u64>(), ROUNDS);
    }
}
