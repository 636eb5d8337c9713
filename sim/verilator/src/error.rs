//! What can go wrong between a SystemVerilog text and a running model, each with what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// A failure to fetch a tool or to build a model. The message is meant for the person at the terminal and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program that the machine must have is missing.
    #[error("`{program}` is missing; it {purpose}. Install it with: {install}")]
    MissingProgram {
        /// The program's name.
        program: String,
        /// What it is needed for, as a verb phrase.
        purpose: String,
        /// The command that installs it.
        install: &'static str,
    },
    /// The package registry cannot be reached.
    #[error(
        "{package} could not be downloaded: the package registry cannot be reached ({detail}). \
         It is needed once; connect to the network and run the same command again"
    )]
    Network {
        /// Name and version of the package.
        package: String,
        /// What the registry's client said.
        detail: String,
    },
    /// The registry's client failed for another reason than the network.
    #[error("{package} could not be downloaded:\n{detail}")]
    Fetch {
        /// Name and version of the package.
        package: String,
        /// What the registry's client said.
        detail: String,
    },
    /// The downloaded file is not the one that `third-party.toml` names.
    #[error(
        "{package} was downloaded, but its SHA-256 is {found} and third-party.toml expects {expected}. It was not kept. \
         Check the registry that pip is configured to use"
    )]
    WrongHash {
        /// Name and version of the package.
        package: String,
        /// The hash in `third-party.toml`.
        expected: String,
        /// The hash of the downloaded file.
        found: String,
    },
    /// The registry has no file of this package for this machine.
    #[error("{package} is not available for {platform}; install it and set FLASHDOCK_VERILATOR_ROOT to its folder")]
    Platform {
        /// Name and version of the package.
        package: String,
        /// Operating system and architecture.
        platform: String,
    },
    /// The file system is full.
    #[error("the disk is full at {}. Free some space, or set FLASHDOCK_CACHE to a folder on another disk", .path.display())]
    DiskFull {
        /// Where it was full.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Verilator rejected a module.
    #[error("Verilator rejects module `{top}`:\n{output}")]
    Verilate {
        /// The top module.
        top: String,
        /// Verilator's messages.
        output: String,
    },
    /// `verilator --lint-only -Wall` is not silent.
    #[error("`verilator --lint-only -Wall` complains about module `{top}`:\n{output}")]
    Lint {
        /// The top module.
        top: String,
        /// Verilator's messages.
        output: String,
    },
    /// The ports of the Verilog are not those of the port list.
    #[error("the port list of `{model}` does not match its Verilog: {detail}")]
    Ports {
        /// The model's name.
        model: String,
        /// The first difference.
        detail: String,
    },
    /// The C++ compiler failed.
    #[error("the C++ compiler failed on {what}:\n{output}")]
    Compile {
        /// The compilation unit.
        what: String,
        /// The compiler's messages.
        output: String,
    },
    /// The built library cannot be loaded.
    #[error("the Verilated library {} cannot be loaded: {detail}. Delete that folder and run the same command again", .path.display())]
    Load {
        /// The shared object.
        path: PathBuf,
        /// What the dynamic loader said.
        detail: String,
    },
}

impl Error {
    /// The error for a failed file operation, recognizing a full disk.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path: path.to_owned() },
            _ => Error::Io { action, path: path.to_owned(), source },
        }
    }

    /// The full-disk error if a program's messages are about one.
    pub(crate) fn disk_full(output: &str, path: &Path) -> Option<Self> {
        let full = output.contains("No space left on device") || output.contains("Disk quota exceeded");
        full.then(|| Error::DiskFull { path: path.to_owned() })
    }
}
