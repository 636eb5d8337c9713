//! The running block with the page map: the map, the counts, the log and what is told, against a simple model of them.

use super::{Commit, Config, BURST_BEATS};
use crate::page_map::{self, PageMap};
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls, Memory};
use crate::types::{ProgramStep, Purpose, Step};
use flash_spec::fast_path::wire::{command, event};
use flash_spec::fast_path::{Buffer, FIRMWARE_LOG_ENTRIES};
use flash_spec::limits::{PAGE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::record::{LogEntry, LogHeader, LOG_ENTRIES, MAP_ENTRIES, MAP_ENTRY_BYTES, UNMAPPED};
use flash_spec::{Geometry, Outcome, PageAddress, Violation};
use rtl_bus::Axi4;
use rtl_hdl::bench::{Bench, Fields, Rng, Seed};
use rtl_hdl::{Block, HwEnum, Module};
use std::collections::VecDeque;

/// Pages of the map; the last one is never there.
const MAP_PAGES: u32 = 3;
/// Clocks that the memories take.
const LATENCY: u64 = 20;
/// What the sequence number is ahead of `covered`, by which the bench knows the clock of both.
const AHEAD: u64 = 1000;

/// The block and the page map.
struct Path {
    config: Config,
}

const PATHS: [Path; 2] = [
    Path { config: Config { geometry: Geometry::SMALL, lines_base: 0, shared_base: 0x1000_0000 } },
    Path {
        config: Config {
            geometry: Geometry { channels: 3, planes_per_die: 1, blocks_per_plane: 131, ..Geometry::SMALL },
            lines_base: 0x4000_0000,
            shared_base: 0x2_0000_0000,
        },
    },
];

/// All of the flash.
const WHOLE: Config = Config { geometry: Geometry::DEFAULT_1_GIB, lines_base: 0, shared_base: 0 };

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    let mut blocks: Vec<Box<dyn Block>> = PATHS.map(|path| Box::new(path) as Box<dyn Block>).into();
    blocks.extend([PATHS[0].config, WHOLE].map(|config| Box::new(Commit::new(config)) as Box<dyn Block>));
    blocks
}

impl Path {
    fn shared(&self, buffer: Buffer) -> u64 {
        self.config.shared_base + u64::from(buffer.number() * PAGE_BYTES)
    }

    fn flash_units(&self) -> u32 {
        self.config.geometry.pages() as u32 * UNITS_PER_PAGE
    }

    fn super_block_of(&self, entry: u32) -> Option<usize> {
        let geometry = self.config.geometry;
        (entry < self.flash_units()).then(|| geometry.page_at((entry / UNITS_PER_PAGE).into()).block.into())
    }
}

impl Block for Path {
    fn name(&self) -> String {
        format!("path_of_{}", Commit::new(self.config).name())
    }

    fn build(&self, m: &Module) {
        m.clock();
        let commit = m.instance("commit", &Commit::new(self.config));
        let (units, base) = (MAP_PAGES * MAP_ENTRIES, self.shared(Buffer::Map(0)));
        let map = m.instance("page_map", &PageMap::new(page_map::Config { units, lines: 16, base }));
        m.connect(&commit, "map", &map, "request");
        m.connect(&map, "answer", &commit, "mapped");
        for stream in ["result", "settled", "trim", "said", "progress", "resolved", "ended", "heard"] {
            m.export(&commit, stream, stream);
        }
        let numbers = [("reserve", 4), ("next_sequence", 48), ("covered", 48), ("valid_at", 16)];
        for (input, width) in numbers.into_iter().chain([("may_trim", 1), ("settles", 1)]) {
            commit.port(input).set(m.input(input, width));
        }
        let outputs = ["has_room", "waits_for", "appended", "durable", "durable_covered", "host_units", "valid_units"];
        let of_trims = ["last_trim", "last_trim_sequence", "trims_are_durable", "flush_waits"];
        for output in outputs.into_iter().chain(of_trims).chain(["host_failure", "lost"]) {
            m.output(output, commit.port(output));
        }
        map.port("peek").set(m.input("peek", 16));
        m.output("peek_changed", map.port("peek_changed"));
        m.output("map_lost", map.port("lost"));
        Axi4::export(m, &commit, "memory", "memory");
        Axi4::export(m, &map, "memory", "map_memory");
    }
}

/// A log entry: the unit and its place.
type Entry = (u32, u32);
/// `Progress`: the step and the line.
type Told = (u64, u64);

