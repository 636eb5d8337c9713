//! The arbiter: turns by class, with every class waiting or not as it likes.

use crate::{count, stays, watched};
use nvme_hw::arbiter::{Arbiter, Kind, State};
use nvme_hw::Config;
use nvme_properties::{Arbitration, Class};
use rtl_hdl::{block_fn, cat, lit, select, when, Block, HwEnum, Module, Shape, Signal};
use rtl_prim::one_hot;

/// The admin queue and four I/O queues: one for each class.
const CONFIG: Config = Config { functions: 1, io_queues: 4, ..Config::SMALL };
const SLOTS: u32 = CONFIG.queues();
const TURN_ENTRIES_MAX: u32 = 8;

/// The classes with weights, and the bits of their weights in the feature.
const WEIGHTED: [(Class, &str, u32); 3] =
    [(Class::High, "high", 16), (Class::Medium, "medium", 8), (Class::Low, "low", 0)];

/// The largest weight: sums of few bits are decided much faster.
const WEIGHT_MAX: u32 = 7;

/// Bit `i` says that `number` is more than `i`.
fn reaches(number: Signal) -> Signal {
    cat(&(0..TURN_ENTRIES_MAX).rev().map(|i| number.gt(i)).collect::<Vec<_>>())
}

/// No bit of `bits` is outside of `limit`.
fn is_within(bits: Signal, limit: Signal) -> Signal {
    !(bits & !limit).any()
}

