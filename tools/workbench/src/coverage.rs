//! `cargo xtask coverage`: how much of the hardware the tests run.
//!
//! The tests of the crates run with Verilated models that count; what a line, a branch and a toggle is says [`sim_verilator::coverage`].
//! A module belongs to the block whose Rust file most of its comments name. The configurations of a block, and other modules that its file
//! makes, add up: a line that every configuration has must run in every one of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{bail, ensure, Context, Result};
use serde_json::json;
use sim_toolchain::Toolchain;
use sim_verilator::coverage::{read, Item, Module, FOLDER_VARIABLE};

/// The crates whose hardware is counted: package and folder.
const CRATES: [(&str, &str); 5] = [
    ("rtl-prim", "rtl/prim"),
    ("rtl-bus", "rtl/bus"),
    ("rtl-csr", "rtl/csr"),
    ("nvme-hw", "nvme-ctrl/hw"),
    ("flash-hw", "flash-emu/hw"),
];

/// The package whose tests drive the whole Verilated device.
const DEVICE_TESTS: &str = "conformance";

/// Files and folders of Rust that only tests compile.
const TEST_FILES: [&str; 3] = ["bench", "testing", "tests"];

/// The language, whose lines stand in every module.
const LANGUAGE: &str = "rtl/hdl/";

/// What to run and to print.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Crates to run the tests of, and whose blocks to list; if none is given, all that hold hardware
    crates: Vec<String>,
    /// Run the conformance tests too, which drive the whole device
    #[arg(long)]
    device: bool,
    /// List what was never reached in this block
    #[arg(long, value_name = "BLOCK")]
    missing: Option<String>,
    /// Run nothing; look at what the last run has counted
    #[arg(long, conflicts_with = "device")]
    last: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "missing")]
    json: bool,
    /// Fail if a crate has less than this percentage of its lines covered
    #[arg(long, value_name = "PERCENT")]
    lines_min: Option<f64>,
}

/// Runs the tests, and prints what they have reached.
pub fn run(arguments: &Arguments) -> Result<()> {
    let crates = chosen(&arguments.crates)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().context("the repository is gone")?;
    let folder = root.join("target/coverage");
    let tests = if arguments.last { Ok(()) } else { count(&root, &folder, &crates, arguments.device) };
    ensure!(folder.is_dir(), "nothing has been counted; run `cargo xtask coverage` without `--last`");
    let modules = read(&folder)?;
    let blocks = blocks(modules, &crates, &benched(&root, &crates)?);

    match &arguments.missing {
        Some(name) => print!("{}", missing(find(&blocks, name)?)),
        None if arguments.json => println!("{}", serde_json::to_string_pretty(&as_json(&blocks))?),
        None => print!("{}", table(&blocks)),
    }
    tests?;
    match arguments.lines_min {
        Some(percent) => check_lines(&blocks, percent),
        None => Ok(()),
    }
}

/// The crates of these names.
fn chosen(names: &[String]) -> Result<Vec<(&'static str, &'static str)>> {
    let known = CRATES.map(|(name, _)| name);
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no hardware in a crate `{unknown}`; there is in: {}", known.join(", "));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|other| other == name);
    Ok(CRATES.into_iter().filter(|(name, _)| wanted(name)).collect())
}

/// Runs the tests with models that count into an empty folder.
fn count(root: &Path, folder: &Path, crates: &[(&str, &str)], device: bool) -> Result<()> {
    let toolchain = Toolchain::from_env();
    // Without these the tests pass, but nothing is counted.
    toolchain.compiler()?;
    toolchain.verilator()?;
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--quiet", "--no-fail-fast"]).current_dir(root).env(FOLDER_VARIABLE, folder);
    for name in crates.iter().map(|(name, _)| *name).chain(device.then_some(DEVICE_TESTS)) {
        command.args(["--package", name]);
    }
    eprintln!("running the tests with models that count; their first build takes minutes");
    // What the tests say is not the result.
    let status = command.stdout(std::io::stderr()).status().context("cannot run cargo")?;
    ensure!(status.success(), "a test failed; what was reached is above");
    Ok(())
}

/// How much of something was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    covered: usize,
    all: usize,
}

impl Share {
    fn of(items: &[Item]) -> Self {
        Self { covered: items.iter().filter(|item| item.count > 0).count(), all: items.len() }
    }

    fn add(&mut self, other: Self) {
        self.covered += other.covered;
        self.all += other.all;
    }

    fn percent(self) -> Option<f64> {
        (self.all > 0).then(|| 100.0 * self.covered as f64 / self.all as f64)
    }
}

/// Lines, branches and toggles.
type Shares = [Share; 3];

/// Their names, in the order of [`Shares`].
const KINDS: [&str; 3] = ["lines", "branches", "toggles"];

