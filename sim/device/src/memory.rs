use std::collections::BTreeMap;
use std::ops::Range;

use crate::pages::{copy_strobed, Pages};
use crate::{Beat, DeviceWrite, Fault, Faults, Memory, Outside, Tamper, BEAT_BYTES, PAGE_BYTES};

/// Writes of a device into this range are interrupt messages, as on a PC.
pub const MESSAGE_WINDOW: Range<u64> = soc_map::MSI_WINDOW.range();

/// Where the allocator starts: above 4 GiB, so that a device that drops high address bits is found out.
const HEAP_START: u64 = 0x5_0000_0000; // tidy: an address of the simulated host, which has its home here

/// Bytes of canary on either side of a guarded allocation.
const CANARY_BYTES: u64 = PAGE_BYTES;

/// What fresh memory holds: a program that relies on zeroes is found out.
const FRESH: u8 = 0xE5;

/// An interrupt message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The function that sent it.
    pub function: u8,
    /// Where it was written, inside [`MESSAGE_WINDOW`].
    pub address: u64,
    /// What was written.
    pub data: u32,
    /// When it arrived.
    pub clock: u64,
}

/// What a device did to the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// It read.
    Read,
    /// It wrote data.
    Write,
    /// It sent an interrupt message.
    Message,
}

/// One entry of the access log. Full beats that follow each other directly are one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessRecord {
    /// When the (last beat of the) access happened.
    pub clock: u64,
    /// First byte.
    pub address: u64,
    /// Length.
    pub bytes: u32,
    /// What was done.
    pub kind: AccessKind,
    /// By which function.
    pub function: u8,
    /// Whether it was answered with an error.
    pub failed: bool,
}

impl AccessRecord {
    /// Whether the access touched `range`.
    pub fn touches(&self, range: &Range<u64>) -> bool {
        self.address < range.end && self.address + u64::from(self.bytes) > range.start
    }
}

/// Somebody wrote outside a guarded allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("memory next to the allocation of {bytes} bytes at {allocation:#x} was overwritten at {address:#x}")]
pub struct CanaryError {
    /// The first byte that changed.
    pub address: u64,
    /// The allocation that the canary guards.
    pub allocation: u64,
    /// Its length.
    pub bytes: u64,
}

/// The memory of the host: what a device reaches by DMA.
///
/// Two sides use it. The host's programs [`load`](Self::load) and [`store`](Self::store): these never fail and are not logged. The
/// device reads and writes ([`dma_read`](Self::dma_read), [`dma_write`](Self::dma_write), or beat by beat through [`Memory`]): these meet
/// the [`Faults`], are logged, and are errors where no memory was allocated.
pub struct HostMemory {
    pages: Pages,
    next: u64,
    free: BTreeMap<Allocation, Vec<u64>>,
    allocations: BTreeMap<u64, Allocation>,
    clock: u64,
    logging: bool,
    log: Vec<AccessRecord>,
    messages: Vec<Message>,
    tamper: Option<Box<dyn Tamper>>,
    outside: Option<Box<dyn Outside>>,
    /// Where and how often the device's accesses fail.
    pub faults: Faults,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Allocation {
    bytes: u64,
    align: u64,
    /// The address is a multiple of `align` plus this.
    offset: u64,
    guarded: bool,
}

impl Default for HostMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl HostMemory {
    /// An empty memory.
    pub fn new() -> Self {
        Self {
            pages: Pages::default(),
            next: HEAP_START,
            free: BTreeMap::new(),
            allocations: BTreeMap::new(),
            clock: 0,
            logging: false,
            log: Vec::new(),
            messages: Vec::new(),
            tamper: None,
            outside: None,
            faults: Faults::none(0),
        }
    }

    // --- Allocation ------------------------------------------------------------------------------------------------------------------

    /// Allocates `bytes` at a multiple of `align`. What it holds is arbitrary.
    ///
    /// # Panics
    /// When `bytes` is 0 or `align` is not a power of two.
    pub fn alloc(&mut self, bytes: u64, align: u64) -> u64 {
        self.allocate(Allocation { bytes, align, offset: 0, guarded: false })
    }

