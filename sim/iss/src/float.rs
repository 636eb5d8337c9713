//! Floating-point arithmetic with the flags, the rounding modes and the one NaN of RISC-V.
//!
//! Sources: The RISC-V Instruction Set Manual, Volume I: Unprivileged ISA, "\"F\" Extension for Single-Precision Floating-Point" and "\"D\" Extension for
//! Double-Precision Floating-Point"; IEEE 754-2008. The arithmetic is that of `rustc_apfloat`: `docs/decisions/0013-instruction-set-simulator.md`.
//!
//! Values are the bits of their format in the lower end of a `u64`; [`boxed`] and [`unboxed`] take singles into and out of registers.

use std::cmp::Ordering;

use rustc_apfloat::ieee::{Double, Quad, Single};
use rustc_apfloat::{Category, Float, FloatConvert, Round, Status, StatusAnd};

/// The exceptions of IEEE 754, by their bits in `fflags`.
pub mod flag {
    /// Inexact.
    pub const NX: u8 = 1;
    /// Underflow.
    pub const UF: u8 = 1 << 1;
    /// Overflow.
    pub const OF: u8 = 1 << 2;
    /// Divide by zero.
    pub const DZ: u8 = 1 << 3;
    /// Invalid operation.
    pub const NV: u8 = 1 << 4;
}

/// A result and the flags that it raises.
pub(crate) type Flagged = (u64, u8);

/// The rounding mode of a legal value of `rm` or `frm`. Volume I, "Floating-Point Control and Status Register".
pub(crate) const fn rounding(mode: u8) -> Option<Round> {
    Some(match mode {
        0 => Round::NearestTiesToEven,
        1 => Round::TowardZero,
        2 => Round::TowardNegative,
        3 => Round::TowardPositive,
        4 => Round::NearestTiesToAway,
        _ => return None,
    })
}

/// A single in a register of 64 bits: the upper half is all ones. Volume I, "NaN Boxing of Narrower Values".
pub(crate) const fn boxed(single: u64) -> u64 {
    single | !0 << 32
}

/// The single in a register; what is not one is the canonical NaN.
pub(crate) const fn unboxed(register: u64) -> u64 {
    if register >> 32 == u32::MAX as u64 {
        register & u32::MAX as u64
    } else {
        Single32::NAN
    }
}

/// What differs between the formats.
pub(crate) trait Format {
    /// The arithmetic.
    type Value: Float;
    /// Bits of a value.
    const BITS: u32;
    /// Bits of its fraction.
    const FRACTION_BITS: u32;

    const SIGN: u64 = 1 << (Self::BITS - 1);
    /// The quiet bit.
    const QUIET: u64 = 1 << (Self::FRACTION_BITS - 1);
    /// Infinity, which is also the mask of the exponent.
    const INFINITY: u64 = Self::SIGN - (1 << Self::FRACTION_BITS);
    /// The canonical NaN.
    const NAN: u64 = Self::INFINITY | Self::QUIET;
    /// What the exponent's field has more than the exponent.
    const BIAS: i32 = (1 << (Self::BITS - Self::FRACTION_BITS - 2)) - 1;

    /// The order of two values that are not NaN.
    fn order(a: u64, b: u64) -> Option<Ordering>;
}

/// Single precision.
pub(crate) struct Single32;

impl Format for Single32 {
    type Value = Single;
    const BITS: u32 = 32;
    const FRACTION_BITS: u32 = 23;

    fn order(a: u64, b: u64) -> Option<Ordering> {
        f32::from_bits(a as u32).partial_cmp(&f32::from_bits(b as u32))
    }
}

/// Double precision.
pub(crate) struct Double64;

impl Format for Double64 {
    type Value = Double;
    const BITS: u32 = 64;
    const FRACTION_BITS: u32 = 52;

    fn order(a: u64, b: u64) -> Option<Ordering> {
        f64::from_bits(a).partial_cmp(&f64::from_bits(b))
    }
}

fn is_nan<F: Format>(bits: u64) -> bool {
    bits & !F::SIGN > F::INFINITY
}

fn is_signaling<F: Format>(bits: u64) -> bool {
    is_nan::<F>(bits) && bits & F::QUIET == 0
}

