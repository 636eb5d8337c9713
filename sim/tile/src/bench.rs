//! The other side of the tile's bus: a boot ROM, a memory and registers, for one client. It probes where a test asks for it, and where the instruction cache reads a
//! line of memory, which the data cache may have changed. One thing is done after the other: no request is taken while a line is asked back, and no line is
//! asked back before all grants are acknowledged.

use rtl_bus::monitor::{MessageSample, TileLinkMonitor, TileLinkProbe};
use rtl_bus::{Level, OpcodeA, OpcodeB, OpcodeC, OpcodeD};
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::HwEnum;
use sim_verilator::Model;
use soc_map::rocket::{BOOT_ROM, CACHED, LINE_BYTES, RESET_PC, UNCACHED};
use soc_tile::tile::BUS_CONFIG;
use std::collections::{BTreeSet, VecDeque};

use crate::memory::Memory;
use crate::trace::{Observed, Ports as TracePorts};

/// From here on in [`UNCACHED`] there is nothing: an access is denied.
pub const NOTHING: u64 = UNCACHED.base + 0x1000;

/// Bytes of a beat.
const BEAT: u64 = 8;

/// Beats of a line.
const LINE_BEATS: u64 = LINE_BYTES as u64 / BEAT;

/// How often each side of a channel stalls, of 16 clocks.
#[derive(Clone, Copy, Debug)]
pub struct Stalls {
    /// The manager takes no request, release or acknowledgement.
    pub takes: u64,
    /// The manager gives no answer.
    pub answers: u64,
}

/// A tile with everything around it.
pub struct Bench {
    model: Model,
    monitor: TileLinkMonitor,
    probe: TileLinkProbe,
    ports: Ports,
    stalls: Stalls,
    random: u64,
    trace: TracePorts,
    /// Memory, and the boot ROM.
    pub memory: Memory,
    /// The beats that wait to be given.
    answers: VecDeque<Answer>,
    is_offered: bool,
    /// The beats of the request and of the release that have come.
    requested: u64,
    released: u64,
    /// The line that is asked back, until the tile has heard of it.
    probe_of: Option<u64>,
    /// The answer to it has not come.
    probe_is_open: bool,
    /// The beats of the answer to it that have come, and its parameter.
    pub probed: Vec<(u8, u64)>,
    /// What the instruction cache reads, until the line has come from the data cache: its address, the answer to be, and its beats.
    fetch: Option<(u64, Answer, u64)>,
    /// Grants that are not acknowledged.
    grants: BTreeSet<u16>,
    next_sink: u16,
    /// The lines that the tile has given back with their content.
    pub given_back: Vec<u64>,
    /// What the hart wrote to [`UNCACHED`]: address and value.
    pub written: Vec<(u64, u64)>,
    /// Clocks since the reset.
    pub clocks: u64,
    /// What has come on the bus.
    pub seen: Seen,
}

/// How many messages of some kinds have come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Blocks that were asked for.
    pub acquires: u64,
    /// Changed blocks that were given back.
    pub releases: u64,
    /// Grants that were acknowledged.
    pub acknowledgements: u64,
}

#[derive(Clone, Copy)]
struct Answer {
    opcode: OpcodeD,
    param: u64,
    size: u8,
    source: u16,
    sink: u16,
    denied: bool,
    data: u64,
}

struct Ports {
    reset: PortId,
    wfi: PortId,
    a_ready: PortId,
    c_ready: PortId,
    e_ready: PortId,
    /// Valid, address, size and parameter; the others are set once.
    b: [PortId; 4],
    b_ready: PortId,
    d_valid: PortId,
    /// As in [`Answer`], and `corrupt` behind them.
    d: [PortId; 8],
}

