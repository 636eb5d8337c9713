//! The registers of Rocket's FPU: numbers in the recoded format of Berkeley HardFloat, with one more bit of exponent, in which subnormal numbers are
//! normalized.
//!
//! Source: Berkeley HardFloat, "Recoded Formats"; Rocket Chip, `FPU.scala`, for how a single is boxed in a double: as a NaN with the 33 bits of the recoded single
//! inside, of which two stand elsewhere.

/// Widths of the two formats: exponent and fraction.
const SINGLE: (u32, u32) = (8, 23);
const DOUBLE: (u32, u32) = (11, 52);

/// Bits of a double where a boxed single has its sign and the highest bit of its exponent.
const BOXED_SIGN: u32 = 31;
const BOXED_EXPONENT: u32 = 52;

const fn mask(bits: u32) -> u128 {
    (1 << bits) - 1
}

/// Whether a recoded number is a NaN: the three highest bits of the exponent are set.
fn is_nan(recoded: u128, (exponent, fraction): (u32, u32)) -> bool {
    recoded >> (exponent + fraction - 2) & 0b111 == 0b111
}

fn to_ieee_of(recoded: u128, format: (u32, u32)) -> u64 {
    let (exponent_bits, fraction_bits) = format;
    let sign = recoded >> (exponent_bits + fraction_bits + 1) & 1;
    let exponent = recoded >> fraction_bits & mask(exponent_bits + 1);
    let fraction = recoded & mask(fraction_bits);
    let kind = exponent >> (exponent_bits - 2);
    // What the exponent exceeds that of IEEE by.
    let excess = (1 << (exponent_bits - 1)) + 1;
    let (exponent, fraction) = match kind {
        0 => (0, 0),
        0b110 => (mask(exponent_bits), 0),
        0b111 => (mask(exponent_bits), fraction),
        _ if exponent > excess => ((exponent - excess) & mask(exponent_bits), fraction),
        _ => (0, (fraction | 1 << fraction_bits) >> (excess + 1 - exponent).min(127)),
    };
    (sign << (exponent_bits + fraction_bits) | exponent << fraction_bits | fraction) as u64
}

/// The 64 bits that software sees of a register of 65.
pub fn to_ieee(recoded: u128) -> u64 {
    let double = to_ieee_of(recoded, DOUBLE);
    if !is_nan(recoded, DOUBLE) {
        return double;
    }
    let single = recoded & mask(31) | (recoded >> BOXED_EXPONENT & 1) << 31 | (recoded >> BOXED_SIGN & 1) << 32;
    double & !u64::from(u32::MAX) | to_ieee_of(single, SINGLE)
}

fn from_ieee_of(bits: u64, (exponent_bits, fraction_bits): (u32, u32)) -> u128 {
    let bits = u128::from(bits);
    let sign = bits >> (exponent_bits + fraction_bits) & 1;
    let (exponent, fraction) = (bits >> fraction_bits & mask(exponent_bits), bits & mask(fraction_bits));
    let excess = (1 << (exponent_bits - 1)) + 1;
    let (exponent, fraction) = match (exponent, fraction) {
        (0, 0) => (0, 0),
        (0, fraction) => {
            let shift = fraction_bits + 1 - (128 - fraction.leading_zeros());
            (excess + 1 - u128::from(shift), fraction << shift & mask(fraction_bits))
        }
        (exponent, 0) if exponent == mask(exponent_bits) => (0b110 << (exponent_bits - 2), 0),
        (exponent, fraction) if exponent == mask(exponent_bits) => (0b111 << (exponent_bits - 2), fraction),
        (exponent, fraction) => (exponent + excess, fraction),
    };
    sign << (exponent_bits + fraction_bits + 1) | exponent << fraction_bits | fraction
}

/// The register that holds these bits, as the FPU loads them.
pub fn from_ieee(bits: u64) -> u128 {
    let double = from_ieee_of(bits, DOUBLE);
    if !is_nan(double, DOUBLE) {
        return double;
    }
    let single = from_ieee_of(bits & u64::from(u32::MAX), SINGLE);
    let places = mask(BOXED_SIGN + 1) | 1 << BOXED_EXPONENT;
    double & !places | single & mask(31) | (single >> 31 & 1) << BOXED_EXPONENT | (single >> 32 & 1) << BOXED_SIGN
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers of the HardFloat documentation's table: exponents of 3 bits above, and the normalized fractions of subnormal numbers.
    #[test]
    fn known_numbers() {
        assert_eq!(from_ieee(0), 0);
        assert_eq!(from_ieee(1.0f64.to_bits()), 0x800 << 52);
        assert_eq!(from_ieee((-2.5f64).to_bits()), 1 << 64 | 0x801 << 52 | 1 << 50);
        assert_eq!(from_ieee(f64::INFINITY.to_bits()), 0xC00 << 52);
        // 2^-1074, the smallest: 1 by an exponent that IEEE has not.
        assert_eq!(from_ieee(1), (0x800 - 1074) << 52);
        // A boxed 1.0: the single's exponent of 9 bits is 100h, and its highest bit stands at bit 52.
        assert_eq!(from_ieee(0xFFFF_FFFF_3F80_0000) >> 52 & 1, 1);
        assert_eq!(from_ieee(0xFFFF_FFFF_3F80_0000) & mask(32), 0);
    }

    proptest! {
        #[test]
        fn a_register_holds_the_bits_that_were_loaded(bits: u64, exponent in 0u64..3, boxed: bool) {
            let singles = 0xFFFF_FFFF << 32 | bits;
            // Few bits of exponent are subnormal numbers, and all of them infinities and NaNs.
            let ends = bits & !(0x7FF << 52) | [0, 1, 0x7FF][exponent as usize] << 52;
            let single_ends = singles & !(0xFF << 23) | [0, 1, 0xFF][exponent as usize] << 23;
            for bits in [bits, ends, if boxed { singles } else { single_ends }] {
                prop_assert_eq!(to_ieee(from_ieee(bits)), bits);
            }
        }
    }
}
