//! What a waveform declares: modules with their named values, and the same grouped for a reader.

use crate::ir::{Design, Direction, ModuleIr, NodeId, NodeKind};
use std::collections::BTreeMap;

/// The names of the codes of an enum.
pub(crate) type Labels = &'static [&'static str];

/// What is known of a value beside its bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// The names of its codes, if it is an enum.
    pub labels: Option<Labels>,
    /// The number of its elements, if it is an array.
    pub elements: Option<u32>,
    /// Its direction, if it is a port.
    pub direction: Option<Direction>,
    /// It holds its value from one clock to the next.
    pub is_register: bool,
    /// The bundles that it is a field of; see [`Node::bundles`](crate::ir::Node::bundles).
    pub bundles: Vec<usize>,
}

/// The notes of every node of a module that has a name.
///
/// The net on a port of an instance is an enum if the port is one.
pub(crate) fn notes_of(module: &ModuleIr) -> BTreeMap<NodeId, Notes> {
    let named = module.nodes.iter().enumerate().filter(|(_, node)| node.name.is_some());
    let mut notes: BTreeMap<NodeId, Notes> = named
        .map(|(id, node)| {
            let is_register = matches!(node.kind, NodeKind::Reg { .. } | NodeKind::MemoryRead { .. });
            let (labels, elements, bundles) = (node.labels, node.elements, node.bundles.clone());
            (id, Notes { labels, elements, direction: None, is_register, bundles })
        })
        .collect();
    for port in &module.ports {
        if let Some(notes) = notes.get_mut(&port.node) {
            notes.direction = Some(port.direction);
        }
    }
    for instance in module.instances.iter().filter(|instance| instance.module.foreign.is_none()) {
        for (port, net) in instance.module.ports.iter().zip(&instance.connections) {
            if let Some(notes) = notes.get_mut(net) {
                notes.labels = notes.labels.or(instance.module.nodes[port.node].labels);
            }
        }
    }
    notes
}

/// What a design knows of its named values, as plain data: enough to make a waveform readable that another simulator wrote.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The name of the top module.
    pub(crate) name: String,
    pub(crate) values: BTreeMap<String, Notes>,
    pub(crate) children: BTreeMap<String, Outline>,
}

impl Outline {
    /// The outline of a design.
    pub fn of(design: &Design) -> Self {
        let top = design.top();
        Self::of_module(top, &top.name)
    }

    fn of_module(module: &ModuleIr, name: &str) -> Self {
        let values =
            notes_of(module).into_iter().filter_map(|(id, notes)| Some((module.nodes[id].name.clone()?, notes)));
        let children = module.instances.iter().map(|child| {
            let outline = Self::of_module(&child.module, &child.name);
            (child.name.clone(), outline)
        });
        Self { name: name.to_owned(), values: values.collect(), children: children.collect() }
    }

    /// Whether this is a constant that the emitter declares for a variant of an enum: its name is that of a signal and of the variant.
    pub(crate) fn is_label(&self, name: &str) -> bool {
        let is_variant = |labels: &[&str], end: &str| labels.iter().any(|label| end.strip_prefix('_') == Some(label));
        !self.values.contains_key(name)
            && self.values.iter().any(|(signal, notes)| {
                let end = name.strip_prefix(signal.as_str());
                end.zip(notes.labels).is_some_and(|(end, labels)| is_variant(labels, end))
            })
    }
}

/// A named value of a simulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub name: String,
    pub width: u32,
    /// Values that are always equal have one signal.
    pub signal: usize,
    pub notes: Notes,
}

/// A module of a running design.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    pub name: String,
    pub values: Vec<Value>,
    pub children: Vec<Instance>,
}

/// What a scope of a waveform stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Module,
    /// A bundle or a stream.
    Bundle,
    Array,
}

/// A scope of a waveform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub name: String,
    pub kind: Kind,
    pub variables: Vec<Variable>,
    pub scopes: Vec<Scope>,
}

/// A variable of a waveform: a signal, or an element of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    pub name: String,
    pub is_register: bool,
    pub labels: Option<Labels>,
    pub direction: Option<Direction>,
    pub signal: usize,
    /// Which bits of the signal.
    pub low: u32,
    pub width: u32,
}

impl Scope {
    fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind, variables: vec![], scopes: vec![] }
    }

    /// The scope of this kind and name in this one.
    fn inside(&mut self, name: &str, kind: Kind) -> &mut Scope {
        let found = self.scopes.iter().position(|scope| scope.kind == kind && scope.name == name);
        let index = found.unwrap_or_else(|| {
            self.scopes.push(Scope::new(name, kind));
            self.scopes.len() - 1
        });
        &mut self.scopes[index]
    }

    /// Adds a value: an element of an array is a variable.
    fn add(&mut self, value: Value) {
        let Value { name, width, signal, notes } = value;
        let Notes { labels, direction, is_register, .. } = notes;
        match notes.elements.filter(|count| *count > 0 && width % count == 0) {
            None => self.variables.push(Variable { name, is_register, labels, direction, signal, low: 0, width }),
            Some(count) => {
                let width = width / count;
                let element = |index: u32| Variable {
                    name: format!("{name}[{index}]"),
                    is_register,
                    labels,
                    direction,
                    signal,
                    low: index * width,
                    width,
                };
                self.inside(&name, Kind::Array).variables.extend((0..count).map(element));
            }
        }
    }
}

