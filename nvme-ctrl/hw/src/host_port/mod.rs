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
//! small_write     SmallWrite -->|               |---> write_error, queue_write_error
//! bus_master_enable          -->|               |---> quiet
//!                               +---------------+
//! ```
//! ## Theory of operation
//! 1. Reads are merged one by one, fairly. The highest two bits of their id name the reader, and beats go where these bits say, in any order.
//! 2. Writes leave in one order. A write is chosen when its head is there, its address leaves at once, and its place in `bursts` says which
//!    beats are next on the data channel. Nothing waits for write responses; they are counted and their errors reported.
//! 3. *Data is in host memory before its completion.* The engine reports the end of a transfer when this block has taken the head of its last
//!    write. So at most the one head that is held when an entry arrives belongs before it: a small write is next when no data write is held,
//!    or when one has passed since it came.
//! 4. Without bus mastering a function reaches no memory: reads are answered with errors here, writes vanish.
//!
//! ## Timing
//! A read leaves 3 clocks after it came; a beat is delivered 1 clock after it came. Writes carry one beat in every clock, also from one
//! burst to the next.
//!
//! ## Limits
//! At most 255 writes without response, and 1023 reads without their last beat. One write id: 0. Every reader takes its beats at once, having
//! reserved room for them; a beat that is not taken holds up the others.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::cq_post::SmallWrite;
use crate::held::Held;
use crate::types::{HostBeat, HostRead, HostWrite, HostWriteBeat, BEAT_BITS, BEAT_BYTES};
use nvme_spec::entry::CQ_ENTRY_LOG2_BYTES;
use rtl_bus::{resp, Axi4, Axi4Config, WriteData};
use rtl_hdl::{cat, hw_bundle, lit, when, zero, Bits, Block, MemoryStyle, Module, Signal};
use rtl_prim::{fifo_of, Lock, Payload, StreamArbiter, StreamDemux};

#[cfg(test)]
mod bench;

/// The bus towards the host.
pub const HOST_BUS: Axi4Config = Axi4Config { address_bits: 64, data_bits: BEAT_BITS, id_bits: 8, user_bits: 8 };

/// Bytes of the two kinds of small writes.
const ENTRY_BYTES: u32 = 1 << CQ_ENTRY_LOG2_BYTES;
const DWORD_BYTES: u32 = 4;

/// Writes whose address has left and whose data has not.
const BURSTS: u32 = 4;

/// Writes in flight are counted with so many bits.
const WRITE_COUNT_BITS: u32 = 8;
/// Reads in flight are counted with so many bits.
const READ_COUNT_BITS: u32 = 10;

hw_bundle! {
    /// What the data channel does next.
    struct Burst {
        /// A small write, which is here; otherwise beats of `data_write_beat`.
        is_small: Bits<1>,
        /// The function may not reach memory: beats vanish.
        vanishes: Bits<1>,
        /// Of a small write.
        data: Bits<128>,
        /// Of a small write: bits 5:2 of the address.
        dword: Bits<4>,
        /// Of a small write.
        is_entry: Bits<1>,
    }
}

/// See the [page](self) of this block.
pub struct HostPort;

impl Block for HostPort {
    fn name(&self) -> String {
        "host_port".into()
    }

