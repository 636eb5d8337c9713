//! # DMA read
//!
//! Moves the data of Writes from host memory, from any dword address, to the storage.
//!
//! ## Symbol
//! ```text
//!                 +--- dma_read ---+
//!   write_unit ->-|                |->- data_read   to host_port
//!    data_beat ->-|                |->- arrived     to units
//!                 |                |->- write       to storage_mux
//!                 |                |--> data_error, data_error_tag (to units)
//!                 +----------------+
//! ```
//! ## Theory of operation
//! A unit lies in a run of lines of host memory and begins in the first one at dword `begin`. The buffer has a RAM for each of the 16 dwords of a
//! beat, with an address of its own. Turning a line by `begin` dwords brings every dword to its RAM, and there it belongs to the beat with the line's
//! number, or, if it was turned around, to the one before:
//!
//! ```text
//!   line 0   | . . . a a a a a |     begin = 3      beat 0   | a a a a a a a a |
//!   line 1   | a a a b b b b b |                    beat 1   | b b b b b b b b |
//!   line 2   | b b b . . . . . |
//! ```
//! So a line is written in one clock. What comes before the beginning is not written; what comes after the end does no harm.
//!
//! 1. A unit asks for its lines with one read for each of its pages, both with the unit's tag, so that the host answers them in order.
//! 2. Lines of different units may alternate: `counts` holds the number of the next line of each.
//! 3. When the first line of a unit has been written, the tag goes into the FIFO `begun`.
//! 4. From there `arrived` announces the unit, also while the beats of the one before it leave; its own follow on `write` in the same order, a
//!    logical block at a time as soon as all lines of the block are there.
//! 5. A line that could not be read spoils the blocks that it has a part of: `spoilt` has a bit for each of them, and their beats leave with
//!    `error`. Whoever writes them leaves these blocks alone, so that no block is torn. `data_error` tells `units` of each such line.
//!
//! A tag has room for a whole unit, so `data_beat` is always taken.
//!
//! ## Timing
//! A line per clock in, a beat per clock out, at the same time. The first beat is offered five clocks after the last line of its logical block
//! was taken. No combinational path from any input to any output.
//!
//! ## Limits
//! While the lines of the unit that is being sent are late, the units behind it wait.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::{reader, HostBeat, HostRead, Target, BEAT_BITS, BEAT_BYTES};
use crate::units::{Arrived, UnitPlace};
use crate::{dma_write::LANES, held::bit_at, Config};
use nvme_spec::limits::{SECTOR_BYTES, UNIT_BYTES};
use rtl_hdl::{
    address_width, cat, hw_bundle, hw_enum, lit, switch, when, zero, Bits, Block, MemoryStyle, Module, Shape, Signal,
    Value,
};
use rtl_prim::{fifo_bits, one_hot};

#[cfg(test)]
mod bench;

hw_bundle! {
    /// One beat of the data of Writes, in the order in which they are announced.
    pub struct TargetWrite {
        /// Where the unit goes.
        pub target: Target,
        /// 64 bytes.
        pub data: Bits<512>,
        /// Its logical block could not be read.
        pub error: Bits<1>,
        /// The last beat of its unit.
        pub last: Bits<1>,
    }
}

hw_bundle! {
    /// What must be known of a unit when its lines arrive.
    struct Incoming {
        begin: Bits<4>,
        lines: Bits<7>,
        beats: Bits<7>,
    }
}

hw_bundle! {
    /// How much of a unit is there.
    struct Progress {
        /// Its first beats, of which all dwords have been written.
        beats: Bits<7>,
        /// A bit for each of its logical blocks of 512 bytes: some of it could not be read.
        spoilt: Bits<8>,
    }
}

hw_bundle! {
    /// What must be known of a unit when its beats leave.
    struct Outgoing {
        target: Target,
        beats: Bits<7>,
        whole: Bits<1>,
    }
}

