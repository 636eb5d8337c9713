//! Verilog text as tokens: without comments and attributes, with its directives obeyed.
//!
//! Macros without arguments are expanded. Of a condition on a name that nobody has spoken of all branches are read, and what stands in them
//! says so: a header that depends on such a condition is refused, and the rest of the text may have as many as it likes.

use super::Refusal;
use std::collections::{BTreeMap, BTreeSet};

/// Macros inside of macros, at most.
const NESTED_MACROS_MAX: usize = 32;
/// Text that comes out of macros, at most. Beyond that a macro is left as it is.
const EXPANDED_BYTES_MAX: usize = 1 << 22;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A name or a keyword.
    Name,
    /// `\name `, with its backslash.
    Escaped,
    /// `$clog2` and the like.
    System,
    /// A number, with its size and base if it has them.
    Number,
    /// Text in quotes.
    Text,
    /// Anything else: one or more characters that mean something together.
    Symbol,
    /// A macro that cannot be expanded, or `` `include ``, with its backtick.
    Macro,
}

/// A token of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// From 1.
    pub line: u32,
    /// The name that decides whether it is there, if nobody has spoken of that name.
    pub condition: Option<&'a str>,
}

impl Token<'_> {
    pub fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Name | Kind::Symbol) && self.text == text
    }

    /// Itself, if it is certain that it is there.
    pub fn placed(self) -> Result<Self, Refusal> {
        let Some(name) = self.condition else { return Ok(self) };
        let message = if super::is_of_tools(name) {
            format!(
                "whether `{}` is there depends on `{name}`, which each tool sets for itself: give a text without that condition",
                self.text
            )
        } else {
            format!(
                "whether `{}` is there depends on `{name}`: say which with `.define(\"{name}\", \"\")` or `.undefined(\"{name}\")`",
                self.text
            )
        };
        Err(Refusal { line: self.line, message })
    }

    /// Itself, if it is certain what it is and that it is there.
    pub fn certain(self) -> Result<Self, Refusal> {
        self.placed()?;
        if self.kind != Kind::Macro {
            return Ok(self);
        }
        let name = &self.text[1..];
        let message = if name == "include" {
            "an `include` is not followed: give the text with the file in its place".into()
        } else {
            format!(
                "the macro `{name}` is not defined, or has arguments: give it a text with `.define(\"{name}\", ..)`"
            )
        };
        Err(Refusal { line: self.line, message })
    }
}

#[derive(Clone, Copy)]
struct Macro<'a> {
    body: &'a str,
    has_arguments: bool,
    condition: Option<&'a str>,
}

/// A condition that is open.
struct Level<'a> {
    branch: Branch,
    /// The name that decides, if nobody has spoken of it.
    unknown: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Branch {
    Read,
    /// Left out; a later one may be read.
    NotYet,
    /// Left out, with all that follow.
    Never,
}

struct Cursor<'a> {
    rest: &'a str,
    line: u32,
    /// A macro's text: its tokens stand in the line that uses it, under its condition.
    of_macro: Option<Option<&'a str>>,
}

/// Reads a text token by token.
pub(super) struct Reader<'a> {
    cursors: Vec<Cursor<'a>>,
    macros: BTreeMap<&'a str, Macro<'a>>,
    undefined: BTreeSet<&'a str>,
    levels: Vec<Level<'a>>,
    expanded_bytes: usize,
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_name_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

/// The length of what `text` begins with and `part` accepts.
fn span(text: &str, part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !part(c)).unwrap_or(text.len())
}

/// The name at the beginning, after spaces.
fn name_at(text: &str) -> &str {
    let text = text.trim_start_matches([' ', '\t']);
    if text.starts_with(is_name_start) {
        &text[..span(text, is_name_part)]
    } else {
        ""
    }
}

/// The text after spaces, line ends and comments.
fn skip_space(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if text.starts_with("//") {
            text = &text[span(text, |c| c != '\n')..];
        } else if text.starts_with("/*") {
            text = text.get(2..).and_then(|inner| inner.split_once("*/")).map_or("", |(_, after)| after);
        } else {
            return text;
        }
    }
}

impl<'a> Reader<'a> {
    /// Reads `text` with these names defined, or known to be not.
    pub fn new(text: &'a str, known: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Self {
        let (mut macros, mut undefined) = (BTreeMap::new(), BTreeSet::new());
        for (name, body) in known {
            match body {
                Some(body) => drop(macros.insert(name, Macro { body, has_arguments: false, condition: None })),
                None => drop(undefined.insert(name)),
            }
        }
        let cursors = vec![Cursor { rest: text, line: 1, of_macro: None }];
        Reader { cursors, macros, undefined, levels: vec![], expanded_bytes: 0 }
    }

    /// The line of what comes next.
    pub fn line(&self) -> u32 {
        self.cursors.first().map_or(1, |cursor| cursor.line)
    }

