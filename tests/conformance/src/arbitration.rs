//! NVMe Base, "Command Arbitration": from which queue the controller fetches next.
//!
//! All submission queues share a completion queue that is full while they are filled, so that nothing is fetched. Then the host gives the whole
//! completion queue back: from then on every queue waits, and the entries are read in the order of the arbitration. That order is looked at.

use nvme_spec::entry::queue_priority::{HIGH, LOW, MEDIUM, URGENT};
use nvme_spec::feature::fid;
use nvme_spec::firmware_port::arbitration::{AB, HPW, LPW, MPW};
use nvme_spec::limits::IO_QUEUES_MAX;
use nvme_spec::regs::{self, cap, cc};
use sim_device::Device;
use sim_host::{create_sq_entry, DriverError, Options};

use crate::every_back_end;
use crate::expect::{flush, get_features, queue_entries_max, set_features, start, Host};

/// CC.AMS, or [`cap::WEIGHTED_ROUND_ROBIN`] in CAP.AMS: weighted round robin with urgent priority class.
const WEIGHTED: u32 = cap::WEIGHTED_ROUND_ROBIN as u32;

/// Entries that are fetched before the completion queue is full again, if it can be so long.
const FETCHES: u16 = 255;

/// The value of the feature Arbitration, with weights as counts.
fn arbitration(burst_log2: u32, [high, medium, low]: [u32; 3]) -> u32 {
    let value = AB.set32(0, burst_log2);
    let value = HPW.set32(value, high - 1);
    LPW.set32(MPW.set32(value, medium - 1), low - 1)
}

/// A controller with submission queues 1, 2, .., which all use completion queue 1.
struct Backlog<'d> {
    host: Host<'d>,
    queues: u16,
    /// Entries of the completion queue that can be in use, and of each submission queue.
    places: u16,
}

impl<'d> Backlog<'d> {
    /// The controller with this mechanism, this value of the feature, and a submission queue of each priority.
    fn new(
        device: &'d mut (dyn Device + 'd),
        mechanism: u32,
        feature: u32,
        priorities: &[u8],
    ) -> Result<Self, DriverError> {
        let mut host = Host::new(device, Options::default());
        host.disable()?;
        host.set_up_interrupts(2);
        host.prepare_admin_queues();
        host.write32(regs::CC.offset, cc::AMS.set32(Host::cc_value(1), mechanism));
        host.wait_ready()?;
        host.admin("Set Features, Arbitration", set_features(fid::ARBITRATION, feature))?;
        let entries = queue_entries_max(&mut host).min(u32::from(FETCHES) + 1) as u16;
        host.create_completion_queue(1, entries, Some(1))?;
        for (queue, priority) in (1..).zip(priorities) {
            let base = host.alloc_queue_memory(entries.into(), nvme_spec::entry::SQ_ENTRY_LOG2_BYTES);
            let mut entry = create_sq_entry(queue, entries, base, 1);
            // QPRIO.
            entry.cdw10[1] |= u32::from(*priority) << 1;
            host.admin("Create I/O Submission Queue", entry)?;
            host.know_submission_queue(queue, base, entries.into(), 1);
        }
        Ok(Self { host, queues: priorities.len() as u16, places: entries - 1 })
    }

    /// Fills all queues, and `admin` places of the admin queue, while nothing can be fetched from I/O queues; then lets the controller fetch. The
    /// queues of the entries that it reads until the completion queue is full again, in this order. In the end it is disabled.
    fn order(&mut self, admin: u16) -> Result<Vec<u16>, DriverError> {
        let places = usize::from(self.places);
        self.host.options().release_completions = false;
        for _ in 0..self.places {
            self.host.push(1, flush(1), &[])?;
        }
        self.host.ring(1);
        self.host.wait_all()?;
        for queue in 1..=self.queues {
            for _ in 0..self.places {
                self.host.push(queue, flush(1), &[])?;
            }
            self.host.ring(queue);
        }
        self.host.run_for(500)?;
        self.host.take_fetches();
        for _ in 0..admin {
            self.host.push(0, get_features(fid::ARBITRATION, 0), &[])?;
        }
        self.host.ring(0);
        self.host.release(1);
        let mut order = vec![];
        self.host.wait_until("a full completion queue", |host| {
            order.extend(host.take_fetches());
            order.len() >= usize::from(admin) + places
        })?;
        self.host.options().release_completions = true;
        self.host.release(1);
        self.host.wait_all()?;
        self.host.disable()?;
        Ok(order)
    }
}

/// How often a queue is in an order.
fn count(order: &[u16], queue: u16) -> usize {
    order.iter().filter(|fetched| **fetched == queue).count()
}