impl Bench {
    /// A tile with this number and this program in its boot ROM, out of reset.
    pub fn new(mut model: Model, hart: u64, program: &[u32], stalls: Stalls, seed: u64) -> Self {
        let port = |name: &str| model.port(name);
        let ports = Ports {
            reset: port("reset"),
            wfi: port("wfi"),
            a_ready: port("bus_a_ready"),
            c_ready: port("bus_c_ready"),
            e_ready: port("bus_e_ready"),
            b: ["valid", "address", "size", "param"].map(|field| port(&format!("bus_b_{field}"))),
            b_ready: port("bus_b_ready"),
            d_valid: port("bus_d_valid"),
            d: ["opcode", "param", "size", "source", "sink", "denied", "data", "corrupt"]
                .map(|field| port(&format!("bus_d_{field}"))),
        };
        let (hart_port, b_opcode, b_mask) = (port("hart_id"), port("bus_b_opcode"), port("bus_b_mask"));
        let mut memory = Memory::default();
        for (at, instruction) in (RESET_PC..).step_by(4).zip(program) {
            memory.write(at, &instruction.to_le_bytes());
        }
        model.poke_u64(hart_port, hart);
        model.poke_u64(b_opcode, OpcodeB::ProbeBlock.code());
        model.poke_u64(b_mask, 0xFF);
        let probe = TileLinkProbe::new(&model, "bus", BUS_CONFIG, Level::Cached);
        let mut bench = Bench {
            monitor: TileLinkMonitor::new("bus", BUS_CONFIG, Level::Cached),
            probe,
            ports,
            stalls,
            random: seed | 1,
            trace: TracePorts::new(&model),
            memory,
            answers: VecDeque::new(),
            is_offered: false,
            requested: 0,
            released: 0,
            probe_of: None,
            probe_is_open: false,
            probed: vec![],
            fetch: None,
            grants: BTreeSet::new(),
            next_sink: 0,
            given_back: vec![],
            written: vec![],
            clocks: 0,
            seen: Seen::default(),
            model,
        };
        const RESET_CLOCKS: u32 = 8;
        bench.model.poke_u64(bench.ports.reset, 1);
        for _ in 0..RESET_CLOCKS {
            bench.model.step();
        }
        bench.model.poke_u64(bench.ports.reset, 0);
        bench
    }

    /// Sets an interrupt. What is observed follows it at once: a read of `mip` sees the input itself.
    pub fn interrupt(&mut self, name: &str, level: bool) {
        let port = self.model.port(name);
        self.model.poke_u64(port, level.into());
        self.model.settle();
    }

    /// Asks a line back, whatever the tile has of it.
    pub fn take_back(&mut self, address: u64) {
        assert!(!self.is_taking_back(), "one after the other");
        self.probe(address);
    }

    /// Whether the hart says that it waits.
    pub fn waits(&self) -> bool {
        self.model.peek_u64(self.ports.wfi) == 1
    }

    /// Runs until `done`.
    ///
    /// # Panics
    /// If that takes more than `clocks_max` clocks, or a rule of the bus is broken.
    #[track_caller]
    pub fn run_until(&mut self, clocks_max: u64, done: impl Fn(&Bench) -> bool) {
        let end = self.clocks + clocks_max;
        while !done(self) {
            assert!(self.clocks < end, "not after {clocks_max} clocks; written: {:x?}, {:?}", self.written, self.seen);
            self.clock();
        }
        self.monitor.assert_clean();
    }

    fn probe(&mut self, address: u64) {
        self.probed.clear();
        self.probe_is_open = true;
        self.probe_of = Some(address);
    }

    /// What the tile retires and writes in this clock, before [`Self::clock`] ends it.
    pub fn observe(&self) -> Observed {
        self.trace.observe(&self.model)
    }

    /// Whether a line is asked back and has not come.
    pub fn is_taking_back(&self) -> bool {
        self.probe_is_open || self.fetch.is_some()
    }

