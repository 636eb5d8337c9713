//! # Commit
//!
//! Makes programs count: changes the map by compare-and-swap, writes each change into the log, counts the valid units of super-blocks, and tells what became
//! of lines, moves and programs.
//!
//! ## Symbol
//! ```text
//!                  +--- commit ---+
//!        result ->-|              |->- progress     to the page cache
//!       settled ->-|              |->- resolved     to `PageRead`
//!          trim ->-|              |->- ended        to `WritePoint`
//!        mapped ->-|              |->- heard
//!          said ->-|              |->- map          to the page map
//!       reserve -->|              |---> has_room, host_units
//! next_sequence -->|              |---> waits_for, presented, host_failure
//!       covered -->|              |---> appended, durable, durable_covered
//!      may_trim -->|              |---> last_trim, last_trim_sequence
//!       settles -->|              |---> trims_are_durable, flush_waits
//!      valid_at -->|              |---> valid_units
//!                  |              |---> lost        a write of the log, or a read of the map, has failed
//!                  |              |=== memory       AXI4 manager
//!                  +--------------+
//! ```
//! ## Theory of operation
//! 1. Results are worked on one at a time, in their order. A unit of the host is put into the map whatever was there: the swap is tried again with what it
//!    found. A moved unit is put there only if the unit it is a copy of is still the one that counts.
//! 2. A change takes one from the count of the super-block that held the unit before, and gives one to the count of that which holds it now. The number of a
//!    super-block is a quotient, which comes [`QUOTIENT_BITS_PER_CLOCK`] bits in each clock.
//! 3. A change is an entry of the log. Two buffers take turns: one is filled, the other, closed, is written to the flash by firmware. A buffer is closed when
//!    it is full or firmware wants it, as soon as the other one is free and the memory has answered all writes: then firmware hears `LOG_CLOSED`.
//! 4. Who starts a program keeps room for its units by `reserve`, and only while there `has_room`; each `Unit` of a result gives up the room of one. A result
//!    or an entry of firmware waits if the log is full all the same.
//! 5. What firmware says is done between results, in turn with them, and is offered until it is done. `CLOSE_LOG` and `LOG_DURABLE` are done when they are
//!    noted. The entries of a map page that is `MAP_PRESENT` are counted one by one, with results in between; then the page is attached, and, if it is dirty,
//!    its first entry is swapped with itself, which marks the page.
//! 6. Firmware hears of the planes that a program has failed in, which it retires. A program that the array refused has failed too, and its planes get no more;
//!    but nothing is known against their blocks: that of the plane that failed before is told already, and the other one is as good as ever.
//! 7. `settled` goes to `progress` unchanged, behind what is told of all results before.
//! 8. A trim puts no place into the map, whatever was there: it is looked up, swapped, and swapped again if another came between. A unit that has no place is
//!    left as it is. Nothing is programmed for a trim, so it comes by a stream of its own, while no page is issued (`may_trim`): all pages that may hold the unit
//!    have lesser sequences than `next_sequence` in that clock, which is kept, with the number of entries up to its own. Trims are durable when firmware has
//!    written a record with these entries that covers these pages: then a mount finds no place, and does not look at the pages. While somebody settles and they
//!    are not, the buffer of the log is closed.
//!
//! ## Timing
//! A trim takes 5 clocks, or 13 and those of a quotient if the unit has a place, and twice the answer of the page map.
//! A unit takes 10 clocks, one for each clock of its two quotients, and the answer of the page map; any other result 2. An entry of a map page takes 4 clocks
//! and those of its quotient, or 2 if it is no unit of the flash; each sixteenth of the page waits for the memory once. A result waits for what firmware
//! says as long as for such an entry, and once for each map page for the three answers of the page map at its end.
//! `valid_units` belongs to `valid_at` three clocks later, and follows a change as fast. After reset the counts are cleared, one in each clock.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! Blocks have a power of two pages. Entries of a map page that lie beyond the flash count nowhere. A write or a read that the memory refuses sets `lost` for a
//! clock, and nothing else: the entry is missing in the log, or the count is wrong. A host's unit whose map page is not there has failed; so has a moved one.
//! `said` carries no other codes than `MAP_PRESENT`, `APPEND_LOG`, `CLOSE_LOG` and `LOG_DURABLE`. `valid_at` is a super-block that exists.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::page_map::{self, Answer, Operation, Request};
use crate::place::{page_index, PageAt};
use crate::types::{
    map_user, Ended, Heard, ProgramResult, ProgramStep, Progress, Purpose, Resolved, Said, Step, Trim, LINE_BITS,
    MAP_USER_BITS, MEMORY, PROGRAM_UNITS, SEQUENCE_BITS,
};
use flash_spec::fast_path::wire::{command, event};
use flash_spec::fast_path::{FIRMWARE_LOG_ENTRIES, LOG_BUFFERS, MAP_FIRST};
use flash_spec::limits::{PAGE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::record::{LogEntry, LogHeader, LOG_ENTRIES, MAP_ENTRIES, MAP_ENTRY_BYTES, SUPER_BLOCKS_MAX, UNMAPPED};
use flash_spec::{Geometry, Outcome, Violation};
use nvme_hw::types::{BEAT_BITS, BEAT_BYTES};
use rtl_bus::{resp, Axi4, WriteData};
use rtl_hdl::{
    address_width, cat, constant, hw_enum, lit, switch, when, zero, Block, EnumSignal, MemoryStyle, Module, Signal,
};

#[cfg(test)]
pub(crate) mod bench;

/// Bits of a quotient that are found in a clock.
pub const QUOTIENT_BITS_PER_CLOCK: u32 = 3;
/// Most units for which room can be kept in the log.
pub const RESERVED_MAX: u32 = 1024;
/// Width of a count of the units of a super-block.
pub const VALID_BITS: u32 = 20;

/// The code of an outcome of a program that was refused, with the violation in its lower half.
const REFUSED: u8 = Outcome::Refused(Violation::NotErased).code();
/// Bits of an entry of the map.
const ENTRY_BITS: u32 = 8 * MAP_ENTRY_BYTES;
/// Beats of a map page that are read at once.
const BURST_BEATS: u32 = 16;
/// Bits of the number of one of their entries.
const BURST_ENTRY_BITS: u32 = address_width(BURST_BEATS * BEAT_BYTES / MAP_ENTRY_BYTES);
/// Bits of the number of an entry in its beat.
const LANE_BITS: u32 = address_width(BEAT_BYTES / MAP_ENTRY_BYTES);
/// Bits of the number of an entry in its map page.
const PAGE_ENTRY_BITS: u32 = address_width(MAP_ENTRIES);
/// Bits of the number of entries of a buffer of the log.
const COUNT_BITS: u32 = address_width(LOG_ENTRIES + 1);
/// Bytes of an entry of the log.
const LOG_ENTRY_BYTES: u32 = size_of::<LogEntry>() as u32;
/// Bits of the place of an entry of the log in its beat.
const LOG_LANE_BITS: u32 = address_width(BEAT_BYTES / LOG_ENTRY_BYTES);
/// Bits of the place of an entry in a buffer of the log, counted in entries.
const POSITION_BITS: u32 = address_width(PAGE_BYTES / LOG_ENTRY_BYTES);
/// The place of the first entry.
const FIRST_POSITION: u32 = size_of::<LogHeader>() as u32 / LOG_ENTRY_BYTES;
const _: () = assert!(LOG_BUFFERS == 2, "one bit says which is filled");
const _: () = assert!(UNMAPPED == u32::MAX, "a trim sets all bits of an entry");

/// The parameters of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The flash. Blocks have a power of two pages.
    pub geometry: Geometry,
    /// Address of the first line of the cache; a multiple of the size of a unit.
    pub lines_base: u64,
    /// Address of the first shared page: see [`flash_spec::fast_path::Buffer::number`].
    pub shared_base: u64,
}

