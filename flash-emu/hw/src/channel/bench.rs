//! The running block beside the model: every command, phase, transfer and completion in the same clock.

use super::Channel;
use crate::testing::{verilated, Runs, BED, GEOMETRIES};
use crate::types::{self as hardware, Record};
use flash_model::channel::{Command, Config, Mover, Transfer};
use flash_model::traffic::Traffic;
use flash_model::{channel, Array};
use flash_spec::block::{RECORD_BITS, TORN_BITS};
use flash_spec::limits::SPARE_BYTES;
use flash_spec::reliability::ERASES_BITS;
use flash_spec::{
    BlockRecord, Clocks, Geometry, Operation, Outcome, PageAddress, Preset, Reliability, Torn, Violation,
};
use rtl_hdl::bench::{Pace, Rng, Seed, Stalls};
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::{Block, HwEnum, Shape};
use sim_verilator::test_bed::design;
use std::collections::VecDeque;

const CORE_HZ: u64 = 250_000_000;

/// Clocks from a completion to its offer.
const DONE_CLOCKS: u64 = 3;

/// What happens at the ports apart from commands.
struct World {
    done: Pace,
    transfer: Pace,
    command: Pace,
    /// The most clocks from a transfer to its end.
    delay_max: u64,
    /// A power cut comes in one of so many clocks; 0: never.
    cut_every: u64,
    /// Clocks in which nothing happens are left out in the model.
    may_skip: bool,
    /// Reads suspend programs and erases.
    suspends: bool,
    /// Somebody comes to the door in one of so many clocks; 0: never.
    visit_every: u64,
}

impl World {
    /// Nothing stalls, and data comes soon.
    fn quick() -> World {
        World {
            done: Pace::always(),
            transfer: Pace::always(),
            command: Pace::always(),
            delay_max: 20,
            cut_every: 0,
            may_skip: false,
            suspends: true,
            visit_every: 0,
        }
    }
}

/// What somebody wants at the door: the record of a block, or another one for it.
#[derive(Clone, Copy, Debug)]
struct Visit {
    block: PageAddress,
    new: Option<BlockRecord>,
}

/// The block and the model, clock by clock.
struct Pair<S> {
    sim: S,
    ports: Ports,
    number: u8,
    model: channel::Channel<u32>,
    array: Array<u32>,
    world: World,
    rng: Rng,
    /// What is offered at the port.
    offered: Option<Command<u32>>,
    announced: Option<Transfer>,
    /// The clock in which the transfer that was taken on is through.
    through_at: Option<u64>,
    done: u32,
    /// The block takes every completion at once, so that its clock is known.
    takes_at_once: bool,
    /// Phases of each kind.
    phases: [u64; 6],
    /// Completions by the upper half of their outcome; those of reads that were repeated come last.
    outcomes: [u64; 6],
    /// Planes that were read and are blank.
    blank: u64,
    /// Draws what comes to the door.
    door_rng: Rng,
    /// Who waits at the door.
    visit: Option<Visit>,
    /// What is to be answered.
    answers: VecDeque<(Visit, BlockRecord)>,
    /// Answers so far.
    answered: u32,
}

/// The ports of the block.
struct Ports {
    command: [PortId; 9],
    command_valid: PortId,
    command_ready: PortId,
    done: [PortId; 5],
    done_valid: PortId,
    done_ready: PortId,
    transfer: [PortId; 13],
    transfer_valid: PortId,
    transfer_ready: PortId,
    through: PortId,
    power_cut: PortId,
    bus: [PortId; 3],
    late: PortId,
    door: [PortId; 6],
    door_valid: PortId,
    door_ready: PortId,
    record: PortId,
    record_valid: PortId,
    record_ready: PortId,
}

