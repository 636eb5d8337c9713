//! What the host knows of the queues, and the rules that every access of the device is held against.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use nvme_spec::status::Retry;
use nvme_spec::{CqEntry, Status};
use sim_device::{AccessKind, AccessRecord, HostMemory, Message};

use crate::error::Violation;
use crate::rings::{Command, CompletionRing, SubmissionRing, CQ_ENTRY_BYTES, SQ_ENTRY_BYTES};

/// A completion that the host consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Submission queue of the command.
    pub queue: u16,
    /// Command id.
    pub cid: u16,
    /// Dword 0: the command's result.
    pub result: u32,
    /// How the command ended, with Do Not Retry and More.
    pub status: Status,
    /// SQHD.
    pub sqhd: u16,
    /// The clock in which the doorbell announced the command.
    pub announced_at: u64,
    /// The clock in which the completion entry was written.
    pub completed_at: u64,
}

impl Completion {
    /// Clocks from the doorbell to the completion entry in host memory.
    pub const fn latency(&self) -> u64 {
        self.completed_at - self.announced_at
    }
}

/// What the host wrote into one entry of the MSI-X table, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vector {
    pub(crate) address: u64,
    pub(crate) data: u32,
    /// Reasons to interrupt that no message has answered yet: entries, and head doorbells, because the device may have written more entries
    /// before it learns of a new head.
    reasons: u64,
    /// Messages not yet taken by the driver.
    pub(crate) messages: u64,
}

/// Memory that the device may write while `commands` commands are in flight.
struct Writable {
    end: u64,
    commands: u32,
}

/// The host's bookkeeping.
#[derive(Default)]
pub(crate) struct Monitor {
    pub(crate) submission: BTreeMap<u16, SubmissionRing>,
    pub(crate) completion: BTreeMap<u16, CompletionRing>,
    pub(crate) vectors: Vec<Vector>,
    /// The device has shown CSTS.RDY = 0 and has not been enabled since.
    pub(crate) disabled: bool,
    /// The host has done what has no defined answer: see [`judge_writes_only`](crate::Driver::judge_writes_only).
    pub(crate) is_lenient: bool,
    /// Memory that the device may write at any time.
    pub(crate) always_writable: Vec<Range<u64>>,
    writable: BTreeMap<u64, Writable>,
    /// Where writes outside of completion queues were answered with an error, since it was last asked.
    pub(crate) failed_writes: Vec<Range<u64>>,
    pub(crate) consumed: VecDeque<Completion>,
    /// The submission queue of each entry that was read, if anybody wants to know.
    pub(crate) fetches: Option<Vec<u16>>,
}

impl Monitor {
    /// Forgets all queues and commands, as a disabled controller does.
    pub(crate) fn forget(&mut self) {
        self.submission.clear();
        self.completion.clear();
        self.writable.clear();
        self.failed_writes.clear();
        for vector in &mut self.vectors {
            vector.reasons = 0;
            vector.messages = 0;
        }
    }

    // --- Commands --------------------------------------------------------------------------------------------------------------------

    /// A command was put into a queue.
    pub(crate) fn start(&mut self, queue: u16, cid: u16, writable: &[Range<u64>]) {
        for range in writable {
            let open = self.writable.entry(range.start).or_insert(Writable { end: range.end, commands: 0 });
            open.end = open.end.max(range.end);
            open.commands += 1;
        }
        let Some(ring) = self.submission.get_mut(&queue) else {
            return;
        };
        let command = Command { announced_at: 0, completed_at: None, writable: writable.to_vec() };
        ring.commands.insert((cid, ring.tail), command);
        ring.tail += 1;
    }

    /// The doorbell is about to be rung: the slot to write to it, or nothing if there is nothing new.
    pub(crate) fn announce(&mut self, queue: u16, now: u64) -> Option<u32> {
        let ring = self.submission.get_mut(&queue)?;
        if ring.announced == ring.tail {
            return None;
        }
        for ((_, position), command) in &mut ring.commands {
            if *position >= ring.announced {
                command.announced_at = now;
            }
        }
        ring.announced = ring.tail;
        Some((ring.tail % ring.entries) as u32)
    }

    fn close(&mut self, command: &Command) {
        for range in &command.writable {
            let Some(open) = self.writable.get_mut(&range.start) else {
                continue;
            };
            open.commands -= 1;
            if open.commands == 0 {
                self.writable.remove(&range.start);
            }
        }
    }

