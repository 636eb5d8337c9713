//! The evaluator: runs a design clock by clock, without Verilator.
//!
//! ```text
//!   Design --flatten--> one list of operations over one array of words
//!                       |  1. what the outputs need    run after every edge
//!                       |  2. what the next state needs run before every edge
//!                       |  3. what is only looked at    run when someone looks
//!                       +--per clock: the next state, then reset, then memory ports
//! ```
//!
//! Values of at most 64 bits are one word and have operations of their own; wider values are slices. A wire with one unconditional
//! assignment, a port and a clock have no storage: they are the word that drives them. Nothing is allocated while it runs.
//!
//! An edge samples everything first: registers and memory words that change in one moment see the old values of each other, also across
//! clocks.

mod compile;
mod machine;
mod wide;

use crate::bench::Seed;
use crate::foreign::{list, nearest};
use crate::ir::{Direction, ModuleIr, PropertyKind, Source};
use crate::sim::{PortId, Simulator};
use crate::waveform::Notes;
use crate::{words_for, Constant, Design};
pub(crate) use compile::{split, Step};
use machine::{Machine, Op, WritePort};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Why a design cannot be evaluated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EvalError {
    /// The design holds modules written in Verilog, and no model was given for them.
    Foreign {
        /// Their names, and where they are.
        modules: Vec<String>,
    },
    /// Values depend on each other in a circle. [`elaborate`](crate::elaborate) refuses that; a design made by other means may have it.
    Loop {
        /// The values in the circle.
        path: Vec<String>,
    },
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvalError::Foreign { modules } => write!(
                f,
                "the evaluator cannot run modules written in Verilog: {}; give a model of each with `Options::foreign`, or use Verilator",
                modules.join(", ")
            ),
            EvalError::Loop { path } => write!(f, "combinational loop: {}", path.join(" -> ")),
        }
    }
}

impl std::error::Error for EvalError {}

/// What a module written in Verilog does, for the evaluator.
pub trait ForeignModel {
    /// The value of output port `output`. `input` reads an input; for an output that was declared with
    /// [`Foreign::combinational`](crate::Foreign::combinational) the inputs named there are up to date, and others are not to be read.
    fn output(&self, output: &str, input: &dyn Fn(&str) -> Constant) -> Constant;
    /// A rising edge of the clocks in `clocks` (a bit for each clock of the module); `input` reads the inputs as they are before it.
    fn edge(&mut self, clocks: u64, input: &dyn Fn(&str) -> Constant);
}

/// Makes the model for each instance of a foreign module.
type ForeignFactory = Box<dyn Fn() -> Box<dyn ForeignModel>>;

/// What registers, and memories without initial contents, hold at the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Start {
    /// All bits are zero.
    #[default]
    Zeros,
    /// All bits are one.
    Ones,
    /// Random values of this seed: what a reset does not set must not matter.
    Seed(Seed),
}

impl Start {
    /// The first value of what is called `name`.
    fn values(self, name: &str) -> impl FnMut(u32) -> Constant {
        let mut rng = match self {
            Start::Seed(seed) => seed.rng(name),
            _ => Seed(0).rng(name),
        };
        move |width| match self {
            Start::Zeros => Constant::zero(width),
            Start::Ones => Constant::ones(width),
            Start::Seed(_) => Constant::from_words(width, &rng.bits(width)),
        }
    }
}

/// How an evaluator is made.
#[derive(Default)]
pub struct Options {
    start: Start,
    foreign: BTreeMap<String, ForeignFactory>,
}

impl Options {
    /// What the state holds at the start; zeros, if this is not called.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// `make` makes the model of each instance of the foreign module `name`.
    pub fn foreign(mut self, name: &str, make: impl Fn() -> Box<dyn ForeignModel> + 'static) -> Self {
        self.foreign.insert(name.into(), Box::new(make));
        self
    }
}

/// A named value, for looking at.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub name: String,
    pub width: u32,
    pub slot: u32,
    /// The top's index of the clock, if it is one.
    pub clock: Option<usize>,
    pub notes: Notes,
}

/// An instance and what is named in it.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The instance's name; the module's name for the top.
    pub name: String,
    pub parent: Option<usize>,
    pub values: Vec<Named>,
}

/// A port of the top.
#[derive(Debug)]
struct Pin {
    name: String,
    direction: Direction,
    width: u32,
    slot: u32,
    /// An output follows this input within a clock.
    feeds_outputs: bool,
}

