//! The running block.

use super::Slots;
use crate::testing::{under_all_stalls, without_stalls, CONFIGS};
use crate::types::{Operation, StorageStatus, Target};
use nvme_spec::Status;
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::HwEnum;
use std::collections::BTreeMap;

/// A command in its slot, as the bench knows it.
struct Running {
    number: u64,
    units: u64,
    operation: Operation,
    transfer: bool,
    status: Status,
}

/// What the command with this number is.
fn operation_of(number: u64) -> Operation {
    Operation::VARIANTS[(number % 3) as usize]
}

fn bytes_of(number: u64) -> u64 {
    match operation_of(number) {
        Operation::Flush => 0,
        _ => 1 + number * 997 % 60_000,
    }
}

fn is_transfer(number: u64) -> bool {
    number % 7 == 6
}

fn send_commands(bench: &mut Bench, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let item = bench
            .fields("command")
            .set("cid", number)
            .set("sqid", number % 200)
            .set("lba", number << 40)
            .set("operation", operation_of(number).code())
            .set("target", u64::from(is_transfer(number)))
            .set("bytes", bytes_of(number));
        bench.send("command", [item.words()]);
    }
}

/// Takes the jobs that came out; each takes a slot that is free.
fn take_jobs(bench: &mut Bench, running: &mut BTreeMap<u64, Running>, next: &mut u64) {
    for job in bench.drain_fields("job") {
        let number = *next;
        *next += 1;
        assert_eq!((job.get("bytes"), job.get("lba")), (bytes_of(number), number << 40));
        let operation = operation_of(number);
        assert_eq!(job.get("operation"), operation.code());
        let units = bytes_of(number).div_ceil(4096).max(1);
        let row = Running { number, units, operation, transfer: is_transfer(number), status: Status::SUCCESS };
        let slot = job.get("slot");
        assert!(running.insert(slot, row).is_none(), "slot {slot} is taken twice");
    }
}

/// Ends a unit of the command in `slot`, or, rarely, all that are left.
fn end_unit(bench: &mut Bench, rng: &mut Rng, slot: u64, row: &mut Running) {
    if rng.below(12) == 0 {
        row.status = *rng.pick(&[Status::INVALID_PRP_OFFSET, Status::DATA_TRANSFER_ERROR]);
        let item = bench.fields("walk_failure").set("slot", slot).set("units", row.units);
        bench.send("walk_failure", [item.set("status", row.status.raw()).words()]);
        row.units = 0;
        return;
    }
    let host_error = rng.below(20) == 0;
    let storage = match rng.below(10) {
        0 => StorageStatus::MediaError,
        1 => StorageStatus::Refused,
        _ => StorageStatus::Good,
    };
    let status = match storage {
        _ if host_error => Status::DATA_TRANSFER_ERROR,
        StorageStatus::Good => Status::SUCCESS,
        StorageStatus::Refused => Status::LBA_OUT_OF_RANGE,
        StorageStatus::MediaError if row.operation == Operation::Read => Status::UNRECOVERED_READ_ERROR,
        StorageStatus::MediaError => Status::WRITE_FAULT,
    };
    if row.status == Status::SUCCESS {
        row.status = status;
    }
    row.units -= 1;
    let item = bench.fields("unit_end").set("slot", slot).set("status", storage.code()).set("host_error", host_error);
    bench.send("unit_end", [item.words()]);
}

#[test]
fn every_command_has_one_outcome_with_its_first_error() {
    for config in CONFIGS {
        under_all_stalls(&Slots::new(config), |bench, rng| {
            let count = 300;
            send_commands(bench, 0..count);
            let (mut running, mut next, mut done) = (BTreeMap::new(), 0, vec![false; count as usize]);
            // What has ended, by number, until its outcome comes.
            let mut ended: BTreeMap<u64, Running> = BTreeMap::new();
            for _ in 0..60_000 {
                take_jobs(bench, &mut running, &mut next);
                let slots: Vec<u64> = running.keys().copied().collect();
                // One end at a time, so that the order of both streams is that of the bench.
                let idle = bench.pending("unit_end") == 0 && bench.pending("walk_failure") == 0;
                if idle && !slots.is_empty() && rng.bool() {
                    let slot = *rng.pick(&slots);
                    let row = running.get_mut(&slot).expect("it is running");
                    end_unit(bench, rng, slot, row);
                    if row.units == 0 {
                        let row = running.remove(&slot).expect("it is running");
                        ended.insert(row.number, row);
                    }
                }
                bench.clock();
                for stream in ["outcome", "failure"] {
                    for outcome in bench.drain_fields(stream) {
                        let number = outcome.get("cid");
                        let row =
                            ended.remove(&number).unwrap_or_else(|| panic!("{number} has an outcome before its end"));
                        assert_eq!(Status::from_raw(outcome.get("status") as u16), row.status, "of command {number}");
                        assert_eq!(stream == "failure", row.status != Status::SUCCESS && !row.transfer);
                        assert_eq!((outcome.get("sqid"), outcome.get("lba")), (number % 200, number << 40));
                        assert_eq!(outcome.get("target") == Target::Buffer.code(), row.transfer);
                        assert!(!std::mem::replace(&mut done[number as usize], true), "{number} has two outcomes");
                    }
                }
                if done.iter().all(|d| *d) {
                    break;
                }
            }
            assert!(done.iter().all(|d| *d), "{} commands have no outcome", done.iter().filter(|d| !**d).count());
            bench.run(3);
            assert_eq!(bench.peek("quiet"), 1);
        });
    }
}

/// Failures that nobody takes do not hold up what is well.
#[test]
fn failures_wait_alone() {
    for config in CONFIGS {
        without_stalls(&Slots::new(config), |bench| {
            let (mut running, mut next, mut good) = (BTreeMap::new(), 0, 0);
            send_commands(bench, 0..400);
            bench.hold("failure", true);
            let mut failed = 0;
            for _ in 0..4000 {
                // All but two of the slots are filled by failures.
                take_jobs(bench, &mut running, &mut next);
                if let Some((slot, row)) = running.pop_first() {
                    let fails = failed + 2 < config.slots && !row.transfer;
                    failed += u32::from(fails);
                    let status = if fails { Status::INVALID_PRP_OFFSET } else { Status::SUCCESS };
                    let item = bench.fields("walk_failure").set("slot", slot).set("units", row.units);
                    bench.send("walk_failure", [item.set("status", status.raw()).words()]);
                }
                bench.clock();
                good += bench.drain("outcome").len() as u32;
                if good + failed == 400 {
                    break;
                }
            }
            assert_eq!((good, failed), (400 - (config.slots - 2), config.slots - 2));
            bench.hold("failure", false);
            bench.run_until(400, |bench| bench.received("failure").len() == failed as usize);
        });
    }
}
