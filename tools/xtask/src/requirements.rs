//! Which test covers which requirement: `docs/requirements.md`, from the list of cases in `tests/plans/nvme.toml` and from what tests say of themselves.
//!
//! A test of `tests/conformance` names its cases in its documentation, in a line of its own:
//!
//! ```text
//! /// Cases: B1, B2.
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::tidy::plans;
use crate::tidy::Finding;
use crate::workspace::Workspace;

/// The list of cases.
pub const CASES: &str = "tests/plans/nvme.toml";

/// The document that is written.
pub const DOCUMENT: &str = "docs/requirements.md";

/// The crate whose tests say which cases they cover.
const CONFORMANCE: &str = "tests/conformance/src";

/// What begins the line in which they say so.
const ANNOTATION: &str = "/// Cases: ";

/// The list of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    group: Vec<Group>,
}

/// Cases of one subject.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    /// The letter that its cases begin with.
    id: String,
    title: String,
    /// Where the sections are that its cases name.
    document: String,
    case: Vec<Case>,
}

/// One requirement.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    /// The title of a section.
    section: String,
    /// Another document than that of the group.
    document: Option<String>,
    priority: Priority,
    /// What must hold, in words.
    text: String,
    /// Tests outside of the conformance tests: crate::modules::function.
    #[serde(default)]
    tests: Vec<String>,
    /// Why the device has no such case.
    absent: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
enum Priority {
    /// Of every controller.
    M,
    /// If the capability is announced.
    C,
    /// Robustness.
    R,
}

impl Priority {
    fn text(self) -> &'static str {
        match self {
            Self::M => "must",
            Self::C => "capability",
            Self::R => "robustness",
        }
    }
}

/// A conformance test, and what it says.
struct Annotated {
    file: PathBuf,
    line: usize,
    /// `module::function`.
    name: String,
    cases: Vec<String>,
    /// Where it runs, if not on every back end.
    only: Option<&'static str>,
}

/// What was read of the repository.
struct Matrix {
    list: List,
    tests: Vec<Annotated>,
    back_ends: Vec<String>,
    findings: Vec<Finding>,
}

/// The document as it should be now.
pub fn document(workspace: &Workspace) -> Result<String> {
    Ok(read(workspace)?.text())
}

/// What is wrong with the list, or with what tests say.
pub fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let text = workspace.read(Path::new(CASES))?;
    let matrix = match parse(&text) {
        Ok(_) => read(workspace)?,
        Err(finding) => return Ok(vec![finding]),
    };
    let mut findings = matrix.wrong(&text);
    let named = matrix.cases().flat_map(|(_, case)| &case.tests);
    for test in named.filter(|test| !plans::exists(workspace, test)) {
        let text = format!("there is no test `{test}`; correct the name (crate::modules::function)");
        findings.push(finding_at(CASES, line_of(&workspace.read(Path::new(CASES))?, test), text));
    }
    findings.extend(matrix.findings);
    Ok(findings)
}

fn finding_at(file: impl Into<PathBuf>, line: usize, text: String) -> Finding {
    Finding { file: file.into(), line, text }
}

fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).map_or(1, |line| line + 1)
}

fn parse(text: &str) -> Result<List, Finding> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        finding_at(CASES, line, format!("is not a list of cases: {}", error.message()))
    })
}

fn read(workspace: &Workspace) -> Result<Matrix> {
    let list = toml::from_str(&workspace.read(Path::new(CASES))?).context("cannot read the list of cases")?;
    let (mut tests, mut findings) = (Vec::new(), Vec::new());
    let is_source = |file: &&PathBuf| file.starts_with(CONFORMANCE) && file.extension() == Some("rs".as_ref());
    for file in workspace.files.iter().filter(is_source) {
        scan(file, &workspace.read(file)?, &mut tests, &mut findings);
    }
    let back_ends = back_ends(&workspace.read(&Path::new(CONFORMANCE).join("back_end.rs"))?);
    Ok(Matrix { list, tests, back_ends, findings })
}

