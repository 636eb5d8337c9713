//! The running block: units of both inputs to random places of host memory.

use super::DmaWrite;
use crate::io_engine::bench::bytes::Bytes;
use crate::io_engine::bench::host::{Host, HostTiming};
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls, CONFIGS};
use crate::Config;
use rtl_hdl::bench::{Bench, Fields, Rng, Seed};
use std::collections::VecDeque;

const PAGE: u64 = 4096;

/// The function of the unit whose pages these are.
pub(crate) fn function_of(address: u64) -> u64 {
    address / (2 * PAGE) * 37 % 256
}

/// A unit that writes `bytes` bytes at `offset` in page `2 * number`, and from the start of page `2 * number + 1` on.
pub(crate) struct Unit {
    pub number: u64,
    pub offset: u64,
    pub bytes: u64,
}

impl Unit {
    pub fn random(rng: &mut Rng, number: u64) -> Unit {
        let [any_offset, any_bytes] = [4 * rng.below(1024), 4 * (1 + rng.below(1024))];
        // Every dword of a line is a beginning.
        let in_line = 4 * (number % 16);
        let offset = *rng.pick(&[0, 4, 60, 64, 4092, in_line, 4032 + in_line, any_offset, any_offset]);
        let bytes = *rng.pick(&[4, 60, 64, 68, 512, 4096, 4096, any_bytes]);
        Unit { number, offset, bytes }
    }

    /// Address of the data, which is in one piece because the two pages are neighbours.
    pub fn address(&self) -> u64 {
        2 * self.number * PAGE + self.offset
    }

    /// The function whose memory it is.
    pub fn function(&self) -> u64 {
        function_of(self.address())
    }

    pub fn beats(&self) -> u64 {
        self.bytes.div_ceil(64)
    }

    /// The unit as an item of `read_unit` or `write_unit`.
    pub fn item(&self, fields: Fields, tag: u64) -> Vec<u64> {
        let (start, end) = (self.address(), self.address() + self.bytes);
        let lines = end.div_ceil(64) - start / 64;
        let lines_to_end = (PAGE - self.offset).div_ceil(64);
        let fields = fields.set("tag", tag).set("function", self.function());
        let fields = fields.set("place_first", start / 64).set("place_second", 2 * self.number + 1);
        let fields = fields.set("place_lines", lines).set("place_lines_first", lines.min(lines_to_end));
        let fields = fields.set("place_begin", start / 4 % 16).set("place_end", end / 4 % 16);
        fields.set("place_beats", self.beats()).words()
    }
}

/// Beats of units in the order in which an input sends them, each unit whole.
struct Sender {
    stream: &'static str,
    units: VecDeque<(Unit, u64)>,
}

impl Sender {
    /// Sends all beats of the next unit, some of them with an error, and notes what must be in memory. Returns the unit and its tag.
    fn send(&mut self, bench: &mut Bench, rng: &mut Rng, expected: &mut Bytes) -> Option<(Unit, u64)> {
        let (unit, tag) = self.units.pop_front()?;
        let errors = rng.below(8) == 0;
        for beat in 0..unit.beats() {
            let data = rng.bits(512);
            let error = errors && rng.bool();
            let last = beat + 1 == unit.beats();
            let item = bench.fields(self.stream).set("tag", tag).set("error", error).set("last", last);
            bench.send(self.stream, [item.set_words("data", &data).words()]);
            let bytes: Vec<u8> = data.iter().flat_map(|word| word.to_le_bytes()).collect();
            let count = (unit.bytes - 64 * beat).min(64) as usize;
            if !error {
                expected.store(unit.address() + 64 * beat, &bytes[..count]);
            }
        }
        Some((unit, tag))
    }
}

