//! The page of doorbells, which the client maps and writes without telling anybody.
//!
//! A doorbell that nobody has rung holds [`NOT_RUNG`], and taking its value puts that back in the same atomic step. So a value is seen once however often
//! the page is looked at, and the same value written again is seen again: after a queue was deleted and made anew, its first doorbell may well have the
//! value of the last one before. Of two values between two looks the later one counts, as for a doorbell on a board that is written twice.
//!
//! A client writes doorbells as dwords. It may write those of one queue in any order to those of another, but for the admin queue: a queue may be deleted
//! by a command that is announced after the last doorbell of that queue. So doorbells are taken from the first (the admin queue's) to the last, and passed on
//! from the last to the first: what was rung before a doorbell that was taken is taken, too, and passed on before it.

use super::wire::{SparseMmap, SPARSE_MMAP};
use crate::Endpoint;
use nvme_spec::regs::{DOORBELLS, DOORBELL_BYTES};
use rustix::fs::{fcntl_add_seals, memfd_create, MemfdFlags, SealFlags};
use sim_device::Access;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

/// What a doorbell holds that nobody has rung. It is no value of a doorbell: the upper halves of those are reserved. NVMe over PCIe, "Submission Queue y
/// Tail Doorbell".
const NOT_RUNG: u32 = u32::MAX;

/// The shortest pause: about as long as a step of the simulated device, between two of which it takes what came.
const PAUSE_MIN: Duration = Duration::from_micros(100);

/// A pause is this part of the time since the last doorbell: so much of it can a doorbell be late.
const PAUSE_PART: u32 = 8;

/// The longest pause: 250 looks in a second, a few thousandths of a processor.
const PAUSE_MAX: Duration = Duration::from_millis(4);

/// The doorbells of one client.
pub(super) struct Doorbells {
    /// As long as BAR0 up to the end of the page, so that an offset in the file is one in BAR0.
    file: File,
    page: MmapRegion,
    endpoint: Arc<dyn Endpoint>,
    function: u8,
    /// Held from taking values to passing them on, so that nobody goes between.
    passing: Mutex<()>,
}

impl Doorbells {
    pub(super) fn new(endpoint: Arc<dyn Endpoint>, function: u8) -> io::Result<Self> {
        let file = File::from(memfd_create("doorbells", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.set_len(u64::from(DOORBELLS.end))?;
        // A client that makes it shorter would end this process.
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let here = FileOffset::new(file.try_clone()?, u64::from(DOORBELLS.start));
        let page = MmapRegion::from_file(here, DOORBELLS.len()).map_err(io::Error::other)?;
        let doorbells = Self { file, page, endpoint, function, passing: Mutex::new(()) };
        doorbells.all().for_each(|(_, doorbell)| doorbell.store(NOT_RUNG, Ordering::Relaxed));
        Ok(doorbells)
    }

    /// What the client maps.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Where in BAR0, and in the file, it is.
    pub(super) fn area() -> SparseMmap {
        SparseMmap {
            id: SPARSE_MMAP.into(),
            version: 1.into(),
            next: 0.into(),
            areas: 1.into(),
            reserved: 0.into(),
            offset: u64::from(DOORBELLS.start).into(),
            bytes: (DOORBELLS.len() as u64).into(),
        }
    }

    /// Each doorbell with its offset in BAR0.
    fn all(&self) -> impl Iterator<Item = (u32, &AtomicU32)> {
        DOORBELLS.step_by(DOORBELL_BYTES as usize).map_while(|offset| {
            let doorbell = self.page.get_atomic_ref((offset - DOORBELLS.start) as usize);
            Some((offset, doorbell.ok()?))
        })
    }

    /// Passes on what was rung; false if nothing was.
    pub(super) fn pass_on(&self) -> bool {
        let _passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        let rung = self.all().filter(|(_, doorbell)| doorbell.load(Ordering::Acquire) != NOT_RUNG);
        let rung: Vec<_> = rung.map(|(offset, doorbell)| (offset, doorbell.swap(NOT_RUNG, Ordering::AcqRel))).collect();
        for &(offset, value) in rung.iter().rev() {
            let access = Access { function: self.function, offset: offset.into(), bytes: DOORBELL_BYTES as u8 };
            self.endpoint.write_bar(access, value.into());
        }
        !rung.is_empty()
    }
}

/// How long to look away from a page where nothing was rung for `quiet`.
fn pause(quiet: Duration) -> Duration {
    (quiet / PAUSE_PART).clamp(PAUSE_MIN, PAUSE_MAX)
}

/// A thread that looks at the page, as long as it lives.
pub(super) struct Watch {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn start(doorbells: Arc<Doorbells>) -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let of_thread = is_over.clone();
        let watch = move || {
            let mut last = Instant::now();
            while !of_thread.load(Ordering::Relaxed) {
                if doorbells.pass_on() {
                    last = Instant::now();
                }
                std::thread::park_timeout(pause(last.elapsed()));
            }
        };
        let thread = std::thread::Builder::new().name("doorbells".to_owned()).spawn(watch)?;
        Ok(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does not panic; if it did, nobody here could help it.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doorbells are seen late by an eighth of the time between them, or by a step of the device; somebody who rings none costs 250 looks in a second.
    #[test]
    fn pauses_grow_with_the_quiet_and_end() {
        assert_eq!(pause(Duration::ZERO), PAUSE_MIN);
        assert_eq!(pause(Duration::from_millis(8)), Duration::from_millis(1));
        assert_eq!(pause(Duration::from_secs(1 << 40)), PAUSE_MAX);
    }
}
