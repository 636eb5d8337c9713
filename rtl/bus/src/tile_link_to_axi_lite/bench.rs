//! The running bridge, with registers behind it, monitors on all ports, and a copy of the registers that says what comes.

use super::*;
use crate::monitor::{AxiLiteMonitor, AxiLiteProbe, TileLinkMonitor, TileLinkProbe, Watched};
use crate::testing::{design, BED};
use crate::{Level, OpcodeD};
use rtl_hdl::bench::{Bench, Fields, Rng, Seed, Stalls};
use rtl_hdl::{Block, HwEnum};
use std::collections::{BTreeMap, VecDeque};

const LEVEL: Level = Level::UncachedHeavyweight;

fn bridges() -> [TileLinkToAxiLite; 2] {
    let one =
        TileLinkToAxiLite { clients: 1, address_bits: 12, source_bits: 1, windows: vec![0x40..0x100, 0x800..0x1000] };
    let three = TileLinkToAxiLite {
        clients: 3,
        address_bits: 32,
        source_bits: 2,
        windows: vec![0x1_0000..0x1_0200, 0x2_0000..0x2_0400],
    };
    [one, three]
}

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    bridges().map(|bridge| Box::new(bridge) as Box<dyn Block>).into()
}

/// Words at addresses with these bits set are refused.
const BAD: u64 = 0xC0;

/// What is in the registers at first.
fn initial(address: u64) -> u32 {
    (address as u32).wrapping_mul(0x9E37_79B9)
}

/// Registers behind the bridge.
#[derive(Default)]
struct Registers {
    words: BTreeMap<u64, u32>,
    writes: VecDeque<u64>,
    data: VecDeque<Fields>,
    reads: u64,
    written: u64,
}

impl Registers {
    fn word(&self, address: u64) -> u32 {
        *self.words.get(&address).unwrap_or(&initial(address))
    }

    fn status(address: u64) -> u8 {
        if address & BAD == BAD {
            resp::SLVERR
        } else {
            resp::OKAY
        }
    }

    fn clock(&mut self, bench: &mut Bench) {
        for read in bench.drain_fields("to_ar") {
            let address = read.get("addr");
            let item = bench.fields("to_r").set("data", self.word(address)).set("resp", Self::status(address));
            bench.send("to_r", [item.words()]);
            self.reads += 1;
        }
        self.writes.extend(bench.drain_fields("to_aw").iter().map(|write| write.get("addr")));
        self.data.extend(bench.drain_fields("to_w"));
        while !self.writes.is_empty() && !self.data.is_empty() {
            let (address, data) = (self.writes.remove(0).expect("looked at"), self.data.remove(0).expect("looked at"));
            let strobes = data.get("strb");
            assert!(strobes != 0, "nothing is written for nothing");
            let bits =
                (0..4).filter(|byte| strobes >> byte & 1 == 1).fold(0, |bits, byte| bits | 0xFFu32 << (8 * byte));
            if Self::status(address) == resp::OKAY {
                self.words.insert(address, self.word(address) & !bits | data.get("data") as u32 & bits);
            }
            bench.send("to_b", [bench.fields("to_b").set("resp", Self::status(address)).words()]);
            self.written += 1;
        }
    }
}

/// The lower and the upper word of each beat; none where any will do.
type Words = Vec<[Option<u32>; 2]>;

/// A client that has a part of the registers for itself, so that it knows what is in them.
struct Client {
    number: u32,
    rng: Rng,
    free: Vec<u64>,
    /// By source: the expected answer, and the words that it has.
    expected: BTreeMap<u64, (Fields, Words)>,
    known: BTreeMap<u64, u32>,
    answered: u64,
    denied: u64,
}

