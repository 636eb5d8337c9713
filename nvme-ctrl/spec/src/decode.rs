//! I/O commands from their entries: the only place where they are judged. NVM Command Set, "NVM Command Set Commands".
//!
//! ## What hardware executes by itself
//! [`is_fast_path`] is true for an entry of an I/O submission queue when all of this holds:
//! 1. the opcode is Flush, Write, Read, Compare, Write Zeroes, Write Uncorrectable or Verify;
//! 2. FUSE is 0, or the entry is one of a Compare and Write to which [`decode_fused`] has nothing to object, and PSDT says PRPs or an SGL (0 or 1);
//!    the other bits of the flags byte are ignored;
//! 3. NSID names a namespace that is attached to the command's function (it has blocks), and for Write, Write Zeroes and Write
//!    Uncorrectable one that is not write protected;
//! 4. for all but Flush: bytes = (NLB + 1) x LBA bytes is at most the limit of MDTS, which those of WZSL, WUSL and VSL are too;
//! 5. for all but Flush: SLBA + NLB + 1, computed without overflow, is at most the number of blocks;
//! 6. for Write, Read and Compare with PRPs: PRP1 is a multiple of 4.
//!
//! MPTR, the reserved dwords, PRINFO, LR, DTYPE, DSM and the tags are ignored: no protection information, no metadata and no directives are
//! there. PRP2, lists, and all descriptors of an SGL are judged by whoever walks them. Any
//! other entry goes to firmware, which completes it with the `Err` of [`decode_io`].

use core::ops::Range;

use crate::count::ZeroBased;
use crate::entry::prp::PRP1_ALIGNMENT;
use crate::entry::{SqEntry, FUSE};
use crate::limits::{self, NSID_BROADCAST};
use crate::opcode::io;
use crate::sgl::DataPointer;
use crate::status::Status;

/// A namespace as I/O commands see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceInfo {
    /// Namespace identifier.
    pub nsid: u32,
    /// Number of logical blocks; 0: not attached.
    pub blocks: u64,
    /// Nothing may be written. NVMe Base, "Namespace Write Protection".
    pub is_write_protected: bool,
}

/// What bounds an I/O command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a logical block.
    pub lba_bytes: u32,
    /// Most bytes of one command.
    pub transfer_bytes_max: u32,
}

impl Limits {
    /// Those of the default configuration.
    pub const DEFAULT: Self = Self { lba_bytes: limits::LBA_BYTES, transfer_bytes_max: limits::TRANSFER_BYTES_MAX };
}

/// Logical blocks inside the namespace: at least one, at most as many as MDTS allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LbaRange {
    start: u64,
    blocks: u32,
}

impl LbaRange {
    /// The first block.
    pub const fn start(self) -> u64 {
        self.start
    }

    /// Number of blocks.
    pub const fn blocks(self) -> u32 {
        self.blocks
    }

    /// The blocks as a half-open range.
    pub const fn range(self) -> Range<u64> {
        self.start..self.start + self.blocks as u64
    }

    fn decode(sqe: &SqEntry, namespace: &NamespaceInfo, limits: &Limits) -> Result<Self, Status> {
        let start = u64::from(sqe.cdw(11)) << 32 | u64::from(sqe.cdw(10));
        let blocks = ZeroBased::from_raw(sqe.cdw(12) as u16).count();
        let bytes = u64::from(blocks) * u64::from(limits.lba_bytes);
        if bytes > u64::from(limits.transfer_bytes_max) {
            return Err(Status::INVALID_FIELD);
        }
        let behind = start.checked_add(u64::from(blocks));
        if behind.is_none_or(|behind| behind > namespace.blocks) {
            return Err(Status::LBA_OUT_OF_RANGE);
        }
        Ok(Self { start, blocks })
    }
}

/// Command dword 12 of every command that names logical blocks: Force Unit Access.
pub const FORCE_UNIT_ACCESS: u32 = 1 << 30;
/// Command dword 12 of Write Zeroes: Deallocate (DEAC). NVM Command Set, "Write Zeroes command".
pub const DEALLOCATE: u32 = 1 << 25;

/// A Read, Write or Compare: checked, so that only memory and medium can still fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Which blocks.
    pub range: LbaRange,
    /// Force Unit Access.
    pub fua: bool,
    /// Where the data is in host memory. If there are PRPs the first one is a multiple of 4.
    pub pointer: DataPointer,
}

