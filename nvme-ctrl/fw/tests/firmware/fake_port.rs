//! The firmware port without hardware: it takes what the contract of `nvme_spec::firmware_port` allows, and panics on anything else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nvme_spec::firmware_port::{self as regs, events, function_events, inbox_kind, queue_operation, Counter};
use nvme_spec::limits::{BUFFER_BYTES, LBA_BYTES, NAMESPACES_MAX};
use nvme_spec::reg::Reg;
use nvme_spec::regs::{aqa, cc};
use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;
use zerocopy::IntoBytes;

/// I/O queue pairs of the fake hardware.
pub const IO_QUEUES: u32 = 4;
/// Interrupt vectors of each of its functions.
pub const VECTORS: u32 = IO_QUEUES + 1;
/// Functions that a fake can have.
const FUNCTIONS_MAX: usize = nvme_fw::FUNCTIONS;
/// Log2 of the entries of its largest queue.
pub const QUEUE_ENTRIES_LOG2: u32 = 10;
/// Entries of its largest queue.
pub const QUEUE_ENTRIES_MAX: u32 = 1 << QUEUE_ENTRIES_LOG2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostedCompletion {
    pub function: u8,
    /// Slot of the submission queue: with one function, the number of the queue.
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
    pub function: u8,
    pub qid: u16,
    pub priority: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cq {
    pub base: u64,
    pub entries: u32,
    pub vector: u8,
    pub interrupts_enabled: bool,
    pub function: u8,
    pub qid: u16,
}

/// A row of the table of namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub base_units: u64,
    pub blocks: u64,
    pub attached: u8,
    pub lba_shift: u8,
    pub is_write_protected: bool,
}

/// What the host and the hardware do to one function.
struct Function {
    /// A life has begun, and its end was not acknowledged.
    alive: bool,
    over: bool,
    shutdown_noticed: bool,
    latched: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub function: u8,
    pub prp: [u64; 2],
    /// `prp` is a descriptor.
    pub is_sgl: bool,
    pub data: Vec<u8>,
}

pub struct FakePort {
    /// Plain registers, and what the host wrote.
    values: BTreeMap<u32, u32>,
    buffer: Vec<u32>,
    inbox: VecDeque<(u8, Option<Status>, SqEntry)>,
    functions: [Function; FUNCTIONS_MAX],
    pub rows: [Row; NAMESPACES_MAX as usize],
    /// Data in host memory that transfers to the buffer find, by address.
    pub host_data: BTreeMap<u64, Vec<u8>>,
    /// A bit for each function whose CSTS.NSSRO firmware has cleared.
    pub nssro_cleared: u8,
    /// How often commands were waited for.
    pub drains: u32,
    /// What was erased: first sector and number of sectors.
    pub erased: Vec<(u32, u32)>,
    /// What was copied: first sector read, first sector written, and number of sectors.
    pub copied: Vec<(u32, u32, u32)>,
    /// How the next errands end.
    pub errand_status: Status,
    /// Reads for which an errand stays busy.
    pub errand_busy_reads: u32,
    errand_busy: u32,
    /// Clocks per access.
    pub clock: u64,
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
    /// The host resets the function at the next start of a transfer, before hardware sees that.
    pub ends_life_at_transfer: bool,
    /// Commands of a life that has ended are still in flight.
    pub is_draining: bool,
    /// How the next transfers end.
    pub transfer_status: Status,
    /// Reads for which a completion and a transfer stay busy.
    pub busy_reads: u32,
    /// Reads for which a queue command stays busy.
    pub queue_busy_reads: u32,
    completion_busy: u32,
    queue_busy: u32,
    transfer_busy: u32,
    transfer_dropped: bool,
    latched: u32,
    counters: BTreeMap<u32, u64>,
    held_high: u32,
    pub accesses: u64,
}

impl FakePort {
    /// The hardware is at an errand.
    pub fn is_at_errand(&self) -> bool {
        self.errand_busy > 0
    }

