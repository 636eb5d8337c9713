//! What the benches of this crate share.

use crate::types::{Door, Times};
use crate::{
    array, cache, commit, erase, fill, flash_path, flash_port, gather, line_port, locate, mover, page_cache, page_map,
    page_read, program, stage, write_point, Channel,
};
use flash_spec::{Clocks, Geometry, Reliability};
use nvme_hw::types::BEAT_BYTES;
use rtl_bus::resp;
use rtl_hdl::bench::{self, Bench, Fields, Rng, Seed, Stalls};
use rtl_hdl::sim::Simulator;
use rtl_hdl::{constant, lit, mutation, zero, Block, InstanceHandle, Shape};
use sim_verilator::test_bed::design;
use sim_verilator::{Library, Model, ModelSet, ModelSpec, TestBed};
use std::collections::{BTreeMap, VecDeque};

/// Bytes of a beat of a memory.
const LINE_BYTES: u64 = BEAT_BYTES as u64;

/// The flash of one die, one plane, few blocks and the fewest pages.
pub(crate) const LEAST: Geometry =
    Geometry { channels: 1, dies_per_channel: 1, planes_per_die: 1, blocks_per_plane: 5, pages_per_block: 4 };

/// The geometries under which the flash runs.
pub(crate) const GEOMETRIES: [Geometry; 3] = [LEAST, Geometry::SMALL, Geometry::DEFAULT];

/// Every block that is run, in every configuration that is run.
pub(crate) static BED: TestBed = TestBed::new("flash-hw", blocks);

fn blocks() -> Vec<Box<dyn Block>> {
    let mut blocks: Vec<Box<dyn Block>> =
        GEOMETRIES.iter().map(|geometry| Box::new(Channel::new(*geometry)) as Box<dyn Block>).collect();
    blocks.extend(array::bench::blocks());
    blocks.extend(cache::bench::blocks());
    blocks.extend(commit::bench::blocks());
    blocks.extend(erase::bench::blocks());
    blocks.extend(fill::bench::blocks());
    blocks.extend(flash_path::bench::blocks());
    blocks.extend(flash_port::bench::blocks());
    blocks.extend(gather::bench::blocks());
    blocks.extend(line_port::bench::blocks());
    blocks.extend(locate::bench::blocks());
    blocks.extend(mover::bench::blocks());
    blocks.extend(page_cache::bench::blocks());
    blocks.extend(page_map::bench::blocks());
    blocks.extend(page_read::bench::blocks());
    blocks.extend(program::bench::blocks());
    blocks.extend(stage::bench::blocks());
    blocks.extend(write_point::bench::blocks());
    blocks
}

#[test]
fn lint_is_silent() {
    BED.assert_lint_is_silent();
}

/// Runs `body` on `block` under every stall pattern, with random numbers of its own under each.
pub(crate) fn under_all_stalls(block: &dyn Block, mut body: impl FnMut(&mut Bench, &mut Rng)) {
    let design = design(block);
    let seed = Seed::from_env_or(0x5EED);
    for stalls in Stalls::ALL {
        let mut simulator = BED.simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
        body(&mut bench, &mut seed.rng(&format!("{} under {stalls:?}", block.name())));
    }
}

/// Runs `body` on `block` without stalls.
pub(crate) fn without_stalls(block: &dyn Block, body: impl FnOnce(&mut Bench)) {
    let design = design(block);
    let mut simulator = BED.simulator(&design);
    body(&mut Bench::new(&mut *simulator, &design, Seed::from_env_or(0x5EED), Stalls::None));
}

/// A reset in any clock leaves nothing: see [`bench::forgets_at_reset`].
pub(crate) fn forgets_at_reset(block: &dyn Block, answers: &[&str], ignored: &[&str]) {
    let design = design(block);
    bench::forgets_at_reset(&mut *BED.simulator(&design), &design, Seed::from_env_or(0x5EED), answers, ignored);
}

/// A memory behind a bus, `memory` if nothing else is said: it answers reads in their order and writes in theirs, each after its own time.
pub(crate) struct Memory {
    bus: &'static str,
    bytes: BTreeMap<u64, u8>,
    /// Whether a read of a line with this address ends with an error.
    is_bad: fn(u64) -> bool,
    fails_writes: bool,
    read_latency: u64,
    write_latency: u64,
    /// When it is due, the address of the next beat, beats left, and the identifier, of each read.
    reads: VecDeque<(u64, u64, u64, u64)>,
    /// Address of the next beat of each write whose address has come, and beats left.
    writes: VecDeque<(u64, u64)>,
    beats: VecDeque<Fields>,
    /// What is written, when it is due; the end of a burst is answered.
    written: VecDeque<(u64, u64, Fields)>,
    now: u64,
}

impl Memory {
    /// An empty memory that answers after so many clocks.
    pub fn new(is_bad: fn(u64) -> bool, latency: u64) -> Self {
        let (bytes, reads, writes, beats, written) = Default::default();
        let (read_latency, write_latency) = (latency, latency);
        Self {
            bus: "memory",
            bytes,
            is_bad,
            fails_writes: false,
            read_latency,
            write_latency,
            reads,
            writes,
            beats,
            written,
            now: 0,
        }
    }

    /// The memory behind another bus.
    pub fn on(self, bus: &'static str) -> Self {
        Self { bus, ..self }
    }

