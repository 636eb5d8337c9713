//! Firmware on Verilated processors: the tiles, the uncore that joins them to the controller's register port, and their memory.
//!
//! ```text
//!   tile 0 --+                 +-- controller ==> pins `firmware` of the device
//!     ...    +== uncore =======+-- dram ==> Bus ==> memory of firmware
//!   tile n --+                 +-- dma <== the back door
//! ```
//! Each tile is an object of one compiled model, and the uncore is another model. All that goes between models comes from registers, so that in each
//! clock it is carried over first, and then every model is stepped: the order of the models does not matter. The tiles' clock has an edge in
//! every second clock. A tile that sleeps, and that nothing comes to, is not stepped.

use crate::axi::{high, AxiPort};
use crate::cores::{self, Coalescing, Start};
use crate::hardware::Error;
use crate::resume;
use rtl_hdl::elaborate;
use rtl_hdl::sim::{PortId, Simulator};
use sim_device::{Beat, Bus, BusTiming, Fault, Memory, Ram, BEAT_BYTES, PAGE_BYTES};
use sim_firmware::Image;
use sim_verilator::{Library, Model, ModelSet, ModelSpec, Optimize, Toolchain};
use soc_map::FIRMWARE;
use soc_tile::{RocketTile, Texts, Tile};
use soc_top::{uncore, Uncore};
use std::array;

/// Clocks of the reset.
const RESET_CLOCKS: u32 = 8;

/// Clocks after which firmware that has not come up is given up.
const BOOT_CLOCKS_MAX: u64 = 50_000_000;

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
        let mut is_alive = high(&self.model, self.wfi) == false;
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

/// The AXI4-Lite between the uncore and the device: its channels, from the uncore and to it.
struct Controller {
    asks: [Lane; 3],
    answers: [Lane; 2],
    event: [PortId; 2],
    /// An access is under way.
    is_busy: bool,
}

/// A channel between the uncore and the device, which may run in any simulator.
struct Lane {
    valid: [PortId; 2],
    ready: [PortId; 2],
    fields: Vec<[PortId; 2]>,
}

impl Lane {
    /// Carries from one simulator to another, and back whether there is room; true if something goes over.
    fn carry(&self, from: &mut impl Simulator, to: &mut impl Simulator) -> bool {
        let is_offered = from.peek_u64(self.valid[0]) == 1;
        to.poke_u64(self.valid[1], is_offered.into());
        if is_offered {
            for [from_pin, to_pin] in &self.fields {
                to.poke_u64(*to_pin, from.peek_u64(*from_pin));
            }
        }
        let is_ready = to.peek_u64(self.ready[1]);
        from.poke_u64(self.ready[0], is_ready);
        is_offered && is_ready == 1
    }
}

impl Controller {
    fn new(uncore: &Model, device: &impl Simulator) -> Self {
        let lane = |channel: &str, fields: &[&str], from_uncore: bool| {
            let pair = |field: &str| {
                let pins = [
                    uncore.port(&format!("controller_{channel}{field}")),
                    device.port(&format!("firmware_{channel}{field}")),
                ];
                if from_uncore {
                    pins
                } else {
                    [pins[1], pins[0]]
                }
            };
            Lane {
                valid: pair("valid"),
                ready: pair("ready"),
                fields: fields.iter().map(|field| pair(field)).collect(),
            }
        };
        Self {
            asks: [lane("aw", &["addr"], true), lane("w", &["data", "strb"], true), lane("ar", &["addr"], true)],
            answers: [lane("b", &["resp"], false), lane("r", &["data", "resp"], false)],
            event: [device.port("firmware_event"), uncore.port("controller_event")],
            is_busy: false,
        }
    }

    fn carry(&mut self, uncore: &mut Model, device: &mut impl Simulator, coalescing: &mut Coalescing) {
        uncore.poke_u64(self.event[1], device.peek_u64(self.event[0]));
        for (index, lane) in self.asks.iter().enumerate() {
            if lane.carry(uncore, device) {
                self.is_busy = true;
                match index {
                    0 => coalescing.address = uncore.peek_u64(lane.fields[0][0]) as u32,
                    1 => coalescing.value = uncore.peek_u64(lane.fields[0][0]) as u32,
                    _ => {}
                }
            }
        }
        for (index, lane) in self.answers.iter().enumerate() {
            if lane.carry(device, uncore) {
                self.is_busy = false;
                if index == 0 {
                    coalescing.note();
                }
            }
        }
    }

