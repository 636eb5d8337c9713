//! # Walk
//!
//! Cuts a command into units of at most 4 KiB of data, and finds where each of them lies in host memory: by its PRPs or by its SGL.
//!
//! ## Symbol
//! ```text
//!                +--- walk ---+
//!         job ->-|            |->- unit        to units
//!   list_beat ->-|            |->- list_read   to host_port
//!                |            |->- walk_end    to slots
//!                +------------+
//! ```
//! ## Theory of operation
//! **PRPs.** Page 0 is at PRP1 and may begin at any dword; all pages after it are whole. Let `offset` be that of PRP1 in its page. Then unit `k` lies in
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
//! A command that moves no data (Flush, Write Zeroes, Write Uncorrectable, Verify) is cut the same way, as if its data lay at an address of its own that needs no list.
//!
//! A Copy is one sequence without pieces: what is at its sector comes into the bounce, and goes from there to the sector in `prp1`.
//!
//! **SGLs.** The descriptor in the command is a data block, or leads to a segment of descriptors, of which the last one may lead to another
//! segment. ([`nvme_spec::sgl`] has the rules, and the status of each mistake.) A data block is contiguous, so the page behind a page is the next one, and a unit of it looks like one of PRPs.
//! A unit ends with its data block at the latest, and is a whole number of logical blocks:
//!
//! ```text
//!   data    |  unit 0   | unit 1  |  unit 2   |  unit 3   | unit 4 |
//!   SGL     |     data block      |            data block          |
//! ```
//! Only where a data block ends inside of a logical block, that one is *scattered*: the bounce puts its pieces together for a Write, and takes it apart for a Read.
//! The data of a Compare is put together in the bounce anyway, 4 KiB at a time. Both are sequences of units, as [`units`](crate::units) has them:
//! one unit for each piece that brings it into the bounce or from there, and one for the whole, behind the pieces or, for a Read, before them.
//! Firmware's buffer has no logical blocks: its units are the pieces themselves, each `at` its dword.
//!
//! 1. `Start` waits for a job, which stays on the input until its end. If the first unit lies in one page it is offered next.
//! 2. `List` gives the next page of a PRP list, or the next segment, to [`list_reader`](crate::list_reader), which reads it ahead.
//! 3. `Entry` takes the next page address, if the unit needs one, from PRP2 or from the list.
//! 4. `Low` and `High` take the next descriptor, and `Judge` looks at it. `Cut` takes the next unit from its data block, or begins a sequence;
//!    `Piece` takes the next piece of that.
//! 5. `Offer` offers the unit or the piece, `Whole` what a sequence does with the storage, and `There` and `Back` the two halves of a Copy.
//! 6. `End` ends the units that will never be issued, when nothing that was read ahead is in flight: those behind an error, and, since nobody knows beforehand
//!    how many units an SGL makes, those that an SGL does not need. Units offered before an error are carried out: their data is undefined for a command that failed.
//!
//! ## Timing
//! PRPs: two clocks for a command of one page, three for one of one unit in two pages, four and the host's latency until the first entry of a list is used, two for each further unit,
//! and one more for each unit of a Compare. A Copy: three clocks.
//! SGLs: five clocks for a command of one unit, two for each further unit of a data block, five for each further data block, and host latency + 6 clocks for every segment.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! One command at a time. A list that points to itself ends with the command's length, or with the descriptors without data that one SGL may have.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::buffer::DWORD_INDEX_BITS;
use crate::list_reader::{List, ListReader};
use crate::slots::{Job, WalkEnd, UNIT_COUNT_BITS};
use crate::types::{is_one_of, Operation, Target, BEAT_BYTES};
use crate::units::Turn;
use nvme_spec::{limits, sgl, Status};
use rtl_hdl::{
    address_width, cat, hw_bundle, hw_enum, lit, switch, when, zero, Bits, Block, EnumSignal, Module, Signal,
};
use rtl_prim::choose;

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
    /// PRPs: `Start -> Offer -> Entry -> Offer ..-> Start`, with `List` before `Entry` where a page of a list begins.
    /// SGLs: `Start -> Judge -> Cut -> Offer -> Cut ..-> Low -> High -> Judge ..-> End`, with `Judge -> List -> Low` where a segment begins.
    /// In a sequence `Piece` is in the place of `Cut`, and `Whole` comes behind its last `Offer` or, for a Read, before its first `Piece`.
    /// A Copy: `Start -> There -> Back -> Start`.
    pub enum State {
        /// Nothing to do. Leaves with a job.
        Start,
        /// A list begins. Leaves when the reader has it.
        List,
        /// The next unit may need a page address. Leaves in one clock, or when the list has it.
        Entry,
        /// The next descriptor is needed. Leaves with its first half.
        Low,
        /// Leaves with the second half.
        High,
        /// The descriptor is there. Leaves in one clock.
        Judge,
        /// There is data in the data block. Leaves in one clock.
        Cut,
        /// There is more of the sequence. Leaves in one clock.
        Piece,
        /// The unit is complete. Leaves when it has been offered.
        Offer,
        /// The pieces of the sequence have been offered, or are to be. Leaves when the whole has been.
        Whole,
        /// A Copy begins. Leaves when its first half has been offered.
        There,
        /// Leaves when its second half has been offered.
        Back,
        /// The walk has ended. Leaves when that has been reported.
        End,
    }
}

