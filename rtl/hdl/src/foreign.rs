//! Modules written in Verilog. Their parameters and ports are read from the text itself; what the text cannot tell is said here, and
//! checked against it.
//!
//! ```text
//!   text --text.rs--> tokens --header.rs--> parameters and ports, with expressions for widths
//!                                               |  parameters that are set
//!                                               v  expression.rs
//!   clocks, resets, paths: what is said --> the ports of a module
//! ```

mod expression;
mod header;
mod text;

use crate::ir::*;
use crate::module::{problem, MAX_WIDTH};
use crate::Constant;
use expression::Value;
use header::{Header, Parameter, Range, Shape};
use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;

/// A module written in Verilog.
///
/// Its ports are those of its text: ranges of constant expressions over parameters, in a list or in the body. The text cannot tell which inputs
/// are clocks and which ports belong to which, so that is said. What is said wrongly is a problem of the elaboration, and so is a port
/// that this language has no signal for.
///
/// ```
/// use rtl_hdl::{block_fn, elaborate, Foreign};
///
/// let accumulator = Foreign::from_verilog("accumulator", "
///     module accumulator #(parameter WIDTH = 8, localparam SUM = WIDTH + $clog2(1000)) (
///       input  logic clk, rst,
///       input  logic [WIDTH-1:0] sample,
///       output logic [SUM-1:0] sum
///     );
///       always_ff @(posedge clk) sum <= rst ? '0 : sum + SUM'(sample);
///     endmodule")
///     .parameter("WIDTH", 12)
///     .clock("clk")
///     .reset("rst");
/// let block = block_fn("average", |m| {
///     let clock = m.clock();
///     let inner = m.foreign("accumulator", &accumulator, &[clock]);
///     inner.port("sample").set(m.input("sample", 12));
///     m.output("sum", inner.port("sum").bits(10..22));
/// });
/// elaborate(&block)?;
/// # Ok::<(), rtl_hdl::Problems>(())
/// ```
#[derive(Clone, Debug)]
pub struct Foreign {
    name: String,
    text: Rc<str>,
    /// Whether the text goes with the design.
    is_carried: bool,
    licences: Vec<(String, Rc<str>)>,
    source: Source,
    said: Vec<(Said, Source)>,
}

/// What is said of a module, in the order in which it is said.
#[derive(Clone, Debug)]
enum Said {
    Parameter(String, ParameterValue),
    Define(String, Option<String>),
    Clock(String),
    Reset(String, ResetKind),
    Ports(Vec<String>),
    Asynchronous(Vec<String>),
    Combinational(String, Vec<String>),
}

/// The value of a parameter of a module written in Verilog.
#[derive(Clone, PartialEq, Debug)]
pub enum ParameterValue {
    /// Bits, as a literal with a size.
    Bits(Constant),
    /// An integer, which takes the type that the module gives the parameter.
    Integer(i32),
    /// A real number.
    Real(f64),
    /// Text in quotes.
    Text(String),
}

impl From<i32> for ParameterValue {
    fn from(value: i32) -> Self {
        ParameterValue::Integer(value)
    }
}

impl From<u32> for ParameterValue {
    fn from(value: u32) -> Self {
        match i32::try_from(value) {
            Ok(value) => ParameterValue::Integer(value),
            Err(_) => ParameterValue::Bits(Constant::from_words(32, &[value.into()])),
        }
    }
}

impl From<bool> for ParameterValue {
    fn from(value: bool) -> Self {
        ParameterValue::Bits(Constant::from_words(1, &[value.into()]))
    }
}

impl From<f64> for ParameterValue {
    fn from(value: f64) -> Self {
        ParameterValue::Real(value)
    }
}

impl From<&str> for ParameterValue {
    fn from(value: &str) -> Self {
        ParameterValue::Text(value.into())
    }
}

impl From<Constant> for ParameterValue {
    fn from(value: Constant) -> Self {
        ParameterValue::Bits(value)
    }
}

impl ParameterValue {
    /// The value in SystemVerilog.
    pub fn verilog(&self) -> String {
        match self {
            ParameterValue::Bits(bits) => bits.verilog(),
            ParameterValue::Integer(value) => value.to_string(),
            ParameterValue::Real(value) => format!("{value:?}"),
            ParameterValue::Text(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        }
    }
}

/// Something in a text that cannot be read, or is no part of this language.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Refusal {
    line: u32,
    message: String,
}