/// A block with all its modules.
#[derive(Debug)]
struct Block {
    krate: &'static str,
    name: String,
    modules: Vec<Module>,
}

impl Block {
    fn shares(&self) -> Shares {
        let mut sum = Shares::default();
        for module in &self.modules {
            for (sum, items) in sum.iter_mut().zip(items(module)) {
                sum.add(Share::of(&items));
            }
        }
        sum
    }
}

/// The lines, branches and toggles of a module, without lines and branches that a bench made around the hardware.
fn items(module: &Module) -> [Vec<Item>; 3] {
    let text: Vec<&str> = module.text.lines().collect();
    let ours = |item: &Item| place_of(&text, item.line).is_none_or(|(file, _)| !is_test(file));
    let [mut lines, mut branches, toggles] = [module.lines(), module.branches(), module.toggles()];
    lines.retain(ours);
    branches.retain(ours);
    [lines, branches, toggles]
}

/// The blocks of these crates, in the order of the crates. A block that has a bench but no module was never Verilated: it is listed too.
fn blocks(modules: Vec<Module>, crates: &[(&'static str, &str)], benched: &[(&'static str, String)]) -> Vec<Block> {
    let mut blocks: BTreeMap<(usize, String), Vec<Module>> = BTreeMap::new();
    let index = |krate: &str| crates.iter().position(|(name, _)| *name == krate);
    for (krate, name) in benched {
        if let Some(index) = index(krate) {
            blocks.entry((index, name.clone())).or_default();
        }
    }
    for module in modules {
        let home = block_of(&module.text).and_then(|(folder, name)| {
            let index = crates.iter().position(|(_, other)| *other == folder)?;
            Some((index, name))
        });
        if let Some(home) = home {
            blocks.entry(home).or_default().push(module);
        }
    }
    blocks.into_iter().map(|((index, name), modules)| Block { krate: crates[index].0, name, modules }).collect()
}

/// The folders of these crates with a bench.
fn benched(root: &Path, crates: &[(&'static str, &str)]) -> Result<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    for (krate, folder) in crates {
        let source = root.join(folder).join("src");
        for entry in fs::read_dir(&source).with_context(|| format!("cannot read {}", source.display()))? {
            let path: PathBuf = entry.with_context(|| format!("cannot read {}", source.display()))?.path();
            if path.join("bench.rs").is_file() {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                found.push((*krate, name));
            }
        }
    }
    Ok(found)
}

/// The folder of the crate and the name of the block that this module belongs to.
///
/// What a bench makes, to run something that is no module by itself, belongs to the block of the bench. Other modules of tests have no block.
fn block_of(text: &str) -> Option<(&str, String)> {
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    for (file, _) in text.lines().filter_map(place).filter(|(file, _)| !file.starts_with(LANGUAGE)) {
        *files.entry(file).or_default() += 1;
    }
    let (file, _) = files.into_iter().max_by_key(|(_, count)| *count)?;
    let (folder, inside) = file.split_once("/src/")?;
    let block = inside.split('/').next().map(|part| part.strip_suffix(".rs").unwrap_or(part))?;
    (!TEST_FILES.contains(&block)).then(|| (folder, block.to_owned()))
}

/// Whether only tests compile this Rust file.
fn is_test(file: &str) -> bool {
    let mut parts = file.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    parts.any(|part| TEST_FILES.contains(&part))
}

/// The Rust file and line of the comment on this line of Verilog.
fn place(line: &str) -> Option<(&str, u32)> {
    let (file, number) = line.rsplit_once("// ")?.1.rsplit_once(':')?;
    (file.ends_with(".rs")).then_some((file, number.trim().parse().ok()?))
}

fn find<'a>(blocks: &'a [Block], name: &str) -> Result<&'a Block> {
    let names = || blocks.iter().map(|block| block.name.as_str()).collect::<Vec<_>>().join(", ");
    blocks
        .iter()
        .find(|block| block.name == name)
        .with_context(|| format!("there is no block `{name}`; there are: {}", names()))
}

