#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod array;
pub mod bench;
pub mod cdc;
mod check;
mod constant;
mod crossing;
mod emit;
mod eval;
mod find;
mod foreign;
pub mod formal;
mod instance;
pub mod ir;
mod jitter;
mod memory;
mod module;
mod moments;
pub mod mutation;
mod property;
mod signal;
mod signed;
pub mod sim;
mod stream;
mod value;
pub mod waveform;

pub use array::{Array, ElementIndex};
pub use constant::{mask_top, words_for, Constant};
pub use crossing::Synchronized;
pub use emit::{emit, licences, SourceFile};
pub use eval::{EvalError, Evaluator, ForeignModel, Options, Start};
pub use foreign::{Foreign, ParameterValue};
pub use instance::InstanceHandle;
pub use ir::{Design, Direction, MemoryStyle, Source};
pub use jitter::{with_jitter, JITTER};
pub use memory::{address_width, MemoryHandle};
pub use module::{
    block_fn, elaborate, Block, BlockFn, Clock, Initial, Module, Problem, Problems, MAX_AMOUNT_WIDTH, MAX_WIDTH,
};
pub use signal::{cases, cat, constant, lit, select, switch, when, zero, Cases, Literal, Operand, Signal, When};
pub use signed::{Signed, SignedBits, SignedOperand};
pub use stream::{Naming, StreamContents, StreamIn, StreamOut, StreamWires};
pub use value::{Bits, EnumSignal, HwEnum, Shape, Value};