impl Foreign {
    /// The module `name` of `text`, which goes with the design into everything that reads the design.
    #[track_caller]
    pub fn from_verilog(name: &str, text: &str) -> Self {
        Foreign {
            name: name.into(),
            text: text.into(),
            is_carried: true,
            licences: vec![],
            source: Location::caller(),
            said: vec![],
        }
    }

    /// The module `name` of `text`, of which only the header is used, and nothing goes with the design: the tools that read the design have
    /// the module from elsewhere. It may be the module's whole text or its declaration alone.
    #[track_caller]
    pub fn from_header(name: &str, text: &str) -> Self {
        Foreign { is_carried: false, source: Location::caller(), ..Self::from_verilog(name, text) }
    }

    #[track_caller]
    fn say(mut self, said: Said) -> Self {
        self.said.push((said, Location::caller()));
        self
    }

    /// Sets a parameter: a number, a truth value, text, or a [`Constant`].
    #[track_caller]
    pub fn parameter(self, name: &str, value: impl Into<ParameterValue>) -> Self {
        self.say(Said::Parameter(name.into(), value.into()))
    }

    /// Says that this text, a licence or a notice, goes with the module wherever it goes, in a file of this name: see [`licences`](crate::licences).
    pub fn licence(mut self, file: &str, text: &str) -> Self {
        self.licences.push((file.into(), text.into()));
        self
    }

    /// Defines a macro for the text, here and in what goes with the design.
    #[track_caller]
    pub fn define(self, name: &str, text: &str) -> Self {
        self.say(Said::Define(name.into(), Some(text.into())))
    }

    /// Says that a macro on which the header depends is not defined.
    #[track_caller]
    pub fn undefined(self, name: &str) -> Self {
        self.say(Said::Define(name.into(), None))
    }

    /// Says that an input is a clock. If it is the only one, all ports belong to it that nothing else is said of.
    #[track_caller]
    pub fn clock(self, name: &str) -> Self {
        self.say(Said::Clock(name.into()))
    }

    /// Says that an input is the synchronous reset, true when set, of the clock that was named last. It is driven by that of the clock which
    /// the instance is given. An input that resets when it is not set is a port like any other.
    #[track_caller]
    pub fn reset(self, name: &str) -> Self {
        self.say(Said::Reset(name.into(), ResetKind::Synchronous))
    }

    /// Like [`reset`](Self::reset), for a reset that takes effect at once: all outputs of the clock follow it.
    #[track_caller]
    pub fn async_reset(self, name: &str) -> Self {
        self.say(Said::Reset(name.into(), ResetKind::Asynchronous))
    }

    /// Says that these ports belong to the clock that was named last. A module with several clocks needs it for every port.
    #[track_caller]
    pub fn ports(self, names: &[&str]) -> Self {
        self.say(Said::Ports(owned(names)))
    }

    /// Says that these ports belong to no clock: the inputs take what may change at any time, the outputs may.
    #[track_caller]
    pub fn asynchronous(self, names: &[&str]) -> Self {
        self.say(Said::Asynchronous(owned(names)))
    }

    /// Says that `output` follows `inputs` without a register between. In a module without a clock every output follows every input, unless
    /// this is said of it.
    #[track_caller]
    pub fn combinational(self, output: &str, inputs: &[&str]) -> Self {
        self.say(Said::Combinational(output.into(), owned(inputs)))
    }

    /// The module, and whether its text could be read. What is wrong becomes problems of the elaboration.
    pub(crate) fn to_ir(&self) -> Rc<ModuleIr> {
        let foreign = ForeignIr {
            parameters: self.parameters(),
            verilog: self.carried(),
            licences: self.licences.clone(),
            is_unreadable: false,
        };
        let mut ir = ModuleIr { foreign: Some(foreign), ..ModuleIr::empty(&self.name) };
        if let Err(refusals) = self.read_ports(&mut ir) {
            for Refusal { line, message } in refusals {
                problem(self.source, format!("line {line} of the Verilog of `{}`: {message}", self.name));
            }
            ir.foreign = ir.foreign.map(|foreign| ForeignIr { is_unreadable: true, ..foreign });
        } else {
            Roles::new(self, &mut ir).assign();
        }
        Rc::new(ir)
    }

