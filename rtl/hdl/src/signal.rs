//! Signals and the operations on them.
//!
//! Widths are strict: both operands have one width, literals take the width of the other operand, and only [`Signal::zext`],
//! [`Signal::sext`] and [`cat`] make a value wider.

use crate::ir::*;
use crate::module::{
    building, excuse, is_excused, new_node, problem, problem_about, push_statement, stand_in, MAX_AMOUNT_WIDTH,
    MAX_WIDTH,
};
use crate::Constant;
use std::ops::{Add, BitAnd, BitOr, BitXor, Mul, Not, Range, Sub};
use std::panic::Location;

/// A value of a fixed width in the module that is being built. It is a handle: copying it copies no hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    module: u32,
    pub(crate) id: NodeId,
    width: u32,
}

/// A constant signal. It panics nowhere: a value that does not fit is a problem of the elaboration.
#[track_caller]
pub fn lit(value: impl Literal, width: u32) -> Signal {
    let source = Location::caller();
    constant_signal(sized(value, width, source), source)
}

/// `value` in `width` bits; if it does not fit, a problem and zero.
fn sized(value: impl Literal, width: u32, source: Source) -> Constant {
    value.value().and_then(|v| Constant::new(v, width)).unwrap_or_else(|| {
        problem(
            source,
            format!(
                "the literal {value} does not fit {width} bits: use one that does, or widen the other side with `zext`"
            ),
        );
        Constant::zero(width.clamp(1, MAX_WIDTH))
    })
}

/// A Rust integer or truth value that can be a literal.
pub trait Literal: Copy + std::fmt::Display {
    /// The value; `None` if it is negative.
    fn value(self) -> Option<u128>;
}

macro_rules! literal {
    ($($t:ty),*) => { $(
        impl Literal for $t {
            fn value(self) -> Option<u128> {
                u128::try_from(self).ok()
            }
        }
        impl Operand for $t {
            #[track_caller]
            fn of_width(self, width: u32) -> Signal {
                lit(self, width)
            }
        }
    )* };
}
// Integer literals without a suffix are `i32` in Rust.
literal!(u8, u16, u32, u64, u128, usize, i32, bool);

/// Zero, `width` bits wide: the usual reset value of a register.
pub fn zero(width: u32) -> Constant {
    Constant::zero(width)
}

/// A constant signal of any width.
#[track_caller]
pub fn constant(value: &Constant) -> Signal {
    constant_signal(value.clone(), Location::caller())
}

pub(crate) fn constant_signal(value: Constant, source: Source) -> Signal {
    let width = value.width();
    new_node(NodeKind::Constant(value), width, None, source)
}

/// Puts values side by side, the first in the highest bits, as `{a, b}` in Verilog.
#[track_caller]
pub fn cat(parts: &[Signal]) -> Signal {
    let source = Location::caller();
    let ids: Vec<NodeId> = parts.iter().map(|p| p.node_in_this_module(source).id).collect();
    if let [only] = parts {
        return *only;
    }
    if parts.is_empty() {
        problem(source, "a concatenation of nothing has no width: give `cat` at least one part");
        return stand_in(1, source);
    }
    let width = parts.iter().fold(0u32, |width, part| width.saturating_add(part.width));
    new_node(NodeKind::Concat(ids), width, None, source)
}

/// One of `choices`, by `index`. Indexes beyond the last choice give zero.
#[track_caller]
pub fn select(choices: &[Signal], index: Signal) -> Signal {
    let source = Location::caller();
    let width = choices.first().map_or(1, |c| c.width);
    if let Some(odd) = choices.iter().find(|c| c.width != width) {
        problem_about(&[choices, &[*odd]].concat(), source, || {
            format!(
                "`select` needs choices of one width, and got {width} and {} bits: widen the narrow ones with `zext`",
                odd.width
            )
        });
        return stand_in(width, source);
    }
    let slots = 1usize.checked_shl(index.width).unwrap_or(0);
    if choices.is_empty() || index.width > 12 || choices.len() > slots {
        problem_about(&[index], source, || {
            format!("`select` of {} choices by an index of {} bits: it needs between 1 and 2^bits choices, and at most 12 bits", choices.len(), index.width)
        });
        return stand_in(width, source);
    }
    let mut parts: Vec<Signal> = choices.to_vec();
    if choices.len() < slots {
        parts.push(constant_signal(Constant::zero(width * (slots - choices.len()) as u32), source));
    }
    parts.reverse();
    cat(&parts).word(index, width)
}

