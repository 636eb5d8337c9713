//! The client's memory: windows onto its files, and windows that only the client itself can read and write.

use super::link::{Link, Message};
use super::wire::{command, flags, map_flags, DmaAccess, DmaMap, Header, TRANSFER_BYTES_MAX, WINDOWS_MAX};
use crate::{GuestMemory, Mapping};
use rustix::io::Errno;
use sim_device::{Fault, Outside};
use std::collections::BTreeMap;
use std::fs::File;
use std::mem::size_of;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use zerocopy::IntoBytes;

/// What one function of the device reaches. Two threads share it: the one that receives maps, unmaps and brings answers; that of the device reads and
/// writes, and may wait for an answer.
#[derive(Default)]
pub(super) struct ClientMemory {
    state: Mutex<State>,
    /// The access under way has its answer.
    answered: Condvar,
    files: GuestMemory,
}

#[derive(Default)]
struct State {
    windows: BTreeMap<u64, Window>,
    client: Option<Client>,
    under_way: Option<UnderWay>,
    next_id: u16,
}

struct Client {
    link: Arc<Link>,
    transfer_bytes_max: u32,
}

#[derive(Clone, Copy)]
struct Window {
    bytes: u64,
    flags: u32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A file that is mapped here.
    File,
    /// The client is asked.
    Messages,
}

/// An access that the client was asked for. There is one at most: the device does one thing at a time.
struct UnderWay {
    id: u16,
    /// The window that it is in.
    window: u64,
    answer: Option<Result<Message, Fault>>,
    /// What waits until nobody accesses the window any more.
    unmapped: Vec<Unmapped>,
}

/// What is done when a window has gone.
type Unmapped = Box<dyn FnOnce() + Send>;

impl ClientMemory {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nobody leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Windows of both kinds: files that are mapped, and what the client is asked for.
    pub(super) fn windows(&self) -> usize {
        let asked = self.state().windows.values().filter(|window| window.kind == Kind::Messages).count();
        self.files.windows() + asked
    }

    /// A client is there, which takes so many bytes with one message.
    pub(super) fn attach(&self, link: Arc<Link>, transfer_bytes_max: u32) {
        let transfer_bytes_max = transfer_bytes_max.min(TRANSFER_BYTES_MAX);
        self.state().client = Some(Client { link, transfer_bytes_max });
    }

    /// The client has gone: its memory too, and an access that waits for it has failed.
    pub(super) fn detach(&self) {
        let mut state = self.state();
        state.client = None;
        state.windows.clear();
        if let Some(under_way) = &mut state.under_way {
            under_way.answer.get_or_insert(Err(Fault));
        }
        self.answered.notify_all();
        drop(state);
        self.files.clear();
    }

    /// Maps a window.
    pub(super) fn map(&self, request: &DmaMap, mut files: Vec<OwnedFd>) -> Result<(), Errno> {
        let (address, bytes, flags) = (request.address.get(), request.bytes.get(), request.flags.get());
        if flags == 0 || flags & !(map_flags::READABLE | map_flags::WRITABLE) != 0 || files.len() > 1 {
            return Err(Errno::INVAL);
        }
        let last = address.checked_add(bytes.checked_sub(1).ok_or(Errno::INVAL)?).ok_or(Errno::INVAL)?;
        let mut state = self.state();
        let before = state.windows.range(..=last).next_back();
        if before.is_some_and(|(&start, window)| start + (window.bytes - 1) >= address) {
            return Err(Errno::EXIST);
        }
        if state.windows.len() >= WINDOWS_MAX {
            return Err(Errno::NOSPC);
        }
        let kind = match files.pop() {
            None => Kind::Messages,
            Some(file) => {
                let is_writable = flags & map_flags::WRITABLE != 0;
                let mapping =
                    Mapping { address, bytes, file: File::from(file), offset: request.offset.get(), is_writable };
                self.files.map(mapping).map_err(|_| Errno::INVAL)?;
                Kind::File
            }
        };
        state.windows.insert(address, Window { bytes, flags, kind });
        Ok(())
    }

    /// Takes a window away: later accesses fail. `then` is called when none is under way, perhaps by the device's thread.
    pub(super) fn unmap(&self, address: u64, bytes: u64, then: Unmapped) -> Result<(), Errno> {
        let mut state = self.state();
        let window = state.windows.get(&address).filter(|window| window.bytes == bytes).ok_or(Errno::NOENT)?;
        let kind = window.kind;
        state.windows.remove(&address);
        if kind == Kind::File {
            // It waits for an access that is being copied.
            self.files.unmap(address, bytes);
        }
        let now = state.after_accesses(|under_way| under_way.window == address, then);
        drop(state);
        now.into_iter().for_each(|then| then());
        Ok(())
    }

    /// Takes all windows away, as [`unmap`](Self::unmap) does.
    pub(super) fn unmap_all(&self, then: Unmapped) {
        let mut state = self.state();
        state.windows.clear();
        self.files.clear();
        let now = state.after_accesses(|_| true, then);
        drop(state);
        now.into_iter().for_each(|then| then());
    }

