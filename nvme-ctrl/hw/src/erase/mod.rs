//! # Erase
//!
//! Makes a range of the storage read as zero, for firmware: one Write Zeroes after the other goes to the I/O engine, beside the transfers of firmware.
//!
//! ## Symbol
//! ```text
//!                    +--- erase ---+
//!        transfer ->-|             |->- own           Command (to the I/O engine)
//!           start -->|             |--> busy, failed          (to the mailbox)
//! sector, sectors -->|             |
//!    done, status -->|             |
//!                    +-------------+
//! ```
//! ## Theory of operation
//! 1. `start` takes a range of sectors. It is erased in pieces of at most [`PIECE_SECTORS`], one at a time: a host's command waits for at most one
//!    of them.
//! 2. A piece has ended with `done`; the next one follows. The first piece that fails ends the erasure.
//! 3. A transfer of firmware goes first, and passes in one clock.
//!
//! ## Timing
//! A piece is offered two clocks after `start` or after the end of the one before it. No combinational path from any input to any output.
//!
//! ## Limits
//! A `start` while `busy` is lost. What a failed erasure has not reached is as it was. The range belongs to no function, so the end of a function's life
//! changes nothing about it.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::held::Held;
use crate::types::{Command, Operation, Target};
use nvme_spec::limits::SECTOR_BYTES;
use nvme_spec::opcode::io;
use rtl_hdl::{cat, lit, when, zero, Block, EnumSignal, Module};

#[cfg(test)]
mod bench;

/// Sectors of a piece: 64 KiB, which a memory of 64 bytes per clock erases in 1024 clocks.
pub const PIECE_SECTORS: u32 = (64 << 10) / SECTOR_BYTES;

/// Width of a number of sectors.
const SECTORS_BITS: u32 = 32;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Erase;

impl Block for Erase {
    fn name(&self) -> String {
        "erase".into()
    }

    fn description(&self) -> String {
        "Erases a range of the storage in pieces.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let transfer = Held::new::<Command>(m, clock, "transfer");
        let start = m.input("start", 1);
        let first_sector = m.input("sector", 64);
        let sectors = m.input("sectors", SECTORS_BITS);
        let done = m.input("done", 1);
        let status = m.input("status", 15);
        let own = m.stream_out_single::<Command>("own");

        // 2. State
        let in_work = m.reg("in_work", clock, false);
        let in_flight = m.reg("in_flight", clock, false);
        let has_failed = m.reg("has_failed", clock, false);
        let at = m.reg_without_reset("at", clock, 64);
        let left = m.reg("left", clock, zero(SECTORS_BITS));

        // 3. Conditions
        let passes = m.wire("passes", transfer.full & own.can_take());
        let offers = m.wire("offers", in_work & !in_flight & !transfer.full & own.can_take());
        let is_last = m.wire("is_last", left.le(PIECE_SECTORS));
        let piece = m.wire("piece", is_last.mux(left, lit(PIECE_SECTORS, SECTORS_BITS)));

        // 4. Next state
        when(start & !in_work, || {
            in_work.set(sectors.any());
            has_failed.set(false);
            at.set(first_sector);
            left.set(sectors);
        });
        when(offers, || in_flight.set(true));
        when(done & in_flight, || {
            in_flight.set(false);
            at.set(at + piece.zext(64));
            left.set(left - piece);
            has_failed.set(status.any());
            when(is_last | status.any(), || in_work.set(false));
        });
        when(passes, || transfer.consume());

        // 5. Outputs
        when(passes, || own.offer(transfer.item));
        when(offers, || {
            own.offer(Command {
                sqid: lit(0u8, 8),
                function: lit(0u8, 8),
                cid: lit(0u8, 16),
                opcode: lit(io::WRITE_ZEROES, 8),
                nsid: lit(0u8, 32),
                operation: EnumSignal::of(Operation::WriteZeroes),
                target: EnumSignal::of(Target::Storage),
                erasure: lit(1u8, 1),
                fused: lit(0u8, 1),
                sgl: lit(0u8, 1),
                lba: lit(0u8, 64),
                blocks: lit(0u8, 17),
                sector: at,
                large_blocks: lit(0u8, 1),
                bytes: cat(&[piece, lit(0u8, SECTOR_BYTES.trailing_zeros())]).low(22),
                fua: lit(0u8, 1),
                prp1: lit(0u8, 64),
                prp2: lit(0u8, 64),
            });
        });
        m.output("busy", in_work);
        m.output("failed", has_failed);
    }
}
