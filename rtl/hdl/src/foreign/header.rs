//! The header of a module: its parameters and its ports, as the text declares them.
//!
//! Headers may have their ports in the list (ANSI) or only the names there and the declarations in the body. What cannot be a port of the
//! HDL, such as an `inout`, is refused with its line; the rest of the header is read all the same.

use super::expression::{parse, Expression};
use super::text::{Kind, Reader, Token};
use super::{nearest, Refusal};
use crate::ir::Direction;
use std::rc::Rc;

/// What a text says about one module.
#[derive(Debug, Default)]
pub(super) struct Header<'a> {
    pub parameters: Vec<Parameter<'a>>,
    pub ports: Vec<Port<'a>>,
    /// Ports that are no ports here.
    pub refusals: Vec<Refusal>,
}

/// The two ends of a range, and its line.
pub(super) type Range<'a> = (Expression<'a>, Expression<'a>, u32);

/// A parameter.
#[derive(Clone, Debug)]
pub(super) struct Parameter<'a> {
    pub name: &'a str,
    pub line: u32,
    /// It cannot be set from outside.
    pub is_local: bool,
    pub shape: Shape<'a>,
    /// Its default, if it has one and that is a constant expression.
    pub default: Result<Expression<'a>, Refusal>,
    pub has_default: bool,
}

/// The type of a parameter.
#[derive(Clone, Debug)]
pub(super) enum Shape<'a> {
    /// That of its value, with this sign if one is written.
    OfValue { signed: bool },
    /// Bits.
    Bits { ranges: Rc<Vec<Range<'a>>>, width: u32, signed: bool },
    /// `type`: no value can be given.
    Type,
    /// A string, a real number, or a type that is declared elsewhere.
    Other,
}

/// A port.
#[derive(Clone, Debug)]
pub(super) struct Port<'a> {
    pub name: &'a str,
    pub line: u32,
    pub direction: Direction,
    pub ranges: Rc<Vec<Range<'a>>>,
    /// Width of what the ranges are ranges of.
    pub width: u32,
}

/// Finds the module `name` in what `reader` reads, and reads its header.
pub(super) fn read<'a>(name: &str, reader: Reader<'a>) -> Result<Header<'a>, Refusal> {
    let mut parser = Parser { reader, header: Header::default() };
    let first = parser.find(name)?;
    let mut token = first;
    while token.is("import") {
        while !token.is(";") {
            token = parser.next()?;
        }
        token = parser.next()?;
    }
    let has_parameter_list = token.is("#");
    if has_parameter_list {
        let open = parser.next()?;
        if !open.is("(") {
            return Err(parser.unexpected(open, "`(` behind `#`"));
        }
        parser.parameter_list()?;
        token = parser.next()?;
    }
    let mut names = Vec::new();
    if token.is("(") {
        names = parser.port_list()?;
        token = parser.next()?;
    }
    if !token.is(";") {
        return Err(parser.unexpected(token, "`;` behind the ports"));
    }
    if !names.is_empty() || !has_parameter_list {
        parser.body(&names, !has_parameter_list)?;
    }
    Ok(parser.header)
}

const ENDS_EARLY: &str = "the text ends inside of the header";

struct Parser<'a> {
    reader: Reader<'a>,
    header: Header<'a>,
}

/// What is written between two commas, and what ends it.
struct Item<'a> {
    tokens: Vec<Token<'a>>,
    end: Token<'a>,
}

