//! # Decode
//!
//! Looks at each submission queue entry once and decides who executes it: the I/O engine, or firmware.
//!
//! ## Symbol
//! ```text
//!                     +-- decode --+
//!          fetched -->|            |---> command   Command  (to the I/O engine)
//!  namespace_write -->|            |---> inbox     Inbox    (to the mailbox)
//!  namespace_index -->|            |---> consumed  Consumed (to queues)
//!    namespace_row -->|            |---> host_error
//!         draining -->|            |
//!          running -->|            |---> half_fetched
//!                     |            |---> pair_comes (to the I/O engine)
//!                     +------------+
//! ```
//! ## Theory of operation
//! 1. In the first clock of an entry its conditions are judged into registers: those of [`nvme_spec::decode`], "What hardware executes by
//!    itself". The limits come from there too. The namespace's row is found by NSID; it must have blocks and be attached to the command's
//!    function. What writes to a protected namespace is firmware's.
//! 2. In the second clock it leaves: a command of the fast path to the I/O engine, everything else to the mailbox. `queues` is told that it
//!    is consumed.
//! 3. The Compare of a Compare and Write waits in `firsts`, which has a place for each queue, until the next entry of its queue is there. If that
//!    is the Write, both leave, one right after the other, to the I/O engine or to firmware, by the rules of [`nvme_spec::decode_fused`]. If it is
//!    not, or if no entry has been published behind the Compare, the other one is missing, and firmware says so. `half_fetched` tells of which
//!    queues a Compare waits.
//! 4. One queue after the other is looked at, and a Compare is thrown away if its Write will never be fetched: its queue has been stopped
//!    (`running`), or the life of its function has ended.
//! 5. When the life of its function has ended (`draining`) entries are thrown away. So is an entry that could not be read, which is fatal:
//!    `host_error` tells firmware.
//!
//! ## Timing
//! One entry every second clock, a pair in seven. `host_error` is a pulse, in the bit of the function. A row that is written is used from the next
//! clock on, but for the Write of a pair whose Compare has left (`pair_comes`).
//!
//! ## Limits
//! Rows hold anything until they are written. An entry for firmware waits until the mailbox has room, and so do those behind it.
//! Queues are looked at while there is no entry, one in two clocks. The Compare of a pair keeps its place in the completion queue while it
//! waits; [`queues`](crate::queues) sees to it that its Write gets one.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::held::{bit_at, function_bit};
use crate::types::{Command, Consumed, Fetched, Inbox, Operation, SqEntry, Target};
use crate::Config;
use nvme_spec::decode::{DEALLOCATE, FORCE_UNIT_ACCESS};
use nvme_spec::entry::prp::PRP1_ALIGNMENT;
use nvme_spec::entry::{FUSE_FIRST, FUSE_SECOND};
use nvme_spec::limits;
use nvme_spec::limits::{NAMESPACES_MAX, PAGE_BYTES, SECTOR_BYTES};
use nvme_spec::opcode::io;
use nvme_spec::Status;
use rtl_hdl::{
    address_width, cat, hw_bundle, lit, when, zero, Bits, Block, EnumSignal, HwEnum, MemoryStyle, Module, Shape, Signal,
};
use rtl_prim::{next_index_in, one_hot};
use std::mem::offset_of;

#[cfg(test)]
pub(crate) mod bench;

hw_bundle! {
    /// A row of the table of namespaces: see `nvme_spec::firmware_port`, "Namespaces".
    pub struct NamespaceRow {
        /// The first 4 KiB unit in the storage.
        pub base: Bits<64>,
        /// Number of logical blocks; 0: there is no such namespace.
        pub blocks: Bits<64>,
        /// A bit for each function that sees it.
        pub attached: Bits<8>,
        /// Log2 of the bytes of a logical block.
        pub lba_shift: Bits<4>,
        /// What writes to it is firmware's.
        pub write_protected: Bits<1>,
    }
}

/// Log2 of the bytes of the two sizes of logical blocks.
pub(crate) const SMALL_LBA_SHIFT: u32 = SECTOR_BYTES.trailing_zeros();
pub(crate) const LARGE_LBA_SHIFT: u32 = PAGE_BYTES.trailing_zeros();

/// See the [page](self) of this block.
pub struct Decode {
    config: Config,
}

impl Decode {
    /// The block of this configuration.
    pub fn new(config: Config) -> Self {
        Decode { config }
    }
}

/// A qword of the entry, by its byte offset.
fn qword(entry: Signal, offset: usize) -> Signal {
    let low = 8 * offset as u32;
    entry.bits(low..low + 64)
}

/// Command dword 10 to 15.
fn cdw(entry: Signal, number: usize) -> Signal {
    let low = 8 * (offset_of!(nvme_spec::SqEntry, cdw10) + 4 * (number - 10)) as u32;
    entry.bits(low..low + 32)
}

