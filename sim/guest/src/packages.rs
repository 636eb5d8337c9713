//! Packages of Debian, fetched by its own client and never installed. Why so: `docs/decisions/0009-debian-packages.md`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sim_toolchain::{run, sha256, text, Toolchain};

use crate::tree::Tree;
use crate::Error;

/// Packages that serve one purpose; what they depend on comes with them.
#[derive(Clone, Copy, Debug)]
pub struct PackageSet {
    name: &'static str,
    purpose: &'static str,
    packages: &'static [&'static str],
    /// What there is instead in suites that do not have these.
    before: &'static [&'static str],
}

/// What the guest is made of.
pub const GUEST_PACKAGES: PackageSet = PackageSet {
    name: "guest",
    purpose: "the Linux guest",
    packages: &["linux-image-amd64", "busybox-static", "nvme-cli", "fio", "e2fsprogs"],
    before: &[],
};

/// The machine that the guest runs on.
pub const QEMU_PACKAGES: PackageSet = PackageSet {
    name: "qemu",
    purpose: "QEMU, which runs the Linux guest",
    packages: &["qemu-system-x86"],
    before: &[],
};

/// What runs programs of another processor.
pub const QEMU_USER_PACKAGES: PackageSet = PackageSet {
    name: "qemu-user",
    purpose: "QEMU, which runs programs of riscv64",
    packages: &["qemu-user"],
    before: &[],
};

/// A machine of riscv64. Before Debian 13 it is in one package with other machines.
pub const QEMU_RISCV_PACKAGES: PackageSet = PackageSet {
    name: "qemu-riscv",
    purpose: "QEMU, a machine of riscv64",
    packages: &["qemu-system-riscv"],
    before: &["qemu-system-misc"],
};

/// What compiles the firmware for the device's processors.
pub const RUST_PACKAGES: PackageSet = PackageSet {
    name: "rust",
    purpose: "a Rust compiler for the device's processors",
    packages: &["rustc-web", "cargo-web", "rust-web-src", "lld"],
    before: &[],
};

/// A set of packages in the cache.
#[derive(Clone, Debug)]
pub struct Packages {
    set: PackageSet,
    folder: PathBuf,
}

/// The manifest's name, beside the packages.
pub(crate) const MANIFEST: &str = "manifest";

impl PackageSet {
    /// The packages in the cache, fetched if they are not there.
    pub fn fetched(self, toolchain: &Toolchain) -> Result<Packages, Error> {
        self.fetched_with("apt-get".as_ref(), toolchain)
    }

    /// The name of what is made of these packages in the cache, by what they are and by how it is made.
    /// What `keep` takes of the packages, unpacked, into a folder of the cache; and their manifest. They are fetched if they are not in the cache.
    pub(crate) fn kept(
        self,
        toolchain: &Toolchain,
        kind: &str,
        recipe: &str,
        keep: impl FnOnce(&Tree, &Path) -> Result<(), Error>,
    ) -> Result<(PathBuf, String), Error> {
        let folder = toolchain.cache().entry(&self.entry(kind, recipe), |folder| {
            let packages = self.fetched(toolchain)?;
            let unpacked =
                tempfile::tempdir_in(folder).map_err(|error| Error::io("create a folder in", folder, error))?;
            packages.unpack(toolchain, unpacked.path())?;
            let manifest = folder.join(MANIFEST);
            fs::write(&manifest, packages.manifest()?).map_err(|error| Error::io("write", &manifest, error))?;
            keep(&Tree::new(unpacked.path())?, folder)
        })?;
        let manifest = folder.join(MANIFEST);
        let manifest = fs::read_to_string(&manifest).map_err(|error| Error::io("read", &manifest, error))?;
        Ok((folder, manifest))
    }

    pub(crate) fn entry(self, kind: &str, recipe: &str) -> String {
        let key = sha256(format!("{} {recipe}", self.packages.join(" ")).as_bytes());
        format!("debian/{}-{kind}-{}", self.name, &key[..16])
    }

    fn fetched_with(self, apt_get: &OsStr, toolchain: &Toolchain) -> Result<Packages, Error> {
        let folder = toolchain.cache().entry(&self.entry("packages", ""), |folder| {
            let task = format!("fetching {} from Debian: {}", self.packages.join(", "), self.purpose);
            toolchain.progress().begin(&task, 3);
            let fetched = self.fetch(apt_get, toolchain, folder);
            toolchain.progress().end();
            fetched
        })?;
        Ok(Packages { set: self, folder })
    }