    fn parameters(&self) -> Vec<(String, ParameterValue)> {
        let parameter = |(said, _): &(Said, Source)| match said {
            Said::Parameter(name, value) => Some((name.clone(), value.clone())),
            _ => None,
        };
        self.said.iter().filter_map(parameter).collect()
    }

    fn macros(&self) -> impl Iterator<Item = (&str, Option<&str>, Source)> {
        self.said.iter().filter_map(|(said, source)| match said {
            Said::Define(name, text) => Some((name.as_str(), text.as_deref(), *source)),
            _ => None,
        })
    }

    /// The text that goes with the design, with the macros that hold in it alone.
    fn carried(&self) -> Option<Rc<str>> {
        if !self.is_carried {
            return None;
        }
        let defined: Vec<(&str, &str)> = self.macros().filter_map(|(name, text, _)| Some((name, text?))).collect();
        let before: String = defined.iter().map(|(name, text)| format!("`define {name} {text}\n")).collect();
        let after: String = defined.iter().map(|(name, _)| format!("`undef {name}\n")).collect();
        let end = if self.text.ends_with('\n') { "" } else { "\n" };
        Some(format!("{before}{}{end}{after}", self.text).into())
    }

    fn read_ports(&self, ir: &mut ModuleIr) -> Result<(), Vec<Refusal>> {
        for (name, _, source) in self.macros().filter(|(name, ..)| is_of_tools(name) && self.is_carried) {
            problem(
                source,
                format!(
                    "each tool says for itself whether `{name}` is defined: give a text that does not depend on it"
                ),
            );
        }
        let known = self.macros().map(|(name, text, _)| (name, text));
        let reader = text::Reader::new(&self.text, known);
        let header = header::read(&self.name, reader).map_err(|refusal| vec![refusal])?;
        let values = self.values(&header);
        let mut refusals = header.refusals.clone();
        for port in &header.ports {
            match width_of(&port.ranges, port.width, &values) {
                Ok(width) => ir.ports.push(Port {
                    name: port.name.into(),
                    direction: port.direction,
                    width,
                    node: 0,
                    domain: Domain::Any,
                }),
                Err(refusal) => {
                    let message = format!("the width of the port `{}` is not known: {}", port.name, refusal.message);
                    refusals.push(Refusal { line: port.line, message });
                }
            }
        }
        refusals.sort_by_key(|refusal| refusal.line);
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(refusals)
        }
    }

    /// The values of the parameters: those that are set, and the others by their defaults.
    fn values<'h>(&self, header: &'h Header) -> Values<'h> {
        let mut set: BTreeMap<&str, (&ParameterValue, Source)> = BTreeMap::new();
        for (said, source) in &self.said {
            let Said::Parameter(name, value) = said else { continue };
            let refuse = |why: String| problem(source, format!("the parameter `{name}` of `{}` {why}", self.name));
            match header.parameters.iter().find(|parameter| parameter.name == name) {
                None => {
                    let settable = header.parameters.iter().filter(|p| !p.is_local && !matches!(p.shape, Shape::Type));
                    let known: Vec<&str> = settable.map(|parameter| parameter.name).collect();
                    refuse(match known.len() {
                        0 => "does not exist; there are none that can be set: remove it".into(),
                        _ => format!("does not exist; there are {}", list(known.into_iter())),
                    });
                }
                Some(parameter) if parameter.is_local => {
                    refuse(format!("is local (line {} of its Verilog): set what it is computed from", parameter.line));
                }
                Some(Parameter { shape: Shape::Type, line, .. }) => {
                    refuse(format!("is a type (line {line} of its Verilog): write a module around it that sets it"));
                }
                Some(_) if set.contains_key(name.as_str()) => refuse("is set twice: remove one of them".into()),
                Some(_) => drop(set.insert(name, (value, *source))),
            }
        }
        let mut values = Values::new();
        for parameter in &header.parameters {
            let set = set.get(parameter.name).copied();
            if set.is_none() && !parameter.has_default && !parameter.is_local {
                let (line, name) = (parameter.line, parameter.name);
                problem(
                    self.source,
                    format!("the parameter `{name}` of `{}` (line {line} of its Verilog) has no default: set it with `.parameter(\"{name}\", ..)`", self.name),
                );
            }
            let value = self.value(parameter, set, &values);
            values.entry(parameter.name).or_insert((parameter.line, value));
        }
        values
    }

    fn value(
        &self,
        parameter: &Parameter,
        set: Option<(&ParameterValue, Source)>,
        values: &Values,
    ) -> Result<Value, Refusal> {
        let refusal = |message: &str| Refusal { line: parameter.line, message: message.into() };
        let width = match &parameter.shape {
            Shape::Bits { ranges, width, .. } => Some(width_of(ranges, *width, values)?),
            _ => None,
        };
        if let (Some((value, source)), Some(width)) = (set, width) {
            let signed = matches!(parameter.shape, Shape::Bits { signed: true, .. });
            if !fits(value, width, signed) {
                problem(
                    source,
                    format!(
                        "{} does not fit the parameter `{}` of `{}`, which has {width} bits{}",
                        value.verilog(),
                        parameter.name,
                        self.name,
                        if signed { " with a sign" } else { "" }
                    ),
                );
            }
        }
        if width.is_some_and(|width| width > u64::BITS) {
            return Err(refusal("it has more than 64 bits"));
        }
        let value = match set {
            Some((ParameterValue::Integer(value), _)) => Value::integer(*value),
            Some((ParameterValue::Bits(bits), _)) => match bits.words() {
                [word] => Value::new(*word, bits.width(), false),
                _ => return Err(refusal("it has more than 64 bits")),
            },
            Some(_) => return Err(refusal("its value is no number of bits")),
            None => {
                let default = parameter.default.as_ref().map_err(Refusal::clone)?;
                default.value_as_wide_as(width.unwrap_or(1), &lookup(values), parameter.line)?
            }
        };
        match (&parameter.shape, width) {
            (Shape::Bits { signed, .. }, Some(width)) => Ok(value.cast(width, *signed)),
            (Shape::OfValue { signed }, _) => Ok(Value { signed: value.signed || *signed, ..value }),
            _ => Err(refusal("its type is not known here")),
        }
    }
}

