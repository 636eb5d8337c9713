//! The running router.

use super::*;
use crate::testing::{design, BED};
use rtl_hdl::bench::{Bench, Fields, Rng, Seed, Stalls};

fn routers() -> [TileLinkRouter; 2] {
    let tile = TileLinkConfig { address_bits: 32, data_bits: 64, size_bits: 4, source_bits: 2, sink_bits: 2 };
    let narrow = TileLinkConfig { address_bits: 12, data_bits: 16, size_bits: 3, source_bits: 1, sink_bits: 1 };
    [
        TileLinkRouter { config: tile, cached: 0x8000_0000..0x1_0000_0000 },
        TileLinkRouter { config: narrow, cached: 0x400..0x800 },
    ]
}

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    routers().map(|router| Box::new(router) as Box<dyn Block>).into()
}

/// The beats of answers of one side. Their data is their number, so that it is known where each comes from.
fn answers(bench: &Bench, side: &str, beat_bytes: u64, rng: &mut Rng) -> Vec<Fields> {
    const OPCODES: [u64; 6] = [0, 1, 2, 4, 5, 6];
    let mut beats = Vec::new();
    while beats.len() < 60 {
        let opcode = *rng.pick(&OPCODES);
        let size = rng.below(7);
        let count = if opcode & 1 == 1 { (1 << size) / beat_bytes } else { 1 };
        let first = bench.random_fields(side, rng).set("opcode", opcode).set("size", size);
        for _ in 0..count.max(1) {
            beats.push(first.clone().set("data", beats.len() as u64));
        }
    }
    beats
}

#[test]
fn requests_go_by_address_and_answers_come_back_unmixed_under_all_stalls_and_resets() {
    let seed = Seed::from_env_or(0x5EED);
    for router in routers() {
        let design = design(&router);
        let beat_bytes = u64::from(router.config.beat_bytes());
        for stalls in Stalls::ALL {
            let mut simulator = BED.simulator(&design);
            let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
            let mut rng = seed.rng("items");
            for round in 0..6 {
                let is_cut_short = round % 2 == 0;
                let (start, end) = (router.cached.start, router.cached.end);
                let last = u64::MAX >> (64 - router.config.address_bits);
                let requests: Vec<Fields> = (0..80)
                    .map(|_| {
                        let edges = [0, start - 1, start, end - 1, end & last, last];
                        let address = if rng.bool() { *rng.pick(&edges) } else { rng.next_u64() & last };
                        bench.random_fields("from_a", &mut rng).set("address", address)
                    })
                    .collect();
                let (to_cached, to_uncached): (Vec<_>, Vec<_>) =
                    requests.iter().cloned().partition(|item| router.cached.contains(&item.get("address")));
                assert!(to_cached.len() > 10 && to_uncached.len() > 10, "{seed}");
                bench.send("from_a", requests.into_iter().map(Fields::words));
                let sides = ["cached_d", "uncached_d"].map(|side| {
                    let sent = answers(&bench, side, beat_bytes, &mut rng);
                    bench.send(side, sent.iter().cloned().map(Fields::words));
                    sent
                });
                let passed = [("cached_b", "from_b"), ("from_c", "cached_c"), ("from_e", "cached_e")];
                let passing = passed.map(|(input, _)| {
                    let sent: Vec<_> = (0..30).map(|_| bench.random_fields(input, &mut rng).words()).collect();
                    bench.send(input, sent.iter().cloned());
                    sent
                });
                let beats = sides[0].len() + sides[1].len();
                if is_cut_short {
                    bench.run(rng.below(60));
                } else {
                    bench.run_until(4_000, |bench| {
                        bench.received("from_d").len() >= beats
                            && bench.received("cached_a").len() + bench.received("uncached_a").len() >= 80
                            && passed.iter().all(|(_, to)| bench.received(to).len() >= 30)
                    });
                    bench.run(20);
                }
                for (side, sent) in [("cached_a", &to_cached), ("uncached_a", &to_uncached)] {
                    let got: Vec<_> = bench.drain(side);
                    let sent: Vec<_> = sent.iter().cloned().map(Fields::words).take(got.len()).collect();
                    assert_eq!(got, sent, "`{side}`");
                }
                for ((_, to), sent) in passed.iter().zip(&passing) {
                    let got = bench.drain(to);
                    assert_eq!(got, sent[..got.len()], "`{to}`");
                }
                check_answers(&bench.drain_fields("from_d"), &sides, beat_bytes, is_cut_short);
                for input in ["from_a", "cached_d", "uncached_d", "cached_b", "from_c", "from_e"] {
                    bench.clear(input);
                }
                if is_cut_short {
                    bench.reset(1);
                    bench.run(20);
                    for output in ["cached_a", "uncached_a", "from_d", "from_b", "cached_c", "cached_e"] {
                        assert!(bench.drain(output).is_empty(), "a reset leaves nothing in `{output}`");
                    }
                }
            }
        }
    }
}

