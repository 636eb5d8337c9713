//! Every hardware block has a front page, a bench, and the score of its tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Finding, Role};
use crate::workspace::Workspace;

/// The headings of a front page, in their order.
const HEADINGS: [&str; 4] = ["//! ## Symbol", "//! ## Theory of operation", "//! ## Timing", "//! ## Limits"];

/// The heading of the score, which comes last, and what it includes.
const SCORE: [&str; 2] = ["//! ## Mutation score", "#![doc = include_str!(\"doc/mutation.md\")]"];
/// Where it is, in the folder of the block.
const SCORE_FILE: &str = "doc/mutation.md";
/// The file in a crate that explains the mutants that survive.
const MUTANTS: &str = "mutants.toml";
/// The language has no blocks of its own.
const LANGUAGE: &str = "rtl/hdl";

/// Blocks without front page, bench or score.
pub fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = check_scores(workspace)?;
    for krate in workspace.crates.iter().filter(|krate| Role::of(&krate.folder) == Some(Role::Hw)) {
        let source = krate.folder.join("src");
        let files: Vec<_> = workspace.files.iter().filter(|file| is_rust_below(file, &source)).collect();
        for file in &files {
            let text = workspace.read(file)?;
            if !declares_block(&text) {
                continue;
            }
            let page = front_page_of(file, &source);
            findings.extend(check_front_page(&page, &workspace.read(&page)?));
            let tested = if page.ends_with("mod.rs") {
                let folder = page.parent().unwrap_or(&source);
                let mut texts =
                    files.iter().filter(|other| other.starts_with(folder)).map(|other| workspace.read(other));
                texts.any(|text| text.is_ok_and(|text| has_tests(&text)))
            } else {
                has_tests(&text)
            };
            if !tested {
                let text = "this block has no bench; test the running block under every stall pattern".into();
                findings.push(Finding { file: page, line: 1, text });
            }
        }
    }
    Ok(findings)
}

/// Blocks whose page does not tell how many mutants their tests notice.
fn check_scores(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let has_blocks =
        |folder: &Path| matches!(Role::of(folder), Some(Role::Hw | Role::Rtl)) && folder != Path::new(LANGUAGE);
    for krate in workspace.crates.iter().filter(|krate| has_blocks(&krate.folder)) {
        let mutants = krate.folder.join(MUTANTS);
        if !workspace.files.contains(&mutants) {
            let text = "is missing: it explains the mutants that no test of the crate notices".into();
            findings.push(Finding { file: mutants, line: 1, text });
        }
        let source = krate.folder.join("src");
        let mut pages = BTreeSet::new();
        for file in workspace.files.iter().filter(|file| is_rust_below(file, &source)) {
            let benched = file.ends_with("bench.rs") && file.parent() != Some(&source);
            if benched || declares_block(&workspace.read(file)?) {
                pages.insert(front_page_of(file, &source));
            }
        }
        for page in pages {
            let score = workspace.read(&page.with_file_name("").join(SCORE_FILE)).unwrap_or_default();
            findings.extend(check_score(&page, &workspace.read(&page)?, &score, &krate.name));
        }
    }
    Ok(findings)
}

fn check_score(page: &Path, text: &str, score: &str, krate: &str) -> Option<Finding> {
    let finding = |text: String| Some(Finding { file: page.to_owned(), line: 1, text });
    if !page.ends_with("mod.rs") {
        return finding(format!("a block is a folder, so that it can have a `{SCORE_FILE}`"));
    }
    let lines: Vec<&str> = text.lines().collect();
    let name = page.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let writes = format!("`cargo xtask mutate {name} --write` writes the file");
    match SCORE.iter().find(|wanted| !lines.contains(wanted)) {
        Some(missing) => finding(format!("the front page has no `{missing}`; {writes}")),
        None if score.trim().is_empty() => finding(format!("there is no score in `{SCORE_FILE}`; {writes}")),
        // Its block, a folder of blocks around it, or its crate.
        None => match measured(score).find(|what| *what != krate && !page.iter().any(|folder| folder == *what)) {
            Some(other) => finding(format!("the score in `{SCORE_FILE}` is that of `{other}`; {writes}")),
            None => None,
        },
    }
}

/// What was measured for a score.
fn measured(score: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
    score.split("cargo xtask mutate ").skip(1).filter_map(move |rest| rest.split(ends).next())
}

