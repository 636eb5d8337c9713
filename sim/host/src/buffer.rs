use std::ops::Range;

use nvme_spec::sgl::{DATA_BLOCK, DESCRIPTOR_BYTES, LAST_SEGMENT, SEGMENT};
use nvme_spec::SglDescriptor;
use sim_device::{HostMemory, PAGE_BYTES};

/// Where PRP lists are put in their pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPlacement {
    /// Offset of the first list in its page, a multiple of 8. The closer to the end of the page, the sooner the list chains.
    pub offset: u64,
}

impl ListPlacement {
    /// The usual place: 512 entries before the list chains.
    pub const PAGE_START: Self = Self { offset: 0 };
}

/// A data buffer of a command: host memory with canaries around it, whole or scattered over pages.
pub struct Buffer {
    segments: Vec<Range<u64>>,
    allocations: Vec<u64>,
    lists: Vec<u64>,
    bytes: usize,
}

impl Buffer {
    /// A buffer that starts `offset` bytes into a page; its pages follow each other.
    pub fn contiguous(host: &mut HostMemory, offset: u64, bytes: usize) -> Self {
        let address = host.alloc_guarded_in_page(bytes as u64, offset);
        let segments =
            page_pieces(offset, bytes as u64).map(|piece| address + piece.start..address + piece.end).collect();
        Self { segments, allocations: vec![address], lists: Vec::new(), bytes }
    }

    /// A buffer that starts `offset` bytes into a page and whose pages lie apart, each with its own canaries.
    pub fn scattered(host: &mut HostMemory, offset: u64, bytes: usize) -> Self {
        let mut segments: Vec<Range<u64>> = Vec::new();
        for (i, piece) in page_pieces(offset, bytes as u64).enumerate() {
            let in_page = if i == 0 { offset } else { 0 };
            let length = piece.end - piece.start;
            let address = host.alloc_guarded_in_page(length, in_page);
            segments.push(address..address + length);
        }
        Self { allocations: segments.iter().map(|s| s.start).collect(), segments, lists: Vec::new(), bytes }
    }

    /// A buffer of pieces that lie apart, each with its own canaries: of each its offset in a page, and its length.
    pub fn of_pieces(host: &mut HostMemory, pieces: &[(u64, usize)]) -> Self {
        let allocate = |&(offset, bytes): &(u64, usize)| {
            let address = host.alloc_guarded_in_page(bytes as u64, offset);
            (address, page_pieces(offset, bytes as u64).map(move |p| address + p.start..address + p.end))
        };
        let (allocations, segments): (Vec<_>, Vec<_>) = pieces.iter().map(allocate).unzip();
        let bytes = pieces.iter().map(|(_, bytes)| bytes).sum();
        Self { segments: segments.into_iter().flatten().collect(), allocations, lists: Vec::new(), bytes }
    }

    /// The buffer made of `segments`, which the caller has allocated and keeps.
    pub fn from_segments(segments: Vec<Range<u64>>) -> Self {
        let bytes = segments.iter().map(|s| (s.end - s.start) as usize).sum();
        Self { segments, allocations: Vec::new(), lists: Vec::new(), bytes }
    }

    /// Its length.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its pieces, none of which crosses a page boundary, in the order of the data.
    pub fn segments(&self) -> &[Range<u64>] {
        &self.segments
    }

    /// Puts `data` into it from its start.
    pub fn store(&self, host: &mut HostMemory, mut data: &[u8]) {
        assert!(data.len() <= self.bytes, "more data than buffer");
        for segment in &self.segments {
            let count = data.len().min((segment.end - segment.start) as usize);
            host.store(segment.start, &data[..count]);
            data = &data[count..];
        }
    }

    /// What is in it.
    pub fn load(&self, host: &HostMemory) -> Vec<u8> {
        let mut data = vec![0; self.bytes];
        let mut rest = data.as_mut_slice();
        for segment in &self.segments {
            let (now, later) = rest.split_at_mut((segment.end - segment.start) as usize);
            host.load(segment.start, now);
            rest = later;
        }
        data
    }

    /// PRP1 and PRP2 for the whole buffer. Builds a list, chained if need be, where `placement` says.
    ///
    /// NVMe Base, "Physical Region Page Entry and List".
    pub fn prps(&mut self, host: &mut HostMemory, placement: ListPlacement) -> [u64; 2] {
        let entries: Vec<u64> = self.segments.iter().map(|s| s.start).collect();
        match entries[..] {
            [] => [0, 0],
            [only] => [only, 0],
            [first, second] => [first, second],
            [first, ref rest @ ..] => [first, self.build_list(host, rest, placement)],
        }
    }

