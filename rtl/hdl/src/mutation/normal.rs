//! A form in which descriptions of the same hardware are equal, far more often than as they are written: what each output, and each
//! register and port behind it, computes, by the laws of Boolean algebra and of the operators.
//!
//! Equal forms mean equal hardware. Different forms may still mean equal hardware: nothing here searches.

use crate::eval::{split, Step};
use crate::ir::*;
use crate::Constant;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Number of a term.
type Id = u32;

/// Reductions of at most so many bits are written out.
const BITS_MAX: u32 = 64;

/// No term.
const NONE: Id = Id::MAX;

/// A value by what computes it.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Term {
    /// What comes from elsewhere: an input, a register, an output of an instance, the data of a clocked read.
    Leaf(NodeId),
    /// A wire where nothing sets it.
    Undriven(u32),
    Constant(Constant),
    Not(Id),
    /// At least two, sorted, each once, no constants, no conjunctions.
    And(Vec<Id>),
    AnyBit(Id),
    Parity(Id),
    Binary(BinaryOp, Id, Id),
    Shift(ShiftOp, Id, Id),
    Mux(Id, Id, Id),
    /// Highest first; no concatenations inside, no two constants or pieces of one value side by side.
    Concat(Vec<Id>),
    Slice(Id, u32, u32),
    Select(Id, Id, u32),
    Lookup(usize, Id),
    /// An array with one element replaced: array, index, value.
    Element(Id, Id, Id),
}

/// What a module does, for comparison with other forms of the same [`Forms`].
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Form(Vec<Vec<Id>>);

/// Terms of one module and of its mutants.
pub(super) struct Forms {
    terms: Vec<(Term, u32)>,
    numbers: HashMap<Term, Id>,
}

impl Forms {
    pub fn new() -> Forms {
        Forms { terms: vec![], numbers: HashMap::new() }
    }

    /// The form of a module.
    pub fn of(&mut self, ir: &ModuleIr) -> Form {
        let steps = split(&ir.body, &|_| true);
        let mut walk = Walk { forms: self, ir, steps, known: vec![NONE; ir.nodes.len()] };
        walk.form()
    }

    fn term(&mut self, term: Term, width: u32) -> Id {
        if let Some(&id) = self.numbers.get(&term) {
            return id;
        }
        let id = self.terms.len() as Id;
        self.terms.push((term.clone(), width));
        self.numbers.insert(term, id);
        id
    }

    fn width(&self, id: Id) -> u32 {
        self.terms[id as usize].1
    }

    fn get(&self, id: Id) -> &Term {
        &self.terms[id as usize].0
    }

    fn constant_of(&self, id: Id) -> Option<&Constant> {
        match self.get(id) {
            Term::Constant(value) => Some(value),
            _ => None,
        }
    }

    fn constant(&mut self, value: Constant) -> Id {
        let width = value.width();
        self.term(Term::Constant(value), width)
    }

    fn bit(&mut self, value: bool) -> Id {
        self.constant(Constant::from_words(1, &[value.into()]))
    }

    fn is_zero(&self, id: Id) -> bool {
        self.constant_of(id).is_some_and(Constant::is_zero)
    }

    fn is_ones(&self, id: Id) -> bool {
        self.constant_of(id).is_some_and(Constant::is_ones)
    }

    fn not(&mut self, a: Id) -> Id {
        match self.get(a).clone() {
            Term::Not(inner) => inner,
            Term::Constant(value) => self.constant(value.inverted()),
            _ => self.term(Term::Not(a), self.width(a)),
        }
    }

    fn and(&mut self, parts: &[Id]) -> Id {
        let width = self.width(parts[0]);
        let mut all: Vec<Id> = Vec::new();
        for part in parts {
            match self.get(*part) {
                Term::And(inner) => all.extend(inner),
                _ => all.push(*part),
            }
        }
        loop {
            all.retain(|part| !self.is_ones(*part));
            all.sort_unstable();
            all.dedup();
            let opposite = all.iter().any(|part| matches!(self.get(*part), Term::Not(of) if all.contains(of)));
            if opposite || all.iter().any(|part| self.is_zero(*part)) {
                return self.constant(Constant::zero(width));
            }
            match self.absorbed(&all) {
                Some(fewer) => all = fewer,
                None => break,
            }
        }
        match all[..] {
            [] => self.constant(Constant::ones(width)),
            [only] => only,
            _ => self.term(Term::And(all), width),
        }
    }

