//! Clients of a hub that load, store and modify words of few blocks at random, DMA beside them, a memory that answers when and in which order it
//! likes, and a checker that knows what every load may see.
//!
//! The checker has one copy of each block, which stores change in the clock in which they happen. As nobody may write while another has a copy, every
//! load of a copy sees exactly this. What is read without a copy was current at one moment between request and answer. A write of the DMA
//! happens at an unknown moment between request and answer: as soon as somebody sees it, it has happened for all.

use super::{Config, BLOCK_BYTES, BLOCK_SIZE};
use crate::{resp, OpcodeA, OpcodeB, OpcodeC, OpcodeD};
use rtl_hdl::bench::{Rng, Seed};
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::HwEnum;
use std::collections::VecDeque;

const WORDS: usize = BLOCK_BYTES as usize / 8;
type Block = [u64; WORDS];

/// Nothing waits longer than this.
const PATIENCE: u64 = 50_000;

/// What the traffic is like.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Loads, stores and modifications of the clients, and reads and writes of the DMA, all together.
    pub operations: u64,
    /// Blocks that are fought for, from address 0 on.
    pub blocks: u64,
    /// How often a side of a channel stalls.
    pub stall_percent: u64,
    /// The memory answers after 1 to this many clocks.
    pub memory_clocks_max: u64,
    /// The memory refuses the last block.
    pub bad_block: bool,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Clocks.
    pub clocks: u64,
    /// Loads from copies.
    pub loads: u64,
    /// Stores to copies.
    pub stores: u64,
    /// Words that were read, changed and written in one.
    pub modifications: u64,
    /// Reads without a copy, of clients and of the DMA.
    pub reads: u64,
    /// Writes of the DMA.
    pub writes: u64,
    /// Blocks that were acquired.
    pub grants: u64,
    /// Probes.
    pub probes: u64,
    /// Blocks that were released.
    pub releases: u64,
    /// Answers that were denied.
    pub denied: u64,
}

impl Report {
    /// Operations of all kinds.
    pub fn operations(&self) -> u64 {
        self.loads + self.stores + self.modifications + self.reads + self.writes
    }
}

/// The ports of one channel, by field.
struct Wires {
    valid: PortId,
    ready: PortId,
    fields: Vec<PortId>,
}

impl Wires {
    fn new(sim: &dyn Simulator, channel: &str, separator: &str, fields: &[&str]) -> Self {
        let port = |field: &str| sim.port(&format!("{channel}{separator}{field}"));
        Wires { valid: port("valid"), ready: port("ready"), fields: fields.iter().map(|field| port(field)).collect() }
    }
}

/// A channel that we drive: what is offered stays until it is taken.
struct Sender {
    wires: Wires,
    queue: VecDeque<Vec<Vec<u64>>>,
    offered: bool,
}

impl Sender {
    fn new(wires: Wires) -> Self {
        Sender { wires, queue: VecDeque::new(), offered: false }
    }

    fn send(&mut self, fields: &[&[u64]]) {
        self.queue.push_back(fields.iter().map(|words| words.to_vec()).collect());
    }

    fn clock(&mut self, sim: &mut dyn Simulator, stalls: bool) {
        let may = self.offered || !stalls;
        let valid = may && !self.queue.is_empty();
        sim.poke_u64(self.wires.valid, valid.into());
        if let (true, Some(item)) = (valid, self.queue.front()) {
            if !self.offered {
                for (port, words) in self.wires.fields.iter().zip(item) {
                    sim.poke(*port, words);
                }
            }
            self.offered = true;
            if sim.peek_u64(self.wires.ready) == 1 {
                self.queue.pop_front();
                self.offered = false;
            }
        }
    }
}

/// A channel that we take from.
struct Receiver {
    wires: Wires,
}

impl Receiver {
    /// Whether an item is taken by the next clock.
    fn clock(&self, sim: &mut dyn Simulator, stalls: bool) -> bool {
        sim.poke_u64(self.wires.ready, (!stalls).into());
        !stalls && sim.peek_u64(self.wires.valid) == 1
    }

    fn field(&self, sim: &dyn Simulator, number: usize) -> u64 {
        sim.peek_u64(self.wires.fields[number])
    }

    fn block(&self, sim: &dyn Simulator, number: usize) -> Block {
        let mut block = [0; WORDS];
        sim.peek(self.wires.fields[number], &mut block);
        block
    }
}

/// What a client may do with a block. TileLink, "Permissions".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Permission {
    Nothing,
    Branch,
    Trunk,
}
use Permission::{Branch, Nothing, Trunk};

