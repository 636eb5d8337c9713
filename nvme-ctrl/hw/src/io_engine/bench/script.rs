//! Commands with everything they need in host memory and in the storage, and what must come of them.

use super::bytes::Bytes;
use crate::types::{Operation, Target};
use crate::Config;
use nvme_spec::limits::{SECTOR_BYTES, UNIT_BYTES};
use nvme_spec::{opcode, Status};
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::HwEnum;
use std::ops::Range;

/// Bytes of the storage.
pub(crate) const STORAGE_BYTES: u64 = 1 << 32;
/// The part of it that fails.
pub(crate) const BAD_STORAGE: Range<u64> = STORAGE_BYTES / 2..STORAGE_BYTES / 2 + (256 << 20);

const PAGE: u64 = 4096;

/// What is wrong with a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    None,
    /// An entry of the PRPs, not the first one, has an offset.
    EntryOffset,
    /// The list begins at no multiple of eight.
    ListOffset,
    /// A page of the list cannot be read.
    ListMissing,
    /// A page of the data of a write cannot be read.
    DataMissing,
    /// The medium fails.
    Medium,
    /// The storage does not reach that far.
    OutOfRange,
    /// A bit of the data of a Compare is another one.
    Differs,
}

/// A command, and what must come of it.
#[derive(Clone, Debug)]
pub(crate) struct Scripted {
    pub operation: Operation,
    pub target: Target,
    pub lba: u64,
    pub blocks: u64,
    pub bytes: u64,
    pub prp1: u64,
    pub prp2: u64,
    pub pages: Vec<u64>,
    /// A Compare, or the Write behind it.
    pub fused: bool,
    pub status: Status,
}

/// A piece of an errand that copies, and what must come of it.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    pub from: u64,
    pub to: u64,
    pub sectors: u64,
    pub status: Status,
}

/// A sequence of commands on disjoint pieces of host memory and storage. Copies may go on at the same time.
pub(crate) struct Script {
    pub host: Bytes,
    pub storage: Bytes,
    pub expected_host: Bytes,
    pub expected_storage: Bytes,
    pub commands: Vec<Scripted>,
    pub copies: Vec<Copied>,
    pub config: Config,
    rng: Rng,
    next_page: u64,
    next_lba: u64,
    next_bad_lba: u64,
}

impl Script {
    pub fn new(config: Config, rng: Rng) -> Script {
        let [host, storage, expected_host, expected_storage] = [(); 4].map(|()| Bytes::default());
        let next_bad_lba = BAD_STORAGE.start / u64::from(config.lba_bytes);
        let commands = vec![];
        Script {
            host,
            storage,
            expected_host,
            expected_storage,
            commands,
            copies: vec![],
            config,
            rng,
            next_page: 16,
            next_lba: 3,
            next_bad_lba,
        }
    }

    fn random_bytes(&mut self, bytes: u64) -> Vec<u8> {
        (0..bytes.div_ceil(8)).flat_map(|_| self.rng.next_u64().to_le_bytes()).take(bytes as usize).collect()
    }

    /// A page of host memory, filled at random.
    fn page(&mut self) -> u64 {
        self.next_page += 1 + self.rng.below(3);
        let (address, data) = (self.next_page * PAGE, self.random_bytes(PAGE));
        self.host.store(address, &data);
        address
    }

    /// Puts `entries` into a list that begins at entry `start` of a page; gives its address and its pages.
    fn list(&mut self, entries: &[u64], start: u64) -> (u64, Vec<u64>) {
        let first = self.page() + 8 * start;
        let (mut at, mut pages) = (first, vec![first / PAGE * PAGE]);
        for (i, entry) in entries.iter().enumerate() {
            let last_of_page = at % PAGE == PAGE - 8;
            if last_of_page && i + 1 < entries.len() {
                let next = self.page();
                self.host.store(at, &next.to_le_bytes());
                pages.push(next);
                at = next;
            }
            self.host.store(at, &entry.to_le_bytes());
            at += 8;
        }
        (first, pages)
    }

    /// Adds a Flush.
    pub fn flush(&mut self) {
        let [prp1, prp2] = [(); 2].map(|()| self.rng.next_u64());
        let (operation, target, status) = (Operation::Flush, Target::Storage, Status::SUCCESS);
        self.commands.push(Scripted {
            operation,
            target,
            lba: 0,
            blocks: 0,
            bytes: 0,
            prp1,
            prp2,
            pages: vec![],
            fused: false,
            status,
        });
    }

