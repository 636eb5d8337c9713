//! Copy: group K16.

use nvme_spec::copy::SourceRange;
use nvme_spec::firmware_port::capabilities::{NAMESPACE_BASE, NAMESPACE_FORMAT, STORAGE_COPY, STORAGE_ERASE};
use nvme_spec::identify::{IdentifyController, IdentifyNamespace};
use nvme_spec::limits::HELD_COMMANDS;
use nvme_spec::log::SmartLog;
use nvme_spec::opcode::{admin, io};
use nvme_spec::{SqEntry, Status};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::bench::{
    abort, command, create_cq, create_sq, delete_sq, get_log_page, identify, set_features, Bench, CC_ENABLED, DATA,
    PRIVATE_BLOCKS,
};

/// The slots of I/O queues 1 and 2 of function 0.
const SLOT: u8 = 2;
const OTHER_SLOT: u8 = 3;

/// Sectors that are copied at a time.
const STEP: u32 = 128;

fn ready() -> Bench {
    let capabilities = NAMESPACE_BASE.mask() | NAMESPACE_FORMAT.mask() | STORAGE_ERASE.mask() | STORAGE_COPY.mask();
    let mut bench = Bench::with(2, capabilities as u32);
    for qid in 1..=2 {
        bench.execute(0, create_cq(qid, 16)).ok();
        bench.execute(0, create_sq(qid, 16, qid)).ok();
    }
    bench
}

/// A Copy of these ranges, of first block and number of blocks, to a block.
fn copy(bench: &mut Bench, destination: u64, ranges: &[(u64, u32)]) -> SqEntry {
    let wire = ranges.iter().flat_map(|(lba, blocks)| {
        let mut range = SourceRange::new_zeroed();
        (range.slba, range.nlb) = ((*lba).into(), ((blocks - 1) as u16).into());
        range.as_bytes().to_vec()
    });
    bench.port().host_data.insert(DATA, wire.collect());
    command(io::COPY, 1, &[destination as u32, (destination >> 32) as u32, ranges.len() as u32 - 1])
}

fn copied(bench: &mut Bench) -> Vec<(u32, u32, u32)> {
    std::mem::take(&mut bench.port().copied)
}

/// Submits a Copy, and polls until the hardware is at its first step.
fn begin(bench: &mut Bench, blocks: u32) -> u16 {
    let entry = copy(bench, 10_000, &[(0, blocks)]);
    let cid = bench.submit(SLOT, entry);
    poll_until(bench, |bench| bench.port().is_at_errand());
    cid
}

/// Polls until something is so, which takes a few polls.
#[track_caller]
fn poll_until(bench: &mut Bench, mut is_so: impl FnMut(&mut Bench) -> bool) {
    for _ in 0..500 {
        if is_so(bench) {
            return;
        }
        bench.polls(1);
    }
    panic!("it never is");
}

fn smart(bench: &mut Bench) -> SmartLog {
    SmartLog::read_from_bytes(&bench.admin(get_log_page(2, 512)).data()).unwrap()
}

#[test]
fn ranges_are_copied_in_order_and_in_steps() {
    let mut bench = ready();
    let entry = copy(&mut bench, 20_000, &[(5, 3), (7, 1), (100, 300)]);
    assert_eq!(bench.execute(SLOT, entry).ok(), 0);
    let steps = [(100, 20_004, STEP), (228, 20_132, STEP), (356, 20_260, 44)];
    assert_eq!(copied(&mut bench), [&[(5, 20_000, 3), (7, 20_003, 1)], &steps[..]].concat());
    let entry = copy(&mut bench, 0, &[(9, 1); 128]);
    bench.execute(SLOT, entry).ok();
    assert_eq!(copied(&mut bench), (0..128).map(|at| (9, at, 1)).collect::<Vec<_>>());
    // A namespace of large blocks has eight sectors in each.
    bench.admin(command(admin::FORMAT_NVM, 1, &[1])).ok();
    let entry = copy(&mut bench, 50, &[(1, 2)]);
    bench.execute(SLOT, entry).ok();
    assert_eq!(copied(&mut bench), [(8, 400, 16)]);
}

