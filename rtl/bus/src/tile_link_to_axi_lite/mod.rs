//! # TileLink to AXI4-Lite
//!
//! Gives several TileLink clients one AXI4-Lite manager, for registers and a boot ROM.
//!
//! ## Symbol
//! ```text
//!                +- tile_link_to_axi_lite -+
//!    client_0 ==>|                         |
//!    client_1 ==>|                         |==> to   (AXI4-Lite)
//!         ... ==>|                         |
//!                +-------------------------+
//!  (client_*: TL-UH, 64 bits)
//! ```
//! ## Theory of operation
//! 1. Each client has a place for one request. The requests are done one at a time, the clients take turns.
//! 2. `Issue`, `Wait`: a request is done a word of 32 bits after the other, from the lowest on. A read is of all words of its size, up to
//!    [`READ_BYTES_MAX`]; a write is of one beat at most, and leaves out words of which no byte is meant.
//! 3. `Answer`: the answer goes when all words are done, because what is denied is denied in all of its beats. If one word fails, the rest is
//!    not done, and the request is denied.
//! 4. Denied without an access are: what is in none of the [`windows`](TileLinkToAxiLite::windows), atomics, damaged writes and
//!    what is longer. A hint is answered and does nothing.
//!
//! ## Timing
//! A word takes 3 clocks and what the other side needs; a request 5 clocks more. No combinational path from any input to any output.
//!
//! ## Limits
//! A word that is accessed by two clients is accessed by one after the other, but a read of two words may see one of them before and one after a write.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::tile_link::{answer_to, beats_behind, PERMISSION_BITS, SIZE_BITS};
use crate::{resp, AxiLite, ChannelD, LiteAddress, LiteWriteData, OpcodeA, TileLink, TileLinkConfig, TileLinkManager};
use rtl_hdl::{cat, hw_enum, lit, switch, when, zero, Block, Clock, EnumSignal, MemoryStyle, Module, Signal};
use rtl_prim::{one_hot_select, round_robin};
use std::ops::Range;

#[cfg(test)]
pub(crate) mod bench;

/// A read is not longer: the line of an instruction cache.
pub const READ_BYTES_MAX: u32 = 64;

/// Words of 32 bits in it.
const WORDS: u32 = READ_BYTES_MAX / AxiLite::DATA_BYTES;
const WORD_BITS: u32 = WORDS.ilog2();
const WORD_SIZE: u32 = AxiLite::DATA_BYTES.ilog2();
/// Width of the data of the clients, and the size of a beat.
const DATA_BITS: u32 = 64;
const BEAT_SIZE: u32 = (DATA_BITS / 8).ilog2();

/// See the [page](self) of this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileLinkToAxiLite {
    /// How many clients there are, from 1 on.
    pub clients: u32,
    /// Width of all addresses.
    pub address_bits: u32,
    /// Width of the clients' sources.
    pub source_bits: u32,
    /// The addresses behind which something is; their ends are multiples of [`READ_BYTES_MAX`].
    pub windows: Vec<Range<u64>>,
}

hw_enum! {
    /// `Idle -> Issue -> Wait -> ... -> Answer -> Idle`.
    enum State {
        /// Nothing is done. Leaves when a client has a request: to `Answer` if it is denied.
        Idle,
        /// A word is next. Leaves when it is not meant, or when it has gone out.
        Issue,
        /// A word is out. Leaves when its answer has come.
        Wait,
        /// All is done. Leaves with the last beat of the answer.
        Answer,
    }
}

/// The request of a client, in registers.
struct Place {
    full: Signal,
    opcode: EnumSignal<OpcodeA>,
    size: Signal,
    source: Signal,
    address: Signal,
    mask: Signal,
    data: Signal,
    corrupt: Signal,
}

impl TileLinkToAxiLite {
    /// The widths of the bus of each client.
    pub const fn client(&self) -> TileLinkConfig {
        TileLinkConfig {
            address_bits: self.address_bits,
            data_bits: DATA_BITS,
            size_bits: SIZE_BITS,
            source_bits: self.source_bits,
            sink_bits: 1,
        }
    }

