//! Erasing: of what was collected, of what no checkpoint needs, and of everything.

use flash_spec::fast_path::{Command, Planes, Register};
use flash_spec::record::entry;
use soc_hal::Flash;

use crate::job::Job;
use crate::{Ftl, State};

/// How far a secure erase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secure {
    /// None.
    Idle,
    /// An anchor is written that says so.
    Announcing,
    /// That anchor is in flash.
    Announced,
}

impl<F: Flash> Ftl<'_, F> {
    /// Erases a super-block that nothing needs any more.
    pub(crate) fn poll_erases(&mut self) {
        if self.count(State::Erasing) > 0 {
            return;
        }
        let useless = self.all_in(State::Useless).next();
        if let Some(index) = useless {
            return self.start_erase(index);
        }
        let Some(index) =
            self.all_in(State::Emptied).min_by_key(|&index| self.memory.super_blocks[usize::from(index)].closed_at)
        else {
            return;
        };
        let block = *self.block(index);
        let are_safe = self.flash.register(Register::SafeSequence) >= block.closed_at;
        let are_trims_durable =
            self.durable() >= block.trims && self.flash.register(Register::LogCovered) >= block.trim_sequence;
        if are_safe && are_trims_durable {
            return self.start_erase(index);
        }
        let is_urgent = self.free_for_units() <= crate::config::RESERVED;
        if !are_trims_durable && is_urgent {
            self.log.record_wanted |= self.log.is_quiet();
            self.log.is_urgent = true;
        }
        // Nothing is written that would make it safe: the host waits for it, and so do the moves.
        let is_stuck = self.is_short() && !self.do_moves_go_on() && self.settled < block.closed_at;
        if !are_safe && is_urgent && is_stuck {
            self.settled = block.closed_at;
            self.flash.command(Command::Settle);
        }
    }

    pub(crate) fn start_erase(&mut self, super_block: u16) {
        let planes = self.planes(super_block);
        if planes == 0 {
            self.block(super_block).state = State::Retired;
            return self.check_spare();
        }
        self.block(super_block).state = State::Erasing;
        self.flash.command(Command::Erase { super_block, planes });
    }

    /// Blocks have been erased.
    pub(crate) fn end_erase(&mut self, super_block: u16, failed: Planes) {
        self.block(super_block).erases += 1;
        for plane in (0..self.geometry.planes()).filter(|plane| failed >> plane & 1 == 1) {
            let page = u32::from(super_block) * self.geometry.pages_per_block * self.geometry.planes() + plane;
            self.smart.erase_failures += 1;
            self.retire(page);
        }
        if super_block == 0 {
            self.anchor.is_worn = failed != 0;
            self.job = Job::Idle;
            return;
        }
        let erases = self.block(super_block).erases;
        self.append(entry::ERASED, u32::from(super_block) | erases << entry::SUPER_BLOCK_BITS);
        let is_good = self.planes(super_block) != 0;
        self.block(super_block).state = if is_good { State::Free } else { State::Retired };
        self.check_spare();
    }
}
