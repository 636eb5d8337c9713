//! Whole messages on a socket.

use super::wire::{flags, Header, BODY_BYTES_MAX, FILES_MAX};
use rustix::io::Errno;
use rustix::net::{recvmsg, sendmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{size_of, MaybeUninit};
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use zerocopy::{FromZeros, IntoBytes};

/// A message that came.
pub(super) struct Message {
    pub header: Header,
    pub body: Vec<u8>,
    pub files: Vec<OwnedFd>,
    /// There was more of it than any command has: bytes or files that were thrown away.
    pub is_cut: bool,
}

/// The connection to a client. One thread receives; who has something to send sends it, as a whole.
pub(super) struct Link {
    socket: UnixStream,
    sending: Mutex<()>,
}

impl Link {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self { socket, sending: Mutex::new(()) }
    }

    /// Ends the connection, for both directions and all threads.
    pub(super) fn close(&self) {
        // It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Sends a message by one call of the system, unless that was interrupted: clients read replies by one call, too. A message that cannot be sent
    /// ends the connection.
    pub(super) fn send(&self, header: Header, body: &[&[u8]], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = size_of::<Header>() + body.iter().map(|part| part.len()).sum::<usize>();
        let mut message = Vec::with_capacity(bytes);
        message.extend_from_slice(Header { bytes: (bytes as u32).into(), ..header }.as_bytes());
        body.iter().for_each(|part| message.extend_from_slice(part));
        let _sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = self.send_bytes(&message, files);
        if sent.is_err() {
            self.close();
        }
        sent
    }

    fn send_bytes(&self, mut message: &[u8], mut files: &[BorrowedFd<'_>]) -> io::Result<()> {
        while !message.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !files.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(files));
            }
            match sendmsg(&self.socket, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(sent) => {
                    message = &message[sent..];
                    files = &[];
                }
            }
        }
        Ok(())
    }

    /// Waits for the next message; none if the client has gone between two messages.
    ///
    /// # Errors
    /// If the connection ended in the middle of a message, or the length of a message is not possible, so that nobody knows where the next begins.
    pub(super) fn receive(&self) -> io::Result<Option<Message>> {
        let mut header = Header::new_zeroed();
        let (mut files, mut is_cut) = (Vec::new(), false);
        if !self.fill(header.as_mut_bytes(), &mut files, &mut is_cut)? {
            return Ok(None);
        }
        let Some(bytes) = (header.bytes.get() as usize).checked_sub(size_of::<Header>()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message shorter than its header"));
        };
        let mut body = vec![0; bytes.min(BODY_BYTES_MAX)];
        let mut left = bytes - body.len();
        let mut is_whole = self.fill(&mut body, &mut files, &mut is_cut)?;
        let mut drain = [0; 4096];
        while is_whole && left > 0 {
            is_cut = true;
            let part = left.min(drain.len());
            is_whole = self.fill(&mut drain[..part], &mut files, &mut is_cut)?;
            left -= part;
        }
        if !is_whole {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(Message { header, body, files, is_cut }))
    }

    /// Receives exactly `data`; false if the client has gone before its first byte.
    fn fill(&self, data: &mut [u8], files: &mut Vec<OwnedFd>, is_cut: &mut bool) -> io::Result<bool> {
        let mut done = 0;
        while done < data.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut data[done..])];
            let received = match recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            *is_cut |= received.flags.contains(ReturnFlags::CTRUNC);
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    for file in received {
                        if files.len() < FILES_MAX {
                            files.push(file);
                        } else {
                            *is_cut = true;
                        }
                    }
                }
            }
            match (received.bytes, done) {
                (0, 0) => return Ok(false),
                (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (bytes, _) => done += bytes,
            }
        }
        Ok(true)
    }
}

/// What a command is answered with, by whoever has the answer.
#[derive(Clone)]
pub(super) struct Responder {
    link: Arc<Link>,
    command: Header,
}

impl Responder {
    pub(super) fn new(link: Arc<Link>, command: Header) -> Self {
        Self { link, command }
    }

    /// Answers with a payload.
    pub(super) fn succeed(&self, body: &[&[u8]], files: &[BorrowedFd<'_>]) {
        self.send(Header { flags: flags::REPLY.into(), error: 0.into(), ..self.command }, body, files);
    }

    /// Answers that the command failed. "Header": such a reply has no payload.
    pub(super) fn fail(&self, error: Errno) {
        let flags = (flags::REPLY | flags::ERROR).into();
        self.send(Header { flags, error: (error.raw_os_error() as u32).into(), ..self.command }, &[], &[]);
    }

    fn send(&self, header: Header, body: &[&[u8]], files: &[BorrowedFd<'_>]) {
        if self.command.flags.get() & flags::NO_REPLY == 0 {
            // A link that fails is closed, and the thread that receives learns of it.
            let _ = self.link.send(header, body, files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::command;
    use super::*;
    use rustix::net::{recv, socketpair, AddressFamily, SocketFlags, SocketType};
    use std::os::fd::AsFd;

    /// SPDK reads the payload of a reply by one call. On a socket that keeps packets apart, what is sent by one call is one packet.
    #[test]
    fn a_message_is_sent_by_one_call() {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.expect("two sockets");
        let link = Arc::new(Link::new(ours.into()));
        let command = Header { command: command::REGION_READ.into(), ..Header::new_zeroed() };
        Responder::new(link, command).succeed(&[&[1; 16], &[2; 5000]], &[theirs.as_fd()]);
        let mut packet = [0; 8192];
        let (_, bytes) = recv(&theirs, &mut packet, RecvFlags::DONTWAIT).expect("a packet");
        assert_eq!(bytes, 16 + 16 + 5000);
        assert_eq!(packet[4..8], (bytes as u32).to_ne_bytes());
    }
}
