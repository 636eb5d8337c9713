//! Shutdown. NVMe Base, "Memory-based Controller Shutdown".

use nvme_spec::firmware_port::{self as regs, control, status_set};
use nvme_spec::regs::{cc, shst};
use nvme_spec::FatalCode;
use soc_hal::Mmio;

use crate::life::State;
use crate::port::QueueCommand;
use crate::queues::Owner;
use crate::Firmware;

/// What is left of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shutdown {
    /// No shutdown, or it is complete.
    None,
    /// The I/O submission queues are stopped; those from this number on may have commands in flight.
    Draining { from: u8 },
}

impl<M: Mmio> Firmware<M> {
    /// CC.SHN has changed. A normal and an abrupt shutdown are one: without a volatile cache, what was completed is on the medium.
    pub(crate) fn notice_shutdown(&mut self, function: u8) {
        self.port.write_of(&regs::CONTROL, function, control::ACK_SHUTDOWN.set32(0, 1));
        let configuration = self.port.read_of(&regs::CC, function);
        if cc::SHN.get32(configuration) == 0 {
            return;
        }
        if self.of(function).state != State::Ready {
            return self.set_shutdown_status(function, shst::COMPLETE);
        }
        self.set_shutdown_status(function, shst::OCCURRING);
        for qid in 1..=u8::MAX {
            if let Some(sq) = self.of(function).queues.sq(qid) {
                if !self.stop_sq(sq.slot, Owner { function, qid }) {
                    return;
                }
            }
        }
        self.of(function).shutdown = Shutdown::Draining { from: 1 };
    }

    /// Stops a submission queue; `false`: the controller has failed.
    pub(crate) fn stop_sq(&mut self, slot: u8, owner: Owner) -> bool {
        let stopped = self.port.queue_command(slot, owner, QueueCommand::StopSq).is_ok();
        if !stopped {
            self.fail(owner.function, FatalCode::QueueCommandStuck);
        }
        stopped
    }

    /// Waits for the commands in flight, one queue after the other. Commands that are held wait for what does not come any more: they stay.
    pub(crate) fn poll_shutdown(&mut self) {
        for function in 0..self.functions.len() as u8 {
            let Shutdown::Draining { from } = self.of(function).shutdown else {
                continue;
            };
            let next = self.of(function).queues.io_sqs().find(|(qid, _)| *qid >= from);
            match next {
                Some((_, sq)) if self.port.in_flight(sq.slot) != 0 => {}
                Some((qid, _)) if qid < u8::MAX => {
                    self.of(function).shutdown = Shutdown::Draining { from: qid + 1 };
                }
                _ => {
                    self.of(function).shutdown = Shutdown::None;
                    self.set_shutdown_status(function, shst::COMPLETE);
                }
            }
        }
    }

    fn set_shutdown_status(&mut self, function: u8, shutdown: u32) {
        let changed = self.of(function);
        changed.status = status_set::SHST.set32(changed.status, shutdown);
        let status = changed.status;
        self.port.write_of(&regs::STATUS_SET, function, status);
    }
}
