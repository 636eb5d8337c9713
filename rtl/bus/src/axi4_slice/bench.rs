//! The running slice, with a monitor on each side.

use super::*;
use crate::monitor::{Axi4Monitor, Axi4Probe, Watched};
use crate::testing::{design, BED};
use crate::{burst, resp};
use rtl_hdl::bench::{Bench, Fields, Rng, Seed, Stalls};
use rtl_hdl::{Block, Module};
use std::collections::{BTreeMap, VecDeque};

const NARROW: Axi4Config = Axi4Config { address_bits: 32, data_bits: 64, id_bits: 1, user_bits: 1 };
const WIDE: Axi4Config = Axi4Config { address_bits: 64, data_bits: 512, id_bits: 8, user_bits: 8 };

/// Two slices, one behind the other.
struct Chain {
    config: Axi4Config,
}

impl Block for Chain {
    fn name(&self) -> String {
        format!("axi4_chain_{}", self.config.data_bits)
    }

    fn build(&self, m: &Module) {
        m.clock();
        let slice = Axi4Slice { config: self.config };
        let first = m.instance("first", &slice);
        let second = m.instance("second", &slice);
        Axi4::export(m, &first, "from", "from");
        Axi4::connect(m, &first, "to", &second, "from");
        Axi4::export(m, &second, "to", "to");
    }
}

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(Axi4Slice { config: NARROW }), Box::new(Axi4Slice { config: WIDE }), Box::new(Chain { config: WIDE })]
}

/// The channels, each from the side on which items come to the side on which they leave.
const CHANNELS: [(&str, &str); 5] =
    [("from_ar", "to_ar"), ("from_aw", "to_aw"), ("from_w", "to_w"), ("to_b", "from_b"), ("to_r", "from_r")];

/// The channel on which an item leaves that comes on `input`.
fn output_of(input: &str) -> &'static str {
    CHANNELS.iter().find(|(from, _)| *from == input).expect("it is a channel").1
}

/// Asks on the side of the manager and answers on the side of the subordinate, at random. What goes in comes out, unchanged and in order.
struct Traffic {
    config: Axi4Config,
    rng: Rng,
    /// What is on its way, by the channel on which it leaves.
    inside: BTreeMap<&'static str, VecDeque<Vec<u64>>>,
    /// Reads and writes that have come through, and are not answered.
    reads: VecDeque<(u64, u64)>,
    writes: VecDeque<u64>,
    /// Writes whose last beat has come through.
    complete: usize,
}

impl Traffic {
    fn new(config: Axi4Config, rng: Rng) -> Traffic {
        let inside = CHANNELS.iter().map(|(_, output)| (*output, VecDeque::new())).collect();
        Traffic { config, rng, inside, reads: VecDeque::new(), writes: VecDeque::new(), complete: 0 }
    }

    fn send(&mut self, bench: &mut Bench, input: &str, item: Fields) {
        let item = item.words();
        self.inside.entry(output_of(input)).or_default().push_back(item.clone());
        bench.send(input, [item]);
    }

    /// What has left on a channel since the last time.
    fn left(&mut self, bench: &mut Bench, output: &'static str) -> Vec<Fields> {
        let items = bench.drain_fields(output);
        let inside = self.inside.entry(output).or_default();
        for item in &items {
            assert_eq!(Some(item.clone().words()), inside.pop_front(), "an item of `{output}`");
        }
        items
    }

    /// A burst that stays inside its 4 KiB.
    fn address(&mut self, bench: &Bench, stream: &str) -> (Fields, u64) {
        let beat_bytes = u64::from(self.config.beat_bytes());
        let first = self.rng.below(crate::BOUNDARY_BYTES / beat_bytes);
        let beats = 1 + self.rng.below((crate::BOUNDARY_BYTES / beat_bytes - first).min(8));
        let page = self.rng.bits(self.config.address_bits)[0] & !(crate::BOUNDARY_BYTES - 1);
        let fields = bench.fields(stream).set("id", self.rng.bits(self.config.id_bits)[0]);
        let fields = fields.set("addr", page + first * beat_bytes).set("len", beats - 1);
        // Narrow beats go to one address, so that strobes are free.
        let (size, kind) = if self.rng.bool() {
            (u64::from(self.config.full_size()), burst::INCR)
        } else {
            (self.rng.below(u64::from(self.config.full_size()) + 1), burst::FIXED)
        };
        let fields = fields.set("size", size).set("burst", kind);
        (fields.set("user", self.rng.bits(self.config.user_bits)[0]), beats)
    }

    fn ask(&mut self, bench: &mut Bench) {
        if self.rng.bool() {
            let (address, _) = self.address(bench, "from_ar");
            self.send(bench, "from_ar", address);
            return;
        }
        let (address, beats) = self.address(bench, "from_aw");
        self.send(bench, "from_aw", address);
        for beat in 1..=beats {
            let fields = bench.fields("from_w").set_words("data", &self.rng.bits(self.config.data_bits));
            let fields = fields.set_words("strb", &self.rng.bits(self.config.beat_bytes()));
            self.send(bench, "from_w", fields.set("last", u64::from(beat == beats)));
        }
    }

