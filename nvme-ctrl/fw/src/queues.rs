//! Which queues there are.

use nvme_spec::limits::IO_QUEUES_MAX;

const QUEUES: usize = IO_QUEUES_MAX as usize + 1;

/// A submission queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubmissionQueue {
    pub(crate) cqid: u8,
    /// Command identifier of the command that deletes it, while that waits for commands in flight.
    pub(crate) deleted_by: Option<u16>,
}

/// The queues that the host has created. Queue 0 is there as long as the controller is enabled.
pub(crate) struct Queues {
    submission: [Option<SubmissionQueue>; QUEUES],
    completion: [bool; QUEUES],
}

impl Queues {
    pub(crate) const fn new() -> Self {
        Self { submission: [None; QUEUES], completion: [false; QUEUES] }
    }

    pub(crate) fn sq(&self, qid: u8) -> Option<SubmissionQueue> {
        self.submission[usize::from(qid)]
    }

    pub(crate) fn sq_mut(&mut self, qid: u8) -> &mut Option<SubmissionQueue> {
        &mut self.submission[usize::from(qid)]
    }

    pub(crate) fn has_cq(&self, qid: u8) -> bool {
        self.completion[usize::from(qid)]
    }

    pub(crate) fn set_cq(&mut self, qid: u8, exists: bool) {
        self.completion[usize::from(qid)] = exists;
    }

    /// Whether a submission queue completes to this completion queue.
    pub(crate) fn cq_is_used(&self, qid: u8) -> bool {
        self.submission.iter().flatten().any(|sq| sq.cqid == qid)
    }

    /// Whether an I/O queue exists.
    pub(crate) fn has_io_queue(&self) -> bool {
        self.submission[1..].iter().any(Option::is_some) || self.completion[1..].contains(&true)
    }

    /// The I/O submission queues.
    pub(crate) fn io_sqs(&self) -> impl Iterator<Item = (u8, SubmissionQueue)> + '_ {
        let numbered = self.submission.iter().enumerate().skip(1);
        numbered.filter_map(|(qid, sq)| sq.map(|sq| (qid as u8, sq)))
    }
}
