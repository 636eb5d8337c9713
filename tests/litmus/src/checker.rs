//! Whether a history is one that RVWMO allows. RISC-V Unprivileged ISA, "RVWMO Memory Consistency Model".
//!
//! The model asks for one order of all memory operations. Values tell which write each read comes from. What that, the
//! programs and the order found so far force upon the order are edges of a graph; a cycle is a violation:
//!
//! | edge | |
//! |---|---|
//! | preserved | the program order that the model preserves: same address, fences, acquire and release, address dependencies |
//! | from | a read comes after the write of another agent that it reads from |
//! | coherence | of two writes to one place, an agent meets the second one later; or the order so far puts it later |
//! | before | a read comes before the writes that come after the one that it has read from |
//! | atomic | nothing comes between what an atomic reads and what it writes |
//!
//! Edges are added until there are no more. None is added that is not forced, so that no history that is allowed is refused. Whether all
//! that are forbidden are refused is not known of large ones; of small ones it is tested.

use crate::history::{Accesses, Event, History, Kind, Operation, Place};
use std::collections::{BTreeMap, VecDeque};

/// A write: that of the beginning, or an event, by its agent and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// What was there at first.
    Initial,
    /// An event.
    Event {
        /// The agent.
        agent: usize,
        /// The event of it.
        event: usize,
    },
}

/// A history that is not allowed, in lines.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{}", .0.join("\n"))]
pub struct Violation(Vec<String>);

/// Where the reads come from, by agent and event, if the history is allowed.
///
/// # Errors
/// It is not: what contradicts itself.
///
/// # Panics
/// If values of a place are not unique.
pub fn check(history: &History) -> Result<Vec<Vec<Option<Source>>>, Violation> {
    let mut graph = Graph::new(history)?;
    while graph.extend()? {}
    let source = |node: usize| graph.sources[node].map(|writer| graph.source_of(writer));
    let agents = history.agents.iter().enumerate();
    Ok(agents.map(|(agent, events)| (0..events.len()).map(|e| source(graph.node(agent, e))).collect()).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Preserved,
    From,
    Coherence,
    Before,
    Atomic,
}

/// Cycles of which the shortest is told.
const CYCLES_MAX: usize = 32;

/// What an atomic, or a pair of `lr` and `sc`, reads from, and the node that writes.
struct Atomic {
    place: Place,
    from: usize,
    write: usize,
}

/// Nodes are the writes of the beginning, by place, and then all events.
struct Graph<'h> {
    history: &'h History,
    /// The first node of each agent, and one behind the last.
    first: Vec<usize>,
    edges: Vec<Vec<(usize, Why)>>,
    /// The write that a node reads from.
    sources: Vec<Option<usize>>,
    writes: Vec<Vec<usize>>,
    reads: Vec<Vec<usize>>,
    atomics: Vec<Atomic>,
}

impl<'h> Graph<'h> {
    fn new(history: &'h History) -> Result<Self, Violation> {
        let places = history.initial.len();
        let mut first = vec![places];
        for events in &history.agents {
            first.push(first[first.len() - 1] + events.len());
        }
        let nodes = first[first.len() - 1];
        let mut graph = Self {
            history,
            first,
            edges: vec![vec![]; nodes],
            sources: vec![None; nodes],
            writes: (0..places).map(|place| vec![place]).collect(),
            reads: vec![vec![]; places],
            atomics: vec![],
        };
        graph.find_sources()?;
        for agent in 0..history.agents.len() {
            graph.add_seen(agent)?;
            graph.add_preserved(agent);
        }
        Ok(graph)
    }

    fn node(&self, agent: usize, event: usize) -> usize {
        self.first[agent] + event
    }

    fn source_of(&self, node: usize) -> Source {
        if node < self.history.initial.len() {
            return Source::Initial;
        }
        let agent = self.first.partition_point(|first| *first <= node) - 1;
        Source::Event { agent, event: node - self.first[agent] }
    }

    fn agent_of(&self, node: usize) -> Option<usize> {
        match self.source_of(node) {
            Source::Initial => None,
            Source::Event { agent, .. } => Some(agent),
        }
    }

    fn add(&mut self, from: usize, to: usize, why: Why) {
        self.edges[from].push((to, why));
    }

