//! # Lifecycle
//!
//! The lives of one function: from CC.EN to CSTS.RDY, and back to nothing.
//!
//! ## Symbol
//! ```text
//!                 +- lifecycle -+
//!       enable -->|             |---> alive, granting, draining, clear
//! function_reset->|             |---> enabling, disabled (events of firmware)
//!        quiet -->|             |---> status (CSTS)
//!  acknowledge -->|             |
//! status_write -->|             |
//! status_value -->|             |
//!                 +-------------+
//! ```
//! ## Theory of operation
//! `nvme_spec::firmware_port`, "Lives".
//! 1. A life begins when CC.EN is 1. Firmware is told (`enabling`), creates the admin queues, and sets CSTS.RDY: from then on submission
//!    queues are served (`granting`).
//! 2. It ends when CC.EN falls or the function is reset, in whatever state. Nothing more is granted, entries on their way are thrown away
//!    (`draining`), units in flight end. When every block has been `quiet` about this function for [`QUIET_CLOCKS`] clocks in a row, so that nothing can hide in
//!    a register between two blocks, firmware is told (`disabled`).
//!    Where there is no life, a reset of the function clears what is left in CSTS.
//! 3. Firmware acknowledges: `clear` takes the function's queues and interrupts away, CSTS returns to zero, and the next life may begin.
//!
//! ## Timing
//! `clear` is one clock long, in the clock after the acknowledgement.
//!
//! ## Limits
//! A life ends only when all reads of host memory have been answered: the bus must answer every read, if only with an error.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use nvme_spec::firmware_port::status_set;
use rtl_hdl::{hw_enum, lit, switch, when, zero, Block, Module};

#[cfg(test)]
mod bench;

/// So long must all be quiet: longer than any item needs from one block to the next.
pub const QUIET_CLOCKS: u32 = 16;

/// Blocks that say whether they are quiet.
pub const QUIET_BLOCKS: u32 = 4;

/// Width of the fields of CSTS that firmware sets.
pub const STATUS_BITS: u32 = status_set::SHST.lsb + status_set::SHST.width;

hw_enum! {
    /// `Idle -> Alive -> Draining -> Waiting -> Clearing -> Idle`.
    pub enum State {
        /// No life. Leaves when CC.EN is 1.
        Idle,
        /// A life. Leaves when CC.EN falls or the function is reset.
        Alive,
        /// The life has ended, something may be in flight. Leaves when all has been quiet for long enough.
        Draining,
        /// Nothing is in flight. Leaves when firmware acknowledges.
        Waiting,
        /// What is left of the life is taken away. Leaves after one clock.
        Clearing,
    }
}

/// See the [page](self) of this block.
pub struct Lifecycle;

impl Block for Lifecycle {
    fn name(&self) -> String {
        "lifecycle".into()
    }

    fn description(&self) -> String {
        "The lives of the controller: enable, drain, acknowledge.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let enable = m.input("enable", 1);
        let function_reset = m.input("function_reset", 1);
        let quiet = m.input("quiet", QUIET_BLOCKS);
        let acknowledge = m.input("acknowledge", 1);
        let status_write = m.input("status_write", 1);
        let status_value = m.input("status_value", STATUS_BITS);

        // 2. State
        let state = m.reg("state", clock, State::Idle);
        let status = m.reg("status_held", clock, zero(STATUS_BITS));
        let quiet_clocks = m.reg("quiet_clocks", clock, zero(5));

        // 3. Conditions
        let ends = m.wire("ends", !enable | function_reset);
        let long_quiet = m.wire("long_quiet", quiet_clocks.eq(QUIET_CLOCKS));
        let is_ready = m.wire("is_ready", status.bit(status_set::RDY.lsb));
        let is_fatal = m.wire("is_fatal", status.bit(status_set::CFS.lsb));

        // 4. Next state
        quiet_clocks.set(zero(5));
        switch(state, |s: State| match s {
            State::Idle => {
                // Shutdown processing may end while the controller is disabled; the other fields belong to a life.
                when(status_write, || {
                    status.set(status_value & lit(status_set::SHST.mask(), STATUS_BITS));
                });
                when(function_reset, || status.set(zero(STATUS_BITS)));
                when(!ends, || state.goto(State::Alive));
            }
            State::Alive => {
                when(status_write, || status.set(status_value));
                when(ends, || state.goto(State::Draining));
            }
            State::Draining => {
                when(quiet.all(), || quiet_clocks.set(quiet_clocks + 1));
                when(long_quiet, || state.goto(State::Waiting));
            }
            State::Waiting => when(acknowledge, || state.goto(State::Clearing)).otherwise(|| {}),
            State::Clearing => {
                status.set(zero(STATUS_BITS));
                state.goto(State::Idle);
            }
        });

        // 5. Outputs
        m.output("alive", state.is(State::Alive));
        m.output("granting", state.is(State::Alive) & is_ready);
        m.output("draining", !(state.is(State::Alive) | state.is(State::Idle)));
        m.output("clear", state.is(State::Clearing));
        m.output("enabling", state.is(State::Alive) & !is_ready & !is_fatal);
        m.output("disabled", state.is(State::Waiting));
        m.output("status", status);
    }
}