/// `param` of channel C, from what it was to what it is.
fn shrink(from: Permission, to: Permission) -> u64 {
    match (from, to) {
        (Trunk, Branch) => 0,
        (Trunk, Nothing) => 1,
        (Branch, Nothing) => 2,
        (Trunk, Trunk) => 3,
        (Branch, Branch) => 4,
        _ => 5,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    Load,
    Store,
    Modify,
}

/// What one source waits for.
#[derive(Clone, Debug)]
struct Request {
    block: u64,
    since: u64,
    kind: Kind,
    /// Words that have come.
    words: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Acquire(Operation),
    /// From which byte on, of which size, and the version that was current when it was asked for.
    Get(u64, u64, u64),
    Put,
}

/// A write of the DMA whose answer has not come: bytes, data, and whether somebody has seen it.
#[derive(Clone, Copy, Debug)]
struct Put {
    mask: u64,
    data: Block,
    seen: bool,
}

/// What a block is.
struct Truth {
    /// What it was, from version `first` on; the last is what it is.
    versions: VecDeque<Block>,
    first: u64,
    put: Option<Put>,
}

fn merge(block: Block, mask: u64, data: Block) -> Block {
    std::array::from_fn(|word| {
        let bytes = mask >> (8 * word);
        let bits = (0..8).filter(|byte| bytes >> byte & 1 == 1).fold(0u64, |bits, byte| bits | 0xFF << (8 * byte));
        block[word] & !bits | data[word] & bits
    })
}

impl Truth {
    fn now(&self) -> Block {
        *self.versions.back().expect("there is always one")
    }

    fn version(&self) -> u64 {
        self.first + self.versions.len() as u64 - 1
    }

    fn set(&mut self, block: Block) {
        self.versions.push_back(block);
        // No read waits for longer than so many changes: one that did would be checked against fewer.
        if self.versions.len() > 4_096 {
            self.versions.pop_front();
            self.first += 1;
        }
    }

    /// What it is if the write that is under way has happened.
    fn with_put(&self) -> Option<Block> {
        self.put.filter(|put| !put.seen).map(|put| merge(self.now(), put.mask, put.data))
    }

    fn happen(&mut self) {
        if let Some(block) = self.with_put() {
            self.set(block);
            self.put.as_mut().expect("it is under way").seen = true;
        }
    }

    /// Somebody sees a copy.
    fn sees(&mut self, copy: Block) -> bool {
        if self.now() != copy && self.with_put() == Some(copy) {
            self.happen();
        }
        self.now() == copy
    }

    /// Somebody has read some bytes at a moment since `version`.
    fn has_read(&mut self, version: u64, mask: u64, data: Block) -> bool {
        let cut = |block: Block| merge([0; WORDS], mask, block);
        let since = version.saturating_sub(self.first) as usize;
        if self.versions.iter().skip(since).any(|block| cut(*block) == cut(data)) {
            return true;
        }
        let is_put = self.with_put().is_some_and(|block| cut(block) == cut(data));
        self.happen();
        is_put
    }
}

#[derive(Clone, Copy)]
struct Copy {
    permission: Permission,
    is_dirty: bool,
    data: Block,
}

struct Client {
    a: Sender,
    c: Sender,
    e: Sender,
    b: Receiver,
    d: Receiver,
    copies: Vec<Copy>,
    requests: Vec<Option<Request>>,
    /// The block that is released, and since when.
    release: Option<(u64, u64)>,
    /// A probe that is not answered: block and what may be kept.
    probe: Option<(u64, Permission)>,
    /// Grants that will be acknowledged: when, and their sinks.
    acknowledges: Vec<(u64, u64)>,
}

struct Dma {
    a: Sender,
    d: Receiver,
    requests: Vec<Option<Request>>,
}

/// What the memory was asked for: id, block, when it is answered, and data that belongs to it.
type Access<T> = (u64, u64, u64, Option<T>);

/// A memory of blocks with AXI4.
struct Memory {
    ar: Receiver,
    aw: Receiver,
    w: Receiver,
    r: Sender,
    b: Sender,
    blocks: Vec<Block>,
    /// With what was read at once.
    reads: Vec<Access<Block>>,
    addresses: VecDeque<(u64, u64)>,
    data: VecDeque<(Block, u64)>,
    /// With what is still to be written.
    writes: Vec<Access<(Block, u64)>>,
}

struct Traffic<'s> {
    sim: &'s mut dyn Simulator,
    options: Options,
    rng: Rng,
    clients: Vec<Client>,
    dma: Dma,
    memory: Memory,
    truths: Vec<Truth>,
    report: Report,
    next_value: u64,
    wrong: Option<String>,
}

