//! Readable, deterministic SystemVerilog, in the synthesizable subset that Verilator, yosys and Vivado share.
//!
//! One `always` or `assign` per signal, with the Rust line that declares it; names and hierarchy survive. An expression that is used more than
//! once, or cut into bits, becomes a wire `_t<n>`. Bits that nothing reads are gathered in `_unused`, so that lint stays silent about them
//! and loud about everything else. Properties, and what only they need, stand at the end between `ifndef SYNTHESIS` and `endif`.

use crate::check::{functional, reachable, reads_memory};
use crate::ir::*;
use crate::Constant;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// One file of SystemVerilog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// File name: `<module>.sv`.
    pub name: String,
    /// Contents.
    pub text: String,
}

/// Writes a design, one file for each module, each after the modules that it contains.
pub fn emit(design: &Design) -> Vec<SourceFile> {
    let mut files = Vec::new();
    let mut foreign = BTreeSet::new();
    for module in &design.modules {
        for instance in &module.instances {
            let child = &instance.module;
            if let Some(text) = child.foreign.as_ref().and_then(|f| f.verilog.clone()) {
                // One text may hold several of the modules.
                if foreign.insert(text.clone()) {
                    files.push(SourceFile { name: format!("{}.sv", child.name), text: text.to_string() });
                }
            }
        }
        files.push(SourceFile { name: format!("{}.sv", module.name), text: Emitter::new(module).module() });
    }
    files
}

/// The licences and notices that have to go with a design: those of the modules of others in it. A name that several have with different texts has
/// all of these texts, one after the other.
pub fn licences(design: &Design) -> Vec<SourceFile> {
    let instances = design.modules.iter().flat_map(|module| &module.instances);
    let foreign = instances.filter_map(|instance| instance.module.foreign.as_ref());
    let mut texts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, text) in foreign.flat_map(|foreign| &foreign.licences) {
        let of_name = texts.entry(name).or_default();
        if !of_name.contains(&&**text) {
            of_name.push(text);
        }
    }
    texts.into_iter().map(|(name, texts)| SourceFile { name: name.into(), text: texts.join("\n") }).collect()
}

struct Emitter<'a> {
    ir: &'a ModuleIr,
    /// How often each node is read.
    uses: Vec<u32>,
    /// Names given to expressions, and their definitions in order.
    temps: BTreeMap<NodeId, String>,
    definitions: Vec<(NodeId, String)>,
    /// Which bits of each named node are read.
    read: BTreeMap<NodeId, Vec<bool>>,
    /// Inputs of instances that are written straight into the port list: their values.
    pins: BTreeMap<NodeId, NodeId>,
    /// Names of enum values that are used: (signal, label) to code.
    labels: BTreeMap<String, Constant>,
    /// Lint that does not fit generated text, where the text may provoke it.
    lint_off: BTreeSet<&'static str>,
    /// Nodes that only properties need.
    ghost: Vec<bool>,
    /// Memories that only properties need.
    ghost_memories: Vec<bool>,
}

fn range(width: u32) -> String {
    if width == 1 {
        String::new()
    } else {
        format!("[{}:0] ", width - 1)
    }
}

fn place(source: Source) -> String {
    format!("{}:{}", source.file().replace('\\', "/"), source.line())
}

