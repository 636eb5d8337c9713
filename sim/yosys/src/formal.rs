//! Proofs by yosys-smtbmc and z3: bounded model checking, induction and covers.
//!
//! What passed is kept in the cache by the content of the Verilog, the depths and the programs; what failed is tried again. A program that is
//! missing, crashes, or does not know is an error, never a result.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rtl_hdl::formal::{Goal, Proof};
use rtl_hdl::ir::{ModuleIr, PropertyKind};
use rtl_hdl::Design;
use serde::{Deserialize, Serialize};
use sim_toolchain::{run, sha256, text, Toolchain};

use crate::Error;

/// How long the solver may think about one question.
const SOLVER_SECONDS: u32 = 600;

/// The script.
fn script(design: &Design) -> String {
    let top = design.top();
    // Few words are decided faster as registers, many as arrays.
    let memory = if memory_bits(top) <= MAPPED_BITS_MAX { "memory_map; opt_expr;" } else { "" };
    let top = &top.name;
    format!(
        "read_verilog -sv -formal top.sv; prep -top {top}; {memory} opt_clean; async2sync; chformal -lower; opt_clean; \
         write_smt2 -wires top.smt2"
    )
}

/// Up to this many bits memories become registers for the solver.
const MAPPED_BITS_MAX: u64 = 2048;

/// The bits of all memories.
fn memory_bits(module: &ModuleIr) -> u64 {
    let own: u64 = module.memories.iter().map(|memory| u64::from(memory.width) * u64::from(memory.depth)).sum();
    own + module.instances.iter().map(|instance| memory_bits(&instance.module)).sum::<u64>()
}

/// What is known about a property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Known {
    /// It holds in every clock of every run, by induction over this many clocks.
    Proved {
        /// Clocks of the induction step.
        step: u32,
    },
    /// It holds in the first clocks of every run.
    Bounded {
        /// How many.
        depth: u32,
    },
    /// It is reached.
    Covered {
        /// In this clock.
        clock: u32,
    },
    /// It does not hold, or is not reached.
    Failed(Failure),
}

/// How a property fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A run from a reset breaks it; its waveform.
    Broken(PathBuf),
    /// No run from a reset of the given depth breaks it, but it does not follow from what holds before; a waveform of a state that perhaps no
    /// run reaches.
    NotInductive(PathBuf),
    /// No run reaches it.
    Unreached,
    /// It is asserted together with others, one of which fails.
    NotDecided,
}

/// A property and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The path of the property.
    pub path: String,
    /// What is known.
    pub known: Known,
}

impl Outcome {
    /// Whether it is as it should be.
    pub fn is_good(&self) -> bool {
        !matches!(self.known, Known::Failed(_))
    }
}

/// Asks everything that a proof asks; waveforms of what fails go to `folder`.
pub fn prove(toolchain: &Toolchain, proof: &Proof, folder: &Path) -> Result<Vec<Outcome>, Error> {
    let design = proof.design().map_err(|problems| Error::Design(problems.to_string()))?;
    let verilog = Proof::verilog(&design);
    let script = script(&design);
    let identities = [toolchain.yosys()?.identity, toolchain.z3()?.identity].join("\n");
    // The last part changes when what is asked here does.
    let key = format!("{identities}\n{script}\n{:?} {} 1\n{verilog}", proof.goal, proof.cover);
    let entry = format!("formal/{}-{}", proof.name(), &sha256(key.as_bytes())[..32]);

    let mut failed = None;
    let made = toolchain.cache().entry(&entry, |kept| {
        let questions = Questions { toolchain, proof, design: &design, folder };
        let results = questions.ask(&verilog, &script)?;
        if !results.iter().all(Outcome::is_good) {
            failed = Some(results);
            return Err(Error::NotKept);
        }
        let path = kept.join(RESULTS);
        let text = serde_json::to_string_pretty(&results).map_err(|error| Error::Solver(error.to_string()))?;
        fs::write(&path, text).map_err(|error| Error::io("write", &path, error))
    });
    let path = match (made, failed) {
        (_, Some(results)) => return Ok(results),
        (made, None) => made?.join(RESULTS),
    };
    let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
    serde_json::from_str(&text).map_err(|error| Error::Solver(error.to_string()))
}

/// The file of a cache entry.
const RESULTS: &str = "results.json";

struct Questions<'a> {
    toolchain: &'a Toolchain,
    proof: &'a Proof,
    design: &'a Design,
    folder: &'a Path,
}

/// What smtbmc said to one question.
struct Answer {
    passed: bool,
    /// The properties that it names as broken.
    broken: BTreeSet<String>,
    /// The covers that it reached, and in which clock.
    reached: BTreeMap<String, u32>,
    /// In how many clocks an induction went through.
    step: u32,
}

