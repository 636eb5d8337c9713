//! Proofs: what the formal tools are asked about a block.
//!
//! The block is put into a frame that adds the rules of streams: on each output stream an offered item stays, unchanged, until it is taken, which
//! is asserted; on each input stream the other side does the same, which is assumed. What the block asserts and assumes itself joins in. What
//! blocks inside of it assume is asserted: the block is what is around them.

use crate::foreign::nearest;
use crate::ir::*;
use crate::module::{elaborate, Block, Clock, Module, Problem, Problems};
use crate::moments::{in_moments, MOMENT};
use crate::signal::{cat, Signal};
use crate::{emit, mutation, with_jitter, Design};
use std::fmt::Write;
use std::panic::Location;
use std::rc::Rc;

/// What is asked about one block.
pub struct Proof {
    /// The block, in the configuration that is proved: small, but with every case in it.
    pub block: Box<dyn Block>,
    /// How far.
    pub goal: Goal,
    /// Covers are reached within this many clocks; with 0 they are not asked for.
    pub cover: u32,
    /// Whether synchronisers have the freedom that they have in hardware: see [`with_jitter`].
    pub jitter: bool,
    /// Covers of the frame that no run reaches, by name: streams that the configuration leaves silent.
    pub silent: Vec<String>,
    /// If it is not empty, only the block itself and the modules of these names are asked what they assert.
    pub asked: Vec<String>,
    /// What is asked of the block is asked of this mutant of it.
    pub mutant: Option<Mutant>,
    /// Where it is asked.
    pub source: Source,
}

/// A mutant of a block, to see that a property notices it.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// What is changed in the block, as [`mutation::mutations`](crate::mutation::mutations) call it.
    pub change: &'static str,
    /// The module inside of the block whose property must notice it.
    pub checker: &'static str,
    /// The property; nothing else is asserted.
    pub property: &'static str,
}

/// How far a proof goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Goal {
    /// For all runs: every run of this many clocks from a reset, and from any `induction` clocks in a row in which all assertions hold, the next.
    Induction {
        /// Clocks of the base case.
        base: u32,
        /// Clocks of the step, at most.
        step: u32,
    },
    /// For all runs of this many clocks from a reset.
    Bounded {
        /// Clocks; with several clocks, moments in which any of them may rise.
        depth: u32,
    },
}

impl Proof {
    /// For all runs, by induction over at most `step` clocks; the base case is a few clocks longer.
    #[track_caller]
    pub fn by_induction(block: impl Block + 'static, step: u32) -> Proof {
        let goal = Goal::Induction { base: step + 8, step };
        Proof {
            block: Box::new(block),
            goal,
            cover: 20,
            jitter: true,
            silent: vec![],
            asked: vec![],
            mutant: None,
            source: Location::caller(),
        }
    }

    /// For all runs of `depth` clocks.
    #[track_caller]
    pub fn bounded(block: impl Block + 'static, depth: u32) -> Proof {
        let (block, goal) = (Box::new(block), Goal::Bounded { depth });
        Proof {
            block,
            goal,
            cover: depth,
            jitter: true,
            silent: vec![],
            asked: vec![],
            mutant: None,
            source: Location::caller(),
        }
    }

    /// With synchronisers that are exact, as they are in plain simulation.
    #[must_use]
    pub fn without_jitter(mut self) -> Proof {
        self.jitter = false;
        self
    }

    /// With covers within this many clocks; with 0 they are not asked for.
    #[must_use]
    pub fn cover(mut self, clocks: u32) -> Proof {
        self.cover = clocks;
        self
    }

    /// Of this mutant, for all runs of `depth` clocks.
    #[must_use]
    pub fn of_mutant(self, mutant: Mutant, depth: u32) -> Proof {
        Proof { mutant: Some(mutant), goal: Goal::Bounded { depth }, cover: 0, ..self }
    }

    /// Asks only what the block itself and the modules of these names inside of it assert. Rules of streams, and what other modules inside assert, are
    /// for a proof of their own: nothing relies on them here.
    #[must_use]
    pub fn asking(mut self, modules: impl IntoIterator<Item = String>) -> Proof {
        self.asked.extend(modules);
        self
    }

    /// Without the cover that an item passes through this stream, which the configuration leaves silent.
    #[must_use]
    pub fn silent(mut self, stream: &str) -> Proof {
        self.silent.push(stream.into());
        self
    }

    /// What it is called: the name of the block, and what is not usual.
    pub fn name(&self) -> String {
        let exact = if self.jitter { "" } else { "_exact" };
        let mutant = self.mutant.map_or(String::new(), |mutant| format!("_without_{}", mutant.property));
        format!("{}{exact}{mutant}", self.block.name())
    }