    fn build_list(&mut self, host: &mut HostMemory, mut entries: &[u64], placement: ListPlacement) -> u64 {
        assert!(
            placement.offset.is_multiple_of(8) && placement.offset < PAGE_BYTES,
            "a list cannot start at {:#x}",
            placement.offset
        );
        let mut offset = placement.offset;
        let mut first = None;
        // Where the previous list wants the address of the next one.
        let mut link: Option<u64> = None;
        while !entries.is_empty() {
            let room = ((PAGE_BYTES - offset) / 8) as usize;
            let chained = entries.len() > room;
            let here = if chained { room - 1 } else { entries.len() };
            let slots = here + usize::from(chained);
            let list = host.alloc_guarded_in_page(slots as u64 * 8, offset);
            for (i, entry) in entries[..here].iter().enumerate() {
                host.store(list + i as u64 * 8, &entry.to_le_bytes());
            }
            if let Some(link) = link {
                host.store(link, &list.to_le_bytes());
            }
            link = chained.then_some(list + here as u64 * 8);
            first.get_or_insert(list);
            self.lists.push(list);
            entries = &entries[here..];
            offset = 0;
        }
        first.unwrap_or(0)
    }

    /// An SGL for the whole buffer: a data block for each piece that is contiguous. A lone one is in the command; otherwise at most `per_segment`
    /// descriptors, at least two, are in each segment, which begin `offset` bytes into their pages, a multiple of 8.
    ///
    /// NVMe Base, "Scatter Gather List (SGL)".
    pub fn sgl(&mut self, host: &mut HostMemory, per_segment: usize, offset: u64) -> SglDescriptor {
        let mut pieces: Vec<Range<u64>> = Vec::new();
        for segment in &self.segments {
            match pieces.last_mut() {
                Some(last) if last.end == segment.start => last.end = segment.end,
                _ => pieces.push(segment.clone()),
            }
        }
        let block = |piece: &Range<u64>| SglDescriptor::new(DATA_BLOCK, piece.start, (piece.end - piece.start) as u32);
        let blocks: Vec<SglDescriptor> = pieces.iter().map(block).collect();
        if let [only] = blocks[..] {
            return only;
        }
        self.build_sgl(host, &blocks, per_segment, offset)
    }

    /// Puts descriptors into segments, the last one first.
    fn build_sgl(
        &mut self,
        host: &mut HostMemory,
        blocks: &[SglDescriptor],
        per_segment: usize,
        offset: u64,
    ) -> SglDescriptor {
        assert!(per_segment >= 2, "a segment has room for a data block and for the next segment");
        let last = match blocks.len().checked_sub(per_segment) {
            None => 0,
            Some(before) => before.div_ceil(per_segment - 1) * (per_segment - 1),
        };
        let mut link = None;
        let starts = (0..=last).rev().filter(|start| start.is_multiple_of(per_segment - 1));
        for start in starts {
            let end = if link.is_none() { blocks.len() } else { start + per_segment - 1 };
            let segment: Vec<SglDescriptor> = blocks[start..end].iter().copied().chain(link).collect();
            let bytes = segment.len() as u32 * DESCRIPTOR_BYTES;
            let address = host.alloc_guarded_in_page(bytes.into(), offset);
            for (at, half) in (address..).step_by(8).zip(segment.iter().flat_map(|descriptor| descriptor.halves())) {
                host.store(at, &half.to_le_bytes());
            }
            self.lists.push(address);
            let identifier = if link.is_none() { LAST_SEGMENT } else { SEGMENT };
            link = Some(SglDescriptor::new(identifier, address, bytes));
        }
        link.expect("there is a first segment")
    }

    /// Gives its memory back.
    pub fn free(self, host: &mut HostMemory) {
        for address in self.allocations.into_iter().chain(self.lists) {
            host.free(address);
        }
    }
}

