//! The running block.

use super::{ListReader, LINES};
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls};
use crate::types::{reader, BEAT_BYTES};
use rtl_hdl::bench::{Bench, Fields, Rng};
use std::collections::VecDeque;

const LINE: u64 = BEAT_BYTES as u64;

/// What host memory holds at the qword with this number.
fn content(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Some lines cannot be read.
fn is_bad(line: u64) -> bool {
    content(line) % 16 == 0
}

/// A list, and how many of its entries are wanted.
struct Wanted {
    function: u64,
    address: u64,
    entries: u64,
    wanted: u64,
}

impl Wanted {
    fn any(rng: &mut Rng) -> Wanted {
        let (few, many) = (1 + rng.below(9), 1 + rng.below(600));
        let entries = *rng.pick(&[few, few, many]);
        let part = rng.below(entries);
        Wanted {
            function: rng.below(256),
            address: rng.next_u64() >> 3,
            entries,
            wanted: *rng.pick(&[entries, entries, part]),
        }
    }

    fn lines(&self) -> std::ops::RangeInclusive<u64> {
        self.address / 8..=(self.address + self.entries - 1) / 8
    }
}

fn send(bench: &mut Bench, list: &Wanted) {
    let item = bench.fields("list").set("function", list.function).set("address", list.address);
    bench.send("list", [item.set("entries", list.entries).words()]);
}

fn answer(bench: &mut Bench, read: &Fields) {
    let line = read.get("address") / LINE;
    let data: Vec<u64> = (0..8).map(|at| content(8 * line + at)).collect();
    let item = bench.fields("list_beat").set("id", read.get("id")).set("last", 1u8).set("error", is_bad(line));
    bench.send("list_beat", [item.set_words("data", &data).words()]);
}

#[test]
fn every_entry_comes_in_its_order_and_a_list_that_is_given_up_leaves_nothing() {
    under_all_stalls(&ListReader, |bench, rng| {
        let mut given_up = 0;
        for _ in 0..60 {
            let list = Wanted::any(rng);
            send(bench, &list);
            let mut lines: VecDeque<u64> = list.lines().collect();
            let mut asked: VecDeque<Fields> = VecDeque::new();
            let (mut taken, mut stopped, mut clocks) = (0, false, 0);
            // Until the list has been taken and used up.
            while bench.pending("list") > 0 || bench.peek("idle") == 0 {
                for read in bench.drain_fields("list_read") {
                    assert_eq!((read.get("id"), read.get("beats")), (u64::from(reader::LIST << 6), 1));
                    assert_eq!(read.get("function"), list.function);
                    assert_eq!(Some(read.get("address") / LINE), lines.pop_front());
                    asked.push_back(read);
                }
                assert!(asked.len() <= LINES as usize, "more lines are in flight than there is room for");
                if rng.percent(20) {
                    asked.pop_front().iter().for_each(|read| answer(bench, read));
                }
                stopped |= taken == list.wanted && taken < list.entries && bench.pending("list") == 0;
                let takes = bench.peek("entry_known") == 1 && !stopped && rng.percent(60);
                if takes {
                    let number = list.address + taken;
                    assert_eq!(bench.peek("entry_error"), is_bad(number / 8).into());
                    assert_eq!(bench.peek("entry"), content(number), "entry {taken} of {}", list.entries);
                    taken += 1;
                }
                bench.poke("take_entry", takes.into());
                bench.poke("stop", stopped.into());
                bench.clock();
                clocks += 1;
                assert!(clocks < 20_000, "{taken} entries of {} came", list.wanted);
            }
            bench.poke("stop", 0);
            given_up += u32::from(stopped);
            assert_eq!(taken, list.wanted);
            assert!(stopped || lines.is_empty(), "a line was not needed");
            assert!(asked.is_empty() && bench.received("list_read").is_empty(), "idle while a read is in flight");
        }
        assert!(given_up > 5, "no list was given up");
    });
}

/// The host takes its time for every line, and entries come as if it took none.
#[test]
fn reads_ahead() {
    without_stalls(&ListReader, |bench| {
        let list = Wanted { function: 0, address: 0, entries: 512, wanted: 512 };
        send(bench, &list);
        let latency = 50;
        let mut due: VecDeque<(u64, Fields)> = VecDeque::new();
        let (mut taken, mut ahead) = (0, 0);
        while taken < 512 {
            for read in bench.drain_fields("list_read") {
                due.push_back((bench.clocks() + latency, read));
            }
            ahead = ahead.max(due.len());
            while due.front().is_some_and(|(clock, _)| *clock <= bench.clocks()) {
                let (_, read) = due.pop_front().expect("it was seen");
                answer(bench, &read);
            }
            let takes = bench.peek("entry_known");
            taken += takes;
            bench.poke("take_entry", takes);
            bench.clock();
            assert!(bench.clocks() < 512 + (64 / u64::from(LINES)) * (latency + 10), "{taken} entries came");
        }
        assert_eq!(ahead, LINES as usize, "as many lines as there is room for are in flight");
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&ListReader, &["list_beat"], &["entry", "entry_error"]);
}
