//! What random designs consist of, counted in their elaborated form: a construct that is never made is never compared.

use std::collections::BTreeMap;

use rtl_hdl::ir::*;
use rtl_hdl::Design;

/// Everything that is counted.
pub const CONSTRUCTS: &[&str] = &[
    // Operators.
    "and",
    "or",
    "xor",
    "not",
    "add",
    "sub",
    "mul",
    "equal",
    "not equal",
    "less",
    "less or equal",
    "signed less",
    "signed less or equal",
    "shift left",
    "shift right",
    "signed shift right",
    "all bits",
    "any bit",
    "parity",
    "mux",
    "concatenation",
    "slice",
    "word by index",
    "constant",
    // Widths of named values.
    "1 bit",
    "2 to 31 bits",
    "32 bits",
    "33 to 63 bits",
    "64 bits",
    "65 bits",
    "66 to 300 bits",
    // Statements.
    "if",
    "else if",
    "else",
    "case",
    "default",
    "case of an enum",
    // Registers and wires.
    "wire with a name",
    "wire under conditions",
    "register without reset",
    "reset of the clock",
    "reset of its own",
    "asynchronous reset",
    "enum",
    "bundle",
    // Arrays.
    "array of registers",
    "array of wires",
    "array of enums",
    "array of bundles",
    "array of one",
    "array of a power of two",
    "array of another count",
    "element by index set",
    "element by number set",
    "array set whole",
    // Memories.
    "memory of any style",
    "distributed memory",
    "block memory",
    "ultra memory",
    "memory with contents",
    "memory without contents",
    "depth of a power of two",
    "depth of another count",
    "write of words",
    "write of lanes",
    "two write ports",
    "read",
    "read when enabled",
    "lookup",
    "memory of two clocks",
    "memory written by two clocks",
    "memory without collisions",
    // Modules.
    "instance",
    "instance in an instance",
    "module used twice",
    "module without a clock",
    "module of one clock",
    "module of two clocks",
    "clock without reset",
    "path from input to output",
    "stream in",
    "stream out",
    // Crossings.
    "synchroniser",
    "wide synchroniser",
    "held across clocks",
    "asynchronous input",
    // Properties.
    "assertion",
    "assumption",
    "cover",
    "register for a property",
    "lookup for a property",
];

/// How often each construct occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    counts: BTreeMap<&'static str, u64>,
}

impl Default for Census {
    fn default() -> Self {
        Self { counts: CONSTRUCTS.iter().map(|construct| (*construct, 0)).collect() }
    }
}

impl Census {
    /// What this design consists of; a module counts once, however often it is used.
    pub fn of(design: &Design) -> Self {
        let mut census = Self::default();
        for module in &design.modules {
            census.count_module(module);
        }
        let top = design.top();
        census.add("instance in an instance", top.instances.iter().filter(|i| !i.module.instances.is_empty()).count());
        census
    }

    /// Adds what another design consists of.
    pub fn merge(&mut self, other: &Census) {
        for (construct, count) in &other.counts {
            *self.counts.entry(construct).or_default() += count;
        }
    }

