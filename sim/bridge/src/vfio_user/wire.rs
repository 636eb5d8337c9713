//! The protocol's messages, as data. "vfio-user Protocol Specification" (QEMU, `docs/interop/vfio-user.rst`; libvfio-user, `docs/vfio-user.rst`); what
//! that leaves to VFIO: Linux, `include/uapi/linux/vfio.h`.
//!
//! All integers have the byte order of the machine. Section titles in the comments are those of the specification.

use std::mem::{offset_of, size_of};
use zerocopy::native_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Version of the protocol that is spoken. "Version".
pub(super) const VERSION: Version = Version { major: U16::new(0), minor: U16::new(1) };

/// Most bytes that one message transfers. "Version", `max_data_xfer_size`: the default.
pub(super) const TRANSFER_BYTES_MAX: u32 = 1 << 20;

/// Most files that are taken with one message: what QEMU offers, and the most that it accepts.
pub(super) const FILES_MAX: usize = 16;

/// Most windows of DMA addresses at a time.
pub(super) const WINDOWS_MAX: usize = 16384;

/// Sizes of pages that may be mapped, or'ed. "Version", `pgsizes`: the default.
pub(super) const PAGE_SIZES: u64 = 4096;

/// Most bytes behind a header that are of any use: those of the longest transfer.
pub(super) const BODY_BYTES_MAX: usize = TRANSFER_BYTES_MAX as usize + size_of::<RegionAccess>();

/// "Commands".
pub(super) mod command {
    pub const VERSION: u16 = 1;
    pub const DMA_MAP: u16 = 2;
    pub const DMA_UNMAP: u16 = 3;
    pub const DEVICE_GET_INFO: u16 = 4;
    pub const DEVICE_GET_REGION_INFO: u16 = 5;
    pub const DEVICE_GET_IRQ_INFO: u16 = 7;
    pub const DEVICE_SET_IRQS: u16 = 8;
    pub const REGION_READ: u16 = 9;
    pub const REGION_WRITE: u16 = 10;
    /// From the server to the client.
    pub const DMA_READ: u16 = 11;
    /// From the server to the client.
    pub const DMA_WRITE: u16 = 12;
    pub const DEVICE_RESET: u16 = 13;
}

/// Values of [`Header::flags`].
pub(super) mod flags {
    /// Whether it is a command or a reply.
    pub const TYPE: u32 = 0xF;
    pub const COMMAND: u32 = 0;
    pub const REPLY: u32 = 1;
    /// In a command: the sender wants no reply.
    pub const NO_REPLY: u32 = 1 << 4;
    /// In a reply: the command failed, and [`Header::error`](super::Header::error) says why.
    pub const ERROR: u32 = 1 << 5;
}

/// "Header": before everything.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct Header {
    /// The sender's; echoed in the reply.
    pub id: U16,
    pub command: U16,
    /// Of the whole message, with this header.
    pub bytes: U32,
    pub flags: U32,
    /// An `errno`.
    pub error: U32,
}
const _: () = assert!(size_of::<Header>() == 16);

/// "Version": what a [`command::VERSION`] begins with; JSON with a final NUL may follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct Version {
    pub major: U16,
    pub minor: U16,
}
const _: () = assert!(size_of::<Version>() == 4);

/// Values of [`DmaMap::flags`]. "`VFIO_USER_DMA_MAP`".
pub(super) mod map_flags {
    pub const READABLE: u32 = 1 << 0;
    pub const WRITABLE: u32 = 1 << 1;
}

/// "`VFIO_USER_DMA_MAP`". The reply has no payload.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct DmaMap {
    pub argument_bytes: U32,
    pub flags: U32,
    /// In the file.
    pub offset: U64,
    pub address: U64,
    pub bytes: U64,
}
const _: () = assert!(size_of::<DmaMap>() == 32);

/// Value of [`DmaUnmap::flags`]: everything; address and size are 0. `linux/vfio.h`, `VFIO_DMA_UNMAP_FLAG_ALL`.
pub(super) const UNMAP_ALL: u32 = 1 << 1;

/// "`VFIO_USER_DMA_UNMAP`". The reply has the same payload.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct DmaUnmap {
    pub argument_bytes: U32,
    pub flags: U32,
    pub address: U64,
    pub bytes: U64,
}
const _: () = assert!(size_of::<DmaUnmap>() == 24);

/// Values of [`DeviceInfo::flags`]. "`VFIO_USER_DEVICE_GET_INFO`".
pub(super) mod device_flags {
    pub const RESET: u32 = 1 << 0;
    pub const PCI: u32 = 1 << 1;
}

