//! The back ends.

use crate::cores::{Cores, CoresKind, CoresOptions, STORAGE_BYTES_MAX};
use crate::door::{Door, Medium};
use crate::flash::{set_clocks, set_faults, FlashContents, FlashFirmware, FlashOptions, SETTLE_CLOCKS};
use crate::machine::{first_dword, is_inside, push_write, FlashPins, Machine};
use crate::monitors::Monitors;
use crate::tiles::Tiles;
use flash_spec::{Clocks, Preset};
use nvme_fw::Firmware;
use nvme_hw::Config;
use nvme_spec::limits::CORE_HZ;
use rtl_hdl::sim::Simulator;
use rtl_hdl::waveform::Outline;
use rtl_hdl::{elaborate, Block, Design, EvalError, Evaluator};
use sim_device::{Access, BusTiming, Device, Event, HostMemory, Ram, Sideband};
use sim_gdb::Ended;
use sim_verilator::{Model, ModelSet, ModelSpec, Optimize, Toolchain};
use soc_firmware::parameters::{FlashParameters, Parameters};
use soc_firmware::record::Record;
use soc_firmware::trace::Ring;
use soc_hal::Mmio;
use soc_map::firmware::{self, ENTRY};
use soc_map::roles::Role;
use soc_map::{trace, Region, HARTS_MAX};
use soc_top::{DirectDevice, FlashDevice};
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use zerocopy::FromBytes;

/// What kind of device to build and how its surroundings behave.
#[derive(Clone, Debug)]
pub struct Options {
    /// The hardware's configuration.
    pub config: Config,
    /// Size of namespace 1, which function 0 alone sees.
    pub namespace_bytes: u64,
    /// Size of namespace 2, which all functions share; 0: there is none.
    pub shared_bytes: u64,
    /// Bytes of the device's memory behind these that belong to no namespace yet.
    pub spare_bytes: u64,
    /// The path to host memory.
    pub host: BusTiming,
    /// The device's memory, and what stands for its flash.
    pub memory: BusTiming,
    /// The flash in which the namespaces lie; without, they lie in the device's memory.
    pub flash: Option<FlashOptions>,
    /// The processors that the controller's firmware runs on, with their image of it; without, it runs on the PC.
    pub cores: Option<CoresOptions>,
    /// Clocks that a register access of firmware takes beyond those of the bus, at most.
    pub firmware_clocks_max: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Build a model that can write waveforms; it is slower.
    pub trace: bool,
    /// Hold every bus against its protocol in every clock, and panic at a violation: for tests.
    pub monitors: bool,
}

/// Size of the sharable namespace of a device that nobody asked for another one.
pub const SHARED_BYTES: u64 = 32 << 20;

/// Bytes of the device's memory behind the namespaces, likewise.
pub const SPARE_BYTES: u64 = 16 << 20;

impl Options {
    /// The default configuration over 256 MiB, with the latencies that figures are measured with: 200 clocks to the host, 64 to the memory.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            namespace_bytes: 256 << 20,
            shared_bytes: if config.functions > 1 { SHARED_BYTES } else { 0 },
            spare_bytes: SPARE_BYTES,
            host: BusTiming::with_latency(200),
            memory: BusTiming::with_latency(64),
            flash: None,
            cores: None,
            firmware_clocks_max: 4,
            seed: 1,
            trace: false,
            monitors: false,
        }
    }
}

impl Options {
    fn storage_bytes(&self) -> u64 {
        self.namespace_bytes + self.shared_bytes + self.spare_bytes
    }

    /// What firmware is told.
    fn firmware_config(&self) -> nvme_fw::Config {
        let blocks = |bytes: u64| bytes / u64::from(self.config.lba_bytes);
        let (private, shared) = (blocks(self.namespace_bytes), blocks(self.shared_bytes));
        let config = match shared {
            0 => nvme_fw::Config::new(private, SERIAL_NUMBER),
            _ => nvme_fw::Config::with_two_functions(private, shared, SERIAL_NUMBER),
        };
        nvme_fw::Config { unallocated_units: self.spare_bytes / u64::from(nvme_spec::limits::PAGE_BYTES), ..config }
    }

