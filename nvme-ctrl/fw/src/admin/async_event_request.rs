//! Asynchronous Event Request. NVMe Base, "Asynchronous Event Request command".

use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;

use super::Answer;
use crate::Firmware;

impl<M: Mmio> Firmware<M> {
    /// Keeps the command until an event occurs, it is aborted or the controller is reset.
    pub(super) fn async_event_request(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        self.life.events.add_request(entry.cid.get())?;
        Ok(Answer::Held)
    }
}
