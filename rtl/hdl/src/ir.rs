//! The elaborated form of a design: plain data that the checks, the emitter and the evaluator read.
//!
//! A [`ModuleIr`] holds a graph of [`Node`]s. Expressions refer to other nodes by index. Wires, registers and output ports are driven by
//! the statements of `body`; in a body the last assignment that runs wins, as in an `always` block.

use crate::{Constant, Naming, ParameterValue};
use std::panic::Location;
use std::rc::Rc;

/// Index of a node in its module.
pub type NodeId = usize;

/// A line of Rust source.
pub type Source = &'static Location<'static>;

/// One value in a module.
#[derive(Clone, Debug)]
pub struct Node {
    /// What computes the value.
    pub kind: NodeKind,
    /// Width in bits, at least 1.
    pub width: u32,
    /// The name in the Verilog; expressions have none.
    pub name: Option<String>,
    /// For an enum: its variants in the order of their codes, for waveforms.
    pub labels: Option<&'static [&'static str]>,
    /// For an array: the number of its elements, the first in the lowest bits.
    pub elements: Option<u32>,
    /// Of which bundles and streams it is a field, for waveforms: how many characters of its name are the name of each, the outermost first.
    pub bundles: Vec<usize>,
    /// Where it was written.
    pub source: Source,
}

impl Node {
    /// The name of the variant with this code, if the node is an enum and not an array of them.
    pub fn label_of(&self, code: &Constant) -> Option<&'static str> {
        let labels = self.labels.filter(|_| self.elements.is_none())?;
        labels.get(usize::try_from(code.to_u64()?).ok()?).copied()
    }
}

/// What computes a node.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// An input port, or a clock or reset input.
    Input,
    /// A value driven by statements: a wire, an output port, or the input of an instance.
    Wire,
    /// A register.
    Reg {
        /// Index into [`ModuleIr::clocks`].
        clock: usize,
        /// What resets it.
        reset: Option<Reset>,
    },
    /// An output of an instance.
    InstanceOutput {
        /// Index into [`ModuleIr::instances`].
        instance: usize,
        /// Index into the ports of the instantiated module.
        port: usize,
    },
    /// The data register of a clocked memory read port.
    MemoryRead {
        /// Index into [`ModuleIr::memories`].
        memory: usize,
        /// Index into [`Memory::reads`].
        port: usize,
    },
    /// An asynchronous (combinational) memory read.
    MemoryLookup {
        /// Index into [`ModuleIr::memories`].
        memory: usize,
        /// The address.
        address: NodeId,
    },
    /// A constant.
    Constant(Constant),
    /// Bitwise inversion.
    Not(NodeId),
    /// A reduction of all bits to one.
    Reduce(ReduceOp, NodeId),
    /// An operation on two values of equal width; comparisons give one bit.
    Binary(BinaryOp, NodeId, NodeId),
    /// `left << right` or `left >> right`; the amount is unsigned and may have any width.
    Shift(ShiftOp, NodeId, NodeId),
    /// `condition ? then : otherwise`.
    Mux(NodeId, NodeId, NodeId),
    /// Concatenation, highest bits first, as in Verilog.
    Concat(Vec<NodeId>),
    /// `width` bits from bit `low` up.
    Slice(NodeId, u32),
    /// Word number `index` of `base`, in words of this node's width; `base` has exactly `2^index.width` words.
    Select(NodeId, NodeId),
}

/// What resets a register.
#[derive(Clone, Debug)]
pub struct Reset {
    /// One bit.
    pub signal: NodeId,
    /// The value that it loads.
    pub value: Constant,
    /// When.
    pub kind: ResetKind,
}

/// When a reset takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ResetKind {
    /// At an edge of the register's clock.
    #[default]
    Synchronous,
    /// At once, whatever the clock does.
    Asynchronous,
}

/// Reductions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReduceOp {
    /// True if all bits are set.
    And,
    /// True if any bit is set.
    Or,
    /// True if an odd number of bits is set.
    Xor,
}

/// Operations on two values of equal width. Comparisons are unsigned unless their name says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Eq,
    Ne,
    Lt,
    Le,
    SignedLt,
    SignedLe,
}

