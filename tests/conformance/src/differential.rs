//! The same commands on two devices: what one answers, the reference model answers too.
//!
//! One command is in flight at a time, so that nothing is left open: status, data read, and data stored are all determined by the
//! specification and by how this controller was specified.

use nvme_model::Config;
use nvme_spec::copy::SourceRange;
use nvme_spec::feature::fid;
use nvme_spec::identify::{cns, oacs, oncs, IdentifyNamespace, IDENTIFY_BYTES};
use nvme_spec::image::{ImageHeader, HEADER_BYTES};
use nvme_spec::opcode::{admin, io};
use nvme_spec::sgl::{BIT_BUCKET, DATA_BLOCK, LAST_SEGMENT, SEGMENT};
use nvme_spec::{SglDescriptor, SqEntry, Status};
use sim_device::{Device, HostMemory, ModelDevice, Random, PAGE_BYTES};
use sim_host::{cdw, identify_entry, wire_prps, with_sgl, DriverError, Identity, IoTransfer};
use zerocopy::{FromZeros, IntoBytes};

use crate::expect::{bring_up, rounds, Running};
use crate::{every_back_end, seed};

/// Pages of data, behind which the pages of PRP lists lie.
pub(crate) const DATA_PAGES: u64 = 12;
pub(crate) const LIST_PAGES: u64 = 2;

/// Logical blocks that the commands use, from either end of the namespace.
const SPAN: u64 = 64;

/// A device with its memory for commands, at the same address on every device.
pub(crate) struct Side<'d> {
    running: Running<'d>,
    pages: u64,
}

impl<'d> Side<'d> {
    fn new(device: &'d mut (dyn Device + 'd)) -> Result<Self, DriverError> {
        let mut running = bring_up(device)?;
        let bytes = (DATA_PAGES + LIST_PAGES) * PAGE_BYTES;
        let pages = running.host.host().alloc_guarded(bytes, PAGE_BYTES);
        running.host.allow_writes(pages..pages + DATA_PAGES * PAGE_BYTES);
        Ok(Self { running, pages })
    }

    fn store(&mut self, offset: u64, data: &[u8]) {
        let address = self.pages + offset;
        self.running.host.host().store(address, data);
    }

    fn data(&mut self) -> Vec<u8> {
        let pages = self.pages;
        self.running.host.host().load_vec(pages, (DATA_PAGES * PAGE_BYTES) as usize)
    }
}

/// An I/O command that is right or nearly right. Addresses are offsets from the start of the pages.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) entry: SqEntry,
    prp: [u64; 2],
    /// What the pages of lists hold: offsets, too.
    lists: Vec<u64>,
}

