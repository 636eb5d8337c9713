//! The evaluator does what the language says: operators against big integers, statements, registers, memories, clocks, streams.

use num_bigint::{BigInt, BigUint};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rtl_hdl::bench::{Bench, Fields, Lockstep, Rng, Seed, Stalls};
use rtl_hdl::sim::Simulator;
use rtl_hdl::waveform::Traced;
use rtl_hdl::*;

hw_enum! {
    /// With a code to spare.
    pub enum Light {
        /// 0.
        Red,
        /// 1.
        Amber,
        /// 2.
        Green,
    }
}

hw_bundle! {
    /// What goes through a stream.
    pub struct Request {
        /// Answers carry it.
        pub id: Bits<5>,
        /// Wide.
        pub data: Bits<70>,
        /// An enum.
        pub light: Light,
    }
}

fn evaluator(build: impl Fn(&Module)) -> Evaluator {
    let design = elaborate(&block_fn("top", build)).unwrap_or_else(|problems| panic!("{problems}"));
    Evaluator::new(&design).unwrap()
}

fn number(words: &[u64]) -> BigUint {
    BigUint::from_slice(&words.iter().flat_map(|w| [*w as u32, (*w >> 32) as u32]).collect::<Vec<_>>())
}

fn words(value: &BigUint, width: u32) -> Vec<u64> {
    let mut words = value.to_u64_digits();
    words.resize(words_for(width), 0);
    words
}

/// A port of a running design.
trait Ports {
    fn set(&mut self, port: &str, value: u64);
    fn get(&self, port: &str) -> u64;
    fn get_number(&self, port: &str, width: u32) -> BigUint;
}

impl<S: Simulator> Ports for S {
    fn set(&mut self, port: &str, value: u64) {
        let port = self.port(port);
        self.poke_u64(port, value);
    }
    fn get(&self, port: &str) -> u64 {
        self.peek_u64(self.port(port))
    }
    fn get_number(&self, port: &str, width: u32) -> BigUint {
        let mut found = vec![0; words_for(width)];
        self.peek(self.port(port), &mut found);
        number(&found)
    }
}

/// Some places in a value, each once.
fn lows(width: u32) -> std::collections::BTreeSet<u32> {
    [0, width / 3, width / 2, width - 1].into()
}

/// Every operator on two values of one width and a shift amount, against big integers.
fn operators(width: u32, a: &BigUint, b: &BigUint, amount: &BigUint, amount_width: u32) {
    let mut sim = evaluator(|m| {
        let (a, b, amount) = (m.input("a", width), m.input("b", width), m.input("amount", amount_width));
        for (name, value) in [
            ("add", a + b),
            ("sub", a - b),
            ("mul", a * b),
            ("and_", a & b),
            ("or_", a | b),
            ("xor_", a ^ b),
            ("eq", a.eq(b)),
            ("ne", a.ne(b)),
            ("lt", a.lt(b)),
            ("le", a.le(b)),
            ("gt", a.gt(b)),
            ("ge", a.ge(b)),
            ("not_", !a),
            ("any", a.any()),
            ("all", a.all()),
            ("parity", a.parity()),
            ("shl", a.shl(amount)),
            ("shr", a.shr(amount)),
            ("mux", a.bit(0).mux(a, b)),
            ("both", cat(&[a, b])),
            ("wider", a.zext(width + 3)),
            ("extended", a.sext(width + 67)),
            ("signed_lt", a.as_signed().lt(b.as_signed())),
            ("signed_le", a.as_signed().le(b.as_signed())),
            ("signed_gt", a.as_signed().gt(b.as_signed())),
            ("signed_ge", a.as_signed().ge(b.as_signed())),
            ("signed_shr", a.as_signed().shr(amount).bits()),
            ("negated", (-a.as_signed()).bits()),
            ("product", a.as_signed().product(b.as_signed()).bits()),
        ] {
            m.output(name, value);
        }
        for low in lows(width) {
            m.output(&format!("from{low}"), cat(&[lit(0u8, 1), a.bits(low..width)]));
            m.output(&format!("to{low}"), cat(&[lit(0u8, 1), a.bits(0..low + 1)]));
        }
    });
    for (port, value, width) in [("a", a, width), ("b", b, width), ("amount", amount, amount_width)] {
        sim.poke(sim.port(port), &words(value, width));
    }
    sim.settle();
    let one = BigUint::from(1u8);
    let modulus = &one << width;
    let shift = u32::try_from(amount.clone()).unwrap_or(u32::MAX).min(width);
    let ones = a.count_ones();
    let top = a.bit(u64::from(width) - 1);
    let yes = |b: bool| (BigUint::from(b), 1);
    let signed = |value: &BigUint| {
        let value = BigInt::from(value.clone());
        if value.bit(u64::from(width) - 1) {
            value - (BigInt::from(1) << width)
        } else {
            value
        }
    };
    let unsigned = |value: BigInt, width: u32| {
        let modulus = BigInt::from(1) << width;
        (((value % &modulus + &modulus) % &modulus).to_biguint().expect("it is at least 0"), width)
    };
    let (signed_a, signed_b) = (signed(a), signed(b));
    let extended = if top { ((&one << 67u32) - &one) << width | a } else { a.clone() };
    for (port, (expected, width)) in [
        ("add", ((a + b) % &modulus, width)),
        ("sub", ((a + &modulus - b) % &modulus, width)),
        ("mul", (a * b % &modulus, width)),
        ("and_", (a & b, width)),
        ("or_", (a | b, width)),
        ("xor_", (a ^ b, width)),
        ("eq", yes(a == b)),
        ("ne", yes(a != b)),
        ("lt", yes(a < b)),
        ("le", yes(a <= b)),
        ("gt", yes(a > b)),
        ("ge", yes(a >= b)),
        ("not_", (&modulus - &one - a, width)),
        ("any", yes(ones > 0)),
        ("all", yes(ones == u64::from(width))),
        ("parity", yes(ones % 2 == 1)),
        ("shl", ((a << shift) % &modulus, width)),
        ("shr", (a >> shift, width)),
        ("mux", (if a.bit(0) { a } else { b }.clone(), width)),
        ("both", (a << width | b, 2 * width)),
        ("wider", (a.clone(), width + 3)),
        ("extended", (extended, width + 67)),
        ("signed_lt", yes(signed_a < signed_b)),
        ("signed_le", yes(signed_a <= signed_b)),
        ("signed_gt", yes(signed_a > signed_b)),
        ("signed_ge", yes(signed_a >= signed_b)),
        ("signed_shr", unsigned(&signed_a >> shift, width)),
        ("negated", unsigned(-&signed_a, width)),
        ("product", unsigned(&signed_a * &signed_b, 2 * width)),
    ] {
        assert_eq!(sim.get_number(port, width), expected, "`{port}` of {width} bits, a = {a:#x}, b = {b:#x}");
    }
    for low in lows(width) {
        assert_eq!(sim.get_number(&format!("from{low}"), width - low + 1), a >> low);
        assert_eq!(sim.get_number(&format!("to{low}"), low + 2), a % (&one << (low + 1)));
    }
}

