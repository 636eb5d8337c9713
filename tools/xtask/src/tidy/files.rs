//! What must not be in git: binaries, archives, large files, and words that belong to one machine or one day.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Finding;
use crate::workspace::Workspace;

/// The largest file.
const BYTES_MAX: u64 = 256 << 10;

/// Endings of archives and built things.
const ARCHIVES: &[&str] =
    &["zip", "tar", "gz", "xz", "zst", "bz2", "7z", "whl", "jar", "so", "a", "o", "elf", "bin", "bit", "vcd", "fst"];

/// Beginnings of paths that exist on one machine only. Written in two parts, so that this file does not contain them.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

/// A note to oneself.
const NOTE: &str = concat!("FIX", "ME");

/// Findings in all files of the repository.
pub fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in &workspace.files {
        let path = workspace.root.join(file);
        let content = fs::read(&path).with_context(|| format!("cannot read {}", file.display()))?;
        findings.extend(check_file(file, &content));
    }
    Ok(findings)
}

fn check_file(file: &Path, content: &[u8]) -> Vec<Finding> {
    let finding = |line, text: String| Finding { file: file.to_owned(), line, text };
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    if ARCHIVES.contains(&ending.as_str()) {
        return vec![finding(1, "is an archive or a built file; fetch or build it instead".into())];
    }
    let Ok(text) = std::str::from_utf8(content) else {
        return vec![finding(1, "is a binary file; fetch or generate it instead".into())];
    };
    if text.contains('\0') {
        return vec![finding(1, "is a binary file; fetch or generate it instead".into())];
    }
    let mut findings = Vec::new();
    if content.len() as u64 > BYTES_MAX {
        let size = content.len() >> 10;
        findings.push(finding(1, format!("has {size} KiB, more than {}; generate or shorten it", BYTES_MAX >> 10)));
    }
    for (index, line) in text.lines().enumerate() {
        if let Some(path) = MACHINE_PATHS.iter().find(|path| is_path(line, path)) {
            findings.push(finding(index + 1, format!("names a path of one machine (`{path}`); use a relative path")));
        }
        if line.contains(NOTE) {
            findings.push(finding(index + 1, format!("has a leftover {NOTE}; mend it, or open an issue")));
        }
    }
    findings
}

/// Whether the line has this absolute path: not the middle of a longer, relative one.
fn is_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '.' | '_' | '-' | '}' | '/' | '>'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &str, content: &[u8]) -> Vec<usize> {
        check_file(Path::new(file), content).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn binaries_archives_and_large_files_are_found() {
        assert_eq!(lines("a.zip", b"text"), [1]);
        assert_eq!(lines("a.txt", b"te\0xt"), [1]);
        assert_eq!(lines("a.txt", &[0xff, 0xfe]), [1]);
        assert_eq!(lines("a.txt", &vec![b'a'; BYTES_MAX as usize + 1]), [1]);
        assert!(lines("a.txt", &vec![b'a'; BYTES_MAX as usize]).is_empty());
    }

    #[test]
    fn machine_paths_are_found_and_relative_paths_are_not() {
        for path in MACHINE_PATHS {
            assert_eq!(lines("a.md", format!("first\nsee {path}me/file").as_bytes()), [2]);
            assert!(lines("a.md", format!("see ..{path}me/file and a{path}b").as_bytes()).is_empty());
        }
    }

    #[test]
    fn leftover_notes_are_found() {
        assert_eq!(lines("a.rs", format!("fn a() {{}} // {NOTE}: later").as_bytes()), [1]);
    }
}
