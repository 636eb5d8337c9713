//! NVMe Base, "Memory-based Transport Queue Model" and "Completion Queue Entry".

use std::collections::BTreeMap;

use nvme_spec::feature::fid;
use nvme_spec::opcode::{admin, io};
use nvme_spec::{SqEntry, Status};
use sim_device::{BusTiming, Clocks, Random};
use sim_host::{cdw, identify_entry};

use crate::expect::{
    assert_admin, assert_ends, assert_io, assert_works, bring_up, data, flush, get_features, queue_entries_max, rounds,
    start, transfer, Host,
};
use crate::{every_back_end, seed};

/// "Phase Tag": the first pass has 1, each later pass the inverse of the one before. The driver looks at every entry.
///
/// Cases: B1.
#[test]
fn phase_tag_inverts_on_each_pass() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.create_queue_pair(1, 4, Some(1))?;
        for _ in 0..4 * 4 {
            assert_io(&mut host, flush(1), &[], &[Status::SUCCESS], "Flush");
        }
        Ok(())
    });
}

/// "Completion Queue Entry": CID, SQID, and SQHD, which wraps at the size of the queue.
///
/// Cases: B2.
#[test]
fn completions_echo_the_command_and_the_submission_head() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.create_queue_pair(1, 4, Some(1))?;
        for number in 1..=9u16 {
            let mut entry = flush(1);
            let cid = 0x8000 + number;
            entry.cid = cid.into();
            host.push_raw(1, zerocopy::transmute!(entry), &[])?;
            host.ring(1);
            let completion = host.wait(1, cid)?;
            // One command at a time: the head is just behind it.
            assert_eq!((completion.queue, completion.cid, completion.sqhd), (1, cid, number % 4));
        }
        Ok(())
    });
}

/// "Submission Queue Tail Doorbell": a new tail announces all entries before it, across the end of the ring.
///
/// Cases: B3.
#[test]
fn one_doorbell_write_may_announce_many_entries() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.create_queue_pair(1, 16, Some(1))?;
        for count in (1..16).chain([15, 15, 15]) {
            for _ in 0..count {
                host.push(1, flush(1), &[])?;
            }
            host.ring(1);
            assert_eq!(host.wait_all()?.len(), count);
        }
        Ok(())
    });
}

/// "Queue Size": two entries, and CAP.MQES + 1.
///
/// Cases: B4.
#[test]
fn shortest_and_longest_queues_work() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let longest = queue_entries_max(&mut host).min(0xFFFF) as u16;
        for entries in [2, longest] {
            host.create_queue_pair(1, entries, Some(1))?;
            let commands = if entries == 2 { 9 } else { rounds(&mut host, u32::from(entries) + 3, 40) };
            for _ in 0..commands {
                while host.is_full(1) {
                    host.run_for(16)?;
                }
                host.submit(1, flush(1), &[])?;
            }
            let completions = host.wait_all()?;
            assert!(completions.iter().all(|c| c.status.is_success()));
            assert_eq!(completions.len() as u32, commands);
            host.delete_submission_queue(1)?;
            host.delete_completion_queue(1)?;
        }
        Ok(())
    });
}

/// "Submission Queue Head Pointer": the host may overwrite a slot once SQHD has passed it. No stale entry is executed twice: the driver
/// notices a completion too many.
///
/// Cases: B5.
#[test]
fn slots_may_be_reused_as_soon_as_they_are_fetched() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.options().poll_clocks = 1;
        host.create_queue_pair(1, 4, Some(1))?;
        let mut submitted = 0;
        host.wait_until("200 commands", |h| {
            while submitted < 200 && !h.is_full(1) {
                h.submit(1, flush(1), &[]).unwrap_or_else(|error| panic!("{error}"));
                submitted += 1;
            }
            submitted == 200 && h.in_flight() == 0
        })
    });
}

/// "Completion Queue Head Doorbell": never more than size - 1 entries wait; nothing is overwritten; everything goes on afterwards.
///
/// Cases: B6.
#[test]
fn full_completion_queue_holds_everything_back_and_goes_on() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.create_completion_queue(1, 4, Some(1))?;
        host.create_submission_queue(1, 16, 1)?;
        host.options().release_completions = false;
        for _ in 0..15 {
            host.push(1, flush(1), &[])?;
        }
        host.ring(1);
        host.wait_until("a full completion queue", |h| h.in_flight() == 12)?;
        // An overrun would be a violation, and so would a completion too many.
        host.run_for(2000)?;
        assert_eq!(host.in_flight(), 12);
        // The admin queue is not affected.
        host.options().release_completions = true;
        assert_works(&mut host)?;
        host.release(1);
        assert_eq!(host.wait_all()?.len(), 15);
        Ok(())
    });
}

