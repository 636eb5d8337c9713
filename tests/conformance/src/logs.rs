//! NVMe Base, "Get Log Page command".

use std::mem::size_of;

use nvme_spec::feature::notice;
use nvme_spec::identify::{lpa, oacs};
use nvme_spec::log::latency::{self, LatencyLog, QueueLatency};
use nvme_spec::log::{effects, lid, ErrorLogEntry, FirmwareSlotLog, SmartLog, DATA_UNIT_BYTES};
use nvme_spec::opcode::{admin, io};
use nvme_spec::{SqEntry, Status};
use sim_host::{cdw, Buffer, DriverError, Identity, IoTransfer, ListPlacement};

use crate::every_back_end;
use crate::expect::{
    assert_admin, assert_ends, assert_works, bring_up, flush, get_features, get_log_page, rounds, start, wire, Host,
};

const ERROR_ENTRY_BYTES: usize = size_of::<ErrorLogEntry>();

fn read_log(host: &mut Host<'_>, log_page: u8, bytes: usize, offset: u64) -> Result<Vec<u8>, DriverError> {
    let (completion, data) = host.admin_data(get_log_page(log_page, bytes as u32, offset, false), bytes)?;
    assert_ends(&completion, &[Status::SUCCESS], &format!("Get Log Page {log_page:#04x}"));
    Ok(data)
}

fn error_entries(host: &mut Host<'_>, count: usize) -> Result<Vec<ErrorLogEntry>, DriverError> {
    let data = read_log(host, lid::ERROR_INFORMATION, count * ERROR_ENTRY_BYTES, 0)?;
    Ok(data.chunks_exact(ERROR_ENTRY_BYTES).map(wire).collect())
}

fn smart(host: &mut Host<'_>) -> Result<SmartLog, DriverError> {
    Ok(wire(&read_log(host, lid::SMART, size_of::<SmartLog>(), 0)?))
}

/// "Error Information": count, queue, command, status, block and namespace of each error, newest first.
///
/// Cases: J1.
#[test]
fn errors_are_logged_newest_first() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let host = &mut running.host;
        let entries = usize::from(identity.controller.elpe) + 1;
        let first_count = error_entries(host, 1)?[0].error_count.get();
        let mut expected = Vec::new();
        for i in 0..3u64 {
            let lba = identity.blocks + i;
            let read = IoTransfer { write: false, nsid: identity.nsid, lba, blocks: 1 }.entry([0x5_0000_0000, 0]);
            let completion = host.execute(1, read, &[])?;
            assert_ends(&completion, &[Status::LBA_OUT_OF_RANGE], "Read beyond the end");
            expected.insert(0, (1, completion.cid, completion.status, lba, identity.nsid));
        }
        let log = error_entries(host, entries)?;
        for (i, (entry, (queue, cid, status, lba, nsid))) in log.iter().zip(&expected).enumerate() {
            assert_eq!(entry.error_count.get(), first_count + 3 - i as u64, "entry {i}");
            assert_eq!((entry.sqid.get(), entry.cid.get()), (*queue, *cid), "entry {i}");
            let logged = Status::from_raw(entry.status_field.get() >> 1);
            assert_eq!(logged.code(), status.code(), "entry {i}");
            assert_eq!((entry.lba.get(), entry.nsid.get()), (*lba, *nsid), "entry {i}");
        }
        let counts: Vec<u64> = log.iter().map(|e| e.error_count.get()).take_while(|count| *count > 0).collect();
        assert!(counts.windows(2).all(|pair| pair[0] > pair[1]), "{counts:?}");
        Ok(())
    });
}

/// "Error Information": ELPE + 1 entries; the oldest are dropped; unused ones have count 0.
///
/// Cases: J2.
#[test]
fn error_log_keeps_the_newest_entries() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let entries = usize::from(host.identity()?.controller.elpe) + 1;
        let before = error_entries(&mut host, entries)?;
        let used = before.iter().take_while(|entry| entry.error_count.get() > 0).count();
        assert!(before[used..].iter().all(|entry| entry.error_count.get() == 0), "unused entries");
        let errors = entries + 3;
        for _ in 0..errors {
            assert_admin(&mut host, get_features(0, 0), &[Status::INVALID_FIELD], "feature 00h");
        }
        let log = error_entries(&mut host, entries)?;
        let newest = before[0].error_count.get() + errors as u64;
        for (i, entry) in log.iter().enumerate() {
            assert_eq!(entry.error_count.get(), newest - i as u64, "entry {i}");
        }
        Ok(())
    });
}

