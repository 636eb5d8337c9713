//! What lies around a hart: memory, devices, and the reservations of all harts.

/// An access that nothing answers, or that what answers denies: an access fault of the hart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusFault;

/// The most harts that share one bus.
pub const HARTS_MAX: usize = 8;

/// A physical address space with memory and devices, shared by up to [`HARTS_MAX`] harts.
///
/// Accesses are aligned to their size of 1, 2, 4 or 8 bytes; the bytes of a value are in little-endian order. An atomic is a load and a store of one hart with
/// nothing between them. What is slow or has effects lies outside of memory, so an implementation looks there last.
pub trait Bus {
    /// Reads `N` bytes for `hart`.
    ///
    /// # Errors
    /// Nothing answers there, or the access is denied.
    fn load<const N: usize>(&mut self, hart: usize, address: u64) -> Result<[u8; N], BusFault>;

    /// Writes `N` bytes for `hart`, and breaks the reservations of others on them ([`Reservations::written`]).
    ///
    /// # Errors
    /// Nothing answers there, or the access is denied.
    fn store<const N: usize>(&mut self, hart: usize, address: u64, bytes: [u8; N]) -> Result<(), BusFault>;

    /// Reads 16 bits of an instruction.
    ///
    /// # Errors
    /// There is nothing from which instructions may be fetched.
    fn fetch(&mut self, hart: usize, address: u64) -> Result<u16, BusFault>;

    /// Whether atomics and reservations are possible at an address, as they are in cached memory.
    fn has_atomics(&self, address: u64) -> bool;

    /// Whether an address is one of memory, which does nothing but to be read and written. Elsewhere a misaligned access is an access fault, so
    /// that no handler carries it out in parts.
    fn is_memory(&self, address: u64) -> bool {
        self.has_atomics(address)
    }

    /// The reservations of all harts.
    fn reservations(&mut self) -> &mut Reservations;

    /// The CSR `time`. Rocket has none: reading it is an illegal instruction there, which the firmware's monitor carries out.
    fn time(&self) -> Option<u64> {
        None
    }
}

/// The bytes that one reservation covers: a line of Rocket's data cache.
pub const RESERVATION_BYTES: u64 = 64;

/// What the harts have reserved by `lr`.
///
/// A reservation ends by the hart's own `sc`, and by a write of another hart or of a device to its bytes. Rocket's ends also after some clocks, which
/// a program that is written by the rules cannot tell from a write. Volume I, "Eventual Success of Store-Conditional Instructions".
#[derive(Clone, Debug, Default)]
pub struct Reservations {
    lines: [Option<u64>; HARTS_MAX],
    held: usize,
}

impl Reservations {
    /// `hart` reserves the bytes around an address, and gives up what it had.
    ///
    /// # Panics
    /// When there is no such hart.
    pub fn reserve(&mut self, hart: usize, address: u64) {
        self.release(hart);
        self.lines[hart] = Some(address / RESERVATION_BYTES);
        self.held += 1;
    }

    /// Whether `hart` holds a reservation for this address.
    ///
    /// # Panics
    /// When there is no such hart.
    pub fn holds(&self, hart: usize, address: u64) -> bool {
        self.lines[hart] == Some(address / RESERVATION_BYTES)
    }

    /// `hart` gives its reservation up.
    ///
    /// # Panics
    /// When there is no such hart.
    pub fn release(&mut self, hart: usize) {
        self.held -= usize::from(self.lines[hart].take().is_some());
    }

    /// Something was written, by a hart or by a device (none): others lose their reservations there. An aligned access lies in one reservation.
    #[inline]
    pub fn written(&mut self, by: Option<usize>, address: u64) {
        if self.held != 0 {
            self.break_others(by, address);
        }
    }

    #[cold]
    fn break_others(&mut self, by: Option<usize>, address: u64) {
        for hart in (0..HARTS_MAX).filter(|&hart| Some(hart) != by) {
            if self.holds(hart, address) {
                self.release(hart);
            }
        }
    }
}

/// A bus with a memory and nothing else. The default has no bytes.
#[derive(Clone, Debug, Default)]
pub struct MemoryBus {
    base: u64,
    bytes: Vec<u8>,
    reservations: Reservations,
}

impl MemoryBus {
    /// A memory of so many bytes, all 0, from an address on.
    pub fn new(base: u64, bytes: usize) -> Self {
        Self { base, bytes: vec![0; bytes], reservations: Reservations::default() }
    }

    /// The bytes of a range, by the back door: no reservation breaks.
    ///
    /// # Panics
    /// When the range is not inside the memory.
    pub fn bytes_mut(&mut self, address: u64, bytes: usize) -> &mut [u8] {
        let range = self.offset(address).and_then(|offset| Some(offset..offset.checked_add(bytes)?));
        range
            .and_then(|range| self.bytes.get_mut(range))
            .unwrap_or_else(|| panic!("{bytes} bytes at {address:#x} are outside of the memory"))
    }

    #[inline]
    fn offset(&self, address: u64) -> Option<usize> {
        usize::try_from(address.wrapping_sub(self.base)).ok()
    }
}

impl Bus for MemoryBus {
    #[inline]
    fn load<const N: usize>(&mut self, _hart: usize, address: u64) -> Result<[u8; N], BusFault> {
        let bytes = self.offset(address).and_then(|offset| self.bytes.get(offset..)?.first_chunk());
        bytes.copied().ok_or(BusFault)
    }

    #[inline]
    fn store<const N: usize>(&mut self, hart: usize, address: u64, bytes: [u8; N]) -> Result<(), BusFault> {
        self.reservations.written(Some(hart), address);
        let place = self.offset(address).and_then(|offset| self.bytes.get_mut(offset..)?.first_chunk_mut());
        *place.ok_or(BusFault)? = bytes;
        Ok(())
    }

    fn fetch(&mut self, hart: usize, address: u64) -> Result<u16, BusFault> {
        self.load(hart, address).map(u16::from_le_bytes)
    }

    fn has_atomics(&self, address: u64) -> bool {
        self.offset(address).is_some_and(|offset| offset < self.bytes.len())
    }

    fn reservations(&mut self) -> &mut Reservations {
        &mut self.reservations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_ends_where_it_ends() {
        let mut bus = MemoryBus::new(64, 16);
        assert_eq!(bus.store(0, 72, [7; 8]), Ok(()));
        assert_eq!(bus.load(0, 76), Ok([7; 4]));
        assert_eq!(bus.load::<8>(0, 73), Err(BusFault));
        assert_eq!(bus.load::<1>(0, 80), Err(BusFault));
        assert_eq!(bus.load::<1>(0, 63), Err(BusFault));
        assert_eq!(bus.store(0, u64::MAX - 7, [0; 8]), Err(BusFault));
        assert!(bus.has_atomics(79) && !bus.has_atomics(80) && !bus.has_atomics(63));
    }

    #[test]
    fn others_break_a_reservation_and_its_owner_does_not() {
        let mut reservations = Reservations::default();
        reservations.reserve(1, 0x140);
        reservations.written(Some(1), 0x140);
        reservations.written(Some(0), 0x180);
        assert!(reservations.holds(1, 0x178) && !reservations.holds(0, 0x140) && !reservations.holds(1, 0x180));
        reservations.written(Some(0), 0x17F);
        assert!(!reservations.holds(1, 0x140));
        reservations.reserve(1, 0x140);
        reservations.reserve(1, 0x40);
        reservations.written(None, 0x40);
        assert!(!reservations.holds(1, 0x40) && !reservations.holds(1, 0x140));
        assert_eq!(reservations.held, 0);
    }
}
