//! NVM Command Set, "NVM Command Set Commands"; NVMe Base, "Physical Region Page Entry and List".

use std::collections::BTreeMap;

use nvme_spec::identify::{cns, oncs, NvmIdentifyController, FUSES_COMPARE_AND_WRITE};
use nvme_spec::opcode::io;
use nvme_spec::{SqEntry, Status};
use sim_device::{Random, PAGE_BYTES};
use sim_host::{
    blocks_entry, identify_entry, wire_prps, with_sgl, Buffer, DriverError, Identity, IoTransfer, ListPlacement,
};

use crate::expect::{
    assert_ends, assert_io, assert_works, bring_up, data, flush, rounds, start, transfer, wire, Host, Running,
};
use crate::{every_back_end, seed, Outcome};

/// An address where the host has no memory.
const NOWHERE: u64 = 7 << 48;

/// What every block is expected to hold.
type Shadow = BTreeMap<u64, Vec<u8>>;

/// One Read or Write in flight.
struct InFlight {
    lba: u64,
    blocks: u32,
    is_write: bool,
    buffer: Buffer,
}

/// "Read command" and "Write command": all sizes, alignments and shapes of buffers, many in flight on all queues.
///
/// Cases: K1, X1.
#[test]
fn data_is_read_back_as_it_was_written() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let mut random = Random::new(seed());
        let mut shadow = Shadow::new();
        let span = identity.blocks.min(600);
        let starts = [0, identity.blocks - span];
        let mut flight: BTreeMap<(u16, u16), InFlight> = BTreeMap::new();
        let mut commands = rounds(&mut running.host, 1500, 150);
        loop {
            while let Some(completion) = running.host.next_completion() {
                assert_ends(&completion, &[Status::SUCCESS], "Read or Write");
                let ended =
                    flight.remove(&(completion.queue, completion.cid)).expect("the driver knows what is in flight");
                if !ended.is_write {
                    check_blocks(&mut running.host, &identity, &ended, &shadow);
                }
                ended.buffer.free(running.host.host());
            }
            if commands == 0 && flight.is_empty() {
                return Ok(());
            }
            let queue = random.between(1, running.queues.into()) as u16;
            if commands > 0 && flight.len() < 40 && !running.host.is_full(queue) {
                commands -= 1;
                let blocks = random_size(&mut random, &identity).min(span as u32);
                let lba = *random.pick(&starts) + random.below(span - u64::from(blocks) + 1);
                let is_write = random.below(2) == 0;
                // Commands that overlap have no defined order: wait for those that do.
                let overlaps = |f: &InFlight| {
                    (f.is_write || is_write) && f.lba < lba + u64::from(blocks) && lba < f.lba + u64::from(f.blocks)
                };
                if !flight.values().any(overlaps) {
                    let new = start_transfer(&mut running, &mut random, &mut shadow, queue, lba, blocks, is_write)?;
                    flight.insert((queue, new.0), new.1);
                }
            }
            running.host.device().step(random.below(40) as u32);
            running.host.poll()?;
            // Nothing stands still for long: the bounded wait of the driver watches over it.
            if commands == 0 || flight.len() >= 40 {
                let before = running.host.in_flight();
                running.host.wait_until("a completion", |h| h.in_flight() < before || before == 0)?;
            }
        }
    });
}

/// Mostly small, sometimes a long list.
fn random_size(random: &mut Random, identity: &Identity) -> u32 {
    match random.below(10) {
        0..=3 => random.between(1, 8) as u32,
        4..=7 => random.between(1, 40) as u32,
        8 => (PAGE_BYTES as u32 / identity.lba_bytes) * random.between(1, 16) as u32,
        _ => random.between(40, 300) as u32,
    }
}

fn start_transfer(
    running: &mut Running<'_>,
    random: &mut Random,
    shadow: &mut Shadow,
    queue: u16,
    lba: u64,
    blocks: u32,
    is_write: bool,
) -> Result<(u16, InFlight), DriverError> {
    let identity = running.identity;
    let bytes = (blocks * identity.lba_bytes) as usize;
    // Any dword may be the first one.
    let offset = *random.pick(&[0, 0, 4, 0x200, 0xE00, 0xFFC]);
    let host = running.host.host();
    let mut buffer = if random.below(2) == 0 {
        Buffer::contiguous(host, offset, bytes)
    } else {
        Buffer::scattered(host, offset, bytes)
    };
    if is_write {
        let content = data(random.next_u64(), bytes);
        buffer.store(host, &content);
        for (i, block) in content.chunks_exact(identity.lba_bytes as usize).enumerate() {
            shadow.insert(lba + i as u64, block.to_vec());
        }
    }
    // Lists that begin close to the end of their page chain early.
    let list = *random.pick(&[0, 8, 0x800, PAGE_BYTES - 32, PAGE_BYTES - 16, PAGE_BYTES - 8]);
    let list = ListPlacement { offset: if list == PAGE_BYTES - 8 && buffer.segments().len() < 4 { 0 } else { list } };
    let request = IoTransfer { write: is_write, nsid: identity.nsid, lba, blocks };
    let cid = if random.below(2) == 0 {
        let entry = with_sgl(request.entry([0, 0]), buffer.sgl(host, random.between(2, 12) as usize, list.offset));
        let writable = if is_write { &[] } else { buffer.segments() };
        running.host.submit(queue, entry, writable)?
    } else {
        running.host.submit_transfer(queue, request, &mut buffer, list)?
    };
    Ok((cid, InFlight { lba, blocks, is_write, buffer }))
}

fn check_blocks(host: &mut Host<'_>, identity: &Identity, read: &InFlight, shadow: &Shadow) {
    let content = read.buffer.load(host.host());
    let zeroes = vec![0; identity.lba_bytes as usize];
    for (lba, block) in (read.lba..).zip(content.chunks_exact(identity.lba_bytes as usize)) {
        let expected = shadow.get(&lba).unwrap_or(&zeroes);
        assert!(block == &expected[..], "block {lba} of a Read of {} blocks from {}", read.blocks, read.lba);
    }
}

