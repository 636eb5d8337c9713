//! The firmware port without hardware: it takes what the contract of `nvme_spec::firmware_port` allows, and panics on anything else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nvme_spec::firmware_port::{self as regs, events, inbox_kind, queue_operation, Counter};
use nvme_spec::limits::{BUFFER_BYTES, LBA_BYTES};
use nvme_spec::regs::{aqa, cc};
use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;
use zerocopy::IntoBytes;

/// I/O queue pairs of the fake hardware.
pub const IO_QUEUES: u32 = 4;
/// Log2 of the entries of its largest queue.
pub const QUEUE_ENTRIES_LOG2: u32 = 10;
/// Entries of its largest queue.
pub const QUEUE_ENTRIES_MAX: u32 = 1 << QUEUE_ENTRIES_LOG2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostedCompletion {
    pub sqid: u8,
    pub cid: u16,
    pub result: u32,
    pub status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sq {
    pub base: u64,
    pub entries: u32,
    pub cqid: u8,
    pub stopped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cq {
    pub base: u64,
    pub entries: u32,
    pub vector: u8,
    pub interrupts_enabled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub prp: [u64; 2],
    pub data: Vec<u8>,
}

pub struct FakePort {
    /// Plain registers, and what the host wrote.
    values: BTreeMap<u32, u32>,
    buffer: Vec<u32>,
    inbox: VecDeque<(u8, Option<Status>, SqEntry)>,
    /// Everything that was posted, in order.
    pub completions: Vec<PostedCompletion>,
    /// Submission queues whose completions find no room.
    pub full: BTreeSet<u8>,
    pub refusals: usize,
    last_refused: bool,
    pub sqs: BTreeMap<u8, Sq>,
    pub cqs: BTreeMap<u8, Cq>,
    pub in_flight: BTreeMap<u8, u32>,
    /// What was sent to the host.
    pub sent: Vec<Sent>,
    /// Entries of PRP lists in host memory, by address.
    pub lists: BTreeMap<u64, u64>,
    /// How the next transfers end.
    pub transfer_status: Status,
    /// Reads for which a completion and a transfer stay busy.
    pub busy_reads: u32,
    /// Reads for which a queue command stays busy.
    pub queue_busy_reads: u32,
    /// As many more for a transfer.
    pub transfer_busy_reads: u32,
    completion_busy: u32,
    queue_busy: u32,
    transfer_busy: u32,
    /// A life has begun, and its end was not acknowledged.
    alive: bool,
    over: bool,
    shutdown_noticed: bool,
    latched: u32,
    counters: BTreeMap<u32, u64>,
    held_high: u32,
    pub accesses: u64,
}

impl FakePort {
    pub fn new() -> Self {
        let mut values = BTreeMap::new();
        let configuration = regs::configuration::IO_QUEUES.set32(0, IO_QUEUES);
        let configuration = regs::configuration::QUEUE_ENTRIES_LOG2.set32(configuration, QUEUE_ENTRIES_LOG2);
        values.insert(regs::ID.offset, regs::ID_VALUE);
        values.insert(regs::VERSION.offset, regs::INTERFACE_VERSION);
        values.insert(regs::CONFIGURATION.offset, configuration);
        values.insert(regs::LBA_BYTES.offset, LBA_BYTES);
        Self {
            values,
            buffer: vec![0; BUFFER_BYTES as usize / 4],
            inbox: VecDeque::new(),
            completions: Vec::new(),
            full: BTreeSet::new(),
            refusals: 0,
            last_refused: false,
            sqs: BTreeMap::new(),
            cqs: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            sent: Vec::new(),
            lists: BTreeMap::new(),
            transfer_status: Status::SUCCESS,
            busy_reads: 2,
            queue_busy_reads: 2,
            transfer_busy_reads: 0,
            completion_busy: 0,
            queue_busy: 0,
            transfer_busy: 0,
            alive: false,
            over: false,
            shutdown_noticed: true,
            latched: 0,
            counters: BTreeMap::new(),
            held_high: 0,
            accesses: 0,
        }
    }

    fn value(&self, offset: u32) -> u32 {
        self.values.get(&offset).copied().unwrap_or(0)
    }

    /// CSTS as the host sees it.
    pub fn csts(&self) -> u32 {
        self.value(regs::STATUS_SET.offset)
    }

    pub fn set_version(&mut self, version: u32) {
        self.values.insert(regs::VERSION.offset, version);
    }

    pub fn namespace_blocks(&self) -> u64 {
        let high = self.value(regs::NAMESPACE_BLOCKS_HIGH.offset);
        u64::from(high) << 32 | u64::from(self.value(regs::NAMESPACE_BLOCKS_LOW.offset))
    }

    /// The host writes the admin queue registers.
    pub fn host_writes_admin_queues(&mut self, sq_entries: u32, cq_entries: u32) {
        let value = aqa::ASQS.set32(0, sq_entries - 1);
        self.values.insert(regs::AQA.offset, aqa::ACQS.set32(value, cq_entries - 1));
        self.values.insert(regs::ASQ_LOW.offset, 0x0001_0000);
        self.values.insert(regs::ASQ_HIGH.offset, 0x1);
        self.values.insert(regs::ACQ_LOW.offset, 0x0002_0000);
        self.values.insert(regs::ACQ_HIGH.offset, 0x2);
    }

    /// The host writes CC.
    pub fn host_writes_cc(&mut self, value: u32) {
        let old = self.values.insert(regs::CC.offset, value).unwrap_or(0);
        if cc::SHN.get32(value) != cc::SHN.get32(old) && cc::SHN.get32(value) != 0 {
            self.shutdown_noticed = false;
        }
        match (cc::EN.get32(old), cc::EN.get32(value)) {
            (0, 1) => self.alive = true,
            // Nothing of the old life is in flight any more, and what the mailbox held is gone.
            (1, 0) => {
                self.over = true;
                self.inbox.clear();
            }
            _ => {}
        }
    }

    pub fn push_command(&mut self, sqid: u8, entry: SqEntry) {
        self.inbox.push_back((sqid, None, entry));
    }

    pub fn push_failed(&mut self, sqid: u8, status: Status, entry: SqEntry) {
        self.inbox.push_back((sqid, Some(status), entry));
    }

    pub fn inbox_len(&self) -> usize {
        self.inbox.len()
    }

    pub fn raise(&mut self, event: nvme_spec::reg::Field) {
        self.latched = event.set32(self.latched, 1);
    }

    /// The host makes room in all completion queues.
    pub fn host_makes_room(&mut self) {
        self.full.clear();
        if self.last_refused || self.refusals > 0 {
            self.raise(events::COMPLETION_ROOM);
        }
    }

    pub fn set_counter(&mut self, counter: &Counter, value: u64) {
        self.counters.insert(counter.low.offset, value);
    }

    fn is_enabled(&self) -> bool {
        cc::EN.get32(self.value(regs::CC.offset)) == 1
    }

    fn events(&self) -> u32 {
        let is_shown = self.csts() & 3 != 0;
        let enable = self.is_enabled() && self.alive && !self.over && !is_shown;
        let levels = [
            (events::INBOX, !self.inbox.is_empty()),
            (events::ENABLE, enable),
            (events::DISABLED, self.over),
            (events::SHUTDOWN, !self.shutdown_noticed),
        ];
        levels.iter().fold(self.latched, |value, (field, set)| if *set { field.set32(value, 1) } else { value })
    }

    fn acknowledge_disable(&mut self) {
        assert!(self.over, "only acknowledged while DISABLED is raised");
        self.over = false;
        self.alive = self.is_enabled();
        self.values.insert(regs::STATUS_SET.offset, 0);
        self.sqs.clear();
        self.cqs.clear();
        self.in_flight.clear();
        self.full.clear();
        self.refusals = 0;
        self.latched = 0;
        self.completion_busy = 0;
        self.queue_busy = 0;
        self.transfer_busy = 0;
    }

    fn queue_command(&mut self, value: u32) {
        assert_eq!(self.queue_busy, 0, "only written while not busy");
        self.queue_busy = self.queue_busy_reads;
        if self.over {
            return;
        }
        let qid = regs::queue_command::QID.get32(value) as u8;
        let base = u64::from(self.value(regs::QUEUE_BASE_HIGH.offset)) << 32
            | u64::from(self.value(regs::QUEUE_BASE_LOW.offset));
        let entries = self.value(regs::QUEUE_SIZE.offset);
        let attributes = self.value(regs::QUEUE_ATTRIBUTES.offset);
        let check_shape = || {
            assert!(u32::from(qid) <= IO_QUEUES, "queue {qid} is there");
            assert!((2..=nvme_spec::limits::QUEUE_ENTRIES_MAX).contains(&entries), "{entries} entries");
            assert_eq!(base % 4096, 0, "the queue starts at a page");
        };
        match regs::queue_command::OP.get32(value) {
            queue_operation::CREATE_SQ => {
                check_shape();
                let cqid = regs::queue_attributes::CQID.get32(attributes) as u8;
                assert!(self.cqs.contains_key(&cqid), "CQ {cqid} exists");
                let old = self.sqs.insert(qid, Sq { base, entries, cqid, stopped: false });
                assert_eq!(old, None, "SQ {qid} is new");
            }
            queue_operation::CREATE_CQ => {
                check_shape();
                let vector = regs::queue_attributes::VECTOR.get32(attributes) as u8;
                assert!(u32::from(vector) <= IO_QUEUES, "vector {vector} is there");
                let interrupts_enabled = regs::queue_attributes::IEN.get32(attributes) == 1;
                let old = self.cqs.insert(qid, Cq { base, entries, vector, interrupts_enabled });
                assert_eq!(old, None, "CQ {qid} is new");
            }
            queue_operation::STOP_SQ => {
                self.sqs.get_mut(&qid).expect("only an SQ that exists is stopped").stopped = true;
            }
            queue_operation::DELETE_SQ => {
                let sq = self.sqs.remove(&qid).expect("only an SQ that exists is deleted");
                assert!(sq.stopped, "SQ {qid} was stopped");
                assert_eq!(self.in_flight.get(&qid).copied().unwrap_or(0), 0, "nothing is in flight");
                assert!(self.inbox.iter().all(|(sqid, ..)| *sqid != qid), "the inbox has nothing of SQ {qid}");
            }
            queue_operation::DELETE_CQ => {
                self.cqs.remove(&qid).expect("only a CQ that exists is deleted");
                assert!(self.sqs.values().all(|sq| sq.cqid != qid), "CQ {qid} is not used");
            }
            other => panic!("queue operation {other}"),
        }
    }

    fn post(&mut self, value: u32) {
        assert_eq!(self.completion_busy, 0, "only written while not busy");
        self.completion_busy = self.busy_reads;
        let id = self.value(regs::COMPLETION_ID.offset);
        let completion = PostedCompletion {
            sqid: regs::completion_id::SQID.get32(id) as u8,
            cid: regs::completion_id::CID.get32(id) as u16,
            result: self.value(regs::COMPLETION_RESULT.offset),
            status: Status::from_raw(value as u16),
        };
        assert_eq!(value >> 15, 0, "a status field has 15 bits");
        self.last_refused = !self.over && self.full.contains(&completion.sqid);
        if self.last_refused {
            self.refusals += 1;
        } else if !self.over {
            assert!(self.sqs.contains_key(&completion.sqid), "SQ {} exists", completion.sqid);
            self.completions.push(completion);
        }
    }

    fn transfer(&mut self, value: u32) {
        assert_eq!(self.transfer_busy, 0, "only written while not busy");
        self.transfer_busy = self.busy_reads + self.transfer_busy_reads;
        if self.over {
            return;
        }
        let pair = |low: u32, high: u32| u64::from(self.value(high)) << 32 | u64::from(self.value(low));
        let prp = [
            pair(regs::TRANSFER_PRP1_LOW.offset, regs::TRANSFER_PRP1_HIGH.offset),
            pair(regs::TRANSFER_PRP2_LOW.offset, regs::TRANSFER_PRP2_HIGH.offset),
        ];
        let bytes = self.value(regs::TRANSFER_LENGTH.offset);
        assert_eq!(prp[0] % 4, 0, "PRP1 points to a dword");
        assert!((4..=BUFFER_BYTES).contains(&bytes) && bytes % 4 == 0, "{bytes} bytes");
        if value == 0 {
            // Host to device: only entries of PRP lists are read.
            assert_eq!(bytes, 8, "a list entry");
            let entry = self.lists[&prp[0]];
            self.buffer[0] = entry as u32;
            self.buffer[1] = (entry >> 32) as u32;
            return;
        }
        let data = self.buffer.as_bytes()[..bytes as usize].to_vec();
        self.sent.push(Sent { prp, data });
    }

    fn inbox_dword(&self, index: u32) -> u32 {
        let (_, failure, entry) = self.inbox.front().expect("only read while VALID");
        let bytes = entry.as_bytes();
        let start = index as usize * 4;
        let dword = u32::from_le_bytes(bytes[start..start + 4].try_into().unwrap());
        match (failure, index) {
            // Of a failed command the hardware kept only these.
            (Some(_), 0) => dword & 0xFFFF_00FF,
            (Some(_), 2..=9 | 13..=15) => 0,
            _ => dword,
        }
    }
}

/// Whether something is busy; each look brings it nearer to its end.
fn still_busy(reads: &mut u32) -> u32 {
    let busy = u32::from(*reads > 0);
    *reads = reads.saturating_sub(1);
    busy
}

impl Mmio for FakePort {
    fn read32(&mut self, offset: u32) -> u32 {
        self.accesses += 1;
        if regs::INBOX_ENTRY.contains(offset) {
            return self.inbox_dword((offset - regs::INBOX_ENTRY.offset) / 4);
        }
        if regs::BUFFER.contains(offset) {
            return self.buffer[((offset - regs::BUFFER.offset) / 4) as usize];
        }
        let counter = |counter: &&Counter| counter.low.offset == offset || counter.high.offset == offset;
        if let Some(counter) = regs::COUNTERS.iter().find(counter) {
            let value = self.counters.get(&counter.low.offset).copied().unwrap_or(0);
            if offset == counter.high.offset {
                return self.held_high;
            }
            self.held_high = (value >> 32) as u32;
            return value as u32;
        }
        let register = regs::REGS.iter().find(|register| register.offset == offset);
        let register = register.unwrap_or_else(|| panic!("no register at {offset:#X}"));
        match *register {
            regs::EVENTS => self.events(),
            regs::INBOX_STATUS => self.inbox.front().map_or(0, |(sqid, failure, _)| {
                use regs::inbox_status::{KIND, SQID, STATUS, VALID};
                let kind = failure.map_or(inbox_kind::COMMAND, |_| inbox_kind::FAILED_COMMAND);
                let value = SQID.set32(KIND.set32(VALID.set32(0, 1), kind), u32::from(*sqid));
                STATUS.set32(value, failure.map_or(0, |status| u32::from(status.raw())))
            }),
            regs::COMPLETION_STATE => {
                let value = still_busy(&mut self.completion_busy);
                regs::completion_state::REFUSED.set32(value, u32::from(self.last_refused))
            }
            regs::QUEUE_STATE => still_busy(&mut self.queue_busy),
            regs::TRANSFER_STATE => {
                let value = still_busy(&mut self.transfer_busy);
                regs::transfer_state::STATUS.set32(value, u32::from(self.transfer_status.raw()))
            }
            regs::QUEUE_IN_FLIGHT => {
                let qid = self.value(regs::QUEUE_SELECT.offset) as u8;
                let in_inbox = self.inbox.iter().filter(|(sqid, ..)| *sqid == qid).count();
                self.in_flight.get(&qid).copied().unwrap_or(0) + in_inbox as u32
            }
            _ => self.value(offset),
        }
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.accesses += 1;
        if regs::BUFFER.contains(offset) {
            self.buffer[((offset - regs::BUFFER.offset) / 4) as usize] = value;
            return;
        }
        let register = regs::REGS.iter().find(|register| register.offset == offset);
        let register = register.unwrap_or_else(|| panic!("no register at {offset:#X}"));
        let writable = !register.mask_of(nvme_spec::reg::Access::Ro);
        let fields = register.fields.iter().fold(0, |mask, field| mask | field.mask());
        assert_eq!(u64::from(value) & !(fields & writable), 0, "{value:#X} fits {}", register.name);
        match *register {
            regs::EVENTS_CLEAR => self.latched &= !value,
            regs::CONTROL => {
                if regs::control::ACK_DISABLE.get32(value) == 1 {
                    self.acknowledge_disable();
                }
                if regs::control::ACK_SHUTDOWN.get32(value) == 1 {
                    self.shutdown_noticed = true;
                }
            }
            regs::INBOX_POP => {
                self.inbox.pop_front().expect("only popped while VALID");
            }
            regs::COMPLETION_POST => self.post(value),
            regs::QUEUE_COMMAND => self.queue_command(value),
            regs::TRANSFER_START => self.transfer(value),
            regs::STATUS_SET if self.over => {}
            _ => {
                self.values.insert(offset, value);
            }
        }
    }
}
