//! What the benches of this crate share.

use crate::Config;
use rtl_hdl::bench::{Bench, Lockstep, Rng, Seed, Stalls};
use rtl_hdl::sim::Simulator;
use rtl_hdl::{elaborate, Block, Design, Evaluator};
use sim_verilator::{Error, Library, ModelSet, ModelSpec};
use std::sync::OnceLock;

/// The configurations under which every block runs.
pub(crate) const CONFIGS: [Config; 2] = [Config::SMALL, Config::DEFAULT];

/// Elaborates a block that is right.
pub(crate) fn design(block: &dyn Block) -> Design {
    elaborate(block).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Blocks that share a Verilated library, because most of its price is paid once.
struct Group {
    name: &'static str,
    blocks: fn() -> Vec<Box<dyn Block>>,
    library: OnceLock<Option<Library>>,
}

/// One group for each half of the controller, so that a change in one does not build the other again.
static GROUPS: [Group; 2] = [
    Group { name: "nvme-hw-control", blocks: control_blocks, library: OnceLock::new() },
    Group { name: "nvme-hw-data", blocks: data_blocks, library: OnceLock::new() },
];

/// Queues, entries, completions, firmware, in every configuration that is run.
fn control_blocks() -> Vec<Box<dyn Block>> {
    let mut blocks: Vec<Box<dyn Block>> = vec![
        Box::new(crate::complete::Complete),
        Box::new(crate::cq_post::CqPost),
        Box::new(crate::host_port::HostPort),
        Box::new(crate::lifecycle::Lifecycle),
    ];
    for config in CONFIGS {
        blocks.push(Box::new(crate::decode::Decode::new(config)));
        blocks.push(Box::new(crate::irq::Irq::new(config)));
        blocks.push(Box::new(crate::mailbox::Mailbox::new(config)));
        blocks.push(Box::new(crate::queues::Queues::new(config)));
        blocks.push(Box::new(crate::regs::Regs::new(config)));
        blocks.push(Box::new(crate::sq_fetch::SqFetch::new(config)));
    }
    blocks
}

/// From the command to the storage, in every configuration that is run.
fn data_blocks() -> Vec<Box<dyn Block>> {
    let mut blocks: Vec<Box<dyn Block>> =
        vec![Box::new(crate::buffer::Buffer), Box::new(crate::storage_mux::bench::with_clock())];
    for config in CONFIGS {
        blocks.push(Box::new(crate::slots::Slots::new(config)));
        blocks.push(Box::new(crate::prp_walk::PrpWalk::new(config)));
        blocks.push(Box::new(crate::units::Units::new(config)));
        blocks.push(Box::new(crate::dma_read::DmaRead::new(config)));
        blocks.push(Box::new(crate::dma_write::DmaWrite::new(config)));
        blocks.push(Box::new(crate::direct::Direct::new(config, crate::direct::bench::MEMORY_BYTES)));
        blocks.push(Box::new(crate::io_engine::IoEngine::new(config)));
        blocks.push(Box::new(crate::io_engine::bench::engine_with_direct(config)));
    }
    blocks
}

/// Whether Verilator cannot be had here; everything else is a failure.
fn is_unavailable(error: &Error) -> bool {
    matches!(error, Error::MissingProgram { .. } | Error::Network { .. } | Error::Platform { .. })
}

impl Group {
    /// The Verilated blocks; none where Verilator cannot be had.
    fn library(&'static self) -> Option<&'static Library> {
        let load = || {
            let set = (self.blocks)()
                .iter()
                .fold(ModelSet::new(self.name), |set, block| set.with(ModelSpec::of(&design(&**block))));
            match set.load() {
                Ok(library) => Some(library),
                Err(error) if is_unavailable(&error) => {
                    eprintln!("skipped: the comparison with the Verilated blocks. {error}");
                    None
                }
                Err(error) => panic!("{error}"),
            }
        };
        self.library.get_or_init(load).as_ref()
    }
}

/// What runs a design: the evaluator and, for the blocks of a group, the Verilated block in step: every output is compared in every clock.
pub(crate) fn simulator(design: &Design) -> Box<dyn Simulator> {
    let evaluator = Evaluator::new(design).unwrap_or_else(|error| panic!("{error}"));
    let name = design.top().name.as_str();
    let group = GROUPS.iter().find(|group| (group.blocks)().iter().any(|block| block.name() == name));
    match group.and_then(Group::library) {
        Some(library) => {
            Box::new(Lockstep::new(design, ("the evaluator", evaluator), ("Verilator", library.model(name))))
        }
        None => Box::new(evaluator),
    }
}

/// `verilator --lint-only -Wall` says nothing about any block.
#[test]
fn lint_is_silent() {
    let mut blocks: Vec<Box<dyn Block>> = GROUPS.iter().flat_map(|group| (group.blocks)()).collect();
    blocks.extend(CONFIGS.map(|config| Box::new(crate::Controller::new(config)) as Box<dyn Block>));
    for block in blocks {
        let spec = ModelSpec::of(&design(&*block));
        match sim_verilator::lint(&spec.verilog, &spec.top) {
            Ok(()) => {}
            Err(error) if is_unavailable(&error) => return eprintln!("skipped: lint. {error}"),
            Err(error) => panic!("{error}"),
        }
    }
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