/// NV if one of these is a signaling NaN.
fn signaled<F: Format>(operands: &[u64]) -> u8 {
    if operands.iter().any(|&bits| is_signaling::<F>(bits)) {
        flag::NV
    } else {
        0
    }
}

fn value<F: Format>(bits: u64) -> F::Value {
    F::Value::from_bits(bits.into())
}

fn flags(status: Status) -> u8 {
    [
        (Status::INEXACT, flag::NX),
        (Status::UNDERFLOW, flag::UF),
        (Status::OVERFLOW, flag::OF),
        (Status::DIV_BY_ZERO, flag::DZ),
        (Status::INVALID_OP, flag::NV),
    ]
    .into_iter()
    .fold(0, |flags, (status_bit, flag)| if status.contains(status_bit) { flags | flag } else { flags })
}

/// What an operation gives, unless an operand is a NaN.
fn arithmetic<F: Format>(operands: &[u64], operation: impl FnOnce() -> StatusAnd<F::Value>) -> Flagged {
    if operands.iter().any(|&bits| is_nan::<F>(bits)) {
        return (F::NAN, signaled::<F>(operands));
    }
    let StatusAnd { status, value } = operation();
    (if value.is_nan() { F::NAN } else { value.to_bits() as u64 }, flags(status))
}

/// The exponent by which operands are scaled, so that a result at the end of the range comes well into it.
const SCALE: i32 = 64;

/// Mends the flags UF and OF of a rounded result; `scaled` is the same operation with a result that is larger by a power of two.
///
/// IEEE 754-2008, "Overflow" and "Underflow": both look at what the result would be, rounded, if exponents had no bound (RISC-V finds tininess after
/// rounding). The library looks at the result as it is. The two differ where that is the smallest normal number, or the largest.
fn with_range<V: Float>(rounded: StatusAnd<V>, scaled: impl FnOnce(i32) -> StatusAnd<V>) -> StatusAnd<V> {
    let StatusAnd { status, value } = rounded;
    if status != Status::INEXACT {
        return rounded;
    }
    let flag = if value.is_smallest_normalized() {
        let is_tiny = scaled(SCALE).value.cmp_abs_normal(value.scalbn(SCALE)) == Ordering::Less;
        if is_tiny {
            Status::UNDERFLOW
        } else {
            Status::OK
        }
    } else if value.is_largest() {
        let is_huge = scaled(-SCALE).value.cmp_abs_normal(value.scalbn(-SCALE)) == Ordering::Greater;
        if is_huge {
            Status::OVERFLOW
        } else {
            Status::OK
        }
    } else {
        Status::OK
    };
    StatusAnd { status: status | flag, value }
}

/// Both factors, one of them scaled: the one that can be without loss.
fn scaled_factors<V: Float>(a: V, b: V, scale: i32) -> (V, V) {
    let a_is_smaller = a.cmp_abs_normal(b) == Ordering::Less;
    if a_is_smaller == (scale > 0) {
        (a.scalbn(scale), b)
    } else {
        (a, b.scalbn(scale))
    }
}

/// A summand, scaled. Of one that is lost in the sum, a little remains, so that the sum is still inexact and on the same side.
fn scaled_summand<V: Float>(a: V, scale: i32) -> V {
    a.scalbn_r(scale, if a.is_negative() { Round::TowardNegative } else { Round::TowardPositive })
}

pub(crate) fn add<F: Format>(a: u64, b: u64, round: Round) -> Flagged {
    arithmetic::<F>(&[a, b], || {
        let (a, b) = (value::<F>(a), value::<F>(b));
        with_range(a.add_r(b, round), |scale| scaled_summand(a, scale).add_r(scaled_summand(b, scale), round))
    })
}

pub(crate) fn sub<F: Format>(a: u64, b: u64, round: Round) -> Flagged {
    add::<F>(a, negated::<F>(b), round)
}

pub(crate) fn mul<F: Format>(a: u64, b: u64, round: Round) -> Flagged {
    arithmetic::<F>(&[a, b], || {
        let (a, b) = (value::<F>(a), value::<F>(b));
        with_range(a.mul_r(b, round), |scale| {
            let (a, b) = scaled_factors(a, b, scale);
            a.mul_r(b, round)
        })
    })
}

pub(crate) fn div<F: Format>(a: u64, b: u64, round: Round) -> Flagged {
    arithmetic::<F>(&[a, b], || {
        let (a, b) = (value::<F>(a), value::<F>(b));
        with_range(a.div_r(b, round), |scale| a.scalbn(scale).div_r(b, round))
    })
}

