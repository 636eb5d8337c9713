//! Many cases, in batches, some batches at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use rtl_hdl::bench::Seed;

use crate::case::Case;
use crate::census::Census;
use crate::judge::{Error, Judge, Times, Verdict};

/// How many designs share one run of yosys and one library of models.
const BATCH: u64 = 30;

/// Which cases are run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// What every design is made from.
    pub seed: Seed,
    /// How many designs.
    pub count: u64,
    /// How many batches at a time.
    pub jobs: usize,
}

/// What came of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many designs were judged.
    pub designs: u64,
    /// How many modules they have.
    pub modules: u64,
    /// How many clocks they ran for, in each simulator.
    pub clocks: u64,
    /// What they consist of.
    pub census: Census,
    /// Where the time went, over all jobs.
    pub times: Times,
    /// Designs that a tool could not take, by its defect.
    pub defects: BTreeMap<&'static str, u64>,
    /// The smallest design that fails in each way, and how many there are of it.
    pub failures: Vec<(Verdict, u64)>,
}

impl Summary {
    fn add(&mut self, verdict: Verdict) {
        self.designs += 1;
        self.modules += verdict.modules;
        self.clocks += verdict.clocks;
        self.census.merge(&verdict.census);
        if let Some(defect) = verdict.defect {
            *self.defects.entry(defect.about).or_default() += 1;
        }
        let Some(failure) = &verdict.failure else { return };
        let same = |other: &Verdict| other.failure.as_ref().is_some_and(|other| other.kind == failure.kind);
        match self.failures.iter_mut().find(|(other, _)| same(other)) {
            Some((smallest, count)) => {
                *count += 1;
                if verdict.verilog.len() < smallest.verilog.len() {
                    *smallest = verdict;
                }
            }
            None => self.failures.push((verdict, 1)),
        }
    }
}

/// Runs a campaign; `progress` is told after each batch.
///
/// # Errors
/// If a tool cannot be had or used.
pub fn run(judge: &Judge, campaign: Campaign, progress: &mut dyn FnMut(&Summary)) -> Result<Summary, Error> {
    let next = AtomicU64::new(0);
    let (sender, receiver) = mpsc::channel();
    let work = |sender: mpsc::Sender<Result<(Vec<Verdict>, Times), Error>>| loop {
        let first = next.fetch_add(BATCH, Ordering::Relaxed);
        if first >= campaign.count {
            return;
        }
        let numbers = first..(first + BATCH).min(campaign.count);
        let judged = judge.judge(numbers.map(|number| Case::random(campaign.seed, number)).collect());
        // Nobody listens any more if another job has failed.
        if sender.send(judged).is_err() {
            return;
        }
    };
    let mut summary = Summary::default();
    std::thread::scope(|scope| {
        for _ in 0..campaign.jobs.max(1) {
            let (work, sender) = (&work, sender.clone());
            scope.spawn(move || work(sender));
        }
        drop(sender);
        for judged in receiver {
            let (verdicts, times) = judged?;
            summary.times.merge(&times);
            verdicts.into_iter().for_each(|verdict| summary.add(verdict));
            progress(&summary);
        }
        Ok(summary)
    })
}
