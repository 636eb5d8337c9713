//! Power cuts of the Verilated flash path under its firmware: in any clock, under mixed load, and while it mounts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flash_fw::{Config, Ftl};
use flash_hw::flash_path;
use flash_model::Random;
use flash_spec::limits::UNIT_BYTES;
use flash_spec::{Geometry, Preset, Reliability};
use nvme_hw::types::{Operation, StorageStatus};
use sim_device::Ram;
use sim_verilator::{Error, Library};
use soc_hal::FastPath;

use crate::hardware::{layout, library, Machine, Medium};
use crate::{Oracle, Owned};

/// 64 super-blocks of 32 pages.
pub const GEOMETRY: Geometry =
    Geometry { channels: 2, dies_per_channel: 1, planes_per_die: 2, blocks_per_plane: 64, pages_per_block: 8 };
/// The times of `sim` divided by so much.
const DIVISOR: u32 = 8;
/// Commands in flight.
const DEPTH: usize = 16;
/// Clocks after which a command, or a mount, must have ended.
const CLOCKS_MAX: u64 = 40_000_000;
/// A mount takes about so many clocks.
const MOUNT_CLOCKS: u32 = 30_000;
/// Words of a unit.
const WORDS: u64 = UNIT_BYTES as u64 / 8;

/// The most that fails, in 2^32: programs, erases, reads, and reads that need a repetition. Enough that most lives see
/// some, and few enough that flash lasts for many.
const PROGRAM_FAIL_RATE_MAX: u32 = u32::MAX / 100;
const ERASE_FAIL_RATE_MAX: u32 = u32::MAX / 100;
const UNCORRECTABLE_RATE_MAX: u32 = u32::MAX / 1000;
const RETRY_RATE_MAX: u32 = u32::MAX / 10;
/// How often a unit is read that the flash could not read, before it is lost.
const ATTEMPTS: u32 = 10;

/// What a campaign does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everything random follows from it.
    pub seed: u64,
    /// Power cuts.
    pub cuts: u32,
    /// Clocks that a life has at most before its power goes.
    pub life_clocks: u32,
    /// Programs, erases and reads fail, at rates that each life draws anew.
    pub has_faults: bool,
}

impl Plan {
    /// What goes wrong in the life that comes.
    fn reliability(&self, random: &mut Random) -> Reliability {
        if !self.has_faults {
            return Reliability::DEFAULT;
        }
        Reliability {
            seed: random.next_u64() as u32 | 1 << 31,
            program_fail_rate: random.below(PROGRAM_FAIL_RATE_MAX),
            erase_fail_rate: random.below(ERASE_FAIL_RATE_MAX),
            uncorrectable_rate: random.below(UNCORRECTABLE_RATE_MAX),
            retry_rate: random.below(RETRY_RATE_MAX),
            ..Reliability::DEFAULT
        }
    }
}

/// What a campaign came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Power cuts.
    pub cuts: u32,
    /// Of these, while the flash was mounted.
    pub cuts_of_mounts: u32,
    /// Commands of the host.
    pub commands: u64,
    /// Of these, flushes.
    pub flushes: u64,
    /// Units that were deallocated.
    pub trims: u64,
    /// Clocks of all lives.
    pub clocks: u64,
    /// Blocks that were retired.
    pub retired_blocks: u64,
    /// Reads of the host that the flash could not read; read again they could be.
    pub unreadable: u64,
    /// Flash that took no more writes, in which all units were found after a cut, and that was replaced.
    pub worn_out: u32,
}

/// A command in flight.
#[derive(Clone, Copy, Debug)]
struct Flight {
    tag: u8,
    operation: Operation,
    lpn: u32,
    data: u64,
    fua: bool,
    /// Of a flush: the operations that it makes durable.
    operations: u64,
}

/// The hardware and what is expected of it.
pub struct Campaign {
    library: Library,
    path: flash_path::Config,
    config: Config,
}