/// Runs traffic from a reset until all operations are done and all blocks are back in the memory.
///
/// # Errors
/// What somebody saw that nobody may have written, who had a copy that he may not have, or what was not answered.
pub fn run(sim: &mut dyn Simulator, config: Config, options: Options, seed: Seed) -> Result<Report, String> {
    let mut traffic = Traffic::new(sim, config, options, seed);
    let mut last = (0, 0);
    while traffic.report.operations() < options.operations {
        traffic.clock(true)?;
        let done = traffic.report.operations();
        if done != last.0 {
            last = (done, traffic.report.clocks);
        } else if traffic.report.clocks > last.1 + PATIENCE {
            return Err(format!("nothing has been done for {PATIENCE} clocks, after {done} operations"));
        }
    }
    let end = traffic.report.clocks + PATIENCE;
    while !traffic.is_quiet() {
        if traffic.report.clocks > end {
            return Err("not everything is answered".into());
        }
        traffic.clock(false)?;
    }
    for block in 0..traffic.good_blocks() as usize {
        let (is, should) = (traffic.memory.blocks[block], traffic.truths[block].now());
        if is != should {
            return Err(format!("in the end block {block} of the memory is {is:x?}, and {should:x?} was written"));
        }
    }
    Ok(traffic.report)
}

impl<'s> Traffic<'s> {
    fn new(sim: &'s mut dyn Simulator, config: Config, options: Options, seed: Seed) -> Self {
        let asks = ["opcode", "param", "size", "source", "address", "mask", "data", "corrupt"];
        let answers = ["opcode", "param", "size", "source", "sink", "denied", "data", "corrupt"];
        let client = |number: u32| {
            let wires =
                |letter: &str, fields: &[&str]| Wires::new(&*sim, &format!("client_{number}_{letter}"), "_", fields);
            Client {
                a: Sender::new(wires("a", &asks)),
                c: Sender::new(wires("c", &["opcode", "param", "size", "source", "address", "data", "corrupt"])),
                e: Sender::new(wires("e", &["sink"])),
                b: Receiver { wires: wires("b", &["opcode", "param", "size", "source", "address"]) },
                d: Receiver { wires: wires("d", &answers) },
                copies: vec![Copy { permission: Nothing, is_dirty: false, data: [0; WORDS] }; options.blocks as usize],
                requests: vec![None; 1 << config.source_bits],
                release: None,
                probe: None,
                acknowledges: vec![],
            }
        };
        let wires = |channel: &str, fields: &[&str]| Wires::new(&*sim, &format!("memory_{channel}"), "", fields);
        let mut rng = seed.rng("memory");
        let blocks: Vec<Block> = (0..options.blocks).map(|_| std::array::from_fn(|_| rng.next_u64())).collect();
        let truths = blocks.iter().map(|block| Truth { versions: [*block].into(), first: 0, put: None }).collect();
        let mut traffic = Traffic {
            clients: (0..config.clients).map(client).collect(),
            dma: Dma {
                a: Sender::new(Wires::new(&*sim, "dma_a", "_", &asks)),
                d: Receiver { wires: Wires::new(&*sim, "dma_d", "_", &answers) },
                requests: vec![None; 1 << config.dma_source_bits],
            },
            memory: Memory {
                ar: Receiver { wires: wires("ar", &["id", "addr", "len", "size", "burst"]) },
                aw: Receiver { wires: wires("aw", &["id", "addr", "len", "size", "burst"]) },
                w: Receiver { wires: wires("w", &["data", "strb", "last"]) },
                r: Sender::new(wires("r", &["id", "data", "resp", "last"])),
                b: Sender::new(wires("b", &["id", "resp"])),
                blocks,
                reads: vec![],
                addresses: VecDeque::new(),
                data: VecDeque::new(),
                writes: vec![],
            },
            sim,
            options,
            rng: seed.rng("traffic"),
            truths,
            report: Report::default(),
            next_value: 1,
            wrong: None,
        };
        // What was offered before is not in the reset.
        let Traffic { sim, clients, dma, memory, .. } = &mut traffic;
        let senders = clients.iter_mut().flat_map(|client| [&mut client.a, &mut client.c, &mut client.e]);
        for sender in senders.chain([&mut dma.a, &mut memory.r, &mut memory.b]) {
            sender.clock(&mut **sim, true);
        }
        let reset = traffic.sim.port("reset");
        traffic.sim.poke_u64(reset, 1);
        for _ in 0..2 {
            traffic.sim.step();
        }
        traffic.sim.poke_u64(reset, 0);
        traffic
    }

    fn good_blocks(&self) -> u64 {
        self.options.blocks - u64::from(self.options.bad_block)
    }

    fn is_bad(&self, block: u64) -> bool {
        block >= self.good_blocks()
    }

    fn complain(&mut self, what: String) {
        let clock = self.report.clocks;
        self.wrong.get_or_insert_with(|| format!("clock {clock}: {what}"));
    }

