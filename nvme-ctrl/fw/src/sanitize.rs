//! Sanitize operations. NVMe Base, "Sanitize Operations".
//!
//! An operation belongs to the NVM subsystem and goes on through controller resets. While it does, namespaces are hidden from the hardware, so that
//! every I/O command comes to firmware, which refuses it. It begins when nothing is in flight any more.

use nvme_spec::firmware_port as regs;
use nvme_spec::limits::ERASE_UNITS_PER_STEP;
use nvme_spec::sanitize::{self, status, GLOBAL_DATA_ERASED, PROGRESS_NONE};
use nvme_spec::Status;
use soc_hal::Mmio;

use crate::erasure::SECTORS_PER_UNIT;
use crate::events::Event;
use crate::Firmware;

/// What the operation is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// None is going on.
    Idle,
    /// I/O commands may be with the hardware: those of the slots before this one are not.
    Draining(u16),
    /// The units before this one are erased, or are being erased.
    Erasing(u64),
}

/// The last operation.
pub(crate) struct Sanitize {
    pub(crate) stage: Stage,
    /// SSTAT, bits 2:0.
    pub(crate) status: u16,
    /// CDW10 of its command.
    pub(crate) cdw10: u32,
}

impl Sanitize {
    pub(crate) const fn new() -> Self {
        Self { stage: Stage::Idle, status: status::NEVER, cdw10: 0 }
    }

    pub(crate) fn is_going_on(&self) -> bool {
        self.stage != Stage::Idle
    }

    /// Why other commands are refused.
    pub(crate) fn check(&self) -> Result<(), Status> {
        match self.status {
            status::IN_PROGRESS => Err(Status::SANITIZE_IN_PROGRESS),
            status::FAILED => Err(Status::SANITIZE_FAILED),
            _ => Ok(()),
        }
    }

    /// SPROG: how much is done of `units`.
    pub(crate) fn progress(&self, units: u64) -> u16 {
        match self.stage {
            Stage::Idle => PROGRESS_NONE,
            Stage::Draining(_) => 0,
            Stage::Erasing(done) => (u128::from(done) * 0xFFFF / u128::from(units.max(1))) as u16,
        }
    }

    /// SSTAT.
    pub(crate) fn sstat(&self, has_written: bool) -> u16 {
        let is_erased = self.status == status::COMPLETED && !has_written;
        self.status | if is_erased { GLOBAL_DATA_ERASED } else { 0 }
    }
}

impl<M: Mmio> Firmware<M> {
    /// Starts an operation.
    pub(crate) fn start_sanitize(&mut self, cdw10: u32) {
        self.sanitize = Sanitize { stage: Stage::Draining(0), status: status::IN_PROGRESS, cdw10 };
        self.namespaces.is_hidden = true;
        self.namespaces.unready = Status::SANITIZE_IN_PROGRESS;
        self.write_namespaces();
    }

    /// Goes on with an operation.
    pub(crate) fn poll_sanitize(&mut self) {
        match self.sanitize.stage {
            Stage::Idle => {}
            Stage::Draining(slot) => self.drain(slot),
            Stage::Erasing(done) => self.erase(done),
        }
    }

    fn drain(&mut self, from: u16) {
        let functions = u16::from(self.hardware.functions);
        let end = functions + self.hardware.io_queues;
        for slot in from.max(functions)..end {
            if self.sq_slots.owner(slot as u8).is_some() && self.port.in_flight(slot as u8) != 0 {
                self.sanitize.stage = Stage::Draining(slot);
                return;
            }
        }
        // The copies of commands end with this operation, which waits for the step that the hardware is at. The command has waited for erasures.
        if self.copies.is_moving() {
            self.sanitize.stage = Stage::Draining(end);
            return;
        }
        self.sanitize.stage = Stage::Erasing(0);
        self.erase_units(0);
    }

    fn erase(&mut self, done: u64) {
        match self.port.errand() {
            None => {}
            Some(Err(_)) => self.end_sanitize(status::FAILED),
            Some(Ok(())) if done == self.namespaces.units() => self.end_sanitize(status::COMPLETED),
            Some(Ok(())) => self.erase_units(done),
        }
    }

    fn erase_units(&mut self, done: u64) {
        let units = (self.namespaces.units() - done).min(ERASE_UNITS_PER_STEP);
        self.port.erase(done * SECTORS_PER_UNIT, (units * SECTORS_PER_UNIT) as u32);
        self.sanitize.stage = Stage::Erasing(done + units);
    }

    /// Write and Copy commands that have ended well since the start.
    pub(crate) fn write_commands(&mut self) -> u64 {
        self.port.counter(&regs::WRITE_COMMANDS) + self.copies.commands()
    }

    fn end_sanitize(&mut self, ended: u16) {
        self.sanitize.stage = Stage::Idle;
        self.sanitize.status = ended;
        if ended == status::COMPLETED {
            self.show_namespaces();
            self.written_at_sanitize = self.write_commands();
        }
        for function in 0..self.function_count() {
            self.of(function).events.raise(Event::SanitizeCompleted);
        }
    }

    fn show_namespaces(&mut self) {
        self.namespaces.is_hidden = false;
        self.write_namespaces();
    }

    /// Exit Failure Mode: only of an operation that allows it.
    pub(crate) fn exit_failure_mode(&mut self) -> Result<(), Status> {
        if self.sanitize.status == status::FAILED {
            if self.sanitize.cdw10 & sanitize::ALLOW_UNRESTRICTED_EXIT == 0 {
                return Err(Status::SANITIZE_FAILED);
            }
            self.sanitize.status = status::NEVER;
            self.show_namespaces();
        }
        Ok(())
    }
}