impl<'a> Emitter<'a> {
    fn new(ir: &'a ModuleIr) -> Self {
        let mut uses = vec![0u32; ir.nodes.len()];
        let mut sliced = vec![false; ir.nodes.len()];
        let mut live = vec![false; ir.nodes.len()];
        let mut roots: Vec<NodeId> = Vec::new();
        // A condition is written once for each target that it guards.
        let mut guards = BTreeSet::new();
        for_each_set(&ir.body, &mut |set, path| {
            if let Statement::Set { target, element, value, .. } = set {
                roots.push(*value);
                roots.extend(element);
                guards.extend(path.iter().map(|condition| (*target, *condition)));
            }
        });
        roots.extend(guards.into_iter().map(|(_, condition)| condition));
        for memory in &ir.memories {
            for w in &memory.writes {
                roots.extend([w.enable, w.address, w.data].into_iter().chain(w.lanes));
                sliced[w.data] |= w.lanes.is_some();
                if let Some(lanes) = w.lanes {
                    sliced[lanes] = true;
                }
            }
            for r in &memory.reads {
                roots.extend([r.address].into_iter().chain(r.enable));
            }
        }
        let checked: Vec<NodeId> = ir.properties.iter().flat_map(|p| [Some(p.condition), p.reset]).flatten().collect();
        roots.extend(&checked);
        let mut stack = roots;
        while let Some(id) = stack.pop() {
            uses[id] += 1;
            if std::mem::replace(&mut live[id], true) {
                continue;
            }
            let node = &ir.nodes[id];
            if let NodeKind::Slice(base, _) | NodeKind::Select(base, _) = node.kind {
                sliced[base] = true;
            }
            if node.name.is_none() {
                stack.extend(ir.operands(id));
            }
        }
        for (id, node) in ir.nodes.iter().enumerate() {
            // An expression of one bit over a name is as short as a name of its own.
            let short = match node.kind {
                NodeKind::Slice(base, _) => ir.nodes[base].name.is_some() && !sliced[id],
                NodeKind::Not(a) => ir.nodes[a].name.is_some() && !sliced[id],
                NodeKind::Constant(_) => !sliced[id],
                _ => false,
            };
            if short {
                uses[id] = uses[id].min(1);
            } else if sliced[id] && live[id] {
                uses[id] = uses[id].max(2);
            }
        }
        let mut pins = BTreeMap::new();
        let connected: BTreeSet<NodeId> = ir.instances.iter().flat_map(|i| i.connections.iter().copied()).collect();
        for statement in &ir.body {
            if let Statement::Set { target, element: None, value, .. } = statement {
                if connected.contains(target) && uses[*target] == 0 && matches!(ir.nodes[*target].kind, NodeKind::Wire)
                {
                    pins.insert(*target, *value);
                }
            }
        }
        for_each_set(&ir.body, &mut |set, path| {
            if let (Statement::Set { target, .. }, false) = (set, path.is_empty()) {
                pins.remove(target);
            }
        });
        for &value in pins.values() {
            // At a pin yosys ends with an internal error over a signed shift: it gets a net.
            if matches!(ir.nodes[value].kind, NodeKind::Shift(ShiftOp::SignedRight, ..)) {
                uses[value] = uses[value].max(2);
            }
        }
        let (functional, checked) = (functional(ir), reachable(ir, checked));
        // What nothing reads is written all the same, with what it reads.
        let written = (0..ir.nodes.len()).filter(|&id| functional[id] || !checked[id] && ir.nodes[id].name.is_some());
        let written = reachable(ir, written.collect());
        let ghost_memories: Vec<bool> = (0..ir.memories.len())
            .map(|memory| reads_memory(ir, memory, &checked) && !reads_memory(ir, memory, &written))
            .collect();
        let is_ghost = |id: NodeId| match ir.nodes[id].kind {
            // The registers of memories, and the nets of instances, are written with these.
            NodeKind::MemoryRead { memory, .. } => ghost_memories[memory],
            NodeKind::InstanceOutput { .. } => false,
            _ => checked[id] && !written[id],
        };
        Emitter {
            ghost: (0..ir.nodes.len()).map(is_ghost).collect(),
            ghost_memories,
            ir,
            uses,
            temps: BTreeMap::new(),
            definitions: vec![],
            read: BTreeMap::new(),
            pins,
            labels: BTreeMap::new(),
            lint_off: BTreeSet::new(),
        }
    }

    fn mark(&mut self, id: NodeId, low: u32, width: u32) {
        let bits = self.read.entry(id).or_insert_with(|| vec![false; self.ir.nodes[id].width as usize]);
        bits[low as usize..(low + width) as usize].fill(true);
    }

    /// The name of a node that has one, in the Verilog: its own or a temporary's.
    fn name_of(&mut self, id: NodeId) -> String {
        if let Some(name) = &self.ir.nodes[id].name {
            return name.clone();
        }
        if let Some(name) = self.temps.get(&id) {
            return name.clone();
        }
        let name = format!("_t{}", self.temps.len());
        self.temps.insert(id, name.clone());
        let definition = self.operation(id);
        self.definitions.push((id, definition));
        name
    }

    /// An expression for all bits of a node, without outer parentheses if `top`.
    fn expression(&mut self, id: NodeId, top: bool) -> String {
        let node = &self.ir.nodes[id];
        if node.name.is_some() {
            self.mark(id, 0, node.width);
            return self.name_of(id);
        }
        if let NodeKind::Constant(value) = &node.kind {
            if self.uses[id] < 2 {
                return value.verilog();
            }
        }
        if self.uses[id] >= 2 {
            self.mark(id, 0, node.width);
            return self.name_of(id);
        }
        let text = self.operation(id);
        let plain =
            top || matches!(
                node.kind,
                NodeKind::Slice(..) | NodeKind::Select(..) | NodeKind::Concat(_) | NodeKind::MemoryLookup { .. }
            ) || text.chars().all(|c| c.is_ascii_alphanumeric() || "_'[]:".contains(c));
        if plain {
            text
        } else {
            format!("({text})")
        }
    }

