//! What firmware writes into flash for itself: the anchor, checkpoints and the log.
//!
//! ```text
//! super-block 0          one of its first blocks is in use: anchor, anchor, ..   the last one counts
//!                                                              |
//!            +------------------+------------------+-----------+-------------------------------+
//!            v                  v                                                              v
//! checkpoint: directory (places of map pages and marks), table (of super-blocks), two copies of each    log: record, record, ..
//! ```
//! Each is a page, a record. Records lie in MSB pages only, and the LSB pages before them hold filler: so no later program can destroy a record. The
//! slots of a super-block are numbered plane by plane within a page number, from a plane that is another one in each super-block: see [`slot_plane`].

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::limits::{PAGE_BYTES, PLANES_MAX, UNITS_PER_PAGE};
use crate::Geometry;

/// The place of a unit that is not there: in the map, in the log and in the directory. Other places are numbers of units of the flash: that of the page
/// ([`Geometry::page_index`]) times [`UNITS_PER_PAGE`], and the place in the page.
pub const UNMAPPED: u32 = u32::MAX;
/// Bytes of an entry of the map.
pub const MAP_ENTRY_BYTES: u32 = 4;
/// Entries of a page of the map. Entry `n` of the map stands for unit `n` of the host; entries lie one after the other, little-endian.
pub const MAP_ENTRIES: u32 = PAGE_BYTES / MAP_ENTRY_BYTES;
/// Most pages of a map: their places and those of the pages of marks fit one page.
pub const MAP_PAGES_MAX: u32 = PAGE_BYTES / 4 / (MAP_PAGES_PER_MARKS + 1) * MAP_PAGES_PER_MARKS;
/// Pages of the map to which a page of marks belongs. It has a bit for each of their entries, in their order, the least significant bit of a word first:
/// 1 if the unit had a place when the page of the map was written. Spares tell where a unit is, but not that it was trimmed.
pub const MAP_PAGES_PER_MARKS: u32 = 8 * PAGE_BYTES / MAP_ENTRIES;
/// Words of a page of marks that belong to one page of the map.
pub const MARK_WORDS: u32 = MAP_ENTRIES / u32::BITS;
/// Most super-blocks: their table fills one page.
pub const SUPER_BLOCKS_MAX: u32 = PAGE_BYTES / size_of::<SuperBlockEntry>() as u32;
/// Entries of a record of the log.
pub const LOG_ENTRIES: u32 = (PAGE_BYTES - size_of::<LogHeader>() as u32) / size_of::<LogEntry>() as u32;
/// Most super-blocks that a record of the log names as being written.
pub const WRITTEN_MAX: usize = 16;
/// Blocks of super-block 0 that may hold anchors, one after the other: those of its first planes.
pub const ANCHOR_BLOCKS_MAX: u32 = 8;

/// Copies of the directory and of the table, in slots that follow each other, so that they are in different planes.
pub const COPIES: usize = 2;

/// Which part of a checkpoint a page is: `lpns[0]` of its spare.
pub mod part {
    /// The places of the map pages and then those of the pages of marks, as page numbers.
    pub const DIRECTORY: u32 = 0;
    /// A [`super::SuperBlockEntry`] for each super-block.
    pub const TABLE: u32 = 1;
    /// An [`super::Anchor`].
    pub const ANCHOR: u32 = 2;
    /// The first page of marks ([`super::MAP_PAGES_PER_MARKS`]); the others follow.
    pub const MARKS: u32 = 3;
}

/// The page of a slot's record within its block; the page before it is filler, unless that is a record too.
pub const fn slot_page(row: u32, pages_per_block: u32) -> u32 {
    let page = 2 + 2 * row;
    if page < pages_per_block {
        page
    } else {
        pages_per_block - 1
    }
}

/// Slots of a block: its MSB pages.
pub const fn slots_per_block(pages_per_block: u32) -> u32 {
    pages_per_block / 2
}

/// The plane of a slot of a super-block. The first slots of super-blocks are in different planes, so that a mount can look at all of them at the same time.
pub const fn slot_plane(geometry: &Geometry, super_block: u32, slot: u32) -> u32 {
    (super_block + slot) % geometry.planes()
}

/// The number of the page of a slot of a super-block.
pub const fn slot_index(geometry: &Geometry, super_block: u32, slot: u32) -> u32 {
    let row = slot / geometry.planes();
    let stripe = super_block * geometry.pages_per_block + slot_page(row, geometry.pages_per_block);
    stripe * geometry.planes() + slot_plane(geometry, super_block, slot)
}

/// The slot of a page of a super-block, if it is one.
pub const fn slot_of(geometry: &Geometry, page: u32) -> Option<u32> {
    let address = geometry.page_at(page as u64);
    let planes = geometry.planes();
    let first = address.block as u32 % planes;
    let mut row = 0;
    while row < slots_per_block(geometry.pages_per_block) {
        if slot_page(row, geometry.pages_per_block) == address.page as u32 {
            return Some(row * planes + (geometry.plane_index(address) + planes - first) % planes);
        }
        row += 1;
    }
    None
}

/// A row of the table of super-blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SuperBlockEntry {
    /// How often it was erased, in the lower 24 bits; one of [`state`] above.
    pub erases_and_state: U32,
    /// A bit for each plane whose block is bad.
    pub bad: [U32; PLANES_MAX as usize / 32],
}