impl<'a> Parser<'a> {
    /// The first token behind the name of the module.
    fn find(&mut self, name: &str) -> Result<Token<'a>, Refusal> {
        let mut others: Vec<&str> = Vec::new();
        let mut before: Option<Token> = None;
        while let Some(token) = self.reader.next() {
            let begins = token.is("module") || token.is("macromodule");
            let declared_only = before.is_some_and(|before| before.is("extern"));
            before = Some(token);
            if !begins || declared_only {
                continue;
            }
            let mut found = self.reader.next();
            if found.is_some_and(|token| token.is("automatic") || token.is("static")) {
                found = self.reader.next();
            }
            let Some(found) = found else { break };
            if found.kind == Kind::Name && found.text == name {
                token.certain()?;
                found.certain()?;
                return self.next();
            }
            others.push(found.text);
        }
        let message = match others.is_empty() {
            true => format!("there is no module `{name}`, nor any other"),
            false => format!("there is no module `{name}`; {}", nearest(name, others.into_iter())),
        };
        Err(Refusal { line: self.reader.line(), message })
    }

    /// The next token of the header.
    fn next(&mut self) -> Result<Token<'a>, Refusal> {
        match self.reader.next() {
            Some(token) => token.certain(),
            None => Err(Refusal { line: self.reader.line(), message: ENDS_EARLY.into() }),
        }
    }

    fn unexpected(&self, token: Token, wanted: &str) -> Refusal {
        let message = format!("there is `{}` where {wanted} should be", token.text);
        token.certain().err().unwrap_or(Refusal { line: token.line, message })
    }

    /// What is there up to the next comma, semicolon or closing parenthesis that is not inside of others.
    fn item(&mut self) -> Result<Item<'a>, Refusal> {
        let mut tokens = Vec::new();
        let mut depth = 0u32;
        loop {
            let Some(token) = self.reader.next() else {
                return Err(Refusal { line: self.reader.line(), message: ENDS_EARLY.into() });
            };
            let token = token.placed()?;
            match token.text {
                "," | ";" | ")" if depth == 0 && token.kind == Kind::Symbol => return Ok(Item { tokens, end: token }),
                "(" | "[" | "{" if token.kind == Kind::Symbol => depth += 1,
                ")" | "]" | "}" if token.kind == Kind::Symbol => depth = depth.saturating_sub(1),
                "endmodule" => return Err(self.unexpected(token, "the rest of the header")),
                _ => {}
            }
            tokens.push(token);
        }
    }

    fn parameter_list(&mut self) -> Result<(), Refusal> {
        let mut is_local = false;
        let mut shape = None;
        loop {
            let item = self.item()?;
            if !item.tokens.is_empty() {
                self.parameter(&item, &mut is_local, &mut shape)?;
            }
            if !item.end.is(",") {
                return Ok(());
            }
        }
    }

    /// One parameter; those behind it have its kind and type, until they say otherwise.
    fn parameter(
        &mut self,
        item: &Item<'a>,
        is_local: &mut bool,
        shape: &mut Option<Shape<'a>>,
    ) -> Result<(), Refusal> {
        let mut tokens = &item.tokens[..];
        if let Some(first) = tokens.first().filter(|first| first.is("parameter") || first.is("localparam")) {
            *is_local = first.is("localparam");
            *shape = None;
            tokens = &tokens[1..];
        }
        let equals = top_level(tokens, |token| token.is("="));
        let (declared, default) = match equals {
            Some(at) => (&tokens[..at], Some(&tokens[at + 1..])),
            None => (tokens, None),
        };
        let Some(at) = declarator(declared) else {
            let token = tokens.first().copied().unwrap_or(item.end);
            return Err(self.unexpected(token, "the name of a parameter"));
        };
        let name = declared[at];
        let kind = &declared[..at];
        let own = if kind.is_empty() { shape.clone() } else { Some(parameter_shape(kind)) };
        let own = own.unwrap_or(Shape::OfValue { signed: false });
        *shape = Some(own.clone());
        // An array of parameters has no one value.
        let own = if declared.len() > at + 1 { Shape::Other } else { own };
        self.header.parameters.push(Parameter {
            name: name.text,
            line: name.line,
            is_local: *is_local,
            shape: own,
            has_default: default.is_some(),
            default: parse(default.unwrap_or(&[]), name.line),
        });
        Ok(())
    }

    /// Reads the list of ports; the names, if they are declared in the body.
    fn port_list(&mut self) -> Result<Vec<Token<'a>>, Refusal> {
        let mut names = Vec::new();
        let mut before = None;
        let mut is_first = true;
        loop {
            let item = self.item()?;
            let is_last = !item.end.is(",");
            match &item.tokens[..] {
                [] if is_first && is_last => return Ok(names),
                [] => return Err(self.unexpected(item.end, "a port")),
                [name] if name.kind == Kind::Name && before.is_none() && (is_first || !names.is_empty()) => {
                    names.push(*name);
                }
                tokens if names.is_empty() => before = Some(self.declare(tokens, before.as_ref())?),
                [token, ..] => return Err(self.unexpected(*token, "the name of a port that the body declares")),
            }
            if item.end.is(";") {
                return Err(self.unexpected(item.end, "`)` behind the ports"));
            }
            if is_last {
                return Ok(names);
            }
            is_first = false;
        }
    }

    /// One port of a list, or of a declaration in the body. Without a direction, and without anything else, it is like that before. Returns what
    /// those behind it may be like.
    fn declare(&mut self, tokens: &[Token<'a>], before: Option<&Kept<'a>>) -> Result<Kept<'a>, Refusal> {
        let tokens = &tokens[..top_level(tokens, |token| token.is("=")).unwrap_or(tokens.len())];
        if let Some(dot) = tokens.first().filter(|token| token.is(".")) {
            let message = "a port that is an expression has no width of its own: declare it in the list of ports";
            return Err(Refusal { line: dot.line, message: message.into() });
        }
        let Some(at) = declarator(tokens) else {
            return Err(match tokens.first() {
                None => Refusal { line: self.reader.line(), message: "a port is missing".into() },
                Some(token) => self.unexpected(*token, "a port"),
            });
        };
        let (kind, name, behind) = (&tokens[..at], tokens[at], &tokens[at + 1..]);
        let declared = Declared::of(kind, before);
        let is_named = |port: &Port| port.name == name.text;
        let reason = match &declared {
            Err(reason) => Some(reason.as_str()),
            Ok(_) if !behind.is_empty() => {
                Some("is an array with unpacked dimensions: write a module around it, with ports of packed bits")
            }
            Ok(_) if name.kind == Kind::Escaped => {
                Some("has an escaped name: write a module around it, with a plain name")
            }
            Ok(_) if name.text.contains('$') => {
                Some("has a `$` in its name: write a module around it, with a plain name")
            }
            Ok(_) if self.header.ports.iter().any(is_named) => Some("is declared twice: remove one"),
            Ok(_) => None,
        };
        if let Some(reason) = reason {
            let message = format!("the port `{}` {reason}", name.text);
            self.header.refusals.push(Refusal { line: name.line, message });
        } else if let Ok(declared) = &declared {
            let Declared { direction, ranges, width } = declared.clone();
            self.header.ports.push(Port { name: name.text, line: name.line, direction, ranges, width });
        }
        Ok(declared)
    }

    /// Reads what the body declares: the ports `names`, and parameters if the header had no list of them.
    fn body(&mut self, names: &[Token<'a>], with_parameters: bool) -> Result<(), Refusal> {
        // How many blocks, functions and the like are open: what they declare is their own.
        let mut depth = 0u32;
        let mut at_start = true;
        while let Some(token) = self.reader.next() {
            let word = if token.kind == Kind::Name { token.text } else { "" };
            match word {
                "endmodule" => break,
                "begin" | "function" | "task" | "case" | "casex" | "casez" | "clocking" | "generate" | "specify" => {
                    depth += 1;
                }
                "end" | "endfunction" | "endtask" | "endcase" | "endclocking" | "endgenerate" | "endspecify" => {
                    depth = depth.saturating_sub(1);
                }
                "input" | "output" | "inout" if depth == 0 && at_start && !names.is_empty() => {
                    self.declarations(token.certain()?)?;
                    continue;
                }
                "parameter" | "localparam" if depth == 0 && at_start && token.condition.is_none() => {
                    self.parameters_of_body(token, with_parameters)?;
                    continue;
                }
                _ => {}
            }
            at_start = token.is(";") || word.starts_with("end");
        }
        let declared = std::mem::take(&mut self.header.ports);
        let refused = self.header.refusals.iter().map(|refusal| refusal.line).collect::<Vec<_>>();
        for name in names {
            match declared.iter().find(|port| port.name == name.text) {
                Some(port) => self.header.ports.push(port.clone()),
                // Its declaration has been refused.
                None if !refused.is_empty() => {}
                None => self.header.refusals.push(Refusal {
                    line: name.line,
                    message: format!("the port `{}` is declared nowhere: declare it in the list of ports", name.text),
                }),
            }
        }
        if names.is_empty() {
            self.header.ports = declared;
        }
        Ok(())
    }

    /// `input [3:0] a, b;`
    fn declarations(&mut self, first: Token<'a>) -> Result<(), Refusal> {
        let mut before = None;
        loop {
            let mut item = self.item()?;
            if before.is_none() {
                item.tokens.insert(0, first);
            }
            before = Some(self.declare(&item.tokens, before.as_ref())?);
            match item.end.text {
                "," => {}
                ";" => return Ok(()),
                _ => return Err(self.unexpected(item.end, "`;` behind the declaration of a port")),
            }
        }
    }

    /// `parameter A = 1, B = 2;`, which cannot be set from outside where the header has a list of parameters.
    fn parameters_of_body(&mut self, first: Token<'a>, may_be_set: bool) -> Result<(), Refusal> {
        let (mut is_local, mut shape, mut is_first) = (false, None, true);
        loop {
            let mut item = self.item()?;
            if std::mem::take(&mut is_first) {
                item.tokens.insert(0, first);
            }
            self.parameter(&item, &mut is_local, &mut shape)?;
            if let Some(last) = self.header.parameters.last_mut() {
                last.is_local |= !may_be_set;
            }
            if !item.end.is(",") {
                return Ok(());
            }
        }
    }
}