    /// One clock.
    pub fn clock(&mut self) {
        let is_taking_back = self.is_taking_back();
        let takes = [(self.ports.a_ready, !is_taking_back), (self.ports.c_ready, true), (self.ports.e_ready, true)];
        for (port, may) in takes {
            let ready = !self.chance(self.stalls.takes) && may;
            self.model.poke_u64(port, ready.into());
        }
        if let (false, Some((address, answer, beats))) = (self.probe_is_open, self.fetch) {
            self.answer_with_data(answer, address, beats);
            self.fetch = None;
        }
        self.is_offered |= !self.answers.is_empty() && !self.chance(self.stalls.answers);
        self.model.poke_u64(self.ports.d_valid, self.is_offered.into());
        if let (true, Some(answer)) = (self.is_offered, self.answers.front()) {
            let Answer { opcode, param, size, source, sink, denied, data } = *answer;
            let corrupt = denied && matches!(opcode, OpcodeD::AccessAckData | OpcodeD::GrantData);
            let values =
                [opcode.code(), param, size.into(), source.into(), sink.into(), denied.into(), data, corrupt.into()];
            for (port, value) in self.ports.d.into_iter().zip(values) {
                self.model.poke_u64(port, value);
            }
        }
        const TO_N: u64 = 2;
        let probe_of = self.probe_of.filter(|_| self.grants.is_empty());
        let probe = [u64::from(probe_of.is_some()), probe_of.unwrap_or_default(), LINE_BYTES.ilog2().into(), TO_N];
        for (port, value) in self.ports.b.into_iter().zip(probe) {
            self.model.poke_u64(port, value);
        }
        if probe_of.is_some() && self.model.peek_u64(self.ports.b_ready) == 1 {
            self.probe_of = None;
        }
        // Outputs of the tile are registers, so that they need no settling.
        let sample = self.probe.sample(&self.model);
        self.monitor.clock(&sample);
        if sample.d.valid && sample.d.ready {
            self.answers.pop_front();
            self.is_offered = false;
        }
        if sample.e.valid && sample.e.ready {
            assert!(self.grants.remove(&sample.e.payload), "sink {} acknowledges nothing", sample.e.payload);
            self.seen.acknowledgements += 1;
        }
        if sample.c.valid && sample.c.ready {
            self.release(&sample.c.payload);
        }
        if sample.a.valid && sample.a.ready {
            self.request(&sample.a.payload);
        }
        self.model.step();
        self.clocks += 1;
    }

    /// Clocks by the hundred thousand, for measuring.
    pub fn run(&mut self, clocks: u64) {
        let end = self.clocks + clocks;
        self.run_until(clocks + 1, |bench| bench.clocks == end);
    }

