//! # Page read
//!
//! Firmware's reads of pages, and the reading side of moves: reads pages, several times if need be, holds them against their spares, and gives the units of
//! moved pages that are still valid to whoever programs them.
//!
//! ## Symbol
//! ```text
//!              +-- page_read --+
//!      said ->-|               |->- heard
//!  transfer ->-|               |->- command    to the array
//!      done ->-|               |->- through
//!     moved ->-|               |->- job        to the mover: from the flash to the shared pages
//!     found ->-|               |->- look_up    to the page map
//!  resolved ->-|               |->- unit       to be programmed elsewhere
//!              |               |---> drains
//!              |               |=== spares     AXI4 manager, reads only: the spares of the flash
//!              |               |=== copies     AXI4 manager, writes only: the spares that firmware sees
//!              +---------------+
//! ```
//! ## Theory of operation
//! 1. What firmware says waits in two queues, one of reads and one of moves, so that neither keeps the other away. Each gets one of sixteen slots, whose
//!    number is in all tags of it. A move has the shared page of its slot.
//! 2. [`Locate`] finds the page, and its channel is told to read all of it, or a unit if firmware wants no data. Slots are read at the same time.
//! 3. When the data goes over the bus, the spare is read, and the mover copies the units. The end of both is the end of the bus phase, if that is not later.
//! 4. The end of a read is judged. One that failed is done again, up to [`READ_ATTEMPTS`] times in all. One that is good counts if its page is blank, or if
//!    the spare has its own CRC, the number of the page, and the CRCs of the units that were copied. The spare is looked at word by word.
//! 5. A read of firmware ends when its spare has been written for firmware: ones if the page is blank or cannot be read.
//! 6. The units of a moved page that are the host's are looked up, one at a time. Those that are still there are given to `unit`; when they are resolved,
//!    those that failed are looked up again. A page ends when none of its units is left.
//! 7. One machine does what 4 to 6 say, ends of reads first, then ends of units. It begins a look-up only when `unit` has room, so that it never waits for
//!    what is programmed elsewhere; all that can come meanwhile has room in queues.
//!
//! ## Timing
//! A read is judged in 20 clocks. No combinational path from any input to any output.
//!
//! ## Limits
//! Firmware has at most 64 reads and 16 moves under way, with those that wait; more than that waits at `said`. Of a page that is blank, firmware's buffer
//! and the shared page hold anything afterwards. Data of a read that cannot be corrected is not copied.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::array::CHANNEL_BITS;
use crate::locate::Locate;
use crate::page_map::{self, Answer, Request};
use crate::types::{
    map_user, user, Command, Done, Heard, Located, MoveJob, Moved, PageNumber, ProgramUnit, Resolved, Said, Through,
    Transfer, MAP_USER_BITS, MEMORY, USER_BITS,
};
use flash_spec::fast_path::{wire, MAP_FIRST, MOVES_FIRST, MOVES_MAX, READ_ATTEMPTS, REFRESH_RETRIES, TAGS};
use flash_spec::limits::{SPARE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::record::MAP_PAGES_MAX;
use flash_spec::spare::{kind, Spare, CRC_POLYNOMIAL};
use flash_spec::{Geometry, Operation, Outcome, Violation};
use rtl_bus::{resp, Axi4, WriteData};
use rtl_hdl::{
    address_width, cat, hw_bundle, hw_enum, lit, switch, when, zero, Bits, Block, EnumSignal, MemoryStyle, Module,
    Shape, Signal, Value,
};
use rtl_prim::crc::{self, Crc};
use rtl_prim::{fifo_bits, fifo_of, one_hot, priority_index};
use std::mem::offset_of;

#[cfg(test)]
pub(crate) mod bench;

/// Slots of moves, and as many of reads.
const HALF: u32 = MOVES_MAX;
/// Bits of the number of a slot; the highest says that it is a read of firmware.
const SLOT_BITS: u32 = address_width(2 * HALF);
const IS_READ_BIT: u32 = SLOT_BITS - 1;
/// Bits of the number of a unit in its page.
const UNIT_BITS: u32 = address_width(UNITS_PER_PAGE);
/// Bits of the name of a unit of a moved page: slot and unit.
const KEY_BITS: u32 = IS_READ_BIT + UNIT_BITS;
/// The bits of the tag of a job that name the unit.
const JOB_UNIT_BITS: std::ops::Range<u32> = SLOT_BITS..SLOT_BITS + UNIT_BITS;
/// The bit of the tag of a command that is its plane.
const PLANE_BIT: u32 = SLOT_BITS;
/// Bits of the number of a shared page.
const SHARED_BITS: u32 = address_width(MAP_FIRST + MAP_PAGES_MAX);
/// Bits of an address in a unit, and in a spare.
const UNIT_ADDRESS_BITS: u32 = UNIT_BYTES.trailing_zeros();
const SPARE_ADDRESS_BITS: u32 = SPARE_BYTES.trailing_zeros();
/// Bits of a spare, and its words.
const SPARE_BITS: u32 = 8 * SPARE_BYTES;
const WORD_BITS: u32 = 32;
const WORDS: u32 = SPARE_BITS / WORD_BITS;
/// Transfers that are under way: one of each channel.
pub const TRANSFERS: u32 = 16;

/// The parameters of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The flash. Blocks have a power of two pages.
    pub geometry: Geometry,
    /// Units of the host.
    pub units: u32,
    /// Address of the first unit of the flash.
    pub units_base: u64,
    /// Address of the first spare of the flash.
    pub spares_base: u64,
    /// Address of the first shared page; a multiple of the size of a page.
    pub shared_base: u64,
    /// Where the spares go that firmware sees, by the tag of the read.
    pub read_spares_base: u64,
}