    /// Takes a request, to its last beat.
    fn place(&self, m: &Module, clock: Clock, number: usize, bus: &TileLinkManager) -> Place {
        let named = |part: &str| format!("client_{number}_{part}");
        let reg = |part: &str, width: u32| m.reg_without_reset(&named(part), clock, width);
        let place = Place {
            full: m.reg(&named("full"), clock, false),
            opcode: EnumSignal::from_signal(reg("opcode", 3)),
            size: reg("size", SIZE_BITS),
            source: reg("source", self.source_bits),
            address: reg("address", self.address_bits),
            mask: reg("mask", DATA_BITS / 8),
            data: reg("data", DATA_BITS),
            corrupt: reg("corrupt", 1),
        };
        let message = bus.a.payload();
        let behind = beats_behind(message.size, BEAT_SIZE);
        let left = m.reg(&named("left"), clock, zero(behind.width()));
        let has_data = !message.opcode.signal().bit(2);
        let next = left.eq(0).mux(behind & has_data.repeat(behind.width()), left - 1);
        when(!place.full, || bus.a.take());
        when(bus.a.taken(), || {
            left.set(next);
            place.full.set(next.eq(0));
            rtl_hdl::Value::set(&place.opcode, message.opcode);
            place.size.set(message.size);
            place.source.set(message.source);
            place.address.set(message.address);
            place.mask.set(message.mask);
            place.data.set(message.data);
            place.corrupt.set(message.corrupt);
        });
        place
    }

    /// Whether something is behind an address.
    fn is_inside(&self, address: Signal) -> Signal {
        let inside = self.windows.iter().map(|window| {
            let ends = [window.start, window.end].iter().all(|end| end % u64::from(READ_BYTES_MAX) == 0);
            assert!(ends && window.start < window.end, "{window:x?} is no window");
            let from_start = address.ge(window.start);
            let has_end = window.end.checked_shr(self.address_bits).unwrap_or(0) == 0;
            if has_end {
                from_start & address.lt(window.end)
            } else {
                from_start
            }
        });
        inside.reduce(|a, b| a | b).unwrap_or_else(|| lit(0u8, 1))
    }
}

impl Block for TileLinkToAxiLite {
    fn name(&self) -> String {
        let windows: String =
            self.windows.iter().map(|window| format!("_{:x}_{:x}", window.start, window.end)).collect();
        format!("tile_link_to_axi_lite_{}_a{}_o{}{windows}", self.clients, self.address_bits, self.source_bits)
    }

