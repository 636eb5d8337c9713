//! Shutdown. NVMe Base, "Memory-based Controller Shutdown".

use nvme_spec::firmware_port::{self as regs, control, status_set};
use nvme_spec::regs::{cc, shst};
use nvme_spec::FatalCode;
use soc_hal::Mmio;

use crate::life::State;
use crate::port::QueueCommand;
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
    pub(crate) fn notice_shutdown(&mut self) {
        let acknowledge = control::ACK_SHUTDOWN.set32(0, 1);
        self.port.write(&regs::CONTROL, acknowledge);
        let configuration = self.port.read(&regs::CC);
        if cc::SHN.get32(configuration) == 0 {
            return;
        }
        if self.life.state != State::Ready {
            return self.set_shutdown_status(shst::COMPLETE);
        }
        self.set_shutdown_status(shst::OCCURRING);
        for qid in 1..=u8::MAX {
            if self.life.queues.sq(qid).is_some() && !self.stop_sq(qid) {
                return;
            }
        }
        self.life.shutdown = Shutdown::Draining { from: 1 };
    }

    /// Stops a submission queue; `false`: the controller has failed.
    pub(crate) fn stop_sq(&mut self, qid: u8) -> bool {
        let stopped = self.port.queue_command(qid, QueueCommand::StopSq).is_ok();
        if !stopped {
            self.fail(FatalCode::QueueCommandStuck);
        }
        stopped
    }

    /// Waits for the commands in flight, one queue after the other.
    pub(crate) fn poll_shutdown(&mut self) {
        let Shutdown::Draining { from } = self.life.shutdown else {
            return;
        };
        let next = self.life.queues.io_sqs().find(|(qid, _)| *qid >= from);
        match next {
            Some((qid, _)) if self.port.in_flight(qid) != 0 => {}
            Some((qid, _)) if qid < u8::MAX => {
                self.life.shutdown = Shutdown::Draining { from: qid + 1 };
            }
            _ => {
                self.life.shutdown = Shutdown::None;
                self.set_shutdown_status(shst::COMPLETE);
            }
        }
    }

    fn set_shutdown_status(&mut self, status: u32) {
        self.life.status = status_set::SHST.set32(self.life.status, status);
        self.port.write(&regs::STATUS_SET, self.life.status);
    }
}
