//! The running memory, with a monitor on its port.

use super::*;
use crate::monitor::{TileLinkMonitor, TileLinkProbe, Watched};
use crate::testing::{design, BED};
use crate::Level;
use rtl_hdl::bench::{Bench, Fields, Rng, Seed, Stalls};
use rtl_hdl::{Block, HwEnum};
use std::collections::{BTreeMap, VecDeque};

const NARROW: TileLinkConfig =
    TileLinkConfig { address_bits: 6, data_bits: 32, size_bits: 2, source_bits: 3, sink_bits: 1 };
const WIDE: TileLinkConfig =
    TileLinkConfig { address_bits: 9, data_bits: 256, size_bits: 3, source_bits: 4, sink_bits: 2 };

/// The memory inside a module that only wires it.
struct Inside;

impl Block for Inside {
    fn name(&self) -> String {
        "tile_link_inside".into()
    }

    fn build(&self, m: &Module) {
        m.clock();
        let memory = m.instance("memory", &TileLinkMemory { config: WIDE });
        TileLink::export(m, &memory, "tl", "tl");
    }
}

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(TileLinkMemory { config: NARROW }), Box::new(TileLinkMemory { config: WIDE }), Box::new(Inside)]
}

/// What a client asks, and what it expects.
struct Client {
    config: TileLinkConfig,
    level: Level,
    rng: Rng,
    /// Byte by byte; none where nothing was written.
    memory: BTreeMap<u64, u8>,
    /// Sources that nothing waits for.
    free: Vec<u64>,
    /// The answers that are to come, in their order; none where a byte is not known.
    expected: VecDeque<(Fields, Vec<Option<u8>>)>,
}

impl Client {
    fn new(config: TileLinkConfig, level: Level, rng: Rng) -> Client {
        let free = (0..1 << config.source_bits).collect();
        Client { config, level, rng, memory: BTreeMap::new(), free, expected: VecDeque::new() }
    }

    /// Sends a request, and notes its answer.
    fn ask(&mut self, bench: &mut Bench) {
        let Some(source) = self.free.pop() else { return };
        let beat_bytes = u64::from(self.config.beat_bytes());
        let opcodes: &[OpcodeA] = match self.level {
            Level::UncachedLightweight => &[OpcodeA::Get, OpcodeA::PutFullData, OpcodeA::PutPartialData],
            _ => &OpcodeA::VARIANTS[..6],
        };
        let opcode = *self.rng.pick(opcodes);
        let size = self.rng.below(u64::from(self.config.beat_size()) + 1);
        let count = 1 << size;
        let address = self.rng.bits(self.config.address_bits)[0] & !(count - 1);
        let lanes = (u64::MAX >> (64 - count)) << (address % beat_bytes);
        let is_put = matches!(opcode, OpcodeA::PutFullData | OpcodeA::PutPartialData);
        let mask = if opcode == OpcodeA::PutPartialData { lanes & self.rng.next_u64() } else { lanes };
        let has_data = is_put || matches!(opcode, OpcodeA::ArithmeticData | OpcodeA::LogicalData);
        let corrupt = has_data && self.rng.percent(10);
        let item = bench.random_fields("tl_a", &mut self.rng).set("opcode", opcode.code()).set("param", 0);
        let item = item.set("size", size).set("source", source).set("address", address);
        let item = item.set_words("mask", &[mask]).set("corrupt", u64::from(corrupt));

        let base = address & !(beat_bytes - 1);
        let denied = corrupt && is_put || !(is_put || opcode == OpcodeA::Get);
        let answer = match opcode {
            OpcodeA::Get | OpcodeA::ArithmeticData | OpcodeA::LogicalData => OpcodeD::AccessAckData,
            OpcodeA::Intent => OpcodeD::HintAck,
            _ => OpcodeD::AccessAck,
        };
        let with_data = answer == OpcodeD::AccessAckData;
        let expected = bench.fields("tl_d").set("opcode", answer.code()).set("size", size).set("source", source);
        let expected = expected.set("denied", u64::from(denied)).set("corrupt", u64::from(denied && with_data));
        let is_read = opcode == OpcodeA::Get;
        let bytes = (0..beat_bytes).map(|byte| self.memory.get(&(base + byte)).copied().filter(|_| is_read)).collect();
        self.expected.push_back((expected, bytes));
        if is_put && !denied {
            let data = item.get_words("data");
            for byte in (0..beat_bytes).filter(|byte| mask >> byte & 1 == 1) {
                self.memory.insert(base + byte, (data[byte as usize / 8] >> (8 * (byte % 8))) as u8);
            }
        }
        bench.send("tl_a", [item.words()]);
    }

