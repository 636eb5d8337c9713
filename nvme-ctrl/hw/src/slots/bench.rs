//! The running block.

use super::{Slots, UNIT_COUNT_BITS};
use crate::testing::{assert_repeats, forgets_at_reset, under_all_stalls, without_stalls, CONFIGS};
use crate::types::{Operation, StorageStatus, Target};
use nvme_spec::Status;
use rtl_hdl::bench::{Bench, Fields, Rng, Seed};
use rtl_hdl::HwEnum;
use std::collections::{BTreeMap, VecDeque};

/// What a job repeats of its command, and an outcome.
const JOB: [&str; 9] = ["function", "target", "nsid", "sector", "large_blocks", "bytes", "fua", "prp1", "prp2"];
const OUTCOME: [&str; 10] =
    ["sqid", "function", "cid", "opcode", "nsid", "target", "errand", "lba", "blocks", "large_blocks"];

/// What commands do; the other operations are those of units.
const COMMANDS: &[Operation] = &[
    Operation::Flush,
    Operation::Write,
    Operation::Read,
    Operation::WriteZeroes,
    Operation::Deallocate,
    Operation::WriteUncorrectable,
    Operation::Verify,
    Operation::Compare,
    Operation::Copy,
];

/// A command in its slot, as the bench knows it.
struct Running {
    command: Fields,
    units: u64,
    operation: Operation,
    status: Status,
    /// Nothing of it has ended.
    is_new: bool,
    /// Its walk has ended: nothing else ends more than one unit, and if it failed the status is final.
    walk_ended: bool,
}

impl Running {
    /// Its outcome is firmware's.
    fn is_transfer(&self) -> bool {
        self.command.get("target") == Target::Buffer.code() || self.command.get("errand") == 1
    }
}

/// Sends commands of random contents, which are told apart by their `cid`.
fn send_commands(bench: &mut Bench, rng: &mut Rng, cids: std::ops::Range<u64>) -> Vec<Fields> {
    let commands = cids.map(|cid| {
        let operation = *rng.pick(COMMANDS);
        let few = 4 * rng.below(15_000);
        let bytes = if operation == Operation::Flush { 0 } else { *rng.pick(&[few, few, few, 0, 4096, 4100, 2 << 20]) };
        let item = bench.random_fields("command", rng).set("cid", cid).set("bytes", bytes);
        let item = item.set("operation", operation.code()).set("target", u64::from(rng.below(7) == 0));
        item.set("errand", u64::from(rng.below(9) == 0)).set("fused", 0u8)
    });
    let commands: Vec<Fields> = commands.collect();
    bench.send("command", commands.iter().map(|command| command.clone().words()));
    commands
}

/// Takes the jobs that came out; each takes a slot that is free.
fn take_jobs(bench: &mut Bench, running: &mut BTreeMap<u64, Running>, commands: &mut VecDeque<Fields>) {
    for job in bench.drain_fields("job") {
        let command = commands.pop_front().expect("no more jobs than commands");
        assert_repeats(&job, &command, &JOB);
        let bytes = command.get("bytes");
        let operation = match bytes {
            0 => Operation::Flush,
            _ => Operation::VARIANTS[command.get("operation") as usize],
        };
        assert_eq!(job.get("operation"), operation.code());
        let is_sgl =
            command.get("sgl") == 1 && matches!(operation, Operation::Write | Operation::Read | Operation::Compare);
        let pieces = bytes.div_ceil(4096).max(1);
        let units = match operation {
            _ if is_sgl => (1 << UNIT_COUNT_BITS) - 1,
            Operation::Compare | Operation::Copy => 2 * pieces,
            _ => pieces,
        };
        assert_eq!((job.get("sgl") == 1, job.get("units")), (is_sgl, units));
        let row = Running { command, units, operation, status: Status::SUCCESS, is_new: true, walk_ended: false };
        let slot = job.get("slot");
        assert!(running.insert(slot, row).is_none(), "slot {slot} is taken twice");
    }
}

