//! `cargo xtask mutate`: how many small changes of the hardware the tests of a block notice.
//!
//! ```text
//!   crates with a mutants.toml --> test binary, built once --> tests of a block, unmutated: they pass, time limits, modules
//!                                                                |
//!   doc/mutation.md <-- score, survivors <-- one run per mutant <-- mutations of the block's modules
//! ```
//!
//! A block is a front page: the folder of a `mod.rs`, or a file of its own. Its tests are those below it, and its modules are those that it
//! describes itself; what its tests describe counts only where the block has none, as the front end of a bus. A mutation that several
//! configurations have is tried in the smallest first, and in the others only where it survives.

mod project;
mod run;
mod survivors;

use std::collections::BTreeSet;

use anyhow::{ensure, Result};
use rtl_hdl::bench::Seed;
use sim_toolchain::{Progress, Terminal};

use project::{Chosen, Crate, Project};
use run::{Fate, Mutant, Plan, TestBinary};
use survivors::Explanations;

/// What is tried, and how.
#[derive(clap::Args)]
pub struct Arguments {
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

/// The result of one block.
struct Score {
    block: String,
    /// How many mutants there are.
    all: usize,
    /// How many were tried.
    tried: usize,
    survivors: Vec<Survivor>,
}

/// A mutant that no test noticed.
struct Survivor {
    mutant: Mutant,
    explanation: Option<String>,
}

impl Score {
    fn killed(&self) -> usize {
        self.tried - self.survivors.len()
    }

