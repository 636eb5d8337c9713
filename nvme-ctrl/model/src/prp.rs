//! Physical Region Page entries and lists. NVMe Base, "Physical Region Page Entry and List".

use nvme_spec::Status;

use crate::host::{HostError, HostPort};

/// Bytes in a memory page: CC.MPS selects 4 KiB.
pub(crate) const PAGE_BYTES: u64 = nvme_spec::limits::PAGE_BYTES as u64;

/// A piece of host memory that does not cross a page boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) address: u64,
    pub(crate) bytes: u64,
}

/// The pieces of host memory that `bytes` of data from `prp1` and `prp2` cover.
///
/// The number of list pages read is bounded by `bytes`, so that a list that points to itself ends.
pub(crate) fn walk(host: &mut dyn HostPort, function: u8, prp: [u64; 2], bytes: u64) -> Result<Vec<Segment>, Status> {
    let [prp1, prp2] = prp;
    if prp1 % 4 != 0 {
        return Err(Status::INVALID_PRP_OFFSET);
    }
    let first = bytes.min(PAGE_BYTES - prp1 % PAGE_BYTES);
    let mut segments = vec![Segment { address: prp1, bytes: first }];
    let mut left = bytes - first;
    if left == 0 {
        // PRP2 is reserved and not looked at.
        return Ok(segments);
    }
    if left <= PAGE_BYTES {
        segments.push(whole_page(prp2, left)?);
        return Ok(segments);
    }
    // The first list may start anywhere in its page, at a multiple of 8.
    if prp2 % 8 != 0 {
        return Err(Status::INVALID_PRP_OFFSET);
    }
    let mut list = prp2;
    loop {
        let room = (PAGE_BYTES - list % PAGE_BYTES) / 8;
        let wanted = left.div_ceil(PAGE_BYTES);
        let count = room.min(wanted);
        let entries = read_list(host, function, list, count).map_err(|HostError| Status::DATA_TRANSFER_ERROR)?;
        // "If there are more entries than fit, the last entry of the page points to the next list page."
        let data_entries = if wanted > room { count - 1 } else { count };
        for &entry in &entries[..data_entries as usize] {
            let segment = whole_page(entry, left.min(PAGE_BYTES))?;
            left -= segment.bytes;
            segments.push(segment);
        }
        if left == 0 {
            return Ok(segments);
        }
        list = entries[data_entries as usize];
        if list % PAGE_BYTES != 0 {
            return Err(Status::INVALID_PRP_OFFSET);
        }
    }
}

/// All entries but the first have no offset.
fn whole_page(entry: u64, bytes: u64) -> Result<Segment, Status> {
    if !entry.is_multiple_of(PAGE_BYTES) {
        return Err(Status::INVALID_PRP_OFFSET);
    }
    Ok(Segment { address: entry, bytes })
}

fn read_list(host: &mut dyn HostPort, function: u8, address: u64, count: u64) -> Result<Vec<u64>, HostError> {
    let mut raw = vec![0; count as usize * 8];
    host.read(function, address, &mut raw)?;
    let entries = raw.chunks_exact(8).map(|entry| {
        let bytes = entry.try_into().expect("chunks of eight bytes");
        u64::from_le_bytes(bytes)
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Host memory with PRP lists only.
    #[derive(Default)]
    struct Lists(BTreeMap<u64, u64>);

    impl Lists {
        fn put(&mut self, address: u64, entries: &[u64]) {
            for (i, &entry) in entries.iter().enumerate() {
                self.0.insert(address + i as u64 * 8, entry);
            }
        }
    }

    impl HostPort for Lists {
        fn read(&mut self, _: u8, address: u64, data: &mut [u8]) -> Result<(), HostError> {
            for (i, entry) in data.chunks_exact_mut(8).enumerate() {
                let value = self.0.get(&(address + i as u64 * 8)).ok_or(HostError)?;
                entry.copy_from_slice(&value.to_le_bytes());
            }
            Ok(())
        }

        fn write(&mut self, _: u8, _: u64, _: &[u8]) -> Result<(), HostError> {
            Err(HostError)
        }
    }

    fn pieces(segments: &[Segment]) -> Vec<(u64, u64)> {
        segments.iter().map(|s| (s.address, s.bytes)).collect()
    }

    #[test]
    fn one_and_two_entries_need_no_list() {
        let mut host = Lists::default();
        let mut at = |prp, bytes| walk(&mut host, 0, prp, bytes).map(|s| pieces(&s));
        assert_eq!(at([0x1E00, 7], 512), Ok(vec![(0x1E00, 512)]));
        assert_eq!(at([0x1E00, 0x5000], 516), Ok(vec![(0x1E00, 512), (0x5000, 4)]));
        assert_eq!(at([0x1000, 0x5000], 8192), Ok(vec![(0x1000, 4096), (0x5000, 4096)]));
        assert_eq!(at([0x1002, 0], 512), Err(Status::INVALID_PRP_OFFSET));
        assert_eq!(at([0x1E00, 0x5004], 516), Err(Status::INVALID_PRP_OFFSET));
    }

    #[test]
    fn a_list_may_start_late_in_its_page_and_chains_only_if_it_must() {
        let mut host = Lists::default();
        host.put(0x8FF0, &[0xA000, 0xB000]);
        let exact = walk(&mut host, 0, [0x1000, 0x8FF0], 3 * 4096).map(|s| pieces(&s));
        assert_eq!(exact, Ok(vec![(0x1000, 4096), (0xA000, 4096), (0xB000, 4096)]));
        host.put(0x8FF0, &[0xA000, 0x9000]);
        host.put(0x9000, &[0xC000, 0xD000]);
        let chained = walk(&mut host, 0, [0x1800, 0x8FF0], 4 * 4096 - 2048 - 12);
        assert_eq!(
            chained.map(|s| pieces(&s)),
            Ok(vec![(0x1800, 2048), (0xA000, 4096), (0xC000, 4096), (0xD000, 4084)])
        );
    }

    #[test]
    fn a_list_that_points_to_itself_ends() {
        let mut host = Lists::default();
        host.put(0x8000, &[0x8000; 512]);
        let segments = walk(&mut host, 0, [0x8000, 0x8FF8], 4096 * 1024);
        assert_eq!(segments.map(|s| s.len()), Ok(1024));
    }

    #[test]
    fn bad_lists_end_with_a_status() {
        let mut host = Lists::default();
        host.put(0x8FF0, &[0xA004, 0xB000]);
        let mut at = |prp2| walk(&mut host, 0, [0x1000, prp2], 3 * 4096);
        assert_eq!(at(0x8FF0), Err(Status::INVALID_PRP_OFFSET));
        assert_eq!(at(0x8FF4), Err(Status::INVALID_PRP_OFFSET));
        assert_eq!(at(0x7000), Err(Status::DATA_TRANSFER_ERROR));
    }
}
