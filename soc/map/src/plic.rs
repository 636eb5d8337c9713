//! Registers of [`rocket::PLIC`](crate::rocket::PLIC), at the offsets that software for RISC-V knows. RISC-V Platform-Level Interrupt Controller
//! Specification 1.0.0, "Memory Map".

/// A word for each source, of which there is none at 0: its priority. 0 is never an interrupt.
pub const PRIORITY: u32 = 0;

/// A word of which bit n says that source n waits to be claimed.
pub const PENDING: u32 = 0x1000;

/// A word for each context, [`ENABLE_STRIDE`] apart: bit n lets source n interrupt the context.
pub const ENABLE: u32 = 0x2000;

/// Bytes from a context's word of [`ENABLE`] to the next one's.
pub const ENABLE_STRIDE: u32 = 0x80;

/// A word for each context, [`CONTEXT_STRIDE`] apart: only what has a priority above it interrupts.
pub const THRESHOLD: u32 = 0x20_0000;

/// A word for each context, [`CONTEXT_STRIDE`] apart. Reading it claims a source, and 0 is none; writing the source's number completes it.
pub const CLAIM: u32 = 0x20_0004;

/// Bytes from a context's registers to the next one's.
pub const CONTEXT_STRIDE: u32 = 0x1000;

/// The largest priority.
pub const PRIORITY_MAX: u32 = 7;

/// Contexts of each hart: its machine mode, and then its supervisor mode.
pub const CONTEXTS_PER_HART: u32 = 2;

/// The context of a hart's machine mode.
pub const fn machine(hart: u32) -> u32 {
    CONTEXTS_PER_HART * hart
}

/// The context of a hart's supervisor mode.
pub const fn supervisor(hart: u32) -> u32 {
    CONTEXTS_PER_HART * hart + 1
}
