//! The guide shows what its examples are: each page names an example, and what stands below is written from it.
//!
//! `WRITE_GUIDE=1 cargo test -p rtl-hdl --test guide` writes the pages anew.

use rtl_hdl::{elaborate, emit, Block};
use std::path::Path;
use std::{env, fs};

#[path = "../guide/arrays.rs"]
mod arrays;
#[path = "../guide/benches.rs"]
mod benches;
#[path = "../guide/choices.rs"]
mod choices;
#[path = "../guide/clocks.rs"]
mod clocks;
#[path = "../guide/foreign.rs"]
mod foreign;
#[path = "../guide/hierarchy.rs"]
mod hierarchy;
#[path = "../guide/memories.rs"]
mod memories;
#[path = "../guide/operators.rs"]
mod operators;
#[path = "../guide/properties.rs"]
mod properties;
#[path = "../guide/registers.rs"]
mod registers;
#[path = "../guide/streams.rs"]
mod streams;
#[path = "../guide/types.rs"]
mod types;

/// The examples of a page whose Verilog can be shown.
type Shown = fn() -> Vec<(&'static str, Box<dyn Block>)>;

const PAGES: &[(&str, Shown)] = &[
    ("registers", registers::shown),
    ("operators", operators::shown),
    ("choices", choices::shown),
    ("types", types::shown),
    ("arrays", arrays::shown),
    ("memories", memories::shown),
    ("streams", streams::shown),
    ("hierarchy", hierarchy::shown),
    ("clocks", clocks::shown),
    ("properties", properties::shown),
    ("benches", benches::shown),
    ("foreign", foreign::shown),
    ("side-by-side", Vec::new),
];

/// The code between `// example: NAME` and `// end`. A file with a folder in its name is named from the root of the workspace.
fn region(file: &str, name: &str) -> String {
    let path = if file.contains('/') { folder().join("../../..").join(file) } else { folder().join(file) };
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let start = format!("// example: {name}\n");
    let (_, rest) = text.split_once(&start).unwrap_or_else(|| panic!("{file} has no example `{name}`"));
    rest.split_once("// end\n").unwrap_or_else(|| panic!("the example `{name}` of {file} has no end")).0.to_owned()
}

/// The Verilog of a block's own module, without the comments that say where it is from.
fn verilog(block: &dyn Block) -> String {
    let design = elaborate(block).unwrap_or_else(|problems| panic!("{problems}"));
    let file = format!("{}.sv", design.top().name);
    let files = emit(&design);
    let text = &files.iter().find(|other| other.name == file).expect("the top has a file").text;
    let mut kept = String::new();
    for line in text.lines().skip_while(|line| line.starts_with("//")) {
        let (code, source) =
            line.split_once("// rtl/hdl/tests/../guide/").map_or((line, false), |(code, _)| (code, true));
        if !source || !code.trim().is_empty() {
            kept.push_str(code.trim_end());
            kept.push('\n');
        }
    }
    kept
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/guide"))
}

/// A page as it should be: below each comment that names an example, a block of code.
fn page(text: &str, shown: Shown) -> String {
    let blocks = shown();
    let mut page = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        page.push_str(line);
        page.push('\n');
        let comment = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        let Some((file, name)) = comment.and_then(|comment| comment.split_once(": ")) else { continue };
        if !file.ends_with(".rs") && !file.ends_with(".sv") {
            // What `cargo xtask readme` writes.
            continue;
        }
        let (language, code) = match file.strip_prefix("Verilog of ") {
            None if file.ends_with(".sv") => ("systemverilog", region(file, name)),
            None => ("rust", region(file, name)),
            Some(_) => {
                let (_, block) = blocks.iter().find(|(shown, _)| *shown == name).expect("`shown` has the example");
                ("systemverilog", verilog(&**block))
            }
        };
        page.push_str(&format!("```{language}\n{code}```\n"));
        if lines.next_if(|line| line.starts_with("```")).is_some() {
            lines.by_ref().find(|line| *line == "```");
        }
    }
    page
}

#[test]
fn pages_show_what_the_examples_are() {
    let mut stale = Vec::new();
    for (name, shown) in PAGES {
        let path = folder().join(format!("{name}.md"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}.md: {error}"));
        let should = page(&text, *shown);
        if text != should && env::var_os("WRITE_GUIDE").is_some() {
            fs::write(&path, should).unwrap_or_else(|error| panic!("{name}.md: {error}"));
        } else if text != should {
            stale.push(*name);
        }
    }
    assert!(stale.is_empty(), "{stale:?} do not show what the examples are; write them with\nWRITE_GUIDE=1 cargo test -p rtl-hdl --test guide");
}

#[test]
fn every_example_is_shown() {
    for (name, shown) in PAGES {
        let text = fs::read_to_string(folder().join(format!("{name}.md"))).unwrap();
        let Ok(source) = fs::read_to_string(folder().join(format!("{name}.rs"))) else {
            assert_eq!(*name, "side-by-side", "only that has its examples elsewhere");
            continue;
        };
        for example in source.lines().filter_map(|line| line.strip_prefix("// example: ")) {
            assert!(text.contains(&format!("<!-- {name}.rs: {example} -->")), "{name}.md does not show `{example}`");
        }
        for (example, _) in shown() {
            assert!(text.contains(&format!("<!-- Verilog of {name}.rs: {example} -->")), "{name}.md: {example}");
        }
    }
}

#[test]
fn lint_is_silent_about_the_examples() {
    for (_, shown) in PAGES {
        for (_, block) in shown() {
            sim_verilator::test_bed::assert_lint_is_silent(&*block);
        }
    }
}

/// `sim-yosys` proves it.
#[test]
fn the_proof_is_of_the_example() {
    assert!(properties::proof().design().is_ok());
}
