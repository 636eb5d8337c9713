//! # AXI4-Lite demultiplexer
//!
//! Parts the accesses of one manager over several subordinates, by address.
//!
//! ## Symbol
//! ```text
//!            +- axi_lite_demux -+
//!    from ==>|                  |==> to_0
//!            |                  |==> to_1   ...   (AXI4-Lite)
//!            +------------------+
//! ```
//! ## Theory of operation
//! 1. A write goes on when its address and its word are both there and no other write is under way; a read likewise. They do not wait for each other.
//! 2. It goes to the subordinate in whose window its address lies, which sees the offset in its window; its answer is the answer.
//! 3. What lies in no window is answered with [`resp::DECERR`].
//! 4. What a subordinate does not answer within [`patience`](AxiLiteDemux::patience) clocks is answered with [`resp::SLVERR`], so that the manager goes on. The
//!    answer is *lost*: until it comes, further accesses of the same kind to this subordinate are answered with the same error at once. When it comes, it is
//!    dropped, and all is as before.
//!
//! ## Timing
//! An access is offered one clock after it was taken, and so is its answer. One write and one read at a time. No combinational path from
//! any input to any output.
//!
//! ## Limits
//! Windows begin at multiples of their sizes, which are powers of two. What an access has done whose answer is lost is not known.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::{resp, AxiLite, LiteAddress, LiteReadData, LiteWriteResponse};
use rtl_hdl::{address_width, cat, lit, when, zero, Block, Module, Signal};
use rtl_prim::one_hot_select;
use std::ops::Range;

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxiLiteDemux {
    /// Width of addresses of the manager.
    pub address_bits: u32,
    /// The addresses of each subordinate.
    pub windows: Vec<Range<u64>>,
    /// Clocks that an answer may take, at least 2.
    pub patience: u32,
}

impl AxiLiteDemux {
    /// Width of the addresses of a subordinate: those of its window.
    pub fn offset_bits(&self, subordinate: usize) -> u32 {
        let Range { start, end } = self.windows[subordinate];
        let bytes = end - start;
        assert!(bytes.is_power_of_two() && start % bytes == 0, "{start:#x}..{end:#x} is no window");
        bytes.ilog2()
    }

    /// In which window an address lies: a bit for each, the first lowest.
    fn select(&self, address: Signal) -> Signal {
        let inside = self.windows.iter().enumerate().rev().map(|(number, window)| {
            let bits = self.offset_bits(number)..self.address_bits;
            address.bits(bits.clone()).eq(window.start >> bits.start)
        });
        cat(&inside.collect::<Vec<_>>())
    }
}

impl Block for AxiLiteDemux {
    fn name(&self) -> String {
        let windows: String =
            self.windows.iter().map(|window| format!("_{:x}_{:x}", window.start, window.end)).collect();
        format!("axi_lite_demux_a{}_p{}{windows}", self.address_bits, self.patience)
    }

    fn description(&self) -> String {
        format!("Parts the accesses of an AXI4-Lite manager over {} subordinates.", self.windows.len())
    }