/// What should be there, and what should be told.
struct Expected {
    map: Vec<u32>,
    is_there: [bool; MAP_PAGES as usize],
    valid: Vec<u64>,
    /// Entries of results, in their order.
    log: VecDeque<Entry>,
    /// Entries of firmware, in theirs.
    said_log: VecDeque<Entry>,
    progress: VecDeque<Told>,
    /// Entries of trims, and what is told of the one that is there: they come between those of results.
    trim_log: VecDeque<Entry>,
    trimmed: Option<Told>,
    resolved: VecDeque<(u64, bool)>,
    /// Point, channel, die and failed planes.
    ended: VecDeque<[u64; 4]>,
    /// Code, tag, argument and first, of all but closed buffers.
    heard: VecDeque<[u64; 4]>,
}

/// A closed buffer of the log.
#[derive(Clone, Copy, Debug)]
struct Closed {
    end: u64,
    covered: u64,
}

/// The bench, memories and model.
struct World<'a, 'b> {
    path: &'a Path,
    bench: &'a mut Bench<'b>,
    rng: &'a mut Rng,
    log_memory: Memory,
    map_memory: Memory,
    expected: Expected,
    /// Of all entries in closed buffers.
    end: u64,
    closed: VecDeque<Closed>,
    /// The buffer that is closed next.
    buffer: u64,
    closes: u32,
    /// The memory of the log does something once in so many clocks.
    slowness: u64,
}

impl<'a, 'b> World<'a, 'b> {
    fn new(path: &'a Path, bench: &'a mut Bench<'b>, rng: &'a mut Rng) -> Self {
        let expected = Expected {
            map: vec![UNMAPPED; (MAP_PAGES * MAP_ENTRIES) as usize],
            is_there: [false; MAP_PAGES as usize],
            valid: vec![0; path.config.geometry.blocks_per_plane as usize],
            log: VecDeque::new(),
            said_log: VecDeque::new(),
            progress: VecDeque::new(),
            trim_log: VecDeque::new(),
            trimmed: None,
            resolved: VecDeque::new(),
            ended: VecDeque::new(),
            heard: VecDeque::new(),
        };
        let memory = || Memory::new(|_| false, LATENCY);
        let (log_memory, map_memory) = (memory().with_write_latency(50), memory().on("map_memory"));
        let closed = VecDeque::new();
        let mut world = Self {
            path,
            bench,
            rng,
            log_memory,
            map_memory,
            expected,
            end: 0,
            closed,
            buffer: 0,
            closes: 0,
            slowness: 1,
        };
        // Counts and attachments are cleared.
        world.run(600);
        for output in ["appended", "durable", "durable_covered", "waits_for", "host_units", "valid_units"] {
            assert_eq!(world.bench.peek(output), 0, "{output} at first");
        }
        world
    }

    /// A clock. All that is told is compared.
    fn clock(&mut self) {
        let covered = self.bench.clocks();
        self.bench.poke("covered", covered);
        self.bench.poke("next_sequence", covered + AHEAD);
        if covered.is_multiple_of(self.slowness) {
            self.log_memory.clock(self.bench);
        }
        self.map_memory.clock(self.bench);
        self.bench.clock();
        self.bench.poke("reserve", 0);
        assert_eq!((self.bench.peek("lost"), self.bench.peek("map_lost")), (0, 0));
        let expected = &mut self.expected;
        for item in self.bench.drain_fields("progress") {
            let told = Some((item.get("step"), item.get("line")));
            if told == expected.trimmed {
                expected.trimmed = None;
            } else {
                assert_eq!(told, expected.progress.pop_front());
            }
        }
        for item in self.bench.drain_fields("resolved") {
            assert_eq!(Some((item.get("source"), item.get("failed") == 1)), expected.resolved.pop_front());
        }
        for item in self.bench.drain_fields("ended") {
            assert_eq!(
                Some(["point", "channel", "die", "failed"].map(|field| item.get(field))),
                expected.ended.pop_front()
            );
        }
        for item in self.bench.drain_fields("heard") {
            if item.get("code") == event::LOG_CLOSED.into() {
                self.close(&item);
            } else {
                assert_eq!(item.get_words("body"), [0, 0]);
                let item = ["code", "tag", "argument", "first"].map(|field| item.get(field));
                assert_eq!(Some(item), self.expected.heard.pop_front());
            }
        }
    }

    fn run(&mut self, clocks: u64) {
        (0..clocks).for_each(|_| self.clock());
    }

    fn run_until(&mut self, clocks_max: u64, done: impl Fn(&mut Self) -> bool) {
        let start = self.bench.clocks();
        while !done(self) {
            self.clock();
            assert!(self.bench.clocks() < start + clocks_max, "not done after {clocks_max} clocks");
        }
    }

