//! Protocol monitors: they look at every clock of a bus and say which rule a side broke.
//!
//! A monitor works on samples, plain structures of what the ports show just before the clock rises. An [`Axi4Probe`], [`AxiLiteProbe`],
//! [`AxiStreamProbe`] or [`TileLinkProbe`] takes them from any [`Simulator`]; a harness that has the ports at hand fills them in itself.
//!
//! ```
//! use rtl_bus::monitor::{LiteSample, AxiLiteMonitor};
//!
//! let mut monitor = AxiLiteMonitor::new("mmio");
//! let mut sample = LiteSample::default();
//! sample.aw.valid = true;
//! sample.aw.payload = 0x14;
//! monitor.clock(&sample);
//! sample.aw.payload = 0x18;
//! monitor.clock(&sample);
//! assert_eq!(monitor.violations()[0].to_string(), "mmio, clock 1: `mmio_aw` changed while it waited to be taken: it was 0x14 and is 0x18");
//! ```

mod axi4;
mod axi_lite;
mod axi_stream;
mod coherence;
#[cfg(test)]
mod tests;
mod tile_link;

pub use axi4::{
    AddressSample, Axi4Monitor, Axi4Probe, Axi4Sample, ReadSample, ResponseSample, WriteSample, DATA_WORDS,
};
pub use axi_lite::{AxiLiteMonitor, AxiLiteProbe, LiteReadSample, LiteSample, LiteWriteSample};
pub use axi_stream::{AxiStreamMonitor, AxiStreamProbe, AxiStreamSample, TransferSample};
pub use coherence::{CoherenceMonitor, Permission};
pub use tile_link::{MessageSample, TileLinkMonitor, TileLinkProbe, TileLinkSample};

use rtl_hdl::sim::{PortId, Simulator};
use std::fmt;

/// A rule of the protocol. The titles are those of sections of the AMBA AXI and ACE Protocol Specification or, where it says so, of the SiFive TileLink
/// Specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// "Handshake process": once valid, valid until taken.
    Withdrawn,
    /// "Handshake process": the payload stays while it waits.
    Changed,
    /// "Burst length": no burst crosses a 4 KiB boundary.
    Boundary,
    /// "Burst type", "Burst length": the type exists and its length is allowed for it.
    Burst,
    /// "Burst size": a beat is not wider than the data. TileLink, "TileLink Uncached Lightweight (TL-UL)": a message is not longer than a beat.
    Size,
    /// "Data read and write structure": strobes lie within the bytes of the beat.
    Strobe,
    /// "Burst length": `wlast` marks the last beat and no other.
    WriteLast,
    /// "Burst length": `rlast` marks the last beat and no other.
    ReadLast,
    /// "Dependencies between channel handshake signals": a write response follows address and last beat of its write. TileLink, "Source and Sink
    /// Identifiers": an answer carries the source of a request that waits.
    ResponseUnasked,
    /// "Dependencies between channel handshake signals": a read beat follows the address of its read.
    ReadUnasked,
    /// "Read and write response structure": the response exists, and no exclusive access was asked for.
    Response,
    /// TileLink, "Message Taxonomy": the message exists at this level.
    Opcode,
    /// TileLink, "Message Taxonomy": the message exists in this kind.
    Param,
    /// TileLink, "Addressing": the address is a multiple of the size.
    Aligned,
    /// TileLink, "Byte Lanes": the mask is that of size and address, or lies inside of it in a partial write.
    Mask,
    /// TileLink, "Burst Messages": the beats of a message follow each other, and only data, mask and corrupt change.
    Contiguous,
    /// TileLink, "Source and Sink Identifiers": a source asks one thing at a time.
    SourceInUse,
    /// TileLink, "Request-Response Message Ordering": the answer is of the kind and size that was asked for.
    Answer,
    /// TileLink, "Permissions": one client may write a block, or many may read it; what is given up was there, and probes, grants and releases of one
    /// block do not meet.
    Permission,
    /// TileLink, "Errors": only data is corrupt, and data that is denied is.
    Corrupt,
    /// "Clock and reset", and TileLink, "Clocking, Reset, and Power": nothing is valid during reset.
    Reset,
    /// Everything that was asked is answered when the run ends.
    Unanswered,
}

/// A broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The name of the bus.
    pub bus: String,
    /// The clock, counted by the monitor.
    pub clock: u64,
    /// The rule.
    pub rule: Rule,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, clock {}: {}", self.bus, self.clock, self.what)
    }
}

/// What is on one channel in one clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Channel<T> {
    /// From the side that sends.
    pub valid: bool,
    /// From the side that takes.
    pub ready: bool,
    /// Meaningful while `valid`.
    pub payload: T,
}

