//! A socket, and messages on it as bytes.

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::net::{recvmsg, sendmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Bytes of a header: id and command of 16 bits; length, flags and error of 32 bits. "Header".
pub(crate) const HEADER_BYTES: usize = 16;

/// In the flags: this is a reply.
pub const REPLY: u32 = 1;
/// In the flags: no reply is wanted.
pub const NO_REPLY: u32 = 1 << 4;
/// In the flags of a reply: the command failed.
pub const ERROR: u32 = 1 << 5;

/// Files that may come with one message.
const FILES_MAX: usize = 4;

/// Why a command has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The server has gone.
    #[error("the server has closed the connection")]
    Gone,
    /// The server says no.
    #[error("the server refuses command {command}: {}", io::Error::from_raw_os_error(*.errno))]
    Refused {
        /// Which command.
        command: u16,
        /// Why: the number.
        errno: i32,
    },
    /// The server says what it must not.
    #[error("the server breaks the protocol: {0}")]
    Protocol(String),
}

/// A message that came.
#[derive(Debug)]
pub struct Incoming {
    /// The sender's, or, in a reply, ours.
    pub id: u16,
    /// Which command.
    pub command: u16,
    /// Command or reply, and how.
    pub flags: u32,
    /// The number of an error.
    pub errno: u32,
    /// What follows the header.
    pub body: Vec<u8>,
    /// Files that came with it.
    pub files: Vec<OwnedFd>,
}

/// A connection on which anything can be sent.
pub struct Connection {
    socket: UnixStream,
}

impl Connection {
    /// Connects to a socket.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { socket: UnixStream::connect(path)? })
    }

    /// A message with a header whose length is right.
    pub fn message(id: u16, command: u16, flags: u32, body: &[u8]) -> Vec<u8> {
        let bytes = (HEADER_BYTES + body.len()) as u32;
        let mut message = Vec::new();
        message.extend(id.to_ne_bytes());
        message.extend(command.to_ne_bytes());
        message.extend(bytes.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        message
    }

    /// Sends bytes, the first of them with files.
    pub fn send(&self, mut bytes: &[u8], mut files: &[BorrowedFd<'_>]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut space = vec![MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(files).size()];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !files.is_empty() {
                assert!(control.push(SendAncillaryMessage::ScmRights(files)), "there is room for the files");
            }
            match sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(sent) => {
                    bytes = &bytes[sent..];
                    files = &[];
                }
            }
        }
        Ok(())
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) -> io::Result<()> {
        self.socket.shutdown(std::net::Shutdown::Write)
    }

    /// Waits for a message; none if the server has gone.
    pub fn receive(&self) -> Result<Option<Incoming>, Error> {
        let (mut header, mut files) = ([0; HEADER_BYTES], Vec::new());
        if !self.fill(&mut header, &mut files)? {
            return Ok(None);
        }
        let short = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let Some(left) = (word(4) as usize).checked_sub(HEADER_BYTES) else {
            return Err(Error::Protocol(format!("a message of {} bytes", word(4))));
        };
        let mut body = vec![0; left];
        if !self.fill(&mut body, &mut files)? {
            return Err(Error::Gone);
        }
        Ok(Some(Incoming { id: short(0), command: short(2), flags: word(8), errno: word(12), body, files }))
    }

    fn fill(&self, data: &mut [u8], files: &mut Vec<OwnedFd>) -> Result<bool, Error> {
        let mut done = 0;
        while done < data.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut data[done..])];
            let received = match recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => continue,
                // The server may have gone before it took what was sent.
                Err(rustix::io::Errno::CONNRESET) => return if done == 0 { Ok(false) } else { Err(Error::Gone) },
                other => other.map_err(io::Error::from)?,
            };
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    files.extend(received);
                }
            }
            match (received.bytes, done) {
                (0, 0) => return Ok(false),
                (0, _) => return Err(Error::Gone),
                (bytes, _) => done += bytes,
            }
        }
        Ok(true)
    }

    /// Whether something has come, or the server has gone, within this time.
    pub fn wait(&self, time: Duration) -> io::Result<bool> {
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&time)) {
            Err(rustix::io::Errno::INTR) => Ok(false),
            other => Ok(other? > 0),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
