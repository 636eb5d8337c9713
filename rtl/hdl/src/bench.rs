//! What the bench of a block needs: a seed, stream drivers with stall patterns, the handshake rule, a limit on clocks, and two
//! simulators in step.
//!
//! A bench body takes a `&mut dyn Simulator`, so the same body runs in the evaluator and on the Verilated Verilog:
//!
//! ```
//! use rtl_hdl::bench::{Bench, Seed, Stalls};
//! use rtl_hdl::{block_fn, elaborate, sim::Simulator, when, Design, Evaluator};
//!
//! fn passes_items_on(design: &Design, sim: &mut dyn Simulator, stalls: Stalls) {
//!     let seed = Seed::from_env_or(0x5EED);
//!     let mut rng = seed.rng("items");
//!     let sent: Vec<Vec<u64>> = (0..100).map(|_| rng.bits(8)).collect();
//!     let mut bench = Bench::new(sim, design, seed, stalls);
//!     bench.send("from", sent.iter().cloned());
//!     bench.run_until(10_000, |bench| bench.received("to").len() == sent.len());
//!     assert_eq!(bench.received("to"), sent);
//! }
//!
//! let design = elaborate(&block_fn("pass", |m| {
//!     m.clock();
//!     let from = m.stream_in_bits("from", 8);
//!     let to = m.stream_out_bits("to", 8);
//!     when(to.can_take(), || {
//!         from.take();
//!         when(from.valid(), || to.offer(from.payload()));
//!     });
//! }))
//! .unwrap();
//! for stalls in Stalls::ALL {
//!     passes_items_on(&design, &mut Evaluator::new(&design).unwrap(), stalls);
//! }
//! ```
//!
//! An item of a stream is a `Vec<u64>`: the leaves of the payload, packed as [`Value::pack`](crate::Value::pack) packs them, the first field
//! in the lowest bits. [`Fields`] sets and reads leaves by name.
//!
//! Everything here panics when a rule is broken, as assertions do: it is for tests.

mod reset;

pub use reset::forgets_at_reset;

use crate::foreign::nearest;
use crate::ir::{Direction, Domain, StreamPort};
use crate::sim::{PortId, Simulator};
use crate::{words_for, Design, JITTER};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// What every random choice of a run comes from. The same seed makes the same run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(pub u64);

impl Seed {
    /// The environment variable `SEED`, decimal or hexadecimal with `0x`, or else `default`.
    ///
    /// # Panics
    /// If `SEED` is set to something else.
    pub fn from_env_or(default: u64) -> Seed {
        match std::env::var("SEED") {
            Ok(text) => Seed::parse(&text)
                .unwrap_or_else(|| panic!("SEED is `{text}`; it must be a number such as 24301 or 0x5eed")),
            Err(_) => Seed(default),
        }
    }

