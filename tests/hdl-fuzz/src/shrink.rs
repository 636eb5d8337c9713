//! From a design that fails to a small one that fails in the same way.
//!
//! Choices are taken from the tapes: whole modules, runs of choices, then what is left becomes smaller. Several attempts are judged at once, because
//! they share a run of yosys or a library of models; the first that fails in the same way is taken.

use std::collections::HashSet;

use crate::case::Choices;
use crate::judge::{read, Error, Judge, Kind, Verdict};
use crate::tape::Tapes;

/// How many attempts are judged at once: few where most succeed, because the rest of them is wasted, many where most fail.
const AT_ONCE: std::ops::RangeInclusive<usize> = 4..=32;

/// Runs up to this length are tried in every place and of every length: what a person would call one thing is about as long.
const SHORT: usize = 8;

/// How many attempts are made, if the caller has no opinion.
pub const ATTEMPTS_MAX: usize = 3000;

/// What came of shrinking.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest case that fails in the same way.
    pub verdict: Verdict,
    /// How many attempts it took.
    pub attempts: usize,
}

/// Shrinks a case that has failed, in at most this many attempts. `judge` is who found the failure; only those are asked who see it.
///
/// # Errors
/// If a tool cannot be had or used.
pub fn shrink(
    judge: &Judge,
    failed: Verdict,
    attempts_max: usize,
    progress: &mut dyn FnMut(&Verdict),
) -> Result<Shrunk, Error> {
    let Some(failure) = failed.failure.clone() else { return Ok(Shrunk { verdict: failed, attempts: 0 }) };
    // With fewer simulators the same failure may have another name: of two, nobody is the odd one.
    let narrow = judge.clone().asking(failure.kind.opinions());
    let again = narrow.judge(vec![failed.case.clone()])?.0.into_iter().next();
    let (judge, verdict) = match again {
        Some(verdict) if verdict.failure.is_some() => (narrow, verdict),
        _ => (judge.clone(), failed),
    };
    let kind = verdict.failure.as_ref().map_or(failure.kind, |failure| failure.kind.clone());
    let mut shrinking = Shrinking {
        judge,
        kind,
        verdict,
        tried: HashSet::new(),
        attempts_left: attempts_max,
        at_once: *AT_ONCE.start(),
        progress,
    };
    while shrinking.round()? {}
    let attempts = attempts_max - shrinking.attempts_left;
    shrinking.shorten()?;
    Ok(Shrunk { verdict: shrinking.verdict, attempts })
}

/// One way to make tapes smaller.
#[derive(Clone, Debug)]
enum Step {
    Clear {
        module: String,
    },
    Delete {
        module: String,
        at: usize,
        count: usize,
    },
    Zero {
        module: String,
        at: usize,
        count: usize,
    },
    /// Takes this much from a choice.
    Less {
        module: String,
        at: usize,
        by: u64,
    },
}

impl Step {
    fn apply(&self, tapes: &Tapes) -> Tapes {
        let mut tapes = tapes.clone();
        let (Step::Clear { module }
        | Step::Delete { module, .. }
        | Step::Zero { module, .. }
        | Step::Less { module, .. }) = self;
        let Some(tape) = tapes.get_mut(module) else { return tapes };
        let end = |at: &usize, count: &usize| (at + count).min(tape.len());
        match self {
            Step::Clear { .. } => tape.clear(),
            Step::Delete { at, count, .. } => drop(tape.drain(*at..end(at, count))),
            Step::Zero { at, count, .. } => {
                let end = end(at, count);
                tape[*at..end].fill(0);
            }
            Step::Less { at, by, .. } => tape[*at] -= by,
        }
        tapes
    }
}

/// How large tapes are: what is shrunk gets smaller in this order, and so comes to an end.
fn size(tapes: &Tapes) -> (usize, usize, u128) {
    let choices = || tapes.values().flatten();
    let not_zero = choices().filter(|choice| **choice > 0).count();
    (choices().count(), not_zero, choices().map(|choice| u128::from(*choice)).sum())
}

struct Shrinking<'a> {
    judge: Judge,
    kind: Kind,
    verdict: Verdict,
    tried: HashSet<Tapes>,
    attempts_left: usize,
    at_once: usize,
    progress: &'a mut dyn FnMut(&Verdict),
}

