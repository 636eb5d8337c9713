//! The running block.

use super::StorageMux;
use crate::testing::under_all_stalls;
use crate::types::{Operation, Target};
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::{block_fn, Block, HwEnum};

/// The names of a stream's fields.
fn names_of(bench: &Bench, stream: &str) -> Vec<String> {
    bench.stream(stream).leaves.iter().map(|(name, _)| name[1..].to_string()).collect()
}

/// An item of `output` with the fields of `item`, those of a command under their own names.
fn routed(bench: &Bench, output: &str, item: &Fields, prefix: &str, has: impl Fn(&str) -> bool) -> Fields {
    names_of(bench, output).iter().fold(bench.fields(output), |routed, name| {
        let own = format!("{prefix}{name}");
        let from = if has(&own) { own } else { name.clone() };
        if has(&from) {
            routed.set_words(name, &item.get_words(&from))
        } else {
            routed
        }
    })
}

/// Sends random commands; returns what the storage gets, and the buffer, and the numbers of beats of Stores.
fn send_commands(bench: &mut Bench, rng: &mut Rng) -> ([Vec<Vec<u64>>; 2], Vec<u64>) {
    let (mut expected, mut stores) = ([vec![], vec![]], vec![]);
    let fields = names_of(bench, "start");
    let has = |name: &str| fields.iter().any(|field| field == name);
    for _ in 0..200 {
        let (target, operation) = (*rng.pick(Target::VARIANTS), *rng.pick(Operation::VARIANTS));
        let item = bench.random_fields("start", rng).set("target", target.code());
        let item = item.set("command_operation", operation.code());
        bench.send("start", [item.clone().words()]);
        if target == Target::Storage {
            let operation = match operation {
                Operation::Load | Operation::Compare => Operation::Read,
                Operation::Store => Operation::Write,
                other => other,
            };
            let routed = routed(bench, "storage_command", &item, "command_", has);
            if item.get("command_operation") == Operation::Store.code() {
                stores.push(item.get("beats"));
            }
            expected[0].push(routed.set("operation", operation.code()).words());
        }
        if target != Target::Storage {
            let routed = routed(bench, "buffer_command", &item, "command_", has);
            expected[1].push(routed.set("in_bounce", target != Target::Buffer).words());
        }
    }
    (expected, stores)
}

/// Sends random beats; returns what comes of them on `output`.
fn send_beats(bench: &mut Bench, rng: &mut Rng, stream: &str, output: &str) -> Vec<Vec<u64>> {
    let fields = names_of(bench, stream);
    let beat = |_| {
        let item = bench.random_fields(stream, rng);
        bench.send(stream, [item.clone().words()]);
        routed(bench, output, &item, "", |name| fields.iter().any(|field| field == name)).words()
    };
    (0..50).map(beat).collect()
}

/// The block with a clock, which a bench needs.
pub(crate) fn with_clock() -> impl Block {
    block_fn("storage_mux_with_clock", |m| {
        m.clock();
        m.allow_combinational("so does the block");
        let mux = m.instance("mux", &StorageMux);
        for stream in ["start", "write", "storage_read", "drain", "storage_command", "buffer_command"] {
            m.export(&mux, stream, stream);
        }
        for stream in ["storage_write", "buffer_write", "load", "read", "buffer_read"] {
            m.export(&mux, stream, stream);
        }
        for output in ["store", "store_beats"] {
            m.output(output, mux.port(output));
        }
        for input in ["loads", "stores"] {
            mux.port(input).set(m.input(input, 1));
        }
    })
}

#[test]
fn every_item_reaches_its_target_in_order() {
    under_all_stalls(&with_clock(), |bench, rng| {
        let commands = ["storage_command", "buffer_command"];
        let (expected, stores) = send_commands(bench, rng);
        let mut stored = vec![];
        while bench.pending("start") > 0 {
            bench.clock();
            assert!(bench.clocks() < 5000, "commands are missing");
            if bench.peek("store") == 1 {
                stored.push(bench.peek("store_beats"));
            }
        }
        bench.run(100);
        assert_eq!(commands.map(|stream| bench.drain(stream)), expected);
        assert_eq!(stored, stores);

        let mut expected = [vec![], vec![]];
        for _ in 0..200 {
            let target = *rng.pick(Target::VARIANTS);
            let item = bench.random_fields("write", rng).set("target", target.code());
            bench.send("write", [item.clone().words()]);
            let number = usize::from(target != Target::Storage);
            let output = ["storage_write", "buffer_write"][number];
            expected[number].push(routed(bench, output, &item, "", |_| true).words());
        }
        bench.run_until(5000, |bench| bench.pending("write") == 0);
        bench.run(100);
        assert_eq!(["storage_write", "buffer_write"].map(|stream| bench.drain(stream)), expected);

        for on in [0, 1, 0] {
            for (switch, stream, outputs) in
                [("loads", "storage_read", ["read", "load"]), ("stores", "drain", ["buffer_read", "storage_write"])]
            {
                bench.poke(switch, on as u64);
                let expected = send_beats(bench, rng, stream, outputs[on]);
                bench.run_until(2000, |bench| bench.pending(stream) == 0);
                bench.run(100);
                assert_eq!(bench.drain(outputs[on]), expected);
                assert!(bench.drain(outputs[1 - on]).is_empty());
                bench.poke(switch, 0);
            }
        }
    });
}
