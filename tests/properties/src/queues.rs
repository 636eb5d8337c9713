//! The queue manager: what is fetched, and where completions go.

use crate::{count, watched};
use nvme_hw::arbiter::Arbiter;
use nvme_hw::queues::{Event, QueueOperation, Queues};
use nvme_hw::Config;
use nvme_properties::{Completions, Fetches, QueueBegins, COUNT_BITS};
use rtl_hdl::{block_fn, cat, lit, when, zero, Block, HwEnum, InstanceHandle, Module, Signal, Value};
use rtl_prim::{entries_between, one_hot};

/// The admin queue pair and one I/O queue pair: two slots.
const CONFIG: Config = Config { functions: 1, io_queues: 1, ..Config::SMALL };
const SLOTS: u32 = CONFIG.queues();
const PAGE_LOG2_BYTES: u32 = 12;
const GRANT_ENTRIES_MAX: u32 = 8;
/// The index of the last entry of the longest queue: sums of few bits are decided much faster, and each case of a grant is there.
const LAST_MAX: u32 = 15;

/// The arbiter inside, whose limits are numbers because it asserts that they are.
pub fn arbiter() -> String {
    Arbiter::new(CONFIG).name()
}

/// What there is in the queue manager, by its names.
struct Inside<'a> {
    m: &'a Module,
    /// An event takes effect.
    works: Signal,
    sq: Signal,
    cq: Signal,
    /// The position that a doorbell names, in full.
    value: Signal,
}

