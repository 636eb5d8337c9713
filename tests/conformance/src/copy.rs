//! NVM Command Set, "Copy command".

use nvme_spec::copy::{SourceRange, FORMAT_SHIFT};
use nvme_spec::feature::{fid, write_protection};
use nvme_spec::identify::{oncs, OCFS_FORMAT_0};
use nvme_spec::log::{effects, lid, SmartLog, DATA_UNIT_BYTES};
use nvme_spec::opcode::io;
use nvme_spec::{SqEntry, Status};
use sim_device::Random;
use sim_host::{blocks_entry, cdw, wire_prps, with_sgl, Buffer, Completion, DriverError, Identity, ListPlacement};
use zerocopy::{FromZeros, IntoBytes};

use crate::expect::{
    abort, assert_ends, assert_io, assert_works, bring_up, data, get_log_page, rounds, set_features, wire, Host,
};
use crate::{every_back_end, seed};

/// An address where the host has no memory.
const NOWHERE: u64 = 0x5_0000_0000;

/// Bytes of a Copy that takes a while.
const LONG_BYTES: u64 = 256 << 10;

/// Clocks after which a command that ends on its own has ended.
const QUIET_CLOCKS: u64 = 50_000;

fn is_there(identity: &Identity) -> bool {
    identity.controller.oncs.get() & oncs::COPY != 0
}

/// The source ranges of first block and number of blocks; what they do not use is anything.
fn wire_ranges(ranges: &[(u64, u64)]) -> Vec<u8> {
    let mut random = Random::new(seed());
    let range = |(slba, blocks): &(u64, u64)| {
        let mut range = SourceRange::new_zeroed();
        random.fill(range.as_mut_bytes());
        (range.slba, range.nlb) = ((*slba).into(), ((*blocks - 1) as u16).into());
        range
    };
    ranges.iter().map(range).collect::<Vec<_>>().as_bytes().to_vec()
}

fn entry(nsid: u32, destination: u64, cdw12: u32) -> SqEntry {
    let dwords = [destination as u32, (destination >> 32) as u32, cdw12, 0, 0, 0];
    SqEntry { opcode: io::COPY, nsid: nsid.into(), cdw10: cdw(dwords), ..SqEntry::default() }
}

/// A Copy, with its ranges in pages that are not adjacent.
fn copy_entry(host: &mut Host<'_>, nsid: u32, destination: u64, ranges: &[(u64, u64)]) -> (SqEntry, Buffer) {
    let wire = wire_ranges(ranges);
    let mut buffer = Buffer::scattered(host.host(), 64, wire.len());
    buffer.store(host.host(), &wire);
    let prp = buffer.prps(host.host(), ListPlacement::PAGE_START);
    (SqEntry { prp: wire_prps(prp), ..entry(nsid, destination, ranges.len() as u32 - 1) }, buffer)
}

fn copy(host: &mut Host<'_>, nsid: u32, destination: u64, ranges: &[(u64, u64)]) -> Result<Completion, DriverError> {
    let (entry, buffer) = copy_entry(host, nsid, destination, ranges);
    let completion = host.execute(1, entry, &[])?;
    buffer.free(host.host());
    Ok(completion)
}

/// Blocks that a test has written, from block 0 on, as they must be.
struct Blocks {
    identity: Identity,
    expected: Vec<u8>,
}

impl Blocks {
    fn write(host: &mut Host<'_>, identity: &Identity, blocks: u64) -> Result<Self, DriverError> {
        let expected = data(seed(), (blocks * u64::from(identity.lba_bytes)) as usize);
        host.write(identity, 0, &expected)?;
        Ok(Self { identity: *identity, expected })
    }

    fn copy(&mut self, destination: u64, ranges: &[(u64, u64)]) {
        let block = self.identity.lba_bytes as usize;
        let mut to = destination as usize * block;
        for (slba, blocks) in ranges {
            let source = *slba as usize * block..(slba + blocks) as usize * block;
            let bytes = source.len();
            self.expected.copy_within(source, to);
            to += bytes;
        }
    }

    fn read(&self, host: &mut Host<'_>) -> Result<Vec<u8>, DriverError> {
        let mut back = vec![0; self.expected.len()];
        host.read(&self.identity, 0, &mut back)?;
        Ok(back)
    }

