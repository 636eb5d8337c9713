//! What happens in one clock.

use super::{CqEntry, Doorbell, QueueCommand, QueueOperation, Raise, Released};
use crate::arbiter::{reaches, Arbiter, BURST_BITS, GRANT_ENTRIES_MAX, WEIGHTS_BITS};
use crate::config::INDEX_BITS;
use crate::held::{bit_at, function_bit, function_number, function_row, function_rows, Held};
use crate::types::{Completion, Consumed, Grant, Posted};
use crate::Config;
use nvme_spec::entry::{queue_priority, CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};
use nvme_spec::limits::PAGE_BYTES;
use rtl_hdl::{
    address_width, cat, hw_bundle, hw_enum, lit, switch, when, zero, Bits, Block, Clock, MemoryStyle, Module, Signal,
    Value,
};
use rtl_prim::{entries_between, next_index_in, one_hot, one_hot_index, one_hot_select, round_robin};

/// Width of the settings of the Arbitration feature: burst, and weights from the low one up.
const ARBITRATION_BITS: u32 = BURST_BITS + WEIGHTS_BITS;

/// Bytes of a page, as a power of two.
const PAGE_LOG2_BYTES: u32 = PAGE_BYTES.trailing_zeros();

hw_enum! {
    /// What happens to a queue.
    pub enum Event {
        /// Nothing.
        Nothing,
        /// A tail doorbell.
        Tail,
        /// A head doorbell.
        Head,
        /// An entry has left `decode`.
        Consumed,
        /// A reservation ends.
        Released,
        /// A completion with a reservation.
        Posted,
        /// A completion of firmware.
        FirmwarePosted,
        /// The candidate of the arbiter may be fetched.
        Granted,
        /// An interrupt is requested once more.
        Reminded,
        /// The set of queues changes.
        Changed,
    }
}

hw_bundle! {
    /// A doorbell whose queue has been looked up.
    struct Rung {
        /// There may be such a queue.
        known: Bits<1>,
        function: Bits<8>,
        qid: Bits<8>,
        slot: Bits<8>,
        completion: Bits<1>,
        value: Bits<16>,
    }
}

/// An event that may be next: whether it can be, its submission queue, and whether it names its completion queue, and which.
type EventChoice = (Signal, Signal, (Signal, Signal));

/// The queue manager; see the module's front page.
pub struct Queues {
    config: Config,
}

impl Queues {
    /// The queue manager of this configuration.
    pub fn new(config: Config) -> Self {
        Queues { config }
    }
}

/// A value of each queue: read in step 2, and written in step 3.
struct Table {
    now: Signal,
    enable: Signal,
    new: Signal,
}

/// The queue of step 2, in which tables are read, and of step 3, in which they are written.
#[derive(Clone, Copy)]
struct Steps {
    read: Signal,
    write: Signal,
}

impl Table {
    #[track_caller]
    fn new(m: &Module, clock: Clock, name: &str, width: u32, queues: u32, queue: Steps) -> (Table, Signal) {
        let memory = m.memory(name, width, queues, MemoryStyle::Distributed);
        let enable = m.wire_of_width(&format!("{name}_write"), 1);
        let new = m.wire_of_width(&format!("{name}_new"), width);
        m.default_to(enable, false);
        m.dont_care(&new);
        memory.write(clock, enable, queue.write, new);
        let read = m.wire(&format!("{name}_read"), memory.lookup(queue.read));
        let now = m.reg_without_reset(&format!("{name}_now"), clock, width);
        now.set(read);
        (Table { now, enable, new }, read)
    }

    #[track_caller]
    fn write(&self, value: Signal) {
        self.enable.set(true);
        self.new.set(value);
    }

    #[track_caller]
    fn write_zero(&self) {
        self.write(self.now.literal(0u8));
    }
}

/// Bits of each function, in the order of their numbers.
#[track_caller]
fn of_functions(m: &Module, clock: Clock, name: &str, functions: u32, width: u32) -> Vec<Signal> {
    (0..functions).map(|number| m.reg(&format!("{name}_f{number}"), clock, zero(width))).collect()
}

impl Block for Queues {
    fn name(&self) -> String {
        format!("queues_n{}_q{}", self.config.functions, self.config.io_queues)
    }

    fn description(&self) -> String {
        "Queue manager: doorbells in, grants and completion queue entries out.".into()
    }