    /// All that was asked for is done and told.
    fn settle(&mut self) {
        self.run_until(400_000, |world| {
            let expected = &world.expected;
            let is_told = expected.progress.is_empty()
                && expected.resolved.is_empty()
                && expected.ended.is_empty()
                && expected.heard.is_empty();
            is_told && ["result", "said", "settled"].iter().all(|stream| world.bench.pending(stream) == 0)
        });
        // Writes of the log that are on their way.
        self.run(200);
    }

    /// Entries of a buffer of the log are the next of those that were expected.
    fn take_entries(&mut self, buffer: u64, entries: u64) {
        let at = self.path.shared(Buffer::Log(buffer as u8)) + size_of::<LogHeader>() as u64;
        let bytes = self.log_memory.load(at, entries * size_of::<LogEntry>() as u64);
        for entry in bytes.chunks_exact(size_of::<LogEntry>()) {
            let [lpn, place] =
                [&entry[..4], &entry[4..]].map(|word| u32::from_le_bytes(word.try_into().expect("four")));
            let queue = match place {
                _ if is_said(lpn) => &mut self.expected.said_log,
                UNMAPPED => &mut self.expected.trim_log,
                _ => &mut self.expected.log,
            };
            assert_eq!(Some((lpn, place)), queue.pop_front());
        }
    }

    fn close(&mut self, item: &Fields) {
        let (buffer, entries) = (item.get("tag"), item.get("first"));
        assert_eq!(buffer, self.buffer, "buffers take turns");
        assert!(self.closed.is_empty() && entries <= LOG_ENTRIES.into());
        self.take_entries(buffer, entries);
        let body = item.get_words("body");
        assert!(body[0] + AHEAD == body[1] && body[0] <= self.bench.clocks(), "{body:?}");
        self.end += entries;
        self.closed.push_back(Closed { end: self.end, covered: body[0] });
        self.buffer ^= 1;
        self.closes += 1;
        assert_eq!(self.bench.peek("waits_for"), body[1]);
    }

    fn say(&mut self, code: u8, tag: u8, argument: u16, first: u32, second: u32) {
        let item = self.bench.fields("said").set("code", code).set("tag", tag).set("argument", argument);
        let item = item.set("first", first).set("second", second);
        self.bench.send("said", [item.words()]);
    }

    fn say_append(&mut self) {
        // Those of firmware have the highest bit set.
        let entry = (self.rng.next_u64() as u32 | 1 << 31, self.rng.next_u64() as u32);
        self.expected.said_log.push_back(entry);
        self.say(command::APPEND_LOG, 0, 0, entry.0, entry.1);
    }

    fn say_durable(&mut self) {
        let closed = self.closed.pop_front().expect("one is closed");
        self.say(command::LOG_DURABLE, 0, 0, 0, 0);
        self.run_until(100_000, |world| world.bench.pending("said") == 0);
        assert_eq!((self.bench.peek("durable"), self.bench.peek("durable_covered")), (closed.end, closed.covered));
    }

    /// Fills a map page and says that it is there.
    fn say_present(&mut self, map_page: u32, is_dirty: bool, mapped_percent: u64) {
        let first = map_page * MAP_ENTRIES;
        let flash_units = self.path.flash_units();
        for unit in first..first + MAP_ENTRIES {
            let entry = match self.rng.below(1000) {
                // Units that do not exist.
                0 => flash_units + self.rng.below(1000) as u32,
                1 => flash_units,
                2 => flash_units - 1,
                _ if self.rng.percent(mapped_percent) => self.rng.below(flash_units.into()) as u32,
                _ => UNMAPPED,
            };
            self.expected.map[unit as usize] = entry;
            if let Some(super_block) = self.path.super_block_of(entry) {
                self.expected.valid[super_block] += 1;
            }
        }
        let entries = &self.expected.map[first as usize..(first + MAP_ENTRIES) as usize];
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let at = self.path.shared(Buffer::Map(map_page as u16));
        self.log_memory.store(at, &bytes);
        self.map_memory.store(at, &bytes);
        self.say(command::MAP_PRESENT, is_dirty.into(), map_page as u16, 0, 0);
    }

    fn result(&mut self, step: ProgramStep, program: &Program) -> Fields {
        let item = self.bench.fields("result").set("step", step.code()).set("tag", program.tag);
        let at = program.at;
        let item = item.set("place_purpose", program.purpose.code()).set("place_point", program.point);
        let item = item.set("place_channel", at.channel).set("place_die", at.die).set("place_super_block", at.block);
        item.set("place_page", at.page)
    }