    fn check(&self, host: &mut Host<'_>, what: &str) -> Result<(), DriverError> {
        let back = self.read(host)?;
        let block = self.identity.lba_bytes as usize;
        let wrong = back.chunks(block).zip(self.expected.chunks(block)).position(|(is, must)| is != must);
        assert_eq!(wrong, None, "the first wrong block after {what}");
        Ok(())
    }
}

/// "Optional NVM Command Support", "Optional Copy Formats Supported" and the limits: the command is there exactly if it is announced.
///
/// Cases: N14.
#[test]
fn copy_is_there_exactly_if_announced() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let namespace = identity.namespace;
        let limits = (namespace.mssrl.get(), namespace.mcl.get(), namespace.msrc);
        let (_, page) = running
            .host
            .admin_data(get_log_page(lid::COMMANDS_SUPPORTED_AND_EFFECTS, effects::BYTES, 0, false), 4096)?;
        let at = (effects::IO_OFFSET + 4 * u32::from(io::COPY)) as usize;
        let effect = u32::from_le_bytes(page[at..at + 4].try_into().expect("a dword"));
        let ended = copy(&mut running.host, identity.nsid, 8, &[(0, 1)])?;
        if is_there(&identity) {
            assert_eq!(identity.controller.ocfs.get() & OCFS_FORMAT_0, OCFS_FORMAT_0, "format 0h");
            assert!(limits.0 > 0 && limits.1 >= limits.0.into(), "{limits:?}");
            assert_eq!(effect & 3, 3, "supported, and it changes logical blocks");
            assert_ends(&ended, &[Status::SUCCESS], "Copy");
        } else {
            assert_eq!((identity.controller.ocfs.get(), limits, effect), (0, (0, 0, 0), 0));
            assert_ends(&ended, &[Status::INVALID_OPCODE], "Copy");
        }
        Ok(())
    });
}

/// Blocks that cannot be read cannot be copied, and dword 0 says which range they are in; what is copied to can be read again.
///
/// Cases: K11, K16.
#[test]
fn blocks_that_cannot_be_read_are_not_copied() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let has_marks = identity.controller.oncs.get() & oncs::WRITE_UNCORRECTABLE != 0;
        if !is_there(&identity) || !has_marks {
            return Ok(());
        }
        let host = &mut running.host;
        let mut blocks = Blocks::write(host, &identity, 64)?;
        let mark = |lba, count| blocks_entry(io::WRITE_UNCORRECTABLE, identity.nsid, lba, count);
        assert_io(host, mark(10, 1), &[], &[Status::SUCCESS], "Write Uncorrectable of block 10");
        let completion = copy(host, identity.nsid, 40, &[(0, 3), (5, 9), (20, 2)])?;
        assert_ends(&completion, &[Status::UNRECOVERED_READ_ERROR], "Copy of block 10");
        assert_eq!(completion.result, 1, "the range");
        let completion = copy(host, identity.nsid, 8, &[(20, 8)])?;
        assert_ends(&completion, &[Status::SUCCESS], "Copy onto block 10");
        host.write(&identity, 40, &blocks.expected[40 * identity.lba_bytes as usize..])?;
        blocks.copy(8, &[(20, 8)]);
        blocks.check(host, "the Copies")
    });
}

