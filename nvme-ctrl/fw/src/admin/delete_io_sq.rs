//! Delete I/O Submission Queue. NVMe Base, "Delete I/O Submission Queue command".

use nvme_spec::limits::IO_QUEUES_MAX;
use nvme_spec::{FatalCode, SqEntry, Status};
use soc_hal::Mmio;

use super::queue::queue_id;
use super::Answer;
use crate::port::{CommandId, QueueCommand};
use crate::queues::SubmissionQueue;
use crate::{Firmware, ROOM_FOR_COMMAND};

impl<M: Mmio> Firmware<M> {
    /// Stops the queue; [`Self::poll_deletions`] does the rest.
    pub(super) fn delete_io_sq(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        let qid = queue_id(entry.cdw(10) & 0xFFFF, u32::from(IO_QUEUES_MAX))?;
        let sq = self.life.queues.sq(qid);
        let Some(sq) = sq.filter(|sq| sq.deleted_by.is_none()) else {
            return Err(Status::INVALID_QUEUE_ID);
        };
        self.change_queue(qid, QueueCommand::StopSq)?;
        let deleted_by = Some(entry.cid.get());
        *self.life.queues.sq_mut(qid) = Some(SubmissionQueue { deleted_by, ..sq });
        Ok(Answer::Held)
    }

    /// Goes on with Delete I/O Submission Queue commands. The queue is stopped, so that what is in flight, and what the inbox has of it, ends.
    pub(crate) fn poll_deletions(&mut self) {
        for qid in 1..=u8::MAX {
            let Some(cid) = self.life.queues.sq(qid).and_then(|sq| sq.deleted_by) else {
                continue;
            };
            if self.port.in_flight(qid) != 0 {
                continue;
            }
            // The commands that wait for room go with their queue. What commands from the inbox count on stays free.
            self.life.completions.drop_queue(qid);
            if self.life.completions.room() < ROOM_FOR_COMMAND {
                continue;
            }
            *self.life.queues.sq_mut(qid) = None;
            if self.port.queue_command(qid, QueueCommand::DeleteSq).is_err() {
                return self.fail(FatalCode::QueueCommandStuck);
            }
            self.complete(CommandId { sqid: 0, cid }, 0);
        }
    }
}
