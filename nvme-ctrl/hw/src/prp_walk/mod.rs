//! # PRP walk
//!
//! Cuts a command into units of at most 4 KiB of data, and finds where each of them lies in host memory.
//!
//! ## Symbol
//! ```text
//!                +--- prp_walk ---+
//!         job ->-|                |->- unit           to units
//!   list_beat ->-|                |->- list_read      to host_port
//!                |                |->- walk_failure   to slots
//!                +----------------+
//! ```
//! ## Theory of operation
//! Page 0 is at PRP1 and may begin at any dword; all pages after it are whole. Let `offset` be that of PRP1 in its page. Then unit `k` lies in
//! page `k` from `offset` on, and its last `offset` bytes lie at the start of page `k + 1`:
//!
//! ```text
//!   data    |      unit 0      |      unit 1      |  unit 2  |
//!   pages      |  page 0   |   page 1   |   page 2   |  ..
//!              ^ offset
//! ```
//! So each unit needs at most one page address that the one before it did not need. If there are two pages altogether the second
//! one is PRP2; if there are more, PRP2 is where the list of the others begins. The last entry of a page of the list points to the next page of the
//! list if more than one entry is still needed. (NVMe Base, "Physical Region Page Entry and List".)
//!
//! A command that moves no data (Flush, Write Zeroes, Verify) is cut the same way, as if its data lay at an address of its own that needs no list.
//!
//! 1. `Start` waits for a job, which stays on the input until its last unit has been offered. If the first unit lies in one page it is offered next.
//! 2. `Entry` takes the next page address, if the unit needs one, from PRP2 or from `line`, which holds eight entries of the list.
//! 3. `Request` and `Collect` read the next line of the list.
//! 4. `Offer` offers the unit. Of a Compare it offers two: one that brings the data of the host into the bounce, and the Compare itself. They are a
//!    sequence: see [`units`](crate::units).
//! 5. `Fail` ends the units that are left. Units offered before are carried out: their data is undefined for a command that failed.
//!
//! ## Timing
//! Two clocks for a command of one page, three for one of one unit in two pages, two clocks for each further one, two more for each of a Compare,
//! and host latency + 3 clocks for every line of the list. No combinational path from any input to any output.
//!
//! ## Limits
//! One command at a time, and one line of its list: a command waits while the list of the one before it is read. A list that points to itself
//! ends with the command's length.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::buffer::DWORD_INDEX_BITS;
use crate::slots::{units_of, Job, WalkFailure};
use crate::types::{choose, is_one_of, reader, HostBeat, HostRead, Operation, Target, BEAT_BYTES};
use crate::units::Turn;
use nvme_spec::{limits, Status};
use rtl_hdl::{cat, hw_bundle, hw_enum, lit, switch, when, Bits, Block, EnumSignal, Module, Signal};

#[cfg(test)]
mod bench;

hw_bundle! {
    /// Where the data of a unit lies in host memory: a run of 64-byte lines in one page, or to the end of one page and from the start of
    /// another one.
    pub struct Place {
        /// Address of the first line, in lines.
        pub first: Bits<58>,
        /// Number of the second page.
        pub second: Bits<52>,
        /// Number of lines altogether, 1 to 65.
        pub lines: Bits<7>,
        /// Number of lines in the first page, 1 to 64.
        pub lines_first: Bits<7>,
        /// Dword of the first line at which the data begins.
        pub begin: Bits<4>,
        /// Dword of the last line before which the data ends; 0: it ends with the line.
        pub end: Bits<4>,
        /// Number of 64-byte beats on the storage's side, 1 to 64; 0 if there is no data.
        pub beats: Bits<7>,
    }
}

hw_bundle! {
    /// At most 4 KiB of a command.
    pub struct Unit {
        /// The slot of the command.
        pub slot: Bits<8>,
        /// The function whose memory it moves.
        pub function: Bits<8>,
        /// What to do.
        pub operation: Operation,
        /// With whom.
        pub target: Target,
        /// Namespace.
        pub nsid: Bits<32>,
        /// The first sector.
        pub sector: Bits<64>,
        /// Number of sectors.
        pub sectors: Bits<4>,
        /// It is one logical block, or none at all: it is passed on as a whole.
        pub whole: Bits<1>,
        /// Force unit access.
        pub fua: Bits<1>,
        /// Which other units may be in flight.
        pub turn: Turn,
        /// Dword of the buffer or of the bounce at which the data begins; 0 for the storage.
        pub at: Bits<10>,
        /// Where the data lies; meaningless if none moves, but for `beats`.
        pub place: Place,
    }
}

