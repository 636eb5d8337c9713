//! The commands of one client.

use super::doorbells::{Doorbells, Watch};
use super::link::{Link, Message, Responder};
use super::server::Function;
use super::version::negotiate;
use super::wire::{command, device_flags, flags, interrupt, interrupt_flags, region, region_flags};
use super::wire::{DeviceInfo, DmaMap, DmaUnmap, InterruptInfo, RegionAccess, RegionInfo, SetInterrupts, SparseMmap};
use super::wire::{TRANSFER_BYTES_MAX, UNMAP_ALL};
use crate::Endpoint;
use nvme_spec::pci::{DEVICE_CONTROL, EXTENDED_CONFIG_BYTES, POWER_CONTROL};
use nvme_spec::regs::{BAR0_BYTES, MSIX_TABLE, VS};
use rustix::io::Errno;
use sim_device::Access;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Reads of BAR0 that may wait for the device: a client that asks for more, and takes no answers, is told to come back.
const READS_MAX: usize = 4096;

/// Serves one client until it goes.
///
/// # Errors
/// If the connection fails, or is of no use any more.
pub(super) fn run(function: &Function, endpoint: &Arc<dyn Endpoint>, link: &Arc<Link>) -> io::Result<()> {
    let doorbells = Arc::new(Doorbells::new(endpoint.clone(), function.number)?);
    let reads = Arc::new(AtomicUsize::new(0));
    let mut session = Session { function, endpoint, link, doorbells, watch: None, is_agreed: false, reads };
    while let Some(message) = link.receive()? {
        session.take(message)?;
    }
    Ok(())
}

struct Session<'a> {
    function: &'a Function,
    endpoint: &'a Arc<dyn Endpoint>,
    link: &'a Arc<Link>,
    doorbells: Arc<Doorbells>,
    /// Since the client has the file of the doorbells.
    watch: Option<Watch>,
    /// Whether a version is agreed on.
    is_agreed: bool,
    reads: Arc<AtomicUsize>,
}

/// Whether a command has been answered.
enum Answer {
    /// With this payload, now.
    Now(Vec<u8>),
    /// Already, or by somebody later.
    Elsewhere,
}

/// What a request begins with; it may be longer: some clients send as many bytes as they want back.
fn request<T: FromBytes + KnownLayout + Immutable>(body: &[u8]) -> Result<(&T, &[u8]), Errno> {
    T::ref_from_prefix(body).map_err(|_| Errno::INVAL)
}

