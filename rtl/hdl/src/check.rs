//! What is checked of every module when it has been built: drivers, loops, clock domains, paths across the boundary.

use crate::ir::*;
use crate::Constant;
use std::collections::{BTreeMap, BTreeSet};

/// Checks `ir`, completes what the check finds out (domains of outputs, combinational paths), and returns the mistakes.
///
/// Nothing is said about the nodes in `excused`, and what follows from them: something is wrong with them that has been reported.
pub(crate) fn check(ir: &mut ModuleIr, excused: &BTreeSet<NodeId>) -> Vec<(String, Source)> {
    let mut problems = Vec::new();
    settle_dont_cares(ir);
    settle_defaults(ir);
    let graph = Graph::of(ir);
    driven_once(ir, &ir.body, &mut problems);
    driven_always(ir, excused, &mut problems);
    let Some(order) = graph.order(ir, &mut problems) else { return problems };
    paths(ir, &graph, &order, excused, &mut problems);
    domains(ir, &graph, &order, excused, &mut problems);
    memories(ir, &mut problems);
    synchronizers(ir, &mut problems);
    problems
}

/// Gives each "don't care" wire its first value as default, so that no logic is spent on a value that nobody reads.
fn settle_dont_cares(ir: &mut ModuleIr) {
    for target in std::mem::take(&mut ir.dont_care) {
        let mut values: Vec<(NodeId, Source)> = Vec::new();
        for_each_set(&ir.body, &mut |set, _| {
            if let Statement::Set { target: t, element: None, value, source } = set {
                if *t == target {
                    values.push((*value, source));
                }
            }
        });
        let Some(&(value, source)) = values.first() else { continue };
        if values.iter().all(|(v, _)| *v == value) {
            remove_sets(&mut ir.body, target);
        } else {
            ir.dont_care.push(target);
        }
        ir.body.insert(0, Statement::Set { target, element: None, value, source });
    }
}

/// Puts each default in front of the body, unless something without a condition drives the target.
fn settle_defaults(ir: &mut ModuleIr) {
    for (target, value, source) in std::mem::take(&mut ir.defaults) {
        let driven =
            ir.body.iter().any(|s| matches!(s, Statement::Set { target: t, element: None, .. } if *t == target));
        if !driven {
            ir.body.insert(0, Statement::Set { target, element: None, value, source });
        }
    }
}

fn remove_sets(body: &mut Vec<Statement>, target: NodeId) {
    body.retain_mut(|statement| match statement {
        Statement::Set { target: t, .. } => *t != target,
        Statement::If { arms, otherwise } => {
            for (_, body) in arms.iter_mut() {
                remove_sets(body, target);
            }
            remove_sets(otherwise, target);
            true
        }
        Statement::Switch { arms, default, .. } => {
            for arm in arms.iter_mut() {
                remove_sets(&mut arm.body, target);
            }
            remove_sets(default, target);
            true
        }
    });
}

/// For each node, the nodes that it needs in the same clock.
pub(crate) struct Graph {
    pub needs: Vec<Vec<NodeId>>,
    /// For each register, what its next value needs, its synchronous reset included.
    pub next: BTreeMap<NodeId, Vec<NodeId>>,
}

impl Graph {
    pub fn of(ir: &ModuleIr) -> Graph {
        let mut needs: Vec<Vec<NodeId>> = (0..ir.nodes.len()).map(|id| ir.operands(id)).collect();
        let mut next: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for_each_set(&ir.body, &mut |set, path| {
            if let Statement::Set { target, element, value, .. } = set {
                let list = match ir.nodes[*target].kind {
                    NodeKind::Reg { .. } => next.entry(*target).or_default(),
                    _ => &mut needs[*target],
                };
                list.push(*value);
                list.extend(element);
                list.extend_from_slice(path);
            }
        });
        for (id, node) in ir.nodes.iter().enumerate() {
            if let NodeKind::Reg { reset: Some(reset), .. } = &node.kind {
                match reset.kind {
                    ResetKind::Synchronous => next.entry(id).or_default().push(reset.signal),
                    ResetKind::Asynchronous => needs[id].push(reset.signal),
                }
            }
        }
        for (id, node) in ir.nodes.iter().enumerate() {
            if let NodeKind::InstanceOutput { instance, port } = node.kind {
                let instance = &ir.instances[instance];
                if let Some((_, inputs)) = instance.module.combinational.iter().find(|(o, _)| *o == port) {
                    needs[id].extend(inputs.iter().map(|i| instance.connections[*i]));
                }
            }
        }
        for list in needs.iter_mut().chain(next.values_mut()) {
            list.sort_unstable();
            list.dedup();
        }
        Graph { needs, next }
    }

