//! One die: its states, timers and queues, and what it wishes for.

use super::{Ended, Started, Task, DIE_QUEUE, PROGRAM_TIME_BITS, TURNS_BITS};
use crate::types::{Phase, Times, ARRAY_TIME_BITS};
use flash_spec::command::status;
use flash_spec::limits::{DIE_QUEUE_ENTRIES, READ_TURNS_MAX, SUSPENDS_MAX};
use rtl_hdl::{address_width, cat, hw_enum, lit, when, zero, Clock, EnumSignal, Module, Signal};

hw_enum! {
    /// `None -> Commanding -> Latched -> Busy -> Full -> Out -> Sent -> None`; a copyback read goes from `Full` to `None`.
    pub enum Read {
        /// Nothing is read.
        None,
        /// The command is on the bus. Leaves with the phase.
        Commanding,
        /// The die has the command. Leaves with the task that starts the array.
        Latched,
        /// The array is read. Leaves when the timer is 0 and no repetition is left.
        Busy,
        /// The page register is full. Leaves with the bus; after a copyback read with the task that finishes it.
        Full,
        /// The data is on the bus. Leaves with the phase.
        Out,
        /// All is there. Leaves with the task that finishes it.
        Sent,
    }
}

hw_enum! {
    /// `Idle -> Busy -> Over -> Idle`; `Busy -> Suspending -> Held -> Busy`; a power cut makes `Over` of all but `Idle`.
    pub enum Array {
        /// Nothing is programmed or erased.
        Idle,
        /// The timer runs. Leaves when it is 0, or at the end of a suspend command.
        Busy,
        /// The time is over. Leaves with the task that notes it.
        Over,
        /// Suspended, and not ready for a read yet. Leaves when the timer of reads is 0.
        Suspending,
        /// Suspended. Leaves at the end of a resume command.
        Held,
    }
}

hw_enum! {
    /// `Empty -> Loading -> Full -> Empty`: what the array takes next.
    pub enum Next {
        /// Nothing.
        Empty,
        /// It is on the bus. Leaves with the phase.
        Loading,
        /// It is in the cache register. Leaves with the task that starts the array.
        Full,
    }
}

hw_enum! {
    /// `None -> Waiting -> Commanding -> Answered -> None`: a read status command.
    pub enum Query {
        /// There is none.
        None,
        /// It waits for the bus. Leaves with a grant.
        Waiting,
        /// It is on the bus. Leaves with the phase.
        Commanding,
        /// The answer is there. Leaves with the task that gives it.
        Answered,
    }
}

/// A queue of the die, whose commands are in a memory.
pub(super) struct Queue {
    pub head: Signal,
    pub tail: Signal,
    pub count: Signal,
}

impl Queue {
    fn new(m: &Module, clock: Clock, name: &str) -> Queue {
        let pointer = |what: &str, bits: u32| m.reg(&format!("{name}_{what}"), clock, zero(bits));
        Queue {
            head: pointer("head", DIE_QUEUE),
            tail: pointer("tail", DIE_QUEUE),
            count: pointer("count", DIE_QUEUE + 1),
        }
    }

    pub fn has_room(&self) -> Signal {
        self.count.ne(DIE_QUEUE_ENTRIES)
    }

    fn clock(&self, push: Signal, pop: Signal) {
        when(push, || self.tail.set(self.tail + 1));
        when(pop, || self.head.set(self.head + 1));
        when(push & !pop, || self.count.set(self.count + 1));
        when(pop & !push, || self.count.set(self.count - 1));
    }

    fn clear(&self) {
        for pointer in [self.head, self.tail, self.count] {
            pointer.set(0);
        }
    }
}

/// What a die wishes for: a wire each, which the channel puts into registers.
pub(super) struct Wishes {
    pub end_write: Signal,
    pub start_read: Signal,
    pub start_write: Signal,
    pub finish_read: Signal,
    pub finish_status: Signal,
    pub read: Signal,
    pub suspend: Signal,
    pub out: Signal,
    pub status: Signal,
    pub write: Signal,
    pub resume: Signal,
}

/// What comes from the intake in this clock.
#[derive(Clone, Copy)]
pub(super) struct Pushes {
    pub read: Signal,
    pub write: Signal,
    /// The write is a cache program.
    pub is_cache: Signal,
    pub status: Signal,
}

/// The registers of a die.
pub(super) struct Die {
    pub reads: Queue,
    pub writes: Queue,
    /// A bit for each place of the queue of writes.
    caches: Signal,
    pub query: EnumSignal<Query>,
    read: EnumSignal<Read>,
    pub reads_copyback: Signal,
    reads_msb: Signal,
    read_timer: Signal,
    repeats: Signal,
    array: EnumSignal<Array>,
    programs: Signal,
    pub write_timer: Signal,
    suspends: Signal,
    /// The power was cut while the array was busy.
    pub is_cut: Signal,
    next: EnumSignal<Next>,
    /// Which of two places the next write has; the array has the other one.
    pub next_place: Signal,
    /// The planes whose page register a copyback read has filled.
    pub copyback: Signal,
    turns: Signal,
    has_failed: Signal,
    has_failed_before: Signal,
}