hw_enum! {
    /// `First -> Second -> Drop -> First`, or without `Second` if the unit lies in one page.
    pub enum State {
        /// Waits for a unit. Leaves when the read of its first page has been offered.
        First,
        /// The unit has a second page. Leaves when the read of that has been offered.
        Second,
        /// Everything has been asked for. Leaves in one clock, in which the unit is taken.
        Drop,
    }
}

/// Beats of the smallest logical block.
const BLOCK_BEATS: u32 = SECTOR_BYTES / BEAT_BYTES;
/// Bits of a beat's number in it.
const BLOCK_BEAT_BITS: u32 = BLOCK_BEATS.trailing_zeros();
/// Logical blocks of a unit, at most.
const BLOCKS: u32 = UNIT_BYTES / SECTOR_BYTES;

/// Bits of a beat's number in a unit.
const BEAT_INDEX_BITS: u32 = (UNIT_BYTES * 8 / BEAT_BITS).trailing_zeros();

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct DmaRead {
    config: Config,
}

impl DmaRead {
    /// The reader of a controller.
    pub fn new(config: Config) -> DmaRead {
        DmaRead { config }
    }
}

impl Block for DmaRead {
    fn name(&self) -> String {
        format!("dma_read_{}", self.config.units)
    }

    fn description(&self) -> String {
        "Moves the data of Writes from host memory, from any dword address, to the storage.".into()
    }

    fn build(&self, m: &Module) {
        let units = self.config.units;
        let tag_bits = address_width(units);

        // 1. Ports
        let clock = m.clock();
        let write_unit = m.stream_in::<UnitPlace>("write_unit");
        let data_beat = m.stream_in::<HostBeat>("data_beat");
        let data_read = m.stream_out_single::<HostRead>("data_read");
        let arrived = m.stream_out_single::<Arrived>("arrived");
        let write = m.stream_out::<TargetWrite>("write");
        let unit = write_unit.payload();

        // 2. State
        let state = m.reg("state", clock, State::First);
        let incoming = m.memory("incoming", Incoming::WIDTH, units, MemoryStyle::Distributed);
        let outgoing = m.memory("outgoing", Outgoing::WIDTH, units, MemoryStyle::Distributed);
        let counts = m.memory("counts", 7, units, MemoryStyle::Distributed);
        let progress = m.memory("progress", Progress::WIDTH, units, MemoryStyle::Distributed);
        // Per tag: no line has arrived yet, so `counts` does not count.
        let fresh = m.reg("fresh", clock, zero(units));
        // The line that was taken, half turned.
        let line_full = m.reg("line_full", clock, false);
        let half_turned = m.reg_without_reset("half_turned", clock, BEAT_BITS);
        let line_tag = m.reg_without_reset("line_tag", clock, tag_bits);
        let line_number = m.reg_without_reset("line_number", clock, 7);
        let line_last = m.reg_without_reset("line_last", clock, 1);
        let line_error = m.reg("line_error", clock, false);
        let line_unit = m.reg_as::<Incoming>("line_unit", clock);
        let line_begin = line_unit.begin;
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| m.memory(&format!("lane_{lane}"), 32, units << BEAT_INDEX_BITS, MemoryStyle::Block))
            .collect();
        let begun = fifo_bits(m, "begun", tag_bits, units);
        // The unit that was announced and comes next.
        let ahead = m.reg("ahead", clock, false);
        let ahead_tag = m.reg_without_reset("ahead_tag", clock, tag_bits);
        // The unit whose beats are being read from the buffer.
        let sending = m.reg("sending", clock, false);
        let send_tag = m.reg_without_reset("send_tag", clock, tag_bits);
        let send_index = m.reg_without_reset("send_index", clock, BEAT_INDEX_BITS);
        let send_last_index = m.reg_without_reset("send_last_index", clock, BEAT_INDEX_BITS);
        let send_target = m.reg_without_reset("send_target", clock, Target::WIDTH);
        let send_whole = m.reg_without_reset("send_whole", clock, 1);
        // How much of it was there a clock ago.
        let sent = m.reg_as::<Progress>("sent", clock);
        // The beat that was read from the buffer.
        let read_full = m.reg("read_full", clock, false);
        let read_last = m.reg_without_reset("read_last", clock, 1);
        let read_error = m.reg_without_reset("read_error", clock, 1);
        let read_target = m.reg_as::<Target>("read_target", clock);