/// An instance of a foreign module.
struct ForeignInstance {
    model: Box<dyn ForeignModel>,
    /// Name, slot and width.
    inputs: Vec<(String, u32, u32)>,
    /// Name, slot and width of the outputs that come from registers.
    outputs: Vec<(String, u32, u32)>,
    /// Name, slot and width of the outputs that follow inputs; they are computed in the program.
    combinational: Vec<(String, u32, u32)>,
    /// For each clock of the module: the top's clock.
    clocks: Vec<usize>,
}

impl ForeignInstance {
    fn reader<'a>(&'a self, words: &'a [u64]) -> impl Fn(&str) -> Constant + 'a {
        |name| match self.inputs.iter().find(|(n, ..)| n == name) {
            Some(&(_, slot, width)) => Constant::from_words(width, &words[slot as usize..]),
            None => panic!("the foreign module has no input `{name}`"),
        }
    }
}

/// A property of the running design.
struct Check {
    kind: PropertyKind,
    path: String,
    source: Source,
    reset: Option<u32>,
    condition: u32,
    /// In how many clocks it held; counted for covers.
    hits: u64,
}

/// Two ports of a memory that must not access one address in one moment.
struct Collision {
    memory: String,
    /// The two clocks of the top, a bit for each.
    clocks: u64,
    /// When all of these are set, both ports do something.
    enables: Vec<u32>,
    addresses: [u32; 2],
}

/// How far the values are up to date with the state and the inputs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fresh {
    Nothing,
    Outputs,
    NextState,
    Everything,
}

/// A design that runs. See [`Simulator`] for its use.
///
/// ```
/// use rtl_hdl::{block_fn, elaborate, sim::Simulator, zero, Evaluator};
/// let design = elaborate(&block_fn("counter", |m| {
///     let clock = m.clock();
///     let count = m.reg("count", clock, zero(8));
///     count.set(count + 1);
///     m.output("value", count);
/// }))
/// .unwrap();
/// let mut sim = Evaluator::new(&design).unwrap();
/// let value = sim.port("value");
/// sim.step();
/// sim.step();
/// assert_eq!(sim.peek_u64(value), 2);
/// assert_eq!(sim.signal("counter.count"), 2);
/// ```
pub struct Evaluator {
    machine: Machine,
    /// All combinational operations, in order.
    program: Vec<Op>,
    /// Where the operations end that the outputs need, and those that the next state needs.
    outputs_end: usize,
    next_state_end: usize,
    /// For each clock of the top: what gives the next state.
    edges: Vec<Vec<Op>>,
    /// For each clock of the top: the memory writes.
    writes: Vec<Vec<WritePort>>,
    /// For each clock of the top: the properties.
    checks: Vec<Vec<Check>>,
    collisions: Vec<Collision>,
    foreign: Vec<ForeignInstance>,
    pins: Vec<Pin>,
    scopes: Vec<Scope>,
    paths: BTreeMap<String, (usize, usize)>,
    ports: HashMap<String, usize>,
    fresh: Fresh,
    steps: u64,
}

impl Evaluator {
    /// Flattens `design`. Registers and memories start at zero.
    pub fn new(design: &Design) -> Result<Self, EvalError> {
        Self::with(design, Options::default())
    }

    /// Like [`new`](Self::new), with registers and memories that start with random values; see [`Start::Seed`].
    pub fn with_seed(design: &Design, seed: Seed) -> Result<Self, EvalError> {
        Self::with(design, Options::default().start(Start::Seed(seed)))
    }

