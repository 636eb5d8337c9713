//! The frame of a random module: its ports, the pool of values, and the items that are added one after the other.

use std::cell::{Cell, RefCell};

use rtl_hdl::{cat, constant, when, Clock, Constant, Module, Signal};

use super::{Level, Plan, RandomBlock};
use crate::tape::Reader;

/// How many items a module has, at most.
const ITEMS_MAX: usize = 40;

/// A value that may be used.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub signal: Signal,
    pub clock: usize,
    pub level: Level,
}

/// A value that is set at the end, when every other value is there.
#[derive(Clone, Copy)]
pub(super) struct Later {
    pub target: Signal,
    pub clock: usize,
    /// It keeps its value where nothing sets it.
    pub is_register: bool,
}

/// A random module that is being built.
pub(super) struct Builder<'a> {
    pub block: &'a RandomBlock,
    pub m: &'a Module,
    pub plan: Plan,
    tape: RefCell<Reader>,
    pub clocks: Vec<Clock>,
    /// Resets that take effect at once.
    pub async_resets: Vec<Signal>,
    /// Inputs that belong to no clock.
    pub async_inputs: Vec<Signal>,
    /// Everything that may be used.
    pub pool: Vec<Entry>,
    /// Registers and inputs.
    pub raw: Vec<Entry>,
    pub later: Vec<Later>,
    pub instances: u32,
    names: Cell<u32>,
}

/// Adds something to the module.
type Add<'a> = fn(&mut Builder<'a>);