/// A command that the seed chooses.
pub(crate) trait RandomCase: std::fmt::Debug + Sized {
    fn random(random: &mut Random, identity: &Identity) -> Self;
    /// Its status, and what the pages hold afterwards, which held `content`.
    fn run(&self, side: &mut Side<'_>, content: &[u8]) -> Result<(Status, Vec<u8>), DriverError>;
    /// Writes what it may have left half written.
    fn overwrite(&self, side: &mut Side<'_>) -> Result<(), DriverError>;
}

impl RandomCase for Case {
    fn random(random: &mut Random, identity: &Identity) -> Self {
        let one_in = |random: &mut Random, n| random.below(n) == 0;
        let page_blocks = PAGE_BYTES / u64::from(identity.lba_bytes);
        let blocks = random.between(1, 6 * page_blocks);
        let end = identity.blocks - if one_in(random, 10) { 0 } else { blocks.min(SPAN) };
        let lba = if one_in(random, 2) { random.below(SPAN) } else { end - random.below(SPAN) };
        // Every page once, so that it does not matter in which order the pieces of a Read are written.
        let mut order: Vec<u64> = (0..DATA_PAGES).map(|page| page * PAGE_BYTES).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i as u64 + 1) as usize);
        }
        let offset = if one_in(random, 2) { 0 } else { random.below(PAGE_BYTES / 4) * 4 };
        let misplaced = |random: &mut Random| if one_in(random, 30) { random.below(PAGE_BYTES) } else { 0 };
        let first = order[0] + offset + if one_in(random, 30) { 2 } else { 0 };
        // The last slots of the first list page, all of the second: chains appear where the list has to go on.
        let slots = random.between(1, 7);
        let list = DATA_PAGES * PAGE_BYTES + PAGE_BYTES - slots * 8;
        let needed = (offset + blocks * u64::from(identity.lba_bytes)).div_ceil(PAGE_BYTES) - 1;
        let mut lists: Vec<u64> = order[1..].iter().map(|page| page + misplaced(random)).collect();
        if needed > slots {
            lists.insert(slots as usize - 1, (DATA_PAGES + 1) * PAGE_BYTES + misplaced(random));
        }
        let second = if needed > 1 { list + if one_in(random, 30) { 4 } else { 0 } } else { lists[0] };
        let entry = SqEntry {
            opcode: *random.pick(&[
                io::READ,
                io::READ,
                io::WRITE,
                io::WRITE,
                io::WRITE_ZEROES,
                io::WRITE_UNCORRECTABLE,
                io::VERIFY,
                io::COMPARE,
                io::FLUSH,
                0x7B,
            ]),
            flags: if one_in(random, 20) { random.next_u64() as u8 } else { 0 },
            nsid: if one_in(random, 20) { random.next_u64() as u32 } else { identity.nsid }.into(),
            mptr: random.next_u64().into(),
            cdw10: cdw([
                lba as u32,
                (lba >> 32) as u32 | if one_in(random, 40) { 1 << 31 } else { 0 },
                (blocks - 1) as u32 | (random.next_u64() as u32) << 16,
                random.next_u64() as u32,
                random.next_u64() as u32,
                random.next_u64() as u32,
            ]),
            ..SqEntry::default()
        };
        Self { entry, prp: [first, second], lists }
    }

    /// Writes zeroes where a failed Write may have left a part of its data.
    fn overwrite(&self, side: &mut Side<'_>) -> Result<(), DriverError> {
        let identity = side.running.identity;
        let blocks = u64::from(self.entry.cdw(12) & 0xFFFF) + 1;
        let lba = u64::from(self.entry.cdw(11)) << 32 | u64::from(self.entry.cdw(10));
        if lba + blocks > identity.blocks {
            return Ok(());
        }
        let zeroes = vec![0; (blocks * u64::from(identity.lba_bytes)) as usize];
        side.running.host.write(&identity, lba, &zeroes)
    }

    /// Executes the command: its status, and all data pages if it succeeded. What a failed command has moved is open.
    fn run(&self, side: &mut Side<'_>, content: &[u8]) -> Result<(nvme_spec::Status, Vec<u8>), DriverError> {
        let pages = side.pages;
        let entry = self.prepare(side.running.host.host(), pages, content);
        let completion = side.running.host.execute(1, entry, &[])?;
        let data = if completion.status.is_success() { side.data() } else { Vec::new() };
        Ok((completion.status.code(), data))
    }
}

impl Case {
    /// Fills pages with this content and the lists; the command that uses them.
    pub(crate) fn prepare(&self, host: &mut HostMemory, pages: u64, content: &[u8]) -> SqEntry {
        host.store(pages, content);
        let list = self.prp[1] & !7;
        for (i, offset) in self.lists.iter().enumerate() {
            if list >= DATA_PAGES * PAGE_BYTES {
                host.store(pages + list + i as u64 * 8, &(pages + offset).to_le_bytes());
            }
        }
        SqEntry { prp: wire_prps(self.prp.map(|offset| pages + offset)), ..self.entry }
    }
}

/// Status and data of I/O commands are those of the reference model.
///
/// Cases: K1, K2, K3, K4, X1.
#[test]
fn io_commands_end_as_on_the_reference_model() {
    every_back_end(end_as_on_the_reference_model::<Case>);
}

