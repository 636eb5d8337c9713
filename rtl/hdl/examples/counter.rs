//! A first block: it is checked, run in the evaluator, and written as SystemVerilog.
//!
//! `cargo run -p rtl-hdl --example counter`

use rtl_hdl::sim::Simulator;
use rtl_hdl::{elaborate, emit, when, zero, Block, Evaluator, Module};

// README: begin
/// Counts ticks, and says when `limit` and one more of them have come.
pub struct Counter {
    /// Bits of the count.
    pub width: u32,
}

impl Block for Counter {
    fn name(&self) -> String {
        format!("counter_{}", self.width)
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let tick = m.input("tick", 1);
        let limit = m.input("limit", self.width);
        // 2. State
        let count = m.reg("count", clock, zero(self.width));
        let expired = m.reg("expired", clock, false);
        // 3. Conditions
        let last = m.wire("last", count.eq(limit));
        // 4. Next state
        expired.set(tick & last);
        when(tick & last, || count.set(0)).else_when(tick, || count.set(count + 1));
        // 5. Outputs
        m.output("done", expired);
    }
}
// README: end

/// Shows the Verilog, and five ticks.
#[allow(dead_code)] // A test includes this file for the block alone.
fn main() {
    let design = elaborate(&Counter { width: 8 }).unwrap_or_else(|problems| panic!("{problems}"));
    println!("{}", emit(&design)[0].text);

    let mut sim = Evaluator::new(&design).expect("the design has no foreign modules");
    let (tick, limit, done) = (sim.port("tick"), sim.port("limit"), sim.port("done"));
    sim.poke_u64(tick, 1);
    sim.poke_u64(limit, 2);
    for clock in 1..=5 {
        sim.step();
        println!("after clock {clock}: count {}, done {}", sim.signal("counter_8.count"), sim.peek_u64(done));
    }
}
