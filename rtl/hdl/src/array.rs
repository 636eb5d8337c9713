//! Arrays: values of one shape, side by side, with an index that hardware computes.
//!
//! An array of bundles is an array for each field, so that each keeps a name of its own in the Verilog.

use crate::ir::*;
use crate::memory::address_width;
use crate::module::{
    building, declare, excuse, excuse_value, is_excused, make_reg, new_node, problem, problem_about, push_statement,
    Clock, Initial, Module, MAX_WIDTH,
};
use crate::signal::{cat, constant, lit, Literal, Signal};
use crate::value::{Shape, Value};
use crate::Constant;
use std::panic::Location;

/// `count` values of one shape.
///
/// ```
/// use rtl_hdl::{block_fn, elaborate, when, zero};
/// let block = block_fn("scoreboard", |m| {
///     let clock = m.clock();
///     let (write, index, value) = (m.input("write", 1), m.input("index", 2), m.input("value", 8));
///     let scores = m.reg_array("scores", clock, 4, zero(8));
///     when(write, || scores.set(index, value));
///     m.output("last", scores.at(3));
///     let shown = m.reg("shown", clock, zero(8));
///     shown.set(scores.get(index));
///     m.output("score", shown);
/// });
/// elaborate(&block)?;
/// # Ok::<(), rtl_hdl::Problems>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Array<V> {
    /// The value's leaves, each `count` times as wide.
    whole: V,
    count: u32,
}

impl Module {
    /// Adds an array of `count` registers, each of which takes `initial` at reset.
    #[track_caller]
    pub fn reg_array<I: Initial>(&self, name: &str, clock: Clock, count: u32, initial: I) -> Array<I::Value> {
        let source = Location::caller();
        let element = initial.constant(name, source);
        let fitting = checked_count(name, count, element.width(), source);
        let reset = element.repeat(fitting);
        let register = make_reg(name, clock, reset.width(), Some(reset), source);
        Array { whole: I::value_of(mark(register, fitting)), count: fitting }.excused_if(fitting != count)
    }

    /// Adds an array of `count` registers without a reset, for each field of `T`.
    #[track_caller]
    pub fn reg_array_as<T: Shape>(&self, name: &str, clock: Clock, count: u32) -> Array<T::Value> {
        let source = Location::caller();
        let widest = T::fields().into_iter().map(|(_, width)| width).max().unwrap_or(1);
        let fitting = checked_count(name, count, widest, source);
        let whole =
            declare::<T>(name, &mut |name, width| mark(make_reg(name, clock, width * fitting, None, source), fitting));
        Array { whole, count: fitting }.excused_if(fitting != count)
    }

    /// Adds an array of `count` wires, for each field of `T`. Every element is driven with `set`, or all at once with `set_all`.
    #[track_caller]
    pub fn wire_array_as<T: Shape>(&self, name: &str, count: u32) -> Array<T::Value> {
        let source = Location::caller();
        let widest = T::fields().into_iter().map(|(_, width)| width).max().unwrap_or(1);
        let fitting = checked_count(name, count, widest, source);
        let whole = declare::<T>(name, &mut |name, width| {
            mark(new_node(NodeKind::Wire, width * fitting, Some(name.into()), source), fitting)
        });
        Array { whole, count: fitting }.excused_if(fitting != count)
    }
}

/// The number of elements; 1, and a problem, if there cannot be so many.
fn checked_count(name: &str, count: u32, width: u32, source: Source) -> u32 {
    if count == 0 {
        problem(source, format!("the array `{name}` has no elements; it needs at least one"));
    } else if width.saturating_mul(count) > MAX_WIDTH && width <= MAX_WIDTH {
        problem(
            source,
            format!("the array `{name}` has {count} elements of {width} bits; a signal has at most {MAX_WIDTH} bits: use a memory"),
        );
    } else {
        return count;
    }
    1
}

/// Notes that the node is an array.
fn mark(signal: Signal, count: u32) -> Signal {
    building(|b| b.ir.nodes[signal.id].elements = Some(count));
    signal
}

impl<V: Value> Array<V> {
    /// How many elements there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Width of an index.
    pub fn index_width(&self) -> u32 {
        address_width(self.count)
    }

    /// Element number `index`.
    #[track_caller]
    pub fn at(&self, index: u32) -> V {
        let source = Location::caller();
        if index >= self.count {
            self.refuse(source, format!("element {index}"));
        }
        let index = index.min(self.count - 1);
        let mut elements = self.whole.leaves().into_iter().map(|leaf| {
            let width = leaf.width() / self.count;
            leaf.bits(index * width..(index + 1) * width)
        });
        self.whole.rebuild(&mut elements)
    }

