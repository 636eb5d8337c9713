//! `cargo xtask lock-step`: random programs on the Verilated tile and on the instruction-set simulator, as long as one likes.

use std::time::Instant;

use anyhow::Result;
use rtl_hdl::bench::Seed;

/// What is run.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How many instructions are to retire
    #[arg(long, default_value_t = 1_000_000)]
    instructions: u64,
    /// What the programs are made from, decimal or hexadecimal with 0x
    #[arg(long, default_value = "0x5eed", value_parser = seed)]
    seed: Seed,
}

fn seed(text: &str) -> Result<Seed, String> {
    Seed::parse(text).ok_or_else(|| "a seed is a number, such as 24301 or 0x5eed".into())
}

/// Runs programs until so many instructions are compared.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { instructions, seed } = *arguments;
    let library = sim_tile::library()?;
    let start = Instant::now();
    let report = lock_step::run(&library, instructions, seed.0)?;
    println!("{instructions} instructions without a difference: {report:?}");
    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
