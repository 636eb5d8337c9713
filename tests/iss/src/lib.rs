//! # The instruction-set simulator against QEMU
//!
//! The same program runs on both: blocks of random instructions of RV64GC, each of which begins with random registers and ends with all registers in memory. What is
//! in memory at the end must be equal, byte for byte.
//!
//! ```text
//!  seed --> generator --> Program --+--> ELF file --> qemu-riscv64 --> standard output --+--> compare --> first block that differs
//!                                   +--> Hart, step by step ------> memory ------------+
//! ```
//!
//! Instructions come from the decoder's own table, in turn, so that each one is met. What the table itself says is tested against words of the
//! manual in `sim-iss`, and here by QEMU, which decodes the same words on its own.
//!
//! ## Limits
//! Programs of users: no traps, no other modes. QEMU does not tell which instruction of a block it disagrees on, and both see no misaligned accesses, as
//! QEMU carries them out and Rocket does not.
#![deny(missing_docs)]

mod compare;
mod generator;
mod operands;
mod program;
pub mod speed;

pub use compare::{on_qemu, on_simulator, output_on_qemu, Difference, Error, Met};
pub use generator::{compressed_kinds, generate, user_level, writes_integer, Bodies, Kind};
pub use operands::registers;
pub use program::{bytes, elf, load_immediate, Block, Program, BASE, POINTERS, REGISTERS, RESERVED};
