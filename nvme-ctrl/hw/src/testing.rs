//! What the benches of this crate share.

use crate::Config;
use rtl_hdl::bench::{self, Bench, Fields, Rng, Seed, Stalls};
use rtl_hdl::sim::Simulator;
use rtl_hdl::{Block, Design};
use sim_verilator::test_bed::{assert_lint_is_silent, evaluator};
use sim_verilator::TestBed;

pub(crate) use sim_verilator::test_bed::design;

/// The configurations under which every block runs.
pub(crate) const CONFIGS: [Config; 2] = [Config::SMALL, Config::DEFAULT];

/// The same for the blocks that know functions and queues: one of them has two functions, and no vector is wider than a word.
pub(crate) const FUNCTION_CONFIGS: [Config; 2] =
    [Config { functions: 2, io_queues: 6, ..Config::SMALL }, Config { functions: 1, io_queues: 8, ..Config::DEFAULT }];

/// One test bed for each half of the controller, so that a change in one does not build the other again.
static BEDS: [TestBed; 2] =
    [TestBed::new("nvme-hw-control", control_blocks), TestBed::new("nvme-hw-data", data_blocks)];

/// Queues, entries, completions, firmware, in every configuration that is run.
fn control_blocks() -> Vec<Box<dyn Block>> {
    let mut blocks: Vec<Box<dyn Block>> = vec![
        Box::new(crate::complete::Complete),
        Box::new(crate::errand::Errand),
        Box::new(crate::lifecycle::Lifecycle),
    ];
    for config in FUNCTION_CONFIGS {
        blocks.push(Box::new(crate::arbiter::Arbiter::new(config)));
        blocks.push(Box::new(crate::decode::Decode::new(config)));
        blocks.push(Box::new(crate::host_port::HostPort::new(config)));
        blocks.push(Box::new(crate::irq::Irq::new(config)));
        blocks.push(Box::new(crate::latency::Latency::new(config)));
        blocks.push(Box::new(crate::queues::Queues::new(config)));
        blocks.push(Box::new(crate::regs::Regs::new(config)));
    }
    for config in CONFIGS {
        blocks.push(Box::new(crate::mailbox::Mailbox::new(config)));
        blocks.push(Box::new(crate::sq_fetch::SqFetch::new(config)));
    }
    blocks
}

/// From the command to the storage, in every configuration that is run.
fn data_blocks() -> Vec<Box<dyn Block>> {
    let mut blocks: Vec<Box<dyn Block>> = vec![
        Box::new(crate::buffer::Buffer),
        Box::new(crate::list_reader::ListReader),
        Box::new(crate::walk::Walk),
        Box::new(crate::storage_mux::bench::with_clock()),
    ];
    for config in CONFIGS {
        blocks.push(Box::new(crate::slots::Slots::new(config)));
        blocks.push(Box::new(crate::units::Units::new(config)));
        blocks.push(Box::new(crate::dma_read::DmaRead::new(config)));
        blocks.push(Box::new(crate::dma_write::DmaWrite::new(config)));
        blocks.push(Box::new(crate::direct::Direct::new(config, crate::direct::bench::MEMORY_BYTES)));
        blocks.push(Box::new(crate::io_engine::IoEngine::new(config)));
        blocks.push(Box::new(crate::io_engine::bench::engine_with_direct(config)));
    }
    blocks
}

/// What runs a design: the evaluator and the Verilated block in step, or, for a block of no test bed, the evaluator.
pub(crate) fn simulator(design: &Design) -> Box<dyn Simulator> {
    match BEDS.iter().find(|bed| bed.has(&design.top().name)) {
        Some(bed) => bed.simulator(design),
        None => evaluator(design),
    }
}

#[test]
fn lint_is_silent() {
    for bed in &BEDS {
        bed.assert_lint_is_silent();
    }
    for config in CONFIGS {
        assert_lint_is_silent(&crate::Controller::new(config));
    }
}

/// Fields that went in come out as they were.
#[track_caller]
pub(crate) fn assert_repeats(got: &Fields, sent: &Fields, names: &[&str]) {
    for name in names {
        assert_eq!(got.get_words(name), sent.get_words(name), "`{name}` of {got:x?}, which is of {sent:x?}");
    }
}

/// Runs `body` on `block` under every stall pattern, with random numbers of its own under each.
pub(crate) fn under_all_stalls(block: &dyn Block, mut body: impl FnMut(&mut Bench, &mut Rng)) {
    let design = design(block);
    let seed = Seed::from_env_or(0x5EED);
    for stalls in Stalls::ALL {
        let mut simulator = simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
        body(&mut bench, &mut seed.rng(&format!("{} under {stalls:?}", block.name())));
    }
}

/// Runs `body` on `block` without stalls.
pub(crate) fn without_stalls(block: &dyn Block, body: impl FnOnce(&mut Bench)) {
    let design = design(block);
    let mut simulator = simulator(&design);
    body(&mut Bench::new(&mut *simulator, &design, Seed::from_env_or(0x5EED), Stalls::None));
}

/// A reset in any clock leaves nothing: see [`bench::forgets_at_reset`].
pub(crate) fn forgets_at_reset(block: &dyn Block, answers: &[&str], ignored: &[&str]) {
    let design = design(block);
    bench::forgets_at_reset(&mut *simulator(&design), &design, Seed::from_env_or(0x5EED), answers, ignored);
}

/// After a reset, with nothing going in, `outputs` are zero.
pub(crate) fn is_quiet_after_reset(block: &dyn Block, outputs: &[&str]) {
    without_stalls(block, |bench| {
        for output in outputs {
            assert_eq!(bench.peek(output), 0, "`{output}` after a reset");
        }
    });
}