/// A value of `width` bits: random, or with long runs of equal bits, where carries go far.
fn value(width: u32) -> impl Strategy<Value = BigUint> {
    let any = prop::collection::vec(prop_oneof![any::<u64>(), Just(0), Just(u64::MAX), Just(1)], words_for(width));
    any.prop_map(move |words| number(&words) % (BigUint::from(1u8) << width))
}

fn operands() -> impl Strategy<Value = (u32, BigUint, BigUint, u32, BigUint)> {
    let widths = prop_oneof![1..70u32, prop::sample::select(vec![63, 64, 65, 127, 128, 129, 192]), 70..600u32];
    (widths, prop_oneof![1..12u32, 20..MAX_AMOUNT_WIDTH + 1]).prop_flat_map(|(width, amount_width)| {
        let amount = prop_oneof![
            value(amount_width),
            (0..2 * u64::from(width))
                .prop_map(move |amount| { BigUint::from(amount) % (BigUint::from(1u8) << amount_width) })
        ];
        (Just(width), value(width), value(width), Just(amount_width), amount)
    })
}

/// The same cases in every run; the environment variable `SEED` gives others.
fn config() -> ProptestConfig {
    let seed = RngSeed::Fixed(Seed::from_env_or(0x5EED).0);
    ProptestConfig { rng_seed: seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn operators_are_those_of_integers((width, a, b, amount_width, amount) in operands()) {
        operators(width, &a, &b, &amount, amount_width);
    }

    #[test]
    fn a_word_is_selected(index_width in 1..6u32, width in 1..90u32, seed in any::<u64>()) {
        let mut rng = Seed(seed).rng("select");
        let all = width << index_width;
        let mut sim = evaluator(|m| m.output("word", m.input("all", all).word(m.input("index", index_width), width)));
        let value = rng.bits(all);
        sim.poke(sim.port("all"), &value);
        for index in 0..1u64 << index_width {
            sim.set("index", index);
            sim.settle();
            let expected = (number(&value) >> (index * u64::from(width))) % (BigUint::from(1u8) << width);
            prop_assert_eq!(sim.get_number("word", width), expected);
        }
    }
}

#[test]
fn small_operators_exhaustively() {
    for width in 1..=3 {
        for a in 0..1u32 << width {
            for b in 0..1u32 << width {
                operators(width, &a.into(), &b.into(), &b.into(), width);
            }
        }
    }
}

#[test]
fn choices_beyond_the_last_are_zero() {
    let mut sim = evaluator(|m| {
        let choices: Vec<Signal> = (1..=5u8).map(|i| lit(i, 8)).collect();
        m.output("chosen", select(&choices, m.input("index", 3)));
    });
    for index in 0..8 {
        sim.set("index", index);
        sim.settle();
        assert_eq!(sim.get("chosen"), if index < 5 { index + 1 } else { 0 });
    }
}

#[test]
fn the_last_assignment_wins() {
    let mut sim = evaluator(|m| {
        let (a, b) = (m.input("a", 1), m.input("b", 1));
        let result = m.output_wire("result", 8);
        result.set(1);
        when(a, || {
            result.set(2);
            when(b, || result.set(3));
        })
        .else_when(b, || result.set(4));
        when(a & b, || result.set(5));
        let chain = m.output_wire("chain", 8);
        when(a, || chain.set(1)).else_when(b, || chain.set(2)).otherwise(|| chain.set(3));
    });
    for (a, b, result, chain) in [(0, 0, 1, 3), (0, 1, 4, 2), (1, 0, 2, 1), (1, 1, 5, 1)] {
        sim.set("a", a);
        sim.set("b", b);
        sim.settle();
        assert_eq!((sim.get("result"), sim.get("chain")), (result, chain), "a = {a}, b = {b}");
    }
}

#[test]
fn cases_by_table_and_by_comparison() {
    for width in [3, 20, 100] {
        let mut sim = evaluator(|m| {
            let on = m.input("on", width);
            let (result, partial) = (m.output_wire("result", 8), m.output_wire("partial", 8));
            cases(on).on(1, || result.set(10)).on(5, || result.set(50)).otherwise(|| result.set(99));
            partial.set(7);
            cases(on).on(5, || partial.set(8)).on(6, || {});
        });
        for on in 0..8 {
            sim.set("on", on);
            sim.settle();
            let expected = match on {
                1 => 10,
                5 => 50,
                _ => 99,
            };
            assert_eq!(sim.get("result"), expected, "{on} of {width} bits");
            assert_eq!(sim.get("partial"), if on == 5 { 8 } else { 7 }, "{on} of {width} bits");
        }
    }
}

#[test]
fn a_code_to_spare_is_the_last_variant() {
    let mut sim = evaluator(|m| {
        let light = m.input_as::<Light>("light");
        let result = m.output_wire("result", 8);
        switch(light, |light: Light| match light {
            Light::Red => result.set(1),
            Light::Amber => result.set(2),
            Light::Green => result.set(3),
        });
    });
    for (code, expected) in [(0, 1), (3, 3), (1, 2), (3, 3), (2, 3)] {
        sim.set("light", code);
        sim.settle();
        assert_eq!(sim.get("result"), expected);
    }
}

/// As it is in memory.
#[repr(C)]
pub struct Entry {
    opcode: u8,
    reserved: [u8; 5],
    identifier: [u8; 2],
}

hw_view! {
    /// What hardware reads of it.
    pub struct EntryView from Entry { opcode: 8, identifier: 16 }
}

#[test]
fn a_view_cuts_fields_where_the_wire_type_has_them() {
    let mut sim = evaluator(|m| {
        let entry = EntryView::view(m.input("entry", EntryView::WIRE_WIDTH));
        m.output("opcode", entry.opcode);
        m.output("identifier", entry.identifier);
    });
    let entry = Entry { opcode: 0x12, reserved: [0xff; 5], identifier: [0x34, 0x56] };
    let mut bytes = vec![entry.opcode];
    bytes.extend(entry.reserved.iter().chain(&entry.identifier));
    sim.set("entry", u64::from_le_bytes(bytes.try_into().unwrap()));
    sim.settle();
    assert_eq!((sim.get("opcode"), sim.get("identifier")), (0x12, 0x5634));
}

#[test]
fn a_reset_wins_over_the_body() {
    let mut sim = evaluator(|m| {
        let clock = m.clock();
        let count = m.reg("count", clock, lit(7u8, 8));
        count.set(count + 1);
        m.output("value", count);
    });
    assert_eq!(sim.get("value"), 0, "registers start at zero");
    sim.step();
    assert_eq!(sim.get("value"), 1);
    sim.set("reset", 1);
    sim.step();
    sim.step();
    assert_eq!(sim.get("value"), 7);
    sim.set("reset", 0);
    sim.step();
    assert_eq!(sim.get("value"), 8);
}

#[test]
fn registers_change_at_the_same_moment() {
    let mut sim = evaluator(|m| {
        let clock = m.clock();
        let (a, b) = (m.reg("a", clock, lit(1u8, 4)), m.reg("b", clock, lit(2u8, 4)));
        a.set(b);
        b.set(a);
        m.output("both", cat(&[a, b]));
    });
    sim.set("reset", 1);
    sim.step();
    sim.set("reset", 0);
    assert_eq!(sim.get("both"), 0x12);
    sim.step();
    assert_eq!(sim.get("both"), 0x21);
}

#[test]
fn settling_shows_inputs_without_an_edge() {
    let mut sim = evaluator(|m| {
        m.allow_combinational("the test looks at it");
        let clock = m.clock();
        let data = m.input("data", 100);
        let held = m.reg_without_reset("held", clock, 100);
        held.set(data);
        m.output("now", data + 1);
        m.output("then", held);
    });
    let data = sim.port("data");
    sim.poke(data, &[u64::MAX, 0]);
    assert_eq!(sim.get_number("now", 100), 1u8.into(), "nothing flows before `settle`");
    sim.settle();
    assert_eq!(sim.get_number("now", 100), BigUint::from(1u8) << 64);
    assert_eq!(sim.get("then"), 0);
    sim.step();
    assert_eq!(sim.get("then"), u64::MAX);
}

#[test]
#[should_panic(expected = "[10] does not fit the port `data` of 4 bits")]
fn a_value_that_does_not_fit_a_port_is_a_mistake_of_the_test() {
    evaluator(|m| m.output("result", m.input("data", 4))).set("data", 0x10);
}

#[test]
#[should_panic(expected = "the port `result` is an output")]
fn an_output_is_not_poked() {
    evaluator(|m| m.output("result", m.input("data", 4))).set("result", 1);
}

/// A memory of 5 words of 72 bits with two write ports, against a vector.
#[test]
fn memories() {
    const DEPTH: usize = 5;
    const WIDTH: u32 = 72;
    let initial: Vec<Constant> = (1..=3u8).map(|i| Constant::new(i.into(), WIDTH).unwrap()).collect();
    let mut sim = evaluator(|m| {
        let clock = m.clock();
        let store = m.memory_with_contents("store", WIDTH, DEPTH as u32, MemoryStyle::Distributed, initial.clone());
        let address = |name: &str| m.input(name, 3);
        store.write(clock, m.input("first_enable", 1), address("first_address"), m.input("first_data", WIDTH));
        store.write_lanes(
            clock,
            m.input("second_enable", 1),
            address("second_address"),
            m.input("second_data", WIDTH),
            m.input("second_lanes", 9),
        );
        let read_address = address("read_address");
        m.output("always_", store.read(clock, "always_data", read_address));
        m.output("sometimes", store.read_when(clock, "sometimes_data", m.input("read_enable", 1), read_address));
        m.output("now_comb", store.lookup(read_address));
    });
    let mut model: Vec<BigUint> =
        (0..DEPTH).map(|i| initial.get(i).map_or(0u8.into(), |c| number(c.words()))).collect();
    let mut sometimes = BigUint::from(0u8);
    let mut rng = Seed::from_env_or(0x5EED).rng("memories");
    let word = |rng: &mut Rng| number(&rng.bits(WIDTH));
    for clock in 0..2000 {
        let [first_enable, second_enable, read_enable] = [0; 3].map(|_: u8| rng.bool());
        let [first_address, second_address, read_address] = [0; 3].map(|_: u8| rng.below(8) as usize);
        let (first, second, lanes) = (word(&mut rng), word(&mut rng), rng.below(1 << 9));
        for (port, value) in [
            ("first_enable", first_enable as u64),
            ("second_enable", second_enable as u64),
            ("read_enable", read_enable as u64),
            ("first_address", first_address as u64),
            ("second_address", second_address as u64),
            ("read_address", read_address as u64),
            ("second_lanes", lanes),
        ] {
            sim.set(port, value);
        }
        sim.poke(sim.port("first_data"), &words(&first, WIDTH));
        sim.poke(sim.port("second_data"), &words(&second, WIDTH));
        sim.settle();
        let old = model.get(read_address).cloned().unwrap_or_default();
        assert_eq!(sim.get_number("now_comb", WIDTH), old, "clock {clock}");
        sim.step();
        if read_enable {
            sometimes = old.clone();
        }
        assert_eq!(sim.get_number("always_", WIDTH), old, "a read sees the word before the write, clock {clock}");
        assert_eq!(sim.get_number("sometimes", WIDTH), sometimes, "clock {clock}");
        if let (true, Some(word)) = (first_enable, model.get_mut(first_address)) {
            *word = first;
        }
        if let (true, Some(word)) = (second_enable, model.get_mut(second_address)) {
            for lane in (0..9).filter(|lane| lanes >> lane & 1 == 1) {
                for bit in 8 * lane..8 * lane + 8 {
                    word.set_bit(bit, second.bit(bit));
                }
            }
        }
    }
}

#[test]
fn two_clocks_sample_before_they_change() {
    let mut sim = evaluator(|m| {
        let (a, b) = (m.named_clock("a", None), m.named_clock("b", None));
        let (count_a, at_b) = (m.reg_without_reset("count_a", a, 8), m.reg_without_reset("at_b", b, 8));
        count_a.set(count_a + 1);
        at_b.set(m.held_across("count_at_b", b, count_a, "the test looks at it"));
        m.output("in_a", count_a);
        m.output("in_b", at_b);
    });
    for (clocks, in_a, in_b) in [(0b01, 1, 0), (0b11, 2, 1), (0b10, 2, 2), (0b00, 2, 2), (0b11, 3, 2), (0b11, 4, 3)] {
        sim.step_clocks(clocks);
        assert_eq!((sim.get("in_a"), sim.get("in_b")), (in_a, in_b));
    }
}

/// Arrays of bundles against plain vectors: elements set by number and by index, all at once, and several in one clock.
#[test]
fn arrays_are_vectors() {
    const WIDTH: u32 = 5 + 70 + Light::WIDTH;
    let mut rng = Seed::from_env_or(0x5EED).rng("arrays");
    for count in [1, 2, 3, 8, 13] {
        let mut sim = evaluator(|m| {
            let clock = m.clock();
            let array = m.reg_array_as::<Request>("requests", clock, count);
            let lights = m.reg_array("lights", clock, count, Light::Amber);
            let index_width = array.index_width();
            let input = |name: &str| m.input(name, WIDTH);
            let [first, second, fixed, all] = ["first", "second", "fixed", "all"].map(|name| {
                (
                    m.input(&format!("{name}_on"), 1),
                    Request::unpack(input(name)),
                    m.input(&format!("{name}_at"), index_width),
                )
            });
            when(all.0, || array.set_all(all.1));
            when(first.0, || array.set(first.2, first.1));
            when(second.0, || {
                array.set(second.2, second.1);
                lights.set(second.2, second.1.light);
            });
            when(fixed.0, || array.set(count - 1, fixed.1));
            let shown = m.input("shown", index_width);
            let read = m.reg_as::<Request>("read", clock);
            rtl_hdl::Value::set(&read, array.get(shown));
            m.output("value", read.pack());
            m.output("last", array.at(count - 1).pack());
            let copies = m.wire_array_as::<Request>("copies", count);
            copies.set_each(&array);
            when(first.0, || copies.set(first.2, first.1));
            let changed = m.reg_without_reset("changed", clock, WIDTH);
            changed.set(copies.at(0).pack());
            m.output("copy", changed);
            m.output("light", lights.at(0).signal());
        });
        sim.set("reset", 1);
        sim.step();
        sim.set("reset", 0);
        assert_eq!(sim.get("light"), Light::Amber.code());
        let mut model = vec![vec![0; words_for(WIDTH)]; count as usize];
        let index_limit = 1 << address_width(count);
        let mut light = Light::Amber.code();
        for clock in 0..400 {
            let mut on = |percent: u64| (rng.percent(percent), rng.bits(WIDTH), rng.below(index_limit));
            let [first, second, fixed, all] = [on(50), on(50), on(20), on(3)];
            for (name, (on, value, index)) in [("first", &first), ("second", &second), ("fixed", &fixed), ("all", &all)]
            {
                sim.set(&format!("{name}_on"), u64::from(*on));
                sim.poke(sim.port(name), value);
                sim.set(&format!("{name}_at"), *index);
            }
            let shown = rng.below(index_limit);
            sim.set("shown", shown);
            let expected = model.get(shown as usize).map_or(BigUint::ZERO, |words| number(words));
            let mut copy = model[0].clone();
            if first.0 && first.2 == 0 {
                copy = first.1.clone();
            }
            if all.0 {
                model.iter_mut().for_each(|element| element.clone_from(&all.1));
            }
            for (on, value, index) in [&first, &second, &(fixed.0, fixed.1.clone(), u64::from(count) - 1)] {
                if let (true, Some(element)) = (*on, model.get_mut(*index as usize)) {
                    element.clone_from(value);
                }
            }
            if second.0 && second.2 == 0 {
                light = second.1[1] >> 11 & 3;
            }
            sim.step();
            assert_eq!(sim.get_number("value", WIDTH), expected, "element {shown} of {count} in clock {clock}");
            assert_eq!(sim.get_number("last", WIDTH), number(model.last().expect("at least one")), "clock {clock}");
            assert_eq!(sim.get_number("copy", WIDTH), number(&copy), "clock {clock}");
            assert_eq!(sim.get("light"), light, "clock {clock}");
        }
    }
}

/// A reset that does not wait for a clock: at once, also between two edges, also when it comes from a register.
#[test]
fn an_asynchronous_reset_takes_effect_at_once() {
    let mut sim = evaluator(|m| {
        let clock = m.named_clock("clock", Some("reset"));
        let now = clock.with_async_reset(m.input_async("now", 1));
        let count = m.reg("count", now, zero(80));
        count.set(count + 1);
        m.output("value", count);
        let full = m.reg("full", clock, false);
        full.set(count.eq(5));
        let after = m.reg("after", clock.with_async_reset(full), Constant::ones(3));
        after.set(zero(3));
        m.output("after_full", after);
        m.allow_combinational("an output follows an asynchronous reset");
    });
    let mut step = |now: &[u64]| {
        for value in now {
            sim.set("now", *value);
            sim.settle();
        }
        let before = sim.get("value");
        sim.step();
        (before, sim.get("value"), sim.get("after_full"))
    };
    assert_eq!(step(&[]), (0, 1, 0));
    assert_eq!(step(&[]), (1, 2, 0));
    assert_eq!(step(&[1]), (0, 0, 0), "it holds");
    assert_eq!(step(&[0]), (0, 1, 0));
    assert_eq!(step(&[1, 0]), (0, 1, 0), "it came and went between two edges");
    for value in 2..6 {
        assert_eq!(step(&[]).1, value);
    }
    assert_eq!(step(&[]), (5, 6, 7), "what the edge sets resets at once");
    assert_eq!(step(&[]), (6, 7, 7), "it was still set at that edge");
    assert_eq!(step(&[]), (7, 8, 0));
}

/// Properties are looked at just before an edge of their clock, and not during its reset.
fn checked(build: impl Fn(&Module, Clock, Signal)) -> Evaluator {
    evaluator(|m| {
        let clock = m.clock();
        let bad = m.input("bad", 1);
        build(m, clock, bad);
        m.output("nothing", lit(0u8, 1));
    })
}

#[test]
#[should_panic(expected = "the assertion `top.never_bad` does not hold at edge 2")]
fn a_broken_assertion_stops_the_run() {
    let mut sim = checked(|m, clock, bad| m.assert(clock, "never_bad", !bad));
    sim.set("reset", 1);
    sim.set("bad", 1);
    sim.step();
    sim.set("reset", 0);
    sim.set("bad", 0);
    sim.step();
    sim.set("bad", 1);
    sim.settle();
    sim.step();
}

#[test]
#[should_panic(expected = "the assumption `top.never_bad` does not hold at edge 0")]
fn a_broken_assumption_stops_the_run() {
    let mut sim = checked(|m, clock, bad| m.assume(clock, "never_bad", !bad));
    sim.set("bad", 1);
    sim.step();
}

#[test]
fn covers_are_counted() {
    let mut sim = checked(|m, clock, bad| m.cover(clock, "sometimes_bad", bad));
    for bad in [1, 0, 1, 1] {
        sim.set("bad", bad);
        sim.step();
    }
    assert_eq!(sim.covers().collect::<Vec<_>>(), [("top.sometimes_bad", 3)]);
}

fn dual_port(clocks: usize) -> Evaluator {
    evaluator(|m| {
        let clocks: Vec<Clock> = (0..clocks).map(|i| m.named_clock(&format!("clock{i}"), None)).collect();
        let memory =
            m.memory("words", 8, 16, MemoryStyle::Block).without_collisions().crosses_clocks("the test does it");
        for (port, clock) in ["a", "b"].iter().zip(clocks.iter().cycle()) {
            let input = |name: &str, width| m.input_of(&format!("{port}_{name}"), width, *clock);
            let (write, read, address) = (input("write", 1), input("read", 1), input("address", 4));
            memory.write(*clock, write, address, input("data", 8));
            m.output(
                &format!("{port}_shown"),
                memory.read_when(*clock, &format!("{port}_word"), read & !write, address),
            );
        }
    })
}

fn collide(sim: &mut Evaluator) {
    sim.set("a_write", 1);
    sim.set("a_address", 3);
    sim.set("b_address", 3);
    sim.step_clocks(0b11);
    sim.set("b_read", 1);
    sim.step_clocks(0b01);
    sim.set("b_address", 4);
    sim.step_clocks(0b11);
    sim.set("b_address", 3);
    sim.step_clocks(0b11);
}

#[test]
#[should_panic(expected = "the assertion `top.words_no_collision_0_2` does not hold at edge 1")]
fn a_collision_of_one_clock_stops_the_run() {
    collide(&mut dual_port(1));
}

#[test]
#[should_panic(expected = "two ports of `top.words` access address 0x3 at edge 3")]
fn a_collision_of_two_clocks_stops_the_run() {
    collide(&mut dual_port(2));
}

/// A child with a path from one input to one output, and a register between the others: around it, no loop.
#[test]
fn instances_may_have_paths_between_some_ports() {
    let child = block_fn("child", |m| {
        let clock = m.clock();
        m.allow_combinational("the test needs it");
        let (fast, slow) = (m.input("fast", 8), m.input("slow", 8));
        let held = m.reg_without_reset("held", clock, 8);
        held.set(slow);
        m.output("fast_plus_one", fast + 1);
        m.output("held_out", held);
    });
    let mut sim = evaluator(|m| {
        m.clock();
        let child = m.instance("child", &child);
        child.port("fast").set(child.port("held_out"));
        child.port("slow").set(child.port("fast_plus_one"));
        m.output("count", child.port("held_out"));
    });
    for count in 1..5 {
        sim.step();
        assert_eq!(sim.get("count"), count);
    }
    assert_eq!(sim.signal("top.child.held"), 4);
    assert_eq!(sim.signal("top.child_fast_plus_one"), 5);
}

#[test]
#[should_panic(expected = "there is no signal `top.count`; of that name there are `top.inner.count`")]
fn an_unknown_path_is_answered_with_similar_ones() {
    let inner = block_fn("inner", |m| {
        let clock = m.clock();
        let count = m.reg("count", clock, zero(8));
        count.set(count + 1);
        m.output("value", count);
    });
    evaluator(|m| {
        m.clock();
        m.output("value", m.instance("inner", &inner).port("value"));
    })
    .signal("top.count");
}

#[test]
fn a_seed_fills_what_a_reset_does_not_set() {
    let block = block_fn("top", |m| {
        let clock = m.clock();
        let (known, unknown) = (m.reg("known", clock, zero(64)), m.reg_without_reset("unknown", clock, 64));
        known.set(known + 1);
        when(m.input("enable", 1), || unknown.set(known));
        m.output("known_out", known);
        m.output("unknown_out", unknown);
    });
    let design = elaborate(&block).unwrap();
    let run = |seed| {
        let mut sim = Evaluator::with_seed(&design, Seed(seed)).unwrap();
        sim.set("reset", 1);
        sim.step();
        (sim.get("known_out"), sim.get("unknown_out"))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).1, run(2).1);
    assert_eq!(run(2).0, 0);
}

