//! NVMe Base, "Create I/O Completion Queue command", "Create I/O Submission Queue command", "Delete I/O Completion Queue command",
//! "Delete I/O Submission Queue command" and "Number of Queues".

use nvme_spec::feature::fid;
use nvme_spec::opcode::admin;
use nvme_spec::{SqEntry, Status};
use sim_device::{Device, Random, PAGE_BYTES};
use sim_host::{create_cq_entry, create_sq_entry, delete_entry, DriverError};

use crate::expect::{
    assert_admin, assert_ends, assert_io, assert_works, bring_up, flush, get_features, queue_entries_max, rounds,
    set_features, start, vectors, Host,
};
use crate::{every_back_end, seed};

const REFUSED_ID: &[Status] = &[Status::INVALID_QUEUE_ID];

/// A controller without I/O queues, and memory for a queue.
fn start_with_memory<'d>(device: &'d mut (dyn Device + 'd)) -> Result<(Host<'d>, u64), DriverError> {
    let mut host = start(device)?;
    let base = host.host().alloc_guarded(PAGE_BYTES, PAGE_BYTES);
    Ok((host, base))
}

/// The entry with the bits `set` in command dword `number` set, and `clear` cleared.
fn with_cdw(mut entry: SqEntry, number: usize, set: u32, clear: u32) -> SqEntry {
    let dword = &mut entry.cdw10[number - 10];
    *dword = (dword.get() & !clear | set).into();
    entry
}

/// "Queue Identifier": 0 is the admin queue.
///
/// Cases: C1.
#[test]
fn queue_zero_cannot_be_created() {
    every_back_end(|device| {
        let (mut host, base) = start_with_memory(device)?;
        assert_admin(&mut host, create_cq_entry(0, 8, base, Some(1)), REFUSED_ID, "Create CQ 0");
        host.create_completion_queue(1, 8, Some(1))?;
        assert_admin(&mut host, create_sq_entry(0, 8, base, 1), REFUSED_ID, "Create SQ 0");
        assert_works(&mut host)
    });
}

/// "Queue Identifier": at most the number that Number of Queues granted.
///
/// Cases: C2.
#[test]
fn queues_beyond_the_granted_number_cannot_be_created() {
    every_back_end(|device| {
        let (mut host, base) = start_with_memory(device)?;
        let granted = host.set_number_of_queues(0xFFFE)?;
        host.create_completion_queue(1, 8, Some(1))?;
        for id in [granted + 1, 0x100, 0xFFFF] {
            let what = format!("queue {id:#x} with {granted} granted");
            assert_admin(&mut host, create_cq_entry(id, 8, base, Some(1)), REFUSED_ID, &what);
            assert_admin(&mut host, create_sq_entry(id, 8, base, 1), REFUSED_ID, &what);
        }
        assert_works(&mut host)
    });
}

/// "Queue Identifier": not one in use. The queue in use is not disturbed.
///
/// Cases: C3.
#[test]
fn queues_in_use_cannot_be_created_again() {
    every_back_end(|device| {
        let (mut host, base) = start_with_memory(device)?;
        host.create_queue_pair(1, 8, Some(1))?;
        assert_admin(&mut host, create_cq_entry(1, 8, base, Some(1)), REFUSED_ID, "Create CQ 1 again");
        assert_admin(&mut host, create_sq_entry(1, 8, base, 1), REFUSED_ID, "Create SQ 1 again");
        assert_io(&mut host, flush(1), &[], &[Status::SUCCESS], "Flush");
        Ok(())
    });
}

/// "Queue Size": at least two entries, at most CAP.MQES + 1.
///
/// Cases: C4.
#[test]
fn queue_sizes_out_of_range_are_refused() {
    every_back_end(|device| {
        let (mut host, base) = start_with_memory(device)?;
        let limit = queue_entries_max(&mut host);
        host.create_completion_queue(1, 8, Some(1))?;
        // The count is stored minus one, in sixteen bits: 65536 entries are written as 0 here.
        let too_many = [limit + 1, 0x1_0000].into_iter().filter(|entries| *entries > limit && *entries <= 0x1_0000);
        for entries in [1].into_iter().chain(too_many) {
            let what = format!("a queue of {entries} entries with a limit of {limit}");
            let refused = &[Status::INVALID_QUEUE_SIZE];
            assert_admin(&mut host, create_sq_entry(1, entries as u16, base, 1), refused, &what);
            assert_admin(&mut host, create_cq_entry(2, entries as u16, base, Some(1)), refused, &what);
        }
        assert_works(&mut host)
    });
}

