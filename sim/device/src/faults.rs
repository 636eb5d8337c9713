use std::ops::Range;

use crate::Random;

/// A memory access was answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the memory answered with an error")]
pub struct Fault;

/// How often something happens, in 65536ths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chance(u32);

impl Chance {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Every time.
    pub const ALWAYS: Self = Self(65536);

    /// A chance of `numerator` in `denominator`.
    pub const fn of(numerator: u32, denominator: u32) -> Self {
        assert!(numerator <= denominator && denominator > 0);
        Self((numerator as u64 * 65536 / denominator as u64) as u32)
    }

    /// Draws. Costs no draw when the chance is [`NEVER`](Self::NEVER), so that a knob that is off changes nothing.
    pub fn happens(self, random: &mut Random) -> bool {
        self.0 != 0 && random.below(65536) < u64::from(self.0)
    }
}

/// Where and how often a memory answers with an error. Off by default.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Reads that touch one of these ranges fail.
    pub failing_reads: Vec<Range<u64>>,
    /// Writes that touch one of these ranges fail and change nothing.
    pub failing_writes: Vec<Range<u64>>,
    /// Chance of any read to fail.
    pub read_chance: Chance,
    /// Chance of any write to fail.
    pub write_chance: Chance,
    random: Random,
}

impl Faults {
    /// No faults; the draws of the chances that are set later come from `seed`.
    pub fn none(seed: u64) -> Self {
        Self {
            failing_reads: Vec::new(),
            failing_writes: Vec::new(),
            read_chance: Chance::NEVER,
            write_chance: Chance::NEVER,
            random: Random::new(seed),
        }
    }

    /// Takes away all ranges and chances.
    pub fn clear(&mut self) {
        self.failing_reads.clear();
        self.failing_writes.clear();
        self.read_chance = Chance::NEVER;
        self.write_chance = Chance::NEVER;
    }

    /// Starts the draws again from `seed`.
    pub fn reseed(&mut self, seed: u64) {
        self.random = Random::new(seed);
    }

    /// Whether a read of `bytes` at `address` fails.
    pub(crate) fn read(&mut self, address: u64, bytes: usize) -> Result<(), Fault> {
        if touches(&self.failing_reads, address, bytes) || self.read_chance.happens(&mut self.random) {
            return Err(Fault);
        }
        Ok(())
    }

    /// Whether a write of `bytes` at `address` fails.
    pub(crate) fn write(&mut self, address: u64, bytes: usize) -> Result<(), Fault> {
        if touches(&self.failing_writes, address, bytes) || self.write_chance.happens(&mut self.random) {
            return Err(Fault);
        }
        Ok(())
    }
}

fn touches(ranges: &[Range<u64>], address: u64, bytes: usize) -> bool {
    let last = address.saturating_add(bytes.saturating_sub(1) as u64);
    ranges.iter().any(|r| address < r.end && last >= r.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_fails_exactly_where_it_is() {
        let mut faults = Faults::none(0);
        faults.failing_reads.push(0x1000..0x1010);
        assert!(faults.read(0x0FC0, 64).is_ok());
        assert!(faults.read(0x0FC1, 64).is_err());
        assert!(faults.read(0x100F, 1).is_err());
        assert!(faults.read(0x1010, 1).is_ok());
        assert!(faults.write(0x1000, 1).is_ok());
    }

    #[test]
    fn chances_are_met_roughly_and_never_is_never() {
        let mut random = Random::new(9);
        let quarter = (0..4000).filter(|_| Chance::of(1, 4).happens(&mut random)).count();
        assert!((900..1100).contains(&quarter), "{quarter} of 4000");
        assert!((0..1000).all(|_| !Chance::NEVER.happens(&mut random)));
        assert!((0..1000).all(|_| Chance::ALWAYS.happens(&mut random)));
    }
}