    /// The results of a program whose units have this in the map: what it should be, or anything.
    fn end(&mut self, program: &Program, units: &[Unit]) {
        let purpose = program.purpose;
        let is_unit = matches!(purpose, Purpose::Host | Purpose::Moved);
        for unit in units {
            let item = self.result(ProgramStep::Left, program).set("unit_source", unit.source);
            self.bench.send("result", [item.words()]);
            if matches!(purpose, Purpose::Host) {
                self.expected.progress.push_back((Step::Left.code(), self.line(unit)));
            }
        }
        for unit in units.iter().filter(|_| is_unit) {
            let item = self.result(ProgramStep::Unit, program).set("unit_source", unit.source).set("entry", unit.entry);
            let item = item.set("unit_lpn", unit.lpn).set("unit_old", unit.old).set("failed", unit.failed);
            self.bench.send("result", [item.words()]);
            self.expect(purpose, unit);
        }
        let item = self.result(ProgramStep::End, program).set("failed", program.failed).set("outcome", program.outcome);
        self.bench.send("result", [item.words()]);
        let at = program.at;
        if matches!(purpose, Purpose::Firmware) {
            let heard = [event::PROGRAM_DONE.into(), program.tag, program.outcome, 0];
            self.expected.heard.push_back(heard);
            return;
        }
        self.expected.ended.push_back([program.point, at.channel.into(), at.die.into(), program.failed]);
        let is_refused = matches!(Outcome::from_code(program.outcome as u8), Some(Outcome::Refused(_)));
        for plane in (0..2u8).filter(|plane| program.failed >> plane & 1 == 1 && !is_refused) {
            let page = self.path.config.geometry.page_index(PageAddress { plane, ..at });
            self.expected.heard.push_back([event::PROGRAM_FAILED.into(), 0, 0, page]);
        }
    }

    fn line(&self, unit: &Unit) -> u64 {
        u64::from(unit.source) - self.path.config.lines_base / u64::from(UNIT_BYTES)
    }

    fn expect(&mut self, purpose: Purpose, unit: &Unit) {
        let Unit { source, lpn, old, entry, failed } = *unit;
        let line = if matches!(purpose, Purpose::Host) { self.line(unit) } else { 0 };
        let expected = &mut self.expected;
        let is_there = expected.is_there.get((lpn / MAP_ENTRIES) as usize).is_some_and(|&is_there| is_there);
        let failed = failed || !is_there;
        if !failed && (matches!(purpose, Purpose::Host) || expected.map[lpn as usize] == old) {
            let before = std::mem::replace(&mut expected.map[lpn as usize], entry);
            if let Some(super_block) = self.path.super_block_of(before) {
                expected.valid[super_block] -= 1;
            }
            expected.valid[self.path.super_block_of(entry).expect("it is there")] += 1;
            expected.log.push_back((lpn, entry));
        }
        if matches!(purpose, Purpose::Host) {
            let step = if failed { Step::Failed } else { Step::Cleaned };
            expected.progress.push_back((step.code(), line));
        } else {
            expected.resolved.push_back((source.into(), failed));
        }
    }

    /// A program of random units, for which room is kept.
    fn any_program(&mut self) {
        let rng = &mut *self.rng;
        let geometry = self.path.config.geometry;
        let purpose = [Purpose::Host, Purpose::Host, Purpose::Moved, Purpose::Filler, Purpose::Firmware];
        let purpose = *rng.pick(&purpose);
        let at = geometry.page_at(rng.below(geometry.pages()));
        // A failed plane is one that exists.
        let failed = if rng.percent(30) { rng.below(1 << geometry.planes_per_die) } else { 0 };
        let refused = Outcome::Refused(*rng.pick(&Violation::ALL)).code();
        let outcome = if rng.percent(30) { refused.into() } else { rng.below((refused & 0xF0).into()) };
        let (tag, point) = (rng.below(64), rng.below(4));
        let program = Program { purpose, at, tag, point, failed, outcome };
        let lines = (self.path.config.lines_base / u64::from(UNIT_BYTES)) as u32;
        let units: Vec<Unit> = (0..rng.below(9))
            .map(|_| {
                let page = rng.below(2) as u32;
                let mut lpn = page * MAP_ENTRIES + rng.below(20) as u32 * 211;
                if rng.percent(5) {
                    // Its map page is not there, or there is no such unit.
                    lpn = 2 * MAP_ENTRIES + rng.below(2 * u64::from(MAP_ENTRIES)) as u32;
                }
                let old = self.expected.map.get(lpn as usize).copied().unwrap_or(0);
                let old = if rng.percent(30) { old ^ 1 } else { old };
                let entry = rng.below(self.path.flash_units().into()) as u32;
                Unit { source: lines + rng.below(1 << 20) as u32, lpn, old, entry, failed: rng.percent(10) }
            })
            .collect();
        if matches!(purpose, Purpose::Host | Purpose::Moved) {
            self.bench.poke("reserve", units.len() as u64);
            self.clock();
        }
        self.end(&program, &units);
    }

