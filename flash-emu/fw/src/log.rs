//! The log: records of what hardware changed, and of what firmware did with super-blocks.

use flash_spec::fast_path::{Buffer, Command, Register, LOG_BUFFERS};
use flash_spec::record::{LogHeader, LOG_ENTRIES, WRITTEN_MAX};
use soc_hal::Flash;
use zerocopy::little_endian::{U16, U32, U64};

use crate::blocks::Wear;
use crate::checkpoint::Checkpoint;
use crate::job::{Record, RecordWriter};
use crate::{Ftl, State};

/// Pages after which a record is written though there would be room for more changes in it: what no record covers is read by a mount. Pages with as many units
/// as they can have fill a record sooner.
const PAGES_PER_RECORD: u64 = 1024;

/// A buffer of hardware that becomes a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClosedBuffer {
    pub(crate) buffer: u8,
    pub(crate) entries: u32,
    pub(crate) covered: u64,
    /// It may be written when all pages with lower sequence numbers are safe.
    pub(crate) safe_at: u64,
    /// The number of its record.
    pub(crate) number: u64,
}

/// Where a mount that ends with a record has to look for spares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uncovered {
    /// See [`LogHeader::covered`].
    pub(crate) covered: u64,
    /// See [`LogHeader::written`].
    pub(crate) written: [u16; WRITTEN_MAX],
    /// See [`LogHeader::written_count`].
    pub(crate) count: u16,
    /// See [`LogHeader::resumed`].
    pub(crate) resumed: u16,
}

/// Whether the last record can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detached {
    /// It can.
    No,
    /// It is still to be written, into a new super-block.
    Unwritten,
    /// It is written, and waits for the anchor.
    Written,
}

#[derive(Debug)]
pub(crate) struct LogState {
    /// Closed and not in flash, the oldest first.
    closed: [Option<ClosedBuffer>; LOG_BUFFERS as usize],
    /// The number of the next buffer that is closed.
    pub(crate) next_number: u64,
    /// Entries of the log up to the last buffer that was closed, and the sequence number then.
    closed_end: u64,
    pub(crate) closed_at: u64,
    /// Entries that must be in flash soon.
    wanted: u64,
    /// Something cannot go on before the next record is in flash.
    pub(crate) is_urgent: bool,
    /// There are so many pages since the last buffer was closed that the next one is.
    has_many_pages: bool,
    /// The record for which all pages have been settled.
    settled: u64,
    /// A record is needed, whatever is in it.
    pub(crate) record_wanted: bool,
    /// Hardware has been told to close a buffer, and has not yet.
    is_closing: bool,
    /// The last record: its place and number.
    pub(crate) last: Option<(RecordWriter, u64)>,
    /// The super-block that the record being written leads to.
    next_super_block: Option<u16>,
    /// What a mount has found of a log that it goes on with: until its own changes are in the log, records say what the last one before said.
    pub(crate) inherited: Option<Uncovered>,
    /// No slot was left for a record: it is in another super-block, to which nothing leads before the next anchor. Until then none is durable.
    pub(crate) detached: Detached,
    /// The number of the first record that a mount would read.
    pub(crate) first_number: u64,
}

impl LogState {
    pub(crate) const fn new() -> Self {
        Self {
            closed: [None; LOG_BUFFERS as usize],
            next_number: 1,
            closed_end: 0,
            closed_at: 0,
            wanted: 0,
            is_urgent: false,
            has_many_pages: false,
            settled: 0,
            record_wanted: false,
            is_closing: false,
            last: None,
            next_super_block: None,
            inherited: None,
            detached: Detached::No,
            first_number: 1,
        }
    }

    /// Hardware has closed a buffer.
    pub(crate) fn note_closed(&mut self, closed: ClosedBuffer) {
        let closed = ClosedBuffer { number: self.next_number, ..closed };
        self.next_number += 1;
        self.closed_end += u64::from(closed.entries);
        self.closed_at = closed.safe_at;
        self.is_closing = false;
        self.record_wanted = false;
        let place = self.closed.iter_mut().find(|place| place.is_none());
        *place.expect("hardware has no more buffers") = Some(closed);
    }

    /// A record could not be written where it was tried.
    pub(crate) fn give_back(&mut self, closed: ClosedBuffer) {
        debug_assert!(self.closed[0].is_some_and(|first| first.number == closed.number));
    }

    /// Entries up to this one must be in flash soon.
    pub(crate) fn want(&mut self, entries: u64) {
        self.wanted = self.wanted.max(entries);
    }

    /// Whether the super-block that records go on in is not taken yet.
    pub(crate) fn has_no_next(&self) -> bool {
        self.next_super_block.is_none()
    }

    /// Whether nothing waits for a record.
    pub(crate) fn is_quiet(&self) -> bool {
        self.closed[0].is_none() && !self.is_closing && !self.record_wanted && self.wanted <= self.closed_end
    }
}

