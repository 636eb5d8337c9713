//! Create I/O Completion Queue. NVMe Base, "Create I/O Completion Queue command".

use nvme_spec::Status;
use soc_hal::Mmio;

use super::queue::Kind;
use super::Answer;
use crate::port::{CreateCq, QueueCommand};
use crate::queues::Owner;
use crate::request::Request;
use crate::Firmware;

/// Interrupts Enabled.
const INTERRUPTS_ENABLED: u32 = 1 << 1;

impl<M: Mmio> Firmware<M> {
    pub(super) fn create_io_cq(&mut self, request: &Request) -> Result<Answer, Status> {
        let parameters = self.queue_parameters(request, Kind::Completion)?;
        let vector = (request.cdw(11) >> 16) as u16;
        let interrupts_enabled = request.cdw(11) & INTERRUPTS_ENABLED != 0;
        let is_there = vector < self.hardware.vectors;
        // Without interrupts the vector has no meaning.
        if interrupts_enabled && !is_there {
            return Err(Status::INVALID_INTERRUPT_VECTOR);
        }
        let create = CreateCq {
            base: parameters.base,
            entries: parameters.entries,
            vector: if is_there { vector as u8 } else { 0 },
            interrupts_enabled,
        };
        let owner = Owner { function: request.function, qid: parameters.qid };
        self.change_queue(parameters.slot, owner, QueueCommand::CreateCq(create))?;
        self.cq_slots.set(parameters.slot, Some(owner));
        self.of(request.function).queues.set_cq(parameters.qid, Some(parameters.slot));
        Ok(Answer::Done(0))
    }
}
