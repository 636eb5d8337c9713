//! Submission and completion queues. NVMe Base, "Memory-based Transport Queue Model".

use nvme_spec::entry::SQ_ENTRY_LOG2_BYTES;

/// A submission queue: the host writes the tail, the controller the head.
pub(crate) struct SubmissionQueue {
    pub(crate) base: u64,
    pub(crate) entries: u32,
    pub(crate) head: u32,
    pub(crate) tail: u32,
    pub(crate) completion_queue: u16,
    /// QPRIO.
    pub(crate) priority: u8,
    /// Commands of the fast path that ended without error.
    pub(crate) fast_commands: u32,
}

impl SubmissionQueue {
    pub(crate) const fn new(base: u64, entries: u32, completion_queue: u16, priority: u8) -> Self {
        Self { base, entries, head: 0, tail: 0, completion_queue, priority, fast_commands: 0 }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// The host announces entries up to `tail`; false if that is no position in the queue.
    pub(crate) fn set_tail(&mut self, tail: u32) -> bool {
        let is_position = tail < self.entries;
        if is_position {
            self.tail = tail;
        }
        is_position
    }

    /// Entries that the host has announced and nobody has taken.
    pub(crate) const fn published(&self) -> u32 {
        (self.tail + self.entries - self.head) % self.entries
    }

    /// The address of an entry behind the head.
    pub(crate) fn head_address(&self, behind: u32) -> u64 {
        self.base + (u64::from((self.head + behind) % self.entries) << SQ_ENTRY_LOG2_BYTES)
    }

    /// Takes entries from the head on.
    pub(crate) fn take(&mut self, count: u32) {
        self.head = (self.head + count) % self.entries;
    }
}

/// A completion queue: the controller writes the tail, the host the head.
pub(crate) struct CompletionQueue {
    pub(crate) base: u64,
    pub(crate) entries: u32,
    pub(crate) head: u32,
    pub(crate) tail: u32,
    pub(crate) phase: bool,
    pub(crate) interrupts_enabled: bool,
    pub(crate) vector: u16,
    /// Commands that were fetched and whose completion has its place already.
    pub(crate) reserved: u32,
}

impl CompletionQueue {
    pub(crate) const fn new(base: u64, entries: u32, vector: u16, interrupts_enabled: bool) -> Self {
        Self { base, entries, head: 0, tail: 0, phase: true, interrupts_enabled, vector, reserved: 0 }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// The host has consumed the entries before `head`; false if that is no position between the old head and the tail.
    pub(crate) fn set_head(&mut self, head: u32) -> bool {
        let distance = |to: u32| (to + self.entries - self.head) % self.entries;
        let is_consumed = head < self.entries && distance(head) <= distance(self.tail);
        if is_consumed {
            self.head = head;
        }
        is_consumed
    }

    /// Entries that may be written or promised before the host frees some. One entry stays free: a full queue would look empty.
    pub(crate) const fn room(&self) -> u32 {
        let used = (self.tail + self.entries - self.head) % self.entries;
        self.entries - 1 - used - self.reserved
    }

    /// The address of the entry at the tail and its phase tag; the tail moves on.
    pub(crate) fn take_tail(&mut self, entry_bytes: u64) -> (u64, bool) {
        let address = self.base + u64::from(self.tail) * entry_bytes;
        let phase = self.phase;
        self.tail = (self.tail + 1) % self.entries;
        // "Phase Tag": inverted on each pass through the queue.
        self.phase ^= self.tail == 0;
        (address, phase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvme_spec::entry::queue_priority;

    #[test]
    fn the_phase_inverts_on_each_pass_and_one_entry_stays_free() {
        let mut queue = CompletionQueue::new(0x1000, 3, 0, true);
        assert_eq!(queue.room(), 2);
        let written: Vec<_> = (0..7).map(|_| queue.take_tail(16)).collect();
        let expected = [
            (0x1000, true),
            (0x1010, true),
            (0x1020, true),
            (0x1000, false),
            (0x1010, false),
            (0x1020, false),
            (0x1000, true),
        ];
        assert_eq!(written, expected);
    }

    #[test]
    fn reservations_take_room() {
        let mut queue = CompletionQueue::new(0, 4, 0, true);
        queue.reserved = 1;
        queue.take_tail(16);
        assert_eq!(queue.room(), 1);
        queue.head = 1;
        assert_eq!(queue.room(), 2);
    }

    #[test]
    fn the_head_wraps_at_the_size_of_the_queue() {
        let mut queue = SubmissionQueue::new(0x2000, 2, 1, queue_priority::URGENT);
        queue.tail = 1;
        assert!(!queue.is_empty());
        assert_eq!([0, 1].map(|behind| queue.head_address(behind)), [0x2000, 0x2040]);
        queue.take(1);
        assert!(queue.is_empty());
        assert_eq!([0, 1].map(|behind| queue.head_address(behind)), [0x2040, 0x2000]);
        queue.take(1);
        assert_eq!(queue.head, 0);
    }
}