#[test]
fn every_byte_goes_where_it_belongs_and_no_other() {
    for config in CONFIGS {
        under_all_stalls(&DmaWrite::new(config), |bench, rng| {
            let count = 60;
            let mut memory = Bytes::default();
            for page in 0..2 * count {
                let old: Vec<u8> = (0..PAGE).map(|_| rng.next_u64() as u8).collect();
                memory.store(page * PAGE, &old);
            }
            let mut expected = memory.clone();
            let mut host = Host::new(memory, HostTiming { latency: 0, late_max: 0 }, rng.clone());
            let mut senders = ["storage_read", "buffer_read"].map(|stream| Sender { stream, units: VecDeque::new() });
            let mut free: Vec<u64> = (0..config.units.into()).collect();
            let (mut next, mut running, mut ended) = (0, vec![], 0);
            for _ in 0..30_000 {
                if let (true, false) = (next < count, free.is_empty()) {
                    let (unit, tag) =
                        (Unit::random(rng, next), free.swap_remove(rng.below(free.len() as u64) as usize));
                    next += 1;
                    bench.send("read_unit", [unit.item(bench.fields("read_unit"), tag)]);
                    let sender = rng.below(2) as usize;
                    let at = rng.below(senders[sender].units.len() as u64 + 1) as usize;
                    senders[sender].units.insert(at, (unit, tag));
                }
                // A unit's data comes after the block was told of it, and units of one input in any order.
                let sender = &mut senders[rng.below(2) as usize];
                if bench.pending("read_unit") == 0 && bench.pending(sender.stream) == 0 {
                    running.extend(sender.send(bench, rng, &mut expected));
                }
                if rng.percent(5) {
                    bench.hold("data_write", rng.bool());
                }
                bench.clock();
                for head in bench.received("data_write") {
                    let head = Fields::from_words(bench.stream("data_write"), head);
                    assert_eq!(head.get("function"), function_of(head.get("address")));
                }
                host.take_writes(bench);
                for written in bench.drain_fields("written") {
                    let tag = written.get("tag");
                    let at = running
                        .iter()
                        .position(|(_, t)| *t == tag)
                        .unwrap_or_else(|| panic!("tag {tag} is not running"));
                    let (unit, _): (Unit, u64) = running.swap_remove(at);
                    assert!(host.has_heads_of(&[(unit.address(), unit.bytes)]), "a head of tag {tag} still waits");
                    free.push(tag);
                    ended += 1;
                }
                if ended == count {
                    break;
                }
            }
            assert_eq!(ended, count, "not all units have been written");
            bench.run(100);
            host.take_writes(bench);
            assert!(host.is_idle(), "half a write is left");
            assert_eq!(host.memory.first_difference(&expected), None);
        });
    }
}

/// A unit takes as many clocks as it has lines.
#[test]
fn writes_a_line_in_every_clock() {
    without_stalls(&DmaWrite::new(Config::DEFAULT), |bench| {
        let rng = &mut Seed(1).rng("data");
        let mut sender = Sender { stream: "storage_read", units: VecDeque::new() };
        for number in 0..16 {
            let unit = Unit { number, offset: if number % 2 == 0 { 0 } else { 100 }, bytes: 4096 };
            bench.send("read_unit", [unit.item(bench.fields("read_unit"), number)]);
            sender.units.push_back((unit, number));
        }
        bench.run_until(100, |bench| bench.pending("read_unit") == 0);
        while sender.send(bench, rng, &mut Bytes::default()).is_some() {}
        let began = bench.clocks();
        bench.run_until(2000, |bench| bench.received("data_write_beat").len() == 8 * (64 + 65));
        let clocks = bench.clocks() - began;
        assert!(clocks <= 8 * (64 + 65) + 4, "{clocks} clocks");
    });
}

/// Both inputs have every second unit while both have some.
#[test]
fn inputs_take_turns() {
    without_stalls(&DmaWrite::new(Config::DEFAULT), |bench| {
        let rng = &mut Seed(1).rng("data");
        // A unit that a reset cuts off has no turn.
        bench.send("storage_read", [bench.fields("storage_read").set("tag", 9u8).words()]);
        bench.run(2);
        bench.reset(1);
        bench.hold("data_write_beat", true);

        let mut senders = ["storage_read", "buffer_read"].map(|stream| Sender { stream, units: VecDeque::new() });
        for number in 0..16 {
            let unit = Unit { number, offset: 0, bytes: 128 };
            bench.send("read_unit", [unit.item(bench.fields("read_unit"), number)]);
            senders[if number < 12 { number as usize % 2 } else { 0 }].units.push_back((unit, number));
        }
        bench.run_until(100, |bench| bench.pending("read_unit") == 0);
        for sender in &mut senders {
            while sender.send(bench, rng, &mut Bytes::default()).is_some() {}
        }
        bench.run(10);
        assert_eq!(bench.peek("data_write_beat_valid"), 1, "a line is offered before there is room for it");
        bench.hold("data_write_beat", false);
        bench.run_until(1000, |bench| bench.received("written").len() == 16);
        let inputs: Vec<u64> = bench.drain_fields("written").iter().map(|written| written.get("tag") % 2).collect();
        assert!(inputs[..12].windows(2).all(|pair| pair[0] != pair[1]), "{inputs:?}");
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    for config in CONFIGS {
        forgets_at_reset(&DmaWrite::new(config), &["storage_read", "buffer_read"], &[]);
    }
}
