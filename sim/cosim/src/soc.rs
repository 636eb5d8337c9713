//! The Verilated processors: the tiles, the uncore that joins them, their memory, and the console.
//!
//! ```text
//!   tile 0 --+                 +-- controller ==> pins `firmware` of the device
//!     ...    +== uncore =======+-- dram ==> Bus ==> memory of firmware
//!   tile n --+                 +-- dma <== the back door
//!                              +-- console
//! ```
//! Each tile is an object of one compiled model, and the uncore is another model. All that goes between models comes from registers, so that in each
//! clock it is carried over first, and then every model is stepped: the order of the models does not matter. The tiles' clock has an edge in
//! every second clock. A tile that sleeps, and that nothing comes to, is not stepped.

use crate::axi::{high, AxiPort};
use crate::hardware::Error;
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::{elaborate, Block};
use sim_device::{Beat, Bus, BusTiming, Fault, Memory, Ram, BEAT_BYTES, PAGE_BYTES};
use sim_iss::MemoryBus;
use sim_verilator::{Library, Model, ModelSet, ModelSpec, Optimize, Toolchain};
use soc_map::FIRMWARE;
use soc_top::{uncore, Uncore};
use std::array;
use std::collections::VecDeque;

/// Clocks of the reset.
const RESET_CLOCKS: u32 = 8;

/// Edges of a tile's clock for which it is stepped on after the last sign of life: what it still does inside, such as the answer to a probe, shows before.
const REST_EDGES: u32 = 64;

/// The memory of firmware, and nothing around it.
struct Dram(Ram);

impl Dram {
    fn offset(address: u64) -> Result<u64, Fault> {
        let is_inside = FIRMWARE.contains(address) && FIRMWARE.end() - address >= BEAT_BYTES as u64;
        is_inside.then(|| address - FIRMWARE.base).ok_or(Fault)
    }
}

impl Memory for Dram {
    fn read_beat(&mut self, function: u8, address: u64, data: &mut Beat) -> Result<(), Fault> {
        self.0.read_beat(function, Self::offset(address)?, data)
    }

    fn write_beat(&mut self, function: u8, address: u64, data: &Beat, strobe: u64) -> Result<(), Fault> {
        self.0.write_beat(function, Self::offset(address)?, data, strobe)
    }
}

/// A channel between two models, by the pins on both sides.
struct Channel {
    valid: [PortId; 2],
    ready: [PortId; 2],
    fields: Vec<[PortId; 2]>,
    /// What the pins of the receiver were last set to, so that only changes reach it.
    is_offered: bool,
}

impl Channel {
    /// The channel with these beginnings of names, from one model to another.
    fn new(from: &Model, to: &Model, names: [&str; 2], naming: &str) -> Self {
        let pair = |field: &str| {
            let [from_name, to_name] = names.map(|name| format!("{name}{naming}{field}"));
            [Simulator::port(from, &from_name), Simulator::port(to, &to_name)]
        };
        let prefix = format!("{}{naming}", names[0]);
        let fields = from.ports().iter().filter_map(|port| port.name.strip_prefix(&prefix));
        let fields = fields.filter(|field| !["valid", "ready"].contains(field)).map(pair).collect();
        Self { valid: pair("valid"), ready: pair("ready"), fields, is_offered: false }
    }

    /// Carries an offer over, and says whether there is one.
    fn carry(&mut self, from: &Model, to: &mut impl Simulator) -> bool {
        let is_offered = from.peek_u64(self.valid[0]) == 1;
        if is_offered {
            for [from_pin, to_pin] in &self.fields {
                to.poke_u64(*to_pin, from.peek_u64(*from_pin));
            }
        }
        if is_offered != self.is_offered {
            self.is_offered = is_offered;
            to.poke_u64(self.valid[1], is_offered.into());
        }
        is_offered
    }

    /// Carries back whether there is room.
    fn carry_ready(&self, from: &mut impl Simulator, to: &impl Simulator) {
        from.poke_u64(self.ready[0], to.peek_u64(self.ready[1]));
    }
}

/// A tile, and the pins between it and the uncore.
struct Hart {
    model: Model,
    /// Requests, releases and acknowledgements.
    from_tile: [Channel; 3],
    /// Probes and answers.
    to_tile: [Channel; 2],
    interrupts: [[PortId; 2]; uncore::INTERRUPTS.len()],
    wfi: PortId,
    /// Edges since the last sign of life.
    resting: u32,
}

