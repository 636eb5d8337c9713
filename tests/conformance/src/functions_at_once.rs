//! Both functions work at the same time, and get what they get from the reference model.
//!
//! Each function has some *lanes*: an I/O queue with one command at a time, pages of its own in host memory, and blocks of its own in a namespace that
//! the functions share or that only the first one has. So many commands are under way at once, and the outcome of each is determined.

use nvme_model::Config;
use nvme_spec::{SqEntry, Status};
use sim_device::{Device, HostMemory, ModelDevice, Random, Sideband, PAGE_BYTES};
use sim_host::{Driver, DriverError, Identity, Options};

use crate::back_end::every_back_end_with_two_functions;
use crate::differential::{Case, RandomCase, DATA_PAGES, LIST_PAGES};
use crate::expect::{data, rounds, Host};
use crate::seed;

const FUNCTIONS: [u8; 2] = [0, 1];
/// Of each function.
const LANES: u16 = 4;
/// Logical blocks of a lane: more than a command has.
const SPAN: u64 = 64;
/// The namespace of function 0 alone, and the one of both.
const PRIVATE: u32 = 1;
const SHARED: u32 = 2;

/// What has a command at a time.
#[derive(Clone, Copy)]
struct Lane {
    function: u8,
    /// I/O queue, from 1 on.
    queue: u16,
    nsid: u32,
    /// Its first logical block.
    lba: u64,
}

/// All lanes. Every second one of function 0 is in its private namespace; those in the shared one lie between those of the other function.
fn lanes() -> Vec<Lane> {
    let of_function = |function| {
        (1..=LANES).map(move |queue| {
            let nsid = if function == 0 && queue % 2 == 0 { PRIVATE } else { SHARED };
            let number = u64::from(queue) * FUNCTIONS.len() as u64 + u64::from(function);
            Lane { function, queue, nsid, lba: number * SPAN }
        })
    };
    FUNCTIONS.into_iter().flat_map(of_function).collect()
}

/// A command of a lane, what its pages hold before, and what both devices must have answered.
struct Job {
    lane: Lane,
    case: Case,
    content: Vec<u8>,
}

impl Job {
    fn random(random: &mut Random, lane: Lane, namespaces: &[Identity; 2]) -> Self {
        let identity = namespaces[lane.nsid as usize - 1];
        let mut case = Case::random(random, &identity);
        let blocks = u64::from(case.entry.cdw(12) & 0xFFFF) + 1;
        // Within the lane, or across the end of the namespace.
        let lba = match random.below(12) {
            0 => identity.blocks + 1 - random.between(1, blocks),
            _ => lane.lba + random.below(SPAN - blocks + 1),
        };
        case.entry.cdw10[0] = (lba as u32).into();
        // What belongs to the other function alone is nothing to this one.
        if lane.function == 1 && random.below(16) == 0 {
            case.entry.nsid = PRIVATE.into();
        }
        Self { lane, case, content: data(random.next_u64(), (DATA_PAGES * PAGE_BYTES) as usize) }
    }
}

/// Status, and data pages after a success; nothing of a command that was lost by a reset.
type Outcome = Option<(Status, Vec<u8>)>;

/// A device, with a driver for both functions.
struct Side<'d> {
    host: Host<'d>,
    /// By function and queue.
    pages: Vec<(Lane, u64)>,
    /// By namespace.
    namespaces: [Identity; 2],
}

