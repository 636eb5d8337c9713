//! # Line port
//!
//! The data side of the page cache: moves beats between the `storage` port and the lines of the cache in memory, and reports the ends of commands.
//!
//! ## Symbol
//! ```text
//!                 +--- line_port ---+
//!        burst ->-|                 |->- storage_read
//!         data ->-|                 |->- storage_done
//!      forward ->-|                 |->- released      a line is no longer used
//!                 |                 |->- persist       a write with FUA is in its line
//!                 |                 |=== memory        AXI4 manager
//!                 +-----------------+
//! ```
//! ## Theory of operation
//! 1. A line is 4 KiB of memory, so that a burst of the cache is one burst of AXI. A FIFO for each direction remembers the bursts; all have one id, so that
//!    the memory answers in order.
//! 2. Data of a read goes to `storage_read` with the tag of its command. Beats of sectors that cannot be read carry an error, and so does the status.
//! 3. Data of a write comes from `data`, in the order of the bursts that write or throw away. Only the sectors of the burst are written.
//! 4. Beats of a miss come by `forward`, while the line is filled. A command's beats are never between those of another.
//! 5. When the last beat of a read has come, or the response to a write, the line is released.
//! 6. The end of a command is reported with its last burst; that of a write with FUA goes to `persist` instead, and is reported later, by a burst of its own.
//!
//! ## Timing
//! A burst every second clock, a beat per clock in each direction. A read's first beat leaves two clocks after it came from the memory.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! That a line is not read and written at the same time is the care of the block that sends the bursts.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::{Burst, Move, Persist, Released, LINE_BITS, MEMORY, SECTOR_BEATS, UNIT_SECTORS};
use flash_spec::limits::UNIT_BYTES;
use nvme_hw::types::{StorageDone, StorageRead, StorageStatus, BEAT_BITS, BEAT_BYTES};
use rtl_bus::{resp, Axi4, WriteData};
use rtl_hdl::{cat, hw_bundle, lit, when, zero, Bits, Block, EnumSignal, Module, Signal, Value};
use rtl_prim::fifo_of;

#[cfg(test)]
pub(crate) mod bench;

/// Bits of an address in a line.
const LINE_ADDRESS_BITS: u32 = UNIT_BYTES.trailing_zeros();
/// Bits of an address in a beat.
const BEAT_ADDRESS_BITS: u32 = BEAT_BYTES.trailing_zeros();
/// Bits of the number of a beat in its sector.
const SECTOR_BEAT_BITS: u32 = SECTOR_BEATS.trailing_zeros();

hw_bundle! {
    /// A burst whose data or response is awaited.
    struct Awaited {
        tag: Bits<8>,
        line: Bits<LINE_BITS>,
        beat: Bits<6>,
        sectors: Bits<8>,
        dropped: Bits<1>,
        ends_command: Bits<1>,
        fua: Bits<1>,
    }
}

hw_bundle! {
    /// A burst whose data is to be sent or thrown away.
    struct Sending {
        beat: Bits<6>,
        beats: Bits<7>,
        sectors: Bits<8>,
        zeroes: Bits<1>,
        dropped: Bits<1>,
    }
}