/// A queue: what enters leaves in order, whatever the streams do.
fn queue(m: &Module) {
    m.clock();
    let entry = m.stream_in::<Request>("entry");
    let exit = m.stream_out::<Request>("exit");
    let single = m.stream_out_single::<Request>("single");
    when(exit.can_take() & single.can_take(), || {
        entry.take();
        when(entry.valid(), || {
            exit.offer(entry.payload());
            single.offer(entry.payload());
        });
    });
}

#[test]
fn streams_keep_order_under_every_stall_pattern() {
    let design = elaborate(&block_fn("queue", queue)).unwrap();
    for stalls in Stalls::ALL {
        let seed = Seed::from_env_or(0x5EED);
        let mut rng = seed.rng("requests");
        let mut sim = Evaluator::with_seed(&design, seed).unwrap();
        let mut bench = Bench::new(&mut sim, &design, seed, stalls);
        let sent: Vec<Fields> = (0..200)
            .map(|id| {
                bench.fields("entry").set("id", id % 32).set_words("data", &rng.bits(70)).set("light", rng.below(3))
            })
            .collect();
        bench.send("entry", sent.iter().cloned().map(Fields::words));
        bench.run_until(10_000, |bench| bench.received("single").len() == sent.len());
        for stream in ["exit", "single"] {
            let got: Vec<Vec<u64>> = bench.drain_fields(stream).into_iter().map(Fields::words).collect();
            assert_eq!(got, sent.iter().cloned().map(Fields::words).collect::<Vec<_>>(), "{stream} with {stalls:?}");
        }
    }
}

