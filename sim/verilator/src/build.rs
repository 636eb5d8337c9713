//! From a [`ModelSet`] to shared objects in the cache.
//!
//! 1. The key of a model is the hash of everything that decides the result: Verilog, port list, flags, tools, shim.
//! 2. What the cache knows by its key is loaded from where it was built before. What is left, everything at first and a block that was changed
//!    later, becomes one more library, below a lock:
//! 3. Verilator turns each model into C++ (milliseconds), and its header is compared with the port list.
//! 4. The generated files are gathered into few compilation units: parsing Verilator's headers costs half a second per unit,
//!    which for a small block is more than its own code.
//! 5. The units are compiled in parallel and linked with Verilator's run-time library, which is compiled once per machine.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use sim_toolchain::{output_of, sha256, text, Cache, Compiler, Toolchain, Verilator};

use crate::library::Place;
use crate::{shim, Error, Library, ModelSet, ModelSpec, Optimize};

/// The shared object's name inside its cache entry.
const LIBRARY: &str = "library.so";

/// A unit is not split below this size: the headers would cost more than another processor gains.
const UNIT_BYTES: u64 = 256 << 10;

/// Verilator's run-time files that every library is linked with.
const RUNTIME: &[&str] = &["verilated", "verilated_threads", "verilated_vcd_c"];
/// The same for libraries that count coverage.
const RUNTIME_COVERAGE: &[&str] = &["verilated", "verilated_threads", "verilated_vcd_c", "verilated_cov"];

/// Compiler flags of every unit. Hidden symbols, and no symbols that are unique in the process: several libraries with their own
/// copies of Verilator's run time live side by side.
const CXX_FLAGS: &[&str] = &[
    "-std=gnu++17",
    "-fPIC",
    "-fvisibility=hidden",
    "-w",
    "-DVERILATOR=1",
    "-DVM_SC=0",
    "-DVM_TIMING=0",
    "-DVM_TRACE_FST=0",
    "-DVM_TRACE_SAIF=0",
    "-DVL_TIME_CONTEXT",
    "-DVL_USER_STOP",
    "-DVL_USER_FATAL",
];

impl ModelSet {
    /// The library of this set, with the toolchain of [`Toolchain::from_env`]. What the cache does not have is built.
    pub fn load(&self) -> Result<Library, Error> {
        self.load_with(default_toolchain())
    }

    /// The library of this set. What the cache does not have is built.
    ///
    /// # Panics
    /// If two models have the same name, or a name is not made of letters, digits, `-`, `.` and `_`.
    pub fn load_with(&self, toolchain: &Toolchain) -> Result<Library, Error> {
        self.check_names();
        let tools = Tools::of(toolchain)?;
        let shelf = Shelf::new(toolchain.cache());
        let keys: Vec<String> =
            self.models.iter().map(|model| self.with_only(vec![model.clone()]).key(&tools)).collect();
        let mut places: Vec<Option<Place>> = keys.iter().map(|key| shelf.find(key)).collect();
        let missing: Vec<usize> = (0..places.len()).filter(|index| places[*index].is_none()).collect();
        if !missing.is_empty() {
            let set = self.with_only(missing.iter().map(|index| self.models[*index].clone()).collect());
            let entry = format!("models/{}-{}", self.name, &set.key(&tools)[..32]);
            let folder = toolchain.cache().entry(&entry, |folder| set.build(&tools, folder))?;
            for (number, index) in missing.into_iter().enumerate() {
                shelf.put(&keys[index], &entry, number)?;
                places[index] = Some(Place { path: folder.join(LIBRARY), index: number });
            }
        }
        Library::open(self, &places.into_iter().flatten().collect::<Vec<_>>())
    }

    /// The library of this set, built where nobody will look for it again: for models that are made up and run once.
    ///
    /// # Panics
    /// As [`load_with`](Self::load_with) does.
    pub fn load_once(&self, toolchain: &Toolchain) -> Result<Library, Error> {
        self.check_names();
        let tools = Tools::of(toolchain)?;
        // Libraries are known by their path, which must not come again in this process. One that is loaded needs no file any more.
        let folder = tempfile::Builder::new().prefix(&self.key(&tools)[..32]).tempdir();
        let folder = folder.map_err(|error| Error::io("create a folder in", &std::env::temp_dir(), error))?;
        self.build(&tools, folder.path())?;
        let place = |index| Place { path: folder.path().join(LIBRARY), index };
        Library::open(self, &(0..self.models.len()).map(place).collect::<Vec<_>>())
    }