/// "LBA Out of Range": the last block is the last one, without overflow, and nothing is written.
///
/// Cases: K2.
#[test]
fn ranges_end_at_the_end_of_the_namespace() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let end = identity.blocks;
        let last = data(seed(), identity.lba_bytes as usize);
        running.host.write(&identity, end - 1, &last)?;
        for (lba, blocks) in [(end - 1, 2), (end, 1), (end - 8, 9), (u64::MAX, 1), (u64::MAX - 7, 8), (1 << 63, 1)] {
            for write in [false, true] {
                let (entry, buffer) = transfer(&mut running.host, &identity, lba, blocks, write);
                let what = format!("{blocks} blocks from {lba:#x} of {end:#x}");
                assert_io(&mut running.host, entry, &[], &[Status::LBA_OUT_OF_RANGE], &what);
                buffer.free(running.host.host());
            }
        }
        let mut back = vec![0; last.len()];
        running.host.read(&identity, end - 1, &mut back)?;
        assert_eq!(back, last);
        let mut tail = vec![0; 8 * last.len()];
        running.host.read(&identity, end - 8, &mut tail)?;
        assert_eq!(tail[7 * last.len()..], last);
        Ok(())
    });
}

/// "Maximum Data Transfer Size": exactly that much, and one block more.
///
/// Cases: K3.
#[test]
fn transfers_are_bound_by_mdts() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let blocks =
            (identity.transfer_bytes_max() / u64::from(identity.lba_bytes)).min(65536).min(identity.blocks) as u32;
        let content = data(seed(), (blocks * identity.lba_bytes) as usize);
        running.host.write(&identity, 0, &content)?;
        let mut back = vec![0; content.len()];
        running.host.read(&identity, 0, &mut back)?;
        assert!(back == content, "{blocks} blocks");
        let is_bound = u64::from(blocks) * u64::from(identity.lba_bytes) == identity.transfer_bytes_max();
        if is_bound && blocks < 65536 && u64::from(blocks) < identity.blocks {
            for write in [false, true] {
                let (entry, buffer) = transfer(&mut running.host, &identity, 0, blocks + 1, write);
                assert_io(&mut running.host, entry, &[], &[Status::INVALID_FIELD], "one block above MDTS");
                buffer.free(running.host.host());
            }
        }
        assert_works(&mut running.host)
    });
}

/// "Namespace Identifiers": 0, above NN, and all of them.
///
/// Cases: K4.
#[test]
fn namespaces_that_are_not_there_are_refused() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let namespaces = identity.controller.nn.get();
        for nsid in [0, namespaces + 1, 0xFFFF_FFFE, 0xFFFF_FFFF] {
            for write in [false, true] {
                let (entry, buffer) = transfer(&mut running.host, &identity, 0, 1, write);
                let entry = SqEntry { nsid: nsid.into(), ..entry };
                let refused: &[Status] = match nsid {
                    0xFFFF_FFFF => &[Status::INVALID_FIELD, Status::INVALID_NAMESPACE],
                    _ => &[Status::INVALID_NAMESPACE],
                };
                assert_io(&mut running.host, entry, &[], refused, &format!("NSID {nsid:#x}"));
                buffer.free(running.host.host());
            }
            if nsid != 0xFFFF_FFFF {
                let what = format!("Flush of NSID {nsid:#x}");
                assert_io(&mut running.host, flush(nsid), &[], &[Status::INVALID_NAMESPACE], &what);
            }
        }
        assert_works(&mut running.host)
    });
}

/// Command dword 12 of Read and Write: Force Unit Access.
const FORCE_UNIT_ACCESS: u32 = 1 << 30;

fn with_fua(mut entry: SqEntry) -> SqEntry {
    entry.cdw10[2] = (entry.cdw(12) | FORCE_UNIT_ACCESS).into();
    entry
}

/// Stops the controller in the middle of things, and brings it up again.
fn reset_abruptly(running: Running<'_>) -> Result<Running<'_>, DriverError> {
    let mut host = running.host;
    host.device().function_level_reset(0);
    host.wait_until("CSTS.RDY = 0", |h| h.csts() & 1 == 0)?;
    host.now_disabled();
    crate::expect::bring_up_with(host)
}

/// "Write command", FUA: the data is on the medium when the command completes. A Read with FUA sees it.
///
/// Cases: K5.
#[test]
fn fua_writes_survive_an_abrupt_reset() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let content = data(seed(), 3 * identity.lba_bytes as usize);
        let (entry, buffer) = transfer(&mut running.host, &identity, 11, 3, true);
        buffer.store(running.host.host(), &content);
        assert_io(&mut running.host, with_fua(entry), &[], &[Status::SUCCESS], "Write with FUA");
        let mut running = reset_abruptly(running)?;
        let (entry, buffer) = transfer(&mut running.host, &identity, 11, 3, false);
        assert_io(&mut running.host, with_fua(entry), buffer.segments(), &[Status::SUCCESS], "Read with FUA");
        assert_eq!(buffer.load(running.host.host()), content);
        Ok(())
    });
}

/// "Flush command": of one namespace, and of all if VWC says that this flushes all.
///
/// Cases: K6.
#[test]
fn flushed_writes_survive_an_abrupt_reset() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let broadcast = identity.controller.vwc >> 1 & 3;
        for (round, nsid) in [identity.nsid, 0xFFFF_FFFF].into_iter().enumerate() {
            let content = data(seed() + round as u64, 8 * identity.lba_bytes as usize);
            running.host.write(&identity, 100, &content)?;
            // 2: a Flush of all namespaces is refused; 3: it flushes all; 0: nothing is said.
            let allowed: &[Status] = match (nsid, broadcast) {
                (0xFFFF_FFFF, 2) => &[Status::INVALID_FIELD, Status::INVALID_NAMESPACE],
                (0xFFFF_FFFF, 0) => &[Status::SUCCESS, Status::INVALID_FIELD, Status::INVALID_NAMESPACE],
                _ => &[Status::SUCCESS],
            };
            assert_io(&mut running.host, flush(nsid), &[], allowed, &format!("Flush of NSID {nsid:#x}"));
            running = reset_abruptly(running)?;
            let mut back = vec![0; content.len()];
            running.host.read(&identity, 100, &mut back)?;
            assert_eq!(back, content, "NSID {nsid:#x}");
        }
        Ok(())
    });
}