/// Ends the walk of the command in `slot`, so that `units` of it are not issued.
fn end_walk(bench: &mut Bench, slot: u64, row: &mut Running, units: u64, status: Status) {
    (row.walk_ended, row.is_new) = (true, false);
    if status != Status::SUCCESS {
        row.status = status;
    }
    row.units -= units;
    let item = bench.fields("walk_end").set("slot", slot).set("units", units).set("status", status.raw());
    bench.send("walk_end", [item.words()]);
}

/// Ends a unit of the command in `slot`, or, rarely, many.
fn end_units(bench: &mut Bench, rng: &mut Rng, slot: u64, row: &mut Running) {
    if !row.walk_ended && (rng.below(12) == 0 || row.units > 20) {
        let few = row.units - row.units.min(20) / 2;
        let any = if row.units > 512 { few } else { 1 + rng.below(row.units) };
        let units = *rng.pick(&[row.units, any, few]);
        let failure = Status::from_raw(1 + rng.below((1 << 15) - 1) as u16);
        return end_walk(bench, slot, row, units, *rng.pick(&[failure, Status::SUCCESS]));
    }
    let host_error = rng.below(20) == 0;
    let storage = match rng.below(10) {
        0 => StorageStatus::MediaError,
        1 => StorageStatus::Refused,
        _ => StorageStatus::Good,
    };
    let differs = row.operation == Operation::Compare && rng.below(4) == 0;
    let status = match storage {
        _ if host_error => Status::DATA_TRANSFER_ERROR,
        StorageStatus::Good if differs => Status::COMPARE_FAILURE,
        StorageStatus::Good => Status::SUCCESS,
        StorageStatus::Refused => Status::LBA_OUT_OF_RANGE,
        StorageStatus::MediaError
            if matches!(row.operation, Operation::Read | Operation::Verify | Operation::Compare) =>
        {
            Status::UNRECOVERED_READ_ERROR
        }
        StorageStatus::MediaError if row.operation == Operation::Copy && row.is_new => Status::UNRECOVERED_READ_ERROR,
        StorageStatus::MediaError => Status::WRITE_FAULT,
    };
    if row.status == Status::SUCCESS {
        row.status = status;
    }
    row.is_new = false;
    row.units -= 1;
    let item = bench.fields("unit_end").set("slot", slot).set("status", storage.code()).set("host_error", host_error);
    bench.send("unit_end", [item.set("differs", differs).words()]);
}

#[test]
fn every_command_has_one_outcome_with_its_first_error() {
    for config in CONFIGS {
        under_all_stalls(&Slots::new(config), |bench, rng| {
            let count = 300;
            let (mut sent, mut commands, mut running) = (0, VecDeque::new(), BTreeMap::new());
            // What has ended, by `cid`, until its outcome comes.
            let mut ended: BTreeMap<u64, Running> = BTreeMap::new();
            let mut done = 0;
            assert_eq!(bench.peek("quiet"), 1, "there is nothing yet");
            while done < count {
                // All at once, or one after the other, or with rests between.
                if sent < count && rng.percent(if sent == done { 5 } else { 1 }) {
                    let more = (*rng.pick(&[1, 2, 100])).min(count - sent);
                    commands.extend(send_commands(bench, rng, sent..sent + more));
                    sent += more;
                }
                take_jobs(bench, &mut running, &mut commands);
                assert!(running.keys().all(|slot| *slot < config.slots.into()), "there are fewer slots");
                let slots: Vec<u64> = running.keys().copied().collect();
                // One end at a time, so that the order of both streams is that of the bench.
                let idle = bench.pending("unit_end") == 0 && bench.pending("walk_end") == 0;
                if idle && !slots.is_empty() && rng.percent(80) {
                    let slot = *rng.pick(&slots);
                    let row = running.get_mut(&slot).expect("it is running");
                    end_units(bench, rng, slot, row);
                    if row.units == 0 {
                        let row = running.remove(&slot).expect("it is running");
                        ended.insert(row.command.get("cid"), row);
                    }
                }
                bench.clock();
                for stream in ["outcome", "failure"] {
                    for outcome in bench.drain_fields(stream) {
                        let cid = outcome.get("cid");
                        let row = ended.remove(&cid).unwrap_or_else(|| panic!("{cid} has an outcome before its end"));
                        assert_repeats(&outcome, &row.command, &OUTCOME);
                        assert_eq!(Status::from_raw(outcome.get("status") as u16), row.status, "of command {cid}");
                        assert_eq!(stream == "failure", row.status != Status::SUCCESS && !row.is_transfer());
                        done += 1;
                    }
                }
                let inside = sent - bench.pending("command") as u64 - done;
                assert!(bench.peek("quiet") == 0 || inside == 0, "quiet with {inside} commands");
                assert!(bench.clocks() < 60_000, "{} commands have no outcome", count - done);
            }
            bench.run(3);
            assert_eq!(bench.peek("quiet"), 1);
        });
    }
}

