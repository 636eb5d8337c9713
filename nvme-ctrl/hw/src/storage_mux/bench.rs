//! The running block.

use super::StorageMux;
use crate::testing::under_all_stalls;
use crate::types::Target;
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::{block_fn, Block, HwEnum};

/// What goes to each target, in order, by a number that each item carries.
fn send(bench: &mut Bench, rng: &mut Rng, stream: &str, number_field: &str) -> [Vec<u64>; 2] {
    let mut sent = [vec![], vec![]];
    for number in 0..200 {
        let target = *rng.pick(Target::VARIANTS);
        let item = bench.fields(stream).set("target", target.code()).set_words(number_field, &[number % 256]);
        bench.send(stream, [item.words()]);
        sent[target.code() as usize].push(number % 256);
    }
    sent
}

/// The block with a clock, which a bench needs.
pub(crate) fn with_clock() -> impl Block {
    block_fn("storage_mux_with_clock", |m| {
        m.clock();
        m.allow_combinational("so does the block");
        let mux = m.instance("mux", &StorageMux);
        for stream in ["start", "write", "storage_command", "buffer_command", "storage_write", "buffer_write"] {
            m.export(&mux, stream, stream);
        }
    })
}

#[test]
fn every_item_reaches_its_target_in_order() {
    under_all_stalls(&with_clock(), |bench, rng| {
        let commands = send(bench, rng, "start", "command_tag");
        let beats = send(bench, rng, "write", "data");
        bench.run_until(5000, |bench| bench.pending("start") + bench.pending("write") == 0);
        bench.run(100);
        let mut got = |stream: &str, field: &str| -> Vec<u64> {
            bench.drain_fields(stream).iter().map(|item| item.get_words(field)[0]).collect()
        };
        assert_eq!([got("storage_command", "tag"), got("buffer_command", "tag")], commands);
        assert_eq!([got("storage_write", "data"), got("buffer_write", "data")], beats);
    });
}
