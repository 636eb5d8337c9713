//! Write amplification and wear of the firmware, to be compared with those of the reference.

use flash_fw::Config;
use flash_model::reference_ftl::Pattern;
use flash_model::{Array, Random};
use flash_spec::limits::UNITS_PER_PAGE;
use flash_spec::Reliability;

use crate::drive::{Drive, Stopped};
use crate::Owned;

/// Writes between two looks at the super-blocks.
const SAMPLE: u32 = 64;
/// Lines of the cache.
const LINES: usize = 64;

/// What a study found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Study {
    /// Units programmed for host and moves per unit written, in the last capacity. Records and filler are not in it.
    pub write_amplification: f64,
    /// Units of super-blocks full of units of the host, per unit that the host sees, less 1, on average over the last capacity: the spare that counts.
    pub spare: f64,
    /// Pages of records and filler per page of the host, in the last capacity.
    pub records_per_page: f64,
    /// Erases of a super-block, on average.
    pub erases_mean: f64,
    /// Between the most and the least erased super-block.
    pub erases_spread: u32,
}

/// A configuration of which the host sees so much that `spare_percent` of it are spare, counted after what the device needs for itself.
pub fn with_spare(config: Config, spare_percent: u32) -> Config {
    let possible = u64::from(config.geometry.blocks_per_plane - config.overhead_super_blocks());
    let units = possible * u64::from(config.units_per_super_block()) * 100 / u64::from(100 + spare_percent);
    Config { units: units as u32, ..config }
}

/// Writes all units once in their order, and then so many capacities in a pattern.
///
/// # Errors
/// If the drive stops.
pub fn study(config: Config, pattern: Pattern, capacities: u32, seed: u64) -> Result<Study, Stopped> {
    let mut memory = Owned::new(&config);
    let array = Array::new(config.geometry, Reliability::DEFAULT);
    let mut drive = Drive::new(config, memory.lend(), array, LINES, seed, u64::MAX);
    let mut random = Random::new(seed);
    drive.format()?;
    (0..config.units).try_for_each(|unit| drive.write(unit, unit.into()))?;
    let mut before = drive.path().pages();
    let mut full = 0_u64;
    for _ in 0..capacities {
        before = drive.path().pages();
        full = 0;
        for number in 0..config.units {
            drive.write(pattern.unit(config.units, random.next_u64()), number.into())?;
            if number % SAMPLE == 0 {
                full += u64::from(drive.ftl.smart().full_super_blocks * SAMPLE);
            }
        }
    }
    let pages = drive.path().pages();
    let host = (pages.host - before.host) as f64;
    let moved = (pages.moved - before.moved) as f64;
    let records = (pages.firmware + pages.filler - before.firmware - before.filler) as f64;
    let smart = drive.ftl.smart();
    let blocks = f64::from(config.geometry.blocks_per_plane - 1);
    Ok(Study {
        write_amplification: (host + moved) * f64::from(UNITS_PER_PAGE) / f64::from(config.units),
        spare: (full * u64::from(config.units_per_super_block())) as f64 / f64::from(config.units).powi(2) - 1.0,
        records_per_page: records / host,
        erases_mean: smart.erases as f64 / blocks,
        erases_spread: smart.erases_most - smart.erases_least,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flash_model::reference_ftl::{self, FtlConfig};
    use flash_spec::Geometry;

    /// Super-blocks of 1,024 units.
    const GEOMETRY: Geometry =
        Geometry { channels: 2, dies_per_channel: 2, planes_per_die: 1, blocks_per_plane: 128, pages_per_block: 64 };

    /// The reference with the spare that the firmware had.
    fn reference(config: &Config, spare: f64, capacities: u32) -> f64 {
        let blocks = config.geometry.blocks_per_plane;
        let units_per_block = config.units_per_super_block();
        let physical = f64::from((blocks - reference_ftl::OVERHEAD_BLOCKS) * units_per_block);
        let reference = FtlConfig {
            blocks,
            units_per_block,
            units: (physical / (1.0 + spare)) as u32,
            policy: reference_ftl::Policy::Greedy,
            levels_wear: false,
        };
        reference_ftl::study(reference, Pattern::Uniform, capacities, 1).write_amplification
    }

    #[test]
    fn write_amplification_is_that_of_the_reference() {
        for spare in [15, 28] {
            let config = Config { levels_wear: false, ..with_spare(Config::new(GEOMETRY, 50), spare) };
            let found = study(config, Pattern::Uniform, 3, 1).expect("it works");
            let expected = reference(&config, found.spare, 3);
            let is_near = (found.write_amplification / expected - 1.0).abs() < 0.05;
            assert!(is_near, "{spare} % spare: {found:?}, not {expected}");
        }
    }

    #[test]
    fn wear_is_even_though_some_data_is_cold() {
        let geometry = Geometry { blocks_per_plane: 64, pages_per_block: 16, ..GEOMETRY };
        let config = with_spare(Config::new(geometry, 50), 28);
        let found = study(config, Pattern::HotCold, 100, 1).expect("it works");
        assert!(f64::from(found.erases_spread) <= 0.05 * found.erases_mean, "{found:?}");
        let without = study(Config { levels_wear: false, ..config }, Pattern::HotCold, 100, 1).expect("it works");
        assert!(f64::from(without.erases_spread) > 0.05 * without.erases_mean, "the work needs it: {without:?}");
    }

    #[test]
    fn records_and_moves_never_wait_for_each_other() {
        // Super-blocks so small that a checkpoint takes several, and the log many: with a little spare, each of them could take what another needs to go on.
        let geometry = Geometry { blocks_per_plane: 1024, pages_per_block: 8, ..GEOMETRY };
        let config = Config { levels_wear: false, ..with_spare(Config::new(geometry, 50), 7) };
        let found = study(config, Pattern::Uniform, 1, 1).unwrap();
        assert!(found.write_amplification > 2.0, "{found:?}");
    }
}
