//! The running engine over a memory, against a copy of bytes.

use super::*;
use crate::testing::{design, read, write, BED};
use rtl_bus::monitor::{Axi4Monitor, Axi4Probe, Watched};
use rtl_hdl::bench::{Bench, Fields, Rng, Seed, Stalls};
use soc_map::dma::{BUSY, DONE};
use std::collections::VecDeque;

const LINE: u64 = LINE_BYTES as u64;

/// Lines of the memory, which ends at the end of the addresses.
const LINES: u64 = 96;

const BASE: u64 = (1 << MEMORY_BITS) - LINE * LINES;

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(DmaEngine)]
}

/// A memory some of whose lines cannot be read, or written.
struct Memory {
    bytes: Vec<u8>,
    unreadable: Option<u64>,
    unwritable: Option<u64>,
    reads: VecDeque<(u64, u64)>,
    writes: VecDeque<u64>,
    beats: VecDeque<Fields>,
    answers: VecDeque<(u64, u8)>,
    now: u64,
    /// Clocks until an answer.
    latency: u64,
    touched: u64,
}

impl Memory {
    fn new(rng: &mut Rng) -> Self {
        let bytes = (0..LINES * LINE).map(|_| rng.next_u64() as u8).collect();
        let (reads, writes, beats, answers) = Default::default();
        Self {
            bytes,
            unreadable: None,
            unwritable: None,
            reads,
            writes,
            beats,
            answers,
            now: 0,
            latency: 20,
            touched: 0,
        }
    }

    fn line(&mut self, line: u64) -> &mut [u8] {
        &mut self.bytes[(LINE * line) as usize..][..LINE as usize]
    }

    fn clock(&mut self, bench: &mut Bench) {
        self.now += 1;
        let line_of = |address: u64| (address - BASE) / LINE;
        for burst in bench.drain_fields("memory_ar") {
            self.reads.push_back((self.now + self.latency, line_of(burst.get("addr"))));
            self.touched += 1;
        }
        self.writes.extend(bench.drain_fields("memory_aw").iter().map(|burst| line_of(burst.get("addr"))));
        self.beats.extend(bench.drain_fields("memory_w"));
        while !self.writes.is_empty() && !self.beats.is_empty() {
            let (line, beat) = self.writes.pop_front().zip(self.beats.pop_front()).expect("both are there");
            assert_eq!(beat.get("last"), 1);
            self.touched += 1;
            let fails = self.unwritable == Some(line);
            let (strobe, data) = (beat.get("strb"), beat.get_words("data"));
            for (number, byte) in data.into_iter().flat_map(u64::to_le_bytes).enumerate() {
                if strobe >> number & 1 == 1 && !fails {
                    self.line(line)[number] = byte;
                }
            }
            self.answers.push_back((self.now + self.latency, if fails { resp::SLVERR } else { resp::OKAY }));
        }
        while let Some((_, resp)) = self.answers.pop_front_if(|(due, _)| *due <= self.now) {
            bench.send("memory_b", [bench.fields("memory_b").set("resp", resp).words()]);
        }
        while let Some((_, line)) = self.reads.pop_front_if(|(due, _)| *due <= self.now) {
            let words: Vec<u64> =
                self.line(line).chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8"))).collect();
            let resp = if self.unreadable == Some(line) { resp::SLVERR } else { resp::OKAY };
            let item = bench.fields("memory_r").set("resp", resp).set("last", 1).set_words("data", &words);
            bench.send("memory_r", [item.words()]);
        }
    }
}

/// A window that the engine has been given.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    first: u64,
    last: u64,
    access: u32,
}

impl Allowed {
    fn any(rng: &mut Rng) -> Self {
        let line = rng.below(LINES / 2);
        let first = BASE + LINE * line;
        let last = first + LINE * (1 + rng.below(LINES - line)) - 1;
        // Now and then an end that is in the middle of a line, which allows nothing of it.
        Self {
            first: first + u64::from(rng.percent(20)),
            last: last - u64::from(rng.percent(20)),
            access: rng.below(4) as u32,
        }
    }

