//! # Latency
//!
//! Measures how long each command of the fast path spends in each phase of its way, and counts the commands of each queue by that.
//!
//! ## Symbol
//! ```text
//!                              +--- latency ---+
//!   granted, granted_count --->|               |---> window_ready
//! entry_valid, entry_taken --->|               |---> window_data   (to the mailbox)
//!            command_taken --->|               |---> busy
//!       walked, begun, .. ---->|               |
//!   finished, reported, .. --->|               |
//!   completed, created, .. --->|               |
//!          window_read, .. --->|               |
//!                              +---------------+
//! ```
//! ## Theory of operation
//! Nothing waits for this block: it watches the handshakes of the others. Six phases follow one another without a gap from the grant to the completion, so
//! that their durations add up to the whole:
//!
//! | phase | from | to |
//! |---|---|---|
//! | fetch | the queue manager grants the fetch | the entry is in front of `decode` |
//! | decode | there | `slots` takes the command: the wait for a slot is in here |
//! | list | there | the last unit leaves `walk`: the wait for the walks of the commands before it is in here |
//! | storage, Read | there | the storage has answered the last unit |
//! | data, Read | there | all units have ended: the last data is with the host port |
//! | data, Write | the last unit leaves `walk` | the last unit is given to the storage: its data comes from the host |
//! | storage, Write | there | all units have ended |
//! | storage, others | the last unit leaves `walk` | all units have ended; their data phase has no length |
//! | completion | all units have ended | the queue manager takes the completion, for which it has kept room |
//!
//! What the bounce takes part in may have its last event before the last unit leaves `walk`: then the phase that it ends has no length.
//!
//! 1. A grant puts its time and the number of its entries into the FIFO `grants`; entries arrive in the order of the grants.
//! 2. What is known of an entry goes with it, from `decode` (`entry`) to its command (`outgoing`) and to the walk (`walking`). When the walk
//!    ends it goes into `rows`, by the slot of the command. The later events are noted by slot too, the last one of each kind wins.
//! 3. When the outcome is sent, the row and the times are read; when the queue manager takes the completion, durations become the numbers of
//!    counters. Commands that failed are not counted, nor is what firmware executes.
//! 4. Each phase has a memory of its own, so all six counters of a command are read in one clock and written in the next.
//! 5. A submission queue that is created gets its counters cleared, which `busy` shows: one in each clock in which nothing is counted.
//! 6. The mailbox reads a counter in a clock in which nothing is counted; `window_ready` says that `window_data` follows in the next clock.
//!
//! ## Timing
//! Events are looked at one clock late, all of them alike; `answered` comes a clock late from `units`. Commands are counted in the order of their
//! completions, at most every second clock, which is the rate of the stream of outcomes: none is ever lost. A command is in its counters 5 clocks after
//! its completion was taken.
//!
//! ## Limits
//! A phase of 2^31 clocks or more is counted wrongly. A counter that is full stays so.
//! Counters of queue slots that were never created hold anything; those of admin queues are zero.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::Operation;
use crate::Config;
use nvme_spec::log::latency::{Phase, BUCKETS, PHASES};
use rtl_hdl::{
    address_width, cat, hw_bundle, lit, select, when, zero, Bits, Block, EnumSignal, MemoryStyle, Module, Shape,
    Signal, Value,
};
use rtl_prim::{fifo_of, priority_index};

#[cfg(test)]
mod bench;

/// Width of a time and of a counter.
const TIME_BITS: u32 = 32;
/// Width of the number of a counter of a histogram.
const BUCKET_BITS: u32 = address_width(BUCKETS);
/// Width of the number of a counter in the window of a queue.
const WINDOW_BITS: u32 = address_width(PHASES * BUCKETS);

hw_bundle! {
    /// A grant whose entries have not all arrived.
    struct Granted {
        time: Bits<32>,
        count: Bits<4>,
    }
}

hw_bundle! {
    /// What is known of a command before its walk: the counter of its first phase, and when the last one ended.
    struct Early {
        fetch: Bits<4>,
        time: Bits<32>,
    }
}

