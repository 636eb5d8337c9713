//! Delete I/O Completion Queue. NVMe Base, "Delete I/O Completion Queue command".

use nvme_spec::limits::IO_QUEUES_MAX;
use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;

use super::queue::queue_id;
use super::Answer;
use crate::port::QueueCommand;
use crate::Firmware;

impl<M: Mmio> Firmware<M> {
    pub(super) fn delete_io_cq(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        let qid = queue_id(entry.cdw(10) & 0xFFFF, u32::from(IO_QUEUES_MAX))?;
        if !self.life.queues.has_cq(qid) {
            return Err(Status::INVALID_QUEUE_ID);
        }
        if self.life.queues.cq_is_used(qid) {
            return Err(Status::INVALID_QUEUE_DELETION);
        }
        self.change_queue(qid, QueueCommand::DeleteCq)?;
        self.life.queues.set_cq(qid, false);
        Ok(Answer::Done(0))
    }
}
