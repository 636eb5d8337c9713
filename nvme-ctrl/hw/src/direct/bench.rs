//! The running block: storage commands against a memory, compared byte by byte.

use super::Direct;
use crate::io_engine::bench::bytes::Bytes;
use crate::io_engine::bench::memory::Memory;
use crate::io_engine::bench::BackEnd;
use crate::testing::{under_all_stalls, without_stalls, CONFIGS};
use crate::types::{Operation, StorageStatus};
use crate::Config;
use nvme_spec::limits::SECTOR_BYTES;
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::HwEnum;

/// Bytes of the memory.
pub(crate) const MEMORY_BYTES: u64 = 1 << 22;

/// Whether the memory fails at an address.
fn is_bad(address: u64) -> bool {
    (0x10_0000..0x18_0000).contains(&address) || (0x20_0000..0x28_0000).contains(&address)
}

/// A command on blocks of its own.
struct Planned {
    operation: Operation,
    lba: u64,
    blocks: u64,
    status: StorageStatus,
}

/// Commands whose blocks do not meet; two of them reach, or begin, beyond the end.
fn plan(rng: &mut Rng) -> Vec<Planned> {
    let lba_bytes = u64::from(SECTOR_BYTES);
    let (mut lba, end) = (1, MEMORY_BYTES / lba_bytes);
    let mut planned = vec![];
    let bad_lba = |lba: u64| is_bad(lba * lba_bytes);
    let longest = 4096 / lba_bytes;
    while lba + 8 <= end && planned.len() < 150 {
        let mut blocks = 1 + rng.below(longest);
        let zeroes = *rng.pick(&[Operation::WriteZeroes, Operation::Deallocate]);
        let (reads, writes) = ([Operation::Read, Operation::Verify], [Operation::Write, zeroes]);
        let [read, write] = [reads, writes].map(|pair| pair[usize::from(rng.below(3) == 0)]);
        let mut operation = *rng.pick(&[read, write, read, write, Operation::Flush, Operation::WriteUncorrectable]);
        // One command of each kind on each border of a part that fails: it begins well and ends badly, or the reverse.
        let border = (1..longest).find(|ahead| bad_lba(lba + ahead) != bad_lba(lba));
        if let Some(ahead) = border {
            blocks = longest.max(ahead + 1);
            operation = if lba * lba_bytes < 0x1C_0000 { read } else { write };
        }
        let is_access = ![Operation::Flush, Operation::WriteUncorrectable].contains(&operation);
        let bad = is_access && (bad_lba(lba) || bad_lba(lba + blocks - 1));
        let status = if bad { StorageStatus::MediaError } else { StorageStatus::Good };
        planned.push(Planned { operation, lba, blocks, status });
        let next_border = (0..2 * end / 150).find(|gap| bad_lba(lba + blocks + gap) != bad_lba(lba + blocks));
        let gap = rng.below(2 * end / 150);
        // Borders are not jumped over.
        lba += blocks + next_border.map_or(gap, |border| gap.min(border.saturating_sub(longest / 2)));
    }
    use Operation::{Deallocate, Read, Verify, Write, WriteUncorrectable, WriteZeroes};
    for operation in [Write, Read, WriteZeroes, Deallocate, Verify, WriteUncorrectable] {
        for lba in [end, u64::MAX, end + 5] {
            planned.push(Planned { operation, lba, blocks: 1, status: StorageStatus::Refused });
        }
        planned.push(Planned { operation, lba: end - 1, blocks: 2, status: StorageStatus::Refused });
    }
    rng.shuffle(&mut planned);
    planned
}

fn send(bench: &mut Bench, command: &Planned, tag: u64) {
    let item = bench.fields("storage_command").set("tag", tag).set("operation", command.operation.code());
    let blocks = if command.operation == Operation::Flush { 0 } else { command.blocks };
    bench.send("storage_command", [item.set("sector", command.lba).set("sectors", blocks).words()]);
}

