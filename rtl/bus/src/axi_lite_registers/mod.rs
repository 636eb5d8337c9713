//! # AXI4-Lite registers
//!
//! The front end of a block with registers: it turns the five channels into "here is a write" and "here is a read".
//!
//! ## Symbol
//! ```text
//!             +- AxiLiteRegisters -+
//!  <name>_aw >|                    |-- write, write_address, write_data, write_strobe   accept_write()
//!   <name>_w >|                    |         writes(offset)
//!   <name>_b <|                    |
//!  <name>_ar >|                    |-- read, read_address                               answer_read(data)
//!   <name>_r <|                    |         reads(offset)                              answer_words([(offset, word), ...])
//!             +--------------------+
//! ```
//! ## Theory of operation
//! 1. Address and data of a write are taken as they come, in either order, into registers.
//! 2. When both are there and the response has room, `write` is true; it stays true until the block accepts the write, at once or later.
//! 3. A read waits in the same way until the block answers it.
//!
//! ## Timing
//! `write` and `read` are true from the clock after the address (and data) was taken. A write every second clock, a read every second clock.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! One write and one read at a time; they do not wait for each other: a manager that wants its write seen waits for the response, as
//! AMBA AXI, "Relationships between the channels", asks.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::rules::AxiLiteRules;
use crate::{resp, AxiLite, AxiLiteSubordinate, LiteReadData, LiteWriteResponse};
use rtl_hdl::{lit, when, Clock, Module, Signal, StreamContents};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this front end.
#[derive(Clone, Copy)]
pub struct AxiLiteRegisters {
    bus: AxiLiteSubordinate,
    address_held: Signal,
    data_held: Signal,
    read_held: Signal,
    write: Signal,
    write_address: Signal,
    write_data: Signal,
    write_strobe: Signal,
    read: Signal,
    read_address: Signal,
}

impl AxiLiteRegisters {
    /// Adds the ports of the bus `name` and the registers behind them.
    #[track_caller]
    pub fn new(m: &Module, clock: Clock, name: &str, address_bits: u32) -> AxiLiteRegisters {
        // 1. Ports
        let bus = AxiLite::subordinate(m, name, address_bits);

        // 2. State
        let address_held = m.reg(&format!("{name}_write_address_held"), clock, false);
        let data_held = m.reg(&format!("{name}_write_data_held"), clock, false);
        let read_held = m.reg(&format!("{name}_read_held"), clock, false);
        let write_address = m.reg_without_reset(&format!("{name}_write_address"), clock, address_bits);
        let write_data = m.reg_without_reset(&format!("{name}_write_data"), clock, AxiLite::DATA_BITS);
        let write_strobe = m.reg_without_reset(&format!("{name}_write_strobe"), clock, AxiLite::DATA_BYTES);
        let read_address = m.reg_without_reset(&format!("{name}_read_address"), clock, address_bits);

        // 3. Conditions
        let write = m.wire(&format!("{name}_write"), address_held & data_held & bus.b.can_take());
        let read = m.wire(&format!("{name}_read"), read_held & bus.r.can_take());

        // 4. Next state
        when(!address_held, || {
            bus.aw.take();
            address_held.set(bus.aw.valid());
            write_address.set(bus.aw.payload().addr);
        });
        when(!data_held, || {
            bus.w.take();
            data_held.set(bus.w.valid());
            write_data.set(bus.w.payload().data);
            write_strobe.set(bus.w.payload().strb);
        });
        when(!read_held, || {
            bus.ar.take();
            read_held.set(bus.ar.valid());
            read_address.set(bus.ar.payload().addr);
        });

        // 5. Properties: what is held or offered is what waits for an answer, no more and no less.
        let rules = AxiLiteRules::of_subordinate(m, clock, &format!("{name}_rules"), &bus);
        for (what, waiting, held, answer) in [
            ("write_addresses", rules.write_addresses, address_held, bus.b.contents().full),
            ("write_words", rules.write_words, data_held, bus.b.contents().full),
            ("reads", rules.reads, read_held, bus.r.contents().full),
        ] {
            let inside = held.zext(waiting.width()) + answer.zext(waiting.width());
            m.assert(clock, &format!("{name}_{what}_are_inside"), waiting.eq(inside));
        }

        AxiLiteRegisters {
            bus,
            address_held,
            data_held,
            read_held,
            write,
            write_address,
            write_data,
            write_strobe,
            read,
            read_address,
        }
    }

    /// True while a write waits to be accepted; from registers.
    pub fn write(&self) -> Signal {
        self.write
    }

    /// The address of the write; a register.
    pub fn write_address(&self) -> Signal {
        self.write_address
    }

    /// The word that is written; a register.
    pub fn write_data(&self) -> Signal {
        self.write_data
    }

    /// One bit for each byte that is written; a register.
    pub fn write_strobe(&self) -> Signal {
        self.write_strobe
    }

    /// True while a write of the word at this offset, a multiple of 4, waits to be accepted.
    pub fn writes(&self, offset: u32) -> Signal {
        self.write & is_at(self.write_address, offset)
    }

    /// Accepts the write, under the conditions around this call, which must include [`write`](Self::write).
    #[track_caller]
    pub fn accept_write(&self) {
        self.address_held.set(false);
        self.data_held.set(false);
        self.bus.b.offer(LiteWriteResponse { resp: lit(resp::OKAY, resp::BITS) });
    }

    /// True while a read waits to be answered; from registers.
    pub fn read(&self) -> Signal {
        self.read
    }

    /// The address of the read; a register.
    pub fn read_address(&self) -> Signal {
        self.read_address
    }

    /// True if the last read is, or was, one of the word at this offset, a multiple of 4.
    pub fn reads(&self, offset: u32) -> Signal {
        is_at(self.read_address, offset)
    }

    /// What the registers of the read data channel hold, for properties.
    pub fn answer(&self) -> StreamContents<LiteReadData> {
        self.bus.r.contents()
    }

    /// Answers the read, under the conditions around this call, which must include [`read`](Self::read).
    #[track_caller]
    pub fn answer_read(&self, data: Signal) {
        self.read_held.set(false);
        self.bus.r.offer(LiteReadData { data, resp: lit(resp::OKAY, resp::BITS) });
    }

    /// Answers every read at once: with the word at its offset, of up to 32 bits, or with zero.
    #[track_caller]
    pub fn answer_words(&self, words: impl IntoIterator<Item = (u32, Signal)>) {
        let none = lit(0u8, AxiLite::DATA_BITS);
        let read = words.into_iter().fold(none, |read, (offset, word)| {
            read | word.zext(AxiLite::DATA_BITS) & self.reads(offset).repeat(AxiLite::DATA_BITS)
        });
        when(self.read, || self.answer_read(read));
    }
}

/// Whether an address is that of the word at an offset.
fn is_at(address: Signal, offset: u32) -> Signal {
    address.bits(AxiLite::DATA_BYTES.ilog2()..address.width()).eq(u64::from(offset / AxiLite::DATA_BYTES))
}
