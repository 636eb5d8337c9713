//! Copy. NVM Command Set, "Copy command".
//!
//! Commands are copied one after the other, in the order in which they came; those whose turn has not come are held, as many as commands may be. The
//! source ranges of the first one are fetched and looked at; then the hardware is asked for a step at a time. Between two steps other commands have
//! their turn: the hardware has one errand at a time, an erasure or a copy, and an Abort, the deletion of a queue or the end of a function's life waits
//! for the end of a step, and never for more.

use nvme_spec::copy::{Copy, SourceRange};
use nvme_spec::limits::{COPY_UNITS_PER_STEP, MSRC};
use nvme_spec::Status;
use soc_hal::Mmio;

use crate::admin::Answer;
use crate::commands::{For, Place};
use crate::erasure::{Extent, SECTORS_PER_UNIT};
use crate::namespaces::Namespace;
use crate::request::Request;
use crate::transfer::Then;
use crate::Firmware;

/// Most source ranges of a command.
const RANGES: usize = MSRC as usize + 1;

/// Sectors that the hardware is asked to copy at a time.
const STEP_SECTORS: u64 = COPY_UNITS_PER_STEP * SECTORS_PER_UNIT;

/// Commands that wait and are refused per poll.
const REFUSALS_PER_POLL: u32 = 64;

/// The command that is being copied.
#[derive(Clone, Copy, Debug)]
struct Active {
    request: Request,
    /// The namespace as it was when the ranges were looked at.
    namespace: Namespace,
    ranges: u32,
    /// The range that is being copied.
    range: u32,
    /// The first sector that is written.
    first: u64,
    /// The first sector that is still to be written.
    destination: u64,
    /// Sectors that the hardware has been asked for; 0: none.
    step: u64,
    /// How a step has ended, if not well.
    failure: Option<Status>,
}

/// What commands copy.
pub(crate) struct Copies {
    active: Option<Active>,
    /// What is still to be copied of each range.
    sources: [Extent; RANGES],
    /// Commands that have ended well, and the sectors that they have written.
    commands: u64,
    sectors: u64,
}

impl Copies {
    pub(crate) const fn new() -> Self {
        let sources = [Extent { sector: 0, sectors: 0 }; RANGES];
        Self { active: None, sources, commands: 0, sectors: 0 }
    }

    pub(crate) const fn is_idle(&self) -> bool {
        self.active.is_none()
    }

    /// The hardware copies.
    pub(crate) fn is_moving(&self) -> bool {
        self.active.is_some_and(|active| active.step > 0)
    }

    /// The hardware copies for a command of which this holds.
    pub(crate) fn is_moving_for(&self, is_it: impl FnOnce(&Request) -> bool) -> bool {
        self.active.is_some_and(|active| active.step > 0 && is_it(&active.request))
    }

    /// Commands that have ended well since the start.
    pub(crate) const fn commands(&self) -> u64 {
        self.commands
    }

    /// Sectors that they have written.
    pub(crate) const fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Takes out the command that is copied, if the hardware is at no step of it, and the number of its first range that has not been copied.
    fn take(&mut self, is_it: impl FnOnce(&Request) -> bool) -> Option<(Request, u32)> {
        let active = self.active.filter(|active| active.step == 0 && is_it(&active.request))?;
        self.active = None;
        Some((active.request, active.range))
    }
}

impl<M: Mmio> Firmware<M> {
    /// Holds a command until its turn comes.
    pub(crate) fn copy(&mut self, request: &Request) -> Result<Answer, Status> {
        self.commands.hold(request, For::Copy)?;
        Ok(Answer::Held)
    }

    /// Learns that a step has ended.
    pub(crate) fn notice_copied(&mut self) {
        let Copies { active, sources, .. } = &mut self.copies;
        let Some(active) = active.as_mut().filter(|active| active.step > 0) else {
            return;
        };
        let Some(ended) = self.port.errand() else {
            return;
        };
        let step = core::mem::take(&mut active.step);
        active.failure = ended.err();
        if active.failure.is_none() {
            let source = &mut sources[active.range as usize];
            (source.sector, source.sectors) = (source.sector + step, source.sectors - step);
            active.destination += step;
            active.range += u32::from(source.sectors == 0);
        }
    }

