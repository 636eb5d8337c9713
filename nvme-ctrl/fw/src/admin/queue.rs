//! What the commands that create I/O queues have in common. NVMe Base, "Create I/O Completion Queue command", "Create I/O Submission Queue command".

use nvme_spec::entry::{CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};
use nvme_spec::firmware_port as regs;
use nvme_spec::limits::PAGE_BYTES;
use nvme_spec::reg::Field;
use nvme_spec::regs::cc;
use nvme_spec::{FatalCode, Status, ZeroBased};
use soc_hal::Mmio;

use crate::port::QueueCommand;
use crate::queues::Owner;
use crate::request::Request;
use crate::Firmware;

/// Physically Contiguous.
const PHYSICALLY_CONTIGUOUS: u32 = 1;

/// Which kind of queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Submission,
    Completion,
}

/// The checked parameters that both kinds of queues have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueParameters {
    pub(super) qid: u8,
    /// A slot that is free for it.
    pub(super) slot: u8,
    pub(super) base: u64,
    pub(super) entries: u32,
}

/// An I/O queue identifier out of `1..=highest`.
pub(super) fn queue_id(qid: u32, highest: u32) -> Result<u8, Status> {
    match u8::try_from(qid) {
        Ok(id) if qid != 0 && qid <= highest => Ok(id),
        _ => Err(Status::INVALID_QUEUE_ID),
    }
}

impl<M: Mmio> Firmware<M> {
    /// Checks command dwords 10 and 11 and PRP Entry 1.
    pub(super) fn queue_parameters(&mut self, request: &Request, kind: Kind) -> Result<QueueParameters, Status> {
        let creator = self.of(request.function);
        let queues = &creator.queues;
        let highest = match kind {
            Kind::Submission => creator.features.granted_sqs(),
            Kind::Completion => creator.features.granted_cqs(),
        };
        let qid = queue_id(request.cdw(10) & 0xFFFF, highest)?;
        let exists = match kind {
            Kind::Submission => queues.sq(qid).is_some(),
            Kind::Completion => queues.cq(qid).is_some(),
        };
        if exists {
            return Err(Status::INVALID_QUEUE_ID);
        }
        let size = ZeroBased::from_raw((request.cdw(10) >> 16) as u16);
        let entries = size.count();
        if entries < nvme_spec::limits::QUEUE_ENTRIES_MIN
            || entries > self.hardware.queue_entries_max
            || !self.entry_size_is_selected(request.function, kind)
        {
            return Err(Status::INVALID_QUEUE_SIZE);
        }
        // CAP.CQR = 1: queues must be contiguous.
        if request.cdw(11) & PHYSICALLY_CONTIGUOUS == 0 {
            return Err(Status::INVALID_FIELD);
        }
        let base = request.entry.prp[0].get();
        if base % u64::from(PAGE_BYTES) != 0 {
            return Err(Status::INVALID_PRP_OFFSET);
        }
        let slots = match kind {
            Kind::Submission => &self.sq_slots,
            Kind::Completion => &self.cq_slots,
        };
        let functions = self.hardware.functions;
        let end = self.hardware.io_queues + u16::from(functions);
        let slot = slots.free_for(qid, functions, end).ok_or(Status::INVALID_QUEUE_ID)?;
        Ok(QueueParameters { qid, slot, base, entries })
    }

    /// Whether the host has selected the only entry size that there is. NVMe Base, "Offset 14h: CC": IOSQES, IOCQES.
    fn entry_size_is_selected(&mut self, function: u8, kind: Kind) -> bool {
        let (field, log2_bytes): (Field, u8) = match kind {
            Kind::Submission => (cc::IOSQES, SQ_ENTRY_LOG2_BYTES),
            Kind::Completion => (cc::IOCQES, CQ_ENTRY_LOG2_BYTES),
        };
        let configuration = self.port.read_of(&regs::CC, function);
        field.get32(configuration) == u32::from(log2_bytes)
    }

    /// Has the hardware change a queue.
    pub(super) fn change_queue(&mut self, slot: u8, owner: Owner, command: QueueCommand) -> Result<(), Status> {
        self.port.queue_command(slot, owner, command).map_err(|_| {
            self.fail(owner.function, FatalCode::QueueCommandStuck);
            Status::INTERNAL_ERROR
        })
    }
}
