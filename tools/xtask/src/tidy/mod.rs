//! `cargo xtask tidy`: what only a machine notices. Runs in seconds, before everything else.

mod blocks;
mod edges;
mod files;
pub mod plans;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{bail, Result};

use crate::generated;
use crate::requirements;
use crate::workspace::Workspace;

/// Something to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to the root.
    pub file: PathBuf,
    /// The line, counted from one.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.text)
    }
}

/// Checks the repository, prints every finding and fails if there is one.
pub fn run(workspace: &Workspace) -> Result<()> {
    let mut findings = edges::check(workspace)?;
    findings.extend(source::check(workspace)?);
    findings.extend(blocks::check(workspace)?);
    findings.extend(plans::check(workspace)?);
    findings.extend(files::check(workspace)?);
    let cases = requirements::check(workspace)?;
    // A list that cannot be read has no document.
    if cases.is_empty() {
        findings.extend(generated::check(workspace)?);
    }
    findings.extend(cases);
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => {
            eprintln!("== tidy: {} files of {} crates are tidy", workspace.files.len(), workspace.crates.len());
            Ok(())
        }
        count => bail!("tidy: {count} finding(s), see above"),
    }
}

/// What a crate is for; decides what it may contain and depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Hardware description and building blocks that know nothing about NVMe.
    Rtl,
    /// Facts: wire formats, registers, addresses.
    Spec,
    /// Reference behaviour.
    Model,
    /// Checkers of what any controller promises.
    Properties,
    /// Synthesizable blocks.
    Hw,
    /// Firmware logic.
    Fw,
    /// MMIO.
    Hal,
    /// A processor of others, read and wrapped.
    Core,
    /// Wiring around the core.
    Top,
    /// The firmware binary.
    Firmware,
    /// The whole device on a PC.
    Sim,
    /// Tests of more than one crate.
    Tests,
    /// Programs for people, board flow.
    Tools,
}

impl Role {
    /// The role of the crate in this folder, by the tree in README.md.
    fn of(folder: &Path) -> Option<Self> {
        let parts: Vec<_> = folder.iter().map(|part| part.to_string_lossy()).collect();
        let parts: Vec<_> = parts.iter().map(|part| part.as_ref()).collect();
        Some(match parts[..] {
            ["rtl", _] => Self::Rtl,
            ["nvme-ctrl" | "flash-emu", "spec"] | ["soc", "map"] => Self::Spec,
            ["nvme-ctrl" | "flash-emu", "model"] => Self::Model,
            ["nvme-ctrl", "properties"] => Self::Properties,
            ["nvme-ctrl" | "flash-emu" | "soc", "hw"] => Self::Hw,
            ["nvme-ctrl" | "flash-emu", "fw"] => Self::Fw,
            ["soc", "hal"] => Self::Hal,
            ["soc", "tile"] => Self::Core,
            ["soc", "top"] => Self::Top,
            ["soc", "firmware"] => Self::Firmware,
            ["sim", _] => Self::Sim,
            ["tests", _] => Self::Tests,
            ["tools" | "fpga", ..] => Self::Tools,
            _ => return None,
        })
    }
}
