//! Delete I/O Submission Queue. NVMe Base, "Delete I/O Submission Queue command".

use nvme_spec::limits::IO_QUEUES_MAX;
use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;

use super::queue::queue_id;
use super::Answer;
use crate::port::QueueCommand;
use crate::queues::Deletion;
use crate::Firmware;

impl<M: Mmio> Firmware<M> {
    /// Stops the queue; its commands in flight end before it is gone and this command is completed: see `inbox`.
    pub(super) fn delete_io_sq(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        let qid = queue_id(entry.cdw(10) & 0xFFFF, u32::from(IO_QUEUES_MAX))?;
        let sq = self.life.queues.sq(qid);
        let Some(sq) = sq.filter(|sq| sq.deletion.is_none()) else {
            return Err(Status::INVALID_QUEUE_ID);
        };
        self.change_queue(qid, QueueCommand::StopSq)?;
        let deletion = Some(Deletion { cid: entry.cid.get(), inbox_left: None });
        *self.life.queues.sq_mut(qid) = Some(crate::queues::SubmissionQueue { deletion, ..sq });
        Ok(Answer::Held)
    }
}
