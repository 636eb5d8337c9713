//! The running block with host memory behind it: an AXI4 subordinate that answers reads in any order.

use super::HostPort;
use crate::testing::{design, simulator, under_all_stalls, FUNCTION_CONFIGS};
use rtl_hdl::bench::{Bench, Fields, Rng, Seed, Stalls};
use std::collections::{BTreeMap, VecDeque};

const READERS: [&str; 3] = ["fetch", "list", "data"];

fn line(address: u64, beat: u64) -> Vec<u64> {
    (0..8).map(|word| (address + 64 * beat).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ word).collect()
}

/// A read that was sent: what its beats must be.
struct Expected {
    address: u64,
    beats: u64,
    seen: u64,
}

/// A write as it arrived: address, and the data of each beat with its strobe.
type Arrived = (u64, Vec<(Vec<u64>, u64)>);

/// Host memory, from outside.
#[derive(Default)]
struct Host {
    reads: Vec<(Fields, u64)>,
    /// Addresses without all their beats, and beats without their address.
    heads: VecDeque<Fields>,
    beats: VecDeque<Fields>,
    /// Beats of the first of `heads`.
    arriving: Vec<(Vec<u64>, u64)>,
    writes: Vec<Arrived>,
}

impl Host {
    /// The part of a clock of the read channels.
    fn answer_reads(&mut self, bench: &mut Bench, rng: &mut Rng, errors: bool) {
        for read in bench.drain_fields("host_ar") {
            assert_eq!((read.get("size"), read.get("burst")), (6, 1));
            let (address, bytes) = (read.get("addr"), 64 * (read.get("len") + 1));
            assert!(address % 64 == 0 && address % 4096 + bytes <= 4096);
            self.reads.push((read, 0));
        }
        if self.reads.is_empty() || bench.pending("host_r") > 1 || rng.percent(20) {
            return;
        }
        let index = rng.below(self.reads.len() as u64) as usize;
        let (read, beat) = &mut self.reads[index];
        let (address, last) = (read.get("addr"), *beat == read.get("len"));
        let error = errors && address >> 12 & 1 == 1;
        let item = bench.fields("host_r").set("id", read.get("id")).set_words("data", &line(address, *beat));
        let item = item.set("resp", if error { 2u8 } else { 0 }).set("last", u8::from(last));
        bench.send("host_r", [item.words()]);
        *beat += 1;
        if last {
            self.reads.swap_remove(index);
        }
    }

    /// The part of a clock of the write channels; `failing` writes are answered with an error.
    fn take_writes(&mut self, bench: &mut Bench, failing: impl Fn(u64) -> bool) {
        for head in bench.drain_fields("host_aw") {
            assert_eq!((head.get("size"), head.get("burst"), head.get("id")), (6, 1, 0));
            self.heads.push_back(head);
        }
        self.beats.extend(bench.drain_fields("host_w"));
        // Beats may come before their address.
        while let Some(head) = self.heads.front() {
            let Some(beat) = self.beats.pop_front() else { break };
            self.arriving.push((beat.get_words("data"), beat.get("strb")));
            let last = self.arriving.len() as u64 == head.get("len") + 1;
            assert_eq!(beat.get("last") == 1, last, "the last beat is marked");
            if last {
                let address = head.get("addr");
                let item = bench.fields("host_b").set("resp", if failing(address) { 2u8 } else { 0 }).words();
                bench.send("host_b", [item]);
                self.writes.push((address, std::mem::take(&mut self.arriving)));
                self.heads.pop_front();
            }
        }
    }
}

