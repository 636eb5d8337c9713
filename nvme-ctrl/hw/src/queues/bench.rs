//! The running block: a host that rings doorbells, a downstream that ends commands in any order, a firmware that completes some of them.

use super::{CqEntry, Queues};
use crate::testing::{under_all_stalls, without_stalls, FUNCTION_CONFIGS as CONFIGS};
use crate::Config;
use nvme_spec::CqEntry as WireEntry;
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::Shape;
use std::collections::VecDeque;
use zerocopy::FromBytes;

/// Codes of `QueueOperation`.
const CREATE_SQ: u64 = 0;
const CREATE_CQ: u64 = 1;
const STOP_SQ: u64 = 2;
const DELETE_SQ: u64 = 3;
const DELETE_CQ: u64 = 4;

const CLOCKS_MAX: u32 = 60_000;

/// Within so many clocks the doorbells that were rung last have been taken, under every stall pattern.
const DOORBELL_CLOCKS_MAX: u32 = 2_000;

/// Whose a slot is, and what its host calls it: neighbours belong to different functions.
fn identity(functions: u64, slot: u64) -> (u64, u64) {
    (slot % functions, slot / functions)
}

/// A submission queue, from outside. Counts never wrap.
#[derive(Clone, Debug)]
struct Sq {
    entries: u64,
    cq: usize,
    page: u64,
    published: u64,
    granted: u64,
    consumed: u64,
    /// The host's knowledge of `consumed`, from completions.
    freed: u64,
}

/// A completion queue, from outside.
#[derive(Clone, Debug)]
struct Cq {
    entries: u64,
    page: u64,
    posted: u64,
    /// Announced by the head doorbell.
    taken: u64,
}

fn change(bench: &mut Bench, functions: u64, operation: u64, slot: u64, cq: u64, page: u64, entries: u64) {
    let (function, qid) = identity(functions, slot);
    let item = bench.fields("command").set("operation", operation).set("queue", slot).set("completion_queue", cq);
    let item = item.set("page", page).set("last", entries - 1).set("interrupts", 1u8).set("vector", slot);
    bench.send("command", [item.set("function", function).set("qid", qid).words()]);
    bench.run_until(100, |bench| bench.peek("command_answered") == 1);
    bench.clock();
}

fn no_burst_limit(bench: &mut Bench, functions: u64) {
    (0..functions).for_each(|function| bench.poke(&format!("arbitration_f{function}"), 7));
}

fn ring(bench: &mut Bench, (function, qid): (u64, u64), completion: bool, value: u64) {
    let item = bench.fields("doorbell").set("function", function).set("queue", qid);
    bench.send("doorbell", [item.set("completion", u8::from(completion)).set("value", value).words()]);
}

fn complete(bench: &mut Bench, stream: &str, queue: u64, cid: u64) {
    let item = bench.fields(stream).set("sqid", queue).set("cid", cid).set("status", cid & 0x7FFF);
    bench.send(stream, [item.set("result", cid << 8).words()]);
}

/// Everything outside of the block.
struct World<'a, 'b> {
    bench: &'a mut Bench<'b>,
    rng: &'a mut Rng,
    functions: u64,
    sqs: Vec<Sq>,
    cqs: Vec<Cq>,
    /// Granted entries that have not left `decode`: queue and number, in order.
    fetched: VecDeque<(usize, u64)>,
    /// Sent as consumed, in order.
    leaving: VecDeque<(usize, u64)>,
    in_engine: Vec<(usize, u64)>,
    in_inbox: Vec<(usize, u64)>,
    with_firmware: Vec<(usize, u64)>,
    /// The completion that firmware waits for.
    asked: Option<(usize, u64)>,
    /// Sent for posting and not seen yet.
    finished: Vec<(usize, u64)>,
    refusals: u64,
    /// By vector.
    raises: Vec<u64>,
    done: u64,
    unknown: [u64; 2],
    illegal: [u64; 2],
}