impl<'a> Inside<'a> {
    fn new(m: &'a Module) -> Inside<'a> {
        Queues::new(CONFIG).build(m);
        let value = m.reg_without_reset("whole_value", m.found_clock(), 16);
        value.set(m.found("read_rung_value"));
        let inside = Inside { m, works: m.found("works"), sq: m.found("sq"), cq: m.found("cq"), value };
        for event in ["read_event", "event_kind"] {
            inside.assert(&format!("{event}_exists"), m.found(event).le(Event::Changed.code()));
        }
        inside.assume("queues_are_short", m.found("change_last").le(LAST_MAX));
        inside
    }

    fn is(&self, event: Event) -> Signal {
        self.m.found("event_kind").eq(event.code())
    }

    fn changes(&self, operation: QueueOperation) -> Signal {
        self.is(Event::Changed) & self.m.found("change_operation").eq(operation.code())
    }

    fn in_table(&self, name: &str, slot: Signal) -> Signal {
        self.m.found_memory(name).lookup(slot)
    }

    fn bit(&self, name: &str, slot: Signal) -> Signal {
        self.m.found(name).shr(slot).bit(0)
    }

    fn assert(&self, name: &str, condition: Signal) {
        self.m.assert(self.m.found_clock(), name, condition);
    }

    fn assume(&self, name: &str, condition: Signal) {
        self.m.assume(self.m.found_clock(), name, condition);
    }

    /// Tells a checker that a queue is created.
    fn creates(&self, checker: &InstanceHandle, happens: &str, slot: Signal) {
        checker.port("create").set(self.m.found(happens));
        let address = cat(&[self.m.found("change_page"), lit(0u8, PAGE_LOG2_BYTES)]);
        let last = count(self.m.found("change_last"));
        checker.port_as::<QueueBegins>("create").set(QueueBegins { queue: count(slot), address, last });
    }

    /// What is read of the tables in step 2 is what is there in step 3.
    fn tables_are_as_read(&self, names: &[&str], slot: Signal) {
        for name in names {
            let now = self.m.found(&format!("{name}_now"));
            self.assert(&format!("{name}_is_as_read"), self.works.implies(now.eq(self.in_table(name, slot))));
        }
    }

    /// What step 2 has worked out of a doorbell.
    fn doorbell_is_judged(&self, event: Event, [from, last]: [&str; 2], slot: Signal) {
        let [from, last] = [from, last].map(|name| self.in_table(name, slot));
        let [position, moved, in_range] = ["position", "moved", "in_range"].map(|name| self.m.found(name));
        let is_right = position.eq(self.value.low(position.width()))
            & moved.eq(entries_between(from, position, last))
            & in_range.eq(self.value.le(count(last)));
        self.assert("a_doorbell_is_judged", self.is(event).implies(is_right));
    }
}

/// Bit `i` says that `number` is more than `i`.
fn reaches(number: Signal) -> Signal {
    cat(&(0..GRANT_ENTRIES_MAX).rev().map(|i| number.gt(i)).collect::<Vec<_>>())
}

/// Each bit stands on the one below it.
fn is_number(bits: Signal) -> Signal {
    !(bits & (bits + 1)).any()
}

/// Fetches of a submission queue.
pub fn fetches() -> impl Block {
    block_fn("queues_fetches", |m: &Module| {
        let inside = Inside::new(m);
        let clock = m.found_clock();
        let slot = watched(m, "watched_slot", m.found("sq").width());
        let checker = m.instance("fetches", &Fetches);
        let sq = count(inside.sq);

        // From the controller to the checker.
        checker.port("watched").set(count(slot));
        inside.creates(&checker, "creates_sq", inside.sq);
        let removes = inside.changes(QueueOperation::DeleteSubmission) & !m.found("in_flight_now").any();
        let fetches = m.found("grant_offer");
        let consumes = inside.is(Event::Consumed);
        for (name, happens) in [
            ("remove", removes),
            ("ring", inside.is(Event::Tail) & m.found("rung_here")),
            ("consume", consumes),
            ("fetch", fetches),
        ] {
            checker.port(name).set(happens);
            checker.port(&format!("{name}_queue")).set(sq);
        }
        checker.port("ring_tail").set(inside.value);
        checker.port("fetch_address").set(m.found("fetch_address"));
        checker.port("fetch_count").set(count(m.found("count")));

        // What is assumed: `decode` takes only entries that were fetched, and no life ends.
        let ours = inside.sq.eq(slot);
        let unconsumed = m.reg("unconsumed", clock, zero(COUNT_BITS));
        when(fetches & ours, || unconsumed.set(unconsumed + count(m.found("count"))));
        when(consumes & ours, || unconsumed.set(unconsumed - 1));
        when(m.found("creates_sq") & ours, || unconsumed.set(zero(COUNT_BITS)));
        inside.assume("only_what_was_fetched_is_consumed", (consumes & ours).implies(unconsumed.any()));
        inside.assume("no_life_ends", !m.found("clear").any());

        // How the state of the checker is that of the block.
        let exists = checker.port("known_exists");
        inside.tables_are_as_read(&["sq_page", "sq_last", "sq_tail", "sq_fetched", "available", "free"], inside.sq);
        inside.doorbell_is_judged(Event::Tail, ["sq_tail", "sq_last"], inside.sq);
        inside.assert(
            "existence_is_as_read",
            inside.works.implies(m.found("sq_here").eq(inside.bit("sq_exists", inside.sq))),
        );
        inside.assert("what_runs_exists", inside.works.implies(!m.found("sq_runs") | m.found("sq_here")));
        inside.assert("active_queues_exist", !(m.found("sq_active") & !m.found("sq_exists")).any());
        inside.assert("queues_stay_short", exists.implies(checker.port("known_last").le(LAST_MAX)));
        inside.assert("existence_is_known", exists.eq(inside.bit("sq_exists", slot)));
        let address = cat(&[inside.in_table("sq_page", slot), lit(0u8, PAGE_LOG2_BYTES)]);
        inside.assert("address_is_known", exists.implies(checker.port("known_address").eq(address)));
        for (table, port) in [
            ("sq_last", "last"),
            ("sq_tail", "tail"),
            ("sq_fetched", "fetched"),
            ("available", "available"),
            ("free", "free"),
        ] {
            let value = count(inside.in_table(table, slot));
            inside
                .assert(&format!("{table}_is_known"), exists.implies(checker.port(&format!("known_{port}")).eq(value)));
        }
        let known = |name: &str| checker.port(&format!("known_{name}"));
        let wide = |name: &str| known(name).zext(COUNT_BITS + 2);
        let sum = wide("available") + wide("free") + unconsumed.zext(COUNT_BITS + 2);
        inside.assert("no_entry_is_lost", exists.implies(sum.eq(wide("last"))));
        inside.assert(
            "positions_exist",
            exists.implies(wide("tail").le(wide("last")) & wide("fetched").le(wide("last"))),
        );
        let between = entries_between(known("fetched"), known("tail"), known("last"));
        inside.assert("available_entries_are_up_to_the_tail", exists.implies(between.eq(known("available"))));
        grants_are_limited(&inside);
    })
}

/// What step 2 has worked out of a grant.
fn grants_are_limited(inside: &Inside) {
    let m = inside.m;
    let granted = inside.is(Event::Granted);
    let table = |name: &str| inside.in_table(name, inside.sq);
    inside.assert(
        "available_limits_grants",
        granted.implies(m.found("limit_of_available").eq(reaches(table("available")))),
    );
    let (fetched, last) = (table("sq_fetched"), table("sq_last"));
    let line = |index: Signal| index.bits(3..index.width());
    let last_in_line = line(fetched).eq(line(last)).mux(last.low(3), lit(GRANT_ENTRIES_MAX - 1, 3));
    let in_line = (last_in_line - fetched.low(3)).zext(4) + 1;
    inside.assert("the_line_limits_grants", granted.implies(m.found("limit_of_line").eq(reaches(in_line))));
    inside.assert("limits_of_room_are_numbers", granted.implies(is_number(m.found("limit_of_room"))));
    inside.assert("limits_of_turns_are_numbers", granted.implies(is_number(m.found("limit_of_turn"))));
    inside.assert("limits_read_are_numbers", m.found("read_grants").implies(is_number(m.found("read_limit"))));
    let candidate = m.found("arbiter_candidate");
    inside.assert("limits_offered_are_numbers", candidate.implies(is_number(m.found("arbiter_candidate_limit"))));
}

/// Completions of a completion queue.
pub fn completions() -> impl Block {
    block_fn("queues_completions", |m: &Module| {
        let inside = Inside::new(m);
        let slot = watched(m, "watched_slot", m.found("cq").width());
        let checker = m.instance("completions", &Completions);
        let cq = count(inside.cq);

        // From the controller to the checker.
        checker.port("watched").set(count(slot));
        inside.creates(&checker, "creates_cq", inside.cq);
        for (name, happens) in [
            ("remove", inside.changes(QueueOperation::DeleteCompletion)),
            ("ring", inside.is(Event::Head) & m.found("rung_here")),
            ("post", m.found("posted_offer")),
        ] {
            checker.port(name).set(happens);
            checker.port(&format!("{name}_queue")).set(cq);
        }
        checker.port("ring_head").set(inside.value);
        checker.port("post_address").set(m.found("slot_address"));
        // The phase tag is the lowest bit of the last word of an entry.
        checker.port("post_phase").set(m.found("slot_entry").bit(7 * 16));

        // What is assumed: completions are of commands that were fetched, firmware changes queues as it has to, and no life ends.
        let [exists_now, cq_exists] = ["sq_exists", "cq_exists"].map(|name| m.found(name));
        let ends =
            inside.is(Event::Posted) | inside.is(Event::Released) | (inside.is(Event::Consumed) & m.found("dropped"));
        let sq_is_there = inside.bit("sq_exists", inside.sq);
        let in_flight = inside.in_table("in_flight", inside.sq);
        inside.assume("what_ends_is_in_flight", ends.implies(sq_is_there & in_flight.any()));
        let uses: Vec<Signal> = (0..SLOTS)
            .map(|sq| {
                let number = lit(sq, inside.sq.width());
                exists_now.bit(sq) & inside.in_table("completion_queue_of", number).eq(inside.cq)
            })
            .collect();
        let is_used = cat(&uses).any();
        let cq_is_there = (cq_exists & one_hot(inside.cq, SLOTS)).any();
        inside.assume("created_queues_are_new", {
            m.found("creates_sq").implies(!sq_is_there & cq_is_there) & m.found("creates_cq").implies(!cq_is_there)
        });
        let last_operation = QueueOperation::DeleteCompletion.code();
        inside.assume("operations_exist", m.found("change_operation").le(last_operation));
        inside.assume("used_queues_stay", inside.changes(QueueOperation::DeleteCompletion).implies(!is_used));
        inside.assume("no_life_ends", !m.found("clear").any());

        // How the state of the checker is that of the block.
        let exists = checker.port("known_exists");
        let sq_tables = ["in_flight"];
        let cq_tables = ["cq_page", "cq_last", "cq_tail", "cq_phase", "cq_head", "room", "occupied"];
        inside.tables_are_as_read(&sq_tables, inside.sq);
        inside.tables_are_as_read(&cq_tables, inside.cq);
        inside.doorbell_is_judged(Event::Head, ["cq_head", "cq_last"], inside.cq);
        let is_of_sq =
            inside.works & !inside.is(Event::Changed) & !inside.is(Event::Head) & !inside.is(Event::Reminded);
        let cq_of_sq = inside.in_table("completion_queue_of", inside.sq);
        inside.assert("completion_queues_are_looked_up", is_of_sq.implies(inside.cq.eq(cq_of_sq)));
        let reads = |event: Event| m.found("read_event").eq(event.code());
        let reads_of_sq =
            m.found("read_works") & !reads(Event::Changed) & !reads(Event::Head) & !reads(Event::Reminded);
        let read_cq_of_sq = inside.in_table("completion_queue_of", m.found("read_sq"));
        inside.assert("completion_queues_are_read", reads_of_sq.implies(m.found("read_cq").eq(read_cq_of_sq)));
        inside.assert("changes_are_flagged", m.found("changes").eq(inside.is(Event::Changed)));
        inside.assert("changes_are_flagged_before", m.found("read_changes").eq(reads(Event::Changed)));
        inside.assert("queues_change_alone", !(m.found("changes") & m.found("read_works")));
        inside.assert(
            "existence_is_as_read",
            inside.works.implies(m.found("sq_here").eq(sq_is_there) & m.found("cq_here").eq(cq_is_there)),
        );
        inside.assert("what_runs_exists", inside.works.implies(!m.found("sq_runs") | m.found("sq_here")));
        inside.assert("active_queues_exist", !(m.found("sq_active") & !exists_now).any());
        inside.assert("queues_stay_short", exists.implies(checker.port("known_last").le(LAST_MAX)));
        inside.assert("existence_is_known", exists.eq(inside.bit("cq_exists", slot)));
        let address = cat(&[inside.in_table("cq_page", slot), lit(0u8, PAGE_LOG2_BYTES)]);
        inside.assert("address_is_known", exists.implies(checker.port("known_address").eq(address)));
        for (table, port) in [("cq_last", "last"), ("cq_tail", "tail"), ("cq_head", "head"), ("occupied", "occupied")] {
            let value = count(inside.in_table(table, slot));
            inside
                .assert(&format!("{table}_is_known"), exists.implies(checker.port(&format!("known_{port}")).eq(value)));
        }
        let known = |name: &str| checker.port(&format!("known_{name}"));
        let positions_exist = known("tail").le(known("last")) & known("head").le(known("last"));
        inside.assert("positions_exist", exists.implies(positions_exist));
        let phase = inside.in_table("cq_phase", slot);
        inside.assert("phase_is_known", exists.implies(known("phase").eq(phase)));
        // Every entry of the queue but one is free, occupied, or reserved for a command in flight.
        let wide = |value: Signal| value.zext(COUNT_BITS);
        let in_flight = (0..SLOTS).map(|sq| {
            let number = lit(sq, inside.sq.width());
            let ours = exists_now.bit(sq) & inside.in_table("completion_queue_of", number).eq(slot);
            ours.mux(wide(inside.in_table("in_flight", number)), lit(0u8, COUNT_BITS))
        });
        let reserved = in_flight.reduce(|a, b| a + b).expect("there are two slots");
        let sum = wide(inside.in_table("room", slot)) + wide(inside.in_table("occupied", slot)) + reserved;
        inside.assert("no_room_is_lost", exists.implies(sum.eq(wide(inside.in_table("cq_last", slot)))));
        for sq in 0..SLOTS {
            let number = lit(sq, inside.sq.width());
            let of = inside.in_table("completion_queue_of", number);
            let is_there = inside.bit("cq_exists", of);
            inside.assert(&format!("completion_queue_of_{sq}_exists"), exists_now.bit(sq).implies(is_there));
        }
        let granted = inside.is(Event::Granted);
        let room = reaches(inside.in_table("room", inside.cq));
        inside.assert("room_limits_grants", granted.implies(!(m.found("limit_of_room") & !room).any()));
        grants_are_limited(&inside);
        inside.tables_are_as_read(&["available", "sq_fetched", "sq_last"], inside.sq);
    })
}
