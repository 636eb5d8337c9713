//! `cargo xtask swarm`: seeded simulations of the whole device, many at a time.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, Result};
use indicatif::{ProgressBar, ProgressStyle};
use rtl_hdl::bench::Seed;
use sim_swarm::{back_end, run_seed, seeds, traced, BackEnd, Failure, Plan, Tally, Window, BACK_ENDS};

/// Commands of a campaign that does not say how many.
const COMMANDS: u64 = 100_000;

/// What is run.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What everything is made from, decimal or hexadecimal with 0x; alone, one run of this seed
    #[arg(long, value_parser = seed)]
    seed: Option<Seed>,
    /// How many commands, over all runs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    commands: Option<u64>,
    /// How many runs, each of a seed of its own
    #[arg(long, value_name = "N", conflicts_with = "commands", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Commands of each run
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    length: u64,
    /// On which device; if it is not given, the seed says
    #[arg(long, value_name = "DEVICE", value_parser = named)]
    back_end: Option<&'static BackEnd>,
    /// How many runs at a time; if it is not given, as many as there are processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,
    /// Write a waveform (VCD) of the end of the first run that fails
    #[arg(long, value_name = "FILE")]
    waveform: Option<PathBuf>,
    /// Clocks in the waveform
    #[arg(long, value_name = "CLOCKS", default_value_t = 5000, requires = "waveform")]
    last: u64,
}

fn seed(text: &str) -> Result<Seed, String> {
    Seed::parse(text).ok_or_else(|| "a seed is a number, such as 24301 or 0x5eed".into())
}

fn named(name: &str) -> Result<&'static BackEnd, String> {
    back_end(name).ok_or_else(|| {
        let names: Vec<&str> = BACK_ENDS.iter().map(|back_end| back_end.name).collect();
        format!("there are {}", names.join(", "))
    })
}

impl Arguments {
    fn runs(&self) -> u64 {
        match (self.seeds, self.commands, self.seed) {
            (Some(seeds), _, _) => seeds,
            (None, Some(commands), _) => commands.div_ceil(self.length),
            (None, None, Some(_)) => 1,
            (None, None, None) => COMMANDS.div_ceil(self.length),
        }
    }

    fn plan(&self, seed: u64) -> Plan {
        Plan::of(seed, self.back_end, self.length)
    }

    fn seed(&self) -> u64 {
        self.seed.map_or(0x5EED, |seed| seed.0)
    }
}

/// What all runs together did.
#[derive(Default)]
struct Sum {
    runs: u64,
    by_back_end: Vec<(&'static str, u64, Tally)>,
    failures: Vec<Failure>,
}

impl Sum {
    fn add(&mut self, plan: &Plan, result: Result<Tally, Failure>) {
        self.runs += 1;
        let tally = match result {
            Ok(tally) => tally,
            Err(failure) => {
                self.failures.push(failure);
                return;
            }
        };
        let name = plan.back_end.name;
        match self.by_back_end.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, runs, sum)) => {
                *runs += 1;
                sum.add(&tally);
            }
            None => self.by_back_end.push((name, 1, tally)),
        }
    }

    fn all(&self) -> Tally {
        let mut all = Tally::default();
        self.by_back_end.iter().for_each(|(_, _, tally)| all.add(tally));
        all
    }
}

/// Runs the seeds that are asked for, and says what they found.
pub fn run(arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    let runs = arguments.runs();
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let jobs = arguments.jobs.unwrap_or(processors).min(runs);
    let next = Mutex::new(seeds(arguments.seed()).take(runs as usize));
    let sum = Mutex::new(Sum::default());
    let bar = Bar::new(runs * arguments.length);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| loop {
                // A run that fails is caught, so that no lock is held by a thread that panicked.
                let Some(seed) = next.lock().unwrap_or_else(PoisonError::into_inner).next() else { break };
                let plan = arguments.plan(seed);
                let result = run_seed(&plan);
                if let Err(failure) = &result {
                    // Long campaigns end late: whoever watches wants to know now.
                    bar.bar.suspend(|| eprintln!("{failure}"));
                }
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                sum.add(&plan, result);
                bar.show(&sum, arguments.length);
            });
        }
    });
    bar.bar.finish_and_clear();
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Threads end in any order; what is printed does not depend on it.
    sum.by_back_end.sort_by_key(|(name, ..)| *name);
    sum.failures.sort_by_key(|failure| failure.seed);
    print!("{}", text(&sum, start.elapsed()));
    for failure in &sum.failures {
        println!("\n{failure}");
    }
    let Some(first) = sum.failures.first() else { return Ok(()) };
    if let Some(path) = &arguments.waveform {
        write_waveform(first, path, arguments.last)?;
    }
    bail!("{} of {} runs failed, see above", sum.failures.len(), sum.runs)
}

