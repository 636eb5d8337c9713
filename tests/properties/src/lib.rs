//! The promises of [`nvme_properties`], bound to the blocks of this controller: what is proved, and what breaks it.
//!
//! A binding is a block with a checker beside it, in one module, so that it can say how the state of the checker is that of the block: what
//! induction needs. What it assumes of the blocks around is in the same place. `cargo xtask formal` proves all of them; the tests here break each block in
//! one way for each property, and see the property fail. `docs/properties.md` is written from the tables here.

mod arbiter;
mod host_port;
mod irq;
mod lifecycle;
mod queues;
mod slots;
mod walk;

use nvme_hw::lifecycle::QUIET_CLOCKS;
use nvme_properties::{Lives, Property, COUNT_BITS, PROPERTIES};
use rtl_hdl::formal::{Goal, Mutant, Proof};
use rtl_hdl::{when, zero, Block, InstanceHandle, Module, Signal};
use std::fmt::Write as _;

/// The page, from the root of the repository.
pub const PAGE: &str = "docs/properties.md";

/// A number as the checkers have it.
#[track_caller]
fn count(number: Signal) -> Signal {
    number.zext(COUNT_BITS)
}

/// An arbitrary value that stays.
#[track_caller]
fn watched(m: &Module, name: &str, width: u32) -> Signal {
    let watched = m.reg_without_reset(name, m.found_clock(), width);
    watched.set(watched);
    watched
}

/// Assumes that an input keeps its value, and returns that.
#[track_caller]
fn stays(m: &Module, name: &str) -> Signal {
    let value = m.found(name);
    let kept = watched(m, &format!("{name}_kept"), value.width());
    m.assume(m.found_clock(), &format!("{name}_stays"), value.eq(kept));
    kept
}

/// What bindings and checkers assert; rules of streams, and what FIFOs and the like assert, are in the proofs of `nvme-hw` and `rtl-prim`.
fn asked(proof: Proof) -> Proof {
    proof.cover(0).asking(nvme_properties::checkers().iter().map(|checker| checker.name()))
}

/// By induction. What is assumed of a clock counts from the next one on, so that a step takes two.
#[track_caller]
fn induction(block: impl Block + 'static) -> Proof {
    asked(Proof { goal: Goal::Induction { base: 3, step: 2 }, ..Proof::by_induction(block, 2) })
}

/// So long a block must have been quiet, in the proofs of blocks that say whether they are.
const CALM_CLOCKS: u32 = 3;
const _: () = assert!(CALM_CLOCKS <= QUIET_CLOCKS);

/// A checker of lives beside a block with an output `quiet`, and for how many clocks that has been set, the block has been `held`, and the blocks
/// around have been `still`. What `lifecycle` does is assumed: CSTS.RDY falls only when that has lasted. Until the next life the blocks around stay still.
#[track_caller]
fn lives_of(m: &Module, still: Signal, held: Signal) -> (InstanceHandle, Signal) {
    let clock = m.found_clock();
    let checker = m.instance("lives", &Lives);
    for name in ["enable", "ready"] {
        checker.port(name).set(m.input(&format!("life_{name}"), 1));
    }
    let falls = checker.port("ready_before") & !m.found("life_ready");
    let calm = m.reg("calm_clocks", clock, zero(2));
    let is_calm = m.found("quiet_held").all() & still & held;
    when(!is_calm, || calm.set(zero(2))).else_when(calm.lt(CALM_CLOCKS), || calm.set(calm + 1));
    m.assume(clock, "ready_falls_when_all_are_calm", falls.implies(calm.eq(CALM_CLOCKS)));
    m.assume(clock, "who_is_around_is_still_between_lives", (falls | checker.port("over")).implies(still));
    (checker, calm)
}

/// So many clocks the proof of `slots` looks at. All that breaks it is noticed in as many: so what can go wrong happens within them.
const SLOTS_CLOCKS: u32 = 14;

/// Every proof.
pub fn proofs() -> Vec<Proof> {
    vec![
        induction(queues::fetches()).asking([queues::arbiter()]),
        induction(queues::completions()).asking([queues::arbiter()]),
        asked(Proof::bounded(slots::commands(), SLOTS_CLOCKS)),
        induction(lifecycle::lives()),
        induction(host_port::lives()),
        induction(irq::lives()),
        induction(arbiter::arbitration()),
        induction(host_port::order()),
        induction(walk::pointers()),
    ]
}