    /// Adds a command whose data begins at `offset` in a page, and whose list, if it needs one, begins at a random place.
    pub fn command(&mut self, operation: Operation, blocks: u64, offset: u64, fault: Fault) {
        let lba_bytes = u64::from(self.config.lba_bytes);
        let bytes = blocks * lba_bytes;
        let count = (offset + bytes).div_ceil(PAGE);
        let mut pages: Vec<u64> = (0..count).map(|_| self.page()).collect();
        self.rng.shuffle(&mut pages);

        // The storage.
        let next = match fault {
            Fault::Medium => &mut self.next_bad_lba,
            _ => &mut self.next_lba,
        };
        let lba = match fault {
            // The first unit begins inside, where it ends outside; a unit of its own that is inside would be executed.
            Fault::OutOfRange => {
                let begins_inside = blocks > 1 && lba_bytes < u64::from(UNIT_BYTES);
                STORAGE_BYTES / lba_bytes - u64::from(begins_inside) + self.rng.below(2) * (1 << 40)
            }
            _ => *next,
        };
        *next += blocks + self.rng.below(4);
        let old = self.random_bytes(bytes);
        if fault != Fault::OutOfRange {
            self.storage.store(lba * lba_bytes, &old);
        }

        if operation == Operation::Compare {
            let mut data = old;
            if fault == Fault::Differs {
                data[self.rng.below(bytes) as usize] ^= 1 << self.rng.below(8);
            }
            for (address, part) in pieces(pages[0] + offset, bytes, &pages) {
                self.host.store(address, &data[part]);
            }
        }

        // The list.
        let [mut prp1, mut prp2] = [pages[0] + offset, self.rng.next_u64()];
        let mut entries = pages[1..].to_vec();
        if fault == Fault::EntryOffset && count > 1 {
            let entry = self.rng.below(count - 1) as usize;
            entries[entry] += 4 << self.rng.below(10);
        }
        let mut list_pages = vec![];
        match entries.as_slice() {
            [] => {}
            [only] => prp2 = *only,
            _ => {
                let near_end = 511 - self.rng.below(4);
                let start = *self.rng.pick(&[0, near_end, 511 - near_end]);
                (prp2, list_pages) = self.list(&entries, start);
            }
        }
        let status = match fault {
            // Nobody looks at the PRPs.
            Fault::EntryOffset | Fault::ListOffset | Fault::ListMissing | Fault::DataMissing
                if matches!(
                    operation,
                    Operation::WriteZeroes | Operation::Deallocate | Operation::WriteUncorrectable | Operation::Verify
                ) =>
            {
                prp1 |= self.rng.below(4);
                Status::SUCCESS
            }
            Fault::EntryOffset if count > 1 => Status::INVALID_PRP_OFFSET,
            Fault::ListOffset if count > 2 => {
                prp2 += 4;
                Status::INVALID_PRP_OFFSET
            }
            Fault::ListMissing if count > 2 => {
                self.host.remove_page(*self.rng.pick(&list_pages));
                Status::DATA_TRANSFER_ERROR
            }
            Fault::DataMissing if matches!(operation, Operation::Write | Operation::Compare) => {
                self.host.remove_page(*self.rng.pick(&pages));
                Status::DATA_TRANSFER_ERROR
            }
            Fault::Medium if matches!(operation, Operation::Write | Operation::WriteZeroes | Operation::Deallocate) => {
                Status::WRITE_FAULT
            }
            Fault::Medium if operation == Operation::WriteUncorrectable => Status::SUCCESS,
            Fault::Medium => Status::UNRECOVERED_READ_ERROR,
            Fault::Differs if operation == Operation::Compare => Status::COMPARE_FAILURE,
            Fault::OutOfRange => Status::LBA_OUT_OF_RANGE,
            _ => Status::SUCCESS,
        };
        if fault == Fault::ListOffset && count <= 2 && self.rng.bool() {
            // PRP1 with an offset that is no multiple of four is refused here too, should `decode` ever let it pass.
            prp1 += 2;
            return self.push(operation, lba, blocks, prp1, prp2, pages, Status::INVALID_PRP_OFFSET);
        }
        self.push(operation, lba, blocks, prp1, prp2, pages, status);
    }

    /// Adds a Compare and Write of one block; the fault is that of the Compare.
    pub fn compare_and_write(&mut self, offsets: [u64; 2], fault: Fault) {
        self.command(Operation::Compare, 1, offsets[0], fault);
        self.command(Operation::Write, 1, offsets[1], Fault::None);
        let [.., compare, write] = &mut self.commands[..] else { unreachable!("two were added") };
        (compare.fused, write.fused, write.lba) = (true, true, compare.lba);
        if compare.status != Status::SUCCESS {
            write.status = Status::FAILED_FUSED_COMMAND;
        }
    }

