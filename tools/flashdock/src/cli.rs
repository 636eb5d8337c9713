//! The command line: which command there is, and what is wrong with one that is not.

use crate::commands::{
    age, bench, checkpoint, decode, demo, emit, flash_map, gdb, linux, map, replay, replay_inputs, run, serve, smart,
    sweep, trace,
};
use crate::failure::{Failure, Result};
use crate::output;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

/// An open computational SSD, simulated from its RTL up.
#[derive(Parser)]
#[command(name = "flashdock", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Run(run::Args),
    Bench(bench::Args),
    Linux(linux::Args),
    Serve(serve::Args),
    ReplayInputs(replay_inputs::Args),
    Age(age::Args),
    Replay(replay::Args),
    Sweep(sweep::Args),
    Smart(smart::Args),
    FlashMap(flash_map::Args),
    Checkpoint(checkpoint::CheckpointArgs),
    Restore(checkpoint::RestoreArgs),
    Trace(trace::Args),
    Decode(decode::Args),
    Map(map::Args),
    Emit(emit::Args),
    Gdb(gdb::Args),
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> Result {
        match self.command {
            Command::Demo(args) => demo::run(&args),
            Command::Run(args) => run::run(&args),
            Command::Bench(args) => bench::run(&args),
            Command::Linux(args) => linux::run(&args),
            Command::Serve(args) => serve::run(&args),
            Command::ReplayInputs(args) => replay_inputs::run(&args),
            Command::Age(args) => age::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Sweep(args) => sweep::run(&args),
            Command::Smart(args) => smart::run(&args),
            Command::FlashMap(args) => flash_map::run(&args),
            Command::Checkpoint(args) => checkpoint::checkpoint(&args),
            Command::Restore(args) => checkpoint::restore(&args),
            Command::Trace(args) => trace::run(&args),
            Command::Decode(args) => decode::run(&args),
            Command::Map(args) => map::run(&args),
            Command::Emit(args) => emit::run(&args),
            Command::Gdb(args) => gdb::run(&args),
        }
    }
}

/// The arguments of this process. Help and version are printed here and end it.
pub fn parse() -> Result<Cli> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that went away has seen enough.
            let _ = error.print();
            std::process::exit(0);
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Failure::new(
            "no command was given",
            format!(
                "`{}` shows the device at work; `{}` lists the commands",
                output::command("demo"),
                output::command("--help")
            ),
        ),
        _ => usage(&error.render().to_string()),
    })
}

/// The two lines that matter of what clap writes about a bad command line.
fn usage(message: &str) -> Failure {
    let mut what = Vec::new();
    let mut tip = None;
    let mut command = "";
    for line in message.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(text) = line.strip_prefix("tip: ") {
            tip.get_or_insert(text);
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            // The command's words come before its first option or argument.
            let end = usage.find(['<', '[', '-']).unwrap_or(usage.len());
            command = usage[..end].trim_start_matches("flashdock").trim();
        } else if !line.starts_with("For more information") {
            what.push(line.strip_prefix("error: ").unwrap_or(line));
        }
    }
    let help = format!("`{}` tells what can be asked for", output::command(format!("{command} --help").trim_start()));
    Failure::new(what.join(" "), tip.map_or(help.clone(), |tip| format!("{tip}; {help}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
