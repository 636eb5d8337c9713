//! QEMU for riscv64, as a processor for one program and as a machine: the one in `PATH` if it will do, else the packaged one.

use std::path::{Path, PathBuf};
use std::process::Command;

use sim_toolchain::Toolchain;

use crate::emulator::{copy, in_path, is_new_enough, keep_libraries, loaded};
use crate::packages::{PackageSet, QEMU_RISCV_PACKAGES, QEMU_USER_PACKAGES};
use crate::Error;

/// What a packaged QEMU is made by, and so the key under which it is kept.
const RECIPE: &str = concat!(include_str!("riscv.rs"), include_str!("emulator.rs"), include_str!("tree.rs"));

/// A program of QEMU.
#[derive(Clone, Debug)]
struct Program {
    program: PathBuf,
    /// What comes before the arguments proper.
    arguments: Vec<PathBuf>,
}

impl Program {
    /// The one in `PATH` if it is new enough; else the package of Debian, fetched if it is not in the cache.
    fn found(name: &str, packages: PackageSet, toolchain: &Toolchain) -> Result<Self, Error> {
        if let Some(program) = in_path(name).into_iter().find(|program| is_new_enough(program)) {
            return Ok(Self { program, arguments: Vec::new() });
        }
        let (folder, _) = packages.kept(toolchain, "program", RECIPE, |tree, folder| {
            let program = tree.program(name)?;
            copy(&program, &folder.join(name))?;
            keep_libraries(tree, &[program], folder)
        })?;
        let (program, arguments) = loaded(&folder, name)?;
        Ok(Self { program, arguments })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command
    }
}

/// An installation of QEMU that runs Linux programs of riscv64.
#[derive(Clone, Debug)]
pub struct UserQemu(Program);

impl UserQemu {
    /// The one in `PATH` if it is new enough; else the package, fetched if it is not in the cache.
    pub fn found(toolchain: &Toolchain) -> Result<Self, Error> {
        Program::found("qemu-riscv64", QEMU_USER_PACKAGES, toolchain).map(Self)
    }

    /// A command that runs it; the program of riscv64 and its arguments come next.
    pub fn command(&self) -> Command {
        self.0.command()
    }
}

/// An installation of QEMU that is a machine of riscv64.
#[derive(Clone, Debug)]
pub struct RiscvQemu(Program);

impl RiscvQemu {
    /// The one in `PATH` if it is new enough; else the package, fetched if it is not in the cache.
    pub fn found(toolchain: &Toolchain) -> Result<Self, Error> {
        Program::found("qemu-system-riscv64", QEMU_RISCV_PACKAGES, toolchain).map(Self)
    }

    /// A command that runs an ELF file, in M-mode and from the first byte of memory on, on the machine `virt` with nothing attached. It ends when the
    /// program writes to the machine's test device. QEMU's documentation, "'virt' Generic Virtual Platform".
    pub fn command(&self, program: &Path) -> Command {
        let mut command = self.0.command();
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
}
