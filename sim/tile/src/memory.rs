//! Memory of which only the pages that were written take room.

/// Bytes of a page.
const PAGE_BYTES: u64 = 4096;

/// The address space of 32 bits, all 0 at first.
#[derive(Clone)]
pub struct Memory(Vec<Option<Box<[u8; PAGE_BYTES as usize]>>>);

impl Default for Memory {
    fn default() -> Self {
        Self(vec![None; ((1u64 << 32) / PAGE_BYTES) as usize])
    }
}

impl Memory {
    /// `N` bytes that lie in one page.
    ///
    /// # Panics
    /// When they do not, or lie beyond the address space.
    pub fn read<const N: usize>(&self, address: u64) -> [u8; N] {
        let offset = (address % PAGE_BYTES) as usize;
        match &self.0[(address / PAGE_BYTES) as usize] {
            Some(page) => page[offset..offset + N].try_into().expect("N bytes"),
            None => [0; N],
        }
    }

    /// Writes bytes.
    ///
    /// # Panics
    /// When they lie beyond the address space.
    pub fn write(&mut self, mut address: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let offset = (address % PAGE_BYTES) as usize;
            let here = bytes.len().min(PAGE_BYTES as usize - offset);
            let page = &mut self.0[(address / PAGE_BYTES) as usize];
            let page = page.get_or_insert_with(|| Box::new([0; PAGE_BYTES as usize]));
            page[offset..offset + here].copy_from_slice(&bytes[..here]);
            bytes = &bytes[here..];
            address += here as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_all_else_is_zero() {
        let mut memory = Memory::default();
        memory.write(0xFFFE, &[1, 2, 3, 4]);
        assert_eq!((memory.read(0xFFFC), memory.read(0x1_0000)), ([0, 0, 1, 2], [3, 4, 0, 0]));
        assert_eq!(memory.read::<8>(0xFFFF_FFF8), [0; 8]);
    }
}
