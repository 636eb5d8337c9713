//! Mutation: every kind of change, what is left out because it changes nothing, and how a bench is judged by it.

use rtl_hdl::bench::Seed;
use rtl_hdl::mutation::{mutant, mutations, Kind, Mutation};
use rtl_hdl::sim::Simulator;
use rtl_hdl::*;
use std::collections::{BTreeMap, BTreeSet};

hw_enum! {
    /// `Idle -> Busy -> Done -> Idle`.
    pub enum State {
        /// Waits.
        Idle,
        /// Works.
        Busy,
        /// Shows it.
        Done,
    }
}

/// Something of everything.
fn specimen() -> Design {
    elaborated(&block_fn("specimen", |m| {
        let clock = m.clock();
        let [a, b] = ["a", "b"].map(|name| m.input(name, 4));
        let [go, stop, write, read] = ["go", "stop", "write", "read"].map(|name| m.input(name, 1));
        let lanes = m.input("lanes", 2);
        let shown = |name: &str, value: Signal| {
            let held = m.reg_without_reset(&format!("{name}_held"), clock, value.width());
            held.set(value);
            m.output(name, held);
        };
        // Operators.
        shown("sum", a + b);
        shown("difference", a - b);
        shown("product", a * b);
        shown("masked", a & b);
        shown("joined", a | b);
        shown("mixed", a ^ b);
        shown("equal", a.eq(b));
        shown("different", a.ne(b));
        shown("less", a.lt(b));
        shown("most", a.le(b));
        shown("signed_less", a.as_signed().lt(b.as_signed()));
        shown("signed_most", a.as_signed().le(b.as_signed()));
        shown("up", a.shl(b.low(2)));
        shown("down", a.shr(b.low(2)));
        shown("signed_down", a.as_signed().shr(b.low(2)).bits());
        shown("reduced", cat(&[a.any(), b.all(), a.parity()]));
        shown("inverted", !a);
        shown("chosen", go.mux(a, b));
        shown("beside", cat(&[a, b]));
        shown("gated", go & stop);
        shown("either", go | stop);
        shown("picked", cat(&[a, b]).word(go, 4));
        // Constants and conditions.
        let count = m.reg("count", clock, lit(5u32, 4));
        when(go, || count.set(count + 1)).else_when(stop, || count.set(0)).otherwise(|| count.set(a));
        m.output("count_shown", count);
        let state = m.reg("state", clock, State::Idle);
        switch(state, |s: State| match s {
            State::Idle => drop(when(go, || state.goto(State::Busy))),
            State::Busy => state.goto(State::Done),
            State::Done => drop(when(stop, || state.goto(State::Idle))),
        });
        m.output("state_shown", state.signal());
        let code = m.wire_of_width("code", 3);
        code.set(7);
        cases(a).on(3, || code.set(1)).on(9, || code.set(b.low(3)));
        shown("decoded", code);
        // Memories and arrays.
        let words = m.memory("words", 4, 4, MemoryStyle::Distributed);
        words.write_lanes(clock, write, a.low(2), b, lanes);
        let word = words.read_when(clock, "word", read, a.bits(2..4));
        m.output("word_shown", word);
        shown("looked_up", words.lookup(b.low(2)));
        let slots = m.reg_array("slots", clock, 4, zero(4));
        when(write, || slots.set(b.low(2), a));
        shown("slot", slots.get(a.low(2)));
        // Crossings.
        shown("rings", m.synchronize("ring_here", clock, m.input_async("ring", 1), 3, Some(false)).value());
        // What only assertions need is not the hardware.
        let watched = m.reg("watched", clock, zero(4));
        watched.set(watched + 1);
        m.assert(clock, "watched_is_small", watched.le(15));
    }))
}

