//! The controller with everything around it: a small scripted host, scripted firmware, and a storage of its own.

use crate::controller::Controller;
use crate::types::{Operation, StorageStatus};
use crate::Config;
use nvme_spec::decode::FORCE_UNIT_ACCESS;
use nvme_spec::firmware_port as port;
use nvme_spec::limits::NAMESPACES_MAX;
use nvme_spec::limits::SECTOR_BYTES;
use nvme_spec::opcode::io;
use nvme_spec::reg::Reg;
use nvme_spec::regs::{self, cq_head_doorbell, sq_tail_doorbell, MSIX_TABLE};
use nvme_spec::{CqEntry, SqEntry};
use rtl_hdl::bench::{Rng, Seed};
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::{elaborate, Evaluator, HwEnum};
use sim_device::{Bus, BusTiming, HostMemory, ReadRequest, WriteRequest, BEAT_BYTES, MESSAGE_WINDOW};
use std::collections::{BTreeMap, VecDeque};
use zerocopy::{FromBytes, IntoBytes};

/// No wait in these tests is longer.
pub const CLOCKS_MAX: u32 = 50_000;

/// The ports of a simulator, by name.
pub struct Ports {
    sim: Evaluator,
    found: BTreeMap<&'static str, PortId>,
}

impl Ports {
    pub fn port(&mut self, name: &'static str) -> PortId {
        *self.found.entry(name).or_insert_with(|| self.sim.port(name))
    }

    pub fn get(&mut self, name: &'static str) -> u64 {
        let port = self.port(name);
        self.sim.peek_u64(port)
    }

    pub fn is(&mut self, name: &'static str) -> bool {
        self.get(name) != 0
    }

    pub fn set(&mut self, name: &'static str, value: u64) {
        let port = self.port(name);
        self.sim.poke_u64(port, value);
    }

    pub fn get_beat(&mut self, name: &'static str) -> [u8; BEAT_BYTES] {
        let port = self.port(name);
        let mut words = [0; 8];
        self.sim.peek(port, &mut words);
        let mut beat = [0; BEAT_BYTES];
        for (bytes, word) in beat.chunks_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        beat
    }

    pub fn set_beat(&mut self, name: &'static str, beat: &[u8; BEAT_BYTES]) {
        let port = self.port(name);
        let words: Vec<u64> =
            beat.chunks(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes"))).collect();
        self.sim.poke(port, &words);
    }
}

/// What is behind the storage port: blocks by their number, answered in a random order after random times.
pub struct Storage {
    lba_bytes: usize,
    blocks: BTreeMap<u64, Vec<u8>>,
    rng: Rng,
    pub stall_percent: u64,
    /// Read commands to be answered.
    reads: Vec<(u64, u64, u64)>,
    /// Beats of the read that is being answered: tag, data, last.
    beats: VecDeque<(u64, [u8; BEAT_BYTES], bool)>,
    /// Write commands that wait for their data.
    writes: VecDeque<(u64, u64, u64)>,
    received: Vec<u8>,
    /// Tags that are done.
    done: Vec<u64>,
    beat_offered: bool,
    done_offered: bool,
    commands_ready: bool,
    writes_ready: bool,
    /// Reads and writes of this block fail.
    pub bad_block: Option<u64>,
    failed: Vec<u64>,
}

impl Storage {
    pub fn new(config: Config, seed: Seed, stall_percent: u64) -> Storage {
        Storage {
            lba_bytes: config.lba_bytes as usize,
            blocks: BTreeMap::new(),
            rng: seed.rng("storage"),
            stall_percent,
            reads: Vec::new(),
            beats: VecDeque::new(),
            writes: VecDeque::new(),
            received: Vec::new(),
            done: Vec::new(),
            beat_offered: false,
            done_offered: false,
            commands_ready: false,
            writes_ready: false,
            bad_block: None,
            failed: Vec::new(),
        }
    }

    pub fn block(&self, lba: u64) -> Vec<u8> {
        self.blocks.get(&lba).cloned().unwrap_or_else(|| vec![0; self.lba_bytes])
    }

