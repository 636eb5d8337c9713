//! The running CLINT.

use super::*;
use crate::testing::{design, read, write, BED};
use rtl_hdl::bench::{Bench, Seed, Stalls};

const CLINTS: [Clint; 2] = [Clint { harts: 1 }, Clint { harts: 6 }];

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    CLINTS.map(|clint| Box::new(clint) as Box<dyn Block>).into()
}

fn with_benches(test: impl Fn(Clint, &mut Bench, u64)) {
    let seed = Seed::from_env_or(0x5EED);
    for clint in CLINTS {
        let design = design(&clint);
        for stalls in Stalls::ALL {
            let mut simulator = BED.simulator(&design);
            let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
            let value = seed.rng("values").next_u64();
            test(clint, &mut bench, value);
        }
    }
}

fn time(bench: &mut Bench) -> u64 {
    u64::from(read(bench, MTIME)) | u64::from(read(bench, MTIME + 4)) << 32
}

#[test]
fn software_interrupts_are_those_that_were_written() {
    with_benches(|clint, bench, _| {
        for hart in 0..clint.harts {
            write(bench, MSIP + 4 * hart, !0);
            bench.run(2);
            for other in 0..clint.harts {
                assert_eq!(bench.peek(&format!("msip_{other}")), u64::from(other == hart));
                assert_eq!(read(bench, MSIP + 4 * other), u32::from(other == hart));
            }
            write(bench, MSIP + 4 * hart, 0);
        }
        assert_eq!(read(bench, MSIP + 4 * clint.harts), 0, "there is none");
    });
}

#[test]
fn time_goes_on_and_interrupts_when_it_has_come() {
    with_benches(|clint, bench, value| {
        // The lower half is about to be full.
        let start = value << 32 | u64::from(u32::MAX - 1);
        write(bench, MTIME, start as u32);
        write(bench, MTIME + 4, (start >> 32) as u32);
        let hart = clint.harts - 1;
        let (at, mtip) = (MTIMECMP + 8 * hart, format!("mtip_{hart}"));
        let due = start.wrapping_add(20);
        write(bench, at, due as u32);
        assert_eq!(bench.peek(&mtip), 0, "the higher half is still the largest number");
        write(bench, at + 4, (due >> 32) as u32);
        bench.run_until(20 * 25 + 40, |bench| bench.peek(&mtip) == 1);
        let came = time(bench);
        assert!((due..due + 8).contains(&came), "{came:#x} instead of {due:#x}");
        assert!((0..hart).all(|other| bench.peek(&format!("mtip_{other}")) == 0));
        // It is there as soon as the time has come, not a tick later.
        let due = came.wrapping_add(1 << 20);
        write(bench, at, due as u32);
        write(bench, at + 4, (due >> 32) as u32);
        bench.run(2);
        assert_eq!(bench.peek(&mtip), 0);
        write(bench, MTIME + 4, (due >> 32) as u32);
        write(bench, MTIME, due as u32);
        bench.run(2);
        let is_raised = bench.peek(&mtip) == 1;
        assert!(is_raised || time(bench) < due, "{:#x} is not before {due:#x}", time(bench));
        write(bench, at + 4, u32::MAX);
        bench.run(2);
        assert_eq!(bench.peek(&mtip), 0);
        let before = time(bench);
        bench.run(u64::from(100 * CLOCKS_PER_TICK));
        let passed = time(bench) - before;
        assert!((100..=110).contains(&passed), "{passed} ticks");
        bench.reset(1);
        bench.run(2);
        assert!((0..clint.harts).all(|hart| bench.peek(&format!("mtip_{hart}")) == 0));
        assert!(time(bench) < 10);
    });
}
