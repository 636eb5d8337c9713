//! The write-back cache: the lines that are not in flash yet, and the flushes that wait for them.

use std::collections::{BTreeMap, HashMap, VecDeque};

use flash_spec::limits::UNITS_PER_PAGE;

use super::log::Trim;

/// A unit that is not in flash yet.
#[derive(Clone, Copy, Debug)]
struct Line {
    data: u64,
    /// The number of the oldest write of it that is not in flash.
    since: u64,
    /// Its program is in flight.
    in_flight: bool,
    /// The number of the first write after its program started.
    again: Option<u64>,
    /// The unit was trimmed after its program started.
    trimmed: bool,
}

/// A flush: all writes before a number, and a trim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flush {
    id: u64,
    before: u64,
    pub(super) trim: Trim,
}

#[derive(Debug)]
pub(super) struct Cache {
    capacity: usize,
    lines: HashMap<u32, Line>,
    /// Lines that are dirty and not in flight, the oldest first.
    dirty: BTreeMap<u64, u32>,
    /// The oldest writes of lines in flight.
    in_flight: BTreeMap<u64, u32>,
    writes: u64,
    pub(super) flushes: VecDeque<Flush>,
    pub(super) flushed: VecDeque<u64>,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            lines: HashMap::new(),
            dirty: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            writes: 0,
            flushes: VecDeque::new(),
            flushed: VecDeque::new(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes a write; false if there is no room.
    pub(super) fn write(&mut self, lpn: u32, data: u64) -> bool {
        let number = self.writes;
        if let Some(line) = self.lines.get_mut(&lpn) {
            line.data = data;
            if line.in_flight {
                line.again.get_or_insert(number);
            }
        } else {
            if self.lines.len() >= self.capacity {
                return false;
            }
            self.lines.insert(lpn, Line { data, since: number, in_flight: false, again: None, trimmed: false });
            self.dirty.insert(number, lpn);
        }
        self.writes += 1;
        true
    }

    pub(super) fn read(&self, lpn: u32) -> Option<u64> {
        let line = self.lines.get(&lpn)?;
        (!line.trimmed || line.again.is_some()).then_some(line.data)
    }

    /// Drops what is not in flight. Flushes that wait for a line that is dropped wait for the trim instead: what is older than both must not come back.
    pub(super) fn trim(&mut self, lpn: u32, trim: Trim) {
        if self.lines.contains_key(&lpn) {
            self.flushes.iter_mut().for_each(|flush| flush.trim = trim);
        }
        let Some(line) = self.lines.get_mut(&lpn) else { return };
        if line.in_flight {
            line.trimmed = true;
            line.again = None;
        } else {
            self.dirty.remove(&line.since);
            self.lines.remove(&lpn);
        }
    }

    pub(super) fn is_in_flight(&self, lpn: u32) -> bool {
        self.lines.get(&lpn).is_some_and(|line| line.in_flight)
    }

    pub(super) fn flush(&mut self, id: u64, trim: Trim) {
        self.flushes.push_back(Flush { id, before: self.writes, trim });
    }

    /// Whether there is a flush, and all writes before the first one are in flash.
    pub(super) fn flush_is_written(&self) -> bool {
        let Some(flush) = self.flushes.front() else { return false };
        let oldest = [&self.dirty, &self.in_flight].into_iter().filter_map(|lines| lines.keys().next()).min();
        oldest.is_none_or(|&oldest| oldest >= flush.before)
    }

    pub(super) fn end_flush(&mut self) {
        let flush = self.flushes.pop_front().expect("one has ended");
        self.flushed.push_back(flush.id);
    }

    /// The oldest dirty lines that may be written, as many as a page has; fewer only if a flush waits for them or there is no room for more. A flush
    /// is a barrier: what came after it waits.
    pub(super) fn gather(&self, mut may_be_written: impl FnMut(u32) -> bool) -> Vec<u32> {
        let before = self.flushes.front().map_or(u64::MAX, |flush| flush.before);
        let candidates = self.dirty.range(..before).map(|(_, &lpn)| lpn).filter(|&lpn| may_be_written(lpn));
        let lpns: Vec<u32> = candidates.take(UNITS_PER_PAGE as usize).collect();
        let is_full = self.lines.len() >= self.capacity;
        if lpns.len() < UNITS_PER_PAGE as usize && before == u64::MAX && !is_full {
            return Vec::new();
        }
        lpns
    }

    /// The data of a line whose program starts.
    pub(super) fn start_write(&mut self, lpn: u32) -> u64 {
        let line = self.lines.get_mut(&lpn).expect("it is dirty");
        line.in_flight = true;
        self.dirty.remove(&line.since);
        self.in_flight.insert(line.since, lpn);
        line.data
    }

    /// The program of a line has ended. Whether the unit is where it was programmed.
    pub(super) fn end_write(&mut self, lpn: u32, is_good: bool) -> bool {
        let line = self.lines.get_mut(&lpn).expect("it is in flight");
        self.in_flight.remove(&line.since);
        line.in_flight = false;
        let was_trimmed = std::mem::take(&mut line.trimmed);
        let again = line.again.take();
        if is_good || was_trimmed {
            match again {
                Some(number) => line.since = number,
                None => {
                    self.lines.remove(&lpn);
                    return is_good && !was_trimmed;
                }
            }
        }
        self.dirty.insert(line.since, lpn);
        is_good && !was_trimmed
    }
}
