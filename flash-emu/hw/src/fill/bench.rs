//! The running block with the page map, the mover and the array: lines hold what the flash holds.

use super::{Config, Filling, MARKS_START, PATIENCE, REFUSED, SLOT_BITS};
use crate::array::Array;
use crate::mover::Mover;
use crate::page_map::{self, Answer, PageMap, Request};
use crate::testing::{close_door, forgets_at_reset, set_times, under_all_stalls, without_stalls, Memory};
use crate::types::{Times, MEMORY, UNIT_SECTORS};
use flash_spec::limits::{SPARE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::pairing::{self, PageKind};
use flash_spec::record::{MAP_ENTRIES, MAP_ENTRY_BYTES, UNMAPPED};
use flash_spec::spare::{kind, Spare};
use flash_spec::{Geometry, Operation, Outcome, PageAddress, Preset};
use nvme_spec::limits::CORE_HZ;
use rtl_bus::{resp, Axi4, Axi4Mux};
use rtl_hdl::bench::{Bench, Fields, Rng, Seed};
use rtl_hdl::{address_width, lit, Block, HwEnum, Module, Shape};
use rtl_prim::{Lock, Payload, StreamArbiter, StreamDemux};
use std::collections::{BTreeMap, VecDeque};

const MAP: page_map::Config = page_map::Config { units: 2 * MAP_ENTRIES, lines: 16, base: 0x2000_0000 };
const UNIT: u64 = UNIT_BYTES as u64;

/// What a line is filled by: this block and all that it uses.
struct Path {
    config: Config,
}

const PATHS: [Path; 2] = [
    Path {
        config: Config {
            geometry: Geometry::SMALL,
            slots: 4,
            lines_base: 0,
            units_base: 0,
            spares_base: 0x8000_0000,
            patience: PATIENCE,
        },
    },
    Path {
        config: Config {
            geometry: Geometry { channels: 3, planes_per_die: 1, ..Geometry::SMALL },
            slots: 64,
            lines_base: 0x1000_0000,
            units_base: 0x4000_0000,
            spares_base: 0x8000_0000,
            patience: PATIENCE,
        },
    },
];

/// All of the flash.
const WHOLE: Config = Config {
    geometry: Geometry::DEFAULT_1_GIB,
    slots: 64,
    lines_base: 0,
    units_base: 0,
    spares_base: 0,
    patience: PATIENCE,
};
const IMPATIENT: Config = Config { patience: 0, ..WHOLE };

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    let mut blocks: Vec<Box<dyn Block>> = PATHS.map(|path| Box::new(path) as Box<dyn Block>).into();
    blocks.extend([WHOLE, IMPATIENT].map(|config| Box::new(Filling::new(config)) as Box<dyn Block>));
    blocks
}

impl Block for Path {
    fn name(&self) -> String {
        format!("path_of_{}", Filling::new(self.config).name())
    }

