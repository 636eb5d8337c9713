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
//!    buffer_done ->-|             |
//! data_error, ..   -->|             |
//!                   +-------------+
//! ```
//! ## Theory of operation
//! 1. A unit takes a free tag, and its description goes into `rows`.
//! 2. A Read is announced to `dma_write` and started at once. A Flush is started at once. A Write is given to `dma_read`, and started when that
//!    says, by `arrived`, that its data has begun to come. `data_error` says that some of it could not be read.
//! 3. A unit has ended when its target has said how (`done`) and its data has moved (`moved`): for a Read, when `dma_write` has handed
//!    the last of it to the host port. So a completion that follows cannot overtake the data. If the target refused a Read there is no data.
//! 4. Ended units are reported one after the other, and their tags are free.
//!
//! Everything that may happen to a unit sets a bit of its own, in any order and in the same clock, so `written` and the two `done` streams
//! are never made to wait.
//!
//! ## Timing
//! A unit every second clock. `unit_end` follows the last event by three clocks. No combinational path from any input to any output.
//!
//! ## Limits
//! `units` at once. Writes are started in the order in which their data has arrived, which is the order of the data from `dma_read`.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::prp_walk::{Place, Unit};
use crate::slots::UnitEnd;
use crate::types::{Operation, StorageCommand, StorageDone, StorageStatus, Target};
use crate::{held::bit_at, Config};
use nvme_spec::limits::UNIT_BYTES;
use rtl_hdl::{
    address_width, hw_bundle, hw_enum, lit, switch, when, zero, Bits, Block, EnumSignal, MemoryStyle, Module, Shape,
    Signal, Value,
};
use rtl_prim::{one_hot, priority_index};

#[cfg(test)]
mod bench;

hw_bundle! {
    /// A command for one of the targets.
    pub struct Start {
        /// Which.
        pub target: Target,
        /// Number of 64-byte beats of data.
        pub beats: Bits<7>,
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

hw_enum! {
    /// `Idle -> Issue -> Idle`.
    pub enum State {
        /// Starts Writes whose data has arrived. Leaves when there is a unit, a tag for it, and room to announce it.
        Idle,
        /// A unit is there and has a tag. Leaves when it can be started.
        Issue,
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
        format!("units_l{}_u{}", self.config.lba_bytes, self.config.units)
    }

    fn description(&self) -> String {
        format!("Tags up to {} units and notes what happens to them.", self.config.units)
    }

    fn build(&self, m: &Module) {
        let units = self.config.units;
        let tag_bits = address_width(units);

        // 1. Ports
        let clock = m.clock();
        let unit_stream = m.stream_in::<Unit>("unit");
        let arrived = m.stream_in::<Arrived>("arrived");
        let written = m.stream_in::<Written>("written");
        let storage_done = m.stream_in::<StorageDone>("storage_done");
        let buffer_done = m.stream_in::<StorageDone>("buffer_done");
        let host_failed = m.input("data_error", 1);
        let host_failed_tag = m.input("data_error_tag", 8);
        let start = m.stream_out_single::<Start>("start");
        let read_unit = m.stream_out_single::<UnitPlace>("read_unit");
        let write_unit = m.stream_out_single::<UnitPlace>("write_unit");
        let unit_end = m.stream_out_single::<UnitEnd>("unit_end");
        let unit = unit_stream.payload();

        // 2. State
        let state = m.reg("state", clock, State::Idle);
        let rows = m.memory("rows", Start::WIDTH, units, MemoryStyle::Distributed);
        let slots = m.memory("slots", 8, units, MemoryStyle::Distributed);
        // One bit for each tag.
        let vector = |name: &str| m.reg(name, clock, zero(units));
        let [busy, moved, done] = ["busy", "moved", "done"].map(vector);
        let [media_error, refused, host_error] = ["media_error", "refused", "host_error"].map(vector);
        let free_tag = m.reg_without_reset("free_tag", clock, tag_bits);
        let free_found = m.reg("free_found", clock, false);
        let ended_tag = m.reg_without_reset("ended_tag", clock, tag_bits);
        let ended_found = m.reg("ended_found", clock, false);

        // 3. Conditions
        let bit_of = |tag: Signal, happens: Signal| one_hot(tag.low(tag_bits), units) & happens.repeat(units);
        let can_announce = m.wire("can_announce", read_unit.can_take() & write_unit.can_take());
        let issue = m.wire("issue", state.is(State::Issue) & start.can_take());
        let listen = m.wire("listen", state.is(State::Idle) & start.can_take());
        when(issue, || unit_stream.take());
        when(listen, || arrived.take());
        written.take();
        storage_done.take();
        buffer_done.take();

        let is_read = m.wire("is_read", unit.operation.is(Operation::Read));
        let is_write = m.wire("is_write", unit.operation.is(Operation::Write));
        let arrival = arrived.payload();
        let start_write = m.wire("start_write", arrived.taken());

        let new_bit = m.wire("new_bit", bit_of(free_tag, issue));
        let failed_bit = m.wire("failed_bit", bit_of(host_failed_tag, host_failed));
        let written_bit = m.wire("written_bit", bit_of(written.payload().tag, written.valid()));
        let dones = [storage_done, buffer_done];
        let done_bits = |which: &dyn Fn(EnumSignal<StorageStatus>) -> Signal| {
            let [a, b] = dones.map(|s| bit_of(s.payload().tag, s.valid() & which(s.payload().status)));
            a | b
        };
        let any_done_bits = m.wire("any_done_bits", done_bits(&|_| lit(1u8, 1)));
        let media_error_bits = m.wire("media_error_bits", done_bits(&|s| s.is(StorageStatus::MediaError)));
        let refused_bits = m.wire("refused_bits", done_bits(&|s| s.is(StorageStatus::Refused)));
        let over = m.wire("over", busy & moved & done);
        let report = m.wire("report", ended_found & unit_end.can_take());
        let reported_bit = m.wire("reported_bit", bit_of(ended_tag, report));

        // 4. Next state
        switch(state, |s: State| match s {
            State::Idle => {
                when(unit_stream.valid() & free_found & can_announce, || state.goto(State::Issue));
            }
            State::Issue => {
                when(start.can_take(), || state.goto(State::Idle));
            }
        });
        let row = StorageCommand {
            tag: free_tag.zext(8),
            operation: unit.operation,
            nsid: unit.nsid,
            lba: unit.lba,
            blocks: unit.blocks,
            fua: unit.fua,
        };
        let new_start = Start { target: unit.target, beats: unit.place.beats, command: row };
        rows.write(clock, issue, free_tag, new_start.pack());
        slots.write(clock, issue, free_tag, unit.slot);

        busy.set((busy | new_bit) & !reported_bit);
        moved.set((moved & !new_bit) | (new_bit & (!is_read).repeat(units)) | written_bit | refused_bits);
        done.set((done & !new_bit) | any_done_bits);
        media_error.set((media_error & !new_bit) | media_error_bits);
        refused.set((refused & !new_bit) | refused_bits);
        host_error.set((host_error & !new_bit) | failed_bit);

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
            ended_tag.set(priority_index(over));
            ended_found.set(over.any());
        });

        // 5. Outputs
        let blocks_are_units = lit(u8::from(self.config.lba_bytes == UNIT_BYTES), 1);
        let place = UnitPlace {
            tag: free_tag.zext(8),
            function: unit.function,
            target: unit.target,
            whole: unit.target.is(Target::Buffer) | blocks_are_units,
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
            });
        });

        // 6. Properties
        m.assert(clock, "announcement_has_room", state.is(State::Issue).implies(can_announce));
    }
}