    /// The conjunction with `!(t1 & t2 ..)` made simpler by what else it says; none if nothing is.
    fn absorbed(&mut self, all: &[Id]) -> Option<Vec<Id>> {
        for (at, part) in all.iter().enumerate() {
            let Term::Not(of) = *self.get(*part) else { continue };
            let Term::And(inner) = self.get(of).clone() else { continue };
            let others: Vec<Id> = all.iter().copied().filter(|other| other != part).collect();
            let false_inside = inner.iter().any(|term| match self.get(*term) {
                Term::Not(of) => others.contains(of),
                _ => others.iter().any(|other| matches!(self.get(*other), Term::Not(of) if of == term)),
            });
            let left: Vec<Id> = inner.iter().copied().filter(|term| !others.contains(term)).collect();
            let mut fewer = all.to_vec();
            if false_inside {
                fewer.remove(at);
            } else if left.is_empty() {
                return Some(vec![self.constant(Constant::zero(self.width(*part)))]);
            } else if left.len() < inner.len() {
                let left = self.and(&left);
                let left = self.not(left);
                fewer.remove(at);
                match self.get(left) {
                    Term::And(inner) => fewer.extend(inner.clone()),
                    _ => fewer.push(left),
                }
            } else {
                continue;
            }
            return Some(fewer);
        }
        None
    }

    fn or(&mut self, parts: &[Id]) -> Id {
        let parts: Vec<Id> = parts.iter().map(|part| self.not(*part)).collect();
        let none = self.and(&parts);
        self.not(none)
    }

    fn any(&mut self, a: Id) -> Id {
        if self.width(a) == 1 {
            return a;
        }
        match self.get(a).clone() {
            Term::Constant(value) => self.bit(!value.is_zero()),
            Term::Concat(parts) => {
                let parts: Vec<Id> = parts.iter().map(|part| self.any(*part)).collect();
                self.or(&parts)
            }
            // Bit by bit, so that the order in which bits stand side by side does not matter.
            _ if self.width(a) <= BITS_MAX => {
                let bits: Vec<Id> = (0..self.width(a)).map(|bit| self.slice(a, bit, 1)).collect();
                self.or(&bits)
            }
            _ => self.term(Term::AnyBit(a), 1),
        }
    }

    fn all(&mut self, a: Id) -> Id {
        let inverted = match self.get(a).clone() {
            // So that both reductions of a concatenation become those of its parts.
            Term::Concat(parts) => {
                let parts: Vec<Id> = parts.iter().map(|part| self.not(*part)).collect();
                self.concat(&parts)
            }
            _ => self.not(a),
        };
        let any = self.any(inverted);
        self.not(any)
    }

    fn parity(&mut self, a: Id) -> Id {
        match self.get(a).clone() {
            _ if self.width(a) == 1 => a,
            Term::Constant(value) => self.bit(value.words().iter().map(|word| word.count_ones()).sum::<u32>() % 2 == 1),
            Term::Concat(parts) => {
                let parts: Vec<Id> = parts.iter().map(|part| self.parity(*part)).collect();
                parts.into_iter().reduce(|a, b| self.xor(a, b)).expect("a concatenation has parts")
            }
            _ => self.term(Term::Parity(a), 1),
        }
    }

    fn xor(&mut self, a: Id, b: Id) -> Id {
        for (a, b) in [(a, b), (b, a)] {
            if self.is_zero(b) {
                return a;
            }
            if self.is_ones(b) {
                return self.not(a);
            }
            if let Term::Not(inner) = *self.get(a) {
                let other = self.xor(inner, b);
                return self.not(other);
            }
        }
        if a == b {
            return self.constant(Constant::zero(self.width(a)));
        }
        self.term(Term::Binary(BinaryOp::Xor, a.min(b), a.max(b)), self.width(a))
    }

