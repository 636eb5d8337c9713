//! # Page map
//!
//! Says where a unit of the host's data lies in the flash, and changes that by compare-and-swap. The map is in memory; what is used often is in a cache.
//!
//! ## Symbol
//! ```text
//!              +--- page_map ---+
//!   request ->-|                |->- answer
//!      peek -->|                |---> peek_changed of this map page
//!              |                |---> lost         a change did not reach the memory
//!              |                |=== memory        AXI4 manager
//!              +----------------+
//! ```
//! ## Theory of operation
//! 1. The entries lie in memory as [`flash_spec::record`] says. A line is 64 bytes of them. The cache is direct-mapped: a line of the map has one place in it.
//! 2. Not every map page has to be in memory. Firmware attaches a page when it has put it there and detaches it before it uses the memory for something else;
//!    a request for a unit of a page that is not attached is answered with `Absent`.
//! 3. A look-up reads the line if the cache has it not, and answers with the entry.
//! 4. A swap compares the entry with `old`. If they are equal, `new` goes into the cache and on to the memory; otherwise nothing is changed. The answer says
//!    which, and what the entry was: so hardware that has moved a unit, firmware that moves it at the same time, and a host that writes it all see what came
//!    first.
//! 5. A map page that was changed since it was attached or cleaned says so: firmware writes those to the flash. `Clean` takes note that it is about to.
//!    `peek_changed` says so of the page that `peek` names at any time, and changes nothing.
//! 6. To attach a page takes its lines out of the cache, one in each clock.
//! 7. The memory may carry out a read before a write that was sent earlier. So a line is read only when the last write has been answered; and firmware,
//!    which uses the memory next, gets the answer to what it asks of a map page only then.
//!
//! ## Timing
//! One request at a time, every fourth clock if the cache has what is asked for; the answer leaves 3 clocks after its request was there. A line that is
//! missing takes the latency of the memory and 4 clocks more. To attach takes 260 clocks, but the answer does not wait for the lines.
//! `peek_changed` belongs to the `peek` of the clock before, and follows a change one clock after it.
//! After reset the cache and the attachments are cleared, which takes a clock for each line or each map page, whichever are more.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! A swap is answered before the memory has answered its write. If that fails, which a memory with error correction does when it is broken,
//! `lost` is set for a clock: the cache has the new entry, the memory the old one.
//! A line that could not be read is not kept. A map page that does not exist or is not attached is not changed.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::MEMORY;
use flash_spec::record::{MAP_ENTRIES, MAP_ENTRY_BYTES};
use nvme_hw::types::BEAT_BYTES;
use rtl_bus::{resp, Axi4, WriteData};
use rtl_hdl::{
    address_width, cat, hw_bundle, hw_enum, lit, switch, when, zero, Bits, Block, EnumSignal, MemoryStyle, Module,
};
use rtl_prim::one_hot;

#[cfg(test)]
pub(crate) mod bench;

/// Bytes of a line: a beat.
const LINE_BYTES: u32 = BEAT_BYTES;
/// Bits of an entry.
const ENTRY_BITS: u32 = 8 * MAP_ENTRY_BYTES;
/// Entries of a line.
const LINE_ENTRIES: u32 = LINE_BYTES / MAP_ENTRY_BYTES;
/// Bits of the place of an entry in its line.
const LANE_BITS: u32 = address_width(LINE_ENTRIES);
/// Lines of a map page.
const PAGE_LINES: u32 = MAP_ENTRIES / LINE_ENTRIES;
/// Bits of the number of a unit in its map page.
const PAGE_UNIT_BITS: u32 = address_width(MAP_ENTRIES);
/// Bits of an address in a line.
const LINE_ADDRESS_BITS: u32 = LINE_BYTES.trailing_zeros();

/// The parameters of a page map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Units of the host, from 2 on.
    pub units: u32,
    /// Lines of the cache: a power of two from 2 on.
    pub lines: u32,
    /// Address of the first entry in memory; a multiple of the size of a map page.
    pub base: u64,
}

