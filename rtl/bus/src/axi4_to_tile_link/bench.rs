//! The running bridge, with monitors on both ports and a memory that answers in any order.

use super::*;
use crate::monitor::{Axi4Monitor, Axi4Probe, TileLinkMonitor, TileLinkProbe, Watched};
use crate::testing::{design, BED};
use crate::{Level, OpcodeD};
use rtl_hdl::bench::{Bench, Fields, Rng, Seed, Stalls};
use rtl_hdl::{Block, HwEnum};
use std::collections::{BTreeMap, VecDeque};

const NARROW: Axi4ToTileLink = Axi4ToTileLink { address_bits: 16, data_bits: 32, id_bits: 1, slots: 2 };
/// As the hub has it.
const BLOCK: Axi4ToTileLink = Axi4ToTileLink { address_bits: 32, data_bits: 512, id_bits: 4, slots: 4 };

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(NARROW), Box::new(BLOCK)]
}

/// One block in five is denied.
fn is_bad(address: u64) -> bool {
    (address >> 6) % 5 == 3
}

/// The data of one block in seven is damaged, though the read is done.
fn is_damaged(address: u64) -> bool {
    (address >> 6) % 7 == 2
}

/// A memory behind the bridge, byte by byte.
struct Memory {
    bytes: BTreeMap<u64, u8>,
    waiting: Vec<Fields>,
    rng: Rng,
}

impl Memory {
    fn byte(&self, address: u64) -> u8 {
        *self.bytes.get(&address).unwrap_or(&(address as u8 ^ (address >> 8) as u8))
    }

    fn clock(&mut self, bench: &mut Bench) {
        for request in bench.drain_fields("to_a") {
            let address = request.get("address");
            let denied = is_bad(address);
            let is_get = request.get("opcode") == OpcodeA::Get.code();
            let opcode = if is_get { OpcodeD::AccessAckData } else { OpcodeD::AccessAck };
            let beat_bytes = 1 << request.get("size");
            if !is_get && !denied {
                let (mask, data) = (request.get("mask"), request.get_words("data"));
                for byte in (0..beat_bytes).filter(|byte| mask >> byte & 1 == 1) {
                    self.bytes.insert(address + byte, (data[byte as usize / 8] >> (8 * (byte % 8))) as u8);
                }
            }
            let mut words = vec![0u64; (beat_bytes as usize).div_ceil(8)];
            for byte in 0..beat_bytes {
                words[byte as usize / 8] |= u64::from(self.byte(address + byte)) << (8 * (byte % 8));
            }
            let answer = bench.fields("to_d").set("opcode", opcode.code()).set("size", request.get("size"));
            let answer = answer.set("source", request.get("source")).set("denied", u64::from(denied));
            self.waiting.push(
                answer.set_words("data", &words).set("corrupt", u64::from(is_get && (denied || is_damaged(address)))),
            );
        }
        if !self.waiting.is_empty() && self.rng.bool() {
            let at = self.rng.below(self.waiting.len() as u64) as usize;
            let answer = self.waiting.swap_remove(at);
            bench.send("to_d", [answer.words()]);
        }
    }
}

/// Writes a part of the memory, reads what it has written, and knows what comes.
struct Manager {
    config: Axi4Config,
    rng: Rng,
    bytes: BTreeMap<u64, u8>,
    /// Beats of reads that are to come: identifier, last, address of the beat, its bytes.
    beats: VecDeque<(u64, u64, u64, Vec<Option<u8>>)>,
    responses: VecDeque<(u64, u8)>,
    reads: u64,
    writes: u64,
}

impl Manager {
    /// The beats of a burst: the address of the bus's beat, and the bytes of it that are meant.
    fn beats(&self, address: u64, beats: u64, size: u64, kind: u8) -> Vec<(u64, std::ops::Range<u64>)> {
        let beat_bytes = u64::from(self.config.beat_bytes());
        let beat = |number: u64| {
            let aligned = address >> size << size;
            let start = if number == 0 || kind == burst::FIXED { address } else { aligned + (number << size) };
            let end = (start >> size << size) + (1 << size);
            let base = start & !(beat_bytes - 1);
            (base, start - base..end - base)
        };
        (0..beats).map(beat).collect()
    }

    fn ask(&mut self, bench: &mut Bench) {
        // What was asked is answered before more is, so that it is known what a read sees.
        if !self.beats.is_empty() || !self.responses.is_empty() {
            return;
        }
        // Reads and writes at once, each in a page of its own.
        let page = self.rng.below(2);
        self.ask_bursts(bench, true, page);
        self.ask_bursts(bench, false, 1 - page);
    }

