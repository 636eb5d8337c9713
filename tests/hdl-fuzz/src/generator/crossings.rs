//! Values that go from one clock to another, or come from none.

use rtl_hdl::Signal;

use super::builder::Builder;
use super::Level;

const WHY: &str = "random values may arrive in any clock";

impl Builder<'_> {
    /// A synchroniser, or a value that is looked at as it is.
    pub fn add_crossing(&mut self) {
        let to = self.clock();
        // From any clock, the same one included: then nothing crosses, and a synchroniser is a chain of registers.
        let from = self.clock();
        let from_input = !self.async_inputs.is_empty() && self.percent(40);
        if self.percent(50) {
            let (value, level) = if from_input {
                (self.async_input(), Level::Combinational)
            } else {
                let level = self.level();
                (self.any(from, level), level)
            };
            let held = self.m.held_across(&self.name("held"), self.clocks[to], value, WHY);
            self.add(held, to, level);
            return;
        }
        // Only a register may go into a synchroniser, or an input, which is one elsewhere.
        let source = if from_input { Some(self.async_input()) } else { self.raw_value(from) };
        let Some(source) = source else { return };
        let (name, clock) = (self.name("synchronized"), self.clocks[to]);
        let stages = self.between(2, 3);
        let arrived = if clock.reset().is_some() && self.percent(70) {
            self.m.synchronize_gray(&name, clock, source, stages, WHY)
        } else {
            let initial = (clock.reset().is_some() && self.percent(50)).then(|| self.percent(50));
            self.m.synchronize(&name, clock, self.fit(source, 1), stages, initial)
        };
        self.add_raw(arrived.value(), to, Level::Registered);
    }

    fn async_input(&self) -> Signal {
        self.async_inputs[self.index_of(self.async_inputs.len())]
    }

    /// A register or an input.
    fn raw_value(&self, clock: usize) -> Option<Signal> {
        let usable: Vec<Signal> = self.raw.iter().filter(|e| e.clock == clock).map(|e| e.signal).collect();
        (!usable.is_empty()).then(|| usable[self.index_of(usable.len())])
    }
}
