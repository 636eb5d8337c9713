//! Abort. NVMe Base, "Abort command".

use nvme_spec::Status;
use soc_hal::Mmio;

use super::Answer;
use crate::life::Abort;
use crate::request::Request;
use crate::Firmware;

impl<M: Mmio> Firmware<M> {
    /// Keeps the command until the inbox was looked at, so that the host sees the limit on commands that it submits at once.
    pub(super) fn abort(&mut self, request: &Request) -> Result<Answer, Status> {
        let aborts = &mut self.of(request.function).aborts;
        if aborts.room() == 0 {
            return Err(Status::ABORT_LIMIT_EXCEEDED);
        }
        let [sqid, cid] = [request.cdw(10) as u16, (request.cdw(10) >> 16) as u16];
        aborts.push(Abort { place: request.place, sqid, cid });
        Ok(Answer::Held)
    }
}