    fn build(&self, m: &Module) {
        m.clock();
        let fill = m.instance("fill", &Filling::new(self.config));
        let map = m.instance("page_map", &PageMap::new(MAP));
        let mover = m.instance("mover", &Mover { units: 4 });
        let array = m.instance("array", &Array { geometry: self.config.geometry });
        close_door(&array);
        let requests = StreamArbiter { inputs: 2, payload: Payload::of::<Request>("request"), lock: Lock::Item };
        let requests = m.instance("requests", &requests);
        // The tags of the bench have their highest bit set.
        let answers = m.instance("answers", &StreamDemux::new(2, Payload::of::<Answer>("answer"), "tag", 7..8));
        m.connect(&fill, "look_up", &requests, "in_0");
        m.export(&requests, "in_1", "request");
        m.connect(&requests, "out", &map, "request");
        m.connect(&map, "answer", &answers, "in");
        m.connect(&answers, "out_0", &fill, "found");
        m.export(&answers, "out_1", "answer");
        m.connect(&fill, "command", &array, "command");
        m.connect(&array, "transfer", &fill, "transfer");
        m.connect(&array, "done", &fill, "done");
        m.connect(&fill, "through", &array, "through");
        m.connect(&fill, "job", &mover, "job");
        m.connect(&mover, "moved", &fill, "moved");
        m.export(&fill, "fill", "fill");
        m.export(&fill, "filled", "filled");
        m.export(&fill, "heard", "heard");
        m.output("quiet", fill.port("quiet"));
        fill.port("epoch").set(m.input("epoch", 1));
        m.export(&mover, "forward", "forward");
        fill.port("retry").set(m.input("retry", 1));
        for (field, width) in Times::fields() {
            array.port(&format!("times_{field}")).set(m.input(&format!("times_{field}"), width));
        }
        for (field, width) in crate::types::Faults::fields() {
            array.port(&format!("faults_{field}")).set(m.input(&format!("faults_{field}"), width));
        }
        for (input, width) in [("suspends", 1), ("seed", 32), ("seed_set", 1), ("power_cut", 1)] {
            array.port(input).set(m.input(input, width));
        }
        Axi4::export(m, &map, "memory", "memory");
        // They share the flash.
        let medium = m.instance("medium_mux", &Axi4Mux { managers: 2, config: MEMORY });
        Axi4::connect(m, &mover, "source", &medium, "from_0");
        Axi4::connect(m, &fill, "spares", &medium, "from_1");
        Axi4::export(m, &medium, "to", "medium");
        Axi4::export(m, &mover, "sink", "sink");
        map.port("peek").set(lit(0u8, 16));
        m.output("lost", map.port("lost"));
        m.output("read_given", fill.port("command_valid") & array.port("command_ready"));
        m.output("read_units", fill.port("command_units"));
        for number in 0..self.config.geometry.channels {
            m.output(&format!("late_{number}"), array.port(&format!("late_{number}")));
        }
    }
}

/// The memories around.
struct Around {
    map: Memory,
    flash: Memory,
    lines: Memory,
    /// Reads that the array was told, and their units.
    reads: u64,
    units: u64,
}

impl Around {
    fn new() -> Self {
        let new = || Memory::new(|_| false, 12);
        Self { map: new(), flash: new().on("medium"), lines: new().on("sink"), reads: 0, units: 0 }
    }

    fn clock(&mut self, bench: &mut Bench) {
        for memory in [&mut self.map, &mut self.flash, &mut self.lines] {
            memory.clock(bench);
        }
        self.reads += bench.peek("read_given");
        self.units += bench.peek("read_given") * bench.peek("read_units");
        bench.clock();
    }

    fn attach(&mut self, bench: &mut Bench, map_page: u32) {
        let item = bench.fields("request").set("tag", 0x80u8).set("unit", map_page * MAP_ENTRIES);
        bench.send("request", [item.set("operation", page_map::Operation::Attach.code()).words()]);
        let mut clocks = 0;
        while bench.drain("answer").is_empty() {
            self.clock(bench);
            clocks += 1;
            assert!(clocks < 10_000, "the map page is not attached");
        }
    }
}

/// Units one after the other: often one alone, at times more than a page has.
fn run_length(rng: &mut Rng) -> u32 {
    if rng.bool() {
        1
    } else {
        2 + rng.below(5) as u32
    }
}

/// The first sector that is forwarded of the how manieth unit, and how many are.
fn part_of(number: u64) -> (u64, u64) {
    let sector = number / 2 % u64::from(UNIT_SECTORS);
    (sector, 1 + number % (u64::from(UNIT_SECTORS) - sector))
}

/// Whether one of these sectors is marked.
fn has_mark(marks: u64, sector: u64, sectors: u64) -> bool {
    (sector..sector + sectors).any(|sector| marks >> sector & 1 == 1)
}

/// All sectors of a unit.
const ALL_SECTORS: u64 = (1 << UNIT_SECTORS) - 1;

/// The sectors of a unit of the flash that the host has marked: at times some, and never all.
fn marks(place: u32) -> u8 {
    let hash = place.wrapping_mul(0x9E37_79B9) >> 8;
    if hash & 0x300 == 0 {
        hash as u8 & 0x7F
    } else {
        0
    }
}

/// The spare of a page of the flash.
fn spare(page: u32) -> Spare {
    let bad_sectors = std::array::from_fn(|unit| marks(page * UNITS_PER_PAGE + unit as u32));
    Spare { bad_sectors, ..Spare::new(page, u64::MAX, kind::USER, [u32::MAX; 4], [u32::MAX; 4]) }
}

