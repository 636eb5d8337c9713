//! Every check of the elaboration, shown by a mistake: the message names what is involved and the Rust line where it was written.

use rtl_hdl::*;
use std::cell::Cell;

hw_bundle! {
    /// Two fields.
    pub struct Pair {
        /// First.
        pub id: Bits<4>,
        /// Second.
        pub data: Bits<8>,
    }
}

/// Where the mistake is.
struct Line(Cell<u32>);

impl Line {
    /// The mistake is on the line below this call, whose line is `here`.
    fn below(&self, here: u32) {
        self.0.set(here + 1);
    }
}

/// Elaborates a module `wrong` with a mistake in it: there must be a problem in it on the noted line, whose message has all of `words`.
#[track_caller]
fn refuses(words: &[&str], build: impl Fn(&Module, &Line)) {
    let line = Line(Cell::new(0));
    let problems = elaborate(&block_fn("wrong", |m| build(m, &line))).expect_err("the mistake was accepted");
    let found = problems.0.iter().any(|problem| {
        problem.module == "wrong"
            && problem.source.file() == file!()
            && problem.source.line() == line.0.get()
            && words.iter().all(|word| problem.message.contains(word))
    });
    assert!(found, "no problem in line {} with the words {words:?} in:\n{problems}", line.0.get());
    let text = problems.to_string();
    assert!(text.contains(&format!("{}:{}: in module `wrong`", file!(), line.0.get())), "{text}");
}

/// A register whose value is shown: `data` one clock later.
fn delay(name: &str) -> impl Block {
    block_fn(name, |m| {
        let clock = m.clock();
        let held = m.reg("held", clock, zero(8));
        held.set(m.input("data", 8));
        m.output("result", held);
    })
}

/// Adds one, without a clock.
fn increment() -> impl Block {
    block_fn("increment", |m| {
        let data = m.input("data", 8);
        m.output("result", data + 1);
    })
}

#[test]
fn width_mismatch_in_an_operator() {
    refuses(&["width mismatch", "`+`", "`narrow` has 4 bits", "`wide` has 8", "zext"], |m, line| {
        let (narrow, wide) = (m.input("narrow", 4), m.input("wide", 8));
        line.below(line!());
        m.output("sum", narrow + wide);
    });
}

#[test]
fn width_mismatch_in_an_assignment() {
    refuses(&["width mismatch", "`set`", "`sum` has 8 bits", "`narrow` has 4"], |m, line| {
        let (narrow, sum) = (m.input("narrow", 4), m.output_wire("sum", 8));
        line.below(line!());
        sum.set(narrow);
    });
}

#[test]
fn width_mismatch_in_a_mux() {
    refuses(&["width mismatch", "`mux`", "`narrow`", "`wide`"], |m, line| {
        let (narrow, wide, choose) = (m.input("narrow", 4), m.input("wide", 8), m.input("choose", 1));
        line.below(line!());
        m.output("chosen", choose.mux(narrow, wide));
    });
}

#[test]
fn undriven_output() {
    refuses(&["`result` is not driven"], |m, line| {
        line.below(line!());
        m.output_wire("result", 8);
    });
}

#[test]
fn undriven_wire() {
    refuses(&["`between` is not driven"], |m, line| {
        line.below(line!());
        let between = m.wire_of_width("between", 8);
        m.output("result", between);
    });
}

#[test]
fn undriven_input_of_an_instance() {
    refuses(&["`first_data` is not driven"], |m, line| {
        line.below(line!());
        let first = m.instance("first", &increment());
        m.output("result", first.port("result"));
    });
}

#[test]
fn latch() {
    refuses(&["`result`", "latch", "default"], |m, line| {
        let (enable, data) = (m.input("enable", 1), m.input("data", 8));
        line.below(line!());
        let result = m.output_wire("result", 8);
        when(enable, || result.set(data));
    });
}

#[test]
fn latch_in_a_switch_without_a_default() {
    refuses(&["`result`", "latch"], |m, line| {
        let on = m.input("on", 2);
        line.below(line!());
        let result = m.output_wire("result", 8);
        cases(on).on(0u8, || result.set(1)).on(1u8, || result.set(2));
    });
}

