//! Anything may come: random entries, memory that fails, resets at any clock. Whatever happens, every command ends once, nothing is written
//! outside of what the host offered, and a reset brings the controller back.

use nvme_spec::feature::fid;
use nvme_spec::opcode::{admin, io};
use nvme_spec::regs::csts;
use sim_device::{BusTiming, Chance, Random};
use sim_host::{Driver, Options};
use sim_swarm::{random_entry, Pool};

use crate::expect::{bring_up, bring_up_with, data, rounds, Running};
use crate::{every_back_end, seed, Outcome};

/// Submits random commands to all queues that have room.
fn submit_random_entries(running: &mut Running<'_>, random: &mut Random, pool: &Pool, count: u64) -> Outcome {
    for _ in 0..count {
        let queue = random.below(u64::from(running.queues) + 1) as u16;
        if running.host.is_full(queue) {
            continue;
        }
        let mut entry = random_entry(random, pool, queue == 0);
        let never_ends = queue == 0 && entry[0] == admin::ASYNC_EVENT_REQUEST;
        let ends_our_queues = queue == 0 && matches!(entry[0], admin::DELETE_IO_SQ | admin::DELETE_IO_CQ);
        let changes_namespaces = queue == 0
            && matches!(
                entry[0],
                admin::NAMESPACE_MANAGEMENT | admin::NAMESPACE_ATTACHMENT | admin::FORMAT_NVM | admin::SANITIZE
            );
        // The time of a short Keep Alive Timer ends, and a write protected namespace takes no data.
        let changes_life = queue == 0
            && entry[0] == admin::SET_FEATURES
            && matches!(entry[40], fid::KEEP_ALIVE_TIMER | fid::NAMESPACE_WRITE_PROTECTION);
        if never_ends || ends_our_queues || changes_namespaces || changes_life {
            entry[0] = admin::IDENTIFY;
        }
        if queue != 0 && entry[0] == io::RECEIVE_FRAME {
            entry[0] = io::SEND_FRAME;
        }
        // A free identifier: what duplicates do is another test.
        let cid = (random.next_u64() as u16) & 0x3FFF;
        if running.host.entry_address(queue, cid).is_some() {
            continue;
        }
        entry[2..4].copy_from_slice(&cid.to_le_bytes());
        running.host.push_raw(queue, entry, &[])?;
        if random.below(3) == 0 {
            running.host.ring(queue);
        }
    }
    for queue in 0..=running.queues {
        running.host.ring(queue);
    }
    Ok(())
}

/// The controller works: what is written is read back.
fn assert_data_works(running: &mut Running<'_>, random: &mut Random) -> Outcome {
    let identity = running.identity;
    let content = data(random.next_u64(), 16 * identity.lba_bytes as usize);
    let lba = random.below(identity.blocks - 16);
    running.host.write(&identity, lba, &content)?;
    let mut back = vec![0; content.len()];
    running.host.read(&identity, lba, &mut back)?;
    assert!(back == content, "16 blocks from {lba}");
    if let Err(error) = running.host.check_canaries() {
        panic!("{error}");
    }
    Ok(())
}

/// Every entry that is fetched gets exactly one completion, whatever is in it.
///
/// Cases: X7.
#[test]
fn random_entries_all_end() {
    every_back_end(|device| {
        let mut random = Random::new(seed());
        let mut running = bring_up(device)?;
        let pool = Pool::new(&mut running.host);
        for _ in 0..rounds(&mut running.host, 60, 12) {
            pool.make_lists(running.host.host(), &mut random);
            let timing = BusTiming::adverse(random.next_u64());
            running.host.device().set_host_timing(timing);
            let count = random.between(1, 60);
            submit_random_entries(&mut running, &mut random, &pool, count)?;
            running.host.wait_all()?;
            assert_eq!(csts::CFS.get32(running.host.csts()), 0, "nothing in an entry is fatal");
        }
        assert_data_works(&mut running, &mut random)
    });
}

/// With memory that fails now and then, commands end, or the controller says that it failed; a reset recovers.
///
/// Cases: X3, X7.
#[test]
fn random_entries_with_memory_errors_end_or_are_fatal() {
    every_back_end(|device| {
        let mut random = Random::new(seed());
        let mut running = bring_up(device)?;
        let pool = Pool::new(&mut running.host);
        for _ in 0..rounds(&mut running.host, 60, 12) {
            pool.make_lists(running.host.host(), &mut random);
            let faults = &mut running.host.host().faults;
            faults.reseed(random.next_u64());
            faults.read_chance = *random.pick(&[Chance::NEVER, Chance::of(1, 500), Chance::of(1, 20)]);
            faults.write_chance = *random.pick(&[Chance::NEVER, Chance::of(1, 500), Chance::of(1, 20)]);
            let timing = BusTiming::adverse(random.next_u64());
            running.host.device().set_host_timing(timing);
            let count = random.between(1, 60);
            submit_random_entries(&mut running, &mut random, &pool, count)?;
            running.host.wait_until("the end of all commands, or CSTS.CFS", |h| {
                h.in_flight() == 0 || csts::CFS.get32(h.csts()) == 1
            })?;
            running.host.host().faults.clear();
            running = running.restart()?;
            assert_data_works(&mut running, &mut random)?;
        }
        Ok(())
    });
}

/// After CSTS.RDY = 0 nothing of the old life touches memory, and the new life knows nothing of it.
///
/// Cases: X8.
#[test]
fn random_entries_with_resets_at_any_clock_leave_nothing_behind() {
    every_back_end(|device| {
        let mut random = Random::new(seed());
        let options = Options { poll_clocks: 7, ..Options::default() };
        let mut running = bring_up_with(Driver::new(device, options))?;
        let pool = Pool::new(&mut running.host);
        for _ in 0..rounds(&mut running.host, 100, 15) {
            pool.make_lists(running.host.host(), &mut random);
            let faulty = random.below(3) == 0;
            running.host.host().faults.read_chance = if faulty { Chance::of(1, 100) } else { Chance::NEVER };
            let timing = BusTiming::adverse(random.next_u64());
            running.host.device().set_host_timing(timing);
            let count = random.between(1, 40);
            submit_random_entries(&mut running, &mut random, &pool, count)?;
            let bits = random.below(12);
            let clocks = random.below(1 << bits);
            running.host.run_for(clocks)?;
            running.host.disable()?;
            running.host.host().faults.clear();
            // The slowest answer of the old life is on its way for at most some thousand clocks.
            running.host.run_for(4000)?;
            running = running.restart()?;
            assert_data_works(&mut running, &mut random)?;
        }
        Ok(())
    });
}
