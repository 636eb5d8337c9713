//! Anything may come: random entries, memory that fails, resets at any clock. Whatever happens, every command ends once, nothing is written
//! outside of what the host offered, and a reset brings the controller back.

use nvme_spec::feature::fid;
use nvme_spec::opcode::{admin, io};
use nvme_spec::regs::csts;
use sim_device::{BusTiming, Chance, Random, PAGE_BYTES};
use sim_host::{Driver, Options};

use crate::expect::{bring_up, bring_up_with, data, rounds, Host, Running};
use crate::{every_back_end, seed, Outcome};

/// Pages that random PRPs point to.
const POOL_PAGES: u64 = 24;

/// Memory for the data and the PRP lists of random commands.
struct Pool {
    base: u64,
}

impl Pool {
    fn new(host: &mut Host<'_>) -> Self {
        let base = host.host().alloc_guarded(POOL_PAGES * PAGE_BYTES, PAGE_BYTES);
        host.allow_writes(base..base + POOL_PAGES * PAGE_BYTES);
        Self { base }
    }

    /// Fills some pages with pointers into the pool, so that they can serve as PRP lists. The device may overwrite them.
    fn make_lists(&self, host: &mut Host<'_>, random: &mut Random) {
        for page in POOL_PAGES - 4..POOL_PAGES {
            for entry in 0..PAGE_BYTES / 8 {
                let target = self.base + random.below(POOL_PAGES) * PAGE_BYTES;
                let target = target + if random.below(200) == 0 { 8 } else { 0 };
                host.host().store(self.base + page * PAGE_BYTES + entry * 8, &target.to_le_bytes());
            }
        }
    }

    fn pointer(&self, random: &mut Random) -> u64 {
        let page = self.base + random.below(POOL_PAGES) * PAGE_BYTES;
        match random.below(12) {
            0 => random.next_u64(),
            1 => page + random.below(PAGE_BYTES),
            2 => 0,
            3..=5 => page + random.below(PAGE_BYTES / 8) * 8,
            _ => page,
        }
    }
}

/// 64 bytes that are anything, or close to a command.
fn random_entry(random: &mut Random, pool: &Pool, is_admin: bool) -> [u8; 64] {
    let mut entry = [0; 64];
    random.fill(&mut entry);
    if random.below(4) != 0 {
        let opcodes: &[u8] = if is_admin {
            &[
                admin::CREATE_IO_SQ,
                admin::GET_LOG_PAGE,
                admin::CREATE_IO_CQ,
                admin::IDENTIFY,
                admin::ABORT,
                admin::SET_FEATURES,
                admin::GET_FEATURES,
            ]
        } else {
            &[io::READ, io::READ, io::WRITE, io::WRITE, io::FLUSH]
        };
        entry[0] = *random.pick(opcodes);
        if random.below(8) != 0 {
            entry[1] = 0;
            let nsid: u32 = if random.below(8) == 0 { 0 } else { 1 };
            entry[4..8].copy_from_slice(&nsid.to_le_bytes());
        }
        if random.below(8) != 0 {
            // Small numbers in the command dwords: blocks, identifiers, lengths.
            entry[40..64].fill(0);
            for dword in 10..14 {
                let bits = random.below(12);
                let value = random.below(1 << bits) as u32;
                entry[dword * 4..dword * 4 + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    // Random addresses must not hit memory of somebody else by chance, so that most point into the pool or nowhere.
    for offset in [24, 32] {
        entry[offset..offset + 8].copy_from_slice(&pool.pointer(random).to_le_bytes());
    }
    let never_ends = is_admin && entry[0] == admin::ASYNC_EVENT_REQUEST;
    let ends_our_queues = is_admin && matches!(entry[0], admin::DELETE_IO_SQ | admin::DELETE_IO_CQ);
    let changes_namespaces = is_admin
        && matches!(
            entry[0],
            admin::NAMESPACE_MANAGEMENT | admin::NAMESPACE_ATTACHMENT | admin::FORMAT_NVM | admin::SANITIZE
        );
    // The time of a short Keep Alive Timer ends, and a write protected namespace takes no data.
    let changes_life = is_admin
        && entry[0] == admin::SET_FEATURES
        && matches!(entry[40], fid::KEEP_ALIVE_TIMER | fid::NAMESPACE_WRITE_PROTECTION);
    if never_ends || ends_our_queues || changes_namespaces || changes_life {
        entry[0] = admin::IDENTIFY;
    }
    if !is_admin && entry[0] == io::RECEIVE_FRAME {
        entry[0] = io::SEND_FRAME;
    }
    entry
}

/// Submits random commands to all queues that have room.
fn submit_random_entries(running: &mut Running<'_>, random: &mut Random, pool: &Pool, count: u64) -> Outcome {
    for _ in 0..count {
        let queue = random.below(u64::from(running.queues) + 1) as u16;
        if running.host.is_full(queue) {
            continue;
        }
        let mut entry = random_entry(random, pool, queue == 0);
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
#[test]
fn random_entries_all_end() {
    every_back_end(|device| {
        let mut random = Random::new(seed());
        let mut running = bring_up(device)?;
        let pool = Pool::new(&mut running.host);
        for _ in 0..rounds(&mut running.host, 60, 12) {
            pool.make_lists(&mut running.host, &mut random);
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
#[test]
fn random_entries_with_memory_errors_end_or_are_fatal() {
    every_back_end(|device| {
        let mut random = Random::new(seed());
        let mut running = bring_up(device)?;
        let pool = Pool::new(&mut running.host);
        for _ in 0..rounds(&mut running.host, 60, 12) {
            pool.make_lists(&mut running.host, &mut random);
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
#[test]
fn random_entries_with_resets_at_any_clock_leave_nothing_behind() {
    every_back_end(|device| {
        let mut random = Random::new(seed());
        let options = Options { poll_clocks: 7, ..Options::default() };
        let mut running = bring_up_with(Driver::new(device, options))?;
        let pool = Pool::new(&mut running.host);
        for _ in 0..rounds(&mut running.host, 100, 15) {
            pool.make_lists(&mut running.host, &mut random);
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
