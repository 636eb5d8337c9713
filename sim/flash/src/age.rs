//! A drive is filled and overwritten until it behaves as one that has been in use for long.

use flash_model::reference_ftl::Pattern;
use flash_model::Random;
use flash_spec::limits::UNITS_PER_PAGE;

use crate::drive::Stopped;
use crate::flash_drive::FlashDrive;

/// Rounds that are as steady as each other before a drive counts as steady.
const STEADY_ROUNDS: usize = 3;
/// How far their write amplifications may be apart, of the least.
const STEADY_SPREAD: f64 = 0.02;
/// Most rounds until then.
pub const ROUNDS_MAX: u32 = 20;

/// How a drive is aged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ageing {
    /// Of the units of the host, so many are filled, in percent: the first ones. The others are never written.
    pub fill_percent: u32,
    /// How often what is filled is overwritten, if not until the drive is steady.
    pub rounds: Option<u32>,
    /// Which units are overwritten.
    pub pattern: Pattern,
    /// Chooses them.
    pub seed: u64,
}

/// What ageing did.
#[derive(Clone, Debug, PartialEq)]
pub struct Aged {
    /// Units that were filled.
    pub units: u32,
    /// Of each round: units programmed for host and moves per unit written.
    pub write_amplifications: Vec<f64>,
    /// Of the last round: units of pages of any kind, with records and filler, per unit written.
    pub with_records: f64,
}

impl Ageing {
    /// Units of a drive of so many that are filled.
    pub fn units(&self, units: u32) -> u32 {
        (u64::from(units) * u64::from(self.fill_percent) / 100) as u32
    }
}

impl Aged {
    /// Whether the last rounds were as steady as each other.
    pub fn is_steady(&self) -> bool {
        let Some(first) = self.write_amplifications.len().checked_sub(STEADY_ROUNDS) else { return false };
        let last = &self.write_amplifications[first..];
        let (least, most) = (last.iter().copied().fold(f64::MAX, f64::min), last.iter().copied().fold(0.0, f64::max));
        most - least <= STEADY_SPREAD * least
    }
}

/// Ages a drive. `written` hears of each unit.
///
/// # Errors
/// If the drive stops.
///
/// # Panics
/// If nothing is filled.
pub fn age(drive: &mut dyn FlashDrive, ageing: &Ageing, mut written: impl FnMut()) -> Result<Aged, Stopped> {
    let units = ageing.units(drive.config().units);
    assert!(units > 0, "{} % are no unit", ageing.fill_percent);
    let mut number = 0;
    let mut write = |drive: &mut dyn FlashDrive, unit| {
        number += 1;
        written();
        drive.write(unit, number)
    };
    (0..units).try_for_each(|unit| write(drive, unit))?;
    let mut random = Random::new(ageing.seed);
    let mut aged = Aged { units, write_amplifications: Vec::new(), with_records: 0.0 };
    for _ in 0..ageing.rounds.unwrap_or(ROUNDS_MAX) {
        if ageing.rounds.is_none() && aged.is_steady() {
            break;
        }
        let before = drive.pages();
        for _ in 0..units {
            write(drive, ageing.pattern.unit(units, random.next_u64()))?;
        }
        let after = drive.pages();
        let per_unit = |pages: u64| pages as f64 * f64::from(UNITS_PER_PAGE) / f64::from(units);
        let of_units = after.host + after.moved - before.host - before.moved;
        let records = after.firmware + after.filler - before.firmware - before.filler;
        aged.write_amplifications.push(per_unit(of_units));
        aged.with_records = per_unit(of_units + records);
    }
    Ok(aged)
}