    /// By values, which write each read comes from.
    fn find_sources(&mut self) -> Result<(), Violation> {
        let history = self.history;
        let mut writers: BTreeMap<(Place, u64), usize> = BTreeMap::new();
        for (place, value) in history.initial.iter().enumerate() {
            writers.insert((place, *value), place);
        }
        let all = || history.agents.iter().flatten().zip(history.initial.len()..);
        for (Event { operation, wrote, .. }, node) in all() {
            let Some(value) = wrote else { continue };
            let other = writers.insert((operation.place, *value), node);
            assert_eq!(other, None, "{value:#x} is written to place {} twice", operation.place);
            self.writes[operation.place].push(node);
            self.add(operation.place, node, Why::Coherence);
        }
        for (Event { operation, read, .. }, node) in all() {
            let Some(value) = read else { continue };
            let Some(writer) = writers.get(&(operation.place, *value)) else {
                return Err(Violation(vec!["nobody has written what was read:".into(), self.describe(node)]));
            };
            self.sources[node] = Some(*writer);
            self.reads[operation.place].push(node);
            if self.agent_of(*writer) != self.agent_of(node) {
                self.add(*writer, node, Why::From);
            }
        }
        Ok(())
    }

    /// What an agent meets at a place, by reading or writing, it meets in the order of the writes. And what its atomics read and write.
    fn add_seen(&mut self, agent: usize) -> Result<(), Violation> {
        let mut last: Vec<Option<usize>> = vec![None; self.writes.len()];
        // What is reserved: the place, what was read from, and the agent's own writes there since then.
        let mut reserved: Option<(Place, Vec<usize>)> = None;
        for (event, number) in self.history.agents[agent].iter().zip(0..) {
            let (node, place) = (self.node(agent, number), event.operation.place);
            let source = self.sources[node];
            if source.is_some_and(|source| self.agent_of(source) == Some(agent) && source >= node) {
                return Err(Violation(vec!["what is written later was read:".into(), self.describe(node)]));
            }
            for met in source.into_iter().chain(event.wrote.map(|_| node)) {
                if let Some(last) = last[place].replace(met).filter(|last| *last != met) {
                    self.add(last, met, Why::Coherence);
                }
            }
            let is_write = event.wrote.is_some();
            if let Some(from) = source.filter(|_| is_write) {
                self.atomics.push(Atomic { place, from, write: node });
            }
            match event.operation.kind {
                Kind::LoadReserved => reserved = source.map(|source| (place, vec![source])),
                Kind::StoreConditional => {
                    let taken = reserved.take().filter(|(reserved, _)| *reserved == place);
                    let writes = match taken {
                        _ if !is_write => continue,
                        Some((_, writes)) => [&writes[..], &[node]].concat(),
                        None => {
                            let what = "a conditional store has succeeded without a reservation:";
                            return Err(Violation(vec![what.into(), self.describe(node)]));
                        }
                    };
                    self.atomics.extend(writes.windows(2).map(|pair| Atomic { place, from: pair[0], write: pair[1] }));
                }
                _ => reserved.iter_mut().filter(|(at, _)| *at == place && is_write).for_each(|(_, all)| all.push(node)),
            }
        }
        Ok(())
    }

