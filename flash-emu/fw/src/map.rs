//! Pages of the map: loaded when something needs them, then in the background; found again in spares when they cannot be read.

use flash_spec::fast_path::{Buffer, Command};
use flash_spec::limits::{PAGE_BYTES, SPARE_BYTES, UNITS_PER_PAGE};
use flash_spec::record::{
    part, MAP_ENTRIES, MAP_PAGES_MAX, MAP_PAGES_PER_MARKS, MARK_WORDS, SUPER_BLOCKS_MAX, UNMAPPED,
};
use flash_spec::spare::{kind, Spare};
use flash_spec::Outcome;
use soc_hal::Flash;

use crate::job::Job;
use crate::{Ftl, State};

const WORDS: usize = MAP_PAGES_MAX.div_ceil(64) as usize;

#[derive(Debug)]
pub(crate) struct MapState {
    /// Something waits for this page.
    pub(crate) wanted: Option<u16>,
    /// A page whose record could not be written.
    pub(crate) is_unwritten: Option<u16>,
    present: [u64; WORDS],
    /// What the checkpoint that is written, or was last, empties.
    pub(crate) emptied: SuperBlocks,
    /// A bit for each page of marks that differs from what is in flash.
    marks_dirty: u128,
    /// All pages before it are present.
    first_absent: u32,
}

/// A set of super-blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SuperBlocks([u64; SUPER_BLOCKS_MAX.div_ceil(64) as usize]);

impl SuperBlocks {
    pub(crate) const NONE: Self = Self([0; SUPER_BLOCKS_MAX.div_ceil(64) as usize]);

    pub(crate) fn insert(&mut self, super_block: u16) {
        self.0[usize::from(super_block) / 64] |= 1 << (super_block % 64);
    }

    pub(crate) fn contains(&self, super_block: u16) -> bool {
        self.0[usize::from(super_block) / 64] >> (super_block % 64) & 1 == 1
    }
}

impl MapState {
    pub(crate) const fn new() -> Self {
        Self {
            wanted: None,
            is_unwritten: None,
            present: [0; WORDS],
            emptied: SuperBlocks::NONE,
            marks_dirty: 0,
            first_absent: 0,
        }
    }

    pub(crate) fn is_present(&self, map_page: u16) -> bool {
        self.present[usize::from(map_page) / 64] >> (map_page % 64) & 1 == 1
    }

    pub(crate) fn set_all_present(&mut self) {
        self.present = [u64::MAX; WORDS];
        self.first_absent = 0;
    }

    /// The first page that is absent.
    pub(crate) fn first_absent(&mut self, map_pages: u32) -> Option<u16> {
        while self.first_absent < map_pages && self.is_present(self.first_absent as u16) {
            self.first_absent += 1;
        }
        (self.first_absent < map_pages).then_some(self.first_absent as u16)
    }
}

