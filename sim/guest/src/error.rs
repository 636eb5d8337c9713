//! What can go wrong with the guest, each with what to do next.

use std::io;
use std::path::Path;

/// A failure to fetch, make or run the guest. The message is meant for the person at the terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file, the network, or a program of the machine.
    #[error(transparent)]
    Toolchain(#[from] sim_toolchain::Error),
    /// The machine has no package manager of Debian.
    #[error(
        "the Linux guest is made of packages of Debian, which `{program}` fetches, and this machine does not have it. \
         Run this on Debian, or in a container of it"
    )]
    NoPackageManager {
        /// The program that is missing.
        program: String,
    },
    /// The package sources of the machine do not have a package.
    #[error(
        "apt knows no package {package}: the package sources of this machine (/etc/apt) are not those of Debian 12 or later, \
         or lack its section \"main\". Run this on Debian, or in a container of it"
    )]
    NotInSuite {
        /// The package.
        package: String,
    },
    /// The packages are there, but not what the guest needs of them.
    #[error("the packages of Debian have no {what}; the guest needs those of Debian 12 or later")]
    Missing {
        /// What was looked for.
        what: String,
    },
    /// A file of a package is not what it should be.
    #[error("{file} cannot be read: {detail}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The guest has ended before its script did: its kernel panicked, or QEMU died.
    #[error("the guest ended before its script did ({qemu_status}).{}{}", section("QEMU says", .qemu), section("Its last words on the console", .console))]
    Ended {
        /// How QEMU ended.
        qemu_status: String,
        /// What QEMU wrote to its standard error output.
        qemu: String,
        /// The kernel's panic, or else the last lines of the console.
        console: String,
    },
    /// QEMU's monitor refused a command or went away.
    #[error("QEMU's monitor failed on `{command}`: {detail}")]
    Monitor {
        /// The command.
        command: String,
        /// What QEMU said, or how the connection ended.
        detail: String,
    },
}

impl Error {
    /// The error for a failed file operation.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        sim_toolchain::Error::io(action, path, source).into()
    }

    /// Whether this machine cannot have the guest, with or without a network; everything else is a failure.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Error::NoPackageManager { .. } | Error::NotInSuite { .. })
    }
}

/// A part of a message that may have nothing to say.
fn section(title: &str, text: &str) -> String {
    match text.trim() {
        "" => String::new(),
        text => format!("\n{title}:\n{text}"),
    }
}
