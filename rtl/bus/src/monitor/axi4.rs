//! The monitor of AXI4.

use super::{Channel, Handshake, Report, Rule, Violation};
use crate::{burst, resp, Axi4Config, BOUNDARY_BYTES};
use rtl_hdl::sim::{PortId, Simulator};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Words of 64 bits in the widest data that a sample holds.
pub const DATA_WORDS: usize = 8;
/// The same in bits.
const DATA_BITS_MAX: u32 = 64 * DATA_WORDS as u32;
/// The longest burst of type FIXED or WRAP.
const SHORT_BURST_BEATS: u32 = 16;

/// What is on an address channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AddressSample {
    /// `awid` or `arid`.
    pub id: u32,
    /// `awaddr` or `araddr`.
    pub addr: u64,
    /// `awlen` or `arlen`: beats minus one.
    pub len: u8,
    /// `awsize` or `arsize`.
    pub size: u8,
    /// `awburst` or `arburst`.
    pub burst: u8,
    /// `awuser` or `aruser`.
    pub user: u64,
}

impl AddressSample {
    /// Number of beats.
    pub fn beats(&self) -> u32 {
        u32::from(self.len) + 1
    }

    /// The lanes, as strobes, that beat number `beat` of an incrementing burst may use on a bus of `beat_bytes` bytes.
    fn lanes(&self, beat: u32, beat_bytes: u32) -> u64 {
        let size = 1u64 << self.size;
        let aligned = self.addr & !(size - 1);
        let start = if beat == 0 { self.addr } else { aligned.wrapping_add(u64::from(beat) * size) };
        let end = aligned.wrapping_add(u64::from(beat + 1) * size);
        let first = start % u64::from(beat_bytes);
        let count = end.wrapping_sub(start).clamp(1, 64);
        (u64::MAX >> (64 - count)) << first
    }
}

impl fmt::LowerHex for AddressSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AddressSample { id, addr, len, size, burst, user } = self;
        write!(f, "id {id:#x} addr {addr:#x} len {len} size {size} burst {burst} user {user:#x}")
    }
}

/// What is on the write data channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WriteSample {
    /// `wdata`, lowest word first.
    pub data: [u64; DATA_WORDS],
    /// `wstrb`.
    pub strb: u64,
    /// `wlast`.
    pub last: bool,
}

impl fmt::LowerHex for WriteSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "data {:x?} strb {:#x} last {}", self.data, self.strb, self.last)
    }
}

/// What is on the write response channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResponseSample {
    /// `bid`.
    pub id: u32,
    /// `bresp`.
    pub resp: u8,
}

impl fmt::LowerHex for ResponseSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id {:#x} resp {}", self.id, self.resp)
    }
}

/// What is on the read data channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadSample {
    /// `rid`.
    pub id: u32,
    /// `rdata`, lowest word first.
    pub data: [u64; DATA_WORDS],
    /// `rresp`.
    pub resp: u8,
    /// `rlast`.
    pub last: bool,
}

impl fmt::LowerHex for ReadSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id {:#x} data {:x?} resp {} last {}", self.id, self.data, self.resp, self.last)
    }
}

/// What is on the five channels in one clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Axi4Sample {
    /// The reset of both sides.
    pub reset: bool,
    /// Write address.
    pub aw: Channel<AddressSample>,
    /// Write data.
    pub w: Channel<WriteSample>,
    /// Write response.
    pub b: Channel<ResponseSample>,
    /// Read address.
    pub ar: Channel<AddressSample>,
    /// Read data.
    pub r: Channel<ReadSample>,
}

/// Judges an AXI4 bus, clock by clock: both the manager and the subordinate.
#[derive(Clone, Debug)]
pub struct Axi4Monitor {
    config: Axi4Config,
    report: Report,
    /// The clock before was one of reset.
    in_reset: bool,
    aw: Handshake<AddressSample>,
    w: Handshake<WriteSample>,
    b: Handshake<ResponseSample>,
    ar: Handshake<AddressSample>,
    r: Handshake<ReadSample>,
    writes: Writes,
    /// For each id, the beats that its reads, oldest first, still have to bring.
    reads: BTreeMap<u32, VecDeque<u32>>,
}

/// Writes in flight. Addresses and data meet in their order, whichever comes first.
#[derive(Clone, Debug, Default)]
struct Writes {
    /// Addresses whose last beat has not come.
    addresses: VecDeque<AddressSample>,
    /// Beats that came before their address.
    early: VecDeque<WriteSample>,
    /// Beats of the oldest of `addresses` that have come.
    beats: u32,
    /// For each id, complete writes without a response.
    complete: BTreeMap<u32, u64>,
}

