//! The walk: where a command's units lie.

use crate::watched;
use nvme_hw::types::Operation;
use nvme_hw::walk::{State, Walk};
use nvme_properties::{Pointers, DWORD_ADDRESS_BITS, DWORD_COUNT_BITS};
use nvme_spec::limits::{PAGE_BYTES, TRANSFER_BYTES_MAX, UNIT_BYTES};
use nvme_spec::sgl;
use rtl_hdl::{block_fn, cat, lit, when, Block, HwEnum, InstanceHandle, Module, Signal};

/// Bits of the place of a byte in its page.
const OFFSET_BITS: u32 = PAGE_BYTES.trailing_zeros();
/// Bits of a sum of lengths of a command.
const SUM_BITS: u32 = 24;
/// Bits of a number of dwords of a unit.
const UNIT_BITS: u32 = 12;

/// Units and the data pointer of their command.
pub fn pointers() -> impl Block {
    block_fn("walk_pointers", |m: &Module| {
        Walk.build(m);
        let clock = m.found_clock();
        let checker = m.instance("pointers", &Pointers);
        let found = |name: &str| m.found(name);

        // From the controller to the checker. A command begins when its job is there, and ends with its last unit or its failure.
        let seen = m.reg("job_seen", clock, false);
        let job = found("job_valid");
        let ends = job & found("job_ready");
        when(job, || seen.set(true));
        when(ends, || seen.set(false));
        let dword = watched(m, "watched_dword", DWORD_ADDRESS_BITS);
        checker.port("watched").set(dword);
        checker.port("begin_taken").set(job & !seen);
        checker.port("begin_low").set(found("job_prp1"));
        checker.port("begin_high").set(found("job_prp2"));
        checker.port("begin_sgl").set(found("job_sgl"));
        checker.port("begin_dwords").set(found("job_bytes").bits(2..22).zext(DWORD_COUNT_BITS));
        checker.port("end_taken").set(ends);
        let is = |state: State| found("state").eq(state.code());
        let uses = found("list_reader_take_entry") & !found("list_reader_entry_error");
        let listed = found("listed");
        let page_and_offset = cat(&[found("page"), found("offset")]);
        checker.port("entry_taken").set(uses & is(State::Entry));
        checker.port("entry").set(listed);
        checker.port("descriptor_taken").set(uses & is(State::High));
        checker.port("descriptor_low").set(page_and_offset);
        checker.port("descriptor_high").set(listed);
        checker.port("list").set(found("list_reader_list_valid") & found("list_reader_list_ready"));
        checker.port("list_address").set(found("list_reader_list_address"));
        checker.port("list_qwords").set(found("list_reader_list_entries"));
        accesses(m, &checker);

        // What is assumed: what `slots` makes sure of.
        let bytes = found("job_bytes");
        let is_legal = bytes.le(TRANSFER_BYTES_MAX) & !bytes.low(2).any();
        m.assume(clock, "commands_are_not_too_long", job.implies(is_legal));
        m.assume(clock, "data_is_not_empty", (job & found("has_data")).implies(bytes.any()));
        m.assume(clock, "sgls_are_of_data", (job & found("job_sgl")).implies(found("has_data")));

        // How the state of the checker is that of the block.
        let assert = |name: &str, condition: Signal| m.assert(clock, name, condition);
        let live = checker.port("live");
        assert("states_exist", found("state").le(State::End.code()));
        assert("a_command_is_live_while_it_is_walked", live.eq(!is(State::Start)) & live.eq(seen));
        assert("jobs_stay", live.implies(job));
        let is_sgl = found("is_sgl");
        assert(
            "its_pointer_is_known",
            live.implies(is_sgl.eq(found("job_sgl")) & is_sgl.eq(checker.port("is_of_sgl"))),
        );
        assert("dwords_are_whole", live.implies(!found("left").low(2).any()));
        prps_are_known(m, &checker, live & !is_sgl, dword);
        descriptors_are_known(m, &checker, live & is_sgl, dword);
    })
}

