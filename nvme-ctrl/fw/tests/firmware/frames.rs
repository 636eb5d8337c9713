//! Frames: commands that are held until something arrives.

use nvme_spec::limits::{FRAMES_KEPT, HELD_COMMANDS};
use nvme_spec::opcode::io;
use nvme_spec::sgl::{DATA_BLOCK, PSDT_SGL};
use nvme_spec::{SglDescriptor, SqEntry, Status};

use crate::bench::{abort, async_event_request, command, delete_sq, identify, Bench};

/// Where the frame with a number is in host memory.
fn address(number: u8) -> u64 {
    0x10_0000 + u64::from(number) * 0x1000
}

/// Send Frame of so many bytes, all of which are its number.
fn send(bench: &mut Bench, number: u8, bytes: u32) -> SqEntry {
    bench.port().host_data.insert(address(number), vec![number; bytes.next_multiple_of(4) as usize]);
    let mut entry = command(io::SEND_FRAME, 0, &[bytes.div_ceil(4), 0, bytes]);
    entry.prp[0] = address(number).into();
    entry
}

fn receive() -> SqEntry {
    command(io::RECEIVE_FRAME, 0, &[512])
}

fn ready() -> Bench {
    let mut bench = Bench::ready();
    for qid in 1..=3 {
        bench.create_cq(qid);
        bench.create_sq(qid, qid);
    }
    bench
}

/// Frames go to the oldest command, whatever its queue, and say how long they are.
#[test]
fn frames_reach_the_oldest_command() {
    let mut bench = ready();
    let receivers: Vec<(u8, u16)> = [2, 1, 3].map(|qid| (qid, bench.submit(qid, receive()))).to_vec();
    bench.polls(3);
    for (number, (qid, cid)) in (7..).zip(receivers) {
        assert_eq!(bench.completions_of(qid, cid), []);
        let bytes = u32::from(number) * 9;
        let frame = send(&mut bench, number, bytes);
        bench.submit(1, frame);
        bench.polls(20);
        assert_eq!(bench.completions_of(qid, cid)[0].result, bytes);
        let sent = bench.port().sent.pop().unwrap();
        assert_eq!(sent.data, vec![number; bytes.next_multiple_of(4) as usize]);
    }
}

/// The data of frames may be described by SGLs, which hardware follows.
#[test]
fn frames_have_sgls_too() {
    let mut bench = ready();
    let mut receiver = receive();
    // A data block at no dword, which is for hardware to find out.
    let halves = SglDescriptor::new(DATA_BLOCK, 0x8001, 2048).halves();
    (receiver.prp, receiver.flags) = (halves.map(Into::into), PSDT_SGL << 6);
    bench.submit(2, receiver);
    let mut frame = send(&mut bench, 5, 100);
    frame.flags = PSDT_SGL << 6;
    bench.submit(1, frame);
    bench.polls(30);
    let sent = bench.port().sent.pop().unwrap();
    assert_eq!((sent.prp, sent.is_sgl, sent.data), (halves, true, vec![5; 100]));
}

/// A few frames wait for a command, in order; more are refused, and may be sent later.
#[test]
fn frames_wait_for_a_command() {
    let mut bench = ready();
    for number in 0..FRAMES_KEPT as u8 {
        let frame = send(&mut bench, number, 2048);
        bench.execute(1, frame).ok();
    }
    let surplus = send(&mut bench, 99, 60);
    assert_eq!(bench.execute(1, surplus).status, Status::NO_ROOM_FOR_FRAME);
    for number in 0..FRAMES_KEPT as u8 {
        let done = bench.execute(2, receive());
        assert_eq!((done.result, done.data), (2048, vec![number; 2048]));
    }
    let surplus = send(&mut bench, 99, 60);
    bench.execute(1, surplus).ok();
    assert_eq!(bench.execute(2, receive()).ok(), 60);
}

/// A frame never overtakes one that waits, also if it is on its way when the command comes.
#[test]
fn frames_stay_in_order() {
    let mut bench = ready();
    let frame = send(&mut bench, 1, 64);
    bench.execute(1, frame).ok();
    let receivers = [0; 2].map(|_| {
        let receiver = bench.submit(2, receive());
        let frame = send(&mut bench, 2, 60);
        bench.submit(1, frame);
        receiver
    });
    bench.polls(50);
    assert_eq!(receivers.map(|cid| bench.completions_of(2, cid)[0].result), [64, 60]);
}

/// "Controller Level Reset": frames that wait belong to the life that ends.
#[test]
fn a_reset_forgets_the_frames_that_wait() {
    let mut bench = ready();
    let frame = send(&mut bench, 1, 64);
    bench.execute(1, frame).ok();
    bench.reset();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    let receiver = bench.submit(1, receive());
    bench.polls(20);
    assert_eq!(bench.completions_of(1, receiver), []);
}

/// Firmware is called only for events, and while it says that it is busy: a frame that waits is delivered all the same.
#[test]
fn a_waiting_frame_does_not_wait_for_an_event() {
    let mut bench = ready();
    let frame = send(&mut bench, 1, 64);
    bench.submit(1, frame);
    bench.run_to_rest();
    let receiver = bench.submit(2, receive());
    bench.run_to_rest();
    assert_eq!(bench.completions_of(2, receiver).len(), 1);
}

