//! A word at an arbitrary address holds what was last written to it, kind by kind, and reads return it. The word is described a second time here, by
//! masks over its bits, while the block makes each field for itself.

use super::Write;
use crate::table::{WORD_BITS, WORD_BYTES};
use crate::{Access, Register};
use rtl_hdl::{cat, lit, when, zero, Clock, Module, Signal};

/// A word of the file.
pub(super) struct Word {
    number: u32,
    /// What it holds.
    value: Signal,
    /// The inputs of its fields, each in its place.
    from_hardware: Signal,
    reset: u32,
    /// The bits of each kind of access.
    masks: [(Access, u32); 5],
}

impl Word {
    /// The word of `register` at `offset`.
    pub(super) fn new(register: &Register, offset: u32, value: Signal, from_hardware: Signal) -> Word {
        let shift = 8 * (offset - register.offset);
        let mask_of = |access: Access| {
            let fields = register.fields.iter().filter(|field| field.access == access);
            (access, (fields.fold(0, |mask, field| mask | field.mask()) >> shift) as u32)
        };
        let kinds = [Access::Constant, Access::Ro, Access::Rw, Access::W1c, Access::W1s];
        let reset = (register.reset >> shift) as u32;
        Word { number: offset / WORD_BYTES, value, from_hardware, reset, masks: kinds.map(mask_of) }
    }

    fn mask(&self, access: Access) -> u32 {
        self.masks.iter().find(|(kind, _)| *kind == access).map_or(0, |(_, mask)| *mask)
    }
}

/// The word that is watched.
pub(super) struct WatchedWord {
    /// It is being read.
    is_read: Signal,
    /// What it reads as.
    value: Signal,
}

impl WatchedWord {
    /// Watches the word of a number that is arbitrary and never changes.
    #[track_caller]
    pub(super) fn new(
        m: &Module,
        clock: Clock,
        words: &[Word],
        write: &Write,
        write_number: Signal,
        read_number: Signal,
    ) -> WatchedWord {
        let number = m.reg_without_reset("watched_number", clock, write_number.width());
        number.set(number);
        let of_word = |of: &dyn Fn(&Word) -> Signal| {
            words.iter().fold(lit(0u8, WORD_BITS), |rest, word| number.eq(word.number).mux(of(word), rest))
        };
        let bits_of = |access: Access| of_word(&|word| lit(word.mask(access), WORD_BITS));
        let reset = of_word(&|word| lit(word.reset, WORD_BITS));
        let from_hardware = of_word(&|word| word.from_hardware);

        // Kept as the difference to the reset value, because that depends on the number.
        let changed = m.reg("watched_changed", clock, zero(WORD_BITS));
        let old = changed ^ reset;
        let is_written = write.enable & write_number.eq(number);
        let lanes: Vec<Signal> = (0..WORD_BITS).rev().map(|bit| is_written & write.strobe.bit(bit / 8)).collect();
        let lanes = cat(&lanes);
        let ones = write.data & lanes;
        let [constant, shown, plain, cleared, set] =
            [Access::Constant, Access::Ro, Access::Rw, Access::W1c, Access::W1s].map(bits_of);
        let next = (constant & old)
            | (plain & ((old & !lanes) | ones))
            | (cleared & ((old & !ones) | from_hardware))
            | (set & ((old & !from_hardware) | ones));
        changed.set(next ^ reset);

        let value = (old & !shown) | (from_hardware & shown);
        m.assert(clock, "watched_word_is_what_was_written", of_word(&|word| word.value).eq(value));
        m.cover(clock, "watched_word_changes", changed.any());
        WatchedWord { is_read: read_number.eq(number), value }
    }

    /// Asserts that reads return it: whose data is taken in a clock in which `reads` is set, and shown as `data` from the next on while `shown` is.
    #[track_caller]
    pub(super) fn is_read_as(&self, m: &Module, clock: Clock, reads: Signal, shown: Signal, data: Signal) {
        let is_read = m.reg("watched_is_read", clock, false);
        let value = m.reg_without_reset("watched_value", clock, WORD_BITS);
        when(reads, || {
            is_read.set(self.is_read);
            value.set(self.value);
        });
        m.assert(clock, "watched_word_is_read", (shown & is_read).implies(data.eq(value)));
        m.cover(clock, "watched_word_passes", shown & is_read & value.any());
    }
}
