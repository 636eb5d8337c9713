//! Power cuts and faults under mixed load, from seeds.
//!
//! One run is a drive with a host from a seed: geometry, size, faults, what the host does and when the power goes. After each cut all units are read: what
//! was flushed is there, what was not is old or new, and nothing is torn or another unit's.

use std::fmt;

use flash_fw::{Config, Policy};
use flash_model::{Array, Random};
use flash_spec::{Geometry, Reliability};

use crate::drive::{Drive, Stopped};
use crate::oracle::Oracle;
use crate::Owned;

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everything else follows from it.
    pub seed: u64,
    /// How the translation layer is configured.
    pub config: Config,
    /// Lines of the cache.
    pub lines: usize,
    /// How often as many units as there are have been written before the first cut: then garbage collection is in progress, and super-blocks are few.
    pub fillings: u32,
    /// Power cuts.
    pub cuts: u32,
    /// Most steps between two cuts.
    pub steps_max: u32,
    /// Faults of the flash.
    pub reliability: Reliability,
}

/// Geometries of runs.
const GEOMETRIES: [Geometry; 3] = [
    Geometry { channels: 2, dies_per_channel: 1, planes_per_die: 2, blocks_per_plane: 32, pages_per_block: 8 },
    Geometry { channels: 3, dies_per_channel: 1, planes_per_die: 1, blocks_per_plane: 40, pages_per_block: 12 },
    Geometry { channels: 3, dies_per_channel: 2, planes_per_die: 1, blocks_per_plane: 36, pages_per_block: 4 },
];

impl Plan {
    /// The plan of a seed. Every second one has faults.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let geometry = GEOMETRIES[random.below(GEOMETRIES.len() as u32) as usize];
        let mut config = Config::new(geometry, 40 + random.below(60));
        config.units = config.units.min(config.units_max());
        config.log_records = 1 + random.below(Config::log_records_max(&geometry).min(8));
        config.moved_percent = 1 + random.below(99) as u8;
        config.policy = if random.one_in(2) { Policy::Greedy } else { Policy::CostBenefit };
        config.levels_wear = !random.one_in(4);
        let has_faults = random.one_in(2);
        // In 2^32.
        let rate = |random: &mut Random, most: u32| if has_faults { random.below(most) } else { 0 };
        let reliability = Reliability {
            seed: random.next_u64() as u32 | 1 << 31,
            program_fail_rate: rate(&mut random, u32::MAX / 4000),
            erase_fail_rate: rate(&mut random, u32::MAX / 4000),
            uncorrectable_rate: rate(&mut random, u32::MAX / 50),
            retry_rate: rate(&mut random, u32::MAX / 10),
            ..Reliability::DEFAULT
        };
        let lines = 4 + random.below(60) as usize;
        let steps_max = 1 + random.below(6000);
        let fillings = if random.one_in(2) { 1 + random.below(3) } else { 0 };
        // A life that ends before its first checkpoint does uses slots of the log and gives none back. With super-blocks as small as these, few of them in a
        // row are survived when almost nothing is erased.
        let (cuts, steps_max) =
            if fillings > 0 { (10 + random.below(40), steps_max.max(600)) } else { (10, steps_max) };
        Self { seed, config, lines, fillings, cuts, steps_max, reliability }
    }
}

/// What runs did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Power cuts.
    pub cuts: u64,
    /// Of these, during a mount.
    pub cuts_of_mounts: u64,
    /// Writes, trims and flushes that were acknowledged.
    pub writes: u64,
    /// See `writes`.
    pub trims: u64,
    /// See `writes`.
    pub flushes: u64,
    /// Units that were moved while the host worked, in pages.
    pub moved_pages: u64,
    /// Blocks that went bad.
    pub retired_blocks: u64,
    /// Runs that ended because the spare was used up.
    pub read_only: u64,
    /// Most pages that a mount has read.
    pub mount_reads_max: u64,
}

impl Tally {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        self.cuts += other.cuts;
        self.cuts_of_mounts += other.cuts_of_mounts;
        self.writes += other.writes;
        self.trims += other.trims;
        self.flushes += other.flushes;
        self.moved_pages += other.moved_pages;
        self.retired_blocks += other.retired_blocks;
        self.read_only += other.read_only;
        self.mount_reads_max = self.mount_reads_max.max(other.mount_reads_max);
    }
}

/// A run that found something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed of its plan.
    pub seed: u64,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nreplay: cargo xtask flash-cuts --seed {:#x}", self.text, self.seed)
    }
}

impl std::error::Error for Failure {}

/// The seeds of the runs of a campaign.
pub fn seeds(seed: u64) -> impl Iterator<Item = u64> {
    let mut random = Random::new(seed);
    std::iter::once(seed).chain(std::iter::from_fn(move || Some(random.next_u64())))
}

