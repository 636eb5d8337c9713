//! Expressions: every operator.

use rtl_hdl::{cat, constant, select, Signal, MAX_AMOUNT_WIDTH};

use super::builder::Builder;
use super::{Level, WIDTH_MAX};

impl Builder<'_> {
    pub fn add_expression(&mut self) {
        let (clock, level) = (self.clock(), self.level());
        let mut value = self.expression(clock, level);
        if self.percent(30) {
            value = self.m.wire(&self.name("named"), value);
        }
        self.add(value, clock, level);
    }

    pub fn expression(&self, clock: usize, level: Level) -> Signal {
        let a = self.any(clock, level);
        let b = || self.of_width(clock, level, a.width());
        match self.below(32) {
            0 => a & b(),
            1 => a | b(),
            2 => a ^ b(),
            3 => !a,
            4 => a + b(),
            5 => a - b(),
            6 => a * b(),
            7 => a.eq(b()),
            8 => a.ne(b()),
            9 => a.lt(b()),
            10 => a.le(b()),
            11 => a.gt(b()),
            12 => a.ge(b()),
            13 => self.bit(clock, level),
            14 => a.shl(self.amount(clock, level)),
            15 => a.shr(self.amount(clock, level)),
            16 => self.bit(clock, level).mux(a, b()),
            17 => {
                let parts: Vec<Signal> = (0..2 + self.below(3)).map(|_| self.any(clock, level)).collect();
                let width = parts.iter().map(|part| part.width()).sum::<u32>().min(WIDTH_MAX);
                self.fit(cat(&parts), width)
            }
            18 => {
                let low = self.between(0, a.width() - 1);
                a.bits(low..self.between(low + 1, a.width()))
            }
            19 => {
                let (index_bits, word) = (self.between(1, 4), self.between(1, 18));
                let base = self.of_width(clock, level, word << index_bits);
                base.word(self.index(clock, level, index_bits), word)
            }
            20 => {
                let index_bits = self.between(1, 3);
                let choices: Vec<Signal> = (0..self.between(1, 1 << index_bits)).map(|_| b()).collect();
                select(&choices, self.index(clock, level, index_bits))
            }
            21 => self.bit(clock, level).repeat(self.between(1, 70)),
            22 => self.shift_near_the_width(clock, level, a),
            23 => self.with_literal(a),
            _ => self.signed(clock, level, a),
        }
    }

    /// Any amount of a shift.
    pub fn amount(&self, clock: usize, level: Level) -> Signal {
        let amount = self.any(clock, level);
        amount.low(amount.width().min(MAX_AMOUNT_WIDTH))
    }

    /// Shifts by amounts about as large as the width.
    fn shift_near_the_width(&self, clock: usize, level: Level, a: Signal) -> Signal {
        let amount = self.of_width(clock, level, 9.min(a.width() + 1));
        match self.below(3) {
            0 => a.shl(amount),
            1 => a.shr(amount),
            _ => a.as_signed().shr(amount).bits(),
        }
    }

    fn with_literal(&self, a: Signal) -> Signal {
        let literal = constant(&self.constant(a.width()));
        match self.below(9) {
            0 => a & literal,
            1 => a + literal,
            2 => a - literal,
            3 => a * literal,
            4 => a.lt(literal),
            5 => literal.le(a),
            6 => a.as_signed().lt(literal.as_signed()),
            7 => literal.as_signed().le(a.as_signed()),
            _ => a.eq(literal),
        }
    }

    fn signed(&self, clock: usize, level: Level, a: Signal) -> Signal {
        let b = || self.of_width(clock, level, a.width()).as_signed();
        let signed = a.as_signed();
        match self.below(12) {
            0 => signed.lt(b()),
            1 => signed.le(b()),
            2 => signed.gt(b()),
            3 => signed.ge(b()),
            4 => signed.is_negative(),
            5 => signed.shr(self.amount(clock, level)).bits(),
            6 => signed.shl(self.amount(clock, level)).bits(),
            7 => signed.extend(self.between(a.width(), WIDTH_MAX.min(a.width() + 70))).bits(),
            8 => (-signed).bits(),
            9 => signed.lt(self.pick(&[0, -1])),
            10 => ((signed + b()) * b() - 0).bits(),
            _ => {
                let half = WIDTH_MAX / 2;
                let factor = self.fit(a, a.width().min(half)).as_signed();
                let other = self.any(clock, level);
                factor.product(self.fit(other, other.width().min(half)).as_signed()).bits()
            }
        }
    }
}
