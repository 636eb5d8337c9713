//! # Stage
//!
//! Parts the commands of the `storage` port into those that read and those that write, and holds the data of writes until all of it is there.
//!
//! ## Symbol
//! ```text
//!                      +--- stage ---+
//!   storage_command ->-|             |->- read     Read, Verify, Flush
//!     storage_write ->-|             |->- write    Write, Write Zeroes, Write Uncorrectable
//!                      |             |->- data     of the Writes, in their order
//!                      +-------------+
//! ```
//! ## Theory of operation
//! 1. Each kind of command goes into a FIFO of its own, so that a read does not wait for a write that waits for its line.
//! 2. Data goes into a FIFO. With the last beat of a command, the sectors of it that the host's data is not there for are known.
//! 3. A write is offered when all of its data is in the FIFO: then it is known whether all of a line is written, so that what was there before need not be
//!    read.
//!
//! ## Timing
//! A command and a beat per clock. A write of 64 beats is offered 67 clocks after its command was, at the least.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! The FIFO holds the data of four commands of 4 KiB. The writes of a command that does not come leave no room for those of others: data comes for every
//! Write.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::line_port::Beat;
use crate::types::{Staged, SECTOR_BEATS, UNIT_BEATS};
use nvme_hw::types::{Operation, StorageCommand, StorageWrite};
use rtl_hdl::{hw_bundle, lit, when, zero, Bits, Block, Module};
use rtl_prim::{fifo_of, one_hot};

#[cfg(test)]
pub(crate) mod bench;

hw_bundle! {
    /// The sectors of a command whose data cannot be had.
    struct Missing {
        sectors: Bits<8>,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Commands of each kind that may wait.
    pub commands: u32,
}

/// Commands of 4 KiB whose data may wait.
const STAGED_MAX: u32 = 4;

impl Block for Stage {
    fn name(&self) -> String {
        format!("stage_n{}", self.commands)
    }

    fn description(&self) -> String {
        "Parts reads from writes and holds data until all of it is there.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let commands = m.stream_in::<StorageCommand>("storage_command");
        let beats = m.stream_in::<StorageWrite>("storage_write");
        let read = m.stream_out_single::<Staged>("read");
        let write = m.stream_out_single::<Staged>("write");
        let data = m.stream_out::<Beat>("data");

        // 2. State
        let reads = fifo_of::<StorageCommand>(m, "reads", self.commands);
        let writes = fifo_of::<StorageCommand>(m, "writes", self.commands);
        let staged = fifo_of::<Beat>(m, "staged", STAGED_MAX * UNIT_BEATS);
        let complete = fifo_of::<Missing>(m, "complete", self.commands);
        // Of the command whose data comes.
        let beat_number = m.reg("beat_number", clock, zero(6));
        let missing = m.reg("missing", clock, zero(8));

        // 3. Conditions
        when(reads.can_push() & writes.can_push(), || commands.take());
        let taken = m.wire("taken", commands.taken());
        let command = commands.payload();
        let writes_something =
            [Operation::Write, Operation::WriteZeroes, Operation::Deallocate, Operation::WriteUncorrectable];
        let is_write = writes_something.map(|operation| command.operation.is(operation));
        let is_write = m.wire("is_write", is_write.into_iter().reduce(|a, b| a | b).expect("there are some"));
        when(staged.can_push() & complete.can_push(), || beats.take());
        let received = m.wire("received", beats.taken());
        let beat = beats.payload();
        let sector = beat_number.bits(SECTOR_BEATS.trailing_zeros()..6);
        let missing_now = m.wire("missing_now", missing | (one_hot(sector, 8) & beat.error.repeat(8)));
        let has_data = m.wire("has_data", writes.payload().operation.is(Operation::Write));
        let gives_read = m.wire("gives_read", reads.valid() & read.can_take());
        let gives_write = m.wire("gives_write", writes.valid() & write.can_take() & (!has_data | complete.valid()));
        let gives_data = m.wire("gives_data", staged.valid() & data.can_take());

        // 4. Next state
        when(taken & !is_write, || reads.push(command));
        when(taken & is_write, || writes.push(command));
        when(received, || {
            staged.push(Beat { data: beat.data });
            beat_number.set(beat_number + 1);
            missing.set(missing_now);
            when(beat.last, || {
                complete.push(Missing { sectors: missing_now });
                beat_number.set(zero(6));
                missing.set(zero(8));
            });
        });
        when(gives_read, || reads.take());
        when(gives_write, || {
            writes.take();
            when(has_data, || complete.take());
        });
        when(gives_data, || staged.take());

        // 5. Outputs
        let of = |command: &<StorageCommand as rtl_hdl::Shape>::Value, missing| Staged {
            tag: command.tag,
            operation: command.operation,
            sector: command.sector,
            sectors: command.sectors,
            fua: command.fua,
            missing,
        };
        when(gives_read, || read.offer(of(&reads.payload(), lit(0u8, 8))));
        let missing_of_write = complete.payload().sectors & has_data.repeat(8);
        when(gives_write, || write.offer(of(&writes.payload(), missing_of_write)));
        when(gives_data, || data.offer(staged.payload()));
    }
}