/// `a * b + c`, rounded once.
pub(crate) fn fused<F: Format>(a: u64, b: u64, c: u64, round: Round) -> Flagged {
    let magnitude = |bits: u64| bits & !F::SIGN;
    let (small, large) = (magnitude(a).min(magnitude(b)), magnitude(a).max(magnitude(b)));
    if small == 0 && large == F::INFINITY {
        // Invalid also if the addend is a quiet NaN.
        return (F::NAN, flag::NV);
    }
    arithmetic::<F>(&[a, b, c], || {
        let (a, b, c) = (value::<F>(a), value::<F>(b), value::<F>(c));
        with_range(a.mul_add_r(b, c, round), |scale| {
            let (a, b) = scaled_factors(a, b, scale);
            a.mul_add_r(b, scaled_summand(c, scale), round)
        })
    })
}

/// The other sign, also of a NaN.
pub(crate) fn negated<F: Format>(a: u64) -> u64 {
    a ^ F::SIGN
}

pub(crate) fn sqrt<F: Format>(a: u64, round: Round) -> Flagged
where
    Quad: FloatConvert<F::Value>,
{
    if is_nan::<F>(a) {
        return (F::NAN, signaled::<F>(&[a]));
    }
    if a == F::INFINITY || a & !F::SIGN == 0 {
        return (a, 0);
    }
    if a & F::SIGN != 0 {
        return (F::NAN, flag::NV);
    }
    // `a = significand * 2^exponent`, with an even exponent and a significand of 110 to 111 bits, of which the root has 55 or 56 bits.
    let field = (a >> F::FRACTION_BITS) as i32;
    let fraction = u128::from(a & ((1 << F::FRACTION_BITS) - 1));
    let significand = if field == 0 { fraction } else { fraction | 1 << F::FRACTION_BITS };
    let exponent = field.max(1) - F::BIAS - F::FRACTION_BITS as i32;
    let mut shift = significand.leading_zeros() as i32 - 17;
    shift -= (exponent - shift) & 1;
    let significand = significand << shift;
    let root = significand.isqrt();
    // A last bit for all that was cut off: a root is never half way between two results, so that this rounds as the exact one does.
    let sticky = root << 1 | u128::from(root * root != significand);
    let root = Quad::from_u128(sticky).value.scalbn((exponent - shift) / 2 - 1);
    let StatusAnd { status, value } = convert::<Quad, F::Value>(root, round);
    (value.to_bits() as u64, flags(status))
}

fn convert<A: FloatConvert<B>, B: Float>(value: A, round: Round) -> StatusAnd<B> {
    // The library says with the status, too, whether something was lost.
    value.convert_r(round, &mut false)
}

pub(crate) fn single_to_double(a: u64) -> Flagged {
    if is_nan::<Single32>(a) {
        return (Double64::NAN, signaled::<Single32>(&[a]));
    }
    let wide: StatusAnd<Double> = convert(value::<Single32>(a), Round::NearestTiesToEven);
    (wide.value.to_bits() as u64, 0)
}

pub(crate) fn double_to_single(a: u64, round: Round) -> Flagged {
    if is_nan::<Double64>(a) {
        return (Single32::NAN, signaled::<Double64>(&[a]));
    }
    let a = value::<Double64>(a);
    let narrow: StatusAnd<Single> = with_range(convert(a, round), |scale| convert(a.scalbn(scale), round));
    (narrow.value.to_bits() as u64, flags(narrow.status))
}

/// The value of an integer.
pub(crate) fn from_integer<F: Format>(integer: i128, round: Round) -> Flagged {
    let StatusAnd { status, value } = F::Value::from_i128_r(integer, round);
    (value.to_bits() as u64, flags(status))
}

/// The integer in `min..=max`; what lies outside is invalid and becomes the nearest of them, and a NaN the largest.
pub(crate) fn to_integer<F: Format>(a: u64, round: Round, min: i128, max: i128) -> (i128, u8) {
    if is_nan::<F>(a) {
        return (max, flag::NV);
    }
    let mut is_exact = false;
    let StatusAnd { status, value: integer } = value::<F>(a).to_i128_r(128, round, &mut is_exact);
    if status.contains(Status::INVALID_OP) || !(min..=max).contains(&integer) {
        return (if a & F::SIGN != 0 { min } else { max }, flag::NV);
    }
    (integer, flags(status))
}