impl BinaryOp {
    /// The operator in SystemVerilog and in messages.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::And => "&",
            BinaryOp::Or => "|",
            BinaryOp::Xor => "^",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt | BinaryOp::SignedLt => "<",
            BinaryOp::Le | BinaryOp::SignedLe => "<=",
        }
    }

    /// True if the result is one bit whatever the operands' width.
    pub fn is_comparison(self) -> bool {
        matches!(self, BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le) || self.is_signed()
    }

    /// True if the operands are two's complement.
    pub fn is_signed(self) -> bool {
        matches!(self, BinaryOp::SignedLt | BinaryOp::SignedLe)
    }
}

/// Shifts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum ShiftOp {
    Left,
    Right,
    /// Copies of the highest bit are shifted in.
    SignedRight,
}

/// What happens in a body, in order.
#[derive(Clone, Debug)]
pub enum Statement {
    /// The target takes the value.
    Set {
        /// A `Wire` or a `Reg`.
        target: NodeId,
        /// For an array: the number of the element that takes it; an index beyond the last one sets nothing.
        element: Option<NodeId>,
        /// A node of the width of the target, or of the element.
        value: NodeId,
        /// Where it was written.
        source: Source,
    },
    /// The first arm whose condition holds, else `otherwise`.
    If {
        /// One-bit conditions and their bodies.
        arms: Vec<(NodeId, Vec<Statement>)>,
        /// Runs when no condition holds.
        otherwise: Vec<Statement>,
    },
    /// The arm with the value of `on`, else `default`.
    Switch {
        /// The value looked at.
        on: NodeId,
        /// Distinct values.
        arms: Vec<SwitchArm>,
        /// Runs for all other values.
        default: Vec<Statement>,
        /// True if the arms cover every value that can occur (an enum), so `default` is never reached.
        exhaustive: bool,
    },
}

/// One arm of a switch.
#[derive(Clone, Debug)]
pub struct SwitchArm {
    /// The value.
    pub value: Constant,
    /// Its name, for the reader of the Verilog.
    pub label: String,
    /// What happens.
    pub body: Vec<Statement>,
}

/// The direction of a port, seen from inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Direction {
    Input,
    Output,
}

/// What the values of a port belong to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// Values change with this clock of the module.
    Clock(usize),
    /// A clock input itself.
    ClockInput(usize),
    /// Values of no clock: constants, and ports of modules without a clock.
    Any,
    /// Values that may change at any time; only a crossing block may read them.
    Async,
}

/// A port.
#[derive(Clone, Debug)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Direction.
    pub direction: Direction,
    /// Width in bits.
    pub width: u32,
    /// The `Input` or `Wire` node inside; unused (0) in a foreign module.
    pub node: NodeId,
    /// The clock that the port belongs to. Of an output of a module of ours: found by the check.
    pub domain: Domain,
}

/// A clock of a module.
#[derive(Clone, Debug)]
pub struct ClockIr {
    /// Name of the input port.
    pub name: String,
    /// Node of the input port.
    pub node: NodeId,
    /// Node of the reset input that comes with it; in a foreign module the index of the port.
    pub reset: Option<NodeId>,
    /// When that takes effect: of a module of ours at an edge.
    pub reset_kind: ResetKind,
}

/// Which storage a memory should become; a hint to the tools.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryStyle {
    /// Look-up table RAM: small, may be read combinationally.
    Distributed,
    /// Block RAM: read through a clock.
    Block,
    /// UltraRAM.
    Ultra,
    /// The tool decides.
    Auto,
}

/// A memory. Reads that meet a write of the same clock and address see the old word, unless collisions are undefined.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Name.
    pub name: String,
    /// Width of a word in bits.
    pub width: u32,
    /// Number of words.
    pub depth: u32,
    /// Hint for the tools.
    pub style: MemoryStyle,
    /// Initial contents; empty: unspecified (zero in simulation).
    pub initial: Vec<Constant>,
    /// If its ports may belong to several clocks: why that is safe.
    pub crossing: Option<String>,
    /// Nothing is promised when a write meets another access of the same address in the same moment: it must not happen.
    pub undefined_collisions: bool,
    /// Write ports.
    pub writes: Vec<MemoryWrite>,
    /// Clocked read ports.
    pub reads: Vec<MemoryReadPort>,
    /// Where it was written.
    pub source: Source,
}

/// A write port.
#[derive(Clone, Debug)]
pub struct MemoryWrite {
    /// Index into [`ModuleIr::clocks`].
    pub clock: usize,
    /// One bit.
    pub enable: NodeId,
    /// Address; words at or above the depth are not written.
    pub address: NodeId,
    /// The word.
    pub data: NodeId,
    /// One bit for each equal part of the word, lowest first.
    pub lanes: Option<NodeId>,
    /// Where it was written.
    pub source: Source,
}

