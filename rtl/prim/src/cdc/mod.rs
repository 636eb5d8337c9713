//! Clock-domain crossing: the only blocks in which values of one clock meet another.
//!
//! | block | carries | rate |
//! |---|---|---|
//! | [`Synchronizer`] | a level of one bit | - |
//! | [`Pulse`] | events of one clock | one in a round trip |
//! | [`Handshake`] | items of a stream, few registers | one in a round trip |
//! | [`AsyncFifo`] | items of a stream, a memory | one per clock |
//! | [`ResetBridge`] | a reset that may come at any time | - |
//!
//! A round trip is the way through a synchroniser there and one back: `stages + 1` clocks of each side, and one more for where edges meet.
//!
//! **Resets.** A block with two clocks has a reset in each domain, and what one side forgets the other must not remember: both are set until each
//! clock has had an edge after both have had their first, or both have had one at once, and then both are released.
//!
//! **What simulation adds.** [`rtl_hdl::with_jitter`] gives the synchronisers the freedom that they have in hardware: a change arrives in this clock or
//! in the next. The benches run with and without it, with clocks of every ratio ([`Clocking::of_two_clocks`](rtl_hdl::bench::Clocking::of_two_clocks)).

pub mod async_fifo;
pub mod handshake;
pub mod pulse;
pub mod reset_bridge;
mod round_trip;
mod scoreboard;
pub mod synchronizer;
#[cfg(test)]
pub(crate) mod testing;

pub use async_fifo::AsyncFifo;
pub use handshake::Handshake;
pub use pulse::Pulse;
pub use reset_bridge::ResetBridge;
pub use synchronizer::Synchronizer;

/// Registers of a synchroniser that are enough at a few hundred megahertz. AMD UG949, "Synchronous CDC", asks for two at least.
pub const STAGES: u32 = 2;
