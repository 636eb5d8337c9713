//! What commands print: tables, numbers with units, files that appear as a whole or not at all.

use crate::failure::{Failure, Result};
use serde::Serialize;
use std::fmt::{Display, Write as _};
use std::io::{self, ErrorKind, IsTerminal, Write as _};
use std::path::Path;

/// Prints a command's result. A reader that stops reading early, such as `head`, is not an error.
pub fn print(text: &str) -> Result {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write the result: {}", reason(&error)), "send the output somewhere else"))
        }
        _ => Ok(()),
    }
}

/// Prints a result as JSON.
pub fn print_json(value: &impl Serialize) -> Result {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(format!("cannot write JSON: {error}"), "leave `--json` out"))?;
    print(&(text + "\n"))
}

/// A command that people are told to type: with the name under which this program was called, or through cargo if that was a path.
pub fn command(arguments: impl Display) -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let is_name = Path::new(&called).components().count() == 1;
    let program = if is_name { "flashdock" } else { "cargo run --release --" };
    format!("{program} {arguments}")
}

/// Writes a file under a temporary name beside it and renames it: it appears complete or not at all.
pub fn write_file(path: &Path, contents: &[u8]) -> Result {
    check_replaceable(path)?;
    let written = temporary_beside(path).and_then(|mut file| {
        file.write_all(contents)?;
        publish(file, path)
    });
    written.map_err(|error| cannot_write(path, &error))
}

/// Refuses what a file must not be put in the place of: folders, devices, pipes.
pub fn check_replaceable(path: &Path) -> Result {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            Err(Failure::new(format!("{} is there already and is not a file", path.display()), "name another file"))
        }
        _ => Ok(()),
    }
}

/// A temporary file in the folder where `path` will be.
pub fn temporary_beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    tempfile::Builder::new().prefix(".flashdock-").tempfile_in(folder.unwrap_or(Path::new(".")))
}

/// Gives a complete temporary file its name.
pub fn publish(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    // Only now is it known whether the disk took it all.
    file.as_file().sync_all()?;
    readable_by_others(file.as_file())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Temporary files are private; what is published is not.
#[cfg(unix)]
fn readable_by_others(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_others(_file: &std::fs::File) -> io::Result<()> {
    Ok(())
}

/// The error for a file that could not be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let next = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, or name a file on another disk",
        ErrorKind::NotFound => "create its folder first",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "name a file in a folder that you may write to",
        _ => "name another file",
    };
    Failure::new(format!("cannot write {}: {}", path.display(), reason(error)), next)
}

/// Why an operation failed, without the number of the error.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    uncapitalized(&text[..end])
}

/// A sentence as it goes on behind a colon.
pub fn uncapitalized(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Colours where a person looks, and none elsewhere.
#[derive(Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// For standard output.
    pub fn stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    /// For standard error.
    pub fn stderr() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    fn of(is_terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { on: is_terminal && !refused }
    }

    fn wrap(self, code: &str, text: impl Display) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }

    /// Colours everywhere.
    #[cfg(test)]
    pub const fn always() -> Self {
        Self { on: true }
    }

    /// Something in a colour of the terminal: the number of a graphic rendition of ECMA-48.
    pub fn coloured(self, code: &str, text: impl Display) -> String {
        self.wrap(code, text)
    }

    /// A heading.
    pub fn strong(self, text: impl Display) -> String {
        self.wrap("1", text)
    }

    /// Something that is as it should be.
    pub fn good(self, text: impl Display) -> String {
        self.wrap("32", text)
    }

    /// Something that is not.
    pub fn bad(self, text: impl Display) -> String {
        self.wrap("31", text)
    }
}

/// On which side of its column a cell stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table of text in columns as wide as they need to be.
pub struct Table {
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without a heading.
    pub fn new(aligns: &[Align]) -> Self {
        Self { aligns: aligns.to_vec(), rows: Vec::new() }
    }

    /// A table whose first row names its columns.
    pub fn with_heading(columns: &[(&str, Align)]) -> Self {
        let mut table = Self::new(&columns.iter().map(|(_, align)| *align).collect::<Vec<_>>());
        table.row(columns.iter().map(|(name, _)| (*name).to_owned()));
        table
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let row: Vec<String> = cells.into_iter().map(Into::into).collect();
        assert_eq!(row.len(), self.aligns.len(), "a row has a cell for each column");
        self.rows.push(row);
    }

    /// The lines, each `indent` blanks in.
    pub fn text(&self, indent: usize) -> String {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.aligns.len()).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for ((cell, width), align) in row.iter().zip(&widths).zip(&self.aligns) {
                let blanks = " ".repeat(width - cell.chars().count());
                let (before, after) = if *align == Align::Left { ("", &*blanks) } else { (&*blanks, "") };
                let _ = write!(line, "{before}{cell}{after}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A number with its thousands apart: `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of things whose name takes an s: `1 command`, `1,234 commands`.
pub fn count_text(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", thousands(count))
}

/// A number of bytes in the unit that suits it: `512 B`, `7.8 MiB`.
pub fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1 << 10 {
        return format!("{bytes} B");
    }
    let step = (bytes.ilog2() / 10) as usize;
    let value = bytes as f64 / (1_u64 << (10 * step)) as f64;
    let unit = UNITS[step - 1];
    if bytes % (1 << (10 * step)) == 0 {
        format!("{value} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count_text(1, "clock"), "1 clock");
        assert_eq!(count_text(1000, "clock"), "1,000 clocks");
        assert_eq!(bytes_text(0), "0 B");
        assert_eq!(bytes_text(512), "512 B");
        assert_eq!(bytes_text(4096), "4 KiB");
        assert_eq!(bytes_text(1536), "1.5 KiB");
        assert_eq!(bytes_text(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::with_heading(&[("name", Align::Left), ("clocks", Align::Right)]);
        table.row(["a", "7"]);
        table.row(["longer", "1,234"]);
        assert_eq!(table.text(2), "  name    clocks\n  a            7\n  longer   1,234\n");
    }

    #[test]
    fn a_file_appears_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_file(&path, b"contents").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"contents");
        assert!(write_file(&folder.path().join("missing/file"), b"").is_err());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left behind");
    }
}