/// The values of parameters, with the lines that declare them.
type Values<'h> = BTreeMap<&'h str, (u32, Result<Value, Refusal>)>;

fn lookup<'v, 'a>(values: &'v Values) -> impl Fn(text::Token<'a>) -> Result<Value, Refusal> + 'v {
    |name| match values.get(name.text) {
        Some((_, Ok(value))) => Ok(*value),
        Some((line, Err(refusal))) => {
            let message = format!("the parameter `{}` (line {line}): {}", name.text, refusal.message);
            Err(Refusal { line: name.line, message })
        }
        None => {
            let message = format!(
                "no parameter `{}` is declared before it: if it is in a package or in another file, put the number in its place",
                name.text
            );
            Err(Refusal { line: name.line, message })
        }
    }
}

/// How many bits ranges of `width` bits have together.
fn width_of(ranges: &[Range], width: u32, values: &Values) -> Result<u32, Refusal> {
    let lookup = lookup(values);
    let mut bits = i128::from(width);
    let mut line = 0;
    for (high, low, at) in ranges {
        line = *at;
        let [high, low] = [high, low].map(|side| side.value(&lookup, line).map(Value::number));
        bits = bits.saturating_mul((high? - low?).abs() + 1);
    }
    match u32::try_from(bits) {
        Ok(bits) if (1..=MAX_WIDTH).contains(&bits) => Ok(bits),
        _ => Err(Refusal { line, message: format!("it would have {bits} bits, and a signal has 1 to {MAX_WIDTH}") }),
    }
}

