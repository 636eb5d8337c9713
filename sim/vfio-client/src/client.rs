//! The commands of the protocol.

use crate::connection::{Connection, Error, Incoming, ERROR, REPLY};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// Commands. "Commands".
#[allow(missing_docs)] // They are named as there.
pub mod command {
    pub const VERSION: u16 = 1;
    pub const DMA_MAP: u16 = 2;
    pub const DMA_UNMAP: u16 = 3;
    pub const GET_INFO: u16 = 4;
    pub const GET_REGION_INFO: u16 = 5;
    pub const GET_REGION_IO_FDS: u16 = 6;
    pub const GET_IRQ_INFO: u16 = 7;
    pub const SET_IRQS: u16 = 8;
    pub const REGION_READ: u16 = 9;
    pub const REGION_WRITE: u16 = 10;
    pub const DMA_READ: u16 = 11;
    pub const DMA_WRITE: u16 = 12;
    pub const RESET: u16 = 13;
}

/// Regions of a PCI device.
pub mod region {
    /// The registers.
    pub const BAR0: u32 = 0;
    /// The configuration space.
    pub const CONFIG: u32 = 7;
}

/// Flags of a window.
pub mod map {
    /// The device may read.
    pub const READABLE: u32 = 1;
    /// The device may write.
    pub const WRITABLE: u32 = 2;
}

/// What SET_IRQS brings.
pub mod data {
    /// Nothing.
    pub const NONE: u32 = 1;
    /// A byte for each vector.
    pub const BOOL: u32 = 2;
    /// A file for each vector.
    pub const EVENT_FILE: u32 = 4;
}

/// What SET_IRQS does.
pub mod action {
    /// Mask.
    pub const MASK: u32 = 8;
    /// Unmask.
    pub const UNMASK: u32 = 16;
    /// Trigger, or say what a trigger signals.
    pub const TRIGGER: u32 = 32;
}

/// What is proposed: as much as QEMU does.
const PROPOSAL: &str =
    "{\"capabilities\":{\"max_msg_fds\":4,\"max_data_xfer_size\":1048576,\"max_dma_maps\":65535,\"pgsizes\":4096}}\0";

/// The memory that the server reads and writes by messages.
pub trait Memory {
    /// Reads; false if it is not there.
    fn read(&mut self, address: u64, data: &mut [u8]) -> bool;
    /// Writes; false if it is not there.
    fn write(&mut self, address: u64, data: &[u8]) -> bool;
}

/// No memory that is reached by messages.
pub struct NoMemory;

impl Memory for NoMemory {
    fn read(&mut self, _address: u64, _data: &mut [u8]) -> bool {
        false
    }

    fn write(&mut self, _address: u64, _data: &[u8]) -> bool {
        false
    }
}

/// The answer to GET_INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Bit 0: it can be reset; bit 1: it is a PCI device.
    pub flags: u32,
    /// Regions.
    pub regions: u32,
    /// Kinds of interrupts.
    pub interrupts: u32,
}

/// The answer to GET_REGION_INFO.
#[derive(Debug)]
pub struct RegionInfo {
    /// Bits 0 to 3: it can be read, written, mapped; it has capabilities.
    pub flags: u32,
    /// Its length.
    pub bytes: u64,
    /// Parts that can be mapped: where they are in the region, where in the file, and their length.
    pub areas: Vec<(u64, u64, u64)>,
    /// What to map.
    pub file: Option<OwnedFd>,
}

/// The answer to GET_IRQ_INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptInfo {
    /// Bit 0: event files; bit 1: it can be masked.
    pub flags: u32,
    /// How many there are.
    pub count: u32,
}

/// A connection on which a version is agreed.
pub struct Client {
    connection: Connection,
    next_id: u16,
    /// What the server has answered to the proposal, as text.
    pub agreement: String,
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn word(body: &[u8], at: usize) -> Result<u32, Error> {
    let bytes = body.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_ne_bytes).ok_or_else(|| Error::Protocol(format!("a payload of {} bytes", body.len())))
}

fn long(body: &[u8], at: usize) -> Result<u64, Error> {
    let bytes = body.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_ne_bytes).ok_or_else(|| Error::Protocol(format!("a payload of {} bytes", body.len())))
}

