//! Creation and deletion of I/O queues: group C.

use nvme_spec::opcode::io;
use nvme_spec::{SqEntry, Status};

use crate::bench::{abort, command, create_cq, create_sq, delete_cq, delete_sq, identify, set_features, Bench};
use crate::fake_port::{Cq, Sq, IO_QUEUES, QUEUE_ENTRIES_MAX};

fn with_dword11(mut entry: SqEntry, cdw11: u32) -> SqEntry {
    entry.cdw10[1] = cdw11.into();
    entry
}

fn at(mut entry: SqEntry, prp1: u64) -> SqEntry {
    entry.prp[0] = prp1.into();
    entry
}

/// C1 to C10, C19 by the way of C16: each mistake and its status.
#[test]
fn each_mistake_has_its_status() {
    let max = QUEUE_ENTRIES_MAX;
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    let cases = [
        ("C1 CQ 0", create_cq(0, 16), Status::INVALID_QUEUE_ID),
        ("C1 SQ 0", create_sq(0, 16, 1), Status::INVALID_QUEUE_ID),
        ("C2 CQ beyond", create_cq(IO_QUEUES + 1, 16), Status::INVALID_QUEUE_ID),
        ("C2 SQ beyond", create_sq(IO_QUEUES + 1, 16, 1), Status::INVALID_QUEUE_ID),
        ("C2 CQ FFFF", create_cq(0xFFFF, 16), Status::INVALID_QUEUE_ID),
        ("C2 SQ FFFF", create_sq(0xFFFF, 16, 1), Status::INVALID_QUEUE_ID),
        ("C2 CQ 0x101 is not CQ 1", create_cq(0x101, 16), Status::INVALID_QUEUE_ID),
        ("C3 CQ again", create_cq(1, 16), Status::INVALID_QUEUE_ID),
        ("C3 SQ again", create_sq(1, 16, 1), Status::INVALID_QUEUE_ID),
        ("C4 CQ of one", create_cq(2, 1), Status::INVALID_QUEUE_SIZE),
        ("C4 SQ of one", create_sq(2, 1, 1), Status::INVALID_QUEUE_SIZE),
        ("C4 CQ too long", create_cq(2, max + 1), Status::INVALID_QUEUE_SIZE),
        ("C4 SQ too long", create_sq(2, max + 1, 1), Status::INVALID_QUEUE_SIZE),
        ("C4 CQ of 65,536", create_cq(2, 0x1_0000), Status::INVALID_QUEUE_SIZE),
        (
            "C6 vector beyond",
            with_dword11(create_cq(2, 16), (IO_QUEUES + 1) << 16 | 3),
            Status::INVALID_INTERRUPT_VECTOR,
        ),
        ("C6 vector 2048", with_dword11(create_cq(2, 16), 2048 << 16 | 3), Status::INVALID_INTERRUPT_VECTOR),
        ("C6 vector FFFF", with_dword11(create_cq(2, 16), 0xFFFF_0003), Status::INVALID_INTERRUPT_VECTOR),
        ("C7 CQ not contiguous", with_dword11(create_cq(2, 16), 2), Status::INVALID_FIELD),
        ("C7 SQ not contiguous", with_dword11(create_sq(2, 16, 1), 1 << 16), Status::INVALID_FIELD),
        ("C8 CQ at an offset", at(create_cq(2, 16), 0x1010), Status::INVALID_PRP_OFFSET),
        ("C8 SQ at an offset", at(create_sq(2, 16, 1), 0x1800), Status::INVALID_PRP_OFFSET),
        ("C9 CQID 0", create_sq(2, 16, 0), Status::INVALID_QUEUE_ID),
        ("C9 CQID beyond", create_sq(2, 16, IO_QUEUES + 1), Status::INVALID_QUEUE_ID),
        ("C10 CQID not created", create_sq(2, 16, 3), Status::INVALID_COMPLETION_QUEUE),
        ("C12 SQ 0", delete_sq(0), Status::INVALID_QUEUE_ID),
        ("C12 CQ 0", delete_cq(0), Status::INVALID_QUEUE_ID),
        ("C12 SQ 2", delete_sq(2), Status::INVALID_QUEUE_ID),
        ("C12 CQ 2", delete_cq(2), Status::INVALID_QUEUE_ID),
        ("C12 SQ 0x101", delete_sq(0x101), Status::INVALID_QUEUE_ID),
        ("C12 CQ FFFF", delete_cq(0xFFFF), Status::INVALID_QUEUE_ID),
    ];
    for (name, entry, status) in cases {
        let done = bench.admin(entry);
        assert_eq!(done.status, status.with_dnr(), "{name}");
    }
    assert_eq!((bench.port().sqs.len(), bench.port().cqs.len()), (2, 2));
}

/// C5, C15, C18, C22: the hardware gets what the host asked for.
#[test]
fn parameters_reach_the_hardware() {
    let mut bench = Bench::ready();
    let cq = at(with_dword11(create_cq(3, QUEUE_ENTRIES_MAX), 4 << 16 | 1), 0xFFFF_FFFF_0000_1000);
    bench.admin(cq).ok();
    let expected = Cq {
        base: 0xFFFF_FFFF_0000_1000,
        entries: QUEUE_ENTRIES_MAX,
        vector: 4,
        interrupts_enabled: false,
        function: 0,
        qid: 3,
    };
    assert_eq!(bench.port().cqs[&3], expected);
    for (qid, priority) in [(1, 0), (2, 1), (3, 2), (4, 3)] {
        let sq = with_dword11(at(create_sq(qid, 2, 3), 0x5000), 3 << 16 | priority << 1 | 1);
        bench.admin(sq).ok();
        let named = (qid as u16, priority as u8);
        let expected =
            Sq { base: 0x5000, entries: 2, cqid: 3, stopped: false, function: 0, qid: named.0, priority: named.1 };
        assert_eq!(bench.port().sqs[&(qid as u8)], expected);
    }
}

