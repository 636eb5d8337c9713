//! # PLIC
//!
//! Hands the interrupts of the device to the harts, to each mode of each hart what it has enabled.
//!
//! ## Symbol
//! ```text
//!                     +- plic -+
//!  bus (AXI4-Lite) ==>|        |---> external_0, ...   a wire for each context
//!        source_1, -->|        |
//!              ...    +--------+
//! ```
//! ## Theory of operation
//! 1. The registers are those of [`soc_map::plic`]. A source is a level. While it is high and not in service, it becomes *pending*, and stays so until
//!    it is claimed: a line that falls before that is not forgotten.
//! 2. `external_n` is 1 while a source is pending that context n has enabled and whose priority is above the context's threshold.
//! 3. A claim takes the pending source with the highest priority among those that the context has enabled, the lowest number first, whatever the threshold is.
//!    It is *in service* until the same number is written by a context that has it enabled; what else is written is ignored.
//!
//! ## Timing
//! A read is answered 2 clocks after it was taken, and a claim takes effect in the clock in which it is read. A source reaches `external_n` after 2 clocks. No
//! combinational path from any input to any output.
//!
//! ## Limits
//! Sources are levels of this block's clock, and there are at most 31 of them. The words of priorities and thresholds hold
//! [`PRIORITY_MAX`] and no more.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use rtl_bus::AxiLiteRegisters;
use rtl_hdl::{address_width, cat, lit, when, zero, Block, Clock, Module, Signal};
use soc_map::plic::{
    CLAIM, CONTEXTS_PER_HART, CONTEXT_STRIDE, ENABLE, ENABLE_STRIDE, PENDING, PRIORITY, PRIORITY_MAX, THRESHOLD,
};
use soc_map::rocket::PLIC;

#[cfg(test)]
pub(crate) mod bench;

/// Width of the block's addresses.
pub const ADDRESS_BITS: u32 = PLIC.bytes.ilog2();

/// Width of a priority.
const PRIORITY_BITS: u32 = PRIORITY_MAX.ilog2() + 1;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plic {
    /// How many harts there are, from 1 on.
    pub harts: u32,
    /// How many sources there are, from 1 to 31.
    pub sources: u32,
}

impl Block for Plic {
    fn name(&self) -> String {
        format!("plic_{}_{}", self.harts, self.sources)
    }

    fn description(&self) -> String {
        format!("Hands {} interrupts to {} harts.", self.sources, self.harts)
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "bus", ADDRESS_BITS);
        let numbers = 1..=self.sources;
        let levels: Vec<Signal> = numbers.clone().map(|number| m.input(&format!("source_{number}"), 1)).collect();

        // 2. State
        let sources: Vec<Source> = numbers.map(|number| Source::new(m, clock, number)).collect();
        let contexts: Vec<Context> =
            (0..CONTEXTS_PER_HART * self.harts).map(|number| Context::new(m, clock, number, self.sources)).collect();

        // 3. Conditions
        let all = |of: &dyn Fn(&Source) -> Signal| cat(&sources.iter().rev().map(of).collect::<Vec<_>>());
        let pending = all(&|source| source.pending);
        // What the context whose claim register is read or written has enabled.
        let enabled_of = |is_chosen: &dyn Fn(u32) -> Signal| {
            contexts.iter().fold(lit(0u8, self.sources), |enabled, context| {
                enabled | context.enabled & is_chosen(context.claim()).repeat(self.sources)
            })
        };
        let claimable = m.wire("claimable", pending & enabled_of(&|claim| bus.reads(claim)));
        let completed = m.wire("completed", enabled_of(&|claim| bus.writes(claim)));
        let (best, _) = (0..).zip(&sources).fold(
            (lit(0u8, address_width(self.sources + 1)), lit(0u8, PRIORITY_BITS)),
            |(best, highest), (index, source)| {
                let is_better = claimable.bit(index) & source.priority.gt(highest);
                (is_better.mux(lit(source.number, best.width()), best), is_better.mux(source.priority, highest))
            },
        );
        let best = m.wire("best", best);

        // 4. Next state
        when(bus.write(), || bus.accept_write());
        for (source, level) in sources.iter().zip(&levels) {
            let index = source.number - 1;
            let is_claimed =
                m.wire(&format!("is_claimed_{}", source.number), bus.read() & best.eq(u64::from(source.number)));
            let is_completed = completed.bit(index) & bus.write_data().eq(u64::from(source.number));
            when(*level & !source.in_service, || source.pending.set(true));
            when(is_completed, || source.in_service.set(false));
            when(is_claimed, || {
                source.pending.set(false);
                source.in_service.set(true);
            });
            when(bus.writes(PRIORITY + 4 * source.number), || source.priority.set(bus.write_data().low(PRIORITY_BITS)));
        }
        for context in &contexts {
            when(bus.writes(context.enable()), || context.enabled.set(bus.write_data().bits(1..self.sources + 1)));
            when(bus.writes(context.threshold()), || context.threshold.set(bus.write_data().low(PRIORITY_BITS)));
            let interrupts = (0..).zip(&sources).fold(lit(0u8, 1), |any, (index, source)| {
                any | source.pending & context.enabled.bit(index) & source.priority.gt(context.threshold)
            });
            context.external.set(interrupts);
        }

        // 5. Outputs
        let after_zero = |bits: Signal| cat(&[bits, lit(0u8, 1)]);
        let mut registers = vec![(PENDING, after_zero(pending))];
        registers.extend(sources.iter().map(|source| (PRIORITY + 4 * source.number, source.priority)));
        for context in &contexts {
            registers.extend([
                (context.enable(), after_zero(context.enabled)),
                (context.threshold(), context.threshold),
                (context.claim(), best),
            ]);
            m.output(&format!("external_{}", context.number), context.external);
        }
        bus.answer_words(registers);
    }
}

/// The state of a source.
struct Source {
    number: u32,
    priority: Signal,
    pending: Signal,
    in_service: Signal,
}

impl Source {
    fn new(m: &Module, clock: Clock, number: u32) -> Self {
        Self {
            number,
            priority: m.reg(&format!("priority_{number}"), clock, zero(PRIORITY_BITS)),
            pending: m.reg(&format!("pending_{number}"), clock, false),
            in_service: m.reg(&format!("in_service_{number}"), clock, false),
        }
    }
}

/// The state of a mode of a hart.
struct Context {
    number: u32,
    enabled: Signal,
    threshold: Signal,
    external: Signal,
}

impl Context {
    fn new(m: &Module, clock: Clock, number: u32, sources: u32) -> Self {
        Self {
            number,
            enabled: m.reg(&format!("enabled_{number}"), clock, zero(sources)),
            threshold: m.reg(&format!("threshold_{number}"), clock, zero(PRIORITY_BITS)),
            external: m.reg(&format!("external_{number}_line"), clock, false),
        }
    }

    fn enable(&self) -> u32 {
        ENABLE + ENABLE_STRIDE * self.number
    }

    fn threshold(&self) -> u32 {
        THRESHOLD + CONTEXT_STRIDE * self.number
    }

    fn claim(&self) -> u32 {
        CLAIM + CONTEXT_STRIDE * self.number
    }
}
