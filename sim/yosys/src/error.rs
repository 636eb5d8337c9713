//! What can go wrong between a SystemVerilog text and what yosys says of it.

use std::path::Path;

/// A failure of yosys or of what reads its results.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program cannot be had or failed, or a file operation did.
    #[error(transparent)]
    Toolchain(#[from] sim_toolchain::Error),
    /// The netlist is not what is expected here.
    #[error("the netlist of yosys is not understood: {0}")]
    Netlist(String),
    /// The block is not right.
    #[error("{0}")]
    Design(String),
    /// The solver, or what drives it, came to no answer.
    #[error("no answer to a proof: {0}")]
    Solver(String),
    /// A result that is not kept in the cache.
    #[error("the proof fails")]
    NotKept,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        sim_toolchain::Error::io(action, path, source).into()
    }
}
