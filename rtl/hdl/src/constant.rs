//! Constants of any width.

use std::fmt;

/// A value of a fixed width in bits. The lowest bits are in the first word; bits above the width are zero.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Constant {
    width: u32,
    words: Vec<u64>,
}

/// How many 64-bit words hold `width` bits.
pub const fn words_for(width: u32) -> usize {
    width.div_ceil(64) as usize
}

impl Constant {
    /// Zero, `width` bits wide.
    pub fn zero(width: u32) -> Self {
        Self { width, words: vec![0; words_for(width)] }
    }

    /// All bits set.
    pub fn ones(width: u32) -> Self {
        Self::from_words(width, &vec![u64::MAX; words_for(width)])
    }

    /// The low `width` bits of `words`; missing words are zero.
    pub fn from_words(width: u32, words: &[u64]) -> Self {
        let mut own: Vec<u64> = words.iter().copied().chain(std::iter::repeat(0)).take(words_for(width)).collect();
        mask_top(width, &mut own);
        Self { width, words: own }
    }

    /// `value`, if it fits `width` bits.
    pub fn new(value: u128, width: u32) -> Option<Self> {
        if width < 128 && value >> width != 0 {
            return None;
        }
        Some(Self::from_words(width, &[value as u64, (value >> 64) as u64]))
    }

    /// Width in bits.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The value as 64-bit words, lowest first.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// True if every bit is zero.
    pub fn is_zero(&self) -> bool {
        self.words.iter().all(|&w| w == 0)
    }

    /// True if every bit is set.
    pub fn is_ones(&self) -> bool {
        *self == Self::ones(self.width)
    }

    /// Bit `index`.
    pub fn bit(&self, index: u32) -> bool {
        self.words[(index / 64) as usize] >> (index % 64) & 1 == 1
    }

    /// The value, if it fits 64 bits.
    pub fn to_u64(&self) -> Option<u64> {
        self.words.iter().skip(1).all(|&w| w == 0).then(|| self.words.first().copied().unwrap_or(0))
    }

    /// The sum, without what is above the width.
    pub fn plus(&self, other: &Constant) -> Constant {
        let mut carry = false;
        let words = self.words.iter().zip(&other.words).map(|(a, b)| {
            let (sum, first) = a.overflowing_add(*b);
            let (sum, second) = sum.overflowing_add(carry.into());
            carry = first || second;
            sum
        });
        Constant::from_words(self.width, &words.collect::<Vec<_>>())
    }

    /// Every bit the other way.
    pub fn inverted(&self) -> Constant {
        let words: Vec<u64> = self.words.iter().map(|word| !word).collect();
        Constant::from_words(self.width, &words)
    }

    /// `width` bits from bit `low` up.
    pub fn slice(&self, low: u32, width: u32) -> Constant {
        Constant::from_words(width, &crate::bench::get_bits(&self.words, low, width))
    }

    /// A sized SystemVerilog literal: `1'b1` for one bit, hexadecimal otherwise.
    pub fn verilog(&self) -> String {
        if self.width == 1 {
            return format!("1'b{}", self.words[0]);
        }
        let mut digits = String::new();
        for word in self.words.iter().rev() {
            if digits.is_empty() {
                if *word != 0 {
                    digits = format!("{word:x}");
                }
            } else {
                digits += &format!("{word:016x}");
            }
        }
        format!("{}'h{}", self.width, if digits.is_empty() { "0" } else { &digits })
    }
}

impl fmt::Debug for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.verilog())
    }
}

/// Clears the bits of the top word that are above `width`.
pub fn mask_top(width: u32, words: &mut [u64]) {
    if width % 64 != 0 {
        if let Some(top) = words.get_mut((width / 64) as usize) {
            *top &= (1u64 << (width % 64)) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_sized_and_hexadecimal() {
        assert_eq!(Constant::new(1, 1).unwrap().verilog(), "1'b1");
        assert_eq!(Constant::new(0x1f, 6).unwrap().verilog(), "6'h1f");
        assert_eq!(Constant::from_words(130, &[1, 0, 2]).verilog(), "130'h200000000000000000000000000000001");
        assert_eq!(Constant::zero(200).verilog(), "200'h0");
    }

    #[test]
    fn sums_carry_across_words_and_wrap() {
        let ones = Constant::ones(130);
        assert_eq!(ones.plus(&Constant::from_words(130, &[1])), Constant::zero(130));
        assert_eq!(Constant::from_words(65, &[u64::MAX]).plus(&Constant::from_words(65, &[1])).words(), [0, 1]);
        assert_eq!(ones.inverted(), Constant::zero(130));
        assert_eq!(Constant::from_words(130, &[0, 6]).slice(65, 3).words(), [3]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused() {
        assert!(Constant::new(8, 3).is_none());
        assert!(Constant::new(7, 3).unwrap().is_ones());
        assert_eq!(Constant::from_words(3, &[0xff]).to_u64(), Some(7));
    }
}
