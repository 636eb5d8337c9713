//! The checker: histories of the literature, those made by hand, all histories of small programs against the axioms, and large ones with one mistake.

mod reference;

use litmus::{check, shapes, Accesses, Event, History, Kind, Modification, Operation, Source};
use proptest::prelude::*;
use reference::{choices, outcome_of, outcomes, Step};
use sim_device::Random;
use std::collections::BTreeSet;

const X: usize = 0;
const Y: usize = 1;

fn load(place: usize, value: u64) -> Event {
    Operation::new(Kind::Load, place).event(0, value)
}

fn store(place: usize, value: u64) -> Event {
    Operation::new(Kind::Store, place).event(value, 0)
}

fn swap(place: usize, old: u64, new: u64) -> Event {
    Operation::new(Kind::Modify(Modification::Swap), place).event(new, old)
}

fn reserve(place: usize, value: u64) -> Event {
    Operation::new(Kind::LoadReserved, place).event(0, value)
}

fn conditional(place: usize, value: u64) -> Event {
    Operation::new(Kind::StoreConditional, place).event(value, 0)
}

fn fence() -> Event {
    Operation::FENCE.event(0, 0)
}

fn with(event: Event, change: impl FnOnce(&mut Operation)) -> Event {
    let mut event = event;
    change(&mut event.operation);
    event
}

fn acquire(event: Event) -> Event {
    with(event, |operation| operation.acquire = true)
}

fn release(event: Event) -> Event {
    with(event, |operation| operation.release = true)
}

fn depending(event: Event) -> Event {
    with(event, |operation| operation.depends = true)
}

fn verdict(agents: &[&[Event]]) -> Result<(), String> {
    let agents = agents.iter().map(|events| events.to_vec()).collect();
    check(&History { initial: vec![0; 3], agents }).map(|_| ()).map_err(|violation| violation.to_string())
}

/// What the literature says of each litmus test is what the checker says of the relaxed outcome.
#[test]
fn relaxed_outcomes_are_allowed_or_forbidden_as_in_the_literature() {
    for shape in shapes() {
        // Values: the number of the place from 1 on, as each place is written once.
        let mut loads = shape.relaxed.chars().map(|digit| u64::from(digit == '1'));
        let mut event = |operation: &Operation| {
            let value = operation.place as u64 + 1;
            let is_load = matches!(operation.kind, Kind::Load | Kind::LoadReserved);
            let read = if is_load { loads.next().expect("a digit for each load") * value } else { 0 };
            operation.event(value, read)
        };
        let agents = shape.harts.iter().map(|operations| operations.iter().map(&mut event).collect()).collect();
        let verdict = check(&History { initial: vec![0; 2], agents });
        assert!(loads.next().is_none(), "{}", shape.name);
        assert_eq!(verdict.is_ok(), shape.is_allowed, "{}: {verdict:?}", shape.name);
    }
}

