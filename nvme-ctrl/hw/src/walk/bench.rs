//! The running block, compared with a walk written from the specification.

use super::Walk;
use crate::io_engine::bench::bytes::Bytes;
use crate::testing::{assert_repeats, forgets_at_reset, under_all_stalls, without_stalls};
use crate::types::{reader, Operation, Target, BEAT_BYTES};
use crate::units::Turn;
use nvme_spec::limits::SECTOR_BYTES;
use nvme_spec::sgl::{self, Descriptor, SglDescriptor};
use nvme_spec::Status;
use rtl_hdl::bench::{Bench, Fields, Rng, Seed};
use rtl_hdl::HwEnum;
use std::collections::VecDeque;

const PAGE: u64 = 4096;
const LINE: u64 = BEAT_BYTES as u64;
const SECTOR: u64 = SECTOR_BYTES as u64;

/// What `slots` takes for the number of units of an SGL.
const UNITS_OF_SGL: u64 = (1 << super::UNIT_COUNT_BITS) - 1;

/// What a unit repeats of its job.
const REPEATED: [&str; 4] = ["slot", "function", "nsid", "fua"];

/// A job, and what must come of it.
struct Expected {
    slot: u64,
    function: u64,
    operation: Operation,
    target: Target,
    large_blocks: bool,
    bytes: u64,
    /// PRP1 and PRP2, or a descriptor.
    pointer: [u64; 2],
    is_sgl: bool,
    sector: u64,
    /// What is cut before an error.
    units: Vec<UnitValues>,
    lines: Lines,
    failure: Option<Status>,
}

/// The lines of a list in their order, and whether each of them is needed: others may be read ahead.
#[derive(Default)]
struct Lines(Vec<(u64, bool)>);

impl Lines {
    /// A list of qwords begins.
    fn begin(&mut self, address: u64, qwords: u64) {
        let lines = address / LINE..=(address + 8 * qwords - 1) / LINE;
        self.0.extend(lines.take(1000).map(|line| (LINE * line, false)));
    }

    /// A qword of the list that began last is needed.
    fn need(&mut self, memory: &Bytes, address: u64) -> Result<u64, Status> {
        let line = address & !(LINE - 1);
        self.0.iter_mut().rev().find(|(at, _)| *at == line).expect("it is of this list").1 = true;
        memory.line(line).map(|line| line[(address % LINE / 8) as usize]).ok_or(Status::DATA_TRANSFER_ERROR)
    }
}

