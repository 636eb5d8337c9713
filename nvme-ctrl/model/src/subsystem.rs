//! What the controllers of an NVM subsystem share: namespaces, the storage below them, firmware slots. NVMe Base, "NVM Subsystem Entities".

use std::collections::{BTreeMap, BTreeSet};

use nvme_spec::identify::FIRMWARE_REVISION;
use nvme_spec::image::{crc32, ImageHeader, HEADER_BYTES, IMAGE_BYTES_MAX, MAGIC};
use nvme_spec::limits::{FIRMWARE_SLOTS, IMAGE_RANGES, NAMESPACES_MAX, NSID_BROADCAST, STORAGE_UNIT_BYTES};
use nvme_spec::sanitize::{status, SanitizeLog, GLOBAL_DATA_ERASED, NO_ESTIMATE, PROGRESS_NONE};
use nvme_spec::{firmware_port, NamespaceInfo, Status};
use zerocopy::{FromBytes, FromZeros};

use crate::storage::Storage;
use crate::Config;

/// Where namespaces begin and end.
const UNIT: u64 = STORAGE_UNIT_BYTES as u64;

/// The UUID of the first namespace: made up, version 4. The others differ in the last byte.
const NAMESPACE_UUID: [u8; 16] = *b"flashd\x4fc\x8bmodel02";

/// A namespace.
#[derive(Clone, Debug)]
pub(crate) struct Namespace {
    /// Where it begins in the storage, in bytes.
    pub(crate) at: u64,
    pub(crate) blocks: u64,
    pub(crate) lba_bytes: u32,
    pub(crate) is_shared: bool,
    /// The controllers that it is attached to.
    pub(crate) attached: BTreeSet<u8>,
    pub(crate) is_write_protected: bool,
    pub(crate) uuid: [u8; 16],
    /// Another one for each namespace, and after each Format.
    pub(crate) version: u32,
}

impl Namespace {
    /// What it takes of the storage.
    pub(crate) fn bytes(&self) -> u64 {
        (self.blocks * u64::from(self.lba_bytes)).next_multiple_of(UNIT)
    }
}

/// Something that a controller must tell its host, if the host wants to hear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A namespace has changed.
    Namespace(u32),
    /// An image is being activated.
    Activation,
    /// A sanitize operation has ended.
    Sanitized,
}

/// What a sanitize operation is at. NVMe Base, "Sanitize Operations".
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sanitizing {
    /// Waits for the controllers that are not in the set: they may have commands that move data.
    Draining(BTreeSet<u8>),
    /// So many of [`SANITIZE_STEPS`] are done.
    Erasing(u32),
}

/// Clocks that a sanitize operation takes.
const SANITIZE_STEPS: u32 = 500;

/// A Format that erases, and what it is about.
struct Formatting {
    controller: u8,
    cid: u16,
    namespaces: Vec<u32>,
    /// Clocks to go.
    clocks: u32,
}

/// Clocks that such a Format takes.
const FORMAT_CLOCKS: u32 = 2000;

/// The last sanitize operation.
#[derive(Default)]
pub(crate) struct Sanitize {
    going_on: Option<Sanitizing>,
    status: u16,
    cdw10: u32,
    /// Write commands since it was complete.
    written: u64,
}

/// See the top of this module.
#[derive(Default)]
pub(crate) struct Subsystem {
    pub(crate) storage: Storage,
    pub(crate) namespaces: BTreeMap<u32, Namespace>,
    pub(crate) capacity: u64,
    is_managed: bool,
    lba_bytes: u32,
    made: u8,
    versions: u32,
    controllers: u8,
    /// What each controller has not looked at yet.
    notices: Vec<(u8, Notice)>,
    /// The parts of the image on its way, by their offsets.
    download: BTreeMap<u64, Vec<u8>>,
    /// The controller that has begun it.
    downloads_for: u8,
    /// It was bad: the next part begins another one.
    is_download_bad: bool,
    /// The revisions in the firmware slots.
    pub(crate) slots: [Option<[u8; 8]>; FIRMWARE_SLOTS as usize],
    pub(crate) active_slot: usize,
    pub(crate) next_slot: Option<usize>,
    running: [u8; 8],
    pub(crate) sanitize: Sanitize,
    formats: Vec<Formatting>,
    /// A host has asked for a reset of the NVM subsystem.
    is_reset_asked_for: bool,
}