#[test]
fn each_reader_gets_its_beats() {
    under_all_stalls(&HostPort::new(FUNCTION_CONFIGS[0]), |bench, rng| {
        bench.poke("bus_master_enable", 3);
        let mut expected: BTreeMap<u64, Expected> = BTreeMap::new();
        let mut host = Host::default();
        let (mut sent, mut ended) = (0, 0);
        while ended < 150 {
            for (number, reader) in READERS.iter().enumerate() {
                let id = (number as u64) << 6 | rng.below(8);
                if sent < 150 && rng.percent(20) && !expected.contains_key(&id) {
                    let beats = rng.range(1..9);
                    let address = 4096 * rng.below(1 << 30) + 64 * rng.below(64 - beats + 1);
                    let name = format!("{reader}_read");
                    let item = bench.fields(&name).set("id", id).set("address", address).set("beats", beats);
                    bench.send(&name, [item.words()]);
                    expected.insert(id, Expected { address, beats, seen: 0 });
                    sent += 1;
                }
                for beat in bench.drain_fields(&format!("{reader}_beat")) {
                    let id = beat.get("id");
                    assert_eq!(id >> 6, number as u64, "a beat of another reader");
                    let read = expected.get_mut(&id).expect("a beat of a read that was sent");
                    let fails = read.address >> 12 & 1 == 1;
                    assert_eq!(beat.get("error") == 1, fails);
                    assert_eq!(beat.get_words("data"), line(read.address, read.seen));
                    read.seen += 1;
                    assert_eq!(beat.get("last") == 1, read.seen == read.beats);
                    if read.seen == read.beats {
                        expected.remove(&id);
                        ended += 1;
                    }
                }
            }
            host.answer_reads(bench, rng, true);
            bench.clock();
            assert!(bench.clocks() < 50_000, "{ended} reads of {sent}");
        }
        bench.run_until(100, |bench| bench.peek("quiet") == 3);
    });
}

#[test]
fn without_bus_mastering_reads_fail_and_writes_vanish() {
    under_all_stalls(&HostPort::new(FUNCTION_CONFIGS[0]), |bench, _| {
        for (number, reader) in READERS.iter().enumerate() {
            let name = format!("{reader}_read");
            let item = bench.fields(&name).set("id", (number as u64) << 6).set("beats", number as u64 + 1).words();
            bench.send(&name, [item]);
        }
        let (head, entry) = (bench.fields("data_write").set("beats", 2u8), bench.fields("posted"));
        let message = bench.fields("message");
        bench.send("data_write", [head.words()]);
        let beats = [0, 1].map(|last| bench.fields("data_write_beat").set("last", last as u8).words());
        bench.send("data_write_beat", beats);
        bench.send("posted", [entry.words()]);
        bench.send("message", [message.words()]);
        bench.run(200);
        for (number, reader) in READERS.iter().enumerate() {
            let beats = bench.drain_fields(&format!("{reader}_beat"));
            assert_eq!(beats.len(), number + 1);
            assert!(beats.iter().all(|beat| beat.get("error") == 1));
            let last: Vec<bool> = beats.iter().map(|beat| beat.get("last") == 1).collect();
            assert_eq!(last.iter().filter(|last| **last).count(), 1);
            assert_eq!(last.last(), Some(&true));
        }
        for stream in ["data_write", "data_write_beat", "posted", "message"] {
            assert_eq!(bench.pending(stream), 0);
        }
        for stream in ["host_ar", "host_aw", "host_w"] {
            assert_eq!(bench.drain(stream).len(), 0);
        }
        assert_eq!(bench.peek("quiet"), 3);
    });
}

