//! # The memory model of the harts
//!
//! Programs on the six Verilated tiles of the whole SoC, with DMA beside them, and a checker that tells whether what they have read is allowed by RVWMO, the
//! memory model of RISC-V.
//!
//! ```text
//!  seed --+--> random --+                                                        +--> events of the DMA --+
//!         |             +--> program --> Soc (sim-cosim): six tiles, uncore, DMA-+                        +--> checker --> violation
//!         +--> shapes --+       |                                                +--> logs of the harts --+
//!                               +---------------- operands of all writes -------------------------------^
//! ```
//!
//! ## Theory of operation
//! 1. `random` makes a program for each hart: loads, stores, atomics, pairs of `lr` and `sc`, fences, and dependent addresses, at few words of few lines. Each hart
//!    puts what it has read into a log in memory of its own.
//! 2. `shapes` has the litmus tests. Their harts meet before each round, begin it a few instructions apart, and find the lines of this round in no
//!    cache, in their own, in shared ones or in that of the other hart, as the seed says.
//! 3. All values that are written to a place differ, so that a value tells its write.
//! 4. `checker` decides. It is the same for both: an outcome of a litmus test is forbidden if the checker says so.
//!
//! ## Limits
//! Accesses are words of 64 bits. Dependencies are those of addresses. AND and OR, whose results are not unique, are left to the lock-step of the tile.
#![deny(missing_docs)]

mod checker;
mod history;
mod program;
mod random;
mod run;
mod shapes;

pub use checker::{check, Source, Violation};
pub use history::{Accesses, Event, History, Kind, Modification, Operation, Place};
pub use shapes::{shapes, Shape};

use program::{Program, Row, ROWS_MAX, SHARED, SHARED_END, SKEW_MAX};
use run::{Dma, Setting};
use sim_device::{BusTiming, Random};
use sim_verilator::Toolchain;
use soc_map::rocket::LINE_BYTES;
use soc_map::HARTS_MAX;
use std::array;
use std::collections::BTreeMap;
use std::fmt;

/// Operations of one random program: few, so that there are many programs.
const PROGRAM_OPERATIONS: u64 = 1_000;

/// Bytes of a word, which is what all operations are on.
pub(crate) const WORD_BYTES: u64 = 8;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no SoC.
    #[error(transparent)]
    Soc(#[from] Box<sim_cosim::Error>),
    /// What was read is not allowed, or harts do not come to the end of their programs.
    #[error("{what}\nreplay: {replay}")]
    Failed {
        /// What contradicts itself, or who hangs.
        what: String,
        /// A command that does the same again.
        replay: String,
    },
}

impl Error {
    /// Whether the SoC cannot be built here, so that there is nothing to test.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Soc(error) if matches!(&**error, sim_cosim::Error::Build(error) if error.is_unavailable()))
    }
}

/// What `cargo xtask litmus` is to be told.
#[derive(Clone, Copy, Debug)]
struct Replay {
    operations: u64,
    rounds: u64,
    seed: u64,
}

impl Replay {
    fn failed(self, what: String) -> Error {
        let Self { operations, rounds, seed } = self;
        let replay = format!("cargo xtask litmus --operations {operations} --rounds {rounds} --seed {seed:#x}");
        Error::Failed { what, replay }
    }

    fn forbidden(self, of: &str, violation: &Violation) -> Error {
        self.failed(format!("{of}: RVWMO does not allow this:\n{violation}"))
    }
}

/// What the random programs have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Programs.
    pub programs: u64,
    /// Operations of the harts, fences apart.
    pub operations: u64,
    /// Plain loads.
    pub loads: u64,
    /// Plain stores.
    pub stores: u64,
    /// Atomics.
    pub modifications: u64,
    /// `lr`.
    pub reserved: u64,
    /// `sc` that have succeeded.
    pub succeeded: u64,
    /// `sc` that have failed.
    pub failed: u64,
    /// Fences.
    pub fences: u64,
    /// Reads and writes of the DMA.
    pub dma: u64,
    /// Reads of what another agent has written.
    pub from_others: u64,
    /// Core clocks.
    pub clocks: u64,
}