impl Signal {
    pub(crate) fn new(module: u32, id: NodeId, width: u32) -> Self {
        Signal { module, id, width }
    }

    /// Width in bits.
    pub fn width(self) -> u32 {
        self.width
    }

    /// True if it is a node of the module with this number.
    pub(crate) fn is_of(self, module: u32) -> bool {
        self.module == module
    }

    pub(crate) fn name(self) -> String {
        building(|b| {
            if b.uid == self.module {
                b.ir.describe(self.id)
            } else {
                format!("a signal of {} bits of another module", self.width)
            }
        })
    }

    /// Itself, if it belongs to the module that is being built; otherwise a problem and a stand-in.
    pub(crate) fn node_in_this_module(self, source: Source) -> Signal {
        if building(|b| b.uid) == self.module {
            return self;
        }
        problem(source, format!("a signal of {} bits belongs to another module: pass it through a port", self.width));
        stand_in(self.width, source)
    }

    /// True if it can be driven; otherwise a problem.
    pub(crate) fn is_settable(self, source: Source) -> bool {
        let settable = building(|b| matches!(b.ir.nodes[self.id].kind, NodeKind::Wire | NodeKind::Reg { .. }));
        if !settable {
            problem_about(&[self], source, || {
                format!(
                    "{} cannot be assigned: only wires, outputs, registers and inputs of instances can",
                    self.name()
                )
            });
        }
        settable
    }

    pub(crate) fn same_width(self, other: Signal, what: &str, source: Source) -> bool {
        let same = self.width == other.width;
        if !same {
            problem_about(&[self, other], source, || {
                format!(
                    "width mismatch in `{what}`: {} has {} bits and {} has {}; widen one with `zext` or cut with `bits`",
                    self.name(),
                    self.width,
                    other.name(),
                    other.width
                )
            });
        }
        same
    }

    /// What stands beside this signal. A literal takes its width, unless that is not known.
    #[track_caller]
    fn operand(self, other: impl Operand) -> Signal {
        other.of_width(if is_excused(self) { u128::BITS } else { self.width })
    }

    #[track_caller]
    pub(crate) fn binary(self, op: BinaryOp, other: Signal) -> Signal {
        let source = Location::caller();
        let (a, b) = (self.node_in_this_module(source), other.node_in_this_module(source));
        let width = if op.is_comparison() { 1 } else { a.width };
        if !a.same_width(b, op.symbol(), source) {
            return stand_in(width, source);
        }
        new_node(NodeKind::Binary(op, a.id, b.id), width, None, source)
    }

    /// A literal of this signal's width.
    #[track_caller]
    pub fn literal(self, value: impl Literal) -> Signal {
        lit(value, self.width)
    }

    /// Equal.
    #[track_caller]
    pub fn eq(self, other: impl Operand) -> Signal {
        self.binary(BinaryOp::Eq, self.operand(other))
    }

    /// Not equal.
    #[track_caller]
    pub fn ne(self, other: impl Operand) -> Signal {
        self.binary(BinaryOp::Ne, self.operand(other))
    }

    /// Less than, unsigned.
    #[track_caller]
    pub fn lt(self, other: impl Operand) -> Signal {
        self.binary(BinaryOp::Lt, self.operand(other))
    }

    /// Less than or equal, unsigned.
    #[track_caller]
    pub fn le(self, other: impl Operand) -> Signal {
        self.binary(BinaryOp::Le, self.operand(other))
    }

    /// Greater than, unsigned.
    #[track_caller]
    pub fn gt(self, other: impl Operand) -> Signal {
        self.operand(other).binary(BinaryOp::Lt, self)
    }

    /// Greater than or equal, unsigned.
    #[track_caller]
    pub fn ge(self, other: impl Operand) -> Signal {
        self.operand(other).binary(BinaryOp::Le, self)
    }

    /// `then` where this one-bit signal is set, else `otherwise`.
    #[track_caller]
    pub fn mux(self, then: Signal, otherwise: impl Operand) -> Signal {
        let source = Location::caller();
        let otherwise = otherwise.of_width(then.width);
        let [c, a, b] = [self, then, otherwise].map(|s| s.node_in_this_module(source));
        if c.width != 1 {
            problem_about(&[c], source, || {
                format!(
                    "the condition of a `mux` has one bit, and {} has {}: compare it, or use `any()`",
                    c.name(),
                    c.width
                )
            });
        }
        if !a.same_width(b, "mux", source) || c.width != 1 {
            return stand_in(a.width, source);
        }
        new_node(NodeKind::Mux(c.id, a.id, b.id), a.width, None, source)
    }

