//! Coverage: which lines, branches and toggles of the Verilog have run.
//!
//! ```text
//!   FLASHDOCK_COVERAGE=folder          any number of processes
//!      |
//!   ModelSet ---> Library ---> Model   counts while it runs
//!                                |  dropped, also by a panic
//!                                v
//!   folder/counter-1f0e.sv             the Verilog, once
//!   folder/counter-1f0e.4711.counts    what all models of process 4711 have counted, in Verilator's format
//!      |
//!      v
//!   read(): every module once, whatever models and processes it was part of
//! ```
//!
//! ## What counts
//!
//! Verilator counts runs of pieces of code (it calls them points) and says which lines a piece consists of. From these:
//!
//! - A **line** is a line of the text inside of an `always` block on which a statement, an arm of a `case` or the condition of an `if` begins.
//!   The condition of an `if` belongs to what it guards. The head of the block is none, because running the clock is enough to reach it,
//!   and neither are `end`, declarations and `assign`s: they do nothing at some times and not at others. A line is covered when everything
//!   that begins on it has run.
//! - A **branch** is a way out of an `if`, a `case` or a `?:`, in an `assign` too. An `if` without `else` has two ways like any other.
//! - A **toggle** is a bit of a named signal going from 0 to 1, or from 1 to 0. Signals and memories of more than 256 bits, and names that begin
//!   with `_` (what the emitter made up), are not looked at.
//!
//! What stands between `` `ifndef SYNTHESIS`` and `` `endif`` checks the hardware, is none, and is not counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use sim_toolchain::sha256;

use crate::{Error, ModelSpec};

/// The environment variable that makes every model count, and names the folder, by its absolute path, where it writes what it has counted.
pub const FOLDER_VARIABLE: &str = "FLASHDOCK_COVERAGE";

/// The endings of the two kinds of files.
const VERILOG_EXTENSION: &str = "sv";
const COUNTS_EXTENSION: &str = "counts";

/// The package that Verilator adds to every model, whose points are not the hardware's.
const OF_VERILATOR: &str = "verilated_std";

/// The first line of Verilator's format.
const HEAD: &str = "# SystemC::Coverage-3";

/// The folder that the environment names.
pub(crate) fn folder_from_env() -> Option<PathBuf> {
    std::env::var_os(FOLDER_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// How often each point was reached, by what Verilator calls it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Reads Verilator's format: lines of `C 'key' count`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line) != Some(HEAD) {
            return Err(format!("it does not begin with `{HEAD}`"));
        }
        let point = |(index, line): (usize, &str)| {
            let point = line.strip_prefix("C '").and_then(|rest| rest.rsplit_once("' "));
            let point = point.and_then(|(key, count)| Some((key.to_owned(), count.parse::<u64>().ok()?)));
            point.ok_or_else(|| format!("line {} is not `C 'key' count`", index + 1))
        };
        lines.map(point).collect::<Result<_, _>>().map(Self)
    }

    fn text(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for (key, count) in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "C '{key}' {count}");
        }
        text
    }

    fn add(&mut self, other: Counts) {
        for (key, count) in other.0 {
            *self.0.entry(key).or_default() += count;
        }
    }
}

/// Where the models of one kind write what they have counted, in this process.
#[derive(Debug)]
pub(crate) struct Sink {
    /// No other process, and no other sink, has this name.
    file: PathBuf,
    /// What all models before have counted.
    counts: Mutex<Counts>,
}

impl Sink {
    /// The sink of this process for models of this Verilog.
    pub(crate) fn of(folder: &Path, model: &ModelSpec) -> Result<&'static Self, Error> {
        static SINKS: OnceLock<Mutex<HashMap<PathBuf, &'static Sink>>> = OnceLock::new();
        let stem = format!("{}-{}", model.top, &sha256(model.verilog.as_bytes())[..16]);
        let verilog = folder.join(format!("{stem}.{VERILOG_EXTENSION}"));
        let mut sinks = SINKS.get_or_init(Mutex::default).lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(sink) = sinks.get(&verilog) {
            return Ok(sink);
        }
        fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        let file = own_file(folder, &stem).map_err(|error| Error::io("write", folder, error))?;
        let partial = file.with_extension("partial");
        replace(&verilog, &partial, &model.verilog).map_err(|error| Error::io("write", &verilog, error))?;
        let sink: &'static Sink = Box::leak(Box::new(Self { file, counts: Mutex::default() }));
        sinks.insert(verilog, sink);
        Ok(sink)
    }

    /// Adds what a model has counted, which `write` writes into a file, and writes the sum.
    pub(crate) fn add(&self, write: impl FnOnce(&Path) -> bool) -> Result<(), String> {
        let mut counts = self.counts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let partial = self.file.with_extension("partial");
        if !write(&partial) {
            return Err(format!("{} cannot be written", partial.display()));
        }
        let text = fs::read_to_string(&partial).map_err(|error| format!("{}: {error}", partial.display()))?;
        counts.add(Counts::parse(&text)?);
        replace(&self.file, &partial, &counts.text()).map_err(|error| format!("{}: {error}", self.file.display()))
    }
}

