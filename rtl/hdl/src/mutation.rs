//! Mutation: small changes of elaborated hardware, each of which a good test bench notices.
//!
//! ```text
//!   ModuleIr --changes--> every change --normal form--> mutations: those that make other hardware, each once
//!                              |
//!                              +--number--> the changed ModuleIr
//! ```
//!
//! A mutation changes one thing: an operator, a constant, a condition, an enable, an assignment, a reset, a synchroniser. Only what the hardware needs is
//! changed; what only assertions read is not. The module stays one that evaluates: no change makes a loop, and where an assignment is
//! taken away from a wire that then had no value, zeros take its place.
//!
//! ```
//! use rtl_hdl::{block_fn, elaborate, mutation, zero};
//! let design = elaborate(&block_fn("counter", |m| {
//!     let clock = m.clock();
//!     let count = m.reg("count", clock, zero(8));
//!     count.set(count + 1);
//!     m.output("value", count);
//! }))?;
//! let counter = design.top();
//! let mutations = mutation::mutations(counter);
//! let down = mutations.iter().find(|mutation| mutation.text == "count: count + 1 -> count - 1").expect("it can count down");
//! let mutant = mutation::mutant(counter, down.number).expect("it has this number");
//! assert_eq!(design.with_module(mutant).top().name, "counter");
//! assert!(mutation::mutant_named(counter, &down.text).is_some());
//! # Ok::<(), rtl_hdl::Problems>(())
//! ```
//!
//! ## How tests get a mutant
//!
//! Tests elaborate hardware themselves, so [`elaborate`](crate::elaborate) hands them the mutant, after all checks, when the environment asks
//! for it. `cargo xtask mutate` sets these variables and nobody else needs to.
//!
//! | variable | what it does |
//! |---|---|
//! | `RTL_MUTANT=none` | nothing, but test beds run as they do for mutants: in the evaluator alone |
//! | `RTL_MUTANT=<module>:<number>` | in every design, the module of this name is its mutant of this number |
//! | `RTL_MUTANT_MODULES=<file>` | a line for every module that is elaborated is added to the file: name, number of nodes, Rust file |
//! | `RTL_MUTANT_LIST=<module>:<file>` | the mutations of the module are written to the file: number, kind, Rust line and text |
//!
//! What is in a line is separated by tabs.

mod change;
mod environment;
mod normal;
mod text;

use crate::ir::*;
use change::Change;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::rc::Rc;

pub use environment::{is_asked_for, MODULES_VARIABLE, MUTANT_LIST_VARIABLE, MUTANT_VARIABLE, NO_MUTANT};
pub(crate) use environment::{mutated, note};

/// What is changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// An operator, or the order of its operands; one operand of a condition left out.
    Operator,
    /// A constant.
    Constant,
    /// When something happens.
    Condition,
    /// An enable of a memory.
    Enable,
    /// An assignment that does not happen.
    Assignment,
    /// A reset that does not happen, or loads another value.
    Reset,
    /// A synchroniser that is a register too short.
    Crossing,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 7] =
        [Kind::Operator, Kind::Constant, Kind::Condition, Kind::Enable, Kind::Assignment, Kind::Reset, Kind::Crossing];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Operator => "operator",
            Kind::Constant => "constant",
            Kind::Condition => "condition",
            Kind::Enable => "enable",
            Kind::Assignment => "assignment",
            Kind::Reset => "reset",
            Kind::Crossing => "crossing",
        })
    }
}

/// One change of one module.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// What [`mutant`] makes it with.
    pub number: usize,
    /// What is changed.
    pub kind: Kind,
    /// The change in words that stay the same while the lines around it change; unique in its module.
    pub text: String,
    /// The Rust line of what is changed.
    pub source: Source,
}

/// Every mutation of this module that makes other hardware of it; modules inside it are left alone. The numbers have gaps, where a change
/// makes the same hardware as the module itself, or as an earlier change.
pub fn mutations(ir: &ModuleIr) -> Vec<Mutation> {
    let describer = text::Describer::new(ir);
    let mut forms = normal::Forms::new();
    let mut seen = HashSet::from([forms.of(ir)]);
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    let mut mutations = Vec::new();
    for (number, change) in change::all(ir).into_iter().enumerate() {
        let text = named(&describer, &change, &mut times);
        if seen.insert(forms.of(&change.applied_to(ir))) {
            mutations.push(Mutation { number, kind: change.kind(), text, source: describer.source(&change) });
        }
    }
    mutations
}

/// The mutant of this number; none, if the module has no such change.
pub fn mutant(ir: &ModuleIr, number: usize) -> Option<ModuleIr> {
    change::all(ir).get(number).map(|change: &Change| change.applied_to(ir))
}

/// The mutant that is called so, as [`mutations`] call it; none, if the module has no such change.
pub fn mutant_named(ir: &ModuleIr, name: &str) -> Option<ModuleIr> {
    let describer = text::Describer::new(ir);
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    change::all(ir).into_iter().find(|change| named(&describer, change, &mut times) == name).map(|c| c.applied_to(ir))
}

/// What a change is called, after those before it have been counted.
fn named(describer: &text::Describer, change: &Change, times: &mut BTreeMap<String, u32>) -> String {
    let text = describer.text(change);
    let times = times.entry(text.clone()).or_default();
    *times += 1;
    match *times {
        1 => text,
        times => format!("{text} ({times})"),
    }
}

impl Design {
    /// The design with `module` in place of its module of the same name.
    #[must_use]
    pub fn with_module(&self, module: ModuleIr) -> Design {
        let mut replaced: BTreeMap<String, Rc<ModuleIr>> = BTreeMap::new();
        let mut module = Some(module);
        // A module comes after those that it contains.
        let modules = self.modules.iter().map(|old| {
            let mut new = match &module {
                Some(other) if other.name == old.name => module.take().map(Rc::new),
                _ => None,
            };
            if old.instances.iter().any(|instance| replaced.contains_key(&instance.module.name)) {
                let mut around = new.map_or_else(|| (**old).clone(), |new| (*new).clone());
                for instance in &mut around.instances {
                    if let Some(inside) = replaced.get(&instance.module.name) {
                        instance.module = inside.clone();
                    }
                }
                new = Some(Rc::new(around));
            }
            match new {
                Some(new) => {
                    replaced.insert(new.name.clone(), new.clone());
                    new
                }
                None => old.clone(),
            }
        });
        Design { modules: modules.collect() }
    }
}
