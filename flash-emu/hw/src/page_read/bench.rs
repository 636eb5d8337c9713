//! The running block with the page map, the mover and the array: what firmware hears of pages is what was programmed, and of moved pages all units that
//! are still there are given away, and no others.

use super::{Config, PageRead};
use crate::array::{Array, CHANNEL_BITS};
use crate::mover::Mover;
use crate::page_map::{self, Answer, PageMap, Request};
use crate::testing::{close_door, forgets_at_reset, set_times, under_all_stalls, Memory};
use crate::types::{map_user, user, Command, Done, Faults, Through, Times, Transfer, MAP_USER_BITS, USER_BITS};
use flash_spec::fast_path::{wire, Buffer, MOVES_FIRST, MOVES_MAX, READ_ATTEMPTS, REFRESH_RETRIES};
use flash_spec::limits::{PAGE_BYTES, SPARE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::record::{MAP_ENTRIES, MAP_ENTRY_BYTES, UNMAPPED};
use flash_spec::spare::{crc32c, kind, Spare, LPN_NONE};
use flash_spec::{Geometry, Operation, Outcome, PageAddress, Preset, Violation};
use nvme_spec::limits::CORE_HZ;
use rtl_bus::Axi4;
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::{lit, Block, HwEnum, Module, Shape};
use rtl_prim::{Lock, Payload, StreamArbiter, StreamDemux};
use std::collections::BTreeMap;

const MAP: page_map::Config = page_map::Config { units: 2 * MAP_ENTRIES, lines: 16, base: 0x2000_0000 };
const UNIT: u64 = UNIT_BYTES as u64;
const SPARE: u64 = SPARE_BYTES as u64;
const ERASED: [u8; SPARE_BYTES as usize] = [0xFF; SPARE_BYTES as usize];
const UNCORRECTABLE: u64 = Outcome::Uncorrectable.code() as u64;
const OUT_OF_RANGE: u64 = Outcome::Refused(Violation::OutOfRange).code() as u64;

/// What pages are read by: this block and all that it uses.
struct Path {
    config: Config,
}

const PATHS: [Path; 2] = [
    Path {
        config: Config {
            geometry: Geometry::SMALL,
            units: MAP.units - 100,
            units_base: 0,
            spares_base: 0x1000_0000,
            shared_base: 0,
            read_spares_base: 0x0F00_0000,
        },
    },
    Path {
        config: Config {
            geometry: Geometry { channels: 3, planes_per_die: 1, ..Geometry::SMALL },
            units: MAP.units - 100,
            units_base: 0x4000_0000,
            spares_base: 0x1_2000_0000,
            shared_base: 0x3000_0000,
            read_spares_base: 0x5000_0000,
        },
    },
];

/// The whole flash.
const WHOLE: Config = Config { geometry: Geometry::DEFAULT_1_GIB, ..PATHS[1].config };

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    let mut blocks: Vec<Box<dyn Block>> = PATHS.map(|path| Box::new(path) as Box<dyn Block>).into();
    blocks.push(Box::new(PageRead::new(WHOLE)));
    blocks
}

impl Block for Path {
    fn name(&self) -> String {
        format!("path_of_{}", PageRead::new(self.config).name())
    }