impl Client {
    fn ask(&mut self, bench: &mut Bench, bridge: &TileLinkToAxiLite) {
        let (a, d) = (format!("client_{}_a", self.number), format!("client_{}_d", self.number));
        // One at a time, because what it reads follows what it wrote.
        if self.free.is_empty() || !self.expected.is_empty() {
            return;
        }
        let source = self.free.swap_remove(self.rng.below(self.free.len() as u64) as usize);
        let usual = [OpcodeA::Get, OpcodeA::PutFullData, OpcodeA::PutPartialData];
        let opcodes = if self.rng.percent(80) { &usual[..] } else { &OpcodeA::VARIANTS[..6] };
        let opcode = *self.rng.pick(opcodes);
        let is_put = matches!(opcode, OpcodeA::PutFullData | OpcodeA::PutPartialData);
        let has_data = !matches!(opcode, OpcodeA::Get | OpcodeA::Intent);
        let size = self.rng.below(if opcode == OpcodeA::Get { 8 } else { 5 });
        let window = self.rng.pick(&bridge.windows).clone();
        // A part of the window for each client, and what is before and behind it.
        let part = ((window.end - window.start) / 4) & !63;
        let base = if self.rng.percent(15) { window.end } else { window.start + part * u64::from(self.number) };
        let address = base.wrapping_add(self.rng.below(part.max(64))) >> size << size;
        let address = address & ((1 << bridge.address_bits) - 1);
        let lanes = if size >= 3 { 0xFF } else { ((1 << (1 << size)) - 1) << (address % 8) };
        let mask = if opcode == OpcodeA::PutPartialData { lanes & self.rng.next_u64() } else { lanes };
        let corrupt = has_data && self.rng.percent(5);
        let beats = if has_data { (1u64 << size).div_ceil(8) } else { 1 };
        let data = self.rng.next_u64();
        let item = bench.random_fields(&a, &mut self.rng).set("opcode", opcode.code()).set("param", 0);
        let item = item.set("size", size).set("source", source).set("address", address);
        for beat in 0..beats {
            let mask = if beat == 0 || opcode == OpcodeA::PutPartialData { mask } else { 0xFF };
            let item = item.clone().set("mask", mask).set("data", data).set("corrupt", u64::from(corrupt));
            bench.send(&a, [item.words()]);
        }

        let is_inside = bridge.windows.iter().any(|window| window.contains(&address));
        let is_known = opcode == OpcodeA::Get && size <= 6 || is_put && size <= 3 && !corrupt;
        let mut denied = opcode != OpcodeA::Intent && !(is_inside && is_known);
        let mut words = vec![[None; 2]; (1usize << size).div_ceil(8)];
        let first = address & !7;
        if !denied && opcode != OpcodeA::Intent {
            for at in (0..8 * words.len() as u64).step_by(4) {
                let word = first + at;
                let strobes = if is_put { mask >> (at % 8) & 0xF } else { 0xF };
                let is_meant = if is_put { strobes != 0 } else { size >= 3 || word == address & !3 };
                if denied || !is_meant {
                    continue;
                }
                denied = word & BAD == BAD;
                let known = self.known.entry(word).or_insert(initial(word));
                words[at as usize / 8][at as usize / 4 % 2] = Some(*known);
                if is_put && !denied {
                    let bits = (0..4).filter(|byte| strobes >> byte & 1 == 1);
                    let bits = bits.fold(0, |bits, byte| bits | 0xFFu32 << (8 * byte));
                    *known = *known & !bits | (data >> (8 * (at % 8))) as u32 & bits;
                }
            }
        }
        let answer = match opcode {
            OpcodeA::Intent => OpcodeD::HintAck,
            _ if is_put => OpcodeD::AccessAck,
            _ => OpcodeD::AccessAckData,
        };
        let with_data = answer == OpcodeD::AccessAckData;
        let fields = bench.fields(&d).set("opcode", answer.code()).set("size", size).set("source", source);
        let fields = fields.set("denied", u64::from(denied)).set("corrupt", u64::from(denied && with_data));
        if denied || !with_data {
            words.iter_mut().for_each(|word| *word = [None; 2]);
        }
        if !with_data {
            words.truncate(1);
        }
        self.expected.insert(source, (fields, words));
    }

    fn check(&mut self, bench: &mut Bench) {
        for beat in bench.drain_fields(&format!("client_{}_d", self.number)) {
            let source = beat.get("source");
            let (fields, words) = self.expected.get_mut(&source).expect("it was asked for");
            let [low, high] = words.remove(0);
            let data = beat.get("data");
            for (half, word) in [(data as u32, low), ((data >> 32) as u32, high)] {
                assert!(word.is_none_or(|word| word == half), "{word:x?} in {beat:x?}");
            }
            assert_eq!(beat.clone().set("data", 0), *fields);
            if words.is_empty() {
                self.expected.remove(&source);
                self.free.push(source);
                self.answered += 1;
                self.denied += beat.get("denied");
            }
        }
    }
}

