//! # flashdock
//!
//! The command line of the project: brings the simulated device up, measures it, and explains what goes over its wires.
//!
//! Each command is one file of [`commands`]: its arguments, what it does, what it prints. Results go to standard output, as text for people or
//! with `--json` as one JSON value; progress and errors go to standard error. Every error is two lines, what is wrong and what to do next,
//! and exit code 1.

mod backend;
mod block_trace;
mod bundle;
mod cli;
mod commands;
mod comparison;
mod failure;
mod file_work;
mod flash;
mod flash_picture;
mod link;
mod output;
mod progress;
mod report;
mod served;
mod stats;
mod storage;
mod sweep_plan;
mod waveform;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse().and_then(cli::Cli::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::FAILURE
        }
    }
}