/// Runs random cases on a device and on the reference model.
fn end_as_on_the_reference_model<C: RandomCase>(device: &mut dyn Device) -> Result<(), DriverError> {
    let mut subject = Side::new(device)?;
    let identity = subject.running.identity;
    let can_copy = identity.controller.oncs.get() & oncs::COPY != 0;
    let config = Config { lba_bytes: identity.lba_bytes, blocks: identity.blocks, can_copy, ..Config::DEFAULT };
    let mut reference = ModelDevice::new(config, HostMemory::new());
    let mut reference = Side::new(&mut reference)?;
    let mut random = Random::new(seed());
    let mut successes = 0;
    let count = rounds(&mut subject.running.host, 1000, 300);
    for number in 0..count {
        let case = C::random(&mut random, &identity);
        let content = crate::expect::data(random.next_u64(), (DATA_PAGES * PAGE_BYTES) as usize);
        let expected = case.run(&mut reference, &content)?;
        let got = case.run(&mut subject, &content)?;
        assert_eq!(got.0, expected.0, "command {number}: {case:x?}");
        assert!(got.1 == expected.1, "command {number} left other data: {case:x?}");
        if !got.0.is_success() {
            case.overwrite(&mut reference)?;
            case.overwrite(&mut subject)?;
        }
        successes += u32::from(got.0.is_success());
    }
    assert!(successes > count / 3, "only {successes} of {count} commands succeeded");
    Ok(())
}

/// A descriptor whose address is an offset from the start of the pages.
#[derive(Clone, Copy, Debug)]
struct RelativeDescriptor {
    identifier: u8,
    offset: u64,
    length: u32,
}

impl RelativeDescriptor {
    fn at(self, pages: u64) -> SglDescriptor {
        SglDescriptor::new(self.identifier, pages + self.offset, self.length)
    }

    /// A mistake, or nearly one, which leaves data blocks within their pages.
    fn spoil(&mut self, random: &mut Random) {
        let is_link = self.identifier >= SEGMENT;
        match random.below(4) {
            0 if is_link => self.identifier ^= SEGMENT ^ LAST_SEGMENT,
            0 => self.identifier = *random.pick(&[BIT_BUCKET, 0x40, 0x01]),
            1 => self.offset += random.between(1, if is_link { 7 } else { 3 }),
            2 => self.length = self.length.saturating_sub(*random.pick(&[1, 2, 4, 8, 16])),
            _ => self.length = 0,
        }
    }
}

/// A Read or Write with an SGL that is right or nearly right.
#[derive(Debug)]
struct SglCase {
    transfer: IoTransfer,
    first: RelativeDescriptor,
    /// What lies in the pages of lists.
    descriptors: Vec<RelativeDescriptor>,
}

impl SglCase {
    /// The blocks in segments that follow each other, behind the data pages.
    fn in_segments(random: &mut Random, transfer: IoTransfer, blocks: &[RelativeDescriptor]) -> Self {
        let per_segment = random.between(1, 6) as usize;
        let begin = DATA_PAGES * PAGE_BYTES;
        let mut descriptors: Vec<RelativeDescriptor> = vec![];
        let mut links = vec![];
        let chunks: Vec<&[RelativeDescriptor]> = blocks.chunks(per_segment).collect();
        for (number, chunk) in chunks.iter().enumerate() {
            let is_last = number + 1 == chunks.len();
            let offset = begin + 16 * descriptors.len() as u64;
            let length = 16 * (chunk.len() + usize::from(!is_last)) as u32;
            let identifier = if is_last && random.below(8) > 0 { LAST_SEGMENT } else { SEGMENT };
            links.push(RelativeDescriptor { identifier, offset, length });
            descriptors.extend(*chunk);
            if !is_last {
                // Its place is filled when the next segment is known.
                descriptors.push(links[number]);
            }
        }
        for (number, link) in links.iter().enumerate().skip(1) {
            let at = ((link.offset - begin) / 16) as usize - 1;
            descriptors[at] = links[number];
        }
        Self { transfer, first: links[0], descriptors }
    }
}