impl Subsystem {
    pub(crate) fn new(config: &Config) -> Self {
        let bytes = |blocks: u64| (blocks * u64::from(config.lba_bytes)).next_multiple_of(UNIT);
        let mut subsystem = Self {
            capacity: bytes(config.blocks) + bytes(config.shared_blocks) + config.spare_bytes / UNIT * UNIT,
            is_managed: config.is_managed,
            lba_bytes: config.lba_bytes,
            controllers: config.functions,
            running: FIRMWARE_REVISION,
            ..Self::default()
        };
        subsystem.slots[0] = Some(FIRMWARE_REVISION);
        let first = subsystem.create(config.blocks, config.lba_bytes, false);
        first.into_iter().for_each(|nsid| subsystem.attach(nsid, [0].into()));
        if config.shared_blocks > 0 {
            let shared = subsystem.create(config.shared_blocks, config.lba_bytes, true);
            shared.into_iter().for_each(|nsid| subsystem.attach(nsid, (0..config.functions).collect()));
        }
        subsystem
    }

    fn attach(&mut self, nsid: u32, controllers: BTreeSet<u8>) {
        if let Some(namespace) = self.namespaces.get_mut(&nsid) {
            namespace.attached = controllers;
        }
    }

    /// Identify Controller, NN.
    pub(crate) fn highest_nsid(&self) -> u32 {
        if self.is_managed {
            NAMESPACES_MAX
        } else {
            1
        }
    }

    /// NVMe Base, "Valid and Invalid NSIDs".
    pub(crate) fn check_valid(&self, nsid: u32) -> Result<(), Status> {
        if (1..=self.highest_nsid()).contains(&nsid) {
            Ok(())
        } else {
            Err(Status::INVALID_NAMESPACE)
        }
    }

    /// A namespace that exists, attached or not.
    pub(crate) fn allocated(&self, nsid: u32) -> Result<&Namespace, Status> {
        self.check_valid(nsid)?;
        self.namespaces.get(&nsid).ok_or(Status::INVALID_FIELD)
    }

    /// A namespace that is attached to a controller.
    pub(crate) fn active(&self, controller: u8, nsid: u32) -> Option<&Namespace> {
        self.namespaces.get(&nsid).filter(|namespace| namespace.attached.contains(&controller))
    }

    /// For decoding I/O commands. "All namespaces" is there if one is.
    pub(crate) fn info(&self, controller: u8, nsid: u32) -> NamespaceInfo {
        let is_asked = |n: u32| nsid == n || nsid == NSID_BROADCAST;
        let mut active = self.namespaces.iter().filter(|(_, n)| n.attached.contains(&controller));
        let found = active.find(|(n, _)| is_asked(**n));
        found.map_or(NamespaceInfo { nsid, blocks: 0, is_write_protected: false }, |(n, namespace)| NamespaceInfo {
            nsid: *n,
            blocks: namespace.blocks,
            is_write_protected: namespace.is_write_protected,
        })
    }

    /// Bytes of the blocks of a namespace.
    pub(crate) fn lba_bytes(&self, nsid: u32) -> u32 {
        self.namespaces.get(&nsid).map_or(self.lba_bytes, |namespace| namespace.lba_bytes)
    }

    /// The sizes of blocks that a namespace may have, by the number of the format.
    pub(crate) fn formats(&self) -> Vec<u32> {
        if self.is_managed {
            vec![512, 4096]
        } else {
            vec![self.lba_bytes]
        }
    }

    pub(crate) fn unallocated(&self) -> u64 {
        self.capacity - self.namespaces.values().map(Namespace::bytes).sum::<u64>()
    }

