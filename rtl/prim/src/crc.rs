//! Cyclic redundancy checks of wide words. All functions are combinational.

use rtl_hdl::{cat, Signal};

/// A check with reflected input and output, whose register begins with ones and is inverted at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc {
    /// The polynomial with its bits reversed: that of the highest power but one is bit 31.
    pub polynomial: u32,
}

/// The register after the bytes of `data`, the lowest first, if it was `register` (32 bits) before. It begins with all ones; the check is its
/// complement.
///
/// Each bit is the exclusive or of those bits of both on which it depends, so that a word of 512 bits takes four levels of look-up tables.
#[track_caller]
pub fn next(crc: Crc, register: Signal, data: Signal) -> Signal {
    let inputs: Vec<Signal> =
        (0..32).map(|bit| register.bit(bit)).chain((0..data.width()).map(|bit| data.bit(bit))).collect();
    let rows = rows(crc, data.width());
    let bits = rows.iter().map(|row| {
        let of_row: Vec<Signal> = inputs
            .iter()
            .enumerate()
            .filter(|(input, _)| row[input / 64] >> (input % 64) & 1 == 1)
            .map(|(_, bit)| *bit)
            .collect();
        cat(&of_row).parity()
    });
    let mut bits: Vec<Signal> = bits.collect();
    bits.reverse();
    cat(&bits)
}

/// For each bit of the next register, the bits of the register and of the data on which it depends.
fn rows(crc: Crc, width: u32) -> Vec<Vec<u64>> {
    let words = (32 + width).div_ceil(64) as usize;
    let unit = |input: u32| {
        let mut row = vec![0; words];
        row[input as usize / 64] = 1 << (input % 64);
        row
    };
    let mut register: Vec<Vec<u64>> = (0..32).map(unit).collect();
    for bit in 0..width {
        let feedback: Vec<u64> = register[0].iter().zip(unit(32 + bit)).map(|(a, b)| a ^ b).collect();
        register.remove(0);
        register.push(vec![0; words]);
        for (place, row) in register.iter_mut().enumerate() {
            if crc.polynomial >> place & 1 == 1 {
                row.iter_mut().zip(&feedback).for_each(|(a, b)| *a ^= b);
            }
        }
    }
    register
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC-32C of Castagnoli. RFC 3720, "Header Digest and Data Digest".
    const CRC_32C: Crc = Crc { polynomial: 0x82F6_3B78 };

    /// The register after some bytes, by what the rows say.
    fn by_rows(register: u32, bytes: &[u8]) -> u32 {
        let mut inputs = vec![0u64; (32 + 8 * bytes.len()).div_ceil(64)];
        let mut put = |at: usize, bit: bool| inputs[at / 64] |= u64::from(bit) << (at % 64);
        (0..32).for_each(|bit| put(bit, register >> bit & 1 == 1));
        (0..8 * bytes.len()).for_each(|bit| put(32 + bit, bytes[bit / 8] >> (bit % 8) & 1 == 1));
        let rows = rows(CRC_32C, 8 * bytes.len() as u32);
        rows.iter().zip(0..).fold(0, |sum, (row, bit)| {
            let ones: u32 = row.iter().zip(&inputs).map(|(a, b)| (a & b).count_ones()).sum();
            sum | (ones & 1) << bit
        })
    }

    #[test]
    fn checks_are_those_of_the_standard() {
        assert_eq!(!by_rows(u32::MAX, b"123456789"), 0xE306_9283);
        // RFC 3720, "CRC Examples".
        assert_eq!(!by_rows(u32::MAX, &[0; 32]), 0x8A91_36AA);
        assert_eq!(!by_rows(u32::MAX, &[0xFF; 32]), 0x62A8_AB43);
        let parts = by_rows(by_rows(u32::MAX, &[0xFF; 16]), &[0xFF; 16]);
        assert_eq!(!parts, 0x62A8_AB43, "in two words");
    }
}
