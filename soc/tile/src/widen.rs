//! Makes an input and everything that carries its value wider.
//!
//! The value is followed from the input through ports, assigns and declarations. It is understood where it
//!
//! - goes on as it is: to a port of an instance, or by `assign` or a declaration to another name, which is followed;
//! - goes on or is zero: `condition ? value : 2'h0`, whose zero is widened;
//! - is extended with zeros: `{{62'd0}, value}`, which gets fewer of them, and where the way ends;
//! - is printed.
//!
//! Every other use is an error, and so is a name that is driven by something else as well.

use crate::closure::{Closure, ModuleId};
use crate::verilog::{Direction, Edits, Item, Kind, Port, Range, ReadError, Source};
use std::collections::BTreeSet;

/// The tasks that print.
const PRINTS: [&str; 3] = ["$fwrite", "$display", "$write"];

/// A name in a module.
type Net<'s> = (ModuleId, &'s str);

/// Widens the input `port` of the top of `closure` from `from` bits to `to`. What is to be written otherwise is added to `edits`, which are those of
/// the texts, in their order.
pub(crate) fn widen(
    closure: &Closure,
    port: &str,
    (from, to): (u32, u32),
    edits: &mut [Edits],
) -> Result<(), ReadError> {
    let top = closure.modules()[0];
    let (source, module) = (closure.source(top), closure.module(top));
    let Some((start, declared)) =
        module.ports.iter().find_map(|p| Some((source.token(p.name), p)).filter(|(n, _)| *n == port))
    else {
        return Err(source.error(module.name, format!("the module has no port `{port}`")));
    };
    if declared.direction != Direction::Input {
        return Err(source.error(declared.name, format!("`{port}` is to be an input")));
    }
    let mut walk = Walk { closure, from, to, edits, nets: BTreeSet::new(), open: vec![], driven: BTreeSet::new() };
    walk.follow((top, start));
    while let Some(net) = walk.open.pop() {
        walk.net(net)?;
    }
    walk.check_drivers()
}

struct Walk<'c, 's> {
    closure: &'c Closure<'s>,
    from: u32,
    to: u32,
    edits: &'c mut [Edits],
    /// What carries the value.
    nets: BTreeSet<Net<'s>>,
    /// What of it has not been looked at.
    open: Vec<Net<'s>>,
    /// The items by which the value has come to a name: module and number of the item.
    driven: BTreeSet<(ModuleId, usize)>,
}