    fn build(&self, m: &Module) {
        let count = self.windows.len() as u32;
        // 1. Ports
        let clock = m.clock();
        let from = AxiLite::subordinate(m, "from", self.address_bits);
        let to: Vec<_> =
            (0..self.windows.len()).map(|n| AxiLite::manager(m, &format!("to_{n}"), self.offset_bits(n))).collect();

        // 2. State: the address that has come, and where it has gone.
        let [write, read] = ["write", "read"].map(|name| Access {
            name,
            patience: self.patience,
            held: m.reg(&format!("{name}_held"), clock, false),
            address: m.reg_without_reset(&format!("{name}_address"), clock, self.address_bits),
            out: m.reg(&format!("{name}_out"), clock, zero(count)),
            lost: m.reg(&format!("{name}_lost"), clock, zero(count)),
            left: m.reg(&format!("{name}_left"), clock, zero(address_width(self.patience))),
        });
        let data_held = m.reg("data_held", clock, false);
        let data = rtl_hdl::Value::rebuild_named(&from.w.payload(), "held", &mut |name, width| {
            m.reg_without_reset(name, clock, width)
        });

        // 3. Conditions
        let all = |flags: Vec<Signal>| flags.into_iter().reduce(|a, b| a & b).expect("there are some");
        let write_to = m.wire("write_to", self.select(write.address));
        let read_to = m.wire("read_to", self.select(read.address));
        let lost = |access: &Access, number: usize| access.lost.bit(number as u32);
        let can_write =
            all(to.iter().enumerate().map(|(n, to)| lost(&write, n) | to.aw.can_take() & to.w.can_take()).collect());
        let can_read = all(to.iter().enumerate().map(|(n, to)| lost(&read, n) | to.ar.can_take()).collect());
        let writes = m.wire("writes", write.held & data_held & !write.out.any() & can_write & from.b.can_take());
        let reads = m.wire("reads", read.held & !read.out.any() & can_read & from.r.can_take());

        // 4. Next state
        when(!write.held, || {
            from.aw.take();
            write.held.set(from.aw.valid());
            write.address.set(from.aw.payload().addr);
        });
        when(!data_held, || {
            from.w.take();
            data_held.set(from.w.valid());
            rtl_hdl::Value::set(&data, from.w.payload());
        });
        when(!read.held, || {
            from.ar.take();
            read.held.set(from.ar.valid());
            read.address.set(from.ar.payload().addr);
        });
        for (number, to) in (0..).zip(&to) {
            when(from.b.can_take() & write.out.bit(number) | write.lost.bit(number), || to.b.take());
            when(from.r.can_take() & read.out.bit(number) | read.lost.bit(number), || to.r.take());
        }
        let came = |taken: &dyn Fn(usize) -> Signal| cat(&(0..to.len()).rev().map(taken).collect::<Vec<_>>());
        when(writes, || {
            write.held.set(false);
            data_held.set(false);
        });
        when(reads, || read.held.set(false));
        let write = write.next(m, writes, write_to, came(&|n| to[n].b.taken()), from.b.can_take());
        let read = read.next(m, reads, read_to, came(&|n| to[n].r.taken()), from.r.can_take());

        // 5. Outputs
        for (number, to) in (0..).zip(&to) {
            let offset = self.offset_bits(number as usize);
            when(write.goes_on.bit(number), || {
                to.aw.offer(LiteAddress { addr: write.address.low(offset) });
                to.w.offer(data);
            });
            when(read.goes_on.bit(number), || to.ar.offer(LiteAddress { addr: read.address.low(offset) }));
        }
        let picked =
            |out: Signal, of: &dyn Fn(usize) -> Signal| one_hot_select(out, &(0..to.len()).map(of).collect::<Vec<_>>());
        let [none, late] = [resp::DECERR, resp::SLVERR].map(|resp| lit(resp, resp::BITS));
        when(writes & !write_to.any(), || from.b.offer(LiteWriteResponse { resp: none }))
            .else_when(write.fails, || from.b.offer(LiteWriteResponse { resp: late }))
            .else_when(write.answered, || {
                from.b.offer(LiteWriteResponse { resp: picked(write.out, &|n| to[n].b.payload().resp) });
            });
        let nothing = lit(0u8, AxiLite::DATA_BITS);
        when(reads & !read_to.any(), || from.r.offer(LiteReadData { data: nothing, resp: none }))
            .else_when(read.fails, || from.r.offer(LiteReadData { data: nothing, resp: late }))
            .else_when(read.answered, || {
                let (data, resp) = (|n: usize| to[n].r.payload().data, |n: usize| to[n].r.payload().resp);
                from.r.offer(LiteReadData { data: picked(read.out, &data), resp: picked(read.out, &resp) });
            });
    }
}

/// A write, or a read.
struct Access {
    name: &'static str,
    patience: u32,
    /// An address waits.
    held: Signal,
    address: Signal,
    /// The subordinate whose answer the manager waits for.
    out: Signal,
    /// Those whose answers come too late.
    lost: Signal,
    /// Clocks for which the manager still waits, but for one.
    left: Signal,
}

/// What an access does in a clock.
struct Step {
    address: Signal,
    out: Signal,
    /// To which subordinate it goes on.
    goes_on: Signal,
    /// Its answer has come.
    answered: Signal,
    /// An error takes the place of its answer.
    fails: Signal,
}

impl Access {
    /// An access that `begins` goes `to` a subordinate, unless an answer of it is lost; `came` are those that answer.
    fn next(self, m: &Module, begins: Signal, to: Signal, came: Signal, can_answer: Signal) -> Step {
        let Access { name, patience, address, out, lost, left, .. } = self;
        let goes_on = m.wire(&format!("{name}_goes_on"), to & !lost & begins.repeat(to.width()));
        let answered = m.wire(&format!("{name}_answered"), (came & out).any());
        let is_late = m.wire(&format!("{name}_is_late"), out.any() & !left.any() & can_answer & !answered);
        let fails = m.wire(&format!("{name}_fails"), is_late | begins & (to & lost).any());
        when(left.any(), || left.set(left - 1));
        when(answered | is_late, || out.set(0));
        when(goes_on.any(), || {
            out.set(goes_on);
            left.set(lit(patience - 1, left.width()));
        });
        lost.set(lost & !came | out & is_late.repeat(out.width()));
        Step { address, out, goes_on, answered, fails }
    }
}
