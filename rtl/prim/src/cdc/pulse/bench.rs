//! The running pulse.

use super::*;
use crate::cdc::testing::*;
use rtl_hdl::bench::Stalls;

pub(crate) fn blocks() -> impl Iterator<Item = Pulse> {
    [2, 3].into_iter().map(|stages| Pulse { stages })
}

/// Every pulse that is given while the block is not busy becomes one event of one clock.
#[test]
fn every_pulse_becomes_one_event() {
    for block in blocks() {
        under_all_clocks(&block, &[Stalls::None], |bench, rng| {
            let (mut pulses, mut events, mut lost) = (0, 0, 0);
            for _ in 0..2_000 {
                let (busy, pulse) = (bench.peek("busy"), u64::from(rng.percent(30)));
                bench.poke("pulse_in", pulse);
                let event = bench.peek("pulse_out");
                let rising = bench.clock();
                // What the edges saw.
                if rising & 1 == 1 && pulse == 1 {
                    pulses += u64::from(busy == 0);
                    lost += busy;
                }
                events += event & (rising >> 1 & 1);
            }
            bench.poke("pulse_in", 0);
            for _ in 0..2_000 {
                let event = bench.peek("pulse_out");
                events += event & (bench.clock() >> 1 & 1);
            }
            assert_eq!((events, bench.peek("busy")), (pulses, 0));
            assert!(pulses > 10 && lost > 10, "{pulses} pulses, {lost} lost");
        });
    }
}
