//! Create I/O Submission Queue. NVMe Base, "Create I/O Submission Queue command".

use nvme_spec::entry::queue_priority;
use nvme_spec::Status;
use soc_hal::Mmio;

use super::queue::{queue_id, Kind};
use super::Answer;
use crate::port::{CreateSq, QueueCommand};
use crate::queues::{Owner, SubmissionQueue};
use crate::request::Request;
use crate::Firmware;

impl<M: Mmio> Firmware<M> {
    /// QPRIO is for the hardware, which ignores it under round robin.
    pub(super) fn create_io_sq(&mut self, request: &Request) -> Result<Answer, Status> {
        let parameters = self.queue_parameters(request, Kind::Submission)?;
        let creator = self.of(request.function);
        let cqid = queue_id(request.cdw(11) >> 16, creator.features.granted_cqs())?;
        let cq_slot = creator.queues.cq(cqid).ok_or(Status::INVALID_COMPLETION_QUEUE)?;
        let create = CreateSq {
            base: parameters.base,
            entries: parameters.entries,
            cq_slot,
            priority: queue_priority::of(request.cdw(11)),
        };
        let (slot, qid) = (parameters.slot, parameters.qid);
        let owner = Owner { function: request.function, qid };
        self.change_queue(slot, owner, QueueCommand::CreateSq(create))?;
        self.sq_slots.set(slot, Some(owner));
        *self.of(request.function).queues.sq_mut(qid) = Some(SubmissionQueue { slot, cqid, deleted_by: None });
        Ok(Answer::Done(0))
    }
}