    /// Offers and readiness of this clock.
    pub fn drive(&mut self, ports: &mut Ports) {
        let Self { rng, stall_percent, .. } = self;
        let mut runs = || !rng.percent(*stall_percent);
        let (command, write, beat, done) = (runs(), runs(), runs(), runs());
        if self.beats.is_empty() && !self.reads.is_empty() {
            let index = self.rng.below(self.reads.len() as u64) as usize;
            let (tag, lba, blocks) = self.reads.swap_remove(index);
            let data: Vec<u8> = (lba..lba + blocks).flat_map(|lba| self.block(lba)).collect();
            let count = data.len() / BEAT_BYTES;
            for (i, beat) in data.chunks(BEAT_BYTES).enumerate() {
                self.beats.push_back((tag, beat.try_into().expect("whole beats"), i + 1 == count));
            }
        }
        self.commands_ready = command;
        self.writes_ready = write;
        self.beat_offered = !self.beats.is_empty() && (self.beat_offered || beat);
        self.done_offered = !self.done.is_empty() && (self.done_offered || done);
        ports.set("storage_command_ready", command.into());
        ports.set("storage_write_ready", write.into());
        ports.set("storage_read_valid", self.beat_offered.into());
        if let Some((tag, data, last)) = self.beats.front() {
            ports.set("storage_read_tag", *tag);
            ports.set_beat("storage_read_data", data);
            ports.set("storage_read_error", 0);
            ports.set("storage_read_last", (*last).into());
        }
        ports.set("storage_done_valid", self.done_offered.into());
        if let Some(tag) = self.done.first() {
            let status = if self.failed.contains(tag) { StorageStatus::MediaError } else { StorageStatus::Good };
            ports.set("storage_done_tag", *tag);
            ports.set("storage_done_status", status.code());
        }
    }

    /// What is taken in this clock.
    pub fn observe(&mut self, ports: &mut Ports) {
        if self.done_offered && ports.is("storage_done_ready") {
            let tag = self.done.remove(0);
            self.failed.retain(|failed| *failed != tag);
            self.done_offered = false;
        }
        if self.beat_offered && ports.is("storage_read_ready") {
            let (tag, _, last) = self.beats.pop_front().expect("offered");
            self.beat_offered = false;
            if last {
                self.done.push(tag);
            }
        }
        if self.commands_ready && ports.is("storage_command_valid") {
            let tag = ports.get("storage_command_tag");
            let sectors = (self.lba_bytes / SECTOR_BYTES as usize) as u64;
            let lba = ports.get("storage_command_sector") / sectors;
            let blocks = ports.get("storage_command_sectors") / sectors;
            let operation = ports.get("storage_command_operation");
            assert_eq!(ports.is("storage_command_fua"), operation == Operation::Write.code());
            if self.bad_block.is_some_and(|bad| (lba..lba + blocks).contains(&bad)) {
                self.failed.push(tag);
            }
            match operation {
                code if code == Operation::Read.code() => self.reads.push((tag, lba, blocks)),
                code if code == Operation::Write.code() => self.writes.push_back((tag, lba, blocks)),
                _ => self.done.push(tag),
            }
        }
        if self.writes_ready && ports.is("storage_write_valid") {
            self.received.extend(ports.get_beat("storage_write_data"));
            if ports.is("storage_write_last") {
                let (tag, lba, blocks) = self.writes.pop_front().expect("data comes after its command");
                let data = std::mem::take(&mut self.received);
                assert_eq!(
                    data.len(),
                    blocks as usize * self.lba_bytes,
                    "data of the write of {blocks} blocks at {lba}"
                );
                for (lba, block) in (lba..).zip(data.chunks(self.lba_bytes)) {
                    self.blocks.insert(lba, block.to_vec());
                }
                self.done.push(tag);
            }
        }
    }
}

/// A queue pair as the host sees it.
pub struct Pair {
    pub number: u16,
    pub sq: u64,
    pub cq: u64,
    pub sq_entries: u16,
    pub cq_entries: u16,
    pub tail: u16,
    pub head: u16,
    pub phase: bool,
}

/// The controller with everything around it.
pub struct System {
    pub config: Config,
    pub ports: Ports,
    pub bus: Bus,
    pub host: HostMemory,
    pub storage: Storage,
    accesses: BTreeMap<&'static str, Access>,
    pub clocks: u64,
    seed: Seed,
    timing: BusTiming,
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed in clock {} of {:?} with {:?}", self.clocks, self.config, self.timing);
            eprintln!("replay: {}", self.seed.replay());
        }
    }
}

