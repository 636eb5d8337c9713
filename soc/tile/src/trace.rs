//! Carries inner signals out of the tile, so that a simulation sees what the core retires and writes into its registers.
//!
//! Each signal becomes an output of its module, and of every module around it up to the tile. A module or a signal that is missing, has another width, or is there
//! more than once is an error: then this is another version of Rocket Chip.

use crate::closure::{Closure, ModuleId};
use crate::verilog::{Edits, Item, Port, Range, ReadError};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What the names of the outputs begin with.
pub(crate) const PREFIX: &str = "trace_";

/// A signal that is carried out.
pub(crate) struct Tap {
    /// The module that it is in.
    module: &'static str,
    /// Its name there.
    signal: &'static str,
    /// Its width in bits.
    width: u32,
    /// The name of the output, behind [`PREFIX`].
    pub(crate) name: &'static str,
}

const fn tap(module: &'static str, signal: &'static str, width: u32, name: &'static str) -> Tap {
    Tap { module, signal, width, name }
}

const CORE: &str = "Rocket";
const FPU: &str = "FPU";

/// What a lock-step needs. The core writes a result either when its instruction retires, or later by the port `late`, as those of missed loads and of
/// divisions. The FPU has one port for loads and one for all else.
pub(crate) const TAPS: [Tap; 17] = [
    tap(CORE, "csr_io_trace_0_valid", 1, "valid"),
    tap(CORE, "csr_io_trace_0_iaddr", 40, "pc"),
    tap(CORE, "csr_io_trace_0_insn", 32, "instruction"),
    tap(CORE, "csr_io_trace_0_exception", 1, "trap"),
    tap(CORE, "csr_io_cause", 64, "cause"),
    tap(CORE, "wb_wen", 1, "write"),
    tap(CORE, "wb_set_sboard", 1, "write_is_late"),
    tap(CORE, "wb_waddr", 5, "write_register"),
    tap(CORE, "ll_wen", 1, "late"),
    tap(CORE, "ll_waddr", 5, "late_register"),
    // The register file has one port: this is what either of them writes.
    tap(CORE, "rf_wdata", 64, "write_value"),
    tap(FPU, "regfile_MPORT_en", 1, "float_load"),
    tap(FPU, "regfile_MPORT_addr", 5, "float_load_register"),
    tap(FPU, "regfile_MPORT_data", 65, "float_load_value"),
    tap(FPU, "regfile_MPORT_1_en", 1, "float"),
    tap(FPU, "regfile_MPORT_1_addr", 5, "float_register"),
    tap(FPU, "regfile_MPORT_1_data", 65, "float_value"),
];

/// Adds what carries `taps` out of the top of `closure` to `edits`, which are those of the texts, in their order.
pub(crate) fn carry_out(closure: &Closure, taps: &[Tap], edits: &mut [Edits]) -> Result<(), ReadError> {
    // By module: ports, assigns and, by instance, connections.
    let mut ports: BTreeMap<ModuleId, String> = BTreeMap::new();
    let mut assigns: BTreeMap<ModuleId, String> = BTreeMap::new();
    let mut connections: BTreeMap<(usize, usize), String> = BTreeMap::new();
    for tap in taps {
        let Tap { module, signal, width, .. } = *tap;
        let port = format!("{PREFIX}{}", tap.name);
        let mut id = inside(closure, module)?;
        check_signal(closure, id, signal, width)?;
        let range = if width == 1 { String::new() } else { format!("[{}:0] ", width - 1) };
        // Writing to a string cannot fail.
        let _ = writeln!(assigns.entry(id).or_default(), "  assign {port} = {signal};");
        loop {
            check_free(closure, id, &port)?;
            let _ = write!(ports.entry(id).or_default(), ",\n  output {range}{port}");
            if id == closure.modules()[0] {
                break;
            }
            let (parent, first) = only_instance(closure, id)?;
            let _ = write!(connections.entry((parent.source, first)).or_default(), "{port}({port}),\n    .");
            id = parent;
        }
    }
    for (id, text) in ports {
        let (source, module) = (closure.source(id), closure.module(id));
        let last = module.ports.last().ok_or_else(|| source.error(module.name, "the module has no ports"))?.name;
        edits[id.source].replace(last, format!("{}{text}", source.token(last)));
    }
    for (id, text) in assigns {
        edits[id.source].replace(closure.module(id).tokens.end - 1, format!("{text}endmodule"));
    }
    for ((source, first), text) in connections {
        let name = closure.source(ModuleId { source, module: 0 }).token(first);
        edits[source].replace(first, format!("{text}{name}"));
    }
    Ok(())
}

fn inside(closure: &Closure, name: &str) -> Result<ModuleId, ReadError> {
    let top = closure.modules()[0];
    let found = closure.find(name).filter(|id| closure.modules().contains(id));
    found.ok_or_else(|| {
        closure.source(top).error(closure.module(top).name, format!("there is no module `{name}` in it"))
    })
}

