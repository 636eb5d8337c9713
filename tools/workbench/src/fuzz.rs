//! `cargo xtask fuzz-hdl`: random hardware in the evaluator, in Verilator and as the netlist of yosys.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, Context, Result};
use hdl_fuzz::census::Census;
use hdl_fuzz::judge::Times;
use hdl_fuzz::{campaign, report, shrink, Campaign, Case, Judge, Summary, Verdict};
use indicatif::{ProgressBar, ProgressStyle};
use rtl_hdl::bench::Seed;
use sim_toolchain::{Cache, Toolchain};

/// Where failures are written, from the root of the repository.
const FAILURES: &str = "target/hdl-fuzz";

/// A run of so many designs in which a construct never occurs has not compared it, and fails.
const EVERY_CONSTRUCT_FROM: u64 = 100;

/// What is run.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How many designs
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// What they are made from, decimal or hexadecimal with 0x
    #[arg(long, default_value = "0x5eed", value_parser = seed)]
    seed: Seed,
    /// Run a case that was kept, instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "seed", "jobs"])]
    replay: Option<PathBuf>,
    /// How many batches of designs at a time; if it is not given, as many as there are processors
    #[arg(long)]
    jobs: Option<usize>,
}

fn seed(text: &str) -> Result<Seed, String> {
    Seed::parse(text).ok_or_else(|| "a seed is a number, such as 24301 or 0x5eed".into())
}

/// Runs random designs, or one that was kept.
pub fn run(arguments: &Arguments) -> Result<()> {
    // Fetched with a word about it; what is built for each batch is not worth one.
    let toolchain = Toolchain::from_env();
    toolchain.compiler()?;
    toolchain.verilator()?;
    toolchain.yosys()?;
    let judge = Judge::new(&Toolchain::new(Cache::from_env()));
    match &arguments.replay {
        Some(file) => replay(&judge, file),
        None => random(&judge, arguments),
    }
}

fn replay(judge: &Judge, file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let case = Case::parse(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?;
    let verdict = judge.judge(vec![case])?.0.remove(0);
    match verdict.failure {
        None => {
            println!("{}: the simulators agree for {} clocks", verdict.case.top, verdict.clocks);
            Ok(())
        }
        Some(_) => {
            report::write(Path::new(FAILURES), &verdict).with_context(|| format!("cannot write below {FAILURES}"))?;
            bail!("{}\nits Verilog is in {FAILURES}/{}/design.sv", report::said(&verdict), verdict.case.top)
        }
    }
}

fn random(judge: &Judge, arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |count| count.get()));
    let campaign = Campaign { seed: arguments.seed, count: arguments.count, jobs };
    let bar = Bar::new(arguments.count);
    let summary = campaign::run(judge, campaign, &mut |summary| bar.show(summary))?;
    bar.bar.finish_and_clear();
    print!("{}", text(&summary, arguments.seed, start.elapsed()));
    for (about, count) in &summary.defects {
        println!("{count} design(s) a tool could not take: {about}");
    }
    let failed = !summary.failures.is_empty();
    for (verdict, count) in summary.failures {
        let said = small(judge, verdict)?;
        println!("\n{count} design(s) fail in this way:\n{said}");
    }
    if failed {
        bail!("there are failures, see above");
    }
    let missing = summary.census.missing();
    if summary.designs >= EVERY_CONSTRUCT_FROM && !missing.is_empty() {
        bail!("no design has: {}; see tests/hdl-fuzz/src/generator", missing.join(", "));
    }
    Ok(())
}

