//! The rules and the monitor were written apart from each other: of any trace they say the same.

use super::*;
use crate::monitor::{AddressSample, Axi4Monitor, Axi4Sample, Channel, ReadSample, ResponseSample, Rule, WriteSample};
use rtl_hdl::bench::{Rng, Seed};
use rtl_hdl::sim::Simulator;
use rtl_hdl::{block_fn, Block, Evaluator};
use sim_verilator::test_bed::design;
use std::collections::BTreeSet;

const CONFIG: Axi4Config = Axi4Config { address_bits: 16, data_bits: 32, id_bits: 1, user_bits: 1 };
/// Clocks of a trace.
const CLOCKS: usize = 20;

/// The state of the rules beside a bus on which everything is taken at once; the outputs say which rules are broken.
fn judge() -> impl Block {
    block_fn("judge", |m: &Module| {
        m.allow_combinational("what is wrong shows in the same clock");
        let clock = m.clock();
        let watch = Watch { id: m.input("watch_id", CONFIG.id_bits), number: m.input("watch_number", NUMBER_BITS) };
        let address = |name: &str| {
            let field = |field: &str, width: u32| m.input(&format!("{name}_{field}"), width);
            let (id, addr, len) = (field("id", 1), field("addr", 16), field("len", LEN_BITS));
            (
                field("valid", 1),
                Address { id, addr, len, size: field("size", 3), burst: field("burst", 2), user: lit(0u8, 1) },
            )
        };
        let ((aw_valid, aw), (ar_valid, ar)) = (address("aw"), address("ar"));
        let nothing = lit(0u8, CONFIG.data_bits);
        let w = WriteData { data: nothing, strb: lit(0u8, 4), last: m.input("w_last", 1) };
        let b = WriteResponse { id: m.input("b_id", 1), resp: m.input("b_resp", 2) };
        let r =
            ReadData { id: m.input("r_id", 1), data: nothing, resp: m.input("r_resp", 2), last: m.input("r_last", 1) };
        let writes = Writes::state(m, clock, "writes");
        let reads = Reads::state(m, clock, "reads");
        let next = writes.response(m.input("b_valid", 1), &b, watch).address(aw_valid, &aw, CONFIG, watch);
        let next = next.data(m.input("w_valid", 1), &w, watch);
        writes.set(next);
        let read = reads.data(m.input("r_valid", 1), &r, watch).address(ar_valid, &ar, CONFIG, watch);
        reads.set(read);
        m.output("address_wrong", next.address_wrong | read.address_wrong);
        m.output("write_last_wrong", next.last_wrong);
        m.output("read_last_wrong", read.last_wrong);
        m.output("write_unasked", next.unasked);
        m.output("read_unasked", read.unasked);
        m.output("response_wrong", next.response_wrong | read.response_wrong);
        m.output("overrun", next.overrun | read.overrun);
    })
}

/// The output that a rule of the monitor sets.
fn output_of(rule: Rule) -> &'static str {
    match rule {
        Rule::Boundary | Rule::Burst | Rule::Size => "address_wrong",
        Rule::WriteLast => "write_last_wrong",
        Rule::ReadLast => "read_last_wrong",
        Rule::ResponseUnasked => "write_unasked",
        Rule::ReadUnasked => "read_unasked",
        Rule::Response => "response_wrong",
        other => panic!("the trace has nothing of {other:?}"),
    }
}

const OUTPUTS: [&str; 6] =
    ["address_wrong", "write_last_wrong", "read_last_wrong", "write_unasked", "read_unasked", "response_wrong"];

fn taken<T: Default>(rng: &mut Rng, percent: u64, payload: impl FnOnce(&mut Rng) -> T) -> Channel<T> {
    let valid = rng.percent(percent);
    Channel { valid, ready: valid, payload: if valid { payload(rng) } else { T::default() } }
}

/// A clock of anything, from so few values that much of it fits.
fn anything(rng: &mut Rng) -> Axi4Sample {
    let address = |rng: &mut Rng| {
        let odd = rng.percent(10);
        AddressSample {
            id: rng.below(2) as u32,
            addr: if odd { 0xfe0 + rng.below(64) } else { 4 * rng.below(16) },
            len: rng.below(if odd { 20 } else { 3 }) as u8,
            size: if odd { rng.below(4) as u8 } else { 2 },
            burst: if odd { rng.below(4) as u8 } else { burst::INCR },
            user: 0,
        }
    };
    let resp = |rng: &mut Rng| if rng.percent(10) { rng.below(4) as u8 } else { resp::OKAY };
    Axi4Sample {
        reset: false,
        aw: taken(rng, 30, address),
        w: taken(rng, 60, |rng| WriteSample { last: rng.bool(), ..WriteSample::default() }),
        b: taken(rng, 40, |rng| ResponseSample { id: rng.below(2) as u32, resp: resp(rng) }),
        ar: taken(rng, 30, address),
        r: taken(rng, 60, |rng| {
            let (id, resp) = (rng.below(2) as u32, resp(rng));
            ReadSample { id, resp, last: rng.bool(), ..ReadSample::default() }
        }),
    }
}