    fn equal(&mut self, a: Id, b: Id) -> Id {
        if a == b {
            return self.bit(true);
        }
        if self.width(a) == 1 {
            let different = self.xor(a, b);
            return self.not(different);
        }
        for (a, b) in [(a, b), (b, a)] {
            if self.is_zero(b) {
                let any = self.any(a);
                return self.not(any);
            }
            if self.is_ones(b) {
                return self.all(a);
            }
            if let (Term::Not(inner), Some(value)) = (self.get(a).clone(), self.constant_of(b)) {
                let value = value.inverted();
                let value = self.constant(value);
                return self.equal(inner, value);
            }
            if let (Term::Concat(parts), Some(value)) = (self.get(a).clone(), self.constant_of(b).cloned()) {
                let mut low = self.width(a);
                let equal: Vec<Id> = parts
                    .iter()
                    .map(|part| {
                        let width = self.width(*part);
                        low -= width;
                        let value = self.constant(value.slice(low, width));
                        self.equal(*part, value)
                    })
                    .collect();
                return self.and(&equal);
            }
        }
        if self.constant_of(a).is_some() && self.constant_of(b).is_some() {
            return self.bit(false);
        }
        self.term(Term::Binary(BinaryOp::Eq, a.min(b), a.max(b)), 1)
    }

    fn less(&mut self, a: Id, b: Id) -> Id {
        if a == b || self.is_zero(b) || self.is_ones(a) {
            return self.bit(false);
        }
        if self.width(a) == 1 {
            let not = self.not(a);
            return self.and(&[not, b]);
        }
        if self.is_zero(a) {
            return self.any(b);
        }
        match (self.constant_of(a), self.constant_of(b)) {
            (Some(a), Some(b)) => {
                let less = a.words().iter().rev().lt(b.words().iter().rev());
                self.bit(less)
            }
            // `a < 5` is `!(4 < a)`: constants stand on the left.
            (None, Some(limit)) => {
                let below = limit.plus(&Constant::ones(limit.width()));
                let below = self.constant(below);
                let above = self.less(below, a);
                self.not(above)
            }
            _ => self.term(Term::Binary(BinaryOp::Lt, a, b), 1),
        }
    }

    fn add(&mut self, a: Id, b: Id) -> Id {
        if self.width(a) == 1 {
            return self.xor(a, b);
        }
        for (a, b) in [(a, b), (b, a)] {
            if self.is_zero(b) {
                return a;
            }
        }
        if let (Some(a), Some(b)) = (self.constant_of(a), self.constant_of(b)) {
            let sum = a.plus(b);
            return self.constant(sum);
        }
        self.term(Term::Binary(BinaryOp::Add, a.min(b), a.max(b)), self.width(a))
    }

    fn subtract(&mut self, a: Id, b: Id) -> Id {
        let width = self.width(a);
        if width == 1 {
            return self.xor(a, b);
        }
        if a == b {
            return self.constant(Constant::zero(width));
        }
        if let Some(value) = self.constant_of(b) {
            let negative = value.inverted().plus(&Constant::from_words(width, &[1]));
            let negative = self.constant(negative);
            return self.add(a, negative);
        }
        self.term(Term::Binary(BinaryOp::Sub, a, b), width)
    }

    fn binary(&mut self, op: BinaryOp, a: Id, b: Id) -> Id {
        match op {
            BinaryOp::Add => self.add(a, b),
            BinaryOp::Sub => self.subtract(a, b),
            BinaryOp::Mul => self.term(Term::Binary(op, a.min(b), a.max(b)), self.width(a)),
            BinaryOp::And => self.and(&[a, b]),
            BinaryOp::Or => self.or(&[a, b]),
            BinaryOp::Xor => self.xor(a, b),
            BinaryOp::Eq => self.equal(a, b),
            BinaryOp::Ne => {
                let equal = self.equal(a, b);
                self.not(equal)
            }
            BinaryOp::Lt => self.less(a, b),
            BinaryOp::Le => {
                let above = self.less(b, a);
                self.not(above)
            }
            BinaryOp::SignedLt if a == b => self.bit(false),
            BinaryOp::SignedLt => self.term(Term::Binary(op, a, b), 1),
            BinaryOp::SignedLe => {
                let above = self.binary(BinaryOp::SignedLt, b, a);
                self.not(above)
            }
        }
    }

