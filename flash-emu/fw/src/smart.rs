//! What the device tells about its health.

use flash_spec::fast_path::Register;
use soc_hal::Flash;

use crate::{Ftl, State};

/// Figures of the flash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Smart {
    /// Units that the host has written, ever.
    pub written_units: u64,
    /// Pages that were programmed, ever.
    pub programmed_pages: u64,
    /// Erases of the least and the most erased super-block, and of all together.
    pub erases_least: u32,
    /// See `erases_least`.
    pub erases_most: u32,
    /// See `erases_least`.
    pub erases: u64,
    /// Blocks that went bad since power-up.
    pub retired_blocks: u32,
    /// Pages with valid units that could not be read when they were to be moved, since power-up.
    pub unreadable_pages: u32,
    /// Super-blocks that are kept because they cannot be read.
    pub stuck_super_blocks: u32,
    /// Pages of the map that had to be found again since power-up.
    pub rebuilt_map_pages: u32,
    /// Super-blocks that are full of units of the host, valid or not.
    pub full_super_blocks: u32,
    /// What is left of the spare, in units.
    pub spare_units: u32,
}

impl<F: Flash> Ftl<'_, F> {
    /// The figures as they are now.
    pub fn smart(&mut self) -> Smart {
        let pages = [Register::HostPages, Register::MovedPages, Register::OtherPages];
        let pages: u64 = pages.into_iter().map(|register| self.flash.register(register)).sum();
        let units = self.flash.register(Register::WrittenUnits);
        let counted = |state| !matches!(state, State::System | State::Retired);
        let blocks = self.memory.super_blocks.iter().filter(|block| counted(block.state)).map(|block| block.erases);
        Smart {
            written_units: self.smart.written_units + units,
            programmed_pages: self.smart.programmed_pages + pages,
            erases_least: blocks.clone().min().unwrap_or(0),
            erases_most: blocks.clone().max().unwrap_or(0),
            erases: blocks.map(u64::from).sum(),
            full_super_blocks: self.count(State::Closed) + self.count(State::Victim),
            spare_units: self.spare_units().max(0) as u32,
            ..self.smart
        }
    }
}
