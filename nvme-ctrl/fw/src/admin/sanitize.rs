//! Sanitize. NVMe Base, "Sanitize command".

use nvme_spec::sanitize::action;
use nvme_spec::Status;
use soc_hal::Mmio;

use super::Answer;
use crate::request::Request;
use crate::Firmware;

impl<M: Mmio> Firmware<M> {
    /// Starts an operation, which goes on after the command's completion.
    pub(super) fn sanitize_command(&mut self, request: &Request) -> Result<Answer, Status> {
        if self.sanitize.is_going_on() {
            return Err(Status::SANITIZE_IN_PROGRESS);
        }
        match request.cdw(10) & 7 {
            action::EXIT_FAILURE_MODE => self.exit_failure_mode()?,
            action::BLOCK_ERASE => {
                if self.slots.has_pending() {
                    return Err(Status::ACTIVATION_REQUIRES_RESET);
                }
                if self.namespaces.allocated().any(|(_, namespace)| namespace.is_write_protected) {
                    return Err(Status::NAMESPACE_WRITE_PROTECTED);
                }
                self.start_sanitize(request.cdw(10));
            }
            _ => return Err(Status::INVALID_FIELD),
        }
        Ok(Answer::Done(0))
    }
}
