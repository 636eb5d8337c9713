//! The rules of an AXI4-Lite port of a subordinate.

use super::{count, count_down, response_exists, Seen};
use crate::AxiLiteSubordinate;
use rtl_hdl::{zero, Clock, Module, Signal};

/// Counters of what waits for an answer have so many bits.
const COUNT_BITS: u32 = 8;

/// What has been taken of an AXI4-Lite manager and waits for its answer, before this clock. There are no ids and no bursts, so counting says it all.
#[derive(Clone, Copy)]
pub struct AxiLiteRules {
    /// Write addresses.
    pub write_addresses: Signal,
    /// Write words.
    pub write_words: Signal,
    /// Read addresses.
    pub reads: Signal,
}

impl AxiLiteRules {
    /// The rules of the port `name` of a subordinate. A manager may do what it likes.
    #[track_caller]
    pub fn of_subordinate(m: &Module, clock: Clock, name: &str, bus: &AxiLiteSubordinate) -> AxiLiteRules {
        let counter = |what: &str| m.reg(&format!("{name}_{what}_unanswered"), clock, zero(COUNT_BITS));
        let (write_addresses, write_words) = (counter("write_addresses"), counter("write_words"));
        let reads = counter("reads");
        let keeps = |rule: &str, condition: Signal| m.assert(clock, &format!("{name}_{rule}"), condition);
        let (b, r) = (Seen::from(&bus.b), Seen::from(&bus.r));
        keeps("write_response_is_asked_for", b.valid.implies(write_addresses.any() & write_words.any()));
        keeps("write_response_exists", b.valid.implies(response_exists(b.payload.resp)));
        keeps("read_data_is_asked_for", r.valid.implies(reads.any()));
        keeps("read_response_exists", r.valid.implies(response_exists(r.payload.resp)));

        write_addresses.set(count_down(count(write_addresses, bus.aw.taken()), b.taken));
        write_words.set(count_down(count(write_words, bus.w.taken()), b.taken));
        reads.set(count_down(count(reads, bus.ar.taken()), r.taken));
        AxiLiteRules { write_addresses, write_words, reads }
    }
}
