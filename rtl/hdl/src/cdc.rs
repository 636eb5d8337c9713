//! The report of all places of a design where a value goes from one clock domain to another.
//!
//! Elaboration refuses every other place, so the report is complete. It also looks through the ports of instances, where a synchroniser in one
//! module may be fed by logic in another.

use crate::check::functional;
use crate::ir::*;
use crate::Design;
use std::fmt;
use std::rc::Rc;

/// A place where a value goes from one clock domain to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What makes it safe.
    pub through: Through,
    /// What crosses: registers, or inputs of the top.
    pub from: Vec<End>,
    /// Where it arrives.
    pub to: End,
    /// The reason that the block gives.
    pub why: String,
    /// Where it was written.
    pub source: Source,
    /// Logic on the way into a synchroniser, which may glitch.
    pub glitch: Option<String>,
}

/// One end of a crossing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// The clock of the top to which it belongs; none for an asynchronous input.
    pub clock: Option<String>,
    /// The path of the signal.
    pub path: String,
}

/// What makes a crossing safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// So many registers in a row.
    Synchronizer(usize),
    /// The value stands still while it is looked at.
    Held,
    /// A memory with ports of several clocks.
    Memory,
    /// A reset that takes effect at once.
    Reset,
}

impl fmt::Display for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Through::Synchronizer(stages) => write!(f, "synchroniser of {stages} registers"),
            Through::Held => f.write_str("value that is held"),
            Through::Memory => f.write_str("memory"),
            Through::Reset => f.write_str("asynchronous reset"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.clock {
            Some(clock) => write!(f, "{} ({clock})", self.path),
            None => write!(f, "{} (asynchronous)", self.path),
        }
    }
}

/// Every crossing of a design, in the order of its modules. What only properties look at does not count.
pub fn crossings(design: &Design) -> Vec<Place> {
    let top = design.top();
    let name_of = |clock: &ClockIr| clock.name.clone();
    let mut flat = Flat { scopes: vec![] };
    flat.place(top, &top.name, top.clocks.iter().map(name_of).collect(), None);
    (0..flat.scopes.len()).flat_map(|scope| flat.crossings_of(scope)).collect()
}

/// An instance.
struct Scope {
    module: Rc<ModuleIr>,
    path: String,
    /// For each clock of the module: the top's.
    clocks: Vec<String>,
    /// The scope around it, and the number of the instance there.
    parent: Option<(usize, usize)>,
    /// The scope of each instance; none for foreign modules.
    children: Vec<Option<usize>>,
}

struct Flat {
    scopes: Vec<Scope>,
}

impl Flat {
    fn place(
        &mut self,
        module: &Rc<ModuleIr>,
        path: &str,
        clocks: Vec<String>,
        parent: Option<(usize, usize)>,
    ) -> usize {
        let scope = self.scopes.len();
        let path = path.to_string();
        self.scopes.push(Scope {
            module: module.clone(),
            path: path.clone(),
            clocks: clocks.clone(),
            parent,
            children: vec![],
        });
        for (number, instance) in module.instances.iter().enumerate() {
            let child = instance.module.foreign.is_none().then(|| {
                let clocks = instance.clocks.iter().map(|own| clocks[*own].clone()).collect();
                self.place(&instance.module, &format!("{path}.{}", instance.name), clocks, Some((scope, number)))
            });
            self.scopes[scope].children.push(child);
        }
        scope
    }

    fn crossings_of(&self, scope: usize) -> Vec<Place> {
        let Scope { module, path, clocks, .. } = &self.scopes[scope];
        let needed = functional(module);
        let path_of = |id: NodeId| format!("{path}.{}", module.describe(id).trim_matches('`'));
        let mut places = Vec::new();
        for crossing in module.crossings.iter().filter(|crossing| needed[crossing.to[0]]) {
            let last = *crossing.to.last().expect("a crossing arrives somewhere");
            let (mut from, mut glitch) = (Vec::new(), None);
            self.origins(scope, crossing.from, &mut from, &mut glitch);
            from.sort();
            from.dedup();
            places.push(Place {
                through: match crossing.kind {
                    CrossingKind::Synchronizer => Through::Synchronizer(crossing.to.len()),
                    CrossingKind::Held => Through::Held,
                },
                from,
                to: End { clock: Some(clocks[crossing.clock].clone()), path: path_of(last) },
                why: crossing.why.clone(),
                source: crossing.source,
                // What is held may come through logic: it stands still.
                glitch: glitch.filter(|_| crossing.kind == CrossingKind::Synchronizer),
            });
        }
        for memory in module.memories.iter() {
            let Some(why) = &memory.crossing else { continue };
            for read in memory.reads.iter().filter(|read| needed[read.data]) {
                let others = memory.writes.iter().filter(|write| clocks[write.clock] != clocks[read.clock]);
                let end = |write: &MemoryWrite| End {
                    clock: Some(clocks[write.clock].clone()),
                    path: format!("{path}.{}", memory.name),
                };
                let mut from: Vec<End> = others.map(end).collect();
                from.sort();
                from.dedup();
                if !from.is_empty() {
                    let to = End { clock: Some(clocks[read.clock].clone()), path: path_of(read.data) };
                    let (through, why) = (Through::Memory, why.clone());
                    places.push(Place { through, from, to, why, source: memory.source, glitch: None });
                }
            }
        }
        places.extend(self.resets_of(scope, &needed));
        places
    }