    /// Flattens `design`, with these options.
    pub fn with(design: &Design, options: Options) -> Result<Self, EvalError> {
        let top: &ModuleIr = design.top();
        let compiled = compile::compile(top, &options)?;
        let pins = top
            .ports
            .iter()
            .zip(&compiled.ports)
            .map(|(port, &(slot, feeds_outputs))| Pin {
                name: port.name.clone(),
                direction: port.direction,
                width: port.width,
                slot,
                feeds_outputs,
            })
            .collect();
        let mut paths = BTreeMap::new();
        let mut prefixes: Vec<String> = Vec::new();
        for (index, scope) in compiled.scopes.iter().enumerate() {
            let prefix = match scope.parent {
                Some(parent) => format!("{}.{}", prefixes[parent], scope.name),
                None => scope.name.clone(),
            };
            for (at, value) in scope.values.iter().enumerate() {
                paths.insert(format!("{prefix}.{}", value.name), (index, at));
            }
            prefixes.push(prefix);
        }
        let mut evaluator = Evaluator {
            machine: compiled.machine,
            program: compiled.program,
            outputs_end: compiled.outputs_end,
            next_state_end: compiled.next_state_end,
            edges: compiled.edges,
            writes: compiled.writes,
            checks: compiled.checks,
            collisions: compiled.collisions,
            foreign: compiled.foreign,
            pins,
            scopes: compiled.scopes,
            paths,
            ports: top.ports.iter().enumerate().map(|(index, port)| (port.name.clone(), index)).collect(),
            fresh: Fresh::Nothing,
            steps: 0,
        };
        evaluator.foreign_outputs();
        evaluator.refresh(Fresh::Outputs);
        Ok(evaluator)
    }

    /// The low 64 bits of a named value anywhere in the design, by its path, such as `top.fetch.head`; the first name is the top module's.
    /// It belongs to the present inputs and state.
    ///
    /// # Panics
    /// If nothing has this path.
    pub fn signal(&mut self, path: &str) -> u64 {
        self.signal_words(path)[0]
    }

    /// All words of a named value, lowest first; see [`signal`](Self::signal).
    pub fn signal_words(&mut self, path: &str) -> &[u64] {
        let Some(&(scope, at)) = self.paths.get(path) else {
            let last = path.rsplit('.').next().unwrap_or(path);
            let similar: Vec<&str> =
                self.paths.keys().filter(|p| p.rsplit('.').next() == Some(last)).map(String::as_str).collect();
            let known = match similar[..] {
                [] => nearest(path, self.paths.keys().map(String::as_str)),
                _ => format!("of that name there are {}", list(similar.into_iter())),
            };
            panic!("there is no signal `{path}`; {known}");
        };
        self.refresh(Fresh::Everything);
        let value = &self.scopes[scope].values[at];
        &self.machine.words[value.slot as usize..][..words_for(value.width)]
    }

    /// The paths of all named values.
    pub fn signals(&self) -> impl Iterator<Item = &str> {
        self.paths.keys().map(String::as_str)
    }

    /// How many operations one clock takes at most: the size of the program.
    pub fn operations(&self) -> usize {
        self.next_state_end + self.edges.iter().map(Vec::len).sum::<usize>()
    }

    /// The path of every cover of the design, and at how many edges it held.
    pub fn covers(&self) -> impl Iterator<Item = (&str, u64)> {
        let covers = self.checks.iter().flatten().filter(|check| check.kind == PropertyKind::Cover);
        covers.map(|check| (check.path.as_str(), check.hits))
    }

    /// Looks at the properties of the clocks that rise.
    ///
    /// # Panics
    /// If one does not hold.
    fn check(&mut self, clocks: u64) {
        let words = &self.machine.words;
        let set = |slot: u32| words[slot as usize] != 0;
        for (clock, checks) in self.checks.iter_mut().enumerate() {
            if clock >= 64 || clocks >> clock & 1 == 0 {
                continue;
            }
            for check in checks.iter_mut().filter(|check| !check.reset.is_some_and(set)) {
                let holds = set(check.condition);
                if check.kind == PropertyKind::Cover {
                    check.hits += u64::from(holds);
                } else if !holds {
                    panic!(
                        "the {} `{}` does not hold at edge {} ({}:{})",
                        if check.kind == PropertyKind::Assert { "assertion" } else { "assumption" },
                        check.path,
                        self.steps,
                        check.source.file(),
                        check.source.line()
                    );
                }
            }
        }
        for collision in self.collisions.iter().filter(|collision| collision.clocks & !clocks == 0) {
            let [a, b] = collision.addresses.map(|slot| words[slot as usize]);
            assert!(
                a != b || !collision.enables.iter().all(|slot| set(*slot)),
                "two ports of `{}` access address {a:#x} at edge {}, and one of them writes it",
                collision.memory,
                self.steps
            );
        }
    }

    pub(crate) fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// Every word of the present values, all up to date.
    pub(crate) fn all_words(&mut self) -> &[u64] {
        self.refresh(Fresh::Everything);
        &self.machine.words
    }