/// What a proof is about, and what it assumes.
struct About {
    proof: &'static str,
    block: &'static str,
    assumes: &'static str,
}

const ABOUT: &[About] = &[
    About {
        proof: "queues_fetches",
        block: "`queues`, two queue pairs of up to 16 entries",
        assumes: "`decode` takes only entries that were fetched; no life ends",
    },
    About {
        proof: "queues_completions",
        block: "`queues`, two queue pairs of up to 16 entries",
        assumes: "completions are of commands in flight; firmware creates no queue twice and deletes none that is used; no life ends",
    },
    About {
        proof: "slots_commands",
        block: "`slots`, two slots",
        assumes: "commands have one unit, which ends once; no identifier is given twice; no walk fails, and firmware transfers nothing",
    },
    About {
        proof: "lifecycle_lives",
        block: "`lifecycle`",
        assumes: "blocks that have all been quiet for `QUIET_CLOCKS` after a life reach for nothing until the next, and wait for no answer: proved of `host_port` and `irq` as far as the next two rows say, assumed of `queues` and `mailbox`",
    },
    About {
        proof: "host_port_lives",
        block: "`host_port`, one function",
        assumes: "a life ends only when the block has been quiet for some clocks in which the blocks inside offered nothing and had no answer to come; they offer nothing until the next; the bus answers writes that it took",
    },
    About {
        proof: "irq_lives",
        block: "`irq`, one function",
        assumes: "a life ends with `clear`, and only when the block has been quiet for some clocks in which it was held and nothing was raised; nothing is raised until the next",
    },
    About {
        proof: "arbiter_turns",
        block: "`arbiter`, one function, a queue for each class",
        assumes: "`queues` takes candidates and settles them with what they allow; weights are at most 8 and stay; what is pending stays so",
    },
    About {
        proof: "host_port_order",
        block: "`host_port`, one function",
        assumes: "the entries of a line come in different places; no life ends",
    },
    About {
        proof: "walk_pointers",
        block: "`walk`",
        assumes: "what `list_reader` gives out is what the host holds; commands have at most 2 MiB, and an SGL only with data",
    },
];

/// A way to break a block that is proved, which one of its properties notices within some clocks.
pub struct Break {
    /// The proof.
    pub proof: &'static str,
    /// What is changed, and what notices it.
    pub mutant: Mutant,
    /// Clocks.
    pub depth: u32,
}