impl Ports {
    fn new(sim: &dyn Simulator) -> Ports {
        let port = |name: &str| sim.port(name);
        Ports {
            command: ["tag", "die", "operation", "planes", "block_0", "block_1", "page", "first_unit", "units"]
                .map(|field| port(&format!("command_{field}"))),
            command_valid: port("command_valid"),
            command_ready: port("command_ready"),
            done: ["tag", "outcome_0", "outcome_1", "blank", "status"].map(|field| port(&format!("done_{field}"))),
            done_valid: port("done_valid"),
            done_ready: port("done_ready"),
            transfer: [
                "tag",
                "operation",
                "die",
                "planes",
                "uncorrectable",
                "block_0",
                "block_1",
                "page",
                "first_unit",
                "units",
                "from_block_0",
                "from_block_1",
                "from_page",
            ]
            .map(|field| port(&format!("transfer_{field}"))),
            transfer_valid: port("transfer_valid"),
            transfer_ready: port("transfer_ready"),
            through: port("through"),
            power_cut: port("power_cut"),
            bus: ["bus_active", "bus_phase", "bus_die"].map(port),
            late: port("late"),
            door: ["channel", "die", "plane", "block", "is_write", "record"]
                .map(|field| port(&format!("door_{field}"))),
            door_valid: port("door_valid"),
            door_ready: port("door_ready"),
            record: port("door_record_record"),
            record_valid: port("door_record_valid"),
            record_ready: port("door_record_ready"),
        }
    }
}

fn command_fields(command: &Command<u32>) -> [u64; 9] {
    [
        command.tag.into(),
        command.die.into(),
        command.operation.code().into(),
        command.planes.into(),
        command.blocks[0].into(),
        command.blocks[1].into(),
        command.page.into(),
        command.first_unit.into(),
        command.units.into(),
    ]
}

fn transfer_fields(transfer: &Transfer) -> [u64; 13] {
    let is_copy = transfer.operation == Operation::CopybackProgram;
    // Where nothing is copied the block says anything.
    let from = |value: u16| if is_copy { value.into() } else { 0 };
    [
        transfer.tag.into(),
        transfer.operation.code().into(),
        transfer.die.into(),
        transfer.planes.into(),
        transfer.uncorrectable.into(),
        transfer.blocks[0].into(),
        transfer.blocks[1].into(),
        transfer.page.into(),
        transfer.first_unit.into(),
        transfer.units.into(),
        from(transfer.source.0[0]),
        from(transfer.source.0[1]),
        from(transfer.source.1),
    ]
}

/// Pulls the reset and sets the inputs that stay.
fn set_up(sim: &mut dyn Simulator, clocks: &Clocks, reliability: &Reliability, suspends: bool, number: u8) {
    let reset = sim.port("reset");
    sim.poke_u64(reset, 1);
    let idle = ["command_valid", "done_ready", "transfer_ready", "through", "power_cut", "seed_set"];
    for port in idle.into_iter().chain(["door_valid", "door_record_ready"]) {
        let port = sim.port(port);
        sim.poke_u64(port, 0);
    }
    let values = [
        ("times_read_lsb", clocks.read[0]),
        ("times_read_msb", clocks.read[1]),
        ("times_program_lsb", clocks.program[0]),
        ("times_program_msb", clocks.program[1]),
        ("times_erase", clocks.erase),
        ("times_suspend", clocks.suspend),
        ("times_resume", clocks.resume),
        ("times_command", clocks.command),
        ("times_unit", clocks.unit),
        ("faults_retry_wear_shift", reliability.retry_wear_shift.into()),
        ("faults_erases_max", reliability.erases_max),
        ("faults_retry_rate", reliability.retry_rate),
        ("faults_uncorrectable_rate", reliability.uncorrectable_rate),
        ("faults_program_fail_rate", reliability.program_fail_rate),
        ("faults_erase_fail_rate", reliability.erase_fail_rate),
        ("suspends", suspends.into()),
        ("seed", reliability.seed.wrapping_add(number.into())),
    ];
    for (port, value) in values {
        let port = sim.port(port);
        sim.poke_u64(port, value.into());
    }
    sim.step();
    sim.step();
    sim.poke_u64(reset, 0);
    let seed_set = sim.port("seed_set");
    sim.poke_u64(seed_set, 1);
    sim.step();
    sim.poke_u64(seed_set, 0);
}