/// "Metadata Pointer" and "Protection Information Field": of no meaning for a namespace without metadata.
///
/// Cases: K7.
#[test]
fn metadata_and_protection_fields_are_ignored_without_metadata() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let content = data(seed(), 2 * identity.lba_bytes as usize);
        for write in [true, false] {
            let (mut entry, buffer) = transfer(&mut running.host, &identity, 20, 2, write);
            buffer.store(running.host.host(), if write { &content } else { &[] });
            entry.mptr = 0xDEAD_BEEF_DEAD_BEEF.into();
            // PRINFO, LR; DSM; the expected tags.
            entry.cdw10[2] = (entry.cdw(12) | 0xF << 26 | 1 << 31).into();
            entry.cdw10[3] = 0xFF.into();
            entry.cdw10[4] = 0x1234_5678.into();
            entry.cdw10[5] = 0x9ABC_DEF0.into();
            let writable = if write { &[] } else { buffer.segments() };
            assert_io(&mut running.host, entry, writable, &[Status::SUCCESS], "garbage in unused fields");
            if !write {
                assert_eq!(buffer.load(running.host.host()), content);
            }
        }
        Ok(())
    });
}

/// Command dword 12 of Write Zeroes: Deallocate.
const DEALLOCATE: u32 = 1 << 25;

/// "Write Zeroes command": the blocks read as zero, whether they may be deallocated or not, and no others change. No PRPs are looked at.
///
/// Cases: K8.
#[test]
fn zeroes_are_written_and_nothing_else() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if identity.controller.oncs.get() & oncs::WRITE_ZEROES == 0 {
            return Ok(());
        }
        let block = identity.lba_bytes as usize;
        let end = identity.blocks;
        for (lba, blocks, flags) in
            [(100, 1, 0), (200, 30, 0), (301, 7, FORCE_UNIT_ACCESS), (403, 21, DEALLOCATE), (end - 9, 9, 0)]
        {
            let around = (lba - 3)..(lba + u64::from(blocks) + 3).min(end);
            let mut expected = data(seed() ^ lba, (around.end - around.start) as usize * block);
            running.host.write(&identity, around.start, &expected)?;
            let mut entry = blocks_entry(io::WRITE_ZEROES, identity.nsid, lba, blocks);
            entry.cdw10[2] = (entry.cdw(12) | flags).into();
            entry.prp = wire_prps([NOWHERE + 1, NOWHERE + 2]);
            assert_io(&mut running.host, entry, &[], &[Status::SUCCESS], &format!("Write Zeroes with {flags:#x}"));
            expected[3 * block..(3 + blocks as usize) * block].fill(0);
            let mut back = vec![0; expected.len()];
            running.host.read(&identity, around.start, &mut back)?;
            assert!(back == expected, "{blocks} blocks from {lba}");
        }
        let last = data(seed(), block);
        running.host.write(&identity, end - 1, &last)?;
        let entry = blocks_entry(io::WRITE_ZEROES, identity.nsid, end - 1, 2);
        assert_io(&mut running.host, entry, &[], &[Status::LBA_OUT_OF_RANGE], "the end of the namespace");
        let mut back = vec![0; block];
        running.host.read(&identity, end - 1, &mut back)?;
        assert_eq!(back, last);
        Ok(())
    });
}

/// "Verify command": blocks that can be read are there, and no data moves.
///
/// Cases: K10.
#[test]
fn blocks_that_are_there_are_verified() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if identity.controller.oncs.get() & oncs::VERIFY == 0 {
            return Ok(());
        }
        let end = identity.blocks;
        for (lba, blocks, status) in [
            (0, 1, Status::SUCCESS),
            (5, 333, Status::SUCCESS),
            (end - 1, 1, Status::SUCCESS),
            (end - 1, 2, Status::LBA_OUT_OF_RANGE),
            (u64::MAX, 1, Status::LBA_OUT_OF_RANGE),
        ] {
            let mut entry = blocks_entry(io::VERIFY, identity.nsid, lba, blocks);
            entry.prp = wire_prps([NOWHERE + 1, NOWHERE + 2]);
            assert_io(&mut running.host, entry, &[], &[status], &format!("Verify of {blocks} blocks from {lba:#x}"));
        }
        Ok(())
    });
}

/// "Write Uncorrectable command": whatever reads the blocks fails until they are written, also after a reset, and no others do.
///
/// Cases: K10, K11.
#[test]
fn marked_blocks_cannot_be_read_until_they_are_written() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if identity.controller.oncs.get() & oncs::WRITE_UNCORRECTABLE == 0 {
            return Ok(());
        }
        let block = identity.lba_bytes as usize;
        let content = data(seed(), 40 * block);
        running.host.write(&identity, 96, &content)?;
        let mut entry = blocks_entry(io::WRITE_UNCORRECTABLE, identity.nsid, 100, 7);
        entry.prp = wire_prps([NOWHERE + 1, NOWHERE + 2]);
        assert_io(&mut running.host, entry, &[], &[Status::SUCCESS], "Write Uncorrectable of blocks 100 to 106");
        assert_readable(&mut running, &content, &[(96, 4), (99, 1), (107, 1), (107, 29)]);
        assert_unreadable(&mut running, &content, &[(100, 1), (106, 1), (99, 2), (106, 2), (96, 40)]);

        // One block is written, and two are zeroed.
        running.host.write(&identity, 103, &content[7 * block..8 * block])?;
        running.host.write_zeroes(&identity, 100, 2)?;
        let mut zeroed = content.clone();
        zeroed[4 * block..6 * block].fill(0);
        let mut running = running.restart()?;
        assert_readable(&mut running, &zeroed, &[(96, 6), (100, 2), (103, 1), (107, 29)]);
        assert_unreadable(&mut running, &zeroed, &[(102, 1), (104, 1), (102, 2), (103, 2), (96, 40)]);

        running.host.write(&identity, 96, &content)?;
        assert_readable(&mut running, &content, &[(96, 40)]);
        let end = identity.blocks;
        let entry = blocks_entry(io::WRITE_UNCORRECTABLE, identity.nsid, end - 1, 2);
        assert_io(&mut running.host, entry, &[], &[Status::LBA_OUT_OF_RANGE], "the end of the namespace");
        let mut back = vec![0; block];
        running.host.read(&identity, end - 1, &mut back)?;
        Ok(())
    });
}

