//! # Program
//!
//! Carries out programs: tells the array, has the units moved, makes and writes the spares, and says what came of it.
//!
//! ## Symbol
//! ```text
//!              +- program -+
//!       page ->-|           |->- command   to the array
//!       unit ->-|           |->- through
//!   transfer ->-|           |->- job       to the mover
//!       done ->-|           |->- result
//!      moved ->-|           |=== spares    AXI4 manager of the memory of the flash, writes only
//!               +-----------+
//! ```
//! ## Theory of operation
//! 1. A page gets a slot, whose number is in all tags of it. It and its units, which follow it, go into memories; then the channel is told.
//! 2. When its data goes over the bus, a job for each unit goes to the mover. The mover ends jobs in their order: each end is a result `Left`, and its CRC
//!    is kept. Transfers of other channels wait in a FIFO; their jobs follow behind those of the first.
//! 3. After the last unit the spare of each plane is put together, a word in two clocks, and written. Then the phase of the channel may end.
//! 4. When the channel has completed the program, its results are told: a `Unit` for each, if somebody waits for them, and `End`. Then the slot is free. A
//!    plane has failed if the channel says so, if one of its units could not be moved, or if its spare could not be written.
//! 5. A channel that refuses a program asks for no data. Then each unit is `Left` at the end, so that whoever gave it sees the same steps.
//!
//! The block does one of these pieces of work at a time, and begins none that has to wait for others than a memory, or who takes `through`. So a
//! receiver of results that stalls does not keep jobs away from the mover; and transfers and completions are taken in any case, because those of others
//! wait behind them.
//!
//! ## Timing
//! A unit takes 3 clocks on its way to the mover and 3 on its way back, a spare 32 and the answer of the memory, a result 3.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! Blocks have a power of two pages. Results of a program are not mixed with those of others, but while `Unit`s are told, no end of a move is taken.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::place::{page_index, PageAt};
use crate::types::{
    user, Command, Done, MoveJob, Moved, ProgramPage, ProgramResult, ProgramStep, ProgramUnit, Purpose, Through,
    Transfer, MEMORY, PROGRAM_UNITS, SEQUENCE_BITS, USER_BITS,
};
use flash_spec::limits::{CHANNELS_MAX, SPARE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::spare::{Spare, CRC_POLYNOMIAL, LPN_NONE};
use flash_spec::{Geometry, Operation, Outcome};
use rtl_bus::{resp, Axi4, WriteData};
use rtl_hdl::{
    address_width, cat, hw_bundle, hw_enum, lit, select, switch, when, zero, Bits, Block, MemoryStyle, Module, Shape,
    Signal, Value,
};
use rtl_prim::crc::{self, Crc};
use rtl_prim::{fifo_bits, fifo_of};
use std::mem::offset_of;

#[cfg(test)]
pub(crate) mod bench;

/// Bits of the number of a slot in a tag.
const SLOT_BITS: u32 = 7;
/// Bits of the number of a unit of a program; in a tag they are above the slot.
const UNIT_NUMBER_BITS: u32 = address_width(PROGRAM_UNITS);
const _: () = assert!(SLOT_BITS + UNIT_NUMBER_BITS <= USER_BITS.start);
/// Bits of an address in a unit.
const UNIT_ADDRESS_BITS: u32 = UNIT_BYTES.trailing_zeros();
/// Bits of an address in a spare.
const SPARE_ADDRESS_BITS: u32 = SPARE_BYTES.trailing_zeros();
/// Bits of the number of a unit in its page.
const PAGE_UNIT_BITS: u32 = address_width(UNITS_PER_PAGE);
/// Transfers that wait: a bus has one at a time.
const TRANSFERS: u32 = CHANNELS_MAX.next_power_of_two();
/// Bits of a word of a spare.
const WORD_BITS: u32 = u32::BITS;
/// Words of a spare.
const SPARE_WORDS: u32 = SPARE_BYTES * u8::BITS / WORD_BITS;
/// Outcomes from here on are failures.
const FAILURES: u8 = Outcome::Uncorrectable.code();

/// The words of a spare.
mod word {
    use super::{offset_of, Spare, WORD_BITS};

    const fn of(offset: usize) -> u32 {
        assert!(offset.is_multiple_of(WORD_BITS as usize / 8));
        offset as u32 / (WORD_BITS / 8)
    }
    pub(super) const LPNS: u32 = of(offset_of!(Spare, lpns));
    pub(super) const SEQUENCE: u32 = of(offset_of!(Spare, sequence));
    pub(super) const SEQUENCE_HIGH: u32 = SEQUENCE + 1;
    pub(super) const KIND: u32 = of(offset_of!(Spare, kind));
    pub(super) const UNIT_CRC: u32 = of(offset_of!(Spare, unit_crc));
    pub(super) const PAGE: u32 = of(offset_of!(Spare, page));
    pub(super) const BAD_SECTORS: u32 = of(offset_of!(Spare, bad_sectors));
    pub(super) const CRC: u32 = of(offset_of!(Spare, crc));
}

/// Jobs that a mover may have whose ends have not been taken. Whoever has room for so many ends keeps the mover from waiting for this block, which may itself wait for
/// somebody whose memory is behind that of the mover.
pub const MOVES_MAX: u32 = 32;

/// The parameters of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The flash. Blocks have a power of two pages.
    pub geometry: Geometry,
    /// Programs in flight: a power of two of at most 128.
    pub slots: u32,
    /// Address of the first unit of the flash.
    pub units_base: u64,
    /// Address of the spare of the first page of the flash.
    pub spares_base: u64,
}