hw_enum! {
    /// Of a unit: `Idle -> Ask -> Answer -> (Load -> Divide -> Read -> Count) twice -> Log -> Tell -> Idle`. Of an entry of a map page:
    /// `Idle -> Load -> Divide -> Read -> Count -> Idle`. A number that is no unit of the flash skips from `Load` behind `Count`. Of a trim as of a unit, with
    /// `Ask -> Answer` once more at first, or `Idle -> Ask -> Answer -> Tell -> Idle`.
    pub enum State {
        /// After reset. Leaves when the counts are cleared.
        Sweep,
        /// Chooses what to do. Closes a buffer of the log.
        Idle,
        /// Passes on what has settled. Leaves in one clock.
        Pass,
        /// Leaves with a question to the page map.
        Ask,
        /// Leaves with the answer.
        Answer,
        /// An entry is to be divided. Leaves in one clock.
        Load,
        /// Leaves when the number of its super-block is found.
        Divide,
        /// The count of the super-block is being read. Leaves in one clock.
        Read,
        /// It is written. Leaves in one clock.
        Count,
        /// Leaves with an entry of the log.
        Log,
        /// Firmware hears of a plane that failed. Leaves in one clock.
        Fail,
        /// Tells what has become of the result. Leaves in one clock, in which what was worked on is taken.
        Tell,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Commit {
    config: Config,
}

impl Commit {
    /// A block of these parameters.
    ///
    /// # Panics
    /// If blocks have not a power of two pages, or there are too many super-blocks.
    pub fn new(config: Config) -> Self {
        assert!(config.geometry.pages_per_block.is_power_of_two());
        assert!(config.geometry.blocks_per_plane <= SUPER_BLOCKS_MAX);
        assert!(config.lines_base.is_multiple_of(UNIT_BYTES.into()));
        Self { config }
    }
}

impl Block for Commit {
    fn name(&self) -> String {
        let Config { geometry, lines_base, shared_base } = self.config;
        let Geometry { channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block } = geometry;
        let flash = format!("{channels}_{dies_per_channel}_{planes_per_die}_{blocks_per_plane}_{pages_per_block}");
        format!("commit_{flash}_b{lines_base:x}_{shared_base:x}")
    }

    fn description(&self) -> String {
        "Puts what was programmed into the map and the log.".into()
    }

    fn build(&self, m: &Module) {
        let Config { geometry, lines_base, shared_base } = self.config;
        let flash_units = (geometry.pages() * u64::from(UNITS_PER_PAGE)) as u32;
        // A number of a unit is divided by the units of a super-block: an odd number, shifted.
        let super_block_units = geometry.planes() * geometry.pages_per_block * UNITS_PER_PAGE;
        let shift = super_block_units.trailing_zeros();
        let divisor = super_block_units >> shift;
        let block_bits = address_width(geometry.blocks_per_plane);
        let steps = block_bits.div_ceil(QUOTIENT_BITS_PER_CLOCK);
        let quotient_bits = steps * QUOTIENT_BITS_PER_CLOCK;
        let rest_bits = address_width(divisor);

        // 1. Ports
        let clock = m.clock();
        let results = m.stream_in::<ProgramResult>("result");
        let settled = m.stream_in::<Progress>("settled");
        let trims = m.stream_in::<Trim>("trim");
        let mapped = m.stream_in::<Answer>("mapped");
        let commands = m.stream_in::<Said>("said");
        let reserve = m.input("reserve", 4);
        let next_sequence = m.input("next_sequence", SEQUENCE_BITS);
        let covered = m.input("covered", SEQUENCE_BITS);
        let may_trim = m.input("may_trim", 1);
        let settles = m.input("settles", 1);
        let valid_at = m.input("valid_at", 16);
        let progress = m.stream_out_single::<Progress>("progress");
        let resolved = m.stream_out_single::<Resolved>("resolved");
        let ended = m.stream_out_single::<Ended>("ended");
        let heard = m.stream_out_single::<Heard>("heard");
        let map = m.stream_out_single::<Request>("map");
        let memory = Axi4::manager(m, "memory", MEMORY);
        let result = results.payload();
        let said = commands.payload();
        let trim = trims.payload();
        let answer = mapped.payload();

        // 2. State
        let state = m.reg("state", clock, State::Sweep);
        // What is worked on, or was last: what firmware says, a trim, or a result.
        let of_said = m.reg("of_said", clock, false);
        let of_trim = m.reg("of_trim", clock, false);
        // What the page map is asked, and the entry it is to find.
        let operation = m.reg("operation", clock, Operation::Swap);
        let expected = m.reg_without_reset("expected", clock, ENTRY_BITS);
        // The unit has failed.
        let failed = m.reg_without_reset("failed", clock, 1);
        // The count that changes is that of the place before.
        let is_before = m.reg_without_reset("is_before", clock, 1);
        // Firmware has heard of the lower of two planes.
        let heard_lower = m.reg("heard_lower", clock, false);
        // The division: what is left of the number, and the quotient, which takes its place. In a sweep it counts.
        let left = m.reg_without_reset("left", clock, rest_bits);
        let quotient = m.reg("quotient", clock, zero(quotient_bits));
        let steps_left = m.reg_without_reset("steps_left", clock, address_width(steps + 1));
        let style = if geometry.blocks_per_plane > 128 { MemoryStyle::Block } else { MemoryStyle::Distributed };
        let counts = m.memory("counts", VALID_BITS, geometry.blocks_per_plane, style);
        let valid_asked = m.reg("valid_asked", clock, false);
        let valid_units = m.reg("valid_units_now", clock, zero(VALID_BITS));
        // A part of a map page: whether it is on its way, which of its beats comes next, whether it is there, and the entry that is counted next.
        let beats = m.memory("beats", BEAT_BITS, BURST_BEATS, MemoryStyle::Distributed);
        let is_asked = m.reg("is_asked", clock, false);
        let beat_number = m.reg("beat_number", clock, zero(address_width(BURST_BEATS)));
        let has_beats = m.reg("has_beats", clock, false);
        let entry_number = m.reg("entry_number", clock, zero(PAGE_ENTRY_BITS));
        // The log: which buffer is filled, how many entries it has, and whether the other one is closed.
        let buffer = m.reg("buffer", clock, false);
        let entries = m.reg("entries", clock, zero(COUNT_BITS));
        let is_closed = m.reg("is_closed", clock, false);
        let close_wanted = m.reg("close_wanted", clock, false);
        let closed_covered = m.reg_without_reset("closed_covered", clock, SEQUENCE_BITS);
        let [waits_for, appended, durable, durable_covered, last_trim, last_trim_sequence] = [
            "waits_for_now",
            "appended_now",
            "durable_now",
            "durable_covered_now",
            "last_trim_now",
            "last_trim_sequence_now",
        ]
        .map(|name| m.reg(name, clock, zero(SEQUENCE_BITS)));
        let flush_waits = m.reg("flush_waits_now", clock, false);
        let reserved = m.reg("reserved", clock, zero(address_width(RESERVED_MAX + 1)));
        // Writes that the memory has not answered.
        let writing = m.reg("writing", clock, zero(4));
        let lost = m.reg("lost_now", clock, false);

        // 3. Conditions: what there is to do
        let is_idle = m.wire("is_idle", state.is(State::Idle));
        let is_unit = m.wire("is_unit", result.step.is(ProgramStep::Unit));
        let is_end = m.wire("is_end", result.step.is(ProgramStep::End));
        let is_left = m.wire("is_left", result.step.is(ProgramStep::Left));
        let of_host = m.wire("of_host", result.place.purpose.is(Purpose::Host));
        let of_firmware = m.wire("of_firmware", result.place.purpose.is(Purpose::Firmware));
        let is_refused = m.wire("is_refused", result.outcome.bits(4..8).eq(u64::from(REFUSED >> 4)));
        let tells_failure = m.wire("tells_failure", is_end & !of_firmware & result.failed.any() & !is_refused);
        let says = |code: u8| said.code.eq(code);
        let is_present = m.wire("is_present", says(command::MAP_PRESENT));
        let is_append = m.wire("is_append", says(command::APPEND_LOG));
        let is_close = m.wire("is_close", says(command::CLOSE_LOG));
        let is_durable = m.wire("is_durable", says(command::LOG_DURABLE));

        let is_full = m.wire("is_full", entries.eq(LOG_ENTRIES));
        let is_closing = m.wire("is_closing", (is_full | close_wanted | flush_waits) & !is_closed);
        let can_append = m.wire("can_append", !is_full & !is_closing);
        let closes = m.wire("closes", is_idle & is_closing & !writing.any() & heard.can_take());

        let tells = (!is_end | heard.can_take()) & progress.can_take() & resolved.can_take() & ended.can_take();
        let result_is_ready = m.wire("result_is_ready", results.valid() & tells & (!is_unit | can_append));
        let does_say = (is_append & can_append) | (is_close & !is_closing) | is_durable | (is_present & has_beats);
        let said_is_ready = m.wire("said_is_ready", commands.valid() & does_say);
        let passes = m.wire("passes", settled.valid() & progress.can_take());
        let picks = m.wire("picks", is_idle & !closes & !passes);
        let trim_is_ready = m.wire("trim_is_ready", trims.valid() & may_trim & progress.can_take() & can_append);
        let other_is_ready = m.wire("other_is_ready", result_is_ready | trim_is_ready);
        let picks_said = m.wire("picks_said", picks & said_is_ready & (!of_said | !other_is_ready));
        let picks_trim = m.wire("picks_trim", picks & trim_is_ready & !picks_said);
        let picks_result = m.wire("picks_result", picks & result_is_ready & !picks_said & !picks_trim);

        // Conditions: the page map
        let asks = m.wire("asks", state.is(State::Ask) & map.can_take());
        when(state.is(State::Answer), || mapped.take());
        let answered = m.wire("answered", mapped.taken());
        let is_done = m.wire("is_done", answer.outcome.is(page_map::Outcome::Done));
        let differs = m.wire("differs", answer.outcome.is(page_map::Outcome::Differs));
        let is_attach = m.wire("is_attach", operation.is(Operation::Attach));
        let is_look_up = m.wire("is_look_up", operation.is(Operation::LookUp));
        let marks = m.wire("marks", of_said & ((is_attach & said.tag.bit(0)) | is_look_up));
        // A trim is looked up first.
        let has_place = m.wire("has_place", is_look_up & is_done & !answer.entry.all());
        let swaps_again = m.wire("swaps_again", (of_trim & (differs | has_place)) | (!of_trim & of_host & differs));
        let asks_again = m.wire("asks_again", marks | (!of_said & swaps_again));

        // Conditions: counts
        let beat = beats.lookup(entry_number.bits(LANE_BITS..BURST_ENTRY_BITS));
        let present_entry = m.wire("present_entry", beat.word(entry_number.low(LANE_BITS), ENTRY_BITS));
        let lpn = m.wire("lpn", of_trim.mux(trim.unit, result.unit.lpn));
        let entry = m.wire("entry", result.entry | of_trim.repeat(ENTRY_BITS));
        let number = m.wire("number", of_said.mux(present_entry, is_before.mux(expected, entry)));
        let in_flash = m.wire("in_flash", number.lt(flash_units));
        let (mut rest, mut bits) = (left, quotient);
        for _ in 0..QUOTIENT_BITS_PER_CLOCK {
            let shifted = cat(&[rest, bits.bit(quotient_bits - 1)]);
            let goes_in = shifted.ge(divisor);
            rest = goes_in.mux(shifted - divisor, shifted).low(rest_bits);
            bits = cat(&[bits.low(quotient_bits - 1), goes_in]);
        }
        let is_reading = state.is(State::Read);
        let super_block = m.wire("super_block", quotient.low(block_bits));
        let count = counts.read(clock, "count", is_reading.mux(super_block, valid_at.low(block_bits)));
        let counts_now = m.wire("counts_now", state.is(State::Count));
        let counted = m.wire("counted", counts_now | (state.is(State::Load) & !in_flash));
        let loses = m.wire("loses", !of_said & is_before);
        let ends_burst = m.wire("ends_burst", entry_number.low(BURST_ENTRY_BITS).all());
        let ends_page = m.wire("ends_page", entry_number.all());

        // Conditions: the memory
        let wants_beats = commands.valid() & is_present & !is_asked & !has_beats;
        let reads = m.wire("reads", is_idle & wants_beats & memory.ar.can_take());
        memory.r.take();
        let beat_comes = m.wire("beat_comes", memory.r.taken());
        let can_write = !writing.all() & memory.aw.can_take() & memory.w.can_take();
        let logs = m.wire("logs", state.is(State::Log) & can_write);
        memory.b.take();
        let written = m.wire("written", memory.b.taken());

        let position = m.wire("position", entries.zext(POSITION_BITS) + FIRST_POSITION);

        let tells_now = m.wire("tells_now", state.is(State::Tell));
        let tells_trim = m.wire("tells_trim", tells_now & of_trim);
        let tells_result = m.wire("tells_result", tells_now & !of_said & !of_trim);
        let releases = m.wire("releases", tells_result & is_unit);
        let has_both = m.wire("has_both", result.failed.all() & !heard_lower);

        // 4. Next state
        switch(state, |s: State| match s {
            State::Sweep => {
                quotient.set(quotient + 1);
                when(quotient.all(), || state.goto(State::Idle));
            }
            State::Idle => {
                operation.goto(Operation::Swap);
                expected.set(result.unit.old);
                is_before.set(true);
                failed.set(result.failed.bit(0));
                when(passes, || state.goto(State::Pass));
                when(picks_trim, || {
                    of_said.set(false);
                    of_trim.set(true);
                    operation.goto(Operation::LookUp);
                    state.goto(State::Ask);
                });
                when(picks_result, || {
                    of_said.set(false);
                    of_trim.set(false);
                    state.goto(State::Tell);
                    when(is_unit & !result.failed.bit(0), || state.goto(State::Ask));
                    when(tells_failure, || state.goto(State::Fail));
                });
                when(picks_said, || {
                    of_said.set(true);
                    of_trim.set(false);
                    state.goto(State::Tell);
                    when(is_append, || state.goto(State::Log));
                    when(is_present, || state.goto(State::Load));
                });
            }
            State::Pass => {
                settled.take();
                progress.offer(settled.payload());
                state.goto(State::Idle);
            }
            State::Ask => {
                when(asks, || state.goto(State::Answer));
            }
            State::Answer => {
                when(answered, || {
                    expected.set(answer.entry);
                    failed.set(!is_done & !differs);
                    operation.goto(Operation::Swap);
                    when(is_attach, || operation.goto(Operation::LookUp));
                    state.goto(State::Tell);
                    when(!of_said & is_done & !is_look_up, || state.goto(State::Load));
                    when(asks_again, || state.goto(State::Ask));
                });
            }
            State::Load => {
                let dividend = number.bits(shift..ENTRY_BITS).zext(ENTRY_BITS);
                quotient.set(dividend.low(quotient_bits));
                left.set(dividend.bits(quotient_bits..quotient_bits + rest_bits));
                steps_left.set(steps);
                when(in_flash, || state.goto(State::Divide));
            }
            State::Divide => {
                quotient.set(bits);
                left.set(rest);
                steps_left.set(steps_left - 1);
                when(steps_left.eq(1), || state.goto(State::Read));
            }
            State::Read => state.goto(State::Count),
            State::Count => {}
            State::Log => {
                when(logs, || state.goto(State::Tell));
            }
            State::Fail => {
                heard_lower.set(has_both);
                state.goto(State::Tell);
                when(has_both, || state.goto(State::Idle));
            }
            State::Tell => state.goto(State::Idle),
        });
        when(counted, || {
            is_before.set(false);
            when(of_said, || {
                entry_number.set(entry_number + 1);
                when(ends_burst, || has_beats.set(false));
                operation.goto(Operation::Attach);
                state.goto(State::Idle);
                when(ends_page, || state.goto(State::Ask));
            })
            .otherwise(|| {
                state.goto(State::Log);
                when(is_before, || state.goto(State::Load));
            });
        });
        let sweeps = state.is(State::Sweep);
        let change = loses.mux(constant(&zero(VALID_BITS)) - 1, lit(1u8, VALID_BITS));
        let new_count = (count + change) & (!sweeps).repeat(VALID_BITS);
        counts.write(clock, sweeps | counts_now, super_block, new_count);
        valid_asked.set(!sweeps & !is_reading);
        when(valid_asked, || valid_units.set(count));

        when(reads, || is_asked.set(true));
        beats.write(clock, beat_comes, beat_number, memory.r.payload().data);
        when(beat_comes, || {
            beat_number.set(beat_number + 1);
            when(beat_number.all(), || {
                is_asked.set(false);
                has_beats.set(true);
            });
        });

        let does_close = m.wire("does_close", picks_said & is_close);
        let is_durable_now = m.wire("is_durable_now", picks_said & is_durable & is_closed);
        when(logs, || {
            entries.set(entries + 1);
            appended.set(appended + 1);
        });
        when(does_close, || close_wanted.set(true));
        when(closes, || {
            close_wanted.set(false);
            is_closed.set(true);
            buffer.set(!buffer);
            entries.set(zero(COUNT_BITS));
            closed_covered.set(covered);
            waits_for.set(next_sequence);
        });
        // The entries of the closed buffer end where those of the other one begin.
        when(is_durable_now, || {
            is_closed.set(false);
            durable.set(appended - entries.zext(SEQUENCE_BITS));
            durable_covered.set(closed_covered);
            waits_for.set(zero(SEQUENCE_BITS));
        });
        let trims_now = m.wire("trims_now", tells_trim & !failed);
        when(trims_now, || {
            last_trim.set(appended);
            last_trim_sequence.set(next_sequence);
        });
        let trims_are_durable = durable.ge(last_trim) & durable_covered.ge(last_trim_sequence);
        let trims_are_durable = m.wire("trims_are_durable_now", trims_are_durable);
        // A record that is closed earlier would not cover the pages.
        flush_waits.set(settles & !trims_are_durable & covered.ge(last_trim_sequence));
        reserved.set(reserved + reserve.zext(reserved.width()) - releases.zext(reserved.width()));
        writing.set(writing + logs.zext(4) - written.zext(4));
        let is_error = resp::is_error;
        lost.set((written & is_error(memory.b.payload().resp)) | (beat_comes & is_error(memory.r.payload().resp)));

        // 5. Outputs
        m.output("waits_for", waits_for);
        m.output("appended", appended);
        m.output("durable", durable);
        m.output("durable_covered", durable_covered);
        m.output("last_trim", last_trim);
        m.output("last_trim_sequence", last_trim_sequence);
        m.output("trims_are_durable", trims_are_durable);
        m.output("flush_waits", flush_waits);
        m.output("host_units", reserved);
        m.output("valid_units", valid_units);
        m.output("lost", lost);
        let other_buffer = is_closed.mux(lit(0u8, COUNT_BITS + 2), lit(LOG_ENTRIES, COUNT_BITS + 2));
        let needed = entries.zext(COUNT_BITS + 2) + reserved.zext(COUNT_BITS + 2);
        m.output("has_room", (needed + (PROGRAM_UNITS + FIRMWARE_LOG_ENTRIES)).le(other_buffer + LOG_ENTRIES));
        let registered = |name: &str, happens: Signal| {
            let now = m.reg(&format!("{name}_now"), clock, false);
            now.set(happens);
            m.output(name, now);
        };
        registered("presented", tells_now & of_said & is_present);
        let program_failed = tells_result & is_end & of_host & result.failed.any();
        registered("host_failure", program_failed | (tells_trim & failed));

        when(tells_now & of_said, || commands.take());
        when(tells_trim, || trims.take());
        when(tells_result, || results.take());
        let step = |step: Step| EnumSignal::<Step>::of(step).signal();
        let unit_step = failed.mux(step(Step::Failed), step(Step::Cleaned));
        let result_line =
            result.unit.source.low(LINE_BITS) - ((lines_base / u64::from(UNIT_BYTES)) as u32 % (1 << LINE_BITS));
        when(tells_trim | (tells_result & of_host & !is_end), || {
            progress.offer(Progress {
                step: EnumSignal::from_signal((is_left & !of_trim).mux(step(Step::Left), unit_step)),
                line: of_trim.mux(trim.line, result_line),
            });
        });
        when(releases & !of_host, || resolved.offer(Resolved { source: result.unit.source, failed }));
        let place = result.place;
        when(tells_result & is_end & !of_firmware, || {
            let (point, channel, die, failed) = (place.point, place.channel, place.die, result.failed);
            ended.offer(Ended { point, channel, die, failed });
        });
        let hears = |code: u8, tag: Signal, argument: Signal, first: Signal, body: Signal| {
            heard.offer(Heard { code: lit(code, 8), tag, argument, first, body });
        };
        let none = |width: u32| lit(0u8, width);
        when(tells_result & is_end & of_firmware, || {
            hears(event::PROGRAM_DONE, result.tag, result.outcome.zext(16), none(32), none(128));
        });
        when(state.is(State::Fail), || {
            let plane = heard_lower | !result.failed.bit(0);
            let (channel, die) = (place.channel, place.die);
            let at = PageAt { channel, die, plane, block: place.super_block, page: place.page };
            hears(event::PROGRAM_FAILED, none(8), none(16), page_index(&geometry, at), none(128));
        });
        when(closes, || {
            let body = cat(&[next_sequence.zext(64), covered.zext(64)]);
            hears(event::LOG_CLOSED, buffer.zext(8), none(16), entries.zext(32), body);
        });
        when(asks, || {
            let first_unit = cat(&[said.argument, lit(0u8, PAGE_ENTRY_BITS)]).zext(32);
            map.offer(Request {
                tag: lit(map_user::COMMIT << MAP_USER_BITS.start, 8),
                operation,
                unit: of_said.mux(first_unit, lpn),
                old: expected,
                new: of_said.mux(expected, entry),
            });
        });
        let burst = |address: Signal, base: u64, beats: u32| {
            MEMORY.whole_beats(lit(0u8, 1), address.zext(64) + base, lit(beats - 1, 8), lit(0u8, 1))
        };
        when(reads, || {
            let in_burst = BURST_ENTRY_BITS + MAP_ENTRY_BYTES.trailing_zeros();
            let part = entry_number.bits(BURST_ENTRY_BITS..PAGE_ENTRY_BITS);
            let address = cat(&[said.argument, part, lit(0u8, in_burst)]);
            memory.ar.offer(burst(address, shared_base + u64::from(MAP_FIRST * PAGE_BYTES), BURST_BEATS));
        });
        when(logs, || {
            let lane = position.low(LOG_LANE_BITS);
            let address =
                cat(&[buffer, position.bits(LOG_LANE_BITS..POSITION_BITS), lit(0u8, BEAT_BYTES.trailing_zeros())]);
            memory.aw.offer(burst(address, shared_base, 1));
            let lpn = of_said.mux(said.first, lpn);
            let entry = cat(&[of_said.mux(said.second, entry), lpn]);
            let strb = lit(0xFFu64, BEAT_BYTES).shl(cat(&[lane, lit(0u8, LOG_ENTRY_BYTES.trailing_zeros())]));
            memory.w.offer(WriteData { data: entry.repeat(BEAT_BYTES / LOG_ENTRY_BYTES), strb, last: lit(1u8, 1) });
        });
    }
}
