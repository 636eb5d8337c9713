//! A reset forgets everything: a check for any block with one clock.

use super::{Rng, Seed};
use crate::ir::{Direction, Domain, Port, StreamPort};
use crate::sim::{PortId, Simulator};
use crate::{words_for, Design, Evaluator};

/// How often the block is reset.
const RESETS: u32 = 40;
/// Clocks before each reset, at most.
const CLOCKS_BEFORE_MAX: u64 = 60;
/// Clocks for which a module that was just made is reset.
const START_CLOCKS: u32 = 4;
/// The largest value that is called small.
const SMALL_MAX: u64 = 7;
/// Clocks after each reset.
const CLOCKS_AFTER: u32 = 40;

/// Runs `sim` with random inputs and resets it for one clock in the middle of them. From there on it must do what a module does that has just
/// been made and reset for longer.
///
/// Offers on input streams stay until they are taken; everything else that goes in is random. After a reset nothing comes on the streams in
/// `answers`, because nothing has been asked. The payload of an output stream is compared while it is offered, other outputs always, except those
/// in `ignored`, which show what no reset clears, such as words of a RAM.
///
/// # Panics
/// At the first difference.
pub fn forgets_at_reset(sim: &mut dyn Simulator, design: &Design, seed: Seed, answers: &[&str], ignored: &[&str]) {
    let mut rng = seed.rng("resets");
    let mut fresh = Evaluator::new(design).expect("it runs already");
    let mut frame = Frame::new(design, &[sim, &fresh], answers, ignored);
    frame.start(sim, 0);
    for round in 0..RESETS {
        frame.set_pace(&mut rng);
        frame.is_asked = true;
        for _ in 0..rng.below(CLOCKS_BEFORE_MAX) {
            frame.drive(&mut [sim], &mut rng);
            frame.step(&mut [sim]);
        }
        // Everything goes on while the reset is there.
        frame.drive(&mut [sim], &mut rng);
        frame.reset.poke(&mut [sim], &[1]);
        frame.step(&mut [sim]);

        fresh = Evaluator::new(design).expect("it runs already");
        frame.start(&mut fresh, 1);
        frame.reset.poke(&mut [sim], &[0]);
        frame.begin_again(&mut [sim, &mut fresh], &mut rng);
        frame.is_asked = false;
        for clock in 0..CLOCKS_AFTER {
            frame.drive(&mut [sim, &mut fresh], &mut rng);
            if let Some(name) = frame.difference([sim, &fresh]) {
                panic!(
                    "{clock} clocks after reset {round} `{name}` of `{}` still shows what was before it\nreplay: {}",
                    design.top().name,
                    seed.replay()
                );
            }
            frame.step(&mut [sim, &mut fresh]);
        }
    }
}

/// A port, and its number in both simulators.
struct Pin {
    name: String,
    words: usize,
    width: u32,
    ids: [PortId; 2],
}

impl Pin {
    fn poke(&self, sims: &mut [&mut dyn Simulator], words: &[u64]) {
        for (sim, id) in sims.iter_mut().zip(self.ids) {
            sim.poke(id, words);
        }
    }

    fn differs(&self, sims: [&dyn Simulator; 2]) -> bool {
        let [a, b] = [0, 1].map(|at| {
            let mut words = vec![0; self.words];
            sims[at].peek(self.ids[at], &mut words);
            words
        });
        a != b
    }
}

/// Any value; every second one is small, as those are that mean something.
fn any_value(width: u32, rng: &mut Rng) -> Vec<u64> {
    let mut words = rng.bits(width);
    if rng.percent(50) {
        words[0] &= SMALL_MAX;
        words[1..].fill(0);
    }
    words
}

/// The ports of a stream.
struct Stream {
    valid: Pin,
    ready: Pin,
    leaves: Vec<Pin>,
    /// Of a stream into the module: an item is offered and not taken.
    offering: bool,
    /// Items come only where they have been asked for.
    answers: bool,
}

/// Everything around the module.
struct Frame {
    reset: Pin,
    clocks: u64,
    /// Streams into the module and out of it.
    sources: Vec<Stream>,
    sinks: Vec<Stream>,
    inputs: Vec<Pin>,
    outputs: Vec<Pin>,
    /// Outputs that are not compared.
    ignored: Vec<String>,
    /// Something may have been asked.
    is_asked: bool,
    /// How often items come, are taken, and other inputs change.
    percents: [u64; 3],
}