impl RandomCase for SglCase {
    fn random(random: &mut Random, identity: &Identity) -> Self {
        let lba_bytes = u64::from(identity.lba_bytes);
        // A data block in each page, so that it does not matter in which order they are written.
        let count = random.between(1, DATA_PAGES);
        let is_scattered = random.below(3) == 0;
        let mut blocks: Vec<RelativeDescriptor> = (0..count)
            .map(|page| {
                let length = if is_scattered {
                    4 * random.between(1, PAGE_BYTES / 4)
                } else {
                    lba_bytes * random.between(1, PAGE_BYTES / lba_bytes)
                };
                let offset = page * PAGE_BYTES + 4 * random.below((PAGE_BYTES - length) / 4 + 1);
                RelativeDescriptor { identifier: DATA_BLOCK, offset, length: length as u32 }
            })
            .collect();
        let bytes: u64 = blocks.iter().map(|block| u64::from(block.length)).sum();
        // Now and then more is wanted than there is, or less.
        let wanted = (bytes / lba_bytes + u64::from(random.below(16) == 0)).max(1);
        let wanted = if random.below(8) == 0 { random.between(1, wanted) } else { wanted };
        let transfer = IoTransfer {
            write: random.below(2) == 0,
            nsid: identity.nsid,
            lba: random.below(SPAN),
            blocks: wanted as u32,
        };
        if random.below(4) == 0 {
            blocks.insert(
                random.below(count + 1) as usize,
                RelativeDescriptor { identifier: DATA_BLOCK, offset: 0, length: 0 },
            );
        }
        let alone = blocks.len() == 1 && random.below(2) == 0;
        let mut case = if alone {
            Self { transfer, first: blocks[0], descriptors: vec![] }
        } else {
            Self::in_segments(random, transfer, &blocks)
        };
        if random.below(4) == 0 {
            match random.below(case.descriptors.len() as u64 + 1) as usize {
                0 => case.first.spoil(random),
                n => case.descriptors[n - 1].spoil(random),
            }
        }
        case
    }

    /// Executes the command: its status, and all data pages if it succeeded.
    fn run(&self, side: &mut Side<'_>, content: &[u8]) -> Result<(Status, Vec<u8>), DriverError> {
        side.store(0, content);
        for (number, descriptor) in self.descriptors.iter().enumerate() {
            let halves = descriptor.at(side.pages).halves();
            let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
            side.store(DATA_PAGES * PAGE_BYTES + 16 * number as u64, &bytes);
        }
        let entry = with_sgl(self.transfer.entry([0, 0]), self.first.at(side.pages));
        let completion = side.running.host.execute(1, entry, &[])?;
        let data = if completion.status.is_success() { side.data() } else { Vec::new() };
        Ok((completion.status.code(), data))
    }

    /// Writes zeroes where a failed Write may have left a part of its data.
    fn overwrite(&self, side: &mut Side<'_>) -> Result<(), DriverError> {
        let identity = side.running.identity;
        let zeroes = vec![0; (self.transfer.blocks * identity.lba_bytes) as usize];
        side.running.host.write(&identity, self.transfer.lba, &zeroes)
    }
}

/// Status and data of Read and Write with SGLs are those of the reference model.
///
/// Cases: F1, F2, F3, F4, F5, F6, F7.
#[test]
fn sgls_bring_the_same_as_on_the_reference_model() {
    every_back_end(end_as_on_the_reference_model::<SglCase>);
}

/// Logical blocks from which a Copy of the differential test copies, and, behind them, to which.
const COPY_SPAN: u64 = 12;

/// A Copy that is right or nearly right. Its ranges are in the first pages of data.
#[derive(Debug)]
struct CopyCase {
    entry: SqEntry,
    /// Where the ranges are in the pages.
    offset: u64,
    ranges: Vec<SourceRange>,
    identity: Identity,
}

