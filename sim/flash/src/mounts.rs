//! How long mounts take after power cuts in random moments.

use flash_fw::Config;
use flash_model::{Array, Content, Random};
use flash_spec::Reliability;

use crate::drive::{Drive, Stopped};
use crate::Owned;

/// Lines of the cache.
const LINES: usize = 1024;
/// Most operations of the host between two cuts.
const OPERATIONS_MAX: u32 = 6000;
/// Writes between two flushes, of which each time one is chosen: without any, most changes of the map wait for the next record; with one after each write,
/// pages have one unit, and filler lies between them.
const FLUSH_EVERY: [u32; 4] = [u32::MAX, 200, 20, 1];

/// The longest of some mounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    /// Device time, in ns: see [`crate::DeviceTime`].
    pub ns_max: u64,
    /// Pages that were read.
    pub reads_max: u64,
    /// Pages that were programmed.
    pub programs_max: u64,
}

impl Mounts {
    /// Device time, in ms.
    pub fn ms_max(&self) -> f64 {
        self.ns_max as f64 / 1e6
    }
}

/// Fills a drive, overwrites it, and mounts it after power cuts in `cuts` moments.
///
/// # Errors
/// If the drive stops.
pub fn study(config: Config, cuts: u32, seed: u64) -> Result<Mounts, Stopped> {
    let mut memory = Owned::new(&config);
    let array = Array::new(config.geometry, Reliability::DEFAULT);
    let mut drive = Drive::new(config, memory.lend(), array, LINES, seed, u64::MAX);
    let mut random = Random::new(seed);
    drive.format()?;
    (0..config.units).try_for_each(|unit| drive.write(unit, unit.into()))?;
    // Until garbage collection has to go on all the time.
    (0..config.units / 2).try_for_each(|_| drive.write(random.below(config.units), 0))?;
    let mut mounts = Mounts::default();
    for cut in 0..cuts {
        let flush_every = FLUSH_EVERY[random.below(FLUSH_EVERY.len() as u32) as usize];
        for number in 1..=random.below(OPERATIONS_MAX) {
            let unit = random.below(config.units);
            if random.one_in(20) {
                drive.trim(unit)?;
            } else {
                drive.write(unit, number.into())?;
            }
            if number % flush_every == 0 {
                drive.flush()?;
            }
        }
        (0..random.below(100)).for_each(|_| drive.poll());
        let mut array = drive.path().array().clone();
        array.cut();
        mount(config, array, u64::from(cut), &mut mounts)?;
    }
    Ok(mounts)
}

fn mount(config: Config, array: Array<Content>, seed: u64, mounts: &mut Mounts) -> Result<(), Stopped> {
    let mut memory = Owned::new(&config);
    let before = array.begun();
    let mut drive = Drive::new(config, memory.lend(), array, LINES, seed, u64::MAX);
    drive.mount()?;
    let begun = drive.path().array().begun();
    mounts.ns_max = mounts.ns_max.max(drive.port().time().now());
    mounts.reads_max = mounts.reads_max.max(begun.reads - before.reads);
    mounts.programs_max = mounts.programs_max.max(begun.programs - before.programs);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flash_spec::Geometry;

    /// The most that a mount of 1 GiB may take, in ms.
    const MS_MAX: f64 = 20.0;

    #[test]
    fn a_mount_is_short_whatever_the_capacity() {
        // Less of the larger one is written, so that the test does not take long; what a mount reads is of the same kind.
        let [small, large] = [(Geometry::DEFAULT_1_GIB, 85), (Geometry::DEFAULT_4_GIB, 25)]
            .map(|(geometry, percent)| study(Config::new(geometry, percent), 16, 1).expect("it works"));
        assert!(small.ms_max() <= MS_MAX, "{small:?}");
        assert!(large.ms_max() <= 1.5 * small.ms_max(), "{large:?} is more than 1.5 x {small:?}");
    }
}
