//! The memory of the software that drives the device, as far as it has been shown to the device.

use sim_device::{Fault, Outside};
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

/// Windows of DMA addresses onto files that a peer has opened for us. Clones are handles of the same memory: a front end maps and unmaps while the
/// device reads and writes. An access that has begun ends before its window goes.
///
/// The files are those of a peer that runs as the same user. A peer that makes a file shorter than it said when it was mapped ends this process, as
/// it could by a signal; memfds that are sealed cannot become shorter.
#[derive(Clone, Default)]
pub struct GuestMemory {
    windows: Arc<RwLock<BTreeMap<u64, Window>>>,
}

struct Window {
    bytes: u64,
    region: MmapRegion,
    is_writable: bool,
}

/// Why memory could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The window is empty, or goes beyond the address space.
    #[error("{bytes} bytes at {address:#x} are no window of addresses")]
    Range {
        /// First address.
        address: u64,
        /// Length.
        bytes: u64,
    },
    /// There is a window already.
    #[error("{bytes} bytes at {address:#x} overlap a window that is mapped already")]
    Overlap {
        /// First address.
        address: u64,
        /// Length.
        bytes: u64,
    },
    /// The file cannot be mapped so: it is too short, not seekable, or not open for it.
    #[error("the file of the window at {address:#x} cannot be mapped: {reason}")]
    File {
        /// First address.
        address: u64,
        /// What the system says.
        reason: String,
    },
}

/// A window to be mapped.
#[derive(Debug)]
pub struct Mapping {
    /// First DMA address.
    pub address: u64,
    /// Length.
    pub bytes: u64,
    /// What is behind it.
    pub file: File,
    /// Where in the file it begins: a multiple of the page size.
    pub offset: u64,
    /// Whether the device may write.
    pub is_writable: bool,
}

impl GuestMemory {
    /// Maps a window.
    ///
    /// # Errors
    /// If the window is not possible, overlaps another, or its file cannot be mapped. Nothing is mapped then.
    pub fn map(&self, mapping: Mapping) -> Result<(), MapError> {
        let (address, window) = Window::of(mapping)?;
        insert(&mut self.write_windows(), address, window)
    }

    /// Maps these windows in place of all others, at once: an access meets the old ones or the new ones.
    ///
    /// # Errors
    /// As [`map`](Self::map). The old windows stay then.
    pub fn replace(&self, mappings: impl IntoIterator<Item = Mapping>) -> Result<(), MapError> {
        let mut windows = BTreeMap::new();
        for mapping in mappings {
            let (address, window) = Window::of(mapping)?;
            insert(&mut windows, address, window)?;
        }
        *self.write_windows() = windows;
        Ok(())
    }

    /// Takes away the window of exactly this place; false if there is none.
    pub fn unmap(&self, address: u64, bytes: u64) -> bool {
        let mut windows = self.write_windows();
        let is_there = windows.get(&address).is_some_and(|window| window.bytes == bytes);
        is_there && windows.remove(&address).is_some()
    }

    /// Takes away all windows.
    pub fn clear(&self) {
        self.write_windows().clear();
    }

    /// Number of windows.
    pub fn windows(&self) -> usize {
        self.read_windows().len()
    }

