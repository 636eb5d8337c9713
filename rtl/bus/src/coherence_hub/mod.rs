//! # Coherence hub
//!
//! Joins clients that cache blocks to one memory, so that they all see the same memory, and DMA with them.
//!
//! ## Symbol
//! ```text
//!                +- coherence_hub -+
//!    client_0 ==>|                 |
//!    client_1 ==>|                 |==> memory         (AXI4, a beat is a block)
//!         ... ==>|                 |
//!         dma ==>|                 |--> write_failed, counts_*
//!                +-----------------+
//!  (client_*: TL-C; dma: TL-UL, a beat is a block)
//! ```
//! ## Theory of operation
//! ```text
//!            +--------------- port -+
//!   A ------>| request -+           |    +---------+  read   +--------+
//!            |          +--- turn ------>| tracker |-------->|        |
//!            |                      |    +---------+         | memory |
//!   D <------| answer <- data <--------------- | ------------|        |
//!            +----------------------+          | orders      |        |
//!            +-------------- cache -+          v             |        |
//!   B <------| probes <----------------------- +             |        |
//!   C ------>| blocks ---------------------------- write --->|        |
//!   E ------>| acknowledges         |                        +--------+
//!            +----------------------+
//! ```
//! 1. Each port holds one request, and has [`slots`](Config::slots) trackers. The requests of the ports have their turn one after the other: the turn's
//!    request gets a tracker, unless another tracker is at work on the same block. Then it waits for a later turn. The first that had to wait goes before
//!    all others for this block, so that nobody waits for ever.
//! 2. A tracker has its block to itself, from here until the request is answered and a grant is acknowledged: TileLink, "TileLink Cached (TL-C)", lets no
//!    probe meet a grant on its way.
//! 3. With the tracker, probes are ordered from all clients that may have the block: those of the region of memory that have ever asked for something in it
//!    ([`Filter`]). A client is not probed for what it acquires itself; for what it gets it is, because what gets may not be what caches (the instruction
//!    cache of a tile). What is read is taken down to a branch, what is written or acquired to be written is taken away.
//! 4. A client has one probe at a time. Blocks that come back changed, probed or released, are written to the memory; only when the memory has
//!    answered is the probe done, or the release acknowledged. A client that releases a block answers a probe of it after its release is acknowledged.
//! 5. When no probe is left, the memory is current: a read or a write of the tracker goes there. All trackers may have one under way, and each has a place
//!    for the block that comes.
//! 6. A block that no other client has is granted as a trunk also to one that asked for a branch: it will not have to ask again to write.
//! 7. Atomics, sizes other than that of a block in an acquire, what is longer than a block, writes of clients that cache, and damaged
//!    writes are denied. Errors of the memory deny the answer. A hint is answered and does nothing.
//! 8. For whoever counts: `counts_request` is 1 for a clock when a request gets a tracker, `counts_probe` if clients are probed for it, `counts_read` and
//!    `counts_write` when the memory has answered.
//!
//! ## Timing
//! A beat per clock on every channel of every client, at once; a request in a clock; a block per clock from the memory and one to it. From a request
//! to the first beat of its answer: latency of the memory + 8 clocks, if nothing is probed. No combinational path from any input to any output.
//!
//! ## Limits
//! - A released block that is damaged, or that the memory refuses, is lost, which no answer of TileLink can say: `write_failed` is 1 for a clock.
//!   A damaged block is not written. If it was probed, the request that probed is denied.
//! - The filter never forgets: a region that all clients have used is broadcast to. Clients drop clean blocks silently, so that nothing that is
//!   counted could be trusted.
//! - After a reset the filter is cleared, a region in a clock; requests wait. The memory must be reset together with the hub.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::channel::{channel, Payload};
use crate::tile_link::{beats_behind, SIZE_BITS};
use crate::{
    resp, Axi4, Axi4Config, OpcodeA, TileLink, TileLinkCached, TileLinkCachedManager, TileLinkConfig, WriteData,
};
use rtl_hdl::{
    address_width, cat, lit, when, zero, Array, Block, Clock, EnumSignal, MemoryHandle, MemoryStyle, Module, Signal,
};
use rtl_prim::{choose, one_hot_index, one_hot_select, round_robin};
use std::fmt;