/// Runs random programs until the harts have done so many operations.
///
/// # Errors
/// The harts or the DMA have seen what they must not, or hang, or there is no SoC.
pub fn run(operations: u64, seed: u64, toolchain: &Toolchain) -> Result<Report, Error> {
    let mut report = Report::default();
    while report.operations < operations {
        let seed = seed.wrapping_add(report.programs);
        let left = operations - report.operations;
        let (history, clocks) = history(left.min(PROGRAM_OPERATIONS), seed, toolchain)?;
        let sources =
            check(&history.of_all).map_err(|violation| history.replay.forbidden("random programs", &violation))?;
        report.programs += 1;
        report.clocks += clocks;
        report.dma += history.dma_accesses;
        for (agent, events) in history.of_all.agents.iter().enumerate() {
            let others = sources[agent].iter();
            let others = others.filter(|from| matches!(from, Some(Source::Event { agent: by, .. }) if *by != agent));
            report.from_others += others.count() as u64;
            if agent < HARTS_MAX as usize {
                events.iter().for_each(|event| report.count(event));
            }
        }
    }
    Ok(report)
}

/// What one random program has done, the DMA being the last agent.
struct RandomHistory {
    of_all: History,
    dma_accesses: u64,
    replay: Replay,
}

fn history(operations: u64, seed: u64, toolchain: &Toolchain) -> Result<(RandomHistory, u64), Error> {
    let replay = Replay { operations, rounds: 0, seed };
    let (setting, initial, mut dma) = random::setting(&mut Random::new(seed), operations, replay);
    let (logs, clocks) = run::run(&setting, Some(&mut dma), toolchain)?;
    let harts = setting.programs.iter().flatten().zip(&logs);
    let mut agents: Vec<Vec<Event>> = harts.map(|(program, log)| program.events(log).concat()).collect();
    let Dma { events, accesses: dma_accesses, .. } = dma;
    agents.push(events);
    Ok((RandomHistory { of_all: History { initial, agents }, dma_accesses, replay }, clocks))
}

impl Report {
    fn count(&mut self, event: &Event) {
        let count = match event.operation.kind {
            Kind::Fence { .. } => {
                self.fences += 1;
                return;
            }
            Kind::Load => &mut self.loads,
            Kind::Store => &mut self.stores,
            Kind::Modify(_) => &mut self.modifications,
            Kind::LoadReserved => &mut self.reserved,
            Kind::StoreConditional if event.wrote.is_some() => &mut self.succeeded,
            Kind::StoreConditional => &mut self.failed,
        };
        *count += 1;
        self.operations += 1;
    }
}

/// How often which outcome of a litmus test came.
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// The test.
    pub shape: Shape,
    /// What the loads have read, and how often.
    pub counts: BTreeMap<String, u64>,
}

impl Outcomes {
    /// How often the relaxed outcome came.
    pub fn relaxed(&self) -> u64 {
        self.counts.get(self.shape.relaxed).copied().unwrap_or(0)
    }
}

/// A row of a table in Markdown, for which this is the head: `test, relaxed outcome, RVWMO, seen, all outcomes`.
impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { name, relaxed, is_allowed, .. } = &self.shape;
        let allowed = if *is_allowed { "allowed" } else { "forbidden" };
        let counts: Vec<String> = self.counts.iter().map(|(outcome, count)| format!("{outcome}: {count}")).collect();
        write!(f, "| {name} | {relaxed} | {allowed} | {} | {} |", self.relaxed(), counts.join(", "))
    }
}

