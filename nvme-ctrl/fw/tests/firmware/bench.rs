//! A firmware on a fake port, and the host's side of it.

use nvme_fw::{Config, Firmware};
use nvme_spec::opcode::admin;
use nvme_spec::{SqEntry, Status};
use zerocopy::little_endian::{U32, U64};

use crate::fake_port::{FakePort, PostedCompletion};

/// Blocks of the namespace.
pub const BLOCKS: u64 = 0x1_0000_1000;

/// Blocks of the namespaces of [`Bench::with`].
pub const PRIVATE_BLOCKS: u64 = 0x8000;
pub const SHARED_BLOCKS: u64 = 0x4000;

/// CC of a host that does everything right: IOCQES 4, IOSQES 6, EN.
pub const CC_ENABLED: u32 = 0x0046_0001;

/// Polls within which every command that is not held must be done.
const POLLS_MAX: u32 = 3000;

/// Polls within which firmware comes to rest.
const POLLS_TO_REST_MAX: u32 = 10_000;

/// Where the data of the bench's commands goes.
pub const DATA: u64 = 0x8_0000_0000;

pub struct Bench {
    /// It is large, and threads of tests have small stacks.
    pub firmware: Box<Firmware<FakePort>>,
    next_cid: u16,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub result: u32,
    pub status: Status,
    pub data: Vec<u8>,
}

impl Done {
    /// Succeeds with a result.
    #[track_caller]
    pub fn ok(self) -> u32 {
        assert_eq!(self.status, Status::SUCCESS);
        self.result
    }

    /// Succeeds with data.
    #[track_caller]
    pub fn data(self) -> Vec<u8> {
        assert_eq!(self.status, Status::SUCCESS);
        self.data
    }
}

impl Bench {
    /// The controller was powered on.
    pub fn powered_on() -> Self {
        Self { firmware: Box::new(Firmware::new(FakePort::new(), Config::new(BLOCKS, "FD0001"))), next_cid: 100 }
    }

    /// The controller is ready, on hardware with so many functions and these capabilities. Function 0 has namespaces 1 and 2, and function 1 the
    /// second; half of the storage is free.
    pub fn with(functions: u32, capabilities: u32) -> Self {
        let mut config = Config::with_two_functions(PRIVATE_BLOCKS, SHARED_BLOCKS, "FD0001");
        config.unallocated_units = (PRIVATE_BLOCKS + SHARED_BLOCKS) / 8;
        Self::with_config(functions, capabilities, config)
    }

    /// As [`Self::with`], with these namespaces.
    pub fn with_config(functions: u32, capabilities: u32, config: Config) -> Self {
        let firmware = Box::new(Firmware::new(FakePort::with(functions, capabilities), config));
        let mut bench = Self { firmware, next_cid: 100 };
        for function in 0..functions as u8 {
            bench.enable_function(function);
        }
        bench
    }

    /// The host of a function enables it.
    pub fn enable_function(&mut self, function: u8) {
        self.port().host_of_writes_admin_queues(function, 32, 32);
        self.port().host_of_writes_cc(function, CC_ENABLED);
        self.polls(2);
        assert_eq!(self.port().csts_of(function), 1);
    }

    /// The controller is ready.
    pub fn ready() -> Self {
        let mut bench = Self::powered_on();
        bench.enable(CC_ENABLED);
        assert_eq!(bench.port().csts(), 1);
        bench
    }

    pub fn port(&mut self) -> &mut FakePort {
        self.firmware.mmio()
    }

    pub fn polls(&mut self, count: u32) {
        (0..count).for_each(|_| self.firmware.poll());
    }

    /// Polls as a system does: as long as there is an event, or firmware asks for it.
    pub fn run_to_rest(&mut self) {
        for _ in 0..POLLS_TO_REST_MAX {
            if !self.port().event_line() && !self.firmware.is_busy() {
                return;
            }
            self.polls(1);
        }
        panic!("firmware never rests");
    }

    /// The host enables the controller with admin queues of 32 entries.
    pub fn enable(&mut self, cc: u32) {
        self.port().host_writes_admin_queues(32, 32);
        self.port().host_writes_cc(cc);
        self.polls(2);
    }

    /// The host resets the controller, and enables it again.
    pub fn reset(&mut self) {
        self.port().host_writes_cc(CC_ENABLED & !1);
        self.polls(1);
        assert_eq!(self.port().csts(), 0);
        self.enable(CC_ENABLED);
        assert_eq!(self.port().csts(), 1);
    }

