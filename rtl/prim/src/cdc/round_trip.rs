//! A level that crosses and comes back, as ghost state: what holds of the registers on its way.

use crate::first_one;
use rtl_hdl::{cat, Clock, Module, Signal, Synchronized};

/// Why properties look at what belongs to another clock.
pub(super) const ONLY_CHECKED: &str = "only assertions look at it";

/// A level and its way.
pub(super) struct RoundTrip<'a> {
    /// The level, in the first clock.
    pub sent: Signal,
    /// On the way to the second clock.
    pub arrived: &'a Synchronized,
    /// What the second clock has seen.
    pub seen: Signal,
    /// On the way back.
    pub returned: &'a Synchronized,
}

impl RoundTrip<'_> {
    /// Asserts that at most one turn of the level is on its way: the registers show one value up to some place, and one value behind it.
    pub fn has_one_turn(&self, m: &Module, from: Clock) {
        let there: Vec<Signal> = self.arrived.registers().iter().copied().chain([self.seen]).collect();
        let there = m.held_across("there", from, cat(&there), ONLY_CHECKED);
        let mut way = vec![self.sent];
        way.extend((0..there.width()).rev().map(|bit| there.bit(bit)));
        way.extend(self.returned.registers());
        let turns: Vec<Signal> = way.windows(2).map(|pair| pair[0] ^ pair[1]).collect();
        let turns = m.wire("turns", cat(&turns));
        m.assert(from, "one_turn_is_on_the_way", first_one(turns).eq(turns));
    }
}
