//! Building a module: ports, registers, wires, memories, instances.
//!
//! A [`Block`] describes itself by calling methods of [`Module`] in `build`. Mistakes do not stop the build: each is noted as a
//! [`Problem`] with its Rust source line, and [`elaborate`] returns them all.

use crate::check;
use crate::ir::*;
use crate::signal::{Operand, Signal};
use crate::value::{Shape, Value};
use crate::Constant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// A piece of hardware that can build itself as a module.
pub trait Block {
    /// The name of the module; configurations that differ must have different names.
    fn name(&self) -> String;
    /// What the module is for, in a line or two; written above it in the Verilog.
    fn description(&self) -> String {
        String::new()
    }
    /// Describes the hardware.
    fn build(&self, m: &Module);
}

/// A mistake in a description of hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The module in which it was found.
    pub module: String,
    /// What is wrong, with the names involved, and what to do about it.
    pub message: String,
    /// The Rust source line.
    pub source: Source,
}

/// Every mistake that an elaboration found; never empty.
#[derive(Clone, Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, p) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{}: in module `{}`: {}", p.source.file(), p.source.line(), p.module, p.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

pub(crate) struct Building {
    pub uid: u32,
    pub ir: ModuleIr,
    pub blocks: Vec<Vec<Statement>>,
    pub names: BTreeMap<String, Source>,
}

#[derive(Default)]
pub(crate) struct Elaboration {
    pub stack: Vec<Building>,
    pub next_uid: u32,
    pub done: Vec<Rc<ModuleIr>>,
    pub problems: Vec<Problem>,
}

thread_local! {
    static ELABORATION: RefCell<Elaboration> = RefCell::new(Elaboration::default());
}

pub(crate) fn with_elaboration<R>(f: impl FnOnce(&mut Elaboration) -> R) -> R {
    ELABORATION.with(|s| f(&mut s.borrow_mut()))
}

/// Runs `f` on the module that is being built.
pub(crate) fn building<R>(f: impl FnOnce(&mut Building) -> R) -> R {
    with_elaboration(|s| {
        f(s.stack.last_mut().expect("hardware is described inside `Block::build`, which `elaborate` calls"))
    })
}

pub(crate) fn problem(source: Source, message: impl Into<String>) {
    with_elaboration(|s| {
        let module = s.stack.last().map_or_else(String::new, |b| b.ir.name.clone());
        let problem = Problem { module, message: message.into(), source };
        if !s.problems.contains(&problem) {
            s.problems.push(problem);
        }
    });
}

pub(crate) fn push_statement(statement: Statement) {
    building(|b| b.blocks.last_mut().expect("a module has a body").push(statement));
}

impl Building {
    pub fn node(&mut self, kind: NodeKind, width: u32, name: Option<String>, source: Source) -> Signal {
        self.ir.nodes.push(Node { kind, width, name, labels: None, source });
        Signal::new(self.uid, self.ir.nodes.len() - 1, width)
    }

    fn port(&mut self, name: &str, direction: Direction, width: u32, node: NodeId, domain: Domain) {
        self.ir.ports.push(Port { name: name.into(), direction, width, node, domain });
    }
}

pub(crate) fn new_node(kind: NodeKind, width: u32, name: Option<String>, source: Source) -> Signal {
    if let Some(name) = &name {
        claim(name, source);
    }
    if width == 0 || width > MAX_WIDTH {
        let what = name.as_ref().map_or_else(|| "an expression".to_string(), |n| format!("`{n}`"));
        problem(source, format!("{what} is {width} bits wide; a signal has 1 to {MAX_WIDTH} bits"));
    }
    building(|b| b.node(kind, width.max(1), name, source))
}

/// The widest signal.
pub const MAX_WIDTH: u32 = 65_536;

/// Notes that `name` is taken in this module.
fn claim(name: &str, source: Source) {
    let mut chars = name.chars();
    let legal =
        chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !legal {
        problem(
            source,
            format!("`{name}` cannot be a name in Verilog: use letters, digits and `_`, beginning with a letter"),
        );
    } else if crate::emit::is_keyword(name) {
        problem(source, format!("`{name}` is a keyword of SystemVerilog: choose another name"));
    }
    let earlier = building(|b| b.names.insert(name.to_string(), source));
    if let Some(earlier) = earlier {
        problem(
            source,
            format!(
                "the name `{name}` is used twice: first at {}:{}; give one of them another name",
                earlier.file(),
                earlier.line()
            ),
        );
    }
}

