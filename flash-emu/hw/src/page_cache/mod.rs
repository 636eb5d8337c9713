//! # Page cache
//!
//! Knows which units of the host are in which lines of the cache, and what is going on with each: the decisions of a write-back cache, whose data side is
//! [`line_port`](crate::line_port).
//!
//! ## Symbol
//! ```text
//!               +--- page_cache ---+
//!        read ->-|                  |->- burst     to the line port
//!       write ->-|                  |->- fill      a line is to be read from the flash
//!    released ->-|                  |->- clean     a line is to be written to the flash, or all that was given is to be safe
//!     persist ->-|                  |
//!      filled ->-|                  |
//!    progress ->-|                  |             what has become of the lines that were given
//!   read_only -->|                  |---> wrote   a write is through
//!                +------------------+
//! ```
//! ## Theory of operation
//! 1. The cache is set-associative. A set is one word of memory: for each way the unit that its line holds, the line's state, the reads that use it, whether
//!    a write does, its sectors that cannot be read, and whether it is trimmed. One state machine does all work, one piece at a time, by reading a set,
//!    deciding, and writing it back; so nothing can come in between.
//! 2. A read that finds its line uses it and becomes a burst. One that does not takes a line that is clean and unused, and asks for it to be filled. The beats of
//!    a read of one line are forwarded while it is filled, and then the read is over. Every other read that has to wait goes into a FIFO; whenever a line is
//!    filled, released or cleaned, all of those are tried once more.
//! 3. Writes are carried out in their order, because their data comes so. A write of a whole line needs no fill. While the flash is read-only each write fails
//!    at once, and what was written before may still go to the flash.
//! 4. A command of two lines is done one after the other. A read holds its first line while it waits for its second, so that its beats come together. It waits only
//!    for lines of higher numbers, so no two reads wait for each other; and there are more lines than commands.
//! 5. While the next write waits for a line, no further read may use that line, so that reads cannot keep a write away.
//! 6. A line that is dirty goes to the flash when its set has too many of those, when it has no others at all, or for a Flush. While its data
//!    is being read (`Leaving`) it is not written. Then it may be written again (`Redirtied`); the flash has the old data until it is cleaned once more.
//!    No write goes on before a crowded set has given one. So each set has lines that are clean or on their way, and a write never waits for a line that
//!    nobody has sent. Of several lines a set gives the neighbour of the one that was given last: what was written in a row comes to lie in one page.
//! 7. A Deallocate of a whole line writes zeroes and leaves the line trimmed, until another write. It goes to the flash as any line that is dirty, but as a
//!    trim: its data stays where it is. A Deallocate of a part of a line is a Write Zeroes.
//! 8. A line that the flash could not read (`Lost`) is for those only who have waited for its fill: their reads fail, and a write of a part of it leaves
//!    the other sectors marked. Whoever comes later has it filled anew. A write of the whole line needs no fill.
//! 9. A Flush, and the end of a write with FUA, walks over all sets and cleans what is dirty when it comes by. Then it settles: what has been given to
//!    the flash is programmed with all pages that share cells with it. All that wait for that are reported together.
//!
//! ## Timing
//! Five clocks for each piece of work: a read that hits takes one for the look-up and one when it is released.
//! After reset the sets are cleared, one in each clock.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! A Write with FUA of two lines, the second of which has no data that could be had, is reported before it is on the medium. The controller reports it as
//! failed.
//! Lines are replaced at random, not by when they were last used; those that hold nothing first.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::{
    Burst, Clean, Fill, Filled, Move, Persist, Progress, Released, Staged, Step, LINE_BITS, SECTOR_BEATS, UNIT_SECTORS,
};
use nvme_hw::types::Operation;
use rtl_hdl::{
    address_width, cat, hw_bundle, hw_enum, lit, switch, when, zero, Bits, Block, Constant, EnumSignal, MemoryStyle,
    Module, Shape, Signal, Value,
};
use rtl_prim::{choose, fifo_bits, fifo_of, first_one, one_hot, one_hot_index, one_hot_select};

#[cfg(test)]
pub(crate) mod bench;

/// Ways of a set.
pub const WAYS: u32 = 4;
/// Bits of the number of a way.
const WAY_BITS: u32 = address_width(WAYS);
/// Bits of the number of a sector in its unit.
const SECTOR_BITS: u32 = UNIT_SECTORS.trailing_zeros();
/// Lines of a set that may be dirty before one is cleaned.
const DIRTY_MAX: u32 = WAYS / 2;
/// A linear feedback shift register of all 65,535 states: its width, and its taps, x^16 + x^14 + x^13 + x^11 + 1 (Galois).
const DICE_BITS: u32 = 16;
const DICE_TAPS: u32 = 1 << 15 | 1 << 13 | 1 << 12 | 1 << 10;
/// Of so many pieces of work one is a step of the walk, if there is one to do.
const WALK_TURNS: u32 = 8;

/// The parameters of a page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Lines: a power of two, more than `commands` and at least two sets.
    pub lines: u32,
    /// Units of the host.
    pub units: u32,
    /// Storage commands in flight.
    pub commands: u32,
}

