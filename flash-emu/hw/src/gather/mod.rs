//! # Gather
//!
//! Gathers units into pages: lines that the cache gives, and units that are moved. Asks where a page goes, and tells what is to be programmed, in the order in
//! which the pages of a die follow each other.
//!
//! ## Symbol
//! ```text
//!                     +--- gather ---+
//!             clean ->-|              |->- look_up       to the page map
//!             found ->-|              |->- want          to the write point
//!             moved ->-|              |->- page, unit    to be programmed
//!             place ->-|              |->- trim          a line that is trimmed, to the commit
//!              said ->-|              |->- settled       behind all of the lines before it
//!           located ->-|              |->- page_number   to be located
//!     retry, drains -->|              |->- heard
//!      has_room, .. -->|              |---> reserve, may_trim, settles
//! trims_are_durable -->|              |---> flush_limit, told_for, told_pages
//!                     +--------------+
//! ```
//! ## Theory of operation
//! 1. Each line is looked up in the map first: the commit expects the entry that was found. If the map page is not there firmware is asked for it, once, and the
//!    line waits until `retry` says that a map page has come.
//! 2. Lines and moved units wait in rings of eight. A ring that has the units of a page in each plane goes out; one with fewer does if somebody settles, if
//!    moves are to be drained, or if its units have waited long enough.
//! 3. At most one page is on its way to a place, so that places are used in their order. Filler comes without being asked for, and is passed on.
//! 4. A unit that is moved must not get a greater sequence than a write of the host, or a mount would take it for the newer version. So before a page of them
//!    asks for its place, no write of one of them may be in flight: the last sequence of the host's units is kept for each hash of a unit, and must be
//!    covered. And the map must still refer to what is moved: a unit that has another place by now goes out as no unit, which the commit says has failed.
//! 5. A line that is trimmed needs no page: it goes to the commit, which takes its unit out of the map. While it does so (`may_trim`) no page is issued. So what
//!    is moved has its place before the trim, and a lesser sequence than what the commit notes of it; or it is checked behind the trim, and is no unit any more.
//! 6. To settle, all units before are programmed; then the sequence of the next page is the limit up to which the write point fills. It is over when all below
//!    is covered, which is to say in the map, and safe, and when `trims_are_durable`. Meanwhile firmware writes map pages, behind which the record of the log may
//!    wait that the trims need: so their questions go between, and the rest begins anew.
//! 7. A program of firmware is located, its map page is marked as clean, and then it takes its place between the others.
//!
//! ## Timing
//! A unit takes some ten clocks and the time of the page map; a page ten clocks and one for each unit.
//! A trim takes some thirty clocks, in which no page is issued.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! `trim` is taken when it is done, so nothing may hold it on its way. Of a die with one good plane, a ring of eight goes out in two pages.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::page_map::{self, Answer, Request};
use crate::types::{
    map_user, Clean, Heard, Located, PageNumber, Place, ProgramPage, ProgramUnit, Progress, Purpose, Said, Step, Trim,
    Want, MAP_USER_BITS, PROGRAM_UNITS, SEQUENCE_BITS,
};
use flash_spec::fast_path::wire::event;
use flash_spec::fast_path::MAP_FIRST;
use flash_spec::limits::{PAGE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::record::{MAP_ENTRIES, UNMAPPED};
use flash_spec::spare::{kind, LPN_NONE};
use flash_spec::{Geometry, Outcome, Violation};
use rtl_hdl::{
    address_width, cat, hw_enum, lit, switch, when, zero, Block, EnumSignal, MemoryStyle, Module, Shape, Signal, Value,
};
use rtl_prim::{choose, fifo_of};

#[cfg(test)]
pub(crate) mod bench;

/// Bits of the number of a unit in a ring.
const RING_BITS: u32 = PROGRAM_UNITS.trailing_zeros();
/// Lines that wait for a map page.
const ABSENT_LINES: u32 = 64;
/// Bits of the hash of a unit.
const HASH_BITS: u32 = 8;
/// Clocks without a new unit after which a ring is drained.
const DRAIN_CLOCKS: u32 = 255;
/// Bits of the entries of a map page.
const MAP_PAGE_BITS: u32 = MAP_ENTRIES.trailing_zeros();

/// The parameters of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The flash.
    pub geometry: Geometry,
    /// Address of the first line of the cache.
    pub lines_base: u64,
    /// Address of the first of the pages that firmware and hardware share.
    pub shared_base: u64,
    /// Clocks that a unit waits for others.
    pub patience: u32,
}

