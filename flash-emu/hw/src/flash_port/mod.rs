//! # Flash port
//!
//! The registers by which firmware talks to the fast path: it sends commands, takes events, and reads numbers.
//!
//! ## Symbol
//! ```text
//!                          +--- flash_port ---+
//!  firmware (AXI4-Lite)   ==|                  |->- said_0, said_1, ..   to the blocks
//!                 heard  ->-|                  |---> valid_at, peek
//!  appended, durable, .. -->|                  |---> read_only, forget, has_events
//!                          +------------------+
//! ```
//! ## Theory of operation
//! 1. The layout is that of [`flash_spec::fast_path::wire`]. The words of a command are collected; the first one, which is written last, sends it to the block that
//!    its code names. While it is offered there, `BUSY` is 1; a block takes a command when it has done what registers can show of it.
//! 2. Events wait in a FIFO. Its head is read as words; a write takes it.
//! 3. Reading the lower half of a wide number holds the upper half.
//! 4. The count of a super-block and the mark of a map page are asked for by their number, and read [`LOOK_CLOCKS`] later.
//!
//! ## Timing
//! A write every second clock; a read is answered [`LOOK_CLOCKS`] after it has come.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! A command that is sent while another one is busy is lost.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::{Heard, Purpose, Said, SEQUENCE_BITS};
use flash_spec::fast_path::wire::{command, register, WORDS};
use rtl_bus::AxiLiteRegisters;
use rtl_hdl::{address_width, cat, lit, select, when, zero, Block, Module, Signal, Value};
use rtl_prim::fifo_of;

#[cfg(test)]
pub(crate) mod bench;

/// Events that wait for firmware.
const EVENTS: u32 = 64;
/// Clocks that a read takes.
pub const LOOK_CLOCKS: u32 = 5;
/// Width of an address.
pub const ADDRESS_BITS: u32 = register::BYTES.trailing_zeros();
/// Width of a counter of pages.
const COUNT_BITS: u32 = 48;
/// Width of the count of valid units of a super-block.
pub const VALID_BITS: u32 = 20;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct FlashPort;

impl Block for FlashPort {
    fn name(&self) -> String {
        "flash_port".into()
    }