impl System {
    pub fn new(config: Config, timing: BusTiming, seed: Seed) -> System {
        let design = elaborate(&Controller::new(config)).unwrap_or_else(|problems| panic!("{problems}"));
        let sim = Evaluator::with_seed(&design, seed).expect("the controller can be evaluated");
        let mut system = System {
            config,
            ports: Ports { sim, found: BTreeMap::new() },
            bus: Bus::new(timing),
            host: HostMemory::new(),
            storage: Storage::new(config, seed, if timing == BusTiming::IDEAL { 0 } else { 30 }),
            accesses: BTreeMap::new(),
            clocks: 0,
            seed,
            timing,
        };
        for input in design.top().ports.iter().filter(|p| p.direction == rtl_hdl::Direction::Input) {
            if input.name != "clock" {
                let port = system.ports.sim.port(&input.name);
                system.ports.sim.poke(port, &vec![0; input.width.div_ceil(64) as usize]);
            }
        }
        system.ports.set("reset", 1);
        system.ports.sim.step();
        system.ports.sim.step();
        system.ports.set("reset", 0);
        system.ports.set("bus_master_enable", 1);
        system.ports.set("msix_enable", 1);
        system.ports.set("firmware_bready", 1);
        system.ports.set("firmware_rready", 1);
        system.ports.set("mmio_bready", 1);
        system.ports.set("mmio_rready", 1);
        system.ports.sim.settle();
        system
    }

    /// One clock. Outputs depend on registers alone, so they are read before the inputs are set.
    pub fn clock(&mut self) {
        self.clocks += 1;
        self.host.set_clock(self.clocks);
        self.bus.begin_clock(&mut self.host);
        let ports = &mut self.ports;
        ports.set("host_arready", self.bus.read_ready().into());
        ports.set("host_awready", self.bus.write_ready().into());
        ports.set("host_wready", self.bus.write_beat_ready().into());
        ports.set("host_rvalid", self.bus.read_beat().is_some().into());
        if let Some(beat) = self.bus.read_beat() {
            ports.set("host_rid", beat.id.into());
            ports.set_beat("host_rdata", &beat.data);
            ports.set("host_rresp", if beat.error { 2 } else { 0 });
            ports.set("host_rlast", beat.last.into());
        }
        ports.set("host_bvalid", self.bus.write_response().is_some().into());
        if let Some(response) = self.bus.write_response() {
            ports.set("host_bid", response.id.into());
            ports.set("host_bresp", if response.error { 2 } else { 0 });
        }
        self.storage.drive(ports);

        if ports.is("host_arvalid") && self.bus.read_ready() {
            let request = ReadRequest {
                id: ports.get("host_arid") as u8,
                function: ports.get("host_aruser") as u8,
                address: ports.get("host_araddr"),
                beats: ports.get("host_arlen") as u32 + 1,
            };
            self.bus.read(request);
        }
        if self.bus.read_beat().is_some() && ports.is("host_rready") {
            self.bus.take_read_beat();
        }
        if ports.is("host_awvalid") && self.bus.write_ready() {
            let request = WriteRequest {
                id: ports.get("host_awid") as u8,
                function: ports.get("host_awuser") as u8,
                address: ports.get("host_awaddr"),
                beats: ports.get("host_awlen") as u32 + 1,
            };
            self.bus.write(request, &mut self.host);
        }
        if ports.is("host_wvalid") && self.bus.write_beat_ready() {
            let (data, strobe) = (ports.get_beat("host_wdata"), ports.get("host_wstrb"));
            self.bus.write_beat(&data, strobe, ports.is("host_wlast"), &mut self.host);
        }
        if self.bus.write_response().is_some() && ports.is("host_bready") {
            self.bus.take_write_response();
        }
        self.storage.observe(ports);
        for bus in [&MMIO, &FIRMWARE] {
            if let Some(access) = self.accesses.get_mut(bus.name) {
                access.clock(bus, ports);
            }
        }
        ports.sim.step();
    }

