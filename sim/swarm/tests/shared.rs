//! The share of the swarm that runs with every test: some seeds on each back end. `cargo xtask swarm` runs as many as are asked for.

use sim_device::{seed_from_env_or, BusTiming, Chance};
use sim_swarm::{back_end, run_seed, seeds, Action, Plan, Tally};

/// Runs `count` seeds of `commands` commands each on a back end.
fn swarm(name: &str, count: usize, commands: u64) {
    let mut sum = Tally::default();
    for seed in seeds(seed_from_env_or(0x5EED)).take(count) {
        let plan = Plan::of(seed, back_end(name), commands);
        match run_seed(&plan) {
            Ok(tally) => sum.add(&tally),
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(sum.completed > sum.commands / 4, "{sum:?}");
    assert!(sum.lives > 1 && sum.blocks_compared > 100, "{sum:?}");
}

/// One seed makes every choice: on the hardware, too, a run is the same each time, clock for clock.
#[test]
fn one_seed_is_one_run() {
    for name in ["model-small", "verilated-small"] {
        let run = |seed| run_seed(&Plan::of(seed, back_end(name), 400)).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(run(3), run(3), "{name}");
        assert_ne!(run(3), run(4), "{name}");
    }
}

#[test]
fn the_model_survives_the_swarm() {
    swarm("model", 40, 1000);
}

#[test]
fn the_small_model_survives_the_swarm() {
    swarm("model-small", 40, 1000);
}

#[test]
fn the_hardware_survives_the_swarm() {
    swarm("verilated", 30, 1000);
}

#[test]
fn the_small_hardware_survives_the_swarm() {
    swarm("verilated-small", 30, 1000);
}

/// NVM Command Set, "Atomic Operation": where Reads and Writes of the same blocks meet, none is seen torn.
#[test]
fn blocks_of_the_hardware_are_whole_where_a_read_and_a_write_meet() {
    for seed in seeds(0x5EED).take(3) {
        // Reads and Writes alone, over a memory that lets them meet.
        let weights = vec![(Action::Traffic, 8), (Action::Time, 1)];
        let memory = BusTiming::adverse(seed);
        let plan = Plan::of(seed, back_end("verilated-small"), 400);
        let plan = Plan { weights, memory, media_errors: Chance::NEVER, expects_whole_blocks: true, ..plan };
        if let Err(failure) = run_seed(&plan) {
            panic!("{failure}");
        }
    }
}