impl Hart {
    fn new(number: u32, model: Model, uncore: &Model) -> Self {
        let inner = |letter: &str| format!("bus_{letter}");
        let outer = |letter: &str| format!("tile_{number}_{letter}");
        let from_tile = ["a", "c", "e"].map(|l| Channel::new(&model, uncore, [&inner(l), &outer(l)], "_"));
        let to_tile = ["b", "d"].map(|l| Channel::new(uncore, &model, [&outer(l), &inner(l)], "_"));
        let interrupts =
            uncore::INTERRUPTS.map(|name| [uncore.port(&format!("{name}_{number}")), Simulator::port(&model, name)]);
        let wfi = Simulator::port(&model, "wfi");
        let mut hart = Self { model, from_tile, to_tile, interrupts, wfi, resting: 0 };
        let hart_id = hart.model.port("hart_id");
        hart.model.poke_u64(hart_id, number.into());
        hart
    }

    /// Carries over what the uncore drives before an edge of the tile's clock; whether the tile has to be stepped.
    fn before_edge(&mut self, uncore: &mut Model) -> bool {
        let mut is_alive = !high(&self.model, self.wfi);
        for [outer, inner] in self.interrupts {
            let level = uncore.peek_u64(outer);
            is_alive |= level != self.model.peek_u64(inner);
            self.model.poke_u64(inner, level);
        }
        for channel in &mut self.to_tile {
            is_alive |= channel.carry(uncore, &mut self.model);
        }
        for channel in &self.from_tile {
            is_alive |= channel.is_offered;
            channel.carry_ready(&mut self.model, uncore);
        }
        self.resting = if is_alive { 0 } else { self.resting.saturating_add(1) };
        self.resting <= REST_EDGES
    }

    /// Carries over what the tile drives after an edge.
    fn after_edge(&mut self, uncore: &mut Model) {
        for channel in &mut self.from_tile {
            channel.carry(&self.model, uncore);
        }
        for channel in &self.to_tile {
            channel.carry_ready(uncore, &self.model);
        }
    }
}

/// The processors with what is around them, but for the device.
pub struct Soc {
    pub(crate) uncore: Model,
    harts: Vec<Hart>,
    dram: Dram,
    dram_bus: Bus,
    dram_port: AxiPort,
    dma: Dma,
    edge: PortId,
    is_edge: bool,
    write_failed: PortId,
    reset_request: PortId,
    console: Console,
    clock: u64,
}

/// The pins of the console, and what has come out.
struct Console {
    valid: PortId,
    data: PortId,
    input: [PortId; 3],
    output: Vec<u8>,
    waiting: VecDeque<u8>,
}

/// The back door to memory, which finds what is in the caches: a manager at the port for DMA, with one read and one write at a time.
struct Dma {
    arvalid: PortId,
    arready: PortId,
    araddr: PortId,
    rvalid: PortId,
    rdata: PortId,
    rresp: PortId,
    asked: Option<u64>,
    answer: Option<Beat>,
    awvalid: PortId,
    awready: PortId,
    awaddr: PortId,
    wvalid: PortId,
    wready: PortId,
    wdata: PortId,
    wstrb: PortId,
    bvalid: PortId,
    bresp: PortId,
    /// What of a write has not gone out: its address, and its data.
    address: Option<u64>,
    data: Option<(Beat, u64)>,
    is_writing: bool,
}

impl Dma {
    fn new(uncore: &mut Model) -> Self {
        let pin = |name: &str| uncore.port(&format!("dma_{name}"));
        let [arsize, arburst, rready] = ["arsize", "arburst", "rready"].map(pin);
        let [awsize, awburst, wlast, bready] = ["awsize", "awburst", "wlast", "bready"].map(pin);
        let dma = Self {
            arvalid: pin("arvalid"),
            arready: pin("arready"),
            araddr: pin("araddr"),
            rvalid: pin("rvalid"),
            rdata: pin("rdata"),
            rresp: pin("rresp"),
            asked: None,
            answer: None,
            awvalid: pin("awvalid"),
            awready: pin("awready"),
            awaddr: pin("awaddr"),
            wvalid: pin("wvalid"),
            wready: pin("wready"),
            wdata: pin("wdata"),
            wstrb: pin("wstrb"),
            bvalid: pin("bvalid"),
            bresp: pin("bresp"),
            address: None,
            data: None,
            is_writing: false,
        };
        [arsize, awsize].into_iter().for_each(|size| uncore.poke_u64(size, BEAT_BYTES.ilog2().into()));
        [arburst, awburst].into_iter().for_each(|burst| uncore.poke_u64(burst, rtl_bus::burst::INCR.into()));
        [rready, wlast, bready].into_iter().for_each(|pin| uncore.poke_u64(pin, 1));
        dma
    }

    fn drive(&mut self, uncore: &mut Model) {
        self.drive_read(uncore);
        if self.is_writing {
            self.drive_write(uncore);
        }
    }