    /// Goes on with copies when the hardware does nothing for them.
    pub(crate) fn poll_copies(&mut self) {
        if let Err(status) = self.sanitize.check() {
            self.end_active_copy(|_| true, status);
            for _ in 0..REFUSALS_PER_POLL {
                let Some(waiting) = self.commands.take_waiting(For::Copy) else {
                    break;
                };
                self.refuse(&waiting, status);
            }
            return;
        }
        if self.copies.is_moving() {
            return;
        }
        let Some(active) = self.copies.active else {
            return self.fetch_sources();
        };
        if active.failure.is_none() && active.range == active.ranges {
            return self.end_copy(&active);
        }
        if self.is_to_end(&active.request) {
            return;
        }
        if let Err(status) = active.failure.map_or_else(|| self.check_namespace(&active), Err) {
            self.copies.active = None;
            return self.refuse_with(&active.request, active.range, status);
        }
        // The hardware has one errand at a time.
        if self.erasure.is_going_on() {
            return;
        }
        let source = self.copies.sources[active.range as usize];
        let step = source.sectors.min(STEP_SECTORS);
        self.port.copy(source.sector, active.destination, step as u32);
        self.copies.active = Some(Active { step, ..active });
    }

    /// Ends the command that is copied, if the hardware is at no step of it.
    pub(crate) fn end_active_copy(&mut self, is_it: impl FnOnce(&Request) -> bool, status: Status) {
        if let Some((request, range)) = self.copies.take(is_it) {
            self.refuse_with(&request, range, status);
        }
    }

    /// The command that is copied, if an Abort names it and the hardware is at no step of it, is not kept any longer.
    pub(crate) fn abort_copy(&mut self, slot: u8, cid: u16) -> Option<(Place, u32)> {
        let aborted = self.copies.take(|request| request.slot == slot && request.entry.cid.get() == cid);
        aborted.map(|(request, range)| (request.place, range))
    }

    /// The function's life ends: drops its commands that the hardware does not copy for.
    pub(crate) fn drop_copies(&mut self, function: u8) {
        self.copies.take(|request| request.function == function);
        self.commands.drop_waiting(For::Copy, function);
    }

    /// The source ranges of the active command are in the data buffer.
    pub(crate) fn begin_copy(&mut self, request: &Request) -> Result<Answer, Status> {
        self.sanitize.check()?;
        let info = self.namespaces.info(request.function, request.nsid());
        let copy = Copy::decode(&request.entry, &info).ok_or(Status::INTERNAL_ERROR)??;
        let written = copy.check_ranges((0..copy.ranges).map(|number| self.source_range(number)), &info)?;
        let namespace = *self.namespaces.get(info.nsid).ok_or(Status::INVALID_NAMESPACE)?;
        for number in 0..copy.ranges {
            let blocks = self.source_range(number).decode(&info)?;
            self.copies.sources[number as usize] = namespace.extent(blocks);
        }
        let destination = namespace.extent(written).sector;
        self.copies.active = Some(Active {
            request: *request,
            namespace,
            ranges: copy.ranges,
            range: 0,
            first: destination,
            destination,
            step: 0,
            failure: None,
        });
        Ok(Answer::Held)
    }

    fn source_range(&mut self, number: u32) -> SourceRange {
        self.port.buffer_item(number)
    }

    /// The turn of the next command has come, if the data buffer is free.
    fn fetch_sources(&mut self) {
        if self.transfer.is_some() || self.erasure.is_going_on() {
            return;
        }
        let Some(request) = self.commands.take_waiting(For::Copy) else {
            return;
        };
        let info = self.namespaces.info(request.function, request.nsid());
        match Copy::decode(&request.entry, &info) {
            Some(Ok(copy)) => self.begin_fetch(&request, copy.bytes(), Then::Copy),
            Some(Err(status)) => self.refuse(&request, status),
            None => self.refuse(&request, Status::INTERNAL_ERROR),
        }
    }

    fn end_copy(&mut self, active: &Active) {
        self.copies.active = None;
        self.copies.commands += 1;
        self.copies.sectors += active.destination - active.first;
        self.complete(active.request.place, 0);
    }

    /// Whether an Abort or the deletion of its queue is about to end a command.
    fn is_to_end(&mut self, request: &Request) -> bool {
        let Some(owner) = self.sq_slots.owner(request.slot) else {
            return true;
        };
        let function = self.of(request.function);
        let is_named = |sqid: u16, cid: u16| sqid == owner.qid.into() && cid == request.entry.cid.get();
        let is_aborted = function.aborts.iter().any(|abort| is_named(abort.sqid, abort.cid));
        is_aborted || function.queues.sq(owner.qid).is_some_and(|sq| sq.deleted_by.is_some())
    }

    /// Whether the namespace is still what it was.
    fn check_namespace(&self, active: &Active) -> Result<(), Status> {
        let was = &active.namespace;
        match self.namespaces.attached(active.request.function, active.request.nsid()) {
            Some(now) if now.is_formatting => Err(Status::FORMAT_IN_PROGRESS),
            Some(now) if now.is_write_protected => Err(Status::NAMESPACE_WRITE_PROTECTED),
            Some(now) if (now.serial, now.lba_shift) == (was.serial, was.lba_shift) => Ok(()),
            _ => Err(Status::INVALID_NAMESPACE),
        }
    }
}
