//! An open super-block: where the next page goes, and which pages can still be destroyed.

use flash_spec::fast_path::{Planes, Stream};
use flash_spec::pairing::paired;
use flash_spec::{Geometry, PageAddress};

#[derive(Clone, Debug)]
pub(super) struct WritePoint {
    pub(super) stream: Stream,
    pub(super) super_block: u16,
    /// Those of its blocks that get more pages.
    planes: Planes,
    /// Those with a program in flight.
    busy: Planes,
    /// The next page of each block.
    next: Vec<u16>,
    /// The programmed LSB pages of each block whose MSB pages are not programmed: page and sequence number.
    not_safe: Vec<Vec<(u16, u64)>>,
    /// Where the search for a block begins.
    turn: u32,
}

impl WritePoint {
    pub(super) fn new(next: Vec<u16>, stream: Stream, super_block: u16, planes: Planes) -> Self {
        let not_safe = vec![Vec::new(); next.len()];
        Self { stream, super_block, planes, busy: 0, next, not_safe, turn: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.planes == 0
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy != 0
    }

    pub(super) fn can_start(&self) -> bool {
        self.planes & !self.busy != 0
    }

    pub(super) fn is_safe(&self) -> bool {
        self.not_safe.iter().all(Vec::is_empty)
    }

    /// The lowest sequence number of a page that can still be destroyed.
    pub(super) fn first_not_safe(&self) -> Option<u64> {
        self.not_safe.iter().flatten().map(|&(_, sequence)| sequence).min()
    }

    /// Takes the next page: of the block with the fewest, in turn.
    pub(super) fn start(&mut self, geometry: &Geometry, sequence: u64) -> PageAddress {
        let count = geometry.planes();
        let in_turn = (0..count).map(|offset| (self.turn + offset) % count);
        let can_start = in_turn.filter(|&plane| (self.planes & !self.busy) >> plane & 1 == 1);
        let plane = can_start.min_by_key(|&plane| self.next[plane as usize]).expect("a block can be written");
        self.turn = (plane + 1) % count;
        let page = self.next[plane as usize];
        if paired(page.into(), geometry.pages_per_block) > page.into() {
            self.not_safe[plane as usize].push((page, sequence));
        }
        self.take(geometry, plane)
    }

    /// Takes the next page of a block in which a page with a lower sequence number than `limit` is not safe.
    pub(super) fn start_filler(&mut self, geometry: &Geometry, limit: u64) -> Option<PageAddress> {
        let needs = |pages: &Vec<(u16, u64)>| pages.iter().any(|&(_, sequence)| sequence < limit);
        let planes = self.planes & !self.busy;
        let plane =
            (0..geometry.planes()).find(|&plane| planes >> plane & 1 == 1 && needs(&self.not_safe[plane as usize]))?;
        Some(self.take(geometry, plane))
    }

    fn take(&mut self, geometry: &Geometry, plane: u32) -> PageAddress {
        let page = self.next[plane as usize];
        self.next[plane as usize] += 1;
        self.busy |= 1 << plane;
        if u32::from(page) + 1 == geometry.pages_per_block {
            self.planes &= !(1 << plane);
        }
        let first = self.super_block as u64 * geometry.pages_per_block as u64 + u64::from(page);
        geometry.page_at(first * u64::from(geometry.planes()) + u64::from(plane))
    }

    /// A program has ended. A block in which one has failed gets no more, so nothing in it can be destroyed.
    pub(super) fn end(&mut self, geometry: &Geometry, address: PageAddress, is_good: bool) {
        let plane = geometry.plane_index(address);
        self.busy &= !(1 << plane);
        let not_safe = &mut self.not_safe[plane as usize];
        if is_good {
            let other = paired(address.page.into(), geometry.pages_per_block);
            not_safe.retain(|&(page, _)| u32::from(page) != other);
        } else {
            not_safe.clear();
            self.planes &= !(1 << plane);
        }
    }
}
