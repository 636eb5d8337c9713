//! # Buffer
//!
//! Two pages of memory as targets of units beside the storage: the firmware's data buffer, and the *bounce*, where the data of a unit is put
//! together, taken apart or compared.
//!
//! ## Symbol
//! ```text
//!                        +--- buffer ---+
//!             command ->-|              |->- drain              to storage_mux
//!                fill ->-|              |->- done               to units
//!                load ->-|              |->- loaded             to units
//!  store, store_beats -->|              |
//!    compares, spoilt -->|              |
//!        buffer_write -->|              |--> buffer_read_data
//!      buffer_address -->|              |
//!   buffer_write_data -->|              |
//!                        +--------------+
//! ```
//! ## Theory of operation
//! A word of a page is a quarter of a beat, and each of its four dwords lies in a RAM of its own. Data may begin at any dword, `at`: turning its
//! words by the low two bits of `at` brings every dword to its RAM, and in those it passes the end of a word the address is one higher.
//!
//! | | data comes from | data goes to | reported by |
//! |---|---|---|---|
//! | Write | `fill` | the page | `done` |
//! | Read | the page | `drain`, for the host | `done` |
//! | Store | the bounce | `drain`, for the storage | the storage |
//! | Load | `load`, from the storage | the bounce | `loaded` |
//! | Compare | `load` and the bounce | | `loaded`, which says whether they differed |
//!
//! 1. One beat after the other is stored or compared in four words, or fetched in four words and offered. Of the last beat of a Write only the
//!    dwords that belong to the data are stored.
//! 2. A Store begins with `store`, always at the start of the bounce. Load and Compare have no command: beats on `load` are one, and `compares`
//!    says which. So nothing is left if the storage refuses.
//! 3. While `spoilt`, beats of the bounce leave with `error`: nobody gets what an earlier unit left there.
//!
//! Firmware sees dwords of its own page.
//!
//! ## Timing
//! Five clocks per beat that is stored, six per beat that is compared or leaves. `buffer_read_data` follows `buffer_address` by one clock.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! One command at a time, and `store` comes only when there is none: see [`units`](crate::units), "Sequences". While one of its own page runs,
//! firmware must leave that alone: what it writes is lost, and what it reads is meaningless. These transfers are rare; while their data moves, that
//! of other commands waits.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::dma_read::turn_down;
use crate::dma_write::turn_up;
use crate::storage_mux::BufferCommand;
use crate::types::{Operation, StorageDone, StorageRead, StorageStatus, StorageWrite, BEAT_BITS};
use crate::units::Loaded;
use nvme_spec::limits::BUFFER_BYTES;
use rtl_hdl::{address_width, cat, hw_enum, lit, switch, when, zero, Block, EnumSignal, MemoryStyle, Module};

#[cfg(test)]
mod bench;

hw_enum! {
    /// `Idle -> Fill -> Store -> Fill ..-> End`, with `Check` instead of `Store` for a Compare, or `Idle -> Gather -> Offer -> Gather ..-> End`;
    /// then `Idle`, to which a Store goes at once.
    pub enum State {
        /// Nothing to do. Leaves with a command, or with a beat of the storage.
        Idle,
        /// Waits for a beat.
        Fill,
        /// Stores the beat. Leaves with its last word.
        Store,
        /// Compares the beat. Leaves with its last word.
        Check,
        /// Fetches a beat. Leaves with its last word.
        Gather,
        /// The beat is complete. Leaves when it has been offered.
        Offer,
        /// All beats are done. Leaves when that has been reported.
        End,
    }
}

/// Width of a word of the RAMs.
const WORD_BITS: u32 = 128;
/// Words of a beat.
const WORDS: u32 = BEAT_BITS / WORD_BITS;
/// Dwords of a word.
const LANES: u32 = WORD_BITS / 32;
/// Width of the number of a dword of a page.
pub(crate) const DWORD_INDEX_BITS: u32 = address_width(BUFFER_BYTES / 4);
/// Width of the number of a dword in a word.
const LANE_BITS: u32 = address_width(LANES);
/// Dwords of a beat.
const BEAT_DWORDS: u32 = BEAT_BITS / 32;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Buffer;