    fn build(&self, m: &Module) {
        m.clock();
        let reader = m.instance("page_read", &PageRead::new(self.config));
        let map = m.instance("page_map", &PageMap::new(MAP));
        map.port("peek").set(lit(0u8, 16));
        let mover = m.instance("mover", &Mover { units: 4 });
        let array = m.instance("array", &Array { geometry: self.config.geometry });
        close_door(&array);
        let merge = |payload: Payload| StreamArbiter { inputs: 2, payload, lock: Lock::Item };
        let requests = m.instance("requests", &merge(Payload::of::<Request>("request")));
        let commands = m.instance("commands", &merge(Payload::of::<Command>("command")));
        let phases = m.instance("phases", &merge(Payload::of::<Through>("through")));
        // The bench asks as the first user of the page map would; its programs are those of `Programming`.
        let answers = StreamDemux::new(3, Payload::of::<Answer>("answer"), "tag", MAP_USER_BITS);
        let answers = m.instance("answers", &answers);
        let users = user::PROGRAM + 1;
        let transfers = StreamDemux::new(users, Payload::of::<Transfer>("transfer"), "tag", USER_BITS);
        let transfers = m.instance("transfers", &transfers);
        let ends = m.instance("ends", &StreamDemux::new(users, Payload::of::<Done>("done"), "tag", USER_BITS));
        m.connect(&reader, "look_up", &requests, "in_0");
        m.export(&requests, "in_1", "request");
        m.connect(&requests, "out", &map, "request");
        m.connect(&map, "answer", &answers, "in");
        m.connect(&answers, &format!("out_{}", map_user::READ), &reader, "found");
        m.export(&answers, "out_0", "answer");
        m.export(&answers, "out_1", "answer_of_nobody");
        m.connect(&reader, "command", &commands, "in_0");
        m.export(&commands, "in_1", "command");
        m.connect(&commands, "out", &array, "command");
        m.connect(&array, "transfer", &transfers, "in");
        m.connect(&array, "done", &ends, "in");
        for (user, name) in [(user::FILL, "none"), (user::PROGRAM, "program")] {
            m.export(&transfers, &format!("out_{user}"), &format!("{name}_transfer"));
            m.export(&ends, &format!("out_{user}"), &format!("{name}_done"));
        }
        m.connect(&transfers, &format!("out_{}", user::READ), &reader, "transfer");
        m.connect(&ends, &format!("out_{}", user::READ), &reader, "done");
        m.connect(&reader, "through", &phases, "in_0");
        m.export(&phases, "in_1", "through");
        m.connect(&phases, "out", &array, "through");
        m.connect(&reader, "job", &mover, "job");
        m.connect(&mover, "moved", &reader, "moved");
        m.export(&mover, "forward", "forward");
        for stream in ["said", "heard", "unit", "resolved"] {
            m.export(&reader, stream, stream);
        }
        for (field, width) in Times::fields() {
            array.port(&format!("times_{field}")).set(m.input(&format!("times_{field}"), width));
        }
        for (field, width) in Faults::fields() {
            array.port(&format!("faults_{field}")).set(m.input(&format!("faults_{field}"), width));
        }
        for (input, width) in [("suspends", 1), ("seed", 32), ("seed_set", 1), ("power_cut", 1)] {
            array.port(input).set(m.input(input, width));
        }
        Axi4::export(m, &map, "memory", "memory");
        Axi4::export(m, &mover, "source", "source");
        Axi4::export(m, &mover, "sink", "sink");
        Axi4::export(m, &reader, "spares", "spares");
        Axi4::export(m, &reader, "copies", "copies");
        m.output("lost", map.port("lost"));
        m.output("drains", reader.port("drains"));
        for number in 0..self.config.geometry.channels {
            m.output(&format!("late_{number}"), array.port(&format!("late_{number}")));
        }
    }
}

/// What is in a page, and what is wrong with it.
#[derive(Clone, Debug)]
struct Content {
    spare: [u8; SPARE_BYTES as usize],
    units: Vec<Vec<u8>>,
    kind: u8,
    lpns: [u32; UNITS_PER_PAGE as usize],
    bad: [u8; UNITS_PER_PAGE as usize],
    /// The spare is not that of the page.
    is_wrong: bool,
    /// A unit does not have its CRC, or cannot be read from memory.
    is_damaged: bool,
}

/// A unit of page 0 and the spare of page 1 cannot be read from memory.
fn is_bad_unit(address: u64) -> bool {
    address & 0xFF_FFFF == 2 * UNIT + 640
}
fn is_bad_spare(address: u64) -> bool {
    address & 0xF_FFFF == SPARE
}

