//! The running block, compared with a walk written from the specification.

use super::PrpWalk;
use crate::io_engine::bench::bytes::Bytes;
use crate::testing::{assert_repeats, forgets_at_reset, under_all_stalls, without_stalls};
use crate::types::{reader, Operation, Target, BEAT_BYTES};
use crate::units::Turn;
use nvme_spec::limits::SECTOR_BYTES;
use nvme_spec::Status;
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::HwEnum;
use std::collections::VecDeque;

const PAGE: u64 = 4096;
const LINE: u64 = BEAT_BYTES as u64;
const SECTOR: u64 = SECTOR_BYTES as u64;

/// What a unit repeats of its job.
const REPEATED: [&str; 4] = ["slot", "function", "nsid", "fua"];

/// A job, and what must come of it.
struct Expected {
    slot: u64,
    function: u64,
    operation: Operation,
    target: Target,
    bytes: u64,
    prp1: u64,
    prp2: u64,
    sector: u64,
    /// The pages of all units that are cut before an error.
    pages: Vec<u64>,
    /// The lines of the list that are read, each once.
    lines: Vec<u64>,
    failure: Option<Status>,
}

/// The page addresses of the data, as far as they can be had, the lines of the list, and the error that ends them.
fn pages_of(memory: &Bytes, prp1: u64, prp2: u64, bytes: u64) -> (Vec<u64>, Vec<u64>, Option<Status>) {
    let (mut pages, mut lines) = (vec![prp1 & !(PAGE - 1)], vec![]);
    let count = (prp1 % PAGE + bytes).div_ceil(PAGE) as usize;
    let mut list = prp2;
    while pages.len() < count {
        let wanted = count - pages.len();
        if count > 2 && lines.last() != Some(&(list & !63)) {
            lines.push(list & !63);
        }
        let entry = match memory.line(list & !63) {
            _ if count == 2 => prp2,
            Some(line) => line[(list % 64 / 8) as usize],
            None => return (pages, lines, Some(Status::DATA_TRANSFER_ERROR)),
        };
        if entry % PAGE != 0 {
            return (pages, lines, Some(Status::INVALID_PRP_OFFSET));
        }
        if count > 2 && list % PAGE == PAGE - 8 && wanted > 1 {
            list = entry;
        } else {
            pages.push(entry);
            list += 8;
        }
    }
    (pages, lines, None)
}

fn page(rng: &mut Rng) -> u64 {
    rng.next_u64() & !(PAGE - 1)
}

/// Whether PRPs are looked at.
fn moves_data(operation: Operation) -> bool {
    matches!(operation, Operation::Write | Operation::Read | Operation::Compare)
}

/// A job with random addresses; its list, if it has one, is put into `memory`.
fn job(rng: &mut Rng, memory: &mut Bytes, slot: u64) -> Expected {
    let function = rng.below(256);
    let other = *rng.pick(&[Operation::Flush, Operation::WriteZeroes, Operation::Verify]);
    let operation = *rng.pick(&[Operation::Write, Operation::Read, Operation::Compare, other]);
    let moves_data = moves_data(operation);
    let target = if rng.below(4) == 0 && operation != Operation::Compare { Target::Buffer } else { Target::Storage };
    // Transfers of firmware have any number of dwords.
    let step = if target == Target::Buffer { 4 } else { SECTOR };
    let bytes_max = 512 * *rng.pick(&[1, 8, 16, 40, 300, 2200]);
    let bytes = if operation == Operation::Flush { 0 } else { step * (1 + rng.below((bytes_max / step).max(1))) };
    let any = 4 * rng.below(1024);
    let offset = *rng.pick(&[0, 0, 4, 2048, 4092, any]);
    // PRP1 at no dword, which is not looked at if no data moves.
    let askew = rng.below(if moves_data { 20 } else { 2 }) == 0;
    let prp1 = page(rng) + offset + if askew { 1 + rng.below(3) } else { 0 };
    let sector = rng.next_u64() >> 8;
    let expect = |prp2: u64, misplaced: bool, memory: &Bytes| {
        let (pages, lines, failure) = match misplaced {
            _ if !moves_data => Default::default(),
            true => (vec![], vec![], Some(Status::INVALID_PRP_OFFSET)),
            false => pages_of(memory, prp1, prp2, bytes),
        };
        Expected { slot, function, operation, target, bytes, prp1, prp2, sector, pages, lines, failure }
    };
    let count = (offset + bytes).div_ceil(PAGE);
    if count <= 2 || !moves_data {
        // With one page, PRP2 is not looked at.
        let any = rng.range(1..PAGE);
        let in_page = if count < 2 || rng.below(4) == 0 { *rng.pick(&[4, 64, any]) } else { 0 };
        return expect(page(rng) + in_page, askew, memory);
    }
    let any = rng.below(512);
    // At the start of a page of the list, somewhere, near its end, and so that its last entry is the last one of a page.
    let mut at = page(rng) + 8 * *rng.pick(&[0, 511, 510, 505, any, (513 - count % 512) % 512]);
    let prp2 = at;
    let is_there = rng.below(8) > 0;
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
    if !is_there {
        memory.remove_page(prp2);
    }
    let misplaced = rng.below(10) == 0;
    expect(prp2 + if misplaced { 1 << rng.below(3) } else { 0 }, askew || misplaced, memory)
}

