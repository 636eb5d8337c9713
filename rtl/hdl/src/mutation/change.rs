//! The changes that can be made to a module, and how one is made.

use super::Kind;
use crate::ir::*;
use crate::{check, Constant};
use std::collections::{BTreeMap, BTreeSet};

/// One change. It refers to the module that it was found in.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// The node computes something else.
    Node { node: NodeId, kind: NodeKind },
    /// Whoever reads `node` reads `instead`.
    Instead { node: NodeId, instead: NodeId },
    /// The condition of an arm of an `if` is something else.
    Condition { place: Place, arm: usize, becomes: Condition },
    /// The assignment does not happen.
    Assignment { place: Place },
    /// Nothing happens in this branch of a switch.
    Branch { place: Place, branch: usize },
    /// The register has no reset.
    NoReset { register: NodeId },
    /// The register's reset loads this.
    ResetValue { register: NodeId, value: Constant },
    /// The enable of a write port is stuck.
    WriteEnable { memory: usize, port: usize, stuck: bool },
    /// A write port writes every lane.
    AllLanes { memory: usize, port: usize },
    /// A read port reads in every clock.
    AlwaysReads { memory: usize, port: usize },
    /// The first register of a synchroniser is left out.
    TooShort { crossing: usize },
}

/// What becomes of a condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Condition {
    Always,
    Never,
    Inverted,
}

/// Where a statement is: the way into the bodies, and its number in the last of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Place {
    /// Of each statement around it: its number, and the number of its branch. What happens otherwise is the last branch.
    way: Vec<(usize, usize)>,
    at: usize,
}

impl Place {
    pub fn statement<'a>(&self, body: &'a [Statement]) -> &'a Statement {
        let body = self.way.iter().fold(body, |body, (at, branch)| body[*at].branch(*branch));
        &body[self.at]
    }

    fn body_of<'a>(&self, body: &'a mut Vec<Statement>) -> &'a mut Vec<Statement> {
        self.way.iter().fold(body, |body, (at, branch)| body[*at].branch_mut(*branch))
    }
}

impl Statement {
    /// How many branches it has: arms, and what happens otherwise.
    fn branches(&self) -> usize {
        match self {
            Statement::Set { .. } => 0,
            Statement::If { arms, .. } => arms.len() + 1,
            Statement::Switch { arms, .. } => arms.len() + 1,
        }
    }

    pub(super) fn branch(&self, number: usize) -> &[Statement] {
        match self {
            Statement::Set { .. } => &[],
            Statement::If { arms, otherwise } => arms.get(number).map_or(otherwise, |(_, body)| body),
            Statement::Switch { arms, default, .. } => arms.get(number).map_or(default, |arm| &arm.body),
        }
    }

    fn branch_mut(&mut self, number: usize) -> &mut Vec<Statement> {
        match self {
            Statement::Set { .. } => unreachable!("an assignment has no branches"),
            Statement::If { arms, otherwise } => arms.get_mut(number).map_or(otherwise, |(_, body)| body),
            Statement::Switch { arms, default, .. } => arms.get_mut(number).map_or(default, |arm| &mut arm.body),
        }
    }
}

/// Every change, in an order that only the module decides.
pub(super) fn all(ir: &ModuleIr) -> Vec<Change> {
    let needed = check::functional(ir);
    let mut changes = Vec::new();
    let labels = labels_of_constants(ir);
    for node in (0..ir.nodes.len()).filter(|node| needed[*node]) {
        let labels = labels.get(&node).copied().or(ir.nodes[node].labels);
        of_node(ir, node, labels, &mut changes);
    }
    of_body(&needed, &mut vec![], &ir.body, &mut changes);
    leave_out_dont_cares(ir, &mut changes);
    for (memory, described) in ir.memories.iter().enumerate() {
        for (port, write) in described.writes.iter().enumerate() {
            changes.extend([true, false].map(|stuck| Change::WriteEnable { memory, port, stuck }));
            changes.extend(write.lanes.map(|_| Change::AllLanes { memory, port }));
        }
        let reads = described.reads.iter().enumerate().filter(|(_, read)| read.enable.is_some());
        changes.extend(reads.map(|(port, _)| Change::AlwaysReads { memory, port }));
    }
    let is_needed = |crossing: &Crossing| crossing.to.iter().all(|register| needed[*register]);
    let crossings = ir.crossings.iter().enumerate().filter(|(_, crossing)| is_needed(crossing));
    let chains = crossings.filter(|(_, crossing)| crossing.kind == CrossingKind::Synchronizer && crossing.to.len() > 1);
    changes.extend(chains.map(|(crossing, _)| Change::TooShort { crossing }));
    changes
}