impl<'s> Walk<'_, 's> {
    fn follow(&mut self, net: Net<'s>) {
        if self.nets.insert(net) {
            self.open.push(net);
        }
    }

    fn net(&mut self, (id, name): Net<'s>) -> Result<(), ReadError> {
        let (source, module) = (self.closure.source(id), self.closure.module(id));
        let port = module.ports.iter().find(|port| source.token(port.name) == name);
        if let Some(Port { range, name: at, direction }) = port {
            self.range(id, range.as_ref(), *at)?;
            if *direction == Direction::Output {
                self.leave(id, name)?;
            }
        }
        let mut is_declared = port.is_some();
        for (number, item) in module.items.iter().enumerate() {
            match item {
                Item::Declaration(declaration) => {
                    if source.token(declaration.name) == name {
                        is_declared = true;
                        if source.token(declaration.keyword) != "wire" {
                            return Err(source.error(declaration.name, format!("`{name}` is no wire")));
                        }
                        self.range(id, declaration.range.as_ref(), declaration.name)?;
                    }
                    if let Some(value) = &declaration.value {
                        let width = declaration.range.as_ref().map_or(Some(1), Range::width);
                        let target = declaration.name..declaration.name + 1;
                        self.value(id, name, number, target, value.clone(), width)?;
                    }
                }
                Item::Assign { target, value } => {
                    self.value(id, name, number, target.clone(), value.clone(), None)?;
                }
                Item::Instance(instance) => {
                    for connection in &instance.connections {
                        if !mentions(source, connection.value.clone(), name) {
                            continue;
                        }
                        if connection.value.len() != 1 {
                            return Err(not_understood(source, connection.value.clone(), name));
                        }
                        self.enter(source, instance.module, connection.port)?;
                    }
                }
                Item::Block(tokens) => {
                    let at = tokens.clone().filter(|token| is_name(source, *token, name));
                    if let Some(token) = at.into_iter().find(|token| !is_printed(source, tokens.start, *token)) {
                        return Err(not_understood(source, token..token + 1, name));
                    }
                }
                Item::Directive(_) => {}
            }
        }
        match is_declared {
            true => Ok(()),
            false => Err(source.error(module.name, format!("`{name}` is not declared in the module"))),
        }
    }

    /// Widens a range.
    fn range(&mut self, id: ModuleId, range: Option<&Range>, at: usize) -> Result<(), ReadError> {
        let source = self.closure.source(id);
        match range {
            Some(range) if range.bits == Some((self.from - 1, 0)) => {
                self.edits[id.source].replace(range.tokens.start + 1, (self.to - 1).to_string());
                Ok(())
            }
            _ => Err(source.error(at, format!("`{}` does not have {} bits", source.token(at), self.from))),
        }
    }

    /// What `target = value` does with the name, if it is in it; `width` is that of the target, if it is known.
    fn value(
        &mut self,
        id: ModuleId,
        name: &str,
        number: usize,
        target: std::ops::Range<usize>,
        value: std::ops::Range<usize>,
        width: Option<u32>,
    ) -> Result<(), ReadError> {
        let source = self.closure.source(id);
        if target.len() != 1 && mentions(source, target.clone(), name) {
            return Err(not_understood(source, target, name));
        }
        if !mentions(source, value.clone(), name) {
            return Ok(());
        }
        let is_value = |word: &str| word == name;
        let zero = match source.words(value.clone())[..] {
            [word] if is_value(word) => None,
            [condition, "?", word, ":", _] if is_value(word) && condition != name => Some(value.start + 4),
            ["{", "{", _, "}", ",", word, "}"] if is_value(word) => {
                let zero = value.start + 2;
                let extended = self.zero(source, zero)?;
                if width != Some(extended + self.from) {
                    return Err(not_understood(source, value, name));
                }
                return self.resize(id, zero, extended - (self.to - self.from).min(extended));
            }
            _ => return Err(not_understood(source, value, name)),
        };
        if target.len() != 1 {
            return Err(not_understood(source, target, name));
        }
        if let Some(zero) = zero {
            if self.zero(source, zero)? != self.from {
                return Err(not_understood(source, value, name));
            }
            self.resize(id, zero, self.to)?;
        }
        self.driven.insert((id, number));
        self.follow((id, source.token(target.start)));
        Ok(())
    }

    /// The width of a zero.
    fn zero(&self, source: &Source, token: usize) -> Result<u32, ReadError> {
        let text = source.token(token);
        let zero = text.split_once('\'').filter(|_| source.kind(token) == Kind::Number).and_then(|(width, digits)| {
            let is_zero =
                digits.get(1..).is_some_and(|digits| digits.bytes().all(|digit| matches!(digit, b'0' | b'_')));
            width.parse().ok().filter(|_| is_zero)
        });
        zero.ok_or_else(|| source.error(token, format!("met `{text}` in the place of a zero of a known width")))
    }

    /// Gives a zero another width.
    fn resize(&mut self, id: ModuleId, token: usize, width: u32) -> Result<(), ReadError> {
        let source = self.closure.source(id);
        let (_, digits) = source.token(token).split_once('\'').unwrap_or_default();
        if width == 0 {
            return Err(source.error(token, "nothing would be left of the zeros".to_owned()));
        }
        self.edits[id.source].replace(token, format!("{width}'{digits}"));
        Ok(())
    }

    /// The value goes into a port of an instance, or comes out of it.
    fn enter(&mut self, source: &Source, module: usize, port: usize) -> Result<(), ReadError> {
        // The closure has every module that is named in it.
        let Some(child) = self.closure.find(source.token(module)) else { return Ok(()) };
        let (inner, name) = (self.closure.source(child), source.token(port));
        let found = self.closure.module(child).ports.iter().find(|port| inner.token(port.name) == name);
        match found {
            None => Err(source.error(port, format!("the module `{}` has no port `{name}`", source.token(module)))),
            Some(found) if found.direction == Direction::Input => {
                self.follow((child, inner.token(found.name)));
                Ok(())
            }
            // It is a driver: `check_drivers` asks whether it is one that is known.
            Some(_) => Ok(()),
        }
    }

    /// The value leaves a module by an output: wherever the module is an instance.
    fn leave(&mut self, child: ModuleId, port: &str) -> Result<(), ReadError> {
        for (id, value) in self.joined(child, port) {
            let source = self.closure.source(id);
            match value.len() {
                0 => {}
                1 if source.kind(value.start) == Kind::Word => self.follow((id, source.token(value.start))),
                _ => return Err(not_understood(source, value, port)),
            }
        }
        Ok(())
    }

    /// What the port is joined to in every instance of the module.
    fn joined(&self, child: ModuleId, port: &str) -> Vec<(ModuleId, std::ops::Range<usize>)> {
        let mut joined = Vec::new();
        for id in self.closure.modules() {
            let source = self.closure.source(*id);
            let instances = self.closure.module(*id).instances();
            for instance in instances.filter(|i| self.closure.find(source.token(i.module)) == Some(child)) {
                let connections = instance.connections.iter().filter(|c| source.token(c.port) == port);
                joined.extend(connections.map(|connection| (*id, connection.value.clone())));
            }
        }
        joined
    }

    /// Every name that was widened gets its value from one that was, and from nothing else.
    fn check_drivers(&self) -> Result<(), ReadError> {
        for (id, name) in self.nets.iter().copied() {
            let (source, module) = (self.closure.source(id), self.closure.module(id));
            for (number, item) in module.items.iter().enumerate() {
                let target = match item {
                    Item::Declaration(declaration) if declaration.value.is_some() => {
                        declaration.name..declaration.name + 1
                    }
                    Item::Assign { target, .. } => target.clone(),
                    Item::Instance(instance) => {
                        for connection in &instance.connections {
                            if mentions(source, connection.value.clone(), name) {
                                self.check_output(source, instance.module, connection.port)?;
                            }
                        }
                        continue;
                    }
                    _ => continue,
                };
                if mentions(source, target.clone(), name) && !self.driven.contains(&(id, number)) {
                    return Err(source.error(target.start, format!("`{name}` is driven by something else as well")));
                }
            }
            let is_input = |port: &Port| port.direction == Direction::Input && source.token(port.name) == name;
            if module.ports.iter().any(is_input) {
                for (parent, value) in self.joined(id, name) {
                    let outer = self.closure.source(parent);
                    if value.len() != 1 || !self.nets.contains(&(parent, outer.token(value.start))) {
                        return Err(outer.error(value.start, format!("something else goes into `{name}` here")));
                    }
                }
            }
        }
        Ok(())
    }

    /// An output that drives what was widened was widened itself.
    fn check_output(&self, source: &Source, module: usize, port: usize) -> Result<(), ReadError> {
        let name = source.token(port);
        match self.closure.find(source.token(module)) {
            Some(child) if self.nets.contains(&(child, name)) => Ok(()),
            _ => Err(source.error(port, format!("`{name}` drives what carries another value"))),
        }
    }
}