impl Die {
    pub fn new(m: &Module, clock: Clock, number: u32) -> Die {
        let name = |what: &str| format!("{what}_d{number}");
        let flag = |what: &str| m.reg(&name(what), clock, false);
        let count = |what: &str, bits: u32| m.reg(&name(what), clock, zero(bits));
        // What a state that is reached later sets before it is read.
        let later = |what: &str, bits: u32| m.reg_without_reset(&name(what), clock, bits);
        Die {
            reads: Queue::new(m, clock, &name("reads")),
            writes: Queue::new(m, clock, &name("writes")),
            caches: later("caches", DIE_QUEUE_ENTRIES),
            query: m.reg(&name("query"), clock, Query::None),
            read: m.reg(&name("read"), clock, Read::None),
            reads_copyback: later("reads_copyback", 1),
            reads_msb: later("reads_msb", 1),
            read_timer: later("read_timer", ARRAY_TIME_BITS),
            repeats: later("repeats", 3),
            array: m.reg(&name("array"), clock, Array::Idle),
            programs: later("programs", 1),
            write_timer: later("write_timer", PROGRAM_TIME_BITS),
            suspends: later("suspends", address_width(SUSPENDS_MAX + 1)),
            is_cut: flag("is_cut"),
            next: m.reg(&name("next"), clock, Next::Empty),
            next_place: flag("next_place"),
            copyback: count("copyback", 2),
            turns: count("turns", TURNS_BITS),
            has_failed: flag("has_failed"),
            has_failed_before: flag("has_failed_before"),
        }
    }

    /// What the die wishes for in this clock. The bus is free for it, and reads suspend, if these are set.
    pub fn wishes(&self, bus_is_free: Signal, suspends: Signal) -> Wishes {
        let is_still = bus_is_free & self.read.is(Read::None);
        let is_free = self.array.is(Array::Idle) & self.next.is(Next::Empty);
        let may_read = self.reads.count.any() & self.turns.ne(READ_TURNS_MAX);
        let head_is_cache = self.caches.word(self.writes.head, 1);
        let takes_cache = head_is_cache & self.next.is(Next::Empty) & self.is_programming();
        let is_full = self.read.is(Read::Full);
        Wishes {
            end_write: self.array.is(Array::Over),
            start_read: self.read.is(Read::Latched),
            start_write: self.next.is(Next::Full) & self.array.is(Array::Idle),
            finish_read: self.read.is(Read::Sent) | (is_full & self.reads_copyback),
            finish_status: self.query.is(Query::Answered),
            read: is_still & may_read & (self.array.is(Array::Held) | is_free),
            suspend: is_still & may_read & suspends & self.suspends.ne(SUSPENDS_MAX) & self.array.is(Array::Busy),
            out: bus_is_free & is_full & !self.reads_copyback,
            status: bus_is_free & self.query.is(Query::Waiting),
            write: is_still & self.writes.count.any() & (is_free | takes_cache),
            resume: is_still & self.array.is(Array::Held) & !may_read,
        }
    }

    fn is_programming(&self) -> Signal {
        self.array.is(Array::Busy) & self.programs
    }

    /// It has nothing to do and nothing to note.
    pub fn is_quiet(&self) -> Signal {
        let is_free = self.read.is(Read::None) & self.array.is(Array::Idle) & self.next.is(Next::Empty);
        let has_commands = self.reads.count.any() | self.writes.count.any() | !self.query.is(Query::None);
        is_free & !has_commands
    }

    /// The status byte.
    pub fn status(&self) -> Signal {
        let is_reading = self.read.is(Read::Latched) | self.read.is(Read::Busy);
        let is_still = self.array.is(Array::Idle) | self.array.is(Array::Held);
        let is_ready = self.next.is(Next::Empty) & (is_still | self.is_programming());
        let bits = [
            (status::FAIL, self.has_failed),
            (status::FAILC, self.has_failed_before),
            (status::SUSPENDED, self.array.is(Array::Held)),
            (status::ARDY, !is_reading & is_still),
            (status::RDY, !is_reading & is_ready),
        ];
        let bit = |number: u32| bits.iter().find(|(mask, _)| *mask == 1 << number).map_or(lit(0u8, 1), |(_, bit)| *bit);
        cat(&(0..8).rev().map(bit).collect::<Vec<_>>())
    }

