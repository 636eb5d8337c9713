//! `cargo xtask litmus`: litmus tests and random programs on the six harts of the Verilated SoC, as long as one likes.

use std::time::Instant;

use anyhow::Result;
use rtl_hdl::bench::Seed;
use sim_verilator::Toolchain;

/// What is run.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How many loads, stores, atomics and reservations of the harts
    #[arg(long, default_value_t = 50_000)]
    operations: u64,
    /// How often each litmus test is run
    #[arg(long, default_value_t = 600)]
    rounds: u64,
    /// What it is made from, decimal or hexadecimal with 0x
    #[arg(long, default_value = "0x5eed", value_parser = seed)]
    seed: Seed,
}

fn seed(text: &str) -> Result<Seed, String> {
    Seed::parse(text).ok_or_else(|| "a seed is a number, such as 24301 or 0x5eed".into())
}

/// Runs the litmus tests, and then random programs.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { operations, rounds, seed } = *arguments;
    let toolchain = Toolchain::from_env();
    let start = Instant::now();
    if rounds > 0 {
        println!("| test | relaxed outcome | RVWMO | seen | all outcomes |\n|---|---|---|---|---|");
        for shape in litmus::shapes() {
            println!("{}", litmus::litmus(&shape, rounds, seed.0, &toolchain)?);
        }
        println!();
    }
    if operations > 0 {
        let report = litmus::run(operations, seed.0, &toolchain)?;
        println!("{} operations without a violation: {report:?}", report.operations);
    }
    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
