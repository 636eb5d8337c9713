//! Who comes next: wishes become registers, and of those of one clock a task and a die are chosen in the next.

use super::die::Wishes;
use super::{Task, TURNS_BITS};
use flash_spec::limits::READ_TURNS_MAX;
use rtl_hdl::{cat, lit, when, zero, Clock, HwEnum, Module, Shape, Signal};
use rtl_prim::{first_one, one_hot_select, round_robin};

/// One of the three classes of grants.
struct Class {
    dies: Signal,
    /// The die whose turn it is.
    die: Signal,
    task: Signal,
    /// The die of the last grant.
    last: Signal,
}

/// What is chosen in this clock, and whose turns those before were.
pub(super) struct Choice {
    /// One-hot; zero if nobody wishes for anything.
    pub die: Signal,
    pub task: Signal,
    is_grant: Signal,
    classes: [Class; 3],
    /// The classes of which one gives the grant, if it is one.
    granting: [Signal; 3],
    turns: Signal,
}

impl Choice {
    pub fn new(m: &Module, clock: Clock, wishes: &[Wishes], power_cut: Signal) -> Choice {
        let wished = |name: &str, of: &dyn Fn(&Wishes) -> Signal| {
            let wish = m.reg(&format!("wish_{name}"), clock, zero(wishes.len() as u32));
            wish.set(cat(&wishes.iter().rev().map(of).collect::<Vec<_>>()));
            when(power_cut, || wish.set(0));
            wish
        };
        let code = |task: Task| lit(task.code(), Task::WIDTH);

        // Of each class: what is preferred in it, and the other.
        let class = |name: &str, preferred: (Task, Signal), other: (Task, Signal)| {
            let last = m.reg(&format!("last_{name}"), clock, zero(wishes.len() as u32));
            let dies = preferred.1 | other.1;
            let die = m.wire(&format!("turn_of_{name}"), round_robin(dies, last));
            let task = (die & preferred.1).any().mux(code(preferred.0), code(other.0));
            Class { dies, die, task, last }
        };
        let classes = [
            class(
                "commands",
                (Task::Read, wished("read", &|wishes| wishes.read)),
                (Task::Suspend, wished("suspend", &|wishes| wishes.suspend)),
            ),
            class(
                "answers",
                (Task::Out, wished("out", &|wishes| wishes.out)),
                (Task::Status, wished("status", &|wishes| wishes.status)),
            ),
            class(
                "writes",
                (Task::Resume, wished("resume", &|wishes| wishes.resume)),
                (Task::Write, wished("write", &|wishes| wishes.write)),
            ),
        ];
        let turns = m.reg("turns", clock, zero(TURNS_BITS));
        let [first, second, third] = [0, 1, 2].map(|class: usize| classes[class].dies.any());
        let third_is_first = m.wire("third_is_first", turns.eq(READ_TURNS_MAX) & third);
        let granting = [
            m.wire("first_grants", first & !third_is_first),
            m.wire("second_grants", second & !first & !third_is_first),
            m.wire("third_grants", third & (third_is_first | !(first | second))),
        ];
        let by_class = cat(&[granting[2], granting[1], granting[0]]);
        let granted =
            |of: &dyn Fn(&Class) -> Signal| one_hot_select(by_class, &classes.iter().map(of).collect::<Vec<_>>());

        let tasks = [
            (Task::EndWrite, wished("end_write", &|wishes| wishes.end_write)),
            (Task::StartRead, wished("start_read", &|wishes| wishes.start_read)),
            (Task::StartWrite, wished("start_write", &|wishes| wishes.start_write)),
            (Task::FinishRead, wished("finish_read", &|wishes| wishes.finish_read)),
            (Task::FinishStatus, wished("finish_status", &|wishes| wishes.finish_status)),
        ];
        let is_grant = m.wire("is_grant", !cat(&tasks.map(|(_, dies)| dies)).any());
        let grant = (granted(&|class| class.task), granted(&|class| class.die));
        let (task, die) = tasks.into_iter().rev().fold(grant, |(other, other_die), (task, dies)| {
            (dies.any().mux(code(task), other), dies.any().mux(first_one(dies), other_die))
        });
        Choice { die: m.wire("next_die", die), task: m.wire("next_task", task), is_grant, classes, granting, turns }
    }

    /// The choice is followed: turns move on.
    pub fn follow(&self) {
        when(self.is_grant & self.die.any(), || {
            for (class, grants) in self.classes.iter().zip(self.granting) {
                when(grants, || class.last.set(self.die));
            }
            let [.., third] = &self.classes;
            when(third.dies.any() & !self.granting[2], || self.turns.set(self.turns + 1))
                .otherwise(|| self.turns.set(0));
        });
    }

    /// Turns begin anew.
    pub fn clear(&self) {
        self.turns.set(0);
        for class in &self.classes {
            class.last.set(0);
        }
    }
}