    /// Trims a unit, and waits for it; nothing else that is in flight is of that unit.
    fn trim(&mut self, lpn: u32) {
        let line = self.rng.below(1 << 20);
        let item = self.bench.fields("trim").set("line", line).set("unit", lpn);
        self.bench.send("trim", [item.words()]);
        self.run(20);
        assert_eq!(self.bench.pending("trim"), 1, "it may not be trimmed yet");
        let expected = &mut self.expected;
        let is_there = expected.is_there[(lpn / MAP_ENTRIES) as usize];
        let before = if is_there { std::mem::replace(&mut expected.map[lpn as usize], UNMAPPED) } else { UNMAPPED };
        if before != UNMAPPED {
            expected.trim_log.push_back((lpn, UNMAPPED));
        }
        expected.trimmed = Some((if is_there { Step::Cleaned } else { Step::Failed }.code(), line));
        if let Some(super_block) = self.path.super_block_of(before) {
            self.expected.valid[super_block] -= 1;
        }
        let numbers = ["last_trim", "last_trim_sequence"];
        let (appended, clocks) = (self.bench.peek("appended"), self.bench.clocks());
        let old = numbers.map(|number| self.bench.peek(number));
        self.bench.poke("may_trim", 1);
        self.run_until(10_000, |world| world.bench.pending("trim") == 0);
        self.bench.poke("may_trim", 0);
        self.run_until(10_000, |world| world.expected.trimmed.is_none());
        let [last_trim, sequence] = numbers.map(|number| self.bench.peek(number));
        if !is_there {
            assert_eq!([last_trim, sequence], old, "it has failed");
            return;
        }
        let least = appended + u64::from(before != UNMAPPED);
        assert!((least..=self.bench.peek("appended")).contains(&last_trim), "{last_trim}");
        assert!((clocks..=self.bench.clocks()).contains(&(sequence - AHEAD)), "{sequence}");
    }

    fn assert_counts(&mut self) {
        for super_block in 0..self.expected.valid.len() {
            self.bench.poke("valid_at", super_block as u64);
            self.run(3);
            let expected = self.expected.valid[super_block];
            assert_eq!(self.bench.peek("valid_units"), expected, "units of super-block {super_block}");
        }
    }

    fn assert_map(&self) {
        for map_page in (0..MAP_PAGES).filter(|&page| self.expected.is_there[page as usize]) {
            let first = (map_page * MAP_ENTRIES) as usize;
            let at = self.path.shared(Buffer::Map(map_page as u16));
            let bytes = self.map_memory.load(at, u64::from(MAP_ENTRIES * MAP_ENTRY_BYTES));
            for (number, entry) in bytes.chunks_exact(4).enumerate() {
                assert_eq!(self.expected.map[first + number].to_le_bytes(), entry, "unit {}", first + number);
            }
        }
    }

    fn is_changed(&mut self, map_page: u64) -> bool {
        self.bench.poke("peek", map_page);
        self.clock();
        self.bench.peek("peek_changed") == 1
    }

    /// Entries of the buffer that is filled.
    fn entries(&self) -> u64 {
        self.bench.peek("appended") - self.end
    }

    fn append(&mut self, entries: u64) {
        (0..entries).for_each(|_| self.say_append());
        self.settle();
    }

    fn assert_room(&mut self, has_room: bool) {
        assert_eq!(self.bench.peek("has_room") == 1, has_room, "room with {} entries", self.entries());
    }

    /// Room for eight units and the entries of firmware, of so many entries: the last step that has it, and the first that has not.
    fn assert_bound(&mut self, entries: u64) {
        let bound = entries - 8 - u64::from(FIRMWARE_LOG_ENTRIES);
        self.append(bound - 1 - self.entries());
        for has_room in [true, false] {
            self.append(1);
            self.assert_room(has_room);
        }
    }
}

/// Whether an entry of the log comes from firmware.
fn is_said(lpn: u32) -> bool {
    lpn >> 31 == 1
}

#[derive(Clone, Copy, Debug)]
struct Program {
    purpose: Purpose,
    at: PageAddress,
    tag: u64,
    point: u64,
    failed: u64,
    outcome: u64,
}