    /// Every node after the nodes that it needs; `None` if there is a loop, which is reported.
    fn order(&self, ir: &ModuleIr, problems: &mut Vec<(String, Source)>) -> Option<Vec<NodeId>> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.needs.len()];
        let mut order = Vec::with_capacity(self.needs.len());
        for root in 0..self.needs.len() {
            if marks[root] != Mark::New {
                continue;
            }
            marks[root] = Mark::Open;
            let mut stack = vec![(root, 0)];
            while let Some((id, at)) = stack.last_mut() {
                if let Some(&need) = self.needs[*id].get(*at) {
                    *at += 1;
                    match marks[need] {
                        Mark::New => {
                            marks[need] = Mark::Open;
                            stack.push((need, 0));
                        }
                        Mark::Done => {}
                        Mark::Open => {
                            let start =
                                stack.iter().position(|(n, _)| *n == need).expect("an open node is on the stack");
                            let mut names: Vec<String> = stack[start..]
                                .iter()
                                .filter_map(|(n, _)| ir.nodes[*n].name.clone())
                                .map(|n| format!("`{n}`"))
                                .collect();
                            names.reverse();
                            names.extend(names.first().cloned());
                            problems.push((
                                format!("combinational loop: {}; put a register into it", names.join(" -> ")),
                                ir.nodes[need].source,
                            ));
                            return None;
                        }
                    }
                } else {
                    marks[*id] = Mark::Done;
                    order.push(*id);
                    stack.pop();
                }
            }
        }
        Some(order)
    }
}

/// What an assignment sets of its target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Whole,
    /// The element of this number.
    Element(u64),
    /// An element that is not known before.
    Some,
}

impl Part {
    fn of(ir: &ModuleIr, element: Option<NodeId>) -> Part {
        match element {
            None => Part::Whole,
            Some(index) => ir.constant(index).and_then(Constant::to_u64).map_or(Part::Some, Part::Element),
        }
    }

    /// Whether setting `self` makes what was set of `earlier` pointless.
    fn hides(self, earlier: Part) -> bool {
        self == Part::Whole || self == earlier && self != Part::Some
    }
}

/// An assignment that makes an earlier one in the same place pointless is a mistake.
fn driven_once(ir: &ModuleIr, body: &[Statement], problems: &mut Vec<(String, Source)>) {
    let mut seen: BTreeMap<(NodeId, Part), Source> = BTreeMap::new();
    for statement in body {
        match statement {
            Statement::Set { target, element, source, .. } => {
                let part = Part::of(ir, *element);
                let of_target = seen.range((*target, Part::Whole)..=(*target, Part::Some));
                let hidden =
                    of_target.filter(|((_, earlier), _)| part.hides(*earlier)).map(|(_, source)| source).next();
                if let Some(earlier) = hidden {
                    problems.push((
                        format!(
                            "{} is driven twice: the assignment at {}:{} never takes effect; remove one of them",
                            ir.describe(*target),
                            earlier.file(),
                            earlier.line()
                        ),
                        source,
                    ));
                }
                seen.insert((*target, part), source);
            }
            Statement::If { arms, otherwise } => {
                for body in arms.iter().map(|(_, b)| b).chain([otherwise]) {
                    driven_once(ir, body, problems);
                }
            }
            Statement::Switch { arms, default, .. } => {
                for body in arms.iter().map(|a| &a.body).chain([default]) {
                    driven_once(ir, body, problems);
                }
            }
        }
        if !matches!(statement, Statement::Set { .. }) {
            for_each_set(std::slice::from_ref(statement), &mut |set, _| {
                if let Statement::Set { target, element, source, .. } = set {
                    seen.entry((*target, Part::of(ir, *element))).or_insert(source);
                }
            });
        }
    }
}

