use std::collections::BTreeMap;

/// Bytes in a page of the sparse memories.
pub const PAGE_BYTES: u64 = 4096;

const PAGES_PER_CHUNK: u64 = 512;

type Page = Box<[u8; PAGE_BYTES as usize]>;

/// Sparse pages. Few chunks exist in a run, so that a look-up is one short search and one index.
#[derive(Default)]
pub(crate) struct Pages {
    chunks: BTreeMap<u64, Vec<Option<Page>>>,
}

impl Pages {
    fn split(address: u64) -> (u64, usize, usize) {
        let page = address / PAGE_BYTES;
        (page / PAGES_PER_CHUNK, (page % PAGES_PER_CHUNK) as usize, (address % PAGE_BYTES) as usize)
    }

    /// The bytes from `address` to the end of its page.
    pub(crate) fn tail(&self, address: u64) -> Option<&[u8]> {
        let (chunk, page, offset) = Self::split(address);
        let page = self.chunks.get(&chunk)?[page].as_ref()?;
        Some(&page[offset..])
    }

    /// The bytes from `address` to the end of its page.
    pub(crate) fn tail_mut(&mut self, address: u64) -> Option<&mut [u8]> {
        let (chunk, page, offset) = Self::split(address);
        let page = self.chunks.get_mut(&chunk)?[page].as_mut()?;
        Some(&mut page[offset..])
    }

    /// Makes every page of `start..end` exist; new pages are filled with `fill`.
    pub(crate) fn map(&mut self, start: u64, end: u64, fill: u8) {
        if start == end {
            return;
        }
        for number in start / PAGE_BYTES..=(end - 1) / PAGE_BYTES {
            let (chunk, page, _) = Self::split(number * PAGE_BYTES);
            let chunk = self.chunks.entry(chunk).or_insert_with(|| vec![None; PAGES_PER_CHUNK as usize]);
            chunk[page].get_or_insert_with(|| Box::new([fill; PAGE_BYTES as usize]));
        }
    }

    /// Whether every byte of `address..address + bytes` exists.
    pub(crate) fn contains(&self, address: u64, bytes: u64) -> bool {
        let Some(end) = address.checked_add(bytes) else {
            return false;
        };
        let mut at = address;
        while at < end {
            let Some(tail) = self.tail(at) else {
                return false;
            };
            at += tail.len() as u64;
        }
        true
    }

    /// Copies out of existing pages.
    pub(crate) fn read(&self, mut address: u64, mut data: &mut [u8]) {
        while !data.is_empty() {
            let tail = self.tail(address).unwrap_or_else(|| panic!("no memory at {address:#x}"));
            let count = tail.len().min(data.len());
            let (now, later) = data.split_at_mut(count);
            now.copy_from_slice(&tail[..count]);
            data = later;
            address += count as u64;
        }
    }

    /// Copies into existing pages.
    pub(crate) fn write(&mut self, mut address: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let tail = self.tail_mut(address).unwrap_or_else(|| panic!("no memory at {address:#x}"));
            let count = tail.len().min(data.len());
            tail[..count].copy_from_slice(&data[..count]);
            data = &data[count..];
            address += count as u64;
        }
    }
}

/// Copies the bytes whose bit in `strobe` is set.
pub(crate) fn copy_strobed(to: &mut [u8], from: &crate::Beat, strobe: u64) {
    if strobe == u64::MAX {
        to[..crate::BEAT_BYTES].copy_from_slice(from);
        return;
    }
    for (i, byte) in from.iter().enumerate() {
        if strobe >> i & 1 == 1 {
            to[i] = *byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_crosses_pages_and_chunks() {
        let mut pages = Pages::default();
        let chunk_bytes = PAGE_BYTES * PAGES_PER_CHUNK;
        let start = chunk_bytes - 5000;
        pages.map(start, chunk_bytes + 5000, 0);
        let data: Vec<u8> = (0..10000).map(|i| (i % 251) as u8).collect();
        pages.write(start, &data);
        let mut back = vec![0; 10000];
        pages.read(start, &mut back);
        assert_eq!(back, data);
        assert!(pages.contains(start, 10000));
        assert!(!pages.contains(start - PAGE_BYTES, 10000));
        assert!(!pages.contains(u64::MAX, 2));
    }

    #[test]
    fn mapping_again_keeps_what_is_there() {
        let mut pages = Pages::default();
        pages.map(0, 1, 7);
        pages.write(5, &[1]);
        pages.map(0, PAGE_BYTES + 1, 9);
        let mut back = [0; 2];
        pages.read(5, &mut back);
        assert_eq!(back, [1, 7]);
        assert_eq!(pages.tail(PAGE_BYTES).map(|t| t[0]), Some(9));
    }
}