impl Config {
    /// For quick tests: a cache that is often too small, and two map pages.
    pub const SMALL: Self = Self { units: MAP_ENTRIES + 1000, lines: 8, base: 0 };
    /// A map of 1 GiB, of which the cache holds a sixteenth.
    pub const DEFAULT: Self = Self { units: 1 << 18, lines: 1024, base: 0 };
}

hw_enum! {
    /// What is asked of the map.
    pub enum Operation {
        /// Where is a unit?
        LookUp,
        /// Change the entry of a unit if it is as expected.
        Swap,
        /// The map page of a unit is in memory now, and unchanged.
        Attach,
        /// The map page of a unit is about to be written to the flash: was it changed?
        Clean,
        /// The map page of a unit is no longer in memory.
        Detach,
    }
}

hw_enum! {
    /// What the map answers.
    pub enum Outcome {
        /// The entry, or what was asked of its page.
        Done,
        /// The entry is not as expected; it is as it was.
        Differs,
        /// The map page of the unit is not attached.
        Absent,
        /// The memory could not be read, or there is no such unit.
        Failed,
    }
}

hw_bundle! {
    /// A question.
    pub struct Request {
        /// The answer carries it.
        pub tag: Bits<8>,
        /// What is asked.
        pub operation: Operation,
        /// The unit of the host; for what is asked of a map page, any one of its units.
        pub unit: Bits<32>,
        /// What a swap expects.
        pub old: Bits<32>,
        /// What it puts there.
        pub new: Bits<32>,
    }
}

hw_bundle! {
    /// An answer, in the order of the questions.
    pub struct Answer {
        /// Of the question.
        pub tag: Bits<8>,
        /// How it ended.
        pub outcome: Outcome,
        /// The entry as it was before, of a look-up or a swap that ends with `Done` or `Differs`.
        pub entry: Bits<32>,
        /// Of what was asked of a map page: it has been changed.
        pub changed: Bits<1>,
    }
}

