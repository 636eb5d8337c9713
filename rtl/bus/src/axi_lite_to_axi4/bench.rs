//! The running bridge over a memory, with monitors on both ports.

use super::*;
use crate::monitor::{Axi4Monitor, Axi4Probe, AxiLiteMonitor, AxiLiteProbe, Watched};
use crate::testing::{design, BED};
use crate::{burst, resp};
use rtl_hdl::bench::{Bench, Fields, Rng, Seed, Stalls};
use std::collections::{BTreeMap, VecDeque};

const NARROW: AxiLiteToAxi4 = AxiLiteToAxi4 {
    address_bits: 8,
    base: 0x1A8,
    config: Axi4Config { address_bits: 12, data_bits: 64, id_bits: 1, user_bits: 1 },
};
/// As the flash has it.
const WIDE: AxiLiteToAxi4 = AxiLiteToAxi4 {
    address_bits: 26,
    base: 0x8_0000,
    config: Axi4Config { address_bits: 36, data_bits: 512, id_bits: 8, user_bits: 2 },
};

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(NARROW), Box::new(WIDE)]
}

/// Words of the memory, by their addresses; what was never written has bytes of its own.
#[derive(Default)]
struct Memory(BTreeMap<u64, u32>);

impl Memory {
    fn word(&mut self, address: u64) -> &mut u32 {
        self.0.entry(address).or_insert((address as u32).wrapping_mul(0x9E37_79B9))
    }

    fn write(&mut self, address: u64, data: u32, strobe: u64) {
        let mask = (0..4).filter(|byte| strobe >> byte & 1 == 1).fold(0, |mask, byte| mask | 0xFF << (8 * byte));
        let word = self.word(address);
        *word = *word & !mask | data & mask;
    }
}

/// One beat in five fails.
fn status(beat: u64, bytes: u64) -> u8 {
    if (beat / bytes) % 5 == 3 {
        resp::SLVERR
    } else {
        resp::OKAY
    }
}

/// The beat of a burst, which is the only one, and whole.
fn beat(burst: &Fields, bytes: u64) -> u64 {
    let [id, len, size, kind, user] = ["id", "len", "size", "burst", "user"].map(|field| burst.get(field));
    assert_eq!((id, len, 1 << size, kind, user), (0, 0, bytes, u64::from(burst::INCR), 0));
    let address = burst.get("addr");
    assert_eq!(address % bytes, 0, "a burst at {address:#x}");
    address
}

