//! # An instruction-set simulator
//!
//! One RV64GC hart as Rocket has it: the modes M, S and U, Sv39, eight regions of physical memory protection. It computes what the hart computes and knows no
//! clocks, and is so the fast way to run the firmware. Memory and devices are behind a trait, so that several harts share them.
//!
//! ```text
//!            +------------------- Hart --------------------+
//!            |                                             |
//!  lines --->| trap --> csr <-----+                        |
//!            |                    |                        |
//!  run ----->| hart --> code --> execute --> mmu --> pmp --|--> Bus: memory, devices,
//!            |           |          |        (tlb)         |         reservations
//!            |        decode      float                    |
//!            |      compressed                             |
//!            +---------------------------------------------+
//! ```
//!
//! ```
//! use sim_iss::{encode, Config, Hart, Instruction, MemoryBus, Op, Stop};
//!
//! let mut bus = MemoryBus::new(0x8000_0000, 4096);
//! let addi = Instruction { rd: 5, rs1: 0, immediate: 42, ..Instruction::new(Op::Addi) };
//! bus.bytes_mut(0x8000_0000, 4).copy_from_slice(&encode(&addi).to_le_bytes());
//! let mut hart = Hart::new(&Config { hart: 0, reset_pc: 0x8000_0000, physical_bits: 32 });
//! assert_eq!(hart.run(&mut bus, 1), Stop::Limit);
//! assert_eq!((hart.x(5), hart.pc()), (42, 0x8000_0004));
//! ```
//!
//! ## Theory of operation
//! 1. `decode` is one table of all instructions of 32 bits, read in both directions; `compressed` makes one of them of 16 bits.
//! 2. `code` keeps what was decoded, by physical page, until `fence.i`. [`Hart::run`] goes from slot to slot of one page, and looks at
//!    interrupts and at the translation of `pc` only when a page is left, and after instructions that can change either.
//! 3. Loads, stores and fetches find their page in a table of translations, by page number and mode. Only pages that the protection allows as a whole are kept
//!    there; for others each access is checked. Whatever changes an answer empties the tables.
//! 4. An instruction that cannot be carried out changes nothing, and gives an [`Exception`], which enters the handler.
//!
//! No memory is allocated after [`Hart::new`].
//!
//! ## Several harts
//! [`Hart::run`] makes a given number of steps. Harts that take turns on one bus are sequentially consistent with each other in the order of their turns; a
//! turn of one step is a lock-step. [`Reservations`] belong to the bus, because a write of one hart or of a device ends those of others.
//!
//! ## Speed
//! `cargo run --release -- bench iss` compares with QEMU as a machine, on one program in one run. On two shared cores: 290 million instructions per second,
//! with and without translation, which was 0.18 of QEMU's. Turns of one step leave a third to a quarter of that. Arithmetic in floating point is done at 6 to 16 million instructions per second.
//!
//! ## Limits
//! - `mcycle` counts instructions. The caller decides how many of them are how much time.
//! - What the tile does was compared in lock-step (`tests/lock-step`); what stays different is in `docs/decisions/0013-instruction-set-simulator.md`.
//! - A hart has no debug mode and no triggers (`tselect` to `tdata3` read as 0), `misa` cannot be written, and Rocket's own registers for tuning it (7C0h and
//!   7C1h) do not exist.
//! - Rocket's page tables and translations are seen as soon as they are written, at the latest after `sfence.vma`; so are these.
//! - What other harts write is seen by loads at once. Weaker orders that Rocket may show do not occur.
#![deny(missing_docs)]

mod bus;
mod code;
mod compressed;
mod csr;
mod decode;
mod execute;
mod float;
mod hart;
mod mmu;
mod pmp;
mod trap;

pub use bus::{Bus, BusFault, MemoryBus, Reservations, HARTS_MAX, RESERVATION_BYTES};
pub use compressed::{decode_compressed, is_compressed};
pub use csr::{number, Config};
pub use decode::{decode, encode, Encoding, Format, Instruction, Op, TABLE};
pub use float::flag;
pub use hart::{Hart, Stop};
pub use mmu::Access;
pub use trap::{interrupt, Cause, Exception, Mode};
