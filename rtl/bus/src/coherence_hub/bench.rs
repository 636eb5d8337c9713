//! The running hub, with clients and a memory around it.

use super::traffic::{run, stream, Options, Stream, Streamed};
use super::*;
use crate::monitor::{Axi4Monitor, Axi4Probe, CoherenceMonitor, TileLinkMonitor, TileLinkProbe, Watched};
use crate::testing::{design, BED};
use crate::{Level, OpcodeC, OpcodeD};
use rtl_hdl::bench::{Bench, Fields, Seed, Stalls};
use rtl_hdl::{Block, HwEnum};

/// Without a filter, and with an odd number of ports.
const BROADCAST: Config = Config { clients: 3, slots: 4, filter: None, ..Config::SMALL };

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    [Config::SMALL, BROADCAST, Config::DEFAULT]
        .map(|config| Box::new(CoherenceHub::new(config)) as Box<dyn Block>)
        .into()
}

#[test]
fn every_load_sees_the_last_store_under_every_stall() {
    let seed = Seed::from_env_or(0x5EED);
    let options = Options { operations: 1_500, blocks: 6, stall_percent: 0, memory_clocks_max: 30, bad_block: false };
    for (config, operations) in [(Config::SMALL, 1_500), (BROADCAST, 1_500), (Config::DEFAULT, 1_000)] {
        let design = design(&CoherenceHub::new(config));
        for (stall_percent, memory_clocks_max, bad_block) in [(0, 1, false), (30, 10, true), (70, 40, false)] {
            let simulator = BED.simulator(&design);
            let buses: Vec<_> = (0..config.clients)
                .map(|number| (format!("client_{number}"), config.client(), Level::Cached))
                .chain([("dma".to_owned(), config.dma(), Level::UncachedLightweight)])
                .collect();
            let mut watches: Vec<_> = buses
                .iter()
                .map(|(name, config, level)| {
                    let probe = TileLinkProbe::new(&simulator, name, *config, *level);
                    (probe, TileLinkMonitor::new(name, *config, *level))
                })
                .collect();
            let memory_probe = Axi4Probe::new(&simulator, "memory", config.memory());
            let mut memory = Axi4Monitor::new("memory", config.memory());
            let mut copies = CoherenceMonitor::new("clients", config.client(), config.clients as usize);
            let mut watched = Watched::new(simulator, |sim| {
                let samples: Vec<_> = watches.iter().map(|(probe, _)| probe.sample(sim)).collect();
                for ((_, monitor), sample) in watches.iter_mut().zip(&samples) {
                    monitor.clock(sample);
                }
                copies.clock(&samples[..config.clients as usize]);
                memory.clock(&memory_probe.sample(sim));
            });
            let options = Options { operations, stall_percent, memory_clocks_max, bad_block, ..options };
            let report = run(&mut watched, config, options, seed)
                .unwrap_or_else(|wrong| panic!("{config:?}, {options:?}: {wrong}\n{}", seed.replay()));
            drop(watched);
            for (_, monitor) in &mut watches {
                monitor.finish();
                monitor.assert_clean();
            }
            copies.finish();
            copies.assert_clean();
            memory.finish();
            memory.assert_clean();
            assert!(report.probes > 50 && report.grants > 100 && report.releases > 10, "{report:?}");
            assert!((report.denied > 0) == bad_block, "{report:?}");
        }
    }
}

/// What six clients stream: bytes that come and go in 1,000 clocks of 48,000 that there could be.
fn streamed(config: Config, span: u64, changed: bool) -> (u64, u64) {
    let design = design(&CoherenceHub::new(config));
    let mut simulator = BED.simulator(&design);
    let how = Stream { memory_clocks: 10, clocks: 1_000, span, changed };
    let Streamed { came, went } = stream(&mut *simulator, config, how);
    (came, went)
}

/// What each client streams is in regions of its own, which the filter tells apart.
#[test]
fn six_clients_stream_at_nine_tenths_of_their_width() {
    let (came, _) = streamed(Config::DEFAULT, 64 << 10, false);

    assert!(came >= 43_200, "{came} of 48000 bytes come");
    let (came, went) = streamed(Config::DEFAULT, 64 << 10, true);

    assert!(came >= 40_000 && went >= 40_000, "{came} of 48000 bytes come, {went} go");
}

/// Where the filter cannot tell the clients apart, every block is probed for at all others.
#[test]
fn streams_that_the_filter_mixes_up_go_on() {
    let (came, _) = streamed(Config::DEFAULT, 2 << 20, false);

    assert!(came >= 10_000, "{came} of 48000 bytes come");
}

