//! QEMU as a machine of riscv64, which runs a program without an operating system: the machine's own if it will do, else the packaged one.

use std::path::{Path, PathBuf};
use std::process::Command;

use sim_toolchain::Toolchain;

use crate::emulator::{copy, in_path, is_new_enough, keep_libraries, loaded};
use crate::packages::QEMU_RISCV_PACKAGES;
use crate::Error;

/// The program.
const PROGRAM: &str = "qemu-system-riscv64";

/// What the packaged QEMU is made by, and so the key under which it is kept.
const RECIPE: &str = concat!(include_str!("system.rs"), include_str!("emulator.rs"), include_str!("tree.rs"));

/// An installation of QEMU that is a machine of riscv64.
#[derive(Clone, Debug)]
pub struct RiscvQemu {
    program: PathBuf,
    /// What comes before the arguments proper.
    arguments: Vec<PathBuf>,
    manifest: Option<String>,
}

impl RiscvQemu {
    /// The one in `PATH` if it is new enough; else the package, fetched if it is not in the cache.
    pub fn found(toolchain: &Toolchain) -> Result<Self, Error> {
        match in_path(PROGRAM).into_iter().find(|program| is_new_enough(program)) {
            Some(program) => Ok(Self { program, arguments: Vec::new(), manifest: None }),
            None => Self::packaged(toolchain),
        }
    }

    /// The package of Debian, fetched if it is not in the cache.
    pub fn packaged(toolchain: &Toolchain) -> Result<Self, Error> {
        let (folder, manifest) = QEMU_RISCV_PACKAGES.kept(toolchain, "program", RECIPE, |tree, folder| {
            let program = tree.program(PROGRAM)?;
            copy(&program, &folder.join(PROGRAM))?;
            keep_libraries(tree, &[program], folder)
        })?;
        let (program, arguments) = loaded(&folder, PROGRAM)?;
        Ok(Self { program, arguments, manifest: Some(manifest) })
    }

    /// A command that runs an ELF file, in M-mode and from the first byte of memory on, on the machine `virt` with nothing attached. It ends when the
    /// program writes to the machine's test device. QEMU's documentation, "'virt' Generic Virtual Platform".
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command.args([
            "-machine",
            "virt",
            "-accel",
            "tcg",
            "-nodefaults",
            "-display",
            "none",
            "-bios",
            "none",
            "-kernel",
        ]);
        command.arg(program);
        command
    }

    /// The packages that it is made of, one line for each; none if it is the machine's own.
    pub fn manifest(&self) -> Option<&str> {
        self.manifest.as_deref()
    }
}
