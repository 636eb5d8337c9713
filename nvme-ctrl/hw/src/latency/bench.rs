//! The running block beside commands that move as the other blocks let them, each by chance.

use super::{bucket_of, increment, Latency, BUCKETS, PHASES};
use crate::testing::{without_stalls, FUNCTION_CONFIGS};
use crate::types::Operation;
use crate::Config;
use nvme_spec::log::latency::Phase;
use rtl_hdl::bench::{Bench, Rng, Seed};
use rtl_hdl::sim::Simulator;
use rtl_hdl::{block_fn, elaborate, Evaluator, HwEnum};
use std::collections::{HashMap, VecDeque};

/// The inputs that say that something happens.
const EVENTS: [&str; 10] = [
    "granted",
    "entry_valid",
    "entry_taken",
    "command_taken",
    "walked",
    "begun",
    "answered",
    "finished",
    "reported",
    "completed",
];

/// What has happened to a command, and when.
#[derive(Clone, Copy, Default)]
struct Way {
    granted: u64,
    arrived: u64,
    started: u64,
    walked: u64,
    begun: u64,
    answered: u64,
    ended: u64,
    slot: u64,
    operation: u64,
}

/// The blocks around this one, as far as it sees them.
#[derive(Default)]
struct Traffic {
    /// Grants with entries to come: when, and how many.
    grants: VecDeque<(u64, u64)>,
    /// In front of `decode`; between `decode` and `slots`; between `slots` and `walk`.
    entry: Option<Way>,
    command: Option<Way>,
    job: Option<Way>,
    in_flight: Vec<Way>,
    ended: VecDeque<Way>,
    outcome: Option<Way>,
    used_slots: Vec<u64>,
    /// By queue, phase and bucket.
    counted: HashMap<(u64, u32, u32), u64>,
    completions: u64,
}

/// The counter of a duration, by the words of the specification.
fn bucket(clocks: u64) -> u32 {
    (0..BUCKETS).rev().find(|n| clocks >= 1 << n).unwrap_or(0)
}

impl Traffic {
    /// One clock, in which each thing that can happen does so in `percent` of all cases.
    fn clock(&mut self, bench: &mut Bench, rng: &mut Rng, config: Config, percent: u64) {
        let now = bench.clocks();
        let pulse = |bench: &mut Bench, name: &str, happens: bool| bench.poke(name, u64::from(happens));
        let of_slot = |bench: &mut Bench, name: &str, way: Option<&Way>| {
            bench.poke(name, u64::from(way.is_some()));
            bench.poke(&format!("{name}_slot"), way.map_or(0xFF, |way| way.slot));
        };

        // From the end of the way to its start: nothing goes two steps in one clock but from `finished` to `reported`.
        let completed = self.outcome.filter(|_| rng.percent(percent));
        let sqid = rng.range(u64::from(config.functions)..u64::from(config.queues() - 1));
        pulse(bench, "completed", completed.is_some());
        bench.poke("completed_sqid", sqid);
        if let Some(way) = completed {
            self.count(&way, sqid, now);
        }
        // Every command has an event of each kind, whatever it does.
        let may_end = |way: &Way, rng: &mut Rng| way.begun > 0 && way.answered > 0 && rng.percent(percent);
        let ended = (0..self.in_flight.len()).find(|at| may_end(&self.in_flight[*at], rng));
        let ended = ended.map(|at| self.in_flight.remove(at));
        let ended = ended.map(|way| Way { ended: now, ..way });
        of_slot(bench, "finished", ended.as_ref());
        self.ended.extend(ended);
        let may_send = self.outcome.is_none() && rng.percent(percent);
        let sent = may_send.then(|| self.ended.pop_front()).flatten();
        of_slot(bench, "reported", sent.as_ref());
        self.outcome = sent.or(self.outcome.filter(|_| completed.is_none()));
        for name in ["begun", "answered"] {
            let some = (0..self.in_flight.len()).find(|_| rng.percent(percent));
            // The bounce has its last event before the walk ends.
            let early = self.job.as_mut().filter(|_| rng.percent(percent / 4));
            let way = some.map(|at| &mut self.in_flight[at]).or(early);
            // A register of `units` tells of an answer: a clock after it has come.
            of_slot(bench, name, way.as_deref());
            if let Some(way) = way {
                match name {
                    "begun" => way.begun = now,
                    _ => way.answered = now - 1,
                }
            }
        }
        let walked = self.job.filter(|_| rng.percent(percent)).map(|way| Way { walked: now, ..way });
        of_slot(bench, "walked", walked.as_ref());
        bench.poke("walked_operation", walked.map_or(0, |way| way.operation));
        self.in_flight.extend(walked);
        let room = self.job.is_none() && self.used_slots.len() + 1 < config.slots as usize;
        let started = self.command.filter(|_| room && rng.percent(percent));
        pulse(bench, "command_taken", started.is_some());
        let free = (0..u64::from(config.slots)).find(|slot| !self.used_slots.contains(slot)).unwrap_or(0);
        self.used_slots.extend(started.map(|_| free));
        self.job = started.map(|way| Way { started: now, slot: free, ..way }).or(self.job.filter(|_| walked.is_none()));
        let taken = self.entry.filter(|way| way.arrived > 0 && self.command.is_none() && rng.percent(percent));
        // One of four is for firmware.
        let command = taken.filter(|_| rng.percent(75));
        let operation = *rng.pick(&[Operation::Read, Operation::Write, Operation::Flush]);
        self.command = command
            .map(|way| Way { operation: operation.code(), ..way })
            .or(self.command.filter(|_| started.is_none()));
        pulse(bench, "entry_valid", self.entry.is_some());
        if let Some(way) = self.entry.as_mut().filter(|way| way.arrived == 0) {
            way.arrived = now;
        }
        pulse(bench, "entry_taken", taken.is_some());
        self.entry = self.entry.filter(|_| taken.is_none());
        let ripe = self.grants.front().is_some_and(|(granted, _)| now >= granted + 5);
        if self.entry.is_none() && ripe && rng.percent(percent) {
            let (granted, left) = &mut self.grants[0];
            self.entry = Some(Way { granted: *granted, ..Way::default() });
            *left -= 1;
            if *left == 0 {
                self.grants.pop_front();
            }
        }
        let granted = self.grants.len() < config.fetches as usize && rng.percent(percent / 2);
        let count = rng.range(1..9);
        pulse(bench, "granted", granted);
        bench.poke("granted_count", count);
        self.grants.extend(granted.then_some((now, count)));
        // A slot is used again two clocks after its outcome was sent.
        bench.clock();
        if let Some(way) = sent {
            self.used_slots.retain(|slot| *slot != way.slot);
        }
    }