    fn refresh(&mut self, wanted: Fresh) {
        let end = |fresh| match fresh {
            Fresh::Nothing => 0,
            Fresh::Outputs => self.outputs_end,
            Fresh::NextState => self.next_state_end,
            Fresh::Everything => self.program.len(),
        };
        if self.fresh < wanted {
            self.machine.run(&self.program[..end(wanted)], end(self.fresh), &self.foreign);
            self.fresh = wanted;
        }
    }

    /// Reads the outputs of foreign modules that come from their registers.
    fn foreign_outputs(&mut self) {
        for instance in &self.foreign {
            for (name, slot, width) in &instance.outputs {
                let value = instance.model.output(name, &instance.reader(&self.machine.words));
                assert_eq!(value.width(), *width, "the model's output `{name}` has {width} bits in the design");
                self.machine.words[*slot as usize..][..words_for(*width)].copy_from_slice(value.words());
            }
        }
    }
}

impl Simulator for Evaluator {
    fn port(&self, name: &str) -> PortId {
        match self.ports.get(name) {
            Some(&index) => PortId(index),
            None => {
                let known = nearest(name, self.pins.iter().map(|pin| pin.name.as_str()));
                panic!("the top module `{}` has no port `{name}`; {known}", self.scopes[0].name)
            }
        }
    }

    fn poke(&mut self, port: PortId, words: &[u64]) {
        let pin = &self.pins[port.0];
        assert!(pin.direction == Direction::Input, "the port `{}` is an output: only inputs are poked", pin.name);
        let count = words_for(pin.width);
        let fits = words.iter().enumerate().all(|(i, word)| match pin.width.saturating_sub(64 * i as u32) {
            0 => *word == 0,
            left if left < 64 => word >> left == 0,
            _ => true,
        });
        assert!(fits, "{words:x?} does not fit the port `{}` of {} bits", pin.name, pin.width);
        let slot = pin.slot as usize;
        let mut changed = false;
        for i in 0..count {
            let word = words.get(i).copied().unwrap_or(0);
            changed |= self.machine.words[slot + i] != word;
            self.machine.words[slot + i] = word;
        }
        if changed {
            let left = if pin.feeds_outputs { Fresh::Nothing } else { Fresh::Outputs };
            self.fresh = self.fresh.min(left);
        }
    }

    fn peek(&self, port: PortId, words: &mut [u64]) {
        let pin = &self.pins[port.0];
        let count = words_for(pin.width).min(words.len());
        words[..count].copy_from_slice(&self.machine.words[pin.slot as usize..][..count]);
        words[count..].fill(0);
    }

    fn settle(&mut self) {
        self.refresh(Fresh::Outputs);
    }

    fn step_clocks(&mut self, clocks: u64) {
        self.refresh(Fresh::NextState);
        self.check(clocks);
        self.steps += 1;
        let rises = |clock: usize| clock < 64 && clocks >> clock & 1 == 1;
        for (clock, edge) in self.edges.iter().enumerate() {
            if rises(clock) {
                self.machine.run(edge, 0, &self.foreign);
            }
        }
        let mut changed = false;
        for i in 0..self.foreign.len() {
            let mask = self.foreign[i]
                .clocks
                .iter()
                .enumerate()
                .fold(0, |mask, (own, &top)| mask | (rises(top) as u64) << own);
            if mask != 0 {
                changed = true;
                // The model is taken out for a moment, because it reads the inputs of its instance.
                let mut model = std::mem::replace(&mut self.foreign[i].model, Box::new(NoModel));
                model.edge(mask, &self.foreign[i].reader(&self.machine.words));
                self.foreign[i].model = model;
            }
        }
        for (clock, writes) in self.writes.iter().enumerate() {
            if rises(clock) {
                changed |= self.machine.write_memories(writes);
            }
        }
        changed |= self.machine.commit();
        if changed {
            if !self.foreign.is_empty() {
                self.foreign_outputs();
            }
            self.fresh = Fresh::Nothing;
            self.refresh(Fresh::Outputs);
        }
    }
}

/// Stands in for a model that is in use.
struct NoModel;

impl ForeignModel for NoModel {
    fn output(&self, _: &str, _: &dyn Fn(&str) -> Constant) -> Constant {
        unreachable!("the model of a foreign module does not ask itself")
    }
    fn edge(&mut self, _: u64, _: &dyn Fn(&str) -> Constant) {
        unreachable!("the model of a foreign module does not clock itself")
    }
}