    fn description(&self) -> String {
        format!("Gives {} TileLink clients one AXI4-Lite manager.", self.clients)
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let buses: Vec<TileLinkManager> =
            (0..self.clients).map(|number| TileLink::manager(m, &format!("client_{number}"), self.client())).collect();
        let to = AxiLite::manager(m, "to", self.address_bits);

        // 2. State
        let places: Vec<Place> =
            buses.iter().enumerate().map(|(number, bus)| self.place(m, clock, number, bus)).collect();
        let state = m.reg("state", clock, State::Idle);
        let turn = m.reg("turn", clock, zero(self.clients));
        let word = m.reg_without_reset("word", clock, WORD_BITS);
        let left = m.reg_without_reset("left", clock, WORD_BITS);
        let denied = m.reg_without_reset("denied", clock, 1);
        let beats = m.reg_without_reset("beats_left", clock, (1 << SIZE_BITS) - 1 - BEAT_SIZE);
        let half = |name: &str| m.memory(name, AxiLite::DATA_BITS, WORDS / 2, MemoryStyle::Distributed);
        let (low, high) = (half("low"), half("high"));

        // 3. Conditions
        let full: Vec<Signal> = places.iter().rev().map(|place| place.full).collect();
        let full = cat(&full);
        let next = m.wire("next_turn", round_robin(full, turn));
        let idle = state.is(State::Idle);
        // In `Idle` the request that is begun, and later the one that is done.
        let now = m.wire("now", idle.mux(next, turn));
        let of = |field: &dyn Fn(&Place) -> Signal| one_hot_select(now, &places.iter().map(field).collect::<Vec<_>>());
        let opcode = EnumSignal::<OpcodeA>::from_signal(m.wire("opcode", of(&|place| place.opcode.signal())));
        let size = m.wire("size", of(&|place| place.size));
        let address = m.wire("address", of(&|place| place.address));
        let mask = m.wire("mask", of(&|place| place.mask));
        let data = m.wire("data", of(&|place| place.data));
        let source = m.wire("source", of(&|place| place.source));
        let corrupt = of(&|place| place.corrupt);
        let is_get = m.wire("is_get", opcode.is(OpcodeA::Get));
        let is_put = m.wire("is_put", opcode.is(OpcodeA::PutFullData) | opcode.is(OpcodeA::PutPartialData));
        let fits = is_get.mux(size.le(READ_BYTES_MAX.ilog2()), size.le(BEAT_SIZE) & !corrupt);
        let allowed = m.wire("allowed", (is_get | is_put) & fits & self.is_inside(address));
        let is_hint = opcode.is(OpcodeA::Intent);
        let is_high = word.bit(0);
        let strobes = m.wire("strobes", is_high.mux(mask.bits(4..8), mask.low(4)));
        let is_meant = m.wire("is_meant", is_get | strobes.any());
        let at = cat(&[address.bits(READ_BYTES_MAX.ilog2()..self.address_bits), word, lit(0u8, WORD_SIZE)]);
        let answered = m.wire("answered", is_get.mux(to.r.valid(), to.b.valid()));
        let error = m.wire("error", resp::is_error(is_get.mux(to.r.payload().resp, to.b.payload().resp)));
        let is_last = left.eq(0);

        // 4. Next state
        let go_on = || {
            word.set(word + 1);
            left.set(left - 1);
            when(is_last, || state.goto(State::Answer)).otherwise(|| state.goto(State::Issue));
        };
        switch(state, |s| match s {
            State::Idle => {
                when(full.any(), || {
                    turn.set(next);
                    when(allowed, || state.goto(State::Issue)).otherwise(|| state.goto(State::Answer));
                });
                // A beat has two words, and what is smaller is in one of them.
                word.set(address.bits(WORD_SIZE..WORD_SIZE + WORD_BITS));
                let words = beats_behind(size, WORD_SIZE);
                left.set(words.low(WORD_BITS));
                denied.set(!allowed & !is_hint);
                let answers_with_data = answer_to(opcode).bit(0);
                let behind = beats_behind(size, BEAT_SIZE);
                beats.set(behind & answers_with_data.repeat(behind.width()));
            }
            State::Issue => {
                when(!is_meant, go_on);
                when(is_meant & is_get & to.ar.can_take(), || {
                    to.ar.offer(LiteAddress { addr: at });
                    state.goto(State::Wait);
                });
                when(is_meant & !is_get & to.aw.can_take() & to.w.can_take(), || {
                    to.aw.offer(LiteAddress { addr: at });
                    let half = is_high.mux(data.bits(32..64), data.low(32));
                    to.w.offer(LiteWriteData { data: half, strb: strobes });
                    state.goto(State::Wait);
                });
            }
            State::Wait => {
                when(answered, go_on);
                when(answered & error, || {
                    denied.set(1);
                    state.goto(State::Answer);
                });
                when(answered & (is_last | error), || word.set(address.bits(WORD_SIZE..WORD_SIZE + WORD_BITS)));
            }
            State::Answer => {}
        });
        when(state.is(State::Wait), || {
            to.r.take();
            to.b.take();
        });
        let came = state.is(State::Wait) & to.r.valid();
        low.write(clock, came & !is_high, word.bits(1..WORD_BITS), to.r.payload().data);
        high.write(clock, came & is_high, word.bits(1..WORD_BITS), to.r.payload().data);

        // 5. Outputs
        let beat = word.bits(1..WORD_BITS);
        let answer = cat(&[high.lookup(beat), low.lookup(beat)]);
        let rooms: Vec<Signal> = buses.iter().map(|bus| bus.d.can_take()).collect();
        let goes = m.wire("goes", state.is(State::Answer) & one_hot_select(turn, &rooms));
        let ends = m.wire("ends", goes & beats.eq(0));
        when(goes, || {
            beats.set(beats - 1);
            word.set(word + 2);
        });
        when(ends, || state.goto(State::Idle));
        for (number, (bus, place)) in (0..).zip(buses.iter().zip(&places)) {
            when(ends & turn.bit(number), || place.full.set(false));
            when(goes & turn.bit(number), || {
                let code = answer_to(opcode);
                bus.d.offer(ChannelD {
                    opcode: EnumSignal::from_signal(code),
                    param: lit(0u8, PERMISSION_BITS),
                    size,
                    source,
                    sink: lit(0u8, 1),
                    denied,
                    data: answer,
                    corrupt: denied & code.bit(0),
                });
            });
        }
    }
}