hw_bundle! {
    /// A program that its channel has completed.
    struct Completed {
        slot: Bits<SLOT_BITS>,
        outcome_0: Bits<8>,
        outcome_1: Bits<8>,
    }
}

hw_bundle! {
    /// What is known of a program before it is completed.
    struct Mark {
        /// Its data has gone over the bus.
        moved: Bits<1>,
        /// The planes whose data or spare is not in memory.
        failed: Bits<2>,
    }
}

hw_enum! {
    /// From `Rest` to `Begin`, or by way of `Fetch` to what `next` says, and back; `Look -> Word`, for each word, `-> Write -> Answer`, for each spare,
    /// `-> Finish -> Rest` after the last unit of a transfer.
    pub enum State {
        /// Leaves with something to do; its slot and unit go into registers.
        Rest,
        /// A page is taken. Leaves in one clock.
        Begin,
        /// What is kept of the slot and the unit is read. Leaves in one clock.
        Fetch,
        /// The array is told. Leaves in one clock.
        Tell,
        /// A transfer is taken. Leaves in one clock, for the spares if there are no units.
        Open,
        /// A job is given. Leaves in one clock.
        Give,
        /// The end of a move is taken. Leaves in one clock, for the spares if it was the last.
        Keep,
        /// A step of a completed program is told. Leaves in one clock.
        Report,
        /// What a word of the spare is made of is read, and the word before it is checked. Leaves in one clock.
        Look,
        /// A word joins the spare. Leaves in one clock.
        Word,
        /// Leaves when the spare is on its way.
        Write,
        /// Leaves with the answer of the memory.
        Answer,
        /// Leaves when the channel has been told.
        Finish,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Programming {
    config: Config,
}

impl Programming {
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

impl Block for Programming {
    fn name(&self) -> String {
        let Config { geometry, slots, units_base, spares_base } = self.config;
        let Geometry { channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block } = geometry;
        let flash = format!("{channels}_{dies_per_channel}_{planes_per_die}_{blocks_per_plane}_{pages_per_block}");
        format!("program_{flash}_n{slots}_b{units_base:x}_{spares_base:x}")
    }

    fn description(&self) -> String {
        "Carries out programs of the flash.".into()
    }

    fn build(&self, m: &Module) {
        let Config { geometry, slots, units_base, spares_base } = self.config;
        let slot_bits = address_width(slots);
        let units_kept = slots * PROGRAM_UNITS;
        let count_bits = address_width(PROGRAM_UNITS + 1);

        // 1. Ports
        let clock = m.clock();
        let pages_in = m.stream_in::<ProgramPage>("page");
        let units_in = m.stream_in::<ProgramUnit>("unit");
        let transfer = m.stream_in::<Transfer>("transfer");
        let done = m.stream_in::<Done>("done");
        let moved = m.stream_in::<Moved>("moved");
        let command = m.stream_out_single::<Command>("command");
        let through = m.stream_out_single::<Through>("through");
        let job = m.stream_out_single::<MoveJob>("job");
        let result = m.stream_out_single::<ProgramResult>("result");
        let spares = Axi4::manager(m, "spares", MEMORY);
        spares.ar.never();
        spares.r.take();

        // 2. State
        let state = m.reg("state", clock, State::Rest);
        let next = m.reg("next_state", clock, State::Rest);
        // Slots: those that were never used count up, the others wait in a FIFO.
        let fresh = m.reg("fresh", clock, zero(slot_bits + 1));
        let free = fifo_bits(m, "free", slot_bits, slots);
        let pages = m.memory("pages", ProgramPage::WIDTH, slots, MemoryStyle::Distributed);
        let units = m.memory("units", ProgramUnit::WIDTH, units_kept, MemoryStyle::Block);
        let checks = m.memory("checks", WORD_BITS, units_kept, MemoryStyle::Block);
        let marks = m.memory("marks", Mark::WIDTH, slots, MemoryStyle::Distributed);
        let announced = fifo_bits(m, "announced", slot_bits, TRANSFERS);
        let completed = fifo_of::<Completed>(m, "completed", slots);
        // What the work is about. The number of the page in the plane of the unit is there a clock after both.
        let slot = m.reg_without_reset("slot", clock, slot_bits);
        let index = m.reg_without_reset("index", clock, UNIT_NUMBER_BITS);
        let page_number = m.reg_without_reset("page_number", clock, WORD_BITS);
        // The page whose units are awaited, and then the array is told.
        let is_coming = m.reg("is_coming", clock, false);
        let coming_slot = m.reg_without_reset("coming_slot", clock, slot_bits);
        let coming_index = m.reg_without_reset("coming_index", clock, UNIT_NUMBER_BITS);
        let coming_left = m.reg("coming_left", clock, zero(count_bits));
        // The transfer whose jobs are given: the next unit, and how many there are.
        let giving_slot = m.reg_without_reset("giving_slot", clock, slot_bits);
        let giving_index = m.reg("giving_index", clock, zero(count_bits));
        let giving_end = m.reg("giving_end", clock, zero(count_bits));
        // The step of the oldest completed program that is told next, and its unit.
        let step = m.reg("step", clock, ProgramStep::Left);
        let step_index = m.reg("step_index", clock, zero(count_bits));
        // Jobs whose ends have not been taken.
        let moving = m.reg("moving", clock, zero(address_width(MOVES_MAX + 1)));
        // The spare: its next word, the words before, and their check, in which the last of them is not.
        let word_number = m.reg("word_number", clock, zero(address_width(SPARE_WORDS)));
        let spare = m.reg_without_reset("spare", clock, SPARE_WORDS * WORD_BITS);
        let check = m.reg_without_reset("check", clock, WORD_BITS);
        let bad_sectors = m.reg_without_reset("bad_sectors", clock, WORD_BITS);

        // 3. Conditions: what is there to do
        let is_told = m.wire("is_told", step.is(ProgramStep::Left));
        let is_given = m.wire("is_given", giving_index.eq(giving_end));
        let is_fresh = m.wire("is_fresh", fresh.ne(slots));
        let can_give = m.wire("can_give", !is_given & job.can_take() & moving.ne(MOVES_MAX));
        let can_keep = m.wire("can_keep", moved.valid() & result.can_take() & is_told);
        let can_open = m.wire("can_open", announced.valid() & is_given);
        let can_report = m.wire("can_report", completed.valid() & result.can_take());
        let can_tell = m.wire("can_tell", is_coming & !coming_left.any() & command.can_take());
        let can_begin = m.wire("can_begin", pages_in.valid() & !is_coming & (is_fresh | free.valid()));

        // Conditions: what is taken in any case
        when(announced.can_push(), || transfer.take());
        when(completed.can_push(), || done.take());
        when(coming_left.any(), || units_in.take());

        // Conditions: what is known of the slot and the unit
        let page = m.wire("page_kept", ProgramPage::unpack(pages.lookup(slot)));
        let place = page.place;
        let mark = m.wire("mark", Mark::unpack(marks.lookup(slot)));
        let unit_address = m.wire("unit_address", cat(&[slot, index]));
        let unit = m.wire("unit_kept", ProgramUnit::unpack(units.read(clock, "unit_read", unit_address)));
        let unit_check = checks.read(clock, "unit_check", unit_address);
        let in_second = m.wire("in_second", index.bit(PAGE_UNIT_BITS));
        let plane = m.wire("plane", in_second | !place.planes.bit(0));
        let plane_bit = m.wire("plane_bit", cat(&[plane, !plane]));
        let entry = m.wire("entry", cat(&[page_number, index.low(PAGE_UNIT_BITS)]).low(WORD_BITS));

        // Conditions: the work
        let begins = m.wire("begins", state.is(State::Begin));
        let tells = m.wire("tells", state.is(State::Tell));
        let opens = m.wire("opens", state.is(State::Open));
        let gives = m.wire("gives", state.is(State::Give));
        let keeps = m.wire("keeps", state.is(State::Keep));
        when(begins, || pages_in.take());
        when(keeps, || moved.take());
        let is_last = m.wire("is_last", (index.zext(count_bits) + 1).eq(page.units));
        let end = moved.payload();

        // Conditions: steps of a completed program
        let reports = m.wire("reports", state.is(State::Report));
        let told_all = m.wire("told_all", step_index.eq(page.units));
        let is_awaited = m.wire("is_awaited", place.purpose.is(Purpose::Host) | place.purpose.is(Purpose::Moved));
        let skips_left = is_told & (mark.moved | told_all);
        let is_unit = m.wire("is_unit", step.is(ProgramStep::Unit));
        let skips_unit = is_unit & (!is_awaited | told_all);
        let skips = m.wire("skips", reports & (skips_left | skips_unit));
        let ends = m.wire("ends", reports & step.is(ProgramStep::End));
        let completion = completed.payload();
        let outcomes = [completion.outcome_0, completion.outcome_1];
        let is_failure = |outcome: Signal| outcome.ge(FAILURES);
        let said_failed = cat(&[is_failure(outcomes[1]), is_failure(outcomes[0])]);
        let failed = m.wire("failed", (said_failed | mark.failed) & place.planes);
        let lowest = |of_planes: [Signal; 2]| place.planes.bit(0).mux(of_planes[0], of_planes[1]);
        let said = m.wire("said", lowest(outcomes));
        let is_spoiled = lowest([mark.failed.bit(0), mark.failed.bit(1)]) & !is_failure(said);
        let outcome = m.wire("outcome", is_spoiled.mux(lit(Outcome::ProgramFailed.code(), 8), said));

        // Conditions: the spare
        let is_there = m.wire("is_there", index.zext(count_bits).lt(page.units));
        let sequence = m.wire("sequence_told", (place.sequence + in_second.zext(SEQUENCE_BITS)).zext(2 * WORD_BITS));
        let words: Vec<Signal> = (0..SPARE_WORDS)
            .map(|number| match number {
                _ if is_of_units(number, word::LPNS) => is_there.mux(unit.lpn, LPN_NONE),
                _ if is_of_units(number, word::UNIT_CRC) => unit_check & is_there.repeat(WORD_BITS),
                word::SEQUENCE => sequence.low(WORD_BITS),
                word::SEQUENCE_HIGH => sequence.bits(WORD_BITS..2 * WORD_BITS),
                word::KIND => page.kind.zext(WORD_BITS),
                word::PAGE => page_number,
                word::BAD_SECTORS => bad_sectors,
                word::CRC => !check,
                _ => lit(0u8, WORD_BITS),
            })
            .collect();
        let of_units = |first: u32| {
            let numbers: Vec<Signal> = (first..first + UNITS_PER_PAGE).map(|number| word_number.eq(number)).collect();
            cat(&numbers).any()
        };
        let is_lpn = m.wire("is_lpn", of_units(word::LPNS));
        let goes_on = m.wire("goes_on", is_lpn | of_units(word::UNIT_CRC));
        let last_word = spare.bits((SPARE_WORDS - 1) * WORD_BITS..SPARE_WORDS * WORD_BITS);
        let checked = m.wire("checked", crc::next(Crc { polynomial: CRC_POLYNOMIAL }, check, last_word));
        let writes = m.wire("writes", state.is(State::Write) & spares.aw.can_take() & spares.w.can_take());
        when(state.is(State::Answer), || spares.b.take());
        let answered = m.wire("answered", spares.b.taken());
        let is_first_of_two = m.wire("is_first_of_two", place.planes.all() & !in_second);
        let finishes = m.wire("finishes", state.is(State::Finish) & through.can_take());

        // 4. Next state
        let number =
            PageAt { channel: place.channel, die: place.die, plane, block: place.super_block, page: place.page };
        page_number.set(page_index(&geometry, number));
        let first = zero(UNIT_NUMBER_BITS);
        switch(state, |s: State| match s {
            State::Rest => {
                state.goto(State::Fetch);
                when(can_give, || {
                    slot.set(giving_slot);
                    index.set(giving_index.low(UNIT_NUMBER_BITS));
                    next.goto(State::Give);
                })
                .else_when(can_keep, || {
                    slot.set(end.tag.low(slot_bits));
                    index.set(end.tag.bits(SLOT_BITS..SLOT_BITS + UNIT_NUMBER_BITS));
                    next.goto(State::Keep);
                })
                .else_when(can_open, || {
                    slot.set(announced.payload());
                    index.set(first.clone());
                    next.goto(State::Open);
                })
                .else_when(can_report, || {
                    slot.set(completion.slot.low(slot_bits));
                    index.set(step_index.low(UNIT_NUMBER_BITS));
                    next.goto(State::Report);
                })
                .else_when(can_tell, || {
                    slot.set(coming_slot);
                    next.goto(State::Tell);
                })
                .else_when(can_begin, || {
                    slot.set(is_fresh.mux(fresh.low(slot_bits), free.payload()));
                    state.goto(State::Begin);
                })
                .otherwise(|| state.goto(State::Rest));
            }
            State::Fetch => state.set(next),
            State::Begin => {
                is_coming.set(true);
                coming_slot.set(slot);
                coming_index.set(first.clone());
                coming_left.set(pages_in.payload().units);
                when(is_fresh, || fresh.set(fresh + 1)).otherwise(|| free.take());
                state.goto(State::Rest);
            }
            State::Tell => {
                is_coming.set(false);
                state.goto(State::Rest);
            }
            State::Open => {
                announced.take();
                giving_slot.set(slot);
                giving_index.set(zero(count_bits));
                giving_end.set(page.units);
                state.goto(State::Rest);
                when(!page.units.any(), || state.goto(State::Look));
            }
            State::Give => {
                giving_index.set(giving_index + 1);
                state.goto(State::Rest);
            }
            State::Keep => {
                state.goto(State::Rest);
                when(is_last, || {
                    index.set(first.clone());
                    state.goto(State::Look);
                });
            }
            State::Report => {
                state.goto(State::Rest);
                step_index.set(step_index + 1);
                when(skips, || {
                    step_index.set(zero(count_bits));
                    when(is_told, || step.goto(ProgramStep::Unit)).otherwise(|| step.goto(ProgramStep::End));
                });
                when(ends, || {
                    step_index.set(zero(count_bits));
                    step.goto(ProgramStep::Left);
                    completed.take();
                    free.push(slot);
                });
            }
            State::Look => {
                check.set(word_number.eq(0).mux(lit(u32::MAX, WORD_BITS), checked));
                state.goto(State::Word);
            }
            State::Word => {
                spare.set(cat(&[select(&words, word_number), spare.bits(WORD_BITS..SPARE_WORDS * WORD_BITS)]));
                word_number.set(word_number + 1);
                when(goes_on, || index.set(cat(&[in_second, index.low(PAGE_UNIT_BITS) + 1])));
                when(is_lpn, || {
                    let bad = unit.bad & is_there.repeat(8);
                    bad_sectors.set(cat(&[bad, bad_sectors.bits(8..WORD_BITS)]));
                });
                state.goto(State::Look);
                when(word_number.all(), || state.goto(State::Write));
            }
            State::Write => {
                when(writes, || state.goto(State::Answer));
            }
            State::Answer => {
                when(answered, || {
                    state.goto(State::Finish);
                    when(is_first_of_two, || {
                        index.set(lit(UNITS_PER_PAGE, UNIT_NUMBER_BITS));
                        state.goto(State::Look);
                    });
                });
            }
            State::Finish => {
                when(finishes, || state.goto(State::Rest));
            }
        });
        when(units_in.taken(), || {
            coming_index.set(coming_index + 1);
            coming_left.set(coming_left - 1);
        });
        pages.write(clock, begins, slot, pages_in.payload().pack());
        units.write(clock, units_in.taken(), cat(&[coming_slot, coming_index]), units_in.payload().pack());
        moving.set(moving + gives.zext(moving.width()) - keeps.zext(moving.width()));
        checks.write(clock, keeps, unit_address, end.crc);
        when(transfer.taken(), || announced.push(transfer.payload().tag.low(slot_bits)));
        when(done.taken(), || {
            let Done { tag, outcome_0, outcome_1, .. } = done.payload();
            completed.push(Completed { slot: tag.low(SLOT_BITS), outcome_0, outcome_1 });
        });
        let is_lost = (keeps & end.failed) | (answered & resp::is_error(spares.b.payload().resp));
        let lost = m.wire("lost", is_lost);
        let marked = Mark { moved: !begins, failed: (mark.failed | plane_bit) & lost.repeat(2) };
        marks.write(clock, begins | opens | lost, slot, marked.pack());

        // 5. Outputs
        let zeroes = |width: u32| lit(0u8, width);
        let tag = |unit: Signal| {
            let user = lit(user::PROGRAM, USER_BITS.end - USER_BITS.start);
            cat(&[place.channel, user, unit, slot.zext(SLOT_BITS)])
        };
        when(tells, || {
            let operation = |operation: Operation| lit(operation.code(), 3);
            let is_of_firmware = place.purpose.is(Purpose::Firmware);
            command.offer(Command {
                tag: tag(zeroes(UNIT_NUMBER_BITS)),
                die: place.die,
                operation: is_of_firmware.mux(operation(Operation::Program), operation(Operation::CacheProgram)),
                planes: place.planes,
                block_0: place.super_block,
                block_1: place.super_block,
                page: place.page,
                first_unit: zeroes(2),
                units: zeroes(3),
            });
        });
        when(gives, || {
            let address = |number: Signal| cat(&[number, zeroes(UNIT_ADDRESS_BITS)]).zext(64);
            job.offer(MoveJob {
                tag: tag(index),
                source: address(unit.source),
                sink: address(entry) + units_base,
                zeroes: zeroes(1),
                bad: zeroes(1),
                forward_tag: zeroes(8),
                forward_beat: zeroes(6),
                forward_beats: zeroes(7),
            });
        });
        when(keeps | (reports & !skips), || {
            result.offer(ProgramResult {
                step,
                place,
                tag: page.tag,
                unit,
                entry,
                failed: step.is(ProgramStep::End).mux(failed, (failed & plane_bit & is_unit.repeat(2)).any().zext(2)),
                outcome,
            });
        });
        when(writes, || {
            let address = cat(&[page_number, zeroes(SPARE_ADDRESS_BITS)]).zext(64) + spares_base;
            spares.aw.offer(MEMORY.whole_beats(zeroes(1), address, zeroes(8), zeroes(1)));
            spares.w.offer(WriteData { data: spare, strb: lit(u64::MAX, SPARE_BYTES), last: lit(1u8, 1) });
        });
        when(finishes, || through.offer(Through { channel: place.channel }));
    }
}

/// Whether a word of the spare is one of those that belong to a unit each.
fn is_of_units(number: u32, first: u32) -> bool {
    (first..first + UNITS_PER_PAGE).contains(&number)
}
