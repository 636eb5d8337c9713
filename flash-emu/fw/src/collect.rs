//! Garbage collection, wear levelling and refresh: the valid units of a victim are moved, in the background.

use flash_spec::fast_path::{Command, Register, Stream, MOVES_MAX};
use flash_spec::limits::UNITS_PER_PAGE;
use flash_spec::Outcome;
use soc_hal::Flash;

use crate::config::{EMPTIED, RESERVED};
use crate::{Config, Ftl, Policy, State};

/// Erased super-blocks below which victims are collected.
const COLLECT_BELOW: u32 = RESERVED + 2;

/// A victim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Collection {
    victim: u16,
    /// The next page of it, in the order of page numbers, and the first one behind it.
    page: u32,
    end: u32,
    /// Moves that have not ended.
    moving: u32,
    is_draining: bool,
    /// Pages that host and moves had programmed when it began.
    host_pages: u64,
    moved_pages: u64,
}

impl<F: Flash> Ftl<'_, F> {
    /// Chooses a victim if one is needed, and has its pages moved.
    pub(crate) fn poll_collection(&mut self) {
        if self.collection.is_none() && !self.start_collection() {
            return;
        }
        let Some(mut collection) = self.collection else { return };
        while collection.moving < MOVES_MAX && collection.page < collection.end && self.may_move(&collection) {
            if self.flash.register(Register::ValidUnits(collection.victim)) == 0 {
                collection.page = collection.end;
                break;
            }
            self.flash.command(Command::Move { page: collection.page });
            collection.moving += 1;
            collection.page += 1;
        }
        if collection.page == collection.end && !collection.is_draining {
            collection.is_draining = true;
            self.flash.command(Command::DrainMoves);
        }
        self.collection = Some(collection);
    }

    fn start_collection(&mut self) -> bool {
        // Of a worn device each erase may be the last.
        let is_short = self.free_for_units() < COLLECT_BELOW && (!self.is_read_only || self.waits(Stream::Host));
        let is_needed = is_short && self.count(State::Emptied) < EMPTIED;
        if !self.is_map_complete() || !(is_needed || self.refresh.is_some()) {
            return false;
        }
        let refresh = self.refresh.take().filter(|&index| self.block(index).state == State::Closed);
        let Some(victim) = refresh.or_else(|| is_needed.then(|| self.victim()).flatten()) else { return false };
        let per_super_block = self.geometry.planes() * self.geometry.pages_per_block;
        let first = u32::from(victim) * per_super_block;
        self.block(victim).state = State::Victim;
        self.collection = Some(Collection {
            victim,
            page: first,
            end: first + per_super_block,
            moving: 0,
            is_draining: false,
            host_pages: self.flash.register(Register::HostPages),
            moved_pages: self.flash.register(Register::MovedPages),
        });
        true
    }

    /// Whether erased super-blocks are so few that what moves gain must not be lost to filler, and moves go on.
    pub(crate) fn is_tight(&self) -> bool {
        self.collection.is_some() && self.free_for_units() < RESERVED && !self.waits(Stream::Moved)
    }

    /// Whether moves have used less than their share of the bandwidth, or there is hurry.
    fn may_move(&mut self, collection: &Collection) -> bool {
        // A few at a time go on always, so that what an idle host leaves undone gets done, and units find others to fill a page.
        let is_little = collection.moving < UNITS_PER_PAGE;
        if is_little || self.waits(Stream::Host) || self.free_for_units() <= RESERVED + 1 {
            return true;
        }
        // Hardware that has just lost its power answers with zeroes.
        let host = self.flash.register(Register::HostPages).saturating_sub(collection.host_pages);
        let moved = self.flash.register(Register::MovedPages).saturating_sub(collection.moved_pages);
        let share = u64::from(self.config.moved_percent);
        (moved + u64::from(collection.moving)) * (100 - share) <= (host + u64::from(MOVES_MAX)) * share
    }

    /// The super-block that is collected next. One that would be worn too far ahead of the others gives way to the least worn one, whose data is cold.
    fn victim(&mut self) -> Option<u16> {
        let now = self.flash.register(Register::Sequence);
        let units = u64::from(self.config.units_per_super_block());
        let is_urgent = self.free_for_units() < RESERVED;
        let mut best = None;
        let mut best_score = 0;
        for index in 0..self.memory.super_blocks.len() as u16 {
            let block = *self.block(index);
            if block.state != State::Closed {
                continue;
            }
            let valid = self.flash.register(Register::ValidUnits(index));
            let invalid = units - valid;
            // With no room to move much, what counts is to gain some.
            let policy = if is_urgent { Policy::Greedy } else { self.config.policy };
            let score = match policy {
                Policy::Greedy => invalid + 1,
                Policy::CostBenefit => (now.saturating_sub(block.closed_at) + 1) * invalid / (valid + 1) + 1,
            };
            if score > best_score {
                (best, best_score) = (Some(index), score);
            }
        }
        let best = best?;
        if !self.config.levels_wear || is_urgent {
            return Some(best);
        }
        let used = |index: &u16| {
            !matches!(self.memory.super_blocks[usize::from(*index)].state, State::System | State::Retired)
        };
        let erases = |index: u16| self.memory.super_blocks[usize::from(index)].erases;
        let all = (0..self.memory.super_blocks.len() as u16).filter(used);
        let (sum, least, count) = all.fold((0, u32::MAX, 0), |(sum, least, count), index| {
            (sum + erases(index), least.min(erases(index)), count + 1)
        });
        if erases(best) < least + Config::wear_spread(sum / count) {
            return Some(best);
        }
        self.all_in(State::Closed).min_by_key(|&index| erases(index))
    }

    pub(crate) fn note_moved(&mut self, outcome: Outcome) {
        let collection = self.collection.as_mut().expect("only a victim is moved");
        collection.moving -= 1;
        self.smart.unreadable_pages += u32::from(!outcome.is_good());
    }

    /// All valid units of the victim that can be read are elsewhere.
    pub(crate) fn note_drained(&mut self) {
        let collection = self.collection.take().expect("only a victim is moved");
        let victim = collection.victim;
        let is_empty = self.flash.register(Register::ValidUnits(victim)) == 0;
        let (sequence, trims) = (self.flash.register(Register::Sequence), self.flash.register(Register::LastTrim));
        let trim_sequence = self.flash.register(Register::LastTrimSequence);
        let block = self.block(victim);
        if !is_empty {
            // Its units cannot be read now. Perhaps they can later, so they stay.
            block.state = State::Stuck;
            self.smart.stuck_super_blocks += 1;
            return self.check_spare();
        }
        (block.state, block.closed_at) = (State::Emptied, sequence);
        (block.trims, block.trim_sequence) = (trims, trim_sequence);
    }
}
