//! The rules and the monitor were written apart from each other: of any trace they say the same.

use super::*;
use crate::monitor::{AddressSample, Axi4Monitor, Axi4Sample, Channel, ReadSample, ResponseSample, Rule, WriteSample};
use rtl_hdl::bench::{Rng, Seed};
use rtl_hdl::sim::Simulator;
use rtl_hdl::{block_fn, Block, Evaluator};
use sim_verilator::test_bed::design;
use std::collections::BTreeSet;

const CONFIG: Axi4Config = Axi4Config { address_bits: 16, data_bits: 32, id_bits: 1, user_bits: 1 };
/// So many transactions have numbers of their own.
const NUMBERS: usize = 1 << NUMBER_BITS;
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

fn taken<T>(rng: &mut Rng, percent: u64, payload: impl FnOnce(&mut Rng) -> T) -> Channel<T> {
    let valid = rng.percent(percent);
    // What is not valid is anything, too.
    Channel { valid, ready: valid, payload: payload(rng) }
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

/// Which transaction a judge watches: its id and its number.
type Watched = (u64, u64);

/// A judge of each of these transactions.
fn judges(watched: &[Watched]) -> Vec<Evaluator> {
    let design = design(&judge());
    let judge = |watched: &Watched| {
        let mut sim = Evaluator::new(&design).expect("nothing foreign is inside");
        restart(&mut sim, *watched);
        sim
    };
    watched.iter().map(judge).collect()
}

/// Nothing has happened.
fn restart(sim: &mut Evaluator, (id, number): Watched) {
    poke(sim, &Axi4Sample::default());
    sim.poke_u64(sim.port("watch_id"), id);
    sim.poke_u64(sim.port("watch_number"), number);
    sim.poke_u64(sim.port("reset"), 1);
    sim.step();
    sim.poke_u64(sim.port("reset"), 0);
}

/// The rules that are broken.
fn broken(sim: &mut Evaluator, sample: &Axi4Sample) -> BTreeSet<&'static str> {
    poke(sim, sample);
    sim.settle();
    OUTPUTS.into_iter().filter(|output| sim.peek_u64(sim.port(output)) == 1).collect()
}

fn is_overrun(sim: &Evaluator) -> bool {
    sim.peek_u64(sim.port("overrun")) == 1
}