impl Questions<'_> {
    fn ask(&self, verilog: &str, script: &str) -> Result<Vec<Outcome>, Error> {
        let work =
            tempfile::tempdir().map_err(|error| Error::io("create a folder in", &std::env::temp_dir(), error))?;
        let source = work.path().join("top.sv");
        fs::write(&source, verilog).map_err(|error| Error::io("write", &source, error))?;
        let mut yosys = self.toolchain.yosys()?.command();
        run(yosys.args(["-q", "-p", script]).current_dir(work.path()), "yosys", &self.proof.name())?;

        let mut properties = Vec::new();
        collect(self.design.top(), &self.design.top().name, &mut properties);
        let (covers, asserts): (Vec<_>, Vec<_>) =
            properties.into_iter().partition(|(kind, _)| *kind == PropertyKind::Cover);

        let of_asserts = self.asserts(work.path())?;
        let known = |path: &str| of_asserts.known(path);
        let mut results: Vec<Outcome> =
            asserts.into_iter().map(|(_, path)| Outcome { known: known(&path), path }).collect();
        results.extend(self.covers(work.path(), covers)?);
        Ok(results)
    }

    /// What is known of the assertions.
    fn asserts(&self, work: &Path) -> Result<OfAsserts, Error> {
        let depth = match self.proof.goal {
            Goal::Induction { base, .. } => base,
            Goal::Bounded { depth } => depth,
        };
        let waveform = |kind: &str| self.folder.join(format!("{}.{kind}.vcd", self.proof.name()));
        let path = waveform("broken");
        let base = self.smtbmc(work, &["-t", &depth.to_string()], Some(&path))?;
        if !base.passed {
            return Ok(OfAsserts::Broken { names: base.broken, waveform: path });
        }
        let Goal::Induction { step, .. } = self.proof.goal else {
            return Ok(OfAsserts::Bounded { depth });
        };
        let path = waveform("not-inductive");
        let induction = self.smtbmc(work, &["-i", "-t", &step.to_string()], Some(&path))?;
        if induction.passed {
            return Ok(OfAsserts::Proved { step: induction.step });
        }
        Ok(OfAsserts::NotInductive { names: induction.broken, waveform: path, depth })
    }

    fn covers(&self, work: &Path, covers: Vec<(PropertyKind, String)>) -> Result<Vec<Outcome>, Error> {
        if covers.is_empty() || self.proof.cover == 0 {
            return Ok(vec![]);
        }
        let answer = self.smtbmc(work, &["-c", "-t", &self.proof.cover.to_string()], None)?;
        let known = |path: &str| match answer.reached.get(path) {
            Some(clock) => Known::Covered { clock: *clock },
            None => Known::Failed(Failure::Unreached),
        };
        Ok(covers.into_iter().map(|(_, path)| Outcome { known: known(&path), path }).collect())
    }

    /// Asks one question; a counter-example is written to `waveform`.
    fn smtbmc(&self, work: &Path, arguments: &[&str], waveform: Option<&Path>) -> Result<Answer, Error> {
        let mut command = self.toolchain.yosys()?.smtbmc(&self.toolchain.z3()?);
        command.args(["-s", "z3", "--timeout", &SOLVER_SECONDS.to_string()]).args(arguments);
        let dump = work.join("dump.vcd");
        if waveform.is_some() {
            command.arg("--dump-vcd").arg(&dump);
        }
        let output = command.arg("top.smt2").current_dir(work).output();
        let output = output.map_err(|error| Error::Solver(format!("yosys-smtbmc does not start: {error}")))?;
        let said = text(&output);
        let answer = Answer::parse(&said).ok_or_else(|| {
            Error::Solver(format!("yosys-smtbmc ended without an answer ({}):\n{said}", output.status))
        })?;
        if let (false, Some(path), true) = (answer.passed, waveform, dump.exists()) {
            fs::create_dir_all(self.folder).map_err(|error| Error::io("create", self.folder, error))?;
            fs::copy(&dump, path).map_err(|error| Error::io("write", path, error))?;
        }
        Ok(answer)
    }
}

/// What is known of the assertions of a proof, which are asked together.
enum OfAsserts {
    Proved { step: u32 },
    Bounded { depth: u32 },
    Broken { names: BTreeSet<String>, waveform: PathBuf },
    NotInductive { names: BTreeSet<String>, waveform: PathBuf, depth: u32 },
}

