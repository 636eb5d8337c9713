//! Why mutants survive: a table of each block, with the mutant's text and one sentence.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};

/// The explanations of a crate.
#[derive(Debug, Default)]
pub struct Explanations {
    by_block: BTreeMap<String, BTreeMap<String, String>>,
}

impl Explanations {
    /// Reads them.
    pub fn read(file: &Path) -> Result<Explanations> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", file.display()))
    }

    fn parse(text: &str) -> Result<Explanations> {
        let by_block: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(text)?;
        for (block, survivors) in &by_block {
            for (mutant, why) in survivors {
                ensure!(!why.trim().is_empty(), "{block}: `{mutant}` is not explained: say why it changes nothing");
            }
        }
        Ok(Explanations { by_block })
    }

    /// Why this mutant survives.
    pub fn of(&self, block: &str, mutant: &str) -> Option<&str> {
        self.by_block.get(block)?.get(mutant).map(String::as_str)
    }

    /// The mutants of a block that are explained.
    pub fn texts(&self, block: &str) -> impl Iterator<Item = &str> {
        self.by_block.get(block).into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// What is wrong with the names of blocks.
    pub fn of_no_block(&self, file: &Path, blocks: &[String]) -> Vec<String> {
        let unknown = self.by_block.keys().filter(|block| !blocks.contains(block));
        unknown
            .map(|block| format!("{}: there is no block `{block}`: remove its explanations", file.display()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanations_are_found_by_block_and_text() {
        let text = "[fifo]\n\"a: 0 -> 1\" = \"Nobody looks.\"\n[\"cdc::ring\"]\n";
        let explanations = Explanations::parse(text).unwrap();
        assert_eq!(explanations.of("fifo", "a: 0 -> 1"), Some("Nobody looks."));
        assert_eq!(explanations.of("fifo", "b: 0 -> 1"), None);
        assert_eq!(explanations.of("cdc::ring", "a: 0 -> 1"), None);
        assert_eq!(explanations.texts("fifo").collect::<Vec<_>>(), ["a: 0 -> 1"]);
        assert_eq!(explanations.of_no_block(Path::new("mutants.toml"), &["fifo".into()]).len(), 1);
    }

    #[test]
    fn an_explanation_says_something() {
        assert!(Explanations::parse("[fifo]\n\"a\" = \" \"").is_err());
    }
}
