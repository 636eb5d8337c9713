//! Random modules, in the evaluator and as Verilated SystemVerilog, are the same in every clock.

mod common;

use common::RandomBlock;
use rtl_hdl::bench::{Lockstep, Seed};
use rtl_hdl::ir::Domain;
use rtl_hdl::sim::Simulator;
use rtl_hdl::{elaborate, words_for, Design, Direction, Evaluator, Options, Start};
use sim_verilator::{lint, ModelSet, ModelSpec, Reset};

const CLOCKS: u64 = 150;

/// How many top modules are made, each with up to ten others inside; the environment variable `RANDOM_TOPS` changes it.
fn tops() -> u64 {
    std::env::var("RANDOM_TOPS").ok().and_then(|n| n.parse().ok()).unwrap_or(96)
}

fn design(seed: Seed, index: u64) -> Design {
    let block = RandomBlock::new(&format!("random{index}"), seed, (index % 3) as u32);
    elaborate(&block).unwrap_or_else(|problems| panic!("random{index}: {problems}\nreplay: {}", seed.replay()))
}

/// Leaves the Verilog of a design whose test fails where a person can look at it.
struct TellOnPanic<'a> {
    design: &'a Design,
    seed: Seed,
}

impl Drop for TellOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let spec = ModelSpec::of(self.design);
            let path = std::env::temp_dir().join(format!("{}.sv", spec.top));
            let written = std::fs::write(&path, &spec.verilog);
            eprintln!("its Verilog: {} ({written:?})\nreplay: {}", path.display(), self.seed.replay());
        }
    }
}

/// Pokes every input at random and clocks at random.
fn run(design: &Design, sim: &mut dyn Simulator, seed: Seed) {
    let top = design.top();
    let mut rng = seed.rng(&format!("inputs of {}", top.name));
    let all_clocks = (1 << top.clocks.len()) - 1;
    for _ in 0..CLOCKS {
        for port in top.ports.iter().filter(|p| p.direction == Direction::Input) {
            let is_reset = top.clocks.iter().any(|c| c.reset == Some(port.node));
            let value = match port.domain {
                Domain::ClockInput(_) => continue,
                _ if is_reset => vec![rng.percent(3) as u64],
                _ if rng.percent(30) => continue,
                _ if rng.percent(20) => vec![0; words_for(port.width)],
                _ => rng.bits(port.width),
            };
            sim.poke(sim.port(&port.name), &value);
        }
        if rng.percent(50) {
            sim.settle();
        }
        sim.step_clocks(rng.range(1..all_clocks + 1));
    }
}

#[test]
fn evaluator_and_verilog_agree() {
    let seed = Seed::from_env_or(0x5EED);
    let designs: Vec<Design> = (0..tops()).map(|index| design(seed, index)).collect();
    let modules: usize = designs.iter().map(|design| design.modules.len()).sum();
    assert!(modules >= 2 * designs.len(), "{modules} modules are too few to say anything");

    for chunk in designs.chunks(30) {
        let mut set = ModelSet::new("random");
        set = chunk.iter().fold(set, |set, design| set.with(ModelSpec::of(design)));
        let library = set.load().unwrap_or_else(|error| panic!("{error}\nreplay: {}", seed.replay()));
        for design in chunk {
            let name = &design.top().name;
            for (start, reset) in [(Start::Zeros, Reset::Zeros), (Start::Ones, Reset::Ones)] {
                let evaluator = Evaluator::with(design, Options::default().start(start));
                let evaluator = evaluator.unwrap_or_else(|error| panic!("{name}: {error}"));
                let verilated = library.model_with(name, reset);
                let mut both = Lockstep::new(design, ("evaluator", evaluator), ("Verilated", verilated));
                let _told = TellOnPanic { design, seed };
                run(design, &mut both, seed);
            }
        }
    }
}

#[test]
fn lint_is_silent() {
    let seed = Seed::from_env_or(0x5EED);
    for index in 0..tops() {
        let spec = ModelSpec::of(&design(seed, index));
        let said = lint(&spec.verilog, &spec.top);
        said.unwrap_or_else(|error| panic!("random{index}: {error}\nreplay: {}", seed.replay()));
    }
}