/// Modules, for a reader: enums are named wherever they are shown, and [`grouped`].
pub(crate) fn readable(mut tops: Vec<Instance>) -> Vec<Scope> {
    let mut labels = BTreeMap::new();
    tops.iter().for_each(|top| collect_labels(top, &mut labels));
    tops.iter_mut().for_each(|top| spread_labels(top, &labels));
    tops.into_iter().map(grouped).collect()
}

/// The names of the codes of each signal that some module knows as an enum; nothing where two modules disagree.
fn collect_labels(instance: &Instance, found: &mut BTreeMap<usize, Option<Labels>>) {
    for value in instance.values.iter().filter(|value| value.can_share_labels()) {
        if let Some(labels) = value.notes.labels {
            let known = found.entry(value.signal).or_insert(Some(labels));
            *known = known.filter(|known| *known == labels);
        }
    }
    instance.children.iter().for_each(|child| collect_labels(child, found));
}

fn spread_labels(instance: &mut Instance, found: &BTreeMap<usize, Option<Labels>>) {
    for value in instance.values.iter_mut().filter(|value| value.can_share_labels()) {
        value.notes.labels = value.notes.labels.or(found.get(&value.signal).copied().flatten());
    }
    instance.children.iter_mut().for_each(|child| spread_labels(child, found));
}

impl Value {
    /// Whether a value with the same signal means the same. A bit may be equal to an enum of two variants and mean something else.
    fn can_share_labels(&self) -> bool {
        self.notes.elements.is_none() && self.width > 1
    }
}

/// A module with its fields in scopes named after their bundles and streams, and its elements in scopes named after their arrays. Every variable
/// keeps its full name, so that it is found by the name that it has in the Verilog.
fn grouped(instance: Instance) -> Scope {
    let Instance { name, values, children } = instance;
    let mut module = Scope::new(&name, Kind::Module);
    for value in values {
        let bundles = value.notes.bundles.iter().filter_map(|length| value.name.get(..*length));
        // A bundle with the name of an instance would look like a part of it.
        let bundles: Vec<String> =
            bundles.filter(|name| children.iter().all(|child| child.name != *name)).map(str::to_owned).collect();
        bundles.iter().fold(&mut module, |scope, name| scope.inside(name, Kind::Bundle)).add(value);
    }
    module.scopes.extend(children.into_iter().map(grouped));
    module
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, width: u32, notes: Notes) -> Value {
        Value { name: name.into(), width, signal: 0, notes }
    }

    /// The paths of all variables.
    fn paths(scope: &Scope) -> Vec<String> {
        let own = scope.variables.iter().map(|variable| variable.name.clone());
        let inner = scope.scopes.iter().flat_map(paths);
        own.chain(inner).map(|path| format!("{}.{path}", scope.name)).collect()
    }

    #[test]
    fn fields_and_elements_are_in_scopes_of_their_own() {
        let bundle = |bundles: &[usize]| Notes { bundles: bundles.to_vec(), ..Notes::default() };
        let array = |bundles: &[usize], count| Notes { elements: Some(count), ..bundle(bundles) };
        let values = vec![
            value("in_valid", 1, bundle(&[2])),
            value("state", 2, Notes::default()),
            value("in_entry_id", 8, bundle(&[2, 8])),
            value("table", 12, array(&[], 3)),
            value("lost", 1, bundle(&[99])),
            value("in_entry_words", 8, array(&[2, 8], 2)),
            value("child_x", 1, bundle(&[5])),
        ];
        let child = Instance { name: "child".into(), values: vec![value("x", 1, Notes::default())], children: vec![] };
        let top = grouped(Instance { name: "top".into(), values, children: vec![child] });
        let expected = [
            "top.state",
            "top.lost",
            "top.child_x",
            "top.in.in_valid",
            "top.in.in_entry.in_entry_id",
            "top.in.in_entry.in_entry_words.in_entry_words[0]",
            "top.in.in_entry.in_entry_words.in_entry_words[1]",
            "top.table.table[0]",
            "top.table.table[1]",
            "top.table.table[2]",
            "top.child.x",
        ];
        assert_eq!(paths(&top), expected);
        let table = &top.scopes[1];
        assert_eq!((table.kind, table.variables[2].low, table.variables[2].width), (Kind::Array, 8, 4));
    }
}
