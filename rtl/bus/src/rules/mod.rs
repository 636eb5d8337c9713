//! The rules of AXI as properties: simulation checks them in every clock, `cargo xtask formal` for all runs.
//!
//! A block that creates the rules of a port asserts what its own side has to do, and assumes what the other side has to do. The frame of a proof
//! adds the rule of every stream: an offer stays, unchanged, until it is taken.
//!
//! ```text
//!                 asserted of a manager       | asserted of a subordinate
//!   write address exists, stays within 4 KiB  | response only to a write whose address and last beat have come
//!   WLAST on the beat that AWLEN says         | one response for each write of an id, which exists
//!   read address as a write address           | data only to a read whose address has come
//!                                             | RLAST on the beat that ARLEN says, one burst for each read of an id
//! ```
//! AMBA AXI, "Dependencies between channel handshake signals", "Burst length", "Read and write response structure".
//!
//! The state of the rules changes by pure functions, one for each channel. So a block that holds items between two ports can say in one
//! sentence how the two states belong together: they are equal when what is held has been replayed. See [`axi4_slice`](crate::axi4_slice).
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

mod axi_lite;
mod reads;
#[cfg(test)]
mod tests;
mod writes;

pub use axi_lite::AxiLiteRules;
pub use reads::Reads;
pub use writes::Writes;

use crate::{burst, resp, Address, Axi4Config, Axi4Manager, Axi4Subordinate, ReadData, WriteData, WriteResponse};
use crate::{BOUNDARY_BYTES, LEN_BITS};
use rtl_hdl::{lit, Clock, Module, Signal, StreamIn, StreamOut, Value};

/// Transactions are numbered with so many bits.
const NUMBER_BITS: u32 = 7;
/// Data may be so many bursts ahead of addresses, or behind them, so that numbers say which belong together.
const LEAD_MAX: u32 = 1 << (NUMBER_BITS - 2);
/// What is assumed is a little narrower, because a block between two ports holds some of them.
const LEAD_SLACK: u32 = 8;

/// A channel as the rules see it.
#[derive(Clone, Copy)]
pub(crate) struct Seen<V> {
    valid: Signal,
    taken: Signal,
    payload: V,
}

impl<V: Value> From<&StreamIn<V>> for Seen<V> {
    #[track_caller]
    fn from(stream: &StreamIn<V>) -> Self {
        Seen { valid: stream.valid(), taken: stream.taken(), payload: stream.payload() }
    }
}

impl<V: Value> From<&StreamOut<V>> for Seen<V> {
    #[track_caller]
    fn from(stream: &StreamOut<V>) -> Self {
        let contents = stream.contents();
        Seen { valid: contents.full, taken: stream.taken(), payload: contents.held }
    }
}

/// Which side of a port a block is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Manager,
    Subordinate,
}

impl Side {
    /// Asserts of this side, or assumes of the other, what `of` has to do.
    #[track_caller]
    fn keeps(self, of: Side, m: &Module, clock: Clock, name: &str, condition: Signal) {
        if self == of {
            m.assert(clock, name, condition);
        } else {
            m.assume(clock, name, condition);
        }
    }
}

/// Which transactions are watched: those with one id and one number. Both are arbitrary and never change, so the formal tools watch all. Two
/// ports of one block share it.
#[derive(Clone, Copy)]
pub struct Watch {
    id: Signal,
    number: Signal,
}

impl Watch {
    /// An arbitrary choice; its registers are called `<name>_...`.
    #[track_caller]
    pub fn new(m: &Module, clock: Clock, name: &str, config: Axi4Config) -> Watch {
        let id = m.reg_without_reset(&format!("{name}_id"), clock, config.id_bits);
        let number = m.reg_without_reset(&format!("{name}_number"), clock, NUMBER_BITS);
        id.set(id);
        number.set(number);
        Watch { id, number }
    }
}

/// The rules of an AXI4 port.
#[derive(Clone, Copy)]
pub struct Axi4Rules {
    /// The state of the writes before this clock.
    pub writes: Writes,
    /// The state of the reads before this clock.
    pub reads: Reads,
}

impl Axi4Rules {
    /// The rules of the port `name` of a manager: its own side is asserted, the other assumed.
    #[track_caller]
    pub fn of_manager(
        m: &Module,
        clock: Clock,
        name: &str,
        config: Axi4Config,
        bus: &Axi4Manager,
        watch: Watch,
    ) -> Axi4Rules {
        let (aw, w, b, ar, r) = (&bus.aw, &bus.w, &bus.b, &bus.ar, &bus.r);
        let seen = Axi4Seen { aw: aw.into(), w: w.into(), b: b.into(), ar: ar.into(), r: r.into() };
        seen.rules(m, clock, name, config, Side::Manager, watch)
    }