    /// Bits `range.start` up to, not including, `range.end`.
    #[track_caller]
    pub fn bits(self, range: Range<u32>) -> Signal {
        let source = Location::caller();
        let own = self.node_in_this_module(source);
        if range.start >= range.end || range.end > self.width {
            problem_about(&[own], source, || {
                format!(
                    "bits {}..{} are not inside {}, which has {}: choose some of 0..{}",
                    range.start,
                    range.end,
                    self.name(),
                    self.width,
                    self.width
                )
            });
            return stand_in(range.end.saturating_sub(range.start), source);
        }
        own.cut(range, source)
    }

    /// `bits` of a range that is known to be inside: looks through concatenations and slices, so that the Verilog names the parts.
    fn cut(self, range: Range<u32>, source: Source) -> Signal {
        if range == (0..self.width) {
            return self;
        }
        let inner = building(|b| match &b.ir.nodes[self.id].kind {
            NodeKind::Slice(base, low) => {
                let base = Signal::new(self.module, *base, b.ir.nodes[*base].width);
                Some((base, range.start + low..range.end + low))
            }
            NodeKind::Concat(parts) => {
                let mut low = 0;
                parts.iter().rev().find_map(|&part| {
                    let start = low;
                    low += b.ir.nodes[part].width;
                    let inside = start <= range.start && range.end <= low;
                    inside
                        .then(|| (Signal::new(self.module, part, low - start), range.start - start..range.end - start))
                })
            }
            _ => None,
        });
        match inner {
            Some((base, range)) => base.cut(range, source),
            None => new_node(NodeKind::Slice(self.id, range.start), range.end - range.start, None, source),
        }
    }

    /// One bit.
    #[track_caller]
    pub fn bit(self, index: u32) -> Signal {
        self.bits(index..index.saturating_add(1))
    }

    /// The low `width` bits.
    #[track_caller]
    pub fn low(self, width: u32) -> Signal {
        self.bits(0..width)
    }

    /// Word number `index` of this signal, `width` bits each; the signal holds exactly `2^index.width()` of them.
    #[track_caller]
    pub fn word(self, index: Signal, width: u32) -> Signal {
        let source = Location::caller();
        let [base, at] = [self, index].map(|s| s.node_in_this_module(source));
        if at.width > 16 || u64::from(self.width) != u64::from(width) << at.width {
            problem_about(&[base, at], source, || {
                format!(
                    "{} has {} bits, not 2^{} words of {width} bits: widen it with `zext`, or cut the index with `low`",
                    self.name(),
                    self.width,
                    index.width
                )
            });
            return stand_in(width, source);
        }
        let known = building(|b| match &b.ir.nodes[at.id].kind {
            NodeKind::Constant(index) => index.to_u64(),
            _ => None,
        });
        if let Some(index) = known {
            let low = index as u32 * width;
            return base.bits(low..low + width);
        }
        new_node(NodeKind::Select(base.id, at.id), width, None, source)
    }

    /// Wider, with zeroes above.
    #[track_caller]
    pub fn zext(self, width: u32) -> Signal {
        let source = Location::caller();
        if width < self.width {
            let own = self.node_in_this_module(source);
            problem_about(&[own], source, || {
                format!("`zext` to {width} bits of {}, which has {}: cut with `low`", self.name(), self.width)
            });
            return stand_in(width, source);
        }
        if width == self.width {
            return self;
        }
        if width > MAX_WIDTH {
            return too_wide(width, source);
        }
        cat(&[constant_signal(Constant::zero(width - self.width), source), self])
    }

    /// Wider, with copies of the highest bit above.
    #[track_caller]
    pub fn sext(self, width: u32) -> Signal {
        let source = Location::caller();
        if width < self.width {
            let own = self.node_in_this_module(source);
            problem_about(&[own], source, || {
                format!("`sext` to {width} bits of {}, which has {}: cut with `low`", self.name(), self.width)
            });
            return stand_in(width, source);
        }
        if width > MAX_WIDTH {
            return too_wide(width, source);
        }
        let top = self.bit(self.width - 1);
        let mut parts = vec![top; (width - self.width) as usize];
        parts.push(self);
        cat(&parts)
    }

    /// `count` copies side by side.
    #[track_caller]
    pub fn repeat(self, count: u32) -> Signal {
        match self.width.saturating_mul(count) {
            width if width > MAX_WIDTH => too_wide(width, Location::caller()),
            _ => cat(&vec![self; count as usize]),
        }
    }

