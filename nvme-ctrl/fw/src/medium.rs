//! What is known of the medium behind the storage port beside what the controller counts: told by whoever keeps it, such as the firmware of the flash.

use nvme_spec::limits::SECTOR_BYTES;
use nvme_spec::log::{critical_warning, SmartLog, AVAILABLE_SPARE_THRESHOLD, DATA_UNIT_BYTES};
use zerocopy::little_endian::U128;

/// Sectors of a data unit of the log page SMART / Health Information.
const SECTORS_PER_DATA_UNIT: u64 = DATA_UNIT_BYTES / SECTOR_BYTES as u64;

/// The health of a medium that wears. A memory has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediumHealth {
    /// Available Spare, in percent of that of a new one.
    pub available_spare: u8,
    /// Percentage Used: 100 when it has been used as much as it is made for, and more beyond.
    pub percentage_used: u8,
    /// It takes no more writes.
    pub is_read_only: bool,
    /// Unrecovered errors that were met while no host waited for the data.
    pub media_errors: u64,
    /// Sectors that hosts have written in its life before this power-on.
    pub sectors_written_before: u64,
}

impl MediumHealth {
    /// Puts its figures into a log page that has those of the controller: media errors are added. NVMe Base, "SMART / Health Information".
    pub(crate) fn put(&self, page: &mut SmartLog) {
        page.available_spare = self.available_spare.min(100);
        page.available_spare_threshold = AVAILABLE_SPARE_THRESHOLD;
        page.percentage_used = self.percentage_used;
        page.media_errors = U128::new(page.media_errors.get() + u128::from(self.media_errors));
        page.critical_warning |= self.critical_warning();
    }

    /// The bits of Critical Warning that are about the medium.
    pub(crate) const fn critical_warning(&self) -> u8 {
        let spare = if self.available_spare < AVAILABLE_SPARE_THRESHOLD { critical_warning::SPARE } else { 0 };
        let read_only = if self.is_read_only { critical_warning::READ_ONLY } else { 0 };
        spare | read_only
    }
}

/// Data units of so many sectors of 512 bytes, as the specification counts, whatever the size of a logical block.
pub(crate) fn data_units(sectors: u64) -> U128 {
    U128::new(u128::from(sectors).div_ceil(u128::from(SECTORS_PER_DATA_UNIT)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    fn page(health: MediumHealth) -> SmartLog {
        let mut page = SmartLog::new_zeroed();
        page.critical_warning = critical_warning::TEMPERATURE;
        page.media_errors = 2.into();
        health.put(&mut page);
        page
    }

    #[test]
    fn figures_of_the_medium_join_those_of_the_controller() {
        let good =
            MediumHealth { available_spare: 10, percentage_used: 120, media_errors: 3, ..MediumHealth::default() };
        let of_good = page(good);
        assert_eq!(
            (of_good.available_spare, of_good.available_spare_threshold, of_good.percentage_used),
            (10, 10, 120)
        );
        assert_eq!((of_good.media_errors.get(), of_good.critical_warning), (5, critical_warning::TEMPERATURE));
        let worn = page(MediumHealth { available_spare: 9, is_read_only: true, ..good });
        let all = critical_warning::TEMPERATURE | critical_warning::SPARE | critical_warning::READ_ONLY;
        assert_eq!(worn.critical_warning, all);
        assert_eq!(page(MediumHealth { available_spare: 130, ..good }).available_spare, 100);
    }

    #[test]
    fn a_part_of_a_data_unit_counts_as_one() {
        assert_eq!([0, 1, 1000, 1001].map(|sectors| data_units(sectors).get()), [0, 1, 1, 2]);
    }
}