    /// The client has answered. An answer that nobody waits for is dropped.
    pub(super) fn answer(&self, message: Message) {
        let mut state = self.state();
        if let Some(under_way) = &mut state.under_way {
            if under_way.id == message.header.id.get() && under_way.answer.is_none() {
                under_way.answer = Some(Ok(message));
                self.answered.notify_all();
            }
        }
    }

    /// The window at an address, and how much of a range is in it.
    fn part(&self, address: u64, bytes: usize, flag: u32) -> Result<(Part, usize), Fault> {
        let state = self.state();
        let (&start, window) = state.windows.range(..=address).next_back().ok_or(Fault)?;
        let left = window.bytes.checked_sub(address - start).filter(|&left| left > 0).ok_or(Fault)?;
        if window.flags & flag == 0 {
            return Err(Fault);
        }
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(bytes);
        match (window.kind, &state.client) {
            (Kind::File, _) => Ok((Part::File, bytes)),
            (Kind::Messages, Some(client)) => {
                Ok((Part::Messages { window: start }, bytes.min(client.transfer_bytes_max as usize)))
            }
            (Kind::Messages, None) => Err(Fault),
        }
    }

    /// Asks the client for an access and waits for its answer: the data behind it.
    fn ask(&self, window: u64, command: u16, access: DmaAccess, data: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut state = self.state();
        // It may have gone meanwhile.
        let is_there = state.windows.get(&window).is_some_and(|window| window.kind == Kind::Messages);
        let link = state.client.as_ref().filter(|_| is_there).ok_or(Fault)?.link.clone();
        let id = state.next_id;
        state.next_id = id.wrapping_add(1);
        state.under_way = Some(UnderWay { id, window, answer: None, unmapped: Vec::new() });
        drop(state);
        let header = Header {
            id: id.into(),
            command: command.into(),
            bytes: 0.into(),
            flags: flags::COMMAND.into(),
            error: 0.into(),
        };
        // Without the lock: the answers of others come while this is sent.
        let sent = link.send(header, &[access.as_bytes(), data], &[]);
        let mut state = self.state();
        let answer = loop {
            match state.under_way.as_mut().and_then(|under_way| under_way.answer.take()) {
                Some(answer) => break answer,
                None if sent.is_err() => break Err(Fault),
                None => state = self.answered.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        let unmapped = state.under_way.take().map_or(Vec::new(), |under_way| under_way.unmapped);
        drop(state);
        unmapped.into_iter().for_each(|then| then());
        let answer = answer?;
        let failed = answer.header.flags.get() & flags::ERROR != 0 || answer.header.command.get() != command;
        if failed || answer.is_cut {
            return Err(Fault);
        }
        Ok(answer.body)
    }
}

impl State {
    /// Puts `then` behind the access under way, if that is one of those which concern it; else gives it back.
    fn after_accesses(&mut self, concerns: impl Fn(&UnderWay) -> bool, then: Unmapped) -> Option<Unmapped> {
        match self.under_way.as_mut().filter(|under_way| concerns(under_way)) {
            Some(under_way) => under_way.unmapped.push(then),
            None => return Some(then),
        }
        None
    }
}

enum Part {
    File,
    Messages { window: u64 },
}

/// The client's memory in the hands of the device.
pub(super) struct Reach {
    memory: Arc<ClientMemory>,
    files: GuestMemory,
}

impl Reach {
    pub(super) fn new(memory: Arc<ClientMemory>) -> Self {
        let files = memory.files.clone();
        Self { memory, files }
    }
}

impl Outside for Reach {
    fn read(&mut self, function: u8, address: u64, data: &mut [u8]) -> Result<(), Fault> {
        let mut done = 0;
        while done < data.len() {
            let at = address.checked_add(done as u64).ok_or(Fault)?;
            let (part, bytes) = self.memory.part(at, data.len() - done, map_flags::READABLE)?;
            let data = &mut data[done..done + bytes];
            match part {
                Part::File => self.files.read(function, at, data)?,
                Part::Messages { window } => {
                    let access = DmaAccess { address: at.into(), count: (bytes as u64).into() };
                    let answer = self.memory.ask(window, command::DMA_READ, access, &[])?;
                    let read = answer.get(size_of::<DmaAccess>()..).filter(|read| read.len() == bytes).ok_or(Fault)?;
                    data.copy_from_slice(read);
                }
            }
            done += bytes;
        }
        Ok(())
    }

    fn write(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Fault> {
        let mut done = 0;
        while done < data.len() {
            let at = address.checked_add(done as u64).ok_or(Fault)?;
            let (part, bytes) = self.memory.part(at, data.len() - done, map_flags::WRITABLE)?;
            let data = &data[done..done + bytes];
            match part {
                Part::File => self.files.write(function, at, data)?,
                Part::Messages { window } => {
                    let access = DmaAccess { address: at.into(), count: (bytes as u64).into() };
                    self.memory.ask(window, command::DMA_WRITE, access, data)?;
                }
            }
            done += bytes;
        }
        Ok(())
    }
}
