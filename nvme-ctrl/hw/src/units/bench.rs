//! The running block: everything that happens to units, in any order.

use super::{Turn, Units};
use crate::testing::{assert_repeats, forgets_at_reset, under_all_stalls, CONFIGS};
use crate::types::{Operation, StorageStatus, Target};
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::HwEnum;
use std::collections::BTreeMap;

/// What `read_unit` and `write_unit` repeat of a unit.
const PLACE: [&str; 10] = [
    "function",
    "target",
    "whole",
    "place_first",
    "place_second",
    "place_lines",
    "place_lines_first",
    "place_begin",
    "place_end",
    "place_beats",
];

/// What `start` repeats of a unit, and its name there.
const START: [(&str, &str); 8] = [
    ("at", "at"),
    ("target", "target"),
    ("beats", "place_beats"),
    ("command_operation", "operation"),
    ("command_nsid", "nsid"),
    ("command_sector", "sector"),
    ("command_sectors", "sectors"),
    ("command_fua", "fua"),
];

/// A unit with a tag.
#[derive(Debug)]
struct Running {
    number: u64,
    slot: u64,
    operation: Operation,
    target: Target,
    turn: Turn,
    /// It was given to `dma_read` or announced to `dma_write`.
    placed: bool,
    /// Its target was told.
    started: bool,
    /// `dma_read` has said that its data has begun to come.
    arrived: bool,
    host_error: bool,
    /// Its data has gone to the host, or come from the storage.
    written: bool,
    differs: bool,
    status: Option<StorageStatus>,
}

impl Running {
    /// All of it has happened.
    fn is_over(&self) -> bool {
        match self.operation {
            // The place of a Read may still wait to be taken: `dma_write` will have no use for it.
            _ if self.status == Some(StorageStatus::Refused) => true,
            Operation::Read | Operation::Load | Operation::Compare => self.written && self.status.is_some(),
            _ => self.status.is_some(),
        }
    }
}

/// What a unit does, with whom, and when.
type Kind = (Operation, Target, Turn);

/// Operations of units that are part of no sequence.
const FREE: [Operation; 7] = [
    Operation::Flush,
    Operation::Write,
    Operation::Read,
    Operation::WriteZeroes,
    Operation::Deallocate,
    Operation::WriteUncorrectable,
    Operation::Verify,
];

fn free(rng: &mut Rng) -> Kind {
    let target = if rng.below(5) == 0 { Target::Buffer } else { Target::Storage };
    (*rng.pick(&FREE), target, Turn::Free)
}

/// The units of a sequence, or only the first of them.
fn sequence(rng: &mut Rng) -> Vec<Kind> {
    let more = rng.below(4) as usize;
    let fill = (Operation::Write, Target::Bounce, Turn::Begin);
    let mut kinds = match rng.below(4) {
        0 => vec![fill, (Operation::Compare, Target::Storage, Turn::Finish)],
        1 => {
            let mut kinds = vec![(Operation::Write, Target::Bounce, Turn::Join); more + 2];
            kinds[0] = fill;
            kinds[more + 1] = (Operation::Store, Target::Storage, Turn::Finish);
            kinds
        }
        2 => {
            let load = (Operation::Load, Target::Storage, Turn::Begin);
            vec![load, (Operation::Store, Target::Storage, Turn::Finish)]
        }
        _ => {
            let mut kinds = vec![(Operation::Read, Target::Bounce, Turn::Finish); more + 2];
            kinds[0] = (Operation::Load, Target::Storage, Turn::Begin);
            kinds
        }
    };
    if rng.below(4) == 0 {
        kinds.truncate(1 + more);
    }
    kinds
}

/// Sends units of random contents, which are told apart by their sectors and second pages. Those at the beginning may use all tags at once.
fn send_units(bench: &mut Bench, rng: &mut Rng, count: u64) -> Vec<Fields> {
    let mut kinds: Vec<Kind> = (0..80).map(|_| free(rng)).collect();
    while kinds.len() < count as usize {
        if rng.below(4) == 0 {
            kinds.extend(sequence(rng));
        } else {
            kinds.push(free(rng));
        }
    }
    let units: Vec<Fields> = (0..count)
        .zip(kinds)
        .map(|(number, (operation, target, turn))| {
            let item = bench.random_fields("unit", rng).set("slot", number % 256).set("turn", turn.code());
            item.set("operation", operation.code()).set("target", target.code())
        })
        .collect();
    bench.send("unit", units.iter().map(|unit| unit.clone().words()));
    units
}

