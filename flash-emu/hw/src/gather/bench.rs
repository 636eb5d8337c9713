//! The running block between a map, a write point and firmware that are played here.

use super::{Config, Gather};
use crate::page_map::{self, Outcome};
use crate::testing::{forgets_at_reset, under_all_stalls};
use crate::types::{Purpose, Step};
use crate::write_point::bench::said;
use flash_spec::fast_path::{wire, Buffer, Command};
use flash_spec::record::{MAP_ENTRIES, UNMAPPED};
use flash_spec::spare::{kind, LPN_NONE};
use flash_spec::Geometry;
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::{Block, HwEnum};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const CONFIG: Config =
    Config { geometry: Geometry::SMALL, lines_base: 0x10_0000, shared_base: 0x80_0000, patience: 500 };
/// The map pages that there are.
const MAP_PAGES: u32 = 4;

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(Gather::new(CONFIG))]
}

fn old_of(unit: u32) -> u32 {
    unit * 7 + 3
}

/// A unit near another one that is trimmed or moved, and never written.
fn to_trim(unit: u64) -> u64 {
    unit | 0xFF
}

/// What is around the block.
struct Around {
    /// Lines that were given, and units to be moved, that were not issued.
    host: BTreeSet<(u64, u64)>,
    moved: VecDeque<(u64, u64)>,
    trims: BTreeSet<(u64, u64)>,
    /// Units that were trimmed, and the next sequence then.
    trimmed: BTreeMap<u64, u64>,
    trims_are_durable: bool,
    present: [bool; MAP_PAGES as usize],
    needed: BTreeSet<u64>,
    sequence: u64,
    covered: u64,
    wanted: Option<u64>,
    /// Pages and units that were told: their streams do not keep step.
    pages: VecDeque<Fields>,
    to_come: VecDeque<Fields>,
    /// The page whose units come, and how many of them are still to come.
    page: Option<(Fields, u64)>,
    /// Units of the page.
    units: u64,
    /// Units of the host, and the sequences of their pages.
    host_sequences: Vec<(u64, u64)>,
    fillers: u64,
    programs: VecDeque<Command>,
}

impl Around {
    fn new() -> Self {
        Self {
            host: BTreeSet::new(),
            moved: VecDeque::new(),
            trims: BTreeSet::new(),
            trimmed: BTreeMap::new(),
            trims_are_durable: true,
            present: [true, false, false, true],
            needed: BTreeSet::new(),
            sequence: 1,
            covered: 1,
            wanted: None,
            pages: VecDeque::new(),
            to_come: VecDeque::new(),
            page: None,
            units: 0,
            host_sequences: Vec::new(),
            fillers: 0,
            programs: VecDeque::new(),
        }
    }