fn elaborated(block: &dyn Block) -> Design {
    elaborate(block).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What the outputs show in every clock under random inputs, with resets between.
fn trace(design: &Design) -> Vec<u64> {
    let top = design.top();
    let mut rng = Seed(7).rng("inputs");
    let mut sim = Evaluator::with(design, Options::default().start(Start::Ones)).unwrap();
    let inputs: Vec<_> = top
        .ports
        .iter()
        .filter(|p| p.direction == Direction::Input && p.name != "clock" && p.name != "reset")
        .collect();
    let outputs: Vec<_> = top.ports.iter().filter(|p| p.direction == Direction::Output).collect();
    let reset = sim.port("reset");
    let mut seen = Vec::new();
    for clock in 0..600 {
        sim.poke_u64(reset, u64::from(clock < 2 || rng.percent(2)));
        for input in &inputs {
            sim.poke_u64(sim.port(&input.name), rng.bits(input.width)[0]);
        }
        sim.step();
        // Values without a reset are not known before they were set.
        if clock >= 2 {
            seen.extend(outputs.iter().map(|output| sim.peek_u64(sim.port(&output.name))));
        }
    }
    seen
}

fn mutated(design: &Design, number: usize) -> Design {
    design.with_module(mutant(design.top(), number).expect("there is such a mutant"))
}

#[test]
fn every_mutation_evaluates_emits_and_changes_what_the_module_does() {
    let design = specimen();
    let sound = trace(&design);
    let mutations = mutations(design.top());
    for mutation in &mutations {
        let mutant = mutated(&design, mutation.number);
        assert_ne!(trace(&mutant), sound, "`{}` changes nothing", mutation.text);
        assert_ne!(emit(&mutant)[0].text, emit(&design)[0].text, "`{}` is not seen in the Verilog", mutation.text);
    }
    let kinds: BTreeSet<Kind> = mutations.iter().map(|mutation| mutation.kind).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), Kind::ALL);
}

#[test]
fn every_construct_has_its_mutations() {
    let mutations = mutations(specimen().top());
    let texts: BTreeMap<&str, Kind> = mutations.iter().map(|mutation| (&mutation.text[..], mutation.kind)).collect();
    let expected = [
        (Kind::Operator, "sum_held: a + b -> a - b"),
        (Kind::Operator, "difference_held: a - b -> a + b"),
        (Kind::Operator, "product_held: a * b -> a - b"),
        (Kind::Operator, "masked_held: a & b -> a | b"),
        (Kind::Operator, "joined_held: a | b -> a & b"),
        (Kind::Operator, "mixed_held: a ^ b -> a | b"),
        (Kind::Operator, "equal_held: a == b -> a != b"),
        (Kind::Operator, "different_held: a != b -> a == b"),
        (Kind::Operator, "less_held: a < b -> a <= b"),
        (Kind::Operator, "less_held: a < b -> b < a"),
        (Kind::Operator, "most_held: a <= b -> a < b"),
        (Kind::Operator, "signed_less_held: a signed < b -> a signed <= b"),
        (Kind::Operator, "signed_less_held: a signed < b -> a < b"),
        (Kind::Operator, "up_held: a << b[0..2] -> a >> b[0..2]"),
        (Kind::Operator, "down_held: a >> b[0..2] -> a << b[0..2]"),
        (Kind::Operator, "signed_down_held: a >>> b[0..2] -> a >> b[0..2]"),
        (Kind::Operator, "reduced_held: any(a) -> all(a)"),
        (Kind::Operator, "reduced_held: parity(a) -> any(a)"),
        (Kind::Operator, "reduced_held: {any(a), all(b), parity(a)} -> {all(b), any(a), parity(a)}"),
        (Kind::Operator, "inverted_held: !a -> a"),
        (Kind::Operator, "chosen_held: go ? a : b -> go ? b : a"),
        (Kind::Operator, "chosen_held: go ? a : b -> a"),
        (Kind::Operator, "chosen_held: go ? a : b -> b"),
        (Kind::Operator, "gated_held: go & stop -> go"),
        (Kind::Operator, "either_held: go | stop -> stop"),
        (Kind::Constant, "count: count + 1 -> count + 2"),
        (Kind::Constant, "count: 0 -> 1"),
        (Kind::Constant, "count: 0 -> ~0"),
        (Kind::Constant, "state: Done -> Idle"),
        (Kind::Constant, "code: ~0 -> 0"),
        (Kind::Condition, "count if: go -> always"),
        (Kind::Condition, "count if: stop -> never"),
        (Kind::Condition, "count if: stop -> inverted"),
        (Kind::Condition, "state switch: nothing happens for state Busy"),
        (Kind::Condition, "code switch: nothing happens for a 9"),
        (Kind::Enable, "words write enable: write -> always"),
        (Kind::Enable, "words write enable: write -> never"),
        (Kind::Enable, "words write lanes: all"),
        (Kind::Enable, "word read enable: read -> always"),
        (Kind::Assignment, "sum_held: no assignment of a + b"),
        (Kind::Assignment, "count: no assignment of a"),
        (Kind::Condition, "slots if: write -> never"),
        (Kind::Assignment, "word_shown: no assignment of word"),
        (Kind::Reset, "count: no reset"),
        (Kind::Reset, "count: reset to 5 -> 6"),
        (Kind::Reset, "state: reset to Idle -> Busy"),
        (Kind::Crossing, "ring_here: ring_here_stage_1 is left out"),
        (Kind::Reset, "ring_here_stage_1: no reset"),
        (Kind::Assignment, "ring_here_stage_2: no assignment of ring_here_stage_1"),
    ];
    for (kind, text) in expected {
        assert_eq!(texts.get(text), Some(&kind), "`{text}` is not among {:#?}", texts.keys());
    }
    assert!(mutations.iter().all(|mutation| !mutation.text.contains("watched")), "an assertion is no hardware");
}

