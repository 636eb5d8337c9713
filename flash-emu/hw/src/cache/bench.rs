//! The running cache over a flash that takes its time and fails: every sector that is read is whole and not too old, and what is flushed is in the flash.

use super::Cache;
use crate::page_cache::Config;
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls, Memory};
use crate::types::{Step, UNIT_BEATS, UNIT_SECTORS};
use flash_spec::limits::UNIT_BYTES;
use nvme_hw::types::{Operation, StorageStatus};
use nvme_spec::limits::SECTOR_BYTES;
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::{Block, HwEnum};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

const CACHES: [Cache; 2] = [
    Cache { config: Config::SMALL, base: 0 },
    Cache { config: Config { lines: 64, units: 1000, commands: 16 }, base: 0x8000_0000 },
];

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    CACHES.iter().map(|&cache| Box::new(cache) as Box<dyn Block>).collect()
}

const SECTOR: usize = SECTOR_BYTES as usize;
const UNIT: usize = UNIT_BYTES as usize;

/// What a sector holds: the number of the write that it comes from; 0 before all.
type Version = u32;

/// Marked as not readable by that write.
const MARK: Version = 1 << 31;

/// Bytes of a sector, each of which tells all others.
fn content(version: Version) -> Vec<u8> {
    if version == 0 {
        return vec![0; SECTOR];
    }
    let words = (0..SECTOR as u64 / 8).map(|n| (u64::from(version) << 32 | n).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    words.flat_map(u64::to_le_bytes).collect()
}

/// A sector through time.
#[derive(Default)]
struct History {
    /// Of each write: its version, when it began, and when it ended.
    writes: Vec<(Version, u64, Option<u64>)>,
    /// Of each write of other sectors of its unit, for which the flash could not read it and which may so have marked it: its tag, until it has ended, and
    /// when it ended.
    losses: Vec<(u64, Option<u64>)>,
}

impl History {
    /// Whether this version may be there for somebody who begins to look at `since`: if no write came after it that was over by then.
    fn may_be(&self, version: Version, since: u64) -> bool {
        let ends = self.writes.iter().filter(|write| write.0 == version).map(|write| write.2);
        let ends: Vec<Option<u64>> = ends.chain((version == 0).then_some(Some(0))).collect();
        let is_newest = |ended: Option<u64>| {
            let is_behind = |write: &(Version, u64, Option<u64>)| {
                ended.is_some_and(|ended| write.1 > ended) && write.2.is_some_and(|end| end < since)
            };
            !self.writes.iter().any(is_behind)
        };
        let losses = self.losses.iter().filter(|_| version == MARK).map(|loss| loss.1);
        ends.into_iter().chain(losses).any(is_newest)
    }
}

/// The flash: what is in it, and what is going on.
struct Flash {
    cache: Cache,
    units: BTreeMap<u32, Vec<Version>>,
    /// Fills and cleans with the clock in which they go on.
    fills: Vec<(u64, Fields)>,
    leaving: Vec<(u64, Fields)>,
    programming: Vec<(u64, u64, u32, Vec<Version>)>,
    trimming: Vec<(u64, u64, u32)>,
    trims: u32,
    /// Units that could not be read, of which the cache may not have heard yet; and how many there were.
    losing: Vec<u32>,
    losses: u32,
    /// Settles when all of these are through.
    settling: bool,
    has_failed: bool,
    fails: bool,
}

impl Flash {
    fn new(cache: Cache, fails: bool) -> Self {
        let (units, fills, leaving, programming, trimming, trims) = Default::default();
        let (losing, losses, settling, has_failed) = Default::default();
        Self { cache, units, fills, leaving, programming, trimming, trims, losing, losses, settling, has_failed, fails }
    }

    fn unit(&self, unit: u32) -> Vec<Version> {
        self.units.get(&unit).cloned().unwrap_or(vec![0; UNIT_SECTORS as usize])
    }

    fn address(&self, line: u64) -> u64 {
        self.cache.base + line * UNIT_BYTES as u64
    }

    fn clock(&mut self, bench: &mut Bench, memory: &mut Memory, versions: &BTreeMap<Vec<u8>, Version>, rng: &mut Rng) {
        let now = bench.clocks();
        for fill in bench.drain_fields("fill") {
            // Whoever reads the line meanwhile reads this.
            memory.store(self.address(fill.get("line")), &[0xEE; UNIT]);
            self.fills.push((now + 5 + rng.below(120), fill));
        }
        for clean in bench.drain_fields("clean") {
            match clean.get("settle") {
                0 => self.leaving.push((now + 1 + rng.below(60), clean)),
                _ => self.settling = true,
            }
        }
        while let Some(at) = self.fills.iter().position(|(due, _)| *due <= now) {
            let (_, fill) = self.fills.swap_remove(at);
            let is_lost = self.fails && rng.percent(10);
            self.fill(bench, memory, &fill, is_lost);
        }
        while let Some(at) = self.leaving.iter().position(|(due, _)| *due <= now) {
            let (_, clean) = self.leaving.swap_remove(at);
            let (line, unit, bad) = (clean.get("line"), clean.get("unit") as u32, clean.get("bad"));
            let bytes = memory.load(self.address(line), UNIT_BYTES.into());
            if clean.get("trim") == 1 {
                assert!(bad == 0 && bytes.iter().all(|&byte| byte == 0), "unit {unit} is trimmed and has data");
                self.trimming.push((now + 1 + rng.below(300), line, unit));
                continue;
            }
            let sectors = bytes.chunks_exact(SECTOR).zip(0..).map(|(sector, number)| {
                if bad >> number & 1 == 1 {
                    MARK
                } else {
                    *versions.get(sector).unwrap_or_else(|| panic!("sector {number} of unit {unit} is torn"))
                }
            });
            self.programming.push((now + 1 + rng.below(300), line, unit, sectors.collect()));
            tell(bench, Step::Left, line);
        }
        while let Some(at) = self.programming.iter().position(|(due, ..)| *due <= now) {
            let (_, line, unit, sectors) = self.programming.swap_remove(at);
            let failed = self.fails && rng.percent(5);
            self.has_failed |= failed;
            if !failed {
                self.units.insert(unit, sectors);
            }
            tell(bench, if failed { Step::Failed } else { Step::Cleaned }, line);
        }
        while let Some(at) = self.trimming.iter().position(|(due, ..)| *due <= now) {
            let (_, line, unit) = self.trimming.swap_remove(at);
            let failed = self.fails && rng.percent(5);
            self.has_failed |= failed;
            if !failed {
                self.units.remove(&unit);
                self.trims += 1;
            }
            tell(bench, if failed { Step::Failed } else { Step::Cleaned }, line);
        }
        if self.settling && self.leaving.is_empty() && self.programming.is_empty() && self.trimming.is_empty() {
            self.settling = false;
            let again = std::mem::take(&mut self.has_failed);
            tell(bench, if again { Step::Unsettled } else { Step::Settled }, 0);
        }
    }

    fn fill(&mut self, bench: &mut Bench, memory: &mut Memory, fill: &Fields, is_lost: bool) {
        let (line, unit) = (fill.get("line"), fill.get("unit") as u32);
        let sectors = if is_lost { vec![MARK; UNIT_SECTORS as usize] } else { self.unit(unit) };
        self.losing.extend(is_lost.then_some(unit));
        self.losses += u32::from(is_lost);
        let is_bad = |version: Version| version & MARK != 0;
        let bytes: Vec<u8> = sectors.iter().flat_map(|&version| content(version & !MARK)).collect();
        memory.store(self.address(line), &bytes);
        let bad = sectors.iter().zip(0..).fold(0, |bad, (&version, number)| bad | u64::from(is_bad(version)) << number);
        let mut failed = false;
        if fill.get("forward") == 1 {
            let first = fill.get("sector") as usize;
            let wanted = first..first + fill.get("sectors") as usize;
            failed = wanted.clone().any(|sector| is_bad(sectors[sector]));
            let beats: Vec<usize> = (8 * wanted.start..8 * wanted.end).collect();
            for &beat in &beats {
                let data: Vec<u64> = bytes[64 * beat..64 * (beat + 1)]
                    .chunks_exact(8)
                    .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
                    .collect();
                let item = bench.fields("forward").set("tag", fill.get("tag")).set_words("data", &data);
                let item = item.set("error", is_bad(sectors[beat / 8])).set("last", Some(&beat) == beats.last());
                bench.send("forward", [item.words()]);
            }
        }
        let item = bench.fields("filled").set("line", line).set("bad", bad).set("forward", fill.get("forward"));
        let item = item.set("tag", fill.get("tag")).set("failed", failed).set("lost", is_lost);
        bench.send("filled", [item.words()]);
    }
}

fn tell(bench: &mut Bench, step: Step, line: u64) {
    bench.send("progress", [bench.fields("progress").set("step", step.code()).set("line", line).words()]);
}

#[derive(Clone, Debug)]
struct Running {
    operation: Operation,
    first: u64,
    sectors: u64,
    fua: bool,
    is_refused: bool,
    since: u64,
    /// Of a write: its version, and the sectors that it does not change.
    version: Version,
    missing: u64,
    beats: Vec<Fields>,
}

impl Running {
    /// Whether it writes to this sector.
    fn changes(&self, sector: u64) -> bool {
        let is_write = ![Operation::Read, Operation::Verify, Operation::Flush].contains(&self.operation);
        let is_inside = (self.first..self.first.saturating_add(self.sectors)).contains(&sector);
        is_write && !self.is_refused && is_inside && self.missing >> (sector - self.first) & 1 == 0
    }

    /// Whether it writes to some of these sectors and not to others.
    fn may_mark(&self, sectors: &Range<u64>) -> bool {
        let count = sectors.clone().filter(|&sector| self.changes(sector)).count();
        (1..UNIT_SECTORS as usize).contains(&count)
    }
}

fn any_command(config: &Config, rng: &mut Rng) -> (Operation, u64, u64) {
    use Operation::{Deallocate, Flush, Read, Verify, Write, WriteUncorrectable, WriteZeroes};
    let operation = match rng.below(100) {
        0..=2 => Flush,
        3..=5 => Verify,
        6..=8 => WriteZeroes,
        9..=14 => Deallocate,
        15..=17 => WriteUncorrectable,
        18..=57 => Write,
        _ => Read,
    };
    let end = u64::from(config.units * UNIT_SECTORS);
    let unit_aligned = rng.percent(50);
    let range = if rng.percent(60) { 48 } else { end };
    let near = rng.below(range);
    let (first, sectors) = if unit_aligned { (near / 8 * 8, 8) } else { (near, 1 + rng.below(8)) };
    match (operation, rng.below(60)) {
        (Flush, _) => (operation, 0, 0),
        (_, 0) => (operation, end - sectors + 1, sectors),
        (_, 1) => (operation, rng.next_u64() | 1 << 63, sectors),
        _ => (operation, first.min(end - sectors), sectors),
    }
}

/// Runs commands until so many have ended; returns the clocks of that.
fn run(bench: &mut Bench, rng: &mut Rng, cache: Cache, commands: u32, fails: bool) {
    let config = cache.config;
    let end = u64::from(config.units * UNIT_SECTORS);
    let mut memory = Memory::new(|_| false, 13);
    let mut flash = Flash::new(cache, fails);
    let mut versions: BTreeMap<Vec<u8>, Version> = BTreeMap::from([(content(0), 0)]);
    let mut histories: BTreeMap<u64, History> = BTreeMap::new();
    let mut running: BTreeMap<u64, Running> = BTreeMap::new();
    let mut beats: BTreeMap<u64, Vec<Fields>> = BTreeMap::new();
    let mut to_send: VecDeque<Fields> = VecDeque::new();
    // When the flash last failed to read a unit.
    let mut lost: BTreeMap<u32, u64> = BTreeMap::new();
    let (mut started, mut ended, mut last_end) = (0, 0, bench.clocks());
    let mut counts = [0; 3];
    while ended < commands {
        let tag = (0..u64::from(config.commands)).find(|tag| !running.contains_key(tag));
        if let Some(tag) = tag.filter(|_| started < commands && rng.percent(15)) {
            started += 1;
            let (operation, first, sectors) = any_command(&config, rng);
            let is_refused = operation != Operation::Flush && first.saturating_add(sectors) > end;
            let fua = operation == Operation::Write && rng.percent(5);
            let errors = rng.next_u64() & rng.next_u64() & rng.next_u64();
            let errors = if rng.percent(20) { errors & ((1 << sectors) - 1) } else { 0 };
            let missing = if operation == Operation::Write { errors } else { 0 };
            let version = match operation {
                Operation::Write => started,
                Operation::WriteUncorrectable => MARK,
                _ => 0,
            };
            let command = Running {
                operation,
                first,
                sectors,
                fua,
                is_refused,
                since: bench.clocks(),
                version,
                missing,
                beats: vec![],
            };
            let item = bench.fields("storage_command").set("tag", tag).set("operation", operation.code());
            let item = item.set("sector", first).set("sectors", sectors).set("fua", fua);
            bench.send("storage_command", [item.words()]);
            if operation == Operation::Write {
                let bytes = content(version);
                versions.insert(bytes.clone(), version);
                for beat in 0..sectors as usize * 8 {
                    let at = 64 * (beat % 8);
                    let words = bytes[at..at + 64].chunks_exact(8);
                    let words: Vec<u64> =
                        words.map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes"))).collect();
                    let item = bench.fields("storage_write").set_words("data", &words);
                    let item = item.set("error", missing >> (beat / 8) & 1);
                    to_send.push_back(item.set("last", beat + 1 == sectors as usize * 8));
                }
            }
            if !is_refused && ![Operation::Read, Operation::Verify, Operation::Flush].contains(&operation) {
                for sector in (0..sectors).filter(|sector| missing >> sector & 1 == 0) {
                    // Writes of zeroes and marks are alike, so each takes the place of the one before.
                    let history = histories.entry(first + sector).or_default();
                    history.writes.push((version, bench.clocks(), None));
                }
            }
            running.insert(tag, command);
        }
        if rng.percent(60) {
            if let Some(beat) = to_send.pop_front() {
                bench.send("storage_write", [beat.words()]);
            }
        }
        memory.clock(bench);
        flash.clock(bench, &mut memory, &versions, rng);
        for &unit in &flash.losing {
            lost.insert(unit, bench.clocks());
            let sectors = u64::from(unit * UNIT_SECTORS)..u64::from((unit + 1) * UNIT_SECTORS);
            for (&tag, command) in running.iter().filter(|(_, command)| command.may_mark(&sectors)) {
                for sector in sectors.clone().filter(|&sector| !command.changes(sector)) {
                    let losses = &mut histories.entry(sector).or_default().losses;
                    if !losses.contains(&(tag, None)) {
                        losses.push((tag, None));
                    }
                }
            }
        }
        if bench.pending("filled") == 0 {
            flash.losing.clear();
        }
        bench.clock();
        for beat in bench.drain_fields("storage_read") {
            beats.entry(beat.get("tag")).or_default().push(beat);
        }
        for done in bench.drain_fields("storage_done") {
            let tag = done.get("tag");
            let command = running.get_mut(&tag).expect("it is running");
            let reads = command.operation == Operation::Read && !command.is_refused;
            // The last beats may come after the end.
            let count = if reads { 8 * command.sectors as usize } else { 0 };
            let mut late = 0;
            while beats.get(&tag).map_or(0, Vec::len) < count {
                memory.clock(bench);
                flash.clock(bench, &mut memory, &versions, rng);
                bench.clock();
                for beat in bench.drain_fields("storage_read") {
                    beats.entry(beat.get("tag")).or_default().push(beat);
                }
                late += 1;
                assert!(late < 1000, "beats of {command:?} are missing");
            }
            command.beats = beats.remove(&tag).unwrap_or_default();
            assert_eq!(command.beats.len(), count, "{command:?}");
            let status = StorageStatus::VARIANTS[done.get("status") as usize];
            let command = running.remove(&tag).expect("it is running");
            for history in histories.values_mut() {
                history
                    .losses
                    .iter_mut()
                    .filter(|loss| **loss == (tag, None))
                    .for_each(|loss| loss.1 = Some(bench.clocks()));
            }
            check(&command, status, &mut histories, &lost, &versions, &flash, bench.clocks());
            counts[status.code() as usize] += 1;
            ended += 1;
            last_end = bench.clocks();
        }
        assert!(bench.clocks() < last_end + 20_000, "nothing ends: {running:?}");
    }
    assert!(commands < 100 || counts.iter().all(|&count| count > 3), "{counts:?}");
    assert!(commands < 100 || flash.trims > 3, "{} units were trimmed", flash.trims);
    assert!(commands < 100 || !fails || flash.losses > 3, "{} fills failed", flash.losses);
}

/// Looks at the end of a command.
fn check(
    command: &Running,
    status: StorageStatus,
    histories: &mut BTreeMap<u64, History>,
    lost: &BTreeMap<u32, u64>,
    versions: &BTreeMap<Vec<u8>, Version>,
    flash: &Flash,
    now: u64,
) {
    let none = History::default();
    if command.is_refused {
        assert_eq!(status, StorageStatus::Refused, "{command:?}");
        return;
    }
    let in_flash = |sector: u64| flash.unit((sector / 8) as u32)[(sector % 8) as usize];
    match command.operation {
        Operation::Read | Operation::Verify => {
            let mut may_be_good = true;
            let mut has_failed = false;
            for number in 0..command.sectors {
                let history = histories.get(&(command.first + number)).unwrap_or(&none);
                if command.operation == Operation::Verify {
                    let mut known = history.writes.iter().map(|write| write.0).chain([0]);
                    may_be_good &= known.any(|version| version != MARK && history.may_be(version, command.since));
                    continue;
                }
                let beats = &command.beats[8 * number as usize..8 * (number as usize + 1)];
                let is_bad = beats[0].get("error") == 1;
                assert!(beats.iter().all(|beat| (beat.get("error") == 1) == is_bad), "{command:?}");
                has_failed |= is_bad;
                // It has been asked for since the read began, and the flash could not read it.
                if is_bad && lost.get(&((command.first + number) as u32 / UNIT_SECTORS)) >= Some(&command.since) {
                    continue;
                }
                let bytes: Vec<u8> =
                    beats.iter().flat_map(|beat| beat.get_words("data")).flat_map(u64::to_le_bytes).collect();
                let version = if is_bad {
                    MARK
                } else {
                    *versions.get(&bytes).unwrap_or_else(|| panic!("sector {number} of {command:?} is torn"))
                };
                assert!(
                    history.may_be(version, command.since),
                    "sector {number} of {command:?} is {version}, of {:?}",
                    history.writes
                );
            }
            if command.operation == Operation::Read {
                let expected = if has_failed { StorageStatus::MediaError } else { StorageStatus::Good };
                assert_eq!(status, expected, "{command:?}");
            } else {
                assert!(status == StorageStatus::MediaError || may_be_good, "{command:?}");
            }
        }
        Operation::Flush => {
            assert_eq!(status, StorageStatus::Good);
            for (&sector, history) in histories.iter() {
                let version = in_flash(sector);
                assert!(history.may_be(version, command.since), "sector {sector} is {version}, {:?}", history.writes);
            }
        }
        _ => {
            assert_eq!(status, StorageStatus::Good, "{command:?}");
            for sector in (0..command.sectors).filter(|sector| command.missing >> sector & 1 == 0) {
                let sector = command.first + sector;
                let history = histories.get_mut(&sector).expect("it was written");
                let begun = (command.version, command.since, None);
                let write = history.writes.iter_mut().find(|write| **write == begun).expect("it began");
                write.2 = Some(now);
                if command.fua && command.missing == 0 {
                    let version = in_flash(sector);
                    let is_newer = |write: &(Version, u64, Option<u64>)| {
                        write.0 == version && write.2.is_none_or(|end| end > command.since)
                    };
                    assert!(history.writes.iter().any(is_newer), "FUA: sector {sector} is {version}: {command:?}");
                }
            }
        }
    }
}

#[test]
fn every_sector_is_whole_and_not_too_old_and_what_is_flushed_is_in_the_flash() {
    for cache in CACHES {
        under_all_stalls(&cache, |bench, rng| {
            bench.run(u64::from(cache.config.lines));
            let fails = rng.bool();
            run(bench, rng, cache, 700, fails);
        });
    }
}

/// Reads that hit, with all commands in flight: the data side is never idle.
#[test]
fn a_beat_goes_through_in_each_clock() {
    let cache = CACHES[1];
    without_stalls(&cache, |bench| {
        let mut memory = Memory::new(|_| false, 40);
        let mut flash = Flash::new(cache, false);
        let mut rng = rtl_hdl::bench::Seed::from_env_or(0x5EED).rng("hits");
        let versions = BTreeMap::from([(content(0), 0)]);
        bench.run(u64::from(cache.config.lines));
        const READS: u64 = 64;
        for round in 0..2 {
            let since = bench.clocks();
            let (mut sent, mut ended) = (0, 0);
            while ended < READS {
                if sent < READS && sent < ended + u64::from(cache.config.commands) {
                    let item = bench.fields("storage_command").set("tag", sent % u64::from(cache.config.commands));
                    let item = item.set("operation", Operation::Read.code()).set("sector", sent % 16 * 8);
                    bench.send("storage_command", [item.set("sectors", UNIT_SECTORS).words()]);
                    sent += 1;
                }
                memory.clock(bench);
                flash.clock(bench, &mut memory, &versions, &mut rng);
                bench.clock();
                bench.drain("storage_read");
                ended += bench.drain("storage_done").len() as u64;
                assert!(bench.clocks() < since + 20_000);
            }
            let clocks = bench.clocks() - since;
            if round == 1 {
                assert!(clocks < READS * (u64::from(UNIT_BEATS) + 1) + 100, "{clocks} clocks for {READS} reads");
            }
        }
    });
}

/// The line that a write waits for is read all the time, by all other commands in flight.
#[test]
fn reads_of_a_line_do_not_keep_a_write_of_it_away() {
    let cache = CACHES[1];
    without_stalls(&cache, |bench| {
        let mut memory = Memory::new(|_| false, 40);
        let mut flash = Flash::new(cache, false);
        let mut rng = rtl_hdl::bench::Seed::from_env_or(0x5EED).rng("one line");
        let versions = BTreeMap::from([(content(0), 0)]);
        bench.run(u64::from(cache.config.lines));
        let send = |bench: &mut Bench, tag: u64, operation: Operation, sectors: u8| {
            let item = bench.fields("storage_command").set("tag", tag).set("operation", operation.code());
            bench.send("storage_command", [item.set("sectors", sectors).words()]);
        };
        let write = u64::from(cache.config.commands) - 1;
        (0..write).for_each(|tag| send(bench, tag, Operation::Read, 8));
        let (mut reads, mut written) = (0, None);
        while written.is_none() {
            memory.clock(bench);
            flash.clock(bench, &mut memory, &versions, &mut rng);
            bench.clock();
            bench.drain("storage_read");
            for done in bench.drain_fields("storage_done") {
                let tag = done.get("tag");
                if tag == write {
                    written = Some(reads);
                    continue;
                }
                reads += 1;
                // All reads are under way when the write comes.
                if reads == 50 {
                    send(bench, write, Operation::WriteZeroes, 1);
                }
                send(bench, tag, Operation::Read, 8);
            }
            assert!(reads < 50 + 4 * write, "{reads} reads have gone by");
        }
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    // What a fill says of a command has no meaning if it is not forwarded.
    let ignored = ["fill_tag", "fill_sector", "fill_sectors"];
    forgets_at_reset(&CACHES[0], &["memory_r", "memory_b", "filled", "progress", "forward"], &ignored);
}