/// The position of the first token, outside of parentheses, of which `wanted` is true.
fn top_level(tokens: &[Token], wanted: impl Fn(&Token) -> bool) -> Option<usize> {
    let mut depth = 0u32;
    tokens.iter().position(|token| {
        match token.text {
            "(" | "[" | "{" if token.kind == Kind::Symbol => depth += 1,
            ")" | "]" | "}" if token.kind == Kind::Symbol => depth = depth.saturating_sub(1),
            _ => return depth == 0 && wanted(token),
        }
        false
    })
}

/// The position of the name that is declared: the last name outside of brackets.
fn declarator(tokens: &[Token]) -> Option<usize> {
    let is_name = |token: &Token| match token.kind {
        Kind::Name => !crate::emit::is_keyword(token.text),
        kind => kind == Kind::Escaped,
    };
    let mut last = None;
    let mut from = 0;
    while let Some(at) = top_level(&tokens[from..], is_name) {
        last = Some(from + at);
        from += at + 1;
    }
    last
}

/// What stands in the list for a kind of port or parameter, taken apart: words, and ranges behind them.
struct Words<'a, 't> {
    words: Vec<Token<'a>>,
    ranges: &'t [Token<'a>],
}

fn words<'a, 't>(tokens: &'t [Token<'a>]) -> Words<'a, 't> {
    let at = tokens.iter().position(|token| token.is("[")).unwrap_or(tokens.len());
    Words { words: tokens[..at].to_vec(), ranges: &tokens[at..] }
}