impl Content {
    fn any(rng: &mut Rng, page: u32) -> Self {
        let kind = if page < 2 { kind::USER } else { *rng.pick(&[kind::USER, kind::USER, kind::MAP, kind::FILLER]) };
        // Each unit is in one page only.
        let lpns: [u32; 4] = std::array::from_fn(|unit| match rng.below(8) {
            0 if page != 0 => LPN_NONE,
            1 => MAP.units - 50 + unit as u32,
            2 => MAP_ENTRIES + page * UNITS_PER_PAGE + unit as u32,
            _ => page * UNITS_PER_PAGE + unit as u32,
        });
        let units: Vec<Vec<u8>> = (0..4).map(|_| (0..UNIT).map(|_| rng.next_u64() as u8).collect()).collect();
        let has_crc = |unit: usize| kind != kind::FILLER && (kind != kind::USER || lpns[unit] != LPN_NONE);
        let checks: [u32; 4] = std::array::from_fn(|unit| if has_crc(unit) { crc32c(&units[unit]) } else { 0 });
        let bad: [u8; 4] = std::array::from_fn(|_| rng.next_u64() as u8);
        let mut spare = Spare { bad_sectors: bad, ..Spare::new(page, rng.next_u64(), kind, lpns, checks) };
        let mut content = Content { spare: ERASED, units, kind, lpns, bad, is_wrong: page == 1, is_damaged: page == 0 };
        let defect = if page < 2 { 9 } else { rng.below(10) };
        if defect == 0 {
            spare.page = (page ^ 1 << rng.below(32)).into();
            content.is_wrong = true;
        } else if defect < 3 {
            let unit = rng.below(4) as usize;
            spare.unit_crc[unit] = (spare.unit_crc[unit].get() ^ 1 << rng.below(32)).into();
            content.is_damaged = has_crc(unit);
        }
        spare.crc = crc32c(&spare.to_bytes()[..SPARE as usize - 4]).into();
        content.spare = spare.to_bytes();
        if defect == 3 {
            content.spare[rng.below(SPARE) as usize] ^= 1 << rng.below(8);
            content.is_wrong = true;
        }
        content
    }
}

/// The memories around, and what is in them.
struct Rig {
    config: Config,
    map: Memory,
    units: Memory,
    spares: Memory,
    shared: Memory,
    copies: Memory,
    /// The pages that are programmed, by their numbers.
    pages: Vec<Content>,
    /// Where units of the host lie, of the map page that is attached.
    entries: BTreeMap<u32, u32>,
    answers: Vec<Fields>,
}

impl Rig {
    fn new(config: Config) -> Self {
        let new = |is_bad| Memory::new(is_bad, 12);
        Self {
            config,
            map: new(|_| false),
            units: new(is_bad_unit).on("source"),
            spares: new(is_bad_spare).on("spares"),
            shared: new(|_| false).on("sink"),
            copies: new(|_| false).on("copies"),
            pages: vec![],
            entries: BTreeMap::new(),
            answers: vec![],
        }
    }

    fn clock(&mut self, bench: &mut Bench) {
        for memory in [&mut self.map, &mut self.units, &mut self.spares, &mut self.shared, &mut self.copies] {
            memory.clock(bench);
        }
        bench.clock();
        self.answers.extend(bench.drain_fields("answer"));
    }

    fn run_until(&mut self, bench: &mut Bench, what: &str, mut is_over: impl FnMut(&mut Self, &mut Bench) -> bool) {
        let end = bench.clocks() + 200_000;
        while !is_over(self, bench) {
            self.clock(bench);
            assert!(bench.clocks() < end, "it takes too long: {what}");
        }
    }

    fn ask_map(&mut self, bench: &mut Bench, operation: page_map::Operation, unit: u32, old: u32, new: u32) {
        let item = bench.fields("request").set("unit", unit).set("old", old).set("new", new);
        bench.send("request", [item.set("operation", operation.code()).words()]);
        self.run_until(bench, "the map", |rig, _| !rig.answers.is_empty());
        assert_eq!(self.answers.remove(0).get("outcome"), page_map::Outcome::Done.code());
    }

