//! The log: two buffers, one that is filled and one that firmware writes to flash.

use std::collections::VecDeque;

use flash_spec::fast_path::{Event, FIRMWARE_LOG_ENTRIES, LOG_BUFFERS};
use flash_spec::record::{LogEntry, LogHeader, LOG_ENTRIES};

use super::PAGE_WORDS;

/// A trim, or several: what must be in the log for it to be durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trim {
    /// Entries of the log up to it.
    pub(super) entries: u64,
    /// Pages with lower sequence numbers may hold the unit, and must not be looked at after a mount.
    pub(super) sequence: u64,
}

#[derive(Clone, Copy, Debug)]
struct Closed {
    /// Entries of the log up to its end.
    end: u64,
    covered: u64,
    safe_at: u64,
}

#[derive(Debug)]
pub(super) struct Log {
    buffers: Vec<Vec<u32>>,
    /// The one that is filled, and how many entries it has.
    current: u8,
    entries: u32,
    appended: u64,
    closed: VecDeque<Closed>,
    /// The current buffer is closed when the other one is free.
    close_wanted: bool,
    durable: u64,
    durable_covered: u64,
    trim: Trim,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            buffers: vec![vec![0; PAGE_WORDS]; usize::from(LOG_BUFFERS)],
            current: 0,
            entries: 0,
            appended: 0,
            closed: VecDeque::new(),
            close_wanted: false,
            durable: 0,
            durable_covered: 0,
            trim: Trim::default(),
        }
    }

    pub(super) fn buffer(&mut self, index: u8) -> &mut Vec<u32> {
        &mut self.buffers[usize::from(index)]
    }

    pub(super) fn has_room(&self, entries: u32) -> bool {
        let other = if self.closed.is_empty() { LOG_ENTRIES } else { 0 };
        self.entries + entries + FIRMWARE_LOG_ENTRIES <= LOG_ENTRIES + other
    }

    /// Up to which sequence number pages must be safe before a buffer gets room.
    pub(super) fn waits_for(&self) -> u64 {
        self.closed.front().map_or(0, |closed| closed.safe_at)
    }

    pub(super) fn appended(&self) -> u64 {
        self.appended
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    pub(super) fn covered(&self) -> u64 {
        self.durable_covered
    }

    pub(super) fn last_trim(&self) -> Trim {
        self.trim
    }

    pub(super) fn note_trim(&mut self, sequence: u64) -> Trim {
        self.trim = Trim { entries: self.appended, sequence };
        self.trim
    }

    pub(super) fn is_trim_durable(&self, trim: Trim) -> bool {
        self.durable >= trim.entries && self.durable_covered >= trim.sequence
    }

    /// Whether a buffer that will make the trim durable is on its way.
    pub(super) fn has_closed_since(&self, trim: Trim) -> bool {
        let is_enough = |closed: &Closed| closed.end >= trim.entries && closed.covered >= trim.sequence;
        self.close_wanted || self.closed.iter().any(is_enough)
    }

    /// Adds an entry; says whether the buffer is full with it.
    pub(super) fn append(&mut self, lpn: u32, place: u32) -> bool {
        assert!(self.entries < LOG_ENTRIES, "room was kept");
        let word = (size_of::<LogHeader>() + self.entries as usize * size_of::<LogEntry>()) / 4;
        let buffer = &mut self.buffers[usize::from(self.current)];
        (buffer[word], buffer[word + 1]) = (lpn, place);
        self.entries += 1;
        self.appended += 1;
        self.entries == LOG_ENTRIES
    }

    /// Closes the current buffer, now or when the other one is free.
    pub(super) fn close(&mut self, covered: u64, safe_at: u64) -> Option<Event> {
        self.close_wanted = !self.closed.is_empty();
        if self.close_wanted {
            return None;
        }
        let (buffer, entries) = (self.current, self.entries);
        self.closed.push_back(Closed { end: self.appended, covered, safe_at });
        self.current = (buffer + 1) % LOG_BUFFERS;
        self.entries = 0;
        Some(Event::LogClosed { buffer, entries, covered, safe_at })
    }

    /// The buffer that was closed first is in flash. Whether the current one is closed now.
    pub(super) fn end(&mut self) -> bool {
        let closed = self.closed.pop_front().expect("one is closed");
        self.durable = closed.end;
        self.durable_covered = closed.covered;
        self.close_wanted
    }
}
