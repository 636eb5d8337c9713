//! The NVMe controller's firmware: admin commands, features, logs, events, and the commands that wait for something.
//!
//! Hardware executes valid data commands and Flush by itself (`nvme_spec::decode`). Everything else arrives in the inbox of the firmware
//! port (`nvme_spec::firmware_port`) and is answered here. [`Firmware`] is generic over [`Mmio`], so that one source runs on a
//! processor of the device, on a PC against simulated hardware, and in tests against a fake.
//!
//! ## How it runs
//! One [`Firmware`] serves all functions of the controller, each of which is a controller of its own to its host; what they share, the NVM subsystem,
//! is there once. [`Firmware::poll`] does a bounded amount of work and never waits: what takes time (a transfer, the deletion of a queue, a
//! completion for a full queue, an event request, a frame that has not come) is kept as state and looked at again in a later poll. A poll
//! without work reads one register.
//!
//! ## Limits
//! [`HELD_COMMANDS`](nvme_spec::limits::HELD_COMMANDS) commands may be held, and beside them
//! [`FIRMWARE_COMMANDS`](nvme_spec::limits::FIRMWARE_COMMANDS) may be worked on or wait for room in their completion queue. While so many wait,
//! the inbox is left alone until a host makes room or resets its controller.
#![no_std]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod admin;
mod commands;
mod config;
mod copy;
mod dataset_management;
mod erasure;
mod error_log;
mod events;
mod features;
mod frames;
mod identity;
mod inbox;
mod keep_alive;
mod life;
mod list;
mod medium;
mod namespaces;
mod port;
mod queues;
mod request;
mod sanitize;
mod shutdown;
mod slots;
mod transfer;

pub use config::{Config, NamespaceConfig};
pub use medium::MediumHealth;

use nvme_spec::feature::AGGREGATION_TIME_CLOCKS;
use nvme_spec::firmware_port::{self as regs, coalescing, events as event, function_events};
use nvme_spec::limits::FUNCTIONS_DEFAULT;
use nvme_spec::reg::Field;
use nvme_spec::{FatalCode, Status};
use soc_hal::Mmio;

use commands::{Commands, For, Place};
use copy::Copies;
use erasure::Erasure;
use frames::Frames;
use identity::Identity;
use life::{Function, State};
use namespaces::Namespaces;
use port::{Hardware, Port};
use queues::Slots;
use request::Request;
use sanitize::Sanitize;
use slots::FirmwareSlots;
use transfer::Transfer;

/// Functions that this firmware can serve.
pub const FUNCTIONS: usize = FUNCTIONS_DEFAULT as usize;

/// The firmware of a controller with all its functions.
pub struct Firmware<M> {
    port: Port<M>,
    config: Config,
    /// What the hardware says about itself; looked at when the first function is enabled.
    hardware: Hardware,
    is_identified: bool,
    functions: [Function; FUNCTIONS],
    commands: Commands,
    /// The Compare of a Compare and Write whose Write comes next.
    fused: Option<Request>,
    sq_slots: Slots,
    cq_slots: Slots,
    /// What uses the data buffer.
    transfer: Option<Transfer>,
    frames: Frames,
    namespaces: Namespaces,
    slots: FirmwareSlots,
    identity: Identity,
    sanitize: Sanitize,
    /// Write and Copy commands when the last sanitize operation was complete.
    written_at_sanitize: u64,
    /// What is erased for a command.
    erasure: Erasure,
    /// What is copied for commands.
    copies: Copies,
    /// Of a medium that wears, as it was told last.
    medium: Option<MediumHealth>,
}

impl<M: Mmio> Firmware<M> {
    /// Firmware for the controller behind `mmio`. It touches no register before the first poll.
    pub const fn new(mmio: M, config: Config) -> Self {
        Self {
            port: Port { mmio, is_buffer_clear: false },
            config,
            hardware: Hardware::NONE,
            is_identified: false,
            functions: [const { Function::new() }; FUNCTIONS],
            commands: Commands::new(),
            fused: None,
            sq_slots: Slots::new(),
            cq_slots: Slots::new(),
            transfer: None,
            frames: Frames::new(),
            namespaces: Namespaces::new(),
            slots: FirmwareSlots::new(),
            identity: Identity::new(),
            sanitize: Sanitize::new(),
            written_at_sanitize: 0,
            erasure: Erasure::new(),
            copies: Copies::new(),
            medium: None,
        }
    }

    /// Says how the medium is, for the log page SMART / Health Information and the events that go with it: as often as they are to be up to date. Who never
    /// does has a medium that does not wear.
    pub fn set_medium_health(&mut self, health: MediumHealth) {
        let told_before: [u8; FUNCTIONS] = core::array::from_fn(|function| self.told_warnings(function as u8));
        self.medium = Some(health);
        for (function, told_before) in (0u8..).zip(told_before) {
            self.raise_warnings(function, told_before);
        }
    }

    /// The register bus.
    pub fn mmio(&mut self) -> &mut M {
        &mut self.port.mmio
    }

    /// The register bus, to look at.
    pub fn mmio_ref(&self) -> &M {
        &self.port.mmio
    }

    /// Why a function has stopped, if one has.
    pub fn fatal(&self) -> Option<FatalCode> {
        self.functions.iter().find_map(|function| match function.state {
            State::Failed(code) => Some(code),
            State::Disabled | State::Ready => None,
        })
    }

