//! # Slots
//!
//! Remembers each command of the I/O engine from its start to its outcome, and counts its units.
//!
//! ## Symbol
//! ```text
//!                   +--- slots ---+
//!        command ->-|             |->- job       to walk
//!       transfer ->-|             |
//!       unit_end ->-|             |->- outcome   status 0, and everything of firmware
//!       walk_end ->-|             |->- failure   any other status
//!          drain -->|             |--> drains    to the mailbox
//!     pair_comes -->|             |--> quiet
//!                   |             |--> finished, reported, .._slot   to latency
//!                   +-------------+
//! ```
//! ## Theory of operation
//! 1. A command, or a transfer of firmware, takes a free slot and goes on as a [`Job`] that carries the slot's number. The number of its units
//!    follows from its length; of an SGL it is more than there can be, since only the walk finds out.
//! 2. Every unit ends once, by `unit_end`; or `walk_end` ends all units that will never be issued. Both count `left` down.
//! 3. The first error of a unit is kept. An error of the walk wins over it: it is the same whenever the command is tried, and does not
//!    depend on what the units met first.
//! 4. When `left` reaches zero the outcome is sent, and the slot's number goes into the FIFO `free`. An outcome that cannot be sent yet waits in one
//!    of two FIFOs, which have room for all slots.
//! 5. While the Compare of a Compare and Write is under way no other command is accepted, so its Write is the next one, and before that no piece of an
//!    errand is. If the Compare failed the Write ends as a command whose walk failed, and is never a job. Nothing comes between the two: see
//!    [`units`](crate::units), "Sequences".
//! 6. Slots that were never used since the reset are counted up; then those come back that are free again.
//! 7. From `drain` on, `drains` is true until everything has ended that `decode` has judged so far. That is once in the slots all together: in the
//!    first clock without a command that waits to be taken, and without half a pair (`pair_comes`: `decode` still has its Write). What comes later gets another
//!    mark, and is not counted.
//!
//! `finished` tells of each outcome of the first stream that all units have ended, and `reported` that it leaves; then its slot is free.
//!
//! Failures have a stream of their own because they wait for firmware, and firmware may be waiting for a transfer of its own.
//!
//! ## Timing
//! A command every second clock; an end every clock. The outcome follows the last end by two clocks.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! A `drain` while it `drains` is lost. A transfer of firmware is counted, too, once it has a slot. `slots - 1` commands at once, and a transfer of firmware. A command without data has one unit. Commands wait behind a Compare and Write.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::{is_one_of, Command, Operation, Outcome, StorageStatus, Target};
use crate::{held::Held, Config};
use nvme_spec::{limits::UNIT_BYTES, Status};
use rtl_hdl::{
    address_width, cat, hw_bundle, lit, when, zero, Bits, Block, EnumSignal, MemoryStyle, Module, Shape, Signal, Value,
};
use rtl_prim::fifo_bits;

#[cfg(test)]
mod bench;

hw_bundle! {
    /// A command with its slot, on its way to be cut into units.
    pub struct Job {
        /// The slot.
        pub slot: Bits<8>,
        /// As in the command.
        pub function: Bits<8>,
        /// As in the command; Flush if there is no data.
        pub operation: Operation,
        /// As in the command.
        pub target: Target,
        /// As in the command.
        pub nsid: Bits<32>,
        /// As in the command.
        pub sector: Bits<64>,
        /// As in the command.
        pub large_blocks: Bits<1>,
        /// As in the command.
        pub bytes: Bits<22>,
        /// How many units it has; of an SGL, more than it can have.
        pub units: Bits<20>,
        /// As in the command.
        pub fua: Bits<1>,
        /// As in the command; 0 if no data moves.
        pub sgl: Bits<1>,
        /// As in the command.
        pub prp1: Bits<64>,
        /// As in the command.
        pub prp2: Bits<64>,
    }
}