    /// Programs the first pages of the first super-block, and makes a map in which most of their units are still there.
    fn program(&mut self, bench: &mut Bench, rng: &mut Rng, rows: u32) {
        let Config { geometry, units_base, spares_base, units, .. } = self.config;
        for page in 0..rows * geometry.planes() {
            let content = Content::any(rng, page);
            for (unit, place) in (0..4).zip(u64::from(page * UNITS_PER_PAGE)..) {
                self.units.store(units_base + place * UNIT, &content.units[unit]);
                let (lpn, place) = (content.lpns[unit], place as u32);
                let at = MAP.base + u64::from(lpn) * u64::from(MAP_ENTRY_BYTES);
                let entry = if rng.percent(75) { place } else { *rng.pick(&[UNMAPPED, place ^ 1, place ^ 0x8000]) };
                if content.kind == kind::USER && lpn < MAP.units {
                    self.map.store(at, &entry.to_le_bytes());
                }
                if content.kind == kind::USER && lpn < MAP_ENTRIES.min(units) {
                    self.entries.insert(lpn, entry);
                }
            }
            self.spares.store(spares_base + u64::from(page) * SPARE, &content.spare);
            self.pages.push(content);
            let PageAddress { channel, die, plane, block, page, .. } = geometry.page_at(page.into());
            let tag = u32::from(channel) << CHANNEL_BITS.start | user::PROGRAM << USER_BITS.start;
            let item = bench.fields("command").set("tag", tag).set("die", die).set("planes", 1 << plane);
            let item = item.set("operation", Operation::Program.code()).set("block_0", block).set("block_1", block);
            bench.send("command", [item.set("page", page).set("units", UNITS_PER_PAGE).words()]);
            self.run_until(bench, "a program", |_, bench| {
                for _ in bench.drain("program_transfer") {
                    bench.send("through", [bench.fields("through").set("channel", channel).words()]);
                }
                !bench.drain("program_done").is_empty()
            });
        }
        self.ask_map(bench, page_map::Operation::Attach, 0, 0, 0);
    }

    /// How a read ends, and the spare that firmware sees.
    fn read_of(&self, page: u64, copies: bool) -> (u64, [u8; SPARE_BYTES as usize]) {
        match self.pages.get(page as usize) {
            _ if page >= self.config.geometry.pages() => (OUT_OF_RANGE, ERASED),
            None => (0, ERASED),
            Some(content) if content.is_wrong || copies && content.is_damaged => (UNCORRECTABLE, ERASED),
            Some(content) => (0, content.spare),
        }
    }
}

fn say(bench: &mut Bench, code: u8, tag: u64, page: u64, buffer: u32) {
    let item = bench.fields("said").set("code", code).set("tag", tag).set("first", page).set("second", buffer);
    bench.send("said", [item.words()]);
}

/// Pages that are being moved.
struct Moves {
    /// Units that are still to be given away, by their places.
    wanted: BTreeMap<u32, u32>,
    /// Units that were given away and are not resolved: their place, logical unit and address.
    given: Vec<(u32, u32, u64)>,
    /// How pages will end that have not.
    pages: BTreeMap<u64, u64>,
    failed: u32,
    lost: u32,
    resolved: u32,
}

impl Moves {
    /// All programmed pages, a blank one and one that is not there.
    fn new(rig: &Rig) -> Self {
        let (mut wanted, mut pages) = (BTreeMap::new(), BTreeMap::new());
        for (content, page) in rig.pages.iter().zip(0..) {
            let is_bad = content.is_wrong || content.is_damaged;
            pages.insert(page.into(), if is_bad { UNCORRECTABLE } else { 0 });
            if is_bad || content.kind != kind::USER {
                continue;
            }
            for (lpn, place) in content.lpns.into_iter().zip(page * UNITS_PER_PAGE..) {
                if rig.entries.get(&lpn) == Some(&place) {
                    wanted.insert(place, lpn);
                }
                if (MAP_ENTRIES..rig.config.units).contains(&lpn) {
                    pages.insert(page.into(), UNCORRECTABLE);
                }
            }
        }
        pages.extend([(rig.pages.len() as u64, 0), (rig.config.geometry.pages(), OUT_OF_RANGE)]);
        Self { wanted, given: vec![], pages, failed: 0, lost: 0, resolved: 0 }
    }

    fn gives(&mut self, rig: &Rig, unit: &Fields) {
        let [source, lpn, old, bad] = ["source", "lpn", "old", "bad"].map(|field| unit.get(field));
        let place = old as u32;
        assert_eq!(self.wanted.remove(&place), Some(lpn as u32), "the unit at {place:#x} is not one to be given away");
        let content = &rig.pages[(place / UNITS_PER_PAGE) as usize];
        let number = (place % UNITS_PER_PAGE) as usize;
        assert_eq!(bad, content.bad[number].into());
        let first = rig.config.shared_base / UNIT + u64::from(MOVES_FIRST * UNITS_PER_PAGE);
        assert!((first..first + u64::from(MOVES_MAX * UNITS_PER_PAGE)).contains(&source), "{source:#x}");
        assert!(rig.shared.load(source * UNIT, UNIT) == content.units[number], "the unit at {place:#x}");
        self.given.push((place, lpn as u32, source));
    }

