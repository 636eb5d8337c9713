//! The running block: everything that happens to units, in any order.

use super::Units;
use crate::testing::{under_all_stalls, CONFIGS};
use crate::types::{Operation, StorageStatus, Target};
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::HwEnum;
use std::collections::BTreeMap;

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
    /// `dma_read` has said that its data is there, or that it could not be read.
    arrived: bool,
    host_error: bool,
    written: bool,
    status: Option<StorageStatus>,
}

impl Running {
    /// All of it has happened.
    fn is_over(&self) -> bool {
        match self.operation {
            Operation::Flush => self.status.is_some(),
            Operation::Write => self.host_error || self.status.is_some(),
            // Its place may still wait to be taken: `dma_write` will have no use for it.
            Operation::Read if self.status == Some(StorageStatus::Refused) => true,
            Operation::Read => self.written && self.status.is_some(),
        }
    }
}

fn operation_of(number: u64) -> Operation {
    Operation::VARIANTS[(number * 7 % 3) as usize]
}

fn target_of(number: u64) -> Target {
    Target::VARIANTS[usize::from(number.is_multiple_of(5))]
}

fn send_units(bench: &mut Bench, count: u64) {
    for number in 0..count {
        let item = bench.fields("unit").set("slot", number % 256).set("lba", number).set("nsid", 1u8);
        let item = item.set("operation", operation_of(number).code()).set("target", target_of(number).code());
        // The place carries the number too, so that it is known by whatever comes first.
        bench.send("unit", [item.set("place_second", number).set("place_beats", 1 + number % 64).words()]);
    }
}

/// The bench's side of all streams.
#[derive(Default)]
struct World {
    running: BTreeMap<u64, Running>,
    ending: Vec<Running>,
    /// Numbers of refused Reads that ended before their places were taken.
    places_to_come: Vec<u64>,
    ended: u64,
    begun: u64,
}

impl World {
    /// The unit that the block speaks of under this tag. One that is over has given its tag to another; its end may still wait to be taken.
    fn unit(&mut self, number: u64, tag: u64) -> &mut Running {
        if self.running.get(&tag).is_some_and(|unit| unit.is_over() && unit.number != number) {
            self.ending.extend(self.running.remove(&tag));
        }
        let begun = &mut self.begun;
        self.running.entry(tag).or_insert_with(|| {
            *begun += 1;
            let (slot, operation, target) = (number % 256, operation_of(number), target_of(number));
            let (placed, started, arrived, host_error, written) = Default::default();
            Running { number, slot, operation, target, placed, started, arrived, host_error, written, status: None }
        })
    }

    fn observe(&mut self, bench: &mut Bench) {
        for (stream, operation) in [("read_unit", Operation::Read), ("write_unit", Operation::Write)] {
            for place in bench.drain_fields(stream) {
                if let Some(at) = self.places_to_come.iter().position(|number| *number == place.get("place_second")) {
                    self.places_to_come.remove(at);
                    continue;
                }
                let number = place.get("place_second");
                if let Some(unit) = self.ending.iter_mut().find(|unit| unit.number == number) {
                    unit.placed = true;
                    continue;
                }
                let unit = self.unit(number, place.get("tag"));
                assert!(!std::mem::replace(&mut unit.placed, true) && unit.operation == operation);
                assert_eq!(place.get("target"), unit.target.code());
            }
        }
        for start in bench.drain_fields("start") {
            let unit = self.unit(start.get("command_lba"), start.get("command_tag"));
            assert!(!std::mem::replace(&mut unit.started, true), "started twice: {unit:?}");
            assert!(unit.operation != Operation::Write || unit.arrived && !unit.host_error, "started early: {unit:?}");
            assert_eq!(start.get("command_operation"), unit.operation.code());
            assert_eq!(start.get("target"), unit.target.code());
            assert_eq!(start.get("command_lba") % 256, unit.slot);
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
        let tags: Vec<u64> = self.running.keys().copied().collect();
        let Some(&tag) = (!tags.is_empty()).then(|| rng.pick(&tags)) else { return };
        let unit = self.running.get_mut(&tag).expect("it is running");
        let done = if unit.target == Target::Buffer { "buffer_done" } else { "storage_done" };
        if unit.operation == Operation::Write && unit.placed && !unit.arrived && bench.pending("arrived") == 0 {
            unit.arrived = true;
            unit.host_error = rng.below(6) == 0;
            bench.send("arrived", [bench.fields("arrived").set("tag", tag).set("error", unit.host_error).words()]);
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
            send_units(bench, count);
            let mut world = World::default();
            for _ in 0..40_000 {
                bench.clock();
                world.observe(bench);
                assert!(world.running.len() <= config.units as usize);
                world.act(bench, rng);
                if world.ended == count {
                    break;
                }
            }
            assert_eq!((world.ended, world.begun), (count, count));
            assert!(world.running.is_empty() && world.ending.is_empty() && world.places_to_come.is_empty());
        });
    }
}