/// Fills, from line `line` on, of units that lie at these places; returns the slot of each.
fn fill_from(bench: &mut Bench, line: u64, places: &[u32]) -> Vec<u64> {
    for number in 0..places.len() as u64 {
        let item = bench.fields("fill").set("line", line + number).set("tag", number).set("forward", number & 1);
        let (sector, sectors) = part_of(number);
        let item = item.set("sector", sector).set("sectors", sectors);
        bench.send("fill", [item.words()]);
    }
    bench.run_until(2_000, |bench| bench.received("look_up").len() == places.len());
    let slots: Vec<u64> = bench.drain_fields("look_up").iter().map(|request| request.get("tag")).collect();
    for (&slot, &place) in slots.iter().zip(places) {
        let item = bench.fields("found").set("tag", slot).set("outcome", page_map::Outcome::Done.code());
        bench.send("found", [item.set("entry", place).words()]);
    }
    slots
}

/// The place of a command's first unit.
fn place_told(geometry: &Geometry, command: &Fields) -> u32 {
    let page = geometry.page_index(PageAddress {
        channel: (command.get("tag") >> 12) as u8,
        die: command.get("die") as u8,
        plane: (command.get("planes") >> 1) as u8,
        block: command.get(if command.get("planes") == 1 { "block_0" } else { "block_1" }) as u16,
        page: command.get("page") as u16,
    });
    page as u32 * UNITS_PER_PAGE + command.get("first_unit") as u32
}