    /// Puts a command into the inbox.
    pub fn submit(&mut self, sqid: u8, mut entry: SqEntry) -> u16 {
        let cid = self.next_cid;
        self.next_cid = self.next_cid.wrapping_add(1);
        entry.cid = cid.into();
        self.port().push_command(sqid, entry);
        cid
    }

    /// Completions of a command so far.
    pub fn completions_of(&mut self, sqid: u8, cid: u16) -> Vec<PostedCompletion> {
        let of = |posted: &&PostedCompletion| posted.sqid == sqid && posted.cid == cid;
        self.port().completions.iter().filter(of).copied().collect()
    }

    /// Executes a command to its completion.
    #[track_caller]
    pub fn execute(&mut self, sqid: u8, entry: SqEntry) -> Done {
        let sent_before = self.port().sent.len();
        let cid = self.submit(sqid, entry);
        for _ in 0..POLLS_MAX {
            self.firmware.poll();
            if let [done] = self.completions_of(sqid, cid)[..] {
                let data = self.port().sent.split_off(sent_before);
                let data = data.into_iter().flat_map(|sent| sent.data).collect();
                return Done { result: done.result, status: done.status, data };
            }
        }
        panic!("command not completed within {POLLS_MAX} polls: {entry:?}");
    }

    #[track_caller]
    pub fn admin(&mut self, entry: SqEntry) -> Done {
        self.execute(0, entry)
    }

    /// Expects an admin command to be refused, with Do Not Retry.
    #[track_caller]
    pub fn refused(&mut self, entry: SqEntry, status: Status) {
        let done = self.admin(entry);
        assert_eq!(done.status, status.with_dnr(), "{entry:?}");
        assert_eq!((done.result, done.data), (0, vec![]), "{entry:?}");
    }

    #[track_caller]
    pub fn create_cq(&mut self, qid: u32) {
        self.admin(create_cq(qid, 16)).ok();
    }

    #[track_caller]
    pub fn create_sq(&mut self, qid: u32, cqid: u32) {
        self.admin(create_sq(qid, 16, cqid)).ok();
    }
}

/// An entry with command dwords from 10 on.
pub fn command(opcode: u8, nsid: u32, cdw10: &[u32]) -> SqEntry {
    let mut entry = SqEntry { opcode, nsid: U32::new(nsid), ..SqEntry::default() };
    entry.prp[0] = U64::new(DATA);
    for (dword, value) in entry.cdw10.iter_mut().zip(cdw10) {
        *dword = U32::new(*value);
    }
    entry
}

/// Create I/O Completion Queue with a vector and interrupts. `entries` may be wrong on purpose.
pub fn create_cq(qid: u32, entries: u32) -> SqEntry {
    command(admin::CREATE_IO_CQ, 0, &[entries.wrapping_sub(1) << 16 | qid, (qid & 1) << 16 | 3])
}

/// Create I/O Submission Queue.
pub fn create_sq(qid: u32, entries: u32, cqid: u32) -> SqEntry {
    command(admin::CREATE_IO_SQ, 0, &[entries.wrapping_sub(1) << 16 | qid, cqid << 16 | 1])
}

pub fn delete_cq(qid: u32) -> SqEntry {
    command(admin::DELETE_IO_CQ, 0, &[qid])
}

pub fn delete_sq(qid: u32) -> SqEntry {
    command(admin::DELETE_IO_SQ, 0, &[qid])
}

pub fn identify(cns: u32, nsid: u32) -> SqEntry {
    command(admin::IDENTIFY, nsid, &[cns])
}

pub fn get_features(cdw10: u32, cdw11: u32) -> SqEntry {
    command(admin::GET_FEATURES, 0, &[cdw10, cdw11])
}

pub fn set_features(cdw10: u32, cdw11: u32) -> SqEntry {
    command(admin::SET_FEATURES, 0, &[cdw10, cdw11])
}

/// Get Log Page of so many bytes.
pub fn get_log_page(lid: u32, bytes: u32) -> SqEntry {
    command(admin::GET_LOG_PAGE, 0xFFFF_FFFF, &[(bytes / 4 - 1) << 16 | lid])
}

pub fn abort(sqid: u32, cid: u16) -> SqEntry {
    command(admin::ABORT, 0, &[u32::from(cid) << 16 | sqid])
}

pub fn async_event_request() -> SqEntry {
    command(admin::ASYNC_EVENT_REQUEST, 0, &[])
}
