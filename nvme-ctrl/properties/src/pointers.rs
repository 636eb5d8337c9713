//! Which of host memory a command may reach.

use nvme_spec::entry::prp;
use nvme_spec::limits::PAGE_BYTES;
use nvme_spec::sgl;
use rtl_hdl::{lit, when, zero, Block, Module, Signal};

/// Bits of the address of a dword of host memory. Data and all that points to it is aligned to dwords.
pub const DWORD_ADDRESS_BITS: u32 = 62;
/// Bits of a number of dwords.
pub const DWORD_COUNT_BITS: u32 = 30;
/// Bits of the address of an entry of a list, in qwords, and of a number of qwords.
pub const QWORD_ADDRESS_BITS: u32 = 61;
/// See [`QWORD_ADDRESS_BITS`].
pub const QWORD_COUNT_BITS: u32 = 29;

const PAGE_DWORDS: u32 = PAGE_BYTES / 4;
/// Bits of the place of a dword in its page, and of an entry in its page of a list.
const OFFSET_BITS: u32 = PAGE_DWORDS.trailing_zeros();
const ENTRY_INDEX_BITS: u32 = prp::ENTRIES_PER_PAGE.trailing_zeros();
/// Bits of a number of descriptors.
const DESCRIPTOR_COUNT_BITS: u32 = 32 - sgl::DESCRIPTOR_BYTES.trailing_zeros();

/// Data is moved only where the data pointer of a live command says: within PRP1, then PRP2 or the entries of the list, or within the data blocks
/// of the SGL; and lists and segments are read only where the command, or the list or segment before, says.
///
/// One dword of host memory is watched, any one. Entries and descriptors are told one by one, in the order in which they are used.
#[derive(Clone, Copy, Debug)]
pub struct Pointers;

impl Block for Pointers {
    fn name(&self) -> String {
        "nvme_pointers".into()
    }

