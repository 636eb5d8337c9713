//! Random programs for all harts on few lines.

use crate::history::{Accesses, Kind, Modification, Operation};
use crate::program::{Program, LINES_MAX, SHARED, SHARED_END};
use crate::run::{bytes, Dma, Setting};
use crate::Replay;
use sim_device::{BusTiming, Chance, Clocks, Random};
use soc_map::rocket::{CACHE_BYTES, LINE_BYTES};
use soc_map::HARTS_MAX;

/// Operations of a hart in a round.
const LENGTH: [u64; 2] = [24, 96];

/// Instructions after which a reservation may be gone, and others may have written.
const LONG_PAUSE: u64 = 150;

/// How often there are loads, stores, atomics, pairs of `lr` and `sc`, and fences.
type Mix = [u64; 5];
const MIXES: [Mix; 5] =
    [[40, 30, 15, 10, 5], [50, 25, 5, 5, 15], [12, 10, 60, 8, 10], [15, 10, 10, 60, 5], [45, 45, 1, 1, 8]];

/// Programs with about so many operations together, their places, and the DMA that goes with them.
pub(crate) fn setting(random: &mut Random, operations: u64, replay: Replay) -> (Setting, Vec<u64>, Dma) {
    let lines = *random.pick(&[1, 2, 2, 3, 4, LINES_MAX]);
    let places_of_line = *random.pick(&[1, 1, 2, 8]);
    // Next to each other, or all in one set of the caches, where not all of them have room.
    let stride = u64::from(*random.pick(&[LINE_BYTES, CACHE_BYTES]));
    let lines: Vec<u64> = (0..lines as u64).map(|line| SHARED + line * stride).collect();
    let initial: Vec<u64> = (0..lines.len() * places_of_line).map(|_| random.next_u64()).collect();
    let length = random.between(LENGTH[0], LENGTH[1]);
    let rounds = operations.div_ceil(length * u64::from(HARTS_MAX)).max(1);
    let programs = (0..HARTS_MAX).map(|_| {
        let mix = *random.pick(&MIXES);
        Some(Program {
            operations: self::operations(random, length as usize, initial.len(), mix),
            rounds,
            lines: lines.clone(),
            places_of_line,
            rows: vec![],
            operand: random.next_u64() | 1,
            meeting: SHARED_END - u64::from(LINE_BYTES),
            partners: HARTS_MAX.into(),
        })
    });
    let programs = programs.collect();
    let memory = lines.iter().copied().zip(initial.chunks(places_of_line).map(bytes)).collect();
    let latency = *random.pick(&[1, 10, 40]);
    let timing = BusTiming {
        late: Chance::of(*random.pick(&[0, 20]), 100),
        late_clocks: Clocks::between(1, 200),
        reorder: true,
        seed: random.next_u64(),
        ..BusTiming::with_latency(latency)
    };
    let dma = Dma::new(Random::new(random.next_u64()), lines, places_of_line);
    (Setting { programs, memory, timing, replay }, initial, dma)
}

/// Operations of one hart.
fn operations(random: &mut Random, length: usize, places: usize, mix: Mix) -> Vec<Operation> {
    let mut all: Vec<Operation> = vec![];
    while all.len() < length {
        let place = random.below(places as u64) as usize;
        let mut drawn = random.below(mix.iter().sum());
        let kind = mix.iter().position(|weight| drawn.checked_sub(*weight).map(|left| drawn = left).is_none());
        let pause = if random.below(6) == 0 { random.between(1, 12) as u32 } else { 0 };
        let depends = random.below(6) == 0 && all.last().is_some_and(|last| last.is_read() && !last.depends);
        let plain = |kind| Operation { depends, pause, ..Operation::new(kind, place) };
        match kind {
            Some(0) => all.push(plain(Kind::Load)),
            Some(1) => all.push(plain(Kind::Store)),
            Some(2) => {
                let modify = plain(Kind::Modify(*random.pick(&Modification::ALL)));
                let [acquire, release] = [0, 0].map(|_: u32| random.below(3) == 0);
                all.push(Operation { acquire, release, ..modify });
            }
            Some(3) => reserved(random, &mut all, plain(Kind::LoadReserved), places),
            _ => all.push(fence(random)),
        }
    }
    all
}

/// A pair of `lr` and `sc`, or a part of one.
fn reserved(random: &mut Random, all: &mut Vec<Operation>, load: Operation, places: usize) {
    // The manual: no `rl` alone for the one, no `aq` alone for the other.
    let [lone, both, lone_later, both_later] = [6, 12, 6, 12].map(|one_of| random.below(one_of) == 0);
    all.push(Operation { acquire: lone || both, release: both, ..load });
    match random.below(16) {
        // Nothing follows.
        0 => return,
        // Something else comes between.
        1..4 => all.push(Operation::new(Kind::Load, random.below(places as u64) as usize)),
        _ => {}
    }
    let limit = *random.pick(&[0, 0, 0, 20, LONG_PAUSE]);
    let pause = random.below(limit) as u32;
    let store = Operation::new(Kind::StoreConditional, load.place);
    all.push(Operation { acquire: both_later, release: lone_later || both_later, pause, ..store });
    if random.below(16) == 0 {
        // Nothing is reserved any more.
        all.push(store);
    }
}

fn fence(random: &mut Random) -> Operation {
    let (reads, writes, both) = (Accesses::READS, Accesses::WRITES, Accesses::ALL);
    let some = [(reads, both), (both, writes), (writes, writes), (reads, reads), (writes, reads)];
    match random.below(2) {
        0 => Operation::FENCE,
        _ => {
            let (before, after) = *random.pick(&some);
            Operation::fence(before, after)
        }
    }
}