/// Whether a parameter of `width` bits can have this value.
fn fits(value: &ParameterValue, width: u32, signed: bool) -> bool {
    let number = match value {
        ParameterValue::Integer(value) => i128::from(*value),
        ParameterValue::Bits(bits) => match bits.words() {
            [word] => i128::from(*word),
            words => {
                return words.iter().enumerate().all(|(index, word)| {
                    let below = u64::from(width).saturating_sub(64 * index as u64);
                    below >= 64 || word >> below == 0
                })
            }
        },
        // Text is bits, and a number is rounded.
        ParameterValue::Real(_) | ParameterValue::Text(_) => return true,
    };
    let magnitude = width.min(100) - u32::from(signed);
    number >> magnitude == 0 || signed && number >> magnitude == -1
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// True for what tools define by themselves.
fn is_of_tools(name: &str) -> bool {
    ["SYNTHESIS", "VERILATOR", "YOSYS", "FORMAL"].contains(&name)
}

/// `a, b and c` as far as a line has room.
pub(crate) fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN_MAX: usize = 16;
    let names: Vec<&str> = names.collect();
    let shown: Vec<String> = names.iter().take(SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Which of the names are most like the one that is wanted; if none is, which there are.
pub(crate) fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN_MAX: usize = 3;
    let names: Vec<&str> = names.collect();
    let mut near: Vec<(usize, &str)> = names.iter().map(|name| (distance(wanted, name), *name)).collect();
    near.retain(|(distance, name)| *distance <= name.len().min(wanted.len()) / 2);
    near.sort();
    near.truncate(SHOWN_MAX);
    match (near.len(), names.len()) {
        (_, 0) => "it has none".into(),
        (0, _) => format!("it has {}", list(names.into_iter())),
        _ => format!("similar: {}", list(near.into_iter().map(|(_, name)| name))),
    }
}

/// How many letters have to be changed, put in, or left out to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    /// What is behind has no part in it.
    const LETTERS_MAX: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(LETTERS_MAX).collect(), b.chars().take(LETTERS_MAX).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Gives ports the roles that are said of them.
struct Roles<'f> {
    foreign: &'f Foreign,
    ir: &'f mut ModuleIr,
    /// Where the role of a port is said.
    said: BTreeMap<usize, Source>,
    /// The clock that was named last; `None` if it is none.
    clock: Option<Option<usize>>,
    is_wrong: bool,
}

impl<'f> Roles<'f> {
    fn new(foreign: &'f Foreign, ir: &'f mut ModuleIr) -> Self {
        Roles { foreign, ir, said: BTreeMap::new(), clock: None, is_wrong: false }
    }

    fn assign(mut self) {
        for (said, source) in &self.foreign.said {
            match said {
                Said::Parameter(..) | Said::Define(..) => {}
                Said::Clock(name) => self.clock(name, source),
                Said::Reset(name, kind) => self.reset(name, *kind, source),
                Said::Ports(names) => {
                    let clock = self.clock_of("`ports`", source);
                    for port in self.find_all(names, source) {
                        if let (true, Some(clock)) = (self.claim(port, source), clock) {
                            self.ir.ports[port].domain = Domain::Clock(clock);
                        }
                    }
                }
                Said::Asynchronous(names) => {
                    for port in self.find_all(names, source) {
                        if self.claim(port, source) {
                            self.ir.ports[port].domain = Domain::Async;
                        }
                    }
                }
                Said::Combinational(output, inputs) => self.combinational(output, inputs, source),
            }
        }
        self.rest();
        if self.is_wrong {
            // Nothing is to follow from half of what is said.
            self.ir.clocks.clear();
            self.ir.combinational.clear();
            self.ir.ports.iter_mut().for_each(|port| port.domain = Domain::Any);
            self.ir.foreign.iter_mut().for_each(|foreign| foreign.is_unreadable = true);
        }
    }

    fn refuse(&mut self, source: Source, message: String) {
        self.is_wrong = true;
        problem(source, message);
    }

    fn find(&mut self, name: &str, source: Source) -> Option<usize> {
        let found = self.ir.port(name);
        if found.is_none() {
            let known = nearest(name, self.ir.ports.iter().map(|port| port.name.as_str()));
            self.refuse(source, format!("the Verilog of `{}` has no port `{name}`; {known}", self.foreign.name));
        }
        found
    }

    fn find_all(&mut self, names: &[String], source: Source) -> Vec<usize> {
        names.iter().filter_map(|name| self.find(name, source)).collect()
    }

    /// Notes that the role of a port is said; false if it has one.
    fn claim(&mut self, port: usize, source: Source) -> bool {
        let earlier = self.said.insert(port, source);
        if let Some(earlier) = earlier {
            let message = format!(
                "what the port `{}` of `{}` belongs to is said twice: first at {}:{}; remove one of them",
                self.ir.ports[port].name,
                self.foreign.name,
                earlier.file(),
                earlier.line()
            );
            self.refuse(source, message);
        }
        earlier.is_none()
    }

    /// A port that is to be an input of one bit.
    fn input_bit(&mut self, what: &str, name: &str, source: Source) -> Option<usize> {
        let port = self.find(name, source)?;
        let Port { direction, width, .. } = self.ir.ports[port];
        if direction == Direction::Output || width != 1 {
            let is = match direction {
                Direction::Output => "an output".into(),
                Direction::Input => format!("an input of {width} bits"),
            };
            let message = format!("the {what} `{name}` of `{}` is {is}: name an input of one bit", self.foreign.name);
            self.refuse(source, message);
            return None;
        }
        self.claim(port, source).then_some(port)
    }

