//! A port of the hub: the requests of a client, and their answers.

use super::*;
use crate::tile_link::{answer_to, PERMISSION_BITS};
use crate::{ChannelA, ChannelD, OpcodeD, ReadData};
use rtl_hdl::{StreamIn, StreamOut};

/// `param` of channel D. TileLink, "Permissions".
const TO_T: u8 = 0;
const TO_B: u8 = 1;

/// The requests and answers of a client, or of the DMA.
pub(super) struct Port {
    number: u32,
    name: String,
    bus: TileLinkConfig,
    slots: u32,
    /// A request waits for its tracker.
    pub full: Signal,
    /// Its slot.
    pub slot: Signal,
    pub request: Request,
    /// Beats of it that have still to come.
    left: Signal,
    /// What the answers need of the requests.
    asked: MemoryHandle,
    /// The blocks that were read.
    data: MemoryHandle,
    /// The blocks that are to be written, and behind them which bytes of them; of the DMA only.
    put: MemoryHandle,
    clock: Clock,
}

impl Port {
    pub fn new(m: &Module, clock: Clock, config: &Config, name: &str, number: u32, bus: TileLinkConfig) -> Self {
        let named = |part: &str| format!("{name}_{part}");
        let word = 3 + 1 + SIZE_BITS + bus.source_bits + WORD_BITS;
        let memory = |part: &str, width: u32| m.memory(&named(part), width, config.slots, MemoryStyle::Distributed);
        let data = memory("data", BLOCK_BITS);
        let is_dma = number == config.clients;
        Port {
            number,
            name: name.into(),
            bus,
            slots: config.slots,
            full: m.reg(&named("full"), clock, false),
            slot: m.reg_without_reset(&named("slot"), clock, config.slot_bits()),
            request: Request::declare(config, &mut |field, width| {
                m.reg_without_reset(&named(&format!("request_{field}")), clock, width)
            }),
            left: m.reg(&named("left"), clock, zero((1 << SIZE_BITS) - 1 - bus.beat_size())),
            asked: memory("asked", word),
            data,
            put: if is_dma { memory("put", BLOCK_BITS + BLOCK_BYTES) } else { data },
            clock,
        }
    }

    /// The numbers of the trackers of this port.
    fn trackers(&self) -> std::ops::Range<u32> {
        self.number * self.slots..(self.number + 1) * self.slots
    }

    /// The tracker of a slot of this port.
    fn tracker(&self, slot: Signal, ports: u32) -> Signal {
        cat(&[lit(self.number, address_width(ports)), slot])
    }

    /// Takes a request while none waits and a slot is free; returns where the data of writes are.
    pub fn take_requests(&self, m: &Module, trackers: &Trackers, a: &StreamIn<ChannelA>) -> MemoryHandle {
        let busy = m.wire(&format!("{}_busy", self.name), vector(&trackers.busy).bits(self.trackers()));
        when(!self.full & !busy.all(), || a.take());
        let message = a.payload();
        let is_first = self.left.eq(0);
        let slot = is_first.mux(rtl_prim::priority_index(!busy), self.slot);
        let has_data = !message.opcode.signal().bit(2);
        let behind = beats_behind(message.size, self.bus.beat_size());
        let left = is_first.mux(behind & has_data.repeat(behind.width()), self.left - 1);
        when(a.taken(), || {
            self.slot.set(slot);
            self.left.set(left);
            self.full.set(left.eq(0));
            let source = self.request.source.width();
            rtl_hdl::Value::set(
                &self.request,
                Request {
                    opcode: message.opcode,
                    param: message.param,
                    size: message.size.zext(SIZE_BITS),
                    source: message.source.zext(source),
                    address: message.address,
                    corrupt: message.corrupt,
                },
            );
        });
        if self.bus.data_bits == BLOCK_BITS {
            self.put.write(self.clock, a.taken(), slot, cat(&[message.mask, message.data]));
        }
        self.put
    }

    /// The request has its tracker.
    pub fn accept(&self, m: &Module, clock: Clock, accepted: Signal) {
        let accepted = m.wire(&format!("{}_accepted", self.name), accepted);
        when(accepted, || self.full.set(false));
        let Request { opcode, param, size, source, address, .. } = self.request;
        let to_write = param.ne(0);
        let word = address.bits(BLOCK_SIZE - WORD_BITS..BLOCK_SIZE);
        let asked = [word, source.low(self.bus.source_bits), size, to_write, opcode.signal()];
        self.asked.write(clock, accepted, self.slot, cat(&asked));
    }

    /// Keeps a block that was read.
    pub fn fill(&self, clock: Clock, config: &Config, r: &StreamIn<ReadData>) {
        let beat = r.payload();
        let is_own = beat.id.bits(config.slot_bits()..beat.id.width()).eq(u64::from(self.number));
        self.data.write(clock, r.valid() & is_own, beat.id.low(config.slot_bits()), beat.data);
    }