/// The bench's side of all streams.
#[derive(Default)]
struct World {
    /// What was sent.
    units: Vec<Fields>,
    /// Something has failed since the last sequence began.
    spoilt: bool,
    running: BTreeMap<u64, Running>,
    ending: Vec<Running>,
    /// Numbers of refused Reads that ended before their places were taken.
    places_to_come: Vec<u64>,
    ended: u64,
    begun: u64,
}

impl World {
    /// The number of the unit in which `field` has this value.
    fn number_of(&self, field: &str, value: u64) -> u64 {
        let at = self.units.iter().position(|unit| unit.get(field) == value);
        at.unwrap_or_else(|| panic!("no unit has {value:#x} as its {field}")) as u64
    }

    /// The unit that the block speaks of under this tag. One that is over has given its tag to another; its end may still wait to be taken.
    fn unit(&mut self, number: u64, tag: u64) -> &mut Running {
        if self.running.get(&tag).is_some_and(|unit| unit.is_over() && unit.number != number) {
            self.ending.extend(self.running.remove(&tag));
        }
        let (begun, sent) = (&mut self.begun, &self.units[number as usize]);
        self.running.entry(tag).or_insert_with(|| {
            *begun += 1;
            let slot = sent.get("slot");
            let [operation, target, turn] = ["operation", "target", "turn"].map(|field| sent.get(field) as usize);
            let (operation, target) = (Operation::VARIANTS[operation], Target::VARIANTS[target]);
            let turn = Turn::VARIANTS[turn];
            let (placed, started, arrived, host_error, written, differs) = Default::default();
            let status = None;
            Running {
                number,
                slot,
                operation,
                target,
                turn,
                placed,
                started,
                arrived,
                host_error,
                written,
                differs,
                status,
            }
        })
    }

    /// Notes a unit that is new, and that it may be in flight now.
    fn meet(&mut self, bench: &mut Bench, number: u64, tag: u64) {
        let begun = self.begun;
        let new = self.unit(number, tag);
        let (operation, turn) = (new.operation, new.turn);
        if self.begun == begun {
            return;
        }
        for other in self.running.values().filter(|other| other.number != number && !other.is_over()) {
            let may_meet = match turn {
                Turn::Free => other.turn == Turn::Free,
                Turn::Begin => false,
                Turn::Join => matches!(other.turn, Turn::Begin | Turn::Join),
                Turn::Finish => other.turn == Turn::Finish,
            };
            assert!(may_meet, "unit {number} ({operation:?}, {turn:?}) meets {other:?}");
        }
        self.spoilt &= turn != Turn::Begin;
        if turn != Turn::Free {
            assert_eq!(bench.peek("spoilt") == 1, self.spoilt, "when unit {number} begins");
        }
        let loads = matches!(operation, Operation::Load | Operation::Compare);
        let is_set = [loads, operation == Operation::Compare, operation == Operation::Store];
        if is_set.contains(&true) {
            let modes = ["loads", "compares", "stores"].map(|mode| bench.peek(mode) == 1);
            assert_eq!(modes, is_set, "with unit {number}, a {operation:?}");
        }
    }

    fn observe(&mut self, bench: &mut Bench) {
        for (stream, operation) in [("read_unit", Operation::Read), ("write_unit", Operation::Write)] {
            for place in bench.drain_fields(stream) {
                let number = self.number_of("place_second", place.get("place_second"));
                assert_repeats(&place, &self.units[number as usize], &PLACE);
                if let Some(at) = self.places_to_come.iter().position(|to_come| *to_come == number) {
                    self.places_to_come.remove(at);
                    continue;
                }
                if let Some(unit) = self.ending.iter_mut().find(|unit| unit.number == number) {
                    unit.placed = true;
                    continue;
                }
                self.meet(bench, number, place.get("tag"));
                let unit = self.unit(number, place.get("tag"));
                assert!(!std::mem::replace(&mut unit.placed, true) && unit.operation == operation);
            }
        }
        for start in bench.drain_fields("start") {
            let number = self.number_of("sector", start.get("command_sector"));
            for (field, of_unit) in START {
                assert_eq!(start.get(field), self.units[number as usize].get(of_unit), "`{field}` of unit {number}");
            }
            let sent = &self.units[number as usize];
            let dwords = sent.get("place_end").wrapping_sub(sent.get("place_begin")) % 16;
            assert_eq!(start.get("last_dwords"), dwords);
            self.meet(bench, number, start.get("command_tag"));
            let unit = self.unit(number, start.get("command_tag"));
            assert!(!std::mem::replace(&mut unit.started, true), "started twice: {unit:?}");
            assert!(unit.operation != Operation::Write || unit.arrived, "started early: {unit:?}");
        }
        for end in bench.drain_fields("unit_end") {
            self.end(&end);
        }
    }