#[test]
fn driven_twice() {
    let first = Cell::new(0);
    let build = |m: &Module, line: &Line| {
        let (a, b) = (m.input("a", 8), m.input("b", 8));
        let result = m.output_wire("result", 8);
        first.set(line!() + 1);
        result.set(a);
        line.below(line!());
        result.set(b);
    };
    refuses(&["`result` is driven twice", "never takes effect"], build);
    refuses(&[&format!("{}:{}", file!(), first.get())], build);
}

#[test]
fn driven_under_a_condition_and_then_anyway() {
    refuses(&["`result` is driven twice", "never takes effect"], |m, line| {
        let (a, b) = (m.input("a", 8), m.input("b", 8));
        let result = m.output_wire("result", 8);
        when(a.eq(b), || result.set(a));
        line.below(line!());
        result.set(b);
    });
}

#[test]
fn a_default_before_conditions_is_not_driven_twice() {
    let fine = block_fn("fine", |m| {
        let (a, b) = (m.input("a", 8), m.input("b", 8));
        let result = m.output_wire("result", 8);
        result.set(a);
        when(a.eq(3), || result.set(b));
        when(b.eq(3), || result.set(a + b));
    });
    elaborate(&fine).unwrap();
}

#[test]
fn combinational_loop_in_one_module() {
    refuses(&["combinational loop", "`one`", "`two`", "register"], |m, line| {
        line.below(line!());
        let one = m.wire_of_width("one", 8);
        let two = m.wire("two", one + 1);
        one.set(two ^ m.input("data", 8));
        m.output("result", two);
    });
}

#[test]
fn combinational_loop_through_a_condition() {
    refuses(&["combinational loop", "`enable`"], |m, line| {
        line.below(line!());
        let enable = m.wire_of_width("enable", 1);
        enable.set(false);
        when(enable, || enable.set(m.input("data", 1)));
        m.output("result", enable);
    });
}

#[test]
fn combinational_loop_through_instances() {
    refuses(
        &["combinational loop", "`first_data`", "`first_result`", "`second_data`", "`second_result`"],
        |m, line| {
            line.below(line!());
            let first = m.instance("first", &increment());
            let second = m.instance("second", &increment());
            first.port("data").set(second.port("result"));
            second.port("data").set(first.port("result"));
            m.output("result", first.port("result"));
        },
    );
}

#[test]
fn a_circle_through_a_register_is_no_loop() {
    let fine = block_fn("fine", |m| {
        m.clock();
        let (first, second) = (m.instance("first", &delay("delay")), m.instance("second", &increment()));
        first.port("data").set(second.port("result"));
        second.port("data").set(first.port("result"));
        m.output("result", first.port("result"));
    });
    elaborate(&fine).unwrap();
}

#[test]
fn signal_of_another_module() {
    let stolen = Cell::new(None);
    refuses(&["a signal of 8 bits belongs to another module", "port"], |m, line| {
        let victim = block_fn("victim", |m| {
            let data = m.input("data", 8);
            stolen.set(Some(data));
            m.output("result", data);
        });
        let data = m.input("data", 8);
        m.instance("victim", &victim).port("data").set(data);
        line.below(line!());
        m.output("result", stolen.get().unwrap() + data);
    });
}

#[test]
fn clock_of_another_module() {
    let stolen = Cell::new(None);
    refuses(&["the register `held` uses a clock of another module"], |m, line| {
        let victim = block_fn("victim", |m| {
            stolen.set(Some(m.clock()));
            m.output("result", lit(0u8, 1));
        });
        m.clock();
        m.instance("victim", &victim);
        line.below(line!());
        let held = m.reg_without_reset("held", stolen.get().unwrap(), 8);
        held.set(m.input("data", 8));
    });
}

#[test]
fn duplicate_name() {
    let first = Cell::new(0);
    let build = |m: &Module, line: &Line| {
        first.set(line!() + 1);
        let data = m.input("data", 8);
        line.below(line!());
        m.output("data", data);
    };
    refuses(&["the name `data` is used twice", "another name"], build);
    refuses(&[&format!("{}:{}", file!(), first.get())], build);
}

