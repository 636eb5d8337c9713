//! Commands from the inbox.

use nvme_spec::copy::Copy;
use nvme_spec::dataset::DatasetManagement;
use nvme_spec::limits::NSID_BROADCAST;
use nvme_spec::{decode_fused, decode_io, FrameCommand, IoCommand, Limits, NamespaceInfo, Status};
use soc_hal::Mmio;

use crate::admin::Answer;
use crate::commands::For;
use crate::life::State;
use crate::port::{CommandId, InboxCommand};
use crate::request::Request;
use crate::Firmware;

/// Commands that are taken from the inbox per poll.
const COMMANDS_PER_POLL: u32 = 8;

impl<M: Mmio> Firmware<M> {
    /// Takes commands from the inbox as long as each can be answered.
    pub(crate) fn poll_inbox(&mut self) {
        for _ in 0..COMMANDS_PER_POLL {
            // The data buffer has one owner, and every command needs a place.
            if self.transfer.is_some() || !self.commands.has_room() {
                break;
            }
            let Some(command) = self.port.pop_inbox() else {
                break;
            };
            self.take(&command);
        }
    }

    fn take(&mut self, command: &InboxCommand) {
        let InboxCommand { slot, failure, entry } = command;
        // A command that outlived its queue has nobody to answer to.
        let Some(owner) = self.sq_slots.owner(*slot) else {
            return;
        };
        // Nobody can be answered who has been told that the controller has failed.
        if self.of(owner.function).state != State::Ready {
            return;
        }
        let id = CommandId { function: owner.function, slot: *slot, cid: entry.cid.get() };
        let place = self.commands.take(id);
        let request = Request { function: owner.function, slot: *slot, place, entry: *entry };
        if let Some(status) = failure {
            return self.refuse(&request, *status);
        }
        if owner.qid != 0 {
            if let Some(compare) = self.fused.take() {
                return self.refuse_fused(&compare, &request);
            }
            if entry.is_fused_compare() {
                self.fused = Some(request);
                return;
            }
        }
        if self.waits_for_erasure(&request) {
            let answer = self.commands.hold(&request, For::Erasure).map(|()| Answer::Held);
            return self.answer(&request, answer);
        }
        self.execute(&request);
    }

    /// Executes a command, or begins to.
    pub(crate) fn execute(&mut self, request: &Request) {
        let answer = if self.is_admin(request) { self.execute_admin(request) } else { self.answer_io(request) };
        self.answer(request, answer);
    }

    /// Whether a command came by an admin queue: those have the slots of their functions' numbers.
    pub(crate) fn is_admin(&self, request: &Request) -> bool {
        request.slot == request.function
    }

    /// Completes a command that is not held.
    pub(crate) fn answer(&mut self, request: &Request, answer: Result<Answer, Status>) {
        match answer {
            Ok(Answer::Done(result)) => self.complete(request.place, result),
            Ok(Answer::Held) => {}
            Err(status) => self.refuse(request, status),
        }
    }

    /// A Compare and Write that hardware does not execute: it is not valid. The two come one right after the other.
    fn refuse_fused(&mut self, compare: &Request, write: &Request) {
        let (namespace, limits) = self.bounds_of(compare);
        let is_ready =
            self.sanitize.check().and_then(|()| self.namespaces.check_ready(compare.function, compare.nsid()));
        let statuses = match (is_ready, decode_fused([&compare.entry, &write.entry], &namespace, &limits)) {
            (Err(status), _) => [status; 2],
            (_, Err(statuses)) => statuses,
            (Ok(()), Ok(_)) => [self.namespaces.unready; 2],
        };
        for (request, status) in [compare, write].into_iter().zip(statuses) {
            self.refuse(request, status);
        }
    }

    /// The namespace that an I/O command names, and what bounds it.
    fn bounds_of(&self, request: &Request) -> (NamespaceInfo, Limits) {
        let namespace = self.namespaces.info(request.function, request.nsid());
        let lba_bytes = match self.namespaces.attached(request.function, namespace.nsid) {
            Some(found) => found.lba_bytes(),
            None => self.hardware.lba_bytes,
        };
        (namespace, Limits { lba_bytes, ..Limits::DEFAULT })
    }

    /// An I/O command that hardware does not execute: it is firmware's, or it is not valid.
    fn answer_io(&mut self, request: &Request) -> Result<Answer, Status> {
        let entry = &request.entry;
        self.sanitize.check()?;
        if let Some(command) = FrameCommand::decode(entry) {
            return self.frame_command(request, command?);
        }
        self.namespaces.check_ready(request.function, request.nsid())?;
        let (namespace, limits) = self.bounds_of(request);
        if let Some(command) = DatasetManagement::decode(entry, &namespace).filter(|_| self.hardware.can_erase) {
            return self.dataset_management(request, command?);
        }
        if let Some(command) = Copy::decode(entry, &namespace).filter(|_| self.hardware.can_copy) {
            command?;
            return self.copy(request);
        }
        // Hardware judges as `decode_io` does. A command that it did not execute although it is valid must not look as if it was executed.
        match decode_io(entry, &namespace, &limits)? {
            // Without a volatile write cache, everything that was completed is on the medium.
            IoCommand::Flush if entry.nsid.get() == NSID_BROADCAST => Ok(Answer::Done(0)),
            _ => Err(self.namespaces.unready),
        }
    }
}