    fn drive_write(&mut self, uncore: &mut Model) {
        uncore.poke_u64(self.awvalid, self.address.is_some().into());
        if let Some(address) = self.address {
            uncore.poke_u64(self.awaddr, address);
            if high(uncore, self.awready) {
                self.address = None;
            }
        }
        uncore.poke_u64(self.wvalid, self.data.is_some().into());
        if let Some((beat, strobes)) = &self.data {
            let words: [u64; BEAT_BYTES / 8] =
                array::from_fn(|word| u64::from_le_bytes(array::from_fn(|byte| beat[8 * word + byte])));
            uncore.poke(self.wdata, &words);
            uncore.poke_u64(self.wstrb, *strobes);
            if high(uncore, self.wready) {
                self.data = None;
            }
        }
        if high(uncore, self.bvalid) {
            assert_eq!(uncore.peek_u64(self.bresp), u64::from(rtl_bus::resp::OKAY), "the back door leads nowhere");
            self.is_writing = false;
        }
    }

    fn drive_read(&mut self, uncore: &mut Model) {
        if self.asked.is_none() && self.answer.is_some() {
            return;
        }
        uncore.poke_u64(self.arvalid, self.asked.is_some().into());
        if let Some(address) = self.asked {
            uncore.poke_u64(self.araddr, address);
            if high(uncore, self.arready) {
                self.asked = None;
            }
        }
        if high(uncore, self.rvalid) {
            assert_eq!(uncore.peek_u64(self.rresp), u64::from(rtl_bus::resp::OKAY), "the back door leads nowhere");
            let mut beat = [0; BEAT_BYTES];
            for (bytes, word) in beat.chunks_exact_mut(8).zip(uncore.words(self.rdata)) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            self.answer = Some(beat);
        }
    }
}

/// The models: the uncore, and the tile.
fn libraries(harts: u32, toolchain: &Toolchain) -> Result<(Library, Library), Error> {
    let tile = sim_tile::library_with(toolchain).map_err(|error| match error {
        sim_tile::Error::Toolchain(error) => sim_verilator::Error::from(error).into(),
        sim_tile::Error::Verilator(error) => error.into(),
        sim_tile::Error::Read(error) => Error::Cores(error.to_string()),
    })?;
    let uncore = ModelSpec::of(&elaborate(&Uncore::new(harts))?);
    let uncore = ModelSet::new("uncore").with(uncore).optimize(Optimize::Run).load_with(toolchain)?;
    Ok((uncore, tile))
}

