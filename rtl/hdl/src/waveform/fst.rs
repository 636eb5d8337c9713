//! Writes the FST format.
//!
//! The values are written by the crate `fst_writer`. It cannot say which names the codes of an enum have, though the format can: as
//! attributes among the declarations. So what it has declared is replaced, before any value is written, by the same declarations with attributes.
//! For the layout see "Fast Signal Trace (FST) format" in the manual of GTKWave.

use super::tree::{Kind, Labels, Scope, Variable};
use super::Sink;
use crate::Direction;
use fst_writer::{
    FstBodyWriter, FstFileType, FstHeaderWriter, FstInfo, FstScopeType, FstSignalId, FstSignalType, FstVarDirection,
    FstVarType, FstWriteError,
};
use std::collections::BTreeMap;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

/// Values are written when so many bytes of them wait. Each time the present value of every signal is written, too.
const BUFFER_BYTES: usize = 4 << 20;

/// Numbers of blocks.
const BLOCK_HIERARCHY_LZ4: u8 = 6;
/// What begins a declaration that is no variable.
const SCOPE: u8 = 254;
const UP_SCOPE: u8 = 255;
const ATTRIBUTE: u8 = 252;
/// An attribute of kind "miscellaneous", and of those the table of an enum.
const MISCELLANEOUS: u8 = 0;
const ENUM_TABLE: u8 = 7;
/// Every block begins with its number in one byte and the number of its other bytes in eight.
const LENGTH_AT: u64 = 1;
const CONTENT_AT: u64 = LENGTH_AT + 8;

/// A waveform that is being written.
pub(crate) struct FstWriter<W: Write + Seek> {
    body: FstBodyWriter<Output<W>>,
    output: Output<W>,
    /// Of each signal: which of the characters of its value are which signal of the file.
    parts: Vec<Vec<(Range<usize>, FstSignalId)>>,
    /// The first time; its values are written as those before the first change.
    first: Option<u64>,
    now: u64,
    /// Where the first block of values begins.
    values_at: u64,
    buffer_bytes: usize,
}

impl<W: Write + Seek> FstWriter<W> {
    /// Declares `tops` and everything in them. The values are of signals with these widths; a unit of time is `10^exponent` seconds.
    pub(crate) fn new(file: W, tops: &[Scope], widths: &[u32], exponent: i8) -> io::Result<Self> {
        let output = Output(Arc::new(Mutex::new(Destination::Memory(Cursor::new(vec![])))));
        let info = FstInfo {
            start_time: 0,
            timescale_exponent: exponent,
            version: concat!("rtl-hdl ", env!("CARGO_PKG_VERSION")).into(),
            // The same run writes the same file.
            date: String::new(),
            file_type: FstFileType::Verilog,
        };
        let header = FstHeaderWriter::new(output.clone(), &info).map_err(failed)?;
        let parts = widths.iter().map(|_| vec![]).collect();
        let mut declarations =
            Declarations { header, bytes: vec![], tables: BTreeMap::new(), ids: BTreeMap::new(), widths, parts };
        tops.iter().try_for_each(|top| declarations.scope(top))?;
        let Declarations { header, bytes, parts, .. } = declarations;
        let body = header.finish().map_err(failed)?;
        let values_at = output.continue_in(file, &bytes)?;
        Ok(Self { body, output, parts, first: None, now: 0, values_at, buffer_bytes: BUFFER_BYTES })
    }
}

impl<W: Write + Seek> Sink for FstWriter<W> {
    fn time(&mut self, time: u64) -> io::Result<()> {
        self.now = time;
        if self.first.is_none() {
            self.first = Some(time);
            return Ok(());
        }
        if self.body.size() > self.buffer_bytes {
            self.body.flush().map_err(failed)?;
        }
        self.body.time_change(time).map_err(failed)
    }