    fn clock(&mut self, name: &str, source: Source) {
        self.clock = Some(None);
        let Some(port) = self.input_bit("clock", name, source) else { return };
        let index = self.ir.clocks.len();
        self.ir.clocks.push(ClockIr { name: name.into(), node: port, reset: None, reset_kind: ResetKind::Synchronous });
        self.ir.ports[port].domain = Domain::ClockInput(index);
        self.clock = Some(Some(index));
    }

    /// The clock that was named last.
    fn clock_of(&mut self, what: &str, source: Source) -> Option<usize> {
        if self.clock.is_none() {
            let message =
                format!("{what} of `{}` is said before any clock: say which with `clock` before", self.foreign.name);
            self.refuse(source, message);
        }
        self.clock.flatten()
    }

    fn reset(&mut self, name: &str, kind: ResetKind, source: Source) {
        let clock = self.clock_of(&format!("the reset `{name}`"), source);
        let (Some(port), Some(clock)) = (self.input_bit("reset", name, source), clock) else { return };
        if let Some(other) = self.ir.clocks[clock].reset {
            let message = format!(
                "the clock `{}` of `{}` has the reset `{}`: make `{name}` one of its `ports`",
                self.ir.clocks[clock].name, self.foreign.name, self.ir.ports[other].name
            );
            self.refuse(source, message);
            return;
        }
        self.ir.clocks[clock].reset = Some(port);
        self.ir.clocks[clock].reset_kind = kind;
        self.ir.ports[port].domain = match kind {
            ResetKind::Synchronous => Domain::Clock(clock),
            ResetKind::Asynchronous => Domain::Async,
        };
    }

    fn combinational(&mut self, output: &str, inputs: &[String], source: Source) {
        let from = self.find_all(inputs, source);
        let Some(to) = self.find(output, source) else { return };
        let directions = [(to, Direction::Output)].into_iter().chain(from.iter().map(|port| (*port, Direction::Input)));
        for (port, wanted) in directions {
            if self.ir.ports[port].direction != wanted {
                let (is, should) = match wanted {
                    Direction::Output => ("an input", "an output that follows inputs"),
                    Direction::Input => ("an output", "inputs that an output follows"),
                };
                let message =
                    format!("`{}` of `{}` is {is}: name {should}", self.ir.ports[port].name, self.foreign.name);
                self.refuse(source, message);
            }
        }
        match self.ir.combinational.iter_mut().find(|(other, _)| *other == to) {
            Some((_, inputs)) => inputs.extend(from),
            None => self.ir.combinational.push((to, from)),
        }
    }

    /// What follows from what is said.
    fn rest(&mut self) {
        let open: Vec<usize> = (0..self.ir.ports.len()).filter(|port| !self.said.contains_key(port)).collect();
        match self.ir.clocks.len() {
            0 => {}
            1 => open.iter().for_each(|port| self.ir.ports[*port].domain = Domain::Clock(0)),
            _ if open.is_empty() => {}
            count => {
                let names = list(open.iter().map(|port| self.ir.ports[*port].name.as_str()));
                let message = format!(
                    "`{}` has {count} clocks, and nothing says to which of them {names} belong: list them in `ports` behind a `clock`, or in `asynchronous`",
                    self.foreign.name
                );
                self.refuse(self.foreign.source, message);
            }
        }
        let inputs =
            |ir: &ModuleIr| (0..ir.ports.len()).filter(|port| ir.ports[*port].direction == Direction::Input).collect();
        for port in 0..self.ir.ports.len() {
            if self.ir.ports[port].direction == Direction::Input {
                continue;
            }
            let mut from: Vec<usize> = match self.ir.combinational.iter().position(|(output, _)| *output == port) {
                Some(at) => self.ir.combinational.swap_remove(at).1,
                None if self.ir.clocks.is_empty() => inputs(self.ir),
                None => vec![],
            };
            if let Domain::Clock(clock) = self.ir.ports[port].domain {
                let ClockIr { reset, reset_kind, .. } = self.ir.clocks[clock];
                from.extend(reset.filter(|_| reset_kind == ResetKind::Asynchronous));
            }
            from.sort_unstable();
            from.dedup();
            if !from.is_empty() {
                self.ir.combinational.push((port, from));
            }
        }
        self.ir.combinational.sort();
    }
}