    /// One of those that were given away is resolved.
    fn resolve(&mut self, rig: &mut Rig, bench: &mut Bench, rng: &mut Rng) {
        let (place, lpn, source) = self.given.swap_remove(rng.below(self.given.len() as u64) as usize);
        let failed = rng.percent(30);
        if failed && rng.bool() {
            // The host has written it meanwhile.
            rig.ask_map(bench, page_map::Operation::Swap, lpn, place, UNMAPPED);
            self.lost += 1;
        } else if failed {
            self.wanted.insert(place, lpn);
            self.failed += 1;
        }
        self.resolved += u32::from(!failed);
        bench.send("resolved", [bench.fields("resolved").set("source", source).set("failed", failed).words()]);
    }

    fn ends(&mut self, moved: &Fields) {
        let page = moved.get("first");
        let of_page = |place: &u32| u64::from(place / UNITS_PER_PAGE) == page;
        assert!(!self.wanted.keys().any(of_page), "units of page {page} are left: {:x?}", self.wanted);
        assert!(!self.given.iter().any(|(place, ..)| of_page(place)), "units of page {page} are on their way");
        assert_eq!(self.pages.remove(&page), Some(moved.get("argument")), "page {page}");
    }
}

#[test]
fn firmware_hears_what_is_in_pages_and_valid_units_are_moved() {
    let (mut failed, mut lost, mut resolved, mut uncorrectable) = (0, 0, 0, 0);
    for path in PATHS {
        under_all_stalls(&path, |bench: &mut Bench, rng: &mut Rng| {
            let mut rig = Rig::new(path.config);
            set_times(bench, &Preset::Scm.clocks(CORE_HZ));
            bench.run(600);
            rig.program(bench, rng, 3);
            set_times(bench, &Preset::Sim.clocks(CORE_HZ).divided(64));
            let mut moves = Moves::new(&rig);
            let mut reads = BTreeMap::new();
            let mut pages: Vec<u64> = moves.pages.keys().copied().collect();
            rng.shuffle(&mut pages);
            let programmed = rig.pages.len() as u64;
            for (number, page) in pages.iter().enumerate() {
                say(bench, wire::command::MOVE, 0, *page, 0);
                let read = match rng.below(8) {
                    0 => rng.range(programmed..rig.config.geometry.pages()),
                    1 => rng.range(rig.config.geometry.pages()..1 << 32),
                    _ => rng.below(programmed),
                };
                let buffer = Some(Buffer::Map(number as u16)).filter(|_| rng.bool());
                reads.insert(number as u64, (read, buffer));
                say(bench, wire::command::READ, number as u64, read, wire::buffer(buffer));
            }
            say(bench, wire::command::DRAIN_MOVES, 0, 0, 0);
            // Whoever programs takes nothing for now: reads end all the same.
            let is_held = rng.bool();
            bench.hold("unit", is_held);
            let (mut has_drained, mut drains) = (false, false);
            rig.run_until(bench, "moves and reads", |rig, bench| {
                for unit in bench.drain_fields("unit") {
                    moves.gives(rig, &unit);
                }
                drains |= bench.peek("drains") == 1;
                for event in bench.drain_fields("heard") {
                    match event.get("code") as u8 {
                        wire::event::MOVED => moves.ends(&event),
                        wire::event::MOVES_DRAINED => {
                            assert!(drains && moves.pages.is_empty() && !has_drained);
                            has_drained = true;
                        }
                        wire::event::READ_DONE => {
                            let tag = event.get("tag");
                            let (page, buffer) = reads.remove(&tag).expect("it was asked for");
                            let (outcome, spare) = rig.read_of(page, buffer.is_some());
                            assert_eq!(event.get("argument"), outcome, "page {page}");
                            uncorrectable += u32::from(outcome == UNCORRECTABLE);
                            let copy = rig.copies.load(rig.config.read_spares_base + tag * SPARE, SPARE);
                            assert_eq!(copy, spare, "the spare of page {page}");
                            if let (Some(buffer), 0, Some(content)) = (buffer, outcome, rig.pages.get(page as usize)) {
                                let at = rig.config.shared_base + u64::from(buffer.number() * PAGE_BYTES);
                                let data = rig.shared.load(at, PAGE_BYTES.into());
                                assert!(data == content.units.concat(), "the data of page {page}");
                            }
                        }
                        code => panic!("event {code}"),
                    }
                }
                if reads.is_empty() {
                    bench.hold("unit", false);
                }
                if !moves.given.is_empty() && rng.percent(3) {
                    moves.resolve(rig, bench, rng);
                }
                reads.is_empty() && has_drained
            });
            assert_eq!(bench.peek("drains"), 0);
            failed += moves.failed;
            lost += moves.lost;
            resolved += moves.resolved;
            // With nothing to move it is done at once.
            say(bench, wire::command::DRAIN_MOVES, 0, 0, 0);
            rig.run_until(bench, "nothing", |_, bench| !bench.received("heard").is_empty());
            assert_eq!(bench.drain_fields("heard")[0].get("code"), wire::event::MOVES_DRAINED.into());
        });
    }
    let counts = [failed, lost, resolved, uncorrectable];
    assert!(
        counts.iter().all(|&count| count > 10),
        "units that failed, were lost, were moved; reads that failed: {counts:?}"
    );
}