    /// What is written is there after so many clocks, and not before.
    pub fn with_write_latency(self, write_latency: u64) -> Self {
        Self { write_latency, ..self }
    }

    /// Whether writes that end from now on are refused.
    pub fn fail_writes(&mut self, fails: bool) {
        self.fails_writes = fails;
    }

    /// Puts bytes there.
    pub fn store(&mut self, address: u64, bytes: &[u8]) {
        self.bytes.extend((address..).zip(bytes.iter().copied()));
    }

    /// What is there; zeroes where nothing was stored or written.
    pub fn load(&self, address: u64, bytes: u64) -> Vec<u8> {
        (address..address + bytes).map(|at| self.bytes.get(&at).copied().unwrap_or(0)).collect()
    }

    fn port(&self, channel: &str) -> String {
        format!("{}_{channel}", self.bus)
    }

    /// One clock, before that of the bench.
    pub fn clock(&mut self, bench: &mut Bench) {
        self.now += 1;
        for burst in bench.drain_fields(&self.port("ar")) {
            let due = self.now + self.read_latency;
            self.reads.push_back((due, burst.get("addr"), burst.get("len") + 1, burst.get("id")));
        }
        for burst in bench.drain_fields(&self.port("aw")) {
            self.writes.push_back((burst.get("addr"), burst.get("len") + 1));
        }
        self.beats.extend(bench.drain_fields(&self.port("w")));
        while let (Some((address, left)), false) = (self.writes.front_mut(), self.beats.is_empty()) {
            let beat = self.beats.pop_front().expect("not empty");
            *left -= 1;
            assert_eq!(beat.get("last") == 1, *left == 0, "WLAST of a burst with {left} beats left");
            self.written.push_back((self.now + self.write_latency, *address, beat));
            *address += LINE_BYTES;
            if *left == 0 {
                self.writes.pop_front();
            }
        }
        while self.written.front().is_some_and(|(due, ..)| *due <= self.now) {
            let (_, address, beat) = self.written.pop_front().expect("there is one");
            let strobe = beat.get("strb");
            let bytes = beat.get_words("data").into_iter().flat_map(u64::to_le_bytes);
            let bytes = (address..).zip(bytes).zip(0..).filter(|(_, bit)| strobe >> bit & 1 == 1);
            if !self.fails_writes {
                self.bytes.extend(bytes.map(|(byte, _)| byte));
            }
            if beat.get("last") == 1 {
                let resp = if self.fails_writes { resp::SLVERR } else { resp::OKAY };
                bench.send(&self.port("b"), [bench.fields(&self.port("b")).set("resp", resp).words()]);
            }
        }
        while bench.pending(&self.port("r")) < 2 {
            let Some((_, address, left, id)) = self.reads.front_mut().filter(|(due, ..)| *due <= self.now) else {
                break;
            };
            let (at, id) = (*address, *id);
            *left -= 1;
            *address += LINE_BYTES;
            let is_last = *left == 0;
            if is_last {
                self.reads.pop_front();
            }
            let line = self.load(at, LINE_BYTES);
            let words: Vec<u64> =
                line.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes"))).collect();
            let resp = if (self.is_bad)(at) { resp::SLVERR } else { resp::OKAY };
            let item = bench.fields(&self.port("r")).set("resp", resp).set("last", is_last).set_words("data", &words);
            bench.send(&self.port("r"), [item.set("id", id).words()]);
        }
    }
}

/// Tells channels how long things take, and that nothing fails.
pub(crate) fn set_times(bench: &mut Bench, clocks: &Clocks) {
    let [read_lsb, read_msb] = clocks.read;
    let [program_lsb, program_msb] = clocks.program;
    let Clocks { erase, suspend, resume, command, unit, .. } = *clocks;
    let times = [read_lsb, read_msb, program_lsb, program_msb, erase, suspend, resume, command, unit];
    for ((field, _), clocks) in Times::fields().iter().zip(times) {
        bench.poke(&format!("times_{field}"), clocks.into());
    }
    bench.poke("faults_retry_wear_shift", Reliability::DEFAULT.retry_wear_shift.into());
}

/// Nobody comes through the door of an array.
pub(crate) fn close_door(array: &InstanceHandle) {
    for (field, width) in Door::fields() {
        array.port(&format!("door_{field}")).set(constant(&zero(width)));
    }
    array.port("door_valid").set(constant(&zero(1)));
    array.port("door_record_ready").set(lit(1u8, 1));
}

/// A simulator that can run for many clocks with the inputs as they are.
pub(crate) trait Runs: Simulator {
    /// So many edges of the clock.
    fn run(&mut self, clocks: u64);
}

impl Runs for Box<dyn Simulator> {
    fn run(&mut self, clocks: u64) {
        (0..clocks).for_each(|_| self.step());
    }
}

impl Runs for Model {
    fn run(&mut self, clocks: u64) {
        self.run_clocks(1, clocks);
    }
}

/// The Verilated blocks alone, for long runs; nothing for mutants, and, with a line that says so, where Verilator cannot be had.
///
/// # Panics
/// If they cannot be built.
pub(crate) fn verilated() -> Option<Library> {
    if mutation::is_asked_for() {
        return None;
    }
    let specs = blocks().into_iter().map(|block| ModelSpec::of(&design(&*block)));
    match specs.fold(ModelSet::new("flash-hw"), ModelSet::with).load() {
        Ok(library) => Some(library),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: long runs of the Verilated blocks. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
