//! `cargo xtask ...`: what people and the pipeline run on this repository.

mod generated;
mod readme;
mod requirements;
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
    Test(Rest),
    /// tidy, fmt, clippy and the tests that need neither Verilator nor a Linux guest
    Check,
    /// tidy, fmt and clippy
    Lint,
    /// Exactly what the pipeline runs: lint, test, formal
    Ci,
    /// Check what only a machine notices: dependency edges, front pages, stray literals, files
    Tidy,
    /// Write generated files again
    Generate,
    /// Measure, and write the figures into README.md and other documents; with names (demo, figures, area, hdl-reference, hosts), only those
    Readme(Rest),
    /// Measure area and longest path of blocks: `cargo xtask area --help`
    #[command(disable_help_flag = true)]
    Area(Rest),
    /// Report every crossing of clock domains: `cargo xtask cdc --help`
    #[command(disable_help_flag = true)]
    Cdc(Rest),
    /// Let clients and DMA fight for few blocks at a coherence hub: `cargo xtask coherence --help`
    #[command(disable_help_flag = true)]
    Coherence(Rest),
    /// Prove what blocks assert: `cargo xtask formal --help`
    #[command(disable_help_flag = true)]
    Formal(Rest),
    /// Count the lines, branches and toggles that the tests of the hardware reach: `cargo xtask coverage --help`
    #[command(disable_help_flag = true)]
    Coverage(Rest),
    /// Compare random hardware in three simulators: `cargo xtask fuzz-hdl --help`
    #[command(disable_help_flag = true)]
    FuzzHdl(Rest),
    /// Run litmus tests and random programs on the six harts of the Verilated SoC: `cargo xtask litmus --help`
    #[command(disable_help_flag = true)]
    Litmus(Rest),
    /// Compare the instruction-set simulator with the Verilated tile: `cargo xtask lock-step --help`
    #[command(disable_help_flag = true)]
    LockStep(Rest),
    /// Change blocks in small ways and see which changes their tests notice: `cargo xtask mutate --help`
    #[command(disable_help_flag = true)]
    Mutate(Rest),
    /// Simulate the whole device with anything at any time, from seeds: `cargo xtask swarm --help`
    #[command(disable_help_flag = true)]
    Swarm(Rest),
    /// Cut the power of the flash translation layer, and break its flash: `cargo xtask flash-cuts --help`
    #[command(disable_help_flag = true)]
    FlashCuts(Rest),
    /// Measure write amplification and wear of the flash translation layer: `cargo xtask flash-study --help`
    #[command(disable_help_flag = true)]
    FlashStudy(Rest),
    /// Compare a design in the Rust HDL with the same by hand: `cargo xtask hdl-reference --help`
    #[command(disable_help_flag = true)]
    HdlReference(Rest),
}

/// Arguments that are passed on.
#[derive(clap::Args)]
struct Rest {
    /// Passed on
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
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
        Task::Test(rest) => steps::test(&workspace, &rest.arguments),
        Task::Check => steps::check(&workspace),
        Task::Lint => steps::lint(&workspace),
        Task::Ci => {
            steps::lint(&workspace)?;
            steps::test(&workspace, &[])?;
            steps::workbench(&workspace, "formal", &[])
        }
        Task::Tidy => tidy::run(&workspace),
        Task::Generate => generated::write(&workspace),
        Task::Readme(rest) => readme::run(&workspace, &rest.arguments),
        Task::Area(rest) => steps::workbench(&workspace, "area", &rest.arguments),
        Task::Cdc(rest) => steps::workbench(&workspace, "cdc", &rest.arguments),
        Task::Coherence(rest) => steps::workbench(&workspace, "coherence", &rest.arguments),
        Task::Formal(rest) => steps::workbench(&workspace, "formal", &rest.arguments),
        Task::Coverage(rest) => steps::workbench(&workspace, "coverage", &rest.arguments),
        Task::FlashCuts(rest) => steps::workbench(&workspace, "flash-cuts", &rest.arguments),
        Task::FlashStudy(rest) => steps::workbench(&workspace, "flash-study", &rest.arguments),
        Task::FuzzHdl(rest) => steps::workbench(&workspace, "fuzz-hdl", &rest.arguments),
        Task::Litmus(rest) => steps::workbench(&workspace, "litmus", &rest.arguments),
        Task::LockStep(rest) => steps::workbench(&workspace, "lock-step", &rest.arguments),
        Task::Mutate(rest) => steps::workbench(&workspace, "mutate", &rest.arguments),
        Task::Swarm(rest) => steps::workbench(&workspace, "swarm", &rest.arguments),
        Task::HdlReference(rest) => steps::workbench(&workspace, "hdl-reference", &rest.arguments),
    }
}