#[test]
#[should_panic(expected = "the stream `exit` withdrew an item that was not taken")]
fn a_withdrawn_item_is_found() {
    let design = elaborate(&block_fn("liar", |m| {
        let clock = m.clock();
        let count = m.reg("count", clock, zero(2));
        count.set(count + 1);
        let exit = m.stream_out_wires("exit", Naming::Underscore, |make| make("data", 8));
        exit.payload.set(3);
        exit.valid.set(count.bit(1));
        let _ = exit.ready;
    }))
    .unwrap();
    let mut sim = Evaluator::new(&design).unwrap();
    Bench::new(&mut sim, &design, Seed(1), Stalls::OutputStalls).run(100);
}

/// Counts what passes, in a register with or without a reset.
fn counting(has_reset: bool) -> Design {
    let block = block_fn("counting", move |m| {
        let clock = m.clock();
        let (entry, exit) = (m.stream_in_bits("entry", 8), m.stream_out_bits("exit", 8));
        let count = if has_reset { m.reg("count", clock, zero(8)) } else { m.reg_without_reset("count", clock, 8) };
        when(exit.can_take(), || {
            entry.take();
            when(entry.valid(), || {
                exit.offer(count);
                count.set(count + entry.payload());
            });
        });
    });
    elaborate(&block).unwrap()
}