impl Config {
    /// For quick tests: sets are often full.
    pub const SMALL: Self = Self { lines: 16, units: 100, commands: 8 };
    /// 64 MiB for 1 GiB.
    pub const DEFAULT: Self = Self { lines: 1 << 14, units: 1 << 18, commands: 64 };

    const fn set_bits(&self) -> u32 {
        address_width(self.lines / WAYS)
    }

    const fn tag_bits(&self) -> u32 {
        let bits = address_width(self.units);
        if bits > self.set_bits() {
            bits - self.set_bits()
        } else {
            1
        }
    }
}

hw_enum! {
    /// What is in a line.
    pub enum LineState {
        /// Nothing.
        Invalid,
        /// It is being read from the flash.
        Filling,
        /// What the flash has, too.
        Clean,
        /// The flash could not read it.
        Lost,
        /// What the flash has not.
        Dirty,
        /// As `Dirty`, and its data is being read for the flash.
        Leaving,
        /// Its data has been read and is on its way into the flash.
        Programming,
        /// As `Programming`, but it has been written since.
        Redirtied,
    }
}

hw_bundle! {
    /// What is known of a line, besides its unit.
    struct Line {
        state: LineState,
        /// Reads that use it.
        users: Bits<7>,
        /// A write uses it.
        written: Bits<1>,
        /// Sectors that cannot be read.
        bad: Bits<8>,
        /// The last write has deallocated all of it. When it is cleaned, its unit loses its place.
        trimmed: Bits<1>,
    }
}

hw_bundle! {
    /// A read that waits.
    struct Reading {
        tag: Bits<8>,
        /// Its data goes nowhere.
        is_verify: Bits<1>,
        unit: Bits<32>,
        sector: Bits<3>,
        sectors: Bits<4>,
        /// It uses its first line already: which way that is, and its sectors that cannot be read.
        holds: Bits<1>,
        way: Bits<2>,
        bad: Bits<8>,
        /// It has waited for the fill of the line that it is to use next.
        has_asked: Bits<1>,
    }
}

hw_enum! {
    /// `Clear -> Choose -> Fetch -> Judge -> Decide -> Act -> Choose`; a read of two lines goes from `Act` to `Fetch` for its second one, and to `Pair`
    /// for its second burst.
    pub enum State {
        /// After reset. Leaves when all sets are cleared.
        Clear,
        /// Leaves with a piece of work.
        Choose,
        /// The set is being read.
        Fetch,
        /// What is in its lines goes into registers.
        Judge,
        /// What is to be done goes into registers.
        Decide,
        /// It is done.
        Act,
        /// The first burst of two has been given. Leaves with the second one.
        Pair,
    }
}

hw_enum! {
    /// A piece of work.
    enum Work {
        /// A burst has ended.
        Release,
        /// The data of a line has been read for the flash, or is there, or is not.
        Progress,
        /// The flash has settled, or not.
        Settled,
        /// It has come from the flash.
        Filled,
        /// A read.
        Read,
        /// The next write.
        Write,
        /// A line of a crowded set is given to the flash.
        Thin,
        /// A step of the walk.
        Walk,
        /// A Flush, which from now on waits for the next walk.
        Flush,
        /// All that a Flush waited for is done.
        Report,
    }
}

