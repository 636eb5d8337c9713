//! What submission and completion queues have in common: a ring of entries, from its creation to its removal.

use crate::{QueueBegins, COUNT_BITS};
use rtl_hdl::{lit, when, zero, Clock, Module, Shape, Signal};
use rtl_prim::entries_between;

/// The ring of the watched queue.
pub(crate) struct Ring {
    watched: Signal,
    created: <QueueBegins as Shape>::Value,
    begins: Signal,
    ends: Signal,
    /// There is a queue.
    pub(crate) exists: Signal,
    /// Where its first entry lies.
    pub(crate) address: Signal,
    /// The index of its last entry.
    pub(crate) last: Signal,
}

impl Ring {
    /// Ports: which queue is watched, and that queues are created and removed. State: what the watched one is.
    #[track_caller]
    pub(crate) fn new(m: &Module, clock: Clock) -> Self {
        let watched = watched_queue(m, clock);
        let create = m.input("create", 1);
        let created = m.input_as::<QueueBegins>("create");
        let [remove, remove_queue] =
            [("remove", 1), ("remove_queue", COUNT_BITS)].map(|(name, bits)| m.input(name, bits));
        Self {
            watched,
            begins: m.wire("begins", create & created.queue.eq(watched)),
            ends: m.wire("ends", remove & remove_queue.eq(watched)),
            created,
            exists: m.reg("queue_exists", clock, false),
            address: m.reg_without_reset("queue_address", clock, 64),
            last: m.reg("last", clock, zero(COUNT_BITS)),
        }
    }

    /// Whether something that happens to a queue happens to this one.
    #[track_caller]
    pub(crate) fn is_meant(&self, happens: Signal, queue: Signal) -> Signal {
        happens & queue.eq(self.watched)
    }

    /// The port of its doorbell, which moves the position `from` to the one in the input called `ring_` and `position`: by how many entries, and
    /// whether it does. Beyond the end of the ring, or by more than `entries`, is an error.
    #[track_caller]
    pub(crate) fn doorbell(&self, m: &Module, position: &str, from: Signal, entries: Signal) -> Doorbell {
        let [ring, queue, to] = [("ring", 1), ("ring_queue", COUNT_BITS), (&format!("ring_{position}"), COUNT_BITS)]
            .map(|(name, bits)| m.input(name, bits));
        let moved = m.wire("moved", entries_between(from, to, self.last));
        let moves = self.is_meant(ring, queue) & self.exists & to.le(self.last) & moved.le(entries);
        Doorbell { to, moved: moves.mux(moved, lit(0u8, COUNT_BITS)), moves }
    }

    /// The end of what is done in a clock: a queue ends, or begins, and with it what is `counted`.
    #[track_caller]
    pub(crate) fn follow(&self, counted: &[Signal]) {
        when(self.ends, || self.exists.set(false));
        when(self.begins, || {
            self.exists.set(true);
            self.address.set(self.created.address);
            self.last.set(self.created.last);
            for count in counted {
                count.set(lit(0u8, COUNT_BITS));
            }
        });
    }

    /// When the queue begins, a value is what `begin` says.
    #[track_caller]
    pub(crate) fn begin(&self, begin: impl FnOnce(Signal)) {
        when(self.begins, || begin(self.created.last));
    }
}

/// A doorbell that is rung.
pub(crate) struct Doorbell {
    /// It moves the position.
    pub(crate) moves: Signal,
    /// To where.
    pub(crate) to: Signal,
    /// By how many entries: 0 if it does not.
    pub(crate) moved: Signal,
}

/// The input `watched`, which stays.
#[track_caller]
fn watched_queue(m: &Module, clock: Clock) -> Signal {
    let watched = m.input("watched", COUNT_BITS);
    let before = m.reg_without_reset("watched_before", clock, COUNT_BITS);
    before.set(watched);
    m.assume(clock, "watched_stays", watched.eq(before));
    watched
}
