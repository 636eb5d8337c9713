//! Dataset Management. NVM Command Set, "Dataset Management command".

use core::mem::size_of;
use core::ops::Range;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::decode::{aligned_pointer, blocks_of, check_named, NamespaceInfo};
use crate::limits::ERASURE_RANGES;
use crate::opcode::io;
use crate::{SqEntry, Status};

/// A range of logical blocks in the data of the command.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct DatasetRange {
    /// Context Attributes: hints, which are ignored.
    pub attributes: U32,
    /// Length in logical blocks.
    pub blocks: U32,
    /// Starting LBA.
    pub lba: U64,
}

const _: () = assert!(size_of::<DatasetRange>() == 16);

impl DatasetRange {
    /// The blocks that it names, which the namespace must have; none if its length is 0.
    pub fn decode(&self, namespace: &NamespaceInfo) -> Result<Range<u64>, Status> {
        let (start, blocks) = (self.lba.get(), u64::from(self.blocks.get()));
        if blocks == 0 {
            return Ok(0..0);
        }
        blocks_of(start, blocks, namespace)
    }
}

/// Command dword 11: Attribute - Deallocate.
pub const DEALLOCATE: u32 = 1 << 2;

/// The command: firmware executes it. Blocks that are deallocated read as zero. All ranges are looked at before anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatasetManagement {
    /// Number of ranges, from 1 to 256.
    pub ranges: u32,
    /// The host needs the blocks no longer. Without this the command is a hint, and does nothing.
    pub deallocates: bool,
}

impl DatasetManagement {
    /// The command in an entry of an I/O submission queue; `None` if it has another opcode. `Err` is the completion that the host gets.
    pub fn decode(sqe: &SqEntry, namespace: &NamespaceInfo) -> Option<Result<Self, Status>> {
        (sqe.opcode == io::DATASET_MANAGEMENT).then(|| Self::check(sqe, namespace))
    }

    fn check(sqe: &SqEntry, namespace: &NamespaceInfo) -> Result<Self, Status> {
        check_named(sqe, namespace)?;
        let deallocates = sqe.cdw(11) & DEALLOCATE != 0;
        if deallocates && namespace.is_write_protected {
            return Err(Status::NAMESPACE_WRITE_PROTECTED);
        }
        if deallocates {
            aligned_pointer(sqe)?;
        }
        // Number of Ranges is one less, and has eight bits.
        Ok(Self { ranges: (sqe.cdw(10) & 0xFF) + 1, deallocates })
    }

    /// Bytes of the data: the ranges.
    pub const fn bytes(&self) -> u32 {
        self.ranges * size_of::<DatasetRange>() as u32
    }
}

const _: () = assert!(ERASURE_RANGES == 1 << 8);

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: NamespaceInfo = NamespaceInfo { nsid: 1, blocks: 1000, is_write_protected: false };

    fn entry(cdw10: u32, cdw11: u32) -> SqEntry {
        let mut entry = SqEntry { opcode: 9, nsid: 1.into(), ..SqEntry::default() };
        (entry.cdw10[0], entry.cdw10[1]) = (cdw10.into(), cdw11.into());
        entry
    }

    #[test]
    fn the_command_is_found_and_checked() {
        let decode = |entry: &SqEntry| DatasetManagement::decode(entry, &NAMESPACE).unwrap();
        assert_eq!(decode(&entry(0, 4)), Ok(DatasetManagement { ranges: 1, deallocates: true }));
        assert_eq!(decode(&entry(0xFFFF_FFFF, 3)), Ok(DatasetManagement { ranges: 256, deallocates: false }));
        assert_eq!(decode(&entry(255, 4)).unwrap().bytes(), 4096);
        assert_eq!(decode(&SqEntry { flags: 1, ..entry(0, 4) }), Err(Status::INVALID_FIELD));
        assert_eq!(decode(&SqEntry { flags: 0x80, ..entry(0, 4) }), Err(Status::INVALID_FIELD));
        assert!(decode(&SqEntry { flags: 0x40, ..entry(0, 4) }).is_ok(), "an SGL");
        let misplaced = SqEntry { prp: [2.into(), 0.into()], ..entry(0, 4) };
        assert_eq!(decode(&misplaced), Err(Status::INVALID_PRP_OFFSET));
        for nsid in [0, 2, !0] {
            let entry = SqEntry { nsid: nsid.into(), ..entry(0, 4) };
            assert_eq!(decode(&entry), Err(Status::INVALID_NAMESPACE), "{nsid}");
        }
        let protected = NamespaceInfo { is_write_protected: true, ..NAMESPACE };
        let decode = |cdw11| DatasetManagement::decode(&entry(0, cdw11), &protected).unwrap();
        assert_eq!(decode(4), Err(Status::NAMESPACE_WRITE_PROTECTED));
        assert!(decode(3).is_ok());
        assert_eq!(DatasetManagement::decode(&SqEntry { opcode: 8, ..entry(0, 4) }, &NAMESPACE), None);
    }

    #[test]
    fn ranges_end_with_the_namespace() {
        let range =
            |lba: u64, blocks: u32| DatasetRange { attributes: (!0).into(), blocks: blocks.into(), lba: lba.into() };
        let decode = |lba, blocks| range(lba, blocks).decode(&NAMESPACE);
        assert_eq!(decode(0, 1000), Ok(0..1000));
        assert_eq!(decode(999, 1), Ok(999..1000));
        for (lba, blocks) in [(999, 2), (1000, 1), (u64::MAX, 1), (u64::MAX - 1, u32::MAX), (0, 1001)] {
            assert_eq!(decode(lba, blocks), Err(Status::LBA_OUT_OF_RANGE), "{lba}, {blocks}");
        }
        assert_eq!(decode(u64::MAX, 0).map(|range| range.is_empty()), Ok(true));
    }
}
