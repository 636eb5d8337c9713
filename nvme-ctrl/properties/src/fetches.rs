//! What is fetched from a submission queue.

use crate::{is_watched, watched_queue, QueueBegins, COUNT_BITS, SQ_ENTRY_LOG2_BYTES};
use rtl_hdl::{lit, when, zero, Block, Module};
use rtl_prim::{advance_index, entries_between};

/// Submission queue entries are fetched in order, each once, none beyond the tail.
///
/// A tail doorbell beyond the end of the queue, or beyond the entries that the host may publish, is an error and publishes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Fetches;

impl Block for Fetches {
    fn name(&self) -> String {
        "nvme_fetches".into()
    }

    fn description(&self) -> String {
        "Checks that submission queue entries are fetched in order, each once, and none beyond the tail.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let watched = watched_queue(m, clock);
        let create = m.input("create", 1);
        let created = m.input_as::<QueueBegins>("create");
        let [remove, remove_queue] =
            [("remove", 1), ("remove_queue", COUNT_BITS)].map(|(name, bits)| m.input(name, bits));
        let [ring, ring_queue, ring_tail] = [("ring", 1), ("ring_queue", COUNT_BITS), ("ring_tail", COUNT_BITS)]
            .map(|(name, bits)| m.input(name, bits));
        let [consume, consume_queue] =
            [("consume", 1), ("consume_queue", COUNT_BITS)].map(|(name, bits)| m.input(name, bits));
        let fetch = m.input("fetch", 1);
        let [fetch_queue, fetch_address, fetch_count] = [("queue", COUNT_BITS), ("address", 64), ("count", COUNT_BITS)]
            .map(|(name, bits)| m.input(&format!("fetch_{name}"), bits));

        // 2. State
        let exists = m.reg("queue_exists", clock, false);
        let address = m.reg_without_reset("queue_address", clock, 64);
        let number = |name: &str| m.reg(name, clock, zero(COUNT_BITS));
        let [last, tail, fetched, available, free] = ["last", "tail", "fetched", "available", "free"].map(number);

        // 3. Conditions
        let begins = m.wire("begins", create & is_watched(created.queue, watched));
        let ends = m.wire("ends", remove & is_watched(remove_queue, watched));
        let moved = m.wire("moved", entries_between(tail, ring_tail, last));
        let publishes = m.wire("publishes", {
            ring & is_watched(ring_queue, watched) & exists & ring_tail.le(last) & moved.le(free)
        });
        let consumes = m.wire("consumes", consume & is_watched(consume_queue, watched) & exists);
        let fetches = m.wire("fetches", fetch & is_watched(fetch_queue, watched));
        let offset = fetched.zext(64).shl(lit(SQ_ENTRY_LOG2_BYTES, 3));
        let after = m.wire("after", fetched.zext(COUNT_BITS + 1) + fetch_count.zext(COUNT_BITS + 1));

        // 4. Next state
        let none = || lit(0u8, COUNT_BITS);
        tail.set(publishes.mux(ring_tail, tail));
        fetched.set(fetches.mux(advance_index(fetched, fetch_count, last), fetched));
        available.set(available + publishes.mux(moved, none()) - fetches.mux(fetch_count, none()));
        free.set(free - publishes.mux(moved, none()) + consumes.zext(COUNT_BITS));
        when(ends, || exists.set(false));
        when(begins, || {
            exists.set(true);
            address.set(created.address);
            last.set(created.last);
            free.set(created.last);
            for count in [tail, fetched, available] {
                count.set(none());
            }
        });

        // 5. Outputs, for what ties this state to that of a controller
        for (name, value) in [
            ("exists", exists),
            ("address", address),
            ("last", last),
            ("tail", tail),
            ("fetched", fetched),
            ("available", available),
            ("free", free),
        ] {
            m.output(&format!("known_{name}"), value);
        }

        // 6. Properties
        m.assert(clock, "fetches_are_of_a_queue", fetches.implies(exists));
        m.assert(clock, "nothing_is_fetched_beyond_the_tail", fetches.implies(fetch_count.le(available)));
        m.assert(clock, "entries_are_fetched_in_order", fetches.implies(fetch_address.eq(address + offset)));
        m.assert(clock, "a_fetch_ends_with_the_ring", fetches.implies(after.le(last.zext(COUNT_BITS + 1) + 1)));
        m.cover(clock, "a_fetch_reaches_the_end", fetches & after.gt(last.zext(COUNT_BITS + 1)));
    }
}