    fn explained(&self) -> usize {
        self.survivors.iter().filter(|survivor| survivor.explanation.is_some()).count()
    }
}

/// Tries the mutants of each block, prints the scores and the survivors, and fails if one of them is not explained.
pub fn run(arguments: &Arguments) -> Result<()> {
    let project = Project::load()?;
    let mut problems = Vec::new();
    let mut scores = Vec::new();
    for (krate, chosen) in project.chosen(&arguments.blocks)? {
        let explanations = Explanations::read(&krate.mutants_file())?;
        let tests = TestBinary::build(krate)?;
        let blocks = match chosen {
            Chosen::These(blocks) => blocks,
            Chosen::All => {
                let blocks = tests.blocks();
                problems.extend(explanations.of_no_block(&krate.mutants_file(), &blocks));
                blocks
            }
        };
        for block in blocks {
            let plan = tests.plan(&block)?;
            if plan.mutants.is_empty() {
                continue;
            }
            if arguments.list {
                list(&block, &sampled(plan.mutants, arguments));
                continue;
            }
            let score = of_block(krate, &tests, &block, plan, arguments, &explanations, &mut problems)?;
            let page = page(&block, &score, arguments);
            if arguments.write {
                krate.write_page(&block, &page)?;
            } else if krate.read_page(&block).is_some_and(|written| written != page) {
                eprintln!("the page of `{block}` has another score: run this with --write");
            }
            print!("{}", survivors(&score));
            scores.push(score);
        }
    }
    if arguments.list {
        return Ok(());
    }
    print!("{}", table(&scores));
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    ensure!(problems.is_empty(), "{} survivor(s) or explanations to look at, see above", problems.len());
    Ok(())
}

fn list(block: &str, mutants: &[Mutant]) {
    println!("{block}: {} mutants", mutants.len());
    for Mutant { kind, text, line, .. } in mutants {
        println!("  {line:40}  {kind:10}  {text}");
    }
}

/// Tries the mutants of one block.
fn of_block(
    krate: &Crate,
    tests: &TestBinary,
    block: &str,
    plan: Plan,
    arguments: &Arguments,
    explanations: &Explanations,
    problems: &mut Vec<String>,
) -> Result<Score> {
    let all = plan.mutants.len();
    let known: BTreeSet<String> = plan.mutants.iter().map(|mutant| mutant.text.clone()).collect();
    let mutants = sampled(plan.mutants, arguments);
    let progress = Terminal::default();
    progress.begin(&format!("{block}: {} mutants, {} tests", mutants.len(), plan.tests.len()), mutants.len() as u64);
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let fates = tests.try_all(&plan.tests, &mutants, jobs, &progress);
    progress.end();

    let tried = mutants.len();
    let mut survivors = Vec::new();
    let file = krate.mutants_file();
    let file = file.strip_prefix(&krate.root).unwrap_or(&file).display();
    for (mutant, fate) in mutants.into_iter().zip(fates) {
        let explanation = explanations.of(block, &mutant.text);
        match (fate?, explanation) {
            (Fate::Killed, None) => {}
            (Fate::Killed, Some(_)) => problems
                .push(format!("{file}: {block}: `{}` does not survive any more: remove its explanation", mutant.text)),
            (Fate::Survived, explanation) => {
                if explanation.is_none() {
                    problems.push(format!(
                        "{}: {block}: `{}` survives: test what it changes, or explain it in {file}",
                        mutant.line, mutant.text
                    ));
                }
                survivors.push(Survivor { explanation: explanation.map(String::from), mutant });
            }
        }
    }
    for text in explanations.texts(block).filter(|text| !known.contains(*text)) {
        problems.push(format!("{file}: {block}: there is no mutant `{text}` any more: remove its explanation"));
    }
    Ok(Score { block: block.into(), all, tried, survivors })
}

/// As many of the mutants as are asked for, in their order.
fn sampled(mutants: Vec<Mutant>, arguments: &Arguments) -> Vec<Mutant> {
    let Some(wanted) = arguments.sample.filter(|wanted| *wanted < mutants.len()) else { return mutants };
    let mut order: Vec<usize> = (0..mutants.len()).collect();
    Seed(arguments.seed).rng("mutants").shuffle(&mut order);
    let chosen: BTreeSet<usize> = order.into_iter().take(wanted).collect();
    mutants.into_iter().enumerate().filter(|(number, _)| chosen.contains(number)).map(|(_, mutant)| mutant).collect()
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// What the page of a block says.
fn page(block: &str, score: &Score, arguments: &Arguments) -> String {
    let (mut of, mut command) = (format!("{} mutants", score.all), format!("cargo xtask mutate {block}"));
    if score.tried < score.all {
        of = format!("{} mutants, a sample of {}", score.tried, score.all);
        command.push_str(&format!(" --sample {} --seed {}", score.tried, arguments.seed));
    }
    let survivors = match (score.survivors.len(), score.explained()) {
        (0, _) => "none survives".into(),
        (1, 1) => "`mutants.toml` explains the one that survives".into(),
        (all, explained) if all == explained => format!("`mutants.toml` explains the {all} that survive"),
        (all, explained) => format!("{all} survive, and `mutants.toml` explains {explained} of them"),
    };
    format!("The tests notice {:.1} % of {of}: {survivors}.\n`{command}`\n", percent(score.killed(), score.tried))
}

/// The survivors of a block, with their lines.
fn survivors(score: &Score) -> String {
    let mut text = String::new();
    if !score.survivors.is_empty() {
        text.push_str(&format!("Survivors of {}\n", score.block));
    }
    for Survivor { mutant, explanation } in &score.survivors {
        text.push_str(&format!("  {}: {} ({})\n", mutant.line, mutant.text, mutant.kind));
        if let Some(explanation) = explanation {
            text.push_str(&format!("    {explanation}\n"));
        }
    }
    text
}

/// A table of the scores.
fn table(scores: &[Score]) -> String {
    let width = scores.iter().map(|score| score.block.len()).chain([5]).max().unwrap_or(5);
    let row = |name: &str, all: usize, tried: usize, killed: usize, explained: usize| {
        let sample = if tried < all { format!(" of {all}") } else { String::new() };
        let survivors = tried - killed;
        format!(
            "| {name:width$} | {tried:>7} | {killed:>6} | {survivors:>9} | {explained:>9} | {:>5.1} % |{sample}\n",
            percent(killed, tried)
        )
    };
    let mut text = format!(
        "| {:width$} | mutants | killed | survivors | explained |   score |\n|-{}-|--------:|-------:|----------:|----------:|--------:|\n",
        "block",
        "-".repeat(width)
    );
    let sum = |of: fn(&Score) -> usize| scores.iter().map(of).sum::<usize>();
    for score in scores {
        text.push_str(&row(&score.block, score.all, score.tried, score.killed(), score.explained()));
    }
    if scores.len() > 1 {
        let tried = sum(|score| score.tried);
        text.push_str(&row("all", sum(|score| score.all), tried, sum(Score::killed), sum(Score::explained)));
    }
    text
}