#[test]
fn a_read_that_fails_now_and_then_is_done_again() {
    let mut outcomes = [0; 2];
    for path in PATHS {
        under_all_stalls(&path, |bench: &mut Bench, rng: &mut Rng| {
            let mut rig = Rig::new(path.config);
            set_times(bench, &Preset::Scm.clocks(CORE_HZ));
            bench.run(600);
            rig.program(bench, rng, 1);
            // Seven of eight reads fail.
            bench.poke("faults_uncorrectable_rate", 7 << 29);
            let pages = rig.pages.len() as u64;
            (0..pages).for_each(|page| say(bench, wire::command::READ, page, page, wire::buffer(Some(Buffer::Map(0)))));
            let mut left = pages;
            rig.run_until(bench, "reads", |rig, bench| {
                for event in bench.drain_fields("heard") {
                    let [code, page, outcome] = ["code", "tag", "argument"].map(|field| event.get(field));
                    assert_eq!(code, wire::event::READ_DONE.into());
                    let spare = rig.copies.load(rig.config.read_spares_base + page * SPARE, SPARE);
                    let expected = rig.read_of(page, true);
                    assert!(
                        outcome == UNCORRECTABLE && spare == ERASED
                            || outcome == 0 && (0, &spare[..]) == (expected.0, &expected.1[..])
                    );
                    outcomes[usize::from(outcome == 0)] += u32::from(expected.0 == 0);
                    left -= 1;
                }
                left == 0
            });
        });
    }
    assert!(outcomes.iter().all(|&count| count > 5), "{outcomes:?}");
}

/// Ends the read of a command: in the plane that it is for, so; in the other one otherwise.
fn end(bench: &mut Bench, command: &Fields, outcome: u8, blank: bool) {
    let plane = command.get("planes") >> 1;
    let of_planes = |plane_0: u64, plane_1: u64| if plane == 0 { [plane_0, plane_1] } else { [plane_1, plane_0] };
    let [outcome_0, outcome_1] = of_planes(outcome.into(), u64::from(outcome) ^ UNCORRECTABLE);
    let [blank_0, blank_1] = of_planes(blank.into(), (!blank).into());
    let item = bench.fields("done").set("tag", command.get("tag")).set("blank", blank_1 << 1 | blank_0);
    bench.send("done", [item.set("outcome_0", outcome_0).set("outcome_1", outcome_1).words()]);
}

