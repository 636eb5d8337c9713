//! # CLINT
//!
//! The time, and for each hart a timer interrupt and one that other harts raise.
//!
//! ## Symbol
//! ```text
//!                     +- clint -+
//!  bus (AXI4-Lite) ==>|         |---> msip_0, mtip_0, ...
//!                     +---------+
//! ```
//! ## Theory of operation
//! 1. The registers are those of [`soc_map::clint`]. `mtime` goes on by one in every [`CLOCKS_PER_TICK`] clocks, and can be written.
//! 2. `mtip` of a hart is 1 while `mtime` is not less than its `mtimecmp`, which is the largest number after a reset; `msip` is what was written.
//!
//! ## Timing
//! A read is answered 2 clocks after it was taken. Interrupts follow their registers by a clock. No combinational path from any input to any output.
//!
//! ## Limits
//! Words are written as a whole, and the two words of a time one after the other: software writes the largest number to the higher one of `mtimecmp` first.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use rtl_bus::{AxiLite, AxiLiteRegisters};
use rtl_hdl::{address_width, cat, lit, when, zero, Block, Constant, Module, Signal};
use soc_map::clint::{CLOCKS_PER_TICK, MSIP, MTIME, MTIMECMP};
use soc_map::rocket::CLINT;

#[cfg(test)]
pub(crate) mod bench;

/// Width of the block's addresses.
pub const ADDRESS_BITS: u32 = CLINT.bytes.ilog2();

/// Width of the time.
const TIME_BITS: u32 = 64;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clint {
    /// How many harts there are, from 1 on.
    pub harts: u32,
}

impl Block for Clint {
    fn name(&self) -> String {
        format!("clint_{}", self.harts)
    }

    fn description(&self) -> String {
        format!("Timers and software interrupts of {} harts.", self.harts)
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "bus", ADDRESS_BITS);

        // 2. State
        let word = AxiLite::DATA_BITS;
        let largest = Constant::ones(word);
        let half = |name: &str, reset: Constant| m.reg(name, clock, reset);
        let time = ["mtime_low", "mtime_high"].map(|name| half(name, Constant::zero(word)));
        let ticks = m.reg("ticks", clock, zero(address_width(CLOCKS_PER_TICK)));
        let harts = (0..self.harts).map(|hart| Hart {
            msip: m.reg(&format!("msip_{hart}_bit"), clock, false),
            compare: ["low", "high"].map(|part| half(&format!("mtimecmp_{hart}_{part}"), largest.clone())),
            mtip: m.reg(&format!("mtip_{hart}_bit"), clock, false),
        });
        let harts: Vec<Hart> = harts.collect();

        // 3. Conditions
        let now = cat(&[time[1], time[0]]);
        let ticked = m.wire("ticked", ticks.eq(CLOCKS_PER_TICK - 1));
        let next = m.wire("next_time", now + 1);

        // 4. Next state
        ticks.set(ticked.mux(lit(0u8, ticks.width()), ticks + 1));
        let mut registers: Vec<(u32, Signal)> = vec![];
        for (part, offset) in [MTIME, MTIME + 4].into_iter().enumerate() {
            let bits = part as u32 * word..(part as u32 + 1) * word;
            when(ticked, || time[part].set(next.bits(bits)));
            when(bus.writes(offset), || time[part].set(bus.write_data()));
            registers.push((offset, time[part]));
        }
        for (number, hart) in (0..).zip(&harts) {
            let software = MSIP + 4 * number;
            when(bus.writes(software), || hart.msip.set(bus.write_data().bit(0)));
            registers.push((software, hart.msip));
            for (part, compare) in (0..).zip(hart.compare) {
                let offset = MTIMECMP + TIME_BITS / 8 * number + 4 * part;
                when(bus.writes(offset), || compare.set(bus.write_data()));
                registers.push((offset, compare));
            }
            hart.mtip.set(now.ge(cat(&[hart.compare[1], hart.compare[0]])));
        }
        when(bus.write(), || bus.accept_write());

        // 5. Outputs
        bus.answer_words(registers);
        for (number, hart) in harts.iter().enumerate() {
            m.output(&format!("msip_{number}"), hart.msip);
            m.output(&format!("mtip_{number}"), hart.mtip);
        }
    }
}

/// The registers of a hart.
struct Hart {
    msip: Signal,
    compare: [Signal; 2],
    mtip: Signal,
}