    /// The elements in their order.
    #[track_caller]
    pub fn elements(&self) -> Vec<V> {
        (0..self.count).map(|index| self.at(index)).collect()
    }

    /// The element with the number that is in `index`; zero if there is none.
    #[track_caller]
    pub fn get(&self, index: Signal) -> V {
        let source = Location::caller();
        if index.width() != self.index_width() && !is_excused(index) {
            self.refuse(source, format!("an index of {} bits", index.width()));
            return self.at(0);
        }
        let slots = 1 << self.index_width();
        let mut elements = self.whole.leaves().into_iter().map(|leaf| {
            let width = leaf.width() / self.count;
            let padding = (slots - self.count) * width;
            let padded = if padding == 0 { leaf } else { cat(&[constant(&Constant::zero(padding)), leaf]) };
            padded.word(index, width)
        });
        self.whole.rebuild(&mut elements)
    }

    /// Gives one element its next value; `index` is a signal or a number. See [`Signal::set`] for what an assignment means. If there is no
    /// such element, nothing happens.
    #[track_caller]
    pub fn set(&self, index: impl ElementIndex, value: V) {
        let source = Location::caller();
        let Some(index) = index.checked(self.count) else {
            self.refuse(source, index.describe());
            self.excuse();
            return;
        };
        let index = index.node_in_this_module(source);
        for (target, value) in self.whole.leaves().into_iter().zip(value.leaves()) {
            let (target, value) = (target.node_in_this_module(source), value.node_in_this_module(source));
            let width = target.width() / self.count;
            if value.width() != width {
                let name = building(|b| b.ir.describe(target.id));
                problem_about(&[target, value], source, || {
                    format!(
                        "width mismatch in `set`: an element of {name} has {width} bits and the value has {}; widen it with `zext` or cut it with `bits`",
                        value.width()
                    )
                });
                excuse([target.id]);
                continue;
            }
            push_statement(Statement::Set { target: target.id, element: Some(index.id), value: value.id, source });
        }
    }

    /// Gives every element this next value.
    #[track_caller]
    pub fn set_all(&self, value: V) {
        for (target, value) in self.whole.leaves().into_iter().zip(value.leaves()) {
            target.set(value.repeat(self.count));
        }
    }

    /// Gives every element the next value of the element of the same number in `values`.
    #[track_caller]
    pub fn set_each(&self, values: &Array<V>) {
        self.whole.set(values.whole);
    }

    fn refuse(&self, source: Source, what: String) {
        let leaves = self.whole.leaves();
        let Some(first) = leaves.first() else { return };
        problem_about(&leaves, source, || {
            format!(
                "{what} does not fit the array {}: it has {} elements, and an index has {} bits",
                first.name(),
                self.count,
                self.index_width()
            )
        });
    }

    fn excused_if(self, is_wrong: bool) -> Self {
        if is_wrong {
            self.excuse();
        }
        self
    }

    /// Notes that something is wrong about it: it is not to be called an array that nothing sets.
    fn excuse(&self) {
        excuse_value(&self.whole);
    }
}

/// What may number an element of an array: a signal, or a number known when the hardware is described.
pub trait ElementIndex: Copy {
    /// The index as a signal, if it has the right width or is the number of an element.
    #[track_caller]
    fn checked(self, count: u32) -> Option<Signal>;
    /// What a message says about it.
    fn describe(self) -> String;
}

impl ElementIndex for Signal {
    fn checked(self, count: u32) -> Option<Signal> {
        (self.width() == address_width(count) || is_excused(self)).then_some(self)
    }
    fn describe(self) -> String {
        format!("an index of {} bits", self.width())
    }
}

impl<L: Literal> ElementIndex for L {
    fn checked(self, count: u32) -> Option<Signal> {
        let number = self.value().filter(|number| *number < u128::from(count))?;
        Some(lit(number, address_width(count)))
    }
    fn describe(self) -> String {
        format!("element {self}")
    }
}

impl Constant {
    /// `count` copies side by side.
    pub fn repeat(&self, count: u32) -> Constant {
        let width = self.width() * count;
        let mut words = vec![0; crate::words_for(width)];
        for copy in 0..count {
            crate::bench::set_bits(&mut words, copy * self.width(), self.width(), self.words());
        }
        Constant::from_words(width, &words)
    }
}
