//! # Write point
//!
//! The super-blocks that are being written: which die is programmed next, what a later program could still destroy, and filler against that.
//!
//! ## Symbol
//! ```text
//!                +--- write_point ---+
//!        said ->-|                    |->- place
//!        want ->-|                    |->- heard          a super-block is closed
//!       ended ->-|                    |---> can_host, can_moved
//! flush_limit -->|                    |---> next_sequence, safe, safe_host, covered
//!   log_limit -->|                    |
//! log_has_room-->|                    |
//!                +--------------------+
//! ```
//! ## Theory of operation
//! 1. Each stream has room for two open super-blocks, the points: one is written until none of its dies has room, then the other. What is known of a die in a
//!    point is one word of memory. One state machine does all work, one piece at a time, by reading such a word, deciding, and writing it back.
//! 2. A die is programmed in all its good planes at once, with pages of the same number. So its planes advance together; if firmware hands them out with
//!    different pages, only the lower one is written.
//! 3. When there is nothing else to do, the machine goes through the dies of all points. It finds the die for the next program of each stream: one with the
//!    fewest pages, and fewer than [`FLIGHTS`] programs in flight.
//! 4. An LSB page is not safe until the MSB page of the same cells is programmed. The word of a die has a lane for each such page with the number of
//!    the page, its sequence. A die with a page below the limit that is not safe, and nothing in flight, gets filler. Filler need not be safe.
//! 5. Each pass finds the least sequence that is not safe, and the least that could be in flight. What began before the pass is in it, and what begins
//!    later has a greater sequence: so the numbers hold when the pass has ended.
//! 6. A plane whose program fails gets no more. A point is closed when no die has room and nothing is in flight.
//!
//! ## Timing
//! Four clocks for each piece of work, so a pass takes that for each die of each open super-block.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! `covered` may be lower than it need be: of a die with a program in flight, the pages that are not safe count. It never falls, as firmware expects:
//! see [`flash_spec::record::LogHeader::covered`].
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::place::die_index;
use crate::types::{Ended, Heard, Place, Purpose, Said, Want, SEQUENCE_BITS};
use flash_spec::fast_path::wire::{command, event};
use flash_spec::fast_path::Stream;
use flash_spec::limits::PAGES_PER_BLOCK_MAX;
use flash_spec::Geometry;
use rtl_hdl::{
    address_width, cat, hw_bundle, hw_enum, lit, select, switch, when, zero, Bits, Block, EnumSignal, MemoryStyle,
    Module, Shape, Signal, Value,
};
use rtl_prim::{choose, one_hot};

#[cfg(test)]
pub(crate) mod bench;

/// Programs of a die in flight: one is programmed while the data of the other goes into the cache register.
pub const FLIGHTS: u32 = 2;
/// Points: two of each stream.
const POINTS: u32 = 4;
/// Width of the number of a page in its block, and of the one behind the last.
const PAGE_BITS: u32 = address_width(PAGES_PER_BLOCK_MAX) + 1;
/// Lanes of a die: more than there are pages that are not safe at a time.
const LANES: u32 = 4;
/// Bits of the number of a die.
const DIE_BITS: u32 = 6;

hw_bundle! {
    /// A page that is not safe.
    struct Lane {
        valid: Bits<1>,
        /// It need not be.
        filler: Bits<1>,
        sequence: Bits<SEQUENCE_BITS>,
    }
}

hw_bundle! {
    /// A die of an open super-block.
    struct Die {
        /// The page that is programmed next.
        next: Bits<11>,
        /// The planes that get more.
        good: Bits<2>,
        in_flight: Bits<2>,
        lane_0: Lane,
        lane_1: Lane,
        lane_2: Lane,
        lane_3: Lane,
    }
}

hw_enum! {
    /// A piece of work.
    enum Work {
        /// A program is over.
        Ended,
        /// A place is asked for.
        Place,
        /// A step of the pass.
        Scan,
    }
}