    /// As [`alloc`](Self::alloc), with 4 KiB of canary on either side, which [`check_canaries`](Self::check_canaries) looks at.
    pub fn alloc_guarded(&mut self, bytes: u64, align: u64) -> u64 {
        self.allocate(Allocation { bytes, align, offset: 0, guarded: true })
    }

    /// As [`alloc_guarded`](Self::alloc_guarded), `offset` bytes into a page.
    ///
    /// # Panics
    /// When `bytes` is 0 or `offset` is not inside a page.
    pub fn alloc_guarded_in_page(&mut self, bytes: u64, offset: u64) -> u64 {
        assert!(offset < PAGE_BYTES, "offset {offset:#x} is beyond a page");
        self.allocate(Allocation { bytes, align: PAGE_BYTES, offset, guarded: true })
    }

    fn allocate(&mut self, allocation: Allocation) -> u64 {
        let Allocation { bytes, align, offset, guarded } = allocation;
        assert!(bytes > 0, "an allocation of no bytes");
        assert!(align.is_power_of_two(), "alignment {align} is not a power of two");
        let reused = self.free.get_mut(&allocation).and_then(Vec::pop);
        let address = reused.unwrap_or_else(|| {
            let guard = if guarded { CANARY_BYTES } else { 0 };
            let address = (self.next + guard).next_multiple_of(align) + offset;
            self.pages.map(address - guard, address + bytes + guard, FRESH);
            self.next = address + bytes + guard;
            if guarded {
                for range in canaries(address, bytes) {
                    let pattern: Vec<u8> = range.clone().map(canary).collect();
                    self.pages.write(range.start, &pattern);
                }
            }
            address
        });
        self.allocations.insert(address, allocation);
        address
    }

    /// Gives an allocation back. The device still reaches its memory; who wants that noticed keeps the canaries of its neighbours in mind.
    ///
    /// # Panics
    /// When nothing is allocated at `address`.
    pub fn free(&mut self, address: u64) {
        let Some(allocation) = self.allocations.remove(&address) else {
            panic!("nothing is allocated at {address:#x}");
        };
        self.free.entry(allocation).or_default().push(address);
    }

    /// Looks at the canaries of every guarded allocation.
    pub fn check_canaries(&self) -> Result<(), CanaryError> {
        self.allocations
            .iter()
            .filter(|(_, allocation)| allocation.guarded)
            .try_for_each(|(&address, allocation)| self.check_canary(address, allocation.bytes))
    }

    fn check_canary(&self, allocation: u64, bytes: u64) -> Result<(), CanaryError> {
        let mut found = [0; CANARY_BYTES as usize];
        for range in canaries(allocation, bytes) {
            self.pages.read(range.start, &mut found);
            if let Some((address, _)) = range.zip(found).find(|&(at, byte)| byte != canary(at)) {
                return Err(CanaryError { address, allocation, bytes });
            }
        }
        Ok(())
    }

    /// Whether memory exists at every byte of `address..address + bytes`, so that an access of the device is answered.
    pub fn is_mapped(&self, address: u64, bytes: u64) -> bool {
        self.pages.contains(address, bytes)
    }

    /// Puts a hand into the path of the device's accesses: for tests of those who watch a device.
    pub fn set_tamper(&mut self, tamper: Option<Box<dyn Tamper>>) {
        self.tamper = tamper;
    }

    /// Joins the memory of somebody else: what the device accesses where nothing is allocated here is asked of `outside`.
    pub fn set_outside(&mut self, outside: Option<Box<dyn Outside>>) {
        self.outside = outside;
    }

    /// Makes memory exist at a fixed place, filled with zeroes, outside of the allocator: for front ends with an address map of their own.
    pub fn map(&mut self, range: Range<u64>) {
        self.pages.map(range.start, range.end, 0);
    }

    // --- The host's side -------------------------------------------------------------------------------------------------------------

    /// Reads as the host.
    ///
    /// # Panics
    /// When no memory is there: the caller is a host program and must know what it allocated.
    pub fn load(&self, address: u64, data: &mut [u8]) {
        self.pages.read(address, data);
    }

