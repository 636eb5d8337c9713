//! The running block, compared with `nvme_spec::decode` entry by entry.

use super::Decode;
use crate::testing::{
    forgets_at_reset, is_quiet_after_reset, under_all_stalls, without_stalls, FUNCTION_CONFIGS as CONFIGS,
};
use crate::types::{Operation, Target};
use crate::Config;
use nvme_spec::opcode::io;
use nvme_spec::{decode_io, limits, IoCommand, Limits, NamespaceInfo, SqEntry};
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
    entry.opcode = *rng.pick(&[io::FLUSH, io::WRITE, io::READ]);
    entry.flags &= 0x3C;
    entry.nsid.set(1);
    entry.prp[0].set(entry.prp[0].get() & !3);
    let blocks = *rng.pick(&[1, 8, 256, 512, 513, 4096, 4097]);
    entry.cdw10[0].set(rng.below(BLOCKS - 65_536) as u32);
    entry.cdw10[1].set(0);
    entry.cdw10[2].set(entry.cdw10[2].get() & !0xFFFF | (blocks - 1));
    match rng.below(12) {
        0 => entry.opcode = rng.next_u64() as u8,
        1 => entry.flags = rng.next_u64() as u8,
        2 => entry.nsid.set(*rng.pick(&[0, 2, 1 << 31, limits::NSID_BROADCAST])),
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
fn command_of(
    bench: &Bench,
    entry: &SqEntry,
    config: Config,
    [sqid, function]: [u64; 2],
    command: IoCommand,
) -> Fields {
    let item = bench
        .fields("command")
        .set("sqid", sqid)
        .set("function", function)
        .set("cid", entry.cid.get())
        .set("opcode", entry.opcode);
    let item = item.set("nsid", entry.nsid.get()).set("target", Target::Storage.code());
    let item = item.set("prp1", entry.prp[0].get()).set("prp2", entry.prp[1].get());
    let (operation, transfer) = match command {
        IoCommand::Flush => (Operation::Flush, None),
        IoCommand::Write(transfer) => (Operation::Write, Some(transfer)),
        IoCommand::Read(transfer) => (Operation::Read, Some(transfer)),
    };
    let lba = u64::from(entry.cdw(11)) << 32 | u64::from(entry.cdw(10));
    let blocks = transfer.map_or(0, |transfer| transfer.range.blocks());
    let item = item.set("operation", operation.code()).set("lba", lba).set("blocks", blocks);
    item.set("bytes", blocks * config.lba_bytes).set("fua", entry.cdw(12) >> 30 & 1)
}

#[test]
fn every_entry_goes_where_the_specification_says() {
    for config in CONFIGS {
        let limits = Limits { lba_bytes: config.lba_bytes, transfer_bytes_max: limits::TRANSFER_BYTES_MAX };
        let namespace = NamespaceInfo { nsid: limits::NSID, blocks: BLOCKS };
        under_all_stalls(&Decode::new(config), |bench, rng| {
            bench.poke("namespace_blocks", BLOCKS);
            let (mut commands, mut inbox, mut consumed) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..400 {
                let entry = any_entry(rng);
                let (sqid, function) = (rng.below(8), rng.below(config.functions.into()));
                let item = bench.fields("fetched").set("sqid", sqid).set("function", function);
                bench.send("fetched", [item.set_words("entry", &words(&entry)).words()]);
                consumed.push(bench.fields("consumed").set("sqid", sqid).words());
                match decode_io(&entry, &namespace, &limits) {
                    Ok(command) if sqid >= u64::from(config.functions) => {
                        commands.push(command_of(bench, &entry, config, [sqid, function], command).words());
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
        let item = bench.fields("fetched").set("sqid", 1u8).set_words("entry", &words(&entry));
        bench.send("fetched", [item.words()]);
        bench.run_until(100, |bench| bench.received("inbox").len() == 1);
        assert_eq!(bench.drain("command").len(), 0);
    });
}

#[test]
fn what_cannot_be_read_or_comes_too_late_is_thrown_away() {
    let ways = [(0, 1), (1, 0), (1, 1)];
    for (config, (draining, error)) in CONFIGS.into_iter().flat_map(|config| ways.map(|way| (config, way))) {
        under_all_stalls(&Decode::new(config), |bench, rng| {
            bench.poke("namespace_blocks", BLOCKS);
            let function = u64::from(config.functions) - 1;
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