    /// An expression beside an operator of two operands, where the inverse of a name needs no parentheses.
    fn operand(&mut self, id: NodeId) -> String {
        let text = self.expression(id, false);
        let inverse = text.strip_prefix("(~").and_then(|rest| rest.strip_suffix(')'));
        match inverse {
            Some(name) if name.chars().all(|c| c.is_ascii_alphanumeric() || "_[]:".contains(c)) => format!("~{name}"),
            _ => text,
        }
    }

    /// A constant that stands beside the enum signal `beside`, by the name of its variant.
    fn labelled(&mut self, beside: NodeId, value: NodeId) -> Option<String> {
        let signal = self.ir.nodes[beside].name.clone()?;
        let code = self.ir.constant(value)?.clone();
        let label = self.ir.nodes[beside].label_of(&code)?;
        let name = format!("{signal}_{label}");
        if self.ir.nodes.iter().any(|n| n.name.as_deref() == Some(&name)) {
            return None;
        }
        self.labels.insert(name.clone(), code);
        Some(name)
    }

    fn operation(&mut self, id: NodeId) -> String {
        let node = &self.ir.nodes[id];
        match &node.kind {
            NodeKind::Constant(value) => value.verilog(),
            NodeKind::Not(a) => format!("~{}", self.expression(*a, false)),
            NodeKind::Reduce(op, a) => {
                let symbol = match op {
                    ReduceOp::And => "&",
                    ReduceOp::Or => "|",
                    ReduceOp::Xor => "^",
                };
                format!("{symbol}{}", self.expression(*a, false))
            }
            NodeKind::Binary(op, a, b) => {
                let (op, a, b) = (*op, *a, *b);
                // Comparisons that cannot go either way are constants; lint would say so.
                let always = match op {
                    BinaryOp::Lt if self.ir.constant(b).is_some_and(Constant::is_zero) => Some(false),
                    BinaryOp::Lt if self.ir.constant(a).is_some_and(Constant::is_ones) => Some(false),
                    BinaryOp::Le if self.ir.constant(a).is_some_and(Constant::is_zero) => Some(true),
                    BinaryOp::Le if self.ir.constant(b).is_some_and(Constant::is_ones) => Some(true),
                    _ => None,
                };
                if let Some(value) = always {
                    return format!("1'b{}", value as u8);
                }
                if matches!(op, BinaryOp::Lt | BinaryOp::Le) {
                    self.lint_off.extend(["CMPCONST", "UNSIGNED"]);
                }
                if op.is_signed() {
                    let [left, right] = [a, b].map(|operand| self.expression(operand, true));
                    return format!("$signed({left}) {} $signed({right})", op.symbol());
                }
                let left = self.labelled(b, a).unwrap_or_else(|| self.operand(a));
                let right = self.labelled(a, b).unwrap_or_else(|| self.operand(b));
                format!("{left} {} {right}", op.symbol())
            }
            NodeKind::Shift(ShiftOp::SignedRight, a, b) => {
                // Whatever stands around it, the shift stays a signed one.
                let (value, amount) = (self.expression(*a, true), self.expression(*b, false));
                format!("$unsigned($signed({value}) >>> {amount})")
            }
            NodeKind::Shift(op, a, b) => {
                let symbol = if *op == ShiftOp::Left { "<<" } else { ">>" };
                format!("{} {symbol} {}", self.expression(*a, false), self.expression(*b, false))
            }
            NodeKind::Mux(c, a, b) => {
                format!(
                    "{} ? {} : {}",
                    self.expression(*c, false),
                    self.expression(*a, false),
                    self.expression(*b, false)
                )
            }
            NodeKind::Concat(parts) => {
                let mut texts = Vec::new();
                let mut rest = &parts[..];
                while let Some(&first) = rest.first() {
                    let same = rest.iter().take_while(|p| **p == first).count();
                    let text = self.expression(first, true);
                    texts.push(if same > 1 { format!("{{{same}{{{text}}}}}") } else { text });
                    rest = &rest[same..];
                }
                match &texts[..] {
                    [only] if only.starts_with('{') => only.clone(),
                    _ => format!("{{{}}}", texts.join(", ")),
                }
            }
            NodeKind::Slice(base, low) => {
                let (base, low, width) = (*base, *low, node.width);
                let name = self.name_of(base);
                self.mark(base, low, width);
                if width == 1 {
                    format!("{name}[{low}]")
                } else {
                    format!("{name}[{}:{low}]", low + width - 1)
                }
            }
            NodeKind::Select(base, index) => {
                let (base, index, width) = (*base, *index, node.width);
                let name = self.name_of(base);
                self.mark(base, 0, self.ir.nodes[base].width);
                let index_width = self.ir.nodes[index].width;
                let index = self.expression(index, true);
                if width == 1 {
                    format!("{name}[{index}]")
                } else {
                    // The product needs as many bits as the position of the last word.
                    let bits = index_width + 32 - width.leading_zeros();
                    let wide = format!("{{{}'h0, {index}}}", bits - index_width);
                    if width.is_power_of_two() {
                        format!("{name}[{{{index}, {}'h0}} +: {width}]", width.trailing_zeros())
                    } else {
                        format!("{name}[{wide} * {bits}'d{width} +: {width}]")
                    }
                }
            }
            NodeKind::MemoryLookup { memory, address } => {
                let memory = &self.ir.memories[*memory];
                self.memory_word(memory, *address)
            }
            NodeKind::Input
            | NodeKind::Wire
            | NodeKind::Reg { .. }
            | NodeKind::InstanceOutput { .. }
            | NodeKind::MemoryRead { .. } => {
                unreachable!("these have names")
            }
        }
    }

