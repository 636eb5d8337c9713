//! Small hand-written modules through the whole way: verilate, compile, load, step.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use rtl_hdl::sim::Simulator;
use sim_toolchain::{Cache, Toolchain};
use sim_verilator::{Error, Library, ModelSet, ModelSpec, Optimize, PortSpec, Reset};

const COUNTER: &str = "
module counter(input logic clock, input logic reset, input logic enable, output logic [7:0] count, output logic full);
  always_ff @(posedge clock)
    if (reset) count <= 8'd0;
    else if (enable) count <= count + 8'd1;
  assign full = enable && count == 8'hff;
endmodule
";

const MIRROR: &str = "
module mirror(input logic clock, input logic [511:0] in, output logic [511:0] out, input logic [64:0] odd_in,
              output logic [64:0] odd_out, input logic [95:0] name__with, output logic [95:0] private);
  always_ff @(posedge clock) begin
    for (int i = 0; i < 512; i++) out[i] <= in[511 - i];
    odd_out <= ~odd_in;
    private <= name__with;
  end
endmodule
";

const MEMORY: &str = "
module memory(input logic clock, input logic write, input logic [5:0] address, input logic [15:0] in, output logic [15:0] out);
  logic [15:0] store [64];
  always_ff @(posedge clock) begin
    if (write) store[address] <= in;
    out <= store[address];
  end
endmodule
";

const CLOCKS: &str = "
module clocks(input logic a, input logic b, output logic [7:0] in_a, output logic [7:0] in_b, output logic [7:0] a_at_b);
  initial begin in_a = 8'd0; in_b = 8'd0; a_at_b = 8'd0; end
  always_ff @(posedge a) in_a <= in_a + 8'd1;
  always_ff @(posedge b) begin in_b <= in_b + 8'd1; a_at_b <= in_a; end
endmodule
";