impl<'a, 'b> World<'a, 'b> {
    fn new(bench: &'a mut Bench<'b>, rng: &'a mut Rng, config: Config) -> Self {
        let (functions, queues) = (u64::from(config.functions), u64::from(config.queues()));
        let mut world = World {
            bench,
            rng,
            functions,
            sqs: vec![],
            cqs: vec![],
            fetched: VecDeque::new(),
            leaving: VecDeque::new(),
            in_engine: vec![],
            in_inbox: vec![],
            with_firmware: vec![],
            asked: None,
            finished: vec![],
            refusals: 0,
            raises: vec![0; queues as usize],
            done: 0,
            unknown: [0; 2],
            illegal: [0; 2],
        };
        world.bench.poke("granting", (1 << functions) - 1);
        no_burst_limit(world.bench, functions);
        for queue in 0..queues {
            let (entries, page) = (world.rng.range(2..14), 0x900 + 0x100 * queue);
            change(world.bench, functions, CREATE_CQ, queue, 0, page, entries);
            world.cqs.push(Cq { entries, page, posted: 0, taken: 0 });
        }
        for queue in 0..queues {
            let (entries, page) = (world.rng.range(2..40), 0x10_0900 + 0x100 * queue);
            let cq = loop {
                let cq = world.rng.below(queues);
                if cq % functions == queue % functions {
                    break cq;
                }
            };
            change(world.bench, functions, CREATE_SQ, queue, cq, page, entries);
            let sq = Sq { entries, cq: cq as usize, page, published: 0, granted: 0, consumed: 0, freed: 0 };
            world.sqs.push(sq);
        }
        world
    }

    fn host(&mut self, publishes: bool) {
        let queue = self.rng.below(self.sqs.len() as u64) as usize;
        let sq = &mut self.sqs[queue];
        let free = sq.entries - 1 - (sq.published - sq.freed);
        if publishes && free > 0 && self.rng.percent(30) {
            sq.published += self.rng.range(1..free + 1);
            ring(self.bench, identity(self.functions, queue as u64), false, sq.published % sq.entries);
        }
        let queue = self.rng.below(self.cqs.len() as u64) as usize;
        let cq = &mut self.cqs[queue];
        if cq.posted > cq.taken && self.rng.percent(15) {
            cq.taken += self.rng.range(1..cq.posted - cq.taken + 1);
            ring(self.bench, identity(self.functions, queue as u64), true, cq.taken % cq.entries);
        }
        if self.rng.percent(2) {
            let completion = self.rng.bool();
            if self.rng.bool() {
                self.unknown[0] += 1;
                let beyond = (self.sqs.len() as u64).div_ceil(self.functions);
                ring(self.bench, (self.rng.below(self.functions), self.rng.range(beyond..256)), completion, 0);
            } else {
                self.illegal[0] += 1;
                let entries = if completion { self.cqs[queue].entries } else { self.sqs[queue].entries };
                ring(self.bench, identity(self.functions, queue as u64), completion, self.rng.range(entries..0x1_0000));
            }
        }
    }

    fn downstream(&mut self) {
        for grant in self.bench.drain_fields("grant") {
            let queue = grant.get("sqid") as usize;
            let (address, count) = (grant.get("address"), grant.get("count"));
            let sq = &mut self.sqs[queue];
            assert_eq!(address, sq.page * 4096 + sq.granted % sq.entries * 64, "grants follow one another");
            assert!((1..=8).contains(&count) && address % 512 + count * 64 <= 512, "{count} entries at {address:#x}");
            assert!(sq.granted % sq.entries + count <= sq.entries, "beyond the end of the ring");
            // The doorbell may be on its way.
            let behind = sq.granted + count + grant.get("leaves_some");
            assert!(behind <= sq.published, "more than the host has published");
            self.fetched.extend((sq.granted..sq.granted + count).map(|number| (queue, number)));
            sq.granted += count;
        }
        if self.rng.percent(60) {
            if let Some((queue, number)) = self.fetched.pop_front() {
                self.sqs[queue].consumed += 1;
                let item = self.bench.fields("consumed").set("sqid", queue as u64);
                self.bench.send("consumed", [item.words()]);
                self.leaving.push_back((queue, number));
            }
        }
        // A command ends after `queues` has been told that its entry is consumed.
        while self.leaving.len() > self.bench.pending("consumed") {
            if let Some((queue, number)) = self.leaving.pop_front() {
                let place = if self.rng.percent(70) { &mut self.in_engine } else { &mut self.in_inbox };
                place.push((queue, number));
            }
        }
        if !self.in_engine.is_empty() && self.rng.percent(50) {
            let (queue, number) = self.in_engine.swap_remove(self.rng.below(self.in_engine.len() as u64) as usize);
            complete(self.bench, "completion", queue as u64, number & 0xFFFF);
            self.finished.push((queue, number));
        }
    }