#[test]
fn writes_arrive_whole_and_small_ones_after_the_data_before_them() {
    under_all_stalls(&HostPort::new(FUNCTION_CONFIGS[0]), |bench, rng| {
        bench.poke("bus_master_enable", 3);
        let mut host = Host::default();
        // Address and beats; address and kind.
        let mut data: Vec<(u64, u64)> = Vec::new();
        let mut small: Vec<(u64, u64)> = Vec::new();
        // For each small write, how many data writes must be there before it.
        let mut before = Vec::new();
        let mut errors = [0, 0];
        let failing = |address: u64| address >> 6 & 7 == 5;
        for number in 0..120u64 {
            let beats = rng.range(1..5);
            let address = 4096 * number + 64 * rng.below(8);
            let head = bench.fields("data_write").set("address", address).set("beats", beats);
            bench.send("data_write", [head.words()]);
            for beat in 0..beats {
                let item = bench.fields("data_write_beat").set_words("data", &line(address, beat));
                let item = item.set("strobe", u64::MAX).set("last", u8::from(beat + 1 == beats));
                bench.send("data_write_beat", [item.words()]);
            }
            data.push((address, beats));
            if rng.bool() {
                // The engine reports an end when the head has been taken.
                run_until_taken(bench, &mut host, "data_write", &mut errors, &failing);
                let is_entry = rng.below(2);
                let address =
                    (1 << 40) + 64 * number + if is_entry == 1 { 16 * rng.below(4) } else { 4 * rng.below(16) };
                let function = rng.below(2);
                if is_entry == 1 {
                    let item = bench.fields("posted").set("address", address).set("function", function);
                    bench.send("posted", [item.set_words("entry", &[number * 0x1_0000_0001; 2]).words()]);
                } else {
                    let item = bench.fields("message").set("address", address).set("function", function);
                    bench.send("message", [item.set("data", number).words()]);
                }
                // One of both kinds at a time, so that their order is known.
                for stream in ["posted", "message"] {
                    run_until_taken(bench, &mut host, stream, &mut errors, &failing);
                }
                small.push((address, is_entry));
                before.push(data.len());
            }
        }
        let total = data.len() + small.len();
        for _ in 0..20_000 {
            if host.writes.len() == total && bench.peek("quiet") == 3 {
                break;
            }
            step(bench, &mut host, &mut errors, &failing);
        }
        assert_eq!(host.writes.len(), total, "all writes arrive");

        let (mut next_data, mut entries) = (0, vec![]);
        let mut expected_errors = [0, 0];
        for (address, beats) in &host.writes {
            expected_errors[0] += u64::from(failing(*address));
            if *address >> 40 == 1 {
                let of_line = |(at, _): &(u64, u64)| *at & !63 == *address;
                let place = small.iter().position(of_line).expect("it was sent");
                let (small_address, is_entry) = small[place];
                if is_entry == 1 {
                    assert!(next_data >= before[place], "an entry passed the data before it");
                    entries.push(place);
                } else {
                    assert!(entries.iter().filter(|entry| **entry < place).count() == entries_before(&small, place));
                }
                expected_errors[1] += u64::from(failing(*address));
                let strobe = if is_entry == 1 { 0xFFFF } else { 0xF } << (small_address & 63);
                assert_eq!((beats.len(), beats[0].1), (1, strobe));
                let number = (*address >> 6) & 0xFF_FFFF;
                let at = (small_address & 63) as usize / 4;
                let dwords: Vec<u64> = beats[0].0.iter().flat_map(|word| [word & 0xFFFF_FFFF, word >> 32]).collect();
                let count = if is_entry == 1 { 4 } else { 1 };
                assert!(dwords[at..at + count].iter().all(|dword| *dword == number), "{dwords:x?}");
            } else {
                let (data_address, count) = data[next_data];
                next_data += 1;
                assert_eq!((*address, beats.len() as u64), (data_address, count));
                for (number, (words, strobe)) in beats.iter().enumerate() {
                    assert_eq!((words, *strobe), (&line(*address, number as u64), u64::MAX));
                }
            }
        }
        assert!(entries.is_sorted(), "entries keep their order");
        assert_eq!(errors, expected_errors, "errors of all writes, and of small ones");
    });
}

/// Entries that were sent before a message: all of them leave before it.
fn entries_before(small: &[(u64, u64)], message: usize) -> usize {
    small[..message].iter().filter(|(_, is_entry)| *is_entry == 1).count()
}

fn step(bench: &mut Bench, host: &mut Host, errors: &mut [u64; 2], failing: &dyn Fn(u64) -> bool) {
    host.take_writes(bench, failing);
    bench.clock();
    errors[0] += bench.peek("write_error");
    errors[1] += u64::from(bench.peek("queue_write_error").count_ones());
}

fn run_until_taken(
    bench: &mut Bench,
    host: &mut Host,
    stream: &str,
    errors: &mut [u64; 2],
    failing: &dyn Fn(u64) -> bool,
) {
    for _ in 0..10_000 {
        if bench.pending(stream) == 0 {
            return;
        }
        step(bench, host, errors, failing);
    }
    panic!("`{stream}` is never taken");
}

/// Bursts follow one another without a pause on the data channel.
#[test]
fn the_data_channel_never_pauses_between_bursts() {
    let design = design(&HostPort::new(FUNCTION_CONFIGS[1]));
    let mut simulator = simulator(&design);
    let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
    bench.poke("bus_master_enable", 1);
    for number in 0..20u64 {
        let head = bench.fields("data_write").set("address", 4096 * number).set("beats", 8u8).words();
        bench.send("data_write", [head]);
        for beat in 0..8 {
            let item = bench.fields("data_write_beat").set("last", u8::from(beat == 7)).words();
            bench.send("data_write_beat", [item]);
        }
    }
    let start = bench.clocks();
    bench.run_until(1000, |bench| bench.received("host_w").len() == 160);
    assert!(bench.clocks() - start <= 160 + 8, "{} clocks for 160 beats", bench.clocks() - start);
}