/// Shrinks and writes a failure; what there is to say about it.
fn small(judge: &Judge, verdict: Verdict) -> Result<String> {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(120));
    let show = |verdict: &Verdict| {
        let (top, lines) = (&verdict.case.top, verdict.verilog.lines().count());
        bar.set_message(format!("shrinking {top}: {lines} lines of Verilog"));
    };
    show(&verdict);
    let shrunk = shrink::shrink(judge, verdict, shrink::ATTEMPTS_MAX, &mut |verdict| show(verdict))?;
    bar.finish_and_clear();
    let case = report::write(Path::new(FAILURES), &shrunk.verdict);
    let case = case.with_context(|| format!("cannot write below {FAILURES}"))?;
    let lines = shrunk.verdict.verilog.lines().count();
    let said = report::said(&shrunk.verdict);
    Ok(format!("{said}\nshrunk to {lines} lines of Verilog beside it; {}", report::replay(&case)))
}

/// Shows how far a campaign is.
struct Bar {
    bar: ProgressBar,
    count: u64,
}

impl Bar {
    fn new(count: u64) -> Self {
        let style =
            ProgressStyle::with_template("{spinner} {msg} [{bar:24}] {pos}/{len} designs, {elapsed} of {duration}");
        let bar = ProgressBar::new(count).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message("no failure");
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, count }
    }

    fn show(&self, summary: &Summary) {
        let before = self.bar.position();
        self.bar.set_position(summary.designs);
        let failures: u64 = summary.failures.iter().map(|(_, count)| count).sum();
        if failures > 0 {
            self.bar.set_message(format!("{failures} failure(s)"));
        }
        // Where no bar is seen, a line for each tenth.
        let tenth = |designs: u64| designs * 10 / self.count;
        if !std::io::stderr().is_terminal() && tenth(before) != tenth(summary.designs) {
            eprintln!("{} of {} designs, {failures} failure(s)", summary.designs, self.count);
        }
    }
}

/// What a campaign did, as text.
fn text(summary: &Summary, seed: Seed, elapsed: Duration) -> String {
    let failures: u64 = summary.failures.iter().map(|(_, count)| count).sum();
    format!(
        "{}\n{} designs of {} modules, {} clocks in each simulator, seed {seed}, {:.0} s: {failures} failure(s)\ntime: {}\n",
        constructs(&summary.census),
        summary.designs,
        summary.modules,
        summary.clocks,
        elapsed.as_secs_f64(),
        shares(&summary.times)
    )
}

/// How often each construct occurred, in columns.
fn constructs(census: &Census) -> String {
    const COLUMNS: usize = 3;
    let counts: Vec<(&str, u64)> = census.counts().collect();
    let rows = counts.len().div_ceil(COLUMNS);
    let cell = |index: usize| counts.get(index).map(|(construct, count)| format!("{construct:30} {count:>8}"));
    let row = |row: usize| (0..COLUMNS).filter_map(|column| cell(column * rows + row)).collect::<Vec<_>>().join("   ");
    (0..rows).map(|index| row(index) + "\n").collect()
}

/// Where the time went.
fn shares(times: &Times) -> String {
    let Times { elaborate, lint, yosys, verilator, simulate } = *times;
    let parts = [
        ("elaboration", elaborate),
        ("lint", lint),
        ("yosys", yosys),
        ("Verilator and C++", verilator),
        ("simulation", simulate),
    ];
    let total: f64 = parts.iter().map(|(_, time)| time.as_secs_f64()).sum();
    let share = |(what, time): &(&str, Duration)| format!("{what} {:.0} %", 100.0 * time.as_secs_f64() / total);
    parts.iter().map(share).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_parts_of_a_hundred() {
        let seconds = Duration::from_secs;
        let times = Times { elaborate: seconds(1), lint: seconds(2), yosys: seconds(3), ..Times::default() };
        let times = Times { verilator: seconds(10), simulate: seconds(4), ..times };
        assert_eq!(shares(&times), "elaboration 5 %, lint 10 %, yosys 15 %, Verilator and C++ 50 %, simulation 20 %");
    }

    #[test]
    fn every_construct_is_in_the_table() {
        let table = constructs(&Census::default());
        for construct in hdl_fuzz::census::CONSTRUCTS {
            assert!(table.contains(construct), "{construct} is not in:\n{table}");
        }
    }
}
