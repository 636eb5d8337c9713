//! The monitor of AXI4-Lite.

use super::{Channel, Handshake, Report, Rule, Violation};
use crate::resp;
use rtl_hdl::sim::{PortId, Simulator};
use std::fmt;

/// What is on the write data channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LiteWriteSample {
    /// `wdata`.
    pub data: u32,
    /// `wstrb`.
    pub strb: u8,
}

/// What is on the read data channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LiteReadSample {
    /// `rdata`.
    pub data: u32,
    /// `rresp`.
    pub resp: u8,
}

impl fmt::LowerHex for LiteWriteSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "data {:#010x} strb {:#x}", self.data, self.strb)
    }
}

impl fmt::LowerHex for LiteReadSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "data {:#010x} resp {:#x}", self.data, self.resp)
    }
}

/// What is on the five channels in one clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LiteSample {
    /// The reset of both sides.
    pub reset: bool,
    /// Write address: `awaddr`.
    pub aw: Channel<u64>,
    /// Write data.
    pub w: Channel<LiteWriteSample>,
    /// Write response: `bresp`.
    pub b: Channel<u8>,
    /// Read address: `araddr`.
    pub ar: Channel<u64>,
    /// Read data.
    pub r: Channel<LiteReadSample>,
}

/// Judges an AXI4-Lite bus, clock by clock.
#[derive(Clone, Debug)]
pub struct AxiLiteMonitor {
    report: Report,
    /// The clock before was one of reset.
    in_reset: bool,
    aw: Handshake<u64>,
    w: Handshake<LiteWriteSample>,
    b: Handshake<u8>,
    ar: Handshake<u64>,
    r: Handshake<LiteReadSample>,
    write_addresses: u64,
    write_words: u64,
    reads: u64,
}

impl AxiLiteMonitor {
    /// A monitor for the bus `name`, with nothing in flight.
    pub fn new(name: &str) -> Self {
        AxiLiteMonitor {
            report: Report::new(name),
            in_reset: false,
            aw: Handshake::new("aw"),
            w: Handshake::new("w"),
            b: Handshake::new("b"),
            ar: Handshake::new("ar"),
            r: Handshake::new("r"),
            write_addresses: 0,
            write_words: 0,
            reads: 0,
        }
    }

    /// Looks at the bus just before a clock edge.
    pub fn clock(&mut self, now: &LiteSample) {
        if now.reset {
            return self.clock_in_reset(now);
        }
        self.in_reset = false;
        // Answers first: they may only follow what was taken in earlier clocks.
        let response_is_new = self.b.clock(&now.b, &mut self.report);
        let read_is_new = self.r.clock(&now.r, &mut self.report);
        if response_is_new {
            self.check_response("b", now.b.payload);
            if self.write_addresses == 0 || self.write_words == 0 {
                self.report.add(
                    Rule::ResponseUnasked,
                    "a write response is offered before address and data of a write".into(),
                );
            }
        }
        if read_is_new {
            self.check_response("r", now.r.payload.resp);
            if self.reads == 0 {
                self.report.add(Rule::ReadUnasked, "read data is offered before the address of a read".into());
            }
        }
        if now.b.taken().is_some() {
            self.write_addresses = self.write_addresses.saturating_sub(1);
            self.write_words = self.write_words.saturating_sub(1);
        }
        if now.r.taken().is_some() {
            self.reads = self.reads.saturating_sub(1);
        }
        self.aw.clock(&now.aw, &mut self.report);
        self.w.clock(&now.w, &mut self.report);
        self.ar.clock(&now.ar, &mut self.report);
        self.write_addresses += u64::from(now.aw.taken().is_some());
        self.write_words += u64::from(now.w.taken().is_some());
        self.reads += u64::from(now.ar.taken().is_some());
        self.report.clock += 1;
    }

    fn check_response(&mut self, channel: &str, value: u8) {
        if value == resp::EXOKAY || value > resp::DECERR {
            self.report.add(Rule::Response, format!("`{channel}resp` is {value}; AXI4-Lite has 0, 2 and 3"));
        }
    }

    /// A clock in reset: the registers behind the ports have changed from its second clock on.
    fn clock_in_reset(&mut self, now: &LiteSample) {
        let valid =
            [("aw", now.aw.valid), ("w", now.w.valid), ("b", now.b.valid), ("ar", now.ar.valid), ("r", now.r.valid)];
        for (channel, _) in valid.into_iter().filter(|(_, valid)| *valid && self.in_reset) {
            self.report.add(Rule::Reset, format!("`{channel}valid` is 1 during reset"));
        }
        self.forget();
        self.in_reset = true;
        self.report.clock += 1;
    }

    /// Forgets what was in flight, because both sides were reset.
    pub fn forget(&mut self) {
        let report = std::mem::replace(&mut self.report, Report::new(""));
        let name = report.bus.clone();
        *self = AxiLiteMonitor { report, ..AxiLiteMonitor::new(&name) };
    }

    /// How many writes and reads are in flight.
    pub fn in_flight(&self) -> (u64, u64) {
        (self.write_addresses.max(self.write_words), self.reads)
    }

    /// At the end of a run: what has not been answered is a violation.
    pub fn finish(&mut self) {
        let (writes, reads) = self.in_flight();
        if writes + reads > 0 {
            self.report.add(Rule::Unanswered, format!("{writes} writes and {reads} reads are not answered"));
        }
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

/// Samples the bus of a running design.
#[derive(Clone, Debug)]
pub struct AxiLiteProbe {
    reset: PortId,
    /// Valid, ready and fields of each channel.
    aw: [PortId; 3],
    w: [PortId; 4],
    b: [PortId; 3],
    ar: [PortId; 3],
    r: [PortId; 4],
}

impl AxiLiteProbe {
    /// The bus `name` of the top module.
    ///
    /// # Panics
    /// If the top has no such bus, or no reset.
    pub fn new(sim: &dyn Simulator, name: &str) -> Self {
        let port = |port: &str| sim.port(&format!("{name}_{port}"));
        AxiLiteProbe {
            reset: sim.port("reset"),
            aw: ["awvalid", "awready", "awaddr"].map(port),
            w: ["wvalid", "wready", "wdata", "wstrb"].map(port),
            b: ["bvalid", "bready", "bresp"].map(port),
            ar: ["arvalid", "arready", "araddr"].map(port),
            r: ["rvalid", "rready", "rdata", "rresp"].map(port),
        }
    }

    /// What is on the bus now; to be called after the inputs have settled and before the clock.
    pub fn sample(&self, sim: &dyn Simulator) -> LiteSample {
        let get = |port: PortId| sim.peek_u64(port);
        let bit = |port: PortId| sim.peek_u64(port) == 1;
        let [aw, w, b, ar, r] = [&self.aw[..], &self.w, &self.b, &self.ar, &self.r];
        LiteSample {
            reset: bit(self.reset),
            aw: Channel { valid: bit(aw[0]), ready: bit(aw[1]), payload: get(aw[2]) },
            w: Channel {
                valid: bit(w[0]),
                ready: bit(w[1]),
                payload: LiteWriteSample { data: get(w[2]) as u32, strb: get(w[3]) as u8 },
            },
            b: Channel { valid: bit(b[0]), ready: bit(b[1]), payload: get(b[2]) as u8 },
            ar: Channel { valid: bit(ar[0]), ready: bit(ar[1]), payload: get(ar[2]) },
            r: Channel {
                valid: bit(r[0]),
                ready: bit(r[1]),
                payload: LiteReadSample { data: get(r[2]) as u32, resp: get(r[3]) as u8 },
            },
        }
    }
}