/// A clock of writes or of reads that breaks a rule in few cases.
fn sample(rng: &mut Rng, monitor: &Axi4Monitor, writes: bool, wrong_percent: u64) -> Axi4Sample {
    for _ in 0..30 {
        let all = anything(rng);
        let sample = if writes {
            Axi4Sample { ar: Channel::default(), r: Channel::default(), ..all }
        } else {
            Axi4Sample { ar: all.ar, r: all.r, ..Axi4Sample::default() }
        };
        let mut next = monitor.clone();
        next.clock(&sample);
        if next.violations().is_empty() || rng.percent(wrong_percent) {
            return sample;
        }
    }
    Axi4Sample::default()
}

fn poke(sim: &mut Evaluator, sample: &Axi4Sample) {
    let mut set = |name: &str, value: u64| sim.poke_u64(sim.port(name), value);
    for (name, channel) in [("aw", &sample.aw), ("ar", &sample.ar)] {
        let AddressSample { id, addr, len, size, burst, .. } = channel.payload;
        let fields: [(&str, u64); 6] = [
            ("valid", channel.valid.into()),
            ("id", id.into()),
            ("addr", addr),
            ("len", len.into()),
            ("size", size.into()),
            ("burst", burst.into()),
        ];
        fields.into_iter().for_each(|(field, value)| set(&format!("{name}_{field}"), value));
    }
    set("w_valid", sample.w.valid.into());
    set("w_last", sample.w.payload.last.into());
    set("b_valid", sample.b.valid.into());
    set("b_id", sample.b.payload.id.into());
    set("b_resp", sample.b.payload.resp.into());
    set("r_valid", sample.r.valid.into());
    set("r_id", sample.r.payload.id.into());
    set("r_resp", sample.r.payload.resp.into());
    set("r_last", sample.r.payload.last.into());
}

#[test]
fn the_rules_and_the_monitor_say_the_same_of_any_trace() {
    let seed = Seed::from_env_or(0x5EED);
    let mut rng = seed.rng("traces");
    let design = design(&judge());
    // One for each transaction that may be watched.
    let watches: Vec<(u64, u64)> = (0..2).flat_map(|id| (0..CLOCKS as u64).map(move |number| (id, number))).collect();
    let mut judges: Vec<Evaluator> =
        watches.iter().map(|_| Evaluator::new(&design).expect("nothing foreign is inside")).collect();
    let mut broken_so_far = BTreeSet::new();
    let mut clean = 0;
    for trace in 0..600 {
        let mut monitor = Axi4Monitor::new("bus", CONFIG);
        for (sim, (id, number)) in judges.iter_mut().zip(&watches) {
            sim.poke_u64(sim.port("watch_id"), *id);
            sim.poke_u64(sim.port("watch_number"), *number);
            sim.poke_u64(sim.port("reset"), 1);
            sim.step();
            sim.poke_u64(sim.port("reset"), 0);
        }
        let wrong_percent = *rng.pick(&[2, 10]);
        for clock in 0..CLOCKS {
            let sample = sample(&mut rng, &monitor, trace % 2 == 0, wrong_percent);
            monitor.clock(&sample);
            let expected: BTreeSet<&str> = monitor.violations().iter().map(|v| output_of(v.rule)).collect();
            let mut found = BTreeSet::new();
            for sim in &mut judges {
                poke(sim, &sample);
                sim.settle();
                found.extend(OUTPUTS.into_iter().filter(|output| sim.peek_u64(sim.port(output)) == 1));
                let overrun = expected.is_empty() && sim.peek_u64(sim.port("overrun")) == 1;
                assert!(!overrun, "so few transactions have numbers of their own");
                sim.step();
            }
            // Of several rules that are broken in one clock, one may hide another.
            let same = found.is_subset(&expected) && found.is_empty() == expected.is_empty();
            let (violations, replay) = (monitor.violations(), seed.replay());
            assert!(same, "trace {trace}, clock {clock}: {found:?} and {violations:?}\nreplay: {replay}");
            if !found.is_empty() {
                // Behind a broken rule the two go on in their own ways.
                broken_so_far.extend(found);
                break;
            }
            clean += 1;
        }
    }
    assert_eq!(broken_so_far, OUTPUTS.into_iter().collect(), "every rule was broken");
    assert!(clean > 1000, "{clean} clocks without a broken rule say little");
}
