//! Log pages: group J.

use nvme_spec::firmware_port as port;
use nvme_spec::log::{ErrorLogEntry, FirmwareSlotLog, SmartLog};
use nvme_spec::opcode::io;
use nvme_spec::{SqEntry, Status};
use zerocopy::FromBytes;

use crate::bench::{command, get_log_page, identify, set_features, Bench};

fn error_entries(data: &[u8]) -> Vec<ErrorLogEntry> {
    data.chunks(64).map(|bytes| ErrorLogEntry::read_from_bytes(bytes).unwrap()).collect()
}

/// Every log page once, for rules that all have.
const PAGES: [(u32, u32); 6] = [(0, 1024), (1, 4096), (2, 512), (3, 512), (4, 4096), (5, 4096)];

/// J1: newest first, each with its command.
#[test]
fn errors_are_logged_newest_first() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    bench.refused(identify(0x77, 0), Status::INVALID_FIELD);
    let failed = SqEntry { cid: 0xBEEF.into(), ..command(io::READ, 1, &[0x10, 2, 7]) };
    bench.port().push_failed(1, Status::UNRECOVERED_READ_ERROR, failed);
    bench.polls(3);
    assert_eq!(bench.completions_of(1, 0xBEEF)[0].status, Status::UNRECOVERED_READ_ERROR);

    let data = bench.admin(get_log_page(1, 256)).data();
    assert_eq!(data.len(), 256);
    let [newest, older, unused, _] = error_entries(&data)[..] else { panic!("four entries") };
    assert_eq!((newest.error_count.get(), older.error_count.get()), (2, 1));
    assert_eq!((newest.sqid.get(), newest.cid.get(), newest.nsid.get()), (1, 0xBEEF, 1));
    assert_eq!(newest.lba.get(), 0x2_0000_0010);
    assert_eq!(newest.status_field.get() >> 1, Status::UNRECOVERED_READ_ERROR.raw());
    assert_eq!((older.sqid.get(), older.lba.get()), (0, 0));
    assert_eq!(older.status_field.get() >> 1, Status::INVALID_FIELD.with_dnr().raw());
    assert_eq!(unused.error_count.get(), 0);
}

/// J2: the oldest errors drop out; a reset does not forget.
#[test]
fn the_log_keeps_the_newest_errors() {
    let mut bench = Bench::ready();
    for _ in 0..70 {
        bench.refused(identify(0x77, 0), Status::INVALID_FIELD);
    }
    bench.reset();
    let entries = error_entries(&bench.admin(get_log_page(1, 4096)).data());
    let counts: Vec<_> = entries.iter().map(|entry| entry.error_count.get()).collect();
    assert_eq!(counts, (7..=70).rev().collect::<Vec<_>>());
}

/// J3: the counters of the hardware, in the units of the log page.
#[test]
fn smart_counts_what_the_hardware_counts() {
    let mut bench = Bench::ready();
    let port = bench.port();
    port.set_counter(&port::READ_COMMANDS, 0x1_0000_0002);
    port.set_counter(&port::WRITE_COMMANDS, 3);
    port.set_counter(&port::READ_SECTORS, 1001);
    port.set_counter(&port::WRITE_SECTORS, 0x10_0000_0000_0000);
    bench.refused(identify(0x77, 0), Status::INVALID_FIELD);
    let smart = SmartLog::read_from_bytes(&bench.admin(get_log_page(2, 512)).data()).unwrap();
    assert_eq!(smart.host_read_commands.get(), 0x1_0000_0002);
    assert_eq!(smart.host_write_commands.get(), 3);
    assert_eq!(smart.data_units_read.get(), 2, "rounded up");
    assert_eq!(smart.data_units_written.get(), 0x10_0000_0000_0000_u128.div_ceil(1000));
    assert!((273..=373).contains(&smart.composite_temperature.get()), "kelvin");
    assert_eq!(smart.critical_warning, 0);
    assert_eq!((smart.power_cycles.get(), smart.error_log_entries.get(), smart.media_errors.get()), (1, 1, 0));
    bench.admin(set_features(4, 300)).ok();
    let smart = SmartLog::read_from_bytes(&bench.admin(get_log_page(2, 512)).data()).unwrap();
    assert_eq!(smart.critical_warning, 2, "over temperature");
}

/// Errors of the medium are counted.
#[test]
fn smart_counts_media_errors() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    for status in [Status::UNRECOVERED_READ_ERROR, Status::WRITE_FAULT, Status::DATA_TRANSFER_ERROR] {
        bench.port().push_failed(1, status, command(io::READ, 1, &[]));
    }
    bench.polls(5);
    let smart = SmartLog::read_from_bytes(&bench.admin(get_log_page(2, 512)).data()).unwrap();
    assert_eq!((smart.media_errors.get(), smart.error_log_entries.get()), (2, 3));
}