    /// A number, decimal or hexadecimal with `0x`.
    pub fn parse(text: &str) -> Option<Seed> {
        let text = text.trim().replace('_', "");
        match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16).ok().map(Seed),
            None => text.parse().ok().map(Seed),
        }
    }

    /// Random numbers for one `purpose`. Each purpose has numbers of its own, so that a new use of randomness leaves the others as they were.
    pub fn rng(self, purpose: &str) -> Rng {
        // FNV-1a.
        let hash =
            purpose.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Rng { state: self.0 ^ hash }
    }

    /// The command that runs the current test again with this seed.
    pub fn replay(self) -> String {
        let package = std::env::var("CARGO_PKG_NAME").map_or(String::new(), |name| format!(" -p {name}"));
        let thread = std::thread::current();
        let test = thread.name().filter(|name| *name != "main").map_or(String::new(), |name| format!(" {name}"));
        format!("SEED={self} cargo test{package}{test}")
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A small deterministic random number generator (SplitMix64): its numbers are the same on every machine and in every version, which a seed
/// in a bug report relies on.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is at least 1.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(limit)) >> 64) as u64
    }

    /// A number in `range`, which is not empty.
    pub fn range(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    /// True in `percent` of the cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// True or false.
    pub fn bool(&mut self) -> bool {
        self.next_u64() >> 63 == 1
    }

    /// One of `choices`, which is not empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// A value of `width` bits, as words.
    pub fn bits(&mut self, width: u32) -> Vec<u64> {
        let mut words: Vec<u64> = (0..words_for(width)).map(|_| self.next_u64()).collect();
        crate::mask_top(width, &mut words);
        words
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// How the two ends of the streams behave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stalls {
    /// Items are offered and taken in every clock.
    None,
    /// Items come with gaps.
    InputIdles,
    /// Items are not taken in some clocks.
    OutputStalls,
    /// Both.
    Both,
    /// Each stream has its own rate, and its gaps and runs their own lengths; the slowest end is active in every tenth clock.
    Random,
}

impl Stalls {
    /// Every pattern.
    pub const ALL: [Stalls; 5] = [Stalls::None, Stalls::InputIdles, Stalls::OutputStalls, Stalls::Both, Stalls::Random];

    fn pace(self, direction: Direction, mut rng: Rng) -> Pace {
        let stalled = match self {
            Stalls::None => false,
            Stalls::InputIdles => direction == Direction::Input,
            Stalls::OutputStalls => direction == Direction::Output,
            Stalls::Both => true,
            Stalls::Random => {
                let [run_max, gap_max] = [5, 4].map(|bits| 1 << rng.below(bits + 1));
                return Pace { run_max, gap_max, left: 0, active: false, rng };
            }
        };
        if stalled {
            Pace { run_max: 3, gap_max: 3, left: 0, active: false, rng }
        } else {
            Pace::always()
        }
    }
}

/// Says in each clock whether one end of a stream is active: runs of active clocks with gaps between, of random lengths.
#[derive(Clone, Debug)]
pub struct Pace {
    run_max: u64,
    gap_max: u64,
    left: u64,
    active: bool,
    rng: Rng,
}

impl Pace {
    /// Active in every clock.
    pub fn always() -> Pace {
        Pace { run_max: 1, gap_max: 0, left: 0, active: true, rng: Rng { state: 0 } }
    }

    /// Runs of 1 to `run_max` active clocks, gaps of 1 to `gap_max` between them.
    pub fn new(run_max: u64, gap_max: u64, rng: Rng) -> Pace {
        Pace { run_max, gap_max, left: 0, active: false, rng }
    }

    /// Goes on to the next clock: whether it is active.
    pub fn advance(&mut self) -> bool {
        if self.gap_max == 0 {
            return true;
        }
        if self.left == 0 {
            self.active = !self.active;
            let max = if self.active { self.run_max } else { self.gap_max };
            self.left = 1 + self.rng.below(max);
        }
        self.left -= 1;
        self.active
    }
}

/// The ports of a stream of the top module.
#[derive(Clone, Debug)]
struct StreamPins {
    name: String,
    valid: PortId,
    ready: PortId,
    /// Port, lowest bit in the packed item, and width of each leaf.
    leaves: Vec<(PortId, u32, u32)>,
    width: u32,
}

impl StreamPins {
    fn new(sim: &dyn Simulator, stream: &StreamPort) -> StreamPins {
        let name = &stream.name;
        let mut low = 0;
        let leaves = stream
            .leaves
            .iter()
            .map(|(suffix, width)| {
                let leaf = (sim.port(&format!("{name}{suffix}")), low, *width);
                low += width;
                leaf
            })
            .collect();
        StreamPins {
            name: name.clone(),
            valid: sim.port(&stream.valid()),
            ready: sim.port(&stream.ready()),
            leaves,
            width: low,
        }
    }

    fn poke(&self, sim: &mut dyn Simulator, item: &[u64]) {
        for &(port, low, width) in &self.leaves {
            sim.poke(port, &get_bits(item, low, width));
        }
    }

    fn peek(&self, sim: &dyn Simulator) -> Vec<u64> {
        let mut item = vec![0; words_for(self.width)];
        for &(port, low, width) in &self.leaves {
            let mut words = vec![0; words_for(width)];
            sim.peek(port, &mut words);
            set_bits(&mut item, low, width, &words);
        }
        item
    }
}

/// Offers items to an input stream of the top module: once offered, an item stays until it is taken. While nothing is offered the payload
/// is random, so that a block which looks at it is found.
#[derive(Clone, Debug)]
pub struct Source {
    pins: StreamPins,
    pace: Pace,
    garbage: Rng,
    waiting: VecDeque<Vec<u64>>,
    offering: bool,
    taken: u64,
}

impl Source {
    /// A source for `stream`, which is an input of the top module of `sim`.
    pub fn new(sim: &dyn Simulator, stream: &StreamPort, pace: Pace) -> Source {
        assert_eq!(
            stream.direction,
            Direction::Input,
            "the stream `{}` leaves the module: it takes a `Sink`",
            stream.name
        );
        let garbage = Seed(pace.rng.state).rng(&stream.name);
        Source {
            pins: StreamPins::new(sim, stream),
            pace,
            garbage,
            waiting: VecDeque::new(),
            offering: false,
            taken: 0,
        }
    }

    /// Adds an item behind those that wait.
    pub fn push(&mut self, item: Vec<u64>) {
        assert_eq!(
            item.len(),
            words_for(self.pins.width),
            "an item of the stream `{}` has {} bits, so {} words",
            self.pins.name,
            self.pins.width,
            words_for(self.pins.width)
        );
        self.waiting.push_back(item);
    }

    /// How many items have not been taken yet.
    pub fn pending(&self) -> usize {
        self.waiting.len()
    }

    /// How many items have been taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Sets the inputs for the next edge of the stream's clock.
    pub fn drive(&mut self, sim: &mut dyn Simulator) {
        let active = self.pace.advance();
        if self.offering {
            return;
        }
        match self.waiting.front() {
            Some(item) if active => {
                self.pins.poke(sim, item);
                sim.poke_u64(self.pins.valid, 1);
                self.offering = true;
            }
            _ => {
                sim.poke_u64(self.pins.valid, 0);
                let garbage = self.garbage.bits(self.pins.width);
                self.pins.poke(sim, &garbage);
            }
        }
    }

    /// Looks at the settled outputs just before the edge: true if an item is taken by it.
    pub fn observe(&mut self, sim: &dyn Simulator) -> bool {
        let taken = self.offering && sim.peek_u64(self.pins.ready) == 1;
        if taken {
            self.waiting.pop_front();
            self.offering = false;
            self.taken += 1;
        }
        taken
    }

    /// Withdraws the offer, as a reset does; the item is offered again. With `clear`, what waits is dropped.
    pub fn reset(&mut self, sim: &mut dyn Simulator, clear: bool) {
        self.offering = false;
        sim.poke_u64(self.pins.valid, 0);
        if clear {
            self.waiting.clear();
        }
    }
}

/// Takes items from an output stream of the top module and checks the handshake: once offered, an item stays, unchanged, until it is taken.
#[derive(Clone, Debug)]
pub struct Sink {
    pins: StreamPins,
    pace: Pace,
    ready: bool,
    held: bool,
    /// What was offered at the last edge and not taken.
    offered: Option<Vec<u64>>,
    received: Vec<Vec<u64>>,
}

impl Sink {
    /// A sink for `stream`, which is an output of the top module of `sim`.
    pub fn new(sim: &dyn Simulator, stream: &StreamPort, pace: Pace) -> Sink {
        assert_eq!(
            stream.direction,
            Direction::Output,
            "the stream `{}` enters the module: it takes a `Source`",
            stream.name
        );
        Sink { pins: StreamPins::new(sim, stream), pace, ready: false, held: false, offered: None, received: vec![] }
    }

    /// While held, it takes nothing.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// What has been received and not drained, in order.
    pub fn received(&self) -> &[Vec<u64>] {
        &self.received
    }

    /// Takes out what has been received.
    pub fn drain(&mut self) -> Vec<Vec<u64>> {
        std::mem::take(&mut self.received)
    }

    /// Sets the inputs for the next edge of the stream's clock.
    pub fn drive(&mut self, sim: &mut dyn Simulator) {
        self.ready = self.pace.advance() && !self.held;
        sim.poke_u64(self.pins.ready, self.ready as u64);
    }

    /// Looks at the settled outputs just before the edge: true if an item is taken by it.
    ///
    /// # Panics
    /// If an item was withdrawn or changed.
    pub fn observe(&mut self, sim: &dyn Simulator) -> bool {
        if sim.peek_u64(self.pins.valid) == 0 {
            assert!(self.offered.is_none(), "the stream `{}` withdrew an item that was not taken", self.pins.name);
            return false;
        }
        let item = self.pins.peek(sim);
        if let Some(offered) = &self.offered {
            assert_eq!(offered, &item, "the stream `{}` changed an item that was not taken", self.pins.name);
        }
        self.offered = (!self.ready).then(|| item.clone());
        if self.ready {
            self.received.push(item);
        }
        self.ready
    }

    /// Forgets the offer, which a reset may withdraw.
    pub fn reset(&mut self) {
        self.offered = None;
    }
}

/// The payload of a stream by the names of its leaves.
///
/// ```
/// use rtl_hdl::{bench::Fields, ir::StreamPort, Direction, Naming};
/// let stream = StreamPort {
///     name: "read".into(),
///     direction: Direction::Input,
///     naming: Naming::Underscore,
///     leaves: vec![("_id".into(), 8), ("_address".into(), 64)],
/// };
/// let item = Fields::new(&stream).set("id", 3).set("address", 0x1000).words();
/// assert_eq!(Fields::from_words(&stream, &item).get("address"), 0x1000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    stream: StreamPort,
    words: Vec<u64>,
}

