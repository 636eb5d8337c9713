//! What this controller supports, in numbers. Bounds of queues, tables and loops.

/// Most entries of a queue that the default configuration supports: CAP.MQES is one less. The admin queues have this bound too.
pub const QUEUE_ENTRIES_MAX: u32 = 4096;

/// Fewest entries of a queue. NVMe Base, "Queue Size".
pub const QUEUE_ENTRIES_MIN: u32 = 2;

/// Functions of the default configuration, and most that firmware serves.
pub const FUNCTIONS_DEFAULT: u8 = 2;

/// I/O queue pairs of the default configuration.
pub const IO_QUEUES_DEFAULT: u16 = 64;

/// Most I/O queue pairs of any configuration: queue numbers have eight bits inside the controller, and queue 0 is the admin queue.
pub const IO_QUEUES_MAX: u16 = 255;

/// Bytes of a logical block of the default configuration.
pub const LBA_BYTES: u32 = 512;

/// Bytes of a sector: the unit of the storage's addresses, and the smallest logical block.
pub const SECTOR_BYTES: u32 = 512;

/// Bytes of a memory page: CAP.MPSMIN = CAP.MPSMAX = 0.
pub const PAGE_BYTES: u32 = 4096;

/// Bytes of the pieces into which the controller cuts the data of a command.
pub const UNIT_BYTES: u32 = 4096;

/// Identify Controller, MDTS: a command moves at most 2^MDTS memory pages.
pub const MDTS: u8 = 9;

/// Most bytes of data of one command.
pub const TRANSFER_BYTES_MAX: u32 = PAGE_BYTES << MDTS;

/// Identify Controller of the NVM command set, VSL: a Verify reads at most 2^VSL memory pages.
pub const VSL: u8 = MDTS;

/// Identify Controller of the NVM command set, WZSL: a Write Zeroes without deallocation writes at most 2^WZSL memory pages.
pub const WZSL: u8 = MDTS;

/// Identify Controller of the NVM command set, WUSL: a Write Uncorrectable marks at most 2^WUSL memory pages.
pub const WUSL: u8 = MDTS;

/// Identify Namespace, MSRC: source ranges of a Copy, at most, minus one.
pub const MSRC: u8 = 127;

/// Identify Namespace, MSSRL: logical blocks of one source range of a Copy, at most.
pub const MSSRL: u16 = 4096;

/// Identify Namespace, MCL: logical blocks of a Copy, at most.
pub const MCL: u32 = 1 << 16;

/// Identify Controller, ACWU: logical blocks of a fused Compare and Write, at most, minus one.
pub const ACWU: u16 = 0;

/// Bytes of the firmware's data buffer, and most bytes of a transfer that firmware asks for.
pub const BUFFER_BYTES: u32 = 4096;

/// The first namespace.
pub const NSID: u32 = 1;

/// Most namespaces of the subsystem: rows of the hardware's table.
pub const NAMESPACES_MAX: u32 = 8;

/// Bytes of the units in which namespaces get their place in the storage.
pub const STORAGE_UNIT_BYTES: u32 = 4096;

/// "All namespaces" in a namespace identifier. NVMe Base, "Namespace Identifiers".
pub const NSID_BROADCAST: u32 = 0xFFFF_FFFF;

/// Abort commands that may be outstanding at once; Identify Controller, ACL, is one less.
pub const ABORTS: u32 = 4;

/// Asynchronous Event Request commands that may be outstanding at once; Identify Controller, AERL, is one less.
pub const ASYNC_EVENT_REQUESTS: u32 = 4;

/// Entries of the Error Information log page; Identify Controller, ELPE, is one less.
pub const ERROR_LOG_ENTRIES: u32 = 64;

/// Most commands that firmware holds until something happens. They take neither a slot of the hardware nor room in a completion queue.
pub const HELD_COMMANDS: u32 = 4096;

/// Commands that firmware may work on, or whose completion may wait for room in its queue, beside those that it holds. When so many wait,
/// firmware takes no more commands.
pub const FIRMWARE_COMMANDS: u32 = 1024;

/// Bytes of the longest frame of the vendor specific I/O commands.
pub const FRAME_BYTES_MAX: u32 = 2048;

/// Frames that have no command to receive them yet and are kept for one.
pub const FRAMES_KEPT: u32 = 8;

/// Firmware slots; the first is read only. NVMe Base, "Firmware Slot Information".
pub const FIRMWARE_SLOTS: u32 = 3;

/// Parts of a firmware image on its way that are not adjacent to one another; more are refused.
pub const IMAGE_RANGES: u32 = 256;

/// Identify Controller, KAS: granularity of the Keep Alive Timer in units of 100 milliseconds.
pub const KEEP_ALIVE_GRANULARITY_100_MS: u16 = 1;

/// Units of the storage that firmware has erased at a time: 64 MiB.
pub const ERASE_UNITS_PER_STEP: u64 = 1 << 14;

/// Units of the storage that firmware has copied at a time: 64 KiB.
pub const COPY_UNITS_PER_STEP: u64 = 1 << 4;

/// Pieces of the storage that one command can have erased.
pub const ERASURE_RANGES: u32 = 256;

/// CAP.TO in units of 500 milliseconds: the longest time from CC.EN to CSTS.RDY.
pub const READY_TIMEOUT_500_MS: u8 = 20;

/// Clock frequency of the controller's core, in hertz.
pub const CORE_HZ: u64 = 250_000_000;

const _: () = assert!(TRANSFER_BYTES_MAX == 2 << 20);
// One limit holds for all commands that name logical blocks.
const _: () = assert!(VSL == MDTS && WZSL == MDTS && WUSL == MDTS);
const _: () = assert!(BUFFER_BYTES >= PAGE_BYTES && UNIT_BYTES == PAGE_BYTES);
const _: () = assert!(IO_QUEUES_DEFAULT <= IO_QUEUES_MAX);
