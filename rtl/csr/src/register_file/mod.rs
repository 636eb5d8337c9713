//! # Register file
//!
//! Registers that software reads and writes, made from a table.
//!
//! ## Symbol
//! ```text
//!                     +- register file -+
//!        write, ... ->|                 |-> <register>_<field>          Rw, W1c, W1s
//!  <register>_<field> |                 |-> <register>_written
//!                Ro ->|                 |
//!      ..._set, W1c ->|                 |
//!    ..._clear, W1s ->|                 |
//!                     +-----------------+
//! ```
//! The bus is an AXI4-Lite subordinate ([`Bus::AxiLite`]), or plain ports for a block that has its own front end ([`Bus::Access`]): inputs
//! `write`, `write_address`, `write_data`, `write_strobe`, `read_address`, output `read_data`.
//!
//! ## Theory of operation
//! 1. The bus is 32 bits wide; a register of 8 bytes is two words, which are written and read apart.
//! 2. A write changes the bytes whose strobes are set. See [`Access`] for what it does to each kind of field.
//! 3. What is between the registers, and between the fields, reads as zero and ignores writes.
//!
//! ## Timing
//! A field shows its new value in the clock after the write, and `<register>_written` is 1 in that same clock. `read_data` belongs to the
//! `read_address` of the clock before. No combinational path from any input to any output.
//!
//! ## Limits
//! The two lowest bits of an address are not looked at.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::table::{check, WORD_BITS, WORD_BYTES};
use crate::{Access, Field, Register, TableError};
use props::WatchedWord;
use rtl_bus::AxiLiteRegisters;
use rtl_hdl::{cat, lit, when, Block, Clock, Constant, Module, Signal};

#[cfg(test)]
mod bench;
mod props;

/// How a register file is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bus {
    /// Plain ports: see the page of the block.
    Access,
    /// An AXI4-Lite subordinate of this name.
    AxiLite(String),
}

/// See the [page](self) of this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterFile {
    name: String,
    registers: Vec<Register>,
    address_bits: u32,
    bus: Bus,
}

impl RegisterFile {
    /// The register file `name` with `registers` behind addresses of `address_bits` bits.
    pub fn new(name: &str, registers: Vec<Register>, address_bits: u32, bus: Bus) -> Result<RegisterFile, TableError> {
        check(&registers, address_bits)?;
        Ok(RegisterFile { name: name.into(), registers, address_bits, bus })
    }

    /// The table.
    pub fn registers(&self) -> &[Register] {
        &self.registers
    }

    /// Width of addresses.
    pub fn address_bits(&self) -> u32 {
        self.address_bits
    }

    /// How it is reached.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }
}

impl Block for RegisterFile {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn description(&self) -> String {
        let names: Vec<&str> = self.registers.iter().map(|register| register.name.as_str()).collect();
        format!("Registers: {}.", names.join(", "))
    }

    fn build(&self, m: &Module) {
        let clock = m.clock();
        match &self.bus {
            Bus::Access => {
                let write = Write {
                    enable: m.input("write", 1),
                    address: m.input("write_address", self.address_bits),
                    data: m.input("write_data", WORD_BITS),
                    strobe: m.input("write_strobe", WORD_BYTES),
                };
                let read_address = m.input("read_address", self.address_bits);
                let (word, watched) = self.registers_behind(m, clock, write, read_address);
                let read_data = m.reg_without_reset("read_word", clock, WORD_BITS);
                read_data.set(word);
                m.output("read_data", read_data);
                watched.is_read_as(m, clock, lit(1u8, 1), lit(1u8, 1), read_data);
            }
            Bus::AxiLite(name) => {
                let bus = AxiLiteRegisters::new(m, clock, name, self.address_bits);
                let write = Write {
                    enable: bus.write(),
                    address: bus.write_address(),
                    data: bus.write_data(),
                    strobe: bus.write_strobe(),
                };
                let (word, watched) = self.registers_behind(m, clock, write, bus.read_address());
                when(bus.write(), || bus.accept_write());
                when(bus.read(), || bus.answer_read(word));
                let answer = bus.answer();
                watched.is_read_as(m, clock, bus.read(), answer.full, answer.held.data);
            }
        }
    }
}

/// A write, as it comes from the bus.
struct Write {
    enable: Signal,
    address: Signal,
    data: Signal,
    strobe: Signal,
}

/// A write to one word: the bits that are written, and which of them are ones.
struct WordWrite {
    offset: u32,
    enable: Signal,
    lanes: Signal,
    ones: Signal,
}