    /// The block in its frame. A proof that asserts nothing, not even what a block inside assumes, or names a stream that is not there, is a mistake.
    pub fn design(&self) -> Result<Design, Problems> {
        let mut design = elaborate(&Frame { proof: self })?;
        let module = design.top().instances[0].module.clone();
        let is_unknown = |name: &&String| !module.streams.iter().any(|stream| stream.name == **name);
        let mut messages: Vec<String> = self
            .silent
            .iter()
            .filter(is_unknown)
            .map(|name| {
                let known = nearest(name, module.streams.iter().map(|stream| stream.name.as_str()));
                format!("the proof of `{}` calls the stream `{name}` silent, and there is none; {known}", self.name())
            })
            .collect();
        let block = module.name.clone();
        let top = design.top().name.clone();
        assert_inner_assumptions(&mut design, &[&top, &block]);
        if !self.asked.is_empty() {
            change_modules(&mut design, |module| {
                if module.name != block && !self.asked.contains(&module.name) {
                    module.properties.retain(|p| p.kind != PropertyKind::Assert);
                }
            });
        }
        if let Some(mutant) = &self.mutant {
            match mutation::mutant_named(&module, mutant.change) {
                Some(changed) => design = design.with_module(changed),
                None => messages.push(format!("`{block}` has no mutant `{}`", mutant.change)),
            }
            keep_one_assertion(&mut design, mutant);
        }
        let asserts = |module: &Rc<ModuleIr>| module.properties.iter().any(|p| p.kind == PropertyKind::Assert);
        if !design.modules.iter().any(asserts) {
            messages.push(format!(
                "the proof of `{}` asserts nothing: say in the block what holds, with `assert`",
                self.name()
            ));
        }
        if !messages.is_empty() {
            let problem = |message| Problem { module: module.name.clone(), message, source: self.source };
            return Err(Problems(messages.into_iter().map(problem).collect()));
        }
        // Whatever the synchronisers do.
        Ok(if self.jitter { with_jitter(&design) } else { design })
    }

    /// SystemVerilog for the formal tools of what [`design`](Self::design) returns. A run begins with a reset. With one clock the reset may come again
    /// at any time. With several, each step is a moment in which one or more of them rise, and all resets are set until each clock has
    /// risen after all have risen once, and never again.
    pub fn verilog(design: &Design) -> String {
        let clocks = &design.top().clocks;
        let moments = (clocks.len() > 1).then(|| in_moments(design));
        let mut text: String = emit(moments.as_ref().unwrap_or(design)).into_iter().map(|file| file.text).collect();
        let name_of = |node: NodeId| design.top().nodes[node].name.clone().expect("a port has a name");
        let names: Vec<String> = clocks.iter().map(|clock| name_of(clock.node)).collect();
        let resets: Vec<String> = clocks.iter().filter_map(|clock| clock.reset.map(name_of)).collect();
        let mut rules = String::new();
        if let [clock] = &names[..] {
            for reset in &resets {
                let _ = write!(
                    rules,
                    "\n  logic {clock}_rose = 1'b0;\n  always @(posedge {clock}) {clock}_rose <= 1'b1;\n  \
                     always @* {reset}_comes_first: assume ({clock}_rose || {reset});\n"
                );
            }
        } else if !names.is_empty() {
            let all = |what: &str| names.iter().map(|clock| format!("{clock}{what}")).collect::<Vec<_>>();
            let (rose, done) = (all("_rose").join(" && "), all("_rose_again").join(" && "));
            for clock in &names {
                let _ = write!(
                    rules,
                    "\n  logic {clock}_rose = 1'b0;\n  logic {clock}_rose_again = 1'b0;\n  \
                     always @(posedge {MOMENT}) if ({clock}) begin\n    {clock}_rose <= 1'b1;\n    \
                     {clock}_rose_again <= {clock}_rose_again || {rose};\n  end\n"
                );
            }
            let _ = writeln!(rules, "  always @* something_rises: assume ({});", all("").join(" || "));
            for reset in &resets {
                let _ = writeln!(rules, "  always @* {reset}_comes_first: assume ({reset} == !({done}));");
            }
        }
        let end = text.rfind("endmodule").expect("a module ends");
        text.insert_str(end, &rules);
        text
    }
}

/// Asserts what modules other than `kept` assume.
fn assert_inner_assumptions(design: &mut Design, kept: &[&str]) {
    change_modules(design, |module| {
        if !kept.contains(&module.name.as_str()) {
            for property in module.properties.iter_mut().filter(|p| p.kind == PropertyKind::Assume) {
                property.kind = PropertyKind::Assert;
            }
        }
    });
}