/// "SMART / Health Information": data units of 1000 x 512 bytes, rounded up, and numbers of commands.
///
/// Cases: J3.
#[test]
fn smart_log_counts_reads_and_writes() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let before = smart(&mut running.host)?;
        assert!((250..400).contains(&before.composite_temperature.get()), "kelvin");
        assert!(before.power_cycles.get() >= 1);
        assert_eq!(before.media_errors.get(), 0);
        check_data_units(&mut running.host, &identity)
    });
}

/// "SMART / Health Information": if a logical block has another size than 512 bytes, the amount of data is converted.
///
/// Cases: J3.
#[test]
fn data_units_do_not_depend_on_the_format() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let old = running.identity;
        if old.controller.oacs.get() & oacs::FORMAT == 0 {
            return Ok(());
        }
        for number in (0..=old.namespace.nlbaf).rev() {
            let format = SqEntry {
                opcode: admin::FORMAT_NVM,
                nsid: old.nsid.into(),
                cdw10: cdw([number.into(), 0, 0, 0, 0, 0]),
                ..SqEntry::default()
            };
            running.host.admin("Format NVM", format)?;
            let identity = running.host.identity()?;
            assert_eq!(identity.lba_bytes, 1 << old.namespace.lbaf[usize::from(number)].lbads);
            check_data_units(&mut running.host, &identity)?;
        }
        Ok(())
    });
}

/// Writes and reads some data units, and looks at what the log says of them.
fn check_data_units(host: &mut Host<'_>, identity: &Identity) -> Result<(), DriverError> {
    let before = smart(host)?;
    // Three data units each way, in large commands.
    let blocks = 100u32;
    let commands = 3 * DATA_UNIT_BYTES / (u64::from(blocks) * u64::from(identity.lba_bytes));
    let commands = commands.min(rounds(host, 1000, 30).into());
    for write in [true, false] {
        for i in 0..commands {
            let mut buffer = Buffer::contiguous(host.host(), 0, (blocks * identity.lba_bytes) as usize);
            buffer.store(host.host(), &vec![i as u8; buffer.bytes()]);
            let transfer = IoTransfer { write, nsid: identity.nsid, lba: i * u64::from(blocks), blocks };
            let cid = host.submit_transfer(1, transfer, &mut buffer, ListPlacement::PAGE_START)?;
            let completion = host.wait(1, cid)?;
            assert_ends(&completion, &[Status::SUCCESS], "Read or Write");
            buffer.free(host.host());
        }
    }
    let after = smart(host)?;
    let moved = commands * u64::from(blocks) * u64::from(identity.lba_bytes);
    for (what, before, after) in [
        ("read", before.data_units_read, after.data_units_read),
        ("written", before.data_units_written, after.data_units_written),
    ] {
        let units = after.get() - before.get();
        let expected = u128::from(moved / DATA_UNIT_BYTES);
        assert!((expected..=expected + 1).contains(&units), "{units} units {what} instead of {expected}");
    }
    assert_eq!(after.host_read_commands.get() - before.host_read_commands.get(), commands.into());
    assert_eq!(after.host_write_commands.get() - before.host_write_commands.get(), commands.into());
    Ok(())
}

/// "Log Page Attributes", bit 0: without it the log is not kept per namespace.
///
/// Cases: J4.
#[test]
fn smart_log_belongs_to_the_controller() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let per_namespace = host.identity()?.controller.lpa & 1 == 1;
        let bytes = size_of::<SmartLog>();
        for nsid in [0, 0xFFFF_FFFF, 1] {
            let entry = SqEntry { nsid: nsid.into(), ..get_log_page(lid::SMART, bytes as u32, 0, false) };
            let (completion, _) = host.admin_data(entry, bytes)?;
            let allowed = if nsid == 1 && !per_namespace { Status::INVALID_FIELD } else { Status::SUCCESS };
            assert_ends(&completion, &[allowed], &format!("SMART of NSID {nsid:#x}"));
        }
        Ok(())
    });
}

