//! Random hardware: blocks that use every construct, made from a seed.
//!
//! A value belongs to a clock domain and has a [`Level`], which says where it may be used, so that every block passes the checks.

use rtl_hdl::bench::{Rng, Seed};
use rtl_hdl::*;
use std::cell::RefCell;

hw_enum! {
    /// A state machine with codes to spare.
    pub enum Three {
        /// 0.
        Apple,
        /// 1.
        Bread,
        /// 2.
        Cheese,
    }
}

hw_enum! {
    /// One bit.
    pub enum Two {
        /// 0.
        Off,
        /// 1.
        On,
    }
}

hw_enum! {
    /// Every code of three bits but three.
    pub enum Five {
        /// 0.
        Monday,
        /// 1.
        Tuesday,
        /// 2.
        Wednesday,
        /// 3.
        Thursday,
        /// 4.
        Friday,
    }
}

hw_bundle! {
    /// A bundle in a bundle.
    pub struct Inner {
        /// A flag.
        pub flag: Bits<1>,
        /// Another.
        pub state: Three,
    }
}

hw_bundle! {
    /// Two words and a half.
    pub struct Outer {
        /// Wide.
        pub data: Bits<130>,
        /// Nested.
        pub inner: Inner,
        /// Narrow.
        pub id: Bits<7>,
    }
}

/// What a value follows within a clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Level {
    /// Registers only: it may leave through any output.
    Registered,
    /// Inputs that outputs may follow.
    Combinational,
    /// Any input: it may only go into registers and memories.
    Late,
}

#[derive(Clone, Copy)]
struct Entry {
    signal: Signal,
    /// A clock of the module; `None` for constants.
    clock: Option<usize>,
    level: Level,
}

#[derive(Clone)]
struct PlannedPort {
    name: String,
    width: u32,
    clock: usize,
    level: Level,
}

/// The interface of a random block, known before it is built.
#[derive(Clone)]
struct Plan {
    /// Whether each clock has a reset.
    clocks: Vec<bool>,
    inputs: Vec<PlannedPort>,
    outputs: Vec<PlannedPort>,
    /// Name and width of streams; they belong to the last clock.
    stream_in: Option<u32>,
    stream_out: Option<u32>,
    bundle_stream: bool,
}

/// A random block. The same name and seed make the same block.
#[derive(Clone)]
pub struct RandomBlock {
    name: String,
    seed: Seed,
    /// How many levels of instances it may contain.
    depth: u32,
}

fn width(rng: &mut Rng) -> u32 {
    let range = match rng.below(10) {
        0 | 1 => return 1,
        2..=5 => 2..17,
        6 | 7 => 17..65,
        8 => return *rng.pick(&[63, 64, 65, 127, 128, 129]),
        _ => 65..301,
    };
    rng.range(range) as u32
}

impl RandomBlock {
    pub fn new(name: &str, seed: Seed, depth: u32) -> Self {
        RandomBlock { name: name.into(), seed, depth }
    }

    fn plan(&self) -> Plan {
        let mut rng = self.seed.rng(&format!("plan of {}", self.name));
        let clocks = if rng.percent(35) { vec![true, rng.percent(70)] } else { vec![true] };
        let count = clocks.len() as u64;
        let mut ports = |prefixes: [&str; 2], levels: [Level; 2], most: u64| {
            let port = |(i, rng): (u64, &mut Rng)| {
                let kind = rng.below(2) as usize;
                PlannedPort {
                    name: format!("{}{i}", prefixes[kind]),
                    width: width(rng),
                    clock: rng.below(count) as usize,
                    level: levels[kind],
                }
            };
            let number = rng.range(1..most);
            (0..number).map(|i| port((i, &mut rng))).collect::<Vec<_>>()
        };
        let inputs = ports(["x", "d"], [Level::Combinational, Level::Late], 6);
        let outputs = ports(["y", "q"], [Level::Combinational, Level::Registered], 5);
        let mut maybe_width = |percent| rng.percent(percent).then(|| width(&mut rng));
        let (stream_in, stream_out) = (maybe_width(30), maybe_width(40));
        Plan { clocks, inputs, outputs, stream_in, stream_out, bundle_stream: rng.percent(15) }
    }
}

impl Block for RandomBlock {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn description(&self) -> String {
        format!("Random, from seed {}.", self.seed)
    }
    fn build(&self, m: &Module) {
        let rng = self.seed.rng(&format!("contents of {}", self.name));
        Builder {
            m,
            block: self,
            plan: self.plan(),
            rng: RefCell::new(rng),
            clocks: vec![],
            pool: vec![],
            raw: vec![],
            names: 0,
        }
        .build();
    }
}