#[test]
fn a_reset_that_clears_everything_is_accepted() {
    let design = counting(true);
    bench::forgets_at_reset(&mut Evaluator::new(&design).unwrap(), &design, Seed(1), &[], &[]);
}

#[test]
#[should_panic(expected = "`exit_data` of `counting` still shows what was before it")]
fn what_a_reset_leaves_behind_is_found() {
    let design = counting(false);
    bench::forgets_at_reset(&mut Evaluator::new(&design).unwrap(), &design, Seed(1), &[], &[]);
}

/// Gives its number of answers out, and has none after a reset.
#[test]
fn answers_do_not_come_before_they_are_asked_for() {
    let design = elaborate(&block_fn("asking", |m| {
        let clock = m.clock();
        let (answer, exit) = (m.stream_in_bits("answer", 8), m.stream_out_bits("exit", 8));
        let last = m.reg_without_reset("last", clock, 8);
        answer.take();
        when(answer.valid(), || last.set(answer.payload()));
        when(answer.valid() & exit.can_take(), || exit.offer(last));
    }))
    .unwrap();
    let check = |answers: &[&str]| {
        bench::forgets_at_reset(&mut Evaluator::new(&design).unwrap(), &design, Seed(1), answers, &[]);
    };
    check(&["answer"]);
    assert!(std::panic::catch_unwind(|| check(&[])).is_err(), "unasked, they show what was before");
}

