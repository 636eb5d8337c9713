//! MSI-X vectors as event files.
//!
//! The table is the server's, as VFIO has it: the entry of a vector with an event file has an address where interrupt messages are taken, and the number of
//! the vector as data; that of another vector is masked. So a message tells which file to signal. The pending bits are the hardware's.

use super::wire::{interrupt, set_flags, SetInterrupts};
use crate::Endpoint;
use nvme_spec::regs::{MSIX_ENTRY_BYTES, MSIX_TABLE};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use sim_device::{Access, Message};
use soc_map::MSI_WINDOW;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The link of an event file in `/proc/self/fd`. Linux, `fs/eventfd.c`.
const EVENT_FILE_LINK: &str = "anon_inode:[eventfd]";

/// The vectors of one function.
pub(super) struct Interrupts {
    vectors: Mutex<Vec<Vector>>,
}

#[derive(Default)]
struct Vector {
    /// Signalled when the interrupt comes.
    trigger: Option<OwnedFd>,
    /// Signalled when the vector is masked or unmasked.
    mask: Option<OwnedFd>,
    unmask: Option<OwnedFd>,
    is_masked: bool,
}

#[derive(Clone, Copy)]
enum Action {
    Trigger,
    Mask,
    Unmask,
}

impl Vector {
    fn event_file(&mut self, action: Action) -> &mut Option<OwnedFd> {
        match action {
            Action::Trigger => &mut self.trigger,
            Action::Mask => &mut self.mask,
            Action::Unmask => &mut self.unmask,
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Trigger => {}
            Action::Mask => self.is_masked = true,
            Action::Unmask => self.is_masked = false,
        }
        signal(self.event_file(action).as_ref());
    }

    /// Writes the entry of the table.
    fn program(&self, endpoint: &dyn Endpoint, function: u8, number: u32) {
        let is_masked = self.is_masked || self.trigger.is_none();
        let address = MSI_WINDOW.base;
        let entry = [address as u32, (address >> 32) as u32, number, u32::from(is_masked)];
        let start = MSIX_TABLE.start + number * MSIX_ENTRY_BYTES;
        for (offset, value) in (start..).step_by(size_of::<u32>()).zip(entry) {
            endpoint.write_bar(Access { function, offset: offset.into(), bytes: 4 }, value.into());
        }
    }
}

/// Adds one to an event file. A full one is left as it is: the client has not looked at 2^64 interrupts.
fn signal(file: Option<&OwnedFd>) {
    let Some(file) = file else { return };
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&now)) == Ok(1) {
        // Nothing depends on it but the client.
        let _ = rustix::io::write(file, &1u64.to_ne_bytes());
    }
}

/// Whether it is an event file. A write to another kind of file may wait as long as a client likes, and the device with it.
fn is_event_file(file: &OwnedFd) -> bool {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()));
    link.is_ok_and(|link| link.as_os_str() == EVENT_FILE_LINK)
}

impl Interrupts {
    pub(super) fn new() -> Self {
        Self { vectors: Mutex::new(Vec::new()) }
    }

    fn vectors(&self) -> MutexGuard<'_, Vec<Vector>> {
        // Nobody leaves a vector half changed.
        self.vectors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client comes: no vector has an event file.
    pub(super) fn attach(&self, vectors: u16) {
        *self.vectors() = (0..vectors).map(|_| Vector::default()).collect();
    }

    /// The client has gone: its files are closed.
    pub(super) fn detach(&self) {
        self.vectors().clear();
    }

    /// The device has sent a message.
    pub(super) fn message(&self, message: &Message) {
        if let Some(vector) = self.vectors().get(message.data as usize) {
            signal(vector.trigger.as_ref());
        }
    }

    /// Writes the table anew, after the device has lost it.
    pub(super) fn restore(&self, endpoint: &dyn Endpoint, function: u8) {
        for (number, vector) in (0..).zip(self.vectors().iter()) {
            if vector.trigger.is_some() {
                vector.program(endpoint, function, number);
            }
        }
    }

    /// "`VFIO_USER_DEVICE_SET_IRQS`", with the bytes that follow the request.
    pub(super) fn set(
        &self,
        endpoint: &dyn Endpoint,
        function: u8,
        request: &SetInterrupts,
        data: &[u8],
        files: Vec<OwnedFd>,
    ) -> Result<(), Errno> {
        let mut vectors = self.vectors();
        let SetInterrupts { flags, index, start, count, .. } = *request;
        let (flags, index) = (flags.get(), index.get());
        let (start, count) = (start.get() as usize, count.get() as usize);
        let kind = flags & (set_flags::DATA_NONE | set_flags::DATA_BOOL | set_flags::DATA_EVENT_FILE);
        let action = match flags & !kind {
            set_flags::MASK => Action::Mask,
            set_flags::UNMASK => Action::Unmask,
            set_flags::TRIGGER => Action::Trigger,
            _ => return Err(Errno::INVAL),
        };
        if index >= interrupt::COUNT || kind.count_ones() != 1 {
            return Err(Errno::INVAL);
        }
        if kind != set_flags::DATA_EVENT_FILE && !files.is_empty() {
            return Err(Errno::INVAL);
        }
        let ends_all = (start, count, kind) == (0, 0, set_flags::DATA_NONE) && matches!(action, Action::Trigger);
        if index != interrupt::MSIX {
            // There are none of them, so that only the end of all is possible.
            return if ends_all { Ok(()) } else { Err(Errno::INVAL) };
        }
        let range = if ends_all { 0..vectors.len() } else { start..start.saturating_add(count) };
        let chosen = vectors.get_mut(range).filter(|chosen| !chosen.is_empty()).ok_or(Errno::INVAL)?;
        match kind {
            _ if ends_all => chosen.fill_with(Vector::default),
            set_flags::DATA_NONE => chosen.iter_mut().for_each(|vector| vector.perform(action)),
            set_flags::DATA_BOOL => {
                let data = data.get(..count).ok_or(Errno::INVAL)?;
                let wanted = chosen.iter_mut().zip(data).filter(|(_, &wanted)| wanted != 0);
                wanted.for_each(|(vector, _)| vector.perform(action));
            }
            // Without files, those that were set are removed.
            _ if files.is_empty() => chosen.iter_mut().for_each(|vector| *vector.event_file(action) = None),
            _ if files.len() != count || !files.iter().all(is_event_file) => return Err(Errno::INVAL),
            _ => chosen.iter_mut().zip(files).for_each(|(vector, file)| *vector.event_file(action) = Some(file)),
        }
        for (number, vector) in (start as u32..).zip(chosen.iter()) {
            vector.program(endpoint, function, number);
        }
        Ok(())
    }
}
