//! QEMU's `x-pci-proxy-dev`: the device is the remote process of a PCI device of stock QEMU. QEMU, "Multi-process QEMU".
//!
//! One socket for each function. A message is a header of [`HEADER_BYTES`] (command, 4 bytes of padding, size of the rest), and as many bytes; files come
//! as `SCM_RIGHTS` with its first byte. QEMU waits for the answer to every access, so that an access is answered as soon as its value is known, and a
//! write when it is in line.
//!
//! What this protocol cannot carry is MSI-X: the table is in the device's BAR, and messages are injected through QEMU's `qtest` socket
//! ([`QemuHost`]). INTx needs KVM and is not used.

use crate::{distinct, Endpoint, GuestMemory, Host, MapError, Mapping};
use nvme_spec::pci;
use rustix::net::{recvmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use sim_device::{Access, Fault, Message, Outside};
use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 16;

/// Most bytes behind a header: those of [`SYNC_SYSMEM`].
const BODY_BYTES_MAX: u64 = 8 * 3 * WINDOWS_MAX as u64;

/// Windows of guest memory in one message.
const WINDOWS_MAX: usize = 8;

/// Commands.
mod command {
    /// The guest's memory, in place of what was said before: addresses, sizes and offsets in files. No answer.
    pub const SYNC_SYSMEM: u32 = 0;
    /// The answer to an access.
    pub const RET: u32 = 1;
    /// Writes the configuration space.
    pub const PCI_CONFIG_WRITE: u32 = 2;
    /// Reads the configuration space.
    pub const PCI_CONFIG_READ: u32 = 3;
    /// Writes a BAR.
    pub const BAR_WRITE: u32 = 4;
    /// Reads a BAR.
    pub const BAR_READ: u32 = 5;
    /// Event files of INTx. No answer.
    pub const SET_IRQFD: u32 = 6;
    /// The bus was reset.
    pub const DEVICE_RESET: u32 = 7;
}
use command::*;

/// Why the conversation with QEMU ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket failed.
    #[error("the connection to QEMU failed: {0}")]
    Io(#[from] io::Error),
    /// QEMU sent what it never does.
    #[error("QEMU sent a message that this protocol does not have: {0}. Use a QEMU of version 7.2")]
    Protocol(String),
    /// The guest's memory cannot be reached.
    #[error("the guest's memory cannot be mapped: {0}. Give the guest a memory backend with `share=on`")]
    Memory(#[from] MapError),
}

struct Incoming {
    command: u32,
    body: Vec<u8>,
    files: Vec<OwnedFd>,
}

impl Incoming {
    fn word(&self, at: usize) -> Result<u32, Error> {
        let bytes = self.body.get(at..at + 4).ok_or_else(|| self.too_short())?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes")))
    }

    fn long(&self, at: usize) -> Result<u64, Error> {
        Ok(u64::from(self.word(at)?) | u64::from(self.word(at + 4)?) << 32)
    }

    fn too_short(&self) -> Error {
        Error::Protocol(format!("command {} with {} bytes", self.command, self.body.len()))
    }
}

/// What comes from QEMU, message by message. An access comes with one call of the system.
struct Messages<'s> {
    socket: &'s UnixStream,
    /// Bytes that no message has taken.
    bytes: Vec<u8>,
    /// Files that no message has taken: those of the next one that has any.
    files: Vec<OwnedFd>,
}

/// Bytes that are taken at once.
const PIECE_BYTES: usize = 256;

impl Messages<'_> {
    /// The next message; none if QEMU has gone.
    fn next(&mut self) -> Result<Option<Incoming>, Error> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            match (self.receive()?, self.bytes.is_empty()) {
                (false, true) => return Ok(None),
                (false, false) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                (true, _) => {}
            }
        }
    }

    /// A message that is there as a whole.
    fn take(&mut self) -> Result<Option<Incoming>, Error> {
        let Some(header) = self.bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let command = u32::from_le_bytes(header[..4].try_into().expect("four bytes"));
        let bytes = u64::from_le_bytes(header[8..].try_into().expect("eight bytes"));
        if bytes > BODY_BYTES_MAX {
            return Err(Error::Protocol(format!("command {command} with {bytes} bytes")));
        }
        let end = HEADER_BYTES + bytes as usize;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let body = self.bytes[HEADER_BYTES..end].to_vec();
        self.bytes.drain(..end);
        let files = match command {
            SYNC_SYSMEM | SET_IRQFD => std::mem::take(&mut self.files),
            _ => Vec::new(),
        };
        Ok(Some(Incoming { command, body, files }))
    }

    /// Takes what there is; false if there is nothing any more.
    fn receive(&mut self) -> io::Result<bool> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(WINDOWS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut piece = [0; PIECE_BYTES];
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut piece)];
            match recvmsg(self.socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.extend(files);
            }
        }
        self.bytes.extend_from_slice(&piece[..received.bytes]);
        Ok(received.bytes > 0)
    }
}

fn answer(mut socket: &UnixStream, value: u64) -> io::Result<()> {
    let mut message = [0; HEADER_BYTES + 8];
    message[..4].copy_from_slice(&RET.to_le_bytes());
    message[8..16].copy_from_slice(&8u64.to_le_bytes());
    message[16..].copy_from_slice(&value.to_le_bytes());
    socket.write_all(&message)
}

