//! Pages of the map: loaded when something needs them, then in the background; found again in spares when they cannot be read.

use flash_spec::fast_path::{Buffer, Command};
use flash_spec::limits::{SPARE_BYTES, UNITS_PER_PAGE};
use flash_spec::record::{MAP_ENTRIES, MAP_PAGES_MAX, UNMAPPED};
use flash_spec::spare::{kind, Spare};
use flash_spec::Outcome;
use soc_hal::Flash;

use crate::job::Job;
use crate::{Ftl, State};

const WORDS: usize = MAP_PAGES_MAX as usize / 64;

#[derive(Debug)]
pub(crate) struct MapState {
    /// Something waits for this page.
    pub(crate) wanted: Option<u16>,
    /// A page whose record could not be written.
    pub(crate) is_unwritten: Option<u16>,
    present: [u64; WORDS],
    /// All pages before it are present.
    first_absent: u32,
}

impl MapState {
    pub(crate) const fn new() -> Self {
        Self { wanted: None, is_unwritten: None, present: [0; WORDS], first_absent: 0 }
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
            return self.present(map_page, false);
        }
        self.job = Job::Load { map_page };
        self.flash.command(Command::Read { tag: 0, page, into: Some(Buffer::Map(map_page)) });
    }

    pub(crate) fn end_load(&mut self, map_page: u16, outcome: Outcome, spare: &[u8; SPARE_BYTES as usize]) {
        self.job = Job::Idle;
        let page = self.memory.directory[usize::from(map_page)];
        let is_it = |spare: Spare| spare.kind == kind::MAP && spare.lpns[0].get() == u32::from(map_page);
        if outcome.is_good() && Spare::check(spare, page).is_some_and(is_it) {
            return self.present(map_page, false);
        }
        self.smart.rebuilt_map_pages += 1;
        self.memory.newest.fill(0);
        (0..MAP_ENTRIES).for_each(|word| self.flash.write_word(Buffer::Map(map_page), word, UNMAPPED));
        self.read_next_spare(map_page, 0);
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

    /// Of each unit the page with the greatest sequence number has the newest version: see `flash_spec::fast_path`. Trims before the
    /// checkpoint are forgotten, so that such units have their old content again.
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
                    && self.memory.newest[entry as usize] < sequence
                {
                    self.memory.newest[entry as usize] = sequence;
                    self.flash.write_word(Buffer::Map(map_page), entry, place);
                }
            }
        }
        self.read_next_spare(map_page, page + 1);
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
