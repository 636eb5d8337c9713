//! What the translation layer is told once.

use flash_spec::limits::UNITS_PER_PAGE;
use flash_spec::record::{
    slots_per_block, COPIES, LOG_ENTRIES, MAP_ENTRIES, MAP_PAGES_MAX, MAP_PAGES_PER_MARKS, SUPER_BLOCKS_MAX,
};
use flash_spec::Geometry;

/// Erased super-blocks that only moves may take, beside those that are kept for the map and the log: the one that they need, and two that power cuts may
/// have closed before anything was won by them.
pub(crate) const RESERVED: u32 = 3;
/// Super-blocks that a stream holds: the one that it writes and the next one.
pub(crate) const GRANTS_PER_STREAM: u32 = 2;
/// Those of them that it cannot do without: the next one is taken only from what is erased beside [`RESERVED`].
const NEEDED_PER_STREAM: u32 = 1;
/// Super-blocks of the log: the one that is written and the one before it, which has what is left of the records since the last checkpoint.
pub(crate) const LOG_SUPER_BLOCKS: u32 = 2;
/// Records of the log after which a checkpoint is made, unless they are more than a super-block takes twice.
const LOG_RECORDS: u32 = 128;
/// Super-blocks that wait to be erased until what was moved is safe.
pub(crate) const EMPTIED: u32 = 2;

/// Which super-block is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The one with the fewest valid units.
    Greedy,
    /// The one for which age x invalid / valid is the greatest. Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured File
    /// System", ACM TOCS 10(1), 1992.
    CostBenefit,
}

/// The configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The parts of the flash.
    pub geometry: Geometry,
    /// Units that the host sees. What there is beside them is spare.
    pub units: u32,
    /// Which super-block is collected.
    pub policy: Policy,
    /// Of the pages that host and moves program, the share of moves while there is no hurry, in percent: 1 to 99.
    pub moved_percent: u8,
    /// Records of the log after which a checkpoint is made. A mount reads at most about twice as many, and they fit into a super-block.
    pub log_records: u32,
    /// Erase counts are kept as near to each other as [`Self::wear_spread`] says.
    pub levels_wear: bool,
}

/// A constraint that a configuration breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The geometry breaks one of its own.
    Geometry,
    /// More super-blocks than [`SUPER_BLOCKS_MAX`].
    SuperBlocks,
    /// `units` is 0, or more than [`Config::units_max`].
    Units,
    /// `moved_percent` is not from 1 to 99.
    MovedPercent,
    /// `log_records` is 0, or twice as many do not fit into a super-block.
    LogRecords,
    /// A slice of the memory has not the length that it needs.
    Memory,
}

impl ConfigError {
    /// One sentence for a person.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Geometry => "the geometry breaks a constraint",
            Self::SuperBlocks => "the table of super-blocks has one page",
            Self::Units => "units leaves no spare",
            Self::MovedPercent => "moved_percent is a number from 1 to 99",
            Self::LogRecords => "log_records is at least 1, and twice as many fit into a super-block",
            Self::Memory => "a slice of the memory has a wrong length",
        }
    }
}

impl Config {
    /// A configuration for a flash of which the host sees `percent` of what is possible.
    pub const fn new(geometry: Geometry, percent: u32) -> Self {
        let possible = Self::units_possible(&geometry);
        let units = (possible as u64 * percent as u64 / 100) as u32;
        let most = Self::log_records_max(&geometry);
        let log_records = if most < LOG_RECORDS { most } else { LOG_RECORDS };
        Self { geometry, units, policy: Policy::Greedy, moved_percent: 50, log_records, levels_wear: true }
    }