const ASSERTING: &str = "
module asserting(input logic clock, input logic good, output logic seen);
  always_ff @(posedge clock) begin
    seen <= good;
    assert (good) else $fatal(1, \"not good\");
  end
endmodule
";

const RESETS: &str = "
module resets(input logic clock, input logic now, input logic [7:0] in, output logic [7:0] held, output logic [7:0] late);
  always_ff @(posedge clock or posedge now)
    if (now) held <= 8'd7;
    else held <= in;
  always_ff @(posedge clock) late <= held;
endmodule
";

fn model(name: &str, verilog: &str, ports: Vec<PortSpec>) -> ModelSpec {
    ModelSpec { name: name.into(), top: name.into(), verilog: verilog.into(), ports }
}

fn counter() -> ModelSpec {
    let ports = vec![
        PortSpec::clock("clock"),
        PortSpec::input("reset", 1),
        PortSpec::input("enable", 1),
        PortSpec::output("count", 8),
        PortSpec::output("full", 1),
    ];
    model("counter", COUNTER, ports)
}

fn set() -> ModelSet {
    let mirror = vec![
        PortSpec::input("odd_in", 65),
        PortSpec::output("odd_out", 65),
        PortSpec::input("name__with", 96),
        PortSpec::output("private", 96),
        PortSpec::clock("clock"),
        PortSpec::input("in", 512),
        PortSpec::output("out", 512),
    ];
    let memory = vec![
        PortSpec::clock("clock"),
        PortSpec::input("write", 1),
        PortSpec::input("address", 6),
        PortSpec::input("in", 16),
        PortSpec::output("out", 16),
    ];
    let clocks = vec![
        PortSpec::clock("a"),
        PortSpec::clock("b"),
        PortSpec::output("in_a", 8),
        PortSpec::output("in_b", 8),
        PortSpec::output("a_at_b", 8),
    ];
    let resets = vec![
        PortSpec::clock("clock"),
        PortSpec::input("now", 1),
        PortSpec::input("in", 8),
        PortSpec::output("held", 8),
        PortSpec::output("late", 8),
    ];
    let asserting = vec![PortSpec::clock("clock"), PortSpec::input("good", 1), PortSpec::output("seen", 1)];
    ModelSet::new("self-test")
        .with(counter())
        .with(model("mirror", MIRROR, mirror))
        .with(model("memory", MEMORY, memory))
        .with(model("clocks", CLOCKS, clocks))
        .with(model("resets", RESETS, resets))
        .with(model("asserting", ASSERTING, asserting))
}

/// The library that the tests share.
fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| set().trace(true).load().unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn counter_counts_and_settles() {
    let mut counter = library().model("counter");
    let [reset, enable, count, full] = ["reset", "enable", "count", "full"].map(|name| counter.port(name));
    counter.poke_u64(reset, 1);
    counter.step();
    counter.poke_u64(reset, 0);
    for expected in 0..255 {
        assert_eq!((counter.peek_u64(count), counter.peek_u64(full)), (expected, 0));
        counter.poke_u64(enable, 1);
        counter.step();
    }
    // `full` follows `enable` within the clock.
    assert_eq!((counter.peek_u64(count), counter.peek_u64(full)), (255, 1));
    counter.poke_u64(enable, 0);
    counter.settle();
    assert_eq!((counter.peek_u64(count), counter.peek_u64(full)), (255, 0));
    counter.run_clocks(1, 10);
    assert_eq!(counter.peek_u64(count), 255);
    counter.poke_u64(enable, 1);
    counter.run_clocks(1, 11);
    assert_eq!(counter.peek_u64(count), 10);
}

/// An edge comes after the inputs have settled, also where an input is a reset that takes effect at once.
#[test]
fn a_reset_at_once_is_there_before_the_edge() {
    let mut model = library().model("resets");
    let [now, input, held, late] = ["now", "in", "held", "late"].map(|name| model.port(name));
    model.poke_u64(input, 3);
    model.step();
    assert_eq!((model.peek_u64(held), model.peek_u64(late)), (3, 0));
    model.poke_u64(now, 1);
    model.step();
    assert_eq!((model.peek_u64(held), model.peek_u64(late)), (7, 7));
}

#[test]
fn wide_ports_keep_every_bit() {
    let mut mirror = library().model("mirror");
    let [input, output] = ["in", "out"].map(|name| mirror.port(name));
    let value: [u64; 8] = std::array::from_fn(|index| 0x0123_4567_89ab_cdef_u64.rotate_left(index as u32 * 5));
    mirror.poke(input, &value);
    mirror.step();
    let expected: Vec<u64> = value.iter().rev().map(|word| word.reverse_bits()).collect();
    assert_eq!(mirror.words(output), expected);
    // Words that are not given are zero.
    mirror.poke_u64(input, 1);
    mirror.step();
    assert_eq!(mirror.words(output), [0, 0, 0, 0, 0, 0, 0, 1 << 63]);
}

#[test]
fn odd_widths_have_no_stray_bits() {
    let mut mirror = library().model("mirror");
    let [input, output] = ["odd_in", "odd_out"].map(|name| mirror.port(name));
    mirror.step();
    assert_eq!(mirror.words(output), [u64::MAX, 1]);
    mirror.poke(input, &[5, 1]);
    mirror.step();
    assert_eq!(mirror.words(output), [!5, 0]);
}

#[test]
fn names_that_cplusplus_or_verilator_reserve_are_reached() {
    let mut mirror = library().model("mirror");
    let [input, output] = ["name__with", "private"].map(|name| mirror.port(name));
    mirror.poke(input, &[7, 0xffff_ffff]);
    mirror.step();
    assert_eq!(mirror.words(output), [7, 0xffff_ffff]);
}

#[test]
#[should_panic(expected = "does not fit into port `odd_in` of 65 bits")]
fn value_wider_than_its_port_is_refused() {
    let mut mirror = library().model("mirror");
    let input = mirror.port("odd_in");
    mirror.poke(input, &[0, 2]);
}

#[test]
#[should_panic(expected = "has no port `enabled`")]
fn unknown_port_is_named() {
    library().model("counter").port("enabled");
}

#[test]
fn clocks_step_alone_and_together() {
    const A: u64 = 1;
    const B: u64 = 2;
    let mut clocks = library().model("clocks");
    let [in_a, in_b, a_at_b] = ["in_a", "in_b", "a_at_b"].map(|name| clocks.port(name));
    clocks.run_clocks(A, 3);
    clocks.step_clocks(B);
    assert_eq!([in_a, in_b, a_at_b].map(|port| clocks.peek_u64(port)), [3, 1, 3]);
    // Both edges at once: `b` sees what `a` was before.
    clocks.step_clocks(A | B);
    assert_eq!([in_a, in_b, a_at_b].map(|port| clocks.peek_u64(port)), [4, 2, 3]);
}

/// The contents of the 64 words of a new memory.
fn contents(reset: Reset) -> Vec<u64> {
    let mut memory = library().model_with("memory", reset);
    let [address, out] = ["address", "out"].map(|name| memory.port(name));
    let read = |index| {
        memory.poke_u64(address, index);
        memory.step();
        memory.peek_u64(out)
    };
    (0..64).map(read).collect()
}

#[test]
fn state_without_reset_starts_as_asked() {
    assert_eq!(contents(Reset::Zeros), [0; 64]);
    assert_eq!(contents(Reset::Ones), [0xffff; 64]);
    assert_eq!(contents(Reset::Seed(1)), contents(Reset::Seed(1)));
    assert_ne!(contents(Reset::Seed(1)), contents(Reset::Seed(2)));
    assert_ne!(contents(Reset::Seed(0)), contents(Reset::Zeros));
}

#[test]
fn instances_do_not_share_state() {
    let mut models: Vec<_> = (0..3).map(|_| library().model("counter")).collect();
    let (enable, count) = (models[0].port("enable"), models[0].port("count"));
    for (model, cycles) in models.iter_mut().zip(1..) {
        model.poke_u64(enable, 1);
        model.run_clocks(1, cycles);
    }
    let counts: Vec<_> = models.iter().map(|model| model.peek_u64(count)).collect();
    assert_eq!(counts, [1, 2, 3]);
}

#[test]
fn eval_time_is_measured_on_request() {
    let mut counter = library().model("counter");
    counter.run_clocks(1, 1000);
    assert_eq!(counter.eval_time(), std::time::Duration::ZERO);
    counter.measure_eval_time();
    // One call of several is timed.
    for _ in 0..10 {
        counter.run_clocks(1, 1000);
    }
    assert!(counter.eval_time() > std::time::Duration::ZERO);
}

#[test]
fn failed_assertion_panics_with_its_place() {
    let mut asserting = library().model("asserting");
    let good = asserting.port("good");
    asserting.poke_u64(good, 1);
    asserting.step();
    asserting.poke_u64(good, 0);
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| asserting.step()));
    let message = *stopped.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("asserting.sv:5") && message.contains("not good"), "{message}");
    // It stays stopped.
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| asserting.step())).is_err());
}

