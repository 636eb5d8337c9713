//! # List reader
//!
//! Reads a list of qwords from host memory, line by line and ahead of who uses them.
//!
//! ## Symbol
//! ```text
//!               +--- list_reader ---+
//!        list ->|                   |---> entry, entry_known, entry_error
//!  take_entry ->|                   |---> idle
//!        stop ->|                   |->- list_read    to host_port
//!  list_beat ->-|                   |
//!               +-------------------+
//! ```
//! ## Theory of operation
//! 1. A list is a run of qwords: entries of a page of a PRP list, or descriptors of an SGL segment, two qwords each. It may begin at any qword.
//! 2. Its lines are asked for one after the other, as long as `lines` has room for them: `held` counts those that were asked for and are not
//!    used up. All reads have one id, so they are answered in their order.
//! 3. `entry` is the next qword of the oldest line. `take_entry` goes on to the next one, and the last one of a line, or of the list, uses the line up.
//! 4. A list that nobody wants to the end is given up by `stop`: nothing more is asked for, and what is there or arrives is thrown away.
//!    A command ends when the reader is `idle`, so that none of its reads outlives it.
//!
//! ## Timing
//! An entry per clock. The first one is there four clocks after its line was asked for, besides what the host takes. `stop` is held until `idle`.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! One list at a time: the next one is taken when the reader is idle. Eight lines ahead: 64 page addresses, or 32 descriptors.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::{reader, HostBeat, HostRead, BEAT_BITS, BEAT_BYTES};
use rtl_hdl::{address_width, cat, hw_bundle, lit, when, zero, Bits, Block, Module};
use rtl_prim::fifo_bits;

#[cfg(test)]
mod bench;

hw_bundle! {
    /// A run of qwords in host memory.
    pub struct List {
        /// The function whose memory it is.
        pub function: Bits<8>,
        /// Address of the first one, in qwords.
        pub address: Bits<61>,
        /// How many there are, at least one.
        pub entries: Bits<29>,
    }
}

/// Lines that are asked for ahead.
const LINES: u32 = 8;
/// Width of a qword, and of its number in a line.
const ENTRY_BITS: u32 = 64;
const INDEX_BITS: u32 = address_width(BEAT_BITS / ENTRY_BITS);
/// Width of a number of lines of a list.
const LINE_COUNT_BITS: u32 = 27;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct ListReader;

impl Block for ListReader {
    fn name(&self) -> String {
        "list_reader".into()
    }

    fn description(&self) -> String {
        "Reads a list of qwords from host memory, ahead of who uses them.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let list = m.stream_in::<List>("list");
        let take_entry = m.input("take_entry", 1);
        let stop = m.input("stop", 1);
        let list_beat = m.stream_in::<HostBeat>("list_beat");
        let list_read = m.stream_out_single::<HostRead>("list_read");

        // 2. State
        let owner = m.reg_without_reset("owner", clock, 8);
        // The next line to ask for, and how many there are from it on.
        let line = m.reg_without_reset("line", clock, 58);
        let lines_left = m.reg("lines_left", clock, zero(LINE_COUNT_BITS));
        let held = m.reg("held", clock, zero(address_width(LINES + 1)));
        // The line, and in the highest bit whether it could not be read.
        let lines = fifo_bits(m, "lines", BEAT_BITS + 1, LINES);
        // The place of the next entry in its line, and how many there are from it on.
        let index = m.reg_without_reset("index", clock, INDEX_BITS);
        let entries_left = m.reg_without_reset("entries_left", clock, 29);

        // 3. Conditions
        let is_idle = m.wire("is_idle", !held.any() & !lines_left.any());
        when(is_idle, || list.take());
        let new = list.payload();
        let first_index = new.address.low(INDEX_BITS);
        let new_lines = (new.entries.zext(30) + first_index.zext(30) + 7).bits(INDEX_BITS..30);
        let ask = m.wire("ask", lines_left.any() & held.ne(LINES) & list_read.can_take() & !stop);
        let used_up = m.wire("used_up", lines.valid() & (stop | (take_entry & (index.all() | entries_left.eq(1)))));

        // 4. Next state
        when(list.taken(), || {
            owner.set(new.function);
            line.set(new.address.bits(INDEX_BITS..61));
            lines_left.set(new_lines);
            index.set(first_index);
            entries_left.set(new.entries);
        });
        when(ask, || {
            line.set(line + 1);
            lines_left.set(lines_left - 1);
        });
        when(stop, || lines_left.set(zero(LINE_COUNT_BITS)));
        when(ask & !used_up, || held.set(held + 1));
        when(used_up & !ask, || held.set(held - 1));
        list_beat.take();
        when(list_beat.valid(), || {
            let beat = list_beat.payload();
            lines.push(cat(&[beat.error, beat.data]));
        });
        when(take_entry, || {
            index.set(index + 1);
            entries_left.set(entries_left - 1);
        });
        when(used_up, || lines.take());

        // 5. Outputs
        when(ask, || {
            list_read.offer(HostRead {
                id: lit(reader::LIST << 6, 8),
                function: owner,
                address: cat(&[line, lit(0u8, BEAT_BYTES.trailing_zeros())]),
                beats: lit(1u8, 7),
            });
        });
        m.output("entry", lines.payload().low(BEAT_BITS).word(index, ENTRY_BITS));
        m.output("entry_known", lines.valid());
        m.output("entry_error", lines.payload().bit(BEAT_BITS));
        m.output("idle", is_idle);
    }
}