#[test]
fn name_of_the_module_itself() {
    refuses(&["`wrong` is the name of the module itself", "another name"], |m, line| {
        line.below(line!());
        let wrong = m.input("wrong", 8);
        m.output("shown", wrong);
    });
}

#[test]
fn duplicate_name_made_of_two_parts() {
    refuses(&["the name `stage_data` is used twice"], |m, line| {
        let data = m.input("stage_data", 8);
        line.below(line!());
        let stage = m.instance("stage", &increment());
        stage.port("data").set(data);
        m.output("result", stage.port("result"));
    });
}

#[test]
fn keyword() {
    refuses(&["`output` is a keyword"], |m, line| {
        line.below(line!());
        m.output("output", lit(0u8, 1));
    });
}

#[test]
fn name_that_verilog_does_not_know() {
    refuses(&["`two words` cannot be a name"], |m, line| {
        line.below(line!());
        m.output("two words", lit(0u8, 1));
    });
}

#[test]
fn name_of_a_module_that_verilog_does_not_know() {
    let problems = elaborate(&block_fn("module", |m| m.output("result", lit(0u8, 1)))).unwrap_err();
    assert!(problems.to_string().contains("`module` cannot be the name of a module"), "{problems}");
}

#[test]
fn clock_domains_meet_in_a_wire() {
    refuses(&["`a` (clock `fast`)", "`b` (clock `slow`)", "rtl_prim::cdc"], |m, line| {
        let (fast, slow) = (m.named_clock("fast", None), m.named_clock("slow", None));
        let (a, b) = (m.reg_without_reset("a", fast, 8), m.reg_without_reset("b", slow, 8));
        a.set(m.input_of("a_next", 8, fast));
        b.set(m.input_of("b_next", 8, slow));
        line.below(line!());
        m.output("sum", a + b);
    });
}

#[test]
fn clock_domains_meet_in_a_register() {
    refuses(&["`a` (clock `fast`)", "`b` (clock `slow`)", "rtl_prim::cdc"], |m, line| {
        let (fast, slow) = (m.named_clock("fast", None), m.named_clock("slow", None));
        let a = m.reg_without_reset("a", fast, 8);
        a.set(m.input_of("a_next", 8, fast));
        line.below(line!());
        let b = m.reg_without_reset("b", slow, 8);
        b.set(a);
        m.output("result", b);
    });
}

#[test]
fn clock_domains_meet_in_a_condition() {
    refuses(&["`enable` (clock `fast`)", "`b` (clock `slow`)"], |m, line| {
        let (fast, slow) = (m.named_clock("fast", None), m.named_clock("slow", None));
        let enable = m.input_of("enable", 1, fast);
        line.below(line!());
        let b = m.reg_without_reset("b", slow, 8);
        when(enable, || b.set(b + 1));
        m.output("result", b);
    });
}

#[test]
fn clock_domains_meet_at_an_instance() {
    refuses(&["`data` (clock `fast`)", "`stage_data` (clock `slow`)"], |m, line| {
        let (fast, slow) = (m.named_clock("fast", None), m.named_clock("slow", Some("slow_reset")));
        let data = m.input_of("data", 8, fast);
        line.below(line!());
        let stage = m.instance_with_clocks("stage", &delay("delay"), &[slow]);
        stage.port("data").set(data);
        m.output("result", stage.port("result"));
    });
}

#[test]
fn clock_domains_meet_in_what_an_instance_says() {
    refuses(&["`stage_result` (clock `slow`)", "`data` (clock `fast`)"], |m, line| {
        let (fast, slow) = (m.named_clock("fast", None), m.named_clock("slow", Some("slow_reset")));
        let data = m.input_of("data", 8, fast);
        let stage = m.instance_with_clocks("stage", &delay("delay"), &[slow]);
        stage.port("data").set(m.input_of("input_of_stage", 8, slow));
        line.below(line!());
        m.output("result", stage.port("result") & data);
    });
}

#[test]
fn clock_domains_meet_in_a_write_port() {
    refuses(&["`data` (clock `fast`)", "clock `slow`"], |m, line| {
        let (fast, slow) = (m.named_clock("fast", None), m.named_clock("slow", None));
        let (data, address) = (m.input_of("data", 8, fast), m.input_of("address", 4, slow));
        let store = m.memory("store", 8, 16, MemoryStyle::Auto);
        line.below(line!());
        store.write(slow, lit(1u8, 1), address, data);
        m.output("result", store.read(slow, "read_data", address));
    });
}

