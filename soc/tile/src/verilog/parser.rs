//! From tokens to modules.

use super::lexer::{Kind, Refusal, Token};

/// A range of tokens, by their numbers.
type Tokens = std::ops::Range<usize>;

/// Which way a port goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Into the module.
    Input,
    /// Out of it.
    Output,
}

/// `[high:low]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The tokens, with the brackets.
    pub tokens: Tokens,
    /// The two sides, if they are decimal numbers.
    pub bits: Option<(u32, u32)>,
}

impl Range {
    /// The number of bits, if it is known.
    pub fn width(&self) -> Option<u32> {
        let (high, low) = self.bits?;
        high.checked_sub(low)?.checked_add(1)
    }
}

/// A port of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Which way it goes.
    pub direction: Direction,
    /// None for one bit.
    pub range: Option<Range>,
    /// Its name.
    pub name: usize,
}

/// A wire, a register, a memory, a variable or a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The keyword.
    pub keyword: usize,
    /// None for one bit.
    pub range: Option<Range>,
    /// Its name.
    pub name: usize,
    /// What is behind `=`.
    pub value: Option<Tokens>,
}

/// A module inside another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The name of the module.
    pub module: usize,
    /// The name of the instance.
    pub name: usize,
    /// What the ports are joined to.
    pub connections: Vec<Connection>,
}

/// `.port(value)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The name of the port.
    pub port: usize,
    /// What it is joined to; empty for nothing.
    pub value: Tokens,
}

/// A part of the body of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Declares a name.
    Declaration(Declaration),
    /// `assign target = value`.
    Assign {
        /// What is driven.
        target: Tokens,
        /// What it gets.
        value: Tokens,
    },
    /// Another module inside.
    Instance(Instance),
    /// An `always` or `initial` block, which is not looked into.
    Block(Tokens),
    /// A directive, or a macro alone.
    Directive(usize),
}

/// A module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// All its tokens, from `module` to `endmodule`.
    pub tokens: Tokens,
    /// Its name.
    pub name: usize,
    /// Its ports, in their order.
    pub ports: Vec<Port>,
    /// What is in it, in its order.
    pub items: Vec<Item>,
}