/// Completions that fall together leave together, and the interrupt behind them.
#[test]
fn entries_of_a_line_leave_in_one_beat() {
    let design = design(&HostPort::new(FUNCTION_CONFIGS[0]));
    let mut simulator = simulator(&design);
    let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
    bench.poke("bus_master_enable", 3);
    bench.hold("host_aw", true);
    let entry = |bench: &Bench, address: u64| {
        let item = bench.fields("posted").set("address", address).set("function", 1u8);
        item.set_words("entry", &[address; 2]).words()
    };
    // Two heads fill the address channel, so that all that follows waits.
    for address in [0x1000, 0x2000] {
        let head = bench.fields("data_write").set("address", address).set("beats", 1u8).words();
        bench.send("data_write", [head]);
        let beat = bench.fields("data_write_beat").set("last", 1u8).words();
        bench.send("data_write_beat", [beat]);
    }
    bench.run(20);
    // The last ones are of a queue of four entries that begins another lap.
    let entries = [0x8000, 0x8010, 0x8020, 0x8030, 0x9030, 0x9000].map(|address| entry(&bench, address));
    bench.send("posted", entries);
    bench.run(20);
    let message = bench.fields("message").set("address", 0xFEE0_0000u64).set("function", 1u8).words();
    bench.send("message", [message]);
    bench.run(20);
    bench.hold("host_aw", false);
    bench.run(40);
    let heads: Vec<u64> = bench.drain_fields("host_aw").iter().map(|head| head.get("addr")).collect();
    assert_eq!(heads, [0x1000, 0x2000, 0x8000, 0x9000, 0x9000, 0xFEE0_0000]);
    let beats = bench.drain_fields("host_w");
    assert_eq!(beats[2].get("strb"), u64::MAX);
    let words: Vec<u64> = beats[2].get_words("data");
    assert_eq!(words, [0x8000, 0x8000, 0x8010, 0x8010, 0x8020, 0x8020, 0x8030, 0x8030]);
    assert_eq!((beats[3].get("strb"), beats[4].get("strb")), (0xFFFF << 48, 0xFFFF));
}

/// When the life of a function has ended nothing more is written for it.
#[test]
fn entries_and_messages_of_a_dead_function_are_dropped() {
    under_all_stalls(&HostPort::new(FUNCTION_CONFIGS[0]), |bench, _| {
        bench.poke("bus_master_enable", 3);
        bench.poke("dropping", 2);
        bench.run(2);
        for function in 0..2u64 {
            let entry = bench.fields("posted").set("address", 0x8000 + 0x1000 * function).set("function", function);
            bench.send("posted", [entry.words()]);
            let message = bench.fields("message").set("address", 0xFEE0_0000u64).set("function", function);
            bench.send("message", [message.words()]);
        }
        bench.run(200);
        let heads: Vec<(u64, u64)> =
            bench.drain_fields("host_aw").iter().map(|head| (head.get("user"), head.get("addr"))).collect();
        assert_eq!(heads, [(0, 0x8000), (0, 0xFEE0_0000)]);
    });
}

/// A host that does not answer holds the writes back before their count runs over, and its answers let the others go.
#[test]
fn writes_without_response_are_bounded() {
    let design = design(&HostPort::new(FUNCTION_CONFIGS[1]));
    let mut simulator = simulator(&design);
    let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
    bench.poke("bus_master_enable", 1);
    let most = u64::from(super::WRITES_MAX);
    let total = most + 10;
    for number in 0..total {
        let head = bench.fields("data_write").set("address", 4096 * number).set("beats", 1u8).words();
        bench.send("data_write", [head]);
        let beat = bench.fields("data_write_beat").set("last", 1u8).words();
        bench.send("data_write_beat", [beat]);
    }
    bench.run(4 * total);
    let mut begun = bench.drain("host_aw").len() as u64;
    assert!((most - 1..=most).contains(&begun), "{begun} writes without response");
    for answered in 1..=total {
        let answer = bench.fields("host_b").words();
        bench.send("host_b", [answer]);
        bench.run(10);
        begun += bench.drain("host_aw").len() as u64;
        assert!(begun <= answered + most);
    }
    assert_eq!(begun, total);
}
