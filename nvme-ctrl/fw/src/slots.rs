//! Firmware images and their slots. NVMe Base, "Firmware Update Process"; the format of an image is in `nvme_spec::image`.
//!
//! Images come in parts, in any order, and are checked as they come; what is kept of an image is what its header says, and where its parts were. Where the bytes are kept, and how the
//! processors start them, is a matter of the system around the controller.

use nvme_spec::identify::FIRMWARE_REVISION;
use nvme_spec::image::{crc32, ImageHeader, PiecewiseCrc32, HEADER_BYTES, IMAGE_BYTES_MAX, MAGIC};
use nvme_spec::limits::{FIRMWARE_SLOTS, IMAGE_RANGES};
use nvme_spec::{firmware_port, Status};
use zerocopy::FromBytes;

use crate::list::List;

const SLOTS: usize = FIRMWARE_SLOTS as usize;

/// Bytes of an image: the first one, and the one behind the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    start: u32,
    end: u32,
}

/// An image on its way.
struct Download {
    header: [u8; HEADER_BYTES as usize],
    /// What has come: parts that neither overlap nor meet.
    received: List<Part, { IMAGE_RANGES as usize }>,
    /// Of what is behind the header.
    crc: PiecewiseCrc32,
    /// The function that has begun it.
    function: u8,
    /// It was bad: the next part begins another one.
    is_bad: bool,
}

impl Download {
    const fn new() -> Self {
        Self {
            header: [0; HEADER_BYTES as usize],
            received: List::new(),
            crc: PiecewiseCrc32::new(),
            function: 0,
            is_bad: false,
        }
    }
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
        Self { revisions, active: 0, pending: None, running: FIRMWARE_REVISION, download: Download::new() }
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

    /// Whether a part of an image may come. NVMe Base, "Firmware Image Download command": parts come in any order, and do not overlap.
    pub(crate) fn check_part(&mut self, offset: u32, bytes: u32) -> Result<(), Status> {
        if self.download.is_bad {
            self.drop_download();
        }
        let end = offset.checked_add(bytes).filter(|end| *end <= IMAGE_BYTES_MAX).ok_or(Status::INVALID_FIELD)?;
        let received = &self.download.received;
        if received.iter().any(|part| part.start < end && offset < part.end) {
            return Err(Status::OVERLAPPING_RANGE);
        }
        let meets_another = received.iter().any(|part| part.end == offset || part.start == end);
        if received.room() == 0 && !meets_another {
            return Err(Status::INTERNAL_ERROR);
        }
        Ok(())
    }

    /// The words of a part that may come.
    pub(crate) fn add(&mut self, function: u8, offset: u32, words: impl Iterator<Item = u32>) {
        let download = &mut self.download;
        if download.received.is_empty() {
            download.function = function;
        }
        let mut end = offset;
        let mut bytes = words.flat_map(u32::to_le_bytes).inspect(|_| end += 1);
        for place in download.header.iter_mut().skip(offset as usize) {
            let Some(byte) = bytes.next() else {
                break;
            };
            *place = byte;
        }
        download.crc.add(offset.saturating_sub(HEADER_BYTES), bytes);
        let mut part = Part { start: offset, end };
        while let Some(index) = download.received.position(|other| other.end == part.start || other.start == part.end) {
            let other = download.received.remove(index);
            part = Part { start: part.start.min(other.start), end: part.end.max(other.end) };
        }
        download.received.push(part);
    }

    /// Whether something was downloaded since the last image was stored.
    pub(crate) const fn has_download(&self) -> bool {
        !self.download.received.is_empty()
    }

    fn drop_download(&mut self) {
        self.download = Download::new();
    }

    /// A reset of the function: what it has downloaded is discarded. NVMe Base, "Firmware Update Process".
    pub(crate) fn drop_download_of(&mut self, function: u8) {
        if self.download.function == function {
            self.drop_download();
        }
    }

    /// The revision of the image that was downloaded, if it is an image for this hardware and complete.
    fn downloaded(&self) -> Option<[u8; 8]> {
        let header = ImageHeader::read_from_bytes(&self.download.header).ok()?;
        let payload_bytes = header.payload_bytes.get();
        let end = HEADER_BYTES.checked_add(payload_bytes)?;
        let is_whole = header.magic == MAGIC
            && header.header_crc.get() == crc32(&header.checked_bytes())
            && self.download.received.iter().eq([&Part { start: 0, end }])
            && header.payload_crc.get() == self.download.crc.value(payload_bytes)
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
        let revision = self.downloaded();
        self.download.is_bad = revision.is_none();
        let revision = revision.ok_or(Status::INVALID_FIRMWARE_IMAGE)?;
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

    /// A controller reset; whether another image runs now.
    pub(crate) fn activate_pending(&mut self) -> bool {
        let pending = self.pending;
        pending.into_iter().for_each(|index| self.activate(index));
        pending.is_some()
    }
}
