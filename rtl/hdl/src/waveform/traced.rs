//! The evaluator's waveform.

use super::fst::FstWriter;
use super::gtkwave;
use super::tree::{readable, Instance, Value};
use super::vcd::VcdWriter;
use super::{Format, Sink};
use crate::sim::{PortId, Simulator};
use crate::{words_for, Evaluator};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::ops::Range;
use std::path::Path;

/// How long a clock takes, and when it rises.
const PERIOD_NS: u64 = 10;
const RISE_NS: u64 = 5;
/// Nanoseconds, as a power of ten of seconds.
const NANOSECOND: i8 = -9;

/// An evaluator that writes a waveform while it runs.
///
/// Inputs change at the falling edge of the clocks, registers at the rising edge. A clock takes 10 ns in the file whatever the real one takes.
pub struct Traced<'a> {
    evaluator: Evaluator,
    sink: Option<Box<dyn Sink + 'a>>,
    signals: Vec<Signal>,
    window: Range<u64>,
    clock: u64,
    error: Option<io::Error>,
}

/// A value of the evaluator that is written.
struct Signal {
    slot: usize,
    width: u32,
    /// The number of the clock that it is.
    clock: Option<usize>,
    /// What the file shows; nothing before the first time.
    shown: Vec<u64>,
}

impl Traced<'static> {
    /// Writes what happens in the clocks of `window` into a file, in the format of its ending, and beside an FST file a save file for GTKWave.
    /// Clocks are counted from 0 as calls of [`step_clocks`](Simulator::step_clocks).
    ///
    /// # Errors
    /// If the ending is unknown or a file cannot be created.
    pub fn create(evaluator: Evaluator, path: &Path, window: Range<u64>) -> io::Result<Self> {
        let format = Format::of(path).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let file = BufWriter::new(File::create(path)?);
        match format {
            Format::Vcd => Ok(Self::vcd(evaluator, file, window)),
            Format::Fst => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let top = readable(vec![declarations(&evaluator).0]);
                fs::write(path.with_extension("gtkw"), gtkwave::save_file(&top, &name, window.start * PERIOD_NS))?;
                Ok(Self::fst(evaluator, file, window))
            }
        }
    }
}

impl<'a> Traced<'a> {
    /// Writes what happens in the clocks of `window` as VCD. What goes wrong, [`finish`](Self::finish) says.
    pub fn vcd(evaluator: Evaluator, file: impl Write + 'a, window: Range<u64>) -> Self {
        let (top, signals) = declarations(&evaluator);
        let sink = VcdWriter::new(file, &top).map(|writer| Box::new(writer) as Box<dyn Sink + 'a>);
        Self::new(evaluator, sink, signals, window)
    }

    /// Writes what happens in the clocks of `window` as FST. What goes wrong, [`finish`](Self::finish) says.
    pub fn fst(evaluator: Evaluator, file: impl Write + Seek + 'a, window: Range<u64>) -> Self {
        let (top, signals) = declarations(&evaluator);
        let top = readable(vec![top]);
        let widths: Vec<u32> = signals.iter().map(|signal| signal.width).collect();
        let sink = FstWriter::new(file, &top, &widths, NANOSECOND).map(|writer| Box::new(writer) as Box<dyn Sink + 'a>);
        Self::new(evaluator, sink, signals, window)
    }

    fn new(
        evaluator: Evaluator,
        sink: io::Result<Box<dyn Sink + 'a>>,
        signals: Vec<Signal>,
        window: Range<u64>,
    ) -> Self {
        let (sink, error) = match sink {
            Ok(sink) => (Some(sink), None),
            Err(error) => (None, Some(error)),
        };
        Traced { evaluator, sink, signals, window, clock: 0, error }
    }

    /// The design that runs.
    pub fn evaluator(&mut self) -> &mut Evaluator {
        &mut self.evaluator
    }

    /// Completes the file.
    ///
    /// # Errors
    /// If not all of it could be written.
    pub fn finish(self) -> io::Result<Evaluator> {
        match (self.error, self.sink) {
            (Some(error), _) => Err(error),
            (None, Some(sink)) => sink.finish().map(|()| self.evaluator),
            (None, None) => Ok(self.evaluator),
        }
    }

    /// Writes what differs from what the file shows.
    fn record(&mut self, time: u64, clocks: u64) {
        let Some(sink) = self.sink.as_mut().filter(|_| self.error.is_none() && self.window.contains(&self.clock))
        else {
            return;
        };
        let words = self.evaluator.all_words();
        self.error = changes(&mut **sink, &mut self.signals, words, time, clocks).err();
    }
}

/// The named values of an evaluator, and those of them that differ.
fn declarations(evaluator: &Evaluator) -> (Instance, Vec<Signal>) {
    let mut signals: Vec<Signal> = Vec::new();
    // Values that share their storage share their changes in the file.
    let mut numbers = HashMap::new();
    let mut instances: Vec<Option<Instance>> = Vec::new();
    for scope in evaluator.scopes() {
        let values = scope.values.iter().map(|value| {
            let number = *numbers.entry((value.slot, value.width, value.clock)).or_insert_with(|| {
                let slot = value.slot as usize;
                signals.push(Signal { slot, width: value.width, clock: value.clock, shown: vec![] });
                signals.len() - 1
            });
            Value { name: value.name.clone(), width: value.width, signal: number, notes: value.notes.clone() }
        });
        instances.push(Some(Instance { name: scope.name.clone(), values: values.collect(), children: vec![] }));
    }
    // A scope comes after the one that contains it; the last ones are moved into theirs first.
    for (index, scope) in evaluator.scopes().iter().enumerate().rev() {
        let Some(parent) = scope.parent else { continue };
        if let Some(child) = instances[index].take() {
            if let Some(parent) = &mut instances[parent] {
                parent.children.insert(0, child);
            }
        }
    }
    let top = instances.into_iter().next().flatten().expect("a design has a top");
    (top, signals)
}

fn changes(sink: &mut dyn Sink, signals: &mut [Signal], words: &[u64], time: u64, clocks: u64) -> io::Result<()> {
    let mut stamped = false;
    let mut bits = Vec::new();
    for (number, signal) in signals.iter_mut().enumerate() {
        let level = signal.clock.map(|clock| [clocks >> clock & 1]);
        let value = match &level {
            Some(level) => &level[..],
            None => &words[signal.slot..][..words_for(signal.width)],
        };
        if signal.shown == value {
            continue;
        }
        signal.shown.clear();
        signal.shown.extend_from_slice(value);
        if !stamped {
            sink.time(time)?;
            stamped = true;
        }
        bits.clear();
        bits.extend((0..signal.width).rev().map(|bit| b'0' + (value[(bit / 64) as usize] >> (bit % 64) & 1) as u8));
        sink.change(number, &bits)?;
    }
    Ok(())
}

impl Simulator for Traced<'_> {
    fn port(&self, name: &str) -> PortId {
        self.evaluator.port(name)
    }
    fn poke(&mut self, port: PortId, words: &[u64]) {
        self.evaluator.poke(port, words);
    }
    fn peek(&self, port: PortId, words: &mut [u64]) {
        self.evaluator.peek(port, words);
    }
    fn settle(&mut self) {
        self.evaluator.settle();
    }
    fn step_clocks(&mut self, clocks: u64) {
        self.record(self.clock * PERIOD_NS, 0);
        self.evaluator.step_clocks(clocks);
        self.record(self.clock * PERIOD_NS + RISE_NS, clocks);
        self.clock += 1;
    }
}
