//! Whose turn it is.

use nvme_spec::firmware_port::arbitration::{AB, HPW, LPW, MPW};
use rtl_hdl::{cat, hw_enum, lit, select, when, zero, Block, HwEnum, Module, Shape, Signal};

/// Bits of a number of entries.
const ENTRY_BITS: u32 = 16;
/// A class that has waited for so many clocks is in the choice of every turn after.
const SEEN_CLOCKS: u32 = 4;
/// So many turns may have been given when a class of strict priority begins to wait.
const EARLIER_TURNS_MAX: u32 = 1;

hw_enum! {
    /// The classes of submission queues.
    pub enum Class {
        /// The admin queue.
        Admin,
        /// Urgent priority.
        Urgent,
        /// High priority.
        High,
        /// Medium priority.
        Medium,
        /// Low priority.
        Low,
    }
}

/// Weighted round robin with urgent priority: admin and urgent queues go first, the others have shares by their weights.
///
/// `waiting` has a bit for each [`Class`], the first lowest: one of its queues has entries that may be fetched. A turn is a fetch, or an attempt
/// that comes to nothing (a count of 0, for want of room). A class that waits meets at most twice the weight of another class in entries: the rest of this round and the next.
/// `watched` and `other` choose the two classes; they and the weights stay.
#[derive(Clone, Copy, Debug)]
pub struct Arbitration;

impl Block for Arbitration {
    fn name(&self) -> String {
        "nvme_arbitration".into()
    }

    fn description(&self) -> String {
        "Checks the arbitration burst, strict priorities, and shares by weight.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let [watched, other] = ["watched", "other"].map(|name| m.input(name, Class::WIDTH));
        let waiting = m.input("waiting", 5);
        let burst = m.input("burst", AB.width);
        let weights = [("low", LPW), ("medium", MPW), ("high", HPW)]
            .map(|(class, field)| m.input(&format!("weight_{class}"), field.width));
        let turn = m.input("turn", 1);
        let turn_class = m.input("turn_class", Class::WIDTH);
        let turn_count = m.input("turn_count", ENTRY_BITS);

        // 2. State
        let seen = m.reg("seen", clock, zero(3));
        let others = m.reg("others", clock, zero(ENTRY_BITS));
        let turns = m.reg("turns", clock, zero(2));
        let chosen = cat(&[&[watched, other, burst], &weights[..]].concat());
        let chosen_before = m.reg_without_reset("chosen_before", clock, chosen.width());

        // 3. Conditions
        let waits = m.wire("waits", select(&(0..5).map(|class| waiting.bit(class)).collect::<Vec<_>>(), watched));
        let is_seen = m.wire("is_seen", seen.eq(SEEN_CLOCKS));
        let is_strict = m.wire("is_strict", watched.lt(Class::High.code()));
        let has_weight = |class: Signal| class.ge(Class::High.code()) & class.le(Class::Low.code());
        let ours = m.wire("ours", turn & turn_class.eq(watched));
        let theirs = m.wire("theirs", turn & turn_class.eq(other) & other.ne(watched));
        let lower = m.wire("lower", turn & turn_class.gt(watched) & turn_count.any());
        // The feature stores weights minus one.
        let [low, medium, high] = weights.map(|weight| weight.zext(ENTRY_BITS) + 1);
        let weight =
            m.wire("weight", other.eq(Class::High.code()).mux(high, other.eq(Class::Medium.code()).mux(medium, low)));
        let burst_entries = m.wire("burst_entries", lit(1u8, ENTRY_BITS).shl(burst));
        let no_limit = burst.all();

        // 4. Next state
        chosen_before.set(chosen);
        // A class of strict priority waits beyond its turns.
        when(!waits | (ours & !is_strict), || {
            seen.set(zero(3));
            others.set(zero(ENTRY_BITS));
            turns.set(zero(2));
        })
        .otherwise(|| {
            when(!is_seen, || seen.set(seen + 1));
            when(is_seen & theirs, || others.set(others + turn_count));
            when(is_seen & lower & !turns.all(), || turns.set(turns + 1));
        });

        // 5. Outputs, for what ties this state to that of a controller
        m.output("is_watched", is_seen);
        m.output("other_entries", others);
        m.output("lower_turns", turns);

        // 6. Properties
        m.assume(clock, "what_is_chosen_stays", chosen.eq(chosen_before));
        m.assert(clock, "a_turn_is_within_the_burst", turn.implies(no_limit | turn_count.le(burst_entries)));
        m.assert(clock, "admin_and_urgent_queues_go_first", is_strict.implies(turns.le(EARLIER_TURNS_MAX)));
        let by_weight = has_weight(watched) & has_weight(other);
        m.assert(clock, "shares_are_by_weight", by_weight.implies(others.le(weight + weight)));
        m.cover(clock, "a_class_waits_for_another", by_weight & others.any());
    }
}