/// The times and values of the variable of this name in a VCD text.
fn changes(vcd: &str, name: &str) -> Vec<(u64, String)> {
    let declared = vcd.lines().find(|line| line.contains("$var") && line.split_whitespace().nth(4) == Some(name));
    let code =
        declared.and_then(|line| line.split_whitespace().nth(3)).expect("the waveform has the variable").to_owned();
    let mut time = 0;
    let mut changes = Vec::new();
    for line in vcd.lines() {
        if let Some(now) = line.strip_prefix('#') {
            time = now.parse().unwrap();
        } else if let Some(value) = line.strip_suffix(&code) {
            changes.push((time, value.trim().to_owned()));
        }
    }
    changes
}

#[test]
fn waveform_shows_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first.vcd", "second.vcd"].map(|name| folder.path().join(name));
    let mut counter = library().model("counter");
    let enable = counter.port("enable");
    counter.poke_u64(enable, 1);
    counter.run_clocks(1, 5);
    counter.trace_open(&first).unwrap();
    counter.run_clocks(1, 2);
    counter.trace_close();
    counter.run_clocks(1, 3);
    counter.trace_open(&second).unwrap();
    counter.step();
    counter.trace_close();

    let bits = |value: u32| format!("b{value:08b}");
    // Five cycles of 4 ns have passed; the rising edge is in the middle of each cycle.
    let vcd = fs::read_to_string(first).unwrap();
    assert_eq!(changes(&vcd, "count"), [(20, bits(5)), (22, bits(6)), (26, bits(7))]);
    let edges = [(20, "0"), (22, "1"), (24, "0"), (26, "1")].map(|(time, level)| (time, level.to_owned()));
    assert_eq!(changes(&vcd, "clock"), edges);
    let vcd = fs::read_to_string(second).unwrap();
    assert_eq!(changes(&vcd, "count"), [(40, bits(10)), (42, bits(11))]);
}