    /// What firmware on processors is told.
    fn parameters(&self, contents: Option<&FlashContents>) -> Parameters {
        let parameters = Parameters::new(&self.firmware_config());
        let Some(FlashOptions { path, .. }) = &self.flash else { return parameters };
        parameters.with_flash(&FlashParameters {
            config: contents.map_or_else(|| FlashContents::new(path).config, |contents| contents.config),
            map_pages: path.map_pages(),
            is_new: contents.is_none_or(FlashContents::is_new),
        })
    }
}

/// Why no device could be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration breaks a rule.
    #[error("the configuration is not possible: {0}")]
    Config(String),
    /// The hardware description has a mistake.
    #[error("the hardware description has mistakes:\n{0}")]
    Hardware(#[from] rtl_hdl::Problems),
    /// A tool is missing, or the model could not be built.
    #[error(transparent)]
    Build(#[from] sim_verilator::Error),
    /// The evaluator cannot run the hardware.
    #[error(transparent)]
    Evaluate(#[from] EvalError),
    /// Firmware cannot run on simulated processors in such a device.
    #[error("firmware cannot run on simulated processors here: {0}")]
    Cores(String),
    /// The flash cannot hold the namespaces.
    #[error("the flash cannot hold the namespaces: {0}")]
    Flash(String),
    /// What is in the flash belongs to other hardware, or is no drive.
    #[error("the flash does not come up: {0}")]
    Contents(String),
}

/// Identify Controller, SN.
const SERIAL_NUMBER: &str = "SIMULATED-0";

/// No block goes so long from one access of a port to the next, but to wait for its host or for the time of an interrupt.
const QUIET_CLOCKS: u64 = 2000;

/// After so many clocks from power-on on, nothing is swept or cleared any more without an access to a port: the longest are the marks of `direct`, of
/// which each clock clears those of many blocks.
const SWEPT_CLOCKS: u64 = soc_map::DRAM.bytes / nvme_spec::limits::PAGE_BYTES as u64 / 16;

/// Clocks from one look whether the processors have made the flash ready to the next, and such looks at most.
const FLASH_LOOK_CLOCKS: u32 = 20_000;
const FLASH_LOOKS_MAX: u32 = 20_000;

/// The hardware with its firmware, run by a simulator.
pub struct Hardware<S> {
    name: &'static str,
    functions: u8,
    processor: Processor<S>,
    /// Of a device with flash whose firmware runs on the PC.
    flash: Option<Box<FlashFirmware<S>>>,
    /// Of a device with flash.
    flash_config: Option<flash_fw::Config>,
    outline: Outline,
}

/// What the controller's firmware runs on.
enum Processor<S> {
    /// The PC. The firmware owns its register bus, and with it the machine.
    /// It is large: thousands of commands that it may hold.
    Hosted(Box<Firmware<ControllerSide<S>>>),
    /// Simulated harts.
    Simulated { machine: Box<Machine<S>>, cores: Box<Cores> },
    /// Verilated harts, which are part of the machine.
    Verilated(Box<Machine<S>>),
}

/// What has happened in the flash of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashCounts {
    /// Clocks in which its firmware was asked for.
    pub event_clocks: u64,
    /// Clocks in which data was later than the bus of a channel.
    pub late_clocks: u64,
}

/// The machine, but while the firmware of the flash works.
struct ControllerSide<S>(Option<Box<Machine<S>>>);

impl<S> ControllerSide<S> {
    fn machine(&self) -> &Machine<S> {
        self.0.as_ref().expect("it is here")
    }

    fn machine_mut(&mut self) -> &mut Machine<S> {
        self.0.as_mut().expect("it is here")
    }
}

impl<S: Simulator> Mmio for ControllerSide<S> {
    fn read32(&mut self, offset: u32) -> u32 {
        self.machine_mut().read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.machine_mut().write32(offset, value);
    }
}

/// The emitted hardware under Verilator.
pub type Verilated = Hardware<Model>;

/// The same hardware in the evaluator of the HDL: slow, and without any tool.
pub type Evaluated = Hardware<Evaluator>;

impl Verilated {
    /// Builds the device with the tools of the environment; the first time takes a minute, later it is loaded from the cache.
    ///
    /// # Errors
    /// If the configuration is not possible, a tool is missing, or the build fails.
    pub fn new(options: &Options) -> Result<Self, Error> {
        Self::with_toolchain(options, &Toolchain::from_env())
    }

    /// As [`new`](Self::new), with this in its flash, of which [`Options::flash`] says what it is made of.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the contents are not those of such flash.
    pub fn with_contents(options: &Options, contents: FlashContents) -> Result<Self, Error> {
        Self::build(options, &Toolchain::from_env(), Some(contents))
    }

    /// As [`new`](Self::new), with these tools.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_toolchain(options: &Options, toolchain: &Toolchain) -> Result<Self, Error> {
        Self::build(options, toolchain, None)
    }

    fn build(options: &Options, toolchain: &Toolchain, contents: Option<FlashContents>) -> Result<Self, Error> {
        let design = design(options)?;
        let library = model_set(options, &design).load_with(toolchain)?;
        let model = library.model(&block(options).name());
        let tiles = match &options.cores {
            Some(CoresOptions { image, harts, kind: CoresKind::Verilated(start) }) => {
                let parameters = options.parameters(contents.as_ref());
                Some(Tiles::new(image, *harts, *start, &parameters, &model, toolchain)?)
            }
            _ => None,
        };
        let name = match &options.cores {
            None => "verilated",
            Some(CoresOptions { kind: CoresKind::Simulated, .. }) => "verilated with simulated processors",
            Some(CoresOptions { kind: CoresKind::Verilated(_), .. }) => "verilated with its processors",
        };
        Self::around(name, model, options, &design, contents, tiles)
    }

    /// The Verilated library that a device of these options runs on.
    ///
    /// # Errors
    /// If the hardware description has a mistake.
    pub fn model_set(options: &Options) -> Result<ModelSet, Error> {
        Ok(model_set(options, &design(options)?))
    }

    /// Starts measuring the time inside of the Verilated model.
    pub fn measure_model_time(&mut self) {
        self.machine_mut().model.measure_eval_time();
    }

    /// The time inside of the Verilated model since [`measure_model_time`](Self::measure_model_time).
    pub fn model_time(&self) -> Duration {
        self.machine().model.eval_time()
    }

    /// Writes a waveform from here on.
    ///
    /// # Errors
    /// If the file cannot be created, or the device was built without [`Options::trace`].
    pub fn trace_open(&mut self, path: &Path) -> std::io::Result<()> {
        self.machine_mut().model.trace_open(path)
    }

    /// Completes the waveform.
    pub fn trace_close(&mut self) {
        self.machine_mut().model.trace_close();
    }
}

