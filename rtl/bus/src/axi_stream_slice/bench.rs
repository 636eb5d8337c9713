//! The running slice, with a monitor on each side.

use super::*;
use crate::monitor::{AxiStreamMonitor, AxiStreamProbe, Watched};
use crate::testing::{design, BED};
use rtl_hdl::bench::{Bench, Seed, Stalls};
use rtl_hdl::Block;

const PLAIN: AxiStreamConfig =
    AxiStreamConfig { data_bits: 8, keep: false, last: false, id_bits: 0, dest_bits: 0, user_bits: 0 };
const FULL: AxiStreamConfig =
    AxiStreamConfig { data_bits: 512, keep: true, last: true, id_bits: 8, dest_bits: 4, user_bits: 33 };

/// Two slices, one behind the other.
struct Chain;

impl Block for Chain {
    fn name(&self) -> String {
        "axi_stream_chain".into()
    }

    fn build(&self, m: &Module) {
        m.clock();
        let slice = AxiStreamSlice { config: FULL };
        let first = m.instance("first", &slice);
        let second = m.instance("second", &slice);
        AxiStream::export(m, &first, "from", "from");
        AxiStream::connect(m, &first, "to", &second, "from");
        AxiStream::export(m, &second, "to", "to");
    }
}

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    let slices = [PLAIN, FULL].map(|config| Box::new(AxiStreamSlice { config }) as Box<dyn Block>);
    slices.into_iter().chain([Box::new(Chain) as Box<dyn Block>]).collect()
}

#[test]
fn transfers_pass_once_and_in_order_under_all_stalls_and_resets() {
    let seed = Seed::from_env_or(0x5EED);
    for (block, config) in blocks().iter().zip([PLAIN, FULL, FULL]) {
        let design = design(&**block);
        for stalls in Stalls::ALL {
            let mut monitors = ["from", "to"].map(|bus| AxiStreamMonitor::new(bus, config));
            let simulator = BED.simulator(&design);
            let probes = ["from", "to"].map(|bus| AxiStreamProbe::new(&simulator, bus, config));
            let mut watched = Watched::new(simulator, |sim| {
                for (monitor, probe) in monitors.iter_mut().zip(&probes) {
                    monitor.clock(&probe.sample(sim));
                }
            });
            let mut bench = Bench::new(&mut watched, &design, seed, stalls);
            let mut rng = seed.rng("transfers");
            for round in 0..10 {
                let sent: Vec<Vec<u64>> = (0..60).map(|_| bench.random_fields("from_t", &mut rng).words()).collect();
                bench.send("from_t", sent.iter().cloned());
                if round % 2 == 0 {
                    // Cut short by a reset in a random clock.
                    bench.run(rng.below(60));
                    let got = bench.drain("to_t");
                    assert_eq!(got, sent[..got.len()]);
                    bench.clear("from_t");
                    bench.reset(1);
                } else {
                    bench.run_until(2_000, |bench| bench.received("to_t").len() >= sent.len());
                    bench.run(20);
                    assert_eq!(bench.drain("to_t"), sent);
                }
            }
            drop(bench);
            drop(watched);
            monitors.iter().for_each(AxiStreamMonitor::assert_clean);
        }
    }
}

/// AMBA AXI-Stream, "Handshake signaling": TVALID does not wait for TREADY.
#[test]
fn offers_unasked_and_holds_two_transfers_at_full_rate() {
    for (block, room) in blocks().iter().zip([2, 2, 4]) {
        let design = design(&**block);
        let mut simulator = BED.simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
        let mut rng = Seed(1).rng("transfers");
        let sent: Vec<Vec<u64>> = (0..50).map(|_| bench.random_fields("from_t", &mut rng).words()).collect();
        bench.hold("to_t", true);
        bench.send("from_t", sent.iter().cloned());
        bench.run(20);
        assert_eq!(bench.peek("to_tvalid"), 1, "it waits to be asked");
        assert_eq!(sent.len() - bench.pending("from_t"), room);
        bench.hold("to_t", false);
        bench.run(sent.len() as u64);
        assert_eq!(bench.drain("to_t"), sent, "one in every clock");
    }
}