/// Runs a plan.
///
/// # Errors
/// What was wrong. A panic, as that of a flash that is used against its rules, is too: its own text has been printed then.
pub fn run(plan: &Plan) -> Result<Tally, Failure> {
    let outcome = std::panic::catch_unwind(|| Run::new(plan).all());
    let outcome = outcome.unwrap_or_else(|_| Err("it has panicked".to_owned()));
    outcome.map_err(|text| Failure { seed: plan.seed, text })
}

struct Run<'p> {
    plan: &'p Plan,
    random: Random,
    oracle: Oracle,
    tally: Tally,
    is_formatted: bool,
}

/// How a life of the drive ended.
enum Ended {
    /// By a power cut.
    Cut,
    /// There is no more spare: the run is over.
    ReadOnly,
}

impl<'p> Run<'p> {
    fn new(plan: &'p Plan) -> Self {
        Self {
            plan,
            random: Random::new(plan.seed ^ 1),
            oracle: Oracle::new(plan.config.units),
            tally: Tally::default(),
            is_formatted: false,
        }
    }

    fn all(mut self) -> Result<Tally, String> {
        let mut array = Array::new(self.plan.config.geometry, self.plan.reliability);
        for cut in 0..=self.plan.cuts {
            let is_last = cut == self.plan.cuts;
            let steps = if is_last { u64::MAX } else { self.steps() };
            let mut memory = Owned::new(&self.plan.config);
            let seed = self.random.next_u64();
            let mut drive = Drive::new(self.plan.config, memory.lend(), array, self.plan.lines, seed, steps);
            let ended = self.life(&mut drive, is_last).map_err(|text| format!("after {cut} cuts: {text}"))?;
            self.tally.moved_pages += drive.path().pages().moved;
            self.tally.retired_blocks += u64::from(drive.ftl.smart().retired_blocks);
            match ended {
                Ended::ReadOnly => {
                    self.tally.read_only += 1;
                    return Ok(self.tally);
                }
                Ended::Cut => self.tally.cuts += u64::from(!is_last),
            }
            array = drive.cut();
        }
        Ok(self.tally)
    }

    /// Steps to the next cut: often so few that it comes during the mount or soon after it.
    fn steps(&mut self) -> u64 {
        let most = if self.random.one_in(3) { 60 } else { self.plan.steps_max };
        u64::from(self.random.below(most)) + 1
    }

    /// From power-up to the cut; the last life ends when all is well.
    fn life(&mut self, drive: &mut Drive, is_last: bool) -> Result<Ended, String> {
        if !self.is_formatted {
            // It is the state before the first mount that counts, not what an interrupted format leaves.
            drive.port().cut_after(u64::MAX);
            drive.format().map_err(|stopped| format!("format: {stopped:?}"))?;
            self.is_formatted = true;
            if let Ended::ReadOnly = self.fill(drive)? {
                return Ok(Ended::ReadOnly);
            }
            let steps = self.steps();
            drive.port().cut_after(steps);
        } else {
            let before = drive.path().array().begun().reads;
            match drive.mount() {
                Ok(()) => {}
                Err(Stopped::NoPower) => {
                    self.tally.cuts_of_mounts += 1;
                    return Ok(Ended::Cut);
                }
                Err(stopped) => return Err(format!("mount: {stopped:?}")),
            }
            let reads = drive.path().array().begun().reads - before;
            self.tally.mount_reads_max = self.tally.mount_reads_max.max(reads);
            if !self.check_all(drive)? {
                return Ok(Ended::Cut);
            }
        }
        let operations = if is_last { 200 } else { u32::MAX };
        let ended = self.work(drive, operations)?;
        if is_last && matches!(ended, Ended::Cut) {
            drive.flush().map_err(|stopped| format!("the last flush: {stopped:?}"))?;
        }
        Ok(ended)
    }

    /// Writes units until garbage collection is in progress.
    fn fill(&mut self, drive: &mut Drive) -> Result<Ended, String> {
        let units = self.oracle.units();
        for _ in 0..u64::from(self.plan.fillings) * u64::from(units) {
            let lpn = self.random.below(units);
            match self.write(drive, lpn) {
                Ok(()) => {}
                Err(Stopped::ReadOnly) => {
                    self.check_read_only(drive)?;
                    return Ok(Ended::ReadOnly);
                }
                Err(stopped) => return Err(format!("filling, unit {lpn}: {stopped:?}")),
            }
        }
        Ok(Ended::Cut)
    }

    /// Reads all units after a cut; false if the power has gone meanwhile.
    fn check_all(&mut self, drive: &mut Drive) -> Result<bool, String> {
        let mut found = Vec::new();
        for lpn in 0..self.oracle.units() {
            match drive.read(lpn) {
                Ok(value) => found.push(value),
                Err(Stopped::NoPower) => return Ok(false),
                Err(stopped) => return Err(format!("read of unit {lpn}: {stopped:?}")),
            }
        }
        for (lpn, value) in (0..).zip(found) {
            self.oracle.found(lpn, value)?;
        }
        self.oracle.all_found();
        Ok(true)
    }