impl Evaluated {
    /// The device in the evaluator. It writes no waveforms.
    ///
    /// # Errors
    /// If the configuration is not possible.
    pub fn new(options: &Options) -> Result<Self, Error> {
        Self::build(options, None)
    }

    /// As [`new`](Self::new), with this in its flash, of which [`Options::flash`] says what it is made of.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the contents are not those of such flash.
    pub fn with_contents(options: &Options, contents: FlashContents) -> Result<Self, Error> {
        Self::build(options, Some(contents))
    }

    fn build(options: &Options, contents: Option<FlashContents>) -> Result<Self, Error> {
        let design = design(options)?;
        let name = match &options.cores {
            None => "evaluated",
            Some(CoresOptions { kind: CoresKind::Simulated, .. }) => "evaluated with simulated processors",
            Some(_) => return Err(Error::Cores("the evaluator has no model of them".to_owned())),
        };
        Self::around(name, Evaluator::new(&design)?, options, &design, contents, None)
    }
}

impl<S: Simulator> Hardware<S> {
    fn around(
        name: &'static str,
        model: S,
        options: &Options,
        design: &Design,
        contents: Option<FlashContents>,
        tiles: Option<Tiles>,
    ) -> Result<Self, Error> {
        let functions = options.config.functions as u8;
        let storage_bytes = options.storage_bytes();
        let ram = Ram::new(options.flash.map_or(storage_bytes, |flash| flash.path.dram_bytes()));
        let mut machine = Machine::new(
            model,
            functions,
            ram,
            options.host,
            options.memory,
            options.seed,
            options.firmware_clocks_max,
        );
        machine.monitors = options.monitors.then(|| Monitors::new(&machine.model, options.flash.is_some()));
        let mut machine = Box::new(machine);
        let (mut flash, mut flash_config) = (None, None);
        let parameters = options.parameters(contents.as_ref());
        let is_new = contents.as_ref().is_none_or(FlashContents::is_new);
        if contents.is_some() && options.flash.is_none() {
            return Err(Error::Contents("there is none".to_owned()));
        }
        if let Some(flash_options) = &options.flash {
            let path = &flash_options.path;
            let FlashContents { config, medium } = contents.unwrap_or_else(|| FlashContents::new(path));
            if config.geometry != path.geometry || config.units > path.units {
                return Err(Error::Contents("it was made for other hardware".to_owned()));
            }
            let room = u64::from(config.units) * u64::from(flash_spec::limits::UNIT_BYTES);
            if room < storage_bytes {
                return Err(Error::Flash(format!("it has {room} bytes for them, and they need {storage_bytes}")));
            }
            let Medium { ram, records } = medium.unwrap_or_else(|| Ram::new(path.medium_bytes()).into());
            machine.flash = Some(FlashPins::new(&mut machine.model, path, ram, options.memory));
            let door = Door::new(&mut machine.model);
            door.load(&mut *machine, &path.geometry, &records);
            flash_config = Some(config);
            set_faults(&mut machine.model, &flash_options.reliability);
            set_clocks(&mut machine.model, &Preset::Scm.clocks(CORE_HZ));
        }
        if let (Some(flash_options), Some(config), None) = (&options.flash, flash_config, &options.cores) {
            let made = FlashFirmware::new(flash_options, config, machine);
            let mut firmware;
            (firmware, machine) = made.map_err(|error| Error::Contents(error.message().into()))?;
            let started;
            (started, machine) = firmware.start(machine, is_new, &flash_options.clocks);
            started.map_err(|error| Error::Contents(error.message().into()))?;
            flash = Some(Box::new(firmware));
        }
        let config = options.firmware_config();
        let processor = match (&options.cores, tiles) {
            (None, _) => Processor::Hosted(Box::new(Firmware::new(ControllerSide(Some(machine)), config))),
            (Some(_), Some(mut tiles)) => {
                tiles.boot(options.memory);
                machine.tiles = Some(Box::new(tiles));
                Processor::Verilated(machine)
            }
            (Some(cores), None) => {
                let mut cores = Box::new(Cores::new(cores, &parameters));
                cores.boot(&mut machine);
                Processor::Simulated { machine, cores }
            }
        };
        let mut hardware = Self { name, functions, processor, flash, flash_config, outline: Outline::of(design) };
        if let (Some(flash), Some(_)) = (&options.flash, &options.cores) {
            hardware.start_flash(&flash.clocks)?;
        }
        Ok(hardware)
    }

