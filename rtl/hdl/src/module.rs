//! Building a module: ports, registers, wires; see `memory`, `instance`, `array`, `crossing` and `property` for the rest.
//!
//! A [`Block`] describes itself by calling methods of [`Module`] in `build`. Mistakes do not stop the build: each is noted as a
//! [`Problem`] with its Rust source line, and [`elaborate`] returns them all.

use crate::check;
use crate::ir::*;
use crate::signal::{Operand, Signal};
use crate::value::{Shape, Value};
use crate::Constant;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
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
    /// How many bodies of conditions there have been, and which of them are open.
    pub bodies: u32,
    pub open_bodies: Vec<u32>,
    /// Nodes that something is wrong about, which has been reported: what follows from that is not reported again.
    pub excused: BTreeSet<NodeId>,
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

/// Like [`problem`], unless one of the values involved is excused.
pub(crate) fn problem_about(values: &[Signal], source: Source, message: impl FnOnce() -> String) {
    if !values.iter().any(|value| is_excused(*value)) {
        problem(source, message());
    }
}

/// Notes that something is wrong about these nodes of the module that is being built.
pub(crate) fn excuse(nodes: impl IntoIterator<Item = NodeId>) {
    building(|b| b.excused.extend(nodes));
}

/// Like [`excuse`], for all signals of a value that this module has.
pub(crate) fn excuse_value(value: &impl Value) {
    let module = building(|b| b.uid);
    excuse(value.leaves().into_iter().filter(|leaf| leaf.is_of(module)).map(|leaf| leaf.id));
}

pub(crate) fn is_excused(value: Signal) -> bool {
    building(|b| value.is_of(b.uid) && b.excused.contains(&value.id))
}

/// A value in the place of one that could not be made; why has been reported.
pub(crate) fn stand_in(width: u32, source: Source) -> Signal {
    let constant = Constant::zero(width.clamp(1, MAX_WIDTH));
    let node = building(|b| b.node(NodeKind::Constant(constant.clone()), constant.width(), None, source));
    excuse([node.id]);
    node
}

pub(crate) fn push_statement(statement: Statement) {
    building(|b| b.blocks.last_mut().expect("a module has a body").push(statement));
}

impl Building {
    pub fn node(&mut self, kind: NodeKind, width: u32, name: Option<String>, source: Source) -> Signal {
        self.ir.nodes.push(Node { kind, width, name, labels: None, elements: None, bundles: vec![], source });
        let id = self.ir.nodes.len() - 1;
        if self.ir.operands(id).iter().any(|operand| self.excused.contains(operand)) {
            self.excused.insert(id);
        }
        Signal::new(self.uid, id, width)
    }

    fn port(&mut self, name: &str, direction: Direction, width: u32, node: NodeId, domain: Domain) {
        self.ir.ports.push(Port { name: name.into(), direction, width, node, domain });
    }
}

pub(crate) fn new_node(kind: NodeKind, width: u32, name: Option<String>, source: Source) -> Signal {
    if let Some(name) = &name {
        claim(name, source);
    }
    let what = name.as_ref().map_or_else(|| "an expression".to_string(), |n| format!("`{n}`"));
    let fits = (1..=MAX_WIDTH).contains(&width);
    let node = building(|b| b.node(kind, width.clamp(1, MAX_WIDTH), name, source));
    if !fits {
        problem_about(&[node], source, || {
            format!(
                "{what} is {width} bits wide; a signal has 1 to {MAX_WIDTH} bits: change the width, or use a memory"
            )
        });
        excuse([node.id]);
    }
    node
}

/// Notes that the node is a field of the bundle or stream whose name is the first `length` characters of its own.
pub(crate) fn note_bundle(field: Signal, length: usize) {
    building(|b| {
        let Some(node) = b.ir.nodes.get_mut(field.id) else { return };
        let longer = node.name.as_ref().is_some_and(|name| length < name.len());
        if longer && length > 0 {
            if let Err(place) = node.bundles.binary_search(&length) {
                node.bundles.insert(place, length);
            }
        }
    });
}

