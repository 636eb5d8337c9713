//! # Host port
//!
//! The controller's only way to host memory: an AXI4 manager. It merges what the other blocks read and write, and knows whether anything is
//! still on its way.
//!
//! ## Symbol
//! ```text
//!                               +-- host_port --+
//! fetch_read, list_read,     -->|               |---> fetch_beat, list_beat, data_beat   HostBeat
//! data_read         HostRead    |               |
//! data_write       HostWrite -->|               |===> host   AXI4 manager
//! data_write_beat HostWriteBeat |               |
//! posted              Posted -->|               |---> write_error, queue_write_error
//! message            Message -->|               |---> quiet
//! bus_master_enable, dropping ->|               |
//!                               +---------------+
//! ```
//! ## Theory of operation
//! 1. Reads are merged one by one, fairly. The highest two bits of their id name the reader, and beats go where these bits say, in any order.
//! 2. Writes leave in one order. A write is chosen when its head is there, its address leaves at once, and its place in `bursts` says which
//!    beats are next on the data channel. Nothing waits for write responses; they are counted and their errors reported.
//! 3. *Data is in host memory before its completion.* The engine reports the end of a transfer when this block has taken the head of its last
//!    write. So at most the one head that is held when an entry arrives belongs before it: an entry is next when no data write is held,
//!    or when one has passed since it came.
//! 4. An entry that has to wait moves into `line`, and entries of the same 64-byte line that come while it waits join it: up to four completions
//!    leave in one beat.
//! 5. *The completion is in host memory before its interrupt.* A message is next only when no entry waits. `queues` requests the interrupt of an
//!    entry in the clock in which it offers the entry, and `irq` makes a message of that in two clocks or more; so the entry has been taken before.
//! 6. Without bus mastering a function reaches no memory: reads are answered with errors here, writes vanish. So do entries and messages
//!    of a function whose life has ended (`dropping`).
//!
//! ## Timing
//! A read leaves 2 clocks after it came; a beat is delivered 1 clock after it came. An entry or a message leaves 2 clocks after it came. Writes
//! carry one beat in every clock, also from one burst to the next.
//!
//! ## Limits
//! At most 255 writes without response. One write id: 0. Every reader takes its beats at once, having reserved room for them; a beat that is not
//! taken holds up the others. `quiet` speaks of writes: a read belongs to a command, which does not end without it.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::held::{bit_of_function, function_bit, Held};
use crate::types::{reader, HostBeat, HostRead, HostWrite, HostWriteBeat, Message, Posted, BEAT_BITS, BEAT_BYTES};
use crate::Config;
use nvme_spec::entry::CQ_ENTRY_LOG2_BYTES;
use rtl_bus::{resp, Axi4, Axi4Config, WriteData};
use rtl_hdl::{cat, hw_bundle, lit, when, zero, Bits, Block, MemoryStyle, Module, Shape, Signal, Value};
use rtl_prim::{fifo_of, one_hot, one_hot_select, round_robin, Payload, StreamDemux};

#[cfg(test)]
mod bench;

/// The bus towards the host.
pub const HOST_BUS: Axi4Config = Axi4Config { address_bits: 64, data_bits: BEAT_BITS, id_bits: 8, user_bits: 8 };

/// Dwords of a line, each with a bit in the strobes of entries and messages.
const LINE_DWORDS: u32 = BEAT_BYTES / 4;
/// Bits of a completion queue entry, and how many there are in a line.
const ENTRY_BITS: u32 = 8 << CQ_ENTRY_LOG2_BYTES;
const LINE_ENTRIES: u32 = BEAT_BITS / ENTRY_BITS;

/// Writes whose address has left and whose data has not.
const BURSTS: u32 = 4;

/// Writes in flight are counted with so many bits.
const WRITE_COUNT_BITS: u32 = 8;

/// Most writes in flight.
const WRITES_MAX: u32 = (1 << WRITE_COUNT_BITS) - 1;

/// The readers, by the highest two bits of their ids.
const READERS: [(&str, u8); 3] = [("fetch", reader::FETCH), ("list", reader::LIST), ("data", reader::DATA)];