    /// Lets the processors make the flash ready, without waiting for it, until they serve hosts. From then on things take their time.
    fn start_flash(&mut self, clocks: &Clocks) -> Result<(), Error> {
        for _ in 0..FLASH_LOOKS_MAX {
            self.step(FLASH_LOOK_CLOCKS);
            if let Some(record) = self.firmware_record() {
                return Err(Error::Contents(record.said().unwrap_or_default().to_owned()));
            }
            let is_serving = |ring: Ring| ring.events().any(|event| event.kind() == Some(&trace::SERVING));
            if self.firmware_trace(0).is_some_and(is_serving) {
                // Nothing may be in progress when the times change.
                self.step(SETTLE_CLOCKS);
                set_clocks(&mut self.machine_mut().model, clocks);
                return Ok(());
            }
        }
        Err(Error::Contents(format!(
            "firmware does not serve it within {} clocks",
            FLASH_LOOKS_MAX * FLASH_LOOK_CLOCKS
        )))
    }

    /// What the hardware description knows of the signals in a waveform.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// Of a device with flash: clocks in which its firmware was asked for, and in which data was later than the bus of a channel.
    pub fn flash_counts(&self) -> Option<FlashCounts> {
        let flash = self.machine().flash.as_ref()?;
        Some(FlashCounts { event_clocks: flash.event_clocks, late_clocks: flash.late_clocks })
    }

