//! The running multiplexer, with a monitor on every bus: each manager gets the answers to what it asked, whatever the others do.

use super::Axi4Mux;
use crate::monitor::{Axi4Monitor, Axi4Probe, Watched};
use crate::testing::{design, BED};
use crate::{burst, resp, Axi4Config, BOUNDARY_BYTES};
use rtl_hdl::bench::{Bench, Fields, Rng, Seed, Stalls};
use rtl_hdl::Block;
use std::collections::{BTreeMap, VecDeque};

const MUXES: [Axi4Mux; 2] = [
    Axi4Mux { managers: 2, config: Axi4Config { address_bits: 64, data_bits: 512, id_bits: 1, user_bits: 1 } },
    Axi4Mux { managers: 5, config: Axi4Config { address_bits: 32, data_bits: 64, id_bits: 3, user_bits: 4 } },
];

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    MUXES.iter().map(|&mux| Box::new(mux) as Box<dyn Block>).collect()
}

/// Items by who waits for them: a manager and one of its identifiers.
type ById = BTreeMap<(u64, u64), VecDeque<Vec<u64>>>;

/// The identifier and the other fields of an address.
type Asked = (u64, Vec<u64>);

struct Traffic {
    mux: Axi4Mux,
    rng: Rng,
    /// What each manager has asked, and what must come through at `to`, without the identifier.
    addresses: BTreeMap<(&'static str, u64), VecDeque<Asked>>,
    data: BTreeMap<u64, VecDeque<Vec<u64>>>,
    /// Reads and writes that have come through and are not answered: the identifier, and beats that are left.
    reads: Vec<(u64, u64)>,
    writes: VecDeque<u64>,
    beats: VecDeque<Fields>,
    /// Writes all of whose data has come.
    complete: Vec<u64>,
    /// What was answered and has not come back.
    read_answers: ById,
    write_answers: ById,
    answered: u32,
}

impl Traffic {
    fn new(mux: Axi4Mux, rng: Rng) -> Self {
        let (addresses, data, reads, writes, beats, complete) = Default::default();
        let (read_answers, write_answers) = Default::default();
        Self { mux, rng, addresses, data, reads, writes, beats, complete, read_answers, write_answers, answered: 0 }
    }

    /// The manager and its identifier of an identifier at `to`.
    fn parts(&self, id: u64) -> (u64, u64) {
        let bits = self.mux.config.id_bits;
        (id >> bits, id & ((1 << bits) - 1))
    }

    fn ask(&mut self, bench: &mut Bench) {
        let config = self.mux.config;
        let manager = self.rng.below(self.mux.managers.into());
        let channel = *self.rng.pick(&["ar", "aw"]);
        let port = format!("from_{manager}_{channel}");
        let beat_bytes = u64::from(config.beat_bytes());
        let beats = 1 + self.rng.below(6);
        let page = self.rng.bits(config.address_bits)[0] & !(BOUNDARY_BYTES - 1);
        let item = bench.fields(&port).set("id", self.rng.bits(config.id_bits)[0]);
        let item = item.set("addr", page + self.rng.below(20) * beat_bytes).set("len", beats - 1);
        let item = item.set("size", config.full_size()).set("burst", burst::INCR);
        let item = item.set("user", self.rng.bits(config.user_bits)[0]);
        self.addresses.entry((channel, manager)).or_default().push_back((item.get("id"), fields(&item, ADDRESS)));
        bench.send(&port, [item.words()]);
        for beat in 1..=if channel == "aw" { beats } else { 0 } {
            let port = format!("from_{manager}_w");
            let item = bench.fields(&port).set_words("data", &self.rng.bits(config.data_bits));
            let item = item.set_words("strb", &self.rng.bits(config.beat_bytes())).set("last", beat == beats);
            self.data.entry(manager).or_default().push_back(item.clone().words());
            bench.send(&port, [item.words()]);
        }
    }

    fn comes_through(&mut self, channel: &'static str, address: &Fields) -> (u64, u64) {
        let (manager, id) = self.parts(address.get("id"));
        let asked = self.addresses.entry((channel, manager)).or_default().pop_front();
        assert_eq!(asked, Some((id, fields(address, ADDRESS))), "an address of manager {manager}");
        (address.get("id"), address.get("len") + 1)
    }

