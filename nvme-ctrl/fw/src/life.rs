//! The life of a function, from CC.EN to its reset. NVMe Base, "Controller Initialization" and "Controller Level Reset".

use nvme_spec::firmware_port::{self as regs, control, events, status_set};
use nvme_spec::limits::{ABORTS, QUEUE_ENTRIES_MAX, QUEUE_ENTRIES_MIN};
use nvme_spec::regs::{aqa, cc};
use nvme_spec::{FatalCode, ZeroBased};
use soc_hal::Mmio;

use crate::commands::{For, Place};
use crate::error_log::ErrorLog;
use crate::events::AsyncEvents;
use crate::features::Features;
use crate::keep_alive::KeepAlive;
use crate::list::List;
use crate::port::{CreateCq, CreateSq, QueueCommand};
use crate::queues::{Owner, Queues, SubmissionQueue};
use crate::shutdown::Shutdown;
use crate::{Firmware, FUNCTIONS};

/// Where a function is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// CSTS.RDY is 0. Leaves when the host sets CC.EN.
    Disabled,
    /// CSTS.RDY is 1. Leaves by a controller reset or an error.
    Ready,
    /// CSTS.CFS is 1. Leaves by a controller reset.
    Failed(FatalCode),
}

/// An Abort command that waits for its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abort {
    pub(crate) place: Place,
    pub(crate) sqid: u16,
    pub(crate) cid: u16,
}

/// A function: all but the logs ends with a controller reset.
pub(crate) struct Function {
    pub(crate) state: State,
    /// What STATUS_SET holds.
    pub(crate) status: u32,
    pub(crate) queues: Queues,
    /// Submission queues that are being deleted.
    pub(crate) deletions: u32,
    pub(crate) features: Features,
    pub(crate) events: AsyncEvents,
    pub(crate) aborts: List<Abort, { ABORTS as usize }>,
    pub(crate) shutdown: Shutdown,
    pub(crate) keep_alive: KeepAlive,
    /// Survives controller resets.
    pub(crate) error_log: ErrorLog,
    /// A bit for each namespace in the Changed Namespace List; survives controller resets.
    pub(crate) changed_namespaces: u32,
}

impl Function {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Disabled,
            status: 0,
            queues: Queues::new(),
            deletions: 0,
            features: Features::new(),
            events: AsyncEvents::new(),
            aborts: List::new(),
            shutdown: Shutdown::None,
            keep_alive: KeepAlive::new(),
            error_log: ErrorLog::new(),
            changed_namespaces: 0,
        }
    }

    /// What a controller reset leaves.
    fn end_life(&mut self) {
        self.state = State::Disabled;
        self.status = 0;
        self.queues = Queues::new();
        self.deletions = 0;
        self.features = Features::new();
        self.events = AsyncEvents::new();
        self.aborts = List::new();
        self.shutdown = Shutdown::None;
        self.keep_alive = KeepAlive::new();
    }

    pub(crate) const fn is_shutting_down(&self) -> bool {
        matches!(self.shutdown, Shutdown::Draining { .. })
    }
}

impl<M: Mmio> Firmware<M> {
    /// The hardware is quiet: drops all that is held for the function, then lets CSTS.RDY fall.
    pub(crate) fn end_life(&mut self, function: u8) {
        // What is copied or erased must not reach blocks that the host writes in its next life.
        self.drop_copies(function);
        self.commands.drop_waiting(For::Erasure, function);
        let is_moving = self.copies.is_moving_for(|request| request.function == function);
        if self.erasure.keeps_life(function) || is_moving {
            return;
        }
        self.of(function).end_life();
        self.commands.drop_where(|command| command.function == function);
        self.sq_slots.drop_function(function);
        self.cq_slots.drop_function(function);
        self.frames.drop_function(function);
        self.transfer = self.transfer.filter(|transfer| transfer.request.function != function);
        self.fused = self.fused.filter(|compare| compare.function != function);
        self.drop_alarm();
        // What the host has asked for is at the latest in force after a controller reset. NVMe Base, "Firmware Commit command".
        self.slots.activate_pending();
        self.slots.drop_download_of(function);
        self.port.write_of(&regs::CONTROL, function, control::ACK_DISABLE.set32(0, 1));
    }

    /// A host has reset the NVM subsystem: what waits for a reset of a controller is done, and if that is a new image, CSTS.NSSRO is 0. NVMe Base,
    /// "Offset 1Ch: CSTS - Controller Status".
    pub(crate) fn notice_subsystem_reset(&mut self) {
        self.port.write(&regs::EVENTS_CLEAR, events::SUBSYSTEM_RESET.mask() as u32);
        if self.slots.activate_pending() {
            for function in 0..self.function_count() {
                self.port.write_of(&regs::CONTROL, function, control::CLEAR_NSSRO.set32(0, 1));
            }
        }
    }

