//! What to build: models, their ports, and the sets of models that share one library.

use std::fmt::Write as _;
use std::path::PathBuf;

use rtl_hdl::{emit, ir, Design};

use crate::coverage;

/// Which way a port goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A one-bit input that [`Simulator::step_clocks`](rtl_hdl::sim::Simulator::step_clocks) raises and lowers.
    Clock,
    /// An input that is not a clock.
    Input,
    /// An output.
    Output,
}

/// One port of a top module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSpec {
    /// The port's name in the Verilog.
    pub name: String,
    /// Which way it goes.
    pub direction: Direction,
    /// Its number of bits.
    pub width: u32,
}

impl PortSpec {
    /// A clock.
    pub fn clock(name: impl Into<String>) -> Self {
        Self { name: name.into(), direction: Direction::Clock, width: 1 }
    }

    /// An input that is not a clock.
    pub fn input(name: impl Into<String>, width: u32) -> Self {
        Self { name: name.into(), direction: Direction::Input, width }
    }

    /// An output.
    pub fn output(name: impl Into<String>, width: u32) -> Self {
        Self { name: name.into(), direction: Direction::Output, width }
    }

    /// How many 64-bit words the port's value takes.
    pub fn words(&self) -> usize {
        self.width.div_ceil(u64::BITS) as usize
    }
}

/// One model: a top module with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// What the model is called in its set: a name without spaces or slashes.
    pub name: String,
    /// The top module.
    pub top: String,
    /// The SystemVerilog of the top module and of every module below it.
    pub verilog: String,
    /// All ports of the top module, in any order.
    pub ports: Vec<PortSpec>,
}

impl ModelSpec {
    /// The model of an elaborated design, named after its top module.
    pub fn of(design: &Design) -> Self {
        let top = design.top();
        let mut verilog = String::new();
        for file in emit(design) {
            // Messages name the file that the emitter would write.
            let _ = write!(verilog, "`line 1 \"{}\" 0\n{}", file.name, file.text);
        }
        let port = |port: &ir::Port| PortSpec {
            name: port.name.clone(),
            direction: match (port.domain, port.direction) {
                (ir::Domain::ClockInput(_), _) => Direction::Clock,
                (_, ir::Direction::Input) => Direction::Input,
                (_, ir::Direction::Output) => Direction::Output,
            },
            width: port.width,
        };
        let ports = top.ports.iter().map(port).collect();
        Self { name: top.name.clone(), top: top.name.clone(), verilog, ports }
    }

    /// The model under another name: a set may hold one module in several configurations.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

/// What the library is compiled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimize {
    /// The shortest builds: models that are made up and run for a few hundred clocks.
    Nothing,
    /// Short builds: block tests, which run for a few thousand clocks.
    #[default]
    Build,
    /// Fast simulation: the whole device, which runs for millions of clocks.
    Run,
}

/// Models that are built together into one library.
#[derive(Clone, Debug)]
pub struct ModelSet {
    /// What the set is called in messages and in the cache.
    pub name: String,
    /// The models.
    pub models: Vec<ModelSpec>,
    /// What the library is compiled for.
    pub optimize: Optimize,
    /// Whether waveforms can be written. Costs speed even while none is written.
    pub trace: bool,
    /// Whether assertions of the Verilog are checked and unknown values get arbitrary, different values. Costs speed.
    pub checks: bool,
    /// The folder where the models write their [`coverage`](crate::coverage), if they count it. Costs speed.
    pub coverage: Option<PathBuf>,
}

impl ModelSet {
    /// An empty set for short builds, with checks and without waveforms; it counts coverage if the environment says so.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            models: Vec::new(),
            optimize: Optimize::Build,
            trace: false,
            checks: true,
            coverage: coverage::folder_from_env(),
        }
    }

    /// The set with one more model.
    #[must_use]
    pub fn with(mut self, model: ModelSpec) -> Self {
        self.models.push(model);
        self
    }

    /// The set compiled for this purpose. [`Optimize::Run`] also turns the checks off.
    #[must_use]
    pub fn optimize(mut self, optimize: Optimize) -> Self {
        self.optimize = optimize;
        self.checks = optimize != Optimize::Run;
        self
    }

    /// The set with or without waveforms.
    #[must_use]
    pub fn trace(mut self, trace: bool) -> Self {
        self.trace = trace;
        self
    }

    /// The set with or without checks.
    #[must_use]
    pub fn checks(mut self, checks: bool) -> Self {
        self.checks = checks;
        self
    }

    /// The set counting coverage into this folder, whatever the environment says.
    #[must_use]
    pub fn coverage(mut self, folder: impl Into<PathBuf>) -> Self {
        self.coverage = Some(folder.into());
        self
    }
}