impl RandomCase for CopyCase {
    fn random(random: &mut Random, identity: &Identity) -> Self {
        let one_in = |random: &mut Random, n| random.below(n) == 0;
        let mut left = random.between(1, COPY_SPAN);
        let destination = COPY_SPAN + random.below(COPY_SPAN - left + 1);
        let destination = if one_in(random, 20) { identity.blocks - random.below(left) } else { destination };
        let mut ranges = vec![];
        while left > 0 {
            let blocks = random.between(1, left);
            let mut range = SourceRange::new_zeroed();
            random.fill(range.as_mut_bytes());
            range.slba = random.below(COPY_SPAN - blocks + 1).into();
            range.nlb = ((blocks - 1) as u16).into();
            if one_in(random, 30) {
                range.slba = (*random.pick(&[identity.blocks - blocks + 1, u64::MAX])).into();
            }
            if one_in(random, 40) {
                range.nlb = (*random.pick(&[4096, 0xFFFF])).into();
            }
            ranges.push(range);
            left -= blocks;
        }
        let count = if one_in(random, 20) { random.below(256) } else { ranges.len() as u64 - 1 };
        let format = if one_in(random, 20) { random.below(16) } else { 0 };
        let entry = SqEntry {
            opcode: io::COPY,
            flags: if one_in(random, 20) { random.next_u64() as u8 & 0x3F } else { 0 },
            nsid: if one_in(random, 20) { random.next_u64() as u32 } else { identity.nsid }.into(),
            cdw10: cdw([
                destination as u32,
                (destination >> 32) as u32,
                (count | format << 8) as u32 | (random.next_u64() as u32) << 12,
                random.next_u64() as u32,
                random.next_u64() as u32,
                random.next_u64() as u32,
            ]),
            ..SqEntry::default()
        };
        // Up to the end of a page, and into the next one.
        let offset = random.below(PAGE_BYTES / 4) * 4 + if one_in(random, 30) { 2 } else { 0 };
        Self { entry, offset, ranges, identity: *identity }
    }

    /// Executes the command: its status, and all blocks.
    fn run(&self, side: &mut Side<'_>, content: &[u8]) -> Result<(Status, Vec<u8>), DriverError> {
        let mut blocks = vec![0; (2 * COPY_SPAN * u64::from(self.identity.lba_bytes)) as usize];
        Random::new(u64::from_le_bytes(std::array::from_fn(|at| content[at]))).fill(&mut blocks);
        side.running.host.write(&self.identity, 0, &blocks)?;
        // What is behind the ranges are ranges that no namespace has.
        side.store(0, &vec![0xFF; (2 * PAGE_BYTES) as usize]);
        side.store(self.offset, self.ranges.as_bytes());
        let prp = [side.pages + self.offset, side.pages + PAGE_BYTES];
        let entry = SqEntry { prp: wire_prps(prp), ..self.entry };
        let completion = side.running.host.execute(1, entry, &[])?;
        assert!(completion.status.is_success() || completion.result == 0, "nothing was copied");
        side.running.host.read(&self.identity, 0, &mut blocks)?;
        Ok((completion.status.code(), blocks))
    }

    fn overwrite(&self, _: &mut Side<'_>) -> Result<(), DriverError> {
        Ok(())
    }
}

/// What Copy leaves in all blocks, also if it is refused, is what it leaves on the reference model.
///
/// Cases: K16.
#[test]
fn copies_are_those_of_the_reference_model() {
    every_back_end(|device| {
        // Where there is none, it is refused: see the chapter of Copy.
        let mut running = bring_up(device)?;
        let can_copy = running.identity.controller.oncs.get() & oncs::COPY != 0;
        // The last message of this life may still be on its way, which the next one does not know.
        running.host.disable()?;
        if !can_copy {
            return Ok(());
        }
        end_as_on_the_reference_model::<CopyCase>(device)
    });
}

/// Features that admin commands of the differential test name, apart from random ones.
const FEATURES: &[u8] = &[
    fid::ARBITRATION,
    fid::POWER_MANAGEMENT,
    fid::TEMPERATURE_THRESHOLD,
    fid::ERROR_RECOVERY,
    fid::INTERRUPT_COALESCING,
    fid::INTERRUPT_VECTOR_CONFIGURATION,
    fid::WRITE_ATOMICITY,
    fid::ASYNC_EVENT_CONFIGURATION,
    fid::KEEP_ALIVE_TIMER,
    fid::HOST_IDENTIFIER,
    fid::NAMESPACE_WRITE_PROTECTION,
];

/// An admin command that is right or nearly right, its data at the start of the pages, and whether its data must be the same on all devices.
#[derive(Debug)]
struct AdminCase {
    entry: SqEntry,
    content: Vec<u8>,
    data_is_determined: bool,
}

