//! The memory of containers' processes, [`CONTAINERS`]: a slot for each hart of the role [`Containers`](Role::Containers).
//!
//! ```text
//!   page 0        what the loader says: `soc_firmware::process::Program`
//!   pages 1, ...  code, as many pages as it needs; variables; the stack, which grows down from the end of them
//!   the last 3    page tables, which the process does not see
//! ```
//! A process sees its pages from [`VIRTUAL_BASE`] on.

use crate::firmware::CONTAINERS;
use crate::privileged::sv39::PAGE_BYTES;
use crate::roles::Role;
use crate::Region;

/// Bytes of a slot.
pub const SLOT_BYTES: u64 = CONTAINERS.bytes / Role::Containers.harts() as u64;

/// Where a process finds its first instruction.
pub const VIRTUAL_BASE: u64 = 16 * PAGE_BYTES;

/// Tables of a process, a page each: one of each level of Sv39.
pub const TABLES: u64 = 3;

/// Pages that a process sees.
pub const PROCESS_PAGES: u64 = SLOT_BYTES / PAGE_BYTES - 1 - TABLES;

/// The slot of a hart; none if it has another role.
pub const fn slot(hart: u32) -> Option<Region> {
    match Role::of(hart) {
        Role::Containers => Some(Region {
            name: "container-slot",
            base: CONTAINERS.base + Role::Containers.before(hart) as u64 * SLOT_BYTES,
            bytes: SLOT_BYTES,
            doc: "Memory of a container's process.",
        }),
        _ => None,
    }
}