hw_enum! {
    /// `Sweep -> Idle -> Judge -> Know -> Drop -> Idle`, by way of `Read` and `Fill` if the cache has the line not, and with `Forget` behind `Know` for
    /// `Attach`.
    pub enum State {
        /// After reset. Leaves when the cache and the attachments are cleared.
        Sweep,
        /// Leaves with a request: what the cache has of it is being read.
        Idle,
        /// What was read goes into registers. Leaves in one clock.
        Judge,
        /// All is known of the request but what is missing in the cache. Leaves with the answer, or for the line.
        Know,
        /// Leaves when the line can be asked for.
        Read,
        /// Leaves with the line, or with the answer that it could not be read.
        Fill,
        /// The lines of an attached page leave the cache. Leaves with the last one.
        Forget,
        /// Answered. Leaves in one clock, in which the request is taken.
        Drop,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct PageMap {
    config: Config,
}

impl PageMap {
    /// A map of these parameters.
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Block for PageMap {
    fn name(&self) -> String {
        format!("page_map_u{}_l{}_b{:x}", self.config.units, self.config.lines, self.config.base)
    }

    fn description(&self) -> String {
        "Where the units of the host lie in the flash, changed by compare-and-swap.".into()
    }

    fn build(&self, m: &Module) {
        let Config { units, lines, base } = self.config;
        let pages = units.div_ceil(MAP_ENTRIES).max(2);
        let line_bits = address_width(lines);
        let tag_bits = address_width(pages * PAGE_LINES) - line_bits;

        // 1. Ports
        let clock = m.clock();
        let requests = m.stream_in::<Request>("request");
        let answer = m.stream_out_single::<Answer>("answer");
        let memory = Axi4::manager(m, "memory", MEMORY);
        let peek = m.input("peek", 16);
        let lost = m.reg("lost_now", clock, false);
        m.output("lost", lost);
        let request = requests.payload();

        // 2. State
        let state = m.reg("state", clock, State::Sweep);
        let data = m.memory("data", 8 * LINE_BYTES, lines, MemoryStyle::Block);
        let tags = m.memory("tags", 1 + tag_bits, lines, MemoryStyle::Distributed);
        let attached = m.memory("attached", 1, pages, MemoryStyle::Distributed);
        let changed = m.memory("changed", 1, pages, MemoryStyle::Distributed);
        // Counts what is cleared: lines and map pages after reset, the lines of a page when it is attached.
        let counter_bits = address_width(lines.max(pages).max(PAGE_LINES));
        let counter = m.reg("counter", clock, zero(counter_bits));
        // What is known of the request.
        let [is_hit, is_attached, is_changed, is_there] =
            ["is_hit", "is_attached", "is_changed", "is_there"].map(|name| m.reg_without_reset(name, clock, 1));
        let entry = m.reg_without_reset("entry", clock, ENTRY_BITS);
        // The page that is peeked at exists, and what is known of it is cleared.
        let peek_is_there = m.reg("peek_is_there", clock, false);
        // A write waits for its response.
        let writing = m.reg("writing", clock, false);

        // 3. Conditions
        let is = |operation| request.operation.is(operation);
        let is_swap = m.wire("is_swap", is(Operation::Swap));
        let of_page = m.wire("of_page", !is_swap & !is(Operation::LookUp));
        let lane = m.wire("lane", request.unit.low(LANE_BITS));
        let line = m.wire("line", request.unit.bits(LANE_BITS..LANE_BITS + line_bits));
        let tag = m.wire("tag", request.unit.bits(LANE_BITS + line_bits..LANE_BITS + line_bits + tag_bits));
        let page = m.wire("page", request.unit.bits(PAGE_UNIT_BITS..PAGE_UNIT_BITS + address_width(pages)));
        let known_tag = tags.read(clock, "known_tag", line);
        let known = data.read(clock, "known", line);
        let page_attached = attached.read(clock, "page_attached", page);
        let page_changed = changed.read(clock, "page_changed", page);
        let peeked = changed.read(clock, "peeked", peek.low(page.width()));
        let in_cache = m.wire("in_cache", known_tag.eq(cat(&[lit(1u8, 1), tag])));

        let knows = m.wire("knows", state.is(State::Know) & answer.can_take());
        let is_refused = m.wire("is_refused", !is_there | (!is_attached & !is(Operation::Attach)));
        let differs = m.wire("differs", is_swap & entry.ne(request.old));
        let lacks = m.wire("lacks", knows & !is_refused & !of_page & !is_hit);
        let swaps = m.wire("swaps", knows & !is_refused & is_swap & is_hit & !differs);
        let can_write = m.wire("can_write", !writing & memory.aw.can_take() & memory.w.can_take());
        let swapped = m.wire("swapped", swaps & can_write);
        let waits = m.wire("waits", swaps.mux(!can_write, of_page & writing));
        let ends = m.wire("ends", knows & !lacks & !waits);
        let attaches = m.wire("attaches", ends & !is_refused & is(Operation::Attach));
        let asks = m.wire("asks", state.is(State::Read) & !writing & memory.ar.can_take());
        when(state.is(State::Fill) & answer.can_take(), || memory.r.take());
        let beat = memory.r.payload();
        let filled = m.wire("filled", memory.r.taken());
        let unreadable = m.wire("unreadable", filled & resp::is_error(beat.resp));
        memory.b.take();
        let written = m.wire("written", memory.b.taken());
        let sweeps = m.wire("sweeps", state.is(State::Sweep));
        let forgets = m.wire("forgets", state.is(State::Forget));
        let is_last = |count: u32| counter.eq(count - 1);

        // 4. Next state
        switch(state, |s: State| match s {
            State::Sweep => {
                counter.set(counter + 1);
                when(is_last(lines.max(pages)), || {
                    counter.set(zero(counter_bits));
                    state.goto(State::Idle);
                });
            }
            State::Idle => {
                when(requests.valid(), || state.goto(State::Judge));
            }
            State::Judge => {
                is_hit.set(in_cache);
                is_attached.set(page_attached);
                is_changed.set(page_changed);
                is_there.set(request.unit.lt(units));
                entry.set(known.word(lane, ENTRY_BITS));
                state.goto(State::Know);
            }
            State::Know => {
                when(lacks, || state.goto(State::Read))
                    .else_when(attaches, || state.goto(State::Forget))
                    .else_when(ends, || state.goto(State::Drop));
            }
            State::Read => {
                when(asks, || state.goto(State::Fill));
            }
            State::Fill => {
                entry.set(beat.data.word(lane, ENTRY_BITS));
                is_hit.set(lit(1u8, 1));
                when(filled, || state.goto(State::Know));
                when(unreadable, || state.goto(State::Drop));
            }
            State::Forget => {
                counter.set(counter + 1);
                when(is_last(PAGE_LINES), || {
                    counter.set(zero(counter_bits));
                    state.goto(State::Drop);
                });
            }
            State::Drop => state.goto(State::Idle),
        });
        let keeps = m.wire("keeps", filled & !unreadable);
        data.write_lanes(
            clock,
            keeps | swapped,
            line,
            keeps.mux(beat.data, request.new.repeat(LINE_ENTRIES)),
            keeps.repeat(LINE_ENTRIES) | one_hot(lane, LINE_ENTRIES),
        );
        // The lines of a page are neighbours in the cache.
        let counted_line = counter.zext(32).low(line_bits);
        let first_line = cat(&[page, lit(0u8, PAGE_UNIT_BITS - LANE_BITS)]).zext(32).low(line_bits);
        let counted_of_page = m.wire("counted_of_page", first_line + counted_line);
        let clears = m.wire("clears", sweeps | forgets);
        tags.write(
            clock,
            keeps | clears,
            clears.mux(sweeps.mux(counted_line, counted_of_page), line),
            cat(&[keeps, tag]),
        );
        let counted_page = counter.zext(32).low(page.width());
        let changes_page = m.wire("changes_page", ends & !is_refused & of_page);
        let page_at = sweeps.mux(counted_page, page);
        attached.write(clock, sweeps | changes_page, page_at, !sweeps & !is(Operation::Detach));
        changed.write(clock, sweeps | changes_page | swapped, page_at, swapped);
        peek_is_there.set(peek.lt(pages) & !sweeps);
        writing.set((writing & !written) | swapped);
        lost.set(written & resp::is_error(memory.b.payload().resp));

        // 5. Outputs
        m.output("peek_changed", peeked & peek_is_there);
        when(state.is(State::Drop), || requests.take());
        let offset = cat(&[request.unit.bits(LANE_BITS..32), lit(0u8, LINE_ADDRESS_BITS)]).zext(64);
        let burst = MEMORY.whole_beats(lit(0u8, 1), offset + base, lit(0u8, 8), lit(0u8, 1));
        when(asks, || memory.ar.offer(burst));
        when(swapped, || {
            memory.aw.offer(burst);
            let strb = lit(0xFu64, LINE_BYTES).shl(cat(&[lane, lit(0u8, MAP_ENTRY_BYTES.trailing_zeros())]));
            memory.w.offer(WriteData { data: request.new.repeat(LINE_ENTRIES), strb, last: lit(1u8, 1) });
        });
        let outcome = |outcome: Outcome| EnumSignal::<Outcome>::of(outcome).signal();
        let refused = is_there.mux(outcome(Outcome::Absent), outcome(Outcome::Failed));
        let judged = is_refused.mux(refused, differs.mux(outcome(Outcome::Differs), outcome(Outcome::Done)));
        when(ends | unreadable, || {
            answer.offer(Answer {
                tag: request.tag,
                outcome: EnumSignal::from_signal(unreadable.mux(outcome(Outcome::Failed), judged)),
                entry,
                changed: is_changed & is_attached,
            });
        });
    }
}