#[test]
fn histories_that_are_forbidden_are_refused() {
    let forbidden: &[(&str, &[&[Event]])] = &[
        ("a value from nowhere", &[&[load(X, 7)]]),
        ("a value of another place", &[&[store(X, 1)], &[load(Y, 1)]]),
        ("CoRR", &[&[store(X, 1), store(X, 2)], &[load(X, 2), load(X, 1)]]),
        ("CoRR, back to the beginning", &[&[store(X, 1)], &[load(X, 1), load(X, 0)]]),
        (
            "CoRR, two observers",
            &[&[store(X, 1)], &[store(X, 2)], &[load(X, 1), load(X, 2)], &[load(X, 2), load(X, 1)]],
        ),
        ("CoWR", &[&[store(X, 1), load(X, 0)]]),
        ("CoRW, the own write", &[&[load(X, 1), store(X, 1)]]),
        ("CoRW, that of another", &[&[load(X, 2), store(X, 1)], &[load(X, 1), store(X, 2)]]),
        ("an update is lost", &[&[swap(X, 0, 1)], &[swap(X, 0, 2)]]),
        ("a write within an atomic", &[&[swap(X, 0, 1)], &[store(X, 2)], &[load(X, 0), load(X, 2), load(X, 1)]]),
        ("a write within lr and sc", &[&[reserve(X, 0), conditional(X, 1)], &[store(X, 2), load(X, 1)]]),
        ("two lr and sc", &[&[reserve(X, 0), conditional(X, 1)], &[reserve(X, 0), conditional(X, 2)]]),
        ("sc without lr", &[&[conditional(X, 1)]]),
        ("sc after sc", &[&[reserve(X, 0), conditional(X, 1), conditional(X, 2)]]),
        ("sc elsewhere", &[&[reserve(X, 0), conditional(Y, 1)]]),
        ("WRC", &[&[store(X, 1)], &[load(X, 1), fence(), store(Y, 2)], &[load(Y, 2), fence(), load(X, 0)]]),
        (
            "ISA2",
            &[
                &[store(X, 1), fence(), store(Y, 2)],
                &[load(Y, 2), fence(), store(2, 3)],
                &[load(2, 3), fence(), load(X, 0)],
            ],
        ),
        (
            "2+2W",
            &[
                &[store(X, 1), fence(), store(Y, 2)],
                &[store(Y, 1), fence(), store(X, 2)],
                &[load(X, 2), load(X, 1)],
                &[load(Y, 2), load(Y, 1)],
            ],
        ),
        ("R", &[&[store(X, 1), fence(), store(Y, 1)], &[store(Y, 2), fence(), load(X, 0)], &[load(Y, 1), load(Y, 2)]]),
        (
            "an order of writes that only fences tell",
            &[
                &[store(X, 1), fence(), store(Y, 1)],
                &[store(X, 2), fence(), store(2, 1)],
                &[load(Y, 1), fence(), load(X, 2)],
                &[load(2, 1), fence(), load(X, 1)],
            ],
        ),
        (
            "rule 7",
            &[&[release(swap(X, 0, 1)), acquire(reserve(Y, 0))], &[release(swap(Y, 0, 1)), acquire(reserve(X, 0))]],
        ),
        (
            "rule 12",
            &[
                &[load(X, 1), depending(store(Y, 1)), load(Y, 1), depending(load(2, 0))],
                &[store(2, 1), fence(), store(X, 1)],
            ],
        ),
        ("rule 13", &[&[load(X, 1), depending(load(Y, 0)), store(2, 1)], &[load(2, 1), fence(), store(X, 1)]]),
        ("MP by DMA", &[&[store(X, 1), fence(), store(Y, 1)], &[load(Y, 1), fence(), load(X, 0), fence()]]),
    ];
    for (name, agents) in forbidden {
        let told = verdict(agents).expect_err(name);
        assert!(told.contains("agent 0") || told.contains("agent 1"), "{name}: {told}");
    }
}

#[test]
fn histories_that_are_allowed_pass() {
    let allowed: &[(&str, &[&[Event]])] = &[
        ("a chain of atomics", &[&[swap(X, 0, 1), swap(X, 2, 3)], &[swap(X, 1, 2)]]),
        ("forwarding", &[&[store(X, 1), load(X, 1), load(Y, 0)], &[store(Y, 1), load(Y, 1), load(X, 0)]]),
        (
            "forwarding, and what depends on it",
            &[&[store(X, 1), load(X, 1), depending(load(Y, 0))], &[store(Y, 1), load(Y, 1), depending(load(X, 0))]],
        ),
        ("lr and sc around others' writes", &[&[reserve(X, 2), conditional(X, 1)], &[store(X, 2), load(X, 1)]]),
        ("sc that fails", &[&[Operation::new(Kind::StoreConditional, X).event(5, 1), load(X, 0)]]),
        ("two orders", &[&[store(X, 1)], &[store(X, 2)], &[load(X, 1), load(X, 2)], &[load(X, 2)]]),
        ("WRC without fences", &[&[store(X, 1)], &[load(X, 1), store(Y, 2)], &[load(Y, 2), load(X, 0)]]),
    ];
    for (name, agents) in allowed {
        assert_eq!(verdict(agents), Ok(()), "{name}");
    }
}

#[test]
fn reads_come_from_where_their_values_were_written() {
    let agents = vec![vec![store(X, 1), load(Y, 0)], vec![load(X, 1)]];
    let sources = check(&History { initial: vec![0; 2], agents }).expect("it is allowed");
    let from = Some(Source::Event { agent: 0, event: 0 });
    assert_eq!(sources, [vec![None, Some(Source::Initial)], vec![from]]);
}