fn of_node(ir: &ModuleIr, node: NodeId, labels: Option<&[&str]>, changes: &mut Vec<Change>) {
    let width = ir.nodes[node].width;
    let mut other = |kind: NodeKind| changes.push(Change::Node { node, kind });
    match &ir.nodes[node].kind {
        NodeKind::Input
        | NodeKind::Wire
        | NodeKind::InstanceOutput { .. }
        | NodeKind::MemoryRead { .. }
        | NodeKind::MemoryLookup { .. }
        | NodeKind::Slice(..)
        | NodeKind::Select(..) => {}
        NodeKind::Reg { reset, .. } => {
            if let Some(reset) = reset {
                let value = neighbours(&reset.value, labels).swap_remove(0);
                changes.push(Change::ResetValue { register: node, value });
                changes.push(Change::NoReset { register: node });
            }
        }
        NodeKind::Constant(value) => {
            neighbours(value, labels).into_iter().for_each(|c| other(NodeKind::Constant(c)));
        }
        NodeKind::Not(of) => changes.push(Change::Instead { node, instead: *of }),
        NodeKind::Reduce(op, of) => other(NodeKind::Reduce(
            match op {
                ReduceOp::And => ReduceOp::Or,
                ReduceOp::Or => ReduceOp::And,
                ReduceOp::Xor => ReduceOp::Or,
            },
            *of,
        )),
        NodeKind::Binary(op, a, b) => {
            let replacement = match op {
                BinaryOp::Add | BinaryOp::Mul => BinaryOp::Sub,
                BinaryOp::Sub => BinaryOp::Add,
                BinaryOp::And | BinaryOp::Xor => BinaryOp::Or,
                BinaryOp::Or => BinaryOp::And,
                BinaryOp::Eq => BinaryOp::Ne,
                BinaryOp::Ne => BinaryOp::Eq,
                BinaryOp::Lt => BinaryOp::Le,
                BinaryOp::Le => BinaryOp::Lt,
                BinaryOp::SignedLt => BinaryOp::SignedLe,
                BinaryOp::SignedLe => BinaryOp::SignedLt,
            };
            other(NodeKind::Binary(replacement, *a, *b));
            let unsigned = match op {
                BinaryOp::SignedLt => Some(BinaryOp::Lt),
                BinaryOp::SignedLe => Some(BinaryOp::Le),
                _ => None,
            };
            unsigned.into_iter().for_each(|op| other(NodeKind::Binary(op, *a, *b)));
            if op.is_comparison() && !matches!(op, BinaryOp::Eq | BinaryOp::Ne) {
                other(NodeKind::Binary(*op, *b, *a));
            }
            // A condition with a part forgotten is the mistake that people make.
            if width == 1 && matches!(op, BinaryOp::And | BinaryOp::Or) {
                changes.extend([*a, *b].map(|instead| Change::Instead { node, instead }));
            }
        }
        NodeKind::Shift(op, a, b) => other(NodeKind::Shift(
            match op {
                ShiftOp::Left | ShiftOp::SignedRight => ShiftOp::Right,
                ShiftOp::Right => ShiftOp::Left,
            },
            *a,
            *b,
        )),
        NodeKind::Mux(condition, then, otherwise) => {
            other(NodeKind::Mux(*condition, *otherwise, *then));
            changes.extend([*then, *otherwise].map(|instead| Change::Instead { node, instead }));
        }
        NodeKind::Concat(parts) => {
            let alike = |at: &usize| {
                let [a, b] = [parts[*at], parts[*at + 1]];
                a != b && ir.nodes[a].width == ir.nodes[b].width
            };
            if let Some(at) = (0..parts.len() - 1).find(alike) {
                let mut parts = parts.clone();
                parts.swap(at, at + 1);
                other(NodeKind::Concat(parts));
            }
        }
    }
}

