//! # Boot ROM
//!
//! The first instructions of every hart.
//!
//! ## Symbol
//! ```text
//!                     +- boot_rom -+
//!  bus (AXI4-Lite) ==>|            |
//!                     +------------+
//! ```
//! ## Theory of operation
//! A read is answered with the word of [`soc_map::boot`] at its address in [`BOOT_ROM`], where there is one, else with 0. Writes are answered and do
//! nothing: no hart can write there.
//!
//! ## Timing
//! A read is answered 2 clocks after it was taken. No combinational path from any input to any output.
//!
//! ## Limits
//! Its contents belong to the hardware: another map is another ROM.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use rtl_bus::{AxiLite, AxiLiteRegisters};
use rtl_hdl::{address_width, lit, when, Block, Module, Signal};
use soc_map::boot;
use soc_map::rocket::BOOT_ROM;

#[cfg(test)]
pub(crate) mod bench;

/// Width of the block's addresses.
pub const ADDRESS_BITS: u32 = BOOT_ROM.bytes.ilog2();

/// Where the words begin, a multiple of the size of the memory for them.
const OFFSET: u64 = boot::START - BOOT_ROM.base;
const WORDS: u32 = (boot::WORDS.len() as u32).next_power_of_two();
const _: () = assert!(OFFSET % (WORDS * AxiLite::DATA_BYTES) as u64 == 0);

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootRom;

impl Block for BootRom {
    fn name(&self) -> String {
        "boot_rom".into()
    }

    fn description(&self) -> String {
        "The first instructions of every hart.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "bus", ADDRESS_BITS);

        // 2. State: that of the front end.

        // 3. Conditions
        let low = AxiLite::DATA_BYTES.ilog2();
        let high = low + address_width(WORDS);
        let address = bus.read_address();
        let is_there = m.wire("is_there", address.bits(high..ADDRESS_BITS).eq(OFFSET >> high));
        let words = boot::WORDS.iter().copied().chain(std::iter::repeat(0)).take(WORDS as usize);
        let words: Vec<Signal> = words.map(|word| lit(word, AxiLite::DATA_BITS)).collect();
        let word = m.wire("word", rtl_hdl::select(&words, address.bits(low..high)));

        // 4. Next state, 5. Outputs
        when(bus.write(), || bus.accept_write());
        when(bus.read(), || bus.answer_read(word & is_there.repeat(AxiLite::DATA_BITS)));
    }
}