/// Runs a litmus test for so many rounds, or a few more: by as many groups of harts at the same time as there are.
///
/// # Errors
/// An outcome is forbidden, or harts hang, or there is no SoC.
pub fn litmus(shape: &Shape, rounds: u64, seed: u64, toolchain: &Toolchain) -> Result<Outcomes, Error> {
    let mut outcomes = Outcomes { shape: shape.clone(), counts: BTreeMap::new() };
    let mut left = rounds;
    for part in 0.. {
        if left == 0 {
            break;
        }
        let seed = seed.wrapping_add(part);
        left -= some_rounds(&mut outcomes, left, seed, toolchain)?;
    }
    Ok(outcomes)
}

/// So many rounds at most; how many it were.
fn some_rounds(outcomes: &mut Outcomes, rounds: u64, seed: u64, toolchain: &Toolchain) -> Result<u64, Error> {
    let shape = &outcomes.shape;
    let replay = Replay { operations: 0, rounds, seed };
    // Shapes of as many operations are not to run in the same clocks.
    let mut random = Random::new(shape.name.bytes().fold(seed, |seed, byte| seed.rotate_left(8) ^ u64::from(byte)));
    let harts = shape.harts.len();
    let groups = HARTS_MAX as usize / harts;
    let line = u64::from(LINE_BYTES);
    let room = (SHARED_END - SHARED) / line / (2 * groups as u64) - 1;
    let of_each = rounds.div_ceil(groups as u64).min(ROWS_MAX).min(room);
    // Which harts form the groups.
    let mut numbers: Vec<usize> = (0..HARTS_MAX as usize).collect();
    for last in (1..numbers.len()).rev() {
        numbers.swap(last, random.below(last as u64 + 1) as usize);
    }
    let members: Vec<&[usize]> = numbers.chunks_exact(harts).collect();
    let mut programs: Vec<Option<Program>> = vec![None; HARTS_MAX as usize];
    let mut lines = (SHARED..SHARED_END).step_by(LINE_BYTES as usize);
    for group in &members {
        let meeting = lines.next().expect("a line to meet");
        let mut rows: Vec<Vec<Row>> = vec![vec![]; harts];
        for _ in 0..of_each {
            let [x, other] = [0, 0].map(|_: u32| lines.next().expect("there is room"));
            let places = [x, if random.below(6) == 0 { x + WORD_BYTES } else { other }];
            let are_late = random.below(2) == 0;
            let caches = [0, 0].map(|_: u32| random.below(4));
            let owners = [0, 0].map(|_: u32| random.below(harts as u64));
            for (hart, rows) in (0..).zip(&mut rows) {
                // In no cache, in some, in all, or in the one of a hart that may write.
                let loads = caches.map(|cache| cache == 2 || cache == 1 && random.below(2) == 0);
                let owns = array::from_fn(|place| caches[place] == 3 && owners[place] == hart);
                let skew = if are_late { random.below(SKEW_MAX + 1) } else { 0 };
                rows.push(Row { places, loads, owns, skew });
            }
        }
        for ((number, operations), rows) in group.iter().zip(&shape.harts).zip(rows) {
            programs[*number] = Some(Program {
                operations: operations.clone(),
                rounds: of_each,
                lines: vec![],
                places_of_line: 1,
                rows,
                operand: random.next_u64() | 1,
                meeting,
                partners: harts as u64,
            });
        }
    }
    let timing = BusTiming { seed: random.next_u64(), ..BusTiming::with_latency(*random.pick(&[1, 20])) };
    let setting = Setting { programs, memory: vec![], timing, replay };
    let (logs, _) = run::run(&setting, None, toolchain)?;
    for group in &members {
        let events = |number: &usize| setting.programs[*number].as_ref().expect("a member").events(&logs[*number]);
        let of_harts: Vec<Vec<Vec<Event>>> = group.iter().map(events).collect();
        for round in 0..of_each as usize {
            let agents = of_harts.iter().map(|rounds| rounds[round].clone()).collect();
            let outcome =
                shapes::outcome(agents).map_err(|violation| replay.forbidden(outcomes.shape.name, &violation))?;
            *outcomes.counts.entry(outcome).or_default() += 1;
        }
    }
    Ok(rounds.min(of_each * groups as u64))
}
