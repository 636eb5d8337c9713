//! What is written to a completion queue.

use crate::ring::Ring;
use crate::COUNT_BITS;
use nvme_spec::entry::CQ_ENTRY_LOG2_BYTES;
use rtl_hdl::{lit, zero, Block, Module};
use rtl_prim::next_index_in;

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
        let ring = Ring::new(m, clock);
        let post = m.input("post", 1);
        let [post_queue, post_address, post_phase] = [("queue", COUNT_BITS), ("address", 64), ("phase", 1)]
            .map(|(name, bits)| m.input(&format!("post_{name}"), bits));

        // 2. State
        let number = |name: &str| m.reg(name, clock, zero(COUNT_BITS));
        let [tail, head, occupied] = ["tail", "head", "occupied"].map(number);
        let phase = m.reg("phase", clock, false);

        // 3. Conditions
        let Ring { exists, address, last, .. } = ring;
        let doorbell = ring.doorbell(m, "head", head, occupied);
        let posts = m.wire("posts", ring.is_meant(post, post_queue));
        let offset = tail.zext(64).shl(lit(CQ_ENTRY_LOG2_BYTES, 3));

        // 4. Next state
        head.set(doorbell.moves.mux(doorbell.to, head));
        tail.set(posts.mux(next_index_in(tail, last), tail));
        phase.set(phase ^ (posts & tail.eq(last)));
        occupied.set(occupied + posts.zext(COUNT_BITS) - doorbell.moved);
        ring.follow(&[tail, head, occupied]);
        ring.begin(|_| phase.set(true));

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
