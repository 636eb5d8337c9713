//! Identify: its command dwords and its data structures. NVMe Base, "Identify command"; NVM Command Set, "Identify Namespace data structure".

use core::mem::{offset_of, size_of};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

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

/// Identify Controller data structure.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct IdentifyController {
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
    /// Host memory buffer, capacities, RPMB, self-test, keep alive, thermal management, sanitize.
    pub reserved272: [u8; 240],
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
    /// Reserved.
    pub reserved534: [u8; 2],
    /// SGL Support.
    pub sgls: U32,
    /// Maximum Number of Allowed Namespaces and reserved bytes.
    pub reserved540: [u8; 228],
    /// NVM Subsystem NVMe Qualified Name, zero terminated.
    pub subnqn: [u8; 256],
    /// Fabrics fields and reserved bytes.
    pub reserved1024: [u8; 1024],
    /// Power State Descriptors.
    pub psd: [PowerState; 32],
    /// Vendor specific.
    pub vendor: [u8; 1024],
}

const _: () = assert!(size_of::<IdentifyController>() == IDENTIFY_BYTES as usize);
const _: () = assert!(offset_of!(IdentifyController, rab) == 72);
const _: () = assert!(offset_of!(IdentifyController, mdts) == 77);
const _: () = assert!(offset_of!(IdentifyController, ver) == 80);
const _: () = assert!(offset_of!(IdentifyController, cntrltype) == 111);
const _: () = assert!(offset_of!(IdentifyController, oacs) == 256);
const _: () = assert!(offset_of!(IdentifyController, wctemp) == 266);
const _: () = assert!(offset_of!(IdentifyController, sqes) == 512);
const _: () = assert!(offset_of!(IdentifyController, oncs) == 520);
const _: () = assert!(offset_of!(IdentifyController, sgls) == 536);
const _: () = assert!(offset_of!(IdentifyController, subnqn) == 768);
const _: () = assert!(offset_of!(IdentifyController, psd) == 2048);

/// Bits of Identify Controller, LPA.
pub mod lpa {
    /// Get Log Page takes offsets and 32 bits of length.
    pub const EXTENDED_DATA: u8 = 1 << 2;
}

/// Values of Identify Controller, VWC, bits 2:1: what a Flush of NSID `FFFFFFFFh` does.
pub mod vwc {
    /// It flushes all namespaces.
    pub const FLUSH_ALL: u8 = 3 << 1;
}

/// Identify Controller, FRMW: one slot, the first, read only.
pub const FRMW_ONE_READ_ONLY_SLOT: u8 = 1 << 1 | 1;

/// Identify Controller, ONCS: Select of Get Features and Save of Set Features are supported.
pub const ONCS_SELECT: u16 = 1 << 4;

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
    /// Atomic units, boundaries, capacity, preferred sizes, ANA group.
    pub reserved34: [u8; 70],
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
}

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
