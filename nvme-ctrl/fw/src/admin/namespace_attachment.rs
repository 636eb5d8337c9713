//! Namespace Attachment. NVMe Base, "Namespace Attachment command".

use nvme_spec::identify::{management, IDENTIFY_BYTES};
use nvme_spec::Status;
use soc_hal::Mmio;

use super::Answer;
use crate::request::Request;
use crate::Firmware;

/// Identifiers that a list may have.
const IDENTIFIERS_MAX: u32 = 2047;

impl<M: Mmio> Firmware<M> {
    pub(super) fn namespace_attachment(&mut self, request: &Request) -> Result<Answer, Status> {
        if !matches!(request.cdw(10) & 0xF, management::ATTACH | management::DETACH) {
            return Err(Status::INVALID_FIELD);
        }
        self.named_namespace(request.nsid())?;
        self.fetch(request, IDENTIFY_BYTES)
    }

    /// The Controller List is in the data buffer.
    pub(super) fn attach_namespace(&mut self, request: &Request) -> Result<u32, Status> {
        let controllers = self.listed_controllers()?;
        let nsid = request.nsid();
        // It may have been deleted meanwhile.
        let namespace = *self.named_namespace(nsid)?;
        let attaches = request.cdw(10) & 0xF == management::ATTACH;
        let attached = if attaches {
            if namespace.attached & controllers != 0 {
                return Err(Status::NAMESPACE_ALREADY_ATTACHED);
            }
            let attached = namespace.attached | controllers;
            if !namespace.is_shared && attached.count_ones() > 1 {
                return Err(Status::NAMESPACE_IS_PRIVATE);
            }
            attached
        } else {
            if controllers & !namespace.attached != 0 {
                return Err(Status::NAMESPACE_NOT_ATTACHED);
            }
            namespace.attached & !controllers
        };
        if let Some(changed) = self.namespaces.get_mut(nsid) {
            changed.attached = attached;
        }
        self.write_namespace(nsid);
        self.namespace_changed(nsid, controllers, request.function);
        Ok(0)
    }

    /// A bit for each function in the list, which is in ascending order and names only functions that are there.
    fn listed_controllers(&mut self) -> Result<u8, Status> {
        let first = self.port.buffer_word(0);
        let count = first & 0xFFFF;
        if count == 0 || count > IDENTIFIERS_MAX {
            return Err(Status::CONTROLLER_LIST_INVALID);
        }
        let mut controllers = 0_u8;
        for position in 1..=count {
            let word = self.port.buffer_word(position / 2);
            let identifier = word >> (16 * (position % 2)) & 0xFFFF;
            let is_there = identifier < u32::from(self.function_count());
            // Each is above those before it.
            if !is_there || u32::from(controllers) >> identifier != 0 {
                return Err(Status::CONTROLLER_LIST_INVALID);
            }
            controllers |= 1 << identifier;
        }
        Ok(controllers)
    }
}