/// Leaves out the first assignment of each wire whose value does not matter there: nothing can see it.
fn leave_out_dont_cares(ir: &ModuleIr, changes: &mut Vec<Change>) {
    let mut dont_care: BTreeSet<NodeId> = ir.dont_care.iter().copied().collect();
    changes.retain(|change| match change {
        Change::Assignment { place } => match place.statement(&ir.body) {
            Statement::Set { target, .. } => !dont_care.remove(target),
            _ => true,
        },
        _ => true,
    });
}

/// The enums that constants belong to, as far as their readers say.
fn labels_of_constants(ir: &ModuleIr) -> BTreeMap<NodeId, &'static [&'static str]> {
    let mut labels = BTreeMap::new();
    let mut note = |constant: NodeId, other: NodeId| {
        if let (NodeKind::Constant(_), Some(found)) = (&ir.nodes[constant].kind, ir.nodes[other].labels) {
            labels.insert(constant, found);
        }
    };
    for node in &ir.nodes {
        if let NodeKind::Binary(BinaryOp::Eq | BinaryOp::Ne, a, b) = node.kind {
            note(a, b);
            note(b, a);
        }
    }
    for_each_set(&ir.body, &mut |set, _| {
        if let Statement::Set { target, value, .. } = set {
            note(*value, *target);
        }
    });
    labels
}

/// The values beside a value: one more and one less. Of an enum, the variants before and after it.
fn neighbours(value: &Constant, labels: Option<&[&str]>) -> Vec<Constant> {
    let width = value.width();
    let mut others = match (labels, value.to_u64()) {
        (Some(labels), Some(code)) if code < labels.len() as u64 => {
            let count = labels.len() as u64;
            [1, count - 1].map(|step| Constant::from_words(width, &[(code + step) % count])).to_vec()
        }
        _ => vec![value.plus(&Constant::from_words(width, &[1])), value.plus(&Constant::ones(width))],
    };
    others.dedup();
    others.retain(|other| other != value);
    if others.is_empty() {
        others.push(value.inverted());
    }
    others
}

fn of_body(needed: &[bool], way: &mut Vec<(usize, usize)>, body: &[Statement], changes: &mut Vec<Change>) {
    for (at, statement) in body.iter().enumerate() {
        if !sets_any(statement, needed) {
            continue;
        }
        let place = Place { way: way.clone(), at };
        let matters = |branch: &[Statement]| branch.iter().any(|statement| sets_any(statement, needed));
        match statement {
            Statement::Set { .. } => changes.push(Change::Assignment { place: place.clone() }),
            Statement::If { arms, .. } => {
                // An arm matters also for those that come after it.
                let last = (0..statement.branches()).rev().find(|branch| matters(statement.branch(*branch)));
                for arm in (0..arms.len()).filter(|arm| last.is_some_and(|last| *arm <= last)) {
                    let all = [Condition::Always, Condition::Never, Condition::Inverted];
                    changes.extend(all.map(|becomes| Change::Condition { place: place.clone(), arm, becomes }));
                }
            }
            Statement::Switch { .. } => {
                let branches = (0..statement.branches()).filter(|branch| matters(statement.branch(*branch)));
                changes.extend(branches.map(|branch| Change::Branch { place: place.clone(), branch }));
            }
        }
        for branch in 0..statement.branches() {
            way.push((at, branch));
            of_body(needed, way, statement.branch(branch), changes);
            way.pop();
        }
    }
}

