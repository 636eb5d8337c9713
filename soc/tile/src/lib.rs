//! # The RISC-V core of the SoC
//!
//! A tile of Rocket Chip, taken out of generated Verilog that a registry has, and made a block. Nothing of it is in this repository.
//!
//! ```text
//!  texts of Rocket Chip --verilog--> modules --closure--> those of one tile --widen--> for eight harts --> RocketTile
//!                                                                                                             |
//!                                                              Tile: a block with a TL-C bus <-- foreign -----+
//! ```
//!
//! | what | purpose |
//! |---|---|
//! | [`verilog`] | reads the Verilog that FIRRTL writes, and writes it again |
//! | [`RocketTile`] | the Verilog of the tile, and the licences that go with it |
//! | [`Tile`] | the block |
//!
//! The texts come from `sim_toolchain::Toolchain::rocket`, which knows the package by its SHA-256. A text that is not as it is known here is an error
//! that names file, line and what was met.
#![deny(missing_docs)]

mod closure;
mod rocket;
pub mod tile;
mod trace;
pub mod verilog;
mod widen;

pub use rocket::{RocketTile, Texts};
pub use tile::Tile;

/// Width of the number of a hart.
pub const HART_BITS: u32 = 3;