/// Reads, verifies and compares blocks, of which `content` has those from 96 on.
fn assert_readable(running: &mut Running<'_>, content: &[u8], parts: &[(u64, u32)]) {
    for (lba, blocks) in parts {
        let read = access(running, content, *lba, *blocks, Status::SUCCESS);
        assert!(read == part_of(content, running.identity.lba_bytes, *lba, *blocks), "{blocks} blocks from {lba}");
    }
}

/// The same where all that must fail.
fn assert_unreadable(running: &mut Running<'_>, content: &[u8], parts: &[(u64, u32)]) {
    for (lba, blocks) in parts {
        access(running, content, *lba, *blocks, Status::UNRECOVERED_READ_ERROR);
    }
}

fn part_of(content: &[u8], lba_bytes: u32, lba: u64, blocks: u32) -> &[u8] {
    &content[(lba - 96) as usize * lba_bytes as usize..][..(blocks * lba_bytes) as usize]
}

fn access(running: &mut Running<'_>, content: &[u8], lba: u64, blocks: u32, status: Status) -> Vec<u8> {
    let identity = running.identity;
    let host = &mut running.host;
    let mut buffer = Buffer::scattered(host.host(), 8, (blocks * identity.lba_bytes) as usize);
    buffer.store(host.host(), part_of(content, identity.lba_bytes, lba, blocks));
    let entry = compare_entry(host, &identity, lba, &mut buffer);
    for opcode in [io::COMPARE, io::VERIFY, io::READ] {
        let writable: &[_] = if opcode == io::READ { buffer.segments() } else { &[] };
        let what = format!("opcode {opcode:#04x} of {blocks} blocks from {lba}");
        assert_io(host, SqEntry { opcode, ..entry }, writable, &[status], &what);
    }
    let read = buffer.load(host.host());
    buffer.free(host.host());
    read
}

/// "I/O Command Set specific Identify Controller data structure", WZSL, WUSL and VSL: exactly that much, and one block more.
///
/// Cases: K8, K10, K11.
#[test]
fn commands_without_data_are_bound_by_limits_of_their_own() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let (_, data) =
            running.host.admin_data(identify_entry(cns::CONTROLLER_OF_COMMAND_SET, 0), PAGE_BYTES as usize)?;
        let limits: NvmIdentifyController = wire(&data);
        for (opcode, oncs, limit) in [
            // What this one marks the next one makes readable.
            (io::WRITE_UNCORRECTABLE, oncs::WRITE_UNCORRECTABLE, limits.wusl),
            (io::WRITE_ZEROES, oncs::WRITE_ZEROES, limits.wzsl),
            (io::VERIFY, oncs::VERIFY, limits.vsl),
        ] {
            let blocks = (PAGE_BYTES << limit) / u64::from(identity.lba_bytes);
            if identity.controller.oncs.get() & oncs == 0 || limit == 0 || blocks >= identity.blocks.min(65536) {
                continue;
            }
            for (blocks, status) in [(blocks, Status::SUCCESS), (blocks + 1, Status::INVALID_FIELD)] {
                let entry = blocks_entry(opcode, identity.nsid, 0, blocks as u32);
                assert_io(&mut running.host, entry, &[], &[status], &format!("opcode {opcode:#04x}, {blocks} blocks"));
            }
        }
        assert_works(&mut running.host)
    });
}

/// A Compare of the data in `buffer` with the blocks from `lba` on.
fn compare_entry(host: &mut Host<'_>, identity: &Identity, lba: u64, buffer: &mut Buffer) -> SqEntry {
    let blocks = buffer.bytes() as u32 / identity.lba_bytes;
    let prp = buffer.prps(host.host(), ListPlacement::PAGE_START);
    SqEntry { prp: wire_prps(prp), ..blocks_entry(io::COMPARE, identity.nsid, lba, blocks) }
}

/// "Compare command": equal data succeeds, data with one other bit does not, and the blocks stay as they are.
///
/// Cases: K9.
#[test]
fn data_is_compared_to_the_last_bit() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if identity.controller.oncs.get() & oncs::COMPARE == 0 {
            return Ok(());
        }
        for (blocks, offset) in [(1, 0), (1, 0x204), (9, 4), (24, 0xFFC), (33, 0x800)] {
            let content = data(seed() ^ offset, blocks * identity.lba_bytes as usize);
            running.host.write(&identity, 50, &content)?;
            let mut buffer = Buffer::scattered(running.host.host(), offset, content.len());
            let entry = compare_entry(&mut running.host, &identity, 50, &mut buffer);
            for changed in [None, Some(0), Some(content.len() / 2), Some(content.len() - 1)] {
                let mut compared = content.clone();
                changed.into_iter().for_each(|at: usize| compared[at] ^= 0x80);
                buffer.store(running.host.host(), &compared);
                let status = if changed.is_none() { Status::SUCCESS } else { Status::COMPARE_FAILURE };
                let what = format!("{blocks} blocks, byte {changed:?} is another one");
                assert_io(&mut running.host, entry, &[], &[status], &what);
            }
            buffer.free(running.host.host());
            let mut back = vec![0; content.len()];
            running.host.read(&identity, 50, &mut back)?;
            assert!(back == content);
        }
        let (entry, buffer) = transfer(&mut running.host, &identity, identity.blocks - 1, 2, true);
        let entry = SqEntry { opcode: io::COMPARE, ..entry };
        assert_io(&mut running.host, entry, &[], &[Status::LBA_OUT_OF_RANGE], "the end of the namespace");
        buffer.free(running.host.host());
        Ok(())
    });
}