    fn firmware(&mut self) {
        if !self.in_inbox.is_empty() && self.rng.percent(30) {
            let (queue, number) = self.in_inbox.remove(0);
            let item = self.bench.fields("released").set("sqid", queue as u64);
            self.bench.send("released", [item.words()]);
            self.with_firmware.push((queue, number));
        }
        if self.bench.peek("firmware_answered") == 1 {
            let (queue, number) = self.asked.take().expect("an answer to a question");
            assert_eq!(self.bench.peek("firmware_dropped"), 0);
            if self.bench.peek("firmware_refused") == 1 {
                self.refusals += 1;
                self.finished.retain(|item| *item != (queue, number));
                self.with_firmware.push((queue, number));
            }
        } else if self.asked.is_none() && !self.with_firmware.is_empty() && self.rng.percent(20) {
            let index = self.rng.below(self.with_firmware.len() as u64) as usize;
            let (queue, number) = self.with_firmware.swap_remove(index);
            complete(self.bench, "firmware_completion", queue as u64, number & 0xFFFF);
            self.asked = Some((queue, number));
            self.finished.push((queue, number));
        }
    }

    fn completions(&mut self) {
        for posted in self.bench.drain_fields("posted") {
            let page = posted.get("address") / 4096;
            let queue = self.cqs.iter().rposition(|cq| cq.page <= page).expect("a page of a queue");
            assert_eq!(posted.get("function"), identity(self.functions, queue as u64).0);
            let cq = &mut self.cqs[queue];
            assert_eq!(
                posted.get("address"),
                cq.page * 4096 + cq.posted % cq.entries * 16,
                "entries follow one another"
            );
            let bytes: Vec<u8> = posted.get_words("entry").iter().flat_map(|word| word.to_le_bytes()).collect();
            let entry = WireEntry::read_from_bytes(&bytes).expect("16 bytes");
            assert_eq!(entry.phase(), (cq.posted / cq.entries).is_multiple_of(2), "the phase inverts on each pass");
            cq.posted += 1;
            assert!(cq.posted - cq.taken < cq.entries, "an entry is overwritten");

            let function = queue as u64 % self.functions;
            let sqid = usize::from(entry.sqid.get()) * self.functions as usize + function as usize;
            let cid = u64::from(entry.cid.get());
            let found = self.finished.iter().position(|(q, number)| *q == sqid && number & 0xFFFF == cid);
            let (_, number) = self.finished.swap_remove(found.expect("every completion belongs to a command, once"));
            assert_eq!(u64::from(entry.status_field()), cid & 0x7FFF);
            assert_eq!(u64::from(entry.result.get()), cid << 8);
            let sq = &mut self.sqs[sqid];
            assert_eq!(sq.cq, queue);
            // SQHD as a count: the one that lies between the command's own entry and what was consumed.
            let head = (number + 1..=sq.consumed).find(|count| count % sq.entries == u64::from(entry.sqhd.get()));
            sq.freed = sq.freed.max(head.expect("SQHD covers the command and nothing that is not consumed"));
            self.done += 1;
        }
    }

    fn clock(&mut self, publishes: bool) {
        self.host(publishes);
        self.downstream();
        self.firmware();
        self.completions();
        self.bench_clock();
    }

    fn bench_clock(&mut self) {
        self.bench.clock();
        self.unknown[1] += u64::from(self.bench.peek("doorbell_unknown").count_ones());
        self.illegal[1] += u64::from(self.bench.peek("doorbell_illegal").count_ones());
        if self.bench.peek("raise") == 1 {
            let vector = self.bench.peek("raise_vector");
            assert_eq!(self.bench.peek("raise_function"), vector % self.functions);
            self.raises[vector as usize] += 1;
        }
    }

    /// The host publishes no more; all that was published ends.
    fn finish(&mut self) {
        for _ in 0..CLOCKS_MAX {
            let published: u64 = self.sqs.iter().map(|sq| sq.published).sum();
            if self.done == published && self.bench.peek("quiet") == (1 << self.functions) - 1 {
                // The last doorbells are still on their way.
                (0..DOORBELL_CLOCKS_MAX).for_each(|_| self.bench_clock());
                assert_eq!(self.bench.pending("doorbell"), 0);
                assert_eq!(self.unknown[0], self.unknown[1], "each doorbell of an unknown queue is reported once");
                assert_eq!(self.illegal[0], self.illegal[1], "each impossible position is reported once");
                for (cq, raises) in self.cqs.iter().zip(&self.raises) {
                    assert!(*raises >= cq.posted, "each entry requests an interrupt");
                    assert!(*raises <= 2 * cq.posted, "and each head doorbell at most one more");
                }
                return;
            }
            self.clock(false);
        }
        panic!("{} commands were completed of {:?}", self.done, self.sqs);
    }
}

