//! What one seed decides before the first clock.

use std::fmt;

use sim_cosim::{Options as HardwareOptions, Verilated};
use sim_device::{BusTiming, Chance, Clocks, Device, HostMemory, ModelDevice, Random};

/// Bytes of the namespace: small, so that commands meet each other and its end.
const NAMESPACE_BYTES: u64 = 8 << 20;

/// What a device is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The reference model.
    Model(nvme_model::Config),
    /// The hardware under Verilator, with hosted firmware.
    Verilated(nvme_hw::Config),
}

/// A device that simulations run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackEnd {
    /// Its name, for `--back-end`.
    pub name: &'static str,
    /// What it is.
    pub made: Made,
    /// How many of ten seeds run on it.
    pub share: u32,
}

impl BackEnd {
    /// Number of its functions.
    pub fn functions(&self) -> u8 {
        match self.made {
            Made::Model(config) => config.functions,
            Made::Verilated(config) => config.functions as u8,
        }
    }

    /// Commands that it executes at a time, at most.
    pub fn commands_in_flight_max(&self) -> u64 {
        match self.made {
            Made::Model(config) => config.commands_max as u64,
            Made::Verilated(config) => u64::from(config.slots),
        }
    }
}

/// Every device. A configuration is a row.
pub const BACK_ENDS: &[BackEnd] = &[
    BackEnd { name: "verilated", made: Made::Verilated(nvme_hw::Config::DEFAULT), share: 4 },
    BackEnd { name: "verilated-small", made: Made::Verilated(nvme_hw::Config::SMALL), share: 4 },
    BackEnd { name: "model", made: Made::Model(nvme_model::Config::TWO_FUNCTIONS), share: 1 },
    BackEnd { name: "model-small", made: Made::Model(nvme_model::Config::SMALL), share: 1 },
];

/// The device of this name.
pub fn back_end(name: &str) -> Option<&'static BackEnd> {
    BACK_ENDS.iter().find(|back_end| back_end.name == name)
}

/// What a step of a simulation does, if nothing forbids it. What a run of one seed never does leaves room for what it does often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Reads, Writes and Flushes whose data is checked.
    Traffic,
    /// Any 64 bytes in an I/O queue.
    IoGarbage,
    /// Any 64 bytes in the admin queue.
    AdminGarbage,
    /// Admin commands as a driver issues them.
    Admin,
    /// Some clocks pass.
    Time,
    /// Completions are not given back for a while.
    HoldBack,
    /// Doorbells with impossible values, and of queues that are not there.
    WildDoorbell,
    /// Reads of BAR0, of any width, anywhere.
    WildRead,
    /// The path to host memory gets other latencies and stalls.
    Timing,
    /// Host memory begins or stops to fail.
    MemoryFaults,
    /// A queue is created.
    CreateQueue,
    /// A queue is deleted while it works.
    DeleteQueue,
    /// Interrupts are masked and unmasked.
    Mask,
    /// Everything that is in flight ends.
    Settle,
    /// CC.EN falls.
    Disable,
    /// CC.EN falls and rises without a look at CSTS.
    Bounce,
    /// Function level reset.
    FunctionReset,
    /// A reset of the NVM subsystem, asked of any function.
    SubsystemReset,
    /// The other function gets something to do.
    Neighbour,
    /// Function level reset of the other function.
    NeighbourReset,
    /// Bus Master Enable falls.
    BusMasterOff,
    /// CC.SHN.
    Shutdown,
    /// Any access to BAR0.
    Storm,
}

/// Every action, with how often it is taken. What ends a life is seldom: it drops the commands in flight, and coming up takes long.
const WEIGHTS: &[(Action, u64)] = &[
    (Action::Traffic, 1200),
    (Action::IoGarbage, 150),
    (Action::AdminGarbage, 70),
    (Action::Admin, 40),
    (Action::Time, 300),
    (Action::HoldBack, 40),
    (Action::WildDoorbell, 50),
    (Action::WildRead, 20),
    (Action::Timing, 30),
    (Action::MemoryFaults, 15),
    (Action::CreateQueue, 30),
    (Action::DeleteQueue, 30),
    (Action::Mask, 40),
    (Action::Settle, 15),
    (Action::Disable, 3),
    (Action::Bounce, 2),
    (Action::FunctionReset, 2),
    (Action::SubsystemReset, 1),
    (Action::Neighbour, 60),
    (Action::NeighbourReset, 1),
    (Action::BusMasterOff, 1),
    (Action::Shutdown, 2),
    (Action::Storm, 2),
];

/// Everything that a seed decides before the first clock; the rest is drawn on the way.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// On which device.
    pub back_end: &'static BackEnd,
    /// Through which function; if there is another one, that works too.
    pub function: u8,
    /// Commands after which the run ends.
    pub commands: u64,
    /// What it does, and how often.
    pub weights: Vec<(Action, u64)>,
    /// The path to the device's own memory.
    pub memory: BusTiming,
    /// How often that memory fails.
    pub media_errors: Chance,
    /// Clocks that firmware takes for a register access, beyond those of the bus, at most.
    pub firmware_clocks_max: u32,
    /// Whether a logical block must be whole whatever meets: NVM Command Set, "Atomic Operation", AWUN.
    pub expects_whole_blocks: bool,
}

