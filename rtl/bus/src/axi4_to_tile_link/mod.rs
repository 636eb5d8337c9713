//! # AXI4 to TileLink
//!
//! Gives an AXI4 manager, such as a DMA engine, a port of a [coherence hub](crate::coherence_hub), so that it reads what the harts have written and
//! they read what it writes.
//!
//! ## Symbol
//! ```text
//!            +- axi4_to_tile_link -+
//!    from ==>|                     |==> to   (TL-UL, a beat is a block)
//!  (AXI4)    +---------------------+
//! ```
//! ## Theory of operation
//! ```text
//!   AR ---> read  --+                        +--> answers of reads, in the order of the beats  ---> R
//!                   +--> A of `to`,  D ----->|
//!   AW, W -> write -+    a beat each         +--> answers of writes, in the order of the beats ---> B
//! ```
//! 1. Each beat of a burst is a request of its own, so that a burst is not coherent as a whole but beat by beat. A read gets the
//!    whole block; a write puts the bytes of its strobes.
//! 2. Reads and writes have [`slots`](Axi4ToTileLink::slots) each: a ring, and the source is the place in it. Answers come in any order into their places and
//!    leave in the order of the ring, so that there is no more order between managers' identifiers than AXI4 asks for, and no less.
//! 3. The port that asks is served one request after the other by the hub, so that writes to one block are done in their order.
//! 4. A denied read is answered with SLVERR in its beat, a write with SLVERR if any of its beats was denied.
//!
//! ## Timing
//! A request per clock, reads and writes in turn if both are there. From an address to its request: 2 clocks. From an answer to its beat: 2 clocks.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! - WRAP bursts are taken as INCR ones.
//! - No answer says which of its beats a write has failed in.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::tile_link::SIZE_BITS;
use crate::{
    burst, resp, Address, Axi4, Axi4Config, ChannelA, OpcodeA, ReadData, TileLink, TileLinkConfig, WriteResponse,
};
use rtl_hdl::{cat, lit, when, zero, Block, Clock, EnumSignal, MemoryStyle, Module, Signal, StreamIn};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axi4ToTileLink {
    /// Width of addresses.
    pub address_bits: u32,
    /// Width of the data: 16 to 512, a power of two.
    pub data_bits: u32,
    /// Width of the identifiers.
    pub id_bits: u32,
    /// Reads, and writes, that are under way: 2 to 64, a power of two.
    pub slots: u32,
}

impl Axi4ToTileLink {
    /// The widths of the bus of the manager.
    pub const fn from(&self) -> Axi4Config {
        Axi4Config { address_bits: self.address_bits, data_bits: self.data_bits, id_bits: self.id_bits, user_bits: 1 }
    }

    /// The widths of the bus to the hub.
    pub const fn to(&self) -> TileLinkConfig {
        let size_bits = if self.data_bits == 512 { 3 } else { SIZE_BITS };
        TileLinkConfig {
            address_bits: self.address_bits,
            data_bits: self.data_bits,
            size_bits,
            source_bits: 1 + self.slots.ilog2(),
            sink_bits: 1,
        }
    }
}

/// A burst that is being asked for.
struct Burst {
    active: Signal,
    id: Signal,
    /// Of the next beat.
    address: Signal,
    /// Beats behind it.
    left: Signal,
    size: Signal,
    is_fixed: Signal,
}

impl Burst {
    fn new(m: &Module, clock: Clock, name: &str, config: Axi4Config, from: &StreamIn<Address>) -> Self {
        let reg = |part: &str, width: u32| m.reg_without_reset(&format!("{name}_{part}"), clock, width);
        let now = from.payload();
        let burst = Burst {
            active: m.reg(&format!("{name}_active"), clock, false),
            id: reg("id", config.id_bits),
            address: reg("address", config.address_bits),
            left: reg("left", now.len.width()),
            size: reg("size", now.size.width()),
            is_fixed: reg("is_fixed", 1),
        };
        when(!burst.active, || from.take());
        when(from.taken(), || {
            burst.active.set(true);
            burst.id.set(now.id);
            burst.address.set(now.addr);
            burst.left.set(now.len);
            burst.size.set(now.size);
            burst.is_fixed.set(now.burst.eq(burst::FIXED));
        });
        burst
    }

    /// The address of the beats of the bus in which the next beat is.
    fn beat(&self, beat_size: u32) -> Signal {
        let width = self.address.width();
        cat(&[self.address.bits(beat_size..width), lit(0u8, beat_size)])
    }

    /// The next beat has been asked for.
    fn advance(&self) {
        // AMBA AXI, "Burst address": the beats behind the first are aligned.
        let width = self.address.width();
        let bytes = lit(1u8, width).shl(self.size);
        let aligned = self.address & !(bytes - 1);
        self.left.set(self.left - 1);
        when(!self.is_fixed, || self.address.set(aligned + bytes));
        when(self.left.eq(0), || self.active.set(false));
    }
}

/// What is asked, in its order: a ring of places for the answers.
struct Ring {
    held: rtl_hdl::Array<Signal>,
    waits: rtl_hdl::Array<Signal>,
    failed: rtl_hdl::Array<Signal>,
    tail: Signal,
    head: Signal,
    /// The last beat of its burst, and its identifier.
    notes: rtl_hdl::MemoryHandle,
    /// The next place is free.
    room: Signal,
    /// The oldest answer has come.
    ready: Signal,
    clock: Clock,
}

