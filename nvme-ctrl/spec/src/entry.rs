//! Queue entries. NVMe Base, "Submission Queue Entry" and "Common Completion Queue Entry Layout".

use crate::opcode::io;
use core::mem::{offset_of, size_of};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Log2 of the bytes of a submission queue entry: CC.IOSQES, and both halves of Identify Controller, SQES.
pub const SQ_ENTRY_LOG2_BYTES: u8 = 6;
/// Log2 of the bytes of a completion queue entry: CC.IOCQES, and both halves of Identify Controller, CQES.
pub const CQ_ENTRY_LOG2_BYTES: u8 = 4;

/// A submission queue entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct SqEntry {
    /// Which command.
    pub opcode: u8,
    /// FUSE in bits 1:0, PSDT in bits 7:6.
    pub flags: u8,
    /// Command Identifier.
    pub cid: U16,
    /// Namespace Identifier.
    pub nsid: U32,
    /// Command dwords 2 and 3.
    pub cdw2: [U32; 2],
    /// Metadata Pointer.
    pub mptr: U64,
    /// PRP Entry 1 and 2.
    pub prp: [U64; 2],
    /// Command dwords 10 to 15.
    pub cdw10: [U32; 6],
}

const _: () = assert!(size_of::<SqEntry>() == 64);
const _: () = assert!(size_of::<SqEntry>() == 1 << SQ_ENTRY_LOG2_BYTES);
const _: () = assert!(offset_of!(SqEntry, cid) == 2);
const _: () = assert!(offset_of!(SqEntry, nsid) == 4);
const _: () = assert!(offset_of!(SqEntry, mptr) == 16);
const _: () = assert!(offset_of!(SqEntry, prp) == 24);
const _: () = assert!(offset_of!(SqEntry, cdw10) == 40);

impl SqEntry {
    /// Fused Operation: 0 for a normal command.
    pub const fn fuse(&self) -> u8 {
        self.flags & FUSE
    }

    /// Whether it is the Compare of a Compare and Write. NVMe Base, "Fused Operations".
    pub const fn is_fused_compare(&self) -> bool {
        self.fuse() == FUSE_FIRST && self.opcode == io::COMPARE
    }

    /// Whether it is the Write of a Compare and Write.
    pub const fn is_fused_write(&self) -> bool {
        self.fuse() == FUSE_SECOND && self.opcode == io::WRITE
    }

    /// PRP or SGL for Data Transfer: 0 for PRPs.
    pub const fn psdt(&self) -> u8 {
        self.flags >> 6
    }

    /// Command dword 10 to 15.
    pub fn cdw(&self, number: usize) -> u32 {
        self.cdw10[number - 10].get()
    }
}

/// FUSE in the flags of a submission queue entry.
pub const FUSE: u8 = 3;
/// The first command of a fused operation.
pub const FUSE_FIRST: u8 = 1;
/// The second one.
pub const FUSE_SECOND: u8 = 2;

/// A completion queue entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct CqEntry {
    /// Command-specific result: dword 0.
    pub result: U32,
    /// Reserved: dword 1.
    pub reserved: U32,
    /// Submission Queue Head Pointer.
    pub sqhd: U16,
    /// Submission Queue Identifier.
    pub sqid: U16,
    /// Command Identifier.
    pub cid: U16,
    /// Phase Tag in bit 0, Status Field in bits 15:1.
    pub status_phase: U16,
}

const _: () = assert!(size_of::<CqEntry>() == 16);
const _: () = assert!(size_of::<CqEntry>() == 1 << CQ_ENTRY_LOG2_BYTES);
const _: () = assert!(offset_of!(CqEntry, sqhd) == 8);
const _: () = assert!(offset_of!(CqEntry, cid) == 12);
const _: () = assert!(offset_of!(CqEntry, status_phase) == 14);

impl CqEntry {
    /// The Phase Tag.
    pub const fn phase(&self) -> bool {
        self.status_phase.get() & 1 == 1
    }

    /// The Status Field, 15 bits.
    pub const fn status_field(&self) -> u16 {
        self.status_phase.get() >> 1
    }
}

/// Values of QPRIO, the priority of a submission queue under weighted round robin. NVMe Base, "Create I/O Submission Queue command".
pub mod queue_priority {
    /// Before all others but the admin queue.
    pub const URGENT: u8 = 0;
    /// Shares by the high priority weight.
    pub const HIGH: u8 = 1;
    /// Shares by the medium priority weight.
    pub const MEDIUM: u8 = 2;
    /// Shares by the low priority weight.
    pub const LOW: u8 = 3;

    /// QPRIO in command dword 11 of Create I/O Submission Queue: bits 2:1.
    pub const fn of(cdw11: u32) -> u8 {
        (cdw11 >> 1 & 3) as u8
    }
}

/// Physical Region Page entries and lists. NVMe Base, "Physical Region Page Entry and List".
pub mod prp {
    use crate::limits::PAGE_BYTES;

    /// Bytes of an entry of a list.
    pub const ENTRY_BYTES: u32 = 8;
    /// Entries of a list that fills a page.
    pub const ENTRIES_PER_PAGE: u32 = PAGE_BYTES / ENTRY_BYTES;
    /// PRP1 points to a dword.
    pub const PRP1_ALIGNMENT: u64 = 4;
    /// A PRP that points to a list points to a qword.
    pub const LIST_ALIGNMENT: u64 = 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Read with PRPs, byte by byte from the figure "Common Command Format".
    #[test]
    fn an_entry_is_read_from_its_bytes() {
        let mut bytes = [0; 64];
        bytes[0] = 0x02;
        bytes[1] = 0x41;
        bytes[2..4].copy_from_slice(&[0x34, 0x12]);
        bytes[4] = 0x01;
        bytes[24..32].copy_from_slice(&0x1122_3344_5566_7788_u64.to_le_bytes());
        bytes[48..52].copy_from_slice(&[7, 0, 0, 0x40]);
        let entry = SqEntry::read_from_bytes(&bytes).unwrap();
        assert_eq!(entry.opcode, 2);
        assert_eq!((entry.fuse(), entry.psdt()), (1, 1));
        assert_eq!(entry.cid.get(), 0x1234);
        assert_eq!(entry.nsid.get(), 1);
        assert_eq!(entry.prp[0].get(), 0x1122_3344_5566_7788);
        assert_eq!(entry.cdw(12), 0x4000_0007);
        assert_eq!(entry.as_bytes(), bytes);
    }

    #[test]
    fn the_phase_is_the_lowest_bit_of_the_last_word() {
        let mut bytes = [0; 16];
        bytes[14..].copy_from_slice(&[0x05, 0x40]);
        let entry = CqEntry::read_from_bytes(&bytes).unwrap();
        assert!(entry.phase());
        assert_eq!(entry.status_field(), 0x2002);
    }
}
