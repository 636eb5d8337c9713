//! # Errand
//!
//! Work on the storage that firmware wants done: a range is erased, or copied, piece by piece. Pieces go to the I/O engine beside the transfers of
//! firmware.
//!
//! ## Symbol
//! ```text
//!                    +--- errand ---+
//!        transfer ->-|              |->- own           Command (to the I/O engine)
//!    erase, copy  -->|              |--> busy, failure          (to the mailbox)
//! sector, sectors -->|              |
//!          source -->|              |
//!    done, status -->|              |
//!                    +--------------+
//! ```
//! ## Theory of operation
//! 1. `erase` and `copy` take a range of sectors. It is erased by Deallocates of at most [`ERASED_SECTORS`], or filled with the sectors from
//!    `source` on by Copies of at most [`COPIED_SECTORS`], one at a time: a host's command waits for at most one of them.
//! 2. A piece has ended with `done`; the next one follows, at higher sectors. The first piece that fails ends the errand, and `failure` is its status.
//! 3. A transfer of firmware goes first, and passes in one clock.
//!
//! ## Timing
//! A piece is offered two clocks after the start or after the end of the one before it. No combinational path from any input to any output.
//!
//! ## Limits
//! A start while `busy` is lost, and `erase` wins over `copy`. What a failed errand has not reached is as it was. The range belongs to no function, so
//! the end of a function's life changes nothing about it. Of ranges that overlap each piece is read as a whole before it is written.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::held::Held;
use crate::types::{Command, Operation, Target};
use nvme_spec::limits::{SECTOR_BYTES, UNIT_BYTES};
use nvme_spec::opcode::io;
use rtl_hdl::{cat, lit, when, zero, Block, EnumSignal, Module};
use rtl_prim::choose;

#[cfg(test)]
mod bench;

/// Sectors of a piece that is erased: 64 KiB, which a memory of 64 bytes per clock erases in 1024 clocks.
pub const ERASED_SECTORS: u32 = (64 << 10) / SECTOR_BYTES;

/// Sectors of a piece that is copied: what the bounce holds.
pub const COPIED_SECTORS: u32 = UNIT_BYTES / SECTOR_BYTES;

/// Width of a number of sectors.
const SECTORS_BITS: u32 = 32;

/// Width of the status field.
const STATUS_BITS: u32 = 15;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Errand;

impl Block for Errand {
    fn name(&self) -> String {
        "errand".into()
    }

    fn description(&self) -> String {
        "Erases or copies a range of the storage in pieces.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let transfer = Held::new::<Command>(m, clock, "transfer");
        let erase = m.input("erase", 1);
        let copy = m.input("copy", 1);
        let first_sector = m.input("sector", 64);
        let sectors = m.input("sectors", SECTORS_BITS);
        let source = m.input("source", 64);
        let done = m.input("done", 1);
        let status = m.input("status", STATUS_BITS);
        let own = m.stream_out_single::<Command>("own");

        // 2. State
        let in_work = m.reg("in_work", clock, false);
        let in_flight = m.reg("in_flight", clock, false);
        let failure = m.reg("failed_with", clock, zero(STATUS_BITS));
        let copies = m.reg_without_reset("copies", clock, 1);
        let at = m.reg_without_reset("at", clock, 64);
        let from = m.reg_without_reset("from", clock, 64);
        let left = m.reg("left", clock, zero(SECTORS_BITS));

        // 3. Conditions
        let starts = m.wire("starts", (erase | copy) & !in_work);
        let passes = m.wire("passes", transfer.full & own.can_take());
        let offers = m.wire("offers", in_work & !in_flight & !transfer.full & own.can_take());
        let longest = copies.mux(lit(COPIED_SECTORS, SECTORS_BITS), lit(ERASED_SECTORS, SECTORS_BITS));
        let is_last = m.wire("is_last", copies.mux(left.le(COPIED_SECTORS), left.le(ERASED_SECTORS)));
        let piece = m.wire("piece", is_last.mux(left, longest));

        // 4. Next state
        when(starts, || {
            in_work.set(sectors.any());
            failure.set(zero(STATUS_BITS));
            copies.set(!erase);
            at.set(first_sector);
            from.set(source);
            left.set(sectors);
        });
        when(offers, || in_flight.set(true));
        when(done & in_flight, || {
            in_flight.set(false);
            at.set(at + piece.zext(64));
            from.set(from + piece.zext(64));
            left.set(left - piece);
            failure.set(status);
            when(is_last | status.any(), || in_work.set(false));
        });
        when(passes, || transfer.consume());

        // 5. Outputs
        when(passes, || own.offer(transfer.item));
        when(offers, || {
            let operation = |operation: Operation| EnumSignal::of(operation);
            own.offer(Command {
                sqid: lit(0u8, 8),
                function: lit(0u8, 8),
                cid: lit(0u8, 16),
                opcode: copies.mux(lit(io::COPY, 8), lit(io::WRITE_ZEROES, 8)),
                nsid: lit(0u8, 32),
                operation: choose(copies, operation(Operation::Copy), operation(Operation::Deallocate)),
                target: EnumSignal::of(Target::Storage),
                errand: lit(1u8, 1),
                fused: lit(0u8, 1),
                sgl: lit(0u8, 1),
                lba: lit(0u8, 64),
                blocks: lit(0u8, 17),
                sector: copies.mux(from, at),
                large_blocks: lit(0u8, 1),
                bytes: cat(&[piece, lit(0u8, SECTOR_BYTES.trailing_zeros())]).low(22),
                fua: lit(0u8, 1),
                prp1: at,
                prp2: lit(0u8, 64),
            });
        });
        m.output("busy", in_work);
        m.output("failure", failure);
    }
}
