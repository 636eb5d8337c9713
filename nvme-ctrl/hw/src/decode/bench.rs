//! The running block, compared with `nvme_spec::decode` entry by entry.

use super::Decode;
use crate::testing::{
    forgets_at_reset, is_quiet_after_reset, under_all_stalls, without_stalls, FUNCTION_CONFIGS as CONFIGS,
};
use crate::types::{Operation, Target};
use nvme_spec::opcode::io;
use nvme_spec::sgl::PSDT_SGL;
use nvme_spec::{decode_io, is_fast_path, limits, IoCommand, Limits, NamespaceInfo, SqEntry};
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
    entry.opcode = *rng.pick(&[io::FLUSH, io::WRITE, io::READ, io::COMPARE, io::WRITE_ZEROES, io::VERIFY]);
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
        IoCommand::WriteZeroes(_) => Operation::WriteZeroes,
        IoCommand::Verify(_) => Operation::Verify,
    };
    let lba = u64::from(entry.cdw(11)) << 32 | u64::from(entry.cdw(10));
    let blocks = command.range().map_or(0, |range| range.blocks());
    let item = item.set("operation", operation.code()).set("lba", lba).set("blocks", blocks);
    let shift = lba_shift_of(entry.nsid.get());
    let sector = BASE.wrapping_mul(8).wrapping_add(lba << (shift - 9));
    let item = item.set("sector", sector).set("large_blocks", u8::from(shift == 12));
    item.set("bytes", blocks << shift).set("fua", entry.cdw(12) >> 30 & 1)
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
    let row = row_words(BASE, namespace.blocks, attached, lba_shift_of(nsid).into(), namespace.is_write_protected);
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
                        let item = bench.fields("inbox").set("sqid", sqid).set("function", function);
                        inbox.push(item.set_words("entry", &words(&entry)).words());
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