#[test]
fn every_entry_is_granted_once_and_completed_once_in_its_place() {
    let mut refusals = 0;
    for config in CONFIGS {
        under_all_stalls(&Queues::new(config), |bench, rng| {
            let mut world = World::new(bench, rng, config);
            while world.done < 600 {
                world.clock(true);
                assert!(world.bench.clocks() < CLOCKS_MAX.into(), "only {} commands were completed", world.done);
            }
            world.finish();
            refusals += world.refusals;
            for queue in 0..u64::from(config.queues()) {
                bench.poke("select", queue);
                bench.run(2);
                assert_eq!(bench.peek("selected_in_flight"), 0);
            }
        });
    }
    assert!(refusals > 0, "firmware has met a full queue");
}

#[test]
fn a_stopped_queue_is_granted_no_more_and_its_number_can_be_used_again() {
    for config in CONFIGS {
        without_stalls(&Queues::new(config), |bench| {
            bench.poke("granting", 1);
            no_burst_limit(bench, 1);
            for _ in 0..2 {
                change(bench, 1, CREATE_CQ, 1, 0, 0x10, 20);
                change(bench, 1, CREATE_SQ, 1, 1, 0x20, 20);
                ring(bench, (0, 1), false, 3);
                bench.run(20);
                assert_eq!(bench.drain_fields("grant")[0].get("count"), 3);
                change(bench, 1, STOP_SQ, 1, 0, 0, 2);
                ring(bench, (0, 1), false, 7);
                bench.run(50);
                assert_eq!(bench.drain("grant").len(), 0);
                bench.poke("select", 1);
                // In flight, it cannot be deleted.
                change(bench, 1, DELETE_SQ, 1, 0, 0, 2);
                bench.run(3);
                assert_eq!(bench.peek("selected_in_flight"), 3);
                assert_eq!(bench.peek("quiet") & 1, 0);
                let dropped = bench.fields("consumed").set("sqid", 1u8).set("dropped", 1u8).words();
                bench.send("consumed", vec![dropped; 3]);
                bench.run(20);
                assert_eq!(bench.peek("selected_in_flight"), 0);
                change(bench, 1, DELETE_SQ, 1, 0, 0, 2);
                complete(bench, "firmware_completion", 1, 5);
                bench.run_until(50, |bench| bench.peek("firmware_answered") == 1);
                assert_eq!(bench.peek("firmware_dropped"), 1);
                bench.run(20);
                assert_eq!(bench.drain("posted").len(), 0);
                assert_eq!(bench.peek("quiet") & 1, 1);
            }
        });
    }
}

#[test]
fn a_deleted_completion_queue_is_unknown_and_its_number_begins_anew() {
    for config in CONFIGS {
        without_stalls(&Queues::new(config), |bench| {
            bench.poke("granting", 1);
            no_burst_limit(bench, 1);
            // Rings the doorbell of the head, and says how often an unknown queue was reported.
            let unknown = |bench: &mut Bench, head: u64| {
                ring(bench, (0, 2), true, head);
                let report = |_| {
                    bench.clock();
                    bench.peek("doorbell_unknown") & 1
                };
                (0..20).map(report).sum::<u64>()
            };
            for page in [0x10, 0x30] {
                assert_eq!(unknown(bench, 1), 1);
                change(bench, 1, CREATE_CQ, 2, 0, page, 20);
                change(bench, 1, CREATE_SQ, 1, 2, 0x20, 20);
                ring(bench, (0, 1), false, 3);
                bench.run(20);
                assert_eq!(bench.drain_fields("grant")[0].get("count"), 3);
                let consumed = bench.fields("consumed").set("sqid", 1u8).words();
                bench.send("consumed", vec![consumed; 3]);
                bench.run(20);
                (0..3).for_each(|cid| complete(bench, "completion", 1, cid));
                bench.run(30);
                let posted = bench.drain_fields("posted");
                let addresses: Vec<u64> = posted.iter().map(|item| item.get("address")).collect();
                assert_eq!(addresses, [0, 1, 2].map(|entry| page * 4096 + 16 * entry), "from the first entry on");
                let phases: Vec<u64> = posted.iter().map(|item| item.get_words("entry")[1] >> 48 & 1).collect();
                assert_eq!(phases, [1; 3], "of the first pass");
                assert_eq!(unknown(bench, 2), 0);
                change(bench, 1, STOP_SQ, 1, 0, 0, 2);
                change(bench, 1, DELETE_SQ, 1, 0, 0, 2);
                change(bench, 1, DELETE_CQ, 2, 0, 0, 2);
            }
            assert_eq!(unknown(bench, 1), 1);
        });
    }
}

