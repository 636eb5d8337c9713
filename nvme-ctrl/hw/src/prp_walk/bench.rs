//! The running block, compared with a walk written from the specification.

use super::PrpWalk;
use crate::io_engine::bench::bytes::Bytes;
use crate::testing::{under_all_stalls, without_stalls, CONFIGS};
use crate::types::{reader, Operation, BEAT_BYTES};
use nvme_spec::Status;
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::HwEnum;

const PAGE: u64 = 4096;
const LINE: u64 = BEAT_BYTES as u64;

/// A job, and what must come of it.
struct Expected {
    slot: u64,
    bytes: u64,
    prp1: u64,
    prp2: u64,
    lba: u64,
    /// The pages of all units that are cut before an error.
    pages: Vec<u64>,
    failure: Option<Status>,
}

/// The page addresses of the data, as far as they can be had, and the error that ends them.
fn pages_of(memory: &Bytes, prp1: u64, prp2: u64, bytes: u64) -> (Vec<u64>, Option<Status>) {
    let mut pages = vec![prp1 & !(PAGE - 1)];
    let count = (prp1 % PAGE + bytes).div_ceil(PAGE) as usize;
    let mut list = prp2;
    while pages.len() < count {
        let wanted = count - pages.len();
        let entry = match memory.line(list & !63) {
            _ if count == 2 => prp2,
            Some(line) => line[(list % 64 / 8) as usize],
            None => return (pages, Some(Status::DATA_TRANSFER_ERROR)),
        };
        if entry % PAGE != 0 {
            return (pages, Some(Status::INVALID_PRP_OFFSET));
        }
        if count > 2 && list % PAGE == PAGE - 8 && wanted > 1 {
            list = entry;
        } else {
            pages.push(entry);
            list += 8;
        }
    }
    (pages, None)
}

fn page(rng: &mut Rng) -> u64 {
    rng.next_u64() & !(PAGE - 1)
}

/// A job with random addresses; its list, if it has one, is put into `memory`.
fn job(rng: &mut Rng, memory: &mut Bytes, slot: u64, lba_bytes: u64) -> Expected {
    let blocks_max = *rng.pick(&[1, 8, 40, 300, 2200]) * 512 / lba_bytes;
    let bytes = lba_bytes * (1 + rng.below(blocks_max.max(1)));
    let any = 4 * rng.below(1024);
    let offset = *rng.pick(&[0, 0, 4, 2048, 4092, any]);
    let prp1 = page(rng) + offset;
    let count = (offset + bytes).div_ceil(PAGE);
    if count <= 2 {
        // With one page, PRP2 is not looked at.
        let prp2 = page(rng) + if count == 2 { 0 } else { 5 };
        let failed = count == 2 && slot.is_multiple_of(9);
        let prp2 = prp2 + if failed { 64 } else { 0 };
        let (pages, failure) = pages_of(memory, prp1, prp2, bytes);
        return Expected { slot, bytes, prp1, prp2, lba: rng.next_u64() >> 8, pages, failure };
    }
    let any = rng.below(512);
    let mut at = page(rng) + 8 * *rng.pick(&[0, 511, 510, 505, any]);
    let prp2 = at;
    let fault = rng.below(3 * count);
    for entry in 1..count {
        let mut value = page(rng);
        if at % PAGE == PAGE - 8 && entry + 1 < count {
            let next = page(rng);
            let bad = rng.below(8) == 0;
            memory.store(at, &(next + if bad { 8 } else { 0 }).to_le_bytes());
            at = next;
        }
        if entry == fault {
            value += 8 * (1 + rng.below(511));
        }
        memory.store(at, &value.to_le_bytes());
        at += 8;
    }
    if fault == 0 {
        memory.remove_page(prp2);
    }
    let misplaced = rng.below(20) == 0;
    let prp2 = prp2 + if misplaced { 4 } else { 0 };
    let (pages, failure) = match misplaced {
        true => (vec![], Some(Status::INVALID_PRP_OFFSET)),
        false => pages_of(memory, prp1, prp2, bytes),
    };
    Expected { slot, bytes, prp1, prp2, lba: rng.next_u64() >> 8, pages, failure }
}

/// Number, first line, lines, lines in the first page, second page, begin, end, beats, LBA and blocks of each unit.
type UnitValues = [u64; 10];