/// A reset in the midst of everything leaves nothing of it.
#[test]
fn traffic_is_right_after_a_reset_in_its_midst() {
    let config = BROADCAST;
    let design = design(&CoherenceHub::new(config));
    let mut simulator = BED.simulator(&design);
    let options = Options { operations: 300, blocks: 4, stall_percent: 30, memory_clocks_max: 10, bad_block: false };
    for clocks in [3, 50, 101] {
        let how = Stream { memory_clocks: 20, clocks, span: 4096, changed: clocks % 2 == 1 };
        stream(&mut *simulator, config, how);
        run(&mut *simulator, config, options, Seed(clocks)).unwrap_or_else(|wrong| panic!("after {clocks}: {wrong}"));
    }
}

/// A hub with a memory that answers at once and clients that have no copies, for messages one at a time.
struct Desk<'a> {
    bench: Bench<'a>,
    /// What was written: strobes.
    strobes: Vec<u64>,
    write_status: u8,
    failures: u64,
}

impl Desk<'_> {
    fn clock(&mut self) {
        let bench = &mut self.bench;
        bench.clock();
        self.failures += bench.peek("write_failed");
        for read in bench.drain_fields("memory_ar") {
            let item = bench.fields("memory_r").set("id", read.get("id")).set("last", true);
            bench.send("memory_r", [item.words()]);
        }
        for write in bench.drain_fields("memory_aw") {
            let item = bench.fields("memory_b").set("id", write.get("id")).set("resp", self.write_status);
            bench.send("memory_b", [item.words()]);
        }
        // Nobody has kept anything.
        for client in ["client_0", "client_1"] {
            for probe in bench.drain_fields(&format!("{client}_b")) {
                let c = format!("{client}_c");
                let item = bench.fields(&c).set("opcode", OpcodeC::ProbeAck.code()).set("param", 5).set("size", 6);
                bench.send(&c, [item.set("address", probe.get("address")).words()]);
            }
        }
        self.strobes.extend(bench.drain_fields("memory_w").iter().map(|beat| beat.get("strb")));
    }

    /// The answer to a message, beat by beat; a grant is acknowledged.
    fn answer(&mut self, bus: &str, channel: &str, item: Fields, beats: u64) -> Vec<Fields> {
        (0..beats).for_each(|_| self.bench.send(&format!("{bus}_{channel}"), [item.clone().words()]));
        (0..100).for_each(|_| self.clock());
        let answer = self.bench.drain_fields(&format!("{bus}_d"));
        let is_grant = answer[0].get("opcode") & 0b110 == OpcodeD::Grant.code();
        if is_grant {
            let e = format!("{bus}_e");
            let item = self.bench.fields(&e).set("sink", answer[0].get("sink"));
            self.bench.send(&e, [item.words()]);
            (0..4).for_each(|_| self.clock());
        }
        answer
    }
}

fn with_desk(test: impl FnOnce(&mut Desk)) {
    let design = design(&CoherenceHub::new(Config::SMALL));
    let mut simulator = BED.simulator(&design);
    let bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
    test(&mut Desk { bench, strobes: vec![], write_status: resp::OKAY, failures: 0 });
}

