//! RVWMO by trying every order of the memory operations, as the manual's axioms say: for few operations. It shares nothing with the checker but the operations.

use litmus::{Accesses, Event, Kind, Operation};
use std::collections::BTreeSet;

/// What a history is, without the operations: what each of them has read and written.
pub type Outcome = Vec<Vec<(Option<u64>, Option<u64>)>>;

pub fn outcome_of(agents: &[Vec<Event>]) -> Outcome {
    agents.iter().map(|events| events.iter().map(|event| (event.read, event.wrote)).collect()).collect()
}

/// An operation with its agent, its number there, its operand, and whether it is an `sc` that fails.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub agent: usize,
    pub number: usize,
    pub operation: Operation,
    pub operand: u64,
    pub fails: bool,
}

impl Step {
    fn accesses(&self) -> Accesses {
        let reads = matches!(self.operation.kind, Kind::Load | Kind::LoadReserved | Kind::Modify(_));
        let writes = matches!(self.operation.kind, Kind::Store | Kind::StoreConditional | Kind::Modify(_));
        Accesses { reads, writes }
    }

    fn is_memory(&self) -> bool {
        !self.fails && !matches!(self.operation.kind, Kind::Fence { .. })
    }

    fn is_atomic_write(&self) -> bool {
        matches!(self.operation.kind, Kind::StoreConditional | Kind::Modify(_))
    }

    fn is_annotated(&self) -> bool {
        self.operation.acquire || self.operation.release
    }

    fn is_before(&self, other: &Step) -> bool {
        self.agent == other.agent && self.number < other.number
    }
}

/// All choices of `sc` that fail.
pub fn choices(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut all = vec![steps.to_vec()];
    for at in (0..steps.len()).filter(|at| steps[*at].operation.kind == Kind::StoreConditional) {
        let mut failing = all.clone();
        failing.iter_mut().for_each(|steps| steps[at].fails = true);
        all.append(&mut failing);
    }
    all
}

/// The `lr` that an `sc` is paired with.
fn pair(steps: &[Step], sc: usize) -> Option<usize> {
    let kinds = [Kind::LoadReserved, Kind::StoreConditional];
    let earlier = (0..sc).filter(|at| steps[*at].is_before(&steps[sc]) && kinds.contains(&steps[*at].operation.kind));
    let [last, sc] = [earlier.max()?, sc].map(|at| (at, steps[at].operation));
    (last.1.kind == Kind::LoadReserved && last.1.place == sc.1.place).then_some(last.0)
}

/// All outcomes that the axioms allow. Steps are in the order of agents and of their programs.
pub fn outcomes(steps: &[Step], initial: &[u64]) -> BTreeSet<Outcome> {
    let mut all = BTreeSet::new();
    for steps in choices(steps) {
        let memory: Vec<usize> = (0..steps.len()).filter(|at| steps[*at].is_memory()).collect();
        permute(memory.len(), &mut |order| {
            let mut position = vec![usize::MAX; steps.len()];
            order.iter().zip(0..).for_each(|(at, when)| position[memory[*at]] = when);
            all.extend(outcome(&steps, &position, initial));
        });
    }
    all
}

fn permute(count: usize, visit: &mut impl FnMut(&[usize])) {
    fn swaps(order: &mut Vec<usize>, at: usize, visit: &mut impl FnMut(&[usize])) {
        if at == order.len() {
            visit(order);
        }
        for other in at..order.len() {
            order.swap(at, other);
            swaps(order, at + 1, visit);
            order.swap(at, other);
        }
    }
    swaps(&mut (0..count).collect(), 0, visit);
}