hw_enum! {
    /// `Start -> Entry -> Offer -> Entry ..-> Start`, with `Request -> Collect` on the way when a line of the list is needed.
    pub enum State {
        /// Nothing to do. Leaves with a job.
        Start,
        /// The next unit may need an entry. Leaves in one clock.
        Entry,
        /// A line of the list is needed. Leaves when the read has been offered.
        Request,
        /// The read is under way. Leaves with its answer.
        Collect,
        /// The unit is complete. Leaves when it has been offered.
        Offer,
        /// The walk cannot go on. Leaves when that has been reported.
        Fail,
    }
}

/// Bits of an offset in a page.
const OFFSET_BITS: u32 = limits::PAGE_BYTES.trailing_zeros();
/// Bits of an offset in a sector.
const SECTOR_BITS: u32 = limits::SECTOR_BYTES.trailing_zeros();
/// Bits of an offset in a line.
const LINE_BITS: u32 = BEAT_BYTES.trailing_zeros();

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct PrpWalk;

impl Block for PrpWalk {
    fn name(&self) -> String {
        "prp_walk".into()
    }

    fn description(&self) -> String {
        "Cuts a command into units and finds where each of them lies in host memory.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let job_stream = m.stream_in::<Job>("job");
        let list_beat = m.stream_in::<HostBeat>("list_beat");
        let unit = m.stream_out_single::<Unit>("unit");
        let list_read = m.stream_out_single::<HostRead>("list_read");
        let walk_failure = m.stream_out_single::<WalkFailure>("walk_failure");
        let job = job_stream.payload();

        // 2. State
        let state = m.reg("state", clock, State::Start);
        let left = m.reg_without_reset("left", clock, 22);
        let sector = m.reg_without_reset("sector", clock, 64);
        let page = m.reg_without_reset("page", clock, 52);
        let page_known = m.reg("page_known", clock, false);
        let next_page = m.reg_without_reset("next_page", clock, 52);
        // Page addresses that are still to be taken from PRP2 or the list.
        let entries_left = m.reg_without_reset("entries_left", clock, 10);
        let in_prp2 = m.reg_without_reset("in_prp2", clock, 1);
        // Address of the next entry, in entries.
        let list = m.reg_without_reset("list", clock, 61);
        let line = m.reg_without_reset("line", clock, 512);
        let line_known = m.reg("line_known", clock, false);
        let host_error = m.reg("host_error", clock, false);
        // The next unit fills the bounce for a Compare.
        let fills = m.reg("fills", clock, false);

        // 3. Conditions
        let has_data =
            m.wire("has_data", is_one_of(job.operation, &[Operation::Write, Operation::Read, Operation::Compare]));
        let is_compare = m.wire("is_compare", job.operation.is(Operation::Compare));
        let offset = m.wire("offset", job.prp1.low(OFFSET_BITS) & has_data.repeat(OFFSET_BITS));
        let pages = m.wire("pages", pages_of(offset, job.bytes));
        let misplaced = m.wire("misplaced", has_data & (job.prp1.low(2).any() | (pages.gt(2) & job.prp2.low(3).any())));

        let whole_unit = m.wire("whole_unit", left.ge(limits::UNIT_BYTES));
        let unit_bytes = m.wire("unit_bytes", whole_unit.mux(lit(limits::UNIT_BYTES, 13), left.low(13)));
        let unit_sectors = m.wire("sectors_of_unit", unit_bytes.bits(SECTOR_BITS..13));
        let last_unit = m.wire("last_unit", left.le(limits::UNIT_BYTES));
        let crosses = m.wire("crosses", (offset.zext(14) + unit_bytes.zext(14)).gt(limits::PAGE_BYTES));
        let first_is_whole = m.wire("first_is_whole", !offset.any() | pages.eq(1));
        let needs_entry = m.wire("needs_entry", has_data & (crosses | !page_known));

        let entry = m.wire("entry", in_prp2.mux(job.prp2, line.word(list.low(3), 64)));
        let entry_known = m.wire("entry_known", in_prp2 | line_known);
        let entry_whole = m.wire("entry_whole", !entry.low(OFFSET_BITS).any());
        let last_of_list_page = m.wire("last_of_list_page", list.low(OFFSET_BITS - 3).all());
        let is_chain = m.wire("is_chain", !in_prp2 & last_of_list_page & entries_left.gt(1));

        // 4. Next state
        switch(state, |s: State| match s {
            State::Start => {
                left.set(job.bytes);
                sector.set(job.sector);
                page.set(job.prp1.bits(OFFSET_BITS..64));
                page_known.set(true);
                entries_left.set(pages - 1);
                in_prp2.set(pages.le(2));
                list.set(job.prp2.bits(3..64));
                line_known.set(false);
                host_error.set(false);
                fills.set(is_compare);
                when(job_stream.valid(), || {
                    when(misplaced, || state.goto(State::Fail))
                        .else_when(first_is_whole, || state.goto(State::Offer))
                        .otherwise(|| state.goto(State::Entry));
                });
            }
            State::Entry => {
                when(!needs_entry, || state.goto(State::Offer))
                    .else_when(!entry_known, || state.goto(State::Request))
                    .else_when(!entry_whole, || state.goto(State::Fail))
                    .else_when(is_chain, || {
                        list.set(entry.bits(3..64));
                        line_known.set(false);
                    })
                    .otherwise(|| {
                        next_page.set(entry.bits(OFFSET_BITS..64));
                        when(!page_known, || page.set(entry.bits(OFFSET_BITS..64)));
                        list.set(list + 1);
                        when(list.low(3).all(), || line_known.set(false));
                        entries_left.set(entries_left - 1);
                        state.goto(State::Offer);
                    });
            }
            State::Request => {
                when(list_read.can_take(), || state.goto(State::Collect));
            }
            State::Collect => {
                when(list_beat.valid(), || {
                    line.set(list_beat.payload().data);
                    line_known.set(true);
                    host_error.set(list_beat.payload().error);
                    when(list_beat.payload().error, || state.goto(State::Fail)).otherwise(|| state.goto(State::Entry));
                });
            }
            State::Offer => {
                when(unit.can_take(), || fills.set(is_compare & !fills));
                when(unit.can_take() & !fills, || {
                    left.set(left - limits::UNIT_BYTES);
                    sector.set(sector + limits::UNIT_BYTES / limits::SECTOR_BYTES);
                    page.set(next_page);
                    page_known.set(offset.any());
                    when(last_unit, || state.goto(State::Start)).otherwise(|| state.goto(State::Entry));
                });
            }
            State::Fail => {
                when(walk_failure.can_take(), || state.goto(State::Start));
            }
        });

        // 5. Outputs: only from registers, and from the job, which stays until it is taken.
        list_beat.take();
        let offered = m.wire("offered", state.is(State::Offer) & unit.can_take());
        let reported = m.wire("reported", state.is(State::Fail) & walk_failure.can_take());
        when((offered & last_unit & !fills) | reported, || job_stream.take());
        when(state.is(State::Request) & list_read.can_take(), || {
            list_read.offer(HostRead {
                id: lit(reader::LIST << 6, 8),
                function: job.function,
                address: cat(&[list.bits(3..61), lit(0u8, LINE_BITS)]),
                beats: lit(1u8, 7),
            });
        });
        when(offered, || {
            let turn = choose(is_compare, EnumSignal::of(Turn::Finish), EnumSignal::of(Turn::Free));
            unit.offer(Unit {
                slot: job.slot,
                function: job.function,
                operation: choose(fills, EnumSignal::of(Operation::Write), job.operation),
                target: choose(fills, EnumSignal::of(Target::Bounce), job.target),
                nsid: job.nsid,
                sector,
                sectors: unit_sectors,
                whole: job.large_blocks | job.target.is(Target::Buffer),
                fua: job.fua,
                turn: choose(fills, EnumSignal::of(Turn::Begin), turn),
                at: lit(0u8, DWORD_INDEX_BITS),
                place: place_of(page, next_page, offset, unit_bytes),
            });
        });
        when(reported, || {
            let status = |status: Status| lit(status.raw(), 15);
            walk_failure.offer(WalkFailure {
                slot: job.slot,
                units: units_of(left, is_compare),
                status: host_error.mux(status(Status::DATA_TRANSFER_ERROR), status(Status::INVALID_PRP_OFFSET)),
            });
        });
    }
}

