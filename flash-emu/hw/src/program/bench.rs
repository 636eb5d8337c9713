//! The running block: alone, with an array and a mover that do anything they may, and with the real ones between two memories.

use super::{Config, Programming, MOVES_MAX, SLOT_BITS};
use crate::array::Array;
use crate::mover::Mover;
use crate::testing::{close_door, forgets_at_reset, set_times, under_all_stalls, without_stalls, Memory};
use crate::types::{user, Faults, ProgramStep, Purpose, Times, PROGRAM_UNITS, USER_BITS};
use flash_spec::limits::{SPARE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::spare::{crc32c, kind, Spare, LPN_NONE};
use flash_spec::{Geometry, Operation, Outcome, PageAddress, Preset, Violation};
use nvme_spec::limits::CORE_HZ;
use rtl_bus::{resp, Axi4};
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::{Block, HwEnum, Module, Shape};
use std::collections::{BTreeMap, VecDeque};

const UNIT: u64 = UNIT_BYTES as u64;
const SPARE: u64 = SPARE_BYTES as u64;

/// This block with the array and the mover.
struct Path {
    config: Config,
}

const CONFIGS: [Config; 2] = [
    Config { geometry: Geometry::SMALL, slots: 4, units_base: 0, spares_base: 0x1000_0000 },
    Config {
        geometry: Geometry { channels: 3, planes_per_die: 1, ..Geometry::SMALL },
        slots: 128,
        units_base: 0x4000_0000,
        spares_base: 0,
    },
];

/// All of the flash.
const WHOLE: Config = Config {
    geometry: Geometry::DEFAULT_1_GIB,
    slots: 64,
    units_base: 0,
    spares_base: Geometry::DEFAULT_1_GIB.bytes(),
};

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    let mut blocks: Vec<Box<dyn Block>> = vec![Box::new(Programming::new(WHOLE))];
    for config in CONFIGS {
        blocks.push(Box::new(Programming::new(config)));
        blocks.push(Box::new(Path { config }));
    }
    blocks
}

impl Block for Path {
    fn name(&self) -> String {
        format!("path_of_{}", Programming::new(self.config).name())
    }

    fn build(&self, m: &Module) {
        m.clock();
        let program = m.instance("programming", &Programming::new(self.config));
        let mover = m.instance("mover", &Mover { units: 8 });
        let array = m.instance("array", &Array { geometry: self.config.geometry });
        close_door(&array);
        m.connect(&program, "command", &array, "command");
        m.connect(&array, "transfer", &program, "transfer");
        m.connect(&array, "done", &program, "done");
        m.connect(&program, "through", &array, "through");
        m.connect(&program, "job", &mover, "job");
        m.connect(&mover, "moved", &program, "moved");
        m.export(&program, "page", "page");
        m.export(&program, "unit", "unit");
        m.export(&program, "result", "result");
        m.export(&mover, "forward", "forward");
        for (field, width) in Times::fields() {
            array.port(&format!("times_{field}")).set(m.input(&format!("times_{field}"), width));
        }
        for (field, width) in Faults::fields() {
            array.port(&format!("faults_{field}")).set(m.input(&format!("faults_{field}"), width));
        }
        for (input, width) in [("suspends", 1), ("seed", 32), ("seed_set", 1), ("power_cut", 1)] {
            array.port(input).set(m.input(input, width));
        }
        Axi4::export(m, &program, "spares", "spares");
        Axi4::export(m, &mover, "source", "source");
        Axi4::export(m, &mover, "sink", "sink");
        for number in 0..self.config.geometry.channels {
            m.output(&format!("late_{number}"), array.port(&format!("late_{number}")));
        }
    }
}

/// What is known of a unit before it is programmed.
#[derive(Clone, Debug)]
struct Unit {
    source: u64,
    lpn: u32,
    old: u32,
    bad: u8,
}

/// A program, and what has become of it.
#[derive(Clone, Debug)]
struct Program {
    purpose: Purpose,
    point: u64,
    /// In its lower plane.
    at: PageAddress,
    planes: u64,
    sequence: u64,
    tag: u64,
    kind: u8,
    units: Vec<Unit>,
    /// Steps that were told: units that have left, that are programmed, and the end.
    left: usize,
    ended: usize,
    is_over: bool,
    /// What the bench knows: CRCs of what was moved, the planes whose data or spare is lost, and how the channel ended it.
    crcs: Vec<u32>,
    lost: u64,
    outcomes: [u8; 2],
}

