//! The flash of a device, and its firmware, which shares the machine with that of the controller.

use crate::door::Medium;
use crate::lite::Request;
use crate::machine::Machine;
use flash_fw::{Config, Delta, Ftl, Memory, MountError, SuperBlock};
use flash_hw::flash_path;
use flash_hw::types::{Faults, Times};
use flash_spec::fast_path::Register;
use flash_spec::record::{MAP_ENTRIES, MARK_WORDS};
use flash_spec::{Clocks, Reliability};
use nvme_fw::MediumHealth;
use rtl_hdl::sim::Simulator;
use rtl_hdl::Shape;
use soc_firmware::medium::{self, HEALTH_CLOCKS, POLL_CLOCKS};
use soc_hal::{FastPath, Flash, Layout, Mmio, Shared};

/// Clocks from one look for events to the next, at most.
const LOOK_CLOCKS: u32 = 16;
/// Clocks after which a flash without array and bus times has done all that it was told.
pub(crate) const SETTLE_CLOCKS: u32 = 10_000;

/// The flash of a device, and how its surroundings behave.
#[derive(Clone, Copy, Debug)]
pub struct FlashOptions {
    /// The hardware. `units` is that of all namespaces together.
    pub path: flash_path::Config,
    /// How long things take.
    pub clocks: Clocks,
    /// What goes wrong.
    pub reliability: Reliability,
}

/// What is in the flash of a device when it is powered up.
pub struct FlashContents {
    /// What its firmware is told. The geometry is that of the hardware; there may be fewer units.
    pub config: Config,
    /// Flash that has been in use, which is mounted; without, it is new, and formatted.
    pub medium: Option<Medium>,
}

impl FlashContents {
    /// New flash with as many units as its hardware has.
    pub fn new(path: &flash_path::Config) -> Self {
        Self { config: Config { units: path.units, ..Config::new(path.geometry, 100) }, medium: None }
    }

    /// Whether it is to be formatted, and else to be mounted.
    pub fn is_new(&self) -> bool {
        self.medium.is_none()
    }
}

/// The machine, as long as the firmware of the flash works.
pub(crate) struct FlashSide<S>(Option<Box<Machine<S>>>);

impl<S> FlashSide<S> {
    fn machine(&mut self) -> &mut Machine<S> {
        self.0.as_mut().expect("it is lent to this firmware while it works")
    }
}

impl<S: Simulator> Mmio for FlashSide<S> {
    fn read32(&mut self, offset: u32) -> u32 {
        self.machine().flash_access(Request::Read { address: offset })
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.machine().flash_access(Request::Write { address: offset, value, strobe: 0xF });
    }
}

impl<S: Simulator> Shared for FlashSide<S> {
    fn load32(&mut self, address: u64) -> u32 {
        let mut bytes = [0; 4];
        self.machine().ram.load(address, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn store32(&mut self, address: u64, value: u32) {
        self.machine().ram.store(address, &value.to_le_bytes());
    }

    fn may_have_event(&mut self) -> bool {
        // While it waits time has to pass, and a processor takes some from one look to the next.
        for _ in 0..LOOK_CLOCKS {
            if self.machine().flash_event() {
                return true;
            }
            self.machine().tick();
        }
        false
    }
}

/// The firmware of the flash.
pub(crate) struct FlashFirmware<S> {
    ftl: Ftl<'static, FastPath<FlashSide<S>>>,
    /// The clock of the next poll.
    next_poll: u64,
    /// The clock in which its figures are asked for next.
    next_health: u64,
    /// Units that hosts had written before this power-on.
    units_written_before: u64,
}

/// The memory that the firmware of a flash works in.
#[derive(Debug)]
pub struct Owned {
    super_blocks: Vec<SuperBlock>,
    directory: Vec<u32>,
    marks: Vec<u32>,
    deltas: Vec<Delta>,
    newest: Vec<u64>,
}

impl Owned {
    /// As much as a configuration needs.
    pub fn new(config: &Config) -> Self {
        Self {
            super_blocks: vec![SuperBlock::NEW; config.geometry.blocks_per_plane as usize],
            directory: vec![0; config.directory_entries() as usize],
            marks: vec![0; (config.map_pages() * MARK_WORDS) as usize],
            deltas: vec![Delta::NEW; config.deltas() as usize],
            newest: vec![0; MAP_ENTRIES as usize],
        }
    }

    /// Lends it to the firmware.
    pub fn lend(&mut self) -> Memory<'_> {
        Memory {
            super_blocks: &mut self.super_blocks,
            directory: &mut self.directory,
            marks: &mut self.marks,
            deltas: &mut self.deltas,
            newest: &mut self.newest,
        }
    }
}

impl<S: Simulator> FlashFirmware<S> {
    /// Firmware of flash that was just reset.
    ///
    /// # Errors
    /// If the flash cannot hold the units of the host.
    pub fn new(
        options: &FlashOptions,
        config: Config,
        machine: Box<Machine<S>>,
    ) -> Result<(Self, Box<Machine<S>>), flash_fw::ConfigError> {
        let path = &options.path;
        let layout = Layout {
            shared_base: path.shared_base(),
            read_spares_base: path.read_spares_base(),
            map_pages: path.map_pages(),
        };
        let driver = FastPath::new(FlashSide(Some(machine)), layout);
        // A device is there for as long as the program runs.
        let ftl = Ftl::new(driver, config, Box::leak(Box::new(Owned::new(&config))).lend())?;
        let mut firmware = Self { ftl, next_poll: 0, next_health: 0, units_written_before: 0 };
        let machine = firmware.side().0.take().expect("it was lent");
        Ok((firmware, machine))
    }

