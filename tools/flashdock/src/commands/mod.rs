//! The commands, one file each.

pub mod bench;
pub mod decode;
pub mod demo;
pub mod emit;
pub mod map;
pub mod run;
pub mod trace;