impl Client {
    /// Connects and agrees on a version.
    pub fn connect(socket: &Path) -> Result<Self, Error> {
        Self::negotiate(Connection::open(socket)?, PROPOSAL)
    }

    /// Agrees on a version, with this JSON (and its NUL), or without any.
    pub fn negotiate(connection: Connection, json: &str) -> Result<Self, Error> {
        let mut client = Self { connection, next_id: 0, agreement: String::new() };
        let body = [&[0, 0, 1, 0][..], json.as_bytes()].concat();
        let reply = client.request(command::VERSION, &body, &[], &mut NoMemory)?;
        let json = reply.body.get(4..).ok_or_else(|| Error::Protocol("a version without a version".to_owned()))?;
        client.agreement = String::from_utf8_lossy(json).into_owned();
        Ok(client)
    }

    /// The connection, for what a client does not do.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends a command and waits for its reply; what the server asks for meanwhile is answered from `memory`.
    pub fn request(
        &mut self,
        command: u16,
        body: &[u8],
        files: &[BorrowedFd<'_>],
        memory: &mut dyn Memory,
    ) -> Result<Incoming, Error> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.connection.send(&Connection::message(id, command, 0, body), files)?;
        loop {
            let message = self.connection.receive()?.ok_or(Error::Gone)?;
            if message.flags & REPLY == 0 {
                self.answer(message, memory)?;
                continue;
            }
            if (message.id, message.command) != (id, command) {
                return Err(Error::Protocol(format!("a reply to {} {}", message.id, message.command)));
            }
            if message.flags & ERROR != 0 {
                if !message.body.is_empty() {
                    return Err(Error::Protocol("a refusal with a payload".to_owned()));
                }
                return Err(Error::Refused { command, errno: message.errno as i32 });
            }
            return Ok(message);
        }
    }

    /// Answers one request of the server, if there is one within this time; false if not.
    pub fn serve(&mut self, time: Duration, memory: &mut dyn Memory) -> Result<bool, Error> {
        if !self.connection.wait(time)? {
            return Ok(false);
        }
        let message = self.connection.receive()?.ok_or(Error::Gone)?;
        if message.flags & REPLY != 0 {
            return Err(Error::Protocol(format!("a reply that nobody waits for, {}", message.id)));
        }
        self.answer(message, memory)?;
        Ok(true)
    }

    fn answer(&mut self, message: Incoming, memory: &mut dyn Memory) -> Result<(), Error> {
        let (address, count) = (long(&message.body, 0)?, long(&message.body, 8)? as usize);
        let mut reply = message.body[..16].to_vec();
        let is_there = match message.command {
            command::DMA_READ => {
                reply.resize(16 + count, 0);
                memory.read(address, &mut reply[16..])
            }
            command::DMA_WRITE if message.body.len() == 16 + count => memory.write(address, &message.body[16..]),
            _ => return Err(Error::Protocol(format!("command {} to a client", message.command))),
        };
        let bytes = if is_there {
            Connection::message(message.id, message.command, REPLY, &reply)
        } else {
            let mut refusal = Connection::message(message.id, message.command, REPLY | ERROR, &[]);
            refusal[12..16].copy_from_slice(&libc::EFAULT.to_ne_bytes());
            refusal
        };
        self.connection.send(&bytes, &[])?;
        Ok(())
    }

    /// GET_INFO.
    pub fn info(&mut self) -> Result<DeviceInfo, Error> {
        let reply = self.request(command::GET_INFO, &words(&[16, 0, 0, 0]), &[], &mut NoMemory)?.body;
        Ok(DeviceInfo { flags: word(&reply, 4)?, regions: word(&reply, 8)?, interrupts: word(&reply, 12)? })
    }

    /// GET_REGION_INFO, first without room for capabilities, as QEMU does.
    pub fn region(&mut self, index: u32) -> Result<RegionInfo, Error> {
        let ask = |client: &mut Self, room: u32| {
            let request = words(&[room, 0, index, 0, 0, 0, 0, 0]);
            client.request(command::GET_REGION_INFO, &request, &[], &mut NoMemory)
        };
        let mut reply = ask(self, 32)?;
        let room = word(&reply.body, 0)?;
        if room > 32 {
            reply = ask(self, room)?;
        }
        let Incoming { body, mut files, .. } = reply;
        let (flags, bytes, offset) = (word(&body, 4)?, long(&body, 16)?, long(&body, 24)?);
        let mut areas = Vec::new();
        let mut at = if flags & 8 == 0 { 0 } else { word(&body, 12)? as usize };
        while at != 0 {
            // linux/vfio.h, VFIO_REGION_INFO_CAP_SPARSE_MMAP: 1, in version 1.
            if word(&body, at)? == 0x1_0001 {
                for area in 0..word(&body, at + 8)? as usize {
                    let start = long(&body, at + 16 + 16 * area)?;
                    areas.push((start, offset + start, long(&body, at + 24 + 16 * area)?));
                }
            }
            at = word(&body, at + 4)? as usize;
        }
        Ok(RegionInfo { flags, bytes, areas, file: files.pop() })
    }

