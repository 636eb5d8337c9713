//! The running pulse.

use super::*;
use crate::cdc::testing::*;
use rtl_hdl::bench::Stalls;
use std::collections::VecDeque;

pub(crate) fn blocks() -> impl Iterator<Item = Pulse> {
    [2, 3].into_iter().map(|stages| Pulse { stages })
}

/// Every pulse that is given while the block is not busy becomes one event of one clock, in time; a reset forgets those on their way.
#[test]
fn every_pulse_becomes_one_event() {
    for block in blocks() {
        let in_time = u64::from(block.stages) + 1..=u64::from(block.stages) + 2;
        under_all_clocks(&block, &[Stalls::None], |bench, rng| {
            let (mut given, mut lost) = (0, 0);
            for _ in 0..10 {
                let (mut pulses, mut events) = (0, 0);
                // Of each pulse on its way, the edges of `to` since it was given.
                let mut on_the_way: VecDeque<u64> = VecDeque::new();
                for moment in 0..400 {
                    let (busy, pulse) = (bench.peek("busy"), u64::from(moment < 200 && rng.percent(30)));
                    bench.poke("pulse_in", pulse);
                    let event = bench.peek("pulse_out");
                    let rising = bench.clock();
                    // What the edges saw.
                    if rising >> 1 & 1 == 1 {
                        if event == 1 {
                            let edges = on_the_way.pop_front().expect("an event has a pulse");
                            assert!(in_time.contains(&edges), "an event after {edges} edges");
                            events += 1;
                        }
                        on_the_way.iter_mut().for_each(|edges| *edges += 1);
                    }
                    if rising & 1 == 1 && pulse == 1 {
                        pulses += u64::from(busy == 0);
                        lost += busy;
                        on_the_way.extend((busy == 0).then_some(0));
                    }
                }
                assert_eq!((events, bench.peek("busy")), (pulses, 0));
                given += pulses;
                for _ in 0..rng.below(60) {
                    bench.poke("pulse_in", u64::from(rng.bool()));
                    bench.clock();
                }
                bench.reset(1);
                assert_eq!((bench.peek("busy"), bench.peek("pulse_out")), (0, 0), "it waits for a pulse");
            }
            assert!(given > 10 && lost > 10, "{given} pulses, {lost} lost");
        });
    }
}

/// With clocks of one rate, a pulse in every round trip.
#[test]
fn passes_a_pulse_in_every_round_trip() {
    for block in blocks() {
        under_one_rate(&block, |bench| {
            bench.poke("pulse_in", 1);
            let round_trip = 2 * (u64::from(block.stages) + 1);
            for clock in 0..5 * round_trip {
                assert_eq!(bench.peek("busy"), u64::from(clock % round_trip != 0), "clock {clock}");
                bench.clock();
            }
        });
    }
}
