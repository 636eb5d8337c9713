//! The running block.

use super::Complete;
use crate::testing::{forgets_at_reset, is_quiet_after_reset, under_all_stalls};
use crate::types::Target;
use nvme_spec::opcode::io;
use rtl_hdl::HwEnum;

#[test]
fn commands_are_completed_and_transfers_reported() {
    under_all_stalls(&Complete, |bench, rng| {
        let mut completions = Vec::new();
        let [mut transfers, mut errands] = [vec![], vec![]];
        let mut counts = [0u64; 6];
        for cid in 0..300u64 {
            let target = *rng.pick(&[Target::Storage, Target::Storage, Target::Buffer]);
            let errand = target == Target::Storage && rng.below(3) == 0;
            let (opcode, blocks) = (
                *rng.pick(&[
                    io::READ,
                    io::COMPARE,
                    io::WRITE,
                    io::VERIFY,
                    io::FLUSH,
                    io::WRITE_ZEROES,
                    io::WRITE_UNCORRECTABLE,
                ]),
                rng.range(1..65_537),
            );
            let status = if target == Target::Buffer || errand { rng.below(3) } else { 0 };
            let item = bench.random_fields("outcome", rng).set("sqid", cid % 9).set("cid", cid).set("opcode", opcode);
            let item = item.set("target", target.code()).set("errand", u64::from(errand));
            let large_blocks = rng.below(2) == 1;
            let item = item.set("blocks", blocks).set("large_blocks", u64::from(large_blocks)).set("status", status);
            bench.send("outcome", [item.words()]);
            match target {
                Target::Storage if errand => errands.push(status),
                Target::Storage => {
                    let item = bench.fields("completion").set("sqid", cid % 9).set("cid", cid);
                    completions.push(item.words());
                    let kinds: [&[u8]; 3] = [&[io::READ, io::COMPARE], &[io::VERIFY], &[io::WRITE]];
                    if let Some(kind) = kinds.iter().position(|kind| kind.contains(&opcode)) {
                        counts[kind] += 1;
                        counts[3 + kind] += if large_blocks { 8 * blocks } else { blocks };
                    }
                }
                Target::Buffer | Target::Bounce => transfers.push(status),
            }
        }
        let mut seen_counts = [0u64; 6];
        let [mut seen_transfers, mut seen_errands] = [vec![], vec![]];
        let all = completions.len() + transfers.len() + errands.len();
        while bench.received("completion").len() + seen_transfers.len() + seen_errands.len() < all {
            bench.clock();
            for (kind, port) in ["read_done", "verify_done", "write_done"].into_iter().enumerate() {
                seen_counts[kind] += bench.peek(port);
                seen_counts[3 + kind] += bench.peek(port) * bench.peek("sectors_done");
            }
            if bench.peek("transfer_done") == 1 {
                seen_transfers.push(bench.peek("transfer_status"));
            }
            if bench.peek("errand_done") == 1 {
                seen_errands.push(bench.peek("transfer_status"));
            }
            assert!(bench.clocks() < 10_000, "outcomes are missing");
        }
        assert_eq!(bench.drain("completion"), completions);
        assert_eq!((seen_transfers, seen_errands), (transfers, errands));
        assert_eq!(seen_counts, counts);
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    // These belong to pulses.
    forgets_at_reset(&Complete, &[], &["transfer_status", "sectors_done"]);
    is_quiet_after_reset(&Complete, &["transfer_done", "errand_done", "read_done", "verify_done", "write_done"]);
}