/// "Compare command": it sees the data of its blocks, whatever else is in flight.
///
/// Cases: K9.
#[test]
fn data_is_compared_while_other_data_moves() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if identity.controller.oncs.get() & oncs::COMPARE == 0 {
            return Ok(());
        }
        let mut random = Random::new(seed());
        let content = data(seed(), 20 * identity.lba_bytes as usize);
        running.host.write(&identity, 0, &content)?;
        for round in 0..rounds(&mut running.host, 60, 12) {
            let mut expected = BTreeMap::new();
            for _ in 0..random.between(4, 24) {
                let queue = random.between(1, running.queues.into()) as u16;
                if running.host.is_full(queue) {
                    continue;
                }
                let blocks = random.between(1, 20) as u32;
                match random.below(3) {
                    0 => {
                        let lba = random.below(21 - u64::from(blocks));
                        let part = lba as usize * identity.lba_bytes as usize..;
                        let mut compared = content[part][..(blocks * identity.lba_bytes) as usize].to_vec();
                        let differs = random.below(2) == 0;
                        if differs {
                            let at = random.below(compared.len() as u64) as usize;
                            compared[at] ^= 1;
                        }
                        let offset = random.below(PAGE_BYTES / 4) * 4;
                        let mut buffer = Buffer::scattered(running.host.host(), offset, compared.len());
                        buffer.store(running.host.host(), &compared);
                        let entry = compare_entry(&mut running.host, &identity, lba, &mut buffer);
                        let cid = running.host.submit(queue, entry, &[])?;
                        running.buffers.push(buffer);
                        expected.insert((queue, cid), differs);
                    }
                    kind => {
                        running.submit_transfer(queue, 1000 + random.below(64), blocks, kind == 1)?;
                    }
                }
            }
            for completion in running.host.wait_all()? {
                let differs = expected.get(&(completion.queue, completion.cid)) == Some(&true);
                let status = if differs { Status::COMPARE_FAILURE } else { Status::SUCCESS };
                assert_ends(&completion, &[status], &format!("round {round}"));
            }
            for buffer in std::mem::take(&mut running.buffers) {
                buffer.free(running.host.host());
            }
        }
        Ok(())
    });
}

/// The two entries of a Compare and Write of one block, and their buffers.
fn fused_pair(
    host: &mut Host<'_>,
    identity: &Identity,
    lba: u64,
    contents: [&[u8]; 2],
    offsets: [u64; 2],
) -> [(SqEntry, Buffer); 2] {
    let mut commands = [(io::COMPARE, 1), (io::WRITE, 2)].into_iter().zip(contents).zip(offsets);
    std::array::from_fn(|_| {
        let (((opcode, fuse), content), offset) = commands.next().expect("there are two");
        let mut buffer = Buffer::scattered(host.host(), offset, content.len());
        buffer.store(host.host(), content);
        let entry = compare_entry(host, identity, lba, &mut buffer);
        (SqEntry { opcode, flags: fuse, ..entry }, buffer)
    })
}

/// Submits entries with one doorbell.
fn submit_together(host: &mut Host<'_>, queue: u16, entries: &[SqEntry]) -> Result<Vec<u16>, DriverError> {
    let cids = entries.iter().map(|entry| host.push(queue, *entry, &[])).collect();
    host.ring(queue);
    cids
}

/// Asserts how entries end that are submitted with one doorbell.
fn assert_together(host: &mut Host<'_>, queue: u16, entries: &[SqEntry], statuses: &[Status], what: &str) -> Outcome {
    for (number, cid) in submit_together(host, queue, entries)?.into_iter().enumerate() {
        let completion = host.wait(queue, cid)?;
        assert_ends(&completion, &statuses[number..=number], &format!("{what}, command {number}"));
    }
    Ok(())
}

/// Whether the controller has Compare and Write.
fn has_compare_and_write(identity: &Identity) -> bool {
    identity.controller.fuses.get() & FUSES_COMPARE_AND_WRITE != 0
}

/// "Fused Operations", Compare and Write: the Write happens if the Compare succeeds. The pair may lie anywhere in the queue, its end included.
///
/// Cases: K17, K18.
#[test]
fn a_fused_write_follows_a_compare_that_succeeds() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if !has_compare_and_write(&identity) {
            return Ok(());
        }
        let mut random = Random::new(seed());
        let block = identity.lba_bytes as usize;
        let mut is = data(seed(), block);
        running.host.write(&identity, 7, &is)?;
        let host = &mut running.host;
        for round in 0..rounds(host, 150, 80) {
            let new = data(random.next_u64(), block);
            let mut compared = is.clone();
            let differs = random.below(3) == 0;
            if differs {
                compared[random.below(block as u64) as usize] ^= 1 << random.below(8);
            }
            let offsets = [(); 2].map(|()| random.below(PAGE_BYTES / 4) * 4);
            let pair = fused_pair(host, &identity, 7, [&compared, &new], offsets);
            // Now and then another entry, so that pairs begin at even and at odd places.
            let mut entries = vec![flush(identity.nsid); random.below(3) as usize];
            let mut statuses = vec![Status::SUCCESS; entries.len()];
            entries.extend(pair.each_ref().map(|(entry, _)| *entry));
            statuses.extend(match differs {
                true => [Status::COMPARE_FAILURE, Status::FAILED_FUSED_COMMAND],
                false => [Status::SUCCESS; 2],
            });
            assert_together(host, 1, &entries, &statuses, &format!("round {round}"))?;
            pair.into_iter().for_each(|(_, buffer)| buffer.free(host.host()));
            if !differs {
                is = new;
            }
            let mut back = vec![0; block];
            host.read(&identity, 7, &mut back)?;
            assert!(back == is, "round {round}");
        }
        Ok(())
    });
}

