//! Abort. NVMe Base, "Abort command".

use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;

use super::Answer;
use crate::Firmware;

impl<M: Mmio> Firmware<M> {
    /// Keeps the command until the inbox was looked at, so that the host sees the limit on commands that it submits at once.
    pub(super) fn abort(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        if self.life.aborts.room() == 0 {
            return Err(Status::ABORT_LIMIT_EXCEEDED);
        }
        self.life.aborts.push(*entry);
        Ok(Answer::Held)
    }
}