/// "Maximum Queue Entries Supported".
///
/// Cases: C5.
#[test]
fn largest_queue_size_is_accepted() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let entries = queue_entries_max(&mut host).min(0xFFFF) as u16;
        host.create_queue_pair(1, entries, Some(1))?;
        for _ in 0..rounds(&mut host, u32::from(entries) + 1, 20) {
            assert_io(&mut host, flush(1), &[], &[Status::SUCCESS], "Flush");
        }
        Ok(())
    });
}

/// "Interrupt Vector": within the MSI-X table.
///
/// Cases: C6.
#[test]
fn interrupt_vectors_beyond_the_table_are_refused() {
    every_back_end(|device| {
        let (mut host, base) = start_with_memory(device)?;
        let end = vectors(&mut host);
        for vector in [end, 2047, 2048, 0xFFFF] {
            let entry = create_cq_entry(1, 8, base, Some(vector));
            assert_admin(&mut host, entry, &[Status::INVALID_INTERRUPT_VECTOR], &format!("vector {vector}"));
        }
        host.create_completion_queue(1, 8, Some(1))
    });
}

/// "Contiguous Queues Required".
///
/// Cases: C7.
#[test]
fn scattered_queues_are_refused() {
    every_back_end(|device| {
        let (mut host, base) = start_with_memory(device)?;
        let refused = &[Status::INVALID_FIELD];
        let entry = with_cdw(create_cq_entry(1, 8, base, Some(1)), 11, 0, 1);
        assert_admin(&mut host, entry, refused, "Create CQ with PC = 0");
        host.create_completion_queue(1, 8, Some(1))?;
        let entry = with_cdw(create_sq_entry(1, 8, base, 1), 11, 0, 1);
        assert_admin(&mut host, entry, refused, "Create SQ with PC = 0");
        assert_works(&mut host)
    });
}

/// "PRP Entry 1": a queue begins at a page.
///
/// Cases: C8.
#[test]
fn queue_bases_with_an_offset_are_refused() {
    every_back_end(|device| {
        let (mut host, base) = start_with_memory(device)?;
        let refused = &[Status::INVALID_PRP_OFFSET];
        for offset in [4, 64, 2048] {
            assert_admin(&mut host, create_cq_entry(1, 8, base + offset, Some(1)), refused, "Create CQ");
        }
        host.create_completion_queue(1, 8, Some(1))?;
        for offset in [4, 64, 2048] {
            assert_admin(&mut host, create_sq_entry(1, 8, base + offset, 1), refused, "Create SQ");
        }
        assert_works(&mut host)
    });
}

/// "Completion Queue Identifier": 0 or out of range.
///
/// Cases: C9.
#[test]
fn completion_queue_zero_or_out_of_range_is_refused() {
    every_back_end(|device| {
        let (mut host, base) = start_with_memory(device)?;
        let granted = host.set_number_of_queues(0xFFFE)?;
        for completion in [0, granted + 1, 0xFFFF] {
            let entry = create_sq_entry(1, 8, base, completion);
            assert_admin(&mut host, entry, REFUSED_ID, &format!("Create SQ on CQ {completion:#x}"));
        }
        assert_works(&mut host)
    });
}

/// "Completion Queue Identifier": in range, but not created.
///
/// Cases: C10.
#[test]
fn completion_queue_that_does_not_exist_is_refused() {
    every_back_end(|device| {
        let (mut host, base) = start_with_memory(device)?;
        let refused = &[Status::INVALID_COMPLETION_QUEUE];
        assert_admin(&mut host, create_sq_entry(1, 8, base, 1), refused, "Create SQ on a missing CQ");
        host.create_completion_queue(1, 8, Some(1))?;
        assert_admin(&mut host, create_sq_entry(1, 8, base, 2), refused, "Create SQ on another missing CQ");
        assert_works(&mut host)
    });
}

/// "Invalid Queue Deletion".
///
/// Cases: C11.
#[test]
fn completion_queue_in_use_cannot_be_deleted() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.create_queue_pair(1, 8, Some(1))?;
        let delete = delete_entry(admin::DELETE_IO_CQ, 1);
        assert_admin(&mut host, delete, &[Status::INVALID_QUEUE_DELETION], "Delete CQ in use");
        assert_io(&mut host, flush(1), &[], &[Status::SUCCESS], "Flush");
        host.delete_submission_queue(1)?;
        host.delete_completion_queue(1)
    });
}