fn is_name(source: &Source, token: usize, name: &str) -> bool {
    source.kind(token) == Kind::Word && source.token(token) == name
}

fn mentions(source: &Source, mut tokens: std::ops::Range<usize>, name: &str) -> bool {
    tokens.any(|token| is_name(source, token, name))
}

/// Whether a token is a whole argument of a task that prints; `start` is the first token of the block.
fn is_printed(source: &Source, start: usize, token: usize) -> bool {
    if !["(", ","].contains(&source.token(token - 1)) || ![")", ","].contains(&source.token(token + 1)) {
        return false;
    }
    let mut depth = 0;
    for before in (start..token).rev() {
        match source.token(before) {
            ")" | "}" | "]" => depth += 1,
            "(" if depth == 0 => return before > start && PRINTS.contains(&source.token(before - 1)),
            "{" | "[" if depth == 0 => return false,
            "(" | "{" | "[" => depth -= 1,
            ";" => return false,
            _ => {}
        }
    }
    false
}

fn not_understood(source: &Source, tokens: std::ops::Range<usize>, name: &str) -> ReadError {
    const SHOWN_MAX: usize = 24;
    let shown = source.words(tokens.start..tokens.end.min(tokens.start + SHOWN_MAX)).join(" ");
    source.error(tokens.start, format!("what `{name}` is used for is not understood: `{shown}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with the input `n` of `top` widened from two bits to three.
    fn widened(text: &str) -> Result<String, ReadError> {
        let sources = [Source::read("test.v", text)?];
        let closure = Closure::of("top", &sources)?;
        let mut edits = vec![Edits::default()];
        widen(&closure, "n", (2, 3), &mut edits)?;
        Ok(sources[0].write_all(&edits[0]))
    }

    /// A top with these items, and other modules behind it.
    fn top(items: &str, others: &str) -> String {
        format!("module top(input [1:0] n, input c, output [7:0] out);\n{items}\nendmodule\n{others}")
    }

    /// Asserts that of a text with `HIGH`, `ZERO` and `REST` in the place of what depends on the width, the others follow the input.
    #[track_caller]
    fn assert_widened(items: &str, others: &str) {
        let text = top(items, others).replace("input [1:0] n,", "input [HIGH:0] n,");
        let fill =
            |high: &str, zero: &str, rest: &str| text.replace("HIGH", high).replace("ZERO", zero).replace("REST", rest);
        let (before, after) = (fill("1", "2'h0", "6'd0"), fill("2", "3'h0", "5'd0"));
        assert_eq!(widened(&before).as_deref(), Ok(&after[..]));
    }

    #[test]
    fn the_value_is_followed_through_everything_that_is_understood() {
        assert_widened("wire [HIGH:0] a = n; wire [1:0] other;", "");
        assert_widened("wire [HIGH:0] a; assign a = n; wire [7:0] x = {{REST}, a};", "");
        assert_widened("wire [HIGH:0] a = c ? n : ZERO; wire [1:0] b = c ? 2'h1 : 2'h0;", "");
        assert_widened("always @(posedge c) begin if (c) $fwrite(32'h2,\"%d\",c,n); end", "");
        assert_widened("wire [1:0] x = c ? 2'h0 : 2'h1; always @(posedge c) x <= 1'h0;", "");
        let child = "module child(input [HIGH:0] i, output [HIGH:0] o); assign o = i; endmodule";
        assert_widened("wire [HIGH:0] a; child k (.i(n), .o(a)); wire [7:0] x = {{REST}, a};", child);
        // The names of one module say nothing about those of another.
        assert_widened("child k (.i(n), .o());", &format!("{child} module stranger(input [1:0] n); endmodule"));
    }

    #[track_caller]
    fn assert_refused(items: &str, others: &str, message: &str) {
        let error = widened(&top(items, others)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn every_other_use_is_refused() {
        for use_ in ["n[0]", "~n", "{c, n}", "n + 2'h0", "c ? n : 3'h0", "n ? n : 2'h0", "c ? 2'h0 : n", "{{5'd0}, n}"]
        {
            assert_refused(
                &format!("\nwire [1:0] a = {use_};"),
                "",
                "test.v:3: what `n` is used for is not understood",
            );
        }
        assert_refused("wire [1:0] a = c ? n : 2'h1;", "", "met `2'h1` in the place of a zero");
        assert_refused("wire [1:0] a = c ? n : c;", "", "met `c` in the place of a zero");
        assert_refused("wire [2:0] a = {{1'd0}, n};", "", "nothing would be left");
        assert_refused("reg [1:0] a; always @(posedge c) a <= n;", "", "`n` is used for is not understood");
        assert_refused("always @(posedge c) $fwrite(32'h2, \"%d\", n[0]);", "", "not understood");
        assert_refused("always @(posedge c) $fwrite(32'h2, \"%d\", {n});", "", "not understood");
        assert_refused("always @(posedge c) $other(n);", "", "not understood");
        assert_refused("wire [2:0] a = n;", "", "`a` does not have 2 bits");
        assert_refused("reg [1:0] a; assign a = n;", "", "`a` is no wire");
        assert_refused("assign a = n;", "", "`a` is not declared");
        assert_refused("wire [7:0] a; assign a[1:0] = n;", "", "not understood");
        let child = "module child(input [1:0] i, output [1:0] o); assign o = i; endmodule";
        assert_refused("child k (.i({n}), .o());", child, "not understood");
        assert_refused("child k (.x(n));", child, "no port `x`");
        assert_refused("wire [7:0] a; child k (.i(n), .o(a[1:0]));", child, "not understood");
    }

    #[test]
    fn a_second_driver_is_refused() {
        let child = "module child(input [1:0] i, output [1:0] o); assign o = i; endmodule";
        assert_refused("wire [1:0] a; assign a = n; assign a = c;", "", "`a` is driven by something else");
        assert_refused("wire [1:0] b; child k (.i(n), .o()); child l (.i(b), .o());", child, "goes into `i`");
        assert_refused("child k (.i(n), .o()); child l (.i(2'h0), .o());", child, "goes into `i`");
        let stranger = "module stranger(output [1:0] o); assign o = 2'h0; endmodule";
        assert_refused("wire [1:0] a = n; stranger k (.o(a));", stranger, "drives what carries another value");
    }
}
