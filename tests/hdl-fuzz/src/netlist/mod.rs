//! # The netlist of yosys, run bit by bit
//!
//! The third opinion about what a design does. yosys reads the emitted Verilog and says which cells and flip-flops it means; what a cell does is
//! written here once more, from the definitions of yosys ("Internal cell library"). Nothing is shared with the evaluator, and nothing is clever: a
//! value is a list of bits, and every cell is computed again whenever something may have changed.
//!
//! ```text
//!   settle    all cells, each after those that drive it; then resets that take effect at once, until nothing changes
//!   step      settle; every flip-flop and write port whose clock rises looks at its inputs; then all of them change; settle
//! ```

mod cells;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use rtl_hdl::sim::{PortId, Simulator};
use sim_yosys::netlist::{Bit, Cell, Module};
use sim_yosys::Error;

use cells::Operation;

/// What yosys does after it has read the Verilog. Nothing is optimized or mapped: that would be a test of yosys. `simplemap` would make gates of most
/// cells, but its netlists are twenty times as large and take four times as long.
pub const SCRIPT: &str = "proc; flatten -noscopeinfo; opt_clean";

/// A netlist that runs.
#[derive(Debug)]
pub struct NetlistSimulator {
    ports: Vec<Port>,
    /// The value of each net.
    values: Vec<bool>,
    /// In an order in which each comes after those that drive it.
    cells: Vec<cells::Cell>,
    flip_flops: Vec<FlipFlop>,
    writes: Vec<WritePort>,
    memories: Vec<Memory>,
}

#[derive(Debug)]
struct Port {
    name: String,
    input: bool,
    nets: Vec<Net>,
}

/// Index into the values: a net, or one of the places behind them that hold constants.
type Net = usize;

#[derive(Debug)]
struct FlipFlop {
    clock: usize,
    from: Vec<Net>,
    to: Vec<Net>,
    /// Takes effect at once.
    reset: Option<Reset>,
}

#[derive(Debug)]
struct Reset {
    net: Net,
    /// Its value that resets.
    active: bool,
    value: Vec<bool>,
}

#[derive(Debug)]
struct WritePort {
    clock: usize,
    memory: usize,
    /// One for each bit of the word.
    enable: Vec<Net>,
    address: Vec<Net>,
    data: Vec<Net>,
    /// Numbers the write ports of a memory.
    number: usize,
    /// For each port of a lower number: whether this one wins where both write.
    wins: Vec<bool>,
}

/// Words, the first first.
#[derive(Debug)]
struct Memory {
    name: String,
    words: Vec<Vec<bool>>,
}

/// A write that is about to happen: which port, which word, and for each of its bits the new value, if it is written.
type Write<'a> = (&'a WritePort, usize, Vec<Option<bool>>);

impl NetlistSimulator {
    /// Reads the flat module that [`SCRIPT`] makes. The clocks are counted in the order of `clocks`, which are names of ports. What nothing sets
    /// at the start holds `start`: flip-flops, memories without contents, and values of which yosys says that they do not matter.
    ///
    /// # Errors
    /// If the netlist has a cell that is not known here, or is not what [`SCRIPT`] makes.
    pub fn new(module: &Module, clocks: &[&str], start: bool) -> Result<Self, Error> {
        let reading = Reading::new(module, clocks, start)?;
        let mut simulator = reading.simulator()?;
        simulator.settle();
        Ok(simulator)
    }

    /// How many cells are computed in each clock.
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    fn bits(&self, nets: &[Net]) -> Vec<bool> {
        nets.iter().map(|net| self.values[*net]).collect()
    }

    /// The number in these nets, if there is a word of that number.
    fn word_index(&self, memory: usize, address: &[Net]) -> Option<usize> {
        cells::number(address.iter().map(|net| self.values[*net]))
            .filter(|index| *index < self.memories[memory].words.len())
    }

    fn compute(&mut self) {
        for cell in &self.cells {
            cell.compute(&mut self.values, &self.memories);
        }
    }

    /// Puts the flip-flops whose reset is there into their reset value; whether that changed something.
    fn reset(&mut self) -> bool {
        let mut changed = false;
        for flip_flop in &self.flip_flops {
            let Some(reset) = flip_flop.reset.as_ref().filter(|reset| self.values[reset.net] == reset.active) else {
                continue;
            };
            for (net, value) in flip_flop.to.iter().zip(&reset.value) {
                changed |= self.values[*net] != *value;
                self.values[*net] = *value;
            }
        }
        changed
    }