/// Changes each module of a design.
fn change_modules(design: &mut Design, change: impl Fn(&mut ModuleIr)) {
    let mut done: Vec<Rc<ModuleIr>> = Vec::new();
    for module in &design.modules {
        let mut module = ModuleIr::clone(module);
        for instance in &mut module.instances {
            if let Some(changed) = done.iter().find(|other| other.name == instance.module.name) {
                instance.module = changed.clone();
            }
        }
        change(&mut module);
        done.push(Rc::new(module));
    }
    design.modules = done;
}

/// Takes every assertion away but the one that must notice a mutant.
fn keep_one_assertion(design: &mut Design, mutant: &Mutant) {
    change_modules(design, |module| {
        let is_checker = module.name == mutant.checker;
        let is_kept = |p: &Property| is_checker && p.name == mutant.property;
        module.properties.retain(|p| p.kind == PropertyKind::Assume || is_kept(p));
    });
}

/// A block with its rules around it.
struct Frame<'a> {
    proof: &'a Proof,
}

impl Block for Frame<'_> {
    fn name(&self) -> String {
        format!("proof_of_{}", self.proof.name())
    }

    fn build(&self, m: &Module) {
        m.allow_combinational("the frame of a proof");
        let probe = m.clocks_of("block", &*self.proof.block);
        let clocks: Vec<Clock> = probe.iter().map(|(name, reset)| m.named_clock(name, reset.as_deref())).collect();
        let block = m.instance_with_clocks("block", &*self.proof.block, &clocks);
        let module = block.module().clone();

        let mut outside: Vec<(String, Signal)> = Vec::new();
        for port in &module.ports {
            let is_reset = module.clocks.iter().any(|clock| clock.reset == Some(port.node));
            match (port.direction, port.domain) {
                (Direction::Input, Domain::ClockInput(_)) => continue,
                (Direction::Input, _) if is_reset => continue,
                (Direction::Input, domain) => {
                    let input = match domain {
                        Domain::Clock(clock) => m.input_of(&port.name, port.width, clocks[clock]),
                        _ => m.input_async(&port.name, port.width),
                    };
                    block.port(&port.name).set(input);
                    outside.push((port.name.clone(), input));
                }
                (Direction::Output, _) => {
                    let value = block.port(&port.name);
                    m.output(&port.name, value);
                    outside.push((port.name.clone(), value));
                }
            }
        }
        let signal = |name: &str| outside.iter().find(|(other, _)| other == name).map(|(_, signal)| *signal);
        for stream in &module.streams {
            let (Some(valid), Some(ready)) = (signal(&stream.valid()), signal(&stream.ready())) else { continue };
            let leaves: Vec<Signal> =
                stream.leaves.iter().filter_map(|(suffix, _)| signal(&format!("{}{suffix}", stream.name))).collect();
            let index = module.port(&stream.valid()).expect("a stream has a valid port");
            let clock = match module.ports[index].domain {
                Domain::Clock(clock) => clock,
                _ => 0,
            };
            self.rules_of(m, clocks[clock], stream, valid, ready, &leaves);
        }
    }
}

impl Frame<'_> {
    fn rules_of(&self, m: &Module, clock: Clock, stream: &StreamPort, valid: Signal, ready: Signal, leaves: &[Signal]) {
        let name = &stream.name;
        let payload = if leaves.is_empty() { valid } else { cat(leaves) };
        let waiting = match clock.reset() {
            Some(_) => m.reg(&format!("{name}_rule_waiting"), clock, false),
            None => m.reg_without_reset(&format!("{name}_rule_waiting"), clock, 1),
        };
        let before = m.reg_without_reset(&format!("{name}_rule_before"), clock, payload.width());
        waiting.set(valid & !ready);
        before.set(payload);
        let stays = waiting.implies(valid & payload.eq(before));
        match stream.direction {
            Direction::Output => m.assert(clock, &format!("{name}_keeps_its_offer"), stays),
            Direction::Input => m.assume(clock, &format!("{name}_keeps_its_offer"), stays),
        }
        if !self.proof.silent.contains(name) {
            m.cover(clock, &format!("{name}_passes"), valid & ready);
        }
    }
}

impl Module {
    /// The names of the clocks of a block and of their resets.
    #[track_caller]
    fn clocks_of(&self, name: &str, block: &dyn Block) -> Vec<(String, Option<String>)> {
        let module = crate::module::build_module(block, std::panic::Location::caller());
        let name_of = |node: NodeId| module.nodes[node].name.clone().unwrap_or_else(|| name.into());
        module.clocks.iter().map(|clock| (clock.name.clone(), clock.reset.map(name_of))).collect()
    }
}