/// Width of a type of a fixed width, and whether it has a sign.
fn atom(word: &str) -> Option<(u32, bool)> {
    Some(match word {
        "byte" => (8, true),
        "shortint" => (16, true),
        "int" | "integer" => (32, true),
        "longint" => (64, true),
        "time" => (64, false),
        _ => return None,
    })
}

/// `[7:0][3:0]`
fn ranges<'a>(tokens: &[Token<'a>]) -> Result<Vec<Range<'a>>, String> {
    let mut ranges = Vec::new();
    let mut rest = tokens;
    while let Some(open) = rest.first() {
        let end = if open.is("[") { closing(rest) } else { None };
        let Some(end) = end else { return Err(format!("has `{}` where its name should be", open.text)) };
        let inside = &rest[1..end];
        let message =
            "has a range that is not of the form `[high:low]`: write a module around it, with ports of packed bits";
        let colon = colon(inside).ok_or(message)?;
        let side = |tokens| {
            parse(tokens, open.line).map_err(|refusal| format!("has a range that cannot be read: {}", refusal.message))
        };
        ranges.push((side(&inside[..colon])?, side(&inside[colon + 1..])?, open.line));
        rest = &rest[end + 1..];
    }
    Ok(ranges)
}

/// The position of the bracket that closes the one at the beginning.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0u32;
    tokens.iter().position(|token| {
        match token.text {
            "(" | "[" | "{" if token.kind == Kind::Symbol => depth += 1,
            ")" | "]" | "}" if token.kind == Kind::Symbol => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })
}

