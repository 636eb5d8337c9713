//! Modules inside modules.

use crate::foreign::Foreign;
use crate::ir::*;
use crate::module::{build_module, building, claim, new_node, note_bundle, problem, Block, Clock, Module};
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
    if clocks.iter().any(|c| c.module != uid) {
        problem(source, format!("the instance `{name}` uses a clock of another module: pass the clock through a port"));
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
            None => problem(source, format!("the instance `{name}` has a clock `{}` and this module has none of that name: use `instance_with_clocks`", child.name)),
            Some(clock) if child.reset.is_some() && clock.reset.is_none() => {
                problem(source, format!("the clock `{}` of the instance `{name}` needs a reset, and the clock given has none", child.name))
            }
            Some(clock) if child.reset.is_some() && child.reset_kind == ResetKind::Synchronous && clock.reset_kind == ResetKind::Asynchronous => {
                problem(source, format!("the clock `{}` of the instance `{name}` needs a synchronous reset: make one with a reset bridge of `rtl-prim`", child.name));
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
        connections.push(node.unwrap_or(0));
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
    InstanceHandle { name: name.into(), module, connections, uid }
}

/// An instance of a module, seen from the module that contains it.
#[derive(Clone, Debug)]
pub struct InstanceHandle {
    name: String,
    module: Rc<ModuleIr>,
    connections: Vec<NodeId>,
    uid: u32,
}

impl InstanceHandle {
    /// The port `name`: an input is driven with `set`, an output is read.
    #[track_caller]
    pub fn port(&self, name: &str) -> Signal {
        match self.module.port(name) {
            Some(index) => Signal::new(self.uid, self.connections[index], self.module.ports[index].width),
            // What is wrong has been reported.
            None if self.module.foreign.as_ref().is_some_and(|foreign| foreign.is_unreadable) => crate::lit(0u64, 1),
            None => {
                let known: Vec<&str> = self.module.ports.iter().map(|p| p.name.as_str()).collect();
                problem(
                    Location::caller(),
                    format!(
                        "the instance `{}` of `{}` has no port `{name}`; it has {}",
                        self.name,
                        self.module.name,
                        known.join(", ")
                    ),
                );
                crate::lit(0u64, 1)
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
            let known: Vec<&str> = self.module.streams.iter().map(|s| s.name.as_str()).collect();
            problem(
                source,
                format!(
                    "the instance `{}` of `{}` has no stream `{name}`; it has {}",
                    self.name,
                    self.module.name,
                    known.join(", ")
                ),
            );
            return None;
        };
        let leaves = stream.leaves.iter().map(|(suffix, _)| self.port(&format!("{name}{suffix}"))).collect();
        Some((stream.clone(), self.port(&stream.valid()), self.port(&stream.ready()), leaves))
    }

    pub(crate) fn module(&self) -> &Rc<ModuleIr> {
        &self.module
    }

    /// The instance's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}