/// Asserts that an order is made of rounds in which queues 1, 2, .. have these shares. It may begin and end within a round.
#[track_caller]
fn assert_rounds(order: &[u16], shares: &[usize], what: &str) {
    let round: usize = shares.iter().sum();
    assert!(order.len() >= 2 * round, "{what}: no whole round in {order:?}");
    let has_shares = |fetched: &[u16]| (1..).zip(shares).all(|(queue, share)| count(fetched, queue) == *share);
    let begins_at = |begin: &usize| order[*begin..].chunks_exact(round).all(has_shares);
    assert!((0..round).any(|begin| begins_at(&begin)), "{what}: no rounds of {shares:?} in {order:?}");
}

/// "Weighted Round Robin with Urgent Priority Class Arbitration": in each round, as many commands of a priority as its weight says.
///
/// Cases: I8.
#[test]
fn priorities_have_shares_by_their_weights() {
    every_back_end(|device| {
        let queues = most_queues(device)?;
        for (burst_log2, weights) in [(0, [3, 2, 1]), (3, [1, 2, 4]), (2, [5, 1, 9]), (7, [1, 1, 1])] {
            // On a controller with two queues, two priorities at a time.
            let priorities = [(HIGH, weights[0]), (MEDIUM, weights[1]), (LOW, weights[2])];
            let groups = match queues {
                0..3 => vec![vec![0, 1], vec![1, 2], vec![2, 0]],
                _ => vec![vec![0, 1, 2]],
            };
            for group in groups {
                let of_group: Vec<u8> = group.iter().map(|class| priorities[*class].0).collect();
                let shares: Vec<usize> = group.iter().map(|class| priorities[*class].1 as usize).collect();
                let mut backlog = Backlog::new(device, WEIGHTED, arbitration(burst_log2, weights), &of_group)?;
                // The smallest queues are too short for large weights.
                if usize::from(backlog.places) < 2 * shares.iter().sum::<usize>() {
                    backlog.host.disable()?;
                    continue;
                }
                let order = backlog.order(0)?;
                let what = format!("{of_group:?} of {weights:?}, AB {burst_log2}");
                assert_rounds(&order, &shares, &what);
            }
        }
        Ok(())
    });
}

/// The same section: queues of one priority share what it has.
///
/// Cases: I8.
#[test]
fn queues_of_one_priority_take_turns() {
    every_back_end(|device| {
        if most_queues(device)? < 4 {
            return Ok(());
        }
        let weights = [6, 2, 1];
        let mut backlog = Backlog::new(device, WEIGHTED, arbitration(0, weights), &[HIGH, LOW, HIGH, HIGH])?;
        assert_rounds(&backlog.order(0)?, &[2, 1, 2, 2], "three queues of one priority");
        Ok(())
    });
}

/// The same section: "Urgent" is a strict priority, below that of the admin queue alone.
///
/// Cases: I8.
#[test]
fn admin_and_urgent_queues_go_first() {
    every_back_end(|device| {
        const ADMIN: u16 = 16;
        // The urgent queue is the first that finds the completion queue full, so that nobody waits for a place before it.
        let feature = arbitration(0, [200, 200, 200]);
        let mut backlog = Backlog::new(device, WEIGHTED, feature, &[URGENT, HIGH])?;
        let order = backlog.order(ADMIN)?;
        let (admin, io) = order.split_at(ADMIN.into());
        assert_eq!(count(admin, 0), usize::from(ADMIN), "{order:?}");
        assert_eq!(count(io, 1), io.len(), "{order:?}");
        Ok(())
    });
}

/// "Arbitration Burst": no more than 2^AB commands at a time from a queue, with either mechanism.
///
/// Cases: I8.
#[test]
fn the_arbitration_burst_bounds_a_turn() {
    every_back_end(|device| {
        for (mechanism, priority) in [(0, URGENT), (WEIGHTED, URGENT), (WEIGHTED, MEDIUM)] {
            for burst_log2 in 0..4 {
                let feature = arbitration(burst_log2, [1, 64, 1]);
                let order = Backlog::new(device, mechanism, feature, &[priority; 2])?.order(0)?;
                let turns = order.chunk_by(|a, b| a == b).map(<[u16]>::len);
                let longest = turns.max().unwrap_or(0);
                assert!(longest <= 1 << burst_log2, "AMS {mechanism}, priority {priority}, AB {burst_log2}: {order:?}");
            }
        }
        Ok(())
    });
}

/// I/O queue pairs of a device.
fn most_queues(device: &mut dyn Device) -> Result<u16, DriverError> {
    let mut host = start(device)?;
    let queues = host.set_number_of_queues(IO_QUEUES_MAX)?;
    host.disable()?;
    Ok(queues)
}