/// "Firmware Slot Information": the active slot holds the revision that Identify Controller shows.
///
/// Cases: J5.
#[test]
fn firmware_slot_log_agrees_with_identify_controller() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let identity = host.identity()?;
        let log: FirmwareSlotLog = wire(&read_log(&mut host, lid::FIRMWARE_SLOT, size_of::<FirmwareSlotLog>(), 0)?);
        let active = log.afi & 7;
        let slots = identity.controller.frmw >> 1 & 7;
        assert!((1..=slots).contains(&active), "slot {active} of {slots}");
        assert_eq!(log.frs[usize::from(active) - 1], identity.controller.fr);
        Ok(())
    });
}

/// "Number of Dwords": exactly so many bytes are written; beyond the end of the page they are zero, or are not written.
///
/// Cases: J9.
#[test]
fn log_data_has_exactly_the_length_asked_for() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let page = read_log(&mut host, lid::FIRMWARE_SLOT, 512, 0)?;
        // What lies behind the buffer is guarded: a byte too many is noticed.
        for bytes in [4, 8, 12, 60, 64, 100, 508] {
            assert_eq!(read_log(&mut host, lid::FIRMWARE_SLOT, bytes, 0)?, page[..bytes], "{bytes} bytes");
        }
        for bytes in [516, 1024, 4096, 8192] {
            let mut buffer = Buffer::contiguous(host.host(), 0x800, bytes);
            buffer.store(host.host(), &vec![0x77; bytes]);
            let prp = buffer.prps(host.host(), ListPlacement::PAGE_START);
            let entry = get_log_page(lid::FIRMWARE_SLOT, bytes as u32, 0, false);
            let entry = SqEntry { prp: sim_host::wire_prps(prp), ..entry };
            let completion = host.execute(0, entry, buffer.segments())?;
            assert_ends(&completion, &[Status::SUCCESS], &format!("{bytes} bytes"));
            let data = buffer.load(host.host());
            assert_eq!(data[..512], page, "{bytes} bytes");
            // A controller may fill some of what is behind the page with zeroes and leave the rest as it was.
            let filled = data[512..].iter().take_while(|byte| **byte == 0).count();
            assert!(data[512 + filled..].iter().all(|byte| *byte == 0x77), "{bytes} bytes: what is behind the page");
        }
        Ok(())
    });
}

/// "Log Page Offset": a multiple of 4, inside the page; without LPA, bit 2, there is no offset.
///
/// Cases: J10.
#[test]
fn log_offsets_are_checked() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let has_offsets = host.identity()?.controller.lpa & nvme_spec::identify::lpa::EXTENDED_DATA != 0;
        let page = read_log(&mut host, lid::FIRMWARE_SLOT, 512, 0)?;
        let refused = &[Status::INVALID_FIELD];
        if !has_offsets {
            let entry = get_log_page(lid::FIRMWARE_SLOT, 4, 4, false);
            assert_admin(&mut host, entry, refused, "an offset without the capability");
            return assert_works(&mut host);
        }
        for offset in [4, 8, 64, 256, 508] {
            let bytes = 512 - offset;
            assert_eq!(
                read_log(&mut host, lid::FIRMWARE_SLOT, bytes, offset as u64)?,
                page[offset..],
                "offset {offset}"
            );
        }
        for offset in [1, 2, 6, 516, 1 << 20, 1 << 40] {
            let entry = get_log_page(lid::FIRMWARE_SLOT, 4, offset, false);
            assert_admin(&mut host, entry, refused, &format!("offset {offset:#x}"));
        }
        assert_works(&mut host)
    });
}