/// "Fused Operations": one operation, not two. Of many that expect the same, one succeeds.
///
/// Cases: K17.
#[test]
fn one_of_many_compares_and_writes_succeeds() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let (identity, queues) = (running.identity, running.queues);
        if !has_compare_and_write(&identity) {
            return Ok(());
        }
        let host = &mut running.host;
        let block = identity.lba_bytes as usize;
        let mut is = vec![0; block];
        for round in 0..rounds(host, 60, 12) {
            let mut tries = vec![];
            for number in 0..u64::from(queues.min(6)) {
                let new = data(seed() ^ u64::from(round) << 8 ^ number, block);
                let pair = fused_pair(host, &identity, 3, [&is, &new], [number * 4, 0]);
                let queue = 1 + number as u16;
                let cids = submit_together(host, queue, &pair.each_ref().map(|(entry, _)| *entry))?;
                tries.push((queue, cids, new, pair));
            }
            let mut winners = vec![];
            for (queue, cids, new, pair) in tries {
                let [compare, write] = [host.wait(queue, cids[0])?, host.wait(queue, cids[1])?];
                if compare.status.is_success() {
                    assert_ends(&write, &[Status::SUCCESS], "Write");
                    winners.push(new);
                } else {
                    assert_ends(&compare, &[Status::COMPARE_FAILURE], "Compare");
                    assert_ends(&write, &[Status::FAILED_FUSED_COMMAND], "Write");
                }
                pair.into_iter().for_each(|(_, buffer)| buffer.free(host.host()));
            }
            assert_eq!(winners.len(), 1, "round {round}");
            is = winners.remove(0);
            let mut back = vec![0; block];
            host.read(&identity, 3, &mut back)?;
            assert!(back == is, "round {round}");
        }
        Ok(())
    });
}

/// Submission queues full of Compares and Writes share a completion queue that has hardly room for one pair, and is emptied one entry at a time: each
/// of them makes progress, and no pair is torn.
///
/// Cases: B7, K18.
#[test]
fn pairs_on_a_small_completion_queue_all_make_progress() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let identity = host.identity()?;
        if !has_compare_and_write(&identity) {
            return Ok(());
        }
        let granted = host.set_number_of_queues(3)?.min(3);
        let zeroes = vec![0; identity.lba_bytes as usize];
        let pair = fused_pair(&mut host, &identity, 3, [&zeroes, &zeroes], [0, 0]);
        let [compare, write] = pair.each_ref().map(|(entry, _)| *entry);
        for entries in [3, 4, 5] {
            host.create_completion_queue(1, entries, Some(1))?;
            for queue in 1..=granted {
                host.create_submission_queue(queue, 16, 1)?;
                // Pairs lie in different ways to the lines that are fetched at a time.
                for _ in 0..queue % 2 {
                    host.push(queue, flush(identity.nsid), &[])?;
                }
            }
            host.options().release_completions = false;
            let mut is_half = [false; 4];
            let mut completed: BTreeMap<u16, u32> = BTreeMap::new();
            for _ in 0..240 {
                for queue in 1..=granted {
                    let half = &mut is_half[usize::from(queue)];
                    while !host.is_full(queue) {
                        host.push(queue, if *half { write } else { compare }, &[])?;
                        *half = !*half;
                        // Both halves are published at once.
                        if !*half {
                            host.ring(queue);
                        }
                    }
                }
                host.wait_until("an entry in the full completion queue", |h| h.has_completion())?;
                while let Some(completion) = host.next_completion() {
                    assert_ends(&completion, &[Status::SUCCESS], &format!("{completion:?}"));
                    *completed.entry(completion.queue).or_default() += 1;
                }
                host.release(1);
            }
            let total: u32 = completed.values().sum();
            for queue in 1..=granted {
                let share = completed.get(&queue).copied().unwrap_or(0);
                assert!(
                    share >= total / (4 * u32::from(granted)),
                    "{entries} entries: queue {queue} had {completed:?}"
                );
            }
            host.options().release_completions = true;
            for queue in 1..=granted {
                if is_half[usize::from(queue)] {
                    host.wait_until("room for the other half", |h| !h.is_full(queue))?;
                    host.push(queue, write, &[])?;
                    host.ring(queue);
                }
            }
            host.wait_all()?;
            (1..=granted).try_for_each(|queue| host.delete_submission_queue(queue))?;
            host.delete_completion_queue(1)?;
        }
        pair.into_iter().for_each(|(_, buffer)| buffer.free(host.host()));
        Ok(())
    });
}

/// "Fused Operations": one without the other; other commands with FUSE; two that do not fit together.
///
/// Cases: K18, K19.
#[test]
fn wrong_fused_commands_are_refused() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let has_pairs = has_compare_and_write(&identity);
        let host = &mut running.host;
        for fuse in 1..=3 {
            for opcode in [io::FLUSH, io::WRITE, io::READ, io::COMPARE] {
                let (entry, buffer) = transfer(host, &identity, 0, 1, false);
                let entry = SqEntry { opcode, flags: fuse, ..entry };
                let status = match (fuse, opcode) {
                    (1, io::COMPARE) | (2, io::WRITE) if has_pairs => Status::MISSING_FUSED_COMMAND,
                    (_, io::COMPARE) if identity.controller.oncs.get() & oncs::COMPARE == 0 => Status::INVALID_OPCODE,
                    _ => Status::INVALID_FIELD,
                };
                assert_io(host, entry, &[], &[status], &format!("FUSE {fuse}, opcode {opcode:#04x}"));
                buffer.free(host.host());
            }
        }
        if !has_pairs {
            return assert_works(host);
        }
        let block = data(seed(), identity.lba_bytes as usize);
        host.write(&identity, 9, &block)?;
        let pair = fused_pair(host, &identity, 9, [&block, &vec![1; block.len()]], [0, 0]);
        let [compare, write] = pair.each_ref().map(|(entry, _)| *entry);
        let with = |entry: SqEntry, dword: usize, value: u32| {
            let mut entry = entry;
            entry.cdw10[dword - 10] = value.into();
            entry
        };
        let flush = flush(identity.nsid);
        let (missing, failed) = (Status::MISSING_FUSED_COMMAND, Status::FAILED_FUSED_COMMAND);
        let field = [Status::INVALID_FIELD; 2];
        let beyond = [(10, identity.blocks as u32), (11, (identity.blocks >> 32) as u32)];
        let [far_compare, far_write] = [compare, write]
            .map(|entry| beyond.iter().fold(entry, |entry, (dword, value)| with(entry, *dword, *value)));
        let too_long = [compare, write].map(|entry| with(entry, 12, 1));
        let misplaced = |entry: SqEntry| SqEntry { prp: wire_prps([2, 0]), ..entry };
        let cases: [(&str, &[SqEntry], &[Status]); 10] = [
            ("no Write", &[compare, flush], &[missing, Status::SUCCESS]),
            ("no Compare", &[flush, write], &[Status::SUCCESS, missing]),
            ("two Compares", &[compare, compare], &[missing, missing]),
            ("the wrong order", &[write, compare], &[missing, missing]),
            ("other blocks", &[compare, with(write, 10, 10)], &field),
            ("other lengths", &[compare, with(write, 12, 1)], &field),
            ("too long", &too_long, &[Status::ATOMIC_WRITE_UNIT_EXCEEDED; 2]),
            ("the end of the namespace", &[far_compare, far_write], &[Status::LBA_OUT_OF_RANGE, failed]),
            ("PRP1 of the Compare", &[misplaced(compare), write], &[Status::INVALID_PRP_OFFSET, failed]),
            ("PRP1 of the Write", &[compare, misplaced(write)], &[failed, Status::INVALID_PRP_OFFSET]),
        ];
        for (what, entries, statuses) in cases {
            assert_together(host, 1, entries, statuses, what)?;
        }
        let mut back = vec![0; block.len()];
        host.read(&identity, 9, &mut back)?;
        assert_eq!(back, block, "nothing was written");
        pair.into_iter().for_each(|(_, buffer)| buffer.free(host.host()));
        assert_works(host)
    });
}

