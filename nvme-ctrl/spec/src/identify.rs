//! Identify: its command dwords and its data structures. NVMe Base, "Identify command"; NVM Command Set, "Identify Namespace data structure".

use core::mem::{offset_of, size_of};
use core::ops::{Deref, DerefMut};
use zerocopy::little_endian::{U128, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::limits::{FIRMWARE_SLOTS, VSL, WUSL, WZSL};

/// Bytes of every data structure of Identify.
pub const IDENTIFY_BYTES: u32 = 4096;

/// Controller or Namespace Structure: CDW10 bits 7:0.
pub mod cns {
    /// Identify Namespace data structure of the namespace in NSID.
    pub const NAMESPACE: u8 = 0x00;
    /// Identify Controller data structure.
    pub const CONTROLLER: u8 = 0x01;
    /// Active namespaces with identifiers above NSID.
    pub const ACTIVE_NAMESPACES: u8 = 0x02;
    /// Namespace Identification Descriptor list of the namespace in NSID.
    pub const NAMESPACE_DESCRIPTORS: u8 = 0x03;
    /// Identify Namespace data structure of the I/O command set in CSI.
    pub const NAMESPACE_OF_COMMAND_SET: u8 = 0x05;
    /// Identify Controller data structure of the I/O command set in CSI.
    pub const CONTROLLER_OF_COMMAND_SET: u8 = 0x06;
    /// Active namespaces of the I/O command set in CSI with identifiers above NSID.
    pub const ACTIVE_NAMESPACES_OF_COMMAND_SET: u8 = 0x07;
    /// Identify Namespace data structure that is the same in all I/O command sets.
    pub const NAMESPACE_INDEPENDENT: u8 = 0x08;
    /// Allocated namespaces with identifiers above NSID.
    pub const ALLOCATED_NAMESPACES: u8 = 0x10;
    /// Identify Namespace data structure of a namespace that need not be attached.
    pub const ALLOCATED_NAMESPACE: u8 = 0x11;
    /// Controllers that the namespace in NSID is attached to, from CNTID on.
    pub const ATTACHED_CONTROLLERS: u8 = 0x12;
    /// Controllers of the NVM subsystem, from CNTID on.
    pub const CONTROLLERS: u8 = 0x13;
    /// I/O command sets that work together.
    pub const COMMAND_SETS: u8 = 0x1C;
}

/// Command Set Identifier, CDW11 bits 31:24: the NVM command set.
pub const CSI_NVM: u8 = 0;

/// Entries of a list of namespaces.
pub const NAMESPACE_LIST_ENTRIES: usize = IDENTIFY_BYTES as usize / 4;

/// Controller List: how many identifiers follow, and the identifiers, ascending. NVMe Base, "Controller List".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct ControllerList {
    /// Number of Identifiers.
    pub count: U16,
    /// Controller identifiers.
    pub identifiers: [U16; 2047],
}

const _: () = assert!(size_of::<ControllerList>() == IDENTIFY_BYTES as usize);

/// Namespace Management and Namespace Attachment: their command dwords and data.
pub mod management {
    /// Select of Namespace Management, CDW10 bits 3:0: create.
    pub const CREATE: u32 = 0;
    /// Delete.
    pub const DELETE: u32 = 1;
    /// Select of Namespace Attachment, CDW10 bits 3:0: attach.
    pub const ATTACH: u32 = 0;
    /// Detach.
    pub const DETACH: u32 = 1;
}

/// PCI vendor of the device: that of the FPGA's maker, which its PCIe block has until the device gets its own.
pub const PCI_VENDOR_ID: u16 = 0x10EE;

/// Model Number, blank padded.
pub const MODEL_NUMBER: [u8; 40] = padded(b"flashdock NVMe controller");

/// Firmware Revision, blank padded.
pub const FIRMWARE_REVISION: [u8; 8] = padded(b"0.1.0");

/// ASCII text in a field of the specification: filled up with blanks, cut if it is too long.
pub const fn padded<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut field = [b' '; N];
    let mut i = 0;
    while i < N && i < text.len() {
        field[i] = text[i];
        i += 1;
    }
    field
}