#[test]
fn blocks_lie_in_memory_one_after_the_other() {
    for config in CONFIGS {
        let lba_bytes = u64::from(SECTOR_BYTES);
        under_all_stalls(&Direct::new(config, MEMORY_BYTES), |bench, rng| {
            let planned = plan(rng);
            let mut bytes = Bytes::default();
            let old: Vec<u8> = (0..MEMORY_BYTES / 8).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
            bytes.store(0, &old);
            let mut expected = bytes.clone();
            let mut memory = Memory::new(bytes.clone(), is_bad, 9);
            let mut free: Vec<u64> = (0..config.units.into()).collect();
            let mut running: Vec<Option<&Planned>> = vec![None; 256];
            let (mut plan, mut ended, mut beats) = (planned.iter(), 0, vec![vec![]; 256]);
            for _ in 0..60_000 {
                if let Some(tag) = free.pop() {
                    match plan.next() {
                        None => free.push(tag),
                        Some(command) => {
                            send(bench, command, tag);
                            running[tag as usize] = Some(command);
                            let count =
                                if command.operation == Operation::Write { command.blocks * lba_bytes / 64 } else { 0 };
                            let is_zeroes = matches!(command.operation, Operation::WriteZeroes | Operation::Deallocate);
                            if is_zeroes && command.status == StorageStatus::Good {
                                let zeroes = vec![0; (command.blocks * lba_bytes) as usize];
                                expected.store(command.lba * lba_bytes, &zeroes);
                            }
                            for beat in 0..count {
                                let data = rng.bits(512);
                                let last = beat + 1 == count;
                                let item = bench.fields("storage_write").set("last", last).set_words("data", &data);
                                let error = rng.below(16) == 0;
                                bench.send("storage_write", [item.set("error", error).words()]);
                                if command.status == StorageStatus::Good && !error {
                                    expected.write_line(command.lba * lba_bytes + 64 * beat, &data, u64::MAX);
                                }
                            }
                        }
                    }
                }
                memory.clock(bench);
                bench.clock();
                for beat in bench.drain_fields("storage_read") {
                    beats[beat.get("tag") as usize].push(beat);
                }
                for done in bench.drain_fields("storage_done") {
                    let tag = done.get("tag");
                    let command = running[tag as usize].expect("it is running");
                    assert_eq!(done.get("status"), command.status.code());
                    let reads = command.operation == Operation::Read && command.status != StorageStatus::Refused;
                    let count = if reads { (command.blocks * lba_bytes / 64) as usize } else { 0 };
                    // The last beats may come after the end.
                    let mut late = 0;
                    while beats[tag as usize].len() < count {
                        assert!(late < 1000, "beats of tag {tag} are missing");
                        memory.clock(bench);
                        bench.clock();
                        late += 1;
                        for beat in bench.drain_fields("storage_read") {
                            beats[beat.get("tag") as usize].push(beat);
                        }
                    }
                    let mut failed = false;
                    for (index, beat) in std::mem::take(&mut beats[tag as usize]).iter().enumerate() {
                        let address = command.lba * lba_bytes + 64 * index as u64;
                        assert_eq!(beat.get("last") == 1, index + 1 == count);
                        assert_eq!(beat.get("error") == 1, is_bad(address));
                        failed |= is_bad(address);
                        if !is_bad(address) {
                            assert_eq!(Some(beat.get_words("data")), bytes.line(address));
                        }
                    }
                    assert!(!reads || failed == (command.status == StorageStatus::MediaError));
                    running[tag as usize] = None;
                    free.push(tag);
                    ended += 1;
                }
                if ended == planned.len() {
                    break;
                }
            }
            assert_eq!(ended, planned.len());
            bench.run(300);
            assert_eq!(bench.received("storage_done").len() + bench.received("storage_read").len(), 0);
            for command in planned.iter().filter(|c| c.status == StorageStatus::MediaError) {
                let (at, bytes) = (command.lba * lba_bytes, command.blocks * lba_bytes);
                expected.store(at, &memory.bytes().load(at, bytes));
            }
            assert_eq!(memory.bytes().first_difference(&expected), None);
        });
    }
}

