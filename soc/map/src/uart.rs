//! Registers of [`UART`](crate::UART), words of 32 bits.

/// A byte that is written goes into the line, if STATUS.ROOM says that there is room, else it is lost. Reads as 0.
pub const TRANSMIT: u32 = 0x0;

/// Takes the next byte that has come: bits 7:0. Bit 31 is set if none has.
pub const RECEIVE: u32 = 0x4;

/// Bit 0, ROOM: there is room for a byte that is written. Bit 1, RECEIVED: a byte has come.
pub const STATUS: u32 = 0x8;

/// Bit 0: an interrupt while there is room. Bit 1: an interrupt while a byte has come.
pub const INTERRUPTS: u32 = 0xC;

/// Of RECEIVE: none has come.
pub const NONE: u32 = 1 << 31;

/// Of STATUS and INTERRUPTS.
pub const ROOM: u32 = 1 << 0;

/// Of STATUS and INTERRUPTS.
pub const RECEIVED: u32 = 1 << 1;