    /// Whether the uncore asks for something.
    fn is_asked(&self, uncore: &Model) -> bool {
        self.asks.iter().any(|lane| uncore.peek_u64(lane.valid[0]) == 1)
    }
}

/// The processors.
pub(crate) struct Tiles {
    uncore: Model,
    harts: Vec<Hart>,
    controller: Controller,
    dram: Dram,
    dram_bus: Bus,
    dram_port: AxiPort,
    edge: PortId,
    is_edge: bool,
    write_failed: PortId,
    /// What firmware wrote to COALESCING.
    pub coalescing: Coalescing,
}

/// The models: the uncore, and the tile.
fn libraries(harts: u32, toolchain: &Toolchain) -> Result<(Library, Library), Error> {
    let rocket = toolchain.rocket().map_err(sim_verilator::Error::from)?;
    let sim_toolchain::Rocket { modules, memories, licence } = &rocket;
    let tile =
        RocketTile::read(Texts { modules, memories, licence }).map_err(|error| Error::Cores(error.to_string()))?;
    let tile = ModelSpec::of(&elaborate(&Tile::new(tile))?);
    // With the assertions of the core and of its monitors of the bus, as the tests of the tile have it: one model for both.
    let tile = ModelSet::new("tile").with(tile).optimize(Optimize::Run).checks(true).load_with(toolchain)?;
    let uncore = ModelSpec::of(&elaborate(&Uncore::new(harts))?);
    let uncore = ModelSet::new("uncore").with(uncore).optimize(Optimize::Run).load_with(toolchain)?;
    Ok((uncore, tile))
}

impl Tiles {
    /// Tiles that are about to begin with the image.
    ///
    /// # Errors
    /// If a model cannot be built.
    pub fn new(
        image: &Image,
        harts: u32,
        start: Start,
        config: &nvme_fw::Config,
        device: &impl Simulator,
        toolchain: &Toolchain,
    ) -> Result<Self, Error> {
        let (uncore_library, tile_library) = libraries(harts, toolchain)?;
        use rtl_hdl::Block;
        let mut uncore = uncore_library.model(&Uncore::new(harts).name());
        let harts: Vec<Hart> =
            (0..harts).map(|number| Hart::new(number, tile_library.model("tile"), &uncore)).collect();
        let mut memory = cores::loaded(image, config);
        if start == Start::Ready {
            resume::start_up(&mut memory, &cores::hart_config(0));
        }
        let mut ram = Ram::new(FIRMWARE.bytes);
        let pages = memory.bytes_mut(FIRMWARE.base, FIRMWARE.bytes as usize).chunks(PAGE_BYTES as usize);
        for (number, page) in (0..).zip(pages).filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
            ram.store(number * PAGE_BYTES, page);
        }
        let mut tiles = Self {
            controller: Controller::new(&uncore, device),
            dram: Dram(ram),
            dram_bus: Bus::new(BusTiming::IDEAL),
            dram_port: AxiPort::new(&uncore, "dram"),
            edge: uncore.port("tile_edge"),
            is_edge: false,
            write_failed: uncore.port("write_failed"),
            coalescing: Coalescing::default(),
            harts,
            uncore: {
                uncore.settle();
                uncore
            },
        };
        tiles.reset();
        Ok(tiles)
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

    /// Lets the harts start up before the device's clock does, as a host finds a drive that has been there for a while: until firmware first touches a
    /// register. The memory answers at once until then, and later as `memory` says.
    ///
    /// # Panics
    /// If it never does.
    pub fn boot(&mut self, memory: BusTiming) {
        for _ in 0..BOOT_CLOCKS_MAX {
            if self.controller.is_asked(&self.uncore) {
                self.dram_bus.set_timing(memory);
                return;
            }
            self.step();
        }
        panic!("firmware has not come up in {BOOT_CLOCKS_MAX} clocks");
    }

    /// A clock, with what the device drives in it, and drives the device.
    pub fn clock(&mut self, device: &mut impl Simulator) {
        self.controller.carry(&mut self.uncore, device, &mut self.coalescing);
        self.step();
    }

    fn step(&mut self) {
        let Self { uncore, harts, .. } = self;
        self.dram_port.drive(uncore, &mut self.dram_bus, &mut self.dram);
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

    /// Whether all harts wait for an interrupt, and nothing is under way.
    pub fn are_waiting(&self) -> bool {
        self.harts.iter().all(|hart| hart.resting > REST_EDGES) && !self.controller.is_busy && self.dram_bus.is_idle()
    }
}
