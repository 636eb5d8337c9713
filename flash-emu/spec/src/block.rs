//! What is known of a block beside what its pages hold: enough to make a flash that has been used out of a new one.
//!
//! Packed into bits, the first field lowest, it is what the records of a channel hold and what goes through its door:
//!
//! | bits | field |
//! |---|---|
//! | 0 to 23 | [`erases`](BlockRecord::erases) |
//! | 24 to 34 | [`next_page`](BlockRecord::next_page) |
//! | 35 | [`is_closed`](BlockRecord::is_closed) |
//! | 36 | [`is_bad`](BlockRecord::is_bad) |
//! | 37, 38 | [`torn`](BlockRecord::torn) |

use crate::limits::PAGES_PER_BLOCK_MAX;
use crate::pairing::{kind, PageKind};
use crate::reliability::ERASES_BITS;

/// Bits of the number of a page, and of the one behind the last.
pub const NEXT_PAGE_BITS: u32 = PAGES_PER_BLOCK_MAX.ilog2() + 1;
/// Bits of [`Torn`].
pub const TORN_BITS: u32 = 2;
/// Bits of a record.
pub const RECORD_BITS: u32 = TORN_AT + TORN_BITS;

const NEXT_PAGE_AT: u32 = ERASES_BITS;
const IS_CLOSED_AT: u32 = NEXT_PAGE_AT + NEXT_PAGE_BITS;
const IS_BAD_AT: u32 = IS_CLOSED_AT + 1;
const TORN_AT: u32 = IS_BAD_AT + 1;

/// Which pages of a block have been destroyed since its last erase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Torn {
    /// None.
    #[default]
    Nothing = 0,
    /// The last that was programmed.
    Last = 1,
    /// That one and the LSB page of the same cells.
    Cells = 2,
    /// All.
    Block = 3,
}

/// What is known of a block. That of a new one is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlockRecord {
    /// How often it was erased: [`ERASES_BITS`].
    pub erases: u32,
    /// The page that is programmed next: those before it have been programmed since the last erase.
    pub next_page: u16,
    /// Nothing is programmed before the next erase.
    pub is_closed: bool,
    /// No erase succeeds.
    pub is_bad: bool,
    /// What is destroyed.
    pub torn: Torn,
}

impl BlockRecord {
    /// The record as [`RECORD_BITS`] bits; what a field has no room for is lost.
    pub const fn to_bits(self) -> u64 {
        mask(self.erases as u64, ERASES_BITS)
            | mask(self.next_page as u64, NEXT_PAGE_BITS) << NEXT_PAGE_AT
            | (self.is_closed as u64) << IS_CLOSED_AT
            | (self.is_bad as u64) << IS_BAD_AT
            | (self.torn as u64) << TORN_AT
    }

    /// The record of such bits. All bits are one, though perhaps of no block: see [`is_possible`](Self::is_possible).
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            erases: mask(bits, ERASES_BITS) as u32,
            next_page: mask(bits >> NEXT_PAGE_AT, NEXT_PAGE_BITS) as u16,
            is_closed: mask(bits >> IS_CLOSED_AT, 1) == 1,
            is_bad: mask(bits >> IS_BAD_AT, 1) == 1,
            torn: match mask(bits >> TORN_AT, TORN_BITS) {
                0 => Torn::Nothing,
                1 => Torn::Last,
                2 => Torn::Cells,
                _ => Torn::Block,
            },
        }
    }

    /// Whether a block of so many pages can have this record. What has been torn is closed, and only the program of an MSB page tears the other page of its
    /// cells.
    pub const fn is_possible(&self, pages_per_block: u32) -> bool {
        let next_page = self.next_page as u32;
        if self.erases >> ERASES_BITS != 0 || next_page > pages_per_block {
            return false;
        }
        match self.torn {
            Torn::Nothing => true,
            Torn::Last => self.is_closed && next_page > 0,
            Torn::Cells => {
                self.is_closed && next_page > 0 && matches!(kind(next_page - 1, pages_per_block), PageKind::Msb)
            }
            Torn::Block => self.is_closed && next_page == 0,
        }
    }
}

/// The lowest bits.
const fn mask(value: u64, bits: u32) -> u64 {
    value & ((1 << bits) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_table() {
        assert_eq!((RECORD_BITS, BlockRecord::default().to_bits()), (39, 0));
        let fields = [
            (BlockRecord { erases: (1 << 24) - 1, ..BlockRecord::default() }, 0x00_00FF_FFFF),
            (BlockRecord { next_page: 1024, ..BlockRecord::default() }, 1 << 34),
            (BlockRecord { is_closed: true, ..BlockRecord::default() }, 1 << 35),
            (BlockRecord { is_bad: true, ..BlockRecord::default() }, 1 << 36),
            (BlockRecord { torn: Torn::Last, ..BlockRecord::default() }, 1 << 37),
            (BlockRecord { torn: Torn::Cells, ..BlockRecord::default() }, 1 << 38),
            (BlockRecord { torn: Torn::Block, ..BlockRecord::default() }, 3 << 37),
        ];
        for (record, bits) in fields {
            assert_eq!(record.to_bits(), bits, "{record:?}");
        }
    }

    #[test]
    fn every_bit_is_kept() {
        for bit in 0..RECORD_BITS {
            for bits in [1 << bit, !(1 << bit) & ((1 << RECORD_BITS) - 1)] {
                assert_eq!(BlockRecord::from_bits(bits).to_bits(), bits);
            }
        }
    }

    #[test]
    fn what_no_block_can_have_is_known() {
        let new = BlockRecord::default();
        let torn = |next_page, torn| BlockRecord { next_page, is_closed: true, torn, ..new };
        let possible = [
            new,
            BlockRecord { next_page: 8, ..new },
            BlockRecord { is_bad: true, ..new },
            torn(1, Torn::Last),
            torn(3, Torn::Cells),
            torn(0, Torn::Block),
        ];
        let impossible = [
            BlockRecord { erases: 1 << 24, ..new },
            BlockRecord { next_page: 9, ..new },
            BlockRecord { is_closed: false, ..torn(1, Torn::Last) },
            torn(0, Torn::Last),
            torn(0, Torn::Cells),
            torn(2, Torn::Cells),
            torn(1, Torn::Block),
        ];
        assert!(possible.iter().all(|record| record.is_possible(8)));
        for record in impossible {
            assert!(!record.is_possible(8), "{record:?}");
        }
    }
}
