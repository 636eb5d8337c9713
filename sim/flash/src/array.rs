//! The Verilated array of channels alone, fed as fast as it takes commands: how much it moves, and how long reads wait.

use std::collections::{HashMap, VecDeque};

use flash_hw::array::{Array, CHANNEL_BITS};
use flash_spec::limits::UNITS_PER_PAGE;
use flash_spec::{Clocks, Geometry, Operation, Reliability};
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::{elaborate, Block};
use sim_cosim::{set_clocks, set_faults};
use sim_verilator::{Error, Model, ModelSet, ModelSpec, Optimize};

/// A command for a die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// What.
    pub operation: Operation,
    /// The die on its channel.
    pub die: u8,
    /// The planes, a bit each.
    pub planes: u8,
    /// The block in each of them.
    pub block: u16,
    /// The page in it.
    pub page: u16,
    /// Units that are read.
    pub units: u32,
}

/// The end of a command.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// The channel.
    pub channel: u32,
    /// The name that it was given: below 4096.
    pub name: u16,
    /// The clock.
    pub clock: u64,
    /// Whether it did what it was to do.
    pub is_good: bool,
}

/// An array that answers at once where data is to move.
pub struct VerilatedArray {
    model: Model,
    fields: Vec<PortId>,
    command: [PortId; 2],
    transfer: [PortId; 3],
    through: [PortId; 2],
    done: [PortId; 4],
    queue: VecDeque<(u16, Command)>,
    moved: VecDeque<u64>,
    offers: bool,
    /// Clocks since the start.
    pub clock: u64,
}

const FIELDS: [&str; 9] = ["tag", "die", "operation", "planes", "block_0", "block_1", "page", "first_unit", "units"];

