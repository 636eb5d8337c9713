//! The page map: where the units of the host's data lie in the flash.
//!
//! Entry `n` stands for unit `n` of the host, the bytes from `n *` [`UNIT_BYTES`] on. It is the number of
//! the unit in the flash that holds them: [`Geometry::page_index`](crate::Geometry::page_index) `*` [`UNITS_PER_PAGE`](crate::limits::UNITS_PER_PAGE) and the
//! place in the page, or [`UNMAPPED`]. Entries are little-endian and lie one after the other in memory; those that fit a page of the flash are a map page,
//! which is kept there as a whole.

use crate::limits::{PAGE_BYTES, UNIT_BYTES};

/// Bytes of an entry.
pub const ENTRY_BYTES: u32 = 4;
/// The entry of a unit that was never written, or was deallocated.
pub const UNMAPPED: u32 = u32::MAX;
/// Units of a map page.
pub const UNITS_PER_MAP_PAGE: u32 = PAGE_BYTES / ENTRY_BYTES;

/// Map pages of so many units of the host.
pub const fn map_pages(units: u32) -> u32 {
    units.div_ceil(UNITS_PER_MAP_PAGE)
}

const _: () = assert!(UNITS_PER_MAP_PAGE as u64 * UNIT_BYTES as u64 == 16 << 20, "a map page stands for 16 MiB");