/// A clock with its reset.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub(crate) module: u32,
    pub(crate) index: usize,
    pub(crate) reset: Option<Signal>,
}

impl Clock {
    /// The same clock with another synchronous reset, such as `reset | clear`.
    pub fn with_reset(self, reset: Signal) -> Clock {
        Clock { reset: Some(reset), ..self }
    }

    /// The reset.
    pub fn reset(self) -> Option<Signal> {
        self.reset
    }
}

/// The module that is being built.
pub struct Module {
    uid: u32,
}

impl Module {
    /// Adds the clock input `clock` and its synchronous reset input `reset`.
    #[track_caller]
    pub fn clock(&self) -> Clock {
        self.named_clock("clock", Some("reset"))
    }

    /// Adds a clock input with a name of its own and, if it has one, its synchronous reset input.
    #[track_caller]
    pub fn named_clock(&self, name: &str, reset: Option<&str>) -> Clock {
        let source = Location::caller();
        let node = new_node(NodeKind::Input, 1, Some(name.into()), source);
        let index = building(|b| {
            let index = b.ir.clocks.len();
            b.ir.clocks.push(ClockIr { name: name.into(), node: node.id, reset: None });
            b.port(name, Direction::Input, 1, node.id, Domain::ClockInput(index));
            index
        });
        let reset = reset.map(|name| {
            let reset = new_node(NodeKind::Input, 1, Some(name.into()), source);
            building(|b| {
                b.port(name, Direction::Input, 1, reset.id, Domain::Clock(index));
                b.ir.clocks[index].reset = Some(reset.id);
            });
            reset
        });
        Clock { module: self.uid, index, reset }
    }

    /// Says that clock domains may meet in this module, and why that is safe. For clock-domain crossing blocks only.
    pub fn crossing(&self, why: &str) {
        building(|b| b.ir.crossing = Some(why.into()));
    }

    /// Says that outputs may follow inputs within a clock, and why. For small blocks of `rtl-prim` and wiring only.
    pub fn allow_combinational(&self, why: &str) {
        building(|b| b.ir.combinational_because = Some(why.into()));
    }

    /// Where nothing sets `value`, anything will do: it needs no default.
    pub fn dont_care<V: Value>(&self, value: &V) {
        building(|b| b.ir.dont_care.extend(value.leaves().iter().map(|leaf| leaf.id)));
    }

    /// Where nothing sets `target` it is `value`. Unlike an assignment that comes first, this may be followed by one without a condition.
    #[track_caller]
    pub fn default_to(&self, target: Signal, value: impl Operand) {
        let source = Location::caller();
        let value = value.of_width(target.width());
        let [target, value] = [target, value].map(|s| s.node_in_this_module(source).id);
        building(|b| b.ir.defaults.push((target, value, source)));
    }

    fn default_domain(&self) -> Domain {
        building(|b| b.ir.clocks.len().checked_sub(1).map_or(Domain::Any, Domain::Clock))
    }

    pub(crate) fn input_at(&self, name: &str, width: u32, source: Source) -> Signal {
        self.input_with(name, width, self.default_domain(), source)
    }

    fn input_with(&self, name: &str, width: u32, domain: Domain, source: Source) -> Signal {
        let signal = new_node(NodeKind::Input, width, Some(name.into()), source);
        building(|b| b.port(name, Direction::Input, width, signal.id, domain));
        signal
    }

    /// Adds an input port that belongs to the clock declared last (to none if the module has no clock).
    #[track_caller]
    pub fn input(&self, name: &str, width: u32) -> Signal {
        self.input_at(name, width, Location::caller())
    }

    /// Adds an input port that belongs to `clock`.
    #[track_caller]
    pub fn input_of(&self, name: &str, width: u32, clock: Clock) -> Signal {
        self.input_with(name, width, Domain::Clock(clock.index), Location::caller())
    }

    /// Adds an input port that may change at any time.
    #[track_caller]
    pub fn input_async(&self, name: &str, width: u32) -> Signal {
        self.input_with(name, width, Domain::Async, Location::caller())
    }