    /// Names the first constraint that is broken.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.geometry.check().is_err() {
            return Err(ConfigError::Geometry);
        }
        if self.geometry.blocks_per_plane > SUPER_BLOCKS_MAX {
            return Err(ConfigError::SuperBlocks);
        }
        if self.units == 0 || self.units > self.units_max() || self.map_pages() > MAP_PAGES_MAX {
            return Err(ConfigError::Units);
        }
        if self.moved_percent == 0 || self.moved_percent > 99 {
            return Err(ConfigError::MovedPercent);
        }
        if self.log_records == 0 || self.log_records > Self::log_records_max(&self.geometry) {
            return Err(ConfigError::LogRecords);
        }
        Ok(())
    }

    /// Most records of the log after which a checkpoint may be made: twice as many fit into a super-block.
    pub const fn log_records_max(geometry: &Geometry) -> u32 {
        slots(geometry) / 2
    }

    /// Pages of a checkpoint in which all has changed.
    pub(crate) const fn checkpoint_pages(&self) -> u32 {
        checkpoint_pages(self.map_pages())
    }

    /// Pages of the map.
    pub const fn map_pages(&self) -> u32 {
        self.units.div_ceil(MAP_ENTRIES)
    }

    /// Pages of marks, which say what units had a place.
    pub const fn mark_pages(&self) -> u32 {
        self.map_pages().div_ceil(MAP_PAGES_PER_MARKS)
    }

    /// Places in the directory: of the pages of the map, then of those of marks.
    pub const fn directory_entries(&self) -> u32 {
        self.map_pages() + self.mark_pages()
    }

    /// Units of a super-block with all of its blocks.
    pub const fn units_per_super_block(&self) -> u32 {
        self.geometry.planes() * self.geometry.pages_per_block * UNITS_PER_PAGE
    }

    /// Most units that the host may see: what is possible, less one super-block, without which nothing could be collected.
    pub const fn units_max(&self) -> u32 {
        Self::units_possible(&self.geometry).saturating_sub(self.units_per_super_block())
    }

    /// Super-blocks that are no spare for units of the host: anchors, log, map, those that are being written, erased ones that are kept.
    pub const fn overhead_super_blocks(&self) -> u32 {
        Self::overhead(&self.geometry, self.map_pages())
    }

    /// What is spare of new flash, in units.
    pub const fn spare_units(&self) -> u32 {
        let for_units = self.geometry.blocks_per_plane.saturating_sub(self.overhead_super_blocks());
        (for_units * self.units_per_super_block()).saturating_sub(self.units)
    }

    /// Most super-blocks of the map, with those that a checkpoint has emptied before it counts.
    pub const fn map_super_blocks_max(&self) -> u32 {
        Self::map_super_blocks(&self.geometry, self.map_pages())
    }

    /// Whether, in a super-block with so many slots left, there is room for all pages of a checkpoint and of the next one although one more super-block is kept
    /// than that which is written.
    pub(crate) const fn has_room_for_checkpoints(&self, slots_left: u32) -> bool {
        let pages = 2 * checkpoint_pages(self.map_pages());
        let slots = slots(&self.geometry);
        pages.saturating_sub(slots_left).div_ceil(slots) < pages.div_ceil(slots)
    }

    /// Changes that a mount may find: those of twice the records of a checkpoint, of both buffers of the log and of some that were interrupted.
    pub const fn deltas(&self) -> u32 {
        (2 * self.log_records + 8) * LOG_ENTRIES
    }

    /// How far erase counts may be apart when they are `mean` on average: 1/32 of it, and at least 4.
    pub const fn wear_spread(mean: u32) -> u32 {
        if mean / 32 < 4 {
            4
        } else {
            mean / 32
        }
    }

    const fn overhead(geometry: &Geometry, map_pages: u32) -> u32 {
        let records = LOG_SUPER_BLOCKS + Self::map_super_blocks(geometry, map_pages);
        1 + records + 2 * NEEDED_PER_STREAM + RESERVED + EMPTIED
    }

    /// Room for a checkpoint twice: one is written while the other counts, and each has all that is in super-blocks written earlier.
    const fn map_super_blocks(geometry: &Geometry, map_pages: u32) -> u32 {
        1 + (2 * checkpoint_pages(map_pages)).div_ceil(slots(geometry))
    }

    const fn units_possible(geometry: &Geometry) -> u32 {
        let per_super_block = geometry.planes() * geometry.pages_per_block * UNITS_PER_PAGE;
        let all = geometry.blocks_per_plane * per_super_block;
        let overhead = Self::overhead(geometry, all.div_ceil(MAP_ENTRIES));
        geometry.blocks_per_plane.saturating_sub(overhead) * per_super_block
    }
}

/// Records that fit into a super-block.
const fn slots(geometry: &Geometry) -> u32 {
    geometry.planes() * slots_per_block(geometry.pages_per_block)
}

/// Pages of a checkpoint in which all has changed: of the map, of marks, and the copies of directory and table.
const fn checkpoint_pages(map_pages: u32) -> u32 {
    map_pages + map_pages.div_ceil(MAP_PAGES_PER_MARKS) + 2 * COPIES as u32
}

const _: () = assert!(Config::new(Geometry::DEFAULT, 90).check().is_ok());
const _: () = assert!(Config::new(Geometry::DEFAULT_1_GIB, 90).check().is_ok());
const _: () = assert!(Config::new(Geometry::DEFAULT_4_GIB, 90).check().is_ok());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_constraint_is_named() {
        let good = Config::new(Geometry::DEFAULT_1_GIB, 80);
        assert_eq!(good.check(), Ok(()));
        let geometry = |blocks_per_plane| Geometry { blocks_per_plane, ..good.geometry };
        let cases = [
            (Config { geometry: geometry(1), ..good }, ConfigError::Geometry),
            (Config { geometry: geometry(SUPER_BLOCKS_MAX + 1), ..good }, ConfigError::SuperBlocks),
            (Config { units: 0, ..good }, ConfigError::Units),
            (Config { units: good.units_max() + 1, ..good }, ConfigError::Units),
            (Config { moved_percent: 0, ..good }, ConfigError::MovedPercent),
            (Config { moved_percent: 100, ..good }, ConfigError::MovedPercent),
            (Config { log_records: 0, ..good }, ConfigError::LogRecords),
            (Config { log_records: Config::log_records_max(&good.geometry) + 1, ..good }, ConfigError::LogRecords),
        ];
        for (config, error) in cases {
            assert_eq!(config.check(), Err(error), "{config:?}");
        }
    }
}
