//! Which pages of host memory a command may reach.

use nvme_spec::entry::prp;
use nvme_spec::limits::PAGE_BYTES;
use rtl_hdl::{cat, when, Block, Module};

/// Bits of an offset in a page.
const OFFSET_BITS: u32 = PAGE_BYTES.trailing_zeros();
/// Bits of the number of a page.
pub const PAGE_BITS: u32 = 64 - OFFSET_BITS;
/// Bits of a length in bytes.
const LENGTH_BITS: u32 = 32;
/// Bits of a line of a list: eight entries.
const LINE_BITS: u32 = 512;
/// Bits of an entry.
const ENTRY_BITS: u32 = 8 * prp::ENTRY_BYTES;

/// Data is moved only within the pages that the PRPs of a live command name: PRP1, then PRP2, or the entries of the list that has been read.
///
/// One page is watched, any one. Lists are read in lines of eight entries; each entry of a line that was read counts as named.
#[derive(Clone, Copy, Debug)]
pub struct Pages;

impl Block for Pages {
    fn name(&self) -> String {
        "nvme_pages".into()
    }

    fn description(&self) -> String {
        "Checks that no page is accessed that the PRPs of the command do not name.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let watched = m.input("watched", PAGE_BITS);
        let begin = m.input("begin_taken", 1);
        let [prp1, prp2] = ["begin_prp1", "begin_prp2"].map(|name| m.input(name, 64));
        let bytes = m.input("begin_bytes", LENGTH_BITS);
        let [list, list_line] = [("list", 1), ("list_line", LINE_BITS)].map(|(name, bits)| m.input(name, bits));
        let [access, access_page] = [("access", 1), ("access_page", PAGE_BITS)].map(|(name, bits)| m.input(name, bits));
        let end = m.input("end_taken", 1);

        // 2. State
        let live = m.reg("is_live", clock, false);
        let named = m.reg("is_named", clock, false);
        let watched_before = m.reg_without_reset("watched_before", clock, PAGE_BITS);

        // 3. Conditions
        let page_of = |address: rtl_hdl::Signal| address.bits(OFFSET_BITS..64);
        let offset = prp1.low(OFFSET_BITS).zext(LENGTH_BITS);
        let pages = m.wire("pages", (bytes + offset + ((1u32 << OFFSET_BITS) - 1)).bits(OFFSET_BITS..LENGTH_BITS));
        let by_prp1 = m.wire("by_prp1", bytes.any() & page_of(prp1).eq(watched));
        let by_prp2 = m.wire("by_prp2", pages.eq(2) & page_of(prp2).eq(watched));
        let entry = |place: u32| page_of(list_line.bits(place * ENTRY_BITS..(place + 1) * ENTRY_BITS)).eq(watched);
        let by_list = m.wire("by_list", list & cat(&(0..LINE_BITS / ENTRY_BITS).map(entry).collect::<Vec<_>>()).any());
        let accesses = m.wire("accesses", access & access_page.eq(watched));

        // 4. Next state
        watched_before.set(watched);
        when(by_list, || named.set(live));
        when(end, || {
            live.set(false);
            named.set(false);
        });
        when(begin, || {
            live.set(true);
            named.set(by_prp1 | by_prp2);
        });

        // 5. Outputs, for what ties this state to that of a controller
        m.output("live", live);
        m.output("named", named);

        // 6. Properties
        m.assume(clock, "watched_stays", watched.eq(watched_before));
        m.assert(clock, "no_access_without_a_command", access.implies(live));
        m.assert(clock, "no_access_outside_the_prps", accesses.implies(named));
        m.cover(clock, "the_watched_page_is_accessed", accesses);
    }
}