    /// "Preserved Program Order", by its rules. Syntactic dependencies are those of addresses.
    fn add_preserved(&mut self, agent: usize) {
        let mut places = vec![AtPlace::default(); self.writes.len()];
        // Since the last fence that orders everything.
        let mut since: Vec<(usize, Accesses)> = vec![];
        // What everything of some kinds comes after from here on.
        let mut open: Vec<(usize, Accesses)> = vec![];
        // The last atomic with `aq` or `rl`.
        let mut annotated: Option<usize> = None;
        for (event, number) in self.history.agents[agent].iter().zip(0..) {
            let (node, operation) = (self.node(agent, number), event.operation);
            if let Kind::Fence { before, after } = operation.kind {
                // Rule 4.
                let is_full = before == Accesses::ALL && after == Accesses::ALL;
                for (earlier, accesses) in since.iter().chain(open.iter().filter(|_| is_full)) {
                    if is_full || accesses.meets(before) {
                        self.add(*earlier, node, Why::Preserved);
                    }
                }
                if is_full {
                    since.clear();
                    open.clear();
                }
                open.push((node, after));
                continue;
            }
            let accesses = Accesses { reads: event.read.is_some(), writes: event.wrote.is_some() };
            if !accesses.meets(Accesses::ALL) {
                continue;
            }
            for (earlier, after) in &open {
                if after.meets(accesses) {
                    self.add(*earlier, node, Why::Preserved);
                }
            }
            if operation.depends {
                // Rules 9 and 13.
                self.add(node - 1, node, Why::Preserved);
                open.push((node - 1, Accesses::WRITES));
            }
            // Rules 5 to 7.
            if operation.release {
                since.iter().for_each(|(earlier, _)| self.add(*earlier, node, Why::Preserved));
            }
            if operation.acquire {
                open.push((node, Accesses::ALL));
            }
            if operation.acquire || operation.release {
                if let Some(earlier) = annotated.replace(node) {
                    self.add(earlier, node, Why::Preserved);
                }
            }
            since.push((node, accesses));
            let at = &mut places[operation.place];
            let earlier = at.earlier(node, self.sources[node], accesses);
            earlier.into_iter().for_each(|earlier| self.add(earlier, node, Why::Preserved));
            // Rules 3 and 12: who reads what an own atomic has written, or an own write whose address depends on a read.
            let own = self.sources[node].filter(|source| self.agent_of(*source) == Some(agent));
            if let Some(source) = own.filter(|_| accesses.reads) {
                let by = self.history.agents[agent][source - self.first[agent]].operation;
                if by.kind != Kind::Store {
                    self.add(source, node, Why::Preserved);
                }
                if by.depends {
                    self.add(source - 1, node, Why::Preserved);
                }
            }
        }
    }

    /// Adds what is forced by the order so far; whether there was something.
    fn extend(&mut self) -> Result<bool, Violation> {
        let order = self.order()?;
        let reach = Reach::new(&order, &self.edges);
        let mut position = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(node, at)| position[*node] = at);
        let mut new: Vec<(usize, usize, Why)> = vec![];
        for place in 0..self.writes.len() {
            self.writes[place].sort_by_key(|node| position[*node]);
            let writes = &self.writes[place];
            // For each write, those behind it with none between.
            let mut next: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (at, write) in writes.iter().enumerate() {
                let behind = next.entry(*write).or_default();
                for later in &writes[at + 1..] {
                    if reach.has(*write, *later) && !behind.iter().any(|between| reach.has(*between, *later)) {
                        behind.push(*later);
                    }
                }
            }
            // Whether a write comes before a node, and is not yet known to come behind another write: else the node comes before it, and there is a cycle.
            let is_new = |write: usize, node: usize, other: usize| {
                write != other && reach.has(write, node) && !reach.has(other, write)
            };
            for read in &self.reads[place] {
                let source = self.sources[*read].expect("a read has a source");
                for later in next[&source].iter().filter(|later| *later != read) {
                    new.push((*read, *later, Why::Before));
                }
                for write in writes.iter().filter(|write| is_new(**write, *read, source)) {
                    new.push((*write, source, Why::Coherence));
                }
            }
            for Atomic { from, write, .. } in self.atomics.iter().filter(|atomic| atomic.place == place) {
                for later in next[from].iter().filter(|later| *later != write) {
                    new.push((*write, *later, Why::Atomic));
                }
                for earlier in writes.iter().filter(|earlier| is_new(**earlier, *write, *from)) {
                    new.push((*earlier, *from, Why::Atomic));
                }
            }
        }
        new.retain(|(from, to, _)| !reach.has(*from, *to));
        new.iter().for_each(|(from, to, why)| self.add(*from, *to, *why));
        Ok(!new.is_empty())
    }

    /// The nodes in an order that all edges follow.
    fn order(&self) -> Result<Vec<usize>, Violation> {
        let mut before = vec![0; self.edges.len()];
        self.edges.iter().flatten().for_each(|(to, _)| before[*to] += 1);
        let mut order: Vec<usize> = (0..self.edges.len()).filter(|node| before[*node] == 0).collect();
        let mut at = 0;
        while at < order.len() {
            for (to, _) in &self.edges[order[at]] {
                before[*to] -= 1;
                if before[*to] == 0 {
                    order.push(*to);
                }
            }
            at += 1;
        }
        if order.len() == self.edges.len() {
            return Ok(order);
        }
        Err(self.cycle(|node| before[node] > 0))
    }

    /// A short cycle among some nodes, of which there is one.
    fn cycle(&self, is_left: impl Fn(usize) -> bool) -> Violation {
        let nodes = (0..self.edges.len()).filter(|node| is_left(*node));
        let around = |start: usize| {
            let mut came: Vec<Option<(usize, Why)>> = vec![None; self.edges.len()];
            let mut queue = VecDeque::from([start]);
            while let Some(node) = queue.pop_front() {
                for (to, why) in self.edges[node].iter().filter(|(to, _)| is_left(*to)) {
                    if came[*to].is_some() {
                        continue;
                    }
                    came[*to] = Some((node, *why));
                    queue.push_back(*to);
                    if *to == start {
                        let mut path = vec![];
                        let mut node = start;
                        while path.is_empty() || node != start {
                            let (from, why) = came[node].expect("the way leads back");
                            path.push((from, why));
                            node = from;
                        }
                        path.reverse();
                        return Some(path);
                    }
                }
            }
            None
        };
        let shortest = nodes.filter_map(around).take(CYCLES_MAX).min_by_key(Vec::len).expect("there is a cycle");
        let mut lines = vec!["each of these comes before the next, and the last before the first:".to_owned()];
        lines.extend(shortest.iter().map(|(node, why)| format!("{}, {why:?} ->", self.describe(*node))));
        Violation(lines)
    }

    fn describe(&self, node: usize) -> String {
        match self.source_of(node) {
            Source::Initial => format!("  the beginning of place {node}, {:#x}", self.history.initial[node]),
            Source::Event { agent, event: number } => {
                let Event { operation, read, wrote } = self.history.agents[agent][number];
                let Operation { kind, place, acquire, release, depends, .. } = operation;
                let mut text = format!("  agent {agent}, event {number}: {kind:?}");
                if !matches!(kind, Kind::Fence { .. }) {
                    text.push_str(&format!(" of place {place}"));
                }
                for (is_so, word) in [(acquire, "aq"), (release, "rl"), (depends, "depends on the one before")] {
                    if is_so {
                        text.push_str(&format!(", {word}"));
                    }
                }
                read.iter().for_each(|value| text.push_str(&format!(", read {value:#x}")));
                wrote.iter().for_each(|value| text.push_str(&format!(", wrote {value:#x}")));
                text
            }
        }
    }
}