impl<S: Runs> Pair<S> {
    /// The block in `sim` and the model of the channel of this number, both new.
    fn new(
        mut sim: S,
        geometry: Geometry,
        number: u8,
        clocks: Clocks,
        reliability: Reliability,
        world: World,
        rng: Rng,
    ) -> Self {
        set_up(&mut sim, &clocks, &reliability, world.suspends, number);
        let array = Array::new(geometry, reliability);
        let config = Config { clocks, suspends: world.suspends, mover: Mover::Outside, keeps_phases: true };
        Pair {
            ports: Ports::new(&sim),
            sim,
            number,
            model: channel::Channel::new(number, config, &array),
            array,
            world,
            door_rng: rng.clone(),
            rng,
            offered: None,
            announced: None,
            through_at: None,
            done: 0,
            takes_at_once: true,
            phases: [0; 6],
            outcomes: [0; 6],
            blank: 0,
            visit: None,
            answers: VecDeque::new(),
            answered: 0,
        }
    }

    /// A reset of the block, and a new channel before the same array.
    fn reset(&mut self) {
        let config = Config { clocks: SHORT, suspends: self.world.suspends, mover: Mover::Outside, keeps_phases: true };
        set_up(&mut self.sim, &SHORT, &Reliability::DEFAULT, self.world.suspends, 0);
        self.model = channel::Channel::new(0, config, &self.array);
        self.offered = None;
        self.announced = None;
        self.through_at = None;
        self.done = 0;
    }

    /// One clock. A command is offered if there is one; it returns true in the clock in which it is taken.
    fn clock(&mut self, command: &mut Option<Command<u32>>) -> bool {
        let clock = self.model.clock();
        // Inputs.
        if self.offered.is_none() && self.world.command.advance() {
            self.offered = command.take();
        }
        let fields = self.offered.as_ref().map_or_else(|| std::array::from_fn(|_| self.rng.below(4)), command_fields);
        for (port, value) in self.ports.command.into_iter().zip(fields) {
            self.sim.poke_u64(port, value);
        }
        self.sim.poke_u64(self.ports.command_valid, self.offered.is_some().into());
        let [takes_done, takes_transfer] = [self.world.done.advance(), self.world.transfer.advance()];
        self.sim.poke_u64(self.ports.done_ready, takes_done.into());
        self.sim.poke_u64(self.ports.transfer_ready, takes_transfer.into());
        let is_through = self.through_at.is_some_and(|at| at <= clock);
        self.sim.poke_u64(self.ports.through, is_through.into());
        let is_cut = self.world.cut_every > 0 && self.rng.below(self.world.cut_every) == 0;
        self.sim.poke_u64(self.ports.power_cut, is_cut.into());
        let takes_record = self.drive_door();
        self.sim.settle();

        // Outputs.
        let peek = |port: PortId| self.sim.peek_u64(port);
        let is_ready = peek(self.ports.command_ready) == 1;
        assert_eq!(is_ready, self.model.can_take(), "whether a command is taken in clock {clock}");
        let [active, phase, die] = self.ports.bus.map(peek);
        let expected = self.model.bus().map(|(kind, die)| (kind as u64, u64::from(die)));
        assert_eq!((active == 1).then_some((phase, die)), expected, "who has the bus in clock {clock}");
        assert_eq!(peek(self.ports.late), self.model.late(), "clocks of waiting until clock {clock}");
        let is_announced = peek(self.ports.transfer_valid) == 1;
        let mut transfer = self.ports.transfer.map(peek);
        if transfer[1] != u64::from(Operation::CopybackProgram.code()) {
            transfer[10..].fill(0);
        }
        let expected = self.announced.as_ref().map(transfer_fields);
        assert_eq!(is_announced.then_some(transfer), expected, "the transfer in clock {clock}");
        let is_done = peek(self.ports.done_valid) == 1;
        let done = self.ports.done.map(peek);

        // What is taken.
        if is_through {
            self.model.through();
            self.through_at = None;
        }
        if is_announced && takes_transfer {
            self.announced = None;
            self.through_at = Some(clock + 1 + self.rng.below(self.world.delay_max + 1));
        }
        if is_done && takes_done {
            let expected = self
                .model
                .next_done()
                .unwrap_or_else(|| panic!("{done:x?} completes in clock {clock}, and nothing is to"));
            let [outcome_0, outcome_1] = expected.outcomes.map(|outcome| u64::from(outcome.code()));
            let fields = [expected.tag.into(), outcome_0, outcome_1, expected.blank.into(), expected.status.into()];
            assert_eq!(done, fields, "the completion in clock {clock}: {expected:?}");
            let at = expected.clock + DONE_CLOCKS;
            assert!(clock == at || clock > at && !self.takes_at_once, "{expected:?} is offered in clock {clock}");
            self.done += 1;
            self.blank += u64::from(expected.blank.count_ones());
            for code in expected.outcomes.map(Outcome::code) {
                let kind = if (1..16).contains(&code) { 5 } else { code >> 4 };
                self.outcomes[usize::from(kind)] += 1;
            }
        }
        self.observe_door(takes_record);
        let is_taken = self.offered.is_some() && is_ready;
        if is_taken {
            self.model.take(self.offered.take().expect("it is offered"));
        }
        if is_cut {
            self.model.cut();
            self.array.cut();
        } else {
            self.model.step(&mut self.array);
        }
        self.sim.step();
        self.announced = self.announced.take().or_else(|| self.model.next_transfer());
        for phase in self.model.take_phases() {
            self.phases[phase.kind as usize] += 1;
        }
        is_taken
    }