/// Makes a file of a name that nobody has: the number of a process may have been that of an earlier one.
fn own_file(folder: &Path, stem: &str) -> io::Result<PathBuf> {
    let process = std::process::id();
    let mut number = 0;
    loop {
        let file = folder.join(format!("{stem}.{process}-{number}.{COUNTS_EXTENSION}"));
        match fs::File::create_new(&file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
            Ok(_) => return Ok(file),
        }
    }
}

/// Writes a file so that it is whole whenever it is there.
fn replace(file: &Path, partial: &Path, text: &str) -> io::Result<()> {
    fs::write(partial, text)?;
    fs::rename(partial, file)
}

/// What has run of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The name of its file, without `.sv`.
    pub name: String,
    /// Its Verilog.
    pub text: String,
    points: BTreeMap<Point, u64>,
}

/// A place where Verilator counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    line: usize,
    column: usize,
    /// The kind, and for toggles which bit went which way.
    what: String,
    is_toggle: bool,
    /// The lines of the piece.
    piece: Vec<usize>,
}

/// A line, a branch or a toggle, and how often it was reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The line in the module's text, from 1; of a toggle the one that declares the signal.
    pub line: usize,
    /// Of a branch which way it is; of a toggle the signal, the bit and the direction.
    pub what: String,
    /// How often it was reached.
    pub count: u64,
}

impl Module {
    /// The lines on which something runs.
    pub fn lines(&self) -> Vec<Item> {
        let mut lines: BTreeMap<usize, u64> = BTreeMap::new();
        let text: Vec<&str> = self.text.lines().collect();
        let is_head = |line: &usize| {
            let line = text.get(line.wrapping_sub(1)).map_or("", |line| line.trim());
            line.starts_with("always") && (line.ends_with("begin") || line.ends_with(')'))
        };
        for (point, count) in self.points.iter().filter(|(point, _)| !point.is_toggle && !point.is_condition()) {
            for line in point.piece.iter().filter(|line| !is_head(line)) {
                lines.entry(*line).and_modify(|least| *least = (*least).min(*count)).or_insert(*count);
            }
        }
        lines.into_iter().map(|(line, count)| Item { line, what: String::new(), count }).collect()
    }

    /// The ways out of `if`, `case` and `?:`.
    pub fn branches(&self) -> Vec<Item> {
        self.items(|point| !point.is_toggle && point.what != "block")
    }

    /// The bits of named signals, each going up and going down.
    pub fn toggles(&self) -> Vec<Item> {
        self.items(|point| point.is_toggle)
    }

    fn items(&self, wanted: impl Fn(&Point) -> bool) -> Vec<Item> {
        let points = self.points.iter().filter(|(point, _)| wanted(point));
        points.map(|(point, count)| Item { line: point.line, what: point.what.clone(), count: *count }).collect()
    }
}

impl Point {
    /// Whether it is a way out of a `?:`, whose line is a statement or an `assign` for itself.
    fn is_condition(&self) -> bool {
        self.what.starts_with("cond_")
    }

    /// The point of this key, and the file that it is in: pairs of a name and a value, set apart by control characters.
    fn parse(key: &str) -> Option<(&str, Self)> {
        let mut fields: HashMap<&str, &str> = HashMap::new();
        for pair in key.split('\x01').skip(1) {
            let (name, value) = pair.split_once('\x02')?;
            fields.insert(name, value);
        }
        let point = Self {
            line: fields.get("l")?.parse().ok()?,
            column: fields.get("n")?.parse().ok()?,
            what: (*fields.get("o")?).to_owned(),
            is_toggle: *fields.get("t")? == "toggle",
            piece: fields.get("S").map_or(Some(Vec::new()), |ranges| piece(ranges))?,
        };
        let file = fields.get("f")?;
        Some((file.strip_suffix(".sv").unwrap_or(file), point))
    }
}

