//! Several clocks: the report of crossings, the freedom of synchronisers, and clocks of any ratio.

use rtl_hdl::bench::{Bench, Clocking, Seed, Stalls};
use rtl_hdl::cdc::{crossings, End, Place, Through};
use rtl_hdl::sim::Simulator;
use rtl_hdl::*;

fn design(build: impl Fn(&Module)) -> Design {
    elaborate(&block_fn("top", build)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A synchroniser whose input belongs to its first clock.
fn synchronizer() -> impl Block {
    block_fn("synchronizer", |m| {
        let from = m.named_clock("from", None);
        let level = m.input_of("level", 1, from);
        let to = m.named_clock("to", None);
        m.output("arrived", m.synchronize("arrives", to, level, 3, None).value());
    })
}

fn end(path: &str, clock: &str) -> End {
    End { clock: Some(clock.into()).filter(|clock| clock != "-"), path: path.into() }
}

/// What the report says of each place, without the line.
fn report(design: &Design) -> Vec<(Through, Vec<End>, End, Option<String>)> {
    crossings(design).into_iter().map(|Place { through, from, to, glitch, .. }| (through, from, to, glitch)).collect()
}

#[test]
fn every_crossing_is_reported_with_the_clocks_of_the_top() {
    let found = report(&design(|m| {
        let (slow, fast) = (m.named_clock("slow", Some("slow_reset")), m.named_clock("fast", None));
        let level = m.reg("level", slow, false);
        level.set(!level);
        // Two levels down, with the clocks the other way round.
        let inner = block_fn("inner", |m| {
            let (a, b) = (m.named_clock("a", None), m.named_clock("b", None));
            let synchronizer = m.instance_with_clocks("bridge", &synchronizer(), &[b, a]);
            synchronizer.port("level").set(m.input_of("level", 1, b));
            m.output("arrived", synchronizer.port("arrived"));
        });
        let inner = m.instance_with_clocks("inner", &inner, &[fast, slow]);
        inner.port("level").set(level);
        m.output("arrived", inner.port("arrived"));

        let pin = m.synchronize("pin_arrives", fast, m.input_async("pin", 1), 2, None);
        m.output("pin_arrived", pin.value());
        let held = m.held_across("level_there", fast, level, "the test says so");
        m.output("held", held);

        let words = m.memory("words", 4, 4, MemoryStyle::Distributed).crosses_clocks("the test says so");
        words.write(slow, lit(1u8, 1), lit(0u8, 2), m.input_of("data", 4, slow));
        m.output("word", words.read(fast, "word_read", lit(0u8, 2)));

        let at_once = m.reg("at_once", fast.with_async_reset(m.input_async("set", 1)), Constant::ones(1));
        at_once.set(false);
        let later = m.reg_without_reset("later", fast, 1);
        later.set(at_once);
        m.output("later_shown", later);

        // What only assertions look at does not cross in hardware.
        let seen = m.held_across("level_checked", fast, level, "only an assertion looks at it");
        m.assert(fast, "something", seen.implies(seen | later));
    }));
    assert_eq!(
        found,
        [
            (Through::Synchronizer(2), vec![end("top.pin", "-")], end("top.pin_arrives", "fast"), None),
            (Through::Held, vec![end("top.level", "slow")], end("top.level_there", "fast"), None),
            (Through::Memory, vec![end("top.words", "slow")], end("top.word_read", "fast"), None),
            (Through::Reset, vec![end("top.set", "-")], end("top.at_once", "fast"), None),
            (Through::Synchronizer(3), vec![end("top.level", "slow")], end("top.inner.bridge.arrives", "fast"), None),
        ]
    );
}

#[test]
fn logic_before_a_synchroniser_in_another_module_is_found() {
    let found = report(&design(|m| {
        let (slow, fast) = (m.named_clock("slow", None), m.named_clock("fast", None));
        let (a, b) = (m.reg_without_reset("a", slow, 1), m.reg_without_reset("b", slow, 1));
        a.set(!a);
        b.set(a);
        let synchronizer = m.instance_with_clocks("bridge", &synchronizer(), &[slow, fast]);
        synchronizer.port("level").set(m.wire("both", a & b));
        m.output("arrived", synchronizer.port("arrived"));
    }));
    let [(Through::Synchronizer(3), from, _, Some(glitch))] = &found[..] else { panic!("{found:?}") };
    assert_eq!(from, &[end("top.a", "slow"), end("top.b", "slow")]);
    assert!(glitch.contains("(`a` & `b`)"), "{glitch}");
}

#[test]
fn the_reset_of_a_register_belongs_to_its_clock() {
    let problems = elaborate(&block_fn("top", |m| {
        let (slow, fast) = (m.named_clock("slow", Some("slow_reset")), m.named_clock("fast", None));
        let mixed = m.reg("mixed", fast.with_reset(slow.reset().expect("it has one")), false);
        mixed.set(!mixed);
        m.output("value", mixed);
    }));
    let problems = problems.unwrap_err().to_string();
    assert!(problems.contains("`slow_reset` (clock `slow`) meets `mixed` (clock `fast`)"), "{problems}");
}

/// A level arrives after as many edges as there are registers, or one more, and both happen.
#[test]
fn with_jitter_a_level_arrives_in_time_or_a_clock_later() {
    let plain = elaborate(&synchronizer()).unwrap();
    let design = with_jitter(&plain);
    let mut sim = Evaluator::new(&design).unwrap();
    let [level, arrived, jitter] = ["level", "arrived", JITTER].map(|port| sim.port(port));
    let mut rng = Seed::from_env_or(0x5EED).rng("jitter");
    let mut delays = [0; 6];
    for turn in 0..200u64 {
        let value = turn & 1;
        sim.poke_u64(level, value);
        let mut edges = 0;
        while sim.peek_u64(arrived) != value {
            sim.poke_u64(jitter, rng.below(2));
            sim.step_clocks(0b10);
            edges += 1;
        }
        delays[edges] += 1;
    }
    assert_eq!((delays[3] + delays[4], delays[3] > 20, delays[4] > 20), (199, true, true), "{delays:?}");
    // Without jitter there is one delay, and the same design.
    assert_eq!(
        with_jitter(&elaborate(&block_fn("none", |m| m.output("x", m.input("y", 1)))).unwrap()).top().name,
        "none"
    );
}

/// Counts in Gray code, and shows what arrives of it in another clock.
fn counts_in_gray_code() -> Design {
    design(|m| {
        let from = m.named_clock("from", Some("from_reset"));
        let to = m.named_clock("to", Some("to_reset"));
        let count = m.reg("count", from, zero(4));
        count.set(count + 1);
        let code = m.reg("code", from, zero(4));
        code.set(count ^ count.shr(lit(1u8, 1)));
        m.output("sent", code);
        m.output("arrived", m.synchronize_gray("arrives", to, code, 2, "a Gray code").value());
    })
}

/// Of a Gray code only the last change is in doubt, however many there were between two edges.
#[test]
fn with_jitter_a_gray_code_is_the_value_or_the_one_before() {
    let design = with_jitter(&counts_in_gray_code());
    let mut sim = Evaluator::new(&design).unwrap();
    let [sent, arrived, jitter] = ["sent", "arrived", JITTER].map(|port| sim.port(port));
    let mut rng = Seed::from_env_or(0x5EED).rng("jitter");
    let (mut now, mut before, mut expected, mut late) = (0, 0, vec![], 0);
    for _ in 0..500 {
        let mask = rng.range(1..4);
        sim.poke_u64(jitter, rng.below(2));
        let (was_now, was_before) = (now, before);
        sim.step_clocks(mask);
        if mask & 1 == 1 {
            (before, now) = (now, sim.peek_u64(sent));
        }
        if mask & 2 == 2 {
            expected.push([was_now, was_before]);
            if let Some(looked) = expected.len().checked_sub(2) {
                let found = sim.peek_u64(arrived);
                assert!(expected[looked].contains(&found), "{found:#b} is none of {:?}", expected[looked]);
                late += u64::from(found != expected[looked][0]);
            }
        }
    }
    assert!(late > 50, "{late} were late");
}

/// An edge of both clocks is a reset of both sides: what was sent before it does not arrive late.
#[test]
fn with_jitter_nothing_from_before_a_reset_arrives_after_it() {
    let design = with_jitter(&counts_in_gray_code());
    let mut sim = Evaluator::new(&design).unwrap();
    sim.poke_u64(sim.port(JITTER), 1);
    (0..7).for_each(|_| sim.step_clocks(0b11));
    assert_ne!(sim.peek_u64(sim.port("arrived")), 0, "there is something to arrive late");
    let resets = ["from_reset", "to_reset"].map(|port| sim.port(port));
    resets.iter().for_each(|reset| sim.poke_u64(*reset, 1));
    sim.step_clocks(0b11);
    resets.iter().for_each(|reset| sim.poke_u64(*reset, 0));
    for edge in 0..4 {
        sim.step_clocks(0b10);
        assert_eq!(sim.peek_u64(sim.port("arrived")), 0, "edge {edge} after the reset");
    }
}

#[test]
fn clocks_have_the_ratio_that_is_asked_for() {
    let design = design(|m| {
        for name in ["a", "b"] {
            let clock = m.named_clock(name, None);
            let count = m.reg_without_reset(&format!("{name}_edges"), clock, 16);
            count.set(count + 1);
            m.output(&format!("{name}_count"), count);
        }
    });
    for periods in [[(10, 0), (10, 0)], [(8, 0), (20, 3)], [(70, 1), (10, 0)]] {
        let clocking = Clocking::Periods(periods.to_vec());
        let mut sim = Evaluator::new(&design).unwrap();
        let mut bench = Bench::new(&mut sim, &design, Seed(1), Stalls::None).with_clocking(clocking.clone());
        let start = [bench.peek("a_count"), bench.peek("b_count")];
        bench.run(2000);
        let [a, b] = [bench.peek("a_count") - start[0], bench.peek("b_count") - start[1]];
        // As many periods of each have passed, up to one.
        assert!((a * periods[0].0).abs_diff(b * periods[1].0) <= 80, "{clocking:?}: {a} and {b} edges");
    }
}