    fn read_windows(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Window>> {
        // Nobody leaves the map half changed.
        self.windows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_windows(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, Window>> {
        self.windows.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `access` with each part of a range, in order: the window, the offset in it, and the part of the range.
    fn parts(
        &self,
        address: u64,
        bytes: usize,
        mut access: impl FnMut(&Window, usize, std::ops::Range<usize>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let windows = self.read_windows();
        let mut done = 0;
        while done < bytes {
            let at = address.checked_add(done as u64).ok_or(Fault)?;
            let (&start, window) = windows.range(..=at).next_back().ok_or(Fault)?;
            let inside = at - start;
            let left = window.bytes.checked_sub(inside).filter(|&left| left > 0).ok_or(Fault)?;
            let end = bytes.min(done.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
            access(window, inside as usize, done..end)?;
            done = end;
        }
        Ok(())
    }
}

impl Window {
    fn of(mapping: Mapping) -> Result<(u64, Self), MapError> {
        let Mapping { address, bytes, file, offset, is_writable } = mapping;
        let is_possible = bytes > 0 && address.checked_add(bytes).is_some();
        let length = usize::try_from(bytes).ok().filter(|_| is_possible).ok_or(MapError::Range { address, bytes })?;
        let region =
            map_file(file, offset, length, is_writable).map_err(|reason| MapError::File { address, reason })?;
        Ok((address, Self { bytes, region, is_writable }))
    }
}

fn insert(windows: &mut BTreeMap<u64, Window>, address: u64, window: Window) -> Result<(), MapError> {
    let bytes = window.bytes;
    let before = windows.range(..address + bytes).next_back();
    if before.is_some_and(|(&start, window)| start + window.bytes > address) {
        return Err(MapError::Overlap { address, bytes });
    }
    windows.insert(address, window);
    Ok(())
}

fn map_file(file: File, offset: u64, bytes: usize, is_writable: bool) -> Result<MmapRegion, String> {
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    if offset.checked_add(bytes as u64).is_none_or(|end| end > length) {
        return Err(format!("it has {length} bytes, less than {bytes} from {offset:#x} on"));
    }
    let protection = if is_writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
    let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
    MmapRegion::build(Some(FileOffset::new(file, offset)), bytes, protection, flags).map_err(|error| error.to_string())
}

impl Outside for GuestMemory {
    fn read(&mut self, _function: u8, address: u64, data: &mut [u8]) -> Result<(), Fault> {
        self.parts(address, data.len(), |window, offset, part| {
            let slice = window.region.get_slice(offset, part.len()).map_err(|_| Fault)?;
            slice.copy_to(&mut data[part]);
            Ok(())
        })
    }

    fn write(&mut self, _function: u8, address: u64, data: &[u8]) -> Result<(), Fault> {
        self.parts(address, data.len(), |window, offset, part| {
            if !window.is_writable {
                return Err(Fault);
            }
            let slice = window.region.get_slice(offset, part.len()).map_err(|_| Fault)?;
            slice.copy_from(&data[part]);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    const PAGE: u64 = 4096;

    fn file(pages: u64) -> File {
        let file = File::from(rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd"));
        file.set_len(pages * PAGE).expect("its length");
        file
    }

    fn mapping(address: u64, pages: u64, file: &File, offset: u64) -> Mapping {
        let file = file.try_clone().expect("a second descriptor");
        Mapping { address, bytes: pages * PAGE, file, offset, is_writable: true }
    }

    #[test]
    fn an_access_goes_over_the_border_of_two_windows_and_into_their_files() {
        let (first, second) = (file(2), file(2));
        let mut memory = GuestMemory::default();
        memory.map(mapping(u64::MAX - 3 * PAGE + 1, 1, &first, PAGE)).expect("the first");
        memory.map(mapping(u64::MAX - 2 * PAGE + 1, 1, &second, 0)).expect("the second");
        let at = u64::MAX - 2 * PAGE - 2;
        assert_eq!(memory.write(0, at, &[1, 2, 3, 4, 5, 6]), Ok(()));
        let mut back = [0; 3];
        first.read_exact_at(&mut back, 2 * PAGE - 3).expect("the first file");
        assert_eq!(back, [1, 2, 3]);
        second.read_exact_at(&mut back, 0).expect("the second file");
        assert_eq!(back, [4, 5, 6]);
        let mut all = [0; 6];
        assert_eq!(memory.read(0, at, &mut all), Ok(()));
        assert_eq!(all, [1, 2, 3, 4, 5, 6]);
        assert_eq!(memory.read(0, u64::MAX - PAGE, &mut all), Err(Fault), "the end of the second");
        assert_eq!(memory.read(0, u64::MAX, &mut all), Err(Fault), "the end of the address space");
    }

    #[test]
    fn windows_that_are_not_possible_are_refused_and_change_nothing() {
        let memory = GuestMemory::default();
        let two = file(2);
        memory.map(mapping(PAGE, 2, &two, 0)).expect("a window");
        for (address, pages, offset) in [(0, 2, 0), (2 * PAGE, 1, 0), (0, 4, 0)] {
            let refused = memory.map(mapping(address, pages, &file(8), offset));
            assert!(matches!(refused, Err(MapError::Overlap { .. })), "{refused:?}");
        }
        for (address, pages) in [(u64::MAX, 1), (8 * PAGE, 0)] {
            let refused = memory.map(mapping(address, pages, &two, 0));
            assert!(matches!(refused, Err(MapError::Range { .. })), "{refused:?}");
        }
        for (pages, offset) in [(3, 0), (2, PAGE), (1, 7), (1, u64::MAX - 5)] {
            let refused = memory.map(mapping(16 * PAGE, pages, &two, offset));
            assert!(matches!(refused, Err(MapError::File { .. })), "{refused:?}");
        }
        assert_eq!(memory.windows(), 1);
        assert!(!memory.unmap(PAGE, PAGE), "a part of a window");
        assert!(memory.unmap(PAGE, 2 * PAGE));
        assert_eq!(memory.windows(), 0);
    }

    #[test]
    fn what_is_read_only_is_not_written() {
        let mut memory = GuestMemory::default();
        memory.map(Mapping { is_writable: false, ..mapping(0, 1, &file(1), 0) }).expect("a window");
        assert_eq!(memory.write(0, 0, &[1]), Err(Fault));
        assert_eq!(memory.read(0, 0, &mut [0]), Ok(()));
    }
}
