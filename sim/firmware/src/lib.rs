//! # The image of the device's firmware
//!
//! [`build`] compiles the program of `soc-firmware` for the device's processors; [`Image`] is what a loader makes of such a file, after everything has been
//! checked that could go wrong with it.
//!
//! The compiler is the machine's own if its user has added the target (`rustup target add riscv64gc-unknown-none-elf`), else one of Debian's
//! packages ([`Rust`](sim_guest::Rust)).
#![deny(missing_docs)]

mod back_trace;
mod build;
mod image;

pub use back_trace::Place;
pub use build::{build, compile, BuildError, PROGRAM};
pub use image::{Image, ImageError, ProgramError, Segment};
pub use sim_guest::Toolchain;