#[test]
fn a_violation_is_told_as_a_cycle() {
    let told = verdict(&[&[store(X, 1)], &[load(X, 1), load(X, 0)]]).expect_err("it is forbidden");
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines.len() > 2 && lines[0].contains("before the next"), "{told}");
    assert!(told.contains("agent 0, event 0: Store of place 0, wrote 0x1"), "{told}");
}

fn operation(random: &mut Random, places: u64, last: Option<&Operation>) -> Operation {
    let place = random.below(places) as usize;
    let [acquire, release] = [0, 0].map(|_: u32| random.below(4) == 0);
    let depends = last.is_some_and(|last| last.is_read() && !last.depends) && random.below(3) == 0;
    let kinds = [Accesses::READS, Accesses::WRITES, Accesses::ALL];
    let plain = |kind| Operation { depends, ..Operation::new(kind, place) };
    let atomic = |kind| Operation { acquire, release, ..Operation::new(kind, place) };
    match random.below(12) {
        0..4 => plain(Kind::Load),
        4..7 => plain(Kind::Store),
        7 => Operation { depends, ..atomic(Kind::Modify(*random.pick(&Modification::ALL))) },
        8 => atomic(Kind::LoadReserved),
        9 => match last.filter(|last| last.kind == Kind::LoadReserved) {
            Some(last) => Operation { place: last.place, ..atomic(Kind::StoreConditional) },
            None => atomic(Kind::StoreConditional),
        },
        _ => Operation::fence(*random.pick(&kinds), *random.pick(&kinds)),
    }
}

/// A program of few operations for some agents.
fn small_program(random: &mut Random, places: u64) -> Vec<Step> {
    let agents = random.between(2, 3) as usize;
    let mut steps: Vec<Step> = vec![];
    let memory =
        |steps: &[Step]| steps.iter().filter(|step| !matches!(step.operation.kind, Kind::Fence { .. })).count();
    for agent in 0..agents {
        let mut last = None;
        for number in 0..random.between(1, 4) as usize {
            let operation = operation(random, places, last.as_ref());
            last = Some(operation);
            let step = Step { agent, number, operation, operand: random.next_u64(), fails: false };
            if memory(&steps) < 6 {
                steps.push(step);
            }
        }
    }
    steps
}

/// Every history that the values of a program can make, true or not.
fn candidates(steps: &[Step], initial: &[u64]) -> Vec<Vec<Vec<Event>>> {
    let mut all = vec![];
    for steps in choices(steps) {
        let reads: Vec<usize> = (0..steps.len()).filter(|at| steps[*at].operation.is_read()).collect();
        let writes = |place| {
            let of_place = steps.iter().enumerate().filter(move |(_, step)| step.operation.place == place);
            of_place.filter(|(_, step)| step.operation.has_operand() && !step.fails).map(|(at, _)| Some(at))
        };
        let mut choices: Vec<Vec<Option<usize>>> = vec![vec![]];
        for read in &reads {
            let sources: Vec<_> = [None].into_iter().chain(writes(steps[*read].operation.place)).collect();
            let longer =
                |choice: Vec<_>| sources.iter().map(move |source| [&choice[..], &[*source]].concat()).collect();
            choices = choices.into_iter().flat_map::<Vec<_>, _>(longer).collect();
        }
        for choice in choices {
            let value = |mut at: usize| {
                // What is read, and then what is made of it, from the other end of a chain of atomics.
                let mut chain = vec![];
                loop {
                    chain.push(at);
                    let source = choice[reads.iter().position(|read| *read == at).expect("it reads")];
                    match source {
                        Some(next) if chain.contains(&next) => return None,
                        Some(next) if steps[next].operation.is_read() => at = next,
                        other => {
                            let first = other.map_or(initial[steps[at].operation.place], |store| steps[store].operand);
                            let made = |value, at: &usize| match steps[*at].operation.kind {
                                Kind::Modify(modification) => modification.of(value, steps[*at].operand),
                                _ => unreachable!("only atomics read and write"),
                            };
                            return Some(chain[1..].iter().rev().fold(first, made));
                        }
                    }
                }
            };
            let mut agents = vec![vec![]; steps.iter().map(|step| step.agent + 1).max().unwrap_or(0)];
            let is_possible = steps.iter().enumerate().all(|(at, step)| {
                let result = if reads.contains(&at) { value(at) } else { Some(step.fails.into()) };
                result.map(|result| agents[step.agent].push(step.operation.event(step.operand, result))).is_some()
            });
            if is_possible {
                all.push(agents);
            }
        }
    }
    all
}