#[test]
fn clock_domains_meet_between_the_ports_of_a_memory() {
    refuses(&["(clock `fast`)", "`read_data` (clock `slow`)"], |m, line| {
        let (fast, slow) = (m.named_clock("fast", None), m.named_clock("slow", None));
        let (data, address) = (m.input_of("data", 8, fast), m.input_of("address", 4, fast));
        let store = m.memory("store", 8, 16, MemoryStyle::Auto);
        store.write(fast, lit(1u8, 1), address, data);
        line.below(line!());
        m.output("result", store.read(slow, "read_data", m.input_of("read_address", 4, slow)));
    });
}

#[test]
fn clock_domains_meet_in_a_lookup() {
    refuses(&["`read_address` (clock `slow`)", "clock `fast`"], |m, line| {
        let (fast, slow) = (m.named_clock("fast", None), m.named_clock("slow", None));
        let (data, address) = (m.input_of("data", 8, fast), m.input_of("address", 4, fast));
        let store = m.memory("store", 8, 16, MemoryStyle::Distributed);
        store.write(fast, lit(1u8, 1), address, data);
        let read_address = m.input_of("read_address", 4, slow);
        line.below(line!());
        m.output("result", store.lookup(read_address));
    });
}

#[test]
fn asynchronous_input_in_a_register() {
    refuses(&["`button` (an asynchronous input)", "`held` (clock `clock`)"], |m, line| {
        let clock = m.clock();
        let button = m.input_async("button", 1);
        line.below(line!());
        let held = m.reg("held", clock, false);
        held.set(button);
        m.output("result", held);
    });
}

#[test]
fn a_crossing_block_may_join_clock_domains() {
    let fine = block_fn("synchronizer", |m| {
        let clock = m.clock();
        let synchronized = m.synchronize("synchronized_bit", clock, m.input_async("input_bit", 1), 2, Some(false));
        m.output("synchronized", synchronized.value());
    });
    elaborate(&fine).unwrap();
}

#[test]
fn unknown_port() {
    refuses(&["the instance `stage` of `increment` has no port `dtaa`", "data, result"], |m, line| {
        let stage = m.instance("stage", &increment());
        stage.port("data").set(m.input("data", 8));
        line.below(line!());
        m.output("result", stage.port("dtaa"));
    });
}

fn source<T: Shape + 'static>(name: &str) -> impl Block {
    block_fn(name, |m| {
        m.clock();
        let item = m.input_as::<T>("item");
        let out = m.stream_out::<T>("out");
        when(out.can_take(), || out.offer(item));
    })
}

fn sink<T: Shape + 'static>(name: &str) -> impl Block {
    block_fn(name, |m| {
        m.clock();
        m.stream_in::<T>("entry").take();
    })
}

#[test]
fn unknown_stream() {
    refuses(&["the instance `to` of `sink` has no stream `entri`; it has entry"], |m, line| {
        m.clock();
        let (from, to) = (m.instance("from", &source::<Pair>("source")), m.instance("to", &sink::<Pair>("sink")));
        line.below(line!());
        m.connect(&from, "out", &to, "entri");
    });
}

#[test]
fn streams_of_different_payload() {
    refuses(&["`from.out`", "id: 4, data: 8", "`to.entry`", "cannot be joined"], |m, line| {
        m.clock();
        let (from, to) = (m.instance("from", &source::<Pair>("source")), m.instance("to", &sink::<Bits<12>>("sink")));
        line.below(line!());
        m.connect(&from, "out", &to, "entry");
    });
}

#[test]
fn streams_of_one_direction() {
    refuses(&["`from.out` (Output", "`to.out` (Output", "cannot be joined"], |m, line| {
        m.clock();
        let (from, to) = (m.instance("from", &source::<Pair>("source")), m.instance("to", &source::<Pair>("source")));
        line.below(line!());
        m.connect(&from, "out", &to, "out");
    });
}