/// What reads a marked sector fails, and its beats say so; what writes it takes the mark away. No other sector changes.
#[test]
fn marked_sectors_cannot_be_read_until_they_are_written() {
    use Operation::{Deallocate, Flush, Read, Verify, Write, WriteUncorrectable, WriteZeroes};
    // Where the marks of the two memories meet: the first and the last pages, the last page of a word and the first of the next.
    let sector_bytes = u64::from(SECTOR_BYTES);
    let (end, word) = (MEMORY_BYTES / sector_bytes, 2 * 64 * 8);
    let places = [0..40, word - 20..word + 20, end - 40..end];
    under_all_stalls(&Direct::new(Config::DEFAULT, MEMORY_BYTES), |bench, rng| {
        let mut bytes = Bytes::default();
        for place in &places {
            let sectors = place.start & !7..place.end + 8;
            bytes.store(
                sectors.start * sector_bytes,
                &vec![7; ((sectors.end.min(end) - sectors.start) * sector_bytes) as usize],
            );
        }
        let mut memory = Memory::new(bytes, |_| false, 9);
        let mut marked = std::collections::HashSet::new();
        for tag in 0..300 {
            let place = rng.pick(&places).clone();
            let lba = place.start + rng.below(place.end - place.start);
            let blocks = 1 + rng.below(8);
            let operation = *rng.pick(&[Read, Read, Verify, Write, WriteZeroes, Deallocate, WriteUncorrectable, Flush]);
            let is_inside = operation == Flush || lba + blocks <= end;
            let is_readable = (lba..lba + blocks).all(|sector| !marked.contains(&sector));
            let reads = [Read, Verify].contains(&operation);
            let status = match (is_inside, reads && !is_readable) {
                (false, _) => StorageStatus::Refused,
                (true, true) => StorageStatus::MediaError,
                (true, false) => StorageStatus::Good,
            };
            send(bench, &Planned { operation, lba, blocks, status }, tag % 32);
            if operation == Write {
                let item = bench.fields("storage_write").words();
                bench.send("storage_write", (0..8 * blocks).map(|_| item.clone()));
            }
            for sector in (lba..lba + blocks).filter(|_| is_inside) {
                match operation {
                    Write | WriteZeroes | Deallocate => _ = marked.remove(&sector),
                    WriteUncorrectable => _ = marked.insert(sector),
                    _ => {}
                }
            }
            let beats = if operation == Read && is_inside { 8 * blocks as usize } else { 0 };
            for _ in 0..2000 {
                if !bench.received("storage_done").is_empty() && bench.received("storage_read").len() == beats {
                    break;
                }
                memory.clock(bench);
                bench.clock();
            }
            let done = bench.drain_fields("storage_done");
            assert_eq!(done.len(), 1, "{operation:?} of {blocks} from {lba}");
            assert_eq!(done[0].get("status"), status.code(), "{operation:?} of {blocks} from {lba}");
            let read = bench.drain_fields("storage_read");
            assert_eq!(read.len(), beats);
            assert!(read.iter().all(|beat| (beat.get("error") == 1) == (status == StorageStatus::MediaError)));
        }
        assert!(!marked.is_empty());
    });
}

