//! The commands, one file each.

pub mod bench;
pub mod bench_flash;
pub mod bench_hosts;
pub mod decode;
pub mod demo;
pub mod emit;
pub mod linux;
pub mod map;
pub mod replay_inputs;
pub mod run;
pub mod serve;
pub mod trace;