        // 3. Conditions
        let two_pages = m.wire("two_pages", unit.place.lines.ne(unit.place.lines_first));
        let new_unit = m.wire("new_unit", state.is(State::First) & write_unit.valid() & data_read.can_take());
        let new_tag = m.wire("new_tag", unit.tag.low(tag_bits));

        data_beat.take();
        let beat = data_beat.payload();
        let beat_tag = m.wire("beat_tag", beat.id.low(tag_bits));
        let info = m.wire("info", Incoming::unpack(incoming.lookup(beat_tag)));
        let number = m.wire("number", bit_at(fresh, beat_tag).mux(lit(0u8, 7), counts.lookup(beat_tag)));

        // Lane `l` of the buffer holds a dword of this line's beat if that was not turned around the end of the line.
        let turned = m.wire("turned", turn_down(half_turned, line_begin.bits(2..4), 4));
        let number_before = m.wire("number_before", line_number - 1);

        // With this line, so many beats are whole. Its first dwords belong to the beat before its own, unless the unit begins with a line.
        let shifted = m.wire("shifted", line_begin.any());
        let whole_beats = m.wire("whole_beats", shifted.mux(line_number, line_number + 1));
        let line_beats = m.wire("line_beats", line_last.mux(line_unit.beats, whole_beats));
        let before = m.wire("before", Progress::unpack(progress.lookup(line_tag)));
        let spoils = m.wire("spoils", {
            // A number with the highest bit set is no beat of the unit.
            let block_of = |beat: Signal| {
                let block = one_hot(beat.bits(BLOCK_BEAT_BITS..BEAT_INDEX_BITS), BLOCKS);
                block & (line_error & !beat.bit(BEAT_INDEX_BITS)).repeat(BLOCKS)
            };
            block_of(line_number) | (block_of(number_before) & shifted.repeat(BLOCKS))
        });
        let spoilt = m.wire("spoilt", line_number.any().mux(before.spoilt, lit(0u8, BLOCKS)) | spoils);
        let begins = m.wire("begins", line_full & !line_number.any());

        let advance = m.wire("advance", !read_full | write.can_take());
        let block = m.wire("block", send_index.bits(BLOCK_BEAT_BITS..BEAT_INDEX_BITS));
        let block_is_there = m.wire("block_is_there", {
            let all = sent.beats.bit(BEAT_INDEX_BITS) | sent.beats.low(BEAT_INDEX_BITS).gt(send_last_index);
            send_whole.mux(all, sent.beats.bits(BLOCK_BEAT_BITS..7).gt(block.zext(4)))
        });
        let read_beat = m.wire("read_beat", sending & block_is_there & advance);
        let sent_all = m.wire("sent_all", read_beat & send_index.eq(send_last_index));
        let next_unit = m.wire("next_unit", ahead & (!sending | sent_all));
        let announce = m.wire("announce", begun.valid() & arrived.can_take() & (!ahead | next_unit));
        let next_out = m.wire("next_out", Outgoing::unpack(outgoing.lookup(ahead_tag)));

        // 4. Next state
        switch(state, |s: State| match s {
            State::First => {
                when(new_unit, || {
                    when(two_pages, || state.goto(State::Second)).otherwise(|| state.goto(State::Drop));
                });
            }
            State::Second => {
                when(data_read.can_take(), || state.goto(State::Drop));
            }
            State::Drop => state.goto(State::First),
        });
        let beats = unit.place.beats;
        let new_in = Incoming { begin: unit.place.begin, lines: unit.place.lines, beats };
        let new_out = Outgoing { target: unit.target, beats, whole: unit.whole };
        incoming.write(clock, new_unit, new_tag, new_in.pack());
        outgoing.write(clock, new_unit, new_tag, new_out.pack());
        counts.write(clock, data_beat.valid(), beat_tag, number + 1);
        let new_bit = one_hot(new_tag, units) & new_unit.repeat(units);
        let beat_bit = one_hot(beat_tag, units) & data_beat.valid().repeat(units);
        fresh.set((fresh | new_bit) & !beat_bit);