    fn shift(&mut self, op: ShiftOp, a: Id, amount: Id) -> Id {
        let width = self.width(a);
        let Some(by) = self.constant_of(amount).filter(|_| op != ShiftOp::SignedRight) else {
            return self.term(Term::Shift(op, a, amount), width);
        };
        let by = by.to_u64().map_or(width, |by| by.min(width.into()) as u32);
        match by {
            0 => a,
            _ if by == width => self.constant(Constant::zero(width)),
            _ => {
                let zeros = self.constant(Constant::zero(by));
                if op == ShiftOp::Left {
                    let low = self.slice(a, 0, width - by);
                    self.concat(&[low, zeros])
                } else {
                    let high = self.slice(a, by, width - by);
                    self.concat(&[zeros, high])
                }
            }
        }
    }

    fn mux(&mut self, condition: Id, then: Id, otherwise: Id) -> Id {
        if let Some(value) = self.constant_of(condition) {
            return if value.is_zero() { otherwise } else { then };
        }
        if let Term::Not(inner) = *self.get(condition) {
            return self.mux(inner, otherwise, then);
        }
        // What is chosen by the same condition again is known.
        if let Term::Mux(again, inner, _) = *self.get(then) {
            if again == condition {
                return self.mux(condition, inner, otherwise);
            }
        }
        if let Term::Mux(again, _, inner) = *self.get(otherwise) {
            if again == condition {
                return self.mux(condition, then, inner);
            }
        }
        if then == otherwise {
            return then;
        }
        let width = self.width(then);
        if width == 1 {
            let inverted = self.not(condition);
            let is_condition = |id: Id| id == condition || id == inverted;
            let simple = |own: &Self, id: Id| own.constant_of(id).is_some() || is_condition(id);
            if simple(self, then) || simple(self, otherwise) {
                let then = self.and(&[condition, then]);
                let otherwise = self.and(&[inverted, otherwise]);
                return self.or(&[then, otherwise]);
            }
        }
        if let (Term::Not(a), Term::Not(b)) = (self.get(then).clone(), self.get(otherwise).clone()) {
            let chosen = self.mux(condition, a, b);
            return self.not(chosen);
        }
        self.term(Term::Mux(condition, then, otherwise), width)
    }

    fn slice(&mut self, of: Id, low: u32, width: u32) -> Id {
        if width == self.width(of) {
            return of;
        }
        match self.get(of).clone() {
            Term::Constant(value) => self.constant(value.slice(low, width)),
            Term::Slice(inner, below, _) => self.slice(inner, below + low, width),
            Term::Not(inner) => {
                let inner = self.slice(inner, low, width);
                self.not(inner)
            }
            Term::Concat(parts) => {
                let mut pieces = Vec::new();
                let mut end = self.width(of);
                for part in parts {
                    let start = end - self.width(part);
                    let (from, to) = (start.max(low), end.min(low + width));
                    if from < to {
                        pieces.push(self.slice(part, from - start, to - from));
                    }
                    end = start;
                }
                self.concat(&pieces)
            }
            _ => self.term(Term::Slice(of, low, width), width),
        }
    }

    fn concat(&mut self, parts: &[Id]) -> Id {
        let mut flat: Vec<Id> = Vec::new();
        let mut pending: Vec<Id> = parts.iter().rev().copied().collect();
        while let Some(part) = pending.pop() {
            if let Term::Concat(inner) = self.get(part) {
                pending.extend(inner.iter().rev());
                continue;
            }
            match flat.last().and_then(|last| self.joined(*last, part)) {
                Some(joined) => *flat.last_mut().expect("there is a last one") = joined,
                None => flat.push(part),
            }
        }
        match flat[..] {
            [only] => only,
            _ => {
                let width = flat.iter().map(|part| self.width(*part)).sum();
                self.term(Term::Concat(flat), width)
            }
        }
    }

    /// Two parts side by side as one, if they are constants or pieces of one value.
    fn joined(&mut self, high: Id, low: Id) -> Option<Id> {
        let (high_width, low_width) = (self.width(high), self.width(low));
        let width = high_width + low_width;
        match (self.get(high), self.get(low)) {
            (Term::Constant(high), Term::Constant(low)) => {
                let mut words = low.words().to_vec();
                words.resize(crate::words_for(width), 0);
                crate::bench::set_bits(&mut words, low_width, high_width, high.words());
                Some(self.constant(Constant::from_words(width, &words)))
            }
            (Term::Slice(a, above, _), Term::Slice(b, below, _)) if a == b && *above == below + low_width => {
                let (of, below) = (*b, *below);
                Some(self.slice(of, below, width))
            }
            _ => None,
        }
    }

