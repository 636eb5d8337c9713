//! Chosen designs in the evaluator and as Verilated SystemVerilog at once: what random modules do not have.

use rtl_hdl::bench::{Bench, Lockstep, Seed, Stalls};
use rtl_hdl::sim::Simulator;
use rtl_hdl::*;
use sim_verilator::{lint, Library, ModelSet, ModelSpec};
use std::sync::OnceLock;

#[allow(dead_code)] // Its `main` is for people.
#[path = "../examples/fifo.rs"]
mod fifo;

const VENDOR: &str = "
module vendor_counter #(parameter logic [7:0] STEP = 8'd1) (
  input logic clk, input logic rst, input logic enable, output logic [7:0] count, output logic enable_n
);
  assign enable_n = ~enable;
  always_ff @(posedge clk) if (rst) count <= 8'd0; else if (enable) count <= count + STEP;
endmodule
";

/// What [`VENDOR`] does.
struct VendorModel {
    step: u64,
    count: u64,
}

impl ForeignModel for VendorModel {
    fn output(&self, output: &str, input: &dyn Fn(&str) -> Constant) -> Constant {
        match output {
            "count" => Constant::from_words(8, &[self.count]),
            _ => Constant::from_words(1, &[!input("enable").words()[0]]),
        }
    }
    fn edge(&mut self, _: u64, input: &dyn Fn(&str) -> Constant) {
        if input("rst").bit(0) {
            self.count = 0;
        } else if input("enable").bit(0) {
            self.count += self.step;
        }
    }
}

/// Two vendor counters, one of which enables the other by its combinational output.
fn vendor() -> Design {
    let foreign = Foreign::new("vendor_counter")
        .parameter("STEP", Constant::new(3, 8).unwrap())
        .clock("clk", Some("rst"))
        .input("enable", 1)
        .output("count", 8)
        .output("enable_n", 1)
        .combinational("enable_n", &["enable"])
        .verilog(VENDOR);
    let block = block_fn("vendor", |m| {
        let clock = m.clock();
        m.allow_combinational("a foreign module has such a path");
        let (first, second) = (m.foreign("first", &foreign, &[clock]), m.foreign("second", &foreign, &[clock]));
        first.port("enable").set(m.input("enable", 1));
        second.port("enable").set(first.port("enable_n"));
        for instance in [&first, &second] {
            m.output(&format!("{}_result", instance.name()), instance.port("count"));
        }
        m.output("inverted", second.port("enable_n"));
    });
    elaborate(&block).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Arithmetic, shifts, slices and memories of 2048 bits.
fn wide() -> Design {
    let block = block_fn("wide", |m| {
        const WIDTH: u32 = 2048;
        let clock = m.clock();
        let (a, b, amount) = (m.input("a", WIDTH), m.input("b", WIDTH), m.input("amount", 12));
        let store = m.memory("store", WIDTH, 4, MemoryStyle::Auto);
        let address = amount.low(2);
        store.write_lanes(clock, amount.bit(3), address, a, b.low(256));
        m.output("read", store.read(clock, "read_data", address));
        for (name, value) in [
            ("sum", a + b),
            ("difference", a - b),
            ("shifted_up", a.shl(amount)),
            ("shifted_down", a.shr(amount)),
            ("part", a.word(amount.low(5), WIDTH / 32)),
            ("swapped", cat(&[a.low(1000), a.bits(1000..WIDTH)])),
            ("less", a.lt(b)),
            ("chosen", a.parity().mux(a, b)),
        ] {
            let held = m.reg_without_reset(&format!("{name}_held"), clock, value.width());
            held.set(value);
            m.output(name, held);
        }
    });
    elaborate(&block).unwrap_or_else(|problems| panic!("{problems}"))
}

fn queue() -> Design {
    elaborate(&fifo::Fifo { width: 70, depth: 5 }).unwrap_or_else(|problems| panic!("{problems}"))
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let designs = [vendor(), wide(), queue()];
        let set = designs.iter().fold(ModelSet::new("rtl-hdl"), |set, design| set.with(ModelSpec::of(design)));
        set.load().unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Both simulators of a design; they are compared in every clock.
fn both(design: &Design, options: Options) -> impl Simulator {
    let evaluator = Evaluator::with(design, options).unwrap_or_else(|error| panic!("{error}"));
    Lockstep::new(design, ("evaluator", evaluator), ("Verilated", library().model(&design.top().name)))
}

#[test]
fn foreign_modules_with_their_parameters() {
    let design = vendor();
    let options = Options::default().foreign("vendor_counter", || Box::new(VendorModel { step: 3, count: 0 }));
    let mut sim = both(&design, options);
    let (enable, second) = (sim.port("enable"), sim.port("second_result"));
    let mut rng = Seed::from_env_or(0x5EED).rng("enable");
    for _ in 0..200 {
        sim.poke_u64(enable, rng.bool() as u64);
        sim.settle();
        sim.step();
    }
    assert_ne!(sim.peek_u64(second), 0, "something happened");
}

#[test]
fn wide_values() {
    let design = wide();
    let mut sim = both(&design, Options::default());
    let ports = [("a", 2048), ("b", 2048), ("amount", 12)].map(|(name, width)| (sim.port(name), width));
    let mut rng = Seed::from_env_or(0x5EED).rng("wide");
    for _ in 0..300 {
        for (port, width) in ports {
            sim.poke(port, &rng.bits(width));
        }
        sim.step();
    }
}

#[test]
fn a_queue_under_every_stall_pattern() {
    let design = queue();
    for stalls in Stalls::ALL {
        let seed = Seed::from_env_or(0x5EED);
        let mut rng = seed.rng("items");
        let sent: Vec<Vec<u64>> = (0..300).map(|_| rng.bits(70)).collect();
        let mut sim = both(&design, Options::default());
        let mut bench = Bench::new(&mut sim, &design, seed, stalls);
        bench.send("entry", sent.iter().cloned());
        bench.run_until(20_000, |bench| bench.received("exit").len() == sent.len());
        assert_eq!(bench.received("exit"), sent, "{stalls:?}");
    }
}

#[test]
fn lint_is_silent() {
    for design in [wide(), queue()] {
        let spec = ModelSpec::of(&design);
        lint(&spec.verilog, &spec.top).unwrap_or_else(|error| panic!("{error}"));
    }
}