#[test]
fn waveform_needs_a_library_with_waveforms_and_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let library = ModelSet::new("self-test-counter").with(counter()).load().unwrap();
    let error = library.model("counter").trace_open(&folder.path().join("a.vcd")).unwrap_err();
    assert!(error.to_string().contains("built without waveforms"), "{error}");
    let mut traced = self::library().model("counter");
    assert_eq!(traced.trace_open(&folder.path().join("no/a.vcd")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[test]
#[should_panic(expected = "has no clocks 0b100")]
fn unknown_clock_is_named() {
    library().model("clocks").step_clocks(4);
}

/// The same accumulator in the HDL's own words.
fn accumulator() -> rtl_hdl::Design {
    rtl_hdl::elaborate(&rtl_hdl::block_fn("accumulator", |m| {
        let clock = m.clock();
        let value = m.input("value", 70);
        let sum = m.reg("sum", clock, rtl_hdl::zero(70));
        sum.set(sum + value);
        m.output("total", sum);
    }))
    .unwrap()
}

#[test]
fn design_of_the_hdl_becomes_a_model() {
    let library = ModelSet::new("self-test-hdl").with(ModelSpec::of(&accumulator()).named("renamed")).load().unwrap();
    let mut model = library.model("renamed");
    let [reset, value, total] = ["reset", "value", "total"].map(|name| model.port(name));
    model.poke_u64(reset, 1);
    model.step();
    model.poke_u64(reset, 0);
    model.poke(value, &[u64::MAX, 0]);
    model.step();
    model.step();
    assert_eq!(model.words(total), [u64::MAX - 1, 1]);
}

#[test]
fn sets_for_speed_behave_the_same() {
    let library = ModelSet::new("self-test-counter").with(counter()).optimize(Optimize::Run).load().unwrap();
    let mut counter = library.model("counter");
    let (enable, count) = (counter.port("enable"), counter.port("count"));
    counter.poke_u64(enable, 1);
    counter.run_clocks(1, 300);
    assert_eq!(counter.peek_u64(count), 300 - 256);
}

#[test]
fn wrong_verilog_and_wrong_port_lists_are_refused_and_leave_nothing() {
    let shared = Cache::from_env();
    let folder = tempfile::tempdir().unwrap();
    let toolchain = private_toolchain(&shared, folder.path());

    let mut wrong = counter();
    wrong.verilog.push_str("module broken(;");
    let error = ModelSet::new("wrong").with(wrong).load_with(&toolchain).unwrap_err();
    assert!(matches!(&error, Error::Verilate { output, .. } if output.contains("counter.sv:8")), "{error}");

    let mut wrong = counter();
    wrong.ports[3].width = 9;
    let error = ModelSet::new("wrong").with(wrong).load_with(&toolchain).unwrap_err();
    assert!(error.to_string().contains("port `count` has 8 bits in the Verilog and 9"), "{error}");

    let left: Vec<_> =
        fs::read_dir(folder.path().join("models")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left
        .iter()
        .all(|name| !name.to_string_lossy().starts_with("wrong") || name.to_string_lossy().ends_with(".lock")));
}

/// A toolchain with an empty cache of models but the Verilator and run-time library that are there already.
fn private_toolchain(shared: &Cache, folder: &Path) -> Toolchain {
    // Makes sure that the shared cache has them.
    library();
    std::os::unix::fs::symlink(shared.root().join("third-party"), folder.join("third-party")).unwrap();
    fs::create_dir(folder.join("models")).unwrap();
    for entry in fs::read_dir(shared.root().join("models")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("runtime-") {
            std::os::unix::fs::symlink(entry.path(), folder.join("models").join(entry.file_name())).unwrap();
        }
    }
    Toolchain::new(Cache::new(folder))
}

#[test]
fn library_is_built_once_and_again_when_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let toolchain = private_toolchain(&Cache::from_env(), folder.path());
    let set = ModelSet::new("once").with(counter());
    set.load_with(&toolchain).unwrap();
    let file = || {
        let entries = fs::read_dir(folder.path().join("models")).unwrap().map(|entry| entry.unwrap().path());
        let mut entries =
            entries.filter(|path| path.is_dir() && path.file_name().unwrap().to_string_lossy().starts_with("once-"));
        entries.next().unwrap().join("library.so")
    };
    let built = fs::metadata(file()).unwrap().modified().unwrap();
    set.load_with(&toolchain).unwrap();
    assert_eq!(fs::metadata(file()).unwrap().modified().unwrap(), built);

    // Removed and written anew: this process still has the old file mapped.
    fs::remove_file(file()).unwrap();
    fs::write(file(), "half a library").unwrap();
    set.load_with(&toolchain).unwrap();
    assert!(fs::metadata(file()).unwrap().len() > 10_000);

    // Anything that decides the result makes another key.
    set.clone().checks(false).load_with(&toolchain).unwrap();
    let entries = fs::read_dir(folder.path().join("models")).unwrap();
    let built = entries.filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        path.is_dir() && path.file_name().unwrap().to_string_lossy().starts_with("once-")
    });
    assert_eq!(built.count(), 2);
}

