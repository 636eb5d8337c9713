//! The tests of a crate, run on mutants.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use rtl_hdl::mutation::{MODULES_VARIABLE, MUTANT_LIST_VARIABLE, MUTANT_VARIABLE, NO_MUTANT};
use serde::Deserialize;
use sim_toolchain::Progress;
use tempfile::TempDir;

use super::project::{cargo, output, Crate};

/// A mutant may take so many times as long as the unmutated hardware, and a while more, before it counts as one that hangs.
const TIME_FACTOR: u32 = 8;
/// For a machine that has other things to do.
const TIME_MORE: Duration = Duration::from_secs(10);
/// Longer than any test takes that is worth running on mutants.
const UNMUTATED_TIME_MAX: Duration = Duration::from_secs(600);

/// Names of files, or parts of paths, with what only tests compile, by the names of the guide.
const TEST_PARTS: [&str; 3] = ["bench", "tests", "testing"];

/// The unit tests of a crate, built.
pub struct TestBinary<'a> {
    krate: &'a Crate,
    path: PathBuf,
    /// Where the binary is.
    _folder: TempDir,
    /// The names of all tests.
    tests: Vec<String>,
}

/// A mutation that one or several configurations of a block have.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// What is changed.
    pub kind: String,
    /// The change in words.
    pub text: String,
    /// The Rust line.
    pub line: String,
    /// Where it can be made: modules with its number in them, the smallest first.
    sites: Vec<(String, usize)>,
}

/// What is to be done for one block.
pub struct Plan {
    /// Its mutants.
    pub mutants: Vec<Mutant>,
    /// Its tests, the quickest first.
    pub tests: Vec<Test>,
}

/// A test that elaborates a module of the block.
pub struct Test {
    name: String,
    /// How long a mutant may take.
    limit: Duration,
    /// The modules that it elaborates.
    modules: Vec<Module>,
}

/// A module that a test elaborates.
#[derive(Clone, Debug)]
struct Module {
    name: String,
    nodes: usize,
    /// The Rust file that describes it.
    home: String,
}

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A test failed or did not end.
    Killed,
    /// All tests passed.
    Survived,
}

/// How a test ended.
enum End {
    Passed,
    Failed(String),
    OutOfTime,
}