impl Program {
    /// One that is legal if `at` and `planes` are.
    fn any(rng: &mut Rng, at: PageAddress, planes: u64, sequence: u64) -> Self {
        let purpose = *rng.pick(&[Purpose::Host, Purpose::Host, Purpose::Moved, Purpose::Filler, Purpose::Firmware]);
        let most = u64::from(UNITS_PER_PAGE * planes.count_ones());
        let units = match purpose {
            Purpose::Filler => 0,
            _ if rng.percent(30) => rng.below(most + 1),
            _ => most,
        };
        let unit = |rng: &mut Rng, number: u64| Unit {
            source: sequence * u64::from(PROGRAM_UNITS) + number,
            lpn: rng.next_u64() as u32 >> 1,
            old: rng.next_u64() as u32,
            bad: if rng.percent(20) { rng.next_u64() as u8 } else { 0 },
        };
        Self {
            purpose,
            point: rng.below(4),
            at,
            planes,
            sequence,
            tag: rng.below(64),
            kind: if units == 0 { kind::FILLER } else { *rng.pick(&[kind::USER, kind::MAP, kind::LOG]) },
            units: (0..units).map(|number| unit(rng, number)).collect(),
            left: 0,
            ended: 0,
            is_over: false,
            crcs: vec![],
            lost: 0,
            outcomes: [0; 2],
        }
    }

    fn send(&self, bench: &mut Bench) {
        let mut item = bench.fields("page").set("tag", self.tag).set("kind", self.kind).set("units", self.units.len());
        for (field, value) in self.place() {
            item = item.set(&format!("place_{field}"), value);
        }
        bench.send("page", [item.words()]);
        for unit in &self.units {
            let item = bench.fields("unit").set("source", unit.source).set("lpn", unit.lpn).set("old", unit.old);
            bench.send("unit", [item.set("bad", unit.bad).words()]);
        }
    }