    /// Makes a namespace in the first gap that is large enough; it reads as zero. NVMe Base, "Namespace Management command".
    pub(crate) fn create(&mut self, blocks: u64, lba_bytes: u32, is_shared: bool) -> Result<u32, Status> {
        let too_large = Status::NAMESPACE_INSUFFICIENT_CAPACITY;
        let bytes = blocks.checked_mul(lba_bytes.into()).filter(|bytes| *bytes <= self.capacity).ok_or(too_large)?;
        let bytes = bytes.next_multiple_of(UNIT);
        let mut places: Vec<(u64, u64)> = self.namespaces.values().map(|n| (n.at, n.at + n.bytes())).collect();
        places.sort_unstable();
        places.push((self.capacity, self.capacity));
        let mut at = 0;
        let mut found = None;
        for (start, end) in places {
            if start - at >= bytes {
                found = Some(at);
                break;
            }
            at = end;
        }
        let at = found.ok_or(too_large)?;
        let unused = (1..=self.highest_nsid()).find(|nsid| !self.namespaces.contains_key(nsid));
        let nsid = unused.ok_or(Status::NAMESPACE_IDENTIFIER_UNAVAILABLE)?;
        let mut uuid = NAMESPACE_UUID;
        uuid[15] ^= self.made;
        self.made = self.made.wrapping_add(1);
        let namespace = Namespace {
            at,
            blocks,
            lba_bytes,
            is_shared,
            attached: BTreeSet::new(),
            is_write_protected: false,
            uuid,
            version: self.new_version(),
        };
        self.namespaces.insert(nsid, namespace);
        self.storage.erase(at, bytes);
        Ok(nsid)
    }

    /// The version of a namespace that is made or formatted.
    pub(crate) fn new_version(&mut self) -> u32 {
        self.versions += 1;
        self.versions
    }

    /// Why a command that was begun with this version of its namespace reaches it no longer. Nothing changes the blocks of a namespace that was write
    /// protected meanwhile: what has not written them by then, never does.
    pub(crate) fn check_reach(&self, nsid: u32, version: u32, writes: bool) -> Result<(), Status> {
        match self.namespaces.get(&nsid) {
            Some(namespace) if namespace.version != version => Err(Status::FORMAT_IN_PROGRESS),
            Some(namespace) if writes && namespace.is_write_protected => Err(Status::NAMESPACE_WRITE_PROTECTED),
            Some(_) => Ok(()),
            None => Err(Status::INVALID_NAMESPACE),
        }
    }

    /// A namespace has changed for some controllers; the one that asked for it knows.
    pub(crate) fn namespace_changed(&mut self, nsid: u32, controllers: &BTreeSet<u8>, asked: u8) {
        let others = controllers.iter().filter(|controller| **controller != asked);
        self.notices.extend(others.map(|controller| (*controller, Notice::Namespace(nsid))));
    }

    /// The next thing that a controller has not looked at.
    pub(crate) fn take_notice(&mut self, controller: u8) -> Option<Notice> {
        let at = self.notices.iter().position(|(whose, _)| *whose == controller)?;
        Some(self.notices.remove(at).1)
    }

    pub(crate) const fn controllers(&self) -> u8 {
        self.controllers
    }

    pub(crate) fn ask_for_reset(&mut self) {
        self.is_reset_asked_for = true;
    }

    /// Whether a host has asked for a reset since this was last called.
    pub(crate) fn take_reset(&mut self) -> bool {
        std::mem::take(&mut self.is_reset_asked_for)
    }

    // --- Format: NVMe Base, "Format NVM command" -----------------------------------------------------------------------------------------

    /// Namespaces have been erased for a command, which takes a while.
    pub(crate) fn start_format(&mut self, controller: u8, cid: u16, namespaces: Vec<u32>) {
        self.formats.push(Formatting { controller, cid, namespaces, clocks: FORMAT_CLOCKS });
    }

    /// A clock of a controller passes: its Format command that ends.
    pub(crate) fn go_on_formatting(&mut self, controller: u8) -> Option<u16> {
        let own = self.formats.iter_mut().filter(|format| format.controller == controller);
        own.for_each(|format| format.clocks = format.clocks.saturating_sub(1));
        let at = self.formats.iter().position(|format| format.controller == controller && format.clocks == 0)?;
        Some(self.formats.remove(at).cid)
    }

