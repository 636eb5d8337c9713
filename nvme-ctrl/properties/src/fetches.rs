//! What is fetched from a submission queue.

use crate::ring::Ring;
use crate::COUNT_BITS;
use nvme_spec::entry::SQ_ENTRY_LOG2_BYTES;
use rtl_hdl::{lit, zero, Block, Module};
use rtl_prim::advance_index;

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
        let ring = Ring::new(m, clock);
        let [consume, consume_queue] =
            [("consume", 1), ("consume_queue", COUNT_BITS)].map(|(name, bits)| m.input(name, bits));
        let fetch = m.input("fetch", 1);
        let [fetch_queue, fetch_address, fetch_count] = [("queue", COUNT_BITS), ("address", 64), ("count", COUNT_BITS)]
            .map(|(name, bits)| m.input(&format!("fetch_{name}"), bits));

        // 2. State
        let number = |name: &str| m.reg(name, clock, zero(COUNT_BITS));
        let [tail, fetched, available, free] = ["tail", "fetched", "available", "free"].map(number);

        // 3. Conditions
        let Ring { exists, address, last, .. } = ring;
        let doorbell = ring.doorbell(m, "tail", tail, free);
        let consumes = m.wire("consumes", ring.is_meant(consume, consume_queue) & exists);
        let fetches = m.wire("fetches", ring.is_meant(fetch, fetch_queue));
        let offset = fetched.zext(64).shl(lit(SQ_ENTRY_LOG2_BYTES, 3));
        let after = m.wire("after", fetched.zext(COUNT_BITS + 1) + fetch_count.zext(COUNT_BITS + 1));

        // 4. Next state
        tail.set(doorbell.moves.mux(doorbell.to, tail));
        fetched.set(fetches.mux(advance_index(fetched, fetch_count, last), fetched));
        available.set(available + doorbell.moved - fetches.mux(fetch_count, lit(0u8, COUNT_BITS)));
        free.set(free - doorbell.moved + consumes.zext(COUNT_BITS));
        ring.follow(&[tail, fetched, available]);
        ring.begin(|last| free.set(last));

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
