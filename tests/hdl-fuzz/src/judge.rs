//! From cases to verdicts: each design is elaborated, linted, Verilated, read by yosys, and run in three simulators.
//!
//! ```text
//!   Case --elaborate--> Design --emit--> Verilog --lint--> silence
//!                         |                 |
//!                         |                 +-- Verilator (all designs of a batch in one library) --> model
//!                         |                 +-- yosys (all designs of a batch in one run) ----------> netlist
//!                         +-------------------------------------------------------------------------> evaluator
//! ```
//!
//! A design that the tools refuse fails by itself: then the others of its batch are tried without it.

use std::fmt;
use std::time::{Duration, Instant};

use rtl_hdl::{elaborate, Design, Evaluator, Options, Problems, Start};
use sim_toolchain::Toolchain;
use sim_verilator::{lint_with, Library, ModelSet, ModelSpec, Optimize, Reset};
use sim_yosys::netlist::Netlist;

use crate::case::Case;
use crate::census::Census;
use crate::compare::{self, Difference, Opinion};
use crate::defects::Defect;
use crate::generator::RandomBlock;
use crate::netlist::{NetlistSimulator, SCRIPT};
use crate::panics::caught;
use crate::tape::Tapes;

/// The names of the simulators.
pub const EVALUATOR: &str = "the evaluator";
/// See [`EVALUATOR`].
pub const VERILATOR: &str = "Verilator";
/// See [`EVALUATOR`].
pub const NETLIST: &str = "the netlist";

/// A tool cannot be had or used. A failure of a design is a [`Failure`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Verilator or what belongs to it.
    #[error(transparent)]
    Verilator(sim_verilator::Error),
    /// yosys or what belongs to it.
    #[error(transparent)]
    Yosys(sim_yosys::Error),
}

/// Who is asked beside the evaluator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinions {
    /// `verilator --lint-only -Wall`.
    pub lint: bool,
    /// The Verilated model.
    pub verilator: bool,
    /// The netlist of yosys.
    pub netlist: bool,
}

impl Opinions {
    /// Everybody.
    pub const ALL: Opinions = Opinions { lint: true, verilator: true, netlist: true };
}

/// Who reads the Verilog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// To complain.
    Lint,
    /// To make a model.
    Verilator,
    /// To make a netlist.
    Yosys,
}

/// Changes the Verilog before somebody reads it.
pub type Edit = fn(Reader, String) -> String;

/// Says whether the simulators agree.
#[derive(Clone, Debug)]
pub struct Judge {
    toolchain: Toolchain,
    opinions: Opinions,
    /// Whether Verilated models go into the cache.
    keep: bool,
    edit: Edit,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The case, with the tapes that its design was made from.
    pub case: Case,
    /// What is wrong, if something is.
    pub failure: Option<Failure>,
    /// Why a tool was not asked.
    pub defect: Option<&'static Defect>,
    /// The emitted Verilog, as far as it came to that.
    pub verilog: String,
    /// How many modules the design has.
    pub modules: u64,
    /// How many clocks it ran for, in each simulator.
    pub clocks: u64,
    /// What it consists of.
    pub census: Census,
}

/// Something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of thing.
    pub kind: Kind,
    /// What was said.
    pub message: String,
    /// After how many clocks, if it happened in a run.
    pub clocks: Option<u64>,
}

/// Failures that have one cause are of one kind, even if their designs differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The HDL finds a mistake in the design; the message without names and numbers.
    Elaboration(String),
    /// Elaboration or emission panics, at this place.
    Panic(String),
    /// The evaluator does not take the design.
    Evaluation,
    /// Lint gives this warning.
    Lint(String),
    /// Verilator or the C++ compiler fails.
    Verilation,
    /// yosys fails.
    Synthesis,
    /// The netlist has something that is not known here.
    Netlist,
    /// This simulator stops: a property does not hold, or something is broken.
    Stopped(&'static str),
    /// The outputs of these simulators are not those of the most.
    Disagree(Vec<&'static str>),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Elaboration(_) => f.write_str("elaboration finds a mistake"),
            Kind::Panic(place) => write!(f, "a panic at {place}"),
            Kind::Evaluation => f.write_str("the evaluator refuses the design"),
            Kind::Lint(warning) => write!(f, "lint warns of {warning}"),
            Kind::Verilation => f.write_str("Verilator fails"),
            Kind::Synthesis => f.write_str("yosys fails"),
            Kind::Netlist => f.write_str("the netlist is not understood"),
            Kind::Stopped(name) => write!(f, "{name} stops"),
            Kind::Disagree(names) => write!(f, "a mismatch of {}", names.join(" and ")),
        }
    }
}

