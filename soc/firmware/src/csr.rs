//! Control and status registers.

/// Reads one.
macro_rules! read_csr {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading a register changes nothing.
        unsafe { core::arch::asm!(concat!("csrr {}, ", $name), out(reg) value, options(nomem, nostack)) };
        value
    }};
}

/// Writes one. Who does so knows what follows from it.
macro_rules! write_csr {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the register is one that the code around this owns.
        unsafe { core::arch::asm!(concat!("csrw ", $name, ", {}"), in(reg) value, options(nostack)) }
    }};
}

/// Sets bits of one.
macro_rules! set_csr {
    ($name:literal, $bits:expr) => {{
        let bits: u64 = $bits;
        // SAFETY: as of `write_csr`.
        unsafe { core::arch::asm!(concat!("csrs ", $name, ", {}"), in(reg) bits, options(nostack)) }
    }};
}

/// Clears bits of one.
macro_rules! clear_csr {
    ($name:literal, $bits:expr) => {{
        let bits: u64 = $bits;
        // SAFETY: as of `write_csr`.
        unsafe { core::arch::asm!(concat!("csrc ", $name, ", {}"), in(reg) bits, options(nostack)) }
    }};
}

pub(crate) use {clear_csr, read_csr, set_csr, write_csr};
