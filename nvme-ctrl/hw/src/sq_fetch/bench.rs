//! The running block: reads of different tags are answered in any order, beat by beat.

use super::SqFetch;
use crate::testing::{under_all_stalls, CONFIGS};
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
            let mut expected: VecDeque<(u64, u64)> = VecDeque::new();
            for _ in 0..80 {
                let (sqid, count) = (rng.below(9), rng.range(1..9));
                let address = rng.below(1 << 20) * 512 + 64 * rng.below(9 - count);
                let item = bench.fields("grant").set("sqid", sqid).set("address", address).set("count", count);
                bench.send("grant", [item.words()]);
                expected.extend((0..count).map(|entry| (sqid, address + 64 * entry)));
            }
            let mut reads: Vec<(Fields, u64)> = Vec::new();
            let mut most = 0;
            while !expected.is_empty() {
                reads.extend(bench.drain_fields("read").into_iter().map(|read| (read, 0)));
                most = most.max(reads.len());
                if !reads.is_empty() && rng.percent(40) && bench.pending("beat") < 2 {
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
                    let (sqid, address) = expected.pop_front().expect("no more than was granted");
                    let (data, error) = line(address);
                    assert_eq!((fetched.get("sqid"), fetched.get("error") == 1), (sqid, error));
                    assert_eq!(fetched.get_words("entry"), data);
                }
                bench.clock();
                assert!(bench.clocks() < 20_000, "{} entries are missing", expected.len());
            }
            bench.run(50);
            assert_eq!((bench.drain("fetched").len(), bench.drain("read").len()), (0, 0));
            assert!(most > 1, "reads overlap");
        });
    }
}
