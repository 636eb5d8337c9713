//! The running block: what goes in comes out in its order, and not before it is whole.

use super::Stage;
use crate::testing::{forgets_at_reset, under_all_stalls};
use nvme_hw::types::Operation;
use rtl_hdl::bench::Fields;
use rtl_hdl::{Block, HwEnum};
use std::collections::VecDeque;

const STAGES: [Stage; 2] = [Stage { commands: 4 }, Stage { commands: 64 }];

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    STAGES.iter().map(|&stage| Box::new(stage) as Box<dyn Block>).collect()
}

#[test]
fn commands_come_in_the_order_of_their_kind_and_writes_with_all_of_their_data() {
    use Operation::{Deallocate, Flush, Read, Verify, Write, WriteUncorrectable, WriteZeroes};
    for stage in STAGES {
        under_all_stalls(&stage, |bench, rng| {
            let [mut reads, mut writes] = [VecDeque::new(), VecDeque::new()];
            let mut data = VecDeque::new();
            let mut to_send: VecDeque<Fields> = VecDeque::new();
            let (mut sent, mut whole) = (0, 0);
            let (mut commands_left, mut taken) = (300, 0);
            while commands_left > 0 || !reads.is_empty() || !writes.is_empty() || !data.is_empty() {
                if commands_left > 0 && rng.percent(20) {
                    commands_left -= 1;
                    let operation =
                        *rng.pick(&[Write, Read, Write, Flush, Verify, WriteZeroes, Deallocate, WriteUncorrectable]);
                    let sectors = if operation == Flush { 0 } else { 1 + rng.below(8) };
                    let item = bench.random_fields("storage_command", rng).set("operation", operation.code());
                    let item = item.set("sectors", sectors);
                    let missing =
                        if operation == Write { rng.next_u64() & rng.next_u64() & ((1 << sectors) - 1) } else { 0 };
                    for beat in 0..if operation == Write { 8 * sectors } else { 0 } {
                        let error = missing >> (beat / 8) & 1;
                        let item = bench.random_fields("storage_write", rng).set("error", error);
                        to_send.push_back(item.set("last", beat + 1 == 8 * sectors));
                    }
                    // Of a write, how many beats must have been sent before it comes.
                    let beats = sent + to_send.len() as u64;
                    bench.send("storage_command", [item.clone().words()]);
                    let is_write = [Write, WriteZeroes, Deallocate, WriteUncorrectable].contains(&operation);
                    let queue = if is_write { &mut writes } else { &mut reads };
                    queue.push_back((item, missing, if operation == Write { beats } else { 0 }));
                }
                if rng.percent(70) {
                    if let Some(beat) = to_send.pop_front() {
                        data.push_back(beat.get_words("data"));
                        bench.send("storage_write", [beat.words()]);
                        sent += 1;
                    }
                }
                bench.clock();
                for (stream, queue) in [("read", &mut reads), ("write", &mut writes)] {
                    for got in bench.drain_fields(stream) {
                        let (command, missing, beats) = queue.pop_front().expect("a command");
                        for field in ["tag", "operation", "sector", "sectors", "fua"] {
                            assert_eq!(got.get(field), command.get(field), "`{field}` of {got:?}");
                        }
                        assert_eq!(got.get("missing"), missing);
                        assert!(beats <= sent, "a write without its data");
                        whole += u64::from(beats > 0);
                    }
                }
                for got in bench.drain_fields("data") {
                    assert_eq!(Some(got.get_words("data")), data.pop_front());
                    taken += 1;
                }
                assert!(bench.clocks() < 200_000);
            }
            assert!(whole > 20 && taken == sent);
        });
    }
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&STAGES[0], &[], &[]);
}
