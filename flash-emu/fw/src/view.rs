//! What people look at, and the end of a device's day: what each super-block is used for, and a checkpoint before the power goes.

use flash_spec::fast_path::{Command, Planes, Register};
use soc_hal::Flash;

use crate::checkpoint::Checkpoint;
use crate::job::Job;
use crate::{Config, Ftl, State};

/// What a super-block is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing: it is erased, or about to be used.
    Erased,
    /// Units of the host are being written to it.
    Open,
    /// Units of the host, valid or not.
    Full,
    /// The device's own: the map, the log, anchors.
    Own,
    /// Nothing ever more: all of its blocks are bad.
    Retired,
}

/// A super-block as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuperBlockView {
    /// What it is used for.
    pub purpose: Purpose,
    /// How often it was erased.
    pub erases: u32,
    /// A bit for each plane whose block is bad.
    pub bad: Planes,
}

impl<F: Flash> Ftl<'_, F> {
    /// What it was told.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The super-blocks, in their order.
    pub fn super_blocks(&self) -> impl Iterator<Item = SuperBlockView> + '_ {
        self.memory.super_blocks.iter().map(|block| SuperBlockView {
            purpose: match block.state {
                State::Free => Purpose::Erased,
                State::Open => Purpose::Open,
                State::Closed | State::Victim | State::Emptied | State::Useless | State::Erasing | State::Stuck => {
                    Purpose::Full
                }
                State::Map | State::Log | State::System => Purpose::Own,
                State::Retired => Purpose::Retired,
            },
            erases: block.erases,
            bad: block.bad,
        })
    }

    /// Whether all of the map is in memory. It is loaded in the background after a mount.
    pub fn is_map_loaded(&mut self) -> bool {
        self.is_map_complete()
    }

    /// Has a checkpoint made, so that the next mount finds all figures as they are and has little to read.
    pub fn prepare_power_off(&mut self) {
        self.checkpoint.want();
    }

    /// Whether the power may go: to be asked between polls. A device that takes no more writes may never get there, and loses no data for it.
    pub fn is_prepared(&mut self) -> bool {
        // No more writes come that would make the pages safe that the checkpoint waits for.
        let waits = self.checkpoint.is_going() && matches!(self.job, Job::Idle);
        if waits && self.flash.register(Register::SafeSequence) < self.flash.register(Register::Sequence) {
            self.flash.command(Command::Settle);
        }
        self.checkpoint == Checkpoint::Idle
    }
}