    fn build(&self, tools: &Tools, folder: &Path) -> Result<(), Error> {
        let Tools { toolchain, verilator, compiler } = tools;
        Build { set: self, toolchain, verilator, compiler, folder }.run()
    }

    /// A set like this one, of these models.
    fn with_only(&self, models: Vec<ModelSpec>) -> ModelSet {
        let ModelSet { name, optimize, trace, checks, coverage, models: _ } = self.clone();
        ModelSet { name, optimize, trace, checks, coverage, models }
    }

    fn check_names(&self) {
        let plain = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        };
        assert!(plain(&self.name), "the name of a set is used as a file name: {:?}", self.name);
        for (index, model) in self.models.iter().enumerate() {
            assert!(plain(&model.name), "the name of a model is used as a file name: {:?}", model.name);
            let earlier = &self.models[..index];
            assert!(earlier.iter().all(|other| other.name != model.name), "two models are named {:?}", model.name);
        }
    }

    /// The hash of everything that decides what the library is.
    fn key(&self, tools: &Tools) -> String {
        let Tools { verilator, compiler, .. } = tools;
        let mut text = format!("{}\n{}\n", verilator.identity, compiler.identity);
        for part in [&self.verilator_flags(), &self.compiler_flags(compiler)] {
            text.push_str(&part.join(" "));
            text.push('\n');
        }
        text.push_str(shim::HEADER);
        text.push_str(shim::PRINT_HEADER);
        text.push_str(&shim::library_source(self));
        for (index, model) in self.models.iter().enumerate() {
            text.push_str(&shim::model_source(model, index));
            // The lengths keep different sets from making the same text.
            let _ = write!(text, "{} {} {:?}\n{}", model.top, model.verilog.len(), model.ports, model.verilog);
        }
        sha256(text.as_bytes())
    }

    fn verilator_flags(&self) -> Vec<&'static str> {
        let mut flags = vec!["--cc", "-sv", "-O3", "--no-timing", "--x-initial", "unique", "-Wno-fatal"];
        flags.extend(["-Wno-lint", "-Wno-style", "--timescale-override", "1ns/1ns", "--output-split", "10000"]);
        flags.extend(if self.checks {
            &["--assert", "--x-assign", "unique"][..]
        } else {
            // What only assertions need is left out with them.
            &["--no-assert", "-DSYNTHESIS", "--x-assign", "fast"][..]
        });
        if self.trace {
            flags.extend(["--trace-vcd", "--trace-structs"]);
        }
        if self.coverage.is_some() {
            flags.extend(["--coverage-line", "--coverage-toggle"]);
        }
        flags
    }

    fn compiler_flags(&self, compiler: &Compiler) -> Vec<&'static str> {
        let mut flags = common_flags(compiler);
        flags.push(match self.optimize {
            Optimize::Nothing => "-O0",
            Optimize::Build => "-O1",
            // -O3 takes longer to compile and runs no faster.
            Optimize::Run => "-O2",
        });
        flags.extend(if self.trace {
            ["-DVM_TRACE=1", "-DVM_TRACE_VCD=1"]
        } else {
            ["-DVM_TRACE=0", "-DVM_TRACE_VCD=0"]
        });
        flags.push(self.coverage_flag());
        flags
    }

    fn coverage_flag(&self) -> &'static str {
        if self.coverage.is_some() {
            "-DVM_COVERAGE=1"
        } else {
            "-DVM_COVERAGE=0"
        }
    }

    /// Verilator's run-time files that the library is linked with.
    fn runtime(&self) -> &'static [&'static str] {
        if self.coverage.is_some() {
            RUNTIME_COVERAGE
        } else {
            RUNTIME
        }
    }
}

/// What a build needs.
struct Tools<'a> {
    toolchain: &'a Toolchain,
    verilator: Verilator,
    compiler: Compiler,
}

impl<'a> Tools<'a> {
    fn of(toolchain: &'a Toolchain) -> Result<Self, Error> {
        // The compiler is looked for first: who lacks it hears so before the download.
        let compiler = toolchain.compiler()?;
        Ok(Self { toolchain, verilator: toolchain.verilator()?, compiler })
    }
}

/// Which model is in which library of the cache: a file for each key, with an entry and a number.
struct Shelf<'a> {
    cache: &'a Cache,
    /// The entries that were looked at, and their folders if they are whole.
    entries: RefCell<HashMap<String, Option<PathBuf>>>,
}

impl<'a> Shelf<'a> {
    fn new(cache: &'a Cache) -> Self {
        Self { cache, entries: RefCell::default() }
    }

    fn file(&self, key: &str) -> PathBuf {
        self.cache.root().join("models/shelf").join(&key[..32])
    }

