//! One test for every register file: it walks the table and compares the running block with what the table says.
//!
//! ```
//! use rtl_csr::{walk, Access, Bus, Field, Register, RegisterFile};
//! use rtl_hdl::{bench::Seed, elaborate, Evaluator};
//!
//! let control = Register {
//!     name: "CONTROL".into(),
//!     offset: 0x8,
//!     bytes: 4,
//!     reset: 1,
//!     fields: vec![Field::new("ENABLE", 0, 1, Access::Rw), Field::new("EVENTS", 8, 4, Access::W1c)],
//! };
//! let file = RegisterFile::new("example", vec![control], 5, Bus::Access).expect("the table is right");
//! let design = elaborate(&file).expect("the block is right");
//! let mut evaluator = Evaluator::new(&design).expect("nothing foreign is inside");
//! walk::walk(&file, &mut evaluator, Seed::from_env_or(0x5EED));
//! ```
//!
//! Everything here panics when the block is wrong, as assertions do: it is for tests.

use crate::table::{WORD_BITS, WORD_BYTES};
use crate::{Access, Bus, Field, Register, RegisterFile};
use rtl_hdl::bench::{Rng, Seed};
use rtl_hdl::sim::{PortId, Simulator};

/// Random operations of a walk.
const OPERATIONS: u32 = 2_000;
/// Clocks within which AXI4-Lite answers.
const ANSWER_CLOCKS_MAX: u32 = 16;
/// Every word is read where there are at most so many; otherwise random ones.
const WORDS_ALL_MAX: u32 = 1024;

/// Resets `sim`, which runs `file`, and tries reset values, holes, each bit of each field, and then random writes, reads and events with
/// resets between.
///
/// # Panics
/// At the first difference between the block and its table.
pub fn walk(file: &RegisterFile, sim: &mut dyn Simulator, seed: Seed) {
    let mut walker = Walker::new(file, sim, seed);
    // Before the first reset nothing holds, so nothing is asked of the block.
    walker.still();
    walker.clock_in_reset();
    walker.reset();
    walker.read_everything();
    for index in 0..file.registers().len() {
        walker.write_each_bit(index);
        walker.write_each_byte(index);
        walker.reset_in_a_write(file.registers()[index].offset);
    }
    walker.read_everything();
    for _ in 0..OPERATIONS {
        walker.random_operation();
    }
    walker.read_everything();
}

/// The ports of one field.
struct FieldPorts {
    /// `<register>_<field>`, unless it is constant.
    value: Option<PortId>,
    /// `_set` or `_clear`, if the access kind has it.
    event: Option<PortId>,
}

struct RegisterPorts {
    fields: Vec<FieldPorts>,
    written: Option<PortId>,
}

struct Walker<'a> {
    file: &'a RegisterFile,
    sim: &'a mut dyn Simulator,
    seed: Seed,
    rng: Rng,
    ports: Vec<RegisterPorts>,
    /// What each register reads as.
    values: Vec<u64>,
    /// Clocks in which `<register>_written` was 1 since the last look.
    pulses: Vec<u32>,
}

impl<'a> Walker<'a> {
    fn new(file: &'a RegisterFile, sim: &'a mut dyn Simulator, seed: Seed) -> Self {
        let port_of = |register: &Register, field: &Field| {
            let name = format!("{}_{}", register.name, field.name);
            let event = match field.access {
                Access::W1c => Some(sim.port(&format!("{name}_set"))),
                Access::W1s => Some(sim.port(&format!("{name}_clear"))),
                Access::Constant | Access::Ro | Access::Rw => None,
            };
            FieldPorts { value: (field.access != Access::Constant).then(|| sim.port(&name)), event }
        };
        let ports = file.registers().iter().map(|register| RegisterPorts {
            fields: register.fields.iter().map(|field| port_of(register, field)).collect(),
            written: register.is_writable().then(|| sim.port(&format!("{}_written", register.name))),
        });
        let ports: Vec<RegisterPorts> = ports.collect();
        let count = ports.len();
        Walker { file, sim, seed, rng: seed.rng("walk"), ports, values: vec![0; count], pulses: vec![0; count] }
    }

    fn poke(&mut self, port: &str, value: u64) {
        let port = self.sim.port(port);
        self.sim.poke_u64(port, value);
    }

    fn peek(&self, port: &str) -> u64 {
        self.sim.peek_u64(self.sim.port(port))
    }

    fn clock(&mut self) {
        self.sim.step();
        for (ports, pulses) in self.ports.iter().zip(&mut self.pulses) {
            *pulses += ports.written.map_or(0, |port| self.sim.peek_u64(port) as u32);
        }
    }

