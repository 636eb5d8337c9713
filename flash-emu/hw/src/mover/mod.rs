//! # Mover
//!
//! Copies units of 4 KiB from one memory to another, says what their check is, and shows some of their beats to the host on the way.
//!
//! ## Symbol
//! ```text
//!            +--- mover ---+
//!      job ->-|             |->- moved
//!             |             |->- forward      to `storage_read`
//!             |             |=== source       AXI4 manager, reads only
//!             |             |=== sink         AXI4 manager, writes only
//!             +-------------+
//! ```
//! ## Theory of operation
//! 1. A job is a unit: a burst of 64 beats on each bus. Several are being read ahead; they are carried out and end in their order.
//! 2. The write begins when the first beat has come, so that a bus that is shared does not wait for a memory.
//! 3. Beats go to `sink` and, if they are among those that are wanted, to `forward`. Both must have room.
//! 4. A job without a source writes zeroes.
//! 5. The check of what was written is CRC-32C (RFC 3720, "Header Digest and Data Digest"), whose first byte is that of the lowest address.
//!
//! ## Timing
//! A beat per clock. A beat leaves one clock after it has come; a job ends when the memory has answered its write.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! Addresses are multiples of 4 KiB. A unit that could not be read is written all the same: its end says that it failed.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::{MoveJob, Moved, MEMORY, UNIT_BEATS};
use flash_spec::spare::CRC_POLYNOMIAL;
use nvme_hw::types::{StorageRead, BEAT_BITS};
use rtl_bus::{resp, Axi4, WriteData};
use rtl_hdl::{hw_bundle, lit, when, zero, Bits, Block, Constant, Module, Signal, Value};
use rtl_prim::crc::{self, Crc};
use rtl_prim::fifo_of;

#[cfg(test)]
pub(crate) mod bench;

/// Bits of the number of a beat.
const BEAT_NUMBER_BITS: u32 = UNIT_BEATS.trailing_zeros();

hw_bundle! {
    /// A job whose write waits for its response.
    struct Written {
        tag: Bits<16>,
        crc: Bits<32>,
        failed: Bits<1>,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Mover {
    /// Units that are read ahead.
    pub units: u32,
}

impl Block for Mover {
    fn name(&self) -> String {
        format!("mover_n{}", self.units)
    }

    fn description(&self) -> String {
        "Copies units of 4 KiB from one memory to another.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let jobs = m.stream_in::<MoveJob>("job");
        let moved = m.stream_out_single::<Moved>("moved");
        let forward = m.stream_out::<StorageRead>("forward");
        let source = Axi4::manager(m, "source", MEMORY);
        let sink = Axi4::manager(m, "sink", MEMORY);
        source.aw.never();
        source.w.never();
        source.b.take();
        sink.ar.never();
        sink.r.take();

        // 2. State
        let ones = Constant::new(u32::MAX.into(), u32::BITS).expect("it fits");
        let reading = fifo_of::<MoveJob>(m, "reading", self.units);
        let written = fifo_of::<Written>(m, "written", self.units);
        let beat_number = m.reg("beat_number", clock, zero(BEAT_NUMBER_BITS));
        let failed = m.reg("failed", clock, false);
        // The check of the beats before, and the last beat, which is not in it.
        let check = m.reg("check", clock, ones.clone());
        let last_data = m.reg_without_reset("last_data", clock, BEAT_BITS);
        let checks = m.reg("checks", clock, false);
        let ends = m.reg("ends", clock, false);
        let ending = m.reg_as::<Written>("ending", clock);

        // 3. Conditions
        when(source.ar.can_take() & reading.can_push(), || jobs.take());
        let taken = m.wire("taken", jobs.taken());
        let job = reading.payload();
        let first = m.wire("first", beat_number.eq(0));
        let last = m.wire("last", beat_number.all());
        let has_room = sink.w.can_take() & forward.can_take() & (!first | (sink.aw.can_take() & written.can_push()));
        let has_room = m.wire("has_room", reading.valid() & has_room & !ends);
        when(has_room & !job.zeroes, || source.r.take());
        let moves = m.wire("moves", source.r.taken() | (has_room & job.zeroes));
        let beat = source.r.payload();
        let data = m.wire("data", beat.data & (!job.zeroes).repeat(BEAT_BITS));
        let is_bad = m.wire("is_bad", job.bad | (resp::is_error(beat.resp) & !job.zeroes));
        let failed_now = m.wire("failed_now", is_bad | (failed & !first));
        let after_first = m.wire("after_first", beat_number.ge(job.forward_beat));
        let forward_end = m.wire("forward_end", job.forward_beat.zext(7) + job.forward_beats);
        let wanted = m.wire("wanted", after_first & beat_number.zext(7).lt(forward_end));
        when(written.valid() & moved.can_take(), || sink.b.take());
        let answered = m.wire("answered", sink.b.taken());
        let checked = m.wire("checked", crc::next(Crc { polynomial: CRC_POLYNOMIAL }, check, last_data));

        // 4. Next state
        when(taken, || reading.push(jobs.payload()));
        checks.set(moves);
        ends.set(moves & last);
        when(moves, || {
            beat_number.set(beat_number + 1);
            failed.set(failed_now);
            last_data.set(data);
            when(last, || {
                reading.take();
                ending.set(Written { tag: job.tag, crc: lit(0u8, 32), failed: failed_now });
            });
        });
        when(checks, || check.set(checked));
        when(ends, || {
            check.set(ones.clone());
            written.push(Written { tag: ending.tag, crc: !checked, failed: ending.failed });
        });
        when(answered, || written.take());

        // 5. Outputs
        let one = || lit(0u8, 1);
        let burst = |address: Signal| MEMORY.whole_beats(one(), address, lit(UNIT_BEATS - 1, 8), one());
        when(taken & !jobs.payload().zeroes, || source.ar.offer(burst(jobs.payload().source)));
        when(moves & first, || sink.aw.offer(burst(job.sink)));
        when(moves, || sink.w.offer(WriteData { data, strb: lit(u64::MAX, 64), last }));
        when(moves & wanted, || {
            let is_last = (beat_number.zext(7) + 1).eq(forward_end);
            forward.offer(StorageRead { tag: job.forward_tag, data, error: is_bad, last: is_last });
        });
        let end = written.payload();
        when(answered, || {
            let failed = end.failed | resp::is_error(sink.b.payload().resp);
            moved.offer(Moved { tag: end.tag, crc: end.crc, failed });
        });
    }
}
