//! Asynchronous Event Request. NVMe Base, "Asynchronous Event Request command".

use nvme_spec::Status;
use soc_hal::Mmio;

use super::Answer;
use crate::request::Request;
use crate::Firmware;

impl<M: Mmio> Firmware<M> {
    /// Keeps the command until an event occurs, it is aborted or the controller is reset.
    pub(super) fn async_event_request(&mut self, request: &Request) -> Result<Answer, Status> {
        self.of(request.function).events.add_request(request.place)?;
        Ok(Answer::Held)
    }
}