fn is_rust_below(file: &Path, folder: &Path) -> bool {
    file.starts_with(folder) && file.extension().is_some_and(|ending| ending == "rs")
}

/// Whether the file has a block outside of its tests.
fn declares_block(text: &str) -> bool {
    let implements = |line: &str| line.starts_with("impl") && line.contains("Block for ");
    text.lines().take_while(|line| *line != "#[cfg(test)]").any(implements)
}

fn has_tests(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "#[test]")
}

/// Where the front page of a block is: the `mod.rs` of its folder, or the file itself.
fn front_page_of(file: &Path, source: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != source => folder.join("mod.rs"),
        _ => file.to_owned(),
    }
}

fn check_front_page(file: &Path, text: &str) -> Vec<Finding> {
    let finding = |text: String| Finding { file: file.to_owned(), line: 1, text };
    let mut findings = Vec::new();
    if !text.starts_with("//! # ") {
        findings.push(finding("the front page of a block begins with `//! # <its name>`".into()));
    }
    let mut last = 0;
    for heading in HEADINGS {
        match text.lines().position(|line| line == heading) {
            None => findings.push(finding(format!("the front page has no `{heading}`"))),
            Some(line) if line < last => {
                let text =
                    format!("`{heading}` is out of order; the order is Symbol, Theory of operation, Timing, Limits");
                findings.push(Finding { line: line + 1, ..finding(text) });
            }
            Some(line) => last = line,
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "//! # Block\n//!\n//! ## Symbol\n//! ## Theory of operation\n//! ## Timing\n//! ## Limits\n";

    fn findings(text: &str) -> Vec<String> {
        check_front_page(Path::new("block.rs"), text).into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn complete_front_page_is_accepted() {
        assert!(findings(PAGE).is_empty());
    }

    #[test]
    fn each_missing_heading_is_named() {
        for heading in HEADINGS {
            let found = findings(&PAGE.replace(&format!("{heading}\n"), ""));
            assert_eq!(found, [format!("the front page has no `{heading}`")]);
        }
        assert_eq!(findings(&PAGE.replace("//! # Block\n", "")).len(), 1);
    }

    #[test]
    fn order_of_the_headings_is_checked() {
        let swapped = PAGE.replace("Timing", "x").replace("Limits", "Timing").replace("## x", "## Limits");
        assert!(findings(&swapped).iter().any(|finding| finding.contains("out of order")));
    }

    #[test]
    fn a_score_has_its_heading_and_its_file() {
        let score = format!("{PAGE}{}\n{}\n", SCORE[0], SCORE[1]);
        let found =
            |page: &str, text: &str| check_score(Path::new(page), text, "All.", "rtl-prim").map(|finding| finding.text);
        assert_eq!(found("src/fifo/mod.rs", &score), None);
        assert!(found("src/fifo.rs", &score).is_some_and(|text| text.contains("folder")));
        for line in SCORE {
            let text = found("src/fifo/mod.rs", &score.replace(line, "")).unwrap();
            assert!(text.contains(line) && text.contains("mutate fifo --write"), "{text}");
        }
        let text = check_score(Path::new("src/fifo/mod.rs"), &score, "\n", "rtl-prim").unwrap().text;
        assert!(text.contains("there is no score") && text.contains("mutate fifo --write"), "{text}");
        for (of, is_wrong) in
            [("fifo", false), ("rtl-prim --sample 9", false), ("src", false), ("fifo_2", true), ("rtl-bus", true)]
        {
            let measured = format!("All.\n`cargo xtask mutate {of}`\n");
            let finding = check_score(Path::new("src/fifo/mod.rs"), &score, &measured, "rtl-prim");
            assert_eq!(finding.is_some(), is_wrong, "{of}");
        }
    }

    #[test]
    fn blocks_are_recognized() {
        assert!(declares_block("struct A;\nimpl Block for A {\n}"));
        assert!(declares_block("impl<T: Shape> Block for A<T> {\n}"));
        assert!(!declares_block("#[cfg(test)]\nmod tests {\nimpl Block for A {\n}\n}"));
        let source = Path::new("hw/src");
        assert_eq!(front_page_of(Path::new("hw/src/a.rs"), source), Path::new("hw/src/a.rs"));
        assert_eq!(front_page_of(Path::new("hw/src/a/block.rs"), source), Path::new("hw/src/a/mod.rs"));
    }
}