    /// Reads `N` bytes as the host.
    pub fn load_array<const N: usize>(&self, address: u64) -> [u8; N] {
        let mut data = [0; N];
        self.load(address, &mut data);
        data
    }

    /// Reads `bytes` as the host.
    pub fn load_vec(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut data = vec![0; bytes];
        self.load(address, &mut data);
        data
    }

    /// Writes as the host.
    ///
    /// # Panics
    /// When no memory is there.
    pub fn store(&mut self, address: u64, data: &[u8]) {
        self.pages.write(address, data);
    }

    /// Fills as the host.
    pub fn fill(&mut self, address: u64, bytes: u64, value: u8) {
        let page = [value; PAGE_BYTES as usize];
        let mut done = 0;
        while done < bytes {
            let part = (bytes - done).min(PAGE_BYTES);
            self.pages.write(address + done, &page[..part as usize]);
            done += part;
        }
    }

    // --- The log ---------------------------------------------------------------------------------------------------------------------

    /// Starts or stops the log of the device's accesses. Who starts it takes it regularly: it grows.
    pub fn set_logging(&mut self, logging: bool) {
        self.logging = logging;
    }

    /// Swaps the log with `records`, which is cleared first, so that two buffers serve a whole run.
    pub fn take_log(&mut self, records: &mut Vec<AccessRecord>) {
        records.clear();
        std::mem::swap(&mut self.log, records);
    }

    /// The interrupt messages since the last call, oldest first.
    pub fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// Stamps what follows; called by the back end in every clock.
    pub fn set_clock(&mut self, clock: u64) {
        self.clock = clock;
    }

    fn record(&mut self, kind: AccessKind, function: u8, address: u64, bytes: usize, failed: bool) {
        if !self.logging {
            return;
        }
        if let Some(last) = self.log.last_mut() {
            // A burst is one entry. Shorter writes keep an entry each: their clocks are of interest.
            if bytes == BEAT_BYTES
                && last.address + u64::from(last.bytes) == address
                && !address.is_multiple_of(PAGE_BYTES)
                && (last.kind, last.function, last.failed) == (kind, function, failed)
            {
                last.bytes += BEAT_BYTES as u32;
                last.clock = self.clock;
                return;
            }
        }
        self.log.push(AccessRecord { clock: self.clock, address, bytes: bytes as u32, kind, function, failed });
    }

    // --- The device's side -----------------------------------------------------------------------------------------------------------

    /// Reads as `function` of the device.
    pub fn dma_read(&mut self, function: u8, address: u64, data: &mut [u8]) -> Result<(), Fault> {
        let result = self.faults.read(address, data.len()).and_then(|()| {
            if self.pages.contains(address, data.len() as u64) {
                self.pages.read(address, data);
            } else {
                self.outside.as_mut().ok_or(Fault)?.read(function, address, data)?;
            }
            if let Some(tamper) = &mut self.tamper {
                tamper.read(address, data);
            }
            Ok(())
        });
        self.record(AccessKind::Read, function, address, data.len(), result.is_err());
        result
    }