    fn stalls(&mut self) -> bool {
        self.rng.percent(self.options.stall_percent)
    }

    /// Nothing is under way, and nobody has a changed copy.
    fn is_quiet(&self) -> bool {
        let client = |client: &Client| {
            client.requests.iter().all(Option::is_none)
                && client.release.is_none()
                && client.probe.is_none()
                && client.c.queue.is_empty()
                && client.e.queue.is_empty()
                && client.acknowledges.is_empty()
                && client.copies.iter().all(|copy| !copy.is_dirty)
        };
        self.clients.iter().all(client) && self.dma.requests.iter().all(Option::is_none)
    }

    fn clock(&mut self, begins: bool) -> Result<(), String> {
        for number in 0..self.clients.len() {
            if begins {
                self.operate(number);
            } else {
                let dirty = self.clients[number].copies.iter().position(|copy| copy.is_dirty);
                if let Some(block) = dirty {
                    self.give_back(number, block as u64);
                }
            }
            self.clock_client(number);
        }
        if begins && self.rng.percent(20) {
            self.operate_dma();
        }
        self.clock_dma();
        self.clock_memory();
        self.sim.step();
        self.report.clocks += 1;
        self.wrong.take().map_or(Ok(()), Err)
    }

    /// A client does something, or asks for what it needs for it.
    fn operate(&mut self, number: usize) {
        if self.rng.percent(50) {
            return;
        }
        let block = self.rng.below(self.options.blocks);
        match self.rng.below(100) {
            0..=44 => self.use_copy(number, block, Operation::Load),
            45..=69 => self.use_copy(number, block, Operation::Store),
            70..=84 => self.use_copy(number, block, Operation::Modify),
            85..=92 => self.get(number, block),
            _ => self.give_back(number, block),
        }
    }

    fn use_copy(&mut self, number: usize, block: u64, operation: Operation) {
        let client = &self.clients[number];
        let permission = client.copies[block as usize].permission;
        let is_busy = client.release.is_some_and(|(other, _)| other == block)
            || client
                .requests
                .iter()
                .flatten()
                .any(|request| request.block == block && matches!(request.kind, Kind::Acquire(_)));
        let needs = if operation == Operation::Load { Branch } else { Trunk };
        if permission >= needs {
            return self.execute(number, block, operation);
        }
        let Some(source) = client.requests.iter().position(Option::is_none) else { return };
        if is_busy {
            return;
        }
        let grow = match (permission, needs) {
            (Nothing, Branch) => 0,
            (Nothing, _) => 1,
            _ => 2,
        };
        let request = Request { block, since: self.report.clocks, kind: Kind::Acquire(operation), words: vec![] };
        let client = &mut self.clients[number];
        client.requests[source] = Some(request);
        let (opcode, address) = (OpcodeA::AcquireBlock.code(), block * u64::from(BLOCK_BYTES));
        let data = self.rng.next_u64();
        client.a.send(&[
            &[opcode],
            &[grow],
            &[BLOCK_SIZE.into()],
            &[source as u64],
            &[address],
            &[0xFF],
            &[data],
            &[0],
        ]);
    }

    /// Does it with the copy.
    fn execute(&mut self, number: usize, block: u64, operation: Operation) {
        let copy = self.clients[number].copies[block as usize];
        let truth = &mut self.truths[block as usize];
        if !truth.sees(copy.data) {
            let now = truth.now();
            return self.complain(format!("client {number} has {:x?} in block {block}, which is {now:x?}", copy.data));
        }
        let word = self.rng.below(WORDS as u64) as usize;
        let value = match operation {
            Operation::Load => {
                self.report.loads += 1;
                return;
            }
            Operation::Store => {
                self.report.stores += 1;
                self.next_value += 1;
                self.next_value
            }
            Operation::Modify => {
                self.report.modifications += 1;
                copy.data[word].wrapping_mul(3).wrapping_add(1)
            }
        };
        let copy = &mut self.clients[number].copies[block as usize];
        copy.data[word] = value;
        copy.is_dirty = true;
        self.truths[block as usize].set(copy.data);
    }

    /// Reads without a copy, as an instruction cache does.
    fn get(&mut self, number: usize, block: u64) {
        let Some(source) = self.clients[number].requests.iter().position(Option::is_none) else { return };
        let size = self.rng.below(u64::from(BLOCK_SIZE) + 1);
        let from = self.rng.below(u64::from(BLOCK_BYTES)) >> size << size;
        let kind = Kind::Get(from, size, self.truths[block as usize].version());
        let request = Request { block, since: self.report.clocks, kind, words: vec![] };
        let client = &mut self.clients[number];
        client.requests[source] = Some(request);
        let address = block * u64::from(BLOCK_BYTES) + from;
        let mask = if size >= 3 { 0xFF } else { ((1 << (1 << size)) - 1) << (from % 8) };
        let opcode = OpcodeA::Get.code();
        client.a.send(&[&[opcode], &[0], &[size], &[source as u64], &[address], &[mask], &[0], &[0]]);
    }