/// Serves one function until QEMU goes.
///
/// # Errors
/// If the connection fails or QEMU sends what cannot be understood: nothing more can be read from it then.
pub fn serve(endpoint: &dyn Endpoint, function: u8, socket: &UnixStream, memory: &GuestMemory) -> Result<(), Error> {
    let mut messages = Messages { socket, bytes: Vec::new(), files: Vec::new() };
    while let Some(message) = messages.next()? {
        match message.command {
            SYNC_SYSMEM => map_memory(message, memory)?,
            PCI_CONFIG_WRITE => {
                let (offset, value, bytes) = (message.word(0)?, message.word(4)?, message.word(8)?);
                endpoint.write_config(function, offset, narrow(bytes), value);
                answer(socket, 0)?;
            }
            PCI_CONFIG_READ => {
                let (offset, bytes) = (message.word(0)?, message.word(8)?);
                answer(socket, u64::from(endpoint.read_config(function, offset, narrow(bytes))))?;
            }
            BAR_WRITE => {
                let access = bar_access(endpoint, function, &message)?;
                endpoint.write_bar(access, message.long(8)?);
                answer(socket, 0)?;
            }
            BAR_READ => answer(socket, endpoint.read_bar_now(bar_access(endpoint, function, &message)?))?,
            SET_IRQFD => {}
            DEVICE_RESET => {
                endpoint.reset(function);
                answer(socket, 0)?;
            }
            other => return Err(Error::Protocol(format!("command {other}"))),
        }
    }
    Ok(())
}

/// A width; what is none becomes 0, which no access has.
fn narrow(bytes: u32) -> u8 {
    u8::try_from(bytes).unwrap_or(0)
}

/// The access of a message, which has the address on the bus.
fn bar_access(endpoint: &dyn Endpoint, function: u8, message: &Incoming) -> Result<Access, Error> {
    let base = endpoint.read_config(function, pci::BAR0.offset, 4) & pci::bar0::ADDRESS.mask() as u32;
    let bytes = message.word(16)?;
    if !matches!(bytes, 1 | 2 | 4 | 8) {
        return Err(Error::Protocol(format!("an access of {bytes} bytes")));
    }
    Ok(Access { function, offset: message.long(0)?.wrapping_sub(u64::from(base)), bytes: narrow(bytes) })
}

/// Takes a new map of the guest's memory, in place of the old one: the guest may be using the device meanwhile.
fn map_memory(message: Incoming, memory: &GuestMemory) -> Result<(), Error> {
    let field = |number: usize, index: usize| message.long(8 * (number * WINDOWS_MAX + index));
    let window = |(index, file): (usize, &OwnedFd)| -> Result<Mapping, Error> {
        let (address, bytes, offset) = (field(0, index)?, field(1, index)?, field(2, index)?);
        Ok(Mapping { address, bytes, file: File::from(file.try_clone()?), offset, is_writable: true })
    };
    let windows = message.files.iter().take(WINDOWS_MAX).enumerate().map(window).collect::<Result<Vec<_>, _>>()?;
    Ok(memory.replace(windows)?)
}

/// The guest of QEMU as a [`Host`]: its memory, as each function's proxy shows it, and its interrupt controller behind a `qtest` socket.
pub struct QemuHost {
    /// Of each function.
    memory: Vec<GuestMemory>,
    qtest: UnixStream,
    /// Commands of `qtest` whose answers have not been taken.
    unanswered: u32,
}

/// Commands of `qtest` without an answer from which on answers are taken: QEMU waits when its socket is full of them, at some hundreds.
const UNANSWERED_MAX: u32 = 32;

impl QemuHost {
    /// A guest with so many functions, which answers `qtest` commands on this socket.
    pub fn new(functions: u8, qtest: UnixStream) -> Self {
        Self { memory: (0..functions).map(|_| GuestMemory::default()).collect(), qtest, unanswered: 0 }
    }

    /// The memory as seen by a function: for [`serve`].
    pub fn memory(&self, function: u8) -> GuestMemory {
        self.memory[usize::from(function)].clone()
    }

    /// Takes the answers that are there. They say "OK", and nothing else; one that QEMU has still to give counts as unanswered.
    fn take_answers(&mut self) {
        let mut answers = [0; PIECE_BYTES];
        while let Ok((bytes @ 1.., _)) = rustix::net::recv(&self.qtest, &mut answers, RecvFlags::DONTWAIT) {
            let lines = answers[..bytes].iter().filter(|&&byte| byte == b'\n').count();
            self.unanswered = self.unanswered.saturating_sub(lines as u32);
        }
    }
}

impl Outside for QemuHost {
    fn read(&mut self, function: u8, address: u64, data: &mut [u8]) -> Result<(), Fault> {
        self.memory.get_mut(usize::from(function)).ok_or(Fault)?.read(function, address, data)
    }

    fn write(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Fault> {
        self.memory.get_mut(usize::from(function)).ok_or(Fault)?.write(function, address, data)
    }
}

impl Host for QemuHost {
    fn interrupt(&mut self, messages: &[Message]) {
        if self.unanswered >= UNANSWERED_MAX {
            self.take_answers();
        }
        let mut commands = String::new();
        for Message { address, data, .. } in distinct(messages) {
            commands += &format!("writel {address:#x} {data:#x}\n");
            self.unanswered += 1;
        }
        // A QEMU that has gone needs no interrupts; its other sockets tell.
        let _ = self.qtest.write_all(commands.as_bytes());
    }
}
