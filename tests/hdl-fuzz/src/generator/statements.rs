//! What drives wires and registers under conditions, and state machines of enums.

use rtl_hdl::{cases, switch, when, EnumSignal, HwEnum, Initial, Shape, Signal, Value};

use super::builder::Builder;
use super::shapes::{Five, Three, Two};
use super::Level;

impl Builder<'_> {
    /// Sets `targets` under random conditions. In one body a target is set once without a condition, before anything else.
    pub fn statements(&self, targets: &[Signal], clock: usize, level: Level, depth: u32) {
        let chosen = |percent| -> Vec<Signal> { targets.iter().filter(|_| self.percent(percent)).copied().collect() };
        for target in chosen(40) {
            target.set(self.of_width(clock, level, target.width()));
        }
        if depth > 0 {
            for _ in 0..self.below(2 + u64::from(depth > 1)) {
                self.branch(clock, level, &|| self.statements(&chosen(70), clock, level, depth - 1));
            }
        }
    }

    /// A choice between bodies, each of which is made by `inner`.
    pub fn branch(&self, clock: usize, level: Level, inner: &dyn Fn()) {
        match self.below(4) {
            0 => drop(when(self.bit(clock, level), inner)),
            1 => when(self.bit(clock, level), inner).else_when(self.bit(clock, level), inner).otherwise(inner),
            2 => {
                let on = self.any(clock, level);
                let on = if self.percent(20) { on } else { self.fit(on, self.between(1, 5)) };
                let most = if on.width() < 64 { (1 << on.width()) - 1 } else { u64::MAX - 1 };
                let mut values: Vec<u64> = (0..1 + self.below(4)).map(|_| self.below(most + 1)).collect();
                values.sort_unstable();
                values.dedup();
                let choice = values.into_iter().fold(cases(on), |choice, value| choice.on(value, inner));
                if self.percent(50) {
                    choice.otherwise(inner);
                }
            }
            _ => {
                let on = EnumSignal::<Three>::from_signal(self.of_width(clock, level, Three::WIDTH));
                switch(on, |state: Three| match state {
                    Three::Apple => inner(),
                    Three::Bread => {}
                    Three::Cheese => inner(),
                });
            }
        }
    }

    /// Wires that are driven under conditions.
    pub fn add_wires(&mut self) {
        let (clock, level) = (self.clock(), self.level());
        let count = 1 + self.below(3);
        let wires: Vec<Signal> = (0..count).map(|_| self.m.wire_of_width(&self.name("chosen"), self.width())).collect();
        for wire in &wires {
            let value = || self.of_width(clock, level, wire.width());
            match self.below(4) {
                0 | 1 => wire.set(value()),
                2 => when(self.bit(clock, level), || wire.set(value())).otherwise(|| wire.set(value())),
                _ => {
                    self.m.dont_care(wire);
                    when(self.bit(clock, level), || wire.set(value()));
                }
            }
        }
        for _ in 0..self.below(3) {
            when(self.bit(clock, level), || self.statements(&wires, clock, level, 2));
        }
        for wire in wires {
            self.add(wire, clock, level);
        }
    }

    fn enum_register<E: HwEnum + Shape<Value = EnumSignal<E>> + Initial<Value = EnumSignal<E>>>(
        &self,
        clock: usize,
        first: E,
    ) -> EnumSignal<E> {
        let (name, clock) = (self.name("state"), self.clocks[clock]);
        match clock.reset() {
            Some(_) => self.m.reg(&name, clock, first),
            None => self.m.reg_as::<E>(&name, clock),
        }
    }

    /// State machines, and what they see of the other values.
    pub fn add_state_machine(&mut self) {
        let (clock, late) = (self.clock(), Level::Late);
        let three = self.enum_register(clock, Three::Bread);
        let five = self.enum_register(clock, Five::Monday);
        let two = self.enum_register(clock, Two::On);
        let go = || self.bit(clock, late);
        switch(three, |state: Three| match state {
            Three::Apple => drop(when(go(), || three.goto(Three::Bread))),
            Three::Bread => when(go(), || three.goto(Three::Cheese)).otherwise(|| two.goto(Two::Off)),
            Three::Cheese => {
                when(go(), || three.goto(Three::Apple));
                when(go(), || {
                    two.goto(Two::On);
                    five.set(EnumSignal::from_signal(self.of_width(clock, late, Five::WIDTH)));
                });
            }
        });
        when(go(), || {
            switch(five, |day: Five| match day {
                Five::Monday => five.goto(Five::Tuesday),
                Five::Tuesday => five.goto(Five::Thursday),
                Five::Wednesday => {}
                Five::Thursday | Five::Friday => {
                    five.goto(Five::Monday);
                    when(go(), || three.goto(Three::Bread));
                }
            });
        });
        for value in [three.is(Three::Cheese), five.is(Five::Tuesday)] {
            self.add(value, clock, Level::Registered);
        }
        for value in [two.signal(), three.signal(), five.signal()] {
            self.add_raw(value, clock, Level::Registered);
        }
    }
}