    /// Releases a copy, or forgets it.
    fn give_back(&mut self, number: usize, block: u64) {
        let stays = self.rng.percent(30);
        let forgets = self.rng.bool();
        let clock = self.report.clocks;
        let client = &mut self.clients[number];
        let copy = client.copies[block as usize];
        let is_asked = client
            .requests
            .iter()
            .flatten()
            .any(|request| request.block == block && matches!(request.kind, Kind::Acquire(_)));
        let is_probed = client.probe.is_some_and(|(probed, _)| probed == block);
        if copy.permission == Nothing || client.release.is_some() || is_asked || is_probed {
            return;
        }
        if !copy.is_dirty && forgets {
            client.copies[block as usize].permission = Nothing;
            return;
        }
        let to = if copy.permission == Trunk && stays { Branch } else { Nothing };
        let source = self.rng.below(client.requests.len() as u64);
        let opcode = if copy.is_dirty { OpcodeC::ReleaseData } else { OpcodeC::Release };
        send_block(&mut client.c, opcode, shrink(copy.permission, to), source, block, copy);
        client.copies[block as usize] = Copy { permission: to, is_dirty: false, ..copy };
        client.release = Some((block, clock));
        self.report.releases += 1;
    }

    fn clock_client(&mut self, number: usize) {
        let [a, b, c, d, e] = std::array::from_fn(|_| self.stalls());
        let sim = &mut *self.sim;
        let client = &mut self.clients[number];
        // A probe is taken when the one before is answered.
        let b = b || client.probe.is_some();
        let is_probed = client.b.clock(sim, b);
        let is_answered = client.d.clock(sim, d);
        client.a.clock(sim, a);
        client.c.clock(sim, c);
        let clock = self.report.clocks;
        client.acknowledges.retain(|(due, sink)| {
            let waits = *due > clock;
            if !waits {
                client.e.send(&[&[*sink]]);
            }
            waits
        });
        client.e.clock(sim, e);
        if is_answered {
            self.take_answer(number);
        }
        let (sim, client) = (&*self.sim, &mut self.clients[number]);
        if is_probed {
            let field = |field: usize| client.b.field(sim, field);
            let keeps = match field(1) {
                0 => Trunk,
                1 => Branch,
                _ => Nothing,
            };
            let block = field(4) / u64::from(BLOCK_BYTES);
            if field(0) != OpcodeB::ProbeBlock.code() || block >= self.options.blocks {
                return self.complain(format!("client {number} is probed for block {block}"));
            }
            client.probe = Some((block, keeps));
            self.report.probes += 1;
        }
        self.answer_probe(number);
    }

    /// Answers a probe, if nothing of the block is on its way to or from the client.
    fn answer_probe(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let Some((block, keeps)) = client.probe else { return };
        let is_released = client.release.is_some_and(|(released, _)| released == block);
        let comes = client.requests.iter().flatten().any(|request| {
            request.block == block && matches!(request.kind, Kind::Acquire(_)) && !request.words.is_empty()
        });
        if is_released || comes || client.c.queue.len() > 8 {
            return;
        }
        client.probe = None;
        let copy = client.copies[block as usize];
        let to = copy.permission.min(keeps);
        let opcode = if copy.is_dirty && to < Trunk { OpcodeC::ProbeAckData } else { OpcodeC::ProbeAck };
        send_block(&mut client.c, opcode, shrink(copy.permission, to), 0, block, copy);
        client.copies[block as usize] = Copy { permission: to, is_dirty: copy.is_dirty && to == Trunk, ..copy };
    }

