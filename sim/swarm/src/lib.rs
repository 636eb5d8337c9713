//! # The swarm
//!
//! Seeded simulations of the whole device: any 64 bytes in any queue, any doorbell, any register write of any width, host memory that fails, stalls
//! and answers late, resets in any clock of any state, queues that come and go while they work. One seed makes every choice, the configuration and
//! the rates of faults included: [`Plan::of`]. The same seed is the same run, clock for clock.
//!
//! ## What is checked
//! - Each command ends with exactly one completion, of a status that this command can have, or with the reset or the deletion of its queue.
//! - When nothing fails any more, everything has ended within [`SETTLE_CLOCKS`], [`SETTLE_CLOCKS_PER_COMMAND`] more for each command and a clock for each
//!   [`SETTLE_BYTES_PER_CLOCK`] bytes that it moves; CSTS.RDY falls within as many clocks of a reset in any
//!   state, and the controller comes up again.
//! - A write of the device lies in a free slot of a completion queue, in an interrupt message, or in the data buffer of a command in flight that has
//!   its direction; all memory is surrounded by canaries.
//! - Nothing comes after CSTS.RDY fell, and nothing without Bus Master Enable.
//! - Phase tag, SQHD, SQID and CID are right ([`sim_host::Driver`]).
//! - Data that is read is what a [`Shadow`] of the namespace says it may be, with Writes that overlap, fail or are interrupted taken into account.
//! - CSTS.CFS appears only after memory has failed.
//!
//! A device with two functions is driven through one of them, which the seed chooses, while the other one works too and nobody looks at what it gets.
//!
//! ## How a run goes
//! A life of the controller begins with queues of any size, in any number, on any completion queue. [`Action`]s follow each other by the weights of the
//! plan. Where the specification leaves open what a controller does (a storm of register accesses, CC.EN bounced, no bus mastering), only writes
//! are judged from there on, and the life ends with a reset, which must succeed. In the end every block that was written is read again.

mod campaign;
mod error;
mod garbage;
mod neighbour;
mod plan;
mod run;
mod shadow;
mod storm;

pub use campaign::{run_on, run_seed, seeds, traced, Failure, Window};
pub use error::Broken;
pub use garbage::{random_entry, Pool};
pub use plan::{back_end, Action, BackEnd, Made, Plan, BACK_ENDS};
pub use run::{Tally, SETTLE_BYTES_PER_CLOCK, SETTLE_CLOCKS, SETTLE_CLOCKS_PER_COMMAND};
pub use shadow::{End, Moment, Shadow, Version};