#[test]
fn words_are_read_and_written_under_all_stalls_and_resets() {
    const COUNT: usize = 80;
    let seed = Seed::from_env_or(0x5EED);
    for bridge in [NARROW, WIDE] {
        let design = design(&bridge);
        let bytes = u64::from(bridge.config.beat_bytes());
        for stalls in Stalls::ALL {
            let simulator = BED.simulator(&design);
            let mut lite = (AxiLiteProbe::new(&simulator, "from"), AxiLiteMonitor::new("from"));
            let mut full = (Axi4Probe::new(&simulator, "to", bridge.config), Axi4Monitor::new("to", bridge.config));
            let mut watched = Watched::new(simulator, |sim| {
                lite.1.clock(&lite.0.sample(sim));
                full.1.clock(&full.0.sample(sim));
            });
            let mut bench = Bench::new(&mut watched, &design, seed, stalls);
            let mut rng = seed.rng("accesses");
            for round in 0..4 {
                let is_cut_short = round % 2 == 0;
                // Writes and reads do not wait for each other, so each has words of its own.
                let address = |rng: &mut Rng, half: u64| {
                    let most = 1 << bridge.address_bits;
                    let word = if rng.percent(20) { most - 8 } else { rng.below(16) * 8 };
                    word + 4 * half
                };
                let reads: Vec<u64> = (0..COUNT).map(|_| address(&mut rng, 0)).collect();
                let writes: Vec<(u64, u32, u64)> =
                    (0..COUNT).map(|_| (address(&mut rng, 1), rng.next_u64() as u32, rng.below(16))).collect();
                bench.send(
                    "from_ar",
                    reads.iter().map(|a| bench.fields("from_ar").set("addr", *a | 2).words()).collect::<Vec<_>>(),
                );
                bench.send(
                    "from_aw",
                    writes.iter().map(|(a, ..)| bench.fields("from_aw").set("addr", *a).words()).collect::<Vec<_>>(),
                );
                // The address of the first write may wait for its data.
                for _ in 0..10 * (round / 2) {
                    bench.clock();
                }
                let data = writes
                    .iter()
                    .map(|(_, data, strb)| bench.fields("from_w").set("data", *data).set("strb", *strb).words());
                bench.send("from_w", data.collect::<Vec<_>>());
                let (mut memory, mut expected) = (Memory::default(), Memory::default());
                let (mut addresses, mut beats) = (VecDeque::new(), VecDeque::new());
                for clock in 0.. {
                    assert!(clock < 20_000, "not all is answered");
                    let is_done = bench.received("from_r").len() + bench.received("from_b").len() == 2 * COUNT;
                    if is_done || is_cut_short && clock > 40 && rng.percent(5) {
                        break;
                    }
                    bench.clock();
                    for read in bench.drain_fields("to_ar") {
                        let beat = beat(&read, bytes);
                        let mut words = vec![];
                        for at in (beat..beat + bytes).step_by(8) {
                            words.push(u64::from(*memory.word(at)) | u64::from(*memory.word(at + 4)) << 32);
                        }
                        let item =
                            bench.fields("to_r").set("id", read.get("id")).set("last", 1).set_words("data", &words);
                        bench.send("to_r", [item.set("resp", status(beat, bytes)).words()]);
                    }
                    addresses.extend(bench.drain_fields("to_aw"));
                    beats.extend(bench.drain_fields("to_w"));
                    while !addresses.is_empty() && !beats.is_empty() {
                        let (burst, item) = addresses.pop_front().zip(beats.pop_front()).expect("both are there");
                        let (beat, words, strobes) = (beat(&burst, bytes), item.get_words("data"), item.get("strb"));
                        assert_eq!(item.get("last"), 1);
                        for lane in 0..bytes / 4 {
                            let data = (words[lane as usize / 2] >> (32 * (lane % 2))) as u32;
                            memory.write(beat + 4 * lane, data, strobes >> (4 * lane) & 0xF);
                        }
                        let item = bench.fields("to_b").set("id", burst.get("id")).set("resp", status(beat, bytes));
                        bench.send("to_b", [item.words()]);
                    }
                }
                let place = |address: u64| (bridge.base + address, (bridge.base + address) / bytes * bytes);
                let answers = bench.drain_fields("from_r");
                assert!(is_cut_short || answers.len() == COUNT);
                for (address, answer) in reads.iter().zip(answers) {
                    let (at, beat) = place(*address);
                    assert_eq!(answer.get("data") as u32, *Memory::default().word(at), "a read of {address:#x}");
                    assert_eq!(answer.get("resp") as u8, status(beat, bytes), "a read of {address:#x}");
                }
                let answers = bench.drain_fields("from_b");
                assert!(is_cut_short || answers.len() == COUNT);
                for ((address, data, strobe), answer) in writes.iter().zip(answers) {
                    let (at, beat) = place(*address);
                    expected.write(at, *data, *strobe);
                    assert_eq!(answer.get("resp") as u8, status(beat, bytes), "a write of {address:#x}");
                }
                if !is_cut_short {
                    for (at, word) in &expected.0 {
                        assert_eq!(memory.word(*at), word, "the word at {at:#x}");
                    }
                }
                ["to_r", "to_b", "from_ar", "from_aw", "from_w"].iter().for_each(|input| bench.clear(input));
                bench.reset(1);
                ["to_ar", "to_aw", "to_w", "from_r", "from_b"].iter().for_each(|output| drop(bench.drain(output)));
            }
            drop(bench);
            drop(watched);
            lite.1.assert_clean();
            full.1.assert_clean();
        }
    }
}