/// What an agent has done at one place, as far as later accesses of it are ordered behind.
#[derive(Clone, Default)]
struct AtPlace {
    write: Option<usize>,
    /// Reads since that write: those of one source, and those before of the last other source.
    reads: Vec<usize>,
    source: Option<usize>,
    others: Vec<usize>,
}

impl AtPlace {
    /// Those that an access comes after by rules 1 and 2: everything before a write; and before a read, those that have read something else since the last write.
    fn earlier(&mut self, node: usize, source: Option<usize>, accesses: Accesses) -> Vec<usize> {
        if accesses.writes {
            let mut earlier = std::mem::take(&mut self.reads);
            earlier.append(&mut self.others);
            earlier.extend(self.write.replace(node));
            if accesses.reads {
                (self.reads, self.source) = (vec![node], source);
            }
            return earlier;
        }
        if self.reads.is_empty() || self.source != source {
            self.others = std::mem::take(&mut self.reads);
            self.source = source;
        }
        self.reads.push(node);
        self.others.clone()
    }
}

/// Which nodes come behind which: a row of bits each.
struct Reach {
    words: usize,
    bits: Vec<u64>,
}

impl Reach {
    fn new(order: &[usize], edges: &[Vec<(usize, Why)>]) -> Self {
        let words = order.len().div_ceil(64);
        let mut bits = vec![0; words * order.len()];
        for from in order.iter().rev() {
            let mut row = vec![0; words];
            for (to, _) in &edges[*from] {
                row[to / 64] |= 1 << (to % 64);
                for (word, behind) in row.iter_mut().zip(&bits[to * words..][..words]) {
                    *word |= behind;
                }
            }
            bits[from * words..][..words].copy_from_slice(&row);
        }
        Self { words, bits }
    }

    fn has(&self, from: usize, to: usize) -> bool {
        self.bits[from * self.words + to / 64] >> (to % 64) & 1 == 1
    }
}