    /// Compares the answers that have come.
    fn check(&mut self, bench: &mut Bench) {
        for answer in bench.drain_fields("tl_d") {
            let (expected, bytes) = self.expected.pop_front().expect("an answer that was asked for");
            let data = answer.get_words("data");
            for (number, byte) in bytes.iter().enumerate().filter_map(|(number, byte)| Some((number, (*byte)?))) {
                assert_eq!((data[number / 8] >> (8 * (number % 8))) as u8, byte, "byte {number} of {answer:x?}");
            }
            assert_eq!(answer.clone().set_words("data", &[]), expected);
            self.free.push(answer.get("source"));
        }
    }
}

#[test]
fn behaves_like_memory_and_keeps_the_protocol_under_all_stalls_and_resets() {
    let seed = Seed::from_env_or(0x5EED);
    for (block, config) in blocks().iter().zip([NARROW, WIDE, WIDE]) {
        let design = design(&**block);
        // What the level does not have is answered all the same.
        for (stalls, level) in Stalls::ALL
            .map(|stalls| (stalls, Level::UncachedLightweight))
            .into_iter()
            .chain([(Stalls::None, Level::UncachedHeavyweight), (Stalls::Random, Level::UncachedHeavyweight)])
        {
            let simulator = BED.simulator(&design);
            let probe = TileLinkProbe::new(&simulator, "tl", config, level);
            let mut monitor = TileLinkMonitor::new("tl", config, level);
            let mut watched = Watched::new(simulator, |sim| monitor.clock(&probe.sample(sim)));
            let mut bench = Bench::new(&mut watched, &design, seed, stalls);
            let mut client = Client::new(config, level, seed.rng("requests"));
            for clock in 0..3_000 {
                if client.rng.percent(60) {
                    client.ask(&mut bench);
                }
                bench.clock();
                client.check(&mut bench);
                if clock % 1_000 == 999 {
                    // All that waits is lost, and perhaps written.
                    bench.clear("tl_a");
                    bench.reset(1);
                    bench.drain("tl_d");
                    client = Client::new(config, level, seed.rng("after the reset"));
                    bench.run(10);
                    assert!(bench.drain("tl_d").is_empty(), "a reset leaves no answer");
                }
            }
            bench.run_until(2_000, |bench| {
                client.check(bench);
                client.expected.is_empty()
            });
            drop(bench);
            drop(watched);
            monitor.finish();
            monitor.assert_clean();
        }
    }
}

#[test]
fn answers_in_every_clock_and_holds_two_unasked() {
    let design = design(&TileLinkMemory { config: NARROW });
    let mut simulator = BED.simulator(&design);
    let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
    let mut client = Client::new(NARROW, Level::UncachedLightweight, Seed(1).rng("requests"));
    bench.hold("tl_d", true);
    (0..8).for_each(|_| client.ask(&mut bench));
    bench.run(20);
    assert_eq!((bench.peek("tl_d_valid"), bench.pending("tl_a")), (1, 6));
    bench.hold("tl_d", false);
    bench.run(8);
    assert_eq!(bench.received("tl_d").len(), 8);
    client.check(&mut bench);
}

/// TL-UL has no message that is longer than a beat.
#[test]
fn what_is_longer_than_a_beat_is_denied() {
    for config in [NARROW, WIDE] {
        let design = design(&TileLinkMemory { config });
        let mut simulator = BED.simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
        let mask = u64::MAX >> (64 - config.beat_bytes());
        let mut ask = |opcode: OpcodeA, size: u32, data: u64| {
            let item = bench.fields("tl_a").set("opcode", opcode.code()).set("size", size).set("mask", mask);
            let item = item.set("data", data).words();
            bench.send("tl_a", [item]);
            bench.run(5);
            let answer = bench.drain_fields("tl_d").remove(0);
            (answer.get("denied"), answer.get("corrupt"), answer.get_words("data")[0])
        };
        let beat = config.beat_size();
        assert_eq!(ask(OpcodeA::PutFullData, beat, 0x1234).0, 0);
        for size in beat + 1..1 << config.size_bits {
            assert_eq!(ask(OpcodeA::PutFullData, size, 0x5678).0, 1);
            let (denied, corrupt, _) = ask(OpcodeA::Get, size, 0);
            assert_eq!((denied, corrupt), (1, 1));
        }
        assert_eq!(ask(OpcodeA::Get, beat, 0), (0, 0, 0x1234));
    }
}
