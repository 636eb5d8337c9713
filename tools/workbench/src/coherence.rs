//! `cargo xtask coherence`: random traffic of clients and DMA at a coherence hub, as long as one likes, and what clients stream through it.

use std::time::Instant;

use anyhow::{anyhow, Result};
use rtl_bus::coherence_hub::traffic::{self, Options, Stream};
use rtl_bus::coherence_hub::{CoherenceHub, Config};
use rtl_hdl::bench::Seed;
use rtl_hdl::{elaborate, Block};
use sim_verilator::{ModelSet, ModelSpec, Optimize, Reset};

/// What is run.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How many loads, stores, modifications, reads and writes
    #[arg(long, default_value_t = 1_000_000)]
    operations: u64,
    /// Blocks that are fought for
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    blocks: u64,
    /// How often each side of each channel stalls
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(..=90))]
    stall_percent: u64,
    /// What it is made from, decimal or hexadecimal with 0x
    #[arg(long, default_value = "0x5eed", value_parser = seed)]
    seed: Seed,
}

fn seed(text: &str) -> Result<Seed, String> {
    Seed::parse(text).ok_or_else(|| "a seed is a number, such as 24301 or 0x5eed".into())
}

/// Runs the hub of the default configuration.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { operations, blocks, stall_percent, seed } = *arguments;
    let config = Config::DEFAULT;
    let hub = CoherenceHub::new(config);
    let design = elaborate(&hub).map_err(|problems| anyhow!("{problems}"))?;
    let library = ModelSet::new("coherence").with(ModelSpec::of(&design)).optimize(Optimize::Run).load()?;
    let model = || library.model_with(&hub.name(), Reset::Ones);

    let how = Stream { memory_clocks: 10, clocks: 10_000, span: 64 << 10, changed: false };
    let most = how.clocks * u64::from(config.clients) * 8;
    let percent = |bytes: u64| bytes as f64 * 100.0 / most as f64;
    let read = traffic::stream(&mut model(), config, how);
    let changed = traffic::stream(&mut model(), config, Stream { changed: true, ..how });
    println!("{} clients acquire blocks: {:.1} % of their width", config.clients, percent(read.came));
    println!("and give them back changed: {:.1} %, {:.1} % back", percent(changed.came), percent(changed.went));

    let options = Options { operations, blocks, stall_percent, memory_clocks_max: 40, bad_block: true };
    let start = Instant::now();
    let report = traffic::run(&mut model(), config, options, seed).map_err(|wrong| {
        let replay = format!("--operations {operations} --blocks {blocks} --stall-percent {stall_percent}");
        anyhow!("{wrong}\nreplay: cargo xtask coherence {replay} --seed {:#x}", seed.0)
    })?;
    println!("{} operations without a violation: {report:?}", report.operations());
    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
