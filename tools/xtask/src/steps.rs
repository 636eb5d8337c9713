//! The tasks that call cargo: test, check, lint.

use std::process::Command;
use std::time::Instant;

use anyhow::{bail, ensure, Context, Result};
use sim_toolchain::Toolchain;

use crate::tidy;
use crate::workspace::{cargo, Workspace};

/// The crate whose models need Verilator and a C++ compiler.
const NEEDS_VERILATOR: &str = "sim-verilator";

/// The crate whose tests boot Linux, which takes packages of Debian and some seconds for each.
const NEEDS_GUEST: &str = "sim-guest";

/// The tasks of the workbench that are built for speed: one measures it, the others run for long.
const BUILT_FOR_SPEED: [&str; 4] = ["flash-cuts", "flash-study", "hdl-reference", "swarm"];

/// Runs every test of the workspace.
pub fn test(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    Toolchain::from_env().prepare().context("the tests of the hardware cannot run")?;
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).args(arguments);
    step(workspace, "test", &mut command)
}

/// Everything that takes less than two minutes.
pub fn check(workspace: &Workspace) -> Result<()> {
    lint(workspace)?;
    let mut slow = workspace.dependents(NEEDS_VERILATOR);
    slow.extend(workspace.dependents(NEEDS_GUEST));
    let mut command = cargo();
    command.args(["test", "--quiet"]);
    for krate in workspace.crates.iter().filter(|krate| !slow.contains(krate.name.as_str())) {
        command.args(["--package", &krate.name]);
    }
    step(workspace, "test what needs neither Verilator nor a guest", &mut command)
}

/// How cargo runs a task of the program that contains the hardware: as the tests build it, so that it is not built twice.
pub fn workbench_command(task: &str) -> Command {
    let mut command = cargo();
    command.arg("run");
    if BUILT_FOR_SPEED.contains(&task) {
        command.arg("--release");
    }
    command.args(["--quiet", "--package", "workbench", "--", task]);
    command
}

/// Runs a task of the program that contains the hardware.
pub fn workbench(workspace: &Workspace, task: &str, arguments: &[String]) -> Result<()> {
    let status = workbench_command(task).args(arguments).current_dir(&workspace.root).status();
    let status = status.with_context(|| format!("cannot run {task}"))?;
    ensure!(status.success(), "{task} failed");
    Ok(())
}

/// tidy, fmt and clippy.
pub fn lint(workspace: &Workspace) -> Result<()> {
    tidy::run(workspace)?;
    if has_component("fmt", "rustfmt") {
        step(workspace, "fmt", cargo().args(["fmt", "--all", "--check"]))?;
    }
    if has_component("clippy", "clippy") {
        let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
        step(workspace, "clippy", cargo().args(clippy))?;
    }
    Ok(())
}

/// Whether cargo has this subcommand; says how to get it if not.
fn has_component(subcommand: &str, component: &str) -> bool {
    let found = cargo().args([subcommand, "--version"]).output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: {subcommand}, which is not installed: rustup component add {component}");
    }
    found
}

/// Runs a command in the repository, its output going where ours goes, and says how long it took.
fn step(workspace: &Workspace, name: &str, command: &mut Command) -> Result<()> {
    eprintln!("== {name}");
    let start = Instant::now();
    let status = command.current_dir(&workspace.root).status().with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        bail!("{name} failed");
    }
    eprintln!("== {name}: {:.0} s", start.elapsed().as_secs_f32());
    Ok(())
}