/// NVM Command Set, "SMART Host Read Command" and "User Data Out Command".
#[test]
fn copies_are_counted() {
    let mut bench = ready();
    assert_eq!(smart(&mut bench).host_write_commands.get(), 0);
    for _ in 0..2 {
        let entry = copy(&mut bench, 20_000, &[(0, 600), (0, 100)]);
        bench.execute(SLOT, entry).ok();
    }
    let log = smart(&mut bench);
    assert_eq!((log.host_read_commands.get(), log.host_write_commands.get()), (2, 2));
    assert_eq!((log.data_units_read.get(), log.data_units_written.get()), (0, 2));
}

#[test]
fn what_is_announced_is_there() {
    let mut bench = ready();
    let controller = IdentifyController::read_from_bytes(&bench.admin(identify(1, 0)).data()).unwrap();
    assert_eq!((controller.oncs.get() >> 8 & 1, controller.ocfs.get()), (1, 1));
    for nsid in [1, !0] {
        let namespace = IdentifyNamespace::read_from_bytes(&bench.admin(identify(0, nsid)).data()).unwrap();
        assert_eq!((namespace.mssrl.get(), namespace.mcl.get(), namespace.msrc), (4096, 65_536, 127));
    }
    let effects = |bench: &mut Bench| {
        let page = bench.admin(get_log_page(5, 4096)).data();
        u32::from_le_bytes(page[1024 + 4 * 0x19..][..4].try_into().unwrap())
    };
    assert_eq!(effects(&mut bench), 3, "supported, and it changes logical blocks");

    let mut bench = Bench::with(2, (NAMESPACE_BASE.mask() | STORAGE_ERASE.mask()) as u32);
    bench.execute(0, create_cq(1, 16)).ok();
    bench.execute(0, create_sq(1, 16, 1)).ok();
    let entry = copy(&mut bench, 0, &[(1, 1)]);
    assert_eq!(bench.execute(SLOT, entry).status.code(), Status::INVALID_OPCODE);
    let controller = IdentifyController::read_from_bytes(&bench.admin(identify(1, 0)).data()).unwrap();
    assert_eq!((controller.oncs.get() >> 8 & 1, controller.ocfs.get()), (0, 0));
    let namespace = IdentifyNamespace::read_from_bytes(&bench.admin(identify(0, 1)).data()).unwrap();
    assert_eq!((namespace.mssrl.get(), namespace.mcl.get(), namespace.msrc), (0, 0, 0));
    assert_eq!(effects(&mut bench), 0);
}