impl Fields {
    /// All zero.
    pub fn new(stream: &StreamPort) -> Fields {
        let width = stream.leaves.iter().map(|(_, width)| width).sum();
        Fields { stream: stream.clone(), words: vec![0; words_for(width)] }
    }

    /// The fields of an item.
    pub fn from_words(stream: &StreamPort, words: &[u64]) -> Fields {
        let mut fields = Fields::new(stream);
        assert_eq!(words.len(), fields.words.len(), "an item of `{}` has {} words", stream.name, fields.words.len());
        fields.words.copy_from_slice(words);
        fields
    }

    /// All random: what a bench does not care about it should still compare.
    pub fn random(stream: &StreamPort, rng: &mut Rng) -> Fields {
        let width = stream.leaves.iter().map(|(_, width)| width).sum();
        Fields { stream: stream.clone(), words: rng.bits(width) }
    }

    fn find(&self, name: &str) -> (u32, u32) {
        let mut low = 0;
        for (suffix, width) in &self.stream.leaves {
            if suffix.trim_start_matches('_') == name {
                return (low, *width);
            }
            low += width;
        }
        let known: Vec<&str> = self.stream.leaves.iter().map(|(suffix, _)| suffix.trim_start_matches('_')).collect();
        panic!("the stream `{}` has no field `{name}`; it has {}", self.stream.name, known.join(", "));
    }