/// Power State Descriptor. NVMe Base, "Power State Descriptor Data Structure".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct PowerState {
    /// Maximum Power in hundredths of a watt.
    pub mp: U16,
    /// Reserved.
    pub reserved2: u8,
    /// MXPS in bit 0, NOPS in bit 1.
    pub flags: u8,
    /// Entry Latency in microseconds.
    pub enlat: U32,
    /// Exit Latency in microseconds.
    pub exlat: U32,
    /// Relative throughputs and latencies, idle and active power.
    pub reserved12: [u8; 20],
}

const _: () = assert!(size_of::<PowerState>() == 32);

/// The first part of the [Identify Controller data structure](IdentifyController), in which everything is that a controller without fabrics and power states says.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct ControllerAttributes {
    /// PCI Vendor ID.
    pub vid: U16,
    /// PCI Subsystem Vendor ID.
    pub ssvid: U16,
    /// Serial Number.
    pub sn: [u8; 20],
    /// Model Number.
    pub mn: [u8; 40],
    /// Firmware Revision.
    pub fr: [u8; 8],
    /// Recommended Arbitration Burst, log2.
    pub rab: u8,
    /// IEEE OUI Identifier.
    pub ieee: [u8; 3],
    /// Controller Multi-Path I/O and Namespace Sharing Capabilities.
    pub cmic: u8,
    /// Maximum Data Transfer Size, log2 of memory pages.
    pub mdts: u8,
    /// Controller ID.
    pub cntlid: U16,
    /// Version.
    pub ver: U32,
    /// RTD3 Resume Latency in microseconds.
    pub rtd3r: U32,
    /// RTD3 Entry Latency in microseconds.
    pub rtd3e: U32,
    /// Optional Asynchronous Events Supported.
    pub oaes: U32,
    /// Controller Attributes.
    pub ctratt: U32,
    /// Read Recovery Levels Supported and reserved bytes.
    pub reserved100: [u8; 11],
    /// Controller Type: 1 is an I/O controller.
    pub cntrltype: u8,
    /// FRU Globally Unique Identifier.
    pub fguid: [u8; 16],
    /// Command Retry Delay Times and reserved bytes.
    pub reserved128: [u8; 128],
    /// Optional Admin Command Support.
    pub oacs: U16,
    /// Abort Command Limit, minus one.
    pub acl: u8,
    /// Asynchronous Event Request Limit, minus one.
    pub aerl: u8,
    /// Firmware Updates.
    pub frmw: u8,
    /// Log Page Attributes.
    pub lpa: u8,
    /// Error Log Page Entries, minus one.
    pub elpe: u8,
    /// Number of Power States Support, minus one.
    pub npss: u8,
    /// Admin Vendor Specific Command Configuration.
    pub avscc: u8,
    /// Autonomous Power State Transition Attributes.
    pub apsta: u8,
    /// Warning Composite Temperature Threshold in kelvin.
    pub wctemp: U16,
    /// Critical Composite Temperature Threshold in kelvin.
    pub cctemp: U16,
    /// Maximum Time for Firmware Activation.
    pub mtfa: U16,
    /// Host Memory Buffer sizes.
    pub reserved272: [u8; 8],
    /// Total NVM Capacity in bytes.
    pub tnvmcap: U128,
    /// Unallocated NVM Capacity in bytes.
    pub unvmcap: U128,
    /// RPMB and self-test.
    pub reserved312: [u8; 7],
    /// Firmware Update Granularity in units of 4 KiB; 0: not told.
    pub fwug: u8,
    /// Keep Alive Support: granularity in units of 100 milliseconds; 0: not supported.
    pub kas: U16,
    /// Thermal management.
    pub reserved322: [u8; 6],
    /// Sanitize Capabilities.
    pub sanicap: U32,
    /// Sets, endurance groups, asymmetric access.
    pub reserved332: [u8; 180],
    /// Submission Queue Entry Size: required in bits 3:0, largest in bits 7:4.
    pub sqes: u8,
    /// Completion Queue Entry Size: required in bits 3:0, largest in bits 7:4.
    pub cqes: u8,
    /// Maximum Outstanding Commands; 0: not reported.
    pub maxcmd: U16,
    /// Number of Namespaces.
    pub nn: U32,
    /// Optional NVM Command Support.
    pub oncs: U16,
    /// Fused Operation Support.
    pub fuses: U16,
    /// Format NVM Attributes.
    pub fna: u8,
    /// Volatile Write Cache.
    pub vwc: u8,
    /// Atomic Write Unit Normal in logical blocks, minus one.
    pub awun: U16,
    /// Atomic Write Unit Power Fail in logical blocks, minus one.
    pub awupf: U16,
    /// NVM Vendor Specific Command Configuration.
    pub nvscc: u8,
    /// Namespace Write Protection Capabilities.
    pub nwpc: u8,
    /// Atomic Compare and Write Unit.
    pub acwu: U16,
    /// Optional Copy Formats Supported.
    pub ocfs: U16,
    /// SGL Support.
    pub sgls: U32,
    /// Maximum Number of Allowed Namespaces.
    pub mnan: U32,
    /// Reserved.
    pub reserved544: [u8; 224],
    /// NVM Subsystem NVMe Qualified Name, zero terminated.
    pub subnqn: [u8; 256],
}

