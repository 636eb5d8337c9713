//! NVMe Base, "Firmware Image Download command" and "Firmware Commit command".

use nvme_spec::limits::BUFFER_BYTES;
use nvme_spec::{SqEntry, Status};

use crate::controller::Controller;
use crate::host::HostPort;

impl Controller {
    pub(super) fn firmware_image_download(&mut self, entry: &SqEntry, host: &mut dyn HostPort) -> Result<u32, Status> {
        let bytes = (u64::from(entry.cdw(10)) + 1) * 4;
        let offset = u64::from(entry.cdw(11)) * 4;
        // A part is no larger than what firmware can take at a time.
        if bytes > u64::from(BUFFER_BYTES) || offset > u64::from(u32::MAX) {
            return Err(Status::INVALID_FIELD);
        }
        self.subsystem.check_part(offset, bytes)?;
        let data = self.receive(entry, bytes, host)?;
        self.subsystem.add_part(self.function, offset, &data);
        Ok(0)
    }

    pub(super) fn firmware_commit(&mut self, entry: &SqEntry) -> Result<u32, Status> {
        let slot = (entry.cdw(10) & 7) as usize;
        // Commit Action.
        match entry.cdw(10) >> 3 & 7 {
            0 => {
                self.subsystem.store_image(slot)?;
            }
            1 => self.subsystem.next_slot = Some(self.subsystem.store_image(slot)?),
            2 => self.subsystem.next_slot = Some(self.subsystem.image_in(slot)?),
            3 => {
                let index = if self.subsystem.has_download() {
                    self.subsystem.store_image(slot)?
                } else {
                    self.subsystem.image_in(slot)?
                };
                self.subsystem.activate_image(index);
                self.subsystem.tell_of_activation();
            }
            _ => return Err(Status::INVALID_FIELD),
        }
        Ok(0)
    }
}