hw_bundle! {
    /// A unit that was issued has ended.
    pub struct UnitEnd {
        /// The slot of its command.
        pub slot: Bits<8>,
        /// What the storage said; meaningless if `host_error`.
        pub status: StorageStatus,
        /// Host memory could not be read; the storage was not asked.
        pub host_error: Bits<1>,
        /// A Compare found other data; meaningless unless the storage said that all is well.
        pub differs: Bits<1>,
    }
}

hw_bundle! {
    /// The walk of a command has ended: always of an SGL, and of PRPs if it failed.
    pub struct WalkEnd {
        /// The slot of the command.
        pub slot: Bits<8>,
        /// Number of units that will not be issued.
        pub units: Bits<20>,
        /// Status Field; 0 if the walk did not fail.
        pub status: Bits<15>,
    }
}

hw_bundle! {
    /// What the count of units needs to know of a command.
    struct Kind {
        operation: Operation,
        target: Target,
        errand: Bits<1>,
        units: Bits<20>,
    }
}

hw_bundle! {
    /// What the outcome repeats of a command.
    struct Identity {
        sqid: Bits<8>,
        function: Bits<8>,
        cid: Bits<16>,
        opcode: Bits<8>,
        nsid: Bits<32>,
        target: Target,
        errand: Bits<1>,
        mark: Bits<1>,
        lba: Bits<64>,
        blocks: Bits<17>,
        large_blocks: Bits<1>,
    }
}

/// Width of a number of units. An SGL may scatter every dword: 2^19 pieces, and a unit for each of the 2^12 logical blocks that they make.
pub(crate) const UNIT_COUNT_BITS: u32 = 20;

/// Width of the status field.
const STATUS_BITS: u32 = 15;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    config: Config,
}

impl Slots {
    /// The slots of a controller.
    pub fn new(config: Config) -> Slots {
        Slots { config }
    }
}

impl Block for Slots {
    fn name(&self) -> String {
        format!("slots_{}", self.config.slots)
    }

    fn description(&self) -> String {
        format!("Remembers {} commands and counts their units.", self.config.slots)
    }