hw_bundle! {
    /// Where the data of a slot goes.
    struct Target {
        copies: Bits<1>,
        /// The shared page.
        number: Bits<SHARED_BITS>,
    }
}

hw_bundle! {
    /// A read of firmware that waits for a slot.
    struct Asked {
        tag: Bits<8>,
        page: Bits<32>,
        target: Target,
    }
}

hw_bundle! {
    /// Data that is being copied.
    struct Copying {
        slot: Bits<SLOT_BITS>,
        channel: Bits<4>,
        copies: Bits<1>,
    }
}

hw_bundle! {
    /// A read that has ended.
    struct End {
        slot: Bits<SLOT_BITS>,
        outcome: Bits<8>,
        blank: Bits<1>,
    }
}

hw_bundle! {
    /// What has become of a unit.
    struct Solved {
        key: Bits<KEY_BITS>,
        failed: Bits<1>,
    }
}

hw_enum! {
    /// A read: `Rest -> Judge -> Check -> Weigh -> Write -> Answer -> Tell -> Rest`, without `Check` if there is nothing to be checked.
    /// A page that is moved: `.. Weigh -> List -> Settle -> Rest`. A unit: `Rest -> Ask -> Find -> Rest`, or `.. Find -> Count -> Settle -> Rest`.
    pub enum State {
        /// Leaves with the end of a read, with that of a unit, or with a unit to be looked up.
        Rest,
        /// Leaves to begin the read again, or with how it ended.
        Judge,
        /// A word of the spare in each clock. Leaves with the last.
        Check,
        /// What the words say together. Leaves in one clock.
        Weigh,
        /// A unit of the page in each clock. Leaves with the last.
        List,
        /// Leaves when the map has been asked for the unit.
        Ask,
        /// Leaves with the answer.
        Find,
        /// A unit is no longer left. Leaves in one clock.
        Count,
        /// How many are left is noted. Leaves when the page has ended, if none is.
        Settle,
        /// Leaves when the spare is on the bus.
        Write,
        /// Leaves when it has been written.
        Answer,
        /// Leaves when firmware hears of it.
        Tell,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct PageRead {
    config: Config,
}

impl PageRead {
    /// A block of these parameters.
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

/// The word of the spare in which a field is, or begins.
const fn word_of(offset: usize) -> u32 {
    offset as u32 * 8 / WORD_BITS
}

impl Block for PageRead {
    fn name(&self) -> String {
        let Config { geometry, units, units_base, spares_base, shared_base, read_spares_base } = self.config;
        let Geometry { channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block } = geometry;
        let flash = format!("{channels}_{dies_per_channel}_{planes_per_die}_{blocks_per_plane}_{pages_per_block}");
        format!("page_read_{flash}_u{units}_b{units_base:x}_{spares_base:x}_{shared_base:x}_{read_spares_base:x}")
    }

    fn description(&self) -> String {
        "Firmware's reads of pages, and the reading side of moves.".into()
    }

    fn build(&self, m: &Module) {
        let Config { geometry, units, units_base, spares_base, shared_base, read_spares_base } = self.config;

        // 1. Ports
        let clock = m.clock();
        let said = m.stream_in::<Said>("said");
        let transfer = m.stream_in::<Transfer>("transfer");
        let done = m.stream_in::<Done>("done");
        let moved = m.stream_in::<Moved>("moved");
        let found = m.stream_in::<Answer>("found");
        let resolved = m.stream_in::<Resolved>("resolved");
        let heard = m.stream_out_single::<Heard>("heard");
        let command = m.stream_out_single::<Command>("command");
        let through = m.stream_out_single::<Through>("through");
        let job = m.stream_out_single::<MoveJob>("job");
        let look_up = m.stream_out_single::<Request>("look_up");
        let unit_out = m.stream_out_single::<ProgramUnit>("unit");
        let spares_bus = Axi4::manager(m, "spares", MEMORY);
        let copies_bus = Axi4::manager(m, "copies", MEMORY);
        spares_bus.aw.never();
        spares_bus.w.never();
        spares_bus.b.take();
        copies_bus.ar.never();
        copies_bus.r.take();

        // 2. State: what waits, and the slots
        let reads = fifo_of::<Asked>(m, "reads", TAGS.into());
        let moves = fifo_bits(m, "moves", 32, HALF);
        let busy_reads = m.reg("busy_reads", clock, zero(HALF));
        let busy_moves = m.reg("busy_moves", clock, zero(HALF));
        // Moves that wait or are in progress.
        let moves_count = m.reg("moves_count", clock, zero(address_width(2 * HALF + 2)));
        let drains = m.reg("draining", clock, false);
        let memory = |name: &str, width: u32, depth: u32| m.memory(name, width, depth, MemoryStyle::Distributed);
        let pages = memory("pages", 32, 2 * HALF);
        let tags = memory("tags", 8, HALF);
        let targets = memory("targets", Target::WIDTH, 2 * HALF);
        let attempts = memory("attempts", ATTEMPT_BITS, 2 * HALF);
        // What was read: the spare, and the CRC of each unit, with a bit that says that it could not be read.
        let spares = memory("spares", 1 + SPARE_BITS, 2 * HALF);
        let checks = memory("checks", 1 + 32, 2 * HALF * UNITS_PER_PAGE);
        // Of a page that is moved, whether some of it could not be moved, and units that are left.
        let lefts = memory("lefts", 1 + LEFT_BITS, HALF);
        // 2. State: reads
        let asking = fifo_bits(m, "asking", SLOT_BITS, 2 * HALF);
        let locate = m.instance("locate", &Locate::new(geometry));
        let copying = fifo_of::<Copying>(m, "copying", TRANSFERS);
        let has_spare = m.reg("has_spare", clock, false);
        let has_units = m.reg("has_units", clock, false);
        let ends = fifo_of::<End>(m, "ends", 2 * HALF);
        // 2. State: the transfer whose jobs are being given
        let asks_spare = m.reg("asks_spare", clock, false);
        let jobs_left = m.reg("jobs_left", clock, zero(UNIT_BITS + 1));
        let giving_tag = m.reg_without_reset("giving_tag", clock, 16);
        let is_uncorrectable = m.reg_without_reset("is_uncorrectable", clock, 1);
        // 2. State: judging, and moves
        let state = m.reg("state", clock, State::Rest);
        let solved = fifo_of::<Solved>(m, "solved", HALF * UNITS_PER_PAGE);
        let work = fifo_bits(m, "work", KEY_BITS, HALF * UNITS_PER_PAGE);
        let slot = m.reg_without_reset("slot", clock, SLOT_BITS);
        let index = m.reg_without_reset("index", clock, WORD_INDEX_BITS);
        let outcome = m.reg_without_reset("outcome", clock, 8);
        let is_blank = m.reg_without_reset("is_blank", clock, 1);
        let is_wrong = m.reg_without_reset("is_wrong", clock, 1);
        let is_user = m.reg_without_reset("is_user", clock, 1);
        let is_filler = m.reg_without_reset("is_filler", clock, 1);
        // The units that have no logical unit.
        let nameless = m.reg_without_reset("nameless", clock, UNITS_PER_PAGE);
        let check = m.reg_without_reset("check", clock, 32);
        let left = m.reg_without_reset("left", clock, LEFT_BITS);

        // 3. Conditions: what firmware says
        let new = said.payload();
        when(reads.can_push() & moves.can_push(), || said.take());
        let says = |code: u8| said.taken() & new.code.eq(code);
        let says_read = m.wire("says_read", says(wire::command::READ));
        let says_move = m.wire("says_move", says(wire::command::MOVE));
        let says_drain = m.wire("says_drain", says(wire::command::DRAIN_MOVES));

        // 3. Conditions: what begins. A read that is done again has its own clock.
        let can_begin = m.wire("can_begin", asking.can_push() & !state.is(State::Judge));
        let begins_read = m.wire("begins_read", can_begin & reads.valid() & !busy_reads.all());
        let begins_move = m.wire("begins_move", can_begin & moves.valid() & !busy_moves.all() & !begins_read);
        let free = m.wire("free", begins_read.mux(!busy_reads, !busy_moves));
        let new_slot = m.wire("new_slot", cat(&[begins_read, priority_index(free)]));

        // 3. Conditions: the place
        let place = m.wire("place", locate.port_as::<Located>("located"));
        let has_place = m.wire("has_place", locate.port("located_valid"));
        let asks = m.wire("asks", has_place & place.is_there & command.can_take());
        let lacks = m.wire("lacks", has_place & !place.is_there & ends.can_push());
        let place_slot = place.carried.low(SLOT_BITS);
        let place_copies = Target::unpack(targets.lookup(place_slot)).copies;

        // 3. Conditions: data on the bus
        let announced = transfer.payload();
        when(!asks_spare & !jobs_left.any(), || transfer.take());
        let announces = m.wire("announces", transfer.taken());
        let giving_slot = giving_tag.low(SLOT_BITS);
        let giving_page = m.wire("giving_page", pages.lookup(giving_slot));
        let giving_target = m.wire("giving_target", Target::unpack(targets.lookup(giving_slot)));
        let copies = m.wire("copies", giving_target.copies & !is_uncorrectable);
        let asks_for_spare = m.wire("asks_for_spare", asks_spare & spares_bus.ar.can_take() & copying.can_push());
        let gives_job = m.wire("gives_job", jobs_left.any() & job.can_take());
        // When four, three, two or one are left it is the turn of unit 0, 1, 2 or 3.
        let job_unit = m.wire("job_unit", (!jobs_left.low(UNIT_BITS)) + 1);

        // 3. Conditions: what has been copied, in the order of the transfers
        let current = copying.payload();
        when(copying.valid() & !has_spare, || spares_bus.r.take());
        when(copying.valid() & !has_units, || moved.take());
        let spare_comes = m.wire("spare_comes", spares_bus.r.taken());
        let unit_comes = m.wire("unit_comes", moved.taken());
        let moved_unit = moved.payload().tag.bits(JOB_UNIT_BITS);
        let is_copied = has_spare & (has_units | !current.copies);
        let is_through = m.wire("is_through", copying.valid() & is_copied & through.can_take());

        // 3. Conditions: ends
        when(ends.can_push() & !lacks, || done.take());
        let completes = m.wire("completes", done.taken());
        let completion = done.payload();
        let of_plane_1 = completion.tag.bit(PLANE_BIT);
        when(solved.can_push(), || resolved.take());

        // 3. Conditions: the choice
        let rests = m.wire("rests", state.is(State::Rest) & heard.can_take());
        let judges = m.wire("judges", rests & ends.valid());
        let solves = m.wire("solves", rests & !ends.valid() & solved.valid() & work.can_push());
        let can_ask = unit_out.can_take() & look_up.can_take();
        let works = m.wire("works", rests & !ends.valid() & !solved.valid() & work.valid() & can_ask);
        let is_drained = m.wire("is_drained", rests & !ends.valid() & drains & !moves_count.any());

        // 3. Conditions: the slot
        let is_read = slot.bit(IS_READ_BIT);
        let half_slot = slot.low(IS_READ_BIT);
        let page = m.wire("page", pages.lookup(slot));
        let target = Target::unpack(targets.lookup(slot));
        let spare = m.wire("spare", spares.lookup(slot));
        let word = m.wire("word", spare.low(SPARE_BITS).word(index, WORD_BITS));
        let unit = index.low(UNIT_BITS);
        let key = cat(&[half_slot, unit]);
        let entry = m.wire("entry", cat(&[page.low(32 - UNIT_BITS), unit]));
        let is_good = m.wire("is_good", !outcome.bits(4..8).any());
        let is_refused = m.wire("is_refused", outcome.bits(4..8).eq(REFUSED >> 4));
        let attempt = attempts.lookup(slot);
        let repeats =
            m.wire("repeats", state.is(State::Judge) & !is_good & !is_refused & attempt.ne(READ_ATTEMPTS - 1));
        let is_weak = m.wire("is_weak", state.is(State::Judge) & is_good & outcome.ge(REFRESH_RETRIES));

        // 3. Conditions: the word
        let is_word = |offset: usize| index.eq(word_of(offset));
        let is_crc_of_unit = {
            let first = word_of(offset_of!(Spare, unit_crc));
            (first..first + UNITS_PER_PAGE).map(|word| index.eq(word)).reduce(|a, b| a | b).expect("there are some")
        };
        // The words with the CRCs do not begin at a multiple of four.
        let crc_unit = m.wire("crc_unit", (index - word_of(offset_of!(Spare, unit_crc))).low(UNIT_BITS));
        let unit_check = checks.lookup(cat(&[slot, crc_unit]));
        let unit_differs = unit_check.bit(32) | unit_check.low(32).ne(word);
        let has_name = !nameless.word(crc_unit, 1);
        let is_checked = m.wire("is_checked", target.copies & !is_filler & (!is_user | has_name));
        let page_differs = is_word(offset_of!(Spare, page)) & word.ne(page);
        let is_last_word = m.wire("is_last_word", is_word(offset_of!(Spare, crc)));
        let check_differs = is_last_word & word.ne(!check);
        let word_is_wrong =
            m.wire("word_is_wrong", page_differs | check_differs | (is_crc_of_unit & is_checked & unit_differs));

        // 3. Conditions: a moved page and its units
        let is_ours = m.wire("is_ours", word.lt(units));
        let lists = m.wire("lists", state.is(State::List) & work.can_push());
        let answered = m.wire("answered", state.is(State::Find) & found.valid());
        let answer = found.payload();
        when(state.is(State::Find), || found.take());
        let is_known = answer.outcome.is(page_map::Outcome::Done);
        let stays = m.wire("stays", answered & is_known & answer.entry.eq(entry));
        let noted = m.wire("noted", lefts.lookup(half_slot));
        let is_over = m.wire("is_over", state.is(State::Settle) & !left.any() & heard.can_take());
        let can_write = copies_bus.aw.can_take() & copies_bus.w.can_take();
        let writes = m.wire("writes", state.is(State::Write) & can_write);
        when(state.is(State::Answer), || copies_bus.b.take());
        let written = m.wire("written", copies_bus.b.taken());
        let tells = m.wire("tells", state.is(State::Tell) & heard.can_take());

        // 4. Next state: what firmware says
        when(says_read, || {
            let number = (new.second - 1).low(SHARED_BITS);
            let target = Target { copies: new.second.any(), number };
            reads.push(Asked { tag: new.tag, page: new.first, target });
        });
        when(says_move, || moves.push(new.first));
        when(is_drained, || drains.set(false));
        when(says_drain, || drains.set(true));
        let moves_width = moves_count.width();
        moves_count.set(moves_count + says_move.zext(moves_width) - is_over.zext(moves_width));

        // 4. Next state: slots
        when(begins_read, || reads.take());
        when(begins_move, || moves.take());
        let begins = m.wire("begins", begins_read | begins_move);
        let asked = reads.payload();
        pages.write(clock, begins, new_slot, begins_read.mux(asked.page, moves.payload()));
        tags.write(clock, begins_read, new_slot.low(IS_READ_BIT), asked.tag);
        let number = new_slot.low(IS_READ_BIT).zext(SHARED_BITS) + MOVES_FIRST;
        let own = Target { copies: lit(1u8, 1), number };
        targets.write(clock, begins, new_slot, begins_read.mux(asked.target.pack(), own.pack()));
        attempts.write(
            clock,
            begins | repeats,
            begins.mux(new_slot, slot),
            begins.mux(lit(0u8, ATTEMPT_BITS), attempt + 1),
        );
        when(begins, || asking.push(new_slot));
        when(repeats, || asking.push(slot));
        let mask = |enable: Signal, number: Signal| one_hot(number, HALF) & enable.repeat(HALF);
        let new_half = new_slot.low(IS_READ_BIT);
        busy_reads.set((busy_reads & !mask(tells, half_slot)) | mask(begins_read, new_half));
        busy_moves.set((busy_moves & !mask(is_over, half_slot)) | mask(begins_move, new_half));

        // 4. Next state: reads
        let number = locate.port_as::<PageNumber>("number");
        locate.port("number_valid").set(asking.valid());
        number.page.set(pages.lookup(asking.payload()));
        number.carried.set(asking.payload().zext(16));
        when(locate.port("number_ready"), || asking.take());
        locate.port("located_ready").set(asks | lacks);
        when(announces, || {
            giving_tag.set(announced.tag);
            is_uncorrectable.set(announced.uncorrectable.any());
            asks_spare.set(true);
        });
        when(asks_for_spare, || {
            asks_spare.set(false);
            when(copies, || jobs_left.set(UNITS_PER_PAGE));
            copying.push(Copying { slot: giving_slot, channel: giving_tag.bits(CHANNEL_BITS), copies });
        });
        when(gives_job, || jobs_left.set(jobs_left - 1));
        let beat = spares_bus.r.payload();
        spares.write(clock, spare_comes, current.slot, cat(&[resp::is_error(beat.resp), beat.data]));
        let unit_moved = moved.payload();
        let checks_at = cat(&[current.slot, moved_unit]);
        checks.write(clock, unit_comes, checks_at, cat(&[unit_moved.failed, unit_moved.crc]));
        when(spare_comes, || has_spare.set(true));
        when(unit_comes & moved_unit.all(), || has_units.set(true));
        when(is_through, || {
            copying.take();
            has_spare.set(false);
            has_units.set(false);
        });
        when(completes, || {
            ends.push(End {
                slot: completion.tag.low(SLOT_BITS),
                outcome: of_plane_1.mux(completion.outcome_1, completion.outcome_0),
                blank: of_plane_1.mux(completion.blank.bit(1), completion.blank.bit(0)),
            });
        });
        when(lacks, || {
            ends.push(End { slot: place_slot, outcome: lit(REFUSED, 8), blank: lit(0u8, 1) });
        });
        when(resolved.taken(), || {
            // The first shared page of moves has a number of its own.
            let first = (shared_base / u64::from(UNIT_BYTES)) as u32 + MOVES_FIRST * UNITS_PER_PAGE;
            let key = (resolved.payload().source - first).low(KEY_BITS);
            solved.push(Solved { key, failed: resolved.payload().failed });
        });

        // 4. Next state: judging, and moves
        switch(state, |s: State| match s {
            State::Rest => {
                let key = solved.valid().mux(solved.payload().key, work.payload());
                let of_unit = cat(&[lit(0u8, 1), key.bits(UNIT_BITS..KEY_BITS)]);
                slot.set(ends.valid().mux(ends.payload().slot, of_unit));
                index.set(key.low(UNIT_BITS).zext(WORD_INDEX_BITS));
                outcome.set(ends.payload().outcome);
                is_blank.set(ends.payload().blank);
                is_wrong.set(false);
                check.set(u32::MAX);
                left.set(0);
                when(judges, || {
                    index.set(0);
                    ends.take();
                    state.goto(State::Judge);
                });
                when(solves, || {
                    solved.take();
                    when(solved.payload().failed, || work.push(key)).otherwise(|| state.goto(State::Count));
                });
                when(works, || {
                    work.take();
                    state.goto(State::Ask);
                });
            }
            State::Judge => {
                when(repeats, || state.goto(State::Rest))
                    .else_when(is_good & !is_blank, || state.goto(State::Check))
                    .otherwise(|| state.goto(State::Weigh));
                when(is_good, || outcome.set(0));
            }
            State::Check => {
                index.set(index + 1);
                check.set(crc::next(Crc { polynomial: CRC_POLYNOMIAL }, check, word));
                when(word_is_wrong | spare.bit(SPARE_BITS), || is_wrong.set(true));
                when(index.lt(UNITS_PER_PAGE), || nameless.set(cat(&[word.all(), nameless.bits(1..UNITS_PER_PAGE)])));
                when(is_word(offset_of!(Spare, kind)), || {
                    is_user.set(word.low(8).eq(kind::USER));
                    is_filler.set(word.low(8).eq(kind::FILLER));
                });
                when(is_last_word, || state.goto(State::Weigh));
            }
            State::Weigh => {
                when(is_wrong, || outcome.set(UNCORRECTABLE));
                let has_units = is_good & !is_blank & !is_wrong & is_user;
                when(is_read, || state.goto(State::Write))
                    .else_when(has_units, || state.goto(State::List))
                    .otherwise(|| state.goto(State::Settle));
            }
            State::List => {
                when(lists, || {
                    index.set(index + 1);
                    when(is_ours, || {
                        work.push(key);
                        left.set(left + 1);
                    });
                    when(unit.all(), || state.goto(State::Settle));
                });
            }
            State::Ask => state.goto(State::Find),
            State::Find => {
                when(answered, || {
                    when(!is_known, || is_wrong.set(true));
                    when(stays, || state.goto(State::Rest)).otherwise(|| state.goto(State::Count));
                });
            }
            State::Count => {
                left.set(noted.low(LEFT_BITS) - 1);
                let is_lost = noted.bit(LEFT_BITS) | is_wrong;
                outcome.set(is_lost.mux(lit(UNCORRECTABLE, 8), lit(0u8, 8)));
                state.goto(State::Settle);
            }
            State::Settle => {
                when(left.any() | heard.can_take(), || state.goto(State::Rest));
            }
            State::Write => {
                when(writes, || state.goto(State::Answer));
            }
            State::Answer => {
                when(written & resp::is_error(copies_bus.b.payload().resp), || outcome.set(UNCORRECTABLE));
                when(written, || state.goto(State::Tell));
            }
            State::Tell => {
                when(tells, || state.goto(State::Rest));
            }
        });
        lefts.write(clock, state.is(State::Settle), half_slot, cat(&[outcome.any(), left]));

        // 5. Outputs
        m.output("drains", drains);
        when(asks, || {
            let own = cat(&[place.plane, place_slot]).zext(USER_BITS.start);
            command.offer(Command {
                tag: cat(&[place.channel, lit(user::READ, USER_BITS.end - USER_BITS.start), own]),
                die: place.die,
                operation: lit(Operation::Read.code(), 3),
                planes: cat(&[place.plane, !place.plane]),
                block_0: place.block,
                block_1: place.block,
                page: place.page_of_block,
                first_unit: lit(0u8, 2),
                units: place_copies.mux(lit(UNITS_PER_PAGE, 3), lit(1u8, 3)),
            });
        });
        let one_beat = |address: Signal| MEMORY.whole_beats(lit(0u8, 1), address, lit(0u8, 8), lit(0u8, 1));
        when(asks_for_spare, || {
            let address = cat(&[giving_page, lit(0u8, SPARE_ADDRESS_BITS)]).zext(64) + spares_base;
            spares_bus.ar.offer(one_beat(address));
        });
        when(gives_job, || {
            let offset = cat(&[job_unit, lit(0u8, UNIT_ADDRESS_BITS)]);
            let [upper, middle] = [giving_tag.bits(USER_BITS.start..16), lit(0u8, USER_BITS.start - JOB_UNIT_BITS.end)];
            job.offer(MoveJob {
                tag: cat(&[upper, middle, job_unit, giving_slot]),
                source: cat(&[giving_page, offset]).zext(64) + units_base,
                sink: cat(&[giving_target.number, offset]).zext(64) + shared_base,
                zeroes: lit(0u8, 1),
                bad: lit(0u8, 1),
                forward_tag: lit(0u8, 8),
                forward_beat: lit(0u8, 6),
                forward_beats: lit(0u8, 7),
            });
        });
        when(is_through, || through.offer(Through { channel: current.channel }));
        when(state.is(State::Ask), || {
            look_up.offer(Request {
                tag: lit(map_user::READ << MAP_USER_BITS.start, 8),
                operation: EnumSignal::of(page_map::Operation::LookUp),
                unit: word,
                old: lit(0u8, 32),
                new: lit(0u8, 32),
            });
        });
        when(stays, || {
            let first = (shared_base / u64::from(UNIT_BYTES)) as u32;
            let bad =
                spare.low(SPARE_BITS).word(lit(word_of(offset_of!(Spare, bad_sectors)), WORD_INDEX_BITS), WORD_BITS);
            unit_out.offer(ProgramUnit {
                source: cat(&[target.number, unit]).zext(32) + first,
                lpn: word,
                old: entry,
                bad: bad.word(unit, 8),
            });
        });
        let hears = |code: u8| Heard {
            code: lit(code, 8),
            tag: lit(0u8, 8),
            argument: lit(0u8, 16),
            first: lit(0u8, 32),
            body: lit(0u8, 128),
        };
        when(is_weak, || heard.offer(Heard { tag: outcome, first: page, ..hears(wire::event::READ_RETRIED) }));
        when(is_over, || heard.offer(Heard { argument: outcome.zext(16), first: page, ..hears(wire::event::MOVED) }));
        let tag = m.wire("tag", tags.lookup(half_slot));
        when(tells, || heard.offer(Heard { tag, argument: outcome.zext(16), ..hears(wire::event::READ_DONE) }));
        when(is_drained, || heard.offer(hears(wire::event::MOVES_DRAINED)));
        when(writes, || {
            let address = cat(&[tag, lit(0u8, SPARE_ADDRESS_BITS)]).zext(64) + read_spares_base;
            copies_bus.aw.offer(one_beat(address));
            let hides = outcome.any() | is_blank;
            let data = spare.low(SPARE_BITS) | hides.repeat(SPARE_BITS);
            copies_bus.w.offer(WriteData { data, strb: lit(u64::MAX, SPARE_BYTES), last: lit(1u8, 1) });
        });
    }
}

/// Bits of the number of a word of the spare.
const WORD_INDEX_BITS: u32 = address_width(WORDS);
/// Bits of the number of an attempt.
const ATTEMPT_BITS: u32 = address_width(READ_ATTEMPTS);
/// Bits of how many units are left.
const LEFT_BITS: u32 = address_width(UNITS_PER_PAGE + 1);
/// The outcomes that this block itself knows of.
const UNCORRECTABLE: u8 = Outcome::Uncorrectable.code();
const REFUSED: u8 = Outcome::Refused(Violation::OutOfRange).code();