/// The bundles that the node is a field of; see [`Node::bundles`].
pub(crate) fn bundles_of(field: Signal) -> Vec<usize> {
    building(|b| b.ir.nodes.get(field.id).map_or(vec![], |node| node.bundles.clone()))
}

/// Notes which nodes of `value`, whose names begin with `name`, are fields of one bundle.
pub(crate) fn note_fields<V: Value>(name: &str, value: &V) {
    for (leaf, lengths) in value.leaves().into_iter().zip(value.bundles()) {
        for length in lengths {
            note_bundle(leaf, name.len() + length);
        }
    }
}

/// A value of shape `T` whose leaves `make` makes as nodes of this name.
#[track_caller]
pub(crate) fn declare<T: Shape>(name: &str, make: &mut dyn FnMut(&str, u32) -> Signal) -> T::Value {
    let value = T::declare(name, make);
    note_fields(name, &value);
    value
}

/// The widest signal.
pub const MAX_WIDTH: u32 = 65_536;

/// The widest amount of a shift. Verilator refuses one of more bits that turns out to be constant.
pub const MAX_AMOUNT_WIDTH: u32 = 32;

fn is_legal(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Notes that `name` is taken in this module.
pub(crate) fn claim(name: &str, source: Source) {
    if !is_legal(name) {
        problem(
            source,
            format!("`{name}` cannot be a name in Verilog: use letters, digits and `_`, beginning with a letter"),
        );
    } else if crate::emit::is_keyword(name) {
        problem(source, format!("`{name}` is a keyword of SystemVerilog: choose another name"));
    } else if building(|b| b.ir.name == name) {
        problem(source, format!("`{name}` is the name of the module itself, which it would hide: choose another name"));
    }
    let earlier = building(|b| b.names.insert(name.to_string(), source));
    // A line that declares several names, such as the fields of a bundle, is one mistake.
    let known = |p: &Problem| p.source == source && p.message.starts_with("the name `");
    if let Some(earlier) = earlier.filter(|_| !with_elaboration(|s| s.problems.iter().any(known))) {
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
    pub(crate) reset_kind: ResetKind,
}

impl Clock {
    /// The same clock with another synchronous reset, such as `reset | clear`.
    #[track_caller]
    pub fn with_reset(self, reset: Signal) -> Clock {
        Clock { reset: Some(one_bit("reset", reset)), reset_kind: ResetKind::Synchronous, ..self }
    }

    /// The same clock with a reset that takes effect at once, whatever the clock does, and may come from anywhere. Registers leave it whenever it
    /// ends, which is why nothing but a reset bridge should use it.
    #[track_caller]
    pub fn with_async_reset(self, reset: Signal) -> Clock {
        Clock { reset: Some(one_bit("reset", reset)), reset_kind: ResetKind::Asynchronous, ..self }
    }

    pub(crate) fn is_of_this_module(self) -> bool {
        building(|b| b.uid) == self.module
    }

    /// The reset.
    pub fn reset(self) -> Option<Signal> {
        self.reset
    }
}

/// The value, if it has one bit; otherwise a problem and a stand-in.
#[track_caller]
fn one_bit(what: &str, value: Signal) -> Signal {
    let source = Location::caller();
    if value.width() == 1 {
        return value;
    }
    let name = value.node_in_this_module(source).name();
    problem_about(&[value], source, || {
        format!("a {what} has one bit, and {name} has {}: compare it, or use `any()`", value.width())
    });
    stand_in(1, source)
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
            b.ir.clocks.push(ClockIr {
                name: name.into(),
                node: node.id,
                reset: None,
                reset_kind: ResetKind::Synchronous,
            });
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
        Clock { module: self.uid, index, reset, reset_kind: ResetKind::Synchronous }
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
        let [target, value] = [target, value].map(|s| s.node_in_this_module(source));
        if target.is_settable(source) && target.same_width(value, "default_to", source) {
            building(|b| b.ir.defaults.push((target.id, value.id, source)));
        } else {
            excuse([target.id]);
        }
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
        let source = Location::caller();
        if !clock.is_of_this_module() {
            problem(
                source,
                format!("the input `{name}` uses a clock of another module: pass the clock through a port"),
            );
            return self.input_with(name, width, Domain::Any, source);
        }
        self.input_with(name, width, Domain::Clock(clock.index), source)
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
        declare::<T>(name, &mut |name, width| self.input_at(name, width, source))
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
        let port = declare::<T>(name, &mut |name, width| self.output_at(name, width, source));
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
        declare::<T>(name, &mut |name, width| new_node(NodeKind::Wire, width, Some(name.into()), source))
    }

    /// Adds a register which takes `initial` at reset.
    #[track_caller]
    pub fn reg<I: Initial>(&self, name: &str, clock: Clock, initial: I) -> I::Value {
        let source = Location::caller();
        let initial = initial.constant(name, source);
        I::value_of(make_reg(name, clock, initial.width(), Some(initial), source))
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
        declare::<T>(name, &mut |name, width| make_reg(name, clock, width, None, source))
    }

    pub(crate) fn note_stream(&self, stream: StreamPort) {
        building(|b| b.ir.streams.push(stream));
    }

    /// The clock declared last, to which the stream `stream` belongs.
    #[track_caller]
    pub(crate) fn clock_of_stream(&self, stream: &str) -> Clock {
        let count = building(|b| b.ir.clocks.len());
        if count == 0 {
            let source = Location::caller();
            problem(source, format!("the stream `{stream}` needs a clock: call `clock` before"));
            let [node, reset] = [1, 1].map(|width| stand_in(width, source).id);
            let (name, reset_kind) = ("clock".into(), ResetKind::Synchronous);
            building(|b| b.ir.clocks.push(ClockIr { name, node, reset: Some(reset), reset_kind }));
        }
        self.clock_number(count.saturating_sub(1))
    }

    /// The clock declared as number `index`, with the reset that was declared with it.
    pub(crate) fn clock_number(&self, index: usize) -> Clock {
        let reset = building(|b| {
            let reset = b.ir.clocks.get(index).and_then(|clock| clock.reset);
            reset.map(|id| Signal::new(b.uid, id, 1))
        });
        Clock { module: self.uid, index, reset, reset_kind: ResetKind::Synchronous }
    }
}

pub(crate) fn make_reg(name: &str, clock: Clock, width: u32, initial: Option<Constant>, source: Source) -> Signal {
    if !clock.is_of_this_module() {
        problem(source, format!("the register `{name}` uses a clock of another module: pass the clock through a port"));
        let wire = new_node(NodeKind::Wire, width, Some(name.into()), source);
        excuse([wire.id]);
        return wire;
    }
    let reset = match (initial, clock.reset) {
        (Some(value), Some(reset)) => {
            let signal = reset.node_in_this_module(source).id;
            Some(Reset { signal, value, kind: clock.reset_kind })
        }
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

/// What a register can be reset to: a [`Constant`], a truth value, a variant of a hardware enum, or a constant signal.
pub trait Initial {
    /// The register's value in expressions.
    type Value: Value;
    /// The bits that the register is reset to; `name` is the register's, for messages.
    fn constant(&self, name: &str, source: Source) -> Constant;
    /// The register's value around its signal.
    fn value_of(signal: Signal) -> Self::Value;
}

impl Initial for Constant {
    type Value = Signal;
    fn constant(&self, _: &str, _: Source) -> Constant {
        self.clone()
    }
    fn value_of(signal: Signal) -> Signal {
        signal
    }
}

impl Initial for bool {
    type Value = Signal;
    fn constant(&self, _: &str, _: Source) -> Constant {
        Constant::from_words(1, &[u64::from(*self)])
    }
    fn value_of(signal: Signal) -> Signal {
        signal
    }
}

impl Initial for Signal {
    type Value = Signal;
    fn constant(&self, name: &str, source: Source) -> Constant {
        let signal = self.node_in_this_module(source);
        building(|b| b.ir.constant(signal.id).cloned()).unwrap_or_else(|| {
            problem_about(&[signal], source, || {
                format!("the reset value of `{name}` is not a constant: reset it to one, such as `zero(8)`, and `set` the rest")
            });
            Constant::zero(self.width())
        })
    }
    fn value_of(signal: Signal) -> Signal {
        signal
    }
}

/// Builds `block` as a module of the running elaboration, or takes the one that was built before under the same name.
pub(crate) fn build_module(block: &dyn Block, source: Source) -> Rc<ModuleIr> {
    let name = block.name();
    let recursive = with_elaboration(|s| s.stack.iter().any(|b| b.ir.name == name));
    let uid = with_elaboration(|s| {
        s.next_uid += 1;
        s.next_uid
    });
    let empty = ModuleIr { description: block.description(), ..ModuleIr::empty(&name) };
    if recursive {
        problem(
            source,
            format!("the module `{name}` contains itself: end the recursion, or name what differs inside differently in `Block::name`"),
        );
        return Rc::new(empty);
    }
    with_elaboration(|s| {
        s.stack.push(Building {
            uid,
            ir: empty,
            blocks: vec![vec![]],
            names: BTreeMap::new(),
            bodies: 0,
            open_bodies: vec![],
            excused: BTreeSet::new(),
        });
    });
    if !is_legal(&name) || crate::emit::is_keyword(&name) {
        problem(
            source,
            format!("`{name}` cannot be the name of a module: use letters, digits and `_`, beginning with a letter, and no keyword"),
        );
    }
    let module = Module { uid };
    block.build(&module);
    crate::memory::assert_no_collisions(&module);
    let (mut ir, excused) = with_elaboration(|s| {
        let mut built = s.stack.pop().expect("pushed above");
        built.ir.body = built.blocks.pop().expect("a module has a body");
        (built.ir, built.excused)
    });
    let found = check::check(&mut ir, &excused);
    with_elaboration(|s| {
        for (message, source) in found {
            let problem = Problem { module: name.clone(), message, source };
            // A block that is there twice has its mistakes once.
            if !s.problems.contains(&problem) {
                s.problems.push(problem);
            }
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

/// Builds `block` and everything inside it, and checks it. Where the environment asks for a mutant, that is what comes out: see
/// [`mutation`](crate::mutation).
#[track_caller]
pub fn elaborate(block: &dyn Block) -> Result<Design, Problems> {
    let source = Location::caller();
    let outer = with_elaboration(std::mem::take);
    let guard = RestoreOuter(Some(outer));
    build_module(block, source);
    let mut elaboration = with_elaboration(std::mem::take);
    let clashes = foreign_clashes(&elaboration.done);
    elaboration.problems.extend(clashes);
    drop(guard);
    if elaboration.problems.is_empty() {
        let design = Design { modules: elaboration.done };
        crate::mutation::note(&design);
        Ok(crate::mutation::mutated(design))
    } else {
        Err(Problems(elaboration.problems))
    }
}

/// Modules written in Verilog that have the name of a module of ours, or of another text.
fn foreign_clashes(modules: &[Rc<ModuleIr>]) -> Vec<Problem> {
    let mut texts: BTreeMap<&str, &ForeignIr> = BTreeMap::new();
    let mut problems: Vec<Problem> = Vec::new();
    for module in modules {
        for instance in &module.instances {
            let (name, Some(foreign)) = (&instance.module.name, &instance.module.foreign) else { continue };
            let first = *texts.entry(name).or_insert(foreign);
            let message = if modules.iter().any(|other| other.name == *name) {
                format!("a module of this design and one of a Verilog text are named `{name}`: give that of the design another name")
            } else if first.verilog != foreign.verilog {
                format!("two Verilog texts have a module `{name}`: put one of them under another name")
            } else {
                continue;
            };
            if problems.iter().all(|problem| problem.message != message) {
                problems.push(Problem { module: module.name.clone(), message, source: instance.source });
            }
        }
    }
    problems
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
