//! A reader of the Verilog that FIRRTL and hand-written memories of its kind consist of.
//!
//! ```text
//!   text --lexer.rs--> tokens --parser.rs--> modules: ports, declarations, assigns, instances; blocks as ranges of tokens
//!                         |
//!                         +--edit.rs: some tokens replaced--> text
//! ```
//!
//! Nothing is lost: what stands between tokens (blanks, comments) is known by where the tokens are, so that a module is written as it was read.
//! What the reader does not know it refuses, with file, line and what was met.

mod edit;
mod lexer;
mod parser;

pub use edit::Edits;
pub use lexer::{Kind, Token};
pub use parser::{Connection, Declaration, Direction, Instance, Item, Module, Port, Range};

use std::fmt;

/// A text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct ReadError {
    /// The name that was given to the text.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// What was met, and what was expected.
    pub message: String,
}

/// A text and what is in it.
#[derive(Clone)]
pub struct Source {
    file: String,
    text: String,
    tokens: Vec<Token>,
    modules: Vec<Module>,
}

impl Source {
    /// Reads a text; `file` is its name in messages.
    ///
    /// # Errors
    /// At the first thing that this reader does not know.
    pub fn read(file: &str, text: &str) -> Result<Self, ReadError> {
        let refuse = |(at, message)| ReadError { file: file.to_owned(), line: line_of(text, at), message };
        let tokens = lexer::tokens(text).map_err(refuse)?;
        let modules = parser::modules(text, &tokens).map_err(refuse)?;
        Ok(Source { file: file.to_owned(), text: text.to_owned(), tokens, modules })
    }

    /// The name of the text.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The modules, in their order.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The number of tokens: they are known by their numbers.
    pub fn token_count(&self) -> usize {
        self.tokens.len()
    }

    /// What a token is.
    pub fn kind(&self, token: usize) -> Kind {
        self.tokens[token].kind
    }

    /// How a token is written.
    pub fn token(&self, token: usize) -> &str {
        self.tokens[token].of(&self.text)
    }

    /// How these tokens are written, without what stands between them.
    pub fn words(&self, tokens: std::ops::Range<usize>) -> Vec<&str> {
        tokens.map(|token| self.token(token)).collect()
    }

    /// An error at a token.
    pub fn error(&self, token: usize, message: impl Into<String>) -> ReadError {
        let at = self.tokens.get(token).map_or(self.text.len(), |token| token.start as usize);
        ReadError { file: self.file.clone(), line: line_of(&self.text, at), message: message.into() }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file).field("modules", &self.modules.len()).finish_non_exhaustive()
    }
}

/// The line of an offset, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}
