//! Memories: what a module says about them.

use crate::ir::*;
use crate::module::{building, claim, excuse, is_excused, new_node, problem, stand_in, Clock, Module, MAX_WIDTH};
use crate::property::property;
use crate::signal::Signal;
use crate::Constant;
use std::panic::Location;

impl Module {
    /// Adds a memory of `depth` words.
    #[track_caller]
    pub fn memory(&self, name: &str, width: u32, depth: u32, style: MemoryStyle) -> MemoryHandle {
        self.memory_with_contents(name, width, depth, style, vec![])
    }

    /// Adds a memory with initial contents; missing words are zero.
    #[track_caller]
    pub fn memory_with_contents(
        &self,
        name: &str,
        width: u32,
        depth: u32,
        style: MemoryStyle,
        initial: Vec<Constant>,
    ) -> MemoryHandle {
        let source = Location::caller();
        claim(name, source);
        let mut is_wrong = false;
        if depth == 0 || width == 0 || width > MAX_WIDTH {
            is_wrong = true;
            problem(
                source,
                format!("the memory `{name}` has {depth} words of {width} bits; it needs at least one word, of 1 to {MAX_WIDTH} bits"),
            );
        } else if initial.len() > depth as usize || initial.iter().any(|c| c.width() != width) {
            let odd = initial.iter().find(|c| c.width() != width).map_or(width, Constant::width);
            problem(
                source,
                format!(
                    "the initial contents of `{name}` must be at most {depth} words of {width} bits, and are {} words of {odd} bits",
                    initial.len()
                ),
            );
        }
        let (width, depth) = (width.clamp(1, MAX_WIDTH), depth.max(1));
        let index = building(|b| {
            b.ir.memories.push(Memory {
                name: name.into(),
                width,
                depth,
                style,
                initial,
                crossing: None,
                undefined_collisions: false,
                writes: vec![],
                reads: vec![],
                source,
            });
            b.ir.memories.len() - 1
        });
        let memory = MemoryHandle { index, width, depth, is_wrong };
        if is_wrong {
            memory.excuse();
        }
        memory
    }
}

/// A memory of the module that is being built.
#[derive(Clone, Copy, Debug)]
pub struct MemoryHandle {
    index: usize,
    width: u32,
    depth: u32,
    /// Something is wrong with it, and has been reported.
    is_wrong: bool,
}

impl MemoryHandle {
    /// The memory of this number.
    pub(crate) fn of(index: usize) -> MemoryHandle {
        let (width, depth) = building(|b| (b.ir.memories[index].width, b.ir.memories[index].depth));
        MemoryHandle { index, width, depth, is_wrong: false }
    }

    /// Width of an address.
    pub fn address_width(self) -> u32 {
        address_width(self.depth)
    }

    /// Lets the ports belong to several clocks, and says why nothing is read while it is written.
    pub fn crosses_clocks(self, why: &str) -> Self {
        self.edit(|memory| memory.crossing = Some(why.into()));
        self
    }

    /// Says that no write meets another access of the same address in the same moment, so that the tools need not care: what a dual-port
    /// RAM of a device does then differs between devices. Simulation stops if it happens.
    pub fn without_collisions(self) -> Self {
        self.edit(|memory| memory.undefined_collisions = true);
        self
    }

    fn edit(self, change: impl FnOnce(&mut Memory)) {
        building(|b| change(&mut b.ir.memories[self.index]));
    }

    /// Notes that something is wrong with a port: the memory is not to be called one that nothing fills.
    fn excuse(self) {
        self.edit(|memory| {
            if memory.initial.is_empty() {
                memory.initial.push(Constant::zero(memory.width));
            }
        });
    }

    fn name(self) -> String {
        building(|b| b.ir.memories[self.index].name.clone())
    }

    /// True if the address has the width that it needs.
    fn check_address(self, what: &str, address: Signal, source: Source) -> bool {
        let fits = address.width() == self.address_width();
        if !fits && !self.is_wrong && !is_excused(address) {
            problem(
                source,
                format!(
                    "the {what} address of `{}` is {} bits wide; {} words need {} bits: widen it with `zext` or cut it with `low`",
                    self.name(),
                    address.width(),
                    self.depth,
                    self.address_width()
                ),
            );
        }
        fits
    }

    /// True if the clock belongs to this module.
    fn check_clock(self, what: &str, clock: Clock, source: Source) -> bool {
        let is_own = clock.is_of_this_module();
        if !is_own {
            let name = self.name();
            problem(
                source,
                format!("the {what} port of `{name}` uses a clock of another module: pass the clock through a port"),
            );
        }
        is_own
    }

    /// Writes `data` when `enable` is set.
    #[track_caller]
    pub fn write(self, clock: Clock, enable: Signal, address: Signal, data: Signal) {
        self.write_port(clock, enable, address, data, None, Location::caller());
    }

    /// Writes the parts of `data` whose bit in `lanes` is set, when `enable` is set. The word has `lanes.width()` equal parts.
    #[track_caller]
    pub fn write_lanes(self, clock: Clock, enable: Signal, address: Signal, data: Signal, lanes: Signal) {
        self.write_port(clock, enable, address, data, Some(lanes), Location::caller());
    }

