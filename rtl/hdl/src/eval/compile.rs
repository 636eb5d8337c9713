//! From a design to one list of operations.
//!
//! Every node of every instance has a number, its instance's base plus its own. Ports, clocks and wires with one unconditional assignment are
//! **aliases** of what drives them. All others get a slot, in an order in which every value comes after those that it needs; since that
//! order is found in the flattened design, an instance may have paths from some inputs to some outputs.

use super::machine::{Element, Machine, Memory, Op, Slot, Table, WritePort};
use super::{Check, Collision, EvalError, ForeignInstance, Named, Options, Scope, Start};
use crate::ir::*;
use crate::waveform::notes_of;
use crate::{words_for, Constant};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// What [`compile`] makes.
pub(super) struct Compiled {
    pub machine: Machine,
    pub program: Vec<Op>,
    pub outputs_end: usize,
    pub next_state_end: usize,
    pub edges: Vec<Vec<Op>>,
    pub writes: Vec<Vec<WritePort>>,
    /// For each clock of the top: the properties.
    pub checks: Vec<Vec<Check>>,
    pub collisions: Vec<Collision>,
    pub foreign: Vec<ForeignInstance>,
    /// For each port of the top: its slot, and whether it is an input that an output follows.
    pub ports: Vec<(Slot, bool)>,
    pub scopes: Vec<Scope>,
}

/// A number of a node in the flattened design.
type Flat = usize;

/// A statement of the parts that a body is taken apart into. An exhaustive switch ends in its last arm as the default, as in the Verilog.
pub(crate) enum Step<'a> {
    Set { target: NodeId, element: Option<NodeId>, value: NodeId },
    If { arms: Vec<(NodeId, Vec<Step<'a>>)>, otherwise: Vec<Step<'a>> },
    Switch { on: NodeId, arms: Vec<(&'a Constant, Vec<Step<'a>>)>, default: Vec<Step<'a>> },
}

/// A body, taken apart.
struct Parts<'a> {
    wires: BTreeMap<NodeId, Vec<Step<'a>>>,
    /// By clock of the module.
    registers: Vec<Vec<Step<'a>>>,
}

/// An instance of a module of ours, or the top.
struct Context<'a> {
    module: &'a ModuleIr,
    name: &'a str,
    parent: Option<usize>,
    base: Flat,
    /// For each clock of the module: the top's.
    clocks: Vec<usize>,
    /// For each instance: the context, or the number of the foreign instance.
    children: Vec<Child>,
    /// The first of the module's memories in the machine.
    memories: usize,
    parts: Rc<Parts<'a>>,
}

#[derive(Clone, Copy)]
enum Child {
    Ours(usize),
    Foreign(usize),
}

pub(super) fn compile(top: &ModuleIr, options: &Options) -> Result<Compiled, EvalError> {
    let mut compiler = Compiler::default();
    compiler.place(top, &top.name, None, (0..top.clocks.len()).collect(), options, &mut HashMap::new());
    if !compiler.missing.is_empty() {
        return Err(EvalError::Foreign { modules: compiler.missing });
    }
    compiler.find_aliases();
    compiler.state(options);

    let mut outputs: Vec<Flat> =
        top.ports.iter().filter(|p| p.direction == Direction::Output).map(|p| p.node).collect();
    // A reset that does not wait for a clock must not be missed.
    outputs.extend((0..compiler.aliases.len()).filter(|flat| async_reset(compiler.node(*flat)).is_some()));
    compiler.evaluate(outputs)?;
    let feeds: Vec<bool> =
        top.ports.iter().map(|p| p.direction == Direction::Input && compiler.marks[p.node] == Mark::Done).collect();
    let outputs_end = compiler.code.len();
    compiler.evaluate(compiler.needed_by_state())?;
    let next_state_end = compiler.code.len();
    compiler.evaluate((0..compiler.aliases.len()).filter(|flat| compiler.node(*flat).name.is_some()).collect())?;
    let program = std::mem::take(&mut compiler.code);

    let edges: Vec<Vec<Op>> = (0..top.clocks.len()).map(|clock| compiler.edge(clock)).collect();
    let writes = (0..top.clocks.len()).map(|clock| compiler.writes(clock)).collect();
    let nexts = |op: &&Op| matches!(op, Op::Next { .. } | Op::WideNext { .. } | Op::NextRead { .. });
    let checks = compiler.checks(top.clocks.len());
    let collisions = compiler.collisions();
    let pending = edges.iter().flatten().filter(nexts).count();
    compiler.foreign_pins();
    let scopes = compiler.scopes(top);
    Ok(Compiled {
        program,
        outputs_end,
        next_state_end,
        edges,
        writes,
        checks,
        collisions,
        ports: top.ports.iter().zip(feeds).map(|(p, feeds)| (compiler.slot_of(p.node), feeds)).collect(),
        scopes,
        machine: Machine {
            next: vec![0; compiler.state_end],
            pending: Vec::with_capacity(pending),
            words: compiler.words,
            memories: compiler.memories,
            tables: compiler.tables,
            elements: compiler.elements,
        },
        foreign: compiler.foreign,
    })
}