    /// Each construct in the order of [`CONSTRUCTS`], and how often it occurred.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        CONSTRUCTS.iter().map(|construct| (*construct, self.counts.get(construct).copied().unwrap_or(0)))
    }

    /// The constructs that never occurred.
    pub fn missing(&self) -> Vec<&'static str> {
        self.counts().filter(|(_, count)| *count == 0).map(|(construct, _)| construct).collect()
    }

    fn add(&mut self, construct: &'static str, count: usize) {
        *self.counts.get_mut(construct).expect("every construct that is counted is listed") += count as u64;
    }

    fn one(&mut self, construct: &'static str) {
        self.add(construct, 1);
    }

    fn when(&mut self, condition: bool, construct: &'static str) {
        self.add(construct, usize::from(condition));
    }

    fn count_module(&mut self, module: &ModuleIr) {
        for node in &module.nodes {
            self.count_node(module, node);
        }
        self.count_statements(module, &module.body);
        for memory in &module.memories {
            self.count_memory(memory);
        }
        self.count_interface(module);
        for crossing in &module.crossings {
            let width = module.nodes[crossing.from].width;
            self.one(match crossing.kind {
                CrossingKind::Synchronizer if width == 1 => "synchroniser",
                CrossingKind::Synchronizer => "wide synchroniser",
                CrossingKind::Held => "held across clocks",
            });
        }
        for property in &module.properties {
            self.one(match property.kind {
                PropertyKind::Assert => "assertion",
                PropertyKind::Assume => "assumption",
                PropertyKind::Cover => "cover",
            });
        }
    }

    fn count_interface(&mut self, module: &ModuleIr) {
        self.one(match module.clocks.len() {
            0 => "module without a clock",
            1 => "module of one clock",
            _ => "module of two clocks",
        });
        self.add("clock without reset", module.clocks.iter().filter(|clock| clock.reset.is_none()).count());
        self.add("path from input to output", module.combinational.len());
        self.add("asynchronous input", module.ports.iter().filter(|port| port.domain == Domain::Async).count());
        for stream in &module.streams {
            self.one(if stream.direction == Direction::Input { "stream in" } else { "stream out" });
        }
        self.add("instance", module.instances.len());
        let names = module.instances.iter().map(|instance| instance.module.name.as_str());
        let distinct: std::collections::BTreeSet<&str> = names.collect();
        self.add("module used twice", module.instances.len() - distinct.len());
    }

    fn count_node(&mut self, module: &ModuleIr, node: &Node) {
        let name = node.name.as_deref().unwrap_or_default();
        if !name.is_empty() {
            self.one(match node.width {
                1 => "1 bit",
                2..=31 => "2 to 31 bits",
                32 => "32 bits",
                33..=63 => "33 to 63 bits",
                64 => "64 bits",
                65 => "65 bits",
                _ => "66 to 300 bits",
            });
            self.when(node.labels.is_some() && node.elements.is_none(), "enum");
            self.when(name.starts_with("bundle_"), "bundle");
            self.when(name.starts_with("ghost_"), "register for a property");
        }
        match &node.kind {
            NodeKind::Wire if name.starts_with("named_") => self.one("wire with a name"),
            NodeKind::Wire if name.starts_with("chosen_") => self.one("wire under conditions"),
            NodeKind::Reg { clock, reset } => {
                let own = module.clocks[*clock].reset;
                self.one(match reset {
                    None => "register without reset",
                    Some(Reset { kind: ResetKind::Asynchronous, .. }) => "asynchronous reset",
                    Some(reset) if Some(reset.signal) == own => "reset of the clock",
                    Some(_) => "reset of its own",
                });
            }
            NodeKind::MemoryLookup { memory, .. } => {
                let only_for_properties =
                    matches!(module.memories[*memory].style, MemoryStyle::Block | MemoryStyle::Ultra);
                self.one(if only_for_properties { "lookup for a property" } else { "lookup" });
            }
            NodeKind::Constant(_) => self.one("constant"),
            NodeKind::Not(_) => self.one("not"),
            NodeKind::Reduce(ReduceOp::And, _) => self.one("all bits"),
            NodeKind::Reduce(ReduceOp::Or, _) => self.one("any bit"),
            NodeKind::Reduce(ReduceOp::Xor, _) => self.one("parity"),
            NodeKind::Binary(operator, ..) => self.one(binary(*operator)),
            NodeKind::Shift(ShiftOp::Left, ..) => self.one("shift left"),
            NodeKind::Shift(ShiftOp::Right, ..) => self.one("shift right"),
            NodeKind::Shift(ShiftOp::SignedRight, ..) => self.one("signed shift right"),
            NodeKind::Mux(..) => self.one("mux"),
            NodeKind::Concat(_) => self.one("concatenation"),
            NodeKind::Slice(..) => self.one("slice"),
            NodeKind::Select(..) => self.one("word by index"),
            _ => {}
        }
        if let Some(count) = node.elements {
            let is_register = matches!(node.kind, NodeKind::Reg { .. });
            self.one(if is_register { "array of registers" } else { "array of wires" });
            self.when(node.labels.is_some(), "array of enums");
            self.when(name.starts_with("bundles_"), "array of bundles");
            self.one(match count {
                1 => "array of one",
                _ if count.is_power_of_two() => "array of a power of two",
                _ => "array of another count",
            });
        }
    }

    fn count_statements(&mut self, module: &ModuleIr, body: &[Statement]) {
        for statement in body {
            match statement {
                Statement::Set { target, element: None, .. } => {
                    self.when(module.nodes[*target].elements.is_some(), "array set whole");
                }
                Statement::Set { element: Some(index), .. } => {
                    let known = module.constant(*index).is_some();
                    self.one(if known { "element by number set" } else { "element by index set" });
                }
                Statement::If { arms, otherwise } => {
                    self.one("if");
                    self.add("else if", arms.len() - 1);
                    self.when(!otherwise.is_empty(), "else");
                    for body in arms.iter().map(|(_, body)| body).chain([otherwise]) {
                        self.count_statements(module, body);
                    }
                }
                Statement::Switch { arms, default, exhaustive, .. } => {
                    self.one(if *exhaustive { "case of an enum" } else { "case" });
                    self.when(!default.is_empty(), "default");
                    for body in arms.iter().map(|arm| &arm.body).chain([default]) {
                        self.count_statements(module, body);
                    }
                }
            }
        }
    }

    fn count_memory(&mut self, memory: &Memory) {
        self.one(match memory.style {
            MemoryStyle::Auto => "memory of any style",
            MemoryStyle::Distributed => "distributed memory",
            MemoryStyle::Block => "block memory",
            MemoryStyle::Ultra => "ultra memory",
        });
        self.one(if memory.initial.is_empty() { "memory without contents" } else { "memory with contents" });
        self.one(if memory.depth.is_power_of_two() { "depth of a power of two" } else { "depth of another count" });
        for write in &memory.writes {
            self.one(if write.lanes.is_some() { "write of lanes" } else { "write of words" });
        }
        for read in &memory.reads {
            self.one(if read.enable.is_some() { "read when enabled" } else { "read" });
        }
        let clocks = memory.writes.iter().map(|w| w.clock).chain(memory.reads.iter().map(|r| r.clock));
        let two = |mut clocks: Box<dyn Iterator<Item = usize> + '_>| {
            let first = clocks.next();
            clocks.any(|clock| Some(clock) != first)
        };
        self.when(memory.writes.len() > 1, "two write ports");
        self.when(two(Box::new(clocks)), "memory of two clocks");
        self.when(two(Box::new(memory.writes.iter().map(|w| w.clock))), "memory written by two clocks");
        self.when(memory.undefined_collisions, "memory without collisions");
    }
}

fn binary(operator: BinaryOp) -> &'static str {
    match operator {
        BinaryOp::Add => "add",
        BinaryOp::Sub => "sub",
        BinaryOp::Mul => "mul",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
        BinaryOp::Xor => "xor",
        BinaryOp::Eq => "equal",
        BinaryOp::Ne => "not equal",
        BinaryOp::Lt => "less",
        BinaryOp::Le => "less or equal",
        BinaryOp::SignedLt => "signed less",
        BinaryOp::SignedLe => "signed less or equal",
    }
}