    fn clock(&mut self, bench: &mut Bench, rng: &mut Rng) {
        let may_trim = bench.peek("may_trim") == 1;
        bench.hold("trim", !(may_trim && rng.percent(20)));
        bench.poke("trims_are_durable", self.trims_are_durable.into());
        bench.clock();
        for trim in bench.drain_fields("trim") {
            let (line, unit) = (trim.get("line"), trim.get("unit"));
            assert!(may_trim && self.trims.remove(&(line, unit)), "unit {unit} of line {line:#x} is not to be trimmed");
            // The last one counts.
            self.trimmed.insert(unit, self.sequence);
            self.trims_are_durable = false;
        }
        assert!(!may_trim || self.wanted.is_none(), "a page is issued meanwhile");
        // The record may wait behind what firmware programs.
        self.trims_are_durable |= bench.peek("settles") == 1 && self.programs.is_empty() && rng.percent(2);
        for question in bench.drain_fields("look_up") {
            let unit = question.get("unit") as u32;
            let is_clean = question.get("operation") == page_map::Operation::Clean.code();
            let is_programmed = |program: &Command| matches!(program, Command::Program { from: Some(Buffer::Map(page)), .. } if u32::from(*page) * MAP_ENTRIES == unit);
            // Any other question would forget that the page has changed.
            assert!(!is_clean || self.programs.iter().any(is_programmed), "the map page of {unit} is not programmed");
            // What is no unit any more is checked once more when the others may be in flight.
            if unit == LPN_NONE {
                bench.send("found", [bench.fields("found").set("outcome", Outcome::Failed.code()).words()]);
                continue;
            }
            // Nothing is moved before its map page is there.
            let is_moved = self.moved.iter().any(|&(_, moved)| moved == u64::from(unit));
            let is_present = is_clean || is_moved || self.present[(unit / MAP_ENTRIES) as usize];
            let outcome = if is_present { Outcome::Done } else { Outcome::Absent };
            let entry = if self.trimmed.contains_key(&unit.into()) { UNMAPPED } else { old_of(unit) };
            let answer = bench.fields("found").set("outcome", outcome.code()).set("entry", entry);
            bench.send("found", [answer.words()]);
        }
        for event in bench.drain_fields("heard") {
            if event.get("code") == u64::from(wire::event::MAP_NEEDED) {
                self.needed.insert(event.get("argument"));
            } else {
                assert_eq!(event.get("code"), u64::from(wire::event::PROGRAM_DONE));
                let program = self.program(event.get("tag"));
                self.forget(event.get("tag"));
                let Command::Program { tag, page, .. } = program else { panic!("{program:?}") };
                assert_eq!((event.get("tag"), event.get("argument")), (tag.into(), 0x40));
                assert!(u64::from(page) >= Geometry::SMALL.pages());
            }
        }
        for want in bench.drain_fields("want") {
            assert_eq!(self.wanted.replace(want.get("purpose")), None, "one at a time");
        }
        if bench.pending("place") == 0 && rng.percent(10) {
            if rng.percent(20) {
                self.fillers += 1;
                self.place(bench, Purpose::Filler.code(), rng.range(1..4));
            } else if let Some(purpose) = self.wanted.take() {
                let planes = if purpose == Purpose::Firmware.code() { 0 } else { rng.below(4) };
                self.place(bench, purpose, planes);
            }
        }
        for number in bench.drain_fields("page_number") {
            let page = number.get("page");
            let is_there = page < Geometry::SMALL.pages();
            let item = bench.fields("located").set("page", page).set("is_there", is_there);
            let item = if is_there {
                let at = Geometry::SMALL.page_at(page);
                let item = item.set("channel", at.channel).set("die", at.die).set("plane", at.plane);
                item.set("block", at.block).set("page_of_block", at.page)
            } else {
                item
            };
            bench.send("located", [item.words()]);
        }
        self.pages.extend(bench.drain_fields("page"));
        self.to_come.extend(bench.drain_fields("unit"));
        loop {
            if self.page.is_none() {
                let Some(page) = self.pages.pop_front() else { break };
                self.take_page(&page);
                let units = page.get("units");
                self.units = 0;
                self.page = (units > 0).then_some((page, units));
            } else {
                let Some(unit) = self.to_come.pop_front() else { break };
                self.take_unit(&unit);
            }
        }
        if rng.percent(5) {
            self.covered = rng.range(self.covered..self.sequence + 1);
            bench.poke("covered", self.covered);
            bench.poke("safe_host", rng.range(self.covered..self.sequence + 1));
        }
        bench.poke("retry", 0);
        if rng.percent(2) && !self.needed.is_empty() {
            let page = self.needed.pop_first().expect("there is one");
            self.present[page as usize] = true;
            bench.poke("retry", 1);
        }
    }

    fn place(&mut self, bench: &mut Bench, purpose: u64, planes: u64) {
        let item = bench.fields("place").set("purpose", purpose).set("planes", planes);
        let item = item.set("channel", 1).set("super_block", 5).set("page", 9).set("sequence", self.sequence);
        if planes != 0 || purpose == Purpose::Firmware.code() {
            self.sequence += u64::from(planes.count_ones().max(1));
        }
        bench.send("place", [item.words()]);
        bench.poke("next_sequence", self.sequence);
    }

    fn take_page(&mut self, page: &Fields) {
        let purpose = page.get("place_purpose");
        if purpose == Purpose::Filler.code() {
            self.fillers -= 1;
            assert_eq!((page.get("units"), page.get("kind")), (0, kind::FILLER.into()));
        } else if purpose == Purpose::Firmware.code() {
            let program = self.program(page.get("tag"));
            let Command::Program { tag, page: number, from, kind, .. } = program else { panic!("{program:?}") };
            let at = Geometry::SMALL.page_at(number.into());
            let fields = ["tag", "place_channel", "place_die", "place_planes", "place_super_block", "place_page"];
            let told = fields.map(|field| page.get(field));
            let right = [tag.into(), at.channel.into(), at.die.into(), 1 << at.plane, at.block.into(), at.page.into()];
            assert_eq!(told, right);
            let right = if from.is_some() { (4, kind) } else { (0, kind::FILLER) };
            assert_eq!((page.get("units"), page.get("kind") as u8), right);
            if from.is_none() {
                self.forget(page.get("tag"));
            }
        } else {
            let most = 4 * u64::from(page.get("place_planes").count_ones());
            assert!((1..=most).contains(&page.get("units")), "{} units of {most}", page.get("units"));
            assert_eq!((page.get("kind"), page.get("place_super_block")), (kind::USER.into(), 5));
        }
    }

