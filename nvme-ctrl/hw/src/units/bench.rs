//! The running block: everything that happens to units, in any order.

use super::Units;
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
const START: [(&str, &str); 7] = [
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
    /// It was given to `dma_read` or announced to `dma_write`.
    placed: bool,
    /// Its target was told.
    started: bool,
    /// `dma_read` has said that its data has begun to come.
    arrived: bool,
    host_error: bool,
    written: bool,
    status: Option<StorageStatus>,
}

impl Running {
    /// All of it has happened.
    fn is_over(&self) -> bool {
        match self.operation {
            Operation::Flush | Operation::Write | Operation::WriteZeroes | Operation::Verify => self.status.is_some(),
            // Its place may still wait to be taken: `dma_write` will have no use for it.
            Operation::Read if self.status == Some(StorageStatus::Refused) => true,
            Operation::Read => self.written && self.status.is_some(),
        }
    }
}

/// Sends units of random contents, which are told apart by their sectors and second pages.
fn send_units(bench: &mut Bench, rng: &mut Rng, count: u64) -> Vec<Fields> {
    let units: Vec<Fields> = (0..count)
        .map(|number| {
            let item = bench.random_fields("unit", rng).set("slot", number % 256);
            item.set("operation", rng.pick(Operation::VARIANTS).code()).set("target", u64::from(rng.below(5) == 0))
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
            let [operation, target] = ["operation", "target"].map(|field| sent.get(field) as usize);
            let (operation, target) = (Operation::VARIANTS[operation], Target::VARIANTS[target]);
            let (placed, started, arrived, host_error, written) = Default::default();
            Running { number, slot, operation, target, placed, started, arrived, host_error, written, status: None }
        })
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
                let unit = self.unit(number, place.get("tag"));
                assert!(!std::mem::replace(&mut unit.placed, true) && unit.operation == operation);
            }
        }
        for start in bench.drain_fields("start") {
            let number = self.number_of("sector", start.get("command_sector"));
            for (field, of_unit) in START {
                assert_eq!(start.get(field), self.units[number as usize].get(of_unit), "`{field}` of unit {number}");
            }
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
        assert_eq!(end.get("host_error") == 1, unit.host_error);
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
        let done = if unit.target == Target::Buffer { "buffer_done" } else { "storage_done" };
        if unit.operation == Operation::Write && unit.placed && !unit.arrived && bench.pending("arrived") == 0 {
            unit.arrived = true;
            bench.send("arrived", [bench.fields("arrived").set("tag", tag).words()]);
        } else if unit.arrived && unit.status.is_none() && bench.pending(done) == 0 && rng.below(20) == 0 {
            unit.host_error = true;
            bench.poke("data_error", 1);
            bench.poke("data_error_tag", tag);
        } else if unit.started && unit.status.is_none() && rng.bool() && bench.pending(done) == 0 {
            let status = *rng.pick(StorageStatus::VARIANTS);
            // A Read that has delivered data is not refused.
            let status = if unit.written { StorageStatus::Good } else { status };
            unit.status = Some(status);
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
        forgets_at_reset(&Units::new(config), &["arrived", "written", "storage_done", "buffer_done"], &[]);
    }
}
