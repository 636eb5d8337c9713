//! The running block, compared with `nvme_spec::decode` entry by entry.

use super::Decode;
use crate::testing::{
    forgets_at_reset, is_quiet_after_reset, under_all_stalls, without_stalls, FUNCTION_CONFIGS as CONFIGS,
};
use crate::types::{Operation, Target};
use nvme_spec::opcode::io;
use nvme_spec::sgl::PSDT_SGL;
use nvme_spec::{decode_fused, decode_io, is_fast_path, limits, IoCommand, Limits, NamespaceInfo, SqEntry, Status};
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::HwEnum;
use zerocopy::{FromBytes, IntoBytes};

/// More than one command can name, so that those that are too long are inside.
const BLOCKS: u64 = 200_000;

fn words(entry: &SqEntry) -> Vec<u64> {
    entry.as_bytes().chunks(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes"))).collect()
}

/// Arbitrary entries, and such as differ from a valid command in one place or none.
fn any_entry(rng: &mut Rng) -> SqEntry {
    let bytes: Vec<u8> = (0..64).map(|_| rng.next_u64() as u8).collect();
    let mut entry = SqEntry::read_from_bytes(&bytes).expect("64 bytes");
    if rng.percent(10) {
        return entry;
    }
    let silent = [io::FLUSH, io::WRITE_ZEROES, io::WRITE_UNCORRECTABLE, io::VERIFY];
    entry.opcode = *rng.pick(&[&[io::WRITE, io::READ, io::COMPARE], &silent[..]].concat());
    entry.flags &= if rng.percent(30) { 0x7C } else { 0x3C };
    entry.nsid.set(1);
    entry.prp[0].set(entry.prp[0].get() & !3);
    let blocks = *rng.pick(&[1, 8, 256, 512, 513, 4096, 4097]);
    entry.cdw10[0].set(rng.below(BLOCKS - 65_536) as u32);
    entry.cdw10[1].set(0);
    entry.cdw10[2].set(entry.cdw10[2].get() & !0xFFFF | (blocks - 1));
    match rng.below(12) {
        0 => entry.opcode = rng.next_u64() as u8,
        1 => entry.flags = rng.next_u64() as u8,
        2 => entry.nsid.set(*rng.pick(&[0, 2, 2, 3, 8, 9, 10, 16, 17, 1 << 31, limits::NSID_BROADCAST])),
        3 => entry.prp[0].set(entry.prp[0].get() | rng.range(1..4)),
        4 => entry.cdw10[0].set((BLOCKS - u64::from(blocks)) as u32 + rng.below(2) as u32),
        5 => entry.cdw10[1].set(1 << rng.below(32)),
        6 => entry.cdw10[2].set(entry.cdw10[2].get() | 0xFFFF),
        7 => {
            entry.cdw10[0].set(!0);
            entry.cdw10[1].set(!0);
        }
        _ => {}
    }
    entry
}

/// The item of `command` for a command of the fast path.
fn command_of(bench: &Bench, entry: &SqEntry, [sqid, function]: [u64; 2], command: IoCommand) -> Fields {
    let item = bench
        .fields("command")
        .set("sqid", sqid)
        .set("function", function)
        .set("cid", entry.cid.get())
        .set("opcode", entry.opcode);
    let item = item.set("nsid", entry.nsid.get()).set("target", Target::Storage.code());
    let item = item.set("prp1", entry.prp[0].get()).set("prp2", entry.prp[1].get());
    let item = item.set("sgl", entry.psdt() == PSDT_SGL);
    let operation = match command {
        IoCommand::Flush => Operation::Flush,
        IoCommand::Write(_) => Operation::Write,
        IoCommand::Read(_) => Operation::Read,
        IoCommand::Compare(_) => Operation::Compare,
        IoCommand::WriteUncorrectable(_) => Operation::WriteUncorrectable,
        IoCommand::WriteZeroes(_) => Operation::WriteZeroes,
        IoCommand::Deallocate(_) => Operation::Deallocate,
        IoCommand::Verify(_) => Operation::Verify,
    };
    let lba = u64::from(entry.cdw(11)) << 32 | u64::from(entry.cdw(10));
    let blocks = command.range().map_or(0, |range| range.blocks());
    let item = item.set("operation", operation.code()).set("lba", lba).set("blocks", blocks);
    let shift = lba_shift_of(entry.nsid.get());
    let sector = BASE.wrapping_mul(8).wrapping_add(lba << (shift - 9));
    let item = item.set("sector", sector).set("large_blocks", u8::from(shift == 12));
    let item = item.set("fused", entry.fuse() != 0);
    item.set("bytes", blocks << shift).set("fua", entry.cdw(12) >> 30 & 1)
}

/// The item of `inbox` for an entry that firmware completes, with this status if that is known already.
fn inbox_of(bench: &Bench, entry: &SqEntry, [sqid, function]: [u64; 2], known: Option<Status>) -> Fields {
    let item = bench.fields("inbox").set("sqid", sqid).set("function", function);
    let item = item.set("failed", known.is_some()).set("status", known.map_or(0, Status::raw));
    item.set_words("entry", &words(entry))
}

/// The first 4 KiB unit of every namespace.
const BASE: u64 = 7;

/// Log2 of the bytes of a block of a namespace: one has large ones.
fn lba_shift_of(nsid: u32) -> u32 {
    if nsid == 2 {
        12
    } else {
        9
    }
}

/// A [`super::NamespaceRow`]: base, blocks, and from the lowest bit up the functions, the shift and the protection.
pub(crate) fn row_words(base: u64, blocks: u64, attached: u64, lba_shift: u64, write_protected: bool) -> [u64; 3] {
    [base, blocks, attached | lba_shift << 8 | u64::from(write_protected) << 12]
}

/// Writes a row of the table of namespaces.
fn write_row(bench: &mut Bench, nsid: u32, attached: u64, namespace: NamespaceInfo) {
    let protected = namespace.is_write_protected;
    write_row_words(bench, nsid, row_words(BASE, namespace.blocks, attached, lba_shift_of(nsid).into(), protected));
}

fn write_row_words(bench: &mut Bench, nsid: u32, row: [u64; 3]) {
    let port = bench.sim().port("namespace_row");
    bench.sim().poke(port, &row);
    bench.poke("namespace_index", u64::from(nsid - 1));
    bench.poke("namespace_write", 1);
    bench.clock();
    bench.poke("namespace_write", 0);
}

/// Rows hold anything until they are written.
fn write_no_rows(bench: &mut Bench) {
    for nsid in 1..=limits::NAMESPACES_MAX {
        write_row(bench, nsid, 0, NamespaceInfo { nsid, blocks: 0, is_write_protected: false });
    }
}

#[test]
fn every_entry_goes_where_the_specification_says() {
    for config in CONFIGS {
        let limits_of =
            |nsid: u32| Limits { lba_bytes: 1 << lba_shift_of(nsid), transfer_bytes_max: limits::TRANSFER_BYTES_MAX };
        // Those that the entries name: for all functions, for functions 0 and 2, and write protected.
        let rows = [(1, 0xFF, BLOCKS, false), (2, 0x05, BLOCKS + 9, false), (8, 0xFF, BLOCKS, true)];
        let info = |nsid, function: u64| {
            let row =
                rows.iter().find(|(row, attached, ..)| *row == nsid && function < 8 && attached >> function & 1 == 1);
            let (blocks, is_write_protected) = row.map_or((0, false), |(.., blocks, protected)| (*blocks, *protected));
            NamespaceInfo { nsid, blocks, is_write_protected }
        };
        under_all_stalls(&Decode::new(config), |bench, rng| {
            write_no_rows(bench);
            for (nsid, attached, blocks, is_write_protected) in rows {
                write_row(bench, nsid, attached, NamespaceInfo { nsid, blocks, is_write_protected });
            }
            let (mut commands, mut inbox, mut consumed) = (Vec::new(), Vec::new(), Vec::new());
            bench.poke("running", !0 >> (64 - config.queues()));
            for _ in 0..700 {
                let entry = any_entry(rng);
                // Functions that are there, so many more of the first that enough commands are of the fast path.
                let function = if rng.percent(20) { rng.below(config.functions.into()) } else { 0 };
                let sqid = rng.below(8);
                let item = bench.fields("fetched").set("sqid", sqid).set("function", function);
                bench.send("fetched", [item.set_words("entry", &words(&entry)).words()]);
                consumed.push(bench.fields("consumed").set("sqid", sqid).words());
                let namespace = info(entry.nsid.get(), function);
                let limits = limits_of(entry.nsid.get());
                match decode_io(&entry, &namespace, &limits) {
                    Ok(command) if sqid >= u64::from(config.functions) && is_fast_path(&entry, &namespace, &limits) => {
                        commands.push(command_of(bench, &entry, [sqid, function], command).words());
                    }
                    _ => {
                        let is_alone =
                            sqid >= u64::from(config.functions) && (entry.is_fused_compare() || entry.is_fused_write());
                        let known = is_alone.then_some(Status::MISSING_FUSED_COMMAND);
                        inbox.push(inbox_of(bench, &entry, [sqid, function], known).words());
                    }
                }
            }
            bench.run_until(20_000, |bench| bench.received("consumed").len() == consumed.len());
            bench.run(100);
            assert_eq!(bench.drain("consumed"), consumed);
            assert_eq!(bench.drain("command"), commands);
            assert_eq!(bench.drain("inbox"), inbox);
            assert!(commands.len() > 100 && inbox.len() > 100, "both kinds were there");
        });
    }
}

const WHOLE: NamespaceInfo = NamespaceInfo { nsid: 1, blocks: BLOCKS, is_write_protected: false };

/// Entries of one queue: pairs that are right or wrong in one place, halves of them, and others.
fn entries_of_queue(rng: &mut Rng, count: usize) -> Vec<SqEntry> {
    let mut entries = vec![];
    while entries.len() < count {
        let mut compare = SqEntry { opcode: io::COMPARE, flags: 1, ..Default::default() };
        compare.nsid.set(1);
        compare.cdw10[0].set(rng.below(BLOCKS) as u32);
        let mut write = SqEntry { opcode: io::WRITE, flags: 2, ..compare };
        for entry in [&mut compare, &mut write] {
            entry.cid.set(rng.next_u64() as u16);
            entry.prp.iter_mut().for_each(|prp| prp.set(rng.next_u64() & !3));
            match rng.below(24) {
                0 => entry.nsid.set(2),
                1 => entry.cdw10[0].set(entry.cdw(10) ^ 1 << rng.below(32)),
                2 => entry.cdw10[1].set(1),
                3 => entry.cdw10[2].set(1 << rng.below(16)),
                4 => entry.prp[0].set(entry.prp[0].get() | 2),
                5 => entry.flags |= 0x40,
                6 => entry.flags ^= 3,
                7 => entry.opcode = io::READ,
                8 => entry.cdw10[2].set(1 << 30),
                _ => {}
            }
        }
        match rng.below(20) {
            0 => [&mut compare, &mut write].map(|entry| entry.nsid.set(8)),
            1 => [&mut compare, &mut write].map(|entry| entry.cdw10[2].set(1)),
            2 => [&mut compare, &mut write].map(|entry| entry.cdw10[0].set(BLOCKS as u32)),
            _ => [(); 2],
        };
        match rng.below(8) {
            0 => entries.push(compare),
            1 => entries.push(write),
            2 => entries.push(SqEntry { flags: 0, ..compare }),
            _ => entries.extend([compare, write]),
        }
    }
    entries.truncate(count);
    entries
}

/// What must leave, in order.
#[derive(Default)]
struct Leaving {
    commands: Vec<Vec<u64>>,
    inbox: Vec<Vec<u64>>,
    consumed: Vec<Vec<u64>>,
    pairs: u32,
}

impl Leaving {
    fn inbox_gets(&mut self, bench: &Bench, entry: &SqEntry, queue: u64, known: Option<Status>) {
        self.inbox.push(inbox_of(bench, entry, [queue, 0], known).words());
        self.consumed.push(bench.fields("consumed").set("sqid", queue).words());
    }

    fn engine_gets(&mut self, bench: &Bench, entry: &SqEntry, queue: u64, command: IoCommand) {
        self.commands.push(command_of(bench, entry, [queue, 0], command).words());
        self.consumed.push(bench.fields("consumed").set("sqid", queue).words());
    }

    fn entry(&mut self, bench: &Bench, held: &mut Option<SqEntry>, entry: SqEntry, queue: u64, has_next: bool) {
        let limits = Limits::DEFAULT;
        let info = |entry: &SqEntry| {
            let nsid = entry.nsid.get();
            let blocks = if matches!(nsid, 1 | 8) { BLOCKS } else { 0 };
            NamespaceInfo { nsid, blocks, is_write_protected: nsid == 8 }
        };
        let missing = Some(Status::MISSING_FUSED_COMMAND);
        if let Some(compare) = held.take() {
            if entry.is_fused_write() {
                self.pairs += 1;
                match decode_fused([&compare, &entry], &info(&entry), &limits) {
                    Ok([compared, written]) => {
                        self.engine_gets(bench, &compare, queue, compared);
                        self.engine_gets(bench, &entry, queue, written);
                    }
                    Err(_) => [compare, entry].iter().for_each(|entry| self.inbox_gets(bench, entry, queue, None)),
                }
                return;
            }
            self.inbox_gets(bench, &compare, queue, missing);
        }
        if entry.is_fused_compare() && has_next {
            *held = Some(entry);
        } else if entry.is_fused_compare() || entry.is_fused_write() {
            self.inbox_gets(bench, &entry, queue, missing);
        } else {
            match decode_io(&entry, &info(&entry), &limits) {
                Ok(command) => self.engine_gets(bench, &entry, queue, command),
                Err(_) => self.inbox_gets(bench, &entry, queue, None),
            }
        }
    }
}

/// Queues in turns: the halves of a pair need not come one right after the other.
#[test]
fn a_compare_and_its_write_leave_together() {
    for config in CONFIGS {
        under_all_stalls(&Decode::new(config), |bench, rng| {
            write_no_rows(bench);
            for (nsid, is_write_protected) in [(1, false), (8, true)] {
                write_row(bench, nsid, 0xFF, NamespaceInfo { nsid, is_write_protected, ..WHOLE });
            }
            bench.poke("running", !0 >> (64 - config.queues()));
            let first = u64::from(config.functions);
            let mut queues: Vec<_> =
                (first..first + 4).map(|queue| (queue, entries_of_queue(rng, 150), None)).collect();
            queues.iter_mut().for_each(|(_, entries, _)| entries.reverse());
            let mut leaving = Leaving::default();
            while !queues.is_empty() {
                let at = rng.below(queues.len() as u64) as usize;
                let (queue, entries, held) = &mut queues[at];
                for _ in 0..=rng.below(4) {
                    let Some(entry) = entries.pop() else { break };
                    let has_next = !entries.is_empty();
                    let item = bench.fields("fetched").set("sqid", *queue).set("has_next", has_next);
                    bench.send("fetched", [item.set_words("entry", &words(&entry)).words()]);
                    leaving.entry(bench, held, entry, *queue, has_next);
                }
                if entries.is_empty() {
                    queues.swap_remove(at);
                }
            }
            bench.run_until(20_000, |bench| bench.received("consumed").len() == leaving.consumed.len());
            bench.run(100);
            assert_eq!(bench.drain("consumed"), leaving.consumed);
            assert_eq!(bench.drain("command"), leaving.commands);
            assert_eq!(bench.drain("inbox"), leaving.inbox);
            let fused = leaving.commands.len();
            assert!(leaving.pairs > 100 && fused > 100 && leaving.inbox.len() > 50, "all kinds were there");
        });
    }
}

/// Firmware takes a namespace away, or makes another one in its place, in any clock: the halves of a pair write and compare the same sectors.
#[test]
fn the_row_changes_between_a_compare_and_its_write() {
    for config in CONFIGS {
        let queue = u64::from(config.functions);
        let mut is_split = [false; 2];
        for clock in 0..16 {
            without_stalls(&Decode::new(config), |bench| {
                write_no_rows(bench);
                write_row(bench, 1, 0xFF, WHOLE);
                bench.poke("running", !0 >> (64 - config.queues()));
                bench.hold("command", true);
                for (opcode, flags) in [(io::COMPARE, 1), (io::WRITE, 2)] {
                    let entry = SqEntry { opcode, flags, nsid: 1.into(), ..Default::default() };
                    let item = bench.fields("fetched").set("sqid", queue).set("has_next", flags == 1);
                    bench.send("fetched", [item.set_words("entry", &words(&entry)).words()]);
                }
                bench.run(clock);
                let pair_comes = bench.peek("pair_comes");
                write_row_words(bench, 1, row_words(99, BLOCKS, 0xFF, 12, false));
                bench.hold("command", false);
                bench.run_until(100, |bench| bench.received("command").len() == 2);
                let commands = bench.drain_fields("command");
                let [compare, write] =
                    [0, 1].map(|half| ["sector", "bytes", "large_blocks"].map(|name| commands[half].get(name)));
                assert_eq!(compare, write, "after {clock} clocks");
                let is_old = compare[0] == BASE * 8;
                assert!(is_old || compare[0] == 99 * 8);
                assert!(is_old || pair_comes == 0, "the Write was still to come");
                is_split[usize::from(is_old)] = true;
            });
        }
        assert_eq!(is_split, [true; 2], "before and after");
    }
}

/// A Compare that waits for its Write goes with its queue and with the life of its function.
#[test]
fn a_compare_whose_write_does_not_come_is_thrown_away() {
    for (config, stops) in CONFIGS.into_iter().flat_map(|config| [(config, false), (config, true)]) {
        under_all_stalls(&Decode::new(config), |bench, _| {
            let queues = config.queues();
            let all = !0 >> (64 - queues);
            let (queue, function) = (u64::from(queues) - 1, u64::from(config.functions) - 1);
            bench.poke("running", all);
            for _ in 0..3 {
                let compare = SqEntry { opcode: io::COMPARE, flags: 1, ..Default::default() };
                let item = bench.fields("fetched").set("sqid", queue).set("function", function).set("has_next", 1u8);
                bench.send("fetched", [item.set_words("entry", &words(&compare)).words()]);
                bench.run(4 * u64::from(queues) + 50);
                assert_eq!(bench.pending("fetched") + bench.received("consumed").len(), 0, "it waits");
                if stops {
                    bench.poke("running", all & !(1 << queue));
                } else {
                    bench.poke("draining", 1 << function);
                }
                bench.run_until(20 * u64::from(queues), |bench| !bench.received("consumed").is_empty());
                bench.poke("running", all);
                bench.poke("draining", 0);
                bench.run(4 * u64::from(queues));
                let [consumed] = &bench.drain_fields("consumed")[..] else { panic!("it goes once") };
                assert_eq!((consumed.get("sqid"), consumed.get("dropped")), (queue, 1));
                assert_eq!(bench.received("command").len() + bench.received("inbox").len(), 0);
            }
        });
    }
}

#[test]
fn nothing_is_executed_in_a_namespace_that_is_not_attached() {
    under_all_stalls(&Decode::new(CONFIGS[1]), |bench, _| {
        let mut entry = SqEntry { opcode: io::FLUSH, ..Default::default() };
        entry.nsid.set(1);
        // Of another function, and without blocks.
        for (attached, blocks) in [(0b10, BLOCKS), (0b01, 0)] {
            write_row(bench, 1, attached, NamespaceInfo { nsid: 1, blocks, is_write_protected: false });
            let item = bench.fields("fetched").set("sqid", 1u8).set_words("entry", &words(&entry));
            bench.send("fetched", [item.words()]);
            bench.run_until(1000, |bench| bench.received("inbox").len() == 1);
            bench.drain("inbox");
            assert_eq!(bench.drain("command").len(), 0);
        }
    });
}

#[test]
fn what_cannot_be_read_or_comes_too_late_is_thrown_away() {
    let ways = [(0, 1), (1, 0), (1, 1)];
    for (config, (draining, error)) in CONFIGS.into_iter().flat_map(|config| ways.map(|way| (config, way))) {
        under_all_stalls(&Decode::new(config), |bench, rng| {
            let function = u64::from(config.functions) - 1;
            write_row(bench, 1, 0xFF, NamespaceInfo { nsid: 1, blocks: BLOCKS, is_write_protected: false });
            bench.poke("draining", draining << function);
            for _ in 0..20 {
                let item = bench.fields("fetched").set("sqid", 1u8).set("function", function).set("error", error as u8);
                bench.send("fetched", [item.set_words("entry", &words(&any_entry(rng))).words()]);
            }
            let mut errors = 0;
            while bench.received("consumed").len() < 20 {
                bench.clock();
                errors += bench.peek("host_error") >> function;
                assert!(bench.clocks() < 1000);
            }
            assert!(bench.drain_fields("consumed").iter().all(|item| item.get("dropped") == 1));
            assert_eq!((bench.drain("command").len(), bench.drain("inbox").len()), (0, 0));
            assert_eq!(errors, if draining == 0 { 20 } else { 0 });
        });
    }
}

#[test]
fn an_entry_leaves_in_every_second_clock() {
    without_stalls(&Decode::new(CONFIGS[1]), |bench| {
        let item = bench.fields("fetched").words();
        bench.send("fetched", vec![item; 50]);
        let start = bench.clocks();
        bench.run_until(1000, |bench| bench.received("inbox").len() == 50);
        assert!(bench.clocks() - start <= 2 * 50 + 4, "{} clocks", bench.clocks() - start);
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    CONFIGS.iter().for_each(|config| forgets_at_reset(&Decode::new(*config), &[], &[]));
    is_quiet_after_reset(&Decode::new(CONFIGS[1]), &["host_error"]);
}