    fn side(&mut self) -> &mut FlashSide<S> {
        self.ftl.flash().hardware()
    }

    fn with<T>(&mut self, machine: Box<Machine<S>>, work: impl FnOnce(&mut Self) -> T) -> (T, Box<Machine<S>>) {
        self.side().0 = Some(machine);
        let answer = work(self);
        (answer, self.side().0.take().expect("it is still here"))
    }

    /// Makes new flash ready, as in a factory, or mounts flash that has been in use: without waiting for it. From then on things take their time.
    pub fn start(
        &mut self,
        machine: Box<Machine<S>>,
        is_new: bool,
        clocks: &Clocks,
    ) -> (Result<(), MountError>, Box<Machine<S>>) {
        let (started, mut machine) =
            self.with(machine, |firmware| if is_new { firmware.ftl.format() } else { firmware.ftl.mount() });
        let smart;
        (smart, machine) = self.with(machine, |firmware| firmware.ftl.smart());
        self.units_written_before = smart.written_units;
        // Nothing may be in progress when the times change.
        (0..SETTLE_CLOCKS).for_each(|_| machine.tick());
        set_clocks(&mut machine.model, clocks);
        (started, machine)
    }

    /// Whether it has something to do.
    pub fn is_due(&self, machine: &Machine<S>) -> bool {
        machine.flash_event() || machine.clock >= self.next_poll
    }

    /// Lets it work once.
    pub fn poll(&mut self, machine: Box<Machine<S>>) -> Box<Machine<S>> {
        let ((), machine) = self.with(machine, |firmware| firmware.ftl.poll());
        self.next_poll = machine.clock + POLL_CLOCKS;
        machine
    }

    /// What it was told.
    pub fn config(&self) -> Config {
        *self.ftl.config()
    }

    /// Units that the map refers to.
    pub fn valid_units(&mut self, machine: Box<Machine<S>>) -> (u64, Box<Machine<S>>) {
        let super_blocks = 0..self.config().geometry.blocks_per_plane as u16;
        self.with(machine, |firmware| {
            super_blocks.map(|number| firmware.ftl.flash().register(Register::ValidUnits(number))).sum()
        })
    }

    /// Now and then, what the firmware of the controller is to know of the health of the flash. This is all that the two tell each other.
    pub fn health(&mut self, machine: Box<Machine<S>>) -> (Option<MediumHealth>, Box<Machine<S>>) {
        if machine.clock < self.next_health {
            return (None, machine);
        }
        self.next_health = machine.clock + HEALTH_CLOCKS;
        let before = self.units_written_before;
        let (health, machine) = self.with(machine, |firmware| medium::health(&mut firmware.ftl, before));
        (Some(health), machine)
    }
}

/// Sets the inputs of an array, or of what has one, that say how long things take. Nothing may be in progress.
pub fn set_clocks(model: &mut impl Simulator, clocks: &Clocks) {
    let Clocks { read, program, erase, suspend, resume, command, unit, .. } = *clocks;
    set_all(
        model,
        "times",
        Times::fields(),
        &[read[0], read[1], program[0], program[1], erase, suspend, resume, command, unit],
    );
}

/// Sets the inputs that say what goes wrong, and lets reads suspend programs and erases.
pub fn set_faults(model: &mut impl Simulator, reliability: &Reliability) {
    let Reliability {
        retry_wear_shift,
        erases_max,
        retry_rate,
        uncorrectable_rate,
        program_fail_rate,
        erase_fail_rate,
        ..
    } = *reliability;
    let retry_wear_shift = u32::from(retry_wear_shift);
    let faults = [retry_wear_shift, erases_max, retry_rate, uncorrectable_rate, program_fail_rate, erase_fail_rate];
    set_all(model, "faults", Faults::fields(), &faults);
    let suspends = model.port("suspends");
    model.poke_u64(suspends, 1);
}

fn set_all(model: &mut impl Simulator, bundle: &str, fields: Vec<(String, u32)>, values: &[u32]) {
    for ((field, _), &value) in fields.iter().zip(values) {
        let port = model.port(&format!("{bundle}_{field}"));
        model.poke_u64(port, value.into());
    }
}