    /// Sets a field; bits beyond 128 become zero.
    ///
    /// # Panics
    /// If there is no such field, or the value does not fit.
    pub fn set(self, name: &str, value: impl TryInto<u128>) -> Fields {
        let Ok(value) = value.try_into() else { panic!("the value of `{name}` is negative; fields are unsigned") };
        let (_, width) = self.find(name);
        assert!(
            width >= 128 || value >> width == 0,
            "the field `{name}` of `{}` has {width} bits: {value:#x} does not fit",
            self.stream.name
        );
        self.set_words(name, &[value as u64, (value >> 64) as u64])
    }

    /// Sets a field of any width from words, lowest first; missing words are zero.
    pub fn set_words(mut self, name: &str, value: &[u64]) -> Fields {
        let (low, width) = self.find(name);
        let mut value = value.to_vec();
        value.resize(words_for(width), 0);
        set_bits(&mut self.words, low, width, &value);
        self
    }

    /// A field of at most 64 bits.
    pub fn get(&self, name: &str) -> u64 {
        let (_, width) = self.find(name);
        assert!(width <= 64, "the field `{name}` of `{}` has {width} bits: read it with `get_words`", self.stream.name);
        self.get_words(name)[0]
    }

    /// A field of any width.
    pub fn get_words(&self, name: &str) -> Vec<u64> {
        let (low, width) = self.find(name);
        get_bits(&self.words, low, width)
    }

    /// The packed item.
    pub fn words(self) -> Vec<u64> {
        self.words
    }
}

/// `width` bits of `words` from bit `low` up.
pub fn get_bits(words: &[u64], low: u32, width: u32) -> Vec<u64> {
    let (first, shift) = ((low / 64) as usize, low % 64);
    let word = |i: usize| words.get(i).copied().unwrap_or(0);
    let mut result: Vec<u64> =
        (0..words_for(width))
            .map(|i| {
                if shift == 0 {
                    word(first + i)
                } else {
                    word(first + i) >> shift | word(first + i + 1) << (64 - shift)
                }
            })
            .collect();
    crate::mask_top(width, &mut result);
    result
}

/// Replaces `width` bits of `words` from bit `low` up by `value`.
pub fn set_bits(words: &mut [u64], low: u32, width: u32, value: &[u64]) {
    for (i, &part) in value.iter().enumerate() {
        let count = width.saturating_sub(64 * i as u32).min(64);
        if count == 0 {
            return;
        }
        let mask = u64::MAX >> (64 - count);
        let at = low + 64 * i as u32;
        let (word, shift) = ((at / 64) as usize, at % 64);
        words[word] = words[word] & !(mask << shift) | (part & mask) << shift;
        if shift + count > 64 {
            let done = 64 - shift;
            words[word + 1] = words[word + 1] & !(mask >> done) | (part & mask) >> done;
        }
    }
}

