//! The vendor specific frame commands, `nvme_spec::FrameCommand`: commands that are held until something happens.

use nvme_spec::limits::{FRAMES_KEPT, FRAME_BYTES_MAX};
use nvme_spec::opcode::io;
use nvme_spec::{SqEntry, Status};
use sim_device::Random;
use sim_host::{cdw, wire_prps, with_sgl, Buffer, DriverError, ListPlacement};

use crate::expect::{abort, assert_ends, assert_works, async_event_request, bring_up, rounds, Host, Running};
use crate::{every_back_end, seed};

/// Clocks in which a frame that is there has reached its command.
const FRAME_CLOCKS: u64 = 50_000;

fn send(host: &mut Host<'_>, queue: u16, frame: &[u8]) -> Result<Status, DriverError> {
    let mut data = frame.to_vec();
    data.resize(frame.len().next_multiple_of(4), 0);
    // Every second one has an SGL, of two pieces if it is long enough.
    let is_sgl = frame.len() % 2 == 0;
    let first = data.len() / 8 * 4;
    let mut buffer = match first {
        1.. if is_sgl => Buffer::of_pieces(host.host(), &[(0xFF0, first), (4, data.len() - first)]),
        _ => Buffer::contiguous(host.host(), 4, data.len()),
    };
    buffer.store(host.host(), &data);
    let entry = SqEntry {
        opcode: io::SEND_FRAME,
        cdw10: cdw([data.len() as u32 / 4, 0, frame.len() as u32, 0, 0, 0]),
        ..SqEntry::default()
    };
    let entry = pointing_to(host, entry, &mut buffer, is_sgl);
    let completion = host.execute(queue, entry, &[])?;
    buffer.free(host.host());
    Ok(completion.status.code())
}

/// The entry with the PRPs or the SGL of a buffer.
fn pointing_to(host: &mut Host<'_>, entry: SqEntry, buffer: &mut Buffer, is_sgl: bool) -> SqEntry {
    if is_sgl {
        return with_sgl(entry, buffer.sgl(host.host(), 2, 8));
    }
    SqEntry { prp: wire_prps(buffer.prps(host.host(), ListPlacement::PAGE_START)), ..entry }
}

/// Submits Receive Frame with a buffer that crosses a page, or with an SGL of three pieces.
fn receive(running: &mut Running<'_>, queue: u16) -> Result<(u16, usize), DriverError> {
    let host = &mut running.host;
    let is_sgl = running.buffers.len() % 2 == 1;
    let mut buffer = if is_sgl {
        Buffer::of_pieces(host.host(), &[(0xFFC, 36), (0x10, 4), (0, FRAME_BYTES_MAX as usize - 40)])
    } else {
        Buffer::contiguous(host.host(), 0xC00, FRAME_BYTES_MAX as usize)
    };
    let entry =
        SqEntry { opcode: io::RECEIVE_FRAME, cdw10: cdw([FRAME_BYTES_MAX / 4, 0, 0, 0, 0, 0]), ..SqEntry::default() };
    let entry = pointing_to(host, entry, &mut buffer, is_sgl);
    let cid = host.submit(queue, entry, buffer.segments())?;
    running.buffers.push(buffer);
    Ok((cid, running.buffers.len() - 1))
}

/// Frames of every length reach the commands that wait, the oldest first, on whatever queue.
#[test]
fn frames_reach_the_commands_that_wait() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let queues = running.queues;
        let lengths = [1, 2, 4, 5, 60, 63, 64, 65, 1514, 2047, 2048];
        let mut receivers = Vec::new();
        for number in 0..lengths.len() {
            let queue = 1 + number as u16 % queues;
            let (cid, buffer) = receive(&mut running, queue)?;
            running.host.run_for(FRAME_CLOCKS)?;
            receivers.push((queue, cid, buffer));
        }
        assert_eq!(running.host.next_completion(), None, "nothing was sent");
        for (length, (queue, cid, buffer)) in lengths.into_iter().zip(receivers) {
            let frame = crate::expect::data(length as u64, length);
            assert_eq!(send(&mut running.host, 1, &frame)?, Status::SUCCESS);
            let completion = running.host.wait(queue, cid)?;
            assert_ends(&completion, &[Status::SUCCESS], "Receive Frame");
            assert_eq!(completion.result as usize, length);
            let data = running.buffers[buffer].load(running.host.host());
            assert_eq!(data[..length], frame);
        }
        assert_works(&mut running.host)
    });
}

/// Frames wait for commands, and one more than may wait is refused.
#[test]
fn frames_wait_for_commands() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        for number in 0..FRAMES_KEPT as u8 {
            assert_eq!(send(&mut running.host, 1, &[number; 100])?, Status::SUCCESS);
        }
        assert_eq!(send(&mut running.host, 1, &[99; 100])?, Status::NO_ROOM_FOR_FRAME);
        for number in 0..FRAMES_KEPT as u8 {
            let (cid, buffer) = receive(&mut running, 1)?;
            let completion = running.host.wait(1, cid)?;
            assert_eq!(completion.result, 100);
            let data = running.buffers[buffer].load(running.host.host());
            assert_eq!(data[..100], [number; 100]);
        }
        Ok(())
    });
}