/// Three submission queues share a completion queue that is emptied one entry at a time: each of them makes progress.
///
/// Cases: B7.
#[test]
fn full_queues_on_one_completion_queue_all_make_progress() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let granted = host.set_number_of_queues(3)?.min(3);
        host.create_completion_queue(1, 4, Some(1))?;
        for queue in 1..=granted {
            host.create_submission_queue(queue, 16, 1)?;
        }
        host.options().release_completions = false;
        let mut completed: BTreeMap<u16, u32> = BTreeMap::new();
        for _ in 0..240 {
            for queue in 1..=granted {
                while !host.is_full(queue) {
                    host.push(queue, flush(1), &[])?;
                }
                host.ring(queue);
            }
            host.wait_until("an entry in the full completion queue", |h| h.has_completion())?;
            while let Some(completion) = host.next_completion() {
                *completed.entry(completion.queue).or_default() += 1;
            }
            host.release(1);
        }
        let total: u32 = completed.values().sum();
        for queue in 1..=granted {
            let share = completed.get(&queue).copied().unwrap_or(0);
            assert!(share >= total / (4 * u32::from(granted)), "queue {queue} had {share} of {total}");
        }
        host.options().release_completions = true;
        host.wait_all()?;
        Ok(())
    });
}

/// "Completion Queue Head Doorbell": per entry, or once for many.
///
/// Cases: B8.
#[test]
fn head_doorbell_may_be_rung_rarely() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let entries = running.entries;
        let host = &mut running.host;
        for together in [1, entries - 1] {
            host.options().release_completions = false;
            for _ in 0..3 {
                for _ in 0..together {
                    host.push(1, flush(1), &[])?;
                }
                host.ring(1);
                assert_eq!(host.wait_all()?.len(), usize::from(together));
                host.release(1);
            }
            host.options().release_completions = true;
            assert_works(host)?;
        }
        Ok(())
    });
}

/// "Command Identifier": two commands in flight with one identifier are the host's mistake; each gets an answer.
///
/// Cases: B9.
#[test]
fn command_ids_used_twice_do_no_harm() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let mut entry = flush(running.identity.nsid);
        entry.cid = 7.into();
        for _ in 0..2 {
            running.host.push_raw(1, zerocopy::transmute!(entry), &[])?;
        }
        running.host.ring(1);
        for completion in running.host.wait_all()? {
            assert_ends(&completion, &[Status::SUCCESS, Status::COMMAND_ID_CONFLICT], "one of two");
        }
        assert_works(&mut running.host)
    });
}

/// "Opcodes for Admin Commands", "Opcodes for NVM Commands": what is reserved or optional and absent.
///
/// Cases: B10, N14.
#[test]
fn unknown_opcodes_are_refused() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let host = &mut running.host;
        let known = |table: &[(u8, &str)], opcode| table.iter().any(|(code, _)| *code == opcode);
        for opcode in (0..=0xFF).filter(|opcode| !known(admin::ALL, *opcode)) {
            let entry = SqEntry { opcode, ..SqEntry::default() };
            assert_admin(host, entry, &[Status::INVALID_OPCODE], &format!("admin opcode {opcode:#04x}"));
        }
        for opcode in (0..=0xFF).filter(|opcode| !known(io::ALL, *opcode)) {
            let entry = SqEntry { opcode, ..flush(running.identity.nsid) };
            assert_io(host, entry, &[], &[Status::INVALID_OPCODE], &format!("I/O opcode {opcode:#04x}"));
        }
        assert_works(host)
    });
}

/// "Fused Operations": there are no fused admin commands.
///
/// Cases: B11.
#[test]
fn fused_admin_commands_are_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for fuse in 1..=3 {
            let entry = SqEntry { flags: fuse, ..get_features(fid::ARBITRATION, 0) };
            assert_admin(&mut host, entry, &[Status::INVALID_FIELD], &format!("FUSE {fuse}"));
        }
        assert_works(&mut host)
    });
}

/// "PRP or SGL for Data Transfer": admin commands over PCIe use PRPs; 11b is reserved everywhere.
///
/// Cases: B12.
#[test]
fn admin_commands_with_sgls_are_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for psdt in 1..=3 {
            for entry in [get_features(fid::ARBITRATION, 0), identify_entry(1, 0)] {
                let entry = SqEntry { flags: psdt << 6, ..entry };
                assert_admin(&mut host, entry, &[Status::INVALID_FIELD], &format!("PSDT {psdt}"));
            }
        }
        assert_works(&mut host)
    });
}