    fn memory_word(&mut self, memory: &Memory, address: NodeId) -> String {
        let at = self.expression(address, true);
        let word = format!("{}[{at}]", memory.name);
        if memory.depth.is_power_of_two() && memory.depth > 1 {
            word
        } else {
            let width = self.ir.nodes[address].width;
            let address = self.expression(address, false);
            self.lint_off.extend(["CMPCONST", "SELRANGE"]);
            format!("(({address} < {width}'d{}) ? {word} : {}'h0)", memory.depth, memory.width)
        }
    }

    fn statements(
        &mut self,
        body: &[Statement],
        target: &str,
        target_id: NodeId,
        assign: &str,
        indent: usize,
        out: &mut String,
    ) {
        let pad = "  ".repeat(indent);
        for statement in body {
            match statement {
                Statement::Set { element: None, value, .. } => {
                    let value = self.labelled(target_id, *value).unwrap_or_else(|| self.expression(*value, true));
                    line(out, &format!("{pad}{target} {assign} {value};"));
                }
                Statement::Set { element: Some(index), value, .. } => {
                    self.element(target, target_id, *index, *value, assign, &pad, out);
                }
                Statement::If { .. } => {
                    let head = format!("{pad}if");
                    self.branches(statement, &head, target, target_id, assign, indent, out);
                }
                Statement::Switch { on, arms, default, exhaustive } => {
                    let on_text = self.expression(*on, true);
                    line(out, &format!("{pad}case ({on_text})"));
                    let (listed, last) = if *exhaustive { arms.split_at(arms.len() - 1) } else { (&arms[..], &[][..]) };
                    for arm in listed {
                        if arm.body.is_empty() && (!default.is_empty() || last.iter().any(|l| !l.body.is_empty())) {
                            line(out, &format!("{pad}  {}: ;{}", arm.value.verilog(), comment(&arm.label)));
                        } else if !arm.body.is_empty() {
                            line(out, &format!("{pad}  {}: begin{}", arm.value.verilog(), comment(&arm.label)));
                            self.statements(&arm.body, target, target_id, assign, indent + 2, out);
                            line(out, &format!("{pad}  end"));
                        }
                    }
                    let (rest, label) = match last {
                        [arm] => (&arm.body, arm.label.as_str()),
                        _ => (default, ""),
                    };
                    if rest.is_empty() {
                        line(out, &format!("{pad}  default: ;"));
                    } else {
                        line(out, &format!("{pad}  default: begin{}", comment(label)));
                        self.statements(rest, target, target_id, assign, indent + 2, out);
                        line(out, &format!("{pad}  end"));
                    }
                    line(out, &format!("{pad}endcase"));
                }
            }
        }
    }

    /// Writes the assignment of one element of an array.
    #[allow(clippy::too_many_arguments)]
    fn element(
        &mut self,
        target: &str,
        target_id: NodeId,
        index: NodeId,
        value: NodeId,
        assign: &str,
        pad: &str,
        out: &mut String,
    ) {
        let count = self.ir.nodes[target_id].elements.expect("only arrays have elements");
        let width = self.ir.nodes[value].width;
        let value = self.expression(value, true);
        if let Some(index) = self.ir.constant(index).and_then(Constant::to_u64) {
            let low = index as u32 * width;
            let part = match (count, width) {
                (1, _) => String::new(),
                (_, 1) => format!("[{low}]"),
                _ => format!("[{}:{low}]", low + width - 1),
            };
            line(out, &format!("{pad}{target}{part} {assign} {value};"));
            return;
        }
        let index_width = self.ir.nodes[index].width;
        let index = self.expression(index, false);
        if count == 1 {
            line(out, &format!("{pad}if (!{index}) {target} {assign} {value};"));
            return;
        }
        // A comparison for each element, because a part select with an index becomes a shifter as wide as the array in some tools.
        let part = if width == 1 { "[i]".to_string() } else { format!("[i*{width} +: {width}]") };
        line(out, &format!("{pad}for (int i = 0; i < {count}; i++) begin"));
        line(out, &format!("{pad}  if ({index} == {index_width}'(i)) {target}{part} {assign} {value};"));
        line(out, &format!("{pad}end"));
    }