    fn find(&self, key: &str) -> Option<Place> {
        let text = fs::read_to_string(self.file(key)).ok()?;
        let (entry, index) = text.trim_end().split_once(' ')?;
        let mut entries = self.entries.borrow_mut();
        let folder = entries.entry(entry.to_owned()).or_insert_with(|| self.cache.find(entry));
        Some(Place { path: folder.as_ref()?.join(LIBRARY), index: index.parse().ok()? })
    }

    fn put(&self, key: &str, entry: &str, index: usize) -> Result<(), Error> {
        let file = self.file(key);
        let folder = file.parent().unwrap_or(self.cache.root());
        fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        // Another process may write the same: who reads sees one or the other.
        let write = || {
            let mut partial = tempfile::NamedTempFile::new_in(folder)?;
            writeln!(partial, "{entry} {index}")?;
            partial.persist(&file).map_err(|error| error.error)
        };
        write().map_err(|error| Error::io("write", &file, error)).map(drop)
    }
}

/// The flags of every compilation.
fn common_flags(compiler: &Compiler) -> Vec<&'static str> {
    let mut flags = CXX_FLAGS.to_vec();
    if !is_clang(compiler) {
        flags.push("-fno-gnu-unique");
    }
    flags
}

fn is_clang(compiler: &Compiler) -> bool {
    compiler.identity.contains("clang")
}

fn compile_command(compiler: &Compiler, verilator: &Verilator, flags: &[&str]) -> Command {
    let include = verilator.include();
    let mut command = Command::new(&compiler.program);
    command.args(flags).arg("-I").arg(&include).arg("-I").arg(include.join("vltstd"));
    command
}

/// One build of a set into a folder.
struct Build<'a> {
    set: &'a ModelSet,
    toolchain: &'a Toolchain,
    verilator: &'a Verilator,
    compiler: &'a Compiler,
    folder: &'a Path,
}

/// A compilation.
struct Job {
    what: String,
    command: Command,
}

/// A generated C++ file.
struct Source {
    path: PathBuf,
    bytes: u64,
    /// Runs only when a model is made, so it is not worth optimizing.
    slow: bool,
}