/// `feq`: quiet NaNs are equal to nothing, and that is valid.
pub(crate) fn equal<F: Format>(a: u64, b: u64) -> Flagged {
    (u64::from(F::order(a, b) == Some(Ordering::Equal)), signaled::<F>(&[a, b]))
}

/// `flt` and `fle`: no NaN has an order, and to ask is invalid.
pub(crate) fn ordered<F: Format>(a: u64, b: u64, holds: impl Fn(Ordering) -> bool) -> Flagged {
    match F::order(a, b) {
        Some(order) => (holds(order).into(), 0),
        None => (0, flag::NV),
    }
}

/// `fmin` or, with the other order, `fmax`: the operand that is a number, and -0 is less than +0.
pub(crate) fn least<F: Format>(a: u64, b: u64, wanted: Ordering) -> Flagged {
    let chosen = match (is_nan::<F>(a), is_nan::<F>(b)) {
        (true, true) => F::NAN,
        (true, false) => b,
        (false, true) => a,
        (false, false) => match F::order(a, b) {
            Some(Ordering::Equal) if wanted == Ordering::Less => a | b,
            Some(Ordering::Equal) => a & b,
            order if order == Some(wanted) => a,
            _ => b,
        },
    };
    (chosen, signaled::<F>(&[a, b]))
}

/// `fsgnj` and its kind: `a` with the sign that a function of both signs gives.
pub(crate) fn with_sign<F: Format>(a: u64, b: u64, sign: impl Fn(u64, u64) -> u64) -> u64 {
    a & !F::SIGN | sign(a, b) & F::SIGN
}

