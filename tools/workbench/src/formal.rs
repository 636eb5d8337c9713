//! `cargo xtask formal`: what is proved of the hardware, and how far.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{bail, ensure, Result};
use indicatif::{ProgressBar, ProgressStyle};
use rtl_hdl::formal::Proof;
use serde_json::json;
use sim_toolchain::Toolchain;
use sim_yosys::formal::{prove, Failure, Known, Outcome};

/// Every proof of the project. Made anew where it is needed, because a block stays in its thread.
fn proofs() -> Vec<Proof> {
    let mut proofs = rtl_prim::proofs();
    proofs.extend(rtl_bus::proofs());
    proofs.extend(rtl_csr::proofs());
    proofs.extend(nvme_hw::proofs());
    proofs.extend(properties::proofs());
    proofs
}

/// What to prove, and how to print it.
#[derive(clap::Args)]
pub struct Arguments {
    /// Proofs, by the beginnings of the names of their blocks; if none is given, all
    names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print every property, not only those that fail
    #[arg(long, conflicts_with = "json")]
    properties: bool,
    /// Print the names of the proofs and prove nothing
    #[arg(long)]
    list: bool,
    /// Write docs/properties.md and prove nothing
    #[arg(long)]
    page: bool,
}

/// Proves, prints, and fails if anything does.
pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.page {
        std::fs::write(properties::PAGE, properties::page())?;
        return Ok(());
    }
    let all: Vec<String> = proofs().iter().map(Proof::name).collect();
    if arguments.list {
        println!("{}", all.join("\n"));
        return Ok(());
    }
    let wanted = |name: &String| {
        arguments.names.is_empty() || arguments.names.iter().any(|beginning| name.starts_with(beginning))
    };
    let chosen: Vec<usize> = (0..all.len()).filter(|index| wanted(&all[*index])).collect();
    if chosen.is_empty() {
        bail!("there is no proof {}; there are: {}", arguments.names.join(", "), all.join(", "));
    }
    let start = Instant::now();
    let results = prove_all(&chosen)?;
    let named: Vec<_> = chosen.iter().map(|index| all[*index].as_str()).zip(&results).collect();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&json!(named))?);
    } else {
        print!("{}", table(&named, arguments.properties));
        eprintln!("{} proofs in {:.0} s", named.len(), start.elapsed().as_secs_f32());
    }
    let failed = named.iter().filter(|(_, results)| !results.iter().all(Outcome::is_good)).map(|(name, _)| *name);
    let failed: Vec<&str> = failed.collect();
    ensure!(failed.is_empty(), "not everything holds; replay it with: cargo xtask formal {}", failed.join(" "));
    Ok(())
}

/// Where waveforms of what fails go.
fn folder(toolchain: &Toolchain) -> PathBuf {
    toolchain.cache().root().join("counter-examples")
}

fn prove_all(chosen: &[usize]) -> Result<Vec<Vec<Outcome>>> {
    let toolchain = Toolchain::from_env();
    // Fetched before the work is shared out.
    toolchain.yosys()?;
    toolchain.z3()?;
    let folder = folder(&toolchain);
    let style = ProgressStyle::with_template("{spinner} proving [{bar:24}] {pos}/{len} {msg} {elapsed}")?;
    let bar = ProgressBar::new(chosen.len() as u64).with_style(style);
    let results: Vec<_> = chosen.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut proofs: Vec<Option<Proof>> = proofs().into_iter().map(Some).collect();
        while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < chosen.len()) {
            let proof = proofs[chosen[at]].take().expect("each is taken once");
            bar.set_message(proof.name());
            // Each is proved once, so nothing was set before.
            let _ = results[at].set(prove(&toolchain, &proof, &folder));
            bar.inc(1);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |count| count.get()) {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    Ok(results.into_iter().filter_map(OnceLock::into_inner).collect::<std::result::Result<_, _>>()?)
}

fn table(results: &[(&str, &Vec<Outcome>)], properties: bool) -> String {
    let mut text = String::new();
    for (name, results) in results {
        let count = |wanted: fn(&Known) -> bool| results.iter().filter(|result| wanted(&result.known)).count();
        let mut parts = Vec::new();
        for (what, count) in [
            ("proved by induction", count(|known| matches!(known, Known::Proved { .. }))),
            ("to a depth", count(|known| matches!(known, Known::Bounded { .. }))),
            ("covered", count(|known| matches!(known, Known::Covered { .. }))),
            ("FAILED", count(|known| matches!(known, Known::Failed(_)))),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        text.push_str(&format!("{name}: {}\n", parts.join(", ")));
        for result in results.iter().filter(|result| properties || !result.is_good()) {
            text.push_str(&format!("  {:32} {}\n", what(&result.known), result.path));
            if let Some(waveform) = waveform(&result.known) {
                text.push_str(&format!("  {:32} waveform: {}\n", "", waveform.display()));
            }
        }
    }
    text
}

fn what(known: &Known) -> String {
    match known {
        Known::Proved { step } => format!("proved, induction over {step}"),
        Known::Bounded { depth } => format!("holds for {depth} clocks"),
        Known::Covered { clock } => format!("covered in clock {clock}"),
        Known::Failed(Failure::Broken(_)) => "BROKEN by a run from a reset".into(),
        Known::Failed(Failure::NotInductive(_)) => "NOT INDUCTIVE".into(),
        Known::Failed(Failure::Unreached) => "NOT REACHED".into(),
        Known::Failed(Failure::NotDecided) => "not decided: another one fails".into(),
    }
}

fn waveform(known: &Known) -> Option<&Path> {
    match known {
        Known::Failed(Failure::Broken(path) | Failure::NotInductive(path)) => Some(path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a solver: a proof of nothing would pass.
    #[test]
    fn every_proof_asserts_something() {
        for proof in proofs() {
            proof.design().unwrap_or_else(|problems| panic!("{problems}"));
        }
    }
}
