//! What an array keeps while there is no power, block by block: to be put into a file and taken out again.

use super::{Array, Page, ERASES_MAX};
use flash_spec::Reliability;

/// What a block keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedBlock<D> {
    /// Its first pages; those behind them are erased.
    pub pages: Vec<Page<D>>,
    /// How often it was erased.
    pub erases: u32,
    /// The page that is programmed next.
    pub next_page: u32,
    /// Nothing is programmed before the next erase.
    pub is_closed: bool,
    /// Its last erase has failed.
    pub is_bad: bool,
}

/// Why a block is refused: no array of the geometry has such a one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSaved {
    /// It has more pages than the geometry says, or its next page lies before a page that is not erased.
    Pages,
    /// It was erased more often than can be counted.
    Erases,
}

impl<D: Clone> Array<D> {
    /// What goes wrong.
    pub fn reliability(&self) -> &Reliability {
        &self.reliability
    }

    /// The last number of each channel's sequence.
    pub fn sequences(&self) -> &[u32] {
        &self.random
    }

    /// Goes on with these sequences, one for each channel.
    ///
    /// # Panics
    /// If there are more or fewer.
    pub fn set_sequences(&mut self, sequences: &[u32]) {
        self.random.copy_from_slice(sequences);
    }

    /// What a block keeps ([`Geometry::block_index`](flash_spec::Geometry::block_index)).
    ///
    /// # Panics
    /// If there is no such block, or one of its operations is in progress: it is for arrays without power.
    pub fn saved_block(&self, index: u32) -> SavedBlock<D> {
        let block = &self.blocks[index as usize];
        assert!(block.in_progress.is_none(), "the power is on");
        let written = block.pages.iter().rposition(|page| !matches!(page, Page::Erased)).map_or(0, |last| last + 1);
        SavedBlock {
            pages: block.pages[..written].to_vec(),
            erases: block.erases,
            next_page: block.next_page,
            is_closed: block.is_closed,
            is_bad: block.is_bad,
        }
    }

    /// Puts a block back as it was saved.
    ///
    /// # Errors
    /// If it cannot have come from here. Nothing is changed then.
    ///
    /// # Panics
    /// If there is no such block.
    pub fn restore_block(&mut self, index: u32, saved: SavedBlock<D>) -> Result<(), NotSaved> {
        let pages = self.geometry.pages_per_block;
        // The pages of a block that was torn by an erase are destroyed up to the last, and the next one is the first.
        let is_in_order = saved.next_page as usize >= saved.pages.len() || saved.is_closed;
        if saved.next_page > pages || saved.pages.len() > pages as usize || !is_in_order {
            return Err(NotSaved::Pages);
        }
        if saved.erases > ERASES_MAX {
            return Err(NotSaved::Erases);
        }
        let block = &mut self.blocks[index as usize];
        let SavedBlock { pages: content, erases, next_page, is_closed, is_bad } = saved;
        block.pages = content;
        if !block.pages.is_empty() {
            block.pages.resize_with(pages as usize, || Page::Erased);
        }
        (block.erases, block.next_page, block.is_closed, block.is_bad) = (erases, next_page, is_closed, is_bad);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flash_spec::limits::SPARE_BYTES;
    use flash_spec::Geometry;
    use proptest::prelude::*;

    /// An array in which programs and erases have ended, failed and been cut off.
    fn used(operations: &[(u8, u8)]) -> Array<u64> {
        let reliability =
            Reliability { program_fail_rate: u32::MAX / 8, erase_fail_rate: u32::MAX / 4, ..Reliability::DEFAULT };
        let mut array = Array::new(Geometry::SMALL, reliability);
        for (number, &(block, what)) in (0..).zip(operations) {
            let mut address = array.geometry().page_at(u64::from(block % 4) << 4);
            match what % 16 {
                0 => array.start_erase(address).expect("a block"),
                _ => {
                    address.page = array.blocks[array.geometry.block_index(address) as usize].next_page as u16;
                    if array.start_program(address, number, [what; SPARE_BYTES as usize]).is_err() {
                        continue;
                    }
                }
            }
            if what % 32 == 31 {
                array.cut();
            } else {
                array.end(address);
            }
        }
        array.cut();
        array
    }

    proptest! {
        /// Every block comes back, and what follows is the same in both.
        #[test]
        fn what_is_saved_comes_back(operations in prop::collection::vec(any::<(u8, u8)>(), 0..200), more in any::<u8>()) {
            let array = used(&operations);
            let mut back = Array::new(*array.geometry(), *array.reliability());
            back.set_sequences(array.sequences());
            for index in 0..array.geometry().blocks() {
                back.restore_block(index, array.saved_block(index)).expect("it was saved");
                prop_assert_eq!(back.saved_block(index), array.saved_block(index));
            }
            let mut both = [array, back];
            let address = both[0].geometry().page_at(u64::from(more % 4) << 4);
            let [one, other] = both.each_mut().map(|array| {
                let read = array.read(address);
                let program = array.start_program(address, 1, [0; SPARE_BYTES as usize]).map(|()| array.end(address));
                array.start_erase(address).expect("a block");
                (read, program, array.end(address))
            });
            prop_assert_eq!(one, other);
        }

        #[test]
        fn any_block_is_taken_or_refused(pages in 0..40_usize, erases in any::<u32>(), next_page in 0..40_u32, flags in any::<(bool, bool)>()) {
            let mut array = Array::<u64>::new(Geometry::SMALL, Reliability::DEFAULT);
            let (is_closed, is_bad) = flags;
            let saved = SavedBlock { pages: vec![Page::Destroyed; pages], erases, next_page, is_closed, is_bad };
            let taken = array.restore_block(0, saved.clone());
            let fits = pages <= 16 && next_page <= 16 && (is_closed || next_page as usize >= pages);
            prop_assert_eq!(taken.is_ok(), fits && erases <= ERASES_MAX, "{:?}", saved);
        }
    }
}