impl AdminCase {
    fn random(random: &mut Random) -> Self {
        let opcode = *random.pick(&[
            admin::IDENTIFY,
            admin::IDENTIFY,
            admin::GET_LOG_PAGE,
            admin::GET_FEATURES,
            admin::SET_FEATURES,
            admin::SET_FEATURES,
            admin::CREATE_IO_CQ,
            admin::CREATE_IO_SQ,
            admin::DELETE_IO_CQ,
            admin::DELETE_IO_SQ,
            admin::ABORT,
            admin::NAMESPACE_MANAGEMENT,
            admin::NAMESPACE_MANAGEMENT,
            admin::NAMESPACE_ATTACHMENT,
            admin::FORMAT_NVM,
            admin::FIRMWARE_IMAGE_DOWNLOAD,
            admin::FIRMWARE_COMMIT,
            admin::KEEP_ALIVE,
        ]);
        let mut entry = SqEntry { opcode, ..SqEntry::default() };
        let mut content = vec![0; PAGE_BYTES as usize];
        let mut data_is_determined = false;
        entry.nsid = (*random.pick(&[0, 0, 1, 1, 2, 3, 8, 9, 0xFFFF_FFFE, 0xFFFF_FFFF])).into();
        let small = |random: &mut Random| random.below(5) as u32;
        let dwords = match opcode {
            admin::IDENTIFY => {
                let structure = *random.pick(&[0, 0, 2, 5, 6, 7, 8, 0xF, 0x10, 0x11, 0x12, 0x13, 0x14, 0x1C, 0x20]);
                data_is_determined = true;
                [structure | ((small(random) / 3) << 16), if random.below(8) == 0 { 1 << 24 } else { 0 }]
            }
            admin::GET_LOG_PAGE => {
                let log_page = *random.pick(&[0, 3, 4, 5, 6, 0x81, 0xC1]);
                entry.nsid = (*random.pick(&[0, 1, 0xFFFF_FFFF])).into();
                data_is_determined = true;
                [log_page | (random.below(1024) as u32) << 16 | (random.below(2) as u32) << 15, 0]
            }
            admin::GET_FEATURES | admin::SET_FEATURES => {
                let feature = if random.below(8) == 0 { random.below(256) as u8 } else { *random.pick(FEATURES) };
                if matches!(feature, fid::TIMESTAMP | fid::NUMBER_OF_QUEUES) {
                    // A matter of time, and of what other functions have.
                    return Self::random(random);
                }
                data_is_determined = feature == fid::HOST_IDENTIFIER && opcode == admin::GET_FEATURES;
                let select = if random.below(4) == 0 { (random.below(8) as u32) << 8 } else { 0 };
                let save = if random.below(12) == 0 { 1 << 31 } else { 0 };
                if feature != fid::ERROR_RECOVERY && feature != fid::NAMESPACE_WRITE_PROTECTION && random.below(6) != 0
                {
                    entry.nsid = 0.into();
                }
                let value = match feature {
                    // No time of a host that is silent ends in this test.
                    fid::KEEP_ALIVE_TIMER => 1_000_000 + small(random),
                    _ if random.below(3) == 0 => random.next_u64() as u32,
                    _ => small(random) | small(random) << 16,
                };
                let modifier = if opcode == admin::SET_FEATURES { save } else { select };
                [u32::from(feature) | modifier, value]
            }
            admin::CREATE_IO_CQ | admin::CREATE_IO_SQ => {
                let size = *random.pick(&[0, 1, 15, 63, 0xFFFF]);
                let contiguous = u32::from(random.below(10) != 0);
                [size << 16 | small(random), small(random) << 16 | small(random) << 1 & 6 | contiguous]
            }
            admin::NAMESPACE_MANAGEMENT => {
                let blocks = *random.pick(&[0_u64, 1, 8, 100, 4096, 20_000, 1 << 40, u64::MAX]);
                let capacity = if random.below(8) == 0 { blocks / 2 } else { blocks };
                content[..8].copy_from_slice(&blocks.to_le_bytes());
                content[8..16].copy_from_slice(&capacity.to_le_bytes());
                content[26] = *random.pick(&[0, 0, 0, 1, 1, 2, 0x10]);
                content[30] = *random.pick(&[0, 0, 1, 2]);
                [*random.pick(&[0, 0, 1, 2]), 0]
            }
            admin::NAMESPACE_ATTACHMENT => {
                content[..2].copy_from_slice(&(*random.pick(&[0_u16, 1, 1, 1, 2, 0xFFFF])).to_le_bytes());
                content[2..4].copy_from_slice(&(*random.pick(&[0_u16, 0, 0, 1])).to_le_bytes());
                [*random.pick(&[0, 0, 0, 1, 2]), 0]
            }
            admin::FORMAT_NVM => [*random.pick(&[0, 1, 2, 0x10, 0x20, 0x200, 0x1000]), 0],
            admin::FIRMWARE_IMAGE_DOWNLOAD => {
                let header = ImageHeader::new(*b"diff    ", &content[HEADER_BYTES as usize..512]);
                content[..HEADER_BYTES as usize].copy_from_slice(header.as_bytes());
                content[random.below(512) as usize] ^= u8::from(random.below(3) == 0);
                let dwords = *random.pick(&[0, 127, 127, 127, 1023, 1024]);
                [dwords, *random.pick(&[0, 0, 0, 1, 128, 0xFFFF_FFFF])]
            }
            admin::FIRMWARE_COMMIT => [small(random) | (random.below(8) as u32) << 3, 0],
            _ => [small(random), small(random)],
        };
        entry.cdw10 = cdw([dwords[0], dwords[1], 0, 0, 0, 0]);
        if random.below(24) == 0 {
            entry.flags = random.below(256) as u8;
        }
        Self { entry, content, data_is_determined }
    }