    fn take_unit(&mut self, unit: &Fields) {
        let (page, left) = self.page.take().expect("a page was told");
        let [source, lpn, old] = ["source", "lpn", "old"].map(|field| unit.get(field));
        let sequence = page.get("place_sequence");
        match page.get("place_purpose") {
            purpose if purpose == Purpose::Host.code() => {
                assert!(self.host.remove(&(source - 0x100, lpn)), "unit {lpn} of line {source:#x} was not given");
                assert_eq!((old, unit.get("bad")), (old_of(lpn as u32).into(), lpn & 0xFF));
                assert!(self.present[lpn as usize / MAP_ENTRIES as usize]);
                self.host_sequences.push((lpn, sequence));
            }
            purpose if purpose == Purpose::Moved.code() => {
                let (moved, unit) = self.moved.pop_front().expect("it is moved");
                assert_eq!(moved, source, "moves keep their order");
                match self.trimmed.get(&unit) {
                    // It was there when the page was checked.
                    Some(&at) if lpn != u64::from(LPN_NONE) => {
                        assert!(lpn == unit && sequence < at, "{lpn} is trimmed")
                    }
                    Some(_) => {}
                    None => assert_eq!(lpn, unit),
                }
                let is_in_flight = |&(other, at): &(u64, u64)| other == lpn && at >= self.covered;
                assert!(!self.host_sequences.iter().any(is_in_flight), "the host may be writing it");
            }
            _ => {
                let program = self.program(page.get("tag"));
                let Command::Program { from: Some(buffer), label, .. } = program else { panic!("{program:?}") };
                let first = 0x800 + u64::from(buffer.number()) * 4;
                let right = if self.units == 0 { u64::from(label) } else { LPN_NONE.into() };
                assert_eq!((source, lpn), (first + self.units, right));
                if left == 1 {
                    self.forget(page.get("tag"));
                }
            }
        }
        self.units += 1;
        self.page = (left > 1).then_some((page, left - 1));
    }

    /// The program that firmware has said under this name. What becomes of programs comes by several streams, which do not keep step.
    fn program(&self, name: u64) -> Command {
        let has_name = |program: &&Command| matches!(program, Command::Program { tag, .. } if u64::from(*tag) == name);
        *self.programs.iter().find(has_name).unwrap_or_else(|| panic!("program {name} was not said"))
    }

    fn forget(&mut self, name: u64) {
        let program = self.program(name);
        self.programs.retain(|other| *other != program);
    }

    fn is_done(&self) -> bool {
        self.host.is_empty()
            && self.trims.is_empty()
            && self.moved.is_empty()
            && self.page.is_none()
            && self.to_come.is_empty()
            && self.programs.is_empty()
    }
}