    /// Of a device with flash: units that its map refers to. It takes the clocks of the register accesses.
    pub fn flash_valid_units(&mut self) -> Option<u64> {
        let flash = self.flash.as_mut()?;
        let Processor::Hosted(firmware) = &mut self.processor else { return None };
        let machine = firmware.mmio().0.take().expect("it is here");
        let (units, machine) = flash.valid_units(machine);
        firmware.mmio().0 = Some(machine);
        Some(units)
    }

    /// Takes the power away, in the middle of whatever goes on: what is left in the flash, if there is one, for
    /// [`with_contents`](Verilated::with_contents) of the next device.
    ///
    /// # Panics
    /// If the flash does not come to rest.
    pub fn cut_power(self) -> Option<FlashContents> {
        let config = self.flash_config?;
        let mut machine = match self.processor {
            Processor::Hosted(mut firmware) => firmware.mmio().0.take().expect("it is here"),
            Processor::Simulated { machine, .. } | Processor::Verilated(machine) => machine,
        };
        machine.tiles = None;
        let power_cut = machine.model.port("power_cut");
        machine.model.poke_u64(power_cut, 1);
        machine.tick();
        machine.model.poke_u64(power_cut, 0);
        let (door, geometry) = (Door::new(&mut machine.model), config.geometry);
        let blocks = (0..geometry.blocks()).map(|block| geometry.block_at(block));
        let records = blocks.map(|block| door.visit(&mut *machine, block, None)).collect();
        let ram = machine.flash.take().expect("it has flash").medium;
        Some(FlashContents { config, medium: Some(Medium { ram, records }) })
    }

    /// Sets how long things take in the flash, in which nothing may be in progress.
    pub fn set_flash_clocks(&mut self, clocks: &Clocks) {
        set_clocks(&mut self.machine_mut().model, clocks);
    }

    /// The device's memory, by the back door.
    pub fn ram(&mut self) -> &mut Ram {
        &mut self.machine_mut().ram
    }

    /// Instructions that simulated processors have begun; 0 if there are none. Verilated ones do not tell.
    pub fn instructions(&self) -> u64 {
        match &self.processor {
            Processor::Hosted(_) | Processor::Verilated(_) => 0,
            Processor::Simulated { cores, .. } => cores.instructions(),
        }
    }

    /// Why firmware on a simulated or Verilated processor has stopped, if it has: the record of the first hart that has one. Verilated ones take some
    /// clocks to tell.
    pub fn firmware_record(&mut self) -> Option<Record> {
        (0..HARTS_MAX).find_map(|hart| self.firmware_record_of(hart))
    }

    /// Likewise, of one hart.
    pub fn firmware_record_of(&mut self, hart: u32) -> Option<Record> {
        let record: Record = self.read_from_firmware(&firmware::record(hart))?;
        record.said().is_some().then_some(record)
    }

    /// What a hart of simulated or Verilated processors has done. Verilated ones take some clocks to tell.
    pub fn firmware_trace(&mut self, hart: u32) -> Option<Ring> {
        self.read_from_firmware(&trace::ring(hart))
    }

    /// Memory of simulated or Verilated processors, as they see it. Verilated ones take some clocks to tell.
    ///
    /// # Panics
    /// If the range is not inside of it.
    pub fn read_firmware_memory(&mut self, address: u64, bytes: usize) -> Option<Vec<u8>> {
        match &mut self.processor {
            Processor::Hosted(_) => None,
            Processor::Simulated { cores, .. } => Some(cores.memory(address, bytes).to_vec()),
            Processor::Verilated(machine) => Some(machine.read_firmware_memory(address, bytes)),
        }
    }

    /// What lies at the beginning of a region of firmware's memory.
    fn read_from_firmware<T: FromBytes>(&mut self, place: &Region) -> Option<T> {
        let bytes = self.read_firmware_memory(place.base, size_of::<T>())?;
        T::read_from_bytes(&bytes).ok()
    }