/// The names of the back ends that all tests run on, from the source of `back_ends`.
fn back_ends(source: &str) -> Vec<String> {
    let body = source.split("pub fn back_ends()").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap_or("");
    body.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// The annotated tests of a file; an annotation that belongs to no test is a finding.
fn scan(file: &Path, text: &str, tests: &mut Vec<Annotated>, findings: &mut Vec<Finding>) {
    let module = file.file_stem().unwrap_or_default().to_string_lossy();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(cases) = line.trim().strip_prefix(ANNOTATION) else { continue };
        let cases = cases.trim_end_matches('.').split(',').map(|case| case.trim().to_owned()).collect();
        let below = &lines[at + 1..];
        let is_above = |line: &&&str| line.trim().starts_with("///") || line.trim().starts_with("#[");
        let heads = below.iter().take_while(is_above).count();
        let is_test = below[..heads].iter().any(|line| line.trim() == "#[test]");
        let function = below.get(heads).and_then(|line| line.trim().strip_prefix("fn ")?.split('(').next());
        match function.filter(|_| is_test) {
            Some(function) => {
                let body = below[heads..].iter().take_while(|line| **line != "}");
                let only = where_it_runs(body);
                let name = format!("{module}::{function}");
                tests.push(Annotated { file: file.to_owned(), line: at + 1, name, cases, only });
            }
            None => findings.push(finding_at(file, at + 1, "cases are named above a test, and here is none".into())),
        }
    }
}

/// On which back ends the test with this body runs, if not on every one.
fn where_it_runs<'l>(body: impl Iterator<Item = &'l &'l str> + Clone) -> Option<&'static str> {
    let calls = |call: &str| body.clone().any(|line| line.contains(call));
    match (calls("every_back_end("), calls("every_back_end_with_two_functions(")) {
        (true, _) => None,
        (_, true) => Some("with two functions"),
        _ => Some("without a back end"),
    }
}

impl Matrix {
    fn cases(&self) -> impl Iterator<Item = (&Group, &Case)> {
        self.list.group.iter().flat_map(|group| group.case.iter().map(move |case| (group, case)))
    }

    fn tests_of<'m>(&'m self, case: &'m Case) -> impl Iterator<Item = &'m Annotated> {
        self.tests.iter().filter(|test| test.cases.contains(&case.id))
    }

    /// Cases that are there twice or in the wrong group, that nobody has listed, or that have tests although they are said to be absent.
    fn wrong(&self, list: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut known = BTreeSet::new();
        for (group, case) in self.cases() {
            let line = line_of(list, &format!("id = \"{}\"", case.id));
            let mut find = |text: String| findings.push(finding_at(CASES, line, text));
            if !known.insert(case.id.as_str()) {
                find(format!("case {} is there twice", case.id));
            }
            if !case.id.starts_with(&group.id) {
                find(format!("case {} is in group {}", case.id, group.id));
            }
            let has_tests = self.tests_of(case).next().is_some() || !case.tests.is_empty();
            if has_tests && case.absent.is_some() {
                find(format!("case {} has tests and is said to be absent; remove `absent`", case.id));
            }
        }
        for test in &self.tests {
            for case in test.cases.iter().filter(|case| !known.contains(case.as_str())) {
                findings.push(finding_at(&test.file, test.line, format!("there is no case `{case}` in {CASES}")));
            }
        }
        findings
    }

    fn text(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, case) in self.cases() {
            *counts.entry(self.state(case)).or_default() += 1;
        }
        let count = |state| counts.get(state).copied().unwrap_or(0);
        let mut text = format!(
            "# Requirements and their tests\n\n\
             Written by `cargo xtask generate`, from [{CASES}](../{CASES}) and from what the tests in [{CONFORMANCE}](../{CONFORMANCE}) say of themselves.\n\n\
             {} cases: {} with tests, {} that the device does not have, {} without a test.\n\n\
             Unless it says otherwise, a test runs on every back end: {}. Priorities: *must* of every controller, *capability* if it is announced, \
             *robustness*: no hang, no stray access, and a reset recovers.\n",
            self.cases().count(),
            count(TESTED),
            count(ABSENT),
            count(GAP),
            self.back_ends.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        );
        for group in &self.list.group {
            let _ = write!(
                text,
                "\n## {}. {}\n\n| case | section | priority | what must hold | tests |\n|---|---|---|---|---|\n",
                group.id, group.title
            );
            for case in &group.case {
                let document = case.document.as_ref().unwrap_or(&group.document);
                let Case { id, section, priority, text: what, .. } = case;
                let tests = self.cell(case);
                let _ = writeln!(text, "| {id} | {document}, \"{section}\" | {} | {what} | {tests} |", priority.text());
            }
        }
        text
    }

    fn state(&self, case: &Case) -> &'static str {
        if self.tests_of(case).next().is_some() || !case.tests.is_empty() {
            TESTED
        } else if case.absent.is_some() {
            ABSENT
        } else {
            GAP
        }
    }

    /// The tests of a case, or why there is none.
    fn cell(&self, case: &Case) -> String {
        let text = |test: &Annotated| {
            let only = test.only.map_or(String::new(), |only| format!(" ({only})"));
            format!("`{}`{only}", test.name)
        };
        let elsewhere = case.tests.iter().map(|test| format!("`{test}`"));
        let tests: Vec<String> = self.tests_of(case).map(text).chain(elsewhere).collect();
        match (&case.absent, tests.is_empty()) {
            (_, false) => tests.join("<br>"),
            (Some(reason), true) => format!("not there: {reason}"),
            (None, true) => "**no test**".into(),
        }
    }
}

