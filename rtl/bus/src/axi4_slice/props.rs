//! Both sides of a slice keep the rules of AXI4 if what is around it does.

use crate::rules::{Axi4Rules, Watch};
use crate::{Axi4Config, Axi4Manager, Axi4Subordinate};
use rtl_hdl::{Clock, Module, Signal, StreamOut, Value};

/// Asserts the rules of both ports, and how their states belong together: they are equal when `from` has seen the answers that are held, and `to`
/// the requests.
pub(super) fn keeps_the_rules(m: &Module, clock: Clock, config: Axi4Config, from: &Axi4Subordinate, to: &Axi4Manager) {
    let watch = Watch::new(m, clock, "watched", config);
    let rules_of_from = Axi4Rules::of_subordinate(m, clock, "from_rules", config, from, watch);
    let rules_of_to = Axi4Rules::of_manager(m, clock, "to_rules", config, to, watch);

    let seen = replay(&from.b, rules_of_from.writes, |writes, full, item| writes.response(full, item, watch));
    let sent = replay(&to.aw, rules_of_to.writes, |writes, full, item| writes.address(full, item, config, watch));
    let sent = replay(&to.w, sent, |writes, full, item| writes.data(full, item, watch));
    m.assert(clock, "writes_are_the_same", seen.pack().eq(sent.pack()));

    let seen = replay(&from.r, rules_of_from.reads, |reads, full, item| reads.data(full, item, watch));
    let sent = replay(&to.ar, rules_of_to.reads, |reads, full, item| reads.address(full, item, config, watch));
    m.assert(clock, "reads_are_the_same", seen.pack().eq(sent.pack()));

    let in_order = [order(&to.aw), order(&to.w), order(&from.b), order(&to.ar), order(&from.r)];
    let in_order = in_order.into_iter().reduce(|a, b| a & b).expect("there are five");
    m.assert(clock, "first_places_are_filled_first", in_order);
}

/// The state after everything that a stream holds.
fn replay<V: Value, S>(stream: &StreamOut<V>, state: S, step: impl Fn(S, Signal, &V) -> S) -> S {
    let contents = stream.contents();
    let state = step(state, contents.full, &contents.held);
    match contents.spare {
        Some((full, item)) => step(state, full, &item),
        None => state,
    }
}

/// The second place of a stream is full only if the first is.
fn order<V: Value>(stream: &StreamOut<V>) -> Signal {
    let contents = stream.contents();
    contents.spare.map_or(contents.full | !contents.full, |(full, _)| full.implies(contents.full))
}