/// The lines of `22-24,39`.
fn piece(ranges: &str) -> Option<Vec<usize>> {
    let mut lines = Vec::new();
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        lines.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(lines)
}

/// Reads what all models wrote into this folder.
///
/// A module that is part of several models, in one process or in several, is listed once if its text is the same.
///
/// # Errors
/// If a file cannot be read or is not what a model wrote.
pub fn read(folder: &Path) -> Result<Vec<Module>, Error> {
    let mut files: Vec<PathBuf> = Vec::new();
    for file in fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))? {
        files.push(file.map_err(|error| Error::io("read", folder, error))?.path());
    }
    files.sort();
    let text = |path: &Path| fs::read_to_string(path).map_err(|error| Error::io("read", path, error));

    let mut modules: BTreeMap<(String, String), BTreeMap<Point, u64>> = BTreeMap::new();
    for verilog in files.iter().filter(|file| file.extension().is_some_and(|end| end == VERILOG_EXTENSION)) {
        let stem = verilog.file_stem().unwrap_or_default().to_string_lossy();
        let mut sum = Counts::default();
        for file in files.iter().filter(|file| is_counts_of(file, &stem)) {
            let text = text(file)?;
            // The file of a process that was killed before a model of it ended is empty.
            if !text.is_empty() {
                let damaged = |detail| Error::Coverage { path: file.clone(), detail };
                sum.add(Counts::parse(&text).map_err(damaged)?);
            }
        }
        let texts = module_texts(&text(verilog)?, stem.rsplit_once('-').map_or(&*stem, |(top, _)| top));
        for (key, count) in &sum.0 {
            let damaged =
                |detail: &str| Error::Coverage { path: verilog.clone(), detail: format!("{detail}: {key:?}") };
            let (file, point) =
                Point::parse(key).ok_or_else(|| damaged("its counts have a point that cannot be read"))?;
            if file.ends_with(OF_VERILATOR) {
                continue;
            }
            // Verilog that was not put together has the name of a file that is gone.
            let only = if texts.len() == 1 { texts.first() } else { None };
            let Some(text) = texts.iter().find(|text| text.name == file).or(only) else {
                return Err(damaged("it lacks the module of a point"));
            };
            if !text.checks.contains(&point.line) {
                let module = modules.entry((text.name.clone(), text.text.clone())).or_default();
                *module.entry(point).or_default() += count;
            }
        }
    }
    let module = |((name, text), points)| Module { name, text, points };
    Ok(modules.into_iter().map(module).collect())
}

fn is_counts_of(file: &Path, stem: &str) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(&format!(".{COUNTS_EXTENSION}")))
}

/// A part of a model's Verilog.
struct ModuleText {
    /// The name of its file, without `.sv`.
    name: String,
    text: String,
    /// The lines between `` `ifndef SYNTHESIS`` and `` `endif``.
    checks: BTreeSet<usize>,
}