impl Axi4Monitor {
    /// A monitor for the bus `name`, with nothing in flight.
    ///
    /// # Panics
    /// If the data is wider than a sample holds.
    pub fn new(name: &str, config: Axi4Config) -> Self {
        assert!(config.data_bits <= DATA_BITS_MAX, "samples hold at most {DATA_BITS_MAX} bits of data");
        Axi4Monitor {
            config,
            report: Report::new(name),
            in_reset: false,
            aw: Handshake::new("aw"),
            w: Handshake::new("w"),
            b: Handshake::new("b"),
            ar: Handshake::new("ar"),
            r: Handshake::new("r"),
            writes: Writes::default(),
            reads: BTreeMap::new(),
        }
    }

    /// Looks at the bus just before a clock edge.
    pub fn clock(&mut self, now: &Axi4Sample) {
        if now.reset {
            return self.clock_in_reset(now);
        }
        self.in_reset = false;
        // Answers first: they may only follow what was taken in earlier clocks.
        self.clock_response(&now.b);
        self.clock_read_data(&now.r);
        if self.aw.clock(&now.aw, &mut self.report) {
            self.check_address("aw", &now.aw.payload);
        }
        if self.ar.clock(&now.ar, &mut self.report) {
            self.check_address("ar", &now.ar.payload);
        }
        self.w.clock(&now.w, &mut self.report);
        if let Some(read) = now.ar.taken() {
            self.reads.entry(read.id).or_default().push_back(read.beats());
        }
        if let Some(address) = now.aw.taken() {
            self.writes.addresses.push_back(address);
        }
        if let Some(beat) = now.w.taken() {
            self.writes.early.push_back(beat);
        }
        self.match_beats();
        self.report.clock += 1;
    }

    fn clock_response(&mut self, now: &Channel<ResponseSample>) {
        let is_new = self.b.clock(now, &mut self.report);
        let ResponseSample { id, resp } = now.payload;
        let asked = self.writes.complete.get(&id).copied().unwrap_or(0);
        if is_new {
            self.check_response("b", resp);
            if asked == 0 {
                self.report.add(
                    Rule::ResponseUnasked,
                    format!(
                        "a write response with id {id:#x} is offered, and no complete write with that id waits for one"
                    ),
                );
            }
        }
        if now.taken().is_some() && asked > 0 {
            self.writes.complete.insert(id, asked - 1);
        }
    }

    fn clock_read_data(&mut self, now: &Channel<ReadSample>) {
        let is_new = self.r.clock(now, &mut self.report);
        let ReadSample { id, resp, last, .. } = now.payload;
        let left = self.reads.get(&id).and_then(|reads| reads.front().copied());
        if is_new {
            self.check_response("r", resp);
            match left {
                None => self.report.add(
                    Rule::ReadUnasked,
                    format!("read data with id {id:#x} is offered, and no read with that id waits for it"),
                ),
                Some(left) if last != (left == 1) => self.report.add(
                    Rule::ReadLast,
                    format!("`rlast` is {} with id {id:#x}, and the read has {left} beats to go", u8::from(last)),
                ),
                Some(_) => {}
            }
        }
        if now.taken().is_none() {
            return;
        }
        let Some(reads) = self.reads.get_mut(&id) else { return };
        match reads.front_mut() {
            Some(left) if *left > 1 && !last => *left -= 1,
            _ => drop(reads.pop_front()),
        }
    }

    /// Gives the beats that have come to the addresses that have come.
    fn match_beats(&mut self) {
        while let (Some(&address), Some(beat)) = (self.writes.addresses.front(), self.writes.early.front().copied()) {
            self.writes.early.pop_front();
            let number = self.writes.beats;
            let is_last = number + 1 == address.beats();
            if beat.last != is_last {
                let beats = address.beats();
                self.report.add(
                    Rule::WriteLast,
                    format!(
                        "`wlast` is {} in beat {number} of a write of {beats} beats to {:#x}",
                        u8::from(beat.last),
                        address.addr
                    ),
                );
            }
            let beyond = beat.strb & !address.lanes(number, self.config.beat_bytes());
            if address.burst == burst::INCR && beyond != 0 {
                self.report.add(
                    Rule::Strobe,
                    format!(
                        "`wstrb` {:#x} of beat {number} of a write to {:#x} (size {}) has bytes outside of the beat",
                        beat.strb, address.addr, address.size
                    ),
                );
            }
            if beat.last || is_last {
                self.writes.addresses.pop_front();
                self.writes.beats = 0;
                *self.writes.complete.entry(address.id).or_default() += 1;
            } else {
                self.writes.beats += 1;
            }
        }
    }