    /// Adds a transfer between firmware's buffer and `bytes` bytes at `offset` in a page.
    pub fn transfer(&mut self, operation: Operation, bytes: u64, offset: u64) {
        let pages: Vec<u64> = (0..(offset + bytes).div_ceil(PAGE)).map(|_| self.page()).collect();
        let prp2 = pages.get(1).copied().unwrap_or_else(|| self.rng.next_u64());
        let (prp1, target, status) = (pages[0] + offset, Target::Buffer, Status::SUCCESS);
        let fused = false;
        self.commands.push(Scripted { operation, target, lba: 0, blocks: 0, bytes, prp1, prp2, pages, fused, status });
    }

    /// Adds a Copy of `sectors` sectors. The medium fails at either end of it.
    pub fn copy(&mut self, sectors: u64, fault: Fault) {
        let lba_bytes = u64::from(self.config.lba_bytes);
        let reads = self.rng.bool();
        let mut place = |fails: bool| {
            let next = if fails { &mut self.next_bad_lba } else { &mut self.next_lba };
            let sector = *next * lba_bytes / u64::from(SECTOR_BYTES);
            *next += UNIT_BYTES as u64 / lba_bytes;
            sector
        };
        let [mut from, mut to] = [reads, !reads].map(|is_bad_end| place(is_bad_end && fault == Fault::Medium));
        let outside = STORAGE_BYTES / u64::from(SECTOR_BYTES) + self.rng.below(1 << 40);
        let status = match fault {
            Fault::Medium if reads => Status::UNRECOVERED_READ_ERROR,
            Fault::Medium => Status::WRITE_FAULT,
            Fault::OutOfRange => {
                *(if reads { &mut from } else { &mut to }) = outside;
                Status::LBA_OUT_OF_RANGE
            }
            _ => Status::SUCCESS,
        };
        for sector in [from, to].into_iter().filter(|sector| *sector != outside) {
            let data = self.random_bytes(UNIT_BYTES.into());
            self.storage.store(sector * u64::from(SECTOR_BYTES), &data);
        }
        self.copies.push(Copied { from, to, sectors, status });
    }

    #[allow(clippy::too_many_arguments)]
    fn push(
        &mut self,
        operation: Operation,
        lba: u64,
        blocks: u64,
        prp1: u64,
        prp2: u64,
        pages: Vec<u64>,
        status: Status,
    ) {
        let (bytes, target) = (blocks * u64::from(self.config.lba_bytes), Target::Storage);
        let fused = false;
        self.commands.push(Scripted { operation, target, lba, blocks, bytes, prp1, prp2, pages, fused, status });
    }

    /// Works out what must be in memory afterwards.
    pub fn finish(&mut self) {
        self.expected_host = self.host.clone();
        self.expected_storage = self.storage.clone();
        let lba_bytes = u64::from(self.config.lba_bytes);
        for command in self.commands.iter().filter(|c| c.status == Status::SUCCESS && c.target == Target::Storage) {
            let mut at = command.lba * lba_bytes;
            for (address, bytes) in command.pieces() {
                match command.operation {
                    Operation::Read => self.expected_host.store(address, &self.storage.load(at, bytes)),
                    Operation::Write => self.expected_storage.store(at, &self.host.load(address, bytes)),
                    Operation::WriteZeroes | Operation::Deallocate => {
                        self.expected_storage.store(at, &vec![0; bytes as usize])
                    }
                    Operation::Flush | Operation::Verify | Operation::Compare | Operation::WriteUncorrectable => {}
                    Operation::Load | Operation::Store | Operation::Copy => unreachable!("these are of no command"),
                }
                at += bytes;
            }
        }
        let sector_bytes = u64::from(SECTOR_BYTES);
        for copy in self.copies.iter().filter(|copy| copy.status == Status::SUCCESS) {
            let data = self.storage.load(copy.from * sector_bytes, copy.sectors * sector_bytes);
            self.expected_storage.store(copy.to * sector_bytes, &data);
        }
    }

    /// The copies as items of the stream `transfer`, with the command ids behind those of the commands.
    pub fn errands(&self, bench: &Bench) -> Vec<Vec<u64>> {
        let item = |(cid, c): (usize, &Copied)| {
            let fields = bench.fields("transfer").set("cid", cid as u64).set("errand", 1u8);
            let fields = fields.set("operation", Operation::Copy.code()).set("target", Target::Storage.code());
            let fields = fields.set("sector", c.from).set("prp1", c.to);
            fields.set("bytes", c.sectors * u64::from(SECTOR_BYTES)).words()
        };
        (self.commands.len()..).zip(&self.copies).map(item).collect()
    }

