//! A design with several clocks as one with a single clock, an edge of which is a moment in which any of the old clocks rise: what
//! [`Simulator::step_clocks`](crate::sim::Simulator::step_clocks) does, as hardware. The formal tools decide it much faster than edges.

use crate::ir::*;
use crate::{Constant, Design};
use std::rc::Rc;

/// The clock of the new design.
pub(crate) const MOMENT: &str = "moment";

/// The design in moments. Its old clocks are inputs that say whether they rise. Asynchronous resets must not be in it.
pub(crate) fn in_moments(design: &Design) -> Design {
    let mut modules: Vec<Rc<ModuleIr>> = Vec::new();
    for module in &design.modules {
        let changed: Vec<Rc<ModuleIr>> = modules.clone();
        modules.push(Rc::new(changed_module(module, &changed)));
    }
    Design { modules }
}

fn changed_module(module: &ModuleIr, changed: &[Rc<ModuleIr>]) -> ModuleIr {
    let mut ir = module.clone();
    let Some(source) = ir.nodes.first().map(|node| node.source) else { return ir };
    let moment = add(&mut ir, NodeKind::Input, Some(MOMENT.into()), source);
    let rises: Vec<NodeId> = ir.clocks.iter().map(|clock| clock.node).collect();
    ir.clocks = vec![ClockIr { name: MOMENT.into(), node: moment, reset: None, reset_kind: ResetKind::Synchronous }];
    for port in &mut ir.ports {
        port.domain = Domain::Any;
    }
    ir.ports.push(Port {
        name: MOMENT.into(),
        direction: Direction::Input,
        width: 1,
        node: moment,
        domain: Domain::ClockInput(0),
    });

    // A register takes its next value, or the value of its reset, where its clock rises.
    let body = std::mem::take(&mut ir.body);
    for id in 0..ir.nodes.len() {
        let part = part_for(&body, id);
        let NodeKind::Reg { clock, reset } = &mut ir.nodes[id].kind else {
            ir.body.extend(part);
            continue;
        };
        let (rises, reset) = (rises[std::mem::replace(clock, 0)], reset.take());
        let next = match reset {
            None => part,
            Some(Reset { signal, value, kind }) => {
                assert!(kind == ResetKind::Synchronous, "asynchronous resets have no place in moments");
                let value = add_constant(&mut ir, value, source);
                let set = Statement::Set { target: id, element: None, value, source };
                vec![Statement::If { arms: vec![(signal, vec![set])], otherwise: part }]
            }
        };
        ir.body.push(Statement::If { arms: vec![(rises, next)], otherwise: vec![] });
    }
    for index in 0..ir.memories.len() {
        for port in 0..ir.memories[index].writes.len() {
            let write = &ir.memories[index].writes[port];
            let enable = and(&mut ir.nodes, rises[write.clock], write.enable, source);
            let write = &mut ir.memories[index].writes[port];
            (write.clock, write.enable) = (0, enable);
        }
        for port in 0..ir.memories[index].reads.len() {
            let read = &ir.memories[index].reads[port];
            let rises = rises[read.clock];
            let enable = read.enable.map_or(rises, |enable| and(&mut ir.nodes, rises, enable, source));
            let read = &mut ir.memories[index].reads[port];
            (read.clock, read.enable) = (0, Some(enable));
        }
    }
    // What is covered is covered at an edge of its clock. What holds is asked in every moment: a proof by induction needs to know it of the state
    // before an edge of another clock, too.
    for mut property in std::mem::take(&mut ir.properties) {
        let rises = rises[std::mem::replace(&mut property.clock, 0)];
        let reset = property.reset.take();
        if property.kind == PropertyKind::Cover {
            property.condition = and(&mut ir.nodes, rises, property.condition, source);
            if let Some(reset) = reset {
                let ends = not(&mut ir.nodes, reset, source);
                property.condition = and(&mut ir.nodes, ends, property.condition, source);
            }
        } else if let Some(reset) = reset {
            let kind = NodeKind::Binary(BinaryOp::Or, reset, property.condition);
            property.condition = push(&mut ir.nodes, kind, source);
        }
        ir.properties.push(property);
    }
    for instance in &mut ir.instances {
        if let Some(module) = changed.iter().find(|module| module.name == instance.module.name) {
            instance.module = module.clone();
            instance.clocks = vec![0];
            instance.connections.push(moment);
        }
    }
    ir
}

