//! Words that the chapters share.

use std::ops::Range;

use nvme_spec::feature::fid;
use nvme_spec::opcode::{admin, io};
use nvme_spec::regs::{MSIX_ENTRY_BYTES, MSIX_TABLE};
use nvme_spec::{regs, SqEntry, Status};
use sim_device::{Device, Random};
use sim_host::{cdw, Buffer, Completion, Driver, DriverError, Identity, IoTransfer, ListPlacement, Options};

/// The driver as the chapters use it.
pub(crate) type Host<'d> = Driver<'d, dyn Device + 'd>;

/// I/O queue pairs that the chapters use, if the device has as many.
const IO_QUEUES: u16 = 8;

/// A controller with its admin queue.
pub(crate) fn start<'d>(device: &'d mut (dyn Device + 'd)) -> Result<Host<'d>, DriverError> {
    let mut host = Driver::new(device, Options::default());
    host.start()?;
    Ok(host)
}

/// A controller as an operating system uses it, with as many I/O queue pairs as there are, and what it is.
pub(crate) struct Running<'d> {
    pub(crate) host: Host<'d>,
    pub(crate) identity: Identity,
    /// I/O queue pairs: 1 to this.
    pub(crate) queues: u16,
    /// Entries in each I/O queue.
    pub(crate) entries: u16,
    /// Buffers of commands in flight, which live until the controller is reset.
    pub(crate) buffers: Vec<Buffer>,
}

impl Running<'_> {
    /// Resets the controller and brings it up again; what was in flight is gone.
    pub(crate) fn restart(self) -> Result<Self, DriverError> {
        let mut host = self.host;
        host.disable()?;
        while host.next_completion().is_some() {}
        for buffer in self.buffers {
            buffer.free(host.host());
        }
        bring_up_with(host)
    }

    /// Submits a Read or Write with a buffer of its own, without waiting for it.
    pub(crate) fn submit_transfer(
        &mut self,
        queue: u16,
        lba: u64,
        blocks: u32,
        write: bool,
    ) -> Result<u16, DriverError> {
        let (entry, buffer) = transfer(&mut self.host, &self.identity, lba, blocks, write);
        let writable = if write { &[] } else { buffer.segments() };
        let cid = self.host.submit(queue, entry, writable);
        self.buffers.push(buffer);
        cid
    }

    /// Fills the queues with some reads, writes and flushes, without waiting for them.
    pub(crate) fn submit_random_work(&mut self, random: &mut Random) -> Result<(), DriverError> {
        for _ in 0..random.between(1, 24) {
            let queue = random.between(1, self.queues.into()) as u16;
            if self.host.is_full(queue) {
                continue;
            }
            let blocks = random.between(1, 24) as u32;
            let lba = random.below(self.identity.blocks - u64::from(blocks));
            match random.below(8) {
                0 => self.host.submit(queue, flush(self.identity.nsid), &[])?,
                kind => self.submit_transfer(queue, lba, blocks, kind % 2 == 0)?,
            };
        }
        Ok(())
    }
}