#[derive(Clone, Copy, Debug)]
struct Unit {
    source: u32,
    lpn: u32,
    old: u32,
    entry: u32,
    failed: bool,
}

#[test]
fn what_was_programmed_is_in_the_map_the_counts_and_the_log() {
    for path in PATHS {
        under_all_stalls(&path, |bench: &mut Bench, rng: &mut Rng| {
            let mut world = World::new(&path, bench, rng);
            // Beats come later than they could be counted.
            world.slowness = 60;
            world.say_present(0, false, 20);
            world.settle();
            world.slowness = 1;
            world.expected.is_there[0] = true;
            assert!(!world.is_changed(0));
            world.assert_counts();
            for round in 0..60 {
                // Results come while firmware brings a map page.
                if round == 20 {
                    world.say_present(1, true, 5);
                }
                while world.rng.percent(80) {
                    world.any_program();
                }
                if world.rng.percent(40) {
                    world.say_append();
                }
                if world.rng.percent(20) {
                    world.say(command::CLOSE_LOG, 0, 0, 0, 0);
                }
                if !world.closed.is_empty() && world.rng.percent(50) && round > 21 {
                    world.say_durable();
                }
                if round == 21 {
                    world.settle();
                    world.expected.is_there[1] = true;
                    assert!(world.is_changed(1), "a dirty map page is changed");
                }
                // Of units that no program has, and of one that some have.
                if world.rng.percent(40) {
                    let page = *world.rng.pick(&[0, 0, if round > 21 { 1 } else { 2 }, 2]);
                    let near = world.rng.below(20) as u32 * 211;
                    world.trim(page * MAP_ENTRIES + near + 1);
                }
                if world.rng.percent(20) && round > 21 {
                    world.settle();
                    let unit = world.rng.below(20) as u32 * 211;
                    world.trim(unit);
                }
                if world.rng.percent(20) {
                    world.run_until(100_000, |world| {
                        world.bench.pending("result") == 0 && world.bench.peek("host_units") == 0
                    });
                    let (step, line) = (3 + world.rng.below(3), world.rng.below(1 << 20));
                    world.expected.progress.push_back((step, line));
                    let item = world.bench.fields("settled").set("step", step).set("line", line);
                    // What was told before may not have been taken.
                    world.bench.hold("progress", true);
                    world.bench.send("settled", [item.words()]);
                    world.run(20);
                    world.bench.hold("progress", false);
                    world.run_until(1_000, |world| world.bench.pending("settled") == 0);
                }
            }
            world.settle();
            assert_eq!(world.bench.peek("host_units"), 0);
            assert!(world.closes > 3, "{} buffers were closed", world.closes);
            let left = world.bench.peek("appended") - world.end;
            world.take_entries(world.buffer, left);
            assert!(world.expected.log.is_empty() && world.expected.said_log.is_empty());
            assert!(world.expected.trim_log.is_empty());
            world.assert_counts();
            world.assert_map();
            assert!(world.is_changed(0) && !world.is_changed(2));
        });
    }
}

#[test]
fn buffers_of_the_log_close_when_they_are_full_or_firmware_wants_it() {
    let path = &PATHS[0];
    under_all_stalls(path, |bench: &mut Bench, rng: &mut Rng| {
        let mut world = World::new(path, bench, rng);
        // One that is empty, and a second that has to wait for it.
        world.say(command::CLOSE_LOG, 0, 0, 0, 0);
        world.settle();
        assert_eq!((world.closes, world.closed.len()), (1, 1));
        world.append(3);
        world.say(command::CLOSE_LOG, 0, 0, 0, 0);
        world.append(2);
        assert_eq!((world.closes, world.entries()), (1, 5));
        world.say_durable();
        world.settle();
        assert_eq!((world.closes, world.entries()), (2, 0));
        world.say_durable();
        world.settle();
        assert_eq!((world.closes, world.bench.peek("waits_for")), (2, 0));

        // Nothing is closed: the first bound is that of both buffers, but the first of them closes on the way.
        let both = u64::from(2 * LOG_ENTRIES);
        let full = u64::from(LOG_ENTRIES);
        world.append(full);
        assert_eq!((world.closes, world.entries()), (3, 0));
        world.assert_room(true);
        world.assert_bound(full);
        // What is reserved counts as what is there.
        world.say_durable();
        world.settle();
        let reserved = both - 8 - u64::from(FIRMWARE_LOG_ENTRIES) - world.entries();
        let reserved = reserved.min(1000);
        for reserve in std::iter::repeat_n(15, reserved as usize / 15).chain([reserved % 15]) {
            world.bench.poke("reserve", reserve);
            world.clock();
        }
        assert_eq!(world.bench.peek("host_units"), reserved);
        world.assert_room(true);
        let left = both - 8 - u64::from(FIRMWARE_LOG_ENTRIES) - world.entries() - reserved;
        // The buffer that is filled now closes on the way again.
        let to_full = full - world.entries();
        world.append(to_full);
        assert_eq!(world.closes, 4);
        assert!(left > to_full);
        world.append(left - to_full);
        world.assert_room(true);
        world.append(1);
        world.assert_room(false);

        // With both full, a unit waits for firmware; other results do not.
        world.say_present(0, false, 0);
        world.append(full - world.entries());
        world.expected.is_there[0] = true;
        assert_eq!((world.closes, world.entries()), (4, full));
        let at = PageAddress { channel: 1, die: 0, plane: 0, block: 3, page: 2 };
        let (purpose, failed) = (Purpose::Filler, 2);
        let filler = Program { purpose, at, tag: 0, point: 1, failed, outcome: 0x20 };
        world.end(&filler, &[]);
        world.settle();
        let host = Program { purpose: Purpose::Host, failed: 0, ..filler };
        let unit = Unit { source: 7, lpn: 5, old: 0, entry: 9, failed: false };
        world.end(&host, &[unit]);
        world.run(1_000);
        assert_eq!((world.expected.progress.len(), world.bench.peek("host_units")), (1, reserved));
        world.say_durable();
        world.settle();
        assert_eq!((world.closes, world.entries(), world.bench.peek("host_units")), (5, 1, reserved - 1));
    });
}