impl RegisterFile {
    /// The registers with their ports; returns the word at `read_address`, and what is watched.
    fn registers_behind(&self, m: &Module, clock: Clock, write: Write, read_address: Signal) -> (Signal, WatchedWord) {
        let lanes: Vec<Signal> = (0..WORD_BYTES).rev().map(|byte| write.strobe.bit(byte).repeat(8)).collect();
        let lanes = m.wire("lanes", cat(&lanes));
        let ones = m.wire("ones", write.data & lanes);
        let number = |address: Signal| address.bits(WORD_BYTES.ilog2()..self.address_bits);
        let (write_number, read_number) = (number(write.address), number(read_address));

        let mut shown = Vec::new();
        let mut words = Vec::new();
        for register in &self.registers {
            let writes: Vec<WordWrite> = register
                .words()
                .filter(|_| register.is_writable())
                .map(|offset| {
                    let hit = write.enable & write_number.eq(offset / WORD_BYTES) & write.strobe.any();
                    let half = if offset == register.offset { "" } else { "_high" };
                    WordWrite { offset, enable: m.wire(&format!("{}_write{half}", register.name), hit), lanes, ones }
                })
                .collect();
            if let Some(any) = writes.iter().map(|write| write.enable).reduce(|a, b| a | b) {
                let written = m.reg(&format!("{}_pulse", register.name), clock, false);
                written.set(any);
                m.output(&format!("{}_written", register.name), written);
            }
            let fields: Vec<FieldBehind> =
                register.fields.iter().map(|field| field_behind(m, clock, register, field, &writes)).collect();
            let values: Vec<Signal> = fields.iter().map(|field| field.value).collect();
            let from_hardware: Vec<Signal> = fields.iter().map(|field| field.from_hardware).collect();
            for offset in register.words() {
                let value = word_of(register, &values, offset);
                shown.push(value & read_number.eq(offset / WORD_BYTES).repeat(WORD_BITS));
                words.push(props::Word::new(register, offset, value, word_of(register, &from_hardware, offset)));
            }
        }
        // No two registers share a word.
        let word = shown.into_iter().reduce(|a, b| a | b).unwrap_or(lit(0u32, WORD_BITS));
        (m.wire("word", word), WatchedWord::new(m, clock, &words, &write, write_number, read_number))
    }
}

/// A field.
struct FieldBehind {
    /// What it reads as.
    value: Signal,
    /// Its input from the hardware, or zero.
    from_hardware: Signal,
}

/// A field with its ports.
fn field_behind(m: &Module, clock: Clock, register: &Register, field: &Field, writes: &[WordWrite]) -> FieldBehind {
    let none = lit(0u32, 1).repeat(field.width);
    let port = format!("{}_{}", register.name, field.name);
    let reset = Constant::from_words(field.width, &[(register.reset & field.mask()) >> field.lsb]);
    let keep = || m.reg(&format!("{port}_value"), clock, reset.clone());
    let (value, from_hardware) = match field.access {
        Access::Constant => (rtl_hdl::constant(&reset), none),
        Access::Ro => {
            let value = m.input(&port, field.width);
            (value, value)
        }
        Access::Rw => {
            let value = keep();
            for write in writes {
                let written = spread(register, field, write, value, |old, lanes, ones| (old & !lanes) | ones);
                if let Some(written) = written {
                    when(write.enable, || value.set(written));
                }
            }
            m.output(&port, value);
            (value, none)
        }
        Access::W1c => {
            let value = keep();
            let set = m.input(&format!("{port}_set"), field.width);
            value.set((value & !written_ones(m, &port, register, field, writes)) | set);
            m.output(&port, value);
            (value, set)
        }
        Access::W1s => {
            let value = keep();
            let clear = m.input(&format!("{port}_clear"), field.width);
            value.set((value & !clear) | written_ones(m, &port, register, field, writes));
            m.output(&port, value);
            (value, clear)
        }
    };
    FieldBehind { value, from_hardware }
}

/// The bits of a field that are written as ones in this clock.
fn written_ones(m: &Module, port: &str, register: &Register, field: &Field, writes: &[WordWrite]) -> Signal {
    let none = lit(0u32, 1).repeat(field.width);
    let parts = writes.iter().filter_map(|write| {
        let ones = spread(register, field, write, none, |_, _, ones| ones)?;
        Some(ones & write.enable.repeat(field.width))
    });
    m.wire(&format!("{port}_ones"), parts.reduce(|a, b| a | b).unwrap_or(none))
}

/// The field after a write to one of its words: `value` with `change(old, lanes, ones)` in place of the bits that lie in that word. None if
/// no bit does.
fn spread(
    register: &Register,
    field: &Field,
    write: &WordWrite,
    value: Signal,
    change: impl Fn(Signal, Signal, Signal) -> Signal,
) -> Option<Signal> {
    let part = register.part(field, write.offset);
    if part.is_empty() {
        return None;
    }
    let word = 8 * (write.offset - register.offset);
    let in_word = part.start - word..part.end - word;
    let in_field = part.start - field.lsb..part.end - field.lsb;
    let mut parts = Vec::new();
    if in_field.end < field.width {
        parts.push(value.bits(in_field.end..field.width));
    }
    parts.push(change(value.bits(in_field.clone()), write.lanes.bits(in_word.clone()), write.ones.bits(in_word)));
    if in_field.start > 0 {
        parts.push(value.low(in_field.start));
    }
    Some(cat(&parts))
}

/// The word at `offset`, with zeroes between the fields.
fn word_of(register: &Register, values: &[Signal], offset: u32) -> Signal {
    let word = 8 * (offset - register.offset);
    let mut fields: Vec<(&Field, Signal)> = register.fields.iter().zip(values.iter().copied()).collect();
    fields.sort_by_key(|(field, _)| field.lsb);
    let mut parts = Vec::new();
    let mut at = word;
    for (field, value) in fields {
        let part = register.part(field, offset);
        if part.is_empty() {
            continue;
        }
        if part.start > at {
            parts.push(lit(0u32, part.start - at));
        }
        parts.push(value.bits(part.start - field.lsb..part.end - field.lsb));
        at = part.end;
    }
    if at < word + WORD_BITS {
        parts.push(lit(0u32, word + WORD_BITS - at));
    }
    parts.reverse();
    cat(&parts)
}
