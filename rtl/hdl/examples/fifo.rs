//! A FIFO between two streams, on a bench with stalls; with a file name, it also writes the waveform.
//!
//! `cargo run -p rtl-hdl --example fifo [-- fifo.fst]`

use rtl_hdl::bench::{Bench, Seed, Stalls};
use rtl_hdl::sim::Simulator;
use rtl_hdl::waveform::Traced;
use rtl_hdl::{address_width, elaborate, when, zero, Block, Design, Evaluator, MemoryStyle, Module, Signal};
use std::path::Path;

/// Items wait in a memory of `depth` words until they are taken.
pub struct Fifo {
    /// Bits of an item.
    pub width: u32,
    /// How many items fit.
    pub depth: u32,
}

impl Fifo {
    /// The place after `index`, around the end of the memory.
    fn next_index(&self, index: Signal) -> Signal {
        index.eq(self.depth - 1).mux(index.literal(0u8), index + 1)
    }
}

impl Block for Fifo {
    fn name(&self) -> String {
        format!("fifo_{}x{}", self.depth, self.width)
    }

    fn description(&self) -> String {
        "Keeps items, in order, until they are taken.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let entry = m.stream_in_bits("entry", self.width);
        let exit = m.stream_out_bits("exit", self.width);

        // 2. State
        let index_bits = address_width(self.depth);
        let head = m.reg("head", clock, zero(index_bits));
        let tail = m.reg("tail", clock, zero(index_bits));
        let used = m.reg("used", clock, zero(address_width(self.depth + 1)));
        let items = m.memory("items", self.width, self.depth, MemoryStyle::Distributed);

        // 3. Conditions
        let room = m.wire("room", used.lt(self.depth));
        let push = m.wire("push", entry.valid() & room);
        let pop = m.wire("pop", used.ne(0) & exit.can_take());

        // 4. Next state
        when(room, || entry.take());
        items.write(clock, push, tail, entry.payload());
        when(push, || tail.set(self.next_index(tail)));
        when(pop, || {
            exit.offer(items.lookup(head));
            head.set(self.next_index(head));
        });
        when(push & !pop, || used.set(used + 1)).else_when(pop & !push, || used.set(used - 1));
    }
}

/// Sends a hundred items through the FIFO.
fn run(sim: &mut dyn Simulator, design: &Design, stalls: Stalls) {
    let sent: Vec<Vec<u64>> = (0..100).map(|item| vec![item]).collect();
    let mut bench = Bench::new(sim, design, Seed::from_env_or(0x5EED), stalls);
    bench.send("entry", sent.iter().cloned());
    bench.run_until(10_000, |bench| bench.received("exit").len() == sent.len());
    assert_eq!(bench.received("exit"), sent);
    println!("{stalls:?}: {} items in {} clocks", sent.len(), bench.clocks());
}

fn main() -> std::io::Result<()> {
    let design = elaborate(&Fifo { width: 16, depth: 5 }).unwrap_or_else(|problems| panic!("{problems}"));
    for stalls in Stalls::ALL {
        let mut evaluator = Evaluator::new(&design).expect("the design has no foreign modules");
        match std::env::args().nth(1) {
            Some(path) => {
                let mut traced = Traced::create(evaluator, Path::new(&path), 0..500)?;
                run(&mut traced, &design, stalls);
                traced.finish()?;
            }
            None => run(&mut evaluator, &design, stalls),
        }
    }
    Ok(())
}