/// A Write that is fused with a Compare waits for that, and ends with it if it fails; so does everything behind it.
#[test]
fn a_fused_write_follows_its_compare() {
    for config in CONFIGS {
        under_all_stalls(&Slots::new(config), |bench, rng| {
            let count = 60;
            let command = |bench: &Bench, cid: u64, operation: Operation, fused: bool| {
                let item = bench.fields("command").set("cid", cid).set("operation", operation.code());
                item.set("bytes", 512u64).set("fused", fused).words()
            };
            for cid in (0..count).map(|pair| 3 * pair) {
                let kinds = [(Operation::Compare, true), (Operation::Write, true), (Operation::Read, false)];
                let items: Vec<_> =
                    (cid..).zip(kinds).map(|(cid, (operation, fused))| command(bench, cid, operation, fused)).collect();
                bench.send("command", items);
            }
            for pair in 0..count {
                let job = |bench: &mut Bench| {
                    bench.run_until(200, |bench| !bench.received("job").is_empty());
                    let mut jobs = bench.drain_fields("job");
                    assert_eq!(jobs.len(), 1, "one at a time");
                    jobs.remove(0)
                };
                let end = |bench: &mut Bench, job: &Fields, differs: bool| {
                    let item = bench.fields("unit_end").set("slot", job.get("slot")).set("differs", differs);
                    bench.send("unit_end", [item.words()]);
                };
                let compare = job(bench);
                assert_eq!(compare.get("operation"), Operation::Compare.code());
                bench.run(rng.below(30));
                end(bench, &compare, false);
                bench.run(10);
                assert!(bench.received("job").is_empty(), "its other unit is still under way");
                let differs = rng.bool();
                end(bench, &compare, differs);
                if !differs {
                    let write = job(bench);
                    assert_eq!(write.get("operation"), Operation::Write.code());
                    end(bench, &write, false);
                }
                let read = job(bench);
                assert_eq!(read.get("operation"), Operation::Read.code());
                end(bench, &read, false);
                let ends = |bench: &Bench| bench.received("outcome").len() + bench.received("failure").len();
                bench.run_until(200, |bench| ends(bench) == 3);
                let statuses = |bench: &mut Bench, stream: &str| -> Vec<_> {
                    let ends = bench.drain_fields(stream);
                    ends.iter().map(|end| (end.get("cid"), Status::from_raw(end.get("status") as u16))).collect()
                };
                let failures = [Status::COMPARE_FAILURE, Status::FAILED_FUSED_COMMAND];
                let failed = if differs { (3 * pair..).zip(failures).collect() } else { vec![] };
                assert_eq!(statuses(bench, "failure"), failed);
                assert!(statuses(bench, "outcome").iter().all(|(_, status)| status.is_success()));
            }
        });
    }
}