    /// Resets the block in a clock in which any word is written.
    fn reset(&mut self) {
        let offset = self.random_offset();
        self.reset_in_a_write(offset);
    }

    /// Resets the block in a clock in which the word at `offset` is written, with every input of a field at zero: nothing of the write is left.
    fn reset_in_a_write(&mut self, offset: u32) {
        self.still();
        self.begin_a_write(offset);
        self.clock_in_reset();
    }

    /// Sets every input of a field to zero, and expects reset values.
    fn still(&mut self) {
        for ports in &self.ports {
            for ports in &ports.fields {
                ports.event.into_iter().for_each(|port| self.sim.poke_u64(port, 0));
            }
        }
        for index in 0..self.ports.len() {
            self.values[index] = self.file.registers()[index].reset;
            self.show(index, 0);
        }
    }

    /// A clock in reset.
    fn clock_in_reset(&mut self) {
        self.poke("reset", 1);
        self.pulses.fill(0);
        self.clock();
        self.poke("reset", 0);
        for valid in self.bus_requests() {
            self.poke(&valid, 0);
        }
        self.check_pulses(None);
        self.check_outputs();
    }

    /// Puts a write on the bus so that it happens in the next clock.
    fn begin_a_write(&mut self, offset: u32) {
        let (offset, data) = (u64::from(offset), u64::from(self.rng.next_u64() as u32));
        match self.file.bus().clone() {
            Bus::Access => {
                for (port, value) in
                    [("write_address", offset), ("write_data", data), ("write_strobe", 0xf), ("write", 1)]
                {
                    self.poke(port, value);
                }
            }
            Bus::AxiLite(name) => {
                for (port, value) in
                    [("awaddr", offset), ("wdata", data), ("wstrb", 0xf), ("awvalid", 1), ("wvalid", 1)]
                {
                    self.poke(&format!("{name}_{port}"), value);
                }
                self.clock();
                for valid in self.bus_requests() {
                    self.poke(&valid, 0);
                }
            }
        }
    }

    fn bus_requests(&self) -> Vec<String> {
        match self.file.bus() {
            Bus::Access => vec!["write".into()],
            Bus::AxiLite(name) => ["awvalid", "wvalid", "arvalid"].map(|port| format!("{name}_{port}")).into(),
        }
    }

    /// Lets the hardware show `value` in the read-only fields of a register.
    fn show(&mut self, index: usize, value: u64) {
        let register = &self.file.registers()[index];
        for (field, ports) in register.fields.iter().zip(&self.ports[index].fields) {
            if let (Access::Ro, Some(port)) = (field.access, ports.value) {
                self.sim.poke_u64(port, (value & field.mask()) >> field.lsb);
                self.values[index] = self.values[index] & !field.mask() | value & field.mask();
            }
        }
    }

    /// Every output shows what the table says.
    fn check_outputs(&mut self) {
        self.sim.settle();
        for ((register, ports), value) in self.file.registers().iter().zip(&self.ports).zip(&self.values) {
            for (field, ports) in register.fields.iter().zip(&ports.fields) {
                let Some(port) = ports.value.filter(|_| field.access != Access::Ro) else { continue };
                let (shown, expected) = (self.sim.peek_u64(port), (value & field.mask()) >> field.lsb);
                assert_eq!(
                    shown,
                    expected,
                    "the output `{}_{}` is {shown:#x} and not {expected:#x}; replay: {}",
                    register.name,
                    field.name,
                    self.seed.replay()
                );
            }
        }
    }

    /// Pulses of `<register>_written` since the last time: `expected` names the register that had one.
    fn check_pulses(&mut self, expected: Option<usize>) {
        for (index, register) in self.file.registers().iter().enumerate() {
            let (pulses, expected) = (self.pulses[index], u32::from(expected == Some(index)));
            assert_eq!(
                pulses,
                expected,
                "`{}_written` was 1 in {pulses} clocks and not in {expected}; replay: {}",
                register.name,
                self.seed.replay()
            );
        }
        self.pulses.fill(0);
    }

    /// What the word at `offset` reads as.
    fn expected(&self, offset: u32) -> u32 {
        self.find(offset).map_or(0, |(index, shift)| (self.values[index] >> shift) as u32)
    }

    /// The register at `offset`, and the number of the word's lowest bit in it.
    fn find(&self, offset: u32) -> Option<(usize, u32)> {
        let offset = offset - offset % WORD_BYTES;
        let registers = self.file.registers();
        let index = registers.iter().position(|r| (r.offset..r.offset + r.bytes).contains(&offset))?;
        Some((index, 8 * (offset - registers[index].offset)))
    }

