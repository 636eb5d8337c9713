//! The tile, cut out of the Verilog of Rocket Chip.

use crate::closure::Closure;
use crate::trace::{carry_out, TAPS};
use crate::verilog::{Direction, Edits, ReadError, Source};
use crate::widen::widen;
use crate::HART_BITS;
use rtl_hdl::Foreign;
use std::fmt::Write as _;
use std::sync::Arc;

/// The module that is the tile.
const TILE: &str = "RocketTile";

/// What the names of all its modules begin with here, so that none is that of a block of ours.
const PREFIX: &str = "rocket_";

/// The input with the number of the hart, and its width as it was generated for four harts.
const HART: (&str, u32) = ("auto_hartid_in", 2);

/// What the bus of the tile is called in it.
pub(crate) const BUS: &str = "auto_tl_other_masters_out";

/// The interrupts of the tile, and what they are called in it, by the order of `mip`.
pub(crate) const INTERRUPTS: [(&str, &str); 5] = [
    ("msip", "auto_int_local_in_1_0"),
    ("mtip", "auto_int_local_in_1_1"),
    ("seip", "auto_int_local_in_3_0"),
    ("meip", "auto_int_local_in_2_0"),
    ("debug", "auto_int_local_in_0_0"),
];

/// The output that says that the hart waits for an interrupt.
pub(crate) const WFI: &str = "auto_wfi_out_0";

/// A channel of the bus: its letter, which way it goes, and the fields that the tile has of it, with their widths. The others of the channel are
/// constant: no request and no release is ever damaged, and a probe carries no data.
pub(crate) struct Channel {
    pub(crate) letter: &'static str,
    pub(crate) direction: Direction,
    pub(crate) fields: &'static [(&'static str, u32)],
    /// Fields that our bus has and the tile does not.
    pub(crate) absent: &'static [&'static str],
}

/// Width of the tile's addresses.
const ADDRESS: (&str, u32) = ("address", 32);
const DATA: (&str, u32) = ("data", 64);
const MASK: (&str, u32) = ("mask", 8);
const OPCODE: (&str, u32) = ("opcode", 3);
const PARAM: (&str, u32) = ("param", 3);
const PERMISSION: (&str, u32) = ("param", 2);
const SIZE: (&str, u32) = ("size", 4);
const SOURCE: (&str, u32) = ("source", 2);
const SINK: (&str, u32) = ("sink", 2);
const DENIED: (&str, u32) = ("denied", 1);
const CORRUPT: (&str, u32) = ("corrupt", 1);

pub(crate) const CHANNELS: [Channel; 5] = [
    Channel {
        letter: "a",
        direction: Direction::Output,
        fields: &[OPCODE, PARAM, SIZE, SOURCE, ADDRESS, MASK, DATA],
        absent: &["corrupt"],
    },
    Channel {
        letter: "b",
        direction: Direction::Input,
        // Of the parameter the tile has two bits: no probe has a third.
        fields: &[OPCODE, PERMISSION, SIZE, SOURCE, ADDRESS, MASK, CORRUPT],
        absent: &["data"],
    },
    Channel {
        letter: "c",
        direction: Direction::Output,
        fields: &[OPCODE, PARAM, SIZE, SOURCE, ADDRESS, DATA],
        absent: &["corrupt"],
    },
    Channel {
        letter: "d",
        direction: Direction::Input,
        fields: &[OPCODE, PERMISSION, SIZE, SOURCE, SINK, DENIED, DATA, CORRUPT],
        absent: &[],
    },
    Channel { letter: "e", direction: Direction::Output, fields: &[SINK], absent: &[] },
];

/// Every port that the tile has to have, and no other.
fn ports() -> Vec<(String, Direction, u32)> {
    let mut ports = vec![
        ("clock".to_owned(), Direction::Input, 1),
        ("reset".to_owned(), Direction::Input, 1),
        (HART.0.to_owned(), Direction::Input, HART.1),
        (WFI.to_owned(), Direction::Output, 1),
    ];
    ports.extend(INTERRUPTS.map(|(_, port)| (port.to_owned(), Direction::Input, 1)));
    for Channel { letter, direction, fields, .. } in CHANNELS {
        let against = match direction {
            Direction::Input => Direction::Output,
            Direction::Output => Direction::Input,
        };
        ports.push((format!("{BUS}_{letter}_valid"), direction, 1));
        ports.push((format!("{BUS}_{letter}_ready"), against, 1));
        ports.extend(fields.iter().map(|(field, width)| (format!("{BUS}_{letter}_bits_{field}"), direction, *width)));
    }
    ports
}

/// The texts of Rocket Chip that the tile is made of, and the licence that came with them.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'t> {
    /// All modules but the memories, and one that reads options of the simulator.
    pub modules: &'t str,
    /// The memories of the caches.
    pub memories: &'t str,
    /// The licence.
    pub licence: &'t str,
}

/// The Verilog of the tile: the modules of one tile of Rocket Chip, for up to eight harts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocketTile {
    verilog: Arc<str>,
    modules: usize,
    licence: Arc<str>,
    is_traced: bool,
}

impl RocketTile {
    /// Cuts the tile out.
    ///
    /// # Errors
    /// If the texts are not those that are known here: something in them cannot be read, a module is missing, the tile has other ports, or the number
    /// of the hart is used in a way that is not understood.
    pub fn read(texts: Texts) -> Result<Self, ReadError> {
        Self::cut_out(texts, false)
    }

