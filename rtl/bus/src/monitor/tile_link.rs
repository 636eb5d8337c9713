//! The monitor of TileLink.

use super::{Channel, Handshake, Report, Rule, Violation, DATA_WORDS};
use crate::tile_link::variant;
use crate::{Level, OpcodeA, OpcodeB, OpcodeC, OpcodeD, TileLinkConfig};
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::words_for;
use std::collections::BTreeMap;
use std::fmt;

/// What is on channel A, B, C or D. What the channel does not have is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageSample {
    /// The operation or message.
    pub opcode: u8,
    /// Which kind of it.
    pub param: u8,
    /// Bytes, as a power of two.
    pub size: u8,
    /// Who asked.
    pub source: u16,
    /// Who granted: channel D.
    pub sink: u16,
    /// Of the first byte: channels A, B and C.
    pub address: u64,
    /// One bit for each byte that is meant: channels A and B.
    pub mask: u64,
    /// The beat, lowest word first.
    pub data: [u64; DATA_WORDS],
    /// The manager could not do it: channel D.
    pub denied: bool,
    /// The data is damaged.
    pub corrupt: bool,
}

impl fmt::LowerHex for MessageSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MessageSample { opcode, param, size, source, sink, address, mask, data, denied, corrupt } = self;
        write!(
            f,
            "opcode {opcode} param {param} size {size} source {source:#x} sink {sink:#x} address {address:#x} mask {mask:#x} \
             data {data:x?} denied {denied} corrupt {corrupt}"
        )
    }
}

impl MessageSample {
    /// What stays the same in all beats of a message. TileLink, "Burst Messages".
    fn control(&self) -> MessageSample {
        MessageSample { mask: 0, data: [0; DATA_WORDS], corrupt: false, ..*self }
    }
}

/// What is on the channels in one clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TileLinkSample {
    /// The reset of both sides.
    pub reset: bool,
    /// Requests.
    pub a: Channel<MessageSample>,
    /// Probes; only with caches.
    pub b: Channel<MessageSample>,
    /// Releases and answers to probes; only with caches.
    pub c: Channel<MessageSample>,
    /// Answers and grants.
    pub d: Channel<MessageSample>,
    /// Acknowledgements of grants: the sink; only with caches.
    pub e: Channel<u16>,
}

/// Judges a TileLink, clock by clock. Of channels A and D it knows every rule that one clock and what waits can break; of B, C and E the
/// handshake and the messages that exist. An offer has to stay until it is taken, as on every stream here; TileLink, "Flow Control Rules", does
/// not ask for it.
#[derive(Clone, Debug)]
pub struct TileLinkMonitor {
    config: TileLinkConfig,
    level: Level,
    report: Report,
    /// The clock before was one of reset.
    in_reset: bool,
    a: Handshake<MessageSample>,
    b: Handshake<MessageSample>,
    c: Handshake<MessageSample>,
    d: Handshake<MessageSample>,
    e: Handshake<u16>,
    bursts: [Burst; 4],
    /// Requests that wait for the first beat of their answer, by source.
    requests: BTreeMap<u16, MessageSample>,
    /// Releases that do.
    releases: BTreeMap<u16, MessageSample>,
}

/// The message that is under way on a channel.
#[derive(Clone, Copy, Debug, Default)]
struct Burst {
    first: MessageSample,
    /// Beats to come.
    left: u32,
    /// The first beat was taken.
    begun: bool,
}

/// Numbers of the channels that carry messages.
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

impl TileLinkMonitor {
    /// A monitor for the bus `name`, with nothing under way.
    pub fn new(name: &str, config: TileLinkConfig, level: Level) -> Self {
        TileLinkMonitor {
            config,
            level,
            report: Report::new(name),
            in_reset: false,
            a: Handshake::new("a"),
            b: Handshake::new("b"),
            c: Handshake::new("c"),
            d: Handshake::new("d"),
            e: Handshake::new("e"),
            bursts: [Burst::default(); 4],
            requests: BTreeMap::new(),
            releases: BTreeMap::new(),
        }
    }