hw_enum! {
    /// `Choose -> Fetch -> Look -> Apply -> Choose`, a clock each, and `Choose -> Hear -> Open -> Drop -> Choose`.
    enum State {
        /// After reset. Leaves when nothing is handed out with a page other than the first.
        Sweep,
        /// Leaves with work, or with something that firmware says.
        Choose,
        /// The word is being read.
        Fetch,
        /// What is in it goes into registers.
        Look,
        /// It is written back.
        Apply,
        /// What firmware says is done. Leaves in one clock.
        Hear,
        /// A super-block is handed out: a die in each clock. Leaves with the last.
        Open,
        /// What firmware said is over. Leaves in one clock.
        Drop,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct WritePoint {
    /// The flash.
    pub geometry: Geometry,
}

impl WritePoint {
    /// Whether a page is an LSB page.
    fn is_lsb(&self, page: Signal) -> Signal {
        page.eq(0) | (page.bit(0) & page.ne(self.geometry.pages_per_block - 1))
    }

    /// The lane of an LSB page, and of the MSB page of the same cells: LSB pages are counted, and so are MSB pages.
    fn lane_of(&self, page: Signal) -> Signal {
        let ordinal = (page + 1).bits(1..3) - (!self.is_lsb(page)).zext(2);
        one_hot(ordinal, LANES)
    }
}

/// The least sequence of lanes, and whether there is any.
fn least(lanes: &[(Signal, Signal)]) -> (Signal, Signal) {
    let keys: Vec<Signal> = lanes.iter().map(|(counts, sequence)| cat(&[!*counts, *sequence])).collect();
    let least = keys.into_iter().reduce(|a, b| a.lt(b).mux(a, b)).expect("there are lanes");
    (least.low(SEQUENCE_BITS), !least.bit(SEQUENCE_BITS))
}

impl Block for WritePoint {
    fn name(&self) -> String {
        let Geometry { channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block } = self.geometry;
        format!("write_point_{channels}_{dies_per_channel}_{planes_per_die}_{blocks_per_plane}_{pages_per_block}")
    }

    fn description(&self) -> String {
        "Which die is programmed next, and what is safe.".into()
    }

    fn build(&self, m: &Module) {
        let geometry = &self.geometry;
        let pages = geometry.pages_per_block;
        let last_die = geometry.dies() - 1;

        // 1. Ports
        let clock = m.clock();
        let said = m.stream_in::<Said>("said");
        let want = m.stream_in::<Want>("want");
        let ended = m.stream_in::<Ended>("ended");
        let flush_limit = m.input("flush_limit", SEQUENCE_BITS);
        let log_limit = m.input("log_limit", SEQUENCE_BITS);
        let log_has_room = m.input("log_has_room", 1);
        let place = m.stream_out_single::<Place>("place");
        let heard = m.stream_out_single::<Heard>("heard");

        // 2. State
        let state = m.reg("state", clock, State::Sweep);
        let work = m.reg("work", clock, Work::Scan);
        let dies = m.memory("dies", Die::WIDTH, POINTS << DIE_BITS, MemoryStyle::Block);
        let starts: Vec<_> = (0..2)
            .map(|plane| m.memory(&format!("starts_{plane}"), PAGE_BITS, 1 << DIE_BITS, MemoryStyle::Distributed))
            .collect();
        let open = m.reg("open", clock, zero(POINTS));
        // Of each stream, the point that it writes.
        let current = m.reg("current", clock, zero(2));
        let of_points = |name: &str, width: u32| -> Vec<Signal> {
            (0..POINTS).map(|point| m.reg_without_reset(&format!("{name}_{point}"), clock, width)).collect()
        };
        let super_blocks = of_points("super_block", 16);
        // The least pages of a die that had room in the last pass.
        let rows = of_points("row", PAGE_BITS);
        // The die that is programmed next, of each stream.
        let found = m.reg("found", clock, zero(2));
        let found_dies: Vec<_> =
            (0..2).map(|stream| m.reg_without_reset(&format!("found_die_{stream}"), clock, DIE_BITS + 6)).collect();
        let sequence = m.reg("sequence_now", clock, lit_sequence(1));
        let settles_before = m.reg("settles_before", clock, zero(SEQUENCE_BITS));
        let all_limit = m.reg("all_limit", clock, zero(SEQUENCE_BITS));
        let host_limit = m.reg("host_limit", clock, zero(SEQUENCE_BITS));
        // The pass: the next point, or the end; the die in it.
        let scan_point = m.reg("scan_point", clock, zero(3));
        let [scan_index, scan_channel, scan_die] =
            [("scan_index", DIE_BITS), ("scan_channel", 4), ("scan_die", 2)].map(|(n, w)| m.reg(n, clock, zero(w)));
        let reg_sequence = |name: &str| m.reg(name, clock, zero(SEQUENCE_BITS));
        let [pass_safe, pass_host, pass_covered] = ["pass_safe", "pass_host", "pass_covered"].map(reg_sequence);
        let [safe, safe_host, covered] = ["safe_now", "safe_host_now", "covered_now"].map(reg_sequence);
        // What the pass has found in this point so far.
        let least_next = m.reg_without_reset("least_next", clock, PAGE_BITS);
        let [any_room, any_flight] = ["any_room", "any_flight"].map(|name| m.reg_without_reset(name, clock, 1));
        let hears_next = m.reg("hears_next", clock, false);
        // The subject of the work.
        let point = m.reg("point", clock, zero(2));
        let index = m.reg("index", clock, zero(DIE_BITS));
        let [channel, die] = [("channel", 4), ("die", 2)].map(|(n, w)| m.reg_without_reset(n, clock, w));
        // What was looked up in its word.
        let [lane_next, lane_end] = ["lane_next", "lane_end"].map(|n| m.reg_without_reset(n, clock, LANES));
        let [is_lsb_next, ends_lane, has_room] =
            ["is_lsb_next", "ends_lane", "has_room"].map(|n| m.reg_without_reset(n, clock, 1));
        let [data_least, any_least] = ["data_least", "any_least"].map(|n| m.reg_without_reset(n, clock, SEQUENCE_BITS));
        let [has_data, has_any] = ["has_data", "has_any"].map(|n| m.reg_without_reset(n, clock, 1));

        // 3. Conditions: what is done
        let choosing = m.wire("choosing", state.is(State::Choose));
        let ends = m.wire("ends", choosing & ended.valid());
        let places = m.wire("places", choosing & !ends & want.valid() & place.can_take());
        let hears = m.wire("hears", choosing & !ends & !places & said.valid() & hears_next);
        let scans = m.wire("scans", choosing & !ends & !places & !hears);
        let is_pass_end = m.wire("is_pass_end", scan_point.bit(2));
        let scanned = m.wire("scanned", scan_point.low(2));
        let scans_die = m.wire("scans_die", scans & !is_pass_end & select_bit(open, scanned));
        let applies = m.wire("applies", state.is(State::Apply));
        let is_ended = m.wire("is_ended", work.is(Work::Ended));
        let is_place = m.wire("is_place", work.is(Work::Place));
        let is_scan = m.wire("is_scan", work.is(Work::Scan));
        let purpose = want.payload().purpose;
        let of_firmware = m.wire("of_firmware", purpose.is(Purpose::Firmware));
        let wanted_stream = m.wire("wanted_stream", purpose.is(Purpose::Moved));

        // Conditions: the die
        let address = m.wire("address", cat(&[point, index]));
        let word = m.wire("word", Die::unpack(dies.read(clock, "word_read", address)));
        let lanes = [word.lane_0, word.lane_1, word.lane_2, word.lane_3];
        let of_data: Vec<_> = lanes.iter().map(|lane| (lane.valid & !lane.filler, lane.sequence)).collect();
        let of_any: Vec<_> = lanes.iter().map(|lane| (lane.valid, lane.sequence)).collect();
        let (data_least_now, has_data_now) = least(&of_data);
        let (any_least_now, has_any_now) = least(&of_any);
        let page_end = m.wire("page_end", word.next - word.in_flight.zext(PAGE_BITS));
        let stream = m.wire("stream", point.bit(1));
        let is_current = m.wire("is_current", stream.mux(current.bit(1), current.bit(0)).eq(point.bit(0)));
        let may_start = m.wire("may_start", has_room & word.in_flight.lt(FLIGHTS));
        let limit = m.wire("limit", stream.mux(all_limit, host_limit));
        let is_in_danger = m.wire("is_in_danger", has_data & data_least.lt(limit));
        let fills = m.wire("fills", is_scan & is_in_danger & !word.in_flight.any() & has_room & place.can_take());
        let has_found = m.wire("has_found", stream.mux(found.bit(1), found.bit(0)));
        let starts_now = m.wire("starts_now", applies & (fills | (is_place & !of_firmware & may_start & has_found)));
        let row = m.wire("row", select(&rows, point));
        let finds =
            m.wire("finds", applies & is_scan & may_start & is_current & !has_found & !fills & word.next.le(row));

        // Conditions: its new word
        let good = m.wire("good", word.good & !(ended.payload().failed & is_ended.repeat(2)));
        let is_lost = m.wire("is_lost", !good.any());
        let lane_of = |number: u32, lane: &<Lane as Shape>::Value| {
            let is_next = starts_now & lane_next.bit(number);
            // An MSB page whose LSB page firmware has programmed is in flight as if it were that one.
            let begins = is_next & (is_lsb_next | !lane.valid);
            let ends = is_ended & ((lane_end.bit(number) & ends_lane) | is_lost);
            Lane {
                valid: begins | (lane.valid & !ends),
                filler: begins.mux(!is_lsb_next | fills, lane.filler),
                sequence: begins.mux(sequence, lane.sequence),
            }
        };
        let new = m.wire(
            "new",
            Die {
                next: word.next + starts_now.zext(PAGE_BITS),
                good,
                in_flight: word.in_flight + starts_now.zext(2) - is_ended.zext(2),
                lane_0: lane_of(0, &word.lane_0),
                lane_1: lane_of(1, &word.lane_1),
                lane_2: lane_of(2, &word.lane_2),
                lane_3: lane_of(3, &word.lane_3),
            },
        );

        // Conditions: the end of a point in the pass
        let is_first = m.wire("is_first", index.eq(0));
        let is_last = m.wire("is_last", index.eq(last_die));
        let counts_next = m.wire("counts_next", may_start & (is_first | word.next.lt(least_next)));
        let room_so_far = m.wire("room_so_far", has_room | (any_room & !is_first));
        let flight_so_far = m.wire("flight_so_far", word.in_flight.any() | starts_now | (any_flight & !is_first));
        let next_so_far = m.wire(
            "next_so_far",
            counts_next.mux(word.next, is_first.mux(lit(low_ones(PAGE_BITS), PAGE_BITS), least_next)),
        );
        let ends_point = m.wire("ends_point", applies & is_scan & is_last);
        let closes = m.wire("closes", ends_point & !room_so_far & !flight_so_far & heard.can_take());
        let other_point = m.wire("other_point", cat(&[stream, !point.bit(0)]));
        let turns = m.wire("turns", ends_point & !room_so_far & is_current & select_bit(open, other_point));

        // Conditions: a super-block that is handed out
        let told = said.payload();
        let told_stream = told.tag.bit(0);
        let current_of_told = m.wire("current_of_told", told_stream.mux(current.bit(1), current.bit(0)));
        let first_choice = m.wire("first_choice", cat(&[told_stream, current_of_told]));
        let second_choice = m.wire("second_choice", cat(&[told_stream, !current_of_told]));
        let first_is_open = m.wire("first_is_open", select_bit(open, first_choice));
        let second_is_open = m.wire("second_is_open", select_bit(open, second_choice));
        let hears_now = m.wire("hears_now", state.is(State::Hear));
        let is_code = |code: u8| told.code.eq(u64::from(code));
        let opening = m.wire("opening", state.is(State::Open));
        let sweeps = m.wire("sweeps", state.is(State::Sweep));
        let start = [0, 1].map(|plane: usize| starts[plane].lookup(index));
        let planes_of_die = |plane: u32| {
            let first = plane * geometry.dies();
            let all: Vec<Signal> = (first..first + geometry.dies()).map(|number| told.body.bit(number)).collect();
            if plane < geometry.planes_per_die {
                select(&all, index)
            } else {
                lit(0u8, 1)
            }
        };
        let given = m.wire("given", cat(&[planes_of_die(1), planes_of_die(0)]));
        let is_level = m.wire("is_level", start[0].eq(start[1]));
        let opened_good = m.wire("opened_good", cat(&[given.bit(1) & (is_level | !given.bit(0)), given.bit(0)]));
        let empty = || Lane { valid: lit(0u8, 1), filler: lit(0u8, 1), sequence: lit(0u8, SEQUENCE_BITS) };
        let opened = Die {
            next: given.bit(0).mux(start[0], start[1]),
            good: opened_good,
            in_flight: lit(0u8, 2),
            lane_0: empty(),
            lane_1: empty(),
            lane_2: empty(),
            lane_3: empty(),
        };

        // 4. Next state
        let subject = |at_point: Signal, at: [Signal; 3]| {
            point.set(at_point);
            index.set(at[0]);
            channel.set(at[1]);
            die.set(at[2]);
        };
        let found_now = m.wire("found_now", wanted_stream.mux(found_dies[1], found_dies[0]));
        switch(state, |s: State| match s {
            State::Sweep => {
                index.set(index + 1);
                when(index.all(), || state.goto(State::Choose));
            }
            State::Choose => {
                hears_next.set(!hears_next);
                when(ends, || {
                    let ended = ended.payload();
                    work.goto(Work::Ended);
                    subject(ended.point, [die_index(geometry, ended.die, ended.channel), ended.channel, ended.die]);
                });
                when(places, || {
                    work.goto(Work::Place);
                    let at_point = cat(&[wanted_stream, wanted_stream.mux(current.bit(1), current.bit(0))]);
                    subject(at_point, [found_now.low(6), found_now.bits(6..10), found_now.bits(10..12)]);
                });
                when(scans, || {
                    work.goto(Work::Scan);
                    subject(scanned, [scan_index, scan_channel, scan_die]);
                });
                when(hears, || state.goto(State::Hear));
                when(ends | places | scans_die, || state.goto(State::Fetch));
            }
            State::Fetch => state.goto(State::Look),
            State::Look => {
                lane_next.set(self.lane_of(word.next));
                is_lsb_next.set(self.is_lsb(word.next));
                lane_end.set(self.lane_of(page_end));
                ends_lane.set(!self.is_lsb(page_end));
                has_room.set(word.good.any() & word.next.lt(pages));
                data_least.set(data_least_now);
                has_data.set(has_data_now);
                any_least.set(any_least_now);
                has_any.set(has_any_now);
                state.goto(State::Apply);
            }
            State::Apply => state.goto(State::Choose),
            State::Hear => {
                index.set(zero(DIE_BITS));
                point.set(first_is_open.mux(second_choice, first_choice));
                state.goto(State::Drop);
                when(is_code(command::OPEN), || state.goto(State::Open));
                when(is_code(command::OPEN) & first_is_open & second_is_open, || state.goto(State::Choose));
            }
            State::Open => {
                index.set(index + 1);
                when(is_last, || state.goto(State::Drop));
            }
            State::Drop => state.goto(State::Choose),
        });
        // Of a super-block whose first choice was free, `current` need not change.
        let opened_now = m.wire("opened_now", opening & is_last);
        for (number, super_block) in (0..).zip(&super_blocks) {
            let is_it = point.eq(number);
            when(opened_now & is_it, || {
                super_block.set(told.argument);
                rows[number as usize].set(zero(PAGE_BITS));
            });
            when(ends_point & is_it, || rows[number as usize].set(next_so_far));
        }
        open.set(
            (open | (one_hot(point, POINTS) & opened_now.repeat(POINTS)))
                & !(one_hot(point, POINTS) & closes.repeat(POINTS)),
        );
        when(turns, || current.set(current ^ one_hot(stream, 2)));
        let loses_found = (applies & is_place & !of_firmware) | turns;
        found.set((found | (one_hot(stream, 2) & finds.repeat(2))) & !(one_hot(stream, 2) & loses_found.repeat(2)));
        for (number, found_die) in (0u32..).zip(&found_dies) {
            when(finds & stream.eq(number), || found_die.set(cat(&[die, channel, index])));
        }
        starts.iter().zip([0u32, 1]).for_each(|(memory, plane)| {
            let dies = geometry.dies();
            let in_plane = if plane == 0 { told.tag.lt(dies) } else { told.tag.ge(dies) };
            let told_index = if plane == 0 { told.tag } else { told.tag - dies };
            let tells = hears_now & is_code(command::START_AT) & in_plane;
            let at = tells.mux(told_index.low(DIE_BITS), index);
            let page = told.argument.low(PAGE_BITS) & tells.repeat(PAGE_BITS);
            memory.write(clock, tells | opening | sweeps, at, page);
        });
        let writes = m.wire("writes", (applies & (is_ended | starts_now)) | opening);
        dies.write(clock, writes, address, choose(opening, opened, new).pack());
        let planes_started = m.wire("planes_started", (word.good.all() & starts_now).zext(SEQUENCE_BITS));
        let numbers = m.wire("numbers", starts_now | (applies & is_place & of_firmware));
        sequence.set(sequence + numbers.zext(SEQUENCE_BITS) + planes_started);
        when(hears_now & is_code(command::SET_SEQUENCE), || {
            sequence.set(cat(&[told.second, told.first]).low(SEQUENCE_BITS));
        });
        when(hears_now & is_code(command::SETTLE), || settles_before.set(sequence));
        let greater = |a: Signal, b: Signal| a.lt(b).mux(b, a);
        all_limit.set(greater(settles_before, log_limit & (!log_has_room).repeat(SEQUENCE_BITS)));
        host_limit.set(greater(all_limit, flush_limit));

        // Next state: the pass
        when(scans & is_pass_end, || {
            scan_point.set(zero(3));
            safe.set(pass_safe);
            safe_host.set(pass_host);
            covered.set(greater(covered, pass_covered));
            [pass_safe, pass_host, pass_covered].iter().for_each(|least| least.set(sequence));
        });
        when(scans & !is_pass_end & !scans_die, || scan_point.set(scan_point + 1));
        when(applies & is_scan, || {
            let wraps = scan_channel.eq(geometry.channels - 1);
            scan_index.set(is_last.mux(lit(0u8, DIE_BITS), scan_index + 1));
            scan_channel.set((wraps | is_last).mux(lit(0u8, 4), scan_channel + 1));
            scan_die.set(is_last.mux(lit(0u8, 2), scan_die + wraps.zext(2)));
            when(is_last, || scan_point.set(scan_point + 1));
            any_room.set(room_so_far);
            any_flight.set(flight_so_far);
            least_next.set(next_so_far);
            let lowers = has_data & data_least.lt(pass_safe);
            when(lowers, || pass_safe.set(data_least));
            when(has_data & data_least.lt(pass_host) & !stream, || pass_host.set(data_least));
            when(has_any & word.in_flight.any() & any_least.lt(pass_covered), || pass_covered.set(any_least));
        });

        // 5. Outputs
        when(applies & is_ended, || ended.take());
        when(applies & is_place, || want.take());
        when(state.is(State::Drop), || said.take());
        when(starts_now | (applies & is_place), || {
            let is_filler = EnumSignal::<Purpose>::of(Purpose::Filler).signal();
            place.offer(Place {
                purpose: EnumSignal::from_signal(fills.mux(is_filler, purpose.signal())),
                point,
                channel,
                die,
                planes: word.good & starts_now.repeat(2),
                super_block: select(&super_blocks, point),
                page: word.next.zext(16),
                sequence,
            });
        });
        when(closes, || {
            heard.offer(Heard {
                code: lit(event::SUPER_BLOCK_CLOSED, 8),
                tag: stream.zext(8),
                argument: select(&super_blocks, point),
                first: lit(0u8, 32),
                body: lit(0u8, 128),
            });
        });
        m.output("can_host", found.bit(Stream::Host as u32));
        m.output("can_moved", found.bit(Stream::Moved as u32));
        m.output("next_sequence", sequence);
        m.output("safe", safe);
        m.output("safe_host", safe_host);
        m.output("covered", covered);
    }
}

/// A bit of a word by its number.
fn select_bit(word: Signal, index: Signal) -> Signal {
    let bits: Vec<Signal> = (0..word.width()).map(|bit| word.bit(bit)).collect();
    select(&bits, index)
}

/// A sequence as what a register begins with.
fn lit_sequence(value: u64) -> rtl_hdl::Constant {
    rtl_hdl::Constant::new(value.into(), SEQUENCE_BITS).expect("it fits")
}

/// So many ones.
const fn low_ones(width: u32) -> u64 {
    (1 << width) - 1
}