    fn count(&mut self, way: &Way, sqid: u64, now: u64) {
        self.completions += 1;
        let [is_read, is_write] =
            [Operation::Read, Operation::Write].map(|operation| way.operation == operation.code());
        let [answered, begun] = [way.answered, way.begun].map(|event| event.max(way.walked));
        let [storage, data] = match (is_read, is_write) {
            (true, _) => [answered - way.walked, way.ended - answered],
            (_, true) => [way.ended - begun, begun - way.walked],
            _ => [way.ended - way.walked, 0],
        };
        let phases = [
            way.arrived - way.granted,
            way.started - way.arrived,
            way.walked - way.started,
            storage,
            data,
            now - way.ended,
        ];
        assert_eq!(phases.iter().sum::<u64>(), now - way.granted, "the phases are the whole");
        for (phase, clocks) in (0..).zip(phases) {
            *self.counted.entry((sqid, phase, bucket(clocks))).or_default() += 1;
        }
    }
}

fn read(bench: &mut Bench, sqid: u64, index: u32) -> u64 {
    bench.poke("window_sqid", sqid);
    bench.poke("window_index", index.into());
    bench.poke("window_read", 1);
    bench.run_until(4, |bench| bench.peek("window_ready") == 1);
    bench.poke("window_read", 0);
    bench.clock();
    bench.peek("window_data")
}

fn create(bench: &mut Bench, sqid: u64) {
    bench.poke("created", 1);
    bench.poke("created_sqid", sqid);
    bench.clock();
    bench.poke("created", 0);
    bench.run(2);
    bench.run_until(40, |bench| bench.peek("busy") == 0);
}

fn assert_counts(bench: &mut Bench, traffic: &mut Traffic, config: Config, what: &str) {
    let mut nothing = Seed::from_env_or(0).rng("nothing happens");
    (0..6).for_each(|_| traffic.clock(bench, &mut nothing, config, 0));
    for sqid in config.functions..config.queues() {
        for phase in 0..PHASES {
            for bucket in 0..BUCKETS {
                let expected = traffic.counted.get(&(sqid.into(), phase, bucket)).copied().unwrap_or(0);
                let name = Phase::ALL[phase as usize].name();
                let got = read(bench, sqid.into(), phase * BUCKETS + bucket);
                assert_eq!(got, expected, "{what}: queue {sqid}, {name}, counter {bucket}");
            }
        }
    }
}