hw_bundle! {
    /// What is known of a command after its walk: the counters of its phases, and when the last one ended.
    struct Row {
        fetch: Bits<4>,
        decode: Bits<4>,
        list: Bits<4>,
        operation: Operation,
        time: Bits<32>,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    config: Config,
}

impl Latency {
    /// The histograms of a controller.
    pub fn new(config: Config) -> Latency {
        Latency { config }
    }
}

impl Block for Latency {
    fn name(&self) -> String {
        format!(
            "latency_n{}_q{}_s{}_f{}",
            self.config.functions, self.config.io_queues, self.config.slots, self.config.fetches
        )
    }

    fn description(&self) -> String {
        "Counts the commands of each queue by the clocks that they spend in each phase.".into()
    }

    fn build(&self, m: &Module) {
        let Config { functions, io_queues, slots, fetches, .. } = self.config;
        let slot_bits = address_width(slots);
        let counters = io_queues * BUCKETS;
        let queue_bits = address_width(counters) - BUCKET_BITS;

        // 1. Ports: events, each behind a register but one that has it in `units`.
        let clock = m.clock();
        let event = |name: &str| {
            let seen = m.reg(&format!("{name}_seen"), clock, false);
            seen.set(m.input(name, 1));
            seen
        };
        let detail = |name: &str, width: u32, used: u32| {
            let seen = m.reg_without_reset(&format!("{name}_seen"), clock, used);
            seen.set(m.input(name, width).low(used));
            seen
        };
        let (granted, granted_count) = (event("granted"), detail("granted_count", 4, 4));
        let [entry_valid, entry_taken, command_taken] = ["entry_valid", "entry_taken", "command_taken"].map(event);
        let of_slot = |name: &str| (event(name), detail(&format!("{name}_slot"), 8, slot_bits));
        let (walked, walked_slot) = of_slot("walked");
        let walked_operation = detail("walked_operation", Operation::WIDTH, Operation::WIDTH);
        let (begun, begun_slot) = of_slot("begun");
        let answered = m.input("answered", 1);
        let answered_slot = m.input("answered_slot", 8).low(slot_bits);
        let (finished, finished_slot) = of_slot("finished");
        let (reported, reported_slot) = of_slot("reported");
        let (completed, completed_sqid) = (event("completed"), detail("completed_sqid", 8, 8));
        let (created, created_sqid) = (event("created"), detail("created_sqid", 8, 8));
        let window_read = m.input("window_read", 1);
        let window_sqid = m.input("window_sqid", 8);
        let window_index = m.input("window_index", WINDOW_BITS);

        // 2. State
        let now = m.reg("now", clock, zero(TIME_BITS));
        let grants = fifo_of::<Granted>(m, "grants", 2 * fetches);
        let entry_known = m.reg("entry_known", clock, false);
        let entries_arrived = m.reg("entries_arrived", clock, zero(4));
        let entry = m.reg_as::<Early>("entry", clock);
        let outgoing = m.reg_as::<Early>("outgoing", clock);
        let walking = m.reg_as::<Early>("walking", clock);
        let walking_decode = m.reg_without_reset("walking_decode", clock, BUCKET_BITS);
        let rows = m.memory("rows", Row::WIDTH, slots, MemoryStyle::Block);
        let is_reported = m.reg("is_reported", clock, false);
        let slot_read = m.reg_without_reset("slot_read", clock, slot_bits);
        let is_completed = m.reg("is_completed", clock, false);
        let is_settled = m.reg("is_settled", clock, false);
        let turn = m.reg_without_reset("turn", clock, TIME_BITS);
        let completed_time = m.reg_without_reset("completed_time", clock, TIME_BITS);
        let completed_queue = m.reg_without_reset("completed_queue", clock, queue_bits);
        // A command that is counted: first its counters are read, then they are written.
        let counts = m.reg("counts", clock, false);
        let writes = m.reg("writes", clock, false);
        let counted: Vec<Signal> = Phase::ALL
            .iter()
            .map(|phase| m.reg_without_reset(&format!("{}_counter", phase.name()), clock, queue_bits + BUCKET_BITS))
            .collect();
        let clearing = m.reg("clearing", clock, false);
        let cleared = m.reg("cleared", clock, zero(BUCKET_BITS));
        let cleared_queue = m.reg_without_reset("cleared_queue", clock, queue_bits);
        let ready = m.reg("ready", clock, false);
        let word = m.reg_without_reset("word", clock, TIME_BITS);

        // 3. Conditions
        let arrives = m.wire("arrives", entry_valid & !entry_known);
        let grant = grants.payload();
        let grant_ends = m.wire("grant_ends", arrives & (entries_arrived + 1).eq(grant.count));
        let reads_window = m.wire("reads_window", window_read & !counts & !ready);
        let clears = m.wire("clears", clearing & !writes);
        let queue_of = |sqid: Signal| (sqid - functions).low(queue_bits);

        // 4. Next state: the way to the end of the walk.
        now.set(now + 1);
        when(granted, || grants.push(Granted { time: now, count: granted_count }));
        entry_known.set(entry_valid & !entry_taken);
        when(arrives, || {
            entry.set(Early { fetch: bucket_of(now - grant.time), time: now });
            entries_arrived.set(entries_arrived + 1);
        });
        when(grant_ends, || {
            grants.take();
            entries_arrived.set(zero(4));
        });
        when(entry_taken, || outgoing.set(entry));
        when(command_taken, || {
            walking.set(Early { fetch: outgoing.fetch, time: now });
            walking_decode.set(bucket_of(now - outgoing.time));
        });
        let row = Row {
            fetch: walking.fetch,
            decode: walking_decode,
            list: bucket_of(now - walking.time),
            operation: EnumSignal::from_signal(walked_operation),
            time: now,
        };
        rows.write(clock, walked, walked_slot, row.pack());

        // 4. Next state: the rest of the way.
        is_reported.set(reported);
        slot_read.set(reported_slot);
        let row = m.wire("row", Row::unpack(rows.read_when(clock, "row_read", is_reported, slot_read)));
        let events = [
            ("begun", begun, begun_slot),
            ("answered", answered, answered_slot),
            ("finished", finished, finished_slot),
        ];
        let [begun_time, answered_time, finished_time] = events.map(|(name, happens, slot)| {
            let times = m.memory(&format!("{name}_times"), TIME_BITS, slots, MemoryStyle::Block);
            times.write(clock, happens, slot, now);
            times.read_when(clock, &format!("{name}_time"), is_reported, slot_read)
        });
        is_completed.set(completed);
        is_settled.set(is_completed);
        when(completed, || {
            completed_time.set(now);
            completed_queue.set(queue_of(completed_sqid));
        });

        // 4. Next state: counters.
        let is_read = m.wire("is_read", row.operation.is(Operation::Read));
        let is_write = m.wire("is_write", row.operation.is(Operation::Write));
        let last_event = m.wire("last_event", is_read.mux(answered_time, is_write.mux(begun_time, finished_time)));
        let is_early = m.wire("is_early", (last_event - row.time).bit(TIME_BITS - 1));
        turn.set(is_early.mux(row.time, last_event));
        let first = m.wire("first_part", bucket_of(turn - row.time));
        let second = m.wire("second_part", bucket_of(finished_time - turn));
        counts.set(is_settled);
        writes.set(counts);
        let memories: Vec<Signal> = Phase::ALL
            .iter()
            .zip(&counted)
            .map(|(phase, counted)| {
                let bucket = match phase {
                    Phase::Fetch => row.fetch,
                    Phase::Decode => row.decode,
                    Phase::List => row.list,
                    Phase::Storage => is_write.mux(second, first),
                    Phase::Data => is_write.mux(first, second),
                    Phase::Completion => bucket_of(completed_time - finished_time),
                };
                when(is_settled, || counted.set(cat(&[completed_queue, bucket])));
                let memory = m.memory(&format!("{}_counters", phase.name()), TIME_BITS, counters, MemoryStyle::Block);
                let in_window = cat(&[queue_of(window_sqid), window_index.low(BUCKET_BITS)]);
                let read = memory.read(clock, &format!("{}_count", phase.name()), counts.mux(*counted, in_window));
                let address = writes.mux(*counted, cat(&[cleared_queue, cleared]));
                memory.write(clock, writes | clears, address, increment(read) & writes.repeat(TIME_BITS));
                read
            })
            .collect();
        when(clears, || {
            cleared.set(cleared + 1);
            when(cleared.all(), || clearing.set(false));
        });
        when(created, || {
            clearing.set(true);
            cleared.set(zero(BUCKET_BITS));
            cleared_queue.set(queue_of(created_sqid));
        });
        ready.set(reads_window);
        let is_counted = window_sqid.ge(functions);
        word.set(select(&memories, window_index.bits(BUCKET_BITS..WINDOW_BITS)) & is_counted.repeat(TIME_BITS));

        // 5. Outputs
        m.output("window_ready", ready);
        m.output("window_data", word);
        m.output("busy", clearing);
        m.assert(clock, "entries_are_granted", arrives.implies(grants.valid()));
        m.assert(clock, "grants_have_room", granted.implies(grants.can_push()));
    }
}

/// The counter of a duration: the number of its highest bit that is set.
fn bucket_of(duration: Signal) -> Signal {
    let last = BUCKETS - 1;
    let long = duration.bits(last..duration.width()).any();
    // The highest bit comes first, and the lowest one counts as set.
    let bits = (1..last).map(|bit| duration.bit(bit));
    let first = std::iter::once(lit(1u8, 1)).chain(bits).chain([long]).collect::<Vec<_>>();
    !priority_index(cat(&first))
}

/// The next value of a counter, which stays at its largest.
fn increment(count: Signal) -> Signal {
    count + (!count.all()).zext(count.width())
}
