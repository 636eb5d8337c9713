//! `cargo xtask ...`: what people and the pipeline run on this repository.

mod area;
mod generated;
mod readme;
mod reference;
mod steps;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, checks and measures this repository", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch what the tests need, then run every test
    Test {
        /// Passed on to `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// tidy, fmt, clippy and the tests that need no Verilator
    Check,
    /// tidy, fmt and clippy
    Lint,
    /// Exactly what the pipeline runs: lint, then test
    Ci,
    /// Check what only a machine notices: dependency edges, front pages, stray literals, files
    Tidy,
    /// Write generated files again
    Generate,
    /// Measure, and write the figures into README.md
    Readme,
    /// Measure area and longest path of the controller and its blocks with yosys
    Area {
        /// Modules to measure; if none is given, the controller and the blocks that it is wired from
        blocks: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print the signals on each longest path
        #[arg(long, conflicts_with = "json")]
        paths: bool,
    },
    /// Compare a design in the Rust HDL with the same by hand: area, levels, Verilated speed
    HdlReference {
        /// Clocks to run each design for, in each of five rounds
        #[arg(long, default_value_t = 1_000_000)]
        clocks: u64,
    },
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
    let workspace = Workspace::load()?;
    match task {
        Task::Test { arguments } => steps::test(&workspace, &arguments),
        Task::Check => steps::check(&workspace),
        Task::Lint => steps::lint(&workspace),
        Task::Ci => steps::lint(&workspace).and_then(|()| steps::test(&workspace, &[])),
        Task::Tidy => tidy::run(&workspace),
        Task::Generate => generated::write(&workspace),
        Task::Readme => readme::run(&workspace),
        Task::Area { blocks, json, paths } => area::run(&blocks, area::Output { json, paths }),
        Task::HdlReference { clocks } => reference::run(clocks),
    }
}