#[test]
#[should_panic(expected = "`ready_shown` of `comparing` still shows what was before it")]
fn an_output_that_a_reset_leaves_behind_is_found_unless_it_is_ignored() {
    let design = elaborate(&block_fn("comparing", |m| {
        let clock = m.clock();
        let ready = m.reg_without_reset("ready", clock, 1);
        let ever = m.reg_without_reset("ever", clock, 1);
        ready.set(ready | m.input("go", 1));
        ever.set(ready);
        m.output("ready_shown", ready);
        m.output("ever_shown", ever);
    }))
    .unwrap();
    let ignored = ["ready_shown", "ever_shown"];
    bench::forgets_at_reset(&mut Evaluator::new(&design).unwrap(), &design, Seed(1), &[], &ignored);
    bench::forgets_at_reset(&mut Evaluator::new(&design).unwrap(), &design, Seed(1), &[], &ignored[1..]);
}

#[test]
#[should_panic(expected = "after 1 clocks the output `value` of `counter` differs: one [1], two [2]")]
fn lockstep_finds_the_first_difference() {
    let count = |by: u8| {
        elaborate(&block_fn("counter", |m| {
            let clock = m.clock();
            let count = m.reg("count", clock, zero(8));
            count.set(count + by);
            m.output("value", count);
        }))
        .unwrap()
    };
    let (one, two) = (count(1), count(2));
    let mut both = Lockstep::new(&one, ("one", Evaluator::new(&one).unwrap()), ("two", Evaluator::new(&two).unwrap()));
    both.step();
}