    pub fn run(&mut self, clocks: u32) {
        (0..clocks).for_each(|_| self.clock());
    }

    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut System) -> bool) {
        for _ in 0..CLOCKS_MAX {
            if done(self) {
                return;
            }
            self.clock();
        }
        panic!("{what}: not within {CLOCKS_MAX} clocks");
    }

    // AXI4-Lite, one access at a time on each bus.

    pub fn access(&mut self, bus: &'static Lite, access: Access) -> u32 {
        assert!(self.accesses.insert(bus.name, access).is_none(), "one access at a time");
        let mut answer = None;
        self.until("an access is answered", |s| {
            answer = s.accesses[bus.name].answer;
            answer.is_some()
        });
        self.accesses.remove(bus.name);
        answer.expect("the loop ends with one")
    }

    pub fn mmio_write(&mut self, offset: u32, value: u32) {
        self.access(&MMIO, Access::write(offset, value, 0xF));
    }

    pub fn mmio_read(&mut self, offset: u32) -> u32 {
        self.access(&MMIO, Access::read(offset))
    }

    pub fn firmware_write(&mut self, reg: &Reg, value: u32) {
        self.access(&FIRMWARE, Access::write(reg.offset, value, 0xF));
    }

    pub fn firmware_read(&mut self, reg: &Reg) -> u32 {
        self.access(&FIRMWARE, Access::read(reg.offset))
    }

    pub fn firmware_wait(&mut self, what: &str, reg: &Reg, mask: u64, value: u64) -> u32 {
        for _ in 0..CLOCKS_MAX / 10 {
            let now = self.firmware_read(reg);
            if u64::from(now) & mask == value {
                return now;
            }
        }
        panic!("{what}: {} never becomes {value:#x} in {mask:#x}", reg.name);
    }

    pub fn wait_event(&mut self, field: &nvme_spec::reg::Field) {
        let is_of_function = port::FUNCTION_EVENTS.field(field.name).is_some();
        let events = if is_of_function { &port::FUNCTION_EVENTS } else { &port::EVENTS };
        self.firmware_wait(field.name, events, field.mask(), field.mask());
    }

    // Firmware.

    pub fn firmware_creates(&mut self, pair: &Pair) {
        let entries = |entries: u16| u32::from(entries);
        let id = u64::from(pair.number);
        for (base, size, operation) in [
            (pair.cq, entries(pair.cq_entries), port::queue_operation::CREATE_CQ),
            (pair.sq, entries(pair.sq_entries), port::queue_operation::CREATE_SQ),
        ] {
            self.firmware_write(&port::QUEUE_BASE_LOW, base as u32);
            self.firmware_write(&port::QUEUE_BASE_HIGH, (base >> 32) as u32);
            self.firmware_write(&port::QUEUE_SIZE, size);
            self.firmware_write(&port::QUEUE_IDENTITY, port::queue_identity::QID.set(0, id) as u32);
            let attributes = port::queue_attributes::CQ_SLOT.set(0, self.slot(pair.number).into());
            let attributes = port::queue_attributes::VECTOR.set(attributes, id);
            self.firmware_write(&port::QUEUE_ATTRIBUTES, port::queue_attributes::IEN.set(attributes, 1) as u32);
            self.queue_command(operation, pair.number);
        }
    }

    /// The slot of a queue of function 0: the admin queues of all functions come first, and its I/O queues follow them.
    pub fn slot(&self, queue: u16) -> u16 {
        if queue == 0 {
            0
        } else {
            self.config.functions as u16 - 1 + queue
        }
    }

    pub fn queue_command(&mut self, operation: u32, queue: u16) {
        let command = port::queue_command::OP.set(0, operation.into());
        let command = port::queue_command::SLOT.set(command, self.slot(queue).into());
        self.firmware_write(&port::QUEUE_COMMAND, command as u32);
        self.firmware_wait("a queue command ends", &port::QUEUE_STATE, port::queue_state::BUSY.mask(), 0);
    }

    /// The head of the inbox: queue, kind, status, entry.
    pub fn firmware_pops(&mut self) -> (u16, u32, u16, SqEntry) {
        self.wait_event(&port::events::INBOX);
        let status = self.firmware_read(&port::INBOX_STATUS);
        let words: Vec<u8> = (0..16)
            .flat_map(|i| self.access(&FIRMWARE, Access::read(port::INBOX_ENTRY.dword(i))).to_le_bytes())
            .collect();
        self.firmware_write(&port::INBOX_POP, 1);
        let get = |field: &nvme_spec::reg::Field| field.get32(status);
        use port::inbox_status::{KIND, SLOT, STATUS};
        let entry = SqEntry::read_from_bytes(&words).expect("64 bytes");
        let queue = (get(&SLOT) as u16).saturating_sub(self.config.functions as u16 - 1);
        (queue, get(&KIND), get(&STATUS) as u16, entry)
    }

    /// Posts a completion and returns COMPLETION_STATE.
    pub fn firmware_posts(&mut self, queue: u16, cid: u16, status: u16, result: u32) -> u32 {
        self.firmware_write(&port::COMPLETION_RESULT, result);
        let id = port::completion_id::CID.set(0, cid.into());
        self.firmware_write(&port::COMPLETION_ID, port::completion_id::SLOT.set(id, self.slot(queue).into()) as u32);
        self.firmware_write(&port::COMPLETION_POST, status.into());
        self.firmware_wait("a completion ends", &port::COMPLETION_STATE, port::completion_state::BUSY.mask(), 0)
    }

    pub fn firmware_transfers(&mut self, to_host: bool, prp1: u64, prp2: u64, bytes: u32) -> u16 {
        self.firmware_write(&port::TRANSFER_PRP1_LOW, prp1 as u32);
        self.firmware_write(&port::TRANSFER_PRP1_HIGH, (prp1 >> 32) as u32);
        self.firmware_write(&port::TRANSFER_PRP2_LOW, prp2 as u32);
        self.firmware_write(&port::TRANSFER_PRP2_HIGH, (prp2 >> 32) as u32);
        self.firmware_write(&port::TRANSFER_LENGTH, bytes);
        self.firmware_write(&port::TRANSFER_START, to_host.into());
        let busy = port::transfer_state::BUSY.mask();
        let state = self.firmware_wait("a transfer ends", &port::TRANSFER_STATE, busy, 0);
        port::transfer_state::STATUS.get32(state) as u16
    }

    // The host.

    pub fn pair(&mut self, number: u16, sq_entries: u16, cq_entries: u16) -> Pair {
        let sq = self.host.alloc_guarded(u64::from(sq_entries) * 64, 4096);
        let cq = self.host.alloc_guarded(u64::from(cq_entries) * 16, 4096);
        self.host.fill(cq, u64::from(cq_entries) * 16, 0);
        Pair { number, sq, cq, sq_entries, cq_entries, tail: 0, head: 0, phase: true }
    }

    /// Writes an entry without ringing the doorbell.
    pub fn submit(&mut self, pair: &mut Pair, entry: &SqEntry) {
        self.host.store(pair.sq + u64::from(pair.tail) * 64, entry.as_bytes());
        pair.tail = (pair.tail + 1) % pair.sq_entries;
    }

    pub fn ring(&mut self, pair: &Pair) {
        self.mmio_write(sq_tail_doorbell(pair.number), pair.tail.into());
    }

    /// The completion at the head, if it is there.
    pub fn peek_completion(&mut self, pair: &Pair) -> Option<CqEntry> {
        let bytes: [u8; 16] = self.host.load_array(pair.cq + u64::from(pair.head) * 16);
        let entry = CqEntry::read_from_bytes(&bytes).expect("16 bytes");
        (entry.phase() == pair.phase).then_some(entry)
    }

    /// Waits for the next completion without ringing the head doorbell.
    pub fn completion(&mut self, pair: &mut Pair) -> CqEntry {
        let mut found = None;
        self.until("a completion", |s| {
            found = s.peek_completion(pair);
            found.is_some()
        });
        pair.head = (pair.head + 1) % pair.cq_entries;
        pair.phase ^= pair.head == 0;
        found.expect("the loop ends with one")
    }

    /// Waits for `count` interrupt messages and for more that must not come; returns their data.
    pub fn messages(&mut self, count: usize) -> Vec<u32> {
        let mut found = Vec::new();
        self.until("an interrupt message", |s| {
            found.extend(s.host.take_messages().iter().map(|message| message.data));
            found.len() >= count
        });
        self.run(2000);
        found.extend(self.host.take_messages().iter().map(|message| message.data));
        found
    }

    pub fn ring_head(&mut self, pair: &Pair) {
        self.mmio_write(cq_head_doorbell(pair.number), pair.head.into());
    }

    /// From nothing to CSTS.RDY, with an admin queue pair; host and firmware take turns.
    pub fn enable(&mut self, sq_entries: u16, cq_entries: u16) -> Pair {
        let admin = self.pair(0, sq_entries, cq_entries);
        self.mmio_write(regs::AQA.offset, u32::from(sq_entries - 1) | u32::from(cq_entries - 1) << 16);
        for (reg, base) in [(&regs::ASQ, admin.sq), (&regs::ACQ, admin.cq)] {
            self.mmio_write(reg.offset, base as u32);
            self.mmio_write(reg.offset + 4, (base >> 32) as u32);
        }
        for vector in 0..self.config.vectors() {
            let entry = MSIX_TABLE.start + 16 * vector;
            self.mmio_write(entry, (MESSAGE_WINDOW.start + 4 * u64::from(vector)) as u32);
            self.mmio_write(entry + 4, ((MESSAGE_WINDOW.start + 4 * u64::from(vector)) >> 32) as u32);
            self.mmio_write(entry + 8, 0x100 + vector);
            self.mmio_write(entry + 12, 0);
        }
        self.mmio_write(regs::CC.offset, CC_ENABLED);
        self.wait_event(&port::function_events::ENABLE);
        // No limit to an arbitration burst.
        self.firmware_write(&port::ARBITRATION, port::arbitration::AB.mask() as u32);
        assert_eq!(self.firmware_read(&port::AQA), self.mmio_read(regs::AQA.offset));
        assert_eq!(self.firmware_read(&port::ASQ_LOW), admin.sq as u32);
        self.firmware_creates(&admin);
        self.firmware_write(&port::STATUS_SET, 1);
        assert_eq!(self.mmio_read(regs::CSTS.offset), 1, "CSTS.RDY");
        admin
    }

    /// From CC.EN = 0 to CSTS.RDY = 0.
    pub fn disable(&mut self) {
        self.mmio_write(regs::CC.offset, CC_ENABLED & !1);
        self.finish_life();
    }

    pub fn finish_life(&mut self) {
        self.wait_event(&port::function_events::DISABLED);
        assert!(self.bus.is_idle(), "the host's memory is at rest before firmware is told");
        self.firmware_write(&port::CONTROL, 1);
        assert_eq!(self.mmio_read(regs::CSTS.offset), 0, "CSTS after the acknowledgement");
        self.host.check_canaries().expect("nothing is written outside");
    }

    pub fn create_io_pair(&mut self, number: u16, sq_entries: u16, cq_entries: u16) -> Pair {
        let pair = self.pair(number, sq_entries, cq_entries);
        self.firmware_creates(&pair);
        pair
    }

    pub fn attach(&mut self, blocks: u64) {
        // Rows hold anything until they are written.
        self.firmware_write(&port::NAMESPACE_CONTROL, 0);
        for index in 1..NAMESPACES_MAX {
            self.firmware_write(&port::NAMESPACE_SELECT, index);
            self.firmware_write(&port::NAMESPACE_COMMIT, 1);
        }
        self.firmware_write(&port::NAMESPACE_SELECT, 0);
        let control = port::namespace_control::ATTACHED.set(0, 1);
        let control = port::namespace_control::LBA_SHIFT.set(control, self.config.lba_shift().into());
        self.firmware_write(&port::NAMESPACE_CONTROL, control as u32);
        self.firmware_write(&port::NAMESPACE_BLOCKS_LOW, blocks as u32);
        self.firmware_write(&port::NAMESPACE_BLOCKS_HIGH, (blocks >> 32) as u32);
        self.firmware_write(&port::NAMESPACE_COMMIT, 1);
    }
}

