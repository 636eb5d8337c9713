//! Makes the VCD of another simulator readable.

use super::fst::FstWriter;
use super::gtkwave;
use super::tree::{readable, Instance, Notes, Outline, Scope, Value};
use super::Sink;
use crate::MAX_WIDTH;
use std::collections::HashMap;
use std::io::{self, Seek, Write};

/// Turns a VCD of a design, which another simulator writes into this, into FST: the same values at the same times, with what the design knows
/// of them. Only the present values are held, whatever the length of the waveform.
///
/// What the emitter declared as constants, for the variants of enums, is left out; a scope that only repeats the ports of the top is, too.
pub struct FromVcd<W: Write + Seek> {
    outline: Outline,
    /// The beginning of a word whose end is not yet written.
    word: Vec<u8>,
    state: State<W>,
}

enum State<W: Write + Seek> {
    Declarations(Declarations, W),
    Values(Box<Values<W>>),
    /// After an error.
    Broken,
}

/// What has been declared so far.
#[derive(Default)]
struct Declarations {
    /// The words of a command that has not ended.
    command: Vec<String>,
    /// The time of a unit, as a power of ten of seconds.
    exponent: i8,
    /// The scopes that are open, the outermost first; the first stands for the file.
    open: Vec<Instance>,
    /// The signal of each code.
    codes: HashMap<String, usize>,
    widths: Vec<u32>,
}

/// What has been written so far.
struct Values<W: Write + Seek> {
    sink: Box<FstWriter<W>>,
    scopes: Vec<Scope>,
    codes: HashMap<String, usize>,
    /// The value of each signal.
    bits: Vec<Vec<u8>>,
    /// The signals whose value is not yet written.
    changed: Vec<usize>,
    is_changed: Vec<bool>,
    first: Option<u64>,
    now: Option<u64>,
    /// A vector whose code comes next.
    vector: Option<Vec<u8>>,
    /// In a command that says nothing about values.
    skips: bool,
}

fn damaged(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the waveform of the simulator is damaged: {}", what.into()))
}

impl<W: Write + Seek> FromVcd<W> {
    /// Writes into `file`, which is empty.
    pub fn new(outline: Outline, file: W) -> Self {
        let root = Instance { name: String::new(), values: vec![], children: vec![] };
        let declarations = Declarations { open: vec![root], exponent: -9, ..Declarations::default() };
        Self { outline, word: vec![], state: State::Declarations(declarations, file) }
    }

    /// Completes the file. Returns a save file for GTKWave, if the waveform gets this name.
    ///
    /// # Errors
    /// If not all could be written, or what was written was no VCD.
    pub fn finish(mut self, name: &str) -> io::Result<String> {
        self.take_word()?;
        match self.state {
            State::Declarations(..) => Err(damaged("it ends within its declarations")),
            State::Broken => Err(damaged("nothing follows an error")),
            State::Values(mut values) => {
                values.write()?;
                values.sink.finish()?;
                Ok(gtkwave::save_file(&values.scopes, name, values.first.unwrap_or(0)))
            }
        }
    }

    fn take_word(&mut self) -> io::Result<()> {
        if self.word.is_empty() {
            return Ok(());
        }
        let word = std::mem::take(&mut self.word);
        let word = std::str::from_utf8(&word).map_err(|_| damaged("it is not text"))?;
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Declarations(mut declarations, file) => {
                self.state = match declarations.word(word)? {
                    false => State::Declarations(declarations, file),
                    true => State::Values(Box::new(declarations.finish(&self.outline, file)?)),
                };
            }
            State::Values(mut values) => {
                values.word(word)?;
                self.state = State::Values(values);
            }
            State::Broken => return Err(damaged("nothing follows an error")),
        }
        Ok(())
    }
}

