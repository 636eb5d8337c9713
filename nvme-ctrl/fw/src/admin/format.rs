//! Format NVM. NVMe Base, "Format NVM command".

use nvme_spec::limits::NSID_BROADCAST;
use nvme_spec::Status;
use soc_hal::Mmio;

use super::Answer;
use crate::erasure::Scope;
use crate::namespaces::Namespace;
use crate::request::Request;
use crate::Firmware;

/// What the host wants: dword 10.
struct Format {
    lba_shift: u8,
    erases: bool,
}

/// Values of Secure Erase Settings, dword 10 bits 11:9.
mod secure_erase {
    /// Nothing is said of how. That no data is returned which was there before holds all the same.
    pub(super) const NONE: u32 = 0;
    /// User Data Erase.
    pub(super) const USER_DATA: u32 = 1;
}

impl<M: Mmio> Firmware<M> {
    /// Gives blocks another size, and erases them if the hardware can: all read as zero afterwards. I/O commands for the namespace that are with the hardware
    /// are waited for; those that come until all has ended end with Format In Progress.
    pub(super) fn format_nvm(&mut self, request: &Request) -> Result<Answer, Status> {
        let format = self.decode_format(request.cdw(10))?;
        let nsid = request.nsid();
        if nsid == NSID_BROADCAST {
            let is_protected = |nsid| self.namespaces.get(nsid).is_some_and(|found| found.is_write_protected);
            if (1..=self.namespaces.highest()).any(is_protected) {
                return Err(Status::NAMESPACE_WRITE_PROTECTED);
            }
            for nsid in 1..=self.namespaces.highest() {
                self.format_namespace(request.function, nsid, &format);
            }
            return Ok(self.end_format(request));
        }
        self.namespaces.check_valid(nsid)?;
        let namespace = self.namespaces.attached(request.function, nsid).ok_or(Status::INVALID_FIELD)?;
        if namespace.is_write_protected {
            return Err(Status::NAMESPACE_WRITE_PROTECTED);
        }
        self.format_namespace(request.function, nsid, &format);
        Ok(self.end_format(request))
    }

    /// The command is done when nobody uses the namespaces as they were, and all is erased.
    fn end_format(&mut self, request: &Request) -> Answer {
        self.begin_erasure(request, 0, Scope::Namespaces);
        Answer::Held
    }

    fn decode_format(&self, cdw10: u32) -> Result<Format, Status> {
        let [format, metadata_at_end, protection, erase] =
            [cdw10 & 0xF, cdw10 >> 4 & 1, cdw10 >> 5 & 7, cdw10 >> 9 & 7];
        let erases = match erase {
            // "After the Format NVM command successfully completes, the controller shall not return any user data that was previously contained [there]."
            secure_erase::NONE => self.hardware.can_erase,
            secure_erase::USER_DATA if self.hardware.can_erase => true,
            _ => return Err(Status::INVALID_FIELD),
        };
        // LBAFU, the upper bits of the format: there are not so many.
        let lba_shift = self.lba_format(format as u8).filter(|_| cdw10 >> 12 & 3 == 0);
        match lba_shift {
            Some(lba_shift) if metadata_at_end == 0 && protection == 0 => Ok(Format { lba_shift, erases }),
            _ => Err(Status::INVALID_FORMAT),
        }
    }

    fn format_namespace(&mut self, asked: u8, nsid: u32, format: &Format) {
        let Some(namespace) = self.namespaces.get_mut(nsid) else {
            return;
        };
        let bytes = namespace.blocks << namespace.lba_shift;
        let blocks = bytes >> format.lba_shift;
        let attached = namespace.attached;
        *namespace = Namespace { blocks, lba_shift: format.lba_shift, ..*namespace };
        self.close_namespace(nsid);
        if format.erases {
            self.add_namespace_to_erasure(nsid);
        }
        self.namespace_changed(nsid, attached, asked);
    }
}