impl<F: Flash> Ftl<'_, F> {
    /// Whether hardware has all pages of the map, so that it knows how many units of each super-block are valid.
    pub(crate) fn is_map_complete(&mut self) -> bool {
        self.map.first_absent(self.config.map_pages()).is_none()
    }

    pub(crate) fn start_load(&mut self, map_page: u16) {
        let page = self.memory.directory[usize::from(map_page)];
        if page == UNMAPPED {
            (0..MAP_ENTRIES).for_each(|word| self.flash.write_word(Buffer::Map(map_page), word, UNMAPPED));
            self.memory.marks[Self::marks_of(map_page)].fill(0);
            return self.present(map_page, false);
        }
        self.job = Job::Load { map_page };
        self.flash.command(Command::Read { tag: 0, page, into: Some(Buffer::Map(map_page)) });
    }

    pub(crate) fn end_load(&mut self, map_page: u16, outcome: Outcome, spare: &[u8; SPARE_BYTES as usize]) {
        self.job = Job::Idle;
        let marks_dirty = self.map.marks_dirty;
        let page = self.memory.directory[usize::from(map_page)];
        let is_it = |spare: Spare| spare.kind == kind::MAP && spare.lpns[0].get() == u32::from(map_page);
        if outcome.is_good() && Spare::check(spare, page).is_some_and(is_it) {
            self.mark(map_page);
            // That is what the marks in flash say.
            self.map.marks_dirty = marks_dirty;
            return self.present(map_page, false);
        }
        self.smart.rebuilt_map_pages += 1;
        let page = self.memory.directory[self.marks_entry(map_page / MAP_PAGES_PER_MARKS as u16)];
        self.job = Job::LoadMarks { map_page };
        if page == UNMAPPED {
            // Those of a map in which no unit has ever had a place are not written.
            self.memory.marks[Self::marks_of(map_page)].fill(0);
            return self.start_rebuild(map_page);
        }
        self.flash.command(Command::Read { tag: 0, page, into: Some(Buffer::Scratch(0)) });
    }

    /// The marks of a page of the map have been read. If that has failed, all units may have a place, and what was trimmed is there again.
    pub(crate) fn end_load_marks(&mut self, map_page: u16, outcome: Outcome, spare: &[u8; SPARE_BYTES as usize]) {
        let index = map_page / MAP_PAGES_PER_MARKS as u16;
        let page = self.memory.directory[self.marks_entry(index)];
        let label = part::MARKS + u32::from(index);
        let is_it = |spare: Spare| spare.kind == kind::CHECKPOINT && spare.lpns[0].get() == label;
        let is_good = outcome.is_good() && Spare::check(spare, page).is_some_and(is_it);
        let first_word = u32::from(map_page) % MAP_PAGES_PER_MARKS * MARK_WORDS;
        for (word, place) in (first_word..).zip(Self::marks_of(map_page)) {
            self.memory.marks[place] = if is_good { self.flash.read_word(Buffer::Scratch(0), word) } else { u32::MAX };
        }
        if !is_good {
            self.map.marks_dirty |= 1 << index;
        }
        self.start_rebuild(map_page);
    }

    fn start_rebuild(&mut self, map_page: u16) {
        self.memory.newest.fill(0);
        (0..MAP_ENTRIES).for_each(|word| self.flash.write_word(Buffer::Map(map_page), word, UNMAPPED));
        self.read_next_spare(map_page, 0);
    }

    /// Where the place of a page of marks is in the directory.
    fn marks_entry(&self, index: u16) -> usize {
        self.config.map_pages() as usize + usize::from(index)
    }

    /// Where the marks of a page of the map are in `memory.marks`.
    fn marks_of(map_page: u16) -> core::ops::Range<usize> {
        let first = usize::from(map_page) * MARK_WORDS as usize;
        first..first + MARK_WORDS as usize
    }

    /// Writes down which units of a page of the map have a place.
    pub(crate) fn mark(&mut self, map_page: u16) {
        for (word, place) in (0..MAP_ENTRIES).step_by(u32::BITS as usize).zip(Self::marks_of(map_page)) {
            let mut marks = 0;
            for bit in 0..u32::BITS {
                let is_there = self.flash.read_word(Buffer::Map(map_page), word + bit) != UNMAPPED;
                marks |= u32::from(is_there) << bit;
            }
            if self.memory.marks[place] != marks {
                self.memory.marks[place] = marks;
                self.map.marks_dirty |= 1 << (map_page / MAP_PAGES_PER_MARKS as u16);
            }
        }
    }

    /// A page of marks that the checkpoint needs: one that has changed, or is in a super-block that is emptied.
    pub(crate) fn marks_to_write(&self) -> Option<u16> {
        let is_needed =
            |&index: &u16| self.is_emptied(self.marks_entry(index)) || self.map.marks_dirty >> index & 1 == 1;
        (0..self.config.mark_pages() as u16).find(is_needed)
    }

    /// Whether what this entry of the directory names is in a super-block that the checkpoint empties.
    pub(crate) fn is_emptied(&self, entry: usize) -> bool {
        let place = self.memory.directory[entry];
        place != UNMAPPED && self.map.emptied.contains(self.super_block_of(place))
    }

    /// Puts a page of marks where it is written from.
    pub(crate) fn put_marks(&mut self, index: u16) {
        let words = PAGE_BYTES / 4;
        for word in 0..words {
            let marks = self.memory.marks.get((u32::from(index) * words + word) as usize).copied();
            self.flash.write_word(Buffer::Scratch(0), word, marks.unwrap_or(0));
        }
    }

    /// A page of marks is in flash.
    pub(crate) fn end_marks(&mut self, index: u16, page: u32) {
        let entry = self.marks_entry(index);
        self.memory.directory[entry] = page;
        self.map.marks_dirty &= !(1 << index);
    }

    /// Reads the next spare of a super-block that may have units.
    fn read_next_spare(&mut self, map_page: u16, first: u32) {
        let has_units =
            |state| matches!(state, State::Open | State::Closed | State::Victim | State::Emptied | State::Stuck);
        let per_super_block = self.geometry.planes() * self.geometry.pages_per_block;
        let mut page = first;
        while u64::from(page) < self.geometry.pages() {
            let super_block = self.super_block_of(page);
            if has_units(self.block(super_block).state) {
                self.job = Job::Rebuild { map_page, page };
                return self.flash.command(Command::Read { tag: 0, page, into: None });
            }
            page = (page / per_super_block + 1) * per_super_block;
        }
        self.job = Job::Idle;
        self.present(map_page, true);
    }

    /// Of each unit that is marked the page with the greatest sequence number has the newest version: see `flash_spec::fast_path`.
    pub(crate) fn go_on_with_rebuild(
        &mut self,
        map_page: u16,
        page: u32,
        outcome: Outcome,
        spare: &[u8; SPARE_BYTES as usize],
    ) {
        let spare = Spare::check(spare, page).filter(|spare| outcome.is_good() && spare.kind == kind::USER);
        if let Some(spare) = spare {
            for (place, lpn) in (page * UNITS_PER_PAGE..).zip(spare.lpns) {
                let (lpn, sequence) = (lpn.get(), spare.sequence.get());
                let entry = lpn % MAP_ENTRIES;
                if lpn < self.config.units
                    && lpn / MAP_ENTRIES == u32::from(map_page)
                    && self.is_marked(map_page, entry)
                    && self.memory.newest[entry as usize] < sequence
                {
                    self.memory.newest[entry as usize] = sequence;
                    self.flash.write_word(Buffer::Map(map_page), entry, place);
                }
            }
        }
        self.read_next_spare(map_page, page + 1);
    }

    fn is_marked(&self, map_page: u16, entry: u32) -> bool {
        self.memory.marks[Self::marks_of(map_page)][(entry / u32::BITS) as usize] >> (entry % u32::BITS) & 1 == 1
    }

    /// Makes the changes since the checkpoint, and gives the page to the hardware.
    fn present(&mut self, map_page: u16, is_rebuilt: bool) {
        let deltas = &self.memory.deltas[..self.deltas];
        let start = deltas.partition_point(|delta| delta.lpn / MAP_ENTRIES < u32::from(map_page));
        let end = deltas.partition_point(|delta| delta.lpn / MAP_ENTRIES <= u32::from(map_page));
        for index in start..end {
            let delta = self.memory.deltas[index];
            self.flash.write_word(Buffer::Map(map_page), delta.lpn % MAP_ENTRIES, delta.place);
        }
        self.map.present[usize::from(map_page) / 64] |= 1 << (map_page % 64);
        self.flash.command(Command::MapPresent { map_page, is_dirty: is_rebuilt || start < end });
    }
}