    /// The errand ends, and the next ones soon.
    pub fn end_errand(&mut self) {
        self.errand_busy_reads = 3;
        self.errand_busy = 0;
    }

    fn start_errand(&mut self, start: u32) {
        use regs::capabilities::{STORAGE_COPY, STORAGE_ERASE};
        assert_eq!(self.errand_busy, 0, "only written while not busy");
        self.errand_busy = self.errand_busy_reads;
        if start == regs::errand_start::DRAIN.mask() as u32 {
            self.drains += 1;
            return;
        }
        for high in [regs::ERRAND_SECTOR_HIGH, regs::ERRAND_SOURCE_HIGH] {
            assert_eq!(self.value(high.offset), 0, "the storage is small");
        }
        let [sector, source, sectors] =
            [regs::ERRAND_SECTOR_LOW, regs::ERRAND_SOURCE_LOW, regs::ERRAND_SECTORS].map(|reg| self.value(reg.offset));
        let is_erasure = start == regs::errand_start::ERASE.mask() as u32;
        assert!(is_erasure || start == regs::errand_start::COPY.mask() as u32, "one of the two");
        let capability = if is_erasure { STORAGE_ERASE } else { STORAGE_COPY };
        assert_eq!(capability.get32(self.value(regs::CAPABILITIES.offset)), 1, "the hardware can do it");
        if is_erasure {
            self.erased.push((sector, sectors));
        } else {
            self.copied.push((source, sector, sectors));
        }
    }

    /// Hardware of one function that follows neither bases nor formats of namespaces.
    pub fn new() -> Self {
        Self::with(1, 0)
    }