    fn ask_bursts(&mut self, bench: &mut Bench, is_read: bool, page: u64) {
        let size = self.rng.below(u64::from(self.config.full_size()) + 1);
        let kind = *self.rng.pick(&[burst::INCR, burst::INCR, burst::FIXED]);
        let offset = self.rng.below(crate::BOUNDARY_BYTES);
        let address = page * crate::BOUNDARY_BYTES + offset;
        let most = (crate::BOUNDARY_BYTES - (offset >> size << size)) >> size;
        let bursts = self.rng.below(4);
        for _ in 0..bursts {
            let limit = *self.rng.pick(&[1, 10]);
            let count = 1 + self.rng.below(most.min(limit));
            let id = self.rng.bits(self.config.id_bits)[0];
            let stream = if is_read { "from_ar" } else { "from_aw" };
            let item = bench.random_fields(stream, &mut self.rng).set("id", id).set("addr", address);
            let item = item.set("len", count - 1).set("size", size).set("burst", kind);
            bench.send(stream, [item.words()]);
            let beats = self.beats(address, count, size, kind);
            let mut failed = false;
            for (number, (base, lanes)) in (1..).zip(beats) {
                let denied = is_bad(base);
                failed |= denied;
                let last = u64::from(number == count);
                if is_read {
                    let known = |byte: u64| {
                        let at = base + byte;
                        lanes.contains(&byte).then(|| *self.bytes.get(&at).unwrap_or(&(at as u8 ^ (at >> 8) as u8)))
                    };
                    let bytes = (0..u64::from(self.config.beat_bytes())).map(known).collect();
                    self.beats.push_back((id, last, base, bytes));
                    continue;
                }
                let item = bench.random_fields("from_w", &mut self.rng).set("last", last);
                let meant = lanes.clone().fold(0u64, |mask, lane| mask | 1 << lane);
                let strobes = meant & self.rng.next_u64();
                let data = item.get_words("data");
                for byte in (0..64).filter(|byte| !denied && strobes >> byte & 1 == 1) {
                    self.bytes.insert(base + byte, (data[byte as usize / 8] >> (8 * (byte % 8))) as u8);
                }
                bench.send("from_w", [item.set("strb", strobes).words()]);
            }
            if !is_read {
                self.responses.push_back((id, if failed { resp::SLVERR } else { resp::OKAY }));
            }
        }
    }

    fn check(&mut self, bench: &mut Bench) {
        for beat in bench.drain_fields("from_r") {
            let (id, last, base, bytes) = self.beats.pop_front().expect("a beat that was asked for");
            let denied = is_bad(base) || is_damaged(base);
            let status = if denied { resp::SLVERR } else { resp::OKAY };
            assert_eq!((beat.get("id"), beat.get("last"), beat.get("resp")), (id, last, status.into()));
            let data = beat.get_words("data");
            for (byte, known) in bytes.into_iter().enumerate().filter(|_| !denied) {
                let got = (data[byte / 8] >> (8 * (byte % 8))) as u8;
                assert!(known.is_none_or(|known| known == got), "byte {byte} of {base:#x} is {got:#x}, not {known:x?}");
            }
            self.reads += last;
        }
        for response in bench.drain_fields("from_b") {
            let (id, status) = self.responses.pop_front().expect("a response that was asked for");
            assert_eq!((response.get("id"), response.get("resp")), (id, status.into()));
            self.writes += 1;
        }
    }
}

#[test]
fn reads_what_it_writes_in_order_under_all_stalls_and_resets() {
    let seed = Seed::from_env_or(0x5EED);
    for bridge in [NARROW, BLOCK] {
        let design = design(&bridge);
        for stalls in Stalls::ALL {
            let simulator = BED.simulator(&design);
            let axi_probe = Axi4Probe::new(&simulator, "from", bridge.from());
            let mut axi = Axi4Monitor::new("from", bridge.from());
            let level = Level::UncachedLightweight;
            let probe = TileLinkProbe::new(&simulator, "to", bridge.to(), level);
            let mut monitor = TileLinkMonitor::new("to", bridge.to(), level);
            let mut watched = Watched::new(simulator, |sim| {
                axi.clock(&axi_probe.sample(sim));
                monitor.clock(&probe.sample(sim));
            });
            let mut bench = Bench::new(&mut watched, &design, seed, stalls);
            for round in 0..3 {
                let rng = |what: &str| seed.rng(&format!("{what} {round}"));
                let mut memory = Memory { bytes: BTreeMap::new(), waiting: vec![], rng: rng("memory") };
                let mut manager = Manager {
                    config: bridge.from(),
                    rng: rng("manager"),
                    bytes: BTreeMap::new(),
                    beats: VecDeque::new(),
                    responses: VecDeque::new(),
                    reads: 0,
                    writes: 0,
                };
                for clock in 0.. {
                    assert!(clock < 40_000, "{} reads, {} writes", manager.reads, manager.writes);
                    manager.ask(&mut bench);
                    bench.clock();
                    memory.clock(&mut bench);
                    manager.check(&mut bench);
                    let is_done = manager.reads >= 60 && manager.writes >= 60;
                    if round == 0 && clock > 100 && manager.rng.percent(5) || is_done {
                        break;
                    }
                }
                for input in ["from_ar", "from_aw", "from_w", "to_d"] {
                    bench.clear(input);
                }
                bench.reset(1);
                for output in ["from_r", "from_b", "to_a"] {
                    bench.drain(output);
                }
            }
            drop(bench);
            drop(watched);
            axi.assert_clean();
            monitor.assert_clean();
        }
    }
}