/// A running top module with a [`Source`] on each of its input streams and a [`Sink`] on each of its output streams.
///
/// In each clock the ends of the streams set their inputs, the inputs settle, what is taken is noted, and the clock rises. With several
/// clocks [`Clocking`] says which of them rise.
///
/// When a test that holds a bench panics, the command that replays it is printed.
pub struct Bench<'a> {
    sim: &'a mut dyn Simulator,
    top: std::rc::Rc<crate::ir::ModuleIr>,
    seed: Seed,
    stalls: Stalls,
    /// Each with the index of its clock.
    sources: BTreeMap<String, (usize, Source)>,
    sinks: BTreeMap<String, (usize, Sink)>,
    clocking: Clocking,
    schedule: Schedule,
    /// The port through which values cross early or late, and its width; see [`with_jitter`](crate::with_jitter).
    jitter: Option<(PortId, u32)>,
    jitters: Rng,
    clocks: u64,
}

/// When the clocks of a design with several rise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Clocking {
    /// In each moment a random choice of them, at least one: their edges meet and pass each other in every way.
    Random,
    /// Each with its period and the time of its first edge, in any unit: edges at one time are one moment.
    Periods(Vec<(u64, u64)>),
}

impl Clocking {
    /// Ways in which two clocks may run beside each other: at random; at one rate, together, in between, and drifting through each other; one faster
    /// by a little, by a lot, and by a ratio that is no whole number, both ways.
    pub fn of_two_clocks() -> Vec<Clocking> {
        let periods = |first: (u64, u64), second: (u64, u64)| Clocking::Periods(vec![first, second]);
        vec![
            Clocking::Random,
            periods((10, 0), (10, 0)),
            periods((10, 0), (10, 5)),
            periods((1000, 0), (1001, 7)),
            periods((1001, 3), (1000, 0)),
            periods((10, 0), (70, 10)),
            periods((70, 1), (10, 0)),
            periods((8, 0), (20, 3)),
            periods((33, 0), (14, 1)),
        ]
    }
}

/// Says which clocks rise in each moment.
#[derive(Clone, Debug)]
struct Schedule {
    edges: Rng,
    /// The time of the next edge of each clock.
    next: Vec<u64>,
}

impl Schedule {
    fn new(seed: Seed, clocking: &Clocking) -> Schedule {
        let next = match clocking {
            Clocking::Random => vec![],
            Clocking::Periods(periods) => periods.iter().map(|(_, first)| *first).collect(),
        };
        Schedule { edges: seed.rng("clock edges"), next }
    }

    /// The clocks of the next moment, out of `all`.
    fn advance(&mut self, clocking: &Clocking, all: u64) -> u64 {
        let Clocking::Periods(periods) = clocking else {
            return if all <= 1 { 1 } else { self.edges.range(1..all + 1) };
        };
        let now = self.next.iter().copied().min().unwrap_or(0);
        let mut mask = 0;
        for (clock, (next, (period, _))) in self.next.iter_mut().zip(periods).enumerate() {
            if *next == now {
                mask |= 1 << clock;
                *next += period;
            }
        }
        mask
    }
}