    /// A submission queue is gone, with what was in flight in it.
    pub(crate) fn remove_submission(&mut self, queue: u16) {
        if let Some(ring) = self.submission.remove(&queue) {
            let open = ring.commands.values().filter(|c| c.completed_at.is_none());
            for command in open {
                self.close(command);
            }
        }
    }

    /// Commands in flight in all queues.
    pub(crate) fn in_flight(&self) -> usize {
        self.submission.values().map(|r| r.commands.len()).sum()
    }

    // --- What the device did ---------------------------------------------------------------------------------------------------------

    /// Judges one access. Messages are judged by [`message`](Self::message), which knows their data.
    pub(crate) fn access(&mut self, record: &AccessRecord, host: &HostMemory) -> Result<(), Violation> {
        if self.disabled {
            return Err(Violation::AccessWhileDisabled {
                clock: record.clock,
                address: record.address,
                bytes: record.bytes,
            });
        }
        if record.kind != AccessKind::Write {
            self.fetched(record);
            return Ok(());
        }
        if self.is_lenient {
            return self.spares_submission_queues(record);
        }
        let queue = self.completion.iter().find_map(|(&id, ring)| {
            let ends = ring.base + ring.entries * CQ_ENTRY_BYTES;
            (ring.base..ends).contains(&record.address).then_some(id)
        });
        match queue {
            Some(queue) if record.failed => {
                // The entry is lost, and those after it are not where they are expected: the controller has to be reset.
                if let Some(ring) = self.completion.get_mut(&queue) {
                    ring.is_broken = true;
                }
                self.completion_entries(queue, record, host)
            }
            Some(queue) => self.completion_entries(queue, record, host),
            // A write that was answered with an error has changed nothing.
            None if record.failed => {
                self.failed_writes.push(record.address..record.address + u64::from(record.bytes));
                Ok(())
            }
            None => self.data(record),
        }
    }

    fn fetched(&mut self, record: &AccessRecord) {
        let Some(fetches) = &mut self.fetches else {
            return;
        };
        let queue = self.submission.iter().find(|(_, ring)| ring.memory().contains(&record.address));
        if let Some((queue, _)) = queue {
            fetches.extend(std::iter::repeat_n(*queue, (u64::from(record.bytes) / SQ_ENTRY_BYTES) as usize));
        }
    }

    fn spares_submission_queues(&self, record: &AccessRecord) -> Result<(), Violation> {
        if !record.failed && self.submission.values().any(|ring| record.touches(&ring.memory())) {
            let (clock, address, bytes) = (record.clock, record.address, record.bytes);
            return Err(Violation::StrayWrite { clock, address, bytes, hint: " (it is a submission queue)" });
        }
        Ok(())
    }

    fn data(&self, record: &AccessRecord) -> Result<(), Violation> {
        let end = record.address + u64::from(record.bytes);
        let mut at = record.address;
        while at < end {
            let open = self.writable.range(..=at).next_back();
            let in_buffer = open.map(|(_, o)| o.end).filter(|&e| e > at);
            let free = self.always_writable.iter().find(|r| r.contains(&at));
            let Some(covered) = in_buffer.max(free.map(|r| r.end)) else {
                return Err(Violation::StrayWrite {
                    clock: record.clock,
                    address: at,
                    bytes: record.bytes,
                    hint: " (data after its completion, or a wrong address)",
                });
            };
            at = covered;
        }
        Ok(())
    }

    /// One or more entries were written into a completion queue.
    fn completion_entries(&mut self, queue: u16, record: &AccessRecord, host: &HostMemory) -> Result<(), Violation> {
        let end = record.address + u64::from(record.bytes);
        let mut at = record.address;
        while at < end {
            let Some(ring) = self.completion.get_mut(&queue) else {
                return Ok(());
            };
            if ring.is_broken {
                // What is written is unknown, but each entry that was written is a reason to interrupt, also those that share a write.
                self.expect_message(queue);
                at += CQ_ENTRY_BYTES;
                continue;
            }
            let expected = ring.address(ring.tail);
            if at != expected || end - at < CQ_ENTRY_BYTES {
                return Err(Violation::NotAtTail { queue, address: at, bytes: record.bytes, expected });
            }
            if ring.tail - ring.released == ring.entries - 1 {
                return Err(Violation::Overrun { queue });
            }
            let entry: CqEntry = zerocopy::transmute!(host.load_array::<16>(at));
            if entry.phase() != ring.phase(ring.tail) {
                return Err(Violation::Phase { queue, slot: ring.tail % ring.entries });
            }
            ring.tail += 1;
            self.completed(queue, &entry, record.clock)?;
            self.expect_message(queue);
            at += CQ_ENTRY_BYTES;
        }
        Ok(())
    }