/// C11: a CQ stays as long as it is used.
#[test]
fn a_cq_is_deleted_after_its_sqs() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(2, 1);
    bench.refused(delete_cq(1), Status::INVALID_QUEUE_DELETION);
    bench.admin(delete_sq(2)).ok();
    bench.refused(delete_sq(2), Status::INVALID_QUEUE_ID);
    bench.admin(delete_cq(1)).ok();
    bench.refused(delete_cq(1), Status::INVALID_QUEUE_ID);
    // C14: the identifiers are free again.
    bench.create_cq(1);
    bench.create_sq(2, 1);
}

/// C16: as many as were granted.
#[test]
fn the_granted_number_of_queues_can_be_created() {
    let mut bench = Bench::ready();
    assert_eq!(bench.admin(set_features(7, 1 << 16 | 2)).ok(), 1 << 16 | 2);
    for qid in 1..=2 {
        bench.create_cq(qid);
    }
    bench.refused(create_cq(3, 16), Status::INVALID_QUEUE_ID);
    for qid in 1..=3 {
        bench.create_sq(qid, 1);
    }
    bench.refused(create_sq(4, 16, 1), Status::INVALID_QUEUE_ID);
    bench.refused(create_sq(4, 16, 3), Status::INVALID_QUEUE_ID);
}

/// C13: the deletion waits for the hardware, and other commands go on meanwhile.
#[test]
fn deletion_waits_for_commands_in_flight() {
    let mut bench = Bench::ready();
    for qid in 1..=2 {
        bench.create_cq(qid);
        bench.create_sq(qid, qid);
    }
    bench.port().in_flight.insert(1, 2);
    let cid = bench.submit(0, delete_sq(1));
    bench.polls(20);
    assert!(bench.port().sqs[&1].stopped);
    assert_eq!(bench.completions_of(0, cid), []);

    bench.refused(delete_sq(1), Status::INVALID_QUEUE_ID);
    bench.refused(delete_cq(1), Status::INVALID_QUEUE_DELETION);
    bench.refused(create_sq(1, 16, 1), Status::INVALID_QUEUE_ID);
    bench.admin(identify(1, 0)).data();
    let other = bench.execute(2, command(0x7F, 1, &[]));
    assert_eq!(other.status, Status::INVALID_OPCODE.with_dnr());
    bench.admin(delete_sq(2)).ok();

    bench.port().in_flight.clear();
    bench.polls(5);
    assert_eq!(bench.completions_of(0, cid).len(), 1);
    assert!(!bench.port().sqs.contains_key(&1));
}

/// C13: commands of the queue that are still in the inbox, or wait for room, go with it.
#[test]
fn deletion_takes_the_commands_with_firmware_along() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    bench.port().full.insert(1);
    let waiting = bench.submit(1, command(0x7F, 1, &[]));
    bench.polls(5);
    assert!(bench.port().refusals > 0);
    let deletion = bench.submit(0, delete_sq(1));
    let late: Vec<_> = (0..5).map(|_| bench.submit(1, command(io::READ, 9, &[]))).collect();
    bench.polls(10);
    assert_eq!(bench.completions_of(0, deletion).len(), 1);
    bench.create_sq(1, 1);
    bench.port().host_makes_room();
    bench.polls(10);
    for cid in late.into_iter().chain([waiting]) {
        assert_eq!(bench.completions_of(1, cid), [], "after the queue's end");
    }
}

/// The inbox may still hold commands of the queue when nothing is in flight any more.
#[test]
fn deletion_waits_for_the_inbox() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    let deletion = bench.submit(0, delete_sq(1));
    // More than are taken in so few polls.
    for _ in 0..40 {
        bench.submit(1, command(0x7F, 1, &[]));
    }
    bench.polls(2);
    assert!(bench.port().inbox_len() > 0);
    assert_eq!(bench.completions_of(0, deletion), []);
    bench.polls(30);
    assert_eq!(bench.completions_of(0, deletion).len(), 1);
}

/// The deletion ends also when the inbox never runs empty.
#[test]
fn deletion_ends_under_load() {
    let mut bench = Bench::ready();
    for qid in 1..=2 {
        bench.create_cq(qid);
        bench.create_sq(qid, qid);
    }
    let deletion = bench.submit(0, delete_sq(1));
    for _ in 0..20 {
        for _ in 0..10 {
            bench.submit(2, command(0x7F, 1, &[]));
        }
        bench.polls(1);
        assert!(bench.port().inbox_len() > 0);
    }
    assert_eq!(bench.completions_of(0, deletion).len(), 1);
    bench.admin(abort(1, 7)).ok();
}

/// All queues at once.
#[test]
fn many_deletions_at_once() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    let cids: Vec<_> = (1..=IO_QUEUES)
        .map(|qid| {
            bench.create_sq(qid, 1);
            bench.port().in_flight.insert(qid as u8, 1);
            bench.submit(0, delete_sq(qid))
        })
        .collect();
    bench.polls(20);
    bench.port().in_flight.clear();
    bench.polls(20);
    for cid in cids {
        assert_eq!(bench.completions_of(0, cid).len(), 1);
    }
    bench.admin(delete_cq(1)).ok();
}