/// The files that a model's Verilog was put together from, by their `` `line`` directives; without one it is the module `top`.
fn module_texts(verilog: &str, top: &str) -> Vec<ModuleText> {
    let begin = |name: &str| ModuleText { name: name.to_owned(), text: String::new(), checks: BTreeSet::new() };
    let mut texts: Vec<ModuleText> = Vec::new();
    let (mut number, mut checks) = (0, false);
    for line in verilog.split_inclusive('\n') {
        if let Some((name, _)) = line.strip_prefix("`line 1 \"").and_then(|rest| rest.split_once('"')) {
            texts.push(begin(name.strip_suffix(".sv").unwrap_or(name)));
            number = 0;
            continue;
        }
        if texts.is_empty() {
            texts.push(begin(top));
        }
        number += 1;
        checks = (checks || line.trim() == "`ifndef SYNTHESIS") && line.trim() != "`endif";
        if let Some(text) = texts.last_mut() {
            text.text.push_str(line);
            text.checks.extend(checks.then_some(number));
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Verilator writes for two pieces of code, a `?:` and a bit.
    const COUNTS: &str = "# SystemC::Coverage-3
C '\x01f\x02a.sv\x01l\x0210\x01n\x025\x01t\x02line\x01page\x02v_line/a\x01o\x02elsif\x01S\x0210-11,14\x01h\x02TOP.a.*' 4
C '\x01f\x02a.sv\x01l\x0212\x01n\x0231\x01t\x02branch\x01page\x02v_branch/a\x01o\x02cond_then\x01S\x0212\x01h\x02TOP.a.*' 0
C '\x01f\x02a.sv\x01l\x022\x01n\x0259\x01t\x02toggle\x01page\x02v_toggle/a\x01o\x02a[0]:0->1\x01h\x02TOP.a.*' 17
C '\x01f\x02a.sv\x01l\x029\x01n\x023\x01t\x02line\x01page\x02v_line/a\x01o\x02block\x01S\x029,14\x01h\x02TOP.a.*' 2
";

    /// A folder with these counts of a module whose line 9 is the head of a block.
    fn folder(counts: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let verilog = format!("`line 1 \"a.sv\" 0\n{}  always_comb begin\n", "\n".repeat(8));
        fs::write(folder.path().join("a-0.sv"), verilog).unwrap();
        for (process, counts) in counts.iter().enumerate() {
            fs::write(folder.path().join(format!("a-0.{process}-0.counts")), counts).unwrap();
        }
        folder
    }

    #[test]
    fn counts_survive_being_written_and_add_up() {
        let counts = Counts::parse(COUNTS).unwrap();
        assert_eq!(counts.text(), COUNTS);
        let mut twice = counts.clone();
        twice.add(counts.clone());
        assert_eq!(twice.0.values().copied().collect::<Vec<_>>(), counts.0.values().map(|n| 2 * n).collect::<Vec<_>>());
    }

    #[test]
    fn pieces_become_lines_branches_and_toggles() {
        let folder = folder(&[COUNTS, "", COUNTS]);
        let modules = read(folder.path()).unwrap();
        assert_eq!(modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), ["a"]);
        let numbers = |items: Vec<Item>| items.into_iter().map(|item| (item.line, item.count)).collect::<Vec<_>>();
        // Line 9 is a head; line 14 belongs to two pieces, and counts by the one that ran less.
        assert_eq!(numbers(modules[0].lines()), [(10, 8), (11, 8), (14, 4)]);
        assert_eq!(numbers(modules[0].branches()), [(10, 8), (12, 0)]);
        assert_eq!(numbers(modules[0].toggles()), [(2, 34)]);
    }

    #[test]
    fn another_text_is_another_module() {
        let folder = folder(&[COUNTS]);
        fs::write(folder.path().join("b-0.sv"), "`line 1 \"a.sv\" 0\nother\n").unwrap();
        fs::write(folder.path().join("b-0.1-0.counts"), COUNTS).unwrap();
        assert_eq!(read(folder.path()).unwrap().len(), 2);
    }

    #[test]
    fn checks_are_not_counted() {
        let text = format!("`line 1 \"a.sv\" 0\n{}`ifndef SYNTHESIS\n\n\n\n`endif\n", "\n".repeat(8));
        let folder = folder(&[COUNTS]);
        fs::write(folder.path().join("a-0.sv"), text).unwrap();
        let modules = read(folder.path()).unwrap();
        assert_eq!((modules[0].lines(), modules[0].branches().len(), modules[0].toggles().len()), (vec![], 0, 1));
    }

    #[test]
    fn verilators_own_package_is_not_counted() {
        let own = COUNTS.lines().nth(1).unwrap().replace("a.sv", "/include/verilated_std.sv");
        let folder = folder(&[&format!("{COUNTS}{own}\n")]);
        assert_eq!(read(folder.path()).unwrap(), read(self::folder(&[COUNTS]).path()).unwrap());
    }

    #[test]
    fn no_two_processes_write_into_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [(); 2].map(|()| own_file(folder.path(), "a").unwrap());
        assert_ne!(first, second);
        assert!(is_counts_of(&first, "a") && is_counts_of(&second, "a") && !is_counts_of(&first, "b"));
    }

    #[test]
    fn what_is_not_of_verilator_is_refused() {
        for text in ["", "# other\n", "# SystemC::Coverage-3\nC 'a'\n", "# SystemC::Coverage-3\nC 'a' -1\n"] {
            assert!(Counts::parse(text).is_err(), "{text:?}");
        }
        for key in ["", "\x01f", "\x01f\x02a.sv\x01l\x02x\x01n\x021\x01t\x02line\x01o\x02if", "\x01f\x02a.sv"] {
            assert!(Point::parse(key).is_none(), "{key:?}");
        }
        assert_eq!(piece("22-24,39"), Some(vec![22, 23, 24, 39]));
        assert_eq!((piece("22-"), piece("")), (None, None));
    }
}