impl Block for Buffer {
    fn name(&self) -> String {
        "buffer".into()
    }

    fn description(&self) -> String {
        "The firmware's data buffer and the bounce, as targets of units beside the storage.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let command = m.stream_in::<BufferCommand>("command");
        let fill = m.stream_in::<StorageWrite>("fill");
        let load = m.stream_in::<StorageRead>("load");
        let drain = m.stream_out_single::<StorageRead>("drain");
        let done = m.stream_out_single::<StorageDone>("done");
        let loaded = m.stream_out_single::<Loaded>("loaded");
        let compares = m.input("compares", 1);
        let spoilt = m.input("spoilt", 1);
        let store = m.input("store", 1);
        let store_beats = m.input("store_beats", 7);
        let firmware_write = m.input("buffer_write", 1);
        let firmware_address = m.input("buffer_address", DWORD_INDEX_BITS);
        let firmware_data = m.input("buffer_write_data", 32);

        // 2. State
        let state = m.reg("state", clock, State::Idle);
        let pages = ["own", "bounce"].map(|page| {
            let lane = |lane| m.memory(&format!("{page}_{lane}"), 32, BUFFER_BYTES / 4 / LANES, MemoryStyle::Block);
            (0..LANES).map(lane).collect::<Vec<_>>()
        });
        let tag = m.reg_without_reset("tag", clock, 8);
        let in_bounce = m.reg("in_bounce", clock, false);
        // It is a Load or a Compare.
        let from_storage = m.reg("from_storage", clock, false);
        // It is a Store.
        let to_storage = m.reg("to_storage", clock, false);
        let at = m.reg_without_reset("at", clock, DWORD_INDEX_BITS);
        let beats_left = m.reg_without_reset("beats_left", clock, 7);
        // Dwords of the last beat; 0: all.
        let last_dwords = m.reg_without_reset("last_dwords", clock, 4);
        // Words stored, or fetched from the RAMs, of the beat in `line`; a fetched word is there one clock later.
        let step = m.reg("step", clock, zero(3));
        let line = m.reg_without_reset("line", clock, BEAT_BITS);
        let line_last = m.reg_without_reset("line_last", clock, 1);
        let line_error = m.reg_without_reset("line_error", clock, 1);
        let differs = m.reg_without_reset("differs", clock, 1);
        let lane = m.reg_without_reset("lane", clock, LANE_BITS);

        // 3. Conditions
        when(state.is(State::Idle), || command.take());
        when(state.is(State::Fill), || {
            when(from_storage, || load.take()).otherwise(|| fill.take());
        });
        let new = command.payload();
        let storing = m.wire("storing", state.is(State::Store));
        let fetching = m.wire("fetching", state.is(State::Gather) | state.is(State::Check));
        let came = m.wire("came", load.taken() | fill.taken());
        let last_beat = m.wire("last_beat", beats_left.eq(1));
        let shift = m.wire("shift", at.low(LANE_BITS));
        let first_word =
            m.wire("first_word", at.bits(LANE_BITS..DWORD_INDEX_BITS) + step.zext(DWORD_INDEX_BITS - LANE_BITS));
        let turned = m.wire("turned", turn_up(line.low(WORD_BITS), shift, 1));
        let all_dwords = m.wire("all_dwords", !line_last | !last_dwords.any());
        let firmware_word = firmware_address.bits(LANE_BITS..DWORD_INDEX_BITS);
        let firmware_lane = firmware_address.low(LANE_BITS);

        // 4. Next state
        let [mut own_words, mut bounce_words] = [vec![], vec![]];
        for number in 0..LANES {
            let own_address =
                m.wire(&format!("address_{number}"), first_word + shift.gt(number).zext(first_word.width()));
            let dword = cat(&[step.low(2), lit(number, LANE_BITS) - shift]);
            let is_kept = m.wire(&format!("is_kept_{number}"), storing & (all_dwords | dword.lt(last_dwords)));
            let data = turned.bits(32 * number..32 * (number + 1));
            let [own, bounce] = &pages;
            let (own, bounce) = (own[number as usize], bounce[number as usize]);
            let by_firmware = firmware_write & firmware_lane.eq(number);
            let is_own = storing & !in_bounce;
            own.write(
                clock,
                is_own.mux(is_kept, by_firmware),
                is_own.mux(own_address, firmware_word),
                is_own.mux(data, firmware_data),
            );
            bounce.write(clock, is_kept & in_bounce, own_address, data);
            let read_own = (fetching & !in_bounce).mux(own_address, firmware_word);
            own_words.push(own.read(clock, &format!("own_word_{number}"), read_own));
            bounce_words.push(bounce.read(clock, &format!("bounce_word_{number}"), own_address));
        }
        lane.set(firmware_lane);
        let [own_word, bounce_word] =
            [own_words, bounce_words].map(|lanes| cat(&lanes.into_iter().rev().collect::<Vec<_>>()));
        let word = m.wire("word", turn_down(in_bounce.mux(bounce_word, own_word), shift, 1));

        switch(state, |s: State| match s {
            State::Idle => {
                tag.set(new.tag);
                step.set(zero(3));
                from_storage.set(!command.valid());
                to_storage.set(store);
                in_bounce.set(!command.valid() | new.in_bounce);
                at.set(new.at & command.valid().repeat(DWORD_INDEX_BITS));
                beats_left.set(store.mux(store_beats, new.beats));
                last_dwords.set(new.last_dwords & command.valid().repeat(4));
                differs.set(false);
                when(store, || state.goto(State::Gather))
                    .else_when(command.valid(), || {
                        when(new.operation.is(Operation::Write), || state.goto(State::Fill))
                            .else_when(new.operation.is(Operation::Read), || state.goto(State::Gather))
                            .otherwise(|| state.goto(State::End));
                    })
                    .else_when(load.valid(), || state.goto(State::Fill));
            }
            State::Fill => {
                let (stored, answered) = (fill.payload(), load.payload());
                line.set(from_storage.mux(answered.data, stored.data));
                line_last.set(from_storage.mux(answered.last, stored.last));
                line_error.set(answered.error);
                when(from_storage, || tag.set(answered.tag));
                step.set(zero(3));
                when(came & from_storage & compares, || state.goto(State::Check))
                    .else_when(came, || state.goto(State::Store));
            }
            State::Store => {
                line.set(cat(&[lit(0u8, WORD_BITS), line.bits(WORD_BITS..BEAT_BITS)]));
                step.set(step + 1);
                when(step.eq(WORDS - 1), || {
                    at.set(at + BEAT_DWORDS);
                    when(line_last, || state.goto(State::End)).otherwise(|| state.goto(State::Fill));
                });
            }
            State::Check => {
                step.set(step + 1);
                // The first word is there in the second clock.
                when(step.any(), || {
                    line.set(cat(&[lit(0u8, WORD_BITS), line.bits(WORD_BITS..BEAT_BITS)]));
                    // What is compared begins at the first dword, so its words need not be turned.
                    differs.set(differs | (bounce_word.ne(line.low(WORD_BITS)) & !line_error));
                });
                when(step.eq(WORDS), || {
                    at.set(at + BEAT_DWORDS);
                    when(line_last, || state.goto(State::End)).otherwise(|| state.goto(State::Fill));
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
                    at.set(at + BEAT_DWORDS);
                    beats_left.set(beats_left - 1);
                    when(!last_beat, || state.goto(State::Gather))
                        .else_when(to_storage, || state.goto(State::Idle))
                        .otherwise(|| state.goto(State::End));
                });
            }
            State::End => {
                when(from_storage.mux(loaded.can_take(), done.can_take()), || state.goto(State::Idle));
            }
        });

        // 5. Outputs
        when(state.is(State::Offer) & drain.can_take(), || {
            drain.offer(StorageRead { tag, data: line, error: in_bounce & spoilt, last: last_beat });
        });
        let ended = m.wire("ended", state.is(State::End));
        when(ended & !from_storage & done.can_take(), || {
            done.offer(StorageDone { tag, status: EnumSignal::of(StorageStatus::Good) });
        });
        when(ended & from_storage & loaded.can_take(), || loaded.offer(Loaded { tag, differs }));
        m.output("buffer_read_data", own_word.word(lane, 32));
    }
}