/// Takes a body apart by what each assignment drives.
pub(crate) fn split<'a>(body: &'a [Statement], keep: &dyn Fn(NodeId) -> bool) -> BTreeMap<NodeId, Vec<Step<'a>>> {
    let mut parts: BTreeMap<NodeId, Vec<Step<'a>>> = BTreeMap::new();
    for statement in body {
        match statement {
            Statement::Set { target, element, value, .. } => {
                if keep(*target) {
                    let set = Step::Set { target: *target, element: *element, value: *value };
                    parts.entry(*target).or_default().push(set);
                }
            }
            Statement::If { arms, otherwise } => {
                let mut split_arms: Vec<_> = arms.iter().map(|(c, body)| (*c, split(body, keep))).collect();
                let mut split_otherwise = split(otherwise, keep);
                let targets: BTreeSet<NodeId> =
                    split_arms.iter().flat_map(|(_, m)| m.keys()).chain(split_otherwise.keys()).copied().collect();
                for target in targets {
                    let arms =
                        split_arms.iter_mut().map(|(c, m)| (*c, m.remove(&target).unwrap_or_default())).collect();
                    let otherwise = split_otherwise.remove(&target).unwrap_or_default();
                    parts.entry(target).or_default().push(Step::If { arms, otherwise });
                }
            }
            Statement::Switch { on, arms, default, exhaustive } => {
                let (arms, default) = arms_and_default(arms, default, *exhaustive);
                let mut split_arms: Vec<_> = arms.iter().map(|arm| (&arm.value, split(&arm.body, keep))).collect();
                let mut split_default = split(default, keep);
                let targets: BTreeSet<NodeId> =
                    split_arms.iter().flat_map(|(_, m)| m.keys()).chain(split_default.keys()).copied().collect();
                for target in targets {
                    let arms =
                        split_arms.iter_mut().map(|(v, m)| (*v, m.remove(&target).unwrap_or_default())).collect();
                    let default = split_default.remove(&target).unwrap_or_default();
                    parts.entry(target).or_default().push(Step::Switch { on: *on, arms, default });
                }
            }
        }
    }
    parts
}

/// The part of a body that drives what `keep` accepts, in order.
fn project<'a>(body: &'a [Statement], keep: &dyn Fn(NodeId) -> bool) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for statement in body {
        match statement {
            Statement::Set { target, element, value, .. } => {
                if keep(*target) {
                    steps.push(Step::Set { target: *target, element: *element, value: *value });
                }
            }
            Statement::If { arms, otherwise } => {
                let arms: Vec<_> = arms.iter().map(|(c, body)| (*c, project(body, keep))).collect();
                let otherwise = project(otherwise, keep);
                if arms.iter().any(|(_, body)| !body.is_empty()) || !otherwise.is_empty() {
                    steps.push(Step::If { arms, otherwise });
                }
            }
            Statement::Switch { on, arms, default, exhaustive } => {
                let (arms, default) = arms_and_default(arms, default, *exhaustive);
                let arms: Vec<_> = arms.iter().map(|arm| (&arm.value, project(&arm.body, keep))).collect();
                let default = project(default, keep);
                if arms.iter().any(|(_, body)| !body.is_empty()) || !default.is_empty() {
                    steps.push(Step::Switch { on: *on, arms, default });
                }
            }
        }
    }
    steps
}

fn arms_and_default<'a>(
    arms: &'a [SwitchArm],
    default: &'a [Statement],
    exhaustive: bool,
) -> (&'a [SwitchArm], &'a [Statement]) {
    match arms.split_last() {
        Some((last, arms)) if exhaustive => (arms, &last.body),
        _ => (arms, default),
    }
}

