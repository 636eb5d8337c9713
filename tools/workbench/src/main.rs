//! What `cargo xtask area`, `cdc`, `coherence`, `coverage`, `flash-cuts`, `flash-study`, `formal`, `fuzz-hdl`, `hdl-reference`, `litmus`, `lock-step`, `mutate` and `swarm` run.
//!
//! A program of its own, because it contains the hardware: the rest of `cargo xtask` must work while that does not compile.

mod area;
mod cdc;
mod coherence;
mod coverage;
mod flash;
mod formal;
mod fuzz;
mod litmus;
mod lock_step;
mod mutate;
mod reference;
mod swarm;

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
    /// Report every place where a value goes from one clock domain to another
    Cdc {
        /// Blocks, by the names of `flashdock emit --list`; if none is given, all
        blocks: Vec<String>,
    },
    /// Let clients and DMA fight for few blocks at a coherence hub, and check all that they see
    Coherence(coherence::Arguments),
    /// Prove what blocks assert, by induction or to a depth, with yosys-smtbmc and z3
    Formal(formal::Arguments),
    /// Cut the power of the flash translation layer, break its flash, and see what is left
    FlashCuts(flash::CutsArguments),
    /// Measure write amplification and wear of the flash translation layer
    FlashStudy(flash::StudyArguments),
    /// Run the tests of the hardware, and count the lines, branches and toggles of the Verilog that they reach
    Coverage(coverage::Arguments),
    /// Compare random hardware in the evaluator, in Verilator and as the netlist of yosys
    FuzzHdl(fuzz::Arguments),
    /// Run litmus tests and random programs on the six harts of the Verilated SoC, and check all that they see
    Litmus(litmus::Arguments),
    /// Compare the instruction-set simulator with the Verilated tile, instruction by instruction
    LockStep(lock_step::Arguments),
    /// Change the hardware of blocks in small ways, and see which changes their tests notice
    Mutate(mutate::Arguments),
    /// Simulate the whole device with anything at any time, from seeds
    Swarm(swarm::Arguments),
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
    match task {
        Task::Area { blocks, json, paths } => area::run(&blocks, area::Output { json, paths }),
        Task::Cdc { blocks } => cdc::run(&blocks),
        Task::Coherence(arguments) => coherence::run(&arguments),
        Task::Formal(arguments) => formal::run(&arguments),
        Task::Coverage(arguments) => coverage::run(&arguments),
        Task::FlashCuts(arguments) => flash::run_cuts(&arguments),
        Task::FlashStudy(arguments) => flash::run_study(&arguments),
        Task::FuzzHdl(arguments) => fuzz::run(&arguments),
        Task::Litmus(arguments) => litmus::run(&arguments),
        Task::LockStep(arguments) => lock_step::run(&arguments),
        Task::Mutate(arguments) => mutate::run(&arguments),
        Task::Swarm(arguments) => swarm::run(&arguments),
        Task::HdlReference { clocks } => reference::run(clocks),
    }
}
