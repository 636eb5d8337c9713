//! What lies where in the memory of firmware: [`FIRMWARE`].
//!
//! ```text
//!   FLASH_TABLES what the firmware of the flash keeps its state in
//!   COMMON, which is the rest:
//!   STACKS       a stack for each hart, growing downwards: that of hart 0 is the lowest, and beyond it there is nothing that it could reach
//!   IMAGE        the image, which is CODE, and the variables behind it
//!   CONTAINERS   what containers' processes have
//!   MONITOR      the stacks of the harts in M-mode
//!   TRACE        what the harts have done
//!   PARAMETERS   what firmware is told at its start
//!   RECORDS      what it leaves behind when it stops
//! ```
//! [`protection`](crate::protection) says which hart reaches what. Regions there are powers of two, at multiples of their size.

use crate::{Region, FIRMWARE, HARTS_MAX};

/// What the firmware of the flash keeps its state in: the half of [`FIRMWARE`] that no other hart reaches.
pub const FLASH_TABLES: Region = Region {
    name: "flash-tables",
    base: FIRMWARE.base,
    bytes: FIRMWARE.bytes / 2,
    doc: "State of the flash's firmware.",
};

/// All else.
pub const COMMON: Region = Region {
    name: "firmware-common",
    base: FLASH_TABLES.end(),
    bytes: FIRMWARE.bytes / 2,
    doc: "Firmware, but for the state of the flash's.",
};

/// Bytes of the stack of a hart. The state of the firmware, of half a MiB, is built there, and may be copied there, before it comes to its place.
pub const STACK_BYTES: u64 = 2 << 20;

/// The stacks of the harts, by their numbers.
pub const STACKS: Region = Region {
    name: "firmware-stacks",
    base: COMMON.base,
    bytes: HARTS_MAX as u64 * STACK_BYTES,
    doc: "Stacks of the harts.",
};

/// The stack of a hart.
pub const fn stack(hart: u32) -> Region {
    let base = STACKS.base + hart as u64 * STACK_BYTES;
    Region { name: "firmware-stack", base, bytes: STACK_BYTES, doc: "Stack of a hart." }
}

/// Bytes of a small part: [`PARAMETERS`], and a record.
const PAGE_BYTES: u64 = 4096;

/// The image, from its start on, and the variables behind it.
pub const IMAGE: Region = Region {
    name: "firmware-image",
    base: STACKS.end(),
    bytes: CONTAINERS.base - STACKS.end(),
    doc: "The firmware's image and its variables.",
};

/// Where firmware begins to run: the boot ROM jumps there.
pub const ENTRY: u64 = IMAGE.base;

/// Most bytes of the image: what is loaded, without variables that begin as zero.
pub const IMAGE_BYTES_MAX: u64 = 256 << 10;

/// What is loaded: code and constants. Nothing below M-mode writes there.
pub const CODE: Region = Region {
    name: "firmware-code",
    base: IMAGE.base,
    bytes: IMAGE_BYTES_MAX,
    doc: "The firmware's code and constants.",
};

/// What lies so many bytes before the end of [`FIRMWARE`].
const fn from_end(name: &'static str, distance: u64, bytes: u64, doc: &'static str) -> Region {
    assert!(bytes <= distance);
    Region { name, base: FIRMWARE.end() - distance, bytes, doc }
}

/// The memory of containers' processes: [`containers`](crate::containers).
pub const CONTAINERS: Region = from_end("containers", 2 << 20, 1 << 20, "Memory of containers' processes.");

/// Bytes of the stack of a hart in M-mode.
pub const MONITOR_STACK_BYTES: u64 = 16 << 10;

/// The stacks of the harts in M-mode, by their numbers.
pub const MONITOR: Region = from_end("monitor", 256 << 10, 128 << 10, "Stacks of the harts in M-mode.");

/// What the harts have done: [`trace`](crate::trace).
pub const TRACE: Region = from_end("trace", 64 << 10, 32 << 10, "What the harts have done.");

/// What firmware is told at its start. The boot ROM passes its address in `a1`, and the number of the hart in `a0`, as RISC-V's boot loaders do.
pub const PARAMETERS: Region =
    from_end("firmware-parameters", 4 * PAGE_BYTES, PAGE_BYTES, "What firmware is told at its start.");

/// What firmware leaves behind when it stops: a record for each hart.
pub const RECORDS: Region = from_end("firmware-records", 2 * PAGE_BYTES, 2 * PAGE_BYTES, "Why harts have stopped.");

/// The record of a hart.
pub const fn record(hart: u32) -> Region {
    let bytes = PAGE_BYTES / 4;
    Region { name: "firmware-record", base: RECORDS.base + hart as u64 * bytes, bytes, doc: "Why a hart has stopped." }
}

const _: () = assert!(crate::regions_are_disjoint(&[
    FLASH_TABLES,
    STACKS,
    IMAGE,
    CONTAINERS,
    MONITOR,
    TRACE,
    PARAMETERS,
    RECORDS
]));
const _: () = assert!(CODE.bytes < IMAGE.bytes);
const _: () = assert!(HARTS_MAX as u64 * MONITOR_STACK_BYTES <= MONITOR.bytes);
const _: () = assert!(HARTS_MAX as u64 * crate::trace::RING_BYTES <= TRACE.bytes);
const _: () = assert!(record(HARTS_MAX).base <= RECORDS.end());
