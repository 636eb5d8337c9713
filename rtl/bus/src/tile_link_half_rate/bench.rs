//! The running adapter. The client is written here, because a bench has one rate: what it drives changes at its edges alone.

use super::*;
use crate::testing::{design, BED};
use rtl_hdl::bench::{Rng, Seed};
use rtl_hdl::ir::StreamPort;
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::Design;

const NARROW: TileLinkConfig =
    TileLinkConfig { address_bits: 12, data_bits: 16, size_bits: 3, source_bits: 1, sink_bits: 1 };
const TILE: TileLinkConfig =
    TileLinkConfig { address_bits: 32, data_bits: 64, size_bits: 4, source_bits: 2, sink_bits: 2 };

fn adapters() -> [TileLinkHalfRate; 2] {
    [NARROW, TILE].map(|config| TileLinkHalfRate { config })
}

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    adapters().map(|adapter| Box::new(adapter) as Box<dyn Block>).into()
}

/// The channels, each from the side on which items come to the side on which they leave.
const CHANNELS: [(&str, &str); 5] =
    [("from_a", "to_a"), ("to_b", "from_b"), ("from_c", "to_c"), ("to_d", "from_d"), ("from_e", "to_e")];

/// One side of a channel.
struct End {
    valid: PortId,
    ready: PortId,
    fields: Vec<(PortId, u32)>,
    /// The side of the client, which moves at its edges.
    is_slow: bool,
    is_open: bool,
}

impl End {
    fn new(sim: &dyn Simulator, design: &Design, name: &str) -> Self {
        let stream: &StreamPort = design.top().streams.iter().find(|stream| stream.name == name).expect("it is there");
        let fields = stream.leaves.iter().map(|(field, width)| (sim.port(&format!("{name}{field}")), *width)).collect();
        let (valid, ready) = (sim.port(&stream.valid()), sim.port(&stream.ready()));
        End { valid, ready, fields, is_slow: name.starts_with("from"), is_open: false }
    }

    fn item(&self, sim: &dyn Simulator) -> Vec<u64> {
        self.fields.iter().map(|(port, _)| sim.peek_u64(*port)).collect()
    }

    fn transfers(&self, sim: &dyn Simulator) -> bool {
        sim.peek_u64(self.valid) == 1 && sim.peek_u64(self.ready) == 1
    }
}

/// Sends items over all channels, with this chance of 100 that a side moves when it may; gives what came, and in how many clocks.
fn run(adapter: &TileLinkHalfRate, count: usize, chance: u64, rng: &mut Rng) -> u64 {
    let design = design(adapter);
    let mut sim = BED.simulator(&design);
    let sim = &mut *sim;
    let edge_port = sim.port("client_edge");
    let reset = sim.port("reset");
    sim.poke_u64(reset, 1);
    sim.step();
    sim.poke_u64(reset, 0);
    let mut ends: Vec<[End; 2]> =
        CHANNELS.iter().map(|(from, to)| [End::new(sim, &design, from), End::new(sim, &design, to)]).collect();
    let mask = |width: u32| u64::MAX >> (64 - width);
    let sent: Vec<Vec<Vec<u64>>> = ends
        .iter()
        .map(|[from, _]| {
            let item = |rng: &mut Rng| from.fields.iter().map(|(_, width)| rng.next_u64() & mask(*width)).collect();
            (0..count).map(|_| item(rng)).collect()
        })
        .collect();
    let mut next = vec![0; CHANNELS.len()];
    let mut got: Vec<Vec<Vec<u64>>> = vec![vec![]; CHANNELS.len()];
    for clock in 0.. {
        assert!(clock < 100 * count as u64, "{:?} of {count}", got.iter().map(Vec::len).collect::<Vec<_>>());
        let edge = clock % 2 == 1;
        sim.poke_u64(edge_port, edge.into());
        for (channel, [from, to]) in ends.iter_mut().enumerate() {
            // What an end drives may change in the first clock after an edge of its own clock.
            if !from.is_slow || !edge {
                let offers = next[channel] < count && (from.is_open || rng.below(100) < chance);
                from.is_open = offers;
                sim.poke_u64(from.valid, offers.into());
                if offers {
                    let item = &sent[channel][next[channel]];
                    from.fields.iter().zip(item).for_each(|((port, _), value)| sim.poke_u64(*port, *value));
                }
            }
            if !to.is_slow || !edge {
                sim.poke_u64(to.ready, (rng.below(100) < chance).into());
            }
        }
        // What is driven comes from registers, so that it needs no settling.
        for (channel, [from, to]) in ends.iter_mut().enumerate() {
            if (!from.is_slow || edge) && from.transfers(sim) {
                next[channel] += 1;
                from.is_open = false;
            }
            if (!to.is_slow || edge) && to.transfers(sim) {
                got[channel].push(to.item(sim));
            }
        }
        sim.step();
        if got.iter().all(|got| got.len() >= count) {
            assert_eq!(got, sent);
            return clock;
        }
    }
    unreachable!("the clocks are counted")
}

#[test]
fn items_pass_once_and_in_order_under_stalls() {
    let seed = Seed::from_env_or(0x5EED);
    for adapter in adapters() {
        for chance in [100, 70, 30, 10] {
            run(&adapter, 100, chance, &mut seed.rng(&format!("stalls {chance}")));
        }
    }
}

#[test]
fn an_item_goes_in_each_clock_of_the_client() {
    let clocks = run(&adapters()[1], 100, 100, &mut Seed(1).rng("items"));
    assert!(clocks <= 2 * 100 + 4, "{clocks} clocks for 100 items");
}
