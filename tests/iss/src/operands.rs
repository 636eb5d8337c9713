//! Values that make instructions show what they do at their ends.

use sim_device::Random;

/// An integer: near a power of two or its negative, of few bits, or any.
fn integer(random: &mut Random) -> u64 {
    let near = |random: &mut Random, value: u64| value.wrapping_add(random.below(5)).wrapping_sub(2);
    match random.below(6) {
        0 => near(random, 0),
        1 => {
            let value = 1 << random.below(64);
            near(random, value)
        }
        2 => {
            let value = (1u64 << random.below(64)).wrapping_neg();
            near(random, value)
        }
        3 => random.next_u64() >> random.below(64),
        4 => (random.next_u64() as i32) as u64,
        _ => random.next_u64(),
    }
}

/// The bits of a floating-point number: exponents at the ends of their range, at 1 and at the ends of integers, with fractions of few and of many bits.
fn float(random: &mut Random, bits: u32, fraction_bits: u32) -> u64 {
    let exponent_max = (1 << (bits - 1 - fraction_bits)) - 1;
    let sign = random.below(2) << (bits - 1);
    let bias = exponent_max / 2;
    let exponent = match random.below(8) {
        0 => random.below(3),
        1 => exponent_max - random.below(3),
        2 => exponent_max,
        3 => bias - 1 + random.below(3),
        4 => (bias + 29 + random.below(37)).min(exponent_max),
        5 => (bias / 2) + random.below(bias),
        6 => bias - u64::from(fraction_bits) + random.below(2 * u64::from(fraction_bits)),
        _ => random.below(exponent_max + 1),
    };
    let mask = (1 << fraction_bits) - 1;
    let fraction = match random.below(6) {
        0 => 0,
        1 => mask,
        2 => 1 << random.below(u64::from(fraction_bits)),
        3 => mask & !(random.below(4)),
        4 => random.below(4),
        _ => random.next_u64() & mask,
    };
    sign | exponent << fraction_bits | fraction
}

/// One of few numbers, so that two of them are often equal but for their signs, and often have a product or a quotient at an end of the range.
fn special(random: &mut Random, bits: u32, fraction_bits: u32) -> u64 {
    let exponent_max = (1 << (bits - 1 - fraction_bits)) - 1;
    let (infinity, one) = (exponent_max << fraction_bits, (exponent_max / 2) << fraction_bits);
    let smallest_normal = 1 << fraction_bits;
    let two = one + smallest_normal;
    let value = *random.pick(&[
        0,
        0,
        1,
        smallest_normal / 2,
        smallest_normal - 1,
        smallest_normal,
        smallest_normal + 1,
        one - smallest_normal,
        one - 1,
        one,
        one + 1,
        two - 1,
        two,
        infinity - 1,
        infinity,
        infinity | 1,
        infinity | (smallest_normal / 2),
    ]);
    random.below(2) << (bits - 1) | value
}

/// What the floating-point registers of a block hold.
#[derive(Clone, Copy)]
enum Floats {
    /// Doubles, singles in their boxes, and seldom a single that is not.
    Any,
    /// Few numbers of one format.
    SpecialSingles,
    /// The same of the other.
    SpecialDoubles,
}

fn float_register(random: &mut Random, floats: Floats) -> u64 {
    const BOX: u64 = !0 << 32;
    match (floats, random.below(16)) {
        (Floats::SpecialSingles, _) => special(random, 32, 23) | BOX,
        (Floats::SpecialDoubles, _) => special(random, 64, 52),
        (Floats::Any, 0) => integer(random),
        (Floats::Any, 1..8) => float(random, 32, 23) | BOX,
        (Floats::Any, _) => float(random, 64, 52),
    }
}

/// All registers, as a block begins with them: `fcsr` with any flags and a legal rounding mode, 31 integers, and 32 for floating point.
pub fn registers(random: &mut Random) -> [u64; crate::program::REGISTERS] {
    let mut registers = [0; crate::program::REGISTERS];
    registers[0] = random.below(5) << 5 | random.below(32);
    for register in &mut registers[1..32] {
        *register = integer(random);
    }
    let floats = *random.pick(&[Floats::Any, Floats::Any, Floats::SpecialSingles, Floats::SpecialDoubles]);
    for register in &mut registers[32..] {
        *register = float_register(random, floats);
    }
    registers
}