const TESTED: &str = "tested";
const ABSENT: &str = "absent";
const GAP: &str = "gap";

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
[[group]]
id = "A"
title = "Registers"
document = "NVMe Base"

[[group.case]]
id = "A1"
section = "Offset 0h: CAP"
priority = "M"
text = "It holds."

[[group.case]]
id = "A2"
section = "Offset 8h: VS"
priority = "C"
text = "It is there."
absent = "It is not."

[[group.case]]
id = "A3"
section = "Offset Ch"
priority = "R"
text = "It does no harm."
"#;

    const SOURCE: &str = "/// Words.\n///\n/// Cases: A1.\n#[test]\nfn one() {\n    every_back_end(|d| d);\n}\n";

    fn matrix(list: &str, source: &str) -> Matrix {
        let (mut tests, mut findings) = (Vec::new(), Vec::new());
        scan(Path::new("tests/conformance/src/a.rs"), source, &mut tests, &mut findings);
        Matrix { list: parse(list).unwrap(), tests, back_ends: vec!["model".into()], findings }
    }

    fn wrong(list: &str, source: &str) -> Vec<(usize, String)> {
        let matrix = matrix(list, source);
        let found = matrix.wrong(list).into_iter().chain(matrix.findings);
        found.map(|finding| (finding.line, finding.text)).collect()
    }

    #[test]
    fn tested_absent_and_open_cases_are_told_apart() {
        assert!(wrong(LIST, SOURCE).is_empty());
        let text = matrix(LIST, SOURCE).text();
        assert!(text.contains("3 cases: 1 with tests, 1 that the device does not have, 1 without a test."), "{text}");
        let row = "| A1 | NVMe Base, \"Offset 0h: CAP\" | must | It holds. | `a::one` |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| It is there. | not there: It is not. |"), "{text}");
        assert!(text.contains("| It does no harm. | **no test** |"), "{text}");
        for (call, only) in [("every_back_end_with_two_functions(", "with two functions"), ("(", "without a back end")]
        {
            let text = matrix(LIST, &SOURCE.replace("every_back_end(", call)).text();
            assert!(text.contains(&format!("`a::one` ({only}) |")), "{text}");
        }
    }

    #[test]
    fn unknown_cases_are_found() {
        let found = wrong(LIST, &SOURCE.replace("A1", "A1, Z9"));
        assert_eq!(found, [(3, "there is no case `Z9` in tests/plans/nvme.toml".into())]);
    }

    #[test]
    fn cases_that_are_there_twice_or_absent_and_tested_are_found() {
        let found = wrong(&LIST.replace("A3", "A1"), SOURCE);
        assert!(found.iter().any(|(_, text)| text == "case A1 is there twice"), "{found:?}");
        let found = wrong(LIST, &SOURCE.replace("A1", "A2"));
        assert!(found.iter().any(|(_, text)| text.contains("is said to be absent")), "{found:?}");
        let found = wrong(&LIST.replace("id = \"A3\"", "id = \"B3\""), SOURCE);
        assert!(found.iter().any(|(_, text)| text == "case B3 is in group A"), "{found:?}");
    }

    #[test]
    fn annotations_without_a_test_are_found() {
        let found = wrong(LIST, &SOURCE.replace("#[test]\n", ""));
        assert_eq!(found, [(3, "cases are named above a test, and here is none".into())]);
    }

    #[test]
    fn text_that_is_no_list_is_found() {
        assert!(parse("group = 1").is_err_and(|finding| finding.text.contains("not a list of cases")));
    }

    #[test]
    fn back_ends_are_read_from_their_list() {
        let source = "pub fn back_ends() -> Vec<BackEnd> {\n  BackEnd { name: \"model\" },\n  BackEnd { name: \"x-y\" },\n}\nname: \"other\"";
        assert_eq!(back_ends(source), ["model", "x-y"]);
    }
}