impl Expected {
    fn units(&self, lba_bytes: u64) -> Vec<UnitValues> {
        let offset = self.prp1 % PAGE;
        let unit = |k: u64| {
            let bytes = PAGE.min(self.bytes - PAGE * k);
            let crosses = offset + bytes > PAGE;
            let needed = k as usize + 1 + usize::from(crosses);
            let lines = (offset % LINE + bytes).div_ceil(LINE);
            let lines_first = lines.min((PAGE - offset).div_ceil(LINE));
            (needed <= self.pages.len()).then(|| {
                let second = if crosses { self.pages[k as usize + 1] / PAGE } else { 0 };
                let first = (self.pages[k as usize] + offset) / LINE;
                let [begin, end] = [offset, offset + bytes].map(|at| at / 4 % 16);
                let (lba, blocks) = (self.lba + PAGE / lba_bytes * k, bytes / lba_bytes);
                [self.slot, first, lines, lines_first, second, begin, end, bytes.div_ceil(LINE), lba, blocks]
            })
        };
        (0..self.bytes.div_ceil(PAGE)).map_while(unit).collect()
    }
}

fn send(bench: &mut Bench, job: &Expected, lba_bytes: u32) {
    let item = bench.fields("job").set("slot", job.slot).set("operation", Operation::Read.code());
    let item = item
        .set("bytes", job.bytes)
        .set("blocks", job.bytes / u64::from(lba_bytes))
        .set("prp1", job.prp1)
        .set("prp2", job.prp2)
        .set("lba", job.lba);
    bench.send("job", [item.words()]);
}

/// Answers list reads at once.
fn answer(bench: &mut Bench, memory: &Bytes) {
    for read in bench.drain_fields("list_read") {
        assert_eq!((read.get("id"), read.get("beats")), (u64::from(reader::LIST << 6), 1));
        let line = memory.line(read.get("address"));
        let item = bench.fields("list_beat").set("id", read.get("id")).set("last", 1u8).set("error", line.is_none());
        bench.send("list_beat", [item.set_words("data", &line.unwrap_or(vec![3; 8])).words()]);
    }
}

#[test]
fn cuts_every_command_into_its_units() {
    for config in CONFIGS {
        let lba_bytes = u64::from(config.lba_bytes);
        under_all_stalls(&PrpWalk::new(config), |bench, rng| {
            let mut memory = Bytes::default();
            let jobs: Vec<Expected> = (0..120).map(|slot| job(rng, &mut memory, slot, lba_bytes)).collect();
            jobs.iter().for_each(|job| send(bench, job, config.lba_bytes));
            let units: Vec<UnitValues> = jobs.iter().flat_map(|job| job.units(lba_bytes)).collect();
            let failed = jobs.iter().filter_map(|job| {
                let units = job.bytes.div_ceil(PAGE) - job.units(lba_bytes).len() as u64;
                job.failure.map(|status| [job.slot, units, status.raw().into()])
            });
            let failures: Vec<[u64; 3]> = failed.collect();
            assert!(failures.len() > 5 && units.len() > 200, "the jobs are all alike");
            let (mut got_units, mut got_failures) = (vec![], vec![]);
            for _ in 0..60_000 {
                answer(bench, &memory);
                bench.clock();
                got_failures.extend(
                    bench
                        .drain_fields("walk_failure")
                        .iter()
                        .map(|f| ["slot", "units", "status"].map(|name| f.get(name))),
                );
                got_units.extend(bench.drain_fields("unit").iter().map(|unit| {
                    let place = |name: &str| unit.get(&format!("place_{name}"));
                    let crosses = place("lines") != place("lines_first");
                    let second = if crosses { place("second") } else { 0 };
                    let [first, lines, lines_first] = ["first", "lines", "lines_first"].map(place);
                    let [begin, end, beats] = ["begin", "end", "beats"].map(place);
                    let [slot, lba, blocks] = ["slot", "lba", "blocks"].map(|name| unit.get(name));
                    [slot, first, lines, lines_first, second, begin, end, beats, lba, blocks]
                }));
                if got_units.len() >= units.len() && got_failures.len() >= failures.len() {
                    break;
                }
            }
            bench.run(50);
            // One by one first: a message with all of them would be of no use.
            got_units.iter().zip(&units).for_each(|(got, expected)| assert_eq!(got, expected));
            got_failures.iter().zip(&failures).for_each(|(got, expected)| assert_eq!(got, expected));
            assert_eq!((got_units.len(), got_failures.len()), (units.len(), failures.len()));
            assert_eq!(
                bench.received("unit").len() + bench.received("walk_failure").len(),
                0,
                "something comes after the end"
            );
        });
    }
}

/// Three clocks for a command of one unit, two for each further one.
#[test]
fn takes_few_clocks() {
    for config in CONFIGS {
        without_stalls(&PrpWalk::new(config), |bench| {
            for slot in 0..50 {
                let (bytes, prp1, prp2) = (8192, 0x1000, 0x5000);
                let job = Expected { slot, bytes, prp1, prp2, lba: 0, pages: vec![], failure: None };
                send(bench, &job, config.lba_bytes);
            }
            let began = bench.clocks();
            bench.run_until(1000, |bench| bench.received("unit").len() == 100);
            let clocks = bench.clocks() - began;
            assert!(clocks <= 50 * 5 + 5, "{clocks} clocks for 50 commands of two units");
        });
    }
}