/// A counter that was written in Verilog, and what it does.
fn foreign_counter() -> Foreign {
    let header = "module vendor_counter #(parameter logic [7:0] STEP = 1) (
      input clk, input rst, input enable, output [7:0] count, output enable_n
    );";
    Foreign::from_header("vendor_counter", header)
        .parameter("STEP", 3)
        .clock("clk")
        .reset("rst")
        .combinational("enable_n", &["enable"])
}

struct CounterModel {
    count: u64,
}

impl ForeignModel for CounterModel {
    fn output(&self, output: &str, input: &dyn Fn(&str) -> Constant) -> Constant {
        match output {
            "count" => Constant::from_words(8, &[self.count]),
            "enable_n" => Constant::from_words(1, &[!input("enable").words()[0]]),
            other => panic!("no output {other}"),
        }
    }
    fn edge(&mut self, clocks: u64, input: &dyn Fn(&str) -> Constant) {
        assert_eq!(clocks, 1);
        match (input("rst").bit(0), input("enable").bit(0)) {
            (true, _) => self.count = 0,
            (false, true) => self.count += 3,
            _ => {}
        }
    }
}

fn with_foreign(m: &Module) {
    let clock = m.clock();
    let enable = m.reg("enable", clock, false);
    let inner = m.foreign("inner", &foreign_counter(), &[clock]);
    enable.set(!enable);
    inner.port("enable").set(enable);
    m.output("count", inner.port("count"));
    m.output("enable_n", inner.port("enable_n"));
}