#[test]
fn texts_are_unique_and_lines_are_those_of_the_code() {
    let (design, again) = (specimen(), specimen());
    let first = mutations(design.top());
    let texts: BTreeSet<&str> = first.iter().map(|mutation| &mutation.text[..]).collect();
    assert_eq!(texts.len(), first.len());
    let parts = |m: &Mutation| (m.number, m.kind, m.text.clone(), m.source.line());
    let second = mutations(again.top());
    assert_eq!(first.iter().map(parts).collect::<Vec<_>>(), second.iter().map(parts).collect::<Vec<_>>());
    let reset = first.iter().find(|mutation| mutation.text == "count: no reset").unwrap();
    let line_of = |mutation: &Mutation| include_str!("mutation.rs").lines().nth(mutation.source.line() as usize - 1);
    assert!(line_of(reset).unwrap().contains("m.reg(\"count\""));
    for mutation in first.iter().filter(|mutation| mutation.text.starts_with("ring_here")) {
        assert_eq!(mutation.source.file(), file!(), "{}", mutation.text);
        assert!(line_of(mutation).unwrap().contains("m.synchronize("), "{}", mutation.text);
    }
    for mutation in &first {
        let texts = [&design, &again].map(|design| emit(&mutated(design, mutation.number))[0].text.clone());
        assert_eq!(texts[0], texts[1], "`{}` is not the same twice", mutation.text);
    }
}

/// A change that is left out makes the same hardware as the module, or as a change that is not.
#[test]
fn what_is_left_out_is_the_same_hardware() {
    for design in [specimen(), elaborated(&redundant())] {
        let mutations = mutations(design.top());
        let mut known: BTreeSet<Vec<u64>> = mutations.iter().map(|m| trace(&mutated(&design, m.number))).collect();
        known.insert(trace(&design));
        let listed: BTreeSet<usize> = mutations.iter().map(|mutation| mutation.number).collect();
        let all = (0..).take_while(|number| mutant(design.top(), *number).is_some()).count();
        assert!(listed.len() < all, "something is left out");
        for number in (0..all).filter(|number| !listed.contains(number)) {
            assert!(known.contains(&trace(&mutated(&design, number))), "change {number} does something of its own");
        }
        assert!(mutant(design.top(), all).is_none());
    }
}

/// A module with changes that change nothing.
fn redundant() -> impl Block {
    block_fn("redundant", |m| {
        let clock = m.clock();
        let (a, b, c) = (m.input("a", 4), m.input("b", 1), m.input("c", 1));
        // Both arms are the same, operands may be swapped, and what is masked cannot be seen.
        let value = m.reg("value", clock, zero(4));
        when(b, || value.set(a)).otherwise(|| value.set(a));
        m.output("value_shown", value);
        let flag = m.reg("flag", clock, false);
        flag.set(b & (b | c));
        m.output("flag_shown", flag);
        let low = m.reg("low", clock, false);
        low.set(cat(&[c, b]).bit(0));
        m.output("low_shown", low);
        let unused = m.reg("unused", clock, zero(4));
        unused.set(unused + 1);
        let hidden = m.reg("hidden", clock, false);
        hidden.set(unused.any() & (b & !b));
        m.output("hidden_shown", hidden);
    })
}

