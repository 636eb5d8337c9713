//! The note in the image that says which map it was linked for. System V ABI, "Note Section".

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Whose note it is, with the zero at its end.
pub const OWNER: [u8; 10] = *b"flashdock\0";

/// The kind of note.
pub const MAP_VERSION: u32 = 1;

/// A note with one number.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Note {
    owner_bytes: U32,
    value_bytes: U32,
    kind: U32,
    owner: [u8; 10],
    padding: [u8; 2],
    value: U64,
}

/// The note of this image.
pub const MAP: Note = Note {
    owner_bytes: U32::new(OWNER.len() as u32),
    value_bytes: U32::new(8),
    kind: U32::new(MAP_VERSION),
    owner: OWNER,
    padding: [0; 2],
    value: U64::new(soc_map::VERSION),
};