/// TileLink, "Errors": a denied answer has all its beats, and what carries data is corrupt.
#[test]
fn what_the_hub_does_not_do_is_denied() {
    use OpcodeA::*;
    let (ack, data, hint) = (OpcodeD::AccessAck, OpcodeD::AccessAckData, OpcodeD::HintAck);
    let (grant, grant_data) = (OpcodeD::Grant, OpcodeD::GrantData);
    // Opcode, size, damaged; then the answer, its beats, and whether it is denied.
    let client = [
        (Get, 6, 0, data, 8, 0),
        (Get, 0, 0, data, 1, 0),
        (Get, 7, 0, data, 16, 1),
        (PutFullData, 3, 0, ack, 1, 1),
        (PutPartialData, 6, 0, ack, 1, 1),
        (ArithmeticData, 3, 0, data, 1, 1),
        (LogicalData, 6, 0, data, 8, 1),
        (Intent, 6, 0, hint, 1, 0),
        (AcquireBlock, 6, 0, grant_data, 8, 0),
        (AcquireBlock, 5, 0, grant_data, 4, 1),
        (AcquirePerm, 6, 0, grant, 1, 0),
        (AcquirePerm, 7, 0, grant, 1, 1),
        (Get, 6, 0, data, 8, 0),
    ];
    let dma = [
        (Get, 6, 0, data, 1, 0),
        (Get, 7, 0, data, 2, 1),
        (PutFullData, 6, 0, ack, 1, 0),
        (PutPartialData, 6, 1, ack, 1, 1),
        (PutFullData, 7, 0, ack, 1, 1),
        (LogicalData, 3, 0, data, 1, 1),
        (Intent, 6, 0, hint, 1, 0),
        (AcquireBlock, 6, 0, grant_data, 1, 1),
        (Get, 6, 0, data, 1, 0),
    ];
    with_desk(|desk| {
        for (bus, config, messages) in
            [("client_1", Config::SMALL.client(), &client[..]), ("dma", Config::SMALL.dma(), &dma[..])]
        {
            for (number, (opcode, size, damaged, answer, beats, denied)) in (0u64..).zip(messages) {
                let a = format!("{bus}_a");
                let item =
                    desk.bench.fields(&a).set("opcode", opcode.code()).set("size", *size).set("corrupt", *damaged);
                let item =
                    item.set("source", number % 4).set("address", 0x1000 * number).set_words("mask", &[u64::MAX]);
                let has_data = opcode.code() < 4;
                let asked = if has_data { (1u64 << size).div_ceil(config.beat_bytes().into()) } else { 1 };
                let got = if bus == "dma" && *opcode == AcquireBlock {
                    // Who has no channel E does not acknowledge, and who has no cache does not acquire: it is denied, and harms nobody.
                    desk.bench.send(&a, [item.words()]);
                    (0..100).for_each(|_| desk.clock());
                    desk.bench.drain_fields("dma_d")
                } else {
                    desk.answer(bus, "a", item, asked)
                };
                let is_data = matches!(answer, OpcodeD::AccessAckData | OpcodeD::GrantData);
                assert_eq!(got.len(), *beats, "{bus}: {opcode:?} of size {size}");
                for beat in got {
                    let [code, is_size, source, is_denied, corrupt] =
                        ["opcode", "size", "source", "denied", "corrupt"].map(|field| beat.get(field));
                    assert_eq!((code, is_size, source), (answer.code(), *size, number % 4), "{bus}: {opcode:?}");
                    assert_eq!((is_denied, corrupt), (*denied, *denied * u64::from(is_data)), "{bus}: {opcode:?}");
                }
            }
        }
    });
}

/// A block that is lost cannot be answered with an error.
#[test]
fn a_released_block_that_is_damaged_or_refused_is_reported() {
    with_desk(|desk| {
        for (damaged, status, size, failures) in [
            (0, resp::OKAY, 6, 0),
            (1, resp::OKAY, 6, 1),
            (0, resp::SLVERR, 6, 2),
            (0, resp::OKAY, 3, 3),
            (0, resp::OKAY, 6, 3),
        ] {
            desk.write_status = status;
            desk.strobes.clear();
            let item = desk.bench.fields("client_0_c").set("opcode", OpcodeC::ReleaseData.code()).set("param", 1);
            let item = item.set("size", size).set("source", 2).set("address", 0x40).set("corrupt", damaged);
            let answer = desk.answer("client_0", "c", item, if size == 6 { 8 } else { 1 });
            assert_eq!((answer.len(), answer[0].get("opcode")), (1, OpcodeD::ReleaseAck.code()));
            assert_eq!((answer[0].get("size"), answer[0].get("source")), (size, 2));
            let is_written = damaged == 0 && size == 6;
            assert_eq!(desk.strobes, [if is_written { u64::MAX } else { 0 }]);
            assert_eq!(desk.failures, failures, "damaged {damaged}, status {status}, size {size}");
        }
    });
}

#[test]
fn configurations_that_are_none_are_refused() {
    let wrong = [
        (Config { clients: 0, ..Config::SMALL }, ConfigError::Clients),
        (Config { clients: 8, ..Config::SMALL }, ConfigError::Clients),
        (Config { address_bits: 11, ..Config::SMALL }, ConfigError::AddressBits),
        (Config { dma_source_bits: 0, ..Config::SMALL }, ConfigError::SourceBits),
        (Config { slots: 3, ..Config::SMALL }, ConfigError::Slots),
        (Config { filter: Some(Filter { regions: 3, region_bytes: 64 }), ..Config::SMALL }, ConfigError::Filter),
        (Config { filter: Some(Filter { regions: 4096, region_bytes: 64 }), ..Config::SMALL }, ConfigError::Filter),
    ];
    for (config, error) in wrong {
        assert_eq!(config.check(), Err(error), "{config:?}");
    }
}