/// What `body` assigns under every condition.
fn always_assigned(ir: &ModuleIr, body: &[Statement]) -> BTreeSet<(NodeId, Part)> {
    let mut assigned = BTreeSet::new();
    for statement in body {
        match statement {
            Statement::Set { target, element, .. } => {
                assigned.insert((*target, Part::of(ir, *element)));
            }
            Statement::If { arms, otherwise } => {
                let common = arms.iter().map(|(_, b)| b).chain([otherwise]).map(|b| always_assigned(ir, b));
                assigned.extend(common.reduce(|a, b| &a & &b).unwrap_or_default());
            }
            Statement::Switch { arms, default, exhaustive, .. } => {
                let default = (!exhaustive).then_some(default);
                let common = arms.iter().map(|a| &a.body).chain(default).map(|b| always_assigned(ir, b));
                assigned.extend(common.reduce(|a, b| &a & &b).unwrap_or_default());
            }
        }
    }
    assigned
}

/// Whether all of `target` is in `assigned`.
fn is_whole(ir: &ModuleIr, assigned: &BTreeSet<(NodeId, Part)>, target: NodeId) -> bool {
    let element = |number: u32| assigned.contains(&(target, Part::Element(number.into())));
    let elements = ir.nodes[target].elements;
    assigned.contains(&(target, Part::Whole)) || elements.is_some_and(|count| (0..count).all(element))
}

/// Whether `target` has a value under every condition.
pub(crate) fn is_always_driven(ir: &ModuleIr, target: NodeId) -> bool {
    is_whole(ir, &always_assigned(ir, &part_for(&ir.body, target)), target)
}

fn driven_always(ir: &ModuleIr, excused: &BTreeSet<NodeId>, problems: &mut Vec<(String, Source)>) {
    let mut parts = BTreeSet::new();
    for_each_set(&ir.body, &mut |set, _| {
        if let Statement::Set { target, element, .. } = set {
            parts.insert((*target, Part::of(ir, *element)));
        }
    });
    let ever: BTreeSet<NodeId> = parts.iter().map(|(target, _)| *target).collect();
    // An element that only an assignment of its own could set, and none does.
    let forgotten = |id: NodeId| {
        let by_number = !parts.contains(&(id, Part::Whole)) && !parts.contains(&(id, Part::Some));
        let never = |number: &u32| !parts.contains(&(id, Part::Element((*number).into())));
        (0..ir.nodes[id].elements.unwrap_or(0)).find(never).filter(|_| by_number)
    };
    let assigned = always_assigned(ir, &ir.body);
    let always = |id: NodeId| is_whole(ir, &assigned, id);
    for (id, node) in ir.nodes.iter().enumerate().filter(|(id, _)| !excused.contains(id)) {
        let name = || ir.describe(id);
        match node.kind {
            NodeKind::Wire if !ever.contains(&id) => {
                problems.push((format!("{} is not driven: give it a value with `set`", name()), node.source));
            }
            NodeKind::Wire if !always(id) => {
                problems.push((
                    format!("{} is not driven under every condition, which would be a latch: `set` a default before the conditions", name()),
                    node.source,
                ));
            }
            NodeKind::Reg { .. } if !ever.contains(&id) => {
                problems.push((format!("the register {} is never set: use a constant instead", name()), node.source));
            }
            NodeKind::Reg { .. } => {
                if let Some(number) = forgotten(id) {
                    let message = format!("element {number} of {} is never set: use a constant instead", name());
                    problems.push((message, node.source));
                }
            }
            _ => {}
        }
    }
    for memory in &ir.memories {
        if memory.writes.is_empty() && memory.initial.is_empty() {
            problems.push((
                format!(
                    "the memory `{}` is never written and has no initial contents: use `write`, or `memory_with_contents`",
                    memory.name
                ),
                memory.source,
            ));
        }
    }
}

