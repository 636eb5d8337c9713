//! # AXI4-Lite guard
//!
//! Answers for a subordinate that does not, so that its manager goes on.
//!
//! ## Symbol
//! ```text
//!            +- axi_lite_guard -+
//!    from ==>|                  |==> to   (AXI4-Lite)
//!            +------------------+
//! ```
//! ## Theory of operation
//! 1. Accesses and answers pass, a write and a read at a time.
//! 2. What is not answered within [`patience`](AxiLiteGuard::patience) clocks is answered with [`resp::SLVERR`]. The answer is still *owed*: until it comes,
//!    further accesses of the same kind are answered with the same error at once and do not go on. When it comes, it is dropped, and all is as before.
//!
//! ## Timing
//! An access is offered one clock after it was taken, a write two clocks; an answer one clock. No combinational path from any input to any output.
//!
//! ## Limits
//! What an access has done that is answered for here is not known.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::{resp, AxiLite, LiteReadData, LiteWriteResponse};
use rtl_hdl::{address_width, lit, when, zero, Block, Clock, Module, Signal};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxiLiteGuard {
    /// Width of addresses.
    pub address_bits: u32,
    /// Clocks that an answer may take, at least 2.
    pub patience: u32,
}

impl Block for AxiLiteGuard {
    fn name(&self) -> String {
        format!("axi_lite_guard_a{}_p{}", self.address_bits, self.patience)
    }

    fn description(&self) -> String {
        format!("Answers for an AXI4-Lite subordinate that does not within {} clocks.", self.patience)
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let from = AxiLite::subordinate(m, "from", self.address_bits);
        let to = AxiLite::manager(m, "to", self.address_bits);

        // 2. State
        let write = Access::new(m, clock, "write", self.patience);
        let read = Access::new(m, clock, "read", self.patience);
        let [address_held, data_held] = ["address_held", "data_held"].map(|name| m.reg(name, clock, false));
        let mut hold = |name: &str, width: u32| m.reg_without_reset(name, clock, width);
        let address = rtl_hdl::Value::rebuild_named(&from.aw.payload(), "held", &mut hold);
        let data = rtl_hdl::Value::rebuild_named(&from.w.payload(), "held", &mut hold);

        // 3. Conditions
        let may_answer_write = !write.waits & from.b.can_take();
        let writes = m.wire(
            "writes",
            address_held & data_held & may_answer_write & (write.owed | to.aw.can_take() & to.w.can_take()),
        );
        when(!read.waits & from.r.can_take() & (read.owed | to.ar.can_take()), || from.ar.take());
        let reads = m.wire("reads", from.ar.taken());
        when(write.owed & from.b.can_take(), || to.b.take());
        when(read.owed & from.r.can_take(), || to.r.take());
        let (write_answered, read_answered) = (to.b.taken(), to.r.taken());

        // 4. Next state
        when(!address_held, || {
            from.aw.take();
            address_held.set(from.aw.valid());
            rtl_hdl::Value::set(&address, from.aw.payload());
        });
        when(!data_held, || {
            from.w.take();
            data_held.set(from.w.valid());
            rtl_hdl::Value::set(&data, from.w.payload());
        });
        when(writes, || {
            address_held.set(false);
            data_held.set(false);
        });
        let (write_passes, write_fails) = write.next(m, writes, write_answered, from.b.can_take());
        let (read_passes, read_fails) = read.next(m, reads, read_answered, from.r.can_take());

        // 5. Outputs
        when(writes & !write.owed, || {
            to.aw.offer(address);
            to.w.offer(data);
        });
        when(reads & !read.owed, || to.ar.offer(from.ar.payload()));
        let error = lit(resp::SLVERR, resp::BITS);
        when(write_passes, || from.b.offer(to.b.payload()))
            .else_when(write_fails, || from.b.offer(LiteWriteResponse { resp: error }));
        when(read_passes, || from.r.offer(to.r.payload())).else_when(read_fails, || {
            from.r.offer(LiteReadData { data: lit(0u8, AxiLite::DATA_BITS), resp: error });
        });
    }
}

/// Writes, or reads.
struct Access {
    name: &'static str,
    patience: u32,
    /// The subordinate has still to answer.
    owed: Signal,
    /// The manager waits for that answer.
    waits: Signal,
    /// Clocks for which it still does, but for one.
    left: Signal,
}

impl Access {
    fn new(m: &Module, clock: Clock, name: &'static str, patience: u32) -> Self {
        let [owed, waits] = ["owed", "waits"].map(|flag| m.reg(&format!("{name}_{flag}"), clock, false));
        let left = m.reg(&format!("{name}_left"), clock, zero(address_width(patience)));
        Self { name, patience, owed, waits, left }
    }

    /// What becomes of it when an access begins and when the subordinate answers: whether the answer passes, and whether an error takes its place.
    fn next(&self, m: &Module, begins: Signal, answered: Signal, can_answer: Signal) -> (Signal, Signal) {
        let Self { name, patience, owed, waits, left } = *self;
        let passes = m.wire(&format!("{name}_passes"), answered & waits);
        let is_over = m.wire(&format!("{name}_is_over"), waits & !left.any() & can_answer & !answered);
        let fails = m.wire(&format!("{name}_fails"), is_over | begins & owed);
        when(left.any(), || left.set(left - 1));
        when(passes | is_over, || waits.set(false));
        when(answered, || owed.set(false));
        when(begins & !owed, || {
            owed.set(true);
            waits.set(true);
            left.set(lit(patience - 1, left.width()));
        });
        (passes, fails)
    }
}