/// "Atomic Operations": a block is written by one of two commands, never by both in part.
///
/// Cases: K20.
#[test]
fn single_blocks_are_never_torn() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let other = running.queues;
        for round in 0..rounds(&mut running.host, 50, 10) {
            let mut contents = Vec::new();
            for (i, queue) in [1, other, 1, other].into_iter().enumerate() {
                let content = data(seed() ^ u64::from(round) << 8 ^ i as u64, identity.lba_bytes as usize);
                let (entry, buffer) = transfer(&mut running.host, &identity, 5, 1, true);
                buffer.store(running.host.host(), &content);
                running.host.submit(queue, entry, &[])?;
                running.buffers.push(buffer);
                contents.push(content);
            }
            for completion in running.host.wait_all()? {
                assert_ends(&completion, &[Status::SUCCESS], "Write");
            }
            let mut back = vec![0; identity.lba_bytes as usize];
            running.host.read(&identity, 5, &mut back)?;
            assert!(contents.contains(&back), "round {round}: a torn block");
            for buffer in std::mem::take(&mut running.buffers) {
                buffer.free(running.host.host());
            }
        }
        Ok(())
    });
}

/// "PRP Offset Invalid": PRP1 at a dword; PRP2 and list entries at a page; a list at a qword.
///
/// Cases: X1.
#[test]
fn misaligned_prps_are_refused() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let page_blocks = PAGE_BYTES as u32 / identity.lba_bytes;
        let pages = running.host.host().alloc_guarded(8 * PAGE_BYTES, PAGE_BYTES);
        let list = pages + 4 * PAGE_BYTES;
        let refused = &[Status::INVALID_PRP_OFFSET, Status::INVALID_FIELD];
        // Data may be moved up to the entry that is wrong.
        running.host.allow_writes(pages..pages + 4 * PAGE_BYTES);
        let put = |host: &mut Host<'_>, entries: [u64; 3]| {
            for (i, entry) in entries.iter().enumerate() {
                host.host().store(list + i as u64 * 8, &entry.to_le_bytes());
            }
        };
        let page = |number: u64| pages + number * PAGE_BYTES;
        let cases: [(&str, u32, [u64; 2], [u64; 3]); 7] = [
            ("PRP1 at a byte", 1, [page(0) + 1, 0], [0; 3]),
            ("PRP1 at a word", 1, [page(0) + 2, 0], [0; 3]),
            ("PRP2 with an offset", 2 * page_blocks, [page(0), page(1) + 4], [0; 3]),
            ("PRP2 with half a page", 2 * page_blocks, [page(0), page(1) + 2048], [0; 3]),
            ("a list at a dword", 4 * page_blocks, [page(0), list + 4], [page(1), page(2), page(3)]),
            ("an entry with an offset", 4 * page_blocks, [page(0), list], [page(1), page(2) + 4, page(3)]),
            ("the last entry with an offset", 4 * page_blocks, [page(0), list], [page(1), page(2), page(3) + 1024]),
        ];
        for (what, blocks, prp, entries) in cases {
            put(&mut running.host, entries);
            for write in [false, true] {
                let entry = IoTransfer { write, nsid: identity.nsid, lba: 0, blocks }.entry(prp);
                assert_io(&mut running.host, entry, &[], refused, what);
            }
        }
        // A chain that goes on in the middle of a page.
        let last_slot = list + PAGE_BYTES - 16;
        let chain = [page(1), list + PAGE_BYTES + 8];
        for (i, entry) in chain.iter().enumerate() {
            running.host.host().store(last_slot + i as u64 * 8, &entry.to_le_bytes());
        }
        let entry = IoTransfer { write: false, nsid: identity.nsid, lba: 0, blocks: 4 * page_blocks };
        assert_io(&mut running.host, entry.entry([page(0), last_slot]), &[], refused, "a chain to an offset");
        assert_works(&mut running.host)
    });
}