/// The page addresses of the data, as far as they can be had, the lines of the list, and the error that ends them.
fn pages_of(memory: &Bytes, prp1: u64, prp2: u64, bytes: u64) -> (Vec<u64>, Lines, Option<Status>) {
    let (mut pages, mut lines) = (vec![prp1 & !(PAGE - 1)], Lines::default());
    let count = (prp1 % PAGE + bytes).div_ceil(PAGE);
    let mut list = prp2;
    let mut begins = true;
    while (pages.len() as u64) < count {
        let wanted = count - pages.len() as u64;
        if begins && count > 2 {
            lines.begin(list, wanted.min((PAGE - list % PAGE) / 8));
        }
        begins = false;
        let entry = if count == 2 { Ok(prp2) } else { lines.need(memory, list) };
        let entry = match entry {
            Err(status) => return (pages, lines, Some(status)),
            Ok(entry) if entry % PAGE != 0 => return (pages, lines, Some(Status::INVALID_PRP_OFFSET)),
            Ok(entry) => entry,
        };
        if count > 2 && list % PAGE == PAGE - 8 && wanted > 1 {
            (list, begins) = (entry, true);
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

/// Whether the data pointer is looked at.
fn moves_data(operation: Operation) -> bool {
    matches!(operation, Operation::Write | Operation::Read | Operation::Compare)
}

/// A job with PRPs and random addresses; its list, if it has one, is put into `memory`.
fn prp_job(rng: &mut Rng, memory: &mut Bytes, slot: u64) -> Expected {
    let function = rng.below(256);
    let silent = [
        Operation::Flush,
        Operation::WriteZeroes,
        Operation::Deallocate,
        Operation::WriteUncorrectable,
        Operation::Verify,
    ];
    let other = *rng.pick(&[&silent[..], &[Operation::Copy]].concat());
    let operation = *rng.pick(&[Operation::Write, Operation::Read, Operation::Compare, other]);
    let moves_data = moves_data(operation);
    let is_of_storage = matches!(operation, Operation::Compare | Operation::Copy);
    let target = if rng.below(4) == 0 && !is_of_storage { Target::Buffer } else { Target::Storage };
    let large_blocks = rng.bool();
    // Transfers of firmware have any number of dwords.
    let step = if target == Target::Buffer { 4 } else { SECTOR };
    let bytes_max = 512 * if operation == Operation::Copy { 8 } else { *rng.pick(&[1, 8, 16, 40, 300, 2200]) };
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
            true => (vec![], Lines::default(), Some(Status::INVALID_PRP_OFFSET)),
            false => pages_of(memory, prp1, prp2, bytes),
        };
        let mut job = Expected {
            slot,
            function,
            operation,
            target,
            large_blocks,
            bytes,
            pointer: [prp1, prp2],
            is_sgl: false,
            sector,
            units: vec![],
            lines,
            failure,
        };
        job.units = job.units_of_pages(&pages);
        job
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

/// An SGL as it will be in memory.
struct Sgl {
    blocks: Vec<SglDescriptor>,
    /// Segments after the one that the command leads to begin in front of these blocks.
    begins: Vec<usize>,
    /// The last segment is called that.
    says_last: bool,
}

impl Sgl {
    /// Puts the segments into memory; returns the descriptor in the command.
    fn store(&self, rng: &mut Rng, memory: &mut Bytes) -> SglDescriptor {
        let mut link: Option<SglDescriptor> = None;
        let mut end = self.blocks.len();
        for &begin in self.begins.iter().rev().chain(&[0]) {
            let segment: Vec<SglDescriptor> = self.blocks[begin..end].iter().copied().chain(link).collect();
            let at = page(rng) + 8 * rng.below(512);
            let halves = segment.iter().flat_map(|descriptor| descriptor.halves());
            memory.store(at, &halves.flat_map(u64::to_le_bytes).collect::<Vec<u8>>());
            let identifier = if link.is_none() && self.says_last { sgl::LAST_SEGMENT } else { sgl::SEGMENT };
            link = Some(SglDescriptor::new(identifier, at, segment.len() as u32 * sgl::DESCRIPTOR_BYTES));
            end = begin;
        }
        link.expect("there is a first segment")
    }
}

/// A descriptor with a mistake in it.
fn spoilt(rng: &mut Rng, descriptor: SglDescriptor) -> SglDescriptor {
    let [address, rest] = descriptor.halves();
    let identifier = *rng.pick(&[sgl::BIT_BUCKET, sgl::SEGMENT, sgl::LAST_SEGMENT, 0x01, 0x2F, 0xF0]);
    SglDescriptor::from_halves(match rng.below(4) {
        0 => [address | 1 << rng.below(3), rest],
        1 => [address, rest | 1 << rng.below(4)],
        2 => [address, rest & !0xFFFF_FFFF],
        _ => [address, u64::from(identifier) << 56 | rest & 0xFF_FFFF_FFFF_FFFF],
    })
}

/// A job with an SGL, whose segments are put into `memory`.
fn sgl_job(rng: &mut Rng, memory: &mut Bytes, slot: u64) -> Expected {
    let large_blocks = rng.bool();
    let operation = *rng.pick(&[Operation::Write, Operation::Read, Operation::Read, Operation::Compare]);
    let target = if operation != Operation::Compare && rng.below(6) == 0 { Target::Buffer } else { Target::Storage };
    let block = if large_blocks { PAGE } else { SECTOR };
    let blocks_max = *rng.pick(&[1, 4, 40]);
    let bytes = match target {
        Target::Buffer => 4 * (1 + rng.below(PAGE / 4)),
        _ => block * (1 + rng.below(blocks_max)),
    };
    let mut blocks = vec![];
    let mut left = bytes;
    let piece_max = *rng.pick(&[1, 3, 12, 300]);
    let dwords_max = *rng.pick(&[10, 200, 2000]);
    let is_scattered = rng.below(3) == 0;
    while left > 0 {
        let address = rng.next_u64() & !3;
        let whole = block * (1 + rng.below(piece_max));
        let length = match rng.below(60) {
            0..5 => 0,
            5 => u64::from(u32::MAX) & !3,
            _ if is_scattered => 4 * (1 + rng.below(dwords_max)),
            _ => whole,
        };
        // Reserved bytes are not looked at.
        let reserved = rng.next_u64() & 0xFF_FFFF << 32;
        blocks.push(SglDescriptor::from_halves([address, reserved | length]));
        left = left.saturating_sub(length);
    }
    if rng.below(8) == 0 {
        blocks.push(SglDescriptor::new(sgl::DATA_BLOCK, rng.next_u64(), 0xFFFF));
    }
    if rng.below(8) == 0 && blocks.len() > 1 {
        blocks.pop();
    }
    if rng.below(6) == 0 {
        let at = rng.below(blocks.len() as u64) as usize;
        blocks[at] = spoilt(rng, blocks[at]);
    }
    let mut begins: Vec<usize> = (0..rng.below(4)).map(|_| rng.below(blocks.len() as u64 + 1) as usize).collect();
    begins.sort_unstable();
    let is_alone = blocks.len() == 1 && rng.bool();
    let mut first = blocks[0];
    if !is_alone {
        first = Sgl { blocks, begins, says_last: rng.below(4) > 0 }.store(rng, memory);
        if rng.below(12) == 0 {
            first = spoilt(rng, first);
        }
        if rng.below(12) == 0 {
            memory.remove_page(first.halves()[0] + rng.below(2) * PAGE);
        }
    }
    let mut job = Expected {
        slot,
        function: rng.below(256),
        operation,
        target,
        large_blocks,
        bytes,
        pointer: first.halves(),
        is_sgl: true,
        sector: rng.next_u64() >> 8,
        units: vec![],
        lines: Lines::default(),
        failure: None,
    };
    job.failure = job.walk_sgl(memory).err();
    job
}

/// Number, first line, lines, lines in the first page, second page, begin, end, beats, sector and sectors of each unit; operation, target, turn and `at`.
type UnitValues = ([u64; 10], [u64; 4]);

/// The second half of the values of a unit.
fn kind(operation: Operation, target: Target, turn: Turn, at: u64) -> [u64; 4] {
    [operation.code(), target.code(), turn.code(), at / 4]
}

impl Expected {
    /// What a whole logical block, or 4 KiB of a Compare, has in common with the storage: `bytes` from `done` on.
    fn whole(&self, done: u64, bytes: u64) -> UnitValues {
        let sector = self.sector + done / SECTOR;
        let values = [self.slot, 0, 0, 0, 0, 0, 0, bytes.div_ceil(LINE), sector, bytes / SECTOR];
        let (operation, turn) = match self.operation {
            Operation::Read => (Operation::Load, Turn::Begin),
            Operation::Write => (Operation::Store, Turn::Finish),
            operation => (operation, Turn::Finish),
        };
        (values, kind(operation, Target::Storage, turn, 0))
    }

    /// A piece of it, at `at`.
    fn piece(&self, mut values: [u64; 10], at: u64) -> UnitValues {
        (values[8], values[9]) = (0, 0);
        let (operation, turn) = match self.operation {
            Operation::Read => (Operation::Read, Turn::Finish),
            _ if at == 0 => (Operation::Write, Turn::Begin),
            _ => (Operation::Write, Turn::Join),
        };
        (values, kind(operation, Target::Bounce, turn, at))
    }

    fn units_of_pages(&self, pages: &[u64]) -> Vec<UnitValues> {
        let free = kind(self.operation, self.target, Turn::Free, 0);
        if self.operation == Operation::Copy {
            let (mut back, _) = self.whole(0, self.bytes);
            back[8] = self.pointer[0];
            return vec![
                (self.whole(0, self.bytes).0, kind(Operation::Load, Target::Storage, Turn::Begin, 0)),
                (back, kind(Operation::Store, Target::Storage, Turn::Finish, 0)),
            ];
        }
        if !moves_data(self.operation) {
            // Nothing but `beats` of the place means something.
            let unit = |k: u64| {
                let bytes = PAGE.min(self.bytes - PAGE * k);
                let [sector, sectors] = match self.target {
                    Target::Storage => [self.sector + PAGE / SECTOR * k, bytes / SECTOR],
                    _ => [0; 2],
                };
                ([self.slot, 0, 0, 0, 0, 0, 0, bytes.div_ceil(LINE), sector, sectors], free)
            };
            return (0..self.bytes.div_ceil(PAGE).max(1)).map(unit).collect();
        }
        let offset = self.pointer[0] % PAGE;
        let unit = |k: u64| {
            let bytes = PAGE.min(self.bytes - PAGE * k);
            let crosses = offset + bytes > PAGE;
            let needed = k as usize + 1 + usize::from(crosses);
            (needed <= pages.len()).then(|| {
                let second = if crosses { pages[k as usize + 1] } else { 0 };
                let values = self.unit(pages[k as usize] + offset, second, bytes, PAGE * k);
                match self.operation {
                    Operation::Compare => vec![self.piece(values, 0), self.whole(PAGE * k, bytes)],
                    _ => vec![(values, free)],
                }
            })
        };
        (0..self.bytes.div_ceil(PAGE)).map_while(unit).flatten().collect()
    }

    /// The values of the unit of `bytes` from `done` on, which is at `address` and, behind the end of that page, at `second`.
    fn unit(&self, address: u64, second: u64, bytes: u64, done: u64) -> [u64; 10] {
        let offset = address % PAGE;
        let lines = (offset % LINE + bytes).div_ceil(LINE);
        let lines_first = lines.min((PAGE - offset).div_ceil(LINE));
        let second = if lines > lines_first { second / PAGE } else { 0 };
        let [begin, end] = [offset, offset + bytes].map(|at| at / 4 % 16);
        let sectors = if self.target == Target::Storage { bytes / SECTOR } else { 0 };
        let sector = if self.target == Target::Storage { self.sector + done / SECTOR } else { 0 };
        [self.slot, address / LINE, lines, lines_first, second, begin, end, bytes.div_ceil(LINE), sector, sectors]
    }

    /// The same of a data block that begins at `address`.
    fn contiguous(&self, address: u64, bytes: u64, done: u64) -> [u64; 10] {
        self.unit(address, (address | (PAGE - 1)).wrapping_add(1), bytes, done)
    }

    /// Adds the units of a data block, all or as far as they are wanted. `sequence` is what has been begun: where, how long it is, and how much of it is there.
    fn take_block(&mut self, mut address: u64, bytes: u64, done: &mut u64, sequence: &mut Option<[u64; 3]>) {
        let lba_bytes = if self.large_blocks { PAGE } else { SECTOR };
        let mut rest = bytes.min(self.bytes - *done);
        while rest > 0 {
            let unit = PAGE.min(self.bytes - *done);
            let blocks = if self.target == Target::Buffer { rest } else { rest / lba_bytes * lba_bytes };
            let taken = if let Some([start, whole, there]) = sequence {
                let taken = rest.min(*whole - *there);
                self.units.push(self.piece(self.contiguous(address, taken, *done), *there));
                *there += taken;
                if there == whole {
                    let last = self.whole(*start, *whole);
                    self.units.extend((self.operation != Operation::Read).then_some(last));
                    *sequence = None;
                }
                taken
            } else if self.operation == Operation::Compare {
                *sequence = Some([*done, unit, 0]);
                0
            } else if rest >= unit || blocks > 0 {
                let taken = unit.min(if rest >= unit { rest } else { blocks });
                let at = if self.target == Target::Buffer { *done } else { 0 };
                let kind = kind(self.operation, self.target, Turn::Free, at);
                self.units.push((self.contiguous(address, taken, *done), kind));
                taken
            } else {
                *sequence = Some([*done, lba_bytes, 0]);
                let first = self.whole(*done, lba_bytes);
                self.units.extend((self.operation == Operation::Read).then_some(first));
                0
            };
            address = address.wrapping_add(taken);
            *done += taken;
            rest -= taken;
        }
    }

    /// Fills in the units and the lines.
    fn walk_sgl(&mut self, memory: &Bytes) -> Result<(), Status> {
        let (mut done, mut empties, mut sequence) = (0, 0, None);
        let mut descriptor = SglDescriptor::from_halves(self.pointer);
        // Where the next descriptor is, how many there are, and whether they lead on.
        let (mut at, mut more, mut in_last, mut must_lead_on) = (0, 0, false, false);
        while done < self.bytes {
            match descriptor.decode()? {
                Descriptor::Block { address, bytes } if bytes > 0 => {
                    self.take_block(address, bytes.into(), &mut done, &mut sequence);
                    if done == self.bytes {
                        return Ok(());
                    }
                }
                Descriptor::Segment { .. } if in_last => return Err(Status::INVALID_SGL_SEGMENT),
                Descriptor::Segment { .. } if more > 0 => return Err(Status::INVALID_SGL_NUMBER),
                _ if empties == sgl::EMPTY_DESCRIPTORS_MAX => return Err(Status::INVALID_SGL_NUMBER),
                Descriptor::Block { .. } => empties += 1,
                Descriptor::Segment { address, descriptors, is_last } => {
                    empties += 1;
                    (at, more, in_last, must_lead_on) = (address, u64::from(descriptors), is_last, !is_last);
                    self.lines.begin(at, 2 * more);
                }
            }
            if more == 0 {
                return Err(if must_lead_on { Status::INVALID_SGL_SEGMENT } else { Status::INVALID_SGL_LENGTH });
            }
            let low = self.lines.need(memory, at)?;
            descriptor = SglDescriptor::from_halves([low, self.lines.need(memory, at + 8)?]);
            (at, more) = (at + 16, more - 1);
        }
        Ok(())
    }

    /// How many units `slots` takes it to have.
    fn units_at_first(&self) -> u64 {
        let pieces = self.bytes.div_ceil(PAGE).max(1);
        match self.operation {
            _ if self.is_sgl => UNITS_OF_SGL,
            Operation::Compare | Operation::Copy => 2 * pieces,
            _ => pieces,
        }
    }

    /// The walk's end that is reported, if any.
    fn end(&self) -> Option<[u64; 3]> {
        let status = self.failure.unwrap_or(Status::SUCCESS).raw().into();
        let units = self.units_at_first() - self.units.len() as u64;
        (self.is_sgl || self.failure.is_some()).then_some([self.slot, units, status])
    }
}

/// Sends a job whose other fields are random.
fn send(bench: &mut Bench, rng: &mut Rng, job: &Expected) -> Fields {
    let item = bench.random_fields("job", rng).set("slot", job.slot).set("function", job.function);
    let item = item.set("operation", job.operation.code()).set("target", job.target.code());
    let item = item.set("bytes", job.bytes).set("sector", job.sector).set("large_blocks", job.large_blocks);
    let item = item.set("sgl", job.is_sgl).set("prp1", job.pointer[0]).set("prp2", job.pointer[1]);
    let item = item.set("units", job.units_at_first());
    bench.send("job", [item.clone().words()]);
    item
}

/// A line that may be read, of which function, and whether it must.
type Readable = (u64, u64, bool);

/// Answers list reads at once, which are of these functions and lines.
fn answer(bench: &mut Bench, memory: &Bytes, lines: &mut VecDeque<Readable>) {
    for read in bench.drain_fields("list_read") {
        assert_eq!((read.get("id"), read.get("beats")), (u64::from(reader::LIST << 6), 1));
        let (function, address) = (read.get("function"), read.get("address"));
        let is_it = |line: &Readable| (line.0, line.1) == (function, address);
        while lines.front().is_some_and(|line| !is_it(line) && !line.2) {
            lines.pop_front();
        }
        let next = lines.pop_front();
        assert!(next.as_ref().is_some_and(is_it), "{address:#x} of function {function} is read, and not {next:x?}");
        let line = memory.line(address);
        let item = bench.fields("list_beat").set("id", read.get("id")).set("last", 1u8).set("error", line.is_none());
        bench.send("list_beat", [item.set_words("data", &line.unwrap_or(vec![PAGE; 8])).words()]);
    }
}

/// The values of a unit that mean something, the others zero.
fn values_of(unit: &Fields) -> UnitValues {
    let place = |name: &str| unit.get(&format!("place_{name}"));
    let [slot, beats] = ["slot", "place_beats"].map(|name| unit.get(name));
    let of_storage = |value| if unit.get("target") == Target::Storage.code() { value } else { 0 };
    let [sector, sectors] = ["sector", "sectors"].map(|name| of_storage(unit.get(name)));
    let kind = ["operation", "target", "turn", "at"].map(|name| unit.get(name));
    let is_host = [Operation::Write, Operation::Read].iter().any(|operation| operation.code() == kind[0]);
    if !is_host {
        let is_free = kind[2] == Turn::Free.code();
        assert!(is_free || place("begin") == place("end"), "all beats of a whole are whole");
        return ([slot, 0, 0, 0, 0, 0, 0, beats, sector, sectors], kind);
    }
    let second = if place("lines") != place("lines_first") { place("second") } else { 0 };
    let [first, lines, lines_first] = ["first", "lines", "lines_first"].map(place);
    let [begin, end] = ["begin", "end"].map(place);
    ([slot, first, lines, lines_first, second, begin, end, beats, sector, sectors], kind)
}

/// Runs the jobs to their ends, and nothing comes after them.
fn run(bench: &mut Bench, rng: &mut Rng, memory: &Bytes, jobs: &[Expected]) {
    let sent: Vec<Fields> = jobs.iter().map(|job| send(bench, rng, job)).collect();
    let mut units: VecDeque<UnitValues> = jobs.iter().flat_map(|job| job.units.iter().copied()).collect();
    let lines_of = |job: &Expected| -> Vec<Readable> {
        job.lines.0.iter().map(|(line, needed)| (job.function, *line, *needed)).collect()
    };
    let mut lines: VecDeque<Readable> = jobs.iter().flat_map(lines_of).collect();
    let mut ends: VecDeque<[u64; 3]> = jobs.iter().filter_map(Expected::end).collect();
    let clocks_max = bench.clocks() + 60_000;
    while !units.is_empty() || !ends.is_empty() {
        answer(bench, memory, &mut lines);
        if rng.percent(5) {
            bench.hold("walk_end", rng.bool());
        }
        bench.clock();
        for end in bench.drain_fields("walk_end") {
            let got = ["slot", "units", "status"].map(|name| end.get(name));
            assert_eq!(Some(got), ends.pop_front());
        }
        for unit in bench.drain_fields("unit") {
            assert_eq!(Some(values_of(&unit)), units.pop_front());
            let job = &sent[unit.get("slot") as usize];
            assert_repeats(&unit, job, &REPEATED);
            let in_sequence = unit.get("turn") != Turn::Free.code();
            let is_whole = in_sequence || job.get("large_blocks") == 1 || job.get("target") == Target::Buffer.code();
            assert_eq!(unit.get("whole") == 1, is_whole);
        }
        assert!(bench.clocks() < clocks_max, "{} units and {} ends are missing", units.len(), ends.len());
    }
    bench.run(50);
    let late = [bench.received("unit").len(), bench.received("walk_end").len()];
    assert_eq!(late, [0; 2], "something comes after the end");
    assert!(lines.iter().all(|line| !line.2), "a line was not read");
}

#[test]
fn cuts_every_command_into_its_units() {
    under_all_stalls(&Walk, |bench, rng| {
        let mut memory = Bytes::default();
        let jobs: Vec<Expected> = (0..120).map(|slot| prp_job(rng, &mut memory, slot)).collect();
        let failures = jobs.iter().filter(|job| job.failure.is_some()).count();
        let units: usize = jobs.iter().map(|job| job.units.len()).sum();
        assert!(failures > 5 && units > 200, "the jobs are all alike");
        run(bench, rng, &memory, &jobs);
    });
}

#[test]
fn follows_every_sgl() {
    under_all_stalls(&Walk, |bench, rng| {
        let mut memory = Bytes::default();
        let jobs: Vec<Expected> = (0..120)
            .map(|slot| match rng.below(5) {
                0 => prp_job(rng, &mut memory, slot),
                _ => sgl_job(rng, &mut memory, slot),
            })
            .collect();
        let is_good = |job: &&Expected| job.is_sgl && job.failure.is_none();
        assert!(jobs.iter().filter(is_good).count() > 30, "hardly an SGL is right");
        run(bench, rng, &memory, &jobs);
    });
}

/// Each mistake of the table in `nvme_spec::sgl`, so that none of them depends on luck.
#[test]
fn each_mistake_in_an_sgl_has_its_status() {
    let block = |length| SglDescriptor::new(sgl::DATA_BLOCK, 0x8000, length);
    let link = |identifier, address, length| SglDescriptor::new(identifier, address, length);
    let [segment, last] = [sgl::SEGMENT, sgl::LAST_SEGMENT];
    // The descriptor in the command, and those from address 0 on.
    let cases: &[(SglDescriptor, &[SglDescriptor], Result<(), Status>)] = &[
        (block(8192), &[], Ok(())),
        (block(1 << 31), &[], Ok(())),
        (link(last, 0, 32), &[block(4096), block(4096)], Ok(())),
        (link(segment, 0, 32), &[block(4096), block(4096)], Ok(())),
        (link(segment, 0, 32), &[block(8192), link(0xF0, 0, 0)], Ok(())),
        (link(last, 0, 48), &[block(0), block(8192), block(0)], Ok(())),
        // At a qword: what is there is a data block at 0 of 0x8000 bytes.
        (link(last, 8, 16), &[link(0, 0, 0), block(8192)], Ok(())),
        (link(sgl::BIT_BUCKET, 0, 8192), &[], Err(Status::INVALID_SGL_TYPE)),
        (link(last, 0, 16), &[link(0x01, 0, 8192)], Err(Status::INVALID_SGL_TYPE)),
        (link(sgl::DATA_BLOCK, 2, 8192), &[], Err(Status::INVALID_SGL_GRANULARITY)),
        (block(8194), &[], Err(Status::INVALID_SGL_GRANULARITY)),
        (block(4096), &[], Err(Status::INVALID_SGL_LENGTH)),
        (link(last, 0, 16), &[block(4096)], Err(Status::INVALID_SGL_LENGTH)),
        (link(segment, 0, 16), &[block(4096)], Err(Status::INVALID_SGL_SEGMENT)),
        (link(segment, 4, 16), &[block(8192)], Err(Status::INVALID_SGL_SEGMENT)),
        (link(segment, 0, 0), &[], Err(Status::INVALID_SGL_SEGMENT)),
        (link(last, 0, 24), &[block(8192)], Err(Status::INVALID_SGL_SEGMENT)),
        (link(last, 0, 16), &[link(last, 0, 16)], Err(Status::INVALID_SGL_SEGMENT)),
        (link(segment, 0, 32), &[link(last, 0, 16), block(8192)], Err(Status::INVALID_SGL_NUMBER)),
        // It points to itself.
        (link(segment, 0, 16), &[link(segment, 0, 16)], Err(Status::INVALID_SGL_NUMBER)),
        (link(last, 1 << 40, 16), &[], Err(Status::DATA_TRANSFER_ERROR)),
    ];
    without_stalls(&Walk, |bench| {
        let mut rng = other_fields();
        for (first, segment, end) in cases {
            let mut memory = Bytes::default();
            let halves = segment.iter().flat_map(|descriptor| descriptor.halves());
            memory.store(0, &halves.flat_map(u64::to_le_bytes).collect::<Vec<u8>>());
            let mut job = sgl_job(&mut rng, &mut memory.clone(), 0);
            (job.operation, job.target) = (Operation::Read, Target::Storage);
            (job.large_blocks, job.bytes, job.pointer) = (true, 8192, first.halves());
            (job.units, job.lines) = (vec![], Lines::default());
            let failure = job.walk_sgl(&memory);
            assert_eq!(failure, *end, "{first:x?}, {segment:x?}");
            job.failure = failure.err();
            run(bench, &mut rng, &memory, &[job]);
        }
    });
}

/// As many descriptors without data as there may be, and one more.
#[test]
fn bounds_the_descriptors_without_data() {
    without_stalls(&Walk, |bench| {
        let mut rng = other_fields();
        for (empties, end) in [(0, None), (1, Some(Status::INVALID_SGL_NUMBER))] {
            let mut memory = Bytes::default();
            // The link to the segment is one of them.
            let empties = empties + sgl::EMPTY_DESCRIPTORS_MAX as usize - 1;
            let mut blocks = vec![SglDescriptor::new(sgl::DATA_BLOCK, 0, 0); empties];
            blocks.push(SglDescriptor::new(sgl::DATA_BLOCK, 0, 512));
            let mut job = sgl_job(&mut rng, &mut memory, 0);
            let first = Sgl { blocks, begins: vec![], says_last: true }.store(&mut rng, &mut memory);
            (job.operation, job.target) = (Operation::Write, Target::Storage);
            (job.large_blocks, job.bytes, job.pointer) = (false, 512, first.halves());
            (job.units, job.lines) = (vec![], Lines::default());
            job.failure = job.walk_sgl(&memory).err();
            assert_eq!(job.failure, end);
            run(bench, &mut rng, &memory, &[job]);
        }
    });
}

fn other_fields() -> Rng {
    Seed::from_env_or(0x5EED).rng("other fields")
}

/// The clocks until `units` units have come, while every line takes `latency` clocks.
fn clocks_for(bench: &mut Bench, memory: &Bytes, units: usize, latency: u64) -> u64 {
    let began = bench.clocks();
    let mut due: VecDeque<(u64, Fields)> = VecDeque::new();
    while bench.received("unit").len() < units {
        due.extend(bench.drain_fields("list_read").into_iter().map(|read| (bench.clocks() + latency, read)));
        while due.front().is_some_and(|(clock, _)| *clock <= bench.clocks()) {
            let (_, read) = due.pop_front().expect("it was seen");
            let line = memory.line(read.get("address")).expect("all lines are there");
            let item = bench.fields("list_beat").set("id", read.get("id")).set("last", 1u8);
            bench.send("list_beat", [item.set_words("data", &line).words()]);
        }
        bench.clock();
        assert!(bench.clocks() < began + 100_000, "units are missing");
    }
    bench.drain("unit");
    bench.clocks() - began
}

/// Two clocks for a command of one page and for each further unit. Lists and segments are read ahead: of all their lines only the first one is waited for.
#[test]
fn takes_few_clocks() {
    without_stalls(&Walk, |bench| {
        let read = bench.fields("job").set("operation", Operation::Read.code());
        let item = read.clone().set("bytes", 4096u64).set("prp1", 0x1000u64).words();
        bench.send("job", vec![item; 50]);
        let clocks = clocks_for(bench, &Bytes::default(), 50, 0);
        assert!(clocks <= 50 * 2 + 5, "{clocks} clocks for 50 commands of one unit");
        let item = read.clone().set("bytes", 8192u64).set("prp1", 0x1000u64).set("prp2", 0x5000u64).words();
        bench.send("job", vec![item; 50]);
        let clocks = clocks_for(bench, &Bytes::default(), 100, 0);
        assert!(clocks <= 50 * 5 + 5, "{clocks} clocks for 50 commands of two units");

        let first = SglDescriptor::new(sgl::DATA_BLOCK, 0x1000, 4096).halves();
        let of_sgl = read.clone().set("bytes", 4096u64).set("sgl", 1u8).set("prp1", first[0]).set("prp2", first[1]);
        bench.send("job", vec![of_sgl.words(); 50]);
        let clocks = clocks_for(bench, &Bytes::default(), 50, 0);
        assert!(clocks <= 50 * 5 + 5, "{clocks} clocks for 50 commands of one unit with SGLs");

        let latency = 100;
        let list: Vec<u64> = (0..512).map(|entry| PAGE * (entry + 1)).collect();
        let mut memory = Bytes::default();
        memory.store(0, &list.iter().flat_map(|entry| entry.to_le_bytes()).collect::<Vec<u8>>());
        bench.send("job", [read.clone().set("bytes", 512 * PAGE).words()]);
        let clocks = clocks_for(bench, &memory, 512, latency);
        assert!(clocks <= 512 * 2 + latency + 10, "{clocks} clocks for 512 units with a list of 64 lines");

        let segment = (0..512u64).flat_map(|block| SglDescriptor::new(sgl::DATA_BLOCK, PAGE * block, 4096).halves());
        memory.store(0, &segment.flat_map(u64::to_le_bytes).collect::<Vec<u8>>());
        let first = SglDescriptor::new(sgl::LAST_SEGMENT, 0, 512 * sgl::DESCRIPTOR_BYTES).halves();
        let item = read.set("bytes", 512 * PAGE).set("sgl", 1u8).set("prp1", first[0]).set("prp2", first[1]);
        bench.send("job", [item.words()]);
        let clocks = clocks_for(bench, &memory, 512, latency);
        assert!(clocks <= 512 * 5 + 128 / 8 * latency, "{clocks} clocks for 512 units with a segment of 128 lines");
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    // A unit within one page has no second one, and one without data none at all.
    forgets_at_reset(&Walk, &["list_beat"], &["unit_place_first", "unit_place_second"]);
}
