//! Admin commands: one file each. What they cannot execute is an `Err`, which is the completion that the host gets.

mod abort;
mod async_event_request;
mod create_io_cq;
mod create_io_sq;
mod delete_io_cq;
mod delete_io_sq;
mod features;
mod get_features;
mod get_log_page;
mod identify;
mod queue;
mod set_features;

use nvme_spec::entry::prp::PRP1_ALIGNMENT;
use nvme_spec::limits::BUFFER_BYTES;
use nvme_spec::opcode::admin as opcode;
use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;

use crate::Firmware;

/// How an admin command goes on when nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done; dword 0 of its completion.
    Done(u32),
    /// Its data is in the data buffer and goes to the host.
    Send {
        /// From the start of the buffer.
        bytes: u32,
        /// What the command's PRPs describe: as much or more.
        described: u32,
        /// The type of events that are acknowledged when the data has arrived.
        acknowledges: Option<u8>,
    },
    /// It is kept, and completed by something else.
    Held,
}

impl<M: Mmio> Firmware<M> {
    pub(crate) fn execute_admin(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
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
            _ => return Err(Status::INVALID_OPCODE),
        };
        // Admin commands are never fused, and over PCIe they use PRPs. NVMe Base, "Common Command Format".
        if entry.fuse() != 0 || entry.psdt() != 0 {
            return Err(Status::INVALID_FIELD);
        }
        execute(self, entry)
    }

    /// Sends data that fills the buffer or a part of it.
    fn send(&mut self, entry: &SqEntry, data: &[u8]) -> Result<Answer, Status> {
        assert!(data.len() <= BUFFER_BYTES as usize, "data fits the buffer");
        if entry.prp[0].get() % PRP1_ALIGNMENT != 0 {
            return Err(Status::INVALID_PRP_OFFSET);
        }
        self.port.write_buffer(data);
        let bytes = data.len() as u32;
        Ok(Answer::Send { bytes, described: bytes, acknowledges: None })
    }
}