struct Recursive;

impl Block for Recursive {
    fn name(&self) -> String {
        "recursive".into()
    }
    fn build(&self, m: &Module) {
        m.instance("inner", &Recursive);
    }
}

#[test]
fn recursion() {
    let problems = elaborate(&Recursive).unwrap_err();
    assert!(problems.to_string().contains("the module `recursive` contains itself"), "{problems}");
}

#[test]
fn two_different_modules_of_one_name() {
    let stage = |width: u32| block_fn("stage", move |m| m.output("result", m.input("data", width)));
    let problems = elaborate(&block_fn("wrong", |m| {
        for width in [8, 9] {
            let stage = m.instance(&format!("stage{width}"), &stage(width));
            stage.port("data").set(m.input(&format!("data{width}"), width));
        }
    }))
    .unwrap_err();
    assert!(
        problems.to_string().contains("two different modules are named `stage`: put what differs into `Block::name`"),
        "{problems}"
    );
}

#[test]
fn two_modules_that_differ_in_their_body_only() {
    let stage = |add: bool| {
        block_fn("stage", move |m| {
            let (a, b, result) = (m.input("a", 8), m.input("b", 8), m.output_wire("result", 8));
            result.set(if add { a } else { b });
        })
    };
    let problems = elaborate(&block_fn("wrong", |m| {
        for (index, add) in [true, false].into_iter().enumerate() {
            let stage = m.instance(&format!("stage{index}"), &stage(add));
            for port in ["a", "b"] {
                stage.port(port).set(m.input(&format!("{port}{index}"), 8));
            }
        }
    }))
    .expect_err("the mistake was accepted");
    assert!(problems.to_string().contains("two different modules are named `stage`"), "{problems}");
}

#[test]
fn one_module_from_two_places_is_one_module() {
    let one = block_fn("stage", |m| m.output("result", m.input("data", 8)));
    let other = block_fn("stage", |m| m.output("result", m.input("data", 8)));
    let design = elaborate(&block_fn("fine", |m| {
        for (name, stage) in [("one", m.instance("one", &one)), ("other", m.instance("other", &other))] {
            stage.port("data").set(m.input(&format!("{name}_in"), 8));
        }
    }))
    .unwrap();
    assert_eq!(design.modules.len(), 2);
}

#[test]
fn literal_too_large() {
    refuses(&["the literal 300 does not fit 8 bits"], |m, line| {
        let data = m.input("data", 8);
        line.below(line!());
        m.output("result", data + 300);
    });
}

#[test]
fn negative_literal() {
    refuses(&["the literal -1 does not fit 8 bits"], |m, line| {
        let data = m.input("data", 8);
        line.below(line!());
        m.output("result", data + -1);
    });
}

#[test]
fn bits_out_of_range() {
    refuses(&["bits 4..9 are not inside `data`, which has 8"], |m, line| {
        let data = m.input("data", 8);
        line.below(line!());
        m.output("result", data.bits(4..9));
    });
}

#[test]
fn extension_to_fewer_bits() {
    refuses(&["`zext` to 4 bits of `data`, which has 8", "low"], |m, line| {
        let data = m.input("data", 8);
        line.below(line!());
        m.output("result", data.zext(4));
    });
}

#[test]
fn words_that_do_not_fill_a_value() {
    refuses(&["`data` has 8 bits, not 2^2 words of 3 bits"], |m, line| {
        let (data, index) = (m.input("data", 8), m.input("index", 2));
        line.below(line!());
        m.output("result", data.word(index, 3));
    });
}

#[test]
fn more_choices_than_an_index_reaches() {
    refuses(&["`select` of 3 choices by an index of 1 bits"], |m, line| {
        let (data, index) = (m.input("data", 8), m.input("index", 1));
        line.below(line!());
        m.output("result", select(&[data, data, data], index));
    });
}

#[test]
fn condition_of_several_bits() {
    refuses(&["a condition has one bit, and `data` has 8", "any()"], |m, line| {
        let data = m.input("data", 8);
        let result = m.output_wire("result", 8);
        result.set(0);
        line.below(line!());
        when(data, || result.set(1));
    });
}