/// Turns by class.
pub fn arbitration() -> impl Block {
    block_fn("arbiter_turns", |m: &Module| {
        Arbiter::new(CONFIG).build(m);
        let clock = m.found_clock();
        let is = |state: State| m.found("state").eq(state.code());
        let checker = m.instance("arbitration", &Arbitration);
        let [pending, members] = ["pending", "members_f0"].map(|name| m.found(name));
        let [urgent, high, medium] = ["urgent", "high", "medium"].map(|class| stays(m, &format!("{class}_priority")));
        let admins = lit(1u8, SLOTS);
        let classes = [admins, urgent & !admins, high & !admins, medium & !admins, !(urgent | high | medium | admins)];
        let of_class = |class: Signal| select(&classes, class);

        // From the controller to the checker.
        let [ours, other] = ["watched_class", "other_class"].map(|name| watched(m, name, Class::WIDTH));
        checker.port("watched").set(ours);
        checker.port("other").set(other);
        let waiting = classes.map(|class| (pending & members & class).any());
        checker.port("waiting").set(cat(&waiting.into_iter().rev().collect::<Vec<_>>()));
        let [weights, burst] = ["weights_f0", "burst_f0"].map(|name| stays(m, name));
        for (_, name, lsb) in WEIGHTED {
            m.assume(clock, &format!("weight_{name}_is_small"), weights.bits(lsb..lsb + 8).le(WEIGHT_MAX));
        }
        checker.port("burst").set(burst);
        for (_, name, lsb) in WEIGHTED {
            checker.port(&format!("weight_{name}")).set(weights.bits(lsb..lsb + 8));
        }
        let class_of = |kind: Signal| kind - Kind::Admin.code();
        let [settled, settled_count] = ["settled", "settled_count"].map(|name| m.found(name));
        checker.port("turn").set(settled);
        checker.port("turn_class").set(class_of(m.found("taken_kind")));
        checker.port("turn_count").set(count(settled_count));

        // What is assumed: what the queue manager does with a candidate, and that settings stay.
        let [candidate, limit, taken] = ["candidate", "candidate_limit", "taken"].map(|name| m.found(name));
        let unsettled = m.reg("unsettled_turn", clock, false);
        let allowed = m.reg_without_reset("allowed", clock, TURN_ENTRIES_MAX);
        when(settled, || unsettled.set(false));
        when(taken, || {
            unsettled.set(true);
            allowed.set(limit);
        });
        m.assume(clock, "candidates_are_taken", taken.implies(candidate & !unsettled));
        m.assume(clock, "what_was_taken_is_settled", settled.implies(unsettled));
        m.assume(
            clock,
            "no_more_is_fetched_than_allowed",
            settled.implies(settled_count.le(TURN_ENTRIES_MAX) & is_within(reaches(settled_count), allowed)),
        );
        let choice = m.found("rest") & m.found("ours") & m.found("classes");
        m.assume(clock, "what_is_pending_stays_until_its_turn", is(State::Mask).implies(choice.any()));
        m.assume(clock, "priorities_are_apart", !((urgent & high) | (urgent & medium) | (high & medium)).any());
        m.assume(
            clock,
            "every_queue_is_weighted",
            m.found("weighted").any() & m.found("granting").any() & members.all(),
        );

        // How the state of the checker is that of the block.
        let chooses = is(State::Mask) | is(State::Turn) | is(State::Name) | is(State::Offer);
        let [kind, taken_kind, taken_sq] = ["kind", "taken_kind", "taken_sq"].map(|name| m.found(name));
        let assert = |name: &str, condition: Signal| m.assert(clock, name, condition);
        assert("states_exist", m.found("state").le(State::Offer.code()));
        assert("a_turn_is_settled_before_the_next", !(chooses & unsettled));
        assert("what_is_unsettled_is_known", unsettled.eq(taken_sq.any()));
        let has_class = |kind: Signal| kind.ge(Kind::Admin.code()) & kind.le(Kind::Low.code());
        assert("kinds_are_classes", chooses.implies(has_class(kind)) & unsettled.implies(has_class(taken_kind)));
        let functions = ["chosen_function", "taken_function"].map(|name| m.found(name).any());
        assert("turns_are_of_the_function", chooses.implies(functions[0]) & unsettled.implies(functions[1]));
        let entries = burst.all().mux(lit(TURN_ENTRIES_MAX, 8), lit(1u8, 8).shl(burst));
        let burst = reaches(entries);
        assert(
            "bursts_are_limited",
            (chooses & !is(State::Mask)).implies(is_within(limit, burst))
                & unsettled.implies(is_within(allowed, burst)),
        );
        for (class, name, lsb) in WEIGHTED {
            let credit = m.found(&format!("credit_{name}_f0"));
            let weight = weights.bits(lsb..lsb + 8).zext(credit.width()) + 1;
            assert(&format!("credit_{name}_is_within_its_weight"), credit.le(weight));
            let is_class = |kind: Signal| class_of(kind).eq(class.code());
            assert(&format!("limits_of_{name}_are_within_its_credit"), {
                let chosen = (chooses & is_class(kind)).implies(is_within(limit, reaches(credit)));
                chosen & (unsettled & is_class(taken_kind)).implies(is_within(allowed, reaches(credit)))
            });
        }
        let class = of_class(class_of(kind));
        let candidates = one_hot(m.found("sq"), SLOTS);
        assert("queues_are_of_the_class", {
            is(State::Turn).implies(is_within(m.found("waiting"), class) & m.found("waiting").any())
                & is(State::Turn).implies(is_within(m.found("waiting_above"), m.found("waiting")))
                & is(State::Name).implies(is_within(m.found("turn"), class) & m.found("turn").any())
                & is(State::Offer).implies(is_within(candidates, class) & candidates.any())
                & unsettled.implies(is_within(taken_sq, of_class(class_of(taken_kind))))
        });
        let is_watched = checker.port("is_watched");
        let kinds = ["admin", "urgent", "high", "medium", "low"].map(|name| m.found(&format!("has_{name}_f0")));
        let ours_is_taken = unsettled & class_of(taken_kind).eq(ours);
        let is_strict = ours.lt(Class::High.code());
        let was_taken = is_strict & !m.found("is_whole");
        assert("a_class_that_waits_is_seen", is_watched.implies(select(&kinds, ours) | ours_is_taken | was_taken));
        let lower = |kind: Signal| class_of(kind).gt(ours);
        let given = (chooses & lower(kind)) | (unsettled & lower(taken_kind));
        let turns = checker.port("lower_turns");
        assert("one_turn_was_given_before", (is_strict & is_watched).implies((turns + given.zext(2)).le(1)));
        assert("turns_are_counted_while_waiting", is_watched | !turns.any());
        // What another class has been given is what it had left of its round, and after that one more weight.
        let wide = |value: Signal| value.zext(16);
        let credits = WEIGHTED.map(|(class, name, lsb)| {
            let weight = wide(weights.bits(lsb..lsb + 8)) + 1;
            (class, wide(m.found(&format!("credit_{name}_f0"))), weight)
        });
        let others = checker.port("other_entries");
        assert("entries_are_counted_while_waiting", is_watched | !others.any());
        for (of, credit, _) in &credits {
            for (to, left, weight) in credits.iter().filter(|(to, ..)| to.code() != of.code()) {
                let name = |class: &Class| WEIGHTED.iter().find(|w| w.0.code() == class.code()).map_or("", |w| w.1);
                let these = ours.eq(of.code()) & other.eq(to.code());
                let most = credit.any().mux(*weight + *weight, *weight);
                assert(
                    &format!("share_of_{}_beside_{}", name(to), name(of)),
                    these.implies(others.le(most) & (others + *left).le(most)),
                );
            }
        }
    })
}