#[test]
fn clients_see_their_registers_under_all_stalls_and_resets() {
    let seed = Seed::from_env_or(0x5EED);
    for bridge in bridges() {
        let design = design(&bridge);
        for stalls in Stalls::ALL {
            let simulator = BED.simulator(&design);
            let mut watches: Vec<_> = (0..bridge.clients)
                .map(|number| {
                    let name = format!("client_{number}");
                    let probe = TileLinkProbe::new(&simulator, &name, bridge.client(), LEVEL);
                    (probe, TileLinkMonitor::new(&name, bridge.client(), LEVEL))
                })
                .collect();
            let lite_probe = AxiLiteProbe::new(&simulator, "to");
            let mut lite = AxiLiteMonitor::new("to");
            let mut watched = Watched::new(simulator, |sim| {
                lite.clock(&lite_probe.sample(sim));
                for (probe, monitor) in &mut watches {
                    monitor.clock(&probe.sample(sim));
                }
            });
            let mut bench = Bench::new(&mut watched, &design, seed, stalls);
            for round in 0..3 {
                let mut registers = Registers::default();
                let client = |number: u32| Client {
                    number,
                    rng: seed.rng(&format!("client {number} in round {round}")),
                    free: (0..1 << bridge.source_bits).collect(),
                    expected: BTreeMap::new(),
                    known: BTreeMap::new(),
                    answered: 0,
                    denied: 0,
                };
                let mut clients: Vec<Client> = (0..bridge.clients).map(client).collect();
                for clock in 0.. {
                    assert!(clock < 40_000, "{:?}", clients.iter().map(|client| client.answered).collect::<Vec<_>>());
                    for client in &mut clients {
                        client.ask(&mut bench, &bridge);
                    }
                    bench.clock();
                    registers.clock(&mut bench);
                    clients.iter_mut().for_each(|client| client.check(&mut bench));
                    let is_done = clients.iter().all(|client| client.answered >= 120);
                    if round == 0 && clock > 100 && clients[0].rng.percent(5) || is_done {
                        break;
                    }
                }
                if round > 0 {
                    assert!(
                        registers.reads > 40 && registers.written > 10,
                        "{} {}",
                        registers.reads,
                        registers.written
                    );
                    let denied: u64 = clients.iter().map(|client| client.denied).sum();
                    let answered: u64 = clients.iter().map(|client| client.answered).sum();
                    assert!(denied > 10 && denied < answered, "{denied} of {answered}");
                }
                for name in ["to_r", "to_b"] {
                    bench.clear(name);
                }
                (0..bridge.clients).for_each(|number| bench.clear(&format!("client_{number}_a")));
                bench.reset(1);
                for name in ["to_ar", "to_aw", "to_w"] {
                    bench.drain(name);
                }
                (0..bridge.clients).for_each(|number| drop(bench.drain(&format!("client_{number}_d"))));
            }
            drop(bench);
            drop(watched);
            lite.assert_clean();
            watches.iter().for_each(|(_, monitor)| monitor.assert_clean());
        }
    }
}

/// A client that always asks does not keep another one waiting.
#[test]
fn clients_take_turns() {
    let bridge = &bridges()[1];
    let design = design(bridge);
    let mut simulator = BED.simulator(&design);
    let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
    for number in 0..bridge.clients {
        let a = format!("client_{number}_a");
        for _ in 0..20 {
            let item = bench.fields(&a).set("opcode", OpcodeA::Get.code()).set("size", 2).set("mask", 0xF);
            let address = bridge.windows[0].start + 64 * u64::from(number);
            bench.send(&a, [item.set("address", address).words()]);
        }
    }
    let mut registers = Registers::default();
    for _ in 0..300 {
        bench.clock();
        registers.clock(&mut bench);
    }
    let counts: Vec<usize> =
        (0..bridge.clients).map(|number| bench.received(&format!("client_{number}_d")).len()).collect();
    assert!(
        counts.iter().all(|count| *count >= 8) && counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1,
        "{counts:?}"
    );
}