impl Shrinking<'_> {
    fn tapes(&self) -> &Tapes {
        match &self.verdict.case.design {
            Choices::Tapes(tapes) => tapes,
            Choices::Seed(_) => unreachable!("a verdict has the tapes of its design"),
        }
    }

    /// Tries everything once, the coarse first; whether something became smaller.
    fn round(&mut self) -> Result<bool, Error> {
        let (count, not_zero, _) = size(self.tapes());
        self.pass(|tapes| {
            let mut modules: Vec<_> = tapes.iter().filter(|(_, tape)| !tape.is_empty()).collect();
            modules.sort_by_key(|(_, tape)| std::cmp::Reverse(tape.len()));
            modules.into_iter().map(|(module, _)| Step::Clear { module: module.clone() }).collect()
        })?;
        let longest = self.tapes().values().map(Vec::len).max().unwrap_or(0);
        let halves =
            std::iter::successors(Some(longest / 2), |count| Some(count / 2)).take_while(|count| *count > SHORT);
        for count in halves.chain((1..=SHORT).rev()) {
            let every = if count > SHORT { count } else { 1 };
            self.pass(|tapes| runs(tapes, every, |module, at| Step::Delete { module, at, count }))?;
        }
        for count in [SHORT, 1] {
            self.pass(|tapes| runs(tapes, count, |module, at| Step::Zero { module, at, count }))?;
        }
        // To one, to a half, by one.
        for less in [|choice| choice - 1, |choice: u64| choice.div_ceil(2), |_| 1] {
            self.pass(|tapes| {
                let of_module = |(module, tape): (&String, &Vec<u64>)| {
                    let step = |(at, choice): (usize, &u64)| {
                        (*choice > 1).then(|| Step::Less { module: module.clone(), at, by: less(*choice) })
                    };
                    tape.iter().enumerate().filter_map(step).collect::<Vec<_>>()
                };
                tapes.iter().flat_map(of_module).collect()
            })?;
        }
        // Smaller numbers alone are not worth another round.
        let after = size(self.tapes());
        Ok((after.0, after.1) < (count, not_zero) && self.attempts_left > 0)
    }

    /// Tries the steps that `make` proposes, and again from there when one of them succeeds.
    fn pass(&mut self, make: impl Fn(&Tapes) -> Vec<Step>) -> Result<(), Error> {
        let mut position = 0;
        loop {
            let steps = make(self.tapes());
            if position >= steps.len() || self.attempts_left == 0 {
                return Ok(());
            }
            position += self.attempt(&steps[position..])?;
        }
    }

    /// Tries the first of these steps, and takes the first that succeeds. How many were done with.
    fn attempt(&mut self, steps: &[Step]) -> Result<usize, Error> {
        let (mut numbers, mut cases) = (Vec::new(), Vec::new());
        let at_once = self.at_once.min(self.attempts_left);
        let mut done = 0;
        while done < steps.len() && cases.len() < at_once {
            // What is not read is not there: many steps come to the same.
            let tapes = read(&self.verdict.case.with_tapes(steps[done].apply(self.tapes())));
            if size(&tapes) < size(self.tapes()) && self.tried.insert(tapes.clone()) {
                numbers.push(done);
                cases.push(self.verdict.case.with_tapes(tapes));
            }
            done += 1;
        }
        if cases.is_empty() {
            return Ok(done);
        }
        self.attempts_left -= cases.len();
        let verdicts = self.judge.judge(cases)?.0;
        for (number, verdict) in numbers.into_iter().zip(verdicts) {
            if verdict.failure.as_ref().is_some_and(|failure| failure.kind == self.kind) {
                self.verdict = verdict;
                self.at_once = *AT_ONCE.start();
                (self.progress)(&self.verdict);
                // After a run is gone, another is in its place; a number that is smaller has had its turn.
                return Ok(number + usize::from(matches!(steps[number], Step::Less { .. })));
            }
        }
        self.at_once = (self.at_once * 2).min(*AT_ONCE.end());
        Ok(done)
    }

    /// Runs for no longer than until the failure.
    fn shorten(&mut self) -> Result<(), Error> {
        let mut case = self.verdict.case.clone();
        let Some(clocks) = self.verdict.failure.as_ref().and_then(|failure| failure.clocks) else { return Ok(()) };
        case.clocks = clocks + 1;
        if let Some(verdict) = self.judge.judge(vec![case])?.0.into_iter().next() {
            if verdict.failure.as_ref().is_some_and(|failure| failure.kind == self.kind) {
                self.verdict = verdict;
            }
        }
        Ok(())
    }
}

/// A step for every so many choices.
fn runs(tapes: &Tapes, every: usize, step: impl Fn(String, usize) -> Step) -> Vec<Step> {
    let of_module = |(module, tape): (&String, &Vec<u64>)| {
        (0..tape.len()).step_by(every).map(|at| step(module.clone(), at)).collect::<Vec<_>>()
    };
    tapes.iter().flat_map(of_module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_take_away() {
        let tapes = |tape: &[u64]| Tapes::from([("m".to_string(), tape.to_vec())]);
        let module = || "m".to_string();
        let from = tapes(&[5, 6, 7, 8, 9]);
        assert_eq!(Step::Clear { module: module() }.apply(&from), tapes(&[]));
        assert_eq!(Step::Delete { module: module(), at: 1, count: 2 }.apply(&from), tapes(&[5, 8, 9]));
        assert_eq!(Step::Delete { module: module(), at: 4, count: 2 }.apply(&from), tapes(&[5, 6, 7, 8]));
        assert_eq!(Step::Zero { module: module(), at: 3, count: 8 }.apply(&from), tapes(&[5, 6, 7, 0, 0]));
        assert_eq!(Step::Less { module: module(), at: 0, by: 3 }.apply(&from), tapes(&[2, 6, 7, 8, 9]));
        assert_eq!(runs(&from, 2, |module, at| Step::Zero { module, at, count: 2 }).len(), 3);
    }
}
