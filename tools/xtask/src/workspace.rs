//! What `cargo metadata` and git say about this repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};
use serde::Deserialize;

/// The crates and files of this repository.
#[derive(Debug)]
pub struct Workspace {
    /// The folder of the repository.
    pub root: PathBuf,
    /// The crates, sorted by folder.
    pub crates: Vec<Crate>,
    /// The files that git has or would add, relative to the root.
    pub files: Vec<PathBuf>,
}

/// One crate.
#[derive(Clone, Debug)]
pub struct Crate {
    /// Its package name.
    pub name: String,
    /// Its folder, relative to the root.
    pub folder: PathBuf,
    /// What it depends on inside this repository.
    pub edges: Vec<Edge>,
}

/// A dependency on another crate of this repository.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The package name.
    pub to: String,
    /// Whether only tests and examples use it.
    pub dev: bool,
}

impl Workspace {
    /// Asks cargo and git.
    pub fn load() -> Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
            workspace_root: PathBuf,
        }
        #[derive(Deserialize)]
        struct Package {
            name: String,
            manifest_path: PathBuf,
            dependencies: Vec<Dependency>,
        }
        #[derive(Deserialize)]
        struct Dependency {
            name: String,
            kind: Option<String>,
            path: Option<PathBuf>,
        }

        let json = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
        let metadata: Metadata = serde_json::from_str(&json).context("cannot read what `cargo metadata` wrote")?;
        let root = metadata.workspace_root;
        let mut crates: Vec<_> = metadata
            .packages
            .into_iter()
            .map(|package| {
                let folder = package.manifest_path.parent().unwrap_or(Path::new(""));
                let local = package.dependencies.into_iter().filter(|dependency| dependency.path.is_some());
                let edge = |dependency: Dependency| Edge {
                    to: dependency.name,
                    dev: dependency.kind.as_deref() == Some("dev"),
                };
                Crate {
                    name: package.name,
                    folder: folder.strip_prefix(&root).unwrap_or(folder).to_owned(),
                    edges: local.map(edge).collect(),
                }
            })
            .collect();
        crates.sort_by(|a, b| a.folder.cmp(&b.folder));

        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&root);
        let files: BTreeSet<_> = output(&mut git)?.split_terminator('\0').map(PathBuf::from).collect();
        // A file that was deleted but not yet committed is still listed.
        let files = files.into_iter().filter(|file| root.join(file).is_file()).collect();
        Ok(Self { root, crates, files })
    }

    /// Reads a file of the repository.
    pub fn read(&self, file: &Path) -> Result<String> {
        fs::read_to_string(self.root.join(file)).with_context(|| format!("cannot read {}", file.display()))
    }

    /// The crate that a file belongs to.
    pub fn crate_of(&self, file: &Path) -> Option<&Crate> {
        self.crates
            .iter()
            .filter(|krate| file.starts_with(&krate.folder))
            .max_by_key(|krate| krate.folder.as_os_str().len())
    }

    /// The names of the crates that reach `target` through their dependencies, dev-dependencies of their own included.
    pub fn dependents(&self, target: &str) -> BTreeSet<&str> {
        let by_name: BTreeMap<_, _> = self.crates.iter().map(|krate| (krate.name.as_str(), krate)).collect();
        let reaches = |krate: &Crate| {
            let mut pending: Vec<&str> = krate.edges.iter().map(|edge| edge.to.as_str()).collect();
            let mut seen = BTreeSet::new();
            while let Some(name) = pending.pop() {
                if name == target {
                    return true;
                }
                if seen.insert(name) {
                    let edges = by_name.get(name).map_or(&[][..], |krate| &krate.edges);
                    pending.extend(edges.iter().filter(|edge| !edge.dev).map(|edge| edge.to.as_str()));
                }
            }
            false
        };
        self.crates
            .iter()
            .filter(|krate| krate.name == target || reaches(krate))
            .map(|krate| krate.name.as_str())
            .collect()
    }
}

/// The cargo that runs this program.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command and returns what it wrote.
fn output(command: &mut Command) -> Result<String> {
    let result = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    ensure!(result.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&result.stderr));
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn krate(name: &str, edges: &[(&str, bool)]) -> Crate {
        let edges = edges.iter().map(|(to, dev)| Edge { to: (*to).into(), dev: *dev }).collect();
        Crate { name: name.into(), folder: name.into(), edges }
    }

    #[test]
    fn dev_dependencies_count_for_the_crate_itself_only() {
        let crates = vec![
            krate("sim", &[]),
            krate("hw", &[("spec", false), ("sim", true)]),
            krate("top", &[("hw", false)]),
            krate("tool", &[("lib", false)]),
            krate("lib", &[("sim", false)]),
            krate("spec", &[]),
        ];
        let workspace = Workspace { root: PathBuf::new(), crates, files: Vec::new() };
        assert_eq!(workspace.dependents("sim").into_iter().collect::<Vec<_>>(), ["hw", "lib", "sim", "tool"]);
    }
}