    /// The next token that is, or may be, there.
    pub fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let cursor = self.cursors.last_mut()?;
            let token = cursor.token();
            let Some(mut token) = token else {
                if self.cursors.len() == 1 {
                    return None;
                }
                self.cursors.pop();
                continue;
            };
            let of_macro = self.cursors.last().and_then(|cursor| cursor.of_macro).flatten();
            if token.kind == Kind::Macro && self.directive(&mut token) {
                continue;
            }
            if self.levels.iter().any(|level| level.branch != Branch::Read) {
                continue;
            }
            token.condition = token.condition.or(of_macro).or(self.condition());
            return Some(token);
        }
    }

    fn condition(&self) -> Option<&'a str> {
        self.levels.iter().find_map(|level| level.unknown)
    }

    fn is_read(&self) -> bool {
        self.levels.iter().all(|level| level.branch == Branch::Read)
    }

    /// Obeys what begins with a backtick; false if it is left to be a token.
    fn directive(&mut self, token: &mut Token<'a>) -> bool {
        let Some(cursor) = self.cursors.last_mut() else { return true };
        match &token.text[1..] {
            "ifdef" => self.open(true),
            "ifndef" => self.open(false),
            "elsif" => {
                let name = cursor.name();
                let holds = self.holds(name, true);
                if let Some(level) = self.levels.last_mut() {
                    level.branch = match (level.branch, holds) {
                        // One of all the branches is there, and nobody knows which.
                        (Branch::Read, _) if level.unknown.is_some() => Branch::Read,
                        (Branch::Read | Branch::Never, _) => Branch::Never,
                        (Branch::NotYet, Some(false)) => Branch::NotYet,
                        (Branch::NotYet, Some(true)) => Branch::Read,
                        (Branch::NotYet, None) => {
                            level.unknown = Some(name);
                            Branch::Read
                        }
                    };
                }
            }
            "else" => {
                if let Some(level) = self.levels.last_mut() {
                    level.branch = match level.branch {
                        Branch::Read if level.unknown.is_some() => Branch::Read,
                        Branch::NotYet => Branch::Read,
                        _ => Branch::Never,
                    };
                }
            }
            "endif" => drop(self.levels.pop()),
            "define" => self.define(),
            "undef" => {
                let name = cursor.name();
                if self.is_read() {
                    self.macros.remove(name);
                    self.undefined.insert(name);
                }
            }
            "undefineall" => self.macros.clear(),
            "timescale"
            | "default_nettype"
            | "line"
            | "pragma"
            | "begin_keywords"
            | "unconnected_drive"
            | "default_decay_time"
            | "default_trireg_strength" => drop(cursor.rest_of_line()),
            "resetall"
            | "celldefine"
            | "endcelldefine"
            | "end_keywords"
            | "nounconnected_drive"
            | "delay_mode_distributed"
            | "delay_mode_path"
            | "delay_mode_unit"
            | "delay_mode_zero" => {}
            "include" => {
                cursor.rest_of_line();
                return false;
            }
            name => return self.expand(name, token.line),
        }
        true
    }

    /// What is known about `name` being defined, or not.
    fn holds(&self, name: &str, defined: bool) -> Option<bool> {
        match self.macros.get(name) {
            Some(known) => known.condition.is_none().then_some(defined),
            None => self.undefined.contains(name).then_some(!defined),
        }
    }

    fn open(&mut self, defined: bool) {
        let read = self.is_read();
        let Some(cursor) = self.cursors.last_mut() else { return };
        let name = cursor.name();
        // A name that is given a text where it has none is one that the text keeps for itself.
        let after = skip_space(cursor.rest);
        let guard = !defined && after.strip_prefix("`define").is_some_and(|after| name_at(after) == name);
        let level = match self.holds(name, defined).or(guard.then_some(true)) {
            _ if !read => Level { branch: Branch::Never, unknown: None },
            Some(true) => Level { branch: Branch::Read, unknown: None },
            Some(false) => Level { branch: Branch::NotYet, unknown: None },
            None => Level { branch: Branch::Read, unknown: Some(name) },
        };
        self.levels.push(level);
    }

    fn define(&mut self) {
        let (read, condition) = (self.is_read(), self.condition());
        let Some(cursor) = self.cursors.last_mut() else { return };
        let name = cursor.name();
        let has_arguments = cursor.rest.starts_with('(');
        let body = cursor.rest_of_line();
        if read {
            self.macros.insert(name, Macro { body, has_arguments, condition });
            self.undefined.remove(name);
        }
    }

    fn expand(&mut self, name: &str, line: u32) -> bool {
        let Some(&Macro { body, has_arguments, condition }) = self.macros.get(name) else { return false };
        let bytes = self.expanded_bytes + body.len() + 1;
        if has_arguments || self.cursors.len() > NESTED_MACROS_MAX || bytes > EXPANDED_BYTES_MAX {
            return false;
        }
        if self.is_read() {
            self.expanded_bytes = bytes;
            let outer = self.cursors.last().and_then(|cursor| cursor.of_macro).flatten();
            self.cursors.push(Cursor { rest: body, line, of_macro: Some(outer.or(condition)) });
        }
        true
    }
}