#[test]
fn nothing_is_granted_while_the_controller_is_not_ready() {
    without_stalls(&Queues::new(CONFIGS[0]), |bench| {
        change(bench, 1, CREATE_CQ, 0, 0, 0x10, 20);
        change(bench, 1, CREATE_SQ, 0, 0, 0x20, 20);
        ring(bench, (0, 0), false, 4);
        bench.run(50);
        assert_eq!(bench.drain("grant").len(), 0);
        no_burst_limit(bench, 1);
        bench.poke("granting", 1);
        bench.run(20);
        assert_eq!(bench.drain("grant").len(), 1);
        bench.reset(2);
        bench.run(50);
        assert_eq!(bench.drain("grant").len(), 0, "the queue is gone");
        assert_eq!(bench.peek("quiet") & 1, 1);
    });
}

/// Two completions must have room together for a pair of commands.
#[test]
fn a_completion_queue_of_two_entries_has_no_room_for_a_pair() {
    without_stalls(&Queues::new(CONFIGS[1]), |bench| {
        bench.poke("granting", 1);
        no_burst_limit(bench, 1);
        for (number, entries) in (1..).zip([2, 3]) {
            change(bench, 1, CREATE_CQ, number, 0, 0x10, entries);
            change(bench, 1, CREATE_SQ, number, number, 0x20, 16);
            ring(bench, (0, number), false, 5);
            bench.run(20);
            let [grant] = &bench.drain_fields("grant")[..] else { panic!("one grant") };
            assert_eq!((grant.get("count"), grant.get("leaves_some")), (entries - 1, entries - 2));
        }
    });
}

#[test]
fn completions_are_posted_in_every_fourth_clock() {
    without_stalls(&Queues::new(CONFIGS[1]), |bench| {
        bench.poke("granting", 1);
        no_burst_limit(bench, 1);
        change(bench, 1, CREATE_CQ, 1, 0, 0x10, 4096);
        change(bench, 1, CREATE_SQ, 1, 1, 0x20, 4096);
        ring(bench, (0, 1), false, 1000);
        bench.run(1500);
        let mut granted = 0;
        for grant in bench.drain_fields("grant") {
            granted += grant.get("count");
            assert_eq!(grant.get("leaves_some") == 1, granted < 1000, "with {granted} entries");
        }
        assert_eq!(granted, 1000);
        (0..100).for_each(|cid| complete(bench, "completion", 1, cid));
        let start = bench.clocks();
        bench.run_until(1000, |bench| bench.received("posted").len() == 100);
        assert!(bench.clocks() - start <= 4 * 100 + 8, "{} clocks", bench.clocks() - start);
    });
}

/// All queues of a function end with its life, those of the others go on.
#[test]
fn the_queues_of_a_function_end_together() {
    without_stalls(&Queues::new(CONFIGS[0]), |bench| {
        bench.poke("granting", 3);
        no_burst_limit(bench, 2);
        for slot in 0..4 {
            change(bench, 2, CREATE_CQ, slot, 0, 0x10 + slot, 20);
            change(bench, 2, CREATE_SQ, slot, slot, 0x20 + slot, 20);
        }
        bench.poke("clear", 1);
        bench.clock();
        bench.poke("clear", 0);
        for slot in 0..4 {
            let (function, qid) = identity(2, slot);
            for completion in [false, true] {
                ring(bench, (function, qid), completion, 0);
                let unknown: Vec<u64> = (0..20)
                    .map(|_| {
                        bench.clock();
                        bench.peek("doorbell_unknown")
                    })
                    .collect();
                assert_eq!(unknown.contains(&1), function == 0, "queue {qid} of function {function}");
                assert!(unknown.iter().all(|bits| *bits <= 1));
            }
            ring(bench, (function, qid), false, 3);
            bench.run(20);
        }
        bench.run(60);
        let granted: Vec<u64> = bench.drain_fields("grant").iter().map(|grant| grant.get("function")).collect();
        assert_eq!(granted, [1, 1]);
        assert_eq!(bench.peek("quiet"), 1, "nothing of the first function is in flight");
    });
}