    /// Downloads the packages and all that they depend on into `folder`, and writes the manifest.
    fn fetch(self, apt_get: &OsStr, toolchain: &Toolchain, folder: &Path) -> Result<(), Error> {
        let private = tempfile::tempdir_in(folder).map_err(|error| Error::io("create a folder in", folder, error))?;
        let configuration = private_apt(private.path())?;
        let apt = |arguments: &[&str]| {
            let mut command = Command::new(apt_get);
            // The messages are read below.
            command.env("LC_ALL", "C").arg("--config-file").arg(&configuration).arg("--quiet").args(arguments);
            command.output().map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    Error::NoPackageManager { program: apt_get.to_string_lossy().into_owned() }
                }
                _ => Error::io("run", Path::new(apt_get), error),
            })
        };
        // Its status says nothing about single sources: of those that fail, the lists are missing.
        let update = apt(&["update"])?;
        toolchain.progress().advance();
        let install = |packages: &[&str]| apt(&[&["install", "--download-only", "--yes"], packages].concat());
        let mut installed = install(self.packages)?;
        if !installed.status.success() {
            let error = self.apt_error(&text(&update), &text(&installed), folder);
            if !matches!(error, Error::NotInSuite { .. }) || self.before.is_empty() {
                return Err(error);
            }
            installed = install(self.before)?;
        }
        if !installed.status.success() {
            return Err(self.apt_error(&text(&update), &text(&installed), folder));
        }
        toolchain.progress().advance();

        let mut manifest = String::new();
        for (name, file) in package_files(&private.path().join(ARCHIVES))? {
            let content = fs::read(&file).map_err(|error| Error::io("read", &file, error))?;
            // Writing to a string cannot fail.
            let _ = writeln!(manifest, "{name} {}", sha256(&content));
            let kept = folder.join(file.file_name().unwrap_or_default());
            fs::rename(&file, &kept).map_err(|error| Error::io("create", &kept, error))?;
        }
        if manifest.is_empty() {
            let detail = "apt-get downloaded no file".into();
            return Err(sim_toolchain::Error::Fetch { package: self.packages.join(", "), detail }.into());
        }
        let path = folder.join(MANIFEST);
        fs::write(&path, manifest).map_err(|error| Error::io("write", &path, error))?;
        toolchain.progress().advance();
        Ok(())
    }

    /// Tells from apt's messages why it failed.
    fn apt_error(self, update: &str, install: &str, folder: &Path) -> Error {
        let package = self.packages.join(", ");
        if let Some(full) = sim_toolchain::Error::disk_full(install, folder) {
            return full.into();
        }
        let unreachable = |line: &&str| {
            [
                "Could not resolve",
                "Temporary failure",
                "Could not connect",
                "Unable to connect",
                "Cannot initiate",
                "timed out",
            ]
            .iter()
            .any(|sign| line.contains(sign))
        };
        if let Some(line) = update.lines().chain(install.lines()).find(unreachable) {
            return sim_toolchain::Error::Network { package, detail: format!("apt: {}", line.trim()) }.into();
        }
        let unknown = install.lines().find_map(|line| {
            let candidate = || line.strip_prefix("E: Package '")?.strip_suffix("' has no installation candidate");
            line.strip_prefix("E: Unable to locate package ").or_else(candidate)
        });
        match unknown {
            Some(package) => Error::NotInSuite { package: package.into() },
            None => sim_toolchain::Error::Fetch { package, detail: format!("{update}\n{install}") }.into(),
        }
    }
}

impl Packages {
    /// One line for each package: its name, version, architecture and SHA-256.
    pub fn manifest(&self) -> Result<String, Error> {
        let path = self.folder.join(MANIFEST);
        fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))
    }

    /// Unpacks all packages into one folder.
    pub(crate) fn unpack(&self, toolchain: &Toolchain, into: &Path) -> Result<(), Error> {
        let files = package_files(&self.folder)?;
        toolchain.progress().begin(&format!("unpacking {}", self.set.purpose), files.len() as u64);
        let unpacked = files.values().try_for_each(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            run(Command::new("dpkg-deb").arg("--extract").arg(file).arg(into), "dpkg-deb", &name)?;
            toolchain.progress().advance();
            Ok(())
        });
        toolchain.progress().end();
        unpacked
    }
}

/// Where a private apt keeps what it has downloaded.
const ARCHIVES: &str = "cache/archives";

/// Makes a private apt: the sources and keys are the machine's, everything else is its own. It believes that nothing is installed, so that nothing
/// that is needed is left out. Returns its configuration.
fn private_apt(folder: &Path) -> Result<PathBuf, Error> {
    for part in ["state/lists/partial", &format!("{ARCHIVES}/partial")] {
        let part = folder.join(part);
        fs::create_dir_all(&part).map_err(|error| Error::io("create", &part, error))?;
    }
    let root = folder.display();
    // Each setting that the machine could have set otherwise is here. What it does after an update or an installation is its own.
    let configuration = format!(
        r#"#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
Dir::State "{root}/state";
Dir::State::lists "{root}/state/lists";
Dir::State::extended_states "{root}/state/extended_states";
Dir::State::status "{root}/state/status";
Dir::Cache "{root}/cache";
Dir::Cache::archives "{root}/{ARCHIVES}";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
"#
    );
    let path = folder.join("apt.conf");
    for (path, content) in [(&path, configuration.as_str()), (&folder.join("state/status"), "")] {
        fs::write(path, content).map_err(|error| Error::io("write", path, error))?;
    }
    Ok(path)
}