#[test]
fn each_command_is_counted_once_in_each_phase() {
    for config in FUNCTION_CONFIGS {
        without_stalls(&Latency::new(config), |bench| {
            let seed = Seed::from_env_or(0x1A7E);
            let mut rng = seed.rng("latency");
            (config.functions..config.queues()).for_each(|sqid| create(bench, sqid.into()));
            let mut traffic = Traffic::default();
            for percent in [100, 90, 50, 10, 3, 100] {
                for _ in 0..1500 {
                    // The mailbox asks all the time.
                    bench.poke("window_read", rng.below(2));
                    traffic.clock(bench, &mut rng, config, percent);
                }
                let pause = 1 << rng.below(if percent == 3 { 17 } else { 11 });
                (0..pause).for_each(|_| traffic.clock(bench, &mut rng, config, 0));
            }
            assert!(traffic.completions > 500, "{} commands", traffic.completions);
            assert_counts(bench, &mut traffic, config, &format!("SEED={seed}"));
        });
    }
}

/// A queue that is created has counted nothing, and the others have lost nothing.
#[test]
fn a_queue_that_is_created_begins_at_zero() {
    let config = FUNCTION_CONFIGS[0];
    without_stalls(&Latency::new(config), |bench| {
        let mut rng = Seed::from_env_or(0x1A7E).rng("creation");
        (config.functions..config.queues()).for_each(|sqid| create(bench, sqid.into()));
        let mut traffic = Traffic::default();
        let last = u64::from(config.queues() - 1);
        for number in 0..1500 {
            traffic.clock(bench, &mut rng, config, 100);
            // The traffic leaves the last queue alone. It is created while the others count.
            bench.poke("created", u64::from(number % 100 == 99));
            bench.poke("created_sqid", last);
        }
        bench.poke("created", 0);
        (0..40).for_each(|_| traffic.clock(bench, &mut rng, config, 0));
        assert_counts(bench, &mut traffic, config, "after creations");
        let busiest = u64::from(config.functions);
        traffic.counted.retain(|(sqid, ..), _| *sqid != busiest);
        create(bench, busiest);
        assert_counts(bench, &mut traffic, config, "after its creation");
    });
}

/// Admin queues have no counters.
#[test]
fn admin_queues_read_as_zero() {
    let config = FUNCTION_CONFIGS[0];
    without_stalls(&Latency::new(config), |bench| {
        let mut rng = Seed::from_env_or(0x1A7E).rng("admin");
        (config.functions..config.queues()).for_each(|sqid| create(bench, sqid.into()));
        let mut traffic = Traffic::default();
        (0..500).for_each(|_| traffic.clock(bench, &mut rng, config, 100));
        (0..6).for_each(|_| traffic.clock(bench, &mut rng, config, 0));
        for (sqid, index) in (0..u64::from(config.functions)).flat_map(|sqid| (0..128).map(move |index| (sqid, index)))
        {
            assert_eq!(read(bench, sqid, index), 0, "queue {sqid}, {index}");
        }
    });
}

#[test]
fn counters_follow_the_highest_bit_and_stay_full() {
    let arithmetic = block_fn("latency_arithmetic", |m| {
        let value = m.input("value", 32);
        m.allow_combinational("arithmetic");
        m.output("bucket", bucket_of(value));
        m.output("next", increment(value));
    });
    let design = elaborate(&arithmetic).expect("it is right");
    let mut sim = Evaluator::new(&design).expect("nothing foreign is inside");
    let [input, shown, next] = ["value", "bucket", "next"].map(|port| sim.port(port));
    let edges = (0..32).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
    for value in edges.chain([u64::from(u32::MAX) - 1, u32::MAX.into()]) {
        sim.poke_u64(input, value);
        sim.settle();
        assert_eq!(sim.peek_u64(shown), bucket(value).into(), "{value}");
        assert_eq!(sim.peek_u64(next), (value + 1).min(u32::MAX.into()), "{value}");
    }
}

/// What was on its way at a reset is forgotten, and counters begin with the next creation of their queue.
#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    let config = FUNCTION_CONFIGS[0];
    without_stalls(&Latency::new(config), |bench| {
        let seed = Seed::from_env_or(0x1A7E);
        let mut rng = seed.rng("resets");
        for _ in 0..20 {
            EVENTS.iter().for_each(|event| bench.poke(event, 0));
            bench.reset(2);
            assert_eq!((bench.peek("busy"), bench.peek("window_ready")), (0, 0));
            (config.functions..config.queues()).for_each(|sqid| create(bench, sqid.into()));
            let mut traffic = Traffic::default();
            (0..rng.range(1..200)).for_each(|_| traffic.clock(bench, &mut rng, config, 90));
            assert_counts(bench, &mut traffic, config, &format!("SEED={seed}"));
            (0..rng.range(1..20)).for_each(|_| traffic.clock(bench, &mut rng, config, 90));
        }
    });
}