fn and(nodes: &mut Vec<Node>, a: NodeId, b: NodeId, source: Source) -> NodeId {
    push(nodes, NodeKind::Binary(BinaryOp::And, a, b), source)
}

fn not(nodes: &mut Vec<Node>, a: NodeId, source: Source) -> NodeId {
    push(nodes, NodeKind::Not(a), source)
}

fn push(nodes: &mut Vec<Node>, kind: NodeKind, source: Source) -> NodeId {
    nodes.push(Node { kind, width: 1, name: None, labels: None, elements: None, bundles: Vec::new(), source });
    nodes.len() - 1
}

fn add(ir: &mut ModuleIr, kind: NodeKind, name: Option<String>, source: Source) -> NodeId {
    let id = push(&mut ir.nodes, kind, source);
    ir.nodes[id].name = name;
    id
}

fn add_constant(ir: &mut ModuleIr, value: Constant, source: Source) -> NodeId {
    let width = value.width();
    let id = push(&mut ir.nodes, NodeKind::Constant(value), source);
    ir.nodes[id].width = width;
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Seed;
    use crate::sim::Simulator;
    use crate::{block_fn, elaborate, lit, zero, Evaluator, MemoryStyle, Module};

    /// Registers with and without reset, a memory and an instance, in two clocks.
    fn design() -> Design {
        let inner = || {
            block_fn("inner", |m: &Module| {
                let clock = m.named_clock("tick", Some("clear"));
                let sum = m.reg("sum", clock, zero(8));
                sum.set(sum + m.input("step", 8));
                m.output("total", sum);
            })
        };
        let block = block_fn("top", |m: &Module| {
            let a = m.named_clock("a", Some("a_reset"));
            let data = m.input("data", 8);
            let b = m.named_clock("b", Some("b_reset"));
            let address = m.input("address", 2);
            let words = m.memory("words", 8, 4, MemoryStyle::Distributed).crosses_clocks("the test does it");
            words.write(a, data.bit(0), data.bits(1..3), data);
            m.output("word", words.read_when(b, "word_read", address.bit(0), address));
            m.output("word_again", words.read(b, "word_read_again", address));
            let plain = m.reg_without_reset("plain", a, 8);
            plain.set(data);
            m.output("plain_shown", plain);
            let inner = m.instance_with_clocks("inner", &inner(), &[b]);
            inner.port("step").set(m.held_across("plain_there", b, plain, "the test does it"));
            m.output("total", inner.port("total"));
            m.output("nothing", lit(0u8, 1));
        });
        elaborate(&block).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn a_moment_is_a_step_of_some_clocks() {
        let clocks = design();
        let moments = in_moments(&clocks);
        let mut before = Evaluator::new(&clocks).unwrap();
        let mut after = Evaluator::new(&moments).unwrap();
        let mut rng = Seed::from_env_or(0x5EED).rng("moments");
        for moment in 0..2000 {
            for (port, width) in [("data", 8), ("address", 2), ("a_reset", 1), ("b_reset", 1)] {
                let value = if width == 1 { u64::from(rng.percent(5)) } else { rng.bits(width)[0] };
                before.poke_u64(before.port(port), value);
                after.poke_u64(after.port(port), value);
            }
            let mask = rng.below(4);
            after.poke_u64(after.port("a"), mask & 1);
            after.poke_u64(after.port("b"), mask >> 1);
            before.step_clocks(mask);
            after.step();
            for port in ["word", "word_again", "plain_shown", "total"] {
                let shown = [before.peek_u64(before.port(port)), after.peek_u64(after.port(port))];
                assert_eq!(shown[0], shown[1], "{port} after moment {moment}");
            }
        }
    }
}