impl Block for Decode {
    fn name(&self) -> String {
        format!("decode_n{}_q{}", self.config.functions, self.config.io_queues)
    }

    fn description(&self) -> String {
        "Decides for each submission queue entry whether hardware or firmware executes it.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let namespace_write = m.input("namespace_write", 1);
        let namespace_index = m.input("namespace_index", 8);
        let namespace_row = m.input("namespace_row", NamespaceRow::WIDTH);
        let draining = m.input("draining", self.config.functions);
        let running = m.input("running", self.config.queues());
        let fetched = m.stream_in::<Fetched>("fetched");
        let command = m.stream_out_single::<Command>("command");
        let inbox = m.stream_out_single::<Inbox>("inbox");
        let consumed = m.stream_out_single::<Consumed>("consumed");

        // 2. State
        let judged = m.reg("judged", clock, false);
        let is_io = m.reg_without_reset("is_io", clock, 1);
        let is_named = m.reg_without_reset("is_named", clock, 1);
        let is_short = m.reg_without_reset("is_short", clock, 1);
        let is_inside = m.reg_without_reset("is_inside", clock, 1);
        let large_blocks = m.reg_without_reset("large_blocks", clock, 1);
        let sector = m.reg_without_reset("sector", clock, 64);
        let error = m.reg("error", clock, zero(self.config.functions));
        // The Compares of pairs, by queue.
        let queues = self.config.queues();
        let firsts = m.memory("firsts", 512, queues, MemoryStyle::Block);
        let first_functions = m.memory("first_functions", 8, queues, MemoryStyle::Distributed);
        let held = m.reg("held", clock, zero(queues));
        // The queue that is looked at; in the second clock, whether a Compare of it is to be thrown away.
        let scanned = m.reg("scanned", clock, zero(self.config.queue_bits()));
        let looked = m.reg("looked", clock, false);
        let is_gone = m.reg_without_reset("is_gone", clock, 1);
        // The Compare of this entry's pair has left, and whether to the I/O engine.
        let paired = m.reg("paired", clock, false);
        // The Compare of this entry's queue waits.
        let has_first = m.reg("has_first", clock, false);
        let is_compare_half = m.reg_without_reset("is_compare_half", clock, 1);
        let is_write_half = m.reg_without_reset("is_write_half", clock, 1);
        let pair_is_fast = m.reg_without_reset("pair_is_fast", clock, 1);
        // The Compare has been compared with this entry, and whether the two fit together.
        let is_compared = m.reg("is_compared", clock, false);
        let first_fits = m.reg_without_reset("first_fits", clock, 1);

        // A row, and in its highest bit whether it has blocks: found when it is written, so that judging an entry takes less time.
        let rows = m.memory("rows", NamespaceRow::WIDTH + 1, NAMESPACES_MAX, MemoryStyle::Distributed);

        // 3. Conditions
        let item = fetched.payload();
        let view = SqEntry::view(item.entry);
        let is_flush = m.wire("is_flush", view.opcode.eq(io::FLUSH));
        let is_write = m.wire("is_write", view.opcode.eq(io::WRITE));
        let is_read = m.wire("is_read", view.opcode.eq(io::READ));
        let is_write_zeroes = m.wire("is_write_zeroes", view.opcode.eq(io::WRITE_ZEROES));
        let deallocates = m.wire("deallocates", cdw(item.entry, 12).bit(DEALLOCATE.trailing_zeros()));
        let is_write_uncorrectable = m.wire("is_write_uncorrectable", view.opcode.eq(io::WRITE_UNCORRECTABLE));
        let is_compare = m.wire("is_compare", view.opcode.eq(io::COMPARE));
        let is_verify = m.wire("is_verify", view.opcode.eq(io::VERIFY));
        let lba = m.wire("lba", qword(item.entry, offset_of!(nvme_spec::SqEntry, cdw10)));
        let blocks = m.wire("blocks", cdw(item.entry, 12).low(16).zext(17) + 1);
        let queue = m.wire("queue", item.sqid.low(self.config.queue_bits()));
        let is_io_queue = m.wire("is_io_queue", item.sqid.ge(self.config.functions));
        let first = m.wire("first", firsts.read(clock, "first_read", queue));
        let is_held = m.wire("is_held", bit_at(held, queue));
        let fuse = m.wire("fuse", view.flags.low(2));
        let is_compare_of_pair = m.wire("is_compare_of_pair", is_compare & fuse.eq(FUSE_FIRST) & is_io_queue);
        let is_write_of_pair = m.wire("is_write_of_pair", is_write & fuse.eq(FUSE_SECOND) & is_io_queue);
        // PSDT says PRPs or an SGL, whose descriptor is judged by the walk.
        let is_known_psdt = |entry: Signal| !SqEntry::view(entry).flags.bit(7);
        let is_sgl = |entry: Signal| SqEntry::view(entry).flags.bit(6);
        let fuse_fits = !fuse.any() | (is_write_of_pair & is_held);
        let is_plain = m.wire("is_plain", fuse_fits & is_known_psdt(item.entry));
        // Which blocks a command names.
        let names = |entry: Signal| {
            let lba = qword(entry, offset_of!(nvme_spec::SqEntry, cdw10));
            cat(&[SqEntry::view(entry).nsid, cdw(entry, 12).low(16), lba])
        };
        let prp1_of = |entry: Signal| qword(entry, offset_of!(nvme_spec::SqEntry, prp));
        let pointer_fits = |entry: Signal| is_sgl(entry) | !prp1_of(entry).low(PRP1_ALIGNMENT.trailing_zeros()).any();
        let few_blocks = cdw(first, 12).low(16).le(limits::ACWU);
        let first_fits_now =
            few_blocks & names(first).eq(names(item.entry)) & is_known_psdt(first) & pointer_fits(first);
        // Row `n` is at address `n + 1`, the namespace identifier, of which the lowest bits tell all rows apart.
        let row_bits = address_width(NAMESPACES_MAX);
        let write_address = (namespace_index.low(row_bits) + 1).low(row_bits);
        let found = m.wire("found", rows.lookup(view.nsid.low(row_bits)));
        let row = NamespaceRow::unpack(found.low(NamespaceRow::WIDTH));
        let has_blocks = found.bit(NamespaceRow::WIDTH);
        let new_has_blocks = NamespaceRow::unpack(namespace_row).blocks.any();
        let is_row = view.nsid.any() & view.nsid.le(NAMESPACES_MAX);
        let is_attached = row.attached.word(item.function.low(address_width(8)), 1) & !item.function.bits(3..8).any();
        let is_allowed = !((is_write | is_write_zeroes | is_write_uncorrectable) & row.write_protected);
        // Logical blocks have 512 or 4096 bytes.
        let is_large = m.wire("is_large", row.lba_shift.eq(LARGE_LBA_SHIFT));
        let shifted = |value: Signal, shift: u32, width: u32| cat(&[value, lit(0u8, shift)]).zext(96).low(width);
        let large = LARGE_LBA_SHIFT - SMALL_LBA_SHIFT;
        let sector_in_namespace = m.wire("sector_in_namespace", is_large.mux(shifted(lba, large, 64), lba));
        let sector_of_namespace = shifted(row.base, PAGE_BYTES.trailing_zeros() - SMALL_LBA_SHIFT, 64);
        let bytes = m.wire(
            "bytes",
            large_blocks.mux(shifted(blocks, LARGE_LBA_SHIFT, 22), shifted(blocks, SMALL_LBA_SHIFT, 22)),
        );
        let behind = m.wire("behind", lba.zext(65) + blocks.zext(65));
        let is_fast = m.wire("is_fast", is_io & is_named & is_short & is_inside);
        // What leaves is the Compare of an earlier clock or the entry itself.
        let leaving = m.wire("leaving", has_first.mux(first, item.entry));
        let leaves_fast = m.wire("leaves_fast", {
            let entry_is_fast = paired.mux(pair_is_fast, is_fast & !fuse.any());
            has_first.mux(is_write_half & is_fast & first_fits, entry_is_fast)
        });
        let is_missing = m.wire("is_missing", {
            let is_alone = (is_compare_half | is_write_half) & !paired;
            has_first.mux(!is_write_half, is_alone)
        });
        let is_judged = m.wire("is_judged", judged & (is_compared | !has_first));
        let may_leave = m.wire("may_leave", is_judged & command.can_take() & inbox.can_take() & consumed.can_take());
        let is_dead = m.wire("is_dead", bit_at(draining, item.function));
        let thrown_away = m.wire("thrown_away", is_dead | item.error);

        // 4. Next state
        rows.write(clock, namespace_write, write_address, cat(&[new_has_blocks, namespace_row]));

        // First clock: judge. The entry stays until it is taken.
        judged.set(fetched.valid());
        let moves_data = is_write | is_read | is_compare;
        let is_known =
            is_flush | is_write_zeroes | is_write_uncorrectable | is_verify | (moves_data & pointer_fits(item.entry));
        is_io.set(is_known & is_plain & is_io_queue);
        has_first.set(is_held);
        is_compare_half.set(is_compare_of_pair);
        is_write_half.set(is_write_of_pair);
        is_named.set(is_row & is_attached & is_allowed & has_blocks);
        let blocks_max = |shift: u32| limits::TRANSFER_BYTES_MAX >> shift;
        let is_short_now = is_large.mux(blocks.le(blocks_max(LARGE_LBA_SHIFT)), blocks.le(blocks_max(SMALL_LBA_SHIFT)));
        is_short.set(is_flush | is_short_now);
        is_inside.set(is_flush | behind.le(row.blocks.zext(65)));

        // Only for the second half of a pair, one clock more.
        is_compared.set(judged & has_first & !may_leave);
        first_fits.set(first_fits_now);

        // Second clock: it leaves.
        error.set(zero(self.config.functions));
        let bit_of = |queue: Signal, happens: Signal| one_hot(queue, queues) & happens.repeat(queues);
        let leaves = m.wire("leaves", may_leave);
        let entry_leaves = m.wire("entry_leaves", leaves & !has_first);
        let is_held_back = m.wire("is_held_back", is_compare_half & item.has_next & !paired & !thrown_away);
        let waits = m.wire("waits", entry_leaves & is_held_back);
        // The Write of a pair goes where its Compare goes, whatever becomes of the row between the two.
        when(!paired & !(leaves & has_first), || {
            large_blocks.set(is_large);
            sector.set(sector_of_namespace + sector_in_namespace);
        });
        when(leaves, || judged.set(false));
        when(leaves & has_first, || {
            paired.set(!thrown_away & is_write_half);
            pair_is_fast.set(leaves_fast);
        });
        when(entry_leaves, || {
            fetched.take();
            paired.set(false);
        });
        firsts.write(clock, waits, queue, item.entry);
        first_functions.write(clock, waits, queue, item.function);
        when(leaves & !waits, || {
            consumed.offer(Consumed { sqid: item.sqid, dropped: thrown_away });
            let functions = self.config.functions;
            let whose = function_bit(item.function, functions);
            let view = SqEntry::view(leaving);
            when(thrown_away, || error.set(whose & (!is_dead).repeat(functions)))
                .else_when(leaves_fast, || {
                    let kinds = [
                        (is_write, Operation::Write),
                        (is_read, Operation::Read),
                        (is_write_zeroes, Operation::WriteZeroes),
                        (is_write_zeroes & deallocates, Operation::Deallocate),
                        (is_write_uncorrectable, Operation::WriteUncorrectable),
                        (is_verify, Operation::Verify),
                        (is_compare | has_first, Operation::Compare),
                    ];
                    let flush = lit(Operation::Flush.code(), Operation::WIDTH);
                    let operation = kinds.into_iter().fold(flush, |otherwise, (is_it, operation)| {
                        is_it.mux(lit(operation.code(), Operation::WIDTH), otherwise)
                    });
                    command.offer(Command {
                        sqid: item.sqid,
                        function: item.function,
                        cid: view.cid,
                        opcode: view.opcode,
                        nsid: view.nsid,
                        operation: EnumSignal::from_signal(operation),
                        target: EnumSignal::of(Target::Storage),
                        errand: lit(0u8, 1),
                        lba,
                        blocks: is_flush.mux(lit(0u8, 17), blocks),
                        sector,
                        large_blocks,
                        bytes: is_flush.mux(lit(0u8, 22), bytes),
                        fua: cdw(leaving, 12).bit(FORCE_UNIT_ACCESS.trailing_zeros()),
                        fused: has_first | paired,
                        sgl: is_sgl(leaving),
                        prp1: prp1_of(leaving),
                        prp2: qword(leaving, offset_of!(nvme_spec::SqEntry, prp) + 8),
                    });
                })
                .otherwise(|| {
                    let missing = lit(Status::MISSING_FUSED_COMMAND.raw(), 15);
                    inbox.offer(Inbox {
                        sqid: item.sqid,
                        function: item.function,
                        failed: is_missing,
                        status: missing & is_missing.repeat(15),
                        entry: leaving,
                    });
                });
        });

        // Between two entries: a Compare whose Write will not come is thrown away. What was seen in the first clock holds in the second, if no
        // entry is there; else it is looked at again.
        let has_ended = !bit_at(running, scanned) | bit_at(draining, first_functions.lookup(scanned));
        let is_free = m.wire("is_free", looked & !fetched.valid() & consumed.can_take());
        let is_abandoned = m.wire("is_abandoned", is_free & is_gone);
        looked.set(!looked);
        is_gone.set(bit_at(held, scanned) & has_ended & !(leaves & has_first));
        when(is_free, || scanned.set(next_index_in(scanned, lit(queues - 1, self.config.queue_bits()))));
        when(is_abandoned, || consumed.offer(Consumed { sqid: scanned.zext(8), dropped: lit(1u8, 1) }));
        held.set((held | bit_of(queue, waits)) & !bit_of(queue, leaves & has_first) & !bit_of(scanned, is_abandoned));

        // 5. Outputs
        m.output("host_error", error);
        m.output("half_fetched", held);
        m.output("pair_comes", paired);
    }
}
