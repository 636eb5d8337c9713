//! The folder of everything that is fetched or built, safe under parallel processes and after a crash.
//!
//! An entry is a folder. It is filled under another name and renamed when it is complete, with a stamp inside that lists the size
//! and SHA-256 of its files. So an entry that exists and matches its stamp is whole, and nothing else is ever used.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Error;

/// The stamp's file name.
const STAMP: &str = "stamp";

/// The folder of everything that is fetched or built.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// A cache at this folder, which is created when it is first needed.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// `FLASHDOCK_CACHE`, else `target/flashdock` of the workspace this program was built from, else the user's cache folder.
    pub fn from_env() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(root) = set("FLASHDOCK_CACHE") {
            return Self::new(root);
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        if let Ok(workspace) = workspace.canonicalize() {
            return Self::new(workspace.join("target/flashdock"));
        }
        // The program was moved away from the machine that built it.
        let user = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        Self::new(user.unwrap_or_else(std::env::temp_dir).join("flashdock"))
    }

    /// The cache's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of an entry, if it is there and whole.
    pub fn find(&self, entry: &str) -> Option<PathBuf> {
        let path = self.root.join(entry);
        is_whole(&path).then_some(path)
    }

    /// Returns the folder of an entry, calling `fill` to make it if it is absent or damaged.
    ///
    /// `fill` gets an empty folder and writes the entry's files there. While it runs, other processes that want the same entry wait.
    pub fn entry<E: From<Error>>(&self, entry: &str, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<PathBuf, E> {
        let path = self.root.join(entry);
        if is_whole(&path) {
            return Ok(path);
        }
        let parent = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;

        let lock_path = beside(&path, "lock");
        let lock = File::create(&lock_path).map_err(|error| Error::io("create", &lock_path, error))?;
        fs4::FileExt::lock(&lock).map_err(|error| Error::io("lock", &lock_path, error))?;
        // Another process may have made it while this one waited. The lock ends with `lock`.
        if is_whole(&path) {
            return Ok(path);
        }

        let partial = beside(&path, "partial");
        remove(&partial)?;
        fs::create_dir(&partial).map_err(|error| Error::io("create", &partial, error))?;
        let filled = fill(&partial).and_then(|()| publish(&partial, &path).map_err(E::from));
        if let Err(error) = filled {
            // The first error is the one to report; a leftover is removed by the next attempt.
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
        Ok(path)
    }
}

/// Gives a folder that is complete its stamp and its name.
fn publish(partial: &Path, path: &Path) -> Result<(), Error> {
    let stamp = stamp_of(partial).map_err(|error| Error::io("read", partial, error))?;
    let stamp_path = partial.join(STAMP);
    fs::write(&stamp_path, stamp).map_err(|error| Error::io("write", &stamp_path, error))?;
    remove(path)?;
    fs::rename(partial, path).map_err(|error| Error::io("create", path, error))
}

/// The path with something added to its name: "a.b" becomes "a.b.lock".
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

/// Removes a folder that may be absent.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Whether the folder's files are exactly those of its stamp.
fn is_whole(folder: &Path) -> bool {
    match (fs::read_to_string(folder.join(STAMP)), stamp_of(folder)) {
        (Ok(written), Ok(now)) => written == now,
        _ => false,
    }
}

/// One line per file: SHA-256, size and relative path, sorted by path.
fn stamp_of(folder: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for child in fs::read_dir(next)? {
            let child = child?;
            if child.file_type()?.is_dir() {
                folders.push(child.path());
            } else if child.path() != folder.join(STAMP) {
                files.push(child.path());
            }
        }
    }
    files.sort();
    let mut stamp = String::new();
    for file in files {
        let content = fs::read(&file)?;
        let name = file.strip_prefix(folder).unwrap_or(&file).display();
        // Writing to a string cannot fail.
        let _ = writeln!(stamp, "{} {} {name}", sha256(&content), content.len());
    }
    Ok(stamp)
}

/// The SHA-256 of these bytes in hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        (folder, cache)
    }

    fn write(content: &'static str) -> impl FnOnce(&Path) -> Result<(), Error> {
        move |folder| fs::write(folder.join("file"), content).map_err(|error| Error::io("write", folder, error))
    }

    fn never(_: &Path) -> Result<(), Error> {
        panic!("the entry is whole and must not be made again")
    }

    #[test]
    fn entry_is_made_once() {
        let (_folder, cache) = cache();
        let path = cache.entry("kind/one", write("content")).unwrap();
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "content");
        assert_eq!(cache.entry("kind/one", never).unwrap(), path);
        assert_eq!(cache.find("kind/one"), Some(path));
        assert_eq!(cache.find("kind/other"), None);
    }

    #[test]
    fn damaged_entry_is_made_again() {
        let damages: [fn(&Path); 5] = [
            |path| fs::write(path.join("file"), "cont").unwrap(),
            |path| fs::write(path.join("file"), "CONTENT").unwrap(),
            |path| fs::write(path.join("another"), "").unwrap(),
            |path| fs::remove_file(path.join("file")).unwrap(),
            |path| fs::remove_file(path.join(STAMP)).unwrap(),
        ];
        for damage in damages {
            let (_folder, cache) = cache();
            let path = cache.entry("one", write("content")).unwrap();
            damage(&path);
            assert_eq!(cache.find("one"), None);
            cache.entry("one", write("repaired")).unwrap();
            assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "repaired");
            assert!(is_whole(&path));
        }
    }

    #[test]
    fn failed_fill_leaves_nothing() {
        let (_folder, cache) = cache();
        let failed = cache.entry("one", |folder| {
            fs::write(folder.join("file"), "half").unwrap();
            Err(Error::DiskFull { path: folder.to_owned() })
        });
        assert!(matches!(failed, Err(Error::DiskFull { .. })));
        assert!(!cache.root().join("one").exists());
        assert!(!cache.root().join("one.partial").exists());
        cache.entry("one", write("content")).unwrap();
    }

    #[test]
    fn leftover_of_a_killed_process_is_not_used() {
        let (_folder, cache) = cache();
        fs::create_dir_all(cache.root().join("one.partial")).unwrap();
        fs::write(cache.root().join("one.partial/old"), "half").unwrap();
        let path = cache.entry("one", write("content")).unwrap();
        assert!(!path.join("old").exists());
    }

    #[test]
    fn parallel_requests_make_one_entry() {
        let (_folder, cache) = cache();
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let path = cache.entry("one", |folder| {
                        made.fetch_add(1, Ordering::Relaxed);
                        write("content")(folder)
                    });
                    assert_eq!(fs::read_to_string(path.unwrap().join("file")).unwrap(), "content");
                });
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn sha256_is_that_of_the_standard() {
        // FIPS 180-4 example "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
    }
}