pub(crate) fn bring_up<'d>(device: &'d mut (dyn Device + 'd)) -> Result<Running<'d>, DriverError> {
    bring_up_with(Driver::new(device, Options::default()))
}

/// As [`bring_up`], with a driver that exists already: its device is reset.
pub(crate) fn bring_up_with(mut host: Host<'_>) -> Result<Running<'_>, DriverError> {
    host.start()?;
    let identity = host.identity()?;
    let queues = host.set_number_of_queues(IO_QUEUES)?.min(IO_QUEUES);
    let entries = queue_entries_max(&mut host).min(64) as u16;
    for queue in 1..=queues {
        host.create_queue_pair(queue, entries, Some(queue))?;
    }
    Ok(Running { host, identity, queues, entries, buffers: Vec::new() })
}

/// Most entries of an I/O queue: CAP.MQES + 1.
pub(crate) fn queue_entries_max(host: &mut Host<'_>) -> u32 {
    regs::cap::MQES.get(host.read64(regs::CAP.offset)) as u32 + 1
}

/// How often a case with random choices is repeated: `many` times on the model, which is fast, and where the environment says `SOAK=1`;
/// `few` times elsewhere.
pub(crate) fn rounds(host: &mut Host<'_>, many: u32, few: u32) -> u32 {
    if host.device().name().starts_with("model") || std::env::var_os("SOAK").is_some() {
        many
    } else {
        few
    }
}

/// Asserts that a command ended with one of `allowed`.
#[track_caller]
pub(crate) fn assert_ends(completion: &Completion, allowed: &[Status], what: &str) {
    let status = completion.status.code();
    assert!(allowed.contains(&status), "{what}: ended with {:?} instead of {allowed:?}", completion.status);
}

/// Asserts how an admin command without data ends.
#[track_caller]
pub(crate) fn assert_admin(host: &mut Host<'_>, entry: SqEntry, allowed: &[Status], what: &str) {
    match host.execute(0, entry, &[]) {
        Ok(completion) => assert_ends(&completion, allowed, what),
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Executes an admin command that takes data.
pub(crate) fn admin_with_data(host: &mut Host<'_>, mut entry: SqEntry, data: &[u8]) -> Result<Completion, DriverError> {
    let mut buffer = Buffer::contiguous(host.host(), 0, data.len());
    buffer.store(host.host(), data);
    entry.prp = sim_host::wire_prps(buffer.prps(host.host(), ListPlacement::PAGE_START));
    let completion = host.execute(0, entry, &[])?;
    buffer.free(host.host());
    Ok(completion)
}

/// Asserts how an I/O command ends; the device may write `writable`.
#[track_caller]
pub(crate) fn assert_io(host: &mut Host<'_>, entry: SqEntry, writable: &[Range<u64>], allowed: &[Status], what: &str) {
    match host.execute(1, entry, writable) {
        Ok(completion) => assert_ends(&completion, allowed, what),
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Asserts that the controller still executes commands.
pub(crate) fn assert_works(host: &mut Host<'_>) -> Result<(), DriverError> {
    host.admin("Get Features after the case", get_features(fid::ARBITRATION, 0))?;
    Ok(())
}

/// Get Features.
pub(crate) fn get_features(feature: u8, cdw11: u32) -> SqEntry {
    SqEntry { opcode: admin::GET_FEATURES, cdw10: cdw([u32::from(feature), cdw11, 0, 0, 0, 0]), ..SqEntry::default() }
}

/// Set Features.
pub(crate) fn set_features(feature: u8, cdw11: u32) -> SqEntry {
    SqEntry { opcode: admin::SET_FEATURES, ..get_features(feature, cdw11) }
}

/// Get Log Page of `bytes` from `offset`, with the log specific field and Retain Asynchronous Event as given.
pub(crate) fn get_log_page(log_page: u8, bytes: u32, offset: u64, retain: bool) -> SqEntry {
    let dwords = bytes / 4 - 1;
    let low = u32::from(log_page) | u32::from(retain) << 15 | dwords << 16;
    SqEntry {
        opcode: admin::GET_LOG_PAGE,
        cdw10: cdw([low, dwords >> 16, offset as u32, (offset >> 32) as u32, 0, 0]),
        ..SqEntry::default()
    }
}

/// An asynchronous event request.
pub(crate) fn async_event_request() -> SqEntry {
    SqEntry { opcode: admin::ASYNC_EVENT_REQUEST, ..SqEntry::default() }
}

/// Abort of command `cid` of submission queue `queue`.
pub(crate) fn abort(queue: u16, cid: u16) -> SqEntry {
    SqEntry {
        opcode: admin::ABORT,
        cdw10: cdw([u32::from(cid) << 16 | u32::from(queue), 0, 0, 0, 0, 0]),
        ..SqEntry::default()
    }
}

/// Flush of `nsid`.
pub(crate) fn flush(nsid: u32) -> SqEntry {
    SqEntry { opcode: io::FLUSH, nsid: nsid.into(), ..SqEntry::default() }
}

/// A buffer, and the Read or Write that uses all of it.
pub(crate) fn transfer(
    host: &mut Host<'_>,
    identity: &Identity,
    lba: u64,
    blocks: u32,
    write: bool,
) -> (SqEntry, Buffer) {
    let bytes = blocks as usize * identity.lba_bytes as usize;
    let mut buffer = Buffer::contiguous(host.host(), 0, bytes);
    let prp = buffer.prps(host.host(), ListPlacement::PAGE_START);
    let entry = IoTransfer { write, nsid: identity.nsid, lba, blocks }.entry(prp);
    (entry, buffer)
}

/// Random data.
pub(crate) fn data(seed: u64, bytes: usize) -> Vec<u8> {
    let mut data = vec![0; bytes];
    Random::new(seed).fill(&mut data);
    data
}

/// The wire type at the start of `data`.
pub(crate) fn wire<T: zerocopy::FromBytes>(data: &[u8]) -> T {
    let (value, _) = T::read_from_prefix(data).expect("the caller asked for that many bytes");
    value
}

/// Entries of the MSI-X table: behind the last one nothing is kept.
pub fn vectors(host: &mut Host<'_>) -> u16 {
    let is_there = |vector: &u16| {
        let address = MSIX_TABLE.start + MSIX_ENTRY_BYTES * u32::from(*vector);
        let before = host.read32(address);
        host.write32(address, before ^ 0x40);
        let is_kept = host.read32(address) == before ^ 0x40;
        host.write32(address, before);
        is_kept
    };
    (1..2047).take_while(is_there).last().unwrap_or(0) + 1
}