    fn description(&self) -> String {
        "The registers of the fast path of the flash.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "firmware", ADDRESS_BITS);
        let heard = m.stream_in::<Heard>("heard");
        let [next_sequence, safe, appended, durable, durable_covered, last_trim, last_trim_sequence] =
            ["next_sequence", "safe", "appended", "durable", "durable_covered", "last_trim", "last_trim_sequence"]
                .map(|n| m.input(n, SEQUENCE_BITS));
        let flush_waits = m.input("flush_waits", 1).zext(SEQUENCE_BITS);
        let valid_units = m.input("valid_units", VALID_BITS);
        let peek_changed = m.input("peek_changed", 1);
        let wrote = m.input("wrote", 1);
        let told_for = m.input_as::<Purpose>("told_for");
        let told_pages = m.input("told_pages", 2);
        let said: Vec<_> =
            (0..command::BLOCKS - 1).map(|block| m.stream_out_single::<Said>(&format!("said_{block}"))).collect();

        // 2. State
        let words: Vec<Signal> =
            (1..WORDS).map(|word| m.reg(&format!("word_{word}"), clock, zero(u32::BITS))).collect();
        let events = fifo_of::<Heard>(m, "events", EVENTS);
        let held = m.reg("held", clock, zero(u32::BITS));
        let looks = m.reg("looks", clock, zero(address_width(LOOK_CLOCKS + 1)));
        let read_only = m.reg("read_only_now", clock, false);
        let forget = m.reg("forget_now", clock, false);
        let counters = ["written_units", "host_pages", "moved_pages", "other_pages"]
            .map(|name| m.reg(name, clock, zero(COUNT_BITS)));

        // 3. Conditions
        let accepts = m.wire("accepts", bus.write());
        let word_address = m.wire("word_address", bus.write_address().bits(2..ADDRESS_BITS));
        let is_word = |offset: u32| accepts & word_address.eq(offset / 4);
        let sends = m.wire("sends", is_word(register::COMMAND));
        let takes = m.wire("takes", is_word(register::EVENT_TAKE) & events.valid());
        let data = bus.write_data();
        let code = m.wire("code", data.low(8));
        let block = m.wire("block", code.bits(command::BLOCK_BITS));
        let can_send: Vec<Signal> = said.iter().map(|said| said.can_take()).collect();
        let is_busy = m.wire("is_busy", !cat(&can_send).all());
        when(events.can_push(), || heard.take());
        let hears = m.wire("hears", heard.taken());
        let reads = m.wire("reads", bus.read());
        let answers = m.wire("answers", reads & looks.eq(LOOK_CLOCKS));
        let address = m.wire("address", bus.read_address());
        let is_number = m.wire("is_number", !address.bits(12..ADDRESS_BITS).any());
        let is_dirty = m.wire("is_dirty", address.bit(14));
        let event = events.payload();
        let head = cat(&[event.argument, event.tag, event.code]) & events.valid().repeat(u32::BITS);
        let body = |word: u32| event.body.bits(32 * word..32 * (word + 1));
        let nothing = lit(0u8, u32::BITS);
        let event_words = [head, event.first, nothing, nothing, body(0), body(1), body(2), body(3)];
        let [written, host, moved, other] = counters;
        let of_log = [appended, durable, durable_covered, last_trim, last_trim_sequence, flush_waits];
        let numbers = [&[next_sequence, safe][..], &of_log, &[written, host, moved, other]].concat();
        let number_at = address.bits(3..7);
        let low: Vec<Signal> = numbers.iter().map(|number| number.low(32)).collect();
        let high: Vec<Signal> = numbers.iter().map(|number| number.bits(32..SEQUENCE_BITS).zext(32)).collect();
        let number_low = m.wire("number_low", select(&low, number_at));
        let number_high = m.wire("number_high", select(&high, number_at));
        let is_wide = m.wire("is_wide", address.bit(7));
        let is_event = m.wire("is_event", address.bit(6));
        let of_event = m.wire("of_event", select(&event_words, address.bits(2..5)));
        let of_number = m.wire("of_number", address.bit(2).mux(held, number_low));
        let narrow = m.wire("narrow", is_event.mux(of_event, is_busy.zext(32)));
        let of_table = m.wire("of_table", is_dirty.mux(peek_changed.zext(32), valid_units.zext(32)));

        // 4. Next state
        for (number, word) in (1..).zip(&words) {
            when(is_word(register::COMMAND + 4 * number), || word.set(data));
        }
        when(hears, || events.push(heard.payload()));
        when(takes, || events.take());
        looks.set((reads & !answers).mux(looks + 1, lit(0u8, looks.width())));
        when(answers & is_number & is_wide & !address.bit(2), || held.set(number_high));
        written.set(written + wrote.zext(COUNT_BITS));
        let [for_host, for_moved] = [Purpose::Host, Purpose::Moved].map(|purpose| told_for.is(purpose));
        for (pages, is_mine) in [(host, for_host), (moved, for_moved), (other, !for_host & !for_moved)] {
            pages.set(pages + (told_pages & is_mine.repeat(2)).zext(COUNT_BITS));
        }
        when(sends & code.eq(u64::from(command::SET_READ_ONLY)), || read_only.set(data.bit(8)));
        forget.set(sends & code.eq(u64::from(command::FORGET)));

        // 5. Outputs
        when(accepts, || bus.accept_write());
        when(answers, || bus.answer_read(is_number.mux(is_wide.mux(of_number, narrow), of_table)));
        for (number, said) in (0u32..).zip(&said) {
            when(sends & block.eq(number) & said.can_take(), || {
                said.offer(Said {
                    code,
                    tag: data.bits(8..16),
                    argument: data.bits(16..32),
                    first: words[0],
                    second: words[1],
                    third: words[2],
                    body: cat(&[words[6], words[5], words[4], words[3]]),
                });
            });
        }
        m.output("valid_at", address.bits(2..12).zext(16));
        m.output("peek", address.bits(2..14).zext(16));
        m.output("read_only", read_only);
        m.output("forget", forget);
        m.output("has_events", events.valid());
    }
}