    /// The inputs at the door; it says whether an answer is taken.
    fn drive_door(&mut self) -> bool {
        let rng = &mut self.door_rng;
        if self.visit.is_none() && self.world.visit_every > 0 && rng.below(self.world.visit_every) == 0 {
            let block = any_block(self.array.geometry(), self.number, rng);
            let new = rng.percent(30).then(|| any_record(self.array.geometry(), rng));
            self.visit = Some(Visit { block, new });
        }
        let fields = match self.visit {
            Some(Visit { block, new }) => [
                rng.below(16),
                block.die.into(),
                block.plane.into(),
                block.block.into(),
                new.is_some().into(),
                new.map_or_else(|| rng.below(1 << RECORD_BITS), BlockRecord::to_bits),
            ],
            None => std::array::from_fn(|_| rng.below(2)),
        };
        for (port, value) in self.ports.door.into_iter().zip(fields) {
            self.sim.poke_u64(port, value);
        }
        self.sim.poke_u64(self.ports.door_valid, self.visit.is_some().into());
        let takes_record = self.takes_at_once || rng.percent(20);
        self.sim.poke_u64(self.ports.record_ready, takes_record.into());
        takes_record
    }

    /// What happens at the door: whoever comes in sees what the model has in this clock.
    fn observe_door(&mut self, takes_record: bool) {
        if self.sim.peek_u64(self.ports.record_valid) == 1 && takes_record {
            let record = BlockRecord::from_bits(self.sim.peek_u64(self.ports.record));
            let (visit, expected) = self.answers.pop_front().expect("nobody has asked");
            assert_eq!(record, expected, "{visit:?} in clock {}", self.model.clock());
            self.answered += 1;
        }
        if self.sim.peek_u64(self.ports.door_ready) == 1 {
            let Some(visit) = self.visit.take() else { return };
            self.answers.push_back((visit, self.array.block_record(visit.block)));
            if let Some(new) = visit.new {
                self.array.set_block_record(visit.block, new, |page| (page.into(), [0; SPARE_BYTES as usize]));
            }
        }
    }

    /// Goes through the door to every block of the channel, and puts other records there if `ages`.
    fn visit_all(&mut self, ages: bool) {
        let geometry = *self.array.geometry();
        let before = self.answered;
        for index in 0..geometry.blocks() / geometry.channels {
            let block = block_of(&geometry, self.number, index);
            let new = ages.then(|| any_record(&geometry, &mut self.door_rng));
            self.visit = Some(Visit { block, new });
            let end = self.model.clock() + 200;
            while self.visit.is_some() || !self.answers.is_empty() {
                self.clock(&mut None);
                assert!(self.model.clock() < end, "{:?} waits at the door of a channel that does nothing", self.visit);
            }
        }
        assert_eq!(self.answered - before, geometry.blocks() / geometry.channels);
    }

    /// Leaves out the clocks in which nothing happens but counting, in the model; the block runs for as many.
    fn skip(&mut self) {
        let is_quiet = self.announced.is_none() && self.model.waiting_done() == 0;
        let is_stuck = self.offered.is_some() && !self.model.can_take();
        if !is_quiet || !is_stuck {
            return;
        }
        let until = self.through_at.unwrap_or(u64::MAX);
        let clocks = self.model.skip(until.saturating_sub(self.model.clock()));
        self.sim.poke_u64(self.ports.through, 0);
        self.sim.run(clocks);
    }