/// Number, first line, lines, lines in the first page, second page, begin, end, beats, sector and sectors of each unit; operation, target and turn.
type UnitValues = ([u64; 10], [u64; 3]);

impl Expected {
    fn units(&self) -> Vec<UnitValues> {
        let kinds: &[_] = match self.operation {
            Operation::Compare => {
                &[(Operation::Write, Target::Bounce, Turn::Begin), (Operation::Compare, Target::Storage, Turn::Finish)]
            }
            operation => &[(operation, self.target, Turn::Free)],
        };
        let unit = |values: [u64; 10]| {
            kinds.iter().map(move |(operation, target, turn)| {
                let mut values = values;
                if *target != Target::Storage {
                    values[9] = 0;
                }
                (values, [operation.code(), target.code(), turn.code()])
            })
        };
        self.pieces().into_iter().flat_map(unit).collect()
    }

    /// The values of each piece of the data.
    fn pieces(&self) -> Vec<[u64; 10]> {
        if !moves_data(self.operation) {
            // Nothing but `beats` of the place means something.
            let unit = |k: u64| {
                let bytes = PAGE.min(self.bytes - PAGE * k);
                let sectors = bytes / SECTOR;
                [self.slot, 0, 0, 0, 0, 0, 0, bytes.div_ceil(LINE), self.sector + PAGE / SECTOR * k, sectors]
            };
            return (0..self.bytes.div_ceil(PAGE).max(1)).map(unit).collect();
        }
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
                let sector = self.sector + PAGE / SECTOR * k;
                let sectors = bytes / SECTOR;
                [self.slot, first, lines, lines_first, second, begin, end, bytes.div_ceil(LINE), sector, sectors]
            })
        };
        (0..self.bytes.div_ceil(PAGE)).map_while(unit).collect()
    }
}

/// Sends a job whose other fields are random.
fn send(bench: &mut Bench, rng: &mut Rng, job: &Expected) -> Fields {
    let item = bench.random_fields("job", rng).set("slot", job.slot).set("function", job.function);
    let item = item.set("operation", job.operation.code()).set("target", job.target.code());
    let item = item.set("bytes", job.bytes).set("prp1", job.prp1).set("prp2", job.prp2).set("sector", job.sector);
    bench.send("job", [item.clone().words()]);
    item
}

/// Answers list reads at once, which are of these functions and lines.
fn answer(bench: &mut Bench, memory: &Bytes, lines: &mut VecDeque<(u64, u64)>) {
    for read in bench.drain_fields("list_read") {
        assert_eq!((read.get("id"), read.get("beats")), (u64::from(reader::LIST << 6), 1));
        assert_eq!(Some((read.get("function"), read.get("address"))), lines.pop_front());
        let line = memory.line(read.get("address"));
        let item = bench.fields("list_beat").set("id", read.get("id")).set("last", 1u8).set("error", line.is_none());
        bench.send("list_beat", [item.set_words("data", &line.unwrap_or(vec![PAGE; 8])).words()]);
    }
}

/// The values of a unit that mean something, the others zero.
fn values_of(unit: &Fields) -> UnitValues {
    let place = |name: &str| unit.get(&format!("place_{name}"));
    let [slot, sector, beats] = ["slot", "sector", "place_beats"].map(|name| unit.get(name));
    let sectors = if unit.get("target") == Target::Storage.code() { unit.get("sectors") } else { 0 };
    let kind = ["operation", "target", "turn"].map(|name| unit.get(name));
    assert_eq!(unit.get("at"), 0);
    if !moves_data(Operation::VARIANTS[kind[0] as usize]) {
        return ([slot, 0, 0, 0, 0, 0, 0, beats, sector, sectors], kind);
    }
    let second = if place("lines") != place("lines_first") { place("second") } else { 0 };
    let [first, lines, lines_first] = ["first", "lines", "lines_first"].map(place);
    let [begin, end] = ["begin", "end"].map(place);
    ([slot, first, lines, lines_first, second, begin, end, beats, sector, sectors], kind)
}