/// The ranges of `0..bytes` that lie in one page each when the first byte is `offset` bytes into a page.
fn page_pieces(offset: u64, bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == bytes {
            return None;
        }
        let in_page = (offset + done) % PAGE_BYTES;
        let end = bytes.min(done + PAGE_BYTES - in_page);
        let piece = done..end;
        done = end;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvme_spec::sgl::Descriptor;

    fn entry(host: &HostMemory, address: u64) -> u64 {
        u64::from_le_bytes(host.load_array(address))
    }

    #[test]
    fn small_buffers_need_no_list() {
        let mut host = HostMemory::new();
        let mut one = Buffer::contiguous(&mut host, 0x200, 512);
        let [prp1, prp2] = one.prps(&mut host, ListPlacement::PAGE_START);
        assert_eq!((prp1 % PAGE_BYTES, prp2), (0x200, 0));
        let mut two = Buffer::scattered(&mut host, 0xFFC, 4096);
        let [prp1, prp2] = two.prps(&mut host, ListPlacement::PAGE_START);
        assert_eq!((prp1 % PAGE_BYTES, prp2 % PAGE_BYTES), (0xFFC, 0));
        assert_ne!(prp2, prp1 + 4, "scattered pages lie apart");
    }

    #[test]
    fn a_list_near_the_end_of_its_page_chains() {
        let mut host = HostMemory::new();
        let mut buffer = Buffer::scattered(&mut host, 0, 5 * 4096);
        let pages: Vec<u64> = buffer.segments().iter().map(|s| s.start).collect();
        let placement = ListPlacement { offset: PAGE_BYTES - 16 };
        let [prp1, prp2] = buffer.prps(&mut host, placement);
        assert_eq!((prp1, prp2 % PAGE_BYTES), (pages[0], PAGE_BYTES - 16));
        assert_eq!(entry(&host, prp2), pages[1]);
        let next = entry(&host, prp2 + 8);
        assert_eq!(next % PAGE_BYTES, 0);
        let rest: Vec<u64> = (0..3).map(|i| entry(&host, next + i * 8)).collect();
        assert_eq!(rest, pages[2..]);
        assert_eq!(host.check_canaries(), Ok(()));
    }

    #[test]
    fn a_list_that_just_fits_does_not_chain() {
        let mut host = HostMemory::new();
        let mut buffer = Buffer::contiguous(&mut host, 0, 3 * 4096);
        let placement = ListPlacement { offset: PAGE_BYTES - 16 };
        let [prp1, prp2] = buffer.prps(&mut host, placement);
        assert_eq!(entry(&host, prp2), prp1 + 4096);
        assert_eq!(entry(&host, prp2 + 8), prp1 + 8192);
    }

    #[test]
    fn data_goes_in_and_out_in_order() {
        let mut host = HostMemory::new();
        let buffer = Buffer::scattered(&mut host, 0x123 * 4, 9000);
        let data: Vec<u8> = (0..9000u32).map(|i| (i % 253) as u8).collect();
        buffer.store(&mut host, &data);
        assert_eq!(buffer.load(&host), data);
        assert_eq!(host.check_canaries(), Ok(()));
        buffer.free(&mut host);
    }

    /// The data blocks of an SGL, and how many segments they are in.
    fn blocks_of(host: &HostMemory, first: SglDescriptor) -> (Vec<(u64, u32)>, u32) {
        let (mut blocks, mut segments) = (Vec::new(), 0);
        let mut rest = vec![first];
        while let Some(descriptor) = rest.pop() {
            match descriptor.decode().unwrap() {
                Descriptor::Block { address, bytes } => blocks.push((address, bytes)),
                Descriptor::Segment { address, descriptors, .. } => {
                    let half = |at| u64::from_le_bytes(host.load_vec(at, 8).try_into().unwrap());
                    let starts = (address..).step_by(16).take(descriptors as usize);
                    let read: Vec<_> = starts.map(|at| SglDescriptor::from_halves([half(at), half(at + 8)])).collect();
                    rest.extend(read.into_iter().rev());
                    segments += 1;
                }
            }
        }
        (blocks, segments)
    }

    #[test]
    fn an_sgl_has_a_data_block_for_each_piece() {
        let mut host = HostMemory::new();
        let mut whole = Buffer::contiguous(&mut host, 0x104, 9000);
        let start = whole.segments()[0].start;
        let first = whole.sgl(&mut host, 4, 0);
        assert_eq!(blocks_of(&host, first), (vec![(start, 9000)], 0));
        let pieces: Vec<(u64, usize)> = (0..10).map(|piece| (8 * piece, 4 + 512 * piece as usize)).collect();
        for (per_segment, segments) in [(2, 9), (3, 5), (4, 3), (10, 1), (11, 1)] {
            let mut buffer = Buffer::of_pieces(&mut host, &pieces);
            let first = buffer.sgl(&mut host, per_segment, 0xFF8);
            let (blocks, count) = blocks_of(&host, first);
            assert_eq!(blocks.iter().map(|block| block.1).sum::<u32>() as usize, buffer.bytes());
            let places: Vec<_> = blocks.iter().map(|block| (block.0 % 4096, block.1 as usize)).collect();
            assert_eq!((places, count), (pieces.clone(), segments), "{per_segment} descriptors in a segment");
        }
    }
}