impl<'a> Bench<'a> {
    /// Attaches to `sim`, which runs `design`, sets all other inputs to zero, and resets it for two clocks.
    pub fn new(sim: &'a mut dyn Simulator, design: &Design, seed: Seed, stalls: Stalls) -> Bench<'a> {
        let top = design.top().clone();
        let (mut sources, mut sinks) = (BTreeMap::new(), BTreeMap::new());
        for stream in &top.streams {
            let valid = top.port(&stream.valid()).expect("a stream has a valid port");
            let clock = match top.ports[valid].domain {
                Domain::Clock(clock) => clock,
                _ => 0,
            };
            let pace = stalls.pace(stream.direction, seed.rng(&stream.name));
            match stream.direction {
                Direction::Input => drop(sources.insert(stream.name.clone(), (clock, Source::new(sim, stream, pace)))),
                Direction::Output => drop(sinks.insert(stream.name.clone(), (clock, Sink::new(sim, stream, pace)))),
            }
        }
        for port in
            top.ports.iter().filter(|p| p.direction == Direction::Input && !matches!(p.domain, Domain::ClockInput(_)))
        {
            sim.poke(sim.port(&port.name), &vec![0; words_for(port.width)]);
        }
        let jitter = top.port(JITTER).map(|port| (sim.port(JITTER), top.ports[port].width));
        let clocking = Clocking::Random;
        let schedule = Schedule::new(seed, &clocking);
        let jitters = seed.rng(JITTER);
        let mut bench =
            Bench { sim, top, seed, stalls, sources, sinks, clocking, schedule, jitter, jitters, clocks: 0 };
        bench.reset(2);
        bench
    }

    /// The same bench with clocks that rise as `clocking` says.
    ///
    /// # Panics
    /// If it does not give every clock of the top a period, which is not 0.
    #[must_use]
    pub fn with_clocking(mut self, clocking: Clocking) -> Self {
        if let Clocking::Periods(periods) = &clocking {
            let clocks = self.top.clocks.len();
            assert_eq!(periods.len(), clocks, "`{}` has {clocks} clocks", self.top.name);
            assert!(periods.iter().all(|(period, _)| *period > 0), "a period is not 0");
        }
        self.schedule = Schedule::new(self.seed, &clocking);
        self.clocking = clocking;
        self
    }

    /// Holds every reset for `clocks` edges of every clock. Offers are withdrawn; what has not been taken is offered again afterwards.
    pub fn reset(&mut self, clocks: u32) {
        let resets: Vec<PortId> =
            self.top.clocks.iter().filter_map(|c| c.reset).map(|node| self.port_of_node(node)).collect();
        self.sources.values_mut().for_each(|(_, source)| source.reset(self.sim, false));
        for &reset in &resets {
            self.sim.poke_u64(reset, 1);
        }
        for _ in 0..clocks {
            self.sim.step_clocks(self.all_clocks());
            self.clocks += 1;
        }
        for &reset in &resets {
            self.sim.poke_u64(reset, 0);
        }
        self.sinks.values_mut().for_each(|(_, sink)| sink.reset());
    }

    fn port_of_node(&self, node: usize) -> PortId {
        let port = self
            .top
            .ports
            .iter()
            .find(|p| p.node == node && p.direction == Direction::Input)
            .expect("a reset is a port");
        self.sim.port(&port.name)
    }

    fn all_clocks(&self) -> u64 {
        (1 << self.top.clocks.len()) - 1
    }

    fn source(&mut self, stream: &str) -> &mut Source {
        if !self.sources.contains_key(stream) {
            let known = nearest(stream, self.sources.keys().map(String::as_str));
            panic!("`{}` has no input stream `{stream}`; {known}", self.top.name);
        }
        &mut self.sources.get_mut(stream).expect("looked up above").1
    }

    fn sink(&self, stream: &str) -> &Sink {
        match self.sinks.get(stream) {
            Some((_, sink)) => sink,
            None => panic!(
                "`{}` has no output stream `{stream}`; {}",
                self.top.name,
                nearest(stream, self.sinks.keys().map(String::as_str))
            ),
        }
    }

    /// The stream `name` of the top, for [`Fields`].
    pub fn stream(&self, name: &str) -> &StreamPort {
        match self.top.streams.iter().find(|s| s.name == name) {
            Some(stream) => stream,
            None => panic!(
                "`{}` has no stream `{name}`; {}",
                self.top.name,
                nearest(name, self.top.streams.iter().map(|s| s.name.as_str()))
            ),
        }
    }

    /// An item of a stream, all zero, to be filled in by name.
    pub fn fields(&self, stream: &str) -> Fields {
        Fields::new(self.stream(stream))
    }

    /// An item of a stream, all random, to be filled in by name where that matters.
    pub fn random_fields(&self, stream: &str, rng: &mut Rng) -> Fields {
        Fields::random(self.stream(stream), rng)
    }

    /// Adds items for the source of an input stream.
    pub fn send(&mut self, stream: &str, items: impl IntoIterator<Item = Vec<u64>>) {
        let source = self.source(stream);
        items.into_iter().for_each(|item| source.push(item));
    }

    /// How many items sent to an input stream have not been taken yet.
    pub fn pending(&mut self, stream: &str) -> usize {
        self.source(stream).pending()
    }

    /// Drops what was sent to an input stream and not taken. An offer must not be withdrawn, so a reset has to follow.
    pub fn clear(&mut self, stream: &str) {
        self.source(stream);
        self.sources.get_mut(stream).expect("found above").1.reset(self.sim, true);
    }

    /// While an output stream is held, nothing is taken from it: for a receiver that stalls for as long as the test likes.
    pub fn hold(&mut self, stream: &str, held: bool) {
        self.sink(stream);
        self.sinks.get_mut(stream).expect("found above").1.hold(held);
    }

    /// What an output stream has delivered and was not drained, in order.
    pub fn received(&self, stream: &str) -> &[Vec<u64>] {
        self.sink(stream).received()
    }

    /// Takes out what an output stream has delivered.
    pub fn drain(&mut self, stream: &str) -> Vec<Vec<u64>> {
        self.sink(stream);
        self.sinks.get_mut(stream).expect("found above").1.drain()
    }

    /// Takes out what an output stream has delivered, by field names.
    pub fn drain_fields(&mut self, stream: &str) -> Vec<Fields> {
        let items = self.drain(stream);
        items.iter().map(|item| Fields::from_words(self.stream(stream), item)).collect()
    }

    /// Sets an input port of at most 64 bits.
    pub fn poke(&mut self, port: &str, value: u64) {
        let port = self.sim.port(port);
        self.sim.poke_u64(port, value);
    }

    /// Reads the low 64 bits of a port, as they were after the last clock.
    pub fn peek(&self, port: &str) -> u64 {
        self.sim.peek_u64(self.sim.port(port))
    }

    /// The simulator.
    pub fn sim(&mut self) -> &mut dyn Simulator {
        self.sim
    }

    /// How many clocks have passed, resets included.
    pub fn clocks(&self) -> u64 {
        self.clocks
    }

    /// One clock; with several clocks, one moment in which one or more of them rise: see [`Clocking`]. Which did is returned, a bit for each.
    pub fn clock(&mut self) -> u64 {
        let mask = self.schedule.advance(&self.clocking, self.all_clocks());
        self.clock_these(mask);
        mask
    }

    /// One moment in which the clocks in `mask` rise (the first clock is the lowest bit).
    pub fn clock_these(&mut self, mask: u64) {
        let rises = |clock: usize| mask >> clock & 1 == 1;
        if let Some((port, width)) = self.jitter {
            let bits = self.jitters.bits(width);
            self.sim.poke(port, &bits);
        }
        for (_, source) in self.sources.values_mut().filter(|(clock, _)| rises(*clock)) {
            source.drive(self.sim);
        }
        for (_, sink) in self.sinks.values_mut().filter(|(clock, _)| rises(*clock)) {
            sink.drive(self.sim);
        }
        self.sim.settle();
        for (_, source) in self.sources.values_mut().filter(|(clock, _)| rises(*clock)) {
            source.observe(self.sim);
        }
        for (_, sink) in self.sinks.values_mut().filter(|(clock, _)| rises(*clock)) {
            sink.observe(self.sim);
        }
        self.sim.step_clocks(mask);
        self.clocks += 1;
    }

    /// Clocks until `done`, which is asked before each clock.
    ///
    /// # Panics
    /// After `clocks_max` clocks, with what every stream has seen.
    pub fn run_until(&mut self, clocks_max: u64, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..clocks_max {
            if done(self) {
                return;
            }
            self.clock();
        }
        assert!(done(self), "not done after {clocks_max} clocks: {}", self.progress());
    }

    /// `clocks` clocks.
    pub fn run(&mut self, clocks: u64) {
        for _ in 0..clocks {
            self.clock();
        }
    }

    fn progress(&self) -> String {
        let sources = self
            .sources
            .iter()
            .map(|(name, (_, s))| format!("`{name}` took {} items and {} wait", s.taken(), s.pending()));
        let sinks =
            self.sinks.iter().map(|(name, (_, s))| format!("`{name}` holds {} received items", s.received().len()));
        sources.chain(sinks).collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "bench of `{}` failed in clock {} with stalls {:?} and clocks {:?}: {}\nreplay: {}",
                self.top.name,
                self.clocks,
                self.stalls,
                self.clocking,
                self.progress(),
                self.seed.replay()
            );
        }
    }
}

