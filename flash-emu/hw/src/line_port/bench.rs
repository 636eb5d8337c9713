//! The running block against the bytes that should be in the lines.

use super::LinePort;
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls, Memory};
use crate::types::{Move, SECTOR_BEATS, UNIT_BEATS};
use flash_spec::limits::UNIT_BYTES;
use nvme_hw::types::StorageStatus;
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::{Block, HwEnum};
use std::collections::{BTreeMap, VecDeque};

const PORTS: [LinePort; 2] = [LinePort { bursts: 4, base: 0 }, LinePort { bursts: 16, base: 0x1_0000_0000 }];
const LINES: u64 = 32;
/// Whose reads fail.
const BAD_LINE: u64 = 7;

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    PORTS.iter().map(|&port| Box::new(port) as Box<dyn Block>).collect()
}

/// What a command of one or two bursts is to do.
#[derive(Clone, Debug)]
struct Planned {
    operation: Move,
    bursts: Vec<Part>,
    without_host: bool,
    fua: bool,
    failed: bool,
    refused: bool,
}

#[derive(Clone, Debug)]
struct Part {
    line: u64,
    beat: u64,
    beats: u64,
    sectors: u64,
}

impl Part {
    fn sector_is_set(&self, beat: u64) -> bool {
        self.sectors >> ((self.beat + beat) / u64::from(SECTOR_BEATS)) & 1 == 1
    }
}

impl Planned {
    fn any(rng: &mut Rng, lines: &mut Vec<u64>) -> Self {
        let operation = *rng.pick(&[Move::Read, Move::Write, Move::Read, Move::Write, Move::Report]);
        let parts = 1 + usize::from(operation != Move::Report && rng.percent(30) && lines.len() > 1);
        let bursts = (0..parts).map(|_| {
            let sector = rng.below(8);
            let sectors = 1 + rng.below(8 - sector);
            let beats = if operation == Move::Report && rng.bool() { 0 } else { 8 * sectors };
            let mask = ((1 << sectors) - 1) << sector;
            let marked = rng.next_u64() & rng.next_u64() & 0xFF;
            let sectors = match operation {
                Move::Read => marked & rng.below(256),
                Move::Write => mask & !marked,
                Move::Report => 0,
            };
            Part { line: lines.pop().expect("a line is free"), beat: 8 * sector, beats, sectors }
        });
        let bursts: Vec<Part> = bursts.collect();
        let is_report = operation == Move::Report;
        let without_host = !is_report && rng.percent(20);
        let fua = operation == Move::Write && rng.percent(30);
        let refused = is_report && rng.percent(30);
        Self { operation, bursts, without_host, fua, failed: is_report && !refused && rng.percent(30), refused }
    }

    fn takes_data(&self) -> bool {
        self.operation == Move::Report || self.operation == Move::Write && !self.without_host
    }

    fn fails(&self) -> bool {
        let unreadable = |part: &Part| part.line == BAD_LINE || (0..part.beats).any(|beat| part.sector_is_set(beat));
        self.failed || self.operation == Move::Read && self.bursts.iter().any(unreadable)
    }

    fn status(&self) -> StorageStatus {
        match (self.refused, self.fails()) {
            (true, _) => StorageStatus::Refused,
            (_, true) => StorageStatus::MediaError,
            _ => StorageStatus::Good,
        }
    }
}

fn send(bench: &mut Bench, tag: u64, command: &Planned) {
    for (number, part) in command.bursts.iter().enumerate() {
        let item = bench.fields("burst").set("tag", tag).set("operation", command.operation.code());
        let item = item.set("line", part.line).set("beat", part.beat).set("beats", part.beats);
        let item = item.set("sectors", part.sectors).set("without_host", command.without_host);
        let item = item.set("ends_command", number + 1 == command.bursts.len()).set("fua", command.fua);
        let item = item.set("failed", command.failed).set("refused", command.refused);
        bench.send("burst", [item.words()]);
    }
}

fn is_bad(address: u64) -> bool {
    address / u64::from(UNIT_BYTES) % LINES == BAD_LINE
}

fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn beats_go_where_their_bursts_say() {
    for port in PORTS {
        under_all_stalls(&port, |bench, rng| {
            let address = |line: u64, beat: u64| port.base + line * u64::from(UNIT_BYTES) + 64 * beat;
            let mut memory = Memory::new(is_bad, 11);
            for line in 0..LINES {
                let content: Vec<u8> = (0..UNIT_BYTES).map(|_| rng.next_u64() as u8).collect();
                memory.store(address(line, 0), &content);
            }
            let mut expected: BTreeMap<u64, Vec<u8>> =
                (0..LINES).map(|line| (line, memory.load(address(line, 0), UNIT_BYTES.into()))).collect();
            let mut free: Vec<u64> = (0..LINES).collect();
            let mut running: BTreeMap<u64, Planned> = BTreeMap::new();
            // Beats that are still to come, of each tag.
            let mut beats: BTreeMap<u64, VecDeque<(Vec<u8>, bool)>> = BTreeMap::new();
            let mut in_use: Vec<(u64, bool)> = vec![];
            let (mut current, mut started, mut ended, mut forwarded) = (None, 0, 0, 0);
            let mut clocks = 0;
            while ended < 120 || !in_use.is_empty() || beats.values().any(|beats| !beats.is_empty()) {
                let tag =
                    (0..8u64).find(|tag| !running.contains_key(tag) && beats.get(tag).is_none_or(VecDeque::is_empty));
                let tag = tag.filter(|_| started < 120 && free.len() > 2 && rng.percent(30));
                if let Some(tag) = tag {
                    started += 1;
                    rng.shuffle(&mut free);
                    let command = Planned::any(rng, &mut free);
                    send(bench, tag, &command);
                    let mut coming = VecDeque::new();
                    for part in &command.bursts {
                        for beat in 0..part.beats {
                            let data = rng.bits(512);
                            if command.takes_data() {
                                bench.send("data", [bench.fields("data").set_words("data", &data).words()]);
                            }
                            let bytes = if command.without_host { vec![0; 64] } else { bytes_of(&data) };
                            let line = expected.get_mut(&part.line).expect("a line");
                            let at = 64 * (part.beat + beat) as usize;
                            if command.operation == Move::Write && part.sector_is_set(beat) {
                                line[at..at + 64].copy_from_slice(&bytes);
                            }
                            if command.operation == Move::Read && !command.without_host {
                                let error = part.line == BAD_LINE || part.sector_is_set(beat);
                                coming.push_back((line[at..at + 64].to_vec(), error));
                            }
                        }
                        match command.operation {
                            Move::Report => free.push(part.line),
                            operation => in_use.push((part.line, operation == Move::Write)),
                        }
                    }
                    beats.insert(tag, coming);
                    running.insert(tag, command);
                }
                // A miss of a command that this block does not know.
                if forwarded < 40 && rng.percent(5) {
                    forwarded += 1;
                    let tag = 100 + forwarded;
                    let count = 1 + rng.below(u64::from(UNIT_BEATS));
                    let mut coming = VecDeque::new();
                    for beat in 0..count {
                        let data = rng.bits(512);
                        let item = bench.fields("forward").set("tag", tag).set_words("data", &data);
                        bench.send("forward", [item.set("last", beat + 1 == count).words()]);
                        coming.push_back((bytes_of(&data), false));
                    }
                    beats.insert(tag, coming);
                }
                memory.clock(bench);
                bench.clock();
                for beat in bench.drain_fields("storage_read") {
                    let tag = beat.get("tag");
                    assert!(
                        current.is_none_or(|current| current == tag),
                        "beats of {tag} are among those of {current:?}"
                    );
                    let coming = beats.get_mut(&tag).expect("a command");
                    let (data, error) = coming.pop_front().expect("no more beats than asked for");
                    assert_eq!(
                        (beat.get("error") == 1, beat.get("last") == 1),
                        (error, coming.is_empty()),
                        "tag {tag}"
                    );
                    assert!(error || bytes_of(&beat.get_words("data")) == data, "a beat of tag {tag}");
                    current = Some(tag).filter(|_| beat.get("last") == 0);
                }
                let ends = bench.drain_fields("storage_done").into_iter();
                let ends: Vec<_> = ends.map(|end| (end.get("tag"), Some(end.get("status")))).collect();
                let persists = bench.drain_fields("persist").into_iter().map(|end| (end.get("tag"), None));
                for (tag, status) in ends.into_iter().chain(persists.collect::<Vec<_>>()) {
                    let command = running.remove(&tag).expect("it is running");
                    let expected = (!command.fua).then(|| command.status().code());
                    assert_eq!(status, expected, "{command:?}");
                    ended += 1;
                }
                for release in bench.drain_fields("released") {
                    let released = (release.get("line"), release.get("is_write") == 1);
                    let at = in_use.iter().position(|&used| used == released);
                    in_use.swap_remove(at.unwrap_or_else(|| panic!("{released:?} is not in use")));
                    free.push(released.0);
                }
                clocks += 1;
                assert!(clocks < 100_000, "{ended} of {started} commands ended");
            }
            bench.run(200);
            for (line, content) in expected {
                assert!(memory.load(address(line, 0), UNIT_BYTES.into()) == content, "line {line}");
            }
        });
    }
}

/// Two writes with errors of the memory, the second one with FUA: its end is reported at once, because there is nothing to persist.
#[test]
fn a_write_that_the_memory_refuses_is_a_media_error() {
    without_stalls(&PORTS[0], |bench| {
        let mut memory = Memory::new(|_| false, 5);
        memory.fail_writes(true);
        let part = Part { line: 1, beat: 0, beats: 8, sectors: 1 };
        for fua in [false, true] {
            let command = Planned {
                operation: Move::Write,
                bursts: vec![part.clone()],
                without_host: true,
                fua,
                failed: false,
                refused: false,
            };
            send(bench, 3, &command);
            for _ in 0..100 {
                memory.clock(bench);
                bench.clock();
            }
            let ends = bench.drain_fields("storage_done");
            assert_eq!(ends.len(), 1);
            assert_eq!(ends[0].get("status"), StorageStatus::MediaError.code());
            assert!(bench.drain("persist").is_empty());
        }
    });
}

#[test]
fn a_beat_goes_through_in_each_clock() {
    without_stalls(&PORTS[1], |bench| {
        let mut memory = Memory::new(|_| false, 20);
        for tag in 0..8 {
            let part = |line| Part { line, beat: 0, beats: UNIT_BEATS.into(), sectors: 0 };
            let command = Planned {
                operation: Move::Read,
                bursts: vec![part(tag)],
                without_host: false,
                fua: false,
                failed: false,
                refused: false,
            };
            send(bench, tag, &command);
        }
        while bench.received("storage_read").len() < 8 * UNIT_BEATS as usize {
            memory.clock(bench);
            bench.clock();
            assert!(bench.clocks() < u64::from(8 * UNIT_BEATS) + 20 + 20);
        }
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&PORTS[0], &["memory_r", "memory_b"], &[]);
}
