//! Read, Write and Flush. NVM Command Set, "NVM Command Set Commands".

use nvme_spec::{decode_io, IoCommand, Limits, NamespaceInfo, SqEntry, Status, Transfer};

use crate::host::{HostError, HostPort};
use crate::model::{Model, FUNCTION};
use crate::prp::{walk, Segment};
use crate::storage::Storage;

/// A Read or Write under way: one segment of host memory is moved at a time.
pub(crate) struct Move {
    is_write: bool,
    /// Where the data is in the namespace, in bytes.
    at: u64,
    data: Vec<u8>,
    segments: Vec<Segment>,
    next: usize,
    moved: usize,
}

impl Move {
    /// Moves one segment; the result when it was the last one.
    ///
    /// The blocks of a Write change only when all of its data is there: nothing is torn, whatever fails.
    pub(crate) fn advance(&mut self, host: &mut dyn HostPort, storage: &mut Storage) -> Option<Result<(), Status>> {
        let segment = self.segments[self.next];
        let part = &mut self.data[self.moved..][..segment.bytes as usize];
        let result = if self.is_write {
            host.read(FUNCTION, segment.address, part)
        } else {
            host.write(FUNCTION, segment.address, part)
        };
        if let Err(HostError) = result {
            return Some(Err(Status::DATA_TRANSFER_ERROR));
        }
        self.moved += part.len();
        self.next += 1;
        if self.next < self.segments.len() {
            return None;
        }
        if self.is_write {
            storage.write(self.at, &self.data);
        }
        Some(Ok(()))
    }
}

impl Model {
    /// What an I/O command moves, or nothing.
    pub(crate) fn decode(&self, entry: &SqEntry, host: &mut dyn HostPort) -> Result<Option<Move>, Status> {
        let limits = Limits { lba_bytes: self.config.lba_bytes, ..Limits::DEFAULT };
        let namespace = NamespaceInfo { nsid: nvme_spec::limits::NSID, blocks: self.config.blocks };
        match decode_io(entry, &namespace, &limits)? {
            // Without a volatile write cache all data is durable when its command completes.
            IoCommand::Flush => Ok(None),
            IoCommand::Write(transfer) => self.movement(&transfer, true, host).map(Some),
            IoCommand::Read(transfer) => self.movement(&transfer, false, host).map(Some),
        }
    }

    fn movement(&self, transfer: &Transfer, is_write: bool, host: &mut dyn HostPort) -> Result<Move, Status> {
        let lba_bytes = u64::from(self.config.lba_bytes);
        let bytes = u64::from(transfer.range.blocks()) * lba_bytes;
        let segments = walk(host, FUNCTION, transfer.prp, bytes)?;
        let at = transfer.range.start() * lba_bytes;
        let mut data = vec![0; bytes as usize];
        if !is_write {
            self.storage.read(at, &mut data);
        }
        Ok(Move { is_write, at, data, segments, next: 0, moved: 0 })
    }
}