    fn take_answer(&mut self, number: usize) {
        let (sim, client) = (&*self.sim, &mut self.clients[number]);
        let field = |field: usize| client.d.field(sim, field);
        let [opcode, param, size, source, sink, denied, word, corrupt] = std::array::from_fn(field);
        let opcode = OpcodeD::VARIANTS[opcode as usize];
        let clock = self.report.clocks;
        if opcode == OpcodeD::ReleaseAck {
            if client.release.take().is_none() {
                self.complain(format!("client {number} has released nothing, and it is acknowledged"));
            }
            return;
        }
        let Some(mut request) = client.requests[source as usize].take() else {
            return self.complain(format!("source {source} of client {number} has asked nothing, and is answered"));
        };
        let beats = ((1u64 << size) / 8).max(1);
        request.words.push(word);
        let (is_first, is_last) = (request.words.len() == 1, request.words.len() as u64 == beats);
        let block = request.block;
        let is_right = match request.kind {
            Kind::Acquire(_) => opcode == OpcodeD::GrantData && size == u64::from(BLOCK_SIZE),
            Kind::Get(_, asked, _) => opcode == OpcodeD::AccessAckData && size == asked,
            Kind::Put => false,
        };
        let is_bad = self.options.bad_block && block + 1 == self.options.blocks;
        if !is_right || denied != corrupt || (denied == 1) != is_bad {
            let what =
                format!("{request:?} of client {number} is answered with {opcode:?}, size {size}, denied {denied}");
            return self.complain(what);
        }
        if let (Kind::Acquire(_), true) = (request.kind, is_first) {
            // With the first beat, as the data cache of Rocket Chip does it, or long after the last.
            let due = if self.rng.bool() { clock } else { clock + self.rng.below(60) };
            client.acknowledges.push((due, sink));
            let to = if param == 0 { Trunk } else { Branch };
            let limit = if to == Trunk { Nothing } else { Branch };
            let mut others = self.clients.iter().enumerate().filter(|(other, _)| *other != number);
            if let Some((other, _)) =
                others.find(|(_, other)| denied == 0 && other.copies[block as usize].permission > limit)
            {
                let what = format!("client {number} gets a {to:?} of block {block} while client {other} has a copy");
                return self.complain(what);
            }
        }
        if !is_last {
            self.clients[number].requests[source as usize] = Some(request);
            return;
        }
        if clock > request.since + PATIENCE {
            self.complain(format!("client {number} has waited since clock {} for {request:?}", request.since));
        }
        if denied == 1 {
            self.report.denied += 1;
            // A denied operation is done.
            self.report.reads += 1;
            return;
        }
        match request.kind {
            Kind::Acquire(operation) => {
                self.report.grants += 1;
                let data = std::array::from_fn(|word| request.words[word]);
                let permission = if param == 0 { Trunk } else { Branch };
                let is_enough = operation == Operation::Load || permission == Trunk;
                self.clients[number].copies[block as usize] = Copy { permission, is_dirty: false, data };
                if !is_enough {
                    return self
                        .complain(format!("client {number} asked to write block {block}, and may only read it"));
                }
                self.execute(number, block, operation);
            }
            Kind::Get(from, size, version) => {
                let first = from as usize / 8;
                let data = std::array::from_fn(|word| {
                    word.checked_sub(first).and_then(|at| request.words.get(at)).copied().unwrap_or(0)
                });
                self.has_read(&format!("client {number}"), block, from, size, version, data);
            }
            Kind::Put => {}
        }
    }

    fn has_read(&mut self, who: &str, block: u64, from: u64, size: u64, version: u64, data: Block) {
        self.report.reads += 1;
        let mask = (u64::MAX >> (64 - (1u64 << size))) << from;
        if !self.truths[block as usize].has_read(version, mask, data) {
            let now = self.truths[block as usize].now();
            self.complain(format!("{who} reads {data:x?}, bytes {mask:#x} of block {block}, which is {now:x?}"));
        }
    }

    fn operate_dma(&mut self) {
        let Some(source) = self.dma.requests.iter().position(Option::is_none) else { return };
        let block = self.rng.below(self.options.blocks);
        let size = if self.rng.bool() { u64::from(BLOCK_SIZE) } else { self.rng.below(u64::from(BLOCK_SIZE)) };
        let from = self.rng.below(u64::from(BLOCK_BYTES)) >> size << size;
        let lanes = (u64::MAX >> (64 - (1u64 << size))) << from;
        let data: Block = std::array::from_fn(|_| self.rng.next_u64());
        let truth = &mut self.truths[block as usize];
        let (opcode, mask, kind) = match self.rng.below(3) {
            0 if truth.put.is_none() => (OpcodeA::PutFullData, lanes, Kind::Put),
            1 if truth.put.is_none() => (OpcodeA::PutPartialData, lanes & self.rng.next_u64(), Kind::Put),
            _ => (OpcodeA::Get, lanes, Kind::Get(from, size, truth.version())),
        };
        if kind == Kind::Put {
            truth.put = Some(Put { mask, data, seen: false });
        }
        self.dma.requests[source] = Some(Request { block, since: self.report.clocks, kind, words: vec![] });
        let address = block * u64::from(BLOCK_BYTES) + from;
        let item: [&[u64]; 8] = [&[opcode.code()], &[0], &[size], &[source as u64], &[address], &[mask], &data, &[0]];
        self.dma.a.send(&item);
    }

