//! Create I/O Completion Queue. NVMe Base, "Create I/O Completion Queue command".

use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;

use super::queue::Kind;
use super::Answer;
use crate::port::{CreateCq, QueueCommand};
use crate::Firmware;

/// Interrupts Enabled.
const INTERRUPTS_ENABLED: u32 = 1 << 1;

impl<M: Mmio> Firmware<M> {
    pub(super) fn create_io_cq(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        let parameters = self.queue_parameters(entry, Kind::Completion)?;
        let vector = (entry.cdw(11) >> 16) as u16;
        // There is a vector for every I/O queue pair and one for the admin queue.
        if vector > self.hardware.io_queues {
            return Err(Status::INVALID_INTERRUPT_VECTOR);
        }
        let create = CreateCq {
            base: parameters.base,
            entries: parameters.entries,
            vector: vector as u8,
            interrupts_enabled: entry.cdw(11) & INTERRUPTS_ENABLED != 0,
        };
        self.change_queue(parameters.qid, QueueCommand::CreateCq(create))?;
        self.life.queues.set_cq(parameters.qid, true);
        Ok(Answer::Done(0))
    }
}
