//! The host behind the streams of the engine: answers reads late, out of order and interleaved, and carries out writes.

use super::bytes::Bytes;
use rtl_hdl::bench::{Bench, Rng};
use std::collections::{BTreeSet, VecDeque};

/// How the host answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostTiming {
    /// Clocks from a read to its first beat.
    pub latency: u64,
    /// Reads of different ids are answered in any order, their beats alternating, and up to this many clocks later.
    pub late_max: u64,
}

struct Read {
    due: u64,
    id: u64,
    address: u64,
    beats: u64,
}

/// Reads that wait for their beats to be sent on one stream.
#[derive(Default)]
struct Reader {
    waiting: VecDeque<Read>,
}

/// Host memory with its streams.
pub(crate) struct Host {
    pub memory: Bytes,
    timing: HostTiming,
    rng: Rng,
    now: u64,
    list: Reader,
    data: Reader,
    /// Address of the next beat, and beats left, of each write whose head has come.
    writes: VecDeque<(u64, u64)>,
    beats: VecDeque<(Vec<u64>, u64, bool)>,
    /// The lines of all writes whose head has come.
    heads: BTreeSet<u64>,
}

impl Host {
    pub fn new(memory: Bytes, timing: HostTiming, rng: Rng) -> Host {
        let (list, data) = Default::default();
        Host {
            memory,
            timing,
            rng,
            now: 0,
            list,
            data,
            writes: VecDeque::new(),
            beats: VecDeque::new(),
            heads: BTreeSet::new(),
        }
    }

    /// Sees what the engine did in the last clock and prepares the next one.
    pub fn clock(&mut self, bench: &mut Bench) {
        self.read(bench, "list");
        self.answer_data_reads(bench);
        self.take_writes(bench);
    }

    /// The part of [`clock`](Self::clock) for reads of data.
    pub fn answer_data_reads(&mut self, bench: &mut Bench) {
        self.now += 1;
        self.read(bench, "data");
    }

    fn read(&mut self, bench: &mut Bench, which: &str) {
        let reader = if which == "list" { &mut self.list } else { &mut self.data };
        for read in bench.drain_fields(&format!("{which}_read")) {
            let (address, beats) = (read.get("address"), read.get("beats"));
            assert!(beats > 0 && address % 64 == 0, "a read of {beats} lines at {address:#x}");
            assert_eq!(
                address / 4096,
                (address + 64 * beats - 1) / 4096,
                "a read crosses a page: {address:#x}, {beats} lines"
            );
            let due = self.now + self.timing.latency + self.rng.below(self.timing.late_max + 1);
            reader.waiting.push_back(Read { due, id: read.get("id"), address, beats });
        }
        let beats = format!("{which}_beat");
        while bench.pending(&beats) < 2 {
            let Some(chosen) = reader.choose(self.now, self.timing.late_max > 0, &mut self.rng) else { break };
            let read = &mut reader.waiting[chosen];
            let line = self.memory.line(read.address);
            read.address += 64;
            read.beats -= 1;
            let item = bench
                .fields(&beats)
                .set("id", read.id)
                .set("error", line.is_none() as u64)
                .set("last", (read.beats == 0) as u64)
                .set_words("data", &line.unwrap_or(vec![0xEEEE_EEEE_EEEE_EEEE; 8]));
            if read.beats == 0 {
                reader.waiting.remove(chosen);
            }
            bench.send(&beats, [item.words()]);
        }
    }

    /// The part of [`clock`](Self::clock) for writes.
    pub fn take_writes(&mut self, bench: &mut Bench) {
        for head in bench.drain_fields("data_write") {
            let (address, beats) = (head.get("address"), head.get("beats"));
            assert!(beats > 0 && address % 64 == 0, "a write of {beats} lines at {address:#x}");
            assert_eq!(
                address / 4096,
                (address + 64 * beats - 1) / 4096,
                "a write crosses a page: {address:#x}, {beats} lines"
            );
            self.writes.push_back((address, beats));
            self.heads.extend((0..beats).map(|line| address / 64 + line));
        }
        for beat in bench.drain_fields("data_write_beat") {
            self.beats.push_back((beat.get_words("data"), beat.get("strobe"), beat.get("last") == 1));
        }
        while let (Some((address, left)), false) = (self.writes.front_mut(), self.beats.is_empty()) {
            let (data, strobe, last) = self.beats.pop_front().expect("not empty");
            assert_eq!(last, *left == 1, "`last` of a write with {left} beats left");
            assert!(self.memory.write_line(*address, &data, strobe), "a write to {address:#x}, where nothing is");
            *address += 64;
            *left -= 1;
            if *left == 0 {
                self.writes.pop_front();
            }
        }
    }

    /// Forgets what is in flight, before a reset of the engine; half a write stays half done.
    pub fn forget(&mut self, bench: &mut Bench) {
        for stream in ["list_beat", "data_beat"] {
            bench.clear(stream);
        }
        for stream in ["list_read", "data_read", "data_write", "data_write_beat"] {
            bench.drain(stream);
        }
        let timing = self.timing;
        let memory = std::mem::take(&mut self.memory);
        *self = Host::new(memory, timing, self.rng.clone());
    }

    /// Whether a head has come for every line of these pieces: nothing that comes later can overtake them.
    pub fn has_heads_of(&self, pieces: &[(u64, u64)]) -> bool {
        let lines = |(address, bytes): &(u64, u64)| address / 64..(address + bytes).div_ceil(64);
        pieces.iter().flat_map(lines).all(|line| self.heads.contains(&line))
    }

    /// Whether everything was answered and every write is complete.
    pub fn is_idle(&self) -> bool {
        self.list.waiting.is_empty() && self.data.waiting.is_empty() && self.writes.is_empty() && self.beats.is_empty()
    }
}

impl Reader {
    /// The read that sends the next beat: with `any_order`, any that is due and the oldest of its id; else the oldest of all.
    fn choose(&self, now: u64, any_order: bool, rng: &mut Rng) -> Option<usize> {
        let due = |&i: &usize| self.waiting[i].due <= now;
        if !any_order {
            return Some(0).filter(|_| !self.waiting.is_empty()).filter(due);
        }
        let oldest_of_id = |&i: &usize| self.waiting.iter().position(|r| r.id == self.waiting[i].id) == Some(i);
        let choices: Vec<usize> = (0..self.waiting.len()).filter(due).filter(oldest_of_id).collect();
        (!choices.is_empty()).then(|| *rng.pick(&choices))
    }
}
