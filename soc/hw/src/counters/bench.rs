//! The running counters.

use super::*;
use crate::testing::{design, read, write, BED};
use rtl_hdl::bench::{Bench, Seed, Stalls};
use soc_map::counters::FROZEN;

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(Counters)]
}

fn count(bench: &mut Bench, event: Event) -> u64 {
    let [low, high] = [0, 4].map(|half| u64::from(read(bench, event.register() + half)));
    high << 32 | low
}

#[test]
fn each_event_is_counted_by_itself_and_beyond_32_bits() {
    let seed = Seed::from_env_or(0x5EED);
    let design = design(&Counters);
    for stalls in Stalls::ALL {
        let mut simulator = BED.simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
        let mut rng = seed.rng("events");
        let others = Event::ALL.into_iter().filter(|event| *event != Event::Clocks);
        let mut expected = vec![];
        for event in others {
            // The lower half is about to be full.
            let start = rng.next_u64() | 0xFFFF_FFF0;
            write(&mut bench, event.register(), start as u32);
            write(&mut bench, event.register() + 4, (start >> 32) as u32);
            expected.push((event, start, 0));
        }
        let before = count(&mut bench, Event::Clocks);
        let clocks = bench.clocks();
        for _ in 0..200 {
            for (event, _, happened) in &mut expected {
                let happens = rng.below(5) < *event as u64;
                *happened += u64::from(happens);
                bench.poke(&format!("event_{}", *event as u32), happens.into());
            }
            bench.run(1);
        }
        expected.iter().for_each(|(event, ..)| bench.poke(&format!("event_{}", *event as u32), 0));
        for (event, start, happened) in &expected {
            assert_eq!(count(&mut bench, *event), start.wrapping_add(*happened), "{event:?} under {stalls:?}");
        }
        let (passed, counted) = (bench.clocks() - clocks, count(&mut bench, Event::Clocks) - before);
        assert!(counted.abs_diff(passed) < 2_000 && counted >= 200, "{counted} of {passed} clocks");
        write(&mut bench, CONTROL, FROZEN);
        assert_eq!(read(&mut bench, CONTROL), FROZEN);
        let frozen = count(&mut bench, Event::Clocks);
        bench.poke("event_1", 1);
        bench.run(50);
        assert_eq!(count(&mut bench, Event::Clocks), frozen);
        assert_eq!(count(&mut bench, Event::Requests), expected[0].1.wrapping_add(expected[0].2));
        bench.reset(1);
        assert_eq!((count(&mut bench, Event::Probes), read(&mut bench, CONTROL)), (0, 0));
    }
}
