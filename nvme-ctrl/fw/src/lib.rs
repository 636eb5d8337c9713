//! The NVMe controller's firmware: admin commands, features, logs, events.
//!
//! Hardware executes valid Read, Write and Flush commands by itself (`nvme_spec::decode`). Everything else arrives in the inbox of the firmware
//! port (`nvme_spec::firmware_port`) and is answered here. [`Firmware`] is generic over [`Mmio`], so that one source runs on a
//! processor of the device, on a PC against simulated hardware, and in tests against a fake.
//!
//! ## How it runs
//! [`Firmware::poll`] does a bounded amount of work and never waits: what takes time (a transfer, the deletion of a queue, a completion for a full
//! queue, an event request) is kept as state and looked at again in the next poll. A poll without work reads one register.
//!
//! ## Limits
//! Of [`HELD_COMMANDS`](nvme_spec::limits::HELD_COMMANDS) completions may wait for room in their queues. While so many wait, the inbox is left
//! alone until the host makes room or resets the controller.
#![no_std]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod admin;
mod completions;
mod config;
mod error_log;
mod events;
mod features;
mod inbox;
mod life;
mod list;
mod port;
mod queues;
mod shutdown;
mod transfer;

pub use config::Config;

use nvme_spec::firmware_port::{self as regs, events as event};
use nvme_spec::limits::{ABORTS, ASYNC_EVENT_REQUESTS};
use nvme_spec::{FatalCode, SqEntry, Status};
use soc_hal::Mmio;

use error_log::ErrorLog;
use life::{Life, State};
use port::{CommandId, Completion, Hardware, Port};

/// Room for completions that must be there before a command is taken from the inbox: for itself, a transfer, and all commands that are held.
const ROOM_FOR_COMMAND: usize = 2 + 2 * ABORTS as usize + ASYNC_EVENT_REQUESTS as usize;

/// The firmware of one controller.
pub struct Firmware<M> {
    port: Port<M>,
    config: Config,
    /// What the hardware says about itself; looked at when the controller is enabled.
    hardware: Hardware,
    /// Survives controller resets.
    error_log: ErrorLog,
    /// Ends with a controller reset.
    life: Life,
}

impl<M: Mmio> Firmware<M> {
    /// Firmware for the controller behind `mmio`. It touches no register before the first poll.
    pub fn new(mmio: M, config: Config) -> Self {
        Self { port: Port { mmio }, config, hardware: Hardware::NONE, error_log: ErrorLog::new(), life: Life::new() }
    }

    /// The register bus.
    pub fn mmio(&mut self) -> &mut M {
        &mut self.port.mmio
    }

    /// The register bus, to look at.
    pub fn mmio_ref(&self) -> &M {
        &self.port.mmio
    }

    /// Why the controller has stopped, if it has.
    pub fn fatal(&self) -> Option<FatalCode> {
        match self.life.state {
            State::Failed(code) => Some(code),
            State::Disabled | State::Ready => None,
        }
    }

    /// Whether something is kept that a later poll continues even if no event is raised in between.
    pub fn is_busy(&self) -> bool {
        let life = &self.life;
        life.transfer.is_some()
            || !life.deferred.is_empty()
            || life.is_shutting_down()
            || life.completions.can_post()
            || life.queues.io_sqs().any(|(_, sq)| sq.deleted_by.is_some())
    }

    /// Looks at everything once, in a fixed order, and does a bounded amount of work.
    pub fn poll(&mut self) {
        let events = self.port.read(&regs::EVENTS);
        let raised = |event: nvme_spec::reg::Field| event.get32(events) == 1;
        if raised(event::DISABLED) {
            return self.end_life();
        }
        if raised(event::SHUTDOWN) {
            self.notice_shutdown();
        }
        match self.life.state {
            State::Disabled if raised(event::ENABLE) => return self.begin_life(),
            State::Disabled | State::Failed(_) => return,
            State::Ready => {}
        }
        if raised(event::HOST_ERROR) {
            return self.fail(FatalCode::HostMemory);
        }
        self.notice_doorbell_errors(events);
        if raised(event::COMPLETION_ROOM) {
            self.clear_event(event::COMPLETION_ROOM);
            self.life.completions.retry_all();
        }
        // While the hardware has a completion of ours, nothing else may touch those that wait.
        if !self.life.completions.poll(&mut self.port) {
            return;
        }
        self.poll_transfer();
        self.poll_deletions();
        self.poll_shutdown();
        if self.life.state != State::Ready {
            return;
        }
        self.poll_inbox();
        self.execute_aborts();
        self.deliver_events();
        self.life.completions.poll(&mut self.port);
    }

    /// Stops the controller: what went wrong cannot be told by a completion. NVMe Base, "Controller Fatal Status".
    fn fail(&mut self, code: FatalCode) {
        self.life.state = State::Failed(code);
        self.life.status = regs::status_set::CFS.set32(self.life.status, 1);
        self.port.write(&regs::STATUS_SET, self.life.status);
    }

    fn clear_event(&mut self, event: nvme_spec::reg::Field) {
        self.port.write(&regs::EVENTS_CLEAR, event.set32(0, 1));
    }

    /// Completes a command without error.
    fn complete(&mut self, command: CommandId, result: u32) {
        self.life.completions.push(Completion { command, result, status: Status::SUCCESS });
    }

    /// Completes a command with an error, and logs it.
    fn refuse(&mut self, sqid: u8, entry: &SqEntry, status: Status) {
        let command = CommandId { sqid, cid: entry.cid.get() };
        let status = status.for_host();
        self.error_log.add(command, entry, status);
        self.life.completions.push(Completion { command, result: 0, status });
    }
}