    /// Lets a debugger look at simulated processors and stop them, from now on: `target remote` of GDB at the other end of the connection. While they stand
    /// still, so does the whole device, and with it whoever waits for it.
    ///
    /// # Errors
    /// There are none, or the connection is gone.
    pub fn debug(&mut self, connection: TcpStream) -> io::Result<()> {
        match &mut self.processor {
            Processor::Hosted(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "firmware runs on the PC")),
            Processor::Verilated(_) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "firmware runs on Verilated processors"))
            }
            Processor::Simulated { cores, .. } => cores.debug(connection),
        }
    }

    /// How the conversation with the debugger has ended, if it has.
    pub fn debugger_ended(&self) -> Option<&Ended> {
        match &self.processor {
            Processor::Hosted(_) | Processor::Verilated(_) => None,
            Processor::Simulated { cores, .. } => cores.debugger_ended(),
        }
    }

    /// Writes memory of simulated or Verilated processors, as another device of theirs would. Verilated ones take some clocks for it, and may go on with
    /// instructions that they have fetched before.
    ///
    /// # Panics
    /// If there are none, or the range is not inside of it.
    pub fn write_firmware_memory(&mut self, address: u64, bytes: &[u8]) {
        match &mut self.processor {
            Processor::Hosted(_) => panic!("firmware runs on the PC"),
            Processor::Simulated { cores, .. } => cores.memory(address, bytes.len()).copy_from_slice(bytes),
            Processor::Verilated(machine) => machine.write_firmware_memory(address, bytes),
        }
    }

    /// What firmware on simulated or Verilated processors has written to the console since the last call.
    pub fn take_console(&mut self) -> Vec<u8> {
        match &mut self.processor {
            Processor::Hosted(_) => vec![],
            Processor::Simulated { cores, .. } => std::mem::take(&mut cores.console),
            Processor::Verilated(machine) => machine.tiles.as_mut().expect("they are there").soc.take_console(),
        }
    }

    /// One clock, or as many as firmware takes for one turn.
    fn advance(&mut self) {
        match &mut self.processor {
            Processor::Simulated { machine, cores } => cores.advance(machine),
            Processor::Verilated(machine) => machine.tick(),
            Processor::Hosted(firmware) => advance_hosted(firmware, self.flash.as_deref_mut()),
        }
    }

    /// Whether the access is to BAR0 of a function that is there.
    fn is_in_a_bar(&self, access: Access) -> bool {
        self.has_function(access.function) && is_inside(access)
    }

    const fn has_function(&self, function: u8) -> bool {
        function < self.functions
    }

    fn machine(&self) -> &Machine<S> {
        match &self.processor {
            Processor::Hosted(firmware) => firmware.mmio_ref().machine(),
            Processor::Simulated { machine, .. } | Processor::Verilated(machine) => machine,
        }
    }

    fn machine_mut(&mut self) -> &mut Machine<S> {
        match &mut self.processor {
            Processor::Hosted(firmware) => firmware.mmio().machine_mut(),
            Processor::Simulated { machine, .. } | Processor::Verilated(machine) => machine,
        }
    }
}

fn advance_hosted<S: Simulator>(firmware: &mut Firmware<ControllerSide<S>>, flash: Option<&mut FlashFirmware<S>>) {
    if let Some(flash) = flash.filter(|flash| flash.is_due(firmware.mmio_ref().machine())) {
        let machine = firmware.mmio().0.take().expect("it is here");
        let machine = flash.poll(machine);
        let (health, machine) = flash.health(machine);
        firmware.mmio().0 = Some(machine);
        if let Some(health) = health {
            firmware.set_medium_health(health);
        }
    }
    // A poll reads at least one register, so time moves.
    if firmware.mmio_ref().machine().event() || firmware.is_busy() {
        firmware.poll();
    } else {
        firmware.mmio().machine_mut().tick();
    }
}

fn design(options: &Options) -> Result<Design, Error> {
    check_cores(options)?;
    options.config.check().map_err(|error| Error::Config(error.to_string()))?;
    Ok(elaborate(&*block(options))?)
}

