//! The vendor specific frame commands: [`FrameCommand`].

use std::collections::VecDeque;

use nvme_spec::limits::{FRAMES_KEPT, HELD_COMMANDS};
use nvme_spec::{DataPointer, FrameCommand, SqEntry, Status};

use crate::admin::Answer;
use crate::controller::Controller;
use crate::host::{HostError, HostPort};
use crate::io::walk;

/// A Receive Frame command that is held.
pub(crate) struct Receiver {
    pub(crate) queue: u16,
    pub(crate) cid: u16,
    entry: SqEntry,
}

/// Frames that have no command, and commands that have no frame.
#[derive(Default)]
pub(crate) struct Frames {
    arrived: VecDeque<Vec<u8>>,
    held: VecDeque<Receiver>,
}

impl Frames {
    /// Takes back a held command.
    pub(crate) fn take(&mut self, queue: u16, cid: u16) -> Option<Receiver> {
        let at = self.held.iter().position(|r| (r.queue, r.cid) == (queue, cid))?;
        self.held.remove(at)
    }

    /// Takes back the held commands of a queue.
    pub(crate) fn take_of(&mut self, queue: u16) -> Vec<Receiver> {
        let (of_queue, others) = self.held.drain(..).partition(|receiver| receiver.queue == queue);
        self.held = others;
        Vec::from(of_queue)
    }
}

impl Controller {
    pub(crate) fn frame_command(
        &mut self,
        queue: u16,
        entry: &SqEntry,
        command: FrameCommand,
        host: &mut dyn HostPort,
    ) -> Result<Answer, Status> {
        match command {
            FrameCommand::Send { bytes } => {
                if self.admin.frames.arrived.len() >= FRAMES_KEPT as usize {
                    return Err(Status::NO_ROOM_FOR_FRAME);
                }
                let mut data = self.receive(entry, u64::from(bytes.next_multiple_of(4)), host)?;
                data.truncate(bytes as usize);
                self.admin.frames.arrived.push_back(data);
                Ok(Answer::Done(Ok(0)))
            }
            FrameCommand::Receive => {
                if self.admin.frames.held.len() >= HELD_COMMANDS as usize {
                    return Err(Status::HELD_COMMAND_LIMIT_EXCEEDED);
                }
                let receiver = Receiver { queue, cid: entry.cid.get(), entry: *entry };
                self.admin.frames.held.push_back(receiver);
                Ok(Answer::Held)
            }
        }
    }

    /// Gives the oldest frame to the oldest command.
    pub(crate) fn deliver_frame(&mut self, host: &mut dyn HostPort) {
        let frames = &mut self.admin.frames;
        if frames.arrived.is_empty() || frames.held.is_empty() {
            return;
        }
        let (Some(frame), Some(receiver)) = (frames.arrived.pop_front(), frames.held.pop_front()) else {
            return;
        };
        let bytes = frame.len() as u32;
        let mut data = frame;
        data.resize(data.len().next_multiple_of(4), 0);
        let result = self.send(&receiver.entry, &data, host).map(|()| bytes);
        if let Err(status) = result {
            self.admin.log_error(receiver.queue, &receiver.entry, status.for_host());
        }
        self.finish(receiver.queue, receiver.cid, result, false);
    }

    /// Reads the data of a command.
    pub(crate) fn receive(&self, entry: &SqEntry, bytes: u64, host: &mut dyn HostPort) -> Result<Vec<u8>, Status> {
        let mut data = Vec::new();
        for segment in walk(host, self.function, DataPointer::of(entry)?, bytes)? {
            let mut part = vec![0; segment.bytes as usize];
            host.read(self.function, segment.address, &mut part).map_err(|HostError| Status::DATA_TRANSFER_ERROR)?;
            data.extend(part);
        }
        Ok(data)
    }
}