impl<T: Copy> Channel<T> {
    /// The payload, if it is taken in this clock.
    pub fn taken(&self) -> Option<T> {
        (self.valid && self.ready).then_some(self.payload)
    }
}

/// A simulator that shows each clock to a closure, when the inputs have settled and before the clock rises: a bench runs on it as on the
/// simulator itself, and the closure feeds monitors.
///
/// ```
/// use rtl_bus::monitor::{AxiLiteMonitor, AxiLiteProbe, Watched};
/// # use rtl_bus::AxiLiteRegisters;
/// # use rtl_hdl::{bench::{Bench, Seed, Stalls}, block_fn, elaborate, when, Evaluator};
/// # let design = elaborate(&block_fn("answers_zero", |m| {
/// #     let clock = m.clock();
/// #     let bus = AxiLiteRegisters::new(m, clock, "mmio", 12);
/// #     when(bus.write(), || bus.accept_write());
/// #     when(bus.read(), || bus.answer_read(rtl_hdl::lit(0u32, 32)));
/// # })).expect("the block is right");
/// let simulator = Evaluator::new(&design).expect("nothing foreign is inside");
/// let probe = AxiLiteProbe::new(&simulator, "mmio");
/// let mut monitor = AxiLiteMonitor::new("mmio");
/// let mut watched = Watched::new(simulator, |sim| monitor.clock(&probe.sample(sim)));
/// let mut bench = Bench::new(&mut watched, &design, Seed(1), Stalls::None);
/// bench.send("mmio_ar", [vec![4]]);
/// bench.run_until(20, |bench| bench.received("mmio_r").len() == 1);
/// # drop(bench);
/// # drop(watched);
/// monitor.finish();
/// monitor.assert_clean();
/// ```
pub struct Watched<S, F> {
    sim: S,
    watch: F,
}

impl<S: Simulator, F: FnMut(&S)> Watched<S, F> {
    /// Shows each clock of `sim` to `watch`.
    pub fn new(sim: S, watch: F) -> Self {
        Watched { sim, watch }
    }
}

impl<S: Simulator, F: FnMut(&S)> Simulator for Watched<S, F> {
    fn port(&self, name: &str) -> PortId {
        self.sim.port(name)
    }
    fn poke(&mut self, port: PortId, words: &[u64]) {
        self.sim.poke(port, words);
    }
    fn peek(&self, port: PortId, words: &mut [u64]) {
        self.sim.peek(port, words);
    }
    fn settle(&mut self) {
        self.sim.settle();
    }
    fn step_clocks(&mut self, clocks: u64) {
        self.sim.settle();
        (self.watch)(&self.sim);
        self.sim.step_clocks(clocks);
    }
}

/// The clock count and the violations of a monitor.
#[derive(Clone, Debug)]
struct Report {
    bus: String,
    clock: u64,
    violations: Vec<Violation>,
}

impl Report {
    fn new(bus: &str) -> Report {
        Report { bus: bus.into(), clock: 0, violations: vec![] }
    }

    fn add(&mut self, rule: Rule, what: String) {
        self.violations.push(Violation { bus: self.bus.clone(), clock: self.clock, rule, what });
    }

    /// Panics with all violations, if there are any.
    #[track_caller]
    fn assert_none(&self) {
        let list: Vec<String> = self.violations.iter().map(Violation::to_string).collect();
        assert!(list.is_empty(), "the protocol was broken:\n{}", list.join("\n"));
    }
}

/// The handshake rule of one channel.
#[derive(Clone, Copy, Debug)]
struct Handshake<T> {
    channel: &'static str,
    waiting: Option<T>,
}

impl<T: Copy + PartialEq + fmt::LowerHex> Handshake<T> {
    fn new(channel: &'static str) -> Self {
        Handshake { channel, waiting: None }
    }

    /// Looks at a clock; true if the payload is offered for the first time.
    fn clock(&mut self, now: &Channel<T>, report: &mut Report) -> bool {
        let waited = self.waiting;
        self.waiting = (now.valid && !now.ready).then_some(now.payload);
        let name = format_args!("{}_{}", report.bus, self.channel).to_string();
        match waited {
            Some(before) if !now.valid => {
                report.add(Rule::Withdrawn, format!("`{name}` was withdrawn before it was taken: {before:#x}"));
            }
            Some(before) if before != now.payload => {
                let now = now.payload;
                report.add(
                    Rule::Changed,
                    format!("`{name}` changed while it waited to be taken: it was {before:#x} and is {now:#x}"),
                );
            }
            _ => {}
        }
        now.valid && waited.is_none()
    }
}