    /// Status, result and, if it is determined, data.
    fn run(&self, side: &mut Side<'_>) -> Result<(Status, u32, Vec<u8>), DriverError> {
        side.store(0, &self.content);
        let entry = SqEntry { prp: wire_prps([side.pages, side.pages + PAGE_BYTES]), ..self.entry };
        let completion = side.running.host.execute(0, entry, &[])?;
        let data = if self.data_is_determined { side.data()[..PAGE_BYTES as usize].to_vec() } else { Vec::new() };
        Ok((completion.status.code(), completion.result, data))
    }
}

/// Status, result and data of admin commands are those of the reference model, also after controller resets.
#[test]
fn admin_commands_end_as_on_the_reference_model() {
    every_back_end(|device| {
        let mut subject = Side::new(device)?;
        let identity = subject.running.identity;
        let controller = identity.controller;
        // A second function shares a namespace with the first.
        let shared_blocks = match controller.cmic & 2 {
            0 => 0,
            _ => {
                let host = &mut subject.running.host;
                let (_, data) = host.admin_data(identify_entry(cns::NAMESPACE, 2), IDENTIFY_BYTES as usize)?;
                crate::expect::wire::<IdentifyNamespace>(&data).nsze.get()
            }
        };
        let config = Config {
            functions: if shared_blocks > 0 { 2 } else { 1 },
            shared_blocks,
            lba_bytes: identity.lba_bytes,
            blocks: identity.blocks,
            io_queues: crate::expect::vectors(&mut subject.running.host) - 1,
            queue_entries_max: crate::expect::queue_entries_max(&mut subject.running.host),
            is_managed: controller.oacs.get() & oacs::NAMESPACE_MANAGEMENT != 0,
            can_erase: controller.sanicap.get() != 0,
            can_copy: controller.oncs.get() & oncs::COPY != 0,
            spare_bytes: controller.unvmcap.get() as u64,
            ..Config::DEFAULT
        };
        let mut reference = ModelDevice::new(config, HostMemory::new());
        let mut reference = Side::new(&mut reference)?;
        let mut random = Random::new(seed());
        let mut successes = 0;
        let count = rounds(&mut subject.running.host, 3000, 400);
        for number in 0..count {
            if random.below(50) == 0 {
                for side in [&mut subject, &mut reference] {
                    side.running.host.disable()?;
                    side.running.host.enable()?;
                }
            }
            let case = AdminCase::random(&mut random);
            let expected = case.run(&mut reference)?;
            let got = case.run(&mut subject)?;
            assert_eq!((got.0, got.1), (expected.0, expected.1), "command {number}: {:x?}", case.entry);
            assert!(got.2 == expected.2, "command {number} left other data: {:x?}", case.entry);
            successes += u32::from(got.0.is_success());
        }
        assert!(successes > count / 8, "only {successes} of {count} commands succeeded");
        Ok(())
    });
}