#[test]
fn a_flush_waits_for_a_record_with_the_trims_that_covers_the_pages_before_them() {
    let path = &PATHS[0];
    under_all_stalls(path, |bench: &mut Bench, rng: &mut Rng| {
        let mut world = World::new(path, bench, rng);
        world.say_present(0, false, 100);
        world.settle();
        world.expected.is_there[0] = true;
        let is_durable = |world: &mut World| world.bench.peek("trims_are_durable") == 1;
        world.bench.poke("settles", 1);
        world.run(100);
        assert!(is_durable(&mut world) && world.closes == 0, "nothing was trimmed");

        // Nothing is closed before its record can cover what has to be.
        world.trim(5);
        assert!(!is_durable(&mut world));
        assert_eq!((world.bench.peek("last_trim"), world.entries()), (1, 1));
        world.run(AHEAD / 2);
        assert_eq!((world.closes, world.bench.peek("flush_waits")), (0, 0));
        world.run_until(AHEAD, |world| world.closes == 1);
        assert!(world.closed[0].covered >= world.bench.peek("last_trim_sequence"));
        world.run(AHEAD);
        assert_eq!((world.closes, world.bench.peek("flush_waits")), (1, 1), "once is enough");
        world.say_durable();
        world.run(AHEAD);
        assert!(is_durable(&mut world) && world.bench.peek("flush_waits") == 0);
        assert_eq!(world.closes, 1);

        // A record with the trim that does not cover the pages is not enough, and not closed by a flush.
        world.bench.poke("settles", 0);
        world.trim(6);
        world.say(command::CLOSE_LOG, 0, 0, 0, 0);
        world.settle();
        world.bench.poke("settles", 1);
        world.run(2 * AHEAD);
        assert_eq!((world.closes, world.bench.peek("flush_waits")), (2, 1));
        world.say_durable();
        assert!(!is_durable(&mut world));
        world.run_until(AHEAD, |world| world.closes == 3);
        world.say_durable();
        assert!(is_durable(&mut world));

        // A record that covers them without the trim: it was closed before. And a trim of what has no place is no entry, but pages may hold the unit.
        world.bench.poke("settles", 0);
        let appended = world.bench.peek("appended");
        world.trim(6);
        assert_eq!(world.bench.peek("appended"), appended);
        assert!(!is_durable(&mut world));
        world.run(AHEAD);
        assert_eq!(world.closes, 3, "nobody settles");
        world.bench.poke("settles", 1);
        world.run_until(AHEAD, |world| world.closes == 4);
        world.say_durable();
        assert!(is_durable(&mut world));

        // What was trimmed is written, and a unit whose map page is not there fails.
        let at = PageAddress { channel: 1, die: 0, plane: 0, block: 3, page: 2 };
        let host = Program { purpose: Purpose::Host, at, tag: 0, point: 1, failed: 0, outcome: 0 };
        world.bench.poke("reserve", 1);
        world.clock();
        world.end(&host, &[Unit { source: 7, lpn: 5, old: UNMAPPED, entry: 9, failed: false }]);
        world.settle();
        world.assert_counts();
        world.assert_map();
        world.bench.hold("progress", true);
        let failed = world.bench.fields("trim").set("line", 3).set("unit", MAP_ENTRIES).words();
        world.bench.send("trim", [failed]);
        world.bench.poke("may_trim", 1);
        world.expected.trimmed = Some((Step::Failed.code(), 3));
        world.run_until(10_000, |world| world.bench.peek("host_failure") == 1);
        world.bench.hold("progress", false);
        world.run_until(100, |world| world.expected.trimmed.is_none());
    });
}