/// Adds every node that `steps` read.
fn reads(steps: &[Step], found: &mut Vec<NodeId>) {
    for step in steps {
        match step {
            Step::Set { element, value, .. } => {
                found.push(*value);
                found.extend(element);
            }
            Step::If { arms, otherwise } => {
                for (condition, body) in arms {
                    found.push(*condition);
                    reads(body, found);
                }
                reads(otherwise, found);
            }
            Step::Switch { on, arms, default } => {
                found.push(*on);
                arms.iter().for_each(|(_, body)| reads(body, found));
                reads(default, found);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Mark {
    New,
    Open,
    Done,
}

#[derive(Default)]
struct Compiler<'a> {
    contexts: Vec<Context<'a>>,
    /// For each node: its context.
    owner: Vec<u32>,
    aliases: Vec<Flat>,
    slots: Vec<Slot>,
    marks: Vec<Mark>,
    words: Vec<u64>,
    /// Where the words of registers end.
    state_end: usize,
    constants: HashMap<Vec<u64>, Slot>,
    /// Constants that are zero.
    zeros: BTreeSet<Slot>,
    memories: Vec<Memory>,
    tables: Vec<Table>,
    elements: Vec<Element>,
    foreign: Vec<ForeignInstance>,
    /// Foreign modules without a model.
    missing: Vec<String>,
    code: Vec<Op>,
}

const NO_SLOT: Slot = Slot::MAX;

fn unused(width: u32) -> u8 {
    (words_for(width) as u32 * 64 - width) as u8
}

/// Registers, and the data registers of memories.
fn is_state(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Reg { .. } | NodeKind::MemoryRead { .. })
}

impl<'a> Compiler<'a> {
    /// Makes the contexts of `module` and of what it contains.
    fn place(
        &mut self,
        module: &'a ModuleIr,
        name: &'a str,
        parent: Option<usize>,
        clocks: Vec<usize>,
        options: &Options,
        parts: &mut HashMap<*const ModuleIr, Rc<Parts<'a>>>,
    ) -> usize {
        let index = self.contexts.len();
        let base = self.aliases.len();
        let end = base + module.nodes.len();
        self.aliases.extend(base..end);
        self.slots.resize(end, NO_SLOT);
        self.marks.resize(end, Mark::New);
        self.owner.resize(end, index as u32);
        let parts_of_this = parts.entry(module).or_insert_with(|| Rc::new(take_apart(module))).clone();
        let memories = self.memories.len();
        self.memories.extend(module.memories.iter().map(|memory| {
            let stride = words_for(memory.width);
            let mut words = vec![0; stride * memory.depth as usize];
            for (word, initial) in words.chunks_mut(stride).zip(&memory.initial) {
                word.copy_from_slice(initial.words());
            }
            Memory { stride, depth: memory.depth as usize, words }
        }));
        self.contexts.push(Context {
            module,
            name,
            parent,
            base,
            clocks,
            children: vec![],
            memories,
            parts: parts_of_this,
        });
        for instance in &module.instances {
            let clocks: Vec<usize> =
                instance.clocks.iter().map(|c| self.contexts[index].clocks.get(*c).copied().unwrap_or(0)).collect();
            let child = if instance.module.foreign.is_some() {
                Child::Foreign(self.place_foreign(instance, index, clocks, options))
            } else {
                Child::Ours(self.place(&instance.module, &instance.name, Some(index), clocks, options, parts))
            };
            self.contexts[index].children.push(child);
        }
        index
    }

    fn place_foreign(&mut self, instance: &Instance, parent: usize, clocks: Vec<usize>, options: &Options) -> usize {
        let module = &instance.module.name;
        match options.foreign.get(module) {
            Some(make) => self.foreign.push(ForeignInstance {
                model: make(),
                inputs: vec![],
                outputs: vec![],
                combinational: vec![],
                clocks,
            }),
            None => self.missing.push(format!("`{module}` ({}.{})", self.path(parent), instance.name)),
        }
        self.foreign.len().wrapping_sub(1)
    }

    fn path(&self, context: usize) -> String {
        let own = &self.contexts[context];
        match own.parent {
            Some(parent) => format!("{}.{}", self.path(parent), own.name),
            None => own.name.into(),
        }
    }

    fn node(&self, flat: Flat) -> &'a Node {
        let context = &self.contexts[self.owner[flat] as usize];
        &context.module.nodes[flat - context.base]
    }

    fn find_aliases(&mut self) {
        for context in &self.contexts {
            for (instance, child) in context.module.instances.iter().zip(&context.children) {
                let Child::Ours(child) = child else { continue };
                let base = self.contexts[*child].base;
                for (port, &connection) in instance.module.ports.iter().zip(&instance.connections) {
                    match port.direction {
                        Direction::Input => self.aliases[base + port.node] = context.base + connection,
                        Direction::Output => self.aliases[context.base + connection] = base + port.node,
                    }
                }
            }
            for (wire, steps) in &context.parts.wires {
                if let [Step::Set { element: None, value, .. }] = &steps[..] {
                    self.aliases[context.base + wire] = context.base + value;
                }
            }
        }
    }

    /// The node that an alias stands for in the end. A circle of aliases is a loop, which [`evaluate`](Self::evaluate) finds.
    fn resolve(&self, flat: Flat) -> Flat {
        let (mut at, mut steps) = (flat, 0);
        while self.aliases[at] != at && steps <= self.aliases.len() {
            at = self.aliases[at];
            steps += 1;
        }
        at
    }

    fn slot_of(&self, flat: Flat) -> Slot {
        let slot = self.slots[self.resolve(flat)];
        debug_assert_ne!(slot, NO_SLOT, "{:?} is used before it is computed", self.node(flat));
        slot
    }

    fn allocate(&mut self, width: u32) -> Slot {
        let slot = self.words.len();
        self.words.resize(slot + words_for(width), 0);
        Slot::try_from(slot).expect("a design has less than 2^32 words")
    }

    fn constant(&mut self, words: &[u64]) -> Slot {
        if let Some(&slot) = self.constants.get(words) {
            return slot;
        }
        let slot = self.allocate(64 * words.len() as u32);
        self.words[slot as usize..][..words.len()].copy_from_slice(words);
        self.constants.insert(words.to_vec(), slot);
        if words.iter().all(|&word| word == 0) {
            self.zeros.insert(slot);
        }
        slot
    }

    /// Gives slots to registers, to inputs of the top and to registered outputs of foreign modules, and their first values.
    fn state(&mut self, options: &Options) {
        for flat in 0..self.aliases.len() {
            let node = self.node(flat);
            if is_state(&node.kind) {
                self.slots[flat] = self.allocate(node.width);
                if async_reset(node).is_none() {
                    self.marks[flat] = Mark::Done;
                }
            }
        }
        self.state_end = self.words.len();
        for flat in 0..self.aliases.len() {
            let node = self.node(flat);
            let registered_output = match node.kind {
                NodeKind::InstanceOutput { instance, port } => {
                    let module = &self.contexts[self.owner[flat] as usize].module.instances[instance].module;
                    module.foreign.is_some() && !module.combinational.iter().any(|(output, _)| *output == port)
                }
                _ => false,
            };
            if registered_output || matches!(node.kind, NodeKind::Input) && self.aliases[flat] == flat {
                self.slots[flat] = self.allocate(node.width);
            }
        }
        if options.start == Start::Zeros {
            return;
        }
        for (index, context) in self.contexts.iter().enumerate() {
            let path = self.path(index);
            let state = context.module.nodes.iter().enumerate().filter(|(_, node)| is_state(&node.kind));
            for (id, node) in state {
                let name = node.name.as_deref().unwrap_or_default();
                let value = options.start.values(&format!("{path}.{name}"))(node.width);
                let slot = self.slots[context.base + id] as usize;
                self.words[slot..][..value.words().len()].copy_from_slice(value.words());
            }
            let memories = context.module.memories.iter().enumerate().filter(|(_, memory)| memory.initial.is_empty());
            for (i, memory) in memories {
                let mut values = options.start.values(&format!("{path}.{}", memory.name));
                let words = self.memories[context.memories + i].words.chunks_mut(words_for(memory.width));
                words.for_each(|word| word.copy_from_slice(values(memory.width).words()));
            }
        }
    }

    /// What registers, memories and foreign modules look at in an edge.
    fn needed_by_state(&self) -> Vec<Flat> {
        let mut needed = Vec::new();
        for context in &self.contexts {
            let mut own = Vec::new();
            context.parts.registers.iter().for_each(|steps| reads(steps, &mut own));
            own.extend(context.module.nodes.iter().filter_map(|node| match &node.kind {
                NodeKind::Reg { reset: Some(reset), .. } => Some(reset.signal),
                _ => None,
            }));
            own.extend(context.module.properties.iter().flat_map(|p| [Some(p.condition), p.reset]).flatten());
            for memory in &context.module.memories {
                for w in &memory.writes {
                    own.extend([w.enable, w.address, w.data].into_iter().chain(w.lanes));
                }
                for r in &memory.reads {
                    own.extend([r.address].into_iter().chain(r.enable));
                }
            }
            for (instance, child) in context.module.instances.iter().zip(&context.children) {
                if let Child::Foreign(_) = child {
                    own.extend(&instance.connections);
                }
            }
            needed.extend(own.into_iter().map(|id| context.base + id));
        }
        needed
    }

    /// The nodes that `flat` needs directly.
    fn needs(&self, flat: Flat) -> Vec<Flat> {
        if self.aliases[flat] != flat {
            return vec![self.aliases[flat]];
        }
        let context = &self.contexts[self.owner[flat] as usize];
        let id = flat - context.base;
        let mut needs = match &context.module.nodes[id].kind {
            NodeKind::Wire => {
                let mut found = Vec::new();
                reads(context.parts.wires.get(&id).map_or(&[], |steps| &steps[..]), &mut found);
                found
            }
            NodeKind::InstanceOutput { instance, port } => {
                let instance = &context.module.instances[*instance];
                let inputs = instance.module.combinational.iter().find(|(output, _)| output == port);
                inputs.map_or(vec![], |(_, inputs)| inputs.iter().map(|i| instance.connections[*i]).collect())
            }
            _ => match async_reset(&context.module.nodes[id]) {
                Some(reset) => vec![reset.signal],
                None => context.module.operands(id),
            },
        };
        needs.iter_mut().for_each(|need| *need += context.base);
        needs
    }

    /// Appends the operations for `roots` and what they need.
    fn evaluate(&mut self, roots: Vec<Flat>) -> Result<(), EvalError> {
        for root in roots {
            if self.marks[root] != Mark::New {
                continue;
            }
            self.marks[root] = Mark::Open;
            let mut stack = vec![(root, self.needs(root), 0)];
            while let Some((flat, needs, at)) = stack.last_mut() {
                if let Some(&need) = needs.get(*at) {
                    *at += 1;
                    match self.marks[need] {
                        Mark::New => {
                            self.marks[need] = Mark::Open;
                            stack.push((need, self.needs(need), 0));
                        }
                        Mark::Done => {}
                        Mark::Open => {
                            let start = stack
                                .iter()
                                .position(|(flat, ..)| *flat == need)
                                .expect("an open node is on the stack");
                            let name = |flat: Flat| {
                                let owner = self.owner[flat] as usize;
                                self.node(flat).name.as_ref().map(|name| format!("`{}.{name}`", self.path(owner)))
                            };
                            let mut path: Vec<String> =
                                stack[start..].iter().filter_map(|(flat, ..)| name(*flat)).collect();
                            path.reverse();
                            path.extend(path.first().cloned());
                            return Err(EvalError::Loop { path });
                        }
                    }
                } else {
                    let flat = *flat;
                    stack.pop();
                    self.marks[flat] = Mark::Done;
                    if let Some(reset) = async_reset(self.node(flat)) {
                        self.reset_now(flat, reset);
                    } else if self.aliases[flat] == flat && self.slots[flat] == NO_SLOT {
                        self.slots[flat] = self.operation(flat);
                    }
                }
            }
        }
        Ok(())
    }

    /// Appends the operation that resets a register whatever its clock does.
    fn reset_now(&mut self, flat: Flat, reset: &'a Reset) {
        let base = self.contexts[self.owner[flat] as usize].base;
        let (c, d, a) = (self.slot_of(base + reset.signal), self.slots[flat], self.constant(reset.value.words()));
        self.code.push(Op::CopyWhere { n: reset.value.words().len() as u16, c, d, a });
    }

    /// Appends the operations for one node; its slot.
    fn operation(&mut self, flat: Flat) -> Slot {
        let index = self.owner[flat] as usize;
        let (module, base) = (self.contexts[index].module, self.contexts[index].base);
        let id = flat - base;
        let node = &module.nodes[id];
        let width_of = |id: NodeId| module.nodes[id].width;
        let slot = |own: &Self, id: NodeId| own.slot_of(base + id);
        let (width, unused_bits, n) = (node.width, unused(node.width), words_for(node.width) as u16);
        match &node.kind {
            NodeKind::Constant(value) => self.constant(value.words()),
            NodeKind::Wire => {
                let parts = self.contexts[index].parts.clone();
                let steps = parts.wires.get(&id).map_or(&[][..], |steps| &steps[..]);
                self.wire(index, steps, width)
            }
            NodeKind::Not(a) => {
                let (d, a) = (self.allocate(width), slot(self, *a));
                self.code.push(match n {
                    1 => Op::Not { unused: unused_bits, d, a },
                    _ => Op::WideNot { n, unused: unused_bits, d, a },
                });
                d
            }
            NodeKind::Reduce(op, of) => {
                let (d, a, unused, n) =
                    (self.allocate(1), slot(self, *of), unused(width_of(*of)), words_for(width_of(*of)) as u16);
                self.code.push(match (op, n) {
                    (ReduceOp::And, 1) => Op::All { unused, d, a },
                    (ReduceOp::Or, 1) => Op::Any { d, a },
                    (ReduceOp::Xor, 1) => Op::Odd { d, a },
                    (ReduceOp::And, _) => Op::WideAll { n, unused, d, a },
                    (ReduceOp::Or, _) => Op::WideAny { n, d, a },
                    (ReduceOp::Xor, _) => Op::WideOdd { n, d, a },
                });
                d
            }
            NodeKind::Binary(op, left, right) => {
                let (d, a, b) = (self.allocate(width), slot(self, *left), slot(self, *right));
                let n = words_for(width_of(*left)) as u16;
                let unused = unused_bits;
                let unused_of = |id: NodeId| crate::eval::compile::unused(width_of(id));
                self.code.push(match (op, n) {
                    (BinaryOp::Add, 1) => Op::Add { unused, d, a, b },
                    (BinaryOp::Sub, 1) => Op::Sub { unused, d, a, b },
                    (BinaryOp::Mul, 1) => Op::Mul { unused, d, a, b },
                    (BinaryOp::And, 1) => Op::And { d, a, b },
                    (BinaryOp::Or, 1) => Op::Or { d, a, b },
                    (BinaryOp::Xor, 1) => Op::Xor { d, a, b },
                    (BinaryOp::Eq, 1) => Op::Eq { d, a, b },
                    (BinaryOp::Ne, 1) => Op::Ne { d, a, b },
                    (BinaryOp::Lt, 1) => Op::Lt { d, a, b },
                    (BinaryOp::Le, 1) => Op::Le { d, a, b },
                    (BinaryOp::SignedLt, 1) => Op::SignedLt { unused: unused_of(*left), d, a, b },
                    (BinaryOp::SignedLe, 1) => Op::SignedLe { unused: unused_of(*left), d, a, b },
                    (BinaryOp::Add, _) => Op::WideAdd { n, unused, d, a, b },
                    (BinaryOp::Sub, _) => Op::WideSub { n, unused, d, a, b },
                    (BinaryOp::Mul, _) => Op::WideMul { n, unused, d, a, b },
                    (BinaryOp::And, _) => Op::WideAnd { n, d, a, b },
                    (BinaryOp::Or, _) => Op::WideOr { n, d, a, b },
                    (BinaryOp::Xor, _) => Op::WideXor { n, d, a, b },
                    (BinaryOp::Eq, _) => Op::WideEq { n, d, a, b },
                    (BinaryOp::Ne, _) => Op::WideNe { n, d, a, b },
                    (BinaryOp::Lt, _) => Op::WideLt { n, d, a, b },
                    (BinaryOp::Le, _) => Op::WideLe { n, d, a, b },
                    (BinaryOp::SignedLt, _) => Op::WideSignedLt { n, unused: unused_of(*left), d, a, b },
                    (BinaryOp::SignedLe, _) => Op::WideSignedLe { n, unused: unused_of(*left), d, a, b },
                });
                d
            }
            NodeKind::Shift(op, value, amount) => {
                let (d, a, mut b) = (self.allocate(width), slot(self, *value), slot(self, *amount));
                if width_of(*amount) > 64 {
                    let amount_n = words_for(width_of(*amount)) as u16;
                    let whole = std::mem::replace(&mut b, self.allocate(64));
                    self.code.push(Op::Saturate { n: amount_n, d: b, a: whole });
                }
                self.code.push(match (op, n) {
                    (ShiftOp::Left, 1) => Op::Shl { unused: unused_bits, d, a, b },
                    (ShiftOp::Right, 1) => Op::Shr { d, a, b },
                    (ShiftOp::SignedRight, 1) => Op::SignedShr { unused: unused_bits, d, a, b },
                    (ShiftOp::Left, _) => Op::WideShl { n, unused: unused_bits, d, a, b },
                    (ShiftOp::Right, _) => Op::WideShr { n, d, a, b },
                    (ShiftOp::SignedRight, _) => Op::WideSignedShr { n, unused: unused_bits, d, a, b },
                });
                d
            }
            NodeKind::Mux(condition, then, otherwise) => {
                let (d, c, a, b) =
                    (self.allocate(width), slot(self, *condition), slot(self, *then), slot(self, *otherwise));
                self.code.push(match n {
                    1 => Op::Mux { d, c, a, b },
                    _ => Op::WideMux { n, d, c, a, b },
                });
                d
            }
            NodeKind::Concat(parts) => {
                let parts: Vec<(Slot, u32)> = parts.iter().map(|p| (slot(self, *p), width_of(*p))).collect();
                self.concat(&parts, width)
            }
            NodeKind::Slice(of, low) => {
                let a = slot(self, *of) + low / 64;
                let bits = (low % 64) as u8;
                // Whole words, or the top of the value, whose unused bits are zero.
                if bits == 0 && (width % 64 == 0 || low + width == width_of(*of)) {
                    return a;
                }
                let d = self.allocate(width);
                self.code.push(match n {
                    1 if u32::from(bits) + width <= 64 => Op::Bits { low: bits, unused: unused_bits, d, a },
                    1 => Op::BitsOfTwo { low: bits, unused: unused_bits, d, a },
                    _ => Op::WideBits { d, a, low: bits.into(), width },
                });
                d
            }
            NodeKind::Select(of, at) => {
                let (d, a, b) = (self.allocate(width), slot(self, *of), slot(self, *at));
                self.code.push(match n {
                    1 if width_of(*of) <= 64 => Op::Select { width: width as u8, d, a, b },
                    1 => Op::SelectOfWide { width: width as u8, d, a, b },
                    _ => Op::WideSelect { d, a, b, width },
                });
                d
            }
            NodeKind::MemoryLookup { memory, address } => {
                let (d, a, memory) =
                    (self.allocate(width), slot(self, *address), (self.contexts[index].memories + memory) as u32);
                self.code.push(match n {
                    1 => Op::Lookup { d, memory, a },
                    _ => Op::WideLookup { n, d, memory, a },
                });
                d
            }
            NodeKind::InstanceOutput { instance, port } => {
                let Child::Foreign(foreign) = self.contexts[index].children[*instance] else {
                    unreachable!("outputs of modules of ours are aliases")
                };
                let d = self.allocate(width);
                let outputs = &mut self.foreign[foreign].combinational;
                self.code.push(Op::Foreign { instance: foreign as u32, output: outputs.len() as u32 });
                outputs.push((module.instances[*instance].module.ports[*port].name.clone(), d, width));
                d
            }
            NodeKind::Input | NodeKind::Reg { .. } | NodeKind::MemoryRead { .. } => {
                unreachable!("these have slots from the start")
            }
        }
    }

    /// Parts side by side, the highest first.
    fn concat(&mut self, parts: &[(Slot, u32)], width: u32) -> Slot {
        let zero = self.constant(&[0]);
        // A run of one bit is one subtraction: 0 - 1 has all bits set.
        let mut merged: Vec<(Slot, u32)> = Vec::new();
        let mut rest = parts;
        while let Some(&(slot, part)) = rest.first() {
            let equal = rest.iter().take(64).take_while(|other| **other == (slot, 1)).count();
            let run = if equal > 2 { equal } else { 1 };
            if slot == zero {
                merged.push((zero, part * run as u32));
            } else if run > 1 {
                let d = self.allocate(64);
                self.code.push(Op::Sub { unused: 64 - run as u8, d, a: zero, b: slot });
                merged.push((d, run as u32));
            } else {
                merged.push((slot, part));
            }
            rest = &rest[run..];
        }
        if width <= 64 {
            let mut result: Option<Slot> = None;
            for (slot, part) in merged {
                result = Some(match result {
                    None if self.zeros.contains(&slot) => continue,
                    None => slot,
                    Some(above) => {
                        let d = self.allocate(64);
                        self.code.push(Op::Join { low: part as u8, d, a: above, b: slot });
                        d
                    }
                });
            }
            return result.unwrap_or(zero);
        }
        let d = self.allocate(width);
        self.code.push(Op::Clear { n: words_for(width) as u16, d });
        let mut high = width;
        for (a, part) in merged {
            high -= part;
            if !self.zeros.contains(&a) {
                self.code.push(Op::Insert { d, a, low: high, width: part });
            }
        }
        d
    }

    /// A wire that is driven under conditions.
    fn wire(&mut self, context: usize, steps: &[Step], width: u32) -> Slot {
        if width <= 64 && steps.iter().all(|step| is_simple(step, 3)) && steps.len() <= 3 {
            if let Some(slot) = self.choose(context, steps, None) {
                return slot;
            }
        }
        let d = self.allocate(width);
        self.steps(context, steps, Sink::Wire(d));
        d
    }

    /// The value after `steps`, by choices instead of jumps; `before` is the value before them.
    fn choose(&mut self, context: usize, steps: &[Step], before: Option<Slot>) -> Option<Slot> {
        let base = self.contexts[context].base;
        let mut value = before;
        for step in steps {
            match step {
                Step::Set { element: Some(_), .. } => return None,
                Step::Set { value: to, .. } => value = Some(self.slot_of(base + to)),
                Step::If { arms, otherwise } => {
                    let mut result = self.choose(context, otherwise, value)?;
                    for (condition, body) in arms.iter().rev() {
                        let then = self.choose(context, body, value)?;
                        let (d, c) = (self.allocate(64), self.slot_of(base + condition));
                        self.code.push(Op::Mux { d, c, a: then, b: result });
                        result = d;
                    }
                    value = Some(result);
                }
                Step::Switch { .. } => return None,
            }
        }
        value
    }

    /// Appends operations that run `steps`, whose assignments go to `sink`.
    fn steps(&mut self, context: usize, steps: &[Step], sink: Sink) {
        let (module, base) = (self.contexts[context].module, self.contexts[context].base);
        for step in steps {
            match step {
                Step::Set { target, element: None, value } => {
                    let (n, a) = (words_for(module.nodes[*target].width), self.slot_of(base + value));
                    self.code.push(match (sink, n) {
                        (Sink::Wire(d), 1) => Op::Copy { d, a },
                        (Sink::Wire(d), n) => Op::WideCopy { n: n as u16, d, a },
                        (Sink::Next, 1) => Op::Next { d: self.slots[base + target], a },
                        (Sink::Next, n) => Op::WideNext { n: n as u16, d: self.slots[base + target], a },
                    });
                }
                Step::Set { target, element: Some(index), value } => {
                    let width = module.nodes[*value].width;
                    let element = Element {
                        d: match sink {
                            Sink::Wire(d) => d,
                            Sink::Next => self.slots[base + target],
                        },
                        a: self.slot_of(base + value),
                        index: self.slot_of(base + index),
                        width,
                        count: module.nodes[*target].width / width,
                    };
                    let number = self.elements.len() as u32;
                    self.elements.push(element);
                    self.code.push(match sink {
                        Sink::Wire(_) => Op::SetElement { element: number },
                        Sink::Next => Op::NextElement { element: number },
                    });
                }
                Step::If { arms, otherwise } => {
                    let mut to_end = Vec::new();
                    let last = arms.len() - 1;
                    for (i, (condition, body)) in arms.iter().enumerate() {
                        let skip = self.code.len();
                        self.code.push(Op::JumpUnless { c: self.slot_of(base + condition), to: 0 });
                        self.steps(context, body, sink);
                        if i < last || !otherwise.is_empty() {
                            to_end.push(self.code.len());
                            self.code.push(Op::Jump { to: 0 });
                        }
                        self.land(skip);
                    }
                    self.steps(context, otherwise, sink);
                    to_end.into_iter().for_each(|jump| self.land(jump));
                }
                Step::Switch { on, arms, default } => {
                    let width = module.nodes[*on].width;
                    let on = self.slot_of(base + on);
                    if width <= TABLE_BITS_MAX {
                        self.table(context, on, width, arms, default, sink);
                    } else {
                        self.chain(context, on, width, arms, default, sink);
                    }
                }
            }
        }
    }

    /// A switch by a jump table.
    fn table(
        &mut self,
        context: usize,
        on: Slot,
        width: u32,
        arms: &[(&Constant, Vec<Step>)],
        default: &[Step],
        sink: Sink,
    ) {
        let table = self.tables.len();
        self.tables.push(vec![u32::MAX; 1 << width]);
        self.code.push(Op::Case { a: on, table: table as u32 });
        let mut to_end = Vec::new();
        let mut arms_to_end = Vec::new();
        for (value, body) in arms {
            let value = value.words()[0] as usize;
            if body.is_empty() {
                arms_to_end.push(value);
                continue;
            }
            self.tables[table][value] = self.code.len() as u32;
            self.steps(context, body, sink);
            to_end.push(self.code.len());
            self.code.push(Op::Jump { to: 0 });
        }
        let default_at = self.code.len() as u32;
        self.steps(context, default, sink);
        to_end.into_iter().for_each(|jump| self.land(jump));
        let end = self.code.len() as u32;
        arms_to_end.into_iter().for_each(|value| self.tables[table][value] = end);
        self.tables[table].iter_mut().filter(|to| **to == u32::MAX).for_each(|to| *to = default_at);
    }

    /// A switch by one comparison after the other.
    fn chain(
        &mut self,
        context: usize,
        on: Slot,
        width: u32,
        arms: &[(&Constant, Vec<Step>)],
        default: &[Step],
        sink: Sink,
    ) {
        let mut to_end = Vec::new();
        for (value, body) in arms {
            let b = self.constant(value.words());
            let n = words_for(width) as u16;
            if n > 1 {
                let d = self.allocate(1);
                self.code.push(Op::WideEq { n, d, a: on, b });
                self.code.push(Op::JumpUnless { c: d, to: 0 });
            } else {
                self.code.push(Op::JumpUnlessEq { a: on, b, to: 0 });
            }
            let skip = self.code.len() - 1;
            self.steps(context, body, sink);
            to_end.push(self.code.len());
            self.code.push(Op::Jump { to: 0 });
            self.land(skip);
        }
        self.steps(context, default, sink);
        to_end.into_iter().for_each(|jump| self.land(jump));
    }

    /// Makes the jump at `at` go to the next operation.
    fn land(&mut self, at: usize) {
        let here = self.code.len() as u32;
        match &mut self.code[at] {
            Op::Jump { to } | Op::JumpUnless { to, .. } | Op::JumpUnlessEq { to, .. } => *to = here,
            other => unreachable!("{other:?} is not a jump"),
        }
    }

    /// What an edge of a clock of the top does: next values, then resets, which win, then memory reads.
    fn edge(&mut self, clock: usize) -> Vec<Op> {
        let mut resets: BTreeMap<Slot, Vec<(Slot, &'a Constant)>> = BTreeMap::new();
        for index in 0..self.contexts.len() {
            let context = &self.contexts[index];
            let (module, base, parts, clocks) =
                (context.module, context.base, context.parts.clone(), context.clocks.clone());
            for own in (0..module.clocks.len()).filter(|own| clocks[*own] == clock) {
                // An array keeps the elements that are not set.
                for target in arrays_set(&parts.registers[own]) {
                    let (d, n) = (self.slots[base + target], words_for(module.nodes[target].width) as u16);
                    self.code.push(Op::WideNext { n, d, a: d });
                }
                self.steps(index, &parts.registers[own], Sink::Next);
                for (id, node) in module.nodes.iter().enumerate() {
                    if let NodeKind::Reg { clock, reset: Some(reset) } = &node.kind {
                        if *clock == own {
                            let signal = self.slot_of(base + reset.signal);
                            resets.entry(signal).or_default().push((self.slots[base + id], &reset.value));
                        }
                    }
                }
            }
        }
        for (reset, registers) in resets {
            let skip = self.code.len();
            self.code.push(Op::JumpUnless { c: reset, to: 0 });
            for (d, value) in registers {
                let a = self.constant(value.words());
                self.code.push(match value.words().len() {
                    1 => Op::Next { d, a },
                    n => Op::WideNext { n: n as u16, d, a },
                });
            }
            self.land(skip);
        }
        for index in 0..self.contexts.len() {
            let context = &self.contexts[index];
            let (module, base, memories, clocks) =
                (context.module, context.base, context.memories, context.clocks.clone());
            for (m, memory) in module.memories.iter().enumerate() {
                for read in memory.reads.iter().filter(|read| clocks[read.clock] == clock) {
                    let skip = self.code.len();
                    if let Some(enable) = read.enable {
                        self.code.push(Op::JumpUnless { c: self.slot_of(base + enable), to: 0 });
                    }
                    let (d, a) = (self.slots[base + read.data], self.slot_of(base + read.address));
                    self.code.push(Op::NextRead { d, memory: (memories + m) as u32, a });
                    if read.enable.is_some() {
                        self.land(skip);
                    }
                }
            }
        }
        std::mem::take(&mut self.code)
    }

    fn writes(&self, clock: usize) -> Vec<WritePort> {
        let mut ports = Vec::new();
        for context in &self.contexts {
            let slot = |id: NodeId| self.slot_of(context.base + id);
            for (m, memory) in context.module.memories.iter().enumerate() {
                for write in memory.writes.iter().filter(|write| context.clocks[write.clock] == clock) {
                    ports.push(WritePort {
                        memory: context.memories + m,
                        enable: slot(write.enable),
                        address: slot(write.address),
                        data: slot(write.data),
                        lanes: write.lanes.map(|lanes| {
                            let count = context.module.nodes[lanes].width;
                            (slot(lanes), count, memory.width / count)
                        }),
                    });
                }
            }
        }
        ports
    }

    /// The properties by clock of the top.
    fn checks(&self, clocks: usize) -> Vec<Vec<Check>> {
        let mut checks: Vec<Vec<Check>> = (0..clocks).map(|_| Vec::new()).collect();
        for (index, context) in self.contexts.iter().enumerate() {
            for property in &context.module.properties {
                checks[context.clocks[property.clock]].push(Check {
                    kind: property.kind,
                    path: format!("{}.{}", self.path(index), property.name),
                    source: property.source,
                    reset: property.reset.map(|reset| self.slot_of(context.base + reset)),
                    condition: self.slot_of(context.base + property.condition),
                    hits: 0,
                });
            }
        }
        checks
    }

    /// The ports of memories that must not meet, where they belong to two clocks of the top. Where they belong to one there are properties.
    fn collisions(&self) -> Vec<Collision> {
        let mut collisions = Vec::new();
        for (index, context) in self.contexts.iter().enumerate() {
            let slot = |id: NodeId| self.slot_of(context.base + id);
            let clock = |own: usize| context.clocks[own];
            for memory in context.module.memories.iter().filter(|memory| memory.undefined_collisions) {
                let name = format!("{}.{}", self.path(index), memory.name);
                for (number, write) in memory.writes.iter().enumerate() {
                    let others = memory.writes[number + 1..].iter().map(|w| (w.clock, Some(w.enable), w.address));
                    let others = others.chain(memory.reads.iter().map(|r| (r.clock, r.enable, r.address)));
                    for (other, enable, address) in others.filter(|(other, ..)| clock(*other) != clock(write.clock)) {
                        collisions.push(Collision {
                            memory: name.clone(),
                            clocks: 1 << clock(write.clock) | 1 << clock(other),
                            enables: [Some(write.enable), write.lanes, enable]
                                .into_iter()
                                .flatten()
                                .map(slot)
                                .collect(),
                            addresses: [slot(write.address), slot(address)],
                        });
                    }
                }
            }
        }
        collisions
    }

    fn foreign_pins(&mut self) {
        for context in 0..self.contexts.len() {
            let Context { module, base, .. } = self.contexts[context];
            for (i, instance) in module.instances.iter().enumerate() {
                let Child::Foreign(foreign) = self.contexts[context].children[i] else { continue };
                for (port, (pin, &connection)) in instance.module.ports.iter().zip(&instance.connections).enumerate() {
                    let entry = (pin.name.clone(), self.slot_of(base + connection), pin.width);
                    let follows = instance.module.combinational.iter().any(|(output, _)| *output == port);
                    match pin.direction {
                        Direction::Input => self.foreign[foreign].inputs.push(entry),
                        Direction::Output if !follows => self.foreign[foreign].outputs.push(entry),
                        Direction::Output => {}
                    }
                }
            }
        }
    }

    fn scopes(&self, top: &ModuleIr) -> Vec<Scope> {
        let clock_slots: Vec<Flat> = top.clocks.iter().map(|clock| self.resolve(clock.node)).collect();
        self.contexts
            .iter()
            .map(|context| {
                let mut notes = notes_of(context.module);
                let named = context.module.nodes.iter().enumerate().filter_map(|(id, node)| {
                    let flat = context.base + id;
                    Some(Named {
                        name: node.name.clone()?,
                        width: node.width,
                        slot: self.slot_of(flat),
                        clock: clock_slots.iter().position(|clock| *clock == self.resolve(flat)),
                        notes: notes.remove(&id).unwrap_or_default(),
                    })
                });
                Scope { name: context.name.into(), parent: context.parent, values: named.collect() }
            })
            .collect()
    }
}

/// Where assignments go.
#[derive(Clone, Copy)]
enum Sink {
    /// Into the value of a wire.
    Wire(Slot),
    /// Into the next values of registers.
    Next,
}

/// The reset of a register that does not wait for a clock.
fn async_reset(node: &Node) -> Option<&Reset> {
    match &node.kind {
        NodeKind::Reg { reset: Some(reset), .. } if reset.kind == ResetKind::Asynchronous => Some(reset),
        _ => None,
    }
}

/// The arrays of which `steps` set elements.
fn arrays_set(steps: &[Step]) -> BTreeSet<NodeId> {
    let mut arrays = BTreeSet::new();
    for step in steps {
        match step {
            Step::Set { target, element, .. } => arrays.extend(element.map(|_| *target)),
            Step::If { arms, otherwise } => {
                arms.iter().for_each(|(_, body)| arrays.append(&mut arrays_set(body)));
                arrays.append(&mut arrays_set(otherwise));
            }
            Step::Switch { arms, default, .. } => {
                arms.iter().for_each(|(_, body)| arrays.append(&mut arrays_set(body)));
                arrays.append(&mut arrays_set(default));
            }
        }
    }
    arrays
}

/// The widest switch that gets a jump table.
const TABLE_BITS_MAX: u32 = 8;

/// True for assignments under at most `conditions` conditions without a switch: choosing is then faster than jumping.
fn is_simple(step: &Step, conditions: usize) -> bool {
    let set = |body: &Vec<Step>| matches!(&body[..], [] | [Step::Set { .. }]);
    match step {
        Step::Set { .. } => true,
        Step::If { arms, otherwise } => {
            arms.len() <= conditions && arms.iter().all(|(_, body)| set(body)) && set(otherwise)
        }
        Step::Switch { .. } => false,
    }
}

fn take_apart(module: &ModuleIr) -> Parts<'_> {
    let wires = split(&module.body, &|target| matches!(module.nodes[target].kind, NodeKind::Wire));
    let of_clock = |own: usize| move |target: NodeId| matches!(module.nodes[target].kind, NodeKind::Reg { clock, .. } if clock == own);
    let registers = (0..module.clocks.len()).map(|own| project(&module.body, &of_clock(own))).collect();
    Parts { wires, registers }
}
