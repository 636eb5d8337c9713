//! The monitor of AXI4-Stream.

use super::{Channel, Handshake, Report, Rule, Violation, DATA_WORDS};
use crate::AxiStreamConfig;
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::words_for;
use std::fmt;

/// A transfer. What the configuration leaves out is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TransferSample {
    /// `tdata`, lowest word first.
    pub data: [u64; DATA_WORDS],
    /// `tkeep`.
    pub keep: u64,
    /// `tlast`.
    pub last: bool,
    /// `tid`.
    pub id: u8,
    /// `tdest`.
    pub dest: u8,
    /// `tuser`.
    pub user: u64,
}

impl fmt::LowerHex for TransferSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TransferSample { data, keep, last, id, dest, user } = self;
        write!(f, "data {data:x?} keep {keep:#x} last {last} id {id:#x} dest {dest:#x} user {user:#x}")
    }
}

/// What is on the stream in one clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AxiStreamSample {
    /// The reset of both sides.
    pub reset: bool,
    /// The channel.
    pub t: Channel<TransferSample>,
}

/// Judges an AXI4-Stream, clock by clock: a transfer stays until it is taken, and there is none in reset. Packets of several streams may be
/// mixed, and any byte may be left out, so there is nothing else to be wrong.
#[derive(Clone, Debug)]
pub struct AxiStreamMonitor {
    report: Report,
    /// The clock before was one of reset.
    in_reset: bool,
    t: Handshake<TransferSample>,
}

impl AxiStreamMonitor {
    /// A monitor for the stream `name`.
    ///
    /// # Panics
    /// If the data are wider than a sample holds.
    pub fn new(name: &str, config: AxiStreamConfig) -> Self {
        assert!(words_for(config.data_bits) <= DATA_WORDS, "samples hold at most {DATA_WORDS} words of data");
        AxiStreamMonitor { report: Report::new(name), in_reset: false, t: Handshake::new("t") }
    }

    /// Looks at the stream just before a clock edge.
    pub fn clock(&mut self, now: &AxiStreamSample) {
        if now.reset {
            if now.t.valid && self.in_reset {
                self.report.add(Rule::Reset, "`tvalid` is 1 during reset".into());
            }
            self.t = Handshake::new("t");
        } else {
            self.t.clock(&now.t, &mut self.report);
        }
        self.in_reset = now.reset;
        self.report.clock += 1;
    }

    /// Every violation so far.
    pub fn violations(&self) -> &[Violation] {
        &self.report.violations
    }

    /// Asserts that no rule was broken.
    ///
    /// # Panics
    /// With all violations, if there are any.
    #[track_caller]
    pub fn assert_clean(&self) {
        self.report.assert_none();
    }
}

/// Samples the stream of a running design.
#[derive(Clone, Debug)]
pub struct AxiStreamProbe {
    reset: PortId,
    valid: PortId,
    ready: PortId,
    data: (PortId, usize),
    keep: Option<PortId>,
    last: Option<PortId>,
    id: Option<PortId>,
    dest: Option<PortId>,
    user: Option<PortId>,
}

impl AxiStreamProbe {
    /// The stream `name` of the top module.
    ///
    /// # Panics
    /// If the top has no such stream, or no reset.
    pub fn new(sim: &dyn Simulator, name: &str, config: AxiStreamConfig) -> Self {
        let port = |port: &str| sim.port(&format!("{name}_t{port}"));
        let optional = |is_there: bool, name: &str| is_there.then(|| port(name));
        AxiStreamProbe {
            reset: sim.port("reset"),
            valid: port("valid"),
            ready: port("ready"),
            data: (port("data"), words_for(config.data_bits)),
            keep: optional(config.keep, "keep"),
            last: optional(config.last, "last"),
            id: optional(config.id_bits > 0, "id"),
            dest: optional(config.dest_bits > 0, "dest"),
            user: optional(config.user_bits > 0, "user"),
        }
    }

    /// What is on the stream now; to be called after the inputs have settled and before the clock.
    pub fn sample(&self, sim: &dyn Simulator) -> AxiStreamSample {
        let bit = |port: PortId| sim.peek_u64(port) == 1;
        let optional = |port: Option<PortId>| port.map_or(0, |port| sim.peek_u64(port));
        let (data_port, words) = self.data;
        let mut data = [0; DATA_WORDS];
        sim.peek(data_port, &mut data[..words]);
        let payload = TransferSample {
            data,
            keep: optional(self.keep),
            last: optional(self.last) == 1,
            id: optional(self.id) as u8,
            dest: optional(self.dest) as u8,
            user: optional(self.user),
        };
        AxiStreamSample {
            reset: bit(self.reset),
            t: Channel { valid: bit(self.valid), ready: bit(self.ready), payload },
        }
    }
}