#[cfg(test)]
pub(crate) mod bench;
mod cache;
mod port;
pub mod traffic;

use cache::Cache;
use port::Port;

/// Bytes of a block.
pub const BLOCK_BYTES: u32 = 64;
/// The size of a block, as a power of two.
pub const BLOCK_SIZE: u32 = BLOCK_BYTES.ilog2();
const BLOCK_BITS: u32 = 8 * BLOCK_BYTES;

/// Which clients may have a block, remembered by region of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// How many regions are told apart: 2 to 4096, a power of two. Beyond, they share a place.
    pub regions: u32,
    /// Bytes of a region: a power of two, at least a block.
    pub region_bytes: u32,
}

/// What the hub joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Clients that cache: 1 to 7.
    pub clients: u32,
    /// Width of addresses.
    pub address_bits: u32,
    /// Width of sources of the clients.
    pub source_bits: u32,
    /// Width of sources of the DMA.
    pub dma_source_bits: u32,
    /// Requests of one client that are under way: 2, 4 or 8. A grant's sink is the number of its slot.
    pub slots: u32,
    /// Without one, every client is probed for every block.
    pub filter: Option<Filter>,
}

/// What is wrong with a [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There are 1 to 7 clients.
    Clients,
    /// An address has 12 to 64 bits, so that the memory may be AXI4.
    AddressBits,
    /// Sources have 1 to 16 bits.
    SourceBits,
    /// A client has 2, 4 or 8 slots.
    Slots,
    /// A filter has 2 to 4096 regions of at least a block, powers of two, which fit in the address.
    Filter,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConfigError::Clients => "a coherence hub has 1 to 7 clients",
            ConfigError::AddressBits => "an address of a coherence hub has 12 to 64 bits",
            ConfigError::SourceBits => "a source of a coherence hub has 1 to 16 bits",
            ConfigError::Slots => "a client of a coherence hub has 2, 4 or 8 slots",
            ConfigError::Filter => {
                "a filter has 2 to 4096 regions of at least a block, powers of two, that fit in the address"
            }
        })
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Two clients, with few trackers and a filter that is soon full.
    pub const SMALL: Config = Config {
        clients: 2,
        address_bits: 16,
        source_bits: 2,
        dma_source_bits: 2,
        slots: 2,
        filter: Some(Filter { regions: 4, region_bytes: 128 }),
    };

    /// Six tiles of Rocket Chip.
    pub const DEFAULT: Config = Config {
        clients: 6,
        address_bits: 32,
        source_bits: 2,
        dma_source_bits: 3,
        slots: 4,
        filter: Some(Filter { regions: 512, region_bytes: 4096 }),
    };

    /// Names the first constraint that does not hold.
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.clients == 0 || self.clients > 7 {
            return Err(ConfigError::Clients);
        }
        if self.address_bits < 12 || self.address_bits > 64 {
            return Err(ConfigError::AddressBits);
        }
        let sources_fit = self.source_bits >= 1 && self.source_bits <= 16;
        if !sources_fit || self.dma_source_bits == 0 || self.dma_source_bits > 16 {
            return Err(ConfigError::SourceBits);
        }
        if !matches!(self.slots, 2 | 4 | 8) {
            return Err(ConfigError::Slots);
        }
        if let Some(Filter { regions, region_bytes }) = self.filter {
            let are_powers = regions.is_power_of_two() && region_bytes.is_power_of_two();
            let in_range = regions >= 2 && regions <= 4096 && region_bytes >= BLOCK_BYTES;
            if !are_powers || !in_range || regions.ilog2() + region_bytes.ilog2() > self.address_bits {
                return Err(ConfigError::Filter);
            }
        }
        Ok(())
    }

    /// The widths of the bus of each client.
    pub const fn client(&self) -> TileLinkConfig {
        TileLinkConfig {
            address_bits: self.address_bits,
            data_bits: 64,
            size_bits: SIZE_BITS,
            source_bits: self.source_bits,
            sink_bits: self.slots.ilog2(),
        }
    }

    /// The widths of the bus of the DMA.
    pub const fn dma(&self) -> TileLinkConfig {
        TileLinkConfig {
            address_bits: self.address_bits,
            data_bits: BLOCK_BITS,
            size_bits: 3,
            source_bits: self.dma_source_bits,
            sink_bits: 1,
        }
    }

    /// The widths of the bus of the memory.
    pub const fn memory(&self) -> Axi4Config {
        Axi4Config {
            address_bits: self.address_bits,
            data_bits: BLOCK_BITS,
            id_bits: address_width(self.trackers()),
            user_bits: 1,
        }
    }

    /// Trackers of all ports.
    pub const fn trackers(&self) -> u32 {
        self.ports() * self.slots
    }

    /// The clients and the DMA, which is the last.
    const fn ports(&self) -> u32 {
        self.clients + 1
    }

    const fn slot_bits(&self) -> u32 {
        self.slots.ilog2()
    }

    /// Width of the number of a block.
    const fn line_bits(&self) -> u32 {
        self.address_bits - BLOCK_SIZE
    }
}