impl<'d> Side<'d> {
    fn new(device: &'d mut (dyn Device + 'd)) -> Result<Self, DriverError> {
        let mut host = Driver::new(device, Options { io_queues: LANES, io_entries: 4, ..Options::default() });
        host.turn_to(1);
        let shared = host.bring_up()?;
        host.turn_to(0);
        let private = host.bring_up()?;
        assert_eq!((private.nsid, shared.nsid), (PRIVATE, SHARED));
        let mut pages = vec![];
        for lane in lanes() {
            let address = host.host().alloc_guarded((DATA_PAGES + LIST_PAGES) * PAGE_BYTES, PAGE_BYTES);
            host.turn_to(lane.function);
            host.allow_writes(address..address + DATA_PAGES * PAGE_BYTES);
            pages.push((lane, address));
        }
        Ok(Self { host, pages, namespaces: [private, shared] })
    }

    fn pages(&self, lane: Lane) -> u64 {
        let is_it = |(other, _): &&(Lane, u64)| (other.function, other.queue) == (lane.function, lane.queue);
        self.pages.iter().find(is_it).expect("every lane has pages").1
    }

    /// Announces the commands of all lanes; after some clocks, one function may be reset, which works again when the others have ended.
    fn run(&mut self, jobs: &[Job], reset: Option<Reset>) -> Result<Vec<Outcome>, DriverError> {
        let mut submitted = vec![];
        for job in jobs {
            let pages = self.pages(job.lane);
            let entry: SqEntry = job.case.prepare(self.host.host(), pages, &job.content);
            self.host.turn_to(job.lane.function);
            submitted.push((job.lane, self.host.submit(job.lane.queue, entry, &[])?));
        }
        if let Some(Reset { function, kind, after_clocks }) = reset {
            self.host.step(after_clocks)?;
            self.host.turn_to(function);
            let off = Sideband { bus_master_enable: false, ..Sideband::RUNNING };
            match kind {
                Kind::Controller => {}
                Kind::Function => self.host.device().function_level_reset(function),
                Kind::BusMasterOff => self.host.device().set_sideband(function, off),
            }
            self.host.disable()?;
            while self.host.next_completion().is_some() {}
            // As long as it is off, whatever is done in its name fails.
            self.host.device().set_sideband(function, off);
        }
        let mut outcomes = vec![];
        for (lane, cid) in submitted {
            if reset.is_some_and(|reset| reset.function == lane.function) {
                outcomes.push(None);
                continue;
            }
            self.host.turn_to(lane.function);
            let status = self.host.wait(lane.queue, cid)?.status;
            let pages = self.pages(lane);
            let bytes = (DATA_PAGES * PAGE_BYTES) as usize;
            let data = if status.is_success() { self.host.host().load_vec(pages, bytes) } else { vec![] };
            outcomes.push(Some((status.code(), data)));
        }
        if let Some(Reset { function, .. }) = reset {
            self.host.turn_to(function);
            self.host.bring_up()?;
        }
        Ok(outcomes)
    }

    /// Writes zeroes to a lane: what a command has left there that failed or was lost is open.
    fn clear(&mut self, lane: Lane) -> Result<(), DriverError> {
        let identity = self.namespaces[lane.nsid as usize - 1];
        self.host.turn_to(lane.function);
        self.host.write_zeroes(&identity, lane.lba, SPAN as u32)
    }

    /// The blocks that are stored in a lane, as a function reads them; none for those that a Write Uncorrectable has left.
    fn stored(&mut self, function: u8, lane: Lane) -> Result<Vec<Option<Vec<u8>>>, DriverError> {
        let identity = self.namespaces[lane.nsid as usize - 1];
        self.host.turn_to(function);
        let blocks = (lane.lba..lane.lba + SPAN).map(|lba| {
            let mut block = vec![0; identity.lba_bytes as usize];
            match self.host.read(&identity, lba, &mut block) {
                Ok(()) => Ok(Some(block)),
                Err(DriverError::Failed { status, .. }) if status.code() == Status::UNRECOVERED_READ_ERROR => Ok(None),
                Err(error) => Err(error),
            }
        });
        blocks.collect()
    }
}

/// A reset of one function while both are at work.
#[derive(Clone, Copy, Debug)]
struct Reset {
    function: u8,
    kind: Kind,
    after_clocks: u32,
}

/// What a reset begins with; then CC.EN is cleared.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Controller,
    Function,
    BusMasterOff,
}

/// Status and data of the commands of two functions at once are those of the reference model; a reset of one function takes nothing from the
/// other; and in the end the same is stored.
#[test]
fn two_functions_at_once_get_what_the_reference_model_gives() {
    every_back_end_with_two_functions(|device| {
        let mut subject = Side::new(device)?;
        let [private, shared] = subject.namespaces;
        let config = Config {
            lba_bytes: private.lba_bytes,
            blocks: private.blocks,
            shared_blocks: shared.blocks,
            ..Config::TWO_FUNCTIONS
        };
        let mut reference = ModelDevice::new(config, HostMemory::new());
        let mut reference = Side::new(&mut reference)?;
        let mut random = Random::new(seed());
        let count = rounds(&mut subject.host, 400, 150);
        let mut successes = 0;
        for number in 0..count {
            let jobs: Vec<Job> =
                lanes().into_iter().map(|lane| Job::random(&mut random, lane, &[private, shared])).collect();
            let after_bits = random.between(1, 10);
            let reset = (random.below(4) == 0).then(|| Reset {
                function: *random.pick(&FUNCTIONS),
                kind: *random.pick(&[Kind::Controller, Kind::Function, Kind::BusMasterOff]),
                after_clocks: random.below(1 << after_bits) as u32,
            });
            let expected = reference.run(&jobs, reset)?;
            let got = subject.run(&jobs, reset)?;
            for ((job, expected), got) in jobs.iter().zip(expected).zip(got) {
                let Lane { function, queue, .. } = job.lane;
                let what = || format!("round {number}, function {function}, queue {queue}, {reset:?}: {:x?}", job.case);
                assert_eq!(got.as_ref().map(|got| got.0), expected.as_ref().map(|expected| expected.0), "{}", what());
                assert!(got == expected, "other data: {}", what());
                if got.is_some_and(|(status, _)| status.is_success()) {
                    successes += 1;
                } else {
                    subject.clear(job.lane)?;
                    reference.clear(job.lane)?;
                }
            }
        }
        let commands = count * lanes().len() as u32;
        assert!(successes > commands / 3, "only {successes} of {commands} commands succeeded");
        for lane in lanes() {
            for function in if lane.nsid == PRIVATE { vec![0] } else { vec![1, 0] } {
                let is_same = subject.stored(function, lane)? == reference.stored(function, lane)?;
                assert!(
                    is_same,
                    "function {function} reads other data of function {}, queue {}",
                    lane.function, lane.queue
                );
            }
        }
        Ok(())
    });
}
