//! Two functions behind one firmware.

use nvme_spec::firmware_port::capabilities::NAMESPACE_BASE;
use nvme_spec::firmware_port::function_events::HOST_ERROR;
use nvme_spec::identify::IdentifyController;
use nvme_spec::log::ErrorLogEntry;
use nvme_spec::opcode::io;
use nvme_spec::regs::csts::CFS;
use nvme_spec::{SqEntry, Status};
use zerocopy::FromBytes;

use crate::bench::{
    async_event_request, command, create_cq, create_sq, get_features, get_log_page, identify, set_features, Bench,
    DATA, PRIVATE_BLOCKS, SHARED_BLOCKS,
};
use crate::fake_port::{Row, IO_QUEUES};

fn two() -> Bench {
    Bench::with(2, NAMESPACE_BASE.mask() as u32)
}

/// Whose slot the queue of a function is in.
fn slot_of(bench: &mut Bench, function: u8, qid: u16) -> u8 {
    let mut sqs = bench.port().sqs.iter();
    *sqs.find(|(_, sq)| (sq.function, sq.qid) == (function, qid)).expect("the queue exists").0
}

/// "One function reaches only its own queues and the namespaces attached to it."
#[test]
fn each_function_sees_its_namespaces() {
    let mut bench = two();
    let list = |bench: &mut Bench, function| {
        let data = bench.execute(function, identify(2, 0)).data();
        data.chunks(4)
            .map(|nsid| u32::from_le_bytes(nsid.try_into().unwrap()))
            .take_while(|n| *n > 0)
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&mut bench, 0), [1, 2]);
    assert_eq!(list(&mut bench, 1), [2]);
    let private = Row { base_units: 0, blocks: PRIVATE_BLOCKS, attached: 1, lba_shift: 9, is_write_protected: false };
    let shared = Row { base_units: PRIVATE_BLOCKS / 8, blocks: SHARED_BLOCKS, attached: 3, ..private };
    assert_eq!(bench.port().rows[..3], [private, shared, Row::default()]);
    assert!(bench.execute(1, identify(0, 1)).data().iter().all(|byte| *byte == 0), "not attached");
    let of = |bench: &mut Bench, function| {
        let data = bench.execute(function, identify(1, 0)).data();
        IdentifyController::read_from_bytes(&data).unwrap()
    };
    let (first, second) = (of(&mut bench, 0), of(&mut bench, 1));
    assert_eq!((first.cntlid.get(), second.cntlid.get()), (0, 1));
    assert_eq!((first.cmic, first.subnqn), (2, second.subnqn), "one subsystem");
}

/// Queues of the same number, features, logs and resets are each function's own.
#[test]
fn functions_do_not_meet() {
    let mut bench = two();
    for function in 0..2 {
        bench.execute(function, create_cq(1, 16)).ok();
        bench.execute(function, create_sq(1, 16, 1)).ok();
    }
    let slots = [slot_of(&mut bench, 0, 1), slot_of(&mut bench, 1, 1)];
    assert_ne!(slots[0], slots[1]);
    assert!(slots.iter().all(|slot| *slot >= 2), "the first two are the admin queues");
    for (function, nsid) in [(0, 1), (1, 2)] {
        // What the hardware would execute comes to firmware only for a namespace that the function does not see.
        let done = bench.execute(slots[function], command(io::READ, 1, &[0, 0, 0]));
        let expected = if nsid == 1 { Status::INTERNAL_ERROR } else { Status::INVALID_NAMESPACE.with_dnr() };
        assert_eq!(done.status, expected);
    }
    bench.execute(1, set_features(4, 300)).ok();
    assert_eq!(bench.execute(0, get_features(4, 0)).ok(), 343);
    let newest = |bench: &mut Bench, function| {
        let data = bench.execute(function, get_log_page(1, 64)).data();
        ErrorLogEntry::read_from_bytes(&data).unwrap()
    };
    let (first, second) = (newest(&mut bench, 0), newest(&mut bench, 1));
    assert_eq!((first.error_count.get(), second.error_count.get()), (1, 1));
    assert_eq!((second.sqid.get(), second.nsid.get()), (1, 1), "the host's number of the queue");

    // A reset of one function leaves the other alone.
    let request = bench.submit(0, async_event_request());
    let held = bench.submit(slots[0], command(io::RECEIVE_FRAME, 0, &[512]));
    bench.polls(3);
    bench.port().host_of_writes_cc(1, 0);
    bench.polls(2);
    assert_eq!((bench.port().csts_of(0), bench.port().csts_of(1)), (1, 0));
    bench.enable_function(1);
    assert_eq!(bench.execute(1, get_features(4, 0)).ok(), 343, "back at the default");
    assert_eq!((bench.completions_of(0, request), bench.completions_of(slots[0], held)), (vec![], vec![]));
    assert_eq!(bench.execute(0, crate::bench::abort(1, held)).ok(), 0);
}

