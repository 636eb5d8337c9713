//! Creation and deletion of I/O queues. NVMe Base, "Create I/O Completion Queue command" and its neighbours.

use nvme_spec::entry::queue_priority;
use nvme_spec::limits::QUEUE_ENTRIES_MIN;
use nvme_spec::{SqEntry, Status, ZeroBased};

use crate::controller::Controller;
use crate::prp::PAGE_BYTES;
use crate::queues::{CompletionQueue, SubmissionQueue};

/// Command dword 11, bit 0: PC, Physically Contiguous.
const PHYSICALLY_CONTIGUOUS: u32 = 1;

/// Command dword 11, bit 1 of Create I/O Completion Queue: IEN, Interrupts Enabled.
const INTERRUPTS_ENABLED: u32 = 1 << 1;

/// What both Create commands ask for.
struct NewQueue {
    id: u16,
    base: u64,
    entries: u32,
}

impl Controller {
    pub(super) fn create_io_cq(&mut self, entry: &SqEntry) -> Result<u32, Status> {
        let granted = self.admin.features.granted_completion_queues(&self.config);
        let id = entry.cdw(10) as u16;
        check_id(id, granted)?;
        if self.completion[usize::from(id)].is_some() {
            return Err(Status::INVALID_QUEUE_ID);
        }
        let queue = self.new_queue(entry)?;
        let vector = (entry.cdw(11) >> 16) as u16;
        let interrupts_enabled = entry.cdw(11) & INTERRUPTS_ENABLED != 0;
        // One vector per possible queue, the admin queue's included. Without interrupts the vector has no meaning.
        if interrupts_enabled && vector > self.config.io_queues {
            return Err(Status::INVALID_INTERRUPT_VECTOR);
        }
        let vector = if interrupts_enabled { vector } else { 0 };
        let created = CompletionQueue::new(queue.base, queue.entries, vector, interrupts_enabled);
        self.completion[usize::from(queue.id)] = Some(created);
        Ok(0)
    }

    pub(super) fn create_io_sq(&mut self, entry: &SqEntry) -> Result<u32, Status> {
        let granted = self.admin.features.granted_submission_queues(&self.config);
        let id = entry.cdw(10) as u16;
        check_id(id, granted)?;
        if self.submission[usize::from(id)].is_some() {
            return Err(Status::INVALID_QUEUE_ID);
        }
        let queue = self.new_queue(entry)?;
        let completion = (entry.cdw(11) >> 16) as u16;
        let granted = self.admin.features.granted_completion_queues(&self.config);
        check_id(completion, granted)?;
        if self.completion[usize::from(completion)].is_none() {
            return Err(Status::INVALID_COMPLETION_QUEUE);
        }
        let priority = queue_priority::of(entry.cdw(11));
        let created = SubmissionQueue::new(queue.base, queue.entries, completion, priority);
        self.submission[usize::from(queue.id)] = Some(created);
        Ok(0)
    }

    fn new_queue(&self, entry: &SqEntry) -> Result<NewQueue, Status> {
        let entries = ZeroBased::from_raw((entry.cdw(10) >> 16) as u16).count();
        if entries < QUEUE_ENTRIES_MIN || entries > self.config.queue_entries_max {
            return Err(Status::INVALID_QUEUE_SIZE);
        }
        // CAP.CQR is 1.
        if entry.cdw(11) & PHYSICALLY_CONTIGUOUS == 0 {
            return Err(Status::INVALID_FIELD);
        }
        let base = entry.prp[0].get();
        if !base.is_multiple_of(PAGE_BYTES) {
            return Err(Status::INVALID_PRP_OFFSET);
        }
        Ok(NewQueue { id: entry.cdw(10) as u16, base, entries })
    }

    pub(super) fn delete_io_sq(&mut self, entry: &SqEntry) -> Result<u32, Status> {
        let id = entry.cdw(10) as u16;
        let exists = self.submission.get(usize::from(id)).is_some_and(Option::is_some);
        if id == 0 || !exists {
            return Err(Status::INVALID_QUEUE_ID);
        }
        self.remove_submission_queue(id);
        Ok(0)
    }

    pub(super) fn delete_io_cq(&mut self, entry: &SqEntry) -> Result<u32, Status> {
        let id = entry.cdw(10) as u16;
        let exists = self.completion.get(usize::from(id)).is_some_and(Option::is_some);
        if id == 0 || !exists {
            return Err(Status::INVALID_QUEUE_ID);
        }
        let mut submission = self.submission.iter().flatten();
        if submission.any(|s| s.completion_queue == id) {
            return Err(Status::INVALID_QUEUE_DELETION);
        }
        self.remove_completion_queue(id);
        Ok(0)
    }

    pub(super) fn has_io_queues(&self) -> bool {
        let completion = self.completion.iter().skip(1).any(Option::is_some);
        let submission = self.submission.iter().skip(1).any(Option::is_some);
        completion || submission
    }
}

fn check_id(id: u16, granted: u16) -> Result<(), Status> {
    if id == 0 || id > granted {
        return Err(Status::INVALID_QUEUE_ID);
    }
    Ok(())
}
