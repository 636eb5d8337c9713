//! How many of what there are, and how they are numbered.

use crate::limits::{CHANNELS_MAX, DIES_PER_CHANNEL_MAX, PAGES_PER_BLOCK_MAX, PAGE_BYTES, PLANES_PER_DIE_MAX};

/// The parts of the flash. Timing does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Buses that work at the same time.
    pub channels: u32,
    /// Dies on a bus (logical units, each with a chip enable of its own).
    pub dies_per_channel: u32,
    /// Planes of a die, which can do the same operation at the same time.
    pub planes_per_die: u32,
    /// Blocks of a plane. A block is what is erased at once.
    pub blocks_per_plane: u32,
    /// Pages of a block; a multiple of two, because pages come in pairs. A page is what is programmed at once.
    pub pages_per_block: u32,
}

/// A constraint that a geometry breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// `channels` is 0 or more than [`CHANNELS_MAX`].
    Channels,
    /// `dies_per_channel` is not a power of two of at most [`DIES_PER_CHANNEL_MAX`].
    Dies,
    /// `planes_per_die` is not a power of two of at most [`PLANES_PER_DIE_MAX`].
    Planes,
    /// `blocks_per_plane` is not from 2 to 65,536.
    Blocks,
    /// `pages_per_block` is not an even number from 4 to [`PAGES_PER_BLOCK_MAX`].
    Pages,
}

impl GeometryError {
    /// One sentence for a person.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Channels => "channels is a number from 1 to 12",
            Self::Dies => "dies_per_channel is 1, 2 or 4",
            Self::Planes => "planes_per_die is 1 or 2",
            Self::Blocks => "blocks_per_plane is a number from 2 to 65,536",
            Self::Pages => "pages_per_block is an even number from 4 to 1,024",
        }
    }
}

impl core::fmt::Display for GeometryError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(self.message())
    }
}

impl core::error::Error for GeometryError {}

/// A page by its place. Two of the same geometry can be compared; the order is that of [`Geometry::page_index`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageAddress {
    /// The bus.
    pub channel: u8,
    /// The die on it.
    pub die: u8,
    /// The plane of the die.
    pub plane: u8,
    /// The block of the plane.
    pub block: u16,
    /// The page of the block.
    pub page: u16,
}

impl Geometry {
    /// 12 channels of 4 dies of 2 planes, and 64 super-blocks of 512 pages: what studies on a PC use.
    pub const DEFAULT: Self =
        Self { channels: 12, dies_per_channel: 4, planes_per_die: 2, blocks_per_plane: 64, pages_per_block: 512 };
    /// As [`Self::DEFAULT`] with blocks of 8 pages: 768 MiB, which a memory of 1 GiB holds with all spares.
    pub const DEFAULT_1_GIB: Self = Self { pages_per_block: 8, ..Self::DEFAULT };
    /// As [`Self::DEFAULT`] with blocks of 32 pages: 3 GiB, for a memory of 4 GiB.
    pub const DEFAULT_4_GIB: Self = Self { pages_per_block: 32, ..Self::DEFAULT };
    /// 2 channels of 2 dies, for quick tests: 32 MiB.
    pub const SMALL: Self =
        Self { channels: 2, dies_per_channel: 2, planes_per_die: 2, blocks_per_plane: 16, pages_per_block: 16 };

    /// Names the first constraint that is broken.
    ///
    /// # Errors
    /// See [`GeometryError`].
    pub const fn check(&self) -> Result<(), GeometryError> {
        if self.channels == 0 || self.channels > CHANNELS_MAX {
            return Err(GeometryError::Channels);
        }
        if !self.dies_per_channel.is_power_of_two() || self.dies_per_channel > DIES_PER_CHANNEL_MAX {
            return Err(GeometryError::Dies);
        }
        if !self.planes_per_die.is_power_of_two() || self.planes_per_die > PLANES_PER_DIE_MAX {
            return Err(GeometryError::Planes);
        }
        if self.blocks_per_plane < 2 || self.blocks_per_plane > 1 << u16::BITS {
            return Err(GeometryError::Blocks);
        }
        let pages = self.pages_per_block;
        if pages < 4 || pages > PAGES_PER_BLOCK_MAX || pages % 2 != 0 {
            return Err(GeometryError::Pages);
        }
        Ok(())
    }

    /// Dies of all channels.
    pub const fn dies(&self) -> u32 {
        self.channels * self.dies_per_channel
    }

    /// Planes of all dies, which is the number of blocks of a super-block: those of the same number in all planes.
    pub const fn planes(&self) -> u32 {
        self.dies() * self.planes_per_die
    }

    /// Blocks of all planes.
    pub const fn blocks(&self) -> u32 {
        self.planes() * self.blocks_per_plane
    }

    /// Pages of all blocks.
    pub const fn pages(&self) -> u64 {
        self.blocks() as u64 * self.pages_per_block as u64
    }

    /// Bytes of all pages, without their spares.
    pub const fn bytes(&self) -> u64 {
        self.pages() * PAGE_BYTES as u64
    }

    /// Whether there is such a page.
    pub const fn contains(&self, address: PageAddress) -> bool {
        (address.channel as u32) < self.channels
            && (address.die as u32) < self.dies_per_channel
            && (address.plane as u32) < self.planes_per_die
            && (address.block as u32) < self.blocks_per_plane
            && (address.page as u32) < self.pages_per_block
    }