    fn place(&self) -> [(&'static str, u64); 8] {
        [
            ("purpose", self.purpose.code()),
            ("point", self.point),
            ("channel", self.at.channel.into()),
            ("die", self.at.die.into()),
            ("planes", self.planes),
            ("super_block", self.at.block.into()),
            ("page", self.at.page.into()),
            ("sequence", self.sequence),
        ]
    }

    /// The plane of a unit.
    fn plane(&self, number: usize) -> u8 {
        if number >= UNITS_PER_PAGE as usize {
            1
        } else {
            self.at.plane
        }
    }

    /// The page of a unit.
    fn page(&self, geometry: &Geometry, number: usize) -> u32 {
        geometry.page_index(PageAddress { plane: self.plane(number), ..self.at }) as u32
    }

    /// Where a unit goes: an entry of the map.
    fn entry(&self, geometry: &Geometry, number: usize) -> u32 {
        self.page(geometry, number) * UNITS_PER_PAGE + number as u32 % UNITS_PER_PAGE
    }

    /// The planes whose program failed.
    fn failed(&self) -> u64 {
        let fails = |plane: usize| u64::from(self.outcomes[plane] >= 0x10) << plane;
        self.planes & (self.lost | fails(0) | fails(1))
    }

    /// The number of the first unit of each page.
    fn pages(&self) -> Vec<usize> {
        (0..self.planes.count_ones() as usize).map(|page| page * UNITS_PER_PAGE as usize).collect()
    }

    /// A step is told: of a unit, or of all. `failed` and `outcome` of the end are left to who calls this.
    fn check(&mut self, geometry: &Geometry, result: &Fields) -> ProgramStep {
        let step = ProgramStep::VARIANTS[result.get("step") as usize];
        for (field, value) in self.place() {
            assert_eq!(result.get(&format!("place_{field}")), value, "{field} of {self:?}");
        }
        assert_eq!(result.get("tag"), self.tag);
        assert!(!self.is_over, "{step:?} behind the end of {self:?}");
        let number = match step {
            ProgramStep::Left => &mut self.left,
            ProgramStep::Unit => &mut self.ended,
            ProgramStep::End => {
                let has_units = matches!(self.purpose, Purpose::Host | Purpose::Moved);
                let ended = if has_units { self.units.len() } else { 0 };
                assert_eq!((self.left, self.ended), (self.units.len(), ended), "{self:?}");
                self.is_over = true;
                return step;
            }
        };
        *number += 1;
        let number = *number - 1;
        assert!(step == ProgramStep::Left || self.left == self.units.len(), "{self:?}");
        let unit = self.units.get(number).unwrap_or_else(|| panic!("{step:?} of unit {number} of {self:?}"));
        let got = ["source", "lpn", "old", "bad"].map(|field| result.get(&format!("unit_{field}")));
        assert_eq!(got, [unit.source, unit.lpn.into(), unit.old.into(), unit.bad.into()], "{step:?} of {self:?}");
        assert_eq!(result.get("entry"), self.entry(geometry, number).into(), "{step:?} of unit {number} of {self:?}");
        step
    }

    /// The spare of a page, by its first unit, is as it should be.
    fn check_spare(&self, geometry: &Geometry, first: usize, bytes: &[u8]) {
        let page = self.page(geometry, first);
        let spare = Spare::check(bytes.try_into().expect("a spare"), page).expect("a spare of the page");
        let of_unit = |number| (self.units.get(first + number), self.crcs.get(first + number));
        let (mut lpns, mut crcs, mut bad) = ([LPN_NONE; 4], [0; 4], [0; 4]);
        for number in 0..UNITS_PER_PAGE as usize {
            if let (Some(unit), Some(&crc)) = of_unit(number) {
                (lpns[number], crcs[number], bad[number]) = (unit.lpn, crc, unit.bad);
            }
        }
        let sequence = self.sequence + (first as u64) / u64::from(UNITS_PER_PAGE);
        let expected = Spare::new(page, sequence, self.kind, lpns, crcs);
        assert_eq!(spare, Spare { bad_sectors: bad, crc: spare.crc, ..expected }, "{self:?}");
    }
}

/// What a plane of a die that takes part may be: those of the geometry, one or both.
fn any_planes(geometry: &Geometry, rng: &mut Rng) -> u64 {
    if geometry.planes_per_die == 1 || rng.percent(20) {
        1
    } else {
        *rng.pick(&[2, 3, 3])
    }
}

/// That units of a program and its end come without anything between them.
#[derive(Default)]
struct Order {
    /// The program that is being told.
    telling: Option<u64>,
}

impl Order {
    fn check(&mut self, sequence: u64, step: ProgramStep) {
        assert!(
            self.telling.is_none_or(|told| told == sequence && step != ProgramStep::Left),
            "{step:?} comes in between"
        );
        self.telling = (step == ProgramStep::Unit).then_some(sequence);
    }
}

/// An array and a mover as the bench plays them.
#[derive(Default)]
struct Around {
    /// Programs by their slots, from the command to the end.
    slots: BTreeMap<u64, u64>,
    /// Programs that the array has and that have asked for no data.
    told: Vec<u64>,
    /// Those whose data goes over the bus, by channel.
    on_bus: BTreeMap<u64, u64>,
    /// Those whose data has gone.
    loaded: Vec<u64>,
    /// Jobs of the mover: tag, program and unit.
    jobs: VecDeque<(u64, u64, usize)>,
    /// Units of each program for which there was a job.
    asked: BTreeMap<u64, usize>,
    spares: BTreeMap<u64, Vec<u8>>,
}

#[test]
fn each_step_of_each_program_is_told_whatever_fails() {
    for config in CONFIGS {
        let geometry = config.geometry;
        under_all_stalls(&Programming::new(config), |bench: &mut Bench, rng: &mut Rng| {
            let mut programs: BTreeMap<u64, Program> = BTreeMap::new();
            let mut sequence = 1;
            for _ in 0..60 {
                let planes = any_planes(&geometry, rng);
                let at = PageAddress {
                    channel: rng.below(geometry.channels.into()) as u8,
                    die: rng.below(geometry.dies_per_channel.into()) as u8,
                    plane: planes.trailing_zeros() as u8,
                    block: rng.below(geometry.blocks_per_plane.into()) as u16,
                    page: rng.below(geometry.pages_per_block.into()) as u16,
                };
                let program = Program::any(rng, at, planes, sequence);
                program.send(bench);
                programs.insert(sequence, program);
                sequence += u64::from(planes.count_ones());
            }
            let mut commands: VecDeque<u64> = programs.keys().copied().collect();
            let mut around = Around::default();
            let mut order = Order::default();
            let (mut over, mut refused, mut failures) = (0, 0, 0);
            while over < programs.len() {
                bench.clock();
                for command in bench.drain_fields("command") {
                    let number = commands.pop_front().expect("a page for each command");
                    let program = &programs[&number];
                    let tag = command.get("tag");
                    let slot = tag & ((1 << USER_BITS.start) - 1);
                    assert_eq!(tag >> 12, program.at.channel.into());
                    assert_eq!(tag >> USER_BITS.start & 3, user::PROGRAM.into());
                    let is_firmware = program.purpose == Purpose::Firmware;
                    let operation = if is_firmware { Operation::Program } else { Operation::CacheProgram };
                    let got =
                        ["operation", "die", "planes", "block_0", "block_1", "page"].map(|field| command.get(field));
                    let PageAddress { die, block, page, .. } = program.at;
                    let [block, page] = [block, page].map(u64::from);
                    assert_eq!(got, [operation.code().into(), die.into(), program.planes, block, block, page]);
                    assert!(slot < config.slots.into() && around.slots.insert(slot, number).is_none(), "slot {slot}");
                    around.told.push(number);
                }
                if !around.told.is_empty() && rng.percent(20) {
                    let at = rng.below(around.told.len() as u64) as usize;
                    let number = around.told[at];
                    let channel = u64::from(programs[&number].at.channel);
                    if rng.percent(10) {
                        around.told.remove(at);
                        let outcome = Outcome::Refused(*rng.pick(&Violation::ALL)).code();
                        programs.get_mut(&number).expect("it is there").outcomes = [outcome; 2];
                        around.done(bench, number, channel, [outcome; 2]);
                        refused += 1;
                    } else if !around.on_bus.contains_key(&channel) {
                        around.told.remove(at);
                        around.on_bus.insert(channel, number);
                        let tag = around.tag(number, channel);
                        bench.send("transfer", [bench.random_fields("transfer", rng).set("tag", tag).words()]);
                    }
                }
                for job in bench.drain_fields("job") {
                    let tag = job.get("tag");
                    let number = around.slots[&(tag & ((1 << SLOT_BITS) - 1))];
                    let program = &programs[&number];
                    assert_eq!(around.on_bus.get(&(tag >> 12)), Some(&number), "its data goes over the bus");
                    assert_eq!(tag >> USER_BITS.start & 3, user::PROGRAM.into());
                    let unit = around.asked.entry(number).or_default();
                    let sink = config.units_base + UNIT * u64::from(program.entry(&geometry, *unit));
                    let got = ["source", "sink", "zeroes", "bad", "forward_beats"].map(|field| job.get(field));
                    assert_eq!(got, [UNIT * program.units[*unit].source, sink, 0, 0, 0], "unit {unit} of {program:?}");
                    around.jobs.push_back((tag, number, *unit));
                    *unit += 1;
                }
                if !around.jobs.is_empty() && rng.percent(10) {
                    let (tag, number, unit) = around.jobs.pop_front().expect("there is one");
                    let program = programs.get_mut(&number).expect("it is there");
                    let (crc, failed) = (rng.next_u64() as u32, rng.percent(5));
                    program.crcs.push(crc);
                    program.lost |= u64::from(failed) << program.plane(unit);
                    let item = bench.fields("moved").set("tag", tag).set("crc", crc).set("failed", failed);
                    bench.send("moved", [item.words()]);
                }
                if !bench.received("spares_aw").is_empty() && !bench.received("spares_w").is_empty() && rng.percent(20)
                {
                    let (address, beat) = (bench.drain_fields("spares_aw"), bench.drain_fields("spares_w"));
                    assert_eq!((address.len(), beat.len()), (1, 1), "one at a time");
                    assert_eq!((address[0].get("len"), beat[0].get("last"), beat[0].get("strb")), (0, 1, u64::MAX));
                    let address = address[0].get("addr");
                    let bytes = beat[0].get_words("data").into_iter().flat_map(u64::to_le_bytes).collect();
                    around.spares.insert(address, bytes);
                    let page = (address - config.spares_base) / SPARE;
                    let PageAddress { plane, .. } = geometry.page_at(page);
                    let of_page = |program: &&mut Program| {
                        let is_on_bus = around.on_bus.values().any(|&number| number == program.sequence);
                        is_on_bus
                            && program.pages().iter().any(|&first| u64::from(program.page(&geometry, first)) == page)
                    };
                    let program = programs.values_mut().find(of_page).expect("a page whose data goes over a bus");
                    let failed = rng.percent(5);
                    program.lost |= u64::from(failed) << plane;
                    let resp = if failed { resp::SLVERR } else { resp::OKAY };
                    bench.send("spares_b", [bench.fields("spares_b").set("resp", resp).words()]);
                }
                for through in bench.drain_fields("through") {
                    let number = around.on_bus.remove(&through.get("channel")).expect("it waits");
                    let program = &programs[&number];
                    assert_eq!(program.crcs.len(), program.units.len(), "all is moved");
                    for first in program.pages() {
                        let address = config.spares_base + SPARE * u64::from(program.page(&geometry, first));
                        let bytes = around.spares.remove(&address).expect("the spare is written");
                        program.check_spare(&geometry, first, &bytes);
                    }
                    around.loaded.push(number);
                }
                assert!(around.spares.len() <= geometry.planes_per_die as usize, "spares that nobody has asked for");
                if !around.loaded.is_empty() && rng.percent(5) {
                    let number = around.loaded.swap_remove(rng.below(around.loaded.len() as u64) as usize);
                    let program = programs.get_mut(&number).expect("it is there");
                    // What is said of a plane that takes no part means nothing.
                    let codes =
                        [Outcome::GOOD, Outcome::GOOD, Outcome::GOOD, Outcome::ProgramFailed].map(Outcome::code);
                    program.outcomes = [(); 2].map(|()| *rng.pick(&codes));
                    around.done(bench, number, program.at.channel.into(), program.outcomes);
                }
                for result in bench.drain_fields("result") {
                    let number = result.get("place_sequence");
                    let program = programs.get_mut(&number).expect("a program");
                    let step = program.check(&geometry, &result);
                    order.check(number, step);
                    let failed = program.failed();
                    match step {
                        ProgramStep::Left => {}
                        ProgramStep::Unit => {
                            let plane = program.plane(program.ended - 1);
                            assert_eq!(result.get("failed"), failed >> plane & 1, "{program:?}");
                        }
                        ProgramStep::End => {
                            let lowest = usize::from(program.at.plane);
                            let said = program.outcomes[lowest];
                            let is_lost = program.lost >> lowest & 1 == 1 && said < 0x10;
                            let outcome = if is_lost { Outcome::ProgramFailed.code() } else { said };
                            assert_eq!(result.get("failed"), failed, "{program:?}");
                            assert_eq!(result.get("outcome"), outcome.into(), "{program:?}");
                            around.slots.retain(|_, at| *at != number);
                            failures += failed.count_ones();
                            over += 1;
                        }
                    }
                }
                assert!(bench.clocks() < 100_000, "{over} programs are over");
            }
            assert!(around.spares.is_empty() && commands.is_empty());
            assert!(refused > 0 && failures > refused, "{refused} refused, {failures} planes failed");
        });
    }
}

impl Around {
    /// The tag of a program.
    fn tag(&self, number: u64, channel: u64) -> u64 {
        let slot = self.slots.iter().find(|(_, at)| **at == number).expect("it has a slot").0;
        channel << 12 | u64::from(user::PROGRAM) << USER_BITS.start | slot
    }