/// What a unit of the flash holds.
fn content(place: u32) -> Vec<u8> {
    let words = (0..UNIT / 8).map(|n| (u64::from(place) << 32 | n).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    words.flat_map(u64::to_le_bytes).collect()
}

#[test]
fn lines_hold_what_the_flash_holds_and_wait_for_map_pages() {
    for path in PATHS {
        under_all_stalls(&path, |bench: &mut Bench, rng: &mut Rng| {
            let Config { geometry, lines_base, units_base, spares_base, .. } = path.config;
            let mut around = Around::new();
            set_times(bench, &Preset::Sim.clocks(CORE_HZ).divided(16));
            // One of eight reads fails.
            bench.poke("faults_uncorrectable_rate", 1 << 29);
            bench.run(600);
            let places = geometry.pages() as u32 * UNITS_PER_PAGE;
            let mut map: BTreeMap<u32, u32> = BTreeMap::new();
            while map.len() < 60 {
                let run = run_length(rng);
                let (unit, place) = (rng.below((MAP.units - run).into()), rng.below((places - run).into()));
                let is_mapped = rng.percent(80);
                let entries = (0..run).map(|n| if is_mapped { place as u32 + n } else { UNMAPPED });
                map.extend((unit as u32..).zip(entries));
            }
            for (&unit, &place) in &map {
                around.map.store(MAP.base + u64::from(unit * MAP_ENTRY_BYTES), &place.to_le_bytes());
                if place != UNMAPPED {
                    around.flash.store(units_base + u64::from(place) * UNIT, &content(place));
                    let page = place / UNITS_PER_PAGE;
                    let at = spares_base + u64::from(page * SPARE_BYTES);
                    around.flash.store(at, &spare(page).to_bytes());
                }
            }
            around.attach(bench, 0);
            let mut forwarded: BTreeMap<u64, VecDeque<(Vec<u8>, bool)>> = BTreeMap::new();
            let mut fills: Vec<(u32, bool, u64, u64)> = vec![];
            let (mut ended, mut needed, mut failed, mut marked) = (0, 0, 0, 0);
            let mut waited = 0;
            let units: Vec<u32> = map.keys().copied().collect();
            let mut is_attached = false;
            let start = bench.clocks();
            for (line, &unit) in units.iter().enumerate() {
                let (forward, sector) = (rng.bool(), rng.below(8));
                let sectors = 1 + rng.below(8 - sector);
                let item = bench.fields("fill").set("line", line as u64).set("unit", unit).set("forward", forward);
                let item = item.set("tag", line as u64).set("sector", sector).set("sectors", sectors);
                bench.send("fill", [item.words()]);
                fills.push((unit, forward, sector, sectors));
            }
            while ended < units.len() {
                around.clock(bench);
                bench.poke("retry", 0);
                waited += 1 - bench.peek("quiet");
                if rng.percent(1) && bench.peek("quiet") == 1 {
                    bench.poke("epoch", 1 - bench.peek("epoch"));
                }
                needed += bench.drain_fields("heard").iter().filter(|event| event.get("argument") == 1).count();
                // Firmware comes late.
                if needed > 0 && !is_attached && rng.percent(1) {
                    is_attached = true;
                    around.attach(bench, 1);
                    bench.poke("retry", 1);
                }
                for beat in bench.drain_fields("forward") {
                    let data = beat.get_words("data").into_iter().flat_map(u64::to_le_bytes).collect();
                    let beats = forwarded.entry(beat.get("tag")).or_default();
                    beats.push_back((data, beat.get("error") == 1));
                }
                for filled in bench.drain_fields("filled") {
                    let line = filled.get("line");
                    let (unit, forward, sector, sectors) = fills[line as usize];
                    let is_bad = filled.get("bad") == ALL_SECTORS;
                    let place = map[&unit];
                    let right = if place == UNMAPPED { 0 } else { marks(place).into() };
                    assert!(is_bad || filled.get("bad") == right, "place {place:x}: {filled:?}");
                    let has_failed = has_mark(filled.get("bad"), sector, sectors);
                    let expected = if place == UNMAPPED { vec![0; UNIT as usize] } else { content(place) };
                    assert!(!is_bad || place != UNMAPPED);
                    assert_eq!(filled.get("lost") == 1, is_bad, "no unit has marks only");
                    assert!(
                        around.lines.load(lines_base + line * UNIT, UNIT) == expected,
                        "line {line}, place {place:x}"
                    );
                    assert_eq!(filled.get("forward") == 1, forward);
                    assert!(!forward || (filled.get("tag"), filled.get("failed") == 1) == (line, has_failed));
                    let range = (sector * 512) as usize..((sector + sectors) * 512) as usize;
                    let beats = expected[range].chunks_exact(64).map(|beat| (beat.to_vec(), is_bad));
                    let beats: VecDeque<_> = if forward { beats.collect() } else { VecDeque::new() };
                    // They may wait in front of the bench.
                    for _ in 0..200 {
                        if forwarded.get(&line).map_or(0, VecDeque::len) >= beats.len() {
                            break;
                        }
                        around.clock(bench);
                        for beat in bench.drain_fields("forward") {
                            let data = beat.get_words("data").into_iter().flat_map(u64::to_le_bytes).collect();
                            forwarded.entry(beat.get("tag")).or_default().push_back((data, beat.get("error") == 1));
                        }
                    }
                    assert!(forwarded.remove(&line).unwrap_or_default() == beats, "what is forwarded of line {line}");
                    failed += usize::from(is_bad);
                    marked += usize::from(!is_bad && right != 0);
                    ended += 1;
                }
                assert!(bench.clocks() < start + 400_000, "{ended} of {} fills ended", units.len());
            }
            let read = map.values().filter(|&&place| place != UNMAPPED).count() as u64;
            assert_eq!(around.units, read, "each unit is read once");
            // With few slots neighbours seldom come together.
            assert!(path.config.slots < 64 || around.reads < read, "no unit was read with another");
            assert!(waited > 0, "no epoch ended with reads inside");
            for epoch in [0, 1] {
                bench.poke("epoch", epoch);
                bench.run(2);
                assert_eq!(bench.peek("quiet"), 1, "reads of epoch {} are not counted off", 1 - epoch);
            }
            assert!(failed > 0 && needed > 0, "{failed} fills failed, a map page was needed {needed} times");
            assert!(marked > 0, "no unit had marks");
        });
    }
}

#[test]
fn the_channel_is_told_the_page_of_the_place() {
    under_all_stalls(&Filling::new(WHOLE), |bench: &mut Bench, rng: &mut Rng| {
        let geometry = WHOLE.geometry;
        let last = geometry.pages() as u32 * UNITS_PER_PAGE - 1;
        let places: Vec<u32> = (0..40).map(|_| rng.below(last.into()) as u32).chain([0, last]).collect();
        for place in places {
            fill_from(bench, 0, &[place]);
            bench.run_until(1_000, |bench| !bench.received("command").is_empty());
            let command = bench.drain_fields("command").remove(0);
            assert_eq!(place_told(&geometry, &command), place, "place {place:#x}");
            assert_eq!(command.get("units"), 1);
            assert_eq!(command.get("operation"), Operation::Read.code().into());
        }
    });
}

/// Each read of neighbours is told once, moves in order, is through with its last unit, and ends for all: as it should, uncorrectable, or refused.
#[test]
fn neighbours_that_come_back_to_back_are_one_read() {
    under_all_stalls(&Filling::new(WHOLE), |bench: &mut Bench, rng: &mut Rng| {
        let geometry = WHOLE.geometry;
        let units = geometry.pages() as u32 * UNITS_PER_PAGE;
        let mut sizes = [0; 1 + UNITS_PER_PAGE as usize];
        // Slots are used again from the second round on.
        for first_line in (0..4).map(|round| 100 * round) {
            let mut places: Vec<u32> = vec![];
            while places.len() < 40 {
                let run = run_length(rng);
                let first = rng.below((units - run).into()) as u32;
                // Some the cache has already.
                places.extend((first..first + run).filter(|_| !rng.percent(15)));
            }
            let slots = fill_from(bench, first_line, &places);
            let mut reads: Vec<Vec<usize>> = vec![];
            for (number, &place) in places.iter().enumerate() {
                match reads.last_mut() {
                    Some(read) if places[read[0]] / UNITS_PER_PAGE == place / UNITS_PER_PAGE => read.push(number),
                    _ => reads.push(vec![number]),
                }
            }
            bench.run_until(10_000, |bench| bench.received("command").len() >= reads.len());
            bench.run(2 * u64::from(PATIENCE));
            let commands = bench.drain_fields("command");
            assert_eq!(commands.len(), reads.len(), "reads of {places:x?}");
            let mut told: Vec<_> = commands.into_iter().zip(reads).collect();
            for (command, read) in &told {
                let got = (place_told(&geometry, command), command.get("units") as usize);
                let span = places[read[read.len() - 1]] - places[read[0]] + 1;
                assert_eq!(got, (places[read[0]], span as usize));
                assert_eq!(command.get("tag") & ((1 << SLOT_BITS) - 1), slots[read[0]]);
                sizes[read.len()] += 1;
            }
            rng.shuffle(&mut told);
            for (command, read) in told {
                let tag = command.get("tag");
                let (is_refused, is_bad, is_lost) = (rng.percent(20), rng.percent(20), rng.percent(20));
                // At times of all sectors.
                let marks = if rng.percent(20) { u64::MAX } else { rng.next_u64() & rng.next_u64() };
                let marks = marks & u64::from(u32::MAX);
                let answer_spare = |bench: &mut Bench| {
                    let mut words = [u64::MAX; 8];
                    words[MARKS_START as usize / 64] = marks | u64::MAX << 32;
                    let resp = if is_lost { resp::SLVERR } else { resp::OKAY };
                    let item = bench.fields("spares_r").set("resp", resp).set("last", true).set_words("data", &words);
                    bench.send("spares_r", [item.words()]);
                };
                let done = |bench: &mut Bench, outcome: u8, of_other_plane: u8| {
                    let (plane, other) =
                        [("outcome_0", "outcome_1"), ("outcome_1", "outcome_0")][(tag >> 8 & 1) as usize];
                    let item = bench.fields("done").set("tag", tag).set(plane, outcome).set(other, of_other_plane);
                    bench.send("done", [item.words()]);
                };
                if is_refused {
                    done(bench, REFUSED, Outcome::Good { retries: 0 }.code());
                } else {
                    let planes = if is_bad { command.get("planes") } else { 0 };
                    let item = bench.fields("transfer").set("tag", tag).set("uncorrectable", planes);
                    bench.send("transfer", [item.words()]);
                }
                bench.run_until(1_000, |bench| bench.received("job").len() == read.len());
                bench.run(30);
                let asked: Vec<u64> = bench.drain_fields("spares_ar").iter().map(|burst| burst.get("addr")).collect();
                let page = u64::from(places[read[0]] / UNITS_PER_PAGE);
                assert_eq!(asked, if is_refused { vec![] } else { vec![page * u64::from(SPARE_BYTES)] });
                let comes_first = rng.bool();
                if comes_first && !is_refused {
                    answer_spare(bench);
                }
                let jobs = bench.drain_fields("job");
                let mut failures = vec![];
                for (position, (job, &number)) in jobs.iter().zip(&read).enumerate() {
                    assert_eq!(job.get("sink"), (first_line + number as u64) * UNIT);
                    assert_eq!((job.get("zeroes") == 1, job.get("bad") == 1), (is_refused, is_refused | is_bad));
                    assert!(is_refused || job.get("source") == u64::from(places[number]) * UNIT);
                    // What is bad fails; of what is not, one unit fails for itself.
                    failures.push(is_refused | is_bad | rng.percent(20));
                    let item = bench.fields("moved").set("tag", job.get("tag")).set("failed", failures[position]);
                    if position + 1 == jobs.len() {
                        bench.run(30);
                        assert!(
                            bench.received("through").is_empty(),
                            "through before the last of {} units",
                            jobs.len()
                        );
                    }
                    bench.send("moved", [item.words()]);
                }
                if !is_refused {
                    bench.run_until(1_000, |bench| !bench.received("through").is_empty());
                    assert!(bench.received("filled").is_empty(), "filled before the end of the read");
                    let outcome = if is_bad { Outcome::Uncorrectable } else { Outcome::Good { retries: 0 } };
                    done(bench, outcome.code(), REFUSED);
                    if !comes_first {
                        bench.run(30);
                        assert!(bench.received("filled").is_empty(), "filled before it is known what is marked");
                        answer_spare(bench);
                    }
                }
                bench.run_until(1_000, |bench| bench.received("filled").len() == read.len());
                bench.run(30);
                let throughs: Vec<u64> = bench.drain_fields("through").iter().map(|item| item.get("channel")).collect();
                assert_eq!(throughs, if is_refused { vec![] } else { vec![tag >> 12] });
                let filled = bench.drain_fields("filled");
                assert_eq!(filled.len(), read.len(), "a line is filled twice");
                for ((filled, &number), failed) in filled.iter().zip(&read).zip(failures) {
                    let forward = number as u64 & 1;
                    let of_unit = marks >> (UNIT_SECTORS * (places[number] % UNITS_PER_PAGE)) & ALL_SECTORS;
                    let is_lost = failed | (is_lost && !is_refused);
                    let bad = if is_lost { ALL_SECTORS } else { of_unit };
                    let (sector, sectors) = part_of(number as u64);
                    assert_eq!(filled.get("line"), first_line + number as u64);
                    assert_eq!((filled.get("bad"), filled.get("lost") == 1), (bad, is_lost));
                    assert_eq!((filled.get("forward"), filled.get("tag")), (forward, number as u64));
                    assert_eq!(filled.get("failed"), u64::from(has_mark(bad, sector, sectors)) & forward);
                }
            }
        }
        assert!(sizes[1..].iter().all(|&reads| reads > 0), "reads of one to four units: {sizes:?}");
        for epoch in [0, 1] {
            bench.poke("epoch", epoch);
            bench.run(2);
            assert_eq!(bench.peek("quiet"), 1, "all reads are counted off");
        }
    });
}

#[test]
fn a_unit_waits_only_while_another_one_may_follow() {
    let clocks = |config: Config, places: &[u32]| {
        let mut clocks = 0;
        without_stalls(&Filling::new(config), |bench| {
            fill_from(bench, 0, places);
            let since = bench.clocks();
            bench.run_until(1_000, |bench| !bench.received("command").is_empty());
            clocks = bench.clocks() - since;
        });
        clocks
    };
    let last = UNITS_PER_PAGE - 1;
    let prompt = clocks(WHOLE, &[last]);
    let alone = clocks(WHOLE, &[0]);
    // From the clock before the answer is taken to that after the command is offered.
    let page_bits = u64::from(address_width(WHOLE.geometry.pages() as u32));
    assert_eq!((prompt, alone), (5 + page_bits, 5 + u64::from(PATIENCE)), "clocks at once, and alone");
    assert_eq!(clocks(WHOLE, &[0, last]), prompt, "with the last unit of the page behind");
    assert_eq!(clocks(WHOLE, &[2, 1]), prompt, "with another unit of the page behind that does not follow");
    assert_eq!(clocks(WHOLE, &[0, UNITS_PER_PAGE]), prompt, "with a unit of the next page behind");
    assert_eq!(clocks(WHOLE, &[last, UNITS_PER_PAGE]), prompt, "with the next unit behind, which is in the next page");
    assert_eq!(clocks(IMPATIENT, &[0]), prompt, "without patience");
    // The second unit comes within the patience, or late; the third has the patience anew.
    for (config, gap, units) in
        [(WHOLE, PATIENCE - 8, vec![3]), (WHOLE, PATIENCE + 8, vec![1; 3]), (IMPATIENT, 30, vec![1; 3])]
    {
        without_stalls(&Filling::new(config), |bench| {
            for place in 0..3 {
                fill_from(bench, 0, &[place]);
                bench.run(gap.into());
            }
            bench.run(2 * u64::from(PATIENCE));
            let told: Vec<u64> = bench.drain_fields("command").iter().map(|command| command.get("units")).collect();
            assert_eq!(told, units, "units that come {gap} clocks apart, with patience {}", config.patience);
        });
    }
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&Filling::new(WHOLE), &["found", "transfer", "done", "moved", "spares_r"], &[]);
}