#[test]
fn cuts_every_command_into_its_units() {
    under_all_stalls(&PrpWalk, |bench, rng| {
        let mut memory = Bytes::default();
        let jobs: Vec<Expected> = (0..120).map(|slot| job(rng, &mut memory, slot)).collect();
        let sent: Vec<Fields> = jobs.iter().map(|job| send(bench, rng, job)).collect();
        let mut units: VecDeque<UnitValues> = jobs.iter().flat_map(|job| job.units()).collect();
        let lines = jobs.iter().flat_map(|job| job.lines.iter().map(|line| (job.function, *line)));
        let mut lines: VecDeque<(u64, u64)> = lines.collect();
        let failed = jobs.iter().filter_map(|job| {
            let kinds = if job.operation == Operation::Compare { 2 } else { 1 };
            let units = || kinds * job.bytes.div_ceil(PAGE) - job.units().len() as u64;
            job.failure.map(|status| [job.slot, units(), status.raw().into()])
        });
        let mut failures: VecDeque<[u64; 3]> = failed.collect();
        assert!(failures.len() > 5 && units.len() > 200, "the jobs are all alike");
        while !units.is_empty() || !failures.is_empty() {
            answer(bench, &memory, &mut lines);
            if rng.percent(5) {
                bench.hold("walk_failure", rng.bool());
            }
            bench.clock();
            for failure in bench.drain_fields("walk_failure") {
                let got = ["slot", "units", "status"].map(|name| failure.get(name));
                assert_eq!(Some(got), failures.pop_front());
            }
            for unit in bench.drain_fields("unit") {
                assert_eq!(Some(values_of(&unit)), units.pop_front());
                let job = &sent[unit.get("slot") as usize];
                assert_repeats(&unit, job, &REPEATED);
                let is_whole = job.get("large_blocks") == 1 || job.get("target") == Target::Buffer.code();
                assert_eq!(unit.get("whole") == 1, is_whole);
            }
            assert!(bench.clocks() < 60_000, "{} units are missing", units.len());
        }
        bench.run(50);
        assert_eq!(
            [bench.received("unit").len(), bench.received("walk_failure").len(), lines.len()],
            [0; 3],
            "something comes after the end"
        );
    });
}

/// Three clocks for a command of one unit, two for each further one, and for each line of the list 3 more than its answer takes.
#[test]
fn takes_few_clocks() {
    without_stalls(&PrpWalk, |bench| {
        let item = bench.fields("job").set("operation", Operation::Read.code()).set("bytes", 8192u64);
        let item = item.set("prp1", 0x1000u64).set("prp2", 0x5000u64).words();
        bench.send("job", vec![item; 50]);
        let began = bench.clocks();
        bench.run_until(1000, |bench| bench.received("unit").len() == 100);
        let clocks = bench.clocks() - began;
        assert!(clocks <= 50 * 5 + 5, "{clocks} clocks for 50 commands of two units");

        let list: Vec<u64> = (0..512).map(|entry| PAGE * (entry + 1)).collect();
        let mut memory = Bytes::default();
        memory.store(0, &list.iter().flat_map(|entry| entry.to_le_bytes()).collect::<Vec<u8>>());
        let item = bench.fields("job").set("operation", Operation::Read.code()).set("bytes", 512 * PAGE);
        bench.send("job", [item.words()]);
        let mut lines = (0..64).map(|line| (0, LINE * line)).collect();
        let began = bench.clocks();
        while bench.received("unit").len() < 100 + 512 {
            answer(bench, &memory, &mut lines);
            bench.clock();
        }
        let clocks = bench.clocks() - began;
        assert!(clocks <= 512 * 2 + 64 * (1 + 3) + 5, "{clocks} clocks for 512 units with a list of 64 lines");
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    // A unit within one page has no second one, and one without data none at all.
    forgets_at_reset(&PrpWalk, &["list_beat"], &["unit_place_first", "unit_place_second"]);
}
