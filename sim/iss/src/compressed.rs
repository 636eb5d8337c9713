//! Instructions of 16 bits, each of which is one of 32 bits.
//!
//! Source: The RISC-V Instruction Set Manual, Volume I: Unprivileged ISA, "\"C\" Extension for Compressed Instructions", "RVC Instruction Set
//! Listings", the columns of RV64.

use crate::decode::{sign_extended, Instruction, Op};

/// The stack pointer.
const SP: u8 = 2;
/// The link register.
const RA: u8 = 1;

/// Gathers an immediate: bit `to + k` of it is bit `from + k` of the parcel, for `width` bits.
fn gathered(parcel: u16, pieces: &[(u32, u32, u32)]) -> u32 {
    pieces.iter().fold(0, |sum, &(from, width, to)| sum | (u32::from(parcel) >> from & ((1 << width) - 1)) << to)
}

/// Whether a parcel of 16 bits is an instruction by itself. Volume I, "Expanded Instruction-Length Encoding".
pub const fn is_compressed(parcel: u16) -> bool {
    parcel & 0b11 != 0b11
}

/// The instruction in a parcel for which [`is_compressed`] holds. Every parcel has an answer; reserved encodings are illegal, as in Rocket.
pub fn decode_compressed(parcel: u16) -> Instruction {
    match expanded(parcel) {
        Some(instruction) => Instruction { bytes: 2, raw: parcel.into(), ..instruction },
        None => Instruction::illegal(parcel.into(), 2),
    }
}