    fn build(&self, m: &Module) {
        let functions = self.config.functions;
        let slots = self.config.queues();
        let slot_bits = self.config.queue_bits();
        let total_bits = INDEX_BITS + slot_bits;
        // The numbers that a host gives its queues: 0 is the admin queue, and one function may have all I/O queues.
        let qid_bits = address_width(self.config.io_queues + 1);

        // 1. Ports
        let clock = m.clock();
        let [granting_now, clear, weighted] = ["granting", "clear", "weighted"].map(|name| m.input(name, functions));
        let arbitration: Vec<Signal> =
            (0..functions).map(|number| m.input(&format!("arbitration_f{number}"), ARBITRATION_BITS)).collect();
        let half_fetched = m.input("half_fetched", slots);
        let select = m.input("select", 8);
        let command = Held::new::<QueueCommand>(m, clock, "command");
        let doorbell = m.stream_in::<Doorbell>("doorbell");
        let consumed = Held::new::<Consumed>(m, clock, "consumed");
        let released = Held::new::<Released>(m, clock, "released");
        let completion = Held::new::<Completion>(m, clock, "completion");
        let firmware = Held::new::<Completion>(m, clock, "firmware_completion");
        let grant = m.stream_out_single::<Grant>("grant");
        let posted = m.stream_out_single::<Posted>("posted");

        // 2. State
        // One bit of each slot.
        let bits = |name: &str| m.reg(name, clock, zero(slots));
        let [sq_exists, sq_active, cq_exists] = ["sq_exists", "sq_active", "cq_exists"].map(bits);
        let [pending, remind, wanted_by_firmware] = ["pending", "remind", "wanted_by_firmware"].map(bits);
        // Queues of half a pair that have asked for the other half since.
        let asked_for_half = bits("asked_for_half");
        let [urgent, high, medium] = ["urgent_priority", "high_priority", "medium_priority"].map(bits);
        let last_remind_turn = bits("last_remind_turn");
        let sq_members = of_functions(m, clock, "sq_members", functions, slots);
        let cq_members = of_functions(m, clock, "cq_members", functions, slots);
        let total_in_flight = of_functions(m, clock, "total_in_flight", functions, total_bits);
        let granting = m.reg("granting_held", clock, zero(functions));
        // The doorbell, looked up.
        let rung_full = m.reg("rung_full", clock, false);
        let rung = m.reg_as::<Rung>("rung", clock);
        // The interrupt that is requested once more next.
        let reminder_found = m.reg("reminder_found", clock, false);
        let reminder_full = m.reg("reminder_full", clock, false);
        let reminder_cq = m.reg_without_reset("reminder_cq", clock, slot_bits);
        let reminder_turn = m.reg_without_reset("reminder_turn", clock, slots);
        // Step 2: an event whose tables are read.
        let in_work = |name: &str| m.reg(name, clock, false);
        let [read_works, read_posts, read_grants, read_reminds, read_changes] =
            ["read_works", "read_posts", "read_grants", "read_reminds", "read_changes"].map(in_work);
        let read_event = m.reg("read_event", clock, Event::Nothing);
        let read_sq = m.reg_without_reset("read_sq", clock, slot_bits);
        let read_cq = m.reg_without_reset("read_cq", clock, slot_bits);
        let read_rung = m.reg_as::<Rung>("read_rung", clock);
        let read_limit = m.reg_without_reset("read_limit", clock, GRANT_ENTRIES_MAX);
        let read_dropped = m.reg_without_reset("read_dropped", clock, 1);
        let read_finished = m.reg_as::<Completion>("read_finished", clock);
        let read_change = m.reg_as::<QueueCommand>("read_change", clock);
        // Step 3: an event that takes effect.
        let event = m.reg("event_kind", clock, Event::Nothing);
        let [works, posts, grants, reminds, changes] = ["works", "posts", "grants", "reminds", "changes"].map(in_work);
        let sq = m.reg_without_reset("sq", clock, slot_bits);
        let cq = m.reg_without_reset("cq", clock, slot_bits);
        let position = m.reg_without_reset("position", clock, INDEX_BITS);
        let dropped = m.reg_without_reset("dropped", clock, 1);
        let finished = m.reg_as::<Completion>("finished", clock);
        let change = m.reg_as::<QueueCommand>("change", clock);
        let flag = |name: &str| m.reg_without_reset(name, clock, 1);
        let [sq_here, sq_runs, cq_here] = ["sq_here", "sq_runs", "cq_here"].map(flag);
        let [sq_is_meant, cq_is_meant] = ["sq_is_meant", "cq_is_meant"].map(flag);
        let [in_range, kept_for_firmware, much_available, someone_waits] =
            ["in_range", "kept_for_firmware", "much_available", "someone_waits"].map(flag);
        let is_first = m.reg_without_reset("is_first", clock, 1);
        // Another queue has waited longer for room in the completion queue.
        let must_wait = m.reg_without_reset("must_wait", clock, 1);
        // Half a pair of the queue is fetched; nothing of the queue is in flight; of its completion queue nothing is reserved, or one entry.
        let [is_half, is_idle, none_reserved, one_reserved] =
            ["is_half", "is_idle", "none_reserved", "one_reserved"].map(flag);
        let moved = m.reg_without_reset("moved", clock, INDEX_BITS);
        let limits = |name: &str| m.reg_without_reset(name, clock, GRANT_ENTRIES_MAX);
        let [limit_of_line, limit_of_room, limit_of_available, limit_of_turn] =
            ["limit_of_line", "limit_of_room", "limit_of_available", "limit_of_turn"].map(limits);
        // Answers.
        let answer = |name: &str| m.reg(name, clock, false);
        let [command_done, firmware_done] = ["command_done", "firmware_done"].map(answer);
        let [refused, nowhere, room_again] = ["refused", "nowhere", "room_again"].map(answer);
        let unknown = m.reg("unknown", clock, zero(functions));
        let illegal = m.reg("illegal", clock, zero(functions));
        let raise = m.reg("raise_pulse", clock, false);
        let raised = m.reg_as::<Raise>("raised", clock);
        let offered_to = m.reg_without_reset("offered_to", clock, functions);
        let quiet = m.reg("quiet_held", clock, zero(functions));
        let selected = m.reg("selected", clock, zero(INDEX_BITS));
        // Tables.
        let rows = 1 << slot_bits;
        let completion_queue_of = m.memory("completion_queue_of", slot_bits, rows, MemoryStyle::Distributed);
        let in_flight_copy = m.memory("in_flight_copy", INDEX_BITS, rows, MemoryStyle::Distributed);
        let [sq_slots, cq_slots] = ["sq_slots", "cq_slots"]
            .map(|name| m.memory(name, slot_bits, function_rows(functions, qid_bits), MemoryStyle::Distributed));
        let sq_steps = Steps { read: read_sq, write: sq };
        let cq_steps = Steps { read: read_cq, write: cq };
        let sq_table = |name: &str, width: u32| Table::new(m, clock, name, width, rows, sq_steps);
        let cq_table = |name: &str, width: u32| Table::new(m, clock, name, width, rows, cq_steps);
        let (sq_page, _) = sq_table("sq_page", 52);
        let (sq_identity, sq_identity_read) = sq_table("sq_identity", functions + 16);
        let (sq_last, sq_last_read) = sq_table("sq_last", INDEX_BITS);
        let (sq_tail, sq_tail_read) = sq_table("sq_tail", INDEX_BITS);
        let (sq_fetched, sq_fetched_read) = sq_table("sq_fetched", INDEX_BITS);
        let (sq_head, _) = sq_table("sq_head", INDEX_BITS);
        let (available, available_read) = sq_table("available", INDEX_BITS);
        let (free, _) = sq_table("free", INDEX_BITS);
        let (in_flight, in_flight_read) = sq_table("in_flight", INDEX_BITS);
        let (cq_page, _) = cq_table("cq_page", 52);
        let (cq_identity, cq_identity_read) = cq_table("cq_identity", functions + 16);
        let (cq_last, cq_last_read) = cq_table("cq_last", INDEX_BITS);
        let (cq_vector, _) = cq_table("cq_vector", 8);
        let (cq_interrupts, _) = cq_table("cq_interrupts", 1);
        let (cq_tail, _) = cq_table("cq_tail", INDEX_BITS);
        let (cq_phase, _) = cq_table("cq_phase", 1);
        let (cq_head, cq_head_read) = cq_table("cq_head", INDEX_BITS);
        let (room, room_read) = cq_table("room", INDEX_BITS);
        let (occupied, occupied_read) = cq_table("occupied", INDEX_BITS);
        let (waiters, waiters_read) = cq_table("waiters", slots);
        let (first_waiter, first_waiter_read) = cq_table("first_waiter", 1 + slot_bits);

        // 3. Conditions, step 1: which event is next. What is in work is in registers of one bit, because much hangs on it.
        let arbiter = m.instance("arbiter", &Arbiter::new(self.config));
        let posting = m.wire("posting", read_posts | posts);
        let may_post = m.wire("may_post", posted.can_take() & !posting);
        let may_grant = m.wire("may_grant", arbiter.port("candidate") & grant.can_take() & !read_grants & !grants);
        let may_remind = m.wire("may_remind", reminder_full & !read_reminds & !reminds);
        let same_queue = m.wire("same_queue", read_sq.eq(sq) | read_cq.eq(cq));
        let waits = m.wire("waits", read_works & works & same_queue);
        let may_choose = m.wire("may_choose", !waits & !read_changes & !changes);
        // The first of these that can be, by what it is about and what is known of its completion queue.
        let number = |slot: Signal| slot.low(slot_bits);
        let change_is_of_cq = command.item.operation.is(QueueOperation::CreateCompletion)
            | command.item.operation.is(QueueOperation::DeleteCompletion);
        let change_names_cq = change_is_of_cq | command.item.operation.is(QueueOperation::CreateSubmission);
        let change_cq = change_is_of_cq.mux(command.item.queue, command.item.completion_queue);
        let unknown_cq = (lit(0u8, 1), lit(0u8, slot_bits));
        let candidates: [EventChoice; 8] = [
            (command.full, number(command.item.queue), (change_names_cq, number(change_cq))),
            (rung_full, number(rung.slot), (rung.completion, number(rung.slot))),
            (consumed.full, number(consumed.item.sqid), unknown_cq),
            (released.full, number(released.item.sqid), unknown_cq),
            (completion.full & may_post, number(completion.item.sqid), unknown_cq),
            (firmware.full & may_post, number(firmware.item.sqid), unknown_cq),
            (may_grant, arbiter.port("candidate_sq"), unknown_cq),
            (may_remind, lit(0u8, slot_bits), (lit(1u8, 1), reminder_cq)),
        ];
        let turns = m.wire("turns", {
            let wishes: Vec<Signal> = candidates.iter().map(|(wish, ..)| *wish).collect();
            let turn = |i: usize| wishes[..i].iter().fold(wishes[i], |turn, before| turn & !*before);
            cat(&(0..wishes.len()).rev().map(turn).collect::<Vec<_>>())
        });
        let of_turn = |value: &dyn Fn(&EventChoice) -> Signal| {
            one_hot_select(turns, &candidates.iter().map(value).collect::<Vec<_>>())
        };
        let next_sq = m.wire("next_sq", of_turn(&|(_, sq, _)| *sq));
        let names_cq = m.wire("names_cq", of_turn(&|(.., (names, _))| *names).any());
        let named_cq = m.wire("named_cq", of_turn(&|(.., (_, cq))| *cq));
        let looked_up_cq = m.wire("looked_up_cq", completion_queue_of.lookup(next_sq));

        // 3. Conditions, step 3.
        let this_sq = m.wire("this_sq", one_hot(sq, slots));
        let this_cq = m.wire("this_cq", one_hot(cq, slots));
        let function = m.wire("event_function", sq_identity.now.low(functions));
        let is_granting = m.wire("is_granting", (granting & function).any());
        let tail_is_legal = m.wire("tail_is_legal", in_range & moved.le(free.now));
        let head_is_legal = m.wire("head_is_legal", in_range & moved.le(occupied.now));
        let has_moved = m.wire("has_moved", moved.any());
        let has_room = m.wire("has_room", room.now.any());
        let needs_two =
            m.wire("needs_two", is_idle & limit_of_available.bit(1) & !limit_of_room.bit(1) & !none_reserved);
        let may_be_granted = m.wire("may_be_granted", sq_runs & is_granting & !must_wait & !needs_two);
        let possible = m.wire("possible", limit_of_line & limit_of_room & limit_of_available & limit_of_turn);
        let is_granted = m.wire("is_granted", possible.bit(0) & may_be_granted);
        let count = m.wire("count", highest(possible));
        let leaves_some = m.wire("leaves_some", {
            (limit_of_available & !possible).any() | (possible.bit(GRANT_ENTRIES_MAX - 1) & much_available)
        });
        let fetch = Grant {
            sqid: sq.zext(8),
            function: function_number(sq_identity.now.low(functions)),
            address: m.wire("fetch_address", entry_address(sq_page.now, sq_fetched.now, SQ_ENTRY_LOG2_BYTES.into())),
            count,
            // A completion queue of two entries has room for one.
            leaves_some: leaves_some & cq_last.now.gt(1),
        };
        let entry = CqEntry {
            result: finished.result,
            reserved: lit(0u8, 32),
            sqhd: sq_head.now.zext(16),
            sqid: sq_identity.now.bits(functions..functions + 16),
            cid: finished.cid,
            status_phase: cat(&[finished.status, cq_phase.now]),
        };
        let place = Posted {
            function: function_number(cq_identity.now.low(functions)),
            address: m.wire("slot_address", entry_address(cq_page.now, cq_tail.now, CQ_ENTRY_LOG2_BYTES.into())),
            entry: m.wire("slot_entry", entry.pack()),
        };

        granting.set(granting_now);
        // 4. Next state, before step 1: doorbells are looked up, and reminders take turns.
        let takes_candidate = m.wire_of_width("takes_candidate", 1);
        takes_candidate.set(false);
        let take_doorbell = m.wire_of_width("take_doorbell", 1);
        take_doorbell.set(!rung_full);
        when(take_doorbell, || {
            let new = doorbell.payload();
            let at = function_row(new.function, new.queue.low(qid_bits), functions);
            doorbell.take();
            rung_full.set(doorbell.valid());
            rung.set(Rung {
                known: new.queue.le(self.config.io_queues),
                function: new.function,
                qid: new.queue,
                slot: new.completion.mux(cq_slots.lookup(at), sq_slots.lookup(at)).zext(8),
                completion: new.completion,
                value: new.value,
            });
        });
        let remind_turn = m.wire("remind_turn", round_robin(remind, last_remind_turn));
        when(!reminder_full & !read_reminds & !reminds, || {
            reminder_turn.set(remind_turn);
            reminder_found.set(remind.any());
            when(reminder_found, || {
                reminder_found.set(false);
                reminder_full.set(true);
                reminder_cq.set(one_hot_index(reminder_turn));
                reminder_turn.set(reminder_turn);
            });
        });

        // 4. Next state, step 1: the event of the next clock. `completion_queue_of` is read here, so nothing is chosen while queues change.
        when(!waits, || {
            read_event.goto(Event::Nothing);
            for flag in [read_works, read_posts, read_grants, read_reminds, read_changes] {
                flag.set(false);
            }
            read_sq.set(next_sq);
            read_cq.set(names_cq.mux(named_cq, looked_up_cq));
            read_rung.set(rung);
            read_limit.set(arbiter.port("candidate_limit"));
            read_dropped.set(consumed.item.dropped);
            read_finished.set(completion.item);
            when(turns.bit(5), || read_finished.set(firmware.item));
            read_change.set(command.item);
        });
        when(may_choose, || {
            let choose = |turn: u32, kind: Event, flags: &[Signal], consume: &dyn Fn()| {
                when(turns.bit(turn), || {
                    consume();
                    read_event.goto(kind);
                    read_works.set(true);
                    flags.iter().for_each(|flag| flag.set(lit(1u8, 1)));
                });
            };
            choose(0, Event::Changed, &[read_changes], &|| command.consume());
            choose(1, Event::Tail, &[], &|| take_doorbell.set(true));
            when(turns.bit(1) & rung.completion, || read_event.goto(Event::Head));
            choose(2, Event::Consumed, &[], &|| consumed.consume());
            choose(3, Event::Released, &[], &|| released.consume());
            choose(4, Event::Posted, &[read_posts], &|| completion.consume());
            choose(5, Event::FirmwarePosted, &[read_posts], &|| firmware.consume());
            choose(6, Event::Granted, &[read_grants], &|| takes_candidate.set(true));
            choose(7, Event::Reminded, &[read_reminds], &|| {
                last_remind_turn.set(reminder_turn);
                reminder_full.set(false);
            });
        });

        // 4. Next state, step 2: tables are read, and what depends on few of them is worked out.
        event.set(read_event);
        for (flag, read) in [
            (works, read_works),
            (posts, read_posts),
            (grants, read_grants),
            (reminds, read_reminds),
            (changes, read_changes),
        ] {
            flag.set(read & !waits);
        }
        when(waits, || event.goto(Event::Nothing));
        sq.set(read_sq);
        cq.set(read_cq);
        dropped.set(read_dropped);
        finished.set(read_finished);
        change.set(read_change);
        position.set(read_rung.value.low(INDEX_BITS));
        let exists = m.wire("exists", bit_at(sq_exists, read_sq));
        sq_here.set(exists);
        sq_runs.set(bit_at(sq_active, read_sq));
        cq_here.set(bit_at(cq_exists, read_cq));
        kept_for_firmware.set(bit_at(wanted_by_firmware, read_cq));
        let is_head = m.wire("is_head", read_event.is(Event::Head));
        let meant = |identity: Signal| {
            let function = function_bit(read_rung.function, functions);
            let same = identity.low(functions).eq(function)
                & identity.bits(functions..functions + 16).eq(read_rung.qid.zext(16));
            read_rung.known & same
        };
        sq_is_meant.set(meant(sq_identity_read));
        cq_is_meant.set(meant(cq_identity_read));
        let last = m.wire("doorbell_last", is_head.mux(cq_last_read, sq_last_read));
        let from = m.wire("doorbell_from", is_head.mux(cq_head_read, sq_tail_read));
        in_range.set(read_rung.value.le(last.zext(16)));
        moved.set(entries_between(from, read_rung.value.low(INDEX_BITS), last));
        limit_of_line.set({
            let in_last_line = sq_fetched_read.bits(3..INDEX_BITS).eq(sq_last_read.bits(3..INDEX_BITS));
            let last_in_line = in_last_line.mux(sq_last_read.low(3), lit(GRANT_ENTRIES_MAX - 1, 3));
            reaches((last_in_line - sq_fetched_read.low(3)).zext(4) + 1)
        });
        let is_first_now = m.wire("is_first_now", first_waiter_read.eq(cat(&[read_sq, lit(1u8, 1)])));
        limit_of_room.set({
            let possible = reaches(room_read);
            // The next entry that becomes free is kept for firmware.
            let one_less = cat(&[lit(0u8, 1), possible.bits(1..GRANT_ENTRIES_MAX)]);
            bit_at(wanted_by_firmware, read_cq).mux(one_less, possible)
        });
        is_first.set(is_first_now);
        let another_waits = m.wire("another_waits", first_waiter_read.bit(0) & !is_first_now);
        let is_half_now = m.wire("is_half_now", bit_at(half_fetched, read_sq));
        must_wait.set(another_waits & !is_half_now);
        limit_of_turn.set(another_waits.mux(lit(1u8, GRANT_ENTRIES_MAX), read_limit));
        is_half.set(is_half_now);
        is_idle.set(!in_flight_read.any());
        let reserved = m.wire("reserved", cq_last_read - occupied_read - room_read);
        none_reserved.set(!reserved.any());
        one_reserved.set(reserved.eq(1));
        limit_of_available.set(reaches(available_read));
        someone_waits.set(waiters_read.any());
        much_available.set(available_read.gt(GRANT_ENTRIES_MAX));

        // 4. Next state, step 3: the event takes effect.
        let mask = |name: &str| {
            let mask = m.wire_of_width(name, slots);
            mask.set(zero(slots));
            mask
        };
        let [pending_set, pending_clear, remind_set, remind_clear] =
            ["pending_set", "pending_clear", "remind_set", "remind_clear"].map(mask);
        let sq_gone = m.wire("sq_gone", one_hot_select(clear, &sq_members));
        let cq_gone = m.wire("cq_gone", one_hot_select(clear, &cq_members));
        let asks_for_half = m.wire("asks_for_half", half_fetched & !asked_for_half);
        pending.set(((pending & !pending_clear) | pending_set | asks_for_half) & !sq_gone);
        let has_asked = m.wire("has_asked", event.is(Event::Granted) & is_half);
        asked_for_half.set((asked_for_half | (this_sq & has_asked.repeat(slots))) & half_fetched);
        remind.set(((remind & !remind_clear) | remind_set) & !cq_gone);
        sq_exists.set(sq_exists & !sq_gone);
        sq_active.set(sq_active & !sq_gone);
        cq_exists.set(cq_exists & !cq_gone);
        wanted_by_firmware.set(wanted_by_firmware & !cq_gone);
        let [is_tail, is_head] = [event.is(Event::Tail), event.is(Event::Head)];
        let rung_here = m.wire("rung_here", (is_head & cq_here & cq_is_meant) | (is_tail & sq_here & sq_is_meant));
        let legal = is_head.mux(head_is_legal, tail_is_legal);
        let rung_by = m.reg_without_reset("rung_by", clock, functions);
        rung_by.set(function_bit(read_rung.function, functions));
        unknown.set(rung_by & ((is_head | is_tail) & !rung_here).repeat(functions));
        illegal.set(rung_by & (rung_here & !legal).repeat(functions));
        command_done.set(event.is(Event::Changed));
        firmware_done.set(event.is(Event::FirmwarePosted));
        nowhere.set(!sq_here);
        refused.set(sq_here & !has_room);
        room_again.set(false);
        raise.set(false);
        raised.set(Raise { function: place.function, vector: cq_vector.now });

        // There is more room in the completion queue: whoever waited for it asks again.
        let wake = || {
            pending_set.set(waiters.now);
            waiters.write_zero();
            room_again.set(kept_for_firmware);
        };
        let in_flight_changes = |step: Signal, down: bool| {
            let step = |width: u32| step.zext(width);
            let after = |value: Signal| {
                let step = step(value.width());
                if down {
                    value - step
                } else {
                    value + step
                }
            };
            in_flight.write(after(in_flight.now));
            for (number, total) in (0..).zip(&total_in_flight) {
                when(function.bit(number), || total.set(after(*total)));
            }
        };
        let ends_first = || {
            first_waiter.write_zero();
            pending_set.set(waiters.now);
            waiters.write_zero();
        };
        let leave_flight = || in_flight_changes(lit(1u8, 1), true);
        let end_reservation = || {
            leave_flight();
            room.write(room.now + 1);
            wake();
        };
        let post = || {
            posted.offer(place);
            offered_to.set(function);
            raise.set(cq_interrupts.now);
            occupied.write(occupied.now + 1);
            cq_tail.write(next_index_in(cq_tail.now, cq_last.now));
            // The tag is inverted on each pass through the queue. NVMe Base, "Phase Tag".
            cq_phase.write(cq_phase.now ^ cq_tail.now.eq(cq_last.now));
        };
        let identity = m.wire("new_identity", cat(&[change.qid, function_bit(change.function, functions)]));
        let hint = m.wire_of_width("hint", 1);
        hint.set(false);
        switch(event, |event: Event| match event {
            Event::Nothing => {}
            Event::Tail => {
                when(rung_here & tail_is_legal, || {
                    sq_tail.write(position);
                    available.write(available.now + moved);
                    free.write(free.now - moved);
                    when(has_moved, || {
                        pending_set.set(this_sq);
                        // Whoever waits for room in the same completion queue was there before.
                        hint.set(sq_runs & !someone_waits);
                    });
                });
            }
            Event::Head => {
                when(rung_here & head_is_legal, || {
                    cq_head.write(position);
                    occupied.write(occupied.now - moved);
                    room.write(room.now + moved);
                    when(has_moved, wake);
                    when(occupied.now.ne(moved) & cq_interrupts.now, || remind_set.set(this_cq));
                });
            }
            Event::Consumed => {
                sq_head.write(next_index_in(sq_head.now, sq_last.now));
                free.write(free.now + 1);
                when(dropped, end_reservation);
            }
            Event::Released => end_reservation(),
            Event::Posted => {
                leave_flight();
                post();
                // Whoever has waited for room for two may have the last entry now.
                when(one_reserved, || {
                    pending_set.set(waiters.now);
                    waiters.write_zero();
                });
            }
            Event::FirmwarePosted => {
                when(sq_here & has_room, || {
                    post();
                    room.write(room.now - 1);
                    wanted_by_firmware.set(wanted_by_firmware & !this_cq & !cq_gone);
                    // What was kept for firmware may now be granted.
                    pending_set.set(waiters.now);
                    waiters.write_zero();
                })
                .else_when(sq_here, || wanted_by_firmware.set((wanted_by_firmware | this_cq) & !cq_gone));
            }
            Event::Granted => {
                when(is_granted, || {
                    grant.offer(fetch);
                    sq_fetched.write(advance(sq_fetched.now, count, sq_last.now));
                    available.write(available.now - count.zext(INDEX_BITS));
                    room.write(room.now - count.zext(INDEX_BITS));
                    in_flight_changes(count, false);
                    when(!leaves_some, || pending_clear.set(this_sq));
                    when(is_first, ends_first);
                })
                .otherwise(|| {
                    pending_clear.set(this_sq);
                    when(sq_runs & limit_of_available.bit(0), || {
                        waiters.write(waiters.now | this_sq);
                        when(!first_waiter.now.bit(0), || first_waiter.write(cat(&[sq, lit(1u8, 1)])));
                    })
                    .else_when(is_first, ends_first);
                });
            }
            Event::Reminded => {
                remind_clear.set(this_cq);
                raise.set(cq_here & occupied.now.any());
            }
            Event::Changed => {
                let joins = |members: &[Signal], this: Signal| {
                    for (number, members) in (0..).zip(members) {
                        members.set((*members & !this) | (this & identity.bit(number).repeat(slots)));
                    }
                };
                switch(change.operation, |operation: QueueOperation| match operation {
                    QueueOperation::CreateSubmission => {
                        sq_exists.set((sq_exists | this_sq) & !sq_gone);
                        sq_active.set((sq_active | this_sq) & !sq_gone);
                        joins(&sq_members, this_sq);
                        for (class, code) in [
                            (urgent, queue_priority::URGENT),
                            (high, queue_priority::HIGH),
                            (medium, queue_priority::MEDIUM),
                        ] {
                            class.set((class & !this_sq) | (this_sq & change.priority.eq(code).repeat(slots)));
                        }
                        pending_clear.set(this_sq);
                        sq_page.write(change.page);
                        sq_identity.write(identity);
                        sq_last.write(change.last);
                        free.write(change.last);
                        for table in [&sq_tail, &sq_fetched, &sq_head, &available, &in_flight] {
                            table.write_zero();
                        }
                    }
                    QueueOperation::CreateCompletion => {
                        cq_exists.set((cq_exists | this_cq) & !cq_gone);
                        joins(&cq_members, this_cq);
                        wanted_by_firmware.set(wanted_by_firmware & !this_cq & !cq_gone);
                        remind_clear.set(this_cq);
                        cq_page.write(change.page);
                        cq_identity.write(identity);
                        cq_last.write(change.last);
                        cq_vector.write(change.vector);
                        cq_interrupts.write(change.interrupts);
                        room.write(change.last);
                        cq_phase.write(lit(1u8, 1));
                        for table in [&cq_tail, &cq_head, &occupied, &waiters, &first_waiter] {
                            table.write_zero();
                        }
                    }
                    QueueOperation::StopSubmission => {
                        sq_active.set(sq_active & !this_sq & !sq_gone);
                        when(is_first, ends_first);
                    }
                    QueueOperation::DeleteSubmission => {
                        sq_active.set(sq_active & !this_sq & !sq_gone);
                        when(!in_flight.now.any(), || sq_exists.set(sq_exists & !this_sq & !sq_gone));
                        // A refused completion of this queue will not come again; one of another queue on the same completion queue does, and is
                        // kept room for anew if it is refused anew.
                        wanted_by_firmware.set(wanted_by_firmware & !this_cq & !cq_gone);
                        room_again.set(kept_for_firmware);
                        ends_first();
                    }
                    QueueOperation::DeleteCompletion => cq_exists.set(cq_exists & !this_cq & !cq_gone),
                });
            }
        });
        let creates = |operation: QueueOperation| event.is(Event::Changed) & change.operation.is(operation);
        let creates_sq = m.wire("creates_sq", creates(QueueOperation::CreateSubmission));
        let creates_cq = m.wire("creates_cq", creates(QueueOperation::CreateCompletion));
        completion_queue_of.write(clock, creates_sq, sq, cq);
        let named = function_row(change.function, change.qid.low(qid_bits), functions);
        sq_slots.write(clock, creates_sq, named, sq);
        cq_slots.write(clock, creates_cq, named, cq);
        in_flight_copy.write(clock, in_flight.enable, sq, in_flight.new);
        selected.set(in_flight_copy.lookup(select.low(slot_bits)));
        let offered = offered_to & (!posted.can_take()).repeat(functions);
        quiet.set(cat(&total_in_flight.iter().rev().map(|total| !total.any()).collect::<Vec<_>>()) & !offered);

        // 4. Next state: the arbiter.
        for (name, value) in [
            ("pending", pending),
            ("urgent_priority", urgent),
            ("high_priority", high),
            ("medium_priority", medium),
            ("granting", granting),
            ("weighted", weighted),
            ("hint", hint),
            ("hint_sq", sq),
            ("hint_function", function),
            ("taken", takes_candidate),
            ("settled", event.is(Event::Granted)),
            ("settled_count", count),
        ] {
            arbiter.port(name).set(value);
        }
        for (number, (members, arbitration)) in sq_members.iter().zip(&arbitration).enumerate() {
            arbiter.port(&format!("members_f{number}")).set(*members);
            arbiter.port(&format!("burst_f{number}")).set(arbitration.low(BURST_BITS));
            arbiter.port(&format!("weights_f{number}")).set(arbitration.bits(BURST_BITS..ARBITRATION_BITS));
        }

        // 5. Outputs
        m.output("command_answered", command_done);
        m.output("firmware_answered", firmware_done);
        m.output("firmware_refused", refused);
        m.output("firmware_dropped", nowhere);
        m.output("firmware_room", room_again);
        m.output("doorbell_unknown", unknown);
        m.output("doorbell_illegal", illegal);
        m.output("selected_in_flight", selected);
        m.output("raise", raise);
        m.output("raise_function", raised.function);
        m.output("raise_vector", raised.vector);
        m.output("running", sq_active);
        m.output("quiet", quiet);

        // 6. Properties: the flags of what is in work say what the events say, and what is in work has room where it goes.
        for (flag, event, name) in [
            (read_posts, read_event.is(Event::Posted) | read_event.is(Event::FirmwarePosted), "read_posts"),
            (posts, event.is(Event::Posted) | event.is(Event::FirmwarePosted), "posts"),
            (read_grants, read_event.is(Event::Granted), "read_grants"),
            (grants, event.is(Event::Granted), "grants"),
            (read_works, !read_event.is(Event::Nothing), "read_works"),
            (works, !event.is(Event::Nothing), "works"),
        ] {
            m.assert(clock, &format!("{name}_is_true"), !(flag ^ event));
        }
        m.assert(clock, "one_completion_is_in_work", !(read_posts & posts));
        m.assert(clock, "one_grant_is_in_work", !(read_grants & grants));
        m.assert(clock, "completions_in_work_have_room", (read_posts | posts).implies(posted.can_take()));
        m.assert(clock, "grants_in_work_have_room", (read_grants | grants).implies(grant.can_take()));
    }
}