    fn done(&self, bench: &mut Bench, number: u64, channel: u64, outcomes: [u8; 2]) {
        let item = bench.fields("done").set("tag", self.tag(number, channel));
        bench.send("done", [item.set("outcome_0", outcomes[0]).set("outcome_1", outcomes[1]).words()]);
    }
}

/// What a unit holds.
fn content(source: u64) -> Vec<u8> {
    let words = (0..UNIT / 8).map(|n| (source << 32 | n).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    words.flat_map(u64::to_le_bytes).collect()
}

/// The memories around the block, the mover and the array.
struct Memories {
    source: Memory,
    units: Memory,
    spares: Memory,
}

impl Memories {
    fn new() -> Self {
        let new = |bus| Memory::new(|_| false, 20).on(bus);
        Self { source: new("source"), units: new("sink"), spares: new("spares") }
    }

    fn clock(&mut self, bench: &mut Bench) {
        for memory in [&mut self.source, &mut self.units, &mut self.spares] {
            memory.clock(bench);
        }
        bench.clock();
    }
}

#[test]
fn flash_holds_what_was_programmed_though_the_source_is_written_again() {
    for config in CONFIGS {
        under_all_stalls(&Path { config }, |bench: &mut Bench, rng: &mut Rng| {
            let geometry = config.geometry;
            let mut memories = Memories::new();
            set_times(bench, &Preset::Sim.clocks(CORE_HZ).divided(16));
            bench.poke("faults_program_fail_rate", 1 << 28);
            bench.run(600);
            // The next page of each block, and those that take no more, by die, super-block and plane.
            let mut next: BTreeMap<(u8, u8, u16, u8), u16> = BTreeMap::new();
            let mut closed: BTreeMap<(u8, u8, u16, u8), u64> = BTreeMap::new();
            let mut programs: BTreeMap<u64, Program> = BTreeMap::new();
            let mut order = Order::default();
            let (mut sequence, mut sent, mut over, mut good, mut failures) = (1, 0, 0, 0, 0);
            const PROGRAMS: usize = 60;
            while over < PROGRAMS {
                // A few are in flight: what has failed is heard of soon.
                if sent < PROGRAMS && sent < over + 12 && rng.percent(2) {
                    let channel = rng.below(geometry.channels.into()) as u8;
                    let die = rng.below(geometry.dies_per_channel.into()) as u8;
                    let block = rng.below(4) as u16;
                    let planes = any_planes(&geometry, rng);
                    let of_planes = |plane: &u8| planes >> plane & 1 == 1;
                    let keys: Vec<_> = (0..2).filter(of_planes).map(|plane| (channel, die, block, plane)).collect();
                    let pages: Vec<u16> = keys.iter().map(|key| next.get(key).copied().unwrap_or(0)).collect();
                    let is_legal = pages.iter().all(|page| *page == pages[0])
                        && u32::from(pages[0]) < geometry.pages_per_block
                        && keys.iter().all(|key| !closed.contains_key(key));
                    if is_legal {
                        next.extend(keys.into_iter().map(|key| (key, pages[0] + 1)));
                        let plane = planes.trailing_zeros() as u8;
                        let at = PageAddress { channel, die, plane, block, page: pages[0] };
                        let mut program = Program::any(rng, at, planes, sequence);
                        for unit in &program.units {
                            let content = content(unit.source);
                            program.crcs.push(crc32c(&content));
                            memories.source.store(unit.source * UNIT, &content);
                        }
                        program.send(bench);
                        programs.insert(sequence, program);
                        sequence += u64::from(planes.count_ones());
                        sent += 1;
                    }
                }
                memories.clock(bench);
                for result in bench.drain_fields("result") {
                    let number = result.get("place_sequence");
                    let program = programs.get_mut(&number).expect("a program");
                    let step = program.check(&geometry, &result);
                    order.check(number, step);
                    match step {
                        ProgramStep::Left => {
                            memories.source.store(result.get("unit_source") * UNIT, &[0xEE; UNIT as usize]);
                        }
                        // The end says of the plane whether it failed.
                        ProgramStep::Unit => program.lost |= result.get("failed") << program.plane(program.ended - 1),
                        ProgramStep::End => {
                            over += 1;
                            let failed = result.get("failed");
                            let outcome = Outcome::from_code(result.get("outcome") as u8).expect("an outcome");
                            assert_eq!(outcome.is_good(), failed >> program.at.plane & 1 == 0, "{program:?}");
                            assert_eq!(program.lost & !failed, 0, "{program:?}");
                            let PageAddress { channel, die, block, .. } = program.at;
                            let of_planes = |planes: u64| (0..2).filter(move |plane| planes >> plane & 1 == 1);
                            let key = |plane: u8| (channel, die, block, plane);
                            match outcome {
                                // Only what came after a failure in the same block, or after a program that was refused for that in both planes.
                                Outcome::Refused(violation) => {
                                    assert!(matches!(violation, Violation::NotErased | Violation::OutOfOrder));
                                    let is_closed =
                                        of_planes(program.planes).any(|plane| closed.contains_key(&key(plane)));
                                    assert!(is_closed && failed == program.planes, "{program:?}");
                                }
                                _ => failures += failed.count_ones(),
                            }
                            closed.extend(of_planes(failed).map(|plane| (key(plane), number)));
                            if matches!(outcome, Outcome::Refused(_)) {
                                continue;
                            }
                            // What failed has its data and its spare in memory all the same.
                            for (unit, given) in program.units.iter().enumerate() {
                                let entry = u64::from(program.entry(&geometry, unit));
                                let got = memories.units.load(config.units_base + entry * UNIT, UNIT);
                                assert!(got == content(given.source), "unit {unit} of {program:?}");
                            }
                            for first in program.pages() {
                                let page = u64::from(program.page(&geometry, first));
                                let bytes = memories.spares.load(config.spares_base + page * SPARE, SPARE);
                                program.check_spare(&geometry, first, &bytes);
                                good += 1;
                            }
                        }
                    }
                }
                assert!(bench.clocks() < 300_000, "{over} of {sent} programs are over");
            }
            assert!(failures > 0 && good > failures, "{failures} pages failed, {good} are good");
        });
    }
}

/// With flash that takes no time the mover is what limits.
#[test]
fn the_mover_is_kept_busy() {
    without_stalls(&Path { config: CONFIGS[0] }, |bench| {
        let config = CONFIGS[0];
        let geometry = config.geometry;
        let mut memories = Memories::new();
        set_times(bench, &Preset::Scm.clocks(CORE_HZ));
        bench.run(600);
        const PROGRAMS: u64 = 24;
        for number in 0..PROGRAMS {
            let dies = u64::from(geometry.dies());
            let PageAddress { channel, die, .. } = geometry.page_at(number % dies);
            let at = PageAddress { channel, die, plane: 0, block: 0, page: (number / dies) as u16 };
            let unit = |unit| Unit { source: number * u64::from(PROGRAM_UNITS) + unit, lpn: 0, old: 0, bad: 0 };
            let units = (0..PROGRAM_UNITS.into()).map(unit).collect();
            let mut rng = rtl_hdl::bench::Seed(1).rng("programs");
            Program { purpose: Purpose::Host, units, ..Program::any(&mut rng, at, 3, 2 * number + 1) }.send(bench);
        }
        let since = bench.clocks();
        let mut over = 0;
        while over < PROGRAMS {
            memories.clock(bench);
            let results = bench.drain_fields("result");
            over += results.iter().filter(|result| result.get("step") == ProgramStep::End.code()).count() as u64;
            assert!(bench.clocks() < since + 100_000, "{over} programs are over");
        }
        let clocks = (bench.clocks() - since) as f64 / (PROGRAMS * u64::from(PROGRAM_UNITS)) as f64;
        println!("{clocks:.1} clocks for a unit");
        assert!(clocks < 80.0, "{clocks} clocks for a unit");
    });
}

/// So that room for as many ends keeps the mover from waiting.
#[test]
fn no_more_jobs_are_given_than_ends_have_room() {
    under_all_stalls(&Programming::new(WHOLE), |bench: &mut Bench, _| {
        let pages = 8u64;
        for channel in 0..pages {
            let page = bench.fields("page").set("units", 8u8).set("place_planes", 3u8).set("place_channel", channel);
            bench.send("page", [page.words()]);
            for lpn in 0..8u64 {
                bench.send("unit", [bench.fields("unit").set("lpn", lpn).words()]);
            }
        }
        bench.run_until(20_000, |bench| bench.received("command").len() as u64 == pages);
        for command in bench.drain_fields("command") {
            bench.send("transfer", [bench.fields("transfer").set("tag", command.get("tag")).words()]);
        }
        bench.run(5000);
        assert_eq!(bench.received("job").len(), MOVES_MAX as usize, "nothing has been moved yet");
        for job in bench.drain_fields("job").into_iter().take(3) {
            bench.send("moved", [bench.fields("moved").set("tag", job.get("tag")).words()]);
        }
        bench.run(2000);
        assert_eq!(bench.received("job").len(), 3, "three ends have been taken");
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    let answers = ["transfer", "done", "moved", "spares_r", "spares_b"];
    forgets_at_reset(&Programming::new(WHOLE), &answers, &[]);
}