    /// The resets that take effect at once, each with the first register that it resets.
    fn resets_of(&self, scope: usize, needed: &[bool]) -> Vec<Place> {
        let Scope { module, path, clocks, .. } = &self.scopes[scope];
        let mut seen = Vec::new();
        let mut places = Vec::new();
        for (id, node) in module.nodes.iter().enumerate().filter(|(id, _)| needed[*id]) {
            let NodeKind::Reg { clock, reset: Some(reset) } = &node.kind else { continue };
            if reset.kind != ResetKind::Asynchronous || seen.contains(&(*clock, reset.signal)) {
                continue;
            }
            seen.push((*clock, reset.signal));
            let (mut from, mut glitch) = (Vec::new(), None);
            self.origins(scope, reset.signal, &mut from, &mut glitch);
            from.sort();
            from.dedup();
            let path = format!("{path}.{}", module.describe(id).trim_matches('`'));
            let to = End { clock: Some(clocks[*clock].clone()), path };
            let why = "it takes effect at once, and its end is for what follows to synchronise".into();
            places.push(Place { through: Through::Reset, from, to, why, source: node.source, glitch });
        }
        places
    }

    /// The registers and inputs of the top that a node shows, and whether logic is on the way.
    fn origins(&self, scope: usize, id: NodeId, found: &mut Vec<End>, glitch: &mut Option<String>) {
        let Scope { module, path, clocks, parent, children } = &self.scopes[scope];
        let end = |clock: Option<usize>| End {
            clock: clock.map(|clock| clocks[clock].clone()),
            path: format!("{path}.{}", module.describe(id).trim_matches('`')),
        };
        match &module.nodes[id].kind {
            NodeKind::Reg { clock, .. } => found.push(end(Some(*clock))),
            NodeKind::MemoryRead { memory, port } => found.push(end(Some(module.memories[*memory].reads[*port].clock))),
            NodeKind::Constant(_) => {}
            NodeKind::Input => {
                let port = module.ports.iter().position(|port| port.node == id).expect("an input is a port");
                match parent {
                    Some((outer, instance)) => {
                        let pin = self.scopes[*outer].module.instances[*instance].connections[port];
                        self.origins(*outer, pin, found, glitch);
                    }
                    None => match module.ports[port].domain {
                        Domain::Clock(clock) => found.push(end(Some(clock))),
                        _ => found.push(end(None)),
                    },
                }
            }
            NodeKind::InstanceOutput { instance, port } => match children[*instance] {
                Some(child) => {
                    let node = self.scopes[child].module.ports[*port].node;
                    self.origins(child, node, found, glitch);
                }
                None => match module.instances[*instance].module.ports[*port].domain {
                    Domain::Clock(own) => found.push(end(Some(module.instances[*instance].clocks[own]))),
                    _ => found.push(end(None)),
                },
            },
            NodeKind::Slice(..) | NodeKind::Concat(_) => {
                module.operands(id).into_iter().for_each(|operand| self.origins(scope, operand, found, glitch));
            }
            NodeKind::Wire => match &part_for(&module.body, id)[..] {
                [Statement::Set { element: None, value, .. }] => self.origins(scope, *value, found, glitch),
                part => {
                    *glitch = Some(end(None).path);
                    for_each_set(part, &mut |set, path| {
                        if let Statement::Set { value, element, .. } = set {
                            let read = [*value].into_iter().chain(*element).chain(path.iter().copied());
                            read.for_each(|operand| self.origins(scope, operand, found, glitch));
                        }
                    });
                }
            },
            _ => {
                *glitch = Some(end(None).path);
                module.operands(id).into_iter().for_each(|operand| self.origins(scope, operand, found, glitch));
            }
        }
    }
}