hw_enum! {
    /// What is asked of the map.
    enum Question {
        /// Where the unit of a new line lies.
        New,
        /// The same of one that has waited for its map page.
        Again,
        /// Whether a map page that firmware programs has changed: it counts as clean from now on.
        Map,
    }
}

hw_enum! {
    /// `Rest -> Ask -> Wait -> Drop -> Rest`, or `Rest -> Empty -> Settle -> Drop -> Rest`; with the question of a map page, from any of `Rest`, `Empty` and
    /// `Settle`, `Ask -> Wait -> Rest`.
    enum Intake {
        /// Leaves with a question, or to settle.
        Rest,
        /// Leaves when the question is asked.
        Ask,
        /// Leaves with the answer.
        Wait,
        /// Leaves when all units before are programmed.
        Empty,
        /// Leaves when they are safe, and all trims durable.
        Settle,
        /// Leaves in one clock, in which a line is taken.
        Drop,
    }
}

hw_enum! {
    /// `Rest -> (Check -> Answer) for each unit -> Want -> Await -> Sort -> Head -> Units -> Rest`; only units that are moved are checked. Or
    /// `Rest -> Trim -> Rest`.
    enum Issue {
        /// Leaves with a page, or with filler.
        Rest,
        /// Is the unit in flight? Leaves when the map is asked for it, or if it may be.
        Check,
        /// Is it still there? Leaves with the answer.
        Answer,
        /// Leaves when a place is asked for.
        Want,
        /// Leaves with a place, which may be for filler.
        Await,
        /// What place is it? Leaves in one clock.
        Sort,
        /// Leaves when the page is told.
        Head,
        /// Leaves with its last unit.
        Units,
        /// Leaves when the commit has done with a trim.
        Trim,
    }
}

