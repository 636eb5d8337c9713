//! The running hub, with clients and a memory around it.

use super::traffic::{run, stream, Options};
use super::*;
use crate::monitor::{Axi4Monitor, Axi4Probe, TileLinkMonitor, TileLinkProbe, Watched};
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
            let mut watched = Watched::new(simulator, |sim| {
                for (probe, monitor) in &mut watches {
                    monitor.clock(&probe.sample(sim));
                }
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
            memory.finish();
            memory.assert_clean();
            assert!(report.probes > 50 && report.grants > 100 && report.releases > 10, "{report:?}");
            assert!((report.denied > 0) == bad_block, "{report:?}");
        }
    }
}

/// Six clients take 8 bytes each in almost every clock, from a memory with a latency.
#[test]
fn clients_stream_at_nine_tenths_of_their_width() {
    let config = Config::DEFAULT;
    let design = design(&CoherenceHub::new(config));
    let mut simulator = BED.simulator(&design);
    let clocks = 2_000;
    let (came, _) = stream(&mut *simulator, config, 10, clocks, false);
    let most = clocks * u64::from(config.clients) * 8;
    assert!(10 * came >= 9 * most, "{came} of {most} bytes");
    let (came, went) = stream(&mut *simulator, config, 10, clocks, true);
    assert!(10 * came >= 7 * most && 10 * went >= 7 * most, "{came} and {went} of {most} bytes");
}
