//! # Counters
//!
//! How often what happens in the SoC has happened.
//!
//! ## Symbol
//! ```text
//!                     +- counters -+
//!  bus (AXI4-Lite) ==>|            |
//!         event_1, -->|            |
//!              ...    +------------+
//! ```
//! ## Theory of operation
//! The registers are those of [`soc_map::counters`]. A counter of 64 bits goes on by one in each clock in which its event is 1, and that of clocks in every one,
//! unless all are frozen. What is written to a half of a counter is there from then on.
//!
//! ## Timing
//! A read is answered 2 clocks after it was taken. An event is counted in its clock. No combinational path from any input to any output.
//!
//! ## Limits
//! The halves of a counter are read one after the other.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use rtl_bus::{AxiLite, AxiLiteRegisters};
use rtl_hdl::{cat, lit, when, zero, Block, Module};
use soc_map::counters::{Event, CONTROL};
use soc_map::COUNTERS;

#[cfg(test)]
pub(crate) mod bench;

/// Width of the block's addresses.
pub const ADDRESS_BITS: u32 = COUNTERS.bytes.ilog2();

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters;

impl Block for Counters {
    fn name(&self) -> String {
        "counters".into()
    }

    fn description(&self) -> String {
        "How often what happens in the SoC has happened.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "bus", ADDRESS_BITS);
        let happens = |event: Event| match event {
            Event::Clocks => lit(1u8, 1),
            event => m.input(&format!("event_{}", event as u32), 1),
        };

        // 2. State
        let word = AxiLite::DATA_BITS;
        let frozen = m.reg("frozen", clock, false);

        // 3. Conditions

        // 4. Next state
        when(bus.write(), || bus.accept_write());
        when(bus.writes(CONTROL), || frozen.set(bus.write_data().bit(0)));
        let mut registers = vec![(CONTROL, frozen)];
        for event in Event::ALL {
            let number = event as u32;
            let halves = ["low", "high"].map(|half| m.reg(&format!("count_{number}_{half}"), clock, zero(word)));
            let next = m.wire(&format!("next_{number}"), cat(&[halves[1], halves[0]]) + 1);
            let counts = happens(event) & !frozen;
            for (part, half) in (0..).zip(halves) {
                let offset = event.register() + 4 * part;
                when(counts, || half.set(next.bits(part * word..(part + 1) * word)));
                when(bus.writes(offset), || half.set(bus.write_data()));
                registers.push((offset, half));
            }
        }

        // 5. Outputs
        bus.answer_words(registers);
    }
}