    fn set(&self, bench: &mut Bench, number: u32) {
        let at = WINDOW_STRIDE * number;
        write(bench, at + WINDOW_FIRST, self.first as u32);
        write(bench, at + WINDOW_LAST, self.last as u32);
        write(bench, at + WINDOW_ACCESS, self.access);
    }
}

/// Starts a copy.
fn start(bench: &mut Bench, source: u64, destination: u64, bytes: u64) {
    write(bench, SOURCE, source as u32);
    write(bench, DESTINATION, destination as u32);
    write(bench, BYTES, bytes as u32);
    write(bench, CONTROL, START);
}

/// Runs until the engine is done; how it went, and the clocks it took.
fn finish(bench: &mut Bench, memory: &mut Memory) -> (u32, u64) {
    let before = bench.clocks();
    while bench.peek("dma_interrupt") == 0 {
        assert!(bench.clocks() - before < 20_000, "a copy does not end");
        memory.clock(bench);
        bench.run(1);
    }
    let clocks = bench.clocks() - before;
    let status = read(bench, STATUS);
    assert_eq!(status & (BUSY | DONE), DONE);
    write(bench, STATUS, 0);
    bench.run(2);
    assert_eq!((bench.peek("dma_interrupt"), read(bench, STATUS) & DONE), (0, 0));
    (status >> OUTCOME_SHIFT, clocks)
}

fn with_benches(test: impl Fn(&mut Bench, &mut Memory, &mut Rng, Stalls)) {
    let seed = Seed::from_env_or(0x5EED);
    let design = design(&DmaEngine);
    for stalls in Stalls::ALL {
        let simulator = BED.simulator(&design);
        let probe = Axi4Probe::new(&simulator, "memory", MEMORY);
        let mut monitor = Axi4Monitor::new("memory", MEMORY);
        let mut watched = Watched::new(simulator, |sim| monitor.clock(&probe.sample(sim)));
        let mut bench = Bench::new(&mut watched, &design, seed, stalls);
        let mut rng = seed.rng("copies");
        let mut memory = Memory::new(&mut rng);
        write(&mut bench, INTERRUPT, 1);
        test(&mut bench, &mut memory, &mut rng, stalls);
        drop(bench);
        drop(watched);
        monitor.finish();
        monitor.assert_clean();
    }
}

#[test]
fn what_windows_allow_is_copied_and_nothing_else_is_touched() {
    with_benches(|bench, memory, rng, stalls| {
        let mut outcomes = [0; 4];
        let mut windows = [Allowed { first: 0, last: 0, access: 0 }; WINDOWS as usize];
        for number in 0..60 {
            let window = rng.below(WINDOWS.into()) as usize;
            windows[window] = Allowed::any(rng);
            windows[window].set(bench, window as u32);
            // Apart, so that it does not matter in which order lines move.
            let half = LINES / 2;
            let lines = 1 + rng.below(half / 2);
            let (mut source, mut destination) = (rng.below(half - lines), half + rng.below(half - lines));
            if rng.bool() {
                (source, destination) = (destination, source);
            }
            let [source, destination] = [source, destination].map(|line| BASE + LINE * line);
            let bytes = LINE * lines;
            let mut asked = [source, destination, bytes];
            let is_wrong = rng.percent(15);
            if is_wrong {
                match rng.below(5) {
                    odd @ 0..3 => asked[odd as usize] += 1 + rng.below(LINE - 1),
                    3 => asked[2] = 0,
                    _ => asked[2] = (1 << MEMORY_BITS) - LINE,
                }
            }
            let allows = |access: u32, first: u64| {
                let last = first + bytes - 1;
                windows.iter().any(|w| w.access & access != 0 && w.first <= first && last <= w.last)
            };
            let expected = match (is_wrong, allows(READ, source), allows(WRITE, destination)) {
                (true, ..) => Outcome::Malformed,
                (_, false, _) => Outcome::SourceForbidden,
                (_, _, false) => Outcome::DestinationForbidden,
                _ => Outcome::Good,
            };
            outcomes[expected as usize] += 1;
            let mut after = memory.bytes.clone();
            let touched = memory.touched;
            if expected == Outcome::Good {
                let [from, to] = [source, destination].map(|address| (address - BASE) as usize);
                after.copy_within(from..from + bytes as usize, to);
            }
            start(bench, asked[0], asked[1], asked[2]);
            // The registers are those of the next copy already.
            write(bench, SOURCE, 0);
            write(bench, CONTROL, 0);
            let (outcome, _) = finish(bench, memory);
            assert_eq!(outcome, expected as u32, "copy {number} under {stalls:?}: {asked:x?} with {windows:x?}");
            assert!(memory.bytes == after, "copy {number} under {stalls:?}: {asked:x?}");
            assert!(expected == Outcome::Good || memory.touched == touched, "a copy that was refused has begun");
        }
        assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
    });
}

