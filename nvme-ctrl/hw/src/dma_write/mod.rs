//! # DMA write
//!
//! Moves the data of Reads from the storage to host memory, to any dword address.
//!
//! ## Symbol
//! ```text
//!                   +--- dma_write ---+
//!      read_unit ->-|                 |->- data_write        to host_port
//!   storage_read ->-|                 |->- data_write_beat   to host_port
//!    buffer_read ->-|                 |->- written           to units
//!                   +-----------------+
//! ```
//! ## Theory of operation
//! A beat of the storage has 16 dwords, and so has a line of host memory, but the data begins in the line at dword `begin`. Turning each beat by
//! `begin` dwords puts every dword where it belongs; those that run over the end of the line wait in `carry` for the next one:
//!
//! ```text
//!   beat 0   | a a a a a a a a |                      begin = 3
//!   beat 1   | b b b b b b b b |
//!   line 0   | . . . a a a a a |
//!   line 1   | a a a b b b b b |
//!   line 2   | b b b . . . . . |    written from `carry` alone
//! ```
//! The lines before the end of the page and those after it are one run, since a page ends with a line: only the address changes between them.
//!
//! 1. `units` says where a unit goes before it is started; `places` keeps that by tag.
//! 2. A beat is taken from one of the two inputs, which take turns by units, and turned by its low two bits of `begin`.
//! 3. In the next clock it is turned by the high two bits, joined with `carry`, and offered as a line. The first line of each page offers
//!    the head of a burst too. Bytes that do not belong to the unit, and dwords of beats with an error, are not written.
//! 4. `written` reports a unit when its last line has been offered and its last head has been taken: from then on nothing can overtake its data
//!    on the host port.
//!
//! ## Timing
//! A line per clock; a unit takes as many clocks as it has lines, at most 65. The first line is offered two clocks after the beat was taken.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! A burst begins before all of its data is there: the storage must deliver a unit's beats whatever happens on the host port.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::{HostWrite, HostWriteBeat, StorageRead, BEAT_BITS};
use crate::units::{UnitPlace, Written};
use crate::walk::Place;
use crate::Config;
use rtl_hdl::{address_width, cat, hw_bundle, lit, when, zero, Bits, Block, MemoryStyle, Module, Shape, Signal, Value};
use rtl_prim::choose;

#[cfg(test)]
pub(crate) mod bench;

hw_bundle! {
    /// Where a unit goes.
    struct Destination {
        function: Bits<8>,
        place: Place,
    }
}

/// Dwords of a beat.
pub(crate) const LANES: u32 = BEAT_BITS / 32;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct DmaWrite {
    config: Config,
}

impl DmaWrite {
    /// The writer of a controller.
    pub fn new(config: Config) -> DmaWrite {
        DmaWrite { config }
    }
}

impl Block for DmaWrite {
    fn name(&self) -> String {
        format!("dma_write_{}", self.config.units)
    }

    fn description(&self) -> String {
        "Moves the data of Reads from the storage to host memory, to any dword address.".into()
    }

