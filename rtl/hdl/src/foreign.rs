//! Modules written in Verilog, known by their ports.

use crate::ir::*;
use crate::Constant;
use std::rc::Rc;

/// A module written in Verilog, known by its ports.
#[derive(Clone, Debug)]
pub struct Foreign {
    name: String,
    parameters: Vec<(String, Constant)>,
    ports: Vec<Port>,
    clocks: Vec<ClockIr>,
    combinational: Vec<(String, Vec<String>)>,
    verilog: Option<String>,
}

impl Foreign {
    /// A module with this name and no ports yet.
    pub fn new(name: &str) -> Self {
        Foreign {
            name: name.into(),
            parameters: vec![],
            ports: vec![],
            clocks: vec![],
            combinational: vec![],
            verilog: None,
        }
    }

    /// Sets a parameter.
    pub fn parameter(mut self, name: &str, value: Constant) -> Self {
        self.parameters.push((name.into(), value));
        self
    }

    /// Adds a clock input and, if it has one, its synchronous reset input.
    pub fn clock(mut self, name: &str, reset: Option<&str>) -> Self {
        let index = self.clocks.len();
        let port = self.ports.len();
        self = self.add(name, Direction::Input, 1, Domain::ClockInput(index));
        if let Some(reset) = reset {
            self = self.add(reset, Direction::Input, 1, Domain::Clock(index));
        }
        self.clocks.push(ClockIr { name: name.into(), node: port, reset: reset.map(|_| port + 1) });
        self
    }

    /// Adds an input of the clock declared last.
    pub fn input(self, name: &str, width: u32) -> Self {
        let domain = self.clocks.len().checked_sub(1).map_or(Domain::Any, Domain::Clock);
        self.add(name, Direction::Input, width, domain)
    }

    /// Adds an output of the clock declared last.
    pub fn output(self, name: &str, width: u32) -> Self {
        let domain = self.clocks.len().checked_sub(1).map_or(Domain::Any, Domain::Clock);
        self.add(name, Direction::Output, width, domain)
    }

    /// Says that `output` depends on `inputs` without a register between.
    pub fn combinational(mut self, output: &str, inputs: &[&str]) -> Self {
        self.combinational.push((output.into(), inputs.iter().map(|i| i.to_string()).collect()));
        self
    }

    /// Carries the module's own text with the design.
    pub fn verilog(mut self, text: &str) -> Self {
        self.verilog = Some(text.into());
        self
    }

    fn add(mut self, name: &str, direction: Direction, width: u32, domain: Domain) -> Self {
        self.ports.push(Port { name: name.into(), direction, width, node: 0, domain });
        self
    }

    pub(crate) fn to_ir(&self) -> Rc<ModuleIr> {
        let find = |name: &String| self.ports.iter().position(|p| p.name == *name);
        let combinational = self
            .combinational
            .iter()
            .filter_map(|(o, inputs)| Some((find(o)?, inputs.iter().filter_map(find).collect())))
            .collect();
        Rc::new(ModuleIr {
            foreign: Some(ForeignIr { parameters: self.parameters.clone(), verilog: self.verilog.clone() }),
            ports: self.ports.clone(),
            clocks: self.clocks.clone(),
            combinational,
            ..ModuleIr::empty(&self.name)
        })
    }
}