    /// The number of a plane among all: channel first, so that neighbours are on different buses.
    ///
    /// ```
    /// # use flash_spec::{Geometry, PageAddress};
    /// let at = |channel, die, plane| PageAddress { channel, die, plane, block: 0, page: 0 };
    /// let geometry = Geometry::DEFAULT;
    /// assert_eq!(geometry.plane_index(at(1, 0, 0)), 1);
    /// assert_eq!(geometry.plane_index(at(0, 1, 0)), 12);
    /// assert_eq!(geometry.plane_index(at(0, 0, 1)), 48);
    /// ```
    pub const fn plane_index(&self, address: PageAddress) -> u32 {
        (address.plane as u32 * self.dies_per_channel + address.die as u32) * self.channels + address.channel as u32
    }

    /// The number of a block among all: those of a super-block are neighbours.
    pub const fn block_index(&self, address: PageAddress) -> u32 {
        address.block as u32 * self.planes() + self.plane_index(address)
    }

    /// The first page of the block of a number below [`blocks`](Self::blocks).
    pub const fn block_at(&self, index: u32) -> PageAddress {
        let (super_block, plane) = (index / self.planes(), index % self.planes());
        self.page_at((super_block as u64 * self.pages_per_block as u64) * self.planes() as u64 + plane as u64)
    }

    /// The number of a page among all; its data lies at this multiple of [`PAGE_BYTES`] in the memory of the flash. The pages of the same number of a
    /// super-block are neighbours, in the order in which they are written.
    pub const fn page_index(&self, address: PageAddress) -> u64 {
        let stripe = address.block as u64 * self.pages_per_block as u64 + address.page as u64;
        stripe * self.planes() as u64 + self.plane_index(address) as u64
    }

    /// The page of a number below [`pages`](Self::pages).
    pub const fn page_at(&self, index: u64) -> PageAddress {
        let (stripe, plane) = (index / self.planes() as u64, (index % self.planes() as u64) as u32);
        let die = plane / self.channels;
        PageAddress {
            channel: (plane % self.channels) as u8,
            die: (die % self.dies_per_channel) as u8,
            plane: (die / self.dies_per_channel) as u8,
            block: (stripe / self.pages_per_block as u64) as u16,
            page: (stripe % self.pages_per_block as u64) as u16,
        }
    }
}

const _: () = assert!(
    Geometry::DEFAULT.check().is_ok()
        && Geometry::DEFAULT_1_GIB.check().is_ok()
        && Geometry::DEFAULT_4_GIB.check().is_ok()
        && Geometry::SMALL.check().is_ok()
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_geometry() -> impl Strategy<Value = Geometry> {
        (1..=12u32, 0..=2u32, 0..=1u32, 2..200u32, 2..200u32).prop_map(|(channels, dies, planes, blocks, pairs)| {
            Geometry {
                channels,
                dies_per_channel: 1 << dies,
                planes_per_die: 1 << planes,
                blocks_per_plane: blocks,
                pages_per_block: 2 * pairs,
            }
        })
    }

    proptest! {
        #[test]
        fn a_page_has_one_number_and_a_number_one_page(geometry in any_geometry(), number in any::<u64>()) {
            prop_assert_eq!(geometry.check(), Ok(()));
            let number = number % geometry.pages();
            let address = geometry.page_at(number);
            prop_assert!(geometry.contains(address));
            prop_assert_eq!(geometry.page_index(address), number);
            let block = geometry.block_index(address);
            prop_assert!(block < geometry.blocks());
            prop_assert_eq!(geometry.block_at(block), PageAddress { page: 0, ..address });
        }
    }

    #[test]
    fn each_broken_constraint_is_named() {
        let good = Geometry::SMALL;
        let cases = [
            (Geometry { channels: 0, ..good }, GeometryError::Channels),
            (Geometry { channels: 13, ..good }, GeometryError::Channels),
            (Geometry { dies_per_channel: 3, ..good }, GeometryError::Dies),
            (Geometry { dies_per_channel: 8, ..good }, GeometryError::Dies),
            (Geometry { planes_per_die: 0, ..good }, GeometryError::Planes),
            (Geometry { planes_per_die: 4, ..good }, GeometryError::Planes),
            (Geometry { blocks_per_plane: 1, ..good }, GeometryError::Blocks),
            (Geometry { blocks_per_plane: 65_537, ..good }, GeometryError::Blocks),
            (Geometry { pages_per_block: 2, ..good }, GeometryError::Pages),
            (Geometry { pages_per_block: 7, ..good }, GeometryError::Pages),
            (Geometry { pages_per_block: 1026, ..good }, GeometryError::Pages),
        ];
        for (geometry, error) in cases {
            assert_eq!(geometry.check(), Err(error), "{geometry:?}");
        }
    }

    #[test]
    fn sizes_are_those_of_their_names() {
        assert_eq!(Geometry::DEFAULT.dies(), 48);
        assert_eq!(Geometry::DEFAULT.bytes(), 48 << 30);
        assert_eq!(Geometry::DEFAULT_1_GIB.bytes(), 768 << 20);
        assert_eq!(Geometry::DEFAULT_4_GIB.bytes(), 3 << 30);
        assert_eq!(Geometry::SMALL.bytes(), 32 << 20);
    }
}
