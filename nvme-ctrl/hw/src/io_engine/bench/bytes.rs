//! Memory of 64-byte lines in which only some pages exist.

use std::collections::BTreeMap;

const PAGE: u64 = 4096;

/// Sparse memory; pages compare equal if they hold the same bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    pages: BTreeMap<u64, Box<[u8; PAGE as usize]>>,
}

impl Bytes {
    /// The line at `address`, if it exists.
    pub fn line(&self, address: u64) -> Option<Vec<u64>> {
        let page = self.pages.get(&(address / PAGE))?;
        let at = (address % PAGE) as usize;
        let words = page[at..at + 64].chunks_exact(8);
        Some(words.map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes"))).collect())
    }

    /// Writes the bytes of a line whose bit in `strobe` is set. False if the page does not exist.
    pub fn write_line(&mut self, address: u64, words: &[u64], strobe: u64) -> bool {
        let Some(page) = self.pages.get_mut(&(address / PAGE)) else { return false };
        let at = (address % PAGE) as usize;
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        for (i, byte) in bytes.enumerate().filter(|(i, _)| strobe >> i & 1 == 1) {
            page[at + i] = byte;
        }
        true
    }

    /// Writes `data`, making pages of zeroes where there are none.
    pub fn store(&mut self, address: u64, data: &[u8]) {
        for (address, &byte) in (address..).zip(data) {
            let page = self.pages.entry(address / PAGE).or_insert_with(|| Box::new([0; PAGE as usize]));
            page[(address % PAGE) as usize] = byte;
        }
    }

    /// Reads `bytes` bytes, zeroes where there is no page.
    pub fn load(&self, address: u64, bytes: u64) -> Vec<u8> {
        let byte = |a: u64| self.pages.get(&(a / PAGE)).map_or(0, |page| page[(a % PAGE) as usize]);
        (address..address + bytes).map(byte).collect()
    }

    /// Takes a page away.
    pub fn remove_page(&mut self, address: u64) {
        self.pages.remove(&(address / PAGE));
    }

    /// The address of a page that differs in `other`, if any does.
    pub fn first_difference(&self, other: &Bytes) -> Option<u64> {
        let differs = |page: &&u64| self.pages.get(page) != other.pages.get(page);
        self.pages.keys().chain(other.pages.keys()).find(differs).map(|page| page * PAGE)
    }
}
