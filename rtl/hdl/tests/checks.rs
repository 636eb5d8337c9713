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

/// Elaborates a module `wrong` with one mistake in it: there must be one message, about it, on the noted line, that has all of `words`.
#[track_caller]
fn refuses(words: &[&str], build: impl Fn(&Module, &Line)) {
    let line = Line(Cell::new(0));
    let problems = elaborate(&block_fn("wrong", |m| build(m, &line))).expect_err("the mistake was accepted");
    let [problem] = &problems.0[..] else { panic!("one mistake, {} messages:\n{problems}", problems.0.len()) };
    assert_eq!((problem.module.as_str(), problem.source.file()), ("wrong", file!()), "{problems}");
    assert_eq!(problem.source.line(), line.0.get(), "{problems}");
    assert!(words.iter().all(|word| problem.message.contains(word)), "{problems}\nshould have {words:?}");
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
fn shift_by_a_wide_amount() {
    let parts = ["a shift amount has at most 32 bits, and `amount` has 33", "cut it with `.low(..)`"];
    refuses(&parts, |m, line| {
        let (data, amount) = (m.input("data", 8), m.input("amount", 33));
        line.below(line!());
        m.output("result", data.shl(amount) & 1);
    });
    refuses(&parts, |m, line| {
        let (data, amount) = (m.input("data", 8), m.input("amount", 33));
        line.below(line!());
        m.output("result", data.as_signed().shr(amount).bits());
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
    for name in ["module", "", "2nd", "two words", "_hidden"] {
        let problems = elaborate(&block_fn(name, |m| m.output("result", lit(0u8, 1)))).unwrap_err();
        assert_eq!(problems.0.len(), 1, "{problems}");
        let expected = format!("`{name}` cannot be the name of a module: use letters");
        assert!(problems.0[0].message.contains(&expected), "{problems}");
    }
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
        m.output("result_comb", stage.port("result") & data);
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
        m.output("result_comb", store.lookup(read_address));
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
    refuses(&["the instance `stage` of `increment` has no port `dtaa`", "similar: `data`"], |m, line| {
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
    refuses(&["the instance `to` of `sink` has no stream `entri`; similar: `entry`"], |m, line| {
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
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert!(problems.to_string().contains("the module `recursive` contains itself: end the recursion"), "{problems}");
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

#[test]
fn array_index_out_of_range() {
    refuses(&["element 4 does not fit the array `held`", "it has 4 elements", "2 bits"], |m, line| {
        let clock = m.clock();
        let held = m.reg_array("held", clock, 4, zero(8));
        held.set_all(m.input("data", 8));
        line.below(line!());
        m.output("result", held.at(4));
    });
    refuses(&["element 5 does not fit the array `held`"], |m, line| {
        let clock = m.clock();
        let held = m.reg_array("held", clock, 4, zero(8));
        line.below(line!());
        held.set(5, m.input("data", 8));
        m.output("result", held.at(3));
    });
}

#[test]
fn array_index_of_the_wrong_width() {
    refuses(&["an index of 2 bits does not fit the array `held`", "5 elements", "3 bits"], |m, line| {
        let (clock, index) = (m.clock(), m.input("index", 2));
        let held = m.reg_array("held", clock, 5, zero(8));
        held.set_all(m.input("data", 8));
        let shown = m.reg("shown", clock, zero(8));
        line.below(line!());
        shown.set(held.get(index));
        m.output("result", shown);
    });
    refuses(&["an index of 4 bits does not fit the array `held`"], |m, line| {
        let (clock, index) = (m.clock(), m.input("index", 4));
        let held = m.reg_array("held", clock, 5, zero(8));
        line.below(line!());
        held.set(index, m.input("data", 8));
        m.output("result", held.at(3));
    });
}

#[test]
fn array_element_of_the_wrong_width() {
    refuses(&["width mismatch in `set`: an element of `held` has 8 bits and the value has 9", "zext"], |m, line| {
        let clock = m.clock();
        let held = m.reg_array("held", clock, 4, zero(8));
        line.below(line!());
        held.set(1, m.input("data", 9));
        m.output("result", held.at(3));
    });
}

#[test]
fn array_without_elements() {
    refuses(&["the array `held` has no elements", "at least one"], |m, line| {
        let clock = m.clock();
        line.below(line!());
        let held = m.reg_array("held", clock, 0, zero(8));
        held.set_all(m.input("data", 8));
        m.output("result", held.at(3));
    });
}

#[test]
fn array_with_too_many_elements() {
    refuses(&["the array `held` has 4294967295 elements of 8 bits", "65536", "use a memory"], |m, line| {
        let clock = m.clock();
        line.below(line!());
        let held = m.reg_array("held", clock, u32::MAX, zero(8));
        held.set(m.input("index", 32), m.input("data", 8));
        m.output("result", held.at(3));
    });
    refuses(&["the array `held` has 70000 elements of 8 bits"], |m, line| {
        let clock = m.clock();
        line.below(line!());
        let held = m.reg_array_as::<Pair>("held", clock, 70_000);
        held.set_all(m.input_as::<Pair>("data"));
        m.output_as::<Pair>("result", held.at(3));
    });
    refuses(&["the array `held` has no elements"], |m, line| {
        line.below(line!());
        let held = m.wire_array_as::<Bits<8>>("held", 0);
        m.output("result", held.at(0));
    });
}

#[test]
fn signed_literal_that_does_not_fit() {
    refuses(&["the literal -129 does not fit 8 bits with a sign", "extend"], |m, line| {
        let data = m.input_as::<SignedBits<8>>("data");
        line.below(line!());
        m.output("result", data.lt(-129));
    });
    refuses(&["the literal 128 does not fit 8 bits with a sign"], |m, line| {
        let data = m.input_as::<SignedBits<8>>("data");
        line.below(line!());
        m.output("result", (data + 128).bits());
    });
}

#[test]
fn signed_operands_of_different_widths() {
    refuses(&["width mismatch in `<`", "`narrow` has 4 bits", "`wide` has 8"], |m, line| {
        let (narrow, wide) = (m.input_as::<SignedBits<4>>("narrow"), m.input_as::<SignedBits<8>>("wide"));
        line.below(line!());
        m.output("result", narrow.lt(wide));
    });
    refuses(&["`sext` to 4 bits of `wide`, which has 8", "low"], |m, line| {
        let wide = m.input_as::<SignedBits<8>>("wide");
        line.below(line!());
        m.output("result", wide.extend(4).bits());
    });
}

#[test]
fn property_under_a_condition() {
    refuses(&["the assert `fine` stands under a condition", "condition.implies(..)"], |m, line| {
        let (clock, data) = (m.clock(), m.input("data", 1));
        when(data, || {
            line.below(line!());
            m.assert(clock, "fine", data);
        });
        m.output("nothing", lit(0u8, 1));
    });
}

#[test]
fn property_of_several_bits() {
    refuses(&["the cover `seen` needs one bit and got 8", "any()"], |m, line| {
        let (clock, data) = (m.clock(), m.input("data", 8));
        line.below(line!());
        m.cover(clock, "seen", data);
        m.output("nothing", lit(0u8, 1));
    });
}

#[test]
fn property_of_another_clock() {
    refuses(&["`data` (clock `fast`)", "(clock `slow`)", "rtl_prim::cdc"], |m, line| {
        let (fast, slow) = (m.named_clock("fast", None), m.named_clock("slow", None));
        let data = m.input_of("data", 1, fast);
        line.below(line!());
        m.assume(slow, "quiet", data);
        m.output("nothing", lit(0u8, 1));
    });
}

/// A module inside another one, which gives away its clock and its input.
fn robbed(m: &Module, clock: &Cell<Option<Clock>>, data: &Cell<Option<Signal>>) {
    let victim = block_fn("victim", |m| {
        clock.set(Some(m.clock()));
        let own = m.input("data", 8);
        data.set(Some(own));
        m.output("result_comb", own);
    });
    m.clock();
    let data = m.input("data_of_victim", 8);
    m.instance("victim", &victim).port("data").set(data);
}

/// Like [`refuses`], with the clock and a signal of another module.
#[track_caller]
fn refuses_what_is_stolen(words: &[&str], build: impl Fn(&Module, &Line, Clock, Signal)) {
    let (clock, data) = (Cell::new(None), Cell::new(None));
    refuses(words, |m, line| {
        robbed(m, &clock, &data);
        let nothing = "the victim has been built";
        build(m, line, clock.get().expect(nothing), data.get().expect(nothing));
    });
}

#[test]
fn property_in_another_module() {
    refuses_what_is_stolen(&["the assert `fine` uses a clock of another module", "port"], |m, line, clock, _| {
        let data = m.input("data", 1);
        line.below(line!());
        m.assert(clock, "fine", data);
    });
    refuses_what_is_stolen(&["a signal of 8 bits belongs to another module", "port"], |m, line, _, data| {
        let clock = m.named_clock("other", None);
        line.below(line!());
        m.assert(clock, "fine", data.bit(0));
    });
}

#[test]
fn input_with_a_clock_of_another_module() {
    refuses_what_is_stolen(&["the input `data` uses a clock of another module", "port"], |m, line, clock, _| {
        line.below(line!());
        let data = m.input_of("data", 1, clock);
        m.output("result_comb", data);
    });
}

#[test]
fn memory_with_a_clock_of_another_module() {
    refuses_what_is_stolen(
        &["the write port of `store` uses a clock of another module", "port"],
        |m, line, clock, _| {
            let store = m.memory("store", 8, 16, MemoryStyle::Distributed);
            let (address, data) = (m.input("address", 4), m.input("data", 8));
            line.below(line!());
            store.write(clock, lit(1u8, 1), address, data);
            m.output("result_comb", store.lookup(address));
        },
    );
    refuses_what_is_stolen(
        &["the read port of `store` uses a clock of another module", "port"],
        |m, line, clock, _| {
            let store = m.memory_with_contents("store", 8, 16, MemoryStyle::Auto, vec![zero(8)]);
            let address = m.input("address", 4);
            line.below(line!());
            m.output("result", store.read(clock, "word", address));
        },
    );
}

#[test]
fn instance_with_a_clock_of_another_module() {
    refuses_what_is_stolen(&["the instance `stage` uses a clock of another module", "port"], |m, line, clock, _| {
        line.below(line!());
        let stage = m.instance_with_clocks("stage", &delay("delay"), &[clock]);
        stage.port("data").set(m.input("data", 8));
        m.output("result", stage.port("result"));
    });
}

#[test]
fn crossing_into_a_clock_of_another_module() {
    refuses_what_is_stolen(
        &["the synchroniser `arrived` uses a clock of another module", "port"],
        |m, line, clock, _| {
            let data = m.input_async("data", 1);
            line.below(line!());
            m.output("result", m.synchronize("arrived", clock, data, 2, Some(false)).value());
        },
    );
    refuses_what_is_stolen(&["the value `still` uses a clock of another module", "port"], |m, line, clock, _| {
        let data = m.input_async("data", 1);
        line.below(line!());
        m.output("result_comb", m.held_across("still", clock, data, "it stands still"));
    });
}

#[test]
fn synchroniser_of_several_bits() {
    refuses(&["`arrived` would synchronise 3 bits", "handshake", "asynchronous FIFO"], |m, line| {
        let (clock, data) = (m.clock(), m.input_async("data", 3));
        line.below(line!());
        m.output("result", m.synchronize("arrived", clock, data, 2, None).value());
    });
}

#[test]
fn synchroniser_with_too_few_registers() {
    for stages in [0, 1] {
        let words = format!("the synchroniser `arrived` has {stages} registers: give it at least 2");
        refuses(&[&words], |m, line| {
            let (clock, data) = (m.clock(), m.input_async("data", 1));
            line.below(line!());
            m.output("result", m.synchronize("arrived", clock, data, stages, None).value());
        });
    }
}

#[test]
fn synchroniser_without_the_reset_that_it_needs() {
    refuses(&["the synchroniser `arrived` has a reset value but its clock has no reset", "with a reset"], |m, line| {
        let (clock, data) = (m.named_clock("clock", None), m.input_async("data", 4));
        line.below(line!());
        m.output("result", m.synchronize_gray("arrived", clock, data, 3, "it is a Gray code").value());
    });
}

#[test]
fn synchroniser_of_what_may_glitch() {
    refuses(
        &["(`a` & `b`) is computed on its way into the synchroniser `arrived`", "register of its own clock"],
        |m, line| {
            let (clock, a, b) = (m.clock(), m.input_async("a", 1), m.input_async("b", 1));
            line.below(line!());
            m.output("result", m.synchronize("arrived", clock, a & b, 2, None).value());
        },
    );
}

#[test]
fn instance_that_needs_a_synchronous_reset() {
    refuses(
        &["the clock `clock` of the instance `stage` needs a synchronous reset", "reset bridge of `rtl-prim`"],
        |m, line| {
            let clock = m.clock().with_async_reset(m.input_async("now", 1));
            line.below(line!());
            let stage = m.instance_with_clocks("stage", &delay("delay"), &[clock]);
            stage.port("data").set(m.input("data", 8));
            m.output("result", stage.port("result"));
        },
    );
}

#[test]
fn instance_with_more_clocks_than_it_has() {
    refuses(&["the instance `stage` of `delay` is given 2 clocks and has 1", "as many"], |m, line| {
        let clock = m.clock();
        line.below(line!());
        let stage = m.instance_with_clocks("stage", &delay("delay"), &[clock, clock]);
        stage.port("data").set(m.input("data", 8));
        m.output("result", stage.port("result"));
    });
}

#[test]
fn reset_of_several_bits() {
    refuses(&["a reset has one bit, and `clear` has 2", "any()"], |m, line| {
        let (clock, clear) = (m.clock(), m.input("clear", 2));
        line.below(line!());
        let clock = clock.with_reset(clear);
        let held = m.reg("held", clock, false);
        held.set(!held);
        m.output("result", held);
    });
}

#[test]
fn stream_without_a_clock() {
    refuses(&["the stream `out` needs a clock", "call `clock` before"], |m, line| {
        line.below(line!());
        let out = m.stream_out_bits("out", 8);
        when(out.can_take(), || out.offer(lit(1u8, 8)));
    });
}

#[test]
fn stream_that_is_there_twice() {
    refuses(&["is used twice", "another name"], |m, line| {
        m.clock();
        m.stream_in::<Pair>("entry").take();
        line.below(line!());
        m.stream_in::<Pair>("entry").take();
    });
}

#[test]
fn unknown_stream_of_an_export() {
    refuses(&["the instance `to` of `sink` has no stream `entri`", "`entry`"], |m, line| {
        m.clock();
        let to = m.instance("to", &sink::<Pair>("sink"));
        line.below(line!());
        m.export(&to, "entri", "entry");
    });
}

#[test]
fn memory_of_nothing() {
    refuses(&["the memory `store` has 0 words of 8 bits", "at least one word"], |m, line| {
        line.below(line!());
        let store = m.memory("store", 8, 0, MemoryStyle::Auto);
        m.output("result", store.lookup(m.input("address", 4)));
    });
    refuses(&["the memory `store` has 4 words of 0 bits", "1 to 65536 bits"], |m, line| {
        let clock = m.clock();
        line.below(line!());
        let store = m.memory("store", 0, 4, MemoryStyle::Auto);
        store.write(clock, lit(1u8, 1), m.input("address", 2), m.input("data", 8));
    });
}

#[test]
fn memory_write_with_the_wrong_lanes_or_enable() {
    for (lanes, enable) in [(3, 1), (4, 2)] {
        let words = format!("a write of 8 bits (enable {enable} bits, {lanes} lanes) does not fit `store`");
        refuses(&[&words, "the enable has one bit and the lanes divide the word"], |m, line| {
            let clock = m.clock();
            let store = m.memory("store", 8, 16, MemoryStyle::Auto);
            let (address, data) = (m.input("address", 4), m.input("data", 8));
            let (lanes, enable) = (m.input("lanes", lanes), m.input("enable", enable));
            line.below(line!());
            store.write_lanes(clock, enable, address, data, lanes);
        });
    }
}

#[test]
fn memory_read_with_a_wide_enable() {
    refuses(&["the read enable of `store` has one bit, and this one has 2", "any()"], |m, line| {
        let clock = m.clock();
        let store = m.memory_with_contents("store", 8, 16, MemoryStyle::Auto, vec![zero(8)]);
        let (address, enable) = (m.input("address", 4), m.input("enable", 2));
        line.below(line!());
        m.output("result", store.read_when(clock, "word", enable, address));
    });
}

#[test]
fn ultra_ram_of_two_clocks() {
    refuses(&["the UltraRAM `store` has 2 clocks", "MemoryStyle::Block"], |m, line| {
        let (fast, slow) = (m.named_clock("fast", None), m.named_clock("slow", None));
        line.below(line!());
        let store = m.memory("store", 8, 16, MemoryStyle::Ultra).crosses_clocks("the test says so");
        store.write(fast, lit(1u8, 1), m.input_of("address", 4, fast), m.input_of("data", 8, fast));
        m.output("result", store.read(slow, "word", m.input_of("read_address", 4, slow)));
    });
}

#[test]
fn mux_with_a_wide_condition() {
    refuses(&["the condition of a `mux` has one bit, and `choose` has 2", "any()"], |m, line| {
        let (choose, data) = (m.input("choose", 2), m.input("data", 8));
        line.below(line!());
        m.output("result", choose.mux(data, !data));
    });
}

#[test]
fn choices_of_different_widths() {
    refuses(&["`select` needs choices of one width, and got 8 and 4 bits", "zext"], |m, line| {
        let (wide, narrow, index) = (m.input("wide", 8), m.input("narrow", 4), m.input("index", 1));
        line.below(line!());
        m.output("result", select(&[wide, narrow], index));
    });
}

#[test]
fn concatenation_of_nothing() {
    refuses(&["a concatenation of nothing has no width", "`cat`"], |m, line| {
        line.below(line!());
        m.output("result", cat(&[]));
    });
}

#[test]
fn signal_that_is_too_wide() {
    refuses(&["`data` is 65537 bits wide", "1 to 65536 bits", "memory"], |m, line| {
        line.below(line!());
        let data = m.input("data", 65_537);
        m.output("result", data.bit(3));
    });
    for width in [65_537, u32::MAX] {
        for operation in ["zext", "sext", "repeat"] {
            refuses(&["an expression is ", " bits wide; a signal has 1 to 65536 bits"], |m, line| {
                let data = m.input("data", 8);
                line.0.set(line!() + 3);
                #[rustfmt::skip]
                let wide =
                    match operation { "zext" => data.zext(width), "sext" => data.sext(width), _ => data.repeat(width) };
                m.output("result", wide.bit(0));
            });
        }
    }
    refuses(&["an expression is 130000 bits wide"], |m, line| {
        let data = m.input("data", 8).zext(65_000);
        line.below(line!());
        m.output("result", cat(&[data, data]).bit(0));
    });
}

#[test]
fn default_that_does_not_fit() {
    refuses(&["width mismatch in `default_to`", "`result` has 8 bits", "`data` has 4"], |m, line| {
        let (data, result) = (m.input("data", 4), m.output_wire("result", 8));
        line.below(line!());
        m.default_to(result, data);
    });
    refuses(&["`data` cannot be assigned"], |m, line| {
        let data = m.input("data", 4);
        line.below(line!());
        m.default_to(data, 1);
        m.output("result_comb", data);
    });
}

#[test]
fn assignment_to_an_expression() {
    refuses(&["(`data` + `8'h1`) cannot be assigned"], |m, line| {
        let data = m.input("data", 8);
        line.below(line!());
        (data + 1).set(0);
    });
}

#[test]
fn condition_that_is_continued_elsewhere() {
    refuses(&["a `when` is continued in another body than its own", "`else_when` or `otherwise`"], |m, line| {
        let (a, b, result) = (m.input("a", 1), m.input("b", 1), m.output_wire("result", 1));
        result.set(false);
        let first = Cell::new(None);
        when(a, || first.set(Some(when(b, || result.set(true)))));
        when(b, || {
            when(a, || result.set(true));
            line.below(line!());
            first.take().expect("it was set").otherwise(|| result.set(false));
        });
    });
}

#[test]
fn register_in_the_wrong_domain() {
    refuses(&["`count` (clock `fast`) meets `shown` (clock `slow`)", "rtl_prim::cdc"], |m, line| {
        let (fast, slow) = (m.named_clock("fast", None), m.named_clock("slow", None));
        let count = m.reg_without_reset("count", fast, 8);
        count.set(count + 1);
        line.below(line!());
        let shown = m.reg_without_reset("shown", slow, 8);
        shown.set(count);
        m.output("result", shown);
    });
}

#[test]
fn one_mistake_in_a_chain_of_expressions_is_one_message() {
    refuses(&["width mismatch in `+`"], |m, line| {
        let (clock, narrow, wide) = (m.clock(), m.input("narrow", 4), m.input("wide", 8));
        let (held, memory) = (m.reg("held", clock, zero(16)), m.memory("store", 16, 16, MemoryStyle::Auto));
        line.below(line!());
        let sum = narrow + wide;
        let more = (sum ^ 300).zext(2).bits(3..20);
        when(more, || held.set(sum.sext(3) * wide));
        memory.write(clock, more, sum, more);
        m.assert(clock, "fine", sum);
        m.output("result", cat(&[sum, held]).mux(wide, sum));
    });
}

/// Two modules that are the same hardware, but for the clock of an input, are not one: the second would be checked as the first.
#[test]
fn two_modules_that_differ_in_the_domain_of_an_input_only() {
    let stage = |is_async: bool| {
        block_fn("stage", move |m| {
            m.clock();
            let data = if is_async { m.input_async("data", 1) } else { m.input("data", 1) };
            m.output("result_comb", data);
        })
    };
    let problems = elaborate(&block_fn("wrong", |m| {
        m.clock();
        let (data, button) = (m.input("data", 1), m.input_async("button", 1));
        for (name, is_async, value) in [("one", true, button), ("two", false, data)] {
            m.instance(name, &stage(is_async)).port("data").set(value);
        }
    }))
    .expect_err("the mistake was accepted");
    assert!(problems.to_string().contains("two different modules are named `stage`"), "{problems}");
}

#[test]
fn a_block_that_is_there_twice_has_its_mistake_once() {
    let stage = block_fn("stage", |m| _ = m.output_wire("open", 8));
    let problems = elaborate(&block_fn("two", |m| {
        m.instance("one", &stage);
        m.instance("other", &stage);
    }))
    .unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
}

#[test]
fn proof_of_nothing() {
    let idle = || block_fn("idle", |m| m.output("nothing", m.wire("zero", lit(0u8, 1))));
    let (line, problems) = (line!(), formal::Proof::by_induction(idle(), 2).design().unwrap_err());
    assert_eq!((problems.0.len(), problems.0[0].source.line()), (1, line), "{problems}");
    let message = &problems.0[0].message;
    assert!(message.contains("the proof of `idle` asserts nothing: say in the block what holds"), "{message}");
}

#[test]
fn proof_with_a_silent_stream_that_is_not_there() {
    let proof = formal::Proof::by_induction(source::<Pair>("source"), 2).silent("outt");
    let problems = proof.design().unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
    let message = &problems.0[0].message;
    assert!(
        message.contains("the proof of `source` calls the stream `outt` silent, and there is none; similar: `out`"),
        "{message}"
    );
}

/// What is said when `run` panics.
fn panic_of(run: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = std::panic::catch_unwind(run).expect_err("it was accepted");
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn names_that_a_running_design_does_not_have() {
    use rtl_hdl::bench::{Bench, Seed, Stalls};
    use rtl_hdl::sim::Simulator;
    let design = || elaborate(&source::<Pair>("source")).unwrap();
    let port = panic_of(|| _ = Evaluator::new(&design()).unwrap().port("item_dat"));
    assert_eq!(port, "the top module `source` has no port `item_dat`; similar: `item_data`, `item_id`");
    let signal = panic_of(|| _ = Evaluator::new(&design()).unwrap().signal("source.out_ful"));
    assert!(signal.contains("there is no signal `source.out_ful`; similar: `source.out_full`"), "{signal}");
    let stream = panic_of(|| {
        let (design, seed) = (design(), Seed(1));
        let mut evaluator = Evaluator::new(&design).unwrap();
        Bench::new(&mut evaluator, &design, seed, Stalls::None).received("outt");
    });
    assert_eq!(stream, "`source` has no output stream `outt`; similar: `out`");
}

/// Every function that a message names is there.
#[test]
fn messages_name_functions_that_exist() {
    const SOURCES: &[&str] = &[
        include_str!("../src/array.rs"),
        include_str!("../src/check.rs"),
        include_str!("../src/crossing.rs"),
        include_str!("../src/eval.rs"),
        include_str!("../src/foreign.rs"),
        include_str!("../src/foreign/expression.rs"),
        include_str!("../src/foreign/header.rs"),
        include_str!("../src/foreign/text.rs"),
        include_str!("../src/formal.rs"),
        include_str!("../src/instance.rs"),
        include_str!("../src/memory.rs"),
        include_str!("../src/module.rs"),
        include_str!("../src/property.rs"),
        include_str!("../src/signal.rs"),
        include_str!("../src/signed.rs"),
        include_str!("../src/stream.rs"),
    ];
    /// Words of Verilog, paths of crates, and what is no function.
    const OTHERS: &[&str] = &["input", "output", "inout", "ref", "include", "endmodule", "type", "_comb"];
    let all = SOURCES.concat();
    let mut found = 0;
    // One backtick alone begins a directive.
    let is_message = |line: &&str| line.contains('"') && line.matches('`').count() % 2 == 0;
    for line in all.lines().filter(|line| !line.trim_start().starts_with("//")).filter(is_message) {
        // What stands between backticks, inside of a text.
        for part in line.split('`').skip(1).step_by(2) {
            let name = part.split('(').next().unwrap_or("").rsplit('.').next().unwrap_or("");
            let is_function = name.len() > 1 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if is_function && !OTHERS.contains(&name) {
                found += 1;
                let is_there = ["(", "<"].iter().any(|next| all.contains(&format!("fn {name}{next}")));
                assert!(is_there, "there is no `{name}`: {line}");
            }
        }
    }
    assert!(found > 40, "the messages were read: {found}");
}

const VENDOR: &str = "module vendor #(parameter int WIDTH = 8, parameter type T = logic, localparam LAST = WIDTH - 1) (
  input clk, input rst, input fast, input [LAST:0] data, output [LAST:0] result
); endmodule";

/// Puts the vendor's module, of which `say` says something wrong, into a module. Its ports are used: nothing more is to be said of them.
#[track_caller]
fn refuses_of_vendor(words: &[&str], say: impl Fn(Foreign, &Line) -> Foreign) {
    refuses(words, |m, line| {
        let clock = m.clock();
        let vendor = say(Foreign::from_verilog("vendor", VENDOR), line);
        let inner = m.foreign("inner", &vendor, &[clock]);
        inner.port("data").set(m.input("data", 8));
        inner.port("fast").set(false);
        m.output("result", inner.port("result"));
    });
}

#[test]
fn foreign_text_that_cannot_be_read() {
    refuses(
        &["line 2 of the Verilog of `pad`", "the port `pin` is an `inout`", "write a module around it"],
        |m, line| {
            line.below(line!());
            let pad = Foreign::from_verilog("pad", "module pad (\n  inout pin, input data); endmodule");
            m.foreign("inner", &pad, &[]).port("data").set(m.input("data", 1));
        },
    );
}

#[test]
fn foreign_parameter_that_does_not_exist() {
    refuses_of_vendor(&["the parameter `WIDHT` of `vendor` does not exist", "there are `WIDTH`"], |vendor, line| {
        line.below(line!());
        vendor.parameter("WIDHT", 8).clock("clk").reset("rst").asynchronous(&["fast"])
    });
}

#[test]
fn foreign_parameter_that_is_local() {
    refuses_of_vendor(
        &["the parameter `LAST` of `vendor` is local", "set what it is computed from"],
        |vendor, line| {
            line.below(line!());
            vendor.parameter("LAST", 7).clock("clk").reset("rst").asynchronous(&["fast"])
        },
    );
}

#[test]
fn foreign_parameter_that_is_a_type() {
    refuses_of_vendor(&["the parameter `T` of `vendor` is a type", "write a module around it"], |vendor, line| {
        line.below(line!());
        vendor.parameter("T", 7).clock("clk").reset("rst").asynchronous(&["fast"])
    });
}

#[test]
fn foreign_parameter_that_is_set_twice() {
    refuses_of_vendor(&["the parameter `WIDTH` of `vendor` is set twice", "remove"], |vendor, line| {
        let vendor = vendor.parameter("WIDTH", 8).clock("clk").reset("rst").asynchronous(&["fast"]);
        line.below(line!());
        vendor.parameter("WIDTH", 9)
    });
}

#[test]
fn foreign_parameter_whose_value_does_not_fit() {
    let text =
        "module vendor #(parameter [3:0] DEPTH = 1, parameter byte SIGNED = 1) (input clk, output result); endmodule";
    for (name, value, words) in [
        ("DEPTH", 16.into(), "16 does not fit the parameter `DEPTH` of `vendor`, which has 4 bits"),
        ("DEPTH", (-1).into(), "-1 does not fit"),
        ("DEPTH", Constant::new(1 << 70, 71).unwrap().into(), "71'h400000000000000000 does not fit"),
        ("SIGNED", 128.into(), "128 does not fit the parameter `SIGNED` of `vendor`, which has 8 bits with a sign"),
    ] {
        let value: ParameterValue = value;
        refuses(&[words], |m, line| {
            line.below(line!());
            let vendor = Foreign::from_verilog("vendor", text).parameter(name, value.clone()).clock("clk");
            m.output("result", m.foreign("inner", &vendor, &[m.named_clock("clk", None)]).port("result"));
        });
    }
}

#[test]
fn foreign_parameter_without_a_value() {
    refuses(
        &["the parameter `WIDTH` of `vendor` (line 1 of its Verilog) has no default", ".parameter(\"WIDTH\", ..)"],
        |m, line| {
            line.below(line!());
            let vendor = Foreign::from_verilog("vendor", "module vendor #(parameter WIDTH) (output result); endmodule");
            m.output("result", m.foreign("inner", &vendor, &[]).port("result"));
        },
    );
}

#[test]
fn foreign_port_that_does_not_exist() {
    refuses_of_vendor(
        &["the Verilog of `vendor` has no port `clock`", "it has `clk`, `rst`, `fast`, `data`, `result`"],
        |vendor, line| {
            line.below(line!());
            vendor.clock("clock").reset("rst").asynchronous(&["fast"])
        },
    );
    refuses_of_vendor(&["the Verilog of `vendor` has no port `resutl`", "similar: `result`"], |vendor, line| {
        let vendor = vendor.clock("clk").reset("rst").asynchronous(&["fast"]);
        line.below(line!());
        vendor.combinational("resutl", &["data"])
    });
}

#[test]
fn foreign_clock_that_is_none() {
    refuses_of_vendor(
        &["the clock `data` of `vendor` is an input of 8 bits", "name an input of one bit"],
        |vendor, line| {
            line.below(line!());
            vendor.clock("data").reset("rst").ports(&["fast"])
        },
    );
    refuses_of_vendor(&["the reset `result` of `vendor` is an output", "name an input of one bit"], |vendor, line| {
        line.below(line!());
        vendor.clock("clk").reset("result").asynchronous(&["fast"])
    });
}

#[test]
fn foreign_reset_or_ports_before_a_clock() {
    refuses_of_vendor(&["the reset `rst` of `vendor` is said before any clock", "`clock`"], |vendor, line| {
        line.below(line!());
        vendor.reset("rst").clock("clk")
    });
    refuses_of_vendor(&["`ports` of `vendor` is said before any clock", "`clock`"], |vendor, line| {
        line.below(line!());
        vendor.ports(&["rst"]).clock("clk")
    });
}

#[test]
fn foreign_clock_with_two_resets() {
    refuses_of_vendor(
        &["the clock `clk` of `vendor` has the reset `rst`", "make `fast` one of its `ports`"],
        |vendor, line| {
            line.below(line!());
            vendor.clock("clk").reset("rst").reset("fast")
        },
    );
}

#[test]
fn foreign_port_of_two_clocks() {
    refuses_of_vendor(&["what the port `data` of `vendor` belongs to is said twice", "remove"], |vendor, line| {
        let vendor = vendor.clock("clk").reset("rst").ports(&["data"]);
        line.below(line!());
        vendor.clock("fast").ports(&["data", "result"])
    });
}

#[test]
fn foreign_port_of_an_unknown_clock() {
    let words = ["`vendor` has 2 clocks", "to which of them `data`, `result` belong", "`ports`", "`asynchronous`"];
    refuses(&words, |m, line| {
        let clock = m.clock();
        line.below(line!());
        let vendor = Foreign::from_verilog("vendor", VENDOR);
        let inner = m.foreign("inner", &vendor.clock("clk").reset("rst").clock("fast"), &[clock, clock]);
        inner.port("data").set(m.input("data", 8));
        m.output("result", inner.port("result"));
    });
}

#[test]
fn foreign_path_the_wrong_way() {
    refuses_of_vendor(&["`data` of `vendor` is an input", "name an output that follows inputs"], |vendor, line| {
        line.below(line!());
        vendor.clock("clk").reset("rst").combinational("data", &[])
    });
    refuses_of_vendor(&["`result` of `vendor` is an output", "name inputs that an output follows"], |vendor, line| {
        line.below(line!());
        vendor.clock("clk").reset("rst").combinational("result", &["result"])
    });
}

#[test]
fn foreign_macro_of_the_tools() {
    refuses_of_vendor(&["each tool says for itself whether `SYNTHESIS` is defined"], |vendor, line| {
        let vendor = vendor.clock("clk").reset("rst");
        line.below(line!());
        vendor.define("SYNTHESIS", "")
    });
}

#[test]
fn foreign_module_with_the_name_of_one_of_ours() {
    refuses(&["a module of this design and one of a Verilog text are named `increment`", "another name"], |m, line| {
        let ours = m.instance("ours", &increment());
        ours.port("data").set(m.input("data", 8));
        m.output("result", ours.port("result"));
        let theirs = Foreign::from_verilog("increment", "module increment (output q); endmodule");
        line.below(line!());
        m.output("q", m.foreign("theirs", &theirs, &[]).port("q"));
    });
}

#[test]
fn foreign_modules_of_one_name_and_two_texts() {
    refuses(&["two Verilog texts have a module `vendor`", "another name"], |m, line| {
        for (name, width) in [("one", 1), ("two", 2)] {
            let text = format!("module vendor (output [{width}:0] q); endmodule");
            let vendor = Foreign::from_verilog("vendor", &text);
            line.below(line!());
            m.output(&format!("q_{name}"), m.foreign(name, &vendor, &[]).port("q"));
        }
    });
}

#[test]
fn foreign_module_that_needs_a_synchronous_reset() {
    refuses(&["the clock `clk` of the instance `inner` needs a synchronous reset", "reset bridge"], |m, line| {
        let clock = m.clock().with_async_reset(m.input_async("now", 1));
        let vendor = Foreign::from_verilog("vendor", VENDOR).clock("clk").reset("rst").ports(&["fast"]);
        line.below(line!());
        let inner = m.foreign("inner", &vendor, &[clock]);
        inner.port("fast").set(false);
        inner.port("data").set(m.input("data", 8));
        m.output("result", inner.port("result"));
    });
}
