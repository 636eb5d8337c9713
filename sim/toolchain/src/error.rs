//! What can go wrong with a program, each with what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// A failure to fetch or run a program. The message is meant for the person at the terminal and says what to do.
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
    #[error("{package} is not available for {platform}; install it and set {variable} to it")]
    Platform {
        /// Name and version of the package.
        package: String,
        /// Operating system and architecture.
        platform: String,
        /// The environment variable that names an installation.
        variable: &'static str,
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
    /// A program failed.
    #[error("{program} failed on {what}:\n{output}")]
    Failed {
        /// The program's name.
        program: String,
        /// What it worked on.
        what: String,
        /// What it said.
        output: String,
    },
}

impl Error {
    /// The error for a failed file operation, recognizing a full disk.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path: path.to_owned() },
            _ => Error::Io { action, path: path.to_owned(), source },
        }
    }

    /// The full-disk error if a program's messages are about one.
    pub fn disk_full(output: &str, path: &Path) -> Option<Self> {
        let full = output.contains("No space left on device") || output.contains("Disk quota exceeded");
        full.then(|| Error::DiskFull { path: path.to_owned() })
    }

    /// Whether the program cannot be had here; everything else is a failure.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Error::MissingProgram { .. } | Error::Network { .. } | Error::Platform { .. })
    }
}
