//! # AXI4-Lite to AXI4
//!
//! Gives a manager of AXI4-Lite words of a memory on a wide AXI4 bus.
//!
//! ## Symbol
//! ```text
//!                  +- axi_lite_to_axi4 -+
//!    from        ==>|                    |==> to   (AXI4)
//!   (AXI4-Lite)     +--------------------+
//! ```
//! ## Theory of operation
//! 1. A word is a burst of one whole beat, at `base` plus its address. A read takes the word out of the beat; a write has the strobes of its bytes alone.
//! 2. Address and data of a write are taken as they come, and go on together.
//! 3. What the memory answers is answered, errors too. The next access of the kind is taken after that, so that a manager that has its response knows that
//!    its write is seen by all who use the memory.
//!
//! ## Timing
//! A clock from address (and data) to the burst, a clock from an answer to the answer. One read and one write at a time, which do not wait for each other.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! Words are aligned: the two lowest bits of an address say nothing.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::{Axi4, Axi4Config, AxiLite, LiteReadData, LiteWriteResponse, WriteData};
use rtl_hdl::{cat, lit, when, Block, Module, Signal};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxiLiteToAxi4 {
    /// Width of the addresses of words.
    pub address_bits: u32,
    /// The address of the first word in the memory, of whole beats.
    pub base: u64,
    /// The widths of the bus to the memory, whose beats have more than one word.
    pub config: Axi4Config,
}

impl Block for AxiLiteToAxi4 {
    fn name(&self) -> String {
        let AxiLiteToAxi4 { address_bits, base, config } = self;
        let Axi4Config { address_bits: to_bits, data_bits, id_bits, user_bits } = config;
        format!("axi_lite_to_axi4_a{address_bits}_b{base:x}_a{to_bits}_d{data_bits}_i{id_bits}_u{user_bits}")
    }

    fn description(&self) -> String {
        "Words of a memory on AXI4 for a manager of AXI4-Lite.".into()
    }

    fn build(&self, m: &Module) {
        let config = self.config;
        let (beat_size, word_size) = (config.full_size(), AxiLite::DATA_BYTES.ilog2());
        assert!(self.base % u64::from(config.beat_bytes()) == 0, "`base` is in the middle of a beat");

        // 1. Ports
        let clock = m.clock();
        let from = AxiLite::subordinate(m, "from", self.address_bits);
        let to = Axi4::manager(m, "to", config);

        // 2. State
        let flag = |name: &str| m.reg(name, clock, false);
        let [address_held, data_held, written] = ["write_address_held", "write_data_held", "written"].map(flag);
        let [read_held, read_asked] = ["read_held", "read_asked"].map(flag);
        let held = |name: &str, width: u32| m.reg_without_reset(name, clock, width);
        let [write_address, read_address] = ["write_address", "read_address"].map(|n| held(n, self.address_bits));
        let write_data = held("write_data", AxiLite::DATA_BITS);
        let write_strobe = held("write_strobe", AxiLite::DATA_BYTES);

        // 3. Conditions
        let may_write = to.aw.can_take() & to.w.can_take();
        let writes = m.wire("writes", address_held & data_held & !written & may_write);
        let reads = m.wire("reads", read_held & !read_asked & to.ar.can_take());

        // 4. Next state
        when(!address_held, || {
            from.aw.take();
            address_held.set(from.aw.valid());
            write_address.set(from.aw.payload().addr);
        });
        when(!data_held, || {
            from.w.take();
            data_held.set(from.w.valid());
            write_data.set(from.w.payload().data);
            write_strobe.set(from.w.payload().strb);
        });
        when(!read_held, || {
            from.ar.take();
            read_held.set(from.ar.valid());
            read_address.set(from.ar.payload().addr);
        });
        when(writes, || written.set(true));
        when(reads, || read_asked.set(true));
        when(from.b.can_take(), || to.b.take());
        when(to.b.taken(), || [address_held, data_held, written].iter().for_each(|flag| flag.set(false)));
        when(from.r.can_take(), || to.r.take());
        when(to.r.taken(), || [read_held, read_asked].iter().for_each(|flag| flag.set(false)));

        // 5. Outputs
        let lanes = config.data_bits / AxiLite::DATA_BITS;
        let beat = |address: Signal| {
            let number = address.bits(beat_size..self.address_bits);
            let offset = cat(&[number, lit(0u8, beat_size)]);
            let first = offset.zext(config.address_bits) + lit(self.base, config.address_bits);
            config.whole_beats(lit(0u8, config.id_bits), first, lit(0u8, 8), lit(0u8, config.user_bits))
        };
        let lane = |address: Signal, lane: u32| address.bits(word_size..beat_size).eq(lane);
        when(writes, || {
            let strobes: Vec<_> = (0..lanes)
                .rev()
                .map(|number| write_strobe & lane(write_address, number).repeat(AxiLite::DATA_BYTES))
                .collect();
            to.aw.offer(beat(write_address));
            to.w.offer(WriteData { data: write_data.repeat(lanes), strb: cat(&strobes), last: lit(1u8, 1) });
        });
        when(reads, || to.ar.offer(beat(read_address)));
        when(to.b.taken(), || from.b.offer(LiteWriteResponse { resp: to.b.payload().resp }));
        when(to.r.taken(), || {
            let answer = to.r.payload();
            let word = |number: u32| answer.data.bits(AxiLite::DATA_BITS * number..AxiLite::DATA_BITS * (number + 1));
            let data = (0..lanes).fold(lit(0u8, AxiLite::DATA_BITS), |data, number| {
                data | word(number) & lane(read_address, number).repeat(AxiLite::DATA_BITS)
            });
            from.r.offer(LiteReadData { data, resp: answer.resp });
        });
    }
}
