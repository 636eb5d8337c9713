//! Namespace Management. NVMe Base, "Namespace Management command".

use core::mem::size_of;

use nvme_spec::identify::{management, IdentifyNamespace, NMIC_SHARED};
use nvme_spec::limits::NSID_BROADCAST;
use nvme_spec::Status;
use soc_hal::Mmio;
use zerocopy::{FromZeros, IntoBytes};

use super::Answer;
use crate::erasure::Scope;
use crate::request::Request;
use crate::Firmware;

/// Bytes of the data that creation looks at: up to the LBA formats.
const USED_BYTES: usize = 384;

impl<M: Mmio> Firmware<M> {
    pub(super) fn namespace_management(&mut self, request: &Request) -> Result<Answer, Status> {
        // Command Set Identifier: the NVM command set.
        if request.cdw(11) >> 24 != 0 {
            return Err(Status::INVALID_FIELD);
        }
        match request.cdw(10) & 0xF {
            management::CREATE => self.fetch(request, size_of::<IdentifyNamespace>() as u32),
            management::DELETE => self.delete_namespaces(request),
            _ => Err(Status::INVALID_FIELD),
        }
    }

    /// The data of the command is in the data buffer: what the host wants of the namespace, which must not show what was there before it.
    pub(super) fn create_namespace(&mut self, request: &Request) -> Result<Answer, Status> {
        let mut wanted = IdentifyNamespace::new_zeroed();
        for (index, word) in (0..).zip(wanted.as_mut_bytes()[..USED_BYTES].chunks_exact_mut(4)) {
            word.copy_from_slice(&self.port.buffer_word(index).to_le_bytes());
        }
        let (size, capacity) = (wanted.nsze.get(), wanted.ncap.get());
        let lba_shift = self.lba_format(wanted.flbas & 0xF).ok_or(Status::INVALID_FORMAT)?;
        // No metadata at the end of a block, no protection information.
        if wanted.flbas >> 4 != 0 {
            return Err(Status::INVALID_FORMAT);
        }
        if wanted.dps != 0 || wanted.nmic & !NMIC_SHARED != 0 || size == 0 {
            return Err(Status::INVALID_FIELD);
        }
        if capacity != size {
            return Err(Status::THIN_PROVISIONING_NOT_SUPPORTED);
        }
        let nsid = self.namespaces.create(size, lba_shift, wanted.nmic & NMIC_SHARED != 0)?;
        self.write_namespace(nsid);
        if !self.hardware.can_erase {
            return Ok(Answer::Done(nsid));
        }
        self.begin_creation(request, nsid);
        Ok(Answer::Held)
    }

    /// One namespace, or all of them. The command is done when nobody uses them any more: there may be another namespace in their place then.
    fn delete_namespaces(&mut self, request: &Request) -> Result<Answer, Status> {
        let nsid = request.nsid();
        if nsid == NSID_BROADCAST {
            for nsid in 1..=self.namespaces.highest() {
                if self.namespaces.get(nsid).is_some() {
                    self.delete_namespace(request.function, nsid);
                }
            }
            self.begin_erasure(request, 0, Scope::Namespaces);
            return Ok(Answer::Held);
        }
        self.namespaces.check_valid(nsid)?;
        let namespace = self.namespaces.get(nsid).ok_or(Status::INVALID_FIELD)?;
        if namespace.is_write_protected {
            return Err(Status::NAMESPACE_WRITE_PROTECTED);
        }
        self.delete_namespace(request.function, nsid);
        self.begin_erasure(request, 0, Scope::Namespaces);
        Ok(Answer::Held)
    }

    fn delete_namespace(&mut self, asked: u8, nsid: u32) {
        let attached = self.namespaces.get(nsid).map_or(0, |namespace| namespace.attached);
        self.namespaces.delete(nsid);
        self.write_namespace(nsid);
        self.namespace_changed(nsid, attached, asked);
    }
}