/// The blocks of all ranges, in their order, are in the destination afterwards, and no other block has changed.
///
/// Cases: K16.
#[test]
fn blocks_are_copied_in_the_order_of_their_ranges() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if !is_there(&identity) {
            return Ok(());
        }
        let most = u64::from(identity.namespace.msrc) + 1;
        let half = most.max(48);
        let mut blocks = Blocks::write(&mut running.host, &identity, 2 * half)?;
        let mut random = Random::new(seed());
        for round in 0..rounds(&mut running.host, 30, 4) {
            let mut left = half;
            let mut ranges = vec![];
            while left > 0 && (ranges.len() as u64) < most {
                let longest = if round == 0 { 1 } else { random.between(1, 20) };
                let length = left.min(longest).min(identity.namespace.mssrl.get().into());
                ranges.push((random.below(half - length + 1), length));
                left -= length;
            }
            let copied = half - left;
            // Either half is copied to the other one.
            let [from, to] = if random.below(2) == 0 { [0, half] } else { [half, 0] };
            let destination = to + random.below(half - copied + 1);
            let named: Vec<_> = ranges.iter().map(|(slba, blocks)| (from + slba, *blocks)).collect();
            let what = format!("round {round}: {named:?} to {destination}");
            let completion = copy(&mut running.host, identity.nsid, destination, &named)?;
            assert_ends(&completion, &[Status::SUCCESS], &what);
            blocks.copy(destination, &named);
            blocks.check(&mut running.host, &what)?;
        }
        // The ranges by an SGL.
        let wire = wire_ranges(&[(3, 2), (0, 1)]);
        let mut buffer = Buffer::scattered(running.host.host(), 4, wire.len());
        buffer.store(running.host.host(), &wire);
        let first = buffer.sgl(running.host.host(), 2, 0);
        let entry = with_sgl(entry(identity.nsid, half, 1), first);
        assert_io(&mut running.host, entry, &[], &[Status::SUCCESS], "ranges by an SGL");
        blocks.copy(half, &[(3, 2), (0, 1)]);
        blocks.check(&mut running.host, "an SGL")?;
        buffer.free(running.host.host());
        Ok(())
    });
}

/// "Maximum Source Range Count", "Maximum Single Source Range Length", "Maximum Copy Length": what exceeds one of them is refused with Command Size
/// Limit Exceeded; what just does not is executed.
///
/// Cases: K16.
#[test]
fn limits_are_kept() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if !is_there(&identity) {
            return Ok(());
        }
        let (nsid, namespace) = (identity.nsid, identity.namespace);
        let (mssrl, mcl) = (u64::from(namespace.mssrl.get()), u64::from(namespace.mcl.get()));
        let most = u64::from(namespace.msrc) + 1;
        let blocks = Blocks::write(&mut running.host, &identity, 8)?;
        let host = &mut running.host;
        let limit = [Status::COMMAND_SIZE_LIMIT_EXCEEDED];
        if most < 256 {
            assert_ends(&copy(host, nsid, 4, &vec![(0, 1); most as usize + 1])?, &limit, "one range more than MSRC");
        }
        if mssrl < 0x10000 && mssrl < identity.blocks / 2 {
            assert_ends(&copy(host, nsid, 4, &[(8, 1), (0, mssrl + 1)])?, &limit, "one block more than MSSRL");
        }
        let ranges = mcl / mssrl + 1;
        if ranges <= most {
            assert_ends(&copy(host, nsid, 4, &vec![(0, mssrl); ranges as usize])?, &limit, "more than MCL");
        }
        blocks.check(host, "commands that are too long")?;
        if 2 * mssrl <= identity.blocks && mssrl * u64::from(identity.lba_bytes) <= 2 << 20 {
            host.write(&identity, mssrl - 1, &blocks.expected[..identity.lba_bytes as usize])?;
            assert_ends(&copy(host, nsid, mssrl, &[(0, mssrl)])?, &[Status::SUCCESS], "exactly MSSRL");
            let mut last = vec![0; identity.lba_bytes as usize];
            host.read(&identity, 2 * mssrl - 1, &mut last)?;
            assert_eq!(last, blocks.expected[..last.len()]);
        }
        assert_works(host)
    });
}