    /// The host has set CC.EN: makes the function ready, or says why not.
    pub(crate) fn begin_life(&mut self, function: u8) {
        self.of(function).status = 0;
        match self.bring_up(function) {
            Ok(()) => {
                let status = status_set::RDY.set32(0, 1);
                let ready = self.of(function);
                ready.state = State::Ready;
                ready.status = status;
                self.port.write_of(&regs::STATUS_SET, function, status);
            }
            Err(code) => self.fail(function, code),
        }
    }

    /// Learns what the hardware is, once.
    fn identify_hardware(&mut self) -> Result<(), FatalCode> {
        if !self.is_identified {
            self.hardware = self.port.identify().ok_or(FatalCode::UnknownHardware)?;
            self.namespaces.set_up(&self.config, &self.hardware);
            self.is_identified = true;
            self.refresh_identity();
        }
        Ok(())
    }

    fn bring_up(&mut self, function: u8) -> Result<(), FatalCode> {
        self.identify_hardware()?;
        self.write_namespaces();
        let queues = self.queues_for(function, self.hardware.io_queues / u16::from(self.function_count()));
        let features = &mut self.functions[usize::from(function)].features;
        features.set_io_queues(queues);
        let coalescing = features.interrupt_coalescing.current;
        let arbitration = features.arbitration.current;
        self.port.write_of(&regs::COALESCING, function, coalescing);
        self.port.write_of(&regs::ARBITRATION, function, arbitration);
        for vector in 0..self.hardware.vectors {
            self.write_vector(function, vector);
        }
        let configuration = self.port.read_of(&regs::CC, function);
        // CAP offers 4 KiB pages and the NVM command set: the value 0 of each field. The sizes of I/O queue entries may be set later,
        // and are looked at when an I/O queue is created.
        let arbitration_max = u32::from(self.hardware.has_weighted_round_robin);
        if [cc::MPS, cc::CSS].iter().any(|field| field.get32(configuration) != 0)
            || cc::AMS.get32(configuration) > arbitration_max
        {
            return Err(FatalCode::InvalidConfiguration);
        }
        let attributes = self.port.read_of(&regs::AQA, function);
        let entries = |field: nvme_spec::reg::Field| ZeroBased::from_raw(field.get32(attributes) as u16).count();
        let (sq_entries, cq_entries) = (entries(aqa::ASQS), entries(aqa::ACQS));
        // CAP.MQES is about I/O queues; an admin queue may have as many entries as AQA can say.
        let possible = QUEUE_ENTRIES_MIN..=QUEUE_ENTRIES_MAX;
        if !possible.contains(&sq_entries) || !possible.contains(&cq_entries) {
            return Err(FatalCode::InvalidAdminQueueSize);
        }
        let sq_base = self.port.read_pair_of(&regs::ASQ_LOW, &regs::ASQ_HIGH, function);
        let cq_base = self.port.read_pair_of(&regs::ACQ_LOW, &regs::ACQ_HIGH, function);
        let completion = QueueCommand::CreateCq(CreateCq {
            base: cq_base,
            entries: cq_entries,
            vector: 0,
            interrupts_enabled: true,
        });
        // The slot of the admin queues is the function's number.
        let slot = function;
        let submission =
            QueueCommand::CreateSq(CreateSq { base: sq_base, entries: sq_entries, cq_slot: slot, priority: 0 });
        let owner = Owner { function, qid: 0 };
        for command in [completion, submission] {
            self.port.queue_command(slot, owner, command).map_err(|_| FatalCode::QueueCommandStuck)?;
        }
        self.sq_slots.set(slot, Some(owner));
        self.cq_slots.set(slot, Some(owner));
        let queues = &mut self.of(function).queues;
        queues.set_cq(0, Some(slot));
        *queues.sq_mut(0) = Some(SubmissionQueue { slot, cqid: 0, deleted_by: None });
        Ok(())
    }

    /// I/O queue pairs that a function may have if it asks for `wanted`: what the others have is not there, and each keeps at least one.
    pub(crate) fn queues_for(&self, function: u8, wanted: u16) -> u16 {
        let others = (0..self.function_count()).filter(|other| *other != function);
        let taken: u16 = others
            .map(|other| {
                let other = &self.functions[usize::from(other)];
                if other.state == State::Ready {
                    other.features.granted_pairs().max(1)
                } else {
                    1
                }
            })
            .sum();
        wanted.min(self.hardware.io_queues.saturating_sub(taken)).max(1)
    }

    /// Tells the hardware whether interrupts of a vector are coalesced.
    pub(crate) fn write_vector(&mut self, function: u8, vector: u16) {
        let is_disabled = self.of(function).features.is_coalescing_disabled(vector as u8);
        let value = regs::vector_coalescing::VECTOR.set32(0, u32::from(vector));
        let value = regs::vector_coalescing::DISABLE.set32(value, u32::from(is_disabled));
        self.port.write_of(&regs::VECTOR_COALESCING, function, value);
    }
}

const _: () = assert!(FUNCTIONS as u32 <= regs::FUNCTIONS_MAX);