#[test]
fn changes_that_change_nothing_are_left_out() {
    let design = elaborated(&redundant());
    let texts: Vec<String> = mutations(design.top()).into_iter().map(|mutation| mutation.text).collect();
    for absent in ["value if: b -> always", "flag: b | c -> b", "unused: no reset", "unused: unused + 1 -> unused + 2"]
    {
        assert!(!texts.iter().any(|text| text == absent), "`{absent}` changes nothing, and is among {texts:#?}");
    }
    assert!(texts.iter().any(|text| text == "value: no reset"));
}

/// A wire that would have no value gets a constant.
#[test]
fn no_wire_loses_its_only_value() {
    let design = elaborated(&block_fn("wires", |m| {
        let (a, b) = (m.input("a", 4), m.input("b", 1));
        let [plain, both] = ["plain", "both"].map(|name| m.wire_of_width(name, 4));
        plain.set(a);
        when(b, || both.set(a)).otherwise(|| both.set(!a));
        m.output("shown", cat(&[plain, both]));
    }));
    let shown = |text: &str, a: u64, b: u64| {
        let mutations = mutations(design.top());
        let mutation = mutations.iter().find(|mutation| mutation.text == text).unwrap_or_else(|| panic!("no `{text}`"));
        let mut sim = Evaluator::new(&mutated(&design, mutation.number)).unwrap();
        sim.poke_u64(sim.port("a"), a);
        sim.poke_u64(sim.port("b"), b);
        sim.settle();
        sim.peek_u64(sim.port("shown"))
    };
    assert_eq!(shown("plain: no assignment of a", 6, 1), 0x06);
    assert_eq!(shown("both: no assignment of a", 6, 1), 0x60);
    assert_eq!(shown("both: no assignment of a", 6, 0), 0x69);
    assert_eq!(shown("both: no assignment of !a", 6, 0), 0x60);
}

/// Where nothing is offered the item does not matter, and where one is it does, also if it is the one that stands there all the time.
#[test]
fn what_does_not_matter_is_left_out_and_what_does_is_not() {
    let design = elaborated(&block_fn("merging", |m| {
        m.allow_combinational("it is small");
        m.clock();
        let [first, second] = ["first", "second"].map(|name| m.stream_in_bits(name, 8));
        let exit = m.stream_out_single_with("exit", Naming::Underscore, |make| make("data", 8));
        when(exit.can_take() & first.valid(), || {
            first.take();
            exit.offer(first.payload());
        })
        .else_when(exit.can_take() & second.valid(), || {
            second.take();
            exit.offer(second.payload());
        });
    }));
    let mutations = mutations(design.top());
    let of_items: Vec<&str> =
        mutations.iter().map(|m| &m.text[..]).filter(|text| text.starts_with("exit_item: no assignment")).collect();
    assert_eq!(of_items, ["exit_item: no assignment of first_data", "exit_item: no assignment of second_data"]);
}

/// Counts to a limit and begins again.
fn counter() -> impl Block {
    block_fn("counter", |m| {
        let clock = m.clock();
        let tick = m.input("tick", 1);
        let count = m.reg("count", clock, zero(3));
        when(tick & count.eq(5), || count.set(0)).else_when(tick, || count.set(count + 1));
        m.output("value", count);
    })
}

/// The mutations that a bench, which says whether it is satisfied, does not notice.
fn survivors(design: &Design, satisfied: impl Fn(&mut Evaluator) -> bool) -> Vec<String> {
    let run = |design: &Design| {
        satisfied(
            &mut Evaluator::with(design, Options::default().start(Start::Ones)).expect("nothing foreign is inside"),
        )
    };
    assert!(run(design), "the bench refuses the module itself");
    let unnoticed = |mutation: &Mutation| run(&mutated(design, mutation.number));
    mutations(design.top()).into_iter().filter(unnoticed).map(|mutation| mutation.text).collect()
}

fn reset(sim: &mut Evaluator) {
    sim.poke_u64(sim.port("reset"), 1);
    sim.step();
    sim.poke_u64(sim.port("reset"), 0);
}