/// Ends that nobody takes are kept, whatever else ends.
#[test]
fn keeps_every_end() {
    for config in CONFIGS {
        without_stalls(&Direct::new(config, MEMORY_BYTES), |bench| {
            let mut memory = Memory::new(Bytes::default(), |_| false, 9);
            bench.hold("storage_done", true);
            for tag in 0..config.units.into() {
                send(
                    bench,
                    &Planned { operation: Operation::Read, lba: tag, blocks: 1, status: StorageStatus::Good },
                    tag,
                );
            }
            for clock in 0..2000 {
                bench.hold("storage_done", clock < 1000);
                memory.clock(bench);
                bench.clock();
            }
            let tags: Vec<u64> = bench.drain_fields("storage_done").iter().map(|done| done.get("tag")).collect();
            assert_eq!(tags, (0..config.units.into()).collect::<Vec<u64>>());
        });
    }
}

/// A beat per clock in both directions at once.
#[test]
fn moves_a_beat_in_every_clock() {
    let config = Config::DEFAULT;
    without_stalls(&Direct::new(config, MEMORY_BYTES), |bench| {
        let mut bytes = Bytes::default();
        bytes.store(0, &vec![7; MEMORY_BYTES as usize]);
        let mut memory = Memory::new(bytes, |_| false, 9);
        let commands = 16;
        for tag in 0..commands {
            let operation = if tag % 2 == 0 { Operation::Read } else { Operation::Write };
            send(bench, &Planned { operation, lba: 8 * tag, blocks: 8, status: StorageStatus::Good }, tag);
        }
        let item = bench.fields("storage_write").words();
        bench.send("storage_write", (0..64 * commands / 2).map(|_| item.clone()));
        let began = bench.clocks();
        while bench.received("storage_done").len() < commands as usize {
            memory.clock(bench);
            bench.clock();
            let clocks = bench.clocks() - began;
            assert!(clocks < 64 * commands / 2 + 60, "{clocks} clocks");
        }
    });
}

/// A Read and a Write that have a 4 KiB page in common do not overtake each other; all others do not wait.
#[test]
fn what_meets_in_a_page_waits() {
    use Operation::{Deallocate, Read, Verify, Write, WriteZeroes};
    let cases = [
        ((Write, 0, 8), (Read, 3, 1), true),
        ((Read, 0, 8), (Write, 7, 1), true),
        ((WriteZeroes, 0, 1), (Verify, 5, 1), true),
        ((Verify, 16, 2), (Deallocate, 23, 1), true),
        // Only the end of the one that reaches into the next page meets the other.
        ((Write, 6, 4), (Read, 9, 1), true),
        ((Read, 9, 1), (Write, 6, 4), true),
        ((Write, 6, 2), (Read, 9, 1), false),
        ((Read, 9, 1), (Write, 6, 2), false),
        ((Read, 0, 8), (Read, 0, 8), false),
        ((Write, 0, 8), (Write, 0, 8), false),
    ];
    for (first, second, waits) in cases {
        without_stalls(&Direct::new(Config::DEFAULT, MEMORY_BYTES), |bench| {
            let mut bytes = Bytes::default();
            bytes.store(0, &[7; 4 * 4096]);
            let mut memory = Memory::new(bytes, |_| false, 9);
            let bursts = |bench: &Bench| bench.received("memory_ar").len() + bench.received("memory_aw").len();
            let mut begun = vec![];
            // The memory answers nothing yet.
            for (tag, (operation, lba, blocks)) in (0..).zip([first, second]) {
                send(bench, &Planned { operation, lba, blocks, status: StorageStatus::Good }, tag);
                bench.run(40);
                begun.push(bursts(bench));
            }
            assert_eq!(begun[1] == begun[0], waits, "{first:?}, {second:?}");
            let writes = [first, second].into_iter().filter(|(operation, ..)| *operation == Write);
            let beats: u64 = writes.map(|(.., blocks)| 8 * blocks).sum();
            let item = bench.fields("storage_write").words();
            bench.send("storage_write", (0..beats).map(|_| item.clone()));
            for _ in 0..500 {
                memory.clock(bench);
                bench.clock();
            }
            assert_eq!(bench.received("storage_done").len(), 2, "{first:?}, {second:?}");
        });
    }
}