/// As many commands as are promised are held, without a slot of the hardware; one more is refused, and other commands go on.
#[test]
fn thousands_of_commands_are_held() {
    let mut bench = ready();
    let cids: Vec<u16> = (0..HELD_COMMANDS).map(|_| bench.submit(1, receive())).collect();
    bench.polls(HELD_COMMANDS / 8 + 1);
    assert_eq!((bench.port().inbox_len(), bench.port().completions.len()), (0, 6));
    assert_eq!(bench.execute(1, receive()).status, Status::HELD_COMMAND_LIMIT_EXCEEDED);
    bench.admin(identify(1, 0)).data();
    for cid in &cids[..3] {
        let frame = send(&mut bench, 5, 64);
        bench.execute(2, frame).ok();
        bench.polls(10);
        assert_eq!(bench.completions_of(1, *cid).len(), 1, "oldest first");
    }
    // In any order: the last one is aborted.
    let last = cids[cids.len() - 1];
    assert_eq!(bench.admin(abort(1, last)).ok(), 0);
    assert_eq!(bench.completions_of(1, last)[0].status, Status::ABORT_REQUESTED);
    assert_eq!(bench.admin(abort(1, last)).ok(), 1, "only once");
    assert_eq!(bench.admin(abort(2, cids[4])).ok(), 1, "of another queue");
    bench.reset();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    let again = bench.submit(1, receive());
    let frame = send(&mut bench, 6, 64);
    bench.execute(1, frame).ok();
    bench.polls(10);
    assert_eq!(bench.completions_of(1, again).len(), 1, "nothing of the old life is left");
}

/// C13: held commands end with their queue, by Command Aborted due to SQ Deletion, before the deletion does.
#[test]
fn deletion_ends_the_held_commands_of_its_queue() {
    let mut bench = ready();
    let gone: Vec<u16> = (0..200).map(|_| bench.submit(1, receive())).collect();
    let stays = bench.submit(2, receive());
    bench.polls(50);
    let deletion = bench.submit(0, delete_sq(1));
    bench.polls(100);
    let order: Vec<u16> = bench.port().completions.iter().map(|done| done.cid).collect();
    assert_eq!(order.last(), Some(&deletion));
    for cid in gone {
        let status = bench.completions_of(1, cid).iter().map(|done| done.status).collect::<Vec<_>>();
        assert_eq!(status, [Status::ABORTED_SQ_DELETION]);
    }
    assert_eq!(bench.completions_of(2, stays), []);
    let frame = send(&mut bench, 1, 64);
    bench.execute(3, frame).ok();
    bench.polls(10);
    assert_eq!(bench.completions_of(2, stays).len(), 1);
}

/// Held commands and their queue's full completion queue: the deletion ends all the same.
#[test]
fn deletion_does_not_wait_for_room() {
    let mut bench = ready();
    for _ in 0..20 {
        bench.submit(1, receive());
    }
    bench.polls(10);
    bench.port().full.insert(1);
    bench.admin(delete_sq(1)).ok();
    bench.create_sq(1, 1);
    bench.port().host_makes_room();
    bench.polls(10);
    assert!(bench.port().completions.iter().all(|done| done.sqid != 1));
}

/// A completion queue of four entries with four event requests: commands that are held take no room.
#[test]
fn event_requests_take_no_room_in_a_small_queue() {
    let mut bench = Bench::powered_on();
    bench.port().host_writes_admin_queues(32, 4);
    bench.port().host_writes_cc(crate::bench::CC_ENABLED);
    bench.polls(2);
    for _ in 0..4 {
        bench.submit(0, async_event_request());
    }
    bench.polls(3);
    assert_eq!(bench.port().completions, []);
    for _ in 0..20 {
        bench.admin(identify(1, 0)).data();
    }
}

/// Bad memory under a frame ends its command, and nothing else.
#[test]
fn a_frame_without_memory_fails() {
    let mut bench = ready();
    let receiver = bench.submit(1, receive());
    bench.polls(3);
    bench.port().transfer_status = Status::DATA_TRANSFER_ERROR;
    let frame = send(&mut bench, 3, 64);
    assert_eq!(bench.execute(2, frame).status, Status::DATA_TRANSFER_ERROR);
    bench.port().transfer_status = Status::SUCCESS;
    assert_eq!(bench.completions_of(1, receiver), [], "nothing arrived");
    let frame = send(&mut bench, 4, 64);
    bench.execute(2, frame).ok();
    bench.polls(5);
    assert_eq!(bench.completions_of(1, receiver)[0].result, 64);
}

/// Each mistake in a frame command and its status.
#[test]
fn wrong_frames_are_refused() {
    let mut bench = ready();
    let cases = [
        (command(io::SEND_FRAME, 0, &[0, 0, 0]), Status::INVALID_FIELD),
        (command(io::SEND_FRAME, 0, &[513, 0, 2049]), Status::INVALID_FIELD),
        (command(io::SEND_FRAME, 0, &[3, 0, 8]), Status::INVALID_FIELD),
        (command(io::RECEIVE_FRAME, 0, &[511]), Status::INVALID_FIELD),
        (command(io::RECEIVE_FRAME, 0, &[0xFFFF_FFFF]), Status::INVALID_FIELD),
    ];
    for (entry, status) in cases {
        assert_eq!(bench.execute(1, entry).status, status.with_dnr(), "{entry:?}");
    }
    let mut entry = receive();
    entry.prp[0] = 0x1001.into();
    assert_eq!(bench.execute(1, entry).status, Status::INVALID_PRP_OFFSET.with_dnr());
}
