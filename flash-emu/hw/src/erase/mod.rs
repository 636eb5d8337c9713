//! # Erase
//!
//! Erases super-blocks: a command for each die, once nobody reads there any more.
//!
//! ## Symbol
//! ```text
//!            +-- erase --+
//!     said ->-|           |->- heard
//!     done ->-|           |->- command   to the array
//!    quiet -->|           |--> epoch     to those who read
//!            +-----------+
//! ```
//! ## Theory of operation
//! 1. Before a super-block `epoch` changes. Who reads notes it when it begins; `quiet` says that nobody is left who began with the other one. So no read
//!    of a unit whose place was found before its block became free meets the erase.
//! 2. The dies are gone through, channel first. Each gets one command with its planes that are wanted; one with none is passed over.
//! 3. Answers come in any order. A plane has failed if its outcome is not good.
//! 4. When all have come, firmware hears which planes failed.
//!
//! ## Timing
//! `quiet` is looked at from the second clock on after the one in which `epoch` first has its new value. A die takes two clocks if it gets a command, and one
//! if not.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! A super-block at a time; four more wait. What is said that is no erase counts as one. Planes that the flash has not are not erased, and do not fail.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::array::CHANNEL_BITS;
use crate::place::die_index;
use crate::types::{user, Command, Done, Heard, Said, USER_BITS};
use flash_spec::fast_path::wire::event;
use flash_spec::{Geometry, Operation, Outcome};
use rtl_hdl::{address_width, cat, hw_bundle, hw_enum, lit, switch, when, zero, Bits, Block, Module};
use rtl_prim::{fifo_of, next_index, one_hot};

#[cfg(test)]
pub(crate) mod bench;

/// Super-blocks that wait.
const WAITING: u32 = 4;
/// Width of the planes in what firmware says.
const PLANES_BITS: u32 = flash_spec::fast_path::Planes::BITS;
/// Width of the number of a die on its channel, which is in a tag below the planes of the command.
const DIE_BITS: u32 = 2;
/// Outcomes from here on are failures.
const FAILURES: u8 = Outcome::Uncorrectable.code();

hw_bundle! {
    /// A super-block to be erased.
    struct Wanted {
        super_block: Bits<16>,
        planes: Bits<PLANES_BITS>,
    }
}

