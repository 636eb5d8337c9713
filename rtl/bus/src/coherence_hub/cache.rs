//! What the hub knows of the cache of a client: its probes, and the blocks that come back.

use super::*;
use crate::{ChannelB, ChannelC, ChannelE, OpcodeB};
use rtl_hdl::{StreamIn, StreamOut};
use rtl_prim::{fifo_bits, FifoHandle};

/// The source of the client that is probed. A client has one cache.
const PROBED: u8 = 0;
/// `param` of channel B. TileLink, "Permissions".
const TO_B: u8 = 1;
const TO_N: u8 = 2;
/// `param` of channel C: what is kept, besides `TtoT`.
const T_TO_B: u8 = 0;
const T_TO_T: u8 = 3;
const B_TO_B: u8 = 4;

pub(super) struct Cache {
    /// The number of the client.
    pub number: u32,
    name: String,
    slots: u32,
    /// Probes that have not gone out: tracker, whether nothing may be kept, number of the block.
    orders: FifoHandle<Signal>,
    /// The trackers that wait for this client.
    pub owes: Array<Signal>,
    /// A probe is out, for this tracker.
    probing: Signal,
    tracker: Signal,
    /// A ring of what has come back and is not done with: occupied, not written, not done, and lost.
    held: Array<Signal>,
    pub unwritten: Array<Signal>,
    pub undone: Array<Signal>,
    pub spoilt: Array<Signal>,
    /// Where the next one comes, and the oldest one.
    tail: Signal,
    head: Signal,
    /// Beats of the message that have come, and whether one was damaged.
    beat: Signal,
    damaged: Signal,
    /// Whether it is a release, damaged, its size, source and the number of its block.
    headers: MemoryHandle,
    blocks: MemoryHandle,
    clock: Clock,
    /// The slot of the ring that is written next.
    pub write_slot: Signal,
    /// The oldest one is a release, and can be acknowledged.
    pub release_ready: Signal,
    /// The oldest one is lost.
    is_lost: Signal,
    /// A block that is lost makes room.
    pub loses_block: Signal,
    /// The oldest one is done.
    head_done: Signal,
    source_bits: u32,
}

impl Cache {
    pub fn new(m: &Module, clock: Clock, config: &Config, name: &str, number: u32) -> Self {
        let named = |part: &str| format!("{name}_{part}");
        let (slots, slot_bits) = (config.slots, config.slot_bits());
        let tracker_bits = address_width(config.trackers());
        let flags = |part: &str| m.reg_array(&named(part), clock, slots, false);
        let (held, unwritten, undone, spoilt) = (flags("held"), flags("unwritten"), flags("undone"), flags("spoilt"));
        let head = m.reg(&named("head"), clock, zero(slot_bits));
        let header = 2 + SIZE_BITS + config.source_bits + config.line_bits();
        let headers = m.memory(&named("headers"), header, slots, MemoryStyle::Distributed);
        let head_done = m.wire(&named("head_done"), held.get(head) & !undone.get(head));
        let is_release = headers.lookup(head).bit(0);
        let is_lost = m.wire(&named("is_lost"), headers.lookup(head).bit(1) | spoilt.get(head));
        let loses_block = m.wire_of_width(&named("loses_block"), 1);
        m.default_to(loses_block, false);
        Cache {
            number,
            name: name.into(),
            slots,
            orders: fifo_bits(m, &named("orders"), tracker_bits + 1 + config.line_bits(), config.trackers()),
            owes: m.reg_array(&named("owes"), clock, config.trackers(), false),
            probing: m.reg(&named("probing"), clock, false),
            tracker: m.reg_without_reset(&named("probing_for"), clock, tracker_bits),
            held,
            unwritten,
            undone,
            spoilt,
            tail: m.reg(&named("tail"), clock, zero(slot_bits)),
            head,
            beat: m.reg(&named("beat"), clock, zero((1 << SIZE_BITS) - 1 - config.client().beat_size())),
            damaged: m.reg(&named("damaged"), clock, false),
            headers,
            blocks: m.memory(&named("blocks"), BLOCK_BITS, slots, MemoryStyle::Distributed),
            clock,
            write_slot: m.wire(&named("write_slot"), rtl_prim::priority_index(vector(&unwritten))),
            release_ready: m.wire(&named("release_ready"), head_done & is_release),
            is_lost,
            loses_block,
            head_done,
            source_bits: config.source_bits,
        }
    }

    /// Notes what is ordered, and sends one probe after the other.
    pub fn probe(&self, config: &Config, orders: &Orders, b: &StreamOut<ChannelB>) {
        // There is a place for each tracker.
        when(orders.given & orders.clients.bit(self.number), || {
            self.orders.push(cat(&[orders.tracker, orders.take_away, orders.line]));
            self.owes.set(orders.tracker, lit(1u8, 1));
        });
        let (line_bits, order) = (config.line_bits(), self.orders.payload());
        when(b.can_take() & !self.probing & self.orders.valid(), || {
            self.orders.take();
            self.probing.set(true);
            self.tracker.set(order.bits(line_bits + 1..order.width()));
            let bus = config.client();
            b.offer(ChannelB {
                opcode: EnumSignal::of(OpcodeB::ProbeBlock),
                param: order.bit(line_bits).mux(lit(TO_N, 3), lit(TO_B, 3)),
                size: lit(BLOCK_SIZE, bus.size_bits),
                source: lit(PROBED, bus.source_bits),
                address: cat(&[order.low(line_bits), lit(0u8, BLOCK_SIZE)]),
                mask: lit(u64::MAX >> (64 - bus.beat_bytes()), bus.beat_bytes()),
                data: lit(0u8, bus.data_bits),
                corrupt: lit(0u8, 1),
            });
        });
    }