    #[track_caller]
    fn reduce(self, op: ReduceOp) -> Signal {
        let source = Location::caller();
        let own = self.node_in_this_module(source);
        if own.width == 1 {
            return own;
        }
        new_node(NodeKind::Reduce(op, own.id), 1, None, source)
    }

    /// True if any bit is set.
    #[track_caller]
    pub fn any(self) -> Signal {
        self.reduce(ReduceOp::Or)
    }

    /// True if every bit is set.
    #[track_caller]
    pub fn all(self) -> Signal {
        self.reduce(ReduceOp::And)
    }

    /// True if an odd number of bits is set.
    #[track_caller]
    pub fn parity(self) -> Signal {
        self.reduce(ReduceOp::Xor)
    }

    #[track_caller]
    pub(crate) fn shift(self, op: ShiftOp, amount: Signal) -> Signal {
        let source = Location::caller();
        let [a, b] = [self, amount].map(|s| s.node_in_this_module(source));
        if b.width > MAX_AMOUNT_WIDTH {
            problem_about(&[b], source, || {
                format!(
                    "a shift amount has at most {MAX_AMOUNT_WIDTH} bits, and {} has {}: cut it with `.low(..)`",
                    b.name(),
                    b.width
                )
            });
            return stand_in(a.width, source);
        }
        new_node(NodeKind::Shift(op, a.id, b.id), a.width, None, source)
    }

    /// Shifted up by `amount` of at most [`MAX_AMOUNT_WIDTH`] bits, zeroes below; the width stays.
    #[track_caller]
    #[allow(clippy::should_implement_trait)] // `<<` would hide that the shifter is as large as the amount is wide.
    pub fn shl(self, amount: Signal) -> Signal {
        self.shift(ShiftOp::Left, amount)
    }

    /// Shifted down by `amount` of at most [`MAX_AMOUNT_WIDTH`] bits, zeroes above; the width stays.
    #[track_caller]
    #[allow(clippy::should_implement_trait)] // `<<` would hide that the shifter is as large as the amount is wide.
    pub fn shr(self, amount: Signal) -> Signal {
        self.shift(ShiftOp::Right, amount)
    }

    /// The next value: the target is a wire, an output or a register of this module. Inside `when` and `switch` it happens under their
    /// conditions; the last assignment that happens wins.
    #[track_caller]
    pub fn set(self, value: impl Operand) {
        let source = Location::caller();
        let value = self.operand(value);
        let (target, value) = (self.node_in_this_module(source), value.node_in_this_module(source));
        if target.id != self.id || target.module != self.module {
            return;
        }
        if !self.is_settable(source) {
            return;
        }
        if !self.same_width(value, "set", source) {
            excuse([self.id]);
            return;
        }
        push_statement(Statement::Set { target: self.id, element: None, value: value.id, source });
    }
}

/// What may stand on the right of an operator: a signal, or a literal that takes the other operand's width.
pub trait Operand {
    /// The operand as a signal; a literal becomes `width` bits wide.
    #[track_caller]
    fn of_width(self, width: u32) -> Signal;
}

impl Operand for Signal {
    fn of_width(self, _: u32) -> Signal {
        self
    }
}

impl Operand for Constant {
    #[track_caller]
    fn of_width(self, _: u32) -> Signal {
        constant_signal(self, Location::caller())
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $op:ident) => {
        impl<O: Operand> $trait<O> for Signal {
            type Output = Signal;
            #[track_caller]
            fn $method(self, other: O) -> Signal {
                self.binary(BinaryOp::$op, self.operand(other))
            }
        }
    };
}
operator!(Add, add, Add);
operator!(Sub, sub, Sub);
operator!(Mul, mul, Mul);
operator!(BitAnd, bitand, And);
operator!(BitOr, bitor, Or);
operator!(BitXor, bitxor, Xor);

impl Not for Signal {
    type Output = Signal;
    #[track_caller]
    fn not(self) -> Signal {
        let source = Location::caller();
        let own = self.node_in_this_module(source);
        new_node(NodeKind::Not(own.id), own.width, None, source)
    }
}

/// A problem, and a stand-in.
fn too_wide(width: u32, source: Source) -> Signal {
    problem(
        source,
        format!(
            "an expression is {width} bits wide; a signal has 1 to {MAX_WIDTH} bits: change the width, or use a memory"
        ),
    );
    stand_in(1, source)
}

fn body(f: impl FnOnce()) -> Vec<Statement> {
    building(|b| {
        b.blocks.push(vec![]);
        b.bodies += 1;
        b.open_bodies.push(b.bodies);
    });
    f();
    building(|b| {
        b.open_bodies.pop();
        b.blocks.pop().expect("pushed above")
    })
}