/// Finds for each output the inputs that it follows within a clock, and refuses them unless the module says why.
fn paths(
    ir: &mut ModuleIr,
    graph: &Graph,
    order: &[NodeId],
    excused: &BTreeSet<NodeId>,
    problems: &mut Vec<(String, Source)>,
) {
    let inputs: BTreeMap<NodeId, usize> = ir
        .ports
        .iter()
        .enumerate()
        .filter(|(_, p)| p.direction == Direction::Input)
        .map(|(i, p)| (p.node, i))
        .collect();
    let mut reach: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); graph.needs.len()];
    for &id in order.iter().filter(|id| !excused.contains(id)) {
        let mut set: BTreeSet<usize> = inputs.get(&id).copied().into_iter().collect();
        for need in &graph.needs[id] {
            set.extend(reach[*need].iter().copied());
        }
        reach[id] = set;
    }
    let mut found = Vec::new();
    for (index, port) in ir.ports.iter().enumerate() {
        if port.direction != Direction::Output || reach[port.node].is_empty() {
            continue;
        }
        found.push((index, reach[port.node].iter().copied().collect::<Vec<_>>()));
        let allowed = ir.clocks.is_empty() || ir.combinational_because.is_some() || port.name.ends_with("_comb");
        if !allowed {
            let from: Vec<String> = reach[port.node].iter().map(|i| format!("`{}`", ir.ports[*i].name)).collect();
            problems.push((
                format!(
                    "the output `{}` follows {} within a clock: register it, or, if that is meant, end its name with `_comb` or call `allow_combinational`",
                    port.name,
                    from.join(", ")
                ),
                ir.nodes[port.node].source,
            ));
        }
    }
    ir.combinational = found;
}

