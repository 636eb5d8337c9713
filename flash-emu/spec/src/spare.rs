//! The spare of a page: what recovery knows about the page without any map.
//!
//! Hardware writes it with every page. A page whose spare does not [check](Spare::check) has no content.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::limits::{SPARE_BYTES, UNITS_PER_PAGE};

/// The number of no logical unit: a unit of a page that has none.
pub const LPN_NONE: u32 = u32::MAX;

/// What a page is for: [`Spare::kind`].
pub mod kind {
    /// Units of the host, from the host or moved from another page.
    pub const USER: u8 = 1;
    /// A page of the map; `lpns[0]` is its number.
    pub const MAP: u8 = 2;
    /// A record of the log ([`crate::record::LogHeader`]); `lpns[0]` is the lower half of its number.
    pub const LOG: u8 = 3;
    /// A part of a checkpoint: [`crate::record`]; `lpns[0]` says which.
    pub const CHECKPOINT: u8 = 4;
    /// Nothing: it fills cells, so that a later program cannot destroy what was written before.
    pub const FILLER: u8 = 5;
}

/// The spare of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Spare {
    /// The logical units of the page's units, or [`LPN_NONE`].
    pub lpns: [U32; UNITS_PER_PAGE as usize],
    /// Grows by one with every page that hardware programs. Of two pages with the same logical unit, the one with the greater number is the newer.
    pub sequence: U64,
    /// One of [`kind`].
    pub kind: u8,
    /// 0.
    pub reserved_25: [u8; 3],
    /// CRC-32C of each unit. A page of units may have fewer than four: the others have no logical unit, no content, and 0 here; so have all of filler.
    pub unit_crc: [U32; UNITS_PER_PAGE as usize],
    /// The number of the page itself: [`crate::Geometry::page_index`].
    pub page: U32,
    /// The sectors of each unit that cannot be read, a bit each.
    pub bad_sectors: [u8; UNITS_PER_PAGE as usize],
    /// 0.
    pub reserved_52: [u8; 8],
    /// CRC-32C of the bytes before it.
    pub crc: U32,
}

const _: () = assert!(size_of::<Spare>() == SPARE_BYTES as usize);
const _: () = assert!(core::mem::offset_of!(Spare, sequence) == 16);
const _: () = assert!(core::mem::offset_of!(Spare, unit_crc) == 28);
const _: () = assert!(core::mem::offset_of!(Spare, page) == 44);
const _: () = assert!(core::mem::offset_of!(Spare, bad_sectors) == 48);
const _: () = assert!(core::mem::offset_of!(Spare, crc) == 60);

impl Spare {
    /// The spare of a page, with its CRC.
    pub fn new(page: u32, sequence: u64, kind: u8, lpns: [u32; 4], unit_crc: [u32; 4]) -> Self {
        let mut spare = Self {
            lpns: lpns.map(U32::new),
            sequence: U64::new(sequence),
            kind,
            reserved_25: [0; 3],
            unit_crc: unit_crc.map(U32::new),
            page: U32::new(page),
            bad_sectors: [0; 4],
            reserved_52: [0; 8],
            crc: U32::ZERO,
        };
        spare.crc = U32::new(spare.crc_of_rest());
        spare
    }

    /// The spare in these bytes, if it is one and belongs to this page.
    pub fn check(bytes: &[u8; SPARE_BYTES as usize], page: u32) -> Option<Self> {
        let spare = Self::read_from_bytes(bytes).ok()?;
        let is_whole = spare.crc.get() == spare.crc_of_rest() && spare.page.get() == page;
        is_whole.then_some(spare)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; SPARE_BYTES as usize] {
        let mut bytes = [0; SPARE_BYTES as usize];
        bytes.copy_from_slice(self.as_bytes());
        bytes
    }

    fn crc_of_rest(&self) -> u32 {
        crc32c(&self.as_bytes()[..SPARE_BYTES as usize - 4])
    }
}

/// The polynomial of Castagnoli with its bits reversed. RFC 3720, "Header Digest and Data Digest".
pub const CRC_POLYNOMIAL: u32 = 0x82F6_3B78;

/// CRC-32C, as iSCSI has it (RFC 3720, "Header Digest and Data Digest").
///
/// ```
/// assert_eq!(flash_spec::spare::crc32c(b"123456789"), 0xE306_9283);
/// ```
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| CRC_TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ CRC_POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> Spare {
        Spare::new(77, 5, kind::USER, [1, 2, LPN_NONE, 4], [9, 8, 7, 6])
    }

    proptest! {
        #[test]
        fn no_changed_bit_goes_unnoticed(bit in 0..SPARE_BYTES * 8) {
            let mut bytes = example().to_bytes();
            prop_assert_eq!(Spare::check(&bytes, 77), Some(example()));
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            prop_assert_eq!(Spare::check(&bytes, 77), None);
        }

        #[test]
        fn any_bytes_are_checked(bytes in prop::array::uniform32(any::<u8>()), page in any::<u32>()) {
            let mut spare = [0; SPARE_BYTES as usize];
            spare[..32].copy_from_slice(&bytes);
            prop_assert_eq!(Spare::check(&spare, page), None);
        }
    }

    #[test]
    fn another_page_and_an_erased_page_have_no_spare() {
        assert_eq!(Spare::check(&example().to_bytes(), 78), None);
        assert_eq!(Spare::check(&[0xFF; SPARE_BYTES as usize], u32::MAX), None);
    }
}