fn sets_any(statement: &Statement, needed: &[bool]) -> bool {
    match statement {
        Statement::Set { target, .. } => needed[*target],
        _ => (0..statement.branches()).any(|branch| statement.branch(branch).iter().any(|s| sets_any(s, needed))),
    }
}

impl Change {
    pub fn kind(&self) -> Kind {
        match self {
            Change::Node { kind: NodeKind::Constant(_), .. } => Kind::Constant,
            Change::Node { .. } | Change::Instead { .. } => Kind::Operator,
            Change::Condition { .. } | Change::Branch { .. } => Kind::Condition,
            Change::Assignment { .. } => Kind::Assignment,
            Change::NoReset { .. } | Change::ResetValue { .. } => Kind::Reset,
            Change::WriteEnable { .. } | Change::AllLanes { .. } | Change::AlwaysReads { .. } => Kind::Enable,
            Change::TooShort { .. } => Kind::Crossing,
        }
    }

    /// The module with this change.
    pub fn applied_to(&self, ir: &ModuleIr) -> ModuleIr {
        let mut ir = ir.clone();
        match self {
            Change::Node { node, kind } => ir.nodes[*node].kind = kind.clone(),
            Change::Instead { node, instead } => replace(&mut ir, *node, *instead),
            Change::Condition { place, arm, becomes } => {
                let Statement::If { arms, .. } = place.statement(&ir.body) else {
                    unreachable!("only an `if` has conditions")
                };
                let condition = arms[*arm].0;
                let kind = match becomes {
                    Condition::Always => NodeKind::Constant(Constant::ones(1)),
                    Condition::Never => NodeKind::Constant(Constant::zero(1)),
                    Condition::Inverted => NodeKind::Not(condition),
                };
                let new = add_node(&mut ir, kind, 1, condition);
                if let Statement::If { arms, .. } = &mut place.body_of(&mut ir.body)[place.at] {
                    arms[*arm].0 = new;
                }
            }
            Change::Assignment { place } => {
                let old = place.body_of(&mut ir.body).remove(place.at);
                let values = instead_of(&mut ir, std::slice::from_ref(&old));
                let body = place.body_of(&mut ir.body);
                body.splice(place.at..place.at, values);
            }
            Change::Branch { place, branch } => {
                let old = std::mem::take(place.body_of(&mut ir.body)[place.at].branch_mut(*branch));
                let values = instead_of(&mut ir, &old);
                *place.body_of(&mut ir.body)[place.at].branch_mut(*branch) = values;
            }
            Change::NoReset { register } => {
                if let NodeKind::Reg { reset, .. } = &mut ir.nodes[*register].kind {
                    *reset = None;
                }
            }
            Change::ResetValue { register, value } => {
                if let NodeKind::Reg { reset: Some(reset), .. } = &mut ir.nodes[*register].kind {
                    reset.value = value.clone();
                }
            }
            Change::WriteEnable { memory, port, stuck } => {
                let value = Constant::from_words(1, &[u64::from(*stuck)]);
                let enable = ir.memories[*memory].writes[*port].enable;
                let new = add_node(&mut ir, NodeKind::Constant(value), 1, enable);
                ir.memories[*memory].writes[*port].enable = new;
            }
            Change::AllLanes { memory, port } => ir.memories[*memory].writes[*port].lanes = None,
            Change::AlwaysReads { memory, port } => ir.memories[*memory].reads[*port].enable = None,
            Change::TooShort { crossing } => {
                let Crossing { from, to, .. } = &mut ir.crossings[*crossing];
                // The crossing goes on to be known as one, so that jitter is where it begins.
                to.remove(0);
                let (from, first) = (*from, to[0]);
                set_to(&mut ir.body, first, from);
            }
        }
        ir
    }
}

/// Adds a node that stands where `like` stood.
fn add_node(ir: &mut ModuleIr, kind: NodeKind, width: u32, like: NodeId) -> NodeId {
    let source = ir.nodes[like].source;
    ir.nodes.push(Node { kind, width, name: None, labels: None, elements: None, bundles: vec![], source });
    ir.nodes.len() - 1
}