/// Finds the clock domain of every node and refuses places where two meet.
fn domains(
    ir: &mut ModuleIr,
    graph: &Graph,
    order: &[NodeId],
    excused: &BTreeSet<NodeId>,
    problems: &mut Vec<(String, Source)>,
) {
    let held: BTreeMap<NodeId, usize> =
        ir.crossings.iter().filter(|c| c.kind == CrossingKind::Held).map(|c| (c.to[0], c.clock)).collect();
    let synchronized: BTreeSet<NodeId> =
        ir.crossings.iter().filter(|c| c.kind == CrossingKind::Synchronizer).map(|c| c.to[0]).collect();
    let clock_name = |ir: &ModuleIr, d: Domain| match d {
        Domain::Clock(c) => format!("clock `{}`", ir.clocks[c].name),
        Domain::ClockInput(_) => "a clock used as data".to_string(),
        Domain::Async => "an asynchronous input".to_string(),
        Domain::Any => "no clock".to_string(),
    };
    // The domain of each node, and a node that it comes from.
    let mut found: Vec<(Domain, NodeId)> = vec![(Domain::Any, 0); ir.nodes.len()];
    let own: BTreeMap<NodeId, Domain> =
        ir.ports.iter().filter(|p| p.direction == Direction::Input).map(|p| (p.node, p.domain)).collect();
    let mut report = |ir: &ModuleIr, a: (Domain, NodeId), b: (Domain, NodeId), source: Source| {
        problems.push((
            format!(
                "{} ({}) meets {} ({}): cross clock domains with a block of `rtl_prim::cdc`",
                ir.describe(a.1),
                clock_name(ir, a.0),
                ir.describe(b.1),
                clock_name(ir, b.0)
            ),
            source,
        ));
    };
    for &id in order.iter().filter(|id| !excused.contains(id)) {
        let node = &ir.nodes[id];
        let fixed = match &node.kind {
            NodeKind::Input => own.get(&id).copied(),
            NodeKind::Reg { clock, .. } => Some(Domain::Clock(*clock)),
            NodeKind::Wire => held.get(&id).map(|clock| Domain::Clock(*clock)),
            NodeKind::MemoryRead { memory, port } => Some(Domain::Clock(ir.memories[*memory].reads[*port].clock)),
            NodeKind::InstanceOutput { instance, port } => {
                let instance = &ir.instances[*instance];
                match instance.module.ports[*port].domain {
                    Domain::Clock(c) => Some(Domain::Clock(instance.clocks[c])),
                    Domain::Any => None,
                    other => Some(other),
                }
            }
            _ => None,
        };
        found[id] = match fixed {
            Some(domain) => (domain, id),
            None => {
                let mut result = (Domain::Any, id);
                for need in &graph.needs[id] {
                    let of = found[*need];
                    if of.0 == Domain::Any || of.0 == result.0 {
                        continue;
                    }
                    if result.0 == Domain::Any {
                        result = of;
                    } else {
                        report(ir, result, of, node.source);
                    }
                }
                // A word read without a clock changes with the clock that writes it.
                if let NodeKind::MemoryLookup { memory, .. } = node.kind {
                    let memory = &ir.memories[memory];
                    for write in memory.writes.iter().filter(|_| memory.crossing.is_none()) {
                        let of = (Domain::Clock(write.clock), write.data);
                        if result.0 == Domain::Any {
                            result = of;
                        } else if result.0 != of.0 {
                            report(ir, result, of, node.source);
                        }
                    }
                }
                result
            }
        };
    }
    let mut expect = |ir: &ModuleIr, id: NodeId, clock: usize, at: NodeId, source: Source| {
        let of = found[id];
        let is_excused = excused.contains(&id) || excused.contains(&at);
        if !is_excused && of.0 != Domain::Any && of.0 != Domain::Clock(clock) {
            report(ir, of, (Domain::Clock(clock), at), source);
        }
    };
    for (reg, needs) in &graph.next {
        if let NodeKind::Reg { clock, .. } = ir.nodes[*reg].kind {
            for need in needs.iter().filter(|_| !synchronized.contains(reg)) {
                expect(ir, *need, clock, *reg, ir.nodes[*reg].source);
            }
        }
    }
    for memory in &ir.memories {
        for w in &memory.writes {
            for id in [Some(w.enable), Some(w.address), Some(w.data), w.lanes].into_iter().flatten() {
                expect(ir, id, w.clock, id, w.source);
            }
        }
        for r in &memory.reads {
            for id in [Some(r.address), r.enable].into_iter().flatten() {
                expect(ir, id, r.clock, r.data, r.source);
            }
            for w in memory.writes.iter().filter(|w| w.clock != r.clock && memory.crossing.is_none()) {
                expect(ir, w.address, r.clock, r.data, r.source);
            }
        }
    }
    for instance in &ir.instances {
        for (port, &connection) in instance.module.ports.iter().zip(&instance.connections) {
            if let (Direction::Input, Domain::Clock(c)) = (port.direction, port.domain) {
                expect(ir, connection, instance.clocks[c], connection, instance.source);
            }
        }
    }
    for property in &ir.properties {
        for id in [Some(property.condition), property.reset].into_iter().flatten() {
            expect(ir, id, property.clock, id, property.source);
        }
    }
    for port in ir.ports.iter_mut().filter(|p| p.direction == Direction::Output) {
        port.domain = found[port.node].0;
    }
}