/// A function that is not ready is granted nothing, whatever the others do.
#[test]
fn functions_are_granted_by_themselves() {
    without_stalls(&Queues::new(CONFIGS[0]), |bench| {
        bench.poke("granting", 2);
        for slot in 0..4 {
            change(bench, 2, CREATE_CQ, slot, 0, 0x10 + slot, 20);
            change(bench, 2, CREATE_SQ, slot, slot, 0x20 + slot, 20);
            ring(bench, identity(2, slot), false, 1);
        }
        bench.run(100);
        let granted = |bench: &mut Bench| {
            let grants = bench.drain_fields("grant");
            grants.iter().map(|grant| (grant.get("function"), grant.get("sqid"))).collect::<Vec<_>>()
        };
        let mut first = granted(bench);
        first.sort_unstable();
        assert_eq!(first, [(1, 1), (1, 3)]);
        bench.poke("granting", 3);
        bench.run(100);
        let mut later = granted(bench);
        later.sort_unstable();
        assert_eq!(later, [(0, 0), (0, 2)]);
    });
}

/// Whatever order doorbells come in, queues that share a full completion queue take turns.
#[test]
fn queues_with_one_completion_queue_take_turns() {
    for (config, slots) in [(CONFIGS[0], [2, 4, 6]), (CONFIGS[1], [2, 3, 4])] {
        let functions = u64::from(config.functions);
        without_stalls(&Queues::new(config), |bench| {
            bench.poke("granting", (1 << functions) - 1);
            no_burst_limit(bench, functions);
            change(bench, functions, CREATE_CQ, 2, 0, 0x10, 4);
            for slot in slots {
                change(bench, functions, CREATE_SQ, slot, 2, 0x20 + slot, 16);
            }
            let (mut shares, mut tails, mut head) = ([0; 8], [15u64; 8], 0);
            for _ in 0..60 {
                ring(bench, identity(functions, 2), true, head % 4);
                for slot in slots {
                    ring(bench, identity(functions, slot), false, tails[slot as usize] % 16);
                }
                bench.run(120);
                for grant in bench.drain_fields("grant") {
                    let (slot, count) = (grant.get("sqid"), grant.get("count"));
                    shares[slot as usize] += count;
                    tails[slot as usize] += count;
                    let consumed = bench.fields("consumed").set("sqid", slot).words();
                    bench.send("consumed", vec![consumed; count as usize]);
                    bench.run(20);
                    (0..count).for_each(|cid| complete(bench, "completion", slot, cid));
                    bench.run(60);
                    head += count;
                }
            }
            assert!(slots.iter().all(|slot| shares[*slot as usize] >= 15), "{shares:?}");
        });
    }
}