impl Failure {
    fn new(kind: Kind, message: String) -> Self {
        Self { kind, message, clocks: None }
    }
}

impl Kind {
    /// Who has to be asked to see it again.
    pub fn opinions(&self) -> Opinions {
        let none = Opinions { lint: false, verilator: false, netlist: false };
        let netlist = Opinions { netlist: true, ..none };
        let verilator = Opinions { verilator: true, ..none };
        match self {
            Kind::Elaboration(_) | Kind::Panic(_) | Kind::Evaluation => none,
            Kind::Lint(_) => Opinions { lint: true, ..none },
            Kind::Verilation => verilator,
            Kind::Synthesis | Kind::Netlist => netlist,
            Kind::Stopped(name) if *name == VERILATOR => verilator,
            Kind::Stopped(name) if *name == EVALUATOR => none,
            Kind::Stopped(_) => netlist,
            Kind::Disagree(odd) if odd[..] == [VERILATOR] => verilator,
            // The netlist is made much faster than the model.
            Kind::Disagree(odd) if odd[..] == [EVALUATOR] || odd[..] == [NETLIST] => netlist,
            Kind::Disagree(_) => Opinions { lint: false, ..Opinions::ALL },
        }
    }
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Elaboration and emission.
    pub elaborate: Duration,
    /// Lint.
    pub lint: Duration,
    /// yosys, and reading its netlists.
    pub yosys: Duration,
    /// Verilator and the C++ compiler.
    pub verilator: Duration,
    /// The simulators.
    pub simulate: Duration,
}

impl Times {
    /// Adds other times.
    pub fn merge(&mut self, other: &Times) {
        self.elaborate += other.elaborate;
        self.lint += other.lint;
        self.yosys += other.yosys;
        self.verilator += other.verilator;
        self.simulate += other.simulate;
    }
}

/// A case on its way.
struct Trial {
    verdict: Verdict,
    design: Option<Design>,
    netlist: Option<Netlist>,
    /// The library of its model, and what the model is called there.
    model: Option<(Library, String)>,
}

impl Judge {
    /// Asks everybody, with these tools.
    pub fn new(toolchain: &Toolchain) -> Self {
        Self { toolchain: toolchain.clone(), opinions: Opinions::ALL, keep: false, edit: |_, verilog| verilog }
    }

    /// Asks only these, of those who would be asked.
    #[must_use]
    pub fn asking(mut self, opinions: Opinions) -> Self {
        self.opinions = Opinions {
            lint: self.opinions.lint && opinions.lint,
            verilator: self.opinions.verilator && opinions.verilator,
            netlist: self.opinions.netlist && opinions.netlist,
        };
        self
    }

