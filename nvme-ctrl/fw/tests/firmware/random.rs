//! Random entries: nothing panics, and every command is completed exactly once.

use std::collections::BTreeMap;

use nvme_spec::firmware_port::capabilities::{NAMESPACE_BASE, NAMESPACE_FORMAT, STORAGE_COPY, STORAGE_ERASE};
use nvme_spec::opcode::{admin, io};
use nvme_spec::{SqEntry, Status};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use zerocopy::FromBytes;

use crate::bench::{create_cq, create_sq, Bench};

/// A frame command, most of the time a right one.
fn frame() -> impl Strategy<Value = [u8; 64]> {
    (any::<bool>(), 0_u32..3, 1_u32..2049).prop_map(|(sends, wrong, bytes)| {
        let mut entry = [0; 64];
        entry[0] = if sends { io::SEND_FRAME } else { io::RECEIVE_FRAME };
        entry[25] = 0x10;
        let dwords = if sends { bytes.div_ceil(4) } else { 512 } + u32::from(wrong == 0);
        entry[40..44].copy_from_slice(&dwords.to_le_bytes());
        entry[48..52].copy_from_slice(&bytes.to_le_bytes());
        entry
    })
}

/// A Copy from the first blocks of namespace 1 or 2, most of the time a right one.
fn copy() -> impl Strategy<Value = [u8; 64]> {
    (0_u8..4, 0_u32..3, 0_u32..5000, 0_u32..130).prop_map(|(wrong, nsid, destination, ranges)| {
        let mut entry = [0; 64];
        entry[0] = io::COPY;
        entry[1] = u8::from(wrong == 0);
        entry[4..8].copy_from_slice(&nsid.to_le_bytes());
        entry[25] = 0x10;
        entry[40..44].copy_from_slice(&destination.to_le_bytes());
        entry[48..52].copy_from_slice(&ranges.to_le_bytes());
        entry
    })
}

/// What the host does next.
#[derive(Clone, Debug)]
enum Step {
    /// A command on the admin queue or an I/O queue.
    Submit {
        sqid: u8,
        entry: [u8; 64],
    },
    /// A command of the fast path that failed.
    Failed {
        sqid: u8,
        status: u16,
    },
    /// The completion queue of a submission queue is full from now on.
    Fill(u8),
    /// All have room again.
    MakeRoom,
    /// So many commands of a queue are with the hardware.
    InFlight {
        sqid: u8,
        count: u32,
    },
    Polls(u32),
    /// The host of a function resets its controller, and brings it up again.
    Reset(u8),
}

