//! # Watchdog
//!
//! Notices a hart that stops: a timer for each, which the hart has to feed.
//!
//! ## Symbol
//! ```text
//!                     +- watchdog -+
//!  bus (AXI4-Lite) ==>|            |---> bark
//!                     |            |---> bite
//!                     +------------+
//! ```
//! ## Theory of operation
//! 1. The registers are those of [`soc_map::watchdog`]. The timer of a hart runs while its TIMEOUT is not 0, and starts over when it is fed.
//! 2. A timer that runs out for the first time barks: `bark` is 1 while any does, and another hart can find out which, and report it or feed.
//! 3. A timer that runs out while it barks bites: `bite` is 1 from then on until the reset that it asks for.
//!
//! ## Timing
//! A read is answered 2 clocks after it was taken. A timer runs out after TIMEOUT ticks, and up to one tick earlier. No combinational path from any input to any
//! output.
//!
//! ## Limits
//! Any hart can feed for any other.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use rtl_bus::{AxiLite, AxiLiteRegisters};
use rtl_hdl::{address_width, cat, lit, when, zero, Block, Module, Signal};
use soc_map::clint::CLOCKS_PER_TICK;
use soc_map::watchdog::{BARKING, FEED, KEY, STRIDE, TIMEOUT};
use soc_map::WATCHDOG;

#[cfg(test)]
pub(crate) mod bench;

/// Width of the block's addresses.
pub const ADDRESS_BITS: u32 = WATCHDOG.bytes.ilog2();

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// How many harts there are, from 1 on.
    pub harts: u32,
}

impl Block for Watchdog {
    fn name(&self) -> String {
        format!("watchdog_{}", self.harts)
    }

    fn description(&self) -> String {
        format!("Notices if one of {} harts stops.", self.harts)
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "bus", ADDRESS_BITS);

        // 2. State
        let word = AxiLite::DATA_BITS;
        let ticks = m.reg("ticks", clock, zero(address_width(CLOCKS_PER_TICK)));
        let timers = (0..self.harts).map(|hart| Timer {
            timeout: m.reg(&format!("timeout_{hart}"), clock, zero(word)),
            left: m.reg(&format!("left_{hart}"), clock, zero(word)),
            barking: m.reg(&format!("barking_{hart}"), clock, false),
        });
        let timers: Vec<Timer> = timers.collect();
        let bark = m.reg("bark_line", clock, false);
        let bite = m.reg("bite_line", clock, false);

        // 3. Conditions
        let ticked = m.wire("ticked", ticks.eq(CLOCKS_PER_TICK - 1));
        let barking = cat(&timers.iter().rev().map(|timer| timer.barking).collect::<Vec<_>>());

        // 4. Next state
        ticks.set(ticked.mux(lit(0u8, ticks.width()), ticks + 1));
        when(bus.write(), || bus.accept_write());
        let mut registers: Vec<(u32, Signal)> = vec![(BARKING, barking)];
        for (hart, timer) in (0..).zip(&timers) {
            let [timeout, feed] = [TIMEOUT, FEED].map(|register| STRIDE * hart + register);
            let is_over = m.wire(&format!("is_over_{hart}"), ticked & timer.timeout.any() & timer.left.le(1u8));
            when(ticked & timer.timeout.any(), || timer.left.set(timer.left - 1));
            when(is_over, || {
                timer.left.set(timer.timeout);
                timer.barking.set(true);
                when(timer.barking, || bite.set(true));
            });
            when(bus.writes(feed) & bus.write_data().eq(u64::from(KEY)), || {
                timer.left.set(timer.timeout);
                timer.barking.set(false);
            });
            when(bus.writes(timeout), || {
                timer.timeout.set(bus.write_data());
                timer.left.set(bus.write_data());
                timer.barking.set(false);
            });
            registers.extend([(timeout, timer.timeout), (feed, timer.left)]);
        }
        bark.set(barking.any());

        // 5. Outputs
        bus.answer_words(registers);
        m.output("bark", bark);
        m.output("bite", bite);
    }
}

/// The state of a hart's timer.
struct Timer {
    timeout: Signal,
    left: Signal,
    barking: Signal,
}