    fn select(&mut self, of: Id, index: Id, width: u32) -> Id {
        match self.constant_of(index).and_then(Constant::to_u64) {
            Some(index) => self.slice(of, index as u32 * width, width),
            None => self.term(Term::Select(of, index, width), width),
        }
    }
}

/// The way through one module.
struct Walk<'a> {
    forms: &'a mut Forms,
    ir: &'a ModuleIr,
    steps: BTreeMap<NodeId, Vec<Step<'a>>>,
    /// The term of each node.
    known: Vec<Id>,
}

/// A part of a module that holds state or is a module itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Register(NodeId),
    Memory(usize),
    Instance(usize),
}

impl Walk<'_> {
    fn form(&mut self) -> Form {
        let outputs = self.ir.ports.iter().filter(|port| port.direction == Direction::Output);
        let outputs: Vec<Id> = outputs.map(|port| self.node(port.node)).collect();
        let mut seen = BTreeSet::new();
        let mut pending = self.parts_behind(&outputs, &mut seen);
        let mut parts: BTreeMap<Part, Vec<Id>> = BTreeMap::new();
        while let Some(part) = pending.pop() {
            // A memory is met at each of its look-ups.
            parts.entry(part).or_insert_with(|| {
                let form = self.part(part);
                pending.extend(self.parts_behind(&form, &mut seen));
                form
            });
        }
        let mut form = vec![outputs];
        for (part, mut ids) in parts {
            let (kind, number) = match part {
                Part::Register(node) => (0, node),
                Part::Memory(memory) => (1, memory),
                Part::Instance(instance) => (2, instance),
            };
            ids.extend([kind, number as Id]);
            form.push(ids);
        }
        Form(form)
    }

    /// The parts that these terms read. Not those that only the nodes read: what is simplified away is not needed.
    fn parts_behind(&self, ids: &[Id], seen: &mut BTreeSet<Id>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut pending: Vec<Id> = ids.iter().copied().filter(|id| *id != NONE).collect();
        while let Some(id) = pending.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.forms.get(id) {
                Term::Leaf(node) => match self.ir.nodes[*node].kind {
                    NodeKind::Reg { .. } => parts.push(Part::Register(*node)),
                    NodeKind::MemoryRead { memory, .. } => parts.push(Part::Memory(memory)),
                    NodeKind::InstanceOutput { instance, .. } => parts.push(Part::Instance(instance)),
                    _ => {}
                },
                Term::Undriven(_) | Term::Constant(_) => {}
                Term::Lookup(memory, address) => {
                    parts.push(Part::Memory(*memory));
                    pending.push(*address);
                }
                Term::Not(a) | Term::AnyBit(a) | Term::Parity(a) | Term::Slice(a, ..) => pending.push(*a),
                Term::Binary(_, a, b) | Term::Shift(_, a, b) | Term::Select(a, b, _) => pending.extend([a, b]),
                Term::Mux(a, b, c) | Term::Element(a, b, c) => pending.extend([a, b, c]),
                Term::And(parts) | Term::Concat(parts) => pending.extend(parts),
            }
        }
        parts
    }

    fn part(&mut self, part: Part) -> Vec<Id> {
        match part {
            Part::Register(register) => {
                let own = self.forms.term(Term::Leaf(register), self.ir.nodes[register].width);
                let mut ids = vec![self.driven(register, own)];
                if let NodeKind::Reg { reset: Some(reset), .. } = &self.ir.nodes[register].kind {
                    let signal = self.node(reset.signal);
                    ids.extend([signal, self.forms.constant(reset.value.clone())]);
                }
                ids
            }
            Part::Memory(memory) => {
                let memory = &self.ir.memories[memory];
                let mut ids = Vec::new();
                for write in &memory.writes {
                    let of_port = [write.enable, write.address, write.data].map(|id| self.node(id));
                    ids.extend(of_port);
                    ids.push(write.lanes.map_or(NONE, |lanes| self.node(lanes)));
                }
                for read in &memory.reads {
                    let always = self.forms.bit(true);
                    ids.extend([self.node(read.address), read.enable.map_or(always, |enable| self.node(enable))]);
                }
                ids
            }
            Part::Instance(instance) => {
                let instance = &self.ir.instances[instance];
                let ports = instance.module.ports.iter().zip(&instance.connections);
                let inputs = ports.filter(|(port, _)| port.direction == Direction::Input);
                inputs.map(|(_, connection)| self.node(*connection)).collect()
            }
        }
    }

    fn node(&mut self, id: NodeId) -> Id {
        if self.known[id] == NONE {
            self.known[id] = self.term_of(id);
        }
        self.known[id]
    }

    fn term_of(&mut self, id: NodeId) -> Id {
        let width = self.ir.nodes[id].width;
        match &self.ir.nodes[id].kind {
            NodeKind::Input | NodeKind::Reg { .. } | NodeKind::InstanceOutput { .. } | NodeKind::MemoryRead { .. } => {
                self.forms.term(Term::Leaf(id), width)
            }
            NodeKind::MemoryLookup { memory, address } => {
                let address = self.node(*address);
                self.forms.term(Term::Lookup(*memory, address), width)
            }
            NodeKind::Wire => {
                let undriven = self.forms.term(Term::Undriven(width), width);
                self.driven(id, undriven)
            }
            NodeKind::Constant(value) => self.forms.constant(value.clone()),
            NodeKind::Not(a) => {
                let a = self.node(*a);
                self.forms.not(a)
            }
            NodeKind::Reduce(op, a) => {
                let a = self.node(*a);
                match op {
                    ReduceOp::And => self.forms.all(a),
                    ReduceOp::Or => self.forms.any(a),
                    ReduceOp::Xor => self.forms.parity(a),
                }
            }
            NodeKind::Binary(op, a, b) => {
                let (a, b) = (self.node(*a), self.node(*b));
                self.forms.binary(*op, a, b)
            }
            NodeKind::Shift(op, a, b) => {
                let (a, b) = (self.node(*a), self.node(*b));
                self.forms.shift(*op, a, b)
            }
            NodeKind::Mux(c, a, b) => {
                let (c, a, b) = (self.node(*c), self.node(*a), self.node(*b));
                self.forms.mux(c, a, b)
            }
            NodeKind::Concat(parts) => {
                let parts: Vec<Id> = parts.iter().map(|part| self.node(*part)).collect();
                self.forms.concat(&parts)
            }
            NodeKind::Slice(a, low) => {
                let a = self.node(*a);
                self.forms.slice(a, *low, width)
            }
            NodeKind::Select(a, index) => {
                let (a, index) = (self.node(*a), self.node(*index));
                self.forms.select(a, index, width)
            }
        }
    }

    /// What the body makes of a target that is `before` where nothing sets it.
    fn driven(&mut self, target: NodeId, before: Id) -> Id {
        // Taken out, so that the walk may go on below.
        let steps = self.steps.remove(&target).unwrap_or_default();
        let value = self.after(&steps, before);
        self.steps.insert(target, steps);
        value
    }

    fn after(&mut self, steps: &[Step], before: Id) -> Id {
        let mut now = before;
        for step in steps {
            now = match step {
                Step::Set { element: None, value, .. } => self.node(*value),
                Step::Set { element: Some(element), value, .. } => {
                    let (element, value) = (self.node(*element), self.node(*value));
                    self.forms.term(Term::Element(now, element, value), self.forms.width(now))
                }
                Step::If { arms, otherwise } => {
                    let mut chosen = self.after(otherwise, now);
                    for (condition, body) in arms.iter().rev() {
                        let condition = self.node(*condition);
                        let then = self.after(body, now);
                        chosen = self.forms.mux(condition, then, chosen);
                    }
                    chosen
                }
                Step::Switch { on, arms, default } => {
                    let on = self.node(*on);
                    let mut chosen = self.after(default, now);
                    for (value, body) in arms.iter().rev() {
                        let value = self.forms.constant((*value).clone());
                        let condition = self.forms.equal(on, value);
                        let then = self.after(body, now);
                        chosen = self.forms.mux(condition, then, chosen);
                    }
                    chosen
                }
            };
        }
        now
    }
}