hw_bundle! {
    /// A beat of a write.
    pub struct Beat {
        /// 64 bytes.
        pub data: Bits<512>,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct LinePort {
    /// Bursts in flight in each direction.
    pub bursts: u32,
    /// Address of the first line.
    pub base: u64,
}

impl Block for LinePort {
    fn name(&self) -> String {
        format!("line_port_n{}_b{:x}", self.bursts, self.base)
    }

    fn description(&self) -> String {
        "Moves beats between the storage port and the lines of the cache.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bursts = m.stream_in::<Burst>("burst");
        let data = m.stream_in::<Beat>("data");
        let forward = m.stream_in::<StorageRead>("forward");
        let storage_read = m.stream_out::<StorageRead>("storage_read");
        let storage_done = m.stream_out_single::<StorageDone>("storage_done");
        let released = m.stream_out_single::<Released>("released");
        let persist = m.stream_out_single::<Persist>("persist");
        let memory = Axi4::manager(m, "memory", MEMORY);
        let burst = bursts.payload();

        // 2. State
        let reads = fifo_of::<Awaited>(m, "reads", self.bursts);
        let writes = fifo_of::<Awaited>(m, "writes", self.bursts);
        let sending = fifo_of::<Sending>(m, "sending", self.bursts);
        // The burst was carried out in the last clock and is still there.
        let is_done = m.reg("is_done", clock, false);
        let beats_sent = m.reg("beats_sent", clock, zero(7));
        let beats_read = m.reg("beats_read", clock, zero(6));
        // An error in an earlier beat or burst of the same command.
        let read_failed = m.reg("read_failed", clock, false);
        let write_failed = m.reg("write_failed", clock, false);
        // The last beat of a command has not come from the memory; what is forwarded has its turn.
        let reading = m.reg("reading", clock, false);
        let forwarding = m.reg("forwarding", clock, false);
        // Ends that wait to be reported, and lines to be released.
        let [read_over, write_over, other_over] =
            ["read_over", "write_over", "other_over"].map(|name| m.reg(name, clock, false));
        let [read_end, write_end, other_end] =
            ["read_end", "write_end", "other_end"].map(|name| m.reg_as::<StorageDone>(name, clock));
        let [read_frees, write_frees] = ["read_frees", "write_frees"].map(|name| m.reg(name, clock, false));
        let [read_line, write_line] =
            ["read_line", "write_line"].map(|name| m.reg_without_reset(name, clock, LINE_BITS));
        let persists = m.reg("persists", clock, false);

        // 3. Conditions: bursts
        let is_read = m.wire("is_read", burst.operation.is(Move::Read));
        let is_write = m.wire("is_write", burst.operation.is(Move::Write));
        let is_report = m.wire("is_report", burst.operation.is(Move::Report));
        let throws_away = m.wire("throws_away", is_report & burst.beats.any());
        let room = m.wire(
            "room",
            reads.can_push() & writes.can_push() & sending.can_push() & memory.ar.can_take() & memory.aw.can_take(),
        );
        let begins = m.wire("begins", bursts.valid() & !is_done & room & !other_over);

        // Conditions: data to the memory
        let sent_burst = sending.payload();
        let send = m.wire("send", sending.valid() & memory.w.can_take());
        when(send & !sent_burst.zeroes, || data.take());
        let sent = m.wire("sent", data.taken() | (send & sent_burst.zeroes));
        let sent_last = m.wire("sent_last", beats_sent.eq(sent_burst.beats - 1));
        let sent_sector = (sent_burst.beat + beats_sent.low(6)).bits(SECTOR_BEAT_BITS..6);

        // Conditions: reports
        let report = m.wire("report", storage_done.can_take());
        let report_write = m.wire("report_write", report & !read_over);
        let report_other = m.wire("report_other", report & !read_over & !write_over);
        let releases = m.wire("releases", released.can_take());
        let release_write = m.wire("release_write", releases & !read_frees);

        // Conditions: data from the memory
        let awaited = reads.payload();
        let read_sector = (awaited.beat + beats_read).bits(SECTOR_BEAT_BITS..6);
        let may_end = m.wire("may_end", (!read_over | report) & (!read_frees | releases));
        let may_read = reads.valid() & !forwarding & storage_read.can_take() & may_end;
        when(may_read, || memory.r.take());
        let beat = memory.r.payload();
        let received = m.wire("received", memory.r.taken());
        let beat_error = m.wire("beat_error", resp::is_error(beat.resp) | awaited.sectors.word(read_sector, 1));
        let last_beat = m.wire("last_beat", beat.last & awaited.ends_command);
        when(forwarding & storage_read.can_take(), || forward.take());
        let forwarded = m.wire("forwarded", forward.taken());

        // Conditions: responses
        let responded = writes.payload();
        let may_respond =
            (!write_over | report_write) & (!write_frees | release_write) & (!persists | persist.can_take());
        when(writes.valid() & may_respond, || memory.b.take());
        let acknowledged = m.wire("acknowledged", memory.b.taken());
        let write_error = m.wire("write_error", write_failed | resp::is_error(memory.b.payload().resp));
        let write_ends = m.wire("write_ends", acknowledged & responded.ends_command);

        // 4. Next state
        is_done.set(begins);
        let expected = Awaited {
            tag: burst.tag,
            line: burst.line,
            beat: burst.beat,
            sectors: burst.sectors,
            dropped: burst.without_host,
            ends_command: burst.ends_command,
            fua: burst.fua,
        };
        when(begins & is_read, || reads.push(expected));
        when(begins & is_write, || writes.push(expected));
        when(begins & (is_write | throws_away), || {
            sending.push(Sending {
                beat: burst.beat,
                beats: burst.beats,
                sectors: burst.sectors,
                zeroes: burst.without_host,
                dropped: is_report,
            });
        });
        when(report_other, || other_over.set(false));
        when(begins & is_report, || {
            other_over.set(burst.ends_command);
            other_end.set(end_of(burst.tag, burst.failed, burst.refused));
        });

        when(sent, || {
            beats_sent.set(beats_sent + 1);
            when(sent_last, || {
                beats_sent.set(zero(7));
                sending.take();
            });
        });

        when(report, || read_over.set(false));
        when(releases, || read_frees.set(false));
        let is_reading = m.wire("is_reading", received.mux(!last_beat, reading));
        reading.set(is_reading);
        when(received, || {
            read_failed.set((read_failed | beat_error) & !last_beat);
            beats_read.set(beats_read + 1);
            when(beat.last, || {
                reads.take();
                beats_read.set(zero(6));
                read_frees.set(true);
                read_line.set(awaited.line);
            });
            when(last_beat, || {
                read_over.set(true);
                read_end.set(end_of(awaited.tag, read_failed | beat_error, lit(0u8, 1)));
            });
        });
        forwarding.set(forwarding.mux(!(forwarded & forward.payload().last), forward.valid() & !is_reading));

        when(report_write, || write_over.set(false));
        when(release_write, || write_frees.set(false));
        when(persist.can_take(), || persists.set(false));
        when(acknowledged, || {
            writes.take();
            write_failed.set(write_error & !responded.ends_command);
            write_frees.set(true);
            write_line.set(responded.line);
        });
        when(write_ends, || {
            let is_persistent = responded.fua & !write_error;
            write_over.set(!is_persistent);
            persists.set(is_persistent);
            write_end.set(end_of(responded.tag, write_error, lit(0u8, 1)));
        });

        // 5. Outputs
        when(is_done, || bursts.take());
        let offset = cat(&[burst.line, burst.beat, lit(0u8, BEAT_ADDRESS_BITS)]).zext(64);
        let head = MEMORY.whole_beats(lit(0u8, 1), offset + self.base, (burst.beats - 1).zext(8), lit(0u8, 1));
        when(begins & is_read, || memory.ar.offer(head));
        when(begins & is_write, || memory.aw.offer(head));
        when(sent & !sent_burst.dropped, || {
            memory.w.offer(WriteData {
                data: data.payload().data & (!sent_burst.zeroes).repeat(BEAT_BITS),
                strb: sent_burst.sectors.word(sent_sector, 1).repeat(BEAT_BYTES),
                last: sent_last,
            });
        });
        when(received & !awaited.dropped, || {
            storage_read.offer(StorageRead { tag: awaited.tag, data: beat.data, error: beat_error, last: last_beat });
        });
        when(forwarded, || storage_read.offer(forward.payload()));
        when(report, || {
            when(read_over, || storage_done.offer(read_end))
                .else_when(write_over, || storage_done.offer(write_end))
                .else_when(other_over, || storage_done.offer(other_end));
        });
        when(releases, || {
            when(read_frees, || released.offer(Released { line: read_line, is_write: lit(0u8, 1) }))
                .else_when(write_frees, || released.offer(Released { line: write_line, is_write: lit(1u8, 1) }));
        });
        when(persists & persist.can_take(), || persist.offer(Persist { tag: write_end.tag }));
    }
}

const _: () = assert!(UNIT_SECTORS == 8 && LINE_ADDRESS_BITS == 6 + BEAT_ADDRESS_BITS);

fn end_of(tag: Signal, failed: Signal, refused: Signal) -> StorageDone {
    let status = |s: StorageStatus| EnumSignal::<StorageStatus>::of(s).signal();
    let how = failed.mux(status(StorageStatus::MediaError), status(StorageStatus::Good));
    StorageDone { tag, status: EnumSignal::from_signal(refused.mux(status(StorageStatus::Refused), how)) }
}
