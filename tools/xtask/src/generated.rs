//! Files in git that a program writes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::requirements;
use crate::tidy::Finding;
use crate::workspace::Workspace;

/// A file that a program writes.
struct Generator {
    /// The file, relative to the root.
    path: &'static str,
    /// What it should contain now.
    content: fn(&Workspace) -> Result<String>,
}

/// Every generated file.
const GENERATORS: &[Generator] = &[Generator { path: requirements::DOCUMENT, content: requirements::document }];

/// Writes every generated file.
pub fn write(workspace: &Workspace) -> Result<()> {
    for generator in GENERATORS {
        let path = workspace.root.join(generator.path);
        fs::write(&path, (generator.content)(workspace)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The generated files that differ from what their generator writes now.
pub fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for generator in GENERATORS {
        if stale(&workspace.root.join(generator.path), &(generator.content)(workspace)?) {
            let text = "is not what its generator writes now; run `cargo xtask generate`".into();
            findings.push(Finding { file: PathBuf::from(generator.path), line: 1, text });
        }
    }
    Ok(findings)
}

fn stale(path: &Path, content: &str) -> bool {
    fs::read_to_string(path).map_or(true, |written| written != content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_or_different_files_are_stale() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(stale(&path, "content"));
        fs::write(&path, "content").unwrap();
        assert!(!stale(&path, "content"));
        assert!(stale(&path, "other"));
    }
}
