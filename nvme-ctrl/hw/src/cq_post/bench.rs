//! The running block, with an interrupt block that answers each raised vector by a message.

use super::CqPost;
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls};
use rtl_hdl::bench::Bench;

/// One clock; `quiet` says whether nothing was there in it.
fn clock(bench: &mut Bench) {
    let before = ["write_valid", "raise"].map(|port| bench.peek(port));
    bench.clock();
    let offered = ["posted_valid", "message_valid"].map(|port| bench.peek(port));
    let quiet = before == [0, 0] && offered == [0, 0];
    assert_eq!(bench.peek("quiet"), u64::from(quiet), "`quiet` after {before:?} and {offered:?}");
}

#[test]
fn an_entry_leaves_before_its_message() {
    under_all_stalls(&CqPost, |bench, rng| {
        let mut vectors = Vec::new();
        let mut entries = Vec::new();
        for number in 0..200u64 {
            let (written, interrupt) = (rng.percent(80), rng.percent(70));
            let item = bench.fields("posted").set("written", u8::from(written)).set("address", 16 * number);
            let item = item.set_words("entry", &[number, !number]).set("interrupt", u8::from(interrupt));
            let item = item.set("function", number % 200).set("vector", number % 256);
            bench.send("posted", [item.words()]);
            vectors.extend(interrupt.then_some(number % 256));
            entries.extend(written.then_some(number));
        }
        // Numbers of the entries that have left, and vectors that were raised.
        let (mut left, mut raised, mut messages) = (Vec::new(), Vec::new(), 0);
        while messages < vectors.len() || left.len() < entries.len() {
            if bench.peek("raise") == 1 {
                let vector = bench.peek("raise_vector");
                let item = bench.random_fields("message", rng).set("address", 0xFEE0_0000 + vector);
                let item = item.set_words("data", &[vector]).set("function", vector ^ 0xff).set("is_entry", 0u8);
                bench.send("message", [item.words()]);
                raised.push(vector);
            }
            for write in bench.drain_fields("write") {
                let number = write.get_words("data")[0];
                if write.get("is_entry") == 1 {
                    assert_eq!((write.get("address"), write.get("function")), (16 * number, number % 200));
                    assert_eq!(write.get_words("data"), [number, !number]);
                    left.push(number);
                } else {
                    messages += 1;
                    assert_eq!((write.get("address"), write.get("function")), (0xFEE0_0000 + number, number ^ 0xff));
                    assert!(!entries.contains(&number) || left.contains(&number), "message {number} before its entry");
                }
            }
            clock(bench);
            assert!(bench.clocks() < 10_000, "{messages} messages of {}", vectors.len());
        }
        assert_eq!(left, entries, "every entry leaves once and in order");
        assert_eq!(raised, vectors, "every interrupt is raised once and in order");
        (0..100).for_each(|_| clock(bench));
        assert_eq!(bench.peek("quiet"), 1);
    });
}

/// Both have every second turn, also while nothing can leave.
#[test]
fn entries_and_messages_take_turns() {
    without_stalls(&CqPost, |bench| {
        for number in 0..20u64 {
            let item = bench.fields("posted").set("written", 1u8).set("address", number);
            bench.send("posted", [item.words()]);
            let item = bench.fields("message").set("address", number);
            bench.send("message", [item.words()]);
        }
        for held in [true, false, true, false] {
            bench.hold("write", held);
            bench.run(9);
        }
        bench.run_until(100, |bench| bench.received("write").len() == 40);
        let turns: Vec<u64> = bench.drain_fields("write").iter().map(|write| write.get("is_entry")).collect();
        assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "{turns:?}");
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
            clock(bench);
            assert_eq!(bench.peek("raise"), 0);
            assert!(bench.clocks() < 1000);
        }
        bench.run_until(100, |bench| bench.peek("quiet") == 1);
        assert_eq!(bench.drain("write").len(), 0);
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    // It belongs to a pulse.
    forgets_at_reset(&CqPost, &[], &["raise_vector"]);
}
