//! Fairness: who waits sees each other requester served once at most.

use crate::{first_one, is_index, one_hot, one_hot_index};
use rtl_hdl::{address_width, lit, when, zero, Clock, Module, Signal};

/// Requests and whose turn it is; all are one bit for each requester.
pub(super) struct Turns {
    /// Who waits.
    pub request: Signal,
    /// Who is chosen in this clock, at most one.
    pub chosen: Signal,
    /// Behind whom the search begins; nobody at first.
    pub last: Signal,
}

/// Asserts that no requester is passed over by as many others as there are requesters.
pub(super) fn is_fair(m: &Module, clock: Clock, turns: Turns) {
    let Turns { request, chosen, last } = turns;
    let count = request.width();
    let (index_bits, bits) = (address_width(count), address_width(count + 1) + 1);

    // An arbitrary requester, which stays the same.
    let watched = m.reg_without_reset("watched", clock, index_bits);
    watched.set(watched);
    let is_watched = one_hot(watched, count);
    let waits = m.wire("watched_waits", (request & is_watched).any());
    let passed = m.reg("watched_is_passed", clock, zero(bits));
    when(!waits | (chosen & is_watched).any(), || passed.set(0)).else_when(chosen.any(), || passed.set(passed + 1));

    m.assert(clock, "nobody_starves", passed.lt(count.max(2)));
    // Each choice brings the turn nearer to who waits: how often it was passed over, and how far away the turn is, make one round.
    m.assert(clock, "last_is_one", first_one(last).eq(last));
    let last = last.any().mux(one_hot_index(last), lit(count - 1, index_bits)).zext(bits);
    let watched_wide = watched.zext(bits);
    let distance = last.lt(watched_wide).mux(watched_wide - last, watched_wide + count - last);
    let in_one_round = passed.eq(0) | (passed + distance).le(count);
    m.assert(clock, "turn_comes_nearer", is_index(watched, count).implies(in_one_round));
}