    /// A reset of a controller: everything has been erased.
    pub(crate) fn end_formats(&mut self, controller: u8) {
        self.formats.retain(|format| format.controller != controller);
    }

    /// Why I/O commands for a namespace are refused.
    pub(crate) fn check_format(&self, controller: u8, nsid: u32) -> Result<(), Status> {
        let is_formatted = self.formats.iter().any(|format| format.namespaces.contains(&nsid));
        if is_formatted && self.active(controller, nsid).is_some() {
            return Err(Status::FORMAT_IN_PROGRESS);
        }
        Ok(())
    }

    // --- Sanitize operations: NVMe Base, "Sanitize Operations" -------------------------------------------------------------------------

    /// Why commands that have to do with data are refused.
    /// Whether a sanitize operation is going on.
    pub(crate) const fn is_sanitizing(&self) -> bool {
        self.sanitize.going_on.is_some()
    }

    pub(crate) const fn check_sanitize(&self) -> Result<(), Status> {
        match self.sanitize.status {
            status::IN_PROGRESS => Err(Status::SANITIZE_IN_PROGRESS),
            status::FAILED => Err(Status::SANITIZE_FAILED),
            _ => Ok(()),
        }
    }

    pub(crate) fn start_sanitize(&mut self, cdw10: u32) {
        let going_on = Some(Sanitizing::Draining(BTreeSet::new()));
        self.sanitize = Sanitize { going_on, status: status::IN_PROGRESS, cdw10, written: 0 };
    }

    /// A clock of a controller passes, which moves data or not.
    pub(crate) fn go_on_sanitizing(&mut self, controller: u8, moves_data: bool) {
        match &mut self.sanitize.going_on {
            Some(Sanitizing::Draining(drained)) if !moves_data => {
                drained.insert(controller);
                if drained.len() == usize::from(self.controllers) {
                    self.sanitize.going_on = Some(Sanitizing::Erasing(0));
                }
            }
            Some(Sanitizing::Erasing(SANITIZE_STEPS)) => {
                self.storage = Storage::default();
                self.sanitize.going_on = None;
                self.sanitize.status = status::COMPLETED;
                self.notices.extend((0..self.controllers).map(|controller| (controller, Notice::Sanitized)));
            }
            Some(Sanitizing::Erasing(steps)) => *steps += 1,
            _ => {}
        }
    }

    /// A Write command has ended well.
    pub(crate) const fn count_write(&mut self) {
        self.sanitize.written += 1;
    }

    /// Sanitize Status.
    pub(crate) fn sanitize_log(&self) -> SanitizeLog {
        let Sanitize { going_on, status, cdw10, written } = &self.sanitize;
        let mut log = SanitizeLog::new_zeroed();
        log.sprog = match going_on {
            None => PROGRESS_NONE,
            Some(Sanitizing::Draining(_)) => 0,
            Some(Sanitizing::Erasing(steps)) => (steps * 0xFFFF / SANITIZE_STEPS) as u16,
        }
        .into();
        let is_erased = *status == status::COMPLETED && *written == 0;
        log.sstat = (status | if is_erased { GLOBAL_DATA_ERASED } else { 0 }).into();
        log.scdw10 = (*cdw10).into();
        log.estimates = [NO_ESTIMATE.into(); 6];
        log
    }

    // --- Firmware images: NVMe Base, "Firmware Update Process" ------------------------------------------------------------------------

    /// Identify Controller, FR.
    pub(crate) const fn revision(&self) -> [u8; 8] {
        self.running
    }