    fn description(&self) -> String {
        "AXI4 manager towards host memory: merges reads and writes, keeps writes in order.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus_master_enable = m.input("bus_master_enable", 1);
        let reads = m.instance(
            "reads",
            &StreamArbiter { inputs: 3, payload: Payload::of::<HostRead>("host_read"), lock: Lock::Item },
        );
        let beats = m.instance("beats", &StreamDemux::new(3, Payload::of::<HostBeat>("host_beat"), "id", 6..8));
        for (number, reader) in ["fetch", "list", "data"].iter().enumerate() {
            m.export(&reads, &format!("in_{number}"), &format!("{reader}_read"));
            m.export(&beats, &format!("out_{number}"), &format!("{reader}_beat"));
        }
        let data_write = Held::new::<HostWrite>(m, clock, "data_write");
        let data_beat = m.stream_in::<HostWriteBeat>("data_write_beat");
        let small = Held::new::<SmallWrite>(m, clock, "small_write");
        let bus = Axi4::manager(m, "host", HOST_BUS);

        // 2. State
        let reads_in_flight = m.reg("reads_in_flight", clock, zero(READ_COUNT_BITS));
        let refusing = m.reg("refusing", clock, false);
        let refused_id = m.reg_without_reset("refused_id", clock, 8);
        let refused_beats = m.reg_without_reset("refused_beats", clock, 7);
        let writes_in_flight = m.reg("writes_in_flight", clock, zero(WRITE_COUNT_BITS));
        let head_passed = m.reg("head_passed", clock, false);
        let bursts = fifo_of::<Burst>(m, "bursts", BURSTS);
        // Of each write in flight, whether it was small; responses come in the order of the writes.
        let small_writes = m.memory("small_writes", 1, 1 << WRITE_COUNT_BITS, MemoryStyle::Distributed);
        let next_write = m.reg("next_write", clock, zero(WRITE_COUNT_BITS));
        let oldest_write = m.reg("oldest_write", clock, zero(WRITE_COUNT_BITS));
        let write_error = m.reg("write_error_pulse", clock, false);
        let queue_write_error = m.reg("queue_write_error_pulse", clock, false);
        let idle = m.reg("idle", clock, false);

        // 3. Conditions
        let read = reads.port_as::<HostRead>("out");
        let read_waits = reads.port("out_valid");
        let read_leaves = m.wire("read_leaves", read_waits & bus.ar.can_take() & !refusing & !reads_in_flight.all());
        let beat_leaves = m.wire("beat_leaves", beats.port("in_ready"));
        let last_refused = m.wire("last_refused", refused_beats.eq(1));
        let may_choose = m.wire("may_choose", bus.aw.can_take() & bursts.can_push() & !writes_in_flight.all());
        let small_is_next = m.wire("small_is_next", small.full & (!data_write.full | head_passed));
        let choose_small = m.wire("choose_small", may_choose & small_is_next);
        let choose_data = m.wire("choose_data", may_choose & !small_is_next & data_write.full);
        let burst = bursts.payload();
        let small_leaves =
            m.wire("small_leaves", bursts.valid() & burst.is_small & (bus.w.can_take() | burst.vanishes));
        let data_may_leave =
            m.wire("data_may_leave", bursts.valid() & !burst.is_small & (bus.w.can_take() | burst.vanishes));
        let answered = m.wire("answered", bus.b.valid());
        let failed = m.wire("failed", answered & bus.b.payload().resp.bit(resp::SLVERR.trailing_zeros()));

        // 4. Next state: reads.
        reads.port("out_ready").set(bus.ar.can_take() & !refusing & !reads_in_flight.all());
        when(read_leaves & bus_master_enable, || {
            let len = (read.beats - 1).zext(8);
            bus.ar.offer(HOST_BUS.whole_beats(read.id, read.address, len, read.function));
        });
        when(read_leaves & !bus_master_enable, || {
            refusing.set(true);
            refused_id.set(read.id);
            refused_beats.set(read.beats);
        });
        beats.port("in_valid").set(bus.r.valid() | refusing);
        let beat = beats.port_as::<HostBeat>("in");
        let from_bus = bus.r.payload();
        beat.id.set(refusing.mux(refused_id, from_bus.id));
        beat.data.set(from_bus.data);
        beat.error.set(refusing | from_bus.resp.bit(resp::SLVERR.trailing_zeros()));
        beat.last.set(refusing.mux(last_refused, from_bus.last));
        when(beat_leaves & !refusing, || bus.r.take());
        when(beat_leaves & refusing, || {
            refused_beats.set(refused_beats - 1);
            when(last_refused, || refusing.set(false));
        });
        let read_ends = m.wire("read_ends", beat_leaves & refusing.mux(last_refused, bus.r.valid() & from_bus.last));
        when(read_leaves & !read_ends, || reads_in_flight.set(reads_in_flight + 1));
        when(read_ends & !read_leaves, || reads_in_flight.set(reads_in_flight - 1));

        // 4. Next state: writes.
        let leaves = |function: Signal, address: Signal, len: Signal| {
            when(bus_master_enable, || {
                let line = cat(&[address.bits(6..64), lit(0u8, 6)]);
                bus.aw.offer(HOST_BUS.whole_beats(lit(0u8, 8), line, len, function));
                next_write.set(next_write + 1);
            });
        };
        when(choose_small, || {
            small.consume();
            head_passed.set(false);
            leaves(small.item.function, small.item.address, lit(0u8, 8));
        });
        when(choose_data, || {
            data_write.consume();
            when(small.full, || head_passed.set(true));
            leaves(data_write.item.function, data_write.item.address, (data_write.item.beats - 1).zext(8));
        });
        when(choose_small | choose_data, || {
            bursts.push(Burst {
                is_small: choose_small,
                vanishes: !bus_master_enable,
                data: small.item.data,
                dword: small.item.address.bits(2..6),
                is_entry: small.item.is_entry,
            });
        });
        let begins = m.wire("begins", (choose_small | choose_data) & bus_master_enable);
        small_writes.write(clock, begins, next_write, choose_small);
        when(begins & !answered, || writes_in_flight.set(writes_in_flight + 1));
        when(answered & !begins, || writes_in_flight.set(writes_in_flight - 1));

        let entry_strobe = lit((1u64 << ENTRY_BYTES) - 1, BEAT_BYTES).shl(cat(&[burst.dword.bits(2..4), lit(0u8, 4)]));
        let dword_strobe = lit((1u64 << DWORD_BYTES) - 1, BEAT_BYTES).shl(cat(&[burst.dword, lit(0u8, 2)]));
        when(small_leaves, || {
            bursts.take();
            when(!burst.vanishes, || {
                let strb = burst.is_entry.mux(entry_strobe, dword_strobe);
                bus.w.offer(WriteData { data: burst.data.repeat(4), strb, last: lit(1u8, 1) });
            });
        });
        when(data_may_leave, || {
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
        queue_write_error.set(failed & small_writes.lookup(oldest_write).any());
        let works = [data_write.full, small.full, bursts.valid(), !bursts.can_push(), refusing, read_waits];
        idle.set(!(reads_in_flight.any() | writes_in_flight.any() | cat(&works).any()));

        // 5. Outputs
        m.output("write_error", write_error);
        m.output("queue_write_error", queue_write_error);
        m.output("quiet", idle);
    }
}