impl Session<'_> {
    /// Takes one message.
    ///
    /// # Errors
    /// If the conversation cannot go on.
    fn take(&mut self, message: Message) -> io::Result<()> {
        let header = message.header;
        match header.flags.get() & flags::TYPE {
            flags::REPLY => {
                self.function.memory.answer(message);
                return Ok(());
            }
            flags::COMMAND => {}
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is no command and no reply")),
        }
        // What the client rang before it sent this, it rang before.
        self.doorbells.pass_on();
        let responder = Responder::new(self.link.clone(), header);
        let answer = if message.is_cut { Err(Errno::TOOBIG) } else { self.command(message, &responder) };
        match answer {
            Ok(Answer::Now(payload)) => responder.succeed(&[&payload], &[]),
            Ok(Answer::Elsewhere) => {}
            Err(error) => responder.fail(error),
        }
        if !self.is_agreed {
            // "Version": the server closes the connection.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no version that both sides speak"));
        }
        Ok(())
    }

    fn command(&mut self, message: Message, responder: &Responder) -> Result<Answer, Errno> {
        let command = message.header.command.get();
        if (command == command::VERSION) == self.is_agreed {
            return Err(Errno::INVAL);
        }
        match command {
            command::VERSION => {
                let agreement = negotiate(&message.body)?;
                self.function.memory.attach(self.link.clone(), agreement.transfer_bytes_max);
                self.function.interrupts.attach(self.endpoint.vectors());
                self.is_agreed = true;
                Ok(Answer::Now(agreement.reply))
            }
            command::DMA_MAP => {
                let (map, _) = request::<DmaMap>(&message.body)?;
                self.function.memory.map(map, message.files).map(|()| Answer::Now(Vec::new()))
            }
            command::DMA_UNMAP => self.unmap(&message.body, responder),
            command::DEVICE_GET_INFO => self.device_info(&message.body),
            command::DEVICE_GET_REGION_INFO => self.region_info(&message.body, responder),
            command::DEVICE_GET_IRQ_INFO => self.interrupt_info(&message.body),
            command::DEVICE_SET_IRQS => {
                let (set, data) = request::<SetInterrupts>(&message.body)?;
                let Self { function, endpoint, .. } = self;
                function.interrupts.set(&***endpoint, function.number, set, data, message.files)?;
                Ok(Answer::Now(Vec::new()))
            }
            command::REGION_READ => self.read(&message.body, responder),
            command::REGION_WRITE => self.write(&message.body),
            command::DEVICE_RESET => {
                self.reset(responder);
                Ok(Answer::Elsewhere)
            }
            _ => Err(Errno::NOTSUP),
        }
    }

    fn unmap(&self, body: &[u8], responder: &Responder) -> Result<Answer, Errno> {
        let (&unmap, _) = request::<DmaUnmap>(body)?;
        let responder = responder.clone();
        let then = Box::new(move || responder.succeed(&[unmap.as_bytes()], &[]));
        let (address, bytes) = (unmap.address.get(), unmap.bytes.get());
        match unmap.flags.get() {
            0 => self.function.memory.unmap(address, bytes, then)?,
            UNMAP_ALL if (address, bytes) == (0, 0) => self.function.memory.unmap_all(then),
            _ => return Err(Errno::INVAL),
        }
        Ok(Answer::Elsewhere)
    }

    fn device_info(&self, body: &[u8]) -> Result<Answer, Errno> {
        let (asked, _) = request::<DeviceInfo>(body)?;
        let info = DeviceInfo {
            argument_bytes: (size_of::<DeviceInfo>() as u32).into(),
            flags: (device_flags::RESET | device_flags::PCI).into(),
            regions: region::COUNT.into(),
            interrupts: interrupt::COUNT.into(),
        };
        fits(asked.argument_bytes.get(), info.as_bytes())
    }

    fn interrupt_info(&self, body: &[u8]) -> Result<Answer, Errno> {
        let (asked, _) = request::<InterruptInfo>(body)?;
        let (flags, count) = match asked.index.get() {
            interrupt::MSIX => {
                (interrupt_flags::EVENT_FILE | interrupt_flags::MASKABLE, self.endpoint.vectors().into())
            }
            interrupt::COUNT.. => return Err(Errno::INVAL),
            _ => (0, 0),
        };
        let bytes = (size_of::<InterruptInfo>() as u32).into();
        let info =
            InterruptInfo { argument_bytes: bytes, flags: flags.into(), index: asked.index, count: u32::into(count) };
        fits(asked.argument_bytes.get(), info.as_bytes())
    }

    /// The file comes with the complete answer only. A client that has no room for it learns how much it needs. "Message sizes".
    fn region_info(&mut self, body: &[u8], responder: &Responder) -> Result<Answer, Errno> {
        let (asked, _) = request::<RegionInfo>(body)?;
        let (room, index) = (asked.argument_bytes.get() as usize, asked.index.get());
        let fixed = size_of::<RegionInfo>();
        let plain = RegionInfo { argument_bytes: (fixed as u32).into(), index: index.into(), ..RegionInfo::default() };
        if index != region::BAR0 {
            let flags = if region_bytes(index)? > 0 { region_flags::READ | region_flags::WRITE } else { 0 };
            let info = RegionInfo { flags: flags.into(), bytes: region_bytes(index)?.into(), ..plain };
            return fits(asked.argument_bytes.get(), info.as_bytes());
        }
        let all = region_flags::READ | region_flags::WRITE | region_flags::MMAP | region_flags::CAPABILITIES;
        let info = RegionInfo {
            argument_bytes: ((fixed + size_of::<SparseMmap>()) as u32).into(),
            flags: all.into(),
            capability_offset: (fixed as u32).into(),
            bytes: region_bytes(index)?.into(),
            ..plain
        };
        if room < fixed + size_of::<SparseMmap>() {
            return fits(asked.argument_bytes.get(), info.as_bytes());
        }
        if self.watch.is_none() {
            self.watch = Some(Watch::start(self.doorbells.clone()).map_err(|_| Errno::NOMEM)?);
        }
        responder.succeed(&[info.as_bytes(), Doorbells::area().as_bytes()], &[self.doorbells.file()]);
        Ok(Answer::Elsewhere)
    }

    fn read(&self, body: &[u8], responder: &Responder) -> Result<Answer, Errno> {
        let (access, _) = request::<RegionAccess>(body)?;
        let (index, range) = accessed(access)?;
        let start = range.start;
        let nobodys = vec![u8::MAX; range_len(&range)];
        let reply = || Reply { access: *access, responder: responder.clone(), data: Mutex::new(nobodys) };
        if index == region::CONFIG {
            let reply = reply();
            for (offset, bytes) in pieces(range, size_of::<u32>()) {
                let value = self.endpoint.read_config(self.function.number, offset as u32, bytes);
                reply.put((offset - start) as usize, bytes, value.into());
            }
            return Ok(Answer::Elsewhere);
        }
        let count = pieces(range.clone(), size_of::<u64>()).count();
        if self.reads.load(Ordering::Relaxed) + count > READS_MAX {
            return Err(Errno::BUSY);
        }
        self.reads.fetch_add(count, Ordering::Relaxed);
        let reply = Arc::new(reply());
        for (offset, bytes) in pieces(range, size_of::<u64>()) {
            let (reply, waits) = (reply.clone(), Counted(self.reads.clone()));
            let then = move |value| {
                reply.put((offset - start) as usize, bytes, value);
                drop(waits);
            };
            self.endpoint.read_bar(Access { function: self.function.number, offset, bytes }, Box::new(then));
        }
        Ok(Answer::Elsewhere)
    }

    fn write(&self, body: &[u8]) -> Result<Answer, Errno> {
        let (access, data) = request::<RegionAccess>(body)?;
        let (index, range) = accessed(access)?;
        if data.len() != range_len(&range) {
            return Err(Errno::INVAL);
        }
        let value = |offset: u64, bytes: u8| {
            let at = (offset - range.start) as usize;
            let piece = &data[at..at + usize::from(bytes)];
            piece.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
        };
        let (endpoint, function) = (&**self.endpoint, self.function.number);
        if index == region::CONFIG {
            for (offset, bytes) in pieces(range.clone(), size_of::<u32>()) {
                endpoint.write_config(function, offset as u32, bytes, value(offset, bytes) as u32);
            }
            // A function level reset has taken the table of vectors; without power it could not be written.
            let touches = |offset: u32| range.start < u64::from(offset) + 4 && u64::from(offset) < range.end;
            if touches(DEVICE_CONTROL.offset) || touches(POWER_CONTROL.offset) {
                self.function.interrupts.restore(endpoint, function);
            }
        } else {
            let in_table = |offset: u64| u32::try_from(offset).is_ok_and(|offset| MSIX_TABLE.contains(&offset));
            for (offset, bytes) in pieces(range.clone(), size_of::<u64>()).filter(|&(offset, _)| !in_table(offset)) {
                endpoint.write_bar(Access { function, offset, bytes }, value(offset, bytes));
            }
        }
        Ok(Answer::Now(access.as_bytes().to_vec()))
    }

    /// The answer comes when the device has been reset, after a read which the device takes later: from then on it accesses nothing.
    fn reset(&self, responder: &Responder) {
        let (endpoint, function) = (&**self.endpoint, self.function.number);
        endpoint.reset(function);
        self.function.interrupts.restore(endpoint, function);
        let responder = responder.clone();
        let then = Box::new(move |_| responder.succeed(&[], &[]));
        endpoint.read_bar(Access { function, ..Access::dword(VS.offset.into()) }, then);
    }
}