#[test]
fn path_across_the_boundary() {
    refuses(&["the output `result` follows `data` within a clock", "register it", "_comb"], |m, line| {
        let clock = m.clock();
        let held = m.reg("held", clock, zero(8));
        let data = m.input("data", 8);
        held.set(data);
        line.below(line!());
        m.output("result", held + data);
    });
}

#[test]
fn path_across_the_boundary_through_an_instance() {
    refuses(&["the output `result` follows `data` within a clock"], |m, line| {
        m.clock();
        let stage = m.instance("stage", &increment());
        stage.port("data").set(m.input("data", 8));
        line.below(line!());
        m.output("result", stage.port("result"));
    });
}

#[test]
fn a_path_that_is_meant_is_allowed() {
    let by_name = block_fn("by_name", |m| {
        m.clock();
        m.output("grant_comb", m.input("request", 1));
    });
    let by_reason = block_fn("by_reason", |m| {
        m.clock();
        m.allow_combinational("wiring");
        m.output("grant", m.input("request", 1));
    });
    elaborate(&by_name).unwrap();
    elaborate(&by_reason).unwrap();
}

#[test]
fn element_that_is_never_set() {
    refuses(&["element 1 of `held` is never set", "constant"], |m, line| {
        let clock = m.clock();
        line.below(line!());
        let held = m.reg_array("held", clock, 3, zero(8));
        for index in [0, 2] {
            held.set(index, m.input(&format!("data_{index}"), 8));
        }
        m.output("result", held.at(1));
    });
}

#[test]
fn register_that_is_never_set() {
    refuses(&["the register `held` is never set", "constant"], |m, line| {
        let clock = m.clock();
        line.below(line!());
        let held = m.reg("held", clock, zero(8));
        m.output("result", held);
    });
}

#[test]
fn reset_value_without_a_reset() {
    refuses(&["the register `held` has a reset value but its clock has no reset", "reg_without_reset"], |m, line| {
        let clock = m.named_clock("clock", None);
        line.below(line!());
        let held = m.reg("held", clock, zero(8));
        held.set(held + 1);
    });
}

#[test]
fn reset_value_that_is_not_constant() {
    refuses(&["the reset value of `held` is not a constant"], |m, line| {
        let clock = m.clock();
        let data = m.input("data", 8);
        line.below(line!());
        let held = m.reg("held", clock, data);
        held.set(held + 1);
    });
}

#[test]
fn assignment_to_an_input() {
    refuses(&["`data` cannot be assigned"], |m, line| {
        let data = m.input("data", 8);
        line.below(line!());
        data.set(0);
    });
}

#[test]
fn instance_without_a_clock_of_that_name() {
    refuses(
        &["the instance `stage` has a clock `clock` and this module has none", "instance_with_clocks"],
        |m, line| {
            let (fast, _) = (m.named_clock("fast", Some("fast_reset")), m.named_clock("slow", None));
            let data = m.input_of("data", 8, fast);
            line.below(line!());
            let stage = m.instance("stage", &delay("delay"));
            stage.port("data").set(data);
        },
    );
}

#[test]
fn instance_without_the_reset_that_it_needs() {
    refuses(&["the clock `clock` of the instance `stage` needs a reset"], |m, line| {
        let bare = m.named_clock("bare", None);
        let data = m.input_of("data", 8, bare);
        line.below(line!());
        let stage = m.instance_with_clocks("stage", &delay("delay"), &[bare]);
        stage.port("data").set(data);
    });
}

#[test]
fn memory_address_of_the_wrong_width() {
    refuses(&["the read address of `store` is 8 bits wide; 16 words need 4 bits"], |m, line| {
        let clock = m.clock();
        let store = m.memory_with_contents("store", 8, 16, MemoryStyle::Auto, vec![zero(8)]);
        let address = m.input("address", 8);
        line.below(line!());
        m.output("result", store.read(clock, "read_data", address));
    });
}

#[test]
fn memory_write_of_the_wrong_width() {
    refuses(&["a write of 9 bits", "`store`, whose words have 8 bits"], |m, line| {
        let clock = m.clock();
        let store = m.memory("store", 8, 16, MemoryStyle::Auto);
        let (address, data) = (m.input("address", 4), m.input("data", 9));
        line.below(line!());
        store.write(clock, lit(1u8, 1), address, data);
    });
}