impl Ring {
    fn new(m: &Module, clock: Clock, name: &str, slots: u32, id_bits: u32) -> Self {
        let named = |part: &str| format!("{name}_{part}");
        let flags = |part: &str| m.reg_array(&named(part), clock, slots, false);
        let (held, waits, failed) = (flags("held"), flags("waits"), flags("failed"));
        let index = |part: &str| m.reg(&named(part), clock, zero(slots.ilog2()));
        let (tail, head) = (index("tail"), index("head"));
        Ring {
            held,
            waits,
            failed,
            tail,
            head,
            notes: m.memory(&named("notes"), 1 + id_bits, slots, MemoryStyle::Distributed),
            room: m.wire(&named("room"), !held.get(tail)),
            ready: m.wire(&named("ready"), held.get(head) & !waits.get(head)),
            clock,
        }
    }

    /// A beat of a burst is asked for, where `asks`.
    fn ask(&self, asks: Signal, burst: &Burst) {
        self.notes.write(self.clock, asks, self.tail, cat(&[burst.id, burst.left.eq(0)]));
        when(asks, || {
            self.held.set(self.tail, lit(1u8, 1));
            self.waits.set(self.tail, lit(1u8, 1));
            self.tail.set(self.tail + 1);
            burst.advance();
        });
    }

    /// An answer has come to a place.
    fn answer(&self, slot: Signal, failed: Signal) {
        self.waits.set(slot, lit(0u8, 1));
        self.failed.set(slot, failed);
    }

    /// The oldest answer has gone.
    fn leave(&self) {
        self.held.set(self.head, lit(0u8, 1));
        self.head.set(self.head + 1);
    }

    /// Whether the oldest is the last of its burst, and the identifier.
    fn note(&self) -> (Signal, Signal) {
        let note = self.notes.lookup(self.head);
        (note.bit(0), note.bits(1..note.width()))
    }
}

impl Block for Axi4ToTileLink {
    fn name(&self) -> String {
        let Axi4ToTileLink { address_bits, data_bits, id_bits, slots } = self;
        format!("axi4_to_tile_link_a{address_bits}_d{data_bits}_i{id_bits}_s{slots}")
    }

    fn description(&self) -> String {
        "Gives an AXI4 manager a coherent port.".into()
    }

    fn build(&self, m: &Module) {
        let (slots, slot_bits) = (self.slots, self.slots.ilog2());
        let beat_size = self.to().beat_size();

        // 1. Ports
        let clock = m.clock();
        let from = Axi4::subordinate(m, "from", self.from());
        let to = TileLink::client(m, "to", self.to());

        // 2. State
        let read = Burst::new(m, clock, "read", self.from(), &from.ar);
        let write = Burst::new(m, clock, "write", self.from(), &from.aw);
        let reads = Ring::new(m, clock, "reads", slots, self.id_bits);
        let writes = Ring::new(m, clock, "writes", slots, self.id_bits);
        let data = m.memory("data", self.data_bits, slots, MemoryStyle::Distributed);
        let turn = m.reg("turn_of_write", clock, false);
        let failed = m.reg("write_failed", clock, false);

        // 3. Conditions
        let may_read = m.wire("may_read", to.a.can_take() & read.active & reads.room);
        let may_write = m.wire("may_write", to.a.can_take() & write.active & writes.room);
        let writes_now = m.wire("writes_now", may_write & (turn | !may_read));
        let reads_now = m.wire("reads_now", may_read & !writes_now);
        when(writes_now, || from.w.take());
        let writes_beat = m.wire("writes_beat", from.w.taken());

        // 4. Next state
        turn.set(!turn);
        reads.ask(reads_now, &read);
        writes.ask(writes_beat, &write);
        to.d.take();
        let answer = to.d.payload();
        let (slot, is_write) = (answer.source.low(slot_bits), answer.source.bit(slot_bits));
        when(to.d.valid() & !is_write, || reads.answer(slot, answer.denied | answer.corrupt));
        when(to.d.valid() & is_write, || writes.answer(slot, answer.denied));
        data.write(clock, to.d.valid() & !is_write, slot, answer.data);

        // 5. Outputs
        let all = lit(1u8, 1).repeat(self.to().beat_bytes());
        let item = from.w.payload();
        when(reads_now | writes_beat, || {
            let opcode = |opcode: OpcodeA| EnumSignal::of(opcode).signal();
            let code = reads_now.mux(opcode(OpcodeA::Get), opcode(OpcodeA::PutPartialData));
            let slot = reads_now.mux(reads.tail, writes.tail);
            to.a.offer(ChannelA {
                opcode: EnumSignal::from_signal(code),
                param: lit(0u8, 3),
                size: lit(beat_size, self.to().size_bits),
                source: cat(&[!reads_now, slot]),
                address: reads_now.mux(read.beat(beat_size), write.beat(beat_size)),
                mask: reads_now.mux(all, item.strb),
                data: item.data,
                corrupt: lit(0u8, 1),
            });
        });
        let status = |failed: Signal| failed.mux(lit(resp::SLVERR, resp::BITS), lit(resp::OKAY, resp::BITS));
        when(reads.ready & from.r.can_take(), || {
            reads.leave();
            let (last, id) = reads.note();
            let resp = status(reads.failed.get(reads.head));
            from.r.offer(ReadData { id, data: data.lookup(reads.head), resp, last });
        });
        when(writes.ready & from.b.can_take(), || {
            writes.leave();
            let (last, id) = writes.note();
            let any = failed | writes.failed.get(writes.head);
            failed.set(any & !last);
            when(last, || from.b.offer(WriteResponse { id, resp: status(any) }));
        });
    }
}