/// Identify Controller data structure.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct IdentifyController {
    /// Its fields are those of this structure too.
    pub attributes: ControllerAttributes,
    /// Fabrics fields and reserved bytes.
    pub reserved1024: [u8; 1024],
    /// Power State Descriptors.
    pub psd: [PowerState; 32],
    /// Vendor specific.
    pub vendor: [u8; 1024],
}

impl Deref for IdentifyController {
    type Target = ControllerAttributes;

    fn deref(&self) -> &ControllerAttributes {
        &self.attributes
    }
}

impl DerefMut for IdentifyController {
    fn deref_mut(&mut self) -> &mut ControllerAttributes {
        &mut self.attributes
    }
}

const _: () = assert!(size_of::<IdentifyController>() == IDENTIFY_BYTES as usize);
const _: () = assert!(offset_of!(ControllerAttributes, rab) == 72);
const _: () = assert!(offset_of!(ControllerAttributes, mdts) == 77);
const _: () = assert!(offset_of!(ControllerAttributes, ver) == 80);
const _: () = assert!(offset_of!(ControllerAttributes, cntrltype) == 111);
const _: () = assert!(offset_of!(ControllerAttributes, oacs) == 256);
const _: () = assert!(offset_of!(ControllerAttributes, wctemp) == 266);
const _: () = assert!(offset_of!(ControllerAttributes, tnvmcap) == 280);
const _: () = assert!(offset_of!(ControllerAttributes, fwug) == 319);
const _: () = assert!(offset_of!(ControllerAttributes, sanicap) == 328);
const _: () = assert!(offset_of!(ControllerAttributes, sqes) == 512);
const _: () = assert!(offset_of!(ControllerAttributes, mnan) == 540);
const _: () = assert!(offset_of!(ControllerAttributes, oncs) == 520);
const _: () = assert!(offset_of!(ControllerAttributes, ocfs) == 534);
const _: () = assert!(offset_of!(ControllerAttributes, sgls) == 536);
const _: () = assert!(offset_of!(ControllerAttributes, subnqn) == 768);
const _: () = assert!(offset_of!(IdentifyController, psd) == 2048);

/// Bits of Identify Controller, LPA.
pub mod lpa {
    /// Commands Supported and Effects is there.
    pub const EFFECTS: u8 = 1 << 1;
    /// Supported Log Pages is there.
    pub const SUPPORTED_LOG_PAGES: u8 = 1 << 5;
    /// Get Log Page takes offsets and 32 bits of length.
    pub const EXTENDED_DATA: u8 = 1 << 2;
}

/// Values of Identify Controller, VWC, bits 2:1: what a Flush of NSID `FFFFFFFFh` does.
pub mod vwc {
    /// It flushes all namespaces.
    pub const FLUSH_ALL: u8 = 3 << 1;
}

/// Identify Controller, FRMW: the first slot is read only, so many there are, and an image is activated without a reset.
pub const FRMW: u8 = 1 | (FIRMWARE_SLOTS as u8) << 1 | 1 << 4;