    /// Runs commands of `traffic` until so many have been taken and all that are left have come to an end.
    fn run(&mut self, traffic: &mut Traffic, count: u32) {
        let (mut taken, mut next) = (0, None);
        while taken < count {
            next = next.or_else(|| Some(traffic.command()));
            taken += u32::from(self.clock(&mut next));
            if self.world.may_skip {
                self.skip();
            }
        }
        self.world.cut_every = 0;
        let end = self.model.clock() + 20_000_000;
        while !self.model.is_idle() || self.through_at.is_some() || self.announced.is_some() {
            self.clock(&mut None);
            assert!(self.model.clock() < end, "it does not come to an end");
        }
        self.world.visit_every = 0;
        while self.model.waiting_done() > 0 || self.visit.is_some() || !self.answers.is_empty() {
            self.clock(&mut None);
            assert!(self.model.clock() < end, "a completion or an answer does not come");
        }
        for _ in 0..100 {
            self.clock(&mut None);
        }
        assert_eq!(self.sim.peek_u64(self.ports.done_valid), 0);
    }
}

/// One of the blocks of a channel.
fn block_of(geometry: &Geometry, channel: u8, index: u32) -> PageAddress {
    let Geometry { planes_per_die, blocks_per_plane, .. } = *geometry;
    let (of_plane, block) = (index / blocks_per_plane, (index % blocks_per_plane) as u16);
    let (die, plane) = ((of_plane / planes_per_die) as u8, (of_plane % planes_per_die) as u8);
    PageAddress { channel, die, plane, block, page: 0 }
}

fn any_block(geometry: &Geometry, channel: u8, rng: &mut Rng) -> PageAddress {
    block_of(geometry, channel, rng.below(u64::from(geometry.blocks() / geometry.channels)) as u32)
}

/// A record that a block can have: of one that is little worn, mostly.
fn any_record(geometry: &Geometry, rng: &mut Rng) -> BlockRecord {
    loop {
        let erases_end = if rng.percent(90) { 16 } else { 1 << ERASES_BITS };
        let erases = rng.below(erases_end) as u32;
        let next_page = rng.below(u64::from(geometry.pages_per_block) + 1) as u16;
        let torn =
            if rng.bool() { Torn::Nothing } else { [Torn::Last, Torn::Cells, Torn::Block][rng.below(3) as usize] };
        let next_page = if torn == Torn::Block { 0 } else { next_page };
        let is_closed = torn != Torn::Nothing || rng.percent(20);
        let record = BlockRecord { erases, next_page, is_closed, is_bad: rng.percent(10), torn };
        if record.is_possible(geometry.pages_per_block) {
            return record;
        }
    }
}

fn rate(part: f64) -> u32 {
    (part * f64::from(u32::MAX)) as u32
}

/// Everything goes wrong now and then, and blocks wear quickly.
fn unreliable() -> Reliability {
    Reliability {
        retry_wear_shift: 1,
        erases_max: 12,
        seed: 0xBAD,
        retry_rate: rate(0.1),
        uncorrectable_rate: rate(0.05),
        program_fail_rate: rate(0.05),
        erase_fail_rate: rate(0.05),
    }
}

/// Few things go wrong, so that long runs have blocks left.
fn worn() -> Reliability {
    Reliability {
        retry_wear_shift: 8,
        erases_max: 0,
        seed: 0xBAD,
        retry_rate: rate(0.05),
        uncorrectable_rate: rate(0.01),
        program_fail_rate: rate(0.01),
        erase_fail_rate: rate(0.002),
    }
}

/// Times so short that much happens in few clocks, of which none is a multiple of another.
const SHORT: Clocks =
    Clocks { read: [97, 131], program: [311, 701], erase: 1501, suspend: 17, resume: 19, command: 3, unit: 23 };

/// The bus has more to carry than it can, so that reads of other dies keep a program from it.
const SLOW_BUS: Clocks = Clocks { unit: 301, ..SHORT };

fn pace(stalls: bool, rng: &mut Rng) -> Pace {
    if stalls {
        Pace::new(3, 1 + rng.below(30), rng.clone())
    } else {
        Pace::always()
    }
}

