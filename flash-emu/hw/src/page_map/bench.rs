//! The running block against a table.

use super::{Config, Operation, Outcome, PageMap};
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls, Memory};
use flash_spec::record::{MAP_ENTRIES, MAP_ENTRY_BYTES};
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::{Block, HwEnum};

const CONFIGS: [Config; 2] = [Config::SMALL, Config { base: 0x4000_0000, lines: 256, units: 3 * MAP_ENTRIES }];

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    CONFIGS.iter().map(|&config| Box::new(PageMap::new(config)) as Box<dyn Block>).collect()
}

#[derive(Clone, Copy, Debug)]
struct Question {
    operation: Operation,
    unit: u32,
    old: u32,
    new: u32,
}

#[derive(Debug, PartialEq)]
struct Answer {
    outcome: Outcome,
    /// Of what has one.
    entry: Option<u32>,
    changed: Option<bool>,
}

/// What the map should be.
struct Expected {
    config: Config,
    entries: Vec<u32>,
    attached: Vec<bool>,
    changed: Vec<bool>,
}

impl Expected {
    fn new(config: Config) -> Self {
        let pages = config.units.div_ceil(MAP_ENTRIES) as usize;
        let entries = vec![0; pages * MAP_ENTRIES as usize];
        Self { config, entries, attached: vec![false; pages], changed: vec![false; pages] }
    }

    fn answer(&mut self, question: &Question, is_bad: fn(u64) -> bool) -> Answer {
        let refused = |outcome| Answer { outcome, entry: None, changed: None };
        let Question { operation, unit, old, new } = *question;
        if unit >= self.config.units {
            return refused(Outcome::Failed);
        }
        let page = (unit / MAP_ENTRIES) as usize;
        let is_attached = self.attached[page];
        if !is_attached && operation != Operation::Attach {
            return refused(Outcome::Absent);
        }
        if !matches!(operation, Operation::LookUp | Operation::Swap) {
            self.attached[page] = operation != Operation::Detach;
            let changed = std::mem::take(&mut self.changed[page]);
            let changed = Some(changed && is_attached);
            return Answer { outcome: Outcome::Done, entry: None, changed };
        }
        if is_bad(self.address(unit)) {
            return refused(Outcome::Failed);
        }
        let entry = self.entries[unit as usize];
        let differs = operation == Operation::Swap && entry != old;
        if operation == Operation::Swap && !differs {
            self.entries[unit as usize] = new;
            self.changed[page] = true;
        }
        let outcome = if differs { Outcome::Differs } else { Outcome::Done };
        Answer { outcome, entry: Some(entry), changed: None }
    }

    fn address(&self, unit: u32) -> u64 {
        self.config.base + u64::from(unit * MAP_ENTRY_BYTES)
    }

    /// Writes a map page with other entries into memory, as firmware does before it attaches the page.
    fn load(&mut self, page: usize, memory: &mut Memory, rng: &mut Rng) {
        let first = page as u32 * MAP_ENTRIES;
        for unit in first..first + MAP_ENTRIES {
            let entry = rng.below(3) as u32;
            self.entries[unit as usize] = entry;
            memory.store(self.address(unit), &entry.to_le_bytes());
        }
    }

    fn assert_is_in(&self, memory: &Memory) {
        for (page, _) in self.attached.iter().enumerate().filter(|(_, &attached)| attached) {
            let first = page as u32 * MAP_ENTRIES;
            for unit in first..first + MAP_ENTRIES {
                let entry = self.entries[unit as usize].to_le_bytes();
                assert_eq!(memory.load(self.address(unit), u64::from(MAP_ENTRY_BYTES)), entry, "unit {unit}");
            }
        }
    }
}

fn any_question(config: &Config, rng: &mut Rng) -> Question {
    let pages = u64::from(config.units.div_ceil(MAP_ENTRIES));
    // Few lines, of which some share a place in the cache.
    let near = rng.below(40) + 16 * u64::from(config.lines) * rng.below(3);
    let unit = rng.below(pages) * u64::from(MAP_ENTRIES) + near % u64::from(MAP_ENTRIES);
    let unit = if rng.below(50) == 0 { rng.next_u64() as u32 | 0x8000_0000 } else { unit as u32 };
    let operation = match rng.below(100) {
        0 => Operation::Detach,
        1 => Operation::Clean,
        n if n < 50 => Operation::LookUp,
        _ => Operation::Swap,
    };
    Question { operation, unit, old: rng.below(3) as u32, new: rng.below(3) as u32 }
}

fn ask(bench: &mut Bench, tag: u64, question: &Question) {
    let item = bench.fields("request").set("tag", tag).set("operation", question.operation.code());
    let item = item.set("unit", question.unit).set("old", question.old).set("new", question.new);
    bench.send("request", [item.words()]);
}

fn answer(bench: &mut Bench, tag: u64, memory: &mut Memory, expected: &Answer, why: &Question) {
    let mut clocks = 0;
    let got = loop {
        memory.clock(bench);
        bench.clock();
        if let Some(got) = bench.drain_fields("answer").pop() {
            break got;
        }
        clocks += 1;
        assert!(clocks < 10_000, "no answer to {why:?}");
    };
    let outcome = Outcome::VARIANTS[got.get("outcome") as usize];
    let entry = expected.entry.map(|_| got.get("entry") as u32);
    let changed = expected.changed.map(|_| got.get("changed") == 1);
    assert_eq!(got.get("tag"), tag);
    assert_eq!(&Answer { outcome, entry, changed }, expected, "{why:?}");
}

/// Lines that cannot be read: one of sixteen in the second map page.
fn is_bad(address: u64) -> bool {
    address >> 14 & 3 == 1 && address >> 6 & 0xF == 3
}