    fn end(&mut self, end: &Fields) {
        let slot = end.get("slot");
        let ends = |unit: &Running| unit.slot == slot && unit.is_over();
        let ending = self.ending.iter().position(ends).map(|at| self.ending.remove(at));
        let tag = self.running.iter().find(|(_, unit)| ends(unit)).map(|(tag, _)| *tag);
        let unit = ending.or_else(|| self.running.remove(&tag?));
        let unit = unit.unwrap_or_else(|| panic!("slot {slot} has no unit that is over"));
        assert_eq!((end.get("host_error") == 1, end.get("differs") == 1), (unit.host_error, unit.differs));
        if unit.operation == Operation::Read && !unit.placed {
            self.places_to_come.push(unit.number);
        }
        if let Some(status) = unit.status {
            assert_eq!(end.get("status"), status.code(), "{unit:?}");
        }
        self.ended += 1;
    }

    /// Makes something happen to one unit.
    fn act(&mut self, bench: &mut Bench, rng: &mut Rng) {
        bench.poke("data_error", 0);
        let tags: Vec<u64> = self.running.keys().copied().collect();
        let Some(&tag) = (!tags.is_empty()).then(|| rng.pick(&tags)) else { return };
        let unit = self.running.get_mut(&tag).expect("it is running");
        let done = if unit.target == Target::Storage { "storage_done" } else { "buffer_done" };
        if unit.operation == Operation::Write && unit.placed && !unit.arrived && bench.pending("arrived") == 0 {
            unit.arrived = true;
            bench.send("arrived", [bench.fields("arrived").set("tag", tag).words()]);
        } else if unit.arrived && unit.status.is_none() && bench.pending(done) == 0 && rng.below(20) == 0 {
            unit.host_error = true;
            self.spoilt = true;
            bench.poke("data_error", 1);
            bench.poke("data_error_tag", tag);
        } else if unit.started && unit.status.is_none() && rng.bool() && bench.pending(done) == 0 {
            let status = *rng.pick(StorageStatus::VARIANTS);
            // A Read that has delivered data is not refused.
            let status = if unit.written { StorageStatus::Good } else { status };
            unit.status = Some(status);
            self.spoilt |= unit.target == Target::Storage && status != StorageStatus::Good;
            bench.send(done, [bench.fields(done).set("tag", tag).set("status", status.code()).words()]);
        } else if unit.operation == Operation::Read
            && unit.started
            && unit.placed
            && !unit.written
            && unit.status != Some(StorageStatus::Refused)
            && bench.pending("written") == 0
        {
            unit.written = true;
            bench.send("written", [bench.fields("written").set("tag", tag).words()]);
        } else if matches!(unit.operation, Operation::Load | Operation::Compare)
            && unit.started
            && !unit.written
            && unit.status != Some(StorageStatus::Refused)
        {
            unit.written = true;
            unit.differs = unit.operation == Operation::Compare && rng.bool();
            bench.send("loaded", [bench.fields("loaded").set("tag", tag).set("differs", unit.differs).words()]);
        }
    }
}

#[test]
fn every_unit_ends_once_when_all_of_it_has_happened() {
    for config in CONFIGS {
        under_all_stalls(&Units::new(config), |bench, rng| {
            let count = 400;
            let units = send_units(bench, rng, count);
            let mut world = World { units, ..World::default() };
            let mut all_tags_used = false;
            for _ in 0..40_000 {
                // One receiver may stall for long while others do not.
                for stream in ["start", "read_unit", "write_unit", "unit_end"] {
                    if rng.percent(5) {
                        bench.hold(stream, rng.bool());
                    }
                }
                bench.clock();
                world.observe(bench);
                assert!(world.running.keys().all(|tag| *tag < config.units.into()), "there are fewer tags");
                all_tags_used |= world.running.len() == config.units as usize;
                if all_tags_used {
                    world.act(bench, rng);
                }
                if world.ended == count && world.places_to_come.is_empty() {
                    break;
                }
            }
            assert_eq!((world.ended, world.begun), (count, count));
            assert!(world.running.is_empty() && world.ending.is_empty() && world.places_to_come.is_empty());
        });
    }
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    for config in CONFIGS {
        // These belong to pulses.
        let ignored = ["begun_slot", "answered_slot"];
        forgets_at_reset(
            &Units::new(config),
            &["arrived", "written", "storage_done", "buffer_done", "loaded"],
            &ignored,
        );
    }
}