/// No piece of an errand comes between a Compare and its Write, and none waits for a Write that does not come; a transfer goes on.
#[test]
fn an_errand_waits_for_a_pair() {
    for config in CONFIGS {
        without_stalls(&Slots::new(config), |bench| {
            for (comes, is_errand) in [(true, true), (false, true), (true, false)] {
                let command = |bench: &Bench, operation: Operation, fused: bool| {
                    bench.fields("command").set("operation", operation.code()).set("bytes", 512u64).set("fused", fused)
                };
                let end = |bench: &mut Bench, job: &Fields| {
                    let item = bench.fields("unit_end").set("slot", job.get("slot")).words();
                    bench.send("unit_end", (0..job.get("units")).map(|_| item.clone()));
                };
                let compare = command(bench, Operation::Compare, true).words();
                bench.send("command", [compare]);
                if comes {
                    let write = command(bench, Operation::Write, true).words();
                    bench.send("command", [write]);
                }
                bench.run(10);
                let target = if is_errand { Target::Storage } else { Target::Buffer };
                let item = bench.fields("transfer").set("operation", Operation::WriteZeroes.code());
                let item = item.set("target", target.code()).set("errand", is_errand).set("bytes", 512u64);
                bench.send("transfer", [item.words()]);
                bench.run(30);
                let [compare, rest @ ..] = &bench.drain_fields("job")[..] else { panic!("the Compare begins") };
                assert_eq!(rest.len(), usize::from(!is_errand));
                end(bench, compare);
                bench.run(30);
                let jobs = bench.drain_fields("job");
                let operations: Vec<_> = jobs.iter().map(|job| job.get("operation")).collect();
                let [write, zeroes] = [Operation::Write, Operation::WriteZeroes].map(HwEnum::code);
                let expected = match (comes, is_errand) {
                    (true, true) => vec![write, zeroes],
                    (true, false) => vec![write],
                    (false, _) => vec![zeroes],
                };
                assert_eq!(operations, expected, "the Write comes: {comes}, an errand: {is_errand}");
                jobs.iter().chain(rest).for_each(|job| end(bench, job));
                bench.run(30);
                assert_eq!(bench.drain("outcome").len(), 2 + usize::from(comes));
                // Another command: what was to come of the pair is forgotten.
                let read = command(bench, Operation::Read, false).words();
                bench.send("command", [read]);
                bench.run(10);
                bench.drain_fields("job").iter().for_each(|job| end(bench, job));
                bench.run(10);
                assert_eq!(bench.drain("outcome").len(), 1);
            }
        });
    }
}

