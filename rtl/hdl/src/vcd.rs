//! Waveforms: every named value of a running design, clock by clock, as a VCD file.
//!
//! ```
//! use rtl_hdl::{block_fn, elaborate, sim::Simulator, vcd::Traced, zero, Evaluator};
//! # let design = elaborate(&block_fn("counter", |m| {
//! #     let clock = m.clock();
//! #     let count = m.reg("count", clock, zero(8));
//! #     count.set(count + 1);
//! #     m.output("value", count);
//! # }))
//! # .unwrap();
//! let mut file = Vec::new();
//! let mut sim = Traced::new(Evaluator::new(&design).unwrap(), &mut file, 0..100);
//! sim.step();
//! sim.finish()?;
//! # let text = String::from_utf8(file).unwrap();
//! # assert!(text.contains("$scope module counter"), "{text}");
//! # Ok::<(), std::io::Error>(())
//! ```

use crate::sim::{PortId, Simulator};
use crate::Evaluator;
use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;

/// An evaluator that writes a waveform while it runs.
///
/// Inputs change at the falling edge of the clocks, registers at the rising edge. A clock takes 10 ns in the file whatever the real one takes.
/// For a value of an enum, a comment at the head of the file says which code is which variant.
pub struct Traced<W: Write> {
    evaluator: Evaluator,
    writer: ::vcd::Writer<W>,
    variables: Vec<Variable>,
    window: Range<u64>,
    clock: u64,
    error: Option<io::Error>,
}

struct Variable {
    id: ::vcd::IdCode,
    slot: usize,
    width: u32,
    /// The number of the clock that it is.
    clock: Option<usize>,
    /// What the file shows; nothing before the first time.
    shown: Vec<u64>,
}

/// How long a clock takes, and when it rises.
const PERIOD_NS: u64 = 10;
const RISE_NS: u64 = 5;

impl<W: Write> Traced<W> {
    /// Writes what happens in the clocks of `window`, counted from 0 as calls of [`step_clocks`](Simulator::step_clocks).
    pub fn new(evaluator: Evaluator, writer: W, window: Range<u64>) -> Self {
        let mut writer = ::vcd::Writer::new(writer);
        let (variables, error) = match head(&mut writer, &evaluator) {
            Ok(variables) => (variables, None),
            Err(error) => (vec![], Some(error)),
        };
        Traced { evaluator, writer, variables, window, clock: 0, error }
    }

    /// The design that runs.
    pub fn evaluator(&mut self) -> &mut Evaluator {
        &mut self.evaluator
    }

    /// Completes the file, and says whether all of it could be written.
    pub fn finish(mut self) -> io::Result<Evaluator> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.writer.flush().map(|()| self.evaluator),
        }
    }

    /// Writes what differs from what the file shows.
    fn record(&mut self, time: u64, clocks: u64) {
        if self.error.is_none() && self.window.contains(&self.clock) {
            let words = self.evaluator.all_words();
            self.error = changes(&mut self.writer, &mut self.variables, words, time, clocks).err();
        }
    }
}

fn head<W: Write>(writer: &mut ::vcd::Writer<W>, evaluator: &Evaluator) -> io::Result<Vec<Variable>> {
    writer.timescale(1, ::vcd::TimescaleUnit::NS)?;
    let mut variables: Vec<Variable> = Vec::new();
    // Values that share their storage share their changes in the file.
    let mut ids = HashMap::new();
    let mut open: Vec<usize> = Vec::new();
    let mut comments = Vec::new();
    for (index, scope) in evaluator.scopes().iter().enumerate() {
        while open.last().copied() != scope.parent {
            open.pop();
            writer.upscope()?;
        }
        open.push(index);
        writer.add_module(&scope.name)?;
        for value in &scope.values {
            let key = (value.slot, value.width, value.clock);
            let id = *ids.entry(key).or_insert_with(|| {
                let id = ::vcd::IdCode::from(variables.len() as u32 + 1);
                variables.push(Variable {
                    id,
                    slot: value.slot as usize,
                    width: value.width,
                    clock: value.clock,
                    shown: vec![],
                });
                id
            });
            let kind = if value.is_register { ::vcd::VarType::Reg } else { ::vcd::VarType::Wire };
            writer.var_def(kind, value.width, id, &value.name, None)?;
            if let Some(labels) = value.labels {
                let codes: Vec<String> =
                    labels.iter().enumerate().map(|(code, label)| format!("{code}={label}")).collect();
                let path: Vec<&str> = open.iter().map(|scope| evaluator.scopes()[*scope].name.as_str()).collect();
                comments.push(format!("{}.{}: {}", path.join("."), value.name, codes.join(" ")));
            }
        }
    }
    for _ in open {
        writer.upscope()?;
    }
    for comment in comments {
        writer.comment(&comment)?;
    }
    writer.enddefinitions()?;
    Ok(variables)
}

fn changes<W: Write>(
    writer: &mut ::vcd::Writer<W>,
    variables: &mut [Variable],
    words: &[u64],
    time: u64,
    clocks: u64,
) -> io::Result<()> {
    let mut stamped = false;
    for variable in variables {
        let level = variable.clock.map(|clock| [clocks >> clock & 1]);
        let value = match &level {
            Some(level) => &level[..],
            None => &words[variable.slot..][..crate::words_for(variable.width)],
        };
        if variable.shown == value {
            continue;
        }
        variable.shown.clear();
        variable.shown.extend_from_slice(value);
        if !stamped {
            writer.timestamp(time)?;
            stamped = true;
        }
        let bit = |i: u32| ::vcd::Value::from(value[(i / 64) as usize] >> (i % 64) & 1 == 1);
        if variable.width == 1 {
            writer.change_scalar(variable.id, bit(0))?;
        } else {
            // Zeroes at the front say nothing.
            let high = (0..variable.width).rev().find(|i| bit(*i) == ::vcd::Value::V1).unwrap_or(0);
            writer.change_vector(variable.id, (0..=high).rev().map(bit))?;
        }
    }
    Ok(())
}

impl<W: Write> Simulator for Traced<W> {
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
