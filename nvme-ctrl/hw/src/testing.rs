//! What the benches of this crate share.

use crate::Config;
use rtl_hdl::bench::{Bench, Rng, Seed, Stalls};
use rtl_hdl::sim::Simulator;
use rtl_hdl::{elaborate, Block, Design, Evaluator};

/// The configurations under which every block runs.
pub(crate) const CONFIGS: [Config; 2] = [Config::SMALL, Config::DEFAULT];

/// Elaborates a block that is right.
pub(crate) fn design(block: &dyn Block) -> Design {
    elaborate(block).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Something that runs a design.
pub(crate) fn simulator(design: &Design) -> Box<dyn Simulator> {
    Box::new(Evaluator::new(design).unwrap_or_else(|error| panic!("{error}")))
}

/// Runs `body` on `block` under every stall pattern.
pub(crate) fn under_all_stalls(block: &dyn Block, mut body: impl FnMut(&mut Bench, &mut Rng)) {
    let design = design(block);
    let seed = Seed::from_env_or(0x5EED);
    for stalls in Stalls::ALL {
        let mut simulator = simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
        body(&mut bench, &mut seed.rng("body"));
    }
}

/// Runs `body` on `block` without stalls.
pub(crate) fn without_stalls(block: &dyn Block, body: impl FnOnce(&mut Bench)) {
    let design = design(block);
    let mut simulator = simulator(&design);
    body(&mut Bench::new(&mut *simulator, &design, Seed::from_env_or(0x5EED), Stalls::None));
}
