//! The super-blocks: what each is used for, and which is taken next.

use flash_spec::fast_path::Planes;
use flash_spec::record::{state, SuperBlockEntry};
use soc_hal::Flash;
use zerocopy::little_endian::U32;

use crate::Ftl;

/// What a super-block is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Erased.
    Free,
    /// Taken for a stream, which may have begun to write it.
    Open,
    /// Full of units, of which some may be valid.
    Closed,
    /// Its valid units are being moved.
    Victim,
    /// Without valid units; erased when the moved ones are safe.
    Emptied,
    /// Without anything that counts.
    Useless,
    /// Being erased.
    Erasing,
    /// Some of its units cannot be read: it is kept as it is.
    Stuck,
    /// Pages of the map.
    Map,
    /// Records of the log.
    Log,
    /// Anchors.
    System,
    /// Without any good block.
    Retired,
}

impl State {
    /// Its number in the table.
    const fn code(self) -> u8 {
        match self {
            Self::Free => state::FREE,
            Self::Open | Self::Closed | Self::Victim | Self::Emptied | Self::Useless | Self::Erasing | Self::Stuck => {
                state::DATA
            }
            Self::Map => state::MAP,
            Self::Log => state::LOG,
            Self::System => state::SYSTEM,
            Self::Retired => state::RETIRED,
        }
    }

    /// What a mount makes of the number in the table. Nothing is open then.
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            state::FREE => Self::Free,
            state::DATA => Self::Closed,
            state::MAP => Self::Map,
            state::LOG => Self::Log,
            state::SYSTEM => Self::System,
            state::RETIRED => Self::Retired,
            _ => return None,
        })
    }
}

/// What is known of a super-block.
#[derive(Clone, Copy, Debug)]
pub struct SuperBlock {
    pub(crate) state: State,
    pub(crate) erases: u32,
    /// A bit for each plane whose block is not used.
    pub(crate) bad: Planes,
    /// The sequence number when it was full, and later that when its last unit was moved.
    pub(crate) closed_at: u64,
    /// Entries of the log up to the last trim when its last unit was moved, and the sequence number then.
    pub(crate) trims: u64,
    pub(crate) trim_sequence: u64,
}

impl SuperBlock {
    /// Nothing is known yet.
    pub const NEW: Self = Self { state: State::Free, erases: 0, bad: 0, closed_at: 0, trims: 0, trim_sequence: 0 };

    pub(crate) fn to_entry(self) -> SuperBlockEntry {
        let word = |index: u32| U32::new((self.bad >> (32 * index)) as u32);
        SuperBlockEntry {
            erases_and_state: U32::new(u32::from(self.state.code()) << 24 | self.erases),
            bad: [word(0), word(1), word(2)],
        }
    }

    pub(crate) fn from_entry(entry: &SuperBlockEntry) -> Option<Self> {
        let word = entry.erases_and_state.get();
        let bad = entry.bad.iter().rev().fold(0, |bad, word| bad << 32 | Planes::from(word.get()));
        Some(Self { state: State::from_code((word >> 24) as u8)?, erases: word & 0xFF_FFFF, bad, ..Self::NEW })
    }
}

/// Which erased super-block is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wear {
    /// For what is written often: the host's units, the log, the map.
    Least,
    /// For what was moved, which is cold.
    Most,
}

impl<F: Flash> Ftl<'_, F> {
    /// Erased super-blocks.
    pub(crate) fn free(&self) -> u32 {
        self.count(State::Free)
    }

    pub(crate) fn count(&self, state: State) -> u32 {
        self.memory.super_blocks.iter().filter(|block| block.state == state).count() as u32
    }

    /// The super-blocks in a state.
    pub(crate) fn all_in(&self, state: State) -> impl Iterator<Item = u16> + '_ {
        (0..)
            .zip(self.memory.super_blocks.iter())
            .filter(move |(_, block)| block.state == state)
            .map(|(index, _)| index)
    }

    /// Takes an erased super-block.
    pub(crate) fn take(&mut self, wear: Wear, state: State) -> Option<u16> {
        let erases = |&index: &u16| self.memory.super_blocks[usize::from(index)].erases;
        let taken = match wear {
            Wear::Least => self.all_in(State::Free).min_by_key(erases),
            Wear::Most => self.all_in(State::Free).max_by_key(erases),
        }?;
        self.block(taken).state = state;
        Some(taken)
    }

    /// The good blocks of a super-block.
    pub(crate) fn planes(&self, super_block: u16) -> Planes {
        let all = (1 << self.geometry.planes()) - 1;
        all & !self.memory.super_blocks[usize::from(super_block)].bad
    }

    /// Units of the good blocks that neither the host sees nor the device needs for itself; negative if there are too few.
    pub(crate) fn spare_units(&self) -> i64 {
        let per_block = i64::from(self.config.units_per_super_block() / self.geometry.planes());
        let usable = |index: u16| match self.memory.super_blocks[usize::from(index)].state {
            State::Retired | State::Stuck => 0,
            _ => i64::from(self.planes(index).count_ones()) * per_block,
        };
        let good: i64 = (0..self.memory.super_blocks.len() as u16).map(usable).sum();
        let overhead = self.config.overhead_super_blocks() * self.config.units_per_super_block();
        good - i64::from(overhead) - i64::from(self.config.units)
    }
}

const _: () = assert!(flash_spec::limits::PLANES_MAX < Planes::BITS);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::{FromBytes, IntoBytes};

    proptest! {
        #[test]
        fn entries_lead_back(erases in 0..1_u32 << 24, bad in any::<Planes>(), code in 0..6_u8) {
            let bad = bad & ((1 << flash_spec::limits::PLANES_MAX) - 1);
            let block = SuperBlock { state: State::from_code(code).expect("a state"), erases, bad, ..SuperBlock::NEW };
            let back = SuperBlock::from_entry(&block.to_entry()).expect("an entry");
            prop_assert_eq!((back.state, back.erases, back.bad), (block.state, erases, bad));
        }

        #[test]
        fn any_bytes_are_an_entry_or_none(bytes in prop::array::uniform16(any::<u8>())) {
            let entry = SuperBlockEntry::read_from_bytes(&bytes).expect("16 bytes");
            let block = SuperBlock::from_entry(&entry);
            prop_assert_eq!(block.is_some(), bytes[3] <= state::RETIRED);
            prop_assert!(block.is_none_or(|block| block.to_entry().as_bytes() == bytes));
        }
    }
}