    fn chance(&mut self, of_16: u64) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 16 < of_16
    }

    fn read(&self, address: u64) -> Option<u64> {
        if (UNCACHED.base..NOTHING).contains(&address) {
            return Some(!address);
        }
        let is_there = CACHED.contains(address) || BOOT_ROM.contains(address);
        is_there.then(|| u64::from_le_bytes(self.memory.read(address & !(BEAT - 1))))
    }

    fn write(&mut self, address: u64, mask: u64, data: u64) -> bool {
        if (UNCACHED.base..NOTHING).contains(&address) {
            let value =
                (0..BEAT).filter(|lane| mask >> lane & 1 == 1).fold(0, |value, lane| value | data & 0xFF << (8 * lane));
            self.written.push((address, value >> (8 * (address % BEAT))));
            return true;
        }
        if !CACHED.contains(address) {
            return false;
        }
        let first = address & !(BEAT - 1);
        for lane in (0..BEAT).filter(|lane| mask >> lane & 1 == 1) {
            self.memory.write(first + lane, &data.to_le_bytes()[lane as usize..][..1]);
        }
        true
    }

    fn request(&mut self, beat: &MessageSample) {
        let MessageSample { opcode, param, size, source, address, mask, data, .. } = *beat;
        let opcode = OpcodeA::VARIANTS[usize::from(opcode)];
        let beats = ((1u64 << size) / BEAT).max(1);
        let mut answer = Answer { opcode: OpcodeD::AccessAck, param: 0, size, source, sink: 0, denied: false, data: 0 };
        match opcode {
            OpcodeA::Get => {
                let answer = Answer { opcode: OpcodeD::AccessAckData, ..answer };
                if CACHED.contains(address) {
                    self.fetch = Some((address, answer, beats));
                    self.probe(address & !(u64::from(LINE_BYTES) - 1));
                } else {
                    self.answer_with_data(answer, address, beats);
                }
            }
            OpcodeA::PutFullData | OpcodeA::PutPartialData => {
                let at = address + BEAT * self.requested;
                self.requested += 1;
                answer.denied = !self.write(at, mask, data[0]);
                if self.requested == beats {
                    self.requested = 0;
                    self.answers.push_back(answer);
                }
            }
            OpcodeA::AcquireBlock | OpcodeA::AcquirePerm => {
                assert!(CACHED.contains(address), "the tile caches {address:#x}");
                assert_eq!(beats, LINE_BEATS, "the tile asks for another line: {beat:#x}");
                self.seen.acquires += 1;
                const TO_T: u64 = 0;
                const TO_B: u64 = 1;
                const N_TO_B: u8 = 0;
                answer.param = if param == N_TO_B { TO_B } else { TO_T };
                answer.sink = self.next_sink;
                self.next_sink = (self.next_sink + 1) % (1 << BUS_CONFIG.sink_bits);
                assert!(self.grants.insert(answer.sink), "there are more grants than sinks");
                if opcode == OpcodeA::AcquirePerm {
                    self.answers.push_back(Answer { opcode: OpcodeD::Grant, ..answer });
                } else {
                    self.answer_with_data(Answer { opcode: OpcodeD::GrantData, ..answer }, address, beats);
                }
            }
            OpcodeA::ArithmeticData | OpcodeA::LogicalData | OpcodeA::Intent => {
                panic!("no region takes this from the tile: {beat:#x}")
            }
        }
    }

    fn answer_with_data(&mut self, answer: Answer, address: u64, beats: u64) {
        // One answer is denied as a whole, and `denied` is the same in all of its beats.
        let words: Option<Vec<u64>> = (0..beats).map(|beat| self.read(address + BEAT * beat)).collect();
        let denied = words.is_none();
        let words = words.unwrap_or_else(|| vec![0; beats as usize]);
        self.answers.extend(words.into_iter().map(|data| Answer { denied, data, ..answer }));
    }

    fn release(&mut self, beat: &MessageSample) {
        let MessageSample { opcode, param, size, source, address, data, .. } = *beat;
        let beats = match OpcodeC::VARIANTS[usize::from(opcode)] {
            OpcodeC::Release => 1,
            OpcodeC::ReleaseData => {
                assert!(self.write(address + BEAT * self.released, 0xFF, data[0]), "a block of nowhere: {beat:#x}");
                if self.released + 1 == LINE_BEATS {
                    self.given_back.push(address);
                }
                (1u64 << size) / BEAT
            }
            OpcodeC::ProbeAck => {
                self.probed.push((param, 0));
                self.probe_is_open = false;
                return;
            }
            OpcodeC::ProbeAckData => {
                let beat_of_line = self.probed.len() as u64;
                let at = address + BEAT * beat_of_line;
                assert!(self.write(at, 0xFF, data[0]), "a block of nowhere: {beat:#x}");
                self.probed.push((param, data[0]));
                if beat_of_line + 1 == LINE_BEATS {
                    self.given_back.push(address);
                    self.probe_is_open = false;
                }
                return;
            }
            _ => panic!("nobody asked for {beat:#x}"),
        };
        self.released += 1;
        if self.released == beats {
            self.released = 0;
            self.seen.releases += 1;
            let opcode = OpcodeD::ReleaseAck;
            self.answers.push_back(Answer { opcode, param: 0, size, source, sink: 0, denied: false, data: 0 });
        }
    }
}