impl Frame {
    fn new(design: &Design, sims: &[&dyn Simulator; 2], answers: &[&str], ignored: &[&str]) -> Frame {
        let top = design.top();
        let pin = |port: &Port| Pin {
            name: port.name.clone(),
            words: words_for(port.width),
            width: port.width,
            ids: sims.map(|sim| sim.port(&port.name)),
        };
        let named = |name: &str| pin(&top.ports[top.port(name).expect("a stream has these ports")]);
        let stream = |stream: &StreamPort| Stream {
            valid: named(&stream.valid()),
            ready: named(&stream.ready()),
            leaves: stream.leaves.iter().map(|(suffix, _)| named(&format!("{}{suffix}", stream.name))).collect(),
            offering: false,
            answers: answers.contains(&stream.name.as_str()),
        };
        let of = |direction| top.streams.iter().filter(move |stream| stream.direction == direction).map(stream);
        let (sources, sinks): (Vec<Stream>, Vec<Stream>) =
            (of(Direction::Input).collect(), of(Direction::Output).collect());
        let of_streams: Vec<&str> = sources
            .iter()
            .chain(&sinks)
            .flat_map(|s| [&s.valid, &s.ready].into_iter().chain(&s.leaves))
            .map(|pin| pin.name.as_str())
            .collect();
        let reset = top.clocks.iter().find_map(|clock| clock.reset).expect("the module has a reset");
        let others = top.ports.iter().filter(|port| {
            let is_clock = matches!(port.domain, Domain::ClockInput(_));
            !is_clock && port.node != reset && !of_streams.contains(&port.name.as_str())
        });
        let (inputs, outputs): (Vec<&Port>, Vec<&Port>) = others.partition(|port| port.direction == Direction::Input);
        Frame {
            reset: pin(top.ports.iter().find(|port| port.node == reset).expect("a reset is a port")),
            clocks: (1 << top.clocks.len()) - 1,
            inputs: inputs.into_iter().map(pin).collect(),
            outputs: outputs.into_iter().map(pin).collect(),
            ignored: ignored.iter().map(|name| name.to_string()).collect(),
            sources,
            sinks,
            is_asked: true,
            percents: [50; 3],
        }
    }

    /// Resets a simulator that was just made, with nothing offered; `at` is its number in the pins.
    fn start(&self, sim: &mut dyn Simulator, at: usize) {
        self.sources.iter().for_each(|source| sim.poke_u64(source.valid.ids[at], 0));
        sim.poke_u64(self.reset.ids[at], 1);
        (0..START_CLOCKS).for_each(|_| sim.step_clocks(self.clocks));
        sim.poke_u64(self.reset.ids[at], 0);
    }

    fn set_pace(&mut self, rng: &mut Rng) {
        self.percents = [[10, 50, 90], [10, 50, 90], [5, 20, 50]].map(|choices| *rng.pick(&choices));
    }

    /// Sets the inputs for one clock and lets them settle.
    fn drive(&mut self, sims: &mut [&mut dyn Simulator], rng: &mut Rng) {
        let [comes, taken, changes] = self.percents;
        for source in self.sources.iter_mut().filter(|source| !source.offering) {
            source.offering = rng.percent(comes) && (self.is_asked || !source.answers);
            source.valid.poke(sims, &[source.offering.into()]);
            source.leaves.iter().for_each(|leaf| leaf.poke(sims, &any_value(leaf.width, rng)));
        }
        for sink in &self.sinks {
            sink.ready.poke(sims, &[rng.percent(taken).into()]);
        }
        for input in &self.inputs {
            if rng.percent(changes) {
                input.poke(sims, &rng.bits(input.width));
            }
        }
        sims.iter_mut().for_each(|sim| sim.settle());
    }

    /// The clock; in both simulators the same is taken.
    fn step(&mut self, sims: &mut [&mut dyn Simulator]) {
        for source in &mut self.sources {
            source.offering &= sims[0].peek_u64(source.ready.ids[0]) == 0;
        }
        sims.iter_mut().for_each(|sim| sim.step_clocks(self.clocks));
    }

    /// Withdraws all offers and gives both simulators the same inputs.
    fn begin_again(&mut self, sims: &mut [&mut dyn Simulator], rng: &mut Rng) {
        self.sources.iter_mut().for_each(|source| source.offering = false);
        self.inputs.iter().for_each(|input| input.poke(sims, &rng.bits(input.width)));
    }

    /// The name of an output that is not the same in both.
    fn difference(&self, sims: [&dyn Simulator; 2]) -> Option<&str> {
        let is_offered = |stream: &&Stream| sims[0].peek_u64(stream.valid.ids[0]) == 1;
        let valids = self.sinks.iter().map(|sink| &sink.valid);
        let readies = self.sources.iter().map(|source| &source.ready);
        let payloads = self.sinks.iter().filter(is_offered).flat_map(|sink| &sink.leaves);
        let mut all = valids.chain(readies).chain(payloads).chain(&self.outputs);
        all.find(|pin| !self.ignored.contains(&pin.name) && pin.differs(sims)).map(|pin| pin.name.as_str())
    }
}