    /// Adds an input port for each field of `T`.
    #[track_caller]
    pub fn input_as<T: Shape>(&self, name: &str) -> T::Value {
        let source = Location::caller();
        T::declare(name, &mut |name, width| self.input_at(name, width, source))
    }

    /// Adds an output port that shows `value`.
    #[track_caller]
    pub fn output(&self, name: &str, value: Signal) {
        let port = self.output_wire(name, value.width());
        port.set(value);
    }

    /// Adds an output port for each field of `value`.
    #[track_caller]
    pub fn output_as<T: Shape>(&self, name: &str, value: T::Value) {
        let source = Location::caller();
        let port = T::declare(name, &mut |name, width| self.output_at(name, width, source));
        port.set(value);
    }

    /// Adds an output port that is driven with `set`.
    #[track_caller]
    pub fn output_wire(&self, name: &str, width: u32) -> Signal {
        self.output_at(name, width, Location::caller())
    }

    pub(crate) fn output_at(&self, name: &str, width: u32, source: Source) -> Signal {
        let signal = new_node(NodeKind::Wire, width, Some(name.into()), source);
        building(|b| b.port(name, Direction::Output, width, signal.id, Domain::Any));
        signal
    }

    /// Names a value: in the Verilog, in the waveform, and in messages.
    #[track_caller]
    pub fn wire<V: Value>(&self, name: &str, value: V) -> V {
        let source = Location::caller();
        let named =
            value.rebuild_named(name, &mut |name, width| new_node(NodeKind::Wire, width, Some(name.into()), source));
        named.set(value);
        named
    }

    /// Adds a wire that is driven with `set`; it needs an assignment without a condition first.
    #[track_caller]
    pub fn wire_of_width(&self, name: &str, width: u32) -> Signal {
        new_node(NodeKind::Wire, width, Some(name.into()), Location::caller())
    }

    /// Adds a wire for each field of `T`, driven with `set`.
    #[track_caller]
    pub fn wire_as<T: Shape>(&self, name: &str) -> T::Value {
        let source = Location::caller();
        T::declare(name, &mut |name, width| new_node(NodeKind::Wire, width, Some(name.into()), source))
    }

    /// Adds a register which takes `initial` at reset. `initial` may be a [`Constant`], a variant of a hardware enum, or a constant signal.
    #[track_caller]
    pub fn reg<I: Initial>(&self, name: &str, clock: Clock, initial: I) -> I::Value {
        initial.declare_reg(name, clock, Location::caller())
    }

    /// Adds a register without a reset: its value is unknown until it is first set.
    #[track_caller]
    pub fn reg_without_reset(&self, name: &str, clock: Clock, width: u32) -> Signal {
        make_reg(name, clock, width, None, Location::caller())
    }

    /// Adds a register without a reset for each field of `T`.
    #[track_caller]
    pub fn reg_as<T: Shape>(&self, name: &str, clock: Clock) -> T::Value {
        let source = Location::caller();
        T::declare(name, &mut |name, width| make_reg(name, clock, width, None, source))
    }

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
        if depth == 0 || width == 0 {
            problem(
                source,
                format!("the memory `{name}` has {depth} words of {width} bits; it needs at least one of each"),
            );
        }
        if initial.len() > depth as usize || initial.iter().any(|c| c.width() != width) {
            problem(source, format!("the initial contents of `{name}` must be at most {depth} words of {width} bits"));
        }
        let index = building(|b| {
            b.ir.memories.push(Memory {
                name: name.into(),
                width,
                depth,
                style,
                initial,
                writes: vec![],
                reads: vec![],
                source,
            });
            b.ir.memories.len() - 1
        });
        MemoryHandle { index, width, depth }
    }

    /// Puts `block` inside this module. Its clocks are this module's clocks of the same name; if it has one clock and this module has one, those.
    #[track_caller]
    pub fn instance(&self, name: &str, block: &dyn Block) -> InstanceHandle {
        self.instance_with_clocks(name, block, &[])
    }

    /// Puts `block` inside this module with these clocks (and their resets) for its own, in their order.
    #[track_caller]
    pub fn instance_with_clocks(&self, name: &str, block: &dyn Block, clocks: &[Clock]) -> InstanceHandle {
        let source = Location::caller();
        let module = build_module(block, source);
        place(name, module, clocks, source)
    }

    /// Puts a module written in Verilog inside this one.
    #[track_caller]
    pub fn foreign(&self, name: &str, foreign: &Foreign, clocks: &[Clock]) -> InstanceHandle {
        place(name, foreign.to_ir(), clocks, Location::caller())
    }

    pub(crate) fn note_stream(&self, stream: StreamPort) {
        building(|b| b.ir.streams.push(stream));
    }

    /// The clock declared last; streams belong to it.
    #[track_caller]
    pub(crate) fn last_clock(&self) -> Clock {
        let (index, reset) = building(|b| {
            let index = b.ir.clocks.len().saturating_sub(1);
            let reset = b.ir.clocks.get(index).and_then(|c| c.reset).map(|id| Signal::new(b.uid, id, 1));
            (index, reset)
        });
        Clock { module: self.uid, index, reset }
    }
}