/// Reads and writes go in turn, each in every second clock; alone, in every clock.
#[test]
fn asks_in_every_clock() {
    for (with_writes, with_reads) in [(true, false), (false, true), (true, true)] {
        let design = design(&BLOCK);
        let mut simulator = BED.simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
        let mut memory = Memory { bytes: BTreeMap::new(), waiting: vec![], rng: Seed(1).rng("memory") };
        for stream in ["from_ar", "from_aw"] {
            let item = bench.fields(stream).set("len", 63).set("size", 6).set("burst", burst::INCR);
            if if stream == "from_ar" { with_reads } else { with_writes } {
                bench.send(stream, [item.words()]);
            }
        }
        for _ in 0..64 {
            bench.send("from_w", [bench.fields("from_w").words()]);
        }
        // Answers come within a clock or two, one in a clock.
        let mut asked = [0; 2];
        for _ in 0..40 {
            bench.clock();
            for item in bench.received("to_a") {
                let is_get = Fields::from_words(bench.stream("to_a"), item).get("opcode") == OpcodeA::Get.code();
                asked[usize::from(is_get)] += 1;
            }
            memory.clock(&mut bench);
            while !memory.waiting.is_empty() {
                let answer = memory.waiting.remove(0);
                bench.send("to_d", [answer.words()]);
            }
        }
        let least = if with_writes && with_reads { 12 } else { 24 };
        assert!(!with_writes || asked[0] >= least, "{asked:?} writes and reads");
        assert!(!with_reads || asked[1] >= least, "{asked:?} writes and reads");
    }
}

/// AMBA AXI, "Handshake process": what is offered does not wait to be asked, nothing of it is lost, and a reset leaves nothing.
#[test]
fn every_channel_offers_unasked_and_loses_nothing() {
    for held in ["from_r", "from_b", "to_a"] {
        let design = design(&BLOCK);
        let mut simulator = BED.simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
        for is_cut_short in [true, false] {
            let mut memory = Memory { bytes: BTreeMap::new(), waiting: vec![], rng: Seed(1).rng("memory") };
            for number in 0..10u64 {
                for stream in ["from_ar", "from_aw"] {
                    let item = bench.fields(stream).set("id", number).set("size", 6).set("burst", burst::INCR);
                    bench.send(stream, [item.words()]);
                }
                bench.send("from_w", [bench.fields("from_w").set("last", true).words()]);
            }
            bench.hold(held, true);
            for _ in 0..100 {
                bench.clock();
                memory.clock(&mut bench);
            }
            let valid = if held == "to_a" { "to_a_valid".to_owned() } else { format!("{held}valid") };
            assert_eq!(bench.peek(&valid), 1, "`{held}` waits to be asked");
            if is_cut_short {
                ["from_ar", "from_aw", "from_w", "to_d"].iter().for_each(|input| bench.clear(input));
                bench.reset(1);
            }
            bench.hold(held, false);
            if is_cut_short {
                ["from_r", "from_b", "to_a"].iter().for_each(|output| drop(bench.drain(output)));
            }
            for _ in 0..200 {
                bench.clock();
                if !is_cut_short {
                    memory.clock(&mut bench);
                }
            }
            let answers = if is_cut_short { vec![] } else { (0..10).collect::<Vec<u64>>() };
            for output in ["from_r", "from_b"] {
                let ids: Vec<u64> = bench.drain_fields(output).iter().map(|item| item.get("id")).collect();
                assert_eq!(ids, answers, "`{output}` while `{held}` is held");
            }
            assert!(!is_cut_short || bench.drain("to_a").is_empty(), "a reset leaves no request");
        }
    }
}