/// J5: the firmware revision is that of Identify.
#[test]
fn the_firmware_slot_holds_the_revision() {
    let mut bench = Bench::ready();
    let log = FirmwareSlotLog::read_from_bytes(&bench.admin(get_log_page(3, 512)).data()).unwrap();
    let controller = bench.admin(identify(1, 0)).data();
    assert_eq!(log.afi & 7, 1);
    assert_eq!(log.frs[0], controller[64..72]);
}

/// J4: log pages are the controller's.
#[test]
fn namespaces_have_no_log_pages_of_their_own() {
    let mut bench = Bench::ready();
    for (lid, _) in PAGES {
        let mut entry = get_log_page(lid, 64);
        for (nsid, is_good) in [(0, true), (0xFFFF_FFFF, true), (1, false), (2, false)] {
            entry.nsid = nsid.into();
            match is_good {
                true => assert_eq!(bench.admin(entry).data().len(), 64),
                false => bench.refused(entry, Status::INVALID_FIELD),
            }
        }
    }
}

/// J9: as many bytes as asked for; zeroes behind the log page.
#[test]
fn lengths_are_exact() {
    let mut bench = Bench::ready();
    for (lid, page_bytes) in PAGES {
        let whole = bench.admin(get_log_page(lid, 4096)).data();
        assert_eq!(whole.len(), 4096);
        assert!(whole[page_bytes as usize..].iter().all(|byte| *byte == 0));
        for bytes in [4, 8, 64, 508, 512, 516] {
            assert_eq!(bench.admin(get_log_page(lid, bytes)).data(), whole[..bytes as usize]);
        }
        // Longer than everything: at most the buffer is sent, and beyond MDTS is an error.
        assert_eq!(bench.admin(get_log_page(lid, 8192)).data().len(), 4096);
        let mut entry = get_log_page(lid, 4);
        entry.cdw10[0] = (0xFFFF_0000 | lid).into();
        entry.cdw10[1] = 7.into();
        assert_eq!(bench.admin(entry).data().len(), 4096, "exactly 2 MiB");
        entry.cdw10[1] = 8.into();
        bench.refused(entry, Status::INVALID_FIELD);
        entry.cdw10[1] = 0xFFFF.into();
        bench.refused(entry, Status::INVALID_FIELD);
    }
}

/// J10: offsets.
#[test]
fn offsets_are_honoured() {
    let mut bench = Bench::ready();
    for (lid, page_bytes) in PAGES {
        bench.refused(identify(0x77, 0), Status::INVALID_FIELD);
        let whole = bench.admin(get_log_page(lid, 4096)).data();
        let at = |offset: u64| {
            let mut entry = get_log_page(lid, 64);
            entry.cdw10[2] = (offset as u32).into();
            entry.cdw10[3] = ((offset >> 32) as u32).into();
            entry
        };
        for offset in [0, 4, 64, 256] {
            let start = offset as usize;
            assert_eq!(bench.admin(at(offset)).data(), whole[start..start + 64]);
        }
        assert_eq!(bench.admin(at(u64::from(page_bytes))).data(), [0; 64]);
        for wrong in [1, 2, u64::from(page_bytes) + 4, 1 << 32, u64::MAX - 3] {
            bench.refused(at(wrong), Status::INVALID_FIELD);
        }
    }
}

/// J8, J11 and a data pointer that is wrong.
#[test]
fn what_is_not_there_is_refused() {
    let mut bench = Bench::ready();
    for lid in (0..=0xFF).filter(|lid| *lid > 5 && *lid != 0xC0) {
        bench.refused(get_log_page(lid, 64), Status::INVALID_LOG_PAGE);
    }
    for (lid, _) in PAGES {
        let mut entry = get_log_page(lid, 64);
        entry.prp[0] = 0x1001.into();
        bench.refused(entry, Status::INVALID_PRP_OFFSET);
    }
}

