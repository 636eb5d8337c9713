//! # Fill
//!
//! Fills lines of the cache from the flash: looks up where the unit lies, has it read there, and has it moved.
//!
//! ## Symbol
//! ```text
//!              +--- fill ---+
//!       fill ->-|            |->- filled
//!               |            |->- look_up    to the page map
//!      found ->-|            |->- heard      a map page is not there
//!               |            |->- command    to the array
//!   transfer ->-|            |->- through
//!       done ->-|            |->- job        to the mover
//!      moved ->-|            |
//!      retry -->|            |---> quiet
//!      epoch -->|            |=== spares     AXI4 manager, reads only: the spares of the flash
//!               +------------+
//! ```
//! ## Theory of operation
//! 1. A fill gets a slot, whose number is in all tags of it. What it is goes into a memory.
//! 2. Its unit is looked up. One that lies nowhere is filled with zeroes. If the map page is not there, the fill waits until `retry` says that one has come.
//! 3. The number of the unit in the flash is divided into block, page, plane, die and channel, a bit of the quotient in each clock. Meanwhile, and up to `patience`
//!    clocks after the last, a later unit of the same page may join: an array time is paid once for all of them. A unit between them that the cache has
//!    goes over the bus and nowhere else. What does not follow ends the waiting.
//! 4. The channel is told to read these units of the page. The tag has the slot of the first; each slot knows the one that follows.
//! 5. When the data goes over the bus, the mover copies the units in their order and forwards what the host waits for. The end of the last is the end of the bus
//!    phase, if that is not later. With the first of them the spare of the page is asked for. It says which sectors of each unit cannot be read though the
//!    flash can: those that the host has marked.
//! 6. Reads that were looked up before `epoch` changed, and have not ended, are counted: `quiet` says that there are none. Then what was moved before may be
//!    erased.
//! 7. When the channel has completed the read and its spare has come, the lines are filled, one after the other. What cannot be corrected is moved all the
//!    same, with an error in each beat. If the spare cannot be read, no sector of the page can. The end of both says that the unit is lost.
//!
//! ## Timing
//! A fill leaves for the channel 4 clocks, and one for each bit of the number of a page, after its answer from the page map was taken, if one that does not
//! follow is behind it or it is the last unit of its page; if it is alone, 4 clocks and `patience`, if that is longer. Answers are taken in every second clock.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! Blocks have a power of two pages. Of a unit that the flash cannot read, all sectors are bad. The beats of a sector that is marked are forwarded without an
//! error: the end of the command has it. The spare is not held against its own CRC: a unit that the map refers to was programmed with it.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::array::CHANNEL_BITS;
use crate::page_map::{self, Answer, Request};
use crate::place::place_of;
use crate::types::{
    Command, Done, Fill, Filled, Heard, MoveJob, Moved, Through, Transfer, MEMORY, SECTOR_BEATS, UNIT_SECTORS,
};
use flash_spec::fast_path::wire::event;
use flash_spec::limits::{SPARE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::record::{MAP_ENTRIES, UNMAPPED};
use flash_spec::spare::Spare;
use flash_spec::{Geometry, Operation, Outcome};
use rtl_bus::{resp, Axi4};
use rtl_hdl::{
    address_width, cat, hw_bundle, hw_enum, lit, switch, when, zero, Bits, Block, EnumSignal, MemoryStyle, Module,
    Shape, Signal, Value,
};
use rtl_prim::{fifo_bits, fifo_of, one_hot};
use std::mem::offset_of;

#[cfg(test)]
pub(crate) mod bench;

/// Bits of the number of a slot.
const SLOT_BITS: u32 = 6;
/// The bit of a tag that says that the move does not belong to a phase of a channel.
const FILLER_BIT: u32 = 9;
/// The bit of the tag of a move that says that it is the last of its phase.
const LAST_BIT: u32 = 7;
/// Bits of an address in a unit.
const UNIT_ADDRESS_BITS: u32 = UNIT_BYTES.trailing_zeros();
/// Bits of an address in a spare.
const SPARE_ADDRESS_BITS: u32 = SPARE_BYTES.trailing_zeros();
/// Bits of the number of a unit in its page.
const PAGE_UNIT_BITS: u32 = address_width(UNITS_PER_PAGE);
/// Bits of the marks of all units of a page, and where they begin in the spare.
const MARKS_BITS: u32 = UNITS_PER_PAGE * UNIT_SECTORS;
const MARKS_START: u32 = 8 * offset_of!(Spare, bad_sectors) as u32;
/// Spares that are awaited: one of each channel.
const SPARES: u32 = 16;

/// Clocks that a unit waits for the next of its page, with which it is read: those of a command come one by one, and the controller reads the list of PRPs
/// after the first, which takes it 210 clocks from a host that answers in 200. A second array time costs 10,000.
pub const PATIENCE: u32 = 256;

/// The parameters of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The flash. Blocks have a power of two pages.
    pub geometry: Geometry,
    /// Fills in flight: a power of two of at most 64.
    pub slots: u32,
    /// Address of the first line of the cache.
    pub lines_base: u64,
    /// Address of the first unit of the flash.
    pub units_base: u64,
    /// Address of the first spare of the flash.
    pub spares_base: u64,
    /// Clocks that a unit waits for the next of its page; 0: only those that come during the division are read with it.
    pub patience: u32,
}

