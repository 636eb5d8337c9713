//! What holds: assertions, assumptions and covers. The evaluator and Verilator check them while a design runs, the formal tools for all runs;
//! synthesis leaves them out, with everything that only they need.

use crate::ir::*;
use crate::module::{building, claim, problem, problem_about, Clock, Module};
use crate::signal::Signal;
use std::panic::Location;

impl Module {
    /// Asserts that `condition` holds at every edge of `clock` at which the clock's reset is not set.
    #[track_caller]
    pub fn assert(&self, clock: Clock, name: &str, condition: Signal) {
        property(PropertyKind::Assert, clock, name, condition, Location::caller());
    }

    /// Says that what is around the module keeps `condition` true, at every edge of `clock` at which the clock's reset is not set. The formal
    /// tools rely on it; simulation checks it.
    #[track_caller]
    pub fn assume(&self, clock: Clock, name: &str, condition: Signal) {
        property(PropertyKind::Assume, clock, name, condition, Location::caller());
    }

    /// Says that `condition` should be reached at some edge of `clock` at which the clock's reset is not set.
    #[track_caller]
    pub fn cover(&self, clock: Clock, name: &str, condition: Signal) {
        property(PropertyKind::Cover, clock, name, condition, Location::caller());
    }
}

pub(crate) fn property(kind: PropertyKind, clock: Clock, name: &str, condition: Signal, source: Source) {
    claim(name, source);
    let keyword = kind.keyword();
    if !clock.is_of_this_module() {
        problem(
            source,
            format!("the {keyword} `{name}` uses a clock of another module: pass the clock through a port"),
        );
        return;
    }
    if building(|b| b.blocks.len()) > 1 {
        problem(
            source,
            format!("the {keyword} `{name}` stands under a condition, which it would ignore: move it out and write `condition.implies(..)`"),
        );
    }
    let condition = condition.node_in_this_module(source);
    if condition.width() != 1 {
        problem_about(&[condition], source, || {
            format!("the {keyword} `{name}` needs one bit and got {}: compare it, or use `any()`", condition.width())
        });
        return;
    }
    let reset = clock.reset.map(|reset| reset.node_in_this_module(source).id);
    let property = Property { kind, name: name.into(), clock: clock.index, reset, condition: condition.id, source };
    building(|b| b.ir.properties.push(property));
}

impl Signal {
    /// False only where this bit is set and `other` is not.
    #[track_caller]
    pub fn implies(self, other: Signal) -> Signal {
        !self | other
    }
}
