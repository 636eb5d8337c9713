//! Erasures of the storage for commands, of which one goes on at a time: commands that need another one are held until it has ended, in the order in
//! which they came. What is about whole namespaces waits for the commands that the hardware executes, also where nothing is erased in the end: the
//! data of a Write must not come to a namespace that was formatted, deleted or protected meanwhile.
//!
//! A function's life ends when the hardware erases nothing for it any more, so that what a host writes after a reset stays: see [`Scope`].

use nvme_spec::feature::fid;
use nvme_spec::limits::{ERASE_UNITS_PER_STEP, ERASURE_RANGES, SECTOR_BYTES, STORAGE_UNIT_BYTES};
use nvme_spec::opcode::{admin, io};
use nvme_spec::Status;
use soc_hal::Mmio;

use crate::commands::For;
use crate::life::State;
use crate::list::List;
use crate::request::Request;
use crate::Firmware;

/// Sectors of a unit of the storage.
pub(crate) const SECTORS_PER_UNIT: u64 = (STORAGE_UNIT_BYTES / SECTOR_BYTES) as u64;

/// Log2 of the bytes of a sector.
pub(crate) const SECTOR_SHIFT: u8 = SECTOR_BYTES.trailing_zeros() as u8;

/// Sectors that the hardware is asked to erase at a time.
const STEP_SECTORS: u64 = ERASE_UNITS_PER_STEP * SECTORS_PER_UNIT;

/// Sectors of the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) sector: u64,
    pub(crate) sectors: u64,
}

/// What an erasure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Blocks. When the function is reset, what the hardware is not at stays as it is: the host cannot know how far a command came that has not ended.
    /// NVMe Base, "Controller Level Reset".
    Blocks,
    /// Whole namespaces, of which the hardware does not know meanwhile, or that are write protected. A reset waits for the end: half of a namespace must not keep what the host
    /// wanted to be erased.
    Namespaces,
}

/// What the hardware does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is no erasure.
    Idle,
    /// Nothing for this erasure: it may be at a step of a copy.
    Waiting,
    /// It ends the commands that it had.
    Draining,
    /// It erases.
    Erasing,
}

/// What is erased for a command.
pub(crate) struct Erasure {
    /// The command, unless its function is being reset, and dword 0 of its completion.
    command: Option<(Request, u32)>,
    /// The function of the command.
    function: u8,
    scope: Scope,
    /// A namespace that there is only if its erasure succeeds.
    creates: Option<u32>,
    stage: Stage,
    /// What is left to do; the hardware may be at the sectors before the first one.
    extents: List<Extent, { ERASURE_RANGES as usize }>,
}

impl Erasure {
    pub(crate) const fn new() -> Self {
        Self {
            command: None,
            function: 0,
            scope: Scope::Blocks,
            creates: None,
            stage: Stage::Idle,
            extents: List::new(),
        }
    }

    pub(crate) fn is_going_on(&self) -> bool {
        self.stage != Stage::Idle
    }

    /// Whether it goes on for a command of a submission queue.
    pub(crate) fn is_for_slot(&self, slot: u8) -> bool {
        self.command.is_some_and(|(request, _)| request.slot == slot)
    }

    /// Adds to what the next command erases.
    pub(crate) fn add(&mut self, extent: Extent) {
        assert!(!self.is_going_on(), "one erasure at a time");
        if extent.sectors != 0 {
            self.extents.push(extent);
        }
    }

    /// Whether the end of the function's life must wait for an erasure, which has nobody to answer to any more.
    pub(crate) fn keeps_life(&mut self, function: u8) -> bool {
        if !self.is_going_on() || self.function != function {
            return false;
        }
        self.command = None;
        if self.scope == Scope::Blocks {
            self.extents = List::new();
        }
        true
    }
}

impl<M: Mmio> Firmware<M> {
    /// Whether a command must wait for the end of an erasure.
    pub(crate) fn waits_for_erasure(&self, request: &Request) -> bool {
        let erases: &[u8] = if self.is_admin(request) {
            &[admin::FORMAT_NVM, admin::NAMESPACE_MANAGEMENT, admin::SANITIZE]
        } else {
            &[io::DATASET_MANAGEMENT]
        };
        let protects = self.is_admin(request)
            && request.entry.opcode == admin::SET_FEATURES
            && request.cdw(10) as u8 == fid::NAMESPACE_WRITE_PROTECTION;
        let must_wait = self.erasure.is_going_on() || self.commands.has_waiting(For::Erasure);
        must_wait && (protects || erases.contains(&request.entry.opcode))
    }

    /// Erases all of a namespace that was created for the command, which is completed then.
    pub(crate) fn begin_creation(&mut self, request: &Request, nsid: u32) {
        self.erasure.creates = Some(nsid);
        self.close_namespace(nsid);
        self.add_namespace_to_erasure(nsid);
        self.begin_erasure(request, nsid, Scope::Namespaces);
    }

    /// Erases what was added, if anything, and completes the command then.
    pub(crate) fn begin_erasure(&mut self, request: &Request, result: u32, scope: Scope) {
        self.erasure.command = Some((*request, result));
        self.erasure.function = request.function;
        self.erasure.scope = scope;
        self.erasure.stage = Stage::Waiting;
        self.poll_erasure();
    }

    /// Goes on with an erasure, or with the command that has waited longest for the end of one.
    pub(crate) fn poll_erasure(&mut self) {
        match self.erasure.stage {
            Stage::Idle => self.begin_waiting(),
            Stage::Waiting if self.copies.is_moving() => {}
            Stage::Waiting if self.erasure.scope == Scope::Namespaces => {
                self.erasure.stage = Stage::Draining;
                self.port.drain();
            }
            Stage::Waiting => self.erase_next(),
            Stage::Draining if self.port.errand().is_none() => {}
            Stage::Draining => self.erase_next(),
            Stage::Erasing => match self.port.errand() {
                None => {}
                Some(Ok(())) => self.erase_next(),
                Some(Err(status)) => self.end_erasure(Err(status)),
            },
        }
    }

    fn begin_waiting(&mut self) {
        // It may need the data buffer.
        if self.transfer.is_some() {
            return;
        }
        let Some(request) = self.commands.take_waiting(For::Erasure) else {
            return;
        };
        if self.of(request.function).state == State::Ready {
            self.execute(&request);
        }
    }

    fn erase_next(&mut self) {
        if self.erasure.extents.is_empty() {
            return self.end_erasure(Ok(()));
        }
        let Extent { sector, sectors } = self.erasure.extents.remove(0);
        // Up to the first whole unit, so that the others are whole for the storage too, which then deallocates them.
        let step = match sector % SECTORS_PER_UNIT {
            0 => sectors.min(STEP_SECTORS),
            inside => sectors.min(SECTORS_PER_UNIT - inside),
        };
        self.erasure.stage = Stage::Erasing;
        self.port.erase(sector, step as u32);
        if step < sectors {
            self.erasure.extents.push(Extent { sector: sector + step, sectors: sectors - step });
        }
    }

    fn end_erasure(&mut self, ended: Result<(), Status>) {
        let Erasure { command, creates, .. } = core::mem::replace(&mut self.erasure, Erasure::new());
        self.end_formatting();
        if let Some(nsid) = creates.filter(|_| ended.is_err()) {
            self.namespaces.delete(nsid);
            self.write_namespace(nsid);
        }
        match (command, ended) {
            (Some((request, result)), Ok(())) => self.complete(request.place, result),
            (Some((request, _)), Err(status)) => self.refuse(&request, status),
            (None, _) => {}
        }
    }
}
