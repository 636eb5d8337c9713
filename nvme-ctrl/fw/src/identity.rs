//! Identify Controller as it is sent: the words of the data that are not zero, ready for the data buffer.
//!
//! Hosts ask for it first of all and often, and most of its 4096 bytes are zero. So it is put together once, and again only when a namespace, or the firmware
//! that runs, is another.

use soc_hal::Mmio;

use crate::port::Port;

/// Words that are not zero, at most.
const WORDS_MAX: usize = 128;

/// What the words depend on: the revision that runs, and the count of changes of namespaces.
pub(crate) type Source = ([u8; 8], u32);

/// The words.
pub(crate) struct Identity {
    /// Of which state they are; none at the start.
    source: Option<Source>,
    count: usize,
    values: [u32; WORDS_MAX],
    indexes: [u16; WORDS_MAX],
}

impl Identity {
    pub(crate) const fn new() -> Self {
        Self { source: None, count: 0, values: [0; WORDS_MAX], indexes: [0; WORDS_MAX] }
    }

    /// Whether the words are of this state.
    pub(crate) fn is_of(&self, source: Source) -> bool {
        self.source == Some(source)
    }

    /// Takes the words of the data.
    pub(crate) fn set(&mut self, source: Source, data: &[u8]) {
        self.source = Some(source);
        self.count = 0;
        for (index, word) in (0..).zip(data.as_chunks().0) {
            let value = u32::from_le_bytes(*word);
            if value != 0 {
                self.values[self.count] = value;
                self.indexes[self.count] = index;
                self.count += 1;
            }
        }
    }

    /// Puts the words into the data buffer, which is clear, with these bits beside what is in a word.
    pub(crate) fn write<M: Mmio>(&self, port: &mut Port<M>, at: u16, bits: u32) {
        port.clear_buffer();
        for (value, index) in self.values[..self.count].iter().zip(&self.indexes) {
            let bits = if *index == at { bits } else { 0 };
            port.set_buffer_word((*index).into(), *value | bits);
        }
    }
}
