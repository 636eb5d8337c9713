//! What firmware leaves behind when it stops, in [`soc_map::firmware::RECORDS`]: why, where, and the registers of a trap.

use core::fmt::{self, Write};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// A record is written last to first: this says that it is whole.
pub const MAGIC: u32 = u32::from_le_bytes(*b"FDRC");

/// Firmware has panicked.
pub const PANIC: u32 = 1;

/// A hart has trapped.
pub const TRAP: u32 = 2;

/// Bytes of the text, at most.
pub const TEXT_BYTES: usize = 512;

/// Why firmware has stopped.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Record {
    /// [`MAGIC`], or there is no record.
    pub magic: U32,
    /// [`PANIC`] or [`TRAP`].
    pub kind: U32,
    /// The hart that stopped.
    pub hart: U64,
    /// Of a trap: `mcause`, or `scause`.
    pub cause: U64,
    /// The address of the instruction that trapped, or called the monitor.
    pub pc: U64,
    /// Of a trap: `mtval`, or `stval`.
    pub value: U64,
    /// `x1` to `x31` at that instruction.
    pub registers: [U64; 31],
    /// Bytes of the text.
    pub text_bytes: U32,
    /// What was said, where: UTF-8, cut off if it was longer.
    pub text: [u8; TEXT_BYTES],
}

const _: () = assert!(size_of::<Record>() as u64 <= soc_map::firmware::record(0).bytes);

impl Record {
    /// A record with a text, of a hart that is not told yet.
    pub fn new(kind: u32, text: fmt::Arguments<'_>) -> Self {
        let mut record = Self::new_zeroed();
        (record.magic, record.kind) = (MAGIC.into(), kind.into());
        let mut cut = Cut { text: &mut record.text, bytes: 0 };
        // Text that is too long is no error, so there is none.
        let _ = cut.write_fmt(text);
        record.text_bytes = (cut.bytes as u32).into();
        record
    }

    /// What was said; none if there is no record.
    pub fn said(&self) -> Option<&str> {
        let text = self.text.get(..self.text_bytes.get() as usize)?;
        (self.magic.get() == MAGIC).then_some(())?;
        core::str::from_utf8(text).ok()
    }
}

/// Text that is cut off between two characters when there is no room.
struct Cut<'a> {
    text: &'a mut [u8],
    bytes: usize,
}

impl Write for Cut<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = &mut self.text[self.bytes..];
        let bytes = (0..=part.len().min(room.len())).rfind(|&end| part.is_char_boundary(end)).unwrap_or(0);
        room[..bytes].copy_from_slice(&part.as_bytes()[..bytes]);
        self.bytes += bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;

    proptest! {
        /// A text comes back whole, or its beginning if it is too long.
        #[test]
        fn a_text_is_kept_as_far_as_it_goes(parts in proptest::collection::vec(any::<String>(), 0..40)) {
            let text = parts.concat();
            let record = Record::new(PANIC, format_args!("{text}"));
            let said = record.said().unwrap();
            prop_assert!(text.starts_with(said));
            prop_assert!(said.len() == text.len() || said.len() > TEXT_BYTES - 4);
        }

        /// What no firmware wrote is no record, or a text.
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), size_of::<Record>())) {
            let mut record = Record::read_from_bytes(&bytes).unwrap();
            prop_assert_eq!(record.said(), None);
            record.magic = MAGIC.into();
            let text_bytes = record.text_bytes.get();
            prop_assert!(record.said().is_none_or(|said| said.len() == text_bytes as usize));
        }
    }
}