/// A clocked read port; its data is a `MemoryRead` node.
#[derive(Clone, Debug)]
pub struct MemoryReadPort {
    /// Index into [`ModuleIr::clocks`].
    pub clock: usize,
    /// One bit; the data holds when it is 0. `None`: always reads.
    pub enable: Option<NodeId>,
    /// Address.
    pub address: NodeId,
    /// The `MemoryRead` node.
    pub data: NodeId,
    /// Where it was written.
    pub source: Source,
}

/// A module inside a module.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Name.
    pub name: String,
    /// The module.
    pub module: Rc<ModuleIr>,
    /// For each port: the node of this module on it. Inputs: a `Wire` driven here (clocks and resets: the node itself); outputs: an
    /// `InstanceOutput`.
    pub connections: Vec<NodeId>,
    /// For each clock of the child: the clock of this module.
    pub clocks: Vec<usize>,
    /// Where it was written.
    pub source: Source,
}

/// A stream port: valid, ready and the leaves of its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPort {
    /// Name.
    pub name: String,
    /// Direction of valid and payload.
    pub direction: Direction,
    /// How its ports are named.
    pub naming: Naming,
    /// Suffix (with its leading `_`, if any; or empty) and width of each payload port.
    pub leaves: Vec<(String, u32)>,
}

/// A value that goes from one clock domain to another. Those of a memory with ports of several clocks are in [`Memory::crossing`].
#[derive(Clone, Debug)]
pub struct Crossing {
    /// What is looked at: it belongs to another clock, or to none.
    pub from: NodeId,
    /// Where it arrives: the registers of a synchroniser, the first first, or one wire.
    pub to: Vec<NodeId>,
    /// The clock of the place where it arrives: index into [`ModuleIr::clocks`].
    pub clock: usize,
    /// What makes it safe.
    pub kind: CrossingKind,
    /// The same for the reader.
    pub why: String,
    /// Where it was written.
    pub source: Source,
}

/// What makes a crossing safe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrossingKind {
    /// A chain of registers, which gives the first one time to settle. At most one bit changes at a time.
    Synchronizer,
    /// The value stands still while it is looked at.
    Held,
}

/// Something that is asserted, assumed or covered, at every edge of a clock at which its reset is not set.
#[derive(Clone, Debug)]
pub struct Property {
    /// What it is.
    pub kind: PropertyKind,
    /// Its name in the Verilog and in messages.
    pub name: String,
    /// Index into [`ModuleIr::clocks`].
    pub clock: usize,
    /// While this is set, nothing is asked.
    pub reset: Option<NodeId>,
    /// One bit.
    pub condition: NodeId,
    /// Where it was written.
    pub source: Source,
}

/// Kinds of properties.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PropertyKind {
    /// Always holds.
    Assert,
    /// Always holds, because what is around the module makes it so.
    Assume,
    /// Holds at some time.
    Cover,
}

impl PropertyKind {
    /// The keyword of SystemVerilog.
    pub fn keyword(self) -> &'static str {
        match self {
            PropertyKind::Assert => "assert",
            PropertyKind::Assume => "assume",
            PropertyKind::Cover => "cover",
        }
    }
}

/// An elaborated module.
#[derive(Clone, Debug)]
pub struct ModuleIr {
    /// Name.
    pub name: String,
    /// The description that goes above the Verilog module.
    pub description: String,
    /// A foreign module has ports and parameters only.
    pub foreign: Option<ForeignIr>,
    /// If outputs may follow inputs within a clock: why.
    pub combinational_because: Option<String>,
    /// Wires whose value does not matter where nothing sets it. After the check: those whose first assignment is there for that.
    pub dont_care: Vec<NodeId>,
    /// Targets with the value that they have where nothing sets them; part of the body after the checks.
    pub defaults: Vec<(NodeId, NodeId, Source)>,
    /// All values.
    pub nodes: Vec<Node>,
    /// Ports in the order of declaration.
    pub ports: Vec<Port>,
    /// Clocks in the order of declaration.
    pub clocks: Vec<ClockIr>,
    /// Memories.
    pub memories: Vec<Memory>,
    /// Instances.
    pub instances: Vec<Instance>,
    /// Streams among the ports.
    pub streams: Vec<StreamPort>,
    /// Where values go from one clock domain to another.
    pub crossings: Vec<Crossing>,
    /// What is asserted, assumed and covered.
    pub properties: Vec<Property>,
    /// What drives wires and registers.
    pub body: Vec<Statement>,
    /// For each output port (in port order): the input ports it depends on without a register between. Found by the check.
    pub combinational: Vec<(usize, Vec<usize>)>,
}