/// The answer, if there is room for it.
fn fits(room: u32, answer: &[u8]) -> Result<Answer, Errno> {
    if (room as usize) < answer.len() {
        return Err(Errno::INVAL);
    }
    Ok(Answer::Now(answer.to_vec()))
}

/// The length of a region; 0 for those that the device does not have.
fn region_bytes(index: u32) -> Result<u64, Errno> {
    match index {
        region::BAR0 => Ok(BAR0_BYTES.into()),
        region::CONFIG => Ok(EXTENDED_CONFIG_BYTES.into()),
        region::COUNT.. => Err(Errno::INVAL),
        _ => Ok(0),
    }
}

/// What a request accesses: bytes inside of a region, and not none.
fn accessed(access: &RegionAccess) -> Result<(u32, Range<u64>), Errno> {
    let (index, start, count) = (access.region.get(), access.offset.get(), access.count.get());
    let end = start.checked_add(count.into()).ok_or(Errno::INVAL)?;
    if count == 0 || count > TRANSFER_BYTES_MAX || end > region_bytes(index)? {
        return Err(Errno::INVAL);
    }
    Ok((index, start..end))
}

fn range_len(range: &Range<u64>) -> usize {
    (range.end - range.start) as usize
}

/// A range as accesses that lie at a multiple of their length, each as long as possible.
fn pieces(range: Range<u64>, bytes_max: usize) -> impl Iterator<Item = (u64, u8)> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let left = range.end - at;
        let lengths =
            std::iter::successors(Some(bytes_max as u64), |&bytes| Some(bytes / 2)).take_while(|&bytes| bytes > 0);
        let bytes = lengths.into_iter().find(|&bytes| bytes <= left && at.is_multiple_of(bytes))?;
        at += bytes;
        Some((at - bytes, bytes as u8))
    })
}

/// The reply to a read, which is sent when nobody can put anything more into it. What is never put in reads as all ones, as where nobody answers.
struct Reply {
    access: RegionAccess,
    responder: Responder,
    data: Mutex<Vec<u8>>,
}

impl Reply {
    fn put(&self, at: usize, bytes: u8, value: u64) {
        let bytes = usize::from(bytes);
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        data[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let data = self.data.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.responder.succeed(&[self.access.as_bytes(), data], &[]);
    }
}

/// A read that waits for the device.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