fn check_cores(options: &Options) -> Result<(), Error> {
    let Some(cores) = &options.cores else { return Ok(()) };
    if !(1..=HARTS_MAX).contains(&cores.harts) {
        return Err(Error::Cores(format!("there may be 1 to {HARTS_MAX}, not {}", cores.harts)));
    }
    if cores.image.entry() != ENTRY {
        let entry = cores.image.entry();
        return Err(Error::Cores(format!("their image begins at {entry:#x}, and the boot ROM jumps to {ENTRY:#x}")));
    }
    if options.flash.is_some() && !(0..cores.harts).any(|hart| Role::of(hart) == Role::CacheAndTranslation) {
        return Err(Error::Cores(format!("{} of them have none for the flash", cores.harts)));
    }
    let bytes = options.flash.map_or(options.storage_bytes(), |flash| flash.path.dram_bytes());
    if bytes > STORAGE_BYTES_MAX {
        let reason = format!("they have {STORAGE_BYTES_MAX} bytes of memory before it, and storage needs {bytes}");
        return Err(Error::Cores(reason));
    }
    Ok(())
}

/// The hardware of these options.
fn block(options: &Options) -> Box<dyn Block> {
    match options.flash {
        None => Box::new(DirectDevice::new(options.config)),
        Some(flash) => Box::new(FlashDevice::new(options.config, flash.path)),
    }
}

fn model_set(options: &Options, design: &Design) -> ModelSet {
    ModelSet::new("device").with(ModelSpec::of(design)).optimize(Optimize::Run).trace(options.trace)
}

impl<S: Simulator> Device for Hardware<S> {
    fn name(&self) -> &str {
        self.name
    }

    fn read(&mut self, access: Access) -> u64 {
        if !self.is_in_a_bar(access) {
            return 0;
        }
        let first = first_dword(access);
        let shift = 8 * (access.offset & 3);
        let dwords = (shift / 8 + u64::from(access.bytes)).div_ceil(4) as u32;
        let mut value = 0;
        for i in 0..dwords {
            value |= u128::from(self.machine_mut().read_mmio(first + 4 * i)) << (32 * i);
        }
        let value = (value >> shift) as u64;
        value & u64::MAX >> (64 - 8 * u32::from(access.bytes))
    }

    fn write(&mut self, access: Access, value: u64) {
        if self.is_in_a_bar(access) {
            push_write(&mut self.machine_mut().mmio, access, value);
        }
    }

    fn step(&mut self, clocks: u32) {
        let end = self.machine().clock + u64::from(clocks);
        while self.machine().clock < end {
            self.advance();
        }
    }

    fn clock(&self) -> u64 {
        self.machine().clock
    }

    fn is_idle(&self) -> bool {
        let (is_busy, aggregation_clocks) = match &self.processor {
            Processor::Hosted(firmware) => (firmware.is_busy(), firmware.aggregation_clocks_max()),
            Processor::Simulated { cores, .. } => (!cores.are_waiting(), cores.coalescing().aggregation_clocks_max()),
            Processor::Verilated(machine) => {
                let tiles = machine.tiles.as_ref().expect("they are there");
                (!tiles.are_waiting(), tiles.coalescing.aggregation_clocks_max())
            }
        };
        // Flash works for long without any access.
        self.machine().flash.is_none()
            && self.clock() >= SWEPT_CLOCKS
            && self.machine().quiet_clocks() >= QUIET_CLOCKS + aggregation_clocks
            && !is_busy
    }

    fn host(&mut self) -> &mut HostMemory {
        &mut self.machine_mut().host
    }

    fn set_sideband(&mut self, function: u8, sideband: Sideband) {
        if self.has_function(function) {
            self.machine_mut().set_sideband(function, sideband);
        }
    }

    fn function_level_reset(&mut self, function: u8) {
        if self.has_function(function) {
            self.machine_mut().function_level_reset(function);
        }
    }

    fn after(&mut self, clocks: u32, event: Event) {
        let machine = self.machine_mut();
        machine.schedule.add(machine.clock + u64::from(clocks), event);
    }

    fn set_host_timing(&mut self, timing: BusTiming) {
        self.machine_mut().host_bus.set_timing(timing);
    }
}