hw_enum! {
    /// `Rest -> Change -> Settle -> Quiet -> Ask -> Wait -> Rest`.
    pub enum State {
        /// Leaves with a super-block.
        Rest,
        /// `epoch` has just changed. Leaves in one clock.
        Change,
        /// `quiet` follows. Leaves in one clock.
        Settle,
        /// Leaves when nobody reads any more.
        Quiet,
        /// The array is told. Leaves behind the last die.
        Ask,
        /// Leaves when all has been answered and firmware can be told.
        Wait,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Erasing {
    /// The flash.
    pub geometry: Geometry,
}

impl Block for Erasing {
    fn name(&self) -> String {
        let Geometry { channels, dies_per_channel, planes_per_die, .. } = self.geometry;
        format!("erase_{channels}_{dies_per_channel}_{planes_per_die}")
    }

    fn description(&self) -> String {
        "Erases super-blocks of the flash.".into()
    }

    fn build(&self, m: &Module) {
        let geometry = self.geometry;
        let dies = geometry.dies();
        let die_index_bits = address_width(dies);

        // 1. Ports
        let clock = m.clock();
        let said = m.stream_in::<Said>("said");
        let done = m.stream_in::<Done>("done");
        let quiet = m.input("quiet", 1);
        let command = m.stream_out_single::<Command>("command");
        let heard = m.stream_out_single::<Heard>("heard");
        done.take();

        // 2. State
        let state = m.reg("state", clock, State::Rest);
        let epoch = m.reg("epoch_now", clock, false);
        let wanted = fifo_of::<Wanted>(m, "wanted", WAITING);
        // The die whose turn it is, and of each plane the dies from it on that are wanted.
        let channel = m.reg("channel", clock, zero(address_width(geometry.channels)));
        let die = m.reg("die", clock, zero(address_width(geometry.dies_per_channel)));
        let planes_left: Vec<_> = (0..geometry.planes_per_die)
            .map(|plane| m.reg_without_reset(&format!("left_{plane}"), clock, dies))
            .collect();
        // Of each plane the dies in which it failed.
        let failures: Vec<_> = (0..geometry.planes_per_die)
            .map(|plane| m.reg_without_reset(&format!("failed_{plane}"), clock, dies))
            .collect();
        let running = m.reg("running", clock, zero(address_width(dies + 1)));

        // 3. Conditions
        when(wanted.can_push(), || said.take());
        let rests = m.wire("rests", state.is(State::Rest));
        let planes = planes_left.iter().rev().map(|left| left.bit(0)).collect::<Vec<_>>();
        let planes = m.wire("planes", cat(&planes).zext(2));
        let asks = m.wire("asks", state.is(State::Ask));
        let commands = m.wire("commands", asks & planes.any() & command.can_take());
        let passes = m.wire("passes", commands | (asks & !planes.any()));
        let is_last_channel = m.wire("is_last_channel", channel.eq(geometry.channels - 1));
        let is_last = m.wire("is_last", is_last_channel & die.eq(geometry.dies_per_channel - 1));
        let tells = m.wire("tells", state.is(State::Wait) & !running.any() & heard.can_take());
        let answer = done.payload();
        let answered = m.wire("answered", done.taken());
        let answer_die = answer.tag.low(DIE_BITS);
        let answer_index = m.wire("answer_index", die_index(&geometry, answer_die, answer.tag.bits(CHANNEL_BITS)));
        let answer_at = m.wire("answer_at", one_hot(answer_index.low(die_index_bits), dies));

        // 4. Next state
        when(said.taken(), || {
            let Said { argument, body, .. } = said.payload();
            wanted.push(Wanted { super_block: argument, planes: body });
        });
        let wanted_now = wanted.payload();
        switch(state, |s: State| match s {
            State::Rest => {
                when(wanted.valid(), || {
                    epoch.set(!epoch);
                    state.goto(State::Change);
                });
            }
            State::Change => state.goto(State::Settle),
            State::Settle => state.goto(State::Quiet),
            State::Quiet => {
                when(quiet, || state.goto(State::Ask));
            }
            State::Ask => {
                when(passes, || {
                    channel.set(next_index(channel, geometry.channels));
                    when(is_last_channel, || die.set(next_index(die, geometry.dies_per_channel)));
                    when(is_last, || state.goto(State::Wait));
                });
            }
            State::Wait => {
                when(tells, || {
                    wanted.take();
                    state.goto(State::Rest);
                });
            }
        });
        running.set(running + commands.zext(running.width()) - answered.zext(running.width()));
        let outcomes = [answer.outcome_0, answer.outcome_1];
        for (plane, (left, failed)) in (0..).zip(planes_left.into_iter().zip(failures.iter().copied())) {
            let is_bad = answer.tag.bit(DIE_BITS + plane) & outcomes[plane as usize].ge(FAILURES);
            when(answered & is_bad, || failed.set(failed | answer_at));
            when(passes, || left.set(left.shr(lit(1u8, 1))));
            when(rests, || {
                left.set(wanted_now.planes.bits(plane * dies..(plane + 1) * dies));
                failed.set(zero(dies));
            });
        }

        // 5. Outputs
        m.output("epoch", epoch);
        when(commands, || {
            let user = lit(user::ERASE, USER_BITS.end - USER_BITS.start);
            let own = cat(&[planes, die.zext(DIE_BITS)]).zext(USER_BITS.start);
            command.offer(Command {
                tag: cat(&[channel.zext(4), user, own]),
                die: die.zext(DIE_BITS),
                operation: lit(Operation::Erase.code(), 3),
                planes,
                block_0: wanted_now.super_block,
                block_1: wanted_now.super_block,
                page: lit(0u8, 16),
                first_unit: lit(0u8, 2),
                units: lit(0u8, 3),
            });
        });
        when(tells, || {
            let failed: Vec<_> = failures.iter().rev().copied().collect();
            heard.offer(Heard {
                code: lit(event::ERASE_DONE, 8),
                tag: lit(0u8, 8),
                argument: wanted_now.super_block,
                first: lit(0u8, 32),
                body: cat(&failed).zext(PLANES_BITS),
            });
        });
    }
}