const _: () = assert!(Config::SMALL.check().is_ok() && Config::DEFAULT.check().is_ok());

channel! {
    /// A request of any port.
    struct Request for Config {
        /// The operation.
        pub opcode: EnumSignal<OpcodeA> = |_| 3,
        /// Which kind of it.
        pub param: Signal = |_| 3,
        /// Bytes, as a power of two.
        pub size: Signal = |_| SIZE_BITS,
        /// The answer carries it.
        pub source: Signal = |config| config.source_bits.max(config.dma_source_bits),
        /// Of the first byte.
        pub address: Signal = |config| config.address_bits,
        /// The data is damaged.
        pub corrupt: Signal = |_| 1,
    }
}

/// What is known of every request that is under way, by the number of its tracker: its port, and its slot in the lowest bits.
struct Trackers {
    /// Under way: nothing else is done with its block.
    busy: Array<Signal>,
    /// The number of the block.
    line: Array<Signal>,
    /// No probe is left.
    probed: Array<Signal>,
    /// The memory has still to be asked.
    pending: Array<Signal>,
    /// The memory is written.
    writes: Array<Signal>,
    /// The memory has not answered.
    unfilled: Array<Signal>,
    /// The answer is denied.
    failed: Array<Signal>,
    /// Another client has kept a copy.
    shared: Array<Signal>,
    /// The answer has not begun.
    unanswered: Array<Signal>,
    /// The answer has not ended.
    unsent: Array<Signal>,
    /// A grant has not been acknowledged.
    unacknowledged: Array<Signal>,
}