impl Plan {
    /// The plan of a seed; the back end may be given.
    pub fn of(seed: u64, only: Option<&'static BackEnd>, commands: u64) -> Self {
        let mut random = Random::new(seed);
        let back_end = draw(&mut random, BACK_ENDS.iter().map(|b| (b, u64::from(b.share))));
        let mut weights = WEIGHTS.to_vec();
        for (action, weight) in &mut weights {
            let may_be_absent = !matches!(action, Action::Traffic | Action::Time | Action::Settle);
            match random.below(8) {
                0..=1 if may_be_absent => *weight = 0,
                2 => *weight *= 4,
                _ => {}
            }
        }
        let memory = if random.below(2) == 0 {
            BusTiming::adverse(random.next_u64())
        } else {
            BusTiming::with_latency(random.between(1, 100) as u32)
        };
        let media_errors = *random.pick(&[Chance::NEVER, Chance::NEVER, Chance::NEVER, Chance::of(1, 2000)]);
        let firmware_clocks_max = *random.pick(&[0, 4, 50]);
        let back_end = only.unwrap_or(back_end);
        let function = random.below(back_end.functions().into()) as u8;
        // A medium that fails in the middle of a write tears a block, and nobody hears of it if the write is interrupted.
        let expects_whole_blocks = media_errors == Chance::NEVER;
        Self {
            seed,
            back_end,
            function,
            commands,
            weights,
            memory,
            media_errors,
            firmware_clocks_max,
            expects_whole_blocks,
        }
    }

    /// The device after power-on.
    ///
    /// # Errors
    /// If the hardware could not be built.
    pub fn device(&self) -> Result<Box<dyn Device>, sim_cosim::Error> {
        Ok(match self.back_end.made {
            Made::Model(config) => {
                let blocks = NAMESPACE_BYTES / u64::from(config.lba_bytes);
                let config = nvme_model::Config { blocks, seed: self.seed, ..config };
                Box::new(ModelDevice::new(config, HostMemory::new()))
            }
            Made::Verilated(config) => Box::new(self.hardware(config, false)?),
        })
    }

    /// The hardware of this plan; with `trace`, one that can write waveforms.
    ///
    /// # Errors
    /// If it could not be built.
    pub fn hardware(&self, config: nvme_hw::Config, trace: bool) -> Result<Verilated, sim_cosim::Error> {
        let mut device = Verilated::new(&HardwareOptions {
            namespace_bytes: NAMESPACE_BYTES,
            host: BusTiming::with_latency(20),
            memory: self.memory,
            firmware_clocks_max: self.firmware_clocks_max,
            seed: self.seed,
            trace,
            ..HardwareOptions::new(config)
        })?;
        let faults = &mut device.ram().faults;
        faults.reseed(self.seed);
        faults.read_chance = self.media_errors;
        faults.write_chance = self.media_errors;
        Ok(device)
    }

    /// The next action.
    pub fn action(&self, random: &mut Random) -> Action {
        draw(random, self.weights.iter().copied())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {:#x} on {}", self.seed, self.back_end.name)
    }
}

/// One of some things, by weight.
fn draw<T: Copy>(random: &mut Random, items: impl Iterator<Item = (T, u64)> + Clone) -> T {
    let total: u64 = items.clone().map(|(_, weight)| weight).sum();
    let mut at = random.below(total);
    let mut chosen = items.filter(|(_, weight)| {
        let here = at < *weight;
        at = at.wrapping_sub(if here { 0 } else { *weight });
        here
    });
    chosen.next().expect("the sum of the weights is above what was drawn").0
}

/// How the path to host memory behaves for a while: in one of three cases anything that the protocol allows, with errors of latency bounded so
/// that a bound on the time of a command means something.
pub fn host_timing(random: &mut Random) -> BusTiming {
    match random.below(6) {
        0..=1 => BusTiming::adverse(random.next_u64()),
        2 => BusTiming {
            read_latency: Clocks::between(1, 300),
            write_latency: Clocks::between(1, 300),
            reorder: true,
            interleave: true,
            seed: random.next_u64(),
            ..BusTiming::IDEAL
        },
        _ => calm(random),
    }
}

/// No stalls, and a latency as on a machine.
pub fn calm(random: &mut Random) -> BusTiming {
    BusTiming::with_latency(*random.pick(&[1, 20, 200]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_function_of_its_seed() {
        let text = |seed| format!("{:?}", Plan::of(seed, None, 10));
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
    }

    #[test]
    fn every_back_end_and_every_action_is_drawn() {
        let mut back_ends = std::collections::BTreeSet::new();
        let mut actions = std::collections::BTreeSet::new();
        let mut random = Random::new(1);
        for seed in 0..200 {
            let plan = Plan::of(seed, None, 10);
            back_ends.insert(plan.back_end.name);
            actions.extend((0..200).map(|_| plan.action(&mut random)));
        }
        assert_eq!(back_ends.len(), BACK_ENDS.len());
        assert_eq!(actions.len(), WEIGHTS.len());
    }

    #[test]
    fn draws_follow_the_weights() {
        let mut random = Random::new(1);
        let items = [("never", 0), ("often", 3), ("seldom", 1)];
        let drawn: Vec<_> = (0..4000).map(|_| draw(&mut random, items.iter().copied())).collect();
        let count = |name| drawn.iter().filter(|drawn| **drawn == name).count();
        assert_eq!(count("never"), 0);
        assert!((2800..3200).contains(&count("often")));
    }
}
