//! The commands, one file each.

pub mod age;
pub mod bench;
pub mod bench_cores;
pub mod bench_flash;
pub mod bench_hosts;
pub mod bench_iss;
pub mod checkpoint;
pub mod decode;
pub mod demo;
pub mod emit;
pub mod flash_map;
pub mod gdb;
pub mod linux;
pub mod map;
pub mod replay;
mod replay_device;
pub mod replay_inputs;
pub mod run;
pub mod serve;
pub mod smart;
pub mod sweep;
pub mod trace;
mod trace_harts;