/// Halves of pairs never have all entries of a completion queue: the last one is kept for the other half of one of them.
#[test]
fn halves_of_pairs_do_not_fill_a_completion_queue() {
    let granted = |bench: &mut Bench| -> Vec<(u64, u64)> {
        bench.run(60);
        bench.drain_fields("grant").iter().map(|grant| (grant.get("sqid"), grant.get("count"))).collect()
    };
    let end = |bench: &mut Bench, queue: u64| {
        let consumed = bench.fields("consumed").set("sqid", queue).words();
        bench.send("consumed", [consumed]);
        bench.run(20);
        complete(bench, "completion", queue, 0);
    };
    without_stalls(&Queues::new(CONFIGS[1]), |bench| {
        bench.poke("granting", 1);
        change(bench, 1, CREATE_CQ, 1, 0, 0x10, 3);
        (1..=2).for_each(|slot| change(bench, 1, CREATE_SQ, slot, 1, 0x20 + slot, 16));
        ring(bench, (0, 1), false, 1);
        assert_eq!(granted(bench), [(1, 1)]);
        ring(bench, (0, 2), false, 4);
        assert_eq!(granted(bench), [], "the last entry is not for a queue that may have a pair");
        ring(bench, (0, 1), false, 3);
        assert_eq!(granted(bench), [], "the other one has waited longer");
        bench.poke("half_fetched", 1 << 1);
        assert_eq!(granted(bench), [(1, 1)], "but not than the half of a pair");
        assert_eq!(granted(bench), [], "which gets no more");
        bench.poke("half_fetched", 0);
        (0..2).for_each(|_| end(bench, 1));
        assert_eq!(granted(bench), [], "the completion queue is full");
        ring(bench, (0, 1), true, 1);
        assert_eq!(granted(bench), [(2, 1)], "nothing else is on its way");
        end(bench, 2);
        ring(bench, (0, 1), true, 2);
        assert_eq!(granted(bench), [(1, 1)], "now the first one has waited longer");
        ring(bench, (0, 1), true, 0);
        assert_eq!(granted(bench), []);
        end(bench, 1);
        assert_eq!(granted(bench), [(2, 1)], "the end of what was on its way wakes whoever waits for two entries");
    });
    without_stalls(&Queues::new(CONFIGS[1]), |bench| {
        bench.poke("granting", 1);
        no_burst_limit(bench, 1);
        change(bench, 1, CREATE_CQ, 1, 0, 0x10, 5);
        (1..=3).for_each(|slot| change(bench, 1, CREATE_SQ, slot, 1, 0x20 + slot, 16));
        for (slot, tail, expected) in [(1, 1, vec![(1, 1)]), (3, 3, vec![(3, 3)]), (2, 8, vec![]), (1, 9, vec![])] {
            ring(bench, (0, slot), false, tail);
            assert_eq!(granted(bench), expected, "queue {slot}");
        }
        bench.poke("half_fetched", 1 << 1);
        (0..3).for_each(|_| end(bench, 3));
        assert_eq!(granted(bench), [], "the completion queue is full");
        ring(bench, (0, 1), true, 3);
        assert_eq!(granted(bench), [(1, 1), (2, 2)], "the half of a pair gets one entry, although there are three");
    });
}

/// Each kind of room wakes a queue that waits for it, without any help of another.
#[test]
fn whatever_makes_room_wakes_a_waiting_queue() {
    for kind in ["head doorbell", "release", "drop"] {
        without_stalls(&Queues::new(CONFIGS[0]), |bench| {
            bench.poke("granting", 1);
            no_burst_limit(bench, 1);
            change(bench, 1, CREATE_CQ, 2, 0, 0x10, 3);
            change(bench, 1, CREATE_SQ, 1, 2, 0x20, 40);
            ring(bench, (0, 1), false, 39);
            let mut granted = 0;
            while granted < 39 {
                bench.run(30);
                let count: u64 = bench.drain_fields("grant").iter().map(|grant| grant.get("count")).sum();
                assert!((1..=2).contains(&count), "{count} entries for a queue of three; the room came by {kind}");
                granted += count;
                let dropped = u8::from(kind == "drop");
                let item = bench.fields("consumed").set("sqid", 1u8).set("dropped", dropped).words();
                bench.send("consumed", vec![item; count as usize]);
                for cid in 0..count {
                    match kind {
                        "head doorbell" => complete(bench, "completion", 1, cid),
                        "release" => {
                            let item = bench.fields("released").set("sqid", 1u8).words();
                            bench.send("released", [item]);
                        }
                        _ => {}
                    }
                }
                if kind == "head doorbell" {
                    bench.run(30);
                    assert_eq!(bench.drain("grant").len(), 0);
                    ring(bench, (0, 2), true, granted % 3);
                }
            }
        });
    }
}

/// The hardware's entry has its fields where the wire type has them.
#[test]
fn the_entry_is_the_wire_type() {
    use std::mem::offset_of;
    let offsets = [
        offset_of!(WireEntry, result),
        offset_of!(WireEntry, reserved),
        offset_of!(WireEntry, sqhd),
        offset_of!(WireEntry, sqid),
        offset_of!(WireEntry, cid),
        offset_of!(WireEntry, status_phase),
    ];
    let mut low = 0;
    let fields = CqEntry::fields();
    let lows = fields.iter().map(|(_, width)| {
        low += *width as usize;
        (low - *width as usize) / 8
    });
    let lows: Vec<usize> = lows.collect();
    assert_eq!(lows, offsets);
    assert_eq!(low, 128);
}
