//! The crates whose blocks are tried, and where things are in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use serde::Deserialize;

/// The file of a crate that explains survivors. A crate without it is not tried.
const MUTANTS_FILE: &str = "mutants.toml";
/// What the page of a block includes, in the folder of the block.
const PAGE: &str = "doc/mutation.md";

/// The crates that are tried.
pub struct Project {
    crates: Vec<Crate>,
}

/// Which blocks of a crate.
pub enum Chosen {
    /// Every one.
    All,
    /// Those of these paths.
    These(Vec<String>),
}

/// One of them.
pub struct Crate {
    /// Its package name.
    pub name: String,
    /// The folder of the repository.
    pub root: PathBuf,
    /// Its own folder.
    pub folder: PathBuf,
}

impl Project {
    /// Asks cargo.
    pub fn load() -> Result<Project> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
            workspace_root: PathBuf,
        }
        #[derive(Deserialize)]
        struct Package {
            name: String,
            manifest_path: PathBuf,
        }
        let mut cargo = cargo();
        cargo.args(["metadata", "--format-version", "1", "--no-deps"]);
        let json = output(&mut cargo)?;
        let metadata: Metadata = serde_json::from_str(&json).context("cannot read what `cargo metadata` wrote")?;
        let crates = metadata.packages.into_iter().map(|package| Crate {
            name: package.name,
            root: metadata.workspace_root.clone(),
            folder: package.manifest_path.parent().unwrap_or(Path::new("")).to_owned(),
        });
        Ok(Project { crates: crates.filter(|krate| krate.mutants_file().is_file()).collect() })
    }

    /// The crates and the blocks in them that these names mean.
    pub fn chosen(&self, names: &[String]) -> Result<Vec<(&Crate, Chosen)>> {
        let mut chosen: Vec<(&Crate, Chosen)> = Vec::new();
        for name in names {
            if let Some(krate) = self.crates.iter().find(|krate| krate.name == *name) {
                chosen.push((krate, Chosen::All));
                continue;
            }
            let having: Vec<_> = self.crates.iter().filter_map(|krate| Some((krate, krate.find(name)?))).collect();
            let (krate, block) = match &having[..] {
                [(krate, block)] => (*krate, block.clone()),
                [] => bail!("there is no block `{name}`; there are the folders in `src` of {}", self.crate_names()),
                _ => bail!("several crates have a block `{name}`"),
            };
            match chosen.iter_mut().find(|(other, _)| other.name == krate.name) {
                Some((_, Chosen::All)) => {}
                Some((_, Chosen::These(blocks))) => blocks.push(block),
                None => chosen.push((krate, Chosen::These(vec![block]))),
            }
        }
        ensure!(!chosen.is_empty(), "name a block, or a crate for all of its blocks: {}", self.crate_names());
        Ok(chosen)
    }

    fn crate_names(&self) -> String {
        self.crates.iter().map(|krate| krate.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Crate {
    /// The file that explains survivors.
    pub fn mutants_file(&self) -> PathBuf {
        self.folder.join(MUTANTS_FILE)
    }

    /// The block that a test belongs to, or a Rust file of the crate: the path of the module that is its front page.
    pub fn block_of(&self, path: &[&str]) -> Option<String> {
        let source = self.folder.join("src");
        let folders = (1..=path.len()).rev().map(|count| &path[..count]);
        let mut pages = folders.filter(|folder| source.join(folder.join("/")).join("mod.rs").is_file());
        let file = || path.first().filter(|first| source.join(format!("{first}.rs")).is_file()).map(|_| &path[..1]);
        pages.next().or_else(file).map(|path| path.join("::"))
    }

    /// The block that a Rust file belongs to; the file is relative to the repository.
    pub fn block_of_file(&self, file: &str) -> Option<String> {
        let source = self.folder.strip_prefix(&self.root).ok()?.join("src");
        let inside = Path::new(file).strip_prefix(source).ok()?.with_extension("");
        let parts: Vec<&str> = inside.iter().filter_map(|part| part.to_str()).collect();
        self.block_of(&parts)
    }

    /// The block that ends in this name, or is this path.
    fn find(&self, name: &str) -> Option<String> {
        let name = name.replace("::", "/");
        let source = self.folder.join("src");
        if source.join(&name).join("mod.rs").is_file() || source.join(format!("{name}.rs")).is_file() {
            return Some(name.replace('/', "::"));
        }
        let mut pending = vec![source.clone()];
        while let Some(folder) = pending.pop() {
            let page = folder.join(&name).join("mod.rs");
            if page.is_file() {
                let path = folder.join(&name);
                let path = path.strip_prefix(&source).ok()?.to_str()?;
                return Some(path.replace('/', "::"));
            }
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            pending.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
        None
    }

    /// What the page of a block includes.
    fn page(&self, block: &str) -> Result<PathBuf> {
        let folder = self.folder.join("src").join(block.replace("::", "/"));
        ensure!(folder.is_dir(), "the block `{block}` is one file: make it a folder, so that it can have a `{PAGE}`");
        Ok(folder.join(PAGE))
    }

    /// Writes what the page of a block includes.
    pub fn write_page(&self, block: &str, text: &str) -> Result<()> {
        let path = self.page(block)?;
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// What the page of a block includes, if it is there.
    pub fn read_page(&self, block: &str) -> Option<String> {
        fs::read_to_string(self.page(block).ok()?).ok()
    }
}

/// The cargo that runs this program.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command and returns what it wrote.
pub fn output(command: &mut Command) -> Result<String> {
    let result = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    ensure!(result.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&result.stderr));
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn krate(folder: &Path) -> Crate {
        for file in ["fifo/mod.rs", "fifo/bench.rs", "cdc/mod.rs", "cdc/pulse.rs", "cdc/ring/mod.rs", "index.rs"] {
            let path = folder.join("rtl/prim/src").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Crate { name: "rtl-prim".into(), root: folder.into(), folder: folder.join("rtl/prim") }
    }

    #[test]
    fn tests_and_files_belong_to_the_nearest_front_page() {
        let folder = tempfile::tempdir().unwrap();
        let krate = krate(folder.path());
        let of_test = |test: &str| krate.block_of(&test.split("::").collect::<Vec<_>>());
        assert_eq!(of_test("fifo::bench::is_empty").as_deref(), Some("fifo"));
        assert_eq!(of_test("cdc::pulse::tests::pulses").as_deref(), Some("cdc"));
        assert_eq!(of_test("cdc::ring::tests::rings").as_deref(), Some("cdc::ring"));
        assert_eq!(of_test("index::tests::wraps").as_deref(), Some("index"));
        assert_eq!(of_test("testing::silent"), None);
        assert_eq!(krate.block_of_file("rtl/prim/src/fifo/bench.rs").as_deref(), Some("fifo"));
        assert_eq!(krate.block_of_file("rtl/prim/src/cdc/ring/mod.rs").as_deref(), Some("cdc::ring"));
        assert_eq!(krate.block_of_file("rtl/hdl/src/stream.rs"), None);
    }

    #[test]
    fn blocks_are_found_by_their_last_name() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project { crates: vec![krate(folder.path())] };
        let chosen = |name: &str| project.chosen(&[name.into()]).map(|mut chosen| chosen.swap_remove(0).1);
        assert!(matches!(chosen("ring"), Ok(Chosen::These(blocks)) if blocks == ["cdc::ring"]));
        assert!(matches!(chosen("fifo"), Ok(Chosen::These(blocks)) if blocks == ["fifo"]));
        assert!(matches!(chosen("rtl-prim"), Ok(Chosen::All)));
        assert!(chosen("pulses").is_err());
        assert!(project.chosen(&[]).is_err());
    }

    #[test]
    fn a_page_needs_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let krate = krate(folder.path());
        krate.write_page("cdc::ring", "text").unwrap();
        assert_eq!(krate.read_page("cdc::ring").as_deref(), Some("text"));
        assert!(krate.write_page("index", "text").is_err());
    }
}
