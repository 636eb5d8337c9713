//! # Control and status registers
//!
//! A register file in hardware, built from a table of registers, and one test that walks any such table.
//!
//! | what | purpose |
//! |---|---|
//! | [`Register`], [`Field`], [`Access`] | the table |
//! | [`RegisterFile`] | the block |
//! | [`walk`] | reset values, read-only bits, write-one bits, strobes and holes of any register file, in simulation |
#![deny(missing_docs)]

mod proofs;
pub use proofs::proofs;

pub mod register_file;
mod table;
pub mod walk;

pub use register_file::{Bus, RegisterFile};
pub use table::{Access, Field, Register, TableError};