/// Assignments of zeros for the wires that have lost their only value with `old`, in its place. A value that does not matter is none.
fn instead_of(ir: &mut ModuleIr, old: &[Statement]) -> Vec<Statement> {
    let mut lost: Vec<(NodeId, Option<NodeId>, NodeId, Source)> = Vec::new();
    for_each_set(old, &mut |set, _| {
        if let Statement::Set { target, element, value, source } = set {
            let known = lost.iter().any(|(other, at, ..)| (other, at) == (target, element));
            let has_value = || check::is_always_driven(ir, *target) && !ir.dont_care.contains(target);
            if !known && matches!(ir.nodes[*target].kind, NodeKind::Wire) && !has_value() {
                lost.push((*target, *element, *value, source));
            }
        }
    });
    let values = lost.into_iter().map(|(target, element, value, source)| {
        let width = ir.nodes[value].width;
        let value = add_node(ir, NodeKind::Constant(Constant::zero(width)), width, value);
        Statement::Set { target, element, value, source }
    });
    values.collect()
}

/// Makes every assignment to `register` one of `new`.
fn set_to(body: &mut [Statement], register: NodeId, new: NodeId) {
    for statement in body {
        match statement {
            Statement::Set { target, value, .. } if *target == register => *value = new,
            _ => (0..statement.branches()).for_each(|branch| set_to(statement.branch_mut(branch), register, new)),
        }
    }
}

/// Makes whoever reads `old` read `new`.
fn replace(ir: &mut ModuleIr, old: NodeId, new: NodeId) {
    let change = |id: &mut NodeId| {
        if *id == old {
            *id = new;
        }
    };
    for node in &mut ir.nodes {
        match &mut node.kind {
            NodeKind::Input
            | NodeKind::Wire
            | NodeKind::InstanceOutput { .. }
            | NodeKind::MemoryRead { .. }
            | NodeKind::Constant(_) => {}
            NodeKind::Reg { reset, .. } => reset.iter_mut().for_each(|reset| change(&mut reset.signal)),
            NodeKind::MemoryLookup { address, .. } => change(address),
            NodeKind::Not(a) | NodeKind::Reduce(_, a) | NodeKind::Slice(a, _) => change(a),
            NodeKind::Binary(_, a, b) | NodeKind::Shift(_, a, b) | NodeKind::Select(a, b) => {
                [a, b].into_iter().for_each(change);
            }
            NodeKind::Mux(a, b, c) => [a, b, c].into_iter().for_each(change),
            NodeKind::Concat(parts) => parts.iter_mut().for_each(change),
        }
    }
    replace_in_body(&mut ir.body, &change);
    for memory in &mut ir.memories {
        for write in &mut memory.writes {
            [&mut write.enable, &mut write.address, &mut write.data]
                .into_iter()
                .chain(&mut write.lanes)
                .for_each(change);
        }
        for read in &mut memory.reads {
            [&mut read.address].into_iter().chain(&mut read.enable).for_each(change);
        }
    }
    for instance in &mut ir.instances {
        instance.connections.iter_mut().for_each(change);
    }
    for property in &mut ir.properties {
        [&mut property.condition].into_iter().chain(&mut property.reset).for_each(change);
    }
    for crossing in &mut ir.crossings {
        change(&mut crossing.from);
    }
}

fn replace_in_body(body: &mut [Statement], change: &impl Fn(&mut NodeId)) {
    for statement in body {
        match statement {
            Statement::Set { element, value, .. } => [value].into_iter().chain(element).for_each(change),
            Statement::If { arms, otherwise } => {
                for (condition, body) in arms {
                    change(condition);
                    replace_in_body(body, change);
                }
                replace_in_body(otherwise, change);
            }
            Statement::Switch { on, arms, default, .. } => {
                change(on);
                arms.iter_mut().for_each(|arm| replace_in_body(&mut arm.body, change));
                replace_in_body(default, change);
            }
        }
    }
}