    /// Looks at the bus just before a clock edge.
    pub fn clock(&mut self, now: &TileLinkSample) {
        if now.reset {
            return self.clock_in_reset(now);
        }
        self.in_reset = false;
        // Requests first: they may be answered in the clock in which they are offered. TileLink, "Request-Response Message Ordering".
        let (a, c) = (self.a.clock(&now.a, &mut self.report), self.c.clock(&now.c, &mut self.report));
        let (b, d) = (self.b.clock(&now.b, &mut self.report), self.d.clock(&now.d, &mut self.report));
        self.e.clock(&now.e, &mut self.report);
        for (channel, is_new, now) in [(A, a, &now.a), (C, c, &now.c), (B, b, &now.b), (D, d, &now.d)] {
            if is_new {
                self.check_beat(channel, &now.payload);
            }
            if now.taken().is_some() {
                let burst = &mut self.bursts[channel];
                burst.left -= 1;
                if !std::mem::replace(&mut burst.begun, true) && channel == D {
                    self.answer(&now.payload);
                }
            }
        }
        self.report.clock += 1;
    }

    /// A beat that is offered for the first time.
    fn check_beat(&mut self, channel: usize, beat: &MessageSample) {
        let name = NAMES[channel];
        let burst = self.bursts[channel];
        if burst.left > 0 {
            if burst.first.control() != beat.control() {
                let (first, beat) = (burst.first.control(), beat.control());
                self.report.add(
                    Rule::Contiguous,
                    format!(
                        "channel `{name}` has {} more beats of {first:#x} to bring, and brings {beat:#x}",
                        burst.left
                    ),
                );
            }
        } else {
            self.begin(channel, beat);
        }
        let exists = self.has_data(channel, beat.opcode);
        if beat.corrupt && exists == Some(false) {
            self.report.add(Rule::Corrupt, format!("`{name}_corrupt` is 1 in a message without data: {beat:#x}"));
        }
        if matches!(channel, A | B) {
            self.check_mask(channel, beat);
        }
    }

    /// The first beat of a message.
    fn begin(&mut self, channel: usize, beat: &MessageSample) {
        let beats = match self.has_data(channel, beat.opcode) {
            Some(true) => (1u32 << beat.size).div_ceil(self.config.beat_bytes()).max(1),
            _ => 1,
        };
        self.bursts[channel] = Burst { first: *beat, left: beats, begun: false };
        self.check_message(channel, beat);
        match channel {
            A => {
                if let Some(other) = self.requests.insert(beat.source, *beat) {
                    self.report.add(
                        Rule::SourceInUse,
                        format!("`a_source` {:#x} is used while {other:#x} waits for its answer", beat.source),
                    );
                }
            }
            C if matches!(variant(beat.opcode.into()), Some(OpcodeC::Release | OpcodeC::ReleaseData)) => {
                if let Some(other) = self.releases.insert(beat.source, *beat) {
                    self.report.add(
                        Rule::SourceInUse,
                        format!("`c_source` {:#x} is used while {other:#x} waits for its answer", beat.source),
                    );
                }
            }
            D => self.check_answer(beat),
            _ => {}
        }
    }