impl VerilatedArray {
    /// An array of new flash.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn new(geometry: Geometry, clocks: &Clocks, suspends: bool) -> Result<Self, Error> {
        let block = Array { geometry };
        let design = elaborate(&block).unwrap_or_else(|problems| panic!("{problems}"));
        let set = ModelSet::new("flash-array").with(ModelSpec::of(&design)).optimize(Optimize::Run);
        let mut model = set.load()?.model(&block.name());
        let pins = |stream: &str, pins: &[&str]| -> Vec<PortId> {
            pins.iter().map(|pin| model.port(&format!("{stream}_{pin}"))).collect()
        };
        let fields = pins("command", &FIELDS);
        let command = pins("command", &["valid", "ready"]).try_into().expect("two");
        let transfer = pins("transfer", &["valid", "ready", "tag"]).try_into().expect("three");
        let through = pins("through", &["valid", "channel"]).try_into().expect("two");
        let done = pins("done", &["valid", "ready", "tag", "outcome_0"]).try_into().expect("four");
        set_clocks(&mut model, clocks);
        set_faults(&mut model, &Reliability::DEFAULT);
        let suspends_port = model.port("suspends");
        model.poke_u64(suspends_port, suspends.into());
        let reset = model.port("reset");
        model.poke_u64(reset, 1);
        (0..4).for_each(|_| model.step());
        model.poke_u64(reset, 0);
        let mut made = Self {
            model,
            fields,
            command,
            transfer,
            through,
            done,
            queue: VecDeque::new(),
            moved: VecDeque::new(),
            offers: false,
            clock: 0,
        };
        made.model.poke_u64(made.transfer[1], 1);
        made.model.poke_u64(made.done[1], 1);
        Ok(made)
    }

    /// Puts a command in line.
    pub fn send(&mut self, channel: u32, name: u16, command: Command) {
        self.queue.push_back((name | (channel as u16) << CHANNEL_BITS.start, command));
    }

    /// Commands that the array has not taken yet.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// One clock; what ended in it.
    pub fn tick(&mut self) -> Option<Ended> {
        let model = &mut self.model;
        if let (false, Some((tag, command))) = (self.offers, self.queue.front()) {
            let values = [
                u64::from(*tag),
                command.die.into(),
                command.operation.code().into(),
                command.planes.into(),
                command.block.into(),
                command.block.into(),
                command.page.into(),
                0,
                command.units.into(),
            ];
            self.fields.iter().zip(values).for_each(|(&pin, value)| model.poke_u64(pin, value));
            model.poke_u64(self.command[0], 1);
            self.offers = true;
        }
        let channel = self.moved.pop_front();
        model.poke_u64(self.through[0], channel.is_some().into());
        if let Some(channel) = channel {
            model.poke_u64(self.through[1], channel);
        }
        if model.peek_u64(self.transfer[0]) == 1 {
            self.moved.push_back(model.peek_u64(self.transfer[2]) >> CHANNEL_BITS.start);
        }
        let ended = (model.peek_u64(self.done[0]) == 1).then(|| {
            let tag = model.peek_u64(self.done[2]);
            Ended {
                channel: (tag >> CHANNEL_BITS.start) as u32,
                name: (tag & 0xFFF) as u16,
                clock: self.clock,
                is_good: model.peek_u64(self.done[3]) < 0x10,
            }
        });
        let is_taken = self.offers && model.peek_u64(self.command[1]) == 1;
        model.step();
        if is_taken {
            self.queue.pop_front();
            self.offers = false;
            model.poke_u64(self.command[0], 0);
        }
        self.clock += 1;
        ended
    }

    /// Pages per clock in the steady state, when each channel is given `count` commands as fast as it takes them: between the completion of a quarter of
    /// them and that of the last.
    ///
    /// # Panics
    /// If one fails.
    pub fn steady_pages_per_clock(&mut self, channels: u32, count: u32, command: impl Fn(u32) -> Command) -> f64 {
        for index in 0..count {
            (0..channels).for_each(|channel| self.send(channel, index as u16 % 4096, command(index)));
        }
        let (all, first) = (channels * count, channels * count / 4);
        let (mut completed, mut start, mut pages) = (0, 0, 0);
        while completed < all {
            let Some(ended) = self.tick() else { continue };
            assert!(ended.is_good, "{ended:?}");
            completed += 1;
            if completed == first {
                start = ended.clock;
            }
            if completed > first {
                pages += command(0).planes.count_ones();
            }
        }
        f64::from(pages) / (self.clock - start) as f64
    }

    /// Latencies of reads of one unit at random times, in clocks, sorted, while programs of both planes come at `percent` of the rate that the dies take.
    pub fn read_latencies(&mut self, geometry: &Geometry, clocks: &Clocks, percent: u64, reads: usize) -> Vec<u64> {
        const WRITE: u16 = 0xFFF;
        let mut random = flash_model::Random::new(0x5EED);
        let [lsb, msb] = clocks.program;
        let dies = u64::from(geometry.dies());
        let write_every = u64::from(lsb + msb) / 2 * 100 / percent / dies;
        let read_every = 80_000 / geometry.channels;
        let (mut next_write, mut next_read) = (self.clock, self.clock);
        let (mut writes, mut name) = (0u32, 0u16);
        let mut sent: HashMap<(u32, u16), u64> = HashMap::new();
        let mut latencies = Vec::with_capacity(reads);
        while latencies.len() < reads {
            if self.clock >= next_write {
                let (channel, rest) = (writes % geometry.channels, writes / geometry.channels);
                let (die, page) = (rest % geometry.dies_per_channel, rest / geometry.dies_per_channel);
                let (block, page) = (page / geometry.pages_per_block, page % geometry.pages_per_block);
                let operation = Operation::CacheProgram;
                let block = (block % geometry.blocks_per_plane) as u16;
                let command =
                    Command { operation, die: die as u8, planes: 3, block, page: page as u16, units: UNITS_PER_PAGE };
                self.send(channel, WRITE, command);
                writes += 1;
                next_write += write_every;
            }
            if self.clock >= next_read {
                let channel = random.below(geometry.channels);
                name = (name + 1) % WRITE;
                let die = random.below(geometry.dies_per_channel) as u8;
                let page = random.below(geometry.pages_per_block) as u16;
                let block = geometry.blocks_per_plane as u16 - 1;
                self.send(channel, name, Command { operation: Operation::Read, die, planes: 1, block, page, units: 1 });
                sent.insert((channel, name), self.clock);
                next_read += u64::from(1 + random.below(read_every));
            }
            if let Some(ended) = self.tick() {
                assert!(ended.is_good, "{ended:?}");
                if let Some(from) = sent.remove(&(ended.channel, ended.name)) {
                    latencies.push(ended.clock - from);
                }
            }
        }
        latencies.sort_unstable();
        latencies
    }
}
