//! # Arbiter
//!
//! Chooses the submission queue that is fetched from next.
//!
//! ## Symbol
//! ```text
//!                          +-- arbiter --+
//!  pending               -->|             |---> candidate, candidate_sq, candidate_limit
//!  members_f0, ..        -->|             |
//!  urgent_priority, ..   -->|             |
//!  granting, weighted    -->|             |
//!  weights_f0, burst_f0 .. -->|             |
//!  hint, hint_sq, ..     -->|             |
//!  taken, settled, ..    -->|             |
//!                          +-------------+
//! ```
//! ## Theory of operation
//! NVMe Base, "Command Arbitration". Every queue slot has a bit in `pending`, and one in `members` of its function.
//! 1. `Look`: what is there to fetch, by function and by class, goes into registers.
//! 2. `Choose`: functions take turns. With round robin all queues of a function are one class. With weighted round robin and urgent priority the
//!    admin queue comes first, then urgent queues, then those of high, medium and low priority as long as their class has credits. A class
//!    begins each round with as many credits as its weight; the round ends when no class with credits has anything to fetch.
//! 3. `Mask`, `Turn` and `Name`: the queues of the class take turns. `above` remembers for each class the queues behind the one that was granted
//!    something last.
//! 4. `Offer`: the candidate stands until it is `taken`. The search goes on at once without it; `settled` says that it has been granted
//!    `settled_count` entries, which may be none. With weights the choice waits until all that was taken is settled: the queue that had the last
//!    turn may be the one that comes first again.
//!
//! `candidate_limit` has bit `i` set if more than `i` entries may be granted: the arbitration burst and the credits allow them.
//!
//! A queue that gets its first entry while nothing is pending anywhere becomes the candidate at once (`hint`): there is nobody to compare it with.
//!
//! ## Timing
//! A candidate 6 clocks after `taken`, and 1 clock after `hint`. No combinational path from any input to any output.
//!
//! ## Limits
//! A grant has at most 8 entries, so that is the largest arbitration burst.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::held::{function_number, function_row, function_rows};
use crate::Config;
use nvme_spec::firmware_port::arbitration;
use rtl_hdl::{
    address_width, cat, hw_enum, lit, switch, when, zero, Block, Clock, HwEnum, MemoryStyle, Module, Shape, Signal,
};
use rtl_prim::{first_one, one_hot, one_hot_index, one_hot_select, round_robin};

#[cfg(test)]
mod bench;

/// Most entries of one grant.
pub(crate) const GRANT_ENTRIES_MAX: u32 = 8;

/// Width of a number of entries that is granted.
pub(crate) const COUNT_BITS: u32 = address_width(GRANT_ENTRIES_MAX + 1);

/// Width of a weight in the Arbitration feature.
pub const WEIGHT_BITS: u32 = arbitration::LPW.width;
/// Width of the weights of a function: low, medium, high, the low one in the low bits.
pub const WEIGHTS_BITS: u32 = arbitration::LPW.width + arbitration::MPW.width + arbitration::HPW.width;
/// Width of the Arbitration Burst.
pub const BURST_BITS: u32 = arbitration::AB.width;