/// What no memory of a device can do.
fn memories(ir: &ModuleIr, problems: &mut Vec<(String, Source)>) {
    let functional = functional(ir);
    for (id, node) in ir.nodes.iter().enumerate() {
        let NodeKind::MemoryLookup { memory, .. } = node.kind else { continue };
        let memory = &ir.memories[memory];
        if functional[id] && matches!(memory.style, MemoryStyle::Block | MemoryStyle::Ultra) {
            problems.push((
                format!(
                    "the block RAM `{}` cannot be read combinationally: use `read`, or `MemoryStyle::Distributed`",
                    memory.name
                ),
                node.source,
            ));
        }
    }
    for memory in &ir.memories {
        let clocks: BTreeSet<usize> =
            memory.writes.iter().map(|w| w.clock).chain(memory.reads.iter().map(|r| r.clock)).collect();
        if memory.style == MemoryStyle::Ultra && clocks.len() > 1 {
            problems.push((
                format!(
                    "the UltraRAM `{}` has {} clocks, and can have one: use `MemoryStyle::Block`",
                    memory.name,
                    clocks.len()
                ),
                memory.source,
            ));
        }
    }
}

/// What goes into a synchroniser comes from registers: the output of a gate may glitch while its inputs change.
fn synchronizers(ir: &ModuleIr, problems: &mut Vec<(String, Source)>) {
    for crossing in ir.crossings.iter().filter(|c| c.kind == CrossingKind::Synchronizer) {
        let mut pending = vec![crossing.from];
        while let Some(id) = pending.pop() {
            match &ir.nodes[id].kind {
                NodeKind::Input
                | NodeKind::Reg { .. }
                | NodeKind::MemoryRead { .. }
                | NodeKind::InstanceOutput { .. }
                | NodeKind::Constant(_) => {}
                NodeKind::Slice(..) | NodeKind::Concat(_) => pending.extend(ir.operands(id)),
                NodeKind::Wire => match &part_for(&ir.body, id)[..] {
                    [Statement::Set { element: None, value, .. }] => pending.push(*value),
                    _ => glitches(ir, id, crossing, problems),
                },
                _ => glitches(ir, id, crossing, problems),
            }
        }
    }
}

fn glitches(ir: &ModuleIr, id: NodeId, crossing: &Crossing, problems: &mut Vec<(String, Source)>) {
    let last = crossing.to.last().expect("a synchroniser has registers");
    problems.push((
        format!(
            "{} is computed on its way into the synchroniser {} and may glitch: put it into a register of its own clock first",
            ir.describe(id),
            ir.describe(*last)
        ),
        crossing.source,
    ));
}

/// Which nodes the hardware needs; the rest is read by nothing, or only by properties.
pub(crate) fn functional(ir: &ModuleIr) -> Vec<bool> {
    let outputs = ir.ports.iter().filter(|p| p.direction == Direction::Output).map(|port| port.node);
    let pins = ir.instances.iter().flat_map(|instance| instance.connections.iter().copied());
    reachable(ir, outputs.chain(pins).collect())
}

/// The nodes that `roots` need, in the same clock, through registers, or through memories.
pub(crate) fn reachable(ir: &ModuleIr, roots: Vec<NodeId>) -> Vec<bool> {
    let graph = Graph::of(ir);
    let mut reached = vec![false; ir.nodes.len()];
    let mut pending = roots;
    while let Some(id) = pending.pop() {
        if std::mem::replace(&mut reached[id], true) {
            continue;
        }
        pending.extend(&graph.needs[id]);
        pending.extend(graph.next.get(&id).into_iter().flatten());
        let memory = match ir.nodes[id].kind {
            NodeKind::MemoryRead { memory, port } => {
                let read = &ir.memories[memory].reads[port];
                pending.extend([read.address].into_iter().chain(read.enable));
                memory
            }
            NodeKind::MemoryLookup { memory, .. } => memory,
            _ => continue,
        };
        for write in &ir.memories[memory].writes {
            pending.extend([write.enable, write.address, write.data].into_iter().chain(write.lanes));
        }
    }
    reached
}

/// Whether one of the reads of a memory is among the nodes.
pub(crate) fn reads_memory(ir: &ModuleIr, memory: usize, among: &[bool]) -> bool {
    ir.nodes.iter().zip(among).any(|(node, among)| match node.kind {
        NodeKind::MemoryRead { memory: read, .. } | NodeKind::MemoryLookup { memory: read, .. } => {
            *among && read == memory
        }
        _ => false,
    })
}