/// One way to run: see [`World`].
#[derive(Clone, Copy, Debug)]
struct Run {
    geometry: Geometry,
    stalls: Stalls,
    clocks: Clocks,
    reliability: Reliability,
    cut_every: u64,
    count: u32,
    /// Nearly all commands are reads.
    floods: bool,
}

impl Run {
    /// Runs, and says how many completions had which outcome; the last are planes that were read and are blank.
    fn beside_the_model(self) -> [u64; 7] {
        let Run { geometry, stalls, clocks, reliability, cut_every, count, floods } = self;
        let design = design(&Channel::new(geometry));
        let seed = Seed::from_env_or(0x5EED);
        println!("{}: {self:?}", seed.replay());
        let mut rng = seed.rng(&format!("{self:?}"));
        let [inputs, outputs] = match stalls {
            Stalls::None => [false, false],
            Stalls::InputIdles => [true, false],
            Stalls::OutputStalls => [false, true],
            Stalls::Both => [true, true],
            Stalls::Random => [rng.bool(), rng.bool()],
        };
        let command = if stalls == Stalls::Random { Pace::new(2, 700, rng.clone()) } else { pace(inputs, &mut rng) };
        let world = World {
            done: pace(outputs, &mut rng),
            transfer: pace(outputs, &mut rng),
            command,
            delay_max: if outputs { 150 } else { 20 },
            cut_every,
            may_skip: false,
            suspends: stalls != Stalls::InputIdles,
            visit_every: 0,
        };
        let mut traffic = Traffic::new(geometry, 1 + rng.below(u32::MAX.into()) as u32);
        if floods {
            traffic = traffic.in_a_flood_of_reads();
        }
        let mut pair = Pair::new(BED.simulator(&design), geometry, 0, clocks, reliability, world, rng);
        pair.takes_at_once = !outputs;
        pair.run(&mut traffic, count);
        if cut_every == 0 {
            assert_eq!(pair.done, count);
            assert!(pair.phases.iter().sum::<u64>() > u64::from(count) / 2, "{:?}", pair.phases);
        }
        let [good, uncorrectable, program, erase, refused, repeated] = pair.outcomes;
        [good, uncorrectable, program, erase, refused, repeated, pair.blank]
    }
}

#[test]
fn every_event_is_in_the_clock_of_the_model() {
    let mut outcomes = [0; 7];
    for geometry in GEOMETRIES {
        for stalls in Stalls::ALL {
            let run = Run {
                geometry,
                stalls,
                clocks: SHORT,
                reliability: unreliable(),
                cut_every: 0,
                count: 120,
                floods: false,
            };
            let at_once = Run { clocks: Preset::Scm.clocks(CORE_HZ), count: 150, ..run };
            for (index, count) in run.beside_the_model().into_iter().chain(at_once.beside_the_model()).enumerate() {
                outcomes[index % 7] += count;
            }
        }
    }
    assert!(outcomes.iter().all(|count| *count > 10), "{outcomes:?}");
}

#[test]
fn a_flood_of_reads_is_bounded_as_in_the_model() {
    for (geometry, clocks) in
        GEOMETRIES.map(|geometry| (geometry, SHORT)).into_iter().chain([(Geometry::DEFAULT, SLOW_BUS)])
    {
        let run =
            Run { geometry, stalls: Stalls::None, clocks, reliability: worn(), cut_every: 0, count: 700, floods: true };
        run.beside_the_model();
    }
}

#[test]
fn a_power_cut_in_any_clock_leaves_what_the_model_keeps() {
    for geometry in GEOMETRIES {
        for (stalls, cut_every) in
            [(Stalls::None, 3000), (Stalls::Both, 3000), (Stalls::None, 700), (Stalls::Random, 200)]
        {
            let reliability = if cut_every == 700 { unreliable() } else { worn() };
            Run { geometry, stalls, clocks: SHORT, reliability, cut_every, count: 150, floods: false }
                .beside_the_model();
        }
    }
}