    /// Takes blocks and answers to probes while there is room for a block.
    pub fn take_blocks(&self, m: &Module, config: &Config, trackers: &Trackers, c: &StreamIn<ChannelC>) {
        let named = |part: &str| format!("{}_{part}", self.name);
        when(!self.held.get(self.tail), || c.take());
        let message = c.payload();
        let code = message.opcode.signal();
        let (has_data, is_release, is_known) = (code.bit(0), code.bit(1), code.bit(2));
        let behind = beats_behind(message.size, config.client().beat_size());
        let is_last = m.wire(&named("block_ends"), c.taken() & (!has_data | self.beat.eq(behind)));
        let is_answer = m.wire(&named("answers"), is_last & is_known & !is_release & self.probing);
        let kept = [T_TO_B, T_TO_T, B_TO_B].map(|param| message.param.eq(param));
        let is_wrong = message.corrupt | message.size.ne(BLOCK_SIZE);
        let damaged = m.wire(&named("block_damaged"), has_data & (self.damaged | is_wrong));
        let is_kept_here = is_known & (is_release | (has_data & self.probing));

        let lane_bits = BLOCK_SIZE - config.client().beat_size();
        let lanes = rtl_prim::one_hot(self.beat.low(lane_bits), 1 << lane_bits);
        let data = message.data.repeat(1 << lane_bits);
        self.blocks.write_lanes(self.clock, c.taken(), self.tail, data, lanes);
        let line = message.address.bits(BLOCK_SIZE..config.address_bits);
        let header = cat(&[line, message.source, message.size, damaged, is_release]);
        self.headers.write(self.clock, is_last, self.tail, header);
        when(c.taken(), || {
            self.beat.set(self.beat + 1);
            self.damaged.set(damaged);
        });
        when(is_last, || {
            self.beat.set(0);
            self.damaged.set(false);
            when(is_kept_here, || {
                self.held.set(self.tail, lit(1u8, 1));
                self.unwritten.set(self.tail, has_data);
                self.undone.set(self.tail, has_data);
                self.spoilt.set(self.tail, lit(0u8, 1));
                self.tail.set(self.tail + 1);
            });
        });
        when(is_answer, || {
            when(any(kept), || trackers.shared.set(self.tracker, lit(1u8, 1)));
            when(!has_data, || self.answered());
        });
    }

    /// The probe is done.
    fn answered(&self) {
        self.probing.set(false);
        self.owes.set(self.tracker, lit(0u8, 1));
    }

    /// A block waits to be written.
    pub fn wants_write(&self) -> Signal {
        vector(&self.unwritten).any()
    }

    /// The number of the block that is written next.
    pub fn write_line(&self) -> Signal {
        let header = self.headers.lookup(self.write_slot);
        header.bits(2 + SIZE_BITS + self.source_bits..header.width())
    }

    /// Whether it is damaged.
    pub fn write_damaged(&self) -> Signal {
        self.headers.lookup(self.write_slot).bit(1)
    }

    /// The block.
    pub fn write_data(&self) -> Signal {
        self.blocks.lookup(self.write_slot)
    }

    /// Size and source of the release that can be acknowledged.
    pub fn released(&self) -> (Signal, Signal) {
        let header = self.headers.lookup(self.head);
        (header.bits(2..2 + SIZE_BITS), header.bits(2 + SIZE_BITS..2 + SIZE_BITS + self.source_bits))
    }

    /// Makes room: a release is `acknowledged`, a block that was probed is written.
    pub fn retire(&self, trackers: &Trackers, acknowledged: Signal) {
        let probed = self.head_done & !self.release_ready;
        when(probed, || {
            self.answered();
            when(self.is_lost, || trackers.failed.set(self.tracker, lit(1u8, 1)));
        });
        when(probed | acknowledged, || {
            self.held.set(self.head, lit(0u8, 1));
            self.head.set(self.head + 1);
            self.loses_block.set(self.is_lost);
        });
    }

    /// Takes the acknowledgements of grants.
    pub fn acknowledge(&self, m: &Module, trackers: &Trackers, e: &StreamIn<ChannelE>) {
        e.take();
        let tracker = cat(&[lit(self.number, address_width(trackers.busy.count() / self.slots)), e.payload().sink]);
        let tracker = m.wire(&format!("{}_acknowledged", self.name), tracker);
        when(e.valid(), || trackers.unacknowledged.set(tracker, lit(0u8, 1)));
    }
}
