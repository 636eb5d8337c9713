//! # Buffer
//!
//! The firmware's data buffer, as a target of units beside the storage.
//!
//! ## Symbol
//! ```text
//!                        +--- buffer ---+
//!             command ->-|              |->- drain              to dma_write
//!                fill ->-|              |->- done               to units
//!        buffer_write -->|              |--> buffer_read_data
//!      buffer_address -->|              |
//!   buffer_write_data -->|              |
//!                        +--------------+
//! ```
//! ## Theory of operation
//! The buffer is a RAM whose words are a quarter of a beat. A Write takes one beat after the other and stores it in four clocks; a Read fetches four
//! words, offers them as a beat, and goes on. Firmware sees dwords.
//!
//! ## Timing
//! Five clocks per beat of a Write, six per beat of a Read. `buffer_read_data` follows `buffer_address` by one clock.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! One command at a time, always from the start of the buffer. While it runs, firmware must leave the buffer alone: what it writes is lost, and what it
//! reads is meaningless. A transfer of firmware is a matter of administration; while its data moves, that of other commands waits.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::storage_mux::BufferCommand;
use crate::types::{Operation, StorageDone, StorageRead, StorageStatus, StorageWrite, BEAT_BITS};
use nvme_spec::limits::BUFFER_BYTES;
use rtl_hdl::{address_width, cat, hw_enum, lit, switch, when, zero, Block, EnumSignal, MemoryStyle, Module};
use rtl_prim::one_hot;

#[cfg(test)]
mod bench;

hw_enum! {
    /// `Idle -> Fill -> Store -> Fill ..-> End` for a Write, `Idle -> Gather -> Offer -> Gather ..-> End` for a Read; then `Idle`.
    pub enum State {
        /// Nothing to do. Leaves with a command.
        Idle,
        /// Waits for a beat of a Write.
        Fill,
        /// Stores the beat. Leaves with its last word.
        Store,
        /// Fetches a beat of a Read. Leaves with its last word.
        Gather,
        /// The beat is complete. Leaves when it has been offered.
        Offer,
        /// All beats are done. Leaves when that has been reported.
        End,
    }
}

/// Width of a word of the RAM.
const WORD_BITS: u32 = 128;
/// Words of a beat.
const WORDS: u32 = BEAT_BITS / WORD_BITS;
/// Width of the number of a dword of the buffer.
const DWORD_INDEX_BITS: u32 = address_width(BUFFER_BYTES / 4);
/// Width of the number of a dword in a word.
const LANE_BITS: u32 = address_width(WORD_BITS / 32);
/// Width of the number of a beat of the buffer.
const BEAT_INDEX_BITS: u32 = address_width(BUFFER_BYTES * 8 / BEAT_BITS);

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Buffer;

impl Block for Buffer {
    fn name(&self) -> String {
        "buffer".into()
    }

    fn description(&self) -> String {
        "The firmware's data buffer, as a target of units beside the storage.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let command = m.stream_in::<BufferCommand>("command");
        let fill = m.stream_in::<StorageWrite>("fill");
        let drain = m.stream_out_single::<StorageRead>("drain");
        let done = m.stream_out_single::<StorageDone>("done");
        let firmware_write = m.input("buffer_write", 1);
        let firmware_address = m.input("buffer_address", DWORD_INDEX_BITS);
        let firmware_data = m.input("buffer_write_data", 32);

        // 2. State
        let state = m.reg("state", clock, State::Idle);
        let memory = m.memory("memory", WORD_BITS, BUFFER_BYTES * 8 / WORD_BITS, MemoryStyle::Block);
        let tag = m.reg_without_reset("tag", clock, 8);
        let index = m.reg_without_reset("index", clock, BEAT_INDEX_BITS);
        let last_index = m.reg_without_reset("last_index", clock, BEAT_INDEX_BITS);
        // Words stored, or fetched from the RAM, of the beat in `line`; a fetched word is there one clock later.
        let step = m.reg("step", clock, zero(3));
        let line = m.reg_without_reset("line", clock, BEAT_BITS);
        let lane = m.reg_without_reset("lane", clock, LANE_BITS);

        // 3. Conditions
        when(state.is(State::Idle), || command.take());
        when(state.is(State::Fill), || fill.take());
        let new = command.payload();
        let storing = m.wire("storing", state.is(State::Store));
        let gathering = m.wire("gathering", state.is(State::Gather));
        let last_beat = m.wire("last_beat", index.eq(last_index));
        let own_address = m.wire("own_address", cat(&[index, step.low(address_width(WORDS))]));
        let firmware_word = firmware_address.bits(LANE_BITS..DWORD_INDEX_BITS);
        let firmware_lane = firmware_address.low(LANE_BITS);
        let lanes = WORD_BITS / 32;

        // 4. Next state
        memory.write_lanes(
            clock,
            storing | firmware_write,
            storing.mux(own_address, firmware_word),
            storing.mux(line.low(WORD_BITS), firmware_data.repeat(lanes)),
            storing.mux(lit((1u32 << lanes) - 1, lanes), one_hot(firmware_lane, lanes)),
        );
        let word = memory.read(clock, "word", gathering.mux(own_address, firmware_word));
        lane.set(firmware_lane);

        switch(state, |s: State| match s {
            State::Idle => {
                tag.set(new.tag);
                index.set(zero(BEAT_INDEX_BITS));
                last_index.set((new.beats - 1).low(BEAT_INDEX_BITS));
                step.set(zero(3));
                when(command.valid(), || {
                    switch(new.operation, |operation: Operation| match operation {
                        Operation::Write => state.goto(State::Fill),
                        Operation::Read => state.goto(State::Gather),
                        Operation::Flush | Operation::WriteZeroes | Operation::Verify => state.goto(State::End),
                    });
                });
            }
            State::Fill => {
                line.set(fill.payload().data);
                step.set(zero(3));
                when(fill.valid(), || state.goto(State::Store));
            }
            State::Store => {
                line.set(cat(&[lit(0u8, WORD_BITS), line.bits(WORD_BITS..BEAT_BITS)]));
                step.set(step + 1);
                when(step.eq(WORDS - 1), || {
                    index.set(index + 1);
                    when(last_beat, || state.goto(State::End)).otherwise(|| state.goto(State::Fill));
                });
            }
            State::Gather => {
                line.set(cat(&[word, line.bits(WORD_BITS..BEAT_BITS)]));
                step.set(step + 1);
                when(step.eq(WORDS), || state.goto(State::Offer));
            }
            State::Offer => {
                step.set(zero(3));
                when(drain.can_take(), || {
                    index.set(index + 1);
                    when(last_beat, || state.goto(State::End)).otherwise(|| state.goto(State::Gather));
                });
            }
            State::End => {
                when(done.can_take(), || state.goto(State::Idle));
            }
        });

        // 5. Outputs
        when(state.is(State::Offer) & drain.can_take(), || {
            drain.offer(StorageRead { tag, data: line, error: lit(0u8, 1), last: last_beat });
        });
        when(state.is(State::End) & done.can_take(), || {
            done.offer(StorageDone { tag, status: EnumSignal::of(StorageStatus::Good) });
        });
        m.output("buffer_read_data", word.word(lane, 32));
    }
}