/// A range or a destination that the namespace does not have, or any other mistake, and nothing is copied; dword 0 is 0 then ("Command Completion").
///
/// Cases: K16, N13.
#[test]
fn nothing_is_copied_by_a_command_that_is_refused() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if !is_there(&identity) {
            return Ok(());
        }
        let (nsid, end) = (identity.nsid, identity.blocks);
        let blocks = Blocks::write(&mut running.host, &identity, 16)?;
        let host = &mut running.host;
        let far = [Status::LBA_OUT_OF_RANGE];
        for wrong in [(end, 1), (end - 1, 2), (u64::MAX, 1), (u64::MAX - 1, 4)] {
            for ranges in [vec![wrong], vec![(0, 2), wrong, (2, 2)], vec![(0, 2), (2, 2), wrong]] {
                let completion = copy(host, nsid, 8, &ranges)?;
                assert_ends(&completion, &far, &format!("{ranges:x?}"));
                assert_eq!(completion.result, 0);
            }
        }
        for destination in [end, end - 3, u64::MAX - 1] {
            assert_ends(&copy(host, nsid, destination, &[(0, 2), (4, 2)])?, &far, &format!("to {destination:#x}"));
        }
        for nsid in [0, 0xFFFF_FFFE, 0xFFFF_FFFF] {
            assert_ends(&copy(host, nsid, 8, &[(0, 1)])?, &[Status::INVALID_NAMESPACE], &format!("NSID {nsid:#x}"));
        }
        let formats = (0..16).filter(|format| identity.controller.ocfs.get() >> format & 1 == 0);
        for format in formats {
            let (entry, buffer) = copy_entry(host, nsid, 8, &[(0, 1)]);
            let entry = SqEntry { prp: entry.prp, ..self::entry(nsid, 8, format << FORMAT_SHIFT) };
            assert_io(host, entry, &[], &[Status::INVALID_FIELD], &format!("format {format}"));
            buffer.free(host.host());
        }
        let misplaced = SqEntry { prp: wire_prps([NOWHERE + 1, 0]), ..entry(nsid, 8, 0) };
        assert_io(host, misplaced, &[], &[Status::INVALID_PRP_OFFSET], "PRP1 of one byte");
        for flags in [1, 2, 3, 0x80, 0xC0] {
            assert_io(host, SqEntry { flags, ..entry(nsid, 8, 0) }, &[], &[Status::INVALID_FIELD], "flags");
        }
        let protect =
            SqEntry { nsid: nsid.into(), ..set_features(fid::NAMESPACE_WRITE_PROTECTION, write_protection::PROTECT) };
        assert_ends(&host.execute(0, protect, &[])?, &[Status::SUCCESS], "write protection");
        let completion = copy(host, nsid, 8, &[(0, 1)])?;
        assert_ends(&completion, &[Status::NAMESPACE_WRITE_PROTECTED], "a protected namespace");
        blocks.check(host, "commands that were refused")
    });
}

/// "Copy command": a host should not name a destination that overlaps a source; the blocks of the destination hold then what some block of the
/// sources or of the destination held, and all others are as they were.
///
/// Cases: K16.
#[test]
fn overlapping_ranges_do_no_harm() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if !is_there(&identity) {
            return Ok(());
        }
        let block = identity.lba_bytes as usize;
        let cases: [(u64, &[(u64, u64)]); 4] =
            [(9, &[(8, 20)]), (7, &[(8, 20)]), (8, &[(8, 20)]), (10, &[(20, 5), (8, 12), (0, 3)])];
        for (destination, ranges) in cases {
            let blocks = Blocks::write(&mut running.host, &identity, 40)?;
            let completion = copy(&mut running.host, identity.nsid, destination, ranges)?;
            assert_ends(&completion, &[Status::SUCCESS], &format!("{ranges:?} to {destination}"));
            let count = ranges.iter().map(|(_, blocks)| blocks).sum::<u64>();
            let back = blocks.read(&mut running.host)?;
            for (lba, is) in (0..).zip(back.chunks(block)) {
                let old = &blocks.expected[lba as usize * block..][..block];
                let is_written = (destination..destination + count).contains(&lba);
                let is_known = blocks.expected.chunks(block).any(|old| old == is);
                assert!(if is_written { is_known } else { is == old }, "block {lba} of {ranges:?} to {destination}");
            }
        }
        Ok(())
    });
}

/// A Copy that takes a while, and the blocks that it is about.
struct Long {
    blocks: Blocks,
    count: u64,
    buffer: Buffer,
    cid: u16,
}

impl Long {
    /// Submits it to queue 1.
    fn submit(host: &mut Host<'_>, identity: &Identity) -> Result<Self, DriverError> {
        let count = (LONG_BYTES / u64::from(identity.lba_bytes)).min(identity.namespace.mssrl.get().into());
        let blocks = Blocks::write(host, identity, 2 * count)?;
        let (entry, buffer) = copy_entry(host, identity.nsid, count, &[(0, count)]);
        let cid = host.submit(1, entry, &[])?;
        Ok(Self { blocks, count, buffer, cid })
    }