    /// Writes an `If`, beginning with `head`: `if`, or `end else if` where it continues another.
    #[allow(clippy::too_many_arguments)]
    fn branches(
        &mut self,
        statement: &Statement,
        head: &str,
        target: &str,
        target_id: NodeId,
        assign: &str,
        indent: usize,
        out: &mut String,
    ) {
        let Statement::If { arms, otherwise } = statement else { return };
        let pad = "  ".repeat(indent);
        // Arms without a body matter only if something follows them.
        let last = arms.iter().rposition(|(_, body)| !body.is_empty());
        let count = if otherwise.is_empty() { last.map_or(0, |l| l + 1) } else { arms.len() };
        if let [(condition, body)] = &arms[..count] {
            if body.is_empty() {
                let condition = self.expression(*condition, false);
                line(out, &format!("{head} (!{condition}) begin"));
                self.statements(otherwise, target, target_id, assign, indent + 1, out);
                line(out, &format!("{pad}end"));
                return;
            }
        }
        for (i, (condition, body)) in arms[..count].iter().enumerate() {
            let condition = self.expression(*condition, true);
            let else_head = format!("{pad}end else if");
            line(out, &format!("{} ({condition}) begin", if i == 0 { head } else { &else_head }));
            self.statements(body, target, target_id, assign, indent + 1, out);
        }
        if !otherwise.is_empty() {
            line(out, &format!("{pad}end else begin"));
            self.statements(otherwise, target, target_id, assign, indent + 1, out);
        }
        line(out, &format!("{pad}end"));
    }

    fn module(mut self) -> String {
        let ir = self.ir;
        let mut parts: BTreeMap<NodeId, Vec<Statement>> = BTreeMap::new();
        let mut targets = BTreeSet::new();
        for_each_set(&ir.body, &mut |set, _| {
            if let Statement::Set { target, .. } = set {
                targets.insert(*target);
            }
        });
        for target in targets {
            parts.insert(target, part_for(&ir.body, target));
        }
        let (mut logic, mut checks) = (String::new(), String::new());
        for (id, node) in ir.nodes.iter().enumerate() {
            let Some(name) = &node.name else { continue };
            let Some(part) = parts.get(&id) else { continue };
            if !self.pins.contains_key(&id) {
                let text = self.driver(id, node, name, part);
                if self.ghost[id] { &mut checks } else { &mut logic }.push_str(&text);
            }
        }
        for (memory, ghost) in ir.memories.iter().zip(self.ghost_memories.clone()) {
            self.memory(memory, if ghost { &mut checks } else { &mut logic });
        }
        for instance in &ir.instances {
            self.instance(instance, &mut logic);
        }
        self.properties(&mut checks);

        let mut out = String::new();
        out.push_str("// Written by rtl-hdl from Rust; the comments name the lines. Change those, not this file.\n");
        if !ir.description.is_empty() {
            out.push_str("//\n");
            for text in ir.description.lines() {
                let _ = writeln!(out, "// {}", text.trim());
            }
        }
        if !self.lint_off.is_empty() {
            out.push_str("//\n// What the configuration makes constant, or a RAM of two clocks, is no mistake.\n");
            for warning in &self.lint_off {
                let _ = writeln!(out, "// verilator lint_off {warning}");
            }
        }
        let _ = writeln!(out, "module {} (", ir.name);
        let ports: Vec<String> = ir
            .ports
            .iter()
            .map(|p| {
                format!(
                    "  {} logic {}{}",
                    if p.direction == Direction::Input { "input " } else { "output" },
                    range(p.width),
                    p.name
                )
            })
            .collect();
        let _ = writeln!(out, "{}\n);", ports.join(",\n"));
        for (name, value) in &self.labels {
            let _ = writeln!(out, "  localparam logic {}{name} = {};", range(value.width()), value.verilog());
        }
        let is_port: BTreeSet<NodeId> = ir.ports.iter().map(|p| p.node).collect();
        let synchronizers: BTreeSet<NodeId> = ir
            .crossings
            .iter()
            .filter(|crossing| crossing.kind == CrossingKind::Synchronizer)
            .flat_map(|crossing| crossing.to.iter().copied())
            .collect();
        let mut check_declarations = String::new();
        for (id, node) in ir.nodes.iter().enumerate() {
            let Some(name) = &node.name else { continue };
            if is_port.contains(&id) || self.pins.contains_key(&id) {
                continue;
            }
            let attribute = if synchronizers.contains(&id) { "(* ASYNC_REG = \"TRUE\" *) " } else { "" };
            let out = if self.ghost[id] { &mut check_declarations } else { &mut out };
            let _ = writeln!(out, "  {attribute}logic {}{name};", range(node.width));
        }
        for (memory, ghost) in ir.memories.iter().zip(&self.ghost_memories) {
            let mut attributes = Vec::new();
            match memory.style {
                MemoryStyle::Auto => {}
                MemoryStyle::Distributed => attributes.push("ram_style = \"distributed\""),
                MemoryStyle::Block => attributes.push("ram_style = \"block\""),
                MemoryStyle::Ultra => attributes.push("ram_style = \"ultra\""),
            }
            if memory.undefined_collisions {
                // The words of yosys and of Vivado for the same thing.
                attributes.extend(["no_rw_check", "rw_addr_collision = \"no\""]);
            }
            let attributes =
                if attributes.is_empty() { String::new() } else { format!("(* {} *) ", attributes.join(", ")) };
            let out = if *ghost { &mut check_declarations } else { &mut out };
            let _ =
                writeln!(out, "  {attributes}logic {}{} [0:{}];", range(memory.width), memory.name, memory.depth - 1);
        }
        for (id, definition) in &self.definitions {
            let out = if self.ghost[*id] { &mut check_declarations } else { &mut out };
            line(out, &format!("  wire {}{} = {definition};", range(ir.nodes[*id].width), self.temps[id]));
        }
        out.push('\n');
        out.push_str(logic.trim_start_matches('\n'));
        self.unused("_unused", &is_port, false, &mut out);
        if !ir.properties.is_empty() {
            self.unused("_unused_by_checks", &is_port, true, &mut checks);
            out.push_str("\n`ifndef SYNTHESIS\n");
            out.push_str(&check_declarations);
            out.push_str(if check_declarations.is_empty() { checks.trim_start_matches('\n') } else { &checks });
            out.push_str("`endif\n");
        }
        out.push_str("endmodule\n");
        out
    }

