//! The life of a controller, from CC.EN to its reset. NVMe Base, "Controller Initialization" and "Controller Level Reset".

use nvme_spec::firmware_port::{self as regs, control, status_set};
use nvme_spec::limits::{ABORTS, QUEUE_ENTRIES_MAX, QUEUE_ENTRIES_MIN};
use nvme_spec::regs::{aqa, cc};
use nvme_spec::{FatalCode, SqEntry, ZeroBased};
use soc_hal::Mmio;

use crate::completions::Completions;
use crate::events::AsyncEvents;
use crate::features::Features;
use crate::inbox::DEFERRED_COMMANDS;
use crate::list::List;
use crate::port::{CreateCq, CreateSq, InboxCommand, QueueCommand};
use crate::queues::{Queues, SubmissionQueue};
use crate::shutdown::Shutdown;
use crate::transfer::Transfer;
use crate::Firmware;

/// Where the controller is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// CSTS.RDY is 0. Leaves when the host sets CC.EN.
    Disabled,
    /// CSTS.RDY is 1. Leaves by a controller reset or an error.
    Ready,
    /// CSTS.CFS is 1. Leaves by a controller reset.
    Failed(FatalCode),
}

/// Everything that ends with a controller reset.
pub(crate) struct Life {
    pub(crate) state: State,
    /// What STATUS_SET holds.
    pub(crate) status: u32,
    pub(crate) queues: Queues,
    pub(crate) features: Features,
    pub(crate) events: AsyncEvents,
    pub(crate) completions: Completions,
    pub(crate) aborts: List<SqEntry, { ABORTS as usize }>,
    pub(crate) transfer: Option<Transfer>,
    /// Admin commands that wait for the data buffer, in the order in which they came.
    pub(crate) deferred: List<InboxCommand, DEFERRED_COMMANDS>,
    pub(crate) shutdown: Shutdown,
}

impl Life {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Disabled,
            status: 0,
            queues: Queues::new(),
            features: Features::new(),
            events: AsyncEvents::new(),
            completions: Completions::new(),
            aborts: List::new(),
            transfer: None,
            deferred: List::new(),
            shutdown: Shutdown::None,
        }
    }

    pub(crate) const fn is_shutting_down(&self) -> bool {
        matches!(self.shutdown, Shutdown::Draining { .. })
    }
}

impl<M: Mmio> Firmware<M> {
    /// The hardware is quiet: drops all that is held, then lets CSTS.RDY fall.
    pub(crate) fn end_life(&mut self) {
        self.life = Life::new();
        let acknowledge = control::ACK_DISABLE.set32(0, 1);
        self.port.write(&regs::CONTROL, acknowledge);
    }

    /// The host has set CC.EN: makes the controller ready, or says why not.
    pub(crate) fn begin_life(&mut self) {
        self.life.status = 0;
        match self.bring_up() {
            Ok(()) => {
                self.life.state = State::Ready;
                self.life.status = status_set::RDY.set32(0, 1);
                self.port.write(&regs::STATUS_SET, self.life.status);
            }
            Err(code) => self.fail(code),
        }
    }

    fn bring_up(&mut self) -> Result<(), FatalCode> {
        self.hardware = self.port.identify().ok_or(FatalCode::UnknownHardware)?;
        self.life.features.set_io_queues(self.hardware.io_queues);
        let configuration = self.port.read(&regs::CC);
        // CAP offers 4 KiB pages, the NVM command set and round robin: the value 0 of each field. The sizes of I/O queue entries
        // may be set later, and are looked at when an I/O queue is created.
        if [cc::MPS, cc::CSS, cc::AMS].iter().any(|field| field.get32(configuration) != 0) {
            return Err(FatalCode::InvalidConfiguration);
        }
        let attributes = self.port.read(&regs::AQA);
        let entries = |field: nvme_spec::reg::Field| ZeroBased::from_raw(field.get32(attributes) as u16).count();
        let (sq_entries, cq_entries) = (entries(aqa::ASQS), entries(aqa::ACQS));
        // CAP.MQES is about I/O queues; an admin queue may have as many entries as AQA can say.
        let possible = QUEUE_ENTRIES_MIN..=QUEUE_ENTRIES_MAX;
        if !possible.contains(&sq_entries) || !possible.contains(&cq_entries) {
            return Err(FatalCode::InvalidAdminQueueSize);
        }
        let sq_base = self.port.read_pair(&regs::ASQ_LOW, &regs::ASQ_HIGH);
        let cq_base = self.port.read_pair(&regs::ACQ_LOW, &regs::ACQ_HIGH);
        self.port.set_namespace_blocks(self.config.namespace_blocks);
        let completion = QueueCommand::CreateCq(CreateCq {
            base: cq_base,
            entries: cq_entries,
            vector: 0,
            interrupts_enabled: true,
        });
        let submission = QueueCommand::CreateSq(CreateSq { base: sq_base, entries: sq_entries, cqid: 0 });
        for command in [completion, submission] {
            self.port.queue_command(0, command).map_err(|_| FatalCode::QueueCommandStuck)?;
        }
        self.life.queues.set_cq(0, true);
        *self.life.queues.sq_mut(0) = Some(SubmissionQueue { cqid: 0, deleted_by: None });
        Ok(())
    }
}