    /// Hardware with so many functions that can do what `capabilities` says.
    pub fn with(functions: u32, capabilities: u32) -> Self {
        let mut values = BTreeMap::new();
        let count = regs::functions::COUNT.set32(0, functions);
        values.insert(regs::FUNCTIONS.offset, regs::functions::VECTORS.set32(count, VECTORS));
        values.insert(regs::CAPABILITIES.offset, capabilities);
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
            functions: std::array::from_fn(|_| Function {
                alive: false,
                over: false,
                shutdown_noticed: true,
                latched: 0,
            }),
            rows: [Row::default(); NAMESPACES_MAX as usize],
            host_data: BTreeMap::new(),
            nssro_cleared: 0,
            drains: 0,
            erased: Vec::new(),
            copied: Vec::new(),
            errand_status: Status::SUCCESS,
            errand_busy_reads: 3,
            errand_busy: 0,
            clock: 0,
            completions: Vec::new(),
            full: BTreeSet::new(),
            refusals: 0,
            last_refused: false,
            sqs: BTreeMap::new(),
            cqs: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            sent: Vec::new(),
            lists: BTreeMap::new(),
            ends_life_at_transfer: false,
            is_draining: false,
            transfer_status: Status::SUCCESS,
            busy_reads: 2,
            queue_busy_reads: 2,
            completion_busy: 0,
            queue_busy: 0,
            transfer_busy: 0,
            transfer_dropped: false,
            latched: 0,
            counters: BTreeMap::new(),
            held_high: 0,
            accesses: 0,
        }
    }

    fn value(&self, offset: u32) -> u32 {
        self.values.get(&offset).copied().unwrap_or(0)
    }

    /// A register of a function.
    pub fn value_of(&self, register: &Reg, function: u8) -> u32 {
        self.value(regs::of_function(register, function).offset)
    }

    fn set_value_of(&mut self, register: &Reg, function: u8, value: u32) {
        self.values.insert(regs::of_function(register, function).offset, value);
    }

    /// The event line: while it is low, and firmware is not busy, nobody calls firmware.
    pub fn event_line(&self) -> bool {
        self.events() != 0
    }

    /// What was last written to a register of function 0, or of the controller.
    pub fn written(&self, register: &Reg) -> u32 {
        self.value(register.offset)
    }

    /// CSTS as the host of function 0 sees it.
    pub fn csts(&self) -> u32 {
        self.csts_of(0)
    }

    /// CSTS as the host of a function sees it.
    pub fn csts_of(&self, function: u8) -> u32 {
        self.value_of(&regs::STATUS_SET, function)
    }

    pub fn set_version(&mut self, version: u32) {
        self.values.insert(regs::VERSION.offset, version);
    }

    pub fn namespace_blocks(&self) -> u64 {
        self.rows[0].blocks
    }

    /// The host writes the admin queue registers.
    pub fn host_writes_admin_queues(&mut self, sq_entries: u32, cq_entries: u32) {
        self.host_of_writes_admin_queues(0, sq_entries, cq_entries);
    }

    /// The host of a function writes the admin queue registers.
    pub fn host_of_writes_admin_queues(&mut self, function: u8, sq_entries: u32, cq_entries: u32) {
        let value = aqa::ASQS.set32(0, sq_entries - 1);
        self.set_value_of(&regs::AQA, function, aqa::ACQS.set32(value, cq_entries - 1));
        self.set_value_of(&regs::ASQ_LOW, function, 0x0001_0000);
        self.set_value_of(&regs::ASQ_HIGH, function, 0x1);
        self.set_value_of(&regs::ACQ_LOW, function, 0x0002_0000);
        self.set_value_of(&regs::ACQ_HIGH, function, 0x2);
    }

    /// The host writes CC.
    pub fn host_writes_cc(&mut self, value: u32) {
        self.host_of_writes_cc(0, value);
    }

    /// The host of a function writes CC.
    pub fn host_of_writes_cc(&mut self, function: u8, value: u32) {
        let old = self.value_of(&regs::CC, function);
        self.set_value_of(&regs::CC, function, value);
        let changed = &mut self.functions[usize::from(function)];
        if cc::SHN.get32(value) != cc::SHN.get32(old) && cc::SHN.get32(value) != 0 {
            changed.shutdown_noticed = false;
        }
        match (cc::EN.get32(old), cc::EN.get32(value)) {
            (0, 1) => changed.alive = true,
            // Nothing of the old life is in flight any more, and what the mailbox held is gone.
            (1, 0) => {
                changed.over = true;
                let sqs = &self.sqs;
                self.inbox.retain(|(slot, ..)| sqs.get(slot).is_some_and(|sq| sq.function != function));
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

    /// Raises an event: of function 0, or of the controller.
    pub fn raise(&mut self, event: nvme_spec::reg::Field) {
        let is_of_function = regs::FUNCTION_EVENTS.field(event.name).is_some();
        let latched = if is_of_function { &mut self.functions[0].latched } else { &mut self.latched };
        *latched = event.set32(*latched, 1);
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

    fn is_enabled(&self, function: u8) -> bool {
        cc::EN.get32(self.value_of(&regs::CC, function)) == 1
    }

    fn function_events(&self, function: u8) -> u32 {
        let state = &self.functions[usize::from(function)];
        let is_shown = self.csts_of(function) & 3 != 0;
        let enable = self.is_enabled(function) && state.alive && !state.over && !is_shown;
        let levels = [
            (function_events::ENABLE, enable),
            (function_events::DISABLED, state.over && !self.is_draining),
            (function_events::SHUTDOWN, !state.shutdown_noticed),
        ];
        levels.iter().fold(state.latched, |value, (field, set)| if *set { field.set32(value, 1) } else { value })
    }

    fn alarm(&self) -> bool {
        let now = (self.clock >> regs::ALARM_UNIT_LOG2_CLOCKS) as u32;
        self.value(regs::ALARM_CONTROL.offset) == 1 && now.wrapping_sub(self.value(regs::ALARM.offset)) >> 31 == 0
    }

    fn events(&self) -> u32 {
        let levels = [(events::INBOX, !self.inbox.is_empty()), (events::ALARM, self.alarm())];
        let value =
            levels.iter().fold(self.latched, |value, (field, set)| if *set { field.set32(value, 1) } else { value });
        let summary = |function: u8| u32::from(self.function_events(function) != 0) << function;
        events::FUNCTIONS.set32(value, (0..FUNCTIONS_MAX as u8).map(summary).sum())
    }

    fn acknowledge_disable(&mut self, function: u8) {
        let is_enabled = self.is_enabled(function);
        let ended = &mut self.functions[usize::from(function)];
        assert!(ended.over, "only acknowledged while DISABLED is raised");
        ended.over = false;
        ended.alive = is_enabled;
        ended.latched = 0;
        self.set_value_of(&regs::STATUS_SET, function, 0);
        let gone: Vec<u8> = self.sqs.iter().filter(|(_, sq)| sq.function == function).map(|(slot, _)| *slot).collect();
        for slot in gone {
            self.sqs.remove(&slot);
            self.in_flight.remove(&slot);
            self.full.remove(&slot);
        }
        self.cqs.retain(|_, cq| cq.function != function);
        self.completion_busy = 0;
        self.queue_busy = 0;
        self.transfer_busy = 0;
    }

    fn is_over(&self, function: u8) -> bool {
        self.functions[usize::from(function)].over
    }

    fn commit_namespace(&mut self) {
        use regs::namespace_control::{ATTACHED, LBA_SHIFT, WRITE_PROTECTED};
        let pair = |low: &Reg, high: &Reg| u64::from(self.value(high.offset)) << 32 | u64::from(self.value(low.offset));
        let control = self.value(regs::NAMESPACE_CONTROL.offset);
        let index = self.value(regs::NAMESPACE_SELECT.offset);
        self.rows[index as usize] = Row {
            base_units: pair(&regs::NAMESPACE_BASE_LOW, &regs::NAMESPACE_BASE_HIGH),
            blocks: pair(&regs::NAMESPACE_BLOCKS_LOW, &regs::NAMESPACE_BLOCKS_HIGH),
            attached: ATTACHED.get32(control) as u8,
            lba_shift: LBA_SHIFT.get32(control) as u8,
            is_write_protected: WRITE_PROTECTED.get32(control) == 1,
        };
    }

    fn queue_command(&mut self, value: u32) {
        assert_eq!(self.queue_busy, 0, "only written while not busy");
        self.queue_busy = self.queue_busy_reads;
        let identity = self.value(regs::QUEUE_IDENTITY.offset);
        let function = regs::queue_identity::FUNCTION.get32(identity) as u8;
        let host_qid = regs::queue_identity::QID.get32(identity) as u16;
        if self.is_over(function) {
            return;
        }
        let functions = regs::functions::COUNT.get32(self.value(regs::FUNCTIONS.offset));
        let qid = regs::queue_command::SLOT.get32(value) as u8;
        assert_eq!(u32::from(qid) < functions, host_qid == 0, "admin queues have the first slots");
        let base = u64::from(self.value(regs::QUEUE_BASE_HIGH.offset)) << 32
            | u64::from(self.value(regs::QUEUE_BASE_LOW.offset));
        let entries = self.value(regs::QUEUE_SIZE.offset);
        let attributes = self.value(regs::QUEUE_ATTRIBUTES.offset);
        let check_shape = || {
            assert!(u32::from(qid) < IO_QUEUES + functions, "queue {qid} is there");
            // An admin queue may be longer than CAP.MQES says of I/O queues.
            assert!((2..=nvme_spec::limits::QUEUE_ENTRIES_MAX).contains(&entries), "{entries} entries");
            assert_eq!(base % 4096, 0, "the queue starts at a page");
        };
        match regs::queue_command::OP.get32(value) {
            queue_operation::CREATE_SQ => {
                check_shape();
                let cqid = regs::queue_attributes::CQ_SLOT.get32(attributes) as u8;
                assert!(self.cqs.contains_key(&cqid), "CQ {cqid} exists");
                let old = self.sqs.insert(
                    qid,
                    Sq {
                        base,
                        entries,
                        cqid,
                        stopped: false,
                        function,
                        qid: host_qid,
                        priority: regs::queue_attributes::QPRIO.get32(attributes) as u8,
                    },
                );
                assert_eq!(old, None, "SQ {qid} is new");
            }
            queue_operation::CREATE_CQ => {
                check_shape();
                let vector = regs::queue_attributes::VECTOR.get32(attributes) as u8;
                assert!(u32::from(vector) < VECTORS, "vector {vector} is there");
                let interrupts_enabled = regs::queue_attributes::IEN.get32(attributes) == 1;
                let old =
                    self.cqs.insert(qid, Cq { base, entries, vector, interrupts_enabled, function, qid: host_qid });
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
        let function = regs::completion_id::FUNCTION.get32(id) as u8;
        let completion = PostedCompletion {
            function,
            sqid: regs::completion_id::SLOT.get32(id) as u8,
            cid: regs::completion_id::CID.get32(id) as u16,
            result: self.value(regs::COMPLETION_RESULT.offset),
            status: Status::from_raw(value as u16),
        };
        assert_eq!(value >> 15, 0, "a status field has 15 bits");
        self.last_refused = !self.is_over(function) && self.full.contains(&completion.sqid);
        if self.last_refused {
            self.refusals += 1;
        } else if !self.is_over(function) {
            let owner = self.sqs.get(&completion.sqid).map(|sq| sq.function);
            assert_eq!(owner, Some(function), "SQ {} exists", completion.sqid);
            self.completions.push(completion);
        }
    }

    fn transfer(&mut self, value: u32) {
        assert_eq!(self.transfer_busy, 0, "only written while not busy");
        self.transfer_busy = self.busy_reads;
        let function = regs::transfer_start::FUNCTION.get32(value) as u8;
        if core::mem::take(&mut self.ends_life_at_transfer) {
            self.host_of_writes_cc(function, 0);
        }
        self.transfer_dropped = self.is_over(function);
        if self.transfer_dropped {
            self.transfer_busy = 0;
            return;
        }
        let pair = |low: u32, high: u32| u64::from(self.value(high)) << 32 | u64::from(self.value(low));
        let prp = [
            pair(regs::TRANSFER_PRP1_LOW.offset, regs::TRANSFER_PRP1_HIGH.offset),
            pair(regs::TRANSFER_PRP2_LOW.offset, regs::TRANSFER_PRP2_HIGH.offset),
        ];
        let bytes = self.value(regs::TRANSFER_LENGTH.offset);
        let is_sgl = regs::transfer_start::SGL.get32(value) == 1;
        assert!(is_sgl || prp[0] % 4 == 0, "PRP1 points to a dword");
        assert!((4..=BUFFER_BYTES).contains(&bytes) && bytes % 4 == 0, "{bytes} bytes");
        if regs::transfer_start::DIRECTION.get32(value) == 0 {
            if let Some(data) = self.host_data.get(&prp[0]) {
                for (word, bytes) in self.buffer.iter_mut().zip(data.chunks(4)).take(bytes as usize / 4) {
                    *word = u32::from_le_bytes(bytes.try_into().unwrap());
                }
                return;
            }
            if bytes != 8 {
                // Nothing in particular: zeroes.
                self.buffer[..bytes as usize / 4].fill(0);
                return;
            }
            let entry = self.lists.get(&prp[0]).copied().unwrap_or(0);
            self.buffer[0] = entry as u32;
            self.buffer[1] = (entry >> 32) as u32;
            return;
        }
        let data = self.buffer.as_bytes()[..bytes as usize].to_vec();
        self.sent.push(Sent { function, prp, is_sgl, data });
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

/// The register at an offset as that of function 0, and its function.
fn register_at(offset: u32) -> (&'static Reg, u8) {
    let bank = offset.checked_sub(regs::FUNCTION_BANK).map(|at| at / regs::FUNCTION_BANK_BYTES);
    let function = bank.filter(|function| *function < FUNCTIONS_MAX as u32).unwrap_or(0);
    let first = offset - function * regs::FUNCTION_BANK_BYTES;
    let register = regs::REGS.iter().find(|register| register.offset == first);
    (register.unwrap_or_else(|| panic!("no register at {offset:#X}")), function as u8)
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
        self.clock += 1;
        if regs::LATENCY.contains(offset) {
            // The slot is told from the counter.
            let index = (offset - regs::LATENCY.offset) / 4;
            return self.value(regs::LATENCY_SELECT.offset) << 16 | index;
        }
        if regs::INBOX_ENTRY.contains(offset) {
            return self.inbox_dword((offset - regs::INBOX_ENTRY.offset) / 4);
        }
        if regs::BUFFER.contains(offset) {
            return self.buffer[((offset - regs::BUFFER.offset) / 4) as usize];
        }
        let counter = |counter: &&Counter| counter.low.offset == offset || counter.high.offset == offset;
        if let Some(counter) = regs::COUNTERS.iter().find(counter) {
            let value = match *counter == regs::CLOCK {
                true => self.clock,
                false => self.counters.get(&counter.low.offset).copied().unwrap_or(0),
            };
            if offset == counter.high.offset {
                return self.held_high;
            }
            self.held_high = (value >> 32) as u32;
            return value as u32;
        }
        let (register, function) = register_at(offset);
        match *register {
            regs::EVENTS => self.events(),
            regs::FUNCTION_EVENTS => self.function_events(function),
            regs::INBOX_STATUS => self.inbox.front().map_or(0, |(sqid, failure, _)| {
                use regs::inbox_status::{FUNCTION, KIND, SLOT, STATUS, VALID};
                let kind = failure.map_or(inbox_kind::COMMAND, |_| inbox_kind::FAILED_COMMAND);
                let value = SLOT.set32(KIND.set32(VALID.set32(0, 1), kind), u32::from(*sqid));
                let function = self.sqs.get(sqid).map_or(0, |sq| sq.function);
                let value = FUNCTION.set32(value, u32::from(function));
                STATUS.set32(value, failure.map_or(0, |status| u32::from(status.raw())))
            }),
            regs::COMPLETION_STATE => {
                let value = still_busy(&mut self.completion_busy);
                regs::completion_state::REFUSED.set32(value, u32::from(self.last_refused))
            }
            regs::ERRAND_STATE => {
                let value = still_busy(&mut self.errand_busy);
                regs::errand_state::STATUS.set32(value, u32::from(self.errand_status.raw()))
            }
            regs::QUEUE_STATE => still_busy(&mut self.queue_busy),
            regs::TRANSFER_STATE => {
                let value = still_busy(&mut self.transfer_busy);
                let value = regs::transfer_state::DROPPED.set32(value, self.transfer_dropped.into());
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
        let (register, function) = register_at(offset);
        let writable = !register.mask_of(nvme_spec::reg::Access::Ro);
        let fields = register.fields.iter().fold(0, |mask, field| mask | field.mask());
        assert_eq!(u64::from(value) & !(fields & writable), 0, "{value:#X} fits {}", register.name);
        match *register {
            regs::EVENTS_CLEAR => self.latched &= !value,
            regs::FUNCTION_EVENTS_CLEAR => self.functions[usize::from(function)].latched &= !value,
            regs::BUFFER_CLEAR => self.buffer.fill(0),
            regs::NAMESPACE_COMMIT => self.commit_namespace(),
            regs::CONTROL => {
                if regs::control::ACK_DISABLE.get32(value) == 1 {
                    self.acknowledge_disable(function);
                }
                self.nssro_cleared |= (regs::control::CLEAR_NSSRO.get32(value) as u8) << function;
                if regs::control::ACK_SHUTDOWN.get32(value) == 1 {
                    self.functions[usize::from(function)].shutdown_noticed = true;
                }
            }
            regs::INBOX_POP => {
                self.inbox.pop_front().expect("only popped while VALID");
            }
            regs::ERRAND_START => self.start_errand(value),
            regs::COMPLETION_POST => self.post(value),
            regs::QUEUE_COMMAND => self.queue_command(value),
            regs::TRANSFER_START => self.transfer(value),
            regs::STATUS_SET if self.is_over(function) => {}
            _ => {
                self.values.insert(offset, value);
            }
        }
    }
}
