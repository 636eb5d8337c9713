//! # Units
//!
//! Gives each unit a tag, starts it, and notes what happens to it until it has ended.
//!
//! ## Symbol
//! ```text
//!                   +--- units ---+
//!           unit ->-|             |->- start        to storage_mux
//!        arrived ->-|             |->- read_unit    to dma_write
//!        written ->-|             |->- write_unit   to dma_read
//!   storage_done ->-|             |->- unit_end     to slots
//!    buffer_done ->-|             |--> loads, stores      to storage_mux
//!         loaded ->-|             |--> compares, spoilt   to buffer
//! data_error, ..   -->|             |--> begun, answered, .._slot   to latency
//!                   +-------------+
//! ```
//! ## Theory of operation
//! 1. A unit takes a free tag, and its description goes into `rows`.
//! 2. A Read is announced to `dma_write` and started at once. What moves no data is started at once. A Write is given to `dma_read`, and started
//!    when that says, by `arrived`, that its data has begun to come. `data_error` says that some of it could not be read.
//! 3. A unit has ended when its target has said how (`done`) and its data has moved (`moved`): for a Read, when `dma_write` has handed
//!    the last of it to the host port. So a completion that follows cannot overtake the data. If the target refused a Read there is no data.
//!    The data of a Load or of a Compare has moved when the buffer says so (`loaded`).
//! 4. Ended units are reported one after the other, and their tags are free.
//!
//! Everything that may happen to a unit sets a bit of its own, in any order and in the same clock, so `written`, `loaded` and the two `done` streams
//! are never made to wait.
//!
//! `begun` and `answered` tell, by the slot of the command, that a Write was started and, a clock later, that the storage has said how a unit ended.
//!
//! ## Sequences
//! What needs the bounce is a *sequence* of units of one command, and never in flight together with anything else. [`Turn`] says where a unit stands:
//!
//! | | first half | second half |
//! |---|---|---|
//! | compared with the storage | one Write to the bounce | Compare |
//! | gathered for the storage | Writes to the bounce, each `at` its dword | Store |
//! | scattered from the storage | Load | Reads of the bounce, each `at` its dword |
//! | copied in the storage | Load | Store |
//!
//! 1. The first unit of the first half has the turn Begin, its others have Join, and all units of the second half have Finish. Every other unit is
//!    Free.
//! 2. A unit is issued when nothing is in flight, or, unless it is a Begin, when its turn is that of the unit that was issued last (Join after
//!    Begin).
//! 3. Units of one half run in any order. A sequence that cannot go on may end after any unit.
//! 4. `spoilt` is set by every error of the host or the storage, and cleared by the next Begin. So if anything of the first half went wrong, a
//!    Store leaves its blocks as they are, and a Read of the bounce gives the host nothing. The unit that failed says how; those that follow end as
//!    if all were well.
//! 5. A Load, Store or Compare is alone in its half: `loads`, `compares` and `stores` tell where data goes by the unit that was issued last.
//!
//! ## Timing
//! A unit every second clock. `unit_end` follows the last event by two clocks, or by three if others end too. `unit_ready` follows the turn of the
//! unit that is offered; no other combinational path leads from an input to an output.
//!
//! ## Limits
//! `units` at once. Writes are started in the order in which their data has arrived, which is the order of the data from `dma_read`.
//! A sequence waits until everything has ended, twice: it is for what is rare.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::slots::UnitEnd;
use crate::types::{is_one_of, Operation, StorageCommand, StorageDone, StorageStatus, Target};
use crate::walk::{Place, Unit};
use crate::{
    held::{bit_at, Held},
    Config,
};
use rtl_hdl::{
    address_width, hw_bundle, hw_enum, lit, when, zero, Bits, Block, EnumSignal, MemoryStyle, Module, Shape, Signal,
    Value,
};
use rtl_prim::{choose, one_hot, priority_index};

#[cfg(test)]
mod bench;

hw_bundle! {
    /// A command for one of the targets.
    pub struct Start {
        /// Which.
        pub target: Target,
        /// Number of 64-byte beats of data.
        pub beats: Bits<7>,
        /// Dwords of the last of them; 0: all.
        pub last_dwords: Bits<4>,
        /// As in the unit.
        pub at: Bits<10>,
        /// The command as the `storage` port has it.
        pub command: StorageCommand,
    }
}

hw_bundle! {
    /// A unit whose data moves.
    pub struct UnitPlace {
        /// Of the unit.
        pub tag: Bits<8>,
        /// The function whose memory it is.
        pub function: Bits<8>,
        /// Where the other end of the data is.
        pub target: Target,
        /// It is one logical block, or none at all: it is passed on as a whole.
        pub whole: Bits<1>,
        /// Where the host's end of the data is.
        pub place: Place,
    }
}

hw_bundle! {
    /// The data of a Write has begun to arrive from the host.
    pub struct Arrived {
        /// Of the unit.
        pub tag: Bits<8>,
    }
}