impl OfAsserts {
    /// What is known of one of them.
    fn known(&self, path: &str) -> Known {
        match self {
            OfAsserts::Proved { step } => Known::Proved { step: *step },
            OfAsserts::Bounded { depth } => Known::Bounded { depth: *depth },
            OfAsserts::Broken { names, waveform } if names.contains(path) => {
                Known::Failed(Failure::Broken(waveform.clone()))
            }
            OfAsserts::Broken { .. } => Known::Failed(Failure::NotDecided),
            OfAsserts::NotInductive { names, waveform, .. } if names.contains(path) => {
                Known::Failed(Failure::NotInductive(waveform.clone()))
            }
            OfAsserts::NotInductive { depth, .. } => Known::Bounded { depth: *depth },
        }
    }
}

impl Answer {
    /// Reads what smtbmc printed; nothing if it came to no end.
    fn parse(said: &str) -> Option<Answer> {
        let lines = || said.lines().filter_map(|line| line.strip_prefix("## ")).map(|line| line.trim());
        // Behind the time.
        let messages = || lines().filter_map(|line| line.split_once("  ")).map(|(_, message)| message.trim());
        let status = messages().find_map(|message| message.strip_prefix("Status: "))?;
        let passed = match status {
            "PASSED" | "passed" => true,
            "FAILED" | "failed" => false,
            _ => return None,
        };
        let mut answer = Answer { passed, broken: BTreeSet::new(), reached: BTreeMap::new(), step: 0 };
        let mut last_tried = None;
        let mut first_tried = None;
        for message in messages() {
            if let Some(place) = message.strip_prefix("Assert failed in ") {
                answer.broken.insert(path_of(place)?);
            } else if let Some(rest) = message.strip_prefix("Reached cover statement in step ") {
                let (clock, place) = rest.split_once(" at ")?;
                answer.reached.insert(path_of(place)?, clock.parse().ok()?);
            } else if let Some(step) = message.strip_prefix("Trying induction in step ") {
                let step: u32 = step.trim_end_matches('.').parse().ok()?;
                first_tried.get_or_insert(step);
                last_tried = Some(step);
            }
        }
        if let (Some(first), Some(last)) = (first_tried, last_tried) {
            answer.step = first - last;
        }
        Some(answer)
    }
}

/// The path of a property from how smtbmc names it: `top.instance: label`, perhaps with more behind it.
fn path_of(place: &str) -> Option<String> {
    let (path, label) = place.split_once(": ")?;
    Some(format!("{path}.{}", label.split(' ').next()?))
}

