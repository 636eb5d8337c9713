//! From text to tokens.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or a name; also that of a system task, with its `$`.
    Word,
    /// A number, with its size and base if it has them.
    Number,
    /// Text in quotes.
    Text,
    /// One character of punctuation: operators of several are several tokens.
    Symbol,
    /// A compiler directive with what belongs to it: `` `ifdef NAME ``, `` `endif ``, `` `define NAME text ``.
    Directive,
    /// The use of a macro.
    Macro,
}

/// A token: where it is.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its first byte.
    pub start: u32,
    /// The byte behind it.
    pub end: u32,
}

impl Token {
    /// How it is written.
    pub fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

/// Where something is that cannot be read, and why.
pub(super) type Refusal = (usize, String);

/// What is a directive, and what it takes.
const DIRECTIVES: [(&str, Takes); 6] = [
    ("ifdef", Takes::Name),
    ("ifndef", Takes::Name),
    ("undef", Takes::Name),
    ("else", Takes::Nothing),
    ("endif", Takes::Nothing),
    ("define", Takes::Line),
];

#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    Name,
    Line,
}

/// Directives that would change what the rest of the text means.
const REFUSED: [&str; 12] = [
    "include",
    "elsif",
    "timescale",
    "default_nettype",
    "line",
    "resetall",
    "celldefine",
    "endcelldefine",
    "pragma",
    "undefineall",
    "begin_keywords",
    "end_keywords",
];

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    if u32::try_from(text.len()).is_err() {
        return Err((0, "a text of 4 GiB or more".into()));
    }
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::with_capacity(text.len() / 4);
    while let Some(start) = lexer.skip_blanks()? {
        let kind = lexer.token()?;
        tokens.push(Token { kind, start: start as u32, end: lexer.at as u32 });
    }
    Ok(tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_while(&mut self, is: impl Fn(u8) -> bool) {
        while self.at < self.text.len() && is(self.byte(0)) {
            self.at += 1;
        }
    }

    /// Goes to the next token and returns where it begins; none at the end.
    fn skip_blanks(&mut self) -> Result<Option<usize>, Refusal> {
        loop {
            self.skip_while(|byte| byte.is_ascii_whitespace());
            if self.rest().starts_with("//") {
                self.skip_while(|byte| byte != b'\n');
            } else if self.rest().starts_with("/*") {
                match self.rest()[2..].find("*/") {
                    Some(length) => self.at += length + 4,
                    None => return Err((self.at, "a comment that does not end".into())),
                }
            } else {
                return Ok((self.at < self.text.len()).then_some(self.at));
            }
        }
    }

    fn token(&mut self) -> Result<Kind, Refusal> {
        match self.byte(0) {
            b'`' => self.directive(),
            b'"' => self.quoted(),
            b'0'..=b'9' | b'\'' => self.number(),
            byte if is_word(byte) => {
                self.skip_while(is_word);
                Ok(Kind::Word)
            }
            byte if byte.is_ascii_punctuation() && byte != b'\\' => {
                self.at += 1;
                Ok(Kind::Symbol)
            }
            _ => {
                let met = self.rest().chars().next().unwrap_or_default();
                Err((self.at, format!("{met:?}, which no token begins with")))
            }
        }
    }

    fn quoted(&mut self) -> Result<Kind, Refusal> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.byte(0) {
                b'"' => break,
                _ if self.at >= self.text.len() => return Err((start, "quoted text that does not end".into())),
                b'\n' => return Err((start, "quoted text that does not end in its line".into())),
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Ok(Kind::Text)
    }

    fn number(&mut self) -> Result<Kind, Refusal> {
        let start = self.at;
        let is_decimal = |byte: u8| byte.is_ascii_digit() || byte == b'_';
        self.skip_while(is_decimal);
        if self.byte(0) == b'\'' {
            self.at += 1;
            if matches!(self.byte(0), b's' | b'S') {
                self.at += 1;
            }
            if !matches!(self.byte(0).to_ascii_lowercase(), b'b' | b'o' | b'd' | b'h') {
                return Err((start, "a number without a base behind its `'`".into()));
            }
            self.at += 1;
            let digits = self.at;
            self.skip_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'_' | b'x' | b'X' | b'z' | b'Z' | b'?'));
            if digits == self.at {
                return Err((start, "a number without digits".into()));
            }
        } else if self.byte(0) == b'.' && self.byte(1).is_ascii_digit() {
            self.at += 1;
            self.skip_while(is_decimal);
        }
        Ok(Kind::Number)
    }

    fn directive(&mut self) -> Result<Kind, Refusal> {
        let start = self.at;
        self.at += 1;
        let name = self.at;
        self.skip_while(is_word);
        let name = &self.text[name..self.at];
        if name.is_empty() || REFUSED.contains(&name) {
            return Err((start, format!("the directive `` `{name} ``, which is not known here")));
        }
        let Some((_, takes)) = DIRECTIVES.iter().find(|(known, _)| *known == name) else { return Ok(Kind::Macro) };
        match takes {
            Takes::Nothing => {}
            Takes::Name => {
                self.skip_while(|byte| matches!(byte, b' ' | b'\t'));
                let argument = self.at;
                self.skip_while(is_word);
                if argument == self.at {
                    return Err((start, format!("`` `{name} `` without the name of a macro")));
                }
            }
            Takes::Line => {
                self.skip_while(|byte| byte != b'\n');
                if self.text[start..self.at].trim_end().ends_with('\\') {
                    return Err((start, "a macro of several lines".into()));
                }
            }
        }
        Ok(Kind::Directive)
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')
}
