//! The running arbiter.

use super::*;
use crate::testing::*;
use rtl_hdl::bench::{Bench, Fields, Rng, Seed};
use std::ops::Range;

pub(crate) fn blocks() -> impl Iterator<Item = StreamArbiter> {
    [(1, Lock::Item), (3, Lock::Item), (2, Lock::UntilLast), (4, Lock::UntilLast)]
        .into_iter()
        .map(|(inputs, lock)| StreamArbiter { inputs, payload: beats(), lock })
}

/// Sends bursts of 1 to 5 beats into these inputs; returns how many beats each input has got.
fn send_bursts(bench: &mut Bench, rng: &mut Rng, sources: Range<u32>, bursts: usize) -> Vec<usize> {
    let mut counts = vec![0; sources.start as usize];
    for source in sources {
        let stream = format!("in_{source}");
        let mut number = 0u64;
        for _ in 0..bursts {
            let beats = rng.range(1..6);
            for beat in 1..=beats {
                let item = bench.fields(&stream).set("source", source).set("number", number);
                bench.send(&stream, [item.set("last", u64::from(beat == beats)).words()]);
                number += 1;
            }
        }
        counts.push(number as usize);
    }
    counts
}

/// Every source's beats come in their order, without gaps from the first of each on; bursts are whole if `lock` says so.
fn check(beats: &[Fields], lock: Lock, next: &mut [u64]) {
    let mut burst_of = None;
    for beat in beats {
        let source = beat.get("source");
        let expected = &mut next[source as usize];
        assert_eq!(beat.get_words("number")[0], *expected, "of source {source}");
        *expected += 1;
        if lock == Lock::UntilLast {
            assert_eq!(burst_of.unwrap_or(source), source, "a burst of another source is cut");
            burst_of = (beat.get("last") == 0).then_some(source);
        }
    }
}

#[test]
fn every_item_arrives_once_in_order_and_in_whole_bursts() {
    for arbiter in blocks() {
        under_all_stalls(&arbiter, |bench, rng| {
            let counts = send_bursts(bench, rng, 0..arbiter.inputs, 60);
            let all = counts.iter().sum::<usize>();
            bench.run_until(20_000, |bench| bench.received("out").len() >= all);
            bench.run(20);
            let mut next = vec![0; counts.len()];
            check(&bench.drain_fields("out"), arbiter.lock, &mut next);
            assert_eq!(next, counts.iter().map(|count| *count as u64).collect::<Vec<_>>());
        });
    }
}

#[test]
fn a_reset_in_any_clock_ends_all_bursts() {
    for arbiter in blocks() {
        under_all_stalls(&arbiter, |bench, rng| {
            for _ in 0..20 {
                let counts = send_bursts(bench, rng, 0..arbiter.inputs, 5);
                bench.run(rng.below(40));
                check(&bench.drain_fields("out"), arbiter.lock, &mut vec![0; counts.len()]);
                for source in 0..arbiter.inputs {
                    bench.clear(&format!("in_{source}"));
                }
                bench.reset(1);
                // The next round begins anywhere, and is complete, also if only one source sends.
                let only = rng.below(u64::from(arbiter.inputs)) as u32;
                let sources = if rng.bool() { only..only + 1 } else { 0..arbiter.inputs };
                let counts = send_bursts(bench, rng, sources, 2);
                let all = counts.iter().sum::<usize>();
                bench.run_until(2_000, |bench| bench.received("out").len() >= all);
                bench.run(10);
                let mut next = vec![0; counts.len()];
                check(&bench.drain_fields("out"), arbiter.lock, &mut next);
                assert_eq!(next.iter().sum::<u64>(), all as u64);
            }
        });
    }
}

#[test]
fn takes_an_item_in_every_clock_and_turns_fairly() {
    for arbiter in blocks() {
        without_stalls(&arbiter, |bench| {
            for source in 0..arbiter.inputs {
                let stream = format!("in_{source}");
                for number in 0..100u64 {
                    let item = bench.fields(&stream).set("source", source).set("number", number);
                    bench.send(&stream, [item.set("last", number % 2).words()]);
                }
            }
            bench.run(u64::from(100 * arbiter.inputs) + 1);
            let sources: Vec<u32> = bench.drain_fields("out").iter().map(|beat| beat.get("source") as u32).collect();
            let turn = match arbiter.lock {
                Lock::Item => 1,
                Lock::UntilLast => 2,
            };
            let expected: Vec<u32> = (0..100 * arbiter.inputs).map(|i| i / turn % arbiter.inputs).collect();
            assert_eq!(sources, expected);
        });
    }
}

/// A source that is alone keeps the turn, also while it has nothing.
#[test]
fn an_item_of_the_only_source_is_taken_in_its_clock() {
    for arbiter in blocks() {
        for source in 0..arbiter.inputs {
            without_stalls(&arbiter, |bench| {
                let stream = format!("in_{source}");
                let item = bench.fields(&stream).set("source", source).set("last", 1u32);
                bench.send(&stream, [item.clone().words()]);
                bench.run(3);
                for number in 0..10u32 {
                    bench.send(&stream, [item.clone().set("number", number).words()]);
                    bench.clock();
                    assert_eq!(bench.pending(&stream), 0, "item {number} of source {source} waits");
                    bench.run(2);
                }
            });
        }
    }
}

#[test]
fn takes_two_items_that_nobody_takes() {
    for arbiter in blocks() {
        let sent = items(&mut Seed(1).rng("items"), arbiter.payload.width(), 5);
        fills_up_unasked(&arbiter, ["in_0", "out"], &sent, 2);
    }
}