    /// Reads a word and compares it.
    fn read(&mut self, offset: u32) {
        let got = match self.file.bus().clone() {
            Bus::Access => {
                self.poke("read_address", offset.into());
                self.clock();
                self.peek("read_data") as u32
            }
            Bus::AxiLite(name) => {
                self.poke(&format!("{name}_araddr"), offset.into());
                self.transfer(&[format!("{name}_ar")], &format!("{name}_r"), &[0]);
                self.peek(&format!("{name}_rdata")) as u32
            }
        };
        let expected = self.expected(offset);
        assert_eq!(
            got,
            expected,
            "the word at {offset:#x} reads as {got:#x} and not as {expected:#x}; replay: {}",
            self.seed.replay()
        );
    }

    /// Writes a word, while the hardware sets and clears nothing, and compares all outputs.
    fn write(&mut self, offset: u32, data: u32, strobe: u32) {
        self.write_with_events(offset, data, strobe, &[]);
    }

    /// Writes a word while the hardware raises `events`: (register, field, bits). On AXI4-Lite the events come before the write.
    fn write_with_events(&mut self, offset: u32, data: u32, strobe: u32, events: &[(usize, usize, u64)]) {
        match self.file.bus().clone() {
            Bus::Access => {
                self.poke("write_address", offset.into());
                self.poke("write_data", data.into());
                self.poke("write_strobe", strobe.into());
                self.poke("write", 1);
                self.raise(events, Some((offset, data, strobe)));
                self.poke("write", 0);
            }
            Bus::AxiLite(name) => {
                self.raise(events, None);
                self.poke(&format!("{name}_awaddr"), offset.into());
                self.poke(&format!("{name}_wdata"), data.into());
                self.poke(&format!("{name}_wstrb"), strobe.into());
                let delays = [self.rng.below(3) as u32, self.rng.below(3) as u32];
                self.transfer(&[format!("{name}_aw"), format!("{name}_w")], &format!("{name}_b"), &delays);
                self.apply(Some((offset, data, strobe)), &[]);
            }
        }
        self.clock();
        self.check_outputs();
        let hit = self.find(offset).filter(|(index, _)| strobe != 0 && self.file.registers()[*index].is_writable());
        self.check_pulses(hit.map(|(index, _)| index));
    }

    /// One clock in which `events` are raised, with the write that is on the plain ports.
    fn raise(&mut self, events: &[(usize, usize, u64)], write: Option<(u32, u32, u32)>) {
        let set = |walker: &mut Self, on: bool| {
            for &(register, field, bits) in events {
                let port = walker.ports[register].fields[field].event.expect("only fields with events are raised");
                walker.sim.poke_u64(port, if on { bits } else { 0 });
            }
        };
        set(self, true);
        self.clock();
        set(self, false);
        self.apply(write, events);
    }

    /// What a clock does to the values, by the table.
    fn apply(&mut self, write: Option<(u32, u32, u32)>, events: &[(usize, usize, u64)]) {
        let hit = write.and_then(|(offset, data, strobe)| {
            let (index, shift) = self.find(offset)?;
            let lanes: u64 =
                (0..WORD_BYTES).filter(|byte| strobe >> byte & 1 == 1).map(|byte| 0xff << (8 * byte)).sum();
            Some((index, lanes << shift, (u64::from(data) & lanes) << shift))
        });
        for (index, register) in self.file.registers().iter().enumerate() {
            let (lanes, ones) = hit.filter(|hit| hit.0 == index).map_or((0, 0), |(_, lanes, ones)| (lanes, ones));
            for (number, field) in register.fields.iter().enumerate() {
                let raised = events.iter().find(|event| (event.0, event.1) == (index, number));
                let raised = raised.map_or(0, |event| event.2 << field.lsb);
                let old = self.values[index];
                let new = match field.access {
                    Access::Constant | Access::Ro => old,
                    Access::Rw => old & !lanes | ones,
                    Access::W1c => old & !ones | raised,
                    Access::W1s => old & !raised | ones,
                };
                self.values[index] = old & !field.mask() | new & field.mask();
            }
        }
    }