    /// Answers requests that wait for nothing, and acknowledges releases.
    pub fn answer(
        &self,
        m: &Module,
        clock: Clock,
        trackers: &Trackers,
        cache: Option<&Cache>,
        d: &StreamOut<ChannelD>,
    ) {
        let named = |part: &str| format!("{}_answer_{part}", self.name);
        let own = |signal: Signal| signal.bits(self.trackers());
        let slot_bits = self.slots.ilog2();
        let ports = trackers.busy.count() / self.slots;

        // What is being sent.
        let active = m.reg(&named("active"), clock, false);
        let left = m.reg_without_reset(&named("left"), clock, self.left.width());
        let word = m.reg_without_reset(&named("word"), clock, WORD_BITS);
        let slot = m.reg_without_reset(&named("slot"), clock, slot_bits);
        let opcode = m.reg_without_reset(&named("opcode"), clock, 3);
        let param = m.reg_without_reset(&named("param"), clock, PERMISSION_BITS);
        let size = m.reg_without_reset(&named("size"), clock, self.bus.size_bits);
        let source = m.reg_without_reset(&named("source"), clock, self.bus.source_bits);
        let denied = m.reg_without_reset(&named("denied"), clock, 1);
        let goes = m.wire(&named("goes"), active & d.can_take());
        let ends = m.wire(&named("ends"), goes & left.eq(0));

        // What comes next: an acknowledgement of a release, or what is ready, in turn.
        let last = m.reg(&named("last"), clock, zero(self.slots));
        let ready = own(vector(&trackers.busy)) & own(vector(&trackers.unanswered));
        let ready = m.wire(&named("ready"), ready & !own(vector(&trackers.unfilled)) & own(vector(&trackers.probed)));
        let chosen = m.wire(&named("chosen"), round_robin(ready, last));
        let next_slot = m.wire(&named("next_slot"), one_hot_index(chosen));
        let free = m.wire(&named("free"), !active | ends);
        let releases = cache.map_or(lit(0u8, 1), |cache| cache.release_ready);
        let releases = m.wire(&named("releases"), free & releases);
        let begins = m.wire(&named("begins"), free & !releases & ready.any());

        let asked = m.wire(&named("asked"), self.asked.lookup(next_slot));
        let mut low = 0;
        let mut field = |width: u32| {
            low += width;
            asked.bits(low - width..low)
        };
        let (asked_opcode, to_write) = (EnumSignal::from_signal(field(3)), field(1));
        let (asked_size, asked_source, first) = (field(SIZE_BITS), field(self.bus.source_bits), field(WORD_BITS));

        when(goes, || {
            left.set(left - 1);
            word.set(word + 1);
        });
        when(free, || active.set(releases | begins));
        let is_release = EnumSignal::<OpcodeD>::from_signal(opcode).is(OpcodeD::ReleaseAck);
        when(ends & !is_release, || trackers.unsent.set(self.tracker(slot, ports), lit(0u8, 1)));
        when(begins, || {
            let answer = answer_to(asked_opcode);
            let is_grant = answer.bit(2);
            let number = self.tracker(next_slot, ports);
            last.set(chosen);
            slot.set(next_slot);
            opcode.set(answer);
            let is_trunk = to_write | !trackers.shared.get(number);
            let permission = is_trunk.mux(lit(TO_T, PERMISSION_BITS), lit(TO_B, PERMISSION_BITS));
            param.set(permission & is_grant.repeat(PERMISSION_BITS));
            size.set(asked_size.low(self.bus.size_bits));
            source.set(asked_source);
            denied.set(trackers.failed.get(number));
            word.set(first);
            let behind = beats_behind(asked_size, self.bus.beat_size());
            left.set(behind & answer.bit(0).repeat(behind.width()));
            trackers.unanswered.set(number, lit(0u8, 1));
        });
        if let Some(cache) = cache {
            when(releases, || {
                let (release_size, release_source) = cache.released();
                opcode.set(rtl_hdl::HwEnum::code(OpcodeD::ReleaseAck));
                param.set(0);
                size.set(release_size);
                source.set(release_source);
                denied.set(0);
                left.set(0);
            });
            cache.retire(trackers, releases);
        }

        when(goes, || {
            let block = self.data.lookup(slot);
            let data = if self.bus.data_bits == BLOCK_BITS { block } else { block.word(word, self.bus.data_bits) };
            d.offer(ChannelD {
                opcode: EnumSignal::from_signal(opcode),
                param,
                size,
                source,
                sink: if self.bus.sink_bits == slot_bits { slot } else { lit(0u8, self.bus.sink_bits) },
                denied,
                data,
                corrupt: denied & opcode.bit(0),
            });
        });
    }
}

/// Width of the number of a word of a client in a block.
const WORD_BITS: u32 = 3;
