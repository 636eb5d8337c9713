//! Admin commands: one file each. What they cannot execute is an `Err`, which is the completion that the host gets.

mod abort;
mod async_event_request;
mod create_io_cq;
mod create_io_sq;
mod delete_io_cq;
mod delete_io_sq;
mod features;
mod firmware;
mod format;
mod get_features;
mod get_log_page;
mod identify;
mod keep_alive;
mod namespace_attachment;
mod namespace_management;
mod queue;
mod sanitize;
mod set_features;

use nvme_spec::entry::prp::PRP1_ALIGNMENT;
use nvme_spec::limits::BUFFER_BYTES;
use nvme_spec::opcode::{admin as opcode, io};
use nvme_spec::Status;
use soc_hal::Mmio;

use crate::request::Request;
use crate::transfer::Then;
use crate::Firmware;

/// How a command goes on when nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done; dword 0 of its completion.
    Done(u32),
    /// It is kept, and completed by something else: a transfer, an event, an abort.
    Held,
}

impl<M: Mmio> Firmware<M> {
    pub(crate) fn execute_admin(&mut self, request: &Request) -> Result<Answer, Status> {
        let entry = &request.entry;
        let execute = match entry.opcode {
            opcode::DELETE_IO_SQ => Self::delete_io_sq,
            opcode::CREATE_IO_SQ => Self::create_io_sq,
            opcode::GET_LOG_PAGE => Self::get_log_page,
            opcode::DELETE_IO_CQ => Self::delete_io_cq,
            opcode::CREATE_IO_CQ => Self::create_io_cq,
            opcode::IDENTIFY => Self::identify,
            opcode::ABORT => Self::abort,
            opcode::SET_FEATURES => Self::set_features,
            opcode::GET_FEATURES => Self::get_features,
            opcode::ASYNC_EVENT_REQUEST => Self::async_event_request,
            opcode::KEEP_ALIVE => Self::keep_alive_command,
            opcode::FIRMWARE_COMMIT => Self::firmware_commit,
            opcode::FIRMWARE_IMAGE_DOWNLOAD => Self::firmware_image_download,
            opcode::FORMAT_NVM => Self::format_nvm,
            opcode::NAMESPACE_MANAGEMENT if self.namespaces.is_managed => Self::namespace_management,
            opcode::NAMESPACE_ATTACHMENT if self.namespaces.is_managed => Self::namespace_attachment,
            opcode::SANITIZE if self.hardware.can_erase => Self::sanitize_command,
            _ => return Err(Status::INVALID_OPCODE),
        };
        // Admin commands are never fused, and over PCIe they use PRPs. NVMe Base, "Common Command Format".
        if entry.fuse() != 0 || entry.psdt() != 0 {
            return Err(Status::INVALID_FIELD);
        }
        if !nvme_spec::sanitize::is_allowed(entry.opcode) && entry.opcode != opcode::SANITIZE {
            self.sanitize.check()?;
        }
        execute(self, request)
    }

    /// Whether the controller has an admin command.
    fn has_admin_command(&self, code: u8) -> bool {
        match code {
            opcode::NAMESPACE_MANAGEMENT | opcode::NAMESPACE_ATTACHMENT => self.namespaces.is_managed,
            opcode::SANITIZE => self.hardware.can_erase,
            _ => opcode::ALL.iter().any(|(known, _)| *known == code),
        }
    }

    /// Whether the controller has an I/O command that is known.
    fn has_io_command(&self, code: u8) -> bool {
        match code {
            io::DATASET_MANAGEMENT => self.hardware.can_erase,
            io::COPY => self.hardware.can_copy,
            _ => true,
        }
    }

    /// Goes on with an admin command whose data is in the data buffer.
    pub(crate) fn execute_with_data(&mut self, request: &Request) -> Result<Answer, Status> {
        let result = match request.entry.opcode {
            opcode::NAMESPACE_MANAGEMENT => return self.create_namespace(request),
            opcode::SET_FEATURES => self.set_feature_with_data(request)?,
            opcode::NAMESPACE_ATTACHMENT => self.attach_namespace(request)?,
            opcode::FIRMWARE_IMAGE_DOWNLOAD => self.add_image_part(request)?,
            _ => return Err(Status::INTERNAL_ERROR),
        };
        Ok(Answer::Done(result))
    }

    /// Sends data that fills the buffer or a part of it.
    fn send(&mut self, request: &Request, data: &[u8]) -> Result<Answer, Status> {
        self.send_part(request, data, data.len() as u32, None)
    }

    /// As [`Self::send`], for a command whose PRPs describe `described` bytes, and which acknowledges the events of a log page.
    fn send_part(
        &mut self,
        request: &Request,
        data: &[u8],
        described: u32,
        acknowledges: Option<u8>,
    ) -> Result<Answer, Status> {
        assert!(data.len() <= BUFFER_BYTES as usize, "data fits the buffer");
        check_prp1(request)?;
        self.port.write_buffer(data);
        self.begin_transfer(request, data.len() as u32, described, Then::Complete { result: 0, acknowledges });
        Ok(Answer::Held)
    }

    /// Fetches the data of a command, which goes on by [`Self::execute_with_data`].
    fn fetch(&mut self, request: &Request, bytes: u32) -> Result<Answer, Status> {
        assert!(bytes <= BUFFER_BYTES, "data fits the buffer");
        check_prp1(request)?;
        self.begin_fetch(request, bytes, Then::Execute);
        Ok(Answer::Held)
    }
}

fn check_prp1(request: &Request) -> Result<(), Status> {
    if request.entry.prp[0].get() % PRP1_ALIGNMENT != 0 {
        return Err(Status::INVALID_PRP_OFFSET);
    }
    Ok(())
}