impl Trackers {
    fn new(m: &Module, clock: Clock, config: &Config) -> Self {
        let count = config.trackers();
        let flag = |name: &str| m.reg_array(name, clock, count, false);
        Trackers {
            busy: flag("busy"),
            line: m.reg_array("line", clock, count, zero(config.line_bits())),
            probed: flag("probed"),
            pending: flag("pending"),
            writes: flag("writes"),
            unfilled: flag("unfilled"),
            failed: flag("failed"),
            shared: flag("shared"),
            unanswered: flag("unanswered"),
            unsent: flag("unsent"),
            unacknowledged: flag("unacknowledged"),
        }
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoherenceHub {
    config: Config,
}

impl CoherenceHub {
    /// A hub of this configuration.
    ///
    /// # Panics
    /// If the configuration is not one.
    pub fn new(config: Config) -> Self {
        if let Err(error) = config.check() {
            panic!("{error}");
        }
        CoherenceHub { config }
    }
}

impl Block for CoherenceHub {
    fn name(&self) -> String {
        let Config { clients, address_bits, source_bits, dma_source_bits, slots, filter } = self.config;
        let filter = filter.map_or(String::new(), |f| format!("_f{}_{}", f.regions, f.region_bytes));
        format!("coherence_hub_{clients}_a{address_bits}_o{source_bits}_{dma_source_bits}_s{slots}{filter}")
    }

    fn description(&self) -> String {
        format!("Keeps the caches of {} clients and DMA coherent before one memory.", self.config.clients)
    }

    fn build(&self, m: &Module) {
        let config = &self.config;
        let clients = 0..config.clients;

        // 1. Ports
        let clock = m.clock();
        let buses: Vec<TileLinkCachedManager> = clients
            .clone()
            .map(|number| TileLinkCached::manager(m, &format!("client_{number}"), config.client()))
            .collect();
        let dma = TileLink::manager(m, "dma", config.dma());
        let memory = Axi4::manager(m, "memory", config.memory());

        // 2. State
        let trackers = Trackers::new(m, clock, config);
        let mut ports: Vec<Port> = clients
            .clone()
            .map(|number| Port::new(m, clock, config, &format!("client_{number}"), number, config.client()))
            .collect();
        ports.push(Port::new(m, clock, config, "dma", config.clients, config.dma()));
        let caches: Vec<Cache> =
            clients.map(|number| Cache::new(m, clock, config, &format!("client_{number}"), number)).collect();

        // 3. Conditions, 4. Next state, 5. Outputs: in the order in which the data flow.
        // Requests come in, and have their turn.
        for (port, bus) in ports.iter().zip(&buses) {
            port.take_requests(m, &trackers, &bus.a);
        }
        let dma_data = ports[ports.len() - 1].take_requests(m, &trackers, &dma.a);
        let orders = self.turn(m, clock, &trackers, &ports);

        // Probes go out and come back.
        for (cache, bus) in caches.iter().zip(&buses) {
            cache.probe(config, &orders, &bus.b);
            cache.take_blocks(m, config, &trackers, &bus.c);
            cache.acknowledge(m, &trackers, &bus.e);
        }

        // The memory is asked, and answers.
        let waits = |tracker: u32| any(caches.iter().map(|cache| cache.owes.at(tracker)));
        for tracker in 0..config.trackers() {
            when(trackers.busy.at(tracker) & !waits(tracker), || trackers.probed.set(tracker, lit(1u8, 1)));
        }
        self.read(m, clock, &trackers, &orders, &memory);
        let failed = self.write(m, clock, &trackers, &caches, dma_data, &memory);
        when(memory.r.valid(), || {
            let beat = memory.r.payload();
            trackers.unfilled.set(beat.id, lit(0u8, 1));
            when(resp::is_error(beat.resp), || trackers.failed.set(beat.id, lit(1u8, 1)));
        });
        memory.r.take();
        for port in &ports {
            port.fill(clock, config, &memory.r);
        }

        // Answers go out.
        for ((port, bus), cache) in ports.iter().zip(&buses).zip(&caches) {
            port.answer(m, clock, &trackers, Some(cache), &bus.d);
        }
        ports[ports.len() - 1].answer(m, clock, &trackers, None, &dma.d);
        for tracker in 0..config.trackers() {
            let is_done = !trackers.unsent.at(tracker) & !trackers.unacknowledged.at(tracker);
            when(trackers.busy.at(tracker) & is_done, || trackers.busy.set(tracker, lit(0u8, 1)));
        }
        m.output("write_failed", failed);
        for (name, happens) in [
            ("request", orders.given),
            ("probe", orders.given & orders.clients.any()),
            ("read", memory.r.valid()),
            ("write", memory.b.taken()),
        ] {
            let counts = m.reg(&format!("counts_{name}_line"), clock, false);
            counts.set(happens);
            m.output(&format!("counts_{name}"), counts);
        }
    }
}

/// What a request that has got a tracker orders from the clients.
struct Orders {
    /// A request has got a tracker.
    given: Signal,
    /// The tracker.
    tracker: Signal,
    /// The number of the block.
    line: Signal,
    /// Nobody may keep a copy.
    take_away: Signal,
    /// The clients that are probed.
    clients: Signal,
}

impl CoherenceHub {
    /// Gives trackers to requests, one after the other.
    fn turn(&self, m: &Module, clock: Clock, trackers: &Trackers, ports: &[Port]) -> Orders {
        let config = &self.config;
        let count = config.ports();
        let port_bits = address_width(count);

        // Whose turn is next. Who has it now cannot have it again before it is known what comes of it.
        let turn = m.reg("turn", clock, zero(count));
        let turn_valid = m.reg("turn_valid", clock, false);
        let request =
            Request::declare(config, &mut |field, width| m.reg_without_reset(&format!("turn_{field}"), clock, width));
        let slot = m.reg_without_reset("turn_slot", clock, config.slot_bits());
        let full = join(ports.iter().map(|port| port.full));
        let asking = m.wire("asking", full & !(turn & turn_valid.repeat(count)));
        let next = m.wire("next_turn", round_robin(asking, turn));
        turn_valid.set(asking.any());
        when(asking.any(), || {
            turn.set(next);
            let chosen =
                ports.iter().enumerate().skip(1).fold(ports[0].request, |chosen, (number, port)| {
                    choose(next.bit(number as u32), port.request, chosen)
                });
            rtl_hdl::Value::set(&request, chosen);
            slot.set(one_hot_select(next, &ports.iter().map(|port| port.slot).collect::<Vec<_>>()));
        });

        // What it asks for.
        let is = |opcode: OpcodeA| request.opcode.is(opcode);
        let is_dma = turn.bit(config.clients);
        let acquires = m.wire("acquires", (is(OpcodeA::AcquireBlock) | is(OpcodeA::AcquirePerm)) & !is_dma);
        let puts = is(OpcodeA::PutFullData) | is(OpcodeA::PutPartialData);
        let puts = m.wire("puts", puts & is_dma & !request.corrupt & request.size.le(BLOCK_SIZE));
        let gets = m.wire("gets", is(OpcodeA::Get) & request.size.le(BLOCK_SIZE));
        let acquires_block = m.wire("acquires_block", acquires & request.size.eq(BLOCK_SIZE));
        let is_known = m.wire("is_known", acquires_block | gets | puts | is(OpcodeA::Intent));
        let reads = m.wire("reads", gets | (acquires_block & is(OpcodeA::AcquireBlock)));
        const N_TO_B: u8 = 0;
        let to_write = m.wire("to_write", puts | (acquires & request.param.ne(N_TO_B)));
        let line = m.wire("turn_line", request.address.bits(BLOCK_SIZE..config.address_bits));

        // Whether it has to wait.
        let tracked =
            any((0..config.trackers()).map(|tracker| trackers.busy.at(tracker) & trackers.line.at(tracker).eq(line)));
        let first_valid = m.reg("first_valid", clock, false);
        let first = m.reg_without_reset("first", clock, count);
        let first_line = m.reg_without_reset("first_line", clock, config.line_bits());
        let is_first = m.wire("is_first", first_valid & first.eq(turn));
        let behind = m.wire("behind", first_valid & first_line.eq(line) & !is_first);
        let (may_have, ready) = self.filter(m, clock, &request, turn, turn_valid & acquires_block & !tracked & !behind);
        let given = m.wire("given", turn_valid & !tracked & !behind & ready);
        when(turn_valid & !given & !first_valid, || {
            first_valid.set(true);
            first.set(turn);
            first_line.set(line);
        });
        when(given & is_first, || first_valid.set(false));

        // It gets its tracker.
        let number = m.wire("turn_number", one_hot_index(turn));
        let tracker = m.wire("turn_tracker", cat(&[number.low(port_bits), slot]));
        when(given, || {
            trackers.busy.set(tracker, lit(1u8, 1));
            trackers.line.set(tracker, line);
            trackers.probed.set(tracker, lit(0u8, 1));
            trackers.pending.set(tracker, reads | puts);
            trackers.writes.set(tracker, puts);
            trackers.unfilled.set(tracker, reads | puts);
            trackers.failed.set(tracker, !is_known);
            trackers.shared.set(tracker, lit(0u8, 1));
            trackers.unanswered.set(tracker, lit(1u8, 1));
            trackers.unsent.set(tracker, lit(1u8, 1));
            trackers.unacknowledged.set(tracker, acquires);
        });
        for (number, port) in (0..).zip(ports) {
            port.accept(m, clock, given & turn.bit(number));
        }

        let others = m.wire("others", !(turn.low(config.clients) & acquires.repeat(config.clients)));
        let clients = may_have & others & (reads | puts | acquires_block).repeat(config.clients);
        Orders { given, tracker, line, take_away: to_write, clients: m.wire("ordered", clients) }
    }

    /// The clients that may have a block of the region of the request, and whether that is known; notes that the client whose turn it is may have one
    /// from now on.
    fn filter(&self, m: &Module, clock: Clock, request: &Request, turn: Signal, acquires: Signal) -> (Signal, Signal) {
        let clients = self.config.clients;
        let Some(Filter { regions, region_bytes }) = self.config.filter else {
            return (lit(u64::MAX >> (64 - clients), clients), lit(1u8, 1));
        };
        let bits = address_width(regions);
        let memory = m.memory("filter", clients, regions, MemoryStyle::Distributed);
        let clears = m.reg("filter_clears", clock, true);
        let cleared = m.reg("filter_cleared", clock, zero(bits));
        when(clears, || {
            cleared.set(cleared + 1);
            when(cleared.eq(regions - 1), || clears.set(false));
        });
        let low = region_bytes.ilog2();
        let region = m.wire("region", request.address.bits(low..low + bits));
        let may_have = m.wire("may_have", memory.lookup(region));
        let now = clears.mux(lit(0u8, clients), may_have | turn.low(clients));
        memory.write(clock, clears | acquires, clears.mux(cleared, region), now);
        (may_have, !clears)
    }

    /// Reads the blocks of trackers that wait for nothing else.
    fn read(&self, m: &Module, clock: Clock, trackers: &Trackers, orders: &Orders, memory: &crate::Axi4Manager) {
        let config = &self.config;
        let count = config.trackers();
        let lines = m.memory("read_lines", config.line_bits(), count, MemoryStyle::Distributed);
        lines.write(clock, orders.given, orders.tracker, orders.line);
        let last = m.reg("read_last", clock, zero(count));
        let valid = m.reg("read_valid", clock, false);
        let tracker = m.reg_without_reset("read_tracker", clock, address_width(count));
        let wants =
            m.wire("wants_read", vector(&trackers.pending) & !vector(&trackers.writes) & vector(&trackers.probed));
        let chosen = m.wire("read_chosen", round_robin(wants, last));
        when(memory.ar.can_take() & valid, || {
            valid.set(false);
            let address = cat(&[lines.lookup(tracker), lit(0u8, BLOCK_SIZE)]);
            memory.ar.offer(config.memory().whole_beats(tracker, address, lit(0u8, 8), lit(0u8, 1)));
        });
        when((memory.ar.can_take() | !valid) & wants.any(), || {
            valid.set(true);
            last.set(chosen);
            tracker.set(one_hot_index(chosen));
            trackers.pending.set(one_hot_index(chosen), lit(0u8, 1));
        });
    }

    /// Writes blocks that have come back, and those of the DMA; tells when a block was lost.
    fn write(
        &self,
        m: &Module,
        clock: Clock,
        trackers: &Trackers,
        caches: &[Cache],
        dma_data: MemoryHandle,
        memory: &crate::Axi4Manager,
    ) -> Signal {
        let config = &self.config;
        let (count, slots) = (config.ports(), config.slots);
        let dma = config.clients * slots..config.trackers();
        let wants_dma = vector(&trackers.pending) & vector(&trackers.writes) & vector(&trackers.probed);
        let wants_dma = m.wire("dma_wants_write", wants_dma.bits(dma.clone()));
        let dma_slot = m.wire("dma_write_slot", rtl_prim::priority_index(wants_dma));
        let dma_item = dma_data.lookup(dma_slot);
        let dma_lines: Vec<Signal> = dma.map(|tracker| trackers.line.at(tracker)).collect();

        let last = m.reg("write_last", clock, zero(count));
        let wants = join(caches.iter().map(|cache| cache.wants_write()).chain([wants_dma.any()]));
        let chosen = m.wire("write_chosen", round_robin(wants, last));
        let pick = |of_caches: &dyn Fn(&Cache) -> Signal, of_dma: Signal| {
            let choices: Vec<Signal> = caches.iter().map(of_caches).chain([of_dma]).collect();
            one_hot_select(chosen, &choices)
        };
        let slot = m.wire("write_slot", pick(&|cache| cache.write_slot, dma_slot));
        let line = m.wire("write_line", pick(&|cache| cache.write_line(), rtl_hdl::select(&dma_lines, dma_slot)));
        let data = m.wire("write_data", pick(&|cache| cache.write_data(), dma_item.low(BLOCK_BITS)));
        let of_cache = |cache: &Cache| (!cache.write_damaged()).repeat(BLOCK_BYTES);
        let strb = pick(&of_cache, dma_item.bits(BLOCK_BITS..BLOCK_BITS + BLOCK_BYTES));
        let goes = m.wire("write_goes", memory.aw.can_take() & memory.w.can_take() & wants.any());
        let id = cat(&[one_hot_index(chosen), slot]);
        when(goes, || {
            last.set(chosen);
            let address = cat(&[line, lit(0u8, BLOCK_SIZE)]);
            memory.aw.offer(config.memory().whole_beats(id, address, lit(0u8, 8), lit(0u8, 1)));
            memory.w.offer(WriteData { data, strb, last: lit(1u8, 1) });
        });
        for (number, cache) in (0..).zip(caches) {
            when(goes & chosen.bit(number), || cache.unwritten.set(slot, lit(0u8, 1)));
        }
        when(goes & chosen.bit(config.clients), || trackers.pending.set(id, lit(0u8, 1)));

        // The answers.
        memory.b.take();
        let response = memory.b.payload();
        let (answered, error) = (memory.b.valid(), resp::is_error(response.resp));
        let (of, slot) =
            (response.id.bits(config.slot_bits()..response.id.width()), response.id.low(config.slot_bits()));
        for cache in caches {
            when(answered & of.eq(u64::from(cache.number)), || {
                cache.undone.set(slot, lit(0u8, 1));
                when(error, || cache.spoilt.set(slot, lit(1u8, 1)));
            });
        }
        when(answered & of.eq(u64::from(config.clients)), || {
            trackers.unfilled.set(response.id, lit(0u8, 1));
            when(error, || trackers.failed.set(response.id, lit(1u8, 1)));
        });
        let failed = m.reg("write_failed_now", clock, false);
        failed.set(any(caches.iter().map(|cache| cache.loses_block)));
        failed
    }
}

/// One bit of each, the first lowest.
fn join(bits: impl IntoIterator<Item = Signal>) -> Signal {
    let mut bits: Vec<Signal> = bits.into_iter().collect();
    bits.reverse();
    cat(&bits)
}

/// The flags of all trackers.
fn vector(flags: &Array<Signal>) -> Signal {
    join(flags.elements())
}

fn any(signals: impl IntoIterator<Item = Signal>) -> Signal {
    signals.into_iter().reduce(|a, b| a | b).expect("there are some")
}