    /// The host works until the power goes, or for so many operations.
    fn work(&mut self, drive: &mut Drive, operations: u32) -> Result<Ended, String> {
        let mut flushes: Vec<(u64, u64)> = Vec::new();
        let units = self.oracle.units();
        let hot = 1 + units / 8;
        for _ in 0..operations {
            while let Some(id) = drive.path().flushed() {
                let index = flushes.iter().position(|&(flush, _)| flush == id).ok_or("a flush ends twice")?;
                self.oracle.flushed(flushes.swap_remove(index).1);
                self.tally.flushes += 1;
            }
            let lpn = if self.random.one_in(2) { self.random.below(hot) } else { self.random.below(units) };
            let ended = match self.random.below(100) {
                0..70 => self.write(drive, lpn),
                70..80 => drive.trim(lpn).map(|()| {
                    self.oracle.acknowledge(lpn, None);
                    self.tally.trims += 1;
                }),
                80..82 if flushes.len() < 4 => {
                    let operations = self.oracle.operations();
                    flushes.push((drive.start_flush(), operations));
                    Ok(())
                }
                // Force unit access.
                82..83 if flushes.is_empty() => self.write(drive, lpn).and_then(|()| {
                    let operations = self.oracle.operations();
                    drive.flush()?;
                    self.oracle.flushed(operations);
                    self.tally.flushes += 1;
                    Ok(())
                }),
                83..90 => match drive.read(lpn) {
                    Ok(value) if value != self.oracle.now(lpn) => {
                        return Err(format!("unit {lpn} has {value:x?}, not {:x?}", self.oracle.now(lpn)));
                    }
                    other => other.map(|_| ()),
                },
                _ => {
                    drive.poll();
                    Ok(())
                }
            };
            match ended {
                Ok(()) => {}
                Err(Stopped::NoPower) => return Ok(Ended::Cut),
                Err(Stopped::ReadOnly) => {
                    self.check_read_only(drive)?;
                    return Ok(Ended::ReadOnly);
                }
                Err(stopped) => return Err(format!("unit {lpn}: {stopped:?}")),
            }
        }
        Ok(Ended::Cut)
    }

    fn write(&mut self, drive: &mut Drive, lpn: u32) -> Result<(), Stopped> {
        let data = self.oracle.next_data(lpn);
        drive.write(lpn, data)?;
        self.oracle.acknowledge(lpn, Some(data));
        self.tally.writes += 1;
        Ok(())
    }

    /// A device that takes no more writes still has everything.
    fn check_read_only(&mut self, drive: &mut Drive) -> Result<(), String> {
        for lpn in 0..self.oracle.units() {
            match drive.read(lpn) {
                Ok(value) if value == self.oracle.now(lpn) => {}
                Err(Stopped::NoPower) => return Ok(()),
                other => return Err(format!("read-only: unit {lpn} has {other:x?}, not {:x?}", self.oracle.now(lpn))),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs in the tests; `cargo xtask flash-cuts` makes more.
    const RUNS: usize = 40;

    /// Seeds that have found something: filler of a mount destroyed what the mount before had found; a super-block of the log counted as erased; the
    /// anchor that a log without room waited for waited for the host.
    const REGRESSIONS: [u64; 3] = [0x9CEE_6F3C_2237_F92A, 0x85E7_BB0F_1227_8575, 0xB21D_937F_0F53_EE54];

    /// Seeds that have found something when of a hundred programs one fails: a mount took a super-block of the map for an erased one because a record told of
    /// its erase but none of its use; the block of the last anchor was erased because the next one could not be written.
    const REGRESSIONS_OF_PROGRAMS: [u64; 2] = [0x2D4D_E979_B560_315C, 0xA64B_31C2_2CC5_7F39];

    #[test]
    fn what_was_flushed_survives_many_programs_that_fail() {
        for seed in REGRESSIONS_OF_PROGRAMS {
            let Plan { mut config, reliability: Reliability { seed: of_faults, retry_rate, .. }, .. } = Plan::of(seed);
            config.units = config.units.min(config.units_max() / 2);
            let program_fail_rate = u32::MAX / 100;
            let reliability = Reliability { seed: of_faults, retry_rate, program_fail_rate, ..Reliability::DEFAULT };
            run(&Plan { config, reliability, ..Plan::of(seed) }).unwrap();
        }
    }

    #[test]
    fn what_was_flushed_survives_power_cuts_and_faults() {
        let mut tally = Tally::default();
        for seed in REGRESSIONS.into_iter().chain(seeds(0x5EED).take(RUNS)) {
            match run(&Plan::of(seed)) {
                Ok(other) => tally.add(&other),
                Err(failure) => panic!("{failure}"),
            }
        }
        assert!(tally.cuts > 200 && tally.flushes > 100 && tally.moved_pages > 1000, "{tally:?}");
        assert!(tally.cuts_of_mounts > 0 && tally.retired_blocks > 0 && tally.trims > 100, "{tally:?}");
    }
}
