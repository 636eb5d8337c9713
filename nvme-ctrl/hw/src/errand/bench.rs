//! The running block: ranges are erased and copied piece by piece while transfers pass.

use super::{Errand, COPIED_SECTORS, ERASED_SECTORS};
use crate::testing::{forgets_at_reset, is_quiet_after_reset, under_all_stalls, without_stalls};
use crate::types::{Operation, Target};
use nvme_spec::limits::SECTOR_BYTES;
use nvme_spec::Status;
use rtl_hdl::bench::Bench;
use rtl_hdl::HwEnum;

/// What firmware wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    copies: bool,
    sector: u64,
    source: u64,
    sectors: u32,
}

/// A piece: where it is, where it comes from if it is copied, and how long it is.
type Piece = (u64, Option<u64>, u64);

impl Wanted {
    fn erasure(sector: u64, sectors: u32) -> Wanted {
        Wanted { copies: false, sector, source: 0, sectors }
    }

    fn copy(sector: u64, source: u64, sectors: u32) -> Wanted {
        Wanted { copies: true, sector, source, sectors }
    }

    fn start(&self, bench: &mut Bench) {
        let port = if self.copies { "copy" } else { "erase" };
        for (port, value) in [("sector", self.sector), ("source", self.source), ("sectors", self.sectors.into())] {
            bench.poke(port, value);
        }
        bench.poke(port, 1);
        bench.clock();
        for port in [port, "sector", "source", "sectors"] {
            bench.poke(port, 0);
        }
        bench.clock();
    }

    fn pieces(&self) -> Vec<Piece> {
        let longest = if self.copies { COPIED_SECTORS } else { ERASED_SECTORS };
        let starts = (0..self.sectors).step_by(longest as usize);
        let piece = |start: u32| {
            let from = self.copies.then_some(self.source + u64::from(start));
            (self.sector + u64::from(start), from, u64::from((self.sectors - start).min(longest)))
        };
        starts.map(piece).collect()
    }
}

/// Ends the piece that is under way.
fn end(bench: &mut Bench, status: u16) {
    bench.poke("done", 1);
    bench.poke("status", status.into());
    bench.clock();
    bench.poke("done", 0);
    bench.clock();
}

/// The next piece. Transfers are counted and dropped.
fn next_piece(bench: &mut Bench, transfers: &mut u32) -> Piece {
    for _ in 0..500 {
        for item in bench.drain_fields("own") {
            if item.get("target") == Target::Buffer.code() {
                *transfers += 1;
                continue;
            }
            assert_eq!((item.get("target"), item.get("errand")), (Target::Storage.code(), 1));
            let [sector, written] = ["sector", "prp1"].map(|field| item.get(field));
            let sectors = item.get("bytes") / u64::from(SECTOR_BYTES);
            let copies = item.get("operation") == Operation::Copy.code();
            assert!(copies || item.get("operation") == Operation::Deallocate.code());
            return if copies { (written, Some(sector), sectors) } else { (sector, None, sectors) };
        }
        bench.clock();
    }
    panic!("no piece comes");
}

#[test]
fn every_sector_is_erased_or_copied_once_and_transfers_pass() {
    under_all_stalls(&Errand, |bench, rng| {
        let (mut transfers, mut sent) = (0, 0);
        let lengths = [COPIED_SECTORS, ERASED_SECTORS].map(|most| [1, 7, most - 1, most, most + 1, 5 * most + 3]);
        for sectors in lengths.concat() {
            let [first, source] = [(); 2].map(|()| rng.next_u64() >> 8);
            let copied = Wanted::copy(first, source, sectors);
            for wanted in [Wanted::erasure(first, sectors), copied] {
                wanted.start(bench);
                for expected in wanted.pieces() {
                    if rng.bool() {
                        let item = bench.random_fields("transfer", rng).set("target", Target::Buffer.code());
                        bench.send("transfer", [item.words()]);
                        sent += 1;
                    }
                    assert_eq!(next_piece(bench, &mut transfers), expected, "of {wanted:?}");
                    bench.run(rng.below(20));
                    assert_eq!(bench.peek("busy"), 1, "until the last piece has ended");
                    end(bench, 0);
                }
                assert_eq!((bench.peek("busy"), bench.peek("failure")), (0, 0));
            }
        }
        bench.run(100);
        let rest = bench.drain_fields("own");
        assert!(rest.iter().all(|item| item.get("target") == Target::Buffer.code()), "no more pieces");
        assert_eq!(transfers + rest.len() as u32, sent);
    });
}

#[test]
fn the_first_failure_ends_it_and_the_next_start_forgets_it() {
    without_stalls(&Errand, |bench| {
        let mut transfers = 0;
        for copies in [false, true] {
            let failure = Status::UNRECOVERED_READ_ERROR.raw();
            Wanted { copies, ..Wanted::erasure(0, 4 * ERASED_SECTORS) }.start(bench);
            next_piece(bench, &mut transfers);
            end(bench, 0);
            next_piece(bench, &mut transfers);
            // A second start changes nothing.
            Wanted { copies: !copies, ..Wanted::erasure(7, 1) }.start(bench);
            end(bench, failure);
            assert_eq!((bench.peek("busy"), bench.peek("failure")), (0, failure.into()));
            bench.run(50);
            assert_eq!(bench.drain("own").len(), 0);
            Wanted::erasure(9, 1).start(bench);
            assert_eq!((bench.peek("busy"), bench.peek("failure")), (1, 0));
            assert_eq!(next_piece(bench, &mut transfers), (9, None, 1));
            end(bench, 0);
            Wanted { copies, ..Wanted::erasure(9, 0) }.start(bench);
            assert_eq!(bench.peek("busy"), 0, "nothing is done at once");
        }
    });
}

/// The end of a transfer is no end of a piece.
#[test]
fn only_the_end_of_a_piece_counts() {
    without_stalls(&Errand, |bench| {
        end(bench, Status::WRITE_FAULT.raw());
        assert_eq!(bench.peek("failure"), 0);
        Wanted::erasure(0, 1).start(bench);
        bench.run(5);
        assert_eq!(bench.peek("busy"), 1);
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&Errand, &[], &[]);
    is_quiet_after_reset(&Errand, &["busy", "failure"]);
}