/// How many pages `bytes` from `offset` on touch.
fn pages_of(offset: Signal, bytes: Signal) -> Signal {
    let end = bytes + offset.zext(bytes.width()) + (limits::PAGE_BYTES - 1);
    end.bits(OFFSET_BITS..bytes.width())
}

/// Where `bytes` from `offset` in page `page` on lie, if page `next_page` comes after it.
fn place_of(page: Signal, next_page: Signal, offset: Signal, bytes: Signal) -> Place {
    let in_line = offset.low(LINE_BITS).zext(13);
    let lines = (in_line + bytes + (BEAT_BYTES - 1)).bits(LINE_BITS..13);
    let lines_of_page = limits::PAGE_BYTES / BEAT_BYTES;
    let lines_to_end = lit(lines_of_page, 7) - offset.bits(LINE_BITS..OFFSET_BITS).zext(7);
    Place {
        first: cat(&[page, offset.bits(LINE_BITS..OFFSET_BITS)]),
        second: next_page,
        lines,
        lines_first: lines.lt(lines_to_end).mux(lines, lines_to_end),
        begin: offset.bits(2..LINE_BITS),
        end: offset.bits(2..LINE_BITS) + bytes.bits(2..LINE_BITS),
        beats: (bytes + (BEAT_BYTES - 1)).bits(LINE_BITS..13),
    }
}
