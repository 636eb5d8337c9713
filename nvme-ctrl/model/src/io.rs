//! The commands of the NVM command set. NVM Command Set, "NVM Command Set Commands".

use std::mem::size_of;

use nvme_spec::copy::{Copy, SourceRange};
use nvme_spec::dataset::{DatasetManagement, DatasetRange};
use nvme_spec::entry::FUSE;
use nvme_spec::limits::UNIT_BYTES;
use nvme_spec::{
    decode_fused, decode_io, DataPointer, IoCommand, LbaRange, Limits, NamespaceInfo, SqEntry, Status, Transfer,
};
use zerocopy::FromBytes;

use crate::controller::Controller;
use crate::host::{HostError, HostPort};
use crate::prp::{self, Segment};
use crate::sgl;
use crate::storage::Storage;

/// What is done with the data of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Write,
    Read,
    Compare,
}

/// A Read, Write or Compare under way: one segment of host memory is moved at a time.
pub(crate) struct Move {
    way: Way,
    function: u8,
    /// The namespace, and its version.
    pub(crate) namespace: (u32, u32),
    /// Where the data is in the storage, in bytes.
    at: u64,
    data: Vec<u8>,
    /// What a Write must find: it is fused with a Compare.
    expected: Option<Vec<u8>>,
    segments: Vec<Segment>,
    next: usize,
    moved: usize,
}

impl Move {
    /// Whether it changes blocks.
    pub(crate) fn writes(&self) -> bool {
        self.way == Way::Write
    }

    /// Moves one segment; the result when it was the last one.
    ///
    /// The blocks of a Write change only when all of its data is there: nothing is torn, whatever fails.
    pub(crate) fn advance(&mut self, host: &mut dyn HostPort, storage: &mut Storage) -> Option<Result<(), Status>> {
        let segment = self.segments[self.next];
        let part = &mut self.data[self.moved..][..segment.bytes as usize];
        let result = match self.way {
            Way::Write | Way::Compare => host.read(self.function, segment.address, part),
            Way::Read => host.write(self.function, segment.address, part),
        };
        if let Err(HostError) = result {
            return Some(Err(Status::DATA_TRANSFER_ERROR));
        }
        self.moved += part.len();
        self.next += 1;
        if self.next < self.segments.len() {
            return None;
        }
        let expected = match self.way {
            Way::Compare => Some(&self.data),
            Way::Write => self.expected.as_ref(),
            Way::Read => None,
        };
        if let Some(Err(status)) = expected.map(|expected| compare(storage, self.at, expected)) {
            return Some(Err(status));
        }
        match self.way {
            Way::Write => storage.write(self.at, &self.data),
            Way::Read | Way::Compare => {}
        }
        Some(Ok(()))
    }
}

impl Move {
    /// The data of a Compare.
    pub(crate) fn take_compared(&mut self) -> Option<Vec<u8>> {
        (self.way == Way::Compare).then(|| std::mem::take(&mut self.data))
    }
}

/// Compares data with the storage, one unit of the hardware after the other: the first that cannot be read or differs decides.
fn compare(storage: &Storage, at: u64, expected: &[u8]) -> Result<(), Status> {
    for (at, expected) in (at..).step_by(UNIT_BYTES as usize).zip(expected.chunks(UNIT_BYTES as usize)) {
        let mut stored = vec![0; expected.len()];
        storage.check(at, stored.len() as u64)?;
        storage.read(at, &mut stored);
        if stored != expected {
            return Err(Status::COMPARE_FAILURE);
        }
    }
    Ok(())
}

/// The pieces of host memory that the data of a command covers.
pub(crate) fn walk(
    host: &mut dyn HostPort,
    function: u8,
    pointer: DataPointer,
    bytes: u64,
) -> Result<Vec<Segment>, Status> {
    match pointer {
        DataPointer::Prp(prp) => prp::walk(host, function, prp, bytes),
        DataPointer::Sgl(first) => sgl::walk(host, function, first, bytes),
    }
}