/// Bits of Identify Controller, OACS: commands that are there.
pub mod oacs {
    /// Format NVM.
    pub const FORMAT: u16 = 1 << 1;
    /// Firmware Commit and Firmware Image Download.
    pub const FIRMWARE: u16 = 1 << 2;
    /// Namespace Management and Namespace Attachment.
    pub const NAMESPACE_MANAGEMENT: u16 = 1 << 3;
}

/// Identify Namespace, DLFEAT: deallocated logical blocks read as zero.
pub const DLFEAT_READS_ZERO: u8 = 1;
/// Identify Namespace, DLFEAT: Write Zeroes may deallocate (DEAC). NVM Command Set, "Write Zeroes command".
pub const DLFEAT_WRITE_ZEROES_DEALLOCATES: u8 = 1 << 3;
/// Identify Namespace, DLFEAT, of namespaces in storage that can be erased.
pub const DLFEAT: u8 = DLFEAT_READS_ZERO | DLFEAT_WRITE_ZEROES_DEALLOCATES;

/// Bits of Identify Controller, ONCS.
pub mod oncs {
    /// Compare.
    pub const COMPARE: u16 = 1;
    /// Write Uncorrectable.
    pub const WRITE_UNCORRECTABLE: u16 = 1 << 1;
    /// Dataset Management; only where the storage can be erased.
    pub const DATASET_MANAGEMENT: u16 = 1 << 2;
    /// Write Zeroes.
    pub const WRITE_ZEROES: u16 = 1 << 3;
    /// Select of Get Features and Save of Set Features are supported.
    pub const SELECT: u16 = 1 << 4;
    /// The feature Timestamp is supported.
    pub const TIMESTAMP: u16 = 1 << 6;
    /// Verify.
    pub const VERIFY: u16 = 1 << 7;
    /// Copy; only where the storage can be copied.
    pub const COPY: u16 = 1 << 8;

    /// What this controller always has.
    pub const ALL: u16 = COMPARE | WRITE_UNCORRECTABLE | WRITE_ZEROES | SELECT | TIMESTAMP | VERIFY;
}

/// Identify Controller, OCFS, where there is Copy: Source Range Entries Copy Descriptor Format 0h.
pub const OCFS_FORMAT_0: u16 = 1;

/// Identify Controller, FUSES: Compare and Write.
pub const FUSES_COMPARE_AND_WRITE: u16 = 1;

/// Identify Controller data structure of the NVM command set. NVM Command Set, "I/O Command Set specific Identify Controller data structure".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct NvmIdentifyController {
    /// Verify Size Limit, log2 of memory pages.
    pub vsl: u8,
    /// Write Zeroes Size Limit, log2 of memory pages.
    pub wzsl: u8,
    /// Write Uncorrectable Size Limit, log2 of memory pages.
    pub wusl: u8,
    /// Dataset Management Ranges Limit.
    pub dmrl: u8,
    /// Dataset Management Range Size Limit in logical blocks.
    pub dmrsl: U32,
    /// Dataset Management Size Limit in logical blocks.
    pub dmsl: U64,
    /// Reserved.
    pub reserved16: [u8; 4080],
}

const _: () = assert!(size_of::<NvmIdentifyController>() == IDENTIFY_BYTES as usize);
const _: () = assert!(offset_of!(NvmIdentifyController, dmsl) == 8);

impl NvmIdentifyController {
    /// That of this controller.
    pub const THIS: Self =
        Self { vsl: VSL, wzsl: WZSL, wusl: WUSL, dmrl: 0, dmrsl: U32::ZERO, dmsl: U64::ZERO, reserved16: [0; 4080] };
}

/// Bits of Identify Controller, SGLS.
pub mod sgls {
    /// SGLs are supported; addresses and lengths of data blocks are multiples of 4.
    pub const DWORDS: u32 = 2;
    /// An SGL may be longer than the data.
    pub const LONGER_THAN_DATA: u32 = 1 << 18;
}

/// Identify Controller, SGLS of this controller. No bit buckets, keyed blocks or offsets, and metadata is not described by an SGL.
pub const SGLS: u32 = sgls::DWORDS | sgls::LONGER_THAN_DATA;