    /// Notes what has come through, and answers some of it: reads of different identifiers mixed, beat by beat.
    fn clock(&mut self, bench: &mut Bench) {
        for address in bench.drain_fields("to_ar") {
            let read = self.comes_through("ar", &address);
            self.reads.push(read);
        }
        for address in bench.drain_fields("to_aw") {
            let (id, _) = self.comes_through("aw", &address);
            self.writes.push_back(id);
        }
        self.beats.extend(bench.drain_fields("to_w"));
        // Data may come before its address, whose output waits by itself.
        while let (Some(&id), false) = (self.writes.front(), self.beats.is_empty()) {
            let beat = self.beats.pop_front().expect("there is one");
            let (manager, _) = self.parts(id);
            assert_eq!(self.data.entry(manager).or_default().pop_front(), Some(beat.clone().words()));
            if beat.get("last") == 1 {
                self.complete.extend(self.writes.pop_front());
            }
        }
        if !self.reads.is_empty() && self.rng.percent(60) {
            let at = self.rng.below(self.reads.len() as u64) as usize;
            // The first of its identifier.
            let at = self.reads.iter().position(|read| read.0 == self.reads[at].0).expect("it is there");
            let (id, left) = &mut self.reads[at];
            let (id, is_last) = (*id, *left == 1);
            *left -= 1;
            if is_last {
                self.reads.remove(at);
            }
            let item = bench.fields("to_r").set("id", id).set("last", is_last);
            let item = item.set_words("data", &self.rng.bits(self.mux.config.data_bits));
            let item = item.set("resp", *self.rng.pick(&[resp::OKAY, resp::SLVERR]));
            self.read_answers.entry(self.parts(id)).or_default().push_back(fields(&item, READ));
            bench.send("to_r", [item.words()]);
        }
        if !self.complete.is_empty() && self.rng.percent(30) {
            let at = self.rng.below(self.complete.len() as u64) as usize;
            let id = self.complete.remove(at);
            let item = bench.fields("to_b").set("id", id).set("resp", *self.rng.pick(&[resp::OKAY, resp::SLVERR]));
            self.write_answers.entry(self.parts(id)).or_default().push_back(fields(&item, RESPONSE));
            bench.send("to_b", [item.words()]);
        }
        for manager in 0..u64::from(self.mux.managers) {
            for item in bench.drain_fields(&format!("from_{manager}_r")) {
                let answers = self.read_answers.entry((manager, item.get("id"))).or_default();
                assert_eq!(answers.pop_front(), Some(fields(&item, READ)), "a beat for manager {manager}");
                self.answered += u32::from(item.get("last") == 1);
            }
            for item in bench.drain_fields(&format!("from_{manager}_b")) {
                let answers = self.write_answers.entry((manager, item.get("id"))).or_default();
                assert_eq!(answers.pop_front(), Some(fields(&item, RESPONSE)), "a response for manager {manager}");
                self.answered += 1;
            }
        }
    }
}

/// The fields besides the identifier, by channel.
const ADDRESS: &[&str] = &["addr", "len", "size", "burst", "user"];
const READ: &[&str] = &["data", "resp", "last"];
const RESPONSE: &[&str] = &["resp"];

fn fields(item: &Fields, names: &[&str]) -> Vec<u64> {
    names.iter().flat_map(|name| item.get_words(name)).collect()
}

#[test]
fn each_manager_gets_its_own_answers_under_all_stalls_and_resets() {
    let seed = Seed::from_env_or(0x5EED);
    for mux in MUXES {
        let design = design(&mux);
        let buses: Vec<(String, Axi4Config)> =
            (0..mux.managers).map(|n| (format!("from_{n}"), mux.config)).chain([("to".to_owned(), mux.to())]).collect();
        for stalls in Stalls::ALL {
            let mut monitors: Vec<_> = buses.iter().map(|(bus, config)| Axi4Monitor::new(bus, *config)).collect();
            let simulator = BED.simulator(&design);
            let probes: Vec<_> = buses.iter().map(|(bus, config)| Axi4Probe::new(&simulator, bus, *config)).collect();
            let mut watched = Watched::new(simulator, |sim| {
                for (monitor, probe) in monitors.iter_mut().zip(&probes) {
                    monitor.clock(&probe.sample(sim));
                }
            });
            let mut bench = Bench::new(&mut watched, &design, seed, stalls);
            for round in 0..3 {
                let mut traffic = Traffic::new(mux, seed.rng(&format!("traffic {round}")));
                let asks = 60;
                for _ in 0..asks {
                    traffic.ask(&mut bench);
                }
                for clock in 0.. {
                    assert!(clock < 20_000, "{} of {asks} are answered", traffic.answered);
                    bench.clock();
                    traffic.clock(&mut bench);
                    // The first round is cut short by a reset in a random clock.
                    if round == 0 && clock > 50 && traffic.rng.percent(5) || traffic.answered == asks {
                        break;
                    }
                }
                for (bus, channels) in buses.iter().map(|(bus, _)| (bus, ["ar", "aw", "w", "r", "b"])) {
                    let is_to = bus == "to";
                    for channel in channels {
                        let is_input = is_to == matches!(channel, "r" | "b");
                        let port = format!("{bus}_{channel}");
                        if is_input {
                            bench.clear(&port);
                        }
                    }
                }
                bench.reset(1);
                for (bus, _) in &buses {
                    let outputs: &[&str] = if bus == "to" { &["ar", "aw", "w"] } else { &["r", "b"] };
                    for channel in outputs {
                        bench.drain(&format!("{bus}_{channel}"));
                    }
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

/// A manager that always asks does not keep another one waiting.
#[test]
fn managers_take_turns() {
    let mux = MUXES[1];
    let design = design(&mux);
    let mut simulator = BED.simulator(&design);
    let mut bench = Bench::new(&mut *simulator, &design, Seed::from_env_or(0x5EED), Stalls::None);
    for manager in 0..u64::from(mux.managers) {
        for number in 0..20u64 {
            for channel in ["ar", "aw"] {
                let port = format!("from_{manager}_{channel}");
                let item = bench.fields(&port).set("addr", 64 * number).set("size", 3).set("burst", burst::INCR);
                bench.send(&port, [item.words()]);
            }
            let port = format!("from_{manager}_w");
            bench.send(&port, [bench.fields(&port).set("last", true).words()]);
        }
    }
    bench.run(u64::from(mux.managers) * 20 + 20);
    for channel in ["to_ar", "to_aw"] {
        let order: Vec<u64> = bench.drain_fields(channel).iter().map(|item| item.get("id") >> 3).collect();
        assert_eq!(order.len(), 20 * mux.managers as usize, "one in each clock");
        let rounds: Vec<&[u64]> = order.chunks_exact(mux.managers as usize).collect();
        assert!(
            rounds.iter().all(|round| (0..mux.managers.into()).all(|manager| round.contains(&manager))),
            "{order:?}"
        );
    }
}