/// The words of a unit that holds a number.
fn words(data: u64) -> Vec<u64> {
    (0..WORDS).map(|word| data ^ word.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect()
}

/// The number that a unit holds: nothing if it is all zeroes.
fn number(read: &[u64]) -> Result<Option<u64>, String> {
    if read.iter().all(|&word| word == 0) {
        return Ok(None);
    }
    if read != words(read[0]) {
        return Err("it is torn".into());
    }
    Ok(Some(read[0]))
}

impl Campaign {
    /// Builds the hardware.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn new() -> Result<Self, Error> {
        let config = Config::new(GEOMETRY, 85);
        let config = Config { units: config.units.min(config.units_max()), log_records: 8, ..config };
        let lines = 64;
        let path = flash_path::Config { geometry: GEOMETRY, units: config.units, lines, ..flash_path::Config::SMALL };
        Ok(Self { library: library(path)?, path, config })
    }

    /// Cuts the power as often as the plan says; `progress` hears of each cut.
    ///
    /// # Errors
    /// What was lost, and in which life.
    pub fn run(&self, plan: &Plan, mut progress: impl FnMut(&Report)) -> Result<Report, String> {
        let mut random = Random::new(plan.seed);
        let mut oracle = Oracle::new(self.config.units);
        let mut touched = BTreeSet::new();
        let mut report = Report::default();
        let mut medium = Medium::from(Ram::new(self.path.medium_bytes()));
        let mut is_new = true;
        while report.cuts < plan.cuts {
            let number = report.cuts;
            let named = |error: String| format!("life {number}: {error}");
            let mut machine = Machine::new(&self.library, self.path, medium);
            machine.set_flash(&Preset::Sim, DIVISOR, plan.reliability(&mut random));
            let cuts_mount = !is_new && random.one_in(2);
            if cuts_mount {
                machine.power_ends = Some(machine.clock + u64::from(1 + random.below(MOUNT_CLOCKS)));
            }
            let mut memory = Owned::new(&self.config);
            let driver = FastPath::new(machine, layout(&self.path));
            let ftl = Ftl::new(driver, self.config, memory.lend()).map_err(|error| error.message().to_owned())?;
            let mut life = Life { ftl, in_flight: Vec::new(), has_faults: plan.has_faults };
            let mut is_worn_out = false;
            let is_mounted = life.start(is_new).map_err(named)?;
            if is_mounted {
                life.machine().power_ends = None;
                life.check(&mut oracle, &touched, &mut report).map_err(named)?;
                is_worn_out = life.ftl.is_read_only();
                let clocks = u64::from(1 + random.below(plan.life_clocks));
                let machine = life.machine();
                machine.power_ends = Some(machine.clock + clocks);
                life.work(&mut random, &mut oracle, &mut touched, &mut report).map_err(named)?;
            } else {
                report.cuts_of_mounts += 1;
            }
            is_new = is_worn_out;
            report.cuts += 1;
            report.retired_blocks += u64::from(life.ftl.smart().retired_blocks);
            let machine = life.ftl.into_flash().into_hardware();
            report.clocks += machine.clock;
            medium = machine.cut_power();
            if is_worn_out {
                report.worn_out += 1;
                medium = Medium::from(Ram::new(self.path.medium_bytes()));
                oracle = Oracle::new(self.config.units);
                touched.clear();
            }
            progress(&report);
        }
        Ok(report)
    }
}

/// From a power-up to a power cut.
struct Life<'m> {
    ftl: Ftl<'m, FastPath<Machine>>,
    in_flight: Vec<Flight>,
    has_faults: bool,
}