    /// What a clock does: the timers; what a phase of this die that ends changes; what a task of this die that ends changes; a power cut.
    pub fn clock(&self, times: &Times, pushes: Pushes, ended: &Ended, started: &Started, power_cut: Signal) {
        self.count(times);
        let suspended = self.array.is(Array::Busy) & self.write_timer.any();
        when(ended.is(Phase::Read), || self.read.goto(Read::Latched));
        when(ended.is(Phase::Suspend) & suspended, || {
            self.array.goto(Array::Suspending);
            self.read_timer.set(times.suspend);
            self.suspends.set(self.suspends + 1);
        });
        when(ended.is(Phase::Out), || self.read.goto(Read::Sent));
        when(ended.is(Phase::Status), || self.query.goto(Query::Answered));
        when(ended.is(Phase::Write), || self.next.goto(Next::Full));
        when(ended.is(Phase::Resume), || self.array.goto(Array::Busy));
        self.start(times, started);

        when(pushes.status, || self.query.goto(Query::Waiting));
        self.reads.clock(pushes.read, started.is(Task::Read));
        self.writes.clock(pushes.write, started.is(Task::Write));
        let places = (0..DIE_QUEUE_ENTRIES)
            .rev()
            .map(|place| (pushes.write & self.writes.tail.eq(place)).mux(pushes.is_cache, self.caches.bit(place)));
        self.caches.set(cat(&places.collect::<Vec<_>>()));

        when(power_cut, || {
            self.reads.clear();
            self.writes.clear();
            self.query.goto(Query::None);
            self.read.goto(Read::None);
            when(self.array.is(Array::Idle), || self.array.goto(Array::Idle)).otherwise(|| {
                self.array.goto(Array::Over);
                self.is_cut.set(true);
            });
            self.next.goto(Next::Empty);
            self.copyback.set(0);
            self.turns.set(0);
            self.has_failed.set(false);
            self.has_failed_before.set(false);
        });
    }

    fn count(&self, times: &Times) {
        let again = self.reads_msb.mux(times.read_msb, times.read_lsb);
        when(self.read.is(Read::Busy), || {
            when(self.read_timer.any(), || self.read_timer.set(self.read_timer - 1))
                .else_when(self.repeats.any(), || {
                    self.repeats.set(self.repeats - 1);
                    self.read_timer.set(again - again.any().zext(ARRAY_TIME_BITS));
                })
                .otherwise(|| self.read.goto(Read::Full));
        })
        .else_when(self.array.is(Array::Suspending), || {
            when(self.read_timer.any(), || self.read_timer.set(self.read_timer - 1))
                .otherwise(|| self.array.goto(Array::Held));
        });
        when(self.array.is(Array::Busy), || {
            when(self.write_timer.any(), || self.write_timer.set(self.write_timer - 1))
                .otherwise(|| self.array.goto(Array::Over));
        });
    }

    /// What the end of a task changes.
    fn start(&self, times: &Times, started: &Started) {
        when(started.is(Task::EndWrite), || {
            self.array.goto(Array::Idle);
            self.is_cut.set(false);
            when(!self.is_cut, || {
                self.has_failed.set(started.fails);
                self.has_failed_before.set(self.has_failed);
            });
        });
        when(started.is(Task::StartRead), || {
            self.read.goto(Read::Busy);
            self.repeats.set(started.repeats);
            self.reads_msb.set(started.is_msb);
            self.read_timer.set(started.is_msb.mux(times.read_msb, times.read_lsb));
        });
        when(started.is(Task::StartWrite), || {
            self.next.goto(Next::Empty);
            when(!started.is_refused, || {
                self.array.goto(Array::Busy);
                self.programs.set(started.is_program);
                self.suspends.set(0);
                self.next_place.set(!self.next_place);
            });
        });
        when((started.is(Task::StartWrite) & !started.is_refused) | started.is(Task::Resume), || {
            self.write_timer.set(started.write_timer);
        });
        when(started.is(Task::FinishRead), || {
            self.read.goto(Read::None);
            when(self.reads_copyback, || self.copyback.set(started.content));
        });
        when(started.is(Task::FinishStatus), || self.query.goto(Query::None));
        when(started.is(Task::Read), || {
            let is_waited_for = self.writes.count.any() | self.array.is(Array::Held);
            self.turns.set(is_waited_for.mux(self.turns + 1, zero_turns()));
            self.read.goto(Read::Commanding);
            self.reads_copyback.set(false);
        });
        when(started.is(Task::Out), || self.read.goto(Read::Out));
        when(started.is(Task::Status), || self.query.goto(Query::Commanding));
        when(started.is(Task::Write), || {
            self.turns.set(0);
            when(started.is_copyback_read, || {
                self.read.goto(Read::Commanding);
                self.reads_copyback.set(true);
            })
            .else_when(!started.is_refused, || {
                self.next.goto(Next::Loading);
                when(started.is_program, || self.copyback.set(0));
            });
        });
        when(started.is(Task::Resume), || self.turns.set(0));
    }
}

fn zero_turns() -> Signal {
    lit(0u8, TURNS_BITS)
}