/// Every assertion and cover below `module`, by its path. Assumptions are not asked.
fn collect(module: &ModuleIr, path: &str, found: &mut Vec<(PropertyKind, String)>) {
    for property in module.properties.iter().filter(|p| p.kind != PropertyKind::Assume) {
        found.push((property.kind, format!("{path}.{}", property.name)));
    }
    for instance in module.instances.iter().filter(|instance| instance.module.foreign.is_none()) {
        collect(&instance.module, &format!("{path}.{}", instance.name), found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtl_hdl::{block_fn, lit, when, zero, Module};
    use sim_toolchain::Cache;

    fn answer(text: &str) -> Option<Answer> {
        let lines: Vec<String> = text.lines().map(|line| format!("##   0:00:01  {line}")).collect();
        Answer::parse(&lines.join("\n"))
    }

    #[test]
    fn answers_are_read() {
        let broken = answer("BMC failed!\nAssert failed in top.block: good (a.sv:3)\nStatus: FAILED").unwrap();
        assert!(!broken.passed && broken.broken.contains("top.block.good"));
        let covered = answer("Reached cover statement in step 7 at top: seen\nStatus: PASSED").unwrap();
        assert_eq!((covered.passed, covered.reached.get("top.seen")), (true, Some(&7)));
        let tried = "Trying induction in step 5..\nTrying induction in step 4..\nTrying induction in step 3..";
        assert_eq!(answer(&format!("{tried}\nStatus: PASSED")).unwrap().step, 2);
    }

    /// A solver that is killed, or does not know, has not proved anything.
    #[test]
    fn no_answer_is_none() {
        assert!(answer("Checking assertions in step 3..").is_none());
        assert!(answer("Status: UNKNOWN").is_none());
        assert!(Answer::parse("Traceback (most recent call last):").is_none());
    }

    /// Counts to 5 and stays; `wrong` is a limit that is asserted.
    fn counter(wrong: u32) -> Proof {
        let block = block_fn("counter", move |m: &Module| {
            let clock = m.clock();
            let count = m.reg("count", clock, zero(4));
            when(count.ne(5), || count.set(count + 1));
            m.output("value", count);
            m.assert(clock, "below_its_limit", count.lt(wrong));
            m.cover(clock, "reaches_its_end", count.eq(5));
        });
        Proof::by_induction(block, 2)
    }

    fn toolchain(folder: &Path) -> Toolchain {
        // The programs that are there already, and nothing that was proved before.
        let shared = Cache::from_env();
        Toolchain::from_env().prepare().unwrap();
        std::os::unix::fs::symlink(shared.root().join("third-party"), folder.join("third-party")).unwrap();
        Toolchain::new(Cache::new(folder))
    }

    fn known(results: &[Outcome], name: &str) -> Known {
        let path = format!("proof_of_counter.block.{name}");
        let found = results.iter().find(|result| result.path == path);
        found.unwrap_or_else(|| panic!("{path} is not among {results:?}")).known.clone()
    }

    #[test]
    fn what_holds_is_proved_and_what_does_not_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = toolchain(folder.path());
        let prove = |proof: Proof| prove(&toolchain, &proof, &folder.path().join("out")).unwrap();

        // Values from 6 on are never reached, but one step from 15 would be 0: only below 6 is inductive.
        let good = prove(counter(6));
        assert!(matches!(known(&good, "below_its_limit"), Known::Proved { .. }), "{good:?}");
        assert!(matches!(known(&good, "reaches_its_end"), Known::Covered { clock: 6 | 7 }), "{good:?}");
        assert_eq!(prove(counter(6)), good, "from the cache");

        let broken = prove(counter(5));
        let Known::Failed(Failure::Broken(waveform)) = known(&broken, "below_its_limit") else { panic!("{broken:?}") };
        assert!(fs::read_to_string(waveform).unwrap().contains("count"), "it shows the counter");

        let not_inductive = prove(counter(9));
        assert!(matches!(known(&not_inductive, "below_its_limit"), Known::Failed(Failure::NotInductive(_))));

        let mut late = counter(6);
        late.cover = 3;
        assert_eq!(known(&prove(late), "reaches_its_end"), Known::Failed(Failure::Unreached));
        let mut bounded = counter(9);
        bounded.goal = Goal::Bounded { depth: 8 };
        assert_eq!(known(&prove(bounded), "below_its_limit"), Known::Bounded { depth: 8 });
    }

    /// What a block assumes is asserted of what is around it.
    #[test]
    fn an_assumption_inside_is_asserted() {
        let inner = || {
            block_fn("inner", |m: &Module| {
                let clock = m.clock();
                m.assume(clock, "low", !m.input("flag", 1));
                m.output("nothing", lit(0u8, 1));
            })
        };
        let outer = block_fn("counter", move |m: &Module| {
            m.clock();
            let inner = m.instance("inner", &inner());
            inner.port("flag").set(m.input("flag", 1));
            m.output("nothing", inner.port("nothing"));
        });
        let folder = tempfile::tempdir().unwrap();
        let results = prove(&toolchain(folder.path()), &Proof::by_induction(outer, 2), folder.path()).unwrap();
        assert!(matches!(known(&results, "inner.low"), Known::Failed(Failure::Broken(_))), "{results:?}");
    }

    /// What a module asserts that is not asked is neither proved nor relied on.
    #[test]
    fn only_the_modules_that_are_asked_are() {
        let counter = || {
            block_fn("counter", |m: &Module| {
                let clock = m.clock();
                let inner = block_fn("inner", |m: &Module| {
                    let clock = m.clock();
                    m.assert(clock, "low", !m.input("flag", 1));
                    m.output("nothing", lit(0u8, 1));
                });
                let inner = m.instance("inner", &inner);
                inner.port("flag").set(m.input("flag", 1));
                m.output("nothing", inner.port("nothing"));
                m.assert(clock, "nothing_is_set", !inner.port("nothing"));
            })
        };
        let folder = tempfile::tempdir().unwrap();
        let toolchain = toolchain(folder.path());
        let ask = |module: &str| {
            let proof = Proof::by_induction(counter(), 2).asking([module.into()]);
            prove(&toolchain, &proof, folder.path()).unwrap()
        };
        let own = ask("other");
        assert_eq!(
            own.iter().map(|outcome| outcome.path.as_str()).collect::<Vec<_>>(),
            ["proof_of_counter.block.nothing_is_set"]
        );
        assert!(own.iter().all(Outcome::is_good), "{own:?}");
        assert!(matches!(known(&ask("inner"), "inner.low"), Known::Failed(Failure::Broken(_))));
    }

    #[test]
    fn a_solver_that_crashes_is_an_error_with_its_output() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = toolchain(folder.path());
        let broken = folder.path().join("z3");
        fs::write(&broken, "#!/bin/sh\necho out of memory\nexit 1\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&broken, mode).unwrap();
        let toolchain = toolchain.with_z3(&broken);
        let error = prove(&toolchain, &counter(6), folder.path()).unwrap_err().to_string();
        assert!(error.contains("yosys-smtbmc ended without an answer"), "{error}");
    }
}
