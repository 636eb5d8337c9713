//! The Verilated flash path with its memories, a host at its storage port, and the firmware.

use std::collections::{HashMap, VecDeque};

use flash_hw::flash_path::{Config, FlashPath};
use flash_spec::limits::UNIT_BYTES;
use flash_spec::{Geometry, Preset, Reliability};
use nvme_hw::types::{Operation, StorageStatus, BEAT_BYTES};
use nvme_spec::limits::{CORE_HZ, SECTOR_BYTES};
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::{elaborate, HwEnum};
pub use sim_cosim::Medium;
use sim_cosim::{set_clocks, set_faults, AxiPort, Door, HasDoor, LitePort, Request};
use sim_device::{Bus, BusTiming, Ram};
use sim_verilator::{Error, Library, Model, ModelSet, ModelSpec, Optimize};
use soc_hal::{Layout, Mmio, Shared};

/// Clocks of a memory from a request to its first beat.
const MEMORY_CLOCKS: u32 = 30;
/// Clocks after which a register access is given up as hung: a defect of the hardware.
const ACCESS_CLOCKS_MAX: u32 = 100_000;
/// Clocks from one look for events to the next, at most.
const LOOK_CLOCKS: u32 = 64;
/// Words of a beat.
const BEAT_WORDS: usize = BEAT_BYTES as usize / 8;
/// Words of a sector.
const SECTOR_WORDS: usize = SECTOR_BYTES as usize / 8;
/// Sectors of a unit.
const UNIT_SECTORS: u32 = UNIT_BYTES / SECTOR_BYTES;

/// Builds the Verilated flash path of a configuration; the first time takes a minute or more, later it comes from the cache.
///
/// # Errors
/// If a tool is missing, or the build fails.
pub fn library(config: Config) -> Result<Library, Error> {
    let design = elaborate(&FlashPath::new(config)).unwrap_or_else(|problems| panic!("{problems}"));
    ModelSet::new("flash-path").with(ModelSpec::of(&design)).optimize(Optimize::Run).load()
}

/// The pins of a stream.
struct Stream {
    valid: PortId,
    ready: PortId,
}

impl Stream {
    fn new(model: &Model, name: &str) -> Self {
        let pin = |pin: &str| model.port(&format!("{name}_{pin}"));
        Self { valid: pin("valid"), ready: pin("ready") }
    }

    fn is_taken(&self, model: &Model) -> bool {
        model.peek_u64(self.valid) == 1 && model.peek_u64(self.ready) == 1
    }
}

/// A command of the host.
#[derive(Clone, Copy, Debug)]
struct Asked {
    tag: u8,
    operation: Operation,
    sector: u64,
    sectors: u32,
    fua: bool,
}

/// The host's side of the storage port.
struct Host {
    command: Stream,
    fields: [PortId; 5],
    write: Stream,
    write_data: PortId,
    write_last: PortId,
    read: Stream,
    read_tag: PortId,
    read_data: PortId,
    done: Stream,
    done_tag: PortId,
    done_status: PortId,
    commands: VecDeque<Asked>,
    beats: VecDeque<([u64; BEAT_WORDS], bool)>,
    /// Words that were read, by tag.
    words: HashMap<u8, Vec<u64>>,
    ended: VecDeque<(u8, StorageStatus)>,
    offers_command: bool,
    offers_beat: bool,
}

impl Host {
    fn new(model: &mut Model) -> Self {
        let fields = ["tag", "operation", "sector", "sectors", "fua"];
        let fields = fields.map(|field| model.port(&format!("storage_command_{field}")));
        let host = Self {
            command: Stream::new(model, "storage_command"),
            fields,
            write: Stream::new(model, "storage_write"),
            write_data: model.port("storage_write_data"),
            write_last: model.port("storage_write_last"),
            read: Stream::new(model, "storage_read"),
            read_tag: model.port("storage_read_tag"),
            read_data: model.port("storage_read_data"),
            done: Stream::new(model, "storage_done"),
            done_tag: model.port("storage_done_tag"),
            done_status: model.port("storage_done_status"),
            commands: VecDeque::new(),
            beats: VecDeque::new(),
            words: HashMap::new(),
            ended: VecDeque::new(),
            offers_command: false,
            offers_beat: false,
        };
        model.poke_u64(host.read.ready, 1);
        model.poke_u64(host.done.ready, 1);
        host
    }

    /// Drives the pins for the clock that comes.
    fn drive(&mut self, model: &mut Model) {
        if let (false, Some(asked)) = (self.offers_command, self.commands.front()) {
            let values = [
                u64::from(asked.tag),
                asked.operation.code(),
                asked.sector,
                u64::from(asked.sectors),
                u64::from(asked.fua),
            ];
            self.fields.into_iter().zip(values).for_each(|(pin, value)| model.poke_u64(pin, value));
            model.poke_u64(self.command.valid, 1);
            self.offers_command = true;
        }
        if let (false, Some((data, last))) = (self.offers_beat, self.beats.front()) {
            model.poke(self.write_data, data);
            model.poke_u64(self.write_last, u64::from(*last));
            model.poke_u64(self.write.valid, 1);
            self.offers_beat = true;
        }
    }