    fn clock_dma(&mut self) {
        let [a, d] = std::array::from_fn(|_| self.stalls());
        let (sim, dma) = (&mut *self.sim, &mut self.dma);
        dma.a.clock(sim, a);
        if !dma.d.clock(sim, d) {
            return;
        }
        let [opcode, source, denied] = [0, 3, 5].map(|field| dma.d.field(sim, field));
        let data = dma.d.block(sim, 6);
        let Some(request) = dma.requests[source as usize].take() else {
            return self.complain(format!("source {source} of the DMA has asked nothing, and is answered"));
        };
        let is_put = request.kind == Kind::Put;
        let expected = if is_put { OpcodeD::AccessAck } else { OpcodeD::AccessAckData };
        let is_bad = self.is_bad(request.block);
        if opcode != expected.code() || (denied == 1) != is_bad {
            return self.complain(format!("{request:?} of the DMA is answered with opcode {opcode}, denied {denied}"));
        }
        let truth = &mut self.truths[request.block as usize];
        if is_put {
            if denied == 0 {
                truth.happen();
            }
            truth.put = None;
            self.report.writes += 1;
        }
        match request.kind {
            _ if denied == 1 => self.report.denied += 1,
            Kind::Get(from, size, version) => self.has_read("the DMA", request.block, from, size, version, data),
            _ => {}
        }
    }

    fn clock_memory(&mut self) {
        let [ar, aw, w, r, b] = std::array::from_fn(|_| self.stalls());
        let clock = self.report.clocks;
        let due = clock + 1 + self.rng.below(self.options.memory_clocks_max);
        let early = self.rng.bool();
        let order = self.rng.next_u64() as usize;
        let bad_from = self.good_blocks();
        let (sim, memory) = (&mut *self.sim, &mut self.memory);

        if memory.ar.clock(sim, ar) {
            let (id, block) = (memory.ar.field(sim, 0), memory.ar.field(sim, 1) / u64::from(BLOCK_BYTES));
            memory.reads.push((id, block, due, early.then(|| memory.blocks[block as usize])));
        }
        if memory.aw.clock(sim, aw) {
            memory.addresses.push_back((memory.aw.field(sim, 0), memory.aw.field(sim, 1) / u64::from(BLOCK_BYTES)));
        }
        if memory.w.clock(sim, w) {
            memory.data.push_back((memory.w.block(sim, 0), memory.w.field(sim, 1)));
        }
        while let (Some((id, block)), Some((data, strobes))) = (memory.addresses.front(), memory.data.front()) {
            let (id, block, data, strobes) = (*id, *block, *data, *strobes);
            memory.addresses.pop_front();
            memory.data.pop_front();
            if early && block < bad_from {
                memory.blocks[block as usize] = merge(memory.blocks[block as usize], strobes, data);
            }
            memory.writes.push((id, block, due, (!early).then_some((data, strobes))));
        }
        let status = |block: u64| if block < bad_from { resp::OKAY } else { resp::SLVERR }.into();
        if let Some(at) = pick(&memory.reads, order, |(_, _, due, _)| *due <= clock) {
            let (id, block, _, data) = memory.reads.swap_remove(at);
            let data = data.unwrap_or(memory.blocks[block as usize]);
            memory.r.send(&[&[id], &data, &[status(block)], &[1]]);
        }
        if let Some(at) = pick(&memory.writes, order, |(_, _, due, _)| *due <= clock) {
            let (id, block, _, late) = memory.writes.swap_remove(at);
            if let Some((data, strobes)) = late.filter(|_| block < bad_from) {
                memory.blocks[block as usize] = merge(memory.blocks[block as usize], strobes, data);
            }
            memory.b.send(&[&[id], &[status(block)]]);
        }
        memory.r.clock(sim, r);
        memory.b.clock(sim, b);
    }
}

/// One of those that are due.
fn pick<T>(items: &[T], order: usize, is_due: impl Fn(&T) -> bool) -> Option<usize> {
    let count = items.iter().filter(|item| is_due(item)).count();
    let which = order.checked_rem(count)?;
    items.iter().enumerate().filter(|(_, item)| is_due(item)).nth(which).map(|(at, _)| at)
}

/// Sends the beats of a message of channel C.
fn send_block(c: &mut Sender, opcode: OpcodeC, param: u64, source: u64, block: u64, copy: Copy) {
    let has_data = matches!(opcode, OpcodeC::ProbeAckData | OpcodeC::ReleaseData);
    let words = if has_data { WORDS } else { 1 };
    for word in &copy.data[..words] {
        let address = block * u64::from(BLOCK_BYTES);
        c.send(&[&[opcode.code()], &[param], &[BLOCK_SIZE.into()], &[source], &[address], &[*word], &[0]]);
    }
}

