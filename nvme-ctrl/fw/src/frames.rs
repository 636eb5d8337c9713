//! Frames: the vendor specific I/O commands, `nvme_spec::FrameCommand`.
//!
//! A frame that a function sends comes back to the same function. Received frames go to the oldest Receive Frame command of the function, on
//! whatever queue it came; if there is none, a few frames wait here.

use nvme_spec::limits::{FRAMES_KEPT, FRAME_BYTES_MAX};
use nvme_spec::{FrameCommand, Status};
use soc_hal::Mmio;

use crate::admin::Answer;
use crate::commands::For;
use crate::request::Request;
use crate::transfer::Then;
use crate::Firmware;

const KEPT: usize = FRAMES_KEPT as usize;
const WORDS: usize = FRAME_BYTES_MAX as usize / 4;

/// A frame that waits for a command.
#[derive(Clone, Copy)]
struct Frame {
    function: u8,
    bytes: u32,
    words: [u32; WORDS],
}

/// The frames that wait, oldest first from `first` on.
pub(crate) struct Frames {
    ring: [Frame; KEPT],
    first: usize,
    len: usize,
}

impl Frames {
    pub(crate) const fn new() -> Self {
        const NONE: Frame = Frame { function: 0, bytes: 0, words: [0; WORDS] };
        Self { ring: [NONE; KEPT], first: 0, len: 0 }
    }

    const fn is_full(&self) -> bool {
        self.len == KEPT
    }

    /// Where the oldest frame of a function is, counted from the oldest of all.
    fn position(&self, function: u8) -> Option<usize> {
        (0..self.len).find(|age| self.ring[(self.first + age) % KEPT].function == function)
    }

    /// Takes a frame out; the others stay in order.
    fn remove(&mut self, position: usize) {
        for age in (0..position).rev() {
            self.ring[(self.first + age + 1) % KEPT] = self.ring[(self.first + age) % KEPT];
        }
        self.first = (self.first + 1) % KEPT;
        self.len -= 1;
    }

    /// Forgets the frames of a function.
    pub(crate) fn drop_function(&mut self, function: u8) {
        while let Some(position) = self.position(function) {
            self.remove(position);
        }
    }
}

impl<M: Mmio> Firmware<M> {
    /// A frame command from an I/O queue.
    pub(crate) fn frame_command(&mut self, request: &Request, command: FrameCommand) -> Result<Answer, Status> {
        match command {
            FrameCommand::Send { bytes } => {
                if self.frames.is_full() {
                    return Err(Status::NO_ROOM_FOR_FRAME);
                }
                self.begin_fetch(request, bytes.next_multiple_of(4), Then::ReceiveFrame { bytes });
            }
            FrameCommand::Receive => {
                self.commands.hold(request, For::Frame(request.function))?;
            }
        }
        Ok(Answer::Held)
    }

    /// The frame of a Send Frame command is in the data buffer: it arrives.
    pub(crate) fn receive_frame(&mut self, sender: &Request, bytes: u32) {
        self.complete(sender.place, 0);
        let function = sender.function;
        // Frames stay in order: those that wait are older.
        let is_next = self.frames.position(function).is_none();
        let receiver = if is_next { self.commands.take_waiting(For::Frame(function)) } else { None };
        match receiver {
            Some(receiver) => self.deliver_frame(&receiver, bytes),
            None => self.keep_frame(function, bytes),
        }
    }

    fn keep_frame(&mut self, function: u8, bytes: u32) {
        assert!(!self.frames.is_full(), "looked at when the frame was sent, and one is sent at a time");
        let at = (self.frames.first + self.frames.len) % KEPT;
        let frame = &mut self.frames.ring[at];
        (frame.function, frame.bytes) = (function, bytes);
        for (index, word) in (0..bytes.div_ceil(4)).zip(&mut frame.words) {
            *word = self.port.buffer_word(index);
        }
        self.frames.len += 1;
    }

    /// Gives a frame that waits to a command that was held for it.
    pub(crate) fn poll_frames(&mut self) {
        if self.transfer.is_some() || self.frames.len == 0 {
            return;
        }
        for function in 0..self.functions.len() as u8 {
            let Some(position) = self.frames.position(function) else {
                continue;
            };
            let Some(receiver) = self.commands.take_waiting(For::Frame(function)) else {
                continue;
            };
            let frame = &self.frames.ring[(self.frames.first + position) % KEPT];
            let bytes = frame.bytes;
            for (index, word) in (0..bytes.div_ceil(4)).zip(frame.words) {
                self.port.set_buffer_word(index, word);
            }
            self.frames.remove(position);
            return self.deliver_frame(&receiver, bytes);
        }
    }

    /// Sends the frame in the data buffer to the host's memory.
    fn deliver_frame(&mut self, receiver: &Request, bytes: u32) {
        let rounded = bytes.next_multiple_of(4);
        self.begin_transfer(receiver, rounded, rounded, Then::Complete { result: bytes, acknowledges: None });
    }
}