/// Each of the two runs of lines of a unit is an access; which of them, the choice that is watched leaves open.
fn accesses(m: &Module, checker: &InstanceHandle) {
    let place = |name: &str| m.found(&format!("unit_item_place_{name}"));
    let [lines, lines_first] = ["lines", "lines_first"].map(place);
    let lies_in_two = lines.gt(lines_first);
    let is_second = watched(m, "second_run", 1) & lies_in_two;
    let begin = place("begin");
    let is_operation = |operation: Operation| m.found("unit_item_operation").eq(operation.code());
    let has_data = (is_operation(Operation::Write) | is_operation(Operation::Read)) & place("beats").any();
    // A line has 16 dwords; what the last one has too many is cut off.
    let dwords = |lines: Signal| cat(&[lines, lit(0u8, 4)]).zext(UNIT_BITS);
    let end = place("end");
    let too_many = end.any().mux(lit(16u8, UNIT_BITS) - end.zext(UNIT_BITS), lit(0u8, UNIT_BITS));
    let whole = lies_in_two.mux(dwords(lines_first), dwords(lines) - too_many);
    let run = is_second.mux(dwords(lines - lines_first) - too_many, whole - begin.zext(UNIT_BITS));
    checker.port("access").set(m.found("unit_offer") & has_data);
    let second = cat(&[place("second"), lit(0u8, OFFSET_BITS - 2)]);
    checker.port("access_address").set(is_second.mux(second, cat(&[place("first"), begin])));
    checker.port("access_dwords").set(run.zext(DWORD_COUNT_BITS));
}

/// What PRPs have named lies behind the next unit, or has been named.
fn prps_are_known(m: &Module, checker: &InstanceHandle, live: Signal, dword: Signal) {
    let found = |name: &str| m.found(name);
    let is = |state: State| found("state").eq(state.code());
    let assert = |name: &str, condition: Signal| m.assert(m.found_clock(), name, condition);
    let named = checker.port("named");
    let wide = |name: &str| found(name).zext(SUM_BITS);
    let page_bytes = lit(PAGE_BYTES, SUM_BITS);
    let beyond = |bytes: Signal, most: Signal| bytes.gt(most).mux(bytes - most, lit(0u8, SUM_BITS));

    let has_ended = is(State::Whole) & found("unit_is_last");
    let is_next = is(State::List) | is(State::Entry) | (is(State::Whole) & !has_ended);
    let moves = live & found("has_data") & (is_next | is(State::Offer));
    let of_descriptors = is(State::Low) | is(State::High) | is(State::Judge) | is(State::Cut) | is(State::Piece);
    assert("prps_have_no_descriptors", live.implies(!of_descriptors & found("piece_ends")));
    let is_pair = found("is_compare") | found("is_copy");
    assert("sequences_are_known", live.implies(found("in_sequence").eq(is_pair)));
    let copies = is(State::There) | is(State::Back);
    assert("copies_have_their_states", (live & !is(State::End)).implies(copies.eq(found("is_copy"))));
    assert("wholes_are_compared", (live & is(State::Whole)).implies(found("is_compare")));
    assert("lists_are_of_data", (live & is(State::List)).implies(found("has_data") & !found("in_prp2")));
    assert("prp2_is_known", live.implies(found("in_prp2").eq(found("pages").le(2))));

    // Bytes behind the pages that the unit, or the next one, lies in.
    let left = found("left");
    let unit = left.ge(UNIT_BYTES).mux(lit(UNIT_BYTES, SUM_BITS), left.zext(SUM_BITS));
    let end = wide("left") + wide("offset");
    let crosses = (wide("offset") + wide("unit_bytes")).gt(PAGE_BYTES);
    let behind_page = beyond(end, page_bytes);
    let behind_unit = crosses.mux(beyond(end, page_bytes + page_bytes), behind_page);
    let page_known = found("page_known") | is(State::Offer);
    let behind = is(State::Offer).mux(behind_unit, page_known.mux(behind_page, wide("left")));
    assert("data_is_left", moves.implies(left.any() & left.le(found("job_bytes")) & !found("offset").low(2).any()));
    let is_last = is(State::Offer).mux(left.le(UNIT_BYTES), !left.any());
    assert("the_last_unit_is_known", {
        (live & (is(State::Offer) | is(State::Whole))).implies(found("unit_is_last").eq(is_last))
    });
    assert("units_are_whole", (live & is(State::Offer)).implies(wide("unit_bytes").eq(unit)));
    assert("unknown_pages_begin_at_their_start", (moves & !page_known).implies(!found("offset").any()));
    let in_prp2 = found("in_prp2");
    let rest = checker.port("dwords_left");
    let listed = in_prp2.mux(lit(0u8, SUM_BITS), behind);
    assert("the_rest_is_known", moves.implies(rest.eq(listed.bits(2..SUM_BITS).zext(DWORD_COUNT_BITS))));
    let lists = moves & !in_prp2;
    assert("the_list_is_known", lists.implies(checker.port("next_place").eq(found("list"))));
    let entries = (behind + (PAGE_BYTES - 1)).bits(OFFSET_BITS..OFFSET_BITS + 10);
    assert("entries_are_counted", moves.implies(found("entries_left").eq(entries)));

    let byte = cat(&[dword.low(OFFSET_BITS - 2), lit(0u8, 2)]).zext(SUM_BITS);
    let in_page = |page: Signal| dword.bits(OFFSET_BITS - 2..DWORD_ADDRESS_BITS).eq(page);
    let in_this = in_page(found("page")) & byte.ge(wide("offset")) & byte.lt(end);
    assert("the_page_is_named", (moves & page_known & in_this).implies(named));
    let in_next = in_page(found("next_page")) & (byte + page_bytes).lt(end);
    assert("the_next_page_is_named", (moves & is(State::Offer) & crosses & in_next).implies(named));
    let in_second = in_page(found("job_prp2").bits(OFFSET_BITS..64)) & byte.lt(behind);
    assert("prp2_is_named", (moves & in_prp2 & in_second).implies(named));
}