/// The position of the colon of a range, which is none of a `?`.
fn colon(tokens: &[Token]) -> Option<usize> {
    let (mut depth, mut choices) = (0u32, 0u32);
    tokens.iter().position(|token| {
        match token.text {
            _ if token.kind != Kind::Symbol => {}
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "?" if depth == 0 => choices += 1,
            ":" if depth == 0 && choices > 0 => choices -= 1,
            ":" if depth == 0 => return true,
            _ => {}
        }
        false
    })
}

fn parameter_shape<'a>(tokens: &[Token<'a>]) -> Shape<'a> {
    let Words { words, ranges: rest } = words(tokens);
    let Ok(ranges) = ranges(rest) else { return Shape::Other };
    let (mut width, mut signed, mut typed) = (1, false, !ranges.is_empty());
    for word in words {
        match word.text {
            "type" => return Shape::Type,
            "logic" | "reg" | "bit" => typed = true,
            "signed" => signed = true,
            "unsigned" => signed = false,
            word => match atom(word) {
                Some(atom) => {
                    (width, signed) = atom;
                    typed = true;
                }
                None => return Shape::Other,
            },
        }
    }
    if typed {
        Shape::Bits { ranges: Rc::new(ranges), width, signed }
    } else {
        Shape::OfValue { signed }
    }
}

/// What a port is, but for its name.
#[derive(Clone)]
struct Declared<'a> {
    direction: Direction,
    ranges: Rc<Vec<Range<'a>>>,
    width: u32,
}

/// What a port is, or why it is no port here.
type Kept<'a> = Result<Declared<'a>, String>;

impl<'a> Declared<'a> {
    /// What `tokens` say, or why that is no port here.
    fn of(tokens: &[Token<'a>], before: Option<&Kept<'a>>) -> Kept<'a> {
        const AROUND: &str = "write a module around it, with ports of packed bits";
        let Words { words, ranges: rest } = words(tokens);
        let is_said = |token: &Token| ["input", "output", "inout", "ref"].iter().any(|word| token.is(word));
        let mut direction = match before {
            Some(Err(refused)) if !words.iter().any(is_said) => return Err(refused.clone()),
            Some(Ok(before)) => Some(before.direction),
            _ => None,
        };
        let (mut width, mut is_atom) = (1, false);
        for (at, token) in words.iter().enumerate() {
            match token.text {
                "input" => direction = Some(Direction::Input),
                "output" => direction = Some(Direction::Output),
                "inout" => {
                    return Err(
                        "is an `inout`: write a module around it, with an input, an output and an enable in its place"
                            .into(),
                    )
                }
                "ref" => return Err(format!("is a `ref`: {AROUND}")),
                "interface" => return Err(format!("is an interface: {AROUND}")),
                "wire" | "tri" | "tri0" | "tri1" | "wand" | "wor" | "triand" | "trior" | "trireg" | "uwire"
                | "supply0" | "supply1" | "var" | "logic" | "reg" | "bit" | "signed" | "unsigned" => {}
                word => match atom(word) {
                    Some((bits, _)) => {
                        (width, is_atom) = (bits, true);
                    }
                    None if token.kind == Kind::Name && !crate::emit::is_keyword(word) => {
                        let member = words.get(at + 1).is_some_and(|next| next.is("."));
                        let what = match words.get(at + 1) {
                            _ if member => "an interface",
                            Some(next) if next.is("::") => "of a type of a package",
                            _ if direction.is_none() => "an interface, or of a type that is declared elsewhere",
                            _ => "of a type that is declared elsewhere",
                        };
                        return Err(format!("is {what}, `{word}`: {AROUND}"));
                    }
                    None => return Err(format!("has the type `{word}`: {AROUND}")),
                },
            }
        }
        let Some(direction) = direction else {
            return Err("has no direction: write `input` or `output` before it".into());
        };
        if is_atom && !rest.is_empty() {
            return Err("has a range and a type that has no room for one: remove one of them".into());
        }
        match before {
            Some(Ok(before)) if tokens.is_empty() => Ok(before.clone()),
            _ => Ok(Declared { direction, ranges: Rc::new(ranges(rest)?), width }),
        }
    }
}