hw_bundle! {
    /// A unit to be read, before its place is known.
    struct Looking {
        slot: Bits<6>,
        entry: Bits<32>,
    }
}

hw_bundle! {
    /// A line to be filled without the flash.
    struct Filler {
        slot: Bits<6>,
        /// It cannot be read.
        bad: Bits<1>,
    }
}

hw_enum! {
    /// `Rest -> Divide -> Ask -> Rest`. In the last two the next unit of the page may join.
    pub enum State {
        /// Leaves with a unit.
        Rest,
        /// Leaves when the number of the page is divided by that of the planes.
        Divide,
        /// Leaves when no other unit is waited for, and the channel has been told.
        Ask,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Filling {
    config: Config,
}

impl Filling {
    /// A block of these parameters.
    ///
    /// # Panics
    /// If blocks have not a power of two pages, or there are too many slots.
    pub fn new(config: Config) -> Self {
        assert!(config.geometry.pages_per_block.is_power_of_two());
        assert!(config.slots.is_power_of_two() && config.slots <= 1 << SLOT_BITS);
        Self { config }
    }
}

impl Block for Filling {
    fn name(&self) -> String {
        let Config { geometry, slots, lines_base, units_base, spares_base, patience } = self.config;
        let Geometry { channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block } = geometry;
        let flash = format!("{channels}_{dies_per_channel}_{planes_per_die}_{blocks_per_plane}_{pages_per_block}");
        format!("fill_{flash}_n{slots}_b{lines_base:x}_{units_base:x}_{spares_base:x}_p{patience}")
    }

    fn description(&self) -> String {
        "Fills lines of the cache from the flash.".into()
    }

    fn build(&self, m: &Module) {
        let Config { geometry, slots, lines_base, units_base, spares_base, patience } = self.config;
        let slot_bits = address_width(slots);
        let page_index_bits = address_width(geometry.pages() as u32);
        let plane_index_bits = address_width(geometry.planes());
        let page_bits = address_width(geometry.pages_per_block);

        // 1. Ports
        let clock = m.clock();
        let fill = m.stream_in::<Fill>("fill");
        let found = m.stream_in::<Answer>("found");
        let transfer = m.stream_in::<Transfer>("transfer");
        let done = m.stream_in::<Done>("done");
        let moved = m.stream_in::<Moved>("moved");
        let retry = m.input("retry", 1);
        let epoch = m.input("epoch", 1);
        let filled = m.stream_out_single::<Filled>("filled");
        let look_up = m.stream_out_single::<Request>("look_up");
        let heard = m.stream_out_single::<Heard>("heard");
        let command = m.stream_out_single::<Command>("command");
        let through = m.stream_out_single::<Through>("through");
        let job = m.stream_out_single::<MoveJob>("job");
        let spares = Axi4::manager(m, "spares", MEMORY);
        spares.aw.never();
        spares.w.never();
        spares.b.take();

        // 2. State
        let state = m.reg("state", clock, State::Rest);
        // Slots: those that were never used count up, the others wait in a FIFO.
        let fresh = m.reg("fresh", clock, zero(slot_bits + 1));
        let free = fifo_bits(m, "free", slot_bits, slots);
        let fills = m.memory("fills", Fill::WIDTH, slots, MemoryStyle::Distributed);
        let entries = m.memory("entries", 32, slots, MemoryStyle::Distributed);
        let failures = m.memory("failures", 1, slots, MemoryStyle::Distributed);
        // Fills whose map page is not there; how many, and how many of them are still to be looked up once more.
        let absent = fifo_bits(m, "absent", slot_bits, slots);
        let absent_count = m.reg("absent_count", clock, zero(slot_bits + 1));
        let retries = m.reg("retries", clock, zero(slot_bits + 1));
        // The epoch of each look-up, and how many of each have not ended.
        let epochs = m.memory("epochs", 1, slots, MemoryStyle::Distributed);
        let inside = ["inside_0", "inside_1"].map(|name| m.reg(name, clock, zero(slot_bits + 1)));
        let looking = fifo_of::<Looking>(m, "looking", slots);
        let fillers = fifo_of::<Filler>(m, "fillers", slots);
        // The read that is being put together: its page, its first unit and the one that would follow its last (that behind the page never comes), the slots
        // of both, and for how long it waits.
        let page = m.reg_without_reset("page", clock, 32 - PAGE_UNIT_BITS);
        let first_unit = m.reg_without_reset("first_unit", clock, PAGE_UNIT_BITS);
        let next_unit = m.reg_without_reset("next_unit", clock, PAGE_UNIT_BITS + 1);
        let first_slot = m.reg_without_reset("first_slot", clock, slot_bits);
        let last_slot = m.reg_without_reset("last_slot", clock, slot_bits);
        let patience_left = m.reg("patience_left", clock, zero(address_width(patience + 1)));
        // Of each slot that is read, whether another one follows in the same read, and which.
        let successors = m.memory("successors", 1 + slot_bits, slots, MemoryStyle::Distributed);
        // The division: what is left of the number, and the quotient, which takes its place bit by bit.
        let left = m.reg_without_reset("left", clock, plane_index_bits + 1);
        let quotient = m.reg_without_reset("quotient", clock, page_index_bits);
        let bits_left = m.reg("bits_left", clock, zero(address_width(page_index_bits + 1)));
        // The read whose jobs are being given, and the read that ends: the slot whose turn it is.
        let gives = m.reg("gives", clock, false);
        let giving_slot = m.reg_without_reset("giving_slot", clock, slot_bits);
        let giving_tag = m.reg_without_reset("giving_tag", clock, 16);
        let giving_bad = m.reg_without_reset("giving_bad", clock, 1);
        let ending = m.reg("ending", clock, false);
        let ending_read = m.reg_without_reset("ending_read", clock, slot_bits);
        let ending_slot = m.reg_without_reset("ending_slot", clock, slot_bits);
        let ending_refused = m.reg_without_reset("ending_refused", clock, 1);
        // Spares: whether that of the read whose jobs are given is still to be asked for, the first slots of the reads whose spares are awaited, and, by that slot,
        // whether it has come, and the marks in it, above them whether it could be read.
        let asks_spare = m.reg("asks_spare", clock, false);
        let awaited = fifo_bits(m, "awaited", slot_bits, SPARES);
        let has_marks = m.reg("has_marks", clock, zero(slots));
        let marks = m.memory("marks", MARKS_BITS + 1, slots, MemoryStyle::Distributed);
        // The ends of reads have every second clock, all that could meet with them the others.
        let completion_turn = m.reg("completion_turn", clock, false);

        // 3. Conditions: fills that begin, and those that are looked up once more
        let is_fresh = m.wire("is_fresh", fresh.ne(slots));
        let slot_waits = is_fresh | free.valid();
        let again = m.wire("again", retries.any() & absent.valid() & look_up.can_take());
        when(slot_waits & look_up.can_take() & !again, || fill.take());
        let begins = m.wire("begins", fill.taken());
        let new_slot = m.wire("new_slot", is_fresh.mux(fresh.low(slot_bits), free.payload()));
        let again_slot = absent.payload();
        let again_fill = Fill::unpack(fills.lookup(again_slot));

        // Conditions: what the page map says
        let answer = found.payload();
        let can_look = looking.can_push() & fillers.can_push() & absent.can_push();
        when(heard.can_take() & can_look & !completion_turn, || found.take());
        let answered = m.wire("answered", found.taken());
        let found_slot = answer.tag.low(slot_bits);
        let is_absent = m.wire("is_absent", answer.outcome.is(page_map::Outcome::Absent));
        let is_done = m.wire("is_done", answer.outcome.is(page_map::Outcome::Done));
        let is_mapped = m.wire("is_mapped", answer.entry.ne(UNMAPPED));
        let in_flash = m.wire("in_flash", answer.entry.lt((geometry.pages() * u64::from(UNITS_PER_PAGE)) as u32));
        let is_read = m.wire("is_read", answered & is_done & in_flash);
        let is_filler = m.wire("is_filler", answered & !is_absent & !(is_done & in_flash));
        let found_fill = Fill::unpack(fills.lookup(found_slot));

        // Conditions: which units are read together
        let unit = looking.payload();
        let unit_page = unit.entry.bits(PAGE_UNIT_BITS..32);
        let unit_of_page = unit.entry.low(PAGE_UNIT_BITS);
        let begins_read = m.wire("begins_read", state.is(State::Rest) & looking.valid());
        let follows = m.wire("follows", unit_page.eq(page) & unit_of_page.zext(PAGE_UNIT_BITS + 1).ge(next_unit));
        let joins = m.wire("joins", !state.is(State::Rest) & looking.valid() & follows);
        let is_full = next_unit.eq(UNITS_PER_PAGE);
        let waits = m.wire("waits", patience_left.any() & !looking.valid() & !is_full);

        // Conditions: the place
        let shifted = m.wire("shifted", cat(&[left.low(plane_index_bits), quotient.bit(page_index_bits - 1)]));
        let goes_in = m.wire("goes_in", shifted.ge(geometry.planes()));
        let reduced = shifted - geometry.planes();
        let asks = m.wire("asks", state.is(State::Ask) & command.can_take() & !joins & !waits);
        let place = m.wire("place", place_of(&geometry, left.low(plane_index_bits)));
        let [channel, die, plane] = [place.bits(0..4), place.bits(4..6), place.bit(6)];

        // Conditions: jobs. Those of a channel first, because its bus waits.
        let announced = transfer.payload();
        when(!gives, || transfer.take());
        let announces = m.wire("announces", transfer.taken());
        let can_ask = spares.ar.can_take() & awaited.can_push();
        let gives_read = m.wire("gives_read", gives & job.can_take() & (!asks_spare | can_ask));
        let asks_for_spare = m.wire("asks_for_spare", gives_read & asks_spare);
        let gives_filler = m.wire("gives_filler", fillers.valid() & job.can_take() & !gives);
        let job_slot = m.wire("job_slot", gives.mux(giving_slot, fillers.payload().slot.low(slot_bits)));
        let job_fill = m.wire("job_fill", Fill::unpack(fills.lookup(job_slot)));
        let job_entry = entries.lookup(job_slot);
        let giving_successor = m.wire("giving_successor", successors.lookup(giving_slot));
        let gives_last = m.wire("gives_last", !giving_successor.bit(slot_bits));

        // Conditions: spares, which come in the order in which they were asked for
        spares.r.take();
        let spare_comes = m.wire("spare_comes", spares.r.taken());
        let beat = spares.r.payload();
        let new_marks = beat.data.bits(MARKS_START..MARKS_START + MARKS_BITS);

        // Conditions: ends. A filler ends with its move, the units of a read one by one after its completion.
        let end = moved.payload();
        let is_end_of_filler = m.wire("is_end_of_filler", end.tag.bit(FILLER_BIT));
        when(through.can_take() & filled.can_take() & free.can_push() & !completion_turn, || moved.take());
        let is_moved = m.wire("is_moved", moved.taken());
        let filler_ends = m.wire("filler_ends", is_moved & is_end_of_filler);
        when(!ending, || done.take());
        let completes = m.wire("completes", done.taken());
        let completion = done.payload();
        let outcome = completion.tag.bit(8).mux(completion.outcome_1, completion.outcome_0);
        let has_room = filled.can_take() & free.can_push() & fillers.can_push();
        let is_known = m.wire("is_known", ending_refused | has_marks.word(ending_read, 1));
        let unit_ends = m.wire("unit_ends", ending & has_room & completion_turn & is_known);
        let read_ends = m.wire("read_ends", unit_ends & !ending_refused);
        let ending_successor = m.wire("ending_successor", successors.lookup(ending_slot));
        let ends = m.wire("ends", filler_ends | read_ends);
        // Which of both it could be is known from the turn.
        let end_slot = m.wire("end_slot", completion_turn.mux(ending_slot, end.tag.low(slot_bits)));
        let end_fill = m.wire("end_fill", Fill::unpack(fills.lookup(end_slot)));
        let end_failed = m.wire("end_failed", completion_turn.mux(failures.lookup(end_slot), end.failed));
        let page_marks = m.wire("page_marks", marks.lookup(ending_read));
        let unit_of_end = entries.lookup(ending_slot).low(PAGE_UNIT_BITS);
        let unit_marks = page_marks.low(MARKS_BITS).word(unit_of_end, UNIT_SECTORS);
        let end_lost = m.wire("end_lost", end_failed | (page_marks.bit(MARKS_BITS) & completion_turn));
        let end_bad =
            m.wire("end_bad", end_lost.repeat(UNIT_SECTORS) | (unit_marks & completion_turn.repeat(UNIT_SECTORS)));
        let below = |count: Signal| cat(&(0..UNIT_SECTORS).rev().map(|n| count.gt(n)).collect::<Vec<_>>());
        let sector = end_fill.sector.zext(4);
        let forwarded = m.wire("forwarded", below(sector + end_fill.sectors) & !below(sector));

        // 4. Next state
        completion_turn.set(!completion_turn);
        when(begins & is_fresh, || fresh.set(fresh + 1));
        when(begins & !is_fresh, || free.take());
        fills.write(clock, begins, new_slot, fill.payload().pack());
        when(again, || absent.take());
        let goes_absent = m.wire("goes_absent", answered & is_absent);
        when(goes_absent, || absent.push(found_slot));
        absent_count.set(absent_count + goes_absent.zext(slot_bits + 1) - again.zext(slot_bits + 1));
        when(again, || retries.set(retries - 1));
        when(retry, || retries.set(absent_count));

        let look_slot = again.mux(again_slot, new_slot);
        epochs.write(clock, begins | again, look_slot, epoch);
        let [found_epoch, end_epoch] = [epochs.lookup(found_slot), epochs.lookup(end_slot)];
        for (number, inside) in (0u8..).zip(inside) {
            let count = |happens: Signal, at: Signal| (happens & at.eq(u64::from(number))).zext(slot_bits + 1);
            let left = inside - count(goes_absent, found_epoch) - count(ends, end_epoch);
            inside.set(left + count(begins | again, epoch));
        }
        entries.write(clock, answered, found_slot, answer.entry);
        when(is_read, || looking.push(Looking { slot: found_slot.zext(SLOT_BITS), entry: answer.entry }));
        when(is_filler, || {
            let bad = !is_done | is_mapped;
            fillers.push(Filler { slot: found_slot.zext(SLOT_BITS), bad });
        });
        when(patience_left.any(), || patience_left.set(patience_left - 1));
        when(begins_read | joins, || {
            looking.take();
            last_slot.set(unit.slot.low(slot_bits));
            next_unit.set(unit_of_page.zext(PAGE_UNIT_BITS + 1) + 1);
            patience_left.set(patience);
        });
        successors.write(clock, joins | asks, last_slot, cat(&[joins, unit.slot.low(slot_bits)]));
        switch(state, |s: State| match s {
            State::Rest => {
                page.set(unit_page);
                first_unit.set(unit_of_page);
                first_slot.set(unit.slot.low(slot_bits));
                left.set(zero(plane_index_bits + 1));
                quotient.set(unit_page.low(page_index_bits));
                bits_left.set(page_index_bits);
                when(begins_read, || state.goto(State::Divide));
            }
            State::Divide => {
                left.set(goes_in.mux(reduced, shifted));
                quotient.set(cat(&[quotient.low(page_index_bits - 1), goes_in]));
                bits_left.set(bits_left - 1);
                when(bits_left.eq(1), || state.goto(State::Ask));
            }
            State::Ask => {
                when(asks, || state.goto(State::Rest));
            }
        });

        when(announces, || {
            gives.set(true);
            asks_spare.set(true);
            giving_slot.set(announced.tag.low(slot_bits));
            giving_tag.set(announced.tag);
            giving_bad.set(announced.uncorrectable.any());
        });
        when(gives_read, || {
            gives.set(!gives_last);
            giving_slot.set(giving_successor.low(slot_bits));
        });
        when(asks_for_spare, || {
            asks_spare.set(false);
            awaited.push(giving_slot);
        });
        when(spare_comes, || awaited.take());
        let mask = |enable: Signal, slot: Signal| one_hot(slot, slots) & enable.repeat(slots);
        has_marks.set((has_marks & !mask(asks_for_spare, giving_slot)) | mask(spare_comes, awaited.payload()));
        marks.write(clock, spare_comes, awaited.payload(), cat(&[resp::is_error(beat.resp), new_marks]));
        when(gives_filler, || fillers.take());
        failures.write(clock, is_moved, end.tag.low(slot_bits), end.failed);
        when(completes, || {
            ending.set(true);
            ending_read.set(completion.tag.low(slot_bits));
            ending_slot.set(completion.tag.low(slot_bits));
            ending_refused.set(outcome.bits(4..8).eq(u64::from(REFUSED >> 4)));
        });
        when(unit_ends, || {
            ending.set(ending_successor.bit(slot_bits));
            ending_slot.set(ending_successor.low(slot_bits));
        });
        when(unit_ends & ending_refused, || {
            fillers.push(Filler { slot: ending_slot.zext(SLOT_BITS), bad: lit(1u8, 1) });
        });
        when(ends, || free.push(end_slot));

        // 5. Outputs
        let quiet = m.reg("quiet_now", clock, false);
        quiet.set(!epoch.mux(inside[0], inside[1]).any());
        m.output("quiet", quiet);
        let of_unit = |slot: Signal, unit: Signal| Request {
            tag: slot.zext(8),
            operation: EnumSignal::of(page_map::Operation::LookUp),
            unit,
            old: lit(0u8, 32),
            new: lit(0u8, 32),
        };
        when(begins, || look_up.offer(of_unit(new_slot, fill.payload().unit)));
        when(again, || look_up.offer(of_unit(again_slot, again_fill.unit)));
        when(goes_absent, || {
            heard.offer(Heard {
                code: lit(event::MAP_NEEDED, 8),
                tag: lit(0u8, 8),
                argument: found_fill.unit.bits(MAP_ENTRIES.trailing_zeros()..32).low(16),
                first: lit(0u8, 32),
                body: lit(0u8, 128),
            });
        });
        when(asks, || {
            let stripe = quotient.zext(32);
            let block = stripe.bits(page_bits..32).zext(32).low(16);
            let tag = cat(&[channel, lit(0u8, 3), plane, lit(0u8, 2), first_slot.zext(SLOT_BITS)]);
            command.offer(Command {
                tag,
                die,
                operation: lit(Operation::Read.code(), 3),
                planes: cat(&[plane, !plane]),
                block_0: block,
                block_1: block,
                page: stripe.low(page_bits).zext(16),
                first_unit,
                units: next_unit - first_unit.zext(PAGE_UNIT_BITS + 1),
            });
        });
        when(gives_read | gives_filler, || {
            let of_phase = giving_tag.bits(LAST_BIT + 1..16);
            let read_tag = cat(&[of_phase, gives_last, lit(0u8, LAST_BIT - slot_bits), giving_slot]);
            let filler_tag = cat(&[lit(1u8, 1), lit(0u8, FILLER_BIT)]).zext(16) | job_slot.zext(16);
            let address = |number: Signal, base: u64| cat(&[number, lit(0u8, UNIT_ADDRESS_BITS)]).zext(64) + base;
            let sector_beats = SECTOR_BEATS.trailing_zeros();
            let beats = cat(&[job_fill.sectors, lit(0u8, sector_beats)]);
            job.offer(MoveJob {
                tag: gives.mux(read_tag, filler_tag),
                source: address(job_entry, units_base),
                sink: address(job_fill.line, lines_base),
                zeroes: !gives,
                bad: gives.mux(giving_bad, fillers.payload().bad),
                forward_tag: job_fill.tag,
                forward_beat: cat(&[job_fill.sector, lit(0u8, sector_beats)]),
                forward_beats: beats & job_fill.forward.repeat(7),
            });
        });
        when(asks_for_spare, || {
            let page = job_entry.bits(PAGE_UNIT_BITS..32);
            let address = cat(&[page, lit(0u8, SPARE_ADDRESS_BITS)]).zext(64) + spares_base;
            spares.ar.offer(MEMORY.whole_beats(lit(0u8, 1), address, lit(0u8, 8), lit(0u8, 1)));
        });
        when(is_moved & !is_end_of_filler & end.tag.bit(LAST_BIT), || {
            through.offer(Through { channel: end.tag.bits(CHANNEL_BITS) })
        });
        when(ends, || {
            filled.offer(Filled {
                line: end_fill.line,
                bad: end_bad,
                forward: end_fill.forward,
                tag: end_fill.tag,
                failed: (end_bad & forwarded).any() & end_fill.forward,
                lost: end_lost,
            });
        });
    }
}

/// The code of an outcome of a command that was refused, with the violation in its lower half.
const REFUSED: u8 = Outcome::Refused(flash_spec::Violation::OutOfRange).code();