/// Does a run again that failed, for the waveform of its end.
fn write_waveform(failure: &Failure, path: &std::path::Path, clocks: u64) -> Result<()> {
    let plan = Plan::of(failure.seed, back_end(failure.back_end), failure.commands);
    let window = Window { path: path.to_owned(), from: failure.clock.saturating_sub(clocks) };
    let again = traced(&plan, &window).map_err(|error| anyhow!(error))?;
    if again.as_ref().err() != Some(failure) {
        bail!("the run did not fail again in the same way: the same seed must be the same run");
    }
    println!("\nwaveform: {} from clock {} on", path.display(), window.from);
    Ok(())
}

/// Shows how far a campaign is.
struct Bar {
    bar: ProgressBar,
    total: u64,
}

impl Bar {
    fn new(total: u64) -> Self {
        let style =
            ProgressStyle::with_template("{spinner} {msg} [{bar:24}] {human_pos}/{human_len} commands, {eta} left");
        let bar = ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message("no failure");
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, total }
    }

    fn show(&self, sum: &Sum, length: u64) {
        let (before, now) = (self.bar.position(), sum.runs * length);
        self.bar.set_position(now);
        let failures = sum.failures.len();
        if failures > 0 {
            self.bar.set_message(format!("{failures} failure(s)"));
        }
        // Where no bar is seen, a line for each tenth.
        let tenth = |commands: u64| commands * 10 / self.total;
        if !std::io::stderr().is_terminal() && tenth(before) != tenth(now) {
            eprintln!("{now} of {} commands, {failures} failure(s)", self.total);
        }
    }
}

/// What a campaign did, as text.
fn text(sum: &Sum, elapsed: Duration) -> String {
    let mut text = String::new();
    let mut line = |name: &str, runs: u64, tally: &Tally| {
        let Tally { commands, completed, dropped, blocks_compared, lives, fatal, storm_accesses, clocks } = tally;
        text += &format!(
            "{name:16} {runs:>6} runs {commands:>9} commands: {completed} completed, {dropped} dropped; {blocks_compared} blocks compared, \
             {lives} lives, {fatal} fatal, {storm_accesses} accesses in storms, {clocks} clocks\n"
        );
    };
    for (name, runs, tally) in &sum.by_back_end {
        line(name, *runs, tally);
    }
    let all = sum.all();
    line("all", sum.runs - sum.failures.len() as u64, &all);
    let seconds = elapsed.as_secs_f64();
    let failures = sum.failures.len();
    text + &format!("{seconds:.0} s, {:.0} commands per second: {failures} failure(s)\n", all.commands as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &[&str]) -> Arguments {
        Line::parse_from([&["swarm"], line].concat()).arguments
    }

    #[test]
    fn a_seed_alone_is_one_run_and_a_number_of_commands_as_many_as_they_need() {
        assert_eq!(parse(&["--seed", "0x12"]).runs(), 1);
        assert_eq!(parse(&["--seed", "0x12", "--commands", "2500"]).runs(), 3);
        assert_eq!(parse(&["--seeds", "7"]).runs(), 7);
        assert_eq!(parse(&[]).runs(), 100);
    }

    /// The line that a failure prints is one that the program takes, and stands for the same run.
    #[test]
    fn the_replay_line_of_a_failure_is_understood() {
        let plan = Plan::of(0xABC, back_end("verilated-small"), 77);
        let failure = Failure {
            seed: plan.seed,
            back_end: plan.back_end.name,
            commands: plan.commands,
            broken: sim_swarm::Broken::Other("an example".into()),
            clock: 5,
        };
        let said = failure.to_string();
        let line = said.lines().find_map(|line| line.strip_prefix("replay: cargo xtask swarm ")).unwrap();
        let arguments = parse(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(format!("{:?}", arguments.plan(arguments.seed())), format!("{plan:?}"));
        assert_eq!(arguments.runs(), 1);
    }
}