/// Identify Controller, CMIC: there may be more than one controller.
pub const CMIC_CONTROLLERS: u8 = 1 << 1;

/// Identify Controller, CTRATT: a Host Identifier has 128 bits.
pub const CTRATT_LONG_HOST_IDENTIFIER: u32 = 1;

/// Identify Controller, NVSCC: vendor specific I/O commands have the usual layout.
pub const NVSCC_USUAL_LAYOUT: u8 = 1;

/// Identify Controller, NWPC: no write protection, and write protect.
pub const NWPC_WRITE_PROTECT: u8 = 1;

/// Identify Namespace, NMIC: several controllers may have it.
pub const NMIC_SHARED: u8 = 1;

/// Identify Namespace, NSATTR: it is write protected.
pub const NSATTR_WRITE_PROTECTED: u8 = 1;

/// The LBA formats of namespaces, by their number: log2 of the bytes of a logical block.
pub const LBA_FORMATS: [u8; 2] = [9, 12];

/// Identify Controller, CNTRLTYPE: an I/O controller.
pub const CNTRLTYPE_IO: u8 = 1;

/// LBA Format. NVM Command Set, "LBA Format Data Structure".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct LbaFormat {
    /// Metadata Size in bytes.
    pub ms: U16,
    /// LBA Data Size, log2 of bytes.
    pub lbads: u8,
    /// Relative Performance in bits 1:0: 0 is best.
    pub rp: u8,
}

const _: () = assert!(size_of::<LbaFormat>() == 4);

/// Identify Namespace data structure of the NVM command set.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct IdentifyNamespace {
    /// Namespace Size in logical blocks.
    pub nsze: U64,
    /// Namespace Capacity in logical blocks.
    pub ncap: U64,
    /// Namespace Utilization in logical blocks.
    pub nuse: U64,
    /// Namespace Features.
    pub nsfeat: u8,
    /// Number of LBA Formats, minus one.
    pub nlbaf: u8,
    /// Formatted LBA Size.
    pub flbas: u8,
    /// Metadata Capabilities.
    pub mc: u8,
    /// End-to-end Data Protection Capabilities.
    pub dpc: u8,
    /// End-to-end Data Protection Type Settings.
    pub dps: u8,
    /// Namespace Multi-path I/O and Namespace Sharing Capabilities.
    pub nmic: u8,
    /// Reservation Capabilities.
    pub rescap: u8,
    /// Format Progress Indicator.
    pub fpi: u8,
    /// Deallocate Logical Block Features.
    pub dlfeat: u8,
    /// Atomic units and boundaries.
    pub reserved34: [u8; 14],
    /// NVM Capacity in bytes.
    pub nvmcap: U128,
    /// Preferred sizes.
    pub reserved64: [u8; 10],
    /// Maximum Single Source Range Length of a Copy in logical blocks.
    pub mssrl: U16,
    /// Maximum Copy Length in logical blocks.
    pub mcl: U32,
    /// Maximum Source Range Count of a Copy, minus one.
    pub msrc: u8,
    /// ANA group and reserved bytes.
    pub reserved81: [u8; 18],
    /// Namespace Attributes.
    pub nsattr: u8,
    /// Sets and endurance groups.
    pub reserved100: [u8; 4],
    /// Namespace Globally Unique Identifier.
    pub nguid: [u8; 16],
    /// IEEE Extended Unique Identifier.
    pub eui64: [u8; 8],
    /// LBA Formats.
    pub lbaf: [LbaFormat; 16],
    /// Reserved.
    pub reserved192: [u8; 192],
    /// Vendor specific.
    pub vendor: [u8; 3712],
}