/// Whoever waits for a result does not wait for a map page.
#[test]
fn times_are_those_of_the_front_page() {
    for path in &PATHS {
        without_stalls(path, |bench: &mut Bench| {
            let mut rng = Seed::from_env_or(0x5EED).rng("times");
            let mut world = World::new(path, bench, &mut rng);
            let quotient_clocks: u64 = if path.config.geometry.blocks_per_plane > 64 { 3 } else { 2 };
            let start = world.bench.clocks();
            world.say_present(0, false, 100);
            world.run_until(40_000, |world| world.bench.pending("said") == 0);
            let clocks = world.bench.clocks() - start;
            let most = (4 + quotient_clocks) * u64::from(MAP_ENTRIES) + 16 * (LATENCY + u64::from(BURST_BEATS) + 5);
            assert!(clocks < most && most < 40_000, "{clocks} clocks of {most}");
            world.expected.is_there[0] = true;
            world.run(300);

            let at = PageAddress { channel: 1, die: 0, plane: 0, block: 3, page: 2 };
            let program = Program { purpose: Purpose::Host, at, tag: 0, point: 1, failed: 0, outcome: 0 };
            let clocks_of_unit = |world: &mut World| {
                let unit = Unit { source: 1 << 18, lpn: 5, old: world.expected.map[5], entry: 9, failed: false };
                world.bench.poke("reserve", 1);
                world.run(100);
                let start = world.bench.clocks();
                world.end(&program, &[unit]);
                world.run_until(1_000, |world| world.expected.ended.is_empty());
                world.bench.clocks() - start
            };
            // The first is not in the cache of the page map.
            clocks_of_unit(&mut world);
            let alone = clocks_of_unit(&mut world);
            // The answer of the page map, two clocks each for `Left` and `End`, and the way in and out of the bench.
            assert_eq!(alone, 10 + 2 * quotient_clocks + 4 + 4 + 3);
            // Each of the three results waits for no more than an entry of a map page.
            world.say_present(1, false, 100);
            for _ in 0..20 {
                let clocks = clocks_of_unit(&mut world);
                assert!(clocks <= alone + 3 * (4 + quotient_clocks), "{clocks} clocks, and {alone} alone");
            }
            assert_eq!(world.bench.pending("said"), 1);
        });
    }
}

#[test]
fn what_the_memory_refuses_is_told() {
    let path = &PATHS[0];
    without_stalls(path, |bench: &mut Bench| {
        bench.run(600);
        let mut log = Memory::new(|address| address >> 14 & 1 == 1, LATENCY);
        let mut lost = [0; 3];
        let append = bench.fields("said").set("code", command::APPEND_LOG).words();
        // A map page whose beats cannot be read.
        let odd = u64::from(Buffer::Map(0).number() + 1) % 2;
        let present = bench.fields("said").set("code", command::MAP_PRESENT).set("argument", odd).words();
        for (number, item) in [append.clone(), append, present].into_iter().enumerate() {
            log.fail_writes(number == 1);
            bench.send("said", [item]);
            for _ in 0..500 {
                log.clock(bench);
                bench.clock();
                lost[number] += bench.peek("lost");
            }
        }
        // One burst is read in that time.
        assert_eq!(lost, [0, 1, BURST_BEATS.into()]);
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&Commit::new(PATHS[0].config), &["mapped", "memory_r", "memory_b"], &[]);
}

#[test]
fn a_reset_clears_the_counts() {
    let path = &PATHS[0];
    without_stalls(path, |bench: &mut Bench| {
        let mut rng = Seed::from_env_or(0x5EED).rng("counts");
        let mut world = World::new(path, bench, &mut rng);
        world.say_present(0, false, 50);
        world.settle();
        world.assert_counts();
        assert!(world.expected.valid.iter().all(|&count| count > 0));
        world.bench.reset(1);
        world.bench.poke("valid_at", 0);
        for _ in 0..100 {
            assert_eq!(world.bench.peek("valid_units"), 0);
            world.clock();
        }
        world.expected.valid.fill(0);
        world.assert_counts();
    });
}