    /// Offers on the AXI4-Lite channels `requests`, each after its delay, until all are taken, and takes one answer.
    fn transfer(&mut self, requests: &[String], answer: &str, delays: &[u32]) {
        let mut waiting: Vec<bool> = requests.iter().map(|_| true).collect();
        self.poke(&format!("{answer}ready"), 0);
        for clock in 0..ANSWER_CLOCKS_MAX {
            for (number, request) in requests.iter().enumerate() {
                self.poke(&format!("{request}valid"), u64::from(waiting[number] && clock >= delays[number]));
            }
            self.sim.settle();
            if waiting.iter().all(|waiting| !waiting) && self.peek(&format!("{answer}valid")) == 1 {
                self.poke(&format!("{answer}ready"), 1);
                assert_eq!(self.peek(&format!("{answer}resp")), u64::from(rtl_bus::resp::OKAY), "`{answer}resp`");
                // The payload of the answer stays in its register.
                self.clock();
                self.poke(&format!("{answer}ready"), 0);
                return;
            }
            for (number, request) in requests.iter().enumerate() {
                let valid = clock >= delays[number];
                waiting[number] &= !(valid && self.peek(&format!("{request}ready")) == 1);
            }
            self.clock();
        }
        panic!("no answer on `{answer}` within {ANSWER_CLOCKS_MAX} clocks; replay: {}", self.seed.replay());
    }

    fn read_everything(&mut self) {
        let words = 1u64 << (self.file.address_bits() - WORD_BYTES.ilog2());
        if words <= u64::from(WORDS_ALL_MAX) {
            (0..words as u32).for_each(|word| self.read(word * WORD_BYTES));
            return;
        }
        let offsets: Vec<u32> = self.file.registers().iter().flat_map(Register::words).collect();
        offsets.into_iter().for_each(|offset| self.read(offset));
        for _ in 0..WORDS_ALL_MAX {
            let word = self.rng.below(words) as u32;
            self.read(word * WORD_BYTES);
        }
    }

    /// Raises every event bit of a register, then writes each bit alone as a one, and all as zeroes.
    fn write_each_bit(&mut self, index: usize) {
        let register = self.file.registers()[index].clone();
        self.show(index, u64::MAX);
        for offset in register.words() {
            for bit in 0..WORD_BITS {
                let events = self.all_events(index, Access::W1c);
                self.raise(&events, None);
                self.write(offset, 1 << bit, 0xf);
                self.read(offset);
                let events = self.all_events(index, Access::W1s);
                self.raise(&events, None);
            }
            self.write(offset, 0, 0xf);
            self.read(offset);
        }
        self.show(index, 0);
        register.words().for_each(|offset| self.read(offset));
    }

    /// Writes ones and zeroes through every strobe.
    fn write_each_byte(&mut self, index: usize) {
        let register = self.file.registers()[index].clone();
        for offset in register.words() {
            for strobe in 0..1 << WORD_BYTES {
                for data in [u32::MAX, 0, 0x1234_5678] {
                    self.write(offset, data, strobe);
                    self.read(offset);
                }
            }
        }
    }

    /// All bits of all fields of one access kind.
    fn all_events(&self, index: usize, access: Access) -> Vec<(usize, usize, u64)> {
        let fields = self.file.registers()[index].fields.iter().enumerate();
        fields.filter(|(_, f)| f.access == access).map(|(number, f)| (index, number, f.mask() >> f.lsb)).collect()
    }

    /// Mostly of a register, sometimes of anything.
    fn random_offset(&mut self) -> u32 {
        let words = 1u64 << (self.file.address_bits() - WORD_BYTES.ilog2());
        let offset = if self.rng.percent(80) && !self.file.registers().is_empty() {
            let registers = self.file.registers();
            let register = self.rng.pick(registers);
            register.offset + WORD_BYTES * self.rng.below(u64::from(register.bytes / WORD_BYTES)) as u32
        } else {
            WORD_BYTES * self.rng.below(words) as u32
        };
        // The two lowest bits say nothing.
        offset + self.rng.below(u64::from(WORD_BYTES)) as u32
    }

    fn random_operation(&mut self) {
        let offset = self.random_offset();
        match self.rng.below(100) {
            0..=49 => {
                let (data, strobe) = (self.rng.next_u64() as u32, self.rng.below(1 << WORD_BYTES) as u32);
                let events = self.random_events();
                self.write_with_events(offset, data, strobe, &events);
            }
            50..=79 => self.read(offset),
            80..=98 => {
                let index = self.rng.below(self.ports.len().max(1) as u64) as usize;
                if index < self.ports.len() {
                    let value = self.rng.next_u64();
                    self.show(index, value);
                }
                let events = self.random_events();
                self.raise(&events, None);
                self.check_outputs();
            }
            _ => self.reset(),
        }
    }

    fn random_events(&mut self) -> Vec<(usize, usize, u64)> {
        let mut events = Vec::new();
        for (index, register) in self.file.registers().iter().enumerate() {
            for (number, field) in register.fields.iter().enumerate() {
                if matches!(field.access, Access::W1c | Access::W1s) && self.rng.percent(30) {
                    events.push((index, number, self.rng.bits(field.width)[0]));
                }
            }
        }
        events
    }
}
