//! The walk: which pages a command's units lie in.

use crate::watched;
use nvme_hw::types::Operation;
use nvme_hw::walk::Walk;
use nvme_properties::{Pages, PAGE_BITS};
use nvme_spec::limits::TRANSFER_BYTES_MAX;
use rtl_hdl::{block_fn, when, zero, Block, HwEnum, Module};

/// Lines of a page.
const PAGE_LOG2_LINES: u32 = 6;
/// Width of a number of lines that were asked for: the walk reads eight ahead.
const LINE_COUNT_BITS: u32 = 4;

/// Units and the PRPs of their command.
pub fn pages() -> impl Block {
    block_fn("walk_pages", |m: &Module| {
        Walk.build(m);
        let clock = m.found_clock();
        let checker = m.instance("walked_pages", &Pages);

        // From the controller to the checker. A command begins when its job is there, and ends with its last unit or its failure.
        let live = m.reg("job_seen", clock, false);
        let job = m.found("job_valid");
        let ends = job & m.found("job_ready");
        when(job, || live.set(true));
        when(ends, || live.set(false));
        checker.port("watched").set(watched(m, "watched_page", PAGE_BITS));
        checker.port("begin_taken").set(job & !live);
        for prp in ["prp1", "prp2"] {
            checker.port(&format!("begin_{prp}")).set(m.found(&format!("job_{prp}")));
        }
        checker.port("begin_bytes").set(m.found("job_bytes").zext(32));
        let beat = m.found("list_beat_valid") & m.found("list_beat_ready");
        checker.port("list").set(beat);
        checker.port("list_line").set(m.found("list_beat_data"));
        checker.port("end_taken").set(ends);
        // Either page of a unit is an access; which of them, the choice that is watched leaves open.
        let lies_in_two = m.found("unit_item_place_lines").gt(m.found("unit_item_place_lines_first"));
        let second = watched(m, "second_page", 1) & lies_in_two;
        let first = m.found("unit_item_place_first");
        let is = |operation: Operation| m.found("unit_item_operation").eq(operation.code());
        let has_data = (is(Operation::Write) | is(Operation::Read)) & m.found("unit_item_place_beats").any();
        checker.port("access").set(m.found("unit_offer") & has_data);
        checker
            .port("access_page")
            .set(second.mux(m.found("unit_item_place_second"), first.bits(PAGE_LOG2_LINES..first.width())));

        // What is assumed: only lines of the list come that were asked for, and commands have as many bytes as they may.
        let bytes = m.found("job_bytes");
        let is_legal = bytes.le(TRANSFER_BYTES_MAX) & !bytes.low(2).any();
        m.assume(clock, "commands_are_not_too_long", job.implies(is_legal));
        m.assume(clock, "pointers_are_prps", job.implies(!m.found("job_sgl")));
        let asked = m.reg("asked", clock, zero(LINE_COUNT_BITS));
        let read = m.found("list_read_valid") & m.found("list_read_ready");
        when(read & !beat, || asked.set(asked + 1));
        when(beat & !read, || asked.set(asked - 1));
        m.assume(clock, "lines_are_asked_for", m.found("list_beat_valid").implies(asked.any()));
    })
}
