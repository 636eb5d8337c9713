//! What the device tells about its health.

use flash_spec::fast_path::Register;
use flash_spec::reliability::RATED_ERASES;
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
    /// Blocks that are bad: all of them have become so.
    pub bad_blocks: u32,
    /// Programs that failed, ever. What came after the last checkpoint before a power cut does not count.
    pub program_failures: u32,
    /// Erases of a block that failed, likewise.
    pub erase_failures: u32,
    /// Pages that could not be read when those of their super-block were moved, since power-up: also such as a power cut has destroyed, which hold nothing valid.
    pub unreadable_pages: u32,
    /// Super-blocks that are kept because they cannot be read.
    pub stuck_super_blocks: u32,
    /// Pages of the map that had to be found again since power-up.
    pub rebuilt_map_pages: u32,
    /// Super-blocks that are full of units of the host, valid or not.
    pub full_super_blocks: u32,
    /// What is left of the spare, in units.
    pub spare_units: u32,
    /// What it was when the flash was new.
    pub spare_units_of_new: u32,
}

impl Smart {
    /// What is left of the spare of new flash, in percent.
    pub fn available_spare(&self) -> u8 {
        let percent = u64::from(self.spare_units) * 100 / u64::from(self.spare_units_of_new.max(1));
        percent.min(100) as u8
    }

    /// How much of the erases that a block is made for the most erased one has had, in percent: more than 255 count as that.
    pub fn percentage_used(&self) -> u8 {
        let percent = u64::from(self.erases_most) * 100 / u64::from(RATED_ERASES);
        percent.min(u8::MAX.into()) as u8
    }
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
            bad_blocks: self.memory.super_blocks.iter().map(|block| block.bad.count_ones()).sum(),
            full_super_blocks: self.count(State::Closed) + self.count(State::Victim),
            spare_units: self.spare_units().max(0) as u32,
            spare_units_of_new: self.config.spare_units(),
            ..self.smart
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_of_new_flash_and_of_rated_erases() {
        let of = |spare_units, erases_most| {
            let smart = Smart { spare_units, spare_units_of_new: 400, erases_most, ..Smart::default() };
            (smart.available_spare(), smart.percentage_used())
        };
        assert_eq!(of(400, 0), (100, 0));
        assert_eq!(of(39, RATED_ERASES / 2 + 1), (9, 50));
        assert_eq!(of(0, 3 * RATED_ERASES), (0, 255));
        assert_eq!(Smart::default().available_spare(), 0);
    }
}
