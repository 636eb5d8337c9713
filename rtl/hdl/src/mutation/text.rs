//! What a change is called: where it is, and what it makes of what. It names signals and never numbers of nodes.

use super::change::{Change, Condition, Place};
use crate::ir::*;
use crate::Constant;

/// How deep an expression is written out.
const DEPTH_MAX: u32 = 4;
/// How many parts of a concatenation are written out.
const PARTS_MAX: usize = 4;
/// Constants above this are written in hexadecimal.
const DECIMAL_MAX: u64 = 999;

/// The first that reads a value.
#[derive(Clone)]
enum Reader {
    /// Another value.
    Node(NodeId),
    /// An assignment to this target.
    Target(NodeId),
    /// Something else, in words.
    Other(String),
}

/// Names the changes of one module.
pub(super) struct Describer<'a> {
    ir: &'a ModuleIr,
    readers: Vec<Option<Reader>>,
}

impl<'a> Describer<'a> {
    pub fn new(ir: &'a ModuleIr) -> Describer<'a> {
        let mut describer = Describer { ir, readers: vec![None; ir.nodes.len()] };
        describer.note_body(&ir.body);
        for (id, node) in ir.nodes.iter().enumerate() {
            ir.operands(id).into_iter().for_each(|operand| describer.note(operand, Reader::Node(id)));
            if let NodeKind::Reg { reset: Some(reset), .. } = &node.kind {
                describer.note(reset.signal, Reader::Other(format!("{} reset", describer.value(id))));
            }
        }
        for memory in &ir.memories {
            let mut note = |id, what| describer.note(id, Reader::Other(format!("{} {what}", memory.name)));
            for write in &memory.writes {
                note(write.enable, "write enable");
                note(write.address, "write address");
                note(write.data, "write data");
                write.lanes.into_iter().for_each(|lanes| note(lanes, "write lanes"));
            }
            for read in &memory.reads {
                note(read.address, "read address");
                read.enable.into_iter().for_each(|enable| note(enable, "read enable"));
            }
        }
        describer
    }

    fn note(&mut self, id: NodeId, reader: Reader) {
        self.readers[id].get_or_insert(reader);
    }

    fn note_body(&mut self, body: &[Statement]) {
        for statement in body {
            match statement {
                Statement::Set { target, element, value, .. } => {
                    self.note(*value, Reader::Target(*target));
                    if let Some(element) = element {
                        self.note(*element, Reader::Other(format!("{} index", self.value(*target))));
                    }
                }
                Statement::If { arms, otherwise } => {
                    for (arm, (condition, body)) in arms.iter().enumerate() {
                        self.note(*condition, Reader::Other(format!("{} if", self.first_target(statement, arm))));
                        self.note_body(body);
                    }
                    self.note_body(otherwise);
                }
                Statement::Switch { on, arms, default, .. } => {
                    self.note(*on, Reader::Other(format!("{} switch", self.first_target(statement, 0))));
                    arms.iter().for_each(|arm| self.note_body(&arm.body));
                    self.note_body(default);
                }
            }
        }
    }

    /// The name of the change.
    pub fn text(&self, change: &Change) -> String {
        match change {
            Change::Node { node, kind: NodeKind::Constant(value) } => self.constant_change(*node, value),
            Change::Node { node, kind } => {
                let after = self.expression(kind, self.ir.nodes[*node].width, 0, None);
                format!("{}: {} -> {after}", self.place(*node), self.value(*node))
            }
            Change::Instead { node, instead } => {
                format!("{}: {} -> {}", self.place(*node), self.value(*node), self.value(*instead))
            }
            Change::Condition { place, arm, becomes } => {
                let statement = place.statement(&self.ir.body);
                let Statement::If { arms, .. } = statement else { unreachable!("only an `if` has conditions") };
                let becomes = match becomes {
                    Condition::Always => "always",
                    Condition::Never => "never",
                    Condition::Inverted => "inverted",
                };
                format!("{} if: {} -> {becomes}", self.first_target(statement, *arm), self.value(arms[*arm].0))
            }
            Change::Assignment { place } => {
                let Statement::Set { target, element, value, .. } = place.statement(&self.ir.body) else {
                    unreachable!("only an assignment can be left out")
                };
                let element = element.map_or(String::new(), |element| format!("[{}]", self.value(element)));
                let value = self.value_for(*value, *target);
                format!("{}{element}: no assignment of {value}", self.value(*target))
            }
            Change::Branch { place, branch } => {
                let statement = place.statement(&self.ir.body);
                let Statement::Switch { on, arms, .. } = statement else { unreachable!("only a switch has these") };
                let case = arms.get(*branch).map_or("default".into(), |arm| match &arm.label[..] {
                    "" => number(&arm.value),
                    label => label.to_string(),
                });
                let target = self.first_target(statement, *branch);
                format!("{target} switch: nothing happens for {} {case}", self.value(*on))
            }
            Change::NoReset { register } => format!("{}: no reset", self.value(*register)),
            Change::ResetValue { register, value } => {
                let NodeKind::Reg { reset: Some(reset), .. } = &self.ir.nodes[*register].kind else {
                    unreachable!("only a register with a reset has a value for it")
                };
                let [before, after] = [&reset.value, value].map(|value| self.constant_of(value, *register));
                format!("{}: reset to {before} -> {after}", self.value(*register))
            }
            Change::WriteEnable { memory, port, stuck } => {
                let enable = self.ir.memories[*memory].writes[*port].enable;
                let stuck = if *stuck { "always" } else { "never" };
                format!("{} write enable: {} -> {stuck}", self.ir.memories[*memory].name, self.value(enable))
            }
            Change::AllLanes { memory, .. } => format!("{} write lanes: all", self.ir.memories[*memory].name),
            Change::AlwaysReads { memory, port } => {
                let read = &self.ir.memories[*memory].reads[*port];
                let enable = read.enable.map_or(String::new(), |enable| self.value(enable));
                format!("{} read enable: {enable} -> always", self.value(read.data))
            }
            Change::TooShort { crossing } => {
                let to = &self.ir.crossings[*crossing].to;
                let last = to.last().expect("a synchroniser has registers");
                format!("{}: {} is left out", self.value(*last), self.value(to[0]))
            }
        }
    }

    /// The Rust line of a change.
    pub fn source(&self, change: &Change) -> Source {
        let first_set = |place: &Place, branch: usize| {
            let mut first = None;
            for_each_set(place.statement(&self.ir.body).branch(branch), &mut |set, _| {
                if let Statement::Set { source, .. } = set {
                    first = first.or(Some(*source));
                }
            });
            first
        };
        let of_node = |node: &NodeId| self.ir.nodes[*node].source;
        match change {
            Change::Node { node, .. } | Change::Instead { node, .. } => of_node(node),
            Change::Condition { place, arm, .. } => {
                let Statement::If { arms, .. } = place.statement(&self.ir.body) else {
                    unreachable!("only an `if` has conditions")
                };
                // The line of a condition is that of its expression, unless it has a name and stands elsewhere.
                let condition = &self.ir.nodes[arms[*arm].0];
                first_set(place, *arm).filter(|_| condition.name.is_some()).unwrap_or(condition.source)
            }
            Change::Assignment { place } => match place.statement(&self.ir.body) {
                Statement::Set { source, .. } => source,
                _ => unreachable!("only an assignment can be left out"),
            },
            Change::Branch { place, branch } => match place.statement(&self.ir.body) {
                Statement::Switch { on, .. } => first_set(place, *branch).unwrap_or_else(|| of_node(on)),
                _ => unreachable!("only a switch has these"),
            },
            Change::NoReset { register } | Change::ResetValue { register, .. } => of_node(register),
            Change::WriteEnable { memory, port, .. } | Change::AllLanes { memory, port } => {
                self.ir.memories[*memory].writes[*port].source
            }
            Change::AlwaysReads { memory, port } => self.ir.memories[*memory].reads[*port].source,
            Change::TooShort { crossing } => self.ir.crossings[*crossing].source,
        }
    }

    /// A constant is named by what reads it.
    fn constant_change(&self, node: NodeId, value: &Constant) -> String {
        let place = self.place(node);
        match self.readers[node] {
            Some(Reader::Node(reader)) => {
                let Node { kind, width, .. } = &self.ir.nodes[reader];
                let [before, after] =
                    [None, Some((node, value))].map(|replaced| self.expression(kind, *width, 0, replaced));
                format!("{place}: {before} -> {after}")
            }
            Some(Reader::Target(target)) => {
                format!("{place}: {} -> {}", self.value_for(node, target), self.constant_of(value, target))
            }
            _ => format!("{place}: {} -> {}", self.value(node), number(value)),
        }
    }

    /// Where the value goes first.
    fn place(&self, node: NodeId) -> String {
        let mut node = node;
        loop {
            match &self.readers[node] {
                Some(Reader::Node(reader)) if self.ir.nodes[*reader].name.is_none() => node = *reader,
                Some(Reader::Node(reader) | Reader::Target(reader)) => return self.value(*reader),
                Some(Reader::Other(place)) => return place.clone(),
                None => return "nowhere".into(),
            }
        }
    }

    /// What is set first in a branch, or, if it is empty, in those beside it.
    fn first_target(&self, statement: &Statement, branch: usize) -> String {
        let mut first = None;
        for body in [statement.branch(branch), std::slice::from_ref(statement)] {
            for_each_set(body, &mut |set, _| {
                if let Statement::Set { target, .. } = set {
                    first = first.or(Some(*target));
                }
            });
        }
        first.map_or(String::new(), |target| self.value(target))
    }

    fn value(&self, node: NodeId) -> String {
        self.value_at(node, 0, None)
    }

    /// A value as the target shows it: an enum by its variant.
    fn value_for(&self, value: NodeId, target: NodeId) -> String {
        self.ir.constant(value).map_or_else(|| self.value(value), |constant| self.constant_of(constant, target))
    }

    fn constant_of(&self, constant: &Constant, of: NodeId) -> String {
        self.ir.nodes[of].label_of(constant).map_or_else(|| number(constant), String::from)
    }

    fn value_at(&self, id: NodeId, depth: u32, replaced: Option<(NodeId, &Constant)>) -> String {
        let node = &self.ir.nodes[id];
        match (&node.name, &node.kind) {
            (Some(name), _) => name.clone(),
            (None, NodeKind::Constant(value)) => {
                let value = replaced.filter(|(other, _)| *other == id).map_or(value, |(_, value)| value);
                self.constant_of(value, id)
            }
            _ if depth == DEPTH_MAX => "..".into(),
            (None, kind) => self.expression(kind, node.width, depth, replaced),
        }
    }

    /// An expression; `replaced` shows a constant as another.
    fn expression(&self, kind: &NodeKind, width: u32, depth: u32, replaced: Option<(NodeId, &Constant)>) -> String {
        let inner = |id: &NodeId| self.value_at(*id, depth + 1, replaced);
        // What binds less tightly than the operator around it stands in parentheses.
        let operand = |id: &NodeId| {
            let node = &self.ir.nodes[*id];
            let loose = matches!(node.kind, NodeKind::Binary(..) | NodeKind::Shift(..) | NodeKind::Mux(..));
            match inner(id) {
                text if loose && node.name.is_none() && text != ".." => format!("({text})"),
                text => text,
            }
        };
        match kind {
            NodeKind::Constant(value) => number(value),
            NodeKind::Not(a) => format!("!{}", operand(a)),
            NodeKind::Reduce(ReduceOp::And, a) => format!("all({})", inner(a)),
            NodeKind::Reduce(ReduceOp::Or, a) => format!("any({})", inner(a)),
            NodeKind::Reduce(ReduceOp::Xor, a) => format!("parity({})", inner(a)),
            NodeKind::Binary(op, a, b) => {
                let signed = if op.is_signed() { "signed " } else { "" };
                format!("{} {signed}{} {}", operand(a), op.symbol(), operand(b))
            }
            NodeKind::Shift(op, a, b) => {
                let symbol = match op {
                    ShiftOp::Left => "<<",
                    ShiftOp::Right => ">>",
                    ShiftOp::SignedRight => ">>>",
                };
                format!("{} {symbol} {}", operand(a), operand(b))
            }
            NodeKind::Mux(c, a, b) => format!("{} ? {} : {}", operand(c), operand(a), operand(b)),
            NodeKind::Concat(parts) => {
                let mut texts: Vec<String> = parts.iter().take(PARTS_MAX).map(inner).collect();
                if parts.len() > PARTS_MAX {
                    texts.push("..".into());
                }
                format!("{{{}}}", texts.join(", "))
            }
            NodeKind::Slice(a, low) if width == 1 => format!("{}[{low}]", operand(a)),
            NodeKind::Slice(a, low) => format!("{}[{low}..{}]", operand(a), low + width),
            NodeKind::Select(a, index) => format!("{}[{}]", operand(a), inner(index)),
            NodeKind::MemoryLookup { memory, address } => {
                format!("{}[{}]", self.ir.memories[*memory].name, inner(address))
            }
            NodeKind::Input
            | NodeKind::Wire
            | NodeKind::Reg { .. }
            | NodeKind::InstanceOutput { .. }
            | NodeKind::MemoryRead { .. } => "?".into(),
        }
    }
}

/// A constant without its width, which differs between configurations.
fn number(value: &Constant) -> String {
    if value.width() > 1 && value.is_ones() {
        return "~0".into();
    }
    match value.to_u64() {
        Some(small) if small <= DECIMAL_MAX => small.to_string(),
        _ => {
            let text = value.verilog();
            format!("0x{}", text.split_once('h').map_or(&text[..], |(_, digits)| digits))
        }
    }
}