/// "`VFIO_USER_DEVICE_GET_INFO`".
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct DeviceInfo {
    pub argument_bytes: U32,
    pub flags: U32,
    pub regions: U32,
    pub interrupts: U32,
}
const _: () = assert!(size_of::<DeviceInfo>() == 16);

/// Regions of a PCI device. `linux/vfio.h`, `VFIO_PCI_BAR0_REGION_INDEX` and what follows.
pub(super) mod region {
    pub const BAR0: u32 = 0;
    pub const CONFIG: u32 = 7;
    pub const COUNT: u32 = 9;
}

/// Values of [`RegionInfo::flags`]. "`VFIO_USER_DEVICE_GET_REGION_INFO`".
pub(super) mod region_flags {
    pub const READ: u32 = 1 << 0;
    pub const WRITE: u32 = 1 << 1;
    pub const MMAP: u32 = 1 << 2;
    pub const CAPABILITIES: u32 = 1 << 3;
}

/// "`VFIO_USER_DEVICE_GET_REGION_INFO`".
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct RegionInfo {
    /// In a request: the room for the reply's payload. In a reply: how much all of it takes.
    pub argument_bytes: U32,
    pub flags: U32,
    pub index: U32,
    /// From the beginning of this structure.
    pub capability_offset: U32,
    pub bytes: U64,
    /// What is added to the offsets of areas to get those in the file.
    pub offset: U64,
}
const _: () = assert!(size_of::<RegionInfo>() == 32);

/// "VFIO sparse mmap cap header", with one area.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct SparseMmap {
    /// [`SPARSE_MMAP`].
    pub id: U16,
    pub version: U16,
    /// Offset of the next capability; 0: there is none.
    pub next: U32,
    pub areas: U32,
    pub reserved: U32,
    pub offset: U64,
    pub bytes: U64,
}
const _: () = assert!(size_of::<SparseMmap>() == 32);
const _: () = assert!(offset_of!(SparseMmap, offset) == 16);

/// `linux/vfio.h`, `VFIO_REGION_INFO_CAP_SPARSE_MMAP`.
pub(super) const SPARSE_MMAP: u16 = 1;

/// Kinds of interrupts of a PCI device. `linux/vfio.h`, `VFIO_PCI_INTX_IRQ_INDEX` and what follows.
pub(super) mod interrupt {
    pub const MSIX: u32 = 2;
    pub const COUNT: u32 = 5;
}

/// Values of [`InterruptInfo::flags`]. "`VFIO_USER_DEVICE_GET_IRQ_INFO`".
pub(super) mod interrupt_flags {
    pub const EVENT_FILE: u32 = 1 << 0;
    pub const MASKABLE: u32 = 1 << 1;
}

/// "`VFIO_USER_DEVICE_GET_IRQ_INFO`".
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct InterruptInfo {
    pub argument_bytes: U32,
    pub flags: U32,
    pub index: U32,
    pub count: U32,
}
const _: () = assert!(size_of::<InterruptInfo>() == 16);

/// Values of [`SetInterrupts::flags`]: one of the data and one of the actions. "`VFIO_USER_DEVICE_SET_IRQS`".
pub(super) mod set_flags {
    pub const DATA_NONE: u32 = 1 << 0;
    pub const DATA_BOOL: u32 = 1 << 1;
    pub const DATA_EVENT_FILE: u32 = 1 << 2;
    pub const MASK: u32 = 1 << 3;
    pub const UNMASK: u32 = 1 << 4;
    pub const TRIGGER: u32 = 1 << 5;
}

/// "`VFIO_USER_DEVICE_SET_IRQS`"; a byte for each vector follows if the flags say so. The reply has no payload.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct SetInterrupts {
    pub argument_bytes: U32,
    pub flags: U32,
    pub index: U32,
    pub start: U32,
    pub count: U32,
}
const _: () = assert!(size_of::<SetInterrupts>() == 20);

/// "`VFIO_USER_REGION_READ`" and "`VFIO_USER_REGION_WRITE`"; the data follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct RegionAccess {
    pub offset: U64,
    pub region: U32,
    pub count: U32,
}
const _: () = assert!(size_of::<RegionAccess>() == 16);

/// "`VFIO_USER_DMA_READ`" and "`VFIO_USER_DMA_WRITE`"; the data follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct DmaAccess {
    pub address: U64,
    pub count: U64,
}
const _: () = assert!(size_of::<DmaAccess>() == 16);