#[test]
fn nothing_is_copied_by_a_command_that_is_refused() {
    let mut bench = ready();
    let end = PRIVATE_BLOCKS;
    type Case<'a> = (u64, &'a [(u64, u32)], Status);
    let cases: [Case; 7] = [
        (0, &[(0, 1), (end, 1)], Status::LBA_OUT_OF_RANGE),
        (0, &[(0, 1), (end - 1, 2), (0, 1)], Status::LBA_OUT_OF_RANGE),
        (end - 1, &[(0, 1), (1, 1)], Status::LBA_OUT_OF_RANGE),
        (u64::MAX, &[(0, 1)], Status::LBA_OUT_OF_RANGE),
        (0, &[(0, 4097)], Status::COMMAND_SIZE_LIMIT_EXCEEDED),
        (0, &[(0, 4096); 17], Status::COMMAND_SIZE_LIMIT_EXCEEDED),
        (0, &[(0, 1); 129], Status::COMMAND_SIZE_LIMIT_EXCEEDED),
    ];
    for (destination, ranges, status) in cases {
        let entry = copy(&mut bench, destination, ranges);
        let done = bench.execute(SLOT, entry);
        assert_eq!((done.status.code(), done.result), (status, 0), "{destination}, {ranges:?}");
    }
    let entry = copy(&mut bench, 0, &[(1, 1)]);
    let mut other_format = entry;
    other_format.cdw10[2] = (1 << 8).into();
    for (entry, status) in [
        (other_format, Status::INVALID_FIELD),
        (SqEntry { flags: 1, ..entry }, Status::INVALID_FIELD),
        (SqEntry { nsid: 9.into(), ..entry }, Status::INVALID_NAMESPACE),
        (SqEntry { prp: [1.into(), 0.into()], ..entry }, Status::INVALID_PRP_OFFSET),
    ] {
        assert_eq!(bench.execute(SLOT, entry).status.code(), status, "{entry:x?}");
    }
    bench.port().transfer_status = Status::DATA_TRANSFER_ERROR;
    assert_eq!(bench.execute(SLOT, entry).status.code(), Status::DATA_TRANSFER_ERROR);
    bench.port().transfer_status = Status::SUCCESS;
    assert_eq!(copied(&mut bench), []);
    assert_eq!(smart(&mut bench).host_write_commands.get(), 0);
}

/// "Command Completion": dword 0 is the number of the first range that was not copied.
#[test]
fn a_failure_names_its_range() {
    let mut bench = ready();
    let entry = copy(&mut bench, 20_000, &[(0, 1), (1, 200), (3, 1)]);
    let cid = bench.submit(SLOT, entry);
    poll_until(&mut bench, |bench| bench.port().copied.len() == 3);
    bench.port().errand_status = Status::UNRECOVERED_READ_ERROR;
    bench.polls(20);
    let [done] = bench.completions_of(SLOT, cid)[..] else { panic!("it is completed once") };
    assert_eq!((done.status, done.result), (Status::UNRECOVERED_READ_ERROR, 1));
    assert_eq!(copied(&mut bench), [(0, 20_000, 1), (1, 20_001, STEP), (129, 20_129, 72)]);
    bench.port().errand_status = Status::SUCCESS;
    let entry = copy(&mut bench, 20_000, &[(0, 1)]);
    bench.execute(SLOT, entry).ok();
}

/// Other commands go on between the steps; a second Copy follows the first.
#[test]
fn other_commands_have_their_turn() {
    let mut bench = ready();
    bench.port().errand_busy_reads = 12;
    let first = begin(&mut bench, 4000);
    let entry = copy(&mut bench, 30_000, &[(7, 1)]);
    let second = bench.submit(OTHER_SLOT, entry);
    bench.admin(identify(1, 0)).data();
    let ranges = command(io::DATASET_MANAGEMENT, 1, &[0, 4]);
    bench.port().host_data.insert(DATA, [[0; 4], 2_u32.to_le_bytes(), 9_u32.to_le_bytes(), [0; 4]].concat());
    bench.execute(OTHER_SLOT, ranges).ok();
    assert_eq!(bench.port().erased, [(9, 2)]);
    assert!(bench.completions_of(SLOT, first).is_empty(), "it goes on");
    bench.port().host_data.insert(DATA, copy_of(7));
    bench.run_to_rest();
    for (slot, cid) in [(SLOT, first), (OTHER_SLOT, second)] {
        assert_eq!(bench.completions_of(slot, cid).len(), 1);
    }
    let steps = copied(&mut bench);
    assert_eq!(steps.iter().map(|(.., sectors)| sectors).sum::<u32>(), 4001);
    assert_eq!(steps.last(), Some(&(7, 30_000, 1)));
}

/// The bytes of a range of one block.
fn copy_of(lba: u64) -> Vec<u8> {
    let mut range = SourceRange::new_zeroed();
    range.slba = lba.into();
    range.as_bytes().to_vec()
}

