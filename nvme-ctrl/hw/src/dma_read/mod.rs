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
//! 3. When the last line has been written, the tag goes into the FIFO `complete`.
//! 4. From there `arrived` announces the unit, and its beats follow on `write` in the same order; if a line could not be read there are none.
//!
//! A tag has room for a whole unit, so `data_beat` is always taken.
//!
//! ## Timing
//! A line per clock in, a beat per clock out, at the same time. The first beat is offered five clocks after the last line was taken.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! Data waits until the whole unit is there.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::{reader, HostBeat, HostRead, Target, BEAT_BITS};
use crate::units::{Arrived, UnitPlace};
use crate::{dma_write::LANES, held::bit_at, Config};
use nvme_spec::limits::UNIT_BYTES;
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
        /// The last beat of its unit.
        pub last: Bits<1>,
    }
}

hw_bundle! {
    /// What must be known of a unit when its lines arrive.
    struct Incoming {
        begin: Bits<4>,
        lines: Bits<7>,
    }
}

hw_bundle! {
    /// What must be known of a unit when its beats leave.
    struct Outgoing {
        target: Target,
        beats: Bits<7>,
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
        // Per tag: no line has arrived yet, so `counts` does not count; some line could not be read.
        let fresh = m.reg("fresh", clock, zero(units));
        let bad = m.reg("bad", clock, zero(units));
        // The line that was taken, half turned.
        let line_full = m.reg("line_full", clock, false);
        let half_turned = m.reg_without_reset("half_turned", clock, BEAT_BITS);
        let line_tag = m.reg_without_reset("line_tag", clock, tag_bits);
        let line_number = m.reg_without_reset("line_number", clock, 7);
        let line_begin = m.reg_without_reset("line_begin", clock, 4);
        let line_last = m.reg_without_reset("line_last", clock, 1);
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| m.memory(&format!("lane_{lane}"), 32, units << BEAT_INDEX_BITS, MemoryStyle::Block))
            .collect();
        let complete = fifo_bits(m, "complete", tag_bits, units);
        // The unit whose beats are being read from the buffer.
        let sending = m.reg("sending", clock, false);
        let send_tag = m.reg_without_reset("send_tag", clock, tag_bits);
        let send_index = m.reg_without_reset("send_index", clock, BEAT_INDEX_BITS);
        let send_last_index = m.reg_without_reset("send_last_index", clock, BEAT_INDEX_BITS);
        let send_target = m.reg_without_reset("send_target", clock, Target::WIDTH);
        // The beat that was read from the buffer.
        let read_full = m.reg("read_full", clock, false);
        let read_last = m.reg_without_reset("read_last", clock, 1);
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

        let advance = m.wire("advance", !read_full | write.can_take());
        let read_beat = m.wire("read_beat", sending & advance);
        let sent_all = m.wire("sent_all", read_beat & send_index.eq(send_last_index));
        let next_unit = m.wire("next_unit", complete.valid() & arrived.can_take() & (!sending | sent_all));
        let next_tag = m.wire("next_tag", complete.payload());
        let next_bad = m.wire("next_bad", bit_at(bad, next_tag));
        let next_out = m.wire("next_out", Outgoing::unpack(outgoing.lookup(next_tag)));

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
        let new_in = Incoming { begin: unit.place.begin, lines: unit.place.lines };
        let new_out = Outgoing { target: unit.target, beats: unit.place.beats };
        incoming.write(clock, new_unit, new_tag, new_in.pack());
        outgoing.write(clock, new_unit, new_tag, new_out.pack());
        counts.write(clock, data_beat.valid(), beat_tag, number + 1);
        let new_bit = one_hot(new_tag, units) & new_unit.repeat(units);
        let beat_bit = one_hot(beat_tag, units) & data_beat.valid().repeat(units);
        fresh.set((fresh | new_bit) & !beat_bit);
        bad.set((bad & !new_bit) | (beat_bit & beat.error.repeat(units)));

        line_full.set(data_beat.valid());
        half_turned.set(turn_down(beat.data, info.begin.low(2), 1));
        line_tag.set(beat_tag);
        line_number.set(number);
        line_begin.set(info.begin);
        line_last.set(number.eq(info.lines - 1));
        when(line_full & line_last, || complete.push(line_tag));

        when(sending & advance, || {
            send_index.set(send_index + 1);
            when(sent_all, || sending.set(false));
        });
        when(next_unit, || {
            complete.take();
            sending.set(!next_bad);
            send_tag.set(next_tag);
            send_index.set(zero(BEAT_INDEX_BITS));
            send_last_index.set((next_out.beats - 1).low(BEAT_INDEX_BITS));
            send_target.set(next_out.target);
        });
        when(advance, || {
            read_full.set(sending);
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
        when(next_unit, || arrived.offer(Arrived { tag: next_tag.zext(8), error: next_bad }));
        when(read_full & write.can_take(), || {
            write.offer(TargetWrite { target: read_target, data: cat(&read_lanes), last: read_last });
        });
    }
}

/// `line` with each dword moved down by `amount * step` places (`amount` has two bits), those at the bottom to the top.
fn turn_down(line: Signal, amount: Signal, step: u32) -> Signal {
    let turn = |line: Signal, lanes: u32| cat(&[line.low(32 * lanes), line.bits(32 * lanes..BEAT_BITS)]);
    let once = amount.bit(0).mux(turn(line, step), line);
    amount.bit(1).mux(turn(once, 2 * step), once)
}