    /// The rules of the port `name` of a subordinate: its own side is asserted, the other assumed.
    #[track_caller]
    pub fn of_subordinate(
        m: &Module,
        clock: Clock,
        name: &str,
        config: Axi4Config,
        bus: &Axi4Subordinate,
        watch: Watch,
    ) -> Axi4Rules {
        let (aw, w, b, ar, r) = (&bus.aw, &bus.w, &bus.b, &bus.ar, &bus.r);
        let seen = Axi4Seen { aw: aw.into(), w: w.into(), b: b.into(), ar: ar.into(), r: r.into() };
        seen.rules(m, clock, name, config, Side::Subordinate, watch)
    }
}

/// The five channels.
struct Axi4Seen {
    aw: Seen<Address>,
    w: Seen<WriteData>,
    b: Seen<WriteResponse>,
    ar: Seen<Address>,
    r: Seen<ReadData>,
}

impl Axi4Seen {
    fn rules(&self, m: &Module, clock: Clock, name: &str, config: Axi4Config, side: Side, watch: Watch) -> Axi4Rules {
        let keeps = |of: Side, rule: &str, condition: Signal| {
            side.keeps(of, m, clock, &format!("{name}_{rule}"), condition);
        };
        let lead_max = if side == Side::Manager { LEAD_MAX } else { LEAD_MAX - LEAD_SLACK };
        let Axi4Seen { aw, w, b, ar, r } = self;

        // Answers first: they may only follow what was taken in earlier clocks.
        let writes = Writes::state(m, clock, &format!("{name}_writes"));
        let answered = writes.response(b.valid, &b.payload, watch);
        m.assert(clock, &format!("{name}_burst_ends_once"), writes.complete.implies(writes.bursts.ne(watch.number)));
        keeps(Side::Subordinate, "write_response_is_asked_for", !answered.unasked);
        keeps(Side::Subordinate, "write_response_exists", !answered.response_wrong);
        let next = writes.response(b.taken, &b.payload, watch).address(aw.taken, &aw.payload, config, watch);
        let next = next.data(w.taken, &w.payload, watch);
        keeps(Side::Manager, "write_address_exists", !next.address_wrong);
        keeps(Side::Manager, "write_last_ends_the_burst", !next.last_wrong);
        keeps(Side::Manager, "writes_are_few", !next.overrun & next.lead_is_within(lead_max));
        m.cover(clock, &format!("{name}_watched_write_ends"), writes.inside & !next.inside);
        writes.set(next);

        let reads = Reads::state(m, clock, &format!("{name}_reads"));
        let answered = reads.data(r.valid, &r.payload, watch);
        keeps(Side::Subordinate, "read_data_is_asked_for", !answered.unasked);
        keeps(Side::Subordinate, "read_last_ends_the_burst", !answered.last_wrong);
        keeps(Side::Subordinate, "read_response_exists", !answered.response_wrong);
        let next = reads.data(r.taken, &r.payload, watch).address(ar.taken, &ar.payload, config, watch);
        keeps(Side::Manager, "read_address_exists", !next.address_wrong);
        keeps(Side::Manager, "reads_are_few", !next.overrun);
        reads.set(next);

        m.cover(clock, &format!("{name}_watched_read_ends"), reads.inside & !next.inside);
        Axi4Rules { writes, reads }
    }
}

/// A burst that exists on a bus of this width. AMBA AXI, "Burst length", "Burst size", "Burst type".
#[track_caller]
fn address_exists(config: Axi4Config, address: &Address) -> Signal {
    let Address { addr, len, size, burst, .. } = *address;
    let size_exists = size.le(config.full_size());
    // Bytes are counted within 4 KiB, and one bit more says that they lie beyond.
    let bits = BOUNDARY_BYTES.ilog2();
    let unaligned = lit(0u8, 1).repeat(bits);
    let low = !(!unaligned).shl(size);
    let offset = addr.low(bits);
    let aligned = offset & !low;
    let wide = bits + LEN_BITS;
    let end = aligned.zext(wide) + (len.zext(wide) + 1).shl(size);
    let within = end.le(BOUNDARY_BYTES);
    let short = len.le(15u8);
    let wraps = (len.eq(1) | len.eq(3) | len.eq(7) | len.eq(15)) & !(offset & low).any();
    let burst_exists = burst.eq(burst::INCR) & within | burst.eq(burst::FIXED) & short | burst.eq(burst::WRAP) & wraps;
    size_exists & burst_exists
}

/// A response without exclusive accesses.
fn response_exists(response: Signal) -> Signal {
    response.ne(resp::EXOKAY)
}

/// `number` and one more, if `more`.
fn count(number: Signal, more: Signal) -> Signal {
    number + more.zext(number.width())
}

/// `number` and one less, if `less`.
fn count_down(number: Signal, less: Signal) -> Signal {
    number - less.zext(number.width())
}