impl Transfer {
    fn decode(sqe: &SqEntry, namespace: &NamespaceInfo, limits: &Limits) -> Result<Self, Status> {
        let range = LbaRange::decode(sqe, namespace, limits)?;
        let pointer = aligned_pointer(sqe)?;
        let fua = sqe.cdw(12) & FORCE_UNIT_ACCESS != 0;
        Ok(Self { range, fua, pointer })
    }
}

/// An I/O command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoCommand {
    /// Everything completed before reaches the medium.
    Flush,
    /// Host to medium.
    Write(Transfer),
    /// Medium to host.
    Read(Transfer),
    /// Medium and host have the same.
    Compare(Transfer),
    /// These blocks cannot be read until they are written.
    WriteUncorrectable(LbaRange),
    /// These blocks read as zero.
    WriteZeroes(LbaRange),
    /// These blocks read as zero, and may be deallocated: a Write Zeroes with DEAC.
    Deallocate(LbaRange),
    /// These blocks can be read.
    Verify(LbaRange),
}

impl IoCommand {
    /// The logical blocks that the command names.
    pub const fn range(&self) -> Option<LbaRange> {
        match *self {
            Self::Flush => None,
            Self::Write(transfer) | Self::Read(transfer) | Self::Compare(transfer) => Some(transfer.range),
            Self::WriteUncorrectable(range)
            | Self::WriteZeroes(range)
            | Self::Deallocate(range)
            | Self::Verify(range) => Some(range),
        }
    }
}

/// What is asked of a command of the NVM command set that firmware executes: it is not fused, and has a namespace.
pub(crate) fn check_named(sqe: &SqEntry, namespace: &NamespaceInfo) -> Result<(), Status> {
    if sqe.fuse() != 0 {
        return Err(Status::INVALID_FIELD);
    }
    DataPointer::of(sqe)?;
    if sqe.nsid.get() != namespace.nsid || namespace.blocks == 0 {
        return Err(Status::INVALID_NAMESPACE);
    }
    Ok(())
}

/// `blocks` logical blocks from `start` on, which the namespace must have.
pub(crate) fn blocks_of(start: u64, blocks: u64, namespace: &NamespaceInfo) -> Result<Range<u64>, Status> {
    let end = start.checked_add(blocks).filter(|end| *end <= namespace.blocks);
    end.map(|end| start..end).ok_or(Status::LBA_OUT_OF_RANGE)
}

/// The data pointer of an entry. PRP1 points to a dword.
pub(crate) fn aligned_pointer(sqe: &SqEntry) -> Result<DataPointer, Status> {
    match DataPointer::of(sqe)? {
        DataPointer::Prp([prp1, _]) if prp1 % PRP1_ALIGNMENT != 0 => Err(Status::INVALID_PRP_OFFSET),
        pointer => Ok(pointer),
    }
}

/// The command in an entry of an I/O submission queue; `Err` is the completion that the host gets, through [`Status::for_host`].
pub fn decode_io(sqe: &SqEntry, namespace: &NamespaceInfo, limits: &Limits) -> Result<IoCommand, Status> {
    if sqe.opcode != io::FLUSH && !io::has_blocks(sqe.opcode) {
        return Err(Status::INVALID_OPCODE);
    }
    if sqe.is_fused_compare() || sqe.is_fused_write() {
        return Err(Status::MISSING_FUSED_COMMAND);
    }
    if sqe.fuse() != 0 {
        return Err(Status::INVALID_FIELD);
    }
    DataPointer::of(sqe)?;
    // With no volatile write cache a Flush of all namespaces costs nothing to support: Identify Controller, VWC, says so.
    let is_for_all = sqe.opcode == io::FLUSH && sqe.nsid.get() == NSID_BROADCAST;
    let is_named = sqe.nsid.get() == namespace.nsid || is_for_all;
    if !is_named || namespace.blocks == 0 {
        return Err(Status::INVALID_NAMESPACE);
    }
    if io::is_write(sqe.opcode) && namespace.is_write_protected {
        return Err(Status::NAMESPACE_WRITE_PROTECTED);
    }
    match sqe.opcode {
        io::WRITE => Ok(IoCommand::Write(Transfer::decode(sqe, namespace, limits)?)),
        io::READ => Ok(IoCommand::Read(Transfer::decode(sqe, namespace, limits)?)),
        io::WRITE_UNCORRECTABLE => Ok(IoCommand::WriteUncorrectable(LbaRange::decode(sqe, namespace, limits)?)),
        io::COMPARE => Ok(IoCommand::Compare(Transfer::decode(sqe, namespace, limits)?)),
        io::WRITE_ZEROES => {
            let range = LbaRange::decode(sqe, namespace, limits)?;
            let deallocates = sqe.cdw(12) & DEALLOCATE != 0;
            Ok(if deallocates { IoCommand::Deallocate(range) } else { IoCommand::WriteZeroes(range) })
        }
        io::VERIFY => Ok(IoCommand::Verify(LbaRange::decode(sqe, namespace, limits)?)),
        _ => Ok(IoCommand::Flush),
    }
}