#[test]
fn foreign_modules_need_a_model() {
    let design = elaborate(&block_fn("top", with_foreign)).unwrap();
    let error = Evaluator::new(&design).err().expect("there is no model");
    assert_eq!(error, EvalError::Foreign { modules: vec!["`vendor_counter` (top.inner)".into()] });
    assert!(error.to_string().contains("`vendor_counter` (top.inner)"), "{error}");
}

#[test]
fn foreign_modules_run_by_their_model() {
    let design = elaborate(&block_fn("top", with_foreign)).unwrap();
    let options = Options::default().foreign("vendor_counter", || Box::new(CounterModel { count: 0 }));
    let mut sim = Evaluator::with(&design, options).unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        sim.step();
        seen.push((sim.get("count"), sim.get("enable_n")));
    }
    assert_eq!(seen, [(0, 0), (3, 1), (3, 0), (6, 1), (6, 0)]);
    sim.set("reset", 1);
    sim.step();
    assert_eq!(sim.get("count"), 0);
}

#[test]
fn a_waveform_shows_hierarchy_enums_and_the_window() {
    let inner = block_fn("inner", |m| {
        let clock = m.clock();
        let light = m.reg("light", clock, Light::Red);
        switch(light, |state: Light| match state {
            Light::Red => light.goto(Light::Amber),
            Light::Amber => light.goto(Light::Green),
            Light::Green => light.goto(Light::Red),
        });
        m.output("shown", light.signal());
    });
    let sim = evaluator(|m| {
        m.clock();
        m.output("shown", m.instance("lamp", &inner).port("shown"));
    });
    let mut file = Vec::new();
    let mut traced = Traced::vcd(sim, &mut file, 2..4);
    for _ in 0..10 {
        traced.step();
    }
    traced.finish().unwrap();

    let text = String::from_utf8(file.clone()).unwrap();
    assert!(text.contains("top.lamp.light: 0=Red 1=Amber 2=Green"), "{text}");
    let mut parser = ::vcd::Parser::new(&file[..]);
    let header = parser.parse_header().unwrap();
    let light = header.find_var(&["top", "lamp", "light"]).expect("the register is there").code;
    let clock = header.find_var(&["top", "lamp", "clock"]).expect("the clock is there").code;
    let (mut time, mut changes, mut rises) = (0, vec![], vec![]);
    for command in parser {
        match command.unwrap() {
            ::vcd::Command::Timestamp(at) => time = at,
            ::vcd::Command::ChangeVector(id, value) if id == light => changes.push((time, value.to_string())),
            ::vcd::Command::ChangeScalar(id, ::vcd::Value::V1) if id == clock => rises.push(time),
            _ => {}
        }
    }
    let expected = [(20, "10"), (25, "0"), (35, "1")].map(|(time, value)| (time, value.to_string()));
    assert_eq!(changes, expected, "{text}");
    assert_eq!(rises, [25, 35], "{text}");
}
