//! Formats of flash in pages of shared DRAM.

use flash_spec::fast_path::Buffer;
use soc_hal::Flash;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::Ftl;

impl<F: Flash> Ftl<'_, F> {
    /// Writes a thing of whole words, `index` such things after `first_word`.
    pub(crate) fn put<T: IntoBytes + Immutable>(&mut self, buffer: Buffer, first_word: u32, index: u32, item: &T) {
        let words = (size_of::<T>() / 4) as u32;
        for (word, bytes) in (first_word + index * words..).zip(item.as_bytes().chunks_exact(4)) {
            let value = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            self.flash.write_word(buffer, word, value);
        }
    }

    /// Reads a thing that [`Self::put`] has written.
    pub(crate) fn get<T: FromBytes + IntoBytes>(&mut self, buffer: Buffer, first_word: u32, index: u32) -> T {
        let mut item = T::new_zeroed();
        let words = (size_of::<T>() / 4) as u32;
        for (word, bytes) in (first_word + index * words..).zip(item.as_mut_bytes().chunks_exact_mut(4)) {
            bytes.copy_from_slice(&self.flash.read_word(buffer, word).to_le_bytes());
        }
        item
    }
}