    /// GET_IRQ_INFO.
    pub fn interrupts(&mut self, index: u32) -> Result<InterruptInfo, Error> {
        let reply = self.request(command::GET_IRQ_INFO, &words(&[16, 0, index, 0]), &[], &mut NoMemory)?.body;
        Ok(InterruptInfo { flags: word(&reply, 4)?, count: word(&reply, 12)? })
    }

    /// DMA_MAP: with a file, or to be reached by messages.
    pub fn map(
        &mut self,
        flags: u32,
        address: u64,
        bytes: u64,
        file: Option<(BorrowedFd<'_>, u64)>,
    ) -> Result<(), Error> {
        let mut body = words(&[32, flags]);
        body.extend([file.map_or(0, |(_, offset)| offset), address, bytes].iter().flat_map(|long| long.to_ne_bytes()));
        let files: Vec<BorrowedFd<'_>> = file.map(|(file, _)| file).into_iter().collect();
        self.request(command::DMA_MAP, &body, &files, &mut NoMemory).map(drop)
    }

    /// DMA_UNMAP. What the server still asks for is answered from `memory`.
    pub fn unmap(&mut self, flags: u32, address: u64, bytes: u64, memory: &mut dyn Memory) -> Result<(), Error> {
        let mut body = words(&[24, flags]);
        body.extend([address, bytes].iter().flat_map(|long| long.to_ne_bytes()));
        let reply = self.request(command::DMA_UNMAP, &body, &[], memory)?;
        if reply.body != body {
            return Err(Error::Protocol("the reply to an unmap is not what was asked".to_owned()));
        }
        Ok(())
    }

    fn access(region: u32, offset: u64, count: usize) -> Vec<u8> {
        [&offset.to_ne_bytes()[..], &words(&[region, count as u32])].concat()
    }

    /// REGION_READ.
    pub fn read(&mut self, region: u32, offset: u64, data: &mut [u8], memory: &mut dyn Memory) -> Result<(), Error> {
        let asked = Self::access(region, offset, data.len());
        let reply = self.request(command::REGION_READ, &asked, &[], memory)?.body;
        match reply.split_at_checked(asked.len()) {
            Some((echo, read)) if echo == asked && read.len() == data.len() => data.copy_from_slice(read),
            _ => return Err(Error::Protocol(format!("{} bytes for a read of {}", reply.len(), data.len()))),
        }
        Ok(())
    }

    /// REGION_WRITE.
    pub fn write(&mut self, region: u32, offset: u64, data: &[u8], memory: &mut dyn Memory) -> Result<(), Error> {
        let asked = Self::access(region, offset, data.len());
        let reply = self.request(command::REGION_WRITE, &[&asked, data].concat(), &[], memory)?.body;
        if reply != asked {
            return Err(Error::Protocol("the reply to a write is not what was asked".to_owned()));
        }
        Ok(())
    }

    /// SET_IRQS: `flags` is one of [`data`] and one of [`action`].
    pub fn set_interrupts(
        &mut self,
        flags: u32,
        index: u32,
        range: std::ops::Range<u32>,
        data: &[u8],
        files: &[BorrowedFd<'_>],
    ) -> Result<(), Error> {
        let mut body = words(&[20 + data.len() as u32, flags, index, range.start, range.end - range.start]);
        body.extend(data);
        self.request(command::SET_IRQS, &body, files, &mut NoMemory).map(drop)
    }

    /// DEVICE_RESET.
    pub fn reset(&mut self, memory: &mut dyn Memory) -> Result<(), Error> {
        self.request(command::RESET, &[], &[], memory).map(drop)
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(io::Error::from(error))
    }
}
