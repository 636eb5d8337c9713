//! Firmware images and their slots. NVMe Base, "Firmware Update Process"; the format of an image is in `nvme_spec::image`.
//!
//! Images come in order and are checked as they come; what is kept of an image is what its header says. Where the bytes are kept, and how the
//! processors start them, is a matter of the system around the controller.

use nvme_spec::identify::FIRMWARE_REVISION;
use nvme_spec::image::{Crc32, ImageHeader, HEADER_BYTES, IMAGE_BYTES_MAX, MAGIC};
use nvme_spec::limits::FIRMWARE_SLOTS;
use nvme_spec::{firmware_port, Status};
use zerocopy::FromBytes;

const SLOTS: usize = FIRMWARE_SLOTS as usize;

/// An image on its way.
struct Download {
    header: [u8; HEADER_BYTES as usize],
    received: u32,
    /// Of what is behind the header.
    crc: Crc32,
}

/// What the slots hold.
pub(crate) struct FirmwareSlots {
    /// The revision of the image in each slot.
    revisions: [Option<[u8; 8]>; SLOTS],
    /// The slot of the image that runs.
    active: usize,
    /// The slot of the image that runs after the next controller reset.
    pending: Option<usize>,
    /// The revision that runs.
    running: [u8; 8],
    download: Download,
}

impl FirmwareSlots {
    pub(crate) const fn new() -> Self {
        let mut revisions = [None; SLOTS];
        revisions[0] = Some(FIRMWARE_REVISION);
        let download = Download { header: [0; HEADER_BYTES as usize], received: 0, crc: Crc32::new() };
        Self { revisions, active: 0, pending: None, running: FIRMWARE_REVISION, download }
    }

    /// Identify Controller, FR.
    pub(crate) const fn running(&self) -> [u8; 8] {
        self.running
    }

    /// Firmware Slot Information, FRS: zeroes where nothing is.
    pub(crate) fn revision(&self, slot: usize) -> [u8; 8] {
        self.revisions.get(slot).copied().flatten().unwrap_or([0; 8])
    }

    /// Firmware Slot Information, AFI.
    pub(crate) fn active_info(&self) -> u8 {
        let number = |slot: usize| slot as u8 + 1;
        number(self.active) | self.pending.map_or(0, number) << 4
    }

    /// Takes a part of an image. It begins anew with offset 0, and is otherwise the part behind the last one.
    pub(crate) fn check_part(&mut self, offset: u32, bytes: u32) -> Result<(), Status> {
        if offset == 0 {
            self.drop_download();
        }
        if offset != self.download.received {
            return Err(Status::OVERLAPPING_RANGE);
        }
        match offset.checked_add(bytes) {
            Some(end) if end <= IMAGE_BYTES_MAX => Ok(()),
            _ => Err(Status::INVALID_FIELD),
        }
    }

    /// The words of the part.
    pub(crate) fn add(&mut self, words: impl Iterator<Item = u32>) {
        let download = &mut self.download;
        for byte in words.flat_map(u32::to_le_bytes) {
            match download.header.get_mut(download.received as usize) {
                Some(place) => *place = byte,
                None => download.crc.add(byte),
            }
            download.received += 1;
        }
    }

    /// Whether something was downloaded since the last image was stored.
    pub(crate) const fn has_download(&self) -> bool {
        self.download.received > 0
    }

    fn drop_download(&mut self) {
        self.download.received = 0;
        self.download.crc = Crc32::new();
    }

    /// The revision of the image that was downloaded, if it is an image for this hardware and complete.
    fn downloaded(&self) -> Option<[u8; 8]> {
        let header = ImageHeader::read_from_bytes(&self.download.header).ok()?;
        let mut crc = Crc32::new();
        header.checked_bytes().into_iter().for_each(|byte| crc.add(byte));
        let is_whole = header.magic == MAGIC
            && header.header_crc.get() == crc.value()
            && self.download.received == HEADER_BYTES + header.payload_bytes.get()
            && header.payload_crc.get() == self.download.crc.value()
            && header.interface_version.get() == firmware_port::INTERFACE_VERSION;
        is_whole.then_some(header.revision)
    }

    /// Puts the downloaded image into a slot, numbered from 1; 0: the slot that is neither read only nor active.
    pub(crate) fn store(&mut self, slot: u32) -> Result<usize, Status> {
        let index = match slot {
            0 => (1..SLOTS).find(|index| *index != self.active).ok_or(Status::INVALID_FIRMWARE_SLOT)?,
            // The first slot is read only.
            1 => return Err(Status::INVALID_FIRMWARE_SLOT),
            _ => slot as usize - 1,
        };
        if index >= SLOTS {
            return Err(Status::INVALID_FIRMWARE_SLOT);
        }
        let revision = self.downloaded().ok_or(Status::INVALID_FIRMWARE_IMAGE)?;
        self.revisions[index] = Some(revision);
        self.drop_download();
        Ok(index)
    }

    /// The slot with an image, numbered from 1.
    pub(crate) fn existing(&self, slot: u32) -> Result<usize, Status> {
        let index =
            (slot as usize).checked_sub(1).filter(|index| *index < SLOTS).ok_or(Status::INVALID_FIRMWARE_SLOT)?;
        self.revisions[index].map(|_| index).ok_or(Status::INVALID_FIRMWARE_IMAGE)
    }

    /// The image in the slot runs after the next controller reset.
    pub(crate) fn activate_later(&mut self, index: usize) {
        self.pending = Some(index);
    }

    /// The image in the slot runs from now on.
    pub(crate) fn activate(&mut self, index: usize) {
        self.active = index;
        self.pending = None;
        self.running = self.revisions[index].expect("the slot has an image");
    }

    /// Whether an image waits for a controller reset.
    pub(crate) const fn has_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// A controller reset.
    pub(crate) fn activate_pending(&mut self) {
        if let Some(index) = self.pending {
            self.activate(index);
        }
    }
}