#[test]
fn combinational_read_of_a_block_ram() {
    refuses(&["the block RAM `store` cannot be read combinationally"], |m, line| {
        let store = m.memory_with_contents("store", 8, 16, MemoryStyle::Block, vec![zero(8)]);
        let address = m.input("address", 4);
        line.below(line!());
        m.output("result", store.lookup(address));
    });
}

#[test]
fn memory_that_nothing_fills() {
    refuses(&["the memory `store` is never written and has no initial contents"], |m, line| {
        line.below(line!());
        let store = m.memory("store", 8, 16, MemoryStyle::Auto);
        m.output("result", store.lookup(m.input("address", 4)));
    });
}

#[test]
fn memory_contents_that_do_not_fit() {
    refuses(&["the initial contents of `store` must be at most 2 words of 8 bits"], |m, line| {
        line.below(line!());
        let store = m.memory_with_contents("store", 8, 2, MemoryStyle::Auto, vec![zero(8); 3]);
        m.output("result", store.lookup(m.input("address", 1)));
    });
}

#[test]
fn case_that_is_there_twice() {
    refuses(&["the case 2'h1 is there twice"], |m, line| {
        let (on, result) = (m.input("on", 2), m.output_wire("result", 8));
        result.set(0);
        let choice = cases(on).on(1u8, || result.set(1));
        line.below(line!());
        choice.on(1u8, || result.set(2));
    });
}

#[test]
fn case_that_cannot_occur() {
    refuses(&["the literal 4 does not fit 2 bits"], |m, line| {
        let (on, result) = (m.input("on", 2), m.output_wire("result", 8));
        result.set(0);
        line.below(line!());
        cases(on).on(4u8, || result.set(1));
    });
}

#[test]
fn signal_without_bits() {
    refuses(&["`nothing` is 0 bits wide"], |m, line| {
        line.below(line!());
        m.input("nothing", 0);
    });
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let problems = elaborate(&block_fn("wrong", |m| {
        let (narrow, wide) = (m.input("narrow", 4), m.input("wide", 8));
        m.output("sum", narrow + wide);
        m.output("too_far", wide.bit(8));
        m.output_wire("open", 1);
    }))
    .unwrap_err();
    assert_eq!(problems.0.len(), 3, "{problems}");
}

#[test]
fn optional_fields_are_given_where_they_are() {
    hw_bundle! {
        /// A field of each kind.
        struct Both {
            /// Always there.
            data: Bits<8>,
        }
    }
    #[derive(Clone, Copy)]
    struct Item {
        both: Both,
        last: Option<Signal>,
    }
    impl Value for Item {
        fn leaves(&self) -> Vec<Signal> {
            [self.both.leaves(), self.last.leaves()].concat()
        }
        fn rebuild(&self, leaves: &mut dyn Iterator<Item = Signal>) -> Self {
            Item { both: self.both.rebuild(leaves), last: self.last.rebuild(leaves) }
        }
        fn suffixes(&self) -> Vec<String> {
            let last = self.last.suffixes().iter().map(|_| "_last".to_string()).collect();
            [self.both.suffixes(), last].concat()
        }
    }
    let stream = |m: &Module, has_last: bool| {
        m.stream_out_with("out", Naming::Underscore, |make| Item {
            both: Both { data: make("data", 8) },
            last: has_last.then(|| make("last", 1)),
        })
    };
    let item = |m: &Module, has_last: bool| Item {
        both: Both { data: m.input("data", 8) },
        last: has_last.then(|| m.input("last", 1)),
    };
    for has_last in [false, true] {
        let right = block_fn("right", |m| {
            m.clock();
            let out = stream(m, has_last);
            let item = item(m, has_last);
            when(out.can_take(), || out.offer(item));
        });
        let design = elaborate(&right).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(design.top().port("out_last").is_some(), has_last);
        refuses(&["optional fields that the configuration has", "data, last"], |m, line| {
            m.clock();
            let out = stream(m, has_last);
            let item = item(m, !has_last);
            line.below(line!());
            out.offer(item);
        });
    }
}