/// The instruction of 32 bits.
fn expanded(parcel: u16) -> Option<Instruction> {
    let register = |low: u32| (parcel >> low & 0b1_1111) as u8;
    // `rd'` and `rs1'` and `rs2'`: the eight popular registers.
    let popular = |low: u32| (parcel >> low & 0b111) as u8 + 8;
    let with = |op, rd, rs1, immediate| Instruction { rd, rs1, immediate, ..Instruction::new(op) };
    let load = |op, rd, rs1, pieces: &[_]| with(op, rd, rs1, gathered(parcel, pieces) as i32);
    let store = |op, rs2, rs1, pieces: &[_]| Instruction { rs2, ..load(op, 0, rs1, pieces) };
    let full = register(7);
    let six = gathered(parcel, &[(2, 5, 0), (12, 1, 5)]);
    let signed_six = sign_extended(six, 6);
    const WORD: &[(u32, u32, u32)] = &[(6, 1, 2), (10, 3, 3), (5, 1, 6)];
    const DOUBLE: &[(u32, u32, u32)] = &[(10, 3, 3), (5, 2, 6)];
    const WORD_FROM_SP: &[(u32, u32, u32)] = &[(4, 3, 2), (12, 1, 5), (2, 2, 6)];
    const DOUBLE_FROM_SP: &[(u32, u32, u32)] = &[(5, 2, 3), (12, 1, 5), (2, 3, 6)];
    const WORD_TO_SP: &[(u32, u32, u32)] = &[(9, 4, 2), (7, 2, 6)];
    const DOUBLE_TO_SP: &[(u32, u32, u32)] = &[(10, 3, 3), (7, 3, 6)];

    let instruction = match (parcel & 0b11, parcel >> 13) {
        (0b00, 0b000) => {
            let immediate = gathered(parcel, &[(6, 1, 2), (5, 1, 3), (11, 2, 4), (7, 4, 6)]);
            (immediate != 0).then(|| with(Op::Addi, popular(2), SP, immediate as i32))?
        }
        (0b00, 0b001) => load(Op::Fld, popular(2), popular(7), DOUBLE),
        (0b00, 0b010) => load(Op::Lw, popular(2), popular(7), WORD),
        (0b00, 0b011) => load(Op::Ld, popular(2), popular(7), DOUBLE),
        (0b00, 0b101) => store(Op::Fsd, popular(2), popular(7), DOUBLE),
        (0b00, 0b110) => store(Op::Sw, popular(2), popular(7), WORD),
        (0b00, 0b111) => store(Op::Sd, popular(2), popular(7), DOUBLE),

        (0b01, 0b000) => with(Op::Addi, full, full, signed_six),
        (0b01, 0b001) => (full != 0).then(|| with(Op::Addiw, full, full, signed_six))?,
        (0b01, 0b010) => with(Op::Addi, full, 0, signed_six),
        (0b01, 0b011) if full == SP => {
            let immediate = gathered(parcel, &[(6, 1, 4), (2, 1, 5), (5, 1, 6), (3, 2, 7), (12, 1, 9)]);
            (immediate != 0).then(|| with(Op::Addi, SP, SP, sign_extended(immediate, 10)))?
        }
        (0b01, 0b011) => (six != 0).then(|| with(Op::Lui, full, 0, signed_six << 12))?,
        (0b01, 0b100) => {
            let rd = popular(7);
            let register_register = |op| Instruction { rs2: popular(2), ..with(op, rd, rd, 0) };
            match (parcel >> 10 & 0b11, parcel >> 12 & 1, parcel >> 5 & 0b11) {
                (0b00, _, _) => with(Op::Srli, rd, rd, six as i32),
                (0b01, _, _) => with(Op::Srai, rd, rd, six as i32),
                (0b10, _, _) => with(Op::Andi, rd, rd, signed_six),
                (_, 0, 0b00) => register_register(Op::Sub),
                (_, 0, 0b01) => register_register(Op::Xor),
                (_, 0, 0b10) => register_register(Op::Or),
                (_, 0, _) => register_register(Op::And),
                (_, _, 0b00) => register_register(Op::Subw),
                (_, _, 0b01) => register_register(Op::Addw),
                _ => return None,
            }
        }
        (0b01, 0b101) => {
            let pieces = &[(3, 3, 1), (11, 1, 4), (2, 1, 5), (7, 1, 6), (6, 1, 7), (9, 2, 8), (8, 1, 10), (12, 1, 11)];
            with(Op::Jal, 0, 0, sign_extended(gathered(parcel, pieces), 12))
        }
        (0b01, funct3) => {
            let offset = gathered(parcel, &[(3, 2, 1), (10, 2, 3), (2, 1, 5), (5, 2, 6), (12, 1, 8)]);
            with(if funct3 == 0b110 { Op::Beq } else { Op::Bne }, 0, popular(7), sign_extended(offset, 9))
        }

        (0b10, 0b000) => with(Op::Slli, full, full, six as i32),
        (0b10, 0b001) => load(Op::Fld, full, SP, DOUBLE_FROM_SP),
        (0b10, 0b010) => (full != 0).then(|| load(Op::Lw, full, SP, WORD_FROM_SP))?,
        (0b10, 0b011) => (full != 0).then(|| load(Op::Ld, full, SP, DOUBLE_FROM_SP))?,
        (0b10, 0b100) => match (parcel >> 12 & 1, full, register(2)) {
            (0, 0, 0) => return None,
            (0, rs1, 0) => with(Op::Jalr, 0, rs1, 0),
            (0, rd, rs2) => Instruction { rs2, ..with(Op::Add, rd, 0, 0) },
            (_, 0, 0) => Instruction::new(Op::Ebreak),
            (_, rs1, 0) => with(Op::Jalr, RA, rs1, 0),
            (_, rd, rs2) => Instruction { rs2, ..with(Op::Add, rd, rd, 0) },
        },
        (0b10, 0b101) => store(Op::Fsd, register(2), SP, DOUBLE_TO_SP),
        (0b10, 0b110) => store(Op::Sw, register(2), SP, WORD_TO_SP),
        (0b10, 0b111) => store(Op::Sd, register(2), SP, DOUBLE_TO_SP),
        _ => return None,
    };
    Some(instruction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{decode, encode};

    /// All 49,152 parcels: none panics, and each is its expansion, whose own encoding decodes to it.
    #[test]
    fn every_parcel_is_its_expansion() {
        let mut illegal = 0;
        for parcel in (0..=u16::MAX).filter(|&parcel| is_compressed(parcel)) {
            let instruction = decode_compressed(parcel);
            assert_eq!((instruction.bytes, instruction.raw), (2, parcel.into()));
            if instruction.op == Op::Illegal {
                illegal += 1;
                continue;
            }
            let word = encode(&instruction);
            assert_eq!(Instruction { raw: word, bytes: 4, ..instruction }, decode(word), "{parcel:#06x}");
        }
        // c.addi4spn of nothing 8; funct3 100 2048; c.addiw, c.lwsp and c.ldsp of x0 64 each; c.addi16sp and c.lui of nothing 1 + 31; c.subw's
        // reserved neighbours 128; c.jr of x0 1.
        assert_eq!(illegal, 8 + 2048 + 3 * 64 + 32 + 128 + 1);
    }

    /// Parcels as an assembler makes them; written by hand from the listings.
    #[test]
    fn parcels_of_the_manual() {
        let i = Instruction::new;
        for (parcel, instruction) in [
            (0x0001, i(Op::Addi)),
            (0x1141, Instruction { rd: 2, rs1: 2, immediate: -16, ..i(Op::Addi) }),
            (0xE406, Instruction { rs1: 2, rs2: 1, immediate: 8, ..i(Op::Sd) }),
            (0x60A2, Instruction { rd: 1, rs1: 2, immediate: 8, ..i(Op::Ld) }),
            (0x8082, Instruction { rs1: 1, ..i(Op::Jalr) }),
            (0x715D, Instruction { rd: 2, rs1: 2, immediate: -80, ..i(Op::Addi) }),
            (0x0808, Instruction { rd: 10, rs1: 2, immediate: 16, ..i(Op::Addi) }),
            (0x852E, Instruction { rd: 10, rs2: 11, ..i(Op::Add) }),
            (0x952E, Instruction { rd: 10, rs1: 10, rs2: 11, ..i(Op::Add) }),
            (0x9002, i(Op::Ebreak)),
            (0xBFF5, Instruction { immediate: -4, ..i(Op::Jal) }),
            (0xDD75, Instruction { rs1: 10, immediate: -4, ..i(Op::Beq) }),
            (0x757D, Instruction { rd: 10, immediate: -4096, ..i(Op::Lui) }),
            (0x8D0D, Instruction { rd: 10, rs1: 10, rs2: 11, ..i(Op::Sub) }),
            (0x9D2D, Instruction { rd: 10, rs1: 10, rs2: 11, ..i(Op::Addw) }),
            (0x4188, Instruction { rd: 10, rs1: 11, ..i(Op::Lw) }),
            (0x2588, Instruction { rd: 10, rs1: 11, immediate: 8, ..i(Op::Fld) }),
        ] {
            assert_eq!(
                decode_compressed(parcel),
                Instruction { raw: parcel.into(), bytes: 2, ..instruction },
                "{parcel:#06x}"
            );
        }
        assert_eq!(decode_compressed(0).op, Op::Illegal);
    }
}