#[test]
fn only_the_models_that_changed_are_built() {
    let folder = tempfile::tempdir().unwrap();
    let toolchain = private_toolchain(&Cache::from_env(), folder.path());
    // What is built has a lock beside it.
    let builds = |name: &str| {
        let entries = fs::read_dir(folder.path().join("models")).unwrap().map(|entry| entry.unwrap().file_name());
        entries
            .filter(|file| file.to_string_lossy().starts_with(name) && file.to_string_lossy().ends_with(".lock"))
            .count()
    };
    let first = ModelSet::new("first").with(counter()).with(counter().named("slow"));
    first.load_with(&toolchain).unwrap();
    assert_eq!(builds("first-"), 1);

    // One of them is changed, its port list stays; the other comes second now.
    let mut faster = counter();
    faster.verilog = faster.verilog.replace("count + 8'd1", "count + 8'd3");
    assert_ne!(faster.verilog, counter().verilog);
    let second = ModelSet::new("second").with(faster).with(counter().named("slow"));
    let library = second.load_with(&toolchain).unwrap();
    assert_eq!(builds("second-"), 1);
    let counted = |name: &str| {
        let mut model = library.model(name);
        let enable = model.port("enable");
        model.poke_u64(enable, 1);
        model.step();
        model.peek_u64(model.port("count"))
    };
    assert_eq!([counted("counter"), counted("slow")], [3, 1]);

    // All of them are known now, whatever set asks.
    ModelSet::new("third").with(counter()).load_with(&toolchain).unwrap();
    second.load_with(&toolchain).unwrap();
    assert_eq!([builds("second-"), builds("third-")], [1, 0]);
}

#[test]
fn lint_is_silent_or_says_what_it_minds() {
    sim_verilator::lint(COUNTER, "counter").unwrap();
    let narrow = COUNTER.replace("count == 8'hff", "count");
    let error = sim_verilator::lint(&narrow, "counter").unwrap_err().to_string();
    assert!(error.contains("WIDTHTRUNC") && error.contains("counter.sv:6"), "{error}");
    let error = sim_verilator::lint("module counter(;", "counter").unwrap_err().to_string();
    assert!(error.contains("syntax error"), "{error}");
}