    fn build(&self, m: &Module) {
        let slots = self.config.slots;
        let slot_bits = address_width(slots);

        // 1. Ports
        let clock = m.clock();
        let command = m.stream_in::<Command>("command");
        let transfer = Held::new::<Command>(m, clock, "transfer");
        let unit_end = m.stream_in::<UnitEnd>("unit_end");
        let walk_end = m.stream_in::<WalkEnd>("walk_end");
        let job = m.stream_out_single::<Job>("job");
        let outcome = m.stream_out_single::<Outcome>("outcome");
        let failure = m.stream_out_single::<Outcome>("failure");
        let drain = m.input("drain", 1);
        let pair_comes = m.input("pair_comes", 1);

        // 2. State
        let unused = m.reg("unused", clock, zero(slot_bits + 1));
        let in_use = m.reg("in_use", clock, zero(slot_bits + 1));
        // The two bits of a slot differ until the first end: then `left` and `status` hold what an earlier command left there.
        let started = m.memory("started", 1, slots, MemoryStyle::Distributed);
        let ended_once = m.memory("ended_once", 1, slots, MemoryStyle::Distributed);
        let free_slot = m.reg_without_reset("free_slot", clock, slot_bits);
        let free_found = m.reg("free_found", clock, false);
        let kinds = m.memory("kinds", Kind::WIDTH, slots, MemoryStyle::Distributed);
        let identities = m.memory("identities", Identity::WIDTH, slots, MemoryStyle::Distributed);
        let lefts = m.memory("lefts", UNIT_COUNT_BITS, slots, MemoryStyle::Distributed);
        // The status, and in the highest bit whether it is an error.
        let statuses = m.memory("statuses", STATUS_BITS + 1, slots, MemoryStyle::Distributed);
        let ended_walk_held = m.reg("ended_walk_held", clock, false);
        let ended_walk = m.reg_as::<WalkEnd>("ended_walk", clock);
        // A command all of whose units have ended.
        let done = m.reg("done", clock, false);
        let done_slot = m.reg_without_reset("done_slot", clock, slot_bits);
        let done_failed = m.reg_without_reset("done_failed", clock, 1);
        let free = fifo_bits(m, "free", slot_bits, slots);
        let good = fifo_bits(m, "good", slot_bits, slots);
        let failed = fifo_bits(m, "failed", slot_bits, slots);
        let at_rest = m.reg("at_rest", clock, true);
        // The Compare of a Compare and Write: it is under way, its slot, and how it ended.
        let comparing = m.reg("comparing", clock, false);
        let compare_slot = m.reg_without_reset("compare_slot", clock, slot_bits);
        let compare_failed = m.reg("compare_failed", clock, false);
        // Its Write is still to come, unless its function has ended; and whether a command waits.
        let in_pair = m.reg("in_pair", clock, false);
        let waits = m.reg("waits", clock, false);
        // Its Write must end, and has not been counted yet.
        let refused = m.reg("refused", clock, false);
        let refused_slot = m.reg_without_reset("refused_slot", clock, slot_bits);
        let refused_units = m.reg_without_reset("refused_units", clock, UNIT_COUNT_BITS);
        // Firmware waits for the commands that are here: it has asked, and so many are left. Those that come later have another mark.
        let drain_asked = m.reg("drain_asked", clock, false);
        let to_drain = m.reg("to_drain", clock, zero(slot_bits + 1));
        let mark = m.reg("mark", clock, false);

        // 3. Conditions
        let is_between = comparing | (in_pair & waits);
        let may_transfer = m.wire("may_transfer", transfer.full & !(transfer.item.errand & is_between));
        let accept = m.wire("accept", free_found & job.can_take());
        // Firmware's transfers are rare, and go first. One slot is left to them: failed commands keep theirs until firmware takes them, which may be
        // waiting for its transfer.
        when(accept & !may_transfer & in_use.lt(slots - 1) & !comparing & !refused, || command.take());
        when(accept & may_transfer, || transfer.consume());
        when(!ended_walk_held, || {
            unit_end.take();
            walk_end.take();
        });
        let accepted = m.wire("accepted", command.taken() | (accept & may_transfer));
        let new = m.wire("new", Command::unpack(may_transfer.mux(transfer.item.pack(), command.payload().pack())));
        let no_data = m.wire("no_data", new.bytes.eq(0));
        let operation = no_data.mux(EnumSignal::of(Operation::Flush).signal(), new.operation.signal());
        let moves_data = is_one_of(new.operation, &[Operation::Write, Operation::Read, Operation::Compare]) & !no_data;
        let is_sgl = m.wire("is_sgl", new.sgl & moves_data);
        let has_two_halves = is_one_of(new.operation, &[Operation::Compare, Operation::Copy]);
        let data_units = units_of(new.bytes, has_two_halves);
        let counted_units = no_data.mux(lit(1u8, UNIT_COUNT_BITS), data_units.zext(UNIT_COUNT_BITS));
        let new_units = m.wire("new_units", counted_units | is_sgl.repeat(UNIT_COUNT_BITS));

        // The end that is counted in this clock: a held end of a walk, else what comes from `units`.
        let ended = m.wire("ended", ended_walk_held | unit_end.taken());
        let end = unit_end.payload();
        let ended_slot = m.wire("ended_slot", ended_walk_held.mux(ended_walk.slot, end.slot).low(slot_bits));
        let kind = m.wire("kind", Kind::unpack(kinds.lookup(ended_slot)));
        let ended_start = m.wire("ended_start", started.lookup(ended_slot));
        let first_end = m.wire("first_end", ended_start ^ ended_once.lookup(ended_slot));
        let left = m.wire("left", first_end.mux(kind.units, lefts.lookup(ended_slot)));
        let ended_units = m.wire("ended_units", ended_walk_held.mux(ended_walk.units, lit(1u8, UNIT_COUNT_BITS)));
        let kept = m.wire("kept", statuses.lookup(ended_slot));
        let has_failed = m.wire("has_failed", !first_end & kept.bit(STATUS_BITS));
        let end_status = m.wire("end_status", status_of(end, kind.operation, first_end));
        let end_fails = m.wire("end_fails", end.host_error | end.differs | !end.status.is(StorageStatus::Good));
        let unit_status = m.wire("unit_status", has_failed.mux(kept.low(STATUS_BITS), end_status));
        let walk_fails = m.wire("walk_fails", ended_walk.status.any());
        let after_walk = walk_fails.mux(ended_walk.status, kept.low(STATUS_BITS) & has_failed.repeat(STATUS_BITS));
        let status_after = m.wire("status_after", ended_walk_held.mux(after_walk, unit_status));
        let fails = m.wire("fails", has_failed | ended_walk_held.mux(walk_fails, end_fails));
        let over = m.wire("over", ended & left.eq(ended_units));
        let is_failure = m.wire("is_failure", fails & kind.target.is(Target::Storage) & !kind.errand);

        // The outcome that is sent in this clock.
        let done_good = m.wire("done_good", done & !done_failed);
        let send_good = m.wire("send_good", (good.valid() | done_good) & outcome.can_take());
        let send_waiting = m.wire("send_waiting", send_good & good.valid());
        let send_failed = m.wire("send_failed", !send_good & failed.valid() & failure.can_take());
        let good_slot = m.wire("good_slot", good.valid().mux(good.payload(), done_slot));
        let sent_slot = m.wire("sent_slot", send_good.mux(good_slot, failed.payload()));
        let identity = m.wire("identity", Identity::unpack(identities.lookup(sent_slot)));
        let sent_status = m.wire("sent_status", statuses.lookup(sent_slot).low(STATUS_BITS));

        // What `decode` has judged is here, or just outside: a command that waits to be taken, and the second half of a pair.
        let is_all_here = m.wire("is_all_here", !pair_comes & (!command.valid() | command.taken()));
        let drain_begins = m.wire("drain_begins", drain_asked & is_all_here);
        let drains = m.wire("drains_now", drain_asked | to_drain.any());
        let freed = m.wire("freed", send_good | send_failed);
        let fewer = m.wire("fewer", freed & !accepted);
        let more = m.wire("more", accepted & !freed);
        let in_use_next = m.wire("in_use_next", more.mux(in_use + 1, fewer.mux(in_use - 1, in_use)));

        // 4. Next state
        let new_kind = Kind {
            operation: EnumSignal::from_signal(operation),
            target: new.target,
            errand: new.errand,
            units: new_units,
        };
        let new_identity = Identity {
            sqid: new.sqid,
            function: new.function,
            cid: new.cid,
            opcode: new.opcode,
            nsid: new.nsid,
            target: new.target,
            errand: new.errand,
            mark,
            lba: new.lba,
            blocks: new.blocks,
            large_blocks: new.large_blocks,
        };
        kinds.write(clock, accepted, free_slot, new_kind.pack());
        identities.write(clock, accepted, free_slot, new_identity.pack());
        lefts.write(clock, ended, ended_slot, left - ended_units);
        statuses.write(clock, ended, ended_slot, cat(&[fails, status_after]));

        started.write(clock, accepted, free_slot, !ended_once.lookup(free_slot));
        ended_once.write(clock, ended, ended_slot, ended_start);
        let never_used = m.wire("never_used", !unused.bit(slot_bits));
        when(free_found, || {
            when(accepted, || free_found.set(false));
        })
        .otherwise(|| {
            free_slot.set(never_used.mux(unused.low(slot_bits), free.payload()));
            free_found.set(never_used | free.valid());
            when(never_used, || unused.set(unused + 1)).else_when(free.valid(), || free.take());
        });
        when(freed, || free.push(sent_slot));
        in_use.set(in_use_next);
        when(drain & !drains, || drain_asked.set(true));
        when(drain_begins, || {
            drain_asked.set(false);
            to_drain.set(in_use_next);
            mark.set(!mark);
        })
        .else_when(freed & identity.mark.ne(mark) & to_drain.any(), || to_drain.set(to_drain - 1));

        ended_walk_held.set(walk_end.taken());
        when(walk_end.taken(), || ended_walk.set(walk_end.payload()));
        let begins_pair = m.wire("begins_pair", command.taken() & new.fused & new.operation.is(Operation::Compare));
        let is_refused = m.wire("is_refused", command.taken() & new.fused & !begins_pair & compare_failed);
        when(begins_pair, || {
            comparing.set(true);
            compare_slot.set(free_slot);
        });
        when(command.taken(), || in_pair.set(begins_pair));
        waits.set(command.valid() & !command.taken());
        when(comparing & done & done_slot.eq(compare_slot), || {
            comparing.set(false);
            compare_failed.set(done_failed);
        });
        when(is_refused, || {
            refused.set(true);
            refused_slot.set(free_slot);
            refused_units.set(new_units);
        });
        when(refused & !ended_walk_held & !walk_end.taken(), || {
            refused.set(false);
            ended_walk_held.set(true);
            let status = lit(Status::FAILED_FUSED_COMMAND.raw(), STATUS_BITS);
            ended_walk.set(WalkEnd { slot: refused_slot.zext(8), units: refused_units, status });
        });
        done.set(over);
        done_slot.set(ended_slot);
        done_failed.set(is_failure);
        when(done & done_failed, || failed.push(done_slot));
        when(done_good & (!send_good | send_waiting), || good.push(done_slot));
        when(send_waiting, || good.take());
        when(send_failed, || failed.take());
        at_rest.set(!in_use.any() & !command.valid() & !transfer.full & outcome.can_take() & failure.can_take());

        // 5. Outputs
        when(accepted & !is_refused, || {
            job.offer(Job {
                slot: free_slot.zext(8),
                function: new.function,
                operation: EnumSignal::from_signal(operation),
                target: new.target,
                nsid: new.nsid,
                sector: new.sector,
                large_blocks: new.large_blocks,
                bytes: new.bytes,
                units: new_units,
                fua: new.fua,
                sgl: is_sgl,
                prp1: new.prp1,
                prp2: new.prp2,
            });
        });
        let result = Outcome {
            sqid: identity.sqid,
            function: identity.function,
            cid: identity.cid,
            opcode: identity.opcode,
            nsid: identity.nsid,
            target: identity.target,
            errand: identity.errand,
            lba: identity.lba,
            blocks: identity.blocks,
            large_blocks: identity.large_blocks,
            status: sent_status,
        };
        when(send_good, || outcome.offer(result));
        when(send_failed, || failure.offer(result));
        m.output("quiet", at_rest);
        m.output("drains", drains);
        m.output("finished", done_good);
        m.output("finished_slot", done_slot.zext(8));
        m.output("reported", send_good);
        m.output("reported_slot", sent_slot.zext(8));
    }
}