/// However many wait, other commands have their turn, and none is lost; of more than can be held the rest is refused.
#[test]
fn many_wait_for_their_turn() {
    let mut bench = ready();
    bench.port().host_data.insert(DATA, copy_of(7));
    let entry = command(io::COPY, 1, &[100]);
    let mut cids: Vec<u16> = (0..HELD_COMMANDS + 5).map(|_| bench.submit(SLOT, entry)).collect();
    // The hardware is at the first one all the time.
    bench.port().errand_busy_reads = u32::MAX;
    bench.polls(HELD_COMMANDS);
    assert_eq!(bench.port().inbox_len(), 0);
    bench.admin(identify(1, 0)).data();
    let aborted = cids.remove(2000);
    assert_eq!(bench.execute(0, abort(1, aborted)).ok(), 0, "aborted");
    assert_eq!(bench.completions_of(SLOT, aborted)[0].status, Status::ABORT_REQUESTED);
    for surplus in cids.split_off(HELD_COMMANDS as usize) {
        assert_eq!(bench.completions_of(SLOT, surplus)[0].status, Status::HELD_COMMAND_LIMIT_EXCEEDED);
    }
    bench.port().end_errand();
    bench.polls(10 * HELD_COMMANDS);
    for cid in &cids {
        let [done] = bench.completions_of(SLOT, *cid)[..] else { panic!("{cid} is completed once") };
        assert_eq!(done.status, Status::SUCCESS);
    }
    assert_eq!(copied(&mut bench).len(), cids.len());
}

/// NVMe Base, "Abort command": what waits ends at once, and what is copied after a step.
#[test]
fn copies_are_aborted() {
    let mut bench = ready();
    let active = begin(&mut bench, 4000);
    let entry = copy(&mut bench, 0, &[(1, 1)]);
    let waiting = bench.submit(SLOT, entry);
    bench.polls(1);
    bench.port().errand_busy_reads = 50;
    for (cid, steps) in [(waiting, 1), (active, 1)] {
        assert_eq!(bench.execute(0, abort(1, cid)).ok(), 0, "aborted");
        let [done] = bench.completions_of(SLOT, cid)[..] else { panic!("it is completed once") };
        assert_eq!((done.status, done.result), (Status::ABORT_REQUESTED, 0));
        assert!(bench.port().copied.len() <= steps + 1, "{:?}", bench.port().copied);
        assert!(cid == waiting || !bench.port().is_at_errand(), "not before the step has ended");
    }
    bench.polls(100);
    let steps = copied(&mut bench).len();
    assert_eq!(bench.execute(0, abort(1, active)).ok(), 1, "it is there no more");
    bench.run_to_rest();
    assert!(copied(&mut bench).is_empty() && steps <= 2, "nothing follows");
    let entry = copy(&mut bench, 0, &[(1, 1)]);
    bench.execute(SLOT, entry).ok();
}

#[test]
fn copies_end_with_their_queue() {
    let mut bench = ready();
    bench.port().errand_busy_reads = 30;
    let active = begin(&mut bench, 4000);
    let entry = copy(&mut bench, 0, &[(1, 1)]);
    let waiting = bench.submit(SLOT, entry);
    let other = bench.submit(OTHER_SLOT, entry);
    bench.polls(1);
    let deletion = bench.submit(0, delete_sq(1));
    poll_until(&mut bench, |bench| !bench.completions_of(SLOT, active).is_empty());
    assert!(!bench.port().is_at_errand(), "not before the step has ended");
    bench.polls(5);
    assert_eq!(bench.completions_of(0, deletion)[0].status, Status::SUCCESS);
    for cid in [active, waiting] {
        let [done] = bench.completions_of(SLOT, cid)[..] else { panic!("it is completed once") };
        assert_eq!(done.status, Status::ABORTED_SQ_DELETION);
    }
    bench.run_to_rest();
    assert_eq!(bench.completions_of(OTHER_SLOT, other).len(), 1, "that of another queue goes on");
    assert_eq!(copied(&mut bench).last(), Some(&(1, 0, 1)));
}