impl Build<'_> {
    fn run(&self) -> Result<(), Error> {
        let runtime = self.runtime()?;
        let work = self.folder.join("work");
        fs::create_dir(&work).map_err(|error| Error::io("create", &work, error))?;

        let mut sources = self.verilate(&work)?;
        let library_source = work.join("library.cpp");
        sources.push(write(library_source, &shim::library_source(self.set))?);
        let (jobs, objects) = self.units(&work, &sources)?;

        let count = self.set.models.len();
        let models = if count == 1 { "1 model".to_owned() } else { format!("{count} models") };
        let task = format!("building the Verilated library `{}` ({models})", self.set.name);
        self.toolchain.progress().begin(&task, jobs.len() as u64 + 1);
        let built = self.compile(jobs).and_then(|()| self.link(&objects, &runtime));
        self.toolchain.progress().end();
        built?;
        fs::remove_dir_all(&work).map_err(|error| Error::io("remove", &work, error))
    }

    /// Verilator's run-time library, compiled once per compiler.
    fn runtime(&self) -> Result<PathBuf, Error> {
        let mut flags = common_flags(self.compiler);
        flags.extend(["-O2", "-DVM_TRACE=1", "-DVM_TRACE_VCD=1", self.set.coverage_flag()]);
        let key = format!("{}\n{}\n{flags:?}{}", self.verilator.identity, self.compiler.identity, shim::PRINT_HEADER);
        let key = sha256(key.as_bytes());
        self.toolchain.cache().entry(&format!("models/runtime-{}", &key[..32]), |folder| {
            write(folder.join(shim::PRINT_HEADER_NAME), shim::PRINT_HEADER)?;
            let job = |name: &&str| {
                let mut command = compile_command(self.compiler, self.verilator, &flags);
                command.arg("-include").arg(folder.join(shim::PRINT_HEADER_NAME));
                command.arg("-c").arg(self.verilator.include().join(format!("{name}.cpp")));
                command.arg("-o").arg(folder.join(format!("{name}.o")));
                Job { what: (*name).to_owned(), command }
            };
            let files = self.set.runtime();
            self.toolchain.progress().begin("compiling Verilator's run-time library (once)", files.len() as u64);
            let built = self.compile(files.iter().map(job).collect());
            self.toolchain.progress().end();
            built
        })
    }

    /// Verilates each model and returns the C++ files, in the order of the models.
    fn verilate(&self, work: &Path) -> Result<Vec<Source>, Error> {
        write(work.join(shim::HEADER_NAME), shim::HEADER)?;
        write(work.join(shim::PRINT_HEADER_NAME), shim::PRINT_HEADER)?;
        let mut sources = Vec::new();
        for (index, model) in self.set.models.iter().enumerate() {
            let prefix = shim::prefix(index);
            let verilog = work.join(format!("{}.sv", model.name));
            write(verilog.clone(), &model.verilog)?;
            // Each model has its own folder: Verilator's file names may grow past their prefix.
            let folder = work.join(&prefix);
            let mut command = self.verilator.command();
            command.args(self.set.verilator_flags()).args(["--top-module", &model.top, "--prefix", &prefix]);
            command.arg("--Mdir").arg(&folder).arg(&verilog);
            run_verilator(&mut command, model, work)?;

            let header = folder.join(format!("{prefix}.h"));
            let header = fs::read_to_string(&header).map_err(|error| Error::io("read", &header, error))?;
            shim::check_ports(model, &header)?;
            sources.extend(generated(&folder).map_err(|error| Error::io("read", &folder, error))?);
            sources.push(write(folder.join("shim.cpp"), &shim::model_source(model, index))?);
        }
        Ok(sources)
    }

    /// Gathers the files into units, and returns the compilations and their object files.
    fn units(&self, work: &Path, sources: &[Source]) -> Result<(Vec<Job>, Vec<PathBuf>), Error> {
        let slow_bytes: u64 = sources.iter().filter(|source| source.slow).map(|source| source.bytes).sum();
        // Few slow files are not worth a unit of their own.
        let apart = slow_bytes >= UNIT_BYTES;
        let (slow, fast): (Vec<_>, Vec<_>) = sources.iter().partition(|source| apart && source.slow);
        let groups = split(&fast).into_iter().map(|group| (group, false));
        let groups = groups.chain(split(&slow).into_iter().map(|group| (group, true)));

        let mut jobs = Vec::new();
        let mut objects = Vec::new();
        for (index, (group, slow)) in groups.enumerate() {
            let mut text = format!("#include \"{}\"\n", shim::HEADER_NAME);
            for (index, source) in group.iter().enumerate() {
                let name = source.path.strip_prefix(work).unwrap_or(&source.path).display();
                // Each model has its own precompiled-header file, which forbids a second one, and its own static `trace_init`.
                let _ = writeln!(text, "#undef VL_PCH_INCLUDED\n#define trace_init trace_init_{index}");
                let _ = writeln!(text, "#include \"{name}\"\n#undef trace_init");
            }
            let unit = work.join(format!("unit{index}.cpp"));
            write(unit.clone(), &text)?;
            let object = unit.with_extension("o");
            let mut command = compile_command(self.compiler, self.verilator, &self.set.compiler_flags(self.compiler));
            if slow {
                command.arg("-O0");
            }
            command.arg("-I").arg(work);
            for index in 0..self.set.models.len() {
                command.arg("-I").arg(work.join(shim::prefix(index)));
            }
            command.arg("-c").arg(unit).arg("-o").arg(&object);
            jobs.push(Job { what: format!("unit {index} of `{}`", self.set.name), command });
            objects.push(object);
        }
        Ok((jobs, objects))
    }

    /// Runs the compilations, as many at a time as there are processors.
    fn compile(&self, jobs: Vec<Job>) -> Result<(), Error> {
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let jobs: Vec<_> = jobs.into_iter().map(Mutex::new).collect();
        let work = || {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut job = job.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let Job { what, command } = &mut *job;
                if let Err(error) = self.run_compiler(what, command) {
                    failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
                    return;
                }
                self.toolchain.progress().advance();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..processors().min(jobs.len()) {
                scope.spawn(work);
            }
        });
        failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).map_or(Ok(()), Err)
    }

    fn link(&self, objects: &[PathBuf], runtime: &Path) -> Result<(), Error> {
        let mut command = Command::new(&self.compiler.program);
        command.args(["-shared", "-pthread", "-Wl,-Bsymbolic", "-o"]).arg(self.folder.join(LIBRARY)).args(objects);
        command.args(self.set.runtime().iter().map(|name| runtime.join(format!("{name}.o"))));
        if is_clang(self.compiler) {
            command.arg("-latomic");
        }
        self.run_compiler(&format!("the link of `{}`", self.set.name), &mut command)?;
        self.toolchain.progress().advance();
        Ok(())
    }

    fn run_compiler(&self, what: &str, command: &mut Command) -> Result<(), Error> {
        let output = output_of(command, "compiles Verilated models", "sudo apt-get install g++")?;
        if output.status.success() {
            return Ok(());
        }
        let output = text(&output);
        let full = Error::disk_full(&output, self.folder);
        Err(full.unwrap_or_else(|| Error::Compile { what: what.to_owned(), output }))
    }
}

