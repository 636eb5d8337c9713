//! Values that go from one clock domain to another. What is here is for the crossing blocks of `rtl-prim`, which say when it is safe; the checks
//! refuse every other place where domains meet, and the report of all crossings of a design is made from what is noted here.

use crate::ir::*;
use crate::module::{building, excuse, make_reg, new_node, problem, problem_about, Clock, Module};
use crate::signal::Signal;
use crate::Constant;
use std::panic::Location;

/// Registers in a synchroniser, at least.
const STAGES_MIN: u32 = 2;

impl Module {
    /// Brings one bit into `clock` through a chain of `stages` registers, the last of which is called `name`. The bit may change at any
    /// time. What it comes from must be a register, so that nothing glitches on the way. With a reset value the chain is reset with `clock`.
    #[track_caller]
    pub fn synchronize(
        &self,
        name: &str,
        clock: Clock,
        bit: Signal,
        stages: u32,
        initial: Option<bool>,
    ) -> Synchronized {
        let source = Location::caller();
        if bit.width() != 1 {
            problem_about(&[bit], source, || {
                format!(
                    "`{name}` would synchronise {} bits, which may arrive in different clocks: cross with a handshake or an asynchronous FIFO",
                    bit.width()
                )
            });
        }
        let initial = initial.map(|bit| Constant::from_words(1, &[u64::from(bit)]));
        self.chain(name, clock, bit, stages, initial, "one bit, which arrives early or late by a clock")
    }

    /// Like [`synchronize`](Self::synchronize), for a value of which at most one bit changes at a time, such as a Gray code; `why` says why.
    #[track_caller]
    pub fn synchronize_gray(&self, name: &str, clock: Clock, value: Signal, stages: u32, why: &str) -> Synchronized {
        let initial = Constant::zero(value.width());
        self.chain(name, clock, value, stages, Some(initial), why)
    }

    #[track_caller]
    fn chain(
        &self,
        name: &str,
        clock: Clock,
        value: Signal,
        stages: u32,
        initial: Option<Constant>,
        why: &str,
    ) -> Synchronized {
        let source = Location::caller();
        if !is_own(clock, "synchroniser", name, source) {
            let wire = new_node(NodeKind::Wire, value.width(), Some(name.into()), source);
            excuse([wire.id]);
            return Synchronized { registers: vec![wire] };
        }
        let initial = initial.filter(|_| {
            if clock.reset().is_none() {
                problem(
                    source,
                    format!("the synchroniser `{name}` has a reset value but its clock has no reset: use a clock with a reset"),
                );
            }
            clock.reset().is_some()
        });
        if stages < STAGES_MIN {
            problem(source, format!("the synchroniser `{name}` has {stages} registers: give it at least {STAGES_MIN}"));
        }
        let from = value.node_in_this_module(source);
        let (mut at, mut registers) = (from, Vec::new());
        for stage in 1..=stages.max(1) {
            let last = stage == stages.max(1);
            let name = if last { name.to_string() } else { format!("{name}_stage_{stage}") };
            let register = make_reg(&name, clock, value.width(), initial.clone(), source);
            register.set(at);
            registers.push(register);
            at = register;
        }
        let to = registers.iter().map(|register| register.id).collect();
        note(from, to, clock, CrossingKind::Synchronizer, why, source);
        Synchronized { registers }
    }

    /// The same value, called `name`, for use in `clock`; `why` says why it stands still whenever it is looked at.
    #[track_caller]
    pub fn held_across(&self, name: &str, clock: Clock, value: Signal, why: &str) -> Signal {
        let source = Location::caller();
        let from = value.node_in_this_module(source);
        let wire = new_node(NodeKind::Wire, value.width(), Some(name.into()), source);
        if !is_own(clock, "value", name, source) {
            excuse([wire.id]);
            return wire;
        }
        wire.set(from);
        note(from, vec![wire.id], clock, CrossingKind::Held, why, source);
        wire
    }
}

/// A value that has come through a synchroniser.
#[derive(Clone, Debug)]
pub struct Synchronized {
    registers: Vec<Signal>,
}

impl Synchronized {
    /// The value: the last register.
    pub fn value(&self) -> Signal {
        *self.registers.last().expect("a synchroniser has registers")
    }

    /// All registers, the first first: for properties.
    pub fn registers(&self) -> &[Signal] {
        &self.registers
    }
}

fn is_own(clock: Clock, what: &str, name: &str, source: Source) -> bool {
    let is_own = clock.is_of_this_module();
    if !is_own {
        problem(source, format!("the {what} `{name}` uses a clock of another module: pass the clock through a port"));
    }
    is_own
}

fn note(from: Signal, to: Vec<NodeId>, clock: Clock, kind: CrossingKind, why: &str, source: Source) {
    let crossing = Crossing { from: from.id, to, clock: clock.index, kind, why: why.into(), source };
    building(|b| b.ir.crossings.push(crossing));
}