    /// Cuts the tile out, with outputs that tell what it retires and what it writes into its registers: for verification. It is the same tile
    /// otherwise.
    ///
    /// # Errors
    /// As [`Self::read`], and if a signal that is to be carried out is not as it is known here.
    pub fn read_traced(texts: Texts) -> Result<Self, ReadError> {
        Self::cut_out(texts, true)
    }

    fn cut_out(texts: Texts, is_traced: bool) -> Result<Self, ReadError> {
        let sources = [
            Source::read("LitexFull4DConfig.v", texts.modules)?,
            Source::read("LitexFull4DConfig.behav_srams.v", texts.memories)?,
            Source::read("options.v", OPTIONS)?,
        ];
        let closure = Closure::of(TILE, &sources)?;
        check_ports(&closure)?;
        let mut edits = vec![Edits::default(); sources.len()];
        widen(&closure, HART.0, (HART.1, HART_BITS), &mut edits)?;
        if is_traced {
            carry_out(&closure, &TAPS, &mut edits)?;
        }
        for id in closure.modules() {
            let (source, module) = (closure.source(*id), closure.module(*id));
            for name in std::iter::once(module.name).chain(module.instances().map(|instance| instance.module)) {
                edits[id.source].replace(name, format!("{PREFIX}{}", source.token(name)));
            }
        }
        let mut verilog = if is_traced { HEADING.replace(CHANGES_END, TRACED) } else { HEADING.to_owned() };
        for id in closure.modules() {
            let text = closure.source(*id).write(closure.module(*id).tokens.clone(), &edits[id.source]);
            let _ = writeln!(verilog, "\n{text}");
        }
        verilog += ENDING;
        Ok(RocketTile {
            verilog: verilog.into(),
            modules: closure.modules().len(),
            licence: texts.licence.into(),
            is_traced,
        })
    }

    /// The Verilog, the tile first.
    pub fn verilog(&self) -> &str {
        &self.verilog
    }

    /// How many modules it has.
    pub fn module_count(&self) -> usize {
        self.modules
    }

    /// Whether the tile has the outputs of [`Self::read_traced`].
    pub fn is_traced(&self) -> bool {
        self.is_traced
    }

    /// The tile for an instance.
    pub(crate) fn foreign(&self) -> Foreign {
        // The core would print every instruction, and assertions would print before they stop: they stop with file and line.
        let foreign = Foreign::from_verilog(&format!("{PREFIX}{TILE}"), &self.verilog).define("PRINTF_COND", "1'b0");
        let foreign = foreign.licence("NOTICE.rocket", NOTICE).licence("LICENSE.rocket", &self.licence);
        let foreign = foreign.clock("clock").reset("reset");
        // What follows an input within a clock is not known. All of the bus ends at registers, which are told that everything may.
        let inputs: Vec<String> = ports()
            .into_iter()
            .filter(|(name, direction, _)| *direction == Direction::Input && name.starts_with(BUS))
            .map(|(name, ..)| name)
            .collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let outputs =
            ports().into_iter().filter(|(name, direction, _)| *direction == Direction::Output && name.starts_with(BUS));
        outputs.fold(foreign, |foreign, (output, ..)| foreign.combinational(&output, &inputs))
    }
}

/// The module that would read options of the simulator, such as a time after which a monitor gives up. What it asks the simulator for is not there in
/// synthesis, nor in our models, so that here the defaults hold for all.
const OPTIONS: &str = "\
module plusarg_reader #(parameter FORMAT = \"\", parameter WIDTH = 1, parameter [WIDTH-1:0] DEFAULT = 0) (
  output [WIDTH-1:0] out
);
  assign out = DEFAULT;
endmodule
";

/// What goes with the Verilog.
const NOTICE: &str = include_str!("../licences/NOTICE");

/// Before the modules. The licence asks that a changed file says so.
const HEADING: &str = "\
// A tile of Rocket Chip, as the package pythondata-cpu-rocket has it. See NOTICE.rocket and LICENSE.rocket.
// Changed: only the modules of one tile are here, their names begin with `rocket_`, and the hart number has three bits.

/* verilator lint_save */
/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off UNUSEDPARAM */
";

/// The end of what the heading says of changes, and what it says of a traced tile.
const CHANGES_END: &str = "has three bits.";
const TRACED: &str = "has three bits, and outputs whose\n// names begin with `trace_` carry inner signals out.";

/// Behind them.
const ENDING: &str = "\n/* verilator lint_restore */\n";

fn check_ports(closure: &Closure) -> Result<(), ReadError> {
    let id = closure.modules()[0];
    let (source, module) = (closure.source(id), closure.module(id));
    let known = ports();
    for port in &module.ports {
        let name = source.token(port.name);
        let width = port.range.as_ref().map_or(Some(1), |range| range.width());
        let is_known = known
            .iter()
            .any(|(known, direction, bits)| known == name && *direction == port.direction && Some(*bits) == width);
        if !is_known {
            let message = format!(
                "the port `{name}` of the tile is not as it is known here: this is another version of Rocket Chip"
            );
            return Err(source.error(port.name, message));
        }
    }
    let is_there = |name: &str| module.ports.iter().any(|port| source.token(port.name) == name);
    match known.iter().find(|(name, ..)| !is_there(name)) {
        None => Ok(()),
        Some((name, ..)) => {
            let message = format!("the tile has no port `{name}`: this is another version of Rocket Chip");
            Err(source.error(module.name, message))
        }
    }
}