impl Controller {
    /// The first half of a Compare and Write.
    pub(crate) fn fused_compare(&self, pair: [&SqEntry; 2], host: &mut dyn HostPort) -> Result<Move, [Status; 2]> {
        let nsid = pair[0].nsid.get();
        let limits = Limits { lba_bytes: self.subsystem.lba_bytes(nsid), ..Limits::DEFAULT };
        let commands = decode_fused(pair, &self.subsystem.info(self.function, nsid), &limits)?;
        let failed = |status| [status, Status::FAILED_FUSED_COMMAND];
        let [IoCommand::Compare(transfer), _] = commands else {
            return Err(failed(Status::INTERNAL_ERROR));
        };
        self.movement(nsid, &transfer, Way::Compare, host).map_err(failed)
    }

    /// The second half: nothing may have come between.
    pub(crate) fn fused_write(
        &self,
        write: &SqEntry,
        expected: Vec<u8>,
        host: &mut dyn HostPort,
    ) -> Result<Move, Status> {
        let nsid = write.nsid.get();
        let limits = Limits { lba_bytes: self.subsystem.lba_bytes(nsid), ..Limits::DEFAULT };
        let alone = SqEntry { flags: write.flags & !FUSE, ..*write };
        match decode_io(&alone, &self.subsystem.info(self.function, nsid), &limits)? {
            IoCommand::Write(transfer) => {
                let movement = self.movement(nsid, &transfer, Way::Write, host)?;
                Ok(Move { expected: Some(expected), ..movement })
            }
            _ => Err(Status::INTERNAL_ERROR),
        }
    }

    /// What an I/O command moves, or nothing if it is done.
    pub(crate) fn decode(&mut self, entry: &SqEntry, host: &mut dyn HostPort) -> Result<Option<Move>, Status> {
        let nsid = entry.nsid.get();
        let limits = Limits { lba_bytes: self.subsystem.lba_bytes(nsid), ..Limits::DEFAULT };
        let namespace = self.subsystem.info(self.function, nsid);
        match decode_io(entry, &namespace, &limits)? {
            // Without a volatile write cache all data is durable when its command completes.
            IoCommand::Flush => Ok(None),
            IoCommand::Write(transfer) => self.movement(nsid, &transfer, Way::Write, host).map(Some),
            IoCommand::Read(transfer) => self.movement(nsid, &transfer, Way::Read, host).map(Some),
            IoCommand::Compare(transfer) => self.movement(nsid, &transfer, Way::Compare, host).map(Some),
            IoCommand::WriteZeroes(range) | IoCommand::Deallocate(range) => {
                let (at, bytes) = self.place(nsid, range)?;
                self.subsystem.storage.write(at, &vec![0; bytes]);
                Ok(None)
            }
            IoCommand::WriteUncorrectable(range) => {
                let (at, bytes) = self.place(nsid, range)?;
                self.subsystem.storage.mark(at, bytes as u64);
                Ok(None)
            }
            IoCommand::Verify(range) => {
                let (at, bytes) = self.place(nsid, range)?;
                self.subsystem.storage.check(at, bytes as u64)?;
                Ok(None)
            }
        }
    }

    fn movement(&self, nsid: u32, transfer: &Transfer, way: Way, host: &mut dyn HostPort) -> Result<Move, Status> {
        let (at, bytes) = self.place(nsid, transfer.range)?;
        let namespace = (nsid, self.subsystem.namespaces[&nsid].version);
        let segments = walk(host, self.function, transfer.pointer, bytes as u64)?;
        let mut data = vec![0; bytes];
        if way == Way::Read {
            self.subsystem.storage.check(at, bytes as u64)?;
            self.subsystem.storage.read(at, &mut data);
        }
        Ok(Move { way, function: self.function, namespace, at, data, expected: None, segments, next: 0, moved: 0 })
    }

