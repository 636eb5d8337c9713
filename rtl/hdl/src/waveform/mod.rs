//! # Waveforms: every named value of a running design, clock by clock
//!
//! ```text
//!   Evaluator --> Traced ---+                        +--> name.fst   enums by name, bundles, streams and arrays as scopes
//!                           +--> declarations, values +
//!   a VCD of another   -----+                        +--> name.vcd   what every viewer reads
//!   simulator --> FromVcd
//!   with an Outline of the design
//! ```
//!
//! The ending of a file's name says its format. An FST file has what a person wants to see:
//!
//! - the names of the variants of enums: viewers show `Idle` and not `2'b00`;
//! - the fields of a bundle, and the ports and registers of a stream, in a scope named after it. Each keeps its full name;
//! - the elements of an array as variables of their own, `table[0]`, `table[1]`, .., in a scope named after the array.
//!
//! Beside it, `name.gtkw` is a save file for GTKWave: `gtkwave name.fst name.gtkw` shows the ports of the top, in groups, and the state machines
//! of the design. `surfer name.fst` needs none. A VCD file has modules and values, and in a comment the codes of enums.
//!
//! ```
//! use rtl_hdl::{block_fn, elaborate, sim::Simulator, waveform::Traced, zero, Evaluator};
//! # let design = elaborate(&block_fn("counter", |m| {
//! #     let clock = m.clock();
//! #     let count = m.reg("count", clock, zero(8));
//! #     count.set(count + 1);
//! #     m.output("value", count);
//! # }))
//! # .unwrap();
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("counter.fst");
//! let mut sim = Traced::create(Evaluator::new(&design).unwrap(), &path, 0..100)?;
//! sim.step();
//! sim.finish()?;
//! # assert!(path.is_file() && path.with_extension("gtkw").is_file());
//! # Ok::<(), std::io::Error>(())
//! ```

mod from_vcd;
mod fst;
mod gtkwave;
mod traced;
mod tree;
mod vcd;

pub use from_vcd::FromVcd;
pub use traced::Traced;
pub use tree::Outline;
pub(crate) use tree::{notes_of, Notes};

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The format of a waveform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Value Change Dump: text.
    Vcd,
    /// Fast Signal Trace: compressed.
    Fst,
}

/// The name of a file says no format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat {
    path: PathBuf,
}

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no name of a waveform: end it with .fst or .vcd", self.path.display())
    }
}

impl std::error::Error for UnknownFormat {}

impl Format {
    /// The format that the ending of a file's name says.
    ///
    /// # Errors
    /// If it says none.
    pub fn of(path: &Path) -> Result<Self, UnknownFormat> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("vcd") => Ok(Format::Vcd),
            Some("fst") => Ok(Format::Fst),
            _ => Err(UnknownFormat { path: path.to_owned() }),
        }
    }
}

/// A file that is being written.
pub(crate) trait Sink {
    /// What follows happens at this time, which is later than the one before.
    fn time(&mut self, time: u64) -> io::Result<()>;
    /// A signal has this value from now on: characters `0`, `1`, `x` and `z`, the highest bit first.
    fn change(&mut self, signal: usize, bits: &[u8]) -> io::Result<()>;
    /// Completes the file.
    fn finish(self: Box<Self>) -> io::Result<()>;
}