/// The PRPs describe what the host asked for, which may be more than is sent: then PRP2 points to a list although the data touches two pages.
/// NVMe Base, "Physical Region Page Entry and List".
#[test]
fn data_follows_the_list_of_a_long_request() {
    const FIRST: u64 = 0x10_0000;
    const SECOND: u64 = 0x20_0000;
    // PRP2 and the entries of the list: at the start of a page, and at its end, where the last entry points to the next list page.
    let short = (0x30_0000, vec![(0x30_0000, SECOND)]);
    let chained = (0x30_0FF8, vec![(0x30_0FF8, 0x40_0000), (0x40_0000, SECOND)]);
    for (prp2, entries) in [short, chained] {
        for offset in [4u64, 0x800, 4088, 4092] {
            let mut bench = Bench::ready();
            for _ in 0..64 {
                bench.refused(identify(0x77, 0), Status::INVALID_FIELD);
            }
            let whole = bench.admin(get_log_page(1, 4096)).data();
            bench.port().sent.clear();
            bench.port().lists = entries.iter().copied().collect();
            let mut entry = get_log_page(1, 8192);
            entry.prp = [(FIRST + offset).into(), prp2.into()];
            bench.port().push_command(0, SqEntry { cid: 0x51.into(), ..entry });
            bench.polls(40);
            assert_eq!(bench.completions_of(0, 0x51).len(), 1, "offset {offset}");
            assert_eq!(bench.completions_of(0, 0x51)[0].status, Status::SUCCESS);
            let sent = &bench.port().sent;
            let first = 4096 - offset as usize;
            assert_eq!(sent.len(), 2, "offset {offset}");
            assert_eq!((sent[0].prp[0], &sent[0].data[..]), (FIRST + offset, &whole[..first]));
            assert_eq!((sent[1].prp[0], &sent[1].data[..]), (SECOND, &whole[first..]));
        }
    }
}

/// A list that is no list: the PRP Offset is invalid.
#[test]
fn bad_lists_of_a_long_request_are_refused() {
    for (prp2, entry_there) in [(0x30_0004, 0x20_0000), (0x30_0000, 0x20_0008)] {
        let mut bench = Bench::ready();
        bench.port().lists.insert(prp2, entry_there);
        let mut entry = get_log_page(1, 8192);
        entry.prp = [0x10_0800.into(), prp2.into()];
        bench.port().push_command(0, SqEntry { cid: 0x51.into(), ..entry });
        bench.polls(40);
        let completions = bench.completions_of(0, 0x51);
        assert_eq!(completions.len(), 1);
        assert_eq!(completions[0].status, Status::INVALID_PRP_OFFSET.with_dnr());
    }
}

/// J8: the list of log pages agrees with what is really there.
#[test]
fn the_list_of_log_pages_is_honest() {
    let mut bench = Bench::ready();
    let list = bench.admin(get_log_page(0, 1024)).data();
    for lid in 0..=0xFF_u32 {
        let is_listed = list[lid as usize * 4] & 1 == 1;
        let done = bench.admin(get_log_page(lid, 4));
        assert_eq!(done.status.is_success(), is_listed, "log page {lid:#x}");
    }
}

/// J7: the effects log agrees with the opcodes that are really executed.
#[test]
fn the_effects_of_commands_are_those_of_the_commands_that_are_there() {
    for capabilities in [0, 1] {
        let mut bench = Bench::with(1, capabilities);
        bench.create_cq(1);
        bench.create_sq(1, 1);
        let log = bench.admin(get_log_page(5, 4096)).data();
        let effects = |at: usize| u32::from_le_bytes(log[at..at + 4].try_into().unwrap());
        for opcode in 0..=u8::MAX {
            let held = nvme_spec::opcode::admin::ASYNC_EVENT_REQUEST;
            // A wrong flag tells an opcode that is there from one that is not.
            let mut entry = command(opcode, 1, &[]);
            entry.flags = 3;
            let is_there = opcode == held || bench.admin(entry).status.code() != Status::INVALID_OPCODE;
            assert_eq!(effects(opcode as usize * 4) & 1 == 1, is_there, "admin {opcode:#x}");
            let is_there = bench.execute(1, entry).status.code() != Status::INVALID_OPCODE;
            assert_eq!(effects(1024 + opcode as usize * 4) & 1 == 1, is_there, "I/O {opcode:#x}");
        }
        assert_eq!(effects(1024 + 4), 3, "Write changes logical blocks");
        assert_eq!(log[2048..], [0; 2048]);
    }
}

/// The histograms of the queues that exist come from the hardware, and those of others are zero.
#[test]
fn latencies_are_those_of_the_queue() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(2, 1);
    let log = bench.admin(get_log_page(0xC0, 64 + 4 * 384)).data();
    let word = |at: usize| u32::from_le_bytes(log[at..at + 4].try_into().unwrap());
    assert_eq!([0, 4, 8, 12].map(word), [1, 4, 6, 16], "version, queues, phases, counters");
    assert_eq!(u64::from_le_bytes(log[16..24].try_into().unwrap()), 250_000_000);
    for counter in 0..96 {
        assert_eq!(word(64 + 4 * counter), 0, "queue 1 does not exist");
        assert_eq!(word(64 + 384 + 4 * counter), 2 << 16 | counter as u32);
    }
    // A piece that begins in the middle of a histogram.
    let mut entry = get_log_page(0xC0, 64);
    entry.cdw10[2] = (64 + 384 + 128).into();
    assert_eq!(bench.admin(entry).data(), log[64 + 384 + 128..][..64]);
}