/// With flash that takes no time, all dies and all slots, the memories are what limits.
#[test]
fn a_unit_takes_little_more_than_its_beats() {
    let path = &PATHS[1];
    without_stalls(path, |bench| {
        let mut around = Around::new();
        set_times(bench, &Preset::Scm.clocks(CORE_HZ));
        bench.run(600);
        let mut rng = Seed::from_env_or(0x5EED).rng("places");
        for unit in 0..256u32 {
            let place = rng.below(path.config.geometry.pages() * u64::from(UNITS_PER_PAGE)) as u32;
            around.map.store(MAP.base + u64::from(unit * MAP_ENTRY_BYTES), &place.to_le_bytes());
        }
        around.attach(bench, 0);
        around.clock(bench);
        bench.run(300);
        const FILLS: u64 = 200;
        for number in 0..FILLS {
            let item = bench.fields("fill").set("line", number).set("unit", number).set("forward", true);
            bench.send("fill", [item.set("sectors", UNIT_SECTORS).words()]);
        }
        let since = bench.clocks();
        let mut ended = 0;
        while ended < FILLS {
            around.clock(bench);
            bench.drain("forward");
            ended += bench.drain("filled").len() as u64;
            assert!(bench.clocks() < since + 100_000);
        }
        let clocks = (bench.clocks() - since) as f64 / FILLS as f64;
        assert!(clocks < 80.0, "{clocks} clocks for a unit");
    });
}