#[test]
fn lines_that_fail_are_told_and_left_out() {
    with_benches(|bench, memory, rng, _| {
        Allowed { first: BASE, last: (1 << MEMORY_BITS) - 1, access: READ | WRITE }.set(bench, 0);
        let lines = 40;
        for is_read in [true, false] {
            let bad = rng.below(lines);
            let destination = LINES - lines;
            let mut after = memory.bytes.clone();
            let kept = (LINE * (destination + bad)) as usize..(LINE * (destination + bad + 1)) as usize;
            let old = after[kept.clone()].to_vec();
            after.copy_within(..(LINE * lines) as usize, (LINE * destination) as usize);
            after[kept].copy_from_slice(&old);
            memory.unreadable = is_read.then_some(bad);
            memory.unwritable = (!is_read).then_some(destination + bad);
            start(bench, BASE, BASE + LINE * destination, LINE * lines);
            let expected = if is_read { Outcome::ReadFailed } else { Outcome::WriteFailed };
            assert_eq!(finish(bench, memory).0, expected as u32);
            assert!(memory.bytes == after, "all but line {bad} is copied");
            // Other bytes for the next time.
            let lines = memory.bytes.len() / 2;
            memory.bytes[..lines].fill_with(|| rng.next_u64() as u8);
        }
    });
}

#[test]
fn a_locked_window_stays_as_it_is_until_a_reset() {
    with_benches(|bench, memory, _, _| {
        let all = Allowed { first: BASE, last: (1 << MEMORY_BITS) - 1, access: READ | WRITE };
        let locked = Allowed { access: READ | LOCKED, ..all };
        locked.set(bench, 1);
        Allowed { first: 1, last: 2, access: WRITE }.set(bench, 1);
        let words = [WINDOW_FIRST, WINDOW_LAST, WINDOW_ACCESS].map(|word| read(bench, WINDOW_STRIDE + word));
        assert_eq!(words, [locked.first as u32, locked.last as u32, locked.access]);
        all.set(bench, 0);
        assert_eq!(read(bench, WINDOW_ACCESS), READ | WRITE, "another window is free");
        // A start while a copy is under way is none.
        start(bench, BASE, BASE + LINE * 48, LINE * 48);
        write(bench, BYTES, LINE as u32 + 1);
        write(bench, CONTROL, START);
        assert_eq!(read(bench, STATUS), BUSY);
        assert_eq!(finish(bench, memory).0, Outcome::Good as u32);
        bench.reset(1);
        assert_eq!(read(bench, WINDOW_STRIDE + WINDOW_ACCESS), 0);
    });
}

#[test]
fn a_line_moves_in_every_clock() {
    with_benches(|bench, memory, _, stalls| {
        Allowed { first: BASE, last: (1 << MEMORY_BITS) - 1, access: READ | WRITE }.set(bench, 0);
        // So short that lines of reads and writes under way are less than there is room for.
        memory.latency = 2;
        let lines = 48;
        start(bench, BASE, BASE + LINE * lines, LINE * lines);
        let (outcome, clocks) = finish(bench, memory);
        assert_eq!(outcome, 0);
        assert!(stalls != Stalls::None || clocks < lines + 24, "{clocks} clocks for {lines} lines");
    });
}
