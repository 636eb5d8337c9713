//! Netlists as yosys writes them with `write_json`.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::Error;

/// What yosys writes with `write_json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Netlist {
    /// By name.
    pub modules: HashMap<String, Module>,
}

/// A module.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Module {
    /// The ports, by name.
    #[serde(default)]
    pub ports: BTreeMap<String, Port>,
    /// The cells, by name.
    #[serde(default)]
    pub cells: BTreeMap<String, Cell>,
    /// The signals that have a name.
    #[serde(default)]
    pub netnames: BTreeMap<String, NetName>,
    /// The memories that are still memories, by name.
    #[serde(default)]
    pub memories: BTreeMap<String, Memory>,
}

/// A memory; its ports are cells.
#[derive(Clone, Debug, Deserialize)]
pub struct Memory {
    /// Bits of a word.
    pub width: usize,
    /// The address of the first word.
    pub start_offset: usize,
    /// How many words it has.
    pub size: usize,
}

/// A port.
#[derive(Clone, Debug, Deserialize)]
pub struct Port {
    /// `input` or `output`.
    pub direction: String,
    /// Its bits, the lowest first.
    pub bits: Vec<Bit>,
}

/// An instance of something that yosys knows.
#[derive(Clone, Debug, Deserialize)]
pub struct Cell {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its parameters; numbers as strings of binary digits.
    #[serde(default)]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// `input` or `output` of each port.
    #[serde(default)]
    pub port_directions: BTreeMap<String, String>,
    /// The bits at each port, the lowest first.
    pub connections: BTreeMap<String, Vec<Bit>>,
}

/// A signal with a name.
#[derive(Clone, Debug, Deserialize)]
pub struct NetName {
    /// Whether yosys made the name up.
    #[serde(default)]
    pub hide_name: u8,
    /// Its bits, the lowest first.
    pub bits: Vec<Bit>,
    /// Its attributes, such as `init`.
    #[serde(default)]
    pub attributes: BTreeMap<String, serde_json::Value>,
}

impl Bit {
    /// The net, if it is one.
    pub fn net(self) -> Option<u64> {
        match self {
            Bit::Net(net) => Some(net),
            Bit::Constant(_) => None,
        }
    }
}

/// A net, or a constant.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash)]
#[serde(from = "serde_json::Value")]
pub enum Bit {
    /// The number of a net.
    Net(u64),
    /// A constant: true, false, or whatever the tools like.
    Constant(Option<bool>),
}

impl From<serde_json::Value> for Bit {
    fn from(value: serde_json::Value) -> Self {
        match (value.as_u64(), value.as_str()) {
            (Some(net), _) => Bit::Net(net),
            (None, Some("1")) => Bit::Constant(Some(true)),
            (None, Some("0")) => Bit::Constant(Some(false)),
            _ => Bit::Constant(None),
        }
    }
}

impl Netlist {
    /// Reads what yosys wrote.
    pub fn parse(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json).map_err(|error| Error::Netlist(format!("it cannot be read: {error}")))
    }

    /// The module of this name.
    pub fn module(&self, name: &str) -> Result<&Module, Error> {
        self.modules.get(name).ok_or_else(|| Error::Netlist(format!("it has no module `{name}`")))
    }
}