    /// Writes into the memories.
    ///
    /// # Panics
    /// If two ports write one bit and the netlist does not say which wins: the design is wrong, or its Verilog is.
    fn write(memories: &mut [Memory], writes: &[Write]) {
        for (index, (port, address, data)) in writes.iter().enumerate() {
            for (other, other_address, other_data) in &writes[..index] {
                let same = other.memory == port.memory && other_address == address;
                let both = other_data.iter().zip(data).any(|(a, b)| a.is_some() && b.is_some());
                let decided = port.wins.get(other.number) == Some(&true);
                let memory = &memories[port.memory].name;
                assert!(
                    !same || !both || decided,
                    "two ports write word {address} of `{memory}`, and none of them wins"
                );
            }
        }
        for (port, address, data) in writes {
            let word = &mut memories[port.memory].words[*address];
            for (bit, value) in word.iter_mut().zip(data) {
                *bit = value.unwrap_or(*bit);
            }
        }
    }
}

impl Simulator for NetlistSimulator {
    fn port(&self, name: &str) -> PortId {
        let index = self.ports.iter().position(|port| port.name == name);
        PortId(index.unwrap_or_else(|| panic!("the netlist has no port `{name}`")))
    }

    fn poke(&mut self, port: PortId, words: &[u64]) {
        let port = &self.ports[port.0];
        assert!(port.input, "the port `{}` is an output: only inputs are poked", port.name);
        for (index, net) in port.nets.iter().enumerate() {
            self.values[*net] = words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1);
        }
    }

    fn peek(&self, port: PortId, words: &mut [u64]) {
        words.fill(0);
        for (index, net) in self.ports[port.0].nets.iter().enumerate() {
            if let Some(word) = words.get_mut(index / 64) {
                *word |= u64::from(self.values[*net]) << (index % 64);
            }
        }
    }

    /// # Panics
    /// If resets drive each other in a circle and never come to rest.
    fn settle(&mut self) {
        for _ in 0..self.flip_flops.len() + 2 {
            self.compute();
            if !self.reset() {
                return;
            }
        }
        panic!("resets that take effect at once drive each other in a circle");
    }

    fn step_clocks(&mut self, clocks: u64) {
        self.settle();
        let rises = |clock: usize| clocks >> clock & 1 == 1;
        let looked_at: Vec<Option<Vec<bool>>> = self
            .flip_flops
            .iter()
            .map(|flip_flop| rises(flip_flop.clock).then(|| self.bits(&flip_flop.from)))
            .collect();
        let mut writes: Vec<Write> = Vec::new();
        for port in self.writes.iter().filter(|port| rises(port.clock)) {
            let Some(address) = self.word_index(port.memory, &port.address) else { continue };
            let bits = port.enable.iter().zip(&port.data);
            let data = bits.map(|(enable, data)| self.values[*enable].then_some(self.values[*data])).collect();
            writes.push((port, address, data));
        }
        Self::write(&mut self.memories, &writes);
        for (flip_flop, bits) in self.flip_flops.iter().zip(looked_at) {
            for (net, bit) in flip_flop.to.iter().zip(bits.into_iter().flatten()) {
                self.values[*net] = bit;
            }
        }
        self.settle();
    }
}

/// A netlist that is being read.
struct Reading<'a> {
    module: &'a Module,
    clocks: HashMap<u64, usize>,
    start: bool,
    /// How many nets there are; behind them are the places of a zero, a one and a value that does not matter.
    nets: usize,
    memories: BTreeMap<&'a str, usize>,
}

impl<'a> Reading<'a> {
    fn new(module: &'a Module, clocks: &[&str], start: bool) -> Result<Self, Error> {
        let mut numbers = HashMap::new();
        for (index, name) in clocks.iter().enumerate() {
            let port = module.ports.get(*name).filter(|port| port.direction == "input");
            match port.map(|port| &port.bits[..]) {
                Some([Bit::Net(net)]) => numbers.insert(*net, index),
                _ => return Err(not_understood(format!("it has no clock `{name}` of one bit"))),
            };
        }
        let cells = module.cells.values().flat_map(|cell| cell.connections.values());
        let bits = module.ports.values().map(|port| &port.bits).chain(cells);
        let bits = bits.chain(module.netnames.values().map(|name| &name.bits)).flatten();
        let nets = bits.filter_map(|bit| bit.net()).max().map_or(0, |last| last as usize + 1);
        let memories = module.memories.keys().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        Ok(Self { module, clocks: numbers, start, nets, memories })
    }

    fn net(&self, bit: Bit) -> Net {
        match bit {
            Bit::Net(net) => net as usize,
            Bit::Constant(Some(value)) => self.nets + usize::from(value),
            Bit::Constant(None) => self.nets + 2,
        }
    }