/// Bits of an offset in a page.
const OFFSET_BITS: u32 = limits::PAGE_BYTES.trailing_zeros();
/// Bits of an offset in a sector.
const SECTOR_BITS: u32 = limits::SECTOR_BYTES.trailing_zeros();
/// Bits of an offset in a line.
const LINE_BITS: u32 = BEAT_BYTES.trailing_zeros();

/// Bits of a PRP list's entry, and of its number in a page.
const ENTRIES_PER_PAGE: u32 = nvme_spec::entry::prp::ENTRIES_PER_PAGE;
const ENTRY_INDEX_BITS: u32 = address_width(ENTRIES_PER_PAGE);
/// Bits of a number of descriptors of a segment.
const DESCRIPTOR_COUNT_BITS: u32 = 32 - sgl::DESCRIPTOR_BYTES.trailing_zeros();
/// Bits of a number of descriptors without data.
const EMPTY_COUNT_BITS: u32 = address_width(sgl::EMPTY_DESCRIPTORS_MAX + 1);

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Walk;

impl Block for Walk {
    fn name(&self) -> String {
        "walk".into()
    }

    fn description(&self) -> String {
        "Cuts a command into units and finds where each of them lies in host memory.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let job_stream = m.stream_in::<Job>("job");
        let unit = m.stream_out_single::<Unit>("unit");
        let walk_end = m.stream_out_single::<WalkEnd>("walk_end");
        let reader = m.instance("list_reader", &ListReader);
        m.export(&reader, "list_read", "list_read");
        m.export(&reader, "list_beat", "list_beat");
        let job = job_stream.payload();

        // 2. State
        let state = m.reg("state", clock, State::Start);
        let is_sgl = m.reg_without_reset("is_sgl", clock, 1);
        let left = m.reg_without_reset("left", clock, 22);
        let units_left = m.reg_without_reset("units_left", clock, UNIT_COUNT_BITS);
        let sector = m.reg_without_reset("sector", clock, 64);
        let status = m.reg_without_reset("status", clock, 15);
        // The unit that comes next: where it begins, and the page behind that one.
        let page = m.reg_without_reset("page", clock, 52);
        let offset = m.reg_without_reset("offset", clock, OFFSET_BITS);
        let next_page = m.reg_without_reset("next_page", clock, 52);
        let unit_bytes = m.reg_without_reset("unit_bytes", clock, 13);
        let unit_is_last = m.reg_without_reset("unit_is_last", clock, 1);
        // The list that begins, or of PRPs also the one that is being read: the address of the next entry.
        let list = m.reg_without_reset("list", clock, 61);
        // PRPs: page addresses that are still to be taken from PRP2 or the list.
        let page_known = m.reg("page_known", clock, false);
        let entries_left = m.reg_without_reset("entries_left", clock, 10);
        let in_prp2 = m.reg_without_reset("in_prp2", clock, 1);
        // SGLs: the type of the descriptor; its address is in `page` and `offset`, its length in `block_left`, and whether that is zero.
        let kind = m.reg_without_reset("kind", clock, 8);
        let block_left = m.reg_without_reset("block_left", clock, 32);
        let no_length = m.reg_without_reset("no_length", clock, 1);
        // Descriptors of the segment that are still to be taken.
        let segment_left = m.reg_without_reset("segment_left", clock, DESCRIPTOR_COUNT_BITS);
        // There were none a clock ago.
        let segment_is_over = m.reg_without_reset("segment_is_over", clock, 1);
        let in_last = m.reg_without_reset("in_last", clock, 1);
        let in_segment = m.reg_without_reset("in_segment", clock, 1);
        // The sequence: how long it is, what is left of it, and whether the piece is its last one. Where the unit begins in the buffer or the bounce.
        let in_sequence = m.reg_without_reset("in_sequence", clock, 1);
        let whole_bytes = m.reg_without_reset("whole_bytes", clock, 13);
        let rest = m.reg_without_reset("rest", clock, 13);
        let piece_ends = m.reg_without_reset("piece_ends", clock, 1);
        let at = m.reg_without_reset("at", clock, DWORD_INDEX_BITS);
        let empties = m.reg_without_reset("empties", clock, EMPTY_COUNT_BITS);

        // 3. Conditions
        let at_most_a_unit =
            |bytes: Signal| bytes.ge(limits::UNIT_BYTES).mux(lit(limits::UNIT_BYTES, 13), bytes.low(13));
        let has_data =
            m.wire("has_data", is_one_of(job.operation, &[Operation::Write, Operation::Read, Operation::Compare]));
        let is_compare = m.wire("is_compare", job.operation.is(Operation::Compare));
        let is_read = m.wire("is_read", job.operation.is(Operation::Read));
        let is_copy = m.wire("is_copy", job.operation.is(Operation::Copy));
        let in_buffer = m.wire("in_buffer", job.target.is(Target::Buffer));
        let first_offset = m.wire("first_offset", job.prp1.low(OFFSET_BITS));
        let pages = m.wire("pages", pages_of(first_offset, job.bytes));
        let has_list = m.wire("has_list", has_data & pages.gt(2));
        let misplaced = m.wire("misplaced", (has_data & job.prp1.low(2).any()) | (has_list & job.prp2.low(3).any()));
        let first_is_whole = m.wire("first_is_whole", !has_data | !first_offset.any() | pages.eq(1));

        let left_bytes = m.wire("left_bytes", at_most_a_unit(left));
        let crosses = m.wire("crosses", (offset.zext(14) + left_bytes.zext(14)).gt(limits::PAGE_BYTES));
        let needs_entry = m.wire("needs_entry", has_data & (crosses | !page_known));
        let listed = m.wire("listed", reader.port("entry"));
        let entry = m.wire("entry", in_prp2.mux(job.prp2, listed));
        let entry_known = m.wire("entry_known", in_prp2 | reader.port("entry_known"));
        let entry_unread = m.wire("entry_unread", !in_prp2 & reader.port("entry_error"));
        let entry_whole = m.wire("entry_whole", !entry.low(OFFSET_BITS).any());
        let last_of_list_page = m.wire("last_of_list_page", list.low(ENTRY_INDEX_BITS).all());
        let is_chain = m.wire("is_chain", !in_prp2 & last_of_list_page & entries_left.gt(1));

        let is_block = m.wire("is_block", kind.eq(sgl::DATA_BLOCK));
        let is_last_segment = m.wire("is_last_segment", kind.eq(sgl::LAST_SEGMENT));
        let is_link = m.wire("is_link", is_last_segment | kind.eq(sgl::SEGMENT));
        let block_is_misplaced = m.wire("block_is_misplaced", offset.low(2).any() | block_left.low(2).any());
        let link_is_wrong = m.wire("link_is_wrong", {
            let length_is_wrong = no_length | block_left.low(4).any();
            in_last | offset.low(3).any() | length_is_wrong
        });
        let is_empty = m.wire("is_empty", is_link | no_length);
        let too_many = m.wire("too_many", empties.eq(sgl::EMPTY_DESCRIPTORS_MAX));
        // What the data block has of the next unit: everything, or as many logical blocks of 512 bytes as are whole in it.
        let block_is_long = m.wire("block_is_long", block_left.bits(OFFSET_BITS..32).any());
        let block_bytes = m.wire("block_bytes", block_left.low(OFFSET_BITS).zext(13));
        let covers = m.wire("covers", block_is_long | block_bytes.ge(left_bytes));
        let covers_rest = m.wire("covers_rest", block_is_long | block_bytes.ge(rest));
        let sectors_of_block = block_left.bits(SECTOR_BITS..OFFSET_BITS) & (!job.large_blocks).repeat(3);
        let blocks = cat(&[lit(0u8, 1), sectors_of_block, lit(0u8, SECTOR_BITS)]);
        let part = m.wire("part", in_buffer.mux(block_bytes, blocks));
        let is_scattered = m.wire("is_scattered", is_compare | (!covers & !part.any()));
        let lba_bytes = job.large_blocks.mux(lit(limits::UNIT_BYTES, 13), lit(limits::SECTOR_BYTES, 13));
        let sequence_bytes = m.wire("sequence_bytes", is_compare.mux(left_bytes, lba_bytes));
        let ends_with_sequence =
            left.le(limits::UNIT_BYTES) & (is_compare | job.large_blocks | left.le(limits::SECTOR_BYTES));
        let block_ends = m.wire("block_ends", block_left.eq(unit_bytes.zext(32)));
        let block_is_empty = m.wire("block_is_empty", !block_left.any());
        let behind = m.wire("behind", offset.zext(13) + unit_bytes);

        // 4. Next state
        segment_is_over.set(!segment_left.any());
        let end_with = |reason: Status| {
            status.set(lit(reason.raw(), 15));
            state.goto(State::End);
        };
        // What follows a unit or a sequence, if the data block has ended or not.
        let go_on = |block_has_ended: Signal| {
            when(unit_is_last & !is_sgl, || state.goto(State::Start))
                .else_when(unit_is_last, || state.goto(State::End))
                .else_when(!is_sgl, || state.goto(State::Entry))
                .else_when(block_has_ended, || state.goto(State::Low))
                .otherwise(|| state.goto(State::Cut));
        };
        switch(state, |s: State| match s {
            State::Start => {
                is_sgl.set(job.sgl);
                left.set(job.bytes);
                units_left.set(job.units);
                sector.set(job.sector);
                page.set(job.prp1.bits(OFFSET_BITS..64));
                offset.set(first_offset & has_data.repeat(OFFSET_BITS));
                unit_bytes.set(at_most_a_unit(job.bytes));
                unit_is_last.set(job.bytes.le(limits::UNIT_BYTES));
                list.set(job.prp2.bits(3..64));
                page_known.set(true);
                entries_left.set(pages - 1);
                in_prp2.set(pages.le(2));
                block_left.set(job.prp2.low(32));
                no_length.set(!job.prp2.low(32).any());
                kind.set(job.prp2.bits(56..64));
                segment_left.set(zero(DESCRIPTOR_COUNT_BITS));
                in_segment.set(false);
                in_last.set(false);
                empties.set(zero(EMPTY_COUNT_BITS));
                in_sequence.set((is_compare & !job.sgl) | is_copy);
                whole_bytes.set(at_most_a_unit(job.bytes));
                piece_ends.set(true);
                at.set(zero(DWORD_INDEX_BITS));
                when(job_stream.valid(), || {
                    when(job.sgl, || state.goto(State::Judge))
                        .else_when(is_copy, || state.goto(State::There))
                        .else_when(misplaced, || end_with(Status::INVALID_PRP_OFFSET))
                        .else_when(has_list, || state.goto(State::List))
                        .else_when(first_is_whole, || state.goto(State::Offer))
                        .otherwise(|| state.goto(State::Entry));
                });
            }
            State::List => {
                when(reader.port("list_ready"), || {
                    when(is_sgl, || state.goto(State::Low)).otherwise(|| state.goto(State::Entry));
                });
            }
            State::Entry => {
                unit_bytes.set(left_bytes);
                whole_bytes.set(left_bytes);
                at.set(zero(DWORD_INDEX_BITS));
                unit_is_last.set(left.le(limits::UNIT_BYTES));
                when(!needs_entry, || state.goto(State::Offer)).else_when(entry_known, || {
                    when(entry_unread, || end_with(Status::DATA_TRANSFER_ERROR))
                        .else_when(!entry_whole, || end_with(Status::INVALID_PRP_OFFSET))
                        .else_when(is_chain, || {
                            list.set(entry.bits(3..64));
                            state.goto(State::List);
                        })
                        .otherwise(|| {
                            next_page.set(entry.bits(OFFSET_BITS..64));
                            when(!page_known, || page.set(entry.bits(OFFSET_BITS..64)));
                            list.set(list + 1);
                            entries_left.set(entries_left - 1);
                            state.goto(State::Offer);
                        });
                });
            }
            State::Low => {
                page.set(listed.bits(OFFSET_BITS..64));
                offset.set(listed.low(OFFSET_BITS));
                when(segment_is_over, || {
                    // A segment that is not the last one must lead on.
                    when(in_segment & !in_last, || end_with(Status::INVALID_SGL_SEGMENT))
                        .otherwise(|| end_with(Status::INVALID_SGL_LENGTH));
                })
                .else_when(reader.port("entry_known"), || {
                    when(reader.port("entry_error"), || end_with(Status::DATA_TRANSFER_ERROR))
                        .otherwise(|| state.goto(State::High));
                });
            }
            State::High => {
                block_left.set(listed.low(32));
                no_length.set(!listed.low(32).any());
                kind.set(listed.bits(56..64));
                when(reader.port("entry_known"), || {
                    segment_left.set(segment_left - 1);
                    when(reader.port("entry_error"), || end_with(Status::DATA_TRANSFER_ERROR))
                        .otherwise(|| state.goto(State::Judge));
                });
            }
            State::Judge => {
                // What is noted here of a descriptor that is wrong is not used.
                empties.set(empties + is_empty.zext(EMPTY_COUNT_BITS));
                when(is_link, || {
                    list.set(cat(&[page, offset.bits(3..OFFSET_BITS)]));
                    segment_left.set(block_left.bits(4..32));
                    in_segment.set(true);
                    in_last.set(is_last_segment);
                });
                when(!is_block & !is_link, || end_with(Status::INVALID_SGL_TYPE))
                    .else_when(is_block & block_is_misplaced, || end_with(Status::INVALID_SGL_GRANULARITY))
                    .else_when(!is_empty & in_sequence, || state.goto(State::Piece))
                    .else_when(!is_empty, || state.goto(State::Cut))
                    .else_when(is_link & link_is_wrong, || end_with(Status::INVALID_SGL_SEGMENT))
                    .else_when((is_link & segment_left.any()) | too_many, || end_with(Status::INVALID_SGL_NUMBER))
                    .else_when(is_block, || state.goto(State::Low))
                    .otherwise(|| state.goto(State::List));
            }
            State::Cut => {
                next_page.set(page + 1);
                unit_bytes.set(covers.mux(left_bytes, part));
                unit_is_last.set(covers & left.le(limits::UNIT_BYTES));
                whole_bytes.set(sequence_bytes);
                rest.set(sequence_bytes);
                when(!in_buffer, || at.set(zero(DWORD_INDEX_BITS)));
                when(is_scattered, || {
                    in_sequence.set(true);
                    unit_is_last.set(ends_with_sequence);
                    when(is_read, || state.goto(State::Whole)).otherwise(|| state.goto(State::Piece));
                })
                .otherwise(|| state.goto(State::Offer));
            }
            State::Piece => {
                next_page.set(page + 1);
                unit_bytes.set(covers_rest.mux(rest, block_bytes));
                piece_ends.set(covers_rest);
                state.goto(State::Offer);
            }
            State::Offer => {
                status.set(lit(Status::SUCCESS.raw(), 15));
                when(unit.can_take(), || {
                    left.set(left - unit_bytes.zext(22));
                    units_left.set(units_left - 1);
                    block_left.set(block_left - unit_bytes.zext(32));
                    rest.set(rest - unit_bytes);
                    at.set(at + unit_bytes.bits(2..12));
                    offset.set(behind.low(OFFSET_BITS));
                    when(behind.bit(OFFSET_BITS), || page.set(next_page));
                    page_known.set(offset.any());
                    when(!in_sequence, || {
                        sector.set(sector + unit_bytes.bits(SECTOR_BITS..13).zext(64));
                        go_on(block_ends);
                    })
                    .else_when(!piece_ends, || state.goto(State::Low))
                    .else_when(!is_read, || state.goto(State::Whole))
                    .otherwise(|| {
                        in_sequence.set(false);
                        go_on(block_ends);
                    });
                });
            }
            State::Whole => {
                when(unit.can_take(), || {
                    units_left.set(units_left - 1);
                    sector.set(sector + whole_bytes.bits(SECTOR_BITS..13).zext(64));
                    when(is_read, || state.goto(State::Piece)).otherwise(|| {
                        in_sequence.set(!is_sgl);
                        go_on(block_is_empty);
                    });
                });
            }
            State::There => {
                when(unit.can_take(), || {
                    sector.set(job.prp1);
                    state.goto(State::Back);
                });
            }
            State::Back => {
                when(unit.can_take(), || state.goto(State::Start));
            }
            State::End => {
                when(walk_end.can_take() & reader.port("idle"), || state.goto(State::Start));
            }
        });

        // 5. Outputs: only from registers, and from the job, which stays until it is taken.
        let [there, back] = [State::There, State::Back].map(|half| state.is(half));
        let whole = m.wire("whole", state.is(State::Whole) | there | back);
        let loads = m.wire("loads", is_read | there);
        let offered = m.wire("offered", (whole | state.is(State::Offer)) & unit.can_take());
        let reported = m.wire("reported", state.is(State::End) & walk_end.can_take() & reader.port("idle"));
        let is_end = m.wire("is_end", back | (unit_is_last & !is_sgl & (state.is(State::Whole) | !in_sequence)));
        when((offered & is_end) | reported, || job_stream.take());
        let new = reader.port_as::<List>("list");
        reader.port("list_valid").set(state.is(State::List));
        new.function.set(job.function);
        new.address.set(list);
        let to_end_of_page = m.wire("to_end_of_page", lit(ENTRIES_PER_PAGE, 10) - list.low(ENTRY_INDEX_BITS).zext(10));
        let entries = entries_left.lt(to_end_of_page).mux(entries_left, to_end_of_page);
        new.entries.set(is_sgl.mux(cat(&[segment_left, lit(0u8, 1)]), entries.zext(29)));
        let takes_page = state.is(State::Entry) & needs_entry & !in_prp2;
        let takes_half = (state.is(State::Low) & !segment_is_over) | state.is(State::High);
        reader.port("take_entry").set(reader.port("entry_known") & (takes_page | takes_half));
        reader.port("stop").set(state.is(State::End));
        when(offered, || {
            let operation = |operation: Operation| EnumSignal::of(operation);
            let stores = choose(is_compare, operation(Operation::Compare), operation(Operation::Store));
            let of_whole = choose(loads, operation(Operation::Load), stores);
            // Pieces of a Compare are written to the bounce.
            let of_piece = choose(in_sequence & is_compare, operation(Operation::Write), job.operation);
            let target_of_piece = choose(in_sequence, EnumSignal::of(Target::Bounce), job.target);
            let begins = choose(at.any(), EnumSignal::of(Turn::Join), EnumSignal::of(Turn::Begin));
            // The first half of a Read and of a Copy is the whole, that of others are the pieces.
            let turn = choose(
                whole.ne(loads),
                EnumSignal::of(Turn::Finish),
                choose(whole, EnumSignal::of(Turn::Begin), begins),
            );
            let place = place_of(page, next_page, offset, unit_bytes);
            let bytes = whole.mux(whole_bytes, unit_bytes);
            unit.offer(Unit {
                slot: job.slot,
                function: job.function,
                operation: choose(whole, of_whole, of_piece),
                target: choose(whole, EnumSignal::of(Target::Storage), target_of_piece),
                nsid: job.nsid,
                sector,
                sectors: bytes.bits(SECTOR_BITS..13),
                whole: job.large_blocks | in_buffer | in_sequence,
                fua: job.fua,
                turn: choose(in_sequence, turn, EnumSignal::of(Turn::Free)),
                at: at & (!whole).repeat(DWORD_INDEX_BITS),
                place: Place { beats: beats_of(bytes), end: whole.mux(place.begin, place.end), ..place },
            });
        });
        when(reported, || walk_end.offer(WalkEnd { slot: job.slot, units: units_left, status }));
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
        beats: beats_of(bytes),
    }
}

/// How many beats `bytes` are.
fn beats_of(bytes: Signal) -> Signal {
    (bytes + (BEAT_BYTES - 1)).bits(LINE_BITS..13)
}
