//! The boot ROM: what every hart runs first, from [`rocket::RESET_PC`] on.
//!
//! ```text
//!   csrr  a0, mhartid
//!   auipc t0, 0
//!   lwu   a1, PARAMETERS - .(t0)      # the address of the parameters
//!   lwu   t0, ENTRY - .(t0)           # where firmware begins
//!   jr    t0
//! PARAMETERS: .word
//! ENTRY:      .word
//! ```
//! What is behind it and before it reads as 0, which is no instruction.

use crate::firmware::{ENTRY, PARAMETERS};
use crate::rocket;

const A0: u32 = 10;
const A1: u32 = 11;
const T0: u32 = 5;
const MHARTID: u32 = 0xF14;

/// An instruction with an immediate. RISC-V Unprivileged ISA, "RV32/64G Instruction Set Listings".
const fn i_type(opcode: u32, funct3: u32, rd: u32, rs1: u32, immediate: u32) -> u32 {
    immediate << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}

const fn csrr(rd: u32, csr: u32) -> u32 {
    i_type(0b111_0011, 0b010, rd, 0, csr)
}

const fn auipc(rd: u32) -> u32 {
    rd << 7 | 0b001_0111
}

const fn lwu(rd: u32, rs1: u32, offset: u32) -> u32 {
    i_type(0b000_0011, 0b110, rd, rs1, offset)
}

const fn jr(rs1: u32) -> u32 {
    i_type(0b110_0111, 0b000, 0, rs1, 0)
}

/// The address of the first word.
pub const START: u64 = rocket::RESET_PC;

/// The words.
pub const WORDS: [u32; 7] = {
    // `auipc` is the second instruction, and the words behind the fifth are the data.
    let data = 4 * (5 - 1);
    let (parameters, entry) = (PARAMETERS.base, ENTRY);
    assert!(parameters >> 32 == 0 && entry >> 32 == 0);
    [csrr(A0, MHARTID), auipc(T0), lwu(A1, T0, data), lwu(T0, T0, data + 4), jr(T0), parameters as u32, entry as u32]
};

/// The address behind the last word.
pub const END: u64 = START + 4 * WORDS.len() as u64;

/// The word at an address, a multiple of 4: 0 where the ROM has none.
pub const fn word_at(address: u64) -> u32 {
    if START <= address && address < END {
        WORDS[((address - START) / 4) as usize]
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an assembler of others writes it.
    #[test]
    fn instructions_are_encoded() {
        assert_eq!(WORDS[..5], [0xF140_2573, 0x0000_0297, 0x0102_E583, 0x0142_E283, 0x0002_8067]);
    }

    #[test]
    fn there_is_nothing_around_it() {
        assert_eq!([word_at(START - 4), word_at(START), word_at(END - 4), word_at(END)], [0, WORDS[0], WORDS[6], 0]);
    }
}