hw_enum! {
    /// `Rest -> Locate -> Ready -> Drop -> Rest`.
    enum Firmware {
        /// Leaves with a program.
        Rest,
        /// Leaves when it is located, and its map page is clean.
        Locate,
        /// Leaves when it is told, or refused.
        Ready,
        /// Leaves in one clock.
        Drop,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Gather {
    config: Config,
}

impl Gather {
    /// A block of these parameters.
    pub fn new(config: Config) -> Self {
        assert!(config.lines_base % u64::from(UNIT_BYTES) == 0 && config.shared_base % u64::from(PAGE_BYTES) == 0);
        Self { config }
    }
}

/// The hash of a unit.
fn hash(lpn: Signal) -> Signal {
    lpn.low(HASH_BITS) ^ lpn.bits(HASH_BITS..2 * HASH_BITS) ^ lpn.bits(2 * HASH_BITS..3 * HASH_BITS)
}

impl Block for Gather {
    fn name(&self) -> String {
        let Config { geometry, lines_base, shared_base, patience } = self.config;
        let Geometry { channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block } = geometry;
        let flash = format!("{channels}_{dies_per_channel}_{planes_per_die}_{blocks_per_plane}_{pages_per_block}");
        format!("gather_{flash}_b{lines_base:x}_{shared_base:x}_n{patience}")
    }

    fn description(&self) -> String {
        "Gathers units into pages.".into()
    }

    fn build(&self, m: &Module) {
        let Config { geometry, lines_base, shared_base, patience } = self.config;
        let full = UNITS_PER_PAGE * geometry.planes_per_die;
        let patience_bits = address_width(patience + 1);

        // 1. Ports
        let clock = m.clock();
        let clean = m.stream_in::<Clean>("clean");
        let moved = m.stream_in::<ProgramUnit>("moved");
        let said = m.stream_in::<Said>("said");
        let located = m.stream_in::<Located>("located");
        let found = m.stream_in::<Answer>("found");
        let places = m.stream_in::<Place>("place");
        let [retry, drains, failure, has_room, can_host, can_moved] =
            ["retry", "drains", "failure", "has_room", "can_host", "can_moved"].map(|name| m.input(name, 1));
        let trims_are_durable = m.input("trims_are_durable", 1);
        let [next_sequence, covered, safe_host] =
            ["next_sequence", "covered", "safe_host"].map(|name| m.input(name, SEQUENCE_BITS));
        let look_up = m.stream_out_single::<Request>("look_up");
        let page_number = m.stream_out_single::<PageNumber>("page_number");
        let want = m.stream_out_single::<Want>("want");
        let page_out = m.stream_out_single::<ProgramPage>("page");
        let unit_out = m.stream_out_single::<ProgramUnit>("unit");
        let trim = m.stream_out_single::<Trim>("trim");
        let settled = m.stream_out_single::<Progress>("settled");
        let heard = m.stream_out_single::<Heard>("heard");

        // 2. State
        let intake = m.reg("intake", clock, Intake::Rest);
        let question = m.reg("question", clock, Question::New);
        let asked = m.reg_as::<Clean>("asked", clock);
        let absent = fifo_of::<Clean>(m, "absent", ABSENT_LINES);
        let absent_count = m.reg("absent_count", clock, zero(address_width(ABSENT_LINES + 1)));
        let retries = m.reg("retries", clock, zero(address_width(ABSENT_LINES + 1)));
        // The last map page that firmware was asked for.
        let needed = m.reg("needed", clock, zero(17));
        let limit = m.reg("limit", clock, zero(SEQUENCE_BITS));
        let has_failed = m.reg("has_failed", clock, false);
        let issue = m.reg("issue", clock, Issue::Rest);
        // Whether the page that is issued is asked for, and for whom.
        let is_asked = m.reg("is_asked", clock, false);
        let purpose = m.reg("purpose", clock, Purpose::Host);
        let at = m.reg_as::<Place>("at", clock);
        // Both rings: the host's below, that of moved units above.
        let units = m.memory("units", ProgramUnit::WIDTH, 2 * PROGRAM_UNITS, MemoryStyle::Distributed);
        let [host_head, moved_head] = ["host_head", "moved_head"].map(|name| m.reg(name, clock, zero(RING_BITS)));
        let [host_count, moved_count] =
            ["host_count", "moved_count"].map(|name| m.reg(name, clock, zero(RING_BITS + 1)));
        let moved_turn = m.reg("moved_turn", clock, false);
        let number = m.reg("number", clock, zero(RING_BITS + 1));
        let reserve = m.reg("reserved", clock, zero(4));
        let told_for = m.reg("told_for_now", clock, Purpose::Host);
        let told_pages = m.reg("told_pages_now", clock, zero(2));
        // The units of the page that is told.
        let told = m.reg_without_reset("told", clock, RING_BITS + 1);
        let waited = m.reg("waited", clock, zero(patience_bits));
        let quiet = m.reg("quiet", clock, zero(8));
        let recent = m.memory("recent", SEQUENCE_BITS, 1 << HASH_BITS, MemoryStyle::Distributed);
        let swept = m.reg("swept", clock, zero(HASH_BITS + 1));
        let firmware = m.reg("firmware", clock, Firmware::Rest);
        let is_clean = m.reg("is_clean", clock, false);

        // 3. Conditions: what is asked of the map
        let ready = m.wire("ready", swept.bit(HASH_BITS));
        let rests = m.wire("rests", intake.is(Intake::Rest) & ready);
        let host_has_room = m.wire("host_has_room", host_count.ne(PROGRAM_UNITS));
        let program = said.payload();
        let buffer = m.wire("buffer", program.third - 1);
        let has_buffer = m.wire("has_buffer", program.third.any());
        let is_map = m.wire("is_map", has_buffer & buffer.ge(MAP_FIRST));
        let locates = m.wire("locates", firmware.is(Firmware::Locate));
        let is_through = covered.ge(limit) & safe_host.ge(limit) & trims_are_durable & settled.can_take();
        let empties = m.wire("empties", intake.is(Intake::Empty));
        let settling = m.wire("settling", intake.is(Intake::Settle));
        let settles_now = m.wire("settles_now", settling & is_through);
        let asks_map = m.wire("asks_map", (rests | empties | settling) & !settles_now & locates & is_map & !is_clean);
        let has_no_trim = m.wire("has_no_trim", trim.can_take());
        let has_place = |line: Signal| line.mux(has_no_trim, host_has_room);
        let again_has_place = has_place(absent.payload().trim);
        let asks_again = m.wire("asks_again", rests & !asks_map & retries.any() & absent.valid() & again_has_place);
        let new_has_place = has_place(clean.payload().trim);
        let takes_new = m.wire("takes_new", rests & !asks_map & !asks_again & clean.valid() & new_has_place);
        let asks_new = m.wire("asks_new", takes_new & !clean.payload().settle);
        // Not before lines that wait for a map page.
        let begins_to_settle = m.wire("begins_to_settle", takes_new & clean.payload().settle & !absent_count.any());
        let waits = m.wire("waits", intake.is(Intake::Wait));
        let checks_answer = m.wire("checks_answer", issue.is(Issue::Answer));
        when((waits & heard.can_take() & absent.can_push()) | checks_answer, || found.take());
        let answered = m.wire("answered", found.taken() & waits);
        let answer = found.payload();
        let of_line = m.wire("of_line", !question.is(Question::Map));
        let is_absent = m.wire("is_absent", answered & of_line & answer.outcome.is(page_map::Outcome::Absent));
        let goes_on = m.wire("goes_on", answered & of_line & !answer.outcome.is(page_map::Outcome::Absent));
        let pushes_host = m.wire("pushes_host", goes_on & !asked.trim);
        let map_page = m.wire("map_page", asked.unit.bits(MAP_PAGE_BITS..32).low(16));
        let needs = m.wire("needs", is_absent & needed.ne(cat(&[lit(1u8, 1), map_page])));
        let is_known = m.wire("is_known", answer.outcome.is(page_map::Outcome::Done));

        // Conditions: settling
        let issue_rests = m.wire("issue_rests", issue.is(Issue::Rest));
        let is_empty = m.wire("is_empty", !host_count.any() & has_no_trim & issue_rests);
        let asks = m.wire("asks", intake.is(Intake::Ask) & look_up.can_take() & !checks_answer);

        // Conditions: what is issued
        let is_patient = m.wire("is_patient", waited.ne(patience));
        let host_is_ready = m.wire("host_is_ready", host_count.ge(full) | (host_count.any() & (empties | !is_patient)));
        let is_quiet = m.wire("is_quiet", drains & quiet.eq(DRAIN_CLOCKS));
        let moves_ready = m.wire("moves_ready", moved_count.ge(full) | (moved_count.any() & is_quiet));
        let may_host = m.wire("may_host", host_is_ready & can_host & has_room);
        let may_moved = m.wire("may_moved", moves_ready & can_moved & has_room & ready);
        let firmware_waits = m.wire("firmware_waits", firmware.is(Firmware::Ready) & located.payload().is_there);
        let issues = m.wire("issues", issue_rests & !places.valid());
        let issues_trim = m.wire("issues_trim", issues & !has_no_trim & has_room);
        let issues_firmware = m.wire("issues_firmware", issues & !issues_trim & firmware_waits);
        let issues_units = m.wire("issues_units", issues & !issues_trim & !firmware_waits);
        let issues_moved = m.wire("issues_moved", issues_units & may_moved & (moved_turn | !may_host));
        let issues_host = m.wire("issues_host", issues_units & may_host & !issues_moved);
        when(issue_rests | issue.is(Issue::Await), || places.take());
        let placed = m.wire("placed", places.taken());
        let is_filler = m.wire("is_filler", at.purpose.is(Purpose::Filler));
        let of_firmware = m.wire("of_firmware", at.purpose.is(Purpose::Firmware));
        let of_moved = m.wire("of_moved", purpose.is(Purpose::Moved));
        let is_refused = m.wire("is_refused", !at.planes.any() & !of_firmware);
        let heads = m.wire("heads", issue.is(Issue::Head) & page_out.can_take());
        let ring_count = m.wire("ring_count", of_moved.mux(moved_count, host_count));
        let capacity = m.wire("capacity", at.planes.all().mux(lit(PROGRAM_UNITS, 4), lit(UNITS_PER_PAGE, 4)));
        let of_ring = ring_count.lt(capacity).mux(ring_count, capacity);
        let of_buffer = has_buffer.mux(lit(UNITS_PER_PAGE, 4), lit(0u8, 4));
        let units_now = m.wire("units_now", of_firmware.mux(of_buffer, of_ring) & (!is_filler).repeat(4));
        let gives = m.wire("gives", issue.is(Issue::Units) & unit_out.can_take());
        let is_last = m.wire("is_last", (number + 1).eq(told));
        let ring_gives = m.wire("ring_gives", gives & !of_firmware);
        let head = m.wire("head", of_moved.mux(moved_head, host_head));
        let ring_at = m.wire("ring_at", cat(&[of_moved, head + number.low(RING_BITS)]));
        let ring_unit = m.wire("ring_unit", ProgramUnit::unpack(units.lookup(ring_at)));
        let unit_hash = m.wire("unit_hash", hash(ring_unit.lpn));
        let may_be_in_flight = m.wire("may_be_in_flight", recent.lookup(unit_hash).ge(covered));
        let is_checked = m.wire("is_checked", (number + 1).eq(moved_count));
        let may_ask = m.wire("may_ask", look_up.can_take() & !intake.is(Intake::Ask) & !waits);
        let checks = m.wire("checks", issue.is(Issue::Check) & !may_be_in_flight & may_ask);
        let checked = m.wire("checked", found.taken() & checks_answer);
        let is_stale = m.wire("is_stale", checked & !(is_known & answer.entry.eq(ring_unit.old)));
        let is_over = m.wire("is_over", (heads & !units_now.any()) | (gives & is_last));
        // The host's units have the turn at the memory.
        let takes_moved = m.wire("takes_moved", moved_count.ne(PROGRAM_UNITS) & issue_rests & !waits);
        when(takes_moved, || moved.take());
        let pushes_moved = m.wire("pushes_moved", moved.taken());
        let refuses =
            m.wire("refuses", firmware.is(Firmware::Ready) & !located.payload().is_there & heard.can_take() & !waits);

        // 4. Next state: the questions
        switch(intake, |s: Intake| match s {
            Intake::Rest => {
                asked.set(choose(asks_again, absent.payload(), clean.payload()));
                question.goto(Question::New);
                when(asks_new, || intake.goto(Intake::Ask));
                when(begins_to_settle, || intake.goto(Intake::Empty));
                when(asks_again, || {
                    absent.take();
                    question.goto(Question::Again);
                    intake.goto(Intake::Ask);
                });
            }
            Intake::Ask => {
                when(asks, || intake.goto(Intake::Wait));
            }
            Intake::Wait => {
                when(answered, || {
                    intake.goto(Intake::Rest);
                    when(question.is(Question::New), || intake.goto(Intake::Drop));
                });
            }
            Intake::Empty => {
                limit.set(next_sequence);
                when(is_empty, || intake.goto(Intake::Settle));
            }
            Intake::Settle => {
                when(settles_now, || intake.goto(Intake::Drop));
            }
            Intake::Drop => intake.goto(Intake::Rest),
        });
        when(asks_map, || {
            question.goto(Question::Map);
            asked.unit.set(cat(&[buffer - MAP_FIRST, lit(0u8, MAP_PAGE_BITS)]).low(32));
            intake.goto(Intake::Ask);
        });
        when(is_absent, || absent.push(asked));
        let width = absent_count.width();
        absent_count.set(absent_count + is_absent.zext(width) - asks_again.zext(width));
        when(asks_again, || retries.set(retries - 1));
        when(needs, || needed.set(cat(&[lit(1u8, 1), map_page])));
        when(retry, || {
            retries.set(absent_count);
            needed.set(zero(17));
        });
        has_failed.set((has_failed & !settles_now) | failure);

        // Next state: firmware's program
        switch(firmware, |s: Firmware| match s {
            Firmware::Rest => {
                is_clean.set(false);
                when(said.valid() & page_number.can_take(), || firmware.goto(Firmware::Locate));
            }
            Firmware::Locate => {
                when(answered & !of_line, || is_clean.set(true));
                when(located.valid() & (is_clean | !is_map), || firmware.goto(Firmware::Ready));
            }
            Firmware::Ready => {
                when(refuses | (is_over & of_firmware), || firmware.goto(Firmware::Drop));
            }
            Firmware::Drop => firmware.goto(Firmware::Rest),
        });

        // Next state: pages
        switch(issue, |s: Issue| match s {
            Issue::Rest => {
                number.set(zero(RING_BITS + 1));
                is_asked.set(false);
                when(placed, || issue.goto(Issue::Sort));
                when(issues_trim, || issue.goto(Issue::Trim));
                when(issues_firmware, || {
                    purpose.goto(Purpose::Firmware);
                    issue.goto(Issue::Want);
                });
                when(issues_moved, || {
                    purpose.goto(Purpose::Moved);
                    issue.goto(Issue::Check);
                });
                when(issues_host, || {
                    purpose.goto(Purpose::Host);
                    issue.goto(Issue::Want);
                });
                when(issues_moved | issues_host, || moved_turn.set(issues_host));
            }
            Issue::Check => {
                when(checks, || issue.goto(Issue::Answer));
                when(may_be_in_flight, || issue.goto(Issue::Rest));
            }
            Issue::Answer => {
                when(checked, || {
                    number.set(number + 1);
                    issue.goto(Issue::Check);
                    when(is_checked, || issue.goto(Issue::Want));
                });
            }
            Issue::Want => {
                number.set(zero(RING_BITS + 1));
                when(want.can_take(), || {
                    is_asked.set(true);
                    issue.goto(Issue::Await);
                });
            }
            Issue::Await => {
                when(placed, || issue.goto(Issue::Sort));
            }
            Issue::Sort => {
                issue.goto(Issue::Head);
                when(is_refused, || issue.goto(Issue::Rest));
            }
            Issue::Head => {
                told.set(units_now);
                when(heads, || issue.goto(Issue::Units));
            }
            Issue::Units => {
                when(gives, || number.set(number + 1));
            }
            Issue::Trim => {
                when(has_no_trim, || issue.goto(Issue::Rest));
            }
        });
        when(is_over, || {
            issue.goto(Issue::Rest);
            when(is_filler & is_asked, || issue.goto(Issue::Await));
        });
        when(placed, || at.set(places.payload()));

        // Next state: the rings
        let pushes = m.wire("pushes", pushes_host | pushes_moved);
        let tail = |head: Signal, count: Signal| head + count.low(RING_BITS);
        let push_at =
            cat(&[pushes_moved, pushes_moved.mux(tail(moved_head, moved_count), tail(host_head, host_count))]);
        let first_line = lines_base / u64::from(UNIT_BYTES);
        let new_unit = ProgramUnit {
            source: asked.line.zext(32) + lit(first_line, 32),
            lpn: asked.unit,
            old: is_known.mux(answer.entry, lit(UNMAPPED, 32)),
            bad: asked.bad,
        };
        let stale_unit = ProgramUnit { lpn: lit(LPN_NONE, 32), ..ring_unit };
        let pushed_unit = choose(pushes_moved, moved.payload(), new_unit);
        let write_at = is_stale.mux(ring_at, push_at);
        units.write(clock, pushes | is_stale, write_at, choose(is_stale, stale_unit, pushed_unit).pack());
        let host_gives = m.wire("host_gives", ring_gives & !of_moved);
        let host_over = m.wire("host_over", host_gives & is_last);
        let moved_over = m.wire("moved_over", ring_gives & of_moved & is_last);
        for (head, count, pushes, over) in
            [(host_head, host_count, pushes_host, host_over), (moved_head, moved_count, pushes_moved, moved_over)]
        {
            count.set(count + pushes.zext(RING_BITS + 1) - (told & over.repeat(RING_BITS + 1)));
            when(over, || head.set(head + told.low(RING_BITS)));
        }
        when(is_patient & host_count.any(), || waited.set(waited + 1));
        let both = at.planes.all() & !of_firmware;
        told_pages.set(cat(&[both, !both]) & heads.repeat(2));
        when(heads, || told_for.set(at.purpose));
        reserve.set(of_ring & (heads & !of_firmware & !is_filler).repeat(4));
        when(host_over | !host_count.any(), || waited.set(zero(patience_bits)));
        when(quiet.ne(DRAIN_CLOCKS), || quiet.set(quiet + 1));
        when(pushes_moved, || quiet.set(zero(8)));
        when(!ready, || swept.set(swept + 1));
        let hash_at = ready.mux(unit_hash, swept.low(HASH_BITS));
        recent.write(clock, host_gives | !ready, hash_at, at.sequence & ready.repeat(SEQUENCE_BITS));

        // 5. Outputs
        when(intake.is(Intake::Drop), || clean.take());
        when(firmware.is(Firmware::Drop), || {
            said.take();
            located.take();
        });
        when(firmware.is(Firmware::Rest) & said.valid() & page_number.can_take(), || {
            page_number.offer(PageNumber { page: program.first, carried: lit(0u8, 16) });
        });
        when(asks | checks, || {
            let operation = |operation| EnumSignal::<page_map::Operation>::of(operation).signal();
            let is_look_up = of_line | checks;
            let operation =
                is_look_up.mux(operation(page_map::Operation::LookUp), operation(page_map::Operation::Clean));
            look_up.offer(Request {
                tag: lit(map_user::GATHER << MAP_USER_BITS.start, 8),
                operation: EnumSignal::from_signal(operation),
                unit: checks.mux(ring_unit.lpn, asked.unit),
                old: lit(0u8, 32),
                new: lit(0u8, 32),
            });
        });
        when(needs | refuses, || {
            let refused = Outcome::Refused(Violation::OutOfRange).code();
            heard.offer(Heard {
                code: needs.mux(lit(event::MAP_NEEDED, 8), lit(event::PROGRAM_DONE, 8)),
                tag: program.tag,
                argument: needs.mux(map_page, lit(refused, 16)),
                first: lit(0u8, 32),
                body: lit(0u8, 128),
            });
        });
        when(goes_on & asked.trim, || trim.offer(Trim { line: asked.line, unit: asked.unit }));
        when(settles_now, || {
            let step = |step| EnumSignal::<Step>::of(step).signal();
            settled.offer(Progress {
                step: EnumSignal::from_signal(has_failed.mux(step(Step::Unsettled), step(Step::Settled))),
                line: lit(0u8, crate::types::LINE_BITS),
            });
        });
        when(issue.is(Issue::Want) & want.can_take(), || want.offer(Want { purpose }));
        when(heads, || {
            let where_firmware_wants = Place {
                purpose: at.purpose,
                point: at.point,
                channel: located.payload().channel,
                die: located.payload().die,
                planes: cat(&[located.payload().plane, !located.payload().plane]),
                super_block: located.payload().block,
                page: located.payload().page_of_block,
                sequence: at.sequence,
            };
            let of_units = is_filler.mux(lit(kind::FILLER, 8), lit(kind::USER, 8));
            let of_program = has_buffer.mux(program.argument.low(8), lit(kind::FILLER, 8));
            page_out.offer(ProgramPage {
                place: choose(of_firmware, where_firmware_wants, at),
                tag: program.tag,
                kind: of_firmware.mux(of_program, of_units),
                units: units_now,
            });
        });
        when(gives, || {
            let page_bits = UNITS_PER_PAGE.trailing_zeros();
            let first = cat(&[buffer, lit(0u8, page_bits)]).low(32) + lit(shared_base / u64::from(UNIT_BYTES), 32);
            let of_page = ProgramUnit {
                source: first + number.zext(32),
                lpn: number.any().mux(lit(LPN_NONE, 32), program.second),
                old: lit(UNMAPPED, 32),
                bad: lit(0u8, 8),
            };
            unit_out.offer(choose(of_firmware, of_page, ring_unit));
        });
        m.output("reserve", reserve);
        m.output("told_for", told_for.signal());
        m.output("told_pages", told_pages);
        m.output("flush_limit", limit & settling.repeat(SEQUENCE_BITS));
        m.output("settles", settling);
        m.output("may_trim", issue.is(Issue::Trim));
    }
}