impl<'a> TestBinary<'a> {
    /// Builds the unit tests of a crate.
    pub fn build(krate: &'a Crate) -> Result<TestBinary<'a>> {
        #[derive(Deserialize)]
        struct Message {
            reason: String,
            executable: Option<PathBuf>,
            target: Option<Target>,
        }
        #[derive(Deserialize)]
        struct Target {
            kind: Vec<String>,
        }
        let mut command = cargo();
        command.args([
            "test",
            "--no-run",
            "--lib",
            "--message-format=json-render-diagnostics",
            "--package",
            &krate.name,
        ]);
        command.current_dir(&krate.root).stderr(Stdio::inherit());
        let messages = output(&mut command).with_context(|| format!("cannot build the tests of {}", krate.name))?;
        let mut executables = messages.lines().filter_map(|line| {
            let message: Message = serde_json::from_str(line).ok()?;
            let library = message.target?.kind.iter().any(|kind| kind == "lib");
            message.executable.filter(|_| library && message.reason == "compiler-artifact")
        });
        let built = executables.next_back().with_context(|| format!("cargo built no tests of {}", krate.name))?;
        // A copy: the numbers of mutants are those of this binary, and whoever builds while it runs would put another one in its place.
        let folder = tempfile::tempdir().context("cannot create a folder")?;
        let path = folder.path().join("tests");
        fs::copy(&built, &path).with_context(|| format!("cannot copy {}", built.display()))?;
        let mut command = Command::new(&path);
        let listed = output(command.args(["--list", "--format", "terse"]))?;
        let tests = listed.lines().filter_map(|line| line.strip_suffix(": test")).map(String::from).collect();
        Ok(TestBinary { krate, path, _folder: folder, tests })
    }

    /// The blocks that have tests.
    pub fn blocks(&self) -> Vec<String> {
        let mut blocks: Vec<String> = self.tests.iter().filter_map(|test| self.block_of(test)).collect();
        blocks.sort();
        blocks.dedup();
        blocks
    }

    fn block_of(&self, test: &str) -> Option<String> {
        self.krate.block_of(&test.split("::").collect::<Vec<_>>())
    }

    /// Runs the tests of a block on the hardware as it is, and lists the mutants of what they elaborate.
    ///
    /// # Errors
    /// If a test fails.
    pub fn plan(&self, block: &str) -> Result<Plan> {
        let folder = tempfile::tempdir().context("cannot create a folder")?;
        let mut timed = Vec::new();
        for test in self.tests.iter().filter(|test| self.block_of(test).as_deref() == Some(block)) {
            let file = folder.path().join("modules");
            let _ = fs::remove_file(&file);
            let mut command = self.command(test, NO_MUTANT);
            command.env(MODULES_VARIABLE, &file);
            let start = Instant::now();
            match run(command, UNMUTATED_TIME_MAX)? {
                End::Passed => {}
                End::Failed(text) => bail!("`{test}` fails on the hardware as it is:\n{text}"),
                End::OutOfTime => bail!("`{test}` takes more than {} s", UNMUTATED_TIME_MAX.as_secs()),
            }
            let time = start.elapsed();
            let modules: Vec<Module> = match fs::read_to_string(&file) {
                Ok(text) => text.lines().map(module).collect::<Result<_>>()?,
                Err(_) => Vec::new(),
            };
            let limit = time * TIME_FACTOR + TIME_MORE;
            timed.push((time, Test { name: test.clone(), limit, modules }));
        }
        timed.sort_by_key(|(time, _)| *time);
        let mut tests: Vec<Test> = timed.into_iter().map(|(_, test)| test).collect();
        let modules = self.modules_of(block, &tests);
        let elaborates = |test: &Test, name: &str| test.modules.iter().any(|module| module.name == name);
        tests.retain(|test| modules.iter().any(|module| elaborates(test, &module.name)));

        let mut mutants: Vec<Mutant> = Vec::new();
        let mut known: BTreeMap<(String, String), usize> = BTreeMap::new();
        for module in &modules {
            let test = tests.iter().find(|test| elaborates(test, &module.name)).expect("a test elaborates it");
            for Listed { number, kind, line, text } in self.listed(&test.name, &module.name, folder.path())? {
                let at = *known.entry((line.clone(), text.clone())).or_insert_with(|| {
                    mutants.push(Mutant { kind, text, line, sites: vec![] });
                    mutants.len() - 1
                });
                mutants[at].sites.push((module.name.clone(), number));
            }
        }
        Ok(Plan { mutants, tests })
    }

    /// The modules that the block describes, the smallest first. If it describes none, those that its tests describe.
    fn modules_of(&self, block: &str, tests: &[Test]) -> Vec<Module> {
        let mut modules: BTreeMap<&str, &Module> = BTreeMap::new();
        for module in tests.iter().flat_map(|test| &test.modules) {
            if self.krate.block_of_file(&module.home).as_deref() == Some(block) {
                modules.insert(&module.name, module);
            }
        }
        let mut modules: Vec<Module> = modules.into_values().cloned().collect();
        if modules.iter().any(|module| !is_of_tests(&module.home)) {
            modules.retain(|module| !is_of_tests(&module.home));
        }
        modules.sort_by_key(|module| module.nodes);
        modules
    }

    /// The mutations of a module that a test elaborates.
    fn listed(&self, test: &str, module: &str, folder: &Path) -> Result<Vec<Listed>> {
        let file = folder.join(module);
        let mut command = self.command(test, NO_MUTANT);
        command.env(MUTANT_LIST_VARIABLE, format!("{module}:{}", file.display()));
        match run(command, UNMUTATED_TIME_MAX)? {
            End::Passed => {}
            End::Failed(text) => bail!("`{test}` fails while the mutants of `{module}` are listed:\n{text}"),
            End::OutOfTime => bail!("listing the mutants of `{module}` takes too long"),
        }
        let text = fs::read_to_string(&file).with_context(|| format!("`{test}` listed no mutants of `{module}`"))?;
        text.lines().map(Listed::parse).collect()
    }

    fn command(&self, test: &str, mutant: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.args(["--exact", test]).current_dir(&self.krate.folder);
        // As cargo would, for files of the crate and for lines that say how to replay a failure.
        command.env("CARGO_MANIFEST_DIR", &self.krate.folder).env("CARGO_PKG_NAME", &self.krate.name);
        command.env(MUTANT_VARIABLE, mutant);
        // A failure is looked at only by its exit status.
        command.env("RUST_BACKTRACE", "0");
        command
    }

    /// Runs the tests on each mutant, until one fails.
    pub fn try_all(
        &self,
        tests: &[Test],
        mutants: &[Mutant],
        jobs: usize,
        progress: &dyn Progress,
    ) -> Vec<Result<Fate>> {
        let next = AtomicUsize::new(0);
        let fates: Mutex<Vec<Option<Result<Fate>>>> = Mutex::new(mutants.iter().map(|_| None).collect());
        let work = || loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(mutant) = mutants.get(number) else { return };
            let fate = self.try_one(tests, mutant);
            fates.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[number] = Some(fate);
            progress.advance();
        };
        std::thread::scope(|scope| {
            (0..jobs.max(1)).for_each(|_| drop(scope.spawn(work)));
        });
        let fates = fates.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        fates.into_iter().map(|fate| fate.expect("every mutant was tried")).collect()
    }