    fn build(&self, m: &Module) {
        let units = self.config.units;
        let tag_bits = address_width(units);

        // 1. Ports
        let clock = m.clock();
        let read_unit = m.stream_in::<UnitPlace>("read_unit");
        let storage_read = m.stream_in::<StorageRead>("storage_read");
        let buffer_read = m.stream_in::<StorageRead>("buffer_read");
        let data_write = m.stream_out_single::<HostWrite>("data_write");
        let data_write_beat = m.stream_out::<HostWriteBeat>("data_write_beat");
        let written = m.stream_out_single::<Written>("written");

        // 2. State
        let places = m.memory("places", Destination::WIDTH, units, MemoryStyle::Distributed);
        // The input that is listened to, and whether the next beat is the first one of its unit.
        let from_buffer = m.reg("from_buffer", clock, false);
        let at_start = m.reg("at_start", clock, true);
        // The beat that was taken, half turned.
        let taken_full = m.reg("taken_full", clock, false);
        let half_turned = m.reg_without_reset("half_turned", clock, BEAT_BITS);
        let taken_error = m.reg_without_reset("taken_error", clock, 1);
        let taken_last = m.reg_without_reset("taken_last", clock, 1);
        // The unit whose lines are being written.
        let tag = m.reg_without_reset("tag", clock, tag_bits);
        let unit = m.reg_as::<Destination>("unit", clock);
        let line = m.reg_without_reset("line", clock, 7);
        let carry = m.reg_without_reset("carry", clock, BEAT_BITS);
        let carry_error = m.reg_without_reset("carry_error", clock, 1);
        // The last line comes from `carry` alone.
        let flushing = m.reg("flushing", clock, false);
        // A unit whose last line has been offered, and whose last head may still wait.
        let finished = m.reg("finished", clock, false);
        let finished_tag = m.reg_without_reset("finished_tag", clock, tag_bits);

        // 3. Conditions
        let place = unit.place;
        let first_line = m.wire("first_line", line.eq(0));
        let first_of_second_page = m.wire("first_of_second_page", line.eq(place.lines_first));
        let last_line = m.wire("last_line", line.eq(place.lines - 1));
        let last_of_first_page = m.wire("last_of_first_page", line.eq(place.lines_first - 1));
        let needs_head = m.wire("needs_head", first_line | first_of_second_page);
        let can_finish = m.wire("can_finish", !finished | (data_write.can_take() & written.can_take()));
        let room = m.wire("room", data_write_beat.can_take() & (!needs_head | (data_write.can_take() & can_finish)));
        let write_line = m.wire("write_line", (taken_full | flushing) & room);
        let report = m.wire("report", finished & data_write.can_take() & written.can_take());

        // The last beat of a unit leaves something over if the unit has more lines than beats.
        let leaves_carry = m.wire("leaves_carry", taken_last & place.lines.ne(place.beats));
        let accept = m.wire("accept", flushing.mux(write_line, !taken_full | (write_line & !leaves_carry)));
        when(accept & !from_buffer, || storage_read.take());
        when(accept & from_buffer, || buffer_read.take());
        let (offered, other_offered) = (
            m.wire("offered", from_buffer.mux(buffer_read.valid(), storage_read.valid())),
            m.wire("other_offered", from_buffer.mux(storage_read.valid(), buffer_read.valid())),
        );
        let accepted = m.wire("accepted", accept & offered);
        let beat = choose(from_buffer, buffer_read.payload(), storage_read.payload());
        let beat_tag = m.wire("beat_tag", beat.tag.low(tag_bits));
        let destination = m.wire("destination", Destination::unpack(places.lookup(beat_tag)));
        let unit_ends = m.wire("unit_ends", accepted & beat.last);

        // Lane `l` of the line comes from `carry` where `l < begin`.
        let turned = m.wire("turned", turn_up(half_turned, place.begin.bits(2..4), 4));
        let lane_is_carried: Vec<Signal> = (0..LANES).map(|lane| place.begin.gt(lane)).collect();
        let strobes: Vec<Signal> = (0..LANES)
            .map(|lane| {
                let carried = lane_is_carried[lane as usize];
                let before_begin = first_line & carried;
                let after_end = last_line & place.end.any() & place.end.le(lane);
                let error = carried.mux(carry_error, taken_error);
                !before_begin & !after_end & !error
            })
            .collect();

        // 4. Next state
        let told = read_unit.payload();
        read_unit.take();
        let new_place = Destination { function: told.function, place: told.place };
        places.write(clock, read_unit.valid(), told.tag.low(tag_bits), new_place.pack());

        when(accepted, || at_start.set(beat.last));
        when(other_offered & (unit_ends | (at_start & !offered)), || from_buffer.set(!from_buffer));

        when(report, || finished.set(false));
        when(write_line, || {
            line.set(line + 1);
            carry.set(turned);
            carry_error.set(taken_error);
            taken_full.set(false);
            flushing.set(!flushing & leaves_carry);
            when(last_line, || {
                finished.set(true);
                finished_tag.set(tag);
            });
        });
        when(accepted, || {
            taken_full.set(true);
            half_turned.set(turn_up(beat.data, destination.place.begin.low(2), 1));
            taken_error.set(beat.error);
            taken_last.set(beat.last);
            when(at_start, || {
                tag.set(beat_tag);
                unit.set(destination);
                line.set(zero(7));
            });
        });

        // 5. Outputs
        when(write_line, || {
            data_write_beat.offer(HostWriteBeat {
                data: merge(&lane_is_carried, carry, turned),
                strobe: bytes_of_lanes(&strobes),
                last: last_line | last_of_first_page,
            });
            when(needs_head, || {
                let lines_second = place.lines - place.lines_first;
                let second = cat(&[place.second, lit(0u8, 6)]);
                data_write.offer(HostWrite {
                    function: unit.function,
                    address: cat(&[first_line.mux(place.first, second), lit(0u8, 6)]),
                    beats: first_line.mux(place.lines_first, lines_second),
                });
            });
        });
        when(report, || written.offer(Written { tag: finished_tag.zext(8) }));
    }
}

/// `line` with each dword moved up by `amount * step` places (`amount` has two bits), those at the top to the bottom.
pub(crate) fn turn_up(line: Signal, amount: Signal, step: u32) -> Signal {
    let turn = |line: Signal, lanes: u32| {
        let split = line.width() - 32 * lanes;
        cat(&[line.low(split), line.bits(split..line.width())])
    };
    let once = amount.bit(0).mux(turn(line, step), line);
    amount.bit(1).mux(turn(once, 2 * step), once)
}

/// The lanes of `carried` whose bit is set, the others from `fresh`.
fn merge(lane_is_carried: &[Signal], carried: Signal, fresh: Signal) -> Signal {
    let lanes: Vec<Signal> = (0..LANES)
        .rev()
        .map(|lane| {
            let bits = 32 * lane..32 * (lane + 1);
            lane_is_carried[lane as usize].mux(carried.bits(bits.clone()), fresh.bits(bits))
        })
        .collect();
    cat(&lanes)
}

/// Four bits for each lane, the first lane lowest.
fn bytes_of_lanes(lanes: &[Signal]) -> Signal {
    let bytes: Vec<Signal> = lanes.iter().rev().map(|lane| lane.repeat(4)).collect();
    cat(&bytes)
}
