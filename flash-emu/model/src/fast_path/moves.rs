//! Units on their way from a victim to another page.

use std::collections::VecDeque;

use flash_spec::fast_path::Event;
use flash_spec::limits::UNITS_PER_PAGE;
use flash_spec::Outcome;

use super::cache::Cache;
use super::{Content, FastPath, Unit};

#[derive(Debug)]
pub(super) struct Moves {
    /// Pages that firmware named, and how many of their units are not where they belong yet.
    pages: VecDeque<(u32, u32)>,
    /// Units that were read and wait for others to fill a page.
    waiting: VecDeque<Unit>,
    drains: bool,
}

impl Moves {
    pub(super) fn new() -> Self {
        Self { pages: VecDeque::new(), waiting: VecDeque::new(), drains: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty() && !self.drains
    }

    pub(super) fn drain(&mut self) {
        self.drains = true;
    }

    /// Units for a page. One that the host is writing waits: it will have been moved by that, unless the program fails.
    pub(super) fn gather(&mut self, cache: &Cache) -> Vec<Unit> {
        let ready = self.waiting.iter().filter(|unit| !cache.is_in_flight(unit.lpn)).count();
        let wanted = UNITS_PER_PAGE as usize;
        if ready == 0 || ready < wanted && !self.drains {
            return Vec::new();
        }
        let mut units = Vec::with_capacity(wanted);
        self.waiting.retain(|unit| {
            let is_taken = units.len() < wanted && !cache.is_in_flight(unit.lpn);
            if is_taken {
                units.push(*unit);
            }
            !is_taken
        });
        units
    }

    /// The program of a unit has ended.
    pub(super) fn end(&mut self, unit: &Unit, is_good: bool) {
        if is_good {
            self.resolve(unit);
        } else {
            self.waiting.push_front(*unit);
        }
    }

    fn resolve(&mut self, unit: &Unit) {
        let page = unit.source / UNITS_PER_PAGE;
        let (_, left) = self.pages.iter_mut().find(|(other, _)| *other == page).expect("its page is being moved");
        *left -= 1;
    }
}

impl FastPath {
    /// Starts the move of a page.
    pub(super) fn start_move(&mut self, page: u32) {
        let first = page * UNITS_PER_PAGE;
        let is_erased = self.array.page(self.address(page)) == &crate::Page::Erased;
        let is_needed = !is_erased && self.valid[(first / self.units_per_super_block()) as usize] > 0;
        if !is_needed {
            return self.events.push_back(Event::Moved { page, outcome: Outcome::GOOD });
        }
        let Some((spare, content)) = self.read_flash(page) else {
            return self.events.push_back(Event::Moved { page, outcome: Outcome::Uncorrectable });
        };
        let mut left = 0;
        if let Content::Units(data) = content {
            for ((source, lpn), data) in (first..).zip(spare.lpns).zip(data) {
                if self.map.get(lpn.get() as usize) == Some(&source) {
                    self.moves.waiting.push_back(Unit { lpn: lpn.get(), data, source });
                    left += 1;
                }
            }
        }
        self.moves.pages.push_back((page, left));
        self.resolve_moves();
    }

    /// Forgets units that have another place by now, and tells of pages without any that wait.
    pub(super) fn resolve_moves(&mut self) {
        let moves = &mut self.moves;
        if moves.is_empty() {
            return;
        }
        let mut resolved = Vec::new();
        moves.waiting.retain(|unit| {
            let is_valid = self.map[unit.lpn as usize] == unit.source;
            if !is_valid {
                resolved.push(*unit);
            }
            is_valid
        });
        resolved.iter().for_each(|unit| moves.resolve(unit));
        let events = &mut self.events;
        moves.pages.retain(|&(page, left)| {
            if left == 0 {
                events.push_back(Event::Moved { page, outcome: Outcome::GOOD });
            }
            left > 0
        });
        if moves.drains && moves.pages.is_empty() {
            moves.drains = false;
            events.push_back(Event::MovesDrained);
        }
    }
}
