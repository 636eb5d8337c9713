//! Properties: what is asserted and assumed holds whatever the values are, because it compares two ways to write the same. So each is one more
//! comparison of the simulators: one that computes one of the two wrongly stops.

use rtl_hdl::{cat, lit, MemoryHandle, Signal};

use super::builder::Builder;
use super::{Level, WIDTH_MAX};

impl Builder<'_> {
    pub fn add_property(&mut self) {
        let (clock, level) = (self.clock(), self.level());
        let on = self.clocks[clock];
        match self.below(7) {
            0 => self.m.cover(on, &self.name("covered"), self.bit(clock, level)),
            1 | 2 => self.m.assume(on, &self.name("assumed"), self.always(clock, level)),
            3 => self.assert_ghosts(clock, level),
            4 => {
                // A register that only the property reads.
                let before = self.m.reg_without_reset(&self.name("ghost"), on, 1);
                let now = self.bit(clock, level);
                before.set(now);
                self.m.assert(on, &self.name("asserted"), before.implies(before | now));
            }
            _ => self.m.assert(on, &self.name("asserted"), self.always(clock, level)),
        }
    }

    /// One bit that is always set.
    fn always(&self, clock: usize, level: Level) -> Signal {
        let (left, right) = self.two_ways(clock, level);
        match self.below(3) {
            0 => left.eq(right),
            1 => !left.ne(right),
            _ => self.bit(clock, level).implies(left.eq(right)),
        }
    }

    /// Two registers for a property only, whose next values are written in two ways.
    fn assert_ghosts(&self, clock: usize, level: Level) {
        let on = self.clocks[clock];
        let (left, right) = self.two_ways(clock, level);
        let reset = (on.reset().is_some() && self.percent(50)).then(|| self.constant(left.width()));
        let ghost = |value: Signal| {
            let name = self.name("ghost");
            let register = match &reset {
                Some(initial) => self.m.reg(&name, on, initial.clone()),
                None => self.m.reg_without_reset(&name, on, value.width()),
            };
            register.set(value);
            register
        };
        let (left, right) = (ghost(left), ghost(right));
        self.m.assert(on, &self.name("asserted"), left.eq(right));
    }

    /// A property may look into any memory.
    pub fn assert_lookup(&self, memory: MemoryHandle, clock: usize) {
        let address = self.of_width(clock, Level::Late, memory.address_width());
        let (one, other) = (memory.lookup(address), memory.lookup(!!address));
        self.m.assert(self.clocks[clock], &self.name("asserted"), one.eq(other));
    }

    /// Two ways to write the same value.
    fn two_ways(&self, clock: usize, level: Level) -> (Signal, Signal) {
        let a = self.any(clock, level);
        let width = a.width();
        let b = self.of_width(clock, level, width);
        match self.below(17) {
            0 => {
                let named = self.m.wire(&self.name("named"), a);
                (named, named)
            }
            1 => (a + b, b + a),
            2 => (a - b, a + !b + 1),
            3 => (!(a & b), !a | !b),
            4 => (a ^ b, (a | b) & !(a & b)),
            5 => (a.lt(b), !b.le(a)),
            6 => (a.as_signed().lt(b.as_signed()), self.flip_sign(a).lt(self.flip_sign(b))),
            7 => (a.as_signed().ge(b.as_signed()), !a.as_signed().lt(b.as_signed())),
            8 => (a.eq(b), !(a ^ b).any()),
            9 => {
                let condition = self.bit(clock, level);
                (condition.mux(a, b), (a & condition.repeat(width)) | (b & !condition.repeat(width)))
            }
            10 => (a * b, b * a),
            11 => ((-a.as_signed()).bits(), !a + 1),
            12 => {
                let amount = self.amount(clock, level);
                (a.as_signed().shr(amount).bits(), !(!a).as_signed().shr(amount).bits())
            }
            13 if width <= WIDTH_MAX / 2 => (a.as_signed().product(b.as_signed()).bits().low(width), a * b),
            14 => {
                let wider = |value: Signal| value.as_signed().extend(width + 1);
                (wider(a).lt(wider(b)), a.as_signed().lt(b.as_signed()))
            }
            15 if width > 1 => (a.parity(), a.low(1).parity() ^ a.bits(1..width).parity()),
            16 if width > 1 => {
                let up = self.bit(clock, level);
                (a.shl(up), up.mux(cat(&[a.low(width - 1), lit(0, 1)]), a))
            }
            _ => (self.bit(clock, level).mux(a, a), a),
        }
    }

    fn flip_sign(&self, a: Signal) -> Signal {
        let width = a.width();
        let sign = !a.bit(width - 1);
        if width == 1 {
            sign
        } else {
            cat(&[sign, a.low(width - 1)])
        }
    }
}
