//! The running FIFO.

use super::*;
use crate::testing::*;
use rtl_hdl::bench::{Seed, Stalls};
use rtl_hdl::block_fn;

pub(crate) fn blocks() -> impl Iterator<Item = Fifo> {
    let wide = DISTRIBUTED_WORDS_MAX + 1;
    [(Payload::bits(8), 1), (beats(), 3), (beats(), 16), (Payload::bits(200), wide)]
        .into_iter()
        .map(|(payload, depth)| Fifo::new(payload, depth))
}

#[test]
fn gives_every_item_out_once_and_in_order() {
    for fifo in blocks() {
        passes_items_on(&fifo, fifo.payload.width());
    }
}

#[test]
fn is_empty_after_a_reset() {
    for fifo in blocks() {
        starts_empty_after_a_reset(&fifo, fifo.payload.width());
    }
}

#[test]
fn passes_an_item_in_every_clock() {
    // With one word, it is written and read in turns.
    for fifo in blocks().filter(|fifo| fifo.depth > 1) {
        passes_one_item_per_clock(&fifo, fifo.payload.width(), 2);
    }
}

#[test]
fn holds_its_depth_and_one_more() {
    for fifo in blocks() {
        let room = fifo.depth as usize + 1;
        let sent = items(&mut Seed(1).rng("items"), fifo.payload.width(), room + 5);
        fills_up_unasked(&fifo, ["in", "out"], &sent, room);
    }
}

/// The helpers that put a FIFO inside a block.
#[test]
fn a_fifo_inside_a_block_holds_typed_items_and_bits() {
    let block = block_fn("with_fifos", |m| {
        m.clock();
        let input = m.stream_in::<Beat>("in");
        let output = m.stream_out::<Beat>("out");
        let typed = fifo_of::<Beat>(m, "typed", 5);
        let bits = fifo_bits(m, "bits", Beat::WIDTH, 2);
        when(typed.can_push(), || {
            input.take();
            when(input.valid(), || typed.push(input.payload()));
        });
        when(bits.can_push(), || {
            typed.take();
            when(typed.taken(), || bits.push(rtl_hdl::Value::pack(&typed.payload())));
        });
        when(output.can_take() & bits.valid(), || {
            bits.take();
            output.offer(Beat::unpack(bits.payload()));
        });
    });
    let design = design(&block);
    let seed = Seed::from_env_or(0x5EED);
    for stalls in Stalls::ALL {
        let mut evaluator = evaluator(&design);
        let mut bench = rtl_hdl::bench::Bench::new(&mut *evaluator, &design, seed, stalls);
        let sent = items(&mut seed.rng("items"), Beat::WIDTH, 200);
        bench.send("in", sent.iter().cloned());
        bench.run_until(10_000, |bench| bench.received("out").len() >= sent.len());
        assert_eq!(bench.drain("out"), sent);

        bench.hold("out", true);
        bench.send("in", sent[..40].iter().cloned());
        bench.run(500);
        let (typed, bits, output) = (5 + 1, 2 + 1, 2);
        assert_eq!(40 - bench.pending("in"), typed + bits + output, "what both FIFOs and the output hold");
    }
}
