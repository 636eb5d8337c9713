//! The running slice.

use super::*;
use crate::testing::{design, BED};
use rtl_hdl::bench::{Bench, Seed, Stalls};
use rtl_hdl::Block;

const NARROW: TileLinkConfig =
    TileLinkConfig { address_bits: 12, data_bits: 16, size_bits: 3, source_bits: 1, sink_bits: 1 };
/// As a tile has it.
const TILE: TileLinkConfig =
    TileLinkConfig { address_bits: 32, data_bits: 64, size_bits: 4, source_bits: 2, sink_bits: 2 };

/// Two slices, one behind the other.
struct Chain;

impl Block for Chain {
    fn name(&self) -> String {
        "tile_link_chain".into()
    }

    fn build(&self, m: &Module) {
        m.clock();
        let slice = TileLinkSlice { config: TILE };
        let first = m.instance("first", &slice);
        let second = m.instance("second", &slice);
        TileLinkCached::export(m, &first, "from", "from");
        TileLinkCached::connect(m, &first, "to", &second, "from");
        TileLinkCached::export(m, &second, "to", "to");
    }
}

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(TileLinkSlice { config: NARROW }), Box::new(TileLinkSlice { config: TILE }), Box::new(Chain)]
}

/// The channels, each from the side on which items come to the side on which they leave.
const CHANNELS: [(&str, &str); 5] =
    [("from_a", "to_a"), ("to_b", "from_b"), ("from_c", "to_c"), ("to_d", "from_d"), ("from_e", "to_e")];

/// The handshake of every output is checked by the bench: what is offered stays.
#[test]
fn items_pass_once_and_in_order_under_all_stalls_and_resets() {
    let seed = Seed::from_env_or(0x5EED);
    for block in blocks() {
        let design = design(&*block);
        for stalls in Stalls::ALL {
            let mut simulator = BED.simulator(&design);
            let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
            let mut rng = seed.rng("items");
            for round in 0..6 {
                let sent = CHANNELS.map(|(input, _)| -> Vec<Vec<u64>> {
                    (0..40).map(|_| bench.random_fields(input, &mut rng).words()).collect()
                });
                for ((input, _), items) in CHANNELS.iter().zip(&sent) {
                    bench.send(input, items.iter().cloned());
                }
                let is_cut_short = round % 2 == 0;
                if is_cut_short {
                    bench.run(rng.below(50));
                } else {
                    bench.run_until(2_000, |bench| CHANNELS.iter().all(|(_, to)| bench.received(to).len() >= 40));
                    bench.run(20);
                }
                for ((input, output), items) in CHANNELS.iter().zip(&sent) {
                    let got = bench.drain(output);
                    assert_eq!(got, items[..got.len()], "`{output}`");
                    assert!(is_cut_short || got.len() == items.len(), "`{output}`");
                    bench.clear(input);
                }
                if is_cut_short {
                    bench.reset(1);
                    bench.run(20);
                    assert!(
                        CHANNELS.iter().all(|(_, output)| bench.drain(output).is_empty()),
                        "a reset leaves nothing"
                    );
                }
            }
        }
    }
}

/// TileLink, "Deadlock Freedom": a channel that is held up holds no other up.
#[test]
fn every_channel_offers_unasked_and_holds_two_items_in_each_slice() {
    for (block, room) in blocks().iter().zip([2, 2, 4]) {
        let design = design(&**block);
        for (input, output) in CHANNELS {
            let mut simulator = BED.simulator(&design);
            let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
            let mut rng = Seed(1).rng("items");
            let count = 30;
            for (channel, _) in CHANNELS {
                let items: Vec<_> = (0..count).map(|_| bench.random_fields(channel, &mut rng).words()).collect();
                bench.send(channel, items);
            }
            bench.hold(output, true);
            bench.run(count as u64 + room as u64);
            assert_eq!(bench.peek(&format!("{output}_valid")), 1, "`{output}` waits to be asked");
            assert_eq!(count - bench.pending(input), room, "items that `{input}` takes");
            for (_, other) in CHANNELS.iter().filter(|(_, other)| *other != output) {
                assert_eq!(bench.received(other).len(), count, "`{other}` at one item in a clock");
            }
            bench.hold(output, false);
            bench.run(count as u64);
            assert_eq!(bench.received(output).len(), count, "`{output}` at one item in a clock");
        }
    }
}
