//! Registers of [`WATCHDOG`](crate::WATCHDOG), words of 32 bits: those of hart n are at n times [`STRIDE`].

/// The time that a hart may let pass between two feeds, in ticks of [`CLOCKS_PER_TICK`](crate::clint::CLOCKS_PER_TICK); 0 is for ever. Writing it feeds.
pub const TIMEOUT: u32 = 0x0;

/// [`KEY`], written here, feeds; nothing else does. Reads as the ticks that are left.
pub const FEED: u32 = 0x4;

/// Bytes from a hart's registers to the next one's.
pub const STRIDE: u32 = 0x10;

/// Bit n: hart n has let its time pass once, and has not fed since.
pub const BARKING: u32 = 0x800;

/// What feeds.
pub const KEY: u32 = u32::from_be_bytes(*b"food");