hw_bundle! {
    /// What the data channel does next.
    struct Burst {
        /// Entries or a message, which are here; otherwise beats of `data_write_beat`.
        is_small: Bits<1>,
        /// The function may not reach memory: beats vanish.
        vanishes: Bits<1>,
        /// Of entries or a message.
        data: Bits<512>,
        /// A bit for each dword of `data` that is written.
        dwords: Bits<16>,
    }
}

/// See the [page](self) of this block.
pub struct HostPort {
    config: Config,
}

impl HostPort {
    /// The port of this configuration.
    pub fn new(config: Config) -> Self {
        HostPort { config }
    }
}

impl Block for HostPort {
    fn name(&self) -> String {
        format!("host_port_n{}", self.config.functions)
    }

    fn description(&self) -> String {
        "AXI4 manager towards host memory: merges reads and writes, keeps writes in order.".into()
    }

    fn build(&self, m: &Module) {
        let functions = self.config.functions;

        // 1. Ports
        let clock = m.clock();
        let bus_master_enable = m.input("bus_master_enable", functions);
        let dropping_now = m.input("dropping", functions);
        let reads = READERS.map(|(name, _)| Held::new::<HostRead>(m, clock, &format!("{name}_read")));
        let beats = m.instance("beats", &StreamDemux::new(3, Payload::of::<HostBeat>("host_beat"), "id", 6..8));
        for (name, number) in READERS {
            m.export(&beats, &format!("out_{number}"), &format!("{name}_beat"));
        }
        let data_write = Held::new::<HostWrite>(m, clock, "data_write");
        let data_beat = m.stream_in::<HostWriteBeat>("data_write_beat");
        let posted = Held::new::<Posted>(m, clock, "posted");
        let message = Held::new::<Message>(m, clock, "message");
        let bus = Axi4::manager(m, "host", HOST_BUS);

        // 2. State
        let last_reader = m.reg("last_reader", clock, zero(3));
        let refusing = m.reg("refusing", clock, false);
        let refused_id = m.reg_without_reset("refused_id", clock, 8);
        let refused_beats = m.reg_without_reset("refused_beats", clock, 7);
        let dropping = m.reg("dropping_held", clock, zero(functions));
        // Entries of one line that wait.
        let line_full = m.reg("line_full", clock, false);
        let line_function = m.reg_without_reset("line_function", clock, 8);
        let line_address = m.reg_without_reset("line_address", clock, 58);
        let line_data = m.reg_without_reset("line_data", clock, BEAT_BITS);
        let line_entries = m.reg_without_reset("line_entries", clock, LINE_ENTRIES);
        let head_passed = m.reg("head_passed", clock, false);
        let bursts = fifo_of::<Burst>(m, "bursts", BURSTS);
        // One write may begin after it is due to be set: it is set one write early.
        let writes_are_many = m.reg("writes_are_many", clock, false);
        let writes_of: Vec<Signal> =
            (0..functions).map(|f| m.reg(&format!("writes_of_f{f}"), clock, zero(WRITE_COUNT_BITS))).collect();
        // Of each write in flight, whose it is, and whether it was small; responses come in the order of the writes.
        let writes = m.memory("writes", 1 + functions, 1 << WRITE_COUNT_BITS, MemoryStyle::Distributed);
        let next_write = m.reg("next_write", clock, zero(WRITE_COUNT_BITS));
        let oldest_write = m.reg("oldest_write", clock, zero(WRITE_COUNT_BITS));
        let write_error = m.reg("write_error_pulse", clock, false);
        let queue_write_error = m.reg("queue_write_error_pulse", clock, zero(functions));
        let quiet = m.reg("quiet_held", clock, zero(functions));

        // 3. Conditions: reads.
        let waiting = m.wire("waiting", cat(&[reads[2].full, reads[1].full, reads[0].full]));
        let read_turn = m.wire("read_turn", round_robin(waiting, last_reader));
        let packed: Vec<Signal> = reads.iter().map(|read| read.item.pack()).collect();
        let read = m.wire("read", HostRead::unpack(one_hot_select(read_turn, &packed)));
        let read_leaves = m.wire("read_leaves", waiting.any() & bus.ar.can_take() & !refusing);
        let read_reaches = m.wire("read_reaches", bit_of_function(bus_master_enable, read.function));
        let beat_leaves = m.wire("beat_leaves", beats.port("in_ready"));
        let last_refused = m.wire("last_refused", refused_beats.eq(1));

        // 3. Conditions: writes.
        let may_choose = m.wire("may_choose", bus.aw.can_take() & bursts.can_push() & !writes_are_many);
        let entry = posted.item;
        let entry_line = entry.address.bits(6..64);
        let entry_place = one_hot(entry.address.bits(4..6), LINE_ENTRIES);
        let entry_waits = m.wire("entry_waits", line_full | posted.full);
        let choose_entry = m.wire("choose_entry", may_choose & entry_waits & (!data_write.full | head_passed));
        let entry_is_lone = m.wire("entry_is_lone", choose_entry & !line_full);
        let no_entry = !posted.full & !line_full;
        let choose_message = m.wire("choose_message", may_choose & message.full & no_entry);
        let choose_data = m.wire("choose_data", may_choose & data_write.full & !choose_entry & !choose_message);
        let choose = m.wire("choose", choose_entry | choose_message | choose_data);
        // The first place of a line begins another lap of a short queue: entries leave in the order of their places.
        let follows = !entry_place.bit(0);
        let same_line = m.wire("same_line", line_address.eq(entry_line) & line_function.eq(entry.function) & follows);
        let entry_moves = m.wire("entry_moves", posted.full & !entry_is_lone & (!line_full | choose_entry));
        let entry_joins = m.wire("entry_joins", posted.full & line_full & !choose_entry & same_line);
        let burst = bursts.payload();
        let may_send = m.wire("may_send", bursts.valid() & (bus.w.can_take() | burst.vanishes));
        let answered = m.wire("answered", bus.b.valid());
        let failed = m.wire("failed", answered & resp::is_error(bus.b.payload().resp));

        // 4. Next state: reads.
        when(read_leaves, || {
            last_reader.set(read_turn);
            for (number, read) in (0..).zip(&reads) {
                when(read_turn.bit(number), || read.consume());
            }
            when(read_reaches, || {
                let len = (read.beats - 1).zext(8);
                bus.ar.offer(HOST_BUS.whole_beats(read.id, read.address, len, read.function));
            })
            .otherwise(|| {
                refusing.set(true);
                refused_id.set(read.id);
                refused_beats.set(read.beats);
            });
        });
        beats.port("in_valid").set(bus.r.valid() | refusing);
        let beat = beats.port_as::<HostBeat>("in");
        let from_bus = bus.r.payload();
        beat.id.set(refusing.mux(refused_id, from_bus.id));
        beat.data.set(from_bus.data);
        beat.error.set(refusing | resp::is_error(from_bus.resp));
        beat.last.set(refusing.mux(last_refused, from_bus.last));
        when(beat_leaves & !refusing, || bus.r.take());
        when(beat_leaves & refusing, || {
            refused_beats.set(refused_beats - 1);
            when(last_refused, || refusing.set(false));
        });

        // 4. Next state: entries and messages that wait.
        dropping.set(dropping_now);
        when(entry_is_lone | entry_moves | entry_joins, || posted.consume());
        when(choose_entry, || line_full.set(false));
        when(entry_moves, || {
            line_full.set(true);
            line_function.set(entry.function);
            line_address.set(entry_line);
            line_entries.set(entry_place);
        });
        when(entry_joins, || line_entries.set(line_entries | entry_place));
        let lanes = (0..LINE_ENTRIES).rev().map(|place| {
            let here = entry_place.bit(place) & (entry_moves | entry_joins);
            here.mux(entry.entry, line_data.word(lit(place, 2), ENTRY_BITS))
        });
        line_data.set(cat(&lanes.collect::<Vec<_>>()));
        when(choose_message, || message.consume());
        when(entry_joins | choose_entry, || head_passed.set(false));
        when(choose_data & entry_waits, || head_passed.set(true));
        when(choose_data, || data_write.consume());

        // 4. Next state: writes.
        let entry_function = entry_is_lone.mux(entry.function, line_function);
        let small_function = choose_entry.mux(entry_function, message.item.function);
        let function = m.wire("chosen_function", choose_data.mux(data_write.item.function, small_function));
        let owner_of = |function: Signal| function_bit(function, functions);
        let entry_owner = entry_is_lone.mux(owner_of(entry.function), owner_of(line_function));
        let small_owner = choose_entry.mux(entry_owner, owner_of(message.item.function));
        let owner = m.wire("owner", choose_data.mux(owner_of(data_write.item.function), small_owner));
        let reaches =
            m.wire("reaches", (bus_master_enable & owner & !(dropping & (!choose_data).repeat(functions))).any());
        let entry_address = entry_is_lone.mux(entry_line, line_address);
        let small_address = choose_entry.mux(entry_address, message.item.address.bits(6..64));
        let line = m.wire("line", choose_data.mux(data_write.item.address.bits(6..64), small_address));
        let len = choose_data.mux((data_write.item.beats - 1).zext(8), lit(0u8, 8));
        when(choose & reaches, || {
            bus.aw.offer(HOST_BUS.whole_beats(lit(0u8, 8), cat(&[line, lit(0u8, 6)]), len, function));
            next_write.set(next_write + 1);
        });
        let entries = entry_is_lone.mux(entry_place, line_entries);
        let dwords_of_entry = |place: u32| entries.bit(place).repeat(LINE_DWORDS / LINE_ENTRIES);
        let entry_dwords = cat(&(0..LINE_ENTRIES).rev().map(dwords_of_entry).collect::<Vec<_>>());
        let entry_data = entry_is_lone.mux(entry.entry.repeat(LINE_ENTRIES), line_data);
        when(choose, || {
            bursts.push(Burst {
                is_small: !choose_data,
                vanishes: !reaches,
                data: choose_entry.mux(entry_data, message.item.data.repeat(LINE_DWORDS)),
                dwords: choose_entry.mux(entry_dwords, one_hot(message.item.address.bits(2..6), LINE_DWORDS)),
            });
        });
        let begins = m.wire("begins", choose & reaches);
        // A row that no write begins with is written over by the next one that does.
        writes.write(clock, lit(1u8, 1), next_write, cat(&[owner, !choose_data]));
        let answer = m.wire("answer", writes.lookup(oldest_write));
        let answered_owner = answer.bits(1..1 + functions);
        let count = |count: Signal, up: Signal, down: Signal| {
            when(up & !down, || count.set(count + 1));
            when(down & !up, || count.set(count - 1));
        };
        writes_are_many.set((next_write - oldest_write).ge(WRITES_MAX - 1));
        for (number, writes) in (0..).zip(&writes_of) {
            count(*writes, begins & owner.bit(number), answered & answered_owner.bit(number));
        }
        when(may_send & burst.is_small, || {
            bursts.take();
            when(!burst.vanishes, || {
                let strobes: Vec<Signal> =
                    (0..LINE_DWORDS).rev().map(|dword| burst.dwords.bit(dword).repeat(4)).collect();
                bus.w.offer(WriteData { data: burst.data, strb: cat(&strobes), last: lit(1u8, 1) });
            });
        });
        when(may_send & !burst.is_small, || {
            data_beat.take();
            let beat = data_beat.payload();
            when(data_beat.valid() & beat.last, || bursts.take());
            when(data_beat.valid() & !burst.vanishes, || {
                bus.w.offer(WriteData { data: beat.data, strb: beat.strobe, last: beat.last });
            });
        });
        bus.b.take();
        when(answered, || oldest_write.set(oldest_write + 1));
        write_error.set(failed);
        queue_write_error.set(answered_owner & (failed & answer.bit(0)).repeat(functions));
        let is_quiet = (0..functions).rev().map(|number| {
            let has = |full: Signal, function: Signal| full & function.eq(number);
            let waits = has(posted.full, entry.function)
                | has(line_full, line_function)
                | has(message.full, message.item.function)
                | has(data_write.full, data_write.item.function);
            !waits & !writes_of[number as usize].any()
        });
        quiet.set(cat(&is_quiet.collect::<Vec<_>>()));

        // 5. Outputs
        m.output("write_error", write_error);
        m.output("queue_write_error", queue_write_error);
        m.output("quiet", quiet);
    }
}