impl Life<'_> {
    fn machine(&mut self) -> &mut Machine {
        self.ftl.flash().hardware()
    }

    /// Whether it is mounted: not if the power goes before.
    fn start(&mut self, is_new: bool) -> Result<bool, String> {
        let ended = if is_new { self.ftl.format() } else { self.ftl.mount() };
        if !self.machine().has_power() {
            return Ok(false);
        }
        ended.map_err(|error| format!("it is not mounted: {error:?}"))?;
        Ok(true)
    }

    /// Reads all units that were ever written.
    fn check(&mut self, oracle: &mut Oracle, touched: &BTreeSet<u32>, report: &mut Report) -> Result<(), String> {
        let mut left: VecDeque<u32> = touched.iter().copied().collect();
        let mut attempts: BTreeMap<u32, u32> = BTreeMap::new();
        let end = self.machine().clock + CLOCKS_MAX;
        while !left.is_empty() || !self.in_flight.is_empty() {
            if self.machine().clock > end {
                return Err(format!("{} reads do not end", self.in_flight.len()));
            }
            if self.in_flight.len() < DEPTH {
                if let Some(lpn) = left.pop_front() {
                    self.ask(Operation::Read, lpn, 0, false, 0);
                }
            }
            self.ftl.poll();
            while let Some((flight, status, read)) = self.ended() {
                if status != StorageStatus::Good {
                    let attempts = attempts.entry(flight.lpn).or_default();
                    *attempts += 1;
                    if !self.has_faults || status != StorageStatus::MediaError || *attempts == ATTEMPTS {
                        return Err(format!("unit {} cannot be read: {status:?}", flight.lpn));
                    }
                    report.unreadable += 1;
                    left.push_back(flight.lpn);
                    continue;
                }
                let value = number(&read).map_err(|error| format!("unit {}: {error}", flight.lpn))?;
                oracle.found(flight.lpn, value)?;
            }
        }
        oracle.all_found();
        Ok(())
    }

    /// Mixed load until the power goes.
    fn work(
        &mut self,
        random: &mut Random,
        oracle: &mut Oracle,
        touched: &mut BTreeSet<u32>,
        report: &mut Report,
    ) -> Result<(), String> {
        let (mut last_end, mut next_data) = (self.machine().clock, oracle.next_data(0) & u64::from(u32::MAX));
        while self.machine().has_power() && !self.ftl.is_read_only() {
            if self.in_flight.len() < DEPTH {
                let lpn = random.below(oracle.units());
                let is_free =
                    self.in_flight.iter().all(|flight| flight.lpn != lpn || flight.operation == Operation::Flush);
                let operation = match random.below(100) {
                    0..4 => Operation::Flush,
                    4..65 => Operation::Write,
                    65..75 => Operation::Deallocate,
                    _ => Operation::Read,
                };
                if operation == Operation::Flush {
                    self.ask(operation, 0, 0, false, oracle.operations());
                } else if is_free && operation == Operation::Write {
                    next_data += 1;
                    touched.insert(lpn);
                    self.ask(operation, lpn, u64::from(lpn) << 32 | next_data, random.below(20) == 0, 0);
                } else if is_free {
                    touched.extend((operation == Operation::Deallocate).then_some(lpn));
                    self.ask(operation, lpn, 0, false, 0);
                }
            }
            self.ftl.poll();
            while let Some((flight, status, read)) = self.ended() {
                last_end = self.machine().clock;
                report.commands += 1;
                let is_read = flight.operation == Operation::Read;
                if self.has_faults && is_read && status == StorageStatus::MediaError {
                    report.unreadable += 1;
                    continue;
                }
                if status == StorageStatus::MediaError && !is_read && self.ftl.is_read_only() {
                    // As one in flight when the power goes: it may have happened.
                    self.in_flight.push(flight);
                    break;
                }
                if status != StorageStatus::Good {
                    return Err(format!("{flight:?} ends with {status:?}"));
                }
                match flight.operation {
                    Operation::Write if flight.fua => oracle.acknowledge_durable(flight.lpn, Some(flight.data)),
                    Operation::Write => oracle.acknowledge(flight.lpn, Some(flight.data)),
                    Operation::Deallocate => {
                        report.trims += 1;
                        oracle.acknowledge(flight.lpn, None);
                    }
                    Operation::Flush => {
                        report.flushes += 1;
                        oracle.flushed(flight.operations);
                    }
                    _ => {
                        let value = number(&read).map_err(|error| format!("unit {}: {error}", flight.lpn))?;
                        if value != oracle.now(flight.lpn) {
                            let right = oracle.now(flight.lpn);
                            return Err(format!("unit {} reads as {value:x?}, not {right:x?}", flight.lpn));
                        }
                    }
                }
            }
            if self.machine().clock > last_end + CLOCKS_MAX {
                return Err(format!("nothing ends: {:?}", self.in_flight));
            }
        }
        // Writes and trims in flight may have happened.
        for flight in &self.in_flight {
            match flight.operation {
                Operation::Write => oracle.acknowledge(flight.lpn, Some(flight.data)),
                Operation::Deallocate => oracle.acknowledge(flight.lpn, None),
                _ => {}
            }
        }
        Ok(())
    }

    fn ask(&mut self, operation: Operation, lpn: u32, data: u64, fua: bool, operations: u64) {
        let machine = self.machine();
        let tag = machine.take_tag().expect("fewer are in flight than there are tags");
        let words = if operation == Operation::Write { words(data) } else { Vec::new() };
        machine.ask(tag, operation, lpn.into(), fua, &words);
        self.in_flight.push(Flight { tag, operation, lpn, data, fua, operations });
    }

    fn ended(&mut self) -> Option<(Flight, StorageStatus, Vec<u64>)> {
        if !self.machine().has_power() {
            return None;
        }
        let (tag, status, words) = self.machine().ended()?;
        let at = self.in_flight.iter().position(|flight| flight.tag == tag).expect("it is in flight");
        Some((self.in_flight.swap_remove(at), status, words))
    }
}