/// Clocks `sim` until `done`, which is asked before each clock, and says how many clocks it took.
///
/// # Panics
/// After `clocks_max` clocks, with the command that replays the run.
pub fn run_until(
    sim: &mut dyn Simulator,
    seed: Seed,
    clocks_max: u64,
    mut done: impl FnMut(&mut dyn Simulator) -> bool,
) -> u64 {
    for clock in 0..clocks_max {
        if done(sim) {
            return clock;
        }
        sim.step();
    }
    assert!(done(sim), "not done after {clocks_max} clocks\nreplay: {}", seed.replay());
    clocks_max
}

/// Two simulators of one design that get the same inputs; every output is compared after every clock and every `settle`.
pub struct Lockstep<A, B> {
    top: String,
    left: (String, A),
    right: (String, B),
    /// Name, words, and the number in each simulator, of every port of the top.
    ports: Vec<(String, usize, PortId, PortId)>,
    /// Which of `ports` are outputs.
    outputs: Vec<usize>,
    clocks: u64,
}

impl<A: Simulator, B: Simulator> Lockstep<A, B> {
    /// Joins two simulators of `design`, each with a name for messages.
    pub fn new(design: &Design, left: (&str, A), right: (&str, B)) -> Self {
        let top = design.top();
        let ports: Vec<_> = top
            .ports
            .iter()
            .map(|p| (p.name.clone(), words_for(p.width), left.1.port(&p.name), right.1.port(&p.name)))
            .collect();
        let outputs = (0..ports.len()).filter(|i| top.ports[*i].direction == Direction::Output).collect();
        Lockstep {
            top: top.name.clone(),
            left: (left.0.into(), left.1),
            right: (right.0.into(), right.1),
            ports,
            outputs,
            clocks: 0,
        }
    }