    /// Whether something is kept that a later poll continues even if no event is raised in between.
    pub fn is_busy(&self) -> bool {
        self.transfer.is_some()
            || self.sanitize.is_going_on()
            || self.erasure.is_going_on()
            || !self.copies.is_idle()
            || self.commands.has_waiting(For::Copy)
            || self.commands.has_waiting(For::Erasure)
            || self.commands.can_post()
            || self.functions.iter().any(|function| function.is_shutting_down() || function.deletions > 0)
            || self.functions.iter().any(|function| function.events.next().is_some())
    }

    /// The longest time that an interrupt waits for others, in clocks. NVMe Base, "Interrupt Coalescing".
    pub fn aggregation_clocks_max(&self) -> u64 {
        let time = |function: &Function| coalescing::TIME.get32(function.features.interrupt_coalescing.current);
        u64::from(self.functions.iter().map(time).max().unwrap_or(0)) * AGGREGATION_TIME_CLOCKS
    }

    /// Looks at everything once, in a fixed order, and does a bounded amount of work.
    pub fn poll(&mut self) {
        self.notice_copied();
        let events = self.port.read(&regs::EVENTS);
        let raised = |event: Field| event.get32(events) == 1;
        // It comes before the ends of lives that it causes.
        if raised(event::SUBSYSTEM_RESET) {
            self.notice_subsystem_reset();
        }
        for function in 0..FUNCTIONS as u8 {
            if event::FUNCTIONS.get32(events) >> function & 1 == 1 {
                self.poll_function(function);
            }
        }
        let latched = events & (event::COMPLETION_ROOM.mask() | event::TRANSFER_DONE.mask()) as u32;
        if latched != 0 {
            self.port.write(&regs::EVENTS_CLEAR, latched);
        }
        if raised(event::COMPLETION_ROOM) {
            self.commands.retry_all();
        }
        if raised(event::ALARM) {
            self.notice_alarm();
        }
        self.poll_sanitize();
        // A function that has failed may have commands before those of another one.
        if self.functions.iter().all(|function| function.state == State::Disabled) {
            return;
        }
        // While the hardware has a completion of ours, nothing else may touch those that wait.
        if !self.commands.poll(&mut self.port) {
            return;
        }
        // A host that waits for its completion gets it before anything else is looked at.
        if self.poll_transfer() {
            if !self.commands.poll(&mut self.port) {
                return;
            }
            self.port.clear_buffer();
        }
        self.poll_erasure();
        self.poll_copies();
        self.poll_frames();
        self.poll_deletions();
        self.poll_shutdown();
        self.poll_inbox();
        // Once more: no event tells that a command has come for a frame that waits.
        self.poll_frames();
        self.execute_aborts();
        // A short transfer has ended by now, and its event says nothing new.
        let has_ended = self.poll_transfer();
        self.deliver_events();
        self.commands.poll(&mut self.port);
        if has_ended {
            self.port.write(&regs::EVENTS_CLEAR, event::TRANSFER_DONE.mask() as u32);
            self.port.clear_buffer();
        }
    }

    /// The events of one function.
    fn poll_function(&mut self, function: u8) {
        let events = self.port.read_of(&regs::FUNCTION_EVENTS, function);
        let raised = |event: Field| event.get32(events) == 1;
        if raised(function_events::DISABLED) {
            return self.end_life(function);
        }
        if raised(function_events::SHUTDOWN) {
            self.notice_shutdown(function);
        }
        match self.of(function).state {
            State::Disabled if raised(function_events::ENABLE) => return self.begin_life(function),
            State::Disabled | State::Failed(_) => return,
            State::Ready => {}
        }
        if raised(function_events::HOST_ERROR) {
            return self.fail(function, FatalCode::HostMemory);
        }
        self.notice_doorbell_errors(function, events);
    }

    /// The state of a function.
    fn of(&mut self, function: u8) -> &mut Function {
        &mut self.functions[usize::from(function)]
    }

    /// The functions that the hardware has and this firmware serves.
    fn function_count(&self) -> u8 {
        self.hardware.functions.min(FUNCTIONS as u8)
    }

    /// Stops a function: what went wrong cannot be told by a completion. NVMe Base, "Controller Fatal Status".
    fn fail(&mut self, function: u8, code: FatalCode) {
        let failed = self.of(function);
        failed.state = State::Failed(code);
        failed.status = regs::status_set::CFS.set32(failed.status, 1);
        let status = failed.status;
        self.port.write_of(&regs::STATUS_SET, function, status);
    }

    /// Completes a command without error.
    fn complete(&mut self, place: Place, result: u32) {
        self.commands.end(place, result, Status::SUCCESS);
    }

    /// Completes a command with an error, and logs it.
    fn refuse(&mut self, request: &Request, status: Status) {
        self.refuse_with(request, 0, status);
    }

    /// As [`Self::refuse`], of a command whose dword 0 says something.
    fn refuse_with(&mut self, request: &Request, result: u32, status: Status) {
        let status = status.for_host();
        let qid = self.sq_slots.owner(request.slot).map_or(u16::MAX, |owner| u16::from(owner.qid));
        self.of(request.function).error_log.add(qid, &request.entry, status);
        self.commands.end(request.place, result, status);
    }
}