/// Into how many units `bytes` are cut; a Compare and a Copy have two for each piece.
fn units_of(bytes: Signal, has_two_halves: Signal) -> Signal {
    let shift = UNIT_BYTES.trailing_zeros();
    let pieces = (bytes + (UNIT_BYTES - 1)).bits(shift..bytes.width());
    has_two_halves.mux(cat(&[pieces, lit(0u8, 1)]), pieces.zext(pieces.width() + 1))
}

/// The status of a command of this operation whose unit ended so. The first unit of a Copy reads.
fn status_of(end: UnitEnd, operation: EnumSignal<Operation>, is_first: Signal) -> Signal {
    let status = |status: Status| lit(status.raw(), STATUS_BITS);
    let reads = is_one_of(operation, &[Operation::Read, Operation::Verify, Operation::Compare])
        | (operation.is(Operation::Copy) & is_first);
    let media = reads.mux(status(Status::UNRECOVERED_READ_ERROR), status(Status::WRITE_FAULT));
    let good = end.differs.mux(status(Status::COMPARE_FAILURE), status(Status::SUCCESS));
    let refused = end.status.is(StorageStatus::Refused).mux(status(Status::LBA_OUT_OF_RANGE), good);
    let storage = end.status.is(StorageStatus::MediaError).mux(media, refused);
    end.host_error.mux(status(Status::DATA_TRANSFER_ERROR), storage)
}
