//! The running block: ranges are erased piece by piece while transfers pass.

use super::{Erase, PIECE_SECTORS};
use crate::testing::{forgets_at_reset, is_quiet_after_reset, under_all_stalls, without_stalls};
use crate::types::{Operation, Target};
use nvme_spec::limits::SECTOR_BYTES;
use rtl_hdl::bench::Bench;
use rtl_hdl::HwEnum;

fn start(bench: &mut Bench, sector: u64, sectors: u32) {
    bench.poke("sector", sector);
    bench.poke("sectors", sectors.into());
    bench.poke("start", 1);
    bench.clock();
    bench.poke("start", 0);
    bench.poke("sectors", 0);
    bench.clock();
}

/// Ends the piece that is under way.
fn end(bench: &mut Bench, status: u64) {
    bench.poke("done", 1);
    bench.poke("status", status);
    bench.clock();
    bench.poke("done", 0);
    bench.clock();
}

/// The next piece: its first sector and its number of sectors. Transfers are counted and dropped.
fn next_piece(bench: &mut Bench, transfers: &mut u32) -> (u64, u64) {
    for _ in 0..500 {
        for item in bench.drain_fields("own") {
            if item.get("target") == Target::Buffer.code() {
                *transfers += 1;
                continue;
            }
            assert_eq!((item.get("target"), item.get("erasure")), (Target::Storage.code(), 1));
            assert_eq!(item.get("operation"), Operation::WriteZeroes.code());
            return (item.get("sector"), item.get("bytes") / u64::from(SECTOR_BYTES));
        }
        bench.clock();
    }
    panic!("no piece comes");
}

#[test]
fn every_sector_is_erased_once_and_transfers_pass() {
    under_all_stalls(&Erase, |bench, rng| {
        let (mut transfers, mut sent) = (0, 0);
        for sectors in [1, 7, PIECE_SECTORS - 1, PIECE_SECTORS, PIECE_SECTORS + 1, 5 * PIECE_SECTORS + 3] {
            let first = rng.next_u64() >> 8;
            start(bench, first, sectors);
            let mut at = first;
            while at < first + u64::from(sectors) {
                if rng.bool() {
                    let item = bench.random_fields("transfer", rng).set("target", Target::Buffer.code());
                    bench.send("transfer", [item.words()]);
                    sent += 1;
                }
                let piece = next_piece(bench, &mut transfers);
                let left = first + u64::from(sectors) - at;
                assert_eq!(piece, (at, left.min(PIECE_SECTORS.into())), "the next piece of {sectors} sectors");
                bench.run(rng.below(20));
                assert_eq!(bench.peek("busy"), 1, "until the last piece has ended");
                at += piece.1;
                end(bench, 0);
            }
            assert_eq!((bench.peek("busy"), bench.peek("failed")), (0, 0));
        }
        bench.run(100);
        let rest = bench.drain_fields("own");
        assert!(rest.iter().all(|item| item.get("target") == Target::Buffer.code()), "no more pieces");
        assert_eq!(transfers + rest.len() as u32, sent);
    });
}

#[test]
fn the_first_failure_ends_it_and_the_next_start_forgets_it() {
    without_stalls(&Erase, |bench| {
        let mut transfers = 0;
        start(bench, 0, 4 * PIECE_SECTORS);
        next_piece(bench, &mut transfers);
        end(bench, 0);
        next_piece(bench, &mut transfers);
        // A second start changes nothing.
        start(bench, 7, 1);
        end(bench, 0x281);
        assert_eq!((bench.peek("busy"), bench.peek("failed")), (0, 1));
        bench.run(50);
        assert_eq!(bench.drain("own").len(), 0);
        start(bench, 9, 1);
        assert_eq!((bench.peek("busy"), bench.peek("failed")), (1, 0));
        assert_eq!(next_piece(bench, &mut transfers), (9, 1));
        end(bench, 0);
        start(bench, 9, 0);
        assert_eq!(bench.peek("busy"), 0, "nothing is done at once");
    });
}

/// The end of a transfer is no end of a piece.
#[test]
fn only_the_end_of_a_piece_counts() {
    without_stalls(&Erase, |bench| {
        end(bench, 0x281);
        assert_eq!(bench.peek("failed"), 0);
        start(bench, 0, 1);
        bench.run(5);
        assert_eq!(bench.peek("busy"), 1);
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&Erase, &[], &[]);
    is_quiet_after_reset(&Erase, &["busy", "failed"]);
}