hw_enum! {
    /// `Rest -> Walk -> Settle -> Await -> Report -> Rest`, and back to `Walk` if something must be written again.
    enum Flush {
        /// Nobody waits.
        Rest,
        /// Leaves when all that was dirty has been given to the flash.
        Walk,
        /// Leaves when the flash has been told to settle.
        Settle,
        /// Leaves when it has.
        Await,
        /// Leaves when all that waited have been told.
        Report,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct PageCache {
    config: Config,
}

impl PageCache {
    /// A cache of these parameters.
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Block for PageCache {
    fn name(&self) -> String {
        let Config { lines, units, commands } = self.config;
        format!("page_cache_l{lines}_u{units}_n{commands}")
    }

    fn description(&self) -> String {
        "Which units are in which lines, and what is going on with each.".into()
    }

    fn build(&self, m: &Module) {
        let Config { lines, units, commands } = self.config;
        let (set_bits, tag_bits) = (self.config.set_bits(), self.config.tag_bits());
        let sets = lines / WAYS;
        let way_width = Line::WIDTH + tag_bits;
        let count_bits = address_width(commands + 1);

        // 1. Ports
        let clock = m.clock();
        let read = m.stream_in::<Staged>("read");
        let write = m.stream_in::<Staged>("write");
        let released = m.stream_in::<Released>("released");
        let filled = m.stream_in::<Filled>("filled");
        let progress = m.stream_in::<Progress>("progress");
        let persist = m.stream_in::<Persist>("persist");
        let read_only = m.input("read_only", 1);
        let burst = m.stream_out_single::<Burst>("burst");
        let fill = m.stream_out_single::<Fill>("fill");
        let clean = m.stream_out_single::<Clean>("clean");

        // 2. State
        let state = m.reg("state", clock, State::Clear);
        let memory = m.memory("sets", WAYS * way_width, sets, MemoryStyle::Block);
        let cleared = m.reg("cleared", clock, zero(set_bits));
        // The piece of work: its set, and its unit or its way.
        let work = m.reg("work", clock, Work::Release);
        let set = m.reg_without_reset("set", clock, set_bits);
        let unit = m.reg_without_reset("unit", clock, 32);
        let way = m.reg_without_reset("way", clock, WAYS);
        let fits = m.reg_without_reset("fits", clock, 1);
        let reading = m.reg_as::<Reading>("reading", clock);
        // The set.
        let ways: Vec<Signal> = (0..WAYS).map(|n| m.reg_without_reset(&format!("way_{n}"), clock, way_width)).collect();
        let of_ways = |name: &str| m.reg_without_reset(name, clock, WAYS);
        let [holders, lost, empty, free, soiled, needy, neighbours] =
            ["holders", "lost", "empty", "free", "soiled", "needy", "neighbours"].map(of_ways);
        // What is to be done, to which line.
        let at = m.reg_without_reset("at", clock, WAYS);
        let decision = |name: &str| m.reg_without_reset(name, clock, 1);
        let [uses, writes, allocates, cleans, reports, fails, waits, ends_write] =
            ["uses", "writes", "allocates", "cleans", "reports", "fails", "waits", "ends_write"].map(decision);
        // The read has come from outside and is to be taken there.
        let is_new = m.reg("is_new", clock, false);
        // Reads that wait; how many, and how many of them are still to be tried once more.
        let waiting = fifo_of::<Reading>(m, "waiting", commands);
        let waiting_count = m.reg("waiting_count", clock, zero(count_bits));
        let retries = m.reg("retries", clock, zero(count_bits));
        let fills = fifo_of::<Fill>(m, "fills", commands + 1);
        // The next write: which of its lines, whether it waits for that, and whether it has waited for its fill.
        let part = m.reg("part", clock, false);
        let write_waits = m.reg("write_waits", clock, false);
        let write_has_asked = m.reg("write_has_asked", clock, false);
        // Somebody waits until a line can be given to the flash.
        let clean_waits = m.reg("clean_waits", clock, false);
        // Reads and writes take turns; and the walk has one of several.
        let write_turn = m.reg("write_turn", clock, false);
        let turns = m.reg("turns", clock, zero(address_width(WALK_TURNS)));
        // The way from which on one is given: it is drawn, or lines that are read in a row would always be given the same one of their set.
        let dice = m.reg("dice", clock, constant(1, DICE_BITS));
        // A set with too many dirty lines, before whose next write one of them has to go.
        let is_crowded = m.reg("is_crowded", clock, false);
        let crowded_set = m.reg_without_reset("crowded_set", clock, set_bits);
        // The tag of the line that was given to the flash last.
        let given_tag = m.reg("given_tag", clock, zero(tag_bits));
        // The walk: its set, the lines there that it has to clean, and whether it has looked.
        let walk_set = m.reg("walk_set", clock, zero(set_bits));
        let need = m.reg("need", clock, zero(WAYS));
        let has_looked = m.reg("has_looked", clock, false);
        let flush = m.reg("flush", clock, Flush::Rest);
        let flush_failed = m.reg("flush_failed", clock, false);
        // Who waits for that, how many do, and for how many of them it is.
        let persisting = fifo_bits(m, "persisting", 8, commands);
        let persisting_count = m.reg("persisting_count", clock, zero(count_bits));
        let served = m.reg("served", clock, zero(count_bits));
        let wrote = m.reg("wrote_now", clock, false);

        // 3. Conditions: what there is to do
        let choosing = m.wire("choosing", state.is(State::Choose));
        let acting = m.wire("acting", state.is(State::Act));
        let has_room = m.wire("has_room", burst.can_take() & fills.can_push() & waiting.can_push());
        let new_read = read.payload();
        let new_write = write.payload();
        let is_flush = m.wire("is_flush", new_read.operation.is(Operation::Flush));
        let retry = m.wire("retry", retries.any() & waiting.valid());
        let may_read = m.wire("may_read", has_room & (retry | (read.valid() & !is_flush)));
        let may_write = m.wire("may_write", has_room & write.valid() & (read_only | !(write_waits | is_crowded)));
        let flush_walks = m.wire("flush_walks", flush.is(Flush::Walk));
        let flush_reports = m.wire("flush_reports", flush.is(Flush::Report));
        let may_walk = m.wire("may_walk", clean.can_take() & flush_walks);
        let walk_first = m.wire("walk_first", may_walk & turns.eq(WALK_TURNS - 1));
        let step = progress.payload().step;
        let is_of_line = [Step::Left, Step::Cleaned, Step::Failed].map(|of_line| step.is(of_line));
        let is_of_line = m.wire("is_of_line", is_of_line.into_iter().reduce(|a, b| a | b).expect("there are some"));
        let choices = [
            (Work::Release, released.valid()),
            (Work::Progress, progress.valid() & is_of_line),
            (Work::Settled, progress.valid() & !is_of_line),
            (Work::Filled, filled.valid() & burst.can_take()),
            (Work::Report, flush_reports & persisting.valid() & burst.can_take()),
            (Work::Flush, read.valid() & is_flush & persisting.can_push() & !retry),
            (Work::Thin, is_crowded & clean.can_take()),
            (Work::Walk, walk_first),
            // Before a read has the line filled anew that the write has waited for.
            (Work::Write, may_write & (write_turn | write_has_asked | !may_read)),
            (Work::Read, may_read),
            (Work::Walk, may_walk),
        ];
        let all: Vec<Signal> = choices.iter().rev().map(|(_, may)| *may).collect();
        let choice = m.wire("choice", first_one(cat(&all)));
        let chooses = |work: Work| {
            let these = choices.iter().zip(0..).filter(|((other, _), _)| *other == work);
            let these: Vec<Signal> = these.map(|(_, number)| choice.bit(number)).collect();
            choosing & cat(&these).any()
        };
        let chooses_read = m.wire("chooses_read", chooses(Work::Read));
        let retries_read = m.wire("retries_read", chooses_read & retry);
        let chooses_write = m.wire("chooses_write", chooses(Work::Write));
        let chooses_walk = m.wire("chooses_walk", chooses(Work::Walk));
        let wakes = m.wire("wakes", choosing & clean_waits & clean.can_take());

        // Conditions: the parts of commands
        let limit = u64::from(units) * u64::from(UNIT_SECTORS);
        let in_range = |sector: Signal, sectors: Signal| (sector.zext(65) + sectors.zext(65)).le(limit);
        let unit_of = |sector: Signal| sector.bits(SECTOR_BITS..SECTOR_BITS + 32);
        let read_crosses = m.wire("read_crosses", (reading.sector.zext(5) + reading.sectors.zext(5)).gt(UNIT_SECTORS));
        let forwards = m.wire("forwards", !read_crosses & !reading.is_verify);
        let write_sector = new_write.sector.low(SECTOR_BITS);
        let write_crosses =
            m.wire("write_crosses", (write_sector.zext(5) + new_write.sectors.zext(5)).gt(UNIT_SECTORS));
        let write_unit = m.wire("write_unit", unit_of(new_write.sector) + part.zext(32));
        let below = |count: Signal| cat(&(0..UNIT_SECTORS).rev().map(|n| count.gt(n)).collect::<Vec<_>>());
        let of_part = |sectors: Signal| {
            let both = sectors.zext(2 * UNIT_SECTORS).shl(write_sector);
            part.mux(both.bits(UNIT_SECTORS..2 * UNIT_SECTORS), both.low(UNIT_SECTORS))
        };
        let is_mark = m.wire("is_mark", new_write.operation.is(Operation::WriteUncorrectable));
        let deallocates = m.wire("deallocates", new_write.operation.is(Operation::Deallocate));
        let is_zeroes = m.wire("is_zeroes", new_write.operation.is(Operation::WriteZeroes) | deallocates);
        // The sectors of this line that the command changes.
        let changed = m.wire("changed", of_part(below(new_write.sectors) & !new_write.missing));
        let room_in_first = lit(UNIT_SECTORS, 4) - write_sector.zext(4);
        let in_first = write_crosses.mux(room_in_first, new_write.sectors);
        let part_sectors = m.wire("part_sectors", part.mux(new_write.sectors - room_in_first, in_first));
        let write_ends = m.wire("write_ends", !write_crosses | part | !fits);

        // Conditions: the set
        let word = memory.read(clock, "word", set);
        let words: Vec<Signal> = (0..WAYS).map(|n| word.bits(n * way_width..(n + 1) * way_width)).collect();
        let line_in = |way: Signal| Line::unpack(way.low(Line::WIDTH));
        let tag_in = |way: Signal| way.bits(Line::WIDTH..way_width);
        let unit_tag = m.wire("unit_tag", unit.zext(64).bits(set_bits..set_bits + tag_bits));
        let by_way = |of: &dyn Fn(Signal) -> Signal| cat(&words.iter().rev().map(|way| of(*way)).collect::<Vec<_>>());
        let is_idle = |line: &<Line as Shape>::Value| !line.users.any() & !line.written;
        let is_one_of = |state: EnumSignal<LineState>, these: &[LineState]| {
            these.iter().map(|this| state.is(*this)).reduce(|a, b| a | b).expect("there are some")
        };

        // Conditions: what is to be done
        let is_read = m.wire("is_read", work.is(Work::Read));
        let is_write = m.wire("is_write", work.is(Work::Write));
        let is_walk = m.wire("is_walk", work.is(Work::Walk));
        let is_thin = m.wire("is_thin", work.is(Work::Thin));
        let of_unit = m.wire("of_unit", is_read | is_write | is_walk | is_thin);
        let of_line = m.wire("of_line", work.is(Work::Release) | work.is(Work::Progress) | work.is(Work::Filled));
        let is_there = m.wire("is_there", holders.any() & (is_read | is_write));
        let has_asked = m.wire("has_asked", is_read.mux(reading.has_asked, write_has_asked));
        // What nobody can read is looked for in the flash once more, by each who has not yet waited for that.
        let is_stale = m.wire("is_stale", is_there & lost.any() & !has_asked);
        let hit = m.wire("hit", is_there & !is_stale);
        let found = m.wire("found", Line::unpack(one_hot_select(holders, &ways).low(Line::WIDTH)));
        let is_wanted = m.wire("is_wanted", write_waits & unit.eq(write_unit));
        let read_may = m.wire("read_may", is_read & fits & !is_wanted);
        let can_use = m.wire("can_use", !found.state.is(LineState::Filling) & !found.written);
        let changes = m.wire("changes", is_write & fits & changed.any() & !read_only);
        let is_whole = m.wire("is_whole", changed.all());
        let writable =
            [LineState::Clean, LineState::Lost, LineState::Dirty, LineState::Programming, LineState::Redirtied];
        let can_write = m.wire("can_write", is_one_of(found.state, &writable) & is_idle(&found));
        let gives = m.wire("gives", is_there.mux(is_stale & (holders & free).any(), free.any()));
        let uses_now = m.wire("uses_now", read_may & hit & can_use);
        let writes_now = m.wire("writes_now", changes & hit.mux(can_write, gives & is_whole));
        let allocates_now = m.wire("allocates_now", gives & (read_may | (changes & !is_whole)));
        let joins_fill = m.wire("joins_fill", allocates_now | (hit & found.state.is(LineState::Filling)));
        let lacks = m.wire("lacks", !is_there & !free.any() & (read_may | changes));
        let need_now = m.wire("need_now", needy & (need | (!has_looked).repeat(WAYS)));
        let to_clean = m.wire("to_clean", soiled & (need_now | (!is_walk).repeat(WAYS)));
        let neighbours_to_clean = m.wire("neighbours_to_clean", to_clean & neighbours);
        let cleaned = m.wire("cleaned", neighbours_to_clean.any().mux(neighbours_to_clean, to_clean));
        let wants_clean = m.wire("wants_clean", to_clean.any() & (is_walk | is_thin | (lacks & soiled.all())));
        let cleans_now = m.wire("cleans_now", wants_clean & clean.can_take());
        let victim = m.wire("victim", {
            let candidates = empty.any().mux(empty, free);
            let behind = candidates & lit(low_ones(WAYS), WAYS).shl(dice.low(WAY_BITS));
            first_one(behind.any().mux(behind, candidates))
        });
        let at_now = m.wire("at_now", {
            let looked_up = is_there.mux(holders, victim);
            of_unit.mux(cleans_now.mux(first_one(cleaned), looked_up), way)
        });

        // Conditions: the line as it was and as it is to be
        let old_way = m.wire("old_way", one_hot_select(at, &ways));
        let old = m.wire("old", line_in(old_way));
        let is_new_line = m.wire("is_new_line", allocates | (writes & !hit));
        let line_number = m.wire("line_number", cat(&[set, one_hot_index(at)]).zext(LINE_BITS));
        let state_of = |state: LineState| EnumSignal::<LineState>::of(state).signal();
        let was_in = |state: LineState| old.state.is(state);
        let new_state = m.wire("new_state", {
            let must_be_again = was_in(LineState::Redirtied) | step.is(Step::Failed);
            let cleaned_state = must_be_again.mux(state_of(LineState::Dirty), state_of(LineState::Clean));
            let keeps_flash_waiting = !is_new_line & (was_in(LineState::Programming) | was_in(LineState::Redirtied));
            let written = keeps_flash_waiting.mux(state_of(LineState::Redirtied), state_of(LineState::Dirty));
            let is = |these| work.is(these);
            let choices = [
                (is(Work::Progress), step.is(Step::Left).mux(state_of(LineState::Programming), cleaned_state)),
                (is(Work::Filled), filled.payload().lost.mux(state_of(LineState::Lost), state_of(LineState::Clean))),
                (cleans, state_of(LineState::Leaving)),
                (allocates, state_of(LineState::Filling)),
                (writes, written),
            ];
            choices.iter().rev().fold(old.state.signal(), |rest, (condition, state)| condition.mux(*state, rest))
        });
        let releases = m.wire("releases", work.is(Work::Release));
        let released_write = released.payload().is_write;
        let new = Line {
            state: EnumSignal::from_signal(new_state),
            users: is_new_line.mux(lit(0u8, 7), old.users + uses.zext(7) - (releases & !released_write).zext(7)),
            written: (old.written & !is_new_line & !(releases & released_write)) | (writes & !is_mark),
            bad: {
                let before = old.bad & (!is_new_line).repeat(UNIT_SECTORS);
                let after_write = is_mark.mux(before | changed, before & !changed);
                work.is(Work::Filled).mux(filled.payload().bad, writes.mux(after_write, before))
            },
            trimmed: writes.mux(deallocates & is_whole, old.trimmed),
        };
        let new_way = m.wire("new_way", cat(&[is_new_line.mux(unit_tag, tag_in(old_way)), new.pack()]));
        let counts_as_dirty =
            |state: Signal| is_one_of(EnumSignal::from_signal(state), &[LineState::Dirty, LineState::Redirtied]);
        let changes_line = of_line | uses | writes | allocates | cleans;
        let changes_line = m.wire("changes_line", acting & changes_line);
        let is_dirty = m.wire("is_dirty", counts_as_dirty(new_state));
        let now_dirty = m.wire("now_dirty", (needy & !at) | (at & is_dirty.repeat(WAYS)));
        let is_soiled = new_state.eq(state_of(LineState::Dirty)) & !new.written;
        let now_soiled = m.wire("now_soiled", (soiled & !at) | (at & is_soiled.repeat(WAYS)));
        let has_too_many = m.wire("has_too_many", count_ones(now_dirty).gt(DIRTY_MAX) & now_soiled.any());
        let crowds = m.wire("crowds", changes_line & is_dirty & has_too_many);
        let frees = m.wire("frees", acting & of_line);
        let holds_first = m.wire("holds_first", uses & read_crosses & !reading.holds);
        let uses_pair = m.wire("uses_pair", uses & read_crosses & reading.holds);
        let need_left = m.wire("need_left", need_now & !(at & cleans.repeat(WAYS)));
        let walk_goes_on = m.wire("walk_goes_on", acting & is_walk & !need_left.any());
        let is_last_set = m.wire("is_last_set", walk_set.all());
        let pushes_flush = m.wire("pushes_flush", acting & work.is(Work::Flush));
        when(persisting.can_push() & !acting, || persist.take());
        let persists = m.wire("persists", persist.taken());
        let reports_flush = m.wire("reports_flush", acting & work.is(Work::Report));
        let begins_flush =
            m.wire("begins_flush", flush.is(Flush::Rest) & persisting_count.any() & choosing & !chooses_walk);
        let settles = m.wire("settles", flush.is(Flush::Settle) & choosing & clean.can_take());
        let settled = m.wire("settled", acting & work.is(Work::Settled));

        // 4. Next state: the piece of work
        let line_set = |line: Signal| line.bits(WAY_BITS..WAY_BITS + set_bits);
        let line_way = |line: Signal| one_hot(line.low(WAY_BITS), WAYS);
        let first_read = Reading {
            tag: new_read.tag,
            is_verify: new_read.operation.is(Operation::Verify),
            unit: unit_of(new_read.sector),
            sector: new_read.sector.low(SECTOR_BITS),
            sectors: new_read.sectors,
            holds: lit(0u8, 1),
            way: lit(0u8, WAY_BITS),
            bad: lit(0u8, UNIT_SECTORS),
            has_asked: lit(0u8, 1),
        };
        let next_read = m.wire("next_read", choose(retry, waiting.payload(), first_read));
        let read_unit = m.wire("read_unit", next_read.unit + next_read.holds.zext(32));
        switch(state, |s: State| match s {
            State::Clear => {
                cleared.set(cleared + 1);
                when(cleared.all(), || state.goto(State::Choose));
            }
            State::Choose => {
                for (which, _) in &choices {
                    when(chooses(*which), || work.goto(*which));
                }
                when(choice.any(), || state.goto(State::Fetch));
                set.set(walk_set);
                let takes_line = |which: Work, line: Signal| {
                    when(chooses(which), || {
                        set.set(line_set(line));
                        way.set(line_way(line));
                    });
                };
                when(chooses(Work::Thin), || set.set(crowded_set));
                takes_line(Work::Release, released.payload().line);
                takes_line(Work::Progress, progress.payload().line);
                takes_line(Work::Filled, filled.payload().line);
                when(chooses_read, || {
                    reading.set(next_read);
                    unit.set(read_unit);
                    set.set(read_unit.low(set_bits));
                    fits.set(retry | in_range(new_read.sector, new_read.sectors));
                    is_new.set(!retry);
                });
                when(chooses_write, || {
                    unit.set(write_unit);
                    set.set(write_unit.low(set_bits));
                    fits.set(in_range(new_write.sector, new_write.sectors));
                });
            }
            State::Fetch => {
                is_new.set(false);
                state.goto(State::Judge);
            }
            State::Judge => {
                for (way, word) in ways.iter().zip(&words) {
                    way.set(*word);
                }
                holders.set(by_way(&|way| tag_in(way).eq(unit_tag) & !line_in(way).state.is(LineState::Invalid)));
                lost.set(by_way(&|way| tag_in(way).eq(unit_tag) & line_in(way).state.is(LineState::Lost)));
                empty.set(by_way(&|way| line_in(way).state.is(LineState::Invalid)));
                free.set(by_way(&|way| {
                    let line = line_in(way);
                    is_one_of(line.state, &[LineState::Invalid, LineState::Clean, LineState::Lost]) & is_idle(&line)
                }));
                soiled.set(by_way(&|way| line_in(way).state.is(LineState::Dirty) & !line_in(way).written));
                neighbours.set(by_way(&|way| tag_in(way).eq(given_tag)));
                needy.set(by_way(&|way| is_one_of(line_in(way).state, &[LineState::Dirty, LineState::Redirtied])));
                state.goto(State::Decide);
            }
            State::Decide => {
                at.set(at_now);
                uses.set(uses_now);
                writes.set(writes_now);
                allocates.set(allocates_now);
                cleans.set(cleans_now);
                let refused = (is_read | is_write) & !fits;
                reports.set(refused | (is_write & (read_only | !changed.any())));
                fails.set(read_only);
                waits.set((is_read & fits & !uses_now & !(allocates_now & forwards)) | (changes & !writes_now));
                ends_write.set(write_ends);
                when(joins_fill & is_read, || reading.has_asked.set(lit(1u8, 1)));
                when(joins_fill & is_write, || write_has_asked.set(true));
                state.goto(State::Act);
            }
            State::Act => {
                when(holds_first, || {
                    reading.holds.set(lit(1u8, 1));
                    reading.way.set(one_hot_index(at));
                    reading.bad.set(old.bad);
                    reading.has_asked.set(lit(0u8, 1));
                    unit.set(unit + 1);
                    set.set((unit + 1).low(set_bits));
                    state.goto(State::Fetch);
                })
                .else_when(uses_pair, || state.goto(State::Pair))
                .otherwise(|| state.goto(State::Choose));
            }
            State::Pair => {
                when(burst.can_take(), || state.goto(State::Choose));
            }
        });
        let clears = m.wire("clears", state.is(State::Clear));
        memory.write_lanes(
            clock,
            clears | changes_line,
            clears.mux(cleared, set),
            new_way.repeat(WAYS) & (!clears).repeat(WAYS * way_width),
            at | clears.repeat(WAYS),
        );

        // 4. Next state: what waits
        let waits_now = m.wire("waits_now", acting & waits);
        when(retries_read, || waiting.take());
        when(waits_now & is_read, || waiting.push(reading));
        waiting_count.set(waiting_count - retries_read.zext(count_bits) + (waits_now & is_read).zext(count_bits));
        when(retries_read, || retries.set(retries - 1));
        when(waits_now & is_write, || write_waits.set(true));
        when(waits_now & wants_clean & !cleans, || clean_waits.set(true));
        when(frees | wakes, || {
            retries.set(waiting_count);
            write_waits.set(false);
            clean_waits.set(false);
        });
        let passes_write = m.wire("passes_write", acting & is_write & (writes | reports));
        when(passes_write, || {
            part.set(!ends_write);
            write_has_asked.set(false);
        });
        when(chooses_read | chooses_write, || write_turn.set(chooses_read));
        when(choosing & choice.any(), || {
            turns.set(turns + 1);
            when(turns.eq(WALK_TURNS - 1) & !chooses_walk, || turns.set(turns));
        });
        when(acting & is_new_line, || {
            let taps = lit(DICE_TAPS, DICE_BITS) & dice.bit(0).repeat(DICE_BITS);
            dice.set(dice.bits(1..DICE_BITS).zext(DICE_BITS) ^ taps);
        });
        when(acting & cleans, || given_tag.set(tag_in(old_way)));
        when(acting & is_thin, || is_crowded.set((wants_clean & !cleans) | (cleans & has_too_many)));
        when(crowds & !is_crowded, || {
            is_crowded.set(true);
            crowded_set.set(set);
        });

        // 4. Next state: the walk
        when(acting & is_walk, || {
            need.set(need_left);
            has_looked.set(need_left.any());
        });
        when(walk_goes_on, || walk_set.set(walk_set + 1));
        when(begins_flush, || {
            walk_set.set(zero(set_bits));
            has_looked.set(false);
            served.set(persisting_count);
        });
        when(pushes_flush, || persisting.push(new_read.tag));
        when(persists, || persisting.push(persist.payload().tag));
        when(reports_flush, || {
            persisting.take();
            served.set(served - 1);
        });
        persisting_count
            .set(persisting_count + (pushes_flush | persists).zext(count_bits) - reports_flush.zext(count_bits));
        switch(flush, |f: Flush| match f {
            Flush::Rest => {
                when(begins_flush, || flush.goto(Flush::Walk));
            }
            Flush::Walk => {
                when(walk_goes_on & is_last_set, || flush.goto(Flush::Settle));
            }
            Flush::Settle => {
                when(settles, || flush.goto(Flush::Await));
            }
            Flush::Await => {
                when(settled, || {
                    flush_failed.set(step.is(Step::Full));
                    when(step.is(Step::Unsettled), || {
                        walk_set.set(zero(set_bits));
                        has_looked.set(false);
                        flush.goto(Flush::Walk);
                    })
                    .otherwise(|| flush.goto(Flush::Report));
                });
            }
            Flush::Report => {
                when(reports_flush & served.eq(1), || flush.goto(Flush::Rest));
            }
        });

        wrote.set(acting & releases & released_write);

        // 5. Outputs
        m.output("wrote", wrote);
        let no = || lit(0u8, 1);
        when(state.is(State::Fetch) & is_new, || read.take());
        when(pushes_flush, || read.take());
        when(passes_write & ends_write, || write.take());
        when(acting & releases, || released.take());
        when(acting & (work.is(Work::Progress) | work.is(Work::Settled)), || progress.take());
        when(acting & work.is(Work::Filled), || filled.take());
        let nothing = Clean {
            settle: lit(1u8, 1),
            line: lit(0u8, LINE_BITS),
            unit: lit(0u8, 32),
            bad: lit(0u8, UNIT_SECTORS),
            trim: no(),
        };
        when(settles, || clean.offer(nothing));
        when(acting & cleans, || {
            let unit = cat(&[tag_in(old_way), set]).zext(32);
            clean.offer(Clean { settle: no(), line: line_number, unit, bad: old.bad, trim: old.trimmed });
        });
        when(fills.valid() & fill.can_take(), || {
            fill.offer(fills.payload());
            fills.take();
        });
        when(acting & allocates, || {
            fills.push(Fill {
                line: line_number,
                unit,
                forward: is_read & forwards,
                tag: reading.tag,
                sector: reading.sector,
                sectors: reading.sectors,
            });
        });
        let sector_beats = SECTOR_BEATS.trailing_zeros();
        let beats_of = |sectors: Signal| cat(&[sectors.low(4), lit(0u8, sector_beats)]);
        let beat_of = |sector: Signal| cat(&[sector.low(SECTOR_BITS), lit(0u8, sector_beats)]);
        let move_of = |operation: Move| EnumSignal::<Move>::of(operation);
        let of_read = |line: Signal, sector: Signal, sectors: Signal, bad: Signal, ends: Signal| Burst {
            tag: reading.tag,
            operation: move_of(Move::Read),
            line,
            beat: beat_of(sector),
            beats: beats_of(sectors),
            sectors: bad,
            without_host: reading.is_verify,
            ends_command: ends,
            fua: no(),
            failed: no(),
            refused: no(),
        };
        let report = |tag: Signal, beats: Signal, ends: Signal, failed: Signal, refused: Signal| Burst {
            tag,
            operation: move_of(Move::Report),
            line: lit(0u8, LINE_BITS),
            beat: lit(0u8, 6),
            beats,
            sectors: lit(0u8, UNIT_SECTORS),
            without_host: no(),
            ends_command: ends,
            fua: no(),
            failed,
            refused,
        };
        let first_line = cat(&[(unit - 1).low(set_bits), reading.way]).zext(LINE_BITS);
        let in_first_line = lit(UNIT_SECTORS, 4) - reading.sector.zext(4);
        when(acting & uses & !read_crosses, || {
            burst.offer(of_read(line_number, reading.sector, reading.sectors, old.bad, lit(1u8, 1)));
        });
        when(acting & uses_pair, || {
            burst.offer(of_read(first_line, reading.sector, in_first_line, reading.bad, no()));
        });
        when(state.is(State::Pair) & burst.can_take(), || {
            burst.offer(of_read(
                line_number,
                lit(0u8, SECTOR_BITS),
                reading.sectors - in_first_line,
                old.bad,
                lit(1u8, 1),
            ));
        });
        when(acting & writes & !is_mark, || {
            burst.offer(Burst {
                tag: new_write.tag,
                operation: move_of(Move::Write),
                line: line_number,
                beat: beat_of(part.mux(lit(0u8, SECTOR_BITS), write_sector)),
                beats: beats_of(part_sectors),
                sectors: changed,
                without_host: is_zeroes,
                ends_command: ends_write,
                fua: new_write.fua,
                failed: no(),
                refused: no(),
            });
        });
        when(acting & writes & is_mark, || burst.offer(report(new_write.tag, lit(0u8, 7), ends_write, no(), no())));
        when(acting & reports & is_write, || {
            let sectors = fits.mux(part_sectors, new_write.sectors);
            let has_data = new_write.operation.is(Operation::Write);
            let beats = beats_of(sectors) & has_data.repeat(7);
            burst.offer(report(new_write.tag, beats, ends_write, fails & fits, !fits));
        });
        when(acting & reports & is_read, || {
            burst.offer(report(reading.tag, lit(0u8, 7), lit(1u8, 1), no(), lit(1u8, 1)))
        });
        when(acting & work.is(Work::Filled) & filled.payload().forward, || {
            burst.offer(report(filled.payload().tag, lit(0u8, 7), lit(1u8, 1), filled.payload().failed, no()));
        });
        when(reports_flush, || burst.offer(report(persisting.payload(), lit(0u8, 7), lit(1u8, 1), flush_failed, no())));
    }
}

/// A number as what a register begins with.
fn constant(value: u128, width: u32) -> Constant {
    Constant::new(value, width).expect("it fits")
}

/// How many bits of `word` are set.
fn count_ones(word: Signal) -> Signal {
    let width = address_width(word.width() + 1);
    let bits = (0..word.width()).map(|number| word.bit(number).zext(width));
    bits.reduce(|sum, bit| sum + bit).expect("there are bits")
}

/// So many ones.
const fn low_ones(count: u32) -> u32 {
    (1 << count) - 1
}