    /// Keeps the Verilated models, for designs that come again.
    #[must_use]
    pub fn keeping(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Changes the Verilog before it is read, as a mistake of the emitter would: to see that it is found.
    #[must_use]
    pub fn with_edit(mut self, edit: Edit) -> Self {
        self.edit = edit;
        self
    }

    /// Judges some cases. They share one run of yosys and one library of models, so that there should be some dozens.
    ///
    /// # Errors
    /// If a tool cannot be had or used.
    pub fn judge(&self, cases: Vec<Case>) -> Result<(Vec<Verdict>, Times), Error> {
        let mut times = Times::default();
        let mut trials: Vec<Trial> = timed(&mut times.elaborate, || cases.into_iter().map(elaborated).collect());
        if self.opinions.lint {
            timed(&mut times.lint, || trials.iter_mut().try_for_each(|trial| self.lint(trial)))?;
        }
        if self.opinions.netlist {
            timed(&mut times.yosys, || self.synthesize(&mut trials))?;
        }
        if self.opinions.verilator {
            timed(&mut times.verilator, || self.verilate(&mut trials))?;
        }
        timed(&mut times.simulate, || trials.iter_mut().for_each(simulate));
        Ok((trials.into_iter().map(|trial| trial.verdict).collect(), times))
    }

    fn lint(&self, trial: &mut Trial) -> Result<(), Error> {
        if !trial.goes_on() {
            return Ok(());
        }
        let text = (self.edit)(Reader::Lint, trial.verdict.verilog.clone());
        match lint_with(&self.toolchain, &text, &trial.verdict.case.top) {
            Err(sim_verilator::Error::Lint { output, .. }) => {
                trial.fail(Failure::new(Kind::Lint(warning(&output)), output));
            }
            Err(error) => return Err(Error::Verilator(error)),
            Ok(()) => {}
        }
        Ok(())
    }

    fn synthesize(&self, trials: &mut [Trial]) -> Result<(), Error> {
        together(trials, &mut |trials| {
            let text = |trial: &&mut Trial| (self.edit)(Reader::Yosys, trial.verdict.verilog.clone());
            let texts: Vec<String> = trials.iter().map(text).collect();
            let tops: Vec<String> = trials.iter().map(|trial| trial.verdict.case.top.clone()).collect();
            let designs: Vec<(&str, &str)> = texts.iter().zip(&tops).map(|(text, top)| (&text[..], &top[..])).collect();
            match sim_yosys::synthesize_all(&self.toolchain, &designs, SCRIPT) {
                Ok(netlists) => {
                    trials.iter_mut().zip(netlists).for_each(|(trial, netlist)| trial.netlist = Some(netlist));
                    Ok(None)
                }
                Err(sim_yosys::Error::Toolchain(sim_toolchain::Error::Failed { output, .. })) => {
                    Ok(Some(Failure::new(Kind::Synthesis, output)))
                }
                Err(sim_yosys::Error::Netlist(message)) => Ok(Some(Failure::new(Kind::Netlist, message))),
                Err(error) => Err(Error::Yosys(error)),
            }
        })
    }

    fn verilate(&self, trials: &mut [Trial]) -> Result<(), Error> {
        together(trials, &mut |trials| {
            // Several cases may have a top of one name.
            let name = |index: usize| format!("model{index}");
            let spec = |(index, trial): (usize, &&mut Trial)| {
                let mut spec = ModelSpec::of(trial.design.as_ref()?).named(name(index));
                spec.verilog = (self.edit)(Reader::Verilator, spec.verilog);
                Some(spec)
            };
            let set = trials.iter().enumerate().filter_map(spec).fold(ModelSet::new("random"), ModelSet::with);
            let set = set.optimize(Optimize::Nothing);
            let library = if self.keep { set.load_with(&self.toolchain) } else { set.load_once(&self.toolchain) };
            match library {
                Ok(library) => {
                    for (index, trial) in trials.iter_mut().enumerate() {
                        trial.model = Some((library.clone(), name(index)));
                    }
                    Ok(None)
                }
                Err(error @ sim_verilator::Error::Toolchain(_)) => Err(Error::Verilator(error)),
                Err(error) => Ok(Some(Failure::new(Kind::Verilation, error.to_string()))),
            }
        })
    }
}

impl Trial {
    fn goes_on(&self) -> bool {
        self.verdict.failure.is_none()
    }

