//! Arrays of registers and wires, of bits, enums and bundles.

use rtl_hdl::{Array, Bits, EnumSignal, Shape, Value};

use super::builder::Builder;
use super::shapes::{Five, Inner, Outer, Three};
use super::Level;

/// Makes a value for an element.
type Make<'a, V> = &'a dyn Fn() -> V;

impl Builder<'_> {
    /// How many elements an array has: one, a power of two, or neither.
    fn count(&self) -> u32 {
        self.pick(&[2, 3, 1, 4, 5, 7, 8, 9])
    }

    fn value_of<T: Shape>(&self, clock: usize, level: Level) -> T::Value {
        T::unpack(self.of_width(clock, level, T::WIDTH))
    }

    pub fn add_register_array(&mut self) {
        let (clock, count) = (self.clock(), self.count());
        let (with, level) = self.with_some_reset(clock);
        let has_reset = with.reset().is_some() && (level > Level::Registered || self.percent(70));
        let m = self.m;
        match self.below(6) {
            0 | 1 if has_reset => {
                let initial = self.constant(self.between(1, 40));
                let width = initial.width();
                let array = m.reg_array(&self.name("array"), with, count, initial);
                self.set_registers(array, clock, &|| self.of_width(clock, Level::Late, width));
                self.read_array(array, clock, level);
            }
            2 if has_reset => {
                let array = m.reg_array(&self.name("enums"), with, count, Three::Bread);
                let code = || self.of_width(clock, Level::Late, Three::WIDTH);
                self.set_registers(array, clock, &|| EnumSignal::from_signal(code()));
                self.read_array(array, clock, level);
            }
            // Those without a reset value.
            1 => self.plain_registers::<Bits<70>>("array", clock, count),
            2 => self.plain_registers::<Five>("enums", clock, count),
            3 => self.plain_registers::<Bits<1>>("array", clock, count),
            4 => self.plain_registers::<Outer>("bundles", clock, count),
            5 => self.plain_registers::<Inner>("bundles", clock, count),
            _ => self.plain_registers::<Bits<7>>("array", clock, count),
        }
    }

    fn plain_registers<T: Shape>(&mut self, name: &str, clock: usize, count: u32) {
        let array = self.m.reg_array_as::<T>(&self.name(name), self.clocks[clock], count);
        self.set_registers(array, clock, &|| self.value_of::<T>(clock, Level::Late));
        self.read_array(array, clock, Level::Registered);
    }

    fn set_registers<V: Value>(&self, array: Array<V>, clock: usize, make: Make<V>) {
        match self.below(5) {
            // Held where nothing else sets it.
            0 => self.set_element(array, clock, Level::Late, make),
            1 => array.set_all(make()),
            2 => array.set_each(&array),
            3 => self.rotate(array),
            _ => {}
        }
        self.branch(clock, Level::Late, &|| match self.raw(clock, Level::Late, array.index_width()) {
            Some(index) => array.set(index, make()),
            None => array.set_all(make()),
        });
        for _ in 0..self.below(3) {
            self.branch(clock, Level::Late, &|| self.set_some(array, clock, Level::Late, make, 1));
        }
    }

    pub fn add_wire_array(&mut self) {
        let (clock, level, count) = (self.clock(), self.level(), self.count());
        match self.below(6) {
            0 => self.wires::<Bits<7>>("array", clock, level, count),
            1 => self.wires::<Bits<1>>("array", clock, level, count),
            2 => self.wires::<Five>("enums", clock, level, count),
            3 => self.wires::<Bits<33>>("array", clock, level, count),
            4 => self.wires::<Inner>("bundles", clock, level, count),
            _ => self.wires::<Outer>("bundles", clock, level, count),
        }
    }

    fn wires<T: Shape>(&mut self, name: &str, clock: usize, level: Level, count: u32) {
        let array = self.m.wire_array_as::<T>(&self.name(name), count);
        let make = || self.value_of::<T>(clock, level);
        if self.percent(50) {
            (0..count).for_each(|index| array.set(index, make()));
        } else {
            array.set_all(make());
        }
        for _ in 0..self.below(3) {
            self.branch(clock, level, &|| self.set_some(array, clock, level, &make, 1));
        }
        self.read_array(array, clock, level);
    }

    /// Sets elements under random conditions. What is set under none of them comes first, and no element twice.
    fn set_some<V: Value>(&self, array: Array<V>, clock: usize, level: Level, make: Make<V>, depth: u32) {
        match self.below(4) {
            0 => {}
            1 => array.set_all(make()),
            2 => array.set(self.between(0, array.count() - 1), make()),
            _ => self.set_element(array, clock, level, make),
        }
        for _ in 0..self.below(2) {
            self.set_element(array, clock, level, make);
        }
        if depth > 0 && self.percent(50) {
            self.branch(clock, level, &|| self.set_some(array, clock, level, make, depth - 1));
        }
    }

    /// Sets the element whose number hardware computes; not from a constant, which would be the number of an element.
    fn set_element<V: Value>(&self, array: Array<V>, clock: usize, level: Level, make: Make<V>) {
        if let Some(index) = self.raw(clock, level, array.index_width()) {
            array.set(index, make());
        }
    }

    /// Every element takes the value of the one before it.
    fn rotate<V: Value>(&self, array: Array<V>) {
        let elements = array.elements();
        for index in 0..array.count() {
            array.set((index + 1) % array.count(), elements[index as usize]);
        }
    }

    /// Adds elements to the values that may be used.
    fn read_array<V: Value>(&mut self, array: Array<V>, clock: usize, level: Level) {
        for _ in 0..1 + self.below(2) {
            // What selects follows what the index follows.
            let of_index = level.max(self.level());
            let element = array.get(self.index(clock, of_index, array.index_width()));
            element.leaves().into_iter().for_each(|leaf| self.add(leaf, clock, of_index));
        }
        if self.percent(50) {
            let element = array.at(self.between(0, array.count() - 1));
            element.leaves().into_iter().for_each(|leaf| self.add(leaf, clock, level));
        }
    }
}