    fn nets(&self, bits: &[Bit]) -> Vec<Net> {
        bits.iter().map(|bit| self.net(*bit)).collect()
    }

    fn port(&self, cell: &Described, port: &str) -> Result<Vec<Net>, Error> {
        let bits = cell.cell.connections.get(port);
        bits.map(|bits| self.nets(bits)).ok_or_else(|| cell.lacks("port", port))
    }

    fn clock(&self, cell: &Described) -> Result<usize, Error> {
        if cell.number("CLK_POLARITY")? != 1 {
            return Err(cell.is("clocked by a falling edge"));
        }
        let clock = match cell.cell.connections.get("CLK").map(|bits| &bits[..]) {
            Some([Bit::Net(net)]) => self.clocks.get(net),
            _ => None,
        };
        clock.copied().ok_or_else(|| cell.is("clocked by something that is no clock of the top"))
    }

    fn memory(&self, cell: &Described) -> Result<usize, Error> {
        let name = cell.text("MEMID")?.trim_start_matches('\\');
        self.memories.get(name).copied().ok_or_else(|| cell.is(&format!("a port of an unknown memory `{name}`")))
    }

    fn flip_flop(&self, cell: &Described) -> Result<FlipFlop, Error> {
        let reset = match cell.cell.kind.as_str() {
            "$dff" => None,
            _ => {
                let net = *self.port(cell, "ARST")?.first().ok_or_else(|| cell.lacks("port", "ARST"))?;
                let value = cell.bits("ARST_VALUE")?.into_iter().map(|bit| bit.unwrap_or(self.start)).collect();
                Some(Reset { net, active: cell.number("ARST_POLARITY")? == 1, value })
            }
        };
        Ok(FlipFlop { clock: self.clock(cell)?, from: self.port(cell, "D")?, to: self.port(cell, "Q")?, reset })
    }

    fn write_port(&self, cell: &Described) -> Result<WritePort, Error> {
        if cell.number("CLK_ENABLE")? != 1 {
            return Err(cell.is("a write without a clock"));
        }
        Ok(WritePort {
            clock: self.clock(cell)?,
            memory: self.memory(cell)?,
            enable: self.port(cell, "EN")?,
            address: self.port(cell, "ADDR")?,
            data: self.port(cell, "DATA")?,
            number: cell.number("PORTID")? as usize,
            wins: cell.bits("PRIORITY_MASK")?.into_iter().map(|bit| bit == Some(true)).collect(),
        })
    }

    /// The memories with their contents.
    fn contents(&self, cells: &[Described]) -> Result<Vec<Memory>, Error> {
        let mut memories = Vec::new();
        for (name, memory) in &self.module.memories {
            if memory.start_offset != 0 {
                return Err(not_understood(format!("the memory `{name}` does not begin at word 0")));
            }
            let words = vec![vec![self.start; memory.width]; memory.size];
            memories.push(Memory { name: name.clone(), words });
        }
        let mut contents = Vec::new();
        for cell in cells.iter().filter(|cell| cell.cell.kind == "$meminit_v2") {
            contents.push((cell.number("PRIORITY")?, cell));
        }
        contents.sort_by_key(|(priority, _)| *priority);
        for (_, cell) in contents {
            let words = &mut memories[self.memory(cell)?].words;
            let width = words.first().map_or(0, Vec::len);
            let constant = |port| self.port(cell, port).map(|nets| nets.into_iter().map(|net| self.constant(net)));
            let first = cells::number(constant("ADDR")?).ok_or_else(|| cell.is("a word behind the last one"))?;
            let enable: Vec<bool> = constant("EN")?.collect();
            for (index, bit) in constant("DATA")?.enumerate().filter(|(index, _)| enable[index % width]) {
                let word = words.get_mut(first + index / width).ok_or_else(|| cell.is("a word behind the last one"))?;
                word[index % width] = bit;
            }
        }
        Ok(memories)
    }

    fn constant(&self, net: Net) -> bool {
        net == self.nets + 1 || net != self.nets && self.start
    }