#[test]
fn the_door_gives_and_takes_what_the_model_has_and_disturbs_no_time() {
    for geometry in GEOMETRIES {
        let mut in_traffic = 0;
        for (number, (idles, cut_every)) in [(false, 700), (true, 3000), (true, 0)].into_iter().enumerate() {
            let seed = Seed::from_env_or(0x5EED);
            println!("{}", seed.replay());
            let mut rng = seed.rng(&format!("door {number} of {geometry:?}"));
            let command = if idles { Pace::new(1, 6000, rng.clone()) } else { Pace::always() };
            let world = World { command, visit_every: 50, ..World::quick() };
            let mut traffic = Traffic::new(geometry, 1 + rng.below(u32::MAX.into()) as u32);
            let sim = BED.simulator(&design(&Channel::new(geometry)));
            let mut pair = Pair::new(sim, geometry, 0, SHORT, unreliable(), world, rng);
            pair.takes_at_once = !idles;
            for _ in 0..2 {
                (pair.world.cut_every, pair.world.visit_every) = (cut_every, 50);
                pair.run(&mut traffic, 60);
                in_traffic += pair.answered;
                pair.visit_all(false);
                pair.visit_all(true);
                pair.answered = 0;
            }
            pair.run(&mut traffic, 60);
            pair.visit_all(false);
        }
        assert!(in_traffic > 50, "{in_traffic} have come in while there was something to do");
    }
}

#[test]
fn a_record_has_the_same_bits_for_the_hardware_and_the_pc() {
    assert_eq!((Record::WIDTH, hardware::Torn::WIDTH), (RECORD_BITS, TORN_BITS));
    let fields = [
        ("erases", BlockRecord { erases: u32::MAX, ..BlockRecord::default() }),
        ("next_page", BlockRecord { next_page: u16::MAX, ..BlockRecord::default() }),
        ("is_closed", BlockRecord { is_closed: true, ..BlockRecord::default() }),
        ("is_bad", BlockRecord { is_bad: true, ..BlockRecord::default() }),
        ("torn", BlockRecord { torn: Torn::Block, ..BlockRecord::default() }),
    ];
    let mut at = 0;
    for ((field, width), (name, record)) in Record::fields().into_iter().zip(fields) {
        assert_eq!((field.as_str(), record.to_bits()), (name, ((1 << width) - 1) << at), "the bits of {name}");
        at += width;
    }
    let codes = hardware::Torn::VARIANTS.iter().map(|torn| format!("{torn:?} {}", torn.code()));
    let named = [Torn::Nothing, Torn::Last, Torn::Cells, Torn::Block].map(|torn| format!("{torn:?} {}", torn as u8));
    assert!(codes.eq(named));
}

/// As many operations of random kinds, with suspensions, faults and violations, in the Verilated block of each channel of a flash.
fn run_long(geometry: Geometry, preset: Preset, operations: u32) {
    let Some(library) = verilated() else { return };
    let seed = Seed::from_env_or(0x5EED);
    println!("{}", seed.replay());
    let (mut clocks, mut phases, mut outcomes) = (0, [0; 6], [0; 6]);
    for number in 0..geometry.channels {
        let mut rng = seed.rng(&format!("channel {number}"));
        let world = World { may_skip: true, ..World::quick() };
        let mut traffic = Traffic::new(geometry, 1 + rng.below(u32::MAX.into()) as u32);
        let model = library.model(&Channel::new(geometry).name());
        let mut pair = Pair::new(model, geometry, number as u8, preset.clocks(CORE_HZ), worn(), world, rng);
        let count = operations.div_ceil(geometry.channels);
        pair.run(&mut traffic, count);
        assert_eq!(pair.done, count);
        clocks += pair.model.clock();
        for (sum, count) in phases.iter_mut().zip(pair.phases) {
            *sum += count;
        }
        for (sum, count) in outcomes.iter_mut().zip(pair.outcomes) {
            *sum += count;
        }
    }
    println!("{operations} operations on {} channels in {clocks} clocks: 0 apart", geometry.channels);
    println!("phases (read, suspend, out, status, write, resume): {phases:?}");
    println!("outcomes (good, uncorrectable, program failed, erase failed, refused, repeated): {outcomes:?}");
    assert!(phases.iter().all(|count| *count > 0));
}

/// What an environment variable says, or else `default`.
fn asked<T>(name: &str, default: T, parse: impl Fn(&str) -> Option<T>) -> T {
    match std::env::var(name) {
        Ok(text) => parse(&text).unwrap_or_else(|| panic!("{name} is `{text}`, which nothing is")),
        Err(_) => default,
    }
}