/// Checks a SystemVerilog text with `verilator --lint-only -Wall`, with the toolchain of [`Toolchain::from_env`].
///
/// # Errors
/// What Verilator said, if it said anything.
pub fn lint(verilog: &str, top: &str) -> Result<(), Error> {
    lint_with(default_toolchain(), verilog, top)
}

/// Like [`lint`], with this toolchain.
///
/// # Errors
/// What Verilator said, if it said anything.
pub fn lint_with(toolchain: &Toolchain, verilog: &str, top: &str) -> Result<(), Error> {
    let verilator = toolchain.verilator()?;
    let folder = tempfile::tempdir().map_err(|error| Error::io("create a folder in", &std::env::temp_dir(), error))?;
    let file = folder.path().join(format!("{top}.sv"));
    write(file.clone(), verilog)?;
    let mut command = verilator.command();
    // One text holds many modules, so that file and module names cannot agree.
    command.args(["--lint-only", "-sv", "-Wall", "-Wno-DECLFILENAME", "--no-timing", "--top-module", top]);
    let output = output_of(command.arg(&file), "checks the emitted Verilog", "cargo xtask test")?;
    let said = text(&output).replace(&format!("{}/", folder.path().display()), "");
    let complaints: Vec<_> = said.lines().filter(|line| !line.starts_with("- ")).collect();
    if output.status.success() && complaints.is_empty() {
        return Ok(());
    }
    Err(Error::Lint { top: top.to_owned(), output: complaints.join("\n") })
}

/// The toolchain that the environment names.
fn default_toolchain() -> &'static Toolchain {
    static TOOLCHAIN: OnceLock<Toolchain> = OnceLock::new();
    TOOLCHAIN.get_or_init(Toolchain::from_env)
}

fn run_verilator(command: &mut Command, model: &ModelSpec, folder: &Path) -> Result<(), Error> {
    let output = output_of(command, "turns Verilog into C++", "cargo xtask test")?;
    if output.status.success() {
        return Ok(());
    }
    let output = text(&output).replace(&format!("{}/", folder.display()), "");
    let full = Error::disk_full(&output, folder);
    Err(full.unwrap_or_else(|| Error::Verilate { top: model.top.clone(), output }))
}

/// The C++ files that Verilator wrote into this folder, sorted by name.
fn generated(folder: &Path) -> std::io::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let path = file.path();
        if path.extension().is_some_and(|extension| extension == "cpp") {
            let slow = path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("__Slow"));
            sources.push(Source { path, bytes: file.metadata()?.len(), slow });
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

/// Cuts the files into at most as many runs as there are processors, of about the same size.
fn split<'a>(sources: &[&'a Source]) -> Vec<Vec<&'a Source>> {
    let total: u64 = sources.iter().map(|source| source.bytes).sum();
    let units = (total.div_ceil(UNIT_BYTES)).clamp(1, processors() as u64);
    let mut groups: Vec<Vec<_>> = Vec::new();
    let mut before = 0;
    for source in sources {
        // The group in which the middle of this file falls.
        let group = (before + source.bytes / 2) * units / total.max(1);
        before += source.bytes;
        while groups.len() <= group as usize {
            groups.push(Vec::new());
        }
        groups[group as usize].push(*source);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

/// Writes a file and describes it.
fn write(path: PathBuf, content: &str) -> Result<Source, Error> {
    fs::write(&path, content).map_err(|error| Error::io("write", &path, error))?;
    Ok(Source { path, bytes: content.len() as u64, slow: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_keeps_every_file_once_and_in_order() {
        let files: Vec<_> = (0..23)
            .map(|index| Source { path: format!("{index}").into(), bytes: (index * 7919) % 300_000, slow: false })
            .collect();
        let groups = split(&files.iter().collect::<Vec<_>>());
        assert!(groups.len() <= processors());
        let names: Vec<_> = groups.concat().iter().map(|source| source.path.clone()).collect();
        let expected: Vec<_> = files.iter().map(|source| source.path.clone()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn few_bytes_are_one_unit() {
        let files = [1000, 2000].map(|bytes| Source { path: "a".into(), bytes, slow: false });
        assert_eq!(split(&files.iter().collect::<Vec<_>>()).len(), 1);
    }
}