    /// The `assign` or `always` of a wire or register.
    fn driver(&mut self, id: NodeId, node: &Node, name: &str, part: &[Statement]) -> String {
        let mut text = String::new();
        let at = place(node.source);
        match &node.kind {
            NodeKind::Wire => {
                if let [Statement::Set { element: None, value, .. }] = part {
                    let value = self.labelled(id, *value).unwrap_or_else(|| self.expression(*value, true));
                    line(&mut text, &format!("  assign {name} = {value};  // {at}"));
                } else {
                    let _ = writeln!(text, "\n  // {at}\n  always_comb begin");
                    self.statements(part, name, id, "=", 2, &mut text);
                    text.push_str("  end\n");
                }
            }
            NodeKind::Reg { clock, reset } => {
                let clock = self.expression(self.ir.clocks[*clock].node, true);
                let Some(Reset { signal, value, kind }) = reset else {
                    let _ = writeln!(text, "\n  // {at}\n  always_ff @(posedge {clock}) begin");
                    self.statements(part, name, id, "<=", 2, &mut text);
                    text.push_str("  end\n");
                    return text;
                };
                let (reset, edge) = match kind {
                    ResetKind::Synchronous => (self.expression(*signal, true), String::new()),
                    ResetKind::Asynchronous => {
                        // The list of edges takes a name.
                        self.mark(*signal, 0, 1);
                        let reset = self.name_of(*signal);
                        (reset.clone(), format!(" or posedge {reset}"))
                    }
                };
                let value = match node.label_of(value) {
                    Some(label) => {
                        let label = format!("{name}_{label}");
                        self.labels.insert(label.clone(), value.clone());
                        label
                    }
                    None => value.verilog(),
                };
                let _ = writeln!(text, "\n  // {at}\n  always_ff @(posedge {clock}{edge}) begin");
                let _ = writeln!(text, "    if ({reset}) begin\n      {name} <= {value};");
                if let [Statement::If { .. }] = part {
                    self.branches(&part[0], "    end else if", name, id, "<=", 2, &mut text);
                } else {
                    text.push_str("    end else begin\n");
                    self.statements(part, name, id, "<=", 3, &mut text);
                    text.push_str("    end\n");
                }
                text.push_str("  end\n");
            }
            _ => unreachable!("only wires and registers are driven by statements"),
        }
        text
    }