        line_full.set(data_beat.valid());
        half_turned.set(turn_down(beat.data, info.begin.low(2), 1));
        line_tag.set(beat_tag);
        line_number.set(number);
        line_unit.set(info);
        line_last.set(number.eq(info.lines - 1));
        line_error.set(data_beat.valid() & beat.error);
        progress.write(clock, line_full, line_tag, Progress { beats: line_beats, spoilt }.pack());
        when(begins, || begun.push(line_tag));

        let of_tag = |tag: Signal| progress.lookup(tag);
        sent.set(Progress::unpack(next_unit.mux(of_tag(ahead_tag), of_tag(send_tag))));
        when(read_beat, || {
            send_index.set(send_index + 1);
            when(sent_all, || sending.set(false));
        });
        when(next_unit, || ahead.set(false));
        when(announce, || {
            begun.take();
            ahead.set(true);
            ahead_tag.set(begun.payload());
        });
        when(next_unit, || {
            sending.set(true);
            send_tag.set(ahead_tag);
            send_index.set(zero(BEAT_INDEX_BITS));
            send_last_index.set((next_out.beats - 1).low(BEAT_INDEX_BITS));
            send_target.set(next_out.target);
            send_whole.set(next_out.whole);
        });
        when(advance, || {
            read_full.set(read_beat);
            // A whole block is one that has no gap at all.
            read_error.set(send_whole.mux(sent.spoilt.any(), bit_at(sent.spoilt, block)));
            read_last.set(sent_all);
            read_target.set(rtl_hdl::EnumSignal::from_signal(send_target));
        });

        let mut read_lanes = Vec::new();
        for (lane, memory) in (0..LANES).zip(&lanes) {
            let turned_around = m.wire(&format!("turned_around_{lane}"), line_begin.gt(LANES - 1 - lane));
            let beat_number = turned_around.mux(number_before, line_number);
            // A line before the first beat, or after the last one of a full unit, has a number with the highest bit set.
            let inside = !beat_number.bit(BEAT_INDEX_BITS);
            let address = cat(&[line_tag, beat_number.low(BEAT_INDEX_BITS)]);
            let dword = turned.bits(32 * lane..32 * (lane + 1));
            memory.write(clock, line_full & inside, address, dword);
            read_lanes.push(memory.read_when(clock, &format!("read_{lane}"), read_beat, cat(&[send_tag, send_index])));
        }
        read_lanes.reverse();

        // 5. Outputs
        when(state.is(State::Drop), || write_unit.take());
        let second = state.is(State::Second);
        let address = second.mux(cat(&[unit.place.second, lit(0u8, 12)]), cat(&[unit.place.first, lit(0u8, 6)]));
        let beats = second.mux(unit.place.lines - unit.place.lines_first, unit.place.lines_first);
        when(new_unit | (second & data_read.can_take()), || {
            let id = lit(reader::DATA << 6, 8) | unit.tag;
            data_read.offer(HostRead { id, function: unit.function, address, beats });
        });
        m.output("data_error", line_error);
        m.output("data_error_tag", line_tag.zext(8));
        when(announce, || arrived.offer(Arrived { tag: begun.payload().zext(8) }));
        when(read_full & write.can_take(), || {
            write.offer(TargetWrite {
                target: read_target,
                data: cat(&read_lanes),
                error: read_error,
                last: read_last,
            });
        });
    }
}

/// `line` with each dword moved down by `amount * step` places (`amount` has two bits), those at the bottom to the top.
pub(crate) fn turn_down(line: Signal, amount: Signal, step: u32) -> Signal {
    let turn = |line: Signal, lanes: u32| cat(&[line.low(32 * lanes), line.bits(32 * lanes..line.width())]);
    let once = amount.bit(0).mux(turn(line, step), line);
    amount.bit(1).mux(turn(once, 2 * step), once)
}
