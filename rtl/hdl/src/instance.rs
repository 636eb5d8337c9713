//! Modules inside modules.

use crate::foreign::{nearest, Foreign};
use crate::ir::*;
use crate::module::{
    build_module, building, claim, excuse, new_node, note_bundle, problem, stand_in, with_elaboration, Block, Clock,
    Module,
};
use crate::signal::Signal;
use crate::value::Shape;
use std::panic::Location;
use std::rc::Rc;

impl Module {
    /// Puts `block` inside this module. Its clocks are this module's clocks of the same name; if it has one clock and this module has one, those.
    #[track_caller]
    pub fn instance(&self, name: &str, block: &dyn Block) -> InstanceHandle {
        self.instance_with_clocks(name, block, &[])
    }

    /// Puts `block` inside this module with these clocks (and their resets) for its own, in their order.
    #[track_caller]
    pub fn instance_with_clocks(&self, name: &str, block: &dyn Block, clocks: &[Clock]) -> InstanceHandle {
        let source = Location::caller();
        let module = build_module(block, source);
        place(name, module, clocks, source)
    }

    /// Puts a module written in Verilog inside this one, with these clocks (and their resets) for its own, in the order in which they are named.
    #[track_caller]
    pub fn foreign(&self, name: &str, foreign: &Foreign, clocks: &[Clock]) -> InstanceHandle {
        place(name, foreign.to_ir(), clocks, Location::caller())
    }
}

fn place(name: &str, module: Rc<ModuleIr>, clocks: &[Clock], source: Source) -> InstanceHandle {
    claim(name, source);
    let uid = building(|b| b.uid);
    let own: Vec<ClockIr> = building(|b| b.ir.clocks.clone());
    // What is wrong with the module itself has been reported.
    let is_open = with_elaboration(|s| s.stack.iter().any(|b| b.ir.name == module.name));
    let is_known = is_open || module.foreign.as_ref().is_some_and(|foreign| foreign.is_unreadable);
    let mut is_wrong = is_known;
    let mut refuse = |message: String| {
        is_wrong = true;
        problem(source, message);
    };
    let is_stolen = clocks.iter().any(|c| c.module != uid);
    if is_stolen {
        refuse(format!("the instance `{name}` uses a clock of another module: pass the clock through a port"));
    }
    if clocks.len() > module.clocks.len() && !is_known {
        refuse(format!(
            "the instance `{name}` of `{}` is given {} clocks and has {}: give it as many, or say which of its inputs are clocks",
            module.name,
            clocks.len(),
            module.clocks.len()
        ));
    }
    let chosen: Vec<Option<Clock>> = module
        .clocks
        .iter()
        .enumerate()
        .map(|(i, child)| {
            if let Some(clock) = clocks.get(i) {
                return Some(*clock);
            }
            let only = (own.len() == 1 && module.clocks.len() == 1).then_some(0);
            let index = own.iter().position(|c| c.name == child.name).or(only)?;
            let reset = own[index].reset.map(|id| Signal::new(uid, id, 1));
            Some(Clock { module: uid, index, reset, reset_kind: ResetKind::Synchronous })
        })
        .collect();
    for (child, clock) in module.clocks.iter().zip(&chosen) {
        match clock {
            _ if is_stolen => {}
            None => refuse(format!("the instance `{name}` has a clock `{}` and this module has none of that name: use `instance_with_clocks`", child.name)),
            Some(clock) if child.reset.is_some() && clock.reset.is_none() => {
                refuse(format!("the clock `{}` of the instance `{name}` needs a reset, and the clock given has none: give one that has, such as `m.clock()`", child.name))
            }
            Some(clock) if child.reset.is_some() && child.reset_kind == ResetKind::Synchronous && clock.reset_kind == ResetKind::Asynchronous => {
                refuse(format!("the clock `{}` of the instance `{name}` needs a synchronous reset: make one with a reset bridge of `rtl-prim`", child.name));
            }
            Some(_) => {}
        }
    }
    let index = building(|b| b.ir.instances.len());
    let mut connections = Vec::new();
    let foreign = module.foreign.is_some();
    for (port_index, port) in module.ports.iter().enumerate() {
        let clock_of = |want: &dyn Fn(&ClockIr) -> bool| module.clocks.iter().position(want).and_then(|i| chosen[i]);
        let as_clock = clock_of(&|c: &ClockIr| {
            if foreign {
                c.node == port_index
            } else {
                c.node == port.node && port.domain != Domain::Any
            }
        });
        let as_reset = clock_of(&|c: &ClockIr| {
            c.reset == Some(if foreign { port_index } else { port.node }) && port.direction == Direction::Input
        });
        let node = match port.direction {
            Direction::Input if is_wrong && (as_clock.is_some() || as_reset.is_some()) => None,
            Direction::Input if matches!(port.domain, Domain::ClockInput(_)) => {
                as_clock.and_then(|c| own.get(c.index)).map(|c| c.node)
            }
            Direction::Input => match as_reset {
                Some(clock) => clock.reset.map(|r| r.node_in_this_module(source).id),
                None => Some(new_node(NodeKind::Wire, port.width, Some(format!("{name}_{}", port.name)), source).id),
            },
            Direction::Output => Some(
                new_node(
                    NodeKind::InstanceOutput { instance: index, port: port_index },
                    port.width,
                    Some(format!("{name}_{}", port.name)),
                    source,
                )
                .id,
            ),
        };
        if let Some(made) = node.filter(|_| !foreign && as_clock.or(as_reset).is_none()) {
            // A field of a bundle of the block is one of a bundle here.
            let before = name.len() + 1;
            for length in module.nodes[port.node].bundles.iter().map(|length| before + length) {
                note_bundle(Signal::new(uid, made, port.width), length);
            }
        }
        connections.push(node.unwrap_or_else(|| stand_in(port.width, source).id));
    }
    if is_wrong {
        excuse(connections.iter().copied());
    }
    let clocks = chosen.iter().map(|c| c.map_or(0, |c| c.index)).collect();
    building(|b| {
        b.ir.instances.push(Instance {
            name: name.into(),
            module: module.clone(),
            connections: connections.clone(),
            clocks,
            source,
        })
    });
    InstanceHandle { name: name.into(), module, connections, uid, is_known }
}

