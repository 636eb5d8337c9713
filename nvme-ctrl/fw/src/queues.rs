//! Which queues there are, and in which slots of the hardware.

use nvme_spec::limits::IO_QUEUES_MAX;

use crate::commands::Place;
use crate::FUNCTIONS;

/// Queue identifiers of a function.
const QUEUES: usize = IO_QUEUES_MAX as usize + 1;

/// Slots of the hardware, of each kind of queue.
const SLOTS: usize = 256;

/// A submission queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubmissionQueue {
    pub(crate) slot: u8,
    pub(crate) cqid: u8,
    /// The command that deletes it, while that waits for commands in flight.
    pub(crate) deleted_by: Option<Place>,
}

/// The queues that the host of a function has created. Queue 0 is there as long as the function is enabled.
pub(crate) struct Queues {
    submission: [Option<SubmissionQueue>; QUEUES],
    /// The slot of each completion queue.
    completion: [Option<u8>; QUEUES],
}

impl Queues {
    pub(crate) const fn new() -> Self {
        Self { submission: [None; QUEUES], completion: [None; QUEUES] }
    }

    pub(crate) fn sq(&self, qid: u8) -> Option<SubmissionQueue> {
        self.submission[usize::from(qid)]
    }

    pub(crate) fn sq_mut(&mut self, qid: u8) -> &mut Option<SubmissionQueue> {
        &mut self.submission[usize::from(qid)]
    }

    /// The slot of a completion queue, if it exists.
    pub(crate) fn cq(&self, qid: u8) -> Option<u8> {
        self.completion[usize::from(qid)]
    }

    pub(crate) fn set_cq(&mut self, qid: u8, slot: Option<u8>) {
        self.completion[usize::from(qid)] = slot;
    }

    /// Whether a submission queue completes to this completion queue.
    pub(crate) fn cq_is_used(&self, qid: u8) -> bool {
        self.submission.iter().flatten().any(|sq| sq.cqid == qid)
    }

    /// Whether an I/O queue exists.
    pub(crate) fn has_io_queue(&self) -> bool {
        self.submission[1..].iter().any(Option::is_some) || self.completion[1..].iter().any(Option::is_some)
    }

    /// The I/O submission queues.
    pub(crate) fn io_sqs(&self) -> impl Iterator<Item = (u8, SubmissionQueue)> + '_ {
        let numbered = self.submission.iter().enumerate().skip(1);
        numbered.filter_map(|(qid, sq)| sq.map(|sq| (qid as u8, sq)))
    }
}

/// Whose queue is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) function: u8,
    pub(crate) qid: u8,
}

/// The slots of one kind of queue.
pub(crate) struct Slots {
    owners: [Option<Owner>; SLOTS],
}

impl Slots {
    pub(crate) const fn new() -> Self {
        Self { owners: [None; SLOTS] }
    }

    pub(crate) fn owner(&self, slot: u8) -> Option<Owner> {
        self.owners[usize::from(slot)]
    }

    pub(crate) fn set(&mut self, slot: u8, owner: Option<Owner>) {
        self.owners[usize::from(slot)] = owner;
    }

    /// A free slot for an I/O queue: of those from `functions` up to but not including `end`, the one with the number of the queue if possible.
    pub(crate) fn free_for(&self, qid: u8, functions: u8, end: u16) -> Option<u8> {
        let is_free = |slot: &u16| self.owners[usize::from(*slot)].is_none();
        let io = u16::from(functions)..end;
        let same = Some(u16::from(qid)).filter(|slot| io.contains(slot) && is_free(slot));
        same.or_else(|| io.clone().find(is_free)).map(|slot| slot as u8)
    }

    /// Forgets the queues of a function.
    pub(crate) fn drop_function(&mut self, function: u8) {
        for owner in &mut self.owners {
            *owner = owner.filter(|owner| owner.function != function);
        }
    }
}

const _: () = assert!(FUNCTIONS < SLOTS, "every function has an admin queue");