#[test]
fn a_read_is_tried_so_often_and_a_weak_page_is_told_of() {
    under_all_stalls(&PageRead::new(WHOLE), |bench, rng| {
        let pages = WHOLE.geometry.pages();
        // How many attempts fail, and the repetitions of the one that does not.
        let cases =
            [(0, 0), (0, REFRESH_RETRIES - 1), (2, REFRESH_RETRIES), (READ_ATTEMPTS - 1, 7), (READ_ATTEMPTS, 0)];
        for (failures, retries) in cases {
            let page = rng.below(pages);
            say(bench, wire::command::READ, 40, page, 0);
            for attempt in 0..READ_ATTEMPTS.min(failures + 1) {
                bench.run_until(2_000, |bench| !bench.received("command").is_empty());
                let command = bench.drain_fields("command").remove(0);
                let address = WHOLE.geometry.page_at(page);
                let plane = command.get("planes") >> 1;
                let got = PageAddress {
                    channel: (command.get("tag") >> CHANNEL_BITS.start) as u8,
                    die: command.get("die") as u8,
                    plane: plane as u8,
                    block: command.get(if plane == 0 { "block_0" } else { "block_1" }) as u16,
                    page: command.get("page") as u16,
                };
                let units = (command.get("operation"), command.get("first_unit"), command.get("units"));
                assert_eq!((got, units), (address, (Operation::Read.code().into(), 0, 1)));
                let outcome = if attempt < failures { Outcome::Uncorrectable.code() } else { retries };
                end(bench, &command, outcome, true);
            }
            bench.run_until(2_000, |bench| {
                ["copies_aw", "copies_w"].iter().all(|stream| !bench.received(stream).is_empty())
            });
            assert!(bench.drain_fields("copies_w")[0].get_words("data").iter().all(|&word| word == u64::MAX));
            assert_eq!(bench.drain_fields("copies_aw")[0].get("addr"), WHOLE.read_spares_base + 40 * SPARE);
            bench.run(100);
            let told = bench.drain_fields("heard");
            let told: Vec<_> =
                told.iter().map(|event| ["code", "tag", "first"].map(|field| event.get(field))).collect();
            let retried = failures < READ_ATTEMPTS && retries >= REFRESH_RETRIES;
            let weak = [wire::event::READ_RETRIED.into(), retries.into(), page];
            assert_eq!(told, if retried { vec![weak] } else { vec![] }, "the spare is not there yet");
            let refuses = rng.percent(30);
            bench.send("copies_b", [bench.fields("copies_b").set("resp", u64::from(refuses) * 2).words()]);
            bench.run_until(2_000, |bench| !bench.received("heard").is_empty());
            let event = bench.drain_fields("heard").remove(0);
            let is_good = failures < READ_ATTEMPTS && !refuses;
            let expected = (wire::event::READ_DONE.into(), 40, if is_good { 0 } else { UNCORRECTABLE });
            assert_eq!((event.get("code"), event.get("tag"), event.get("argument")), expected);
            assert!(bench.drain("command").is_empty());
        }
    });
}

#[test]
fn moves_that_wait_hold_up_no_reads_and_dies_work_at_the_same_time() {
    under_all_stalls(&PageRead::new(WHOLE), |bench, rng| {
        const MOVES: u64 = 2 * MOVES_MAX as u64;
        const READS: u64 = 20;
        (0..MOVES).for_each(|page| say(bench, wire::command::MOVE, 0, page, 0));
        (0..READS).for_each(|tag| say(bench, wire::command::READ, tag, 1000 + tag, 0));
        let slots = u64::from(MOVES_MAX) + 16;
        bench.run_until(5_000, |bench| bench.received("command").len() as u64 == slots);
        bench.run(200);
        let mut commands = bench.drain_fields("command");
        assert_eq!(commands.len() as u64, slots);
        let (mut moved, mut read) = (vec![], vec![]);
        while moved.len() as u64 + (read.len() as u64) < MOVES + READS {
            rng.shuffle(&mut commands);
            for command in commands.drain(..) {
                end(bench, &command, 0, true);
            }
            bench.run_until(5_000, |bench| {
                for _ in bench.drain("copies_w") {
                    bench.send("copies_b", [bench.fields("copies_b").words()]);
                }
                !bench.received("heard").is_empty() || !bench.received("command").is_empty()
            });
            for event in bench.drain_fields("heard") {
                assert_eq!(event.get("argument"), 0);
                match event.get("code") as u8 {
                    wire::event::MOVED => moved.push(event.get("first")),
                    _ => read.push(event.get("tag")),
                }
            }
            commands.extend(bench.drain_fields("command"));
        }
        for (mut got, count) in [(moved, MOVES), (read, READS)] {
            got.sort_unstable();
            assert!(got.into_iter().eq(0..count));
        }
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    let answers = ["transfer", "done", "moved", "found", "resolved", "spares_r", "copies_b"];
    forgets_at_reset(&PageRead::new(WHOLE), &answers, &[]);
}
