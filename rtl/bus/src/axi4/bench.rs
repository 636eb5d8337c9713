//! The running ports: a bridge from a subordinate to a manager, with a monitor on each side.

use super::*;
use crate::monitor::{Axi4Monitor, Axi4Probe, Watched};
use crate::testing::{design, BED};
use rtl_hdl::bench::{Bench, Fields, Rng, Seed, Stalls};
use rtl_hdl::{when, Block};
use std::collections::VecDeque;

const NARROW: Axi4Config = Axi4Config { address_bits: 32, data_bits: 64, id_bits: 1, user_bits: 1 };
const WIDE: Axi4Config = Axi4Config { address_bits: 64, data_bits: 512, id_bits: 8, user_bits: 8 };

/// Passes every channel on.
struct Bridge {
    config: Axi4Config,
}

impl Block for Bridge {
    fn name(&self) -> String {
        format!("axi4_bridge_{}", self.config.data_bits)
    }

    fn build(&self, m: &Module) {
        m.clock();
        let from = Axi4::subordinate(m, "from", self.config);
        let to = Axi4::manager(m, "to", self.config);
        pass(from.aw, to.aw);
        pass(from.w, to.w);
        pass(to.b, from.b);
        pass(from.ar, to.ar);
        pass(to.r, from.r);
    }
}

fn pass<V: rtl_hdl::Value>(from: StreamIn<V>, to: StreamOut<V>) {
    when(to.can_take(), || {
        from.take();
        when(from.valid(), || to.offer(from.payload()));
    });
}

/// Two bridges, one behind the other.
struct Chain {
    config: Axi4Config,
}

impl Block for Chain {
    fn name(&self) -> String {
        format!("axi4_chain_{}", self.config.data_bits)
    }

    fn build(&self, m: &Module) {
        m.clock();
        let bridge = Bridge { config: self.config };
        let first = m.instance("first", &bridge);
        let second = m.instance("second", &bridge);
        Axi4::export(m, &first, "from", "from");
        Axi4::connect(m, &first, "to", &second, "from");
        Axi4::export(m, &second, "to", "to");
    }
}

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(Bridge { config: NARROW }), Box::new(Bridge { config: WIDE }), Box::new(Chain { config: WIDE })]
}

/// Asks on the side of the manager and answers on the side of the subordinate, at random.
struct Traffic {
    config: Axi4Config,
    rng: Rng,
    /// Reads and writes that have come through, and are not answered.
    reads: VecDeque<(u64, u64)>,
    writes: VecDeque<u64>,
    /// Writes whose last beat has come through.
    complete: usize,
}

impl Traffic {
    /// A burst that stays inside its 4 KiB.
    fn address(&mut self, bench: &Bench, stream: &str) -> (Fields, u64) {
        let beat_bytes = u64::from(self.config.beat_bytes());
        let first = self.rng.below(crate::BOUNDARY_BYTES / beat_bytes);
        let beats = 1 + self.rng.below((crate::BOUNDARY_BYTES / beat_bytes - first).min(8));
        let page = self.rng.bits(self.config.address_bits)[0] & !(crate::BOUNDARY_BYTES - 1);
        let fields = bench.fields(stream).set("id", self.rng.bits(self.config.id_bits)[0]);
        let fields = fields.set("addr", page + first * beat_bytes).set("len", beats - 1);
        let fields = fields.set("size", self.config.full_size()).set("burst", burst::INCR);
        (fields.set("user", self.rng.bits(self.config.user_bits)[0]), beats)
    }

    fn ask(&mut self, bench: &mut Bench) {
        if self.rng.bool() {
            let (address, _) = self.address(bench, "from_ar");
            bench.send("from_ar", [address.words()]);
            return;
        }
        let (address, beats) = self.address(bench, "from_aw");
        bench.send("from_aw", [address.words()]);
        for beat in 1..=beats {
            let fields = bench.fields("from_w").set_words("data", &self.rng.bits(self.config.data_bits));
            let fields = fields.set_words("strb", &self.rng.bits(self.config.beat_bytes()));
            bench.send("from_w", [fields.set("last", u64::from(beat == beats)).words()]);
        }
    }

    /// Notes what has come through, and sends answers for some of it.
    fn answer(&mut self, bench: &mut Bench) {
        self.reads.extend(bench.drain_fields("to_ar").iter().map(|read| (read.get("id"), read.get("len") + 1)));
        self.writes.extend(bench.drain_fields("to_aw").iter().map(|write| write.get("id")));
        self.complete += bench.drain_fields("to_w").iter().filter(|beat| beat.get("last") == 1).count();
        while let Some((id, beats)) = self.reads.pop_front() {
            for beat in 1..=beats {
                let fields = bench.fields("to_r").set("id", id).set("last", u64::from(beat == beats));
                let fields = fields.set_words("data", &self.rng.bits(self.config.data_bits));
                let answer = *self.rng.pick(&[resp::OKAY, resp::SLVERR]);
                bench.send("to_r", [fields.set("resp", answer).words()]);
            }
        }
        while self.complete > 0 && !self.writes.is_empty() {
            let id = self.writes.pop_front().expect("asked above");
            self.complete -= 1;
            let answer = bench.fields("to_b").set("id", id).words();
            bench.send("to_b", [answer]);
        }
    }
}

#[test]
fn both_sides_of_a_bridge_keep_the_protocol_under_all_stalls_and_resets() {
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
                let rng = seed.rng(&format!("traffic {round}"));
                let mut traffic = Traffic { config, rng, reads: VecDeque::new(), writes: VecDeque::new(), complete: 0 };
                let asks = 40;
                for _ in 0..asks {
                    traffic.ask(&mut bench);
                }
                let in_flight =
                    |bench: &mut Bench| ["from_ar", "from_aw", "from_w"].iter().any(|s| bench.pending(s) > 0);
                let mut answers = 0;
                for clock in 0.. {
                    assert!(clock < 20_000, "{answers} of {asks} are answered");
                    bench.clock();
                    traffic.answer(&mut bench);
                    answers += bench.drain("from_b").len();
                    answers += bench.drain_fields("from_r").iter().filter(|beat| beat.get("last") == 1).count();
                    // The first round is cut short by a reset in a random clock.
                    if round == 0 && clock > 50 && traffic.rng.percent(5) || answers == asks {
                        break;
                    }
                }
                assert!(round == 0 || !in_flight(&mut bench));
                for stream in ["from_ar", "from_aw", "from_w", "to_b", "to_r"] {
                    bench.clear(stream);
                }
                bench.reset(2);
                for stream in ["to_ar", "to_aw", "to_w", "from_b", "from_r"] {
                    bench.drain(stream);
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
