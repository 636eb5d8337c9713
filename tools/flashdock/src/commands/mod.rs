//! The commands, one file each.

pub mod decode;
pub mod emit;
pub mod map;
