//! Delete I/O Completion Queue. NVMe Base, "Delete I/O Completion Queue command".

use nvme_spec::limits::IO_QUEUES_MAX;
use nvme_spec::Status;
use soc_hal::Mmio;

use super::queue::queue_id;
use super::Answer;
use crate::port::QueueCommand;
use crate::queues::Owner;
use crate::request::Request;
use crate::Firmware;

impl<M: Mmio> Firmware<M> {
    pub(super) fn delete_io_cq(&mut self, request: &Request) -> Result<Answer, Status> {
        let qid = queue_id(request.cdw(10) & 0xFFFF, u32::from(IO_QUEUES_MAX))?;
        let queues = &self.of(request.function).queues;
        let slot = queues.cq(qid).ok_or(Status::INVALID_QUEUE_ID)?;
        if queues.cq_is_used(qid) {
            return Err(Status::INVALID_QUEUE_DELETION);
        }
        self.change_queue(slot, Owner { function: request.function, qid }, QueueCommand::DeleteCq)?;
        self.cq_slots.set(slot, None);
        self.of(request.function).queues.set_cq(qid, None);
        Ok(Answer::Done(0))
    }
}