/// "Queue Identifier" of the Delete commands: 0, never created, deleted before.
///
/// Cases: C12.
#[test]
fn queues_that_do_not_exist_cannot_be_deleted() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.create_queue_pair(1, 8, Some(1))?;
        host.delete_submission_queue(1)?;
        host.delete_completion_queue(1)?;
        for id in [0, 1, 2, 0x100, 0xFFFF] {
            for opcode in [admin::DELETE_IO_SQ, admin::DELETE_IO_CQ] {
                let what = format!("opcode {opcode:#04x}, queue {id:#x}");
                assert_admin(&mut host, delete_entry(opcode, id), REFUSED_ID, &what);
            }
        }
        assert_works(&mut host)
    });
}

/// "Delete I/O Submission Queue command": what is in flight completes, with or without success, before the deletion, or never. The driver
/// notices completions and accesses that come later.
///
/// Cases: C13.
#[test]
fn deleting_a_queue_with_commands_in_flight_ends_them() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let mut random = Random::new(seed());
        for _ in 0..rounds(&mut running.host, 30, 6) {
            for _ in 0..random.between(1, u64::from(running.entries) - 1) {
                let lba = random.below(running.identity.blocks - 8);
                running.submit_transfer(1, lba, 8, random.below(2) == 0)?;
            }
            let clocks = random.below(300);
            running.host.run_for(clocks)?;
            running.host.delete_submission_queue(1)?;
            while let Some(completion) = running.host.next_completion() {
                assert_ends(
                    &completion,
                    &[Status::SUCCESS, Status::ABORTED_SQ_DELETION, Status::ABORT_REQUESTED],
                    "a command of the deleted queue",
                );
            }
            running.host.run_for(1500)?;
            running.host.delete_completion_queue(1)?;
            for buffer in std::mem::take(&mut running.buffers) {
                buffer.free(running.host.host());
            }
            running.host.create_queue_pair(1, running.entries, Some(1))?;
        }
        assert_io(&mut running.host, flush(running.identity.nsid), &[], &[Status::SUCCESS], "Flush");
        Ok(())
    });
}

/// "Memory-based Transport Queue Model": head, tail and phase begin anew; so do size and place.
///
/// Cases: C14.
#[test]
fn recreated_queues_start_anew() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for entries in [5, 3, 8, 2, 7] {
            host.create_queue_pair(1, entries, Some(1))?;
            for _ in 0..entries + 2 {
                assert_io(&mut host, flush(1), &[], &[Status::SUCCESS], "Flush");
            }
            host.delete_submission_queue(1)?;
            host.delete_completion_queue(1)?;
        }
        Ok(())
    });
}

/// "Completion Queue Identifier": any that exists. The driver looks at SQID and at the queue of each completion.
///
/// Cases: C15.
#[test]
fn any_submission_queue_may_use_any_completion_queue() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let granted = host.set_number_of_queues(3)?.min(3);
        let crossed: Vec<(u16, u16)> = (1..=granted).map(|queue| (queue, granted + 1 - queue)).collect();
        let shared: Vec<(u16, u16)> = (1..=granted).map(|queue| (queue, 1)).collect();
        for mapping in [crossed, shared] {
            for queue in 1..=granted {
                host.create_completion_queue(queue, 16, Some(queue))?;
            }
            for &(submission, completion) in &mapping {
                host.create_submission_queue(submission, 8, completion)?;
            }
            for _ in 0..5 {
                for queue in 1..=granted {
                    host.submit(queue, flush(1), &[])?;
                }
            }
            assert_eq!(host.wait_all()?.len(), 5 * usize::from(granted));
            for queue in 1..=granted {
                host.delete_submission_queue(queue)?;
            }
            for queue in 1..=granted {
                host.delete_completion_queue(queue)?;
            }
        }
        Ok(())
    });
}

/// "Number of Queues": all that were granted can be created, and not one more.
///
/// Cases: C16.
#[test]
fn one_pair_more_than_granted_is_refused() {
    every_back_end(|device| {
        let (mut host, base) = start_with_memory(device)?;
        let granted = host.set_number_of_queues(0xFFFE)?;
        for queue in 1..=granted {
            host.create_queue_pair(queue, 4, Some(1))?;
        }
        assert_admin(&mut host, create_cq_entry(granted + 1, 4, base, Some(1)), REFUSED_ID, "one CQ more");
        assert_admin(&mut host, create_sq_entry(granted + 1, 4, base, 1), REFUSED_ID, "one SQ more");
        for queue in 1..=granted {
            host.submit(queue, flush(1), &[])?;
        }
        assert_eq!(host.wait_all()?.len(), usize::from(granted));
        Ok(())
    });
}