    /// Dataset Management: blocks that are deallocated read as zero, and everything else is a hint.
    pub(crate) fn manage_dataset(
        &mut self,
        entry: &SqEntry,
        info: &NamespaceInfo,
        command: &DatasetManagement,
        host: &mut dyn HostPort,
    ) -> Result<(), Status> {
        if !command.deallocates {
            return Ok(());
        }
        let data = self.fetch_data(entry, command.bytes(), host)?;
        let namespace = self.subsystem.active(self.function, info.nsid).ok_or(Status::INVALID_NAMESPACE)?;
        let (at, lba_bytes) = (namespace.at, u64::from(namespace.lba_bytes));
        let ranges = data.chunks_exact(size_of::<DatasetRange>()).map(|range| {
            let range = DatasetRange::read_from_bytes(range).map_err(|_| Status::INTERNAL_ERROR)?;
            range.decode(info)
        });
        for blocks in ranges.collect::<Result<Vec<_>, _>>()? {
            let bytes = (blocks.end - blocks.start) * lba_bytes;
            self.subsystem.storage.erase(at + blocks.start * lba_bytes, bytes);
        }
        Ok(())
    }

    /// Copy: one range after the other, in pieces of a unit of the hardware. If it fails, also the number of the first range that was not copied.
    pub(crate) fn copy(
        &mut self,
        entry: &SqEntry,
        info: &NamespaceInfo,
        command: &Copy,
        host: &mut dyn HostPort,
    ) -> Result<(), (Status, u32)> {
        let at_once = |status| (status, 0);
        let data = self.fetch_data(entry, command.bytes(), host).map_err(at_once)?;
        let ranges = data.chunks_exact(size_of::<SourceRange>());
        let ranges = ranges.map(|range| SourceRange::read_from_bytes(range).map_err(|_| (Status::INTERNAL_ERROR, 0)));
        let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
        let written = command.check_ranges(ranges.iter().copied(), info).map_err(at_once)?;
        let namespace = self.subsystem.active(self.function, info.nsid).ok_or((Status::INVALID_NAMESPACE, 0))?;
        let (at, lba_bytes) = (namespace.at, u64::from(namespace.lba_bytes));
        let mut to = at + written.start * lba_bytes;
        let storage = &mut self.subsystem.storage;
        for (number, range) in (0..).zip(ranges) {
            let blocks = range.decode(info).map_err(at_once)?;
            let (from, end) = (at + blocks.start * lba_bytes, at + blocks.end * lba_bytes);
            for from in (from..end).step_by(UNIT_BYTES as usize) {
                let bytes = (end - from).min(u64::from(UNIT_BYTES));
                let mut content = vec![0; bytes as usize];
                storage.check(from, bytes).map_err(|status| (status, number))?;
                storage.read(from, &mut content);
                storage.write(to, &content);
                to += bytes;
            }
        }
        self.admin.count_copy((written.end - written.start) * lba_bytes);
        self.subsystem.count_write();
        Ok(())
    }

    /// The data of a command.
    fn fetch_data(&self, entry: &SqEntry, bytes: u32, host: &mut dyn HostPort) -> Result<Vec<u8>, Status> {
        let mut data = vec![0; bytes as usize];
        let mut done = 0;
        for segment in walk(host, self.function, DataPointer::of(entry)?, data.len() as u64)? {
            let part = &mut data[done..][..segment.bytes as usize];
            done += part.len();
            host.read(self.function, segment.address, part).map_err(|HostError| Status::DATA_TRANSFER_ERROR)?;
        }
        Ok(data)
    }

    /// Where blocks lie in the storage, and how many bytes they have.
    fn place(&self, nsid: u32, range: LbaRange) -> Result<(u64, usize), Status> {
        let namespace = self.subsystem.active(self.function, nsid).ok_or(Status::INVALID_NAMESPACE)?;
        let lba_bytes = u64::from(namespace.lba_bytes);
        Ok((namespace.at + range.start() * lba_bytes, range.blocks() as usize * namespace.lba_bytes as usize))
    }
}
