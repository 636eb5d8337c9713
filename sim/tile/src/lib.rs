//! # The Verilated tile
//!
//! One tile of `soc-tile` with what is around it: a boot ROM, a memory and registers, behind the other side of its bus. Tests of the tile run programs of a few
//! instructions on it, and a lock-step compares what it retires with the instruction-set simulator.
//!
//! ```text
//!  library --> Model of the traced tile --+== bus ==> Bench: boot ROM, memory, registers, probes, interrupts
//!                                         +--------> Observed: what retires or traps in a clock, and what lands in which register
//! ```
//!
//! The tile is the [traced](RocketTile::read_traced) one for all of this, so that it is compiled once.
#![deny(missing_docs)]

mod bench;
mod memory;
mod recoded;
mod trace;

pub use bench::{Bench, Seen, Stalls, NOTHING};
pub use memory::Memory;
pub use recoded::{from_ieee, to_ieee};
pub use trace::{Landing, Observed, Retired};

use rtl_hdl::elaborate;
use sim_toolchain::{Rocket, Toolchain};
use sim_verilator::{Library, ModelSet, ModelSpec, Optimize};
use soc_tile::verilog::ReadError;
use soc_tile::{RocketTile, Texts, Tile};

/// The name of the model in [`library`].
pub const MODEL: &str = "tile";

/// Why there is no Verilated tile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package cannot be had.
    #[error(transparent)]
    Toolchain(#[from] sim_toolchain::Error),
    /// The package is not the one that is known.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The tile cannot be Verilated.
    #[error(transparent)]
    Verilator(#[from] sim_verilator::Error),
}

impl Error {
    /// Whether a program or the package cannot be had here; everything else is a failure.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Toolchain(error) => error.is_unavailable(),
            Self::Verilator(error) => error.is_unavailable(),
            Self::Read(_) => false,
        }
    }
}

/// The texts of a package, for the reader.
pub fn texts(rocket: &Rocket) -> Texts<'_> {
    let Rocket { modules, memories, licence } = rocket;
    Texts { modules, memories, licence }
}

/// The traced tile, Verilated, with the assertions of the core and of its own monitors of the bus, which judge the other side of it, by the tools that the
/// environment names.
///
/// # Errors
/// The package or Verilator cannot be had, or the tile is another.
///
/// # Panics
/// When a traced tile is no design, which a test would have told.
pub fn library() -> Result<Library, Error> {
    library_with(&Toolchain::from_env())
}

/// The [`library`] by these tools.
///
/// # Errors
/// As those of [`library`].
///
/// # Panics
/// As those of [`library`].
pub fn library_with(toolchain: &Toolchain) -> Result<Library, Error> {
    let rocket = toolchain.rocket()?;
    let tile = Tile::new(RocketTile::read_traced(texts(&rocket))?);
    let design = elaborate(&tile).unwrap_or_else(|problems| panic!("{problems}"));
    Ok(ModelSet::new(MODEL).with(ModelSpec::of(&design)).optimize(Optimize::Run).checks(true).load_with(toolchain)?)
}
