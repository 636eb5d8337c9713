//! Registers of [`rocket::CLINT`](crate::rocket::CLINT), at the offsets that software for RISC-V knows. RISC-V ACLINT, "MTIMER Device" and "MSWI Device".

/// A word for each hart, of which bit 0 is its machine software interrupt.
pub const MSIP: u32 = 0;

/// A double word for each hart: from this time on its machine timer interrupt is there.
pub const MTIMECMP: u32 = 0x4000;

/// The time, a double word.
pub const MTIME: u32 = 0xBFF8;

/// Core clocks in which the time goes on by one: it counts in units of 100 ns.
pub const CLOCKS_PER_TICK: u32 = 25;