/// Held commands use up neither the controller's slots nor the completion queue: many more than either has are held, and all else goes on.
#[test]
fn many_commands_are_held_while_others_go_on() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let many = rounds(&mut running.host, 200, 100).min(u32::from(running.entries) * u32::from(running.queues) / 2);
        let mut held = Vec::new();
        for number in 0..many as u16 {
            let queue = 1 + number % running.queues;
            let (cid, _) = receive(&mut running, queue)?;
            held.push((queue, cid));
        }
        running.host.run_for(FRAME_CLOCKS)?;
        let identity = running.identity;
        let mut data = vec![0; identity.lba_bytes as usize];
        running.host.write(&identity, 3, &data)?;
        running.host.read(&identity, 3, &mut data)?;
        // Aborted in another order than that of their arrival.
        for (queue, cid) in held.iter().rev().step_by(2) {
            let aborted = running.host.submit(0, abort(*queue, *cid), &[])?;
            let completion = running.host.wait(0, aborted)?;
            assert_ends(&completion, &[Status::SUCCESS], "Abort");
            assert_eq!(completion.result & 1, 0, "it was aborted");
            let completion = running.host.wait(*queue, *cid)?;
            assert_ends(&completion, &[Status::ABORT_REQUESTED], "Receive Frame");
        }
        // A reset drops the others without a completion.
        let mut running = running.restart()?;
        assert_eq!(send(&mut running.host, 1, &[1; 64])?, Status::SUCCESS);
        running.host.run_for(FRAME_CLOCKS)?;
        assert_eq!(running.host.next_completion(), None);
        Ok(())
    });
}

/// "Delete I/O Submission Queue command": held commands of the queue end with Command Aborted due to SQ Deletion, and the deletion comes last.
#[test]
fn deletion_of_a_queue_ends_its_held_commands() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let other = running.queues;
        let (stays, _) = receive(&mut running, other)?;
        let count = usize::from(running.entries) / 2;
        let mut gone = Vec::new();
        for _ in 0..count {
            gone.push(receive(&mut running, 1)?.0);
        }
        running.host.run_for(FRAME_CLOCKS)?;
        let deletion = sim_host::delete_entry(nvme_spec::opcode::admin::DELETE_IO_SQ, 1);
        let deleted = running.host.submit(0, deletion, &[])?;
        let completion = running.host.wait(0, deleted)?;
        assert_ends(&completion, &[Status::SUCCESS], "Delete I/O Submission Queue");
        for cid in gone {
            // They are there already.
            let completion = running.host.take_completion(1, cid).expect("its completion precedes the deletion's");
            assert_ends(&completion, &[Status::ABORTED_SQ_DELETION], "Receive Frame");
        }
        if other != 1 {
            assert_eq!(running.host.take_completion(other, stays), None);
            assert_eq!(send(&mut running.host, other, &[3; 64])?, Status::SUCCESS);
            let completion = running.host.wait(other, stays)?;
            assert_ends(&completion, &[Status::SUCCESS], "Receive Frame of another queue");
        }
        Ok(())
    });
}

/// "Asynchronous Event Request command": requests that are outstanding take no room. Four of them and a completion queue of four entries do not
/// block each other.
#[test]
fn four_event_requests_do_not_fill_a_queue_of_four_entries() {
    every_back_end(|device| {
        let options = sim_host::Options { admin_completion_entries: 4, ..sim_host::Options::default() };
        let mut host = sim_host::Driver::new(device, options);
        host.start()?;
        for _ in 0..4 {
            host.submit(0, async_event_request(), &[])?;
        }
        host.run_for(FRAME_CLOCKS)?;
        for _ in 0..20 {
            assert_works(&mut host)?;
        }
        Ok(())
    });
}

/// Frame commands, aborts, deletions of queues and resets in any order: every command ends once and legally, or goes with its queue or its life.
#[test]
fn held_commands_survive_any_order_of_events() {
    every_back_end(|device| {
        let mut random = Random::new(seed());
        let mut running = bring_up(device)?;
        let mut outstanding: Vec<(u16, u16)> = Vec::new();
        for _ in 0..rounds(&mut running.host, 600, 150) {
            let queue = random.between(1, running.queues.into()) as u16;
            match random.below(16) {
                0..7 if !running.host.is_full(queue) => outstanding.push((queue, receive(&mut running, queue)?.0)),
                7..11 if !running.host.is_full(queue) => {
                    let bytes = random.between(1, FRAME_BYTES_MAX.into()) as usize;
                    let status = send(&mut running.host, queue, &vec![7; bytes])?;
                    assert!(matches!(status, Status::SUCCESS | Status::NO_ROOM_FOR_FRAME), "{status:?}");
                }
                11..13 if !outstanding.is_empty() => {
                    let (queue, cid) = *random.pick(&outstanding);
                    let completion = running.host.execute(0, abort(queue, cid), &[])?;
                    assert_ends(&completion, &[Status::SUCCESS], "Abort");
                }
                13 => {
                    running.host.delete_submission_queue(queue)?;
                    outstanding.retain(|(of, _)| *of != queue);
                    running.host.create_submission_queue(queue, running.entries, queue)?;
                }
                14 if random.below(4) == 0 => {
                    running = running.restart()?;
                    outstanding.clear();
                }
                _ => running.host.run_for(random.below(2000))?,
            }
            while let Some(done) = running.host.next_completion() {
                let allowed = [Status::SUCCESS, Status::ABORT_REQUESTED, Status::ABORTED_SQ_DELETION];
                assert_ends(&done, &allowed, "Receive Frame");
                outstanding.retain(|of| *of != (done.queue, done.cid));
            }
        }
        for (queue, cid) in outstanding {
            running.host.execute(0, abort(queue, cid), &[])?;
        }
        running.host.wait_all()?;
        assert_works(&mut running.host)
    });
}