    /// The two simulators.
    pub fn both(&mut self) -> (&mut A, &mut B) {
        (&mut self.left.1, &mut self.right.1)
    }

    fn compare(&self) {
        for &index in &self.outputs {
            let (name, words, a, b) = &self.ports[index];
            let (mut left, mut right) = (vec![0; *words], vec![0; *words]);
            self.left.1.peek(*a, &mut left);
            self.right.1.peek(*b, &mut right);
            assert!(
                left == right,
                "after {} clocks the output `{name}` of `{}` differs: {} {:x?}, {} {:x?} (lowest word first)",
                self.clocks,
                self.top,
                self.left.0,
                left,
                self.right.0,
                right
            );
        }
    }
}

impl<A: Simulator, B: Simulator> Simulator for Lockstep<A, B> {
    fn port(&self, name: &str) -> PortId {
        let index = self.ports.iter().position(|(n, ..)| n == name);
        let known = || nearest(name, self.ports.iter().map(|(name, ..)| name.as_str()));
        PortId(index.unwrap_or_else(|| panic!("the top module has no port `{name}`; {}", known())))
    }
    fn poke(&mut self, port: PortId, words: &[u64]) {
        let (_, _, a, b) = self.ports[port.0];
        self.left.1.poke(a, words);
        self.right.1.poke(b, words);
    }
    fn peek(&self, port: PortId, words: &mut [u64]) {
        self.left.1.peek(self.ports[port.0].2, words);
    }
    fn settle(&mut self) {
        self.left.1.settle();
        self.right.1.settle();
        self.compare();
    }
    fn step_clocks(&mut self, clocks: u64) {
        self.left.1.step_clocks(clocks);
        self.right.1.step_clocks(clocks);
        self.clocks += 1;
        self.compare();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_decimal_or_hexadecimal() {
        assert_eq!(Seed::parse("0x5EED"), Some(Seed(0x5EED)));
        assert_eq!(Seed::parse("24301"), Some(Seed(24301)));
        assert_eq!(Seed::parse("five"), None);
        assert_eq!(Seed(0x5EED).to_string(), "0x5eed");
    }

    /// The numbers of the reference implementation for seed 0 (Vigna, `splitmix64.c`).
    #[test]
    fn random_numbers_are_the_same_everywhere() {
        let mut rng = Rng { state: 0 };
        assert_eq!([rng.next_u64(), rng.next_u64()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn bits_that_are_set_are_read_back() {
        let mut rng = Seed(1).rng("bits");
        for _ in 0..1000 {
            let width = rng.range(1..200) as u32;
            let low = rng.below(300) as u32;
            let mut words = rng.bits(512);
            let before = words.clone();
            let value = rng.bits(width);
            set_bits(&mut words, low, width, &value);
            assert_eq!(get_bits(&words, low, width), value);
            if low > 0 {
                assert_eq!(get_bits(&words, 0, low), get_bits(&before, 0, low));
            }
            let above = low + width;
            assert_eq!(get_bits(&words, above, 512 - above), get_bits(&before, above, 512 - above));
        }
    }

    #[test]
    fn paces_have_runs_and_gaps() {
        for stalls in Stalls::ALL {
            let mut pace = stalls.pace(Direction::Input, Seed(3).rng("pace"));
            let active = (0..1000).filter(|_| pace.advance()).count();
            match stalls {
                Stalls::None | Stalls::OutputStalls => assert_eq!(active, 1000),
                _ => assert!((1..1000).contains(&active), "{stalls:?}: {active}"),
            }
        }
    }
}
