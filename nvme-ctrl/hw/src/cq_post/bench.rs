//! The running block, with an interrupt block that answers each raised vector by a message.

use super::CqPost;
use crate::testing::under_all_stalls;

#[test]
fn an_entry_leaves_before_its_message() {
    under_all_stalls(&CqPost, |bench, rng| {
        let mut interrupts = 0;
        let mut entries = Vec::new();
        for number in 0..200u64 {
            let (written, interrupt) = (rng.percent(80), rng.percent(70));
            let item = bench.fields("posted").set("written", u8::from(written)).set("address", 16 * number);
            let item = item.set_words("entry", &[number, !number]).set("interrupt", u8::from(interrupt));
            bench.send("posted", [item.set("vector", number % 256).words()]);
            interrupts += usize::from(interrupt);
            entries.extend(written.then_some(number));
        }
        // Numbers of the entries that have left.
        let (mut left, mut messages) = (Vec::new(), 0);
        while messages < interrupts || left.len() < entries.len() {
            if bench.peek("raise") == 1 {
                let vector = bench.peek("raise_vector");
                let item = bench.fields("message").set("address", 0xFEE0_0000 + vector).set_words("data", &[vector]);
                bench.send("message", [item.words()]);
            }
            for write in bench.drain_fields("write") {
                let number = write.get_words("data")[0];
                if write.get("is_entry") == 1 {
                    assert_eq!(write.get("address"), 16 * number);
                    assert_eq!(write.get_words("data"), [number, !number]);
                    left.push(number);
                } else {
                    messages += 1;
                    assert_eq!(write.get("address"), 0xFEE0_0000 + number);
                    assert!(!entries.contains(&number) || left.contains(&number), "message {number} before its entry");
                }
            }
            bench.clock();
            assert!(bench.clocks() < 10_000, "{messages} messages of {interrupts}");
        }
        assert_eq!(left, entries, "every entry leaves once and in order");
        bench.run_until(100, |bench| bench.peek("quiet") == 1);
    });
}

#[test]
fn nothing_leaves_after_the_end_of_a_life() {
    under_all_stalls(&CqPost, |bench, _| {
        bench.poke("dropping", 1);
        let entry = bench.fields("posted").set("written", 1u8).set("interrupt", 1u8).words();
        let message = bench.fields("message").words();
        bench.send("posted", vec![entry; 20]);
        bench.send("message", vec![message; 20]);
        while bench.pending("posted") + bench.pending("message") > 0 {
            bench.clock();
            assert_eq!(bench.peek("raise"), 0);
            assert!(bench.clocks() < 1000);
        }
        bench.run_until(100, |bench| bench.peek("quiet") == 1);
        assert_eq!(bench.drain("write").len(), 0);
    });
}
