#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod bench;
mod check;
mod constant;
mod emit;
mod eval;
pub mod ir;
mod module;
mod signal;
pub mod sim;
mod stream;
mod value;
pub mod vcd;

pub use constant::{mask_top, words_for, Constant};
pub use emit::{emit, SourceFile};
pub use eval::{EvalError, Evaluator, ForeignModel, Options, Start};
pub use ir::{Design, Direction, MemoryStyle, Source};
pub use module::{
    address_width, block_fn, elaborate, Block, BlockFn, Clock, Foreign, Initial, InstanceHandle, MemoryHandle, Module,
    Problem, Problems, MAX_WIDTH,
};
pub use signal::{cases, cat, constant, lit, select, switch, when, zero, Cases, Literal, Operand, Signal, When};
pub use stream::{Naming, StreamIn, StreamOut, StreamWires};
pub use value::{enum_reg, Bits, EnumSignal, HwEnum, Shape, Value};
