//! Delete I/O Submission Queue. NVMe Base, "Delete I/O Submission Queue command".

use nvme_spec::limits::IO_QUEUES_MAX;
use nvme_spec::{FatalCode, Status};
use soc_hal::Mmio;

use super::queue::queue_id;
use super::Answer;
use crate::port::QueueCommand;
use crate::queues::{Owner, SubmissionQueue};
use crate::request::Request;
use crate::Firmware;

/// Held commands of a deleted queue that are ended per poll.
const ENDS_PER_POLL: u32 = 64;

impl<M: Mmio> Firmware<M> {
    /// Stops the queue; [`Self::poll_deletions`] does the rest.
    pub(super) fn delete_io_sq(&mut self, request: &Request) -> Result<Answer, Status> {
        let qid = queue_id(request.cdw(10) & 0xFFFF, u32::from(IO_QUEUES_MAX))?;
        let sq = self.of(request.function).queues.sq(qid);
        let Some(sq) = sq.filter(|sq| sq.deleted_by.is_none()) else {
            return Err(Status::INVALID_QUEUE_ID);
        };
        self.change_queue(sq.slot, Owner { function: request.function, qid }, QueueCommand::StopSq)?;
        let deleted_by = Some(request.place);
        let deleting = self.of(request.function);
        *deleting.queues.sq_mut(qid) = Some(SubmissionQueue { deleted_by, ..sq });
        deleting.deletions += 1;
        Ok(Answer::Held)
    }

    /// Goes on with Delete I/O Submission Queue commands. The queues are stopped, so that what is in flight, and what the inbox has of them, ends.
    pub(crate) fn poll_deletions(&mut self) {
        for function in 0..self.functions.len() as u8 {
            if self.of(function).deletions == 0 {
                continue;
            }
            for qid in 1..=u8::MAX {
                if let Some(sq) = self.of(function).queues.sq(qid) {
                    self.poll_deletion(Owner { function, qid }, sq);
                }
            }
        }
    }

    fn poll_deletion(&mut self, owner: Owner, sq: SubmissionQueue) {
        let Some(place) = sq.deleted_by else {
            return;
        };
        let is_in_transfer = self.transfer.is_some_and(|transfer| transfer.request.slot == sq.slot);
        let is_moving = self.copies.is_moving_for(|request| request.slot == sq.slot);
        if is_in_transfer || is_moving || self.erasure.is_for_slot(sq.slot) || self.port.in_flight(sq.slot) != 0 {
            return;
        }
        self.end_active_copy(|request| request.slot == sq.slot, Status::ABORTED_SQ_DELETION);
        for _ in 0..ENDS_PER_POLL {
            let Some(held) = self.commands.held_of(sq.slot) else {
                break;
            };
            self.commands.end(held, 0, Status::ABORTED_SQ_DELETION);
        }
        // Completions go out as long as there is room for them. Those that find none go with their queue.
        if self.commands.held_of(sq.slot).is_some() || self.commands.posts_for(sq.slot) {
            return;
        }
        self.commands.drop_where(|command| command.slot == sq.slot);
        let deleting = self.of(owner.function);
        *deleting.queues.sq_mut(owner.qid) = None;
        deleting.deletions -= 1;
        self.sq_slots.set(sq.slot, None);
        if self.port.queue_command(sq.slot, owner, QueueCommand::DeleteSq).is_err() {
            return self.fail(owner.function, FatalCode::QueueCommandStuck);
        }
        self.complete(place, 0);
    }
}