#[test]
fn a_weak_bench_leaves_survivors_and_a_good_one_none() {
    let design = elaborated(&counter());
    // It never stops ticking and never sees the end.
    let weak = survivors(&design, |sim| {
        let (tick, value) = (sim.port("tick"), sim.port("value"));
        reset(sim);
        sim.poke_u64(tick, 1);
        (0..4).all(|expected| {
            let seen = sim.peek_u64(value);
            sim.step();
            seen == expected
        })
    });
    assert!(weak.contains(&"count if: tick -> always".to_string()), "{weak:#?}");
    assert!(weak.contains(&"count if: tick & (count == 5) -> never".to_string()), "{weak:#?}");
    assert!(!weak.contains(&"count: no reset".to_string()), "{weak:#?}");

    let good = survivors(&design, |sim| {
        let (tick, value) = (sim.port("tick"), sim.port("value"));
        let mut rng = Seed(1).rng("ticks");
        let mut expected = 0;
        reset(sim);
        (0..200).all(|_| {
            let ticks = rng.bool();
            sim.poke_u64(tick, ticks.into());
            let seen = sim.peek_u64(value);
            sim.step();
            let right = seen == expected;
            expected = (expected + u64::from(ticks)) % 6;
            right
        })
    });
    assert_eq!(good, Vec::<String>::new());
}

/// A module in two places of a hierarchy is its mutant in both, and the others stay what they are.
#[test]
fn a_mutant_takes_every_place_of_its_module() {
    let design = elaborated(&block_fn("top", |m| {
        m.clock();
        let (left, right) = (m.instance("left", &counter()), m.instance("right", &counter()));
        let tick = m.input("tick", 1);
        left.port("tick").set(tick);
        right.port("tick").set(tick);
        m.output("both", cat(&[left.port("value"), right.port("value")]));
    }));
    let counter = &design.modules[0];
    let down = mutations(counter).into_iter().find(|m| m.text == "count: count + 1 -> count - 1").unwrap();
    let mutant = design.with_module(mutant(counter, down.number).unwrap());
    let shown = |design: &Design| {
        let mut sim = Evaluator::new(design).unwrap();
        sim.poke_u64(sim.port("tick"), 1);
        sim.step();
        sim.peek_u64(sim.port("both"))
    };
    assert_eq!((shown(&design), shown(&mutant)), (0o11, 0o77));
}

/// What the environment asks for, tried in processes of their own.
#[test]
fn the_environment_asks_for_mutants_and_lists() {
    use std::process::Command;
    if mutation::is_asked_for() {
        // The child: it fails where the counter is a mutant that counts down.
        let mut sim = Evaluator::new(&elaborated(&counter())).unwrap();
        sim.poke_u64(sim.port("tick"), 1);
        sim.step();
        assert_eq!(sim.peek_u64(sim.port("value")), 1);
        return;
    }
    let child = |variables: &[(&str, &str)]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "the_environment_asks_for_mutants_and_lists", "--nocapture"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let design = elaborated(&counter());
    let down = mutations(design.top()).into_iter().find(|m| m.text == "count: count + 1 -> count - 1").unwrap();
    let asked = format!("counter:{}", down.number);
    assert!(child(&[("RTL_MUTANT", "none")]).0);
    assert!(child(&[("RTL_MUTANT", "another:0")]).0);
    let (passed, said) = child(&[("RTL_MUTANT", &asked)]);
    assert!(!passed && said.contains("`counter` is mutant"), "{said}");
    let (passed, said) = child(&[("RTL_MUTANT", "counter:1000000")]);
    assert!(!passed && said.contains("no mutant of the number 1000000"), "{said}");
    let (passed, said) = child(&[("RTL_MUTANT", "counter")]);
    assert!(!passed && said.contains("it must be `none` or `<module>:<number>`"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let [modules, list] = ["modules", "list"].map(|name| folder.path().join(name).display().to_string());
    let list_variable = format!("counter:{list}");
    let variables =
        [("RTL_MUTANT", "none"), ("RTL_MUTANT_MODULES", &modules[..]), ("RTL_MUTANT_LIST", &list_variable[..])];
    let (passed, said) = child(&variables);
    assert!(passed, "{said}");
    let nodes = design.top().nodes.len();
    assert_eq!(std::fs::read_to_string(modules).unwrap(), format!("counter\t{nodes}\t{}\n", file!()));
    let listed = std::fs::read_to_string(list).unwrap();
    let expected = mutations(design.top());
    let expected =
        expected.iter().map(|m| format!("{}\t{}\t{}:{}\t{}\n", m.number, m.kind, file!(), m.source.line(), m.text));
    assert_eq!(listed, expected.collect::<String>());
}
