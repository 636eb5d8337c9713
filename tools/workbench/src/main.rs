//! What `cargo xtask area`, `cargo xtask hdl-reference` and `cargo xtask mutate` run.
//!
//! A program of its own, because it contains the hardware: the rest of `cargo xtask` must work while that does not compile.

mod area;
mod mutate;
mod reference;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure area and longest path of blocks with yosys
    Area {
        /// Blocks to measure, by the names of `flashdock emit --list`; if none is given, all
        blocks: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print the signals on each longest path
        #[arg(long, conflicts_with = "json")]
        paths: bool,
    },
    /// Change the hardware of blocks in small ways, and see which changes their tests notice
    Mutate(Mutate),
    /// Compare a design in the Rust HDL with the same by hand: area, levels, Verilated speed
    HdlReference {
        /// Clocks to run each design for, in each of five rounds
        #[arg(long, default_value_t = 1_000_000)]
        clocks: u64,
    },
}

/// Arguments of `mutate`.
#[derive(clap::Args)]
struct Mutate {
    /// Blocks, by the names of their folders; a crate, such as rtl-prim, stands for all of its blocks
    #[arg(required = true)]
    blocks: Vec<String>,
    /// Try so many mutants of each block, chosen at random
    #[arg(long)]
    sample: Option<usize>,
    /// Chooses the sample
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tests that run at once; as many as there are processors, if it is not given
    #[arg(long)]
    jobs: Option<usize>,
    /// List the mutants and try none
    #[arg(long, conflicts_with = "write")]
    list: bool,
    /// Write the score into the page of each block
    #[arg(long)]
    write: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Area { blocks, json, paths } => area::run(&blocks, area::Output { json, paths }),
        Task::Mutate(Mutate { blocks, sample, seed, jobs, list, write }) => {
            let jobs = jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
            mutate::run(&mutate::Options { names: blocks, sample, seed, jobs, list, write })
        }
        Task::HdlReference { clocks } => reference::run(clocks),
    }
}