    /// Notes what has come through, and sends answers for some of it; returns how many have come back.
    fn answer(&mut self, bench: &mut Bench) -> usize {
        let reads = self.left(bench, "to_ar");
        self.reads.extend(reads.iter().map(|read| (read.get("id"), read.get("len") + 1)));
        let writes = self.left(bench, "to_aw");
        self.writes.extend(writes.iter().map(|write| write.get("id")));
        self.complete += self.left(bench, "to_w").iter().filter(|beat| beat.get("last") == 1).count();
        while let Some((id, beats)) = self.reads.pop_front() {
            for beat in 1..=beats {
                let fields = bench.fields("to_r").set("id", id).set("last", u64::from(beat == beats));
                let fields = fields.set_words("data", &self.rng.bits(self.config.data_bits));
                let answer = *self.rng.pick(&[resp::OKAY, resp::SLVERR]);
                self.send(bench, "to_r", fields.set("resp", answer));
            }
        }
        while self.complete > 0 && !self.writes.is_empty() {
            let id = self.writes.pop_front().expect("asked above");
            self.complete -= 1;
            let answer = *self.rng.pick(&[resp::OKAY, resp::SLVERR]);
            let answer = bench.fields("to_b").set("id", id).set("resp", answer);
            self.send(bench, "to_b", answer);
        }
        let read = self.left(bench, "from_r").iter().filter(|beat| beat.get("last") == 1).count();
        read + self.left(bench, "from_b").len()
    }
}

#[test]
fn both_sides_keep_the_protocol_under_all_stalls_and_resets() {
    let seed = Seed::from_env_or(0x5EED);
    for (block, config) in blocks().iter().zip([NARROW, WIDE, WIDE]) {
        let design = design(&**block);
        for stalls in Stalls::ALL {
            let mut monitors = ["from", "to"].map(|bus| Axi4Monitor::new(bus, config));
            let simulator = BED.simulator(&design);
            let probes = ["from", "to"].map(|bus| Axi4Probe::new(&simulator, bus, config));
            let mut watched = Watched::new(simulator, |sim| {
                for (monitor, probe) in monitors.iter_mut().zip(&probes) {
                    monitor.clock(&probe.sample(sim));
                }
            });
            let mut bench = Bench::new(&mut watched, &design, seed, stalls);
            for round in 0..3 {
                let mut traffic = Traffic::new(config, seed.rng(&format!("traffic {round}")));
                let asks = 40;
                for _ in 0..asks {
                    traffic.ask(&mut bench);
                }
                let mut answers = 0;
                for clock in 0.. {
                    assert!(clock < 20_000, "{answers} of {asks} are answered");
                    bench.clock();
                    answers += traffic.answer(&mut bench);
                    // The first round is cut short by a reset in a random clock.
                    if round == 0 && clock > 50 && traffic.rng.percent(5) || answers == asks {
                        break;
                    }
                }
                assert!(round == 0 || traffic.inside.values().all(VecDeque::is_empty));
                for (input, _) in CHANNELS {
                    bench.clear(input);
                }
                bench.reset(1);
                for (_, output) in CHANNELS {
                    bench.drain(output);
                }
            }
            drop(bench);
            drop(watched);
            for monitor in &mut monitors {
                monitor.finish();
                monitor.assert_clean();
            }
        }
    }
}

/// AMBA AXI, "Handshake process": valid does not wait for ready. And what nobody takes is not lost, except in a reset.
#[test]
fn every_channel_offers_unasked_and_holds_two_items_in_each_slice() {
    let seed = Seed::from_env_or(0x5EED);
    for ((block, config), room) in blocks().iter().zip([NARROW, WIDE, WIDE]).zip([2, 2, 4]) {
        let design = design(&**block);
        for (input, output) in CHANNELS {
            let mut simulator = BED.simulator(&design);
            let mut bench = Bench::new(&mut *simulator, &design, seed, Stalls::None);
            for is_cut_short in [false, true] {
                let mut traffic = Traffic::new(config, seed.rng(output));
                let (asks, mut answers) = (30, 0);
                bench.hold(output, true);
                (0..asks).for_each(|_| traffic.ask(&mut bench));
                for _ in 0..300 {
                    bench.clock();
                    answers += traffic.answer(&mut bench);
                }
                assert_eq!(bench.peek(&format!("{output}valid")), 1, "`{output}` waits to be asked");
                assert_eq!(traffic.inside[output].len() - bench.pending(input), room, "items that `{input}` takes");
                if is_cut_short {
                    CHANNELS.iter().for_each(|(input, _)| bench.clear(input));
                    bench.reset(1);
                    bench.hold(output, false);
                    bench.run(20);
                    assert!(bench.drain(output).is_empty(), "a reset leaves nothing in `{output}`");
                } else {
                    bench.hold(output, false);
                    for _ in 0..1_000 {
                        bench.clock();
                        answers += traffic.answer(&mut bench);
                    }
                    assert_eq!(answers, asks);
                }
            }
        }
    }
}
