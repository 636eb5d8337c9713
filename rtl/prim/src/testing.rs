//! What the benches of this crate share.

use crate::*;
use rtl_hdl::bench::{Bench, Rng, Seed, Stalls};
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::{block_fn, hw_bundle, mutation, Bits, Block, Design, Evaluator, Signal};
use sim_verilator::TestBed;
use std::panic::{catch_unwind, AssertUnwindSafe};

pub(crate) use sim_verilator::test_bed::{design, evaluator};

hw_bundle! {
    /// An item with fields, one of which ends a burst.
    pub(crate) struct Beat {
        /// Who sent it.
        pub source: Bits<2>,
        /// Ends a burst.
        pub last: Bits<1>,
        /// Numbers it.
        pub number: Bits<70>,
    }
}

/// [`Beat`] as a payload.
pub(crate) fn beats() -> Payload {
    Payload::of::<Beat>("beat")
}

/// Every configuration that is run.
pub(crate) static BED: TestBed = TestBed::new("rtl-prim", blocks);

fn blocks() -> Vec<Box<dyn Block>> {
    let mut blocks: Vec<Box<dyn Block>> = Vec::new();
    blocks.extend(fifo::bench::blocks().map(|block| Box::new(block) as Box<dyn Block>));
    blocks.extend(skid_buffer::bench::blocks().map(|block| Box::new(block) as Box<dyn Block>));
    blocks.extend(round_robin::bench::blocks());
    blocks.extend(stream_arbiter::bench::blocks().map(|block| Box::new(block) as Box<dyn Block>));
    blocks.extend(stream_demux::bench::blocks().map(|block| Box::new(block) as Box<dyn Block>));
    blocks.extend(dual_port_ram::bench::blocks().map(|block| Box::new(block) as Box<dyn Block>));
    blocks.extend(cdc::testing::blocks());
    blocks
}

/// Runs `body` on `block` under every stall pattern.
pub(crate) fn under_all_stalls(block: &dyn Block, mut body: impl FnMut(&mut Bench, &mut Rng)) {
    let design = design(block);
    let seed = Seed::from_env_or(0x5EED);
    for stalls in Stalls::ALL {
        let mut simulator = BED.simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
        body(&mut bench, &mut seed.rng("body"));
    }
}

/// Runs `body` on `block` without stalls.
pub(crate) fn without_stalls(block: &dyn Block, body: impl FnOnce(&mut Bench)) {
    let design = design(block);
    let mut simulator = BED.simulator(&design);
    body(&mut Bench::new(&mut *simulator, &design, Seed::from_env_or(0x5EED), Stalls::None));
}

/// Random items of `width` bits.
pub(crate) fn items(rng: &mut Rng, width: u32, count: usize) -> Vec<Vec<u64>> {
    (0..count).map(|_| rng.bits(width)).collect()
}

/// What goes into `in` comes out of `out`, once and in order.
pub(crate) fn passes_items_on(block: &dyn Block, width: u32) {
    under_all_stalls(block, |bench, rng| pass_items(bench, rng, width));
}

fn pass_items(bench: &mut Bench, rng: &mut Rng, width: u32) {
    let sent = items(rng, width, 300);
    bench.send("in", sent.iter().cloned());
    bench.run_until(20_000, |bench| bench.received("out").len() >= sent.len());
    bench.run(20);
    assert_eq!(bench.drain("out"), sent);
}

/// A reset in any clock loses what is inside, and nothing else.
pub(crate) fn starts_empty_after_a_reset(block: &dyn Block, width: u32) {
    under_all_stalls(block, |bench, rng| pass_items_between_resets(bench, rng, width));
}

fn pass_items_between_resets(bench: &mut Bench, rng: &mut Rng, width: u32) {
    for _ in 0..30 {
        let sent = items(rng, width, 40);
        bench.send("in", sent.iter().cloned());
        bench.run(rng.below(40));
        let before = bench.drain("out");
        assert_eq!(before, sent[..before.len()]);
        let left = bench.pending("in");
        bench.reset(1);
        bench.run_until(2_000, |bench| bench.received("out").len() >= left);
        bench.run(20);
        assert_eq!(bench.drain("out"), sent[sent.len() - left..]);
    }
}