/// "Submission Queue Entry": reserved fields, and NSID where a command does not use it.
///
/// Cases: B13.
#[test]
fn unused_fields_are_ignored() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let plain = host.admin("Get Features", get_features(fid::NUMBER_OF_QUEUES, 0))?.result;
        let crowded = SqEntry {
            nsid: 1.into(),
            cdw2: [0xFFFF_FFFF.into(); 2],
            mptr: u64::MAX.into(),
            cdw10: cdw([fid::NUMBER_OF_QUEUES.into(), 0, !0, !0, 0, !0]),
            ..get_features(fid::NUMBER_OF_QUEUES, 0)
        };
        let completion = host.execute(0, crowded, &[])?;
        assert_ends(&completion, &[Status::SUCCESS, Status::INVALID_FIELD], "reserved fields set");
        if completion.status.is_success() {
            assert_eq!(completion.result, plain);
        }
        assert_works(&mut host)
    });
}

/// "Submission Queue": a host must not change an entry after the doorbell. If it does, the command still ends once.
///
/// Cases: B14.
#[test]
fn entries_changed_after_the_doorbell_do_no_harm() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let mut random = Random::new(seed());
        let host = &mut running.host;
        for _ in 0..rounds(host, 100, 20) {
            let cid = host.submit(1, flush(running.identity.nsid), &[])?;
            let address = host.entry_address(1, cid).expect("it is in flight");
            host.device().step(random.below(60) as u32);
            // Any opcode, the same identifier.
            let opcode = random.below(256) as u8;
            host.host().store(address, &[if opcode == io::READ { 0xFF } else { opcode }]);
            host.wait(1, cid)?;
        }
        assert_works(host)
    });
}

/// PCI Express Base, "Transaction Ordering": reads may be answered late and in any order. Data and results stay the same, and the driver
/// notices a completion before its data.
///
/// Cases: B15.
#[test]
fn results_do_not_depend_on_the_speed_of_memory() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let mut random = Random::new(seed());
        let adverse = (0..rounds(&mut running.host, 6, 4)).map(|i| BusTiming::adverse(seed() + u64::from(i)));
        let slow =
            BusTiming { read_latency: Clocks::between(1, 2000), reorder: true, interleave: true, ..BusTiming::IDEAL };
        for timing in adverse.chain([slow]) {
            running.host.device().set_host_timing(timing);
            let blocks = 40;
            let lba = random.below(identity.blocks - blocks);
            let written = data(random.next_u64(), blocks as usize * identity.lba_bytes as usize);
            running.host.write(&identity, lba, &written)?;
            let mut commands = Vec::new();
            for i in 0..16u64 {
                let (start, count) = (i * 2, random.between(1, 8));
                let (entry, buffer) = transfer(&mut running.host, &identity, lba + start, count as u32, false);
                let queue = random.between(1, running.queues.into()) as u16;
                let cid = running.host.submit(queue, entry, buffer.segments())?;
                commands.push((queue, cid, start, buffer));
            }
            for (queue, cid, start, buffer) in commands {
                let completion = running.host.wait(queue, cid)?;
                assert_ends(&completion, &[Status::SUCCESS], "Read");
                let first = start as usize * identity.lba_bytes as usize;
                assert_eq!(buffer.load(running.host.host()), written[first..][..buffer.bytes()], "{timing:?}");
                buffer.free(running.host.host());
            }
        }
        running.host.device().set_host_timing(BusTiming::IDEAL);
        assert_works(&mut running.host)
    });
}

/// NVMe PCIe, "Submission Queue y Tail Doorbell": queues that do not exist, positions that are none.
///
/// Cases: X4.
#[test]
fn invalid_doorbell_writes_do_no_harm() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let (entries, queues) = (u32::from(running.entries), running.queues);
        let host: &mut Host<'_> = &mut running.host;
        use nvme_spec::regs::{cq_head_doorbell, sq_tail_doorbell};
        host.write32(sq_tail_doorbell(queues + 1), 1);
        host.write32(cq_head_doorbell(queues + 1), 1);
        host.write32(sq_tail_doorbell(255), 1);
        host.write32(sq_tail_doorbell(1), entries);
        host.write32(sq_tail_doorbell(1), u32::MAX);
        host.write32(cq_head_doorbell(1), entries);
        // Beyond what was completed.
        host.write32(cq_head_doorbell(1), 1);
        host.run_for(1000)?;
        assert_eq!(host.read32(sq_tail_doorbell(1)), 0, "doorbells read as zero");
        assert_io(host, flush(running.identity.nsid), &[], &[Status::SUCCESS], "Flush");
        assert_works(host)
    });
}
