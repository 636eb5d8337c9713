//! Memories, of one clock and of two.

use rtl_hdl::{cat, lit, Constant, MemoryHandle, MemoryStyle, Signal};

use super::builder::Builder;
use super::Level;

/// The bit that says when a memory without collisions is written.
const HELD: &str = "random values may be looked at in any clock";

impl Builder<'_> {
    fn memory(&self, styles: &[MemoryStyle]) -> (String, MemoryHandle, MemoryStyle, u32, u32) {
        let name = self.name("memory");
        let lanes = self.pick(&[1, 2, 4, 8]);
        let width = lanes * self.between(1, 37);
        let depth = self.pick(&[2, 4, 1, 3, 7, 8, 16, 33]);
        let style = self.pick(styles);
        let count = [0, depth as usize, self.index_of(depth as usize + 1)][self.index_of(3)];
        let initial: Vec<Constant> = (0..count).map(|_| self.constant(width)).collect();
        let memory = self.m.memory_with_contents(&name, width, depth, style, initial);
        (name, memory, style, width, lanes)
    }

    pub fn add_memory(&mut self) {
        const STYLES: &[MemoryStyle] =
            &[MemoryStyle::Auto, MemoryStyle::Distributed, MemoryStyle::Block, MemoryStyle::Ultra];
        let (clock, level) = (self.clock(), self.level());
        let on = self.clocks[clock];
        let (name, memory, style, width, lanes) = self.memory(STYLES);
        let address = || self.of_width(clock, level, memory.address_width());
        for _ in 0..1 + self.below(2) {
            self.write(memory, clock, self.bit(clock, Level::Late), address(), width, lanes);
        }
        let mut made = Vec::new();
        for i in 0..1 + self.below(2) {
            let name = format!("{name}_data{i}");
            let data = match self.percent(50) {
                true => memory.read(on, &name, address()),
                false => memory.read_when(on, &name, self.bit(clock, Level::Late), address()),
            };
            made.push((data, Level::Registered));
        }
        if !matches!(style, MemoryStyle::Block | MemoryStyle::Ultra) && self.percent(70) {
            made.push((memory.lookup(address()), level));
        }
        for (data, level) in made {
            self.add(data, clock, level);
        }
        if self.percent(40) {
            self.assert_lookup(memory, clock);
        }
    }

    fn write(&self, memory: MemoryHandle, clock: usize, enable: Signal, address: Signal, width: u32, lanes: u32) {
        let late = Level::Late;
        let data = self.of_width(clock, late, width);
        if self.percent(50) {
            memory.write_lanes(self.clocks[clock], enable, address, data, self.of_width(clock, late, lanes));
        } else {
            memory.write(self.clocks[clock], enable, address, data);
        }
    }

    /// A memory with ports of every clock: the last one and the first.
    pub fn add_memory_of_two_clocks(&mut self) {
        const STYLES: &[MemoryStyle] = &[MemoryStyle::Block, MemoryStyle::Distributed, MemoryStyle::Auto];
        let (a, b) = (0, self.clocks.len() - 1);
        let (name, memory, style, width, lanes) = self.memory(STYLES);
        let memory = memory.crosses_clocks("no word is written by two clocks");
        if self.percent(50) {
            self.ports_without_collisions(&name, memory.without_collisions(), [a, b], width, lanes);
            return;
        }
        // What two clocks write into one word in one moment is not defined, so each has words of its own.
        let both = self.percent(75);
        for (number, clock) in [a, b].into_iter().enumerate().take(1 + usize::from(both)) {
            let address = self.own_address(memory, clock, both.then_some(number));
            self.write(memory, clock, self.bit(clock, Level::Late), address, width, lanes);
        }
        for (number, clock) in [b, a].into_iter().enumerate().take(1 + self.index_of(2)) {
            let address = self.of_width(clock, Level::Late, memory.address_width());
            let data = memory.read(self.clocks[clock], &format!("{name}_data{number}"), address);
            self.add(data, clock, Level::Registered);
        }
        if style != MemoryStyle::Block && self.percent(50) {
            let level = self.level();
            let data = memory.lookup(self.of_width(b, level, memory.address_width()));
            self.add(data, b, level);
        }
    }

    /// An address; with a number, only of the words of this number.
    fn own_address(&self, memory: MemoryHandle, clock: usize, number: Option<usize>) -> Signal {
        let address = self.of_width(clock, Level::Late, memory.address_width());
        match number {
            Some(number) if address.width() == 1 => lit(number, 1),
            Some(number) => cat(&[address.bits(1..address.width()), lit(number, 1)]),
            None => address,
        }
    }

    /// Ports that take turns: one bit says whether the memory is written or read, and each clock writes words of its own.
    fn ports_without_collisions(
        &mut self,
        name: &str,
        memory: MemoryHandle,
        clocks: [usize; 2],
        width: u32,
        lanes: u32,
    ) {
        let [a, b] = clocks;
        let turn = self.raw(a, Level::Late, 1).unwrap_or_else(|| {
            let turn = self.m.reg_without_reset(&self.name("turn"), self.clocks[a], 1);
            turn.set(!turn);
            turn
        });
        let turn_of =
            [turn, if a == b { turn } else { self.m.held_across(&self.name("turn"), self.clocks[b], turn, HELD) }];
        for (number, clock) in clocks.into_iter().enumerate().take(1 + self.index_of(2)) {
            let enable = turn_of[number] & self.bit(clock, Level::Late);
            let address = self.own_address(memory, clock, Some(number));
            self.write(memory, clock, enable, address, width, lanes);
        }
        for (number, clock) in clocks.into_iter().enumerate().rev().take(1 + self.index_of(2)) {
            let enable = !turn_of[number] & self.bit(clock, Level::Late);
            let address = self.of_width(clock, Level::Late, memory.address_width());
            let data = memory.read_when(self.clocks[clock], &format!("{name}_data{number}"), enable, address);
            self.add(data, clock, Level::Registered);
        }
    }
}
