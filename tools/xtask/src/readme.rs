//! `cargo xtask readme`: writes what documents show of measured figures, from the programs that measure them. With names, only those sections.
//!
//! A section stands between `<!-- name: written by ... -->` and `<!-- name: end -->`.

use std::fs;
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::steps::workbench_command;
use crate::workspace::{cargo, Workspace};

/// The plot beside the figures.
const PLOT: &str = "docs/throughput.svg";

/// What is measured for a section.
type Measure = fn(&Workspace) -> Result<String>;

/// Sections with their files.
const SECTIONS: [(&str, &str, Measure); 9] = [
    ("demo", "README.md", |workspace| Ok(fenced(&output(workspace, "demo", &mut flashdock("demo"))?))),
    ("figures", "README.md", |workspace| {
        Ok(fenced(&output(workspace, "bench", flashdock("bench").args(["--plot", PLOT]))?))
    }),
    ("area", "README.md", |workspace| output(workspace, "area", &mut workbench_command("area"))),
    ("hdl-reference", "rtl/hdl/guide/side-by-side.md", |workspace| {
        output(workspace, "hdl-reference", &mut workbench_command("hdl-reference"))
    }),
    ("hosts", "docs/hosts.md", |workspace| {
        let mut command = flashdock("bench");
        Ok(fenced(&output(workspace, "bench hosts", command.args(["hosts", "--commands", HOSTS_COMMANDS]))?))
    }),
    ("flash-array", "docs/flash.md", |workspace| {
        Ok(fenced(&output(workspace, "bench flash", flashdock("bench").args(["flash", "--array-only"]))?))
    }),
    ("flash-device", "docs/flash.md", |workspace| {
        Ok(fenced(&output(workspace, "bench flash", flashdock("bench").args(["flash", "--device-only"]))?))
    }),
    ("flash-study", "docs/flash.md", |workspace| {
        Ok(fenced(&output(workspace, "flash-study", &mut workbench_command("flash-study"))?))
    }),
    ("flash-firmware", "docs/flash.md", |workspace| {
        let mut command = workbench_command("flash-study");
        Ok(fenced(&output(workspace, "flash-study --firmware", command.arg("--firmware"))?))
    }),
];

/// Reads of each host: enough for the time of a guest that only boots, which is taken off, to matter little.
const HOSTS_COMMANDS: &str = "10000";

/// Measures and writes the sections, and the plot with the figures.
pub fn run(workspace: &Workspace, names: &[String]) -> Result<()> {
    let known = SECTIONS.map(|(name, ..)| name);
    for name in names {
        ensure!(known.contains(&name.as_str()), "there is no section `{name}`; there are {}", known.join(", "));
    }
    for (name, file, measure) in SECTIONS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let content = measure(workspace)?;
        let path = workspace.root.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = with_section(&text, name, &content).with_context(|| file.to_owned())?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// How cargo runs the command line.
fn flashdock(task: &str) -> Command {
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "--package", "flashdock", "--", task]);
    command
}

/// What a program of this workspace prints.
fn output(workspace: &Workspace, task: &str, command: &mut Command) -> Result<String> {
    eprintln!("running {task}");
    let output = command.current_dir(&workspace.root).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "{task} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn fenced(text: &str) -> String {
    format!("```text\n{}\n```\n", text.trim_end())
}

/// The text with other content in one of its sections.
fn with_section(text: &str, name: &str, content: &str) -> Result<String> {
    let begin = format!("<!-- {name}: written by ");
    let end = format!("<!-- {name}: end -->");
    let from = text.find(&begin).with_context(|| format!("there is no section `{begin}... -->`"))?;
    let from = from + text[from..].find('\n').map_or(0, |line_end| line_end + 1);
    let to = text[from..].find(&end).with_context(|| format!("there is no `{end}`"))? + from;
    Ok(format!("{}{content}{}", &text[..from], &text[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a\n<!-- x: written by `y` -->\nold\n<!-- x: end -->\nb\n";

    #[test]
    fn only_the_section_changes() {
        let new = with_section(TEXT, "x", "new\n").unwrap();
        assert_eq!(new, TEXT.replace("old", "new"));
        assert_eq!(with_section(&new, "x", "new\n").unwrap(), new);
    }

    #[test]
    fn missing_section_is_an_error() {
        assert!(with_section(TEXT, "z", "").is_err());
        assert!(with_section(&TEXT.replace("x: end", "z: end"), "x", "").is_err());
    }
}