/// `drain` waits for all that is there and at the door, whole pairs, and for nothing that comes later.
#[test]
fn a_drain_waits_for_what_was_there() {
    for config in CONFIGS {
        // What is sent is at the door at once: that is what `decode` says by `pair_comes`.
        without_stalls(&Slots::new(config), |bench| {
            let rng = &mut Seed::from_env_or(0xD4A1).rng("commands");
            let command = |bench: &Bench, cid: u64, operation: Operation, fused: bool| {
                let item = bench.fields("command").set("cid", cid).set("operation", operation.code());
                item.set("bytes", 512u64).set("fused", fused).words()
            };
            let (mut next_cid, mut drained_below, mut drains) = (0, None, 0);
            let (mut open, mut ended) = (BTreeMap::new(), Vec::new());
            let mut pair_comes = false;
            while drains < 60 {
                // The second half of a pair comes when it wants to; nothing comes between.
                if pair_comes && rng.percent(10) {
                    let write = command(bench, next_cid, Operation::Write, true);
                    bench.send("command", [write]);
                    open.insert(next_cid, ());
                    next_cid += 1;
                    pair_comes = false;
                } else if !pair_comes && bench.pending("command") == 0 && rng.percent(40) {
                    pair_comes = rng.percent(30);
                    let operation = if pair_comes { Operation::Compare } else { Operation::Read };
                    let first = command(bench, next_cid, operation, pair_comes);
                    bench.send("command", [first]);
                    open.insert(next_cid, ());
                    next_cid += 1;
                }
                bench.poke("pair_comes", pair_comes.into());
                if drained_below.is_none() && rng.percent(5) {
                    assert_eq!(bench.peek("drains"), 0);
                    bench.poke("drain", 1);
                    drained_below = Some(next_cid + u64::from(pair_comes));
                }
                bench.hold("job", rng.percent(40));
                if rng.percent(60) {
                    for job in bench.drain_fields("job") {
                        let units = job.get("units");
                        ended.extend((0..units).map(|_| job.get("slot")));
                    }
                    if !ended.is_empty() {
                        let slot = ended.remove(0);
                        let item = bench.fields("unit_end").set("slot", slot).set("host_error", rng.percent(10));
                        bench.send("unit_end", [item.words()]);
                    }
                }
                bench.clock();
                bench.poke("drain", 0);
                let is_drained = bench.peek("drains") == 0;
                if is_drained {
                    // The last outcome has left the slots, and is on its way.
                    bench.clock();
                }
                for stream in ["outcome", "failure"] {
                    for end in bench.drain_fields(stream) {
                        open.remove(&end.get("cid"));
                    }
                }
                if let Some(below) = drained_below.filter(|_| is_drained) {
                    assert!(open.keys().all(|cid| *cid >= below), "{below} is drained, and {:?} is there", open.keys());
                    (drained_below, drains) = (None, drains + 1);
                }
                assert!(bench.clocks() < 60_000, "{drains} drains");
            }
        });
    }
}

/// Failures that nobody takes do not hold up what is well.
#[test]
fn failures_wait_alone() {
    for config in CONFIGS {
        without_stalls(&Slots::new(config), |bench| {
            let (mut running, mut good, mut failed) = (BTreeMap::new(), 0, 0);
            let rng = &mut Seed::from_env_or(0xFA11).rng("commands");
            let mut commands = send_commands(bench, rng, 0..400).into();
            bench.hold("failure", true);
            for _ in 0..4000 {
                // All but two of the slots are filled by failures.
                take_jobs(bench, &mut running, &mut commands);
                if let Some((slot, mut row)) = running.pop_first() {
                    let fails = failed + 2 < config.slots && !row.is_transfer();
                    failed += u32::from(fails);
                    let status = if fails { Status::INVALID_PRP_OFFSET } else { Status::SUCCESS };
                    let units = row.units;
                    end_walk(bench, slot, &mut row, units, status);
                }
                bench.clock();
                good += bench.drain("outcome").len() as u32;
                if good + failed == 400 {
                    break;
                }
            }
            assert_eq!((good, failed), (400 - (config.slots - 2), config.slots - 2));
            bench.hold("failure", false);
            bench.run_until(800, |bench| bench.received("failure").len() == failed as usize);
        });
    }
}

/// A command whose only unit is ending when the reset comes has no outcome after it.
#[test]
fn an_end_on_its_way_is_forgotten_at_a_reset() {
    for config in CONFIGS {
        without_stalls(&Slots::new(config), |bench| {
            for clocks in 0..6 {
                bench.send("command", [bench.fields("command").words()]);
                bench.run_until(20, |bench| !bench.received("job").is_empty());
                let slot = bench.drain_fields("job")[0].get("slot");
                let end = bench.fields("walk_end").set("slot", slot).set("units", 1u8).set("status", clocks % 2);
                bench.send("walk_end", [end.words()]);
                bench.run(clocks);
                bench.clear("walk_end");
                bench.reset(1);
                // It may have come before.
                bench.drain("outcome");
                bench.drain("failure");
                bench.run(20);
                assert!(bench.received("outcome").is_empty() && bench.received("failure").is_empty());
            }
        });
    }
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    for config in CONFIGS {
        // These belong to pulses.
        let ignored = ["finished_slot", "reported_slot"];
        forgets_at_reset(&Slots::new(config), &["unit_end", "walk_end"], &ignored);
    }
}