/// The signal is declared in the module with this width.
fn check_signal(closure: &Closure, id: ModuleId, signal: &str, width: u32) -> Result<(), ReadError> {
    let (source, module) = (closure.source(id), closure.module(id));
    let port = module.ports.iter().map(|Port { range, name, .. }| (*name, range));
    let item = module.items.iter().filter_map(|item| match item {
        Item::Declaration(declaration) => Some((declaration.name, &declaration.range)),
        _ => None,
    });
    match port.chain(item).find(|(name, _)| source.token(*name) == signal) {
        Some((_, range)) if range.as_ref().map_or(Some(1), Range::width) == Some(width) => Ok(()),
        Some((name, _)) => Err(source.error(name, format!("`{signal}` does not have {width} bits"))),
        None => Err(source.error(module.name, format!("the module has no `{signal}`"))),
    }
}

/// No token of the module has this name.
fn check_free(closure: &Closure, id: ModuleId, name: &str) -> Result<(), ReadError> {
    let (source, module) = (closure.source(id), closure.module(id));
    match module.tokens.clone().find(|token| source.token(*token) == name) {
        None => Ok(()),
        Some(token) => Err(source.error(token, format!("`{name}` is in the module already"))),
    }
}

/// The module that has the one instance of a module, and the name of the instance's first port.
fn only_instance(closure: &Closure, child: ModuleId) -> Result<(ModuleId, usize), ReadError> {
    let mut found = None;
    for id in closure.modules() {
        let source = closure.source(*id);
        for instance in closure.module(*id).instances() {
            if closure.find(source.token(instance.module)) != Some(child) {
                continue;
            }
            let first = instance.connections.first().map(|connection| connection.port);
            let first = first.ok_or_else(|| source.error(instance.name, "the instance is joined to nothing"))?;
            if found.replace((*id, first)).is_some() {
                let name = source.token(instance.module);
                return Err(source.error(instance.name, format!("there is more than one `{name}`")));
            }
        }
    }
    // What is in the closure and is not its top is an instance somewhere.
    found.ok_or_else(|| closure.source(child).error(closure.module(child).name, "the module is nowhere an instance"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verilog::Source;

    const TOP: &str = "module top(input a);\n  middle m (\n    .a(a)\n  );\nendmodule\n";
    const MIDDLE: &str = "module middle(input a);\n  leaf l (\n    .a(a)\n  );\n  wire c;\nendmodule\n";
    const LEAF: &str = "module leaf(input a);\n  wire [3:0] b = {4{a}};\nendmodule\n";
    const WANTED: [Tap; 2] = [tap("leaf", "b", 4, "b"), tap("middle", "c", 1, "c")];

    fn carried(text: &str, taps: &[Tap]) -> Result<String, ReadError> {
        let sources = [Source::read("test.v", text)?];
        let closure = Closure::of("top", &sources)?;
        let mut edits = vec![Edits::default()];
        carry_out(&closure, taps, &mut edits)?;
        Ok(sources[0].write_all(&edits[0]))
    }

    #[test]
    fn signals_are_carried_through_every_module_around_them() {
        let expected = "\
module top(input a,\n  output [3:0] trace_b,\n  output trace_c);
  middle m (\n    .trace_b(trace_b),\n    .trace_c(trace_c),\n    .a(a)\n  );\nendmodule
module middle(input a,\n  output [3:0] trace_b,\n  output trace_c);
  leaf l (\n    .trace_b(trace_b),\n    .a(a)\n  );\n  wire c;\n  assign trace_c = c;\nendmodule
module leaf(input a,\n  output [3:0] trace_b);\n  wire [3:0] b = {4{a}};\n  assign trace_b = b;\nendmodule\n";
        let got = carried(&format!("{TOP}{MIDDLE}{LEAF}"), &WANTED).unwrap();
        assert_eq!(got, expected);
        Source::read("carried.v", &got).unwrap();
    }

    #[test]
    fn what_is_not_as_it_is_known_is_refused() {
        let text = format!("{TOP}{MIDDLE}{LEAF}");
        let refused = |text: &str, taps: &[Tap]| carried(text, taps).unwrap_err().to_string();
        assert!(refused(&text, &[tap("other", "b", 4, "b")]).contains("no module `other`"));
        assert!(refused(&text, &[tap("leaf", "d", 4, "d")]).contains("has no `d`"));
        assert!(refused(&text, &[tap("leaf", "b", 5, "b")]).contains("test.v:13: `b` does not have 5 bits"));
        let twice = text.replace("wire c;", "wire c; leaf k (.a(a));");
        assert!(refused(&twice, &WANTED).contains("more than one `leaf`"));
        let taken = text.replace("wire c;", "wire c; wire trace_b;");
        assert!(refused(&taken, &WANTED).contains("`trace_b` is in the module already"));
    }
}