/// What a super-block holds: [`SuperBlockEntry::erases_and_state`].
pub mod state {
    /// Nothing: it is erased.
    pub const FREE: u8 = 0;
    /// Units of the host.
    pub const DATA: u8 = 1;
    /// Pages of the map, directories and tables.
    pub const MAP: u8 = 2;
    /// Records of the log.
    pub const LOG: u8 = 3;
    /// Anchors.
    pub const SYSTEM: u8 = 4;
    /// Nothing ever more: all of its blocks are bad.
    pub const RETIRED: u8 = 5;
}

/// The head of a record of the log. Its entries follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct LogHeader {
    /// One more than that of the record before.
    pub number: U64,
    /// Each change by a page with a lower sequence number is in this record or in one before it. Not less than in those: a super-block that an earlier
    /// record covers is in `written` no more.
    pub covered: U64,
    /// How many entries follow.
    pub entries: U32,
    /// The super-block that holds the record after this one in its slot 0, or 0: the next slot of the same super-block.
    pub next_super_block: U16,
    /// How many of `written` there are.
    pub written_count: U16,
    /// Super-blocks in which there may be pages with sequence numbers of at least `covered`.
    pub written: [U16; WRITTEN_MAX],
    /// The super-block of `written` that a mount goes on with, or 0: it may choose. What the mount that wrote this has found in the others can still be
    /// destroyed by programs of the same cells.
    pub resumed: U16,
    /// 0.
    pub reserved_58: [u8; 6],
}

/// A change of the map, or one of [`entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct LogEntry {
    /// The logical unit.
    pub lpn: U32,
    /// Where it is now, or [`UNMAPPED`].
    pub place: U32,
}

/// Log entries about super-blocks: their `lpn`, which no unit has.
pub mod entry {
    /// The super-block in the lower [`SUPER_BLOCK_BITS`] bits of `place` is erased; the upper bits say how often it was.
    pub const ERASED: u32 = 0xFFFF_FFFE;
    /// The block `place` ([`crate::Geometry::block_index`]) is bad.
    pub const RETIRED: u32 = 0xFFFF_FFFD;
    /// The super-block in the lower [`SUPER_BLOCK_BITS`] bits of `place` is written from now on; the upper bits are its [`super::state`].
    pub const OPENED: u32 = 0xFFFF_FFFC;
    /// The least of them.
    pub const FIRST: u32 = OPENED;
    /// Bits of the number of a super-block.
    pub const SUPER_BLOCK_BITS: u32 = 10;
}

/// Where everything begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Anchor {
    /// [`ANCHOR_MAGIC`].
    pub magic: U64,
    /// One more than that of the anchor before.
    pub generation: U64,
    /// The number of the record at `log_slot`.
    pub log_number: U64,
    /// Units that the host has written, ever.
    pub written_units: U64,
    /// Pages that were programmed, of every kind, ever.
    pub programmed_pages: U64,
    /// Units of the host's space.
    pub units: U32,
    /// The pages of the directory, which has so many copies.
    pub directory: [U32; COPIES],
    /// The pages of the table.
    pub table: [U32; COPIES],
    /// The slot of the first record that counts.
    pub log_slot: U32,
    /// Its super-block.
    pub log_super_block: U16,
    /// 1 while all is being erased: mounting it erases again.
    pub erasing: U16,
    /// Channels, dies, planes, blocks and pages of the geometry that this was written in.
    pub geometry: [U32; 5],
    /// Programs that failed, ever.
    pub program_failures: U32,
    /// Erases of a block that failed, ever.
    pub erase_failures: U32,
}

/// "FLASHDK1" as bytes.
pub const ANCHOR_MAGIC: u64 = u64::from_le_bytes(*b"FLASHDK1");

const _: () = assert!(size_of::<SuperBlockEntry>() == 16);
const _: () = assert!(size_of::<LogHeader>() == 64);
const _: () = assert!(size_of::<LogEntry>() == 8);
const _: () = assert!(size_of::<Anchor>() == 96);
const _: () = assert!(MAP_ENTRIES % UNITS_PER_PAGE == 0);
const _: () = assert!(SUPER_BLOCKS_MAX == 1 << entry::SUPER_BLOCK_BITS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::{kind, PageKind};
    use std::vec::Vec;

    #[test]
    fn slots_are_the_msb_pages_in_their_order() {
        for pages in (4..=64).step_by(2) {
            let slots = (0..slots_per_block(pages)).map(|row| slot_page(row, pages));
            assert!(slots.eq((0..pages).filter(|&page| kind(page, pages) == PageKind::Msb)), "{pages} pages");
        }
    }

    #[test]
    fn slots_are_pages_of_their_super_block() {
        let geometry = Geometry::SMALL;
        for slot in 0..geometry.planes() * slots_per_block(geometry.pages_per_block) {
            let page = geometry.page_at(slot_index(&geometry, 3, slot).into());
            assert_eq!((u32::from(page.block), geometry.plane_index(page)), (3, slot_plane(&geometry, 3, slot)));
        }
    }

    #[test]
    fn a_page_is_one_slot_or_none() {
        let geometry = Geometry::SMALL;
        let slots = geometry.planes() * slots_per_block(geometry.pages_per_block);
        for super_block in 0..geometry.blocks_per_plane {
            let first = super_block * geometry.planes() * geometry.pages_per_block;
            let of_pages = (first..first + geometry.planes() * geometry.pages_per_block)
                .filter_map(|page| slot_of(&geometry, page).map(|slot| (slot, page)));
            let mut found: Vec<(u32, u32)> = of_pages.collect();
            found.sort_unstable();
            assert!(found.into_iter().eq((0..slots).map(|slot| (slot, slot_index(&geometry, super_block, slot)))));
        }
    }
}