    fn description(&self) -> String {
        "Checks that nothing is accessed but what the data pointer of a live command names.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let watched = m.input("watched", DWORD_ADDRESS_BITS);
        let begin = m.input("begin_taken", 1);
        let begin_halves = ["begin_low", "begin_high"].map(|name| m.input(name, 64));
        let begin_sgl = m.input("begin_sgl", 1);
        let dwords = m.input("begin_dwords", DWORD_COUNT_BITS);
        let [entry_taken, entry] = [("entry_taken", 1), ("entry", 64)].map(|(name, bits)| m.input(name, bits));
        let descriptor_taken = m.input("descriptor_taken", 1);
        let descriptor_halves = ["descriptor_low", "descriptor_high"].map(|name| m.input(name, 64));
        let list = m.input("list", 1);
        let list_address = m.input("list_address", QWORD_ADDRESS_BITS);
        let list_qwords = m.input("list_qwords", QWORD_COUNT_BITS);
        let access = m.input("access", 1);
        let access_address = m.input("access_address", DWORD_ADDRESS_BITS);
        let access_dwords = m.input("access_dwords", DWORD_COUNT_BITS);
        let end = m.input("end_taken", 1);

        // 2. State
        let live = m.reg("is_live", clock, false);
        let named = m.reg("is_named", clock, false);
        let is_sgl = m.reg("is_sgl", clock, false);
        // PRPs: dwords behind the pages that are named.
        let rest = m.reg("rest", clock, zero(DWORD_COUNT_BITS));
        // SGLs: descriptors of the segment that are still to come.
        let descriptors = m.reg("descriptors", clock, zero(DESCRIPTOR_COUNT_BITS));
        // Where the next entry or descriptor lies.
        let place = m.reg_without_reset("place", clock, QWORD_ADDRESS_BITS);
        // For covers: how the watched dword was named, and whether a list or segment has followed another.
        let [by_entry, by_descriptor, goes_on] =
            ["by_entry", "by_descriptor", "goes_on"].map(|name| m.reg(name, clock, false));
        let watched_before = m.reg_without_reset("watched_before", clock, DWORD_ADDRESS_BITS);

        // 3. Conditions: PRPs.
        let is_within = |first: Signal, dwords: Signal| (watched - first).lt(dwords.zext(DWORD_ADDRESS_BITS));
        let page_of = |address: Signal| address.bits(PAGE_BYTES.trailing_zeros()..64);
        let is_in_page = |entry: Signal, dwords: Signal| {
            let is_same = page_of(entry).eq(watched.bits(OFFSET_BITS..DWORD_ADDRESS_BITS));
            is_same & watched.low(OFFSET_BITS).zext(DWORD_COUNT_BITS).lt(dwords)
        };
        let at_most = |dwords: Signal, most: Signal| dwords.lt(most).mux(dwords, most);
        let page = lit(PAGE_DWORDS, DWORD_COUNT_BITS);
        let [prp1, prp2] = begin_halves;
        let prp1_dword = prp1.bits(2..64);
        let first = m.wire("first", at_most(dwords, page - prp1_dword.low(OFFSET_BITS).zext(DWORD_COUNT_BITS)));
        let behind = m.wire("behind", dwords - first);
        let has_list = m.wire("has_list", behind.gt(PAGE_DWORDS));
        let by_prps = m.wire("by_prps", is_within(prp1_dword, first) | (!has_list & is_in_page(prp2, behind)));
        let index = place.low(ENTRY_INDEX_BITS);
        let is_chain = m.wire("is_chain", index.all() & rest.gt(PAGE_DWORDS));
        let entry_names = m.wire("entry_names", entry_taken & !is_chain & is_in_page(entry, rest));

        // 3. Conditions: SGLs.
        let [low, high] = [0, 1].map(|half| begin.mux(begin_halves[half], descriptor_halves[half]));
        let judged = m.wire("judged", (begin & begin_sgl) | (descriptor_taken & descriptors.any()));
        let identifier = high.bits(56..64);
        let is_link = m.wire("is_link", identifier.eq(sgl::SEGMENT) | identifier.eq(sgl::LAST_SEGMENT));
        let in_block = is_within(low.bits(2..64), high.bits(2..32));
        let block_names = m.wire("block_names", judged & identifier.eq(sgl::DATA_BLOCK) & in_block);

        // 3. Conditions: what is read and accessed.
        let pages = (rest + (PAGE_DWORDS - 1)).bits(OFFSET_BITS..DWORD_COUNT_BITS);
        let to_end_of_page = lit(prp::ENTRIES_PER_PAGE, pages.width()) - index.zext(pages.width());
        let entries = at_most(pages, to_end_of_page).zext(QWORD_COUNT_BITS);
        let known = m.wire(
            "known",
            is_sgl.mux(descriptors.zext(QWORD_COUNT_BITS) + descriptors.zext(QWORD_COUNT_BITS), entries),
        );
        let list_begin = list_address - place;
        let list_end = list_begin + list_qwords.zext(QWORD_ADDRESS_BITS);
        let is_list = list_begin.le(list_end) & list_end.le(known.zext(QWORD_ADDRESS_BITS));
        let accesses = m.wire("accesses", access & is_within(access_address, access_dwords));

        // 4. Next state
        watched_before.set(watched);
        when(entry_taken & is_chain, || {
            place.set(entry.bits(3..64));
            goes_on.set(true);
        })
        .else_when(entry_taken, || {
            place.set(place + 1);
            rest.set(rest - at_most(rest, page));
        });
        when(descriptor_taken, || {
            place.set(place + 2);
            descriptors.set(descriptors - 1);
            goes_on.set(goes_on | is_link);
        });
        when(entry_names, || by_entry.set(true));
        when(block_names, || by_descriptor.set(true));
        when(entry_names | block_names, || named.set(true));
        when(begin, || {
            live.set(true);
            is_sgl.set(begin_sgl);
            named.set(begin_sgl.mux(block_names, by_prps));
            rest.set(has_list.mux(behind, behind.literal(0u8)));
            place.set(prp2.bits(3..64));
            descriptors.set(zero(DESCRIPTOR_COUNT_BITS));
            for is_so in [by_entry, by_descriptor, goes_on] {
                is_so.set(false);
            }
        });
        when(judged & is_link, || {
            place.set(low.bits(3..64));
            descriptors.set(high.bits(4..32));
        });
        when(end, || live.set(false));

        // 5. Outputs, for what ties this state to that of a controller
        m.output("live", live);
        m.output("named", named);
        m.output("is_of_sgl", is_sgl);
        m.output("dwords_left", rest);
        m.output("descriptors_left", descriptors);
        m.output("next_place", place);

        // 6. Properties
        m.assume(clock, "watched_stays", watched.eq(watched_before));
        m.assert(clock, "no_access_without_a_command", access.implies(live));
        m.assert(clock, "no_access_outside_the_data_pointer", accesses.implies(named));
        m.assert(clock, "no_list_outside_the_data_pointer", list.implies(live & is_list));
        m.cover(clock, "an_entry_of_a_list_is_used", accesses & by_entry);
        m.cover(clock, "an_entry_of_a_second_list_is_used", accesses & by_entry & goes_on);
        m.cover(clock, "a_descriptor_of_a_segment_is_used", accesses & by_descriptor);
    }
}