/// An instance of a module, seen from the module that contains it.
#[derive(Clone, Debug)]
pub struct InstanceHandle {
    name: String,
    module: Rc<ModuleIr>,
    connections: Vec<NodeId>,
    uid: u32,
    /// Something is wrong with the module itself, and has been reported.
    is_known: bool,
}

impl InstanceHandle {
    /// The port `name`: an input is driven with `set`, an output is read.
    #[track_caller]
    pub fn port(&self, name: &str) -> Signal {
        match self.module.port(name) {
            Some(index) => Signal::new(self.uid, self.connections[index], self.module.ports[index].width),
            None => {
                let source = Location::caller();
                if !self.is_known {
                    let known = nearest(name, self.module.ports.iter().map(|p| p.name.as_str()));
                    let (instance, module) = (&self.name, &self.module.name);
                    problem(source, format!("the instance `{instance}` of `{module}` has no port `{name}`; {known}"));
                    self.excuse();
                }
                stand_in(1, source)
            }
        }
    }

    /// Name, direction and width of every port that is not a clock or a reset.
    pub fn ports(&self) -> Vec<(String, Direction, u32)> {
        let is_reset = |index: usize| {
            let own = if self.module.foreign.is_some() { index } else { self.module.ports[index].node };
            self.module.ports[index].direction == Direction::Input
                && self.module.clocks.iter().any(|clock| clock.reset == Some(own))
        };
        let ports = self.module.ports.iter().enumerate();
        ports
            .filter(|(index, port)| !matches!(port.domain, Domain::ClockInput(_)) && !is_reset(*index))
            .map(|(_, port)| (port.name.clone(), port.direction, port.width))
            .collect()
    }

    /// The ports of a bundle whose names begin with `name`.
    #[track_caller]
    pub fn port_as<T: Shape>(&self, name: &str) -> T::Value {
        T::declare(name, &mut |name, _| self.port(name))
    }

    /// The ports of the stream `name`: valid, ready and payload leaves.
    pub(crate) fn stream_ports(&self, name: &str, source: Source) -> Option<(StreamPort, Signal, Signal, Vec<Signal>)> {
        let Some(stream) = self.module.streams.iter().find(|s| s.name == name) else {
            if !self.is_known {
                let known = nearest(name, self.module.streams.iter().map(|s| s.name.as_str()));
                let (instance, module) = (&self.name, &self.module.name);
                problem(source, format!("the instance `{instance}` of `{module}` has no stream `{name}`; {known}"));
            }
            return None;
        };
        let leaves = stream.leaves.iter().map(|(suffix, _)| self.port(&format!("{name}{suffix}"))).collect();
        Some((stream.clone(), self.port(&stream.valid()), self.port(&stream.ready()), leaves))
    }

    /// Notes that something is wrong about it: a port that is not driven may be that which was meant.
    pub(crate) fn excuse(&self) {
        if building(|b| b.uid) == self.uid {
            excuse(self.connections.iter().copied());
        }
    }

    pub(crate) fn module(&self) -> &Rc<ModuleIr> {
        &self.module
    }

    /// The instance's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}