impl<F: Flash> Ftl<'_, F> {
    /// Has a buffer closed if something waits for what is in it, or a mount would have to look at too many pages that it does not cover.
    pub(crate) fn poll_log(&mut self) {
        let pages = self.flash.register(Register::Sequence).saturating_sub(self.log.closed_at);
        self.log.has_many_pages = pages >= PAGES_PER_RECORD;
        let is_wanted = self.log.record_wanted || self.log.wanted > self.log.closed_end || self.log.has_many_pages;
        if is_wanted && !self.log.is_closing {
            self.log.is_closing = true;
            self.flash.command(Command::CloseLog);
        }
    }

    /// Records that a mount would read.
    pub(crate) fn log_length(&self) -> u64 {
        self.log.next_number - self.log.first_number
    }

    /// Starts to write the oldest buffer, if one is closed.
    pub(crate) fn start_log_record(&mut self) -> bool {
        let Some(closed) = self.log.closed[0] else { return false };
        if self.log.detached == Detached::Written {
            return false;
        }
        // So many changes that a mount has no room for more: they wait for the checkpoint, unless that needs a super-block.
        let is_too_long = self.log_length() > u64::from(2 * self.config.log_records);
        if is_too_long
            && self.log.detached == Detached::No
            && self.checkpoint.is_going()
            && self.map_writer.slot < self.slots()
            && self.is_mounted
        {
            return false;
        }
        if self.flash.register(Register::SafeSequence) < closed.safe_at {
            // What is moved makes the pages before it safe, in time.
            let is_waited_for = self.flash.register(Register::FlushWaits) == 1 || self.log.has_many_pages;
            let is_urgent = self.log.is_urgent || is_waited_for && !self.is_tight();
            if is_urgent && self.log.settled < closed.number {
                self.log.settled = closed.number;
                self.flash.command(Command::Settle);
            }
            return false;
        }
        let is_last_row = self.log_writer.slot + self.geometry.planes() >= self.slots();
        if is_last_row && self.log.next_super_block.is_none() {
            self.log.next_super_block = self.take(Wear::Least, State::Log);
            if let Some(next) = self.log.next_super_block {
                self.block(next).closed_at = closed.number + 1;
            }
        }
        let Uncovered { covered, written, count, resumed } = self.uncovered(closed.covered);
        let header = LogHeader {
            number: U64::new(closed.number),
            covered: U64::new(covered),
            entries: U32::new(closed.entries),
            next_super_block: U16::new(self.log.next_super_block.unwrap_or(0)),
            written_count: U16::new(count),
            written: written.map(U16::new),
            resumed: U16::new(resumed),
            reserved_58: [0; 6],
        };
        self.put(Buffer::Log(closed.buffer), 0, 0, &header);
        self.start_record(Record::Log(closed)) || self.detach_log(&closed)
    }

    /// Interrupted and failed programs have left no slot for a record. A checkpoint makes a new log; until then no record counts.
    fn detach_log(&mut self, closed: &ClosedBuffer) -> bool {
        let next = self.log.next_super_block.take().or_else(|| self.take(Wear::Least, State::Log));
        let Some(next) = next else { return false };
        self.block(next).closed_at = closed.number;
        self.log_writer = RecordWriter { super_block: next, slot: 0 };
        self.log.detached = Detached::Unwritten;
        self.log.inherited = None;
        self.checkpoint = Checkpoint::Wanted;
        false
    }

    /// The anchor leads to the detached record.
    pub(crate) fn attach_log(&mut self) {
        if self.log.detached == Detached::Written {
            self.log.detached = Detached::No;
            self.end_oldest();
        }
    }

    /// The oldest buffer is in flash.
    fn end_oldest(&mut self) {
        self.log.closed.rotate_left(1);
        self.log.closed[LOG_BUFFERS as usize - 1] = None;
        self.flash.command(Command::LogDurable);
    }

    /// What a record says that covers pages with sequence numbers below `covered`.
    fn uncovered(&mut self, covered: u64) -> Uncovered {
        if let Some(inherited) = self.log.inherited {
            return inherited;
        }
        let mut uncovered = Uncovered { covered, written: [0; WRITTEN_MAX], count: 0, resumed: 0 };
        for place in &mut self.written {
            if place.is_some_and(|written| written.end.is_some_and(|end| end <= covered)) {
                *place = None;
            }
            if let Some(written) = place {
                uncovered.written[usize::from(uncovered.count)] = written.super_block;
                uncovered.count += 1;
            }
        }
        uncovered
    }

    /// A record is in flash.
    pub(crate) fn end_log_record(&mut self, closed: &ClosedBuffer, super_block: u16) {
        let slot = self.log_writer.slot - 1;
        self.log.last = Some((RecordWriter { super_block, slot }, closed.number));
        if let Some(next) = self.log.next_super_block.take() {
            self.log_writer = RecordWriter { super_block: next, slot: 0 };
        }
        if self.log.detached != Detached::No {
            self.log.detached = Detached::Written;
            return;
        }
        self.end_oldest();
        let is_settled = self.log.inherited.is_none();
        if is_settled && self.log_length() >= u64::from(self.config.log_records) {
            self.checkpoint.want();
        }
    }

    /// Whether a super-block has records that a mount would read after a checkpoint whose first record is in `first`: those of the log say in
    /// `closed_at` which number their first record has.
    pub(crate) fn log_needs(&self, super_block: u16, first: u16) -> bool {
        let number = |index: u16| self.memory.super_blocks[usize::from(index)].closed_at;
        number(super_block) >= number(first)
    }

    /// Whether the buffer that is being filled takes another entry. It may be full and not closed yet, while the one before it is written.
    pub(crate) fn log_has_room(&mut self) -> bool {
        self.flash.register(Register::LogAppended).saturating_sub(self.durable()) < u64::from(LOG_ENTRIES)
    }

    /// Entries that are in flash.
    pub(crate) fn durable(&mut self) -> u64 {
        self.flash.register(Register::LogDurable)
    }
}
