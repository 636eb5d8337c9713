//! The running demultiplexer.

use super::*;
use crate::testing::*;
use rtl_hdl::bench::Seed;

pub(crate) fn blocks() -> impl Iterator<Item = StreamDemux> {
    [StreamDemux::new(3, beats(), "source", 0..2), StreamDemux::new(2, Payload::bits(9), "data", 8..9)].into_iter()
}

/// The output of an item.
fn target(demux: &StreamDemux, item: &[u64]) -> u64 {
    rtl_hdl::bench::get_bits(item, demux.select.start, demux.select.end - demux.select.start)[0]
}

/// What belongs to one output.
fn share(demux: &StreamDemux, items: &[Vec<u64>], output: u32) -> Vec<Vec<u64>> {
    items.iter().filter(|item| target(demux, item) == u64::from(output)).cloned().collect()
}

#[test]
fn every_item_arrives_once_in_order_where_it_belongs() {
    for demux in blocks() {
        under_all_stalls(&demux, |bench, rng| {
            let sent = items(rng, demux.payload.width(), 400);
            bench.send("in", sent.iter().cloned());
            bench.run_until(40_000, |bench| bench.pending("in") == 0);
            bench.run(100);
            for output in 0..demux.outputs {
                assert_eq!(bench.received(&format!("out_{output}")), share(&demux, &sent, output));
            }
        });
    }
}

#[test]
fn is_empty_after_a_reset() {
    for demux in blocks() {
        under_all_stalls(&demux, |bench, rng| {
            for _ in 0..20 {
                let sent = items(rng, demux.payload.width(), 30);
                bench.send("in", sent.iter().cloned());
                bench.run(rng.below(30));
                for output in 0..demux.outputs {
                    let got = bench.drain(&format!("out_{output}"));
                    assert_eq!(got, share(&demux, &sent, output)[..got.len()]);
                }
                let left = bench.pending("in");
                bench.reset(1);
                bench.run_until(4_000, |bench| bench.pending("in") == 0);
                bench.run(100);
                for output in 0..demux.outputs {
                    let expected = share(&demux, &sent[sent.len() - left..], output);
                    assert_eq!(bench.drain(&format!("out_{output}")), expected);
                }
            }
        });
    }
}

#[test]
fn takes_an_item_in_every_clock() {
    for demux in blocks() {
        without_stalls(&demux, |bench| {
            let sent = items(&mut Seed(1).rng("items"), demux.payload.width(), 100);
            bench.send("in", sent.iter().cloned());
            bench.run(100);
            assert_eq!(bench.pending("in"), 0);
        });
    }
}

#[test]
fn takes_two_items_that_nobody_takes() {
    for demux in blocks() {
        let sent = items(&mut Seed(1).rng("items"), demux.payload.width(), 40);
        for output in 0..demux.outputs {
            fills_up_unasked(&demux, ["in", &format!("out_{output}")], &share(&demux, &sent, output), 2);
        }
    }
}