/// A function is reset only when nothing is written for it any more.
#[test]
fn a_reset_waits_for_a_step_and_ends_copies() {
    let mut bench = ready();
    bench.port().errand_busy_reads = 10;
    let active = begin(&mut bench, 4000);
    let entry = copy(&mut bench, 0, &[(1, 1)]);
    let waiting = bench.submit(SLOT, entry);
    bench.polls(1);
    bench.port().host_writes_cc(CC_ENABLED & !1);
    bench.polls(3);
    assert_eq!((bench.port().is_at_errand(), bench.port().csts()), (true, 1));
    bench.polls(15);
    assert_eq!((bench.port().is_at_errand(), bench.port().csts()), (false, 0));
    bench.enable(CC_ENABLED);
    bench.polls(50);
    assert_eq!(copied(&mut bench), [(0, 10_000, STEP)]);
    for cid in [active, waiting] {
        assert!(bench.completions_of(SLOT, cid).is_empty());
    }
}

/// The reset of one function changes nothing for another one.
#[test]
fn copies_of_others_go_on() {
    let mut bench = ready();
    let active = begin(&mut bench, 1000);
    bench.port().host_of_writes_cc(1, CC_ENABLED & !1);
    bench.polls(1);
    assert_eq!(bench.port().csts_of(1), 0);
    bench.run_to_rest();
    assert_eq!(bench.completions_of(SLOT, active)[0].status, Status::SUCCESS);
}

/// What a namespace becomes while a copy goes on ends that.
#[test]
fn a_namespace_that_changes_ends_its_copies() {
    type Change = (fn() -> SqEntry, Status);
    let changes: [Change; 4] = [
        (|| SqEntry { nsid: 1.into(), ..set_features(0x84, 1) }, Status::NAMESPACE_WRITE_PROTECTED),
        (|| command(admin::FORMAT_NVM, 1, &[1]), Status::INVALID_NAMESPACE),
        (|| command(admin::FORMAT_NVM, 1, &[1 << 9]), Status::FORMAT_IN_PROGRESS),
        (|| command(admin::NAMESPACE_MANAGEMENT, 1, &[1]), Status::INVALID_NAMESPACE),
    ];
    for (change, status) in changes {
        let mut bench = ready();
        let active = begin(&mut bench, 4000);
        bench.admin(change()).ok();
        let steps = bench.port().copied.len();
        bench.run_to_rest();
        let [done] = bench.completions_of(SLOT, active)[..] else { panic!("it is completed once") };
        assert_eq!((done.status.code(), done.result), (status, 0));
        assert!(copied(&mut bench).len() <= steps);
    }
}

/// NVMe Base, "Sanitize Operations": commands that have to do with data end, and what is copied does not survive.
#[test]
fn a_sanitize_operation_ends_copies() {
    let mut bench = ready();
    bench.port().errand_busy_reads = 10;
    let active = begin(&mut bench, 4000);
    let entry = copy(&mut bench, 0, &[(1, 1)]);
    let waiting = bench.submit(SLOT, entry);
    bench.polls(1);
    bench.admin(command(admin::SANITIZE, 0, &[2])).ok();
    bench.run_to_rest();
    for cid in [active, waiting] {
        let [done] = bench.completions_of(SLOT, cid)[..] else { panic!("it is completed once") };
        assert_eq!(done.status, Status::SANITIZE_IN_PROGRESS);
    }
    assert_eq!(copied(&mut bench), [(0, 10_000, STEP)]);
    assert!(!bench.port().erased.is_empty());
    // The operation is complete: a copy is something that was written since.
    let erased = |bench: &mut Bench| bench.admin(get_log_page(0x81, 512)).data()[3] & 1;
    assert_eq!(erased(&mut bench), 1);
    bench.execute(SLOT, entry).ok();
    assert_eq!(erased(&mut bench), 0);
}