    fn fail(&mut self, failure: Failure) {
        match Defect::in_output(&failure.message) {
            Some(defect) => self.verdict.defect = Some(defect),
            None => self.verdict.failure = Some(failure),
        }
    }
}

/// What a tool makes of some designs at once.
type Attempt<'a> = dyn FnMut(&mut [&mut Trial]) -> Result<Option<Failure>, Error> + 'a;

/// Gives all designs to a tool at once. If it fails, each half of them, until it is known which designs it fails on.
fn together(trials: &mut [Trial], attempt: &mut Attempt) -> Result<(), Error> {
    fn halves(trials: &mut [&mut Trial], attempt: &mut Attempt) -> Result<(), Error> {
        match (attempt(trials)?, trials) {
            (None, _) => Ok(()),
            (Some(failure), [trial]) => {
                trial.fail(failure);
                Ok(())
            }
            (Some(_), trials) => {
                let (first, second) = trials.split_at_mut(trials.len() / 2);
                halves(first, attempt)?;
                halves(second, attempt)
            }
        }
    }
    let mut trials: Vec<&mut Trial> = trials.iter_mut().filter(|trial| trial.goes_on()).collect();
    if trials.is_empty() {
        return Ok(());
    }
    halves(&mut trials, attempt)
}

fn timed<R>(total: &mut Duration, work: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = work();
    *total += start.elapsed();
    result
}

/// What the design of a case reads of its tapes.
pub(crate) fn read(case: &Case) -> Tapes {
    let tapes = case.recorder();
    // If it panics, what was read until then is what the panic needs.
    let _ = caught(|| elaborate(&RandomBlock::top(&case.top, &tapes)).is_ok());
    tapes.tapes()
}

/// Elaborates the design of a case and emits its Verilog.
fn elaborated(case: Case) -> Trial {
    let tapes = case.recorder();
    let built = caught(|| {
        let design = elaborate(&RandomBlock::top(&case.top, &tapes))?;
        let verilog = ModelSpec::of(&design).verilog;
        Ok::<_, Problems>((design, verilog))
    });
    let case = case.with_tapes(tapes.tapes());
    let (verilog, census) = (String::new(), Census::default());
    let verdict = Verdict { case, failure: None, defect: None, verilog, modules: 0, clocks: 0, census };
    let mut trial = Trial { verdict, design: None, netlist: None, model: None };
    match built {
        Err(panic) => trial.fail(Failure::new(Kind::Panic(panic.place), panic.message)),
        Ok(Err(problems)) => {
            let first = problems.0.first().map_or(String::new(), |problem| without_names(&problem.message));
            trial.fail(Failure::new(Kind::Elaboration(first), problems.to_string()));
        }
        Ok(Ok((design, verilog))) => {
            trial.verdict.modules = design.modules.len() as u64;
            trial.verdict.census = Census::of(&design);
            trial.verdict.verilog = verilog;
            trial.design = Some(design);
        }
    }
    trial
}

/// Runs the design twice: what nothing sets at the start is zero, or all ones.
fn simulate(trial: &mut Trial) {
    let Some(design) = trial.design.take().filter(|_| trial.goes_on()) else { return };
    for ones in [false, true] {
        if let Err(failure) = simulate_from(trial, &design, ones) {
            let start = if ones { "ones" } else { "zeros" };
            let message = format!("{} (in the run that starts with {start})", failure.message);
            trial.fail(Failure { message, ..failure });
            return;
        }
        trial.verdict.clocks += trial.verdict.case.clocks;
    }
}

fn simulate_from(trial: &Trial, design: &Design, ones: bool) -> Result<(), Failure> {
    let top = design.top();
    let start = if ones { Start::Ones } else { Start::Zeros };
    let evaluator = caught(|| Evaluator::with(design, Options::default().start(start)));
    let evaluator = evaluator.map_err(|panic| Failure::new(Kind::Panic(panic.place), panic.message))?;
    let evaluator = evaluator.map_err(|error| Failure::new(Kind::Evaluation, error.to_string()))?;
    let mut opinions = vec![Opinion { name: EVALUATOR, simulator: Box::new(evaluator) }];
    if let Some((library, name)) = &trial.model {
        let reset = if ones { Reset::Ones } else { Reset::Zeros };
        let model = caught(|| library.model_with(name, reset));
        let model = model.map_err(|panic| Failure::new(Kind::Stopped(VERILATOR), panic.message))?;
        opinions.push(Opinion { name: VERILATOR, simulator: Box::new(model) });
    }
    if let Some(netlist) = &trial.netlist {
        let clocks: Vec<&str> = top.clocks.iter().map(|clock| clock.name.as_str()).collect();
        let module = netlist.module(&top.name).and_then(|module| NetlistSimulator::new(module, &clocks, ones));
        let simulator = module.map_err(|error| Failure::new(Kind::Netlist, error.to_string()))?;
        opinions.push(Opinion { name: NETLIST, simulator: Box::new(simulator) });
    }
    let case = &trial.verdict.case;
    compare::run(top, &mut opinions, case.stimulus, case.clocks).map_err(|difference| {
        let (kind, what, clocks) = match difference {
            Difference::Stopped { name, message, clocks } => {
                (Kind::Stopped(name), format!("{name} stops: {message}"), clocks)
            }
            Difference::Disagree { odd, message, clocks } => (Kind::Disagree(odd), message, clocks),
        };
        Failure { kind, message: format!("after {clocks} clocks {what}"), clocks: Some(clocks) }
    })
}

/// The first warning in what Verilator said, such as `UNUSEDSIGNAL`.
fn warning(output: &str) -> String {
    let name = output.split_once("%Warning-").and_then(|(_, rest)| rest.split(':').next());
    name.unwrap_or("an error").to_owned()
}

/// A message without what is different in every design.
fn without_names(message: &str) -> String {
    let parts = message.split('`').enumerate();
    let kept = parts.map(|(index, part)| if index % 2 == 0 { part } else { "_" });
    let text: String = kept.collect();
    text.chars().filter(|character| !character.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_do_not_depend_on_names_and_numbers() {
        let [a, b] = ["`x_1` (clock `clock0`) has 3 bits", "`y` (clock `clock1`) has 45 bits"].map(without_names);
        assert_eq!(a, b);
        assert_eq!(warning("%Warning-UNUSEDSIGNAL: top.sv:3:4: Signal"), "UNUSEDSIGNAL");
        assert_eq!(warning("%Error: top.sv:3:4: syntax"), "an error");
    }
}
