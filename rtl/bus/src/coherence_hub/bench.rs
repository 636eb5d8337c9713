//! The running hub, with clients and a memory around it.

use super::traffic::{run, stream, Options, Stream, Streamed};
use super::*;
use crate::monitor::{Axi4Monitor, Axi4Probe, CoherenceMonitor, TileLinkMonitor, TileLinkProbe, Watched};
use crate::testing::{design, BED};
use crate::Level;
use rtl_hdl::bench::Seed;
use rtl_hdl::Block;

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