const fn broken(
    proof: &'static str,
    [checker, property]: [&'static str; 2],
    change: &'static str,
    depth: u32,
) -> Break {
    Break { proof, mutant: Mutant { change, checker, property }, depth }
}

/// One for each property of a proof.
pub const BREAKS: &[Break] = &[
    broken("queues_fetches", ["nvme_fetches", "fetches_are_of_a_queue"], "may_be_granted: sq_runs & is_granting -> is_granting", 20),
    broken("queues_fetches", ["nvme_fetches", "nothing_is_fetched_beyond_the_tail"], "possible: (limit_of_line & limit_of_room) & limit_of_available -> (limit_of_line & limit_of_room) | limit_of_available", 16),
    broken("queues_fetches", ["nvme_fetches", "entries_are_fetched_in_order"], "sq_fetched_new: 0 -> 1", 18),
    broken("queues_fetches", ["nvme_fetches", "a_fetch_ends_with_the_ring"], "possible: ((limit_of_line & limit_of_room) & limit_of_available) & limit_of_turn -> ((limit_of_line & limit_of_room) & limit_of_available) | limit_of_turn", 18),
    broken("queues_completions", ["nvme_completions", "completions_are_of_a_queue"], "posted_offer if: sq_here & has_room -> has_room", 12),
    broken("queues_completions", ["nvme_completions", "no_completion_over_an_unconsumed_one"], "posted_offer if: sq_here & has_room -> sq_here", 22),
    broken("queues_completions", ["nvme_completions", "completions_follow_one_another"], "cq_tail_new: 0 -> 1", 22),
    broken("queues_completions", ["nvme_completions", "the_phase_inverts_on_each_pass"], "cq_phase_new: 1 -> 0", 22),
    broken("slots_commands", ["nvme_commands", "no_command_is_completed_twice"], "good_in_valid if: done_good & (!send_good | send_waiting) -> done_good", SLOTS_CLOCKS),
    broken("slots_commands", ["nvme_commands", "no_command_is_lost"], "over: left == ended_units -> left != ended_units", SLOTS_CLOCKS),
    broken("slots_commands", ["nvme_commands", "no_command_is_forgotten_at_rest"], "in_use_next: in_use + 1 -> in_use + 0", SLOTS_CLOCKS),
    broken("lifecycle_lives", ["nvme_lives", "no_access_after_ready_has_fallen"], "state if: long_quiet -> always", 24),
    broken("lifecycle_lives", ["nvme_lives", "nothing_is_under_way_when_ready_falls"], "quiet_clocks if: all(quiet) -> always", 28),
    broken("host_port_lives", ["nvme_lives", "no_access_after_ready_has_fallen"], "quiet_held: !((.. | ..) | (data_write_full & ..)) & !any(writes_of_f0) -> !any(writes_of_f0)", 9),
    broken("host_port_lives", ["nvme_lives", "nothing_is_under_way_when_ready_falls"], "quiet_held: !((.. | ..) | (data_write_full & ..)) & !any(writes_of_f0) -> !(((.. | ..) | (message_full & ..)) | (data_write_full & (data_write_held_function == 0)))", 9),
    broken("irq_lives", ["nvme_lives", "no_access_after_ready_has_fallen"], "quiet_held: (sent_function & !(state == 0)) | (offered_function & !message_can_take) -> sent_function & !(state == 0)", 12),
    broken("arbiter_turns", ["nvme_arbitration", "a_turn_is_within_the_burst"], "burst_limit_f0: 1 <= burst_f0 -> 0 <= burst_f0", 16),
    broken("arbiter_turns", ["nvme_arbitration", "admin_and_urgent_queues_go_first"], "next_kind: has_admin_f0 ? 1 : (has_urgent_f0 ? 2 : ((has_high_f0 & ..) ? 3 : (.. ? 4 : ..))) -> has_urgent_f0 ? 2 : ((has_high_f0 & any(credit_high_f0)) ? 3 : ((has_medium_f0 & ..) ? 4 : (.. ? 5 : 5)))", 30),
    broken("arbiter_turns", ["nvme_arbitration", "shares_are_by_weight"], "credit_high_f0: {0, weights_f0[16..24]} -> {1, weights_f0[16..24]}", 20),
    broken("host_port_order", ["nvme_order", "data_is_before_its_completion"], "choose_entry: (may_choose & entry_waits) & (!data_write_full | head_passed) -> may_choose & entry_waits", 8),
    broken("host_port_order", ["nvme_order", "the_completion_is_before_its_interrupt"], "choose_message: !posted_full & !line_full -> !posted_full", 8),
    broken("walk_pointers", ["nvme_pointers", "no_access_without_a_command"], "state if: job_valid -> always", 8),
    broken("walk_pointers", ["nvme_pointers", "no_access_outside_the_data_pointer"], "in_prp2: pages <= 2 -> pages <= 3", 10),
    broken("walk_pointers", ["nvme_pointers", "no_list_outside_the_data_pointer"], "to_end_of_page: 512 - {0, list[0..9]} -> 513 - {0, list[0..9]}", 6),
];

/// What `docs/properties.md` says.
pub fn page() -> String {
    let mut text = String::from(
        "# What is proved of the controller\n\n\
         Written by `cargo xtask formal --page`, from the tables in [nvme-ctrl/properties](../nvme-ctrl/properties/src/lib.rs) and \
         [tests/properties](../tests/properties/src/lib.rs).\n\n\
         Each property is an assertion of a checker that fits any controller; [its guide](../nvme-ctrl/properties/README.md) says how to bind it to \
         another one, and `flashdock emit --bundle` writes all of them as SystemVerilog. `cargo xtask formal <proof>` proves it of ours; a \
         property that is proved by induction holds in every clock of every run. `cargo test -p properties` breaks a block in the way \
         that the last column names, as `cargo xtask mutate` names it, and sees the property fail.\n\n\
         | property | what must hold | section | proof | how | is broken by |\n|---|---|---|---|---|---|\n",
    );
    let proofs = proofs();
    let broken = PROPERTIES.iter().flat_map(|property| {
        let found = BREAKS.iter().filter(|found| found.mutant.property == property.name);
        found.map(move |found| (property, found))
    });
    for (Property { checker, name, statement, section }, found) in broken {
        let proof = proofs.iter().find(|proof| proof.name() == found.proof).expect("a break is of a proof");
        let how = match proof.goal {
            Goal::Induction { .. } => "induction".into(),
            Goal::Bounded { depth } => format!("{depth} clocks"),
        };
        let change = found.mutant.change.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `{checker}`<br>`{name}` | {statement} | {section} | `{}` | {how} | `{change}` |",
            found.proof
        );
    }
    text.push_str(
        "\n## What each proof is about\n\n| proof | block | what is assumed of the blocks around it |\n|---|---|---|\n",
    );
    for About { proof, block, assumes } in ABOUT {
        let _ = writeln!(text, "| `{proof}` | {block} | {assumes} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_toolchain::Toolchain;
    use sim_yosys::formal::{prove, Failure, Known};
    use std::collections::BTreeSet;
    use std::path::Path;

    fn proof(name: &str) -> Proof {
        proofs().into_iter().find(|proof| proof.name() == name).unwrap_or_else(|| panic!("there is no proof `{name}`"))
    }

    /// A run from a reset breaks the property, and nothing else is asserted.
    fn is_noticed(of: &str) {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::from_env();
        for Break { proof: name, mutant, depth } in BREAKS.iter().filter(|found| found.proof == of) {
            let outcomes = prove(&toolchain, &proof(name).of_mutant(*mutant, *depth), folder.path()).unwrap();
            let [outcome] = &outcomes[..] else { panic!("{outcomes:?} are not one") };
            assert!(outcome.path.ends_with(mutant.property), "{outcome:?}");
            assert!(
                matches!(outcome.known, Known::Failed(Failure::Broken(_))),
                "{mutant:?} is not noticed: {outcome:?}"
            );
        }
    }

    #[test]
    fn a_broken_fetch_is_noticed() {
        is_noticed("queues_fetches");
    }

    #[test]
    fn a_broken_completion_is_noticed() {
        is_noticed("queues_completions");
    }

    #[test]
    fn a_lost_command_is_noticed() {
        is_noticed("slots_commands");
    }

    #[test]
    fn a_life_without_end_is_noticed() {
        is_noticed("lifecycle_lives");
    }

    #[test]
    fn a_write_that_is_not_known_of_is_noticed() {
        is_noticed("host_port_lives");
    }

    #[test]
    fn a_message_that_is_not_known_of_is_noticed() {
        is_noticed("irq_lives");
    }

    #[test]
    fn an_unfair_turn_is_noticed() {
        is_noticed("arbiter_turns");
    }

    #[test]
    fn a_write_out_of_order_is_noticed() {
        is_noticed("host_port_order");
    }

    #[test]
    fn an_access_outside_of_the_data_pointer_is_noticed() {
        is_noticed("walk_pointers");
    }

    #[test]
    fn every_property_has_its_break_and_every_proof_is_described() {
        let properties: BTreeSet<_> = PROPERTIES.iter().map(|property| (property.checker, property.name)).collect();
        let breaks: BTreeSet<_> = BREAKS.iter().map(|found| (found.mutant.checker, found.mutant.property)).collect();
        assert_eq!(properties, breaks);
        let asserted = nvme_properties::checkers().into_iter().flat_map(|checker| {
            let design = rtl_hdl::elaborate(&*checker).unwrap();
            let top = design.top().clone();
            let is_assert = |p: &&rtl_hdl::ir::Property| p.kind == rtl_hdl::ir::PropertyKind::Assert;
            top.properties.iter().filter(is_assert).map(|p| (top.name.clone(), p.name.clone())).collect::<Vec<_>>()
        });
        let listed = properties.into_iter().map(|(checker, name)| (checker.to_string(), name.to_string()));
        assert_eq!(asserted.collect::<BTreeSet<_>>(), listed.collect());
        let described: Vec<String> = ABOUT.iter().map(|about| about.proof.to_string()).collect();
        assert_eq!(proofs().iter().map(Proof::name).collect::<Vec<_>>(), described);
    }

    #[test]
    fn lint_is_silent() {
        for checker in nvme_properties::checkers() {
            sim_verilator::test_bed::assert_lint_is_silent(&*checker);
        }
    }

    #[test]
    fn the_page_is_up_to_date() {
        let written = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE));
        let is_same = written.is_ok_and(|written| written == page());
        assert!(is_same, "{PAGE} is not what it should be; run `cargo xtask formal --page`");
    }
}