/// What is left of the data block has been named.
fn descriptors_are_known(m: &Module, checker: &InstanceHandle, live: Signal, dword: Signal) {
    let found = |name: &str| m.found(name);
    let is = |state: State| found("state").eq(state.code());
    let assert = |name: &str, condition: Signal| m.assert(m.found_clock(), name, condition);
    let [block, kind] = ["block_left", "kind"].map(found);
    let is_block = kind.eq(sgl::DATA_BLOCK);

    let has_block = is(State::Cut) | is(State::Piece) | is(State::Offer) | is(State::Whole);
    let of_prps = is(State::Entry) | is(State::There) | is(State::Back);
    assert("sgls_have_no_entries", live.implies(!of_prps));
    assert(
        "blocks_are_whole",
        (live & has_block).implies(!block.low(2).any() & !found("offset").low(2).any() & is_block),
    );
    let address = cat(&[found("page"), found("offset").bits(2..OFFSET_BITS)]);
    let in_block = (dword - address).lt(block.bits(2..32).zext(DWORD_ADDRESS_BITS));
    assert("the_block_is_named", {
        (live & (has_block | is(State::Judge)) & is_block & in_block).implies(checker.port("named"))
    });
    let unit = found("unit_bytes");
    let offers = live & is(State::Offer);
    assert("units_are_within_the_block", {
        offers.implies(unit.zext(32).le(block) & unit.le(UNIT_BYTES) & !unit.low(2).any())
    });
    assert("blocks_are_contiguous", offers.implies(found("next_page").eq(found("page") + 1)));
    let rest = found("rest");
    let in_sequence = live & found("in_sequence");
    assert("sequences_are_short", in_sequence.implies(rest.le(UNIT_BYTES) & !rest.low(2).any()));
    assert("pieces_are_of_sequences", {
        let is_in = found("in_sequence");
        (live & (is(State::Piece) | is(State::Whole))).implies(is_in) & (live & is(State::Cut)).implies(!is_in)
    });
    assert("pieces_are_within_the_sequence", (offers & found("in_sequence")).implies(unit.le(rest)));

    // Where the segment goes on.
    let [left, place] = ["descriptors_left", "next_place"].map(|name| checker.port(name));
    let leads_on = is(State::Judge) & found("is_link");
    let in_segment = live & !leads_on & !is(State::End);
    assert("descriptors_are_counted", in_segment.implies(left.eq(found("segment_left"))));
    let is_over = !is(State::Judge) & !is(State::List);
    assert("ends_of_segments_are_seen", {
        (in_segment & is_over).implies(found("segment_is_over").eq(!found("segment_left").any()))
    });
    assert("descriptors_are_of_the_segment", (live & is(State::High)).implies(left.any()));
    assert("the_segment_is_known", (live & is(State::List)).implies(place.eq(found("list"))));
    assert("the_next_segment_is_known", {
        (live & leads_on).implies(place.eq(address.bits(1..DWORD_ADDRESS_BITS)) & left.eq(block.bits(4..32)))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvme_spec::entry::prp;
    use rtl_hdl::sim::Simulator;
    use rtl_hdl::{elaborate, Evaluator};
    use std::collections::BTreeSet;

    /// Qwords of a line.
    const LINE_QWORDS: usize = 8;
    const SEEN: [&str; 3] =
        ["an_entry_of_a_list_is_used", "an_entry_of_a_second_list_is_used", "a_descriptor_of_a_segment_is_used"];
    const CLOCKS_MAX: u32 = 200;
    /// Where a list or a segment lies, where another one, and where data.
    const LIST: u64 = 0x10_000;
    const SECOND_LIST: u64 = 0x20_000;
    const DATA: u64 = 0x30_000;

    /// Which of the covers a Read reaches whose pointer is `halves`, if the lists name page 0: dword 0 is the one that is watched.
    fn seen_of(halves: [u64; 2], is_sgl: bool, memory: impl Fn(u64) -> u64) -> BTreeSet<&'static str> {
        let design = elaborate(&pointers()).unwrap();
        let mut simulation = Evaluator::new(&design).unwrap();
        let set = |simulation: &mut Evaluator, name: &str, value: u64| {
            let port = simulation.port(name);
            simulation.poke_u64(port, value);
        };
        for (name, value) in
            [("reset", 1), ("job_valid", 0), ("unit_ready", 1), ("walk_end_ready", 1), ("list_read_ready", 1)]
        {
            set(&mut simulation, name, value);
        }
        set(&mut simulation, "list_beat_valid", 0);
        simulation.step();
        for (name, value) in [
            ("reset", 0),
            ("job_valid", 1),
            ("job_operation", Operation::Read.code()),
            ("job_bytes", u64::from(3 * PAGE_BYTES)),
            ("job_units", 3),
            ("job_sgl", u64::from(is_sgl)),
            ("job_prp1", halves[0]),
            ("job_prp2", halves[1]),
        ] {
            set(&mut simulation, name, value);
        }
        for clock in 0.. {
            assert!(clock < CLOCKS_MAX, "the command does not end");
            simulation.settle();
            let get = |simulation: &Evaluator, name: &str| simulation.peek_u64(simulation.port(name));
            let [ends, asks, address] =
                ["job_ready", "list_read_valid", "list_read_address"].map(|name| get(&simulation, name));
            simulation.step();
            if ends != 0 {
                break;
            }
            let line: Vec<u64> = (0..LINE_QWORDS as u64).map(|at| memory(address + 8 * at)).collect();
            let port = simulation.port("list_beat_data");
            simulation.poke(port, &line);
            set(&mut simulation, "list_beat_valid", asks);
        }
        let seen = simulation.covers().filter(|(_, hits)| *hits > 0);
        seen.filter_map(|(path, _)| SEEN.into_iter().find(|name| path.ends_with(name))).collect()
    }

    #[test]
    fn an_entry_of_a_list_is_used() {
        let memory = |address| if address == LIST { 0 } else { DATA };
        assert_eq!(seen_of([DATA, LIST], false, memory), BTreeSet::from([SEEN[0]]));
    }

    #[test]
    fn an_entry_of_a_list_behind_another_is_used() {
        let last = LIST + u64::from(PAGE_BYTES - prp::ENTRY_BYTES);
        let memory = |address| match address {
            SECOND_LIST => 0,
            _ if address == last => SECOND_LIST,
            _ => DATA,
        };
        assert_eq!(seen_of([DATA, last], false, memory), BTreeSet::from([SEEN[0], SEEN[1]]));
    }

    #[test]
    fn a_descriptor_of_a_segment_is_used() {
        let segment = u64::from(sgl::LAST_SEGMENT) << 56 | u64::from(sgl::DESCRIPTOR_BYTES);
        let memory = |address| if address == LIST { 0 } else { u64::from(3 * PAGE_BYTES) };
        assert_eq!(seen_of([LIST, segment], true, memory), BTreeSet::from([SEEN[2]]));
    }
}
