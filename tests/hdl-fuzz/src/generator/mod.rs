//! # Random hardware
//!
//! A [`RandomBlock`] is a module that is made from the choices on its tape, with further random blocks inside. It uses every construct of the HDL
//! and passes every check, whatever is on the tape.
//!
//! A value belongs to a clock domain and has a [`Level`], which says where it may be used:
//!
//! ```text
//!   Registered      registers                        may leave through any output
//!   Combinational   inputs that outputs may follow   may leave through outputs that say so
//!   Late            any input                        only into registers, memories and properties
//! ```
//!
//! Where three simulators may differ and all be right, nothing random happens: resets that take effect at once come from inputs of the top, which
//! are low at first; two clocks never write one word of a memory; what is said to be free of collisions is.

mod arrays;
mod builder;
mod crossings;
mod expressions;
mod instances;
mod memories;
mod properties;
mod registers;
mod shapes;
mod statements;

use rtl_hdl::{Block, Module};

use crate::tape::{Reader, Recorder};
use builder::Builder;

/// How many levels of instances a design has below its top, at most.
const DEPTH_MAX: u32 = 2;

/// A module that is made from the choices on its tape.
#[derive(Clone, Debug)]
pub struct RandomBlock {
    name: String,
    tapes: Recorder,
    /// How many levels of instances it may contain.
    depth: u32,
}

impl RandomBlock {
    /// The top of a design; the tapes of what is inside go by names that begin with this one.
    pub fn top(name: &str, tapes: &Recorder) -> Self {
        RandomBlock { name: name.into(), tapes: tapes.clone(), depth: DEPTH_MAX }
    }

    /// A block for the inside of this one.
    fn inner(&self, number: u32) -> Self {
        let name = format!("{}_{number}", self.name);
        RandomBlock { name, tapes: self.tapes.clone(), depth: self.depth - 1 }
    }

    fn plan(&self) -> Plan {
        self.read_plan(&mut self.tapes.reader(&self.name))
    }

    fn read_plan(&self, tape: &mut Reader) -> Plan {
        // Some of the inner blocks have no clock.
        if self.depth < DEPTH_MAX && tape.percent(15) {
            Plan::without_clock(tape)
        } else {
            Plan::read(tape)
        }
    }
}

impl Block for RandomBlock {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn description(&self) -> String {
        "Random.".into()
    }
    fn build(&self, m: &Module) {
        // The interface comes first on the tape, the contents follow.
        let mut tape = self.tapes.reader(&self.name);
        let plan = self.read_plan(&mut tape);
        Builder::new(self, m, plan, tape).build();
    }
}

/// What a value follows within a clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Level {
    /// Registers only: it may leave through any output.
    Registered,
    /// Inputs that outputs may follow.
    Combinational,
    /// Any input: it may only go into registers, memories and properties.
    Late,
}

/// A port of a clock.
#[derive(Clone, Debug)]
struct PlannedPort {
    name: String,
    width: u32,
    clock: usize,
    level: Level,
}

/// The interface of a random block, known before it is built.
#[derive(Clone, Debug, Default)]
struct Plan {
    /// Whether each clock has a reset.
    clocks: Vec<bool>,
    inputs: Vec<PlannedPort>,
    outputs: Vec<PlannedPort>,
    /// Whether each clock has an output that shows a little of every value, so that no mistake stays inside.
    watched: bool,
    /// How many resets take effect at once; one bit each.
    async_resets: usize,
    /// Widths of inputs that belong to no clock.
    async_inputs: Vec<u32>,
    /// Widths of streams; they belong to the last clock.
    stream_in: Option<u32>,
    stream_out: Option<u32>,
    bundle_stream: bool,
}

impl Plan {
    /// Outputs that follow inputs, and nothing else.
    fn without_clock(tape: &mut Reader) -> Plan {
        let mut ports = |prefix: &str| {
            let count = 1 + tape.below(3);
            let port = |number: u64| {
                let (name, level) = (format!("{prefix}{number}"), Level::Combinational);
                PlannedPort { name, width: width(tape), clock: 0, level }
            };
            (0..count).map(port).collect::<Vec<_>>()
        };
        Plan { inputs: ports("x"), outputs: ports("y"), ..Plan::default() }
    }

    fn read(tape: &mut Reader) -> Plan {
        let has_reset = |tape: &mut Reader| tape.below(4) != 0;
        let mut clocks = vec![has_reset(tape)];
        if tape.percent(50) {
            clocks.push(has_reset(tape));
        }
        let port = |tape: &mut Reader, number: usize, kinds: [(&str, Level); 2]| {
            let (prefix, level) = tape.pick(&kinds);
            PlannedPort {
                name: format!("{prefix}{number}"),
                width: width(tape),
                clock: tape.index(clocks.len()),
                level,
            }
        };
        let mut inputs = Vec::new();
        // The end is a choice of its own also where no more ports fit: without it, taking one away would let another in.
        while tape.below(4) != 0 && inputs.len() < PORTS_MAX {
            inputs.push(port(tape, inputs.len(), [("d", Level::Late), ("x", Level::Combinational)]));
        }
        let mut outputs = vec![port(tape, 0, [("q", Level::Registered), ("y", Level::Combinational)])];
        while tape.below(3) != 0 && outputs.len() < PORTS_MAX {
            outputs.push(port(tape, outputs.len(), [("q", Level::Registered), ("y", Level::Combinational)]));
        }
        let watched = tape.percent(80);
        let async_resets = if tape.percent(40) { 1 + tape.index(2) } else { 0 };
        let async_inputs = if tape.percent(25) { vec![1, width(tape)] } else { vec![] };
        let last_has_reset = clocks.last() == Some(&true);
        let stream_in = tape.percent(25).then(|| width(tape));
        let stream_out = (last_has_reset && tape.percent(30)).then(|| width(tape));
        let bundle_stream = last_has_reset && tape.percent(15);
        Plan { clocks, inputs, outputs, watched, async_resets, async_inputs, stream_in, stream_out, bundle_stream }
    }
}

/// How many ports of a kind a module has, at most.
const PORTS_MAX: usize = 6;

/// The widest value.
const WIDTH_MAX: u32 = 300;

/// A width from 1 to [`WIDTH_MAX`]: mostly small, often at the bounds of machine words.
fn width(tape: &mut Reader) -> u32 {
    let between = |tape: &mut Reader, low: u32, high: u32| low + tape.below(u64::from(high - low + 1)) as u32;
    match tape.below(10) {
        0 | 1 => 1,
        2..=5 => between(tape, 2, 16),
        6 | 7 => between(tape, 17, 64),
        8 => tape.pick(&[32, 64, 65, 31, 33, 63, 65, 127, 128, 129]),
        _ => between(tape, 65, WIDTH_MAX),
    }
}