/// `fclass`: one bit of ten. Volume I, "Single-Precision Floating-Point Classify Instruction".
pub(crate) fn class<F: Format>(a: u64) -> u64 {
    let (value, negative) = (value::<F>(a), a & F::SIGN != 0);
    let bit = match value.category() {
        Category::NaN => 8 + u32::from(!is_signaling::<F>(a)),
        Category::Infinity if negative => 0,
        Category::Normal if negative => 1 + u32::from(value.is_denormal()),
        Category::Zero if negative => 3,
        Category::Zero => 4,
        Category::Normal => 6 - u32::from(value.is_denormal()),
        Category::Infinity => 7,
    };
    1 << bit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVEN: Round = Round::NearestTiesToEven;
    const ONE: u64 = 0x3FF0_0000_0000_0000;
    const MIN_NORMAL: u64 = 0x0010_0000_0000_0000;

    /// IEEE 754-2008, "Inexact", "Underflow", "Overflow", "Division by zero" and "Invalid operation", one case each.
    #[test]
    fn flags_of_the_standard() {
        type D = Double64;
        let three = 3f64.to_bits();
        assert_eq!(div::<D>(ONE, three, EVEN), ((1.0f64 / 3.0).to_bits(), flag::NX));
        assert_eq!(div::<D>(ONE, 0, EVEN), (D::INFINITY, flag::DZ));
        assert_eq!(div::<D>(0, 0, EVEN), (D::NAN, flag::NV));
        assert_eq!(mul::<D>(f64::MAX.to_bits(), three, EVEN), (D::INFINITY, flag::OF | flag::NX));
        assert_eq!(mul::<D>(f64::MAX.to_bits(), three, Round::TowardZero), (f64::MAX.to_bits(), flag::OF | flag::NX));
        assert_eq!(mul::<D>(1, 0.75f64.to_bits(), EVEN), (1, flag::UF | flag::NX));
        assert_eq!(sub::<D>(D::INFINITY, D::INFINITY, EVEN), (D::NAN, flag::NV));
        assert_eq!(add::<D>(D::NAN | 5, ONE, EVEN), (D::NAN, 0));
        assert_eq!(add::<D>(D::INFINITY | 5, ONE, EVEN), (D::NAN, flag::NV));
        assert_eq!(sqrt::<D>(ONE | D::SIGN, EVEN), (D::NAN, flag::NV));
        assert_eq!(sqrt::<D>(D::SIGN, EVEN), (D::SIGN, 0));
        assert_eq!(fused::<D>(D::INFINITY, 0, D::NAN, EVEN), (D::NAN, flag::NV));
        assert_eq!(sub::<D>(ONE, ONE, EVEN), (0, 0));
        assert_eq!(sub::<D>(ONE, ONE, Round::TowardNegative), (D::SIGN, 0));
    }

    /// A product just below the smallest normal number rounds to it, and is tiny or not by what it would be with a smaller exponent. Volume I, "Floating-Point
    /// Control and Status Register": tininess is detected after rounding.
    #[test]
    fn tininess_is_found_after_rounding() {
        type D = Double64;
        // (2 - 2^-52) * 2^-1023 is half a unit below, and representable with the smaller exponent, so tiny.
        let below_two = 2f64.to_bits() - 1;
        let half = 0.5f64.to_bits();
        let small = mul::<D>(MIN_NORMAL, half, EVEN).0;
        assert_eq!(mul::<D>(below_two, small, EVEN), (MIN_NORMAL, flag::UF | flag::NX));
        // (1 - 2^-53) * (1 + 2^-52) * 2^-1022 is 2^-1022 * (1 + 2^-53 - ...): above, not tiny.
        assert_eq!(mul::<D>(ONE - 1, MIN_NORMAL + 1, EVEN), (MIN_NORMAL, flag::NX));
        // (1 - 2^-53)(1 + 2^-53...) cannot be had in one product; upwards, anything between the two rounds to the bound and is tiny if that needs the wide exponent.
        assert_eq!(fused::<D>(1, half, MIN_NORMAL - 1, Round::TowardPositive), (MIN_NORMAL, flag::UF | flag::NX));
        // A quarter of a unit of the wide exponent below: rounds to the bound there, too.
        let eighth = 0.125f64.to_bits();
        assert_eq!(fused::<D>(1 | D::SIGN, eighth, MIN_NORMAL, EVEN), (MIN_NORMAL, flag::NX));
        assert_eq!(fused::<D>(1 | D::SIGN, half, MIN_NORMAL, EVEN), (MIN_NORMAL, flag::UF | flag::NX));
        // To singles, half a unit below, and a quarter.
        let below = f64::from(f32::MIN_POSITIVE).to_bits() - (1 << 29);
        assert_eq!(double_to_single(below, EVEN), (u64::from(f32::MIN_POSITIVE.to_bits()), flag::UF | flag::NX));
        let nearer = f64::from(f32::MIN_POSITIVE).to_bits() - (1 << 28);
        assert_eq!(double_to_single(nearer, EVEN), (u64::from(f32::MIN_POSITIVE.to_bits()), flag::NX));
    }

    /// Overflow is what exceeds the largest number when rounded without a bound, also when the result is the largest number.
    #[test]
    fn overflow_is_found_after_rounding() {
        type D = Double64;
        let (max, down) = (f64::MAX.to_bits(), Round::TowardZero);
        let overflow = (max, flag::OF | flag::NX);
        assert_eq!(add::<D>(max, ONE, down), (max, flag::NX));
        assert_eq!(add::<D>(max, max, down), overflow);
        assert_eq!(sub::<D>(negated::<D>(max), max, Round::TowardPositive), (negated::<D>(max), flag::OF | flag::NX));
        assert_eq!(div::<D>(max, 0.5f64.to_bits(), down), overflow);
        let two = 2f64.to_bits();
        let half_of_range = 2f64.powi(1023).to_bits();
        assert_eq!(fused::<D>(half_of_range, two, 1, down), overflow);
        // The exact result is below the first number that is too large, by the smallest number.
        assert_eq!(fused::<D>(half_of_range, two, 1 | D::SIGN, down), (max, flag::NX));
        assert_eq!(double_to_single(max, down), (u64::from(f32::MAX.to_bits()), flag::OF | flag::NX));
    }

    /// Volume I, "Domains of float-to-integer conversions and behavior for invalid inputs".
    #[test]
    fn conversions_to_integers() {
        let word = |value: f64, round| to_integer::<Double64>(value.to_bits(), round, i32::MIN.into(), i32::MAX.into());
        let unsigned = |value: f64, round| to_integer::<Double64>(value.to_bits(), round, 0, u32::MAX.into());
        assert_eq!(word(-1.5, Round::TowardZero), (-1, flag::NX));
        assert_eq!(word(-1.5, EVEN), (-2, flag::NX));
        assert_eq!(word(2.5, EVEN), (2, flag::NX));
        assert_eq!(word(2.5, Round::NearestTiesToAway), (3, flag::NX));
        assert_eq!(word(2147483647.5, Round::TowardZero), (i32::MAX.into(), flag::NX));
        assert_eq!(word(2147483647.5, EVEN), (i32::MAX.into(), flag::NV));
        assert_eq!(word(f64::NEG_INFINITY, EVEN), (i32::MIN.into(), flag::NV));
        assert_eq!(word(f64::NAN, EVEN), (i32::MAX.into(), flag::NV));
        assert_eq!(unsigned(-0.75, Round::TowardZero), (0, flag::NX));
        assert_eq!(unsigned(-0.75, EVEN), (0, flag::NV));
        assert_eq!(unsigned(1e300, EVEN), (u32::MAX.into(), flag::NV));
    }

    #[test]
    fn comparisons_classes_and_signs() {
        type S = Single32;
        let signaling = S::INFINITY | 1;
        assert_eq!(equal::<S>(0, S::SIGN), (1, 0));
        assert_eq!(equal::<S>(S::NAN, 0), (0, 0));
        assert_eq!(equal::<S>(signaling, 0), (0, flag::NV));
        assert_eq!(ordered::<S>(S::NAN, 0, Ordering::is_lt), (0, flag::NV));
        assert_eq!(least::<S>(0, S::SIGN, Ordering::Less), (S::SIGN, 0));
        assert_eq!(least::<S>(S::SIGN, 0, Ordering::Greater), (0, 0));
        assert_eq!(least::<S>(signaling, 5, Ordering::Less), (5, flag::NV));
        assert_eq!(least::<S>(S::NAN, S::NAN | 1, Ordering::Less), (S::NAN, 0));
        let classes = [
            S::SIGN | S::INFINITY,
            S::SIGN | 0x3F80_0000,
            S::SIGN | 1,
            S::SIGN,
            0,
            1,
            0x3F80_0000,
            S::INFINITY,
            signaling,
            S::NAN,
        ];
        for (bit, bits) in classes.into_iter().enumerate() {
            assert_eq!(class::<S>(bits), 1 << bit);
        }
        assert_eq!(unboxed(0xFFFF_FFFE_0000_0000), 0x7FC0_0000);
        assert_eq!(unboxed(boxed(7)), 7);
    }

    /// A double with any exponent and no NaN.
    fn number() -> impl Strategy<Value = u64> {
        any::<u64>().prop_map(|bits| if is_nan::<Double64>(bits) { bits & !Double64::INFINITY } else { bits })
    }

    proptest! {
        /// The machine that runs the test computes in the same way, to nearest, and cannot say which flags.
        #[test]
        fn results_are_those_of_the_host(a in number(), b in number(), c in number()) {
            let (x, y, z) = (f64::from_bits(a), f64::from_bits(b), f64::from_bits(c));
            let canonical = |value: f64| if value.is_nan() { Double64::NAN } else { value.to_bits() };
            prop_assert_eq!(add::<Double64>(a, b, EVEN).0, canonical(x + y));
            prop_assert_eq!(sub::<Double64>(a, b, EVEN).0, canonical(x - y));
            prop_assert_eq!(mul::<Double64>(a, b, EVEN).0, canonical(x * y));
            prop_assert_eq!(div::<Double64>(a, b, EVEN).0, canonical(x / y));
            prop_assert_eq!(sqrt::<Double64>(a, EVEN).0, canonical(x.sqrt()));
            prop_assert_eq!(fused::<Double64>(a, b, c, EVEN).0, canonical(x.mul_add(y, z)));
            prop_assert_eq!(double_to_single(a, EVEN).0, u64::from((x as f32).to_bits()));
        }

        /// A root that is exact is said to be, and one that is not is not.
        #[test]
        fn squares_have_exact_roots(root in 1u64..1 << 26, scale in -400i32..400) {
            let root = root as f64 * 2f64.powi(scale);
            prop_assert_eq!(sqrt::<Double64>((root * root).to_bits(), EVEN), (root.to_bits(), 0));
            let next = (root * root).to_bits() + 1;
            prop_assert_eq!(sqrt::<Double64>(next, EVEN).1, flag::NX);
        }
    }
}
