//! The running block with the page map, the mover and the array: lines hold what the flash holds.

use super::{Config, Filling};
use crate::array::Array;
use crate::mover::Mover;
use crate::page_map::{self, Answer, PageMap, Request};
use crate::testing::{close_door, forgets_at_reset, set_times, under_all_stalls, without_stalls, Memory};
use crate::types::{Times, UNIT_SECTORS};
use flash_spec::limits::{UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::record::{MAP_ENTRIES, MAP_ENTRY_BYTES, UNMAPPED};
use flash_spec::{Geometry, Operation, PageAddress, Preset};
use nvme_spec::limits::CORE_HZ;
use rtl_bus::Axi4;
use rtl_hdl::bench::{Bench, Rng, Seed};
use rtl_hdl::{lit, Block, HwEnum, Module, Shape};
use rtl_prim::{Lock, Payload, StreamArbiter, StreamDemux};
use std::collections::{BTreeMap, VecDeque};

const MAP: page_map::Config = page_map::Config { units: 2 * MAP_ENTRIES, lines: 16, base: 0x2000_0000 };
const UNIT: u64 = UNIT_BYTES as u64;

/// What a line is filled by: this block and all that it uses.
struct Path {
    config: Config,
}

const PATHS: [Path; 2] = [
    Path { config: Config { geometry: Geometry::SMALL, slots: 4, lines_base: 0, units_base: 0 } },
    Path {
        config: Config {
            geometry: Geometry { channels: 3, planes_per_die: 1, ..Geometry::SMALL },
            slots: 64,
            lines_base: 0x1000_0000,
            units_base: 0x4000_0000,
        },
    },
];

/// All of the flash.
const WHOLE: Config = Config { geometry: Geometry::DEFAULT_1_GIB, slots: 64, lines_base: 0, units_base: 0 };

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    let mut blocks: Vec<Box<dyn Block>> = PATHS.map(|path| Box::new(path) as Box<dyn Block>).into();
    blocks.push(Box::new(Filling::new(WHOLE)));
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
        Axi4::export(m, &mover, "source", "source");
        Axi4::export(m, &mover, "sink", "sink");
        map.port("peek").set(lit(0u8, 16));
        m.output("lost", map.port("lost"));
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
}

impl Around {
    fn new() -> Self {
        let new = || Memory::new(|_| false, 12);
        Self { map: new(), flash: new().on("source"), lines: new().on("sink") }
    }

    fn clock(&mut self, bench: &mut Bench) {
        for memory in [&mut self.map, &mut self.flash, &mut self.lines] {
            memory.clock(bench);
        }
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

/// What a unit of the flash holds.
fn content(place: u32) -> Vec<u8> {
    let words = (0..UNIT / 8).map(|n| (u64::from(place) << 32 | n).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    words.flat_map(u64::to_le_bytes).collect()
}

#[test]
fn lines_hold_what_the_flash_holds_and_wait_for_map_pages() {
    for path in PATHS {
        under_all_stalls(&path, |bench: &mut Bench, rng: &mut Rng| {
            let Config { geometry, lines_base, units_base, .. } = path.config;
            let mut around = Around::new();
            set_times(bench, &Preset::Sim.clocks(CORE_HZ).divided(16));
            // One of eight reads fails.
            bench.poke("faults_uncorrectable_rate", 1 << 29);
            bench.run(600);
            let places = geometry.pages() as u32 * UNITS_PER_PAGE;
            let mut map: BTreeMap<u32, u32> = BTreeMap::new();
            for _ in 0..60 {
                let (unit, place) = (rng.below(MAP.units.into()) as u32, rng.below(places.into()) as u32);
                map.insert(unit, if rng.percent(20) { UNMAPPED } else { place });
            }
            for (&unit, &place) in &map {
                around.map.store(MAP.base + u64::from(unit * MAP_ENTRY_BYTES), &place.to_le_bytes());
                if place != UNMAPPED {
                    around.flash.store(units_base + u64::from(place) * UNIT, &content(place));
                }
            }
            around.attach(bench, 0);
            let mut forwarded: BTreeMap<u64, VecDeque<(Vec<u8>, bool)>> = BTreeMap::new();
            let mut fills: Vec<(u32, bool, u64, u64)> = vec![];
            let (mut ended, mut needed, mut failed) = (0, 0, 0);
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
                    let is_bad = filled.get("bad") == (1 << UNIT_SECTORS) - 1;
                    assert!(is_bad || filled.get("bad") == 0);
                    let place = map[&unit];
                    let expected = if place == UNMAPPED { vec![0; UNIT as usize] } else { content(place) };
                    assert!(!is_bad || place != UNMAPPED);
                    assert!(
                        around.lines.load(lines_base + line * UNIT, UNIT) == expected,
                        "line {line}, place {place:x}"
                    );
                    assert_eq!(filled.get("forward") == 1, forward);
                    assert!(!forward || (filled.get("tag"), filled.get("failed") == 1) == (line, is_bad));
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
                    ended += 1;
                }
                assert!(bench.clocks() < start + 400_000, "{ended} of {} fills ended", units.len());
            }
            assert!(waited > 0, "no epoch ended with reads inside");
            for epoch in [0, 1] {
                bench.poke("epoch", epoch);
                bench.run(2);
                assert_eq!(bench.peek("quiet"), 1, "reads of epoch {} are not counted off", 1 - epoch);
            }
            assert!(failed > 0 && needed > 0, "{failed} fills failed, a map page was needed {needed} times");
        });
    }
}

#[test]
fn the_channel_is_told_the_page_of_the_place() {
    under_all_stalls(&Filling::new(WHOLE), |bench: &mut Bench, rng: &mut Rng| {
        let geometry = WHOLE.geometry;
        let last = geometry.pages() as u32 * UNITS_PER_PAGE - 1;
        let places: Vec<u32> = (0..40).map(|_| rng.below(last.into()) as u32).chain([0, last]).collect();
        for _ in &places {
            bench.send("fill", [bench.fields("fill").words()]);
        }
        bench.run_until(1_000, |bench| bench.received("look_up").len() == places.len());
        for (place, look_up) in places.into_iter().zip(bench.drain_fields("look_up")) {
            let tag = look_up.get("tag");
            let item = bench.fields("found").set("tag", tag).set("outcome", page_map::Outcome::Done.code());
            bench.send("found", [item.set("entry", place).words()]);
            bench.run_until(1_000, |bench| !bench.received("command").is_empty());
            let command = bench.drain_fields("command").remove(0);
            let address = geometry.page_at((place / UNITS_PER_PAGE).into());
            let got = PageAddress {
                channel: (command.get("tag") >> 12) as u8,
                die: command.get("die") as u8,
                plane: (command.get("planes") >> 1) as u8,
                block: command.get(if command.get("planes") == 1 { "block_0" } else { "block_1" }) as u16,
                page: command.get("page") as u16,
            };
            assert_eq!(got, address, "place {place:#x}");
            assert_eq!((command.get("first_unit"), command.get("units")), ((place % UNITS_PER_PAGE).into(), 1));
            assert_eq!(command.get("operation"), Operation::Read.code().into());
        }
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&Filling::new(WHOLE), &["found", "transfer", "done", "moved"], &[]);
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
