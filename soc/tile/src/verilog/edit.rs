//! Texts with some tokens replaced.

use super::Source;
use std::collections::BTreeMap;
use std::ops::Range;

/// Tokens of one [`Source`] that are to be written otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    replaced: BTreeMap<usize, String>,
}

impl Edits {
    /// Writes `text` in the place of a token. The last word counts.
    pub fn replace(&mut self, token: usize, text: impl Into<String>) {
        self.replaced.insert(token, text.into());
    }

    /// What is written in the place of a token, if it is another text.
    pub fn replacement(&self, token: usize) -> Option<&str> {
        self.replaced.get(&token).map(String::as_str)
    }
}

impl Source {
    /// These tokens with everything between them, and what the edits make of them.
    pub fn write(&self, tokens: Range<usize>, edits: &Edits) -> String {
        let (Some(first), Some(last)) = (self.tokens.get(tokens.start), self.tokens.get(tokens.end.wrapping_sub(1)))
        else {
            return String::new();
        };
        let mut text = String::new();
        let mut at = first.start as usize;
        for (token, replacement) in edits.replaced.range(tokens.clone()) {
            let token = self.tokens[*token];
            text += &self.text[at..token.start as usize];
            text += replacement;
            at = token.end as usize;
        }
        text + &self.text[at..last.end as usize]
    }

    /// The whole text, and what the edits make of it.
    pub fn write_all(&self, edits: &Edits) -> String {
        let (Some(first), Some(last)) = (self.tokens.first(), self.tokens.last()) else { return self.text.clone() };
        let before = &self.text[..first.start as usize];
        let behind = &self.text[last.end as usize..];
        format!("{before}{}{behind}", self.write(0..self.tokens.len(), edits))
    }
}