/// The outcome of one global order, if it is one that the axioms allow.
fn outcome(steps: &[Step], position: &[usize], initial: &[u64]) -> Option<Outcome> {
    let mut in_order: Vec<usize> = (0..steps.len()).filter(|at| steps[*at].is_memory()).collect();
    in_order.sort_by_key(|at| position[*at]);
    let mut results = vec![0; steps.len()];
    let mut written: Vec<Option<u64>> =
        steps.iter().map(|step| (step.operation.kind == Kind::Store).then_some(step.operand)).collect();
    let mut sources: Vec<Option<usize>> = vec![None; steps.len()];
    let stores = |place| {
        let all = (0..steps.len()).filter(|at| steps[*at].is_memory() && steps[*at].accesses().writes);
        all.filter(move |at| steps[*at].operation.place == place)
    };
    for at in in_order {
        let step = &steps[at];
        let place = step.operation.place;
        if step.accesses().reads {
            // "Load Value Axiom".
            let seen = |store: &usize| position[*store] < position[at] || steps[*store].is_before(step);
            sources[at] =
                stores(place).filter(|store| *store != at && seen(store)).max_by_key(|store| position[*store]);
            // Who reads from an atomic comes after it, by rule 3.
            results[at] = sources[at].map_or(Some(initial[place]), |source| written[source])?;
        }
        match step.operation.kind {
            Kind::Modify(modification) => written[at] = Some(modification.of(results[at], step.operand)),
            Kind::StoreConditional => {
                // "Atomicity Axiom".
                let load = pair(steps, at)?;
                let from = sources[load].map_or(0, |source| position[source] + 1);
                let between = |store: &usize| (from..position[at]).contains(&position[*store]);
                if stores(place).any(|store| steps[store].agent != step.agent && between(&store)) {
                    return None;
                }
                written[at] = Some(step.operand);
            }
            _ => {}
        }
    }
    for (b, later) in steps.iter().enumerate().filter(|(_, step)| step.is_memory()) {
        for (a, earlier) in steps[..b].iter().enumerate().filter(|(_, step)| step.is_memory()) {
            if earlier.is_before(later) && is_preserved(steps, a, b, &sources) && position[a] > position[b] {
                return None;
            }
        }
    }
    let mut outcome: Outcome = vec![vec![]; steps.iter().map(|step| step.agent + 1).max()?];
    for (step, result) in steps.iter().zip(results) {
        let result = if step.operation.kind == Kind::StoreConditional { step.fails.into() } else { result };
        let Event { read, wrote, .. } = step.operation.event(step.operand, result);
        outcome[step.agent].push((read, wrote));
    }
    Some(outcome)
}

/// "Preserved Program Order": its rules, one by one.
fn is_preserved(steps: &[Step], a: usize, b: usize, sources: &[Option<usize>]) -> bool {
    let (first, second) = (&steps[a], &steps[b]);
    let (of_first, of_second) = (first.accesses(), second.accesses());
    let same_place = first.operation.place == second.operation.place;
    let between = || steps[a + 1..b].iter().zip(a + 1..);
    let stores = || between().filter(|(step, _)| step.is_memory() && step.accesses().writes);
    // Whether the address of a step between them depends on the first.
    let depends = |step: &Step| step.operation.depends && step.number == first.number + 1;
    let rule_1 = same_place && of_second.writes;
    let rule_2 = same_place
        && of_first.reads
        && of_second.reads
        && stores().all(|(step, _)| step.operation.place != second.operation.place)
        && sources[a] != sources[b];
    let rule_3 = first.is_atomic_write() && of_second.reads && sources[b] == Some(a);
    let rule_4 = between().any(|(step, _)| match step.operation.kind {
        Kind::Fence { before, after } => before.meets(of_first) && after.meets(of_second),
        _ => false,
    });
    let rules_5_to_7 =
        first.operation.acquire || second.operation.release || first.is_annotated() && second.is_annotated();
    let rule_8 = second.operation.kind == Kind::StoreConditional && pair(steps, b) == Some(a);
    let rule_9 = depends(second);
    let rule_12 = of_second.reads && stores().any(|(step, at)| depends(step) && sources[b] == Some(at));
    let rule_13 = of_second.writes && between().any(|(step, _)| step.is_memory() && depends(step));
    rule_1 || rule_2 || rule_3 || rule_4 || rules_5_to_7 || rule_8 || rule_9 || rule_12 || rule_13
}