    /// What is transferred at the coming edge.
    fn observe(&mut self, model: &mut Model) -> [bool; 2] {
        if self.read.is_taken(model) {
            let mut beat = [0; BEAT_WORDS];
            model.peek(self.read_data, &mut beat);
            self.words.entry(model.peek_u64(self.read_tag) as u8).or_default().extend(beat);
        }
        if self.done.is_taken(model) {
            let status = StorageStatus::VARIANTS[model.peek_u64(self.done_status) as usize];
            self.ended.push_back((model.peek_u64(self.done_tag) as u8, status));
        }
        [self.offers_command && self.command.is_taken(model), self.offers_beat && self.write.is_taken(model)]
    }

    /// After the edge.
    fn after(&mut self, [command, beat]: [bool; 2], model: &mut Model) {
        if command {
            self.commands.pop_front();
            self.offers_command = false;
            model.poke_u64(self.command.valid, 0);
        }
        if beat {
            self.beats.pop_front();
            self.offers_beat = false;
            model.poke_u64(self.write.valid, 0);
        }
    }
}

/// The hardware with everything that its pins are joined to.
pub struct Machine {
    model: Model,
    /// DRAM: the cache, the map, the log.
    pub dram: Ram,
    /// What stands for the flash.
    pub medium: Ram,
    dram_bus: Bus,
    medium_bus: Bus,
    dram_port: AxiPort,
    medium_port: AxiPort,
    registers: LitePort,
    host: Host,
    door: Door,
    geometry: Geometry,
    has_events: PortId,
    lost: PortId,
    /// Clocks since power-up.
    pub clock: u64,
    /// The clock in which the power goes: from then on nothing happens, and registers read as zero.
    pub power_ends: Option<u64>,
    free_tags: Vec<u8>,
    /// Words that each tag in flight reads.
    reads: HashMap<u8, usize>,
}

impl Machine {
    /// Hardware that has just been reset, over a medium, whose records are loaded through the door.
    ///
    /// # Panics
    /// If the medium has more blocks than the flash.
    pub fn new(library: &Library, config: Config, medium: impl Into<Medium>) -> Self {
        let Medium { ram: medium, records } = medium.into();
        let mut model = library.model(&rtl_hdl::Block::name(&FlashPath::new(config)));
        let timing = BusTiming::with_latency(MEMORY_CLOCKS);
        let host = Host::new(&mut model);
        let door = Door::new(&mut model);
        let mut machine = Self {
            dram: Ram::new(config.dram_bytes()),
            medium,
            dram_bus: Bus::new(timing),
            medium_bus: Bus::new(timing),
            dram_port: AxiPort::new(&model, "dram"),
            medium_port: AxiPort::new(&model, "medium"),
            registers: LitePort::new(&mut model, "firmware"),
            host,
            door,
            geometry: config.geometry,
            has_events: model.port("has_events"),
            lost: model.port("lost"),
            clock: 0,
            power_ends: None,
            free_tags: (0..config.commands as u8).rev().collect(),
            reads: HashMap::new(),
            model,
        };
        let reset = machine.model.port("reset");
        machine.model.poke_u64(reset, 1);
        (0..4).for_each(|_| machine.model.step());
        machine.model.poke_u64(reset, 0);
        door.load(&mut machine, &config.geometry, &records);
        machine
    }

    /// Cuts the power of everything and says what is left of it.
    ///
    /// The flash is cut in this clock, and takes no command after it. All around goes on, but can change nothing that counts: each channel has promised at most
    /// one transfer, and answers at the door only when that is through. What it writes to the medium then is the page, with its spare, of a program that has
    /// not started: the record says that the page is blank, and whoever reads it does not look at the medium. A program that has started has been through
    /// before. So no bus is stopped, and no beat is half written.
    ///
    /// # Panics
    /// If the flash does not come to rest.
    pub fn cut_power(mut self) -> Medium {
        self.power_ends = None;
        self.poke("power_cut", 1);
        self.tick();
        self.poke("power_cut", 0);
        let (door, geometry) = (self.door, self.geometry);
        let records =
            (0..geometry.blocks()).map(|block| door.visit(&mut self, geometry.block_at(block), None)).collect();
        Medium { ram: self.medium, records }
    }