    /// Whether a message carries data; none if there is no such message. TileLink, "Message Taxonomy".
    fn has_data(&self, channel: usize, opcode: u8) -> Option<bool> {
        let code = u64::from(opcode);
        Some(match channel {
            A => {
                !matches!(variant(code)?, OpcodeA::Get | OpcodeA::Intent | OpcodeA::AcquireBlock | OpcodeA::AcquirePerm)
            }
            B => !matches!(variant(code)?, OpcodeB::Get | OpcodeB::Intent | OpcodeB::ProbeBlock | OpcodeB::ProbePerm),
            C => match variant(code)? {
                OpcodeC::AccessAckData | OpcodeC::ProbeAckData | OpcodeC::ReleaseData => true,
                OpcodeC::AccessAck | OpcodeC::HintAck | OpcodeC::ProbeAck | OpcodeC::Release => false,
                OpcodeC::Reserved3 => return None,
            },
            _ => match variant(code)? {
                OpcodeD::AccessAckData | OpcodeD::GrantData => true,
                OpcodeD::AccessAck | OpcodeD::HintAck | OpcodeD::Grant | OpcodeD::ReleaseAck => false,
                OpcodeD::Reserved3 | OpcodeD::Reserved7 => return None,
            },
        })
    }

    /// The level that a message needs, and how many kinds of it there are; none if there is no such message.
    fn needs(channel: usize, opcode: u8) -> Option<(Level, u8)> {
        use Level::{Cached, UncachedHeavyweight, UncachedLightweight};
        let code = u64::from(opcode);
        Some(match channel {
            A => match variant(code)? {
                OpcodeA::PutFullData | OpcodeA::PutPartialData | OpcodeA::Get => (UncachedLightweight, 1),
                // MIN, MAX, MINU, MAXU, ADD.
                OpcodeA::ArithmeticData => (UncachedHeavyweight, 5),
                // XOR, OR, AND, SWAP.
                OpcodeA::LogicalData => (UncachedHeavyweight, 4),
                // PrefetchRead, PrefetchWrite.
                OpcodeA::Intent => (UncachedHeavyweight, 2),
                // NtoB, NtoT, BtoT.
                OpcodeA::AcquireBlock | OpcodeA::AcquirePerm => (Cached, 3),
            },
            B => match variant(code)? {
                OpcodeB::PutFullData | OpcodeB::PutPartialData | OpcodeB::Get => (Cached, 1),
                OpcodeB::ArithmeticData => (Cached, 5),
                OpcodeB::LogicalData => (Cached, 4),
                OpcodeB::Intent => (Cached, 2),
                // toT, toB, toN.
                OpcodeB::ProbeBlock | OpcodeB::ProbePerm => (Cached, 3),
            },
            C => match variant(code)? {
                OpcodeC::Reserved3 => return None,
                OpcodeC::AccessAck | OpcodeC::AccessAckData | OpcodeC::HintAck => (Cached, 1),
                // TtoB, TtoN, BtoN, TtoT, BtoB, NtoN.
                OpcodeC::ProbeAck | OpcodeC::ProbeAckData | OpcodeC::Release | OpcodeC::ReleaseData => (Cached, 6),
            },
            _ => match variant(code)? {
                OpcodeD::Reserved3 | OpcodeD::Reserved7 => return None,
                OpcodeD::AccessAck | OpcodeD::AccessAckData => (UncachedLightweight, 1),
                OpcodeD::HintAck => (UncachedHeavyweight, 1),
                // toT, toB, toN.
                OpcodeD::Grant | OpcodeD::GrantData => (Cached, 3),
                OpcodeD::ReleaseAck => (Cached, 1),
            },
        })
    }

    fn check_message(&mut self, channel: usize, beat: &MessageSample) {
        let name = NAMES[channel];
        let MessageSample { opcode, param, size, address, .. } = *beat;
        match Self::needs(channel, opcode) {
            Some((level, kinds)) if level <= self.level => {
                if param >= kinds {
                    self.report.add(Rule::Param, format!("`{name}_param` {param} does not exist for opcode {opcode}"));
                }
            }
            _ => {
                let level = self.level;
                self.report.add(Rule::Opcode, format!("`{name}_opcode` {opcode} does not exist at level {level:?}"));
            }
        }
        if self.level == Level::UncachedLightweight && u32::from(size) > self.config.beat_size() {
            self.report.add(Rule::Size, format!("`{name}_size` {size} is more than a beat, which TL-UL does not have"));
        }
        if channel != D && address & ((1 << size) - 1) != 0 {
            self.report.add(Rule::Aligned, format!("`{name}_address` {address:#x} is no multiple of 2^{size}"));
        }
    }