impl<'a> Builder<'a> {
    /// What a module is made of: how often, and how it is added. The simplest comes first.
    const ITEMS: [(u64, Add<'a>); 12] = [
        (36, Self::add_expression),
        (9, Self::add_register),
        (2, Self::add_bundle_register),
        (6, Self::add_wires),
        (4, Self::add_state_machine),
        (5, Self::add_register_array),
        (4, Self::add_wire_array),
        (6, Self::add_memory),
        (5, Self::add_memory_of_two_clocks),
        (9, Self::add_crossing),
        (8, Self::add_property),
        (8, Self::add_instance),
    ];

    pub fn new(block: &'a RandomBlock, m: &'a Module, plan: Plan, tape: Reader) -> Self {
        Builder {
            block,
            m,
            plan,
            tape: RefCell::new(tape),
            clocks: vec![],
            async_resets: vec![],
            async_inputs: vec![],
            pool: vec![],
            raw: vec![],
            later: vec![],
            instances: 0,
            names: Cell::new(0),
        }
    }

    pub fn build(mut self) {
        self.add_ports();
        let finish_streams = self.add_streams();
        // How many items there are on average; a zero where one could begin ends them, whatever the average is.
        let average = self.pick(&[9, 4, 14, 20]);
        let average = if self.block.depth == super::DEPTH_MAX { average } else { average / 2 };
        for _ in 0..ITEMS_MAX {
            if self.below(average + 1) == 0 {
                break;
            }
            self.add_item();
        }
        finish_streams(&self);
        self.set_later();
        self.drive_outputs();
    }

    fn add_item(&mut self) {
        if self.clocks.is_empty() {
            return self.pick(&[Self::add_expression, Self::add_wires, Self::add_wire_array])(self);
        }
        let mut rest = self.below(Self::ITEMS.iter().map(|(weight, _)| weight).sum());
        for (weight, add) in Self::ITEMS {
            if rest < weight {
                return add(self);
            }
            rest -= weight;
        }
    }

    fn add_ports(&mut self) {
        let m = self.m;
        for (index, has_reset) in self.plan.clocks.clone().into_iter().enumerate() {
            let reset = format!("reset{index}");
            let clock = m.named_clock(&format!("clock{index}"), has_reset.then_some(reset.as_str()));
            self.clocks.push(clock);
            if let Some(reset) = clock.reset() {
                self.add_raw(reset, index, Level::Late);
            }
        }
        let follows = self.plan.outputs.iter().any(|port| port.level == Level::Combinational);
        if follows || self.plan.async_resets > 0 {
            m.allow_combinational("random blocks may have paths from inputs to outputs");
        }
        self.async_resets = (0..self.plan.async_resets).map(|i| m.input_async(&format!("now{i}"), 1)).collect();
        let widths = self.plan.async_inputs.iter().enumerate();
        self.async_inputs = widths.map(|(i, width)| m.input_async(&format!("any{i}"), *width)).collect();
        for port in self.plan.inputs.clone() {
            let signal = match self.clocks.get(port.clock) {
                Some(clock) => m.input_of(&port.name, port.width, *clock),
                None => m.input(&port.name, port.width),
            };
            self.add_raw(signal, port.clock, port.level);
        }
    }

    fn drive_outputs(&self) {
        for port in &self.plan.outputs {
            self.m.output(&port.name, self.of_width(port.clock, port.level, port.width));
        }
        if self.plan.watched {
            for (index, clock) in self.clocks.iter().enumerate() {
                let values: Vec<Signal> = self.pool.iter().filter(|e| e.clock == index).map(|e| e.signal).collect();
                let seen = self.m.reg_without_reset(&format!("seen_before{index}"), *clock, 1);
                seen.set(if values.is_empty() { !seen } else { cat(&values).parity() });
                self.m.output(&format!("seen{index}"), seen);
            }
        }
    }

    // Choices.

    pub fn below(&self, limit: u64) -> u64 {
        self.tape.borrow_mut().below(limit)
    }

    pub fn index_of(&self, count: usize) -> usize {
        self.tape.borrow_mut().index(count)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: u32, high: u32) -> u32 {
        low + self.below(u64::from(high - low + 1)) as u32
    }

    pub fn percent(&self, percent: u64) -> bool {
        self.tape.borrow_mut().percent(percent)
    }

    pub fn pick<T: Copy>(&self, choices: &[T]) -> T {
        self.tape.borrow_mut().pick(choices)
    }

    pub fn width(&self) -> u32 {
        super::width(&mut self.tape.borrow_mut())
    }

    pub fn level(&self) -> Level {
        self.pick(&[Level::Registered, Level::Combinational, Level::Late])
    }

    pub fn clock(&self) -> usize {
        self.index_of(self.clocks.len())
    }

    pub fn name(&self, prefix: &str) -> String {
        self.names.set(self.names.get() + 1);
        format!("{prefix}_{}", self.names.get())
    }

    pub fn constant(&self, width: u32) -> Constant {
        match self.below(6) {
            0 => Constant::zero(width),
            1 => Constant::ones(width),
            2 => Constant::from_words(width, &[1]),
            3 => Constant::from_words(width, &[self.below(256)]),
            _ => {
                let words: Vec<u64> = (0..rtl_hdl::words_for(width)).map(|_| self.tape.borrow_mut().word()).collect();
                Constant::from_words(width, &words)
            }
        }
    }

    // Values.

    pub fn add(&mut self, signal: Signal, clock: usize, level: Level) {
        self.pool.push(Entry { signal, clock, level });
    }

    /// Adds a register or input.
    pub fn add_raw(&mut self, signal: Signal, clock: usize, level: Level) {
        self.add(signal, clock, level);
        self.raw.push(Entry { signal, clock, level });
    }

    /// A value of any width that may be used by `clock` up to `level`.
    pub fn any(&self, clock: usize, level: Level) -> Signal {
        let usable: Vec<&Entry> = self.pool.iter().filter(|e| e.clock == clock && e.level <= level).collect();
        if usable.is_empty() || self.below(16) == 0 {
            return constant(&self.constant(self.width()));
        }
        // What was made last is used more often, so that expressions grow deep.
        let back = self.index_of(usable.len()).min(self.index_of(usable.len()));
        usable[usable.len() - 1 - back].signal
    }

    pub fn fit(&self, signal: Signal, width: u32) -> Signal {
        let own = signal.width();
        if own < width {
            if self.percent(50) {
                signal.as_signed().extend(width).bits()
            } else {
                signal.zext(width)
            }
        } else {
            let low = self.between(0, own - width);
            signal.bits(low..low + width)
        }
    }

    pub fn of_width(&self, clock: usize, level: Level, width: u32) -> Signal {
        self.fit(self.any(clock, level), width)
    }

    /// An index that no tool finds to be constant: then bits of what it selects from would be unused, and lint would say so.
    pub fn index(&self, clock: usize, level: Level, width: u32) -> Signal {
        self.raw(clock, level, width).unwrap_or_else(|| constant(&self.constant(width)))
    }

    pub fn bit(&self, clock: usize, level: Level) -> Signal {
        let value = self.any(clock, level);
        if value.width() == 1 {
            return value;
        }
        match self.below(5) {
            0 => self.fit(value, 1),
            1 => value.any(),
            2 => value.all(),
            3 => value.parity(),
            _ => value.eq(constant(&self.constant(value.width()))),
        }
    }

    /// The bits of a register or an input, if there is one.
    pub fn raw(&self, clock: usize, level: Level, width: u32) -> Option<Signal> {
        let usable: Vec<&Entry> = self.raw.iter().filter(|e| e.clock == clock && e.level <= level).collect();
        (!usable.is_empty()).then(|| self.fit(usable[self.index_of(usable.len())].signal, width))
    }

    // What is set at the end.

    fn set_later(&self) {
        let late = Level::Late;
        for later in &self.later {
            let value = || self.of_width(later.clock, late, later.target.width());
            if later.is_register && self.percent(40) {
                when(self.bit(later.clock, late), || later.target.set(value()));
            } else {
                later.target.set(value());
            }
        }
        for clock in 0..self.clocks.len() {
            let targets: Vec<Signal> = self.later.iter().filter(|l| l.clock == clock).map(|l| l.target).collect();
            for _ in 0..self.below(3) {
                let some: Vec<Signal> = targets.iter().filter(|_| self.percent(50)).copied().collect();
                if !some.is_empty() {
                    when(self.bit(clock, late), || self.statements(&some, clock, late, 2));
                }
            }
        }
    }
}