/// What [`stream`] has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// Bytes that came to the clients on channel D.
    pub came: u64,
    /// Bytes that they gave back on channel C.
    pub went: u64,
}

/// How clients stream.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// From a read or write to its answer by the memory.
    pub memory_clocks: u64,
    /// Clocks that are counted.
    pub clocks: u64,
    /// Bytes that each client has for itself and goes through again and again. All clients' together are what the filter has to tell apart.
    pub span: u64,
    /// Every block is given back changed; otherwise it is forgotten.
    pub changed: bool,
}

/// Each client acquires one block after the other that nobody else has, as many at once as it has sources.
pub fn stream(sim: &mut dyn Simulator, config: Config, how: Stream) -> Streamed {
    /// Before anything is counted; the filter of the hub has been cleared by then.
    const WARM_UP: u64 = 1_000;
    let options = Options { operations: 0, blocks: 1, stall_percent: 0, memory_clocks_max: 1, bad_block: false };
    let Traffic { sim, mut clients, mut memory, .. } = Traffic::new(sim, config, options, Seed(0));
    let mut next = vec![0; clients.len()];
    let (mut reads, mut writes) = (VecDeque::new(), VecDeque::new());
    let mut streamed = Streamed { came: 0, went: 0 };
    for clock in 0..WARM_UP + how.clocks {
        let counted = if clock < WARM_UP { 0 } else { 8 };
        for (number, client) in clients.iter_mut().enumerate() {
            let source = client.requests.iter().position(Option::is_none);
            if let Some(source) = source.filter(|_| client.a.queue.is_empty() && client.c.queue.len() < 2 * WORDS) {
                let address = how.span * number as u64 + next[number] % how.span;
                next[number] += u64::from(BLOCK_BYTES);
                let block = address / u64::from(BLOCK_BYTES);
                client.requests[source] = Some(Request { block, since: clock, kind: Kind::Put, words: vec![] });
                let (opcode, grow) = (OpcodeA::AcquireBlock.code(), u64::from(how.changed));
                let (size, source) = (BLOCK_SIZE.into(), source as u64);
                client.a.send(&[&[opcode], &[grow], &[size], &[source], &[address], &[0xFF], &[0], &[0]]);
            }
            client.a.clock(sim, false);
            let waiting = client.c.queue.len();
            let is_data = client.c.queue.front().is_some_and(|item| item[0][0] == OpcodeC::ReleaseData.code());
            client.c.clock(sim, false);
            streamed.went += if is_data && client.c.queue.len() < waiting { counted } else { 0 };
            client.e.clock(sim, false);
            let none = Copy { permission: Nothing, is_dirty: false, data: [0; WORDS] };
            if client.b.clock(sim, false) {
                let block = client.b.field(sim, 4) / u64::from(BLOCK_BYTES);
                send_block(&mut client.c, OpcodeC::ProbeAck, shrink(Nothing, Nothing), 0, block, none);
            }
            if !client.d.clock(sim, false) || client.d.field(sim, 0) != OpcodeD::GrantData.code() {
                continue;
            }
            streamed.came += counted;
            let source = client.d.field(sim, 3);
            let Some(request) = &mut client.requests[source as usize] else { continue };
            if request.words.is_empty() {
                client.e.send(&[&[client.d.field(sim, 4)]]);
            }
            request.words.push(0);
            if request.words.len() == WORDS {
                let block = request.block;
                client.requests[source as usize] = None;
                if how.changed {
                    let param = shrink(Trunk, Nothing);
                    send_block(&mut client.c, OpcodeC::ReleaseData, param, source, block, none);
                }
            }
        }
        if memory.ar.clock(sim, false) {
            reads.push_back((memory.ar.field(sim, 0), clock + how.memory_clocks));
        }
        if memory.aw.clock(sim, false) {
            writes.push_back((memory.aw.field(sim, 0), clock + how.memory_clocks));
        }
        memory.w.clock(sim, false);
        while let Some(id) = due(&mut reads, clock) {
            memory.r.send(&[&[id], &[0; WORDS], &[resp::OKAY.into()], &[1]]);
        }
        while let Some(id) = due(&mut writes, clock) {
            memory.b.send(&[&[id], &[resp::OKAY.into()]]);
        }
        memory.r.clock(sim, false);
        memory.b.clock(sim, false);
        sim.step();
    }
    streamed
}

/// Takes out the id of an access that is answered by now: the first one is answered first.
fn due(accesses: &mut VecDeque<(u64, u64)>, clock: u64) -> Option<u64> {
    accesses.front().filter(|(_, due)| *due <= clock)?;
    accesses.pop_front().map(|(id, _)| id)
}
