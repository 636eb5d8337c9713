//! # Primitives
//!
//! Small blocks and pure functions that know nothing about NVMe: FIFOs, arbiters, streams that merge and part.
//!
//! | what | purpose |
//! |---|---|
//! | [`Fifo`], [`fifo_of`] | holds items in a RAM |
//! | [`SkidBuffer`] | cuts the paths of a stream, two items deep |
//! | [`RoundRobin`], [`RoundRobinRegistered`] | who is next, fairly |
//! | [`StreamArbiter`] | merges streams, whole bursts if asked |
//! | [`StreamDemux`] | parts a stream by a field of its items |
//! | [`DualPortRam`] | block RAM and UltraRAM with two ports, lanes and clocks |
//! | [`cdc`] | synchronisers, handshakes and FIFOs between clock domains |
//! | [`Watched`] | what a block that keeps order must do, for its assertions |
//! | [`crc`] | checks of wide words |
//! | [`next_index`] and friends | ring pointers, one-hot codes, priority: functions on signals |
//!
//! Every block carries items of any shape: see [`Payload`].
#![deny(missing_docs)]

pub mod cdc;
pub mod crc;
pub mod dual_port_ram;
mod encode;
pub mod fifo;
mod index;
mod payload;
mod proofs;
pub mod round_robin;
pub mod skid_buffer;
pub mod stream_arbiter;
pub mod stream_demux;
#[cfg(test)]
mod testing;
mod watched;

pub use dual_port_ram::DualPortRam;
pub use encode::{choose, first_one, from_gray, gray, one_hot, one_hot_index, one_hot_select, priority_index};
pub use fifo::{fifo_bits, fifo_of, Fifo, FifoHandle};
pub use index::{advance_index, entries_between, is_index, next_index, next_index_in};
pub use payload::Payload;
pub use proofs::proofs;
pub use round_robin::{round_robin, RoundRobin, RoundRobinRegistered};
pub use skid_buffer::SkidBuffer;
pub use stream_arbiter::{Lock, StreamArbiter};
pub use stream_demux::StreamDemux;
pub use watched::{Traffic, Watched};
