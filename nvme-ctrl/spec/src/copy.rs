//! Copy. NVM Command Set, "Copy command".

use core::mem::size_of;
use core::ops::Range;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::count::ZeroBased;
use crate::decode::{aligned_pointer, blocks_of, check_named, NamespaceInfo};
use crate::limits::{BUFFER_BYTES, MCL, MSRC, MSSRL};
use crate::opcode::io;
use crate::{SqEntry, Status};

/// A source range in the data of the command: "Source Range Entries Copy Descriptor Format 0h".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct SourceRange {
    /// Reserved in this format.
    pub reserved0: [u8; 8],
    /// Starting LBA.
    pub slba: U64,
    /// Number of Logical Blocks, minus one.
    pub nlb: U16,
    /// Command extensions and source options: nothing in this format.
    pub reserved18: [u8; 6],
    /// Expected Logical Block Tags: there is no protection information.
    pub elbt: U32,
    /// Expected Logical Block Application Tag.
    pub elbat: U16,
    /// Expected Logical Block Application Tag Mask.
    pub elbatm: U16,
}

const _: () = assert!(size_of::<SourceRange>() == 32);

impl SourceRange {
    /// Number of logical blocks, from 1 to 65,536.
    pub const fn blocks(&self) -> u32 {
        ZeroBased::from_raw(self.nlb.get()).count()
    }

    /// The blocks that it names, which the namespace must have.
    pub fn decode(&self, namespace: &NamespaceInfo) -> Result<Range<u64>, Status> {
        if self.blocks() > u32::from(MSSRL) {
            return Err(Status::COMMAND_SIZE_LIMIT_EXCEEDED);
        }
        blocks_of(self.slba.get(), self.blocks().into(), namespace)
    }
}

/// Command dword 12, bits 11:8: Descriptor Format. Identify Controller, OCFS, has a bit for each that is supported.
pub const FORMAT_SHIFT: u32 = 8;

/// The command: firmware executes it. All ranges are looked at before anything is done.
///
/// What the specification ignores without protection information and directives is ignored, and so is Limited Retry. The ranges are copied in
/// their order, so that a destination that overlaps with a source, which a host should not ask for, has a mixture of what was in the blocks before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The first logical block that is written: Starting Destination LBA.
    pub destination: u64,
    /// Number of source ranges, from 1 to [`MSRC`] + 1.
    pub ranges: u32,
}

impl Copy {
    /// The command in an entry of an I/O submission queue; `None` if it has another opcode. `Err` is the completion that the host gets.
    pub fn decode(sqe: &SqEntry, namespace: &NamespaceInfo) -> Option<Result<Self, Status>> {
        (sqe.opcode == io::COPY).then(|| Self::check(sqe, namespace))
    }

    fn check(sqe: &SqEntry, namespace: &NamespaceInfo) -> Result<Self, Status> {
        check_named(sqe, namespace)?;
        if namespace.is_write_protected {
            return Err(Status::NAMESPACE_WRITE_PROTECTED);
        }
        let [ranges, format] = [sqe.cdw(12) & 0xFF, sqe.cdw(12) >> FORMAT_SHIFT & 0xF];
        if format != 0 {
            return Err(Status::INVALID_FIELD);
        }
        if ranges > u32::from(MSRC) {
            return Err(Status::COMMAND_SIZE_LIMIT_EXCEEDED);
        }
        aligned_pointer(sqe)?;
        let destination = u64::from(sqe.cdw(11)) << 32 | u64::from(sqe.cdw(10));
        Ok(Self { destination, ranges: ranges + 1 })
    }

    /// Bytes of the data: the ranges.
    pub const fn bytes(&self) -> u32 {
        self.ranges * size_of::<SourceRange>() as u32
    }

    /// Whether it can be executed: the blocks that are written, or the status of the first mistake.
    pub fn check_ranges(
        &self,
        ranges: impl IntoIterator<Item = SourceRange>,
        namespace: &NamespaceInfo,
    ) -> Result<Range<u64>, Status> {
        let mut blocks = 0;
        for range in ranges {
            let source = range.decode(namespace)?;
            blocks += source.end - source.start;
        }
        if blocks > u64::from(MCL) {
            return Err(Status::COMMAND_SIZE_LIMIT_EXCEEDED);
        }
        blocks_of(self.destination, blocks, namespace)
    }
}