/// "Log Page Identifier": reserved ones.
///
/// Cases: J11.
#[test]
fn unknown_log_pages_are_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for log_page in [0x20, 0x6F, 0x7F, 0xBF, 0xC1, 0xFF] {
            let allowed = &[Status::INVALID_LOG_PAGE, Status::INVALID_FIELD];
            assert_admin(
                &mut host,
                get_log_page(log_page, 512, 0, false),
                allowed,
                &format!("log page {log_page:#04x}"),
            );
        }
        assert_works(&mut host)
    });
}

/// "Log Page Identifier": Commands Supported, Changed Namespace List, and, which nothing announces, Self-test, telemetry, endurance, ANA, LBA
/// status, reservations, Sanitize.
///
/// Cases: J8.
#[test]
fn optional_log_pages_are_there_only_if_announced() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let controller = host.identity()?.controller;
        // LPA: telemetry is bit 3.
        assert_eq!(controller.lpa & 0b1000, 0, "extend this test when it is supported");
        let optional = [
            (lid::COMMANDS_SUPPORTED_AND_EFFECTS, controller.lpa & lpa::EFFECTS != 0),
            (lid::SUPPORTED_LOG_PAGES, controller.lpa & lpa::SUPPORTED_LOG_PAGES != 0),
            (lid::SANITIZE_STATUS, controller.sanicap.get() & 7 != 0),
            (lid::CHANGED_NAMESPACES, controller.oaes.get() & notice::NAMESPACE_ATTRIBUTE != 0),
        ];
        for (log_page, is_announced) in optional {
            if is_announced {
                read_log(&mut host, log_page, 512, 0)?;
            } else {
                let entry = get_log_page(log_page, 512, 0, false);
                assert_admin(&mut host, entry, &[Status::INVALID_LOG_PAGE], &format!("log page {log_page:#04x}"));
            }
        }
        for log_page in [0x06, 0x07, 0x08, 0x09, 0x0C, 0x0E, 0x80] {
            let allowed = &[Status::INVALID_LOG_PAGE, Status::INVALID_FIELD];
            assert_admin(
                &mut host,
                get_log_page(log_page, 512, 0, false),
                allowed,
                &format!("log page {log_page:#04x}"),
            );
        }
        assert_works(&mut host)
    });
}

/// "Supported Log Pages": exactly those that can be read.
#[test]
fn supported_log_pages_are_those_that_can_be_read() {
    every_back_end(|device| {
        let mut host = start(device)?;
        if host.identity()?.controller.lpa & lpa::SUPPORTED_LOG_PAGES == 0 {
            return Ok(());
        }
        let list = read_log(&mut host, lid::SUPPORTED_LOG_PAGES, 1024, 0)?;
        for log_page in (0..=u8::MAX).step_by(3).chain(0..=8).chain([0xC0, 0xC1]) {
            let is_listed = list[usize::from(log_page) * 4] & 1 == 1;
            let (completion, _) = host.admin_data(get_log_page(log_page, 4, 0, true), 4)?;
            assert_eq!(completion.status.is_success(), is_listed, "log page {log_page:#04x}");
        }
        Ok(())
    });
}

/// "Commands Supported and Effects": a command is supported exactly if it is not refused by Invalid Command Opcode.
///
/// Cases: J7.
#[test]
fn effects_log_names_the_commands_that_are_there() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let host = &mut running.host;
        if host.identity()?.controller.lpa & lpa::EFFECTS == 0 {
            return Ok(());
        }
        let log = read_log(host, lid::COMMANDS_SUPPORTED_AND_EFFECTS, 4096, 0)?;
        let effects = |at: usize| u32::from_le_bytes([log[at], log[at + 1], log[at + 2], log[at + 3]]);
        let io_at = |opcode: u8| effects::IO_OFFSET as usize + usize::from(opcode) * 4;
        for opcode in 0..=u8::MAX {
            // The fuse bits are wrong in every admin command, and in every I/O command but fused ones.
            let entry = SqEntry { opcode, flags: 3, ..SqEntry::default() };
            for (queue, at) in [(0, usize::from(opcode) * 4), (1, io_at(opcode))] {
                let completion = host.execute(queue, entry, &[])?;
                let is_there = completion.status.code() != Status::INVALID_OPCODE;
                assert_eq!(effects(at) & effects::SUPPORTED == 1, is_there, "opcode {opcode:#04x} of queue {queue}");
            }
        }
        assert_ne!(effects(io_at(io::WRITE)) & effects::LOGICAL_BLOCKS, 0);
        assert_eq!(effects(io_at(io::READ)) & effects::LOGICAL_BLOCKS, 0);
        assert_eq!(effects(usize::from(admin::IDENTIFY) * 4), effects::SUPPORTED);
        Ok(())
    });
}