    /// Every block of the destination is as it was or as it shall be, and no other one has changed. How many have been copied.
    fn check(mut self, host: &mut Host<'_>) -> Result<u64, DriverError> {
        let block = self.blocks.identity.lba_bytes as usize;
        let old = self.blocks.expected.clone();
        self.blocks.copy(self.count, &[(0, self.count)]);
        let back = self.blocks.read(host)?;
        let mut copied = 0;
        let expected = old.chunks(block).zip(self.blocks.expected.chunks(block));
        for (lba, (is, (old, new))) in (0_u64..).zip(back.chunks(block).zip(expected)) {
            assert!(is == old || is == new, "block {lba} is neither");
            copied += u64::from(is == new && lba >= self.count);
        }
        self.buffer.free(host.host());
        Ok(copied)
    }
}

/// Other commands of the controller, also other Copies, do not wait for the end of a long one for ever, and all end well.
///
/// Cases: K16.
#[test]
fn other_commands_go_on_during_a_copy() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if !is_there(&identity) {
            return Ok(());
        }
        let long = Long::submit(&mut running.host, &identity)?;
        let count = long.count;
        let other = running.queues;
        let far = 2 * count + 8;
        let block = data(seed() + 1, identity.lba_bytes as usize);
        running.host.write(&identity, far, &block)?;
        let (entry, buffer) = copy_entry(&mut running.host, identity.nsid, far + 1, &[(far, 1)]);
        let second = running.host.submit(other, entry, &[])?;
        assert_works(&mut running.host)?;
        let mut back = vec![0; block.len()];
        running.host.read(&identity, far, &mut back)?;
        assert_eq!(back, block);
        for (queue, cid) in [(1, long.cid), (other, second)] {
            assert_ends(&running.host.wait(queue, cid)?, &[Status::SUCCESS], "Copy");
        }
        running.host.read(&identity, far + 1, &mut back)?;
        assert_eq!(back, block, "the second Copy");
        assert_eq!(long.check(&mut running.host)?, count);
        buffer.free(running.host.host());
        Ok(())
    });
}

/// However many Copies wait for one another, other commands do not wait for them, nor does the end of their queues.
///
/// Cases: K16, G2.
#[test]
fn many_copies_hold_up_no_other_command() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if !is_there(&identity) {
            return Ok(());
        }
        let long = Long::submit(&mut running.host, &identity)?;
        let (entry, buffer) = copy_entry(&mut running.host, identity.nsid, long.count, &[(0, long.count)]);
        let host = &mut running.host;
        host.take_fetches();
        let mut waiting = vec![];
        for queue in 1..=running.queues.min(4) {
            while !host.is_full(queue) {
                waiting.push((queue, host.submit(queue, entry, &[])?));
            }
        }
        host.identity()?;
        // An Abort overtakes the commands that the device has not fetched, and finds none of them. Firmware takes commands in the order of their fetches.
        let mut copies = 0;
        host.wait_until("the fetches of all Copies", |host| {
            copies += host.take_fetches().iter().filter(|&&queue| queue != 0).count();
            copies >= waiting.len()
        })?;
        host.identity()?;
        let (queue, cid) = *waiting.last().expect("some wait");
        let answer = host.execute(0, abort(queue, cid), &[])?;
        if !host.device().name().starts_with("model") {
            assert_eq!(answer.result & 1, 0, "aborted");
            assert!(host.in_flight() > waiting.len() - 20, "{} of {} wait", host.in_flight(), waiting.len());
        }
        for queue in 1..=running.queues.min(4) {
            host.delete_submission_queue(queue)?;
            host.delete_completion_queue(queue)?;
            host.create_queue_pair(queue, running.entries, Some(queue))?;
        }
        let ended = [Status::SUCCESS, Status::ABORT_REQUESTED, Status::ABORTED_SQ_DELETION];
        for (queue, cid) in waiting.into_iter().chain([(1, long.cid)]) {
            let completion = host.take_completion(queue, cid).expect("it has ended before its queue");
            assert_ends(&completion, &ended, &format!("Copy {cid:#x} of queue {queue}"));
        }
        long.check(host)?;
        buffer.free(host.host());
        assert_works(host)
    });
}

