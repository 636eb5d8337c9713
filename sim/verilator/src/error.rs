//! What can go wrong between a SystemVerilog text and a running model, each with what to do next.

use std::path::{Path, PathBuf};

/// A failure to build a model. The message is meant for the person at the terminal and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program cannot be had, or a file operation failed.
    #[error(transparent)]
    Toolchain(#[from] sim_toolchain::Error),
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
    /// What a model wrote about its coverage cannot be read.
    #[error("{} is damaged: {detail}. Delete its folder and count again", .path.display())]
    Coverage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
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
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        sim_toolchain::Error::io(action, path, source).into()
    }

    /// The full-disk error if a program's messages are about one.
    pub(crate) fn disk_full(output: &str, path: &Path) -> Option<Self> {
        sim_toolchain::Error::disk_full(output, path).map(Error::Toolchain)
    }

    /// Whether a program cannot be had here; everything else is a failure.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Error::Toolchain(error) if error.is_unavailable())
    }
}
