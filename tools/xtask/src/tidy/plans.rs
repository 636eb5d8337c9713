//! Every testpoint of a plan has a test, and every test that a plan names exists.
//!
//! ```toml
//! block = "sq_fetch"
//!
//! [[testpoint]]
//! name = "wrap"
//! text = "A fetch never crosses the end of the ring."
//! tests = ["nvme-hw::sq_fetch::bench::fetches_across_the_wrap"]   # crate::modules::function
//! ```

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use super::Finding;
use crate::requirements;
use crate::workspace::Workspace;

/// A test plan.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    /// What the plan is for; for the reader.
    #[serde(rename = "block")]
    _block: String,
    testpoint: Vec<Testpoint>,
}

/// One thing to test.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Testpoint {
    name: String,
    /// What must hold, in words; for the reader.
    #[serde(rename = "text")]
    _text: String,
    tests: Vec<String>,
}

/// Findings in `tests/plans`.
pub fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    // The list of cases is a file of its own kind.
    let is_plan = |file: &&PathBuf| {
        file.parent() == Some(Path::new("tests/plans"))
            && file.extension() == Some("toml".as_ref())
            && file.as_path() != Path::new(requirements::CASES)
    };
    for file in workspace.files.iter().filter(is_plan) {
        let text = workspace.read(file)?;
        findings.extend(check_plan(file, &text, |test| exists(workspace, test)));
    }
    Ok(findings)
}

fn check_plan(file: &Path, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let line_of = |text: &str, part: &str| text.lines().position(|line| line.contains(part)).map_or(1, |line| line + 1);
    let finding = |line, text: String| Finding { file: file.to_owned(), line, text };
    let plan: Plan = match toml::from_str(text) {
        Ok(plan) => plan,
        Err(error) => {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            return vec![finding(line, format!("is not a test plan: {}", error.message()))];
        }
    };
    let mut findings = Vec::new();
    for testpoint in &plan.testpoint {
        if testpoint.tests.is_empty() {
            let line = line_of(text, &format!("\"{}\"", testpoint.name));
            findings.push(finding(line, format!("testpoint `{}` has no test; write one", testpoint.name)));
        }
        for test in testpoint.tests.iter().filter(|test| !exists(test)) {
            let line = line_of(text, &format!("\"{test}\""));
            findings
                .push(finding(line, format!("there is no test `{test}`; correct the name (crate::modules::function)")));
        }
    }
    findings
}

/// Whether the crate has a test function of this name in a file or module of the name before it.
pub fn exists(workspace: &Workspace, test: &str) -> bool {
    let parts: Vec<_> = test.split("::").collect();
    let [name, modules @ .., function] = parts.as_slice() else { return false };
    let Some(krate) = workspace.crates.iter().find(|krate| krate.name == *name) else { return false };
    let below = |file: &&PathBuf| file.starts_with(&krate.folder) && file.extension() == Some("rs".as_ref());
    workspace.files.iter().filter(below).any(|file| {
        let text = workspace.read(file).unwrap_or_default();
        let in_path = |module: &&str| file.iter().any(|part| Path::new(part).file_stem() == Some(module.as_ref()));
        let in_text = |module: &&str| text.contains(&format!("mod {module} {{"));
        modules.iter().all(|module| in_path(module) || in_text(module)) && has_test(&text, function)
    })
}

/// Whether the text has a function of this name that is a test: `#[test]` stands among the lines just above it.
fn has_test(text: &str, function: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let declares = |line: &str| {
        let rest = line.trim_start_matches("pub ").strip_prefix("fn ").and_then(|rest| rest.strip_prefix(function));
        rest.is_some_and(|rest| rest.starts_with('(') || rest.starts_with('<'))
    };
    let is_test = |at: usize| {
        let mut above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        above.any(|line| *line == "#[test]")
    };
    (0..lines.len()).any(|at| declares(lines[at]) && is_test(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "block = \"a\"\n\n[[testpoint]]\nname = \"one\"\ntext = \"It holds.\"\ntests = [\"a::b::c\"]\n";

    fn findings(text: &str) -> Vec<(usize, String)> {
        let found = check_plan(Path::new("a.toml"), text, |test| test == "a::b::c");
        found.into_iter().map(|finding| (finding.line, finding.text)).collect()
    }

    #[test]
    fn plan_with_existing_tests_is_accepted() {
        assert!(findings(PLAN).is_empty());
    }

    #[test]
    fn empty_testpoint_is_found() {
        let found = findings(&PLAN.replace("\"a::b::c\"", ""));
        assert_eq!(found, [(4, "testpoint `one` has no test; write one".into())]);
    }

    #[test]
    fn unknown_test_is_found() {
        let found = findings(&PLAN.replace("a::b::c", "a::b::d"));
        assert!(matches!(&found[..], [(6, text)] if text.contains("`a::b::d`")), "{found:?}");
    }

    #[test]
    fn text_that_is_no_plan_is_found() {
        assert!(findings("block = 1")[0].1.contains("not a test plan"));
        assert!(findings(&PLAN.replace("tests", "test")).iter().any(|(_, text)| text.contains("not a test plan")));
    }

    #[test]
    fn only_test_functions_count() {
        let text = "mod m {\n    /// Doc.\n    #[test]\n    #[should_panic]\n    fn real() {}\n    fn helper() {}\n}";
        assert!(has_test(text, "real"));
        assert!(!has_test(text, "helper"));
        assert!(!has_test(text, "rea"));
        assert!(!has_test(text, "other"));
    }
}