pub(crate) fn make_reg(name: &str, clock: Clock, width: u32, initial: Option<Constant>, source: Source) -> Signal {
    let uid = building(|b| b.uid);
    if clock.module != uid {
        problem(source, format!("the register `{name}` uses a clock of another module: pass the clock through a port"));
        return new_node(NodeKind::Wire, width, Some(name.into()), source);
    }
    let reset = match (initial, clock.reset) {
        (Some(value), Some(reset)) => Some((reset.node_in_this_module(source).id, value)),
        (Some(_), None) => {
            problem(
                source,
                format!("the register `{name}` has a reset value but its clock has no reset: use `reg_without_reset`"),
            );
            None
        }
        (None, _) => None,
    };
    new_node(NodeKind::Reg { clock: clock.index, reset }, width, Some(name.into()), source)
}

/// What a register can be reset to.
pub trait Initial {
    /// The register's value in expressions.
    type Value;
    /// Adds the register.
    fn declare_reg(self, name: &str, clock: Clock, source: Source) -> Self::Value;
}

impl Initial for Constant {
    type Value = Signal;
    fn declare_reg(self, name: &str, clock: Clock, source: Source) -> Signal {
        make_reg(name, clock, self.width(), Some(self), source)
    }
}

impl Initial for Signal {
    type Value = Signal;
    fn declare_reg(self, name: &str, clock: Clock, source: Source) -> Signal {
        let signal = self.node_in_this_module(source);
        let constant = building(|b| match &b.ir.nodes[signal.id].kind {
            NodeKind::Constant(value) => Some(value.clone()),
            _ => None,
        });
        let constant = constant.unwrap_or_else(|| {
            problem(source, format!("the reset value of `{name}` is not a constant"));
            Constant::zero(self.width())
        });
        make_reg(name, clock, self.width(), Some(constant), source)
    }
}

/// A memory of the module that is being built.
#[derive(Clone, Copy, Debug)]
pub struct MemoryHandle {
    index: usize,
    width: u32,
    depth: u32,
}

impl MemoryHandle {
    /// Width of an address.
    pub fn address_width(self) -> u32 {
        address_width(self.depth)
    }

    fn check_port(self, what: &str, address: Signal, source: Source) {
        if address.width() != self.address_width() {
            let name = building(|b| b.ir.memories[self.index].name.clone());
            problem(
                source,
                format!(
                    "the {what} address of `{name}` is {} bits wide; {} words need {} bits",
                    address.width(),
                    self.depth,
                    self.address_width()
                ),
            );
        }
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
        self.check_port("write", address, source);
        if data.width() != self.width || enable.width() != 1 || lanes.is_some_and(|l| self.width % l.width() != 0) {
            let name = building(|b| b.ir.memories[self.index].name.clone());
            let lanes = lanes.map_or(String::new(), |l| format!(", {} lanes", l.width()));
            problem(
                source,
                format!(
                    "a write of {} bits (enable {} bits{lanes}) does not fit `{name}`, whose words have {} bits; the enable has one bit and the lanes divide the word",
                    data.width(),
                    enable.width(),
                    self.width
                ),
            );
            return;
        }
        let [enable, address, data] = [enable, address, data].map(|s| s.node_in_this_module(source).id);
        let lanes = lanes.map(|l| l.node_in_this_module(source).id);
        building(|b| {
            b.ir.memories[self.index].writes.push(MemoryWrite {
                clock: clock.index,
                enable,
                address,
                data,
                lanes,
                source,
            })
        });
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
        self.check_port("read", address, source);
        let port = building(|b| b.ir.memories[self.index].reads.len());
        let data = new_node(NodeKind::MemoryRead { memory: self.index, port }, self.width, Some(name.into()), source);
        let address = address.node_in_this_module(source).id;
        let enable = enable.map(|e| e.node_in_this_module(source).id);
        building(|b| {
            b.ir.memories[self.index].reads.push(MemoryReadPort {
                clock: clock.index,
                enable,
                address,
                data: data.id,
                source,
            });
        });
        data
    }

