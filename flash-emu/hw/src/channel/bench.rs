//! The running block beside the model: every command, phase, transfer and completion in the same clock.

use super::Channel;
use crate::testing::{BED, GEOMETRIES};
use flash_model::channel::{Command, Completion, Config, Mover, PhaseKind, Transfer};
use flash_model::traffic::Traffic;
use flash_model::{channel, Array};
use flash_spec::{Clocks, Geometry, Operation, Outcome, Preset, Reliability, Violation};
use rtl_hdl::bench::{Pace, Rng, Seed, Stalls};
use rtl_hdl::sim::{PortId, Simulator};
use sim_verilator::test_bed::design;

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
}

/// The block and the model, clock by clock.
struct Pair<'a> {
    sim: &'a mut dyn Simulator,
    ports: Ports,
    model: channel::Channel<u32>,
    array: Array<u32>,
    world: World,
    rng: Rng,
    /// What is offered at the port.
    offered: Option<Command<u32>>,
    announced: Option<Transfer>,
    /// The clock in which the transfer that was taken on is through.
    through_at: Option<u64>,
    done: Vec<Completion<u32>>,
    /// The block takes every completion at once, so that its clock is known.
    takes_at_once: bool,
    phases: u64,
}

/// The ports of the block.
struct Ports {
    command: [PortId; 9],
    command_valid: PortId,
    command_ready: PortId,
    done: [PortId; 4],
    done_valid: PortId,
    done_ready: PortId,
    transfer: [PortId; 13],
    transfer_valid: PortId,
    transfer_ready: PortId,
    through: PortId,
    power_cut: PortId,
    bus: [PortId; 3],
    late: PortId,
}

impl Ports {
    fn new(sim: &dyn Simulator) -> Ports {
        let port = |name: &str| sim.port(name);
        Ports {
            command: ["tag", "die", "operation", "planes", "block_0", "block_1", "page", "first_unit", "units"]
                .map(|field| port(&format!("command_{field}"))),
            command_valid: port("command_valid"),
            command_ready: port("command_ready"),
            done: ["tag", "outcome_0", "outcome_1", "status"].map(|field| port(&format!("done_{field}"))),
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
    for port in ["command_valid", "done_ready", "transfer_ready", "through", "power_cut", "seed_set"] {
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

impl<'a> Pair<'a> {
    /// The block in `sim` and the model of the same channel, both new.
    fn new(
        sim: &'a mut dyn Simulator,
        geometry: Geometry,
        clocks: Clocks,
        reliability: Reliability,
        world: World,
        rng: Rng,
    ) -> Self {
        set_up(sim, &clocks, &reliability, true, 0);
        let array = Array::new(geometry, reliability);
        let config = Config { clocks, suspends: true, mover: Mover::Outside, keeps_phases: true };
        Pair {
            ports: Ports::new(sim),
            sim,
            model: channel::Channel::new(0, config, &array),
            array,
            world,
            rng,
            offered: None,
            announced: None,
            through_at: None,
            done: Vec::new(),
            takes_at_once: true,
            phases: 0,
        }
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
            let fields = [expected.tag.into(), outcome_0, outcome_1, expected.status.into()];
            assert_eq!(done, fields, "the completion in clock {clock}: {expected:?}");
            let at = expected.clock + DONE_CLOCKS;
            assert!(clock == at || clock > at && !self.takes_at_once, "{expected:?} is offered in clock {clock}");
            self.done.push(expected);
        }
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
        self.phases += self.model.take_phases().len() as u64;
        is_taken
    }

    /// Runs commands of `traffic` until so many have been taken and all that are left have come to an end.
    fn run(&mut self, traffic: &mut Traffic, count: u32) {
        let (mut taken, mut next) = (0, None);
        while taken < count {
            next = next.or_else(|| Some(traffic.command()));
            taken += u32::from(self.clock(&mut next));
        }
        self.world.cut_every = 0;
        let end = self.model.clock() + 5_000_000;
        while !self.model.is_idle() || self.through_at.is_some() || self.announced.is_some() {
            self.clock(&mut None);
            assert!(self.model.clock() < end, "it does not come to an end");
        }
        for _ in 0..100 {
            self.clock(&mut None);
        }
        assert_eq!(self.sim.peek_u64(self.ports.done_valid), 0);
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

fn pace(stalls: bool, rng: &mut Rng) -> Pace {
    if stalls {
        Pace::new(3, 1 + rng.below(30), rng.clone())
    } else {
        Pace::always()
    }
}

fn run_beside_the_model(
    geometry: Geometry,
    stalls: Stalls,
    preset: Preset,
    reliability: Reliability,
    cut_every: u64,
    count: u32,
) {
    let design = design(&Channel::new(geometry));
    let seed = Seed::from_env_or(0x5EED);
    let mut rng = seed.rng(&format!("{geometry:?} {stalls:?} {preset:?} {cut_every}"));
    let [inputs, outputs] = match stalls {
        Stalls::None => [false, false],
        Stalls::InputIdles => [true, false],
        Stalls::OutputStalls => [false, true],
        Stalls::Both => [true, true],
        Stalls::Random => [rng.bool(), rng.bool()],
    };
    let command = if stalls == Stalls::Random { Pace::new(2, 2000, rng.clone()) } else { pace(inputs, &mut rng) };
    let world = World {
        done: pace(outputs, &mut rng),
        transfer: pace(outputs, &mut rng),
        command,
        delay_max: if outputs { 400 } else { 20 },
        cut_every,
    };
    let mut traffic = Traffic::new(geometry, 1 + rng.below(u32::MAX.into()) as u32);
    let mut sim = BED.simulator(&design);
    let mut pair = Pair::new(&mut *sim, geometry, preset.clocks(CORE_HZ), reliability, world, rng);
    pair.takes_at_once = !outputs;
    eprintln!("{}", seed.replay());
    pair.run(&mut traffic, count);
    if cut_every == 0 {
        assert_eq!(pair.done.len() as u32, count);
        assert!(pair.phases > u64::from(count) / 2);
    }
}

#[test]
fn every_event_is_in_the_clock_of_the_model() {
    for geometry in GEOMETRIES {
        for stalls in Stalls::ALL {
            run_beside_the_model(geometry, stalls, Preset::Sim, unreliable(), 0, 60);
            run_beside_the_model(geometry, stalls, Preset::Scm, unreliable(), 0, 300);
        }
    }
}
