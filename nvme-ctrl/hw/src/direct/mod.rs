//! # Direct storage
//!
//! A back end of the `storage` port: sectors lie in an AXI4 memory one after the other, the first one at address 0.
//!
//! ## Symbol
//! ```text
//!                      +--- direct ---+
//!   storage_command ->-|              |->- storage_read
//!     storage_write ->-|              |->- storage_done
//!                      |              |=== memory         AXI4 manager
//!                      +--------------+
//! ```
//! ## Theory of operation
//! 1. A command becomes one burst, or two if its sectors cross a 4 KiB boundary, which a burst must not do (AMBA AXI, "Burst length").
//!    A FIFO for each direction remembers the bursts; all have one id, so that the memory answers in order.
//! 2. Read data goes to `storage_read` with the tag of its command. With its last beat the command is done.
//! 3. Write data is cut into bursts; beats with an error write no byte. A write is done with the response to its last burst, so a Flush has
//!    nothing to do.
//! 4. A Write Zeroes is a write that makes its data itself, and a Verify a read whose beats go nowhere.
//! 5. A Write Uncorrectable marks its sectors. What reads a sector that is marked ends with a media error, and its beats carry an error; what writes
//!    it takes the mark away. A byte of the `marks` has those of the eight sectors of 4 KiB. Even and odd bytes lie in memories of their own, so
//!    that the two which a command may touch are there at once. After reset the marks are cleared, a word of 64 bytes in each clock; nothing is
//!    marked until that is done.
//! 6. A command beyond the end of the memory is refused, a write after its data has been thrown away.
//! 7. The memory carries out reads and writes at the same time. What reads waits for the writes of its 4 KiB pages that are on their way, and what
//!    writes for their reads, so that no logical block is seen half old and half new (NVM Command Set, "Atomic Operation").
//!
//! ## Timing
//! A command every third clock, a beat per clock in each direction. A command is judged for a clock before its first burst leaves. A read's first beat leaves two clocks after it came from the memory.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! Namespaces are not told apart. A write takes marks away when it begins, whatever becomes of it: a mark should end when a write succeeds (NVM Command
//! Set, "Write Uncorrectable command"), so that after a Write that could not read its data from the host, blocks can be read again as they were before
//! they were marked. To end marks at the response instead needs the page of each tag and a turn of the marks' memory for it. To put them back after an
//! error is no way: of two Writes of a block at once, the one that fails would mark what the other one has written. The reset of this block, which is that of
//! the device and not of a controller, takes all marks away. Force unit access makes no difference, because a write that is done is in the memory.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::{
    is_one_of, Operation, StorageCommand, StorageDone, StorageRead, StorageStatus, StorageWrite, BEAT_BITS, BEAT_BYTES,
};
use crate::Config;
use nvme_spec::limits::{SECTOR_BYTES, UNIT_BYTES};
use rtl_bus::{resp, Axi4, Axi4Config, WriteData, BOUNDARY_BYTES};
use rtl_hdl::{
    address_width, cat, hw_bundle, hw_enum, lit, switch, when, zero, Bits, Block, EnumSignal, MemoryStyle, Module,
    Signal, Value,
};
use rtl_prim::{fifo_of, one_hot};

#[cfg(test)]
pub(crate) mod bench;

/// The memory bus.
pub const MEMORY: Axi4Config = Axi4Config { address_bits: 64, data_bits: BEAT_BITS, id_bits: 1, user_bits: 1 };

/// Bursts do not cross multiples of this. AMBA AXI, "Burst length".
const BURST_BOUNDARY: u32 = BOUNDARY_BYTES as u32;
/// Bits of an address below that.
const BOUNDARY_BITS: u32 = BURST_BOUNDARY.trailing_zeros();
/// Bits of the number of a page by which commands are told apart; those that share them wait for one another.
const PAGE_TAG_BITS: u32 = 16;
/// Bits of an address in a sector.
const SECTOR_BITS: u32 = SECTOR_BYTES.trailing_zeros();
/// Sectors of a page, each with a bit in its marks.
const PAGE_SECTORS: u32 = UNIT_BYTES / SECTOR_BYTES;
/// Pages whose marks are in one word.
const MARK_LANES: u32 = 64;
/// Bits of an address in a beat.
const BEAT_ADDRESS_BITS: u32 = BEAT_BYTES.trailing_zeros();

