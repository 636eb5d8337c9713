//! What is written to a completion queue.

use crate::{is_watched, watched_queue, QueueBegins, COUNT_BITS, CQ_ENTRY_LOG2_BYTES};
use rtl_hdl::{lit, when, zero, Block, Module};
use rtl_prim::{entries_between, next_index_in};

/// Completion queue entries follow one another, with a phase tag that inverts on each pass, and none lies over one that the host has not
/// consumed.
///
/// A head doorbell beyond the end of the queue, or beyond the entries that were posted, is an error and consumes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Completions;

impl Block for Completions {
    fn name(&self) -> String {
        "nvme_completions".into()
    }

    fn description(&self) -> String {
        "Checks the places and phase tags of completion queue entries, and that none lies over an unconsumed one."
            .into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let watched = watched_queue(m, clock);
        let create = m.input("create", 1);
        let created = m.input_as::<QueueBegins>("create");
        let [remove, remove_queue] =
            [("remove", 1), ("remove_queue", COUNT_BITS)].map(|(name, bits)| m.input(name, bits));
        let [ring, ring_queue, ring_head] = [("ring", 1), ("ring_queue", COUNT_BITS), ("ring_head", COUNT_BITS)]
            .map(|(name, bits)| m.input(name, bits));
        let post = m.input("post", 1);
        let [post_queue, post_address, post_phase] = [("queue", COUNT_BITS), ("address", 64), ("phase", 1)]
            .map(|(name, bits)| m.input(&format!("post_{name}"), bits));

        // 2. State
        let exists = m.reg("queue_exists", clock, false);
        let address = m.reg_without_reset("queue_address", clock, 64);
        let number = |name: &str| m.reg(name, clock, zero(COUNT_BITS));
        let [last, tail, head, occupied] = ["last", "tail", "head", "occupied"].map(number);
        let phase = m.reg("phase", clock, false);

        // 3. Conditions
        let begins = m.wire("begins", create & is_watched(created.queue, watched));
        let ends = m.wire("ends", remove & is_watched(remove_queue, watched));
        let moved = m.wire("moved", entries_between(head, ring_head, last));
        let consumes = m.wire("consumes", {
            ring & is_watched(ring_queue, watched) & exists & ring_head.le(last) & moved.le(occupied)
        });
        let posts = m.wire("posts", post & is_watched(post_queue, watched));
        let offset = tail.zext(64).shl(lit(CQ_ENTRY_LOG2_BYTES, 3));

        // 4. Next state
        let none = || lit(0u8, COUNT_BITS);
        head.set(consumes.mux(ring_head, head));
        tail.set(posts.mux(next_index_in(tail, last), tail));
        phase.set(phase ^ (posts & tail.eq(last)));
        occupied.set(occupied + posts.zext(COUNT_BITS) - consumes.mux(moved, none()));
        when(ends, || exists.set(false));
        when(begins, || {
            exists.set(true);
            address.set(created.address);
            last.set(created.last);
            phase.set(true);
            for count in [tail, head, occupied] {
                count.set(none());
            }
        });

        // 5. Outputs, for what ties this state to that of a controller
        for (name, value) in [
            ("exists", exists),
            ("address", address),
            ("last", last),
            ("tail", tail),
            ("head", head),
            ("phase", phase),
            ("occupied", occupied),
        ] {
            m.output(&format!("known_{name}"), value);
        }

        // 6. Properties. One entry always stays empty: a queue is full when its tail is just behind its head.
        m.assert(clock, "completions_are_of_a_queue", posts.implies(exists));
        m.assert(clock, "no_completion_over_an_unconsumed_one", posts.implies(occupied.lt(last)));
        m.assert(clock, "completions_follow_one_another", posts.implies(post_address.eq(address + offset)));
        m.assert(clock, "the_phase_inverts_on_each_pass", posts.implies(!(post_phase ^ phase)));
        m.cover(clock, "a_second_pass_begins", posts & !phase);
    }
}