/// "Data Transfer Error": memory that cannot be read ends the command; the next ones work. Writes to host memory are posted (PCI Express
/// Base, "Transaction Ordering"): nobody has to tell the controller that there is no memory, and a Read may succeed.
///
/// Cases: X3.
#[test]
fn memory_errors_end_the_command_and_nothing_else() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let page_blocks = PAGE_BYTES as u32 / identity.lba_bytes;
        let good = running.host.host().alloc_guarded(4 * PAGE_BYTES, PAGE_BYTES);
        running.host.allow_writes(good..good + 4 * PAGE_BYTES);
        let list = good + 3 * PAGE_BYTES;
        for (i, entry) in [good + PAGE_BYTES, NOWHERE, good + 2 * PAGE_BYTES].iter().enumerate() {
            running.host.host().store(list + i as u64 * 8, &entry.to_le_bytes());
        }
        let failed: &[Status] = &[Status::DATA_TRANSFER_ERROR];
        let may_fail: &[Status] = &[Status::DATA_TRANSFER_ERROR, Status::SUCCESS];
        let cases = [
            ("PRP1 without memory", 1, [NOWHERE, 0], may_fail),
            ("PRP2 without memory", 2 * page_blocks, [good, NOWHERE], may_fail),
            ("a list without memory", 4 * page_blocks, [good, NOWHERE], failed),
            ("a list entry without memory", 4 * page_blocks, [good, list], may_fail),
        ];
        for (what, blocks, prp, read_ends) in cases {
            for (write, allowed) in [(true, failed), (false, read_ends)] {
                let entry = IoTransfer { write, nsid: identity.nsid, lba: 64, blocks }.entry(prp);
                assert_io(&mut running.host, entry, &[], allowed, what);
                assert_io(&mut running.host, flush(identity.nsid), &[], &[Status::SUCCESS], what);
            }
        }
        running.host.host().faults.failing_reads.push(good..good + 64);
        let write = IoTransfer { write: true, nsid: identity.nsid, lba: 64, blocks: page_blocks };
        assert_io(&mut running.host, write.entry([good, 0]), &[], failed, "a Write from failing memory");
        running.host.host().faults.clear();
        running.host.host().faults.failing_writes.push(good + PAGE_BYTES - 64..good + PAGE_BYTES);
        let read = IoTransfer { write: false, ..write };
        assert_io(&mut running.host, read.entry([good, 0]), &[], may_fail, "a Read into failing memory");
        running.host.host().faults.clear();
        assert_io(&mut running.host, write.entry([good, 0]), &[], &[Status::SUCCESS], "a Write afterwards");
        assert_works(&mut running.host)
    });
}

/// A Write that fails may have changed its own blocks, and no others.
///
/// Cases: X3.
#[test]
fn failed_writes_change_no_other_block() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let page_blocks = PAGE_BYTES as u32 / identity.lba_bytes;
        let around = data(seed(), 6 * PAGE_BYTES as usize);
        running.host.write(&identity, 0, &around)?;
        let mut buffer = Buffer::scattered(running.host.host(), 0x200, 3 * PAGE_BYTES as usize);
        let broken = buffer.segments()[2].clone();
        running.host.host().faults.failing_reads.push(broken);
        let write = IoTransfer { write: true, nsid: identity.nsid, lba: page_blocks.into(), blocks: 3 * page_blocks };
        let cid = running.host.submit_transfer(1, write, &mut buffer, ListPlacement::PAGE_START)?;
        let completion = running.host.wait(1, cid)?;
        assert_ends(&completion, &[Status::DATA_TRANSFER_ERROR], "a Write from failing memory");
        running.host.host().faults.clear();
        let mut back = vec![0; around.len()];
        running.host.read(&identity, 0, &mut back)?;
        let (first, last) = (PAGE_BYTES as usize, 4 * PAGE_BYTES as usize);
        assert!(back[..first] == around[..first], "blocks before");
        assert!(back[last..] == around[last..], "blocks behind");
        Ok(())
    });
}

/// A PRP list whose last entry points to the list itself ends with the length of the transfer.
///
/// Cases: X2.
#[test]
fn lists_that_point_to_themselves_end() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let pages = running.host.host().alloc_guarded(2 * PAGE_BYTES, PAGE_BYTES);
        let (target, list) = (pages, pages + PAGE_BYTES);
        running.host.allow_writes(target..target + PAGE_BYTES);
        // All entries are the target; the last one, which links, is the list.
        for i in 0..PAGE_BYTES / 8 {
            let entry = if i == PAGE_BYTES / 8 - 1 { list } else { target };
            running.host.host().store(list + i * 8, &entry.to_le_bytes());
        }
        let bytes = identity.transfer_bytes_max().min(64 * PAGE_BYTES);
        let blocks = (bytes / u64::from(identity.lba_bytes)) as u32;
        let read = IoTransfer { write: false, nsid: identity.nsid, lba: 0, blocks };
        let link = list + PAGE_BYTES - 8;
        assert_io(
            &mut running.host,
            read.entry([target, link]),
            &[],
            &[Status::SUCCESS],
            "a list that links to itself",
        );
        let write = IoTransfer { write: true, ..read };
        assert_io(
            &mut running.host,
            write.entry([target, link]),
            &[],
            &[Status::SUCCESS],
            "a list that links to itself",
        );
        assert_works(&mut running.host)
    });
}

/// "Data Transfer Error": commands that fail, more than are executed at a time, and admin commands with data do not wait for each other.
///
/// Cases: X3.
#[test]
fn failing_commands_and_admin_data_do_not_wait_for_each_other() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let bad = running.host.host().alloc_guarded(PAGE_BYTES, PAGE_BYTES);
        running.host.host().faults.failing_reads.push(bad..bad + PAGE_BYTES);
        let page = running.host.host().alloc_guarded(PAGE_BYTES, PAGE_BYTES);
        running.host.allow_writes(page..page + PAGE_BYTES);
        let mut expected = 0;
        for _ in 0..30 {
            for queue in 1..=running.queues {
                while !running.host.is_full(queue) {
                    let entry = IoTransfer { write: true, nsid: identity.nsid, lba: 0, blocks: 1 }.entry([bad, 0]);
                    running.host.push(queue, entry, &[])?;
                    expected += 1;
                }
            }
            while !running.host.is_full(0) {
                let entry = SqEntry { prp: wire_prps([page, 0]), ..identify_entry(cns::CONTROLLER, 0) };
                running.host.push(0, entry, &[])?;
                expected += 1;
            }
            for queue in 0..=running.queues {
                running.host.ring(queue);
            }
            running.host.run_for(700)?;
            while running.host.next_completion().is_some() {
                expected -= 1;
            }
        }
        assert_eq!(running.host.wait_all()?.len(), expected);
        Ok(())
    });
}