/// The commands in two adjacent entries that are a fused Compare and its Write. NVM Command Set, "Fused Operation".
///
/// Either both are executed or none: `Err` has the completion of each.
pub fn decode_fused(
    [compare, write]: [&SqEntry; 2],
    namespace: &NamespaceInfo,
    limits: &Limits,
) -> Result<[IoCommand; 2], [Status; 2]> {
    let blocks = |sqe: &SqEntry| (sqe.nsid.get(), sqe.cdw(10), sqe.cdw(11), sqe.cdw(12) as u16);
    if blocks(compare) != blocks(write) {
        return Err([Status::INVALID_FIELD; 2]);
    }
    if compare.cdw(12) as u16 > limits::ACWU {
        return Err([Status::ATOMIC_WRITE_UNIT_EXCEEDED; 2]);
    }
    let alone = |sqe: &SqEntry| decode_io(&SqEntry { flags: sqe.flags & !FUSE, ..*sqe }, namespace, limits);
    let compared = alone(compare).map_err(|status| [status, Status::FAILED_FUSED_COMMAND])?;
    let written = alone(write).map_err(|status| [Status::FAILED_FUSED_COMMAND, status])?;
    Ok([compared, written])
}

/// Whether hardware executes the entry without firmware: see the list at the top of this module. A Flush of all namespaces is firmware's.
pub fn is_fast_path(sqe: &SqEntry, namespace: &NamespaceInfo, limits: &Limits) -> bool {
    sqe.nsid.get() == namespace.nsid && decode_io(sqe, namespace, limits).is_ok()
}

/// The vendor specific I/O commands: frames.
///
/// A frame is what an Ethernet link carries, from the destination address on. Send Frame gives a frame to the controller. Receive Frame stays with
/// the controller until a frame arrives for its function, oldest command first; dword 0 of its completion is the number of bytes. NSID is not used.
///
/// Both have the layout of NVMe Base, "Common Command Format - Vendor Specific Commands": command dword 10 is the number of dwords of the data.
/// Command dword 12 of Send Frame is the number of bytes of the frame, of which the last dword holds at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameCommand {
    /// A frame of so many bytes from the host.
    Send {
        /// Number of bytes, from 1 to [`limits::FRAME_BYTES_MAX`].
        bytes: u32,
    },
    /// The next frame, to the host.
    Receive,
}

impl FrameCommand {
    /// The command in an entry with a vendor specific opcode; `None` if it has another.
    pub fn decode(sqe: &SqEntry) -> Option<Result<Self, Status>> {
        match sqe.opcode {
            io::SEND_FRAME => Some(Self::decode_send(sqe)),
            io::RECEIVE_FRAME => Some(Self::decode_receive(sqe)),
            _ => None,
        }
    }

    fn decode_send(sqe: &SqEntry) -> Result<Self, Status> {
        check_pointers(sqe)?;
        let (dwords, bytes) = (sqe.cdw(10), sqe.cdw(12));
        if bytes == 0 || bytes > limits::FRAME_BYTES_MAX || dwords != bytes.div_ceil(4) {
            return Err(Status::INVALID_FIELD);
        }
        Ok(Self::Send { bytes })
    }

    /// The host's memory must have room for every frame.
    fn decode_receive(sqe: &SqEntry) -> Result<Self, Status> {
        check_pointers(sqe)?;
        let dwords = limits::FRAME_BYTES_MAX / 4..=limits::BUFFER_BYTES / 4;
        if !dwords.contains(&sqe.cdw(10)) {
            return Err(Status::INVALID_FIELD);
        }
        Ok(Self::Receive)
    }
}