    fn simulator(&self) -> Result<NetlistSimulator, Error> {
        let described: Vec<Described> = self.module.cells.iter().map(|(name, cell)| Described { name, cell }).collect();
        let (mut cells, mut flip_flops, mut writes) = (Vec::new(), Vec::new(), Vec::new());
        for cell in &described {
            match cell.cell.kind.as_str() {
                "$dff" | "$adff" => flip_flops.push(self.flip_flop(cell)?),
                "$memwr_v2" => writes.push(self.write_port(cell)?),
                "$meminit_v2" => {}
                "$memrd" | "$memrd_v2" if cell.number("CLK_ENABLE")? == 0 => {
                    let operation = Operation::Read(self.memory(cell)?);
                    let (inputs, output) = (vec![self.port(cell, "ADDR")?], self.port(cell, "DATA")?);
                    cells.push(cells::Cell { operation, inputs, output, unknown: self.start });
                }
                kind => {
                    let operation =
                        Operation::of(cell)?.ok_or_else(|| cell.is(&format!("of an unknown kind `{kind}`")))?;
                    let inputs = operation.inputs().iter().map(|port| self.port(cell, port));
                    let (inputs, output) = (inputs.collect::<Result<_, _>>()?, self.port(cell, "Y")?);
                    cells.push(cells::Cell { operation, inputs, output, unknown: self.start });
                }
            }
        }
        writes.sort_by_key(|port| port.number);
        let mut values = vec![self.start; self.nets];
        values.extend([false, true, self.start]);
        for name in self.module.netnames.values() {
            let init = name.attributes.get("init").and_then(|value| value.as_str()).unwrap_or_default();
            for (bit, digit) in name.bits.iter().zip(init.chars().rev()) {
                if let (Bit::Net(net), '0' | '1') = (bit, digit) {
                    values[*net as usize] = digit == '1';
                }
            }
        }
        let ports = self.module.ports.iter().map(|(name, port)| {
            let nets = self.nets(&port.bits);
            let input = port.direction == "input";
            if input {
                nets.iter().for_each(|net| values[*net] = false);
            }
            Port { name: name.clone(), input, nets }
        });
        let ports = ports.collect();
        let memories = self.contents(&described)?;
        Ok(NetlistSimulator { ports, values, cells: in_order(cells, self.nets)?, flip_flops, writes, memories })
    }
}

/// A cell with its name, for messages.
struct Described<'a> {
    name: &'a str,
    cell: &'a Cell,
}

impl Described<'_> {
    fn is(&self, what: &str) -> Error {
        not_understood(format!("the cell `{}` is {what}", self.name))
    }

    fn lacks(&self, what: &str, name: &str) -> Error {
        not_understood(format!("the cell `{}` ({}) has no {what} {name}", self.name, self.cell.kind))
    }

    /// A parameter as yosys writes it: text, or binary digits.
    fn text(&self, parameter: &str) -> Result<&str, Error> {
        let value = self.cell.parameters.get(parameter).and_then(|value| value.as_str());
        value.ok_or_else(|| self.lacks("parameter", parameter))
    }

    /// A parameter as bits, the lowest first; of some it does not matter what they are.
    fn bits(&self, parameter: &str) -> Result<Vec<Option<bool>>, Error> {
        let bit = |digit| match digit {
            '0' => Ok(Some(false)),
            '1' => Ok(Some(true)),
            'x' => Ok(None),
            _ => Err(self.lacks("digits in parameter", parameter)),
        };
        self.text(parameter)?.chars().rev().map(bit).collect()
    }

    fn number(&self, parameter: &str) -> Result<u64, Error> {
        u64::from_str_radix(self.text(parameter)?, 2).map_err(|_| self.lacks("number in parameter", parameter))
    }

    fn flag(&self, parameter: &str) -> Result<bool, Error> {
        Ok(self.number(parameter)? == 1)
    }
}

fn not_understood(what: String) -> Error {
    Error::Netlist(what)
}

/// Puts each cell after those that drive it.
fn in_order(cells: Vec<cells::Cell>, nets: usize) -> Result<Vec<cells::Cell>, Error> {
    let mut drivers: Vec<Option<usize>> = vec![None; nets + 3];
    for (index, cell) in cells.iter().enumerate() {
        for net in &cell.output {
            if drivers[*net].replace(index).is_some() {
                return Err(not_understood("it has a net that two cells drive".into()));
            }
        }
    }
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; cells.len()];
    let mut order = Vec::with_capacity(cells.len());
    // Depth first, without recursion: paths may be long.
    let mut pending: Vec<(usize, bool)> = (0..cells.len()).map(|index| (index, false)).collect();
    while let Some((index, drivers_are_done)) = pending.pop() {
        if drivers_are_done {
            marks[index] = Mark::Done;
            order.push(index);
        } else if marks[index] == Mark::New {
            marks[index] = Mark::Open;
            pending.push((index, true));
            let before = cells[index].inputs.iter().flatten().filter_map(|net| drivers[*net]);
            for before in before {
                match marks[before] {
                    Mark::New => pending.push((before, false)),
                    Mark::Open => return Err(not_understood("it has a combinational loop".into())),
                    Mark::Done => {}
                }
            }
        }
    }
    let mut cells: Vec<Option<cells::Cell>> = cells.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|index| cells[index].take()).collect())
}
