//! The tree of unpacked packages: its programs, and the libraries that they need.

use std::collections::btree_map::{BTreeMap, Entry};
use std::fs;
use std::path::{Component, Path, PathBuf};

use object::elf::DT_NEEDED;
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::Endianness;

use crate::Error;

/// The most links that lead from one to the next, as Linux has it (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// A folder into which packages were unpacked. Its links are followed as if it were the root folder.
pub(crate) struct Tree {
    folder: PathBuf,
    /// All libraries by name: some lie in folders of their own, which the libraries that need them know (RUNPATH).
    libraries: BTreeMap<String, PathBuf>,
}

impl Tree {
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        let mut libraries = BTreeMap::new();
        for part in ["lib", "lib64", "usr/lib", "usr/lib64"] {
            for file in files_below(&folder.join(part))? {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if !name.contains(".so") {
                    continue;
                }
                // Deeper folders have variants for some processors.
                let depth = |path: &PathBuf| path.components().count();
                match libraries.get(&name) {
                    Some(known) if depth(known) <= depth(&file) => {}
                    _ => drop(libraries.insert(name, file)),
                }
            }
        }
        Ok(Self { folder: folder.to_owned(), libraries })
    }

    /// The first of these files or folders that exists, links followed.
    pub(crate) fn find(&self, candidates: &[&str]) -> Result<PathBuf, Error> {
        let found = candidates.iter().map(|path| self.folder.join(path)).find(|path| path.symlink_metadata().is_ok());
        let missing = || Error::Missing { what: candidates.join(" or ") };
        self.resolve(found.ok_or_else(missing)?)
    }

    /// A program.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf, Error> {
        let candidates = ["bin", "sbin", "usr/bin", "usr/sbin"].map(|folder| format!("{folder}/{name}"));
        self.find(&candidates.each_ref().map(String::as_str))
    }

    /// A library.
    pub(crate) fn library(&self, name: &str) -> Result<PathBuf, Error> {
        let missing = || Error::Missing { what: format!("library {name}") };
        self.resolve(self.libraries.get(name).ok_or_else(missing)?.clone())
    }

    /// The libraries whose names begin like this.
    pub(crate) fn libraries_called<'a>(
        &'a self,
        beginning: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a PathBuf)> {
        self.libraries.iter().filter(move |(name, _)| name.starts_with(beginning))
    }

    /// The libraries that these programs need, and the libraries that those need, and the program that loads them. By name.
    pub(crate) fn libraries_of(&self, programs: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>, Error> {
        let mut needed = BTreeMap::new();
        let mut files = programs.to_vec();
        while let Some(file) = files.pop() {
            for name in needed_names(&file)? {
                if let Entry::Vacant(entry) = needed.entry(name) {
                    let library = self.library(entry.key())?;
                    files.push(library.clone());
                    entry.insert(library);
                }
            }
        }
        Ok(needed)
    }

    /// Follows links, to folders of the tree only.
    fn resolve(&self, mut path: PathBuf) -> Result<PathBuf, Error> {
        for _ in 0..LINKS_MAX {
            let Ok(target) = fs::read_link(&path) else { return Ok(path) };
            let base = if target.is_absolute() { &self.folder } else { path.parent().unwrap_or(&self.folder) };
            let target: PathBuf = target.components().filter(|part| *part != Component::RootDir).collect();
            path = base.join(target);
        }
        Err(Error::Missing { what: format!("end of the links at {}", path.display()) })
    }
}

/// All files and links below a folder; none if there is no such folder.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        if !next.is_dir() {
            continue;
        }
        let read = |error| Error::io("read", &next, error);
        for child in fs::read_dir(&next).map_err(read)? {
            let child = child.map_err(read)?;
            let kind = child.file_type().map_err(read)?;
            if kind.is_dir() { &mut folders } else { &mut files }.push(child.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The names of what the ELF file needs: its libraries, and the program that loads them.
fn needed_names(file: &Path) -> Result<Vec<String>, Error> {
    let content = fs::read(file).map_err(|error| Error::io("read", file, error))?;
    parse_needed(&content)
        .map_err(|error| Error::Format { file: file.display().to_string(), detail: error.to_string() })
}

fn parse_needed(content: &[u8]) -> object::read::Result<Vec<String>> {
    let elf = ElfFile64::<Endianness>::parse(content)?;
    let mut names = Vec::new();
    for segment in elf.elf_program_headers() {
        if let Some(path) = segment.interpreter(elf.endian(), content)? {
            let path = String::from_utf8_lossy(path);
            names.extend(path.rsplit('/').next().map(str::to_owned));
        }
    }
    let dynamic = elf.elf_dynamic_table()?;
    for entry in dynamic.iter() {
        if entry.tag == DT_NEEDED {
            names.push(String::from_utf8_lossy(dynamic.string(entry)?).into_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A tree with these files, empty, and these links.
    fn tree(files: &[&str], links: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        for file in files {
            fs::write(make(file), "").unwrap();
        }
        for (link, target) in links {
            symlink(target, make(link)).unwrap();
        }
        let tree = Tree::new(folder.path()).unwrap();
        (folder, tree)
    }

    #[test]
    fn links_are_followed_inside_the_tree() {
        let links = [("sbin/mkfs.ext4", "mke2fs"), ("lib64/ld.so.2", "/lib/x/ld.so"), ("bin/to", "../sbin/mkfs.ext4")];
        let (folder, tree) = tree(&["sbin/mke2fs", "lib/x/ld.so"], &links);
        assert_eq!(tree.program("mkfs.ext4").unwrap(), folder.path().join("sbin/mke2fs"));
        assert_eq!(tree.program("to").unwrap().canonicalize().unwrap(), folder.path().join("sbin/mke2fs"));
        assert_eq!(tree.library("ld.so.2").unwrap(), folder.path().join("lib/x/ld.so"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let (_folder, tree) = tree(&[], &[("bin/round", "round")]);
        assert!(tree.program("fio").unwrap_err().to_string().contains("usr/bin/fio"));
        assert!(tree.library("libnvme.so.1").unwrap_err().to_string().contains("libnvme.so.1"));
        assert!(tree.program("round").unwrap_err().to_string().contains("links"));
    }

    #[test]
    fn of_libraries_with_one_name_the_one_for_every_processor_is_taken() {
        let (folder, tree) = tree(&["usr/lib/x/hw/v3/libz.so.1", "usr/lib/x/libz.so.1", "usr/lib/x/z/libz.so.1"], &[]);
        assert_eq!(tree.library("libz.so.1").unwrap(), folder.path().join("usr/lib/x/libz.so.1"));
    }
}