/// NVMe Base, "Abort command" and "Delete I/O Submission Queue command": a Copy ends, aborted or not, and after that nothing more is copied.
///
/// Cases: K16, G2.
#[test]
fn a_copy_is_aborted_or_ends() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if !is_there(&identity) {
            return Ok(());
        }
        for clocks in [0, 3000, 12_000] {
            let long = Long::submit(&mut running.host, &identity)?;
            running.host.device().step(clocks);
            let answer = running.host.execute(0, abort(1, long.cid), &[])?;
            let completion = running.host.wait(1, long.cid)?;
            let is_aborted = answer.result & 1 == 0;
            let expected = if is_aborted { Status::ABORT_REQUESTED } else { Status::SUCCESS };
            assert_ends(&completion, &[expected], &format!("the Copy, aborted after {clocks} clocks"));
            assert_eq!(completion.result, 0, "its only range is not complete, or all is well");
            let count = long.count;
            let mark = data(seed() + 2, identity.lba_bytes as usize);
            running.host.write(&identity, 2 * count - 1, &mark)?;
            running.host.run_for(QUIET_CLOCKS)?;
            let mut back = vec![0; mark.len()];
            running.host.read(&identity, 2 * count - 1, &mut back)?;
            assert_eq!(back, mark, "nothing more is copied");
            long.buffer.free(running.host.host());
        }
        let long = Long::submit(&mut running.host, &identity)?;
        running.host.delete_submission_queue(1)?;
        let completion = running.host.take_completion(1, long.cid).expect("it has ended before its queue");
        assert_ends(&completion, &[Status::SUCCESS, Status::ABORTED_SQ_DELETION], "the Copy of a deleted queue");
        running.host.delete_completion_queue(1)?;
        running.host.create_queue_pair(1, running.entries, Some(1))?;
        let is_complete = completion.status.is_success();
        let count = long.count;
        let copied = long.check(&mut running.host)?;
        assert!(!is_complete || copied == count);
        assert_works(&mut running.host)
    });
}

/// NVMe Base, "Controller Level Reset": after it nothing of the old life is written, whenever it comes.
///
/// Cases: K16.
#[test]
fn a_reset_ends_a_copy() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        for clocks in [500, 5000, 20_000] {
            let identity = running.identity;
            if !is_there(&identity) {
                return Ok(());
            }
            let long = Long::submit(&mut running.host, &identity)?;
            running.host.device().step(clocks);
            running = running.restart()?;
            let count = long.count;
            let mark = data(seed() + 3, (count * u64::from(identity.lba_bytes)) as usize);
            running.host.write(&identity, count, &mark)?;
            running.host.run_for(QUIET_CLOCKS)?;
            let mut back = vec![0; mark.len()];
            running.host.read(&identity, count, &mut back)?;
            assert!(back == mark, "the new life's blocks stay, with a reset after {clocks} clocks");
            let completion = copy(&mut running.host, identity.nsid, 0, &[(count, 4)])?;
            assert_ends(&completion, &[Status::SUCCESS], "a Copy of the new life");
            long.buffer.free(running.host.host());
        }
        Ok(())
    });
}

/// "SMART Host Read Command" and "User Data Out Command": a Copy is both, and its blocks are Data Units Written but not Read.
///
/// Cases: K16.
#[test]
fn copies_are_counted() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if !is_there(&identity) {
            return Ok(());
        }
        let smart = |host: &mut Host<'_>| -> Result<SmartLog, DriverError> {
            let (_, page) = host.admin_data(get_log_page(lid::SMART, 512, 0, false), 512)?;
            Ok(wire(&page))
        };
        // Enough for two data units.
        let count = (2 * DATA_UNIT_BYTES).div_ceil(identity.lba_bytes.into());
        let count = count.min(identity.namespace.mssrl.get().into());
        let before = smart(&mut running.host)?;
        let completion = copy(&mut running.host, identity.nsid, count, &[(0, count)])?;
        assert_ends(&completion, &[Status::SUCCESS], "Copy");
        let after = smart(&mut running.host)?;
        assert_eq!(after.host_read_commands.get() - before.host_read_commands.get(), 1);
        assert_eq!(after.host_write_commands.get() - before.host_write_commands.get(), 1);
        assert_eq!(after.data_units_read.get(), before.data_units_read.get());
        let units = after.data_units_written.get() - before.data_units_written.get();
        let bytes = u128::from(count * u64::from(identity.lba_bytes));
        assert!((bytes / u128::from(DATA_UNIT_BYTES)).abs_diff(units) <= 1, "{units} data units for {bytes} bytes");
        Ok(())
    });
}
