//! Registers, and what resets them.

use rtl_hdl::{Clock, Signal, Value};

use super::builder::{Builder, Later};
use super::shapes::Outer;
use super::Level;

impl Builder<'_> {
    /// The clock of this number, with one of the resets that its registers may have, and what a register with it follows within a clock.
    pub fn with_some_reset(&self, clock: usize) -> (Clock, Level) {
        let plain = self.clocks[clock];
        let own = || self.bit(clock, Level::Late);
        let with = match (self.below(7), plain.reset()) {
            (3, _) => plain.with_reset(own()),
            (4, Some(reset)) => plain.with_reset(reset | own()),
            (5 | 6, _) if !self.async_resets.is_empty() => {
                return (plain.with_async_reset(self.async_reset()), Level::Combinational);
            }
            _ => plain,
        };
        (with, Level::Registered)
    }

    /// A reset that takes effect at once. It is low until an input of the top rises: of a reset that is there from the start, simulators of
    /// Verilog see no edge.
    pub fn async_reset(&self) -> Signal {
        let any = || self.async_resets[self.index_of(self.async_resets.len())];
        match self.below(4) {
            0 => any() | any(),
            1 => any() & any(),
            _ => any(),
        }
    }

    pub fn add_register(&mut self) {
        let (clock, width) = (self.clock(), self.width());
        let (with, level) = self.with_some_reset(clock);
        let name = self.name("register");
        let target = match with.reset() {
            Some(_) if level > Level::Registered || self.percent(75) => self.m.reg(&name, with, self.constant(width)),
            _ => return self.add_later(self.m.reg_without_reset(&name, with, width), clock, Level::Registered),
        };
        self.add_later(target, clock, level);
    }

    fn add_later(&mut self, target: Signal, clock: usize, level: Level) {
        self.add_raw(target, clock, level);
        self.later.push(Later { target, clock, is_register: true });
    }

    pub fn add_bundle_register(&mut self) {
        let clock = self.clock();
        let value = self.m.reg_as::<Outer>(&self.name("bundle"), self.clocks[clock]);
        for target in value.leaves() {
            self.add_later(target, clock, Level::Registered);
        }
        self.add(value.pack(), clock, Level::Registered);
    }
}