hw_bundle! {
    /// A burst whose answer is awaited.
    struct Burst {
        tag: Bits<8>,
        ends_command: Bits<1>,
        /// Of a Verify.
        dropped: Bits<1>,
        /// A sector of the command is marked.
        uncorrectable: Bits<1>,
    }
}

hw_bundle! {
    /// A burst whose data is to be sent.
    struct BurstData {
        beats: Bits<7>,
        refused: Bits<1>,
        /// Of a Write Zeroes.
        zeroes: Bits<1>,
    }
}

hw_enum! {
    /// `Judge -> First -> Second -> Drop -> Judge`, or without `Second` if one burst is enough, or with `Refuse` if the command is refused.
    pub enum State {
        /// Waits for a command. Leaves in one clock, in which its conditions go into registers.
        Judge,
        /// Leaves when the first burst has been offered, or when there is nothing to offer.
        First,
        /// Leaves when the second burst has been offered.
        Second,
        /// The command is beyond the end. Leaves when all data of writes has been taken, of which its own is the last.
        Refuse,
        /// All has been asked for. Leaves in one clock, in which the command is taken.
        Drop,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Direct {
    config: Config,
    memory_bytes: u64,
}

impl Direct {
    /// A back end whose memory has `memory_bytes` bytes.
    pub fn new(config: Config, memory_bytes: u64) -> Direct {
        Direct { config, memory_bytes }
    }
}

impl Block for Direct {
    fn name(&self) -> String {
        format!("direct_u{}_b{:x}", self.config.units, self.memory_bytes)
    }

    fn description(&self) -> String {
        "Sectors in an AXI4 memory, one after the other.".into()
    }

    fn build(&self, m: &Module) {
        let sectors_of_memory = self.memory_bytes / u64::from(SECTOR_BYTES);
        let pages_of_memory = (self.memory_bytes / u64::from(UNIT_BYTES)) as u32;
        let units = self.config.units;
        let tag_bits = address_width(units);
        let bursts = 2 * units;

        // 1. Ports
        let clock = m.clock();
        let command_stream = m.stream_in::<StorageCommand>("storage_command");
        let storage_write = m.stream_in::<StorageWrite>("storage_write");
        let storage_read = m.stream_out::<StorageRead>("storage_read");
        let storage_done = m.stream_out_single::<StorageDone>("storage_done");
        let memory = Axi4::manager(m, "memory", MEMORY);
        let command = command_stream.payload();

        // 2. State
        let state = m.reg("state", clock, State::Judge);
        let reads = fifo_of::<Burst>(m, "reads", bursts);
        let writes = fifo_of::<Burst>(m, "writes", bursts);
        let write_data = fifo_of::<BurstData>(m, "write_data", bursts);
        let beats_sent = m.reg("beats_sent", clock, zero(7));
        // An error in an earlier beat or burst of the same command.
        let read_failed = m.reg("read_failed", clock, false);
        let write_failed = m.reg("write_failed", clock, false);
        // The command, judged.
        let judgement = |name: &str| m.reg_without_reset(name, clock, 1);
        let [fits, crosses, meets] = ["fits", "crosses", "meets"].map(judgement);
        // Its sectors, in its first page and the one behind that; and what is marked, by the lowest bit of the page.
        let touched = m.reg_without_reset("touched", clock, 2 * PAGE_SECTORS);
        let marks = ["even_marks", "odd_marks"].map(|name| {
            let words = (pages_of_memory / 2).div_ceil(MARK_LANES);
            m.memory(name, PAGE_SECTORS * MARK_LANES, words, MemoryStyle::Ultra)
        });
        // Words of marks that have been cleared after reset; and all of them, more than a clock ago, so that what has been read is from then on.
        let swept = m.reg("swept", clock, zero(marks[0].address_width() + 1));
        let is_swept = m.reg("is_swept", clock, false);
        // Per tag: what is on its way, and the page it begins in.
        let [reading, writing] = ["reading", "writing"].map(|name| m.reg(name, clock, zero(units)));
        let reaches_next = m.reg("reaches_next", clock, zero(units));
        let pages: Vec<Signal> =
            (0..units).map(|tag| m.reg_without_reset(&format!("page_{tag}"), clock, PAGE_TAG_BITS)).collect();
        // Ends that wait to be reported.
        let [read_over, write_over, other_over] =
            ["read_over", "write_over", "other_over"].map(|name| m.reg(name, clock, false));
        let [read_end, write_end, other_end] =
            ["read_end", "write_end", "other_end"].map(|name| m.reg_as::<StorageDone>(name, clock));

        // 3. Conditions: the command
        let is_verify = m.wire("is_verify", command.operation.is(Operation::Verify));
        // There is nothing to give back: what is deallocated is set to zero.
        let is_write_zeroes =
            m.wire("is_write_zeroes", is_one_of(command.operation, &[Operation::WriteZeroes, Operation::Deallocate]));
        let is_mark = m.wire("is_mark", command.operation.is(Operation::WriteUncorrectable));
        let is_read = m.wire("is_read", is_verify | command.operation.is(Operation::Read));
        let is_write = m.wire("is_write", is_write_zeroes | command.operation.is(Operation::Write));
        let address = m.wire("address", cat(&[command.sector.low(64 - SECTOR_BITS), lit(0u8, SECTOR_BITS)]));
        let beats = m.wire("beats", beats_of(command.sectors));
        let beat_in_page = address.bits(BEAT_ADDRESS_BITS..BOUNDARY_BITS).zext(7);
        let beats_to_boundary = m.wire("beats_to_boundary", lit(BURST_BOUNDARY / BEAT_BYTES, 7) - beat_in_page);
        let room = m.wire(
            "room",
            reads.can_push() & writes.can_push() & write_data.can_push() & memory.ar.can_take() & memory.aw.can_take(),
        );
        let page = m.wire("page", address.bits(BOUNDARY_BITS..BOUNDARY_BITS + PAGE_TAG_BITS));
        let in_page = command.sector.low(address_width(PAGE_SECTORS));
        let reaches = m.wire("reaches", (in_page.zext(5) + command.sectors.zext(5)).gt(PAGE_SECTORS));
        let meets_now = m.wire("meets_now", {
            let others = is_read.mux(writing, reading);
            let (before, after) = (page - 1, page + 1);
            let meets = (0..).zip(pages.iter().copied()).map(|(tag, other): (u32, Signal)| {
                let behind = reaches & other.eq(after);
                let ahead = reaches_next.bit(tag) & other.eq(before);
                (other.eq(page) | behind | ahead) & others.bit(tag)
            });
            let meets: Vec<Signal> = meets.collect();
            cat(&meets).any() & (is_read | is_write)
        });
        let may_begin = m.wire("may_begin", room & !other_over & !meets & (is_swept | !is_mark));
        let first = m.wire("first", state.is(State::First) & may_begin);
        let second = m.wire("second", state.is(State::Second) & room);
        let refuse = m.wire("refuse", first & (is_read | is_write | is_mark) & !fits);
        let refused = m.wire("refused", state.is(State::Refuse) & !write_data.valid());
        let burst = m.wire("burst", (first & fits) | second);
        let burst_address = m.wire("burst_address", second.mux(after_boundary(address), address));
        let first_beats = crosses.mux(beats_to_boundary, beats);
        let burst_beats = m.wire("burst_beats", second.mux(beats - beats_to_boundary, first_beats));
        let burst_ends = m.wire("burst_ends", second | !crosses);

        // Conditions: marks. The page of even number among the two that a command may touch, and the odd one.
        let page_number = command.sector.bits(address_width(PAGE_SECTORS)..64);
        let pairs = [(page_number + 1).bits(1..page_number.width()), page_number.bits(1..page_number.width())];
        let lane_bits = address_width(MARK_LANES);
        let marked = [0, 1].map(|odd: usize| {
            let at = pairs[odd].bits(lane_bits..lane_bits + marks[odd].address_width());
            let word = marks[odd].read(clock, ["even_word", "odd_word"][odd], at);
            word.word(pairs[odd].low(lane_bits), PAGE_SECTORS)
        });
        let begins_odd = page_number.bit(0);
        let [of_first, of_next] = [touched.low(PAGE_SECTORS), touched.bits(PAGE_SECTORS..2 * PAGE_SECTORS)];
        let touched_by_page = [begins_odd.mux(of_next, of_first), begins_odd.mux(of_first, of_next)];
        let uncorrectable = m.wire("uncorrectable", (cat(&marked) & cat(&touched_by_page)).any() & is_swept);

        // Conditions: the data and the answers
        let data = write_data.payload();
        let send = m.wire("send", write_data.valid() & memory.w.can_take());
        when(send & !data.zeroes, || storage_write.take());
        let sent = m.wire("sent", storage_write.taken() | (send & data.zeroes));
        let sent_last = m.wire("sent_last", beats_sent.eq(data.beats - 1));

        let report = m.wire("report", storage_done.can_take());
        let report_write = m.wire("report_write", report & !read_over);
        let report_other = m.wire("report_other", report & !read_over & !write_over);
        let receive = m.wire("receive", reads.valid() & storage_read.can_take() & (!read_over | report));
        when(receive, || memory.r.take());
        let beat = memory.r.payload();
        let received = m.wire("received", memory.r.taken());
        let beat_error = m.wire("beat_error", resp::is_error(beat.resp) | reads.payload().uncorrectable);
        let last_beat = m.wire("last_beat", beat.last & reads.payload().ends_command);

        when(writes.valid() & (!write_over | report_write), || memory.b.take());
        let acknowledged = m.wire("acknowledged", memory.b.taken());
        let write_error = m.wire("write_error", write_failed | resp::is_error(memory.b.payload().resp));

        // 4. Next state
        fits.set(range_fits(command.sector, command.sectors, sectors_of_memory));
        crosses.set(reaches);
        meets.set(meets_now);
        let sectors = cat(&(0..PAGE_SECTORS).rev().map(|n| command.sectors.gt(n)).collect::<Vec<_>>());
        touched.set(sectors.zext(2 * PAGE_SECTORS).shl(in_page));
        switch(state, |s: State| match s {
            State::Judge => {
                when(command_stream.valid(), || state.goto(State::First));
            }
            State::First => {
                when(first, || {
                    when(refuse, || state.goto(State::Refuse))
                        .else_when(burst & crosses & (is_read | is_write), || state.goto(State::Second))
                        .otherwise(|| state.goto(State::Drop));
                });
            }
            State::Second => {
                when(second, || state.goto(State::Drop));
            }
            State::Refuse => {
                when(refused, || state.goto(State::Drop));
            }
            State::Drop => state.goto(State::Judge),
        });
        for odd in 0..2 {
            let at = pairs[odd].bits(lane_bits..lane_bits + marks[odd].address_width());
            let lane = one_hot(pairs[odd].low(lane_bits), MARK_LANES);
            let changes = first & fits & (is_write | is_mark) & touched_by_page[odd].any();
            let new = is_mark.mux(marked[odd] | touched_by_page[odd], marked[odd] & !touched_by_page[odd]);
            marks[odd].write_lanes(
                clock,
                changes | !is_swept,
                is_swept.mux(at, swept.low(at.width())),
                (new & is_swept.repeat(PAGE_SECTORS)).repeat(MARK_LANES),
                lane | (!is_swept).repeat(MARK_LANES),
            );
        }
        when(!is_swept, || swept.set(swept + 1));
        is_swept.set(is_swept | swept.bit(marks[0].address_width()));
        let bit_of = |tag: Signal, happens: Signal| one_hot(tag.low(tag_bits), units) & happens.repeat(units);
        let begun = m.wire("begun", bit_of(command.tag, first & fits));
        let read_ends = m.wire("read_ends", bit_of(reads.payload().tag, received & last_beat));
        let write_ends =
            m.wire("write_ends", bit_of(writes.payload().tag, acknowledged & writes.payload().ends_command));
        reading.set((reading & !read_ends) | (begun & is_read.repeat(units)));
        writing.set((writing & !write_ends) | (begun & is_write.repeat(units)));
        reaches_next.set((reaches_next & !begun) | (begun & reaches.repeat(units)));
        for (tag, known) in (0..).zip(&pages) {
            when(begun.bit(tag), || known.set(page));
        }
        let remembered = Burst { tag: command.tag, ends_command: burst_ends, dropped: is_verify, uncorrectable };
        when(burst & is_read, || reads.push(remembered));
        when(burst & is_write, || {
            writes.push(remembered);
            write_data.push(BurstData { beats: burst_beats, refused: lit(0u8, 1), zeroes: is_write_zeroes });
        });
        when(refuse & is_write & !is_write_zeroes, || {
            write_data.push(BurstData { beats, refused: lit(1u8, 1), zeroes: lit(0u8, 1) });
        });

        when(report_other, || other_over.set(false));
        when(refused | (first & !refuse & !is_read & !is_write), || {
            other_over.set(true);
            let status = |s: StorageStatus| EnumSignal::<StorageStatus>::of(s).signal();
            let how = refused.mux(status(StorageStatus::Refused), status(StorageStatus::Good));
            other_end.set(StorageDone { tag: command.tag, status: EnumSignal::from_signal(how) });
        });

        when(sent, || {
            beats_sent.set(beats_sent + 1);
            when(sent_last, || {
                beats_sent.set(zero(7));
                write_data.take();
            });
        });

        when(report, || read_over.set(false));
        when(received, || {
            read_failed.set((read_failed | beat_error) & !last_beat);
            when(beat.last, || reads.take());
            when(last_beat, || {
                read_over.set(true);
                read_end.set(end_of(reads.payload().tag, read_failed | beat_error));
            });
        });

        when(report_write, || write_over.set(false));
        when(acknowledged, || {
            writes.take();
            write_failed.set(write_error & !writes.payload().ends_command);
            when(writes.payload().ends_command, || {
                write_over.set(true);
                write_end.set(end_of(writes.payload().tag, write_error));
            });
        });

        // 5. Outputs
        when(state.is(State::Drop), || command_stream.take());
        let len = (burst_beats - 1).zext(8);
        let burst_head = MEMORY.whole_beats(lit(0u8, 1), burst_address, len, lit(0u8, 1));
        when(burst & is_read, || memory.ar.offer(burst_head));
        when(burst & is_write, || memory.aw.offer(burst_head));
        when(sent & !data.refused, || {
            let beat = storage_write.payload();
            memory.w.offer(WriteData {
                data: beat.data & (!data.zeroes).repeat(BEAT_BITS),
                strb: (data.zeroes | !beat.error).repeat(BEAT_BYTES),
                last: sent_last,
            });
        });
        when(received & !reads.payload().dropped, || {
            let tag = reads.payload().tag;
            storage_read.offer(StorageRead { tag, data: beat.data, error: beat_error, last: last_beat });
        });
        when(report, || {
            when(read_over, || storage_done.offer(read_end))
                .else_when(write_over, || storage_done.offer(write_end))
                .else_when(other_over, || storage_done.offer(other_end));
        });
    }
}

/// Whether `sectors` from `sector` on lie in a memory of `limit` sectors.
fn range_fits(sector: Signal, sectors: Signal, limit: u64) -> Signal {
    let end = sector.zext(65) + sectors.zext(65);
    end.le(limit)
}

/// Beats of so many sectors.
fn beats_of(sectors: Signal) -> Signal {
    cat(&[sectors, lit(0u8, SECTOR_BITS - BEAT_ADDRESS_BITS)]).low((UNIT_BYTES / BEAT_BYTES).trailing_zeros() + 1)
}

/// The next multiple of the burst boundary.
fn after_boundary(address: Signal) -> Signal {
    cat(&[address.bits(BOUNDARY_BITS..64) + 1, lit(0u16, BOUNDARY_BITS)])
}

fn end_of(tag: Signal, failed: Signal) -> StorageDone {
    let status = |s: StorageStatus| EnumSignal::<StorageStatus>::of(s).signal();
    let how = failed.mux(status(StorageStatus::MediaError), status(StorageStatus::Good));
    StorageDone { tag, status: EnumSignal::from_signal(how) }
}
