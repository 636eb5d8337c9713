//! Two's complement: a view of a signal whose comparisons, extensions and shifts mind the sign.
//!
//! Adding, subtracting and multiplying modulo `2^width` are the same with and without a sign; comparing, widening and shifting down are not,
//! and a type of its own keeps them from being mixed up.

use crate::ir::*;
use crate::module::{is_excused, problem, Initial};
use crate::signal::{constant_signal, Operand, Signal};
use crate::value::{Shape, Value};
use crate::Constant;
use std::ops::{Add, Mul, Neg, Sub};
use std::panic::Location;

/// A value in two's complement.
///
/// ```
/// use rtl_hdl::{block_fn, elaborate, SignedBits};
/// let block = block_fn("clamp", |m| {
///     let sample = m.input_as::<SignedBits<12>>("sample");
///     let too_low = sample.lt(-100);
///     m.output("clamped", too_low.mux(sample.literal(-100).bits(), sample.bits()));
/// });
/// elaborate(&block)?;
/// # Ok::<(), rtl_hdl::Problems>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed(Signal);

/// The shape of a [`Signed`] of `W` bits.
pub struct SignedBits<const W: u32>;

impl Signal {
    /// The same bits as two's complement.
    pub fn as_signed(self) -> Signed {
        Signed(self)
    }
}

impl Signed {
    /// The bits.
    pub fn bits(self) -> Signal {
        self.0
    }

    /// Width in bits.
    pub fn width(self) -> u32 {
        self.0.width()
    }

    /// A literal of this width.
    #[track_caller]
    pub fn literal(self, value: impl SignedOperand) -> Signed {
        value.of_signed_width(if is_excused(self.0) { i128::BITS } else { self.width() })
    }

    /// Wider, with copies of the sign above.
    #[track_caller]
    pub fn extend(self, width: u32) -> Signed {
        Signed(self.0.sext(width))
    }

    /// Below zero.
    #[track_caller]
    pub fn is_negative(self) -> Signal {
        self.0.bit(self.width() - 1)
    }

    #[track_caller]
    fn compare(op: BinaryOp, left: Signed, right: Signed) -> Signal {
        left.0.binary(op, right.0)
    }

    /// Equal.
    #[track_caller]
    pub fn eq(self, other: impl SignedOperand) -> Signal {
        Self::compare(BinaryOp::Eq, self, self.literal(other))
    }

    /// Not equal.
    #[track_caller]
    pub fn ne(self, other: impl SignedOperand) -> Signal {
        Self::compare(BinaryOp::Ne, self, self.literal(other))
    }

    /// Less than.
    #[track_caller]
    pub fn lt(self, other: impl SignedOperand) -> Signal {
        Self::compare(BinaryOp::SignedLt, self, self.literal(other))
    }

    /// Less than or equal.
    #[track_caller]
    pub fn le(self, other: impl SignedOperand) -> Signal {
        Self::compare(BinaryOp::SignedLe, self, self.literal(other))
    }

    /// Greater than.
    #[track_caller]
    pub fn gt(self, other: impl SignedOperand) -> Signal {
        Self::compare(BinaryOp::SignedLt, self.literal(other), self)
    }

    /// Greater than or equal.
    #[track_caller]
    pub fn ge(self, other: impl SignedOperand) -> Signal {
        Self::compare(BinaryOp::SignedLe, self.literal(other), self)
    }

    /// Shifted up by `amount`, zeroes below; the width stays.
    #[track_caller]
    #[allow(clippy::should_implement_trait)] // As for `Signal::shl`.
    pub fn shl(self, amount: Signal) -> Signed {
        Signed(self.0.shl(amount))
    }

    /// Shifted down by `amount`, copies of the sign above: divided by `2^amount`, rounded down.
    #[track_caller]
    #[allow(clippy::should_implement_trait)] // As for `Signal::shr`.
    pub fn shr(self, amount: Signal) -> Signed {
        Signed(self.0.shift(ShiftOp::SignedRight, amount))
    }

    /// The whole product, as wide as both factors together.
    #[track_caller]
    pub fn product(self, other: Signed) -> Signed {
        let width = self.width() + other.width();
        Signed(self.0.sext(width) * other.0.sext(width))
    }
}

/// What may stand on the right of an operator: a [`Signed`], or a number, which takes the other operand's width.
pub trait SignedOperand: Copy {
    /// The operand; a number becomes `width` bits wide.
    #[track_caller]
    fn of_signed_width(self, width: u32) -> Signed;
}

impl SignedOperand for Signed {
    fn of_signed_width(self, _: u32) -> Signed {
        self
    }
}

macro_rules! signed_literal {
    ($($t:ty),*) => { $(
        impl SignedOperand for $t {
            #[track_caller]
            fn of_signed_width(self, width: u32) -> Signed {
                let source = Location::caller();
                let value = i128::from(self);
                let fits = width >= 128 || value >> (width.max(1) - 1) == value >> 127;
                if !fits {
                    problem(source, format!("the literal {self} does not fit {width} bits with a sign: use one that does, or widen the other side with `extend`"));
                }
                let sign = if value < 0 { u64::MAX } else { 0 };
                let mut words = vec![sign; crate::words_for(width).max(2)];
                words[0] = value as u64;
                words[1] = (value >> 64) as u64;
                Signed(constant_signal(Constant::from_words(width.max(1), &words), source))
            }
        }
    )* };
}
signed_literal!(i8, i16, i32, i64, i128);

macro_rules! signed_operator {
    ($trait:ident, $method:ident, $op:ident) => {
        impl<O: SignedOperand> $trait<O> for Signed {
            type Output = Signed;
            #[track_caller]
            fn $method(self, other: O) -> Signed {
                Signed(self.0.binary(BinaryOp::$op, self.literal(other).0))
            }
        }
    };
}
signed_operator!(Add, add, Add);
signed_operator!(Sub, sub, Sub);
signed_operator!(Mul, mul, Mul);

impl Neg for Signed {
    type Output = Signed;
    #[track_caller]
    fn neg(self) -> Signed {
        self.literal(0) - self
    }
}

impl Operand for Signed {
    fn of_width(self, _: u32) -> Signal {
        self.0
    }
}

impl Value for Signed {
    fn leaves(&self) -> Vec<Signal> {
        vec![self.0]
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Signal>) -> Self {
        Signed(leaves.next().expect("one leaf for a signed value"))
    }
    fn suffixes(&self) -> Vec<String> {
        vec![String::new()]
    }
}

impl<const W: u32> Shape for SignedBits<W> {
    type Value = Signed;
    const WIDTH: u32 = W;
    fn declare(prefix: &str, make: &mut dyn FnMut(&str, u32) -> Signal) -> Signed {
        Signed(make(prefix, W))
    }
    fn fields() -> Vec<(String, u32)> {
        vec![(String::new(), W)]
    }
}

/// A register with a sign: the reset value is a literal, such as `sample.literal(-1)`.
impl Initial for Signed {
    type Value = Signed;
    fn constant(&self, name: &str, source: Source) -> Constant {
        self.0.constant(name, source)
    }
    fn value_of(signal: Signal) -> Signed {
        Signed(signal)
    }
}