/// Four units of a page cost one array time, and their bus time each.
#[test]
fn a_page_takes_one_array_time() {
    let path = &PATHS[1];
    let geometry = path.config.geometry;
    without_stalls(path, |bench| {
        let mut around = Around::new();
        let times = Preset::SimplessdMlc.clocks(CORE_HZ);
        set_times(bench, &times);
        bench.run(600);
        let page_of = |kind| {
            let page =
                (0..geometry.pages_per_block).find(|&page| pairing::kind(page, geometry.pages_per_block) == kind);
            let page = page.expect("there are both") as u16;
            geometry.page_index(PageAddress { channel: 1, die: 1, plane: 0, block: 3, page }) as u32
        };
        let pages = [PageKind::Lsb, PageKind::Msb].map(page_of);
        for (unit, place) in
            (0u32..).zip(pages.iter().flat_map(|page| (0..UNITS_PER_PAGE).map(move |n| page * UNITS_PER_PAGE + n)))
        {
            around.map.store(MAP.base + u64::from(unit * MAP_ENTRY_BYTES), &place.to_le_bytes());
        }
        around.attach(bench, 0);
        around.clock(bench);
        bench.run(300);
        for (number, array) in (0u32..).zip(times.read) {
            for unit in number * UNITS_PER_PAGE..(number + 1) * UNITS_PER_PAGE {
                bench.send("fill", [bench.fields("fill").set("line", unit).set("unit", unit).words()]);
            }
            let since = bench.clocks();
            let mut ended = 0;
            while ended < UNITS_PER_PAGE as usize {
                around.clock(bench);
                ended += bench.drain("filled").len();
                assert!(bench.clocks() < since + 100_000, "{ended} units are filled");
            }
            let clocks = bench.clocks() - since;
            let flash = u64::from(times.command + array + UNITS_PER_PAGE * times.unit);
            assert!((flash..flash + 150).contains(&clocks), "{clocks} clocks, of which {flash} are the flash's");
        }
        assert_eq!((around.reads, around.units), (2, 2 * u64::from(UNITS_PER_PAGE)));
    });
}