    /// Writes the properties of each clock and reset.
    fn properties(&mut self, out: &mut String) {
        let mut groups: BTreeMap<(usize, Option<NodeId>), Vec<&Property>> = BTreeMap::new();
        for property in &self.ir.properties {
            groups.entry((property.clock, property.reset)).or_default().push(property);
        }
        for ((clock, reset), properties) in groups {
            let clock = self.expression(self.ir.clocks[clock].node, true);
            let _ = writeln!(out, "\n  always_ff @(posedge {clock}) begin");
            let pad = if reset.is_some() { "      " } else { "    " };
            if let Some(reset) = reset {
                let reset = self.expression(reset, false);
                let _ = writeln!(out, "    if (!{reset}) begin");
            }
            for property in properties {
                let condition = self.expression(property.condition, true);
                let (name, keyword, at) = (&property.name, property.kind.keyword(), place(property.source));
                line(out, &format!("{pad}{name}: {keyword} ({condition});  // {at}"));
            }
            out.push_str(if reset.is_some() { "    end\n  end\n" } else { "  end\n" });
        }
    }

    fn memory(&mut self, memory: &Memory, logic: &mut String) {
        let ir = self.ir;
        let at = place(memory.source);
        if !memory.initial.is_empty() {
            let _ = writeln!(logic, "\n  // {at}\n  initial begin");
            for address in 0..memory.depth as usize {
                let word = memory
                    .initial
                    .get(address)
                    .map_or_else(|| Constant::zero(memory.width).verilog(), Constant::verilog);
                let _ = writeln!(logic, "    {}[{address}] = {word};", memory.name);
            }
            logic.push_str("  end\n");
        }
        // In one block the later port wins where two write one word, which costs logic where it cannot happen.
        let mut groups: BTreeMap<(usize, usize), Vec<&MemoryWrite>> = BTreeMap::new();
        for (number, write) in memory.writes.iter().enumerate() {
            let apart = if memory.undefined_collisions { number } else { 0 };
            groups.entry((write.clock, apart)).or_default().push(write);
        }
        // What an `always_ff` writes nothing else may write.
        let always = if groups.len() > 1 { "always" } else { "always_ff" };
        if groups.len() > 1 {
            self.lint_off.insert("MULTIDRIVEN");
        }
        for ((clock, _), writes) in groups {
            let name = self.expression(ir.clocks[clock].node, true);
            let _ = writeln!(logic, "\n  // {at}\n  {always} @(posedge {name}) begin");
            for w in writes {
                let enable = self.expression(w.enable, false);
                let address = self.expression(w.address, true);
                let inside = if memory.depth.is_power_of_two() && memory.depth > 1 {
                    String::new()
                } else {
                    let text = self.expression(w.address, false);
                    self.lint_off.extend(["CMPCONST", "SELRANGE"]);
                    format!(" && {text} < {}'d{}", ir.nodes[w.address].width, memory.depth)
                };
                let condition =
                    if inside.is_empty() { self.expression(w.enable, true) } else { format!("{enable}{inside}") };
                match w.lanes {
                    None => {
                        let data = self.expression(w.data, true);
                        line(logic, &format!("    if ({condition}) {}[{address}] <= {data};", memory.name));
                    }
                    Some(lanes) => {
                        let count = ir.nodes[lanes].width;
                        let width = memory.width / count;
                        let (data, enables) = (self.expression(w.data, true), self.expression(lanes, true));
                        if count == 1 {
                            line(
                                logic,
                                &format!("    if ({condition} && {enables}) {}[{address}] <= {data};", memory.name),
                            );
                        } else {
                            line(logic, &format!("    if ({condition}) begin"));
                            let _ = writeln!(logic, "      for (int i = 0; i < {count}; i++) begin");
                            let part = if width == 1 { "[i]".to_string() } else { format!("[i*{width} +: {width}]") };
                            let _ = writeln!(
                                logic,
                                "        if ({enables}[i]) {}[{address}]{part} <= {data}{part};",
                                memory.name
                            );
                            logic.push_str("      end\n    end\n");
                        }
                    }
                }
            }
            logic.push_str("  end\n");
        }
        for r in &memory.reads {
            let clock = self.expression(ir.clocks[r.clock].node, true);
            let data = self.name_of(r.data);
            let word = self.memory_word(memory, r.address);
            let when = r.enable.map_or(String::new(), |e| format!("if ({}) ", self.expression(e, true)));
            let _ = writeln!(logic, "\n  // {}\n  always_ff @(posedge {clock}) begin", place(r.source));
            line(logic, &format!("    {when}{data} <= {word};"));
            logic.push_str("  end\n");
        }
    }