/// What Linux writes: IOCQES 4, IOSQES 6, EN.
pub const CC_ENABLED: u32 = 0x0046_0001;

/// The names of the ports of an AXI4-Lite bus.
pub struct Lite {
    name: &'static str,
    address: [&'static str; 2],
    valid: [&'static str; 3],
    ready: [&'static str; 3],
    write_data: &'static str,
    strobe: &'static str,
    answered: [&'static str; 2],
    read_data: &'static str,
}

macro_rules! lite {
    ($name:literal) => {
        Lite {
            name: $name,
            address: [concat!($name, "_awaddr"), concat!($name, "_araddr")],
            valid: [concat!($name, "_awvalid"), concat!($name, "_wvalid"), concat!($name, "_arvalid")],
            ready: [concat!($name, "_awready"), concat!($name, "_wready"), concat!($name, "_arready")],
            write_data: concat!($name, "_wdata"),
            strobe: concat!($name, "_wstrb"),
            answered: [concat!($name, "_bvalid"), concat!($name, "_rvalid")],
            read_data: concat!($name, "_rdata"),
        }
    };
}

pub static MMIO: Lite = lite!("mmio");
pub static FIRMWARE: Lite = lite!("firmware");

/// An access to an AXI4-Lite bus that is under way.
pub struct Access {
    address: u32,
    data: u32,
    strobe: u64,
    /// The channels AW, W and AR whose item has not been taken.
    offers: [bool; 3],
    answer: Option<u32>,
}

impl Access {
    pub fn write(address: u32, data: u32, strobe: u64) -> Access {
        Access { address, data, strobe, offers: [true, true, false], answer: None }
    }

    pub fn read(address: u32) -> Access {
        Access { address, data: 0, strobe: 0, offers: [false, false, true], answer: None }
    }

    /// The accesses' part of a clock.
    pub fn clock(&mut self, bus: &Lite, ports: &mut Ports) {
        bus.address.iter().for_each(|name| ports.set(name, self.address.into()));
        ports.set(bus.write_data, self.data.into());
        ports.set(bus.strobe, self.strobe);
        for channel in 0..3 {
            ports.set(bus.valid[channel], self.offers[channel].into());
            self.offers[channel] &= !ports.is(bus.ready[channel]);
        }
        if self.answer.is_none() && bus.answered.iter().any(|name| ports.is(name)) {
            self.answer = Some(ports.get(bus.read_data) as u32);
        }
    }
}

/// A submission queue entry; writes ask for force unit access, others do not.
pub fn entry(opcode: u8, cid: u16, lba: u64, blocks: u32, prp: [u64; 2]) -> SqEntry {
    let mut entry = SqEntry { opcode, ..Default::default() };
    entry.cid.set(cid);
    entry.nsid.set(1);
    entry.prp[0].set(prp[0]);
    entry.prp[1].set(prp[1]);
    entry.cdw10[0].set(lba as u32);
    entry.cdw10[1].set((lba >> 32) as u32);
    let options = if opcode == io::WRITE { FORCE_UNIT_ACCESS } else { 0 };
    entry.cdw10[2].set((blocks - 1) | options);
    entry
}