/// What only a foreign module has.
#[derive(Clone, Debug, Default)]
pub struct ForeignIr {
    /// Verilog parameters.
    pub parameters: Vec<(String, ParameterValue)>,
    /// SystemVerilog text that defines it, if the design should carry it.
    pub verilog: Option<Rc<str>>,
    /// The names and texts of the licences that go with it.
    pub licences: Vec<(String, Rc<str>)>,
    /// Something about its ports is wrong, and has been reported.
    pub is_unreadable: bool,
}

impl ModuleIr {
    /// A module of this name with nothing in it.
    pub(crate) fn empty(name: &str) -> ModuleIr {
        ModuleIr {
            name: name.into(),
            description: String::new(),
            foreign: None,
            combinational_because: None,
            dont_care: vec![],
            defaults: vec![],
            nodes: vec![],
            ports: vec![],
            clocks: vec![],
            memories: vec![],
            instances: vec![],
            streams: vec![],
            crossings: vec![],
            properties: vec![],
            body: vec![],
            combinational: vec![],
        }
    }

    /// The value of a constant node.
    pub fn constant(&self, id: NodeId) -> Option<&Constant> {
        match &self.nodes[id].kind {
            NodeKind::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// What the parameters of a foreign module are set to.
    pub fn parameters(&self) -> &[(String, ParameterValue)] {
        self.foreign.as_ref().map_or(&[], |foreign| &foreign.parameters)
    }

    /// The port with this name.
    pub fn port(&self, name: &str) -> Option<usize> {
        self.ports.iter().position(|p| p.name == name)
    }

    /// True if `other` describes the same hardware, and says the same about it; the lines that do may differ.
    pub fn is_same_hardware(&self, other: &ModuleIr) -> bool {
        self.fingerprint() == other.fingerprint()
    }

    /// Everything but the source lines, as text.
    fn fingerprint(&self) -> String {
        let nodes: Vec<_> = self.nodes.iter().map(|n| (&n.kind, n.width, &n.name, n.elements, n.labels)).collect();
        let ports: Vec<_> = self.ports.iter().map(|p| (&p.name, p.direction, p.width, p.node, p.domain)).collect();
        let memories: Vec<_> = self
            .memories
            .iter()
            .map(|m| {
                let writes: Vec<_> = m.writes.iter().map(|w| (w.clock, w.enable, w.address, w.data, w.lanes)).collect();
                let reads: Vec<_> = m.reads.iter().map(|r| (r.clock, r.enable, r.address, r.data)).collect();
                let crosses = m.crossing.is_some();
                (&m.name, m.width, m.depth, m.style, &m.initial, m.undefined_collisions, crosses, writes, reads)
            })
            .collect();
        let instances: Vec<_> = self
            .instances
            .iter()
            .map(|i| (&i.name, &i.module.name, i.module.parameters(), &i.connections, &i.clocks))
            .collect();
        let properties: Vec<_> =
            self.properties.iter().map(|p| (p.kind, &p.name, p.clock, p.reset, p.condition)).collect();
        let crossings: Vec<_> = self.crossings.iter().map(|c| (c.from, &c.to, c.clock, c.kind)).collect();
        let mut body = String::new();
        statements_text(&self.body, &mut body);
        let streams = &self.streams;
        format!("{nodes:?}{ports:?}{memories:?}{instances:?}{properties:?}{crossings:?}{streams:?}{body}")
    }

    /// What a person calls this node: its name, or what it is.
    pub fn describe(&self, id: NodeId) -> String {
        let node = &self.nodes[id];
        if let Some(name) = &node.name {
            return format!("`{name}`");
        }
        match &node.kind {
            NodeKind::Constant(value) => format!("`{}`", value.verilog()),
            NodeKind::Binary(op, a, b) => format!("({} {} {})", self.describe(*a), op.symbol(), self.describe(*b)),
            NodeKind::Not(a) => format!("!{}", self.describe(*a)),
            NodeKind::Slice(a, low) => format!("{}[{}..{}]", self.describe(*a), low, low + node.width),
            _ => format!("an expression of {} bits", node.width),
        }
    }

    /// The nodes that an expression node reads directly.
    pub fn operands(&self, id: NodeId) -> Vec<NodeId> {
        match &self.nodes[id].kind {
            NodeKind::Input
            | NodeKind::Wire
            | NodeKind::Reg { .. }
            | NodeKind::InstanceOutput { .. }
            | NodeKind::MemoryRead { .. }
            | NodeKind::Constant(_) => vec![],
            NodeKind::MemoryLookup { address, .. } => vec![*address],
            NodeKind::Not(a) | NodeKind::Reduce(_, a) | NodeKind::Slice(a, _) => vec![*a],
            NodeKind::Binary(_, a, b) | NodeKind::Shift(_, a, b) | NodeKind::Select(a, b) => vec![*a, *b],
            NodeKind::Mux(c, a, b) => vec![*c, *a, *b],
            NodeKind::Concat(parts) => parts.clone(),
        }
    }
}

/// A body without its source lines, as text.
fn statements_text(body: &[Statement], text: &mut String) {
    use std::fmt::Write;
    for statement in body {
        match statement {
            Statement::Set { target, element, value, .. } => {
                let _ = write!(text, "{target}{element:?}={value};");
            }
            Statement::If { arms, otherwise } => {
                for (condition, body) in arms {
                    let _ = write!(text, "if {condition}{{");
                    statements_text(body, text);
                    text.push('}');
                }
                text.push_str("else{");
                statements_text(otherwise, text);
                text.push('}');
            }
            Statement::Switch { on, arms, default, exhaustive } => {
                let _ = write!(text, "switch {on} {exhaustive}{{");
                for arm in arms {
                    let _ = write!(text, "{:?}{{", arm.value);
                    statements_text(&arm.body, text);
                    text.push('}');
                }
                text.push_str("}default{");
                statements_text(default, text);
                text.push('}');
            }
        }
    }
}

/// An elaborated design: every module once, each after the modules that it contains; the top is last.
#[derive(Clone, Debug)]
pub struct Design {
    /// The modules.
    pub modules: Vec<Rc<ModuleIr>>,
}

impl Design {
    /// The top module.
    pub fn top(&self) -> &Rc<ModuleIr> {
        self.modules.last().expect("a design has a top")
    }
}

/// Calls `visit` on every assignment in `body`, with the conditions on the way to it.
pub fn for_each_set<'a>(body: &'a [Statement], visit: &mut dyn FnMut(&'a Statement, &[NodeId])) {
    fn walk<'a>(body: &'a [Statement], path: &mut Vec<NodeId>, visit: &mut dyn FnMut(&'a Statement, &[NodeId])) {
        for statement in body {
            match statement {
                Statement::Set { .. } => visit(statement, path),
                Statement::If { arms, otherwise } => {
                    let depth = path.len();
                    for (condition, body) in arms {
                        path.push(*condition);
                        walk(body, path, visit);
                    }
                    walk(otherwise, path, visit);
                    path.truncate(depth);
                }
                Statement::Switch { on, arms, default, .. } => {
                    path.push(*on);
                    for arm in arms {
                        walk(&arm.body, path, visit);
                    }
                    walk(default, path, visit);
                    path.pop();
                }
            }
        }
    }
    walk(body, &mut Vec::new(), visit);
}

/// The part of `body` that drives `target`, with empty branches removed.
pub fn part_for(body: &[Statement], target: NodeId) -> Vec<Statement> {
    body.iter()
        .filter_map(|statement| match statement {
            Statement::Set { target: t, .. } => (*t == target).then(|| statement.clone()),
            Statement::If { arms, otherwise } => {
                let arms: Vec<_> = arms.iter().map(|(c, body)| (*c, part_for(body, target))).collect();
                let otherwise = part_for(otherwise, target);
                let used = arms.iter().any(|(_, body)| !body.is_empty()) || !otherwise.is_empty();
                used.then_some(Statement::If { arms, otherwise })
            }
            Statement::Switch { on, arms, default, exhaustive } => {
                let arms: Vec<_> =
                    arms.iter().map(|arm| SwitchArm { body: part_for(&arm.body, target), ..arm.clone() }).collect();
                let default = part_for(default, target);
                let used = arms.iter().any(|arm| !arm.body.is_empty()) || !default.is_empty();
                used.then_some(Statement::Switch { on: *on, arms, default, exhaustive: *exhaustive })
            }
        })
        .collect()
}
