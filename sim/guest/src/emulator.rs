//! QEMU: the machine's own if it will do, else the packaged one, which is fetched and never installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sim_toolchain::{text, Toolchain};

use crate::packages::QEMU_PACKAGES;
use crate::tree::{files_below, Tree};
use crate::Error;

/// The program.
const PROGRAM: &str = "qemu-system-x86_64";

/// Names another program than the one in `PATH`.
const VARIABLE: &str = "FLASHDOCK_QEMU";

/// The oldest version that has been seen to work.
const VERSION_MIN: (u32, u32) = (7, 2);

/// What a caller may want of it: PCI functions that another process answers for.
const DEVICE: &str = "x-pci-proxy-dev";

/// What the packaged QEMU is made by, and so the key under which it is kept.
const RECIPE: &str = concat!(include_str!("emulator.rs"), include_str!("tree.rs"));

/// An installation of QEMU.
#[derive(Clone, Debug)]
pub struct Qemu {
    program: PathBuf,
    /// What comes before the arguments proper.
    arguments: Vec<PathBuf>,
    /// Where it finds its modules, if not where it looks itself.
    modules: Option<PathBuf>,
    manifest: Option<String>,
}

impl Qemu {
    /// `FLASHDOCK_QEMU` if that is set; else the one in `PATH` if it is version 7.2 or later and has `x-pci-proxy-dev`; else the package, fetched if
    /// it is not in the cache.
    pub fn found(toolchain: &Toolchain) -> Result<Self, Error> {
        if let Some(program) = env::var_os(VARIABLE).filter(|program| !program.is_empty()) {
            return Ok(Self::installed(program.into()));
        }
        match in_path(PROGRAM).into_iter().find(|program| will_do(program)) {
            Some(program) => Ok(Self::installed(program)),
            None => Self::packaged(toolchain),
        }
    }

    /// The package of Debian, fetched if it is not in the cache.
    pub fn packaged(toolchain: &Toolchain) -> Result<Self, Error> {
        let (folder, manifest) = QEMU_PACKAGES.kept(toolchain, "program", RECIPE, keep_what_runs)?;
        let (program, mut arguments) = loaded(&folder, PROGRAM)?;
        arguments.extend(["-L".into(), folder.join(FIRMWARE)]);
        Ok(Self { program, arguments, modules: Some(folder.join(MODULES)), manifest: Some(manifest) })
    }

    /// One that somebody else installed.
    fn installed(program: PathBuf) -> Self {
        Self { program, arguments: Vec::new(), modules: None, manifest: None }
    }

    /// A command that runs it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        if let Some(modules) = &self.modules {
            // QEMU's documentation, "Modules": where it looks first.
            command.env("QEMU_MODULE_DIR", modules);
        }
        command
    }

    /// The packages that it is made of, one line for each; none if it is the machine's own.
    pub fn manifest(&self) -> Option<&str> {
        self.manifest.as_deref()
    }
}

/// The folder of the program's libraries.
pub(crate) const LIBRARIES: &str = "libraries";

/// The folder of the parts of the program that it loads when it needs them.
const MODULES: &str = "modules";

/// How those modules are called that emulate the processor. Not all versions have them outside of the program.
const EMULATION: &str = "accel-tcg-";

/// The folder of what the emulated machine starts with.
const FIRMWARE: &str = "firmware";

/// Keeps the program, its libraries and its firmware.
fn keep_what_runs(tree: &Tree, folder: &Path) -> Result<(), Error> {
    for part in [MODULES, FIRMWARE] {
        let part = folder.join(part);
        fs::create_dir(&part).map_err(|error| Error::io("create", &part, error))?;
    }
    let program = tree.program(PROGRAM)?;
    copy(&program, &folder.join(PROGRAM))?;
    let mut programs = vec![program];
    for (name, module) in tree.libraries_called(EMULATION) {
        copy(module, &folder.join(MODULES).join(name))?;
        programs.push(module.to_owned());
    }
    keep_libraries(tree, &programs, folder)?;
    for source in ["usr/share/seabios", "usr/share/qemu"] {
        for file in files_below(&tree.find(&[source])?)? {
            // Links lead into packages that serve other machines.
            if file.extension() == Some("bin".as_ref()) && !file.is_symlink() {
                copy(&file, &folder.join(FIRMWARE).join(file.file_name().unwrap_or_default()))?;
            }
        }
    }
    Ok(())
}

/// Keeps the libraries of programs.
pub(crate) fn keep_libraries(tree: &Tree, programs: &[PathBuf], folder: &Path) -> Result<(), Error> {
    let libraries = folder.join(LIBRARIES);
    fs::create_dir(&libraries).map_err(|error| Error::io("create", &libraries, error))?;
    tree.libraries_of(programs)?.into_iter().try_for_each(|(name, library)| copy(&library, &libraries.join(name)))
}

/// The program and the arguments that run a program of a folder with the folder's own libraries. The loader of this machine may be older than they are.
pub(crate) fn loaded(folder: &Path, program: &str) -> Result<(PathBuf, Vec<PathBuf>), Error> {
    let libraries = folder.join(LIBRARIES);
    let loader = files_below(&libraries)?.into_iter().find(|file| is_loader(file));
    let loader = loader.ok_or_else(|| Error::Missing { what: "program loader".into() })?;
    Ok((loader, vec!["--library-path".into(), libraries, folder.join(program)]))
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::copy(from, to).map(drop).map_err(|error| Error::io("write", to, error))
}

pub(crate) fn is_loader(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
}

/// Whether there is such a program, new enough, with the device.
fn will_do(program: &Path) -> bool {
    is_new_enough(program)
        && says(program, &["-device", "help"]).is_some_and(|devices| devices.contains(&format!("\"{DEVICE}\"")))
}

/// Whether there is such a program, of a version that has been seen to work.
pub(crate) fn is_new_enough(program: &Path) -> bool {
    says(program, &["--version"]).and_then(|text| version(&text)).is_some_and(|version| version >= VERSION_MIN)
}

/// What a program says, if it does so successfully.
fn says(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.ok().filter(|output| output.status.success()).map(|output| text(&output))
}

/// The programs of this name in `PATH`, in its order.
pub(crate) fn in_path(program: &str) -> Vec<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).map(|folder| folder.join(program)).collect()
}

/// The version in what `--version` prints.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split("version ").nth(1)?.split(|part: char| !part.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Whether a QEMU that says this would be used.
    fn used(version: &str, devices: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(PROGRAM);
        let script = format!("#!/bin/sh\ncase $1 in --version) echo '{version}';; *) echo '{devices}';; esac\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        will_do(&program)
    }

    #[test]
    fn a_qemu_that_is_new_and_has_the_device_is_used() {
        let devices = "name \"x-pci-proxy-dev\", bus PCI";
        assert!(used("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", devices));
        assert!(used("QEMU emulator version 10.0.2", devices));
        assert!(!used("QEMU emulator version 6.2.0", devices));
        assert!(!used("QEMU emulator version 7.1.90", devices));
        assert!(!used("something else", devices));
        assert!(!used("QEMU emulator version 10.0.2", "name \"nvme\", bus PCI"));
        assert!(!will_do(Path::new("no-such-program")));
    }
}
