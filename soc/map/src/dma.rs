//! Registers of [`DMA`](crate::DMA), words of 32 bits.

/// The first byte that is read, a multiple of [`LINE_BYTES`](crate::rocket::LINE_BYTES).
pub const SOURCE: u32 = 0x0;

/// The first byte that is written, a multiple of [`LINE_BYTES`](crate::rocket::LINE_BYTES).
pub const DESTINATION: u32 = 0x4;

/// How many bytes are copied, a multiple of [`LINE_BYTES`](crate::rocket::LINE_BYTES), and not 0.
pub const BYTES: u32 = 0x8;

/// Bit 0, START: begins, if nothing is under way. Reads as 0.
pub const CONTROL: u32 = 0xC;

/// Bit 0, BUSY; bit 1, DONE: the last copy has ended, and how is in bits 6:4, an [`Outcome`]. Writing it takes DONE back.
pub const STATUS: u32 = 0x10;

/// Bit 0: an interrupt while DONE is set.
pub const INTERRUPT: u32 = 0x14;

/// The words of the first window, each of the next ones [`WINDOW_STRIDE`] behind it: the first byte that it allows.
pub const WINDOW_FIRST: u32 = 0x100;

/// The last byte that the window allows.
pub const WINDOW_LAST: u32 = 0x104;

/// What the window allows: [`READ`] and [`WRITE`]. With [`LOCKED`], no word of the window is written any more until the next reset.
pub const WINDOW_ACCESS: u32 = 0x108;

/// Bytes from a window to the next.
pub const WINDOW_STRIDE: u32 = 0x10;

/// How many windows there are.
pub const WINDOWS: u32 = 4;

/// Of CONTROL.
pub const START: u32 = 1 << 0;

/// Of STATUS.
pub const BUSY: u32 = 1 << 0;

/// Of STATUS.
pub const DONE: u32 = 1 << 1;

/// Of STATUS: where the [`Outcome`] begins.
pub const OUTCOME_SHIFT: u32 = 4;

/// Of WINDOW_ACCESS: a source may lie here.
pub const READ: u32 = 1 << 0;

/// Of WINDOW_ACCESS: a destination may lie here.
pub const WRITE: u32 = 1 << 1;

/// Of WINDOW_ACCESS.
pub const LOCKED: u32 = 1 << 2;

/// How a copy has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Outcome {
    /// All of it is there.
    Good = 0,
    /// Nothing was begun: an address or the length is no multiple of a line, the length is 0, or an end is beyond the addresses.
    Malformed = 1,
    /// Nothing was begun: no window allows all of the source to be read.
    SourceForbidden = 2,
    /// Nothing was begun: no window allows all of the destination to be written.
    DestinationForbidden = 3,
    /// Lines that could not be read were left out.
    ReadFailed = 4,
    /// Lines could not be written.
    WriteFailed = 5,
}