#[test]
fn entries_are_those_of_a_table_whatever_is_in_the_cache() {
    for config in CONFIGS {
        under_all_stalls(&PageMap::new(config), |bench, rng| {
            let mut expected = Expected::new(config);
            let mut memory = Memory::new(is_bad, 7);
            let (mut last, mut peeks) = ([0; 4], [0; 2]);
            for number in 0..1_500 {
                let mut question = any_question(&config, rng);
                let page = (question.unit / MAP_ENTRIES) as usize;
                if expected.attached.get(page) == Some(&false) && rng.below(4) == 0 {
                    expected.load(page, &mut memory, rng);
                    question.operation = Operation::Attach;
                }
                ask(bench, number & 0xFF, &question);
                let answer_to = expected.answer(&question, is_bad);
                last[answer_to.outcome.code() as usize] += 1;
                answer(bench, number & 0xFF, &mut memory, &answer_to, &question);
                // A page that is there, or one that is not.
                let pages = expected.changed.len() as u64;
                let peeked = if rng.percent(80) { rng.below(pages) } else { pages + rng.below(4) };
                bench.poke("peek", peeked);
                memory.clock(bench);
                bench.clock();
                let is_changed = expected.changed.get(peeked as usize).copied().unwrap_or(false);
                assert_eq!(bench.peek("peek_changed") == 1, is_changed, "map page {peeked} after {question:?}");
                peeks[usize::from(is_changed)] += 1;
            }
            for _ in 0..100 {
                memory.clock(bench);
                bench.clock();
            }
            expected.assert_is_in(&memory);
            assert!(last.iter().chain(&peeks).all(|&count| count > 20), "{last:?} {peeks:?}");
        });
    }
}

/// All questions are there at once, and the memory answers writes late.
#[test]
fn a_line_is_not_read_before_the_write_to_it_is_over() {
    let config = Config::SMALL;
    under_all_stalls(&PageMap::new(config), |bench, rng| {
        let mut expected = Expected::new(config);
        let mut memory = Memory::new(|_| false, 3).with_write_latency(60);
        expected.load(0, &mut memory, rng);
        let attach = Question { operation: Operation::Attach, unit: 0, old: 0, new: 0 };
        let far = 16 * config.lines;
        let rest = (0..200u32).map(|number| Question {
            operation: if number % 2 == 0 { Operation::Swap } else { Operation::LookUp },
            unit: (number % 3) * far,
            old: rng.below(3) as u32,
            new: rng.below(3) as u32,
        });
        let questions: Vec<Question> = std::iter::once(attach).chain(rest).collect();
        for (question, tag) in questions.iter().zip(0..) {
            ask(bench, tag & 0xFF, question);
        }
        for (question, tag) in questions.iter().zip(0..) {
            let answer_to = expected.answer(question, |_| false);
            answer(bench, tag & 0xFF, &mut memory, &answer_to, question);
        }
    });
}

#[test]
fn times_are_those_of_the_front_page() {
    without_stalls(&PageMap::new(Config::SMALL), |bench| {
        const LATENCY: u64 = 20;
        let mut memory = Memory::new(|_| false, LATENCY);
        memory.store(0, &[0; 4096]);
        let mut clocks_of = |bench: &mut Bench, operation| {
            ask(bench, 0, &Question { operation, unit: 5, old: 0, new: 0 });
            let before = bench.clocks();
            while bench.drain("answer").is_empty() {
                memory.clock(bench);
                bench.clock();
                assert!(bench.clocks() < before + 1000);
            }
            bench.clocks() - before
        };
        bench.run(20);
        let attach = clocks_of(bench, Operation::Attach);
        bench.run(u64::from(super::PAGE_LINES));
        let miss = clocks_of(bench, Operation::LookUp);
        let hit = clocks_of(bench, Operation::LookUp);
        let swap = clocks_of(bench, Operation::Swap);
        assert!(attach < 20, "the answer comes before the lines are out: {attach}");
        assert_eq!((hit, swap), (4, 4));
        assert_eq!(miss, hit + LATENCY + 4);
    });
}

#[test]
fn a_write_that_the_memory_refuses_is_told() {
    let config = Config::SMALL;
    without_stalls(&PageMap::new(config), |bench| {
        let mut memory = Memory::new(|_| false, 5);
        memory.store(0, &[0; 4096]);
        let mut lost = 0;
        for (tag, operation) in [Operation::Attach, Operation::Swap, Operation::Swap].into_iter().enumerate() {
            ask(bench, tag as u64, &Question { operation, unit: 5, old: 0, new: 0 });
            // The last one fails.
            memory.fail_writes(tag == 2);
            for _ in 0..600 {
                memory.clock(bench);
                bench.clock();
                lost += bench.peek("lost");
            }
            assert_eq!(lost, u64::from(tag == 2));
        }
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    // An answer that refuses has any entry.
    forgets_at_reset(&PageMap::new(Config::SMALL), &["memory_r", "memory_b"], &["answer_entry"]);
}

#[test]
fn no_map_page_is_changed_after_a_reset() {
    without_stalls(&PageMap::new(Config::SMALL), |bench| {
        let mut memory = Memory::new(|_| false, 5);
        for (tag, operation) in [Operation::Attach, Operation::Swap].into_iter().enumerate() {
            ask(bench, tag as u64, &Question { operation, unit: 5, old: 0, new: 1 });
        }
        for _ in 0..600 {
            memory.clock(bench);
            bench.clock();
        }
        assert_eq!(bench.peek("peek_changed"), 1);
        bench.reset(1);
        for _ in 0..100 {
            assert_eq!(bench.peek("peek_changed"), 0);
            bench.clock();
        }
    });
}