const _: () = assert!((MSRC as u32 + 1) * size_of::<SourceRange>() as u32 <= BUFFER_BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const NAMESPACE: NamespaceInfo = NamespaceInfo { nsid: 1, blocks: 70_000, is_write_protected: false };

    /// Command dwords 10 to 12.
    fn entry(cdw10: u32, cdw11: u32, cdw12: u32) -> SqEntry {
        let mut entry = SqEntry { opcode: 0x19, nsid: 1.into(), ..SqEntry::default() };
        for (dword, value) in entry.cdw10.iter_mut().zip([cdw10, cdw11, cdw12]) {
            *dword = value.into();
        }
        entry
    }

    /// A range by its bytes, as the figure has them; what is not used is all ones.
    fn range(slba: u64, nlb: u16) -> SourceRange {
        let mut bytes = [0xFF; 32];
        bytes[8..16].copy_from_slice(&slba.to_le_bytes());
        bytes[16..18].copy_from_slice(&nlb.to_le_bytes());
        SourceRange::read_from_bytes(&bytes).unwrap()
    }

    #[test]
    fn the_command_is_found_and_checked() {
        let decode = |entry: &SqEntry| Copy::decode(entry, &NAMESPACE).unwrap();
        assert_eq!(decode(&entry(5, 2, 0)), Ok(Copy { destination: 0x2_0000_0005, ranges: 1 }));
        assert_eq!(decode(&entry(5, 0, 127)).unwrap().bytes(), 4096);
        // Protection information, directives, Force Unit Access and Limited Retry.
        assert_eq!(decode(&entry(5, 0, 0xFFFF_F000 | 3)), Ok(Copy { destination: 5, ranges: 4 }));
        for ranges in [128, 255] {
            assert_eq!(decode(&entry(5, 0, ranges)), Err(Status::COMMAND_SIZE_LIMIT_EXCEEDED), "{ranges}");
        }
        for format in 1..16 {
            assert_eq!(decode(&entry(5, 0, format << 8)), Err(Status::INVALID_FIELD), "format {format}");
        }
        for flags in [1, 2, 0x80, 0xC0] {
            assert_eq!(decode(&SqEntry { flags, ..entry(5, 0, 0) }), Err(Status::INVALID_FIELD), "{flags:#x}");
        }
        let misplaced = |flags| SqEntry { flags, prp: [2.into(), 0.into()], ..entry(5, 0, 0) };
        assert_eq!(decode(&misplaced(0)), Err(Status::INVALID_PRP_OFFSET));
        assert!(decode(&misplaced(0x40)).is_ok(), "an SGL");
        for nsid in [0, 2, !0] {
            let entry = SqEntry { nsid: nsid.into(), ..entry(5, 0, 0) };
            assert_eq!(decode(&entry), Err(Status::INVALID_NAMESPACE), "{nsid}");
        }
        let detached = NamespaceInfo { blocks: 0, ..NAMESPACE };
        assert_eq!(Copy::decode(&entry(5, 0, 0), &detached), Some(Err(Status::INVALID_NAMESPACE)));
        let protected = NamespaceInfo { is_write_protected: true, ..NAMESPACE };
        assert_eq!(Copy::decode(&entry(5, 0, 0), &protected), Some(Err(Status::NAMESPACE_WRITE_PROTECTED)));
        assert_eq!(Copy::decode(&SqEntry { opcode: 9, ..entry(5, 0, 0) }, &NAMESPACE), None);
    }

    #[test]
    fn ranges_end_with_the_namespace_and_at_the_limits() {
        let check = |destination, ranges: &[(u64, u16)]| {
            let copy = Copy { destination, ranges: ranges.len() as u32 };
            copy.check_ranges(ranges.iter().map(|(slba, nlb)| range(*slba, *nlb)), &NAMESPACE)
        };
        assert_eq!(check(0, &[(69_999, 0)]), Ok(0..1));
        assert_eq!(check(69_997, &[(69_999, 0), (0, 1)]), Ok(69_997..70_000));
        assert_eq!(check(4096, &[(0, 4095); 16]), Ok(4096..4096 + 65_536));
        let size = Err(Status::COMMAND_SIZE_LIMIT_EXCEEDED);
        assert_eq!(check(0, &[(0, 4096)]), size);
        assert_eq!(check(0, &[(0, 0), (0, 0xFFFF)]), size);
        assert_eq!(check(0, &[[(0, 4095); 16].as_slice(), &[(0, 0)]].concat()), size);
        let outside: [(u64, &[(u64, u16)]); 7] = [
            (0, &[(70_000, 0)]),
            (0, &[(0, 0), (69_999, 1), (0, 0)]),
            (0, &[(u64::MAX, 0)]),
            (0, &[(u64::MAX, 4095)]),
            (70_000, &[(0, 0)]),
            (69_999, &[(0, 0), (0, 0)]),
            (u64::MAX, &[(0, 0)]),
        ];
        for (destination, ranges) in outside {
            assert_eq!(check(destination, ranges), Err(Status::LBA_OUT_OF_RANGE), "{destination}, {ranges:?}");
        }
    }

    proptest! {
        /// Whatever the host sends has an answer, and what is accepted lies inside the namespace and the limits.
        #[test]
        fn every_copy_has_an_answer(
            mut command: [u8; 64],
            mut bytes in proptest::collection::vec(any::<[u8; 32]>(), 128),
            near in any::<bool>(),
        ) {
            command[0] = 0x19;
            if near {
                command[1] = 0;
                command[4..8].copy_from_slice(&1_u32.to_le_bytes());
                command[42..48].fill(0);
                (command[48], command[49]) = (command[48] % 8, 0);
                for range in &mut bytes {
                    range[10..16].fill(0);
                    range[17] %= 32;
                }
            }
            let sqe = SqEntry::read_from_bytes(&command).unwrap();
            let ranges: Vec<_> = bytes.iter().map(|range| SourceRange::read_from_bytes(range).unwrap()).collect();
            match Copy::decode(&sqe, &NAMESPACE).unwrap() {
                Ok(copy) => {
                    let ranges = &ranges[..copy.ranges as usize];
                    if let Ok(written) = copy.check_ranges(ranges.iter().copied(), &NAMESPACE) {
                        let blocks: u64 = ranges.iter().map(|range| u64::from(range.blocks())).sum();
                        prop_assert_eq!(written, copy.destination..copy.destination + blocks);
                        prop_assert!(copy.destination + blocks <= 70_000 && blocks <= 65_536);
                        prop_assert!(ranges.iter().all(|range| range.slba.get() < 70_000 && range.blocks() <= 4096));
                    }
                }
                Err(status) => prop_assert!(!status.is_success()),
            }
        }
    }
}