/// The mutants of a block from `in` to `out` of this width that the tests above do not notice, by their texts: a share of
/// `cargo xtask mutate` in every test run.
pub(crate) fn unnoticed_mutants(block: &dyn Block, width: u32) -> Vec<String> {
    let design = design(block);
    let seed = Seed::from_env_or(0x5EED);
    let notices = |mutant: &Design| {
        let run = || {
            for stalls in Stalls::ALL {
                let mut simulator = evaluator(mutant);
                let mut bench = Bench::new(&mut *simulator, mutant, seed, stalls);
                pass_items(&mut bench, &mut seed.rng("items"), width);
                pass_items_between_resets(&mut bench, &mut seed.rng("resets"), width);
            }
        };
        catch_unwind(AssertUnwindSafe(run)).is_err()
    };
    assert!(!notices(&design), "the tests refuse `{}` itself", block.name());
    let mut unnoticed = mutation::mutations(design.top());
    assert!(unnoticed.len() > 10, "{} mutants say nothing", unnoticed.len());
    unnoticed.retain(|m| {
        let mutant = mutation::mutant(design.top(), m.number).expect("it is in the list");
        !notices(&design.with_module(mutant))
    });
    unnoticed.into_iter().map(|mutation| mutation.text).collect()
}

/// Without stalls `count` items take `count` clocks and `latency` more.
pub(crate) fn passes_one_item_per_clock(block: &dyn Block, width: u32, latency: u64) {
    without_stalls(block, |bench| {
        let sent = items(&mut Seed(1).rng("items"), width, 100);
        bench.send("in", sent.iter().cloned());
        bench.run(100 + latency - 1);
        assert_eq!(bench.received("out").len(), 99);
        bench.run(1);
        assert_eq!(bench.received("out"), sent);
    });
}

/// While nobody takes from `output`, the first item is offered all the same, and `room` items are taken in; then none is lost.
pub(crate) fn fills_up_unasked(block: &dyn Block, [input, output]: [&str; 2], items: &[Vec<u64>], room: usize) {
    assert!(items.len() > room, "more than there is room for");
    without_stalls(block, |bench| {
        bench.hold(output, true);
        bench.send(input, items.iter().cloned());
        bench.run(room as u64 + 10);
        assert_eq!(items.len() - bench.pending(input), room, "items that `{}` takes in", block.name());
        assert_eq!(bench.peek(&format!("{output}_valid")), 1, "`{}` waits to be asked", block.name());
        bench.hold(output, false);
        bench.run_until(1_000, |bench| bench.received(output).len() >= items.len());
        assert_eq!(bench.received(output), items);
    });
}

/// A function on signals, to be tried with values.
pub(crate) struct Function {
    sim: Evaluator,
    inputs: Vec<PortId>,
    output: PortId,
}

impl Function {
    /// The function `of` its inputs, which have these widths.
    pub(crate) fn new(widths: &[u32], of: impl Fn(&[Signal]) -> Signal) -> Function {
        let name = |number: usize| format!("input_{number}");
        let block = block_fn("helper", |m| {
            m.allow_combinational("a function");
            let inputs: Vec<Signal> =
                widths.iter().enumerate().map(|(number, width)| m.input(&name(number), *width)).collect();
            m.output("result", of(&inputs));
        });
        let sim = Evaluator::new(&design(&block)).unwrap_or_else(|error| panic!("{error}"));
        let inputs = (0..widths.len()).map(|number| sim.port(&name(number))).collect();
        let output = sim.port("result");
        Function { sim, inputs, output }
    }

    /// The result for these values.
    pub(crate) fn of(&mut self, values: &[u32]) -> u32 {
        for (port, value) in self.inputs.iter().zip(values) {
            self.sim.poke_u64(*port, u64::from(*value));
        }
        self.sim.settle();
        self.sim.peek_u64(self.output) as u32
    }
}

#[test]
fn lint_is_silent() {
    BED.assert_lint_is_silent();
}