impl<W: Write + Seek> Write for FromVcd<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if byte.is_ascii_whitespace() {
                self.take_word()?;
            } else {
                self.word.push(*byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Declarations {
    /// Takes a word; true if it was the last one of the declarations.
    fn word(&mut self, word: &str) -> io::Result<bool> {
        if word != "$end" {
            self.command.push(word.to_owned());
            return Ok(false);
        }
        let command = std::mem::take(&mut self.command);
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        match words[..] {
            ["$timescale", ref time @ ..] => self.exponent = exponent(&time.concat())?,
            ["$scope", _, name] => self.open.push(Instance { name: name.to_owned(), values: vec![], children: vec![] }),
            ["$upscope"] => {
                let (inner, outer) = (self.open.pop(), self.open.last_mut());
                let (Some(inner), Some(outer)) = (inner, outer) else {
                    return Err(damaged("more scopes end than begin"));
                };
                outer.children.push(inner);
            }
            ["$var", kind, width, code, name, ..] => self.variable(kind, width, code, name)?,
            ["$enddefinitions"] => return Ok(true),
            // A date, a version, a comment.
            _ => {}
        }
        Ok(false)
    }

    fn variable(&mut self, kind: &str, width: &str, code: &str, name: &str) -> io::Result<()> {
        let width = width.parse().ok().filter(|width| (1..=MAX_WIDTH).contains(width));
        let width: u32 = width.ok_or_else(|| damaged(format!("`{name}` has no width")))?;
        let signal = *self.codes.entry(code.to_owned()).or_insert_with(|| {
            self.widths.push(width);
            self.widths.len() - 1
        });
        if self.widths[signal] != width {
            return Err(damaged(format!("`{name}` has {width} bits and its signal {}", self.widths[signal])));
        }
        // A range belongs to the width; an index belongs to the name.
        let name = match name.split_once('[') {
            Some((before, range)) if range.contains(':') => before,
            _ => name,
        };
        let notes = Notes { is_register: kind == "reg", ..Notes::default() };
        let value = Value { name: name.to_owned(), width, signal, notes };
        self.open.last_mut().ok_or_else(|| damaged("more scopes end than begin"))?.values.push(value);
        Ok(())
    }

    fn finish<W: Write + Seek>(mut self, outline: &Outline, file: W) -> io::Result<Values<W>> {
        let root = self.open.pop().filter(|_| self.open.is_empty()).ok_or_else(|| damaged("a scope does not end"))?;
        let mut tops: Vec<Instance> = root.children.into_iter().map(without_ports_alone).collect();
        if !root.values.is_empty() {
            tops.insert(0, Instance { name: "signals".into(), values: root.values, children: vec![] });
        }
        for top in tops.iter_mut().filter(|top| top.name == outline.name) {
            annotate(top, outline);
        }
        let scopes = readable(tops);
        let sink = Box::new(FstWriter::new(file, &scopes, &self.widths, self.exponent)?);
        let count = self.widths.len();
        Ok(Values {
            sink,
            scopes,
            codes: self.codes,
            bits: self.widths.iter().map(|width| vec![b'x'; *width as usize]).collect(),
            changed: vec![],
            is_changed: vec![false; count],
            first: None,
            now: None,
            vector: None,
            skips: false,
        })
    }
}

/// The time of a unit, as a power of ten of seconds: `1ns`, `10ps`.
fn exponent(time: &str) -> io::Result<i8> {
    let digits = time.len() - time.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = time.split_at(digits);
    let number = ["1", "10", "100"].iter().position(|known| *known == number);
    let unit = ["s", "ms", "us", "ns", "ps", "fs"].iter().position(|known| *known == unit);
    let (number, unit) = number.zip(unit).ok_or_else(|| damaged(format!("`{time}` is no unit of time")))?;
    Ok(number as i8 - 3 * unit as i8)
}

/// The module inside, if the scope holds one module and the ports of it, as Verilator writes it.
fn without_ports_alone(scope: Instance) -> Instance {
    let repeats = |inner: &Instance| {
        let repeats =
            |value: &Value| inner.values.iter().any(|own| own.name == value.name && own.signal == value.signal);
        scope.values.iter().all(repeats)
    };
    match &scope.children[..] {
        [inner] if repeats(inner) => scope.children.into_iter().next().expect("it has one child"),
        _ => scope,
    }
}

/// Adds what the design knows of the values.
fn annotate(instance: &mut Instance, outline: &Outline) {
    instance.values.retain(|value| !outline.is_label(&value.name));
    for value in &mut instance.values {
        if let Some(notes) = outline.values.get(&value.name) {
            value.notes = notes.clone();
        }
    }
    for child in &mut instance.children {
        if let Some(outline) = outline.children.get(&child.name) {
            annotate(child, outline);
        }
    }
}

impl<W: Write + Seek> Values<W> {
    fn word(&mut self, word: &str) -> io::Result<()> {
        if self.skips {
            self.skips = word != "$end";
            return Ok(());
        }
        if let Some(vector) = self.vector.take() {
            return self.change(word, &vector);
        }
        let (first, rest) = word.split_at_checked(1).ok_or_else(|| damaged(format!("`{word}` is no change")))?;
        match first {
            "#" => {
                let time = rest.parse().ok().filter(|time| self.now.is_none_or(|now| now <= *time));
                let time = time.ok_or_else(|| damaged(format!("the time {rest} comes after {:?}", self.now)))?;
                if self.now.is_some_and(|now| now < time) {
                    self.write()?;
                }
                self.first.get_or_insert(time);
                self.now = Some(time);
                Ok(())
            }
            "0" | "1" | "x" | "z" | "X" | "Z" => self.change(rest, first.as_bytes()),
            "b" | "B" => {
                self.vector = Some(rest.as_bytes().to_owned());
                Ok(())
            }
            "$" => {
                // What is between these are changes like any other.
                self.skips = !["dumpvars", "dumpall", "dumpon", "dumpoff", "end"].contains(&rest);
                Ok(())
            }
            _ => Err(damaged(format!("`{word}` is no change"))),
        }
    }

    fn change(&mut self, code: &str, bits: &[u8]) -> io::Result<()> {
        let signal = *self.codes.get(code).ok_or_else(|| damaged(format!("`{code}` is not declared")))?;
        let value = &mut self.bits[signal];
        let legal = bits.iter().all(|bit| b"01xzXZ".contains(bit)) && (1..=value.len()).contains(&bits.len());
        if !legal {
            return Err(damaged(format!("`{}` is no value of {} bits", String::from_utf8_lossy(bits), value.len())));
        }
        // A value that is too short goes on with zeroes, or with what is unknown.
        let missing = value.len() - bits.len();
        let (filling, low) = value.split_at_mut(missing);
        let top = bits[0].to_ascii_lowercase();
        filling.fill(if top == b'1' { b'0' } else { top });
        low.copy_from_slice(bits);
        low.make_ascii_lowercase();
        if !std::mem::replace(&mut self.is_changed[signal], true) {
            self.changed.push(signal);
        }
        Ok(())
    }

    /// Writes what has changed until now.
    fn write(&mut self) -> io::Result<()> {
        let Some(now) = self.now else { return Ok(()) };
        self.sink.time(now)?;
        for signal in self.changed.drain(..) {
            self.is_changed[signal] = false;
            self.sink.change(signal, &self.bits[signal])?;
        }
        Ok(())
    }
}
