//! # A Linux guest for the tests and for people
//!
//! An unmodified Debian Linux, with its own kernel and its own NVMe driver, nvme-cli and fio, in stock QEMU. Everything is fetched when it is first
//! needed, by Debian's own client, and nothing is installed.
//!
//! ```text
//!  packages of Debian --> Image: kernel + initramfs --+
//!                    \--> Qemu -----------------------+--> Guest: console, exit status, monitor
//!  file descriptors, arguments, script (the caller) --+
//! ```
//!
//! ```no_run
//! # fn main() -> Result<(), sim_guest::Error> {
//! use sim_guest::{prepare, Guest, Machine, Toolchain};
//!
//! let (qemu, image) = prepare(&Toolchain::from_env())?;
//! let mut machine = Machine::default();
//! machine.arguments(["-drive", "id=disk,if=none,format=raw,file=disk.img", "-device", "nvme,drive=disk,serial=1"]);
//! let outcome = Guest::run_script(&qemu, &image, machine, "nvme list")?;
//! assert_eq!(outcome.status, 0, "{}", outcome.console);
//! # Ok(())
//! # }
//! ```
//!
//! ## Theory of operation
//!
//! 1. [`PackageSet::fetched`] has apt download packages and all that they depend on, into the cache, with a manifest.
//! 2. [`Image::prepared`] takes from them the kernel as an ELF file, which QEMU starts directly, and an archive with busybox, some programs, their libraries, and
//!    the kernel modules for NVMe and ext4.
//! 3. [`Guest::start`] hands file descriptors over to QEMU. The first process of the guest (`init.sh`) loads the modules, runs the script, which
//!    comes through QEMU's `fw_cfg`, reports its exit status on a second serial port, and powers off.
//! 4. [`Guest::wait`] ends when the console does, which it does when QEMU ends, whatever the reason. There is no time limit: a device under simulation may take long.
//! 5. [`UserQemu`] runs a single program of riscv64, for tests that need an independent processor and no machine.
//!    [`RiscvQemu`] is a whole machine of riscv64 that runs one program without an operating system.
//! 6. [`Rust`] compiles for the device's own processors, which are no x86.
//! 7. [`Dilation`] lets the guest's clock stand still while it waits for a slow device.
//!
//! ## Limits
//!
//! x-86, and packages of Debian 12 or later: on machines with other packages [`Error::is_unavailable`] says so. The guest is emulated, not
//! virtualized: it boots in seconds, and its own figures of speed say nothing about the device.
#![deny(missing_docs)]

mod compression;
mod dilation;
mod emulator;
mod error;
mod guest;
mod image;
mod kernel;
mod modules;
mod packages;
mod qmp;
mod riscv;
mod rust;
mod tree;

pub use dilation::{patience_of, Clock, Dilation};
pub use emulator::Qemu;
pub use error::Error;
pub use guest::{Guest, Machine, Outcome, Task};
pub use image::{Image, SHELL_BEGINS};
pub use packages::{
    PackageSet, Packages, GUEST_PACKAGES, QEMU_PACKAGES, QEMU_RISCV_PACKAGES, QEMU_USER_PACKAGES, RUST_PACKAGES,
};
pub use qmp::Qmp;
pub use riscv::{RiscvQemu, UserQemu};
pub use rust::{Rust, TARGET};
pub use sim_toolchain::Toolchain;

/// QEMU and what it boots, each fetched and made if it is not there.
pub fn prepare(toolchain: &Toolchain) -> Result<(Qemu, Image), Error> {
    Ok((Qemu::found(toolchain)?, Image::prepared(toolchain)?))
}
