//! Completions that find no room, and hardware that takes its time.

use nvme_spec::limits::{FIRMWARE_COMMANDS, HELD_COMMANDS};
use nvme_spec::{FatalCode, Status};

use crate::bench::{command, create_cq, delete_sq, identify, Bench};

/// One full queue stops no other, and its completions come in order once there is room.
#[test]
fn a_full_queue_stops_no_other() {
    let mut bench = Bench::ready();
    for qid in 1..=2 {
        bench.create_cq(qid);
        bench.create_sq(qid, qid);
    }
    bench.port().full.insert(1);
    let cids: Vec<_> = (0..50).map(|_| bench.submit(1, command(0x7F, 1, &[]))).collect();
    bench.polls(20);
    assert_eq!(bench.port().inbox_len(), 0);
    bench.admin(identify(1, 0)).data();
    assert_eq!(bench.execute(2, command(0x7F, 1, &[])).status, Status::INVALID_OPCODE.with_dnr());
    assert_eq!(bench.port().refusals, 1, "it is not tried again before there is room");

    bench.port().completions.clear();
    bench.port().host_makes_room();
    bench.polls(20);
    let order: Vec<_> = bench.port().completions.iter().map(|posted| posted.cid).collect();
    assert_eq!(order, cids);
}

/// Room may come and go: a completion is never lost and never doubled.
#[test]
fn refused_completions_are_posted_once() {
    let mut bench = Bench::ready();
    bench.port().full.insert(0);
    let cids: Vec<_> = (0..20).map(|_| bench.submit(0, identify(0x55, 0))).collect();
    for _ in 0..10 {
        bench.polls(2);
        bench.port().host_makes_room();
        bench.polls(1);
        bench.port().full.insert(0);
    }
    bench.port().host_makes_room();
    bench.polls(10);
    for cid in cids {
        assert_eq!(bench.completions_of(0, cid).len(), 1);
    }
}

/// The table of completions fills up: the inbox waits, nothing is lost, and there is a way out.
#[test]
fn the_inbox_waits_while_too_many_completions_do() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    bench.port().full.insert(1);
    let room = HELD_COMMANDS + FIRMWARE_COMMANDS;
    let count = room + 100;
    let cids: Vec<_> = (0..count).map(|_| bench.submit(1, command(0x7F, 1, &[]))).collect();
    bench.polls(count);
    let left = bench.port().inbox_len();
    assert_eq!(left, 100, "commands are left");
    bench.port().host_makes_room();
    bench.polls(count);
    for cid in cids {
        assert_eq!(bench.completions_of(1, cid).len(), 1);
    }
    bench.admin(delete_sq(1)).ok();
}

/// Hardware that is slower than firmware waits for it in one poll.
#[test]
fn slow_hardware_is_asked_again() {
    for busy_reads in [0, 1, 63, 64, 65, 200] {
        let mut bench = Bench::ready();
        bench.port().busy_reads = busy_reads;
        bench.port().queue_busy_reads = busy_reads.min(63);
        bench.admin(identify(1, 0)).data();
        bench.admin(identify(2, 7)).data();
        bench.create_cq(1);
    }
}

/// A queue command that does not end: firmware stops instead of waiting for ever, and comes back by a reset.
#[test]
fn a_stuck_queue_command_is_fatal() {
    let mut bench = Bench::ready();
    bench.port().queue_busy_reads = u32::MAX;
    bench.submit(0, create_cq(1, 16));
    bench.polls(5);
    assert_eq!(bench.firmware.fatal(), Some(FatalCode::QueueCommandStuck));
    assert_eq!(bench.port().csts() & 2, 2);
    bench.port().queue_busy_reads = 2;
    bench.reset();
    bench.create_cq(1);
}

/// A poll has a bound, whatever the inbox holds.
#[test]
fn a_poll_is_bounded() {
    let mut bench = Bench::ready();
    for _ in 0..1000 {
        bench.submit(0, identify(0x55, 0));
    }
    for _ in 0..200 {
        let before = bench.port().accesses;
        bench.polls(1);
        let accesses = bench.port().accesses - before;
        assert!(accesses < 400, "{accesses} register accesses in one poll");
    }
}