    /// Takes over what failed commands left in their own buffers and blocks: that is undefined, but no block is torn.
    pub fn forgive(&mut self, host: &Bytes, storage: &Bytes) {
        let lba_bytes = u64::from(self.config.lba_bytes);
        for command in self.commands.iter().filter(|c| c.status != Status::SUCCESS) {
            match command.operation {
                Operation::Read => {
                    for (address, bytes) in command.pieces() {
                        self.expected_host.store(address, &host.load(address, bytes));
                    }
                }
                // It never began.
                Operation::Write if command.status == Status::FAILED_FUSED_COMMAND => {}
                Operation::Write | Operation::WriteZeroes | Operation::Deallocate
                    if command.status != Status::LBA_OUT_OF_RANGE =>
                {
                    let data: Vec<Option<u8>> = match command.operation {
                        Operation::Write => command.data_in(host).collect(),
                        _ => vec![Some(0); command.bytes as usize],
                    };
                    for (block, new) in (command.lba..).zip(data.chunks(lba_bytes as usize)) {
                        let at = block * lba_bytes;
                        let is = storage.load(at, lba_bytes);
                        let new: Option<Vec<u8>> = new.iter().copied().collect();
                        let is_old = is == self.storage.load(at, lba_bytes);
                        assert!(is_old || Some(&is) == new.as_ref(), "the block at {at:#x} is torn: {command:x?}");
                        self.expected_storage.store(at, &is);
                    }
                }
                _ => {}
            }
        }
    }

    /// The commands as items of the stream `command`, with the command id as their number.
    pub fn items(&self, bench: &Bench) -> Vec<Vec<u64>> {
        let item = |(number, c): (usize, &Scripted)| {
            let fields = bench.fields("command").set("cid", number as u64).set("sqid", number as u64 % 9);
            let nsid = nsid_of(number as u64);
            let fields = fields.set("opcode", c.opcode()).set("nsid", nsid).set("fua", is_forced(nsid) as u8);
            let fields = fields.set("function", 0u8);
            let fields = fields.set("operation", c.operation.code()).set("target", c.target.code());
            let sectors = u64::from(self.config.lba_bytes / SECTOR_BYTES);
            let fields = fields.set("lba", c.lba).set("blocks", c.blocks).set("bytes", c.bytes);
            let fields = fields.set("sector", c.lba * sectors).set("large_blocks", u8::from(sectors > 1));
            let fields = fields.set("fused", c.fused);
            fields.set("prp1", c.prp1).set("prp2", c.prp2).words()
        };
        self.commands.iter().enumerate().map(item).collect()
    }
}

/// The namespace of a command: each has its own, so that the storage can tell whose fields it sees.
pub(crate) fn nsid_of(number: u64) -> u64 {
    number + 1
}

/// Whether commands of this namespace ask for force unit access.
pub(crate) fn is_forced(nsid: u64) -> bool {
    nsid % 2 == 1
}

impl Scripted {
    pub fn opcode(&self) -> u8 {
        match self.operation {
            Operation::Flush => opcode::io::FLUSH,
            Operation::Write => opcode::io::WRITE,
            Operation::Read => opcode::io::READ,
            Operation::WriteZeroes | Operation::Deallocate => opcode::io::WRITE_ZEROES,
            Operation::WriteUncorrectable => opcode::io::WRITE_UNCORRECTABLE,
            Operation::Verify => opcode::io::VERIFY,
            Operation::Compare => opcode::io::COMPARE,
            Operation::Load | Operation::Store | Operation::Copy => unreachable!("these are of no command"),
        }
    }

    /// The bytes of the data in host memory; none for those that cannot be read.
    pub fn data_in<'a>(&self, host: &'a Bytes) -> impl Iterator<Item = Option<u8>> + use<'a> {
        let addresses = self.pieces().into_iter().flat_map(|(address, bytes)| address..address + bytes);
        addresses.map(|address| host.line(address & !63).map(|_| host.load(address, 1)[0]))
    }

    /// Address and length of the pieces of host memory, in the order of the data.
    pub fn pieces(&self) -> Vec<(u64, u64)> {
        pieces(self.prp1, self.bytes, &self.pages).map(|(address, part)| (address, part.len() as u64)).collect()
    }
}

/// The pieces of host memory that `bytes` of data from `prp1` on cover, each with its part of the data.
fn pieces(prp1: u64, bytes: u64, pages: &[u64]) -> impl Iterator<Item = (u64, Range<usize>)> + use<'_> {
    let mut offset = prp1 % PAGE;
    let mut at = 0;
    pages.iter().map(move |page| {
        let piece = (page + offset, at..at + (bytes as usize - at).min((PAGE - offset) as usize));
        (at, offset) = (piece.1.end, 0);
        piece
    })
}