#[track_caller]
fn condition(signal: Signal) -> NodeId {
    let source = Location::caller();
    let own = signal.node_in_this_module(source);
    if own.width != 1 {
        problem_about(&[own], source, || {
            format!("a condition has one bit, and {} has {}: compare it, or use `any()`", own.name(), own.width)
        });
        return stand_in(1, source).id;
    }
    own.id
}

/// What follows a `when`.
pub struct When {
    /// Position of the statement in the body around it.
    at: usize,
    /// The module and the body in it: it goes on there and nowhere else.
    place: (u32, Option<u32>),
}

fn place_of_body() -> (u32, Option<u32>) {
    building(|b| (b.uid, b.open_bodies.last().copied()))
}

/// `body` happens where `condition` holds.
#[track_caller]
pub fn when(condition_: Signal, then: impl FnOnce()) -> When {
    let id = condition(condition_);
    let body = body(then);
    push_statement(Statement::If { arms: vec![(id, body)], otherwise: vec![] });
    When { at: building(|b| b.blocks.last().expect("a module has a body").len() - 1), place: place_of_body() }
}

impl When {
    fn edit(&self, source: Source, f: impl FnOnce(&mut Vec<(NodeId, Vec<Statement>)>, &mut Vec<Statement>)) {
        if self.place != place_of_body() {
            problem(
                source,
                "a `when` is continued in another body than its own: write `else_when` or `otherwise` behind it",
            );
            return;
        }
        building(|b| {
            let block = b.blocks.last_mut().expect("a module has a body");
            match &mut block[self.at] {
                Statement::If { arms, otherwise } => f(arms, otherwise),
                _ => unreachable!("`at` is the position of an If"),
            }
        });
    }

    /// Where no condition before held and this one does.
    #[track_caller]
    pub fn else_when(self, condition_: Signal, then: impl FnOnce()) -> When {
        let id = condition(condition_);
        let body = body(then);
        self.edit(Location::caller(), |arms, _| arms.push((id, body)));
        self
    }

    /// Where no condition before held.
    #[track_caller]
    pub fn otherwise(self, then: impl FnOnce()) {
        let body = body(then);
        self.edit(Location::caller(), |_, otherwise| *otherwise = body);
    }
}

/// Cases on the value of a bit vector; see [`cases`].
pub struct Cases {
    on: Signal,
    arms: Vec<SwitchArm>,
    default: Vec<Statement>,
    source: Source,
}

/// Begins a choice by the value of `on`: `cases(opcode).on(READ, || ..).on(WRITE, || ..).otherwise(|| ..)`.
#[track_caller]
pub fn cases(on: Signal) -> Cases {
    Cases { on, arms: vec![], default: vec![], source: Location::caller() }
}

impl Cases {
    /// What happens for `value`.
    #[track_caller]
    pub fn on(mut self, value: impl Literal, then: impl FnOnce()) -> Cases {
        let source = Location::caller();
        let value = sized(value, self.on.width, source);
        if self.arms.iter().any(|a| a.value == value) {
            problem(source, format!("the case {} is there twice: remove one of them", value.verilog()));
        } else {
            self.arms.push(SwitchArm { label: String::new(), value, body: body(then) });
        }
        self
    }

    /// What happens for all other values.
    pub fn otherwise(mut self, then: impl FnOnce()) {
        self.default = body(then);
    }
}

impl Drop for Cases {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let on = self.on.node_in_this_module(self.source).id;
            push_statement(Statement::Switch {
                on,
                arms: std::mem::take(&mut self.arms),
                default: std::mem::take(&mut self.default),
                exhaustive: false,
            });
        }
    }
}

/// Runs `arm` once for each variant of the enum, so that a Rust `match` inside is checked by the compiler to handle every state.
#[track_caller]
pub fn switch<E: crate::value::HwEnum>(on: crate::value::EnumSignal<E>, arm: impl Fn(E)) {
    let source = Location::caller();
    let on = on.signal().node_in_this_module(source).id;
    let arms = E::VARIANTS
        .iter()
        .zip(E::LABELS)
        .enumerate()
        .map(|(code, (&variant, label))| SwitchArm {
            value: Constant::from_words(E::WIDTH, &[code as u64]),
            label: label.to_string(),
            body: body(|| arm(variant)),
        })
        .collect();
    push_statement(Statement::Switch { on, arms, default: vec![], exhaustive: true });
}