/// "Interrupts Enabled" 0: no message, polling works.
///
/// Cases: C18.
#[test]
fn completion_queue_without_interrupts_can_be_polled() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.create_queue_pair(1, 8, None)?;
        host.run_for(500)?;
        for vector in 0..2 {
            host.take_messages(vector);
        }
        assert_io(&mut host, flush(1), &[], &[Status::SUCCESS], "Flush");
        host.run_for(500)?;
        assert_eq!((host.take_messages(0), host.take_messages(1)), (0, 0));
        Ok(())
    });
}

/// "Delete I/O Submission Queue command": completions of other queues on the same completion queue, which wait for room in it, are not forgotten.
///
/// Cases: B7, C13.
#[test]
fn deleting_a_queue_leaves_completions_of_its_neighbour_waiting_for_room() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.create_completion_queue(1, 4, Some(1))?;
        for queue in [1, 2] {
            host.create_submission_queue(queue, 16, 1)?;
        }
        let refused = SqEntry { opcode: 0x7F, nsid: 1.into(), ..SqEntry::default() };
        host.options().release_completions = false;
        for _ in 0..8 {
            host.submit(1, refused, &[])?;
        }
        host.run_for(3000)?;
        // The admin queue is served as usual, so that only queue 1 is left full.
        host.options().release_completions = true;
        host.options().poll_clocks = 1;
        let cid = host.submit(0, delete_entry(admin::DELETE_IO_SQ, 2), &[])?;
        let start = host.clock();
        while host.waiting_completions(0) == 0 {
            host.step(16)?;
            assert!(host.clock() - start < 100_000, "the end of the deletion");
        }
        while host.consume(0)? {}
        host.release(0);
        assert!(host.take_completion(0, cid).is_some_and(|completion| completion.status.is_success()));
        // Now there is room.
        host.release(1);
        assert_eq!(host.wait_all()?.len(), 8);
        Ok(())
    });
}

/// "Number of Queues": 65,535 of either kind is invalid.
///
/// Cases: C19.
#[test]
fn number_of_queues_ffffh_is_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for value in [0xFFFF_FFFF, 0x0000_FFFF, 0xFFFF_0000] {
            let entry = set_features(fid::NUMBER_OF_QUEUES, value);
            assert_admin(&mut host, entry, &[Status::INVALID_FIELD], &format!("{value:#010x}"));
        }
        assert_works(&mut host)
    });
}

/// "Number of Queues": only before any I/O queue is created.
///
/// Cases: C20.
#[test]
fn number_of_queues_cannot_change_once_queues_exist() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let granted = host.set_number_of_queues(2)?;
        host.create_completion_queue(1, 8, Some(1))?;
        let entry = set_features(fid::NUMBER_OF_QUEUES, 0);
        assert_admin(&mut host, entry, &[Status::COMMAND_SEQUENCE_ERROR], "with a queue in place");
        host.delete_completion_queue(1)?;
        assert!(granted >= 1);
        assert_works(&mut host)
    });
}

/// "Number of Queues": dword 0 has what was granted, and Get Features agrees.
///
/// Cases: C21.
#[test]
fn granted_number_of_queues_is_reported() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for asked in [0u32, 1, 0xFFFE] {
            let entry = set_features(fid::NUMBER_OF_QUEUES, asked << 16 | asked);
            let granted = host.admin("Set Features", entry)?.result;
            let reported = host.admin("Get Features", get_features(fid::NUMBER_OF_QUEUES, 0))?.result;
            assert_eq!(granted, reported, "asked for {asked:#x}");
            assert!(granted & 0xFFFF < 0xFFFE && granted >> 16 < 0xFFFE);
        }
        Ok(())
    });
}

/// "Queue Priority": of no meaning under round robin.
///
/// Cases: C22.
#[test]
fn queue_priority_is_ignored_under_round_robin() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for priority in 0..4 {
            host.create_completion_queue(1, 8, Some(1))?;
            let base = host.host().alloc_guarded(PAGE_BYTES, PAGE_BYTES);
            let entry = with_cdw(create_sq_entry(1, 8, base, 1), 11, priority << 1, 0);
            assert_admin(&mut host, entry, &[Status::SUCCESS], &format!("QPRIO {priority}"));
            assert_admin(&mut host, delete_entry(admin::DELETE_IO_SQ, 1), &[Status::SUCCESS], "Delete SQ");
            host.delete_completion_queue(1)?;
            host.host().free(base);
        }
        Ok(())
    });
}