    fn write_port(
        self,
        clock: Clock,
        enable: Signal,
        address: Signal,
        data: Signal,
        lanes: Option<Signal>,
        source: Source,
    ) {
        let mut fits = self.check_address("write", address, source);
        fits &= self.check_clock("write", clock, source);
        let [enable, address, data] = [enable, address, data].map(|s| s.node_in_this_module(source));
        let lanes = lanes.map(|lanes| lanes.node_in_this_module(source));
        if data.width() != self.width || enable.width() != 1 || lanes.is_some_and(|l| self.width % l.width() != 0) {
            fits = false;
            let is_known = [Some(enable), Some(data), lanes].into_iter().flatten().any(is_excused);
            if !is_known && !self.is_wrong {
                let lanes = lanes.map_or(String::new(), |l| format!(", {} lanes", l.width()));
                problem(
                    source,
                    format!(
                        "a write of {} bits (enable {} bits{lanes}) does not fit `{}`, whose words have {} bits: the enable has one bit and the lanes divide the word",
                        data.width(),
                        enable.width(),
                        self.name(),
                        self.width
                    ),
                );
            }
        }
        if !fits {
            self.excuse();
            return;
        }
        let ([enable, address, data], lanes) = ([enable, address, data].map(|s| s.id), lanes.map(|lanes| lanes.id));
        let clock = clock.index;
        self.edit(|memory| memory.writes.push(MemoryWrite { clock, enable, address, data, lanes, source }));
    }

    /// Reads through a register named `name`: the word at `address` is there after the next clock edge.
    #[track_caller]
    pub fn read(self, clock: Clock, name: &str, address: Signal) -> Signal {
        self.read_port(clock, name, None, address, Location::caller())
    }

    /// Like [`read`](Self::read), but the register holds while `enable` is 0.
    #[track_caller]
    pub fn read_when(self, clock: Clock, name: &str, enable: Signal, address: Signal) -> Signal {
        self.read_port(clock, name, Some(enable), address, Location::caller())
    }

    fn read_port(self, clock: Clock, name: &str, enable: Option<Signal>, address: Signal, source: Source) -> Signal {
        let address = address.node_in_this_module(source);
        let enable = enable.map(|enable| enable.node_in_this_module(source));
        let mut fits = self.check_address("read", address, source);
        fits &= self.check_clock("read", clock, source);
        if let Some(enable) = enable.filter(|enable| enable.width() != 1) {
            fits = false;
            if !is_excused(enable) {
                let (memory, width) = (self.name(), enable.width());
                let message = "compare it, or use `any()`";
                problem(
                    source,
                    format!("the read enable of `{memory}` has one bit, and this one has {width}: {message}"),
                );
            }
        }
        if !fits {
            // The name is taken, and the word is as wide as it would be.
            let wire = new_node(NodeKind::Wire, self.width, Some(name.into()), source);
            excuse([wire.id]);
            return wire;
        }
        let clock = clock.index;
        let port = building(|b| b.ir.memories[self.index].reads.len());
        let data = new_node(NodeKind::MemoryRead { memory: self.index, port }, self.width, Some(name.into()), source);
        let (address, enable) = (address.id, enable.map(|enable| enable.id));
        self.edit(|memory| memory.reads.push(MemoryReadPort { clock, enable, address, data: data.id, source }));
        data
    }

    /// Reads combinationally: distributed RAM only, except in what is asserted. An address at or above the depth reads zero.
    #[track_caller]
    pub fn lookup(self, address: Signal) -> Signal {
        let source = Location::caller();
        let address = address.node_in_this_module(source);
        if !self.check_address("read", address, source) {
            return stand_in(self.width, source);
        }
        let address = address.id;
        new_node(NodeKind::MemoryLookup { memory: self.index, address }, self.width, None, source)
    }
}

/// Asserts of each memory without collisions that there are none between ports of one clock. Those of two clocks the evaluator watches.
pub(crate) fn assert_no_collisions(m: &Module) {
    let memories: Vec<Memory> =
        building(|b| b.ir.memories.iter().filter(|memory| memory.undefined_collisions).cloned().collect());
    for memory in memories {
        let signal = |id: NodeId| building(|b| Signal::new(b.uid, id, b.ir.nodes[id].width));
        for (number, write) in memory.writes.iter().enumerate() {
            let writes = memory.writes[number + 1..].iter().map(|w| (w.clock, Some(w.enable), w.address));
            let reads = memory.reads.iter().map(|r| (r.clock, r.enable, r.address));
            let others = writes.chain(reads).enumerate().filter(|(_, (clock, ..))| *clock == write.clock);
            for (other, (_, enable, address)) in others {
                let lanes = write.lanes.map(|lanes| signal(lanes).any());
                let both = [Some(signal(write.enable)), lanes, enable.map(signal)].into_iter().flatten();
                let both = both.reduce(|a, b| a & b).expect("a write has an enable");
                let apart = !(both & signal(write.address).eq(signal(address)));
                let name = format!("{}_no_collision_{number}_{other}", memory.name);
                property(PropertyKind::Assert, m.clock_number(write.clock), &name, apart, write.source);
            }
        }
    }
}

/// How many bits address `depth` words; at least one.
pub const fn address_width(depth: u32) -> u32 {
    if depth <= 2 {
        1
    } else {
        32 - (depth - 1).leading_zeros()
    }
}