    /// Reads combinationally: distributed RAM only. An address at or above the depth reads zero.
    #[track_caller]
    pub fn lookup(self, address: Signal) -> Signal {
        let source = Location::caller();
        self.check_port("read", address, source);
        let style = building(|b| b.ir.memories[self.index].style);
        if matches!(style, MemoryStyle::Block | MemoryStyle::Ultra) {
            problem(source, "a block RAM cannot be read combinationally: use `read`, or `MemoryStyle::Distributed`");
        }
        let address = address.node_in_this_module(source).id;
        new_node(NodeKind::MemoryLookup { memory: self.index, address }, self.width, None, source)
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

/// A module written in Verilog, known by its ports.
#[derive(Clone, Debug)]
pub struct Foreign {
    name: String,
    parameters: Vec<(String, Constant)>,
    ports: Vec<Port>,
    clocks: Vec<ClockIr>,
    combinational: Vec<(String, Vec<String>)>,
    verilog: Option<String>,
}

impl Foreign {
    /// A module with this name and no ports yet.
    pub fn new(name: &str) -> Self {
        Foreign {
            name: name.into(),
            parameters: vec![],
            ports: vec![],
            clocks: vec![],
            combinational: vec![],
            verilog: None,
        }
    }

    /// Sets a parameter.
    pub fn parameter(mut self, name: &str, value: Constant) -> Self {
        self.parameters.push((name.into(), value));
        self
    }

    /// Adds a clock input and, if it has one, its synchronous reset input.
    pub fn clock(mut self, name: &str, reset: Option<&str>) -> Self {
        let index = self.clocks.len();
        let port = self.ports.len();
        self = self.add(name, Direction::Input, 1, Domain::ClockInput(index));
        if let Some(reset) = reset {
            self = self.add(reset, Direction::Input, 1, Domain::Clock(index));
        }
        self.clocks.push(ClockIr { name: name.into(), node: port, reset: reset.map(|_| port + 1) });
        self
    }

    /// Adds an input of the clock declared last.
    pub fn input(self, name: &str, width: u32) -> Self {
        let domain = self.clocks.len().checked_sub(1).map_or(Domain::Any, Domain::Clock);
        self.add(name, Direction::Input, width, domain)
    }

    /// Adds an output of the clock declared last.
    pub fn output(self, name: &str, width: u32) -> Self {
        let domain = self.clocks.len().checked_sub(1).map_or(Domain::Any, Domain::Clock);
        self.add(name, Direction::Output, width, domain)
    }

    /// Says that `output` depends on `inputs` without a register between.
    pub fn combinational(mut self, output: &str, inputs: &[&str]) -> Self {
        self.combinational.push((output.into(), inputs.iter().map(|i| i.to_string()).collect()));
        self
    }

    /// Carries the module's own text with the design.
    pub fn verilog(mut self, text: &str) -> Self {
        self.verilog = Some(text.into());
        self
    }

    fn add(mut self, name: &str, direction: Direction, width: u32, domain: Domain) -> Self {
        self.ports.push(Port { name: name.into(), direction, width, node: 0, domain });
        self
    }

    fn to_ir(&self) -> Rc<ModuleIr> {
        let find = |name: &String| self.ports.iter().position(|p| p.name == *name);
        let combinational = self
            .combinational
            .iter()
            .filter_map(|(o, inputs)| Some((find(o)?, inputs.iter().filter_map(find).collect())))
            .collect();
        Rc::new(ModuleIr {
            name: self.name.clone(),
            description: String::new(),
            foreign: Some(ForeignIr { parameters: self.parameters.clone(), verilog: self.verilog.clone() }),
            crossing: None,
            combinational_because: None,
            dont_care: vec![],
            defaults: vec![],
            nodes: vec![],
            ports: self.ports.clone(),
            clocks: self.clocks.clone(),
            memories: vec![],
            instances: vec![],
            streams: vec![],
            body: vec![],
            combinational,
        })
    }
}

fn place(name: &str, module: Rc<ModuleIr>, clocks: &[Clock], source: Source) -> InstanceHandle {
    claim(name, source);
    let uid = building(|b| b.uid);
    let own: Vec<ClockIr> = building(|b| b.ir.clocks.clone());
    if clocks.iter().any(|c| c.module != uid) {
        problem(source, format!("the instance `{name}` uses a clock of another module: pass the clock through a port"));
    }
    let chosen: Vec<Option<Clock>> = module
        .clocks
        .iter()
        .enumerate()
        .map(|(i, child)| {
            if let Some(clock) = clocks.get(i) {
                return Some(*clock);
            }
            let only = (own.len() == 1 && module.clocks.len() == 1).then_some(0);
            let index = own.iter().position(|c| c.name == child.name).or(only)?;
            let reset = own[index].reset.map(|id| Signal::new(uid, id, 1));
            Some(Clock { module: uid, index, reset })
        })
        .collect();
    for (child, clock) in module.clocks.iter().zip(&chosen) {
        match clock {
            None => problem(source, format!("the instance `{name}` has a clock `{}` and this module has none of that name: use `instance_with_clocks`", child.name)),
            Some(clock) if child.reset.is_some() && clock.reset.is_none() => {
                problem(source, format!("the clock `{}` of the instance `{name}` needs a reset, and the clock given has none", child.name))
            }
            Some(_) => {}
        }
    }
    let index = building(|b| b.ir.instances.len());
    let mut connections = Vec::new();
    let foreign = module.foreign.is_some();
    for (port_index, port) in module.ports.iter().enumerate() {
        let clock_of = |want: &dyn Fn(&ClockIr) -> bool| module.clocks.iter().position(want).and_then(|i| chosen[i]);
        let as_clock = clock_of(&|c: &ClockIr| {
            if foreign {
                c.node == port_index
            } else {
                c.node == port.node && port.domain != Domain::Any
            }
        });
        let as_reset = clock_of(&|c: &ClockIr| {
            c.reset == Some(if foreign { port_index } else { port.node }) && port.direction == Direction::Input
        });
        let node = match port.direction {
            Direction::Input if matches!(port.domain, Domain::ClockInput(_)) => {
                as_clock.and_then(|c| own.get(c.index)).map(|c| c.node)
            }
            Direction::Input => match as_reset {
                Some(clock) => clock.reset.map(|r| r.node_in_this_module(source).id),
                None => Some(new_node(NodeKind::Wire, port.width, Some(format!("{name}_{}", port.name)), source).id),
            },
            Direction::Output => Some(
                new_node(
                    NodeKind::InstanceOutput { instance: index, port: port_index },
                    port.width,
                    Some(format!("{name}_{}", port.name)),
                    source,
                )
                .id,
            ),
        };
        connections.push(node.unwrap_or(0));
    }
    let clocks = chosen.iter().map(|c| c.map_or(0, |c| c.index)).collect();
    building(|b| {
        b.ir.instances.push(Instance {
            name: name.into(),
            module: module.clone(),
            connections: connections.clone(),
            clocks,
            source,
        })
    });
    InstanceHandle { name: name.into(), module, connections, uid }
}

/// An instance of a module, seen from the module that contains it.
#[derive(Clone, Debug)]
pub struct InstanceHandle {
    name: String,
    module: Rc<ModuleIr>,
    connections: Vec<NodeId>,
    uid: u32,
}

impl InstanceHandle {
    /// The port `name`: an input is driven with `set`, an output is read.
    #[track_caller]
    pub fn port(&self, name: &str) -> Signal {
        match self.module.port(name) {
            Some(index) => Signal::new(self.uid, self.connections[index], self.module.ports[index].width),
            None => {
                let known: Vec<&str> = self.module.ports.iter().map(|p| p.name.as_str()).collect();
                problem(
                    Location::caller(),
                    format!(
                        "the instance `{}` of `{}` has no port `{name}`; it has {}",
                        self.name,
                        self.module.name,
                        known.join(", ")
                    ),
                );
                crate::lit(0u64, 1)
            }
        }
    }

    /// The ports of a bundle whose names begin with `name`.
    #[track_caller]
    pub fn port_as<T: Shape>(&self, name: &str) -> T::Value {
        T::declare(name, &mut |name, _| self.port(name))
    }

    /// The ports of the stream `name`: valid, ready and payload leaves.
    pub(crate) fn stream_ports(&self, name: &str, source: Source) -> Option<(StreamPort, Signal, Signal, Vec<Signal>)> {
        let Some(stream) = self.module.streams.iter().find(|s| s.name == name) else {
            let known: Vec<&str> = self.module.streams.iter().map(|s| s.name.as_str()).collect();
            problem(
                source,
                format!(
                    "the instance `{}` of `{}` has no stream `{name}`; it has {}",
                    self.name,
                    self.module.name,
                    known.join(", ")
                ),
            );
            return None;
        };
        let leaves = stream.leaves.iter().map(|(suffix, _)| self.port(&format!("{name}{suffix}"))).collect();
        Some((stream.clone(), self.port(&stream.valid()), self.port(&stream.ready()), leaves))
    }

    /// The instance's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Builds `block` as a module of the running elaboration, or takes the one that was built before under the same name.
fn build_module(block: &dyn Block, source: Source) -> Rc<ModuleIr> {
    let name = block.name();
    let recursive = with_elaboration(|s| s.stack.iter().any(|b| b.ir.name == name));
    let uid = with_elaboration(|s| {
        s.next_uid += 1;
        s.next_uid
    });
    let empty = ModuleIr {
        name: name.clone(),
        description: block.description(),
        foreign: None,
        crossing: None,
        combinational_because: None,
        dont_care: vec![],
        defaults: vec![],
        nodes: vec![],
        ports: vec![],
        clocks: vec![],
        memories: vec![],
        instances: vec![],
        streams: vec![],
        body: vec![],
        combinational: vec![],
    };
    if recursive {
        problem(source, format!("the module `{name}` contains itself"));
        return Rc::new(empty);
    }
    with_elaboration(|s| {
        s.stack.push(Building { uid, ir: empty, blocks: vec![vec![]], names: BTreeMap::new() });
    });
    if name.is_empty() || crate::emit::is_keyword(&name) || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        problem(source, format!("`{name}` cannot be the name of a module"));
    }
    block.build(&Module { uid });
    let mut ir = with_elaboration(|s| {
        let mut built = s.stack.pop().expect("pushed above");
        built.ir.body = built.blocks.pop().expect("a module has a body");
        built.ir
    });
    let found = check::check(&mut ir);
    with_elaboration(|s| {
        for (message, source) in found {
            s.problems.push(Problem { module: name.clone(), message, source });
        }
        if let Some(earlier) = s.done.iter().find(|m| m.name == name) {
            if !earlier.is_same_hardware(&ir) {
                s.problems.push(Problem {
                    module: name.clone(),
                    message: format!("two different modules are named `{name}`: put what differs into `Block::name`"),
                    source,
                });
            }
            return earlier.clone();
        }
        let module = Rc::new(ir);
        s.done.push(module.clone());
        module
    })
}

/// Builds `block` and everything inside it, and checks it.
#[track_caller]
pub fn elaborate(block: &dyn Block) -> Result<Design, Problems> {
    let source = Location::caller();
    let outer = with_elaboration(std::mem::take);
    let guard = RestoreOuter(Some(outer));
    build_module(block, source);
    let elaboration = with_elaboration(std::mem::take);
    drop(guard);
    if elaboration.problems.is_empty() {
        Ok(Design { modules: elaboration.done })
    } else {
        Err(Problems(elaboration.problems))
    }
}

/// Puts the outer elaboration back, also when a block panics.
struct RestoreOuter(Option<Elaboration>);

impl Drop for RestoreOuter {
    fn drop(&mut self) {
        if let Some(outer) = self.0.take() {
            with_elaboration(|s| *s = outer);
        }
    }
}

/// A block made from a closure: for tests and examples.
pub struct BlockFn<F: Fn(&Module)> {
    name: String,
    build: F,
}

/// Makes a block from a name and a closure.
pub fn block_fn<F: Fn(&Module)>(name: &str, build: F) -> BlockFn<F> {
    BlockFn { name: name.into(), build }
}

impl<F: Fn(&Module)> Block for BlockFn<F> {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn build(&self, m: &Module) {
        (self.build)(m)
    }
}
