//! Create I/O Submission Queue. NVMe Base, "Create I/O Submission Queue command".

use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;

use super::queue::{queue_id, Kind};
use super::Answer;
use crate::port::{CreateSq, QueueCommand};
use crate::queues::SubmissionQueue;
use crate::Firmware;

impl<M: Mmio> Firmware<M> {
    /// QPRIO is ignored: arbitration is round robin.
    pub(super) fn create_io_sq(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        let parameters = self.queue_parameters(entry, Kind::Submission)?;
        let cqid = queue_id(entry.cdw(11) >> 16, self.life.features.granted_cqs())?;
        if !self.life.queues.has_cq(cqid) {
            return Err(Status::INVALID_COMPLETION_QUEUE);
        }
        let create = CreateSq { base: parameters.base, entries: parameters.entries, cqid };
        self.change_queue(parameters.qid, QueueCommand::CreateSq(create))?;
        *self.life.queues.sq_mut(parameters.qid) = Some(SubmissionQueue { cqid, deleted_by: None });
        Ok(Answer::Done(0))
    }
}