    /// Whether a part of an image may come: in any order, but nothing twice.
    pub(crate) fn check_part(&mut self, offset: u64, bytes: u64) -> Result<(), Status> {
        if self.is_download_bad {
            self.discard_download();
        }
        let end = offset + bytes;
        if end > u64::from(IMAGE_BYTES_MAX) {
            return Err(Status::INVALID_FIELD);
        }
        if self.download.iter().any(|(start, data)| *start < end && offset < start + data.len() as u64) {
            return Err(Status::OVERLAPPING_RANGE);
        }
        // Adjacent parts count as one.
        let meets = |start: u64, end: u64| {
            let mut parts = self.download.iter();
            parts.any(|(other, data)| *other == end || other + data.len() as u64 == start)
        };
        let firsts = self
            .download
            .iter()
            .filter(|(start, _)| !self.download.iter().any(|(other, data)| other + data.len() as u64 == **start));
        if firsts.count() == IMAGE_RANGES as usize && !meets(offset, end) {
            return Err(Status::INTERNAL_ERROR);
        }
        Ok(())
    }

    /// Whether there is a newly downloaded image, good or bad.
    pub(crate) fn has_download(&self) -> bool {
        !self.download.is_empty()
    }

    pub(crate) fn add_part(&mut self, controller: u8, offset: u64, data: &[u8]) {
        if self.download.is_empty() {
            self.downloads_for = controller;
        }
        self.download.insert(offset, data.to_vec());
    }

    fn discard_download(&mut self) {
        self.download.clear();
        self.is_download_bad = false;
    }

    /// The revision of the downloaded image, if nothing is wrong with it.
    fn downloaded(&self) -> Option<[u8; 8]> {
        let mut image = Vec::new();
        for (offset, data) in &self.download {
            if *offset != image.len() as u64 {
                return None;
            }
            image.extend_from_slice(data);
        }
        let (header, payload) = image.split_at_checked(HEADER_BYTES as usize)?;
        let (header, header_bytes) = (ImageHeader::read_from_bytes(header).ok()?, header);
        let is_good = header.magic == MAGIC
            && header.header_crc.get() == crc32(&header_bytes[..header_bytes.len() - 4])
            && header.payload_bytes.get() as usize == payload.len()
            && header.payload_crc.get() == crc32(payload)
            && header.interface_version.get() == firmware_port::INTERFACE_VERSION;
        is_good.then_some(header.revision)
    }

    /// Puts the downloaded image into a slot, numbered from 1; 0: the subsystem chooses.
    pub(crate) fn store_image(&mut self, slot: usize) -> Result<usize, Status> {
        let chosen = match slot {
            0 => (1..self.slots.len()).find(|index| *index != self.active_slot),
            // Identify Controller, FRMW: the first slot is read only.
            1 => None,
            _ => Some(slot - 1).filter(|index| *index < self.slots.len()),
        };
        let index = chosen.ok_or(Status::INVALID_FIRMWARE_SLOT)?;
        match self.downloaded() {
            Some(revision) => {
                self.slots[index] = Some(revision);
                self.discard_download();
                Ok(index)
            }
            None => {
                // It stays until another one begins: an older image is not activated in its place.
                self.is_download_bad = true;
                Err(Status::INVALID_FIRMWARE_IMAGE)
            }
        }
    }

    /// A slot with an image in it.
    pub(crate) fn image_in(&self, slot: usize) -> Result<usize, Status> {
        let index = slot.checked_sub(1).filter(|index| *index < self.slots.len());
        let index = index.ok_or(Status::INVALID_FIRMWARE_SLOT)?;
        self.slots[index].map(|_| index).ok_or(Status::INVALID_FIRMWARE_IMAGE)
    }

    pub(crate) fn activate_image(&mut self, index: usize) {
        if let Some(revision) = self.slots[index] {
            self.running = revision;
        }
        self.active_slot = index;
        self.next_slot = None;
    }

    /// An image was activated without a reset: every controller tells.
    pub(crate) fn tell_of_activation(&mut self) {
        let controllers = 0..self.controllers;
        self.notices.extend(controllers.map(|controller| (controller, Notice::Activation)));
    }

    /// A reset of a controller.
    pub(crate) fn end_download_and_activate(&mut self, controller: u8) {
        if self.downloads_for == controller {
            self.discard_download();
        }
        if let Some(index) = self.next_slot {
            self.activate_image(index);
        }
    }
}
