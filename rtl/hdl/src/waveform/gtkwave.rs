//! Save files of GTKWave: which signals it shows, and how.

use super::tree::{Kind, Scope, Variable};
use std::fmt::Write;

/// How a line is shown. GTKWave's own numbers: binary, hexadecimal, and by the names of an enum, each to the right of its column.
const BIT: u64 = 0x28;
const VECTOR: u64 = 0x22;
const ENUM: u64 = 0x1_0000_0028;
/// The lines around a group, which is shown closed or open.
const BEGIN_CLOSED: u64 = 0xC0_0200;
const END_CLOSED: u64 = 0x140_1200;
const BEGIN_OPEN: u64 = 0x80_0200;
const END_OPEN: u64 = 0x100_0200;

/// How much time a pixel is, as a power of two of units of time: some dozens of clocks are on the screen, wide enough for the names of states.
const ZOOM: i32 = -4;

/// Pixels of the window and of its columns.
const WIDTH: u32 = 1400;
const HEIGHT: u32 = 800;
const TREE_WIDTH: u32 = 250;
const NAMES_WIDTH: u32 = 300;

/// The save file of a waveform with this name that begins at this time: the ports of the tops, in groups, and the state machines of the design.
pub(crate) fn save_file(tops: &[Scope], name: &str, start: u64) -> String {
    let mut text = format!("[*] Written by rtl-hdl, for {name}\n[dumpfile] \"{name}\"\n[timestart] {start}\n");
    line(&mut text, format_args!("[size] {WIDTH} {HEIGHT}\n*{ZOOM}.000000 {start}"));
    line(&mut text, format_args!("[sst_width] {TREE_WIDTH}\n[signals_width] {NAMES_WIDTH}"));
    for top in tops {
        line(&mut text, format_args!("[treeopen] {}.", top.name));
        let ports = top.variables.iter().filter(|variable| variable.direction.is_some());
        ports.for_each(|port| show(&mut text, &top.name, port, None));
        let mut states = Vec::new();
        collect_states(&mut states, &top.name, "", top);
        if !states.is_empty() {
            group(&mut text, "states", [BEGIN_OPEN, END_OPEN], |text| {
                for (path, shown, state) in states {
                    show(text, &path, state, Some(&shown));
                }
            });
        }
        for bundle in top.scopes.iter().filter(|scope| scope.kind == Kind::Bundle && has_ports(scope)) {
            group(&mut text, &bundle.name, [BEGIN_CLOSED, END_CLOSED], |text| {
                show_all(text, &top.name, bundle);
            });
        }
    }
    text
}

/// Adds a line. Writing to a string cannot fail.
fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{content}");
}

fn group(text: &mut String, name: &str, [begin, end]: [u64; 2], content: impl FnOnce(&mut String)) {
    line(text, format_args!("@{begin:x}\n-{name}"));
    content(text);
    line(text, format_args!("@{end:x}\n-{name}"));
}

/// Shows a variable of the scope at `path`, under this name if one is given.
fn show(text: &mut String, path: &str, variable: &Variable, shown: Option<&str>) {
    let how = match (variable.labels, variable.width) {
        (Some(_), _) => ENUM,
        (None, 1) => BIT,
        (None, _) => VECTOR,
    };
    let range = if variable.width == 1 { String::new() } else { format!("[{}:0]", variable.width - 1) };
    let shown = shown.map_or(String::new(), |shown| format!("+{{{shown}}} "));
    line(text, format_args!("@{how:x}\n{shown}{path}.{}{range}", variable.name));
}

/// Shows everything in a scope.
fn show_all(text: &mut String, path: &str, scope: &Scope) {
    let path = format!("{path}.{}", scope.name);
    scope.variables.iter().for_each(|variable| show(text, &path, variable, None));
    scope.scopes.iter().for_each(|inner| show_all(text, &path, inner));
}

fn has_ports(scope: &Scope) -> bool {
    scope.variables.iter().any(|variable| variable.direction.is_some()) || scope.scopes.iter().any(has_ports)
}

/// The registers that hold a state, wherever they are: the path of the scope, what to show for the register, and the register. What is a field
/// of a bundle is data.
///
/// GTKWave takes what is before a dot for a scope and does not show it.
fn collect_states<'a>(
    states: &mut Vec<(String, String, &'a Variable)>,
    path: &str,
    below_top: &str,
    module: &'a Scope,
) {
    for state in module.variables.iter().filter(|variable| variable.is_register && variable.labels.is_some()) {
        states.push((path.to_owned(), format!("{below_top}{}", state.name), state));
    }
    for inner in module.scopes.iter().filter(|scope| scope.kind == Kind::Module) {
        let name = &inner.name;
        collect_states(states, &format!("{path}.{name}"), &format!("{below_top}{name}/"), inner);
    }
}