/// The count of which [`reaches`] has made `bits`; no carry chain is needed for that.
#[track_caller]
fn highest(bits: Signal) -> Signal {
    let place = |place: u32| {
        let step = 1 << place;
        // Bit `place` of a count is set from each odd multiple of `step` up to the next even one.
        let ranges = (step..=GRANT_ENTRIES_MAX).step_by(2 * step as usize).map(|from| {
            let below = match from + step {
                until if until <= GRANT_ENTRIES_MAX => !bits.bit(until - 1),
                _ => lit(1u8, 1),
            };
            bits.bit(from - 1) & below
        });
        ranges.reduce(|a, b| a | b).expect("there is at least one range")
    };
    cat(&[place(3), place(2), place(1), place(0)])
}

/// The address of entry `index` of a queue that begins at page `page`, with entries of `2^log2_bytes` bytes.
#[track_caller]
fn entry_address(page: Signal, index: Signal, log2_bytes: u32) -> Signal {
    let in_page = PAGE_LOG2_BYTES - log2_bytes;
    let page = page + index.bits(in_page..index.width()).zext(page.width());
    cat(&[page, index.low(in_page), lit(0u8, log2_bytes)])
}

/// `index` moved on by `count` in a ring whose last index is `last`; the caller never moves it beyond the end.
#[track_caller]
fn advance(index: Signal, count: Signal, last: Signal) -> Signal {
    let sum = index + count.zext(index.width());
    sum.eq(last + 1).mux(index.literal(0u8), sum)
}
