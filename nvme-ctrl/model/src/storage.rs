//! The contents of a namespace.

use std::collections::{BTreeMap, BTreeSet};

use nvme_spec::limits::SECTOR_BYTES;
use nvme_spec::Status;

const PAGE_BYTES: usize = 4096;

/// Bytes that read as zero until they are written.
#[derive(Default)]
pub(crate) struct Storage {
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
    /// Sectors that cannot be read until they are written.
    marked: BTreeSet<u64>,
}

impl Storage {
    pub(crate) fn read(&self, at: u64, data: &mut [u8]) {
        for (page, offset, range) in pieces(at, data.len()) {
            let part = &mut data[range];
            match self.pages.get(&page) {
                Some(bytes) => part.copy_from_slice(&bytes[offset..offset + part.len()]),
                None => part.fill(0),
            }
        }
    }

    /// What reads these bytes fails until they are written.
    pub(crate) fn mark(&mut self, at: u64, bytes: u64) {
        self.marked.extend(sectors(at, bytes));
    }

    /// Whether these bytes can be read.
    pub(crate) fn check(&self, at: u64, bytes: u64) -> Result<(), Status> {
        match self.marked.range(sectors(at, bytes)).next() {
            Some(_) => Err(Status::UNRECOVERED_READ_ERROR),
            None => Ok(()),
        }
    }

    fn unmark(&mut self, at: u64, bytes: u64) {
        let marked: Vec<u64> = self.marked.range(sectors(at, bytes)).copied().collect();
        for sector in marked {
            self.marked.remove(&sector);
        }
    }

    pub(crate) fn write(&mut self, at: u64, data: &[u8]) {
        self.unmark(at, data.len() as u64);
        for (page, offset, range) in pieces(at, data.len()) {
            let part = &data[range];
            let bytes = self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE_BYTES]));
            bytes[offset..offset + part.len()].copy_from_slice(part);
        }
    }

    /// These bytes read as zero.
    pub(crate) fn erase(&mut self, at: u64, bytes: u64) {
        self.unmark(at, bytes);
        let end = at + bytes;
        let (first_page, last_page) = (at / PAGE_BYTES as u64, end.div_ceil(PAGE_BYTES as u64));
        for (page, content) in self.pages.range_mut(first_page..last_page) {
            let start = page * PAGE_BYTES as u64;
            let [from, to] = [at, end].map(|edge| edge.saturating_sub(start).min(PAGE_BYTES as u64) as usize);
            content[from..to].fill(0);
        }
    }
}

/// The sectors of `bytes` from `at`, which are whole ones.
fn sectors(at: u64, bytes: u64) -> std::ops::Range<u64> {
    at / u64::from(SECTOR_BYTES)..(at + bytes).div_ceil(u64::from(SECTOR_BYTES))
}

/// Cuts `bytes` from `at` at page boundaries: page number, offset in the page, range in the data.
fn pieces(at: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == bytes {
            return None;
        }
        let position = at + done as u64;
        let offset = (position % PAGE_BYTES as u64) as usize;
        let count = (PAGE_BYTES - offset).min(bytes - done);
        let range = done..done + count;
        done += count;
        Some((position / PAGE_BYTES as u64, offset, range))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_across_pages_is_read_back_and_the_rest_is_zero() {
        let mut storage = Storage::default();
        storage.write(4000, &[7; 5000]);
        let mut back = vec![1; 5002];
        storage.read(3999, &mut back);
        assert_eq!((back[0], back[5001]), (0, 0));
        assert!(back[1..5001].iter().all(|&b| b == 7));
    }
}