    /// Writes as `function` of the device. A write into [`MESSAGE_WINDOW`] is an interrupt message.
    pub fn dma_write(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Fault> {
        match self.tamper.take() {
            None => self.write_untampered(function, address, data),
            Some(mut tamper) => {
                let writes = tamper.write(DeviceWrite { address, data: data.to_vec() });
                self.tamper = Some(tamper);
                let mut write = |write: &DeviceWrite| self.write_untampered(function, write.address, &write.data);
                writes.iter().map(&mut write).fold(Ok(()), Result::and)
            }
        }
    }

    fn write_untampered(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Fault> {
        if MESSAGE_WINDOW.contains(&address) {
            return self.message(function, address, data);
        }
        let result = self.faults.write(address, data.len()).and_then(|()| {
            if self.pages.contains(address, data.len() as u64) {
                self.pages.write(address, data);
                return Ok(());
            }
            self.outside.as_mut().ok_or(Fault)?.write(function, address, data)
        });
        self.record(AccessKind::Write, function, address, data.len(), result.is_err());
        result
    }

    fn message(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Fault> {
        let dword = <[u8; 4]>::try_from(data).ok().filter(|_| address.is_multiple_of(4));
        self.record(AccessKind::Message, function, address, data.len(), dword.is_none());
        let data = u32::from_le_bytes(dword.ok_or(Fault)?);
        self.messages.push(Message { function, address, data, clock: self.clock });
        Ok(())
    }
}

impl Memory for HostMemory {
    fn read_beat(&mut self, function: u8, address: u64, data: &mut Beat) -> Result<(), Fault> {
        let result = self.faults.read(address, BEAT_BYTES).and_then(|()| {
            match self.pages.tail(address) {
                Some(tail) => data.copy_from_slice(&tail[..BEAT_BYTES]),
                None => self.outside.as_mut().ok_or(Fault)?.read(function, address, data)?,
            }
            if let Some(tamper) = &mut self.tamper {
                tamper.read(address, data);
            }
            Ok(())
        });
        self.record(AccessKind::Read, function, address, BEAT_BYTES, result.is_err());
        result
    }

    fn write_beat(&mut self, function: u8, address: u64, data: &Beat, strobe: u64) -> Result<(), Fault> {
        if strobe == 0 {
            return Ok(());
        }
        let first = strobe.trailing_zeros() as usize;
        let end = BEAT_BYTES - strobe.leading_zeros() as usize;
        let start = address + first as u64;
        let is_whole = strobe.count_ones() as usize == end - first;
        if self.tamper.is_some() && is_whole {
            return self.dma_write(function, start, &data[first..end]);
        }
        if MESSAGE_WINDOW.contains(&address) {
            return self.message(function, start, &data[first..end]);
        }
        let result = self.faults.write(start, end - first).and_then(|()| {
            if let Some(tail) = self.pages.tail_mut(address) {
                copy_strobed(tail, data, strobe);
                return Ok(());
            }
            let outside = self.outside.as_mut().ok_or(Fault)?;
            strobed_runs(strobe).try_for_each(|run| outside.write(function, address + run.start as u64, &data[run]))
        });
        self.record(AccessKind::Write, function, start, end - first, result.is_err());
        result
    }
}

/// The bytes whose bit in `strobe` is set, as ranges.
fn strobed_runs(mut strobe: u64) -> impl Iterator<Item = Range<usize>> {
    std::iter::from_fn(move || {
        let start = (strobe != 0).then(|| strobe.trailing_zeros())?;
        let end = start + (strobe >> start).trailing_ones();
        strobe &= u64::MAX.checked_shl(end).unwrap_or(0);
        Some(start as usize..end as usize)
    })
}

fn canaries(address: u64, bytes: u64) -> [Range<u64>; 2] {
    let end = address + bytes;
    [address - CANARY_BYTES..address, end..end + CANARY_BYTES]
}

/// The canary differs from byte to byte, so that a copy of one canary over another is seen.
fn canary(address: u64) -> u8 {
    (address ^ (address >> 8) ^ (address >> 16) ^ 0xA5) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn memory_that_was_not_allocated_is_an_error_for_the_device() {
        let mut memory = HostMemory::new();
        let address = memory.alloc(PAGE_BYTES, PAGE_BYTES);
        let mut data = [0; 16];
        assert_eq!(memory.dma_read(0, address, &mut data), Ok(()));
        assert_eq!(memory.dma_read(0, 0x1000, &mut data), Err(Fault));
        assert_eq!(memory.dma_write(0, address + PAGE_BYTES - 8, &data), Err(Fault), "half of it exists");
        assert_eq!(memory.write_beat(0, 0x1000, &[0; 64], 1), Err(Fault));
        assert_eq!(memory.read_beat(0, 0x1000, &mut [0; 64]), Err(Fault));
    }

    /// Doubles writes into the next 64 bytes, loses those of one byte, and inverts the first byte of reads.
    struct Hand;

    impl Tamper for Hand {
        fn write(&mut self, write: DeviceWrite) -> Vec<DeviceWrite> {
            let again = DeviceWrite { address: write.address + 64, data: write.data.clone() };
            if write.data.len() == 1 {
                vec![]
            } else {
                vec![write, again]
            }
        }

        fn read(&mut self, _address: u64, data: &mut [u8]) {
            data[0] = !data[0];
        }
    }

    /// What a hand in the path does arrives in memory and in the log, beat by beat and as a whole; the host's side has no hand in it.
    #[test]
    fn a_hand_in_the_path_changes_accesses_of_the_device_alone() {
        let mut memory = HostMemory::new();
        memory.set_logging(true);
        let address = memory.alloc(256, 64);
        memory.store(address, &[1; 256]);
        memory.set_tamper(Some(Box::new(Hand)));
        assert_eq!(memory.dma_write(0, address, &[7; 4]), Ok(()));
        assert_eq!(memory.write_beat(0, address + 128, &[8; 64], 0xF0), Ok(()));
        assert_eq!(memory.dma_write(0, address + 8, &[9]), Ok(()));
        let at = |memory: &HostMemory, offset| memory.load_array::<1>(address + offset)[0];
        assert_eq!([0, 64, 132, 196, 8].map(|offset| at(&memory, offset)), [7, 7, 8, 8, 1]);
        let mut records = Vec::new();
        memory.take_log(&mut records);
        let written: Vec<u64> = records.iter().map(|record| record.address - address).collect();
        assert_eq!(written, [0, 64, 132, 196]);
        let (mut data, mut beat) = ([0; 2], [0; 64]);
        assert_eq!(memory.dma_read(0, address + 10, &mut data), Ok(()));
        assert_eq!(memory.read_beat(0, address + 192, &mut beat), Ok(()));
        assert_eq!((data, beat[..2].to_vec()), ([!1, 1], vec![!1, 1]));
        memory.set_tamper(None);
        assert_eq!(memory.dma_read(0, address + 10, &mut data), Ok(()));
        assert_eq!(data, [1, 1]);
    }

    #[test]
    fn a_byte_beyond_a_guarded_allocation_is_found() {
        let mut memory = HostMemory::new();
        let address = memory.alloc_guarded(100, 4);
        assert_eq!(memory.dma_write(0, address, &[1; 100]), Ok(()));
        assert_eq!(memory.check_canaries(), Ok(()));
        assert_eq!(memory.dma_write(0, address + 100, &[1]), Ok(()));
        assert_eq!(memory.check_canaries().map_err(|e| e.address), Err(address + 100));
    }

    #[test]
    fn a_byte_before_a_guarded_allocation_is_found() {
        let mut memory = HostMemory::new();
        memory.alloc_guarded(100, 4);
        let address = memory.alloc_guarded(100, 4);
        let at = address - 1;
        memory.store(at, &[!canary(at)]);
        assert_eq!(memory.check_canaries().map_err(|e| e.address), Err(at));
    }

    /// Memory of somebody else from 0x1000 to 0x1100.
    struct Neighbour(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

    impl Outside for Neighbour {
        fn read(&mut self, _function: u8, address: u64, data: &mut [u8]) -> Result<(), Fault> {
            let start = address.checked_sub(0x1000).ok_or(Fault)? as usize;
            data.copy_from_slice(self.0.borrow().get(start..start + data.len()).ok_or(Fault)?);
            Ok(())
        }

        fn write(&mut self, _function: u8, address: u64, data: &[u8]) -> Result<(), Fault> {
            let start = address.checked_sub(0x1000).ok_or(Fault)? as usize;
            self.0.borrow_mut().get_mut(start..start + data.len()).ok_or(Fault)?.copy_from_slice(data);
            Ok(())
        }
    }

    #[test]
    fn what_is_not_here_is_asked_of_the_memory_outside() {
        let bytes = std::rc::Rc::new(std::cell::RefCell::new(vec![0; 0x100]));
        let mut memory = HostMemory::new();
        let own = memory.alloc(64, 64);
        memory.set_outside(Some(Box::new(Neighbour(bytes.clone()))));
        assert_eq!(memory.dma_write(0, 0x1004, &[1, 2]), Ok(()));
        assert_eq!(memory.write_beat(0, 0x1040, &[7; 64], 0x8000_0000_0000_00F1), Ok(()));
        assert_eq!(memory.dma_write(0, own, &[9]), Ok(()));
        let mut beat = [0; 64];
        assert_eq!(memory.read_beat(0, 0x1040, &mut beat), Ok(()));
        let mut expected = [0; 64];
        for i in [0, 4, 5, 6, 7, 63] {
            expected[i] = 7;
        }
        assert_eq!(beat, expected);
        let mut data = [0; 2];
        assert_eq!(memory.dma_read(0, 0x1004, &mut data), Ok(()));
        assert_eq!((data, memory.load_array(own)), ([1, 2], [9]));
        assert_eq!(memory.dma_read(0, 0x10FF, &mut data), Err(Fault));
        assert_eq!(memory.write_beat(0, 0x1100, &beat, 1), Err(Fault));
        assert_eq!(bytes.borrow()[4..6], [1, 2]);
    }

    #[test]
    fn messages_are_taken_once_in_order_and_are_no_memory() {
        let mut memory = HostMemory::new();
        memory.set_clock(5);
        let address = MESSAGE_WINDOW.start + 0x20;
        assert_eq!(memory.dma_write(1, address, &7u32.to_le_bytes()), Ok(()));
        let mut beat = [0; 64];
        beat[36..40].copy_from_slice(&8u32.to_le_bytes());
        assert_eq!(memory.write_beat(1, MESSAGE_WINDOW.start, &beat, 0xF << 36), Ok(()));
        let got = memory.take_messages();
        let seen: Vec<_> = got.iter().map(|m| (m.address, m.data, m.clock)).collect();
        assert_eq!(seen, [(address, 7, 5), (address + 4, 8, 5)]);
        assert_eq!(memory.take_messages(), []);
        assert_eq!(memory.dma_write(1, address, &[1, 2]), Err(Fault));
    }

    #[test]
    fn the_log_joins_full_beats_of_one_burst_and_keeps_the_order() {
        let mut memory = HostMemory::new();
        let address = memory.alloc(2 * PAGE_BYTES, PAGE_BYTES);
        memory.set_logging(true);
        for beat in 0..4 {
            memory.set_clock(beat);
            let at = address + beat * BEAT_BYTES as u64;
            assert_eq!(memory.write_beat(0, at, &[1; 64], u64::MAX), Ok(()));
        }
        assert_eq!(memory.dma_write(0, address + 256, &[0; 16]), Ok(()));
        assert_eq!(memory.dma_read(0, 0, &mut [0; 4]), Err(Fault));
        let mut log = Vec::new();
        memory.take_log(&mut log);
        let seen: Vec<_> = log.iter().map(|r| (r.kind, r.address, r.bytes, r.clock, r.failed)).collect();
        let expected = [
            (AccessKind::Write, address, 256, 3, false),
            (AccessKind::Write, address + 256, 16, 3, false),
            (AccessKind::Read, 0, 4, 3, true),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_freed_is_used_again() {
        let mut memory = HostMemory::new();
        let first = memory.alloc_guarded(512, 4);
        memory.free(first);
        assert_eq!(memory.alloc_guarded(512, 4), first);
        assert_ne!(memory.alloc_guarded(512, 4), first);
        assert_eq!(memory.check_canaries(), Ok(()));
    }

    proptest! {
        /// Whatever the pieces are, the device's writes arrive in the memory that the host reads, and allocations never overlap.
        #[test]
        fn allocations_are_aligned_and_disjoint(sizes in proptest::collection::vec((1u64..9000, 0u32..13), 1..20)) {
            let mut memory = HostMemory::new();
            let mut taken: Vec<Range<u64>> = Vec::new();
            for (bytes, align) in sizes {
                let address = memory.alloc_guarded(bytes, 1 << align);
                prop_assert_eq!(address % (1 << align), 0);
                prop_assert!(taken.iter().all(|t| address >= t.end || address + bytes <= t.start));
                let data = vec![address as u8; bytes as usize];
                prop_assert_eq!(memory.dma_write(0, address, &data), Ok(()));
                taken.push(address..address + bytes);
            }
            for range in &taken {
                let data = memory.load_vec(range.start, (range.end - range.start) as usize);
                prop_assert!(data.iter().all(|&b| b == range.start as u8));
            }
            prop_assert_eq!(memory.check_canaries(), Ok(()));
        }
    }
}