const _: () = assert!(size_of::<IdentifyNamespace>() == IDENTIFY_BYTES as usize);
const _: () = assert!(offset_of!(IdentifyNamespace, flbas) == 26);
const _: () = assert!(offset_of!(IdentifyNamespace, nvmcap) == 48);
const _: () = assert!(offset_of!(IdentifyNamespace, mssrl) == 74);
const _: () = assert!(offset_of!(IdentifyNamespace, mcl) == 76);
const _: () = assert!(offset_of!(IdentifyNamespace, msrc) == 80);
const _: () = assert!(offset_of!(IdentifyNamespace, nsattr) == 99);
const _: () = assert!(offset_of!(IdentifyNamespace, nguid) == 104);
const _: () = assert!(offset_of!(IdentifyNamespace, eui64) == 120);
const _: () = assert!(offset_of!(IdentifyNamespace, lbaf) == 128);
const _: () = assert!(offset_of!(IdentifyNamespace, vendor) == 384);

/// A Namespace Identification Descriptor of type UUID.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct UuidDescriptor {
    /// Namespace Identifier Type: 3.
    pub nidt: u8,
    /// Namespace Identifier Length: 16.
    pub nidl: u8,
    /// Reserved.
    pub reserved: [u8; 2],
    /// The UUID, in the order in which it is written.
    pub nid: [u8; 16],
}

const _: () = assert!(size_of::<UuidDescriptor>() == 20);

/// Values of a descriptor's NIDT.
pub mod nidt {
    /// Namespace UUID.
    pub const UUID: u8 = 3;
    /// Command Set Identifier.
    pub const CSI: u8 = 4;
}

/// A Namespace Identification Descriptor of type CSI.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct CsiDescriptor {
    /// Namespace Identifier Type: 4.
    pub nidt: u8,
    /// Namespace Identifier Length: 1.
    pub nidl: u8,
    /// Reserved.
    pub reserved: [u8; 2],
    /// [`CSI_NVM`].
    pub csi: u8,
}

const _: () = assert!(size_of::<CsiDescriptor>() == 5);

/// Identify Namespace data structure that is the same in all I/O command sets. NVMe Base, "I/O Command Set Independent Identify Namespace".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct IndependentNamespace {
    /// Common namespace features.
    pub nsfeat: u8,
    /// Namespace Multi-path I/O and Namespace Sharing Capabilities.
    pub nmic: u8,
    /// Reservation Capabilities.
    pub rescap: u8,
    /// Format Progress Indicator.
    pub fpi: u8,
    /// ANA group.
    pub anagrpid: U32,
    /// Namespace Attributes.
    pub nsattr: u8,
    /// Reserved.
    pub reserved9: u8,
    /// Sets and endurance groups.
    pub reserved10: [u8; 4],
    /// Namespace Status: bit 0, ready.
    pub nstat: u8,
    /// Reserved.
    pub reserved15: [u8; 4081],
}

const _: () = assert!(size_of::<IndependentNamespace>() == IDENTIFY_BYTES as usize);
const _: () = assert!(offset_of!(IndependentNamespace, nstat) == 14);

/// NSTAT: the namespace is ready.
pub const NSTAT_READY: u8 = 1;

/// What the name of an NVM subsystem without an own domain begins with; the UUID follows in text. NVMe Base, "NVMe Qualified Names".
pub const NQN_UUID_PREFIX: &[u8] = b"nqn.2014-08.org.nvmexpress:uuid:";

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte offsets from the figure "Identify - Identify Controller Data Structure".
    #[test]
    fn controller_fields_are_where_the_specification_has_them() {
        let mut bytes = [0; 4096];
        bytes[77] = 9;
        bytes[80..84].copy_from_slice(&0x0001_0400_u32.to_le_bytes());
        bytes[258] = 3;
        bytes[262] = 63;
        bytes[512] = 0x66;
        bytes[516] = 1;
        bytes[525] = 6;
        let data = IdentifyController::read_from_bytes(&bytes).unwrap();
        assert_eq!((data.mdts, data.ver.get()), (9, 0x0001_0400));
        assert_eq!((data.acl, data.elpe, data.sqes), (3, 63, 0x66));
        assert_eq!((data.nn.get(), data.vwc), (1, 6));
    }

    #[test]
    fn text_is_filled_with_blanks() {
        assert_eq!(&padded::<8>(b"0.1.0"), b"0.1.0   ");
        assert_eq!(&padded::<2>(b"0.1.0"), b"0.");
        assert!(MODEL_NUMBER.iter().all(|byte| (0x20..0x7F).contains(byte)));
    }
}