/// What frames have in common: they are not fused, and their data is where PRPs or an SGL say.
fn check_pointers(sqe: &SqEntry) -> Result<(), Status> {
    if sqe.fuse() != 0 {
        return Err(Status::INVALID_FIELD);
    }
    aligned_pointer(sqe).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sgl::SglDescriptor;
    use proptest::prelude::*;
    use zerocopy::FromBytes;

    const NAMESPACE: NamespaceInfo = NamespaceInfo { nsid: 1, blocks: 10_000, is_write_protected: false };

    /// An entry by its bytes, as the figures of the specification have them.
    fn entry(opcode: u8, changes: &[(usize, u32)]) -> SqEntry {
        let mut bytes = [0; 64];
        bytes[0] = opcode;
        bytes[4] = 1;
        for (dword, value) in changes {
            bytes[4 * dword..4 * dword + 4].copy_from_slice(&value.to_le_bytes());
        }
        SqEntry::read_from_bytes(&bytes).unwrap()
    }

    fn decode(opcode: u8, changes: &[(usize, u32)]) -> Result<IoCommand, Status> {
        decode_io(&entry(opcode, changes), &NAMESPACE, &Limits::DEFAULT)
    }

    /// "Command Dword 10 and 11: SLBA", "Command Dword 12: NLB in bits 15:0, FUA in bit 30".
    #[test]
    fn a_read_has_its_blocks_and_its_pages() {
        let prps = [(6, 0x1004), (7, 1), (8, 0x3000), (9, 2)];
        let blocks = [(10, 9_992), (12, 0x4000_0007)];
        let expected = Transfer {
            range: LbaRange { start: 9_992, blocks: 8 },
            fua: true,
            pointer: DataPointer::Prp([0x1_0000_1004, 0x2_0000_3000]),
        };
        let changes = [&prps[..], &blocks[..]].concat();
        assert_eq!(decode(2, &changes), Ok(IoCommand::Read(expected)));
        assert_eq!(decode(1, &changes), Ok(IoCommand::Write(expected)));
        assert_eq!(decode(5, &changes), Ok(IoCommand::Compare(expected)));
        assert_eq!(decode(0, &changes), Ok(IoCommand::Flush));
        assert_eq!(decode(4, &changes), Ok(IoCommand::WriteUncorrectable(expected.range)));
        assert_eq!(decode(8, &changes), Ok(IoCommand::WriteZeroes(expected.range)));
        let deallocating = [&changes[..], &[(12, 0x0200_0007)]].concat();
        assert_eq!(decode(8, &deallocating), Ok(IoCommand::Deallocate(expected.range)));
        assert_eq!(decode(12, &changes), Ok(IoCommand::Verify(expected.range)));
        // PSDT 1: the same dwords are a descriptor, of which nothing is judged here.
        let pointer = DataPointer::Sgl(SglDescriptor::from_halves([0x1_0000_1006, 0x2_0000_3000]));
        let changes = [&changes[..], &[(0, 0x4002), (6, 0x1006)]].concat();
        assert_eq!(decode(2, &changes), Ok(IoCommand::Read(Transfer { pointer, ..expected })));
        assert_eq!(expected.range.range(), 9_992..10_000);
    }

    #[test]
    fn each_mistake_has_its_status() {
        type Case = (u8, &'static [(usize, u32)], Status);
        let cases: &[Case] = &[
            (0x03, &[], Status::INVALID_OPCODE),
            (0xFF, &[], Status::INVALID_OPCODE),
            // FUSE 1, 2, 3 and PSDT 2, 3.
            (2, &[(0, 0x0102)], Status::INVALID_FIELD),
            (2, &[(0, 0x0202)], Status::INVALID_FIELD),
            (0, &[(0, 0x0300)], Status::INVALID_FIELD),
            (2, &[(0, 0x8002)], Status::INVALID_FIELD),
            (0, &[(0, 0xC000)], Status::INVALID_FIELD),
            (2, &[(1, 0)], Status::INVALID_NAMESPACE),
            (2, &[(1, 2)], Status::INVALID_NAMESPACE),
            (2, &[(1, NSID_BROADCAST)], Status::INVALID_NAMESPACE),
            (1, &[(1, NSID_BROADCAST)], Status::INVALID_NAMESPACE),
            (0, &[(1, 0)], Status::INVALID_NAMESPACE),
            // 4,096 blocks of 512 bytes are 2 MiB; one more is too many.
            (2, &[(12, 4_096)], Status::INVALID_FIELD),
            (2, &[(12, 0xFFFF)], Status::INVALID_FIELD),
            (2, &[(10, 10_000)], Status::LBA_OUT_OF_RANGE),
            (2, &[(10, 9_999), (12, 1)], Status::LBA_OUT_OF_RANGE),
            (1, &[(11, 1)], Status::LBA_OUT_OF_RANGE),
            (1, &[(10, !0), (11, !0)], Status::LBA_OUT_OF_RANGE),
            (2, &[(6, 2)], Status::INVALID_PRP_OFFSET),
            (1, &[(6, 0x1001)], Status::INVALID_PRP_OFFSET),
            (5, &[(12, 4_096)], Status::INVALID_FIELD),
            (5, &[(6, 0x1001)], Status::INVALID_PRP_OFFSET),
            (8, &[(12, 4_096)], Status::INVALID_FIELD),
            (12, &[(12, 4_096)], Status::INVALID_FIELD),
            (8, &[(10, 9_999), (12, 1)], Status::LBA_OUT_OF_RANGE),
            (12, &[(11, 1)], Status::LBA_OUT_OF_RANGE),
            (8, &[(0, 0x8008)], Status::INVALID_FIELD),
            (12, &[(1, 2)], Status::INVALID_NAMESPACE),
        ];
        for (opcode, changes, status) in cases {
            assert_eq!(decode(*opcode, changes), Err(*status), "{changes:X?}");
        }
    }

    /// "Fused Operation": the same blocks, as many as ACWU allows; if one cannot be executed the other is not either.
    #[test]
    fn a_compare_and_its_write_are_judged_together() {
        let base = [(10, 77), (6, 0x2004)];
        let pair = |compare: &[(usize, u32)], write: &[(usize, u32)]| {
            let [compare, write] = [(5, 0x105, compare), (1, 0x201, write)]
                .map(|(opcode, first, changes)| entry(opcode, &[&[(0, first)], &base[..], changes].concat()));
            assert_eq!(decode_io(&compare, &NAMESPACE, &Limits::DEFAULT), Err(Status::MISSING_FUSED_COMMAND));
            assert_eq!(decode_io(&write, &NAMESPACE, &Limits::DEFAULT), Err(Status::MISSING_FUSED_COMMAND));
            decode_fused([&compare, &write], &NAMESPACE, &Limits::DEFAULT)
        };
        let transfer =
            Transfer { range: LbaRange { start: 77, blocks: 1 }, fua: false, pointer: DataPointer::Prp([0x2004, 0]) };
        assert_eq!(pair(&[], &[]), Ok([IoCommand::Compare(transfer), IoCommand::Write(transfer)]));
        let far = [(10, 10_000)];
        let cases: [(&[_], &[_], [Status; 2]); 8] = [
            (&[(10, 78)], &[], [Status::INVALID_FIELD; 2]),
            (&[(11, 1)], &[], [Status::INVALID_FIELD; 2]),
            (&[], &[(1, 2)], [Status::INVALID_FIELD; 2]),
            (&[], &[(12, 1)], [Status::INVALID_FIELD; 2]),
            (&[(12, 1)], &[(12, 1)], [Status::ATOMIC_WRITE_UNIT_EXCEEDED; 2]),
            (&far, &far, [Status::LBA_OUT_OF_RANGE, Status::FAILED_FUSED_COMMAND]),
            (&[(6, 1)], &[], [Status::INVALID_PRP_OFFSET, Status::FAILED_FUSED_COMMAND]),
            (&[], &[(0, 0x8201)], [Status::FAILED_FUSED_COMMAND, Status::INVALID_FIELD]),
        ];
        for (compare, write, statuses) in cases {
            assert_eq!(pair(compare, write), Err(statuses), "{compare:x?} {write:x?}");
        }
    }

    #[test]
    fn what_is_not_used_is_ignored() {
        assert!(decode(2, &[(0, 0x3C02)]).is_ok(), "reserved flags");
        assert!(decode(0, &[(0, 0x4000)]).is_ok(), "Flush has no data to be pointed to");
        assert!(decode(2, &[(2, !0), (3, !0), (4, !0), (5, !0)]).is_ok());
        let control = 0xBFFF_0000;
        assert!(decode(2, &[(12, control), (13, !0), (14, !0), (15, !0)]).is_ok());
        assert!(decode(0, &[(6, 1), (10, !0), (12, !0)]).is_ok());
        assert!(decode(0, &[(1, NSID_BROADCAST)]).is_ok());
        assert!(decode(2, &[(12, 4_095)]).is_ok(), "exactly MDTS");
        for opcode in [8, 12] {
            assert!(
                decode(opcode, &[(6, 1), (12, control | 4_095)]).is_ok(),
                "no data, so no PRPs, and exactly the limit"
            );
        }
    }

    #[test]
    fn a_detached_namespace_has_no_commands() {
        let none = NamespaceInfo { blocks: 0, ..NAMESPACE };
        for (opcode, nsid) in [(0, 1), (0, NSID_BROADCAST), (1, 1), (2, 1)] {
            let decoded = decode_io(&entry(opcode, &[(1, nsid)]), &none, &Limits::DEFAULT);
            assert_eq!(decoded, Err(Status::INVALID_NAMESPACE));
        }
    }

    /// NVMe Base, "Namespace Write Protection": reads go on.
    #[test]
    fn a_protected_namespace_is_only_read() {
        let protected = NamespaceInfo { is_write_protected: true, ..NAMESPACE };
        let decode = |opcode| decode_io(&entry(opcode, &[]), &protected, &Limits::DEFAULT);
        for opcode in [1, 8] {
            assert_eq!(decode(opcode), Err(Status::NAMESPACE_WRITE_PROTECTED));
        }
        assert!([0, 2, 5, 12].map(decode).iter().all(Result::is_ok));
    }

    #[test]
    fn a_flush_of_all_namespaces_is_valid_and_not_of_the_fast_path() {
        let flush = entry(0, &[(1, NSID_BROADCAST)]);
        assert_eq!(decode_io(&flush, &NAMESPACE, &Limits::DEFAULT), Ok(IoCommand::Flush));
        assert!(!is_fast_path(&flush, &NAMESPACE, &Limits::DEFAULT));
        assert!(is_fast_path(&entry(0, &[]), &NAMESPACE, &Limits::DEFAULT));
    }

    #[test]
    fn frames_have_a_length_and_their_data_a_whole_number_of_dwords() {
        let frame = |opcode, changes: &[_]| FrameCommand::decode(&entry(opcode, changes));
        assert_eq!(frame(0x81, &[(10, 16), (12, 61)]), Some(Ok(FrameCommand::Send { bytes: 61 })));
        assert_eq!(frame(0x81, &[(10, 512), (12, 2048)]), Some(Ok(FrameCommand::Send { bytes: 2048 })));
        for wrong in [[(10, 0), (12, 0)], [(10, 16), (12, 60)], [(10, 16), (12, 65)], [(10, 513), (12, 2049)]] {
            assert_eq!(frame(0x81, &wrong), Some(Err(Status::INVALID_FIELD)), "{wrong:?}");
        }
        assert_eq!(frame(0x82, &[(10, 512)]), Some(Ok(FrameCommand::Receive)));
        assert_eq!(frame(0x82, &[(10, 1024)]), Some(Ok(FrameCommand::Receive)));
        for wrong in [0, 511, 1025, !0] {
            assert_eq!(frame(0x82, &[(10, wrong)]), Some(Err(Status::INVALID_FIELD)), "{wrong}");
        }
        assert_eq!(frame(0x82, &[(10, 512), (6, 2)]), Some(Err(Status::INVALID_PRP_OFFSET)));
        assert_eq!(frame(0x82, &[(0, 0x4082), (10, 512), (6, 2)]), Some(Ok(FrameCommand::Receive)), "an SGL");
        assert_eq!(frame(0x82, &[(0, 0x8082), (10, 512)]), Some(Err(Status::INVALID_FIELD)));
        assert_eq!(frame(0x83, &[]), None);
    }

    proptest! {
        /// Whatever the host sends has an answer, and what is accepted lies inside the namespace.
        #[test]
        fn every_entry_has_an_answer(mut bytes: [u8; 64], near in any::<bool>()) {
            if near {
                bytes[0] %= 13;
                bytes[1] = 0;
                bytes[4..8].copy_from_slice(&1_u32.to_le_bytes());
                bytes[42..48].fill(0);
            }
            let sqe = SqEntry::read_from_bytes(&bytes).unwrap();
            match decode_io(&sqe, &NAMESPACE, &Limits::DEFAULT) {
                Ok(command) => {
                    let range = command.range();
                    prop_assert_eq!(range.is_none(), command == IoCommand::Flush);
                    prop_assert!(range.is_none_or(|range| range.range().end <= NAMESPACE.blocks && range.blocks() >= 1));
                    prop_assert!(range.is_none_or(|range| range.blocks() * 512 <= limits::TRANSFER_BYTES_MAX));
                }
                Err(status) => prop_assert!(!status.is_success()),
            }
        }
    }
}