#[test]
fn what_is_given_is_programmed_once() {
    under_all_stalls(&Gather::new(CONFIG), |bench: &mut Bench, rng: &mut Rng| {
        let mut around = Around::new();
        for port in ["has_room", "can_host", "can_moved"] {
            bench.poke(port, 1);
        }
        bench.poke("next_sequence", 1);
        bench.poke("covered", 1);
        bench.poke("safe_host", 1);
        for round in 0..30u64 {
            let mut given = 0;
            for item in 0..rng.range(1..30) {
                let line = round * 64 + item;
                let unit = rng.below(u64::from(MAP_PAGES * MAP_ENTRIES));
                if rng.percent(20) {
                    let unit = to_trim(unit);
                    let clean = bench.fields("clean").set("line", line).set("unit", unit).set("trim", true);
                    bench.send("clean", [clean.words()]);
                    around.trims.insert((line, unit));
                } else if rng.percent(70) {
                    let unit = if unit == to_trim(unit) { unit - 1 } else { unit };
                    let clean = bench.fields("clean").set("line", line).set("unit", unit).set("bad", unit & 0xFF);
                    bench.send("clean", [clean.words()]);
                    around.host.insert((line, unit));
                    given += 1;
                } else {
                    let last = around.host_sequences.last().map_or(1, |last| last.0);
                    let waits = around.trims.first().map_or(2, |trim| trim.1);
                    let unit = *rng.pick(&[unit, to_trim(unit), last, waits, waits]);
                    // Some have another place by now.
                    let is_stale = rng.percent(20);
                    let old = if is_stale { 1 } else { old_of(unit as u32) };
                    let moved = bench.fields("moved").set("source", line).set("lpn", unit).set("old", old);
                    bench.send("moved", [moved.words()]);
                    around.moved.push_back((line, if is_stale { LPN_NONE.into() } else { unit }));
                }
            }
            if rng.percent(70) {
                let from = rng.pick(&[None, Some(Buffer::Map(2)), Some(Buffer::Log(1))]);
                let page = rng.below(Geometry::SMALL.pages() * 9 / 8) as u32;
                let program = Command::Program { tag: round as u8, page, from: *from, kind: kind::MAP, label: 77 };
                let item = said(bench, "said", program);
                bench.send("said", [item]);
                around.programs.push_back(program);
            }
            if rng.percent(40) {
                let fails = rng.bool();
                bench.poke("failure", fails.into());
                around.clock(bench, rng);
                bench.poke("failure", 0);
                bench.send("clean", [bench.fields("clean").set("settle", true).words()]);
                let mut clocks = 0;
                let mut programs_meanwhile = !around.trims.is_empty();
                while bench.received("settled").is_empty() {
                    around.clock(bench, rng);
                    if programs_meanwhile && bench.peek("settles") == 1 {
                        programs_meanwhile = false;
                        let (from, tag) = (Some(Buffer::Map(3)), 128 + round as u8);
                        let program = Command::Program { tag, page: 9, from, kind: kind::MAP, label: 77 };
                        let item = said(bench, "said", program);
                        bench.send("said", [item]);
                        around.programs.push_back(program);
                    }
                    clocks += 1;
                    assert!(clocks < 40_000, "it does not settle: {:?}, {:?}", around.host, around.wanted);
                }
                assert!(around.trims.is_empty() && around.trims_are_durable);
                let step = bench.drain_fields("settled")[0].get("step");
                assert_eq!(step, if fails { Step::Unsettled } else { Step::Settled }.code());
                // What was issued may be held up on its way here.
                (0..200).for_each(|_| around.clock(bench, rng));
                assert!(around.host.is_empty(), "all before is issued");
                let last = around.host_sequences.last().map_or(0, |last| last.1);
                assert!(given == 0 || around.covered > last, "and covered");
            }
        }
        bench.poke("drains", 1);
        let mut clocks = 0;
        while !around.is_done() {
            around.clock(bench, rng);
            clocks += 1;
            assert!(clocks < 100_000, "{:?} {:?} {:?}", around.host, around.moved, around.programs);
        }
        (0..1000).for_each(|_| around.clock(bench, rng));
        assert!(around.trimmed.len() > 20);
        assert!(around.fillers <= 3, "{} places for filler are lost", around.fillers);
    });
}

#[test]
fn nothing_is_issued_without_room() {
    under_all_stalls(&Gather::new(CONFIG), |bench: &mut Bench, rng: &mut Rng| {
        let mut around = Around::new();
        bench.poke("can_host", 1);
        bench.poke("drains", 1);
        for line in 0..4u64 {
            let clean = bench.fields("clean").set("line", line).set("unit", line).set("bad", line);
            bench.send("clean", [clean.words()]);
            around.host.insert((line, line));
            let moved =
                bench.fields("moved").set("source", line).set("lpn", 9 + line).set("old", old_of(9 + line as u32));
            bench.send("moved", [moved.words()]);
            around.moved.push_back((line, 9 + line));
        }
        let clean = bench.fields("clean").set("line", 7).set("unit", to_trim(0)).set("trim", true);
        bench.send("clean", [clean.words()]);
        around.trims.insert((7, to_trim(0)));
        (0..3000).for_each(|_| around.clock(bench, rng));
        assert_eq!(around.trims.len(), 1);
        bench.poke("can_host", 0);
        bench.poke("has_room", 1);
        (0..3000).for_each(|_| around.clock(bench, rng));
        assert_eq!((around.host.len(), around.moved.len(), around.trims.len()), (4, 4, 0));
        bench.poke("can_host", 1);
        bench.poke("can_moved", 1);
        (0..6000).for_each(|_| around.clock(bench, rng));
        assert!(around.is_done());
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&Gather::new(CONFIG), &["found", "located", "place"], &[]);
}