/// The packages in a folder, by name, version and architecture, which apt puts into their file names.
fn package_files(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let read = |error| Error::io("read", folder, error);
    let mut files = BTreeMap::new();
    for file in fs::read_dir(folder).map_err(read)? {
        let path = file.map_err(read)?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".deb")) {
            files.insert(name.replace('_', " ").replace("%3a", ":"), path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use sim_toolchain::Cache;

    use super::*;

    /// Fetches with a stand-in for apt-get that behaves as the shell text says; `$ARCHIVES` is where packages go, `$TASK` is what is asked for.
    fn fetch(folder: &Path, script: &str) -> Result<Packages, Error> {
        let program = folder.join("apt-get");
        let parse = format!(r#"ARCHIVES="$(dirname "$2")/{ARCHIVES}"; TASK=$4"#);
        fs::write(&program, format!("#!/bin/sh\n{parse}\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let toolchain = Toolchain::new(Cache::new(folder.join("cache")));
        GUEST_PACKAGES.fetched_with(program.as_os_str(), &toolchain)
    }

    fn fetch_error(script: &str) -> Error {
        fetch(tempfile::tempdir().unwrap().path(), script).unwrap_err()
    }

    #[test]
    fn packages_are_kept_with_a_manifest_and_fetched_once() {
        let folder = tempfile::tempdir().unwrap();
        let download = r#"[ $TASK = update ] || printf abc > "$ARCHIVES/fio_1%3a3.33-3_amd64.deb""#;
        let packages = fetch(folder.path(), download).unwrap();
        // FIPS 180-4 example "abc".
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(packages.manifest().unwrap(), format!("fio 1:3.33-3 amd64 {hash}\n"));
        let again = fetch(folder.path(), "exit 1").unwrap();
        assert_eq!(again.manifest().unwrap(), packages.manifest().unwrap());
    }

    #[test]
    fn missing_package_manager_says_where_to_go() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::new(Cache::new(folder.path()));
        let error = GUEST_PACKAGES.fetched_with("no-such-apt".as_ref(), &toolchain).unwrap_err();
        assert!(matches!(error, Error::NoPackageManager { .. }), "{error}");
        assert!(error.to_string().contains("`no-such-apt`"), "{error}");
        assert!(error.is_unavailable());
    }

    #[test]
    fn a_suite_without_the_package_is_told_from_a_missing_network() {
        let error = fetch_error("[ $TASK = update ] || { echo 'E: Unable to locate package nvme-cli' >&2; exit 100; }");
        assert!(matches!(&error, Error::NotInSuite { package } if package == "nvme-cli"), "{error}");

        let candidate = r#"E: Package 'fio' has no installation candidate"#;
        let error = fetch_error(&format!("[ $TASK = update ] || {{ echo \"{candidate}\" >&2; exit 100; }}"));
        assert!(matches!(&error, Error::NotInSuite { package } if package == "fio"), "{error}");

        // Without a network, apt updates nothing, is content with that, and then knows no package.
        let error = fetch_error(
            "[ $TASK = update ] && { echo \"Err:1 Temporary failure resolving 'mirror.example'\"; exit 0; }
             echo 'E: Unable to locate package nvme-cli' >&2; exit 100",
        );
        let network = matches!(&error, Error::Toolchain(sim_toolchain::Error::Network { .. }));
        assert!(network, "{error}");
    }

    #[test]
    fn an_older_suite_has_its_own_package() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("apt-get");
        // The package is the last argument.
        let script = r#"#!/bin/sh
for last; do :; done
[ "$last" = new ] && { echo 'E: Unable to locate package new' >&2; exit 100; }
[ "$4" = update ] || printf abc > "$(dirname "$2")/ARCHIVES/${last}_1_amd64.deb"
"#;
        fs::write(&program, script.replace("ARCHIVES", ARCHIVES)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let toolchain = Toolchain::new(Cache::new(folder.path().join("cache")));
        let set = PackageSet { name: "set", purpose: "", packages: &["new"], before: &["old"] };
        let manifest = set.fetched_with(program.as_os_str(), &toolchain).unwrap().manifest().unwrap();
        assert!(manifest.starts_with("old 1 amd64 "), "{manifest}");
        let neither = PackageSet { name: "neither", before: &["new"], ..set };
        let error = neither.fetched_with(program.as_os_str(), &toolchain).unwrap_err();
        assert!(matches!(&error, Error::NotInSuite { package } if package == "new"), "{error}");
    }

    #[test]
    fn what_apt_says_of_another_failure_is_shown() {
        let error = fetch_error("echo 'E: There were unauthenticated packages' >&2; exit 100");
        assert!(error.to_string().contains("There were unauthenticated packages"), "{error}");
        let error = fetch_error("echo 'E: Write error - write (28: No space left on device)' >&2; exit 100");
        assert!(matches!(error, Error::Toolchain(sim_toolchain::Error::DiskFull { .. })), "{error}");
        let error = fetch_error("exit 0");
        assert!(error.to_string().contains("downloaded no file"), "{error}");
    }
}
