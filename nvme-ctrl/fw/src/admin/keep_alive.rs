//! Keep Alive. NVMe Base, "Keep Alive command".

use nvme_spec::Status;
use soc_hal::Mmio;

use super::Answer;
use crate::request::Request;
use crate::Firmware;

impl<M: Mmio> Firmware<M> {
    pub(super) fn keep_alive_command(&mut self, request: &Request) -> Result<Answer, Status> {
        self.restart_keep_alive(request.function);
        Ok(Answer::Done(0))
    }
}