impl Soc {
    /// Tiles that are about to begin, with this in their memory, which answers at once.
    ///
    /// # Errors
    /// If a model cannot be built.
    pub fn new(harts: u32, memory: &mut MemoryBus, toolchain: &Toolchain) -> Result<Self, Error> {
        let (uncore_library, tile_library) = libraries(harts, toolchain)?;
        let mut uncore = uncore_library.model(&Uncore::new(harts).name());
        let harts: Vec<Hart> =
            (0..harts).map(|number| Hart::new(number, tile_library.model(sim_tile::MODEL), &uncore)).collect();
        let mut ram = Ram::new(FIRMWARE.bytes);
        let pages = memory.bytes_mut(FIRMWARE.base, FIRMWARE.bytes as usize).chunks(PAGE_BYTES as usize);
        for (number, page) in (0..).zip(pages).filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
            ram.store(number * PAGE_BYTES, page);
        }
        let console = Console {
            valid: uncore.port("console_out_valid"),
            data: uncore.port("console_out_data"),
            input: ["valid", "ready", "data"].map(|pin| uncore.port(&format!("console_in_{pin}"))),
            output: vec![],
            waiting: VecDeque::new(),
        };
        let ready = uncore.port("console_out_ready");
        uncore.poke_u64(ready, 1);
        let mut soc = Self {
            dram: Dram(ram),
            dram_bus: Bus::new(BusTiming::IDEAL),
            dram_port: AxiPort::new(&uncore, "dram"),
            dma: Dma::new(&mut uncore),
            edge: uncore.port("tile_edge"),
            is_edge: false,
            write_failed: uncore.port("write_failed"),
            reset_request: uncore.port("reset_request"),
            console,
            clock: 0,
            harts,
            uncore,
        };
        soc.reset();
        Ok(soc)
    }

    fn reset(&mut self) {
        let reset = self.uncore.port("reset");
        self.uncore.poke_u64(reset, 1);
        (0..RESET_CLOCKS).for_each(|_| self.uncore.step());
        self.uncore.poke_u64(reset, 0);
        for hart in &mut self.harts {
            let reset = hart.model.port("reset");
            hart.model.poke_u64(reset, 1);
            (0..RESET_CLOCKS).for_each(|_| hart.model.step());
            hart.model.poke_u64(reset, 0);
            hart.after_edge(&mut self.uncore);
        }
    }

    /// Sets how the memory behaves.
    pub fn set_memory_timing(&mut self, timing: BusTiming) {
        self.dram_bus.set_timing(timing);
    }

    /// One core clock.
    ///
    /// # Panics
    /// If a tile or its bus breaks a rule, or a write to memory has failed.
    pub fn step(&mut self) {
        let Self { uncore, harts, .. } = self;
        self.clock += 1;
        self.dram_port.drive(uncore, &mut self.dram_bus, &mut self.dram);
        self.dma.drive(uncore);
        self.console.drive(uncore);
        uncore.poke_u64(self.edge, self.is_edge.into());
        if self.is_edge {
            let moves: [bool; soc_map::HARTS_MAX as usize] =
                array::from_fn(|number| harts.get_mut(number).is_some_and(|hart| hart.before_edge(uncore)));
            uncore.step();
            for (hart, _) in harts.iter_mut().zip(moves).filter(|(_, moves)| *moves) {
                hart.model.step();
                hart.after_edge(uncore);
            }
        } else {
            uncore.step();
        }
        self.is_edge = !self.is_edge;
        assert_eq!(uncore.peek_u64(self.write_failed), 0, "a write to the memory of firmware has failed");
    }

    /// Core clocks since the reset.
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// Whether a hart says that it waits for an interrupt.
    ///
    /// # Panics
    /// If there is no such hart.
    pub fn waits(&self, hart: u32) -> bool {
        let Hart { model, wfi, .. } = &self.harts[hart as usize];
        high(model, *wfi)
    }

    /// Whether all harts have waited for a while, and nothing is under way.
    pub fn is_asleep(&self) -> bool {
        self.harts.iter().all(|hart| hart.resting > REST_EDGES) && self.dram_bus.is_idle()
    }

    /// Whether the watchdog asks for a reset.
    pub fn has_bitten(&self) -> bool {
        high(&self.uncore, self.reset_request)
    }

    /// What firmware has written to the console since the last call.
    pub fn take_console(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.console.output)
    }

    /// Types on the console.
    pub fn type_in(&mut self, bytes: &[u8]) {
        self.console.waiting.extend(bytes);
    }

    /// Asks for the block of memory at an address, as the harts see it; [`Self::taken_block`] has it some clocks later.
    pub fn ask_block(&mut self, address: u64) {
        (self.dma.asked, self.dma.answer) = (Some(address & !(BEAT_BYTES as u64 - 1)), None);
    }

    /// The block that was asked for, once.
    pub fn taken_block(&mut self) -> Option<Beat> {
        self.dma.answer.take()
    }

    /// Begins to write bytes of the block of memory at an address, by their strobes, so that the harts see them: [`Self::is_block_written`].
    ///
    /// # Panics
    /// If the write before is not done.
    pub fn write_block(&mut self, address: u64, block: &Beat, strobes: u64) {
        assert!(self.is_block_written(), "one write at a time");
        self.dma.address = Some(address & !(BEAT_BYTES as u64 - 1));
        self.dma.data = Some((*block, strobes));
        self.dma.is_writing = true;
    }

    /// Whether no write is under way.
    pub fn is_block_written(&self) -> bool {
        !self.dma.is_writing
    }

    /// Memory, as the harts see it. It takes some clocks.
    ///
    /// # Panics
    /// If the memory does not answer.
    pub fn read(&mut self, address: u64, bytes: usize) -> Vec<u8> {
        read_blocks(address, bytes, |address| {
            self.ask_block(address);
            for _ in 0..BLOCK_CLOCKS_MAX {
                self.step();
                if let Some(block) = self.taken_block() {
                    return block;
                }
            }
            panic!("memory did not answer a read of {address:#x} within {BLOCK_CLOCKS_MAX} clocks");
        })
    }
}

/// Clocks after which an access by the back door is given up.
pub(crate) const BLOCK_CLOCKS_MAX: u32 = 10_000;

/// Bytes of the blocks that `read` gives.
pub(crate) fn read_blocks(address: u64, bytes: usize, mut read: impl FnMut(u64) -> Beat) -> Vec<u8> {
    let first = address & !(BEAT_BYTES as u64 - 1);
    let blocks = (first..address + bytes as u64).step_by(BEAT_BYTES).flat_map(&mut read);
    blocks.skip((address - first) as usize).take(bytes).collect()
}

impl Console {
    fn drive(&mut self, uncore: &mut Model) {
        if high(uncore, self.valid) {
            self.output.push(uncore.peek_u64(self.data) as u8);
        }
        let [valid, ready, data] = self.input;
        uncore.poke_u64(valid, (!self.waiting.is_empty()).into());
        if let Some(byte) = self.waiting.front() {
            uncore.poke_u64(data, (*byte).into());
            if high(uncore, ready) {
                self.waiting.pop_front();
            }
        }
    }
}