hw_bundle! {
    /// The data of a Read has been handed to the host port.
    pub struct Written {
        /// Of the unit.
        pub tag: Bits<8>,
    }
}

hw_bundle! {
    /// All beats of a Load or of a Compare have come from the storage.
    pub struct Loaded {
        /// Of the unit.
        pub tag: Bits<8>,
        /// They are not what is in the bounce.
        pub differs: Bits<1>,
    }
}

hw_enum! {
    /// Which units may be in flight together: see the [page](self), "Sequences".
    pub enum Turn {
        /// It is part of no sequence.
        Free,
        /// The first unit of a sequence.
        Begin,
        /// Another unit of the first half.
        Join,
        /// A unit of the second half.
        Finish,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Units {
    config: Config,
}

impl Units {
    /// The units of a controller.
    pub fn new(config: Config) -> Units {
        Units { config }
    }
}

impl Block for Units {
    fn name(&self) -> String {
        format!("units_{}", self.config.units)
    }

    fn description(&self) -> String {
        format!("Tags up to {} units and notes what happens to them.", self.config.units)
    }

    fn build(&self, m: &Module) {
        let units = self.config.units;
        let tag_bits = address_width(units);

        // 1. Ports
        m.allow_combinational("`unit` waits for its turn, which it brings with it in a register");
        let clock = m.clock();
        let unit_stream = m.stream_in::<Unit>("unit");
        let arrived = Held::new::<Arrived>(m, clock, "arrived");
        let written = m.stream_in::<Written>("written");
        let storage_done = m.stream_in::<StorageDone>("storage_done");
        let buffer_done = m.stream_in::<StorageDone>("buffer_done");
        let loaded = m.stream_in::<Loaded>("loaded");
        let host_failed = m.input("data_error", 1);
        let host_failed_tag = m.input("data_error_tag", 8);
        let start = m.stream_out_single::<Start>("start");
        let read_unit = m.stream_out_single::<UnitPlace>("read_unit");
        let write_unit = m.stream_out_single::<UnitPlace>("write_unit");
        let unit_end = m.stream_out_single::<UnitEnd>("unit_end");
        let unit = unit_stream.payload();

        // 2. State
        let rows = m.memory("rows", Start::WIDTH, units, MemoryStyle::Distributed);
        let slots = m.memory("slots", 8, units, MemoryStyle::Distributed);
        // One bit for each tag.
        let vector = |name: &str| m.reg(name, clock, zero(units));
        let [busy, moved, done] = ["busy", "moved", "done"].map(vector);
        let [media_error, refused, host_error, differs] =
            ["media_error", "refused", "host_error", "differs"].map(vector);
        // What was issued last, and whether nothing is in flight.
        let turn_now = m.reg("turn_now", clock, Turn::Free);
        let last_operation = m.reg("last_operation", clock, Operation::Flush);
        let resting = m.reg("resting", clock, true);
        let spoilt = m.reg("is_spoilt", clock, false);
        let free_tag = m.reg_without_reset("free_tag", clock, tag_bits);
        let free_found = m.reg("free_found", clock, false);
        let ended_tag = m.reg_without_reset("ended_tag", clock, tag_bits);
        let ended_found = m.reg("ended_found", clock, false);
        let answered = m.reg("storage_answered", clock, false);
        let answered_slot = m.reg_without_reset("storage_answered_slot", clock, 8);

        // 3. Conditions
        let bit_of = |tag: Signal, happens: Signal| one_hot(tag.low(tag_bits), units) & happens.repeat(units);
        let can_announce = m.wire("can_announce", read_unit.can_take() & write_unit.can_take());
        // Writes whose data has begun to arrive go first: they have waited longer.
        let start_write = m.wire("start_write", arrived.full & start.can_take());
        let begins = m.wire("begins", unit.turn.is(Turn::Begin));
        let same_turn = unit.turn.signal().eq(turn_now.signal()) & !begins;
        let is_its_turn = m.wire("is_its_turn", resting | same_turn);
        let can_issue = !arrived.full & start.can_take() & free_found & can_announce;
        let may_issue = m.wire("may_issue", can_issue & is_its_turn);
        when(start_write, || arrived.consume());
        when(may_issue, || unit_stream.take());
        let issue = m.wire("issue", unit_stream.taken());
        written.take();
        storage_done.take();
        buffer_done.take();
        loaded.take();

        let is_read = m.wire("is_read", unit.operation.is(Operation::Read));
        let is_write = m.wire("is_write", unit.operation.is(Operation::Write));
        let is_loaded = m.wire("is_loaded", is_one_of(unit.operation, &[Operation::Load, Operation::Compare]));
        let arrival = arrived.item;

        let new_bit = m.wire("new_bit", bit_of(free_tag, issue));
        let failed_bit = m.wire("failed_bit", bit_of(host_failed_tag, host_failed));
        let written_bit = m.wire("written_bit", bit_of(written.payload().tag, written.valid()));
        let loaded_bit = m.wire("loaded_bit", bit_of(loaded.payload().tag, loaded.valid()));
        let dones = [storage_done, buffer_done];
        let done_bits = |which: &dyn Fn(EnumSignal<StorageStatus>) -> Signal| {
            let [a, b] = dones.map(|s| bit_of(s.payload().tag, s.valid() & which(s.payload().status)));
            a | b
        };
        let any_done_bits = m.wire("any_done_bits", done_bits(&|_| lit(1u8, 1)));
        let media_error_bits = m.wire("media_error_bits", done_bits(&|s| s.is(StorageStatus::MediaError)));
        let refused_bits = m.wire("refused_bits", done_bits(&|s| s.is(StorageStatus::Refused)));
        let over = m.wire("over", busy & moved & done);
        // What ends in this clock need not be searched for.
        let written_tag = written.payload().tag.low(tag_bits);
        let done_tag = storage_done.payload().tag.low(tag_bits);
        let data_is_last = m.wire("data_is_last", written.valid() & (written_bit & done).any());
        let done_is_last = m.wire("done_is_last", storage_done.valid() & bit_at(moved, done_tag));
        let report = m.wire("report", ended_found & unit_end.can_take());
        let reported_bit = m.wire("reported_bit", bit_of(ended_tag, report));

        // 4. Next state
        let row = StorageCommand {
            tag: free_tag.zext(8),
            operation: unit.operation,
            nsid: unit.nsid,
            sector: unit.sector,
            sectors: unit.sectors,
            fua: unit.fua,
        };
        let new_start = Start {
            target: unit.target,
            beats: unit.place.beats,
            last_dwords: unit.place.end - unit.place.begin,
            at: unit.at,
            command: row,
        };
        rows.write(clock, issue, free_tag, new_start.pack());
        slots.write(clock, issue, free_tag, unit.slot);

        busy.set((busy | new_bit) & !reported_bit);
        let moves_at_once = !(is_read | is_loaded);
        moved.set(
            (moved & !new_bit) | (new_bit & moves_at_once.repeat(units)) | written_bit | loaded_bit | refused_bits,
        );
        done.set((done & !new_bit) | any_done_bits);
        media_error.set((media_error & !new_bit) | media_error_bits);
        refused.set((refused & !new_bit) | refused_bits);
        host_error.set((host_error & !new_bit) | failed_bit);
        differs.set((differs & !new_bit) | (loaded_bit & loaded.payload().differs.repeat(units)));

        resting.set(!busy.any() & !issue);
        when(issue, || {
            turn_now.set(choose(begins, EnumSignal::of(Turn::Join), unit.turn));
            last_operation.set(unit.operation);
        });
        let storage_failed = storage_done.valid() & !storage_done.payload().status.is(StorageStatus::Good);
        when(host_failed | storage_failed, || spoilt.set(true)).else_when(issue & begins, || spoilt.set(false));

        when(free_found, || {
            when(issue, || free_found.set(false));
        })
        .otherwise(|| {
            free_tag.set(priority_index(!busy));
            free_found.set(!busy.all());
        });
        when(ended_found, || {
            when(report, || ended_found.set(false));
        })
        .otherwise(|| {
            let found = data_is_last.mux(written_tag, done_is_last.mux(done_tag, priority_index(over)));
            ended_tag.set(found);
            ended_found.set(over.any() | data_is_last | done_is_last);
        });

        answered.set(storage_done.valid());
        answered_slot.set(slots.lookup(done_tag));

        // 5. Outputs
        m.output("begun", start_write);
        m.output("begun_slot", slots.lookup(arrival.tag.low(tag_bits)));
        m.output("answered", answered);
        m.output("answered_slot", answered_slot);
        let place = UnitPlace {
            tag: free_tag.zext(8),
            function: unit.function,
            target: unit.target,
            whole: unit.whole,
            place: unit.place,
        };
        when(issue & is_read, || read_unit.offer(place));
        when(issue & is_write, || write_unit.offer(place));
        when(issue & !is_write, || start.offer(new_start));
        when(start_write, || start.offer(Start::unpack(rows.lookup(arrival.tag.low(tag_bits)))));
        when(report, || {
            let status = |s: StorageStatus| EnumSignal::<StorageStatus>::of(s).signal();
            let failed = bit_at(refused, ended_tag).mux(status(StorageStatus::Refused), status(StorageStatus::Good));
            let ended_status = bit_at(media_error, ended_tag).mux(status(StorageStatus::MediaError), failed);
            unit_end.offer(UnitEnd {
                slot: slots.lookup(ended_tag),
                status: EnumSignal::from_signal(ended_status),
                host_error: bit_at(host_error, ended_tag),
                differs: bit_at(differs, ended_tag),
            });
        });
        m.output("loads", is_one_of(last_operation, &[Operation::Load, Operation::Compare]));
        m.output("compares", last_operation.is(Operation::Compare));
        m.output("stores", last_operation.is(Operation::Store));
        m.output("spoilt", spoilt);
    }
}
