//! What happens in one clock.

use super::{CqEntry, Doorbell, QueueCommand, QueueOperation, Released};
use crate::config::INDEX_BITS;
use crate::held::{bit_at, Held};
use crate::types::{Completion, Consumed, Grant, Posted};
use crate::Config;
use nvme_spec::entry::{CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};
use nvme_spec::limits::PAGE_BYTES;
use rtl_hdl::{cat, hw_enum, lit, switch, when, zero, Block, Clock, MemoryStyle, Module, Signal, Value};
use rtl_prim::{entries_between, next_index_in, one_hot, one_hot_index, round_robin};

/// Most entries of one grant.
const GRANT_ENTRIES_MAX: u32 = 8;

/// Bytes of a page, as a power of two.
const PAGE_LOG2_BYTES: u32 = PAGE_BYTES.trailing_zeros();

hw_enum! {
    /// What takes effect in step 2.
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
        /// A pending queue may be fetched.
        Granted,
        /// An interrupt is requested once more.
        Reminded,
        /// The set of queues changes.
        Changed,
    }
}

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

/// A value of each queue: read and written in step 2, for the queue of the event.
struct Table {
    now: Signal,
    enable: Signal,
    new: Signal,
}

impl Table {
    #[track_caller]
    fn new(m: &Module, clock: Clock, name: &str, width: u32, queues: u32, queue: Signal) -> Table {
        let memory = m.memory(name, width, queues, MemoryStyle::Distributed);
        let enable = m.wire_of_width(&format!("{name}_write"), 1);
        let new = m.wire_of_width(&format!("{name}_new"), width);
        m.default_to(enable, false);
        m.dont_care(&new);
        memory.write(clock, enable, queue, new);
        Table { now: m.wire(&format!("{name}_now"), memory.lookup(queue)), enable, new }
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

impl Block for Queues {
    fn name(&self) -> String {
        format!("queues_q{}", self.config.io_queues)
    }

    fn description(&self) -> String {
        "Queue manager: doorbells in, grants and completion queue entries out.".into()
    }

    fn build(&self, m: &Module) {
        let queues = self.config.queues();
        let queue_bits = self.config.queue_bits();
        let total_bits = INDEX_BITS + queue_bits;

        // 1. Ports
        let clock = m.clock();
        let granting = m.input("granting", 1);
        let select = m.input("select", 8);
        let command = Held::new::<QueueCommand>(m, clock, "command");
        let doorbell = Held::new::<Doorbell>(m, clock, "doorbell");
        let consumed = Held::new::<Consumed>(m, clock, "consumed");
        let released = Held::new::<Released>(m, clock, "released");
        let completion = Held::new::<Completion>(m, clock, "completion");
        let firmware = Held::new::<Completion>(m, clock, "firmware_completion");
        let grant = m.stream_out_single::<Grant>("grant");
        let posted = m.stream_out_single::<Posted>("posted");

        // 2. State
        // One bit of each queue.
        let sq_exists = m.reg("sq_exists", clock, zero(queues));
        let sq_active = m.reg("sq_active", clock, zero(queues));
        let cq_exists = m.reg("cq_exists", clock, zero(queues));
        let pending = m.reg("pending", clock, zero(queues));
        let remind = m.reg("remind", clock, zero(queues));
        let wanted_by_firmware = m.reg("wanted_by_firmware", clock, zero(queues));
        let total_in_flight = m.reg("total_in_flight", clock, zero(total_bits));
        let last_fetch_turn = m.reg("last_fetch_turn", clock, zero(queues));
        let last_remind_turn = m.reg("last_remind_turn", clock, zero(queues));
        // The event between step 1 and step 2.
        let event = m.reg("event_kind", clock, Event::Nothing);
        let known = m.reg_without_reset("known", clock, 1);
        let sq = m.reg_without_reset("sq", clock, queue_bits);
        let cq = m.reg_without_reset("cq", clock, queue_bits);
        let dropped = m.reg_without_reset("dropped", clock, 1);
        let position = m.reg_without_reset("position", clock, 16);
        let finished = m.reg_as::<Completion>("finished", clock);
        let change = m.reg_as::<QueueCommand>("change", clock);
        // Answers.
        let command_done = m.reg("command_done", clock, false);
        let firmware_done = m.reg("firmware_done", clock, false);
        let refused = m.reg("refused", clock, false);
        let nowhere = m.reg("nowhere", clock, false);
        let room_again = m.reg("room_again", clock, false);
        let unknown = m.reg("unknown", clock, false);
        let illegal = m.reg("illegal", clock, false);
        let idle = m.reg("idle", clock, false);
        let selected = m.reg("selected", clock, zero(INDEX_BITS));
        // Tables.
        let completion_queue_of = m.memory("completion_queue_of", queue_bits, queues, MemoryStyle::Distributed);
        let in_flight_copy = m.memory("in_flight_copy", INDEX_BITS, queues, MemoryStyle::Distributed);
        let sq_table = |name: &str, width: u32| Table::new(m, clock, name, width, queues, sq);
        let cq_table = |name: &str, width: u32| Table::new(m, clock, name, width, queues, cq);
        let sq_page = sq_table("sq_page", 52);
        let sq_last = sq_table("sq_last", INDEX_BITS);
        let sq_tail = sq_table("sq_tail", INDEX_BITS);
        let sq_fetched = sq_table("sq_fetched", INDEX_BITS);
        let sq_head = sq_table("sq_head", INDEX_BITS);
        let available = sq_table("available", INDEX_BITS);
        let free = sq_table("free", INDEX_BITS);
        let in_flight = sq_table("in_flight", INDEX_BITS);
        let cq_page = cq_table("cq_page", 52);
        let cq_last = cq_table("cq_last", INDEX_BITS);
        let cq_vector = cq_table("cq_vector", 8);
        let cq_interrupts = cq_table("cq_interrupts", 1);
        let cq_tail = cq_table("cq_tail", INDEX_BITS);
        let cq_phase = cq_table("cq_phase", 1);
        let cq_head = cq_table("cq_head", INDEX_BITS);
        let room = cq_table("room", INDEX_BITS);
        let occupied = cq_table("occupied", INDEX_BITS);
        let waiters = cq_table("waiters", queues);

        // 3. Conditions, step 1: which events may be next.
        let posting =
            m.wire("posting", event.is(Event::Posted) | event.is(Event::FirmwarePosted) | event.is(Event::Reminded));
        let may_post = m.wire("may_post", posted.can_take() & !posting);
        let may_grant = m.wire("may_grant", granting & grant.can_take() & !event.is(Event::Granted));
        let fetch_turn = m.wire("fetch_turn", round_robin(pending, last_fetch_turn));
        let remind_turn = m.wire("remind_turn", round_robin(remind, last_remind_turn));
        let next_queue = m.wire_of_width("next_queue", 8);
        let looked_up_cq = m.wire("looked_up_cq", completion_queue_of.lookup(next_queue.low(queue_bits)));
        let next_cq = m.wire_of_width("next_cq", queue_bits);

        // 3. Conditions, step 2: the queues of the event.
        let sq_here = m.wire("sq_here", known & bit_at(sq_exists, sq));
        let sq_runs = m.wire("sq_runs", known & bit_at(sq_active, sq));
        let cq_here = m.wire("cq_here", known & bit_at(cq_exists, cq));
        let this_sq = m.wire("this_sq", one_hot(sq, queues));
        let this_cq = m.wire("this_cq", one_hot(cq, queues));
        let new_index = position.low(INDEX_BITS);
        let published = m.wire("published", entries_between(sq_tail.now, new_index, sq_last.now));
        let tail_is_legal = m.wire("tail_is_legal", position.le(sq_last.now.zext(16)) & published.le(free.now));
        let freed = m.wire("freed", entries_between(cq_head.now, new_index, cq_last.now));
        let head_is_legal = m.wire("head_is_legal", position.le(cq_last.now.zext(16)) & freed.le(occupied.now));
        let kept_for_firmware = m.wire("kept_for_firmware", bit_at(wanted_by_firmware, cq));
        let has_room = m.wire("has_room", room.now.any());
        let last_in_line = {
            let in_last_line = sq_fetched.now.bits(3..INDEX_BITS).eq(sq_last.now.bits(3..INDEX_BITS));
            m.wire("last_in_line", in_last_line.mux(sq_last.now.low(3), lit(GRANT_ENTRIES_MAX - 1, 3)))
        };
        let left_in_line = m.wire("left_in_line", (last_in_line - sq_fetched.now.low(3)).zext(4) + 1);
        // Which counts are possible, as bits: bit `i` says that at least `i + 1` entries are.
        let enough_room = m.wire("enough_room", {
            let possible = reaches(room.now);
            kept_for_firmware.mux(cat(&[lit(0u8, 1), possible.bits(1..GRANT_ENTRIES_MAX)]), possible)
        });
        let possible = m.wire("possible", reaches(left_in_line) & reaches(available.now) & enough_room);
        let count = m.wire("count", highest(possible));
        let left_after_grant = m.wire("left_after_grant", available.now - count.zext(INDEX_BITS));
        let fetch = Grant {
            sqid: sq.zext(8),
            function: lit(0u8, 8),
            address: m.wire("fetch_address", entry_address(sq_page.now, sq_fetched.now, SQ_ENTRY_LOG2_BYTES.into())),
            count,
        };
        let entry = CqEntry {
            result: finished.result,
            reserved: lit(0u8, 32),
            sqhd: sq_head.now.zext(16),
            sqid: finished.sqid.zext(16),
            cid: finished.cid,
            status_phase: cat(&[finished.status, cq_phase.now]),
        };
        let slot = Posted {
            written: !event.is(Event::Reminded),
            function: lit(0u8, 8),
            address: m.wire("slot_address", entry_address(cq_page.now, cq_tail.now, CQ_ENTRY_LOG2_BYTES.into())),
            entry: m.wire("slot_entry", entry.pack()),
            interrupt: cq_interrupts.now,
            vector: cq_vector.now,
        };

        // 4. Next state, step 1: the event of the next clock. A change of the queues is followed by an empty clock, because
        // `completion_queue_of` is read here.
        event.goto(Event::Nothing);
        next_queue.set(command.item.queue);
        next_cq.set(looked_up_cq);
        when(event.is(Event::Changed), || {})
            .else_when(command.full, || {
                command.consume();
                event.goto(Event::Changed);
                switch(command.item.operation, |operation: QueueOperation| match operation {
                    QueueOperation::CreateSubmission => next_cq.set(command.item.completion_queue.low(queue_bits)),
                    QueueOperation::StopSubmission | QueueOperation::DeleteSubmission => {}
                    QueueOperation::CreateCompletion | QueueOperation::DeleteCompletion => {
                        next_cq.set(command.item.queue.low(queue_bits));
                    }
                });
            })
            .else_when(doorbell.full, || {
                doorbell.consume();
                next_queue.set(doorbell.item.queue);
                event.goto(Event::Tail);
                when(doorbell.item.completion, || {
                    next_cq.set(doorbell.item.queue.low(queue_bits));
                    event.goto(Event::Head);
                });
            })
            .else_when(consumed.full, || {
                consumed.consume();
                next_queue.set(consumed.item.sqid);
                event.goto(Event::Consumed);
            })
            .else_when(released.full, || {
                released.consume();
                next_queue.set(released.item.sqid);
                event.goto(Event::Released);
            })
            .else_when(completion.full & may_post, || {
                completion.consume();
                next_queue.set(completion.item.sqid);
                event.goto(Event::Posted);
            })
            .else_when(firmware.full & may_post, || {
                firmware.consume();
                next_queue.set(firmware.item.sqid);
                event.goto(Event::FirmwarePosted);
            })
            .else_when(pending.any() & may_grant, || {
                last_fetch_turn.set(fetch_turn);
                next_queue.set(one_hot_index(fetch_turn).zext(8));
                event.goto(Event::Granted);
            })
            .else_when(remind.any() & may_post, || {
                last_remind_turn.set(remind_turn);
                next_queue.set(one_hot_index(remind_turn).zext(8));
                next_cq.set(one_hot_index(remind_turn));
                event.goto(Event::Reminded);
            });
        known.set(next_queue.zext(9).lt(queues));
        sq.set(next_queue.low(queue_bits));
        cq.set(next_cq);
        dropped.set(consumed.item.dropped);
        position.set(doorbell.item.value);
        finished.set(completion.item);
        when(!(completion.full & may_post), || finished.set(firmware.item));
        change.set(command.item);

        // 4. Next state, step 2: the event takes effect.
        let pending_set = m.wire_of_width("pending_set", queues);
        let pending_clear = m.wire_of_width("pending_clear", queues);
        let remind_set = m.wire_of_width("remind_set", queues);
        let remind_clear = m.wire_of_width("remind_clear", queues);
        for mask in [pending_set, pending_clear, remind_set, remind_clear] {
            mask.set(zero(queues));
        }
        pending.set((pending & !pending_clear) | pending_set);
        remind.set((remind & !remind_clear) | remind_set);
        let legal = event.is(Event::Head).mux(head_is_legal, tail_is_legal);
        let here = event.is(Event::Head).mux(cq_here, sq_here);
        let is_doorbell = event.is(Event::Head) | event.is(Event::Tail);
        unknown.set(is_doorbell & !here);
        illegal.set(is_doorbell & here & !legal);
        command_done.set(event.is(Event::Changed));
        firmware_done.set(event.is(Event::FirmwarePosted));
        nowhere.set(!sq_here);
        refused.set(sq_here & !has_room);
        room_again.set(false);

        // There is more room in the completion queue: whoever waited for it asks again.
        let wake = || {
            pending_set.set(waiters.now);
            waiters.write_zero();
            room_again.set(kept_for_firmware);
        };
        let leave_flight = || {
            in_flight.write(in_flight.now - 1);
            total_in_flight.set(total_in_flight - 1);
        };
        let end_reservation = || {
            leave_flight();
            room.write(room.now + 1);
            wake();
        };
        let post = || {
            posted.offer(slot);
            occupied.write(occupied.now + 1);
            cq_tail.write(next_index_in(cq_tail.now, cq_last.now));
            // The tag is inverted on each pass through the queue. NVMe Base, "Phase Tag".
            cq_phase.write(cq_phase.now ^ cq_tail.now.eq(cq_last.now));
        };
        when(known, || {
            switch(event, |event: Event| match event {
                Event::Nothing => {}
                Event::Tail => {
                    when(sq_here & tail_is_legal, || {
                        sq_tail.write(new_index);
                        available.write(available.now + published);
                        free.write(free.now - published);
                        when(published.any(), || pending_set.set(this_sq));
                    });
                }
                Event::Head => {
                    when(cq_here & head_is_legal, || {
                        cq_head.write(new_index);
                        occupied.write(occupied.now - freed);
                        room.write(room.now + freed);
                        when(freed.any(), wake);
                        when(occupied.now.ne(freed) & cq_interrupts.now, || remind_set.set(this_cq));
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
                }
                Event::FirmwarePosted => {
                    when(sq_here & has_room, || {
                        post();
                        room.write(room.now - 1);
                        wanted_by_firmware.set(wanted_by_firmware & !this_cq);
                        // What was kept for firmware may now be granted.
                        pending_set.set(waiters.now);
                        waiters.write_zero();
                    })
                    .else_when(sq_here, || wanted_by_firmware.set(wanted_by_firmware | this_cq));
                }
                Event::Granted => {
                    when(sq_runs & count.any(), || {
                        grant.offer(fetch);
                        sq_fetched.write(advance(sq_fetched.now, count, sq_last.now));
                        available.write(left_after_grant);
                        room.write(room.now - count.zext(INDEX_BITS));
                        in_flight.write(in_flight.now + count.zext(INDEX_BITS));
                        total_in_flight.set(total_in_flight + count.zext(total_bits));
                        when(!left_after_grant.any(), || pending_clear.set(this_sq));
                    })
                    .otherwise(|| {
                        pending_clear.set(this_sq);
                        when(sq_runs & available.now.any(), || waiters.write(waiters.now | this_sq));
                    });
                }
                Event::Reminded => {
                    remind_clear.set(this_cq);
                    when(cq_here & occupied.now.any(), || posted.offer(slot));
                }
                Event::Changed => switch(change.operation, |operation: QueueOperation| match operation {
                    QueueOperation::CreateSubmission => {
                        sq_exists.set(sq_exists | this_sq);
                        sq_active.set(sq_active | this_sq);
                        pending_clear.set(this_sq);
                        sq_page.write(change.page);
                        sq_last.write(change.last);
                        free.write(change.last);
                        for table in [&sq_tail, &sq_fetched, &sq_head, &available, &in_flight] {
                            table.write_zero();
                        }
                    }
                    QueueOperation::CreateCompletion => {
                        cq_exists.set(cq_exists | this_cq);
                        wanted_by_firmware.set(wanted_by_firmware & !this_cq);
                        remind_clear.set(this_cq);
                        cq_page.write(change.page);
                        cq_last.write(change.last);
                        cq_vector.write(change.vector);
                        cq_interrupts.write(change.interrupts);
                        room.write(change.last);
                        cq_phase.write(lit(1u8, 1));
                        for table in [&cq_tail, &cq_head, &occupied, &waiters] {
                            table.write_zero();
                        }
                    }
                    QueueOperation::StopSubmission => sq_active.set(sq_active & !this_sq),
                    QueueOperation::DeleteSubmission => {
                        sq_active.set(sq_active & !this_sq);
                        when(!in_flight.now.any(), || sq_exists.set(sq_exists & !this_sq));
                        // A refused completion of this queue will not come again; one of another queue on the same completion queue does, and is
                        // kept room for anew if it is refused anew.
                        wanted_by_firmware.set(wanted_by_firmware & !this_cq);
                        wake();
                    }
                    QueueOperation::DeleteCompletion => cq_exists.set(cq_exists & !this_cq),
                }),
            });
        });
        let creates_sq = event.is(Event::Changed) & change.operation.is(QueueOperation::CreateSubmission);
        completion_queue_of.write(clock, known & creates_sq, sq, cq);
        in_flight_copy.write(clock, in_flight.enable, sq, in_flight.new);
        selected.set(in_flight_copy.lookup(select.low(queue_bits)));
        let waiting = completion.full | firmware.full | consumed.full | released.full | command.full;
        idle.set(!total_in_flight.any() & event.is(Event::Nothing) & !waiting);

        // 5. Outputs
        m.output("command_answered", command_done);
        m.output("firmware_answered", firmware_done);
        m.output("firmware_refused", refused);
        m.output("firmware_dropped", nowhere);
        m.output("firmware_room", room_again);
        m.output("doorbell_unknown", unknown);
        m.output("doorbell_illegal", illegal);
        m.output("selected_in_flight", selected);
        m.output("quiet", idle);
    }
}

/// Bit `i` is set where `count` is more than `i`.
#[track_caller]
fn reaches(count: Signal) -> Signal {
    let large = count.bits(3..count.width()).any();
    let low = count.low(3);
    let bits: Vec<Signal> = (0..GRANT_ENTRIES_MAX - 1).rev().map(|i| large | low.gt(i)).collect();
    cat(&[&[large], &bits[..]].concat())
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