impl<'a> Cursor<'a> {
    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        if self.of_macro.is_none() {
            self.line = self.line.saturating_add(taken.bytes().filter(|byte| *byte == b'\n').count() as u32);
        }
        self.rest = rest;
        taken
    }

    /// The name that follows in this line.
    fn name(&mut self) -> &'a str {
        let spaces = span(self.rest, |c| c == ' ' || c == '\t');
        self.advance(spaces);
        let length = name_at(self.rest).len();
        self.advance(length)
    }

    /// What follows in this line and in those that it goes on in, without a comment at the end.
    fn rest_of_line(&mut self) -> &'a str {
        let mut length = 0;
        let mut comment = None;
        for line in self.rest.split_inclusive('\n') {
            let text = line.trim_end_matches(['\n', '\r']);
            comment = text.find("//").map(|at| length + at);
            length += line.len();
            if comment.is_some() || !text.ends_with('\\') {
                break;
            }
        }
        let whole = self.advance(length);
        &whole[..comment.unwrap_or(whole.len())]
    }

    fn token(&mut self) -> Option<Token<'a>> {
        loop {
            let space = self.rest.len() - skip_space(self.rest).len();
            self.advance(space);
            if self.rest.starts_with("\\\n") || self.rest.starts_with("\\\r\n") {
                // A macro goes on in the next line.
                self.advance(1);
            } else if self.rest.starts_with("(*") && !self.rest.starts_with("(*)") {
                let length = self.rest.find("*)").map_or(self.rest.len(), |at| at + 2);
                self.advance(length);
            } else {
                break;
            }
        }
        let rest = self.rest;
        let line = self.line;
        let first = rest.chars().next()?;
        let (kind, length) = match first {
            _ if is_name_start(first) => (Kind::Name, span(rest, is_name_part)),
            '0'..='9' => (Kind::Number, number(rest)),
            '\'' if based(rest) > 0 => (Kind::Number, based(rest)),
            '"' => (Kind::Text, quoted(rest)),
            '\\' => (Kind::Escaped, span(rest, |c| !c.is_whitespace())),
            '$' if rest[1..].starts_with(is_name_start) => (Kind::System, 1 + span(&rest[1..], is_name_part)),
            '`' if rest[1..].starts_with(is_name_start) => (Kind::Macro, 1 + span(&rest[1..], is_name_part)),
            _ => (Kind::Symbol, symbol(rest).unwrap_or(first.len_utf8())),
        };
        let text = self.advance(length);
        Some(Token { kind, text, line, condition: None })
    }
}

/// The length of the number that `text` begins with: digits, and a fraction and an exponent, or a base and its digits.
fn number(text: &str) -> usize {
    let is_digit = |c: char| c.is_ascii_digit() || c == '_';
    let mut length = span(text, is_digit);
    let space = span(&text[length..], |c| c == ' ' || c == '\t');
    let after = &text[length + space..];
    if after.starts_with('\'') && based(after) > 0 && after[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
        return length + space + based(after);
    }
    if text[length..].starts_with('.') && text[length + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        length += 1 + span(&text[length + 1..], is_digit);
    }
    if text[length..].starts_with(['e', 'E']) {
        let sign = text[length + 1..].starts_with(['+', '-']) as usize;
        let digits = span(&text[length + 1 + sign..], is_digit);
        length += if digits > 0 { 1 + sign + digits } else { 0 };
    }
    length
}

/// The length of an apostrophe with a base and digits, or with the bit that fills a value; 0 if that is not what follows.
fn based(text: &str) -> usize {
    let after = &text[1..];
    let sign = after.starts_with(['s', 'S']) as usize;
    if after[sign..].starts_with(['b', 'o', 'd', 'h', 'B', 'O', 'D', 'H']) {
        let digits = &after[sign + 1..];
        let space = span(digits, |c| c == ' ' || c == '\t');
        let count = span(&digits[space..], |c| c.is_ascii_hexdigit() || matches!(c, 'x' | 'X' | 'z' | 'Z' | '?' | '_'));
        return if count > 0 { 1 + sign + 1 + space + count } else { 0 };
    }
    let fills = after.starts_with(['0', '1', 'x', 'X', 'z', 'Z']) && !after[1..].starts_with(is_name_part);
    if fills {
        2
    } else {
        0
    }
}

/// The length of a text in quotes; it ends with its line at the latest.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return at,
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

fn symbol(text: &str) -> Option<usize> {
    const SYMBOLS: &[&str] = &[
        "<<<", ">>>", "===", "!==", "**", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "::", "~&", "~|", "~^", "^~",
    ];
    SYMBOLS.iter().find(|symbol| text.starts_with(**symbol)).map(|symbol| symbol.len())
}
