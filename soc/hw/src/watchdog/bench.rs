//! The running watchdog.

use super::*;
use crate::testing::{design, read, write, BED};
use rtl_hdl::bench::{Bench, Seed, Stalls};

const WATCHDOGS: [Watchdog; 2] = [Watchdog { harts: 1 }, Watchdog { harts: 6 }];

/// Clocks that an access may take under stalls, and ticks of them.
const SLACK_TICKS: u64 = 8;

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    WATCHDOGS.map(|watchdog| Box::new(watchdog) as Box<dyn Block>).into()
}

/// Runs the test for the last hart with a random time.
fn with_benches(test: impl Fn(&mut Bench, u32, u32)) {
    let seed = Seed::from_env_or(0x5EED);
    for watchdog in WATCHDOGS {
        let design = design(&watchdog);
        for stalls in Stalls::ALL {
            let mut simulator = BED.simulator(&design);
            let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
            let ticks = 20 + seed.rng("ticks").below(40) as u32;
            test(&mut bench, watchdog.harts - 1, ticks);
        }
    }
}

/// Runs until a line is high, for at most so many ticks; the ticks that passed.
fn ticks_until(bench: &mut Bench, line: &str, ticks_max: u64) -> u64 {
    let mut clocks = 0;
    while bench.peek(line) == 0 {
        assert!(clocks < ticks_max * u64::from(CLOCKS_PER_TICK), "no {line} within {ticks_max} ticks");
        bench.run(1);
        clocks += 1;
    }
    clocks / u64::from(CLOCKS_PER_TICK)
}

#[test]
fn a_hart_that_does_not_feed_is_barked_at_and_then_bitten() {
    with_benches(|bench, hart, ticks| {
        let timeout = STRIDE * hart + TIMEOUT;
        bench.run(2_000);
        assert_eq!((bench.peek("bark"), bench.peek("bite")), (0, 0), "no time is set");
        write(bench, timeout, ticks);
        assert_eq!(read(bench, timeout), ticks);
        let range = u64::from(ticks) - SLACK_TICKS..=u64::from(ticks) + 1;
        let passed = ticks_until(bench, "bark", u64::from(ticks) + 2);
        assert!(range.contains(&passed), "a bark after {passed} of {ticks} ticks");
        assert_eq!((read(bench, BARKING), bench.peek("bite")), (1 << hart, 0));
        let passed = ticks_until(bench, "bite", u64::from(ticks) + 2);
        assert!(range.contains(&passed), "a bite {passed} ticks after the bark");
        // Only a reset takes it back.
        write(bench, timeout, 0);
        bench.run(5);
        assert_eq!((bench.peek("bark"), bench.peek("bite")), (0, 1));
        bench.reset(1);
        bench.run(5_000);
        assert_eq!((bench.peek("bark"), bench.peek("bite")), (0, 0));
    });
}

#[test]
fn a_hart_that_feeds_is_left_alone() {
    with_benches(|bench, hart, ticks| {
        let feed = STRIDE * hart + FEED;
        write(bench, STRIDE * hart + TIMEOUT, ticks);
        for _ in 0..10 {
            bench.run(u64::from((ticks - SLACK_TICKS as u32) * CLOCKS_PER_TICK));
            assert_eq!((bench.peek("bark"), bench.peek("bite")), (0, 0));
            assert!(read(bench, feed) <= SLACK_TICKS as u32);
            write(bench, feed, KEY);
        }
        assert!(read(bench, feed) >= ticks - SLACK_TICKS as u32);
        // A bark is taken back by the food, and by nothing else.
        ticks_until(bench, "bark", u64::from(ticks) + 2);
        write(bench, feed, !KEY);
        bench.run(3);
        assert_eq!(bench.peek("bark"), 1);
        write(bench, feed, KEY);
        bench.run(3);
        assert_eq!((read(bench, BARKING), bench.peek("bark")), (0, 0));
        // The next time is the first again.
        ticks_until(bench, "bark", u64::from(ticks) + 2);
        assert_eq!(bench.peek("bite"), 0);
    });
}