/// Entries that get further than pure noise: real opcodes, small numbers, sane flags.
fn entry() -> impl Strategy<Value = [u8; 64]> {
    let noise = any::<[u8; 64]>();
    let opcodes: Vec<u8> = admin::ALL.iter().map(|(opcode, _)| *opcode).collect();
    let small = (prop::sample::select(opcodes), prop::array::uniform6(0_u32..8), 0_u32..3, any::<bool>());
    let near = small.prop_map(|(opcode, dwords, nsid, is_aligned)| {
        let mut bytes = [0; 64];
        bytes[0] = opcode;
        bytes[4..8].copy_from_slice(&nsid.to_le_bytes());
        bytes[25] = if is_aligned { 0x10 } else { 0x01 };
        for (i, dword) in dwords.into_iter().enumerate() {
            // Small numbers in both halves: queue identifiers, sizes, features with selectors.
            let value = dword | (dword ^ 1) << 16;
            bytes[40 + 4 * i..44 + 4 * i].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    });
    prop_oneof![1 => noise, 4 => near]
}

fn step() -> impl Strategy<Value = Step> {
    let sqid = prop_oneof![3 => 0_u8..2, 1 => 1_u8..6];
    prop_oneof![
        8 => (sqid, entry()).prop_map(|(sqid, entry)| Step::Submit { sqid, entry }),
        4 => (1_u8..6, frame()).prop_map(|(sqid, entry)| Step::Submit { sqid, entry }),
        4 => (1_u8..6, copy()).prop_map(|(sqid, entry)| Step::Submit { sqid, entry }),
        1 => (1_u8..6, any::<u16>()).prop_map(|(sqid, status)| Step::Failed { sqid, status }),
        1 => (0_u8..6).prop_map(Step::Fill),
        1 => Just(Step::MakeRoom),
        1 => (1_u8..6, 0_u32..3).prop_map(|(sqid, count)| Step::InFlight { sqid, count }),
        4 => (0_u32..4).prop_map(Step::Polls),
        1 => (0_u8..2).prop_map(Step::Reset),
    ]
}

/// A command that may still be completed.
struct Outstanding {
    entry: SqEntry,
    function: u8,
    /// It is an admin command.
    is_admin: bool,
    /// The slot of the submission queue that it deletes.
    deletes: Option<u8>,
}

/// The hosts' book-keeping, by slot and command identifier.
#[derive(Default)]
struct Host {
    outstanding: BTreeMap<(u8, u16), Outstanding>,
}

impl Host {
    /// Whether the host may put a command into this queue: it exists, and the host has not asked to delete it.
    fn may_submit(&self, bench: &mut Bench, slot: u8) -> bool {
        let is_deleted = self.outstanding.values().any(|outstanding| outstanding.deletes == Some(slot));
        bench.port().sqs.get(&slot).is_some_and(|sq| !sq.stopped) && !is_deleted
    }

    fn add(&mut self, bench: &mut Bench, slot: u8, entry: SqEntry) {
        let submitted = bench.port().sqs[&slot];
        let is_admin = submitted.qid == 0;
        let deletes = (is_admin && entry.opcode == admin::DELETE_IO_SQ).then(|| entry.cdw(10) as u16);
        let target = |qid: u16| {
            let mut sqs = bench.port().sqs.iter();
            sqs.find(|(_, sq)| qid != 0 && (sq.function, sq.qid) == (submitted.function, qid)).map(|(slot, _)| *slot)
        };
        let deletes = deletes.and_then(target);
        self.outstanding
            .insert((slot, entry.cid.get()), Outstanding { entry, function: submitted.function, is_admin, deletes });
    }

    /// Checks the completions that came.
    fn reap(&mut self, bench: &mut Bench) -> Result<(), TestCaseError> {
        let completions = std::mem::take(&mut bench.port().completions);
        for done in completions {
            let Some(outstanding) = self.outstanding.remove(&(done.sqid, done.cid)) else {
                return Err(TestCaseError::fail(format!("{done:X?} completes nothing that is outstanding")));
            };
            // The commands of a deleted queue go with it.
            if let Some(deleted) = outstanding.deletes.filter(|_| done.status.is_success()) {
                self.outstanding.retain(|(slot, _), _| *slot != deleted);
            }
        }
        Ok(())
    }

    /// The host resets the controller of a function: its commands are gone. Then it makes queues again.
    fn reset(&mut self, bench: &mut Bench, function: u8) -> Result<(), TestCaseError> {
        self.reap(bench)?;
        bench.port().host_of_writes_cc(function, 0);
        // A step of a copy or a whole format may have to end.
        bench.polls(40);
        self.outstanding.retain(|_, outstanding| outstanding.function != function);
        self.reap(bench)?;
        bench.enable_function(function);
        create_queues(bench, function);
        self.reap(bench)
    }
}

/// I/O queues of a function, as many as there may be, as far as they can be had while other commands wait.
fn create_queues(bench: &mut Bench, function: u8) {
    for qid in 1..=QUEUES {
        for entry in [create_cq(qid, 16), create_sq(qid, 16, qid)] {
            let cid = bench.submit(function, entry);
            bench.polls(40);
            bench.port().completions.retain(|done| (done.sqid, done.cid) != (function, cid));
        }
    }
}

/// I/O queue pairs of each function.
const QUEUES: u32 = 2;

fn run(steps: &[Step], functions: u8) -> Result<(), TestCaseError> {
    let capabilities = NAMESPACE_BASE.mask() | NAMESPACE_FORMAT.mask() | STORAGE_ERASE.mask() | STORAGE_COPY.mask();
    let mut bench = Bench::with(functions.into(), capabilities as u32);
    let mut host = Host::default();
    for function in 0..functions {
        create_queues(&mut bench, function);
    }
    bench.port().completions.clear();
    for step in steps {
        match step {
            Step::Submit { sqid, entry } => {
                let mut entry = SqEntry::read_from_bytes(entry).unwrap();
                // The hardware hands the Compare of a Compare and Write on with its Write only.
                if !entry.is_fused_compare() && host.may_submit(&mut bench, *sqid) {
                    let cid = bench.submit(*sqid, entry);
                    entry.cid = cid.into();
                    host.add(&mut bench, *sqid, entry);
                }
            }
            Step::Failed { sqid, status } => {
                let entry = SqEntry { cid: (0x8000 + host.outstanding.len() as u16).into(), ..SqEntry::default() };
                let key = (*sqid, entry.cid.get());
                let is_io = bench.port().sqs.get(sqid).is_some_and(|sq| sq.qid != 0);
                if is_io && host.may_submit(&mut bench, *sqid) && !host.outstanding.contains_key(&key) {
                    bench.port().push_failed(*sqid, Status::from_raw(*status | 1), entry);
                    host.add(&mut bench, *sqid, entry);
                }
            }
            Step::Fill(sqid) => {
                bench.port().full.insert(*sqid);
            }
            Step::MakeRoom => bench.port().host_makes_room(),
            Step::InFlight { sqid, count } => {
                // A queue that was stopped gets no more.
                let is_served = bench.port().sqs.get(sqid).is_some_and(|sq| !sq.stopped);
                let count = if is_served { *count } else { 0 };
                bench.port().in_flight.insert(*sqid, count);
            }
            Step::Polls(count) => bench.polls(*count),
            Step::Reset(function) => {
                if *function < functions {
                    bench.port().in_flight.clear();
                    bench.port().host_makes_room();
                    host.reset(&mut bench, *function)?;
                }
            }
        }
        host.reap(&mut bench)?;
    }
    // All is well from here on: everything that is not held is completed.
    bench.port().in_flight.clear();
    bench.port().host_makes_room();
    bench.run_to_rest();
    host.reap(&mut bench)?;
    let is_held = |of: &Outstanding| match of.is_admin {
        true => of.entry.opcode == admin::ASYNC_EVENT_REQUEST,
        false => of.entry.opcode == io::RECEIVE_FRAME,
    };
    host.outstanding.retain(|_, outstanding| !is_held(outstanding));
    let left: Vec<_> = host.outstanding.iter().map(|(id, of)| (id, of.entry)).collect();
    prop_assert!(left.is_empty(), "never completed: {left:X?}");
    prop_assert_eq!(bench.firmware.fatal(), None);
    Ok(())
}

#[test]
fn every_command_is_completed_exactly_once() {
    let seed: u64 = std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let steps = prop::collection::vec(step(), 0..120);
    let each = |steps: Vec<Step>| (1..=2).try_for_each(|functions| run(&steps, functions));
    if let Err(TestError::Fail(reason, steps)) = runner.run(&steps, each) {
        panic!("{reason}\nwith {steps:#?}\nreplay: SEED={seed} cargo test -p nvme-fw random");
    }
}