/// Places with values that are far from the operands, so that minima and maxima go either way.
fn initial(random: &mut Random, places: usize) -> Vec<u64> {
    (0..places).map(|_| random.next_u64()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The checker accepts what the axioms allow, and nothing else.
    #[test]
    fn small_histories_are_judged_as_by_the_axioms(seed: u64) {
        let mut random = Random::new(seed);
        let places = random.between(1, 2);
        let steps = small_program(&mut random, places);
        let initial = initial(&mut random, places as usize);
        let allowed = outcomes(&steps, &initial);
        let mut met = BTreeSet::new();
        for agents in candidates(&steps, &initial) {
            let outcome = outcome_of(&agents);
            // An atomic that changes nothing is taken for a read, which forbids less than a write of the same.
            let is_exact = agents.iter().flatten().all(|event| {
                !matches!(event.operation.kind, Kind::Modify(_)) || event.wrote.is_some()
            });
            let verdict = check(&History { initial: initial.clone(), agents });
            let is_allowed = allowed.contains(&outcome);
            prop_assert!(verdict.is_ok() || !is_allowed, "{:?} of {:?}", verdict, steps);
            prop_assert!(verdict.is_err() || is_allowed || !is_exact, "{:?} of {:?}", outcome, steps);
            met.insert(outcome);
        }
        prop_assert!(allowed.is_subset(&met));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Agents that take turns keep to the model; not any more if two loads of one of them, of what another has written one after the other, are swapped.
    #[test]
    fn turns_are_allowed_and_swapped_loads_are_not(seed: u64) {
        let mut random = Random::new(seed);
        let (agents, places) = (4, random.between(1, 6));
        let mut history = History { initial: initial(&mut random, places as usize), agents: vec![vec![]; agents] };
        let mut memory = history.initial.clone();
        let mut reserved = vec![None; agents];
        for _ in 0..400 {
            let agent = random.below(agents as u64) as usize;
            let last = history.agents[agent].last().map(|event: &Event| event.operation);
            let operation = operation(&mut random, places, last.as_ref());
            let place = operation.place;
            let result = match operation.kind {
                Kind::StoreConditional => u64::from(reserved[agent].take() != Some((place, memory[place]))),
                _ => memory[place],
            };
            let event = operation.event(random.next_u64(), result);
            if operation.kind == Kind::LoadReserved {
                reserved[agent] = Some((place, result));
            }
            memory[place] = event.wrote.unwrap_or(memory[place]);
            history.agents[agent].push(event);
        }
        let sources = check(&history).map_err(|violation| TestCaseError::fail(violation.to_string()))?;
        let mut pairs = 0;
        for (agent, sources) in sources.iter().enumerate() {
            let events = &history.agents[agent];
            // The last such load of each place, what it has read, and the write.
            let mut last = vec![None; places as usize];
            for ((at, event), source) in events.iter().enumerate().zip(sources) {
                let Some(Source::Event { agent: by, event: write }) = *source else { continue };
                if event.operation.kind != Kind::Load || by == agent {
                    continue;
                }
                let before = last[event.operation.place].replace((at, event.read, by, write));
                let Some((earlier, read, other, other_write)) = before else { continue };
                if other == by && other_write < write {
                    pairs += 1;
                    let mut swapped = history.clone();
                    swapped.agents[agent][at].read = read;
                    swapped.agents[agent][earlier].read = event.read;
                    prop_assert!(check(&swapped).is_err(), "agent {}, events {} and {}", agent, earlier, at);
                }
            }
        }
        prop_assert!(pairs > 0, "there is nothing to swap");
    }
}