/// The modules of a text.
pub(super) fn modules(text: &str, tokens: &[Token]) -> Result<Vec<Module>, Refusal> {
    let mut parser = Parser { text, tokens, at: 0 };
    let mut modules = Vec::new();
    loop {
        match parser.peek() {
            (_, "") => return Ok(modules),
            (Kind::Directive | Kind::Macro, _) => parser.at += 1,
            (_, "module") => modules.push(parser.module()?),
            _ => return Err(parser.met("`module`")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Parser<'a> {
    fn token(&self, index: usize) -> (Kind, &'a str) {
        // The end of the text reads as a symbol without letters, which nothing accepts.
        self.tokens.get(index).map_or((Kind::Symbol, ""), |token| (token.kind, token.of(self.text)))
    }

    fn peek(&self) -> (Kind, &'a str) {
        self.token(self.at)
    }

    fn is(&self, wanted: &str) -> bool {
        self.peek().1 == wanted
    }

    /// What is here and should be something else.
    fn met(&self, wanted: &str) -> Refusal {
        const SHOWN_MAX: usize = 40;
        let offset = self.tokens.get(self.at).map_or(self.text.len(), |token| token.start as usize);
        let met = match self.peek().1 {
            "" => "the end of the text".into(),
            met if met.chars().count() > SHOWN_MAX => {
                format!("`{}...`", met.chars().take(SHOWN_MAX).collect::<String>())
            }
            met => format!("`{met}`"),
        };
        (offset, format!("met {met} in the place of {wanted}"))
    }

    fn expect(&mut self, wanted: &str) -> Result<usize, Refusal> {
        if !self.is(wanted) {
            return Err(self.met(&format!("`{wanted}`")));
        }
        self.at += 1;
        Ok(self.at - 1)
    }

    fn name(&mut self, what: &str) -> Result<usize, Refusal> {
        match self.peek() {
            (Kind::Word, word) if !KEYWORDS.contains(&word) && !word.starts_with('$') => {
                self.at += 1;
                Ok(self.at - 1)
            }
            _ => Err(self.met(what)),
        }
    }

    /// Goes behind the bracket that closes the one which is here.
    fn balanced(&mut self) -> Result<Tokens, Refusal> {
        let start = self.at;
        let mut open = Vec::new();
        loop {
            match self.peek().1 {
                "(" => open.push(")"),
                "[" => open.push("]"),
                "{" => open.push("}"),
                ")" | "]" | "}" if open.pop() != Some(self.peek().1) => {
                    return Err(self.met("what closes the brackets before it"));
                }
                ";" | "" | "endmodule" => return Err(self.met("what closes the brackets before it")),
                _ => {}
            }
            self.at += 1;
            if open.is_empty() {
                return Ok(start..self.at);
            }
        }
    }

    /// Goes to the first of these symbols that is in no brackets.
    fn expression(&mut self, ends: &[&str]) -> Result<Tokens, Refusal> {
        let start = self.at;
        loop {
            match self.peek() {
                (Kind::Symbol, symbol) if ends.contains(&symbol) && !symbol.is_empty() => break,
                (_, "(" | "[" | "{") => {
                    self.balanced()?;
                }
                (_, ")" | "]" | "}" | ";" | "" | "endmodule") | (Kind::Directive, _) => {
                    return Err(self.met("the rest of an expression"));
                }
                _ => self.at += 1,
            }
        }
        if start == self.at {
            return Err(self.met("an expression"));
        }
        Ok(start..self.at)
    }

    fn range(&mut self) -> Result<Option<Range>, Refusal> {
        if !self.is("[") {
            return Ok(None);
        }
        let tokens = self.balanced()?;
        let number = |index: usize| self.token(index).1.parse().ok();
        let bits = match tokens.len() {
            5 if self.token(tokens.start + 2).1 == ":" => number(tokens.start + 1).zip(number(tokens.start + 3)),
            _ => None,
        };
        Ok(Some(Range { tokens, bits }))
    }

    fn module(&mut self) -> Result<Module, Refusal> {
        let start = self.expect("module")?;
        let name = self.name("the name of a module")?;
        if self.is("#") {
            self.at += 1;
            if !self.is("(") {
                return Err(self.met("`(`"));
            }
            self.balanced()?;
        }
        let ports = self.ports()?;
        self.expect(";")?;
        let mut items = Vec::new();
        while !self.is("endmodule") {
            items.push(self.item()?);
        }
        self.at += 1;
        Ok(Module { tokens: start..self.at, name, ports, items })
    }

    fn ports(&mut self) -> Result<Vec<Port>, Refusal> {
        self.expect("(")?;
        let mut ports = Vec::new();
        while !self.is(")") {
            let direction = match self.peek().1 {
                "input" => Direction::Input,
                "output" => Direction::Output,
                _ => return Err(self.met("`input` or `output`")),
            };
            self.at += 1;
            let range = self.range()?;
            let name = self.name("the name of a port")?;
            ports.push(Port { direction, range, name });
            if !self.is(")") {
                self.expect(",")?;
            }
        }
        self.at += 1;
        Ok(ports)
    }

    fn item(&mut self) -> Result<Item, Refusal> {
        match self.peek() {
            (Kind::Directive | Kind::Macro, _) => {
                self.at += 1;
                Ok(Item::Directive(self.at - 1))
            }
            (_, "wire" | "reg" | "integer" | "localparam") => self.declaration().map(Item::Declaration),
            (_, "assign") => {
                self.at += 1;
                let target = self.expression(&["="])?;
                self.expect("=")?;
                let value = self.expression(&[";"])?;
                self.expect(";")?;
                Ok(Item::Assign { target, value })
            }
            (_, "always" | "initial") => self.block().map(Item::Block),
            (Kind::Word, _) => self.instance().map(Item::Instance),
            _ => Err(self.met("an item of a module")),
        }
    }

    fn declaration(&mut self) -> Result<Declaration, Refusal> {
        let keyword = self.at;
        self.at += 1;
        if self.is("signed") {
            self.at += 1;
        }
        let range = self.range()?;
        let name = self.name("the name of a declaration")?;
        while self.is("[") {
            self.balanced()?;
        }
        let value = match self.is("=") {
            true => {
                self.at += 1;
                Some(self.expression(&[";"])?)
            }
            false => None,
        };
        self.expect(";")?;
        Ok(Declaration { keyword, range, name, value })
    }

    fn instance(&mut self) -> Result<Instance, Refusal> {
        let module = self.name("an item of a module")?;
        if self.is("#") {
            self.at += 1;
            if !self.is("(") {
                return Err(self.met("`(`"));
            }
            self.balanced()?;
        }
        let name = self.name("the name of an instance")?;
        self.expect("(")?;
        let mut connections = Vec::new();
        while !self.is(")") {
            self.expect(".")?;
            let port = self.name("the name of a port")?;
            if !self.is("(") {
                return Err(self.met("`(`"));
            }
            let brackets = self.balanced()?;
            connections.push(Connection { port, value: brackets.start + 1..brackets.end - 1 });
            if !self.is(")") {
                self.expect(",")?;
            }
        }
        self.at += 1;
        self.expect(";")?;
        Ok(Instance { module, name, connections })
    }

    /// `always` or `initial` with its statement. Directives inside may hide parts of it: what they hide is balanced in itself.
    fn block(&mut self) -> Result<Tokens, Refusal> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                (Kind::Directive | Kind::Macro, _) => self.at += 1,
                (_, "@" | "#") => {
                    self.at += 1;
                    match self.peek() {
                        (_, "(") => {
                            self.balanced()?;
                        }
                        (Kind::Number | Kind::Macro | Kind::Word, _) | (_, "*") => self.at += 1,
                        _ => return Err(self.met("an event or a delay")),
                    }
                }
                (_, "if" | "for") => {
                    self.at += 1;
                    self.head()?;
                }
                _ => {
                    self.simple_statement()?;
                    if !self.is("else") {
                        return Ok(start..self.at);
                    }
                    self.at += 1;
                }
            }
        }
    }

    /// The brackets behind `if` and `for`, which may hold semicolons.
    fn head(&mut self) -> Result<(), Refusal> {
        self.expect("(")?;
        let mut depth = 1;
        while depth > 0 {
            match self.peek().1 {
                "(" => depth += 1,
                ")" => depth -= 1,
                "" | "endmodule" => return Err(self.met("`)`")),
                _ => {}
            }
            self.at += 1;
        }
        Ok(())
    }

    /// `begin` to its `end`, or what goes to the next semicolon.
    fn simple_statement(&mut self) -> Result<(), Refusal> {
        let mut depth = 0usize;
        loop {
            match self.peek().1 {
                "begin" => depth += 1,
                "end" if depth == 0 => return Err(self.met("a statement")),
                "end" => depth -= 1,
                "" | "endmodule" => return Err(self.met(if depth > 0 { "`end`" } else { "`;`" })),
                "fork" | "case" | "casex" | "casez" => return Err(self.met("a statement that is known here")),
                _ => {}
            }
            let is_over = depth == 0 && matches!(self.peek().1, ";" | "end");
            self.at += 1;
            if is_over {
                return Ok(());
            }
        }
    }
}

/// What no name may be: where one of these stands in the place of a name, the text is something that is not known here.
const KEYWORDS: [&str; 43] = [
    "always",
    "always_comb",
    "always_ff",
    "always_latch",
    "assign",
    "begin",
    "case",
    "casex",
    "casez",
    "class",
    "defparam",
    "else",
    "end",
    "endcase",
    "endfunction",
    "endgenerate",
    "endmodule",
    "endtask",
    "for",
    "fork",
    "function",
    "generate",
    "genvar",
    "if",
    "initial",
    "inout",
    "input",
    "integer",
    "interface",
    "localparam",
    "logic",
    "module",
    "output",
    "package",
    "parameter",
    "primitive",
    "reg",
    "signed",
    "specify",
    "supply0",
    "task",
    "tri",
    "wire",
];
