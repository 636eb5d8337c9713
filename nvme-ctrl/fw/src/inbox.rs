//! Commands from the inbox.

use nvme_spec::limits::NSID;
use nvme_spec::{decode_io, Limits, NamespaceInfo, SqEntry, Status};
use soc_hal::Mmio;

use crate::admin::Answer;
use crate::port::{CommandId, InboxCommand};
use crate::{Firmware, ROOM_FOR_COMMAND};

/// Admin commands that wait for the data buffer.
pub(crate) const DEFERRED_COMMANDS: usize = 64;

/// Commands that are taken from the inbox per poll.
const COMMANDS_PER_POLL: u32 = 8;

impl<M: Mmio> Firmware<M> {
    /// Takes commands from the inbox as long as each can be answered.
    ///
    /// The data buffer has one owner. While it is on its way, admin commands are deferred, and the inbox is emptied all the same: commands that failed
    /// keep their slots in the I/O engine until they are taken, and the transfer may be waiting for one of those.
    pub(crate) fn poll_inbox(&mut self) {
        for _ in 0..COMMANDS_PER_POLL {
            if self.life.completions.room() < ROOM_FOR_COMMAND {
                break;
            }
            let is_free = self.life.transfer.is_none();
            if is_free && !self.life.deferred.is_empty() {
                let command = self.life.deferred.remove(0);
                self.take(&command);
                continue;
            }
            let Some(command) = self.port.pop_inbox() else {
                break;
            };
            let waits = !is_free && command.sqid == 0;
            match waits {
                false => self.take(&command),
                true if self.life.deferred.room() > 0 => self.life.deferred.push(command),
                // More than any driver has in flight: it may try again.
                true => self.refuse(0, &command.entry, Status::INTERNAL_ERROR),
            }
        }
    }

    fn take(&mut self, command: &InboxCommand) {
        let InboxCommand { sqid, failure, entry } = command;
        // A command that outlived its queue has nobody to answer to.
        if self.life.queues.sq(*sqid).is_none() {
            return;
        }
        if let Some(status) = failure {
            return self.refuse(*sqid, entry, *status);
        }
        if *sqid != 0 {
            return self.answer_io(*sqid, entry);
        }
        let id = CommandId { sqid: 0, cid: entry.cid.get() };
        match self.execute_admin(entry) {
            Ok(Answer::Done(result)) => self.complete(id, result),
            Ok(Answer::Held) => {}
            Ok(Answer::Send { bytes, described, acknowledges }) => {
                self.begin_transfer(entry, bytes, described, acknowledges);
            }
            Err(status) => self.refuse(0, entry, status),
        }
    }

    /// An I/O command that hardware does not execute: it is not valid.
    fn answer_io(&mut self, sqid: u8, entry: &SqEntry) {
        let namespace = NamespaceInfo { nsid: NSID, blocks: self.config.namespace_blocks };
        let limits = Limits { lba_bytes: self.hardware.lba_bytes, ..Limits::DEFAULT };
        // Hardware judges as `decode_io` does. A command that it did not execute although it is valid must not look as if it was executed.
        let status = match decode_io(entry, &namespace, &limits) {
            Err(status) => status,
            Ok(_) => Status::INTERNAL_ERROR,
        };
        self.refuse(sqid, entry, status);
    }
}
