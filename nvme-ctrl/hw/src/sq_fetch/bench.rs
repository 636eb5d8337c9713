//! The running block: reads of different tags are answered in any order, beat by beat.

use super::SqFetch;
use crate::testing::{assert_repeats, forgets_at_reset, under_all_stalls, CONFIGS};
use crate::types::reader;
use rtl_hdl::bench::Fields;
use std::collections::VecDeque;

/// What host memory holds at an address, and whether it can be read.
fn line(address: u64) -> (Vec<u64>, bool) {
    let words = (0..8).map(|word| address.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ word).collect();
    (words, address / 64 % 11 == 3)
}

#[test]
fn entries_are_delivered_once_and_in_the_order_of_the_grants() {
    for config in CONFIGS {
        under_all_stalls(&SqFetch::new(config), |bench, rng| {
            let fetches = config.fetches as usize;
            let places = (2 * fetches).max(16) as u64;
            let mut grants: VecDeque<Fields> = VecDeque::new();
            let mut expected: VecDeque<(u64, u64, u64, bool)> = VecDeque::new();
            let mut reads: Vec<(Fields, u64)> = Vec::new();
            // Many at once, then one now and then, then many again: all tags and places are still there.
            for (count, percent) in [(40, 100), (60, 4), (40, 100)] {
                let (mut sent, mut all_used) = (0, percent < 100);
                while sent < count || !expected.is_empty() {
                    if sent < count && rng.percent(percent) {
                        sent += 1;
                        let count = rng.range(1..9);
                        let address = rng.below(1 << 20) * 512 + 64 * rng.below(9 - count);
                        let grant = bench.random_fields("grant", rng).set("address", address).set("count", count);
                        bench.send("grant", [grant.clone().words()]);
                        let [sqid, function] = ["sqid", "function"].map(|field| grant.get(field));
                        let more = grant.get("leaves_some") == 1;
                        expected.extend(
                            (0..count).map(|entry| (sqid, function, address + 64 * entry, more || entry + 1 < count)),
                        );
                        grants.push_back(grant);
                    }
                    for read in bench.drain_fields("read") {
                        let grant = grants.pop_front().expect("no more reads than grants");
                        assert_repeats(&read, &grant, &["function", "address"]);
                        assert_eq!(read.get("beats"), grant.get("count"));
                        assert!(read.get("id") - u64::from(reader::FETCH << 6) < fetches as u64);
                        reads.push((read, 0));
                    }
                    let entries: u64 = reads.iter().map(|(read, _)| read.get("beats")).sum();
                    all_used |= reads.len() == fetches || entries > places - 8;
                    if all_used && !reads.is_empty() && rng.percent(40) && bench.pending("beat") < 2 {
                        let index = rng.below(reads.len() as u64) as usize;
                        let (read, beat) = &mut reads[index];
                        let (data, error) = line(read.get("address") + 64 * *beat);
                        *beat += 1;
                        let last = *beat == read.get("beats");
                        let item = bench.fields("beat").set("id", read.get("id")).set_words("data", &data);
                        bench.send("beat", [item.set("error", u8::from(error)).set("last", u8::from(last)).words()]);
                        if last {
                            reads.swap_remove(index);
                        }
                    }
                    for fetched in bench.drain_fields("fetched") {
                        let (sqid, function, address, has_next) =
                            expected.pop_front().expect("no more than was granted");
                        let (data, error) = line(address);
                        assert_eq!([fetched.get("sqid"), fetched.get("function")], [sqid, function]);
                        assert_eq!((fetched.get("error") == 1, fetched.get("has_next") == 1), (error, has_next));
                        assert_eq!(fetched.get_words("entry"), data);
                    }
                    bench.clock();
                    assert!(bench.clocks() < 20_000, "{} entries are missing", expected.len());
                }
            }
            bench.run(50);
            assert_eq!((bench.drain("fetched").len(), bench.drain("read").len()), (0, 0));
        });
    }
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    for config in CONFIGS {
        forgets_at_reset(&SqFetch::new(config), &["beat"], &[]);
    }
}