    /// A completion entry appeared: from now on the device leaves the command's buffer alone.
    fn completed(&mut self, queue: u16, entry: &CqEntry, clock: u64) -> Result<(), Violation> {
        let (sqid, cid) = (entry.sqid.get(), entry.cid.get());
        let not_outstanding = Violation::NotOutstanding { queue, sqid, cid };
        let Some(ring) = self.submission.get_mut(&sqid) else {
            return Err(not_outstanding);
        };
        if ring.completion_queue != queue {
            return Err(Violation::WrongQueue { queue, sqid });
        }
        let mut same_cid = ring.commands.range_mut((cid, 0)..=(cid, u64::MAX));
        let Some((_, command)) = same_cid.find(|(_, c)| c.completed_at.is_none()) else {
            return Err(not_outstanding);
        };
        command.completed_at = Some(clock);
        let command = command.clone();
        self.close(&command);
        Ok(())
    }

    /// Judges an interrupt message.
    pub(crate) fn message(&mut self, message: &Message) -> Result<(), Violation> {
        if self.disabled {
            return Err(Violation::AccessWhileDisabled { clock: message.clock, address: message.address, bytes: 4 });
        }
        let found =
            self.vectors.iter_mut().enumerate().find(|(_, v)| (v.address, v.data) == (message.address, message.data));
        let Some((number, vector)) = found else {
            if self.is_lenient {
                return Ok(());
            }
            return Err(Violation::UnknownMessage { address: message.address, data: message.data });
        };
        vector.messages += 1;
        if vector.reasons == 0 && self.is_lenient {
            return Ok(());
        }
        if vector.reasons == 0 {
            return Err(Violation::InterruptWithoutCompletion { vector: number as u16, clock: message.clock });
        }
        vector.reasons -= 1;
        Ok(())
    }

    /// There is a reason to interrupt for a completion queue: an entry; or a new head, because entries may be behind it.
    pub(crate) fn expect_message(&mut self, queue: u16) {
        if let Some(vector) = self.completion.get(&queue).and_then(|ring| ring.vector) {
            self.vectors[usize::from(vector)].reasons += 1;
        }
    }

    // --- What the host does ----------------------------------------------------------------------------------------------------------

    /// Consumes the next entry of a completion queue, if there is one. With `check_retry`, deterministic errors must say Do Not Retry.
    pub(crate) fn consume(&mut self, queue: u16, host: &HostMemory, check_retry: bool) -> Result<bool, Violation> {
        let Some(completion_ring) = self.completion.get_mut(&queue) else {
            return Ok(false);
        };
        if completion_ring.head == completion_ring.tail {
            return Ok(false);
        }
        let address = completion_ring.address(completion_ring.head);
        completion_ring.head += 1;
        if self.is_lenient {
            // It may have been overwritten: doorbells may have said anything.
            return Ok(true);
        }
        let entry: CqEntry = zerocopy::transmute!(host.load_array::<16>(address));
        let (sqid, cid, sqhd) = (entry.sqid.get(), entry.cid.get(), entry.sqhd.get());
        let not_outstanding = Violation::NotOutstanding { queue, sqid, cid };
        let Some(ring) = self.submission.get_mut(&sqid) else {
            // Its queue was deleted after the entry was written.
            return Ok(true);
        };
        let Some(key) = ring.find(cid) else {
            return Err(not_outstanding);
        };
        let slot = key.1;
        let head = ring.position_of_head(u64::from(sqhd));
        if u64::from(sqhd) >= ring.entries || head > ring.announced || slot >= head {
            return Err(Violation::Head { queue: sqid, sqhd, head: ring.head, tail: ring.announced, slot });
        }
        ring.head = head;
        let command = ring.commands.remove(&key).ok_or_else(|| not_outstanding.clone())?;
        let status = Status::from_raw(entry.status_field());
        if check_retry && lacks_do_not_retry(status) {
            return Err(Violation::Retry { cid, status });
        }
        self.consumed.push_back(Completion {
            queue: sqid,
            cid,
            result: entry.result.get(),
            status,
            sqhd,
            announced_at: command.announced_at,
            completed_at: command.completed_at.ok_or(not_outstanding)?,
        });
        Ok(true)
    }
}

/// Whether the same command would fail again, and the status does not say so. NVMe Base, "Status Field", "Do Not Retry".
fn lacks_do_not_retry(status: Status) -> bool {
    let deterministic = status.info().is_some_and(|info| info.retry == Retry::Never);
    deterministic && !status.do_not_retry()
}

#[cfg(test)]
mod tests;