/// The sums of each crate, in order.
fn crate_sums(blocks: &[Block]) -> Vec<(&'static str, Shares)> {
    let mut sums: Vec<(&'static str, Shares)> = Vec::new();
    for block in blocks {
        if sums.last().is_none_or(|(krate, _)| *krate != block.krate) {
            sums.push((block.krate, Shares::default()));
        }
        if let Some((_, sum)) = sums.last_mut() {
            for (sum, share) in sum.iter_mut().zip(block.shares()) {
                sum.add(share);
            }
        }
    }
    sums
}

/// Blocks as a Markdown table, aligned to be read as it is, too; each crate ends with its sum.
fn table(blocks: &[Block]) -> String {
    let mut rows: Vec<(String, Shares)> = Vec::new();
    for (krate, sum) in crate_sums(blocks) {
        let of_crate = blocks.iter().filter(|block| block.krate == krate);
        rows.extend(of_crate.map(|block| (format!("{krate} {}", block.name), block.shares())));
        rows.push((format!("**{krate}**"), sum));
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max("block".len());
    let mut text = format!("| {:width$} |", "block");
    for kind in KINDS {
        text.push_str(&format!(" {kind:>13} | {:>5} |", "%"));
    }
    text.push_str(&format!("\n|-{}-|{}\n", "-".repeat(width), "--------------:|------:|".repeat(KINDS.len())));
    for (name, shares) in rows {
        text.push_str(&format!("| {name:width$} |"));
        for share in shares {
            // Rounded down, so that 100 % is all.
            let percent =
                share.percent().map_or("-".to_owned(), |percent| format!("{:.1}", (percent * 10.0).floor() / 10.0));
            text.push_str(&format!(" {:>13} | {percent:>5} |", format!("{}/{}", share.covered, share.all)));
        }
        text.push('\n');
    }
    text
}

fn as_json(blocks: &[Block]) -> serde_json::Value {
    let object = |shares: Shares| -> serde_json::Value {
        let pairs = KINDS.iter().zip(shares);
        pairs.map(|(kind, share)| ((*kind).to_owned(), json!({ "covered": share.covered, "all": share.all }))).collect()
    };
    let listed: Vec<_> = blocks
        .iter()
        .map(|block| json!({ "crate": block.krate, "block": block.name, "reached": object(block.shares()) }))
        .collect();
    let sums: Vec<_> = crate_sums(blocks)
        .into_iter()
        .map(|(krate, shares)| json!({ "crate": krate, "reached": object(shares) }))
        .collect();
    json!({ "blocks": listed, "crates": sums })
}

/// Fails if a crate has fewer lines covered, or a block was never Verilated.
fn check_lines(blocks: &[Block], percent: f64) -> Result<()> {
    if let Some(block) = blocks.iter().find(|block| block.modules.is_empty()) {
        bail!("no test ran a Verilated model of the block `{}`", block.name);
    }
    for (krate, [lines, ..]) in crate_sums(blocks) {
        let reached = lines.percent().unwrap_or(0.0);
        ensure!(
            reached >= percent,
            "the tests run {reached:.1} % of the lines of {krate}, less than {percent} %; \
             `cargo xtask coverage --last --missing BLOCK` lists the others"
        );
    }
    Ok(())
}

/// What was never reached in a block: lines and branches with their text and the Rust line, and the toggles that never happened, by signal.
fn missing(block: &Block) -> String {
    let mut text = String::new();
    for module in &block.modules {
        let verilog: Vec<&str> = module.text.lines().collect();
        let entry = |item: &Item| {
            let code = verilog.get(item.line.wrapping_sub(1)).map_or("", |line| line.trim());
            let code = code.rsplit_once("  // ").map_or(code, |(code, _)| code);
            let place = place_of(&verilog, item.line).map_or(String::new(), |(file, line)| format!("{file}:{line}"));
            let way = match item.what.as_str() {
                "cond_then" => "never true: ",
                "cond_else" => "never false: ",
                "else" => "never past: ",
                _ => "",
            };
            format!("  {:>5}  {place}\n         {way}{code}\n", item.line)
        };
        let never = |items: Vec<Item>| items.into_iter().filter(|item| item.count == 0).collect::<Vec<_>>();
        let [lines, branches, toggles] = items(module).map(never);
        // The lines of an `if` or a `case` arm that never ran are listed as such.
        let is_listed = |branch: &Item| lines.iter().any(|line| line.line == branch.line) && branch.what != "else";
        let branches: Vec<_> = branches.into_iter().filter(|branch| !is_listed(branch)).collect();
        let toggles = signals(&toggles);
        if lines.is_empty() && branches.is_empty() && toggles.is_empty() {
            continue;
        }
        text.push_str(&format!("{}.sv\n", module.name));
        for (title, items) in [("lines that never ran", &lines), ("branches that were never taken", &branches)] {
            if !items.is_empty() {
                text.push_str(&format!("  {title}\n"));
                text.extend(items.iter().map(entry));
            }
        }
        if !toggles.is_empty() {
            text.push_str("  toggles that never happened, by signal\n");
            text.extend(toggles.iter().map(|(signal, count)| format!("         {signal}: {count}\n")));
        }
    }
    if text.is_empty() {
        text = format!("everything of `{}` was reached\n", block.name);
    }
    text
}

/// The signals of these toggles, and how many each has.
fn signals(toggles: &[Item]) -> Vec<(String, usize)> {
    let mut signals: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for toggle in toggles {
        let name = toggle.what.split(['[', ':']).next().unwrap_or_default();
        *signals.entry((toggle.line, name)).or_default() += 1;
    }
    signals.into_iter().map(|((_, name), count)| (name.to_owned(), count)).collect()
}

/// The Rust line that made this line of Verilog: its own comment, or the one above the block that it is in.
fn place_of<'a>(lines: &[&'a str], line: usize) -> Option<(&'a str, u32)> {
    let above = lines.get(..line)?.iter().rev();
    above.take_while(|line| !line.trim().is_empty()).find_map(|line| place(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtl_hdl::sim::Simulator;
    use rtl_hdl::{block_fn, elaborate, when};
    use sim_verilator::{ModelSet, ModelSpec};

    /// What a model has counted of a register that nobody loads, as if this file had made it.
    fn never_loaded(file: &str) -> Vec<Module> {
        let folder = tempfile::tempdir().unwrap();
        let block = block_fn("never_loaded", |m| {
            let clock = m.clock();
            let (load, value) = (m.input("load", 1), m.input("value", 8));
            let state = m.reg("state", clock, rtl_hdl::zero(8));
            when(load, || state.set(value));
            m.output("result", state);
        });
        let mut spec = ModelSpec::of(&elaborate(&block).unwrap());
        spec.verilog = spec.verilog.replace(file!(), file);
        let set = ModelSet::new("self-test-never-loaded").with(spec).coverage(folder.path());
        let mut model = set.load().unwrap().model("never_loaded");
        let reset = model.port("reset");
        model.poke_u64(reset, 1);
        model.step();
        drop(model);
        read(folder.path()).unwrap()
    }

    #[test]
    fn line_that_never_ran_is_listed_with_its_rust_line() {
        let blocks = blocks(never_loaded("rtl/prim/src/never/mod.rs"), &CRATES, &[("rtl-prim", "other".to_owned())]);
        assert_eq!(blocks.iter().map(|block| &*block.name).collect::<Vec<_>>(), ["never", "other"]);
        let text = missing(find(&blocks, "never").unwrap());
        assert!(text.contains("never_loaded.sv\n  lines that never ran\n"), "{text}");
        assert!(text.contains("  rtl/prim/src/never/mod.rs:"), "{text}");
        assert!(text.contains("         state <= value;\n"), "{text}");
        assert!(text.contains("         value: 16\n"), "{text}");
        assert_eq!(blocks[0].shares()[..2], [Share { covered: 2, all: 4 }, Share { covered: 1, all: 3 }]);

        let table = table(&blocks);
        assert!(table.contains("| rtl-prim never |           2/4 |  50.0 |           1/3 |  33.3 |"), "{table}");
        assert!(table.contains("| rtl-prim other |           0/0 |     - |"), "{table}");
        assert_eq!(as_json(&blocks)["crates"][0]["reached"]["lines"], json!({ "covered": 2, "all": 4 }));
    }

    #[test]
    fn too_few_lines_and_blocks_that_no_test_ran_fail() {
        let never = || never_loaded("rtl/prim/src/never/mod.rs");
        let run =
            |benched: &[(&'static str, String)], percent| check_lines(&blocks(never(), &CRATES, benched), percent);
        assert!(run(&[], 50.0).is_ok());
        assert!(run(&[], 50.1).unwrap_err().to_string().contains("50.0 % of the lines of rtl-prim"));
        let error = run(&[("rtl-csr", "other".to_owned())], 0.0).unwrap_err().to_string();
        assert!(error.contains("`other`"), "{error}");
    }

    #[test]
    fn module_belongs_to_the_file_that_its_comments_name_most() {
        let text = |places: &[&str]| places.iter().map(|place| format!("  x  // {place}:1\n")).collect::<String>();
        let (language, decode, fifo) =
            ("rtl/hdl/src/stream.rs", "nvme-ctrl/hw/src/decode/mod.rs", "rtl/prim/src/fifo.rs");
        let of = |places: &[&str]| block_of(&text(places)).map(|(folder, name)| format!("{folder} {name}"));
        assert_eq!(of(&[language, language, language, decode, decode, fifo]).unwrap(), "nvme-ctrl/hw decode");
        assert_eq!(of(&[fifo]).unwrap(), "rtl/prim fifo");
        assert_eq!(of(&["nvme-ctrl/hw/src/decode/bench.rs"]).unwrap(), "nvme-ctrl/hw decode");
        assert!(is_test("nvme-ctrl/hw/src/decode/bench.rs") && is_test("a/src/b/bench/c.rs") && !is_test(decode));
        assert_eq!(of(&["rtl/prim/src/testing.rs"]), None);
        assert_eq!(of(&["rtl/prim/tests/a.rs"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn unknown_crates_and_blocks_are_named() {
        assert!(chosen(&["nvme-fw".to_owned()]).unwrap_err().to_string().contains("rtl-prim, rtl-bus"));
        assert!(find(&blocks(vec![], &CRATES, &[]), "x").unwrap_err().to_string().contains("`x`"));
    }
}