    /// Sets times and faults; nothing may be in progress in the flash.
    pub fn set_flash(&mut self, preset: &Preset, divided: u32, reliability: Reliability) {
        set_clocks(&mut self.model, &preset.clocks(CORE_HZ).divided(divided));
        set_faults(&mut self.model, &reliability);
        self.poke("seed", reliability.seed.into());
        self.poke("seed_set", 1);
        self.tick();
        self.poke("seed_set", 0);
    }

    fn poke(&mut self, port: &str, value: u64) {
        let port = self.model.port(port);
        self.model.poke_u64(port, value);
    }

    /// Whether there is power.
    pub fn has_power(&self) -> bool {
        self.power_ends.is_none_or(|end| self.clock < end)
    }

    /// One clock.
    pub fn tick(&mut self) {
        if !self.has_power() {
            return;
        }
        self.clock += 1;
        self.dram_port.drive(&mut self.model, &mut self.dram_bus, &mut self.dram);
        self.medium_port.drive(&mut self.model, &mut self.medium_bus, &mut self.medium);
        self.registers.drive(&mut self.model);
        self.host.drive(&mut self.model);
        let taken = self.host.observe(&mut self.model);
        assert_eq!(self.model.peek_u64(self.lost), 0, "an access to DRAM was refused");
        self.model.step();
        self.host.after(taken, &mut self.model);
    }

    fn access(&mut self, request: Request) -> u32 {
        self.registers.push(request);
        for _ in 0..ACCESS_CLOCKS_MAX {
            if !self.has_power() {
                return 0;
            }
            self.tick();
            match request {
                Request::Read { .. } => {
                    if let Some(value) = self.registers.take_answer() {
                        return value;
                    }
                }
                Request::Write { .. } if self.registers.is_idle() => return 0,
                Request::Write { .. } => {}
            }
        }
        panic!("the hardware did not answer {request:?} within {ACCESS_CLOCKS_MAX} clocks");
    }

    /// A free tag, if fewer commands are in flight than there may be.
    pub fn take_tag(&mut self) -> Option<u8> {
        self.free_tags.pop()
    }

    /// Asks for something about a unit; data of a write are its words.
    pub fn ask(&mut self, tag: u8, operation: Operation, unit: u64, fua: bool, words: &[u64]) {
        let sectors = if operation == Operation::Flush { 0 } else { UNIT_SECTORS };
        self.ask_sectors(tag, operation, unit * u64::from(UNIT_SECTORS), sectors, fua, words);
    }

    /// Asks for something about so many sectors from the first one on, at most those of a unit; data of a write are its words.
    pub fn ask_sectors(&mut self, tag: u8, operation: Operation, sector: u64, sectors: u32, fua: bool, words: &[u64]) {
        let read = if operation == Operation::Read { sectors as usize * SECTOR_WORDS } else { 0 };
        self.reads.insert(tag, read);
        self.host.commands.push_back(Asked { tag, operation, sector, sectors, fua });
        let count = words.len() / BEAT_WORDS;
        for (number, beat) in words.chunks_exact(BEAT_WORDS).enumerate() {
            self.host.beats.push_back((beat.try_into().expect("a beat"), number + 1 == count));
        }
    }

    /// A command that has ended, and what it read.
    pub fn ended(&mut self) -> Option<(u8, StorageStatus, Vec<u64>)> {
        let (tag, status) = *self.host.ended.front()?;
        let words = self.host.words.get(&tag).map_or(0, Vec::len);
        // The end of a read may come before its last beats.
        if status != StorageStatus::Refused && words < self.reads[&tag] {
            return None;
        }
        self.host.ended.pop_front();
        self.free_tags.push(tag);
        Some((tag, status, self.host.words.remove(&tag).unwrap_or_default()))
    }
}

impl HasDoor for Machine {
    type Model = Model;

    fn model(&mut self) -> &mut Model {
        &mut self.model
    }

    fn tick(&mut self) {
        self.tick();
    }
}

impl Mmio for Machine {
    fn read32(&mut self, offset: u32) -> u32 {
        self.access(Request::Read { address: offset })
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.access(Request::Write { address: offset, value, strobe: 0xF });
    }
}

impl Shared for Machine {
    fn load32(&mut self, address: u64) -> u32 {
        let mut bytes = [0; 4];
        self.dram.load(address, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn store32(&mut self, address: u64, value: u32) {
        self.dram.store(address, &value.to_le_bytes());
    }

    fn may_have_event(&mut self) -> bool {
        // A processor takes its time from one look to the next.
        for _ in 0..LOOK_CLOCKS {
            if self.model.peek_u64(self.has_events) == 1 {
                return self.has_power();
            }
            self.tick();
        }
        false
    }
}

/// Where the driver finds things.
pub fn layout(config: &Config) -> Layout {
    Layout {
        shared_base: config.shared_base(),
        read_spares_base: config.read_spares_base(),
        map_pages: config.map_pages(),
    }
}