/// Commands of a function that has failed leave the inbox, where those of another one may be behind them, which is being reset.
#[test]
fn commands_of_a_failed_function_are_thrown_away() {
    let mut bench = two();
    bench.port().raise(HOST_ERROR);
    bench.polls(1);
    assert_eq!(CFS.get32(bench.port().csts_of(0)), 1);
    for other_is_there in [true, false] {
        if !other_is_there {
            bench.port().host_of_writes_cc(1, 0);
            bench.polls(2);
        }
        let cid = bench.submit(0, identify(1, 0));
        bench.polls(5);
        assert_eq!((bench.port().inbox_len(), bench.completions_of(0, cid)), (0, vec![]), "{other_is_there}");
    }
}

/// I8: arbitration is one for all functions. The start of a function does not take away what another one has set.
#[test]
fn arbitration_outlives_the_start_of_another_function() {
    let mut bench = two();
    bench.execute(0, set_features(1, 0x0304_0506)).ok();
    bench.port().host_of_writes_cc(1, 0);
    bench.polls(2);
    bench.enable_function(1);
    assert_eq!(bench.port().written(&nvme_spec::firmware_port::ARBITRATION), 0x0304_0506);
}

/// A frame comes back to the function that sent it, and its data to that function's memory.
#[test]
fn frames_stay_with_their_function() {
    let mut bench = two();
    for function in 0..2 {
        bench.execute(function, create_cq(1, 16)).ok();
        bench.execute(function, create_sq(1, 16, 1)).ok();
    }
    let slots = [slot_of(&mut bench, 0, 1), slot_of(&mut bench, 1, 1)];
    let receivers = slots.map(|slot| bench.submit(slot, command(io::RECEIVE_FRAME, 0, &[512])));
    bench.polls(3);
    bench.port().host_data.insert(DATA, vec![9; 64]);
    bench.submit(slots[1], command(io::SEND_FRAME, 0, &[16, 0, 64]));
    bench.polls(20);
    assert_eq!(bench.completions_of(slots[0], receivers[0]), []);
    assert_eq!(bench.completions_of(slots[1], receivers[1])[0].function, 1);
    assert_eq!(bench.port().sent.last().unwrap().function, 1);
    // A frame that waits is not for the other function either.
    bench.submit(slots[1], command(io::SEND_FRAME, 0, &[16, 0, 64]));
    bench.polls(20);
    assert_eq!(bench.completions_of(slots[0], receivers[0]), []);
}

/// C21: what one function has, the other cannot get, and each has at least one pair.
#[test]
fn queues_are_shared_out() {
    let mut bench = two();
    let pairs = |result: u32| (result & 0xFFFF) + 1;
    assert_eq!(pairs(bench.execute(0, get_features(7, 0)).ok()), IO_QUEUES / 2);
    assert_eq!(pairs(bench.execute(1, set_features(7, 0)).ok()), 1);
    let all = IO_QUEUES - 1;
    assert_eq!(pairs(bench.execute(0, set_features(7, all << 16 | all)).ok()), IO_QUEUES - 1);
    assert_eq!(pairs(bench.execute(1, set_features(7, all << 16 | all)).ok()), 1);
    for qid in 1..IO_QUEUES {
        bench.execute(0, create_cq(qid, 16)).ok();
        bench.execute(0, create_sq(qid, 16, qid)).ok();
    }
    bench.execute(1, create_cq(1, 16)).ok();
    bench.execute(1, create_sq(1, 16, 1)).ok();
    assert_eq!(bench.execute(1, create_cq(2, 16)).status, Status::INVALID_QUEUE_ID.with_dnr());
}

/// Commands of both functions at once, with data.
#[test]
fn both_functions_use_the_data_buffer_in_turn() {
    let mut bench = two();
    let cids: Vec<(u8, u16)> = (0..20).map(|i| (i % 2, bench.submit(i % 2, identify(1, 0)))).collect();
    bench.polls(200);
    for (function, cid) in cids {
        assert_eq!(bench.completions_of(function, cid).len(), 1);
    }
    let functions: Vec<u8> = bench.port().sent.iter().map(|sent| sent.function).collect();
    assert_eq!(functions, [0, 1].repeat(10));
    let wrong: SqEntry = identify(0x55, 0);
    assert_eq!(bench.execute(1, wrong).status, Status::INVALID_FIELD.with_dnr());
}