/// A value that is set at the end, when every other value is there.
struct Later {
    target: Signal,
    clock: usize,
    level: Level,
}

struct Builder<'a> {
    m: &'a Module,
    block: &'a RandomBlock,
    plan: Plan,
    rng: RefCell<Rng>,
    clocks: Vec<Clock>,
    pool: Vec<Entry>,
    /// Registers and inputs.
    raw: Vec<Entry>,
    names: u32,
}

impl Builder<'_> {
    fn below(&self, limit: usize) -> usize {
        self.rng.borrow_mut().below(limit as u64) as usize
    }

    fn percent(&self, percent: u64) -> bool {
        self.rng.borrow_mut().percent(percent)
    }

    fn width(&self) -> u32 {
        width(&mut self.rng.borrow_mut())
    }

    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}_{}", self.names)
    }

    fn constant(&self, width: u32) -> Constant {
        let mut rng = self.rng.borrow_mut();
        match rng.below(5) {
            0 => Constant::zero(width),
            1 => Constant::ones(width),
            2 => Constant::from_words(width, &[1]),
            _ => Constant::from_words(width, &rng.bits(width)),
        }
    }

    fn add(&mut self, signal: Signal, clock: usize, level: Level) {
        self.pool.push(Entry { signal, clock: Some(clock), level });
    }

    /// A value of any width that may be used by `clock` up to `level`.
    fn any(&self, clock: usize, level: Level) -> Signal {
        let usable: Vec<&Entry> =
            self.pool.iter().filter(|e| e.clock.is_none_or(|c| c == clock) && e.level <= level).collect();
        if usable.is_empty() || self.percent(6) {
            return constant(&self.constant(self.width()));
        }
        // What was made last is used more often, so that expressions grow deep.
        let back = self.below(usable.len()).min(self.below(usable.len()));
        usable[usable.len() - 1 - back].signal
    }

    fn fit(&self, signal: Signal, width: u32) -> Signal {
        let own = signal.width();
        if own < width {
            if self.percent(50) {
                signal.zext(width)
            } else {
                signal.sext(width)
            }
        } else if own > width {
            let low = self.below((own - width + 1) as usize) as u32;
            signal.bits(low..low + width)
        } else {
            signal
        }
    }

    fn of_width(&self, clock: usize, level: Level, width: u32) -> Signal {
        self.fit(self.any(clock, level), width)
    }

    /// An index that no tool finds to be constant: then bits of what it selects from would be unused, and lint would say so.
    fn index(&self, clock: usize, level: Level, width: u32) -> Signal {
        let usable: Vec<&Entry> = self.raw.iter().filter(|e| e.clock == Some(clock) && e.level <= level).collect();
        match usable.len() {
            0 => constant(&self.constant(width)),
            count => self.fit(usable[self.below(count)].signal, width),
        }
    }

    fn bit(&self, clock: usize, level: Level) -> Signal {
        let value = self.any(clock, level);
        match self.below(5) {
            _ if value.width() == 1 => value,
            0 => value.any(),
            1 => value.all(),
            2 => value.parity(),
            3 => value.eq(constant(&self.constant(value.width()))),
            _ => self.fit(value, 1),
        }
    }

    fn expression(&self, clock: usize, level: Level) -> Signal {
        let a = self.any(clock, level);
        let b = || self.of_width(clock, level, a.width());
        match self.below(24) {
            0 => a + b(),
            1 => a - b(),
            2 => a * b(),
            3 => a & b(),
            4 => a | b(),
            5 => a ^ b(),
            6 => a.eq(b()),
            7 => a.ne(b()),
            8 => a.lt(b()),
            9 => a.le(b()),
            10 => a.gt(b()),
            11 => a.ge(b()),
            12 => !a,
            13 => self.bit(clock, level),
            14 => a.shl(self.any(clock, level)),
            15 => a.shr(self.any(clock, level)),
            16 => self.bit(clock, level).mux(a, b()),
            17 => {
                let parts: Vec<Signal> = (0..2 + self.below(3)).map(|_| self.any(clock, level)).collect();
                self.fit(cat(&parts), parts.iter().map(|p| p.width()).sum::<u32>().min(300))
            }
            18 => {
                let low = self.below(a.width() as usize) as u32;
                let high = low + 1 + self.below((a.width() - low) as usize) as u32;
                a.bits(low..high)
            }
            19 => {
                let (index_bits, word) = (1 + self.below(4) as u32, 1 + self.below(30) as u32);
                let base = self.of_width(clock, level, word << index_bits);
                base.word(self.index(clock, level, index_bits), word)
            }
            20 => {
                let index_bits = 1 + self.below(3) as u32;
                let count = 1 + self.below(1 << index_bits);
                let choices: Vec<Signal> = (0..count).map(|_| b()).collect();
                select(&choices, self.index(clock, level, index_bits))
            }
            21 => self.bit(clock, level).repeat(1 + self.below(70) as u32),
            22 => {
                // Shifts by amounts near the width.
                let amount = self.of_width(clock, level, 9.min(a.width() + 1));
                if self.percent(50) {
                    a.shl(amount)
                } else {
                    a.shr(amount)
                }
            }
            _ => {
                let literal = constant(&self.constant(a.width()));
                match self.below(6) {
                    0 => a + literal,
                    1 => a - literal,
                    2 => a & literal,
                    3 => a.lt(literal),
                    4 => literal.le(a),
                    _ => a.eq(literal),
                }
            }
        }
    }

    /// Sets `targets` under random conditions. In one body a target is set once without a condition, before anything else.
    fn statements(&self, targets: &[Signal], clock: usize, level: Level, depth: u32) {
        let chosen = |percent| -> Vec<Signal> { targets.iter().filter(|_| self.percent(percent)).copied().collect() };
        for target in chosen(40) {
            target.set(self.of_width(clock, level, target.width()));
        }
        if depth == 0 {
            return;
        }
        let inner = || self.statements(&chosen(70), clock, level, depth - 1);
        for _ in 0..self.below(3) {
            match self.below(4) {
                0 => drop(when(self.bit(clock, level), inner)),
                1 => when(self.bit(clock, level), inner).else_when(self.bit(clock, level), inner).otherwise(inner),
                2 => {
                    let on = if self.percent(80) {
                        let width = 1 + self.below(5) as u32;
                        self.of_width(clock, level, width)
                    } else {
                        self.any(clock, level)
                    };
                    let mut values: Vec<u128> = (0..1 + self.below(4))
                        .map(|_| u128::from(self.rng.borrow_mut().bits(on.width().min(64))[0]))
                        .collect();
                    values.sort_unstable();
                    values.dedup();
                    let mut choice = cases(on);
                    for value in values {
                        choice = choice.on(value, inner);
                    }
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
    }

    fn build(mut self) {
        let m = self.m;
        for (index, has_reset) in self.plan.clocks.clone().into_iter().enumerate() {
            let reset = format!("reset{index}");
            self.clocks.push(m.named_clock(&format!("clock{index}"), has_reset.then_some(reset.as_str())));
            if let Some(reset) = self.clocks[index].reset() {
                self.add(reset, index, Level::Late);
            }
        }
        if self.plan.outputs.iter().any(|port| port.level == Level::Combinational) {
            m.allow_combinational("random blocks may have paths from inputs to outputs");
        }
        for port in self.plan.inputs.clone() {
            let signal = m.input_of(&port.name, port.width, self.clocks[port.clock]);
            self.add(signal, port.clock, port.level);
        }
        let mut registers = self.registers();
        self.raw = self.pool.clone();
        self.enums();
        let streams_later = self.streams();
        self.memories(Level::Combinational);
        for _ in 0..2 + self.below(3) {
            for _ in 0..2 + self.below(8) {
                self.add_expression();
            }
            self.conditional_wires();
            if self.block.depth > 0 && self.percent(60) {
                registers.extend(self.child());
            }
        }
        self.memories(Level::Late);
        for _ in 0..4 {
            self.add_expression();
        }
        streams_later(&self);
        for later in &registers {
            // Whatever the conditions do, it is set somewhere.
            later.target.set(self.of_width(later.clock, later.level, later.target.width()));
        }
        for clock in 0..self.clocks.len() {
            for level in [Level::Combinational, Level::Late] {
                let of = registers.iter().filter(|l| l.clock == clock && l.level == level);
                let targets: Vec<Signal> = of.map(|l| l.target).collect();
                for _ in 0..2 {
                    let some: Vec<Signal> = targets.iter().filter(|_| self.percent(60)).copied().collect();
                    when(self.bit(clock, level), || self.statements(&some, clock, level, 2));
                }
            }
        }
        for port in self.plan.outputs.clone() {
            m.output(&port.name, self.of_width(port.clock, port.level, port.width));
        }
    }

    fn add_expression(&mut self) {
        let clock = self.below(self.clocks.len());
        let level = *self.rng.borrow_mut().pick(&[Level::Registered, Level::Combinational, Level::Late]);
        let mut value = self.expression(clock, level);
        if self.percent(30) {
            let name = self.name("named");
            value = self.m.wire(&name, value);
        }
        self.add(value, clock, level);
    }

    fn registers(&mut self) -> Vec<Later> {
        let mut registers = Vec::new();
        for _ in 0..2 + self.below(6) {
            let (clock, width, name) = (self.below(self.clocks.len()), self.width(), self.name("reg"));
            let target = if self.clocks[clock].reset().is_some() && self.percent(70) {
                self.m.reg(&name, self.clocks[clock], self.constant(width))
            } else {
                self.m.reg_without_reset(&name, self.clocks[clock], width)
            };
            self.add(target, clock, Level::Registered);
            registers.push(Later { target, clock, level: Level::Late });
        }
        if self.percent(30) {
            let (clock, name) = (self.below(self.clocks.len()), self.name("bundle"));
            let value = self.m.reg_as::<Outer>(&name, self.clocks[clock]);
            for target in value.leaves() {
                self.add(target, clock, Level::Registered);
                registers.push(Later { target, clock, level: Level::Late });
            }
            self.add(value.pack(), clock, Level::Registered);
        }
        registers
    }

    /// State machines of enums, and what they see of the other values.
    fn enums(&mut self) {
        let clock = 0;
        let (three, five, two) = (self.name("three"), self.name("five"), self.name("two"));
        let three = self.m.reg(&three, self.clocks[clock], Three::Bread);
        let five = self.m.reg(&five, self.clocks[clock], Five::Monday);
        let two = self.m.reg(&two, self.clocks[clock], Two::On);
        let go = || self.bit(clock, Level::Late);
        switch(three, |state: Three| match state {
            Three::Apple => drop(when(go(), || three.goto(Three::Bread))),
            Three::Bread => when(go(), || three.goto(Three::Cheese)).otherwise(|| two.goto(Two::Off)),
            Three::Cheese => {
                when(go(), || three.goto(Three::Apple));
                when(go(), || {
                    two.goto(Two::On);
                    five.set(EnumSignal::from_signal(self.of_width(clock, Level::Late, Five::WIDTH)));
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
        for value in [three.is(Three::Cheese), five.is(Five::Tuesday), two.signal(), five.signal()] {
            self.add(value, clock, Level::Registered);
        }
    }

    fn conditional_wires(&mut self) {
        let clock = self.below(self.clocks.len());
        let level = *self.rng.borrow_mut().pick(&[Level::Registered, Level::Combinational, Level::Late]);
        let mut wires = Vec::new();
        for _ in 0..1 + self.below(3) {
            let (name, width) = (self.name("chosen"), self.width());
            wires.push(self.m.wire_of_width(&name, width));
        }
        for wire in &wires {
            let value = || self.of_width(clock, level, wire.width());
            match self.below(4) {
                0 => when(self.bit(clock, level), || wire.set(value())).otherwise(|| wire.set(value())),
                1 => {
                    self.m.dont_care(wire);
                    when(self.bit(clock, level), || wire.set(value()));
                }
                _ => wire.set(value()),
            }
        }
        when(self.bit(clock, level), || self.statements(&wires, clock, level, 2));
        if self.percent(50) {
            when(self.bit(clock, level), || self.statements(&wires, clock, level, 1));
        }
        for wire in wires {
            self.add(wire, clock, level);
        }
    }

    fn memories(&mut self, level: Level) {
        if self.percent(50) {
            return;
        }
        let m = self.m;
        let (name, clock) = (self.name("memory"), self.below(self.clocks.len()));
        let on = self.clocks[clock];
        let lanes = *self.rng.borrow_mut().pick(&[1, 2, 4, 8]);
        let width = lanes * (1 + self.below(40) as u32);
        let depth = *self.rng.borrow_mut().pick(&[1, 2, 3, 4, 7, 8, 16, 33]);
        let style = *self.rng.borrow_mut().pick(&[MemoryStyle::Distributed, MemoryStyle::Block, MemoryStyle::Auto]);
        let count = [0, depth as usize, self.below(depth as usize + 1)][self.below(3)];
        let initial: Vec<Constant> = (0..count).map(|_| self.constant(width)).collect();
        let memory = m.memory_with_contents(&name, width, depth, style, initial);
        let address = || self.of_width(clock, Level::Late.min(level), memory.address_width());
        for _ in 0..1 + self.below(2) {
            let data = self.of_width(clock, level, width);
            if self.percent(50) {
                memory.write_lanes(on, self.bit(clock, level), address(), data, self.of_width(clock, level, lanes));
            } else {
                memory.write(on, self.bit(clock, level), address(), data);
            }
        }
        let mut made = Vec::new();
        for i in 0..1 + self.below(2) {
            let name = format!("{name}_data{i}");
            let data = if self.percent(50) {
                memory.read(on, &name, address())
            } else {
                memory.read_when(on, &name, self.bit(clock, level), address())
            };
            made.push((data, Level::Registered));
        }
        if style != MemoryStyle::Block && self.percent(70) {
            made.push((memory.lookup(address()), level));
        }
        for (data, level) in made {
            self.add(data, clock, level);
        }
    }

    /// Streams of the last clock; what it returns decides about them when all values are there.
    fn streams(&mut self) -> Box<dyn Fn(&Self)> {
        let m = self.m;
        let clock = self.clocks.len() - 1;
        let has_reset = self.clocks[clock].reset().is_some();
        let input = self.plan.stream_in.map(|width| m.stream_in_bits("sink", width));
        if let Some(input) = input {
            self.add(input.valid(), clock, Level::Late);
            self.add(input.payload(), clock, Level::Late);
        }
        let output = self.plan.stream_out.filter(|_| has_reset).map(|width| m.stream_out_bits("source", width));
        if let Some(output) = output {
            self.add(output.can_take(), clock, Level::Registered);
        }
        let bundle = (self.plan.bundle_stream && has_reset).then(|| m.stream_out_single::<Outer>("bundle"));
        Box::new(move |own: &Self| {
            if let Some(input) = input {
                when(own.bit(clock, Level::Registered), || input.take());
            }
            if let Some(output) = output {
                let late = || own.bit(clock, Level::Late);
                when(output.can_take() & late(), || {
                    output.offer(own.of_width(clock, Level::Late, own.plan.stream_out.expect("it has the stream")));
                });
            }
            if let Some(bundle) = bundle {
                when(bundle.can_take(), || {
                    let packed = own.of_width(clock, Level::Late, Outer::WIDTH);
                    when(own.bit(clock, Level::Late), || bundle.offer(Outer::unpack(packed)));
                });
            }
        })
    }

    /// Puts another random block inside, sometimes twice; its late inputs are set at the end.
    fn child(&mut self) -> Vec<Later> {
        let m = self.m;
        let name = self.name(&format!("{}_child", self.block.name));
        let block = RandomBlock::new(&name, self.block.seed, self.block.depth - 1);
        let plan = block.plan();
        let mut later = Vec::new();
        for copy in 0..1 + self.below(2) {
            let mapped: Vec<usize> = plan
                .clocks
                .iter()
                .map(|has_reset| {
                    let usable: Vec<usize> =
                        (0..self.clocks.len()).filter(|c| !has_reset || self.clocks[*c].reset().is_some()).collect();
                    usable[self.below(usable.len())]
                })
                .collect();
            let clocks: Vec<Clock> = mapped
                .iter()
                .map(|&index| match self.clocks[index].reset() {
                    Some(reset) if self.percent(30) => {
                        let also = self.bit(index, Level::Registered);
                        self.clocks[index].with_reset(reset & also)
                    }
                    _ => self.clocks[index],
                })
                .collect();
            let instance = m.instance_with_clocks(&format!("{name}_{copy}"), &block, &clocks);
            for input in &plan.inputs {
                let (target, clock) = (instance.port(&input.name), mapped[input.clock]);
                if input.level == Level::Late {
                    later.push(Later { target, clock, level: Level::Late });
                } else {
                    target.set(self.of_width(clock, Level::Combinational, input.width));
                }
            }
            let last = *mapped.last().expect("a block has a clock");
            let has_reset = *plan.clocks.last().expect("a block has a clock");
            if plan.stream_in.is_some() {
                for (name, level) in [("sink_valid", Level::Late), ("sink_data", Level::Late)] {
                    later.push(Later { target: instance.port(name), clock: last, level });
                }
                self.add(instance.port("sink_ready"), last, Level::Registered);
            }
            if plan.stream_out.is_some() && has_reset {
                self.add(instance.port("source_valid"), last, Level::Registered);
                self.add(instance.port("source_data"), last, Level::Registered);
                later.push(Later { target: instance.port("source_ready"), clock: last, level: Level::Late });
            }
            if plan.bundle_stream && has_reset {
                self.add(instance.port("bundle_inner_state"), last, Level::Registered);
                later.push(Later { target: instance.port("bundle_ready"), clock: last, level: Level::Late });
            }
            for output in &plan.outputs {
                self.add(instance.port(&output.name), mapped[output.clock], output.level);
            }
        }
        later
    }
}
