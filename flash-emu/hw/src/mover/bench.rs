//! The running block between two memories.

use super::Mover;
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls, Memory};
use crate::types::UNIT_BEATS;
use flash_spec::limits::UNIT_BYTES;
use flash_spec::spare::crc32c;
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::Block;
use std::collections::VecDeque;

const MOVERS: [Mover; 2] = [Mover { units: 2 }, Mover { units: 8 }];
const UNIT: u64 = UNIT_BYTES as u64;

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    MOVERS.iter().map(|&mover| Box::new(mover) as Box<dyn Block>).collect()
}

#[derive(Debug)]
struct Job {
    source: u64,
    sink: u64,
    zeroes: bool,
    bad: bool,
    forward: (u64, u64, u64),
}

impl Job {
    fn any(rng: &mut Rng, number: u64) -> Self {
        let first = rng.below(UNIT_BEATS.into());
        let beats = if rng.bool() { 0 } else { 1 + rng.below(u64::from(UNIT_BEATS) - first) };
        Job {
            source: rng.below(8) * UNIT,
            sink: 0x1_0000_0000 + number * UNIT,
            zeroes: rng.percent(20),
            bad: rng.percent(10),
            forward: (rng.below(256), first, beats),
        }
    }

    fn send(&self, bench: &mut Bench, tag: u64) {
        let item = bench.fields("job").set("tag", tag).set("source", self.source).set("sink", self.sink);
        let (forward_tag, beat, beats) = self.forward;
        let item = item.set("zeroes", self.zeroes).set("bad", self.bad).set("forward_tag", forward_tag);
        bench.send("job", [item.set("forward_beat", beat).set("forward_beats", beats).words()]);
    }
}

/// A beat of the fourth unit cannot be read.
fn is_bad(address: u64) -> bool {
    address == 3 * UNIT + 640
}

#[test]
fn units_arrive_with_their_check_and_what_is_wanted_is_forwarded() {
    for mover in MOVERS {
        under_all_stalls(&mover, |bench, rng| {
            let mut source = Memory::new(is_bad, 20).on("source");
            let mut sink = Memory::new(|_| false, 9).on("sink");
            let content: Vec<u8> = (0..8 * UNIT).map(|_| rng.next_u64() as u8).collect();
            source.store(0, &content);
            let jobs: Vec<Job> = (0..40).map(|number| Job::any(rng, number)).collect();
            let mut forwarded = VecDeque::new();
            for (job, tag) in jobs.iter().zip(500..) {
                job.send(bench, tag);
                let (forward_tag, first, beats) = job.forward;
                for beat in first..first + beats {
                    let address = job.source + 64 * beat;
                    let is_error = job.bad || !job.zeroes && is_bad(address);
                    let at = address as usize;
                    let data = if job.zeroes { vec![0; 64] } else { content[at..at + 64].to_vec() };
                    forwarded.push_back((forward_tag, data, is_error, beat + 1 == first + beats));
                }
            }
            let mut ended = 0;
            while ended < jobs.len() {
                source.clock(bench);
                sink.clock(bench);
                bench.clock();
                for beat in bench.drain_fields("forward") {
                    let data: Vec<u8> = beat.get_words("data").into_iter().flat_map(u64::to_le_bytes).collect();
                    let got = (beat.get("tag"), data, beat.get("error") == 1, beat.get("last") == 1);
                    assert_eq!(Some(got), forwarded.pop_front());
                }
                for moved in bench.drain_fields("moved") {
                    let job = &jobs[ended];
                    let failed = job.bad || !job.zeroes && job.source == 3 * UNIT;
                    assert_eq!((moved.get("tag"), moved.get("failed") == 1), (500 + ended as u64, failed), "{job:?}");
                    let at = job.source as usize;
                    let expected =
                        if job.zeroes { vec![0; UNIT as usize] } else { content[at..at + UNIT as usize].to_vec() };
                    assert!(sink.load(job.sink, UNIT) == expected, "{job:?}");
                    assert_eq!(moved.get("crc"), crc32c(&expected).into(), "{job:?}");
                    ended += 1;
                }
                assert!(bench.clocks() < 50_000, "{ended} jobs ended");
            }
            assert!(forwarded.is_empty());
        });
    }
}

#[test]
fn a_write_that_fails_is_told() {
    without_stalls(&MOVERS[0], |bench| {
        let mut sink = Memory::new(|_| false, 9).on("sink");
        sink.fail_writes(true);
        let job = Job { source: 0, sink: 0, zeroes: true, bad: false, forward: (0, 0, 0) };
        job.send(bench, 7);
        bench.run_until(1000, |bench| {
            sink.clock(bench);
            !bench.received("moved").is_empty()
        });
        assert_eq!(bench.drain_fields("moved")[0].get("failed"), 1);
    });
}

#[test]
fn a_beat_goes_through_in_each_clock() {
    without_stalls(&MOVERS[1], |bench| {
        let mut source = Memory::new(|_| false, 64).on("source");
        let mut sink = Memory::new(|_| false, 64).on("sink");
        const JOBS: u64 = 16;
        for number in 0..JOBS {
            let job = Job { source: 0, sink: number * UNIT, zeroes: false, bad: false, forward: (0, 0, 64) };
            job.send(bench, number);
        }
        while bench.received("moved").len() < JOBS as usize {
            source.clock(bench);
            sink.clock(bench);
            bench.clock();
            assert!(bench.clocks() < JOBS * (u64::from(UNIT_BEATS) + 1) + 2 * 64 + 30);
        }
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&MOVERS[0], &["source_r", "source_b", "sink_r", "sink_b"], &[]);
}