/// `nvme_spec::log::latency`: every command that ended without error is counted once in each phase, in the histograms of its queue.
#[test]
fn latency_log_counts_each_command_once_in_each_phase() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let counted = |host: &mut Host<'_>, queue: u16| -> Result<Vec<u64>, DriverError> {
            let at = size_of::<LatencyLog>() + usize::from(queue - 1) * size_of::<QueueLatency>();
            let log: QueueLatency = wire(&read_log(host, lid::LATENCY, size_of::<QueueLatency>(), at as u64)?);
            Ok(log.phases.iter().map(|phase| phase.iter().map(|count| u64::from(count.get())).sum()).collect())
        };
        let queues = running.queues;
        let host = &mut running.host;
        let mut data = vec![0xA5; 3 * identity.lba_bytes as usize];
        for lba in 0..4 {
            host.write(&identity, lba, &data)?;
            host.read(&identity, lba, &mut data)?;
        }
        host.flush(&identity)?;
        assert_eq!(counted(host, 1)?, [9; 6], "four writes, four reads and a flush");
        // What fails is not counted.
        let beyond = IoTransfer { write: false, nsid: identity.nsid, lba: identity.blocks, blocks: 1 };
        let completion = host.execute(1, beyond.entry([0x5_0000_0000, 0]), &[])?;
        assert_ends(&completion, &[Status::LBA_OUT_OF_RANGE], "Read beyond the end");
        assert_eq!(counted(host, 1)?, [9; 6]);
        for other in 2..=queues {
            assert_eq!(counted(host, other)?, [0; 6], "queue {other} has done nothing");
        }
        for other in 2..=queues {
            for _ in 0..other {
                host.execute(other, flush(identity.nsid), &[])?;
            }
        }
        for other in 2..=queues {
            assert_eq!(counted(host, other)?, [u64::from(other); 6], "queue {other} has its own histograms");
        }
        assert_eq!(counted(host, 1)?, [9; 6]);
        // The counters go with the queue.
        host.delete_submission_queue(1)?;
        host.create_submission_queue(1, 16, 1)?;
        assert_eq!(counted(host, 1)?, [0; 6], "the queue is new");
        Ok(())
    });
}

/// `nvme_spec::log::latency`: a histogram for each phase of each queue, as the head of the page says.
#[test]
fn latency_log_has_the_layout_that_its_head_tells() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let queues = u32::from(running.queues);
        let host = &mut running.host;
        let head: LatencyLog = wire(&read_log(host, lid::LATENCY, size_of::<LatencyLog>(), 0)?);
        assert_eq!((head.version.get(), head.phases.get(), head.buckets.get()), (latency::VERSION, 6, 16));
        assert!(head.queues.get() >= queues);
        assert!(head.clock.get() > 0);
        let later: LatencyLog = wire(&read_log(host, lid::LATENCY, size_of::<LatencyLog>(), 0)?);
        assert!(later.clock.get() > head.clock.get(), "the clock goes on");
        let bytes = size_of::<LatencyLog>() + head.queues.get() as usize * size_of::<QueueLatency>();
        let last = (bytes - size_of::<QueueLatency>()) as u64;
        read_log(host, lid::LATENCY, size_of::<QueueLatency>(), last)?;
        let beyond = get_log_page(lid::LATENCY, 4, bytes as u64 + 4, false);
        assert_admin(host, beyond, &[Status::INVALID_FIELD], "an offset beyond the page");
        Ok(())
    });
}
