//! The running block.

use super::StorageMux;
use crate::testing::under_all_stalls;
use crate::types::Target;
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::{block_fn, Block, HwEnum};

/// Sends random items; returns what each target gets: the fields of its own stream, from those of the same name with `prefix`.
fn send(bench: &mut Bench, rng: &mut Rng, stream: &str, prefix: &str, outputs: [&str; 2]) -> [Vec<Vec<u64>>; 2] {
    let mut expected = [vec![], vec![]];
    for _ in 0..200 {
        let target = *rng.pick(Target::VARIANTS);
        let item = bench.random_fields(stream, rng).set("target", target.code());
        bench.send(stream, [item.clone().words()]);
        let output = outputs[target.code() as usize];
        let names: Vec<String> = bench.stream(output).leaves.iter().map(|(name, _)| name[1..].to_string()).collect();
        let routed = names.iter().fold(bench.fields(output), |routed, name| {
            // What is no part of the command itself has its own name.
            let from = if name == "beats" { name.clone() } else { format!("{prefix}{name}") };
            routed.set_words(name, &item.get_words(&from))
        });
        expected[target.code() as usize].push(routed.words());
    }
    expected
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
        let (commands, beats) = (["storage_command", "buffer_command"], ["storage_write", "buffer_write"]);
        let expected_commands = send(bench, rng, "start", "command_", commands);
        let expected_beats = send(bench, rng, "write", "", beats);
        bench.run_until(5000, |bench| bench.pending("start") + bench.pending("write") == 0);
        bench.run(100);
        assert_eq!(commands.map(|stream| bench.drain(stream)), expected_commands);
        assert_eq!(beats.map(|stream| bench.drain(stream)), expected_beats);
    });
}
