//! # Complete
//!
//! Says where the outcome of a command goes: to its completion queue, or to the firmware that asked for a transfer.
//!
//! ## Symbol
//! ```text
//!            +- complete -+
//! outcome -->|            |---> completion  Completion (to queues)
//!            |            |---> transfer_done, transfer_status   (to the mailbox; the status to `errand` too)
//!            |            |---> errand_done                      (to `errand`)
//!            |            |---> read_done, verify_done, write_done, sectors_done (to the mailbox)
//!            +------------+
//! ```
//! ## Theory of operation
//! 1. A command of the fast path that ended without error is completed with status 0; reads and compares, verifies and writes are counted, their data in
//!    sectors of 512 bytes.
//! 2. The outcome of a transfer that firmware asked for is the mailbox's, and that of a piece of an errand is `errand`'s, whatever its status.
//! 3. Commands that failed do not come here: they wait for firmware in a stream of their own, and hold up nothing else.
//!
//! ## Timing
//! Completions leave in the clock in which they come: combinational. The pulses come one clock after the outcome is taken.
//!
//! ## Limits
//! Commands of different queues that have ended wait for one another.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::decode::{LARGE_LBA_SHIFT, SMALL_LBA_SHIFT};
use crate::types::{Completion, Outcome, Target};
use nvme_spec::opcode::io;
use rtl_hdl::{cat, lit, when, Block, Module, Naming, Shape, Value};

#[cfg(test)]
mod bench;

/// Log2 of the sectors of a large logical block.
const LARGE_SHIFT: u32 = LARGE_LBA_SHIFT - SMALL_LBA_SHIFT;

/// Width of the number of sectors of a command.
pub(crate) const SECTOR_COUNT_BITS: u32 = 17 + LARGE_SHIFT;

/// See the [page](self) of this block.
pub struct Complete;

impl Block for Complete {
    fn name(&self) -> String {
        "complete".into()
    }

    fn description(&self) -> String {
        "Routes the outcomes of commands to the completion queues, those of transfers to firmware.".into()
    }

    fn build(&self, m: &Module) {
        m.allow_combinational("both ends have registers of their own, and a completion waits for nothing here");

        // 1. Ports
        let clock = m.clock();
        let outcome = m.stream_in::<Outcome>("outcome");
        let completion = m.stream_out_wires("completion", Naming::Underscore, |make| Completion::declare("", make));

        // 2. State
        let transfer_done = m.reg("transfer_done_pulse", clock, false);
        let errand_done = m.reg("errand_done_pulse", clock, false);
        let read_done = m.reg("read_done_pulse", clock, false);
        let verify_done = m.reg("verify_done_pulse", clock, false);
        let write_done = m.reg("write_done_pulse", clock, false);
        let status = m.reg_without_reset("status", clock, 15);
        let sectors = m.reg_without_reset("sectors", clock, SECTOR_COUNT_BITS);

        // 3. Conditions
        let item = outcome.payload();
        let is_transfer = m.wire("is_transfer", outcome.valid() & item.target.is(Target::Buffer));
        let is_errand = m.wire("is_errand", outcome.valid() & item.errand);
        let is_offered = m.wire("is_offered", outcome.valid() & item.target.is(Target::Storage) & !item.errand);
        let is_command = m.wire("is_command", is_offered & completion.ready);

        // 4. Next state
        when(is_transfer | is_errand | is_command, || outcome.take());
        transfer_done.set(is_transfer);
        errand_done.set(is_errand);
        read_done.set(is_command & (item.opcode.eq(io::READ) | item.opcode.eq(io::COMPARE)));
        verify_done.set(is_command & item.opcode.eq(io::VERIFY));
        write_done.set(is_command & item.opcode.eq(io::WRITE));
        status.set(item.status);
        sectors.set(
            item.large_blocks.mux(cat(&[item.blocks, lit(0u8, LARGE_SHIFT)]), item.blocks.zext(SECTOR_COUNT_BITS)),
        );

        // 5. Outputs
        completion.valid.set(is_offered);
        completion.payload.set(Completion {
            sqid: item.sqid,
            cid: item.cid,
            status: lit(0u8, 15),
            result: lit(0u8, 32),
            from_firmware: lit(0u8, 1),
        });
        m.output("transfer_done", transfer_done);
        m.output("transfer_status", status);
        m.output("errand_done", errand_done);
        m.output("read_done", read_done);
        m.output("verify_done", verify_done);
        m.output("write_done", write_done);
        m.output("sectors_done", sectors);
    }
}
