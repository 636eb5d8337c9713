//! What a synchroniser may do in hardware and does not do in simulation: a value that changes near an edge of the other clock arrives in that
//! clock or in the next one.
//!
//! One bit: its first register may stay as it is for one edge more. A Gray code: only the change that came last can be near the edge, so what
//! arrives is the value that is there, or the one before the last edge of its own clock. What was there before a reset does not arrive after it.

use crate::ir::*;
use crate::Design;
use std::rc::Rc;

/// The name of the input that [`with_jitter`] adds.
pub const JITTER: &str = "cdc_jitter";

/// The design with one more input of the top, [`JITTER`], which has a bit for each synchroniser. Where it is set, a change arrives a clock later. A
/// [`Bench`](crate::bench::Bench) drives it at random; for the formal tools it is anything. A design without synchronisers stays as it is.
pub fn with_jitter(design: &Design) -> Design {
    let mut modules: Vec<Rc<ModuleIr>> = Vec::new();
    for module in &design.modules {
        // A module comes after those that it contains, so that these are changed already.
        let changed = |child: &Rc<ModuleIr>| {
            let at = design.modules.iter().position(|m| m.name == child.name)?;
            modules.get(at).cloned()
        };
        modules.push(jittered(module, &changed));
    }
    Design { modules }
}

fn jittered(module: &Rc<ModuleIr>, changed: &dyn Fn(&Rc<ModuleIr>) -> Option<Rc<ModuleIr>>) -> Rc<ModuleIr> {
    let mut ir = ModuleIr::clone(module);
    for instance in &mut ir.instances {
        if let Some(child) = changed(&instance.module) {
            instance.module = child;
        }
    }
    let synchronizers: Vec<Crossing> =
        ir.crossings.iter().filter(|c| c.kind == CrossingKind::Synchronizer).cloned().collect();
    let own = synchronizers.len() as u32;
    let of_child =
        |instance: &Instance| instance.module.port(JITTER).map_or(0, |port| instance.module.ports[port].width);
    let total = own + ir.instances.iter().map(of_child).sum::<u32>();
    if total == 0 {
        return module.clone();
    }
    ir.name = format!("{}_jitter", ir.name);
    let source = ir.nodes.first().expect("a module with synchronisers has nodes").source;
    let jitter = add(&mut ir, NodeKind::Input, total, Some(JITTER.into()), source);
    ir.ports.push(Port {
        name: JITTER.into(),
        direction: Direction::Input,
        width: total,
        node: jitter,
        domain: Domain::Async,
    });
    let mut low = 0;
    for crossing in synchronizers {
        let late = slice(&mut ir, jitter, low, 1, crossing.source);
        low += 1;
        let arrives = match (ir.nodes[crossing.from].width, source_clock(&ir, crossing.from)) {
            (1, _) => stays(&mut ir, &crossing, late),
            (_, Some(clock)) => is_the_one_before(&mut ir, &crossing, clock, late),
            // Nothing is known of a value of several bits that comes from anywhere.
            (_, None) => crossing.from,
        };
        for statement in &mut ir.body {
            if let Statement::Set { target, value, .. } = statement {
                if *target == crossing.to[0] {
                    *value = arrives;
                }
            }
        }
    }
    for index in 0..ir.instances.len() {
        let width = of_child(&ir.instances[index]);
        if width == 0 {
            continue;
        }
        let (name, source) = (format!("{}_{JITTER}", ir.instances[index].name), ir.instances[index].source);
        let value = slice(&mut ir, jitter, low, width, source);
        let pin = add(&mut ir, NodeKind::Wire, width, Some(name), source);
        ir.body.push(Statement::Set { target: pin, element: None, value, source });
        ir.instances[index].connections.push(pin);
        low += width;
    }
    Rc::new(ir)
}

/// The clock of the register or input that a node is.
fn source_clock(ir: &ModuleIr, node: NodeId) -> Option<usize> {
    match ir.nodes[node].kind {
        NodeKind::Reg { clock, .. } => Some(clock),
        NodeKind::Input => ir.ports.iter().find(|port| port.node == node).and_then(|port| match port.domain {
            Domain::Clock(clock) => Some(clock),
            _ => None,
        }),
        _ => None,
    }
}

/// The next value of the first register, for one bit: `late` lets it stay as it is, but not twice in a row.
fn stays(ir: &mut ModuleIr, crossing: &Crossing, late: NodeId) -> NodeId {
    let (from, first, source) = (crossing.from, crossing.to[0], crossing.source);
    let was_late = add_register(ir, crossing, crossing.clock, None, "was_late");
    let changes = add(ir, NodeKind::Binary(BinaryOp::Xor, from, first), 1, None, source);
    let may = add(ir, NodeKind::Not(was_late), 1, None, source);
    let may = add(ir, NodeKind::Binary(BinaryOp::And, may, late), 1, None, source);
    let stays = add(ir, NodeKind::Binary(BinaryOp::And, changes, may), 1, None, source);
    ir.body.push(Statement::Set { target: was_late, element: None, value: stays, source });
    add(ir, NodeKind::Binary(BinaryOp::Xor, from, stays), 1, None, source)
}

/// The next value of the first register, for a Gray code: what is there, or, if `late` is set and it has changed since the last edge, what was there
/// before the last edge of its own clock.
fn is_the_one_before(ir: &mut ModuleIr, crossing: &Crossing, clock: usize, late: NodeId) -> NodeId {
    let (from, source) = (crossing.from, crossing.source);
    let width = ir.nodes[from].width;
    // Of the register's own reset it knows as much as the register itself.
    let reset = match &ir.nodes[from].kind {
        NodeKind::Reg { reset, .. } => reset.clone(),
        _ => None,
    };
    let before = add_register(ir, crossing, clock, reset, "before");
    let looked_at = add_register(ir, crossing, crossing.clock, None, "looked_at");
    for target in [before, looked_at] {
        ir.body.push(Statement::Set { target, element: None, value: from, source });
    }
    let changed = add(ir, NodeKind::Binary(BinaryOp::Ne, from, looked_at), 1, None, source);
    let choose = add(ir, NodeKind::Binary(BinaryOp::And, changed, late), 1, None, source);
    add(ir, NodeKind::Mux(choose, before, from), width, None, source)
}

/// A register beside the first one of a synchroniser.
fn add_register(ir: &mut ModuleIr, crossing: &Crossing, clock: usize, reset: Option<Reset>, what: &str) -> NodeId {
    let first = &ir.nodes[crossing.to[0]];
    let (width, name) = (first.width, first.name.as_ref().map(|name| format!("{name}_{what}")));
    add(ir, NodeKind::Reg { clock, reset }, width, name, crossing.source)
}

/// Bits of a value; all of them are the value itself.
fn slice(ir: &mut ModuleIr, base: NodeId, low: u32, width: u32, source: Source) -> NodeId {
    if ir.nodes[base].width == width {
        return base;
    }
    add(ir, NodeKind::Slice(base, low), width, None, source)
}

fn add(ir: &mut ModuleIr, kind: NodeKind, width: u32, name: Option<String>, source: Source) -> NodeId {
    ir.nodes.push(Node { kind, width, name, labels: None, elements: None, bundles: Vec::new(), source });
    ir.nodes.len() - 1
}
