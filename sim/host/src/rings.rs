//! The host's side of the queues. Positions count entries from the creation of the queue and never wrap; slots are positions modulo the size.

use std::collections::BTreeMap;
use std::ops::Range;

use nvme_spec::entry::{CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};

/// Bytes of a completion queue entry.
pub(crate) const CQ_ENTRY_BYTES: u64 = 1 << CQ_ENTRY_LOG2_BYTES;

/// Bytes of a submission queue entry.
pub(crate) const SQ_ENTRY_BYTES: u64 = 1 << SQ_ENTRY_LOG2_BYTES;

/// A command in flight.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// When the doorbell announced it.
    pub(crate) announced_at: u64,
    /// When its completion entry was written, once it was.
    pub(crate) completed_at: Option<u64>,
    /// Where the device may write for it.
    pub(crate) writable: Vec<Range<u64>>,
}

/// A submission queue.
pub(crate) struct SubmissionRing {
    pub(crate) base: u64,
    pub(crate) entries: u64,
    pub(crate) completion_queue: u16,
    /// Entries put into the queue.
    pub(crate) tail: u64,
    /// Entries announced by the doorbell.
    pub(crate) announced: u64,
    /// Entries known to be fetched.
    pub(crate) head: u64,
    pub(crate) next_cid: u16,
    /// By command id and position: a host that uses an id twice at once is a test case.
    pub(crate) commands: BTreeMap<(u16, u64), Command>,
}

impl SubmissionRing {
    pub(crate) fn new(base: u64, entries: u64, completion_queue: u16) -> Self {
        Self { base, entries, completion_queue, tail: 0, announced: 0, head: 0, next_cid: 0, commands: BTreeMap::new() }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.tail - self.head == self.entries - 1
    }

    pub(crate) const fn memory(&self) -> Range<u64> {
        self.base..self.base + self.entries * SQ_ENTRY_BYTES
    }

    /// The oldest command in flight with this id.
    pub(crate) fn find(&self, cid: u16) -> Option<(u16, u64)> {
        let mut found = self.commands.range((cid, 0)..=(cid, u64::MAX));
        found.next().map(|(key, _)| *key)
    }

    /// An id that no command in flight has.
    pub(crate) fn free_cid(&mut self) -> u16 {
        loop {
            let cid = self.next_cid;
            // 0xFFFF is not used: NVMe Base, "Command Identifier": it should not be, as logs use it for 'no command'.
            self.next_cid = if cid == 0xFFFE { 0 } else { cid + 1 };
            if self.find(cid).is_none() {
                return cid;
            }
        }
    }

    /// The position that a slot number in a completion entry stands for: the first one not before the known head.
    pub(crate) const fn position_of_head(&self, sqhd: u64) -> u64 {
        let known = self.head % self.entries;
        self.head + (sqhd + self.entries - known) % self.entries
    }
}

/// A completion queue.
pub(crate) struct CompletionRing {
    pub(crate) base: u64,
    pub(crate) entries: u64,
    pub(crate) vector: Option<u16>,
    /// Entries seen in the access log.
    pub(crate) tail: u64,
    /// Entries consumed.
    pub(crate) head: u64,
    /// Entries given back by the doorbell.
    pub(crate) released: u64,
    /// A write into it has failed: what it holds is no longer known.
    pub(crate) is_broken: bool,
}

impl CompletionRing {
    pub(crate) const fn new(base: u64, entries: u64, vector: Option<u16>) -> Self {
        Self { base, entries, vector, tail: 0, head: 0, released: 0, is_broken: false }
    }

    /// The phase tag of the entry at `position`: one on the first pass, then inverted on each.
    pub(crate) const fn phase(&self, position: u64) -> bool {
        (position / self.entries).is_multiple_of(2)
    }

    pub(crate) const fn address(&self, position: u64) -> u64 {
        self.base + position % self.entries * CQ_ENTRY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_the_first_position_not_before_the_known_one() {
        let mut ring = SubmissionRing::new(0, 4, 0);
        ring.head = 6;
        assert_eq!(ring.position_of_head(2), 6);
        assert_eq!(ring.position_of_head(3), 7);
        assert_eq!(ring.position_of_head(1), 9);
    }

    #[test]
    fn ids_in_flight_are_not_given_out() {
        let mut ring = SubmissionRing::new(0, 4, 0);
        let command = Command { announced_at: 0, completed_at: None, writable: Vec::new() };
        ring.commands.insert((1, 0), command);
        ring.next_cid = 0xFFFE;
        let given: Vec<u16> = (0..3).map(|_| ring.free_cid()).collect();
        assert_eq!(given, [0xFFFE, 0, 2]);
    }

    #[test]
    fn phases_alternate_per_pass() {
        let ring = CompletionRing::new(0x100, 2, None);
        let phases: Vec<bool> = (0..5).map(|p| ring.phase(p)).collect();
        assert_eq!(phases, [true, true, false, false, true]);
        assert_eq!(ring.address(3), 0x110);
    }
}