    fn check_mask(&mut self, channel: usize, beat: &MessageSample) {
        let name = NAMES[channel];
        let bytes = u64::from(self.config.beat_bytes());
        let count = (1u64 << beat.size).min(bytes);
        let lanes = (u64::MAX >> (64 - count)) << ((beat.address % bytes) & !(count - 1));
        let may_be_partial = u64::from(beat.opcode) == rtl_hdl::HwEnum::code(OpcodeA::PutPartialData);
        let wrong = if may_be_partial { beat.mask & !lanes != 0 } else { beat.mask != lanes };
        if wrong {
            self.report.add(
                Rule::Mask,
                format!("`{name}_mask` is {:#x}, and size and address mean the bytes {lanes:#x}", beat.mask),
            );
        }
    }

    /// The first beat of an answer belongs to a request, and is what it asks for.
    fn check_answer(&mut self, beat: &MessageSample) {
        let opcode = variant(beat.opcode.into());
        let asked = match opcode {
            Some(OpcodeD::ReleaseAck) => self.releases.get(&beat.source),
            _ => self.requests.get(&beat.source),
        };
        let Some(asked) = asked.copied() else {
            let source = beat.source;
            self.report
                .add(Rule::ResponseUnasked, format!("nothing that source {source:#x} asked waits for {beat:#x}"));
            return;
        };
        let fits = match (variant(asked.opcode.into()), opcode) {
            (_, Some(OpcodeD::ReleaseAck)) => true,
            (Some(OpcodeA::PutFullData | OpcodeA::PutPartialData), answer) => answer == Some(OpcodeD::AccessAck),
            (Some(OpcodeA::Get | OpcodeA::ArithmeticData | OpcodeA::LogicalData), answer) => {
                answer == Some(OpcodeD::AccessAckData)
            }
            (Some(OpcodeA::Intent), answer) => answer == Some(OpcodeD::HintAck),
            (Some(OpcodeA::AcquireBlock), answer) => matches!(answer, Some(OpcodeD::Grant | OpcodeD::GrantData)),
            (Some(OpcodeA::AcquirePerm), answer) => answer == Some(OpcodeD::Grant),
            (None, _) => false,
        };
        if !fits || asked.size != beat.size {
            self.report.add(Rule::Answer, format!("{asked:#x} is answered with {beat:#x}"));
        }
        let is_damaged = self.has_data(D, beat.opcode) == Some(true) && beat.denied && !beat.corrupt;
        if is_damaged {
            self.report.add(Rule::Corrupt, format!("an answer is denied, and its data are not corrupt: {beat:#x}"));
        }
    }

    /// The first beat of an answer was taken: its source is free.
    fn answer(&mut self, beat: &MessageSample) {
        match variant(beat.opcode.into()) {
            Some(OpcodeD::ReleaseAck) => self.releases.remove(&beat.source),
            _ => self.requests.remove(&beat.source),
        };
    }

    /// A clock in reset: the registers behind the ports have changed from its second clock on.
    fn clock_in_reset(&mut self, now: &TileLinkSample) {
        let valid =
            [("a", now.a.valid), ("b", now.b.valid), ("c", now.c.valid), ("d", now.d.valid), ("e", now.e.valid)];
        for (channel, _) in valid.into_iter().filter(|(_, valid)| *valid && self.in_reset) {
            self.report.add(Rule::Reset, format!("`{channel}_valid` is 1 during reset"));
        }
        let report = std::mem::replace(&mut self.report, Report::new(""));
        let name = report.bus.clone();
        *self = TileLinkMonitor { report, ..TileLinkMonitor::new(&name, self.config, self.level) };
        self.in_reset = true;
        self.report.clock += 1;
    }