    fn instance(&mut self, instance: &Instance, logic: &mut String) {
        let child = &instance.module;
        let set: Vec<String> =
            child.parameters().iter().map(|(name, value)| format!(".{name}({})", value.verilog())).collect();
        let parameters = if set.is_empty() { String::new() } else { format!(" #({})", set.join(", ")) };
        let _ = writeln!(logic, "\n  // {}\n  {}{parameters} {} (", place(instance.source), child.name, instance.name);
        let pins: Vec<String> = child
            .ports
            .iter()
            .zip(&instance.connections)
            .map(|(port, &node)| {
                let net = match port.direction {
                    Direction::Input => self.expression(self.pins.get(&node).copied().unwrap_or(node), true),
                    Direction::Output => self.name_of(node),
                };
                format!("    .{}({net})", port.name)
            })
            .collect();
        let _ = writeln!(logic, "{}\n  );", pins.join(",\n"));
    }

    /// Writes a wire `wire` that reads what nothing else reads: of what only properties need, or of the rest.
    fn unused(&self, wire: &str, is_port: &BTreeSet<NodeId>, ghost: bool, out: &mut String) {
        let mut pieces = Vec::new();
        for (id, node) in self.ir.nodes.iter().enumerate() {
            let Some(name) = node.name.as_ref().or_else(|| self.temps.get(&id)) else { continue };
            let is_output = is_port.contains(&id) && matches!(node.kind, NodeKind::Wire);
            if is_output || self.pins.contains_key(&id) || self.ghost[id] != ghost {
                continue;
            }
            let Some(read) = self.read.get(&id) else {
                pieces.push(name.clone());
                continue;
            };
            let mut low = 0;
            while low < read.len() {
                if read[low] {
                    low += 1;
                    continue;
                }
                let high = (low..read.len()).find(|&i| read[i]).unwrap_or(read.len()) - 1;
                pieces.push(if high == low { format!("{name}[{low}]") } else { format!("{name}[{high}:{low}]") });
                low = high + 1;
            }
        }
        if !pieces.is_empty() {
            out.push_str("\n  // Read by nothing.\n");
            line(out, &format!("  wire {wire} = &{{1'b0, {}}};", pieces.join(", ")));
        }
    }
}

fn comment(label: &str) -> String {
    if label.is_empty() {
        String::new()
    } else {
        format!("  // {label}")
    }
}

/// Where a line is broken, in characters.
const LINE_MAX: usize = 140;

/// Writes one line, broken at spaces if it is long; a comment at its end goes above it.
fn line(out: &mut String, text: &str) {
    if text.len() <= LINE_MAX {
        out.push_str(text);
        out.push('\n');
        return;
    }
    let indent = text.len() - text.trim_start().len();
    let (code, note) = match text.rfind("  // ") {
        Some(at) if at > indent => (&text[..at], Some(&text[at + 2..])),
        _ => (text, None),
    };
    if let Some(note) = note {
        let _ = writeln!(out, "{}{note}", " ".repeat(indent));
    }
    let mut current = String::new();
    for word in code.trim_start().split(' ') {
        let pad = if current.is_empty() { 0 } else { 1 };
        if !current.trim().is_empty() && current.len() + pad + word.len() > LINE_MAX {
            out.push_str(&current);
            out.push('\n');
            current = " ".repeat(indent + 4);
            current.push_str(word);
        } else {
            if current.is_empty() {
                current = " ".repeat(indent);
            } else {
                current.push(' ');
            }
            current.push_str(word);
        }
    }
    out.push_str(&current);
    out.push('\n');
}

/// True for the reserved words of SystemVerilog (IEEE 1800-2017, "Keywords").
pub(crate) fn is_keyword(name: &str) -> bool {
    const KEYWORDS: &str = " accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind bins \
binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config const constraint context continue cover \
covergroup coverpoint cross deassign default defparam design disable dist do edge else end endcase endchecker endclass endclocking endconfig \
endfunction endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram endproperty endspecify endsequence endtable endtask \
enum event eventually expect export extends extern final first_match for force foreach forever fork forkjoin function generate genvar global \
highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input inside instance int integer \
interconnect interface intersect join join_any join_none large let liblist library local localparam logic longint macromodule matches medium \
modport module nand negedge nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge \
primitive priority program property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase \
randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually \
s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled signed small soft solve specify specparam static string \
strong strong0 strong1 struct super supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time timeprecision timeunit \
tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var vectored \
virtual void wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor ";
    KEYWORDS.contains(&format!(" {name} "))
}
