//! Firmware Image Download and Firmware Commit. NVMe Base, "Firmware Image Download command" and "Firmware Commit command".

use nvme_spec::limits::BUFFER_BYTES;
use nvme_spec::Status;
use soc_hal::Mmio;

use super::Answer;
use crate::events::Event;
use crate::request::Request;
use crate::Firmware;

/// Values of Commit Action, dword 10 bits 5:3.
mod action {
    /// The downloaded image replaces that in the slot.
    pub(super) const STORE: u32 = 0;
    /// As STORE, and it runs after the next controller reset.
    pub(super) const STORE_AND_ACTIVATE_LATER: u32 = 1;
    /// The image in the slot runs after the next controller reset.
    pub(super) const ACTIVATE_LATER: u32 = 2;
    /// The image in the slot runs at once; one that was downloaded before replaces it first.
    pub(super) const ACTIVATE_NOW: u32 = 3;
}

impl<M: Mmio> Firmware<M> {
    /// A part is at most as large as the data buffer.
    pub(super) fn firmware_image_download(&mut self, request: &Request) -> Result<Answer, Status> {
        let dwords = u64::from(request.cdw(10)) + 1;
        let offset = u64::from(request.cdw(11)) * 4;
        if dwords * 4 > u64::from(BUFFER_BYTES) || offset > u64::from(u32::MAX) {
            return Err(Status::INVALID_FIELD);
        }
        let bytes = dwords as u32 * 4;
        self.slots.check_part(offset as u32, bytes)?;
        self.fetch(request, bytes)
    }

    /// The part is in the data buffer.
    pub(super) fn add_image_part(&mut self, request: &Request) -> Result<u32, Status> {
        let Self { port, slots, .. } = self;
        slots.add(request.function, request.cdw(11) * 4, (0..=request.cdw(10)).map(|index| port.buffer_word(index)));
        Ok(0)
    }

    pub(super) fn firmware_commit(&mut self, request: &Request) -> Result<Answer, Status> {
        let (slot, commit_action) = (request.cdw(10) & 7, request.cdw(10) >> 3 & 7);
        match commit_action {
            action::STORE => {
                self.slots.store(slot)?;
            }
            action::STORE_AND_ACTIVATE_LATER => {
                let index = self.slots.store(slot)?;
                self.slots.activate_later(index);
            }
            action::ACTIVATE_LATER => {
                let index = self.slots.existing(slot)?;
                self.slots.activate_later(index);
            }
            action::ACTIVATE_NOW => {
                let is_new = self.slots.has_download();
                let index = if is_new { self.slots.store(slot)? } else { self.slots.existing(slot)? };
                self.slots.activate(index);
                self.tell_of_activation();
            }
            // Boot partitions are not there, and the other values are reserved.
            _ => return Err(Status::INVALID_FIELD),
        }
        Ok(Answer::Done(0))
    }

    fn tell_of_activation(&mut self) {
        for function in 0..self.function_count() {
            let told = self.of(function);
            if told.features.wants_activation_notices() {
                told.events.raise(Event::FirmwareActivationStarting);
            }
        }
    }
}