#[test]
fn the_rules_and_the_monitor_say_the_same_of_any_trace() {
    let seed = Seed::from_env_or(0x5EED);
    let mut rng = seed.rng("traces");
    // One for each transaction that may be watched.
    let watched: Vec<Watched> = (0..2).flat_map(|id| (0..CLOCKS as u64).map(move |number| (id, number))).collect();
    let mut judges = judges(&watched);
    let mut broken_so_far = BTreeSet::new();
    let mut clean = 0;
    for trace in 0..600 {
        let mut monitor = Axi4Monitor::new("bus", CONFIG);
        judges.iter_mut().zip(&watched).for_each(|(sim, watched)| restart(sim, *watched));
        let wrong_percent = *rng.pick(&[2, 10]);
        for clock in 0..CLOCKS {
            let sample = sample(&mut rng, &monitor, trace % 2 == 0, wrong_percent);
            monitor.clock(&sample);
            let expected: BTreeSet<&str> = monitor.violations().iter().map(|v| output_of(v.rule)).collect();
            let mut found = BTreeSet::new();
            for sim in &mut judges {
                let broken_here = broken(sim, &sample);
                assert!(!expected.is_empty() || !is_overrun(sim), "so few transactions have numbers of their own");
                sim.step();
                let kept = broken(sim, &Axi4Sample::default());
                assert_eq!(broken_here, kept, "what breaks a rule is kept\nreplay: {}", seed.replay());
                found.extend(broken_here);
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

#[test]
fn an_address_exists_if_the_monitor_says_so() {
    let mut sim = judges(&[(0, 0)]).remove(0);
    let (mut exist, mut wrong) = (0, 0);
    let lens = (0..=17).chain([30, 31, 32, 63, 126, 127, 128, 254, 255]);
    let fields = lens.flat_map(|len| (0..8).flat_map(move |size| (0..4).map(move |burst| (len, size, burst))));
    for (len, size, burst) in fields {
        // At the start of a page, and around the last place from where it ends within the page.
        let last = 4096u64.saturating_sub((u64::from(len) + 1) << size);
        let around = [last.saturating_sub(5), last.saturating_sub(1), last, last + 1, last + 2, last + 4, last + 8];
        for addr in [0, 1, 2, 3, 4, 8, 32, 0xfff, 0x1ffc].into_iter().chain(around) {
            let payload = AddressSample { id: 0, addr, len, size, burst, user: 0 };
            for (valid, writes) in [(true, true), (true, false), (false, true), (false, false)] {
                let channel = Channel { valid, ready: true, payload };
                let sample = match writes {
                    true => Axi4Sample { aw: channel, ..Axi4Sample::default() },
                    false => Axi4Sample { ar: channel, ..Axi4Sample::default() },
                };
                let mut monitor = Axi4Monitor::new("bus", CONFIG);
                monitor.clock(&sample);
                let expected: BTreeSet<&str> = monitor.violations().iter().map(|v| output_of(v.rule)).collect();
                assert_eq!(broken(&mut sim, &sample), expected, "{payload:?}, valid {valid}");
                *(if expected.is_empty() { &mut exist } else { &mut wrong }) += 1;
            }
        }
    }
    assert!(exist > 1000 && wrong > 1000, "{exist} exist, and {wrong} do not");
}

#[test]
fn a_response_exists_without_exclusive_accesses() {
    let mut sim = judges(&[(0, 0)]).remove(0);
    for (resp, valid, writes) in
        (0..4).flat_map(|resp| [(true, true), (true, false), (false, true), (false, false)].map(|(v, w)| (resp, v, w)))
    {
        let mut sample = Axi4Sample::default();
        if writes {
            sample.b = Channel { valid, ready: true, payload: ResponseSample { id: 1, resp } };
        } else {
            sample.r = Channel { valid, ready: true, payload: ReadSample { id: 1, resp, ..ReadSample::default() } };
        }
        let expected = BTreeSet::from_iter((valid && resp == resp::EXOKAY).then_some("response_wrong"));
        assert_eq!(broken(&mut sim, &sample), expected, "{sample:?}");
        sim.step();
        assert_eq!(broken(&mut sim, &Axi4Sample::default()), expected, "behind {sample:?}");
        restart(&mut sim, (0, 0));
    }
}

#[test]
fn data_without_end_is_too_long() {
    let mut sim = judges(&[(0, 0)]).remove(0);
    let beat = Channel { valid: true, ready: true, payload: WriteSample::default() };
    for _ in 0..520 {
        assert_eq!(broken(&mut sim, &Axi4Sample { w: beat, ..Axi4Sample::default() }), BTreeSet::new());
        sim.step();
    }
    let payload = AddressSample { len: 255, size: 2, burst: burst::INCR, ..AddressSample::default() };
    let address = Axi4Sample { aw: Channel { valid: true, ready: true, payload }, ..Axi4Sample::default() };
    assert_eq!(broken(&mut sim, &address), BTreeSet::from(["write_last_wrong"]));
}

/// Transactions that break no rule, with as many under way as the rules allow.
struct Legal {
    rng: Rng,
    /// How far data and addresses may be ahead of each other.
    lead_max: usize,
    /// Id and length of each.
    all: Vec<(u32, u8)>,
    /// How many addresses and bursts of write data are over.
    addresses: usize,
    bursts: usize,
    /// Beats of the burst that is under way: of the write data, and of the read data of each id.
    beats: u8,
    read_beats: [u8; 2],
    /// The oldest of each id that is not answered.
    oldest: [usize; 2],
}

impl Legal {
    fn new(mut rng: Rng, lead_max: usize) -> Legal {
        let all = (0..5 << NUMBER_BITS).map(|_| (rng.below(2) as u32, rng.below(4) as u8)).collect();
        Legal { rng, lead_max, all, addresses: 0, bursts: 0, beats: 0, read_beats: [0; 2], oldest: [0; 2] }
    }

    /// An address, unless there are too many.
    fn address(&mut self, percent: u64) -> Option<AddressSample> {
        let number = self.addresses;
        let (lead, unanswered) = (number - self.bursts.min(number), number - self.oldest[0].min(self.oldest[1]));
        if unanswered >= NUMBERS - 1 || lead >= self.lead_max || !self.rng.percent(percent) {
            return None;
        }
        self.addresses += 1;
        let (id, len) = self.all[number];
        Some(AddressSample { id, addr: 0, len, size: 2, burst: burst::INCR, user: 0 })
    }

    /// The oldest of an id, if it is below `end`.
    fn answerable(&mut self, end: usize) -> Option<(u32, u8)> {
        let id = self.rng.below(2) as usize;
        let oldest = &mut self.oldest[id];
        *oldest += self.all[*oldest..].iter().position(|(other, _)| *other == id as u32).expect("there are more");
        (*oldest < end).then(|| self.all[*oldest])
    }

    /// A clock in which nothing is valid.
    fn nothing(&mut self) -> Axi4Sample {
        let Axi4Sample { aw, w, b, ar, r, .. } = anything(&mut self.rng);
        let (aw, ar) = (Channel { valid: false, ..aw }, Channel { valid: false, ..ar });
        let (w, b, r) = (Channel { valid: false, ..w }, Channel { valid: false, ..b }, Channel { valid: false, ..r });
        Axi4Sample { reset: false, aw, w, b, ar, r }
    }

    fn writes(&mut self, percent: [u64; 3]) -> Axi4Sample {
        let mut sample = self.nothing();
        let complete = self.addresses.min(self.bursts);
        if let Some((id, _)) = self.answerable(complete).filter(|_| self.rng.percent(percent[2])) {
            sample.b = Channel { valid: true, ready: true, payload: ResponseSample { id, resp: resp::OKAY } };
            self.oldest[id as usize] += 1;
        }
        let may_lead = self.bursts - self.addresses.min(self.bursts) < self.lead_max;
        if let Some(payload) = self.address(percent[0]) {
            sample.aw = Channel { valid: true, ready: true, payload };
        }
        if may_lead && self.rng.percent(percent[1]) {
            let last = self.beats == self.all[self.bursts].1;
            sample.w = Channel { valid: true, ready: true, payload: WriteSample { last, ..WriteSample::default() } };
            self.beats = if last { 0 } else { self.beats + 1 };
            self.bursts += usize::from(last);
        }
        sample
    }

    fn reads(&mut self, percent: [u64; 3]) -> Axi4Sample {
        let mut sample = self.nothing();
        if let Some((id, len)) = self.answerable(self.addresses).filter(|_| self.rng.percent(percent[2])) {
            let beats = &mut self.read_beats[id as usize];
            let last = *beats == len;
            let payload = ReadSample { id, last, ..ReadSample::default() };
            sample.r = Channel { valid: true, ready: true, payload };
            *beats = if last { 0 } else { *beats + 1 };
            self.oldest[id as usize] += usize::from(last);
        }
        if let Some(payload) = self.address(percent[0]) {
            sample.ar = Channel { valid: true, ready: true, payload };
        }
        self.bursts = self.addresses;
        sample
    }
}

/// More transactions than there are numbers, of which none breaks a rule.
#[test]
fn numbers_go_round() {
    let seed = Seed::from_env_or(0x5EED);
    let watched: Vec<Watched> = (0..2).flat_map(|id| [0, 1, 32, 63, 64, 96, 127].map(|number| (id, number))).collect();
    // Addresses before data, data before addresses, both together, and many that wait for an answer.
    let far = LEAD_MAX as usize;
    let traces = [(far, [90, 60, 90]), (far, [20, 90, 90]), (1, [40, 80, 90]), (far, [90, 90, 45])];
    for (trace, (lead_max, percent)) in traces.into_iter().enumerate() {
        for writes in [true, false] {
            let mut legal = Legal::new(seed.rng(&format!("round {trace} {writes}")), lead_max);
            let mut judges = judges(&watched);
            let mut monitor = Axi4Monitor::new("bus", CONFIG);
            let mut clock = 0;
            while legal.addresses < 3 * NUMBERS {
                let sample = if writes { legal.writes(percent) } else { legal.reads(percent) };
                monitor.clock(&sample);
                assert_eq!(monitor.violations(), [], "the trace is wrong\nreplay: {}", seed.replay());
                for (sim, watched) in judges.iter_mut().zip(&watched) {
                    let wrong = (broken(sim, &sample), is_overrun(sim));
                    let (watched, replay) = (watched, seed.replay());
                    assert_eq!(
                        wrong,
                        (BTreeSet::new(), false),
                        "trace {trace}, clock {clock}, {watched:?}\nreplay: {replay}"
                    );
                    sim.step();
                }
                clock += 1;
            }
        }
    }
}

/// In which clock of a trace it is first said that there are more transactions than numbers tell apart. What is said is kept.
fn first_overrun(watched: Watched, trace: impl Iterator<Item = Axi4Sample>) -> Option<usize> {
    let mut sim = judges(&[watched]).remove(0);
    let mut first = None;
    for (clock, sample) in trace.enumerate() {
        broken(&mut sim, &sample);
        assert!(is_overrun(&sim) || first.is_none(), "it was said in clock {first:?}");
        first = first.or(is_overrun(&sim).then_some(clock));
        sim.step();
    }
    first
}

#[test]
fn too_many_at_once_are_noticed() {
    let address = |id: u32| {
        let payload = AddressSample { id, size: 2, burst: burst::INCR, ..AddressSample::default() };
        Channel { valid: true, ready: true, payload }
    };
    let read = |id| Axi4Sample { ar: address(id), ..Axi4Sample::default() };
    let write = |id| Axi4Sample { aw: address(id), ..Axi4Sample::default() };
    for ask in [&read as &dyn Fn(u32) -> Axi4Sample, &write] {
        // The number of the watched one comes again.
        let trace = |watched: usize| (0..2 * NUMBERS).map(move |clock| ask(u32::from(clock == watched)));
        assert_eq!(first_overrun((1, 5), trace(5)), Some(5 + NUMBERS));
        assert_eq!(first_overrun((1, 5), trace(6)), None, "it is not of the watched id");
        // As many of the watched id as can be counted, and one more.
        let of_id = |count: usize| (0..2 * NUMBERS).map(move |clock| ask(u32::from(clock < count)));
        let elsewhere = (1, NUMBERS as u64 - 1);
        assert_eq!(first_overrun(elsewhere, of_id(NUMBERS - 1)), None);
        assert_eq!(first_overrun(elsewhere, of_id(NUMBERS)), Some(NUMBERS - 1));
    }
    // Data goes round while the watched write has no response.
    let beat = Channel { valid: true, ready: true, payload: WriteSample { last: true, ..WriteSample::default() } };
    let data = |clock: usize| Axi4Sample { w: beat, ..if clock < 6 { write(u32::from(clock == 5)) } else { write(0) } };
    let answered = |clock: usize| {
        let payload = ResponseSample { id: 1, resp: resp::OKAY };
        Axi4Sample { b: Channel { valid: clock == 6, ready: true, payload }, ..data(clock) }
    };
    assert_eq!(first_overrun((1, 5), (0..2 * NUMBERS).map(data)), Some(5 + NUMBERS - 1));
    assert_eq!(first_overrun((1, 5), (0..2 * NUMBERS).map(answered)), None);
}