    fn check_address(&mut self, channel: &str, address: &AddressSample) {
        let beats = address.beats();
        let burst_is_legal = match address.burst {
            burst::INCR => true,
            burst::FIXED => beats <= SHORT_BURST_BEATS,
            burst::WRAP => {
                beats.is_power_of_two()
                    && (2..=SHORT_BURST_BEATS).contains(&beats)
                    && address.addr % (1 << address.size) == 0
            }
            _ => false,
        };
        if !burst_is_legal {
            self.report.add(
                Rule::Burst,
                format!(
                    "`{channel}burst` {} with {beats} beats from {:#x} does not exist",
                    address.burst, address.addr
                ),
            );
        }
        if 8 << address.size > self.config.data_bits {
            self.report.add(
                Rule::Size,
                format!("`{channel}size` {} is wider than the data of {} bits", address.size, self.config.data_bits),
            );
        }
        let aligned = address.addr & !((1 << address.size) - 1);
        let last_byte = aligned.wrapping_add(u64::from(beats) << address.size).wrapping_sub(1);
        if address.burst == burst::INCR && address.addr / BOUNDARY_BYTES != last_byte / BOUNDARY_BYTES {
            self.report.add(
                Rule::Boundary,
                format!("the burst on `{channel}` from {:#x} to {last_byte:#x} crosses a 4 KiB boundary", address.addr),
            );
        }
    }

    fn check_response(&mut self, channel: &str, value: u8) {
        if value == resp::EXOKAY || value > resp::DECERR {
            self.report.add(
                Rule::Response,
                format!("`{channel}resp` is {value}; without exclusive accesses there are 0, 2 and 3"),
            );
        }
    }

    /// A clock in reset: the registers behind the ports have changed from its second clock on.
    fn clock_in_reset(&mut self, now: &Axi4Sample) {
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
        *self = Axi4Monitor { report, ..Axi4Monitor::new(&name, self.config) };
    }

    /// How many writes and reads are in flight.
    pub fn in_flight(&self) -> (u64, u64) {
        let complete: u64 = self.writes.complete.values().sum();
        let early = u64::from(!self.writes.early.is_empty());
        let reads: usize = self.reads.values().map(VecDeque::len).sum();
        (self.writes.addresses.len() as u64 + complete + early, reads as u64)
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
pub struct Axi4Probe {
    reset: PortId,
    words: usize,
    /// Valid, ready and fields of each channel.
    aw: [PortId; 8],
    w: [PortId; 5],
    b: [PortId; 4],
    ar: [PortId; 8],
    r: [PortId; 6],
}

impl Axi4Probe {
    /// The bus `name` of the top module.
    ///
    /// # Panics
    /// If the top has no such bus, or no reset.
    pub fn new(sim: &dyn Simulator, name: &str, config: Axi4Config) -> Self {
        let port = |port: &str| sim.port(&format!("{name}_{port}"));
        let address = |channel: &str| {
            ["valid", "ready", "id", "addr", "len", "size", "burst", "user"]
                .map(|field| port(&format!("{channel}{field}")))
        };
        Axi4Probe {
            reset: sim.port("reset"),
            words: config.data_bits.div_ceil(64) as usize,
            aw: address("aw"),
            w: ["wvalid", "wready", "wdata", "wstrb", "wlast"].map(port),
            b: ["bvalid", "bready", "bid", "bresp"].map(port),
            ar: address("ar"),
            r: ["rvalid", "rready", "rid", "rdata", "rresp", "rlast"].map(port),
        }
    }

    /// What is on the bus now; to be called after the inputs have settled and before the clock. Payloads that are not valid are left out.
    pub fn sample(&self, sim: &dyn Simulator) -> Axi4Sample {
        let get = |port: PortId| sim.peek_u64(port);
        let bit = |port: PortId| sim.peek_u64(port) == 1;
        let data = |port: PortId| {
            let mut words = [0; DATA_WORDS];
            sim.peek(port, &mut words[..self.words]);
            words
        };
        let address = |ports: &[PortId; 8]| {
            channel(bit(ports[0]), bit(ports[1]), || AddressSample {
                id: get(ports[2]) as u32,
                addr: get(ports[3]),
                len: get(ports[4]) as u8,
                size: get(ports[5]) as u8,
                burst: get(ports[6]) as u8,
                user: get(ports[7]),
            })
        };
        let (w, b, r) = (&self.w, &self.b, &self.r);
        Axi4Sample {
            reset: bit(self.reset),
            aw: address(&self.aw),
            w: channel(bit(w[0]), bit(w[1]), || WriteSample { data: data(w[2]), strb: get(w[3]), last: bit(w[4]) }),
            b: channel(bit(b[0]), bit(b[1]), || ResponseSample { id: get(b[2]) as u32, resp: get(b[3]) as u8 }),
            ar: address(&self.ar),
            r: channel(bit(r[0]), bit(r[1]), || ReadSample {
                id: get(r[2]) as u32,
                data: data(r[3]),
                resp: get(r[4]) as u8,
                last: bit(r[5]),
            }),
        }
    }
}

fn channel<T: Default>(valid: bool, ready: bool, payload: impl FnOnce() -> T) -> Channel<T> {
    let payload = if valid { payload() } else { T::default() };
    Channel { valid, ready, payload }
}