fn operations_or(default: u32) -> u32 {
    asked("OPERATIONS", default, |text| text.parse().ok())
}

/// The long run is `OPERATIONS=100000 cargo test -p flash-hw long_run_of_a_small_flash -- --nocapture`.
#[test]
fn long_run_of_a_small_flash() {
    run_long(Geometry::SMALL, Preset::Sim, operations_or(1_000));
}

/// The long run is `OPERATIONS=2000 PRESET=simplessd-mlc cargo test -p flash-hw long_run_of_a_whole_flash -- --nocapture`.
#[test]
fn long_run_of_a_whole_flash() {
    run_long(Geometry::DEFAULT, asked("PRESET", Preset::Sim, Preset::from_name), operations_or(240));
}

#[test]
fn an_erase_that_was_cut_off_makes_no_block_bad() {
    let fails = Reliability { erase_fail_rate: u32::MAX, ..Reliability::DEFAULT };
    let sim = BED.simulator(&design(&Channel::new(Geometry::SMALL)));
    let mut pair = Pair::new(sim, Geometry::SMALL, 0, SHORT, fails, World::quick(), Seed(1).rng("cut"));
    let erase = |tag| Command::<u32>::new(tag, Operation::Erase, 1, 3, [2; 2], 0);
    let run = |pair: &mut Pair<_>, command: Command<u32>, clocks: u32| {
        let mut next = Some(command);
        (0..clocks).for_each(|_| _ = pair.clock(&mut next));
    };
    run(&mut pair, erase(1), SHORT.erase / 2);
    pair.world.cut_every = 1;
    pair.clock(&mut None);
    pair.world.cut_every = 0;
    let rate = pair.sim.port("faults_erase_fail_rate");
    pair.sim.poke_u64(rate, 0);
    pair.array.set_reliability(Reliability::DEFAULT);
    run(&mut pair, erase(2), 2 * SHORT.erase);
    assert_eq!((pair.done, pair.outcomes[0]), (1, 2), "both planes are erased");
}

#[test]
fn a_reset_in_any_clock_leaves_the_records_and_nothing_else() {
    let geometry = Geometry::SMALL;
    let seed = Seed::from_env_or(0x5EED);
    let sim = BED.simulator(&design(&Channel::new(geometry)));
    let mut pair = Pair::new(sim, geometry, 0, SHORT, Reliability::DEFAULT, World::quick(), seed.rng("delays"));
    let mut traffic = Traffic::new(geometry, 0x5EED);
    pair.run(&mut traffic, 150);
    let mut rng = seed.rng("resets");
    for _ in 0..60 {
        // Nothing that a reset would leave half done.
        let reads = std::iter::from_fn(|| Some(traffic.command()));
        let mut reads = reads.filter(|command| matches!(command.operation, Operation::Read | Operation::ReadStatus));
        let mut next = None;
        for _ in 0..rng.below(400) {
            next = next.or_else(|| reads.next());
            pair.clock(&mut next);
        }
        pair.reset();
    }
    pair.run(&mut traffic, 150);
    assert_eq!(pair.done, 150);
}

#[test]
fn an_operation_that_does_not_exist_is_refused() {
    let geometry = Geometry::SMALL;
    let mut sim = BED.simulator(&design(&Channel::new(geometry)));
    set_up(&mut sim, &SHORT, &Reliability::DEFAULT, true, 0);
    let ports = Ports::new(&sim);
    let read = Command::<u32>::new(77, Operation::Read, 0, 1, [0; 2], 0);
    let mut fields = command_fields(&read);
    fields[2] = Operation::ALL.len() as u64;
    for (port, value) in ports.command.into_iter().zip(fields) {
        sim.poke_u64(port, value);
    }
    sim.poke_u64(ports.command_valid, 1);
    sim.step();
    sim.poke_u64(ports.command_valid, 0);
    sim.run(DONE_CLOCKS);
    let code = u64::from(Outcome::Refused(Violation::OutOfRange).code());
    assert_eq!(
        (sim.peek_u64(ports.done_valid), ports.done.map(|port| sim.peek_u64(port))),
        (1, [77, code, code, 0, 0])
    );
}