    /// At the end of a run: what has not been answered is a violation.
    pub fn finish(&mut self) {
        let (requests, releases) = (self.requests.len(), self.releases.len());
        if requests + releases > 0 {
            self.report.add(Rule::Unanswered, format!("{requests} requests and {releases} releases are not answered"));
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
pub struct TileLinkProbe {
    reset: PortId,
    words: usize,
    /// Channels A to D; B and C only with caches.
    messages: [Option<MessagePorts>; 4],
    /// Valid, ready and sink of channel E.
    e: Option<[PortId; 3]>,
}

/// The ports of a channel of messages; what a channel does not have is none.
#[derive(Clone, Debug)]
struct MessagePorts {
    valid: PortId,
    ready: PortId,
    data: PortId,
    opcode: PortId,
    param: PortId,
    size: PortId,
    source: PortId,
    corrupt: PortId,
    address: Option<PortId>,
    mask: Option<PortId>,
    sink: Option<PortId>,
    denied: Option<PortId>,
}

impl TileLinkProbe {
    /// The bus `name` of the top module.
    ///
    /// # Panics
    /// If the top has no such bus, or no reset.
    pub fn new(sim: &dyn Simulator, name: &str, config: TileLinkConfig, level: Level) -> Self {
        let messages = |channel: usize| {
            let port = |field: &str| sim.port(&format!("{name}_{}_{field}", NAMES[channel]));
            let optional = |field: &str, is_there: bool| is_there.then(|| port(field));
            MessagePorts {
                valid: port("valid"),
                ready: port("ready"),
                data: port("data"),
                opcode: port("opcode"),
                param: port("param"),
                size: port("size"),
                source: port("source"),
                corrupt: port("corrupt"),
                address: optional("address", channel != D),
                mask: optional("mask", matches!(channel, A | B)),
                sink: optional("sink", channel == D),
                denied: optional("denied", channel == D),
            }
        };
        let is_there = |channel: usize| matches!(channel, A | D) || level == Level::Cached;
        TileLinkProbe {
            reset: sim.port("reset"),
            words: words_for(config.data_bits),
            messages: [A, B, C, D].map(|channel| is_there(channel).then(|| messages(channel))),
            e: (level == Level::Cached)
                .then(|| ["valid", "ready", "sink"].map(|field| sim.port(&format!("{name}_e_{field}")))),
        }
    }

    /// What is on the bus now; to be called after the inputs have settled and before the clock. Payloads that are not valid are left out.
    pub fn sample(&self, sim: &dyn Simulator) -> TileLinkSample {
        let get = |port: PortId| sim.peek_u64(port);
        let optional = |port: Option<PortId>| port.map_or(0, get);
        let message = |channel: usize| {
            let Some(ports) = &self.messages[channel] else { return Channel::default() };
            let (valid, ready) = (get(ports.valid) == 1, get(ports.ready) == 1);
            if !valid {
                return Channel { valid, ready, ..Channel::default() };
            }
            let mut data = [0; DATA_WORDS];
            sim.peek(ports.data, &mut data[..self.words]);
            let payload = MessageSample {
                opcode: get(ports.opcode) as u8,
                param: get(ports.param) as u8,
                size: get(ports.size) as u8,
                source: get(ports.source) as u16,
                sink: optional(ports.sink) as u16,
                address: optional(ports.address),
                mask: optional(ports.mask),
                data,
                denied: optional(ports.denied) == 1,
                corrupt: get(ports.corrupt) == 1,
            };
            Channel { valid, ready, payload }
        };
        let e = self.e.map_or(Channel::default(), |[valid, ready, sink]| Channel {
            valid: get(valid) == 1,
            ready: get(ready) == 1,
            payload: if get(valid) == 1 { get(sink) as u16 } else { 0 },
        });
        TileLinkSample { reset: get(self.reset) == 1, a: message(A), b: message(B), c: message(C), d: message(D), e }
    }
}
