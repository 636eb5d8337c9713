//! The running PLIC, against what its specification says in as many words.

use super::*;
use crate::testing::{design, read, write, BED};
use rtl_hdl::bench::{Bench, Seed, Stalls};

const PLICS: [Plic; 2] = [Plic { harts: 1, sources: 1 }, Plic { harts: 3, sources: 5 }];

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    PLICS.map(|plic| Box::new(plic) as Box<dyn Block>).into()
}

fn with_benches(test: impl Fn(Plic, &mut Bench, Seed)) {
    let seed = Seed::from_env_or(0x5EED);
    for plic in PLICS {
        let design = design(&plic);
        for stalls in Stalls::ALL {
            let mut simulator = BED.simulator(&design);
            test(plic, &mut Bench::new(&mut *simulator, &design, seed, stalls), seed);
        }
    }
}

const fn claim(context: u32) -> u32 {
    CLAIM + CONTEXT_STRIDE * context
}

/// What the registers should hold.
#[derive(Clone, Debug)]
struct Model {
    levels: Vec<bool>,
    priorities: Vec<u32>,
    pending: u32,
    in_service: u32,
    enabled: Vec<u32>,
    thresholds: Vec<u32>,
}

impl Model {
    fn new(plic: Plic) -> Self {
        let (sources, contexts) = (plic.sources as usize + 1, (CONTEXTS_PER_HART * plic.harts) as usize);
        Self {
            levels: vec![false; sources],
            priorities: vec![0; sources],
            pending: 0,
            in_service: 0,
            enabled: vec![0; contexts],
            thresholds: vec![0; contexts],
        }
    }

    /// What becomes pending when nothing else happens.
    fn settle(&mut self) {
        for (number, level) in self.levels.iter().enumerate() {
            self.pending |= u32::from(*level) << number & !self.in_service;
        }
    }

    fn claim(&mut self, context: usize) -> u32 {
        let candidates = (1..self.levels.len()).rev().filter(|n| (self.pending & self.enabled[context]) >> n & 1 == 1);
        let best = candidates.filter(|n| self.priorities[*n] > 0).max_by_key(|n| self.priorities[*n]);
        let number = best.unwrap_or(0);
        self.pending &= !(1 << number);
        self.in_service |= 1 << number & !1;
        number as u32
    }

    fn complete(&mut self, context: usize, number: u32) {
        if number < 32 {
            self.in_service &= !(1 << number & self.enabled[context]);
        }
    }

    fn interrupts(&self, context: usize) -> bool {
        (1..self.levels.len()).any(|n| {
            (self.pending & self.enabled[context]) >> n & 1 == 1 && self.priorities[n] > self.thresholds[context]
        })
    }
}

#[test]
fn whatever_is_done_the_harts_see_what_the_model_says() {
    with_benches(|plic, bench, seed| {
        let mut rng = seed.rng("operations");
        let mut model = Model::new(plic);
        let contexts = CONTEXTS_PER_HART * plic.harts;
        let sources = (1u32 << (plic.sources + 1)) - 2;
        let mut claims = 0;
        for step in 0..400 {
            let context = rng.below(contexts.into()) as u32;
            let number = 1 + rng.below(plic.sources.into()) as u32;
            let value = rng.next_u64() as u32;
            let c = context as usize;
            match rng.below(8) {
                0 => {
                    write(bench, PRIORITY + 4 * number, value);
                    model.priorities[number as usize] = value & PRIORITY_MAX;
                }
                1 => {
                    write(bench, ENABLE + ENABLE_STRIDE * context, value);
                    model.enabled[c] = value & sources;
                }
                2 => {
                    // Mostly a low one, so that something interrupts.
                    let value = if value & 3 == 0 { value } else { value & 4 };
                    write(bench, THRESHOLD + CONTEXT_STRIDE * context, value);
                    model.thresholds[c] = value & PRIORITY_MAX;
                }
                3 | 4 => {
                    let level = value & 1 == 1;
                    bench.poke(&format!("source_{number}"), level.into());
                    model.levels[number as usize] = level;
                }
                5 => {
                    let claimed = read(bench, claim(context));
                    assert_eq!(claimed, model.claim(c), "step {step}, context {context}: {model:?}");
                    claims += u32::from(claimed != 0);
                }
                6 => {
                    // Mostly what is in service, now and then any number.
                    let number = if value & 7 == 0 { value >> 3 & 63 } else { number };
                    write(bench, claim(context), number);
                    model.complete(c, number);
                }
                _ => {
                    assert_eq!(read(bench, PRIORITY + 4 * number), model.priorities[number as usize]);
                    assert_eq!(read(bench, ENABLE + ENABLE_STRIDE * context), model.enabled[c]);
                    assert_eq!(read(bench, THRESHOLD + CONTEXT_STRIDE * context), model.thresholds[c]);
                    assert_eq!(read(bench, PENDING), model.pending);
                    assert_eq!(read(bench, PRIORITY), 0, "there is no source 0");
                }
            }
            bench.run(4);
            model.settle();
            for context in 0..contexts {
                let is_there = bench.peek(&format!("external_{context}")) == 1;
                assert_eq!(is_there, model.interrupts(context as usize), "step {step}, context {context}: {model:?}");
            }
        }
        assert!(claims > 5, "{claims} claims");
    });
}

#[test]
fn a_source_is_served_once_by_one_hart() {
    with_benches(|plic, bench, _| {
        write(bench, PRIORITY + 4, 1);
        let last = CONTEXTS_PER_HART * plic.harts - 1;
        for context in [0, last] {
            write(bench, ENABLE + ENABLE_STRIDE * context, 1 << 1);
        }
        // A line that falls before it is claimed has still interrupted.
        bench.poke("source_1", 1);
        bench.run(1);
        bench.poke("source_1", 0);
        bench.run(3);
        assert_eq!((bench.peek("external_0"), bench.peek(&format!("external_{last}"))), (1, 1));
        assert_eq!([claim(last), claim(0)].map(|claim| read(bench, claim)), [1, 0], "one hart gets it");
        // It does not come again before it is completed, and then it does if the line is high.
        bench.poke("source_1", 1);
        bench.run(3);
        assert_eq!((read(bench, PENDING), bench.peek("external_0")), (0, 0));
        write(bench, claim(last), 2);
        bench.run(3);
        assert_eq!(bench.peek("external_0"), 0, "another source was completed");
        write(bench, claim(last), 1);
        bench.run(3);
        assert_eq!(bench.peek("external_0"), 1);
        bench.reset(1);
        bench.run(2);
        assert_eq!((read(bench, ENABLE), bench.peek("external_0")), (0, 0));
    });
}
