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
    let foreign = Foreign::from_verilog("vendor_counter", VENDOR)
        .parameter("STEP", 3)
        .clock("clk")
        .reset("rst")
        .combinational("enable_n", &["enable"]);
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

/// What properties, arrays, signs and asynchronous resets look like to Verilator.
fn breadth() -> Design {
    let block = block_fn("breadth", |m| {
        let clock = m.clock();
        let (a, b, amount) =
            (m.input_as::<SignedBits<70>>("a"), m.input_as::<SignedBits<70>>("b"), m.input("amount", 8));
        let write = m.input("write", 1);
        // Signs, inside of expressions without one.
        let shown = m.reg("shown", clock, zero(70));
        shown.set((a.shr(amount).bits() ^ b.bits()) + a.lt(b).mux(a.bits(), 3));
        m.output("shifted", shown);
        let product = m.reg("product", clock, zero(140));
        product.set(a.product(b).bits());
        m.output("multiplied", product);
        // By constants, and farther than there are bits.
        let far = |amount: u32| constant(&Constant::from_words(32, &[amount.into()]));
        m.output("shifted_a_little", (shown.shl(far(3)) ^ shown.shr(far(7))).low(70));
        m.output("shifted_out", shown.as_signed().shr(far(u32::MAX)).bits() ^ shown.shl(far(1 << 31)));
        // Arrays of one bit, of one element, and of a number of elements that is no power of two.
        let flags = m.reg_array("flags", clock, 8, false);
        let only = m.reg_array("only", clock, 1, zero(7));
        let some = m.reg_array("some", clock, 5, zero(70));
        when(write, || {
            flags.set(amount.low(3), amount.bit(3));
            only.set(amount.bit(4), amount.low(7));
            some.set(amount.low(3), a.bits());
            some.set(2, b.bits());
        })
        .else_when(amount.bit(7), || some.set_all(a.bits()));
        m.output("flag", flags.at(5));
        m.output("the_only", only.at(0));
        let read = m.reg("read", clock, zero(70));
        read.set(some.get(amount.low(3)));
        m.output("one_of_some", read);
        // A reset at once, and what holds.
        let held = m.reg("held", clock.with_async_reset(m.input_async("now", 1)), zero(70));
        held.set(held ^ a.bits());
        let again = m.reg("again", clock, zero(70));
        again.set(held);
        m.output("held_later", again);
        let last = m.reg("last", clock, zero(70));
        last.set(a.bits());
        m.assert(clock, "what_is_read_was_written", write.implies(write | last.eq(a.bits())));
        m.cover(clock, "all_flags", flags.elements().into_iter().reduce(|a, b| a & b).expect("eight"));
    });
    elaborate(&block).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Two clocks on one dual-port RAM.
fn dual_port() -> Design {
    let block = block_fn("dual_port", |m| {
        let clocks = [m.named_clock("left", None), m.named_clock("right", None)];
        let memory =
            m.memory("words", 32, 16, MemoryStyle::Block).without_collisions().crosses_clocks("the test is careful");
        for (port, clock) in ["a", "b"].iter().zip(clocks) {
            let input = |name: &str, width| m.input_of(&format!("{port}_{name}"), width, clock);
            let (lanes, read, address) = (input("lanes", 4), input("read", 1), input("address", 4));
            memory.write_lanes(clock, lit(1u8, 1), address, input("data", 32), lanes);
            m.output(
                &format!("{port}_shown"),
                memory.read_when(clock, &format!("{port}_word"), read & !lanes.any(), address),
            );
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
        let designs = [vendor(), wide(), queue(), breadth(), dual_port(), failing()];
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

/// An assertion that `bad` breaks.
fn failing() -> Design {
    let block = block_fn("failing", |m| {
        let clock = m.clock();
        m.assert(clock, "never_bad", !m.input("bad", 1));
        m.output("nothing", lit(0u8, 1));
    });
    elaborate(&block).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn signs_arrays_and_resets() {
    let design = breadth();
    let mut sim = both(&design, Options::default());
    let ports = [("a", 70), ("b", 70), ("amount", 8), ("write", 1)].map(|(name, width)| (sim.port(name), width));
    let [now, reset] = ["now", "reset"].map(|name| sim.port(name));
    let mut rng = Seed::from_env_or(0x5EED).rng("breadth");
    for _ in 0..2000 {
        for (port, width) in ports {
            sim.poke(port, &rng.bits(width));
        }
        sim.poke_u64(reset, u64::from(rng.percent(2)));
        if rng.percent(10) {
            sim.poke_u64(now, 1);
            sim.settle();
        }
        if rng.percent(50) {
            sim.poke_u64(now, 0);
            sim.settle();
        }
        sim.step();
    }
}

#[test]
fn a_ram_of_two_clocks() {
    let design = dual_port();
    let mut sim = both(&design, Options::default());
    let mut rng = Seed::from_env_or(0x5EED).rng("dual port");
    for _ in 0..2000 {
        let addresses = [rng.below(16), rng.below(16)];
        // Where they would meet, neither writes.
        let lanes = [(); 2].map(|()| if addresses[0] == addresses[1] { 0 } else { rng.below(16) });
        for (i, port) in ["a", "b"].into_iter().enumerate() {
            let name = |field: &str| format!("{port}_{field}");
            for (field, value) in
                [("lanes", lanes[i]), ("address", addresses[i]), ("read", rng.below(2)), ("data", rng.below(1 << 32))]
            {
                sim.poke_u64(sim.port(&name(field)), value);
            }
        }
        sim.step_clocks(rng.range(1..4));
    }
}

#[test]
#[should_panic(expected = "never_bad")]
fn a_broken_assertion_stops_the_verilated_model() {
    let mut model = library().model("failing");
    let bad = model.port("bad");
    model.poke_u64(bad, 1);
    model.step();
}

/// What nothing reads is hardware all the same, and so is what it shares with a property.
#[test]
fn hardware_does_not_need_what_only_properties_have() {
    let block = block_fn("shares", |m| {
        let clock = m.clock();
        let (a, b) = (m.input("a", 8), m.input("b", 8));
        let shared = a ^ b;
        m.wire("unread", shared);
        m.assert(clock, "same", shared.eq(shared));
        m.output("nothing", lit(0u8, 1));
    });
    let design = elaborate(&block).unwrap_or_else(|problems| panic!("{problems}"));
    let text = &emit(&design)[0].text;
    let hardware = text.split("`ifndef SYNTHESIS").next().expect("a text has a beginning");
    assert!(hardware.contains("assign unread = _t0;"), "{text}");
    assert!(hardware.contains("_t0 = a ^ b;"), "{text}");
}

#[test]
fn lint_is_silent() {
    for design in [wide(), queue(), breadth(), dual_port(), failing()] {
        let spec = ModelSpec::of(&design);
        lint(&spec.verilog, &spec.top).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// What a stream needs is written for the block that has the stream: its line stands above it, and not one of the language.
#[test]
fn everything_of_a_stream_names_the_line_of_its_block() {
    let block = block_fn("pass_on", |m| {
        m.clock();
        let (first, second) = (m.stream_in_bits("in", 8), m.stream_in_bits("in_single", 8));
        let (out, single) = (
            m.stream_out_bits("out", 8),
            m.stream_out_single_with("single", Naming::Underscore, |make| make("data", 8)),
        );
        when(out.can_take(), || first.take());
        when(first.taken(), || out.offer(first.payload()));
        when(single.can_take(), || second.take());
        when(second.taken(), || single.offer(second.payload()));
    });
    let text = emit(&elaborate(&block).unwrap()).remove(0).text;
    let places: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("// ")?.1.split_once(".rs:")).map(|(file, _)| file).collect();
    assert!(places.len() > 10 && places.iter().all(|file| *file == "rtl/hdl/tests/verilated"), "{text}");
}

/// yosys ends with an internal error at a pin that is a signed shift; random designs have found it.
#[test]
fn a_signed_shift_does_not_stand_at_a_pin() {
    let inner = block_fn("inner", |m| {
        let value = m.input("value", 4);
        m.output("copy", value);
    });
    let design = elaborate(&block_fn("outer", |m| {
        let (value, amount) = (m.input("value", 4), m.input("amount", 2));
        let inner = m.instance("inner", &inner);
        inner.port("value").set(value.as_signed().shr(amount).bits());
        m.output("result", inner.port("copy"));
    }))
    .unwrap();
    let files = emit(&design);
    let text = &files.iter().find(|file| file.name == "outer.sv").unwrap().text;
    assert!(text.contains(">>>") && text.contains(".value(_t0)"), "{text}");
}