hw_enum! {
    /// The classes of queues of a function.
    pub enum Kind {
        /// All of them: plain round robin.
        All,
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

hw_enum! {
    /// `Look -> Choose -> Mask -> Turn -> Name -> Offer -> Look`; from `Choose` back to `Look` at the end of a round, or without anything to
    /// fetch; from `Look` to `Offer` with a hint.
    pub enum State {
        /// What there is goes into registers. Leaves when there is something to fetch, or a hint.
        Look,
        /// A function and a class. Leaves in one clock; with weights, once all that was taken is settled and has been looked at again.
        Choose,
        /// Their queues. Leaves in one clock.
        Mask,
        /// One of these. Leaves in one clock.
        Turn,
        /// Its number. Leaves in one clock.
        Name,
        /// The candidate stands. Leaves when it is taken.
        Offer,
    }
}

/// The classes that share by weights, in the order of their weights from the low bits up.
const WEIGHTED: [Kind; 3] = [Kind::Low, Kind::Medium, Kind::High];

/// See the [page](self) of this block.
pub struct Arbiter {
    config: Config,
}

impl Arbiter {
    /// The arbiter of this configuration.
    pub fn new(config: Config) -> Self {
        Arbiter { config }
    }
}

/// A function, as the arbiter sees it.
struct Function {
    number: u32,
    granting: Signal,
    weighted: Signal,
    members: Signal,
    /// Credits that each class of [`WEIGHTED`] begins a round with.
    weights: Vec<Signal>,
    /// Bit `i`: the arbitration burst allows more than `i` entries.
    burst: Signal,
    /// By `Kind`: something is pending.
    has: Vec<Signal>,
    /// Of each class of [`WEIGHTED`].
    credits: Vec<Signal>,
}

impl Function {
    #[track_caller]
    fn new(m: &Module, clock: Clock, number: u32, slots: u32, [granting, weighted]: [Signal; 2]) -> Function {
        let weights = m.input(&format!("weights_f{number}"), WEIGHTS_BITS);
        // The Arbitration feature stores weights minus one.
        let weight =
            |place: u32| weights.bits(place * WEIGHT_BITS..(place + 1) * WEIGHT_BITS).zext(WEIGHT_BITS + 1) + 1;
        let burst = m.input(&format!("burst_f{number}"), BURST_BITS);
        let of_kind = |what: &str, kind: Kind| format!("{what}_{}_f{number}", name(kind));
        let has = Kind::VARIANTS.iter().map(|kind| m.reg(&of_kind("has", *kind), clock, false));
        let credits = WEIGHTED.map(|kind| m.reg(&of_kind("credit", kind), clock, zero(WEIGHT_BITS + 1)));
        Function {
            number,
            granting: granting.bit(number),
            weighted: weighted.bit(number),
            members: m.input(&format!("members_f{number}"), slots),
            weights: (0..3).map(weight).collect(),
            burst: m.wire(&format!("burst_limit_f{number}"), burst_limit(burst)),
            has: has.collect(),
            credits: credits.to_vec(),
        }
    }

    fn has(&self, kind: Kind) -> Signal {
        self.has[kind.code() as usize]
    }

    /// What its turn would be spent on: the class, how many entries its credits allow, and whether the round is over instead.
    fn choice(&self) -> [Signal; 3] {
        let code = |kind: Kind| lit(kind.code(), Kind::WIDTH);
        let mut kind = code(Kind::Low);
        let mut limit = lit(0u8, GRANT_ENTRIES_MAX);
        for (class, credit) in WEIGHTED.into_iter().zip(&self.credits) {
            let may = self.has(class) & credit.any();
            kind = may.mux(code(class), kind);
            limit = may.mux(reaches(*credit), limit);
        }
        let has_credit = limit.bit(0);
        for class in [Kind::Urgent, Kind::Admin] {
            kind = self.has(class).mux(code(class), kind);
        }
        let needs_credit = self.weighted & !self.has(Kind::Urgent) & !self.has(Kind::Admin);
        let kind = self.weighted.mux(kind, code(Kind::All));
        [kind, limit | (!needs_credit).repeat(GRANT_ENTRIES_MAX), needs_credit & !has_credit]
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::All => "all",
        Kind::Admin => "admin",
        Kind::Urgent => "urgent",
        Kind::High => "high",
        Kind::Medium => "medium",
        Kind::Low => "low",
    }
}

impl Block for Arbiter {
    fn name(&self) -> String {
        format!("arbiter_n{}_q{}", self.config.functions, self.config.io_queues)
    }

    fn description(&self) -> String {
        "Chooses the submission queue that is fetched from next.".into()
    }

    fn build(&self, m: &Module) {
        let functions = self.config.functions;
        let slots = self.config.queues();
        let slot_bits = self.config.queue_bits();

        // 1. Ports
        let clock = m.clock();
        let pending = m.input("pending", slots);
        let [urgent, high, medium] =
            ["urgent", "high", "medium"].map(|class| m.input(&format!("{class}_priority"), slots));
        let [granting, weighted] = ["granting", "weighted"].map(|name| m.input(name, functions));
        let hint = m.input("hint", 1);
        let hint_sq = m.input("hint_sq", slot_bits);
        let hint_function = m.input("hint_function", functions);
        let taken = m.input("taken", 1);
        let settled = m.input("settled", 1);
        let settled_count = m.input("settled_count", COUNT_BITS);
        let of: Vec<Function> =
            (0..functions).map(|number| Function::new(m, clock, number, slots, [granting, weighted])).collect();

        // 2. State
        let state = m.reg("state", clock, State::Look);
        let last_function = m.reg("last_function", clock, zero(functions));
        let function = m.reg("chosen_function", clock, zero(functions));
        let kind = m.reg("kind", clock, Kind::All);
        let limit = m.reg_without_reset("limit", clock, GRANT_ENTRIES_MAX);
        let waiting = m.reg_without_reset("waiting", clock, slots);
        let waiting_above = m.reg_without_reset("waiting_above", clock, slots);
        let turn = m.reg_without_reset("turn", clock, slots);
        let sq = m.reg_without_reset("sq", clock, slot_bits);
        // What was taken and is not settled.
        let taken_sq = m.reg("taken_sq", clock, zero(slots));
        let taken_function = m.reg_without_reset("taken_function", clock, functions);
        let taken_kind = m.reg_as::<Kind>("taken_kind", clock);
        // What there is to fetch was looked at when nothing was unsettled.
        let is_whole = m.reg("is_whole", clock, false);
        let above = m.memory("above", slots, function_rows(functions, Kind::WIDTH), MemoryStyle::Distributed);

        // 3. Conditions
        let listed = |bits: &dyn Fn(&Function) -> Signal| cat(&of.iter().rev().map(bits).collect::<Vec<_>>());
        let rest = m.wire("rest", pending & !taken_sq);
        let unsettled = m.wire("unsettled", taken_sq.any());
        let may = m.wire("may", listed(&|f| f.granting & f.has(Kind::All)));
        let next_function = m.wire("next_function", round_robin(may, last_function));
        let choices: Vec<[Signal; 3]> = of.iter().map(Function::choice).collect();
        let of_next =
            |part: usize| one_hot_select(next_function, &choices.iter().map(|choice| choice[part]).collect::<Vec<_>>());
        let of_function = |which: Signal, value: &dyn Fn(&Function) -> Signal| {
            one_hot_select(which, &of.iter().map(value).collect::<Vec<_>>())
        };
        let next_kind = m.wire("next_kind", of_next(0));
        let next_limit = m.wire("next_limit", of_next(1));
        let round_ends = m.wire("round_ends", of_next(2));
        let admins = lit((1u64 << functions) - 1, slots);
        let classes = m.wire("classes", {
            let low = !(urgent | high | medium);
            let io = [(Kind::Urgent, urgent), (Kind::High, high), (Kind::Medium, medium), (Kind::Low, low)];
            let io = io.into_iter().map(|(class, queues)| queues & !admins & kind.is(class).repeat(slots));
            let io = io.reduce(|a, b| a | b).expect("there are four");
            io | (admins & kind.is(Kind::Admin).repeat(slots)) | kind.is(Kind::All).repeat(slots)
        });
        let ours = m.wire("ours", of_function(function, &|f| f.members));
        let class = m.wire("chosen_class", function_row(function_number(function), kind.signal(), functions));
        let may_hint = m.wire("may_hint", (granting & !weighted & hint_function).any() & !pending.any());

        // 4. Next state
        is_whole.set(!unsettled);
        for f in &of {
            let pending = rest & f.members;
            let io = pending & !admins;
            let queues = [
                (Kind::All, pending),
                (Kind::Admin, pending & admins),
                (Kind::Urgent, io & urgent),
                (Kind::High, io & high),
                (Kind::Medium, io & medium),
                (Kind::Low, io & !(urgent | high | medium)),
            ];
            for (kind, queues) in queues {
                f.has(kind).set(queues.any());
            }
        }
        switch(state, |s: State| match s {
            State::Look => {
                when(hint & may_hint, || {
                    function.set(hint_function);
                    kind.goto(Kind::All);
                    limit.set(of_function(hint_function, &|f| f.burst));
                    sq.set(hint_sq);
                    state.goto(State::Offer);
                })
                .else_when(may.any(), || state.goto(State::Choose));
            }
            State::Choose => {
                function.set(next_function);
                kind.signal().set(next_kind);
                limit.set(next_limit);
                let may_look_at_weights = (!unsettled & is_whole) | !weighted.any();
                when(!may_look_at_weights, || state.goto(State::Choose))
                    .else_when(may.any() & !round_ends.any(), || {
                        last_function.set(next_function);
                        state.goto(State::Mask);
                    })
                    .otherwise(|| state.goto(State::Look));
                for f in &of {
                    when(next_function.bit(f.number) & round_ends.any() & may_look_at_weights, || {
                        for (credit, weight) in f.credits.iter().zip(&f.weights) {
                            credit.set(*weight);
                        }
                    });
                }
            }
            State::Mask => {
                let candidates = rest & ours & classes;
                waiting.set(candidates);
                waiting_above.set(candidates & above.lookup(class));
                limit.set(limit & of_function(function, &|f| f.burst));
                state.goto(State::Turn);
            }
            State::Turn => {
                turn.set(waiting_above.any().mux(first_one(waiting_above), first_one(waiting)));
                state.goto(State::Name);
            }
            State::Name => {
                sq.set(one_hot_index(turn));
                state.goto(State::Offer);
            }
            State::Offer => {
                when(taken, || {
                    taken_sq.set(one_hot(sq, slots));
                    taken_function.set(function);
                    taken_kind.signal().set(kind.signal());
                    state.goto(State::Look);
                });
            }
        });
        when(settled, || {
            taken_sq.set(zero(slots));
            for f in &of {
                for (class, credit) in WEIGHTED.into_iter().zip(&f.credits) {
                    when(taken_function.bit(f.number) & taken_kind.is(class), || {
                        credit.set(*credit - settled_count.zext(WEIGHT_BITS + 1));
                    });
                }
            }
        });
        // A turn that came to nothing, for want of room, is no turn.
        let taken_class = function_row(function_number(taken_function), taken_kind.signal(), functions);
        above.write(clock, settled & settled_count.any(), taken_class, !(taken_sq | (taken_sq - 1)));

        // 5. Outputs
        m.output("candidate", state.is(State::Offer));
        m.output("candidate_sq", sq);
        m.output("candidate_limit", limit);

        // 6. Properties
        m.assert(clock, "one_queue_has_the_turn", state.is(State::Name).implies(first_one(turn).eq(turn)));
        m.assert(clock, "one_queue_is_taken", first_one(taken_sq).eq(taken_sq));
        // Each bit of the limit stands on the one below it, so that it is a number of entries.
        let is_number = !(limit & (limit + 1)).any();
        m.assert(clock, "the_limit_is_a_number", state.is(State::Look) | state.is(State::Choose) | is_number);
    }
}

/// Bit `i` is set where `count` is more than `i`.
#[track_caller]
pub(crate) fn reaches(count: Signal) -> Signal {
    let large = count.bits(3..count.width()).any();
    let low = count.low(3);
    let bits: Vec<Signal> = (0..GRANT_ENTRIES_MAX - 1).rev().map(|i| large | low.gt(i)).collect();
    cat(&[&[large], &bits[..]].concat())
}

/// The same for an Arbitration Burst, which is a power of two. NVMe Base, "Arbitration (Feature Identifier 01h)".
fn burst_limit(burst: Signal) -> Signal {
    let log2 = |least: u32| burst.ge(least);
    cat(&[log2(3), log2(3), log2(3), log2(3), log2(2), log2(2), log2(1), lit(1u8, 1)])
}