    fn change(&mut self, signal: usize, bits: &[u8]) -> io::Result<()> {
        for (range, id) in &self.parts[signal] {
            self.body.signal_change(*id, &bits[range.clone()]).map_err(failed)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let Self { mut body, output, first, now, values_at, .. } = *self;
        // `fst_writer` begins at zero.
        let first = first.unwrap_or(0);
        body.time_change(now).map_err(failed)?;
        drop(body.finish().map_err(failed)?);
        output.overwrite(CONTENT_AT, first)?;
        output.overwrite(values_at + CONTENT_AT, first)?;
        let mut output = output;
        output.flush()
    }
}

fn failed(error: FstWriteError) -> io::Error {
    match error {
        FstWriteError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// The declarations of a file, once for `fst_writer` and once with attributes.
struct Declarations<'a, W: Write + Seek> {
    header: FstHeaderWriter<Output<W>>,
    bytes: Vec<u8>,
    /// The number of the table of each enum.
    tables: BTreeMap<(Labels, u32), u64>,
    /// The signal of the file, and its number, for each part of a signal: signal, lowest bit, width.
    ids: BTreeMap<(usize, u32, u32), (FstSignalId, u64)>,
    widths: &'a [u32],
    parts: Vec<Vec<(Range<usize>, FstSignalId)>>,
}

impl<W: Write + Seek> Declarations<'_, W> {
    fn scope(&mut self, scope: &Scope) -> io::Result<()> {
        let kind = match scope.kind {
            Kind::Module => FstScopeType::Module,
            Kind::Bundle | Kind::Array => FstScopeType::Struct,
        };
        self.header.scope(&scope.name, "", kind).map_err(failed)?;
        self.bytes.extend([SCOPE, kind as u8]);
        self.text(&scope.name);
        self.text("");
        for variable in &scope.variables {
            self.variable(variable)?;
        }
        for inner in &scope.scopes {
            self.scope(inner)?;
        }
        self.bytes.push(UP_SCOPE);
        self.header.up_scope().map_err(failed)
    }

    fn variable(&mut self, variable: &Variable) -> io::Result<()> {
        let Variable { signal, low, width, .. } = *variable;
        let kind = if variable.is_register { FstVarType::Reg } else { FstVarType::Wire };
        let direction = match variable.direction {
            None => FstVarDirection::Implicit,
            Some(Direction::Input) => FstVarDirection::Input,
            Some(Direction::Output) => FstVarDirection::Output,
        };
        if let Some(labels) = variable.labels.filter(|labels| labels.iter().all(|label| is_plain(label))) {
            self.enum_table(labels, width);
        }
        let name = match width {
            1 => variable.name.clone(),
            _ => format!("{} [{}:0]", variable.name, width - 1),
        };
        let earlier = self.ids.get(&(signal, low, width)).copied();
        let alias = earlier.map(|(id, _)| id);
        let id = self.header.var(&name, FstSignalType::bit_vec(width), kind, direction, alias).map_err(failed)?;
        if earlier.is_none() {
            let number = self.ids.len() as u64 + 1;
            self.ids.insert((signal, low, width), (id, number));
            let end = (self.widths[signal] - low) as usize;
            self.parts[signal].push((end - width as usize..end, id));
        }
        self.bytes.extend([kind as u8, direction as u8]);
        self.text(&name);
        self.number(width.into());
        self.number(earlier.map_or(0, |(_, number)| number));
        Ok(())
    }

    /// Says that the next variable is an enum. Its table stands where it is first needed: a name, the number of its variants, their names and
    /// their codes.
    fn enum_table(&mut self, labels: Labels, width: u32) {
        let known = self.tables.len() as u64 + 1;
        let number = *self.tables.entry((labels, width)).or_insert(known);
        if number == known {
            let codes = (0..labels.len()).map(|code| format!("{code:0width$b}", width = width as usize));
            let words: Vec<String> = labels.iter().map(|label| (*label).to_owned()).chain(codes).collect();
            self.attribute(&format!("enum_{number} {} {}", labels.len(), words.join(" ")), number);
        }
        self.attribute("", number);
    }

    fn attribute(&mut self, text: &str, argument: u64) {
        self.bytes.extend([ATTRIBUTE, MISCELLANEOUS, ENUM_TABLE]);
        self.text(text);
        self.number(argument);
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    /// Seven bits in a byte, the lowest first; the highest bit says that there are more.
    fn number(&mut self, mut number: u64) {
        while number > 0x7F {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

/// Whether a table can hold this name as it is.
fn is_plain(label: &str) -> bool {
    !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What `fst_writer` writes into: memory until the declarations are complete, then the file.
struct Output<W>(Arc<Mutex<Destination<W>>>);

enum Destination<W> {
    Memory(Cursor<Vec<u8>>),
    File(W),
}

impl<W> Clone for Output<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W: Write + Seek> Output<W> {
    fn lock(&self) -> MutexGuard<'_, Destination<W>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Writes what is in memory into `file`, with these declarations, and goes on there. Returns where the values begin.
    fn continue_in(&self, mut file: W, declarations: &[u8]) -> io::Result<u64> {
        let mut destination = self.lock();
        if let Destination::Memory(memory) = &*destination {
            file.write_all(&with_declarations(memory.get_ref(), declarations)?)?;
        }
        let values_at = file.stream_position()?;
        *destination = Destination::File(file);
        Ok(values_at)
    }

    /// Writes a number at a place that has been written before.
    fn overwrite(&self, place: u64, number: u64) -> io::Result<()> {
        let mut this = self.clone();
        this.seek(SeekFrom::Start(place))?;
        this.write_all(&number.to_be_bytes())
    }
}

/// The blocks, with other declarations.
fn with_declarations(blocks: &[u8], declarations: &[u8]) -> io::Result<Vec<u8>> {
    let mut result = Vec::new();
    let mut rest = blocks;
    while let [number, after @ ..] = rest {
        let length = after.first_chunk().map(|bytes| u64::from_be_bytes(*bytes) as usize);
        let Some((block, next)) = length.and_then(|length| rest.split_at_checked(LENGTH_AT as usize + length)) else {
            return Err(io::Error::other("what has been declared is no sequence of blocks"));
        };
        if *number == BLOCK_HIERARCHY_LZ4 {
            let compressed = lz4_flex::compress(declarations);
            // The length counts itself and the number of bytes before compression.
            let length = 8 + 8 + compressed.len() as u64;
            result.push(BLOCK_HIERARCHY_LZ4);
            result.extend(length.to_be_bytes());
            result.extend((declarations.len() as u64).to_be_bytes());
            result.extend(compressed);
        } else {
            result.extend(block);
        }
        rest = next;
    }
    Ok(result)
}

impl<W: Write + Seek> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.lock() {
            Destination::Memory(memory) => memory.write(bytes),
            Destination::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut *self.lock() {
            Destination::Memory(_) => Ok(()),
            Destination::File(file) => file.flush(),
        }
    }
}

impl<W: Write + Seek> Seek for Output<W> {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        match &mut *self.lock() {
            Destination::Memory(memory) => memory.seek(place),
            Destination::File(file) => file.seek(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Seed;
    use fst_reader::{FstFilter, FstReader, FstSignalValue};

    /// However long a waveform is, only what is not yet written is held; and what was written in pieces is read as a whole.
    #[test]
    fn long_waveforms_are_written_in_pieces() {
        const SIGNALS: usize = 40;
        const WIDTH: u32 = 512;
        const BUFFER_BYTES: usize = 1 << 16;
        let variable = |signal| Variable {
            name: format!("s{signal}"),
            is_register: true,
            labels: None,
            direction: None,
            signal,
            low: 0,
            width: WIDTH,
        };
        let top = Scope {
            name: "top".into(),
            kind: Kind::Module,
            variables: (0..SIGNALS).map(variable).collect(),
            scopes: vec![],
        };
        let mut file = Cursor::new(Vec::new());
        let mut writer = Box::new(FstWriter::new(&mut file, &[top], &[WIDTH; SIGNALS], -9).unwrap());
        writer.buffer_bytes = BUFFER_BYTES;
        let mut rng = Seed(1).rng("values");
        let mut expected = Vec::new();
        let mut largest = 0;
        for time in (1..).map(|step| 100 + 3 * step).take(3_000) {
            writer.time(time).unwrap();
            let signal = rng.below(SIGNALS as u64) as usize;
            let bits: Vec<u8> = rng.bits(WIDTH).iter().flat_map(|word| format!("{word:064b}").into_bytes()).collect();
            for signal in [signal, (signal + 1) % SIGNALS] {
                writer.change(signal, &bits).unwrap();
                expected.push((time, signal, bits.clone()));
            }
            largest = largest.max(writer.body.size());
        }
        writer.finish().unwrap();
        assert!(largest < BUFFER_BYTES + 4096, "{largest} bytes were held");

        let mut found = Vec::new();
        let mut reader = FstReader::open(Cursor::new(file.into_inner())).unwrap();
        let read = reader.read_signals::<()>(&FstFilter::all(), |time, handle, value| {
            if let FstSignalValue::String(bits) = value {
                found.push((time, handle.get_index(), bits.to_vec()));
            }
            Ok(())
        });
        assert!(read.is_ok());
        // Signals that have no value at first are unknown then.
        found.retain(|(_, _, bits)| !bits.contains(&b'x'));
        let by_place = |changes: Vec<(u64, usize, Vec<u8>)>| -> BTreeMap<(u64, usize), Vec<u8>> {
            changes.into_iter().map(|(time, signal, bits)| ((time, signal), bits)).collect()
        };
        assert_eq!(by_place(found), by_place(expected));
    }
}