    fn try_one(&self, tests: &[Test], mutant: &Mutant) -> Result<Fate> {
        for (module, number) in &mutant.sites {
            for test in tests.iter().filter(|test| test.modules.iter().any(|other| other.name == *module)) {
                let command = self.command(&test.name, &format!("{module}:{number}"));
                if !matches!(run(command, test.limit)?, End::Passed) {
                    return Ok(Fate::Killed);
                }
            }
        }
        Ok(Fate::Survived)
    }
}

/// Whether only tests compile what is in this file.
fn is_of_tests(file: &str) -> bool {
    Path::new(file).with_extension("").iter().any(|part| TEST_PARTS.iter().any(|name| part == *name))
}

fn module(line: &str) -> Result<Module> {
    match line.split('\t').collect::<Vec<_>>()[..] {
        [name, nodes, home] => {
            Ok(Module { name: name.into(), nodes: nodes.parse().context("not a number")?, home: home.into() })
        }
        _ => bail!("`{line}` is not a line about a module"),
    }
}

/// A mutation as an elaboration lists it.
struct Listed {
    number: usize,
    kind: String,
    line: String,
    text: String,
}

impl Listed {
    fn parse(line: &str) -> Result<Listed> {
        let parts: Vec<&str> = line.splitn(4, '\t').collect();
        ensure!(parts.len() == 4, "`{line}` is not a line about a mutation");
        Ok(Listed {
            number: parts[0].parse().with_context(|| format!("`{line}` does not begin with a number"))?,
            kind: parts[1].into(),
            line: parts[2].into(),
            text: parts[3].into(),
        })
    }
}

/// Runs a command until it ends or its time is over.
fn run(mut command: Command, limit: Duration) -> Result<End> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let (mut out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let (sender, ended) = channel();
    let in_time = std::thread::scope(|scope| {
        let errors = scope.spawn(move || {
            let mut text = Vec::new();
            let _ = err.read_to_end(&mut text);
            text
        });
        let reader = scope.spawn(move || {
            let mut text = Vec::new();
            let _ = out.read_to_end(&mut text);
            // The program has closed its output: it ends.
            let _ = sender.send(());
            text
        });
        let in_time = ended.recv_timeout(limit) != Err(RecvTimeoutError::Timeout);
        if !in_time {
            let _ = child.kill();
        }
        let mut text = reader.join().unwrap_or_default();
        text.extend(errors.join().unwrap_or_default());
        (in_time, text)
    });
    let status = child.wait().context("cannot wait for a test")?;
    let (in_time, text) = in_time;
    Ok(match (in_time, status.success()) {
        (false, _) => End::OutOfTime,
        (true, true) => End::Passed,
        (true, false) => End::Failed(String::from_utf8_lossy(&text).into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> End {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, limit).unwrap()
    }

    #[test]
    fn a_test_passes_fails_or_runs_out_of_time() {
        let long = Duration::from_secs(600);
        assert!(matches!(shell("exit 0", long), End::Passed));
        assert!(matches!(shell("echo why >&2; exit 1", long), End::Failed(text) if text.contains("why")));
        // It would wait for ever, so that only the limit ends it.
        assert!(matches!(shell("exec tail -f /dev/null", Duration::from_millis(50)), End::OutOfTime));
    }

    #[test]
    fn lines_about_modules_and_mutations_are_read() {
        let module = module("fifo_8_1\t49\trtl/prim/src/fifo/mod.rs").unwrap();
        assert_eq!((module.name.as_str(), module.nodes), ("fifo_8_1", 49));
        let listed = Listed::parse("3\treset\ta.rs:7\thead: no reset").unwrap();
        assert_eq!((listed.number, listed.text.as_str()), (3, "head: no reset"));
        assert!(Listed::parse("head: no reset").is_err());
        assert!(super::module("fifo").is_err());
    }

    #[test]
    fn benches_are_test_code() {
        assert!(is_of_tests("rtl/bus/src/axi4/bench.rs") && is_of_tests("hw/src/io_engine/bench/host.rs"));
        assert!(!is_of_tests("rtl/prim/src/fifo/mod.rs"));
    }
}