/// Every message is a whole of one side, and those of a side are in order.
fn check_answers(got: &[Fields], sides: &[Vec<Fields>; 2], beat_bytes: u64, is_cut_short: bool) {
    let mut next = [0, 0];
    let mut turns = [0, 0];
    let mut at = 0;
    while at < got.len() {
        // What is next of a side is known whole; both may look alike, but for the sink of the side without grants.
        let matches = |side: usize| {
            let sent = &sides[side][next[side]..];
            let sink_is_known = side == 0;
            sent.first().is_some_and(|sent| {
                let strip = |item: &Fields| if sink_is_known { item.clone() } else { item.clone().set("sink", 0) };
                let wanted = ["opcode", "param", "size", "source", "denied", "data", "corrupt"];
                wanted.iter().all(|field| got[at].get(field) == sent.get(field))
                    && (!sink_is_known || strip(&got[at]).get("sink") == sent.get("sink"))
            })
        };
        let side = if matches(0) { 0 } else { 1 };
        assert!(matches(side), "beat {at} is no beat that comes next: {:?}, {next:?}", got[at]);
        let first = &sides[side][next[side]];
        let has_data = first.get("opcode") & 1 == 1;
        let beats = if has_data { ((1 << first.get("size")) / beat_bytes).max(1) as usize } else { 1 };
        let there = beats.min(got.len() - at);
        assert!(there == beats || is_cut_short, "a message is cut off");
        for beat in 0..there {
            let (got, sent) = (&got[at + beat], &sides[side][next[side] + beat]);
            assert_eq!((got.get("source"), got.get("data")), (sent.get("source"), sent.get("data")), "mixed at {at}");
        }
        next[side] += there;
        turns[side] += 1;
        at += there;
    }
    if !is_cut_short {
        assert_eq!(next, [sides[0].len(), sides[1].len()]);
        assert!(turns[0] > 3 && turns[1] > 3);
    }
}

/// Neither side keeps the other waiting, and a beat goes in a clock.
#[test]
fn sides_take_turns_at_full_rate() {
    for router in routers() {
        let design = design(&router);
        let mut simulator = BED.simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
        let long = router.config.beat_size() + 2;
        for side in ["cached_d", "uncached_d"] {
            let item = bench.fields(side).set("opcode", 1).set("size", long);
            let number = u64::from(side == "uncached_d");
            bench.send(side, (0..80).map(|_| item.clone().set("data", number).words()));
        }
        bench.run(44);
        let got: Vec<u64> = bench
            .received("from_d")
            .iter()
            .map(|item| Fields::from_words(bench.stream("from_d"), item).get("data"))
            .collect();
        assert!(got.len() >= 40, "{} beats in 44 clocks", got.len());
        let of_other = got.iter().sum::<u64>() as usize;
        assert!(of_other.abs_diff(got.len() - of_other) <= 4, "{got:?}");
    }
}
