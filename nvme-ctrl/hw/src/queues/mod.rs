//! # Queue manager
//!
//! Knows every submission and completion queue of all functions: what the host has published, what has been fetched, how much room is left for
//! completions. It grants fetches and gives completions their place.
//!
//! ## Symbol
//! ```text
//!                       +------- queues -------+
//!      doorbell ------->| from regs            |---> grant       Grant (to sq_fetch)
//!       command ------->| from the mailbox     |---> command_answered
//!      consumed ------->| from decode          |---> posted      Posted (to host_port)
//!      released ------->| from the mailbox     |---> raise, ..   Raise (to irq)
//!    completion ------->| from complete        |---> firmware_answered, firmware_refused, firmware_dropped, firmware_room
//! firmware_completion ->| from the mailbox     |---> doorbell_unknown, doorbell_illegal   (a bit of each function)
//! granting, clear,  --->|                      |---> selected_in_flight
//! weighted, select,     |                      |---> quiet       (a bit of each function)
//! arbitration_f0, ..    |                      |
//!  half_fetched ------->| from decode          |---> running     (a bit of each slot, to decode)
//!                       +----------------------+
//! ```
//! ## Theory of operation
//! Queues live in *slots*: slot `f` is the admin queue pair of function `f`, the others belong to whichever function firmware gives them to. A
//! doorbell names a queue as its host does, by function and identifier; `sq_slots` and `cq_slots` say which slot that may be, and the identity
//! in the slot whether it is.
//!
//! Everything that happens is an event on one queue. Step 1 chooses one event, step 2 reads all tables of its two queues, step 3 lets it take effect.
//! An event waits in step 2 while the one before it is about the same queue, so events are atomic, and no order of doorbells, grants and completions
//! can lose a wake-up or count twice.
//!
//! The tables hold counters and not only indexes, so that no event compares more than it must:
//!
//! | table | of each | is |
//! |---|---|---|
//! | `available` | submission queue | entries that the host has published and nobody has fetched |
//! | `free` | submission queue | entries that the host may still publish: a tail doorbell beyond them is an error |
//! | `in_flight` | submission queue | entries granted, and neither completed nor taken by firmware |
//! | `room` | completion queue | entries that are neither occupied nor reserved; one entry of the ring always stays empty |
//! | `occupied` | completion queue | entries posted that the host has not freed: a head doorbell beyond them is an error |
//!
//! 1. The [arbiter](crate::arbiter) names a queue; it is granted as many entries as have been published, have room for their completions, and lie
//!    inside one 512-byte line and inside the ring, up to 8 and to what the arbiter allows. A grant takes them from `available` and `room`: the
//!    completions of granted entries always have room.
//! 2. A queue with available entries has its bit in `pending`. If its completion queue has no room, the bit moves to `waiters` of the
//!    completion queue, and comes back with whatever makes room. So a full completion queue costs the other queues nothing. The first that waits
//!    (`first_waiter`) is the next that gets room: whoever asks before it waits too.
//!    The Compare of a Compare and Write may be fetched alone, and keeps its entry of the completion queue until its Write has one, too
//!    (`half_fetched`). So that Compares of several queues never have all entries: a queue of which nothing is in flight, and which has more than one
//!    entry to fetch, begins only if there is room for two, or if nothing else is reserved; and a queue that waits for a Write waits for no
//!    `first_waiter`, but gets one entry at a time then.
//! 3. A completion of hardware turns its reservation into an occupied entry. A command that firmware has taken gives its reservation back.
//! 4. A completion of firmware has no reservation. Without room it is refused, and the next entry that becomes free is kept for firmware
//!    (`wanted_by_firmware`), so that a busy queue cannot starve it.
//! 5. SQHD in a completion counts the entries that `decode` has taken: the host may overwrite exactly those.
//! 6. `raise` requests the interrupt of a completion in the clock in which the entry is offered. A head doorbell that leaves entries in the queue
//!    sets `remind`: the interrupt is requested once more.
//! 7. Firmware stops a submission queue, waits until `selected_in_flight` is 0, and deletes it. From the answer to the stop on, nothing is granted:
//!    `running` says which queues may be.
//! 8. `clear` ends all queues of a function, of which nothing is in flight.
//!
//! ## Timing
//! One event per clock, one in two clocks on the same queue; grants and completions at most in every third clock. From an event at an input to its
//! effect: 4 clocks.
//!
//! ## Limits
//! The entries of one queue are contiguous in memory (CAP.CQR). `quiet` says that nothing of a function is in flight; what has left through
//! `posted` is counted by `host_port`.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

#[cfg(test)]
mod bench;
mod block;

pub use block::{Event, Queues};

use rtl_hdl::{hw_bundle, hw_enum, Bits};

hw_bundle! {
    /// The host wrote a doorbell.
    pub struct Doorbell {
        /// The function.
        pub function: Bits<8>,
        /// The queue, as the host calls it.
        pub queue: Bits<8>,
        /// The head doorbell of a completion queue; otherwise the tail doorbell of a submission queue.
        pub completion: Bits<1>,
        /// The new head or tail.
        pub value: Bits<16>,
    }
}

hw_enum! {
    /// What is done to a queue; see [`nvme_spec::firmware_port::queue_operation`].
    pub enum QueueOperation {
        /// Creates a submission queue.
        CreateSubmission,
        /// Creates a completion queue.
        CreateCompletion,
        /// Grants a submission queue no more.
        StopSubmission,
        /// Deletes a submission queue that is stopped and has nothing in flight.
        DeleteSubmission,
        /// Deletes a completion queue that no submission queue uses.
        DeleteCompletion,
    }
}

hw_bundle! {
    /// A change of the set of queues; firmware has checked it.
    pub struct QueueCommand {
        /// What to do.
        pub operation: QueueOperation,
        /// The slot of the queue.
        pub queue: Bits<8>,
        /// The slot of the completion queue of a submission queue that is created.
        pub completion_queue: Bits<8>,
        /// The function of a queue that is created.
        pub function: Bits<8>,
        /// What its host calls it.
        pub qid: Bits<16>,
        /// Priority of a submission queue; see [`nvme_spec::queue_priority`].
        pub priority: Bits<2>,
        /// Address of the first entry: the page number.
        pub page: Bits<52>,
        /// Index of the last entry: the number of entries minus one.
        pub last: Bits<12>,
        /// A completion queue with interrupts.
        pub interrupts: Bits<1>,
        /// The interrupt vector of a completion queue.
        pub vector: Bits<8>,
    }
}

hw_bundle! {
    /// Firmware has taken a command: its reservation ends.
    pub struct Released {
        /// The slot of the submission queue.
        pub sqid: Bits<8>,
    }
}

hw_bundle! {
    /// An interrupt is requested.
    pub struct Raise {
        /// The function.
        pub function: Bits<8>,
        /// Its vector.
        pub vector: Bits<8>,
    }
}

hw_bundle! {
    /// A completion queue entry; see [`nvme_spec::CqEntry`].
    pub struct CqEntry {
        /// Dword 0.
        pub result: Bits<32>,
        /// Dword 1.
        pub reserved: Bits<32>,
        /// Submission queue head.
        pub sqhd: Bits<16>,
        /// Submission queue.
        pub sqid: Bits<16>,
        /// Command identifier.
        pub cid: Bits<16>,
        /// The phase tag in the lowest bit, the status field above.
        pub status_phase: Bits<16>,
    }
}
